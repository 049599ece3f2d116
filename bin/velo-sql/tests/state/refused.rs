//! What a run with state refuses: everything after which its output would not be that of an uninterrupted run.

use crate::feed::{checkpoint_file, checkpoints, small, stopped};
use crate::world::{World, until};

fn refused(world: &World, args: &[&str], code: i32, words: &[&str]) {
    let ran = world.run(args);
    assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.err);
    for word in words {
        assert!(ran.err.contains(word), "{word:?} in {}", ran.err);
    }
}

const AGAIN: [&str; 4] = ["run", "app.sql", "--state", "state"];

#[test]
fn wrong_usage() {
    let world = small();
    refused(&world, &["run", "app.sql", "--checkpoint", "5s"], 2, &["--state <FOLDER>"]);
    refused(&world, &["run", "app.sql", "--state", "s", "--checkpoint", "5"], 2, &["needs a unit"]);
    refused(&world, &["run", "app.sql", "--state", "s", "--checkpoint", "1ms"], 2, &["between 10ms and 24h"]);
}

#[test]
fn output_that_cannot_be_taken_back() {
    let world = World::with(&[("in.csv", "a\n1\n")]);
    let check = |sql: &str, words: &[&str]| refused(&world, &["run", "--state", "s", "-e", sql], 1, words);
    check("SELECT a FROM 'in.csv'", &["standard output", "what was printed cannot be taken back"]);
    check("SELECT a FROM 'in.csv' INTO '/dev/null'", &["no regular file"]);
    let memory = "CREATE STREAM m AS SELECT a FROM 'in.csv' WITH ('m.type' = 'memory', 'm.topic' = 'm')";
    check(memory, &["in-memory topic m", "ends with the process"]);
    let letters = "SELECT a FROM 'in.csv' INTO 'kafka://127.0.0.1:1/out' WITH ('dead.letter.queue.path' = 'd.jsonl')";
    check(letters, &["the topic out, with its dead letters in a file", "give its dead letters a topic"]);
}

#[test]
fn another_app() {
    let world = small();
    stopped(&world);
    let app = world.read("app.sql");
    world.put("app.sql", app.replace("COUNT(*)", "MAX(k)"));
    refused(&world, &AGAIN, 1, &["checkpoint", "another app", "line 2 was", "COUNT(*)", "MAX(k)", "remove this one"]);
    world.put("app.sql", &app);
    let set = [&AGAIN[..], &["--set", "watermark.max_out_of_orderness=5s"]].concat();
    refused(&world, &set, 1, &["another app", "a property, setting or variable"]);
    refused(&world, &[&AGAIN[..], &["--follow"]].concat(), 1, &["it ran without --follow and runs with --follow"]);
    world.run(&AGAIN).ok();
}

#[test]
fn changed_files() {
    let check = |change: &dyn Fn(&World), words: &[&str]| {
        let world = small();
        stopped(&world);
        change(&world);
        refused(&world, &AGAIN, 1, words);
    };
    let input = |world: &World| world.read("in.csv");
    check(&|w| w.put("in.csv", &input(w)[..100]), &["in.csv has 100 bytes", "it is not what was read"]);
    check(&|w| w.put("in.csv", input(w).replace('K', "J")), &["in.csv was changed"]);
    check(&|w| std::fs::remove_file(w.path("w.csv.partial")).expect("it is there"), &["w.csv.partial is gone"]);
    check(&|w| w.put("w.csv.partial", "k"), &["w.csv.partial has 1 bytes", "put back what was there"]);
    check(
        &|w| {
            for number in checkpoints(&w.path("state")) {
                w.put(&checkpoint_file(number), "");
            }
        },
        &["no checkpoint in state can be used"],
    );
}

#[test]
fn files_that_appear_are_told_and_left_to_another_run() {
    let world = small();
    let sql = crate::feed::SMALL.replace("in.csv", "in*.csv");
    world.put("app.sql", sql);
    stopped(&world);
    world.put("in0.csv", "k,ts\nNEW,1700000000000\n");
    let ran = world.run(&AGAIN);
    assert!(ran.err.contains("in0.csv appeared since this run began and is not part of it"), "{}", ran.err);
    ran.ok();
    let rows = world.read("w.csv");
    assert!(!rows.contains("NEW") && rows.lines().count() == 1 + 400 * 7, "{}", rows.lines().count());
}

#[test]
fn a_folder_serves_one_run_at_a_time() {
    let world = small();
    let follow = ["run", "--follow", "--state", "state", "-e", "SELECT k FROM 'in.csv' INTO 'out.csv'"];
    let child = world.start(&follow);
    until("the folder is in use", || !checkpoints(&world.path("state")).is_empty());
    refused(&world, &AGAIN, 1, &["in use by another run"]);
    crate::world::end(child, "-TERM");
}
