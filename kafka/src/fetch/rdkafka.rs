//! One core's reader through librdkafka: a consumer of its own with its own partitions, assigned with their offsets.
//! It never commits and belongs to no group but by name.
//!
//! Each partition has a queue ([`PartitionQueue`]); librdkafka's threads fill it up to two slabs and tell by a flag and
//! the core's wake. A poll that finds the flag down costs one load. So memory per partition is bounded by two slabs in
//! librdkafka, one answer of a broker and one slab here, however slow the reader is.
//!
//! Invariants: `Pending`, for a partition at its end, and `Behind`, for any other, are answered only after the
//! partition's queue was seen empty with its flag down, so that the next arrival wakes; positions rise but when a lost
//! offset is skipped; at `until` nothing more is handed out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use velostream_types::topic::{Fetch, FetchFrom, FetchSpec, FetchStats, TopicPartition, Wake};
use velostream_types::{Fatal, Remedy, SlabKind, SourcePoll};

use super::batch::{BATCH_MAX, Event, PartitionQueue, Slots};
use super::recover::{Incident, Outcome, Recovery};
use super::slab::Slabs;
use crate::config::{Role, client_config, not_created};
use crate::notices::Notices;

/// The reader of one core.
pub(crate) struct RdkafkaFetch {
    partitions: Vec<Partition>,
    slots: Slots,
    /// Something waits in the consumer's own queue: errors, statistics.
    news: Arc<AtomicBool>,
    wake: Wake,
    consumer: Arc<BaseConsumer<Notices>>,
}

struct Partition {
    at: TopicPartition,
    queue: PartitionQueue,
    /// Set by librdkafka's thread when the queue is no longer empty, and by an answer about an incident.
    arrived: Arc<AtomicBool>,
    slabs: Slabs,
    /// Next offset to hand out.
    position: i64,
    /// Next offset to take from the queue.
    read: i64,
    until: Option<i64>,
    /// The log's end was seen behind the last record.
    at_end: bool,
    ended: bool,
    lost: u64,
    recovery: Option<Recovery>,
    failed: Option<Fatal>,
}

impl RdkafkaFetch {
    /// Connects in the background; what is wrong with the brokers is told by polls and notices.
    pub(crate) fn open(spec: &FetchSpec, wake: Wake) -> Result<RdkafkaFetch, Fatal> {
        let mut config = client_config(&spec.client, &Role::Fetch { group: spec.group.clone() })?;
        configure(&mut config, spec.slab_bytes);
        let notices = Notices::new(&spec.client);
        let mut consumer: BaseConsumer<Notices> =
            config.create_with_context(notices).map_err(|error| not_created(&spec.client, &error))?;
        let news = Arc::new(AtomicBool::new(true));
        consumer.set_nonempty_callback(rouse(&news, &wake));
        let consumer = Arc::new(consumer);
        let open = |from: &FetchFrom| Partition::open(&consumer, from, spec, &wake);
        let partitions = spec.partitions.iter().map(open).collect::<Result<Vec<Partition>, Fatal>>()?;
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for Partition { at, read, .. } in partitions.iter().filter(|partition| !partition.ended) {
            list.add_partition_offset(&at.topic, at.partition as i32, Offset::Offset(*read))
                .map_err(|error| Fatal::new(format!("cannot read {} at offset {read}: {error}", name(at))))?;
        }
        consumer.assign(&list).map_err(|error| Fatal::new(format!("cannot assign partitions: {error}")))?;
        Ok(RdkafkaFetch { partitions, slots: Slots::new(), news, wake, consumer })
    }

    /// Errors and statistics of the client; messages never come here.
    fn serve(&mut self) -> Result<(), Fatal> {
        if !self.news.swap(false, Ordering::Acquire) {
            return Ok(());
        }
        // One event at a time, told to the notices by its callback; `None` alone does not mean that the queue is empty.
        loop {
            let heard = self.consumer.context().heard();
            let is_message = self.consumer.poll(Duration::ZERO).is_some();
            if !is_message && self.consumer.context().heard() == heard {
                break;
            }
        }
        match self.consumer.client().fatal_error() {
            Some((code, text)) => Err(Fatal::new(format!("Kafka at {}: {text} ({code})", self.cluster()))),
            None => Ok(()),
        }
    }

    fn cluster(&self) -> &str {
        self.consumer.context().cluster()
    }

    /// A partition at its end is fetched no further.
    fn stop_fetching(&self, index: usize) {
        let at = &self.partitions[index].at;
        let mut list = TopicPartitionList::new();
        list.add_partition(&at.topic, at.partition as i32);
        if let Err(error) = self.consumer.pause(&list) {
            self.consumer.context().say(format!("{} could not be paused at its end: {error}", name(at)));
        }
    }

    fn check_incident(&mut self, index: usize) -> Result<(), Fatal> {
        let partition = &mut self.partitions[index];
        let Some(outcome) = partition.recovery.as_ref().and_then(Recovery::outcome) else { return Ok(()) };
        partition.recovery = None;
        match outcome {
            Outcome::Resumed { at, lost } => {
                if lost > 0 {
                    let (from, last) = (at - lost as i64, at - 1);
                    self.consumer.context().say(format!(
                        "{}: offsets {from} to {last} were deleted before they were read ({lost} records lost); \
                         on from {at}",
                        name(&partition.at)
                    ));
                }
                partition.lost += lost;
                // Records from `at` on may have come before this answer.
                partition.read = partition.read.max(at);
                partition.settle();
                Ok(())
            }
            Outcome::Diverged { at, text } => {
                let partition = &mut self.partitions[index];
                let (place, end) = (name(&partition.at), (partition.at.clone(), at));
                let text = format!("{place} at {}: {text}", self.consumer.context().cluster());
                let fatal = Fatal::new(text).with(Remedy::Restart(vec![end]));
                partition.failed = Some(fatal.clone());
                Err(fatal)
            }
            Outcome::Failed(text) => {
                let fatal = Fatal::new(format!("{} at {}: {text}", name(&self.partitions[index].at), self.cluster()));
                self.partitions[index].failed = Some(fatal.clone());
                Err(fatal)
            }
        }
    }

    /// Takes what arrived, up to one slab.
    fn fill(&mut self, index: usize) -> Result<(), Fatal> {
        let partition = &mut self.partitions[index];
        let mut trouble = None;
        loop {
            let limit = partition.slabs.room().min(BATCH_MAX);
            let Partition { queue, slabs, read, until, at_end, .. } = partition;
            let until = until.unwrap_or(i64::MAX);
            let taken = queue.take(&mut self.slots, limit, |event| match event {
                Event::Record(message) => {
                    let offset = message.offset();
                    if offset < until {
                        slabs.push(&message);
                    }
                    *read = (offset + 1).max(*read);
                    *at_end = false;
                }
                Event::Eof(offset) => (*read, *at_end) = (offset.max(*read), true),
                Event::Error(code, text) => trouble = Some((code, text)),
            });
            if let Some((code, text)) = trouble.take() {
                self.trouble(index, code, text)?;
                return Ok(());
            }
            if taken == 0 {
                return Ok(());
            }
            if partition.read >= until || partition.slabs.has_whole() || partition.slabs.room() <= 1 {
                // More may wait, and no arrival will tell.
                partition.arrived.store(true, Ordering::Release);
                return Ok(());
            }
        }
    }

    fn trouble(&mut self, index: usize, code: RDKafkaErrorCode, text: String) -> Result<(), Fatal> {
        use RDKafkaErrorCode as Code;
        let cluster = self.cluster().to_owned();
        let partition = &mut self.partitions[index];
        // Behind the error may wait more.
        partition.arrived.store(true, Ordering::Release);
        let place = format!("{} at {cluster}", name(&partition.at));
        let fatal = match code {
            Code::AutoOffsetReset
            | Code::OffsetOutOfRange
            | Code::LogTruncation
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition => {
                if partition.recovery.is_some() {
                    return Ok(());
                }
                let incident = Incident { at: partition.at.clone(), position: partition.read, reason: text };
                let wake = rouse(&partition.arrived, &self.wake);
                let begun = Recovery::begin(&self.consumer, incident, wake);
                partition.recovery =
                    Some(begun.map_err(|error| Fatal::new(format!("{place}: no thread to ask the brokers: {error}")))?);
                return Ok(());
            }
            Code::TopicAuthorizationFailed => {
                Fatal::new(self.consumer.context().denied("Read", "topic", &partition.at.topic))
            }
            Code::BadMessage | Code::BadCompression | Code::NotImplemented => Fatal::new(format!(
                "{place}: the batch at offset {} cannot be read: {text}. Nothing was skipped; check the broker's disk, \
                 or read on behind it with --from",
                partition.read
            )),
            _ => {
                self.consumer.context().error(KafkaError::Global(code), &format!("{place}: {text}"));
                return Ok(());
            }
        };
        partition.failed = Some(fatal.clone());
        Err(fatal)
    }
}

impl Partition {
    fn open(
        consumer: &Arc<BaseConsumer<Notices>>,
        from: &FetchFrom,
        spec: &FetchSpec,
        wake: &Wake,
    ) -> Result<Partition, Fatal> {
        let FetchFrom { at, from: read, until } = from.clone();
        let arrived = Arc::new(AtomicBool::new(true));
        let queue = PartitionQueue::split(consumer, &at.topic, at.partition, rouse(&arrived, wake))
            .ok_or_else(|| Fatal::new(format!("{} is no partition a client can read", name(&at))))?;
        let slabs = Slabs::new(spec.slab_bytes, spec.headers);
        let ended = until.is_some_and(|until| read >= until);
        let (lost, recovery, failed) = (0, None, None);
        Ok(Partition {
            at,
            queue,
            arrived,
            slabs,
            position: read,
            read,
            until,
            at_end: false,
            ended,
            lost,
            recovery,
            failed,
        })
    }

    /// Hands out the oldest slab.
    fn pop(&mut self) -> Option<SourcePoll> {
        let slab = self.slabs.pop()?;
        if let SlabKind::Records(records) = &slab.kind
            && let Some(last) = records.last()
        {
            self.position = last.offset + 1;
        }
        self.settle();
        Some(SourcePoll::Slab(slab))
    }

    /// With nothing waiting, offsets without records count as handed out.
    fn settle(&mut self) {
        if self.slabs.is_empty() {
            self.position = self.position.max(self.read);
        }
    }
}

impl Fetch for RdkafkaFetch {
    fn poll(&mut self, index: usize) -> Result<SourcePoll, Fatal> {
        self.serve()?;
        let partition = &mut self.partitions[index];
        if let Some(fatal) = &partition.failed {
            return Err(fatal.clone());
        }
        if partition.slabs.has_whole()
            && let Some(slab) = partition.pop()
        {
            return Ok(slab);
        }
        if !partition.ended && partition.arrived.swap(false, Ordering::Acquire) {
            self.check_incident(index)?;
            self.fill(index)?;
        }
        let partition = &mut self.partitions[index];
        if let Some(slab) = partition.pop() {
            return Ok(slab);
        }
        partition.settle();
        if partition.ended {
            return Ok(SourcePoll::End);
        }
        // The end of a partition whose incident is not understood yet would leave records lost that nobody counted.
        if partition.recovery.is_none() && partition.until.is_some_and(|until| partition.read >= until) {
            partition.ended = true;
            self.stop_fetching(index);
            return Ok(SourcePoll::End);
        }
        if partition.arrived.load(Ordering::Acquire) {
            // Something was taken but nothing is to be handed out yet: the caller may sleep only if it is woken.
            (self.wake)();
        }
        Ok(if self.partitions[index].at_end { SourcePoll::Pending } else { SourcePoll::Behind })
    }

    fn stats(&self, index: usize) -> FetchStats {
        let partition = &self.partitions[index];
        let end = partition.queue.log_end().max(partition.position);
        let throttle_ms = self.consumer.context().throttle_ms();
        FetchStats { position: partition.position, end, records_lost: partition.lost, throttle_ms }
    }

    fn notices(&mut self) -> Vec<String> {
        self.consumer.context().take()
    }
}

/// Raises the flag, then wakes.
fn rouse(flag: &Arc<AtomicBool>, wake: &Wake) -> Box<dyn Fn() + Send + Sync> {
    let (flag, wake) = (Arc::clone(flag), Arc::clone(wake));
    Box::new(move || {
        flag.store(true, Ordering::Release);
        wake();
    })
}

fn name(at: &TopicPartition) -> String {
    format!("topic {} partition {}", at.topic, at.partition)
}

/// What this reader needs, and sizes that keep a partition's records in the cache between librdkafka and the decoder;
/// the user's sizes win.
fn configure(config: &mut ClientConfig, slab_bytes: usize) {
    Notices::configure(config);
    config.set("enable.partition.eof", "true");
    let queue_kib = (2 * slab_bytes / 1024).max(1);
    let sizes = [
        ("fetch.message.max.bytes", slab_bytes.clamp(1_024, 1_000_000_000)),
        ("queued.max.messages.kbytes", queue_kib.min(2_097_151)),
    ];
    for (key, value) in sizes {
        if config.get(key).is_none() {
            config.set(key, value.to_string());
        }
    }
}
