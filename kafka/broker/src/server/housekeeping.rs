//! What happens without a request: session, rebalance and transaction time-outs when they are due, retention and
//! compaction every few seconds.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::transactions::write_markers;
use super::{Shared, now_ms};
use crate::topics::lock;

/// How long housekeeping sleeps at most, and how long a listener rests that cannot accept.
const PAUSE: Duration = Duration::from_millis(200);

/// When housekeeping is due next; others may ask for it sooner.
#[derive(Default)]
pub(crate) struct Alarm {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    at_ms: i64,
    stopped: bool,
}

impl Alarm {
    /// Housekeeping runs at this time or before.
    pub(crate) fn not_after(&self, at_ms: i64) {
        let mut state = lock(&self.state);
        if at_ms < state.at_ms {
            state.at_ms = at_ms;
            self.changed.notify_all();
        }
    }

    /// Housekeeping ends, and nobody pauses any more.
    pub(crate) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.changed.notify_all();
    }

    /// Rests a little, or until the broker stops.
    pub(crate) fn pause(&self) {
        self.rest(PAUSE);
    }

    /// Rests this long, or until the broker stops.
    pub(crate) fn rest(&self, time: Duration) {
        let result = self.changed.wait_timeout_while(lock(&self.state), time, |state| !state.stopped);
        drop(result.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until `at_ms` or what `not_after` asked for. FALSE: the broker stops.
    fn wait_until(&self, at_ms: i64) -> bool {
        let mut state = lock(&self.state);
        state.at_ms = at_ms;
        loop {
            let left = state.at_ms - now_ms();
            if state.stopped || left <= 0 {
                return !state.stopped;
            }
            let result = self.changed.wait_timeout(state, Duration::from_millis(left as u64));
            state = result.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The housekeeping thread.
pub(crate) fn run(shared: &Shared) {
    let mut maintain_ms = now_ms() + shared.config.maintain_every_ms;
    loop {
        // One lock after the other, never both.
        let groups_ms = lock(&shared.groups).next_deadline();
        let transactions_ms = lock(&shared.transactions).next_deadline();
        let next_ms = [groups_ms, transactions_ms].into_iter().flatten().fold(maintain_ms, i64::min);
        if !shared.alarm.wait_until(next_ms) {
            return;
        }
        // Errors are logged where they arise; the next round tries again.
        let _ = shared.with_groups(|groups, now_ms| groups.tick(now_ms));
        let _ = shared.with_transactions(|transactions, now_ms| transactions.tick(now_ms));
        write_markers(shared);
        if now_ms() >= maintain_ms {
            maintain(shared);
            maintain_ms = now_ms() + shared.config.maintain_every_ms;
        }
        // A deadline that stays in the past must not turn this into a busy loop.
        shared.alarm.rest(Duration::from_millis(1));
    }
}

/// Rolls, deletes and compacts segments of every partition.
fn maintain(shared: &Shared) {
    for topic in shared.topics.all() {
        for partition in &topic.partitions {
            let result = {
                let mut log = lock(&partition.log);
                if partition.deleted() || shared.stopping() { continue } else { log.maintain(now_ms()) }
            };
            if let Err(error) = result {
                shared.log(&format!("maintenance of {}-{} failed: {error}", topic.name, partition.index));
            }
        }
    }
}
