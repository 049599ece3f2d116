//! Tables that are loaded before the rows that ask them: a line each while they are, and one when they are done.

use std::collections::BTreeSet;

use velostream_runtime::job::TableReport;

use crate::figures;

/// A table that took less is in the summary and worth no line of its own, s, unless it goes on.
const WORTH_S: f64 = 0.5;

/// What is shown.
#[derive(Default)]
pub struct Loading {
    lines: Vec<String>,
    told: BTreeSet<String>,
}

impl Loading {
    /// Takes where the tables are; answers what is worth a line in the log.
    pub fn take(&mut self, at: &[TableReport]) -> Vec<String> {
        self.lines = at.iter().filter(|table| !table.loaded).map(line).collect();
        let done = at.iter().filter(|table| table.loaded && (table.live || table.seconds >= WORTH_S));
        let news = done.filter(|table| self.told.insert(table.name.clone()));
        news.map(|table| format!("loaded {}", done_line(table))).collect()
    }

    /// A line for each table that is not loaded yet.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// `customers: 412,000 rows, 31 MiB in 0.34 s, 1,211,000 rows/s`
pub fn done_line(table: &TableReport) -> String {
    let bytes = table.bytes.map_or_else(String::new, |bytes| format!(", {}", figures::memory(bytes)));
    let rate =
        if table.rows_per_s > 0.0 { format!(", {} rows/s", figures::rate(table.rows_per_s)) } else { String::new() };
    format!("{}: {}{bytes} in {}{rate}", table.name, figures::rows(table.rows), figures::seconds(table.seconds))
}

/// `loading customers: 412,000 rows, 31 MiB of 80 MiB, 1,200,000 rows/s, ETA 1 s`
fn line(table: &TableReport) -> String {
    let mut line = format!("loading {}: {}", table.name, figures::rows(table.rows));
    match (table.bytes, table.bytes_total, table.rows_left) {
        (Some(bytes), Some(total), _) => {
            line.push_str(&format!(", {} of {}", figures::memory(bytes), figures::memory(total)));
        }
        (Some(bytes), None, _) => line.push_str(&format!(", {}", figures::memory(bytes))),
        (None, _, Some(left)) => line.push_str(&format!(" of {}", figures::count(table.rows + left))),
        (None, _, None) => {}
    }
    if table.rows_per_s > 0.0 {
        line.push_str(&format!(", {} rows/s", figures::rate(table.rows_per_s)));
    }
    if let Some(left_s) = left_s(table) {
        line.push_str(&format!(", ETA {} s", left_s.ceil()));
    }
    line
}

/// How long the rest takes at the rate so far, s.
fn left_s(table: &TableReport) -> Option<f64> {
    let (done, left) = match (table.bytes, table.bytes_total, table.rows_left) {
        (Some(bytes), Some(total), _) => (bytes as f64, total.saturating_sub(bytes) as f64),
        (None, _, Some(left)) => (table.rows as f64, left as f64),
        _ => return None,
    };
    (done > 0.0 && table.seconds > 0.0).then(|| left * table.seconds / done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: u64, bytes: Option<u64>, seconds: f64) -> TableReport {
        TableReport {
            name: "customers".to_owned(),
            rows,
            bytes,
            seconds,
            rows_per_s: if seconds > 0.0 { rows as f64 / seconds } else { 0.0 },
            loaded: false,
            bytes_total: bytes.map(|_| 80 << 20),
            rows_left: bytes.is_none().then_some(1_000),
            live: bytes.is_none(),
        }
    }

    #[test]
    fn a_table_under_way_says_how_far_it_is_and_how_long_it_takes() {
        let mut loading = Loading::default();
        assert!(loading.take(&[table(0, Some(0), 0.0), table(412_000, Some(31 << 20), 0.5)]).is_empty());
        assert_eq!(
            loading.lines(),
            [
                "loading customers: 0 rows, 0 MiB of 80 MiB",
                "loading customers: 412,000 rows, 31 MiB of 80 MiB, 824,000 rows/s, ETA 1 s"
            ]
        );
        loading.take(&[table(500, None, 2.0)]);
        assert_eq!(loading.lines(), ["loading customers: 500 rows of 1,500, 250 rows/s, ETA 4 s"]);
    }

    #[test]
    fn what_took_long_or_goes_on_is_told_once() {
        let mut loading = Loading::default();
        let done = |table: TableReport| TableReport { loaded: true, ..table };
        assert!(loading.take(&[done(table(5, Some(100), 0.1))]).is_empty(), "the summary has it");
        let slow = [done(table(1_000, Some(3 << 20), 2.0))];
        assert_eq!(loading.take(&slow), ["loaded customers: 1,000 rows, 3 MiB in 2.00 s, 500 rows/s"]);
        assert!(loading.take(&slow).is_empty() && loading.lines().is_empty());
        let mut live = Loading::default();
        assert_eq!(live.take(&[done(table(7, None, 0.0))]), ["loaded customers: 7 rows in 0.000 s"]);
    }
}
