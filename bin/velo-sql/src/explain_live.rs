//! `--explain-live`: why windows have not fired, as lines for people.
//!
//! Pure but for [`Live`], which keeps what the runtime told last and when it was shown. On a terminal the lines stand
//! under the progress and are drawn anew with it; elsewhere, or once rows took the progress's place, a block of them is
//! written every [`BLOCK_EVERY_S`] seconds and at the end.

use std::time::Duration;

use velostream_runtime::job::{FeedReport, FeedState, NextReport, WindowReport};
use velostream_types::time::{NS_PER_MS, duration_text, timestamp_text};

use crate::figures::{aligned, count, memory, rows};

/// How often the shards are asked.
pub const ASK_EVERY: Duration = Duration::from_secs(1);
/// Time between two blocks where nothing can be drawn anew.
const BLOCK_EVERY_S: f64 = 5.0;
/// Partitions that get a line each.
const PARTITIONS_MAX: usize = 16;

/// What was told last.
#[derive(Debug, Default)]
pub struct Live {
    lines: Vec<String>,
    shown_s: Option<f64>,
}

impl Live {
    /// Takes what the runtime tells.
    pub fn take(&mut self, windows: &[WindowReport]) {
        self.lines = lines(windows);
    }

    /// The lines as of now.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The block to write, if it is time for one. `elapsed_s` is what the progress says.
    pub fn block(&mut self, elapsed_s: f64) -> Option<String> {
        // Time starts again with each assignment of a group.
        let is_due = self.shown_s.is_none_or(|shown| elapsed_s - shown >= BLOCK_EVERY_S || elapsed_s < shown);
        if self.lines.is_empty() || !is_due {
            return None;
        }
        self.shown_s = Some(elapsed_s);
        Some(self.lines.join("\n"))
    }
}

/// What every operator with windows holds and waits for.
pub fn lines(windows: &[WindowReport]) -> Vec<String> {
    windows.iter().flat_map(operator).collect()
}

fn operator(report: &WindowReport) -> Vec<String> {
    let open = if report.open_windows == 1 { "window" } else { "windows" };
    let mut lines = vec![format!(
        "{} {}: {} open {open}, {} held in {} groups, {}",
        report.statement,
        report.operator,
        count(report.open_windows),
        rows(report.rows_held),
        count(report.groups),
        memory(report.state_bytes),
    )];
    lines.push(match &report.next {
        Some(next) => format!("  {}", waiting(next)),
        None => "  no window is open".to_owned(),
    });
    let head = ["partition", "watermark", "state", "behind", "rows held"].map(str::to_owned).to_vec();
    let shown = report.partitions.iter().take(PARTITIONS_MAX).map(cells);
    let table = aligned(&std::iter::once(head).chain(shown).collect::<Vec<_>>());
    lines.extend(table.into_iter().map(|line| format!("  {line}")));
    if report.partitions.len() > PARTITIONS_MAX {
        lines.push(format!("  … {} more partitions", report.partitions.len() - PARTITIONS_MAX));
    }
    lines
}

/// `next [12:00, 12:01) fires when the watermark reaches 12:01: trades-2 is 12.5s behind`
fn waiting(next: &NextReport) -> String {
    let why = match &next.waits_for {
        None => "every partition is idle or ended, so the watermark stands still".to_owned(),
        Some(wait) => {
            let name = format!("{}-{}", wait.source, wait.partition);
            match wait.behind_ms {
                None => format!("{name} has given no event time yet"),
                Some(0) => "it is about to".to_owned(),
                Some(behind) => format!("{name} is {} behind", span(behind)),
            }
        }
    };
    format!(
        "next [{}, {}) fires when the watermark reaches {}: {why}",
        instant(next.start_ms),
        instant(next.end_ms),
        instant(next.fires_at_ms),
    )
}

fn cells(feed: &FeedReport) -> Vec<String> {
    let state = match (feed.state, feed.quiet_ms) {
        (FeedState::Idle, Some(ms)) => format!("idle for {}", span(ms)),
        (FeedState::Idle, None) => "idle, no row yet".to_owned(),
        (FeedState::Active, _) => "active".to_owned(),
        (FeedState::Ended, _) => "ended".to_owned(),
    };
    let behind = feed.behind_ms.filter(|_| feed.state != FeedState::Ended);
    let dash = || "-".to_owned();
    vec![
        format!("{}-{}", feed.source, feed.partition),
        feed.watermark_ms.map_or_else(dash, instant),
        state,
        behind.map_or_else(dash, span),
        feed.rows_held.map_or_else(dash, count),
    ]
}

fn instant(ms: i64) -> String {
    timestamp_text(ms.saturating_mul(NS_PER_MS))
}

fn span(ms: i64) -> String {
    duration_text(ms.saturating_mul(NS_PER_MS))
}

#[cfg(test)]
mod tests {
    use velostream_runtime::job::WaitReport;

    use super::*;

    fn feed(partition: u32, watermark_ms: Option<i64>, state: FeedState, behind_ms: Option<i64>) -> FeedReport {
        let quiet_ms = (state == FeedState::Idle).then_some(61_000);
        let source = "trades".to_owned();
        FeedReport { source, partition, watermark_ms, state, quiet_ms, rows_held: Some(1_234), behind_ms }
    }

    fn windows() -> WindowReport {
        WindowReport {
            statement: "ohlc".into(),
            operator: "#4 Aggregate".into(),
            watermark_ms: Some(47_500),
            open_windows: 3,
            rows_held: 3_702,
            groups: 56,
            state_bytes: 100_000,
            next: Some(NextReport {
                start_ms: 0,
                end_ms: 60_000,
                fires_at_ms: 60_000,
                waits_for: Some(WaitReport { source: "trades".into(), partition: 0, behind_ms: Some(12_500) }),
            }),
            partitions: vec![
                feed(0, Some(47_500), FeedState::Active, Some(12_500)),
                feed(1, Some(3_600_000), FeedState::Active, Some(0)),
                feed(2, Some(1_000), FeedState::Idle, Some(59_000)),
            ],
        }
    }

    #[test]
    fn a_window_that_waits_names_its_partition() {
        assert_eq!(
            lines(&[windows()]),
            [
                "ohlc #4 Aggregate: 3 open windows, 3,702 rows held in 56 groups, 1 MiB",
                "  next [1970-01-01 00:00:00.000, 1970-01-01 00:01:00.000) fires when the watermark reaches 1970-01-01 00:01:00.000: trades-0 is 12500ms behind",
                "  partition                watermark         state   behind  rows held",
                "  trades-0   1970-01-01 00:00:47.500        active  12500ms      1,234",
                "  trades-1   1970-01-01 01:00:00.000        active       0s      1,234",
                "  trades-2   1970-01-01 00:00:01.000  idle for 61s      59s      1,234",
            ]
        );
    }

    #[test]
    fn other_reasons() {
        let check = |waits_for: Option<WaitReport>, expect: &str| {
            let mut report = windows();
            report.next.as_mut().expect("there is one").waits_for = waits_for;
            let line = lines(&[report])[1].clone();
            assert!(line.ends_with(expect), "{line}");
        };
        let wait = |behind_ms| Some(WaitReport { source: "t".into(), partition: 7, behind_ms });
        check(None, "so the watermark stands still");
        check(wait(None), "t-7 has given no event time yet");
        check(wait(Some(0)), "it is about to");
        let report = WindowReport { next: None, ..windows() };
        assert_eq!(lines(&[report])[1], "  no window is open");
    }

    #[test]
    fn blocks_come_every_few_seconds() {
        let mut live = Live::default();
        assert_eq!(live.block(1.0), None, "nothing was told");
        live.take(&[windows()]);
        assert!(live.block(1.0).is_some());
        assert!(live.block(5.9).is_none());
        assert!(live.block(6.0).is_some());
        assert!(live.block(0.1).is_some(), "another life");
    }
}
