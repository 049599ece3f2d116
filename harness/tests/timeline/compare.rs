//! How far two outputs have to agree, and what differs.
//!
//! FINAL results have an order that nothing may change. Rows of CHANGES come in the order of their group where the feed
//! has one partition; where it has several, or windows stand before, the last row of each window is what is promised.

use std::collections::{BTreeMap, BTreeSet};

use super::apps::{Feature, runs};
use super::model::{App, Emit, Late, Op, Shape, Stage, Window};
use super::simulate::Outcome;
use super::text::output;
use super::value::Value;

/// How outputs must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The same rows in the same order.
    Ordered,
    /// The same rows, those with the same first so many columns in the same order.
    ByKey(usize),
    /// The same, for each window by itself: one tick tells several in any order.
    ByWindow(usize),
    /// The same rows.
    Multiset,
    /// The same last row for the same first so many columns and, where there are windows, the start of the window; of
    /// windows that merge, of those that stay.
    Last { keys: usize, windows: bool, merges: bool },
}

fn is_final(app: &App, window: &Window) -> bool {
    matches!(window.emit, Emit::Unsaid | Emit::Final) && app.late_of(window) != Late::UpdatePrevious
}

/// What is promised of an app's output.
pub fn agreement(app: &App) -> Agreement {
    let Some((last, before)) = app.stages.split_last() else { return Agreement::Multiset };
    let loose = before.iter().any(|stage| match &stage.op {
        Op::Window(window) => !is_final(app, window) || !runs(Feature::OrderOfChains),
        Op::Over(over) => !over.partition.is_empty(),
        _ => false,
    });
    // Groups of several shards, like rows of several partitions, arrive in any order: corrections pass through any rows.
    let shuffled = app.source.partitions > 1 || before.iter().any(|stage| matches!(stage.op, Op::Window(_)));
    match &last.op {
        Op::Window(window) if is_final(app, window) => {
            if loose {
                Agreement::Multiset
            } else {
                Agreement::Ordered
            }
        }
        Op::Window(window) if matches!(window.emit, Emit::Every(_)) => Agreement::ByWindow(window.keys.len()),
        Op::Window(window) if shuffled => {
            let merges = matches!(window.shape, Shape::Session(_));
            Agreement::Last { keys: window.keys.len(), windows: true, merges }
        }
        Op::Window(window) => Agreement::ByKey(window.keys.len()),
        Op::Group { at_end: true, .. } if !loose => Agreement::Ordered,
        Op::Group { at_end: true, .. } => Agreement::Multiset,
        Op::Group { keys, .. } if shuffled => Agreement::Last { keys: keys.len(), windows: false, merges: false },
        Op::Group { keys, .. } => Agreement::ByKey(keys.len()),
        Op::Over(over) => match over.partition.len() {
            0 => Agreement::Ordered,
            keys => Agreement::ByKey(keys),
        },
        Op::Select(_) => Agreement::Multiset,
    }
}

/// One output: its rows as lines and as the parts that they are compared by.
pub struct Lines(Vec<(String, BTreeMap<String, String>)>);

impl Lines {
    /// Lines as a sink wrote them.
    pub fn new(lines: Vec<String>) -> Lines {
        let fields = |line: &str| {
            let parsed: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap_or_default();
            parsed.into_iter().map(|(name, value)| (name, value.to_string())).collect()
        };
        Lines(lines.into_iter().map(|line| (line.clone(), fields(&line))).collect())
    }

    pub fn of(stage: &Stage, rows: &[Vec<Value>]) -> Lines {
        Lines::new(rows.iter().map(|values| output(&stage.columns, values)).collect())
    }

    pub fn text(&self) -> Vec<&str> {
        self.0.iter().map(|(line, _)| line.as_str()).collect()
    }

    /// Rows by the values of these columns, in order.
    fn by(&self, columns: &[&str]) -> BTreeMap<Vec<String>, Vec<&str>> {
        let mut found: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
        for (line, fields) in &self.0 {
            let key = columns.iter().map(|c| fields.get(*c).cloned().unwrap_or_default()).collect();
            found.entry(key).or_default().push(line);
        }
        found
    }
}

/// What differs, in words; `None` when the outputs agree.
pub fn difference(app: &App, expect: &Lines, outcome: &Outcome, got: &Lines) -> Option<String> {
    let agreement = agreement(app);
    let last = app.stages.last()?;
    let first = |n: usize| last.columns.iter().take(n).map(|c| c.name.as_str()).collect::<Vec<&str>>();
    match &agreement {
        Agreement::Ordered => in_order(&expect.text(), &got.text()),
        Agreement::Multiset => multiset(&expect.text(), &got.text()),
        Agreement::ByKey(keys) | Agreement::ByWindow(keys) => {
            let mut columns = first(*keys);
            if matches!(agreement, Agreement::ByWindow(_)) {
                columns.push(start(last));
            }
            let (expect, got) = (expect.by(&columns), got.by(&columns));
            let keys: BTreeSet<&Vec<String>> = expect.keys().chain(got.keys()).collect();
            let none = Vec::new();
            keys.into_iter().find_map(|k| in_order(expect.get(k).unwrap_or(&none), got.get(k).unwrap_or(&none)))
        }
        Agreement::Last { keys, windows, merges } => {
            let mut columns = first(*keys);
            columns.extend(windows.then(|| start(last)));
            let stays: BTreeSet<Vec<String>> = outcome
                .windows
                .iter()
                .map(|(key, start)| key.iter().map(Value::text).chain([start.to_string()]).collect())
                .collect();
            let of = |lines: &Lines| {
                let last = lines.by(&columns).into_iter();
                let last = last.filter(|(key, _)| !merges || stays.contains(key));
                last.filter_map(|(_, rows)| rows.last().map(|r| (*r).to_owned())).collect::<Vec<String>>()
            };
            let (expect, got) = (of(expect), of(got));
            let text = |lines: &[String]| lines.iter().map(String::as_str).collect::<Vec<&str>>().join("\n");
            let (expect, got) = (text(&expect), text(&got));
            multiset(&expect.lines().collect::<Vec<&str>>(), &got.lines().collect::<Vec<&str>>())
        }
    }
}

/// The column of a windowed statement that holds the start.
fn start(stage: &Stage) -> &str {
    stage.columns[stage.columns.len() - 2].name.as_str()
}

fn in_order(expect: &[&str], got: &[&str]) -> Option<String> {
    if expect == got {
        return None;
    }
    let at = expect.iter().zip(got).take_while(|(a, b)| a == b).count();
    let same = multiset(expect, got);
    let found = format!(
        "rows {} and {}, from row {at}:\n    expect {:?}\n    found  {:?}",
        expect.len(),
        got.len(),
        expect.get(at),
        got.get(at)
    );
    Some(same.map_or_else(|| format!("another order: {found}"), |text| format!("{found}\n{text}")))
}

/// What is missing and what is too much.
pub fn multiset<T: Ord + std::fmt::Display>(expect: &[T], got: &[T]) -> Option<String> {
    let mut counts: BTreeMap<&T, i64> = BTreeMap::new();
    expect.iter().for_each(|line| *counts.entry(line).or_default() -= 1);
    got.iter().for_each(|line| *counts.entry(line).or_default() += 1);
    let lines: Vec<String> = counts
        .iter()
        .filter(|(_, n)| **n != 0)
        .take(12)
        .map(|(line, n)| format!("    {} {line} ({n:+})", if *n < 0 { "expect" } else { "found " }))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
