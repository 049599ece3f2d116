//! Runs that survive their process: `--state FOLDER`.
//!
//! Checkpoints are cut at barriers (`collect`), written as one file each (`frame`), and the newest that verifies is where
//! the next start goes on: shards take their share of the state by virtual node, files and topics are read on behind the
//! positions, output files are cut back to the length they had. So what comes out is what an uninterrupted run gives, byte
//! for byte where its order is a promise, whenever the process ends and whatever number of shards goes on. Rows in topics
//! cannot be taken back: those from behind the checkpoint come again.
//!
//! The groups of topics commit the offsets of each checkpoint once it is on the disk, for whoever looks at their lag; a
//! start goes by the folder alone (`logs`). Each life of the shards (see `group`) begins like a start.
//!
//! Before anything is written the first start leaves checkpoint 1, with the lengths of files that are appended to; from
//! then on a start never begins again by itself. Output files are `<name>.partial` until the run is complete, all of them
//! then get their names, and a later start finds nothing to do. The folder is locked while it is in use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use velostream_exec::shard::ShardSnapshot;
use velostream_sql::plan::AppPlan;
use velostream_types::{Fatal, PartitionId, SourceId, Store};

use self::collect::Collector;
use self::frame::{Checkpoint, Meta, Phase, Position};
use super::{Event, Life, MakeShard, Resume, RunOptions, RunReport, group, inputs as present_inputs, run_life, topics};
use crate::io::file_sink::{self, partial_path};
use crate::stop::StopHandle;
use crate::store::FileStore;

pub(super) mod collect;
mod describe;
mod frame;
mod inputs;
mod keeper;
mod logs;
mod types;

pub(super) use keeper::Keeper;
pub use types::{RememberingCatalog, SampledTypes};

/// Checkpoints that are kept.
pub const KEPT: usize = 3;
/// What names of checkpoints begin with.
const PREFIX: &str = "checkpoint-";

/// The state folder of a run, in use.
#[derive(Debug)]
pub struct State {
    store: FileStore,
    newest: Option<Checkpoint>,
    /// Highest number there is, usable or not.
    highest: u64,
    /// Names of files that cannot be used.
    unusable: Vec<String>,
    told: Vec<String>,
}

/// How a run keeps its state.
#[derive(Debug)]
pub struct StateOptions {
    /// The folder.
    pub state: State,
    /// Pause between checkpoints.
    pub interval: Duration,
    /// The app's SQL.
    pub text: String,
    /// What its undeclared sources were found to have.
    pub types: SampledTypes,
}

/// What a run did about checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CheckpointReport {
    /// The state folder.
    pub folder: PathBuf,
    /// Checkpoint this run went on from.
    pub resumed_from: Option<u64>,
    /// Checkpoints taken.
    pub taken: u64,
    /// Number of the last one there is.
    pub last: u64,
    /// Bytes of the last one taken.
    pub last_bytes: u64,
    /// Time from the last one's barrier until it was on the disk, s.
    pub last_s: f64,
    /// The same of the one that took longest.
    pub longest_s: f64,
    /// Everything is written: another start has nothing to do.
    pub complete: bool,
    /// It was so before this start.
    pub was_complete: bool,
}

/// What stands in the bytes of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Its number.
    pub number: u64,
    /// Nothing is left to do.
    pub complete: bool,
    /// Records read before it, over all partitions.
    pub records: u64,
    /// Tables of operators in it.
    pub tables: usize,
    /// Next offset of each partition of each topic, by source and partition.
    pub offsets: Vec<(SourceId, PartitionId, i64)>,
}

/// Reads a checkpoint as a start would; what is wrong with it otherwise.
pub fn verify(bytes: &[u8]) -> Result<Verified, String> {
    let Checkpoint { meta, parts } = frame::decode(bytes)?;
    let records = meta.positions.iter().map(|at| u64::try_from(at.record).unwrap_or(0)).sum();
    let tables = parts.iter().flat_map(|part| &part.nodes).map(|(_, node)| node.tables.len()).sum();
    let is_log =
        |at: &&Position| meta.logs.iter().any(|log| at.is_of(SourceId(log.source), PartitionId(log.partition)));
    let offset = |at: &Position| (SourceId(at.source), PartitionId(at.partition), at.record);
    let mut offsets: Vec<_> = meta.positions.iter().filter(is_log).map(offset).collect();
    offsets.sort_unstable();
    Ok(Verified { number: meta.number, complete: meta.phase != Phase::Running, records, tables, offsets })
}

fn name_of(number: u64) -> String {
    format!("{PREFIX}{number:010}")
}

impl State {
    /// Opens a state folder, which is made if missing, and finds where to go on.
    pub fn open(folder: PathBuf) -> Result<State, Fatal> {
        let store = FileStore::open(folder)?;
        let mut state = State { store, newest: None, highest: 0, unusable: Vec::new(), told: Vec::new() };
        state.find()?;
        Ok(state)
    }

    /// Finds the newest checkpoint that verifies.
    fn find(&mut self) -> Result<(), Fatal> {
        (self.newest, self.unusable, self.told) = (None, Vec::new(), Vec::new());
        let names = self.store.list()?;
        for name in names.into_iter().rev().filter(|name| name.starts_with(PREFIX)) {
            let number = name[PREFIX.len()..].parse().unwrap_or(0);
            self.highest = self.highest.max(number);
            if self.newest.is_some() {
                continue;
            }
            let Some(bytes) = self.store.get(&name)? else { continue };
            match frame::decode(&bytes) {
                Ok(checkpoint) => self.newest = Some(checkpoint),
                Err(reason) => {
                    self.told.push(format!("{}: {reason}", self.store.folder().join(&name).display()));
                    self.unusable.push(name);
                }
            }
        }
        if self.newest.is_none() && !self.unusable.is_empty() {
            return Err(Fatal::new(format!(
                "no checkpoint in {} can be used ({}); remove the folder to begin again",
                self.store.folder().display(),
                self.told.join("; ")
            )));
        }
        if let Some(checkpoint) = &self.newest {
            let goes_on = format!("; going on from checkpoint {}", checkpoint.meta.number);
            self.told.iter_mut().for_each(|text| *text = format!("cannot use {text}{goes_on}"));
        }
        Ok(())
    }

    /// What is to be told of checkpoints that cannot be used.
    pub fn told(&self) -> &[String] {
        &self.told
    }

    /// Types that the first start found.
    pub fn types(&self) -> SampledTypes {
        let types = self.newest.iter().flat_map(|checkpoint| &checkpoint.meta.types);
        types.filter_map(|(key, value)| Some((key.clone(), types::from_json(value)?))).collect()
    }

    /// Writes a checkpoint and forgets the old ones.
    fn put(&mut self, meta: &Meta, parts: &[ShardSnapshot]) -> Result<u64, Fatal> {
        let encoded = frame::encode(meta, parts);
        let bytes = encoded.map_err(|error| Fatal::new(format!("cannot encode a checkpoint: {error}")))?;
        self.store.put(&name_of(meta.number), &bytes)?;
        self.highest = self.highest.max(meta.number);
        for name in self.unusable.drain(..) {
            self.store.remove(&name)?;
        }
        let mut names: Vec<String> = self.store.list()?.into_iter().filter(|name| name.starts_with(PREFIX)).collect();
        names.truncate(names.len().saturating_sub(KEPT));
        names.iter().try_for_each(|name| self.store.remove(name))?;
        Ok(bytes.len() as u64)
    }
}

/// What the shards and files of a run that keeps its state begin with.
#[derive(Debug, Default)]
pub struct Kept {
    /// Where a checkpoint goes on; `None`: a first start.
    pub(super) restored: Option<Restored>,
}

impl Kept {
    /// Where an output file goes on; `at` finds its length in a checkpoint.
    pub(super) fn output(&self, at: impl Fn(&Restored) -> Option<&u64>) -> file_sink::Kept {
        match &self.restored {
            None => file_sink::Kept::New,
            Some(restored) => file_sink::Kept::At(at(restored).copied().unwrap_or(0)),
        }
    }
}

/// What a checkpoint gives a start.
#[derive(Debug)]
pub(super) struct Restored {
    pub parts: Vec<ShardSnapshot>,
    pub heads: Vec<(SourceId, PartitionId, Vec<u8>)>,
    pub run_start_ms: i64,
    /// Byte of its stream each partition goes on at; those that ended are not read.
    pub bytes: Vec<(SourceId, PartitionId, u64)>,
    pub sinks: Vec<u64>,
    pub dead: Vec<u64>,
}

impl Restored {
    /// Where a partition goes on.
    pub fn byte(&self, source: SourceId, partition: PartitionId) -> u64 {
        self.bytes.iter().find(|(s, p, _)| (*s, *p) == (source, partition)).map_or(0, |(.., byte)| *byte)
    }
}

/// Runs a plan from where its state folder stands.
pub(super) fn run(
    mut plan: AppPlan,
    mut options: RunOptions,
    keep: StateOptions,
    stop: &StopHandle,
    make: &MakeShard,
) -> Result<RunReport, Fatal> {
    plan.name_groups(|_| None);
    let mut keeper = Keeper::open(&plan, &options, keep)?;
    if keeper.was_complete()? {
        return Ok(RunReport::was_complete(&plan, stop, options.follow, keeper.report));
    }
    if topics::needs_broker(&plan) {
        return group::run(plan, options, stop, make, Some(keeper));
    }
    let mut inputs = present_inputs(&plan, &options.topics, options.follow)?;
    let mut say = |text: String| (options.observer)(Event::Notice(&text));
    let resume = keeper.begin(&plan, &mut inputs, Resume::default(), &mut say)?;
    let (notes_in, notes) = crossbeam_channel::unbounded();
    let plan = Arc::new(plan);
    let mut collector = Collector::new(&mut keeper, notes, Arc::clone(&plan), inputs.clone());
    let life = Life { plan, inputs, broker: None, notes: Some(notes_in), resume };
    let mut outcome = run_life(life, &mut options, stop, make, &mut |world, observer| {
        collector.tick(world, stop);
        collector.seen.take_said().iter().for_each(|text| observer(Event::Notice(text)));
    })?;
    collector.finish()?;
    outcome.checkpoints = Some(keeper.report);
    Ok(outcome)
}

/// Gives the complete output its names, as often as it takes: a process may end between any two of them.
fn give_names(state: &mut State, mut meta: Meta) -> Result<(), Fatal> {
    if meta.phase != Phase::Written {
        return Ok(());
    }
    for output in meta.sinks.iter().filter(|output| output.partial) {
        let path = PathBuf::from(&output.path);
        let partial = partial_path(&path);
        if partial.exists() {
            let failed = |error| Fatal::new(format!("cannot rename {} to {}: {error}", partial.display(), output.path));
            std::fs::rename(&partial, &path).map_err(failed)?;
            collect::sync_folder(&path)?;
        } else if !path.exists() {
            return Err(Fatal::new(format!(
                "{} is gone, which the complete run left; remove the state folder {} to begin again",
                partial.display(),
                state.store.folder().display()
            )));
        }
    }
    meta.phase = Phase::Complete;
    state.put(&meta, &[]).map(drop)
}
