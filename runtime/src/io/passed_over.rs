//! Bad records that are passed over by `failure_strategy = LogAndContinue`: the log tells of the first at once, then at
//! most once a second how many there were and what was wrong with the last one.

use std::time::{Duration, Instant};

/// Time between two lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Of one source or sink on one shard.
#[derive(Debug, Default)]
pub struct PassedOver {
    waiting: u64,
    last: String,
    said: Option<Instant>,
}

impl PassedOver {
    /// So many more, and what was wrong with the last.
    pub fn add(&mut self, records: u64, last: String) {
        self.waiting += records;
        self.last = last;
    }

    /// The line that is due, if one is; `at_end`: whatever is left to say.
    pub fn take(&mut self, now: Instant, at_end: bool) -> Option<String> {
        let is_due = self.said.is_none_or(|said| now.saturating_duration_since(said) >= PAUSE);
        if self.waiting == 0 || !(is_due || at_end) {
            return None;
        }
        self.said = Some(now);
        let last = &self.last;
        Some(match std::mem::take(&mut self.waiting) {
            1 => format!("passed over a bad record: {last}"),
            records => format!("passed over {records} bad records, the last: {last}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    #[test]
    fn a_line_a_second_with_everything_since_the_last() {
        let start = monotonic();
        let mut passed = PassedOver::default();
        let mut check = |add: &[&str], ms, at_end, want: Option<&str>| {
            add.iter().for_each(|text| passed.add(1, text.to_string()));
            assert_eq!(passed.take(start + Duration::from_millis(ms), at_end).as_deref(), want, "{add:?} at {ms} ms");
        };
        check(&[], 0, true, None);
        check(&["a"], 0, false, Some("passed over a bad record: a"));
        check(&["b", "c"], 999, false, None);
        check(&[], 1_000, false, Some("passed over 2 bad records, the last: c"));
        check(&["d"], 1_001, false, None);
        check(&[], 1_002, true, Some("passed over a bad record: d"));
        check(&[], 9_000, true, None);
    }
}
