//! The demo: its counts agree, and the same seed gives the same text on every layout.

use crate::world::{World, send};

fn demo(args: &[&str]) -> String {
    let ran = World::new().run(&[&["demo"], args].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    ran.out
}

#[test]
fn the_same_seed_gives_the_same_text_on_every_layout() {
    let first = demo(&["--records", "20000", "--shards", "1"]);
    assert!(first.contains("20,000 trades made") && first.contains("shares and notional values agree"), "{first}");
    assert!(first.contains("ALERT "), "{first}");
    for shards in ["1", "2", "4"] {
        for runtime in ["auto", "threads"] {
            let again = demo(&["--records", "20000", "--shards", shards, "--runtime", runtime]);
            assert_eq!(first, again, "--shards {shards} --runtime {runtime}");
        }
    }
    assert_ne!(first, demo(&["--records", "20000", "--seed", "7"]));
}

#[test]
fn many_trades_go_through() {
    let text = demo(&["--records", "400000", "--rate", "100000", "--shards", "2"]);
    assert!(text.contains("400,000 trades made"), "{text}");
}

#[test]
fn in_real_time_it_ends_by_itself() {
    let text = demo(&["--seconds", "1", "--rate", "2000"]);
    assert!(text.contains("trades made") && text.contains("agree"), "{text}");
}

#[test]
fn a_signal_ends_it_with_everything_counted() {
    use std::io::{BufRead, BufReader, Read};
    let world = World::new();
    let mut child = world.start(&["demo", "--seconds", "600"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    out.read_line(&mut text).unwrap();
    assert!(text.contains("bars"), "{text}");
    send(&child, "-INT");
    out.read_to_string(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("shares and notional values agree"), "{text}");
}
