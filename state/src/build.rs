//! Builds one column value by value, for what leaves the state: decoded keys and finished aggregates.
//!
//! The logical type says which physical kind to begin with; values may widen it the way batches do (Integer to
//! decimal, decimals to more digits), never narrow it. A decimal column gets the type's scale, or as many more digits
//! as its values need, so a value prints the same whatever stood beside it. Cost: one `match` a value.

use arrow_array::{BooleanArray, Date32Array};
use arrow_buffer::{NullBuffer, NullBufferBuilder};
use velostream_types::{Column, DataType, StrBuilder, Value, decimal};

/// One column under construction.
#[derive(Debug)]
pub struct ColumnBuilder {
    data_type: DataType,
    data: Data,
    valid: NullBufferBuilder,
    /// A value other than NULL was pushed: the physical kind is settled.
    settled: bool,
}

#[derive(Debug)]
enum Data {
    Int(Vec<i64>),
    Dec(Vec<(i128, u8)>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Str(StrBuilder),
    Bytes(Vec<Option<Box<[u8]>>>),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Dec,
    Float,
    Bool,
    Str,
    Bytes,
    Date,
    Timestamp,
}

impl Data {
    fn kind(&self) -> Kind {
        match self {
            Data::Int(_) => Kind::Int,
            Data::Dec(_) => Kind::Dec,
            Data::Float(_) => Kind::Float,
            Data::Bool(_) => Kind::Bool,
            Data::Str(_) => Kind::Str,
            Data::Bytes(_) => Kind::Bytes,
            Data::Date(_) => Kind::Date,
            Data::Timestamp(_) => Kind::Timestamp,
        }
    }

    /// `nulls` NULLs of a kind.
    fn empty(kind: Kind, nulls: usize) -> Data {
        match kind {
            Kind::Int => Data::Int(vec![0; nulls]),
            Kind::Dec => Data::Dec(vec![(0, 0); nulls]),
            Kind::Float => Data::Float(vec![0.0; nulls]),
            Kind::Bool => Data::Bool(vec![false; nulls]),
            Kind::Str => {
                let mut text = StrBuilder::default();
                (0..nulls).for_each(|_| text.push_null());
                Data::Str(text)
            }
            Kind::Bytes => Data::Bytes(vec![None; nulls]),
            Kind::Date => Data::Date(vec![0; nulls]),
            Kind::Timestamp => Data::Timestamp(vec![0; nulls]),
        }
    }
}

impl ColumnBuilder {
    /// An empty column of this logical type.
    pub fn new(data_type: &DataType) -> ColumnBuilder {
        let kind = match data_type {
            DataType::Null | DataType::Integer | DataType::Time | DataType::Interval => Kind::Int,
            DataType::Decimal { .. } => Kind::Dec,
            DataType::Float => Kind::Float,
            DataType::Boolean => Kind::Bool,
            DataType::String | DataType::Json | DataType::Array(_) | DataType::Map(_) | DataType::Struct(_) => {
                Kind::Str
            }
            DataType::Bytes => Kind::Bytes,
            DataType::Date => Kind::Date,
            DataType::Timestamp => Kind::Timestamp,
        };
        ColumnBuilder {
            data_type: data_type.clone(),
            data: Data::empty(kind, 0),
            valid: NullBufferBuilder::new(0),
            settled: false,
        }
    }

    /// Values so far.
    pub fn len(&self) -> usize {
        self.valid.len()
    }

    /// TRUE when nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        self.valid.append_null();
        match &mut self.data {
            Data::Int(v) | Data::Timestamp(v) => v.push(0),
            Data::Dec(v) => v.push((0, 0)),
            Data::Float(v) => v.push(0.0),
            Data::Bool(v) => v.push(false),
            Data::Str(b) => b.push_null(),
            Data::Bytes(v) => v.push(None),
            Data::Date(v) => v.push(0),
        }
    }

    /// Appends an integer.
    #[inline]
    pub fn push_int(&mut self, value: i64) {
        if self.settled
            && let Data::Int(v) = &mut self.data
        {
            v.push(value);
            return self.valid.append_non_null();
        }
        self.push_other(&Value::Int(value));
    }

    /// Appends a decimal.
    #[inline]
    pub fn push_decimal(&mut self, mantissa: i128, scale: u8) {
        if self.settled
            && let Data::Dec(v) = &mut self.data
        {
            v.push((mantissa, scale));
            return self.valid.append_non_null();
        }
        self.push_other(&Value::Decimal { mantissa, scale });
    }

    /// Appends text.
    #[inline]
    pub fn push_str(&mut self, text: &str) {
        if !self.settled {
            self.settle(Kind::Str);
        }
        match &mut self.data {
            Data::Str(b) => {
                b.push_str(text);
                self.valid.append_non_null();
            }
            // A number carried as its token.
            _ => match decimal::from_text(text).or_else(|| decimal::from_exponent_text(text)) {
                Some((mantissa, scale)) => self.push_decimal(mantissa, scale),
                None => self.push_null(),
            },
        }
    }

    /// Appends any value. A value that no widening brings into the column becomes NULL.
    pub fn push_value(&mut self, value: &Value) {
        match value {
            Value::Null => self.push_null(),
            Value::Str(s) | Value::Json(s) => self.push_str(s),
            other => self.push_other(other),
        }
    }

    fn push_other(&mut self, value: &Value) {
        if !self.settled {
            self.settle(kind_of(value));
        }
        self.widen(value);
        match (&mut self.data, value) {
            (Data::Int(v) | Data::Timestamp(v), Value::Int(x) | Value::Interval(x) | Value::Time(x)) => v.push(*x),
            (Data::Int(v), Value::Decimal { mantissa, .. }) => v.push(*mantissa as i64),
            (Data::Dec(v), Value::Int(x)) => v.push((i128::from(*x), 0)),
            (Data::Dec(v), Value::Decimal { mantissa, scale }) => v.push((*mantissa, *scale)),
            (Data::Float(v), Value::Int(x)) => v.push(*x as f64),
            (Data::Float(v), Value::Decimal { mantissa, scale }) => v.push(decimal::to_float(*mantissa, *scale)),
            (Data::Float(v), Value::Float(x)) => v.push(*x),
            (Data::Bool(v), Value::Bool(x)) => v.push(*x),
            (Data::Bytes(v), Value::Bytes(x)) => v.push(Some(x.clone())),
            (Data::Date(v), Value::Date(x)) => v.push(*x),
            (Data::Timestamp(v), Value::Timestamp(x)) => v.push(*x),
            (Data::Str(b), x) => b.push_str(&x.to_string()),
            _ => return self.push_null(),
        }
        self.valid.append_non_null();
    }

    /// The first value decides the physical kind where the type left a choice.
    fn settle(&mut self, kind: Kind) {
        self.settled = true;
        let keeps = match (&self.data_type, kind) {
            (DataType::Null, _) => self.data.kind() == kind,
            (DataType::Float | DataType::Decimal { .. }, Kind::Int | Kind::Dec | Kind::Str) => true,
            (DataType::Integer, Kind::Str) => true,
            (DataType::Timestamp, Kind::Int) => true,
            _ => self.data.kind() == kind,
        };
        if !keeps {
            self.data = Data::empty(kind, self.valid.len());
        }
    }

    /// Integers become decimals, exact numbers floats, when a value asks for it.
    fn widen(&mut self, value: &Value) {
        match (&mut self.data, value) {
            (Data::Int(v), Value::Decimal { mantissa, scale }) if *scale > 0 || i64::try_from(*mantissa).is_err() => {
                self.data = Data::Dec(v.iter().map(|x| (i128::from(*x), 0)).collect());
            }
            (Data::Int(v), Value::Float(_)) => self.data = Data::Float(v.iter().map(|x| *x as f64).collect()),
            (Data::Dec(v), Value::Float(_)) => {
                self.data = Data::Float(v.iter().map(|(m, s)| decimal::to_float(*m, *s)).collect());
            }
            _ => {}
        }
    }

    /// The column.
    pub fn finish(mut self) -> Column {
        let nulls = self.valid.finish();
        if self.data_type == DataType::Null && !self.settled {
            return Column::Null(nulls.map_or(0, |n| n.len()));
        }
        match self.data {
            Data::Int(v) => Column::ints(v, nulls),
            Data::Dec(v) => decimals(&v, self.data_type.exact_scale().unwrap_or(0), nulls),
            Data::Float(v) => Column::floats(v, nulls),
            Data::Bool(v) => Column::Bool(BooleanArray::new(v.into(), nulls)),
            Data::Str(mut b) => Column::Str(b.finish()),
            Data::Bytes(v) => Column::Bytes(v.into_iter().collect()),
            Data::Date(v) => Column::Date(Date32Array::new(v.into(), nulls)),
            Data::Timestamp(v) => Column::timestamps(v, nulls),
        }
    }
}

fn kind_of(value: &Value) -> Kind {
    match value {
        Value::Null | Value::Int(_) | Value::Time(_) | Value::Interval(_) => Kind::Int,
        Value::Bool(_) => Kind::Bool,
        Value::Float(_) => Kind::Float,
        Value::Decimal { .. } => Kind::Dec,
        Value::Str(_) | Value::Json(_) => Kind::Str,
        Value::Bytes(_) => Kind::Bytes,
        Value::Date(_) => Kind::Date,
        Value::Timestamp(_) => Kind::Timestamp,
    }
}

/// Decimals brought to one scale: `least`, or as many more digits as they need.
fn decimals(values: &[(i128, u8)], least: u8, nulls: Option<NullBuffer>) -> Column {
    let mut scale = values.iter().map(|(m, s)| if *s > least { decimal::strip(*m, *s, least).1 } else { least }).max();
    // 38 digits may not hold the longest fraction and the greatest number at once: fractions give way.
    let (scale, values) = loop {
        let at = scale.unwrap_or(least);
        let brought: Option<Vec<i128>> = values.iter().map(|(m, s)| decimal::rescale(*m, *s, at)).collect();
        match brought {
            Some(brought) => break (at, brought),
            None if at == 0 => break (0, values.iter().map(|(m, _)| *m).collect()),
            None => scale = Some(at - 1),
        }
    };
    if scale <= 18 && values.iter().all(|m| i64::try_from(*m).is_ok()) {
        return Column::dec64(values.iter().map(|m| *m as i64).collect(), scale, nulls);
    }
    Column::dec128(values, scale, nulls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(data_type: DataType, values: &[Value], expect: &[Value]) {
        let mut b = ColumnBuilder::new(&data_type);
        values.iter().for_each(|v| b.push_value(v));
        let column = b.finish();
        let got: Vec<Value> = (0..column.len()).map(|i| column.value(i)).collect();
        assert_eq!(got, expect, "{data_type}");
    }

    fn dec(mantissa: i128, scale: u8) -> Value {
        Value::Decimal { mantissa, scale }
    }

    #[test]
    fn columns_widen_as_values_need() {
        check(DataType::Integer, &[Value::Null, Value::Int(3)], &[Value::Null, Value::Int(3)]);
        check(DataType::Integer, &[Value::Int(3), dec(25, 1)], &[dec(30, 1), dec(25, 1)]);
        check(DataType::decimal(2), &[Value::Int(3), dec(2500, 3)], &[dec(300, 2), dec(250, 2)]);
        check(DataType::decimal(2), &[dec(1, 3)], &[dec(1, 3)]);
        check(DataType::Float, &[Value::Int(3), dec(25, 1)], &[Value::Float(3.0), Value::Float(2.5)]);
        check(DataType::Null, &[Value::Null, Value::Null], &[Value::Null, Value::Null]);
        check(DataType::Null, &[Value::Null, Value::Bool(true)], &[Value::Null, Value::Bool(true)]);
        check(DataType::String, &[Value::Str("a".into()), Value::Null], &[Value::Str("a".into()), Value::Null]);
        check(DataType::decimal(1), &[Value::Str("2.5".into())], &[dec(25, 1)]);
        check(DataType::Date, &[Value::Date(4)], &[Value::Date(4)]);
        check(
            DataType::Bytes,
            &[Value::Null, Value::Bytes([1, 2].into())],
            &[Value::Null, Value::Bytes([1, 2].into())],
        );
    }

    #[test]
    fn fractions_give_way_to_great_numbers() {
        check(DataType::decimal(0), &[dec(decimal::MAX, 0), dec(15, 1)], &[dec(decimal::MAX, 0), dec(2, 0)]);
    }
}
