//! What the queries of a spec say about each other: names, inputs from earlier queries, and whether anything is asserted.

use std::collections::{BTreeMap, BTreeSet};

use velostream_sql::diag::Diagnostic;
use velostream_sql::suggest;
use velostream_types::Span;

use crate::findings::{CIRCLE, Findings, NAME_TWICE, NO_ASSERTIONS, UNKNOWN_NAME};
use crate::spec::{InputFrom, QueryTest};

/// Adds the findings about all queries.
pub fn judge(queries: &[QueryTest], findings: &mut Findings) {
    unique(queries.iter().map(|query| (&*query.name, query.span)), "queries", findings);
    for query in queries {
        unique(query.outputs.iter().map(|output| (&*output.sink, output.span)), "outputs", findings);
        from_previous(query, queries, findings);
    }
    circles(queries, findings);
    // What is missing in a broken spec may be what is broken.
    if !findings.is_broken() {
        nothing_asserted(queries, findings);
    }
}

fn nothing_asserted(queries: &[QueryTest], findings: &mut Findings) {
    if queries.is_empty() {
        findings.warn(NO_ASSERTIONS, Span::default(), "the spec has no query to test");
    }
    for query in queries.iter().filter(|query| !query.skip && !asserts(query)) {
        let message = format!("nothing is asserted about \"{}\"", query.name);
        let finding = Diagnostic::warning(NO_ASSERTIONS, query.span, message);
        findings.push(finding.hint("add \"assertions\", or \"skip: true\" if it is not to run"));
    }
}

/// No two of these have the same name; one without a name is reported already.
pub fn unique<'n>(names: impl Iterator<Item = (&'n str, Span)>, what: &str, findings: &mut Findings) {
    let mut first: BTreeMap<&str, Span> = BTreeMap::new();
    for (name, span) in names.filter(|(name, _)| !name.is_empty()) {
        match first.get(name) {
            Some(other) => {
                let finding = Diagnostic::error(NAME_TWICE, span, format!("two {what} are called \"{name}\""));
                findings.push(finding.also(*other, "the first one"));
            }
            None => {
                first.insert(name, span);
            }
        }
    }
}

fn asserts(query: &QueryTest) -> bool {
    let of_sinks = query.outputs.iter().any(|output| !output.assertions.is_empty());
    of_sinks || !query.assertions.is_empty() || !query.metric_assertions.is_empty()
}

/// The queries that this one takes input from, with the places where it says so.
fn previous(query: &QueryTest) -> impl Iterator<Item = (&str, Span)> {
    query.inputs.iter().filter_map(|input| match &input.from {
        InputFrom::Previous(name) => Some((&**name, input.span)),
        _ => None,
    })
}

fn from_previous(query: &QueryTest, queries: &[QueryTest], findings: &mut Findings) {
    for (name, span) in previous(query) {
        if !queries.iter().any(|other| other.name == name) {
            let message = format!("the input is that of the query \"{name}\", and there is none");
            let finding = Diagnostic::error(UNKNOWN_NAME, span, message);
            let names = queries.iter().map(|other| &*other.name).filter(|other| *other != query.name);
            findings.push(match suggest::did_you_mean(name, names.clone()) {
                Some(hint) => finding.hint(hint),
                None if queries.len() < 2 => finding,
                None => finding.detail(format!("other queries are {}", names.collect::<Vec<_>>().join(", "))),
            });
        }
    }
}

/// Reports each circle once, at the first of its queries in the file.
fn circles(queries: &[QueryTest], findings: &mut Findings) {
    let mut reported: BTreeSet<&str> = BTreeSet::new();
    for query in queries {
        if reported.contains(&*query.name) {
            continue;
        }
        if let Some(chain) = way_back(query, queries) {
            let message = if chain.len() == 1 {
                format!("\"{}\" takes its input from itself", query.name)
            } else {
                format!("\"{}\" takes its input, through others, from itself", query.name)
            };
            let names: Vec<&str> = chain.iter().copied().chain([&*query.name]).collect();
            let finding = Diagnostic::error(CIRCLE, query.span, message);
            findings.push(finding.detail(format!("the chain is {}", names.join(" <- "))));
            reported.extend(chain);
        }
    }
}

/// A chain of queries from this one back to itself, by `from_previous`.
fn way_back<'q>(query: &'q QueryTest, queries: &'q [QueryTest]) -> Option<Vec<&'q str>> {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<Vec<&str>> = vec![vec![&*query.name]];
    while let Some(chain) = open.pop() {
        let last = chain.last().copied()?;
        for (next, _) in queries.iter().filter(|other| other.name == last).flat_map(previous) {
            if next == query.name {
                return Some(chain);
            }
            if seen.insert(next) {
                open.push(chain.iter().copied().chain([next]).collect());
            }
        }
    }
    None
}
