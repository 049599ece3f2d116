//! The state folder of one run, from its opening to its report: what each life of the shards begins with.
//!
//! The first life of a first start leaves checkpoint 1 before it reads. Any other, of this process or a later one, begins
//! with the newest checkpoint on the disk, which is looked for anew: what a life that failed had under way counts for
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use velostream_exec::commit::SafePoint;
use velostream_exec::shard::ShardSnapshot;
use velostream_sql::plan::{AppPlan, SinkConnector};
use velostream_state::sections::checksum;
use velostream_types::time::NS_PER_MS;
use velostream_types::{Clock, Fatal, NodeId, PartitionId, SourceId};

use super::describe::{check_plan, check_same, describe};
use super::frame::{Checkpoint, Meta, Phase, Position};
use super::{CheckpointReport, Kept, Restored, State, StateOptions, give_names, inputs};
use crate::clock::RunClock;
use crate::job::commits::{Offset, StateMark};
use crate::job::{Input, Resume, RunOptions};

/// Keeps the state of one run.
pub(in crate::job) struct Keeper {
    pub(super) state: State,
    /// The last checkpoint's, or what the next one begins with.
    pub(super) meta: Meta,
    /// What the next life begins with.
    pub(super) newest: Option<Checkpoint>,
    pub(super) interval: Duration,
    /// A stop ends the inputs instead of leaving them to the next start.
    pub(super) drain: bool,
    /// What was done so far.
    pub(in crate::job) report: CheckpointReport,
}

impl Keeper {
    /// For a run of `plan`; fails when the folder holds the state of another one.
    pub(super) fn open(plan: &AppPlan, options: &RunOptions, mut keep: StateOptions) -> Result<Keeper, Fatal> {
        check_plan(plan)?;
        let folder = keep.state.store.folder().to_owned();
        let newest = keep.state.newest.take();
        let now_ms = options.clock.now_ns() / NS_PER_MS;
        let ends = (options.follow, options.kafka.until_end);
        let mut meta = describe(plan, &keep, ends, now_ms)?;
        let mut report = CheckpointReport { folder: folder.clone(), ..CheckpointReport::default() };
        if let Some(checkpoint) = &newest {
            check_same(&folder, &checkpoint.meta, &meta)?;
            (report.resumed_from, report.last) = (Some(checkpoint.meta.number), checkpoint.meta.number);
            meta = Meta { until_end: meta.until_end, ..checkpoint.meta.clone() };
        }
        if meta.identity.is_empty() {
            let unlike = format!("{} {} {}", RunClock::System.now_ns(), std::process::id(), folder.display());
            meta.identity = format!("{:016x}", checksum(unlike.as_bytes()));
        }
        let StateOptions { state, interval, .. } = keep;
        Ok(Keeper { state, meta, newest, interval, drain: options.kafka.drain, report })
    }

    /// TRUE when an earlier start completed the run; output that lacks its name gets it.
    pub(super) fn was_complete(&mut self) -> Result<bool, Fatal> {
        let Some(Checkpoint { meta, .. }) = self.newest.as_ref().filter(|c| c.meta.phase != Phase::Running) else {
            return Ok(false);
        };
        give_names(&mut self.state, meta.clone())?;
        (self.report.complete, self.report.was_complete) = (true, true);
        Ok(true)
    }

    /// Looks for the newest checkpoint once a life is over; answers TRUE when there is one to go on from.
    pub(in crate::job) fn goes_on(&mut self) -> Result<bool, Fatal> {
        if self.newest.is_none() && self.report.last > 0 {
            self.state.find()?;
            self.newest = self.state.newest.take();
        }
        Ok(self.newest.is_some())
    }

    /// Where the checkpoint that a life goes on from is, for messages.
    pub(super) fn place(&self) -> String {
        let number = self.newest.as_ref().map_or(self.report.last, |checkpoint| checkpoint.meta.number);
        format!("checkpoint {number} in {}", self.report.folder.display())
    }

    /// What to add to the message that a source's topic is not there.
    pub(in crate::job) fn topic_is_missing(&self) -> Option<String> {
        let folder = self.report.folder.display();
        let way_out = format!("if it was deleted for good, remove {folder} to begin again");
        self.newest.as_ref().map(|_| format!("{} was taken of it: {way_out}", self.place()))
    }

    /// What is written at least once, for a line at the start.
    pub(in crate::job) fn at_least_once(plan: &AppPlan) -> Option<String> {
        let mut topics: Vec<&str> = plan
            .sinks
            .iter()
            .filter_map(|sink| match &sink.connector {
                SinkConnector::Kafka(kafka) => Some(kafka.topic.as_str()),
                _ => None,
            })
            .collect();
        let dead = plan.dlqs.iter().filter(|dlq| dlq.enabled);
        topics.extend(dead.filter_map(|dlq| Some(dlq.topic.as_ref()?.topic.as_str())));
        topics.sort_unstable();
        topics.dedup();
        let several = if topics.len() == 1 { "topic" } else { "topics" };
        (!topics.is_empty()).then(|| {
            format!(
                "{several} {}: written at least once; rows from behind the newest checkpoint come again after a kill",
                topics.join(", ")
            )
        })
    }

    /// What a life over `inputs` begins with. `resume`: where the partitions of topics begin, see `logs`.
    pub(in crate::job) fn begin(
        &mut self,
        plan: &AppPlan,
        inputs: &mut [Input],
        resume: Resume,
        say: &mut dyn FnMut(String),
    ) -> Result<Resume, Fatal> {
        let Some(checkpoint) = self.newest.take() else {
            self.meta.inputs = inputs::named(inputs)?;
            self.meta.positions = resume.points.iter().map(Position::first).collect();
            self.meta.frontiers = resume.frontiers.iter().map(|(node, frontier)| (node.0, *frontier)).collect();
            self.state.put(&self.meta, &[])?;
            self.report.last = self.meta.number;
            return Ok(Resume { state: Some(Arc::new(Kept { restored: None })), ..resume });
        };
        inputs::as_before(inputs, plan, &checkpoint.meta).into_iter().for_each(&mut *say);
        say(format!("going on from checkpoint {} in {}", checkpoint.meta.number, self.report.folder.display()));
        let Checkpoint { meta, parts } = checkpoint;
        self.meta = Meta { logs: std::mem::take(&mut self.meta.logs), until_end: self.meta.until_end, ..meta };
        let restored = restore(&self.meta, parts, inputs, plan, &resume.points)?;
        let frontiers = self.meta.frontiers.iter().map(|(node, frontier)| (NodeId(*node), *frontier)).collect();
        let state = Some(Arc::new(Kept { restored: Some(restored) }));
        Ok(Resume { points: resume.points, frontiers, state })
    }

    /// What the groups may commit for the checkpoint that `meta` describes.
    pub(super) fn offsets(&self) -> Vec<Offset> {
        let Meta { identity, number, positions, logs, .. } = &self.meta;
        let folder = std::path::absolute(&self.report.folder).unwrap_or_else(|_| self.report.folder.clone());
        let is_log = |at: &&Position| logs.iter().any(|log| at.is_of(SourceId(log.source), PartitionId(log.partition)));
        let offset = |at: &Position| {
            let mark = StateMark {
                identity: identity.clone(),
                checkpoint: *number,
                max_event_time: at.event_time,
                folder: folder.display().to_string(),
            };
            Offset { at: at.safe_point(), metadata: mark.text() }
        };
        positions.iter().filter(is_log).map(offset).collect()
    }
}

/// What the shards and files of a life go on from; `points`: where the partitions of topics begin.
fn restore(
    meta: &Meta,
    mut parts: Vec<ShardSnapshot>,
    inputs: &[Input],
    plan: &AppPlan,
    points: &[SafePoint],
) -> Result<Restored, Fatal> {
    inputs::check(inputs, &meta.positions)?;
    if let Some(first) = parts.first_mut() {
        // Partitions that the checkpoint does not know yet.
        let is_new = |at: &&SafePoint| !meta.positions.iter().any(|known| known.is_of(at.source, at.partition));
        first.positions.extend(points.iter().filter(is_new).map(|at| Position::first(at).progress()));
    }
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
