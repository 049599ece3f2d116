//! `velo-test run` and `run-all`: the tests of an app, of the apps of a folder, or of those a pattern names, on the
//! production engine and a broker inside this process.

mod all;
mod load;
mod log;
mod one;
mod published;
mod sources;
mod step;
mod suite;

use std::io::{stderr, stdin};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use velostream_harness::app::cluster::Cluster;
use velostream_runtime::stop::{StopHandle, StopReason};
use velostream_types::time::{NS_PER_MS, parse_instant};

use crate::container::{self, Container, ContainerArgs};
use crate::output::OutputForm;
use crate::progress::Progress;
use one::{Options, Session};
use step::Stepper;

pub use all::{RunAllArgs, run_all};

const NOTES: &str = "Examples:
  velo-test run app.sql
      app.test.yaml beside it says what is published and what has to come out
  velo-test run app.sql --query high_value -o json
      one query of it, as a document for programs
  velo-test run demo/test_harness_examples/tier1_basic -o junit > report.xml
      every app of a folder that has a spec, in one report
  velo-test run app.sql --data-only
      how many records the spec's inputs are, without running the SQL
  velo-test run app.sql --use-testcontainers --reuse-containers
      at a Kafka that Docker starts once and that stays for the next run; with VELOSTREAM_TEST_CONTAINER=redpanda at a
      Redpanda

Specs and data schemas: docs/velo-test.md.

Exit codes: 0 all assertions hold; 1 one does not, a query failed, or a file is wrong; 2 wrong usage; 130 interrupted.";

/// Command line of `run`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub struct RunArgs {
    /// An SQL file, or a folder with specs beside SQL files
    sql: PathBuf,
    /// The spec [default: found beside the SQL file]
    #[arg(short, long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// Run only this query test, even one that is to be skipped, and those it takes its inputs from
    #[arg(short, long, value_name = "NAME")]
    query: Option<String>,
    /// How long a query may take where the spec does not say [default: 30000]
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Ask in front of each query of an app, and show what it gave
    #[arg(long, conflicts_with = "data_only")]
    step: bool,
    /// Publish the inputs, run no SQL, and print how many records each source got
    #[arg(long)]
    data_only: bool,
    #[command(flatten)]
    shared: SharedArgs,
}

/// What all apps of a command have in common.
#[derive(Debug, Args)]
struct SharedArgs {
    /// Folder of the data schemas [default: schemas/ beside the SQL file]
    #[arg(long, value_name = "FOLDER")]
    schemas: Option<PathBuf>,
    /// Form of the report
    #[arg(short, long, value_enum, default_value = "text")]
    output: OutputForm,
    /// Seed of the generated records [default: that of the schemas, else 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Time of day of the run [default: the spec's, with a seed 2025-01-01T12:00:00Z, else the clock]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    now: Option<i64>,
    /// Shards of each job
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: u16,
    /// Let jobs read and write through the production client and its sockets instead of direct calls
    #[arg(long)]
    production_client: bool,
    /// Run on the cluster with these brokers: topics and groups of the run are made there, and deleted at its end
    #[arg(long, value_name = "HOST:PORT,…")]
    kafka: Option<String>,
    /// A setting of the clients that connect to --kafka, in librdkafka's names; may be given several times
    #[arg(long, value_name = "KEY=VALUE", requires = "kafka", value_parser = setting)]
    kafka_property: Vec<(String, String)>,
    /// Apps of a folder that run at once [default: one for each CPU]; those that measure time or memory run alone
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Keep the records of all outputs in this folder: APP/QUERY.SINK.jsonl
    #[arg(long, value_name = "FOLDER")]
    save_outputs: Option<PathBuf>,
    #[command(flatten)]
    containers: ContainerArgs,
    /// Answer questions with yes; there are none where no terminal is
    #[arg(short, long)]
    yes: bool,
}

impl SharedArgs {
    fn options(&self, verbose: bool) -> Options {
        Options {
            verbose,
            seed: self.seed,
            now_ms: self.now,
            shards: self.shards,
            production: self.production_client,
            save: self.save_outputs.clone(),
            ..Options::default()
        }
    }

    fn jobs(&self) -> usize {
        let cpus = std::thread::available_parallelism();
        self.jobs.or(cpus.ok()).map_or(1, NonZeroUsize::get)
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

fn instant(text: &str) -> Result<i64, String> {
    parse_instant(text)
        .map(|ns| ns / NS_PER_MS)
        .ok_or_else(|| "expected a time such as 2025-01-01T12:00:00Z".to_owned())
}

/// Runs the command.
pub fn run(args: &RunArgs, verbose: bool) -> Result<ExitCode> {
    // Lines about steps and of logs stand for themselves.
    let progress = if args.step || verbose { Progress::none() } else { Progress::on_terminal() };
    in_session(&args.shared, progress, |session| match args.sql.is_dir() {
        true if args.step => {
            refused("error: --step goes through the queries of one app: name an SQL file, not a folder")
        }
        true => folder(args, verbose, session),
        false => app(args, verbose, session),
    })
}

/// Connects or starts the broker, and does the work until it is done or a signal comes.
fn in_session(
    shared: &SharedArgs,
    progress: Progress,
    work: impl FnOnce(&Session) -> Result<ExitCode>,
) -> Result<ExitCode> {
    let stop = StopHandle::new();
    stop.install_signals().context("cannot listen to INT and TERM")?;
    if let Some(folder) = &shared.save_outputs
        && let Err(error) = std::fs::create_dir_all(folder)
    {
        return refused(&format!("error: cannot keep outputs in {}: {error}", folder.display()));
    }
    let code = match brokers(shared, &stop) {
        Ok((cluster, _container)) => {
            let session =
                Session::start(stop.clone(), cluster, progress).context("the embedded broker did not start")?;
            work(&session)?
        }
        Err(error) => refused(&format!("error: {error}"))?,
    };
    Ok(match stop.reason() {
        Some(StopReason::Signal(signal)) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)),
        _ => code,
    })
}

/// The cluster to run on, with the container it is in; neither where the embedded broker is enough. A cluster that is
/// named takes the place of a container that does not start.
fn brokers(shared: &SharedArgs, stop: &StopHandle) -> Result<(Option<Cluster>, Option<Container>), String> {
    let connect = |at: &str, settings: &[(String, String)]| {
        Cluster::connect(at, settings).map(Some).map_err(|fatal| fatal.message)
    };
    let env = |name: &str| std::env::var(name).ok();
    let container = match (container::start(&shared.containers, &env, stop), &shared.kafka) {
        (Err(why), Some(kafka)) if stop.reason().is_none() => {
            eprintln!("warning: no container: {why}; running on {kafka}");
            None
        }
        (started, _) => started?,
    };
    let cluster = match (&container, &shared.kafka) {
        (Some(container), _) => connect(container.bootstrap(), &[])?,
        (None, Some(kafka)) => connect(kafka, &shared.kafka_property)?,
        (None, None) => None,
    };
    Ok((cluster, container))
}

impl RunArgs {
    fn options(&self, verbose: bool) -> Options {
        Options {
            timeout_ms: self.timeout_ms,
            only: self.query.clone(),
            publish_only: self.data_only,
            ..self.shared.options(verbose)
        }
    }
}

fn app(args: &RunArgs, verbose: bool, session: &Session) -> Result<ExitCode> {
    let files = match load::load(&args.sql, args.spec.as_deref(), args.shared.schemas.as_deref()) {
        Ok(files) => files,
        Err(error) => return refused(&error),
    };
    if let Some(name) = args.query.as_ref().filter(|name| !files.has_query(name)) {
        let names: Vec<&str> = files.spec.queries.iter().map(|q| q.name.as_str()).collect();
        return refused(&format!("error: the spec has no query \"{name}\"; its queries are {}", names.join(", ")));
    }
    let output = args.shared.output;
    let (options, queries) = (args.options(verbose), files.spec.queries.len());
    let report = match args.step {
        true => session.run(&files, &options, &mut Stepper::new(stdin().lock(), stderr(), queries)),
        false => session.run(&files, &options, &mut log::Log::of(&options, &files.app.name)),
    };
    session.done();
    match args.data_only {
        true => published::show(output, &[&report])?,
        false => output.show(&report)?,
    }
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn folder(args: &RunArgs, verbose: bool, session: &Session) -> Result<ExitCode> {
    let found = load::in_folder(&args.sql);
    if found.is_empty() {
        return refused(&format!(
            "error: {} has no spec: looked for NAME.test.yaml with NAME.sql beside it, and for test_spec.yaml, \
             in it and in the folders below",
            args.sql.display()
        ));
    }
    let apps = found.into_iter().map(|(sql, spec)| (sql, Some(spec))).collect();
    let mut suite = suite::run(session, args.sql.display().to_string(), apps, &args.shared, &args.options(verbose));
    if let Some(name) = &args.query {
        suite.apps.retain(|app| app.report.as_ref().is_none_or(|report| !report.queries.is_empty()));
        if suite.apps.is_empty() && !session.is_stopped() {
            return refused(&format!("error: no spec of {} has a query \"{name}\"", args.sql.display()));
        }
    }
    match args.data_only {
        true => {
            let broken = suite.apps.iter().filter_map(|app| app.error.as_ref());
            broken.for_each(|error| eprintln!("{error}"));
            let reports: Vec<_> = suite.apps.iter().filter_map(|app| app.report.as_ref()).collect();
            published::show(args.shared.output, &reports)?;
        }
        false => args.shared.output.show_suite(&suite)?,
    }
    Ok(if suite.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong before anything was run.
fn refused(error: &str) -> Result<ExitCode> {
    eprintln!("{error}");
    Ok(ExitCode::FAILURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What these words ask of containers.
    fn containers(words: &[&str]) -> Result<String, clap::error::ErrorKind> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            run: RunArgs,
        }
        let words = ["run", "app.sql"].iter().chain(words);
        let line = <Line as clap::Parser>::try_parse_from(words).map_err(|error| error.kind())?;
        Ok(format!("{:?}", line.run.shared.containers))
    }

    #[test]
    fn containers_are_asked_for() {
        let asked = |used: bool, reused: bool, kept: bool| {
            Ok(format!(
                "ContainerArgs {{ use_testcontainers: {used}, reuse_containers: {reused}, keep_containers: {kept} }}"
            ))
        };
        assert_eq!(containers(&[]), asked(false, false, false));
        assert_eq!(containers(&["--use-testcontainers"]), asked(true, false, false));
        assert_eq!(containers(&["--use-testcontainers", "--reuse-containers"]), asked(true, true, false));
        assert_eq!(containers(&["--keep-containers", "--use-testcontainers"]), asked(true, false, true));
        for alone in ["--reuse-containers", "--keep-containers"] {
            assert_eq!(containers(&[alone]), Err(clap::error::ErrorKind::MissingRequiredArgument), "{alone}");
        }
    }

    #[test]
    fn instants_are_ms() {
        assert_eq!(instant("1970-01-01T00:00:01.5Z"), Ok(1_500));
        assert!(instant("soon").is_err());
    }
}
