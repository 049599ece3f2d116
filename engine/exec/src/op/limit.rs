//! Lets the first n rows of each partition through; the sink's writer takes the n first of all of them in as-if order.
//! State: one counter per partition. A shard that reads a single partition ends its input as soon as n rows passed, so
//! that `LIMIT 10` of an endless feed completes.

use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::time::WM_END;
use velostream_types::{Column, Fatal, Value};

use crate::operator::{Msg, OpCx, Operator};

/// The operator.
pub struct Limit {
    rows: u64,
    /// Rows let through per (source, partition), ascending.
    passed: Vec<((u16, u32), u64)>,
    /// Only one partition feeds the whole relation.
    single: bool,
    ended: bool,
    ready: Option<Msg>,
}

impl Limit {
    /// A limit of `rows`; `single` when one partition feeds the relation.
    pub fn new(rows: u64, single: bool) -> Limit {
        Limit { rows, passed: Vec::new(), single, ended: false, ready: None }
    }

    fn passed_mut(&mut self, key: (u16, u32)) -> &mut u64 {
        let at = match self.passed.binary_search_by_key(&key, |(k, _)| *k) {
            Ok(at) => at,
            Err(at) => {
                self.passed.insert(at, (key, 0));
                at
            }
        };
        &mut self.passed[at].1
    }
}

impl Operator for Limit {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        if self.ended {
            if matches!(msg, Msg::Barrier(_)) {
                self.ready = Some(msg);
            }
            return Ok(());
        }
        let Msg::Batch(batch) = msg else {
            self.ended = matches!(msg, Msg::Watermark(WM_END));
            self.ready = Some(msg);
            return Ok(());
        };
        cx.counters.rows_in += batch.rows as u64;
        let limit = self.rows;
        let passed = self.passed_mut((batch.meta.source.0, batch.meta.partition));
        let take = (limit - (*passed).min(limit)).min(batch.rows as u64);
        *passed += take;
        let full = *passed >= limit;
        cx.counters.rows_out += take;
        self.ready = match take as usize {
            0 => None,
            n if n == batch.rows => Some(Msg::Batch(batch)),
            n => Some(Msg::Batch(batch.slice(0, n))),
        };
        self.ended = full && self.single;
        if self.ended && self.ready.is_none() {
            self.ready = Some(Msg::Watermark(WM_END));
        }
        Ok(())
    }

    fn pull(&mut self, _cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        let out = self.ready.take();
        if self.ended && matches!(out, Some(Msg::Batch(_))) {
            self.ready = Some(Msg::Watermark(WM_END));
        }
        Ok(out)
    }

    fn is_satisfied(&self) -> bool {
        self.ended
    }

    fn snapshot(&self, out: &mut SnapshotWriter) {
        let column = |f: fn(&((u16, u32), u64)) -> i64| Column::ints(self.passed.iter().map(f).collect(), None);
        out.tables.push(StateTable {
            name: "passed".to_owned(),
            version: 1,
            vnodes: None,
            columns: vec![column(|p| i64::from(p.0.0)), column(|p| i64::from(p.0.1)), column(|p| p.1 as i64)],
        });
    }

    fn restore(&mut self, from: &SnapshotReader, _owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        for table in from.tables.iter().filter(|t| t.name == "passed") {
            let [source, partition, rows] = table.columns.as_slice() else {
                return Err(SnapshotError::Shape("table passed has three columns".to_owned()));
            };
            for i in 0..rows.len() {
                if let (Value::Int(s), Value::Int(p), Value::Int(n)) =
                    (source.value(i), partition.value(i), rows.value(i))
                {
                    // Whoever was restored before knows the counts of partitions that others read on: the highest is right.
                    let passed = self.passed_mut((s as u16, p as u32));
                    *passed = (*passed).max(n as u64);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_any_number_of_restores() {
        let mut limits = vec![Limit::new(5, false)];
        *limits[0].passed_mut((0, 3)) = 2;
        for shards in [2, 4, 1] {
            let mut parts = Vec::new();
            for limit in &limits {
                let mut out = SnapshotWriter::default();
                limit.snapshot(&mut out);
                parts.push(SnapshotReader { tables: out.tables });
            }
            limits = (0..shards).map(|_| Limit::new(5, false)).collect();
            for limit in &mut limits {
                parts.iter().for_each(|part| limit.restore(part, &|_| true).expect("its own tables"));
                assert_eq!(*limit.passed_mut((0, 3)), 2);
            }
        }
    }
}
