//! One app after the other through one embedded broker: what a run is called, what time it is in it, where its files go.

use std::time::Duration;

use anyhow::{Context, Result};
use velostream_broker::{Broker, BrokerConfig};
use velostream_harness::app::execute::{self, AppTest};
use velostream_harness::app::naming::hash;
use velostream_runtime::clock::{RunClock, monotonic};
use velostream_runtime::stop::StopHandle;
use velostream_spec::report::{QueryReport, Report};
use velostream_types::Clock;
use velostream_types::time::{NS_PER_MS, timestamp_text};

use super::load::AppFiles;

/// `now` of a run whose seed was given and whose time was not: 2025-01-01T12:00:00Z.
const SEEDED_NOW_MS: i64 = 1_735_732_800_000;

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
}

/// What all apps of a command share.
pub struct Session {
    broker: Broker,
    scratch: tempfile::TempDir,
    stop: StopHandle,
}

impl Session {
    /// Starts the broker.
    pub fn start(stop: StopHandle) -> Result<Session> {
        let scratch = tempfile::Builder::new().prefix("velo_test_").tempdir().context("make a folder for this run")?;
        let broker = Broker::start(BrokerConfig::default())?;
        Ok(Session { broker, scratch, stop })
    }

    /// Somebody stopped the run.
    pub fn is_stopped(&self) -> bool {
        self.stop.reason().is_some()
    }

    /// Runs the tests of an app.
    pub fn run(&self, files: &AppFiles, options: &Options, tell: &mut dyn FnMut(&str, Option<&QueryReport>)) -> Report {
        let clock_ms = || RunClock::System.now_ns() / NS_PER_MS;
        let seeded = options.seed.map(|_| SEEDED_NOW_MS);
        let now_ms = options.now_ms.or(files.spec.now_ms).or(seeded).unwrap_or_else(clock_ms);
        let seed = options.seed.or(files.schemas.iter().find_map(|loaded| loaded.schema.seed)).unwrap_or(0);
        let run_id = format!("{:08x}", hash(&format!("{seed} {} {}", files.app.shown, files.spec_text)) as u32);
        let env = |name: &str| std::env::var(name).ok();
        let test = AppTest {
            app: files.app.clone(),
            spec: &files.spec,
            schemas: &files.schemas,
            seed: options.seed,
            now_ms,
            run_id: run_id.clone(),
            shards: options.shards,
            timeout_ms: options.timeout_ms.or(files.spec.default_timeout_ms).or(options.default_timeout_ms),
            only: options.only.clone(),
            publish_only: options.publish_only,
            env: &env,
            scratch: self.scratch.path().join(&run_id),
            production: options.production.then(|| self.broker.bootstrap()),
        };
        let (start_time, begun) = (now_text(), monotonic());
        let queries = execute::run(&test, &self.broker.direct(), &self.stop, tell);
        Report {
            application: files.spec.application.clone(),
            run_id,
            start_time,
            end_time: now_text(),
            duration_ms: millis(begun.elapsed()),
            seed,
            queries,
            warnings: files.warnings.clone(),
        }
    }
}

/// The clock, as reports show it.
pub fn now_text() -> String {
    timestamp_text(RunClock::System.now_ns())
}

/// Whole ms.
pub fn millis(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
