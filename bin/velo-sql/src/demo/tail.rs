//! Reads the topics the jobs write, as any consumer would: all partitions from their start, in no group.
//!
//! Reading never waits, but for the end of the run: then everything the topics hold is read.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use velostream_kafka::Kafka;
use velostream_types::topic::{Broker, Client, Fetch, FetchFrom, FetchSpec, TopicPartition};
use velostream_types::{Fatal, SlabKind, SourcePoll};

/// How long the last records may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest pause between two looks: a wake may come before its records can be polled.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes per slab: a few hundred rows.
const SLAB_BYTES: usize = 64 << 10;

/// Where a record stood: number of its topic, partition.
pub type At = (usize, usize);

/// The reader.
pub struct Tail {
    client: Client,
    /// Names and partitions.
    topics: Vec<(String, u32)>,
    fetch: Box<dyn Fetch>,
    news: Receiver<()>,
}

impl Tail {
    /// Reads these topics, which have so many partitions.
    pub fn open(client: &Client, group: &str, topics: &[(String, u32)]) -> Result<Tail, Fatal> {
        let (tell, news) = sync_channel(1);
        let from = |(topic, partition): (&String, u32)| FetchFrom {
            at: TopicPartition { topic: topic.clone(), partition },
            from: 0,
            until: None,
        };
        let spec = FetchSpec {
            client: client.clone(),
            group: group.to_owned(),
            partitions: topics.iter().flat_map(|(topic, n)| (0..*n).map(move |p| (topic, p))).map(from).collect(),
            headers: false,
            slab_bytes: SLAB_BYTES,
        };
        let wake = Arc::new(move || {
            // A full channel means that it was told already.
            let _ = tell.try_send(());
        });
        Ok(Tail { client: client.clone(), topics: topics.to_vec(), fetch: Kafka.fetch(spec, wake)?, news })
    }

    /// Takes what came since.
    pub fn read(&mut self, take: &mut dyn FnMut(At, &Value)) -> Result<(), Fatal> {
        for (index, at) in places(&self.topics).into_iter().enumerate() {
            while let SourcePoll::Slab(slab) = self.fetch.poll(index)? {
                let SlabKind::Records(records) = &slab.kind else { continue };
                for (start, end) in records.iter().filter_map(|record| record.value) {
                    let bytes = &slab.bytes[start as usize..end as usize];
                    take(at, &serde_json::from_slice(bytes).unwrap_or(Value::Null));
                }
            }
        }
        Ok(())
    }

    /// Takes everything the topics hold now.
    pub fn read_all(&mut self, take: &mut dyn FnMut(At, &Value)) -> Result<(), Fatal> {
        let mut ends = Vec::new();
        for (topic, partitions) in &self.topics {
            ends.extend(Kafka.bounds(&self.client, topic, *partitions)?.into_iter().map(|bounds| bounds.end));
        }
        let begun = now();
        loop {
            self.read(take)?;
            let behind = (0..ends.len()).any(|index| self.fetch.stats(index).position < ends[index]);
            if !behind {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                let brokers = self.client.brokers();
                return Err(Fatal::new(format!(
                    "{brokers} did not hand out the last records of the jobs within {} s; look whether it is well, \
                     and run the demo again",
                    PATIENCE.as_secs()
                )));
            }
            // News or not: what has come is looked at.
            let _ = self.news.recv_timeout(LOOK);
        }
    }

    /// What the client has to say.
    pub fn notices(&mut self) -> Vec<String> {
        self.fetch.notices()
    }
}

/// Topic and partition of each fetched partition.
fn places(topics: &[(String, u32)]) -> Vec<At> {
    let of = |(topic, (_, partitions)): (usize, &(String, u32))| (0..*partitions as usize).map(move |p| (topic, p));
    topics.iter().enumerate().flat_map(of).collect()
}

#[expect(clippy::disallowed_methods, reason = "waiting for the network has a limit; nothing in the engine sees it")]
fn now() -> Instant {
    Instant::now()
}
