//! Event time and watermark of one source partition, row by row.
//!
//! Runs inside the Scan, on the shard that owns the partition. Each row gets its event time and the watermark its own
//! partition had just before it; lateness is judged from these two alone, anywhere downstream, so it never depends on
//! what other partitions delivered. Times are event-time nanoseconds. Cost: one multiply and one max per row.

use arrow_array::Array;
use arrow_buffer::ScalarBuffer;
use velostream_sql::plan::{EventTimeSpec, MissingTime, TimeField, TimeFormat};
use velostream_types::time::{NS_PER_MS, NS_PER_SEC, WM_NONE, parse_timestamp};
use velostream_types::{Column, Value};

use velostream_functions::strftime;

/// Watermark state of one partition.
#[derive(Clone, Debug)]
pub struct PartitionClock {
    /// Highest event time so far; `WM_NONE` before the first row.
    max_event_time: i64,
    bound_ns: i64,
    /// How far the last batch moved the watermark, the allowance of aligned reading.
    last_advance_ns: i64,
}

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
        PartitionClock { max_event_time: WM_NONE, bound_ns: spec.bound_ns, last_advance_ns: 0 }
    }

    /// The clock of a partition that goes on after a restart.
    pub fn resume(spec: &EventTimeSpec, max_event_time: i64) -> PartitionClock {
        PartitionClock { max_event_time, bound_ns: spec.bound_ns, last_advance_ns: 0 }
    }

    /// Highest event time so far.
    pub fn max_event_time(&self) -> i64 {
        self.max_event_time
    }

    /// Own watermark: highest event time − bound.
    pub fn watermark(&self) -> i64 {
        match self.max_event_time {
            WM_NONE => WM_NONE,
            max => max.saturating_sub(self.bound_ns),
        }
    }

    /// How far the last batch moved the watermark, ns.
    pub fn last_advance_ns(&self) -> i64 {
        self.last_advance_ns
    }

    /// Stamps a batch. `fallback_ms` is the record timestamp of rows without one of their own.
    pub fn stamp(
        &mut self,
        spec: &EventTimeSpec,
        columns: &[Column],
        timestamps: Option<&ScalarBuffer<i64>>,
        rows: usize,
        fallback_ms: i64,
    ) -> Stamped {
        let before = self.watermark();
        let stamped = match (spec.field, &spec.format) {
            (TimeField::RecordTimestamp | TimeField::Header, _) => {
                let at = |i: usize| timestamps.map_or(fallback_ms, |t| t[i]).checked_mul(NS_PER_MS);
                self.stamp_rows(rows, at, |_| fallback_ms)
            }
            (TimeField::Column(c), format) => {
                let record_ms = |i: usize| timestamps.map_or(fallback_ms, |t| t[i]);
                self.stamp_column(&columns[c], format, rows, record_ms)
            }
        };
        self.last_advance_ns = if before == WM_NONE { 0 } else { self.watermark().saturating_sub(before) };
        stamped
    }

    /// Stamps a batch whose event times, ns, the decoder found. `fallback_ms` is for those out of range.
    pub fn stamp_given(&mut self, times: &ScalarBuffer<i64>, fallback_ms: i64) -> Stamped {
        let before = self.watermark();
        let stamped = self.stamp_rows(times.len(), |i| Some(times[i]), |_| fallback_ms);
        self.last_advance_ns = if before == WM_NONE { 0 } else { self.watermark().saturating_sub(before) };
        stamped
    }

    fn stamp_column(
        &mut self,
        column: &Column,
        format: &TimeFormat,
        rows: usize,
        record_ms: impl Fn(usize) -> i64,
    ) -> Stamped {
        let unit = epoch_unit(format);
        match column {
            Column::Int(a) if unit.is_some() && a.null_count() == 0 => {
                let unit = unit.unwrap_or(NS_PER_MS);
                let values = a.values();
                self.stamp_rows(rows, |i| values[i].checked_mul(unit), record_ms)
            }
            Column::Timestamp(a) if a.null_count() == 0 => {
                let values = a.values();
                self.stamp_rows(rows, |i| Some(values[i]), record_ms)
            }
            other => self.stamp_rows(rows, |i| event_time_of(&other.value(i), format), record_ms),
        }
    }

    fn stamp_rows(
        &mut self,
        rows: usize,
        at: impl Fn(usize) -> Option<i64>,
        record_ms: impl Fn(usize) -> i64,
    ) -> Stamped {
        let mut event_time = Vec::with_capacity(rows);
        let mut wm_own = Vec::with_capacity(rows);
        let mut fallback = Vec::new();
        let mut max = self.max_event_time;
        for i in 0..rows {
            wm_own.push(if max == WM_NONE { WM_NONE } else { max.saturating_sub(self.bound_ns) });
            // The extremes of i64 are the marks WM_NONE and WM_END, never an event time.
            match at(i).filter(|t| *t > i64::MIN && *t < i64::MAX) {
                Some(t) => {
                    event_time.push(t);
                    max = max.max(t);
                }
                None => {
                    event_time.push(record_ms(i).saturating_mul(NS_PER_MS));
                    fallback.push(i as u32);
                }
            }
        }
        self.max_event_time = max;
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
            bound_ns: bound_ms * NS_PER_MS,
            idle_timeout_ns: 0,
            missing: MissingTime::Warn,
        }
    }

    #[test]
    fn each_row_sees_the_watermark_just_before_it() {
        let spec = spec(2, TimeFormat::Auto);
        let mut clock = PartitionClock::new(&spec);
        let stamped = clock.stamp(&spec, &[Column::ints(vec![5, 9, 7], None)], None, 3, 0);
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
        let stamped = clock.stamp(&spec, &[text], None, 3, 90_000);
        assert_eq!(stamped.fallback, [1, 2]);
        assert_eq!(stamped.event_time[1], 90_000 * NS_PER_MS);
        assert_eq!(clock.watermark(), NS_PER_SEC);
    }

    #[test]
    fn times_outside_the_range_are_bad() {
        let spec = spec(0, TimeFormat::EpochSeconds);
        let mut clock = PartitionClock::new(&spec);
        let stamped = clock.stamp(&spec, &[Column::ints(vec![i64::MAX, 1], None)], None, 2, 0);
        assert_eq!(stamped.fallback, [0]);
        assert_eq!(clock.watermark(), NS_PER_SEC);
    }
}
