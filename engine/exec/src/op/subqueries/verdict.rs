//! From the rows that an outer row meets to the one value of a subquery.
//!
//! Rows come block by block in any order, as numbers with the columns that the expressions read; what was found out about
//! each outer row is kept in between. EXISTS and comparisons are decided by one row, and errors of others do not matter
//! then. Where ORDER BY and LIMIT choose rows, the best are kept by bytes that compare as they do. State: none beyond the
//! outer rows at hand.

use arrow_array::{Array, BooleanArray};
use velostream_sql::plan::{CompareOp, Expr, ExprKind, SortKey, SubqueryKind, SubquerySpec};
use velostream_state::key::KeyEncoder;
use velostream_state::rows::{NONE, RowStore};
use velostream_types::{Batch, Column, DataType, ErrorCode, RecordError, RowMeta, SchemaRef, SourceId, Span, Stage};

use super::kept::Place;
use super::pairs::{Failures, Needs, Work};
use crate::expr::Evaluator;
use crate::op::sort_key;

/// What is done with the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// LIMIT 0.
    Nothing,
    /// Whether there is one.
    Any,
    /// Each value is compared.
    Each,
    /// The only row, or with DISTINCT the only value.
    Only { distinct: bool },
    /// The first so many by ORDER BY, or with DISTINCT those of so many values.
    First { rows: usize, distinct: bool },
}

/// A comparison with ANY or ALL.
#[derive(Debug)]
struct Comparison {
    /// Outer column.
    operand: usize,
    /// Over the operand and a value.
    compare: Evaluator,
    all: bool,
}

/// How the value is made; compiled once.
#[derive(Debug)]
pub(super) struct Judge {
    mode: Mode,
    value: Option<Evaluator>,
    comparison: Option<Comparison>,
    order: Vec<Evaluator>,
    sort: Vec<SortKey>,
    sort_types: Vec<DataType>,
    /// What rows have to bring when they are offered, and when the value is taken.
    offered: Needs,
    taken: Needs,
    result: DataType,
    span: Span,
    encoder: KeyEncoder,
}

/// Truths that occurred among comparisons of a row.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const UNKNOWN: u8 = 4;

/// A row among the first of an outer row.
#[derive(Debug)]
struct Ranked {
    rank: Box<[u8]>,
    value: Box<[u8]>,
    item: u32,
}

/// What was found out about some outer rows.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Rows whose value no further row changes.
    pub(super) decided: Vec<bool>,
    pub(super) failed: Failures,
    truths: Vec<u8>,
    items: Vec<u32>,
    values: Vec<Box<[u8]>>,
    many: Vec<bool>,
    first: Vec<Vec<Ranked>>,
}

/// Values of a subquery, one per outer row.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) column: Column,
    pub(super) failed: Failures,
}

impl Judge {
    /// Of a subquery whose expressions are over rows, then the columns of `outer`.
    pub(super) fn new(spec: &SubquerySpec, outer: &SchemaRef) -> Judge {
        let distinct = spec.distinct;
        let mode = match (&spec.kind, spec.limit) {
            (_, Some(0)) => Mode::Nothing,
            (SubqueryKind::Exists, _) => Mode::Any,
            (SubqueryKind::Scalar, Some(1)) => Mode::First { rows: 1, distinct: false },
            (SubqueryKind::Scalar, _) => Mode::Only { distinct },
            (SubqueryKind::Compare { .. }, None) => Mode::Each,
            (SubqueryKind::Compare { .. }, Some(rows)) => {
                Mode::First { rows: usize::try_from(rows).unwrap_or(usize::MAX), distinct }
            }
        };
        let order: &[_] = if matches!(mode, Mode::First { .. }) { &spec.order } else { &[] };
        let values = match mode {
            Mode::Each | Mode::Only { distinct: true } | Mode::First { distinct: true, .. } => spec.value.as_ref(),
            _ => None,
        };
        let comparison = match spec.kind {
            SubqueryKind::Compare { operand, op, all } => spec.value.as_ref().map(|value| {
                let left = outer.fields.get(operand).map_or(DataType::Null, |field| field.data_type.clone());
                let compare = comparison(op, left, value.data_type.clone(), spec.span);
                Comparison { operand, compare: Evaluator::new(&compare), all }
            }),
            _ => None,
        };
        let sort = order.iter().enumerate().map(|(column, (_, descending, nulls_first))| SortKey {
            column,
            descending: *descending,
            nulls_first: *nulls_first,
        });
        Judge {
            mode,
            value: spec.value.as_ref().filter(|_| spec.kind != SubqueryKind::Exists).map(Evaluator::new),
            comparison,
            order: order.iter().map(|key| Evaluator::new(&key.0)).collect(),
            sort: sort.collect(),
            sort_types: order.iter().map(|key| key.0.data_type.clone()).collect(),
            offered: Needs::of(order.iter().map(|key| &key.0).chain(values)),
            taken: Needs::of(&spec.value),
            result: spec.result.clone(),
            span: spec.span,
            encoder: KeyEncoder::new(),
        }
    }

    /// TRUE when no row has to be looked at.
    pub(super) fn is_settled(&self) -> bool {
        self.mode == Mode::Nothing
    }

    /// TRUE when one row may decide.
    pub(super) fn decides(&self) -> bool {
        matches!(self.mode, Mode::Any | Mode::Each)
    }

    /// TRUE when it matters how often a row is there.
    pub(super) fn counts_rows(&self) -> bool {
        matches!(self.mode, Mode::Only { distinct: false } | Mode::First { distinct: false, .. })
    }

    /// TRUE when it matters which row stands before which.
    pub(super) fn wants_places(&self) -> bool {
        matches!(self.mode, Mode::First { .. })
    }

    /// TRUE when the values depend on the outer row, whose columns begin at `width`.
    pub(super) fn reads_outer(&self, width: usize) -> bool {
        self.comparison.is_some() || self.offered.reads_outer(width) || self.taken.reads_outer(width)
    }

    /// What rows have to bring when they are offered.
    pub(super) fn offered(&self) -> &Needs {
        &self.offered
    }

    /// Nothing found out about so many rows.
    pub(super) fn begin(&self, rows: usize) -> Verdict {
        let per_row = |is: bool| if is { rows } else { 0 };
        let only = matches!(self.mode, Mode::Only { .. });
        Verdict {
            decided: vec![self.is_settled(); rows],
            failed: Failures::default(),
            truths: vec![0; per_row(self.comparison.is_some())],
            items: vec![NONE; per_row(only)],
            values: vec![Box::default(); per_row(self.mode == Mode::Only { distinct: true })],
            many: vec![false; per_row(only)],
            first: (0..per_row(self.wants_places())).map(|_| Vec::new()).collect(),
        }
    }

    /// Takes rows that were met: `items` are their numbers, `rows` the outer rows, `batch` what they bring.
    pub(super) fn offer(
        &mut self,
        verdict: &mut Verdict,
        (rows, items): (&[u32], &[u32]),
        batch: &Batch,
        place: impl Fn(u32) -> Place,
        outer: &Batch,
        work: &mut Work<'_>,
    ) {
        match self.mode {
            _ if rows.is_empty() => {}
            Mode::Nothing => {}
            Mode::Any => rows.iter().for_each(|row| verdict.decided[*row as usize] = true),
            Mode::Each => self.compare(verdict, rows, batch, outer, work),
            Mode::Only { distinct } => self.only(verdict, (rows, items), distinct, batch, work),
            Mode::First { rows: most, distinct } => {
                self.rank(verdict, (rows, items), (most, distinct), batch, place, work);
            }
        }
    }

    /// Compares the values of these rows with the operand of the outer rows.
    fn compare(&mut self, verdict: &mut Verdict, rows: &[u32], batch: &Batch, outer: &Batch, work: &mut Work<'_>) {
        let (Some(value), Some(comparison)) = (&mut self.value, &mut self.comparison) else { return };
        let value = work.eval(value, batch, rows, &mut verdict.failed);
        let operand = outer.columns[comparison.operand].take(rows);
        let pairs = Batch::new(vec![operand, value], rows.len(), RowMeta::plain(SourceId(0), 0, 0));
        let truth = work.eval(&mut comparison.compare, &pairs, rows, &mut verdict.failed);
        for (at, row) in rows.iter().enumerate() {
            let truth = match &truth {
                Column::Bool(a) if a.is_valid(at) => {
                    if a.value(at) {
                        TRUE
                    } else {
                        FALSE
                    }
                }
                _ => UNKNOWN,
            };
            verdict.truths[*row as usize] |= truth;
            let decides = if comparison.all { FALSE } else { TRUE };
            verdict.decided[*row as usize] |= truth == decides;
        }
    }

    fn only(
        &mut self,
        verdict: &mut Verdict,
        (rows, items): (&[u32], &[u32]),
        distinct: bool,
        batch: &Batch,
        work: &mut Work<'_>,
    ) {
        if let (true, Some(value)) = (distinct, &mut self.value) {
            let values = work.eval(value, batch, rows, &mut verdict.failed);
            self.encoder.encode(&[&values], rows.len());
        }
        for (at, (row, item)) in rows.iter().zip(items).enumerate() {
            let row = *row as usize;
            let bytes: &[u8] = if distinct { self.encoder.keys().key(at) } else { &[] };
            if verdict.items[row] == NONE {
                verdict.items[row] = *item;
                if distinct {
                    verdict.values[row] = bytes.into();
                }
            } else if !distinct || *verdict.values[row] != *bytes {
                verdict.many[row] = true;
            }
        }
    }

    fn rank(
        &mut self,
        verdict: &mut Verdict,
        (rows, items): (&[u32], &[u32]),
        (most, distinct): (usize, bool),
        batch: &Batch,
        place: impl Fn(u32) -> Place,
        work: &mut Work<'_>,
    ) {
        if let (true, Some(value)) = (distinct, &mut self.value) {
            let values = work.eval(value, batch, rows, &mut verdict.failed);
            self.encoder.encode(&[&values], rows.len());
        }
        let order: Vec<Column> =
            self.order.iter_mut().map(|key| work.eval(key, batch, rows, &mut verdict.failed)).collect();
        let mut rank = Vec::new();
        for (at, (row, item)) in rows.iter().zip(items).enumerate() {
            rank.clear();
            sort_key::write(&mut rank, &self.sort, &self.sort_types, &order, at);
            sort_key::write_place(&mut rank, place(*item));
            let first = &mut verdict.first[*row as usize];
            let value: &[u8] = if distinct { self.encoder.keys().key(at) } else { &[] };
            if distinct && let Some(known) = first.iter().position(|ranked| *ranked.value == *value) {
                if *first[known].rank <= *rank {
                    continue;
                }
                first.remove(known);
            }
            let to = first.partition_point(|ranked| *ranked.rank <= *rank);
            if to < most {
                first.truncate(most - 1);
                first.insert(to, Ranked { rank: rank.as_slice().into(), value: value.into(), item: *item });
            }
        }
    }

    /// The values; `bring` makes pairs of these outer rows and items with the columns that the needs name.
    pub(super) fn finish(
        &mut self,
        mut verdict: Verdict,
        outer: &Batch,
        bring: impl Fn(&Needs, &[u32], &[u32]) -> Batch,
        work: &mut Work<'_>,
    ) -> Answers {
        if matches!(self.mode, Mode::First { .. }) && self.comparison.is_some() {
            let chosen = verdict.chosen();
            let batch = bring(&self.taken, &chosen.0, &chosen.1);
            self.compare(&mut verdict, &chosen.0, &batch, outer, work);
        }
        let rows = verdict.decided.len();
        if let Some(Comparison { all, .. }) = self.comparison {
            let column = verdict.truths.iter().map(|truths| truth(*truths, all)).collect::<BooleanArray>();
            return verdict.answers(Column::Bool(column), true);
        }
        if self.value.is_none() {
            let met = verdict.decided.iter().map(|met| *met && !self.is_settled()).collect::<Vec<bool>>();
            return verdict.answers(Column::Bool(met.into()), true);
        }
        let (owners, items) = verdict.chosen();
        for row in (0..verdict.many.len()).filter(|row| verdict.many[*row]) {
            verdict.failed.by_row.entry(row as u32).or_insert_with(|| self.several());
        }
        let column = match &mut self.value {
            Some(value) if !owners.is_empty() => {
                let batch = bring(&self.taken, &owners, &items);
                work.eval(value, &batch, &owners, &mut verdict.failed)
            }
            _ => return verdict.answers(Column::repeat(&velostream_types::Value::Null, rows), false),
        };
        let column = if owners.len() == rows { column } else { scattered(&column, &owners, rows, &self.result) };
        verdict.answers(column, false)
    }

    fn several(&self) -> RecordError {
        RecordError {
            code: ErrorCode::SeveralRows,
            stage: Stage::Process,
            message: "the subquery gave more than one row where one value is taken".into(),
            span: Some(self.span),
        }
    }
}

impl Verdict {
    /// Outer rows with the items that were chosen for them, ascending; none for rows that met several where one may be.
    fn chosen(&self) -> (Vec<u32>, Vec<u32>) {
        let only = self.items.iter().zip(&self.many).enumerate();
        let only =
            only.filter(|(_, (item, many))| **item != NONE && !**many).map(|(row, (item, _))| (row as u32, *item));
        let first = self.first.iter().enumerate();
        let first = first.flat_map(|(row, list)| list.iter().map(move |ranked| (row as u32, ranked.item)));
        only.chain(first).unzip()
    }

    /// With `decides` a row that was decided does not fail for others that it met.
    fn answers(mut self, column: Column, decides: bool) -> Answers {
        if decides {
            let decided = self.decided;
            self.failed.by_row.retain(|row, _| !decided[*row as usize]);
        }
        Answers { column, failed: self.failed }
    }
}

/// `left op right` over two columns.
fn comparison(op: CompareOp, left: DataType, right: DataType, span: Span) -> Expr {
    let side = |column, data_type| Box::new(Expr { kind: ExprKind::Column(column), data_type, span });
    let kind = ExprKind::Compare { op, left: side(0, left), right: side(1, right) };
    Expr { kind, data_type: DataType::Boolean, span }
}

/// What the truths of all comparisons make together.
fn truth(truths: u8, all: bool) -> Option<bool> {
    let decides = if all { FALSE } else { TRUE };
    match truths {
        truths if truths & decides != 0 => Some(!all),
        truths if truths & UNKNOWN != 0 => None,
        _ => Some(all),
    }
}

/// `column`, whose rows are those at `owners`, with NULLs between them.
fn scattered(column: &Column, owners: &[u32], rows: usize, data_type: &DataType) -> Column {
    let mut store = RowStore::new(std::slice::from_ref(data_type));
    let (all, mut slots) = ((0..owners.len() as u32).collect::<Vec<u32>>(), Vec::new());
    store.put_all(std::slice::from_ref(column), &all, &mut slots);
    let mut wanted = vec![NONE; rows];
    for (owner, slot) in owners.iter().zip(slots) {
        wanted[*owner as usize] = slot;
    }
    store.gather(0, &wanted)
}
