//! Physical columns: Arrow arrays in a closed enum, so that a kernel's `match` is checked by the compiler.
//!
//! A column's physical kind may differ from batch to batch for one logical type: numbers widen `Int` → `Dec64` →
//! `Dec128` as records bring more digits, and a column nobody computes with may arrive as text. Kernels dispatch once
//! per batch.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal64Type, Decimal128Type, Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{
    Array, ArrayRef, BinaryViewArray, BooleanArray, Date32Array, Decimal64Array, Decimal128Array, Float64Array,
    Int64Array, StringViewArray, TimestampNanosecondArray,
};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use std::sync::Arc;

use crate::value::Value;

/// One column of a batch.
#[derive(Clone, Debug)]
pub enum Column {
    /// `n` NULLs of no particular type.
    Null(usize),
    /// Booleans as bits.
    Bool(BooleanArray),
    /// Integers; also Interval and Time in nanoseconds.
    Int(Int64Array),
    /// Floats.
    Float(Float64Array),
    /// Decimals with 64-bit mantissas; the array's type carries the physical scale.
    Dec64(Decimal64Array),
    /// Decimals with 128-bit mantissas; the array's type carries the physical scale.
    Dec128(Decimal128Array),
    /// Text; also JSON text, and numbers carried as their tokens.
    Str(StringViewArray),
    /// Raw bytes.
    Bytes(BinaryViewArray),
    /// Timestamps, nanoseconds.
    Timestamp(TimestampNanosecondArray),
    /// Days since the epoch.
    Date(Date32Array),
}

impl Column {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Column::Null(n) => *n,
            other => other.as_array().map_or(0, |a| a.len()),
        }
    }

    /// TRUE when the column has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The Arrow array behind the column; `Null` has none.
    pub fn as_array(&self) -> Option<&dyn Array> {
        Some(match self {
            Column::Null(_) => return None,
            Column::Bool(a) => a,
            Column::Int(a) => a,
            Column::Float(a) => a,
            Column::Dec64(a) => a,
            Column::Dec128(a) => a,
            Column::Str(a) => a,
            Column::Bytes(a) => a,
            Column::Timestamp(a) => a,
            Column::Date(a) => a,
        })
    }

    /// The column as an Arrow array, for the ports.
    pub fn to_arrow(&self) -> ArrayRef {
        match self {
            Column::Null(n) => Arc::new(arrow_array::NullArray::new(*n)),
            Column::Bool(a) => Arc::new(a.clone()),
            Column::Int(a) => Arc::new(a.clone()),
            Column::Float(a) => Arc::new(a.clone()),
            Column::Dec64(a) => Arc::new(a.clone()),
            Column::Dec128(a) => Arc::new(a.clone()),
            Column::Str(a) => Arc::new(a.clone()),
            Column::Bytes(a) => Arc::new(a.clone()),
            Column::Timestamp(a) => Arc::new(a.clone()),
            Column::Date(a) => Arc::new(a.clone()),
        }
    }

    /// Rebuilds the same kind of column from an array that a kernel derived from it.
    pub fn same_kind(&self, array: &ArrayRef) -> Column {
        match self {
            Column::Null(_) => Column::Null(array.len()),
            Column::Bool(_) => Column::Bool(array.as_boolean().clone()),
            Column::Int(_) => Column::Int(array.as_primitive::<Int64Type>().clone()),
            Column::Float(_) => Column::Float(array.as_primitive::<Float64Type>().clone()),
            Column::Dec64(_) => Column::Dec64(array.as_primitive::<Decimal64Type>().clone()),
            Column::Dec128(_) => Column::Dec128(array.as_primitive::<Decimal128Type>().clone()),
            Column::Str(_) => Column::Str(array.as_string_view().clone()),
            Column::Bytes(_) => Column::Bytes(array.as_binary_view().clone()),
            Column::Timestamp(_) => Column::Timestamp(array.as_primitive::<TimestampNanosecondType>().clone()),
            Column::Date(_) => Column::Date(array.as_primitive::<Date32Type>().clone()),
        }
    }

    /// Validity bits; `None` when every row is valid. `Null` answers with all-null bits.
    pub fn nulls(&self) -> Option<NullBuffer> {
        match self {
            Column::Null(n) => Some(NullBuffer::new_null(*n)),
            other => other.as_array().and_then(|a| a.nulls().cloned()),
        }
    }

    /// TRUE when row `i` is NULL.
    #[inline]
    pub fn is_null(&self, i: usize) -> bool {
        match self {
            Column::Null(_) => true,
            Column::Bool(a) => a.is_null(i),
            Column::Int(a) => a.is_null(i),
            Column::Float(a) => a.is_null(i),
            Column::Dec64(a) => a.is_null(i),
            Column::Dec128(a) => a.is_null(i),
            Column::Str(a) => a.is_null(i),
            Column::Bytes(a) => a.is_null(i),
            Column::Timestamp(a) => a.is_null(i),
            Column::Date(a) => a.is_null(i),
        }
    }

    /// Rows `start .. start + len`, sharing memory.
    pub fn slice(&self, start: usize, len: usize) -> Column {
        match self {
            Column::Null(n) => {
                assert!(start + len <= *n, "slice past the end of a NULL column");
                Column::Null(len)
            }
            Column::Bool(a) => Column::Bool(a.slice(start, len)),
            Column::Int(a) => Column::Int(a.slice(start, len)),
            Column::Float(a) => Column::Float(a.slice(start, len)),
            Column::Dec64(a) => Column::Dec64(a.slice(start, len)),
            Column::Dec128(a) => Column::Dec128(a.slice(start, len)),
            Column::Str(a) => Column::Str(a.slice(start, len)),
            Column::Bytes(a) => Column::Bytes(a.slice(start, len)),
            Column::Timestamp(a) => Column::Timestamp(a.slice(start, len)),
            Column::Date(a) => Column::Date(a.slice(start, len)),
        }
    }

    /// Keeps the rows the filter selects. Build the filter once per batch and use it for every column.
    pub fn filter(&self, filter: &arrow_select::filter::FilterPredicate) -> Column {
        match self.as_array() {
            None => Column::Null(filter.count()),
            Some(a) => match filter.filter(a) {
                Ok(kept) => self.same_kind(&kept),
                Err(e) => unreachable!("filter lengths are equal within a batch: {e}"),
            },
        }
    }

    /// Picks rows by index; indices must be below `len()`.
    pub fn take(&self, indices: &[u32]) -> Column {
        let Some(a) = self.as_array() else { return Column::Null(indices.len()) };
        let indices = arrow_array::UInt32Array::new(ScalarBuffer::from(indices.to_vec()), None);
        match arrow_select::take::take(a, &indices, None) {
            Ok(taken) => self.same_kind(&taken),
            Err(e) => unreachable!("take indices are within the batch: {e}"),
        }
    }

    /// Picks rows by index; an index of `u32::MAX` gives NULL, all others must be below `len()`.
    pub fn take_or_null(&self, indices: &[u32]) -> Column {
        let Some(a) = self.as_array() else { return Column::Null(indices.len()) };
        let indices: arrow_array::UInt32Array = indices.iter().map(|i| (*i != u32::MAX).then_some(*i)).collect();
        match arrow_select::take::take(a, &indices, None) {
            Ok(taken) => self.same_kind(&taken),
            Err(e) => unreachable!("take indices are within the batch: {e}"),
        }
    }

    /// Text of row `i`, if the column is text and the row is not NULL.
    #[inline]
    pub fn str_at(&self, i: usize) -> Option<&str> {
        match self {
            Column::Str(a) if !a.is_null(i) => Some(a.value(i)),
            _ => None,
        }
    }

    /// Scalar of row `i`. For people, tests and oracles; far too slow for a hot loop.
    pub fn value(&self, i: usize) -> Value {
        if self.is_null(i) {
            return Value::Null;
        }
        match self {
            Column::Null(_) => Value::Null,
            Column::Bool(a) => Value::Bool(a.value(i)),
            Column::Int(a) => Value::Int(a.value(i)),
            Column::Float(a) => Value::Float(a.value(i)),
            Column::Dec64(a) => Value::Decimal { mantissa: i128::from(a.value(i)), scale: a.scale().max(0) as u8 },
            Column::Dec128(a) => Value::Decimal { mantissa: a.value(i), scale: a.scale().max(0) as u8 },
            Column::Str(a) => Value::Str(a.value(i).into()),
            Column::Bytes(a) => Value::Bytes(a.value(i).into()),
            Column::Timestamp(a) => Value::Timestamp(a.value(i)),
            Column::Date(a) => Value::Date(a.value(i)),
        }
    }

    /// Integers from a plain vector.
    pub fn ints(values: Vec<i64>, nulls: Option<NullBuffer>) -> Column {
        Column::Int(Int64Array::new(values.into(), nulls))
    }

    /// Floats from a plain vector.
    pub fn floats(values: Vec<f64>, nulls: Option<NullBuffer>) -> Column {
        Column::Float(Float64Array::new(values.into(), nulls))
    }

    /// 64-bit decimals of one physical scale.
    pub fn dec64(values: Vec<i64>, scale: u8, nulls: Option<NullBuffer>) -> Column {
        let ty = arrow_schema::DataType::Decimal64(18, scale.min(18) as i8);
        debug_assert!(scale <= 18);
        Column::Dec64(Decimal64Array::new(values.into(), nulls).with_data_type(ty))
    }

    /// 128-bit decimals of one physical scale.
    pub fn dec128(values: Vec<i128>, scale: u8, nulls: Option<NullBuffer>) -> Column {
        let ty = arrow_schema::DataType::Decimal128(38, scale.min(38) as i8);
        debug_assert!(scale <= 38);
        Column::Dec128(Decimal128Array::new(values.into(), nulls).with_data_type(ty))
    }

    /// Timestamps in nanoseconds from a plain vector.
    pub fn timestamps(values: Vec<i64>, nulls: Option<NullBuffer>) -> Column {
        Column::Timestamp(TimestampNanosecondArray::new(values.into(), nulls))
    }

    /// Text copied from `values`; for tests, literals and cold paths.
    pub fn strs<S: AsRef<str>>(values: impl IntoIterator<Item = Option<S>>) -> Column {
        Column::Str(values.into_iter().collect())
    }

    /// `len` copies of `value`, which must fit the physical kind its type has by default.
    pub fn repeat(value: &Value, len: usize) -> Column {
        match value {
            Value::Null => Column::Null(len),
            Value::Bool(b) => Column::Bool(BooleanArray::from(vec![*b; len])),
            Value::Int(i) | Value::Interval(i) | Value::Time(i) => Column::ints(vec![*i; len], None),
            Value::Float(x) => Column::floats(vec![*x; len], None),
            Value::Decimal { mantissa, scale } => match i64::try_from(*mantissa) {
                Ok(m) if *scale <= 18 => Column::dec64(vec![m; len], *scale, None),
                _ => Column::dec128(vec![*mantissa; len], *scale, None),
            },
            Value::Str(s) | Value::Json(s) => Column::strs(std::iter::repeat_n(Some(s.as_ref()), len)),
            Value::Bytes(b) => Column::Bytes(std::iter::repeat_n(Some(b.as_ref()), len).collect()),
            Value::Timestamp(t) => Column::timestamps(vec![*t; len], None),
            Value::Date(d) => Column::Date(Date32Array::new(vec![*d; len].into(), None)),
        }
    }

    /// Rough bytes of memory the column keeps alive on its own, for budgets.
    pub fn bytes(&self) -> usize {
        match self {
            Column::Null(_) => 0,
            Column::Bool(a) => a.len() / 8 + 1,
            Column::Date(a) => a.len() * 4,
            Column::Int(_) | Column::Float(_) | Column::Dec64(_) | Column::Timestamp(_) => self.len() * 8,
            Column::Dec128(_) | Column::Str(_) | Column::Bytes(_) => self.len() * 16,
        }
    }
}
