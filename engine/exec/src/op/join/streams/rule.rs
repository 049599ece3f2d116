//! When rows of two streams meet, and for how long a row has to stay. Pure; times are event-time nanoseconds.
//!
//! A pair matches iff it lies within the bound and the last moment at which each row can have a partner is not before the
//! watermark that the other row's own partition had. So each row has a last moment ([`Rule::last`]); a watermark of the
//! other side behind it frees the row, and the lower one of both tells of it where it stayed alone. Rows in windows have the last moment of their
//! window, for both sides alike.

use velostream_sql::plan::{JoinMode, Side, WindowKind};
use velostream_types::time::{NS_PER_MS, WM_END, WM_NONE};

use crate::op::aggregate::Grid;

/// Bounds in time: `left − before ≤ right ≤ left + after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub before: i64,
    pub after: i64,
    pub retention: i64,
}

/// When rows meet.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    /// Each pair within the bounds, as soon as both are there.
    Interval(Bounds),
    /// The nearest right row within the bounds, once no nearer one can come.
    Nearest {
        bounds: Bounds,
        /// The earliest at or behind the left row, rather than the latest at or before it.
        forward: bool,
    },
    /// Each pair in a window of a grid.
    Window { grid: Grid, at_close: bool },
    /// Each pair in a session of the rows of both sides, when it closes.
    Session { gap: i64, lateness: i64 },
}

impl Rule {
    /// The rule of a mode of two streams.
    pub(super) fn of(mode: &JoinMode) -> Rule {
        match *mode {
            JoinMode::Interval { before_ns, after_ns, retention_ns } => {
                Rule::Interval(Bounds { before: before_ns, after: after_ns, retention: retention_ns.max(0) })
            }
            JoinMode::AsOf { before_ns, after_ns, retention_ns, forward } => {
                let bounds = Bounds { before: before_ns, after: after_ns, retention: retention_ns.max(0) };
                Rule::Nearest { bounds, forward }
            }
            JoinMode::Window { spec, at_close } => match spec.kind {
                WindowKind::Session { gap_ns } => {
                    Rule::Session { gap: gap_ns.max(1), lateness: spec.lateness_ns.max(0) }
                }
                _ => Rule::Window { grid: Grid::new(&spec), at_close },
            },
            JoinMode::Lookup { .. } | JoinMode::Tables => unreachable!("tables have operators of their own"),
        }
    }

    /// Where rows meet in windows, bounds of a window stand beside each.
    pub(super) fn has_windows(&self) -> bool {
        matches!(self, Rule::Window { .. } | Rule::Session { .. })
    }

    /// Pairs come out when both rows are there.
    pub(super) fn at_once(&self) -> bool {
        matches!(self, Rule::Interval(_) | Rule::Window { at_close: false, .. })
    }

    /// The last watermark under which a row of this side stays, by its time and the end of its window.
    pub(super) fn last(&self, side: Side, time: i64, end: i64) -> i64 {
        match self {
            Rule::Interval(bounds) | Rule::Nearest { bounds, .. } => bounds.last(side, time),
            Rule::Window { grid, .. } => end.saturating_add(grid.lateness()).saturating_sub(1),
            Rule::Session { gap, lateness } => time.saturating_add(*gap).saturating_add(*lateness),
        }
    }

    /// TRUE for a row that nothing can meet any more, because the watermark of its own partition is `own`.
    pub(super) fn is_late(&self, time: i64, own: i64) -> bool {
        match self {
            Rule::Interval(b) | Rule::Nearest { bounds: b, .. } => {
                time.saturating_add(b.before.saturating_add(b.after)).saturating_add(b.retention) < own
            }
            Rule::Window { grid, .. } => grid.place(time, own).is_none(),
            Rule::Session { lateness, .. } => time.saturating_add(*lateness) < own,
        }
    }

    /// Of windows: how long they wait for rows behind their end.
    pub(super) fn lateness(&self) -> i64 {
        match self {
            Rule::Window { grid, .. } => grid.lateness(),
            Rule::Session { lateness, .. } => *lateness,
            Rule::Interval(_) | Rule::Nearest { .. } => 0,
        }
    }

    /// How far behind its watermark the join may still give rows, those in open sessions aside.
    pub(super) fn reach(&self) -> i64 {
        match self {
            Rule::Interval(b) | Rule::Nearest { bounds: b, .. } => b.reach(),
            Rule::Window { grid, .. } => grid.longest().saturating_add(grid.lateness()),
            Rule::Session { lateness, .. } => *lateness,
        }
    }

    /// Width of the stretches of time in which rows are freed.
    pub(super) fn stretch(&self) -> i64 {
        let span = match self {
            Rule::Session { gap, .. } => *gap,
            _ => self.reach(),
        };
        (span / 32).max(NS_PER_MS)
    }
}

impl Bounds {
    fn last(&self, side: Side, time: i64) -> i64 {
        let partner = match side {
            Side::Left => time.saturating_add(self.after),
            Side::Right => time.saturating_add(self.before),
        };
        partner.saturating_add(self.retention)
    }

    /// Earliest and latest time of partners of a row.
    pub(super) fn range(&self, side: Side, time: i64) -> (i64, i64) {
        match side {
            Side::Left => (time.saturating_sub(self.before), time.saturating_add(self.after)),
            Side::Right => (time.saturating_sub(self.after), time.saturating_add(self.before)),
        }
    }

    fn reach(&self) -> i64 {
        self.before.max(self.after).max(0).saturating_add(self.retention)
    }
}

/// A watermark less a span; the ends of time stay.
pub(super) fn behind(watermark: i64, span: i64) -> i64 {
    match watermark {
        WM_END | WM_NONE => watermark,
        at => at.saturating_sub(span).min(WM_END - 1),
    }
}
