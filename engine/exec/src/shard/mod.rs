//! One shard of an app: a state machine that the driver turns.

mod io;

pub use io::{Demand, Envelope, Inbox, Outbox, Progress, Write};
