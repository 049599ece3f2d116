//! The transaction coordinator, a pure state machine.

mod types;

pub use types::*;

use crate::errors;
use crate::journal::JournalEntry;

/// All transactional ids of the broker, and its producer ids.
#[derive(Default)]
pub struct Transactions {
    changes: Vec<JournalEntry>,
}

#[allow(missing_docs, unused_variables)]
impl Transactions {
    pub fn new(config: TxnConfig) -> Transactions {
        Transactions::default()
    }
    pub fn restore(config: TxnConfig, entries: &[JournalEntry], now_ms: i64) -> Transactions {
        Transactions::default()
    }
    /// InitProducerId: producer id and epoch. May leave markers (abort of what was open).
    pub fn init(&mut self, request: &InitRequest, now_ms: i64) -> Result<(i64, i16), i16> {
        Err(errors::COORDINATOR_NOT_AVAILABLE)
    }
    pub fn add_partitions(&mut self, who: &ProducerRef, partitions: &[(String, i32)], now_ms: i64) -> i16 {
        errors::COORDINATOR_NOT_AVAILABLE
    }
    pub fn add_group(&mut self, who: &ProducerRef, group: &str, now_ms: i64) -> i16 {
        errors::COORDINATOR_NOT_AVAILABLE
    }
    /// EndTxn: leaves markers.
    pub fn end(&mut self, who: &ProducerRef, commit: bool, now_ms: i64) -> i16 {
        errors::COORDINATOR_NOT_AVAILABLE
    }
    /// Markers to write now, each handed out once: ask after init, end, tick and restore.
    pub fn take_markers(&mut self) -> Vec<Marker> {
        Vec::new()
    }
    /// All of this marker is written.
    pub fn finished(&mut self, marker: &Marker, now_ms: i64) {}
    /// Writing this marker failed: it is handed out again.
    pub fn failed(&mut self, marker: Marker) {}
    /// May this producer write transactional batches to the partition now?
    pub fn is_in(&self, producer_id: i64, producer_epoch: i16, topic: &str, partition: i32) -> bool {
        false
    }
    /// May this producer send offsets of the group in its transaction now (TxnOffsetCommit)?
    pub fn check_group(&self, who: &ProducerRef, group: &str) -> i16 {
        errors::NONE
    }
    pub fn describe(&self, transactional_id: &str) -> Option<TxnDescription> {
        None
    }
    pub fn list(&self) -> Vec<TxnDescription> {
        Vec::new()
    }
    pub fn tick(&mut self, now_ms: i64) {}
    pub fn next_deadline(&self) -> Option<i64> {
        None
    }
    /// To be appended to the journal before any answer is sent.
    pub fn changed(&mut self) -> Vec<JournalEntry> {
        std::mem::take(&mut self.changes)
    }
}
