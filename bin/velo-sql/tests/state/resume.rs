//! kill -9 at random moments, again and again, until the run is complete: the output is that of a run nobody touched.
//!
//! 200 kills with `VELO_SHARE=1`, else its part of them; `VELO_KILLS` says another number, `VELO_SEED` another seed. Each
//! start draws its number of shards, and how many checkpoints it is let to take before its kill; the input is as long as
//! that takes. At least three quarters of the kills must hit a run behind a checkpoint that has state in it.

use crate::feed::{APP, Rng, checkpoints, files, outputs, same};
use crate::lives::{killed, now, number};
use crate::share::share_of;
use crate::world::World;

/// Rows of each of the three files.
const ROWS: u64 = 60_000;

const RUN: [&str; 8] = ["run", "app.sql", "--state", "state", "--checkpoint", "50ms", "--batch-rows", "16"];

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
        while done < kills && killed(&world, &RUN, &mut rng) {
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
