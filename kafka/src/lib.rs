//! Kafka: bytes in, bytes out. Knows no columns; the only crate that may import rdkafka.
//!
//! What stands here so far is the part that needs no client: where a key goes. Sources and sinks follow.

mod partitioner;

pub use partitioner::{murmur2, partition_of};
