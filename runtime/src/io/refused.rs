//! What becomes of records that a topic refused for what they are (too large): they go to the dead letters of their
//! query, are told and passed over, or stop the run.
//!
//! Dead letters for a topic leave through a producer of their own, made when the first one comes. It takes larger records
//! than the one that refused, and has marks of its own: those of the refusing producer wait for these letters. A letter
//! that its topic refuses, too, is sent again with half of its value until it fits, then without its key.

use std::collections::VecDeque;

use velostream_exec::format::{encode_refused, refused_record, shortened_record};
use velostream_types::time::ns_to_ms;
use velostream_types::topic::{Produce, Rejected};
use velostream_types::{Chunk, Clock, Fatal, SinkWriter};

use super::dead_letter::DeadLetterFile;
use super::passed_over::PassedOver;
use crate::clock::{RunClock, monotonic};

/// Makes the producer of dead letters; their topic is its only one.
pub type OpenProducer = Box<dyn Fn() -> Result<Box<dyn Produce>, Fatal>>;

/// Where refused records go.
pub enum Place {
    /// Nowhere: the run stops.
    Stop,
    /// The log tells of them.
    Log(PassedOver),
    /// To a topic.
    Topic(Letters),
    /// To a file.
    File(DeadLetterFile),
}

/// What becomes of the records that topics of one query refuse.
pub struct Grave {
    place: Place,
    job: String,
    clock: RunClock,
    /// Records taken, and how many of them, the first ones, are safe.
    taken: u64,
    safe: u64,
}

impl Grave {
    /// A grave at `place`, for records of app `job`.
    pub fn new(place: Place, job: String, clock: RunClock) -> Grave {
        Grave { place, job, clock, taken: 0, safe: 0 }
    }

    /// Takes a record that `topic` refused; `is_letter`: it is a dead letter already. Answers its number, from 1.
    pub fn bury(&mut self, refused: Rejected, topic: &str, is_letter: bool) -> Result<u64, Fatal> {
        let now_ms = ns_to_ms(self.clock.now_ns());
        self.taken += 1;
        let mut chunk = Chunk::default();
        match &mut self.place {
            Place::Stop => return Err(Fatal::new(text(&refused, topic))),
            Place::Log(passed) => passed.add(1, text(&refused, topic)),
            Place::Topic(letters) => {
                match is_letter {
                    true => shortened_record(&refused, usize::MAX, true, &mut chunk),
                    false => refused_record(&refused, topic, &self.job, now_ms, &mut chunk),
                }
                letters.unsent.push_back(chunk);
            }
            Place::File(file) => {
                encode_refused(&refused, topic, &self.job, now_ms, &mut chunk);
                file.write(&chunk)?;
            }
        }
        Ok(self.taken)
    }

    /// Sends what waits, and takes answers; never waits, but for the connection of the first letter.
    pub fn serve(&mut self) -> Result<(), Fatal> {
        match &mut self.place {
            Place::Stop | Place::Log(_) => self.safe = self.taken,
            Place::Topic(letters) => self.safe += letters.serve()?,
            Place::File(file) if self.safe < self.taken => {
                file.flush()?;
                self.safe = self.taken;
            }
            Place::File(_) => {}
        }
        Ok(())
    }

    /// So many of the records taken are safe.
    pub fn safe(&self) -> u64 {
        self.safe
    }

    /// TRUE while letters wait for room: nothing more that could be refused should be sent.
    pub fn is_full(&self) -> bool {
        matches!(&self.place, Place::Topic(letters) if !letters.unsent.is_empty())
    }

    /// Waits for answers for at most `wait`.
    pub fn flush(&mut self, wait: std::time::Duration) -> Result<(), Fatal> {
        if let Place::Topic(Letters { produce: Some(produce), .. }) = &mut self.place {
            produce.flush(wait)?;
        }
        self.serve()
    }

    /// Lines for the log; `at_end`: the last ones.
    pub fn notices(&mut self, at_end: bool) -> Vec<String> {
        match &mut self.place {
            Place::Log(passed) => passed.take(monotonic(), at_end).into_iter().collect(),
            Place::Topic(Letters { produce: Some(produce), .. }) => produce.notices(),
            _ => Vec::new(),
        }
    }
}

fn text(refused: &Rejected, topic: &str) -> String {
    let bytes = refused.value.as_ref().map_or(0, Vec::len);
    format!("topic {topic} refused a record of {bytes} bytes: {}", refused.reason)
}

/// Dead letters on their way to their topic.
pub struct Letters {
    topic: String,
    open: OpenProducer,
    produce: Option<Box<dyn Produce>>,
    unsent: VecDeque<Chunk>,
    /// What takes the place of letters that were refused.
    shorter: VecDeque<Chunk>,
    marks: u64,
    /// Marks of the letters sent, one each, ascending.
    sent: VecDeque<u64>,
}

impl Letters {
    /// To `topic`, through the producer that `open` makes.
    pub fn new(topic: String, open: OpenProducer) -> Letters {
        let (unsent, shorter, sent) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Letters { topic, open, produce: None, unsent, shorter, marks: 0, sent }
    }

    /// Sends what waits; answers how many letters more are safe.
    fn serve(&mut self) -> Result<u64, Fatal> {
        if self.unsent.is_empty() && self.sent.is_empty() {
            return Ok(0);
        }
        let produce = match &mut self.produce {
            Some(produce) => produce,
            None => self.produce.insert((self.open)()?),
        };
        produce.poll()?;
        for refused in produce.take_rejected() {
            let lost = || Fatal::new(format!("a dead letter could not be written: {}", text(&refused, &self.topic)));
            self.shorter.push_back(shorter(&refused).ok_or_else(lost)?);
        }
        while let Some(chunk) = self.shorter.front()
            && send(&mut **produce, chunk)?
        {
            self.shorter.pop_front();
            self.marks += 1;
            produce.mark(self.marks);
            // Which letter it was is not told, so that all wait for it; then its refusal holds no mark any more.
            self.sent.iter_mut().for_each(|mark| *mark = self.marks);
            produce.buried(1);
        }
        while let Some(chunk) = self.unsent.front()
            && send(&mut **produce, chunk)?
        {
            self.unsent.pop_front();
            self.marks += 1;
            produce.mark(self.marks);
            self.sent.push_back(self.marks);
        }
        let (acknowledged, mut safe) = (produce.acknowledged(), 0);
        while self.sent.pop_front_if(|mark| *mark <= acknowledged).is_some() {
            safe += 1;
        }
        Ok(safe)
    }
}

/// FALSE: there is no room.
fn send(produce: &mut dyn Produce, letter: &Chunk) -> Result<bool, Fatal> {
    Ok(produce.send(0, letter, 0)? == letter.rows())
}

/// The letter with half of its value, at last without its key; `None` when nothing is left to take away.
fn shorter(refused: &Rejected) -> Option<Chunk> {
    let length = refused.value.as_ref().map_or(0, Vec::len);
    let mut chunk = Chunk::default();
    match (length, &refused.key) {
        (0, None) => return None,
        (0, Some(_)) => shortened_record(refused, 0, false, &mut chunk),
        _ => shortened_record(refused, length / 2, true, &mut chunk),
    }
    Some(chunk)
}

#[cfg(test)]
mod tests;
