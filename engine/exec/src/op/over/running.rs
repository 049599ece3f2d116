//! Results of a frame that move along with it: what comes is added, what leaves is taken back.
//!
//! Sums of integers and decimals are exact, so taking back loses nothing; least and greatest values wait in a queue in
//! which each one that a later one beats is dropped. A frame that goes back, or a row that was put in or taken out in the
//! middle, starts anew from the frame's rows. Floats are not here: what is taken back from a float sum leaves a trace.
//! A sum that leaves 128 bits says so and is computed anew by its owner. Cost: O(1) per row that comes or leaves.

use std::cmp::Ordering;
use std::collections::VecDeque;

use velostream_types::{Value, decimal};

use super::order::exact;
use super::rows::Rows;

/// What is kept of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tally {
    /// How many values are not NULL.
    Count,
    /// And their sum.
    Total,
    /// And that of their squares.
    Squares,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
}

/// The result of one call over one buffer; positions are places plus the buffer's base.
#[derive(Debug)]
pub(super) struct Running {
    tally: Tally,
    lane: usize,
    from: i64,
    to: i64,
    /// It stands for rows `from .. to`.
    known: bool,
    /// Values that are not NULL.
    pub(super) count: i64,
    pub(super) total: i128,
    pub(super) squares: i128,
    pub(super) scale: u8,
    /// Positions and slots of values that none behind them beats.
    queue: VecDeque<(i64, u32)>,
}

impl Running {
    pub(super) fn new(tally: Tally, lane: usize) -> Running {
        Running {
            tally,
            lane,
            from: 0,
            to: 0,
            known: false,
            count: 0,
            total: 0,
            squares: 0,
            scale: 0,
            queue: VecDeque::new(),
        }
    }

    pub(super) fn heap(&self) -> usize {
        self.queue.capacity() * size_of::<(i64, u32)>()
    }

    /// The next result starts from the rows.
    pub(super) fn forget(&mut self) {
        self.known = false;
    }

    fn reset(&mut self, at: i64) {
        (self.from, self.to, self.known) = (at, at, true);
        (self.count, self.total, self.squares, self.scale) = (0, 0, 0, 0);
        self.queue.clear();
    }

    /// The row at position `at` leaves the buffer.
    #[inline]
    pub(super) fn leaves(&mut self, at: i64, rows: &Rows, slot: u32) {
        if self.known && at >= self.from && at < self.to {
            self.take_back(at, rows, slot);
            self.from += 1;
        }
    }

    /// Moves on to rows `from .. to`. FALSE: a sum left the range of what is kept here.
    pub(super) fn slide(&mut self, rows: &Rows, (from, to): (i64, i64), slot: impl Fn(i64) -> u32) -> bool {
        if !self.known || from < self.from || to < self.to || from >= self.to {
            self.reset(from);
        }
        while self.from < from {
            self.take_back(self.from, rows, slot(self.from));
            self.from += 1;
        }
        while self.to < to {
            self.add(self.to, rows, slot(self.to));
            self.to += 1;
        }
        self.known
    }

    /// The least or greatest value.
    pub(super) fn best<'a>(&self, rows: &'a Rows) -> Option<&'a Value> {
        self.queue.front().map(|(_, slot)| rows.value(*slot, self.lane))
    }

    fn add(&mut self, at: i64, rows: &Rows, slot: u32) {
        let value = rows.value(slot, self.lane);
        if value.is_null() {
            return;
        }
        self.count += 1;
        match self.tally {
            Tally::Count => {}
            Tally::Total | Tally::Squares => self.known &= self.move_by(value, 1).is_some(),
            Tally::Min | Tally::Max => {
                let beaten = if self.tally == Tally::Min { Ordering::Greater } else { Ordering::Less };
                while self.queue.back().is_some_and(|(_, s)| compare(rows.value(*s, self.lane), value) == beaten) {
                    self.queue.pop_back();
                }
                self.queue.push_back((at, slot));
            }
        }
    }

    fn take_back(&mut self, at: i64, rows: &Rows, slot: u32) {
        let value = rows.value(slot, self.lane);
        if value.is_null() {
            return;
        }
        self.count -= 1;
        match self.tally {
            Tally::Count => {}
            Tally::Total | Tally::Squares => self.known &= self.move_by(value, -1).is_some(),
            Tally::Min | Tally::Max => {
                self.queue.pop_front_if(|(first, _)| *first == at);
            }
        }
    }

    /// Adds a value or takes it back; `None` when it does not fit.
    #[inline]
    fn move_by(&mut self, value: &Value, sign: i128) -> Option<()> {
        let (mantissa, scale) = exact(value)?;
        if scale > self.scale {
            let up = scale - self.scale;
            self.total = self.total.checked_mul(decimal::pow10(up))?;
            if self.tally == Tally::Squares {
                self.squares = self.squares.checked_mul(decimal::pow10(up))?.checked_mul(decimal::pow10(up))?;
            }
            self.scale = scale;
        }
        let brought = match self.scale - scale {
            0 => mantissa,
            up => mantissa.checked_mul(decimal::pow10(up))?,
        };
        self.total = self.total.checked_add(sign * brought)?;
        if self.tally == Tally::Squares {
            self.squares = self.squares.checked_add(sign * brought.checked_mul(brought)?)?;
        }
        Some(())
    }
}

/// How two values of one type stand to each other; numbers by value whatever carries them, NaN above all.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Int(a), Value::Int(b))
        | (Value::Timestamp(a), Value::Timestamp(b))
        | (Value::Time(a), Value::Time(b))
        | (Value::Interval(a), Value::Interval(b)) => a.cmp(b),
        (Value::Str(a), Value::Str(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())),
        _ => match (exact(a), exact(b)) {
            (Some((a, s1)), Some((b, s2))) => compare_decimals((a, s1), (b, s2)),
            _ => Ordering::Equal,
        },
    }
}

fn compare_decimals((a, s1): (i128, u8), (b, s2): (i128, u8)) -> Ordering {
    let scale = s1.max(s2);
    match (decimal::rescale(a, s1, scale), decimal::rescale(b, s2, scale)) {
        (Some(a), Some(b)) => a.cmp(&b),
        // Only the one with fewer digits behind the point can be too great for the other's scale.
        (None, _) => {
            if a > 0 {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
        (_, None) => {
            if b > 0 {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_value() {
        let dec = |mantissa, scale| Value::Decimal { mantissa, scale };
        let check = |a: Value, b: Value, expect| assert_eq!(compare(&a, &b), expect, "{a} {b}");
        check(Value::Int(5), dec(50, 1), Ordering::Equal);
        check(dec(decimal::MAX, 0), dec(1, 18), Ordering::Greater);
        check(dec(1, 18), dec(-decimal::MAX, 0), Ordering::Greater);
        check(Value::Float(f64::NAN), Value::Float(f64::INFINITY), Ordering::Greater);
        check(Value::Float(-0.0), Value::Float(0.0), Ordering::Equal);
    }
}
