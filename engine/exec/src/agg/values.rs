//! Multisets of values, and what is read from them: DISTINCT of any aggregate, percentiles, sets, histograms, the n
//! greatest; over relations that change, the extremes too.
//!
//! Numbers, times and booleans are held inline in 24 bytes, equal ones in one form whatever scale they came with; texts,
//! bytes and combinations of columns as bytes. NULL is not held. Cost per row: see [`super::bag`].

use std::cmp::Ordering;

use velostream_functions::AggregateFn;
use velostream_functions::json;
use velostream_state::build::ColumnBuilder;
use velostream_state::key::KeyEncoder;
use velostream_types::{Column, DataType, Value, decimal};

use super::bag::{Bag, Item, split};
use super::call::CallPlan;
use super::extreme::{bytes_order, compare};
use super::moments::Sums;
use super::numbers::{Mantissas, Numbers, decode};
use super::sum;
use super::wide::Wide;

/// An exact number without zeros at its end, or the code of a float; equal values are equal in all parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Num {
    high: i64,
    low: u64,
    scale: u8,
}

impl Num {
    fn new(mantissa: i128, scale: u8) -> Num {
        let (mantissa, scale) = decimal::strip(mantissa, scale, 0);
        Num { high: (mantissa >> 64) as i64, low: mantissa as u64, scale }
    }

    fn mantissa(&self) -> i128 {
        (i128::from(self.high) << 64) | i128::from(self.low)
    }

    fn value(&self, data_type: &DataType) -> Value {
        let mantissa = self.mantissa();
        match (data_type, self.scale) {
            (DataType::Float, _) => Value::Float(decode(mantissa as i64)),
            (DataType::Timestamp, _) => Value::Timestamp(mantissa as i64),
            (DataType::Date, _) => Value::Date(mantissa as i32),
            (DataType::Time, _) => Value::Time(mantissa as i64),
            (DataType::Interval, _) => Value::Interval(mantissa as i64),
            (DataType::Boolean, _) => Value::Bool(mantissa != 0),
            (DataType::Integer, 0) => match i64::try_from(mantissa) {
                Ok(i) => Value::Int(i),
                Err(_) => Value::Decimal { mantissa, scale: 0 },
            },
            (_, scale) => Value::Decimal { mantissa, scale },
        }
    }

    fn float(&self, data_type: &DataType) -> f64 {
        match data_type {
            DataType::Float => decode(self.mantissa() as i64),
            _ => decimal::to_float(self.mantissa(), self.scale),
        }
    }
}

impl Ord for Num {
    fn cmp(&self, other: &Num) -> Ordering {
        compare(self.mantissa(), u32::from(self.scale), other.mantissa(), u32::from(other.scale))
    }
}

impl PartialOrd for Num {
    fn partial_cmp(&self, other: &Num) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Item for Num {
    fn heap(&self) -> usize {
        0
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.push(self.scale);
        out.extend_from_slice(&self.mantissa().to_le_bytes());
    }

    fn load(bytes: &mut &[u8]) -> Option<Num> {
        let [scale] = split::<1>(bytes)?;
        let mantissa = i128::from_le_bytes(split(bytes)?);
        (scale <= 38).then(|| Num::new(mantissa, scale))
    }
}

impl Item for Box<[u8]> {
    fn heap(&self) -> usize {
        self.len()
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.len() as u32).to_le_bytes());
        out.extend_from_slice(self);
    }

    fn load(bytes: &mut &[u8]) -> Option<Box<[u8]>> {
        let len = u32::from_le_bytes(split(bytes)?) as usize;
        let (head, rest) = bytes.split_at_checked(len)?;
        *bytes = rest;
        Some(head.into())
    }
}

/// A result left the range of its type.
#[derive(Debug)]
pub(super) struct OutOfRange;

#[derive(Debug)]
enum Held {
    Numbers(Bag<Num>),
    Bytes(Bag<Box<[u8]>>),
}

/// Runs `$body` with the bag, whatever it holds.
macro_rules! bag {
    ($held:expr, $bag:ident => $body:expr) => {
        match $held {
            Held::Numbers($bag) => $body,
            Held::Bytes($bag) => $body,
        }
    };
}

/// The values of every group.
#[derive(Debug)]
pub(super) struct Values {
    held: Held,
    data_type: DataType,
    /// Makes bytes of several columns.
    encoder: Option<KeyEncoder>,
}

impl Values {
    /// Values of these columns; see [`Bag::new`] for `keep`.
    pub(super) fn new(types: &[DataType], keep: Option<(u32, bool)>) -> Values {
        let data_type = types.first().cloned().unwrap_or(DataType::Null);
        // The greatest by their bytes are not those of a nested type, so all of them are kept.
        let keep = keep.filter(|_| !data_type.is_nested());
        let is_text = matches!(data_type, DataType::String | DataType::Bytes) || data_type.is_nested();
        let held = if is_text || types.len() > 1 { Held::Bytes(Bag::new(keep)) } else { Held::Numbers(Bag::new(keep)) };
        Values { held, data_type, encoder: (types.len() > 1).then(KeyEncoder::new) }
    }

    pub(super) fn grow(&mut self, groups: usize) {
        bag!(&mut self.held, bag => bag.grow(groups));
    }

    /// Folds rows in which all columns have a value; row `i` belongs to group `groups[i]`.
    pub(super) fn update(&mut self, groups: &[u32], columns: &[Column], weights: Option<&[i8]>) {
        let rows = groups.iter().enumerate().map(|(row, group)| (*group, row));
        let rows = rows.filter(|(_, row)| columns.iter().all(|c| !c.is_null(*row)));
        let times = |row: usize| weights.map_or(1, |w| i64::from(w[row]));
        match (&mut self.held, &mut self.encoder, columns) {
            (Held::Bytes(bag), Some(encoder), _) => {
                let keys = encoder.encode(&columns.iter().collect::<Vec<_>>(), groups.len());
                rows.for_each(|(group, row)| bag.add(group, keys.key(row).into(), times(row)));
            }
            (Held::Bytes(bag), None, [Column::Str(a)]) => {
                rows.for_each(|(group, row)| bag.add(group, a.value(row).as_bytes().into(), times(row)));
            }
            (Held::Bytes(bag), None, [Column::Bytes(a)]) => {
                rows.for_each(|(group, row)| bag.add(group, a.value(row).into(), times(row)));
            }
            (Held::Numbers(bag), _, [column]) => {
                let numbers = match self.data_type {
                    DataType::Float => Numbers::float_codes(column),
                    _ => Numbers::exact(column),
                };
                let Some(numbers) = numbers else { return };
                let valid = |row: usize| numbers.nulls.as_ref().is_none_or(|n| n.is_valid(row));
                for (group, row) in rows.filter(|(_, row)| valid(*row)) {
                    let mantissa = match &numbers.values {
                        Mantissas::Narrow(v) => i128::from(v[row]),
                        Mantissas::Wide(v) => v[row],
                    };
                    bag.add(group, Num::new(mantissa, numbers.scale), times(row));
                }
            }
            _ => {}
        }
    }

    /// Adds partial values: `[bytes]`.
    pub(super) fn merge(&mut self, groups: &[u32], start: usize, column: &Column) {
        let Column::Bytes(bytes) = column else { return };
        for (i, group) in groups.iter().enumerate() {
            bag!(&mut self.held, bag => bag.merge(*group, bytes.value(start + i)));
        }
    }

    pub(super) fn partial(&self, groups: &[u32], out: &mut Vec<Column>) {
        let bytes = |group: &u32| Some(bag!(&self.held, bag => bag.save(*group)));
        out.push(Column::Bytes(groups.iter().map(bytes).collect()));
    }

    pub(super) fn accepts(&self, column: &Column) -> bool {
        let Column::Bytes(bytes) = column else { return false };
        bytes.iter().all(|b| {
            b.is_some_and(|b| match self.held {
                Held::Numbers(_) => Bag::<Num>::readable(b),
                Held::Bytes(_) => Bag::<Box<[u8]>>::readable(b),
            })
        })
    }

    pub(super) fn settle(&mut self, group: u32) {
        bag!(&mut self.held, bag => bag.settle(group));
    }

    pub(super) fn clear(&mut self, group: u32) {
        bag!(&mut self.held, bag => bag.clear(group));
    }

    pub(super) fn release(&mut self) {
        bag!(&mut self.held, bag => bag.release());
    }

    pub(super) fn bytes(&self) -> usize {
        bag!(&self.held, bag => bag.bytes())
    }

    /// Values with how often each counts, ascending.
    fn listed(&self, group: u32, distinct: bool) -> Vec<(Value, i64)> {
        let times = |count: i64| if distinct { 1 } else { count };
        match &self.held {
            Held::Numbers(bag) => bag.entries(group).map(|(k, n)| (k.value(&self.data_type), times(n))).collect(),
            Held::Bytes(bag) => {
                let mut entries: Vec<_> = bag.entries(group).collect();
                if self.data_type.is_nested() {
                    entries.sort_by(|(a, _), (b, _)| bytes_order(a, b, &self.data_type));
                }
                entries.into_iter().map(|(k, n)| (self.of_bytes(k), times(n))).collect()
            }
        }
    }

    fn of_bytes(&self, bytes: &[u8]) -> Value {
        match (&self.data_type, std::str::from_utf8(bytes)) {
            (DataType::Bytes, _) | (_, Err(_)) => Value::Bytes(bytes.into()),
            (nested, Ok(text)) if nested.is_nested() => Value::Json(text.into()),
            (_, Ok(text)) => Value::Str(text.into()),
        }
    }

    /// Result of a call over a settled group; `Err` when it left the range of its type.
    pub(super) fn result(&self, call: &CallPlan, group: u32) -> Result<Value, OutOfRange> {
        use AggregateFn::*;
        let ends = |last: bool| {
            let entry = match &self.held {
                Held::Numbers(bag) => {
                    let mut entries = bag.entries(group);
                    let end = if last { entries.next_back() } else { entries.next() };
                    end.map(|(k, _)| k.value(&self.data_type))
                }
                Held::Bytes(bag) => {
                    let mut entries = bag.entries(group).map(|(k, _)| &**k);
                    let order = |a: &&[u8], b: &&[u8]| bytes_order(a, b, &self.data_type);
                    let end = match (self.data_type.is_nested(), last) {
                        (true, true) => entries.max_by(order),
                        (true, false) => entries.min_by(order),
                        (false, true) => entries.next_back(),
                        (false, false) => entries.next(),
                    };
                    end.map(|k| self.of_bytes(k))
                }
            };
            entry.unwrap_or(Value::Null)
        };
        Ok(match call.function {
            Count => Value::Int(bag!(&self.held, bag => bag.entries(group).count()) as i64),
            Min => ends(false),
            Max => ends(true),
            Sum | Avg => return self.sum(call, group),
            VarSamp | VarPop | StddevSamp | StddevPop => self.spread(call.function, group),
            PercentileCont | PercentileDisc => self.percentile(call, group),
            CollectSet | TopK | Histogram => self.collection(call, group),
            _ => Value::Null,
        })
    }

    /// SUM or AVG of the different values.
    fn sum(&self, call: &CallPlan, group: u32) -> Result<Value, OutOfRange> {
        let Held::Numbers(bag) = &self.held else { return Ok(Value::Null) };
        let mut values = bag.entries(group).map(|(k, _)| k);
        let count = values.clone().count();
        let average = call.function == AggregateFn::Avg;
        if count == 0 {
            return Ok(Value::Null);
        }
        let share = if average { count as f64 } else { 1.0 };
        if self.data_type == DataType::Float {
            return Ok(Value::Float(values.map(|k| k.float(&self.data_type)).sum::<f64>() / share));
        }
        let scale = values.clone().map(|k| k.scale).max().unwrap_or(0);
        let wide = |k: &Num| Wide::new(k.mantissa(), 0).scale_up(scale - k.scale);
        let total = values.try_fold(Wide::new(0, 0), |sum, k| sum.plus(wide(k)?)).ok_or(OutOfRange)?;
        let exact = match (average, &call.result) {
            (_, DataType::Float) => {
                return Ok(Value::Float(total.to_float() / decimal::pow10(scale) as f64 / share));
            }
            (true, result) => {
                let to = result.exact_scale().unwrap_or(0);
                total.average(count as u64, scale, to).map(|mantissa| (mantissa, to))
            }
            (false, result) => sum::in_type(total, scale, result),
        };
        let (mantissa, scale) = exact.ok_or(OutOfRange)?;
        Ok(match (&call.result, i64::try_from(mantissa)) {
            (DataType::Integer, Ok(sum)) if scale == 0 => Value::Int(sum),
            _ => Value::Decimal { mantissa, scale },
        })
    }

    fn spread(&self, function: AggregateFn, group: u32) -> Value {
        let Held::Numbers(bag) = &self.held else { return Value::Null };
        let values = bag.entries(group).map(|(k, _)| k);
        let sums = match self.data_type {
            DataType::Float => Sums::of_floats(values.map(|k| k.float(&DataType::Float))),
            _ => Sums::of_exact(values.map(|k| (k.mantissa(), k.scale))),
        };
        sums.value(function).map_or(Value::Null, Value::Float)
    }

    fn percentile(&self, call: &CallPlan, group: u32) -> Value {
        let counts: Vec<i64> = bag!(&self.held, bag => bag.entries(group).map(|(_, n)| n).collect());
        let times = |count: i64| if call.distinct { 1 } else { count };
        let total: i64 = counts.iter().map(|n| times(*n)).sum();
        if total == 0 {
            return Value::Null;
        }
        let (p, scale) = match call.parameter {
            Some(Value::Decimal { mantissa, scale }) => (mantissa, scale),
            _ => return Value::Null,
        };
        let one = decimal::pow10(scale);
        // Position in the asked direction, counted from 0.
        let at = |position: i128| {
            let position = if call.descending { i128::from(total) - 1 - position } else { position };
            let mut left = position;
            let index = counts.iter().position(|n| {
                left -= i128::from(times(*n));
                left < 0
            });
            index.unwrap_or(counts.len() - 1)
        };
        if call.function == AggregateFn::PercentileDisc {
            let wanted = p * i128::from(total);
            let rank = wanted / one + i128::from(wanted % one != 0);
            return self.nth(group, at(rank.max(1) - 1));
        }
        let wanted = p * (i128::from(total) - 1);
        let (whole, rest) = (wanted / one, wanted % one);
        let low = self.nth_float(group, at(whole));
        if rest == 0 {
            return Value::Float(low);
        }
        let high = self.nth_float(group, at(whole + 1));
        Value::Float(low + (high - low) * (rest as f64 / one as f64))
    }

    fn nth(&self, group: u32, index: usize) -> Value {
        match &self.held {
            Held::Numbers(bag) => bag.entries(group).nth(index).map(|(k, _)| k.value(&self.data_type)),
            Held::Bytes(bag) => bag.entries(group).nth(index).map(|(k, _)| self.of_bytes(k)),
        }
        .unwrap_or(Value::Null)
    }

    fn nth_float(&self, group: u32, index: usize) -> f64 {
        match &self.held {
            Held::Numbers(bag) => bag.entries(group).nth(index).map_or(0.0, |(k, _)| k.float(&self.data_type)),
            Held::Bytes(_) => 0.0,
        }
    }

    fn collection(&self, call: &CallPlan, group: u32) -> Value {
        let listed = self.listed(group, call.distinct);
        if listed.is_empty() {
            return Value::Null;
        }
        let mut text = String::new();
        if call.function == AggregateFn::Histogram {
            return self.histogram(&listed);
        }
        let most = match call.parameter {
            Some(Value::Int(n)) => n as usize,
            _ => usize::MAX,
        };
        let mut push = |value: &Value| {
            text.push(if text.is_empty() { '[' } else { ',' });
            json::push_value(value, &self.data_type, &mut text);
        };
        if call.function == AggregateFn::TopK {
            let repeated = listed.iter().rev().flat_map(|(value, n)| std::iter::repeat_n(value, *n as usize));
            repeated.take(most).for_each(&mut push);
        } else {
            listed.iter().for_each(|(value, _)| push(value));
        }
        text.push(']');
        Value::Json(text.into())
    }

    /// A map from the values' texts to their counts, by text.
    fn histogram(&self, listed: &[(Value, i64)]) -> Value {
        let keyed = |(value, count): &(Value, i64)| {
            let mut quoted = String::new();
            json::push_key(value, &self.data_type, &mut quoted);
            (json::text_of(&quoted).into_owned(), quoted, *count)
        };
        let mut entries: Vec<_> = listed.iter().map(keyed).collect();
        entries.sort_unstable();
        let members: Vec<String> = entries.iter().map(|(_, quoted, count)| format!("{quoted}:{count}")).collect();
        Value::Json(format!("{{{}}}", members.join(",")).into())
    }

    /// Appends the result of a call.
    pub(super) fn emit(&self, call: &CallPlan, group: u32, out: &mut ColumnBuilder) {
        match self.result(call, group) {
            Ok(value) => out.push_value(&value),
            Err(OutOfRange) => out.push_null(),
        }
    }
}
