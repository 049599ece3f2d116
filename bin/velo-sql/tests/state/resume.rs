//! kill -9 at random moments, again and again, until the run is complete: the output is that of a run nobody touched.
//!
//! 200 kills with `VELO_SHARE=1`, else its part of them; `VELO_KILLS` says another number, `VELO_SEED` another seed. Each
//! start draws its number of shards, and how many checkpoints it is let to take before its kill; the input is as long as
//! that takes. At least three quarters of the kills must hit a run behind a checkpoint that has state in it.

use std::time::{Duration, Instant};

use crate::feed::{APP, Rng, checkpoints, files, outputs, same};
use crate::share::share_of;
use crate::world::World;

/// Rows of each of the three files.
const ROWS: u64 = 60_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|n| n.parse().ok())
}

/// One life; FALSE when it came to its end before it could be killed.
fn killed(world: &World, rng: &mut Rng) -> bool {
    let shards = ["1", "2", "4"][rng.below(3) as usize];
    let args = ["run", "app.sql", "--state", "state", "--checkpoint", "50ms", "--batch-rows", "16", "--shards", shards];
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

#[expect(clippy::disallowed_methods, reason = "the moment of a kill is drawn in time")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn killed_runs_give_what_an_uninterrupted_one_gives() {
    let kills = number("VELO_KILLS").unwrap_or_else(|| share_of(200, 20));
    let seed = number("VELO_SEED").unwrap_or(7);
    let begin = now();
    let world = World::with(&[("app.sql", APP)]);
    files(&world, ROWS);
    world.run(&["run", "app.sql", "--shards", "1"]).ok();
    let want = outputs(&world);
    let empty: Vec<&str> = want.iter().filter(|(_, lines)| lines.iter().flatten().count() < 2).map(|of| of.0).collect();
    assert!(empty.is_empty(), "{empty:?} show nothing");
    let mut rng = Rng(seed);
    let (mut done, mut behind, mut runs) = (0, 0, 0);
    while done < kills {
        clear(&world);
        while done < kills && killed(&world, &mut rng) {
            done += 1;
            // Checkpoint 1 stands before the first row.
            behind += u64::from(checkpoints(&world.path("state")).last().is_some_and(|last| *last > 1));
        }
        world.run(&["run", "app.sql", "--state", "state", "--shards", "2"]).ok();
        same(&outputs(&world), &want, &format!("run {runs}, kill {done}, seed {seed}"));
        let left = world.files().into_iter().filter(|name| name.ends_with(".partial")).count();
        assert_eq!(left, 0, "all files have their names");
        runs += 1;
    }
    println!("{done} kills of {runs} runs, {behind} behind a checkpoint with state");
    println!("suite resume cases {done} seed {seed} seconds {:.1}", begin.elapsed().as_secs_f64());
    assert!(behind * 4 >= done * 3, "kills hit runs behind a checkpoint: {behind} of {done}");
}

/// Takes away what a run left.
fn clear(world: &World) {
    let _ = std::fs::remove_dir_all(world.path("state"));
    for name in world.files() {
        if !name.starts_with("in-") && name != "app.sql" {
            std::fs::remove_file(world.path(&name)).expect("a file that was there");
        }
    }
}
