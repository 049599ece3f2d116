//! TUMBLING and HOPPING windows, of time and of local days.
//!
//! A row is late for a window when `end + lateness <= own`, the watermark of its own partition. FINAL comes out when the
//! operators' watermark reaches `end + lateness`; CHANGES with every row; EVERY at ticks; `update_previous` at the end,
//! and again with every row that comes until `end + lateness`; `include_in_next` puts a late row in the first window
//! whose end its partition's watermark has not reached.

use std::collections::{BTreeMap, BTreeSet};

use super::aggregate::Row;
use super::model::{App, Emit, Late, MS, SECOND, Shape, Window};
use super::results::Results;
use super::simulate::{Event, Given, Operator};
use super::value::Value;
use super::zone::Zone;

/// End, start, group.
type Id = (i64, i64, Vec<Value>);

/// The operator.
pub struct Spans {
    results: Results,
    late: Late,
    lateness: i64,
    emit: Emit,
    grid: Grid,
    open: BTreeMap<Id, Span>,
    /// Windows that have changed, by the tick that tells.
    ticks: BTreeMap<i64, BTreeSet<Id>>,
    watermark: i64,
}

#[derive(Default)]
struct Span {
    /// With the tick from which each counts under EVERY.
    rows: Vec<(Row, i64)>,
    told: bool,
}

impl Span {
    fn upto(&self, tick: i64) -> Vec<&Row> {
        self.rows.iter().filter(|(_, t)| *t <= tick).map(|(row, _)| row).collect()
    }
}

impl Spans {
    pub fn new(app: &App, window: &Window) -> Spans {
        let longest = match window.shape {
            Shape::Tumbling(size) | Shape::Hopping { size, .. } => size,
            Shape::Session(_) => 0,
            // Days in zones have up to 25 hours.
            Shape::Days { size, .. } => size * 25 * 3_600 * SECOND,
        };
        let lateness = app.lateness_of(window);
        Spans {
            results: Results::new(window, lateness, longest),
            late: app.late_of(window),
            lateness,
            emit: window.emit,
            grid: Grid::new(&window.shape),
            open: BTreeMap::new(),
            ticks: BTreeMap::new(),
            watermark: i64::MIN,
        }
    }

    fn add(&mut self, (start, end): (i64, i64), row: &Row, given: &mut Given) {
        let id = (end, start, self.results.key(row));
        let tick = match self.emit {
            Emit::Every(d) => {
                let behind = row.at.max(row.own).max(self.watermark);
                let tick = behind.div_euclid(d).saturating_add(1).saturating_mul(d).min(end + self.lateness);
                self.ticks.entry(tick).or_default().insert(id.clone());
                tick
            }
            _ => i64::MIN,
        };
        let span = self.open.entry(id.clone()).or_default();
        span.rows.push((row.clone(), tick));
        let now = match self.emit {
            Emit::Changes => true,
            Emit::Unsaid | Emit::Final => self.late == Late::UpdatePrevious && end <= self.watermark,
            Emit::Every(_) => false,
        };
        if now {
            span.told = true;
            self.tell(vec![id], i64::MIN, given);
        }
    }

    /// Rows of these windows, which end together or are told one by one.
    fn tell(&mut self, ids: Vec<Id>, tick: i64, given: &mut Given) {
        let groups = ids.iter().filter_map(|id| self.open.get(id).map(|span| (id, span.upto(tick))));
        let groups = groups.map(|((end, start, key), rows)| (key.clone(), *start, *end, rows)).collect();
        self.results.tell(groups, given);
    }

    /// Tells windows that ended, each end by itself.
    fn tell_ended(&mut self, ended: Vec<Id>, given: &mut Given) {
        let mut rest = ended.as_slice();
        while let Some(first) = rest.first() {
            let together = rest.iter().take_while(|id| id.0 == first.0).count();
            let (now, later) = rest.split_at(together);
            self.tell(now.to_vec(), i64::MIN, given);
            rest = later;
        }
    }

    fn ended(&self, lateness: i64, at: i64, untold: bool) -> Vec<Id> {
        let over = |id: &&Id| at == i64::MAX || id.0 + lateness <= at;
        let of = self.open.iter().filter(|(id, span)| over(id) && !(untold && span.told));
        of.map(|(id, _)| id.clone()).collect()
    }
}

impl Operator for Spans {
    fn row(&mut self, row: Row, given: &mut Given) {
        let mut spans = self.grid.of(row.at);
        // The operator's watermark is ahead of a partition's own only when that was idle.
        let own = row.own.max(self.watermark);
        spans.retain(|(_, end)| end + self.lateness > own);
        if spans.is_empty() {
            given.late(&row, self.late == Late::DeadLetter);
            if self.late == Late::IncludeInNext {
                spans.push(self.grid.first_open(own));
            }
        }
        for span in spans {
            self.add(span, &row, given);
        }
    }

    fn watermark(&mut self, at: i64, given: &mut Given) {
        self.watermark = at;
        match self.emit {
            Emit::Unsaid | Emit::Final => {
                let waits = if self.late == Late::UpdatePrevious { 0 } else { self.lateness };
                let ended = self.ended(waits, at, true);
                self.tell_ended(ended.clone(), given);
                for id in &ended {
                    if let Some(span) = self.open.get_mut(id) {
                        span.told = true;
                    }
                }
            }
            Emit::Every(_) => {
                while let Some((tick, _)) = self.ticks.first_key_value().filter(|(tick, _)| **tick <= at) {
                    let tick = *tick;
                    let ids = self.ticks.remove(&tick).unwrap_or_default();
                    for id in ids {
                        self.tell(vec![id], tick, given);
                    }
                }
            }
            Emit::Changes => {}
        }
        for id in self.ended(self.lateness, at, false) {
            self.open.remove(&id);
        }
        given.events.push(Event::Watermark(self.results.forward(at)));
    }
}

/// Where windows begin and end.
enum Grid {
    Time { size: i64, slide: i64 },
    Days { size: i64, slide: i64, zone: Zone },
}

impl Grid {
    fn new(shape: &Shape) -> Grid {
        match shape {
            Shape::Tumbling(size) => Grid::Time { size: *size, slide: *size },
            Shape::Hopping { size, slide } => Grid::Time { size: *size, slide: *slide },
            Shape::Session(gap) => Grid::Time { size: *gap, slide: *gap },
            Shape::Days { size, slide, zone } => Grid::Days { size: *size, slide: *slide, zone: Zone::new(zone) },
        }
    }

    /// Every start = k·slide with start <= at < start + size, in the grid's unit.
    fn of(&self, at: i64) -> Vec<(i64, i64)> {
        let (unit, size, slide) = self.unit(at);
        let last = unit.div_euclid(slide);
        let first = (unit - size).div_euclid(slide) + 1;
        (first..=last).map(|k| self.span(k)).collect()
    }

    /// The first window whose end `own` has not reached.
    fn first_open(&self, own: i64) -> (i64, i64) {
        let (unit, size, slide) = self.unit(own);
        self.span((unit - size).div_euclid(slide) + 1)
    }

    fn unit(&self, at: i64) -> (i64, i64, i64) {
        match self {
            Grid::Time { size, slide } => (at, *size, *slide),
            Grid::Days { size, slide, zone } => (zone.day_of(at), *size, *slide),
        }
    }

    fn span(&self, k: i64) -> (i64, i64) {
        match self {
            Grid::Time { size, slide } => (k * slide, k * slide + size),
            Grid::Days { size, slide, zone } => (zone.begin_of(k * slide), zone.begin_of(k * slide + size)),
        }
    }
}

/// Milliseconds that SQL shows of a time.
pub fn shown(ns: i64) -> Value {
    Value::Int(i128::from(ns.div_euclid(MS)))
}
