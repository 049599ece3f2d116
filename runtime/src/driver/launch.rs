//! Starts the executors of a run and waits for them, looking after stops and progress meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, unbounded};
use velostream_types::{Fatal, ShardId};

use super::{Driver, Lane, LaneParts, LaneReport, World};
use crate::backend::{self, Backend, ExecutorSpec, MakeWorker, Worker};
use crate::mesh::{self, MeshPort};
use crate::stop::StopHandle;
use crate::wake::Bell;

/// How a run is laid out.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Number of shards.
    pub shards: u16,
    /// Slots of each ring.
    pub ring_slots: usize,
    /// What runs the executors.
    pub backend: Backend,
    /// One executor per entry: its CPU, or `None` to leave it to the system. Shards go round.
    pub cpus: Vec<Option<usize>>,
    /// How long an idle executor looks for work before it parks.
    pub spin: Duration,
    /// Shards read in the order of their watermarks.
    pub aligned: bool,
    /// Groups of sources that meet in joins of streams, see [`velostream_exec::shard::meeting_groups`].
    pub groups: usize,
}

/// Makes a shard's lane on its executor's thread.
pub type MakeLane<'a> = dyn Fn(ShardId, MeshPort, &Arc<Bell>) -> Result<LaneParts, Fatal> + Sync + 'a;

/// Pause between looks at stop and progress.
const TICK: Duration = Duration::from_millis(20);
/// The same while a stop is under way.
const TICK_STOPPING: Duration = Duration::from_millis(2);

/// Runs all shards to their end or to a complete stop; with `drain` a stop is an end of all inputs. `tick` is called every few milliseconds.
pub fn launch(
    layout: &Layout,
    make_lane: &MakeLane<'_>,
    stop: &StopHandle,
    drain: bool,
    tick: &mut dyn FnMut(&World),
) -> Result<Vec<LaneReport>, Fatal> {
    let executors = layout.cpus.len().clamp(1, usize::from(layout.shards.max(1)));
    let bells: Vec<Arc<Bell>> = (0..executors).map(|_| Arc::default()).collect();
    let by_shard = (0..usize::from(layout.shards)).map(|s| Arc::clone(&bells[s % executors])).collect();
    let world = Arc::new(World::new(by_shard, layout.aligned, layout.groups));
    let mut ports: Vec<Vec<(ShardId, MeshPort)>> = (0..executors).map(|_| Vec::new()).collect();
    for (s, port) in mesh::connect(layout.shards, layout.ring_slots).into_iter().enumerate() {
        ports[s % executors].push((ShardId(s as u16), port));
    }
    let (reports_in, reports_out) = unbounded();
    let mut specs = Vec::new();
    for ((i, bell), ports) in bells.into_iter().enumerate().zip(ports) {
        // An executor that hosts several shards has something better to do than to spin for one of them.
        let spin = if ports.len() > 1 { Duration::ZERO } else { layout.spin };
        let make = maker(ports, Arc::clone(&world), bell, reports_in.clone(), make_lane);
        specs.push(ExecutorSpec { cpu: layout.cpus.get(i).copied().flatten(), spin, make });
    }
    drop(reports_in);
    if stop.reason().is_some() && !drain {
        world.stop();
    }
    let reports = Mutex::new(Vec::new());
    let failed = |fatal| world.fail(fatal);
    backend::run(layout.backend, specs, &failed, || {
        loop {
            let wait = if world.stopping() { TICK_STOPPING } else { TICK };
            match reports_out.recv_timeout(wait) {
                Ok(report) => reports.lock().unwrap_or_else(PoisonError::into_inner).push(report),
                Err(RecvTimeoutError::Timeout) => tick(&world),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            match stop.reason() {
                Some(_) if drain => world.drain(),
                Some(_) if world.stops_itself() => {}
                Some(_) => world.stop(),
                None => {}
            }
            if world.stopping() {
                world.try_finish();
            }
        }
    });
    if let Some(fatal) = world.take_fatal() {
        return Err(fatal);
    }
    tick(&world);
    let mut reports: Vec<LaneReport> = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    reports.sort_by_key(|report| report.shard);
    Ok(reports)
}

fn maker<'a>(
    ports: Vec<(ShardId, MeshPort)>,
    world: Arc<World>,
    bell: Arc<Bell>,
    reports: Sender<LaneReport>,
    make_lane: &'a MakeLane<'_>,
) -> MakeWorker<'a> {
    Box::new(move || {
        let mut lanes = Vec::new();
        for (shard, port) in ports {
            match make_lane(shard, port, &bell) {
                Ok(parts) => lanes.push(Lane::new(parts)),
                Err(fatal) => {
                    world.fail(fatal);
                    // What was made so far is interrupted in the driver's first step.
                    break;
                }
            }
        }
        Some(Box::new(Driver::new(lanes, world, bell, reports)) as Box<dyn Worker>)
    })
}

/// The run's start, as latencies count it.
#[expect(clippy::disallowed_methods, reason = "latencies are measured outside the engine")]
pub fn start_of_run() -> Instant {
    Instant::now()
}
