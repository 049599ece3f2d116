//! The transaction coordinator: which producer holds a transactional id, what its open transaction touches, how it ends;
//! and the giver of producer ids.
//!
//! A pure state machine under one lock of the server. A decided transaction becomes a [`Marker`]: the server appends
//! [`Transactions::changed`] to the journal, writes the marker everywhere, and reports `finished`. Until then the id
//! answers CONCURRENT_TRANSACTIONS. A restart hands out the unfinished markers again; writing one twice is harmless.
//!
//! Producer ids are reserved in the journal a block at a time before any of the block is given out, so that a crash may
//! skip some and never gives one out twice. Invariants: at most one open marker per transactional id; `by_producer` names
//! exactly the current producer ids; partitions are sorted.

mod requests;
#[cfg(test)]
pub(crate) mod tests;
mod types;

use std::collections::BTreeMap;

pub use types::*;

use crate::journal::{Image, JournalEntry, TxnRecord};

/// All transactional ids of the broker, and its producer ids.
#[derive(Debug, Default)]
pub struct Transactions {
    config: TxnConfig,
    txns: BTreeMap<String, TxnRecord>,
    by_producer: BTreeMap<i64, String>,
    next_producer_id: i64,
    /// The ids before this one are reserved.
    reserved_to: i64,
    markers: Vec<Marker>,
    changes: Vec<JournalEntry>,
}

impl Transactions {
    /// No transactions.
    pub fn new(config: TxnConfig) -> Transactions {
        Transactions { config, ..Transactions::default() }
    }

    /// The transactions as the journal's entries tell. Markers of decided ones are ready to be taken.
    pub fn restore(config: TxnConfig, entries: &[JournalEntry]) -> Transactions {
        let image = Image::of(entries);
        let mut all = Transactions::new(config);
        all.next_producer_id = image.producer_ids;
        all.reserved_to = image.producer_ids;
        for (id, txn) in image.txns {
            all.by_producer.insert(txn.producer_id, id.clone());
            all.markers.extend(marker(&txn));
            all.txns.insert(id, txn);
        }
        all
    }

    /// Markers to write now, each handed out once: ask after `init`, `end`, `tick` and `restore`, and only once what
    /// `changed` gave is in the journal.
    pub fn take_markers(&mut self) -> Vec<Marker> {
        std::mem::take(&mut self.markers)
    }

    /// The marker is written everywhere.
    pub fn finished(&mut self, marker: &Marker, now_ms: i64) {
        let Some(txn) = self.txns.get(&marker.transactional_id) else { return };
        let state = match txn.state {
            TxnState::PrepareCommit => TxnState::CompleteCommit,
            TxnState::PrepareAbort => TxnState::CompleteAbort,
            _ => return,
        };
        if (txn.producer_id, txn.producer_epoch) != (marker.producer_id, marker.producer_epoch) {
            return;
        }
        let txn = TxnRecord { state, start_ms: -1, partitions: Vec::new(), groups: Vec::new(), ..txn.clone() };
        self.store(txn, now_ms);
    }

    /// The marker could not be written everywhere: it is handed out again.
    pub fn failed(&mut self, marker: Marker) {
        self.markers.push(marker);
    }

    /// May this producer write transactional batches to the partition now?
    pub fn is_in(&self, producer_id: i64, producer_epoch: i16, topic: &str, partition: i32) -> bool {
        let Some(txn) = self.by_producer.get(&producer_id).and_then(|id| self.txns.get(id)) else { return false };
        let place = |p: &(String, i32)| (p.0.as_str(), p.1).cmp(&(topic, partition));
        txn.state == TxnState::Ongoing
            && txn.producer_epoch == producer_epoch
            && txn.partitions.binary_search_by(place).is_ok()
    }

    /// DescribeTransactions, one of them.
    pub fn describe(&self, transactional_id: &str) -> Option<TxnDescription> {
        self.txns.get(transactional_id).map(describe)
    }

    /// ListTransactions.
    pub fn list(&self) -> Vec<TxnDescription> {
        self.txns.values().map(describe).collect()
    }

    /// Aborts transactions that ran out of time and forgets ids that were not used for long. The aborted producer's epoch
    /// is bumped, so that what it still sends is refused.
    pub fn tick(&mut self, now_ms: i64) {
        let late = self.txns.values().filter(|t| self.deadline(t).is_some_and(|at| at <= now_ms));
        let late: Vec<TxnRecord> = late.cloned().collect();
        for txn in late {
            if txn.state == TxnState::Ongoing {
                self.abort_and_fence(txn, -1, now_ms);
            } else {
                self.txns.remove(&txn.transactional_id);
                self.by_producer.remove(&txn.producer_id);
                self.changes.push(JournalEntry::TxnDeleted(txn.transactional_id));
            }
        }
    }

    /// When `tick` has something to do next.
    pub fn next_deadline(&self) -> Option<i64> {
        self.txns.values().filter_map(|t| self.deadline(t)).min()
    }

    fn deadline(&self, txn: &TxnRecord) -> Option<i64> {
        match txn.state {
            TxnState::Ongoing => Some(txn.start_ms.saturating_add(i64::from(txn.timeout_ms))),
            TxnState::PrepareCommit | TxnState::PrepareAbort => None,
            _ => Some(txn.update_ms.saturating_add(self.config.id_expiration_ms)),
        }
    }

    /// What must be made durable, in order, before any answer is sent or marker written.
    pub fn changed(&mut self) -> Vec<JournalEntry> {
        std::mem::take(&mut self.changes)
    }

    fn store(&mut self, mut txn: TxnRecord, now_ms: i64) {
        txn.update_ms = now_ms;
        self.changes.push(JournalEntry::Txn(txn.clone()));
        let id = txn.transactional_id.clone();
        let producer_id = txn.producer_id;
        let before = self.txns.insert(id.clone(), txn).map(|t| t.producer_id);
        if let Some(before) = before.filter(|before| *before != producer_id) {
            self.by_producer.remove(&before);
        }
        self.by_producer.insert(producer_id, id);
    }

    fn prepare(&mut self, txn: TxnRecord, commit: bool, now_ms: i64) {
        let state = if commit { TxnState::PrepareCommit } else { TxnState::PrepareAbort };
        let txn = TxnRecord { state, ..txn };
        self.markers.extend(marker(&txn));
        self.store(txn, now_ms);
    }

    /// Ends a transaction over its producer's head. `last_epoch` is the epoch that may still ask for a new one.
    fn abort_and_fence(&mut self, mut txn: TxnRecord, last_epoch: i16, now_ms: i64) {
        txn.producer_epoch = txn.producer_epoch.saturating_add(1);
        txn.last_producer_epoch = last_epoch;
        self.prepare(txn, false, now_ms);
    }

    fn new_producer_id(&mut self) -> i64 {
        if self.next_producer_id >= self.reserved_to {
            self.reserved_to = self.next_producer_id.saturating_add(self.config.producer_id_block.max(1));
            self.changes.push(JournalEntry::ProducerIds(self.reserved_to));
        }
        self.next_producer_id += 1;
        self.next_producer_id - 1
    }
}

fn marker(txn: &TxnRecord) -> Option<Marker> {
    let decided = matches!(txn.state, TxnState::PrepareCommit | TxnState::PrepareAbort);
    decided.then(|| Marker {
        transactional_id: txn.transactional_id.clone(),
        producer_id: txn.producer_id,
        producer_epoch: txn.producer_epoch,
        coordinator_epoch: 0,
        commit: txn.state == TxnState::PrepareCommit,
        partitions: txn.partitions.clone(),
        groups: txn.groups.clone(),
    })
}

fn describe(txn: &TxnRecord) -> TxnDescription {
    TxnDescription {
        transactional_id: txn.transactional_id.clone(),
        state: txn.state,
        timeout_ms: txn.timeout_ms,
        start_ms: txn.start_ms,
        producer_id: txn.producer_id,
        producer_epoch: txn.producer_epoch,
        partitions: txn.partitions.clone(),
        groups: txn.groups.clone(),
    }
}
