//! `velo-cli`: looks at a Kafka cluster (or the embedded broker) and changes its topics and groups. Arguments and
//! wiring only; the work is in `velostream-kafka`.
//!
//! `args` reads the command line, `connect` turns it into client settings, `topics`, `peek`, `produce` and `groups` are
//! the commands, `show` prints. Results go to standard output, everything else to standard error. Exit codes: 0 done, 1
//! failure, 2 usage.

mod args;
mod connect;
mod groups;
mod peek;
mod produce;
mod show;
mod topics;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use serde_json::json;
use velostream_kafka::admin::Admin;

use args::{Args, Command, GroupCommand, Output, TopicCommand};

fn main() -> ExitCode {
    let args = Args::parse();
    let output = args.connection.output_format;
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            match output {
                Output::Text => eprintln!("error: {error:#}"),
                Output::Json => eprintln!("{}", json!({ "error": format!("{error:#}") })),
            }
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode> {
    let client = connect::client(&args.connection)?;
    let admin = Admin::open(&client, args.connection.timeout.0)?;
    let output = args.connection.output_format;
    match args.command {
        Command::Topic(TopicCommand::List(args)) => topics::list(&admin, &args, output)?,
        Command::Topic(TopicCommand::Describe(args)) => topics::describe(&admin, &args, output)?,
        Command::Topic(TopicCommand::Create(args)) => topics::create(&admin, &args, output)?,
        Command::Topic(TopicCommand::Delete(args)) => topics::delete(&admin, &args, output)?,
        Command::Topic(TopicCommand::Produce(args)) => produce::produce(&admin, &args, output)?,
        Command::Topic(TopicCommand::Peek(args)) => peek::peek(&admin, &args, output)?,
        Command::Group(GroupCommand::List) => groups::list(&admin, output)?,
        Command::Group(GroupCommand::Lag(args)) => groups::lag(&admin, &args, output)?,
        Command::Group(GroupCommand::Reset(args)) => return groups::reset(&admin, &args, output),
    }
    Ok(ExitCode::SUCCESS)
}
