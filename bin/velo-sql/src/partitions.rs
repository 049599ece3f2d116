//! Where the partitions of topics stand, as lines under the progress: position, lag, committed offset, rate, watermark.
//!
//! Pure: `run` hands in what the runtime tells a few times a second and the seconds since the start; out come lines. The
//! names are those of the summary's `partitions`, and lag means the same: records behind the committed offset, those of
//! open windows included. More than [`SINGLE_MAX`] partitions are summed by source.

use std::collections::BTreeMap;

use velostream_runtime::job::PartitionReport;
use velostream_types::time::{NS_PER_MS, timestamp_text};

use crate::figures::{aligned, count, rate};

/// Partitions, or sources, that get a line each.
const SINGLE_MAX: usize = 8;
/// A rate is that of at least so many seconds: shorter ones jump.
const RATE_SPAN_S: f64 = 1.0;
/// Longer names are cut.
const NAME_CHARS: usize = 32;

/// What stands in one line.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    name: String,
    position: i64,
    lag: i64,
    /// `None` before the first commit of the run.
    committed: Option<i64>,
    watermark_ms: Option<i64>,
    per_second: f64,
}

/// A partition by its source and number.
type Key = (String, u32);

/// A place in a log and when it was seen.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    position: i64,
    at_s: f64,
    /// Records per second before it.
    per_second: f64,
}

/// What was told last, and how fast it goes.
#[derive(Debug, Default)]
pub struct Partitions {
    rows: Vec<(Key, Row)>,
    seen: BTreeMap<Key, Seen>,
}

impl Partitions {
    /// Takes what the runtime tells.
    pub fn stand(&mut self, told: &[PartitionReport]) {
        let row = |p: &PartitionReport| {
            let log = p.log?;
            let row = Row {
                name: format!("{}-{}", shortened(&p.source), p.partition),
                position: log.position,
                lag: log.lag,
                committed: log.committed,
                watermark_ms: p.watermark_ms,
                per_second: 0.0,
            };
            Some(((p.source.clone(), p.partition), row))
        };
        self.rows = told.iter().filter_map(row).collect();
    }

    /// A head and a line each; nothing without topics. `elapsed_s` is what the progress says.
    pub fn lines(&mut self, elapsed_s: f64) -> Vec<String> {
        for (key, row) in &mut self.rows {
            let seen = self.seen.entry(key.clone()).or_insert(Seen {
                position: row.position,
                at_s: elapsed_s,
                per_second: 0.0,
            });
            row.per_second = seen.rate(row.position, elapsed_s);
        }
        let rows: Vec<Row> = match self.rows.len() {
            0 => return Vec::new(),
            n if n <= SINGLE_MAX => self.rows.iter().map(|(_, row)| row.clone()).collect(),
            _ => by_source(&self.rows),
        };
        let head = ["partition", "position", "lag", "committed", "rows/s", "watermark"].map(str::to_owned).to_vec();
        let shown = rows.iter().take(SINGLE_MAX).map(cells);
        let mut lines = aligned(&std::iter::once(head).chain(shown).collect::<Vec<_>>());
        if rows.len() > SINGLE_MAX {
            lines.push(format!("… {} more sources", rows.len() - SINGLE_MAX));
        }
        lines
    }
}

impl Seen {
    /// Records per second over the last span; the one before while the present span is short.
    fn rate(&mut self, position: i64, now_s: f64) -> f64 {
        // Time starts again with each assignment of the group.
        if now_s < self.at_s || position < self.position {
            *self = Seen { position, at_s: now_s, per_second: 0.0 };
        }
        let span_s = now_s - self.at_s;
        if span_s >= RATE_SPAN_S {
            let per_second = (position - self.position) as f64 / span_s;
            *self = Seen { position, at_s: now_s, per_second };
        }
        self.per_second
    }
}

/// Sums of the partitions of each source. What is committed is known when all are; the watermark is the lowest.
fn by_source(rows: &[(Key, Row)]) -> Vec<Row> {
    let mut sums: Vec<(&str, usize, Row)> = Vec::new();
    for ((source, _), row) in rows {
        match sums.last_mut().filter(|(name, ..)| name == source) {
            Some((_, partitions, sum)) => {
                *partitions += 1;
                sum.position += row.position;
                sum.lag += row.lag;
                sum.committed = sum.committed.zip(row.committed).map(|(a, b)| a + b);
                sum.watermark_ms = sum.watermark_ms.into_iter().chain(row.watermark_ms).min();
                sum.per_second += row.per_second;
            }
            None => sums.push((source, 1, row.clone())),
        }
    }
    let named = |(source, partitions, sum): (&str, usize, Row)| {
        let plural = if partitions == 1 { "" } else { "s" };
        let name = format!("{} ({partitions} partition{plural})", shortened(source));
        Row { name, ..sum }
    };
    sums.into_iter().map(named).collect()
}

fn cells(row: &Row) -> Vec<String> {
    let number = |n: i64| count(u64::try_from(n).unwrap_or(0));
    let watermark = |ms: i64| timestamp_text(ms.saturating_mul(NS_PER_MS));
    vec![
        row.name.clone(),
        number(row.position),
        number(row.lag),
        row.committed.map_or_else(|| "-".to_owned(), number),
        rate(row.per_second),
        row.watermark_ms.map_or_else(|| "-".to_owned(), watermark),
    ]
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS {
        return name.to_owned();
    }
    name.chars().take(NAME_CHARS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use velostream_runtime::job::LogReport;
    use velostream_types::{PartitionId, SourceId};

    use super::*;

    fn told(source: &str, partition: u32, position: i64, committed: Option<i64>) -> PartitionReport {
        let end = position + 5;
        let lag = end - committed.unwrap_or(position);
        PartitionReport {
            source: source.to_owned(),
            partition,
            rows: 0,
            watermark_ms: (position > 0).then_some(1_735_828_205_000 + position),
            ended: false,
            log: Some(LogReport { position, end, lag, committed, records_lost: 0, throttle_ms: 0 }),
            at: (SourceId(0), PartitionId(partition)),
        }
    }

    fn check(partitions: &mut Partitions, told: &[PartitionReport], at_s: f64, expect: &[&str]) {
        partitions.stand(told);
        assert_eq!(partitions.lines(at_s), expect, "at {at_s} s");
    }

    #[test]
    fn a_line_each() {
        let mut partitions = Partitions::default();
        check(&mut partitions, &[], 1.0, &[]);
        let begin = [told("orders", 0, 1_000, None), told("orders", 1, 0, None)];
        check(
            &mut partitions,
            &begin,
            1.0,
            &[
                "partition  position  lag  committed  rows/s                watermark",
                "orders-0      1,000    5          -       0  2025-01-02 14:30:06.000",
                "orders-1          0    5          -       0                        -",
            ],
        );
        let on = [told("orders", 0, 25_000, Some(20_000)), told("orders", 1, 10, Some(0))];
        let lines = [
            "partition  position    lag  committed  rows/s                watermark",
            "orders-0     25,000  5,005     20,000  12,000  2025-01-02 14:30:30.000",
            "orders-1         10     15          0       5  2025-01-02 14:30:05.010",
        ];
        check(&mut partitions, &on, 3.0, &lines);
        check(&mut partitions, &on, 3.5, &lines);
        partitions.stand(&on);
        assert!(partitions.lines(4.5)[1].contains("     0  2025"), "nothing came for a second");
    }

    #[test]
    fn the_time_that_starts_again_gives_no_rates() {
        let mut partitions = Partitions::default();
        partitions.stand(&[told("t", 0, 900, None)]);
        partitions.lines(50.0);
        partitions.stand(&[told("t", 0, 1_900, None)]);
        assert!(partitions.lines(0.1)[1].contains("  0  "));
        partitions.stand(&[told("t", 0, 2_900, None)]);
        assert!(partitions.lines(1.1)[1].contains("  1,000  "));
    }

    #[test]
    fn many_are_summed_by_source() {
        let mut partitions = Partitions::default();
        let mut all: Vec<_> = (0..8).map(|p| told("orders", p, 1_000 * i64::from(p), Some(0))).collect();
        all.push(told("a_name_that_is_longer_than_any_terminal_likes", 0, 7, None));
        check(
            &mut partitions,
            &all,
            1.0,
            &[
                "partition                                       position     lag  committed  rows/s                watermark",
                "orders (8 partitions)                             28,000  28,040          0       0  2025-01-02 14:30:06.000",
                "a_name_that_is_longer_than_any_… (1 partition)         7       5          -       0  2025-01-02 14:30:05.007",
            ],
        );
        let many: Vec<_> = (0..10).map(|s| told(&format!("s{s}"), 0, 7, None)).collect();
        partitions.stand(&many);
        let lines = partitions.lines(2.0);
        assert_eq!((lines.len(), lines[9].as_str()), (10, "… 2 more sources"));
    }
}
