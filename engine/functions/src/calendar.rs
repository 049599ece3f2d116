//! The calendar: units, fields of a moment, truncation to a unit, bins. Times are UTC, weeks start on Monday.

use velostream_types::time::{
    NS_PER_DAY, NS_PER_MS, NS_PER_SEC, civil_from_days, days_from_civil, days_in_month, ns_to_ms,
};
use velostream_types::{Column, DataType, Value};

use crate::call::{Args, Call, Fail, shortened};
use crate::function::{ArgType, BadConstant, Function, Group, Param, Prepared, Returns};
use crate::strftime::iso_week;

/// What has fields: an instant, a time of day, or a span.
const MOMENT: Param = Param::Is(
    |t| {
        use DataType::{Date, Integer, Interval, String, Time, Timestamp};
        matches!(t, Timestamp | Date | Integer | String | Time | Interval)
    },
    "a TIMESTAMP, a DATE, a TIME, an INTERVAL, INTEGER milliseconds or ISO text",
);

/// An entry that is EXTRACT of one field.
macro_rules! field {
    ($name:literal, $aliases:expr, $field:ident, $doc:literal, $examples:expr) => {
        Function::new($name, Group::DateTime, &[Param::Instant], Returns::Integer, |call| {
            fields(call, 0, |_| Ok(Field::$field))
        })
        .or($aliases)
        .fails()
        .doc(concat!($name, "(x)"), $doc, $examples)
    };
}

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("EXTRACT", Group::DateTime, &[Param::Text, MOMENT], Returns::By(has_field), extract)
        .or(&["DATE_PART"])
        .fails()
        .prepare(field_is_known)
        .doc(
            "EXTRACT(field FROM x)",
            "A field of a time as an INTEGER: YEAR, QUARTER, MONTH, WEEK (ISO), DAY, DOW (Sunday is 0), DOY, HOUR, MINUTE, \
             SECOND, MILLISECOND, MICROSECOND and NANOSECOND within the second, or EPOCH, its seconds since 1970. Also \
             EXTRACT('field', x).",
            &[
                ("EXTRACT(YEAR FROM TIMESTAMP '2024-02-29 23:59:59.123456')", "2024"),
                ("EXTRACT(QUARTER FROM DATE '2024-12-31')", "4"),
                ("EXTRACT(WEEK FROM DATE '2021-01-03')", "53"),
                ("EXTRACT('dow', DATE '2024-02-25')", "0"),
                ("EXTRACT(DOY FROM '2024-12-31')", "366"),
                ("EXTRACT(MICROSECOND FROM TIMESTAMP '2024-02-29 23:59:59.123456')", "123456"),
                ("EXTRACT(EPOCH FROM TIMESTAMP '1969-12-31 23:59:59.5')", "-1"),
                ("EXTRACT(EPOCH FROM (TIMESTAMP '2024-01-02' - TIMESTAMP '2024-01-01'))", "86400"),
                ("EXTRACT(EPOCH FROM 1500)", "1"),
                ("EXTRACT(HOUR FROM TIME '13:30')", "13"),
            ],
        ),
    field!("YEAR", &[], Year, "Year.", &[("YEAR(DATE '2024-02-29')", "2024"), ("YEAR('1969-12-31')", "1969")]),
    field!("QUARTER", &[], Quarter, "Quarter of the year, 1 to 4.", &[("QUARTER(DATE '2024-04-01')", "2")]),
    field!("MONTH", &[], Month, "Month of the year, 1 to 12.", &[("MONTH(TIMESTAMP '2024-02-29 10:00')", "2")]),
    field!("WEEK", &["WEEKOFYEAR"], Week, "ISO week of the year, 1 to 53.", &[
        ("WEEK(DATE '2024-12-30')", "1"),
        ("WEEK(DATE '2024-12-29')", "52"),
    ]),
    field!("DAY", &["DAYOFMONTH"], Day, "Day of the month, 1 to 31.", &[("DAY(DATE '2024-02-29')", "29")]),
    field!("DOW", &["DAYOFWEEK"], DayOfWeek, "Day of the week: Sunday is 0, Saturday 6.", &[
        ("DOW(DATE '1970-01-01')", "4"),
        ("DOW(DATE '2024-02-25')", "0"),
    ]),
    field!("DOY", &["DAYOFYEAR"], DayOfYear, "Day of the year, 1 to 366.", &[("DOY(DATE '2023-12-31')", "365")]),
    field!("HOUR", &[], Hour, "Hour of the day, 0 to 23.", &[("HOUR(3600000)", "1"), ("HOUR(-1)", "23")]),
    field!("MINUTE", &[], Minute, "Minute of the hour, 0 to 59.", &[("MINUTE(TIMESTAMP '2024-01-01 10:59')", "59")]),
    field!("SECOND", &[], Second, "Second of the minute, 0 to 59.", &[
        ("SECOND(TIMESTAMP '2024-01-01 10:59:58.9')", "58"),
        ("SECOND('soon')", "error: 'soon' is no date or timestamp"),
    ]),
    Function::new("DATE_TRUNC", Group::DateTime, &[Param::Text, Param::Instant], Returns::By(second_kind), date_trunc)
        .fails()
        .prepare(|constants| unit_is_known(constants, 0))
        .doc(
            "DATE_TRUNC(unit, x)",
            "The start of the year, quarter, month, week, day, hour, minute, second, millisecond or microsecond that x lies \
             in; of x's own type, text becoming a TIMESTAMP.",
            &[
                ("DATE_TRUNC('month', TIMESTAMP '2024-02-29 10:00')", "2024-02-01 00:00:00.000"),
                ("DATE_TRUNC('week', DATE '2024-03-03')", "2024-02-26"),
                ("DATE_TRUNC('quarter', '2024-12-31')", "2024-10-01 00:00:00.000"),
                ("DATE_TRUNC('hour', -1)", "-3600000"),
                ("DATE_TRUNC('hour', DATE '2024-03-03')", "2024-03-03"),
            ],
        ),
    Function::new(
        "DATE_BIN",
        Group::DateTime,
        &[Param::Interval, Param::Instant, Param::Instant],
        Returns::By(second_kind),
        date_bin,
    )
    .optional(1)
    .fails()
    .doc(
        "DATE_BIN(interval, x[, origin])",
        "The start of the bin of this size that x lies in, counted from the origin or from 1970; of x's own type.",
        &[
            ("DATE_BIN(INTERVAL '15' MINUTE, TIMESTAMP '2024-02-29 10:44:59')", "2024-02-29 10:30:00.000"),
            (
                "DATE_BIN(1h, TIMESTAMP '2024-02-29 10:44', TIMESTAMP '2024-01-01 00:50')",
                "2024-02-29 09:50:00.000",
            ),
            ("DATE_BIN(10s, -1)", "-10000"),
            ("DATE_BIN(0s, 1)", "error: a bin is longer than 0"),
        ],
    ),
    Function::new("LAST_DAY", Group::DateTime, &[Param::Instant], Returns::Date, last_day).fails().doc(
        "LAST_DAY(x)",
        "The last DATE of the month x lies in.",
        &[("LAST_DAY(DATE '2024-02-01')", "2024-02-29"), ("LAST_DAY('2023-02-28 23:59')", "2023-02-28")],
    ),
];

/// Units of differences, sums and truncation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    /// So many calendar months.
    Months(i64),
    /// So many days.
    Days(i64),
    /// So many nanoseconds, less than a day.
    Nanos(i64),
}

/// Singular names; each may take an s.
const UNITS: [(&str, Unit); 13] = [
    ("year", Unit::Months(12)),
    ("quarter", Unit::Months(3)),
    ("month", Unit::Months(1)),
    ("week", Unit::Days(7)),
    ("day", Unit::Days(1)),
    ("hour", Unit::Nanos(3600 * NS_PER_SEC)),
    ("minute", Unit::Nanos(60 * NS_PER_SEC)),
    ("second", Unit::Nanos(NS_PER_SEC)),
    ("millisecond", Unit::Nanos(NS_PER_MS)),
    ("microsecond", Unit::Nanos(1_000)),
    ("nanosecond", Unit::Nanos(1)),
    ("min", Unit::Nanos(60 * NS_PER_SEC)),
    ("sec", Unit::Nanos(NS_PER_SEC)),
];

/// TRUE when the text is the name, in any case, perhaps with an s.
fn names(text: &str, name: &str) -> bool {
    let singular = text.strip_suffix(['s', 'S']).unwrap_or(text);
    text.eq_ignore_ascii_case(name) || singular.eq_ignore_ascii_case(name)
}

impl Unit {
    pub fn read(text: &str) -> Result<Unit, String> {
        let found = UNITS.iter().find(|(name, _)| names(text.trim(), name));
        found.map(|(_, unit)| *unit).ok_or_else(|| {
            format!("'{}' is no unit; there are year, quarter, month, week, day, hour, minute, second, millisecond, microsecond and nanosecond", shortened(text))
        })
    }
}

/// Whether argument number `i`, if it is constant text, names a unit.
pub(crate) fn unit_is_known(constants: &[Option<&Value>], i: usize) -> Result<Option<Prepared>, BadConstant> {
    match constants.get(i) {
        Some(Some(Value::Str(text))) => {
            Unit::read(text).map(|_| None).map_err(|message| BadConstant { argument: i, message })
        }
        _ => Ok(None),
    }
}

/// The unit that argument number `i` names in a row; a constant is read once.
pub(crate) fn units<'a>(args: Args<'a>, i: usize) -> impl Fn(usize) -> Result<Unit, Fail> + use<'a> {
    words(args, i, Unit::read)
}

fn words<'a, T: Copy>(
    args: Args<'a>,
    i: usize,
    read: fn(&str) -> Result<T, String>,
) -> impl Fn(usize) -> Result<T, Fail> + use<'a, T> {
    let text = args.text(i);
    let fixed = match args.constant(i) {
        Some(Value::Str(text)) => read(text).ok(),
        _ => None,
    };
    move |row| fixed.map_or_else(|| read(text.at(row)).map_err(Fail::domain), Ok)
}

/// Parts of a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    DayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
    Epoch,
}

const FIELDS: [(&str, Field); 16] = [
    ("year", Field::Year),
    ("quarter", Field::Quarter),
    ("month", Field::Month),
    ("week", Field::Week),
    ("day", Field::Day),
    ("dow", Field::DayOfWeek),
    ("dayofweek", Field::DayOfWeek),
    ("doy", Field::DayOfYear),
    ("dayofyear", Field::DayOfYear),
    ("hour", Field::Hour),
    ("minute", Field::Minute),
    ("second", Field::Second),
    ("millisecond", Field::Millisecond),
    ("microsecond", Field::Microsecond),
    ("nanosecond", Field::Nanosecond),
    ("epoch", Field::Epoch),
];

impl Field {
    fn read(text: &str) -> Result<Field, String> {
        let found = FIELDS.iter().find(|(name, _)| names(text.trim(), name));
        found.map(|(_, field)| *field).ok_or_else(|| {
            format!(
                "'{}' is no field; there are year, quarter, month, week, day, dow, doy, hour, minute, second, millisecond, \
                 microsecond, nanosecond and epoch",
                shortened(text)
            )
        })
    }

    /// TRUE for a field that needs a date: a span and a time of day have none.
    fn is_of_the_calendar(self) -> bool {
        use Field::{DayOfWeek, DayOfYear, Month, Quarter, Week, Year};
        matches!(self, Year | Quarter | Month | Week | DayOfWeek | DayOfYear)
    }

    /// The field of a moment.
    fn of(self, ns: i64) -> i64 {
        let (days, within) = (ns.div_euclid(NS_PER_DAY), ns.rem_euclid(NS_PER_DAY));
        let civil = || civil_from_days(days);
        match self {
            Field::Year => civil().0,
            Field::Quarter => i64::from(civil().1.div_ceil(3)),
            Field::Month => i64::from(civil().1),
            Field::Week => iso_week(days).1,
            Field::Day => i64::from(civil().2),
            Field::DayOfWeek => (days + 4).rem_euclid(7),
            Field::DayOfYear => days - days_from_civil(civil().0, 1, 1) + 1,
            Field::Epoch => ns.div_euclid(NS_PER_SEC),
            _ => self.of_clock(within),
        }
    }

    /// The field of a span of nanoseconds, truncated: its days, hours of the day and so on.
    fn of_span(self, ns: i64) -> i64 {
        match self {
            Field::Epoch => ns.div_euclid(NS_PER_SEC),
            Field::Day => ns / NS_PER_DAY,
            _ => self.of_clock(ns % NS_PER_DAY),
        }
    }

    fn of_clock(self, ns: i64) -> i64 {
        match self {
            Field::Hour => ns / (3600 * NS_PER_SEC),
            Field::Minute => ns / (60 * NS_PER_SEC) % 60,
            Field::Second => ns / NS_PER_SEC % 60,
            Field::Millisecond => ns % NS_PER_SEC / NS_PER_MS,
            Field::Microsecond => ns % NS_PER_SEC / 1_000,
            _ => ns % NS_PER_SEC,
        }
    }
}

fn field_is_known(constants: &[Option<&Value>]) -> Result<Option<Prepared>, BadConstant> {
    match constants.first() {
        Some(Some(Value::Str(text))) => {
            Field::read(text).map(|_| None).map_err(|message| BadConstant { argument: 0, message })
        }
        _ => Ok(None),
    }
}

/// A span and a time of day have no fields of the calendar.
fn has_field(args: &[ArgType<'_>]) -> Result<DataType, String> {
    let of = args[1].data_type;
    let field = match args[0].constant {
        Some(Value::Str(text)) => Field::read(text).ok(),
        _ => None,
    };
    let calendar = field.is_some_and(|f| f.is_of_the_calendar() || f == Field::Day && *of == DataType::Time);
    match (args[0].constant, of) {
        (Some(Value::Str(text)), DataType::Interval | DataType::Time) if calendar => {
            Err(format!("{} has no {}", of, text.to_uppercase()))
        }
        _ => Ok(DataType::Integer),
    }
}

fn extract(call: &mut Call<'_>) -> Column {
    let field = words(call.args, 0, Field::read);
    fields(call, 1, field)
}

/// A field of argument number `i`.
fn fields(call: &mut Call<'_>, i: usize, field: impl Fn(usize) -> Result<Field, Fail>) -> Column {
    let args = call.args;
    if matches!(args.data_type(i), DataType::Interval | DataType::Time) {
        let spans = args.int(i);
        return call.ints(|row| {
            let field = field(row)?;
            if field.is_of_the_calendar() {
                return Err(Fail::domain(format!("{} has no {field:?}", args.data_type(i))));
            }
            Ok(Some(field.of_span(spans.at(row))))
        });
    }
    call.ints(|row| Ok(Some(field(row)?.of(args.instant(i, row)?))))
}

/// The kind of the second argument; text becomes a timestamp.
fn second_kind(args: &[ArgType<'_>]) -> Result<DataType, String> {
    Ok(own_kind(args[1].data_type))
}

/// The kind of an instant; text becomes a timestamp.
pub(crate) fn own_kind(of: &DataType) -> DataType {
    if *of == DataType::String { DataType::Timestamp } else { of.clone() }
}

/// A column of instants of the call's type, from nanoseconds.
pub(crate) fn instants(call: &mut Call<'_>, mut f: impl FnMut(usize) -> Result<i64, Fail>) -> Column {
    match call.result {
        DataType::Integer => call.ints(|row| Ok(Some(ns_to_ms(f(row)?)))),
        // Days of any 64-bit nanoseconds fit 32 bits.
        DataType::Date => call.dates(|row| Ok(Some(f(row)?.div_euclid(NS_PER_DAY) as i32))),
        _ => call.timestamps(|row| f(row).map(Some)),
    }
}

/// A time that left the years an engine timestamp can hold.
#[cold]
pub(crate) fn beyond() -> Fail {
    Fail::overflow("the time is outside the years 1677 to 2262")
}

/// Nanoseconds of a day and a time in it.
pub(crate) fn joined(days: i64, within: i64) -> Result<i64, Fail> {
    i64::try_from(i128::from(days) * i128::from(NS_PER_DAY) + i128::from(within)).map_err(|_| beyond())
}

fn date_trunc(call: &mut Call<'_>) -> Column {
    let (args, unit) = (call.args, units(call.args, 0));
    instants(call, |row| {
        let ns = args.instant(1, row)?;
        let days = ns.div_euclid(NS_PER_DAY);
        match unit(row)? {
            Unit::Nanos(size) => ns.checked_sub(ns.rem_euclid(size)).ok_or_else(beyond),
            Unit::Days(7) => joined(days - (days + 3).rem_euclid(7), 0),
            Unit::Days(_) => joined(days, 0),
            Unit::Months(n) => {
                let (year, month, _) = civil_from_days(days);
                let first = (i64::from(month) - 1) / n * n + 1;
                joined(days_from_civil(year, first as u32, 1), 0)
            }
        }
    })
}

fn date_bin(call: &mut Call<'_>) -> Column {
    let (args, size) = (call.args, call.args.int(0));
    instants(call, |row| {
        let (size, ns) = (i128::from(size.at(row)), i128::from(args.instant(1, row)?));
        let origin = if args.len() > 2 { i128::from(args.instant(2, row)?) } else { 0 };
        if size <= 0 {
            return Err(Fail::domain("a bin is longer than 0"));
        }
        i64::try_from(ns - (ns - origin).rem_euclid(size)).map_err(|_| beyond())
    })
}

fn last_day(call: &mut Call<'_>) -> Column {
    let args = call.args;
    call.dates(|row| {
        let (year, month, _) = civil_from_days(args.instant(0, row)?.div_euclid(NS_PER_DAY));
        Ok(Some(days_from_civil(year, month, days_in_month(year, month)) as i32))
    })
}
