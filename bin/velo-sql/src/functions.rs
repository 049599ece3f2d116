//! `velo-sql functions`: what the dialect's functions are called, take and give.

use std::process::ExitCode;

use anyhow::bail;
use velostream_functions::{aggregates, all, analytics, find, find_aggregate, find_analytic, reference};

use crate::args::FunctionsArgs;

/// Tells about the functions named, or lists all.
pub fn functions(args: &FunctionsArgs) -> anyhow::Result<ExitCode> {
    if args.markdown {
        print!("{}", reference::markdown());
        return Ok(ExitCode::SUCCESS);
    }
    if args.names.is_empty() {
        for function in all() {
            println!("{:<46} {}", function.signature, function.doc);
        }
        for aggregate in aggregates() {
            println!("{:<46} {}", aggregate.signature, aggregate.doc);
        }
        for analytic in analytics() {
            println!("{:<46} {}", analytic.signature, analytic.doc);
        }
    }
    for name in &args.names {
        if let Some(aggregate) = find_aggregate(name, false) {
            print!("{}", reference::aggregate_text(aggregate));
        }
        if let Some(analytic) = find_analytic(name) {
            print!("{}", reference::analytic_text(analytic));
        }
        if find_aggregate(name, false).is_some() || find_analytic(name).is_some() {
            continue;
        }
        let Some(function) = find(name) else {
            let scalar = all().flat_map(|f| f.aliases.iter().chain([&f.name]).copied());
            let scalar = scalar.chain(analytics().map(|a| a.name));
            let known = scalar.chain(aggregates().flat_map(|a| a.aliases.iter().chain([&a.name]).copied()));
            let near = velostream_sql::suggest::similar(name, known, 3);
            if near.is_empty() {
                bail!("there is no function \"{name}\"; `velo-sql functions` lists them all");
            }
            bail!("there is no function \"{name}\"; did you mean {}?", near.join(", "));
        };
        print!("{}", reference::text(function));
    }
    Ok(ExitCode::SUCCESS)
}
