//! What lanes tell beside barriers: how far partitions were read, where they stand in their logs, lines for the log.

use std::collections::BTreeMap;

use velostream_exec::shard::PartitionProgress;
use velostream_types::topic::FetchStats;
use velostream_types::{PartitionId, SourceId};

use crate::driver::News;

/// Where each partition was last seen in its log.
pub type Stands = BTreeMap<(SourceId, PartitionId), FetchStats>;

/// The newest of each kind.
#[derive(Default)]
pub struct Seen {
    stands: Stands,
    read: BTreeMap<(SourceId, PartitionId), PartitionProgress>,
    said: Vec<String>,
}

impl Seen {
    /// Takes what belongs here; answers the rest.
    pub fn take(&mut self, news: News) -> Option<News> {
        match news {
            News::Read(partitions) => self.read.extend(partitions.into_iter().map(|p| ((p.source, p.partition), p))),
            News::Stands(source, partition, stats) => drop(self.stands.insert((source, partition), stats)),
            News::Say(text) => self.said.push(text),
            other => return Some(other),
        }
        None
    }

    /// Where each partition was last seen in its log.
    pub fn stands(&self) -> &Stands {
        &self.stands
    }

    /// How far each partition was read, as last seen.
    pub fn read(&self) -> impl Iterator<Item = &PartitionProgress> {
        self.read.values()
    }

    /// What sources and sinks said since the last call.
    pub fn take_said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }
}
