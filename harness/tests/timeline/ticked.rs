//! SESSION windows under EMIT CHANGES EVERY.
//!
//! A row counts from the first tick behind its time and its partition's watermark before it. A tick tells the sessions of
//! the rows that count, where one of them was not told before; a session that closes, beyond its end and lateness, tells
//! what it has not. Sessions are found anew each time.

use std::collections::BTreeMap;

use super::aggregate::Row;
use super::model::{App, Window};
use super::results::{Group, Results};
use super::session::Entry;
use super::simulate::{Event, Given, Operator};
use super::value::Value;

/// The operator.
pub struct Ticked {
    results: Results,
    entry: Entry,
    gap: i64,
    every: i64,
    rows: BTreeMap<Vec<Value>, Vec<Counted>>,
    watermark: i64,
}

struct Counted {
    row: Row,
    /// The time it counts at.
    at: i64,
    tick: i64,
    told: bool,
}

/// First and last time, TRUE when there is something to tell, rows.
type Found<'c> = (i64, i64, bool, Vec<&'c Row>);

/// The sessions of rows that count at a tick.
fn sessions(rows: &[Counted], gap: i64, tick: i64) -> Vec<Found<'_>> {
    let mut rows: Vec<&Counted> = rows.iter().filter(|c| c.tick <= tick).collect();
    rows.sort_by_key(|c| c.at);
    let mut found: Vec<Found<'_>> = Vec::new();
    for counted in rows {
        match found.last_mut().filter(|(_, last, ..)| counted.at - *last <= gap) {
            Some((_, last, changed, rows)) => {
                *last = counted.at;
                *changed |= !counted.told;
                rows.push(&counted.row);
            }
            None => found.push((counted.at, counted.at, !counted.told, vec![&counted.row])),
        }
    }
    found
}

impl Ticked {
    pub fn new(app: &App, window: &Window, gap: i64, every: i64) -> Ticked {
        let entry = Entry::new(app, window);
        let results = Results::new(window, entry.lateness, 0);
        Ticked { results, entry, gap, every, rows: BTreeMap::new(), watermark: i64::MIN }
    }

    /// The next tick that has something to tell, not beyond `upto`.
    fn next_tick(&self, upto: i64) -> Option<i64> {
        self.rows.values().flatten().filter(|c| !c.told && c.tick <= upto).map(|c| c.tick).min()
    }

    /// Last row of the session that closes next.
    fn next_close(&self, upto: i64) -> Option<i64> {
        let all = self.rows.values().flat_map(|rows| sessions(rows, self.gap, i64::MAX));
        let last = all.map(|(_, last, ..)| last).min()?;
        (upto == i64::MAX || last + self.gap + self.entry.lateness < upto).then_some(last)
    }

    /// Tells changed sessions as they are at `tick`; `last`: of those alone whose last row is then.
    fn tell(&mut self, tick: i64, last: Option<i64>, given: &mut Given) {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for (key, rows) in &self.rows {
            for (first, end, changed, rows) in sessions(rows, self.gap, tick) {
                if changed && last.is_none_or(|last| last == end) {
                    groups.push((key.clone(), first, end + self.gap, rows));
                }
            }
        }
        self.results.tell(groups, given);
    }

    /// Forgets the sessions with this last row.
    fn free(&mut self, last: i64) {
        for rows in self.rows.values_mut() {
            let closed = |(first, end, ..): Found<'_>| (end == last).then_some(first);
            if let Some(first) = sessions(rows, self.gap, i64::MAX).into_iter().find_map(closed) {
                rows.retain(|c| !(first..=last).contains(&c.at));
            }
        }
    }
}

impl Operator for Ticked {
    fn row(&mut self, row: Row, given: &mut Given) {
        let own = row.own.max(self.watermark);
        let Some(at) = self.entry.time(&row, own, given) else { return };
        let tick = (at.max(own).div_euclid(self.every) + 1) * self.every;
        self.rows.entry(self.results.key(&row)).or_default().push(Counted { row, at, tick, told: false });
    }

    fn watermark(&mut self, upto: i64, given: &mut Given) {
        self.watermark = upto;
        loop {
            let close = self.next_close(upto);
            match (self.next_tick(upto), close) {
                (Some(tick), close) if close.is_none_or(|last| tick <= last + self.gap + self.entry.lateness + 1) => {
                    self.tell(tick, None, given);
                    self.rows.values_mut().flatten().filter(|c| c.tick <= tick).for_each(|c| c.told = true);
                }
                (_, Some(last)) => {
                    // Every row of a session counts at the first tick behind its close.
                    self.tell(i64::MAX, Some(last), given);
                    self.free(last);
                }
                (_, None) => break,
            }
        }
        given.events.push(Event::Watermark(self.results.forward(upto)));
    }
}
