//! `velo-test broker`: the embedded broker on a port, until INT or TERM. Addresses go to standard output as soon as
//! clients can connect, everything else to standard error.

use std::io::{self, Write};
use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result};
use clap::Args;
use velostream_broker::{Broker, BrokerConfig, Stats};
use velostream_runtime::stop::StopHandle;

/// How often the main thread looks whether a signal came.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const NOTES: &str = "Examples:
  velo-test broker --auto-create
      a broker in memory on 127.0.0.1:9092; point any Kafka client at it
  velo-test broker --port 0 --ready-file ready.txt --dir data --partitions 4
      on a free port, which ready.txt names once clients can connect; what it acknowledged survives kill -9
  velo-test broker --nodes 3
      ports 9092 to 9094, one store: leaders can move from node to node
  kafka-configs.sh --bootstrap-server 127.0.0.1:9092 --alter --entity-type brokers --entity-name 1 \\
      --add-config velo.fault.drop.before=EndTxn:2
      the next two EndTxn requests find their connection closed

Stopping:
  INT or TERM stops in order: everything is synchronised to disk, and a summary goes to standard error. A second one
  ends the process at once; what was acknowledged is kept all the same.

Limits, durability, API versions and faults: docs/broker.md.

Exit codes: 0 stopped by a signal; 1 it could not start; 2 wrong usage.";

/// Command line of the broker.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub struct BrokerArgs {
    /// Port of the first node; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 9092)]
    port: u16,
    /// Address to listen on
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    host: String,
    /// Name or address that clients are told to connect to [default: --host]
    #[arg(long, value_name = "HOST")]
    advertised_host: Option<String>,
    /// Keep topics, groups and transactions in this folder; without it they end with the process
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Nodes over one store, on the ports behind the first
    #[arg(long, value_name = "N", default_value = "1")]
    nodes: NonZeroU16,
    /// Partitions of a topic whose creator names no number
    #[arg(long, value_name = "N", default_value = "1")]
    partitions: NonZeroU32,
    /// Create topics that a client mentions
    #[arg(long)]
    auto_create: bool,
    /// Write the addresses to this file once clients can connect
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

/// Runs the broker until it is told to stop.
pub fn run(args: BrokerArgs) -> Result<ExitCode> {
    let stop = StopHandle::new();
    stop.install_signals().context("cannot watch for INT and TERM")?;
    let in_memory = args.dir.is_none();
    let config = BrokerConfig {
        host: args.host,
        advertised_host: args.advertised_host,
        port: args.port,
        nodes: args.nodes.get(),
        dir: args.dir,
        default_partitions: args.partitions.get(),
        auto_create_topics: args.auto_create,
        log: Arc::new(|line| eprintln!("broker: {line}")),
        ..BrokerConfig::default()
    };
    let broker = Broker::start(config)?;
    announce(&broker);
    if let Some(path) = &args.ready_file {
        write_ready(path, &broker.bootstrap()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    while stop.reason().is_none() {
        thread::park_timeout(LOOK_EVERY);
    }
    eprintln!("{}", summary(&broker.stop(), in_memory));
    Ok(ExitCode::SUCCESS)
}

/// One line per node. Nobody has to read them: a closed standard output does not stop the broker.
fn announce(broker: &Broker) {
    let addresses = broker.addresses();
    let mut out = io::stdout().lock();
    for (i, address) in addresses.iter().enumerate() {
        let node = if addresses.len() > 1 { format!(" (node {})", i + 1) } else { String::new() };
        let _ = writeln!(out, "listening on {address}{node}");
    }
    let _ = out.flush();
}

/// Whoever waits for the file must never see half of it.
fn write_ready(path: &Path, bootstrap: &str) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    fs::write(&partial, format!("{bootstrap}\n"))?;
    fs::rename(&partial, path)
}

fn summary(stats: &Stats, in_memory: bool) -> String {
    let Stats { records_in, bytes_in, records_out, bytes_out, requests, connections, refused } = stats;
    let refused = if *refused > 0 { format!(", {refused} closed for what they sent") } else { String::new() };
    let kept = if in_memory { "nothing is kept: it ran in memory" } else { "everything is on disk" };
    format!(
        "in {records_in} records, {bytes_in} bytes; out {records_out} records, {bytes_out} bytes; {requests} requests \
         on {connections} connections{refused}; {kept}"
    )
}
