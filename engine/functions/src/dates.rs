//! Sums and differences of times. Months, quarters and years follow the calendar: the day is clamped to the month it
//! falls in, and differences in them count calendar fields.

use velostream_types::time::{NS_PER_DAY, civil_from_days, days_from_civil, days_in_month};
use velostream_types::{Column, DataType, Value};

use crate::calendar::{Unit, beyond, instants, joined, own_kind, unit_is_known, units};
use crate::call::{Call, Fail};
use crate::function::{ArgType, Function, Group, Param, Returns};

const AMOUNT: Param = Param::Is(|t| matches!(t, DataType::Integer | DataType::Interval), "an INTEGER or an INTERVAL");
const SHIFTED: &[Param] = &[Param::Instant, AMOUNT, Param::Text];

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("DATE_ADD", Group::DateTime, SHIFTED, Returns::By(shifted), date_add)
        .optional(1)
        .fails()
        .prepare(|constants| unit_is_known(constants, 2))
        .doc(
            "DATE_ADD(x, n, unit)",
            "x and n units; a day that the month does not have becomes its last. A DATE stays one for units of days and \
             longer; text becomes a TIMESTAMP. Also DATE_ADD(x, interval).",
            &[
                ("DATE_ADD(DATE '2024-01-31', 1, 'month')", "2024-02-29"),
                ("DATE_ADD(TIMESTAMP '2024-02-29 10:00', 1, 'year')", "2025-02-28 10:00:00.000"),
                ("DATE_ADD('2024-02-28', 36, 'hours')", "2024-02-29 12:00:00.000"),
                ("DATE_ADD(TIMESTAMP '2024-01-31', INTERVAL '1' MONTH)", "2024-02-29 00:00:00.000"),
                ("DATE_ADD(0, 2, 'seconds')", "2000"),
                ("TIMESTAMP '2024-03-31' - INTERVAL '1' MONTH", "2024-02-29 00:00:00.000"),
                ("INTERVAL '1' YEAR + DATE '2023-12-31' - INTERVAL '2' DAY", "2024-12-29 00:00:00.000"),
                (
                    "DATE_ADD(DATE '2024-01-01', 300, 'years')",
                    "error: the time is outside the years 1677 to 2262",
                ),
            ],
        ),
    Function::new("DATE_SUB", Group::DateTime, SHIFTED, Returns::By(shifted), date_sub)
        .optional(1)
        .fails()
        .prepare(|constants| unit_is_known(constants, 2))
        .doc(
            "DATE_SUB(x, n, unit)",
            "x without n units; see DATE_ADD.",
            &[
                ("DATE_SUB(DATE '2024-03-31', 1, 'month')", "2024-02-29"),
                ("DATE_SUB(TIMESTAMP '2024-03-01', INTERVAL '1' SECOND)", "2024-02-29 23:59:59.000"),
                ("DATE_SUB(DATE '2024-03-01', -1, 'quarter')", "2024-06-01"),
            ],
        ),
    Function::new(
        "DATEDIFF",
        Group::DateTime,
        &[Param::Text, Param::Instant, Param::Instant],
        Returns::Integer,
        date_diff,
    )
    .or(&["DATE_DIFF"])
    .fails()
    .prepare(|constants| unit_is_known(constants, 0))
    .doc(
        "DATEDIFF(unit, start, end)",
        "Whole units from the start to the end, towards zero; years, quarters and months are differences of the calendar's \
         fields, whatever the day.",
        &[
            ("DATEDIFF('day', '2024-02-28', '2024-03-01')", "2"),
            ("DATEDIFF('month', DATE '2024-01-31', DATE '2024-02-01')", "1"),
            ("DATEDIFF('year', DATE '2024-12-31', DATE '2025-01-01')", "1"),
            ("DATEDIFF('hours', TIMESTAMP '2024-01-01 10:59', TIMESTAMP '2024-01-01 09:00')", "-1"),
            ("DATEDIFF('milliseconds', 1000, 3500)", "2500"),
        ],
    ),
];

/// Type of a shifted time: its own, but a date moves to a timestamp unless it is known to move by whole days.
fn shifted(args: &[ArgType<'_>]) -> Result<DataType, String> {
    let (amount, unit) = (args[1].data_type, args.get(2));
    match (amount, unit) {
        (DataType::Integer, None) => return Err("a number needs its unit as third argument".to_owned()),
        (DataType::Interval, Some(_)) => return Err("an INTERVAL has its unit already".to_owned()),
        _ => {}
    }
    let whole_days = match unit.and_then(|unit| unit.constant) {
        Some(Value::Str(unit)) => !matches!(Unit::read(unit), Ok(Unit::Nanos(_))),
        _ => false,
    };
    Ok(match args[0].data_type {
        DataType::Date if !whole_days => DataType::Timestamp,
        other => own_kind(other),
    })
}

fn date_add(call: &mut Call<'_>) -> Column {
    shift(call, 1)
}

fn date_sub(call: &mut Call<'_>) -> Column {
    shift(call, -1)
}

fn shift(call: &mut Call<'_>, sign: i128) -> Column {
    let (args, amount) = (call.args, call.args.int(1));
    let unit = (args.len() > 2).then(|| units(args, 2));
    instants(call, |row| {
        let (ns, n) = (args.instant(0, row)?, sign * i128::from(amount.at(row)));
        let size = match unit.as_ref().map_or(Ok(Unit::Nanos(1)), |unit| unit(row))? {
            Unit::Months(months) => return add_months(ns, n * i128::from(months)),
            Unit::Days(days) => i128::from(days) * i128::from(NS_PER_DAY),
            Unit::Nanos(size) => i128::from(size),
        };
        i64::try_from(i128::from(ns) + n * size).map_err(|_| beyond())
    })
}

/// Calendar months later; the day is clamped to the month.
fn add_months(ns: i64, months: i128) -> Result<i64, Fail> {
    // More than any two timestamps are apart.
    const MOST: i128 = 12 * 1_000;
    if !(-MOST..=MOST).contains(&months) {
        return Err(beyond());
    }
    let (year, month, day) = civil_from_days(ns.div_euclid(NS_PER_DAY));
    let all = year * 12 + i64::from(month) - 1 + months as i64;
    let (year, month) = (all.div_euclid(12), all.rem_euclid(12) as u32 + 1);
    joined(days_from_civil(year, month, day.min(days_in_month(year, month))), ns.rem_euclid(NS_PER_DAY))
}

fn date_diff(call: &mut Call<'_>) -> Column {
    let (args, unit) = (call.args, units(call.args, 0));
    call.ints(|row| {
        let (start, end) = (args.instant(1, row)?, args.instant(2, row)?);
        let months = |ns: i64| {
            let (year, month, _) = civil_from_days(ns.div_euclid(NS_PER_DAY));
            year * 12 + i64::from(month) - 1
        };
        let size = match unit(row)? {
            Unit::Months(n) => return Ok(Some(months(end).div_euclid(n) - months(start).div_euclid(n))),
            Unit::Days(days) => days * NS_PER_DAY,
            Unit::Nanos(size) => size,
        };
        let whole = (i128::from(end) - i128::from(start)) / i128::from(size);
        i64::try_from(whole).map(Some).map_err(|_| Fail::overflow(format!("{whole} is beyond the range of INTEGER")))
    })
}
