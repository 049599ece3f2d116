//! Session: folds the rows of the keys this shard owns into sessions, the sets of a key's rows that gaps connect, and emits.
//!
//! Stands where Aggregate stands for other windows: behind the exchange, in front of HAVING. A session ends a gap behind its
//! last row; a row at most a gap from two of them makes one of both. A row is late iff its time + lateness lies before the
//! watermark of its own partition just before it; under `include_in_next` such a row counts as one of that watermark's time.
//! FINAL: a session leaves when the watermark is beyond its end + lateness, by end, then by first sight. CHANGES: one row per
//! input row, or retractions of the sessions it joins and the new row where downstream keeps a relation. EVERY and
//! `update_previous` go by moments (see [`moments`]).
//!
//! A session with its end at the watermark is still open and its row has the time of its end less one, so the watermark is
//! forwarded less the lateness and one nanosecond. Times are event-time nanoseconds.

mod moments;
mod rows;
mod saved;
mod store;

use velostream_sql::plan::{AggregateSpec, Emit};
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{Batch, Fatal};

use super::aggregate::Place;
use crate::operator::{Msg, OpCx, OpenWindows, Operator};
use moments::{Moments, Telling};
use rows::Rows;
use store::Sessions;

/// What is left to give of the last message.
#[derive(Debug)]
enum Cursor {
    None,
    /// EMIT CHANGES: rows of the batch taken so far, and the times they count at.
    Changes(Batch, Vec<i64>, usize),
    /// Sessions that a watermark closes, in order, and how many left.
    Closing(i64, Vec<u32>, usize),
    /// What moments up to a watermark tell, what is left of the one under way, and whether the watermark follows.
    Telling(i64, Option<Telling>, bool),
    Forward(Msg),
}

/// The operator.
#[derive(Debug)]
pub struct Session {
    store: Sessions,
    moments: Option<Moments>,
    cursor: Cursor,
    /// Last watermark given.
    forwarded: i64,
}

impl Session {
    /// An operator of this spec, whose window is a session.
    pub fn new(spec: &AggregateSpec, place: Place) -> Session {
        let store = Sessions::new(spec, place);
        Session { moments: Moments::of(&store), store, cursor: Cursor::None, forwarded: WM_NONE }
    }

    fn gauge(&self, cx: &mut OpCx<'_>) {
        cx.counters.groups = self.store.open() as u64;
        cx.counters.state_bytes = (self.store.bytes() + self.moments.as_ref().map_or(0, Moments::bytes)) as u64;
    }

    fn take(&mut self, batch: Batch, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        let (batch, times) = self.store.admitted(batch, cx)?;
        if let Some(moments) = &mut self.moments {
            moments.take(batch, &times, &mut self.store)?;
            if moments.is_due(self.store.watermark) {
                self.cursor = Cursor::Telling(self.store.watermark, None, false);
            }
        } else if self.store.spec.emit == Emit::Changes {
            self.store.encode(&batch);
            self.cursor = Cursor::Changes(batch, times, 0);
        } else {
            self.store.fold(&batch, &times);
        }
        Ok(())
    }

    fn take_watermark(&mut self, watermark: i64) {
        self.store.watermark = self.store.watermark.max(watermark);
        self.cursor = match self.moments {
            Some(_) => Cursor::Telling(self.store.watermark, None, true),
            None => {
                let closed = self.store.closed_by(self.store.watermark);
                Cursor::Closing(self.store.watermark, closed, 0)
            }
        };
    }

    fn forward(&mut self, watermark: i64) -> Msg {
        let behind = match watermark {
            WM_END => WM_END,
            _ => watermark.saturating_sub(self.store.lateness).saturating_sub(1),
        };
        self.forwarded = self.forwarded.max(behind);
        Msg::Watermark(self.forwarded)
    }

    /// CHANGES: the sessions of the next rows.
    fn pull_changes(
        &mut self,
        batch: Batch,
        times: Vec<i64>,
        from: usize,
        cx: &mut OpCx<'_>,
    ) -> Result<Option<Msg>, Fatal> {
        let mut rows = Rows::new(&self.store);
        let mut at = from;
        while at < batch.rows && (rows.len() == 0 || rows.len() + 3 <= cx.batch_rows) {
            let joined = self.store.near(at, times[at]);
            if self.store.spec.retract {
                for session in joined.iter() {
                    if self.store.can_emit(*session) {
                        rows.add(&self.store, *session, -1, at)?;
                    }
                }
            }
            let session = self.store.join(&batch, at, times[at], &joined);
            match self.store.overflow(session) {
                None => rows.add(&self.store, session, 1, at)?,
                Some(call) => self.store.lose(session, call, cx),
            }
            at += 1;
        }
        let out = (rows.len() > 0).then(|| Msg::Batch(rows.finish_changes(&batch, &self.store)));
        if at < batch.rows {
            self.cursor = Cursor::Changes(batch, times, at);
        }
        Ok(out)
    }

    /// The next of the sessions that a watermark closes; CHANGES gave their rows already.
    fn pull_closing(&mut self, upto: i64, closed: Vec<u32>, from: usize, cx: &mut OpCx<'_>) -> Result<Msg, Fatal> {
        let mut rows = Rows::new(&self.store);
        let mut at = from;
        while at < closed.len() && rows.len() < cx.batch_rows.max(1) {
            let session = closed[at];
            at += 1;
            if self.store.spec.emit == Emit::Final {
                match self.store.overflow(session) {
                    None => rows.add(&self.store, session, 1, 0)?,
                    Some(call) => self.store.lose(session, call, cx),
                }
            }
            self.store.free(session);
        }
        if rows.len() > 0 {
            self.cursor = Cursor::Closing(upto, closed, at);
            return Ok(Msg::Batch(rows.finish(&self.store, self.forwarded)));
        }
        Ok(self.forward(upto))
    }

    /// Tells what the moments up to a watermark have to tell, one after the other.
    fn pull_telling(
        &mut self,
        upto: i64,
        mut telling: Option<Telling>,
        forwards: bool,
        cx: &mut OpCx<'_>,
    ) -> Result<Option<Msg>, Fatal> {
        let Some(moments) = &mut self.moments else { return Ok(None) };
        loop {
            if let Some(mut moment) = telling.take() {
                if let Some(batch) = moment.next_batch(&mut self.store, self.forwarded, cx)? {
                    self.cursor = Cursor::Telling(upto, Some(moment), forwards);
                    return Ok(Some(Msg::Batch(batch)));
                }
                moment.finish(&mut self.store);
            }
            telling = moments.next(&mut self.store, upto)?;
            if telling.is_none() {
                break;
            }
        }
        Ok(forwards.then(|| self.forward(upto)))
    }
}

impl Operator for Session {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        debug_assert!(matches!(self.cursor, Cursor::None), "no message while a cursor is open");
        match msg {
            Msg::Batch(batch) => self.take(batch, cx)?,
            Msg::Watermark(watermark) => self.take_watermark(watermark),
            Msg::Idle | Msg::Barrier(_) => self.cursor = Cursor::Forward(msg),
            Msg::Passed(_) | Msg::Loaded => {}
            Msg::Chunk(_) => return Err(Fatal::new("an aggregate got encoded rows: the plan is wrong")),
        }
        self.gauge(cx);
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        let msg = match std::mem::replace(&mut self.cursor, Cursor::None) {
            Cursor::None => return Ok(None),
            Cursor::Forward(msg) => Some(msg),
            Cursor::Changes(batch, times, from) => self.pull_changes(batch, times, from, cx)?,
            Cursor::Closing(upto, closed, at) => Some(self.pull_closing(upto, closed, at, cx)?),
            Cursor::Telling(upto, telling, forwards) => self.pull_telling(upto, telling, forwards, cx)?,
        };
        self.gauge(cx);
        Ok(msg)
    }

    fn open_windows(&self) -> Option<OpenWindows> {
        let mut open = self.store.open_windows();
        if let Some(moments) = self.moments.as_ref().filter(|moments| moments.fires_at_ends()) {
            open.next = moments.next_to_fire(&self.store);
        }
        Some(open)
    }

    fn frontier(&self, _at_end: bool) -> Option<i64> {
        // Where an open session began does not follow from a watermark, so nothing is ever given out for good.
        Some(WM_NONE)
    }

    fn snapshot(&self, out: &mut SnapshotWriter) {
        self.store.save(self.forwarded, self.moments.as_ref(), out);
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let forwarded = self.store.load(self.moments.as_mut(), from, owns)?;
        self.forwarded = forwarded.unwrap_or(self.forwarded);
        Ok(())
    }
}
