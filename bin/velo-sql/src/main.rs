//! `velo-sql`: run, validate and explain SQL over streams. Arguments and wiring only; the work is in the libraries.
//!
//! `args` reads the command line, `app` compiles, `run`, `validate`, `explain`, `schema`, `functions` and `demo` are the
//! commands, `summary`, `progress`, `partitions` and `explain_live` what `run` tells people and programs. Exit codes: 0 done, 1 invalid SQL or failure,
//! 2 usage, 130/143 an interrupted bounded run.

mod app;
mod args;
mod demo;
mod explain;
mod explain_live;
mod figures;
mod functions;
mod kafka;
mod loading;
mod partitions;
mod progress;
mod run;
mod schema;
mod state;
mod summary;
mod validate;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Run(args) => run::run(args),
        Command::DeployApp(args) => run::run(args.into()),
        Command::Validate(args) => validate::validate(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Schema(args) => schema::schema(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Functions(args) => functions::functions(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
