//! LEAST and GREATEST over all types that have an order. The arguments come in one type; NULLs are skipped.

use std::cmp::Ordering;

use velostream_types::{Column, DataType, Value};

use crate::array::has_order;
use crate::call::{Args, Call, Fail};
use crate::function::{ArgType, Function, Group, Param, Returns};
use crate::json;
use crate::rounding::lifted;

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("LEAST", Group::Conditional, &[Param::Common], Returns::By(ordered), least)
        .variadic()
        .sees_nulls()
        .fails()
        .doc(
            "LEAST(value, …)",
            "The smallest of the values; NULLs are skipped.",
            &[
                ("LEAST(3, 1.5, 2)", "1.5"),
                ("LEAST('b', NULL, 'a')", "a"),
                ("LEAST(NULL, NULL)", "NULL"),
                ("LEAST(DATE '2024-03-01', '2024-02-29')", "2024-02-29"),
                ("LEAST(TRUE, FALSE)", "false"),
                ("LEAST(ARRAY(10), ARRAY(9, 1))", "[9,1]"),
            ],
        ),
    Function::new("GREATEST", Group::Conditional, &[Param::Common], Returns::By(ordered), greatest)
        .variadic()
        .sees_nulls()
        .fails()
        .doc(
            "GREATEST(value, …)",
            "The largest of the values; NULLs are skipped. NaN is larger than any number.",
            &[
                ("GREATEST(1, 2.50)", "2.50"),
                ("GREATEST(1, 2.5e0)", "2.5"),
                ("GREATEST('a', 'B')", "a"),
                ("GREATEST(INTERVAL '1' MINUTE, INTERVAL '59' SECOND)", "1m"),
                ("GREATEST(TIME '10:00', TIME '09:59:59')", "10:00:00.000"),
            ],
        ),
];

fn ordered(args: &[ArgType<'_>]) -> Result<DataType, String> {
    let typed = args.iter().map(|a| a.data_type).find(|t| **t != DataType::Null);
    match typed {
        Some(typed) if !has_order(typed) => Err(format!("values of type {typed} have no order")),
        typed => Ok(typed.cloned().unwrap_or(DataType::Null)),
    }
}

fn least(call: &mut Call<'_>) -> Column {
    extreme(call, Ordering::Less)
}

fn greatest(call: &mut Call<'_>) -> Column {
    extreme(call, Ordering::Greater)
}

/// The first value that no other is beyond in the wanted direction; `None` when all are NULL.
fn best<T>(
    args: Args<'_>,
    row: usize,
    want: Ordering,
    mut get: impl FnMut(usize) -> Result<T, Fail>,
    order: impl Fn(&T, &T) -> Ordering,
) -> Result<Option<T>, Fail> {
    let mut best: Option<T> = None;
    for i in (0..args.len()).filter(|i| !args.is_null(*i, row)) {
        let value = get(i)?;
        if best.as_ref().is_none_or(|best| order(&value, best) == want) {
            best = Some(value);
        }
    }
    Ok(best)
}

fn extreme(call: &mut Call<'_>, want: Ordering) -> Column {
    let args = call.args;
    let all = 0..args.len();
    match call.result {
        DataType::Float => {
            let lanes: Vec<_> = all.map(|i| args.float(i)).collect();
            let order = |a: &f64, b: &f64| a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
            call.floats(|row| best(args, row, want, |i| Ok(lanes[i].at(row)), order))
        }
        DataType::Integer | DataType::Decimal { .. } => {
            let lanes: Vec<_> = all.map(|i| args.exact(i)).collect();
            let scale = lanes.iter().map(|x| x.scale()).max().unwrap_or(0);
            call.exacts(scale, |row| best(args, row, want, |i| lifted(&lanes[i], row, scale), Ord::cmp))
        }
        DataType::Interval | DataType::Time => {
            let lanes: Vec<_> = all.map(|i| args.int(i)).collect();
            call.ints(|row| best(args, row, want, |i| Ok(lanes[i].at(row)), Ord::cmp))
        }
        DataType::Timestamp => call.timestamps(|row| best(args, row, want, |i| args.instant(i, row), Ord::cmp)),
        DataType::Date => call.dates(|row| {
            let days = |i| match args.value(i, row) {
                Value::Date(days) => Ok(days),
                other => Err(Fail::cast(format!("{other} is no date"))),
            };
            best(args, row, want, days, Ord::cmp)
        }),
        DataType::Boolean => call.bools(|row| best(args, row, want, |i| Ok(args.is_true(i, row)), Ord::cmp)),
        DataType::Bytes => call.binaries(|row, out| {
            let found = best(args, row, want, |i| Ok(args.bytes(i, row)), |a, b| a.cmp(b))?;
            out.extend_from_slice(found.unwrap_or_default());
            Ok(found.is_some())
        }),
        result => {
            let lanes: Vec<_> = all.map(|i| args.text(i)).collect();
            let order = |a: &&str, b: &&str| if result.is_nested() { json::compare(a, b, result) } else { a.cmp(b) };
            call.texts(|row, out| {
                let found = best(args, row, want, |i| Ok(lanes[i].at(row)), order)?;
                out.push_str(found.unwrap_or_default());
                Ok(found.is_some())
            })
        }
    }
}
