//! Aggregate: folds the rows (or partial groups) of the keys this shard owns, and emits.
//!
//! Runs behind the exchange, in front of HAVING. FINAL: a watermark closes every window with `end + lateness` at or
//! below it, by end, groups by first sight; what it releases goes out before the watermark does. CHANGES: one row per
//! input row, or a retraction pair where downstream keeps a relation; EVERY tells of groups instead (see [`ticks`]), and
//! under `update_previous` windows fire at their end and are corrected (see [`corrections`]). The watermark is forwarded less the lateness,
//! for that is how far behind it a row may still come. Times are event-time nanoseconds.
//!
//! Invariants: a batch holds owned vnodes only; a window is emitted once; its memory is back in the pool before the
//! next window is looked at. Cost: see [`store`]; emission pays one `match` per value.

mod changes;
mod closing;
mod corrections;
mod first_seen;
mod held;
mod idle;
pub(crate) mod letters;
mod moments;
pub(crate) mod open;
mod runs;
pub(crate) mod saved;
mod single;
pub(crate) mod store;
mod telling;
mod ticks;

use std::sync::Arc;

use velostream_sql::plan::{AggregateSpec, Emit};
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{DlqId, Fatal, NodeId, ShardId, SourceId, vnode};

use crate::operator::{Msg, OpCx, OpenWindows, Operator};
use changes::Changes;
use closing::Closing;
pub(crate) use first_seen::{FirstSeen, Triple};
pub(crate) use held::{Held, PENDING};
use moments::Moments;
pub(crate) use runs::{Grid, Slice, WHOLE, times};
use store::{Groups, WindowStore};
use telling::Telling;

/// Where an operator stands: what it needs to know besides its spec.
#[derive(Clone, Debug)]
pub struct Place {
    /// Node of the plan; numbers the source of the rows it makes.
    pub node: NodeId,
    /// Where its bad records go.
    pub dlq: DlqId,
    /// Own shard.
    pub shard: ShardId,
    /// Number of shards.
    pub shards: u16,
    /// Name of the statement, for dead letters of groups.
    pub name: Arc<str>,
    /// Names of the sources, by [`SourceId`], for dead letters of rows.
    pub sources: Arc<[Arc<str>]>,
}

impl Place {
    /// Source of the rows this node makes.
    pub fn source(&self) -> SourceId {
        SourceId(0x8000 | self.node.0)
    }

    /// Name of a batch's source; rows of operators carry the statement's.
    pub(crate) fn source_name(&self, source: SourceId) -> Arc<str> {
        self.sources.get(source.index()).unwrap_or(&self.name).clone()
    }

    /// TRUE when this shard owns the one group of an aggregate without keys.
    fn owns_global(&self) -> bool {
        vnode::owner(vnode::of_key(&[]), self.shards) == self.shard
    }
}

/// What is left to give of the last message.
#[derive(Debug)]
enum Cursor {
    None,
    Changes(Changes),
    Closing(Closing),
    /// What moments up to a watermark tell, what is left of the one under way, and whether the watermark follows.
    Telling(i64, Option<Telling>, bool),
    Forward(Msg),
}

/// The operator.
#[derive(Debug)]
pub struct Aggregate {
    store: WindowStore,
    /// What is told at moments of event time rather than when a window closes.
    moments: Option<Moments>,
    partial_input: bool,
    cursor: Cursor,
    /// Last watermark given.
    forwarded: i64,
}

impl Aggregate {
    /// An aggregate of this spec; `partial_input`: its input stems from a Combine of the same spec.
    pub fn new(spec: &AggregateSpec, partial_input: bool, place: Place) -> Aggregate {
        let store = WindowStore::new(spec, place);
        let moments = Moments::of(&store);
        Aggregate { store, moments, partial_input, cursor: Cursor::None, forwarded: WM_NONE }
    }

    fn changes(&self) -> bool {
        self.store.spec.emit == Emit::Changes
    }

    fn is_global(&self) -> bool {
        self.store.grid.is_none() && self.store.spec.keys.is_empty()
    }

    fn take_watermark(&mut self, watermark: i64) {
        if watermark == WM_END && self.store.watermark < WM_END && !self.changes() && self.is_global() {
            self.add_empty_global();
        }
        self.store.watermark = self.store.watermark.max(watermark);
        self.cursor = match self.moments {
            Some(_) => Cursor::Telling(self.store.watermark, None, true),
            None => Cursor::Closing(Closing::new(self.store.watermark)),
        };
    }

    /// A FINAL aggregate without keys over no rows has one group all the same, on the shard that owns it.
    fn add_empty_global(&mut self) {
        if self.store.windows.is_empty() && self.store.place.owns_global() {
            self.store.add_empty_group();
        }
    }

    /// Closes windows up to a watermark: FINAL emits them first.
    fn pull_closing(&mut self, mut closing: Closing, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        if self.changes() {
            closing.drop_closed(&mut self.store);
            self.store.free_idle(cx);
        } else if let Some(batch) = closing.next_batch(&mut self.store, self.forwarded, cx)? {
            self.cursor = Cursor::Closing(closing);
            return Ok(Some(Msg::Batch(batch)));
        }
        self.store.gauge(cx);
        self.forwarded = self.forwarded.max(self.forward_of(closing.upto));
        Ok(Some(Msg::Watermark(self.forwarded)))
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
        self.gauge(cx);
        if !forwards {
            return Ok(None);
        }
        self.forwarded = self.forwarded.max(self.forward_of(upto));
        Ok(Some(Msg::Watermark(self.forwarded)))
    }

    fn gauge(&self, cx: &mut OpCx<'_>) {
        self.store.gauge(cx);
        cx.counters.state_bytes += self.moments.as_ref().map_or(0, |moments| moments.bytes() as u64);
    }

    fn forward_of(&self, watermark: i64) -> i64 {
        match (watermark, &self.store.grid) {
            (WM_END, _) => WM_END,
            (watermark, Some(grid)) => watermark.saturating_sub(grid.lateness()),
            (watermark, None) => watermark,
        }
    }
}

impl Operator for Aggregate {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        debug_assert!(matches!(self.cursor, Cursor::None), "no message while a cursor is open");
        match msg {
            Msg::Batch(batch) if self.changes() => {
                self.store.encode(&batch);
                self.cursor = Cursor::Changes(Changes::new(batch));
            }
            Msg::Batch(batch) if let Some(moments) = &mut self.moments => {
                moments.take(batch, &mut self.store, cx)?;
                if moments.is_due(self.store.watermark) {
                    self.cursor = Cursor::Telling(self.store.watermark, None, false);
                }
            }
            Msg::Batch(batch) if self.partial_input => self.store.fold_partials(&batch, cx)?,
            Msg::Batch(batch) => self.store.fold_rows(batch, cx)?,
            Msg::Watermark(watermark) => self.take_watermark(watermark),
            Msg::Idle | Msg::Barrier(_) => self.cursor = Cursor::Forward(msg),
            // Groups have another order than the rows they are of.
            Msg::Passed(_) | Msg::Loaded => {}
            Msg::Chunk(_) => return Err(Fatal::new("an aggregate got encoded rows: the plan is wrong")),
        }
        self.gauge(cx);
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        match std::mem::replace(&mut self.cursor, Cursor::None) {
            Cursor::None => Ok(None),
            Cursor::Forward(msg) => Ok(Some(msg)),
            Cursor::Closing(closing) => self.pull_closing(closing, cx),
            Cursor::Telling(upto, telling, forwards) => self.pull_telling(upto, telling, forwards, cx),
            Cursor::Changes(mut changes) => {
                let batch = changes.next_batch(&mut self.store, cx)?;
                self.store.gauge(cx);
                if batch.is_some() {
                    self.cursor = Cursor::Changes(changes);
                }
                Ok(batch.map(Msg::Batch))
            }
        }
    }

    fn frontier(&self, at_end: bool) -> Option<i64> {
        Some(self.store.frontier(at_end))
    }

    fn resume(&mut self, frontier: i64) {
        self.store.released = frontier;
        if let Some(moments) = &mut self.moments {
            moments.resume(frontier);
        }
    }

    fn open_windows(&self) -> Option<OpenWindows> {
        let mut open = self.store.open_windows()?;
        if let Some(moments) = &self.moments {
            open.next = moments.next_to_fire(&self.store, open.next);
        }
        Some(open)
    }

    fn released(&mut self, watermark: i64) {
        self.store.forget_held(watermark);
    }

    fn snapshot(&self, out: &mut SnapshotWriter) {
        self.store.save(self.forwarded, out);
        self.store.save_touched(out);
        if let Some(moments) = &self.moments {
            moments.save(&self.store, out);
        }
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let forwarded = self.store.load(from, owns)?;
        self.forwarded = forwarded.unwrap_or(self.forwarded);
        self.store.load_touched(from, owns)?;
        match &mut self.moments {
            Some(moments) => moments.load(&mut self.store, from, owns),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
