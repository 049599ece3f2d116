//! Damaged checkpoints: every flipped bit and every missing end is found, and the one before takes its place.

use velostream_runtime::job::checkpoint::verify;

use crate::feed::{Rng, checkpoint_file, checkpoints, small, stopped};
use crate::world::World;

/// The whole output of the small app.
fn want(world: &World) -> String {
    world.run(&["run", "app.sql"]).ok();
    world.read("w.csv")
}

fn newest(world: &World) -> (u64, Vec<u8>) {
    let number = *checkpoints(&world.path("state")).last().expect("a checkpoint");
    (number, std::fs::read(world.path(&checkpoint_file(number))).expect("readable"))
}

#[test]
fn flips_and_cuts_are_found() {
    let begin = clock();
    let world = small();
    stopped(&world);
    let (number, bytes) = newest(&world);
    let whole = verify(&bytes).expect("undamaged");
    assert_eq!((whole.number, whole.complete), (number, false));
    assert!(whole.records > 0 && whole.tables > 0, "{whole:?}");
    let (seed, flips) = (11, 1_000);
    let mut rng = Rng(seed);
    for _ in 0..flips {
        let bit = rng.below(bytes.len() as u64 * 8);
        let mut flipped = bytes.clone();
        flipped[(bit / 8) as usize] ^= 1 << (bit % 8);
        assert!(verify(&flipped).is_err(), "bit {bit} of {} bytes", bytes.len());
    }
    for part in 0..100 {
        assert!(verify(&bytes[..bytes.len() * part / 100]).is_err(), "{part} hundredths");
    }
    println!("suite checkpoint_flips cases {flips} seed {seed} seconds {:.1}", begin.elapsed().as_secs_f64());
}

#[expect(clippy::disallowed_methods, reason = "how long the suite took")]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}

/// Damages the newest checkpoint and goes on.
fn goes_on(damage: impl Fn(&mut Vec<u8>), reason: &str) {
    let world = small();
    let want = want(&world);
    std::fs::remove_file(world.path("w.csv")).expect("it is there");
    stopped(&world);
    let (number, mut bytes) = newest(&world);
    damage(&mut bytes);
    world.put(&checkpoint_file(number), &bytes);
    let before = checkpoints(&world.path("state"));
    let ran = world.run(&["run", "app.sql", "--state", "state", "--shards", "2"]);
    let named = format!("checkpoint-{number:010}");
    assert!(ran.err.contains(&named) && ran.err.contains(reason), "{}", ran.err);
    let used = format!("going on from checkpoint {}", before[before.len() - 2]);
    assert!(ran.err.contains(&used), "{used}: {}", ran.err);
    ran.ok();
    assert_eq!(world.read("w.csv"), want);
    assert!(!world.path(&checkpoint_file(number)).exists(), "what is of no use is gone");
}

#[test]
fn the_one_before_takes_the_place_of_a_damaged_one() {
    goes_on(
        |bytes| {
            let at = bytes.len() / 2;
            bytes[at] ^= 1
        },
        "checksum",
    );
    goes_on(|bytes| bytes.truncate(bytes.len() * 2 / 3), "ends early");
    goes_on(Vec::clear, "ends early");
}

#[test]
fn without_a_usable_one_nothing_begins_again_by_itself() {
    let world = small();
    stopped(&world);
    let partial = world.read("w.csv.partial");
    for number in checkpoints(&world.path("state")) {
        let mut bytes = std::fs::read(world.path(&checkpoint_file(number))).expect("readable");
        bytes[20] ^= 4;
        world.put(&checkpoint_file(number), &bytes);
    }
    let ran = world.run(&["run", "app.sql", "--state", "state"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("no checkpoint in state can be used") && ran.err.contains("remove the folder"),
        "{}",
        ran.err
    );
    assert_eq!(world.read("w.csv.partial"), partial, "what was written is left alone");
}
