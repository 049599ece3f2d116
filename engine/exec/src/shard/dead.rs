//! Dead letters on their way: encoded on the shard where they arose, written by the one writer of their destination.

use velostream_types::Chunk;

use super::io::Write;

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
