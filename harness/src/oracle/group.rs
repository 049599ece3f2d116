//! The rows of one group, and its aggregates recomputed from them.

use velostream_sql::plan::{AggregateCall, AggregateFn};
use velostream_types::{DataType, ErrorCode, Value};

use super::eval::{OracleError, float, order, same};
use super::number::Number;

/// Place of a row among those of all partitions: event time, then source, partition and offset.
pub(super) type Place = (i64, u16, u32, i64);

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
    last_seen: Vec<Value>,
}

impl Group {
    /// Adds a row, or takes an equal one out.
    pub fn change(&mut self, values: &[Value], place: Place, weight: i8) {
        if weight > 0 {
            self.last_seen = values.to_vec();
            self.members.push(Member { values: values.to_vec(), place });
        } else if let Some(at) = self.members.iter().rposition(|m| equal_rows(&m.values, values)) {
            self.members.remove(at);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The value of one aggregate.
    pub fn aggregate(&self, call: &AggregateCall) -> Result<Value, OracleError> {
        let values = || -> Vec<(&Value, Place)> {
            let Some(argument) = call.argument else { return Vec::new() };
            self.members.iter().map(|m| (&m.values[argument], m.place)).filter(|(v, _)| !v.is_null()).collect()
        };
        Ok(match call.function {
            AggregateFn::CountStar => Value::Int(self.members.len() as i64),
            AggregateFn::Count => Value::Int(values().len() as i64),
            AggregateFn::Sum => return sum(&values(), call),
            AggregateFn::Avg => average(&values(), call),
            AggregateFn::Min => extreme(&values(), |new, old| order(new, old).is_some_and(|o| o.is_lt())),
            AggregateFn::Max => extreme(&values(), |new, old| order(new, old).is_some_and(|o| o.is_gt())),
            AggregateFn::First => values().iter().min_by_key(|(_, p)| *p).map_or(Value::Null, |(v, _)| (*v).clone()),
            AggregateFn::Last => values().iter().max_by_key(|(_, p)| *p).map_or(Value::Null, |(v, _)| (*v).clone()),
            AggregateFn::LastSeen => call.argument.and_then(|a| self.last_seen.get(a)).cloned().unwrap_or(Value::Null),
        })
    }
}

fn equal_rows(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same(x, y))
}

fn sum(values: &[(&Value, Place)], call: &AggregateCall) -> Result<Value, OracleError> {
    if values.is_empty() {
        return Ok(Value::Null);
    }
    if call.result == DataType::Float {
        return Ok(Value::Float(values.iter().fold(0.0, |sum, (v, _)| sum + float(v))));
    }
    let total = exact_sum(values);
    total.into_value(&call.result).ok_or(OracleError { code: ErrorCode::GroupOverflow, span: call.span })
}

fn exact_sum(values: &[(&Value, Place)]) -> Number {
    values.iter().filter_map(|(v, _)| Number::of(v)).fold(Number::zero(), |sum, n| sum.plus(&n))
}

fn average(values: &[(&Value, Place)], call: &AggregateCall) -> Value {
    if values.is_empty() {
        return Value::Null;
    }
    let count = values.len() as i64;
    match call.result.exact_scale() {
        Some(scale) => {
            let quotient = exact_sum(values).over(&Number::int(count), u32::from(scale));
            quotient.into_value(&call.result).unwrap_or(Value::Null)
        }
        None if values.iter().all(|(v, _)| Number::of(v).is_some()) => {
            Value::Float(exact_sum(values).to_float() / count as f64)
        }
        None => Value::Float(values.iter().fold(0.0, |sum, (v, _)| sum + float(v)) / count as f64),
    }
}

fn extreme(values: &[(&Value, Place)], better: impl Fn(&Value, &Value) -> bool) -> Value {
    let mut best: Option<&Value> = None;
    for (value, _) in values {
        if best.is_none_or(|b| better(value, b)) {
            best = Some(value);
        }
    }
    best.cloned().unwrap_or(Value::Null)
}
