//! Stops, completion, what is remembered and what the summary says.

use crate::feed::{checkpoints, small, stopped};
use crate::world::{World, end, size, until};

#[test]
fn a_stopped_run_goes_on_and_a_complete_one_is_left_alone() {
    let world = small();
    world.run(&["run", "app.sql"]).ok();
    let want = world.read("w.csv");
    std::fs::remove_file(world.path("w.csv")).expect("it is there");
    let said = stopped(&world);
    assert!(said.contains("w.csv.partial") && said.contains("the same command goes on from checkpoint"), "{said}");
    assert!(!world.path("w.csv").exists());
    let ran = world.run(&["run", "app.sql", "--state", "state", "--output-format", "json"]);
    let summary = ran.summary();
    assert_eq!(summary["status"], "completed", "{summary}");
    let told = &summary["checkpoints"];
    assert!(told["resumed_from"].as_u64().is_some_and(|n| n >= 3), "{told}");
    assert_eq!((&told["complete"], &told["was_complete"]), (&true.into(), &false.into()));
    // The stop took a checkpoint of its own: nothing is read twice, and all rows are read.
    assert!(summary["rows_in"].as_u64().is_some_and(|rows| rows < 200_000), "{summary}");
    assert_eq!(world.read("w.csv"), want);
    assert!(checkpoints(&world.path("state")).len() <= 3, "the newest three are kept");
    world.put("w.csv", "mine now");
    let ran = world.run(&["run", "app.sql", "--state", "state"]);
    assert!(ran.err.contains("complete since an earlier run; nothing was done"), "{}", ran.err);
    ran.ok();
    assert_eq!(world.read("w.csv"), "mine now");
}

#[test]
fn what_is_appended_to_is_cut_back_to_where_it_was() {
    let world = small();
    let sql = crate::feed::SMALL.replace("'w.path' = 'w.csv'", "'w.path' = 'w.csv', 'w.append' = 'true'");
    world.put("app.sql", sql);
    world.put("w.csv", "k,w,n\nbefore,1,1");
    stopped(&world);
    assert!(size(&world.path("w.csv")) > 20, "rows appear in place");
    world.append("w.csv", "rows of a dead process");
    world.run(&["run", "app.sql", "--state", "state"]).ok();
    let rows = world.read("w.csv");
    assert!(rows.starts_with("k,w,n\nbefore,1,1\nK0,") && !rows.contains("dead"), "{}", &rows[..60]);
    assert_eq!(rows.lines().count(), 2 + 400 * 7);
}

#[test]
fn a_followed_run_goes_on_with_what_came_meanwhile() {
    let world = World::with(&[("in.csv", "a\n1\n")]);
    let args =
        ["run", "--follow", "--state", "state", "--checkpoint", "20ms", "-e", "SELECT a FROM 'in.csv' INTO 'out.csv'"];
    let child = world.start(&args);
    until("the first row is written", || size(&world.path("out.csv")) >= 4);
    assert_eq!(end(child, "-TERM").code, Some(0));
    world.append("in.csv", "2\n");
    let child = world.start(&args);
    until("the second row is written", || size(&world.path("out.csv")) >= 6);
    let ran = end(child, "-INT");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(world.read("out.csv"), "a\n1\n2\n");
}

#[test]
fn types_of_samples_are_remembered() {
    let world = World::with(&[("in.csv", "a\n1\n")]);
    let args = [
        "run",
        "--follow",
        "--state",
        "state",
        "--checkpoint",
        "20ms",
        "-e",
        "SELECT a + 1 AS b FROM 'in.csv' INTO 'out.csv'",
    ];
    let child = world.start(&args);
    until("the first row is written", || size(&world.path("out.csv")) >= 4);
    assert_eq!(end(child, "-TERM").code, Some(0));
    // A sample of this file would now say DECIMAL(3,2), and another plan.
    world.append("in.csv", "2.25\n");
    let child = world.start(&args);
    until("the second row is written", || size(&world.path("out.csv")) >= 6);
    let ran = end(child, "-TERM");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}
