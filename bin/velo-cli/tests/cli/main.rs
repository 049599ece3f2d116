//! The binary from outside: usage, settings and their order, and what it says when there is no broker. `story` walks
//! through all commands on a broker in this process; `VELOSTREAM_TEST_BROKERS` names another one.

mod mistakes;
mod story;
mod world;
