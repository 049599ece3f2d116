//! Lives of a run that keeps its state: each ends by kill -9 at a random moment.

use std::time::{Duration, Instant};

use crate::feed::{Rng, checkpoints};
use crate::world::World;

/// A number that the environment gives.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|n| n.parse().ok())
}

#[expect(clippy::disallowed_methods, reason = "the moment of a kill is drawn in time")]
pub fn now() -> Instant {
    Instant::now()
}

/// One life on a random number of shards; FALSE when it came to its end before it could be killed.
pub fn killed(world: &World, run: &[&str], rng: &mut Rng) -> bool {
    let shards = ["1", "2", "4"][rng.below(3) as usize];
    let args = [run, &["--shards", shards]].concat();
    let folder = world.path("state");
    let begin = checkpoints(&folder).last().copied().unwrap_or(0);
    let (wanted, later) = (begin + rng.below(4), Duration::from_micros(rng.below(60_000)));
    let mut child = world.start(&args);
    let mut due: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            let output = child.wait_with_output().expect("it ended");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(status.success(), "with {shards} shards: {said}");
            return false;
        }
        let there = checkpoints(&folder).last().is_some_and(|last| *last >= wanted);
        match due {
            None if there => due = Some(now() + later),
            Some(due) if now() >= due => break,
            _ => std::thread::park_timeout(Duration::from_micros(500)),
        }
    }
    child.kill().expect("it lives, or lived a moment ago");
    !child.wait().expect("it is gone").success()
}
