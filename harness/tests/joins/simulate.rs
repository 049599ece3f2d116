//! The simulator: one row at a time through the statements of an app, which keep all rows and look at all of them. It is
//! written from the dialect's rules alone and shares no code with the engine or its oracles.
//!
//! Rows of a step are taken in as-if order (offset, source, partition). Behind each row stands the watermark of its source,
//! the least of its partitions that are not idle. Tables are functions of the rows so far: they are computed anew before
//! and behind each step.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::eval::{Row, Scope, Store, Values, grouped, windows_of};
use super::levels::{Cx, Event, Level, level};
use super::model::{App, Feed, Join, Keeps, Mode, Query, Statement, steps};
use super::value::Value;

/// What an app gives.
#[derive(Default)]
pub struct Outcome {
    /// Of a STREAM: values of all rows.
    pub rows: Vec<Values>,
    /// Of a TABLE: its rows behind each step, and at the end.
    pub states: Vec<Vec<Values>>,
    /// Records whose row failed: source, partition, offset.
    pub dead: Vec<(String, usize, i64)>,
    /// Pairs and rows that lateness kept from meeting.
    pub refused: u64,
    /// Rows behind the watermark of their own partition.
    pub late: u64,
    /// Rows of tables that were replaced or left.
    pub replaced: u64,
}

/// Runs `app` over `feed`.
pub fn run(app: &App, feed: &Feed) -> Outcome {
    let feed = &loaded(app, feed);
    let mut sim = Sim::new(app, feed);
    for step in 0..steps(feed) {
        sim.step(step);
    }
    sim.end();
    sim.outcome.refused += sim.refused.get() + sim.store.refused.get();
    sim.outcome
}

/// The feed as it is worked on: rows that ask tables of files wait for the files' end.
pub fn loaded(app: &App, feed: &Feed) -> Feed {
    let asked: Vec<usize> = app.statements.iter().flat_map(|s| asked(app, &s.query)).collect();
    let roots: Vec<usize> = asked.into_iter().flat_map(|object| app.roots(object)).collect();
    let mut feed = feed.clone();
    if roots.iter().any(|root| app.sources[*root].file) {
        let last = steps(&feed);
        for (_, partitions) in feed.iter_mut().enumerate().filter(|(source, _)| !roots.contains(source)) {
            partitions.iter_mut().flatten().for_each(|record| record.step = last);
        }
    }
    feed
}

/// Tables that a query's rows look up, and what its subqueries read.
fn asked(app: &App, query: &Query) -> Vec<usize> {
    let is_lookup = |join: &Join| matches!(join.mode, Mode::Lookup { .. });
    let mut found: Vec<usize> = query.subqueries().into_iter().map(|sub| sub.object).collect();
    if query.joins.iter().any(is_lookup) {
        found.extend(query.rels.iter().map(|rel| rel.object).filter(|object| app.is_table(*object)));
    }
    found
}

/// One change of a declared table.
struct Change {
    place: (i64, usize, usize),
    at: i64,
    own: i64,
    values: Values,
    gone: bool,
}

struct Running {
    levels: Vec<Box<dyn Level>>,
    /// Of a grouped STREAM: its rows, once for each window.
    held: Vec<Row>,
    watermark: i64,
}

struct Sim<'a> {
    app: &'a App,
    feed: &'a Feed,
    store: Store,
    /// Rows in front of the grouping of TABLEs over streams, by object.
    collected: BTreeMap<usize, Vec<Row>>,
    changes: BTreeMap<usize, Vec<Change>>,
    running: Vec<Option<Running>>,
    /// By source and partition.
    own: Vec<Vec<i64>>,
    counts: Vec<Vec<bool>>,
    watermarks: Vec<i64>,
    refused: Cell<u64>,
    outcome: Outcome,
}

impl<'a> Sim<'a> {
    fn new(app: &'a App, feed: &'a Feed) -> Sim<'a> {
        let running = |statement: &Statement| {
            let over_tables = statement.query.rels.iter().all(|rel| app.is_table(rel.object));
            (!over_tables).then(|| Running {
                levels: statement.query.joins.iter().map(level).collect(),
                held: Vec::new(),
                watermark: i64::MIN,
            })
        };
        Sim {
            app,
            feed,
            store: Store::default(),
            collected: BTreeMap::new(),
            changes: BTreeMap::new(),
            running: app.statements.iter().map(running).collect(),
            own: feed.iter().map(|partitions| vec![i64::MIN; partitions.len()]).collect(),
            // Files have a watermark before their first row; a live partition that gave nothing yet is idle.
            counts: app.sources.iter().map(|source| vec![source.file; source.partitions]).collect(),
            watermarks: vec![i64::MIN; app.sources.len()],
            refused: Cell::new(0),
            outcome: Outcome::default(),
        }
    }

    fn step(&mut self, step: usize) {
        let mut order = Vec::new();
        for (s, partitions) in self.feed.iter().enumerate() {
            for (p, records) in partitions.iter().enumerate() {
                let of_step = records.iter().enumerate().filter(|(_, r)| r.step == step);
                let before = order.len();
                order.extend(of_step.map(|(offset, _)| (offset as i64, s, p)));
                self.counts[s][p] |= order.len() > before;
            }
        }
        order.sort_unstable();
        // What holds records that are not read yet is behind, not idle.
        for source in 0..self.app.sources.len() {
            if self.counts[source].contains(&true) && !self.app.sources[source].is_table() {
                self.push(source, &Event::Watermark(self.watermarks[source]));
            }
        }
        self.settle_tables();
        for (offset, s, p) in order {
            self.record(offset, s, p);
        }
        self.settle_tables();
        self.outcome.states.push(self.rows_of_out());
    }

    fn record(&mut self, offset: i64, s: usize, p: usize) {
        let (feed, app) = (self.feed, self.app);
        let record = &feed[s][p][offset as usize];
        let source = &app.sources[s];
        let mut values = record.values.clone();
        values.push(Value::Int(record.ts));
        let (at, own, place) = (record.ts, self.own[s][p], (offset, s, p));
        self.own[s][p] = own.max(at - source.watermark.bound());
        if source.is_table() {
            self.changes.entry(s).or_default().push(Change { place, at, own, values, gone: record.gone });
            return;
        }
        self.outcome.late += u64::from(at < own);
        self.push(s, &Event::Row(Row { parts: vec![values], at, own, place, window: None }));
        let of_counting = self.own[s].iter().zip(&self.counts[s]).filter(|(_, counts)| **counts);
        let least = of_counting.map(|(own, _)| *own).min().unwrap_or(i64::MIN);
        if least > self.watermarks[s] {
            self.watermarks[s] = least;
            self.push(s, &Event::Watermark(least));
        }
    }

    fn end(&mut self) {
        for source in (0..self.app.sources.len()).filter(|s| !self.app.sources[*s].is_table()) {
            self.push(source, &Event::Watermark(i64::MAX));
        }
        self.settle_tables();
        self.outcome.states.push(self.rows_of_out());
        let last = self.app.sources.len() + self.app.statements.len() - 1;
        if !self.app.out().table {
            self.outcome.rows = self.store.rows(last).iter().map(|row| row[..row.len() - 1].to_vec()).collect();
        }
    }

    fn rows_of_out(&self) -> Vec<Values> {
        let last = self.app.sources.len() + self.app.statements.len() - 1;
        self.store.rows(last).iter().map(|row| row[..row.len() - 1].to_vec()).collect()
    }

    /// Gives an event of an object to every statement that reads it as a stream.
    fn push(&mut self, object: usize, event: &Event) {
        if let Event::Row(row) = event {
            self.store.add(object, row.parts[0].clone());
        }
        for at in 0..self.app.statements.len() {
            let statement = &self.app.statements[at];
            let reads: Vec<usize> =
                (0..statement.query.rels.len()).filter(|rel| statement.query.rels[*rel].object == object).collect();
            for rel in reads {
                let Some(mut running) = self.running[at].take() else { break };
                let (level, side) = if rel == 0 { (0, 0) } else { (rel - 1, 1) };
                let mut given = Vec::new();
                self.at_level(statement, &mut running, (level, side), event.clone(), &mut given);
                self.running[at] = Some(running);
                // What tables give is asked, not told.
                for event in given.into_iter().filter(|_| !statement.table) {
                    self.push(self.app.sources.len() + at, &event);
                }
            }
        }
    }

    fn at_level(
        &mut self,
        statement: &Statement,
        running: &mut Running,
        (at, side): (usize, usize),
        event: Event,
        given: &mut Vec<Event>,
    ) {
        let Some(join) = statement.query.joins.get(at) else {
            return self.finish(statement, running, event, given);
        };
        let mut out = Vec::new();
        {
            let (widths, changes) = (self.widths(&statement.query), &self.changes);
            let right = statement.query.rels[at + 1].object;
            let version = |time: i64, own: i64| versions(changes.get(&right), &self.app.sources, right, time, own);
            let cx = Cx {
                join,
                store: &self.store,
                objects: [statement.query.rels[0].object, right],
                widths: [&widths[..=at], &widths[at + 1..at + 2]],
                version: &version,
                refused: &self.refused,
            };
            match event {
                Event::Row(row) => running.levels[at].row(side, row, &cx, &mut out),
                Event::Watermark(w) => running.levels[at].watermark(side, w, &cx, &mut out),
            }
        }
        for event in out {
            self.at_level(statement, running, (at + 1, 0), event, given);
        }
    }

    fn widths(&self, query: &Query) -> Vec<usize> {
        query.rels.iter().map(|rel| self.app.columns(rel.object).len() + 1).collect()
    }

    /// WHERE, then the grouping or the select list.
    fn finish(&mut self, statement: &Statement, running: &mut Running, event: Event, given: &mut Vec<Event>) {
        let query = &statement.query;
        let row = match event {
            Event::Watermark(at) => {
                running.watermark = running.watermark.max(at);
                if at == i64::MAX
                    && let Some(group) = query.group.as_ref().filter(|_| !statement.table)
                {
                    let rows = std::mem::take(&mut running.held);
                    let made = grouped(group, &query.items, &rows, &self.store).unwrap_or_default();
                    given.extend(made.into_iter().map(|values| Event::Row(Row::plain(vec![values]))));
                }
                given.push(Event::Watermark(at));
                return;
            }
            Event::Row(row) => row,
        };
        match made(query, &row, &self.store) {
            Err(_) => {
                let source = self.app.sources[row.place.1].name.clone();
                self.outcome.dead.push((source, row.place.2, row.place.0));
            }
            Ok(None) => {}
            Ok(Some(_)) if query.group.is_some() || statement.table => {
                let object = self.app.sources.len()
                    + self.app.statements.iter().position(|s| s.name == statement.name).unwrap_or(0);
                match query.group.as_ref().filter(|_| !statement.table) {
                    Some(group) => self.window(group, running, row),
                    None => self.collected.entry(object).or_default().push(row),
                }
            }
            Ok(Some(values)) => given.push(Event::Row(Row { parts: vec![values], ..row })),
        }
    }

    fn window(&mut self, group: &super::model::Group, running: &mut Running, row: Row) {
        let Some(shape) = group.window else {
            running.held.push(row);
            return;
        };
        let own = row.own.max(running.watermark);
        for window in windows_of(shape, row.at) {
            if window.1 + group.lateness <= own {
                self.refused.set(self.refused.get() + 1);
                continue;
            }
            running.held.push(Row { window: Some(window), ..row.clone() });
        }
    }

    /// Computes every table anew.
    fn settle_tables(&mut self) {
        for object in 0..self.app.sources.len() + self.app.statements.len() {
            if !self.app.is_table(object) {
                continue;
            }
            let rows = match self.app.statement(object) {
                None => self.upserted(object),
                Some(statement) => self.table(object, statement),
            };
            let before = self.store.rows(object);
            self.outcome.replaced += before.iter().filter(|row| !rows.contains(row)).count() as u64;
            self.store.set(object, rows);
        }
    }

    /// Of the changes of a key the last by as-if order stands.
    fn upserted(&self, source: usize) -> Vec<Values> {
        let key = self.app.sources[source].key.clone().unwrap_or_default();
        let mut live: BTreeMap<Values, &Change> = BTreeMap::new();
        for change in self.changes.get(&source).into_iter().flatten() {
            let key = key.iter().map(|k| change.values[*k].clone()).collect();
            let entry = live.entry(key).or_insert(change);
            if entry.place <= change.place {
                *entry = change;
            }
        }
        live.into_values().filter(|change| !change.gone).map(|change| change.values.clone()).collect()
    }

    fn table(&self, object: usize, statement: &Statement) -> Vec<Values> {
        let query = &statement.query;
        let rows = match self.running[object - self.app.sources.len()] {
            Some(_) => self.collected.get(&object).cloned().unwrap_or_default(),
            None => self.joined(query),
        };
        if let Some(group) = &query.group {
            // A TABLE begins with its first row.
            if rows.is_empty() {
                return Vec::new();
            }
            return grouped(group, &query.items, &rows, &self.store).unwrap_or_default();
        }
        let keys: Vec<usize> = (0..query.items.len()).filter(|i| query.items[*i].key).collect();
        let is_stream = self.running[object - self.app.sources.len()].is_some();
        let mut all = Vec::new();
        let mut by_key: BTreeMap<Values, ((i64, usize, usize), Values)> = BTreeMap::new();
        for row in rows {
            let Ok(Some(values)) = made(query, &row, &self.store) else { continue };
            if keys.is_empty() {
                all.push(values);
                continue;
            }
            // Of rows that only come the last one stands, of rows that change the greatest.
            let place = if is_stream { row.place } else { (0, 0, 0) };
            let key = keys.iter().map(|k| values[*k].clone()).collect();
            let entry = by_key.entry(key).or_insert_with(|| (place, values.clone()));
            if (entry.0, &entry.1) < (place, &values) {
                *entry = (place, values);
            }
        }
        all.extend(by_key.into_values().map(|(_, values)| values));
        all
    }

    /// The rows of a join of tables, of every pair.
    fn joined(&self, query: &Query) -> Vec<Row> {
        let widths = self.widths(query);
        let rows = |rel: usize| self.store.rows(query.rels[rel].object).iter().cloned();
        let mut made: Vec<Vec<Values>> = rows(0).map(|row| vec![row]).collect();
        for (at, join) in query.joins.iter().enumerate() {
            let rights: Vec<Values> = rows(at + 1).collect();
            made = self.pairs(join, &made, &rights, (&widths[..=at], widths[at + 1]));
        }
        made.into_iter().map(Row::plain).collect()
    }

    fn pairs(
        &self,
        join: &Join,
        lefts: &[Vec<Values>],
        rights: &[Values],
        (left, right): (&[usize], usize),
    ) -> Vec<Vec<Values>> {
        let mut found = Vec::new();
        let mut met = vec![false; rights.len()];
        for parts in lefts {
            let mut matched = false;
            for (values, met) in rights.iter().zip(&mut met) {
                let parts: Vec<Values> = parts.iter().chain([values]).cloned().collect();
                let row = Row::plain(parts);
                let scope = Scope::of(&row, &self.store);
                let eval = |expr| scope.eval(expr).unwrap_or(Value::Null);
                let equal = join.keys.iter().all(|(l, r)| eval(l).compare(&eval(r)).is_some_and(|o| o.is_eq()));
                if equal && join.residual.as_ref().is_none_or(|e| eval(e) == Value::Bool(true)) {
                    (matched, *met) = (true, true);
                    found.push(row.parts);
                }
            }
            if !matched && matches!(join.keeps, Keeps::Left | Keeps::Full) {
                found.push(parts.iter().cloned().chain([vec![Value::Null; right]]).collect());
            }
        }
        if matches!(join.keeps, Keeps::Right | Keeps::Full) {
            for (values, _) in rights.iter().zip(&met).filter(|(_, met)| !**met) {
                let nulls = left.iter().map(|width| vec![Value::Null; *width]);
                found.push(nulls.chain([values.clone()]).collect());
            }
        }
        found
    }
}

/// The row's values and time, if WHERE holds.
fn made(query: &Query, row: &Row, store: &Store) -> Result<Option<Values>, super::eval::Failed> {
    let scope = Scope::of(row, store);
    if let Some(filter) = &query.filter
        && !scope.holds(filter)?
    {
        return Ok(None);
    }
    if query.group.is_some() {
        return Ok(Some(Vec::new()));
    }
    let mut values = query.items.iter().map(|item| scope.eval(&item.expr)).collect::<Result<Values, _>>()?;
    values.push(Value::Int(row.at));
    Ok(Some(values))
}

/// The rows of a declared table at a time: for each key the last change that is not later, of those that were not too late
/// for it.
fn versions(
    changes: Option<&Vec<Change>>,
    sources: &[super::model::Source],
    table: usize,
    time: i64,
    _own: i64,
) -> Vec<Values> {
    let key = sources.get(table).and_then(|s| s.key.clone()).unwrap_or_default();
    let mut live: BTreeMap<Values, &Change> = BTreeMap::new();
    for change in changes.into_iter().flatten().filter(|c| c.at <= time && time >= c.own) {
        let key = key.iter().map(|k| change.values[*k].clone()).collect();
        let entry = live.entry(key).or_insert(change);
        if (entry.at, entry.place) <= (change.at, change.place) {
            *entry = change;
        }
    }
    live.into_values().filter(|change| !change.gone).map(|change| change.values.clone()).collect()
}
