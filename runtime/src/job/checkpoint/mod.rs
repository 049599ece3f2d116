//! Runs that survive their process: `--state FOLDER`.
//!
//! Checkpoints are cut at barriers (`collect`), written as one file each (`frame`), and the newest that verifies is where
//! the next start goes on: shards take their share of the state by virtual node, files are read on behind the positions,
//! output files are cut back to the length they had. So what comes out is what an uninterrupted run gives, byte for byte
//! where its order is a promise, whenever the process ends and whatever number of shards goes on.
//!
//! Before anything is written the first start leaves checkpoint 1, with the lengths of files that are appended to; from
//! then on a start never begins again by itself. Output files are `<name>.partial` until the run is complete, all of them
//! then get their names, and a later start finds nothing to do. The folder is locked while it is in use.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use velostream_exec::shard::ShardSnapshot;
use velostream_sql::explain::explain;
use velostream_sql::plan::{AppPlan, SinkConnector, SourceConnector};
use velostream_state::sections::checksum;
use velostream_types::time::NS_PER_MS;
use velostream_types::{Clock, Fatal, PartitionId, SourceId, Store};

use self::collect::Collector;
use self::frame::{Checkpoint, Meta, Output, Phase};
use super::{Event, Life, MakeShard, Resume, RunOptions, RunReport, inputs as present_inputs, run_life};
use crate::io::file_sink::{self, partial_path};
use crate::stop::StopHandle;
use crate::store::FileStore;

mod collect;
mod frame;
mod inputs;
mod types;

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
}

/// Reads a checkpoint as a start would; what is wrong with it otherwise.
pub fn verify(bytes: &[u8]) -> Result<Verified, String> {
    let Checkpoint { meta, parts } = frame::decode(bytes)?;
    let records = meta.positions.iter().map(|at| u64::try_from(at.record).unwrap_or(0)).sum();
    let tables = parts.iter().flat_map(|part| &part.nodes).map(|(_, node)| node.tables.len()).sum();
    Ok(Verified { number: meta.number, complete: meta.phase != Phase::Running, records, tables })
}

fn name_of(number: u64) -> String {
    format!("{PREFIX}{number:010}")
}

impl State {
    /// Opens a state folder, which is made if missing, and finds where to go on.
    pub fn open(folder: PathBuf) -> Result<State, Fatal> {
        let mut store = FileStore::open(folder)?;
        let names = store.list()?;
        let mut state = State { store, newest: None, highest: 0, unusable: Vec::new(), told: Vec::new() };
        for name in names.into_iter().rev().filter(|name| name.starts_with(PREFIX)) {
            let number = name[PREFIX.len()..].parse().unwrap_or(0);
            state.highest = state.highest.max(number);
            if state.newest.is_some() {
                continue;
            }
            let Some(bytes) = state.store.get(&name)? else { continue };
            match frame::decode(&bytes) {
                Ok(checkpoint) => state.newest = Some(checkpoint),
                Err(reason) => {
                    state.told.push(format!("{}: {reason}", state.store.folder().join(&name).display()));
                    state.unusable.push(name);
                }
            }
        }
        if state.newest.is_none() && !state.unusable.is_empty() {
            return Err(Fatal::new(format!(
                "no checkpoint in {} can be used ({}); remove the folder to begin again",
                state.store.folder().display(),
                state.told.join("; ")
            )));
        }
        if let Some(checkpoint) = &state.newest {
            let goes_on = format!("; going on from checkpoint {}", checkpoint.meta.number);
            state.told.iter_mut().for_each(|text| *text = format!("cannot use {text}{goes_on}"));
        }
        Ok(state)
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

/// Fails for apps whose output or input cannot be taken back to a checkpoint.
fn check_plan(plan: &AppPlan) -> Result<(), Fatal> {
    let refuse = |what: String, why: &str| Err(Fatal::new(format!("--state cannot keep {what}: {why}")));
    for source in &plan.sources {
        match &source.connector {
            SourceConnector::File { .. } | SourceConnector::OneRow => {}
            SourceConnector::Kafka(kafka) => {
                let why = "apps over topics go on from what their consumer group committed; run it without --state";
                return refuse(format!("source {}, the topic {}", source.name, kafka.topic), why);
            }
            SourceConnector::Memory { topic } => {
                let why = "what is in it ends with the process; read a file";
                return refuse(format!("source {}, the in-memory topic {topic}", source.name), why);
            }
        }
    }
    let mut paths: Vec<(&Path, &str)> = Vec::new();
    for sink in &plan.sinks {
        match &sink.connector {
            SinkConnector::File { path, .. } => paths.push((path, &sink.name)),
            SinkConnector::Stdout => {
                let why = "what was printed cannot be taken back; give it a file (INTO 'out.jsonl', or its path)";
                return refuse(format!("{} on standard output", sink.name), why);
            }
            SinkConnector::Kafka(kafka) => {
                return refuse(format!("{}, the topic {}", sink.name, kafka.topic), "only files can be cut back yet");
            }
            SinkConnector::Memory { topic, .. } => {
                let why = "what is in it ends with the process; write a file";
                return refuse(format!("{}, the in-memory topic {topic}", sink.name), why);
            }
        }
    }
    for dlq in plan.dlqs.iter().filter(|dlq| dlq.enabled) {
        if let Some(kafka) = &dlq.topic {
            let what = format!("the dead letters of {} in topic {}", dlq.name, kafka.topic);
            return refuse(what, "only files can be cut back yet");
        }
        paths.push((&dlq.path, &dlq.name));
    }
    paths.sort();
    match paths.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => {
            let what = format!("{} and {} in one file, {}", pair[0].1, pair[1].1, pair[0].0.display());
            refuse(what, "it could not be cut back for one of them; give each a path of its own")
        }
        None => Ok(()),
    }
}

/// What describes a run of `plan` before its first row.
fn describe(plan: &AppPlan, options: &StateOptions, follow: bool, run_start_ms: i64) -> Result<Meta, Fatal> {
    let text_of = |path: &Path| {
        let utf8 = path.to_str().map(str::to_owned);
        utf8.ok_or_else(|| Fatal::new(format!("--state: the name of {} is no UTF-8", path.display())))
    };
    let length = |path: &Path| path.metadata().map_or(0, |meta| meta.len());
    let mut sinks = Vec::new();
    for sink in &plan.sinks {
        let SinkConnector::File { path, append, .. } = &sink.connector else { continue };
        let bytes = if *append { length(path) } else { 0 };
        sinks.push(Output { path: text_of(path)?, partial: !append && !follow, bytes });
    }
    let mut dead = Vec::new();
    for dlq in &plan.dlqs {
        let bytes = if dlq.enabled { length(&dlq.path) } else { 0 };
        dead.push(Output { path: text_of(&dlq.path)?, partial: false, bytes });
    }
    Ok(Meta {
        number: options.state.highest + 1,
        phase: Phase::Running,
        app: plan.name.clone(),
        text: options.text.clone(),
        plan: explain(plan, true),
        fingerprint: format!("{:016x}", checksum(format!("{plan:?}").as_bytes())),
        follow,
        run_start_ms,
        shards: 0,
        types: options.types.iter().map(|(key, schema)| (key.clone(), types::to_json(schema))).collect(),
        inputs: Vec::new(),
        positions: Vec::new(),
        ended: Vec::new(),
        sinks,
        dead,
    })
}

/// The first line in which two texts differ, as words.
fn first_change(before: &str, now: &str) -> Option<String> {
    let (mut before, mut now) = (before.lines(), now.lines());
    for n in 1.. {
        match (before.next(), now.next()) {
            (None, None) => break,
            (was, is) if was == is => {}
            (Some(was), Some(is)) => return Some(format!("line {n} was `{}` and is `{}`", was.trim(), is.trim())),
            (Some(was), None) => return Some(format!("line {n}, `{}`, is gone", was.trim())),
            (None, Some(is)) => return Some(format!("line {n}, `{}`, is new", is.trim())),
        }
    }
    None
}

/// Fails when the checkpoint is of another app than `now`.
fn check_same(folder: &Path, before: &Meta, now: &Meta) -> Result<(), Fatal> {
    let change = if before.text != now.text {
        first_change(&before.text, &now.text).map(|change| format!("of its SQL, {change}"))
    } else if before.follow != now.follow {
        let with = |follow| if follow { "with --follow" } else { "without --follow" };
        Some(format!("it ran {} and runs {}", with(before.follow), with(now.follow)))
    } else if before.plan != now.plan {
        first_change(&before.plan, &now.plan).map(|change| {
            format!("a property, setting or variable gives it another plan (velo-sql explain -v): {change}")
        })
    } else if before.fingerprint != now.fingerprint || before.app != now.app {
        Some("a property, a setting or the version of velo-sql gives it another plan".to_owned())
    } else {
        return Ok(());
    };
    Err(Fatal::new(format!(
        "{} holds checkpoint {} of another app: {}; run what it was taken of, name another folder, or remove this one to \
         begin again",
        folder.display(),
        before.number,
        change.unwrap_or_else(|| "its line ends changed".to_owned())
    )))
}

/// Runs a plan over files from where its state folder stands.
pub(super) fn run(
    plan: AppPlan,
    mut options: RunOptions,
    mut keep: StateOptions,
    stop: &StopHandle,
    make: &MakeShard,
) -> Result<RunReport, Fatal> {
    check_plan(&plan)?;
    let folder = keep.state.store.folder().to_owned();
    let newest = keep.state.newest.take();
    let now_ms = options.clock.now_ns() / NS_PER_MS;
    let run_start_ms = newest.as_ref().map_or(now_ms, |checkpoint| checkpoint.meta.run_start_ms);
    let mut meta = describe(&plan, &keep, options.follow, run_start_ms)?;
    let mut report = CheckpointReport { folder: folder.clone(), ..CheckpointReport::default() };
    if let Some(checkpoint) = &newest {
        check_same(&folder, &checkpoint.meta, &meta)?;
        report.resumed_from = Some(checkpoint.meta.number);
        report.last = checkpoint.meta.number;
    }
    if let Some(Checkpoint { meta, .. }) = newest.as_ref().filter(|c| c.meta.phase != Phase::Running) {
        give_names(&mut keep.state, meta.clone())?;
        (report.complete, report.was_complete) = (true, true);
        return Ok(RunReport::was_complete(&plan, stop, options.follow, report));
    }
    let mut inputs = present_inputs(&plan, &options.topics, options.follow)?;
    let restored = match newest {
        Some(checkpoint) => {
            let told = inputs::as_before(&mut inputs, &plan, &checkpoint.meta);
            told.iter().for_each(|text| (options.observer)(Event::Notice(text)));
            (meta.inputs, meta.positions) = (checkpoint.meta.inputs.clone(), checkpoint.meta.positions.clone());
            (meta.sinks, meta.dead) = (checkpoint.meta.sinks.clone(), checkpoint.meta.dead.clone());
            meta.types = checkpoint.meta.types.clone();
            let number = checkpoint.meta.number;
            (options.observer)(Event::Notice(&format!("going on from checkpoint {number} in {}", folder.display())));
            Some(restore(checkpoint, &inputs, &plan)?)
        }
        None => {
            meta.inputs = inputs::named(&inputs)?;
            keep.state.put(&meta, &[])?;
            report.last = meta.number;
            None
        }
    };
    let (notes_in, notes) = crossbeam_channel::unbounded();
    let plan = Arc::new(plan);
    let mut collector =
        Collector::new(keep.state, meta, notes, keep.interval, report, Arc::clone(&plan), inputs.clone());
    let resume = Resume { state: Some(Arc::new(Kept { restored })), ..Resume::default() };
    let life = Life { plan, inputs, broker: None, notes: Some(notes_in), resume };
    let mut outcome = run_life(life, &mut options, stop, make, &mut |world, observer| {
        collector.tick(world, stop, observer);
    })?;
    outcome.checkpoints = Some(collector.finish()?);
    Ok(outcome)
}

fn restore(checkpoint: Checkpoint, inputs: &[super::Input], plan: &AppPlan) -> Result<Restored, Fatal> {
    let Checkpoint { meta, parts } = checkpoint;
    inputs::check(inputs, &meta.positions)?;
    let live = meta.positions.iter().filter(|at| !at.ended);
    Ok(Restored {
        heads: inputs::heads(inputs, plan, &meta.positions)?,
        parts,
        run_start_ms: meta.run_start_ms,
        bytes: live.map(|at| (SourceId(at.source), PartitionId(at.partition), at.byte)).collect(),
        sinks: meta.sinks.iter().map(|sink| sink.bytes).collect(),
        dead: meta.dead.iter().map(|dead| dead.bytes).collect(),
    })
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
