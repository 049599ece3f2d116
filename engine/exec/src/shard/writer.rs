//! The one writer of a sink: takes encoded rows of all shards and puts them in the order the sink promises.
//!
//! Runs on the sink's home shard. Unordered sinks pass rows on as they come (each sender's order is kept). Ordered
//! sinks (FINAL results) hold rows until the merged watermark passes their window end, then give them sorted by
//! (window end, first-seen, bytes): the same bytes for any shard count. Memory: the rows of the windows that closed
//! on some shard and not yet on all.

use arrow_array::Array;
use velostream_state::snapshot::{SnapshotError, SnapshotReader, StateTable};
use velostream_types::time::WM_END;
use velostream_types::within::{self, Within};
use velostream_types::{Chunk, Column, Value};

use super::io::Write;

/// Order and limit of one sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteRule {
    /// Merge by order triple at watermark steps.
    pub ordered: bool,
    /// At most this many rows: of each window when `limit_per_window`, else of the whole output in as-if order.
    pub limit: Option<u64>,
    /// The limit counts per window end.
    pub limit_per_window: bool,
}

/// Writer of one sink.
#[derive(Debug)]
pub struct SinkMerge {
    sink: usize,
    rule: WriteRule,
    /// One shard sends, in order already: nothing to merge.
    single: bool,
    held: Vec<Held>,
    /// What these rows take.
    held_bytes: usize,
    written: u64,
    window: Option<i64>,
}

type Order = (i64, Within, u64);
/// A waiting row: order, bytes, key, time in ms.
type Held = (Order, Vec<u8>, Option<Box<[u8]>>, i64);

fn bytes_of((_, row, key, _): &Held) -> usize {
    row.len() + key.as_ref().map_or(0, |k| k.len()) + size_of::<Held>()
}

fn int_at(column: &Column, i: usize) -> i64 {
    match column.value(i) {
        Value::Int(n) => n,
        _ => 0,
    }
}

impl SinkMerge {
    /// The writer of sink number `sink`, fed by `shards` shards.
    pub fn new(sink: usize, rule: WriteRule, shards: u16) -> SinkMerge {
        SinkMerge { sink, rule, single: shards == 1, held: Vec::new(), held_bytes: 0, written: 0, window: None }
    }

    /// Rows that wait for their watermark step.
    pub fn held_rows(&self) -> usize {
        self.held.len()
    }

    /// Bytes of the rows that wait.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    fn hold(&mut self, row: Held) {
        self.held_bytes += bytes_of(&row);
        self.held.push(row);
    }

    /// Takes rows.
    pub fn rows(&mut self, chunk: Chunk, out: &mut Vec<Write>) {
        let needs_order = self.rule.ordered || self.rule.limit.is_some();
        if !needs_order || (self.single && self.rule.limit.is_none()) {
            // What several shards left behind at a restart stands before all that comes.
            self.release(|_| true, out);
            self.written += chunk.rows() as u64;
            out.push(Write::Rows(self.sink, chunk));
            return;
        }
        for i in 0..chunk.rows() {
            let key = chunk.keys.get(i).cloned().flatten();
            let time = chunk.times_ms.get(i).copied().unwrap_or_default();
            self.hold((chunk.order[i], chunk.row(i).to_vec(), key, time));
        }
        self.forget_beyond_limit();
    }

    /// A watermark step: gives out what it completed.
    pub fn watermark(&mut self, at: i64, out: &mut Vec<Write>) {
        let by_time = self.rule.ordered;
        self.release(|order| at == WM_END || (by_time && order.0 <= at), out);
        if at == WM_END {
            out.push(Write::Finish(self.sink));
        }
    }

    /// Everything that is not held back for its order was given out. What is held stems from windows that closed on
    /// some shard only; the barrier, which all shards gave, stands behind the watermark that releases it.
    pub fn mark(&self, barrier: u64, out: &mut Vec<Write>) {
        out.push(Write::Mark(self.sink, barrier));
    }

    /// The run stops: all rows that reached the writer stem from closed windows, so all are given out.
    pub fn stop(&mut self, out: &mut Vec<Write>) {
        self.release(|_| true, out);
    }

    /// Rows that wait, and what counts towards a limit. The writer is one per sink, so rows belong to no vnode.
    pub fn snapshot(&self) -> Vec<StateTable> {
        let ints = |f: &dyn Fn(&Held) -> i64| Column::ints(self.held.iter().map(f).collect(), None);
        let bytes = |f: &dyn Fn(&Held) -> Option<Vec<u8>>| Column::Bytes(self.held.iter().map(f).collect());
        let table = |name: &str, columns| StateTable { name: name.to_owned(), version: 1, vnodes: None, columns };
        if self.held.is_empty() && self.rule.limit.is_none() {
            return Vec::new();
        }
        vec![
            table(
                "held",
                vec![
                    ints(&|h| h.0.0),
                    within::column(self.held.iter().map(|h| h.0.1)),
                    ints(&|h| h.0.2 as i64),
                    bytes(&|h| Some(h.1.clone())),
                    bytes(&|h| h.2.as_ref().map(|k| k.to_vec())),
                    ints(&|h| h.3),
                ],
            ),
            table(
                "written",
                vec![
                    Column::ints(vec![self.written as i64], None),
                    Column::ints(vec![self.window.unwrap_or(i64::MIN)], None),
                ],
            ),
        ]
    }

    /// Takes up what [`SinkMerge::snapshot`] gave.
    pub fn restore(&mut self, from: &SnapshotReader) -> Result<(), SnapshotError> {
        for table in &from.tables {
            match (table.name.as_str(), table.columns.as_slice()) {
                ("held", [major, minor, tie, Column::Bytes(bytes), Column::Bytes(keys), times]) => {
                    for i in 0..bytes.len() {
                        let minor = within::at(minor, i)
                            .ok_or_else(|| SnapshotError::Shape("a sink's writer: the order of its rows".to_owned()))?;
                        let order = (int_at(major, i), minor, int_at(tie, i) as u64);
                        let key = (!keys.is_null(i)).then(|| keys.value(i).into());
                        self.hold((order, bytes.value(i).to_vec(), key, int_at(times, i)));
                    }
                }
                ("written", [written, window]) => {
                    self.written += int_at(written, 0) as u64;
                    self.window = Some(int_at(window, 0)).filter(|w| *w != i64::MIN);
                }
                (name, _) => return Err(SnapshotError::Shape(format!("table {name} of a sink's writer"))),
            }
        }
        Ok(())
    }

    /// Without windows only the first `limit` rows in as-if order can matter; more are not kept.
    fn forget_beyond_limit(&mut self) {
        let (Some(limit), false) = (self.rule.limit, self.rule.limit_per_window) else { return };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if self.held.len() >= limit.saturating_mul(2).max(1024) {
            self.held.sort_unstable();
            self.held.truncate(limit);
            self.held_bytes = self.held.iter().map(bytes_of).sum();
        }
    }

    fn release(&mut self, due: impl Fn(&Order) -> bool, out: &mut Vec<Write>) {
        if self.held.is_empty() {
            return;
        }
        self.held.sort_unstable();
        let cut = self.held.partition_point(|(order, ..)| due(order));
        if cut == 0 {
            return;
        }
        let mut chunk = Chunk::default();
        let with_keys = self.held.iter().any(|(_, _, key, _)| key.is_some());
        self.held_bytes -= self.held[..cut].iter().map(bytes_of).sum::<usize>();
        for (order, bytes, key, time) in self.held.drain(..cut) {
            if let Some(limit) = self.rule.limit {
                if self.rule.limit_per_window && self.window != Some(order.0) {
                    self.window = Some(order.0);
                    self.written = 0;
                }
                if self.written >= limit {
                    continue;
                }
            }
            self.written += 1;
            chunk.bytes.extend_from_slice(&bytes);
            chunk.end_row();
            chunk.times_ms.push(time);
            if with_keys {
                chunk.keys.push(key);
            }
        }
        if !chunk.is_empty() {
            out.push(Write::Rows(self.sink, chunk));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(rows: &[(i64, i64, &str)]) -> Chunk {
        let mut chunk = Chunk::default();
        for (end, first, text) in rows {
            chunk.bytes.extend_from_slice(text.as_bytes());
            chunk.end_row();
            chunk.order.push((*end, within::inside(*first, within::HERE), 0));
        }
        chunk
    }

    fn text(writes: &[Write]) -> String {
        writes
            .iter()
            .map(|w| match w {
                Write::Rows(_, c) => String::from_utf8_lossy(&c.bytes).into_owned(),
                Write::Finish(_) => "|".to_owned(),
                Write::Dead(..) | Write::FinishDead(_) | Write::Mark(..) | Write::MarkDead(..) => "?".to_owned(),
            })
            .collect()
    }

    #[test]
    fn rows_of_all_shards_come_out_by_window_end_then_first_seen() {
        let rule = WriteRule { ordered: true, ..WriteRule::default() };
        let mut merge = SinkMerge::new(0, rule, 2);
        let mut out = Vec::new();
        merge.rows(chunk(&[(10, 5, "b"), (20, 1, "d")]), &mut out);
        merge.rows(chunk(&[(10, 2, "a"), (20, 0, "c")]), &mut out);
        assert!(out.is_empty());
        merge.watermark(10, &mut out);
        assert_eq!(text(&out), "ab");
        merge.watermark(WM_END, &mut out);
        assert_eq!(text(&out), "abcd|");
    }

    #[test]
    fn a_limit_takes_the_first_rows_in_order_of_the_whole_or_of_each_window() {
        for (per_window, want) in [(false, "a|"), (true, "ac|")] {
            let rule = WriteRule { ordered: true, limit: Some(1), limit_per_window: per_window };
            let mut merge = SinkMerge::new(0, rule, 1);
            let mut out = Vec::new();
            merge.rows(chunk(&[(10, 5, "b"), (20, 1, "d"), (10, 2, "a"), (20, 0, "c")]), &mut out);
            merge.watermark(WM_END, &mut out);
            assert_eq!(text(&out), want);
        }
    }
}
