//! Arrays, maps, structs and JSON among the kernels: order, and conversions to and from them.
//!
//! Values are canonical JSON text of their logical type. A conversion walks the text once and writes that of the other
//! type; elements convert as values of columns do, as far as their text tells them apart.

use arrow_buffer::BooleanBuffer;
use velostream_functions::json::{self, Kind, Misfit, Strictness};
use velostream_sql::plan::CompareOp;
use velostream_types::time::{NS_PER_MS, timestamp_text};
use velostream_types::{Column, DataType, ErrorCode, StrBuilder, Value};

use super::cast::Conversion;
use super::compare::satisfies;
use super::datum::{Datum, both};
use super::eval::Session;
use super::text;

/// `left op right` for values of one type that have an order.
pub(super) fn ordered(
    op: CompareOp,
    left: &Datum<'_>,
    right: &Datum<'_>,
    data_type: &DataType,
    rows: usize,
) -> Datum<'static> {
    if left.is_all_null() || right.is_all_null() {
        return Datum::NULL;
    }
    let (l, r) = (left.as_column(rows), right.as_column(rows));
    let holds = |row| match (l.str_at(row), r.str_at(row)) {
        (Some(l), Some(r)) => satisfies(op, json::compare(l, r, data_type)),
        _ => false,
    };
    Datum::bools(BooleanBuffer::collect_bool(rows, holds), both(left, right, rows))
}

/// JSON scalars as the text that converts to `to`: strings without quotes, `null` as NULL.
pub(super) fn unquoted(column: &Column, to: &DataType) -> Column {
    let rows = column.len();
    let mut built = StrBuilder::with_capacity(rows);
    for row in 0..rows {
        let Some(raw) = column.str_at(row) else {
            built.push_null();
            continue;
        };
        match (json::kind(raw), to) {
            (Kind::Null, _) => built.push_null(),
            (Kind::Text, _) => built.push_str(&json::text_of(raw)),
            // As decimals do, numbers lose their fraction.
            (Kind::Number, DataType::Integer) => built.push_str(raw.split('.').next().unwrap_or(raw)),
            (Kind::Bool, DataType::Integer) => built.push_str(if raw == "true" { "1" } else { "0" }),
            (Kind::Number, DataType::Timestamp) => match raw.parse().ok().and_then(|ms: i64| ms.checked_mul(NS_PER_MS))
            {
                Some(ns) => built.push_str(&timestamp_text(ns)),
                None => built.push_str(raw),
            },
            _ => built.push_str(raw),
        }
    }
    Column::Str(built.finish())
}

/// Converts to the node's nested type.
pub(super) fn convert(c: &Conversion<'_>, session: &mut Session<'_>) -> Column {
    let to = &c.node.data_type;
    let mut built = StrBuilder::with_capacity(session.rows);
    let mut out = String::new();
    for row in 0..session.rows {
        if c.column.is_null(row) {
            built.push_null();
            continue;
        }
        out.clear();
        match one(c, row, to, &mut out) {
            Ok(()) if out == "null" => built.push_null(),
            Ok(()) => built.push_str(&out),
            Err(reason) => {
                built.push_null();
                if !c.try_cast && c.selection.is_none_or(|s| s.value(row)) {
                    let value = text::shortened(c.column, c.from, row);
                    let message = format!("cannot cast {value} to {to}: {reason}");
                    session.fail(row, ErrorCode::Cast, c.node.span, message);
                }
            }
        }
    }
    Column::Str(built.finish())
}

/// One value; what is wrong with it.
fn one(c: &Conversion<'_>, row: usize, to: &DataType, out: &mut String) -> Result<(), String> {
    let reason = |m: Misfit| {
        let place = if m.path.is_empty() { "it" } else { m.path.as_str() };
        format!("{place} is {}, not of type {}", m.found, m.expected)
    };
    match (c.column.str_at(row), c.from) {
        (Some(text), DataType::String) => {
            json::check(text).map_err(|m| format!("{} at byte {}", m.what, m.at))?;
            json::canonical(text, to, Strictness::Declared, out).map_err(reason)
        }
        (Some(raw), from) if from.is_nested() => inside(raw, from, to, out).map_err(reason),
        _ => {
            let mut raw = String::new();
            json::push_value(&typed(c.column.value(row), c.from), c.from, &mut raw);
            json::canonical(&raw, to, Strictness::Declared, out).map_err(reason)
        }
    }
}

/// The value of a column of this type; times of day and intervals are integers in columns.
fn typed(value: Value, data_type: &DataType) -> Value {
    match (value, data_type) {
        (Value::Int(n), DataType::Time) => Value::Time(n),
        (Value::Int(n), DataType::Interval) => Value::Interval(n),
        (value, _) => value,
    }
}

/// Canonical text of one type as that of another. Recursion is bounded by the types.
fn inside(raw: &str, from: &DataType, to: &DataType, out: &mut String) -> Result<(), Misfit> {
    if json::kind(raw) == Kind::Null {
        out.push_str("null");
        return Ok(());
    }
    match (from, to) {
        (DataType::Array(x), DataType::Array(y)) => {
            out.push('[');
            for (i, element) in json::elements(raw).enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                inside(element, x, y, out).map_err(|m| below(m, &format!("[{}]", i + 1)))?;
            }
            out.push(']');
            Ok(())
        }
        (DataType::Map(x), DataType::Map(y)) => {
            out.push('{');
            for (i, (key, value)) in json::members(raw).enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                out.push_str(key);
                out.push(':');
                inside(value, x, y, out).map_err(|m| below(m, &format!("['{}']", json::text_of(key))))?;
            }
            out.push('}');
            Ok(())
        }
        (DataType::Struct(from), DataType::Struct(to)) => {
            out.push('{');
            for (i, field) in to.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                json::quote(&field.name, out);
                out.push(':');
                let own = from.iter().find(|f| f.name == field.name).map_or(&DataType::Json, |f| &f.data_type);
                let value = json::members(raw).find(|(key, _)| json::text_of(key) == *field.name);
                let value = value.map_or("null", |(_, value)| value);
                inside(value, own, &field.data_type, out).map_err(|m| below(m, &format!(".{}", field.name)))?;
            }
            out.push('}');
            Ok(())
        }
        (from, to) if from == to => {
            out.push_str(raw);
            Ok(())
        }
        (from, to) => leaf(raw, from, to, out),
    }
}

fn below(mut misfit: Misfit, step: &str) -> Misfit {
    misfit.path.insert_str(0, step);
    misfit
}

/// A value that is not taken apart.
fn leaf(raw: &str, from: &DataType, to: &DataType, out: &mut String) -> Result<(), Misfit> {
    let mut converted = String::new();
    let text = json::text_of(raw);
    let number = text.trim();
    match (from, to) {
        (DataType::String | DataType::Json, DataType::String) => json::quote(&text, &mut converted),
        (_, DataType::String) if json::kind(raw) == Kind::Text => converted.push_str(raw),
        (_, DataType::String) => json::quote(raw, &mut converted),
        (DataType::Float | DataType::Decimal { .. }, DataType::Integer) => {
            let whole = match json::scalar(raw, from) {
                Value::Float(x) if x.abs() < 9e18 => format!("{:.0}", x.trunc()),
                Value::Float(_) => raw.to_owned(),
                _ => raw.split('.').next().unwrap_or(raw).to_owned(),
            };
            converted.push_str(if whole == "-0" { "0" } else { &whole });
        }
        (DataType::String, to)
            if to.is_numeric() && json::check(number).is_ok() && json::kind(number) == Kind::Number =>
        {
            converted.push_str(number);
        }
        (DataType::Timestamp, DataType::Date) => {
            json::quote(text.split(' ').next().unwrap_or_default(), &mut converted);
        }
        _ => converted.push_str(raw),
    }
    json::canonical(&converted, to, Strictness::Declared, out)
}
