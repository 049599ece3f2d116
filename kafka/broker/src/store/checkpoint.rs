//! Small checksummed files beside the segments, replaced by rename: the log start, a closed segment's index, and the
//! checkpoint from which a log opens without reading closed segments.
//!
//! A file: CRC-32C of the rest 4, kind 1, version 1, contents. One that is missing, cut or damaged reads as absent, and
//! what it held is rebuilt from the segments, except for the log start, which then is the first segment's.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use bytes::{Buf, BufMut};

use super::epochs::Epochs;
use super::producers::{AbortedRange, Producer, Producers, SEQUENCES_KEPT, Seen};

const VERSION: u8 = 1;
const CHECKPOINT_KIND: u8 = 2;
const START_KIND: u8 = 3;
/// No small file is larger; a damaged file system must not make us read one that is.
const FILE_BYTES_MAX: u64 = 1 << 30;
const CHECKPOINT_NAME: &str = "checkpoint";
const START_NAME: &str = "log-start";

/// Writes `contents` under `path`: a reader sees the old file or the new one.
pub(super) fn write_framed(path: &Path, kind: u8, contents: &[u8]) -> io::Result<()> {
    let mut framed = vec![0, 0, 0, 0, kind, VERSION];
    framed.extend_from_slice(contents);
    let crc = crc32c::crc32c(&framed[4..]);
    framed[..4].copy_from_slice(&crc.to_be_bytes());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let mut file = File::create(&fresh)?;
    file.write_all(&framed)?;
    file.sync_data()?;
    fs::rename(&fresh, path)
}

/// Contents of a file of this kind; `None` when there is none or it is damaged.
pub(super) fn read_framed(path: &Path, kind: u8) -> io::Result<Option<Vec<u8>>> {
    let mut framed = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(meta) if meta.len() > FILE_BYTES_MAX => return Ok(None),
        Ok(_) => fs::read(path)?,
    };
    let sound = match framed.split_first_chunk::<4>() {
        Some((crc, rest)) => crc32c::crc32c(rest).to_be_bytes() == *crc && rest.starts_with(&[kind, VERSION]),
        None => false,
    };
    Ok(sound.then(|| framed.split_off(6)))
}

pub(super) fn write_log_start(dir: &Path, offset: i64) -> io::Result<()> {
    write_framed(&dir.join(START_NAME), START_KIND, &offset.to_be_bytes())
}

pub(super) fn read_log_start(dir: &Path) -> io::Result<Option<i64>> {
    let saved = read_framed(&dir.join(START_NAME), START_KIND)?;
    Ok(saved.and_then(|s| s.try_into().ok()).map(i64::from_be_bytes))
}

/// What is known of the batches below `next_offset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub next_offset: i64,
    /// Compaction has been here; everything below holds a key once.
    pub cleaned_to: i64,
    /// When the first tombstone may go, `i64::MAX` when there is none.
    pub next_horizon: i64,
    pub epochs: Epochs,
    pub producers: Producers,
}

impl Checkpoint {
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        write_framed(&dir.join(CHECKPOINT_NAME), CHECKPOINT_KIND, &self.encode())
    }

    pub fn read(dir: &Path) -> io::Result<Option<Checkpoint>> {
        let saved = read_framed(&dir.join(CHECKPOINT_NAME), CHECKPOINT_KIND)?;
        Ok(saved.and_then(|s| Checkpoint::decode(&s)))
    }

    pub fn remove(dir: &Path) -> io::Result<()> {
        super::segment::remove_if_there(&dir.join(CHECKPOINT_NAME))
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for field in [self.next_offset, self.cleaned_to, self.next_horizon] {
            out.put_i64(field);
        }
        out.put_u32(self.epochs.entries().len() as u32);
        for (epoch, offset) in self.epochs.entries() {
            out.put_i32(*epoch);
            out.put_i64(*offset);
        }
        out.put_u32(self.producers.known().len() as u32);
        for (id, p) in self.producers.known() {
            out.put_i64(*id);
            out.put_i16(p.epoch);
            out.put_i32(p.coordinator_epoch);
            out.put_i64(p.last_ms);
            out.put_i64(p.transaction_start.unwrap_or(-1));
            out.put_u8(p.seen().len() as u8);
            for s in p.seen() {
                out.put_i32(s.first_sequence);
                out.put_i32(s.last_sequence);
                out.put_i64(s.base_offset);
                out.put_i64(s.last_offset);
                out.put_i64(s.log_append_time);
            }
        }
        for a in self.producers.aborted() {
            for field in [a.producer_id, a.first_offset, a.last_offset, a.last_stable] {
                out.put_i64(field);
            }
        }
        out
    }

    fn decode(mut bytes: &[u8]) -> Option<Checkpoint> {
        let rest = &mut bytes;
        let (next_offset, cleaned_to, next_horizon) =
            (rest.try_get_i64().ok()?, rest.try_get_i64().ok()?, rest.try_get_i64().ok()?);
        let mut entries = Vec::new();
        for _ in 0..rest.try_get_u32().ok()? {
            entries.push((rest.try_get_i32().ok()?, rest.try_get_i64().ok()?));
        }
        let mut known = BTreeMap::new();
        for _ in 0..rest.try_get_u32().ok()? {
            known.insert(rest.try_get_i64().ok()?, decode_producer(rest)?);
        }
        let mut aborted = Vec::new();
        while !rest.is_empty() {
            aborted.push(AbortedRange {
                producer_id: rest.try_get_i64().ok()?,
                first_offset: rest.try_get_i64().ok()?,
                last_offset: rest.try_get_i64().ok()?,
                last_stable: rest.try_get_i64().ok()?,
            });
        }
        let producers = Producers::from_parts(known, aborted);
        Some(Checkpoint { next_offset, cleaned_to, next_horizon, epochs: Epochs::from_entries(entries), producers })
    }
}

fn decode_producer(rest: &mut &[u8]) -> Option<Producer> {
    let mut producer = Producer::new(rest.try_get_i16().ok()?);
    producer.coordinator_epoch = rest.try_get_i32().ok()?;
    producer.last_ms = rest.try_get_i64().ok()?;
    producer.transaction_start = Some(rest.try_get_i64().ok()?).filter(|start| *start >= 0);
    let seen = usize::from(rest.try_get_u8().ok()?);
    if seen > SEQUENCES_KEPT {
        return None;
    }
    for _ in 0..seen {
        producer.remember(Seen {
            first_sequence: rest.try_get_i32().ok()?,
            last_sequence: rest.try_get_i32().ok()?,
            base_offset: rest.try_get_i64().ok()?,
            last_offset: rest.try_get_i64().ok()?,
            log_append_time: rest.try_get_i64().ok()?,
        });
    }
    Some(producer)
}
