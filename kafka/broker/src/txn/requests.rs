//! What producers ask of the coordinator: a producer id and epoch, partitions and groups to take in, an end. Which error
//! answers what in which state is Kafka's. A producer of an older epoch is PRODUCER_FENCED, which clients of older
//! request versions know as INVALID_PRODUCER_EPOCH.

use super::{InitRequest, ProducerRef, Transactions, TxnState};
use crate::errors;
use crate::journal::TxnRecord;

/// No producer id, no epoch.
const NO_EPOCH: i16 = -1;
const NO_ID: i64 = -1;
/// The last epoch a producer is given; the one above is left to fence it.
const EPOCH_LAST: i16 = i16::MAX - 1;
/// InitProducerId knows PRODUCER_FENCED from this version on.
const VERSION_INIT_FENCED: i16 = 4;
/// The other requests know PRODUCER_FENCED from this version on.
const VERSION_FENCED: i16 = 2;

fn fenced(version: i16, since: i16) -> i16 {
    if version >= since { errors::PRODUCER_FENCED } else { errors::INVALID_PRODUCER_EPOCH }
}

impl Transactions {
    /// InitProducerId: producer id and epoch. CONCURRENT_TRANSACTIONS while an earlier transaction is being ended, which
    /// this call may have begun: take the markers.
    pub fn init(&mut self, request: &InitRequest, now_ms: i64) -> Result<(i64, i16), i16> {
        let Some(id) = request.transactional_id.as_deref() else { return Ok((self.new_producer_id(), 0)) };
        if id.is_empty() {
            return Err(errors::INVALID_REQUEST);
        }
        if !(1..=self.config.timeout_max_ms).contains(&request.timeout_ms) {
            return Err(errors::INVALID_TRANSACTION_TIMEOUT);
        }
        if (request.producer_id < 0) != (request.producer_epoch < 0) {
            return Err(errors::INVALID_REQUEST);
        }
        let refused = fenced(request.version, VERSION_INIT_FENCED);
        let has = (request.producer_id >= 0).then_some((request.producer_id, request.producer_epoch));
        let Some(txn) = self.txns.get(id).cloned() else {
            let txn = TxnRecord {
                transactional_id: id.to_owned(),
                producer_id: self.new_producer_id(),
                last_producer_id: NO_ID,
                producer_epoch: 0,
                last_producer_epoch: NO_EPOCH,
                timeout_ms: request.timeout_ms,
                state: TxnState::Empty,
                start_ms: -1,
                update_ms: now_ms,
                partitions: Vec::new(),
                groups: Vec::new(),
            };
            let given = (txn.producer_id, txn.producer_epoch);
            self.store(txn, now_ms);
            return Ok(given);
        };
        if has.is_some_and(|(id, epoch)| !is_holder(&txn, id, epoch)) {
            return Err(refused);
        }
        match txn.state {
            TxnState::PrepareCommit | TxnState::PrepareAbort => Err(errors::CONCURRENT_TRANSACTIONS),
            TxnState::Ongoing => {
                let last_epoch = has.map_or(NO_EPOCH, |(_, epoch)| epoch);
                if has.is_some() && last_epoch != txn.producer_epoch {
                    return Err(refused);
                }
                self.abort_and_fence(txn, last_epoch, now_ms);
                Err(errors::CONCURRENT_TRANSACTIONS)
            }
            _ => {
                let txn = self.next_epoch(txn, has.map(|(_, epoch)| epoch)).ok_or(refused)?;
                let given = (txn.producer_id, txn.producer_epoch);
                let (state, timeout_ms) = (TxnState::Empty, request.timeout_ms);
                self.store(TxnRecord { state, timeout_ms, ..txn }, now_ms);
                Ok(given)
            }
        }
    }

    /// The id with its epoch raised, or with a new producer id once the epochs are used up. A producer that asks again
    /// with the epoch it had before gets the same answer again. `None`: it was overtaken.
    fn next_epoch(&mut self, txn: TxnRecord, has: Option<i16>) -> Option<TxnRecord> {
        let current = txn.producer_epoch;
        if has.is_none_or(|epoch| epoch == current) {
            // Without the epoch it had nobody can ask again for the same.
            let last_producer_epoch = has.unwrap_or(NO_EPOCH);
            if current >= EPOCH_LAST {
                let (producer_id, last_producer_id) = (self.new_producer_id(), txn.producer_id);
                return Some(TxnRecord {
                    producer_id,
                    last_producer_id,
                    producer_epoch: 0,
                    last_producer_epoch,
                    ..txn
                });
            }
            return Some(TxnRecord { producer_epoch: current + 1, last_producer_epoch, ..txn });
        }
        (has == Some(txn.last_producer_epoch)).then_some(txn)
    }

    /// AddPartitionsToTxn, all or nothing.
    pub fn add_partitions(&mut self, who: &ProducerRef, partitions: &[(String, i32)], now_ms: i64) -> i16 {
        self.add(who, partitions, &[], now_ms)
    }

    /// AddOffsetsToTxn.
    pub fn add_group(&mut self, who: &ProducerRef, group: &str, now_ms: i64) -> i16 {
        if group.is_empty() {
            return errors::INVALID_GROUP_ID;
        }
        self.add(who, &[], &[group.to_owned()], now_ms)
    }

    fn add(&mut self, who: &ProducerRef, partitions: &[(String, i32)], groups: &[String], now_ms: i64) -> i16 {
        let mut txn = match self.checked(who) {
            Ok(txn) => txn.clone(),
            Err(error) => return error,
        };
        match txn.state {
            TxnState::PrepareCommit | TxnState::PrepareAbort => return errors::CONCURRENT_TRANSACTIONS,
            TxnState::Ongoing => {
                let known = partitions.iter().all(|p| txn.partitions.binary_search(p).is_ok());
                if known && groups.iter().all(|g| txn.groups.contains(g)) {
                    return errors::NONE;
                }
            }
            _ => {
                txn.state = TxnState::Ongoing;
                txn.start_ms = now_ms;
            }
        }
        txn.partitions.extend_from_slice(partitions);
        txn.partitions.sort_unstable();
        txn.partitions.dedup();
        txn.groups.extend_from_slice(groups);
        txn.groups.sort_unstable();
        txn.groups.dedup();
        self.store(txn, now_ms);
        errors::NONE
    }

    /// May this producer send offsets of the group in its transaction now (TxnOffsetCommit)?
    pub fn check_group(&self, who: &ProducerRef, group: &str) -> i16 {
        match self.checked(who) {
            Err(errors::PRODUCER_FENCED) => errors::INVALID_PRODUCER_EPOCH,
            Err(error) => error,
            Ok(txn) if txn.state == TxnState::Ongoing && txn.groups.iter().any(|g| g == group) => errors::NONE,
            Ok(_) => errors::INVALID_TXN_STATE,
        }
    }

    /// EndTxn: decides, and leaves a marker. Asking again for the same end is answered like the first time.
    pub fn end(&mut self, who: &ProducerRef, commit: bool, now_ms: i64) -> i16 {
        let txn = match self.checked(who) {
            Ok(txn) => txn.clone(),
            Err(error) => return error,
        };
        match (txn.state, commit) {
            (TxnState::Ongoing, _) => {
                self.prepare(txn, commit, now_ms);
                errors::NONE
            }
            (TxnState::CompleteCommit, true) | (TxnState::CompleteAbort, false) => errors::NONE,
            (TxnState::PrepareCommit, true) | (TxnState::PrepareAbort, false) => errors::CONCURRENT_TRANSACTIONS,
            _ => errors::INVALID_TXN_STATE,
        }
    }

    fn checked(&self, who: &ProducerRef) -> Result<&TxnRecord, i16> {
        if who.transactional_id.is_empty() {
            return Err(errors::INVALID_REQUEST);
        }
        let txn = self.txns.get(&who.transactional_id).filter(|t| t.producer_id == who.producer_id);
        let txn = txn.ok_or(errors::INVALID_PRODUCER_ID_MAPPING)?;
        if txn.producer_epoch == who.producer_epoch { Ok(txn) } else { Err(fenced(who.version, VERSION_FENCED)) }
    }
}

/// Is this the producer of the id, or the one whose exhausted epoch was just exchanged for a new producer id?
fn is_holder(txn: &TxnRecord, producer_id: i64, epoch: i16) -> bool {
    producer_id == txn.producer_id || (producer_id == txn.last_producer_id && epoch >= EPOCH_LAST)
}
