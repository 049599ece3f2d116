//! WINDOW to [`WindowSpec`]: sizes, zone, lateness, what happens to late rows. Event time is asked for in `time`.

use velostream_types::time::NS_PER_SEC;
use velostream_types::{Span, time};

use super::Binder;
use super::scope::Scope;
use crate::diag::Diagnostic;
use crate::duration;
use crate::endpoint::WithEntry;
use crate::parse::ast::{Query, Window, WindowShape};
use crate::plan::{Emit, LateStrategy, WindowKind, WindowSpec, ZoneName};

/// Functions that give the bounds of the row's window.
pub(crate) const BOUNDS: [&str; 9] = [
    "TUMBLE_START",
    "TUMBLE_END",
    "HOP_START",
    "HOP_END",
    "SESSION_START",
    "SESSION_END",
    "SESSION_DURATION",
    "WINDOW_START",
    "WINDOW_END",
];
/// Lateness of windows that correct themselves, ns.
const CHANGES_LATENESS_NS: i64 = 60 * NS_PER_SEC;
const DAY_NS: i64 = 86_400 * NS_PER_SEC;
/// More windows than this for each row are worth a warning.
const MANY_WINDOWS: i64 = 100;

impl Binder<'_> {
    /// The window's plan; asks its sources for event time.
    pub(super) fn window<'q>(
        &mut self,
        window: &'q Window,
        query: &Query,
        emit: Emit,
        scope: &Scope<'q>,
    ) -> Option<WindowSpec> {
        let kind = self.window_kind(window);
        let zone = self.window_zone(window);
        let mut sound = kind.is_some() && zone.is_some();
        if let Some(grace) = window.grace.filter(|g| g.ns < 0) {
            self.report(
                Diagnostic::error("E0403", grace.span, "GRACE must not be negative").hint("write for example GRACE 2s"),
            );
            sound = false;
        }
        sound &= match &window.column {
            Some(column) => self.explicit_time(column, scope).is_some(),
            None => scope.rel.poisoned || self.default_time(&scope.rel, window.span, "the window").is_some(),
        };
        if window.shape == WindowShape::Session && scope.rel.changelog {
            let message = "a SESSION cannot be made of a TABLE, whose rows change";
            let hint = "make it of the stream behind the table, or use a TUMBLING or HOPPING window";
            let detail = "a row that is taken back would split the session that it connected";
            self.report(Diagnostic::error("E0403", window.span, message).detail(detail).hint(hint));
            sound = false;
        }
        let late = self.late_strategy(window, query, scope);
        let specs = scope.rel.roots.iter().filter_map(|root| self.graph.sources[*root].spec.as_ref());
        let of_source = specs.filter_map(|s| s.lateness_ns).max();
        let default = match window.shape {
            _ if emit != Emit::Final || late == LateStrategy::UpdatePrevious => CHANGES_LATENESS_NS,
            WindowShape::Session => window.size.ns,
            WindowShape::Tumbling | WindowShape::Hopping => 0,
        };
        let said = window.grace.map(|g| g.ns).or_else(|| self.statement_lateness(&query.with)).or(of_source);
        let lateness_ns = match late {
            LateStrategy::IncludeInNext => 0,
            _ => said.unwrap_or(default),
        };
        self.check_late(late, window, query, emit);
        if late == LateStrategy::DeadLetter && scope.rel.raw {
            scope.rel.roots.iter().for_each(|root| self.graph.sources[*root].plan.needs_raw = true);
        }
        let spec = WindowSpec { kind: kind?, zone: zone?, lateness_ns, late };
        sound.then_some(spec)
    }

    /// Kind and sizes; what does not run yet is said.
    fn window_kind(&mut self, window: &Window) -> Option<WindowKind> {
        let size_ns = window.size.ns;
        let (what, example) = match window.shape {
            WindowShape::Tumbling => ("a window", "TUMBLING(5s)"),
            WindowShape::Hopping => ("a window", "HOPPING(10s, 5s)"),
            WindowShape::Session => ("the gap of a session", "SESSION(30s)"),
        };
        let mut sound = self.is_positive(size_ns, window.size.span, what, example);
        let slide_ns = window.slide.map_or(size_ns, |s| s.ns);
        if let Some(slide) = window.slide {
            sound &= self.is_positive(slide_ns, slide.span, "the slide of a window", example);
            if sound && slide_ns > size_ns {
                let (size, slid) = (time::duration_text(size_ns), time::duration_text(slide_ns));
                let message = format!("windows of {size} that begin every {slid} leave rows between them out");
                let hint = format!("the size comes first and is the longer one, as in HOPPING({slid}, {size})");
                self.report(Diagnostic::error("E0403", window.sizes(), message).hint(hint));
                sound = false;
            }
        }
        if !sound {
            return None;
        }
        match window.shape {
            WindowShape::Tumbling => Some(WindowKind::Tumbling { size_ns }),
            WindowShape::Hopping => {
                let each = size_ns / slide_ns + i64::from(size_ns % slide_ns != 0);
                if each > MANY_WINDOWS {
                    let message = format!("each row is in {each} windows and counts in all of them");
                    let hint = "let the window slide further, or aggregate in a TUMBLING window first";
                    self.report(Diagnostic::warning("W0408", window.sizes(), message).hint(hint));
                }
                Some(WindowKind::Hopping { size_ns, slide_ns })
            }
            WindowShape::Session => Some(WindowKind::Session { gap_ns: size_ns }),
        }
    }

    fn is_positive(&mut self, ns: i64, span: Span, what: &str, example: &str) -> bool {
        if ns <= 0 {
            let message = format!("{what} must be longer than 0");
            self.report(Diagnostic::error("E0403", span, message).hint(format!("write for example {example}")));
        }
        ns > 0
    }

    /// The zone that days begin in: `Some(None)` without one, `None` after a mistake.
    fn window_zone(&mut self, window: &Window) -> Option<Option<ZoneName>> {
        let Some(zone) = &window.zone else { return Some(None) };
        let slide = window.slide.map_or(window.size.ns, |s| s.ns);
        if window.shape == WindowShape::Session || window.size.ns % DAY_NS != 0 || slide % DAY_NS != 0 {
            let message = "TZ is for windows of whole days";
            let detail = "shorter windows and sessions are the same in all zones";
            let diagnostic = Diagnostic::error("E0403", zone.span, message).detail(detail);
            self.report(diagnostic.hint("leave TZ out, or write for example TUMBLING(1d, TZ 'Europe/Berlin')"));
            return None;
        }
        let name = velostream_functions::zone_exists(&zone.name).map(|()| ZoneName::new(zone.name.trim()));
        match name {
            Ok(name) => name.map(Some),
            Err(message) => {
                let hint = "zones are IANA names such as 'America/New_York', UTC, or offsets as '+05:30'";
                self.report(Diagnostic::error("E0308", zone.span, message).hint(hint));
                None
            }
        }
    }

    fn late_strategy(&mut self, window: &Window, query: &Query, scope: &Scope<'_>) -> LateStrategy {
        let specs = scope.rel.roots.iter().filter_map(|root| self.graph.sources[*root].spec.as_ref());
        let of_source = specs.filter_map(|s| s.late).next().map(|late| (late, window.span));
        self.statement_late(&query.with).or(of_source).map_or(LateStrategy::Drop, |(late, _)| late)
    }

    /// What a strategy for late rows does not go together with.
    fn check_late(&mut self, late: LateStrategy, window: &Window, query: &Query, emit: Emit) {
        if let Some(grace) = window.grace.filter(|_| late == LateStrategy::IncludeInNext) {
            let message = "GRACE has no effect: late rows are included in the next window, whenever they come";
            let hint = "leave GRACE out, or use another late.data.strategy";
            self.report(Diagnostic::warning("W0409", grace.span, message).hint(hint));
        }
        let ordered = query.order_by.first().map(|key| key.expr.span).or(query.limit.map(|(_, span)| span));
        if let Some(span) = ordered.filter(|_| late == LateStrategy::UpdatePrevious && emit == Emit::Final) {
            let message = "the results of a window that is corrected row by row cannot be ordered or limited";
            let hint = "use GRACE, which waits for late rows, instead of late.data.strategy 'update_previous'";
            self.report(Diagnostic::error("E0410", span, message).hint(hint));
        }
    }

    fn statement_lateness(&mut self, with: &[WithEntry]) -> Option<i64> {
        let entry = with.iter().rev().find(|e| e.key.eq_ignore_ascii_case("window.allowed.lateness"))?;
        match duration::parse(&entry.value, NS_PER_SEC) {
            Ok(lateness) => Some(lateness),
            Err(reason) => {
                let message = format!("'{}' {reason}", entry.value);
                self.report(Diagnostic::error("E0513", entry.value_span, message).hint("write for example '5s'"));
                None
            }
        }
    }

    fn statement_late(&mut self, with: &[WithEntry]) -> Option<(LateStrategy, Span)> {
        let entry = with.iter().rev().find(|e| e.key.eq_ignore_ascii_case("late.data.strategy"))?;
        let late = match entry.value.to_ascii_lowercase().as_str() {
            "drop" => LateStrategy::Drop,
            "dead_letter" => LateStrategy::DeadLetter,
            "update_previous" | "update_previous_window" => LateStrategy::UpdatePrevious,
            "include_in_next" | "include_in_next_window" => LateStrategy::IncludeInNext,
            _ => {
                let message = format!("late.data.strategy '{}' does not exist", entry.value);
                let hint = "use 'drop', 'dead_letter', 'update_previous' or 'include_in_next'";
                self.report(Diagnostic::error("E0513", entry.value_span, message).hint(hint));
                return None;
            }
        };
        Some((late, entry.value_span))
    }
}
