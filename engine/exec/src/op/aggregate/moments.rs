//! Emission at moments of event time that lie between those at which windows close: ticks of EMIT CHANGES EVERY, and ends
//! and corrections of windows under `update_previous`.

use velostream_sql::plan::{Emit, LateStrategy};
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter};
use velostream_types::{Batch, Fatal};

use super::corrections::Corrections;
use super::store::WindowStore;
use super::telling::Telling;
use super::ticks::Ticks;
use crate::operator::{NextWindow, OpCx};

/// Which moments a query has.
#[derive(Debug)]
pub(super) enum Moments {
    Ticks(Ticks),
    Corrections(Corrections),
}

impl Moments {
    /// What the query of this store needs.
    pub(super) fn of(store: &WindowStore) -> Option<Moments> {
        let corrects = store.spec.window.is_some_and(|window| window.late == LateStrategy::UpdatePrevious);
        match (store.spec.emit, &store.grid) {
            (Emit::Every(every), _) => Some(Moments::Ticks(Ticks::new(every))),
            (Emit::Final, Some(grid)) if corrects => Some(Moments::Corrections(Corrections::new(grid.clone()))),
            _ => None,
        }
    }

    /// Takes rows: they are folded, or wait for their moment.
    pub(super) fn take(&mut self, batch: Batch, store: &mut WindowStore, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        match self {
            Moments::Ticks(ticks) => ticks.take(batch, store, cx),
            Moments::Corrections(corrections) => corrections.take(batch, store, cx),
        }
    }

    /// TRUE when rows that were taken have something to tell before the watermark moves.
    pub(super) fn is_due(&self, watermark: i64) -> bool {
        matches!(self, Moments::Corrections(corrections) if corrections.is_due(watermark))
    }

    /// Goes to the next moment up to a watermark that has something to tell.
    pub(super) fn next(&mut self, store: &mut WindowStore, upto: i64) -> Result<Option<Telling>, Fatal> {
        match self {
            Moments::Ticks(ticks) => ticks.next_moment(store, upto),
            Moments::Corrections(corrections) => corrections.next_moment(store, upto),
        }
    }

    /// The window that fires next, where `closing` is the next to close.
    pub(super) fn next_to_fire(&self, store: &WindowStore, closing: Option<NextWindow>) -> Option<NextWindow> {
        match self {
            Moments::Ticks(_) => closing,
            Moments::Corrections(corrections) => corrections.next_to_fire(store),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Moments::Ticks(ticks) => ticks.bytes(),
            Moments::Corrections(corrections) => corrections.bytes(),
        }
    }

    /// What this frontier fires was given out by an earlier run.
    pub(super) fn resume(&mut self, frontier: i64) {
        if let Moments::Corrections(corrections) = self {
            corrections.fired_upto(frontier);
        }
    }

    pub(super) fn save(&self, store: &WindowStore, out: &mut SnapshotWriter) {
        match self {
            Moments::Ticks(ticks) => ticks.save(store, out),
            Moments::Corrections(corrections) => corrections.save(store, out),
        }
    }

    pub(super) fn load(
        &mut self,
        store: &mut WindowStore,
        from: &SnapshotReader,
        owns: &dyn Fn(u16) -> bool,
    ) -> Result<(), SnapshotError> {
        match self {
            Moments::Ticks(ticks) => ticks.load(store, from, owns),
            Moments::Corrections(corrections) => corrections.load(store, from, owns),
        }
    }
}
