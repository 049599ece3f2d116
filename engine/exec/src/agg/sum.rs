//! Sums: exact ones in 128 bits, float ones in 64.
//!
//! An exact sum has a physical scale that rises when a batch brings more digits; values are brought to it while they
//! are added. A sum that wraps keeps its low 128 bits in the block and a count of wraps aside, so an intermediate sum
//! beyond the type is no error and addition stays associative. COUNT of the values is not kept here: it is the
//! group's rows less its NULLs. Cost: one add a row, no branch on configuration inside the loops.

use std::collections::BTreeMap;

use arrow_buffer::NullBuffer;
use velostream_state::block::{BlockPool, Blocks};
use velostream_types::{Column, DataType, decimal};

use super::numbers::{Mantissas, Numbers, floats};
use super::wide::Wide;

/// Exact SUM of every group.
#[derive(Debug, Default)]
pub(super) struct ExactSum {
    sums: Blocks<i128>,
    scale: u8,
    /// How often the sum of a group wrapped, up minus down; absent is 0.
    wraps: BTreeMap<u32, i64>,
}

#[cold]
fn wrapped(wraps: &mut BTreeMap<u32, i64>, group: u32, by: i64) {
    let count = wraps.entry(group).or_insert(0);
    *count += by;
    if *count == 0 {
        wraps.remove(&group);
    }
}

/// Adds `value(i)` to the sum of `groups[i]` where `keep(i)`.
#[inline(always)]
fn add_all(
    sums: &mut Blocks<i128>,
    wraps: &mut BTreeMap<u32, i64>,
    groups: &[u32],
    keep: impl Fn(usize) -> bool,
    value: impl Fn(usize) -> i128,
) {
    sums.update(groups, |i, sum| {
        if keep(i) {
            let x = value(i);
            let (next, over) = sum.overflowing_add(x);
            *sum = next;
            if over {
                wrapped(wraps, groups[i], if x > 0 { 1 } else { -1 });
            }
        }
    });
}

impl ExactSum {
    pub(super) fn grow(&mut self, groups: usize, pool: &mut BlockPool) {
        self.sums.grow(groups, 0, pool);
    }

    fn value(&self, group: u32) -> Wide {
        Wide::new(self.sums.get(group), self.wraps.get(&group).copied().unwrap_or(0))
    }

    fn set(&mut self, group: u32, value: Wide) {
        // 255 bits hold any sum of 10^38 values of 38 digits, so the parts exist.
        let (low, carry) = value.parts().unwrap_or((i128::MAX, i64::MAX));
        *self.sums.at(group) = low;
        self.wraps.remove(&group);
        if carry != 0 {
            self.wraps.insert(group, carry);
        }
    }

    /// Raises the physical scale of all sums.
    fn raise(&mut self, scale: u8) {
        let by = scale - self.scale;
        let factor = decimal::pow10(by);
        let mut slow = Vec::new();
        let wraps = &self.wraps;
        self.sums.for_each(|group, sum| match sum.checked_mul(factor) {
            Some(raised) if !wraps.contains_key(&group) => *sum = raised,
            _ => slow.push(group),
        });
        for group in slow {
            if let Some(raised) = self.value(group).scale_up(by) {
                self.set(group, raised);
            }
        }
        self.scale = scale;
    }

    fn add(&mut self, group: u32, mantissa: i128, up: u8, times: i8) {
        let wide = Wide::new(mantissa, 0).scale_up(up).and_then(Wide::parts);
        let Some((low, carry)) = wide else { return };
        for _ in 0..times.unsigned_abs() {
            let sum = self.sums.at(group);
            let (next, over) = if times > 0 { sum.overflowing_add(low) } else { sum.overflowing_sub(low) };
            *sum = next;
            let sign = i64::from(times.signum());
            let wrap = if over { if low > 0 { sign } else { -sign } } else { 0 };
            if carry != 0 || wrap != 0 {
                wrapped(&mut self.wraps, group, carry * sign + wrap);
            }
        }
    }

    pub(super) fn update(&mut self, groups: &[u32], start: usize, column: &Column, weights: Option<&[i8]>) {
        let Some(numbers) = Numbers::exact(column) else { return };
        if numbers.scale > self.scale {
            self.raise(numbers.scale);
        }
        let up = self.scale - numbers.scale;
        let valid = numbers.nulls.as_ref().filter(|n| n.null_count() > 0);
        let is_valid = |i: usize| valid.is_none_or(|n| n.is_valid(start + i));
        match (&numbers.values, weights) {
            // A 64-bit mantissa times 10^19 stays within 128 bits.
            (Mantissas::Narrow(values), None) if up <= 19 => {
                let (values, factor) = (&values[start..start + groups.len()], decimal::pow10(up));
                let (sums, wraps) = (&mut self.sums, &mut self.wraps);
                match (valid, up) {
                    (None, 0) => add_all(sums, wraps, groups, |_| true, |i| i128::from(values[i])),
                    (None, _) => add_all(sums, wraps, groups, |_| true, |i| i128::from(values[i]) * factor),
                    _ => add_all(sums, wraps, groups, is_valid, |i| i128::from(values[i]) * factor),
                }
            }
            (Mantissas::Wide(values), None) if up == 0 => {
                let values = &values[start..start + groups.len()];
                add_all(&mut self.sums, &mut self.wraps, groups, is_valid, |i| values[i]);
            }
            (values, weights) => {
                for (i, group) in groups.iter().enumerate().filter(|(i, _)| is_valid(*i)) {
                    let row = start + i;
                    let mantissa = match values {
                        Mantissas::Narrow(v) => i128::from(v[row]),
                        Mantissas::Wide(v) => v[row],
                    };
                    self.add(*group, mantissa, up, weights.map_or(1, |w| w[row]));
                }
            }
        }
    }

    /// Adds rows `start .. start + rows`, which all belong to one group; FALSE when this column needs [`Self::update`].
    pub(super) fn update_one(&mut self, group: u32, (start, rows): (usize, usize), column: &Column) -> bool {
        let Some(Numbers { values: Mantissas::Narrow(values), scale, nulls }) = Numbers::exact(column) else {
            return matches!(column, Column::Null(_));
        };
        if scale > self.scale {
            self.raise(scale);
        }
        let values = &values[start..start + rows];
        let sum = match nulls.filter(|n| n.null_count() > 0) {
            None => total(values),
            Some(nulls) => nulls.slice(start, rows).valid_slices().map(|(from, to)| total(&values[from..to])).sum(),
        };
        self.add(group, sum, self.scale - scale, 1);
        true
    }

    /// Adds partial sums: `[sum, wraps]`.
    pub(super) fn merge(&mut self, groups: &[u32], start: usize, columns: &[Column]) {
        self.update(groups, start, &columns[0], None);
        let Column::Int(carries) = &columns[1] else { return };
        let up = self.scale - Numbers::exact(&columns[0]).map_or(0, |n| n.scale).min(self.scale);
        for (i, group) in groups.iter().enumerate() {
            let carry = carries.value(start + i);
            if carry == 0 {
                continue;
            }
            if let Some((low, carry)) = Wide::new(0, carry).scale_up(up).and_then(Wide::parts) {
                self.add(*group, low, 0, 1);
                wrapped(&mut self.wraps, *group, carry);
            }
        }
    }

    pub(super) fn partial(&self, groups: &[u32], out: &mut Vec<Column>) {
        out.push(Column::dec128(groups.iter().map(|g| self.sums.get(*g)).collect(), self.scale, None));
        out.push(match self.wraps.is_empty() {
            true => Column::Null(groups.len()),
            false => Column::ints(groups.iter().map(|g| self.wraps.get(g).copied().unwrap_or(0)).collect(), None),
        });
    }

    /// SUM as a decimal of at least `result`'s scale; `None` when it left the range of its type.
    pub(super) fn sum(&self, group: u32, result: &DataType) -> Option<(i128, u8)> {
        if !self.wraps.is_empty() {
            return in_type(self.value(group), self.scale, result);
        }
        sum_in(self.sums.get(group), self.scale, result)
    }

    /// SUM as a float.
    pub(super) fn float(&self, group: u32) -> f64 {
        self.value(group).to_float() / decimal::pow10(self.scale) as f64
    }

    /// SUM / `count` at the scale of `result`, half away from zero: like any quotient, whatever digits came in.
    pub(super) fn average(&self, group: u32, count: u64, result: u8) -> Option<(i128, u8)> {
        if self.wraps.is_empty() {
            return average_in(self.sums.get(group), self.scale, count, result);
        }
        let (sum, scale) = self.value(group).strip(self.scale, result);
        match sum.mantissa() {
            Some(sum) => average_in(sum, scale, count, result),
            None => Some((sum.average(count, scale, result)?, result)),
        }
    }

    pub(super) fn clear(&mut self, group: u32) {
        *self.sums.at(group) = 0;
        self.wraps.remove(&group);
    }

    pub(super) fn release(&mut self, pool: &mut BlockPool) {
        self.sums.release(pool);
        self.wraps.clear();
        self.scale = 0;
    }

    pub(super) fn bytes(&self) -> usize {
        self.sums.bytes() + self.wraps.len() * 24
    }
}

/// Sum of integers. Halves of 32 bits are summed apart, as unsigned numbers with the sign bit turned: additions in any order
/// give the same bits, so the compiler may use vectors. Exact for fewer than 2^32 values, and batches are smaller.
fn total(values: &[i64]) -> i128 {
    let (mut low, mut high) = (0u64, 0u64);
    for value in values {
        let turned = *value as u64 ^ 1 << 63;
        low += turned & 0xffff_ffff;
        high += turned >> 32;
    }
    i128::from(low) + (i128::from(high) << 32) - ((values.len() as i128) << 63)
}

/// A sum at `scale` as a number of type `result`; `None` when it left the range of its type.
pub(crate) fn sum_in(sum: i128, scale: u8, result: &DataType) -> Option<(i128, u8)> {
    let (mantissa, scale) = decimal::strip(sum, scale, result.exact_scale().unwrap_or(0));
    checked(mantissa, scale, result)
}

/// A sum at `scale` / `count` at the scale `result`, half away from zero.
pub(crate) fn average_in(sum: i128, scale: u8, count: u64, result: u8) -> Option<(i128, u8)> {
    let (sum, scale) = decimal::strip(sum, scale, result);
    // A sum of more than 38 digits is divided by the wide form.
    if !decimal::fits(sum) {
        return Some((Wide::new(sum, 0).average(count, scale, result)?, result));
    }
    if let Some(quick) = quick_average(sum, count, result.saturating_sub(scale)).filter(|_| result >= scale) {
        return Some((quick, result));
    }
    Some((decimal::div(sum, scale, i128::from(count), 0, result)?, result))
}

/// A sum at `scale` as a decimal of at least `result`'s scale; `None` when it left the range of its type.
pub(super) fn in_type(sum: Wide, scale: u8, result: &DataType) -> Option<(i128, u8)> {
    let (sum, scale) = sum.strip(scale, result.exact_scale().unwrap_or(0));
    checked(sum.mantissa()?, scale, result)
}

fn checked(mantissa: i128, scale: u8, result: &DataType) -> Option<(i128, u8)> {
    let least = result.exact_scale().unwrap_or(0);
    let (mantissa, scale) = match scale < least {
        true => (decimal::rescale(mantissa, scale, least)?, least),
        false => (mantissa, scale),
    };
    let in_range = match result {
        DataType::Integer => i64::try_from(mantissa / decimal::pow10(scale)).is_ok(),
        _ => decimal::fits(mantissa),
    };
    in_range.then_some((mantissa, scale))
}

/// `sum · 10^up / count`, half away from zero, where 64 bits hold it: a hardware division instead of a long one.
fn quick_average(sum: i128, count: u64, up: u8) -> Option<i128> {
    let magnitude = u64::try_from(sum.unsigned_abs()).ok()?;
    let scaled = magnitude.checked_mul(10u64.checked_pow(u32::from(up))?)?;
    let (q, r) = (scaled / count, scaled % count);
    let q = i128::from(q + u64::from(r >= count - r));
    Some(if sum < 0 { -q } else { q })
}

/// Float SUM of every group.
#[derive(Debug, Default)]
pub(super) struct FloatSum {
    sums: Blocks<f64>,
}

impl FloatSum {
    pub(super) fn grow(&mut self, groups: usize, pool: &mut BlockPool) {
        self.sums.grow(groups, 0.0, pool);
    }

    pub(super) fn update(&mut self, groups: &[u32], start: usize, column: &Column, weights: Option<&[i8]>) {
        let Some(values) = floats(column) else { return };
        let values = &values[start..start + groups.len()];
        let nulls: Option<NullBuffer> = column.nulls().filter(|n| n.null_count() > 0);
        match (&nulls, weights) {
            (None, None) => self.sums.update(groups, |i, sum| *sum += values[i]),
            _ => self.sums.update(groups, |i, sum| {
                if nulls.as_ref().is_none_or(|n| n.is_valid(start + i)) {
                    *sum += values[i] * weights.map_or(1.0, |w| f64::from(w[start + i]));
                }
            }),
        }
    }

    /// Adds rows `start .. start + rows`, which all belong to one group, in their order.
    pub(super) fn update_one(&mut self, group: u32, (start, rows): (usize, usize), column: &Column) {
        let Some(values) = floats(column) else { return };
        let mut sum = self.sums.get(group);
        let values = &values[start..start + rows];
        match column.nulls().filter(|n| n.null_count() > 0) {
            None => values.iter().for_each(|x| sum += x),
            Some(nulls) => {
                let valid = |(i, _): &(usize, &f64)| nulls.is_valid(start + i);
                values.iter().enumerate().filter(valid).for_each(|(_, x)| sum += x);
            }
        }
        *self.sums.at(group) = sum;
    }

    pub(super) fn partial(&self, groups: &[u32], out: &mut Vec<Column>) {
        out.push(Column::floats(groups.iter().map(|g| self.sums.get(*g)).collect(), None));
    }

    pub(super) fn sum(&self, group: u32) -> f64 {
        self.sums.get(group)
    }

    pub(super) fn clear(&mut self, group: u32) {
        *self.sums.at(group) = 0.0;
    }

    pub(super) fn release(&mut self, pool: &mut BlockPool) {
        self.sums.release(pool);
    }

    pub(super) fn bytes(&self) -> usize {
        self.sums.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn one_group_sums_like_row_by_row(
            values in proptest::collection::vec((any::<i64>(), any::<bool>()), 1..200),
            scales in (0u8..10, 0u8..10),
            from in 0usize..100,
        ) {
            let valid: Option<NullBuffer> = values[0].1.then(|| values.iter().map(|v| v.1).collect::<Vec<bool>>().into());
            let mantissas: Vec<i64> = values.iter().map(|v| v.0).collect();
            let start = from.min(values.len() - 1);
            let rows = values.len() - start;
            let (mut whole, mut each, mut pool) = (ExactSum::default(), ExactSum::default(), BlockPool::default());
            whole.grow(2, &mut pool);
            each.grow(2, &mut pool);
            for scale in [scales.0, scales.1] {
                let column = Column::dec64(mantissas.clone(), scale, valid.clone());
                prop_assert!(whole.update_one(1, (start, rows), &column));
                each.update(&vec![1; rows], start, &column, None);
            }
            prop_assert_eq!((whole.scale, whole.value(1).parts()), (each.scale, each.value(1).parts()));
            let column = Column::floats(mantissas.iter().map(|m| *m as f64 / 3.0).collect(), valid);
            let (mut whole, mut each) = (FloatSum::default(), FloatSum::default());
            whole.grow(2, &mut pool);
            each.grow(2, &mut pool);
            whole.update_one(1, (start, rows), &column);
            each.update(&vec![1; rows], start, &column, None);
            prop_assert_eq!(whole.sum(1).to_bits(), each.sum(1).to_bits());
        }

        #[test]
        fn the_quick_average_is_the_exact_one(sum in -10i128.pow(19)..10i128.pow(19), count in 1u64..2000, up in 0u8..8) {
            if let Some(quick) = quick_average(sum, count, up) {
                prop_assert_eq!(Some(quick), decimal::div(sum, 0, i128::from(count), 0, up));
            }
        }
    }
}
