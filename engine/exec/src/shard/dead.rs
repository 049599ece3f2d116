//! Dead letters on their way: encoded on the shard where they arose, written by the one writer of their destination. And
//! what becomes of a bad record where it is not to be a dead letter.

use velostream_types::{Chunk, DeadLetter, DlqId, Fatal};

use super::io::Write;

/// Where a bad record stood, and what is wrong with it.
fn place(letter: &DeadLetter) -> String {
    format!("{}, partition {}, offset {}: {}", letter.source, letter.partition, letter.offset, letter.error)
}

/// FailBatch: the run stops in front of the record.
pub(super) fn stops_at(letter: &DeadLetter) -> Fatal {
    let place = place(letter);
    Fatal::new(format!(
        "a bad record stops the run (failure_strategy = FailBatch): {place}; correct it or read on behind it, or let it go \
         to the dead letters (SendToDLQ)"
    ))
}

/// LogAndContinue: counted for the log, with the last one's words.
pub(super) fn pass_over(dlq: DlqId, letter: &DeadLetter, passed: &mut Vec<(DlqId, u64, String)>) {
    match passed.iter_mut().find(|(known, ..)| *known == dlq) {
        Some((_, records, last)) => (*records, *last) = (*records + 1, place(letter)),
        None => passed.push((dlq, 1, place(letter))),
    }
}

/// Writer side of one dead-letter destination.
#[derive(Debug)]
pub struct DeadMerge {
    destination: usize,
}

impl DeadMerge {
    /// The writer of destination number `destination`.
    pub fn new(destination: usize) -> DeadMerge {
        DeadMerge { destination }
    }

    /// Takes encoded letters.
    pub fn rows(&self, chunk: Chunk, out: &mut Vec<Write>) {
        out.push(Write::Dead(self.destination, chunk));
    }

    /// Everything from before this barrier was given.
    pub fn mark(&self, barrier: u64, out: &mut Vec<Write>) {
        out.push(Write::MarkDead(self.destination, barrier));
    }

    /// No more will come.
    pub fn finish(&self, out: &mut Vec<Write>) {
        out.push(Write::FinishDead(self.destination));
    }
}
