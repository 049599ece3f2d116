//! CAST and TRY_CAST: picks the conversion from the logical types and the physical column, and turns lanes that do not
//! convert into record errors (CAST) or NULL (TRY_CAST).

use arrow_array::{Date32Array, TimestampNanosecondArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use velostream_types::{Column, DataType, ErrorCode};

use super::datum::Datum;
use super::eval::{Selection, Session};
use super::node::Node;
use super::{cast_number, cast_text, cast_time, nested, text};

/// One conversion under way.
pub(super) struct Conversion<'a> {
    pub column: &'a Column,
    /// Logical type of the operand.
    pub from: &'a DataType,
    pub node: &'a Node,
    pub try_cast: bool,
    pub selection: Selection<'a>,
}

/// Converts to the node's type. NULL stays NULL whatever the types.
pub(super) fn cast(
    value: Datum<'_>,
    from: &DataType,
    node: &Node,
    try_cast: bool,
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Datum<'static> {
    if value.is_all_null() {
        return Datum::NULL;
    }
    let column = value.into_column(session.rows);
    let to = &node.data_type;
    // A JSON value converts as its text does.
    let (column, from) = match (from, to.is_nested()) {
        (DataType::Json, false) => (nested::unquoted(&column, to), &DataType::String),
        _ => (column, from),
    };
    let conversion = Conversion { column: &column, from, node, try_cast, selection };
    let result = match to {
        DataType::Boolean => cast_number::to_boolean(&conversion, session),
        DataType::Integer => cast_number::to_integer(&conversion, session),
        DataType::Float => cast_number::to_float(&conversion, session),
        DataType::Decimal { precision, scale } => cast_number::to_decimal(&conversion, *precision, *scale, session),
        DataType::String => Some(text::to_text(&column, from)),
        DataType::Date => cast_time::to_date(&conversion, session),
        DataType::Timestamp => cast_time::to_timestamp(&conversion, session),
        DataType::Time => cast_time::to_time(&conversion, session),
        to if to.is_nested() && to != from => Some(nested::convert(&conversion, session)),
        _ => None,
    };
    match result {
        Some(column) => Datum::Column(column),
        None if to == from => Datum::Column(column),
        None => conversion.refuse_all(session),
    }
}

impl Conversion<'_> {
    /// One converted value per lane with a value; lanes for which `f` answers `None` do not convert.
    pub fn lanes<T: Copy + Default>(
        &self,
        session: &mut Session<'_>,
        f: impl Fn(usize) -> Option<T>,
    ) -> (Vec<T>, Option<NullBuffer>) {
        let nulls = self.column.nulls();
        let mut refused = false;
        let values = (0..session.rows)
            .map(|i| {
                if nulls.as_ref().is_some_and(|n| n.is_null(i)) {
                    return T::default();
                }
                let value = f(i);
                refused |= value.is_none();
                value.unwrap_or_default()
            })
            .collect();
        let nulls = if refused { self.refuse(nulls, |i| f(i).is_none(), session) } else { nulls };
        (values, nulls)
    }

    /// Takes the lanes that do not convert out of the validity; CAST fails their rows.
    #[cold]
    pub fn refuse(
        &self,
        nulls: Option<NullBuffer>,
        bad: impl Fn(usize) -> bool,
        session: &mut Session<'_>,
    ) -> Option<NullBuffer> {
        let bad = |i: usize| nulls.as_ref().is_none_or(|n| n.is_valid(i)) && bad(i);
        if self.try_cast {
            let good = NullBuffer::new(BooleanBuffer::collect_bool(session.rows, |i| !bad(i)));
            return NullBuffer::union(nulls.as_ref(), Some(&good));
        }
        let message = |i: usize| {
            let value = text::shortened(self.column, self.from, i);
            (ErrorCode::Cast, format!("cannot cast {value} to {}", self.node.data_type))
        };
        session.reject(nulls.clone(), self.selection, self.node.span, bad, message)
    }

    /// The binder lets no such pair of types through; if one comes, no value converts.
    fn refuse_all(&self, session: &mut Session<'_>) -> Datum<'static> {
        self.refuse(self.column.nulls(), |_| true, session);
        Datum::NULL
    }

    pub fn integers(&self, session: &mut Session<'_>, f: impl Fn(usize) -> Option<i64>) -> Column {
        let (values, nulls) = self.lanes(session, f);
        Column::ints(values, nulls)
    }

    pub fn timestamps(&self, session: &mut Session<'_>, f: impl Fn(usize) -> Option<i64>) -> Column {
        let (values, nulls) = self.lanes(session, f);
        Column::Timestamp(TimestampNanosecondArray::new(values.into(), nulls))
    }

    pub fn dates(&self, session: &mut Session<'_>, f: impl Fn(usize) -> Option<i32>) -> Column {
        let (values, nulls) = self.lanes(session, f);
        Column::Date(Date32Array::new(values.into(), nulls))
    }

    /// Lanes of text parsed by `parse`.
    pub fn parsed<T: Copy + Default>(
        &self,
        session: &mut Session<'_>,
        parse: fn(&str) -> Option<T>,
    ) -> (Vec<T>, Option<NullBuffer>) {
        match self.column {
            Column::Str(a) => self.lanes(session, |i| parse(a.value(i))),
            _ => (Vec::new(), None),
        }
    }
}

/// Text of a value read as an integer, for the other conversions.
pub(super) use cast_text::{boolean, float, integer, number};
