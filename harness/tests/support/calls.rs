//! Random calls of every function of the catalogue, with arguments of the types it takes and constants it knows.

use std::sync::LazyLock;

use velostream_functions::{ArgType, Function, Group, Param, Returns, Taken};
use velostream_sql::plan::{Expr, ExprKind};
use velostream_types::{DataType, Value};

use super::batches;
use super::exprs::{Exprs, WANTS, Want, unified};

/// Functions by the kind of their results.
static BY_WANT: LazyLock<Vec<(Want, Vec<&'static Function>)>> = LazyLock::new(|| {
    let of = |want: Want| velostream_functions::all().filter(|f| gives(f, want)).collect();
    WANTS.iter().map(|want| (*want, of(*want))).collect()
});

/// The functions that may give this kind.
pub fn functions(want: Want) -> &'static [&'static Function] {
    BY_WANT.iter().find(|(w, _)| *w == want).map_or(&[], |(_, list)| list)
}

/// What a rule gives follows from its arguments; these are the kinds it is drawn for.
fn gives(function: &Function, want: Want) -> bool {
    match function.returns {
        Returns::Boolean => want == Want::Boolean,
        Returns::Integer | Returns::Float => want == Want::Number,
        // Bytes and times of day are cast to text.
        Returns::Text | Returns::Bytes | Returns::Time | Returns::Json => want == Want::Text,
        Returns::Date => want == Want::Date,
        Returns::Timestamp => want == Want::Timestamp,
        Returns::Interval => want == Want::Interval,
        Returns::SameAs(_) if function.group == Group::Collection => want == Want::Text,
        Returns::SameAs(_) | Returns::Common => want == Want::Number,
        Returns::By(_) => match function.name {
            "LEAST" | "GREATEST" => true,
            "TO_DATE" => want == Want::Date,
            "DATE_TRUNC" | "DATE_BIN" | "DATE_ADD" | "DATE_SUB" | "CONVERT_TZ" | "TO_TIMESTAMP" => {
                want == Want::Timestamp
            }
            "ELEMENT_AT" | "FIELD" | "ARRAY_MIN" | "ARRAY_MAX" => matches!(want, Want::Number | Want::Text),
            "ARRAY_CONTAINS" => want == Want::Boolean,
            "ARRAY_SUM" | "ARRAY_POSITION" => want == Want::Number,
            _ if matches!(function.group, Group::Collection | Group::Json) => want == Want::Text,
            "STRING_TO_ARRAY" => want == Want::Text,
            _ => want == Want::Number,
        },
    }
}

/// TRUE when an expression of this type may stand where this kind is wanted.
fn suits(data_type: &DataType, want: Want) -> bool {
    match want {
        _ if *data_type == DataType::Null => true,
        Want::Number => data_type.is_numeric(),
        Want::Text => *data_type == DataType::String,
        Want::Boolean => *data_type == DataType::Boolean,
        Want::Timestamp => *data_type == DataType::Timestamp,
        Want::Interval => *data_type == DataType::Interval,
        Want::Date => *data_type == DataType::Date,
    }
}

/// Constants a parameter knows; most texts are none of them.
fn constants(function: &Function, i: usize) -> &'static [&'static str] {
    match (function.name, i) {
        ("EXTRACT", 0) => &["year", "week", "dow", "hour", "second", "microsecond", "epoch"],
        ("DATE_TRUNC" | "DATEDIFF", 0) | ("DATE_ADD" | "DATE_SUB", 2) => {
            &["year", "quarter", "month", "week", "days", "HOUR", "second", "millisecond"]
        }
        ("CONVERT_TZ", 1 | 2) => &["UTC", "America/New_York", "Europe/Berlin", "+05:30", "Australia/Lord_Howe"],
        ("DATE_FORMAT", 1) => &["%Y-%m-%d", "%H:%M:%S%.f", "%a %j %V", "%i"],
        ("TO_TIMESTAMP" | "TO_DATE", 1) => &["%Y-%m-%d", "%d-%m-%Y", "%m/%d/%Y"],
        ("ENCODE" | "DECODE", 1) => &["hex", "base64", "utf8"],
        ("LIKE", 1) => &["a%", "%b%", "_", "%longer%", "abc", "%t_elve%"],
        ("LIKE", 2) => &["#", "\\", "xy"],
        ("REGEXP_LIKE" | "REGEXP_EXTRACT" | "REGEXP_REPLACE", 1) => &["a|b", "^[a-z]+", "(l)(o)?", "(", "\\d"],
        ("REGEXP_REPLACE", 2) => &["x", "$1-", ""],
        ("REGEXP_REPLACE", 3) => &["g", "i", "gi", "z"],
        ("STRUCT" | "MAP" | "JSON_OBJECT", i) if i % 2 == 0 => &["a", "b", "c", "7"],
        ("FIELD", 1) => &["a", "b", "c", "x"],
        ("MAP_CONTAINS_KEY", 1) => &["a", "7", "x"],
        ("ARRAY_SORT", 1) => &["ASC", "desc", "up"],
        ("ARRAY_JOIN", 1) | ("STRING_TO_ARRAY", 1) => &[",", "", "a", " "],
        (name, 1) if name.starts_with("JSON_") && name != "JSON_ARRAY" => {
            &["$.a", "a.b[0]", "$", "$[0]", "$[1].a", "c", "$.x", "a["]
        }
        (name, 0) if (name.starts_with("JSON_") && name != "JSON_ARRAY") || name.ends_with("_JSON") => {
            &["{\"a\": {\"b\": [1.50, 2]}, \"c\": \"é\"}", "[1, {\"a\": []}]", " null ", "\"text\"", "{\"a\": 1"]
        }
        _ => &[],
    }
}

/// A call of the function for a result of this kind; `None` when it does not take what was drawn.
pub fn call(exprs: &mut Exprs<'_>, function: &'static Function, want: Want, depth: u32) -> Option<Expr> {
    let call = plain_call(exprs, function, want, depth)?;
    let to = match (&call.data_type, want) {
        (DataType::Bytes | DataType::Time, _) => Some(DataType::String),
        (nested, Want::Text) if nested.is_nested() => Some(DataType::String),
        (nested, _) if nested.is_nested() => return None,
        (DataType::Date | DataType::Integer, Want::Timestamp) => Some(DataType::Timestamp),
        (data_type, want) if is_part(function) && !suits(data_type, want) => return None,
        _ => None,
    };
    Some(match to {
        Some(to) => cast(exprs, call, to),
        None => call,
    })
}

/// What the function gives has the type of what it is taken from.
fn is_part(function: &Function) -> bool {
    matches!(function.name, "ELEMENT_AT" | "FIELD" | "ARRAY_MIN" | "ARRAY_MAX" | "ARRAY_SUM")
}

/// The call as it is.
fn plain_call(exprs: &mut Exprs<'_>, function: &'static Function, want: Want, depth: u32) -> Option<Expr> {
    // The oracle looks patterns and zones up anew for every row.
    let is_slow = matches!(function.name, "CONVERT_TZ" | "REGEXP_LIKE");
    if is_slow && !exprs.draw.once_in(2) {
        return None;
    }
    // Arrays and what is looked for in them are of one kind.
    let want = match function.group {
        Group::Collection if !is_part(function) => *exprs.draw.pick(&[Want::Number, Want::Text]),
        _ => want,
    };
    let (least, most) = function.arity();
    let count = least + exprs.draw.below(most.unwrap_or(least + 2) as u64 - least as u64 + 1) as usize;
    let args: Vec<Expr> = (0..count).map(|i| argument(exprs, function, i, want, depth)).collect::<Option<_>>()?;
    let args = in_one_type(exprs, function, args)?;
    let types: Vec<ArgType<'_>> =
        args.iter().map(|a| ArgType { data_type: &a.data_type, constant: constant(a) }).collect();
    if let Some(prepare) = function.prepare {
        let constants: Vec<Option<&Value>> = types.iter().map(|t| t.constant).collect();
        prepare(&constants).ok()?;
    }
    let common = args.first().map_or(DataType::Null, |a| a.data_type.clone());
    let data_type = function.result_type(&types, &common).ok()?;
    Some(exprs.make(ExprKind::Call { function, args }, data_type))
}

/// A nested value: a column, a constant or a call that gives one.
fn nested(exprs: &mut Exprs<'_>, wanted: Want, kinds: fn(&DataType) -> bool, depth: u32) -> Option<Expr> {
    if depth > 0 && exprs.draw.once_in(2) {
        let calls =
            ["ARRAY", "ARRAY_CONCAT", "ARRAY_SORT", "STRING_TO_ARRAY", "MAP", "STRUCT", "JSON_ARRAY", "MAP_KEYS"];
        let name: &str = exprs.draw.pick::<&str>(&calls);
        let function = velostream_functions::find(name)?;
        let element = if wanted == Want::Text { Want::Text } else { Want::Number };
        return plain_call(exprs, function, element, depth - 1).filter(|e| kinds(&e.data_type));
    }
    let fitting: Vec<usize> = (0..exprs.columns.len()).filter(|i| kinds(&exprs.columns[*i])).collect();
    if fitting.is_empty() {
        return None;
    }
    let column = *exprs.draw.pick(&fitting);
    let data_type = exprs.columns[column].clone();
    if !exprs.draw.once_in(4) {
        return Some(exprs.make(ExprKind::Column(column), data_type));
    }
    let text = *exprs.draw.pick(batches::nested(&data_type, exprs.regime));
    Some(exprs.make(ExprKind::Literal(Value::Json(text.into())), data_type))
}

fn constant(expr: &Expr) -> Option<&Value> {
    match &expr.kind {
        ExprKind::Literal(value) => Some(value),
        _ => None,
    }
}

fn cast(exprs: &mut Exprs<'_>, operand: Expr, to: DataType) -> Expr {
    exprs.make(ExprKind::Cast { operand: Box::new(operand), try_cast: false }, to)
}

/// An argument of a kind the parameter takes.
fn argument(exprs: &mut Exprs<'_>, function: &'static Function, i: usize, wanted: Want, depth: u32) -> Option<Expr> {
    let known = constants(function, i);
    if !known.is_empty() && !exprs.draw.once_in(6) {
        let text = Value::Str((*exprs.draw.pick(known)).into());
        return Some(exprs.make(ExprKind::Literal(text), DataType::String));
    }
    let param = function.param(i)?;
    match (param, function.name) {
        (Param::Array, _) if wanted == Want::Text => {
            return nested(exprs, wanted, |t| *t == DataType::array(DataType::String), depth);
        }
        (Param::Array, _) => {
            return nested(exprs, wanted, |t| matches!(t, DataType::Array(of) if of.is_numeric()), depth);
        }
        (Param::Map, _) => {
            return nested(exprs, wanted, |t| matches!(t, DataType::Map(_) | DataType::Struct(_)), depth);
        }
        (Param::Nested, "FIELD") => {
            return nested(exprs, wanted, |t| t.is_nested() && !matches!(t, DataType::Array(_)), depth);
        }
        (Param::Nested | Param::Document, _) => return nested(exprs, wanted, DataType::is_nested, depth),
        (Param::Is(..), "ELEMENT_AT") => {
            let place = match exprs.draw.below(3) {
                0 => Value::Str((*exprs.draw.pick(&["a", "b", "7"])).into()),
                _ => Value::Int(exprs.draw.below(5) as i64 - 1),
            };
            let data_type = place.data_type();
            return Some(exprs.make(ExprKind::Literal(place), data_type));
        }
        _ => {}
    }
    let want = match param {
        Param::Any if matches!(function.group, Group::Collection) => match wanted {
            Want::Text => Want::Text,
            _ => Want::Number,
        },
        Param::Text | Param::TextOrBytes => Want::Text,
        Param::Integer | Param::Number | Param::Float => Want::Number,
        Param::Boolean => Want::Boolean,
        Param::Instant => *exprs.draw.pick(&[Want::Timestamp, Want::Timestamp, Want::Date, Want::Text]),
        Param::Interval => Want::Interval,
        Param::Common => wanted,
        _ => *exprs.draw.pick(&WANTS),
    };
    let mut operand = exprs.of(want, depth);
    if matches!(param, Param::Integer) && operand.data_type != DataType::Integer {
        // Counts and positions: small ones tell more than large ones.
        let n = Value::Int(exprs.draw.below(14) as i64 - 3);
        operand = exprs.make(ExprKind::Literal(n), DataType::Integer);
    }
    match param.take(&operand.data_type) {
        Taken::AsIs => Some(operand),
        Taken::Cast(to) => Some(cast(exprs, operand, to)),
        Taken::Refused(_) => None,
    }
}

/// Casts the arguments that have to be of one type to it.
fn in_one_type(exprs: &mut Exprs<'_>, function: &Function, args: Vec<Expr>) -> Option<Vec<Expr>> {
    let is_common = |i: usize| matches!(function.param(i), Some(Param::Common));
    let types = args.iter().enumerate().filter(|(i, _)| is_common(*i)).map(|(_, a)| a.data_type.clone());
    let Some(target) = types.reduce(unified) else { return Some(args) };
    let fits = |e: &Expr| e.data_type == target || e.data_type == DataType::Null;
    args.into_iter()
        .enumerate()
        .map(|(i, arg)| match is_common(i) && !fits(&arg) {
            true if arg.data_type.is_numeric() && target.is_numeric() => Some(cast(exprs, arg, target.clone())),
            true => None,
            false => Some(arg),
        })
        .collect()
}
