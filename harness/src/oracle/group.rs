//! The rows of one group, and its aggregates recomputed from them.

use velostream_sql::plan::{AggregateCall, AggregateFn};
use velostream_types::{DataType, ErrorCode, Schema, Value};

use super::convert;
use super::eval::{OracleError, float, order, same};
use super::nested::ordering;
use super::number::Number;
use super::statistics;

/// Ends of the windows that a row came through before its last one, the nearest first, then the number of its record; as
/// many zeros behind as there is room. As deep as chains of windows go here.
pub(super) type Through = [i64; 8];

/// What orders the rows of a relation: (offset, nothing, (source, partition, number among the rows made of one)) of a record;
/// of a window's row its end, then what orders the first row of its group.
pub(super) type Order = (i64, Through, (u16, u32, u64));

/// What orders a group's row that has this major part, behind that.
pub(super) fn behind(major: i64, (first, through, tie): Order) -> Order {
    let mut inner = Through::default();
    inner[0] = first;
    inner[1..].copy_from_slice(&through[..through.len() - 1]);
    (major, inner, tie)
}

/// Where a row stands among those of all partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Event time.
    pub time: i64,
    pub order: Order,
    /// An operator made the row.
    pub made: bool,
}

impl Place {
    /// Event time, then source, partition and offset; rows an operator made stand in the order it gave them.
    fn by_time(&self) -> (i64, (u16, u32), Order) {
        let (source, partition, _) = self.order.2;
        (self.time, if self.made { (0, 0) } else { (source, partition) }, self.order)
    }
}

/// One row that counts in a group.
#[derive(Clone, Debug)]
struct Member {
    values: Vec<Value>,
    place: Place,
}

/// Every row that counts in one group, in the order of arrival.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    members: Vec<Member>,
}

impl Group {
    /// Adds a row, or takes an equal one out.
    pub fn change(&mut self, values: &[Value], place: Place, weight: i8) {
        if weight > 0 {
            self.members.push(Member { values: values.to_vec(), place });
        } else if let Some(at) = self.members.iter().rposition(|m| equal_rows(&m.values, values)) {
            self.members.remove(at);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The value of one aggregate over columns of these types.
    pub fn aggregate(&self, call: &AggregateCall, columns: &Schema) -> Result<Value, OracleError> {
        use AggregateFn::*;
        let data_type =
            call.argument().and_then(|a| columns.fields.get(a)).map_or(DataType::Null, |f| f.data_type.clone());
        let keeps_null = matches!(call.function, ArrayAgg | LastSeen);
        let mut members = self.members_of(call, keeps_null);
        let values: Vec<&Value> = members.iter().filter_map(|m| call.argument().map(|a| &m.values[a])).collect();
        Ok(match call.function {
            CountStar => Value::Int(self.members.len() as i64),
            Count if !call.distinct => Value::Int(values.len() as i64),
            Count | ApproxCountDistinct => Value::Int(different_rows(&members, &call.arguments) as i64),
            Sum => return sum(&different(values, call.distinct), call),
            Avg => return average(&different(values, call.distinct), call),
            Min | Delta => extreme(&values, |new, old| ordering(new, old, &data_type).is_some_and(|o| o.is_lt())),
            Max => extreme(&values, |new, old| ordering(new, old, &data_type).is_some_and(|o| o.is_gt())),
            First | Last | Earliest | Latest | LastSeen => chosen(call, &members),
            VarSamp | VarPop | StddevSamp | StddevPop => {
                statistics::spread(call.function, &different(values, call.distinct))
            }
            Corr | CovarPop | CovarSamp | RegrSlope | RegrIntercept | RegrR2 => {
                let pair = |m: &&Member| [0, 1].map(|i| m.values[call.arguments[i]].clone());
                statistics::of_pairs(call.function, &members.iter().map(pair).collect::<Vec<_>>())
            }
            Median | PercentileCont | PercentileDisc => percentile(call, different(values, call.distinct)),
            StringAgg | ArrayAgg => {
                sort_for_list(call, &mut members);
                let values = members.iter().map(|m| &m.values[call.arguments[0]]).collect();
                list(call, &different(values, call.distinct), &data_type)
            }
            CollectSet | TopK | Histogram => collection(call, &values, &data_type),
        })
    }

    /// Members that pass FILTER and whose arguments all have a value.
    fn members_of(&self, call: &AggregateCall, keeps_null: bool) -> Vec<&Member> {
        let passes = |m: &&Member| call.filter.is_none_or(|f| m.values[f] == Value::Bool(true));
        let whole = |m: &&Member| keeps_null || call.arguments.iter().all(|a| !m.values[*a].is_null());
        self.members.iter().filter(passes).filter(whole).collect()
    }
}

fn equal_rows(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same(x, y))
}

fn different_rows(members: &[&Member], columns: &[usize]) -> usize {
    let mut seen: Vec<Vec<Value>> = Vec::new();
    for member in members {
        let row: Vec<Value> = columns.iter().map(|c| member.values[*c].clone()).collect();
        if !seen.iter().any(|s| equal_rows(s, &row)) {
            seen.push(row);
        }
    }
    seen.len()
}

/// The values, each once if asked for.
fn different(values: Vec<&Value>, distinct: bool) -> Vec<&Value> {
    let mut kept: Vec<&Value> = Vec::new();
    for value in values {
        if !distinct || !kept.iter().any(|k| same(k, value)) {
            kept.push(value);
        }
    }
    kept
}

fn sum(values: &[&Value], call: &AggregateCall) -> Result<Value, OracleError> {
    if values.is_empty() {
        return Ok(Value::Null);
    }
    if call.result == DataType::Float {
        return Ok(Value::Float(values.iter().fold(0.0, |sum, v| sum + float(v))));
    }
    let overflow = OracleError { code: ErrorCode::GroupOverflow, span: call.span };
    exact_sum(values).into_value(&call.result).ok_or(overflow)
}

fn exact_sum(values: &[&Value]) -> Number {
    values.iter().filter_map(|v| Number::of(v)).fold(Number::zero(), |sum, n| sum.plus(&n))
}

fn average(values: &[&Value], call: &AggregateCall) -> Result<Value, OracleError> {
    if values.is_empty() {
        return Ok(Value::Null);
    }
    let count = values.len() as i64;
    Ok(match call.result.exact_scale() {
        Some(scale) => {
            let quotient = exact_sum(values).over(&Number::int(count), u32::from(scale));
            quotient.into_value(&call.result).unwrap_or(Value::Null)
        }
        None if values.iter().all(|v| Number::of(v).is_some()) => {
            Value::Float(exact_sum(values).to_float() / count as f64)
        }
        None => Value::Float(values.iter().fold(0.0, |sum, v| sum + float(v)) / count as f64),
    })
}

fn extreme(values: &[&Value], better: impl Fn(&Value, &Value) -> bool) -> Value {
    let mut best: Option<&Value> = None;
    for value in values {
        if best.is_none_or(|b| better(value, b)) {
            best = Some(value);
        }
    }
    best.cloned().unwrap_or(Value::Null)
}

/// The value of the row that stands first or last.
fn chosen(call: &AggregateCall, members: &[&Member]) -> Value {
    use AggregateFn::*;
    let member = match call.function {
        First => members.iter().min_by_key(|m| m.place.by_time()),
        Last => members.iter().max_by_key(|m| m.place.by_time()),
        Earliest => members.iter().min_by_key(|m| m.place.order),
        _ => members.iter().max_by_key(|m| m.place.order),
    };
    member.map_or(Value::Null, |m| m.values[call.arguments[0]].clone())
}

/// Ascending order with NULL and NaN in their places: NULL smallest, NaN greatest.
fn ascending(a: &Value, b: &Value) -> std::cmp::Ordering {
    let is_nan = |v: &Value| matches!(v, Value::Float(x) if x.is_nan());
    order(a, b).unwrap_or_else(|| (!a.is_null(), is_nan(a)).cmp(&(!b.is_null(), is_nan(b))))
}

fn sort_for_list(call: &AggregateCall, members: &mut [&Member]) {
    members.sort_by(|a, b| {
        for item in &call.order {
            let (x, y) = (&a.values[item.column], &b.values[item.column]);
            let by_null = if item.nulls_first { y.is_null().cmp(&x.is_null()) } else { x.is_null().cmp(&y.is_null()) };
            let by_value = if item.descending { ascending(y, x) } else { ascending(x, y) };
            let by = if x.is_null() || y.is_null() { by_null } else { by_value };
            if by.is_ne() {
                return by;
            }
        }
        a.place.order.cmp(&b.place.order)
    });
}

fn list(call: &AggregateCall, values: &[&Value], data_type: &DataType) -> Value {
    if values.is_empty() {
        return Value::Null;
    }
    if call.function == AggregateFn::StringAgg {
        let separator = match &call.parameter {
            Some(Value::Str(s)) => s.to_string(),
            _ => ",".to_owned(),
        };
        let texts: Vec<String> = values.iter().map(|v| convert::text(v, data_type)).collect();
        return Value::Str(texts.join(&separator).into());
    }
    array(values.iter().copied(), data_type)
}

fn array<'v>(values: impl Iterator<Item = &'v Value>, data_type: &DataType) -> Value {
    let texts: Vec<String> = values.map(|v| json(v, data_type)).collect();
    Value::Json(format!("[{}]", texts.join(",")).into())
}

fn json(value: &Value, data_type: &DataType) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Float(x) if !x.is_finite() => "null".to_owned(),
        Value::Int(_) | Value::Decimal { .. } | Value::Float(_) | Value::Bool(_) | Value::Json(_) => {
            convert::text(value, data_type)
        }
        other => serde_json::Value::from(convert::text(other, data_type)).to_string(),
    }
}

fn percentile(call: &AggregateCall, mut values: Vec<&Value>) -> Value {
    values.sort_by(|a, b| ascending(a, b));
    if call.order.first().is_some_and(|o| o.descending) {
        values.reverse();
    }
    if values.is_empty() {
        return Value::Null;
    }
    let p = call.parameter.as_ref().and_then(Number::of).unwrap_or_else(Number::zero);
    let count = values.len() as i64;
    if call.function == AggregateFn::PercentileDisc {
        // The first value at or below which at least p of all lie.
        let reaches = |i: &usize| Number::int(*i as i64 + 1).compare(&p.times(&Number::int(count))).is_ge();
        return (0..values.len()).find(reaches).map_or(Value::Null, |i| values[i].clone());
    }
    let position = p.times(&Number::int(count - 1));
    let low = usize::try_from(&position.floor()).unwrap_or(0);
    let rest = position.plus(&Number::int(-(low as i64))).to_float();
    let below = float(values[low]);
    Value::Float(if rest == 0.0 { below } else { below + (float(values[low + 1]) - below) * rest })
}

fn collection(call: &AggregateCall, values: &[&Value], data_type: &DataType) -> Value {
    if values.is_empty() {
        return Value::Null;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| ascending(a, b));
    let sets = different(sorted.clone(), true);
    match call.function {
        AggregateFn::CollectSet => array(sets.into_iter(), data_type),
        AggregateFn::TopK => {
            let most = match call.parameter {
                Some(Value::Int(n)) => n as usize,
                _ => 0,
            };
            let from = if call.distinct { sets } else { sorted };
            array(from.into_iter().rev().take(most), data_type)
        }
        _ => {
            let entry = |value: &&Value| {
                let count = if call.distinct { 1 } else { values.iter().filter(|v| same(v, value)).count() };
                format!("{}:{count}", serde_json::Value::from(convert::text(value, data_type)))
            };
            let mut by_text = sets;
            by_text.sort_by_key(|value| convert::text(value, data_type));
            let entries: Vec<String> = by_text.iter().map(entry).collect();
            Value::Json(format!("{{{}}}", entries.join(",")).into())
        }
    }
}
