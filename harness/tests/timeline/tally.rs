//! How often each kind, emission, strategy and trait of a feed was seen in cases that agree.

use std::collections::BTreeMap;

use super::apps::{Chain, Drawn, Feature, runs};
use super::feeds::Traits;
use super::model::{App, Buffer, Emit, Feed, Frame, Late, Op, Shape, Watermark};
use super::simulate::Outcome;

/// Each kind and strategy occurs so often among 5,000 cases.
const LEAST: u64 = 200;
const OF: u64 = 5_000;
/// Cases with late rows and output, in percent.
const LATE_PERCENT: u64 = 30;

/// What every suite of this size must have seen.
const ALWAYS: [&str; 19] = [
    "TUMBLING",
    "HOPPING",
    "FINAL",
    "CHANGES",
    "EVERY",
    "drop",
    "dead_letter",
    "ascending",
    "bounded",
    "no strategy",
    "time column",
    "HAVING",
    "ORDER BY or LIMIT",
    "chained",
    "_event_time",
    "one partition",
    "several partitions",
    "idle partition",
    "UNION",
];

/// And this, once it runs.
const FEATURES: [(Feature, &str); 5] = [
    (Feature::Session, "SESSION"),
    (Feature::Zone, "TZ"),
    (Feature::UpdatePrevious, "update_previous"),
    (Feature::IncludeInNext, "include_in_next"),
    (Feature::Over, "OVER"),
];

/// Counts of cases.
#[derive(Default)]
pub struct Tally {
    seen: BTreeMap<String, u64>,
    cases: u64,
    rows: u64,
    late: u64,
    output: u64,
    both: u64,
}

impl Tally {
    /// The counts of one case.
    pub fn of(drawn: &Drawn, traits: &Traits, feed: &Feed, outcome: &Outcome) -> Tally {
        let mut names = Vec::new();
        let app = &drawn.app;
        for stage in &app.stages {
            named(app, &stage.op, &mut names);
        }
        names.push(match app.source.watermark {
            Watermark::Unsaid | Watermark::None => "no strategy",
            Watermark::Ascending => "ascending",
            Watermark::Bounded(_) | Watermark::BoundAlone(_) | Watermark::BoundUnsaid => "bounded",
        });
        names.push(if feed.len() == 1 { "one partition" } else { "several partitions" });
        names.push(if app.source.file { "files" } else { "live" });
        let has = |on: bool, name: &'static str| on.then_some(name);
        names.extend(has(app.source.second.is_some(), "UNION"));
        names.extend(has(app.source.second.is_some() && traits.joins, "UNION with a partition that joins"));
        names.extend(has(app.stages.len() > 1, "chained"));
        names.extend(has(matches!(drawn.chain, Chain::Restamped | Chain::RestampedGroups), "_event_time"));
        names.extend(has(traits.empty || traits.joins, "idle partition"));
        names.extend(has(traits.ahead, "an hour ahead"));
        names.extend(has(traits.untimed, "records without a time"));
        names.sort_unstable();
        names.dedup();
        let mut seen: BTreeMap<String, u64> = names.into_iter().map(|n| (n.to_owned(), 1)).collect();
        if app.stages.len() > 1 {
            seen.insert(format!("{:?}", drawn.chain), 1);
        }
        let (late, output) = (u64::from(!outcome.late.is_empty()), u64::from(!outcome.rows.is_empty()));
        let rows = feed.iter().map(|p| p.len() as u64).sum();
        Tally { seen, cases: 1, rows, late, output, both: late * output }
    }

    /// Adds other cases.
    pub fn add(&mut self, other: &Tally) {
        for (name, n) in &other.seen {
            *self.seen.entry(name.clone()).or_default() += n;
        }
        self.cases += other.cases;
        self.rows += other.rows;
        self.late += other.late;
        self.output += other.output;
        self.both += other.both;
    }

    /// Prints the counts; answers what was seen too rarely among `cases`.
    pub fn told(&self, cases: u64) -> Vec<String> {
        let counts: Vec<String> = self.seen.iter().map(|(name, n)| format!("{name} {n}")).collect();
        println!("seen in equal cases: {}", counts.join(", "));
        let percent = |n: u64| n * 100 / self.cases.max(1);
        println!(
            "late rows in {} % of equal cases, output in {} %, both in {} %; {} rows a case",
            percent(self.late),
            percent(self.output),
            percent(self.both),
            self.rows / self.cases.max(1)
        );
        let on = FEATURES.iter().filter(|(feature, _)| runs(*feature)).map(|(_, name)| name);
        let least = LEAST * cases / OF;
        let seen = |name: &str| self.seen.get(name).copied().unwrap_or(0);
        let mut rare: Vec<String> = ALWAYS
            .iter()
            .chain(on)
            .filter(|name| seen(name) < least)
            .map(|name| format!("{name} {} times, of at least {least}", seen(name)))
            .collect();
        if cases >= 100 && percent(self.both) < LATE_PERCENT {
            rare.push(format!("late rows and output in {} %, of at least {LATE_PERCENT} %", percent(self.both)));
        }
        rare.iter().for_each(|text| println!("FAILED, seen too rarely: {text}"));
        rare
    }
}

fn named(app: &App, op: &Op, names: &mut Vec<&'static str>) {
    match op {
        Op::Window(window) => {
            names.push(match &window.shape {
                Shape::Tumbling(_) => "TUMBLING",
                Shape::Hopping { .. } => "HOPPING",
                Shape::Session(_) => "SESSION",
                Shape::Days { .. } => "TZ",
            });
            names.push(match window.emit {
                Emit::Unsaid | Emit::Final => "FINAL",
                Emit::Changes => "CHANGES",
                Emit::Every(_) => "EVERY",
            });
            names.push(match app.late_of(window) {
                Late::Drop => "drop",
                Late::DeadLetter => "dead_letter",
                Late::UpdatePrevious => "update_previous",
                Late::IncludeInNext => "include_in_next",
            });
            let has = |on: bool, name: &'static str| on.then_some(name);
            names.extend(has(window.names_time, "time column"));
            names.extend(has(window.having.is_some(), "HAVING"));
            names.extend(has(window.top.is_some(), "ORDER BY or LIMIT"));
        }
        Op::Over(over) => {
            names.push("OVER");
            names.push(match (over.buffer, over.frame) {
                (Buffer::Rows(_), _) => "ROWS WINDOW",
                (_, Some(Frame::Rows(..))) => "frame of ROWS",
                (_, Some(Frame::Range(..))) => "frame of RANGE",
                (Buffer::Standard, None) => "no frame",
            });
            names.extend(over.on_full.then_some("ON BUFFER FULL"));
            names.extend(over.expire.map(|_| "EXPIRE"));
        }
        Op::Select(_) | Op::Group { .. } => {}
    }
}
