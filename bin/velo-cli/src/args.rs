//! Command line of `velo-cli`. Values that cannot be right are refused here, as usage (exit code 2).

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use velostream_types::time::{ns_to_ms, parse_instant};
use velostream_types::topic::StartAt;

const EXAMPLES: &str = "Examples:
  velo-cli topic list
      topics of localhost:9092, with partitions and records
  velo-cli --brokers kafka-1:9092 topic peek orders -n 5 --key
      five records from the start
  velo-cli topic peek orders -o -3 --follow
      the last three of each partition, and what comes
  echo 'k1:{\"a\":1}' | velo-cli topic produce orders --key-separator :
      a record with a key
  velo-cli group lag velo_shop_orders
      how far a job is behind, partition by partition
  velo-cli group reset velo_shop_orders --to earliest
      read everything again: shows old and new offsets, then asks

Secured clusters:
  Settings of the client by their names in librdkafka or Java, one by one or in a file of KEY=VALUE lines:
  velo-cli --config client.properties topic list
  velo-cli --brokers kafka:9094 --property security.protocol=sasl_ssl --property ssl.ca.location=ca.pem \\
           --property sasl.mechanism=SCRAM-SHA-512 --property sasl.username=ann --property sasl.password=... topic list

Brokers: --property bootstrap.servers, else --config, else --brokers, else VELOSTREAM_KAFKA_BROKERS, else localhost:9092.
Exit codes: 0 done; 1 a failure; 2 wrong usage.";

const PRODUCE_NOTES: &str = "Examples:
  velo-cli topic produce orders --file orders.jsonl
      a record per line; partitions in turn
  velo-cli topic produce orders --key-separator : --header source=test < pairs.txt
      `key:value` lines; the key says the partition, as in Java's producer
  echo 'k1:' | velo-cli topic produce orders --key-separator : --null
      a tombstone for k1: an empty value is null
  velo-cli topic produce orders --null=NULL --file rows.txt
      a line that is NULL is a record without value";

const PEEK_NOTES: &str = "Examples:
  velo-cli topic peek orders
      ten records from the start
  velo-cli topic peek orders -o latest --follow --key --headers
      what comes from now on, until Ctrl-C
  velo-cli topic peek orders -p 2 -o 1200 -n 1
      the record at offset 1200 of partition 2
  velo-cli topic peek orders -o @2025-01-31T09:30:00Z --format json
      from a point in time, as JSON lines

Without --follow it ends where the log ended when it began. Nothing is committed. Bytes that are not UTF-8 are shown as
base64:..., in JSON under key_base64 and value_base64; control characters are escaped in text.";

const RESET_NOTES: &str = "Examples:
  velo-cli group reset velo_shop_orders --to earliest
  velo-cli group reset velo_shop_orders --to @2025-01-31T09:30:00Z --topic orders --yes
  velo-cli group reset velo_shop_orders --to 1200 --topic orders

The group must have no members: stop the job first. What is committed beside the offset (open windows, watermarks) goes
with it, so the job starts afresh there. An offset outside a partition's log becomes its nearest end.";

const LAG_NOTES: &str = "Lag counts from the committed offset to the end. A job commits an offset when everything that depends on it was \
written, so lag includes the records of windows that are still open: a job that is up to date has some.";

/// Topics, records and groups of a Kafka cluster.
#[derive(Debug, Parser)]
#[command(name = "velo-cli", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster, and how to talk to it.
#[derive(Debug, Clone, ClapArgs)]
pub struct Connection {
    /// Brokers to start from, host:port[,...]
    #[arg(long, global = true, value_name = "LIST", alias = "kafka-brokers")]
    pub brokers: Option<String>,
    /// Set a setting of the Kafka client; may be repeated
    #[arg(long = "property", global = true, value_name = "KEY=VALUE", value_parser = pair)]
    pub properties: Vec<(String, String)>,
    /// File of KEY=VALUE lines with settings of the Kafka client; keeps passwords off the command line
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Wait so long for the brokers, as `30s` or `500ms`
    #[arg(long, global = true, value_name = "TIME", default_value = "30s", value_parser = wait)]
    pub timeout: Wait,
    /// Results as text, or as one JSON document
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output_format: Output,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at topics and their records, write records, make and delete topics
    #[command(subcommand, arg_required_else_help = true)]
    Topic(TopicCommand),
    /// Look at consumer groups, their lag, and move their offsets
    #[command(subcommand, arg_required_else_help = true)]
    Group(GroupCommand),
}

#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    /// List topics with partitions and records
    List(ListArgs),
    /// Show a topic's partitions, their bounds and leaders, and settings that are not the default
    Describe(DescribeArgs),
    /// Show records
    Peek(PeekArgs),
    /// Write records, one per line
    Produce(ProduceArgs),
    /// Make a topic
    Create(CreateArgs),
    /// Delete topics with their records, and wait until they are gone
    Delete(DeleteArgs),
}

#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// List groups with their state and members
    List,
    /// Show where a group stands in each partition, and how far behind
    Lag(LagArgs),
    /// Move the offsets of a group that has no members
    Reset(ResetArgs),
}

#[derive(Debug, ClapArgs)]
pub struct ListArgs {
    /// Kafka's own topics too
    #[arg(long)]
    pub internal: bool,
}

#[derive(Debug, ClapArgs)]
pub struct DescribeArgs {
    /// Topic
    #[arg(value_name = "TOPIC")]
    pub topic: String,
}

#[derive(Debug, ClapArgs)]
pub struct CreateArgs {
    /// Name: letters, digits, `.`, `_`, `-`
    #[arg(value_name = "TOPIC")]
    pub topic: String,
    /// Number of partitions
    #[arg(long, short = 'p', value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub partitions: u32,
    /// Copies of each partition [default: the cluster's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1_000))]
    pub replication: Option<i32>,
    /// A setting of the topic, as cleanup.policy=compact; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    pub settings: Vec<(String, String)>,
    /// A topic that is already there is no failure
    #[arg(long)]
    pub if_not_exists: bool,
}

#[derive(Debug, ClapArgs)]
pub struct DeleteArgs {
    /// Topics
    #[arg(value_name = "TOPIC", required = true)]
    pub topics: Vec<String>,
    /// A topic that is not there is no failure
    #[arg(long)]
    pub if_exists: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = PRODUCE_NOTES)]
pub struct ProduceArgs {
    /// Topic; it must exist
    #[arg(value_name = "TOPIC")]
    pub topic: String,
    /// Read lines from a file instead of standard input
    #[arg(long, short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Lines are KEY SEPARATOR VALUE; the first separator counts
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub key_separator: Option<String>,
    /// Header of every record; may be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE", value_parser = pair)]
    pub headers: Vec<(String, String)>,
    /// Partition of every record [default: by key, or in turn]
    #[arg(long, short = 'p', value_name = "N")]
    pub partition: Option<u32>,
    /// Timestamp of every record, RFC 3339 or epoch ms [default: the clock]
    #[arg(long, value_name = "T", value_parser = instant_ms)]
    pub timestamp: Option<i64>,
    /// A value that equals TEXT is null: a tombstone. Without TEXT: an empty value
    #[arg(long, value_name = "TEXT", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub null: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = PEEK_NOTES)]
pub struct PeekArgs {
    /// Topic
    #[arg(value_name = "TOPIC")]
    pub topic: String,
    /// End after so many records [default: 10; none with --follow]
    #[arg(short = 'n', long = "count", value_name = "N")]
    pub count: Option<u64>,
    /// Only this partition; may be repeated
    #[arg(short = 'p', long = "partition", value_name = "N")]
    pub partitions: Vec<u32>,
    /// Begin at earliest, latest, OFFSET, -N (the last N of each partition) or @TIMESTAMP
    #[arg(short = 'o', long = "offset", value_name = "FROM", default_value = "earliest", allow_hyphen_values = true)]
    #[arg(value_parser = from)]
    pub from: From,
    /// Show keys
    #[arg(long)]
    pub key: bool,
    /// Show headers
    #[arg(long)]
    pub headers: bool,
    /// Go on with what comes, until Ctrl-C
    #[arg(long)]
    pub follow: bool,
    /// A line of text per record, or a line of JSON with everything [default: --output-format]
    #[arg(long, value_enum)]
    pub format: Option<Output>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = LAG_NOTES)]
pub struct LagArgs {
    /// Group
    #[arg(value_name = "GROUP")]
    pub group: String,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = RESET_NOTES)]
pub struct ResetArgs {
    /// Group
    #[arg(value_name = "GROUP")]
    pub group: String,
    /// Where to: earliest, latest, OFFSET or @TIMESTAMP
    #[arg(long, value_name = "WHERE", value_parser = target)]
    pub to: Target,
    /// Only this topic [default: all the group committed]
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Longest wait for the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(pub Duration);

/// Where peeking begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// As for groups.
    At(Target),
    /// So many before the end of each partition.
    Last(i64),
}

/// Where a group is moved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target(pub StartAt);

fn target(text: &str) -> Result<Target, String> {
    let at = match text {
        "earliest" | "beginning" => StartAt::Earliest,
        "latest" | "end" => StartAt::Latest,
        _ => match (text.strip_prefix('@'), text.parse::<i64>()) {
            (Some(time), _) => StartAt::Timestamp(instant_ms(time)?),
            (None, Ok(offset)) if offset >= 0 => StartAt::Offset(offset),
            _ => return Err("expected earliest, latest, an offset or @TIMESTAMP".into()),
        },
    };
    Ok(Target(at))
}

fn from(text: &str) -> Result<From, String> {
    match text.strip_prefix('-').map(str::parse::<i64>) {
        Some(Ok(last)) => Ok(From::Last(last)),
        Some(Err(_)) => Err("expected -N, as -3 for the last three of each partition".into()),
        None => target(text).map(From::At),
    }
}

fn wait(text: &str) -> Result<Wait, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number = digits.parse::<u64>().map_err(|_| "expected a time, as 30s or 500ms".to_owned())?;
    let wait = match unit.trim() {
        "ms" => Duration::from_millis(number),
        "" | "s" => Duration::from_secs(number),
        "m" | "min" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err("expected a unit of ms, s or m".into()),
    };
    let sensible = Duration::from_millis(100)..=Duration::from_secs(86_400);
    if sensible.contains(&wait) { Ok(Wait(wait)) } else { Err("expected 100ms to 24 hours".into()) }
}

/// A point in time in ms since 1970.
fn instant_ms(text: &str) -> Result<i64, String> {
    let ms = parse_instant(text).map(ns_to_ms);
    ms.filter(|ms| *ms >= 0).ok_or_else(|| "expected RFC 3339 (2025-01-31T09:30:00Z) or epoch milliseconds".into())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
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
        assert_eq!(from("-3"), Ok(From::Last(3)));
        assert_eq!(from("12"), Ok(From::At(Target(StartAt::Offset(12)))));
        assert_eq!(target("@1970-01-01T00:00:01Z"), Ok(Target(StartAt::Timestamp(1_000))));
        assert_eq!(target("@5"), Ok(Target(StartAt::Timestamp(5))));
        assert!(target("-3").is_err() && target("soon").is_err() && from("-x").is_err() && target("@soon").is_err());
        assert_eq!(wait("500ms"), Ok(Wait(Duration::from_millis(500))));
        assert_eq!(wait("2m"), Ok(Wait(Duration::from_secs(120))));
        assert!(wait("0s").is_err() && wait("x").is_err() && wait("5 years").is_err());
        assert_eq!(pair("a= b"), Ok(("a".into(), " b".into())));
    }
}
