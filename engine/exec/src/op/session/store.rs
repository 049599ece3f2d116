//! The open sessions of a grouping.
//!
//! All sessions share one arena: accumulators, first-seen triples, bounds and the chain of a key's sessions stand in columns
//! by session number, and numbers of closed sessions are given again. A key's sessions are chained, the latest first, so a
//! row that comes in order looks at one. When sessions close is kept in a heap with one entry each; rows move a session's
//! end only forward, so an entry is put right when it comes up. Cost per row: one hash, one probe, one comparison, the
//! accumulators; per merge of two sessions a partial group.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use velostream_sql::plan::{AggregateSpec, LateStrategy, WindowKind};
use velostream_state::block::BlockPool;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::KeyEncoder;
use velostream_types::time::{WM_END, WM_NONE, duration_text, timestamp_text};
use velostream_types::{Batch, Column, Fatal, Offsets, RowMeta, RowOrder, SourceId};

use crate::agg::{Fold, Layout, States};
use crate::op::aggregate::letters::{late_row, lost_group};
use crate::op::aggregate::{FirstSeen, Place, Triple, times};
use crate::operator::{NextWindow, OpCx, OpenWindows};

/// The end of a chain.
const NONE: u32 = u32::MAX;

/// Bounds and links of a session.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    first: i64,
    last: i64,
    /// The key's session before it in time.
    earlier: u32,
    key: u32,
    /// How often its number was given: an entry of the heap with another one is of a session that is gone.
    turn: u32,
    open: bool,
}

/// The sessions that a row belongs to: those that are a gap from it, which are more than one gap from each other, so at
/// most two.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Near {
    sessions: [u32; 2],
    count: usize,
}

impl Near {
    fn add(&mut self, session: u32) {
        self.sessions[self.count] = session;
        self.count += 1;
    }
}

impl std::ops::Deref for Near {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.sessions[..self.count]
    }
}

/// The sessions of one node on one shard.
#[derive(Debug)]
pub(super) struct Sessions {
    pub spec: AggregateSpec,
    pub place: Place,
    pub layout: Layout,
    gap: i64,
    pub lateness: i64,
    /// Late rows count at the watermark of their partition.
    include_in_next: bool,
    keys: GroupIndex,
    /// By key: its latest session.
    heads: Vec<u32>,
    bounds: Vec<Bounds>,
    free: Vec<u32>,
    states: States,
    first: FirstSeen,
    /// When sessions close, as far as known: last row, session, turn.
    closes: BinaryHeap<Reverse<(i64, u32, u32)>>,
    pool: BlockPool,
    hasher: KeyHasher,
    encoder: KeyEncoder,
    hashes: Vec<u32>,
    /// Highest watermark taken.
    pub watermark: i64,
    /// Lowest watermarks (taken, given) of the snapshot parts loaded so far.
    pub restored: Option<(i64, i64)>,
}

impl Sessions {
    pub fn new(spec: &AggregateSpec, place: Place) -> Sessions {
        let (gap, lateness, late) = match &spec.window {
            Some(window) => match window.kind {
                WindowKind::Session { gap_ns } => (gap_ns, window.lateness_ns, window.late),
                other => (other.size_ns(), window.lateness_ns, window.late),
            },
            None => (1, 0, LateStrategy::Drop),
        };
        let layout = Layout::new(spec);
        Sessions {
            spec: spec.clone(),
            place,
            gap: gap.max(1),
            lateness: lateness.max(0),
            include_in_next: late == LateStrategy::IncludeInNext,
            keys: GroupIndex::new(),
            heads: Vec::new(),
            bounds: Vec::new(),
            free: Vec::new(),
            states: States::new(&layout),
            first: FirstSeen::default(),
            closes: BinaryHeap::new(),
            pool: BlockPool::default(),
            hasher: KeyHasher::default(),
            encoder: KeyEncoder::new(),
            hashes: Vec::new(),
            watermark: WM_NONE,
            restored: None,
            layout,
        }
    }

    /// Open sessions.
    pub fn open(&self) -> usize {
        self.bounds.len() - self.free.len()
    }

    pub fn bytes(&self) -> usize {
        self.keys.bytes()
            + self.states.bytes()
            + self.first.bytes()
            + self.bounds.capacity() * size_of::<Bounds>()
            + (self.heads.capacity() + self.free.capacity()) * size_of::<u32>()
            + self.closes.capacity() * size_of::<(i64, u32, u32)>()
    }

    /// What is open: sessions belong to keys, so they stand on no grid.
    pub fn open_windows(&self) -> OpenWindows {
        let rows = |session| u64::try_from(self.states.rows(session)).unwrap_or(0);
        let next = self.all().min_by_key(|session| self.last(*session)).map(|session| {
            let (start, end) = self.window(session);
            NextWindow { fires_at: end.saturating_add(self.lateness).saturating_add(1), start, end }
        });
        OpenWindows {
            watermark: self.watermark,
            sessions: self.open() as u64,
            rows: self.all().map(rows).sum(),
            next,
            ..OpenWindows::default()
        }
    }

    /// Start and end of a session.
    pub fn window(&self, session: u32) -> (i64, i64) {
        let bounds = &self.bounds[session as usize];
        (bounds.first, bounds.last.saturating_add(self.gap))
    }

    /// End of a session with this last row.
    pub fn end_of(&self, last: i64) -> i64 {
        last.saturating_add(self.gap)
    }

    /// How long behind its last row a session may still grow.
    pub fn open_for(&self) -> i64 {
        self.gap.saturating_add(self.lateness)
    }

    /// Time of a session's last row.
    pub fn last(&self, session: u32) -> i64 {
        self.bounds[session as usize].last
    }

    pub fn key(&self, session: u32) -> &[u8] {
        self.keys.key(self.bounds[session as usize].key)
    }

    pub fn first_seen(&self, session: u32) -> Triple {
        self.first.get(session)
    }

    pub fn states(&self) -> &States {
        &self.states
    }

    /// Numbers of the open sessions, ascending.
    pub fn all(&self) -> impl Iterator<Item = u32> {
        self.bounds.iter().enumerate().filter(|(_, bounds)| bounds.open).map(|(session, _)| session as u32)
    }

    /// The rows that are not late, and the times they count at; late ones are counted and go where the query says.
    pub fn admitted(&self, batch: Batch, cx: &mut OpCx<'_>) -> Result<(Batch, Vec<i64>), Fatal> {
        let mut at = times(&batch)?.to_vec();
        let own = |row: usize| batch.meta.wm_own.as_ref().map_or(WM_NONE, |w| w[row]).max(self.watermark);
        let late: Vec<usize> =
            (0..batch.rows).filter(|row| at[*row].saturating_add(self.lateness) < own(*row)).collect();
        if late.is_empty() {
            return Ok((batch, at));
        }
        cx.counters.late += late.len() as u64;
        if self.include_in_next {
            late.iter().for_each(|row| at[*row] = own(*row));
            return Ok((batch, at));
        }
        if self.spec.window.is_some_and(|window| window.late == LateStrategy::DeadLetter) {
            for row in &late {
                self.refuse(&batch, *row, own(*row), cx);
            }
        }
        let mut refused = late.iter().peekable();
        let kept: Vec<u32> = (0..batch.rows)
            .filter(|row| refused.next_if(|next| *next == row).is_none())
            .map(|row| row as u32)
            .collect();
        let at = kept.iter().map(|row| at[*row as usize]).collect();
        Ok((batch.take(&kept), at))
    }

    fn refuse(&self, batch: &Batch, row: usize, own: i64, cx: &mut OpCx<'_>) {
        let message = format!(
            "row at {} came too late for its session: the watermark was {}, allowed lateness is {}",
            timestamp_text(batch.meta.event_time.as_ref().map_or(0, |times| times[row])),
            timestamp_text(own),
            duration_text(self.lateness),
        );
        cx.counters.dead_lettered += 1;
        cx.dead.push((self.place.dlq, late_row(&self.place, batch, row, message)));
    }

    /// Encodes and hashes the keys of a batch.
    pub fn encode(&mut self, batch: &Batch) {
        let columns: Vec<&Column> = self.spec.keys.iter().map(|key| &batch.columns[*key]).collect();
        self.encoder.encode(&columns, batch.rows);
        self.hasher.hash_all(self.encoder.keys(), &mut self.hashes);
    }

    /// The sessions of the key of this row, which is encoded, that a row of this time belongs to: the later one first.
    pub fn near(&self, row: usize, time: i64) -> Near {
        let mut near = Near::default();
        let Some(key) = self.keys.find(self.encoder.keys().key(row), self.hashes[row]) else { return near };
        let mut at = self.heads[key as usize];
        while at != NONE {
            let bounds = &self.bounds[at as usize];
            if time > bounds.last.saturating_add(self.gap) {
                break;
            }
            if bounds.first.saturating_sub(self.gap) <= time {
                near.add(at);
            }
            at = bounds.earlier;
        }
        near
    }

    /// Folds a row, whose key is encoded, into one session with those [`Sessions::near`] gave.
    pub fn join(&mut self, batch: &Batch, row: usize, time: i64, near: &[u32]) -> u32 {
        let (session, fresh) = self.place(row, time, near);
        self.fold_run(batch, row, &[session], if fresh { &[0] } else { &[] });
        session
    }

    /// Folds the rows of a batch, each at its time.
    pub fn fold(&mut self, batch: &Batch, times: &[i64]) {
        self.encode(batch);
        let (mut from, mut sessions, mut fresh) = (0, Vec::with_capacity(batch.rows), Vec::new());
        for (row, time) in times.iter().enumerate() {
            let near = self.near(row, *time);
            if near.len() > 1 {
                // What is merged has to be there.
                self.fold_run(batch, from, &sessions, &fresh);
                (from, sessions, fresh) = (row, Vec::with_capacity(batch.rows - row), Vec::new());
            }
            let (session, is_fresh) = self.place(row, *time, &near);
            if is_fresh {
                fresh.push(sessions.len() as u32);
            }
            sessions.push(session);
        }
        self.fold_run(batch, from, &sessions, &fresh);
    }

    fn fold_run(&mut self, batch: &Batch, from: usize, sessions: &[u32], fresh: &[u32]) {
        if sessions.is_empty() {
            return;
        }
        self.first.fold(sessions, fresh, self.bounds.len(), (&batch.meta, from), &mut self.pool);
        let weights = batch.meta.weight.as_deref();
        let fold = Fold { groups: sessions, start: from, columns: &batch.columns, meta: &batch.meta, weights };
        self.states.update(&self.layout, fold, &mut self.pool);
    }

    /// The one session of a row: made, extended, or merged of two. TRUE when it is made.
    fn place(&mut self, row: usize, time: i64, near: &[u32]) -> (u32, bool) {
        match near {
            [] => (self.make(row, time), true),
            [one] => {
                self.extend(*one, time, time);
                (*one, false)
            }
            [later, earlier, ..] => {
                self.merge(*later, *earlier);
                self.extend(*later, time, time);
                (*later, false)
            }
        }
    }

    /// A session of one row, among those of its key by time.
    fn make(&mut self, row: usize, time: i64) -> u32 {
        let key = self.keys.find_or_insert(self.encoder.keys().key(row), self.hashes[row], &mut self.pool).group;
        if self.heads.len() <= key as usize {
            self.heads.resize(key as usize + 1, NONE);
        }
        let (mut later, mut earlier) = (NONE, self.heads[key as usize]);
        while earlier != NONE && self.bounds[earlier as usize].first > time {
            (later, earlier) = (earlier, self.bounds[earlier as usize].earlier);
        }
        let session = self.number();
        let turn = self.bounds[session as usize].turn + 1;
        self.bounds[session as usize] = Bounds { first: time, last: time, earlier, key, turn, open: true };
        match later {
            NONE => self.heads[key as usize] = session,
            later => self.bounds[later as usize].earlier = session,
        }
        self.closes.push(Reverse((time, session, turn)));
        session
    }

    fn number(&mut self) -> u32 {
        if let Some(session) = self.free.pop() {
            return session;
        }
        self.bounds.push(Bounds { first: 0, last: 0, earlier: NONE, key: 0, turn: 0, open: false });
        self.states.grow(self.bounds.len(), &mut self.pool);
        self.bounds.len() as u32 - 1
    }

    fn extend(&mut self, session: u32, first: i64, last: i64) {
        let bounds = &mut self.bounds[session as usize];
        bounds.first = bounds.first.min(first);
        bounds.last = bounds.last.max(last);
    }

    /// Makes the earlier of two neighbours part of the later one.
    fn merge(&mut self, into: u32, from: u32) {
        let partials = self.states.partial(&[from]);
        let order = one_order(self.first.get(from));
        self.add_partials(into, &partials, 0, &order);
        let Bounds { first, last, .. } = self.bounds[from as usize];
        self.extend(into, first, last);
        self.free(from);
    }

    /// Adds a partial group, `row` of these columns, to a session.
    fn add_partials(&mut self, session: u32, partials: &[Column], row: usize, order: &RowMeta) {
        self.states.merge(&[session], row, partials, &mut self.pool);
        self.first.fold(&[session], &[], self.bounds.len(), (order, 0), &mut self.pool);
    }

    /// Makes a session of what a snapshot held; the key is number `row` of those loaded.
    pub fn revive(&mut self, row: usize, (first, last): (i64, i64), seen: Triple, partials: &[Column]) -> u32 {
        let session = self.make(row, first);
        self.extend(session, first, last);
        let order = one_order(seen);
        self.first.fold(&[session], &[0], self.bounds.len(), (&order, 0), &mut self.pool);
        self.states.merge(&[session], row, partials, &mut self.pool);
        session
    }

    /// Encodes keys that a snapshot held.
    pub fn load_keys<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>) {
        self.encoder.load(keys);
        self.hasher.hash_all(self.encoder.keys(), &mut self.hashes);
    }

    /// The session of a key, number `row` of those loaded, that begins at this time.
    pub fn beginning_at(&self, row: usize, first: i64) -> Option<u32> {
        self.near(row, first).iter().find(|session| self.bounds[**session as usize].first == first).copied()
    }

    /// TRUE when a watermark is beyond the end and the lateness of a session with this last row.
    pub fn is_over(&self, last: i64, watermark: i64) -> bool {
        watermark == WM_END || last.saturating_add(self.gap).saturating_add(self.lateness) < watermark
    }

    /// The sessions that a watermark closes, by end, then by first sight.
    pub fn closed_by(&mut self, watermark: i64) -> Vec<u32> {
        let mut closed = Vec::new();
        while let Some(session) = self.next_closed(watermark) {
            closed.push(session);
        }
        closed.sort_by_key(|session| (self.last(*session), self.first_seen(*session)));
        closed
    }

    /// The session that closes next, if a watermark closes it: it leaves the heap, and must be freed.
    pub fn next_closed(&mut self, watermark: i64) -> Option<u32> {
        let (session, last) = self.peek_close()?;
        if !self.is_over(last, watermark) {
            return None;
        }
        self.closes.pop();
        Some(session)
    }

    /// The session that closes next and its last row.
    pub fn peek_close(&mut self) -> Option<(u32, i64)> {
        while let Some(Reverse((known, session, turn))) = self.closes.peek().copied() {
            let bounds = &self.bounds[session as usize];
            if bounds.open && bounds.turn == turn && bounds.last == known {
                return Some((session, known));
            }
            self.closes.pop();
            if bounds.open && bounds.turn == turn {
                self.closes.push(Reverse((bounds.last, session, turn)));
            }
        }
        None
    }

    /// Frees a session.
    pub fn free(&mut self, session: u32) {
        let Bounds { key, earlier, .. } = self.bounds[session as usize];
        let mut at = self.heads[key as usize];
        if at == session {
            self.heads[key as usize] = earlier;
        }
        while at != session && at != NONE {
            let next = self.bounds[at as usize].earlier;
            if next == session {
                self.bounds[at as usize].earlier = earlier;
            }
            at = next;
        }
        if self.heads[key as usize] == NONE {
            let hash = self.hasher.hash(self.keys.key(key));
            self.keys.remove(key, hash);
        }
        self.states.clear(session);
        self.bounds[session as usize].open = false;
        self.free.push(session);
    }

    /// Position of the first call whose result left the range of its type; brings what is kept in order.
    pub fn overflow(&mut self, session: u32) -> Option<usize> {
        self.states.settle(session);
        self.states.overflow(&self.layout, session)
    }

    /// TRUE when the session's row can be given; brings what is kept in order.
    pub fn can_emit(&mut self, session: u32) -> bool {
        self.overflow(session).is_none()
    }

    /// Dead-letters a session whose `call` left the range of its type.
    pub fn lose(&self, session: u32, call: usize, cx: &mut OpCx<'_>) {
        let (key, seen) = (self.key(session), self.first_seen(session));
        cx.counters.dead_lettered += 1;
        cx.dead
            .push((self.place.dlq, lost_group(&self.spec, &self.place, key, Some(self.window(session)), seen, call)));
    }
}

/// The order of one row.
fn one_order(seen: Triple) -> RowMeta {
    let order = RowOrder::Derived { major: vec![seen.0].into(), minor: vec![seen.1].into(), tie: vec![seen.2].into() };
    RowMeta { offsets: Offsets::From(0), order, ..RowMeta::plain(SourceId(0), 0, 0) }
}
