//! Random calls of every function of the catalogue, with arguments of the types it takes and constants it knows.

use std::sync::LazyLock;

use velostream_functions::{ArgType, Function, Param, Returns, Taken};
use velostream_sql::plan::{Expr, ExprKind};
use velostream_types::{DataType, Value};

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
        Returns::SameAs(_) | Returns::Common => want == Want::Number,
        Returns::By(_) => match function.name {
            "LEAST" | "GREATEST" => true,
            "TO_DATE" => want == Want::Date,
            "DATE_TRUNC" | "DATE_BIN" | "DATE_ADD" | "DATE_SUB" | "CONVERT_TZ" | "TO_TIMESTAMP" => {
                want == Want::Timestamp
            }
            _ => want == Want::Number,
        },
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
        _ => &[],
    }
}

/// A call of the function for a result of this kind; `None` when it does not take what was drawn.
pub fn call(exprs: &mut Exprs<'_>, function: &'static Function, want: Want, depth: u32) -> Option<Expr> {
    // The oracle looks patterns and zones up anew for every row.
    let is_slow = function.prepare.is_some()
        && matches!(function.name, "CONVERT_TZ" | "REGEXP_LIKE" | "REGEXP_EXTRACT" | "REGEXP_REPLACE");
    if is_slow && !exprs.draw.once_in(2) {
        return None;
    }
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
    let to = match (&data_type, want) {
        (DataType::Bytes | DataType::Time, _) => Some(DataType::String),
        (DataType::Date | DataType::Integer, Want::Timestamp) => Some(DataType::Timestamp),
        _ => None,
    };
    let call = exprs.make(ExprKind::Call { function, args }, data_type);
    Some(match to {
        Some(to) => cast(exprs, call, to),
        None => call,
    })
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
    let want = match param {
        Param::Text | Param::TextOrBytes => Want::Text,
        Param::Integer | Param::Number | Param::Float => Want::Number,
        Param::Boolean => Want::Boolean,
        Param::Instant => *exprs.draw.pick(&[Want::Timestamp, Want::Timestamp, Want::Date, Want::Text]),
        Param::Interval => Want::Interval,
        Param::Common => wanted,
        Param::AsText | Param::Any | Param::Is(..) => *exprs.draw.pick(&WANTS),
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
