//! The files a run reads, as its first start found them, and what has become of them since.
//!
//! The partitions of a run are fixed when it starts for the first time, numbers included: a result is a function of the
//! contents of the partitions, and a file that came later would be one more of them. So a run that goes on reads the
//! files its checkpoint names; files that appeared are told and left to a run of their own. A file that was read and has
//! become shorter, or whose last bytes before the position are others, is an error.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use velostream_sql::plan::{AppPlan, Format};
use velostream_state::sections::checksum;
use velostream_types::{Fatal, PartitionId, SourceId};

use super::frame::{Meta, Position};
use crate::io::file_source::{is_compressed, open};
use crate::io::record_ends::RecordEnds;
use crate::job::Input;

/// Bytes before a position whose checksum is kept.
const TAIL: u64 = 4096;
/// Bytes read at a time while a header is looked for.
const STEP: usize = 16 << 10;

/// The paths as a checkpoint keeps them.
pub(super) fn named(inputs: &[Input]) -> Result<Vec<Vec<Vec<String>>>, Fatal> {
    let name = |path: &PathBuf| {
        let utf8 = path.to_str().map(str::to_owned);
        utf8.ok_or_else(|| Fatal::new(format!("--state: the name of {} is no UTF-8", path.display())))
    };
    let files = |input: &Input| match input {
        Input::Files { partitions, .. } => {
            partitions.iter().map(|files| files.iter().map(name).collect::<Result<_, _>>()).collect()
        }
        _ => Ok(Vec::new()),
    };
    inputs.iter().map(files).collect()
}

/// Puts the files of the checkpoint in the place of those there are now; answers what to tell of the difference.
pub(super) fn as_before(inputs: &mut [Input], plan: &AppPlan, meta: &Meta) -> Vec<String> {
    let mut told = Vec::new();
    for ((input, known), source) in inputs.iter_mut().zip(&meta.inputs).zip(&plan.sources) {
        let Input::Files { partitions, .. } = input else { continue };
        let before: Vec<Vec<PathBuf>> = known.iter().map(|files| files.iter().map(PathBuf::from).collect()).collect();
        let is_new = |path: &&PathBuf| !before.iter().flatten().any(|known| known == *path);
        let new: Vec<String> =
            partitions.iter().flatten().filter(is_new).map(|path| path.display().to_string()).collect();
        if !new.is_empty() {
            told.push(format!(
                "source {}: {} appeared since this run began and is not part of it; read it with a run of its own",
                source.name,
                new.join(", ")
            ));
        }
        *partitions = before;
    }
    told
}

/// The only file of a partition, if it is a plain one.
fn plain<'a>(inputs: &'a [Input], at: &Position) -> Option<&'a Path> {
    let Input::Files { partitions, .. } = inputs.get(usize::from(at.source))? else { return None };
    match partitions.get(at.partition as usize)?.as_slice() {
        [path] if !is_compressed(path) => Some(path),
        _ => None,
    }
}

/// Checksum of the bytes in front of `byte`; `None` when they are not there.
fn tail_of(path: &Path, byte: u64) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let length = byte.min(TAIL);
    let mut bytes = vec![0; length as usize];
    file.seek(SeekFrom::Start(byte - length)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Some(checksum(&bytes))
}

/// Notes what stands in front of each position, unless it is the one of `before`.
pub(super) fn note_tails(inputs: &[Input], positions: &mut [Position], before: &[Position]) {
    for at in positions.iter_mut().filter(|at| !at.ended) {
        let same = |known: &&Position| {
            (known.source, known.partition, known.byte) == (at.source, at.partition, at.byte) && known.tail.is_some()
        };
        at.tail = match before.iter().find(same) {
            Some(known) => known.tail,
            None => plain(inputs, at).and_then(|path| tail_of(path, at.byte)),
        };
    }
}

/// Fails when a file is not what it was.
pub(super) fn check(inputs: &[Input], positions: &[Position]) -> Result<(), Fatal> {
    for at in positions.iter().filter(|at| !at.ended) {
        let Some(path) = plain(inputs, at) else { continue };
        let shown = path.display();
        let way_out = "put back what was read, or remove the state folder to begin again";
        let meta = std::fs::metadata(path)
            .map_err(|error| Fatal::new(format!("cannot read on in {shown}: {error}; {way_out}")))?;
        if meta.is_file() && meta.len() < at.byte {
            return Err(Fatal::new(format!(
                "{shown} has {} bytes and was read up to byte {} before: it is not what was read; {way_out}",
                meta.len(),
                at.byte
            )));
        }
        if at.tail.is_some() && tail_of(path, at.byte) != at.tail {
            return Err(Fatal::new(format!(
                "{shown} was changed: the bytes in front of byte {}, up to which it was read, are others; {way_out}",
                at.byte
            )));
        }
    }
    Ok(())
}

/// Beginnings of the partitions that go on behind a header, header and skipped lines included.
pub(super) fn heads(
    inputs: &[Input],
    plan: &AppPlan,
    positions: &[Position],
) -> Result<Vec<(SourceId, PartitionId, Vec<u8>)>, Fatal> {
    let mut heads = Vec::new();
    for at in positions.iter().filter(|at| !at.ended && at.byte > 0) {
        let Some(Input::Files { partitions, .. }) = inputs.get(usize::from(at.source)) else { continue };
        let format = &plan.sources[usize::from(at.source)].format;
        let first = partitions.get(at.partition as usize).and_then(|files| files.first());
        if let (Some(path), true) = (first, RecordEnds::new(format).lead > 0) {
            let head = head_of(path, format)
                .map_err(|error| Fatal::new(format!("cannot read the header of {}: {error}", path.display())))?;
            heads.push((SourceId(at.source), PartitionId(at.partition), head));
        }
    }
    Ok(heads)
}

fn head_of(path: &Path, format: &Format) -> std::io::Result<Vec<u8>> {
    let mut reader = open(path)?;
    let (mut ends, mut head) = (RecordEnds::new(format), Vec::new());
    loop {
        let start = head.len();
        if (&mut reader).take(STEP as u64).read_to_end(&mut head)? == 0 {
            return Ok(head);
        }
        while let Some(end) = ends.next(&head[start..]) {
            if ends.seen == ends.lead {
                head.truncate(start + end);
                return Ok(head);
            }
        }
    }
}
