//! What flows between kernels: a column, or one constant that is never materialised while a kernel can avoid it.

use std::borrow::Cow;

use arrow_array::{
    BinaryViewArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringViewArray, TimestampNanosecondArray,
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use velostream_types::{Column, Value};

/// One operand.
#[derive(Clone, Debug)]
pub(super) enum Datum<'a> {
    /// One value per row.
    Column(Column),
    /// A column of the batch as it is.
    Input(&'a Column),
    /// The same value for every row.
    Const(Value),
}

/// An operand looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum View<'v> {
    Column(&'v Column),
    Const(&'v Value),
}

impl Datum<'_> {
    /// The operand without regard to who owns it.
    #[inline]
    pub fn view(&self) -> View<'_> {
        match self {
            Datum::Column(column) => View::Column(column),
            Datum::Input(column) => View::Column(column),
            Datum::Const(value) => View::Const(value),
        }
    }

    /// NULL for every row.
    pub const NULL: Datum<'static> = Datum::Const(Value::Null);

    /// The operand as a column of `rows` rows.
    pub fn into_column(self, rows: usize) -> Column {
        match self {
            Datum::Column(column) => column,
            Datum::Input(column) => column.clone(),
            Datum::Const(value) => Column::repeat(&value, rows),
        }
    }

    /// The operand as a column of `rows` rows, borrowed when it is one.
    pub fn as_column(&self, rows: usize) -> Cow<'_, Column> {
        match self.view() {
            View::Column(column) => Cow::Borrowed(column),
            View::Const(value) => Cow::Owned(Column::repeat(value, rows)),
        }
    }

    /// TRUE when no row has a value.
    pub fn is_all_null(&self) -> bool {
        matches!(self.view(), View::Const(Value::Null) | View::Column(Column::Null(_)))
    }

    /// Validity bits; `None` when every row has a value.
    pub fn nulls(&self, rows: usize) -> Option<NullBuffer> {
        match self.view() {
            View::Column(column) => column.nulls().filter(|n| n.null_count() > 0),
            View::Const(Value::Null) => Some(NullBuffer::new_null(rows)),
            View::Const(_) => None,
        }
    }

    /// A Boolean column of these bits.
    pub fn bools(values: BooleanBuffer, nulls: Option<NullBuffer>) -> Datum<'static> {
        Datum::Column(Column::Bool(BooleanArray::new(values, nulls)))
    }
}

/// Rows where both operands have a value.
pub(super) fn both(left: &Datum<'_>, right: &Datum<'_>, rows: usize) -> Option<NullBuffer> {
    NullBuffer::union(left.nulls(rows).as_ref(), right.nulls(rows).as_ref())
}

/// The column with the rows that `valid` lacks set to NULL as well.
pub(super) fn with_nulls(column: &Column, valid: &NullBuffer) -> Column {
    let nulls = NullBuffer::union(column.nulls().as_ref(), Some(valid));
    match column {
        Column::Null(n) => Column::Null(*n),
        Column::Bool(a) => Column::Bool(BooleanArray::new(a.values().clone(), nulls)),
        Column::Int(a) => Column::Int(Int64Array::new(a.values().clone(), nulls)),
        Column::Float(a) => Column::Float(Float64Array::new(a.values().clone(), nulls)),
        Column::Dec64(a) => Column::dec64(a.values().to_vec(), scale_of(a.scale()), nulls),
        Column::Dec128(a) => Column::dec128(a.values().to_vec(), scale_of(a.scale()), nulls),
        Column::Timestamp(a) => Column::Timestamp(TimestampNanosecondArray::new(a.values().clone(), nulls)),
        Column::Date(a) => Column::Date(Date32Array::new(a.values().clone(), nulls)),
        Column::Str(a) => {
            Column::Str(a.iter().enumerate().map(|(i, v)| v.filter(|_| valid.is_valid(i))).collect::<StringViewArray>())
        }
        Column::Bytes(a) => Column::Bytes(
            a.iter().enumerate().map(|(i, v)| v.filter(|_| valid.is_valid(i))).collect::<BinaryViewArray>(),
        ),
    }
}

/// Arrow's signed scale as ours, which is never negative.
#[inline]
pub(super) fn scale_of(scale: i8) -> u8 {
    scale.max(0) as u8
}

/// All rows, or those of the selection.
pub(super) fn selected(selection: Option<&BooleanBuffer>, rows: usize) -> BooleanBuffer {
    selection.cloned().unwrap_or_else(|| BooleanBuffer::new_set(rows))
}

/// Validity from bits, `None` when all are set.
pub(super) fn validity(bits: BooleanBuffer) -> Option<NullBuffer> {
    let nulls = NullBuffer::new(bits);
    (nulls.null_count() > 0).then_some(nulls)
}
