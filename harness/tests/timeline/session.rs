//! SESSION windows: the sets of a group's rows, late ones left out, that hang together by gaps of at most `gap`.
//!
//! A row is late when `time + lateness < own`. A session's end is its last row plus the gap; it comes out when the
//! watermark is beyond `end + lateness`, under `update_previous` beyond `end`, and again when a row reopens it.

use std::collections::BTreeMap;

use super::aggregate::Row;
use super::model::{App, Emit, Late, Window};
use super::results::{Group, Results};
use super::simulate::{Event, Given, Operator};
use super::spans::shown;
use super::value::Value;

/// The operator.
pub struct Sessions {
    results: Results,
    late: Late,
    lateness: i64,
    gap: i64,
    changes: bool,
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
        let lateness = app.lateness_of(window);
        Sessions {
            results: Results::new(window, lateness, 0),
            late: app.late_of(window),
            lateness,
            gap,
            changes: window.emit == Emit::Changes,
            open: BTreeMap::new(),
            freed: Vec::new(),
            watermark: i64::MIN,
        }
    }

    fn corrects(&self) -> bool {
        !self.changes && self.late == Late::UpdatePrevious
    }

    fn is_beyond(&self, session: &Session, lateness: i64, at: i64) -> bool {
        at == i64::MAX || at > session.last + self.gap + lateness
    }
}

impl Operator for Sessions {
    fn row(&mut self, row: Row, given: &mut Given) {
        // The operator's watermark is ahead of a partition's own only when that was idle.
        if row.at + self.lateness < row.own.max(self.watermark) {
            given.late(&row, self.late == Late::DeadLetter);
            return;
        }
        let key = self.results.key(&row);
        let mut joined = Session { first: row.at, last: row.at, rows: vec![row], told: false };
        let at = joined.first;
        let sessions = self.open.entry(key.clone()).or_default();
        let (near, far): (Vec<Session>, Vec<Session>) =
            sessions.drain(..).partition(|s| s.first - self.gap <= at && at <= s.last + self.gap);
        for session in near {
            joined.first = joined.first.min(session.first);
            joined.last = joined.last.max(session.last);
            joined.rows.extend(session.rows);
        }
        let now = self.changes || self.corrects() && self.is_beyond(&joined, 0, self.watermark);
        joined.told = now;
        if now {
            let group: Group<'_> = (key.clone(), joined.first, joined.last + self.gap, joined.rows.iter().collect());
            self.results.tell(vec![group], given);
        }
        let sessions = self.open.entry(key).or_default();
        sessions.extend(far);
        sessions.push(joined);
    }

    fn watermark(&mut self, at: i64, given: &mut Given) {
        self.watermark = at;
        if !self.changes {
            let lateness = if self.corrects() { 0 } else { self.lateness };
            let mut ends: BTreeMap<i64, Vec<Group<'_>>> = BTreeMap::new();
            for (key, sessions) in &self.open {
                for session in sessions.iter().filter(|s| !s.told && self.is_beyond(s, lateness, at)) {
                    let end = session.last + self.gap;
                    let group: Group<'_> = (key.clone(), session.first, end, session.rows.iter().collect());
                    ends.entry(end).or_default().push(group);
                }
            }
            ends.into_values().for_each(|together| self.results.tell(together, given));
        }
        let (gap, lateness, corrects) = (self.gap, self.lateness, self.corrects());
        for (key, sessions) in &mut self.open {
            let beyond = |s: &Session, more: i64| at == i64::MAX || at > s.last + gap + more;
            sessions.iter_mut().filter(|s| corrects && beyond(s, 0)).for_each(|s| s.told = true);
            let gone = sessions.iter().filter(|s| beyond(s, lateness));
            self.freed.extend(gone.map(|s| (key.clone(), s.first)));
            sessions.retain(|s| !beyond(s, lateness));
        }
        given.events.push(Event::Watermark(self.results.forward(at)));
    }

    fn windows(&self) -> Vec<(Vec<Value>, i64)> {
        let open = self.open.iter().flat_map(|(key, sessions)| sessions.iter().map(|s| (key.clone(), s.first)));
        let ms = |start: i64| shown(start).mantissa().map_or(0, |ms| ms as i64);
        open.chain(self.freed.iter().cloned()).map(|(key, start)| (key, ms(start))).collect()
    }
}
