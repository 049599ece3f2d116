//! `velo-cli`: management of a running server. There is no server to manage yet, and the tool says so.

use clap::Parser;

/// Manage a running Velostream server.
///
/// This version has no server mode, so there is nothing to manage: apps run in the process of `velo-sql run`, which
/// reports on itself.
#[derive(Debug, Parser)]
#[command(name = "velo-cli", version)]
struct Args {}

fn main() -> std::process::ExitCode {
    Args::parse();
    eprintln!("velo-cli: this version has no server to manage; run an app with `velo-sql run APP.sql`");
    std::process::ExitCode::from(2)
}
