//! A broker's topic as a sink: the sinks of one cluster share one producer per shard.
//!
//! Barriers of different sinks reach the shared producer at different moments, so each is given a mark of the
//! producer's own, which rise in the order they are set; a barrier is safe when its mark is acknowledged.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use velostream_types::topic::Produce;
use velostream_types::{Chunk, Fatal, SinkWriter};

/// How long the end of a run waits for acknowledgements.
const FLUSH_PATIENCE: Duration = Duration::from_secs(10);

/// A shard's producer for one cluster.
pub struct Producer {
    produce: Box<dyn Produce>,
    brokers: String,
    marks: u64,
    /// One sink waited in vain: the others of this producer would, too.
    gave_up: bool,
}

impl Producer {
    /// Shared by the sinks of one shard that write to `brokers`.
    pub fn shared(produce: Box<dyn Produce>, brokers: String) -> SharedProducer {
        Rc::new(RefCell::new(Producer { produce, brokers, marks: 0, gave_up: false }))
    }

    /// Waits until everything sent is acknowledged.
    fn flush(&mut self) -> Result<(), Fatal> {
        let patience = if self.gave_up { Duration::ZERO } else { FLUSH_PATIENCE };
        if self.produce.flush(patience)? {
            return Ok(());
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
        let taken = producer.produce.send(self.topic, rows, from)?;
        if from + taken < rows.rows() {
            producer.produce.poll()?;
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
        producer.produce.poll()?;
        if let Some(rejected) = producer.produce.take_rejected().first() {
            let bytes = rejected.value.as_ref().map_or(0, Vec::len);
            return Err(Fatal::new(format!(
                "topic {} refused a record of {bytes} bytes: {}",
                self.name, rejected.reason
            )));
        }
        let acknowledged = producer.produce.acknowledged();
        while let Some((barrier, _)) = self.waiting.pop_front_if(|(_, mark)| *mark <= acknowledged) {
            self.safe = barrier;
        }
        Ok(self.safe)
    }

    fn notices(&mut self) -> Vec<String> {
        self.producer.borrow_mut().produce.notices()
    }
}

#[cfg(test)]
mod tests;
