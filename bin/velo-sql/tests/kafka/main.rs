//! `velo-sql run` over topics, against the embedded broker: the same results as over files, restarts that lose nothing
//! and emit no partial window, kills at random moments, a broker that keeps failing.
//!
//! With `VELO_KAFKA=host:port` the layouts also run on a real broker.

mod away;
mod cut;
mod dead_letters;
mod doors;
mod faults;
mod identity;
mod kills;
mod layouts;
mod lost;
mod refused;
mod restarts;
mod tables;
mod view;
mod world;
