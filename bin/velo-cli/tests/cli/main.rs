//! The binary from outside: usage, settings and their order, and what it says when there is no broker. `story` walks
//! through all commands on a broker; `VELOSTREAM_TEST_BROKERS` names one.

mod mistakes;
mod story;
mod world;
