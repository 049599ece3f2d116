//! Which windows each row of a batch falls into, and which rows are late.
//!
//! A row is in every window of the grid that holds its time: one of TUMBLING, `size / slide` of HOPPING. They stand side by
//! side, so a row's windows are a [`Slice`]: the starts of the first and of the last of them. A row is judged against the
//! watermark of its own partition just before it: a window is closed to it iff `end + lateness <= wm_own`, and the row is
//! late iff all of its windows are; a slice begins with the first window that is open to the row.
//! The operator's watermark is never ahead of that, except for a partition that was declared idle and came back; such
//! rows are judged by the operator's. Under `include_in_next` a late row is of the earliest window whose end is behind that
//! watermark. Consecutive rows of one window form a run; a batch whose windows alternate is
//! brought into window order first, so that everything after works on ranges. Times are nanoseconds.

use velostream_functions::LocalDays;
use velostream_sql::plan::{LateStrategy, WindowKind, WindowSpec};
use velostream_types::time::{NS_PER_DAY, WM_NONE, floor_to};
use velostream_types::{Batch, Fatal};

/// Start of the one window of a query without windows.
pub(crate) const WHOLE: i64 = i64::MIN;
/// Runs shorter than this on average are worth bringing into window order.
const SHORT_RUN: usize = 64;

/// Windows side by side, by the starts of the first and the last; in order of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slice {
    pub(crate) last: i64,
    pub(crate) first: i64,
}

impl Slice {
    /// One window.
    #[inline]
    pub(crate) fn one(start: i64) -> Slice {
        Slice { last: start, first: start }
    }

    /// Those of the windows that a watermark leaves open.
    pub(crate) fn behind(self, grid: &Grid, watermark: i64) -> Option<Slice> {
        let mut first = self.first;
        while first <= self.last && grid.closes_at(first) <= watermark {
            first = grid.next(first);
        }
        (first <= self.last).then_some(Slice { first, ..self })
    }

    /// TRUE when the window is one of these.
    pub(crate) fn holds(&self, start: i64) -> bool {
        self.first <= start && start <= self.last
    }
}

/// Consecutive rows of the same windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Their windows.
    pub(crate) slice: Slice,
    /// First row.
    pub(crate) from: usize,
    /// One past the last row.
    pub(crate) to: usize,
}

/// The grid of a query's windows.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    /// ns; with a zone, days.
    size: i64,
    /// From the start of one window to that of the next, in the unit of `size`.
    slide: i64,
    lateness: i64,
    /// Windows of whole days begin at midnight here.
    zone: Option<LocalDays>,
    /// A row that is late for all of its windows counts in the earliest one that is open.
    include_in_next: bool,
}

impl Grid {
    pub(crate) fn new(spec: &WindowSpec) -> Grid {
        let size = spec.kind.size_ns().max(1);
        let slide = match spec.kind {
            WindowKind::Hopping { slide_ns, .. } => slide_ns.clamp(1, size),
            WindowKind::Tumbling { .. } | WindowKind::Session { .. } => size,
        };
        // The binder looked the name up; a zone that is unknown all the same has the days of UTC.
        let zone = spec.zone.and_then(|name| LocalDays::of(name.as_str()).ok());
        let unit = if zone.is_some() { NS_PER_DAY } else { 1 };
        Grid {
            size: size / unit,
            slide: slide / unit,
            lateness: spec.lateness_ns.max(0),
            zone,
            include_in_next: spec.late == LateStrategy::IncludeInNext,
        }
    }

    /// Windows of one nanosecond each.
    pub(crate) fn of_moments() -> Grid {
        Grid { size: 1, slide: 1, lateness: 0, zone: None, include_in_next: false }
    }

    /// The same windows, closed at their end.
    pub(crate) fn without_lateness(&self) -> Grid {
        Grid { lateness: 0, ..self.clone() }
    }

    /// TRUE when windows overlap.
    pub(crate) fn overlaps(&self) -> bool {
        self.slide < self.size
    }

    /// Start of the last window that holds a time.
    #[inline]
    pub(crate) fn start(&self, time: i64) -> i64 {
        match &self.zone {
            None => floor_to(time, self.slide),
            Some(zone) => zone.start(floor_to(zone.day(time), self.slide)),
        }
    }

    /// Start of the window this far in days behind the one that begins here.
    fn in_days(&self, zone: &LocalDays, start: i64, days: i64) -> i64 {
        zone.start(floor_to(zone.day(start), self.slide) + days)
    }

    /// Start of the window behind this one.
    pub(crate) fn next(&self, start: i64) -> i64 {
        match &self.zone {
            None => start.saturating_add(self.slide),
            Some(zone) => self.in_days(zone, start, self.slide),
        }
    }

    /// Start of the window before this one.
    pub(crate) fn before(&self, start: i64) -> i64 {
        match &self.zone {
            None => start.saturating_sub(self.slide),
            Some(zone) => self.in_days(zone, start, -self.slide),
        }
    }

    /// The first window from `start` back to which, and to all between, `belongs` applies; `start` is one of them.
    fn back(&self, start: i64, belongs: impl Fn(i64) -> bool) -> i64 {
        let mut first = start;
        loop {
            let before = self.before(first);
            if before >= first || !belongs(before) {
                return first;
            }
            first = before;
        }
    }

    /// The windows that hold a time and that a watermark does not close; `None` when it closes all of them.
    #[inline]
    pub(crate) fn slice(&self, time: i64, watermark: i64) -> Option<Slice> {
        let last = self.start(time);
        if !self.overlaps() {
            return (self.closes_at(last) > watermark).then(|| Slice::one(last));
        }
        if self.zone.is_some() {
            let holds = |start: i64| self.end(start) > time && self.closes_at(start) > watermark;
            return holds(last).then(|| Slice { last, first: self.back(last, holds) });
        }
        // Starts behind this one hold the time, and starts behind that one are open.
        let before = time.saturating_sub(self.size);
        let closed = if watermark == WM_NONE {
            i64::MIN
        } else {
            watermark.saturating_sub(self.size).saturating_sub(self.lateness)
        };
        let first = self.next(floor_to(before.max(closed), self.slide));
        (first <= last).then_some(Slice { last, first })
    }

    /// The windows that a row of this time counts in behind this watermark: [`Grid::slice`], or the next open window where
    /// late rows are included in it.
    #[inline]
    pub(crate) fn place(&self, time: i64, watermark: i64) -> Option<Slice> {
        self.slice(time, watermark).or_else(|| self.include_in_next.then(|| Slice::one(self.first_open(watermark))))
    }

    /// Start of the earliest window whose end is behind a watermark.
    pub(crate) fn first_open(&self, watermark: i64) -> i64 {
        match self.zone {
            None => self.next(floor_to(watermark.saturating_sub(self.size), self.slide)),
            Some(_) => self.back(self.start(watermark), |start| self.end(start) > watermark),
        }
    }

    /// End of a window; saturates at the end of time.
    #[inline]
    pub(crate) fn end(&self, start: i64) -> i64 {
        match &self.zone {
            None => start.saturating_add(self.size),
            Some(zone) => self.in_days(zone, start, self.size),
        }
    }

    /// Start of the window that ends here; the first of those that do, where a zone left a day out.
    pub(crate) fn start_of_end(&self, end: i64) -> i64 {
        match &self.zone {
            None => end.saturating_sub(self.size),
            Some(zone) => {
                let start = zone.start(floor_to(zone.day(end).saturating_sub(self.size), self.slide));
                self.back(start, |before| self.end(before) == end)
            }
        }
    }

    /// Watermark that closes a window for good.
    #[inline]
    pub(crate) fn closes_at(&self, start: i64) -> i64 {
        self.end(start).saturating_add(self.lateness)
    }

    /// Start of the last window that a watermark closes.
    pub(crate) fn closed_by(&self, watermark: i64) -> Option<i64> {
        if !self.overlaps() || watermark == WM_NONE {
            return None;
        }
        let reached = watermark.saturating_sub(self.lateness);
        Some(match self.zone {
            None => floor_to(reached.saturating_sub(self.size), self.slide),
            Some(_) => self.before(self.back(self.start(reached), |start| self.end(start) > reached)),
        })
    }

    /// From the start of one window to that of the next; with a zone, as long as most days are.
    pub(crate) fn slide_ns(&self) -> i64 {
        self.slide * if self.zone.is_some() { NS_PER_DAY } else { 1 }
    }

    /// How long a window is at most: a day of a zone may have an hour or two more than others.
    pub(crate) fn longest(&self) -> i64 {
        match self.zone {
            None => self.size,
            Some(_) => self.size.saturating_mul(NS_PER_DAY).saturating_add(NS_PER_DAY / 8),
        }
    }

    pub(crate) fn lateness(&self) -> i64 {
        self.lateness
    }

    /// TRUE when late rows stay, in another window.
    pub(crate) fn keeps_late(&self) -> bool {
        self.include_in_next
    }

    /// Rows of the batch that are late, ascending.
    pub(crate) fn late(&self, batch: &Batch, operator_wm: i64) -> Result<Vec<u32>, Fatal> {
        let times = times(batch)?;
        let own = batch.meta.wm_own.as_deref();
        let highest = own.and_then(|w| w.iter().max()).copied().unwrap_or(WM_NONE).max(operator_wm);
        let Some(earliest) = times.iter().min() else { return Ok(Vec::new()) };
        if self.closes_at(self.start(*earliest)) > highest {
            return Ok(Vec::new());
        }
        let late = |i: &usize| {
            let wm = own.map_or(WM_NONE, |w| w[*i]).max(operator_wm);
            self.closes_at(self.start(times[*i])) <= wm
        };
        Ok((0..batch.rows).filter(late).map(|i| i as u32).collect())
    }

    /// Rows of the batch whose window a watermark closes, ascending.
    pub(crate) fn closed(&self, batch: &Batch, watermark: i64) -> Result<Vec<u32>, Fatal> {
        if watermark == WM_NONE {
            return Ok(Vec::new());
        }
        let own = batch.meta.wm_own.as_deref();
        let closed = |i: usize, time: i64| {
            // A late row that is included in the next window is of that one.
            let own = own.filter(|_| self.include_in_next).map_or(WM_NONE, |w| w[i]);
            self.closes_at(self.place(time, own).map_or_else(|| self.start(time), |slice| slice.last)) <= watermark
        };
        Ok(times(batch)?.iter().enumerate().filter(|(i, t)| closed(*i, **t)).map(|(i, _)| i as u32).collect())
    }

    /// The batch's runs; the batch is reordered when its windows alternate.
    /// Rows are given to no window that `watermark` closes.
    pub(crate) fn runs(&self, batch: &mut Batch, watermark: i64) -> Result<Vec<Run>, Fatal> {
        let mut runs = self.runs_as_they_stand(batch, watermark)?;
        if runs.len() > 1 && runs.len() * SHORT_RUN > batch.rows {
            let mut sorted = runs.clone();
            sorted.sort_by_key(|r| r.slice);
            let windows = 1 + sorted.windows(2).filter(|w| w[0].slice != w[1].slice).count();
            if windows < runs.len() {
                let indices: Vec<u32> = sorted.iter().flat_map(|r| r.from as u32..r.to as u32).collect();
                *batch = batch.take(&indices);
                runs = self.runs_as_they_stand(batch, watermark)?;
            }
        }
        Ok(runs)
    }

    fn runs_as_they_stand(&self, batch: &Batch, watermark: i64) -> Result<Vec<Run>, Fatal> {
        let times = times(batch)?;
        if !self.overlaps() && !self.include_in_next {
            return Ok(self.runs_of_one_window_each(times));
        }
        let own = batch.meta.wm_own.as_deref();
        let mut runs: Vec<Run> = Vec::new();
        for (i, time) in times.iter().enumerate() {
            let closed = own.map_or(WM_NONE, |w| w[i]).max(watermark);
            // Late rows were taken out before, or stay in another window.
            let slice = self.place(*time, closed).unwrap_or(Slice::one(self.start(*time)));
            match runs.last_mut() {
                Some(run) if run.slice == slice => run.to = i + 1,
                _ => runs.push(Run { slice, from: i, to: i + 1 }),
            }
        }
        Ok(runs)
    }

    fn runs_of_one_window_each(&self, times: &[i64]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let (mut start, mut end) = (0, 0);
        for (i, time) in times.iter().enumerate() {
            match runs.last_mut() {
                Some(run) if *time >= start && *time < end => run.to = i + 1,
                _ => {
                    start = self.start(*time);
                    end = self.end(start);
                    runs.push(Run { slice: Slice::one(start), from: i, to: i + 1 });
                }
            }
        }
        runs
    }
}

/// Event times of a batch's rows.
pub(crate) fn times(batch: &Batch) -> Result<&[i64], Fatal> {
    match &batch.meta.event_time {
        Some(times) => Ok(times),
        None if batch.rows == 0 => Ok(&[]),
        None => Err(Fatal::new("a window got rows without event time: the plan must give its source an event time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use velostream_types::{Column, RowMeta, SourceId};

    fn grid(lateness_ns: i64) -> Grid {
        let kind = WindowKind::Tumbling { size_ns: 10 };
        Grid::new(&WindowSpec { kind, zone: None, lateness_ns, late: LateStrategy::Drop })
    }

    fn batch(times: &[i64], own: &[i64]) -> Batch {
        let mut meta = RowMeta::plain(SourceId(0), 0, 0);
        meta.event_time = Some(times.to_vec().into());
        meta.wm_own = Some(own.to_vec().into());
        Batch::new(vec![Column::ints(times.to_vec(), None)], times.len(), meta)
    }

    #[test]
    fn a_row_is_late_when_its_window_closed_before_it() {
        for (lateness, wm, operator_wm, late) in [
            (0, 9, WM_NONE, false),
            (0, 10, WM_NONE, true),
            (5, 14, WM_NONE, false),
            (5, 15, WM_NONE, true),
            (0, 3, 10, true),
        ] {
            let got = grid(lateness).late(&batch(&[25, 3], &[WM_NONE, wm]), operator_wm);
            assert_eq!(got, Ok(if late { vec![1] } else { vec![] }), "{lateness} {wm}");
        }
    }

    #[test]
    fn a_row_is_in_the_windows_that_hold_it_and_are_open() {
        let kind = WindowKind::Hopping { size_ns: 25, slide_ns: 10 };
        let grid = Grid::new(&WindowSpec { kind, zone: None, lateness_ns: 2, late: LateStrategy::Drop });
        let of = |time, watermark| grid.slice(time, watermark).map(|s| (s.first, s.last));
        for (time, watermark, windows) in [
            (0, WM_NONE, Some((-20, 0))),
            (4, WM_NONE, Some((-20, 0))),
            (5, WM_NONE, Some((-10, 0))),
            (-1, WM_NONE, Some((-20, -10))),
            // The window of -20 closes at 5 + 2.
            (4, 6, Some((-20, 0))),
            (4, 7, Some((-10, 0))),
            (4, 26, Some((0, 0))),
            (4, 27, None),
        ] {
            assert_eq!(of(time, watermark), windows, "{time} behind {watermark}");
        }
    }

    #[test]
    fn alternating_windows_become_ranges() {
        let mut b = batch(&[1, 11, 2, 12, -3], &[0; 5]);
        let runs = grid(0).runs(&mut b, WM_NONE).expect("times are there");
        let run = |window, from, to| Run { slice: Slice::one(window), from, to };
        assert_eq!(runs, [run(-10, 0, 1), run(0, 1, 3), run(10, 3, 5)]);
        assert_eq!(times(&b), Ok(&[-3, 1, 2, 11, 12][..]));
    }
}
