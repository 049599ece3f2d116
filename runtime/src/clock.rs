//! The time of day for shards: the system's, or one fixed by `--now`.

use std::time::{SystemTime, UNIX_EPOCH};

use velostream_types::Clock;

/// Where a run takes its time of day from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunClock {
    /// The system's clock.
    #[default]
    System,
    /// Always this time, ns since 1970.
    Fixed(i64),
}

impl RunClock {
    /// TRUE when waiting brings another time.
    pub fn runs(self) -> bool {
        self == RunClock::System
    }
}

impl Clock for RunClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port the time of day comes through")]
    fn now_ns(&self) -> i64 {
        match self {
            RunClock::Fixed(ns) => *ns,
            RunClock::System => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
                Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
            },
        }
    }
}

/// The monotonic clock, for waits and time-outs of the housekeeping thread; never for data.
#[expect(clippy::disallowed_methods, reason = "waits are measured outside the engine")]
pub fn monotonic() -> std::time::Instant {
    std::time::Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_stands_still_and_system_is_this_century() {
        assert_eq!(RunClock::Fixed(7).now_ns(), 7);
        assert!(RunClock::System.now_ns() > 1_600_000_000_000_000_000);
    }
}
