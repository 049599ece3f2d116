//! Event time and watermark of one source partition, row by row.
//!
//! Runs inside the Scan, on the shard that owns the partition. Each row gets its event time and the watermark its own
//! partition had just before it; lateness is judged from these two alone, anywhere downstream, so it never depends on
//! what other partitions delivered. What moves the watermark is its basis: the highest event time, what headers said, or
//! the time of day (then lateness depends on the clock, by nature). Times are event-time nanoseconds. Cost: one multiply
//! and one max per row.

use arrow_array::Array;
use arrow_buffer::ScalarBuffer;
use velostream_sql::plan::{EventTimeSpec, MissingTime, TimeField, TimeFormat, WatermarkRule};
use velostream_types::time::{NS_PER_MS, NS_PER_SEC, WM_NONE, parse_timestamp};
use velostream_types::{Column, Value};

use velostream_functions::strftime;

/// Watermark state of one partition.
#[derive(Clone, Debug)]
pub struct PartitionClock {
    rule: WatermarkRule,
    /// Highest of what moves the watermark so far; `WM_NONE` before.
    basis: i64,
    bound_ns: i64,
    /// How far the last batch moved the watermark, the allowance of aligned reading.
    last_advance_ns: i64,
}

/// A basis that records gave, and how many rows of the batch stand before it.
pub type Mark = (u32, i64);

/// Times of one batch.
#[derive(Debug)]
pub struct Stamped {
    /// Event time per row, ns.
    pub event_time: ScalarBuffer<i64>,
    /// Watermark of the partition just before each row, ns.
    pub wm_own: ScalarBuffer<i64>,
    /// Rows whose event time was missing or bad and came from the fall-back, ascending.
    pub fallback: Vec<u32>,
}

impl PartitionClock {
    /// The clock of a partition that has not given a row.
    pub fn new(spec: &EventTimeSpec) -> PartitionClock {
        PartitionClock::resume(spec, WM_NONE)
    }

    /// The clock of a partition that goes on after a restart.
    pub fn resume(spec: &EventTimeSpec, basis: i64) -> PartitionClock {
        PartitionClock { rule: spec.rule, basis, bound_ns: spec.bound_ns, last_advance_ns: 0 }
    }

    /// Highest of what moved the watermark so far: of event times, unless the plan says otherwise.
    pub fn basis(&self) -> i64 {
        self.basis
    }

    /// Own watermark: its basis − bound.
    pub fn watermark(&self) -> i64 {
        match self.basis {
            WM_NONE => WM_NONE,
            basis => basis.saturating_sub(self.bound_ns),
        }
    }

    /// How far the last batch moved the watermark, ns.
    pub fn last_advance_ns(&self) -> i64 {
        self.last_advance_ns
    }

    /// The time of day went on.
    pub fn tick(&mut self, now_ns: i64) {
        if self.rule == WatermarkRule::Clock {
            self.basis = self.basis.max(now_ns);
        }
    }

    /// Records that are no rows said where the watermark stands.
    pub fn mark(&mut self, marks: &[Mark]) {
        self.basis = marks.iter().fold(self.basis, |basis, (_, time)| basis.max(*time));
    }

    /// Stamps a batch. `fallback_ms` is the record timestamp of rows without one of their own.
    pub fn stamp(
        &mut self,
        spec: &EventTimeSpec,
        columns: &[Column],
        timestamps: Option<&ScalarBuffer<i64>>,
        (rows, marks): (usize, &[Mark]),
        fallback_ms: i64,
    ) -> Stamped {
        let before = self.watermark();
        let stamped = match (spec.field, &spec.format) {
            (TimeField::RecordTimestamp | TimeField::Header, _) => {
                let at = |i: usize| timestamps.map_or(fallback_ms, |t| t[i]).checked_mul(NS_PER_MS);
                self.stamp_rows((rows, marks), at, |_| fallback_ms)
            }
            (TimeField::Column(c), format) => {
                let record_ms = |i: usize| timestamps.map_or(fallback_ms, |t| t[i]);
                self.stamp_column(&columns[c], format, (rows, marks), record_ms)
            }
        };
        self.last_advance_ns = if before == WM_NONE { 0 } else { self.watermark().saturating_sub(before) };
        stamped
    }

    /// Stamps a batch whose event times, ns, the decoder found. `fallback_ms` is for those out of range.
    pub fn stamp_given(&mut self, times: &ScalarBuffer<i64>, marks: &[Mark], fallback_ms: i64) -> Stamped {
        let before = self.watermark();
        let stamped = self.stamp_rows((times.len(), marks), |i| Some(times[i]), |_| fallback_ms);
        self.last_advance_ns = if before == WM_NONE { 0 } else { self.watermark().saturating_sub(before) };
        stamped
    }

    fn stamp_column(
        &mut self,
        column: &Column,
        format: &TimeFormat,
        batch: (usize, &[Mark]),
        record_ms: impl Fn(usize) -> i64,
    ) -> Stamped {
        let unit = epoch_unit(format);
        match column {
            Column::Int(a) if unit.is_some() && a.null_count() == 0 => {
                let unit = unit.unwrap_or(NS_PER_MS);
                let values = a.values();
                self.stamp_rows(batch, |i| values[i].checked_mul(unit), record_ms)
            }
            Column::Timestamp(a) if a.null_count() == 0 => {
                let values = a.values();
                self.stamp_rows(batch, |i| Some(values[i]), record_ms)
            }
            other => self.stamp_rows(batch, |i| event_time_of(&other.value(i), format), record_ms),
        }
    }

    fn stamp_rows(
        &mut self,
        (rows, marks): (usize, &[Mark]),
        at: impl Fn(usize) -> Option<i64>,
        record_ms: impl Fn(usize) -> i64,
    ) -> Stamped {
        let mut event_time = Vec::with_capacity(rows);
        let mut wm_own = Vec::with_capacity(rows);
        let mut fallback = Vec::new();
        let by_rows = self.rule == WatermarkRule::EventTimes;
        let mut basis = self.basis;
        let mut next = 0;
        for i in 0..rows {
            while let Some((_, time)) = marks.get(next).filter(|(before, _)| *before as usize <= i) {
                basis = basis.max(*time);
                next += 1;
            }
            wm_own.push(if basis == WM_NONE { WM_NONE } else { basis.saturating_sub(self.bound_ns) });
            // The extremes of i64 are the marks WM_NONE and WM_END, never an event time.
            match at(i).filter(|t| *t > i64::MIN && *t < i64::MAX) {
                Some(t) => {
                    event_time.push(t);
                    basis = if by_rows { basis.max(t) } else { basis };
                }
                None => {
                    event_time.push(record_ms(i).saturating_mul(NS_PER_MS));
                    fallback.push(i as u32);
                }
            }
        }
        self.basis = basis;
        self.mark(&marks[next..]);
        Stamped { event_time: event_time.into(), wm_own: wm_own.into(), fallback }
    }
}

/// TRUE when a row without a good event time is a record error under this policy.
pub fn missing_is_error(spec: &EventTimeSpec) -> bool {
    spec.missing == MissingTime::Error
}

fn epoch_unit(format: &TimeFormat) -> Option<i64> {
    match format {
        TimeFormat::Auto | TimeFormat::EpochMillis => Some(NS_PER_MS),
        TimeFormat::EpochSeconds => Some(NS_PER_SEC),
        TimeFormat::EpochMicros => Some(1_000),
        TimeFormat::EpochNanos => Some(1),
        TimeFormat::Iso8601 | TimeFormat::Strftime(_) => None,
    }
}

/// Event time of one value; the slow, general path.
fn event_time_of(value: &Value, format: &TimeFormat) -> Option<i64> {
    match (value, format) {
        (Value::Timestamp(t), _) => Some(*t),
        (Value::Date(d), _) => i64::from(*d).checked_mul(velostream_types::time::NS_PER_DAY),
        (Value::Int(n), _) => n.checked_mul(epoch_unit(format)?),
        (Value::Decimal { mantissa, scale }, _) => {
            let ns = velostream_types::decimal::mul(*mantissa, *scale, i128::from(epoch_unit(format)?), 0, 0)?;
            i64::try_from(ns).ok()
        }
        (Value::Float(x), _) => {
            let ns = x * epoch_unit(format)? as f64;
            (ns.is_finite() && ns.abs() < 9.2e18).then_some(ns as i64)
        }
        (Value::Str(s), TimeFormat::Strftime(pattern)) => strftime::parse(s, pattern),
        (Value::Str(s), TimeFormat::Auto | TimeFormat::Iso8601) => parse_timestamp(s.trim()),
        (Value::Str(s), _) => s.trim().parse::<i64>().ok()?.checked_mul(epoch_unit(format)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(bound_ms: i64, format: TimeFormat) -> EventTimeSpec {
        EventTimeSpec {
            field: TimeField::Column(0),
            format,
            rule: WatermarkRule::EventTimes,
            bound_ns: bound_ms * NS_PER_MS,
            idle_timeout_ns: 0,
            missing: MissingTime::Warn,
        }
    }

    #[test]
    fn each_row_sees_the_watermark_just_before_it() {
        let spec = spec(2, TimeFormat::Auto);
        let mut clock = PartitionClock::new(&spec);
        let stamped = clock.stamp(&spec, &[Column::ints(vec![5, 9, 7], None)], None, (3, &[]), 0);
        let ms: Vec<i64> = stamped.wm_own.iter().map(|w| if *w == WM_NONE { -1 } else { w / NS_PER_MS }).collect();
        assert_eq!(ms, [-1, 3, 7]);
        assert_eq!(clock.watermark(), 7 * NS_PER_MS);
        assert!(stamped.fallback.is_empty());
    }

    #[test]
    fn a_fallback_places_the_row_but_never_moves_the_watermark() {
        let spec = spec(0, TimeFormat::Iso8601);
        let mut clock = PartitionClock::new(&spec);
        let text = Column::strs([Some("1970-01-01T00:00:01Z"), Some("soon"), None]);
        let stamped = clock.stamp(&spec, &[text], None, (3, &[]), 90_000);
        assert_eq!(stamped.fallback, [1, 2]);
        assert_eq!(stamped.event_time[1], 90_000 * NS_PER_MS);
        assert_eq!(clock.watermark(), NS_PER_SEC);
    }

    #[test]
    fn times_outside_the_range_are_bad() {
        let spec = spec(0, TimeFormat::EpochSeconds);
        let mut clock = PartitionClock::new(&spec);
        let stamped = clock.stamp(&spec, &[Column::ints(vec![i64::MAX, 1], None)], None, (2, &[]), 0);
        assert_eq!(stamped.fallback, [0]);
        assert_eq!(clock.watermark(), NS_PER_SEC);
    }

    #[test]
    fn headers_move_the_watermark_behind_their_record_and_rows_do_not() {
        let spec = EventTimeSpec { rule: WatermarkRule::Header, ..spec(7, TimeFormat::Auto) };
        let spec = EventTimeSpec { bound_ns: 0, ..spec };
        let mut clock = PartitionClock::new(&spec);
        let column = Column::ints(vec![50, 60, 70], None);
        let marks = [(1, 5 * NS_PER_MS), (2, 4 * NS_PER_MS), (3, 9 * NS_PER_MS)];
        let stamped = clock.stamp(&spec, &[column], None, (3, &marks), 0);
        assert_eq!(stamped.wm_own[..], [WM_NONE, 5 * NS_PER_MS, 5 * NS_PER_MS]);
        assert_eq!(clock.watermark(), 9 * NS_PER_MS);
        clock.mark(&[(0, 8 * NS_PER_MS)]);
        clock.tick(NS_PER_SEC);
        assert_eq!(clock.watermark(), 9 * NS_PER_MS, "it never goes back, and the time of day is nothing to it");
    }

    #[test]
    fn the_time_of_day_moves_it_with_rows_or_without() {
        let spec = EventTimeSpec { rule: WatermarkRule::Clock, ..spec(1_000, TimeFormat::Auto) };
        let mut clock = PartitionClock::new(&spec);
        clock.tick(3 * NS_PER_SEC);
        clock.tick(2 * NS_PER_SEC);
        let stamped = clock.stamp(&spec, &[Column::ints(vec![9_000], None)], None, (1, &[]), 0);
        assert_eq!((stamped.wm_own[0], clock.watermark()), (2 * NS_PER_SEC, 2 * NS_PER_SEC));
    }
}
