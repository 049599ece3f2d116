//! The turn's time, Unix seconds, and times from and to text. NOW and its like are one value per record: the time of the
//! turn that processes it, which `--now` fixes.

use velostream_types::time::{NS_PER_DAY, NS_PER_SEC, ns_to_ms};
use velostream_types::{Column, DataType, Value, decimal};

use crate::calendar::beyond;
use crate::call::{Call, Fail, shortened};
use crate::function::{ArgType, BadConstant, Function, Group, Param, Prepared, Returns};
use crate::{read, strftime};

const PATTERNED: &[Param] = &[Param::Instant, Param::Text];

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("NOW", Group::DateTime, &[], Returns::Integer, now)
        .or(&["CURRENT_TIMESTAMP", "SYSTEM_TIME"])
        .volatile()
        .doc(
            "NOW()",
            "The time of processing, as INTEGER milliseconds since 1970. CURRENT_TIMESTAMP needs no parentheses.",
            &[
                ("NOW()", "1714979289123"),
                ("CURRENT_TIMESTAMP", "1714979289123"),
                ("CAST(NOW() AS TIMESTAMP)", "2024-05-06 07:08:09.123"),
            ],
        ),
    Function::new("CURRENT_DATE", Group::DateTime, &[], Returns::Date, current_date).volatile().doc(
        "CURRENT_DATE",
        "The DATE of processing, in UTC.",
        &[("CURRENT_DATE", "2024-05-06"), ("CURRENT_DATE()", "2024-05-06")],
    ),
    Function::new("CURRENT_TIME", Group::DateTime, &[], Returns::Time, current_time).volatile().doc(
        "CURRENT_TIME",
        "The TIME of processing, in UTC.",
        &[("CURRENT_TIME", "07:08:09.123456789")],
    ),
    Function::new("FROM_UNIXTIME", Group::DateTime, &[Param::Number], Returns::Timestamp, from_unixtime).fails().doc(
        "FROM_UNIXTIME(seconds)",
        "The TIMESTAMP so many seconds after 1970; fractions count.",
        &[
            ("FROM_UNIXTIME(1709164800)", "2024-02-29 00:00:00.000"),
            ("FROM_UNIXTIME(-0.5)", "1969-12-31 23:59:59.500"),
            ("FROM_UNIXTIME(CAST('6852000479.64' AS DECIMAL(38, 28)))", "2187-02-17 13:27:59.640"),
            ("FROM_UNIXTIME(1709164800000)", "error: the time is outside the years 1677 to 2262"),
        ],
    ),
    Function::new("UNIX_TIMESTAMP", Group::DateTime, &[Param::Instant], Returns::Integer, unix_timestamp)
        .or(&["EPOCH"])
        .optional(1)
        .fails()
        .volatile()
        .doc(
            "UNIX_TIMESTAMP([x])",
            "Whole seconds since 1970, of x or of the time of processing.",
            &[
                ("UNIX_TIMESTAMP(TIMESTAMP '2024-02-29 00:00:00.9')", "1709164800"),
                ("UNIX_TIMESTAMP()", "1714979289"),
                ("EPOCH(1500)", "1"),
                ("EPOCH(-1)", "-1"),
            ],
        ),
    Function::new("TO_TIMESTAMP", Group::DateTime, PATTERNED, Returns::By(text_if_patterned_timestamp), to_timestamp)
        .or(&["TIMESTAMP"])
        .optional(1)
        .fails()
        .prepare(pattern_is_readable)
        .doc(
            "TO_TIMESTAMP(x[, pattern])",
            "x as a TIMESTAMP: ISO text, text in the form of a strftime pattern, INTEGER milliseconds, or a DATE's midnight. \
             TIMESTAMP() without arguments is the record's own timestamp, `_timestamp`.",
            &[
                ("TO_TIMESTAMP('2024-02-29T10:00:00+01:00')", "2024-02-29 09:00:00.000"),
                ("TO_TIMESTAMP('29.02.2024 10:00', '%d.%m.%Y %H:%M')", "2024-02-29 10:00:00.000"),
                ("TIMESTAMP(1500)", "1970-01-01 00:00:01.500"),
                ("TIMESTAMP(DATE '2024-02-29')", "2024-02-29 00:00:00.000"),
                ("TO_TIMESTAMP('soon')", "error: 'soon' is no date or timestamp"),
                ("TO_TIMESTAMP('2024', '%Y-%m')", "error: '2024' is not written as '%Y-%m'"),
            ],
        ),
    Function::new("TO_DATE", Group::DateTime, PATTERNED, Returns::By(text_if_patterned_date), to_date)
        .or(&["DATE"])
        .optional(1)
        .fails()
        .prepare(pattern_is_readable)
        .doc(
            "TO_DATE(x[, pattern])",
            "x as a DATE; see TO_TIMESTAMP.",
            &[
                ("TO_DATE('2024-02-29')", "2024-02-29"),
                ("TO_DATE('02/29/2024')", "2024-02-29"),
                ("DATE(TIMESTAMP '1969-12-31 23:59:59')", "1969-12-31"),
                ("TO_DATE('29 Feb 24', '%d %b %y')", "2024-02-29"),
                ("TO_DATE('2023-02-29')", "error: '2023-02-29' is no date or timestamp"),
            ],
        ),
    Function::new("DATE_FORMAT", Group::DateTime, PATTERNED, Returns::Text, date_format)
        .fails()
        .prepare(pattern_is_readable)
        .doc(
            "DATE_FORMAT(x, pattern)",
            "The time as text by a strftime pattern: %Y %m %d %H %M %S, %f or %.3f for fractions, %a %b for names, %j, %V \
             and others.",
            &[
                ("DATE_FORMAT(TIMESTAMP '2024-02-29 15:04:05.678', '%d.%m.%Y %H:%M:%S%.3f')", "29.02.2024 15:04:05.678"),
                ("DATE_FORMAT(0, '%a, %d %b %Y')", "Thu, 01 Jan 1970"),
                ("DATE_FORMAT('2024-12-30', '%G-W%V')", "2025-W01"),
            ],
        ),
];

fn now(call: &mut Call<'_>) -> Column {
    let now = ns_to_ms(call.context.now_ns);
    call.ints(|_| Ok(Some(now)))
}

fn current_date(call: &mut Call<'_>) -> Column {
    // Days of any 64-bit nanoseconds fit 32 bits.
    let today = call.context.now_ns.div_euclid(NS_PER_DAY) as i32;
    call.dates(|_| Ok(Some(today)))
}

fn current_time(call: &mut Call<'_>) -> Column {
    let time = call.context.now_ns.rem_euclid(NS_PER_DAY);
    call.ints(|_| Ok(Some(time)))
}

fn from_unixtime(call: &mut Call<'_>) -> Column {
    if *call.args.data_type(0) == DataType::Float {
        let seconds = call.args.float(0);
        return call.timestamps(|row| {
            let ns = (seconds.at(row) * NS_PER_SEC as f64).floor();
            // The bounds are the powers of two that a float holds exactly.
            let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&ns);
            if fits { Ok(Some(ns as i64)) } else { Err(beyond()) }
        });
    }
    let seconds = call.args.exact(0);
    let scale = seconds.scale();
    let unit = decimal::pow10(scale);
    call.timestamps(|row| {
        // Whole seconds and the fraction apart: their product by 10^9 together would not fit for a long fraction.
        let (whole, rest) = (seconds.at(row).div_euclid(unit), seconds.at(row).rem_euclid(unit));
        let rest = match scale.checked_sub(9) {
            Some(beyond) => rest / decimal::pow10(beyond),
            None => rest * decimal::pow10(9 - scale),
        };
        let ns = whole.checked_mul(i128::from(NS_PER_SEC)).and_then(|ns| ns.checked_add(rest));
        ns.and_then(|ns| i64::try_from(ns).ok()).map(Some).ok_or_else(beyond)
    })
}

fn unix_timestamp(call: &mut Call<'_>) -> Column {
    let (args, now) = (call.args, call.context.now_ns);
    call.ints(|row| {
        let ns = if args.is_empty() { now } else { args.instant(0, row)? };
        Ok(Some(ns.div_euclid(NS_PER_SEC)))
    })
}

fn pattern_is_readable(constants: &[Option<&Value>]) -> Result<Option<Prepared>, BadConstant> {
    match constants.get(1) {
        Some(Some(Value::Str(pattern))) => {
            strftime::check(pattern).map(|()| None).map_err(|message| BadConstant { argument: 1, message })
        }
        _ => Ok(None),
    }
}

fn text_if_patterned_timestamp(args: &[ArgType<'_>]) -> Result<DataType, String> {
    text_if_patterned(args).map(|()| DataType::Timestamp)
}

fn text_if_patterned_date(args: &[ArgType<'_>]) -> Result<DataType, String> {
    text_if_patterned(args).map(|()| DataType::Date)
}

/// Only text is read by a pattern.
fn text_if_patterned(args: &[ArgType<'_>]) -> Result<(), String> {
    match args {
        [x, _] if !matches!(x.data_type, DataType::String | DataType::Null) => {
            Err(format!("a pattern reads text, not {}", x.data_type))
        }
        _ => Ok(()),
    }
}

/// Text read by the pattern in its row.
fn patterned(text: &str, pattern: &str) -> Result<i64, Fail> {
    strftime::parse(text, pattern).ok_or_else(|| match strftime::check(pattern) {
        Ok(()) => Fail::cast(format!("'{}' is not written as '{}'", shortened(text), shortened(pattern))),
        Err(message) => Fail::domain(message),
    })
}

fn to_timestamp(call: &mut Call<'_>) -> Column {
    let args = call.args;
    if args.len() > 1 {
        let (text, pattern) = (args.text(0), args.text(1));
        return call.timestamps(|row| patterned(text.at(row), pattern.at(row)).map(Some));
    }
    call.timestamps(|row| args.instant(0, row).map(Some))
}

fn to_date(call: &mut Call<'_>) -> Column {
    let args = call.args;
    let day = |ns: i64| Some(ns.div_euclid(NS_PER_DAY) as i32);
    if args.len() > 1 {
        let (text, pattern) = (args.text(0), args.text(1));
        return call.dates(|row| patterned(text.at(row), pattern.at(row)).map(day));
    }
    if *args.data_type(0) == DataType::String {
        let text = args.text(0);
        // Dates reach further than timestamps.
        return call.dates(|row| match read::date(text.at(row)) {
            Some(date) => Ok(Some(date)),
            None => args.instant(0, row).map(day),
        });
    }
    call.dates(|row| args.instant(0, row).map(day))
}

fn date_format(call: &mut Call<'_>) -> Column {
    let (args, pattern) = (call.args, call.args.text(1));
    // A constant pattern need not be one that was written down, and so need not have been looked at.
    let is_checked = matches!(args.constant(1), Some(Value::Str(pattern)) if strftime::check(pattern).is_ok());
    call.texts(|row, out| {
        let pattern = pattern.at(row);
        if !is_checked {
            strftime::check(pattern).map_err(Fail::domain)?;
        }
        strftime::write(args.instant(0, row)?, pattern, out);
        Ok(true)
    })
}
