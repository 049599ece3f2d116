//! Runs a plan: finds its partitions, lays shards out over cores, opens sources and sinks on the shards that own
//! them, waits for the end, and reports.
//!
//! Everything that can fail without running (missing files, two writers of one file, an unusable backend) fails here,
//! before the first sink is opened.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use velostream_exec::commit::SafePoint;
use velostream_exec::shard::{PartitionProgress, Shard, ShardOptions};
use velostream_sql::plan::AppPlan;
use velostream_types::time::WM_NONE;
use velostream_types::topic::Broker;
use velostream_types::{Clock, Fatal, NodeId, PartitionId, ShardId, SourceId};

use crate::backend::{Backend, BackendChoice};
use crate::clock::RunClock;
use crate::driver::{self, Layout, News, Note, Turn};
use crate::io::memory::Topics;
use crate::memory;
use crate::mesh::ring_slots;
use crate::stop::StopHandle;
use crate::topology;
use checkpoint::{Kept, StateOptions};

pub mod checkpoint;
mod commits;
mod endpoints;
mod group;
mod loading;
mod metrics;
mod report;
mod seen;
mod standing;
#[cfg(test)]
mod tests;
mod topics;

pub use endpoints::{Input, TopicInput, inputs};
pub use loading::TableReport;
pub use metrics::{HistogramReport, MetricSeries};
pub use report::{
    LateReport, LatencyReport, LogReport, OperatorReport, PartitionReport, RunReport, SinkReport, Snapshot,
    SourceReport, StatementReport,
};
pub use standing::{FeedReport, FeedState, NextReport, WaitReport, WindowReport};
pub use topics::{Begin, needs_broker};

/// How much CPU an idle executor may burn for a faster answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LatencyProfile {
    /// Shortest waits.
    Low,
    /// Bridges the gaps of a busy mesh.
    #[default]
    Balanced,
    /// No spinning: all cycles go to rows.
    Throughput,
}

impl LatencyProfile {
    /// `low`, `balanced` or `throughput`.
    pub fn parse(text: &str) -> Option<LatencyProfile> {
        match text {
            "low" => Some(LatencyProfile::Low),
            "balanced" => Some(LatencyProfile::Balanced),
            "throughput" => Some(LatencyProfile::Throughput),
            _ => None,
        }
    }

    /// How long an idle executor looks for work before it parks.
    pub const fn spin(self) -> Duration {
        match self {
            LatencyProfile::Low => Duration::from_micros(50),
            LatencyProfile::Balanced => Duration::from_micros(10),
            LatencyProfile::Throughput => Duration::ZERO,
        }
    }
}

/// What happens during a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// The executors start.
    Started {
        /// Which backend runs them.
        backend: Backend,
        /// Why that one.
        reason: &'a str,
        /// Number of shards.
        shards: u16,
        /// Number of executors.
        executors: usize,
    },
    /// How far the run is; comes every few milliseconds.
    Progress(Snapshot),
    /// Where the partitions of topics stand; comes a few times a second.
    Partitions(&'a [PartitionReport]),
    /// What operators with windows hold and wait for; comes as often as [`RunOptions::explain_every`] says.
    Windows(&'a [WindowReport]),
    /// How far the tables are that others wait for; comes until all are loaded, and once more then.
    Tables(&'a [TableReport]),
    /// Something worth a line in the log.
    Notice(&'a str),
}

/// How a run deals with topics.
#[derive(Clone, Debug, Default)]
pub struct KafkaOptions {
    /// Group of all sources, instead of their own.
    pub group: Option<String>,
    /// `group.instance.id`: the same after every restart.
    pub instance: Option<String>,
    /// Where to begin.
    pub begin: Begin,
    /// End at the partitions' present ends.
    pub until_end: bool,
    /// A stop flushes open windows instead of leaving them to the next start.
    pub drain: bool,
}

/// How to run a plan.
pub struct RunOptions {
    /// Number of shards; default: as many as cores, at most one per partition.
    pub shards: Option<u16>,
    /// CPUs to use; default: see [`topology::choose_cores`].
    pub cores: Option<Vec<usize>>,
    /// Backend.
    pub backend: BackendChoice,
    /// Latency against CPU.
    pub profile: LatencyProfile,
    /// Rows per batch at most.
    pub batch_rows: usize,
    /// Tail the inputs and write in place.
    pub follow: bool,
    /// Time of day.
    pub clock: RunClock,
    /// Messages under way per edge and ordered pair of shards.
    pub credits: u32,
    /// In-memory topics of this process.
    pub topics: Topics,
    /// Where rows for standard output go.
    pub stdout: Arc<OpenStdout>,
    /// Told what happens.
    pub observer: Box<dyn FnMut(Event<'_>)>,
    /// The client of message brokers; `None`: plans over topics fail.
    pub broker: Option<Arc<dyn Broker>>,
    /// How topics are dealt with.
    pub kafka: KafkaOptions,
    /// Take checkpoints, and go on from them; `None`: the state ends with the process.
    pub state: Option<StateOptions>,
    /// Tell this often why windows have not fired; `None`: only in the report.
    pub explain_every: Option<Duration>,
}

/// Opens standard output for one sink, on its shard's thread.
pub type OpenStdout = dyn Fn() -> Box<dyn Write> + Send + Sync;

/// Rows per batch when nothing else is said.
pub const BATCH_ROWS: usize = 1024;

/// Messages under way per edge and pair of shards when nothing else is said: one that is worked on, one that waits,
/// two that travel while their credits return.
pub const CREDITS: u32 = 4;

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions {
            shards: None,
            cores: None,
            backend: BackendChoice::Auto,
            profile: LatencyProfile::Balanced,
            batch_rows: BATCH_ROWS,
            follow: false,
            clock: RunClock::System,
            credits: CREDITS,
            topics: Topics::default(),
            stdout: Arc::new(|| Box::new(std::io::stdout())),
            observer: Box::new(|_| {}),
            broker: None,
            kafka: KafkaOptions::default(),
            state: None,
            explain_every: None,
        }
    }
}

/// What a shard is made from, on its own thread.
#[derive(Clone, Debug)]
pub struct ShardSeed {
    /// The plan.
    pub plan: Arc<AppPlan>,
    /// Which shard.
    pub id: ShardId,
    /// Of how many.
    pub shards: u16,
    /// Its partitions.
    pub owned: Vec<(SourceId, PartitionId)>,
    /// Partitions of each source over all shards.
    pub partitions: Vec<u32>,
    /// Rows per batch at most.
    pub batch_rows: usize,
    /// Messages under way per edge and pair of shards.
    pub credits: u32,
    /// Time of the run's start, ms.
    pub run_start_ms: i64,
    /// Where an earlier run stood.
    pub resume: Resume,
}

/// Where a run goes on by what an earlier one committed.
#[derive(Clone, Debug, Default)]
pub struct Resume {
    /// Partitions.
    pub points: Vec<SafePoint>,
    /// Operators with windows.
    pub frontiers: Vec<(NodeId, i64)>,
    /// Checkpoints are taken, and one may be there to go on from.
    pub state: Option<Arc<Kept>>,
}

/// What RANDOM and UUID stem from: two apps differ, two runs of one do not.
fn seed_of(plan: &AppPlan) -> u64 {
    plan.name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Makes a shard.
pub type MakeShard = dyn Fn(ShardSeed) -> Result<Box<dyn Turn>, Fatal> + Sync;

/// Runs a plan to the end of its inputs or until `stop`.
pub fn run(plan: AppPlan, options: RunOptions, stop: &StopHandle) -> Result<RunReport, Fatal> {
    run_with(plan, options, stop, &|seed| {
        let ShardSeed { plan, id, shards, owned, partitions, batch_rows, credits, run_start_ms, resume } = seed;
        let memory_limit = plan.memory_limit.unwrap_or_else(memory::default_limit);
        let seed = seed_of(&plan);
        let checkpoint = resume.state.is_some();
        let options = ShardOptions {
            batch_rows,
            credits,
            run_start_ms,
            seed,
            partitions,
            memory_limit,
            check: false,
            checkpoint,
        };
        let mut shard = Shard::new(plan, id, shards, &owned, options);
        let restored = resume.state.as_ref().and_then(|kept| kept.restored.as_ref());
        // Before the first row there is no state, only where partitions begin.
        if let Some(restored) = restored.filter(|restored| !restored.parts.is_empty()) {
            restored.heads.iter().for_each(|(source, partition, head)| shard.read_head(*source, *partition, head));
            let failed = |error| Fatal::new(format!("the checkpoint does not fit this program: {error}"));
            shard.restore(&restored.parts, shards).map_err(failed)?;
            return Ok(Box::new(shard));
        }
        let progress = |at: &SafePoint| PartitionProgress {
            source: at.source,
            partition: at.partition,
            next_offset: at.offset,
            position: 0,
            max_event_time: at.max_event_time,
            // A partition that gave rows to an earlier run is not idle at once.
            rows: u64::from(at.max_event_time != WM_NONE),
            ended: false,
        };
        let points: Vec<PartitionProgress> = resume.points.iter().map(progress).collect();
        shard.resume(&points, &resume.frontiers);
        Ok(Box::new(shard))
    })
}

/// Runs a plan with shards made by `make`, to the end of its inputs or until `stop`.
pub fn run_with(
    plan: AppPlan,
    mut options: RunOptions,
    stop: &StopHandle,
    make: &MakeShard,
) -> Result<RunReport, Fatal> {
    endpoints::check_sinks(&plan)?;
    endpoints::open_topics(&plan, &options.topics);
    if let Some(state) = options.state.take() {
        return checkpoint::run(plan, options, state, stop, make);
    }
    if topics::needs_broker(&plan) {
        return group::run(plan, options, stop, make, None);
    }
    let inputs = inputs(&plan, &options.topics, options.follow)?;
    let (notes_in, notes) = crossbeam_channel::unbounded();
    let notes_in = Some(notes_in);
    let life = Life { plan: Arc::new(plan), inputs, broker: None, notes: notes_in, resume: Resume::default() };
    run_life(life, &mut options, stop, make, &mut |_, observer| {
        for note in notes.try_iter() {
            if let News::Say(text) = note.news {
                observer(Event::Notice(&text));
            }
        }
    })
}

/// What one life of the shards works on.
struct Life {
    plan: Arc<AppPlan>,
    inputs: Vec<Input>,
    broker: Option<Arc<dyn Broker>>,
    notes: Option<Sender<Note>>,
    resume: Resume,
}

/// Called every few milliseconds while the shards run.
type Tick<'a> = dyn FnMut(&driver::World, &mut dyn FnMut(Event<'_>)) + 'a;

/// Makes the shards and runs them to their end or a stop.
fn run_life(
    life: Life,
    options: &mut RunOptions,
    stop: &StopHandle,
    make: &MakeShard,
    tick: &mut Tick<'_>,
) -> Result<RunReport, Fatal> {
    let Life { plan, inputs, broker, notes, resume } = life;
    let RunOptions { observer, .. } = options;
    endpoints::allow_open_files(&inputs);
    let (backend, reason) = Backend::choose(options.backend)?;
    let layout = lay_out(&plan, &options.cores, options.shards, options.credits, options.profile, backend, &inputs)?;
    observer(Event::Started { backend, reason: &reason, shards: layout.shards, executors: layout.cpus.len() });
    let mut loading = loading::Loading::new(&plan, &inputs);
    let restored = resume.state.as_ref().and_then(|kept| kept.restored.as_ref());
    let now_ms = || options.clock.now_ns() / velostream_types::time::NS_PER_MS;
    let run_start_ms = restored.map_or_else(now_ms, |restored| restored.run_start_ms);
    let opener = endpoints::Opener {
        plan: Arc::clone(&plan),
        inputs,
        topics: options.topics.clone(),
        follow: options.follow,
        run_start_ms,
        clock: options.clock,
        stdout: Arc::clone(&options.stdout),
        stop: stop.clone(),
        started: driver::start_of_run(),
        shards: layout.shards,
        broker,
        notes,
        eager_topics: options.profile == LatencyProfile::Low,
        client_cpus: topology::client_cpus(&layout.cpus),
        kept: resume.state.clone(),
    };
    let start = report::Usage::now();
    let (batch_rows, credits) = (options.batch_rows.max(1), options.credits.max(1));
    let make_lane = |shard, port, bell: &Arc<crate::wake::Bell>| {
        let seed = ShardSeed {
            plan: Arc::clone(&plan),
            id: shard,
            shards: layout.shards,
            owned: opener.owned(shard),
            partitions: opener.inputs.iter().map(Input::partitions).collect(),
            batch_rows,
            credits,
            run_start_ms,
            resume: resume.clone(),
        };
        let turn = make(seed)?;
        opener.lane(shard, turn, port, bell)
    };
    let explain_every = options.explain_every;
    let mut asked_at = driver::start_of_run();
    let mut both = |world: &driver::World| {
        tick(world, &mut **observer);
        if let Some(standings) = world.take_answers() {
            observer(Event::Windows(&standing::windows(&plan, &standings)));
        }
        if explain_every.is_some_and(|pause| asked_at.elapsed() >= pause) {
            asked_at = driver::start_of_run();
            world.ask();
        }
        let snapshot = Snapshot::of(world, &start);
        if let Some(tables) = loading.look(world, snapshot.elapsed_s) {
            observer(Event::Tables(&tables));
        }
        observer(Event::Progress(snapshot));
    };
    let lanes = driver::launch(&layout, &make_lane, stop, options.kafka.drain, &mut both)?;
    Ok(report::assemble(report::Facts {
        plan: &plan,
        layout: &layout,
        reason,
        lanes,
        start,
        stop,
        follow: options.follow,
        tables: loading.reports(),
    }))
}

fn lay_out(
    plan: &AppPlan,
    cores: &Option<Vec<usize>>,
    shards: Option<u16>,
    credits: u32,
    profile: LatencyProfile,
    backend: Backend,
    inputs: &[Input],
) -> Result<Layout, Fatal> {
    let cores = topology::choose_cores(cores.as_deref())?;
    let executors = if cores.is_empty() { topology::parallelism() } else { cores.len() };
    let partitions: u32 = inputs.iter().map(Input::partitions).sum();
    let default = executors.min(partitions.max(1) as usize).min(usize::from(SHARDS_MAX)) as u16;
    let shards = shards.unwrap_or(default);
    if shards == 0 || shards > SHARDS_MAX {
        return Err(Fatal::new(format!("--shards {shards} is not between 1 and {SHARDS_MAX}")));
    }
    let mut cpus: Vec<Option<usize>> = cores.into_iter().map(Some).collect();
    cpus.resize(executors, None);
    cpus.truncate(usize::from(shards));
    Ok(Layout {
        shards,
        ring_slots: ring_slots(endpoints::edges(plan), credits),
        backend,
        cpus,
        spin: profile.spin(),
        aligned: plan.sources.iter().any(|source| source.event_time.is_some()),
        groups: velostream_exec::shard::meeting_groups(plan),
    })
}

/// Most shards of a run: each owns at least four virtual nodes.
const SHARDS_MAX: u16 = velostream_types::vnode::VNODES / 4;
