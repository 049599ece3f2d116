//! `velo-test`: tests of SQL apps by specs, scenario files, and the embedded broker on a port.

mod broker;
mod container;
mod output;
mod progress;
mod run;
mod schema;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use velostream_harness::scenario::run_file;

/// Test SQL apps on the production engine.
#[derive(Debug, Parser)]
#[command(name = "velo-test", version, arg_required_else_help = true)]
struct Args {
    /// Say more on standard error: the version, what jobs log, and the text of statements that are not valid
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the tests of an app, or of every app in a folder
    Run(run::RunArgs),
    /// Run the tests of all apps that a pattern names
    RunAll(run::RunAllArgs),
    /// Say which statements of which apps are wrong, without running them
    Validate(validate::ValidateArgs),
    /// Print the schema of specs, data schemas or reports, for editors and programs
    Schema(schema::SchemaArgs),
    /// Run scenario files (.slt): SQL, fed rows and expected rows, for every shard count, batch size and restart
    Scenario {
        /// Files to run
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Rewrite the expected blocks with what the engine gave
        #[arg(long)]
        bless: bool,
    },
    /// Run the embedded Kafka broker on a port: in memory or on disk, with faults on demand
    Broker(broker::BrokerArgs),
}

fn main() -> ExitCode {
    let Args { verbose, command } = Args::parse();
    if verbose {
        eprintln!("velo-test {}", env!("CARGO_PKG_VERSION"));
    }
    let result = match command {
        Command::Run(args) => run::run(&args, verbose),
        Command::RunAll(args) => run::run_all(&args, verbose),
        Command::Validate(args) => validate::run(&args, verbose),
        Command::Schema(args) => schema::schema(&args),
        Command::Scenario { files, bless } => scenarios(&files, bless),
        Command::Broker(args) => broker::run(args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn scenarios(files: &[PathBuf], bless: bool) -> Result<ExitCode> {
    let mut failed = 0;
    for path in files {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        match run_file(path, &text, bless) {
            Ok(outcome) if outcome.failures.is_empty() => {
                println!("ok      {} ({} cases)", path.display(), outcome.cases);
                if let Some(text) = outcome.blessed {
                    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
                }
            }
            Ok(outcome) => {
                failed += 1;
                println!("FAILED  {}", path.display());
                outcome.failures.iter().for_each(|f| println!("{f}"));
            }
            Err(error) => {
                failed += 1;
                println!("FAILED  {}\n{error}", path.display());
            }
        }
    }
    println!("{} passed, {failed} failed", files.len() - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
