//! `velo-sql explain`: the plan, without running it.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use velostream_runtime::io::memory::Topics;
use velostream_sql::explain::{acl_text, explain as explain_plan};
use velostream_sql::plan::{AppPlan, SinkFormat};
use velostream_sql::props::Resolved;

use crate::app;
use crate::args::ExplainArgs;

/// Prints the plan on standard output; findings go to standard error.
pub fn explain(args: &ExplainArgs) -> Result<ExitCode> {
    let source = app::read(&args.sql)?;
    let app = app::compile(&args.compile, &source, SinkFormat::JsonLines, &Topics::default());
    app::show(&app.diagnostics, &source);
    let Some(plan) = &app.plan else {
        eprintln!("{}: {}", source.name, app::verdict(&app.diagnostics));
        return Ok(ExitCode::FAILURE);
    };
    match args.acls {
        true => print(&acl_text(plan))?,
        false => print(&text(plan, &app.origins, args.verbose))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The plan as text, with the origins of properties when `verbose`.
pub fn text(plan: &AppPlan, origins: &[Resolved], verbose: bool) -> String {
    let mut out = explain_plan(plan, verbose);
    if verbose && !origins.is_empty() {
        out.push_str("\nproperties\n");
        let mut relation = None;
        for origin in origins {
            let own = (origin.relation.as_str(), origin.side);
            if relation != Some(own) {
                relation = Some(own);
                // Writing to a String cannot fail.
                let _ = writeln!(out, "  {} ({})", own.0, own.1);
            }
            let _ = writeln!(out, "    {} = {}  ({})", origin.key, origin.value, origin.origin);
        }
    }
    out
}

/// Writes to standard output; a reader that left (`| head`) is no failure.
pub fn print(text: &str) -> Result<()> {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}
