//! The calls of one OVER, made ready once, and their results for the row that just came.
//!
//! Ranks, shifts and picks go by places in the buffer: O(log n). COUNT, SUM, AVG, variances of exact numbers, MIN and MAX
//! move along with their frame (see `running`): O(1) for rows that come in order. Everything else is computed anew of the
//! frame's rows, by the accumulators that GROUP BY uses: medians and percentiles, lists, sets, distinct values, statistics
//! of pairs, FIRST and LAST, and whatever adds floats, because what is taken back from a float sum leaves a trace.

use velostream_functions::{AggregateFn, OverFn};
use velostream_sql::plan::{AggregateCall, AggregateSpec, CallOrder, Emit, Frame, FrameBound, OverKind, OverSpec};
use velostream_state::block::BlockPool;
use velostream_state::build::ColumnBuilder;
use velostream_types::{
    Batch, DataType, Field, RowMeta, RowOrder, Schema, SchemaRef, SourceId, Value, decimal, within,
};

use super::buffer::Buffer;
use super::order::Order;
use super::rows::Rows;
use super::running::{Running, Tally};
use crate::agg::{Fold, Layout, States, Sums, average_in, sum_in};

/// What the calls of one row are computed of.
pub(super) struct Here<'a> {
    pub(super) order: &'a Order,
    pub(super) rows: &'a Rows,
    pub(super) buffer: &'a mut Buffer,
    /// Place of the row in the buffer.
    pub(super) at: usize,
    /// The row itself.
    pub(super) batch: &'a Batch,
    pub(super) row: usize,
    /// LAG and LEAD that asked for a row the buffer no longer has.
    pub(super) past: &'a mut u64,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    kind: Kind,
    /// The frame as the rows lie in memory.
    frame: Frame,
    result: DataType,
}

#[derive(Debug)]
enum Kind {
    Rank(OverFn, u64),
    Shift {
        lane: usize,
        by: u64,
        ahead: bool,
        default: Option<usize>,
        ignore_nulls: bool,
    },
    Pick {
        lane: usize,
        nth: u64,
        from_end: bool,
        ignore_nulls: bool,
    },
    CountRows,
    /// A running result, by its number in the buffer; the way to compute it anew where a sum leaves 128 bits.
    Running {
        function: AggregateFn,
        at: usize,
        anew: Box<Anew>,
    },
    Anew(Box<Anew>),
}

/// What is computed of the frame's rows each time.
#[derive(Debug)]
struct Anew {
    function: AggregateFn,
    result: DataType,
    layout: Layout,
    /// Lane and type per column that the layout reads.
    lanes: Vec<(usize, DataType)>,
}

/// The calls of a spec; which columns of the input they keep; running results per buffer.
pub(super) struct Calls {
    pub(super) calls: Vec<Call>,
    pub(super) lanes: Vec<usize>,
    pub(super) running: Vec<(Tally, usize)>,
}

/// Something a call cannot say: what is wrong.
pub(super) struct OutOfRange(pub(super) String);

fn lane(lanes: &mut Vec<usize>, column: usize) -> usize {
    lanes.iter().position(|lane| *lane == column).unwrap_or_else(|| {
        lanes.push(column);
        lanes.len() - 1
    })
}

impl Calls {
    pub(super) fn new(spec: &OverSpec, order: &Order, types: &[DataType]) -> Calls {
        let mut calls = Calls { calls: Vec::new(), lanes: Vec::new(), running: Vec::new() };
        for call in &spec.calls {
            let kind = match &call.kind {
                OverKind::Aggregate(aggregate) => calls.aggregate(aggregate, types),
                OverKind::Analytic { function, argument, count, default, ignore_nulls } => {
                    let lane = argument.map(|column| lane(&mut calls.lanes, column));
                    analytic(*function, lane.unwrap_or(0), *count, *default, *ignore_nulls, order.reversed)
                }
            };
            calls.calls.push(Call { kind, frame: order.turned(&call.frame), result: call.result.clone() });
        }
        calls
    }

    fn aggregate(&mut self, call: &AggregateCall, types: &[DataType]) -> Kind {
        use AggregateFn::*;
        let argument = call.argument().map(|column| (column, &types[column]));
        let (tally, column) = match (call.function, argument) {
            (CountStar, _) if !call.distinct => return Kind::CountRows,
            (Count, Some((column, _))) if !call.distinct => (Tally::Count, column),
            (Sum | Avg, Some((column, t))) if !call.distinct && is_exact(t) => (Tally::Total, column),
            (VarSamp | VarPop | StddevSamp | StddevPop, Some((column, t))) if !call.distinct && is_exact(t) => {
                (Tally::Squares, column)
            }
            (Min, Some((column, t))) if !t.is_nested() => (Tally::Min, column),
            (Max, Some((column, t))) if !t.is_nested() => (Tally::Max, column),
            _ => return Kind::Anew(Box::new(self.anew(call, types))),
        };
        let lane = lane(&mut self.lanes, column);
        self.running.push((tally, lane));
        Kind::Running { function: call.function, at: self.running.len() - 1, anew: Box::new(self.anew(call, types)) }
    }

    fn anew(&mut self, call: &AggregateCall, types: &[DataType]) -> Anew {
        let mut lanes: Vec<(usize, DataType)> = Vec::new();
        let mut place = |column: usize| {
            let wanted = lane(&mut self.lanes, column);
            lanes.iter().position(|(lane, _)| *lane == wanted).unwrap_or_else(|| {
                lanes.push((wanted, types[column].clone()));
                lanes.len() - 1
            })
        };
        let mut call = call.clone();
        let (function, result) = (call.function, call.result.clone());
        call.arguments.iter_mut().chain(&mut call.filter).for_each(|column| *column = place(*column));
        call.order = call.order.iter().map(|key| CallOrder { column: place(key.column), ..key.clone() }).collect();
        let fields = lanes.iter().map(|(_, data_type)| Field::new("", data_type.clone())).collect();
        let input: SchemaRef = std::sync::Arc::new(Schema::new(fields));
        let spec = AggregateSpec {
            keys: Vec::new(),
            aggregates: vec![call],
            window: None,
            emit: Emit::Final,
            retract: false,
            input,
            input_changes: false,
            identity: Vec::new(),
            headers: None,
            ttl_ns: None,
        };
        Anew { function, result, layout: Layout::new(&spec), lanes }
    }
}

/// TRUE for numbers whose sums are exact.
fn is_exact(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Integer | DataType::Decimal { .. })
}

fn analytic(
    function: OverFn,
    lane: usize,
    count: u64,
    default: Option<usize>,
    ignore_nulls: bool,
    reversed: bool,
) -> Kind {
    match function {
        OverFn::Lag => Kind::Shift { lane, by: count, ahead: reversed, default, ignore_nulls },
        OverFn::Lead => Kind::Shift { lane, by: count, ahead: !reversed, default, ignore_nulls },
        OverFn::FirstValue => Kind::Pick { lane, nth: 1, from_end: reversed, ignore_nulls },
        OverFn::LastValue => Kind::Pick { lane, nth: 1, from_end: !reversed, ignore_nulls },
        OverFn::NthValue => Kind::Pick { lane, nth: count, from_end: reversed, ignore_nulls },
        _ => Kind::Rank(function, count),
    }
}

impl Call {
    /// Type of the result.
    pub(super) fn result(&self) -> &DataType {
        &self.result
    }

    /// Appends the result for the row that came.
    pub(super) fn compute(&self, here: &mut Here<'_>, out: &mut ColumnBuilder) -> Result<(), OutOfRange> {
        match &self.kind {
            Kind::Rank(function, count) => out.push_value(&rank(*function, *count, here)),
            Kind::Shift { lane, by, ahead, default, ignore_nulls } => {
                match here.shifted(*lane, *by, *ahead, *ignore_nulls) {
                    Some(at) => out.push_value(here.rows.value(here.buffer.slot(at), *lane)),
                    None => {
                        *here.past += u64::from(here.buffer.overflown && !*ahead);
                        match default {
                            Some(column) => out.push_value(&here.batch.columns[*column].value(here.row)),
                            None => out.push_null(),
                        }
                    }
                }
            }
            Kind::Pick { lane, nth, from_end, ignore_nulls } => {
                let (from, to) = self.places(here);
                match here.picked(*lane, *nth, *from_end, *ignore_nulls, (from, to)) {
                    Some(slot) => out.push_value(here.rows.value(slot, *lane)),
                    None => out.push_null(),
                }
            }
            Kind::CountRows => {
                let (from, to) = self.places(here);
                out.push_int((to - from) as i64);
            }
            Kind::Running { function, at, anew } => {
                let (from, to) = self.places(here);
                let buffer = &mut *here.buffer;
                let (slots, base) = (&buffer.slots, buffer.base);
                let frame = (base + from as i64, base + to as i64);
                let running = &mut buffer.running[*at];
                if !running.slide(here.rows, frame, |position| slots[(position - base) as usize]) {
                    return anew.compute(here, (from, to), out);
                }
                return self.tell(*function, running, here.rows, out);
            }
            Kind::Anew(anew) => {
                let places = self.places(here);
                return anew.compute(here, places, out);
            }
        }
        Ok(())
    }

    fn tell(
        &self,
        function: AggregateFn,
        running: &Running,
        rows: &Rows,
        out: &mut ColumnBuilder,
    ) -> Result<(), OutOfRange> {
        let count = running.count;
        match function {
            AggregateFn::Count => out.push_int(count),
            AggregateFn::Min | AggregateFn::Max => match running.best(rows) {
                Some(value) => out.push_value(value),
                None => out.push_null(),
            },
            _ if count == 0 => out.push_null(),
            AggregateFn::Sum | AggregateFn::Avg if self.result == DataType::Float => {
                let (sum, scale) = decimal::strip(running.total, running.scale, 0);
                let share = if function == AggregateFn::Avg { count as f64 } else { 1.0 };
                out.push_value(&Value::Float(sum as f64 / decimal::pow10(scale) as f64 / share));
            }
            AggregateFn::Sum | AggregateFn::Avg => {
                let scale = self.result.exact_scale().unwrap_or(0);
                let told = match function {
                    AggregateFn::Avg => average_in(running.total, running.scale, count as u64, scale),
                    _ => sum_in(running.total, running.scale, &self.result),
                };
                match told {
                    Some((mantissa, 0)) if self.result == DataType::Integer => out.push_int(mantissa as i64),
                    Some((mantissa, scale)) => out.push_decimal(mantissa, scale),
                    None => return Err(out_of_range(function.name(), &self.result)),
                }
            }
            _ => match Sums::of_sums(count, (running.total, running.squares), running.scale).value(function) {
                Some(value) => out.push_value(&Value::Float(value)),
                None => out.push_null(),
            },
        }
        Ok(())
    }

    /// Places of the frame's rows: first, and one behind the last.
    fn places(&self, here: &Here<'_>) -> (usize, usize) {
        let (len, at) = (here.buffer.len(), here.at);
        let rows = |value: &Value| match value {
            Value::Int(n) => usize::try_from(*n).unwrap_or(usize::MAX),
            _ => 0,
        };
        let from = match &self.frame.start {
            FrameBound::UnboundedPreceding => 0,
            FrameBound::UnboundedFollowing => len,
            FrameBound::CurrentRow if self.frame.range => here.peers().0,
            FrameBound::CurrentRow => at,
            FrameBound::Preceding(distance) if self.frame.range => here.bound(distance, false, true),
            FrameBound::Following(distance) if self.frame.range => here.bound(distance, true, true),
            FrameBound::Preceding(n) => at.saturating_sub(rows(n)),
            FrameBound::Following(n) => at.saturating_add(rows(n)).min(len),
        };
        let to = match &self.frame.end {
            FrameBound::UnboundedPreceding => 0,
            FrameBound::UnboundedFollowing => len,
            FrameBound::CurrentRow if self.frame.range => here.peers().1,
            FrameBound::CurrentRow => at + 1,
            FrameBound::Preceding(distance) if self.frame.range => here.bound(distance, false, false),
            FrameBound::Following(distance) if self.frame.range => here.bound(distance, true, false),
            FrameBound::Preceding(n) => (at + 1).saturating_sub(rows(n)),
            FrameBound::Following(n) => at.saturating_add(rows(n)).saturating_add(1).min(len),
        };
        if from < to { (from, to) } else { (at, at) }
    }
}

fn out_of_range(function: &str, result: &DataType) -> OutOfRange {
    OutOfRange(format!("{function} OVER is beyond the range of {result}; hint: CAST AS DECIMAL(38,0)"))
}

impl Here<'_> {
    fn peers(&self) -> (usize, usize) {
        self.buffer.peers(self.rows, self.order, self.at)
    }

    /// Place of a bound that lies a distance from the row's value: where its rows begin, or one behind where they end. A
    /// row without a value has but its equals around it.
    fn bound(&self, distance: &Value, up: bool, begins: bool) -> usize {
        let value = self.order.value(&self.batch.columns, self.row);
        if value.is_null() {
            return if begins { self.peers().0 } else { self.peers().1 };
        }
        // What begins above the row, or ends below it, cuts into the frame.
        let Some(key) = self.order.shifted(&value, distance, up, up == begins) else {
            return if up { self.buffer.len() } else { 0 };
        };
        match begins {
            true => self.buffer.below(self.rows, self.order, &key),
            false => self.buffer.not_above(self.rows, self.order, &key),
        }
    }

    /// Place of the row so many rows away in memory.
    fn shifted(&self, lane: usize, by: u64, ahead: bool, ignore_nulls: bool) -> Option<usize> {
        let is_null = |at: usize| self.rows.value(self.buffer.slot(at), lane).is_null();
        if !ignore_nulls || by == 0 {
            let by = usize::try_from(by).ok()?;
            let at = if ahead { self.at.checked_add(by)? } else { self.at.checked_sub(by)? };
            return (at < self.buffer.len()).then_some(at);
        }
        let nth = usize::try_from(by - 1).ok()?;
        match ahead {
            true => (self.at + 1..self.buffer.len()).filter(|at| !is_null(*at)).nth(nth),
            false => (0..self.at).rev().filter(|at| !is_null(*at)).nth(nth),
        }
    }

    /// Slot of the frame's n-th row, from the one end or the other.
    fn picked(
        &self,
        lane: usize,
        nth: u64,
        from_end: bool,
        ignore_nulls: bool,
        (from, to): (usize, usize),
    ) -> Option<u32> {
        let nth = usize::try_from(nth - 1).ok()?;
        let slot = |at: usize| self.buffer.slot(at);
        let counts = |slot: &u32| !ignore_nulls || !self.rows.value(*slot, lane).is_null();
        match (ignore_nulls, from_end) {
            (false, false) => (from.checked_add(nth)? < to).then(|| slot(from + nth)),
            (false, true) => (nth < to - from).then(|| slot(to - 1 - nth)),
            (true, false) => (from..to).map(slot).filter(counts).nth(nth),
            (true, true) => (from..to).rev().map(slot).filter(counts).nth(nth),
        }
    }
}

fn rank(function: OverFn, count: u64, here: &Here<'_>) -> Value {
    let (len, reversed) = (here.buffer.len(), here.order.reversed);
    let at = if reversed { len - 1 - here.at } else { here.at };
    // First of the rows that are equal to this one, and one behind the last, as they are read.
    let peers = || match (here.peers(), reversed) {
        (peers, false) => peers,
        ((first, behind), true) => (len - behind, len - first),
    };
    match function {
        OverFn::RowNumber => Value::Int(at as i64 + 1),
        OverFn::Rank => Value::Int(peers().0 as i64 + 1),
        OverFn::DenseRank => Value::Int(here.buffer.distinct_up_to(here.rows, here.order, here.at) as i64),
        OverFn::PercentRank if len <= 1 => Value::Float(0.0),
        OverFn::PercentRank => Value::Float(peers().0 as f64 / (len - 1) as f64),
        OverFn::CumeDist => Value::Float(peers().1 as f64 / len as f64),
        OverFn::Ntile => Value::Int(part(at as u64, len as u64, count)),
        _ => Value::Null,
    }
}

/// Part of row `at` of `rows` rows cut into `parts`, the longer ones first; from 1.
fn part(at: u64, rows: u64, parts: u64) -> i64 {
    let (size, longer) = (rows / parts, rows % parts);
    let of_longer = longer * (size + 1);
    let part = if at < of_longer { at / (size + 1) } else { longer + (at - of_longer) / size.max(1) };
    part as i64 + 1
}

impl Anew {
    fn compute(&self, here: &Here<'_>, (from, to): (usize, usize), out: &mut ColumnBuilder) -> Result<(), OutOfRange> {
        // Floats are added in the order in which the rows are read.
        let mut slots: Vec<u32> = (from..to).map(|at| here.buffer.slot(at)).collect();
        if here.order.reversed {
            slots.reverse();
        }
        let columns = self.lanes.iter().map(|(lane, data_type)| {
            let mut column = ColumnBuilder::new(data_type);
            slots.iter().for_each(|slot| column.push_value(here.rows.value(*slot, *lane)));
            column.finish()
        });
        let columns: Vec<_> = columns.collect();
        let arrivals: Vec<i64> = slots.iter().map(|slot| here.rows.arrival(*slot)).collect();
        let times: Vec<i64> = slots.iter().map(|slot| here.rows.time(*slot)).collect();
        let meta = RowMeta {
            order: RowOrder::Derived {
                major: arrivals.into(),
                minor: vec![within::HERE; slots.len()].into(),
                tie: vec![0; slots.len()].into(),
            },
            event_time: Some(times.into()),
            ..RowMeta::plain(SourceId(0), 0, 0)
        };
        let mut pool = BlockPool::default();
        let mut states = States::new(&self.layout);
        states.grow(1, &mut pool);
        let groups = vec![0; slots.len()];
        if !slots.is_empty() {
            let fold = Fold { groups: &groups, start: 0, columns: &columns, meta: &meta, weights: None };
            states.update(&self.layout, fold, &mut pool);
        }
        states.settle(0);
        if states.overflow(&self.layout, 0).is_some() {
            return Err(out_of_range(self.function.name(), &self.result));
        }
        states.emit(&self.layout, 0, std::slice::from_mut(out));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn longer_parts_come_first() {
        let parts = |rows: u64, parts: u64| (0..rows).map(|at| part(at, rows, parts)).collect::<Vec<_>>();
        assert_eq!(parts(7, 3), [1, 1, 1, 2, 2, 3, 3]);
        assert_eq!(parts(2, 4), [1, 2]);
        assert_eq!(parts(6, 3), [1, 1, 2, 2, 3, 3]);
        assert_eq!(parts(3, 1), [1, 1, 1]);
    }
}
