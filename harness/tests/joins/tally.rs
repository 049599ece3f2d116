//! How often each kind of join, bound and trait of a feed was seen in cases that agree.

use std::collections::BTreeMap;

use super::apps::{CASES, Drawn};
use super::feeds::Traits;
use super::model::{Feed, Form, Mode, Shape, SubForm};
use super::simulate::Outcome;

/// Each kind occurs so often among 5,000 cases.
const LEAST: u64 = 200;
const OF: u64 = 5_000;
/// A kind beside those of joins.
const INNER_STREAM: &str = "stream in a subquery";
/// Cases with late rows or retractions, and output, in percent.
const LATE_PERCENT: u64 = 30;

/// Counts of cases.
#[derive(Default)]
pub struct Tally {
    seen: BTreeMap<String, u64>,
    cases: u64,
    rows: u64,
    late: u64,
    replaced: u64,
    refused: u64,
    output: u64,
    both: u64,
    batch: u64,
}

impl Tally {
    /// The counts of one case; `batch`: SQLite has computed the same.
    pub fn of(drawn: &Drawn, traits: &Traits, feed: &Feed, outcome: &Outcome, batch: bool) -> Tally {
        let mut names = named(drawn);
        let several = feed.iter().any(|partitions| partitions.len() > 1);
        names.push(if several { "several partitions" } else { "one partition" }.to_owned());
        let has = |on: bool, name: &str| on.then(|| name.to_owned());
        names.extend(has(traits.empty || traits.silent, "idle partition"));
        names.extend(has(traits.joins, "partition that comes back"));
        names.extend(has(drawn.app.sources.iter().any(|s| s.file), "files"));
        names.extend(has(drawn.app.statements.len() > 1, "chained"));
        names.sort_unstable();
        names.dedup();
        let seen = names.into_iter().map(|name| (name, 1)).collect();
        let some = !outcome.rows.is_empty() || outcome.states.iter().any(|rows| !rows.is_empty());
        let changes = outcome.late > 0 || outcome.replaced > 0;
        Tally {
            seen,
            cases: 1,
            rows: feed.iter().flatten().map(|p| p.len() as u64).sum(),
            late: u64::from(outcome.late > 0),
            replaced: u64::from(outcome.replaced > 0),
            refused: u64::from(outcome.refused > 0),
            output: u64::from(some),
            both: u64::from(changes && some),
            batch: u64::from(batch),
        }
    }

    /// Adds other cases.
    pub fn add(&mut self, other: &Tally) {
        for (name, n) in &other.seen {
            *self.seen.entry(name.clone()).or_default() += n;
        }
        let sums = [
            (&mut self.cases, other.cases),
            (&mut self.rows, other.rows),
            (&mut self.late, other.late),
            (&mut self.replaced, other.replaced),
            (&mut self.refused, other.refused),
            (&mut self.output, other.output),
            (&mut self.both, other.both),
            (&mut self.batch, other.batch),
        ];
        sums.into_iter().for_each(|(sum, n)| *sum += n);
    }

    /// Prints the counts; answers what was seen too rarely among `cases`.
    pub fn told(&self, cases: u64) -> Vec<String> {
        let counts: Vec<String> = self.seen.iter().map(|(name, n)| format!("{name} {n}")).collect();
        println!("seen in equal cases: {}", counts.join(", "));
        let percent = |n: u64| n * 100 / self.cases.max(1);
        println!(
            "late rows in {} % of equal cases, retractions in {} %, one of them with output in {} %; output in {} %; \
             lateness decided in {} %; {} rows a case; {} cases also equal to SQLite's batch",
            percent(self.late),
            percent(self.replaced),
            percent(self.both),
            percent(self.output),
            percent(self.refused),
            self.rows / self.cases.max(1),
            self.batch
        );
        let least = LEAST * cases / OF;
        let on = CASES.iter().filter(|(_, on)| *on).map(|(case, _)| format!("{case:?}"));
        let on = on.chain([INNER_STREAM.to_owned()]);
        let seen = |name: &str| self.seen.get(name).copied().unwrap_or(0);
        let mut rare: Vec<String> = on
            .filter(|name| seen(name) < least)
            .map(|name| format!("{name} {} times, of at least {least}", seen(&name)))
            .collect();
        if cases >= 100 && percent(self.both) < LATE_PERCENT {
            rare.push(format!("late rows or retractions and output in {} %", percent(self.both)));
        }
        rare.iter().for_each(|text| println!("FAILED, seen too rarely: {text}"));
        rare
    }
}

fn named(drawn: &Drawn) -> Vec<String> {
    let mut names = vec![format!("{:?}", drawn.case)];
    for statement in &drawn.app.statements {
        let query = &statement.query;
        for join in &query.joins {
            let what = match &join.mode {
                Mode::Interval { bound, retention } => {
                    names.push(format!("bound {}", form(bound.form)));
                    names.extend((*retention > 0).then(|| "retention".to_owned()));
                    names.extend((bound.before < 0 || bound.after < 0).then(|| "bound on one side of 0".to_owned()));
                    "interval"
                }
                Mode::Window { shape: Shape::Tumbling(_), .. } => "TUMBLING",
                Mode::Window { shape: Shape::Hopping(..), .. } => "HOPPING",
                Mode::Window { shape: Shape::Session(_), .. } => "SESSION",
                Mode::AsOf { .. } => "ASOF",
                Mode::Lookup { version: true, .. } => "version",
                Mode::Lookup { .. } => "lookup",
                Mode::Tables => "tables",
            };
            names.push(format!("{what} {}", join.keeps.name()));
            names.extend(join.residual.as_ref().map(|_| "residual".to_owned()));
            names.extend((join.keys.len() > 1).then(|| "compound key".to_owned()));
            names.extend(join.using.then(|| "USING".to_owned()));
        }
        names.extend(query.subqueries().into_iter().map(|sub| {
            let not = |not: bool| if not { "NOT " } else { "" };
            match &sub.form {
                SubForm::Exists(no) => format!("{}EXISTS", not(*no)),
                SubForm::In(_, no) => format!("{}IN", not(*no)),
                SubForm::Compare(_, _, all) => (if *all { "ALL" } else { "ANY" }).to_owned(),
                SubForm::Scalar => "scalar".to_owned(),
            }
        }));
        names.extend(query.subqueries().into_iter().flat_map(|sub| {
            let is_stream = drawn.app.sources.get(sub.object).is_some_and(|source| !source.is_table());
            let names = [is_stream.then_some(INNER_STREAM), sub.keep.map(|_| "stream in a subquery, bounded")];
            names.into_iter().flatten().map(str::to_owned)
        }));
        names.extend(query.star.then(|| "*".to_owned()));
        names.extend(query.group.as_ref().map(|_| "GROUP BY".to_owned()));
    }
    let own = drawn.app.statements.iter().any(|s| {
        let rels = &s.query.rels;
        rels.len() > 1 && rels[0].object == rels[1].object
    });
    names.extend(own.then(|| "with itself".to_owned()));
    names
}

fn form(form: Form) -> &'static str {
    match form {
        Form::Within(_) => "WITHIN d",
        Form::Sides(_) => "WITHIN (d1, d2)",
        Form::EventTime => "BETWEEN of _event_time in ON",
        Form::Pair => "comparisons in ON",
        Form::Turned => "BETWEEN turned round in ON",
        Form::Where => "in WHERE",
        Form::Properties => "by properties",
        Form::Default => "by default",
    }
}
