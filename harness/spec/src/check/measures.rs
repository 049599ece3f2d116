//! What is measured of a run: `execution_time`, `memory_usage`, `throughput` and `table_freshness`.
//!
//! Messages name bounds, never the figures: those differ from run to run and stand under `measured`.

use crate::check::outcomes::{AtEnd, Case, counted, listed};
use crate::check::windows::{header_time_ms, time_ms};
use crate::check::{Facts, Fold, Inputs};
use crate::outcome::Outcome;
use crate::record::Record;
use crate::record_text::float_text;

/// A bound and whether the figure keeps it: the text for what is wanted and for what is wrong.
struct Bound {
    holds: bool,
    wanted: String,
    wrong: String,
}

fn at_most(figure: f64, bound: Option<f64>, unit: &str) -> Option<Bound> {
    bound.map(|bound| Bound {
        holds: figure <= bound,
        wanted: format!("at most {}{unit}", float_text(bound)),
        wrong: format!("more than {}{unit}", float_text(bound)),
    })
}

fn at_least(figure: f64, bound: Option<f64>, unit: &str) -> Option<Bound> {
    bound.map(|bound| Bound {
        holds: figure >= bound,
        wanted: format!("at least {}{unit}", float_text(bound)),
        wrong: format!("less than {}{unit}", float_text(bound)),
    })
}

fn judged(case: &Case, what: &str, bounds: Vec<Bound>) -> Outcome {
    let wanted: Vec<String> = bounds.iter().map(|bound| bound.wanted.clone()).collect();
    let wrong: Vec<String> = bounds.into_iter().filter(|bound| !bound.holds).map(|bound| bound.wrong).collect();
    if !wrong.is_empty() {
        return case.failed(format!("{what} is {}", listed(&wrong)), listed(&wanted), listed(&wrong));
    }
    if wanted.is_empty() {
        return case.passed(format!("{what} has no bound")).warn("no bound is given, so any figure passes");
    }
    case.passed(format!("{what} is {}", listed(&wanted)))
}

pub(crate) fn execution_time(case: Case, max_ms: Option<u64>, min_ms: Option<u64>) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| {
        let what = format!("the time from the start to the last record of {}", case.sink);
        let Some(elapsed) = facts.elapsed_ms else {
            return case.failed(format!("{what} was not measured"), "a time", "none");
        };
        let bounds =
            [at_most(elapsed, max_ms.map(|ms| ms as f64), " ms"), at_least(elapsed, min_ms.map(|ms| ms as f64), " ms")];
        judged(&case, &what, bounds.into_iter().flatten().collect()).with_measured("elapsed_ms", elapsed)
    }))
}

pub(crate) fn memory_usage(case: Case, max_bytes: Option<u64>, max_growth_bytes: Option<u64>) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| {
        let Some(memory) = facts.memory else {
            return case
                .passed(format!("memory for {} was not measured", case.sink))
                .warn("there is no figure, so any bound holds");
        };
        let mut bounds = Vec::new();
        bounds.extend(at_most(memory.peak_bytes as f64, max_bytes.map(|n| n as f64), " bytes at its peak"));
        bounds.extend(at_most(
            memory.growth_bytes as f64,
            max_growth_bytes.map(|n| n as f64),
            " bytes beyond the start",
        ));
        judged(&case, &format!("memory for {}", case.sink), bounds)
            .with_measured("peak_bytes", memory.peak_bytes)
            .with_measured("growth_bytes", memory.growth_bytes)
    }))
}

pub(crate) fn throughput(
    case: Case,
    min: Option<f64>,
    max: Option<f64>,
    expected: Option<f64>,
    tolerance_percent: f64,
) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| {
        let what = format!("throughput of {}", case.sink);
        let Some(elapsed) = facts.elapsed_ms else {
            return case.failed(format!("{what} was not measured"), "a rate", "none");
        };
        // A run too short for the clock is taken as a microsecond.
        let rate = facts.records as f64 * 1_000.0 / elapsed.max(1e-3);
        let unit = " records a second";
        let mut bounds: Vec<Bound> =
            [at_least(rate, min, unit), at_most(rate, max, unit)].into_iter().flatten().collect();
        if let Some(expected) = expected {
            let about = format!("within {} % of {}{unit}", float_text(tolerance_percent), float_text(expected));
            bounds.push(Bound {
                holds: (rate - expected).abs() <= expected.abs() * tolerance_percent / 100.0,
                wrong: format!("not {about}"),
                wanted: about,
            });
        }
        judged(&case, &what, bounds)
            .detail("records", facts.records)
            .with_measured("records_per_second", rate)
            .with_measured("elapsed_ms", elapsed)
    }))
}

/// Fields that say when a row was made, the first that is there.
const TIMES: [&str; 5] = ["event_time", "timestamp", "created_at", "updated_at", "_TIMESTAMP"];

/// `table_freshness`
pub(crate) struct Freshness {
    case: Case,
    table: String,
    max_age_ms: Option<u64>,
    max_lag_ms: Option<u64>,
    min_records: Option<u64>,
    newest: Option<i64>,
    newest_input: Option<i64>,
}

impl Freshness {
    pub(crate) fn new(
        case: Case,
        table: String,
        max_age_ms: Option<u64>,
        max_lag_ms: Option<u64>,
        min_records: Option<u64>,
    ) -> Freshness {
        Freshness { case, table, max_age_ms, max_lag_ms, min_records, newest: None, newest_input: None }
    }
}

fn made_at(record: &Record<'_>) -> Option<i64> {
    let row = record.row?;
    TIMES.iter().find_map(|name| row.get(name)).and_then(time_ms)
}

impl Fold for Freshness {
    fn inputs(&self) -> Inputs {
        if self.max_lag_ms.is_some() { Inputs::All } else { Inputs::None }
    }

    fn input(&mut self, _: &str, record: &Record<'_>) {
        // A message timestamp comes last: records of a file have that of publishing.
        let time = header_time_ms(record).or_else(|| made_at(record)).or(record.timestamp_ms);
        self.newest_input = self.newest_input.max(time);
    }

    fn record(&mut self, record: &Record<'_>) {
        self.newest = self.newest.max(made_at(record));
    }

    fn finish(self: Box<Self>, facts: &Facts<'_>) -> Outcome {
        let Freshness { case, table, max_age_ms, max_lag_ms, min_records, newest, newest_input } = *self;
        if let Some(min) = min_records
            && facts.records < min
        {
            let found = counted(facts.records, "record");
            return case.failed(format!("{table} has {found}, not at least {min}"), format!("at least {min}"), found);
        }
        let Some(newest) = newest else {
            let message = format!("{} of {table} have no time to judge", counted(facts.records, "record"));
            return case.passed(message).warn(format!("{table} has no time in any of {}", listed(&TIMES)));
        };
        let age = facts.now_ms.saturating_sub(newest);
        let lag = newest_input.map(|input| input.saturating_sub(newest));
        let mut bounds = Vec::new();
        bounds.extend(at_most(age as f64, max_age_ms.map(|ms| ms as f64), " ms old"));
        bounds.extend(
            lag.and_then(|lag| at_most(lag as f64, max_lag_ms.map(|ms| ms as f64), " ms behind the newest input")),
        );
        let no_input =
            (max_lag_ms.is_some() && lag.is_none()).then(|| "no input has a time, so its lag is not known".to_owned());
        let counts_only = bounds.is_empty() && min_records.is_some();
        let mut outcome = if counts_only {
            case.passed(format!("{table} has {}", counted(facts.records, "record")))
        } else {
            judged(&case, &format!("the newest row of {table}"), bounds)
        };
        outcome = outcome.detail("records", facts.records).with_measured("age_ms", age);
        if let Some(lag) = lag {
            outcome = outcome.with_measured("lag_ms", lag);
        }
        if no_input.is_some() { outcome.warn_if(no_input) } else { outcome }
    }
}
