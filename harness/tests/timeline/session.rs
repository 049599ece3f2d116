//! SESSION windows: the sets of a group's rows, late ones left out, that hang together by gaps of at most `gap`.
//!
//! A row is late when `time + lateness < own`; under `include_in_next` it then counts as one of the time `own`. A session's
//! end is its last row plus the gap; it comes out when the watermark is beyond `end + lateness`. Under `update_previous` rows
//! wait until the operators' watermark has reached `own`; a session comes out beyond `end`, and again with each row that
//! comes while it is over.

use std::collections::BTreeMap;

use super::aggregate::Row;
use super::model::{App, Emit, Late, Window};
use super::results::{Group, Results};
use super::simulate::{Event, Given, Operator};
use super::spans::shown;
use super::value::Value;

/// Which rows are too late for every session, and the time at which a row counts.
pub struct Entry {
    late: Late,
    pub lateness: i64,
}

impl Entry {
    pub fn new(app: &App, window: &Window) -> Entry {
        Entry { late: app.late_of(window), lateness: app.lateness_of(window) }
    }

    /// The time at which a row counts, by the greater of its partition's and the operators' watermark: that one is ahead
    /// only when the partition was idle.
    pub fn time(&self, row: &Row, own: i64, given: &mut Given) -> Option<i64> {
        if row.at + self.lateness >= own {
            return Some(row.at);
        }
        given.late(row, self.late == Late::DeadLetter);
        (self.late == Late::IncludeInNext).then_some(own)
    }
}

/// The operator, of all emissions but EVERY.
pub struct Sessions {
    results: Results,
    entry: Entry,
    gap: i64,
    changes: bool,
    corrects: bool,
    /// Rows that wait, and the times they count at.
    waiting: BTreeMap<(i64, (i64, u32)), (Row, i64)>,
    open: BTreeMap<Vec<Value>, Vec<Session>>,
    /// Group and start of those that were freed.
    freed: Vec<(Vec<Value>, i64)>,
    watermark: i64,
}

struct Session {
    first: i64,
    last: i64,
    rows: Vec<Row>,
    told: bool,
}

impl Sessions {
    pub fn new(app: &App, window: &Window, gap: i64) -> Sessions {
        let entry = Entry::new(app, window);
        let changes = window.emit == Emit::Changes;
        Sessions {
            results: Results::new(window, entry.lateness, 0),
            corrects: !changes && entry.late == Late::UpdatePrevious,
            entry,
            gap,
            changes,
            waiting: BTreeMap::new(),
            open: BTreeMap::new(),
            freed: Vec::new(),
            watermark: i64::MIN,
        }
    }

    /// Puts a row in its session; `own`: what its partition's watermark is.
    fn add(&mut self, row: Row, at: i64, own: i64, given: &mut Given) {
        let key = self.results.key(&row);
        let mut joined = Session { first: at, last: at, rows: vec![row], told: false };
        let sessions = self.open.entry(key.clone()).or_default();
        let (near, far): (Vec<Session>, Vec<Session>) =
            sessions.drain(..).partition(|s| s.first - self.gap <= at && at <= s.last + self.gap);
        for session in near {
            joined.first = joined.first.min(session.first);
            joined.last = joined.last.max(session.last);
            joined.rows.extend(session.rows);
        }
        joined.told = self.changes || self.corrects && joined.last + self.gap < own;
        if joined.told {
            let group: Group<'_> = (key.clone(), joined.first, joined.last + self.gap, joined.rows.iter().collect());
            self.results.tell(vec![group], given);
        }
        let sessions = self.open.entry(key).or_default();
        sessions.extend(far);
        sessions.push(joined);
    }

    /// Tells sessions that `at` is beyond by so much, those of one end together.
    fn fire(&mut self, lateness: i64, at: i64, given: &mut Given) {
        let mut ends: BTreeMap<i64, Vec<Group<'_>>> = BTreeMap::new();
        for (key, sessions) in &mut self.open {
            for session in sessions.iter_mut() {
                let end = session.last + self.gap;
                if !session.told && (at == i64::MAX || at > end + lateness) {
                    session.told = true;
                    let group: Group<'_> = (key.clone(), session.first, end, session.rows.iter().collect());
                    ends.entry(end).or_default().push(group);
                }
            }
        }
        ends.into_values().for_each(|together| self.results.tell(together, given));
    }

    /// Takes the rows for which the watermark has been waited, each behind the sessions that were over before it.
    fn settle(&mut self, upto: i64, given: &mut Given) {
        while let Some(first) = self.waiting.first_entry().filter(|first| first.key().0 <= upto) {
            let ((own, _), (row, at)) = first.remove_entry();
            self.fire(0, own, given);
            self.add(row, at, own, given);
        }
    }
}

impl Operator for Sessions {
    fn row(&mut self, row: Row, given: &mut Given) {
        let own = row.own.max(self.watermark);
        let Some(at) = self.entry.time(&row, own, given) else { return };
        if self.corrects {
            self.waiting.insert((own, row.place), (row, at));
            self.settle(self.watermark, given);
        } else {
            self.add(row, at, own, given);
        }
    }

    fn watermark(&mut self, at: i64, given: &mut Given) {
        self.watermark = at;
        self.settle(at, given);
        if !self.changes {
            self.fire(if self.corrects { 0 } else { self.entry.lateness }, at, given);
        }
        let behind = self.gap + self.entry.lateness;
        for (key, sessions) in &mut self.open {
            let gone = |s: &Session| at == i64::MAX || at > s.last + behind;
            self.freed.extend(sessions.iter().filter(|s| gone(s)).map(|s| (key.clone(), s.first)));
            sessions.retain(|s| !gone(s));
        }
        given.events.push(Event::Watermark(self.results.forward(at)));
    }

    fn windows(&self) -> Vec<(Vec<Value>, i64)> {
        let mut open: Vec<(Vec<Value>, i64)> =
            self.open.iter().flat_map(|(key, sessions)| sessions.iter().map(|s| (key.clone(), s.first))).collect();
        open.extend(self.freed.iter().cloned());
        let ms = |start: i64| shown(start).mantissa().map_or(0, |ms| ms as i64);
        open.into_iter().map(|(key, start)| (key, ms(start))).collect()
    }
}
