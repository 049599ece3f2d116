//! Contract checks around operators, for tests and simulation.
//!
//! `Checked` wraps an operator and stops the run at the first message that breaks what `operator` promises: one
//! message at a time, watermarks that never go back, nothing behind the end, columns of the plan's schema and of equal
//! length, metadata for every row, weights only where the plan has a changelog, no row lost by a projection. On in
//! every simulated world, and everywhere with the feature `check`. Cost: a pass over the metadata of each batch.

use velostream_sql::plan::{Node, NodeKind};
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{Batch, Fatal, Offsets, RowOrder};

use crate::op::metrics::SeriesPart;
use crate::operator::{Msg, NodeCounters, OpCx, OpenWindows, Operator};
use crate::shard::STOP_BARRIER;

/// An operator under watch.
pub struct Checked {
    inner: Box<dyn Operator>,
    name: String,
    /// Columns of each output batch; a Combine's state columns are its own business.
    columns: Option<usize>,
    changelog: bool,
    /// Every row taken is given or dead-lettered.
    conserves: bool,
    open: bool,
    /// What it gave last is a barrier.
    at_barrier: bool,
    /// By port.
    watermark_in: Vec<i64>,
    watermark_out: i64,
    /// By port.
    stopped: Vec<bool>,
}

impl Checked {
    /// Watches `inner`, the operator of `node`.
    pub fn new(inner: Box<dyn Operator>, node: &Node) -> Checked {
        let (name, columns, conserves) = match &node.kind {
            NodeKind::Combine(_) => ("Combine", None, false),
            NodeKind::Sink { .. } => ("Sink", None, false),
            NodeKind::Project { .. } => ("Project", Some(node.schema.len()), true),
            NodeKind::Filter { .. } => ("Filter", Some(node.schema.len()), false),
            NodeKind::Limit { .. } => ("Limit", Some(node.schema.len()), false),
            NodeKind::Aggregate(_) => ("Aggregate", Some(node.schema.len()), false),
            NodeKind::Sort(_) => ("Sort", Some(node.schema.len()), false),
            NodeKind::Materialize { .. } => ("Materialize", Some(node.schema.len()), false),
            NodeKind::Values { .. } => ("Values", Some(node.schema.len()), false),
            NodeKind::Upsert { .. } => ("Upsert", Some(node.schema.len()), false),
            NodeKind::Amend(_) => ("Amend", Some(node.schema.len()), false),
            NodeKind::Events => ("Events", Some(node.schema.len()), false),
            NodeKind::Unnest(_) => ("Unnest", Some(node.schema.len()), false),
            NodeKind::Union => ("Union", Some(node.schema.len()), true),
            NodeKind::Over(_) => ("Over", Some(node.schema.len()), false),
            NodeKind::Join(_) | NodeKind::Subqueries(_) => ("Relation", Some(node.schema.len()), false),
            NodeKind::Scan { .. } | NodeKind::Exchange { .. } => ("stage", None, false),
        };
        let ports = node.inputs.len().max(1);
        Checked {
            inner,
            name: format!("{name} (node {})", node.id),
            columns,
            changelog: node.changelog,
            conserves,
            open: false,
            at_barrier: false,
            watermark_in: vec![WM_NONE; ports],
            watermark_out: WM_NONE,
            stopped: vec![false; ports],
        }
    }

    fn check_batch(&self, batch: &Batch, cx: &OpCx<'_>) {
        let name = &self.name;
        assert!(batch.rows > 0, "{name} gave an empty batch");
        // A row and those it takes back stay in one batch, so a batch may be over by these.
        let given = (0..batch.rows).filter(|row| batch.meta.weight_at(*row) > 0).count();
        assert!(given.min(batch.rows - 1) <= cx.batch_rows.max(1), "{name} gave {} rows at once", batch.rows);
        if let Some(columns) = self.columns {
            assert_eq!(batch.columns.len(), columns, "{name}: columns of the plan's schema");
        }
        for (i, column) in batch.columns.iter().enumerate() {
            assert_eq!(column.len(), batch.rows, "{name}: length of column {i}");
        }
        check_meta(name, batch);
        if let Some(weights) = &batch.meta.weight {
            assert!(self.changelog, "{name} gave weights on an append-only relation");
            assert!(weights.iter().all(|w| *w == 1 || *w == -1), "{name}: weights are +1 or -1");
        }
    }

    fn check_counters(&self, counters: &NodeCounters) {
        if self.conserves {
            let left = counters.rows_out + counters.dead_lettered;
            assert_eq!(counters.rows_in, left, "{} lost a row", self.name);
        }
    }
}

fn check_meta(name: &str, batch: &Batch) {
    let (rows, meta) = (batch.rows, &batch.meta);
    let equal = |what: &str, len: Option<usize>| {
        assert!(len.is_none_or(|len| len == rows), "{name}: {what} for every row");
    };
    equal("event time", meta.event_time.as_ref().map(|b| b.len()));
    equal("own watermark", meta.wm_own.as_ref().map(|b| b.len()));
    equal("timestamp", meta.timestamp.as_ref().map(|b| b.len()));
    equal("weight", meta.weight.as_ref().map(|b| b.len()));
    equal("raw bytes", meta.raw.as_ref().map(arrow_array::Array::len));
    if let Offsets::List(list) = &meta.offsets {
        equal("offset", Some(list.len()));
    }
    match &meta.order {
        RowOrder::Source => {}
        RowOrder::Nth(tie) => equal("order", Some(tie.len())),
        RowOrder::Derived { major, minor, tie } => {
            equal("order", Some(major.len()));
            equal("order", Some(minor.len()));
            equal("order", Some(tie.len()));
        }
    }
    assert!(meta.event_time.is_none() || meta.wm_own.is_some(), "{name}: event time without own watermark");
}

impl Operator for Checked {
    fn push(&mut self, port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        let name = &self.name;
        assert!(!self.open, "{name} was pushed with its cursor open");
        assert!(!self.stopped[port], "{name} was pushed behind a stop");
        match &msg {
            Msg::Watermark(at) => {
                let back = *at < self.watermark_in[port];
                assert!(!back || self.inner.hands_back_on(), "{name}: watermark went back to {at}");
                self.watermark_in[port] = *at;
            }
            Msg::Batch(_) | Msg::Chunk(_) => {
                assert!(self.watermark_in[port] != WM_END, "{name} was pushed behind the end");
            }
            Msg::Barrier(id) => self.stopped[port] = *id == STOP_BARRIER,
            Msg::Passed(_) | Msg::Idle | Msg::Loaded => {}
        }
        self.open = true;
        self.inner.push(port, msg, cx)
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        assert!(self.open, "{} was pulled without a cursor", self.name);
        let out = self.inner.pull(cx)?;
        self.at_barrier = matches!(out, Some(Msg::Barrier(_)));
        match &out {
            None => {
                self.open = false;
                self.check_counters(cx.counters);
            }
            Some(Msg::Batch(batch)) => {
                assert!(self.watermark_out != WM_END, "{} gave rows behind its end", self.name);
                self.check_batch(batch, cx);
            }
            Some(Msg::Watermark(at)) => {
                let back = *at < self.watermark_out;
                assert!(!back || self.inner.hands_back_on(), "{} let its watermark go back to {at}", self.name);
                self.watermark_out = *at;
            }
            Some(Msg::Chunk(_) | Msg::Barrier(_) | Msg::Passed(_) | Msg::Idle | Msg::Loaded) => {}
        }
        Ok(out)
    }

    fn inputs(&self) -> usize {
        self.inner.inputs()
    }

    fn is_satisfied(&self) -> bool {
        self.inner.is_satisfied()
    }

    fn hands_back_on(&self) -> bool {
        self.inner.hands_back_on()
    }

    fn frontier(&self, at_end: bool) -> Option<i64> {
        self.inner.frontier(at_end)
    }

    fn resume(&mut self, frontier: i64) {
        self.inner.resume(frontier);
    }

    fn open_windows(&self) -> Option<OpenWindows> {
        self.inner.open_windows()
    }

    fn series(&self) -> Vec<SeriesPart> {
        self.inner.series()
    }

    fn released(&mut self, watermark: i64) {
        self.inner.released(watermark);
    }

    fn loaded(&mut self, port: usize) {
        self.inner.loaded(port);
    }

    fn snapshot(&self, out: &mut SnapshotWriter) {
        assert!(!self.open || self.at_barrier, "{} was snapshotted with its cursor open", self.name);
        self.inner.snapshot(out);
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        self.inner.restore(from, owns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use velostream_types::{Column, DlqId, Field, NodeId, RowMeta, Schema, SourceId};

    /// Gives what it is told to, whatever it takes.
    struct Says(Vec<Msg>);

    impl Operator for Says {
        fn push(&mut self, _port: usize, _msg: Msg, _cx: &mut OpCx<'_>) -> Result<(), Fatal> {
            Ok(())
        }

        fn pull(&mut self, _cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
            Ok(self.0.pop())
        }
    }

    fn caught(says: Vec<Msg>) -> String {
        let node = Node {
            id: NodeId(3),
            kind: NodeKind::Limit { rows: 1 },
            inputs: Vec::new(),
            schema: Arc::new(Schema::new(vec![Field::new("a", velostream_types::DataType::Integer)])),
            changelog: false,
            statement: 0,
            dlq: DlqId(0),
        };
        let run = move || {
            let mut checked = Checked::new(Box::new(Says(says)), &node);
            let (mut dead, mut counters) = (Vec::new(), NodeCounters::default());
            let mut cx =
                OpCx { now_ns: 0, batch_rows: 2, dead: &mut dead, counters: &mut counters, spare: &mut Vec::new() };
            checked.push(0, Msg::Watermark(1), &mut cx).expect("no fatal");
            while checked.pull(&mut cx).expect("no fatal").is_some() {}
        };
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Ok(()) => String::new(),
            Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
        }
    }

    fn batch(columns: usize, weight: Option<i8>) -> Msg {
        let meta = RowMeta { weight: weight.map(|w| vec![w].into()), ..RowMeta::plain(SourceId(0), 0, 0) };
        Msg::Batch(Batch { columns: vec![Column::ints(vec![7], None); columns], rows: 1, meta })
    }

    #[test]
    fn each_breach_of_the_contract_is_named() {
        let check = |says: Vec<Msg>, want: &str| {
            let got = caught(says);
            assert!(if want.is_empty() { got.is_empty() } else { got.contains(want) }, "{got:?} is not {want:?}");
        };
        check(vec![Msg::Watermark(1), batch(1, None)], "");
        check(vec![Msg::Watermark(1), Msg::Watermark(2)], "go back to 1");
        check(vec![batch(1, None), Msg::Watermark(WM_END)], "behind its end");
        check(vec![batch(2, None)], "columns of the plan's schema");
        check(vec![batch(1, Some(1))], "append-only");
    }
}
