//! Which states the calls of a grouping need, and what each call reads of them.
//!
//! SUM, AVG and COUNT of one argument share theirs, MEDIAN, percentiles and COUNT(DISTINCT x) of one argument too, and
//! what can be derived is not kept. Over a relation that changes, what cannot be computed backwards keeps its values.

use velostream_functions::AggregateFn;
use velostream_sql::plan::{AggregateCall, AggregateSpec};
use velostream_state::build::ColumnBuilder;
use velostream_types::{Column, DataType, Span, Value};

use super::State;
use super::ordered::Which;
use super::placed::{By, PlacedSpec};

/// What a state keeps.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Nulls,
    Sum,
    Min,
    Max,
    Ordered(Which),
    Moments,
    /// Values with counts; only so many of the greatest, and whether they have to be different.
    Values(Option<(u32, bool)>),
    Placed(Box<PlacedSpec>),
    Sketch,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct StateSpec {
    pub(super) kind: Kind,
    pub(super) arguments: Vec<usize>,
    pub(super) types: Vec<DataType>,
}

impl StateSpec {
    /// Rows `start .. start + len` of the arguments: what a state converts, it converts of these rows only.
    pub(super) fn slice(&self, columns: &[Column], start: usize, len: usize) -> Vec<Column> {
        self.arguments.iter().map(|a| columns[*a].slice(start, len)).collect()
    }
}

/// What one call reads when it is emitted.
#[derive(Clone, Debug)]
pub(super) struct CallPlan {
    pub(super) function: AggregateFn,
    /// Main state; COUNT of all values has none.
    pub(super) state: usize,
    /// State that counts the argument's NULLs.
    pub(super) nulls: Option<usize>,
    pub(super) distinct: bool,
    /// Percentiles count from the greatest value.
    pub(super) descending: bool,
    pub(super) parameter: Option<Value>,
    pub(super) result: DataType,
}

/// No call has this many states.
pub(super) const NO_STATE: usize = usize::MAX;

/// States and calls of one spec; shared by all its windows.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    pub(super) states: Vec<StateSpec>,
    pub(super) calls: Vec<CallPlan>,
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
        use AggregateFn::*;
        let nulls = match call.function {
            Count | Sum | Avg if !call.distinct => Some(self.share(spec, Kind::Nulls, &call.arguments)),
            _ => None,
        };
        let state = kind(spec, call).map_or(NO_STATE, |kind| self.share(spec, kind, &call.arguments));
        CallPlan {
            function: call.function,
            state,
            nulls,
            distinct: call.distinct,
            descending: call.order.first().is_some_and(|o| o.descending),
            parameter: call.parameter.clone(),
            result: call.result.clone(),
        }
    }

    fn share(&mut self, spec: &AggregateSpec, kind: Kind, arguments: &[usize]) -> usize {
        let types = arguments.iter().map(|a| type_of(spec, *a)).collect();
        let wanted = StateSpec { kind, arguments: arguments.to_vec(), types };
        self.states.iter().position(|s| *s == wanted).unwrap_or_else(|| {
            self.states.push(wanted);
            self.states.len() - 1
        })
    }

    /// Number of calls.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// A state has to be settled before a group is emitted.
    pub fn settles(&self) -> bool {
        self.states.iter().any(|s| matches!(s.kind, Kind::Values(_) | Kind::Placed(_)))
    }

    /// Columns of a group's partial form: its rows, then those of each state.
    pub fn partial_columns(&self) -> usize {
        1 + self.states.iter().map(|s| State::new(s).partial_columns()).sum::<usize>()
    }

    /// TRUE when these columns are what partial columns are; asked of snapshots, whose shape nobody vouches for.
    pub fn accepts(&self, columns: &[Column]) -> bool {
        let Some((Column::Int(_), mut left)) = columns.split_first() else { return false };
        self.states.iter().all(|spec| {
            let state = State::new(spec);
            let own = left.split_at_checked(state.partial_columns());
            own.is_some_and(|(own, rest)| {
                left = rest;
                own.iter().enumerate().all(|(at, column)| state.accepts(at, column))
            })
        })
    }

    /// A builder per call.
    pub fn builders(&self) -> Vec<ColumnBuilder> {
        self.calls.iter().map(|c| ColumnBuilder::new(&c.result)).collect()
    }
}

/// The call that keeps the headers of a group's last row, where somebody needs them.
fn headers_call(spec: &AggregateSpec) -> Option<AggregateCall> {
    spec.headers
        .map(|argument| AggregateCall::plain(AggregateFn::Last, vec![argument], DataType::Bytes, Span::default()))
}

fn type_of(spec: &AggregateSpec, column: usize) -> DataType {
    spec.input.fields.get(column).map_or(DataType::Null, |f| f.data_type.clone())
}

/// The main state of a call, if it has one.
fn kind(spec: &AggregateSpec, call: &AggregateCall) -> Option<Kind> {
    use AggregateFn::*;
    let values = Kind::Values(None);
    let changes = spec.input_changes;
    let ordered = |which, by| if changes { placed(spec, call, by) } else { Kind::Ordered(which) };
    Some(match call.function {
        CountStar => return None,
        StringAgg | ArrayAgg => placed(spec, call, By::Arrival),
        TopK if !changes => {
            let keep = match call.parameter {
                Some(Value::Int(n)) => u32::try_from(n).ok(),
                _ => None,
            };
            Kind::Values(keep.map(|n| (n, call.distinct)))
        }
        CollectSet | TopK | Histogram | Median | PercentileCont | PercentileDisc => values,
        _ if call.distinct => values,
        Count => return None,
        // Pairs of floats take back what they added; plain ones would drift.
        Sum | Avg if changes && call.argument().map(|a| type_of(spec, a)) == Some(DataType::Float) => Kind::Moments,
        Sum | Avg => Kind::Sum,
        Min | Max | Delta if changes => values,
        Min => Kind::Min,
        Max | Delta => Kind::Max,
        First => ordered(Which::First, By::Time),
        Last => ordered(Which::Last, By::Time),
        Earliest => ordered(Which::Earliest, By::Arrival),
        Latest => ordered(Which::Latest, By::Arrival),
        LastSeen => ordered(Which::LastSeen, By::Arrival),
        ApproxCountDistinct => Kind::Sketch,
        VarSamp | VarPop | StddevSamp | StddevPop => Kind::Moments,
        Corr | CovarPop | CovarSamp | RegrSlope | RegrIntercept | RegrR2 => Kind::Moments,
    })
}

fn placed(spec: &AggregateSpec, call: &AggregateCall, by: By) -> Kind {
    Kind::Placed(Box::new(PlacedSpec {
        by,
        nulls: matches!(call.function, AggregateFn::ArrayAgg | AggregateFn::LastSeen),
        order: call.order.clone(),
        order_types: call.order.iter().map(|o| type_of(spec, o.column)).collect(),
        filter: call.filter,
        identity: spec.identity.clone(),
        changes: spec.input_changes,
    }))
}
