//! Runs that keep their state, from outside: killed, stopped, damaged, and refused where they could not go on exactly;
//! over files and over topics of the embedded broker.

mod damage;
mod feed;
#[expect(dead_code, reason = "shared with the suites over topics")]
#[path = "../kafka/world.rs"]
mod kafka;
mod lives;
mod refused;
mod resume;
#[path = "../../../../harness/tests/support/share.rs"]
mod share;
mod stops;
mod topic_kills;
mod topic_logs;
mod topic_runs;
mod topic_world;
#[expect(dead_code, reason = "shared with the suite of the command line")]
#[path = "../cli/world.rs"]
mod world;
