//! What a partition knows of producers: sequences for idempotence, open transactions, aborted ranges.
//!
//! The last [`SEQUENCES_KEPT`] batches of a producer are remembered, as many as a client may have in flight; a repeated one
//! answers with the offsets it got then. Invariants: `open` holds exactly the producers whose `transaction_start` is set;
//! aborted ranges are in the order of their markers.

use std::collections::BTreeMap;

use super::batch::{Header, Marker, TRANSACTIONAL};
use super::error::AppendError;
use super::{Aborted, ProducerInfo};

/// Batches remembered per producer.
pub(super) const SEQUENCES_KEPT: usize = 5;
/// A producer that wrote nothing for so long, without an open transaction, is forgotten: one day, as in Kafka.
const EXPIRES_MS: i64 = 86_400_000;

/// A batch that was stored for a producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub first_sequence: i32,
    pub last_sequence: i32,
    pub base_offset: i64,
    pub last_offset: i64,
    pub log_append_time: i64,
}

/// State of one producer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Producer {
    pub epoch: i16,
    pub coordinator_epoch: i32,
    pub last_ms: i64,
    pub transaction_start: Option<i64>,
    seen: [Seen; SEQUENCES_KEPT],
    seen_len: u8,
}

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AbortedRange {
    pub producer_id: i64,
    pub first_offset: i64,
    /// Offset of the marker.
    pub last_offset: i64,
    /// The last stable offset when the marker was written; ascends from range to range.
    pub last_stable: i64,
}

/// What to do with a batch of a producer.
pub(super) enum Verdict {
    New,
    Duplicate(Seen),
}

/// The sequence `delta` behind `first`; after the greatest comes 0.
fn sequence_after(first: i32, delta: i32) -> i32 {
    ((i64::from(first) + i64::from(delta)) & i64::from(i32::MAX)) as i32
}

impl Producer {
    pub fn new(epoch: i16) -> Producer {
        Producer {
            epoch,
            coordinator_epoch: -1,
            last_ms: -1,
            transaction_start: None,
            seen: [Seen::default(); SEQUENCES_KEPT],
            seen_len: 0,
        }
    }

    /// Remembered batches, oldest first.
    pub fn seen(&self) -> &[Seen] {
        &self.seen[..usize::from(self.seen_len)]
    }

    pub fn remember(&mut self, batch: Seen) {
        if usize::from(self.seen_len) == SEQUENCES_KEPT {
            self.seen.rotate_left(1);
            self.seen[SEQUENCES_KEPT - 1] = batch;
        } else {
            self.seen[usize::from(self.seen_len)] = batch;
            self.seen_len += 1;
        }
    }

    fn check(&self, h: &Header) -> Result<Verdict, AppendError> {
        if h.producer_epoch < self.epoch {
            return Err(AppendError::FencedEpoch);
        }
        if h.producer_epoch > self.epoch {
            return if h.base_sequence == 0 { Ok(Verdict::New) } else { Err(AppendError::OutOfOrderSequence) };
        }
        let last_sequence = sequence_after(h.base_sequence, h.last_delta);
        let same = |s: &&Seen| s.first_sequence == h.base_sequence && s.last_sequence == last_sequence;
        if let Some(seen) = self.seen().iter().find(same) {
            return Ok(Verdict::Duplicate(*seen));
        }
        let Some(last) = self.seen().last() else {
            return if h.base_sequence == 0 { Ok(Verdict::New) } else { Err(AppendError::OutOfOrderSequence) };
        };
        if self.transaction_start.is_some() && !h.is(TRANSACTIONAL) {
            return Err(AppendError::InvalidTransaction);
        }
        if h.base_sequence == sequence_after(last.last_sequence, 1) {
            return Ok(Verdict::New);
        }
        // Older than the remembered ones, or half of one: never DUPLICATE_SEQUENCE, which clients take for an
        // acknowledgement of the whole batch.
        Err(AppendError::OutOfOrderSequence)
    }

    /// Takes in a stored data batch.
    fn accept(&mut self, h: &Header) {
        self.enter_epoch(h.producer_epoch);
        self.remember(Seen {
            first_sequence: h.base_sequence,
            last_sequence: sequence_after(h.base_sequence, h.last_delta),
            base_offset: h.base_offset,
            last_offset: h.last_offset(),
            log_append_time: h.log_append_time(),
        });
        if h.is(TRANSACTIONAL) && self.transaction_start.is_none() {
            self.transaction_start = Some(h.base_offset);
        }
    }

    fn enter_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            (self.epoch, self.seen_len) = (epoch, 0);
        }
    }
}

/// All producers of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Producers {
    known: BTreeMap<i64, Producer>,
    /// First offset of each open transaction, and whose it is.
    open: BTreeMap<i64, i64>,
    aborted: Vec<AbortedRange>,
}

/// Changes that the batches of one append will make, kept apart until they are stored.
#[derive(Default)]
pub(super) struct Staged {
    changed: Vec<(i64, Producer)>,
}

impl Staged {
    /// Checks a batch against what is stored and what was staged before it.
    pub fn check(&self, producers: &Producers, h: &Header) -> Result<Verdict, AppendError> {
        let staged = self.changed.iter().find(|(id, _)| *id == h.producer_id).map(|(_, p)| p);
        match staged.or_else(|| producers.known.get(&h.producer_id)) {
            Some(producer) if h.producer_id >= 0 => producer.check(h),
            _ => Ok(Verdict::New),
        }
    }

    /// `h` as it will stand in the log.
    pub fn accept(&mut self, producers: &Producers, h: &Header, now_ms: i64) {
        if h.producer_id < 0 {
            return;
        }
        let at = self.changed.iter().position(|(id, _)| *id == h.producer_id).unwrap_or_else(|| {
            let known = producers.known.get(&h.producer_id).copied();
            self.changed.push((h.producer_id, known.unwrap_or(Producer::new(h.producer_epoch))));
            self.changed.len() - 1
        });
        self.changed[at].1.accept(h);
        self.changed[at].1.last_ms = now_ms;
    }
}

impl Producers {
    pub fn from_parts(known: BTreeMap<i64, Producer>, aborted: Vec<AbortedRange>) -> Producers {
        let open = known.iter().filter_map(|(id, p)| Some((p.transaction_start?, *id))).collect();
        Producers { known, open, aborted }
    }

    pub fn known(&self) -> &BTreeMap<i64, Producer> {
        &self.known
    }

    pub fn aborted(&self) -> &[AbortedRange] {
        &self.aborted
    }

    /// The staged batches are stored.
    pub fn commit(&mut self, staged: Staged) {
        for (id, producer) in staged.changed {
            if let Some(start) = producer.transaction_start {
                self.open.insert(start, id);
            }
            self.known.insert(id, producer);
        }
    }

    /// First offset of the oldest open transaction.
    pub fn first_open(&self) -> Option<i64> {
        self.open.first_key_value().map(|(first, _)| *first)
    }

    pub fn check_marker(&self, id: i64, epoch: i16, coordinator_epoch: i32) -> Result<(), AppendError> {
        match self.known.get(&id) {
            _ if id < 0 => Err(AppendError::UnknownProducer),
            Some(p) if epoch < p.epoch => Err(AppendError::FencedEpoch),
            Some(p) if coordinator_epoch < p.coordinator_epoch => Err(AppendError::FencedCoordinator),
            _ => Ok(()),
        }
    }

    /// Takes in a stored marker at `h`; the log ends behind it.
    pub fn end_transaction(&mut self, h: &Header, marker: &Marker, now_ms: i64) {
        let producer = self.known.entry(h.producer_id).or_insert(Producer::new(h.producer_epoch));
        producer.enter_epoch(h.producer_epoch);
        producer.coordinator_epoch = marker.coordinator_epoch;
        producer.last_ms = now_ms;
        let Some(first_offset) = producer.transaction_start.take() else { return };
        self.open.remove(&first_offset);
        if !marker.commit {
            let last_offset = h.last_offset();
            let last_stable = self.first_open().unwrap_or(last_offset + 1);
            self.aborted.push(AbortedRange { producer_id: h.producer_id, first_offset, last_offset, last_stable });
        }
    }

    /// Takes in a batch found while reading the log back: it was accepted once, so nothing is checked.
    /// It counts as written at `now_ms`, since record times say nothing about when a producer was last here.
    pub fn replay(&mut self, h: &Header, marker: Option<Marker>, now_ms: i64) {
        if h.producer_id < 0 {
            return;
        }
        if let Some(marker) = marker {
            self.end_transaction(h, &marker, now_ms);
        } else {
            let mut staged = Staged::default();
            staged.accept(self, h, now_ms);
            self.commit(staged);
        }
    }

    /// Aborted transactions with records in `from..to`, by first offset.
    pub fn aborted_in(&self, from: i64, to: i64) -> Vec<Aborted> {
        let start = self.aborted.partition_point(|a| a.last_offset < from);
        let mut found = Vec::new();
        for range in &self.aborted[start..] {
            if range.first_offset < to {
                found.push(Aborted { producer_id: range.producer_id, first_offset: range.first_offset });
            }
            // Whatever is aborted later begins at or behind what was stable then.
            if range.last_stable >= to {
                break;
            }
        }
        found.sort_by_key(|a| (a.first_offset, a.producer_id));
        found
    }

    /// Forgets aborted ranges whose marker lies below `offset`.
    pub fn forget_aborted_below(&mut self, offset: i64) {
        let gone = self.aborted.partition_point(|a| a.last_offset < offset);
        self.aborted.drain(..gone);
    }

    /// Forgets producers that have been idle too long; how many.
    pub fn expire(&mut self, now_ms: i64) -> u64 {
        let before = self.known.len();
        self.known.retain(|_, p| p.transaction_start.is_some() || now_ms.saturating_sub(p.last_ms) < EXPIRES_MS);
        (before - self.known.len()) as u64
    }

    pub fn infos(&self) -> Vec<ProducerInfo> {
        let info = |(id, p): (&i64, &Producer)| ProducerInfo {
            producer_id: *id,
            producer_epoch: p.epoch,
            last_sequence: p.seen().last().map_or(-1, |s| s.last_sequence),
            last_timestamp: p.last_ms,
            coordinator_epoch: p.coordinator_epoch,
            transaction_start: p.transaction_start.unwrap_or(-1),
        };
        self.known.iter().map(info).collect()
    }
}
