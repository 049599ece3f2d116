//! Sessions that tell at moments of event time other than their close: EMIT CHANGES EVERY d, and `update_previous`.
//!
//! EVERY: a row counts from the first multiple of d behind its time and its partition's watermark before it; at each such
//! tick, and at its close, a session that changed is told once. `update_previous`: every row waits until the operator's
//! watermark has reached that of its partition before it, is then folded, and a session that changed is told when the
//! watermark is beyond its end, at once if it is already. So what is told is a function of the rows: not of batches, nor
//! of the step in which a watermark comes. With retraction, what a session, and those it took in, told last leaves in front
//! of it with −1.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use velostream_sql::plan::{Emit, LateStrategy};
use velostream_types::time::{WM_END, WM_NONE, floor_to};
use velostream_types::{Batch, Fatal, within};

use super::rows::{Rows, Told, told};
use super::store::Sessions;
use crate::op::aggregate::{Held, Triple};
use crate::operator::{NextWindow, OpCx};

/// From here on, in the order of a moment's rows, stand the corrections of the moment before.
const BEFORE_SESSIONS: i64 = i64::MIN;

/// When changed sessions are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// At multiples of so many ns.
    Every(i64),
    /// Beyond their end.
    Over,
}

/// A row that is folded next.
#[derive(Debug)]
struct Due {
    own: i64,
    order: Triple,
    row: Batch,
    /// The time it counts at.
    time: i64,
}

/// What waits to be folded and to be told.
#[derive(Debug)]
pub(super) struct Moments {
    when: When,
    pub held: Held,
    /// EVERY: the tick whose rows are folded.
    open: i64,
    due: VecDeque<Due>,
    /// Where the row that was folded last stands: a session it changed when it was over already is told as its correction.
    correcting: Option<(i64, Triple)>,
    /// Sessions that changed since they were told, with what they told.
    pub changed: BTreeMap<u32, Vec<Told>>,
    /// The same by last row.
    unfired: BTreeSet<(i64, u32)>,
    include_in_next: bool,
}

/// Sessions on their way out.
#[derive(Debug)]
pub(super) struct Telling {
    /// Session, its place in the order, what it told last.
    sessions: Vec<(u32, Triple, Vec<Told>)>,
    at: usize,
    /// They are over.
    closes: bool,
}

impl Moments {
    /// What the query of this store needs.
    pub fn of(store: &Sessions) -> Option<Moments> {
        let late = store.spec.window.map_or(LateStrategy::Drop, |window| window.late);
        let when = match store.spec.emit {
            Emit::Every(every) => When::Every(every.max(1)),
            Emit::Final if late == LateStrategy::UpdatePrevious => When::Over,
            Emit::Final | Emit::Changes => return None,
        };
        Some(Moments {
            when,
            held: Held::default(),
            open: WM_NONE,
            due: VecDeque::new(),
            correcting: None,
            changed: BTreeMap::new(),
            unfired: BTreeSet::new(),
            include_in_next: late == LateStrategy::IncludeInNext,
        })
    }

    pub fn bytes(&self) -> usize {
        self.held.bytes() + self.changed.len() * size_of::<(u32, Vec<Told>)>()
    }

    /// TRUE when sessions fire at their ends rather than when they close.
    pub fn fires_at_ends(&self) -> bool {
        self.when == When::Over
    }

    /// The session that fires next.
    pub fn next_to_fire(&self, store: &Sessions) -> Option<NextWindow> {
        let (start, end) = self.unfired.first().map(|(_, session)| store.window(*session))?;
        Some(NextWindow { fires_at: end.saturating_add(1), start, end })
    }

    /// TRUE when rows that were taken have something to tell before the watermark moves.
    pub fn is_due(&self, watermark: i64) -> bool {
        self.when == When::Over && self.held.first().is_some_and(|own| own <= watermark)
    }

    /// First tick behind a time.
    fn behind(&self, time: i64) -> i64 {
        match self.when {
            When::Every(every) => floor_to(time, every).saturating_add(every),
            When::Over => time,
        }
    }

    /// Takes rows, which count at these times: they wait for their moment, or are folded.
    pub fn take(&mut self, mut batch: Batch, times: &[i64], store: &mut Sessions) -> Result<(), Fatal> {
        (batch.meta.raw, batch.meta.records) = (None, None);
        let own: Vec<i64> = match &batch.meta.wm_own {
            Some(own) => own.iter().map(|w| (*w).max(store.watermark)).collect(),
            None => vec![store.watermark; batch.rows],
        };
        batch.meta.wm_own = Some(own.clone().into());
        let moment = |row: usize| match self.when {
            When::Every(_) => self.behind(times[row].max(own[row])),
            When::Over => own[row],
        };
        let moments: Vec<i64> = (0..batch.rows).map(moment).collect();
        let mut from = 0;
        while from < batch.rows {
            let to = (from..batch.rows).find(|row| moments[*row] != moments[from]).unwrap_or(batch.rows);
            let rows = if to - from == batch.rows { batch.clone() } else { batch.slice(from, to - from) };
            if self.when != When::Over && moments[from] <= self.open {
                self.fold(&rows, store)?;
            } else {
                self.held.add(moments[from], rows);
            }
            from = to;
        }
        Ok(())
    }

    /// The time a row counts at.
    fn time_of(&self, batch: &Batch, row: usize) -> i64 {
        let of = |times: &Option<arrow_buffer::ScalarBuffer<i64>>| times.as_ref().map_or(WM_NONE, |times| times[row]);
        let time = of(&batch.meta.event_time);
        if self.include_in_next { time.max(of(&batch.meta.wm_own)) } else { time }
    }

    fn fold(&mut self, batch: &Batch, store: &mut Sessions) -> Result<(), Fatal> {
        store.encode(batch);
        (0..batch.rows).try_for_each(|row| self.join(batch, row, self.time_of(batch, row), store))
    }

    /// Folds a row, whose key is encoded, and notes what its session, and those it merges, told.
    fn join(&mut self, batch: &Batch, row: usize, time: i64, store: &mut Sessions) -> Result<(), Fatal> {
        let near = store.near(row, time);
        let mut notes = Vec::new();
        for session in near.iter() {
            self.unfired.remove(&(store.last(*session), *session));
            match self.changed.remove(session) {
                Some(known) => notes.extend(known),
                None if store.spec.retract => notes.extend(told(store, *session)?),
                None => {}
            }
        }
        let session = store.join(batch, row, time, &near);
        self.mark(session, notes, store);
        Ok(())
    }

    /// A session changed; `notes` is what it told before.
    pub fn mark(&mut self, session: u32, notes: Vec<Told>, store: &Sessions) {
        self.changed.insert(session, notes);
        if self.when == When::Over {
            self.unfired.insert((store.last(session), session));
        }
    }

    /// Goes to the next moment up to a watermark that has something to tell.
    pub fn next(&mut self, store: &mut Sessions, upto: i64) -> Result<Option<Telling>, Fatal> {
        match self.when {
            When::Every(_) => self.next_tick(store, upto),
            When::Over => self.next_end(store, upto),
        }
    }

    fn next_tick(&mut self, store: &mut Sessions, upto: i64) -> Result<Option<Telling>, Fatal> {
        loop {
            let tick = if self.changed.is_empty() { self.held.first() } else { Some(self.open) };
            let tick = tick.filter(|tick| *tick <= upto);
            let close = store.peek_close().filter(|(_, last)| store.is_over(*last, upto));
            // A session closes behind its end and lateness, not at it.
            let close = close.map(|(_, last)| (last, last.saturating_add(store.open_for())));
            match (tick, close) {
                (Some(tick), close) if close.is_none_or(|(_, close)| tick <= close.saturating_add(1)) => {
                    if !self.changed.is_empty() {
                        return Ok(Some(self.telling(tick, store)));
                    }
                    self.open(tick, store)?;
                }
                (_, Some((last, close))) => {
                    let tick = self.behind(close);
                    if self.held.first().is_some_and(|first| first <= tick) {
                        // Its last rows, which may yet make it longer.
                        self.open(tick, store)?;
                        continue;
                    }
                    self.open = self.open.max(tick);
                    return Ok(Some(self.closing(last, close, store)));
                }
                (_, None) => {
                    let tick = self.behind(upto);
                    if upto < WM_END && tick > self.open {
                        // Rows that waited for a tick ahead may be of sessions that close before it.
                        self.open(tick, store)?;
                        continue;
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// Makes `tick` the open one and folds what waited for it.
    fn open(&mut self, tick: i64, store: &mut Sessions) -> Result<(), Fatal> {
        self.open = self.open.max(tick);
        while let Some(rows) = self.held.take_upto(self.open) {
            rows.iter().try_for_each(|rows| self.fold(rows, store))?;
        }
        Ok(())
    }

    /// The tick that a restart goes on with.
    pub fn resume(&mut self, watermark: i64) {
        if watermark != WM_NONE && watermark < WM_END && self.when != When::Over {
            self.open = self.behind(watermark);
        }
    }

    /// Every session that changed, by first sight.
    fn telling(&mut self, time: i64, store: &Sessions) -> Telling {
        let changed = std::mem::take(&mut self.changed);
        let sessions = changed.into_iter().map(|(session, notes)| (session, place(store, session, time), notes));
        Telling::new(sessions.collect(), false)
    }

    /// All sessions with this last row, which are over; those that changed are told.
    fn closing(&mut self, last: i64, time: i64, store: &mut Sessions) -> Telling {
        let mut sessions = Vec::new();
        while store.peek_close().is_some_and(|(_, next)| next == last) {
            let Some(session) = store.next_closed(WM_END) else { break };
            match self.changed.remove(&session) {
                Some(notes) => sessions.push((session, place(store, session, time), notes)),
                None => store.free(session),
            }
        }
        Telling::new(sessions, true)
    }

    fn next_end(&mut self, store: &mut Sessions, upto: i64) -> Result<Option<Telling>, Fatal> {
        loop {
            let lateness = store.lateness;
            let row = self.due.front().map(|due| due.own).or_else(|| self.held.first().filter(|own| *own <= upto));
            let over = self.unfired.first().map(|(last, _)| store.end_of(*last)).filter(|end| *end < upto);
            match (over, row) {
                (Some(end), row) if row.is_none_or(|own| end < own) || self.is_corrected(end) => {
                    return Ok(Some(self.over(end, lateness, store)));
                }
                (_, Some(own)) if self.due.is_empty() => self.make_due(own),
                (_, Some(_)) => self.apply(store)?,
                (_, None) => {
                    for session in store.closed_by(upto) {
                        store.free(session);
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// TRUE when a session that ended here was over when the last row came for it.
    fn is_corrected(&self, end: i64) -> bool {
        self.correcting.is_some_and(|(own, _)| end < own)
    }

    /// The rows of this moment, in as-if order.
    fn make_due(&mut self, own: i64) {
        let mut due: Vec<Due> = Vec::new();
        for batch in self.held.take_upto(own).unwrap_or_default() {
            for row in 0..batch.rows {
                let time = self.time_of(&batch, row);
                let row = if batch.rows == 1 { batch.clone() } else { batch.take(&[row as u32]) };
                due.push(Due { own, order: row.meta.order_at(0), row, time });
            }
        }
        due.sort_by_key(|due| due.order);
        self.due.extend(due);
    }

    fn apply(&mut self, store: &mut Sessions) -> Result<(), Fatal> {
        let Some(due) = self.due.pop_front() else { return Ok(()) };
        store.encode(&due.row);
        self.join(&due.row, 0, due.time, store)?;
        self.correcting = Some((due.own, due.order));
        Ok(())
    }

    /// The changed sessions that ended here.
    fn over(&mut self, end: i64, lateness: i64, store: &Sessions) -> Telling {
        let mut sessions = Vec::new();
        while let Some((last, session)) = self.unfired.first().copied().filter(|(last, _)| store.end_of(*last) == end) {
            self.unfired.remove(&(last, session));
            let seen = store.first_seen(session);
            // Writers give out what is at or below the forwarded watermark, and that is the lateness behind.
            let order = match self.correcting.filter(|(own, _)| end < *own) {
                Some((own, order)) => {
                    let place = within::inside(order.0.saturating_add(BEFORE_SESSIONS), order.1);
                    (own.saturating_sub(lateness), place, order.2)
                }
                None => (end.saturating_sub(lateness), within::inside(seen.0, seen.1), seen.2),
            };
            let notes = self.changed.remove(&session).unwrap_or_default();
            sessions.push((session, order, notes));
        }
        Telling::new(sessions, false)
    }
}

/// The place of a session in the order of a moment.
fn place(store: &Sessions, session: u32, time: i64) -> Triple {
    let seen = store.first_seen(session);
    (time, within::inside(seen.0, seen.1), seen.2)
}

impl Telling {
    fn new(mut sessions: Vec<(u32, Triple, Vec<Told>)>, closes: bool) -> Telling {
        sessions.sort_by_key(|(_, order, _)| *order);
        Telling { sessions, at: 0, closes }
    }

    /// The next rows; `None` when all sessions are out.
    pub fn next_batch(
        &mut self,
        store: &mut Sessions,
        forwarded: i64,
        cx: &mut OpCx<'_>,
    ) -> Result<Option<Batch>, Fatal> {
        let mut rows = Rows::new(store);
        while let Some((session, order, notes)) = self.sessions.get(self.at)
            && (rows.len() == 0 || rows.len() + notes.len() < cx.batch_rows)
        {
            self.at += 1;
            notes.iter().for_each(|told| rows.take_back(told, *order));
            match store.overflow(*session) {
                None => rows.add_at(store, *session, 1, *order)?,
                Some(call) => store.lose(*session, call, cx),
            }
        }
        Ok((rows.len() > 0).then(|| rows.finish(store, forwarded)))
    }

    /// Frees sessions that are over.
    pub fn finish(self, store: &mut Sessions) {
        if self.closes {
            self.sessions.iter().for_each(|(session, ..)| store.free(*session));
        }
    }
}
