//! Writing records: one producer per core and cluster, behind `velostream_types::topic::Produce`.

mod alone;
mod handle;
mod marks;
mod rdkafka;

pub(crate) use rdkafka::RdkafkaProduce;
