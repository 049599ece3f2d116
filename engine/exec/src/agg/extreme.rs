//! MIN and MAX: of anything that orders as a number (exact numbers across scales, floats by code, dates, times,
//! booleans) in blocks, of text and bytes in one buffer a group. NULLs are ignored; NaN is above every float.

use std::cmp::Ordering;

use velostream_functions::json;
use velostream_state::block::{BlockPool, Blocks};
use velostream_state::build::ColumnBuilder;
use velostream_types::{Column, DataType, Value};

use super::numbers::{Mantissas, Numbers, decode};

/// MIN or MAX of values that order as numbers. Each group keeps the scale its extreme came with, so a scale that
/// rises later never makes an old value overflow.
#[derive(Debug)]
pub(super) struct Extreme {
    values: Blocks<i128>,
    /// Scale + 1; 0: no value yet.
    scales: Blocks<u32>,
    max: bool,
    data_type: DataType,
}

/// Compares two decimals exactly.
pub(super) fn compare(a: i128, a_scale: u32, b: i128, b_scale: u32) -> Ordering {
    if a_scale == b_scale {
        return a.cmp(&b);
    }
    let up = |m: i128, by: u32| m.checked_mul(10i128.pow(by.min(38)));
    let (left, right) =
        if a_scale < b_scale { (up(a, b_scale - a_scale), Some(b)) } else { (Some(a), up(b, a_scale - b_scale)) };
    match (left, right) {
        (Some(a), Some(b)) => a.cmp(&b),
        // The one that does not fit any more is farther from 0 than any mantissa.
        (None, _) => a.cmp(&0),
        (_, None) => 0.cmp(&b),
    }
}

impl Extreme {
    pub(super) fn new(max: bool, data_type: DataType) -> Extreme {
        Extreme { values: Blocks::new(), scales: Blocks::new(), max, data_type }
    }

    pub(super) fn grow(&mut self, groups: usize, pool: &mut BlockPool) {
        self.values.grow(groups, 0, pool);
        self.scales.grow(groups, 0, pool);
    }

    #[inline]
    fn offer(&mut self, group: u32, value: i128, scale: u32) {
        let held = self.scales.at(group);
        let wins = *held == 0 || {
            let order = compare(value, scale, self.values.get(group), *held);
            if self.max { order.is_gt() } else { order.is_lt() }
        };
        if wins {
            *held = scale;
            *self.values.at(group) = value;
        }
    }

    pub(super) fn update(&mut self, groups: &[u32], start: usize, column: &Column) {
        let numbers = match self.data_type {
            DataType::Float => Numbers::float_codes(column),
            _ => Numbers::exact(column),
        };
        let Some(numbers) = numbers else { return };
        let scale = u32::from(numbers.scale) + 1;
        let valid = |i: usize| numbers.nulls.as_ref().is_none_or(|n| n.is_valid(start + i));
        match &numbers.values {
            Mantissas::Narrow(values) => {
                for (i, group) in groups.iter().enumerate().filter(|(i, _)| valid(*i)) {
                    self.offer(*group, i128::from(values[start + i]), scale);
                }
            }
            Mantissas::Wide(values) => {
                for (i, group) in groups.iter().enumerate().filter(|(i, _)| valid(*i)) {
                    self.offer(*group, values[start + i], scale);
                }
            }
        }
    }

    /// Offers partial extremes: `[value, scale + 1]`.
    pub(super) fn merge(&mut self, groups: &[u32], start: usize, columns: &[Column]) {
        let (Column::Dec128(values), Column::Int(scales)) = (&columns[0], &columns[1]) else { return };
        for (i, group) in groups.iter().enumerate() {
            let scale = scales.value(start + i);
            if scale > 0 {
                self.offer(*group, values.value(start + i), scale as u32);
            }
        }
    }

    pub(super) fn partial(&self, groups: &[u32], out: &mut Vec<Column>) {
        out.push(Column::dec128(groups.iter().map(|g| self.values.get(*g)).collect(), 0, None));
        out.push(Column::ints(groups.iter().map(|g| i64::from(self.scales.get(*g))).collect(), None));
    }

    pub(super) fn emit(&self, group: u32, out: &mut ColumnBuilder) {
        let (value, scale) = (self.values.get(group), self.scales.get(group));
        match (scale, &self.data_type) {
            (0, _) => out.push_null(),
            (_, DataType::Float) => out.push_value(&Value::Float(decode(value as i64))),
            (_, DataType::Timestamp) => out.push_value(&Value::Timestamp(value as i64)),
            (_, DataType::Date) => out.push_value(&Value::Date(value as i32)),
            (_, DataType::Boolean) => out.push_value(&Value::Bool(value != 0)),
            (1, DataType::Integer | DataType::Time | DataType::Interval) => match i64::try_from(value) {
                Ok(value) => out.push_int(value),
                Err(_) => out.push_decimal(value, 0),
            },
            (scale, _) => out.push_decimal(value, (scale - 1) as u8),
        }
    }

    pub(super) fn clear(&mut self, group: u32) {
        *self.scales.at(group) = 0;
    }

    pub(super) fn release(&mut self, pool: &mut BlockPool) {
        self.values.release(pool);
        self.scales.release(pool);
    }

    pub(super) fn bytes(&self) -> usize {
        self.values.bytes() + self.scales.bytes()
    }
}

/// MIN or MAX of text or bytes, by their bytes, and of nested values, by the order of their type.
#[derive(Debug)]
pub(super) struct TextExtreme {
    values: Vec<Option<Vec<u8>>>,
    max: bool,
    data_type: DataType,
}

/// Order of two values that are held as bytes.
pub(super) fn bytes_order(a: &[u8], b: &[u8], data_type: &DataType) -> Ordering {
    match (std::str::from_utf8(a), std::str::from_utf8(b)) {
        (Ok(a), Ok(b)) if data_type.is_nested() => json::compare(a, b, data_type),
        _ => a.cmp(b),
    }
}

impl TextExtreme {
    pub(super) fn new(max: bool, data_type: DataType) -> TextExtreme {
        TextExtreme { values: Vec::new(), max, data_type }
    }

    pub(super) fn grow(&mut self, groups: usize) {
        self.values.resize(groups.max(self.values.len()), None);
    }

    fn offer(&mut self, group: u32, value: &[u8]) {
        match &mut self.values[group as usize] {
            Some(held) => {
                let order = bytes_order(value, held, &self.data_type);
                if if self.max { order.is_gt() } else { order.is_lt() } {
                    held.clear();
                    held.extend_from_slice(value);
                }
            }
            none => *none = Some(value.to_vec()),
        }
    }

    /// Offers values; partial extremes are offered the same way.
    pub(super) fn update(&mut self, groups: &[u32], start: usize, column: &Column) {
        for (i, group) in groups.iter().enumerate().filter(|(i, _)| !column.is_null(start + i)) {
            match column {
                Column::Str(a) => self.offer(*group, a.value(start + i).as_bytes()),
                Column::Bytes(a) => self.offer(*group, a.value(start + i)),
                _ => {}
            }
        }
    }

    pub(super) fn partial(&self, groups: &[u32], out: &mut Vec<Column>) {
        let mut column = ColumnBuilder::new(&self.data_type);
        groups.iter().for_each(|g| self.emit(*g, &mut column));
        out.push(column.finish());
    }

    pub(super) fn emit(&self, group: u32, out: &mut ColumnBuilder) {
        match self.values[group as usize].as_deref() {
            None => out.push_null(),
            Some(bytes) if self.data_type == DataType::Bytes => out.push_value(&Value::Bytes(bytes.into())),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => out.push_str(text),
                Err(_) => out.push_null(),
            },
        }
    }

    pub(super) fn clear(&mut self, group: u32) {
        self.values[group as usize] = None;
    }

    pub(super) fn release(&mut self) {
        self.values = Vec::new();
    }

    pub(super) fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<Option<Vec<u8>>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use velostream_types::decimal;

    #[test]
    fn decimals_compare_across_scales() {
        assert_eq!(compare(25, 1, 250, 2), Ordering::Equal);
        assert_eq!(compare(decimal::MAX, 0, 1, 38), Ordering::Greater);
        assert_eq!(compare(-decimal::MAX, 0, 1, 38), Ordering::Less);
        assert_eq!(compare(1, 38, decimal::MAX, 0), Ordering::Less);
        assert_eq!(compare(1, 38, -decimal::MAX, 0), Ordering::Greater);
    }
}
