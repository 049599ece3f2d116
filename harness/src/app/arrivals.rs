//! When batches of outputs came into the embedded broker: latencies count from a record's event time to that.
//!
//! The run's clock stands at `now` when the first inputs are published, and goes on from there as the wall clock does.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use velostream_runtime::clock::monotonic;

/// Batches of one partition: offset of the first record, and when it came.
type Batches = Vec<(i64, i64)>;

/// Notes of when batches came, by topic and partition.
#[derive(Debug)]
pub struct Arrivals {
    now_ms: i64,
    begun: Instant,
    batches: Mutex<BTreeMap<(String, u32), Batches>>,
}

impl Arrivals {
    /// The run's clock stands at `now_ms` now.
    pub fn new(now_ms: i64) -> Arrivals {
        Arrivals { now_ms, begun: monotonic(), batches: Mutex::default() }
    }

    /// A batch that begins with this offset came.
    pub fn note(&self, topic: &str, partition: u32, first: i64) {
        let elapsed = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        let at = self.now_ms.saturating_add(elapsed);
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.entry((topic.to_owned(), partition)).or_default().push((first, at));
    }

    /// When the record at this offset came.
    pub fn of(&self, topic: &str, partition: u32, offset: i64) -> Option<i64> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let batches = batches.get(&(topic.to_owned(), partition))?;
        let behind = batches.partition_point(|(first, _)| *first <= offset);
        batches.get(behind.checked_sub(1)?).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_came_with_its_batch() {
        let arrivals = Arrivals::new(1_000);
        arrivals.note("t", 0, 5);
        arrivals.note("t", 0, 9);
        assert_eq!((arrivals.of("t", 0, 4), arrivals.of("t", 1, 5), arrivals.of("u", 0, 5)), (None, None, None));
        let came = [5, 8, 9, 99].map(|offset| arrivals.of("t", 0, offset));
        assert!(came.iter().all(|at| at.is_some_and(|at| at >= 1_000)), "{came:?}");
        assert_eq!((came[0] == came[1], came[2] == came[3], came[0] <= came[2]), (true, true, true));
    }
}
