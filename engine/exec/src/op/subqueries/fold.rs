//! Grouping inside a subquery: the rows that each outer row meets, folded into groups of its own.
//!
//! Without keys the group of an outer row has the row's number, and stands for no row, too. Accumulators live for the outer
//! rows at hand. Cost: that of an aggregate, a key of the outer row's number and the group's values a row.

use velostream_sql::plan::{AggregateFn, FoldSpec};
use velostream_state::block::BlockPool;
use velostream_state::build::ColumnBuilder;
use velostream_state::index::{GroupIndex, KeyHasher};
use velostream_state::key::{KeyEncoder, decode};
use velostream_types::{Batch, Column, DataType, ErrorCode, Fatal, RecordError, RowMeta, Stage};

use super::kept::Place;
use super::pairs::{Failures, Needs, Work};
use crate::agg::{self, Layout, States};
use crate::expr::Evaluator;

/// The grouping; compiled once.
pub(super) struct Fold {
    spec: FoldSpec,
    columns: Vec<Evaluator>,
    needs: Needs,
    having: Option<Evaluator>,
    having_needs: Needs,
    layout: Layout,
    pool: BlockPool,
    hasher: KeyHasher,
    encoder: KeyEncoder,
    hashes: Vec<u32>,
    index: GroupIndex,
    states: States,
    /// Place of the first row of each group.
    first: Vec<Place>,
    /// Outer rows at hand.
    rows: usize,
}

/// Groups of outer rows.
pub(super) struct Groups {
    /// Outer row of each, ascending.
    pub(super) owners: Vec<u32>,
    /// Keys and results, in front of the columns of the outer row.
    pub(super) columns: Vec<Column>,
    /// Place of each.
    pub(super) first: Vec<Place>,
}

/// TRUE for calls whose result depends on the order of the rows.
fn is_ordered(function: AggregateFn) -> bool {
    use AggregateFn::{ArrayAgg, Earliest, First, Last, LastSeen, Latest, StringAgg};
    matches!(function, ArrayAgg | Earliest | First | Last | LastSeen | Latest | StringAgg)
}

impl Fold {
    pub(super) fn new(spec: &FoldSpec) -> Fold {
        let layout = Layout::new(&spec.spec);
        Fold {
            columns: spec.columns.iter().map(Evaluator::new).collect(),
            needs: Needs::of(&spec.columns),
            having: spec.having.as_ref().map(Evaluator::new),
            having_needs: Needs::of(&spec.having),
            states: States::new(&layout),
            layout,
            spec: spec.clone(),
            pool: BlockPool::default(),
            hasher: KeyHasher::default(),
            encoder: KeyEncoder::new(),
            hashes: Vec::new(),
            index: GroupIndex::new(),
            first: Vec::new(),
            rows: 0,
        }
    }

    /// What rows have to bring.
    pub(super) fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Columns of a group.
    pub(super) fn width(&self) -> usize {
        self.spec.spec.output_columns()
    }

    /// TRUE when the order of the rows matters.
    pub(super) fn wants_places(&self) -> bool {
        self.spec.spec.aggregates.iter().any(|call| is_ordered(call.function))
    }

    /// TRUE when groups depend on the outer row, whose columns begin at `width` behind those of a kept row.
    pub(super) fn reads_outer(&self, width: usize) -> bool {
        self.needs.reads_outer(width) || self.having_needs.reads_outer(self.width())
    }

    fn keys(&self) -> usize {
        self.spec.spec.keys.len()
    }

    /// Groups of so many outer rows begin.
    pub(super) fn begin(&mut self, rows: usize) {
        self.rows = rows;
        self.states = States::new(&self.layout);
        if self.keys() == 0 {
            self.states.grow(rows, &mut self.pool);
        }
    }

    /// Folds rows that were met by these outer rows; `meta` has their places where they matter.
    pub(super) fn add(
        &mut self,
        rows: &[u32],
        batch: &Batch,
        meta: &RowMeta,
        place: impl Fn(usize) -> Option<Place>,
        failed: &mut Failures,
        work: &mut Work<'_>,
    ) {
        let columns: Vec<Column> = self.columns.iter_mut().map(|c| work.eval(c, batch, rows, failed)).collect();
        let numbers;
        let groups = match self.keys() {
            0 => rows,
            keys => {
                numbers = self.groups(rows, &columns[..keys], place);
                &numbers
            }
        };
        let fold = agg::Fold { groups, start: 0, columns: &columns, meta, weights: None };
        self.states.update(&self.layout, fold, &mut self.pool);
    }

    /// The group of each row by outer row and keys.
    fn groups(&mut self, rows: &[u32], keys: &[Column], place: impl Fn(usize) -> Option<Place>) -> Vec<u32> {
        let owners = Column::ints(rows.iter().map(|row| i64::from(*row)).collect(), None);
        let columns: Vec<&Column> = std::iter::once(&owners).chain(keys).collect();
        self.hasher.hash_all(self.encoder.encode(&columns, rows.len()), &mut self.hashes);
        let (mut groups, mut fresh) = (Vec::with_capacity(rows.len()), Vec::new());
        self.index.assign(self.encoder.keys(), 0, &self.hashes, &mut groups, &mut fresh, &mut self.pool);
        self.states.grow(self.index.high(), &mut self.pool);
        for (at, group) in groups.iter().enumerate() {
            let Some(place) = place(at) else { break };
            match self.first.get_mut(*group as usize) {
                Some(first) => *first = place.min(*first),
                None => self.first.push(place),
            }
        }
        groups
    }

    /// The groups that HAVING keeps.
    pub(super) fn finish(
        &mut self,
        outer: &Batch,
        failed: &mut Failures,
        work: &mut Work<'_>,
    ) -> Result<Groups, Fatal> {
        let (keys, grouped) = (self.keys(), self.keys() > 0);
        let count = if grouped { self.index.high() } else { self.rows };
        let types =
            self.spec.spec.keys.iter().map(|key| {
                self.spec.spec.input.fields.get(*key).map_or(DataType::Null, |field| field.data_type.clone())
            });
        let mut key_columns: Vec<ColumnBuilder> = vec![ColumnBuilder::new(&DataType::Integer)];
        key_columns.extend(types.map(|data_type| ColumnBuilder::new(&data_type)));
        let mut calls = self.layout.builders();
        for group in 0..count as u32 {
            if grouped && decode(self.index.key(group), &mut key_columns).is_none() {
                return Err(Fatal::new("a group of a subquery has no key"));
            }
            if !grouped {
                key_columns[0].push_int(i64::from(group));
            }
            self.states.settle(group);
            self.states.emit(&self.layout, group, &mut calls);
        }
        let mut columns: Vec<Column> = key_columns.into_iter().chain(calls).map(ColumnBuilder::finish).collect();
        let owners: Vec<u32> = match columns.remove(0) {
            Column::Int(owners) => owners.values().iter().map(|owner| *owner as u32).collect(),
            _ => Vec::new(),
        };
        debug_assert_eq!(columns.len(), keys + self.layout.calls(), "keys, then results");
        for group in 0..count as u32 {
            if let Some(call) = self.states.overflow(&self.layout, group) {
                failed.add(owners[group as usize], self.overflowed(call));
            }
        }
        let first = std::mem::take(&mut self.first);
        self.states.release(&mut self.pool);
        self.index.release(&mut self.pool);
        self.kept(Groups { owners, columns, first }, outer, failed, work)
    }

    fn kept(
        &mut self,
        groups: Groups,
        outer: &Batch,
        failed: &mut Failures,
        work: &mut Work<'_>,
    ) -> Result<Groups, Fatal> {
        let width = self.width();
        let Some(having) = &mut self.having else { return Ok(groups) };
        let batch = self.having_needs.batch(width, |column| groups.columns[column].clone(), outer, &groups.owners);
        let kept = work.keeps(having, &batch, &groups.owners, failed);
        let rows: Vec<u32> = kept.iter().map(|at| *at as u32).collect();
        Ok(Groups {
            owners: kept.iter().map(|at| groups.owners[*at]).collect(),
            columns: groups.columns.iter().map(|column| column.take(&rows)).collect(),
            first: if groups.first.is_empty() { Vec::new() } else { kept.iter().map(|at| groups.first[*at]).collect() },
        })
    }

    fn overflowed(&self, call: usize) -> RecordError {
        let call = &self.spec.spec.aggregates[call];
        let (name, result) = (call.function.name(), &call.result);
        let message =
            format!("{name} of the rows of a subquery is beyond the range of {result}; hint: CAST AS DECIMAL(38,0)");
        RecordError { code: ErrorCode::Overflow, stage: Stage::Process, message: message.into(), span: Some(call.span) }
    }
}
