//! A broker's partition as a source: several partitions of one cluster share one fetcher per shard.

use std::cell::RefCell;
use std::rc::Rc;

use velostream_types::topic::{Fetch, FetchStats};
use velostream_types::{Fatal, PartitionSource, SourcePoll};

/// What the partitions of one cluster share on a shard.
pub type SharedFetch = Rc<RefCell<Box<dyn Fetch>>>;

/// One partition.
pub struct TopicPartitionSource {
    fetch: SharedFetch,
    index: usize,
}

impl TopicPartitionSource {
    /// Partition number `index` of the fetcher.
    pub fn new(fetch: SharedFetch, index: usize) -> TopicPartitionSource {
        TopicPartitionSource { fetch, index }
    }
}

impl PartitionSource for TopicPartitionSource {
    fn poll(&mut self, _consumed: usize, _grow: bool) -> Result<SourcePoll, Fatal> {
        self.fetch.borrow_mut().poll(self.index)
    }

    fn stats(&self) -> Option<FetchStats> {
        Some(self.fetch.borrow().stats(self.index))
    }

    fn notices(&mut self) -> Vec<String> {
        self.fetch.borrow_mut().notices()
    }
}
