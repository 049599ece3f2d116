//! Takes checkpoints of a run: gives barriers, gathers what shards and writers tell of them, makes the output files safe
//! up to their lengths, and writes.
//!
//! Runs on the housekeeping thread between two looks at the run; shards go on meanwhile. One barrier is under way at a
//! time. A shard, or a writer, that ended before a barrier tells of its end instead, which counts for every barrier it does
//! not tell of. A stop waits for one more checkpoint, so that the next start reads nothing twice; if that does not come
//! in time, the one before is where the next start goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use velostream_exec::commit::Writer;
use velostream_exec::pipeline::{home_of, writers_of};
use velostream_exec::shard::{STOP_BARRIER, Saved, ShardSnapshot};
use velostream_sql::plan::AppPlan;
use velostream_types::{Fatal, ShardId, SinkPosition};

use super::frame::{Meta, Output, Phase, Position};
use super::{CheckpointReport, State, give_names, inputs};
use crate::clock::monotonic;
use crate::driver::{News, Note, World};
use crate::io::file_sink::partial_path;
use crate::job::{Event, Input};
use crate::stop::StopHandle;

/// How long a stop waits for its checkpoint.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What is known of one barrier, or of ends.
#[derive(Default)]
struct Gathered {
    parts: BTreeMap<ShardId, ShardSnapshot>,
    cuts: BTreeMap<Writer, SinkPosition>,
}

/// Takes the checkpoints of one run.
pub(super) struct Collector {
    state: State,
    /// The last checkpoint's, or what the next one begins with.
    meta: Meta,
    notes: Receiver<Note>,
    interval: Duration,
    plan: Arc<AppPlan>,
    inputs: Vec<Input>,
    shards: u16,
    writers: Vec<Writer>,
    /// The last barrier given, when, and what is known of it; `None` once it is written.
    barrier: u64,
    given: Instant,
    under_way: Option<Gathered>,
    ends: Gathered,
    /// A stop was seen, and the barrier that it waits for.
    stopping: Option<(Instant, u64)>,
    /// Folders whose entries are on the disk.
    folders: BTreeSet<PathBuf>,
    report: CheckpointReport,
}

impl Collector {
    /// For a run of `plan` over `inputs` that goes on from `meta`.
    pub(super) fn new(
        state: State,
        meta: Meta,
        notes: Receiver<Note>,
        interval: Duration,
        report: CheckpointReport,
        plan: Arc<AppPlan>,
        inputs: Vec<Input>,
    ) -> Collector {
        Collector {
            barrier: state.highest,
            state,
            meta,
            notes,
            interval,
            plan,
            inputs,
            shards: 0,
            writers: Vec::new(),
            given: monotonic(),
            under_way: None,
            ends: Gathered::default(),
            stopping: None,
            folders: BTreeSet::new(),
            report,
        }
    }

    /// Looks after the run.
    pub(super) fn tick(&mut self, world: &World, stop: &StopHandle, observer: &mut dyn FnMut(Event<'_>)) {
        if self.shards == 0 {
            self.begin(world);
        }
        self.gather(observer);
        if let Err(fatal) = self.write_if_whole() {
            world.fail(fatal);
            return;
        }
        let now = monotonic();
        self.see_stop(world, stop, now);
        let due = now.saturating_duration_since(self.given) >= self.interval;
        if due && self.under_way.is_none() && self.stopping.is_none() && !world.stopping() {
            self.give(world, now);
        }
    }

    fn begin(&mut self, world: &World) {
        self.shards = world.shards();
        self.meta.shards = self.shards;
        let sinks = (0..self.plan.sinks.len())
            .flat_map(|n| writers_of(&self.plan, n, self.shards).into_iter().map(move |shard| Writer::Sink(n, shard)));
        self.writers = sinks.chain((0..self.plan.dlqs.len()).map(Writer::Dead)).collect();
        world.take_over_stops();
    }

    fn give(&mut self, world: &World, now: Instant) {
        self.barrier += 1;
        (self.given, self.under_way) = (now, Some(Gathered::default()));
        world.give_barrier(self.barrier);
    }

    /// A stop first gets a checkpoint of its own.
    fn see_stop(&mut self, world: &World, stop: &StopHandle, now: Instant) {
        if stop.reason().is_none() || world.stopping() {
            return;
        }
        match self.stopping {
            None if self.under_way.is_none() => {
                self.give(world, now);
                self.stopping = Some((now, self.barrier));
            }
            // The one under way comes first.
            None if now.saturating_duration_since(self.given) < STOP_PATIENCE => {}
            None => world.stop(),
            Some((since, barrier)) => {
                let written = self.barrier == barrier && self.under_way.is_none();
                if written || now.saturating_duration_since(since) >= STOP_PATIENCE {
                    world.stop();
                }
            }
        }
    }

    fn gather(&mut self, observer: &mut dyn FnMut(Event<'_>)) {
        for Note { shard, news } in self.notes.try_iter() {
            match news {
                News::Saved(Saved { barrier: STOP_BARRIER, state }) => drop(self.ends.parts.insert(shard, state)),
                News::Cut(writer, STOP_BARRIER, position) => drop(self.ends.cuts.insert(writer, position)),
                News::Saved(Saved { barrier, state }) if barrier == self.barrier => {
                    self.under_way.get_or_insert_default().parts.insert(shard, state);
                }
                News::Cut(writer, barrier, position) if barrier == self.barrier => {
                    self.under_way.get_or_insert_default().cuts.insert(writer, position);
                }
                News::Say(text) => observer(Event::Notice(&text)),
                _ => {}
            }
        }
    }

    /// Writes the checkpoint under way once everybody told of it.
    fn write_if_whole(&mut self) -> Result<(), Fatal> {
        let Some(gathered) = &self.under_way else { return Ok(()) };
        let ends = &self.ends;
        let all_shards =
            (0..self.shards).map(ShardId).all(|s| gathered.parts.contains_key(&s) || ends.parts.contains_key(&s));
        let all_writers = self.writers.iter().all(|w| gathered.cuts.contains_key(w) || ends.cuts.contains_key(w));
        if !all_shards || !all_writers {
            return Ok(());
        }
        let Some(mut gathered) = self.under_way.take() else { return Ok(()) };
        let mut parts = Vec::new();
        for shard in (0..self.shards).map(ShardId) {
            let end = || {
                let end = self.ends.parts.get(&shard)?;
                let (ended, positions) = (end.ended.clone(), end.positions.clone());
                Some(ShardSnapshot { nodes: Vec::new(), ended, positions })
            };
            parts.extend(gathered.parts.remove(&shard).or_else(end));
        }
        let cuts: BTreeMap<Writer, SinkPosition> =
            self.ends.cuts.iter().chain(&gathered.cuts).map(|(writer, position)| (*writer, *position)).collect();
        let before = self.meta.clone();
        self.meta.number = self.barrier;
        self.meta.ended = parts.iter().map(|part| part.ended.iter().map(|node| node.0).collect()).collect();
        self.meta.positions = parts.iter().flat_map(|part| &part.positions).map(Position::of).collect();
        inputs::note_tails(&self.inputs, &mut self.meta.positions, &before.positions);
        self.take_cuts(&cuts);
        let still = |meta: &Meta| (meta.positions.clone(), meta.sinks.clone(), meta.dead.clone(), meta.ended.clone());
        if self.report.taken > 0 && still(&before) == still(&self.meta) && self.stopping.is_none() {
            // Nothing was read and nothing was written: the one before says the same.
            return Ok(());
        }
        self.sync(&before)?;
        self.put(&parts)
    }

    fn put(&mut self, parts: &[ShardSnapshot]) -> Result<(), Fatal> {
        let report = &mut self.report;
        report.last_bytes = self.state.put(&self.meta, parts)?;
        report.taken += 1;
        report.last = self.meta.number;
        report.last_s = monotonic().saturating_duration_since(self.given).as_secs_f64();
        report.longest_s = report.longest_s.max(report.last_s);
        Ok(())
    }

    fn take_cuts(&mut self, cuts: &BTreeMap<Writer, SinkPosition>) {
        let shards = self.shards;
        for (n, sink) in self.meta.sinks.iter_mut().enumerate() {
            sink.bytes = cuts.get(&Writer::Sink(n, home_of(n, shards))).map_or(sink.bytes, |cut| cut.bytes);
        }
        for (n, dead) in self.meta.dead.iter_mut().enumerate() {
            dead.bytes = cuts.get(&Writer::Dead(n)).map_or(dead.bytes, |cut| cut.bytes);
        }
    }

    /// Brings to the disk what output files have beyond `before`.
    fn sync(&mut self, before: &Meta) -> Result<(), Fatal> {
        let pairs = self.meta.sinks.iter().zip(&before.sinks).chain(self.meta.dead.iter().zip(&before.dead));
        for (output, known) in pairs {
            let path = working_path(output);
            let is_known = !self.folders.insert(path.clone());
            if (is_known && output.bytes == known.bytes) || (output.bytes == 0 && !path.exists()) {
                continue;
            }
            let failed = |error| Fatal::new(format!("cannot bring {} to the disk: {error}", path.display()));
            File::open(&path).and_then(|file| file.sync_data()).map_err(failed)?;
            if !is_known {
                sync_folder(&path)?;
            }
        }
        Ok(())
    }

    /// The run is over. When everything was read and written, that is written, and files get their names.
    pub(super) fn finish(mut self) -> Result<CheckpointReport, Fatal> {
        self.gather(&mut |_| {});
        let all_shards = (0..self.shards).map(ShardId).all(|s| self.ends.parts.contains_key(&s));
        if self.shards == 0 || !all_shards || !self.writers.iter().all(|w| self.ends.cuts.contains_key(w)) {
            return Ok(self.report);
        }
        let before = self.meta.clone();
        self.given = monotonic();
        let cuts = std::mem::take(&mut self.ends.cuts);
        self.take_cuts(&cuts);
        self.sync(&before)?;
        self.meta.number = self.barrier + 1;
        self.meta.phase = Phase::Written;
        self.meta.ended = Vec::new();
        self.meta.positions = self.ends.parts.values().flat_map(|part| &part.positions).map(Position::of).collect();
        self.put(&[])?;
        give_names(&mut self.state, self.meta)?;
        self.report.complete = true;
        Ok(self.report)
    }
}

/// Where an output's bytes are until the run is complete.
fn working_path(output: &Output) -> PathBuf {
    let path = Path::new(&output.path);
    if output.partial { partial_path(path) } else { path.to_path_buf() }
}

/// Brings the entry of a file to the disk.
pub(super) fn sync_folder(path: &Path) -> Result<(), Fatal> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error| Fatal::new(format!("cannot bring {} to the disk: {error}", folder.display()));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}
