//! Columns of pairs, and which pairs the residual lets match.
//!
//! Cost: one gather per output column; the residual is evaluated once over all pairs of a batch.

use std::sync::Arc;

use velostream_sql::plan::{JoinColumn, JoinSpec, Side};
use velostream_state::rows::{NONE, RowStore};
use velostream_types::time::NS_PER_MS;
use velostream_types::{Batch, Column, DeadLetter, DlqId, RowMeta};

use super::marks::Mark;
use crate::expr::{EvalContext, Evaluator};
use crate::operator::OpCx;

/// Rows that pairs are made of.
pub trait Rows {
    /// One column of these rows; NULL for [`NONE`].
    fn gather(&self, column: usize, rows: &[u32]) -> Column;
}

impl Rows for RowStore {
    fn gather(&self, column: usize, rows: &[u32]) -> Column {
        RowStore::gather(self, column, rows)
    }
}

impl Rows for [Column] {
    fn gather(&self, column: usize, rows: &[u32]) -> Column {
        match rows.contains(&NONE) {
            true => self[column].take_or_null(rows),
            false => self[column].take(rows),
        }
    }
}

/// What leaves a join.
#[derive(Debug)]
pub struct Output {
    columns: Vec<JoinColumn>,
    residual: Option<Evaluator>,
    ctx: EvalContext,
    names: Arc<[Arc<str>]>,
    dlq: DlqId,
}

impl Output {
    /// That of this join; `names` are the sources' by number, for dead letters.
    pub fn new(spec: &JoinSpec, ctx: EvalContext, names: Arc<[Arc<str>]>, dlq: DlqId) -> Output {
        Output { columns: spec.output.clone(), residual: spec.residual.as_ref().map(Evaluator::new), ctx, names, dlq }
    }

    /// TRUE when pairs have more to meet than their keys.
    pub fn has_residual(&self) -> bool {
        self.residual.is_some()
    }

    /// The columns of these pairs. `windows`: start and end of each pair's window, ns.
    pub fn columns<L: Rows + ?Sized, R: Rows + ?Sized>(
        &self,
        left: &L,
        lefts: &[u32],
        right: &R,
        rights: &[u32],
        windows: &[(i64, i64)],
    ) -> Vec<Column> {
        let bound = |f: &dyn Fn(&(i64, i64)) -> i64| {
            Column::ints(windows.iter().map(|window| f(window).div_euclid(NS_PER_MS)).collect(), None)
        };
        let column = |column: &JoinColumn| match column {
            JoinColumn::Of(Side::Left, at) => left.gather(*at, lefts),
            JoinColumn::Of(Side::Right, at) => right.gather(*at, rights),
            JoinColumn::WindowStart => bound(&|window| window.0),
            JoinColumn::WindowEnd => bound(&|window| window.1),
        };
        self.columns.iter().map(column).collect()
    }

    /// Which pairs match, by the residual over their columns. One whose residual errs does not, and is a dead letter.
    pub fn matches(&mut self, columns: &[Column], marks: &[Mark], cx: &mut OpCx<'_>) -> Vec<bool> {
        let Some(residual) = self.residual.as_mut().filter(|_| !marks.is_empty()) else {
            return vec![true; marks.len()];
        };
        let times = |f: &dyn Fn(&Mark) -> i64| Some(marks.iter().map(f).collect::<Vec<i64>>().into());
        let meta = RowMeta {
            event_time: times(&|mark| mark.event_time),
            wm_own: times(&|mark| mark.wm_own),
            ..RowMeta::plain(marks[0].origin.0, marks[0].origin.1, 0)
        };
        let batch = Batch::new(columns.to_vec(), marks.len(), meta);
        self.ctx.now_ns = cx.now_ns;
        let found = residual.filter_mask(&batch, &self.ctx);
        cx.counters.division_by_zero += found.division_by_zero;
        for failed in found.errors {
            cx.counters.dead_lettered += 1;
            let mark = &marks[failed.row as usize];
            let source = self.names.get(mark.origin.0.index()).cloned().unwrap_or_else(|| Arc::from("query"));
            let values: Vec<String> = columns.iter().map(|c| c.value(failed.row as usize).to_string()).collect();
            let letter = DeadLetter {
                error: failed.error,
                source,
                partition: mark.origin.1,
                offset: mark.offset,
                position: None,
                full_length: None,
                bytes: mark.raw.as_ref().map_or_else(|| values.join(",").into_bytes(), |raw| raw.to_vec()),
                origin: None,
            };
            cx.dead.push((self.dlq, letter));
        }
        found.keep.iter().map(|keep| keep == Some(true)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use velostream_sql::plan::{Apart, JoinKind, JoinMode, Placement};
    use velostream_types::{DataType, Value};

    #[test]
    fn a_row_without_a_partner_has_null_there() {
        let spec = JoinSpec {
            kind: JoinKind::Full,
            mode: JoinMode::Tables,
            left_keys: vec![0],
            right_keys: vec![0],
            residual: None,
            output: vec![JoinColumn::Of(Side::Right, 0), JoinColumn::Of(Side::Left, 0), JoinColumn::WindowEnd],
            defaults: Vec::new(),
            identity: None,
            placement: Placement::ByKey(Apart::Unknown),
            replaces: false,
        };
        let ctx = EvalContext { run_start_ms: 0, now_ns: 0, seed: 0 };
        let output = Output::new(&spec, ctx, Arc::from([]), DlqId(0));
        let mut store = RowStore::new(&[DataType::Integer]);
        let slot = store.put_values(&[Value::Int(7)]);
        let batch = [Column::ints(vec![1, 2], None)];
        let columns =
            output.columns(&batch[..], &[1, NONE], &store, &[NONE, slot], &[(0, 5 * NS_PER_MS), (0, NS_PER_MS)]);
        let row = |at| columns.iter().map(|column| column.value(at).to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!([row(0), row(1)], ["NULL 2 5", "7 NULL 1"]);
    }
}
