//! Reading partitions: one reader per core and cluster, behind `velostream_types::topic::Fetch`.

mod batch;
mod rdkafka;
mod recover;
mod slab;

pub(crate) use rdkafka::RdkafkaFetch;
