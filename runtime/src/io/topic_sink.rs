//! A broker's topic as a sink: the sinks of one cluster share one producer per shard.
//!
//! Barriers of different sinks reach the shared producer at different moments, so each is given a mark of the
//! producer's own, which rise in the order they are set; a barrier is safe when its mark is acknowledged. A record that
//! the brokers refuse holds its mark until what becomes of it (`refused`) is safe.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use velostream_types::topic::Produce;
use velostream_types::{Chunk, Fatal, SinkWriter};

use super::refused::Grave;
use crate::clock::monotonic;

/// How long the end of a run waits for acknowledgements.
const FLUSH_PATIENCE: Duration = Duration::from_secs(10);

/// What becomes of the records that one topic refuses.
pub struct TopicGrave {
    /// The topic.
    pub topic: String,
    /// Position in the producer's graves.
    pub grave: usize,
    /// Its records are dead letters.
    pub is_letters: bool,
}

/// A shard's producer for one cluster.
pub struct Producer {
    produce: Box<dyn Produce>,
    brokers: String,
    marks: u64,
    /// One sink waited in vain: the others of this producer would, too.
    gave_up: bool,
    /// By position of the topic.
    topics: Vec<TopicGrave>,
    graves: Vec<Grave>,
    /// Refused records that are not safe yet, in order: their grave and their number in it.
    refused: VecDeque<(usize, u64)>,
    /// How many records each topic refused since that was last asked.
    counts: Vec<u64>,
    /// The run ends: graves say their last words.
    at_end: bool,
}

impl Producer {
    /// Shared by the sinks of one shard that write to `brokers`; `topics` are those of the producer.
    pub fn shared(
        produce: Box<dyn Produce>,
        brokers: String,
        topics: Vec<TopicGrave>,
        graves: Vec<Grave>,
    ) -> SharedProducer {
        let counts = vec![0; topics.len()];
        Rc::new(RefCell::new(Producer {
            produce,
            brokers,
            marks: 0,
            gave_up: false,
            topics,
            graves,
            refused: VecDeque::new(),
            counts,
            at_end: false,
        }))
    }

    /// Takes reports, and sees to the records that were refused.
    fn serve(&mut self) -> Result<(), Fatal> {
        self.produce.poll()?;
        self.bury()
    }

    fn bury(&mut self) -> Result<(), Fatal> {
        for rejected in self.produce.take_rejected() {
            let at = rejected.topic;
            let TopicGrave { topic, grave, is_letters } = &self.topics[at];
            let number = self.graves[*grave].bury(rejected, topic, *is_letters)?;
            self.refused.push_back((*grave, number));
            self.counts[at] += 1;
        }
        if self.refused.is_empty() {
            return Ok(());
        }
        self.graves.iter_mut().try_for_each(Grave::serve)?;
        let mut buried = 0;
        while self.refused.pop_front_if(|(grave, number)| *number <= self.graves[*grave].safe()).is_some() {
            buried += 1;
        }
        self.produce.buried(buried);
        Ok(())
    }

    /// Waits until everything sent is acknowledged, refused records in their dead letters.
    fn flush(&mut self) -> Result<(), Fatal> {
        self.at_end = true;
        let deadline = monotonic() + if self.gave_up { Duration::ZERO } else { FLUSH_PATIENCE };
        loop {
            let left = deadline.saturating_duration_since(monotonic());
            if self.produce.flush(left)? {
                return Ok(());
            }
            self.bury()?;
            self.graves.iter_mut().try_for_each(|grave| grave.flush(left))?;
            self.bury()?;
            if self.produce.outstanding() == 0 {
                return Ok(());
            }
            // Without refused records it waited for the brokers, in vain.
            if left.is_zero() || self.refused.is_empty() {
                break;
            }
        }
        self.gave_up = true;
        let (brokers, rows) = (&self.brokers, self.produce.outstanding());
        Err(Fatal::new(format!(
            "{brokers} did not acknowledge {rows} records within {} s; what they stem from was not committed and is read \
             again by the next start",
            FLUSH_PATIENCE.as_secs()
        )))
    }
}

/// See [`Producer::shared`].
pub type SharedProducer = Rc<RefCell<Producer>>;

/// One topic.
pub struct TopicSink {
    producer: SharedProducer,
    /// Position of the topic in the producer.
    topic: usize,
    name: String,
    /// Barriers with their marks, ascending.
    waiting: VecDeque<(u64, u64)>,
    safe: u64,
}

impl TopicSink {
    /// Topic number `topic` of the producer; `name` is for messages.
    pub fn new(producer: SharedProducer, topic: usize, name: String) -> TopicSink {
        TopicSink { producer, topic, name, waiting: VecDeque::new(), safe: 0 }
    }
}

impl SinkWriter for TopicSink {
    fn write(&mut self, rows: &Chunk) -> Result<(), Fatal> {
        match self.offer(rows, 0)? {
            taken if taken == rows.rows() => Ok(()),
            _ => Err(Fatal::new(format!("topic {} is full: its rows must be offered", self.name))),
        }
    }

    fn offer(&mut self, rows: &Chunk, from: usize) -> Result<usize, Fatal> {
        let mut producer = self.producer.borrow_mut();
        if producer.graves.iter().any(Grave::is_full) {
            producer.serve()?;
            return Ok(0);
        }
        let taken = producer.produce.send(self.topic, rows, from)?;
        if from + taken < rows.rows() {
            producer.serve()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> Result<(), Fatal> {
        // The producer sends by itself; waiting here would stop the shard.
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Fatal> {
        self.producer.borrow_mut().flush()
    }

    fn interrupt(&mut self) -> Result<(), Fatal> {
        self.producer.borrow_mut().flush()
    }

    fn mark(&mut self, barrier: u64) -> Result<(), Fatal> {
        let mut producer = self.producer.borrow_mut();
        producer.marks += 1;
        let mark = producer.marks;
        producer.produce.mark(mark);
        self.waiting.push_back((barrier, mark));
        Ok(())
    }

    fn safe(&mut self, _marked: u64) -> Result<u64, Fatal> {
        let mut producer = self.producer.borrow_mut();
        producer.serve()?;
        let acknowledged = producer.produce.acknowledged();
        while let Some((barrier, _)) = self.waiting.pop_front_if(|(_, mark)| *mark <= acknowledged) {
            self.safe = barrier;
        }
        Ok(self.safe)
    }

    fn take_refused(&mut self) -> u64 {
        let mut producer = self.producer.borrow_mut();
        // Dead letters were counted when they were made.
        if producer.topics[self.topic].is_letters { 0 } else { std::mem::take(&mut producer.counts[self.topic]) }
    }

    fn notices(&mut self) -> Vec<String> {
        let mut producer = self.producer.borrow_mut();
        let Producer { produce, graves, at_end, .. } = &mut *producer;
        let mut lines = produce.notices();
        lines.extend(graves.iter_mut().flat_map(|grave| grave.notices(*at_end)));
        lines
    }
}

#[cfg(test)]
mod tests;
