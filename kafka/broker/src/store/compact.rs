//! Compaction: of closed segments only the last record per key stays, at its offset.
//!
//! A pass goes over the closed segments that lie wholly below the last stable offset. It notes the last offset of every
//! key in the part that is new, then rewrites the segments, joining small ones. What leaves a pass is plain: aborted
//! records and all markers are gone, committed records are no longer transactional, so no reader needs to know how their
//! transactions ended. Tombstones get a time in their batch's header until which they stay. A batch keeps its first and
//! last offset however few records are left in it; batches that lose none keep their bytes.
//!
//! On disk a rewritten segment is a `.cleaned` file until a `swap` note names what it replaces; a crash at any point
//! either forgets it or finishes the exchange. The checkpoint is away meanwhile, since it speaks of markers that go.
//!
//! Cost: everything closed is read twice and written once, within one call; 40 bytes of memory per distinct new key, at most [`KEYS_MAX`] and the
//! keys of one segment in a pass.

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::io;
use std::path::Path;

use bytes::Bytes;

use super::batch::{self, CODEC_BITS, CONTROL, DELETE_HORIZON, HEADER, Header, LOG_APPEND_TIME, Stored, TRANSACTIONAL};
use super::checkpoint::{Checkpoint, read_framed, write_framed};
use super::log::PartitionLog;
use super::records::{Record, Walk};
use super::segment::{SCAN_BYTES, Segment, damaged, log_path, remove_if_there};
use super::{Maintained, Storage, codec};

/// A pass takes no further segment once it knows so many keys.
const KEYS_MAX: usize = 1 << 21;
const SWAP_NAME: &str = "swap";
const SWAP_KIND: u8 = 4;

/// What a pass knows.
struct Pass {
    /// Last offset of each key in the new part, by 128 bits of hash.
    last_by_key: BTreeMap<u128, i64>,
    /// Per producer the ranges (first offset, marker) of its aborted transactions.
    aborted: BTreeMap<i64, Vec<(i64, i64)>>,
    now_ms: i64,
    delete_retention_ms: i64,
    /// When the first tombstone that stays may go.
    next_horizon: i64,
}

fn key_hash(key: &[u8]) -> u128 {
    let half = |salt: u8| {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write(key);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

impl PartitionLog {
    /// Compacts when enough is new, when something waited too long, or when tombstones are due.
    pub(super) fn compact(&mut self, now_ms: i64, done: &mut Maintained) -> io::Result<()> {
        let ready = self.cleanable(now_ms);
        if !self.compaction_due(ready, now_ms) {
            return Ok(());
        }
        let (mut pass, count) = self.survey(ready, now_ms)?;
        let end = self.segments[count].base_offset;
        let bytes_before = self.size_bytes();
        if let Some(dir) = self.dir() {
            Checkpoint::remove(dir)?;
        }
        let rewritten = self.rewrite_all(count, &mut pass, done);
        done.compacted_bytes += bytes_before.saturating_sub(self.size_bytes());
        if rewritten.is_ok() {
            self.cleaned_to = end;
            self.next_horizon = pass.next_horizon;
        }
        self.flush()?;
        rewritten
    }

    fn rewrite_all(&mut self, count: usize, pass: &mut Pass, done: &mut Maintained) -> io::Result<()> {
        let (mut first, mut left) = (0, count);
        while left > 0 {
            let joined = self.group_at(first, left);
            self.rewrite(first, joined, pass)?;
            done.compacted_segments += joined as u64;
            (first, left) = (first + 1, left - joined);
        }
        Ok(())
    }

    /// How many of the first segments may be compacted.
    fn cleanable(&self, now_ms: i64) -> usize {
        let (stable, lag) = (self.last_stable(), self.config.min_compaction_lag_ms());
        let closed = &self.segments[..self.segments.len() - 1];
        let old_enough = |s: &Segment| lag == 0 || s.max_timestamp <= now_ms.saturating_sub(lag);
        closed.iter().take_while(|s| s.next_offset <= stable && old_enough(s)).count()
    }

    fn compaction_due(&self, ready: usize, now_ms: i64) -> bool {
        let total: u64 = self.segments[..ready].iter().map(|s| s.bytes).sum();
        let dirty = || self.segments[..ready].iter().filter(|s| s.base_offset >= self.cleaned_to && !s.is_empty());
        let dirty_bytes: u64 = dirty().map(|s| s.bytes).sum();
        let oldest_allowed = now_ms.saturating_sub(self.config.max_compaction_lag_ms());
        let overdue = dirty().any(|s| s.max_timestamp < oldest_allowed);
        let enough = dirty_bytes as f64 >= total as f64 * self.config.min_cleanable_dirty_ratio();
        (dirty_bytes > 0 && (enough || overdue)) || (ready > 0 && now_ms >= self.next_horizon)
    }

    /// Checks every batch and notes the last offset of each new key; how many segments the pass covers.
    fn survey(&self, ready: usize, now_ms: i64) -> io::Result<(Pass, usize)> {
        let mut pass = Pass {
            last_by_key: BTreeMap::new(),
            aborted: BTreeMap::new(),
            now_ms,
            delete_retention_ms: self.config.delete_retention_ms(),
            next_horizon: i64::MAX,
        };
        for range in self.producers.aborted() {
            pass.aborted.entry(range.producer_id).or_default().push((range.first_offset, range.last_offset));
        }
        for (number, segment) in self.segments[..ready].iter().enumerate() {
            let new = segment.base_offset >= self.cleaned_to;
            let mut walk = segment.walk_from(i64::MIN, SCAN_BYTES)?;
            let mut next = segment.base_offset;
            while let Some(found) = walk.next_batch()? {
                let batch = walk.load(&found)?;
                // The checksum does not cover the offset.
                let in_order = found.header.base_offset >= next && found.header.next_offset() <= segment.next_offset;
                if !in_order || !batch::is_whole(&batch) {
                    return Err(damaged(format!(
                        "the batch behind offset {next} is damaged; the log is not compacted"
                    )));
                }
                next = found.header.next_offset();
                if new && !pass.drops_whole(&found.header) {
                    pass.note_keys(&found.header, &batch);
                }
            }
            if pass.last_by_key.len() > KEYS_MAX {
                return Ok((pass, number + 1));
            }
        }
        Ok((pass, ready))
    }

    /// How many segments from `first` on, of `left`, go into one.
    fn group_at(&self, first: usize, left: usize) -> usize {
        let mut bytes = 0;
        let fits = |s: &&Segment| {
            bytes += s.bytes;
            bytes <= self.segment_bytes()
        };
        self.segments[first..first + left].iter().take_while(fits).count().max(1)
    }

    /// Puts one rewritten segment in the place of `joined` ones.
    fn rewrite(&mut self, first: usize, joined: usize, pass: &mut Pass) -> io::Result<()> {
        let (base, interval) = (self.segments[first].base_offset, self.config.index_interval_bytes());
        let sources = &self.segments[first..first + joined];
        let created_ms = sources[joined - 1].created_ms;
        let mut target = match self.dir() {
            None => Segment::in_memory(base, interval, created_ms, self.storage.share()),
            Some(dir) => Segment::create(log_path(dir, base).with_extension("cleaned"), base, interval, created_ms)?,
        };
        for source in sources {
            let mut walk = source.walk_from(i64::MIN, SCAN_BYTES)?;
            while let Some(found) = walk.next_batch()? {
                if pass.drops_whole(&found.header) {
                    continue;
                }
                if let Some(kept) = pass.clean(&found.header, walk.load(&found)?) {
                    target.append(&[kept])?;
                }
            }
        }
        target.sync()?;
        target.release();
        // What was in a file stays in one: files come before memory.
        if let Storage::Spill(space) = &self.storage
            && sources.iter().any(Segment::is_spilled)
        {
            target.spill(space, interval)?;
        }
        if let Some(dir) = self.dir() {
            let bases: Vec<u8> = sources.iter().flat_map(|s| s.base_offset.to_be_bytes()).collect();
            write_framed(&dir.join(SWAP_NAME), SWAP_KIND, &bases)?;
            target.rename(log_path(dir, base))?;
            for source in &sources[1..] {
                source.remove()?;
            }
            remove_if_there(&dir.join(SWAP_NAME))?;
        }
        self.segments.splice(first..first + joined, [target]);
        // Their markers are gone, and a range without its marker would hide what its producer commits later.
        let end = self.segments[first + 1].base_offset;
        self.producers.forget_aborted_below(end);
        Ok(())
    }
}

/// Finishes an exchange of segments that a crash interrupted.
pub(super) fn finish_swap(dir: &Path) -> io::Result<()> {
    let Some(saved) = read_framed(&dir.join(SWAP_NAME), SWAP_KIND)? else {
        return remove_if_there(&dir.join(SWAP_NAME));
    };
    let mut bases = saved.as_chunks::<8>().0.iter().map(|base| log_path(dir, i64::from_be_bytes(*base)));
    if let Some(target) = bases.next() {
        remove_if_there(&target.with_extension("index"))?;
        match std::fs::rename(target.with_extension("cleaned"), &target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for replaced in bases {
        remove_if_there(&replaced)?;
        remove_if_there(&replaced.with_extension("index"))?;
    }
    remove_if_there(&dir.join(SWAP_NAME))
}

impl Pass {
    /// TRUE for markers and for what an aborted transaction wrote.
    fn drops_whole(&self, h: &Header) -> bool {
        let in_range = |(first, last): &(i64, i64)| *first <= h.base_offset && h.base_offset <= *last;
        let aborted = || self.aborted.get(&h.producer_id).is_some_and(|ranges| ranges.iter().any(in_range));
        h.is(CONTROL) || (h.is(TRANSACTIONAL) && aborted())
    }

    fn note_keys(&mut self, h: &Header, batch: &Bytes) {
        let Ok(plain) = codec::inflate(h.attributes & CODEC_BITS, &batch[HEADER..]) else { return };
        for record in Walk::new(&plain).map_while(Result::ok) {
            if let Some(key) = record.key {
                self.last_by_key.insert(key_hash(key), h.base_offset + i64::from(record.offset_delta));
            }
        }
    }

    /// What stays of a batch. One that cannot be read stays as it is.
    fn clean(&mut self, h: &Header, batch: Bytes) -> Option<Stored> {
        let body = batch.slice(HEADER..);
        let plain = codec::inflate(h.attributes & CODEC_BITS, &body).ok();
        let records: Result<Vec<Record<'_>>, _> = Walk::new(plain.as_deref().unwrap_or_default()).collect();
        let Some(records) = records.ok().filter(|_| plain.is_some()) else { return Some(unchanged(h, body)) };
        let horizon =
            if h.is(DELETE_HORIZON) { h.base_timestamp } else { self.now_ms.saturating_add(self.delete_retention_ms) };
        let kept: Vec<&Record<'_>> = records.iter().filter(|r| self.keeps(h, r, horizon)).collect();
        let tombstones = kept.iter().any(|r| r.key.is_some() && r.value.is_none());
        if tombstones {
            self.next_horizon = self.next_horizon.min(horizon);
        }
        if kept.is_empty() {
            return None;
        }
        if kept.len() == records.len() && tombstones == h.is(DELETE_HORIZON) {
            return Some(unchanged(h, body));
        }
        Some(written_anew(h, &kept, tombstones.then_some(horizon)))
    }

    fn keeps(&self, h: &Header, record: &Record<'_>, horizon: i64) -> bool {
        let Some(key) = record.key else { return true };
        let offset = h.base_offset + i64::from(record.offset_delta);
        let last = self.last_by_key.get(&key_hash(key)).is_none_or(|last| *last <= offset);
        last && (record.value.is_some() || self.now_ms < horizon)
    }
}

/// All records stay; only the bit goes that asks readers for the outcome of a transaction.
fn unchanged(h: &Header, body: Bytes) -> Stored {
    Stored::seal(Header { attributes: h.attributes & !TRANSACTIONAL, ..*h }, body)
}

fn written_anew(h: &Header, kept: &[&Record<'_>], horizon: Option<i64>) -> Stored {
    let time_of = |r: &Record<'_>| h.base_timestamp.wrapping_add(r.timestamp_delta);
    let base_timestamp = horizon.or(kept.first().map(|r| time_of(r))).unwrap_or(h.base_timestamp);
    let mut body = Vec::new();
    for record in kept {
        record.write(&mut body, time_of(record).wrapping_sub(base_timestamp));
    }
    let greatest = kept.iter().map(|r| time_of(r)).max().unwrap_or(h.max_timestamp);
    let mut attributes = h.attributes & !(CODEC_BITS | TRANSACTIONAL | DELETE_HORIZON);
    if horizon.is_some() {
        attributes |= DELETE_HORIZON;
    }
    let header = Header {
        attributes,
        base_timestamp,
        max_timestamp: if h.is(LOG_APPEND_TIME) { h.max_timestamp } else { greatest },
        count: kept.len() as i32,
        ..*h
    };
    Stored::seal(header, body.into())
}
