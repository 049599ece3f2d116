//! One app after the other through one embedded broker: what a run is called, what time it is in it, where its files go.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use velostream_broker::{Broker, BrokerConfig, Spill};
use velostream_harness::app::cluster::Cluster;
use velostream_harness::app::execute::{self, AppTest};
use velostream_harness::app::naming::{hash, plain};
use velostream_harness::app::steps::Steps;
use velostream_harness::app::told::Told;
use velostream_harness::app::topics::Place;
use velostream_runtime::clock::{RunClock, monotonic};
use velostream_runtime::stop::StopHandle;
use velostream_spec::report::{Client, Engine, Report};
use velostream_types::Clock;
use velostream_types::time::{NS_PER_MS, timestamp_text};

use super::load::AppFiles;
use crate::progress::Progress;

/// `now` of a run whose seed was given and whose time was not: 2025-01-01T12:00:00Z.
const SEEDED_NOW_MS: i64 = 1_735_732_800_000;

/// Records of a run are in memory up to this, and above it in its scratch folder: most tests never touch the disk.
const SPILL_ABOVE_BYTES: u64 = 64 << 20;

/// What the command line says about every app.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Seed of the generated records.
    pub seed: Option<u64>,
    /// Time of day, ms.
    pub now_ms: Option<i64>,
    /// Shards of each job.
    pub shards: u16,
    /// How long a query may take that does not say itself.
    pub timeout_ms: Option<u64>,
    /// The same where neither the command line nor the spec says.
    pub default_timeout_ms: Option<u64>,
    /// Only this query test.
    pub only: Option<String>,
    /// Inputs are published, and no SQL is run.
    pub publish_only: bool,
    /// Jobs go through the production client.
    pub production: bool,
    /// What jobs log is shown.
    pub verbose: bool,
    /// Folder that the records of outputs are kept in.
    pub save: Option<PathBuf>,
}

/// What all apps of a command share.
pub struct Session {
    broker: Broker,
    scratch: tempfile::TempDir,
    stop: StopHandle,
    /// Where topics are if not in the broker.
    cluster: Option<Cluster>,
    progress: Progress,
}

impl Session {
    /// Starts the broker; with a cluster it stays empty.
    pub fn start(stop: StopHandle, cluster: Option<Cluster>, progress: Progress) -> Result<Session> {
        let scratch = tempfile::Builder::new().prefix("velo_test_").tempdir().context("make a folder for this run")?;
        let spill = Spill { dir: scratch.path().join("broker"), above_bytes: SPILL_ABOVE_BYTES };
        let broker = Broker::start(BrokerConfig { spill: Some(spill), ..BrokerConfig::default() })?;
        Ok(Session { broker, scratch, stop, cluster, progress })
    }

    /// All runs are over: their progress goes.
    pub fn done(&self) {
        self.progress.clear();
    }

    /// Somebody stopped the run.
    pub fn is_stopped(&self) -> bool {
        self.stop.reason().is_some()
    }

    /// Where the topics of one app are.
    fn place(&self, options: &Options) -> Place {
        match &self.cluster {
            Some(cluster) => Place::Cluster(cluster.for_one()),
            None if options.production => Place::Sockets(self.broker.direct(), self.broker.bootstrap()),
            None => Place::Embedded(self.broker.direct()),
        }
    }

    /// Runs the tests of an app; `steps` stands between them.
    pub fn run(&self, files: &AppFiles, options: &Options, steps: &mut dyn Steps) -> Report {
        let clock_ms = || RunClock::System.now_ns() / NS_PER_MS;
        let seeded = options.seed.map(|_| SEEDED_NOW_MS);
        let now_ms = options.now_ms.or(files.spec.now_ms).or(seeded).unwrap_or_else(clock_ms);
        let seed = options.seed.or(files.schemas.iter().find_map(|loaded| loaded.schema.seed)).unwrap_or(0);
        let run_id = format!("{:08x}", hash(&format!("{seed} {} {}", files.app.shown, files.spec_text)) as u32);
        let place = self.place(options);
        let (topics_id, client) = match &place {
            Place::Embedded(_) => (run_id.clone(), Client::Direct),
            Place::Sockets(..) => (run_id.clone(), Client::Production),
            // Others may run the same test in the same cluster.
            Place::Cluster(_) => (format!("{run_id}_{}", unique()), Client::Cluster),
        };
        let env = |name: &str| std::env::var(name).ok();
        let mut warnings = files.warnings.clone();
        let save = options.save.as_ref().map(|folder| folder.join(plain(&files.app.name)));
        if let Some(Err(error)) = save.as_ref().map(std::fs::create_dir_all) {
            warnings.push(format!("outputs of {} cannot be kept: {error}", files.app.name));
        }
        let test = AppTest {
            app: files.app.clone(),
            spec: &files.spec,
            spec_text: (&files.spec_shown, &files.spec_text),
            schemas: &files.schemas,
            seed: options.seed,
            now_ms,
            topics_id,
            shards: options.shards,
            timeout_ms: options.timeout_ms.or(files.spec.default_timeout_ms).or(options.default_timeout_ms),
            only: options.only.clone(),
            publish_only: options.publish_only,
            env: &env,
            scratch: self.scratch.path().join(&run_id),
            place: place.clone(),
            save,
        };
        let (start_time, begun) = (now_text(), monotonic());
        let tell = |told: Told<'_>| self.progress.tell(&files.app.name, told);
        let queries = execute::run(&test, &self.stop, &tell, steps);
        if let Place::Cluster(cluster) = &place {
            warnings.extend(cluster.clean());
        }
        Report {
            application: files.spec.application.clone(),
            run_id,
            start_time,
            end_time: now_text(),
            duration_ms: millis(begun.elapsed()),
            seed,
            engine: Engine { shards: options.shards, client, ..Engine::default() },
            queries,
            warnings,
        }
    }
}

/// Part of a name that no other run has.
fn unique() -> String {
    let ns = RunClock::System.now_ns() as u64;
    format!("{:x}", ns.wrapping_mul(1 << 12) ^ u64::from(std::process::id()))
}

/// The clock, RFC 3339.
pub fn now_text() -> String {
    format!("{}Z", timestamp_text(RunClock::System.now_ns()).replace(' ', "T"))
}

/// Whole ms.
pub fn millis(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_spills_into_its_scratch_folder_which_goes_with_it() {
        let session = Session::start(StopHandle::new(), None, Progress::none()).expect("a free port");
        let scratch = session.scratch.path().to_owned();
        assert!(scratch.join("broker").is_dir());
        drop(session);
        assert!(!scratch.exists());
    }
}
