//! Casts to Date, Timestamp and Time.

use velostream_functions::read;
use velostream_types::time::{NS_PER_DAY, NS_PER_MS};
use velostream_types::{Column, DataType};

use super::cast::Conversion;
use super::datum::Datum;
use super::eval::Session;
use super::exact::Exact;

/// Timestamps give their UTC day.
pub(super) fn to_date(c: &Conversion<'_>, session: &mut Session<'_>) -> Option<Column> {
    Some(match c.column {
        Column::Date(a) => Column::Date(a.clone()),
        Column::Timestamp(a) => {
            let values = a.values();
            c.dates(session, |i| i32::try_from(values[i].div_euclid(NS_PER_DAY)).ok())
        }
        Column::Str(a) => c.dates(session, |i| read::date(a.value(i))),
        _ => return None,
    })
}

/// Integers are milliseconds, dates their midnight; outside 1677-2262 nothing converts.
pub(super) fn to_timestamp(c: &Conversion<'_>, session: &mut Session<'_>) -> Option<Column> {
    if matches!(c.from, DataType::Interval | DataType::Time) {
        return None;
    }
    Some(match c.column {
        Column::Timestamp(a) => Column::Timestamp(a.clone()),
        Column::Date(a) => {
            let values = a.values();
            c.timestamps(session, |i| i64::from(values[i]).checked_mul(NS_PER_DAY))
        }
        Column::Int(a) => {
            let values = a.values();
            c.timestamps(session, |i| values[i].checked_mul(NS_PER_MS))
        }
        Column::Dec64(_) | Column::Dec128(_) => {
            let datum = Datum::Column(c.column.clone());
            let exact = Exact::of(&datum)?;
            c.timestamps(session, |i| ms_to_ns(exact.at(i), exact.scale()))
        }
        Column::Str(a) => c.timestamps(session, |i| read::timestamp(a.value(i))),
        _ => return None,
    })
}

/// Timestamps give their UTC time of day.
pub(super) fn to_time(c: &Conversion<'_>, session: &mut Session<'_>) -> Option<Column> {
    match c.column {
        Column::Timestamp(a) => {
            let values = a.values();
            Some(c.integers(session, |i| Some(values[i].rem_euclid(NS_PER_DAY))))
        }
        Column::Str(a) => Some(c.integers(session, |i| read::time(a.value(i)))),
        _ => None,
    }
}

/// Milliseconds with a fraction as nanoseconds, floored.
fn ms_to_ns(mantissa: i128, scale: u8) -> Option<i64> {
    use velostream_types::decimal::pow10;
    let ns = if scale <= 6 { mantissa.checked_mul(pow10(6 - scale))? } else { mantissa.div_euclid(pow10(scale - 6)) };
    i64::try_from(ns).ok()
}
