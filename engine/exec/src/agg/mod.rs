//! Aggregate functions over the groups of one window.
//!
//! A [`Layout`] says which states the calls of a spec need: SUM, AVG and COUNT of one argument share theirs, and what
//! can be derived is not kept (COUNT(x) is the group's rows less its NULLs, and NULLs are counted from the first one
//! on only). [`States`] holds them, one value per group number. A batch is folded state by state: group numbers
//! first, then one loop over slices per state. The partial form is what Combine sends to Aggregate and what a
//! snapshot stores; merging a partial equals folding its rows.
//!
//! Cost: one pass over the group numbers per state; no allocation per row.

mod extreme;
mod numbers;
mod ordered;
mod sum;
mod wide;

use velostream_sql::plan::{AggregateCall, AggregateFn, AggregateSpec};
use velostream_state::block::{BlockPool, Blocks};
use velostream_state::build::ColumnBuilder;
use velostream_types::{Column, DataType, RowMeta, Span, Value};

use extreme::{Extreme, TextExtreme};
use ordered::{Ordered, Which};
use sum::{ExactSum, FloatSum};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nulls,
    Sum,
    Min,
    Max,
    Ordered(Which),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct StateSpec {
    kind: Kind,
    argument: usize,
    data_type: DataType,
}

/// What one call reads when it is emitted.
#[derive(Clone, Debug)]
struct CallPlan {
    function: AggregateFn,
    /// Main state; COUNT has none.
    state: usize,
    /// State that counts the argument's NULLs.
    nulls: Option<usize>,
    result: DataType,
}

/// States and calls of one spec; shared by all its windows.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    states: Vec<StateSpec>,
    calls: Vec<CallPlan>,
}

impl Layout {
    /// The layout of a spec's calls.
    pub fn new(spec: &AggregateSpec) -> Layout {
        let mut layout = Layout::default();
        for call in spec.aggregates.iter().chain(&headers_call(spec)) {
            let planned = layout.plan(spec, call);
            layout.calls.push(planned);
        }
        layout
    }

    fn plan(&mut self, spec: &AggregateSpec, call: &AggregateCall) -> CallPlan {
        let data_type = call.argument.map_or(DataType::Null, |a| spec.input.fields[a].data_type.clone());
        let mut state = |kind: Kind| call.argument.map_or(0, |argument| self.share(kind, argument, &data_type));
        let (main, nulls) = match call.function {
            AggregateFn::CountStar => (0, None),
            AggregateFn::Count => (0, call.argument.map(|_| state(Kind::Nulls))),
            AggregateFn::Sum | AggregateFn::Avg => (state(Kind::Sum), call.argument.map(|_| state(Kind::Nulls))),
            AggregateFn::Min => (state(Kind::Min), None),
            AggregateFn::Max => (state(Kind::Max), None),
            AggregateFn::First => (state(Kind::Ordered(Which::First)), None),
            AggregateFn::Last => (state(Kind::Ordered(Which::Last)), None),
            AggregateFn::LastSeen => (state(Kind::Ordered(Which::LastSeen)), None),
        };
        CallPlan { function: call.function, state: main, nulls, result: call.result.clone() }
    }

    fn share(&mut self, kind: Kind, argument: usize, data_type: &DataType) -> usize {
        let wanted = StateSpec { kind, argument, data_type: data_type.clone() };
        self.states.iter().position(|s| *s == wanted).unwrap_or_else(|| {
            self.states.push(wanted);
            self.states.len() - 1
        })
    }

    /// Number of calls.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Columns of a group's partial form: its rows, then those of each state.
    pub fn partial_columns(&self) -> usize {
        1 + self.states.iter().map(|s| State::new(s).partial_columns()).sum::<usize>()
    }

    /// TRUE when these columns have the kinds partial columns have; asked of snapshots, whose shape nobody vouches for.
    pub fn accepts(&self, columns: &[Column]) -> bool {
        let mut columns = columns.iter();
        let mut next = |ok: fn(&Column) -> bool| columns.next().is_some_and(ok);
        let int = |c: &Column| matches!(c, Column::Int(_));
        let count = |c: &Column| matches!(c, Column::Int(_) | Column::Null(_));
        let wide = |c: &Column| matches!(c, Column::Dec128(_));
        next(int)
            && self.states.iter().all(|spec| match State::new(spec) {
                State::Nulls(_) => next(count),
                State::Exact(_) => next(wide) && next(count),
                State::Float(_) => next(|c| matches!(c, Column::Float(_))),
                State::Extreme(_) => next(wide) && next(int),
                State::Text(_) => next(|c| matches!(c, Column::Str(_) | Column::Bytes(_) | Column::Null(_))),
                State::Ordered(_) => next(|_| true) && (0..5).all(|_| next(int)),
            })
    }

    /// A builder per call.
    pub fn builders(&self) -> Vec<ColumnBuilder> {
        self.calls.iter().map(|c| ColumnBuilder::new(&c.result)).collect()
    }
}

/// The call that keeps the headers of a group's last row, where somebody needs them.
fn headers_call(spec: &AggregateSpec) -> Option<AggregateCall> {
    let call = |argument| AggregateCall {
        function: AggregateFn::Last,
        argument: Some(argument),
        result: DataType::Bytes,
        span: Span::default(),
    };
    spec.headers.map(call)
}

#[derive(Debug)]
enum State {
    Nulls(Option<Blocks<i64>>),
    Exact(ExactSum),
    Float(FloatSum),
    Extreme(Extreme),
    Text(TextExtreme),
    Ordered(Ordered),
}

impl State {
    fn new(spec: &StateSpec) -> State {
        let data_type = spec.data_type.clone();
        match (spec.kind, &spec.data_type) {
            (Kind::Nulls, _) => State::Nulls(None),
            (Kind::Sum, DataType::Float) => State::Float(FloatSum::default()),
            (Kind::Sum, _) => State::Exact(ExactSum::default()),
            (Kind::Min | Kind::Max, DataType::String | DataType::Json | DataType::Bytes) => {
                State::Text(TextExtreme::new(spec.kind == Kind::Max, data_type))
            }
            (Kind::Min | Kind::Max, _) => State::Extreme(Extreme::new(spec.kind == Kind::Max, data_type)),
            (Kind::Ordered(which), _) => State::Ordered(Ordered::new(which, data_type)),
        }
    }

    fn partial_columns(&self) -> usize {
        match self {
            State::Nulls(_) | State::Float(_) | State::Text(_) => 1,
            State::Exact(_) | State::Extreme(_) => 2,
            State::Ordered(_) => 6,
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
        let Fold { groups, start, columns, meta, weights } = fold;
        match weights {
            None => self.rows.update(groups, |_, rows| *rows += 1),
            Some(w) => self.rows.update(groups, |i, rows| *rows += i64::from(w[start + i])),
        }
        let high = self.rows.len();
        for (state, spec) in self.states.iter_mut().zip(&layout.states) {
            let column = &columns[spec.argument];
            match state {
                State::Nulls(counts) => count_nulls(counts, high, groups, start, column, weights, pool),
                State::Exact(s) => s.update(groups, start, column, weights),
                State::Float(s) => s.update(groups, start, column, weights),
                State::Extreme(s) => s.update(groups, start, column),
                State::Text(s) => s.update(groups, start, column),
                State::Ordered(s) => s.update(groups, start, column, meta, weights),
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

    /// Position of the first call whose result left the range of its type.
    pub fn overflow(&self, layout: &Layout, group: u32) -> Option<usize> {
        layout.calls.iter().position(|call| match (call.function, &self.states.get(call.state), &call.result) {
            (_, _, DataType::Float) => false,
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
