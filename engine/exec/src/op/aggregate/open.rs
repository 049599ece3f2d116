//! What a window store holds, for whoever asks why a window has not fired.
//!
//! Rows are counted per run of a batch, by the partition they came from, and forgotten when the watermark that fires
//! their windows has passed; an Aggregate behind a Combine leaves the counting to that, for partial groups come from no
//! partition. The rest is found by a walk over the groups when somebody asks. Times are event-time nanoseconds.

use std::collections::BTreeMap;

use velostream_types::time::WM_NONE;
use velostream_types::{RowMeta, SourceId};

use super::closing::Closing;
use super::runs::Grid;
use super::store::WindowStore;
use crate::operator::{NextWindow, OpenWindows};

type Place = (SourceId, u32);

/// Rows in open windows, by partition and last window.
#[derive(Debug, Default)]
pub(crate) struct HeldRows {
    rows: BTreeMap<Place, BTreeMap<i64, u64>>,
    /// Where the last rows went, and how many; not in `rows` yet.
    last: Option<(Place, i64, u64)>,
}

impl HeldRows {
    /// Rows of one batch whose last window is this one. Consecutive calls for one window cost an addition.
    pub(super) fn add(&mut self, meta: &RowMeta, window: i64, count: usize) {
        let place = (meta.source, meta.partition);
        match &mut self.last {
            Some((of, at, rows)) if (*of, *at) == (place, window) => *rows += count as u64,
            _ => {
                self.settle();
                self.last = Some((place, window, count as u64));
            }
        }
    }

    fn settle(&mut self) {
        if let Some((place, window, rows)) = self.last.take() {
            *self.rows.entry(place).or_default().entry(window).or_default() += rows;
        }
    }

    /// Forgets the windows that a watermark closes.
    pub(super) fn release(&mut self, grid: &Grid, watermark: i64) {
        self.settle();
        for windows in self.rows.values_mut() {
            while windows.first_key_value().is_some_and(|(window, _)| grid.closes_at(*window) <= watermark) {
                windows.pop_first();
            }
        }
    }

    fn by_partition(&self) -> Vec<(SourceId, u32, u64)> {
        let mut sums: BTreeMap<Place, u64> =
            self.rows.iter().map(|(place, windows)| (*place, windows.values().sum())).collect();
        if let Some((place, _, rows)) = self.last {
            *sums.entry(place).or_default() += rows;
        }
        sums.into_iter().filter(|(_, rows)| *rows > 0).map(|((source, partition), n)| (source, partition, n)).collect()
    }
}

impl WindowStore {
    /// What is open; `None` without windows.
    pub(crate) fn open_windows(&self) -> Option<OpenWindows> {
        let grid = self.grid.as_ref()?;
        let start = Closing::new(i64::MAX).next_window(self);
        let next = start.map(|start| NextWindow { fires_at: self.closes_at(start), start, end: grid.end(start) });
        let open = start.unwrap_or(i64::MAX);
        let rows = |groups: &super::Groups| -> u64 {
            groups.present().map(|group| u64::try_from(groups.states.rows(group)).unwrap_or(0)).sum()
        };
        Some(OpenWindows {
            watermark: self.watermark,
            grid: stretches(self.windows.keys().map(|slice| (slice.first.max(open), slice.last)), grid.slide_ns()),
            slide_ns: grid.slide_ns(),
            sessions: 0,
            rows: self.windows.values().map(rows).sum(),
            next,
            by_partition: self.held.by_partition(),
        })
    }

    /// Rows of windows that this watermark closes are held no longer.
    pub(crate) fn forget_held(&mut self, watermark: i64) {
        if let Some(grid) = self.grid.as_ref().filter(|_| watermark != WM_NONE) {
            self.held.release(grid, watermark);
        }
    }
}

/// Stretches without a gap, out of (first, last) of some that may overlap.
pub(crate) fn stretches(of: impl Iterator<Item = (i64, i64)>, slide_ns: i64) -> Vec<(i64, i64)> {
    let mut all: Vec<(i64, i64)> = of.filter(|(first, last)| first <= last).collect();
    all.sort_unstable();
    let mut out: Vec<(i64, i64)> = Vec::new();
    for (first, last) in all {
        match out.last_mut() {
            Some((_, end)) if first <= end.saturating_add(slide_ns) => *end = (*end).max(last),
            _ => out.push((first, last)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_joined() {
        let check = |of: &[(i64, i64)], expect: &[(i64, i64)]| assert_eq!(stretches(of.iter().copied(), 10), expect);
        check(&[], &[]);
        check(&[(0, 0), (10, 10), (30, 30)], &[(0, 10), (30, 30)]);
        check(&[(20, 50), (0, 20), (30, 40), (9, 8)], &[(0, 50)]);
    }

    #[test]
    fn rows_are_held_until_their_last_window_closes() {
        let kind = velostream_sql::plan::WindowKind::Hopping { size_ns: 30, slide_ns: 10 };
        let late = velostream_sql::plan::LateStrategy::Drop;
        let grid = Grid::new(&velostream_sql::plan::WindowSpec { kind, zone: None, lateness_ns: 5, late });
        let (a, b) = (RowMeta::plain(SourceId(0), 0, 0), RowMeta::plain(SourceId(0), 1, 0));
        let mut held = HeldRows::default();
        held.add(&a, 0, 3);
        held.add(&a, 0, 4);
        held.add(&b, 10, 5);
        held.add(&a, 10, 1);
        assert_eq!(held.by_partition(), [(SourceId(0), 0, 8), (SourceId(0), 1, 5)]);
        held.release(&grid, 34);
        assert_eq!(held.by_partition(), [(SourceId(0), 0, 8), (SourceId(0), 1, 5)]);
        held.release(&grid, 35);
        assert_eq!(held.by_partition(), [(SourceId(0), 0, 1), (SourceId(0), 1, 5)]);
        held.release(&grid, 45);
        assert_eq!(held.by_partition(), []);
    }
}
