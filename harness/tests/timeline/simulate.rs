//! The simulator: one row at a time through a chain of operators that keep all rows and recompute. It is written from
//! the dialect's rules alone and shares no code with the engine or its oracle.
//!
//! Rows are taken in as-if order (offset, then partition) within each chunk of the feed. Before each row stands the
//! watermark of its own partition, by which it is judged; behind each row the operators' watermark, the least of all
//! partitions that count, is told down the chain. Rows that a watermark makes reach the next operator before it does.

use std::collections::BTreeMap;

use super::aggregate::{self, Row};
use super::model::{Aggregate, App, Condition, Emit, Feed, MS, Op, Select, Shape, Stage};
use super::over::Over;
use super::session::Sessions;
use super::spans::Spans;
use super::ticked::Ticked;
use super::value::Value;

/// What an operator gives.
#[derive(Default)]
pub struct Given {
    pub events: Vec<Event>,
    /// Late rows by partition.
    pub late: BTreeMap<u32, u64>,
    /// Late rows that go to the dead letter: partition, offset.
    pub dead: Vec<(u32, i64)>,
}

/// What travels between operators.
#[derive(Clone, Debug)]
pub enum Event {
    Row(Row),
    Watermark(i64),
}

impl Given {
    /// A row that came too late.
    pub fn late(&mut self, row: &Row, letter: bool) {
        *self.late.entry(row.origin.map_or(0, |(p, _)| p)).or_default() += 1;
        if letter && let Some(origin) = row.origin {
            self.dead.push(origin);
        }
    }
}

/// An operator.
pub trait Operator {
    fn row(&mut self, row: Row, given: &mut Given);

    /// `i64::MAX` at the end of the input.
    fn watermark(&mut self, at: i64, given: &mut Given) {
        given.events.push(Event::Watermark(at));
    }

    /// What a last row per window may be compared of; see [`Outcome::windows`].
    fn windows(&self) -> Vec<(Vec<Value>, i64)> {
        Vec::new()
    }
}

/// What an app gives.
#[derive(Default)]
pub struct Outcome {
    /// Values of the last stage's rows.
    pub rows: Vec<Vec<Value>>,
    /// Late rows by stage and partition.
    pub late: BTreeMap<(usize, u32), u64>,
    /// Dead letters: stage, partition, offset.
    pub dead: Vec<(usize, u32, i64)>,
    /// Group and start (ms) of all windows of the last stage that came to stay; filled where windows merge.
    pub windows: Vec<(Vec<Value>, i64)>,
}

/// Runs `app` over `feed`.
pub fn run(app: &App, feed: &Feed) -> Outcome {
    let mut chain = Chain {
        operators: app.stages.iter().map(|stage| (stage.filter.clone(), operator(app, stage))).collect(),
        outcome: Outcome::default(),
    };
    let mut own = vec![i64::MIN; feed.len()];
    let mut counts = vec![false; feed.len()];
    let mut watermark = i64::MIN;
    for chunk in 0..chunks(feed) {
        for (p, records) in feed.iter().enumerate() {
            // A partition that gave nothing yet is idle while its input goes on.
            counts[p] |= records.iter().any(|r| r.chunk == chunk);
        }
        for (offset, p) in as_if_order(feed, chunk) {
            let record = &feed[p][offset];
            let at = record.ts.unwrap_or(0) * MS;
            let place = (offset as i64, p as u32);
            let row =
                Row { values: record.values.clone(), at, own: own[p], place, origin: Some((p as u32, offset as i64)) };
            chain.push(0, Event::Row(row));
            // A time that was not the record's own places it and moves no watermark.
            if record.ts.is_some() {
                own[p] = own[p].max(at - app.source.bound(p));
            }
            let least = own.iter().zip(&counts).filter(|(_, c)| **c).map(|(w, _)| *w).min().unwrap_or(i64::MIN);
            if least > watermark {
                watermark = least;
                chain.push(0, Event::Watermark(watermark));
            }
        }
    }
    chain.outcome.windows = chain.operators.last().map_or_else(Vec::new, |(_, operator)| operator.windows());
    chain.push(0, Event::Watermark(i64::MAX));
    chain.outcome
}

/// Chunks of a feed.
pub fn chunks(feed: &Feed) -> usize {
    feed.iter().flatten().map(|r| r.chunk + 1).max().unwrap_or(1)
}

fn as_if_order(feed: &Feed, chunk: usize) -> Vec<(usize, usize)> {
    let mut order: Vec<(usize, usize)> = feed
        .iter()
        .enumerate()
        .flat_map(|(p, records)| {
            let of_chunk = records.iter().enumerate().filter(move |(_, r)| r.chunk == chunk);
            of_chunk.map(move |(offset, _)| (offset, p))
        })
        .collect();
    order.sort_unstable();
    order
}

fn operator(app: &App, stage: &Stage) -> Box<dyn Operator> {
    match &stage.op {
        Op::Select(select) => Box::new(Selection { select: select.clone() }),
        Op::Window(window) => match (&window.shape, window.emit) {
            (Shape::Session(gap), Emit::Every(every)) => Box::new(Ticked::new(app, window, *gap, every)),
            (Shape::Session(gap), _) => Box::new(Sessions::new(app, window, *gap)),
            _ => Box::new(Spans::new(app, window)),
        },
        Op::Group { keys, aggregates, at_end } => Box::new(Groups {
            keys: keys.clone(),
            aggregates: aggregates.clone(),
            at_end: *at_end,
            groups: BTreeMap::new(),
        }),
        Op::Over(over) => Box::new(Over::new(over)),
    }
}

struct Chain {
    operators: Vec<(Option<Condition>, Box<dyn Operator>)>,
    outcome: Outcome,
}

impl Chain {
    fn push(&mut self, stage: usize, event: Event) {
        let Some((filter, operator)) = self.operators.get_mut(stage) else {
            if let Event::Row(row) = event {
                self.outcome.rows.push(row.values);
            }
            return;
        };
        let mut given = Given::default();
        match event {
            Event::Row(row) => {
                if filter.as_ref().is_none_or(|f| holds(f, &row.values)) {
                    operator.row(row, &mut given);
                }
            }
            Event::Watermark(at) => operator.watermark(at, &mut given),
        }
        for (partition, n) in given.late {
            *self.outcome.late.entry((stage, partition)).or_default() += n;
        }
        self.outcome.dead.extend(given.dead.into_iter().map(|(p, o)| (stage, p, o)));
        for event in given.events {
            self.push(stage + 1, event);
        }
    }
}

/// TRUE only where the condition is TRUE.
pub fn holds(condition: &Condition, values: &[Value]) -> bool {
    let above = |c: usize, than: i64| match &values[c] {
        Value::Dec(mantissa, scale) => Some(*mantissa).map(|m| m.cmp(&(i128::from(than) * 10i128.pow(*scale)))),
        value => value.mantissa().map(|m| m.cmp(&i128::from(than))),
    };
    match condition {
        Condition::Above(c, than) => above(*c, *than).is_some_and(std::cmp::Ordering::is_gt),
        Condition::NotEqual(c, to) => above(*c, *to).is_some_and(std::cmp::Ordering::is_ne),
        Condition::Remainder(c, by) => values[*c].mantissa().is_some_and(|m| m % i128::from(*by) == 0),
        Condition::Present(c) => values[*c] != Value::Null,
    }
}

/// A projection; a row whose new time lies before the watermark of its own partition is late.
struct Selection {
    select: Select,
}

impl Operator for Selection {
    fn row(&mut self, mut row: Row, given: &mut Given) {
        if let Some((column, shift)) = self.select.restamp {
            let Some(ms) = row.values[column].mantissa() else { return };
            row.at = (ms as i64 + shift) * MS;
            if row.at < row.own {
                // No strategy is said of a statement without a window: a row that is lost leaves a letter.
                given.late(&row, true);
                return;
            }
        }
        row.values = self.select.items.iter().map(|i| row.values[*i].clone()).collect();
        given.events.push(Event::Row(row));
    }
}

/// GROUP BY without a window.
struct Groups {
    keys: Vec<usize>,
    aggregates: Vec<Aggregate>,
    at_end: bool,
    groups: BTreeMap<Vec<Value>, Vec<Row>>,
}

impl Groups {
    fn result(&self, key: &[Value]) -> Vec<Value> {
        let mut rows: Vec<&Row> = self.groups.get(key).into_iter().flatten().collect();
        rows.sort_by_key(|r| r.place);
        key.iter().cloned().chain(aggregate::values(&self.aggregates, &rows)).collect()
    }
}

impl Operator for Groups {
    fn row(&mut self, row: Row, given: &mut Given) {
        let key: Vec<Value> = self.keys.iter().map(|k| row.values[*k].clone()).collect();
        let mut made = row.clone();
        self.groups.entry(key.clone()).or_default().push(row);
        if !self.at_end {
            made.values = self.result(&key);
            given.events.push(Event::Row(made));
        }
    }

    fn watermark(&mut self, at: i64, given: &mut Given) {
        if at == i64::MAX && self.at_end {
            if self.keys.is_empty() {
                self.groups.entry(Vec::new()).or_default();
            }
            let mut firsts: Vec<_> =
                self.groups.iter().map(|(key, rows)| (rows.iter().map(|r| r.place).min(), key.clone())).collect();
            firsts.sort();
            for (_, key) in firsts {
                let values = self.result(&key);
                let row = Row { values, at: 0, own: i64::MIN, place: (0, 0), origin: None };
                given.events.push(Event::Row(row));
            }
        }
        given.events.push(Event::Watermark(at));
    }
}
