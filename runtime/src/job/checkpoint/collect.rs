//! Takes checkpoints of a run: gives barriers, gathers what shards and writers tell of them, makes the output files safe
//! up to their lengths, and writes.
//!
//! Runs on the housekeeping thread between two looks at the run; shards go on meanwhile. One barrier is under way at a
//! time. A shard, or a writer, that ended before a barrier tells of its end instead, which counts for every barrier it does
//! not tell of. Writers of files tell their lengths, those of topics that everything before the barrier is acknowledged.
//! A stop stands right behind a barrier of its own, so that the next start reads nothing twice and writes nothing twice;
//! if that checkpoint does not come to be, the one before is where the next start goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use velostream_exec::commit::Writer;
use velostream_exec::pipeline::{home_of, writers_of};
use velostream_exec::shard::{STOP_BARRIER, Saved, ShardSnapshot};
use velostream_sql::plan::{AppPlan, SinkConnector};
use velostream_types::{Fatal, ShardId, SinkPosition};

use super::frame::{Meta, Output, Phase, Position};
use super::keeper::Keeper;
use super::{give_names, inputs};
use crate::clock::monotonic;
use crate::driver::{News, Note, World};
use crate::io::file_sink::partial_path;
use crate::job::Input;
use crate::job::commits::Offset;
use crate::job::seen::Seen;
use crate::stop::StopHandle;

/// How long a stop waits for the checkpoint that is under way.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What is known of one barrier, or of ends.
#[derive(Default)]
struct Gathered {
    parts: BTreeMap<ShardId, ShardSnapshot>,
    cuts: BTreeMap<Writer, SinkPosition>,
}

/// Takes the checkpoints of one life of the shards.
pub(in crate::job) struct Collector<'a> {
    keeper: &'a mut Keeper,
    notes: Receiver<Note>,
    plan: Arc<AppPlan>,
    inputs: Vec<Input>,
    shards: u16,
    /// Writers of files, and those of topics with the highest barrier before which everything is acknowledged.
    files: Vec<Writer>,
    topics: BTreeMap<Writer, u64>,
    /// The last barrier given, when, and what is known of it; `None` once it is written.
    barrier: u64,
    given: Instant,
    under_way: Option<Gathered>,
    ends: Gathered,
    /// Rows written when the last barrier was given, and when that of the last checkpoint was.
    rows: u64,
    rows_kept: Option<u64>,
    /// A barrier went all the way.
    whole: bool,
    /// The shards are to stop whatever the run's own stop says.
    leaves: bool,
    /// A stop was seen and stands behind the last barrier.
    stopping: bool,
    /// Folders whose entries are on the disk.
    folders: BTreeSet<PathBuf>,
    /// What the groups commit for the newest checkpoint; `true`: they were not told yet.
    offsets: (Vec<Offset>, bool),
    /// What lanes told beside barriers.
    pub(in crate::job) seen: Seen,
}

impl<'a> Collector<'a> {
    /// For a life of `plan` over `inputs` that [`Keeper::begin`] began.
    pub(in crate::job) fn new(
        keeper: &'a mut Keeper,
        notes: Receiver<Note>,
        plan: Arc<AppPlan>,
        inputs: Vec<Input>,
    ) -> Collector<'a> {
        Collector {
            barrier: keeper.state.highest,
            offsets: (keeper.offsets(), true),
            keeper,
            notes,
            plan,
            inputs,
            shards: 0,
            files: Vec::new(),
            topics: BTreeMap::new(),
            given: monotonic(),
            under_way: None,
            ends: Gathered::default(),
            rows: 0,
            rows_kept: None,
            whole: false,
            leaves: false,
            stopping: false,
            folders: BTreeSet::new(),
            seen: Seen::default(),
        }
    }

    /// Looks after the run.
    pub(in crate::job) fn tick(&mut self, world: &World, stop: &StopHandle) {
        if self.shards == 0 {
            self.begin(world);
        }
        self.gather();
        if let Err(fatal) = self.write_if_whole() {
            world.fail(fatal);
            return;
        }
        let now = monotonic();
        self.see_stop(world, stop, now);
        let due = now.saturating_duration_since(self.given) >= self.keeper.interval;
        if due && self.under_way.is_none() && !world.stopping() {
            self.note_given(world, now);
            world.give_barrier(self.barrier);
        }
    }

    /// Makes the shards stop behind a checkpoint.
    pub(in crate::job) fn leave(&mut self) {
        self.leaves = true;
    }

    /// What the groups are to commit, once per checkpoint.
    pub(in crate::job) fn fresh_offsets(&mut self) -> Option<Vec<Offset>> {
        std::mem::take(&mut self.offsets.1).then(|| self.offsets.0.clone())
    }

    /// What the groups are to have committed.
    pub(in crate::job) fn offsets(&self) -> &[Offset] {
        &self.offsets.0
    }

    /// TRUE once a barrier went all the way: everything was there.
    pub(in crate::job) fn went_through(&self) -> bool {
        self.whole
    }

    /// TRUE when nothing is left to do.
    pub(in crate::job) fn is_complete(&self) -> bool {
        self.keeper.report.complete
    }

    fn begin(&mut self, world: &World) {
        self.shards = world.shards();
        self.keeper.meta.shards = self.shards;
        for (n, sink) in self.plan.sinks.iter().enumerate() {
            let writers = writers_of(&self.plan, n, self.shards).into_iter().map(|shard| Writer::Sink(n, shard));
            match &sink.connector {
                SinkConnector::Kafka(_) => self.topics.extend(writers.map(|writer| (writer, 0))),
                _ => self.files.extend(writers),
            }
        }
        for (n, dlq) in self.plan.dlqs.iter().enumerate() {
            match (&dlq.topic, dlq.enabled) {
                (Some(_), true) => drop(self.topics.insert(Writer::Dead(n), 0)),
                _ => self.files.push(Writer::Dead(n)),
            }
        }
        world.take_over_stops();
    }

    fn note_given(&mut self, world: &World, now: Instant) {
        self.barrier += 1;
        (self.given, self.under_way) = (now, Some(Gathered::default()));
        let written = |cell: &crate::driver::LaneCell| {
            cell.rows_out.load(Ordering::Relaxed) + cell.rows_dead.load(Ordering::Relaxed)
        };
        self.rows = world.cells().map(written).sum();
    }

    /// A stop stands behind a checkpoint of its own, once the one under way is written.
    fn see_stop(&mut self, world: &World, stop: &StopHandle, now: Instant) {
        let asked = self.leaves || (stop.reason().is_some() && !self.keeper.drain);
        if !asked || world.stopping() || world.draining() {
            return;
        }
        if self.under_way.is_none() {
            self.stopping = true;
            self.note_given(world, now);
            world.stop_at(self.barrier);
        } else if now.saturating_duration_since(self.given) >= STOP_PATIENCE {
            world.stop();
        }
    }

    fn gather(&mut self) {
        for Note { shard, news } in self.notes.try_iter() {
            match self.seen.take(news) {
                Some(News::Saved(Saved { barrier: STOP_BARRIER, state })) => {
                    self.ends.parts.insert(shard, state);
                }
                Some(News::Cut(writer, STOP_BARRIER, position)) => {
                    self.ends.cuts.insert(writer, position);
                }
                Some(News::Saved(Saved { barrier, state })) if barrier == self.barrier => {
                    self.under_way.get_or_insert_default().parts.insert(shard, state);
                }
                Some(News::Cut(writer, barrier, position)) if barrier == self.barrier => {
                    self.under_way.get_or_insert_default().cuts.insert(writer, position);
                }
                Some(News::Safe(writer, barrier)) => {
                    self.topics.entry(writer).and_modify(|safe| *safe = (*safe).max(barrier));
                }
                _ => {}
            }
        }
    }

    /// TRUE when everybody told of the barrier under way.
    fn is_whole(&self, gathered: &Gathered) -> bool {
        let ends = &self.ends;
        (0..self.shards).map(ShardId).all(|s| gathered.parts.contains_key(&s) || ends.parts.contains_key(&s))
            && self.files.iter().all(|w| gathered.cuts.contains_key(w) || ends.cuts.contains_key(w))
            && self.topics.values().all(|safe| *safe >= self.barrier)
    }

    /// Writes the checkpoint under way once everybody told of it.
    fn write_if_whole(&mut self) -> Result<(), Fatal> {
        let Some(mut gathered) = self.under_way.take() else { return Ok(()) };
        if !self.is_whole(&gathered) {
            self.under_way = Some(gathered);
            return Ok(());
        }
        self.whole = true;
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
        let before = self.keeper.meta.clone();
        let meta = &mut self.keeper.meta;
        meta.number = self.barrier;
        meta.ended = parts.iter().map(|part| part.ended.iter().map(|node| node.0).collect()).collect();
        meta.positions = parts.iter().flat_map(|part| &part.positions).map(Position::of).collect();
        inputs::note_tails(&self.inputs, &mut meta.positions, &before.positions);
        self.take_cuts(&cuts);
        let still = |meta: &Meta| (meta.positions.clone(), meta.sinks.clone(), meta.dead.clone(), meta.ended.clone());
        if self.rows_kept == Some(self.rows) && still(&before) == still(&self.keeper.meta) && !self.stopping {
            // Nothing was read and nothing was written: the one before says the same.
            return Ok(());
        }
        self.sync(&before)?;
        self.put(&parts)?;
        self.rows_kept = Some(self.rows);
        Ok(())
    }

    fn put(&mut self, parts: &[ShardSnapshot]) -> Result<(), Fatal> {
        let Keeper { state, meta, report, .. } = &mut *self.keeper;
        report.last_bytes = state.put(meta, parts)?;
        report.taken += 1;
        report.last = meta.number;
        report.last_s = monotonic().saturating_duration_since(self.given).as_secs_f64();
        report.longest_s = report.longest_s.max(report.last_s);
        self.offsets = (self.keeper.offsets(), true);
        Ok(())
    }

    fn take_cuts(&mut self, cuts: &BTreeMap<Writer, SinkPosition>) {
        let shards = self.shards;
        for (n, sink) in self.keeper.meta.sinks.iter_mut().enumerate() {
            sink.bytes = cuts.get(&Writer::Sink(n, home_of(n, shards))).map_or(sink.bytes, |cut| cut.bytes);
        }
        for (n, dead) in self.keeper.meta.dead.iter_mut().enumerate() {
            dead.bytes = cuts.get(&Writer::Dead(n)).map_or(dead.bytes, |cut| cut.bytes);
        }
    }

    /// Brings to the disk what output files have beyond `before`.
    fn sync(&mut self, before: &Meta) -> Result<(), Fatal> {
        let meta = &self.keeper.meta;
        let pairs = meta.sinks.iter().zip(&before.sinks).chain(meta.dead.iter().zip(&before.dead));
        for (output, known) in pairs.filter(|(output, _)| !output.path.is_empty()) {
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

    /// The life is over: what a stop waited for is written. When everything was read and written, that is written, and
    /// files get their names.
    pub(in crate::job) fn finish(&mut self) -> Result<(), Fatal> {
        self.gather();
        self.write_if_whole()?;
        let all_shards = (0..self.shards).map(ShardId).all(|s| self.ends.parts.contains_key(&s));
        let all_files = self.files.iter().all(|w| self.ends.cuts.contains_key(w));
        let all_topics = self.topics.values().all(|safe| *safe == STOP_BARRIER);
        if self.shards == 0 || !all_shards || !all_files || !all_topics {
            return Ok(());
        }
        let before = self.keeper.meta.clone();
        self.given = monotonic();
        let cuts = std::mem::take(&mut self.ends.cuts);
        self.take_cuts(&cuts);
        self.sync(&before)?;
        let meta = &mut self.keeper.meta;
        meta.number = self.barrier + 1;
        meta.phase = Phase::Written;
        meta.ended = Vec::new();
        meta.positions = self.ends.parts.values().flat_map(|part| &part.positions).map(Position::of).collect();
        self.put(&[])?;
        give_names(&mut self.keeper.state, self.keeper.meta.clone())?;
        self.keeper.report.complete = true;
        Ok(())
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
