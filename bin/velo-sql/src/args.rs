//! Command line of `velo-sql`. Values that cannot be right are refused here, as usage (exit code 2).

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use velostream_runtime::backend::BackendChoice;
use velostream_runtime::job::{BATCH_ROWS, CREDITS, LatencyProfile};
use velostream_runtime::topology::parse_cores;
use velostream_types::time::parse_instant;

use crate::kafka::KafkaArgs;
use crate::state::StateArgs;

const EXAMPLES: &str = "Examples:
  velo-sql demo
      a generated market feed through a broker in this process and three chained jobs
  velo-sql run -e \"SELECT symbol, COUNT(*), AVG(price) FROM 'trades.csv' GROUP BY symbol\"
      a query over a file
  velo-sql run app.sql --shards 2
      an app of CREATE STREAM/TABLE ... AS SELECT statements
  velo-sql run app.sql --brokers localhost:9092
      an app over Kafka topics, until INT or TERM; --until-end stops at the topics' present ends
  velo-sql validate app.sql
      every mistake at once, with carets
  velo-sql explain app.sql
      what would run where, and what state it keeps

Exit codes: 0 done; 1 invalid SQL or a failure; 2 wrong usage; 130 and 143 a run over bounded inputs that INT or TERM
interrupted (a followed run ends with 0).";

const RUN_NOTES: &str = "Output:
  Rows of a bare SELECT, and of objects nobody reads and no property places, go to standard output. Files appear under
  their name when they are whole; an interrupted run leaves NAME.partial with whole rows. Records that cannot be used
  go to SOURCE-dlq.jsonl and SINK-dlq.jsonl beside the output, with the reason, the position and the original bytes.
  Diagnostics, progress (on a terminal) and the summary go to standard error.

Summary for programs (--output-format json):
  Exactly one JSON document, whatever happens: on standard output, or on standard error when the app itself writes to
  standard output. Nothing else is then printed on standard error. Its \"status\" is completed, interrupted, failed or
  invalid.

Why has this window not fired? (--explain-live):
  For every operator with windows: open windows, rows and memory held, the next window to fire and which partition holds
  it back by how much; for every partition that feeds it: watermark, idle or not and for how long, rows held. On a terminal
  it stands under the progress and is drawn anew every second; else a block of lines comes every 5 s; in both cases one at
  the end, too. The summary for programs always has it, under \"windows\", as of the end of the run.

Signals:
  INT and TERM end the turn, flush the sinks and fire no open window; a second one ends the process at once.

State (--state FOLDER):
  Checkpoints of everything a run knows, in FOLDER; the newest three are kept. However the process ends, the same command
  goes on from the newest one that is whole, on any number of shards, and the output is that of an uninterrupted run.
  Output files are NAME.partial until the run is complete, then all get their names; one more start finds nothing to do.
  Topics are read on behind the checkpoint, whatever the group committed, and written at least once.
  Another SQL text, a changed input or output file and a damaged folder are errors that say what to do. docs/state.md

Kafka:
  An app over topics follows them until INT or TERM. Each output is there at least once: offsets are committed once
  everything that depends on them was acknowledged, and a restart goes on from there without emitting a window twice
  with different values. Lag includes the rows of open windows.";

const VALIDATE_NOTES: &str = "Examples:
  velo-sql validate app.sql
      every mistake at once, each with its place, the reason and a way out
  velo-sql validate apps/ other.sql --strict
      all *.sql files below a folder and one more; warnings fail too
  velo-sql validate -e \"SELECT usr FROM 'clicks.csv'\" --no-reference
      a text; sources are looked at for their columns, nothing is read to its end and nothing is written
  velo-sql validate apps/ --output-format json | jq '.files[].diagnostics[].code'
      for programs; `velo-sql schema validation` is the JSON Schema of the document

Three kinds of findings:
  error           the app does not start
  warning         it runs, but probably not as meant; --strict turns warnings into errors
  recommendation  it runs as meant and could do so cheaper: one line for each kind, no error ever; only told here, and of
                  apps without errors
  docs/diagnostics.md explains every code.

Exit codes: 0 every app is valid; 1 one is not, or cannot be read; 2 wrong usage.";

const SCHEMA_NOTES: &str = "Examples:
  velo-sql schema config > velostream-config.schema.json
      then, in the first line of a config file:
      # yaml-language-server: $schema=velostream-config.schema.json
      and an editor with a YAML language server completes keys and marks what is wrong
  velo-sql schema validation
      what `velo-sql validate --output-format json` prints";

const DEMO_NOTES: &str = "What happens:
  feed -> topic market_data -> [ priced -> ohlc_1s -> volume_alerts ] -> topics ohlc_1s, volume_alerts -> screen

  A broker is started in this process, in memory, on a free port of 127.0.0.1; any Kafka client can look at its topics
  while the demo runs. With --brokers the topics are there instead, under names with a suffix of their own, and are
  deleted at the end with the consumer group, unless the process is killed.

  The three jobs are the statements of one app: the first reads the topic, each reads the one before it directly and
  not through a topic, and the last two also write their rows to topics. The screen shows what it reads from these.

  In real time the jobs follow the feed; at its end, or at INT or TERM, they read what is left and close their windows.
  With --records the whole feed is in its topic before the jobs start, and they run to its end.";

/// SQL over streams, on pinned cores that share nothing.
#[derive(Debug, Parser)]
#[command(name = "velo-sql", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an app or a query to the end of its inputs, or follow them
    Run(RunArgs),
    /// The same as `run --file`'s app, under the name deployments use
    DeployApp(DeployArgs),
    /// Check SQL without running it: all mistakes at once, with carets and hints
    Validate(ValidateArgs),
    /// Show the plan: operators, shuffles, state and its growth, emission rules
    Explain(ExplainArgs),
    /// JSON Schemas: of config files, for editors, and of the document `validate` gives to programs
    Schema(SchemaArgs),
    /// The functions of the dialect: how they are called, what they give, with examples
    Functions(FunctionsArgs),
    /// A generated market feed through Kafka topics and three chained jobs; needs no server
    Demo(DemoArgs),
}

/// `velo-sql schema`.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = SCHEMA_NOTES)]
pub struct SchemaArgs {
    /// What the schema is of
    #[arg(value_enum, default_value_t = SchemaArg::Config)]
    pub of: SchemaArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaArg {
    /// YAML config files
    Config,
    /// The JSON document of `velo-sql validate`
    Validation,
}

/// `velo-sql functions`.
#[derive(Debug, Clone, ClapArgs)]
pub struct FunctionsArgs {
    /// Functions to tell about, in any case; without one, all are listed
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The whole reference page as Markdown
    #[arg(long, conflicts_with = "names")]
    pub markdown: bool,
}

/// Where the SQL comes from.
#[derive(Debug, Clone, ClapArgs)]
#[group(required = true, multiple = false)]
pub struct Sql {
    /// SQL file; `-` reads standard input. Relative paths in a file resolve from its folder
    #[arg(value_name = "APP.sql")]
    pub file: Option<PathBuf>,
    /// SQL text; relative paths resolve from the current folder
    #[arg(short = 'e', long = "execute", value_name = "SQL", allow_hyphen_values = true)]
    pub text: Option<String>,
}

/// What running and checking need to compile an app.
#[derive(Debug, Clone, ClapArgs)]
pub struct Compile {
    /// Set a property for the whole app, above everything written in SQL or config files; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// Kafka brokers of sources and sinks that name none; names that nothing else explains are then topics
    #[arg(long, value_name = "HOST:PORT,...")]
    pub brokers: Option<String>,
    /// Inputs are unbounded: tail files after their end and write rows in place
    #[arg(long)]
    pub follow: bool,
    /// Warnings are errors
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = RUN_NOTES)]
pub struct RunArgs {
    #[command(flatten)]
    pub sql: Sql,
    #[command(flatten)]
    pub compile: Compile,
    #[command(flatten)]
    pub kafka: KafkaArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    #[command(flatten)]
    pub state: StateArgs,
    /// How rows on standard output are written [default: table on a terminal, json otherwise]
    #[arg(long, value_enum)]
    pub format: Option<FormatArg>,
    /// The summary as text on standard error, or as one JSON document
    #[arg(long, value_enum, default_value_t = SummaryArg::Text)]
    pub output_format: SummaryArg,
    #[command(flatten)]
    pub live: LiveArgs,
}

/// What a run tells while it runs.
#[derive(Debug, Clone, ClapArgs)]
pub struct LiveArgs {
    /// Tell why windows have not fired: what each holds, and which partition it waits for
    #[arg(long)]
    pub explain_live: bool,
}

/// `run` under the name and with the arguments of deployments.
#[derive(Debug, ClapArgs)]
#[command(after_help = RUN_NOTES)]
pub struct DeployArgs {
    /// SQL file; `-` reads standard input
    #[arg(long, short, value_name = "APP.sql")]
    pub file: PathBuf,
    #[command(flatten)]
    pub compile: Compile,
    #[command(flatten)]
    pub kafka: KafkaArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    #[command(flatten)]
    pub state: StateArgs,
    /// The summary as text on standard error, or as one JSON document
    #[arg(long, value_enum, default_value_t = SummaryArg::Text)]
    pub output_format: SummaryArg,
    #[command(flatten)]
    pub live: LiveArgs,
}

impl From<DeployArgs> for RunArgs {
    fn from(args: DeployArgs) -> RunArgs {
        let DeployArgs { file, compile, kafka, engine, state, output_format, live } = args;
        let sql = Sql { file: Some(file), text: None };
        RunArgs { sql, compile, kafka, engine, state, format: None, output_format, live }
    }
}

/// How the engine runs.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Engine")]
pub struct EngineArgs {
    /// Shards to split the work over [default: the cores, at most one per input partition]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub shards: Option<u16>,
    /// Cores to pin to, as `2-5` or `0,2` [default: all allowed, less one where there are 4 or more]
    #[arg(long, value_name = "LIST", value_parser = cores)]
    pub cores: Option<Cores>,
    /// Executor: io_uring through glommio, plain pinned threads, or what the machine allows
    #[arg(long, value_enum, default_value_t = RuntimeArg::Auto)]
    pub runtime: RuntimeArg,
    /// How long an idle core spins before it parks
    #[arg(long, value_enum, default_value_t = ProfileArg::Balanced)]
    pub latency_profile: ProfileArg,
    /// Rows per batch at most
    #[arg(long, value_name = "N", default_value_t = BATCH_ROWS as u32)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub batch_rows: u32,
    /// Messages under way per exchange and pair of shards
    #[arg(long, value_name = "N", default_value_t = CREDITS, hide_short_help = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub credits: u32,
    /// The time of day the run sees, RFC 3339 or epoch ms [default: the clock]
    #[arg(long, value_name = "T", value_parser = instant)]
    pub now: Option<Instant>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = VALIDATE_NOTES)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["paths", "text"]))]
pub struct ValidateArgs {
    /// SQL files, folders (their *.sql files, at any depth), or `-` for standard input
    #[arg(value_name = "APP.sql|FOLDER")]
    pub paths: Vec<PathBuf>,
    /// SQL text
    #[arg(short = 'e', long = "execute", value_name = "SQL", allow_hyphen_values = true)]
    pub text: Option<String>,
    #[command(flatten)]
    pub compile: Compile,
    /// Findings as text on standard error, or as one JSON document on standard output
    #[arg(long, value_enum, default_value_t = SummaryArg::Text)]
    pub output_format: SummaryArg,
    /// Errors and warnings only
    #[arg(long)]
    pub no_recommendations: bool,
    /// Without the listing of system columns, header functions and window bounds on standard output
    #[arg(long)]
    pub no_reference: bool,
}

#[derive(Debug, ClapArgs)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub sql: Sql,
    #[command(flatten)]
    pub compile: Compile,
    /// Also columns of each operator, and where each property's value came from
    #[arg(long, short)]
    pub verbose: bool,
    /// Instead of the plan, what the app must be allowed to do on its Kafka clusters
    #[arg(long, conflicts_with = "verbose")]
    pub acls: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = DEMO_NOTES)]
pub struct DemoArgs {
    /// Brokers to use instead of the embedded one; topics get names of their own and are deleted at the end
    #[arg(long, value_name = "HOST:PORT,...")]
    pub brokers: Option<String>,
    /// Seconds to run
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Trades per second of event time
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rate: u64,
    /// Make exactly this many trades, as fast as they go, from a fixed point in time: the same output every time
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..))]
    pub records: Option<u64>,
    /// Seed of the feed
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
    /// Shards to split the work over [default: the cores, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub shards: Option<u16>,
    /// Executor
    #[arg(long, value_enum, default_value_t = RuntimeArg::Auto)]
    pub runtime: RuntimeArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RuntimeArg {
    /// glommio where io_uring is allowed, else threads
    Auto,
    /// io_uring through glommio
    Glommio,
    /// Pinned threads
    Threads,
}

impl From<RuntimeArg> for BackendChoice {
    fn from(arg: RuntimeArg) -> BackendChoice {
        match arg {
            RuntimeArg::Auto => BackendChoice::Auto,
            RuntimeArg::Glommio => BackendChoice::Glommio,
            RuntimeArg::Threads => BackendChoice::Threads,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProfileArg {
    /// Spin longest; lowest latency, a core each
    Low,
    /// Spin briefly when busy
    Balanced,
    /// Never spin
    Throughput,
}

impl From<ProfileArg> for LatencyProfile {
    fn from(arg: ProfileArg) -> LatencyProfile {
        match arg {
            ProfileArg::Low => LatencyProfile::Low,
            ProfileArg::Balanced => LatencyProfile::Balanced,
            ProfileArg::Throughput => LatencyProfile::Throughput,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Aligned columns
    Table,
    /// JSON lines
    Json,
    /// CSV with a header
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SummaryArg {
    /// For people
    Text,
    /// For programs
    Json,
}

/// CPUs to pin to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cores(pub Vec<usize>);

fn cores(text: &str) -> Result<Cores, String> {
    parse_cores(text).map(Cores)
}

/// A point in time, ns since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant(pub i64);

fn instant(text: &str) -> Result<Instant, String> {
    let ns = parse_instant(text);
    ns.map(Instant).ok_or_else(|| "expected RFC 3339 (2025-01-31T09:30:00Z) or epoch milliseconds, 1677 to 2262".into())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("expected KEY=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn values() {
        assert_eq!(instant("1000"), Ok(Instant(1_000_000_000)));
        assert_eq!(instant("1970-01-01T00:00:01Z"), Ok(Instant(1_000_000_000)));
        assert!(instant("9223372036854775807").is_err() && instant("soon").is_err());
        assert_eq!(pair("a.b = c=d"), Ok(("a.b".into(), "c=d".into())));
        assert!(pair("a").is_err() && pair("=a").is_err());
    }
}
