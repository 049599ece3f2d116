//! Aggregate functions over the groups of one window.
//!
//! A [`Layout`] says which states the calls of a spec need; [`States`] holds them, one value per group number. A batch
//! is folded state by state: group numbers first, then one loop over slices per state. The partial form is what Combine
//! sends to Aggregate and what a snapshot stores; merging a partial equals folding its rows. States that keep values are
//! brought in order by [`States::settle`] before a group is emitted.
//!
//! Cost: one pass over the group numbers per state; no allocation per row but for texts that have to be kept.

mod bag;
mod big;
mod call;
mod extreme;
mod moments;
mod numbers;
mod ordered;
mod pairs;
mod placed;
mod sketch;
mod sortable;
mod sum;
mod values;
mod wide;

use velostream_functions::AggregateFn;
use velostream_state::block::{BlockPool, Blocks};
use velostream_state::build::ColumnBuilder;
use velostream_types::{Column, DataType, RowMeta, Value};

pub use call::Layout;
use call::{CallPlan, Kind, StateSpec};
use extreme::{Extreme, TextExtreme};
use moments::Moments;
pub(crate) use moments::Sums;
use numbers::Numbers;
use ordered::Ordered;
use placed::PlacedValues;
use sketch::Sketches;
use sum::{ExactSum, FloatSum};
pub(crate) use sum::{average_in, sum_in};
use values::Values;

#[derive(Debug)]
enum State {
    Nulls(Option<Blocks<i64>>),
    Exact(ExactSum),
    Float(FloatSum),
    Extreme(Extreme),
    Text(TextExtreme),
    Ordered(Ordered),
    Moments(Moments),
    Values(Values),
    Placed(PlacedValues),
    Sketch(Sketches),
}

impl State {
    fn new(spec: &StateSpec) -> State {
        let data_type = spec.types.first().cloned().unwrap_or(DataType::Null);
        let max = spec.kind == Kind::Max;
        match (&spec.kind, &data_type) {
            (Kind::Nulls, _) => State::Nulls(None),
            (Kind::Sum, DataType::Float) => State::Float(FloatSum::default()),
            (Kind::Sum, _) => State::Exact(ExactSum::default()),
            (Kind::Min | Kind::Max, t) if t.is_nested() || matches!(t, DataType::String | DataType::Bytes) => {
                State::Text(TextExtreme::new(max, data_type))
            }
            (Kind::Min | Kind::Max, _) => State::Extreme(Extreme::new(max, data_type)),
            (Kind::Ordered(which), _) => State::Ordered(Ordered::new(*which, data_type)),
            (Kind::Moments, _) => State::Moments(Moments::new(&spec.types)),
            (Kind::Values(keep), _) => State::Values(Values::new(&spec.types, *keep)),
            (Kind::Placed(placed), _) => State::Placed(PlacedValues::new((**placed).clone(), data_type)),
            (Kind::Sketch, _) => State::Sketch(Sketches::default()),
        }
    }

    fn partial_columns(&self) -> usize {
        match self {
            State::Nulls(_) | State::Float(_) | State::Text(_) => 1,
            State::Values(_) | State::Placed(_) | State::Sketch(_) => 1,
            State::Exact(_) | State::Extreme(_) => 2,
            State::Ordered(_) => 6,
            State::Moments(s) => s.partial_columns(),
        }
    }

    /// TRUE when `column` may stand at this position of the partial form.
    fn accepts(&self, at: usize, column: &Column) -> bool {
        let int = matches!(column, Column::Int(_));
        let count = int || matches!(column, Column::Null(_));
        let wide = matches!(column, Column::Dec128(_));
        match self {
            State::Nulls(_) => count,
            State::Exact(_) => {
                if at == 0 {
                    wide
                } else {
                    count
                }
            }
            State::Float(_) => matches!(column, Column::Float(_)),
            State::Extreme(_) => {
                if at == 0 {
                    wide
                } else {
                    int
                }
            }
            State::Text(_) => matches!(column, Column::Str(_) | Column::Bytes(_) | Column::Null(_)),
            State::Ordered(_) => at == 0 || if at == 4 { matches!(column, Column::Bytes(_)) } else { int },
            State::Moments(s) => s.accepts(at, column),
            State::Values(s) => s.accepts(column),
            State::Placed(s) => s.accepts(column),
            State::Sketch(_) => Sketches::accepts(column),
        }
    }

    fn grow(&mut self, groups: usize, pool: &mut BlockPool) {
        match self {
            State::Nulls(None) => {}
            State::Nulls(Some(counts)) => counts.grow(groups, 0, pool),
            State::Exact(s) => s.grow(groups, pool),
            State::Float(s) => s.grow(groups, pool),
            State::Extreme(s) => s.grow(groups, pool),
            State::Text(s) => s.grow(groups),
            State::Ordered(s) => s.grow(groups),
            State::Moments(s) => s.grow(groups, pool),
            State::Values(s) => s.grow(groups),
            State::Placed(s) => s.grow(groups),
            State::Sketch(s) => s.grow(groups),
        }
    }

    fn release(&mut self, pool: &mut BlockPool) {
        match self {
            State::Nulls(counts) => {
                if let Some(mut counts) = counts.take() {
                    counts.release(pool);
                }
            }
            State::Exact(s) => s.release(pool),
            State::Float(s) => s.release(pool),
            State::Extreme(s) => s.release(pool),
            State::Text(s) => s.release(),
            State::Ordered(s) => s.release(pool),
            State::Moments(s) => s.release(pool),
            State::Values(s) => s.release(),
            State::Placed(s) => s.release(),
            State::Sketch(s) => s.release(),
        }
    }

    fn clear(&mut self, group: u32) {
        match self {
            State::Nulls(None) => {}
            State::Nulls(Some(counts)) => *counts.at(group) = 0,
            State::Exact(s) => s.clear(group),
            State::Float(s) => s.clear(group),
            State::Extreme(s) => s.clear(group),
            State::Text(s) => s.clear(group),
            State::Ordered(s) => s.clear(group),
            State::Moments(s) => s.clear(group),
            State::Values(s) => s.clear(group),
            State::Placed(s) => s.clear(group),
            State::Sketch(s) => s.clear(group),
        }
    }

    /// Folds rows; `high` groups have room.
    fn update(&mut self, spec: &StateSpec, fold: Fold<'_>, high: usize, pool: &mut BlockPool) {
        let Fold { groups, start, columns, meta, weights } = fold;
        let own_weights = weights.map(|w| &w[start..start + groups.len()]);
        let column = &columns[spec.arguments[0]];
        let sliced;
        // What has to be converted is converted once, not once per run of the batch.
        let (run, from, signs) = if Numbers::copies(column) && groups.len() < column.len() {
            sliced = column.slice(start, groups.len());
            (&sliced, 0, own_weights)
        } else {
            (column, start, weights)
        };
        match self {
            State::Nulls(counts) => count_nulls(counts, high, groups, from, run, signs, pool),
            State::Exact(s) => s.update(groups, from, run, signs),
            State::Float(s) => s.update(groups, from, run, signs),
            State::Extreme(s) => s.update(groups, from, run),
            State::Text(s) => s.update(groups, from, run),
            State::Ordered(s) => s.update(groups, start, column, meta),
            State::Moments(s) => s.update(groups, &spec.slice(columns, start, groups.len()), own_weights),
            State::Values(s) => s.update(groups, &spec.slice(columns, start, groups.len()), own_weights),
            State::Placed(s) => s.update(groups, (start, spec.arguments[0]), columns, meta, weights),
            State::Sketch(s) => s.update(groups, &column.slice(start, groups.len())),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            State::Nulls(counts) => counts.as_ref().map_or(0, Blocks::bytes),
            State::Exact(s) => s.bytes(),
            State::Float(s) => s.bytes(),
            State::Extreme(s) => s.bytes(),
            State::Text(s) => s.bytes(),
            State::Ordered(s) => s.bytes(),
            State::Moments(s) => s.bytes(),
            State::Values(s) => s.bytes(),
            State::Placed(s) => s.bytes(),
            State::Sketch(s) => s.bytes(),
        }
    }
}

/// Rows of one window in one batch: row `start + i` belongs to group `groups[i]`.
#[derive(Clone, Copy)]
pub struct Fold<'a> {
    /// Group numbers.
    pub groups: &'a [u32],
    /// First row.
    pub start: usize,
    /// Columns of the batch.
    pub columns: &'a [Column],
    /// Metadata of the batch.
    pub meta: &'a RowMeta,
    /// Weights of the batch, if its relation changes.
    pub weights: Option<&'a [i8]>,
}

/// The accumulators of one window's groups.
#[derive(Debug)]
pub struct States {
    /// Rows of each group, retractions subtracted.
    rows: Blocks<i64>,
    states: Vec<State>,
}

impl States {
    /// Accumulators of no groups.
    pub fn new(layout: &Layout) -> States {
        States { rows: Blocks::new(), states: layout.states.iter().map(State::new).collect() }
    }

    /// Makes room for groups below `groups`.
    pub fn grow(&mut self, groups: usize, pool: &mut BlockPool) {
        self.rows.grow(groups, 0, pool);
        self.states.iter_mut().for_each(|s| s.grow(groups, pool));
    }

    /// Rows of a group.
    #[inline]
    pub fn rows(&self, group: u32) -> i64 {
        self.rows.get(group)
    }

    /// Folds rows. Room for their groups was made.
    pub fn update(&mut self, layout: &Layout, fold: Fold<'_>, pool: &mut BlockPool) {
        let Fold { groups, start, weights, .. } = fold;
        match weights {
            None => self.rows.update(groups, |_, rows| *rows += 1),
            Some(w) => self.rows.update(groups, |i, rows| *rows += i64::from(w[start + i])),
        }
        let high = self.rows.len();
        for (state, spec) in self.states.iter_mut().zip(&layout.states) {
            state.update(spec, fold, high, pool);
        }
    }

    /// Folds `rows` rows from `fold.start` on, which all belong to `group`; `each` is a buffer for the groups of
    /// accumulators that look at one row at a time, and holds nothing but `group`.
    pub fn update_one(
        &mut self,
        layout: &Layout,
        (group, rows): (u32, usize),
        fold: Fold<'_>,
        each: &mut Vec<u32>,
        pool: &mut BlockPool,
    ) {
        if fold.weights.is_some() {
            each.resize(rows, group);
            return self.update(layout, Fold { groups: each, ..fold }, pool);
        }
        let (start, high) = (fold.start, self.rows.len());
        *self.rows.at(group) += rows as i64;
        for (state, spec) in self.states.iter_mut().zip(&layout.states) {
            let column = &fold.columns[spec.arguments[0]];
            let done = match state {
                State::Nulls(counts) => {
                    let nulls = column.nulls().map_or(0, |n| n.slice(start, rows).null_count());
                    if nulls > 0 {
                        *counts_from(counts, high, pool).at(group) += nulls as i64;
                    }
                    true
                }
                State::Exact(s) => s.update_one(group, (start, rows), column),
                State::Float(s) => {
                    s.update_one(group, (start, rows), column);
                    true
                }
                _ => false,
            };
            if !done {
                each.resize(rows, group);
                state.update(spec, Fold { groups: each, ..fold }, high, pool);
            }
        }
    }

    /// Folds partial groups: `columns` are those [`States::partial`] made.
    pub fn merge(&mut self, groups: &[u32], start: usize, columns: &[Column], pool: &mut BlockPool) {
        if let Column::Int(rows) = &columns[0] {
            let rows = &rows.values()[start..start + groups.len()];
            self.rows.update(groups, |i, held| *held += rows[i]);
        }
        let high = self.rows.len();
        let mut at = 1;
        for state in &mut self.states {
            let own = &columns[at..at + state.partial_columns()];
            at += own.len();
            match state {
                State::Nulls(counts) => add_counts(counts, high, groups, start, &own[0], pool),
                State::Exact(s) => s.merge(groups, start, own),
                State::Float(s) => s.update(groups, start, &own[0], None),
                State::Extreme(s) => s.merge(groups, start, own),
                State::Text(s) => s.update(groups, start, &own[0]),
                State::Ordered(s) => s.merge(groups, start, own),
                State::Moments(s) => s.merge(groups, start, own),
                State::Values(s) => s.merge(groups, start, &own[0]),
                State::Placed(s) => s.merge(groups, start, &own[0]),
                State::Sketch(s) => s.merge(groups, start, &own[0]),
            }
        }
    }

    /// The partial form of these groups: rows, then the columns of each state.
    pub fn partial(&self, groups: &[u32]) -> Vec<Column> {
        let mut out = vec![Column::ints(groups.iter().map(|g| self.rows.get(*g)).collect(), None)];
        for state in &self.states {
            match state {
                State::Nulls(None) => out.push(Column::Null(groups.len())),
                State::Nulls(Some(counts)) => {
                    out.push(Column::ints(groups.iter().map(|g| counts.get(*g)).collect(), None));
                }
                State::Exact(s) => s.partial(groups, &mut out),
                State::Float(s) => s.partial(groups, &mut out),
                State::Extreme(s) => s.partial(groups, &mut out),
                State::Text(s) => s.partial(groups, &mut out),
                State::Ordered(s) => s.partial(groups, &mut out),
                State::Moments(s) => s.partial(groups, &mut out),
                State::Values(s) => s.partial(groups, &mut out),
                State::Placed(s) => s.partial(groups, &mut out),
                State::Sketch(s) => s.partial(groups, &mut out),
            }
        }
        out
    }

    /// Values of the call's argument that are not NULL, in a group.
    fn count(&self, call: &CallPlan, group: u32) -> i64 {
        let nulls = match call.nulls.map(|n| &self.states[n]) {
            Some(State::Nulls(Some(counts))) => counts.get(group),
            _ => 0,
        };
        self.rows.get(group) - nulls
    }

    /// Brings what a group keeps in order; needed before it is emitted, after any change to it.
    pub fn settle(&mut self, group: u32) {
        for state in &mut self.states {
            match state {
                State::Values(s) => s.settle(group),
                State::Placed(s) => s.settle(group),
                _ => {}
            }
        }
    }

    /// Position of the first call whose result left the range of its type.
    pub fn overflow(&self, layout: &Layout, group: u32) -> Option<usize> {
        layout.calls.iter().position(|call| match (call.function, &self.states.get(call.state), &call.result) {
            (_, _, DataType::Float) => false,
            (AggregateFn::Sum | AggregateFn::Avg, Some(State::Values(s)), _) => s.result(call, group).is_err(),
            (AggregateFn::Sum, Some(State::Exact(s)), _) => {
                self.count(call, group) != 0 && s.sum(group, &call.result).is_none()
            }
            (AggregateFn::Avg, Some(State::Exact(s)), result) => {
                let count = self.count(call, group);
                let scale = result.exact_scale().unwrap_or(0);
                count > 0 && s.average(group, count as u64, scale).is_none()
            }
            _ => false,
        })
    }

    /// Appends the results of a group, one to each builder; call [`States::overflow`] before.
    pub fn emit(&self, layout: &Layout, group: u32, out: &mut [ColumnBuilder]) {
        for (call, out) in layout.calls.iter().zip(out) {
            let state = self.states.get(call.state);
            match (call.function, state) {
                (_, Some(State::Values(s))) => s.emit(call, group, out),
                (_, Some(State::Placed(s))) => s.emit(call, group, out),
                (_, Some(State::Sketch(s))) => out.push_int(s.count(group)),
                (AggregateFn::Sum | AggregateFn::Avg, Some(State::Moments(s))) => {
                    let count = self.count(call, group);
                    let share = if call.function == AggregateFn::Avg { count as f64 } else { 1.0 };
                    match s.sums(group).float_sum().filter(|_| count > 0) {
                        Some(sum) => out.push_value(&Value::Float(sum / share)),
                        None => out.push_null(),
                    }
                }
                (function, Some(State::Moments(s))) => match s.sums(group).value(function) {
                    Some(value) => out.push_value(&Value::Float(value)),
                    None => out.push_null(),
                },
                (AggregateFn::CountStar | AggregateFn::Count, _) => out.push_int(self.count(call, group)),
                (AggregateFn::Sum | AggregateFn::Avg, Some(state)) => self.emit_sum(call, state, group, out),
                (_, Some(State::Extreme(s))) => s.emit(group, out),
                (_, Some(State::Text(s))) => s.emit(group, out),
                (_, Some(State::Ordered(s))) => s.emit(group, out),
                _ => out.push_null(),
            }
        }
    }

    fn emit_sum(&self, call: &CallPlan, state: &State, group: u32, out: &mut ColumnBuilder) {
        let count = self.count(call, group);
        if count <= 0 {
            return out.push_null();
        }
        let average = call.function == AggregateFn::Avg;
        let share = if average { count as f64 } else { 1.0 };
        match (state, &call.result) {
            (State::Float(s), _) => out.push_value(&Value::Float(s.sum(group) / share)),
            (State::Exact(s), DataType::Float) => out.push_value(&Value::Float(s.float(group) / share)),
            (State::Exact(s), result) => {
                let value = match average {
                    true => s.average(group, count as u64, result.exact_scale().unwrap_or(0)),
                    false => s.sum(group, result),
                };
                match value {
                    Some((mantissa, 0)) if *result == DataType::Integer => match i64::try_from(mantissa) {
                        Ok(sum) => out.push_int(sum),
                        Err(_) => out.push_null(),
                    },
                    Some((mantissa, scale)) => out.push_decimal(mantissa, scale),
                    None => out.push_null(),
                }
            }
            _ => out.push_null(),
        }
    }

    /// Forgets a group's values; its number may be given to another group.
    pub fn clear(&mut self, group: u32) {
        *self.rows.at(group) = 0;
        self.states.iter_mut().for_each(|s| s.clear(group));
    }

    /// Gives all blocks back.
    pub fn release(&mut self, pool: &mut BlockPool) {
        self.rows.release(pool);
        self.states.iter_mut().for_each(|s| s.release(pool));
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.rows.bytes() + self.states.iter().map(State::bytes).sum::<usize>()
    }
}

fn counts_from<'a>(counts: &'a mut Option<Blocks<i64>>, high: usize, pool: &mut BlockPool) -> &'a mut Blocks<i64> {
    counts.get_or_insert_with(|| {
        let mut blocks = Blocks::new();
        blocks.grow(high, 0, pool);
        blocks
    })
}

fn count_nulls(
    counts: &mut Option<Blocks<i64>>,
    high: usize,
    groups: &[u32],
    start: usize,
    column: &Column,
    weights: Option<&[i8]>,
    pool: &mut BlockPool,
) {
    let Some(nulls) = column.nulls().filter(|n| n.null_count() > 0) else { return };
    counts_from(counts, high, pool).update(groups, |i, count| {
        if nulls.is_null(start + i) {
            *count += weights.map_or(1, |w| i64::from(w[start + i]));
        }
    });
}

fn add_counts(
    counts: &mut Option<Blocks<i64>>,
    high: usize,
    groups: &[u32],
    start: usize,
    column: &Column,
    pool: &mut BlockPool,
) {
    let Column::Int(added) = column else { return };
    counts_from(counts, high, pool).update(groups, |i, count| *count += added.value(start + i));
}

#[cfg(test)]
mod tests;
