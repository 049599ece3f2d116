//! Computes one column per expression. Stateless; runs where its input is. A row for which any expression errs goes to
//! the dead letter once, with the first error, and leaves the output.
//!
//! `expr AS _event_time` gives rows a new time. A row of a source keeps the watermark of its partition, and is late when
//! its new time lies before it. A row of a window may go anywhere within its window, so rows can come so much further
//! behind the watermark: it is forwarded less the window's size, and so are the rows' own.

use std::sync::Arc;

use arrow_array::{Array, BooleanArray};
use velostream_sql::plan::{Expr, ExprKind, WindowSpec};
use velostream_types::time::{NS_PER_MS, WM_END, WM_NONE, timestamp_text};
use velostream_types::{Batch, Column, DlqId, ErrorCode, Fatal, RecordError, Stage};

use super::aggregate::Grid;
use super::filter::bury;
use crate::expr::{EvalContext, Evaluator, RowError};
use crate::operator::{Msg, OpCx, Operator};

/// The operator.
pub struct Project {
    columns: Vec<Output>,
    event_time: Option<Evaluator>,
    /// New times are those of rows of windows.
    spans: Option<Spans>,
    ctx: EvalContext,
    names: Arc<[Arc<str>]>,
    dlq: DlqId,
    ready: Option<Msg>,
    /// Empty; the list of the last input, which holds the columns of the next output.
    spare: Vec<Column>,
}

/// How long the windows are whose rows get new times, ns.
#[derive(Clone, Debug)]
pub struct Spans {
    /// None for sessions.
    grid: Option<Grid>,
    /// How far behind the watermark of the windows a row may come.
    longest: i64,
}

impl Spans {
    /// Those of this window. Of a session counts the gap behind its last row: it may have begun at any time.
    pub fn new(window: &WindowSpec) -> Spans {
        // Clocks are put back by an hour, so a local day has up to 25.
        let size = window.kind.size_ns();
        let longest = if window.zone.is_some() { size / 24 * 25 } else { size };
        Spans { grid: (!window.is_session()).then(|| Grid::new(window)), longest }
    }

    /// First instant that a row may be given whose window ends behind `last`.
    fn first(&self, last: i64) -> i64 {
        match &self.grid {
            Some(grid) => grid.start_of_end(last.saturating_add(1)),
            None => last.saturating_add(1).saturating_sub(self.longest),
        }
    }

    fn behind(&self, watermark: i64) -> i64 {
        if watermark == WM_END { watermark } else { watermark.saturating_sub(self.longest) }
    }
}

/// A plain column is moved on without evaluation.
enum Output {
    Input(usize),
    Computed(Box<Evaluator>),
}

impl Project {
    /// A projection; `names` are the sources' names by source number, for dead letters. New times come with the windows
    /// that the rows are of, if any.
    pub fn new(
        exprs: &[Expr],
        event_time: Option<(&Expr, Option<Spans>)>,
        ctx: EvalContext,
        names: Arc<[Arc<str>]>,
        dlq: DlqId,
    ) -> Project {
        let columns = exprs
            .iter()
            .map(|e| match e.kind {
                ExprKind::Column(i) => Output::Input(i),
                _ => Output::Computed(Box::new(Evaluator::new(e))),
            })
            .collect();
        let (event_time, spans) = event_time.unzip();
        Project {
            columns,
            event_time: event_time.map(Evaluator::new),
            spans: spans.flatten(),
            ctx,
            names,
            dlq,
            ready: None,
            spare: Vec::new(),
        }
    }

    fn compute(&mut self, batch: &Batch, errors: &mut Vec<RowError>, cx: &mut OpCx<'_>) -> Vec<Column> {
        let mut columns = std::mem::take(&mut self.spare);
        columns.reserve(self.columns.len());
        for output in &mut self.columns {
            columns.push(match output {
                Output::Input(i) => batch.columns[*i].clone(),
                Output::Computed(evaluator) => {
                    let result = evaluator.eval(batch, &self.ctx);
                    cx.counters.division_by_zero += result.division_by_zero;
                    cx.counters.rounded += result.rounded;
                    errors.extend(result.errors);
                    result.column
                }
            });
        }
        columns
    }

    /// Replaces the rows' event time by `expr AS _event_time`: ms of an Integer, or a Timestamp.
    fn restamp(&mut self, batch: &Batch, out: &mut Batch, errors: &mut Vec<RowError>) {
        let Some(evaluator) = &mut self.event_time else { return };
        let result = evaluator.eval(batch, &self.ctx);
        errors.extend(result.errors);
        let mut times = Vec::with_capacity(batch.rows);
        let mut owns = Vec::with_capacity(batch.rows);
        let placed = batch.meta.event_time.as_deref();
        for row in 0..batch.rows {
            let at = match &result.column {
                Column::Int(a) if a.is_valid(row) => a.value(row).checked_mul(NS_PER_MS),
                Column::Timestamp(a) if a.is_valid(row) => Some(a.value(row)),
                _ => None,
            };
            let own = batch.meta.wm_own.as_ref().map_or(WM_NONE, |w| w[row]);
            let own = self.spans.as_ref().map_or(own, |spans| spans.behind(own));
            let span = self.spans.as_ref().zip(placed).map(|(spans, times)| (spans.first(times[row]), times[row]));
            if let Some(error) = wrong_time(at, span, own) {
                errors.push(RowError { row: row as u32, error });
            }
            times.push(at.unwrap_or(own));
            owns.push(own);
        }
        out.meta.event_time = Some(times.into());
        out.meta.wm_own = Some(owns.into());
    }
}

/// What is wrong with a new time: it is none, lies outside the window (its first and last instant) that the row is of, or
/// before the watermark.
fn wrong_time(at: Option<i64>, span: Option<(i64, i64)>, own: i64) -> Option<RecordError> {
    let (code, message) = match (at, span) {
        (None, _) => {
            (ErrorCode::EventTime, "the expression for _event_time gave NULL or a time outside 1677-2262".to_owned())
        }
        (Some(at), Some((first, last))) if at < first || at > last => {
            let [at, from, to] = [at, first, last.saturating_add(1)].map(timestamp_text);
            let message =
                format!("the new _event_time {at} lies outside {from} to {to}, where rows of this window belong");
            (ErrorCode::EventTime, message)
        }
        (Some(at), _) if at < own => {
            (ErrorCode::Late, "the new _event_time lies before the watermark of the row's own partition".to_owned())
        }
        _ => return None,
    };
    Some(RecordError { code, stage: Stage::Process, message: message.into(), span: None })
}

impl Operator for Project {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        let mut batch = match (msg, &self.spans) {
            (Msg::Batch(batch), _) => batch,
            (Msg::Watermark(at), Some(spans)) => {
                self.ready = Some(Msg::Watermark(spans.behind(at)));
                return Ok(());
            }
            (msg, _) => {
                self.ready = Some(msg);
                return Ok(());
            }
        };
        cx.counters.rows_in += batch.rows as u64;
        self.ctx.now_ns = cx.now_ns;
        let mut errors = Vec::new();
        let columns = self.compute(&batch, &mut errors, cx);
        let mut out = Batch { columns, rows: batch.rows, meta: batch.meta.clone() };
        self.restamp(&batch, &mut out, &mut errors);
        if !errors.is_empty() {
            errors.sort_by_key(|e| e.row);
            errors.dedup_by_key(|e| e.row);
            cx.counters.late += errors.iter().filter(|e| e.error.code == ErrorCode::Late).count() as u64;
            let mut keep = vec![true; batch.rows];
            errors.iter().for_each(|e| keep[e.row as usize] = false);
            bury(errors, &batch, &self.names, self.dlq, cx);
            out = out.filter(&BooleanArray::from(keep));
        }
        cx.counters.rows_out += out.rows as u64;
        batch.columns.clear();
        self.spare = batch.columns;
        self.ready = (out.rows > 0).then_some(Msg::Batch(out));
        Ok(())
    }

    fn hands_back_on(&self) -> bool {
        self.spans.is_none()
    }

    fn pull(&mut self, _cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        Ok(self.ready.take())
    }
}
