//! The demo on the screen: a table redrawn in place on a terminal, lines otherwise, a table of the whole run at the end.
//!
//! Standard output holds only what follows from the trades; how fast it went and on which machine is told on standard
//! error.

use std::collections::VecDeque;
use std::io::{ErrorKind, IsTerminal, Write};

use anyhow::{Context, Result};
use velostream_runtime::job::Snapshot;
use velostream_runtime::stop::StopHandle;
use velostream_types::time::{NS_PER_MS, timestamp_text};

use super::board::{Alert, Bar, Board, Second};
use super::feed::SYMBOLS;
use crate::figures::{aligned, count, rate};

/// Alerts kept on a terminal.
const ALERTS: usize = 4;

/// How the run is shown while it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A table redrawn in place.
    Table,
    /// A line per second and per alert, as they come.
    Lines,
    /// The same lines at the end: the same text every time.
    AtEnd,
}

/// The screen.
pub struct View {
    mode: Mode,
    /// Lines of the table that stand on the terminal.
    drawn: usize,
    recent: VecDeque<Alert>,
    /// End of the last second that has its line, ms.
    told: i64,
    /// Told when nobody reads standard output any more.
    stop: StopHandle,
}

impl View {
    /// A view for standard output as it is; `repeatable` output does not depend on how the run went.
    pub fn new(repeatable: bool, stop: StopHandle) -> View {
        let mode = match (repeatable, std::io::stdout().is_terminal()) {
            (true, _) => Mode::AtEnd,
            (false, true) => Mode::Table,
            (false, false) => Mode::Lines,
        };
        View { mode, drawn: 0, recent: VecDeque::new(), told: i64::MIN, stop }
    }

    /// Shows what came since.
    pub fn refresh(&mut self, board: &mut Board, at: &Snapshot) -> Result<()> {
        match self.mode {
            Mode::Table => {
                for alert in board.alerts_new.drain(..) {
                    self.recent.push_back(alert);
                }
                while self.recent.len() > ALERTS {
                    self.recent.pop_front();
                }
                board.seconds.clear();
                self.redraw(&table(board, &self.recent, at))
            }
            Mode::Lines => {
                let lines = new_lines(board, &mut self.told, false);
                self.write(&lines)
            }
            Mode::AtEnd => Ok(()),
        }
    }

    /// The end: what is left of the lines, then the whole run.
    pub fn finish(&mut self, board: &mut Board) -> Result<()> {
        if self.mode == Mode::Table {
            self.redraw(&[])?;
        } else {
            let lines = new_lines(board, &mut self.told, true);
            self.write(&lines)?;
        }
        self.write(&whole(board))
    }

    /// Something worth a line on standard error; a table makes room for it and is drawn again below.
    pub fn notice(&mut self, text: &str) -> Result<()> {
        if self.drawn > 0 {
            self.redraw(&[])?;
        }
        eprintln!("{text}");
        Ok(())
    }

    /// Replaces the lines drawn before.
    fn redraw(&mut self, lines: &[String]) -> Result<()> {
        let mut text = String::new();
        if self.drawn > 0 {
            // Up to the first line, then clear to the end of the screen.
            text.push_str(&format!("\x1b[{}A\r\x1b[J", self.drawn));
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.drawn = lines.len();
        self.write(&text)
    }

    fn write(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.stop.output_closed();
                Ok(())
            }
            outcome => outcome.context("cannot write to standard output"),
        }
    }
}

/// The live table.
fn table(board: &Board, recent: &VecDeque<Alert>, at: &Snapshot) -> Vec<String> {
    let windows = board.reached().map_or_else(|| "none yet".to_owned(), |end| format!("up to {}", clock(end)));
    let (trades, speed) = (count(at.rows_in), rate(at.rows_per_second));
    let mut lines = vec![format!("{trades} trades, {speed}/s, {:.1} s; windows closed: {windows}", at.elapsed_s)];
    let mut rows = vec![["symbol", "open", "high", "low", "close", "volume", "trades"].map(str::to_owned).to_vec()];
    for ((name, _), bar) in SYMBOLS.iter().zip(&board.last) {
        let bar = bar.unwrap_or_default();
        rows.push([vec![(*name).to_owned()], prices(&bar), amounts(&bar)].concat());
    }
    lines.extend(aligned(&rows));
    lines.push(format!("{} alerts", count(board.alerts_total)));
    lines.extend(recent.iter().map(|alert| format!("  {}", alert_line(alert))));
    lines
}

fn prices(bar: &Bar) -> Vec<String> {
    [bar.open, bar.high, bar.low, bar.close].map(price).to_vec()
}

fn amounts(bar: &Bar) -> Vec<String> {
    vec![signed(bar.sum.volume), count(bar.sum.trades)]
}

/// Lines of the seconds that are complete, in the order of event time, each with its alerts behind it. An alert that
/// comes after its second's line is told at once.
fn new_lines(board: &mut Board, told: &mut i64, at_end: bool) -> String {
    board.alerts_new.sort_unstable();
    let mut lines = Vec::new();
    lines.extend(alerts_until(board, *told));
    while let Some((end, second)) = board.take_second(at_end) {
        lines.push(second_line(end, &second));
        lines.extend(alerts_until(board, end));
        *told = end;
    }
    joined(&lines)
}

/// Takes the alerts of all seconds up to the one that ended at `end`.
fn alerts_until(board: &mut Board, end: i64) -> Vec<String> {
    let due = board.alerts_new.partition_point(|alert| alert.second_end <= end);
    board.alerts_new.drain(..due).map(|alert| alert_line(&alert)).collect()
}

fn joined(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// The whole run per symbol and over all.
fn whole(board: &Board) -> String {
    let head = ["symbol", "bars", "open", "high", "low", "close", "volume", "trades", "notional"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for ((name, _), (bars, bar)) in SYMBOLS.iter().zip(&board.whole) {
        let first = vec![(*name).to_owned(), count(*bars)];
        rows.push([first, prices(bar), amounts(bar), vec![price(bar.sum.notional)]].concat());
    }
    let (bars, sum) = board.total();
    let first = vec!["total".to_owned(), count(bars)];
    let all = Bar { sum, ..Bar::default() };
    rows.push([first, vec![String::new(); 4], amounts(&all), vec![price(sum.notional)]].concat());
    format!("\n{}{} volume alerts\n", joined(&aligned(&rows)), count(board.alerts_total))
}

fn second_line(end: i64, second: &Second) -> String {
    let Second { bars, sum } = second;
    format!(
        "{}  {bars} bars, {} trades, volume {}, notional {}",
        clock(end),
        count(sum.trades),
        signed(sum.volume),
        price(sum.notional)
    )
}

fn alert_line(alert: &Alert) -> String {
    let Alert { second_end, symbol, volume, trades, close } = alert;
    let (volume, trades, close) = (signed(*volume), count(*trades), price(*close));
    format!("{}  ALERT {}: volume {volume} in {trades} trades, close {close}", clock(*second_end), SYMBOLS[*symbol].0)
}

/// Time of day of ms since 1970, UTC.
fn clock(ms: i64) -> String {
    timestamp_text(ms.saturating_mul(NS_PER_MS)).chars().skip(11).take(8).collect()
}

/// Ten-thousandths as a decimal: `1,234.5000`.
fn price(ten_thousandths: i128) -> String {
    let whole = u64::try_from(ten_thousandths / 10_000).unwrap_or_default();
    format!("{}.{:04}", count(whole), ten_thousandths % 10_000)
}

fn signed(n: i64) -> String {
    format!("{}{}", if n < 0 { "-" } else { "" }, count(n.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_and_times() {
        assert_eq!(price(12_345_678), "1,234.5678");
        assert_eq!(clock(1_735_828_205_000), "14:30:05");
    }

    #[test]
    fn lines_in_the_order_of_event_time() {
        let mut board = Board::new();
        board.seconds.insert(2_000, Second::default());
        board.seconds.insert(1_000, Second::default());
        let alert = |second_end, symbol| Alert { second_end, symbol, volume: 5, trades: 1, close: 10_000 };
        board.alerts_new = vec![alert(2_000, 1), alert(1_000, 3), alert(1_000, 0)];
        let mut told = i64::MIN;
        let text = new_lines(&mut board, &mut told, true);
        let order: Vec<&str> = text.lines().map(|line| line.get(10..16).unwrap_or_default()).collect();
        assert_eq!(order, ["0 bars", "ALERT ", "ALERT ", "0 bars", "ALERT "]);
        assert!(text.contains("00:00:01  ALERT AAPL: volume 5 in 1 trades, close 1.0000"), "{text}");
    }
}
