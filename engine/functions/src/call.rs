//! One call over one batch: arguments as typed lanes, the rows that count, and columns built row by row.

use std::borrow::Cow;
use std::ops::Range;

use arrow_array::builder::BinaryViewBuilder;
use arrow_array::{Array, BooleanArray, Date32Array, StringViewArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use velostream_types::time::{NS_PER_DAY, NS_PER_MS};
use velostream_types::{Batch, Column, DataType, ErrorCode, PieceBuilder, StrBuilder, Value, decimal};

use crate::function::Prepared;
use crate::read;

mod nested;

pub(crate) use nested::recast;

/// One argument.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// One value per row.
    Column(&'a Column),
    /// The same value for every row.
    Const(&'a Value),
}

/// Why a row has no value.
#[derive(Clone, Debug, PartialEq)]
pub struct Fail {
    /// Kind of mistake.
    pub code: ErrorCode,
    /// What was wrong, with the value.
    pub message: String,
}

impl Fail {
    /// A value the function is not defined for.
    #[cold]
    pub fn domain(message: impl Into<String>) -> Fail {
        Fail { code: ErrorCode::Domain, message: message.into() }
    }

    /// A result that does not fit its type.
    #[cold]
    pub fn overflow(message: impl Into<String>) -> Fail {
        Fail { code: ErrorCode::Overflow, message: message.into() }
    }

    /// A value that does not convert.
    #[cold]
    pub fn cast(message: impl Into<String>) -> Fail {
        Fail { code: ErrorCode::Cast, message: message.into() }
    }
}

/// A row that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Position in the batch.
    pub row: usize,
    /// Why.
    pub fail: Fail,
}

/// A row's value, NULL, or a failure.
pub type Outcome<T> = Result<Option<T>, Fail>;

/// What a row is beside its columns.
#[derive(Clone, Copy, Debug)]
pub struct RowContext<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// The turn's time, ns: what NOW answers.
    pub now_ns: i64,
    /// `_timestamp` of rows whose source gives none, ms.
    pub run_start_ms: i64,
    /// The run's seed.
    pub seed: u64,
    /// Distinguishes the calls of an app.
    pub site: u64,
}

/// The arguments of a call, readable while its column is built.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    list: &'a [(Arg<'a>, &'a DataType)],
    rows: usize,
}

impl<'a> Args<'a> {
    /// Number of arguments.
    pub fn len(self) -> usize {
        self.list.len()
    }

    /// TRUE for a call without arguments.
    pub fn is_empty(self) -> bool {
        self.list.is_empty()
    }

    /// Argument number `i`, as it is.
    pub fn get(self, i: usize) -> Arg<'a> {
        self.list[i].0
    }

    /// Logical type of argument number `i`.
    pub fn data_type(self, i: usize) -> &'a DataType {
        self.list[i].1
    }

    /// Argument number `i`, if it was written and is a constant.
    pub fn constant(self, i: usize) -> Option<&'a Value> {
        match self.list.get(i)?.0 {
            Arg::Const(value) => Some(value),
            Arg::Column(_) => None,
        }
    }

    /// TRUE when argument number `i` is NULL in this row.
    #[inline]
    pub fn is_null(self, i: usize, row: usize) -> bool {
        match self.list[i].0 {
            Arg::Column(column) => column.is_null(row),
            Arg::Const(value) => value.is_null(),
        }
    }

    /// Value of argument number `i`: for rules over any type, too slow for a hot loop.
    pub fn value(self, i: usize, row: usize) -> Value {
        match self.list[i].0 {
            Arg::Column(column) => column.value(row),
            Arg::Const(value) => value.clone(),
        }
    }

    /// Text lanes of argument number `i`; a NULL reads as empty.
    pub fn text(self, i: usize) -> Texts<'a> {
        match self.list[i].0 {
            Arg::Column(Column::Str(a)) => Texts::Many(a),
            Arg::Const(Value::Str(s) | Value::Json(s)) => Texts::One(s),
            _ => Texts::One(""),
        }
    }

    /// Integer lanes of argument number `i` (also Interval and Time); a NULL reads as 0.
    ///
    /// An Integer column of an inferred source may come as decimals; their whole part counts.
    pub fn int(self, i: usize) -> Ints<'a> {
        match self.list[i].0 {
            Arg::Column(Column::Int(a)) => Ints::Many(Cow::Borrowed(a.values())),
            Arg::Column(column) => {
                let exact = Exact::of(Arg::Column(column));
                Ints::Many((0..self.rows).map(|row| exact.whole(row)).collect())
            }
            Arg::Const(value) => Ints::One(Exact::of(Arg::Const(value)).whole(0)),
        }
    }

    /// Float lanes of argument number `i`; a NULL reads as 0.
    pub fn float(self, i: usize) -> Floats<'a> {
        match self.list[i].0 {
            Arg::Column(Column::Float(a)) => Floats::Many(a.values()),
            Arg::Const(Value::Float(x)) => Floats::One(*x),
            _ => Floats::One(0.0),
        }
    }

    /// Lanes of argument number `i` as exact numbers.
    pub fn exact(self, i: usize) -> Exact<'a> {
        Exact::of(self.list[i].0)
    }

    /// TRUE lanes of argument number `i`.
    pub fn is_true(self, i: usize, row: usize) -> bool {
        match self.list[i].0 {
            Arg::Column(Column::Bool(a)) => !a.is_null(row) && a.value(row),
            Arg::Const(value) => *value == Value::Bool(true),
            Arg::Column(_) => false,
        }
    }

    /// Bytes of argument number `i`, of text its UTF-8.
    pub fn bytes(self, i: usize, row: usize) -> &'a [u8] {
        match self.list[i].0 {
            Arg::Column(Column::Bytes(a)) => a.value(row),
            Arg::Column(Column::Str(a)) => a.value(row).as_bytes(),
            Arg::Const(Value::Bytes(b)) => b,
            Arg::Const(Value::Str(s)) => s.as_bytes(),
            _ => &[],
        }
    }

    /// The instant that argument number `i` names, ns: a timestamp, the midnight of a date, integer milliseconds, ISO
    /// text.
    pub fn instant(self, i: usize, row: usize) -> Result<i64, Fail> {
        let of_ms =
            |ms: i64| ms.checked_mul(NS_PER_MS).ok_or_else(|| Fail::overflow(format!("{ms} ms is out of range")));
        let of_days = |days: i32| {
            let ns = i64::from(days).checked_mul(NS_PER_DAY);
            ns.ok_or_else(|| Fail::overflow("the date is outside the years 1677 to 2262"))
        };
        let of_text = |text: &str| {
            let found = read::timestamp(text).or_else(|| i64::from(read::date(text)?).checked_mul(NS_PER_DAY));
            found.ok_or_else(|| Fail::cast(format!("'{}' is no date or timestamp", shortened(text))))
        };
        match self.list[i].0 {
            Arg::Column(Column::Timestamp(a)) => Ok(a.value(row)),
            Arg::Column(Column::Date(a)) => of_days(a.value(row)),
            Arg::Column(Column::Str(a)) => of_text(a.value(row)),
            Arg::Column(_) => of_ms(self.exact(i).whole(row)),
            Arg::Const(Value::Timestamp(t)) => Ok(*t),
            Arg::Const(Value::Date(d)) => of_days(*d),
            Arg::Const(Value::Str(s)) => of_text(s),
            Arg::Const(_) => of_ms(self.exact(i).whole(row)),
        }
    }
}

/// One call over one batch.
pub struct Call<'a> {
    /// Rows in the batch.
    pub rows: usize,
    /// Result type.
    pub result: &'a DataType,
    /// The row context.
    pub context: RowContext<'a>,
    /// The arguments.
    pub args: Args<'a>,
    live: Option<&'a BooleanBuffer>,
    prepared: Option<&'a Prepared>,
    failures: Vec<Failure>,
    /// Values whose digits were rounded away.
    pub rounded: u64,
}

impl<'a> Call<'a> {
    /// A call; `live` are the rows that count, all without it.
    pub fn new(
        context: RowContext<'a>,
        args: &'a [(Arg<'a>, &'a DataType)],
        result: &'a DataType,
        live: Option<&'a BooleanBuffer>,
        prepared: Option<&'a Prepared>,
    ) -> Call<'a> {
        let rows = context.batch.rows;
        let args = Args { list: args, rows };
        Call { rows, result, context, args, live, prepared, failures: Vec::new(), rounded: 0 }
    }

    /// The rows that failed.
    pub fn into_failures(self) -> Vec<Failure> {
        self.failures
    }

    /// What `prepare` made of the constants.
    pub fn prepared<T: 'static>(&self) -> Option<&'a T> {
        self.prepared.and_then(|p| p.downcast_ref())
    }

    /// TRUE when the row counts.
    #[inline]
    pub fn is_live(&self, row: usize) -> bool {
        self.live.is_none_or(|live| live.value(row))
    }

    /// One value per live row; NULL elsewhere.
    fn lanes<T: Default>(&mut self, mut f: impl FnMut(usize) -> Outcome<T>) -> (Vec<T>, Option<NullBuffer>) {
        let mut valid: Option<Vec<bool>> = None;
        let mut values = Vec::with_capacity(self.rows);
        for row in 0..self.rows {
            let value = if self.is_live(row) { f(row) } else { Ok(None) };
            match value {
                Ok(Some(value)) => values.push(value),
                nothing => {
                    values.push(T::default());
                    valid.get_or_insert_with(|| vec![true; self.rows])[row] = false;
                    self.note(row, nothing.err());
                }
            }
        }
        (values, valid.map(NullBuffer::from))
    }

    fn note(&mut self, row: usize, fail: Option<Fail>) {
        if let Some(fail) = fail {
            self.failures.push(Failure { row, fail });
        }
    }

    /// An Integer, Interval or Time column.
    pub fn ints(&mut self, f: impl FnMut(usize) -> Outcome<i64>) -> Column {
        let (values, nulls) = self.lanes(f);
        Column::ints(values, nulls)
    }

    /// A Float column.
    pub fn floats(&mut self, f: impl FnMut(usize) -> Outcome<f64>) -> Column {
        let (values, nulls) = self.lanes(f);
        Column::floats(values, nulls)
    }

    /// A Boolean column.
    pub fn bools(&mut self, f: impl FnMut(usize) -> Outcome<bool>) -> Column {
        let (values, nulls) = self.lanes(f);
        Column::Bool(BooleanArray::new(BooleanBuffer::from(values), nulls))
    }

    /// A Timestamp column, ns.
    pub fn timestamps(&mut self, f: impl FnMut(usize) -> Outcome<i64>) -> Column {
        let (values, nulls) = self.lanes(f);
        Column::timestamps(values, nulls)
    }

    /// A Date column, days.
    pub fn dates(&mut self, f: impl FnMut(usize) -> Outcome<i32>) -> Column {
        let (values, nulls) = self.lanes(f);
        Column::Date(Date32Array::new(values.into(), nulls))
    }

    /// A decimal column of mantissas at `scale`.
    pub fn decimals(&mut self, scale: u8, f: impl FnMut(usize) -> Outcome<i128>) -> Column {
        let (values, nulls) = self.lanes(f);
        let narrow: Option<Vec<i64>> =
            if scale <= 18 { values.iter().map(|m| i64::try_from(*m).ok()).collect() } else { None };
        match narrow {
            Some(values) => Column::dec64(values, scale, nulls),
            None => Column::dec128(values, scale, nulls),
        }
    }

    /// A column of exact numbers: mantissas at `scale`, checked against the call's type. Integers are stored as such
    /// unless a fraction is left to store.
    pub fn exacts(&mut self, scale: u8, mut f: impl FnMut(usize) -> Outcome<i128>) -> Column {
        let out = self.result;
        let beyond = |m: i128| Fail::overflow(format!("{} is beyond the range of {out}", decimal::to_text(m, scale)));
        if *out == DataType::Integer && scale == 0 {
            return self.ints(|row| f(row)?.map(|m| i64::try_from(m).map_err(|_| beyond(m))).transpose());
        }
        self.decimals(scale, |row| f(row)?.map(|m| if decimal::fits(m) { Ok(m) } else { Err(beyond(m)) }).transpose())
    }

    /// A text column: `f` writes the row's text into an empty buffer and answers TRUE, or FALSE for NULL.
    pub fn texts(&mut self, mut f: impl FnMut(usize, &mut String) -> Result<bool, Fail>) -> Column {
        let mut built = StrBuilder::with_capacity(self.rows);
        let mut buffer = String::new();
        for row in 0..self.rows {
            buffer.clear();
            let written = if self.is_live(row) { f(row, &mut buffer) } else { Ok(false) };
            match written {
                Ok(true) => built.push_str(&buffer),
                nothing => {
                    built.push_null();
                    self.note(row, nothing.err());
                }
            }
        }
        Column::Str(built.finish())
    }

    /// A text column of pieces of argument number `i`: `f` answers which bytes of the row's text, or nothing for NULL.
    /// Long pieces share the buffers of the argument's column.
    pub fn pieces_of(&mut self, i: usize, mut f: impl FnMut(usize, &'a str) -> Outcome<Range<usize>>) -> Column {
        match self.args.text(i) {
            Texts::Many(column) => {
                let mut built = PieceBuilder::new(column);
                for row in 0..self.rows {
                    let range = if self.is_live(row) { f(row, column.value(row)) } else { Ok(None) };
                    match range {
                        Ok(Some(range)) => {
                            let whole = built.push(range.start, range.end);
                            debug_assert!(whole, "{range:?} cuts a character");
                        }
                        nothing => {
                            built.push_null();
                            self.note(row, nothing.err());
                        }
                    }
                }
                Column::Str(built.finish())
            }
            Texts::One(text) => self.texts(|row, out| {
                let piece = f(row, text)?.and_then(|range| text.get(range));
                out.push_str(piece.unwrap_or_default());
                Ok(piece.is_some())
            }),
        }
    }

    /// A Bytes column, written as [`Call::texts`] writes text.
    pub fn binaries(&mut self, mut f: impl FnMut(usize, &mut Vec<u8>) -> Result<bool, Fail>) -> Column {
        let mut built = BinaryViewBuilder::with_capacity(self.rows);
        let mut buffer = Vec::new();
        for row in 0..self.rows {
            buffer.clear();
            let written = if self.is_live(row) { f(row, &mut buffer) } else { Ok(false) };
            match written {
                Ok(true) => built.append_value(&buffer),
                nothing => {
                    built.append_null();
                    self.note(row, nothing.err());
                }
            }
        }
        Column::Bytes(built.finish())
    }
}

/// Text lanes.
#[derive(Clone, Copy)]
pub enum Texts<'a> {
    /// One per row.
    Many(&'a StringViewArray),
    /// The same in every row.
    One(&'a str),
}

impl<'a> Texts<'a> {
    /// The row's text.
    #[inline]
    pub fn at(&self, row: usize) -> &'a str {
        match self {
            Texts::Many(a) => a.value(row),
            Texts::One(text) => text,
        }
    }
}

/// Integer lanes.
#[derive(Clone)]
pub enum Ints<'a> {
    /// One per row.
    Many(Cow<'a, [i64]>),
    /// The same in every row.
    One(i64),
}

impl Ints<'_> {
    /// The row's integer.
    #[inline]
    pub fn at(&self, row: usize) -> i64 {
        match self {
            Ints::Many(values) => values[row],
            Ints::One(n) => *n,
        }
    }
}

/// Float lanes.
#[derive(Clone, Copy)]
pub enum Floats<'a> {
    /// One per row.
    Many(&'a [f64]),
    /// The same in every row.
    One(f64),
}

impl Floats<'_> {
    /// The row's float.
    #[inline]
    pub fn at(&self, row: usize) -> f64 {
        match self {
            Floats::Many(values) => values[row],
            Floats::One(x) => *x,
        }
    }
}

/// Exact numbers: mantissas of one scale, whatever column carries them.
#[derive(Clone, Copy)]
pub enum Exact<'a> {
    /// 64-bit mantissas.
    Narrow(&'a [i64], u8),
    /// 128-bit mantissas.
    Wide(&'a [i128], u8),
    /// The same in every row.
    One(i128, u8),
}

impl<'a> Exact<'a> {
    /// The argument's mantissas; 0 where it is no exact number.
    pub fn of(arg: Arg<'a>) -> Exact<'a> {
        match arg {
            Arg::Column(Column::Int(a)) => Exact::Narrow(a.values(), 0),
            Arg::Column(Column::Dec64(a)) => Exact::Narrow(a.values(), a.scale().max(0) as u8),
            Arg::Column(Column::Dec128(a)) => Exact::Wide(a.values(), a.scale().max(0) as u8),
            Arg::Const(Value::Int(n) | Value::Interval(n) | Value::Time(n)) => Exact::One(i128::from(*n), 0),
            Arg::Const(Value::Decimal { mantissa, scale }) => Exact::One(*mantissa, *scale),
            _ => Exact::One(0, 0),
        }
    }

    /// Digits after the point of every mantissa.
    pub fn scale(&self) -> u8 {
        match self {
            Exact::Narrow(_, s) | Exact::Wide(_, s) | Exact::One(_, s) => *s,
        }
    }

    /// The row's mantissa.
    #[inline]
    pub fn at(&self, row: usize) -> i128 {
        match self {
            Exact::Narrow(values, _) => i128::from(values[row]),
            Exact::Wide(values, _) => values[row],
            Exact::One(m, _) => *m,
        }
    }

    /// The row's whole part, truncated; saturated to 64 bits.
    pub fn whole(&self, row: usize) -> i64 {
        let whole = self.at(row) / decimal::pow10(self.scale());
        i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
    }
}

/// A value's text for a message: cut if it is long.
pub fn shortened(text: &str) -> Cow<'_, str> {
    const SHOWN: usize = 64;
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => Cow::Owned(format!("{}…", &text[..cut])),
        None => Cow::Borrowed(text),
    }
}
