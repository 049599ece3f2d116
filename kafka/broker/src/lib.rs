//! The embedded broker: Kafka's wire protocol on loopback, in this process or as `velo-test broker`.
//!
//! ```text
//! server     listeners, frames, dispatch, one file per group of requests; the only part with threads and a clock
//! topics     which topics exist, who leads their partitions, their configuration
//! store      one partition's log: batches as they came, segments, retention, compaction, recovery
//! group      consumer groups and their offsets      \ pure state machines,
//! txn        transactional ids, producer ids        / rebuilt from
//! journal    the file that remembers topics, groups, offsets and transactions
//! fault      what goes wrong on demand
//! broker     configuration, start and stop
//! direct     calls from the same process, without a socket
//! ```
//!
//! A broker has one store and as many nodes as asked for: each is a listener with a node id, leads some partitions and
//! answers NOT_LEADER_OR_FOLLOWER for the others, so that leaders can move without data moving.

mod broker;
mod direct;
pub mod errors;
mod fault;
pub mod group;
pub mod journal;
mod server;
pub mod store;
mod topics;
pub mod txn;

pub use broker::{Broker, BrokerConfig, BrokerError, Stats};
pub use direct::{Direct, DirectError};
pub use fault::{Fault, FaultError};
pub use server::FRAME_BYTES_MAX;
pub use store::{BatchBuilder, Spill, StoredRecord};
pub use topics::{TOPIC_NAME_MAX, TopicNameError, check_topic_name};
