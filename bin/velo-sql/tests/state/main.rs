//! Runs that keep their state, from outside: killed, stopped, damaged, and refused where they could not go on exactly.

mod damage;
mod feed;
mod refused;
mod resume;
#[path = "../../../../harness/tests/support/share.rs"]
mod share;
mod stops;
#[expect(dead_code, reason = "shared with the suite of the command line")]
#[path = "../cli/world.rs"]
mod world;
