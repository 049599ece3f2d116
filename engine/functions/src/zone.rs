//! Time zones. A TIMESTAMP has none: CONVERT_TZ reads it as the clock of one zone and gives the clock of another, and
//! `x AT TIME ZONE z` is what a clock in z shows when it is x in UTC.
//!
//! Rules come from the bundled IANA database, so that results do not depend on the machine. A local time that a zone
//! skips counts as if the clock had not been changed yet, one that comes twice is the first. Constant zones are looked up
//! at deploy, others when their text changes.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use velostream_types::time::{NS_PER_DAY, NS_PER_SEC, civil_from_days};
use velostream_types::{Column, DataType, Value};

use crate::calendar::{beyond, instants, own_kind};
use crate::call::{Call, Fail, Texts, shortened};
use crate::function::{ArgType, BadConstant, Function, Group, Param, Prepared, Returns};

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[Function::new(
    "CONVERT_TZ",
    Group::DateTime,
    &[Param::Instant, Param::Text, Param::Text],
    Returns::By(own_kind_of_times),
    convert_tz,
)
.fails()
.prepare(zones_exist)
.doc(
    "CONVERT_TZ(x, from, to)",
    "The time a clock in the zone `to` shows when one in the zone `from` shows x. Zones are IANA names, UTC, or offsets as \
     +05:30. Also x AT TIME ZONE to, where x is UTC.",
    &[
        (
            "CONVERT_TZ(TIMESTAMP '2024-07-01 12:00', 'UTC', 'America/New_York')",
            "2024-07-01 08:00:00.000",
        ),
        ("CONVERT_TZ('2024-01-01 12:00', 'Europe/Berlin', '+05:30')", "2024-01-01 16:30:00.000"),
        ("TIMESTAMP '2024-03-10 06:59:59' AT TIME ZONE 'America/New_York'", "2024-03-10 01:59:59.000"),
        ("TIMESTAMP '2024-03-10 07:00:00' AT TIME ZONE 'America/New_York'", "2024-03-10 03:00:00.000"),
        ("CONVERT_TZ(TIMESTAMP '2024-03-10 02:30', 'America/New_York', 'UTC')", "2024-03-10 07:30:00.000"),
        ("CONVERT_TZ(TIMESTAMP '2024-11-03 01:30', 'America/New_York', 'UTC')", "2024-11-03 05:30:00.000"),
        ("CONVERT_TZ(0, 'UTC', '-01:00')", "-3600000"),
    ],
)];

/// A date becomes a timestamp.
fn own_kind_of_times(args: &[ArgType<'_>]) -> Result<DataType, String> {
    Ok(match args[0].data_type {
        DataType::Date => DataType::Timestamp,
        other => own_kind(other),
    })
}

/// The zone of this name.
fn zone(database: &TimeZoneDatabase, name: &str) -> Result<TimeZone, String> {
    let name = name.trim();
    if let Some(seconds) = offset(name) {
        return Offset::from_seconds(seconds)
            .map(TimeZone::fixed)
            .map_err(|_| format!("'{}' is no offset of a time zone", shortened(name)));
    }
    database.get(name).map_err(|_| format!("'{}' is no time zone", shortened(name)))
}

/// Checks the name of a zone; the error says what is wrong with it.
pub fn zone_exists(name: &str) -> Result<(), String> {
    zone(&TimeZoneDatabase::bundled(), name).map(|_| ())
}

/// The days of a zone, for windows that begin at its midnight. Days are numbered from 1970-01-01; each lasts from its
/// first instant to that of the next one, 23 or 25 hours where clocks change, none at all where a zone left one out.
#[derive(Clone, Debug)]
pub struct LocalDays(TimeZone);

impl LocalDays {
    /// The days of the zone of this name; the error says what is wrong with it.
    pub fn of(name: &str) -> Result<LocalDays, String> {
        zone(&TimeZoneDatabase::bundled(), name).map(LocalDays)
    }

    /// First instant of a day, ns; the nearest that there is for days beyond 1677 to 2262.
    pub fn start(&self, day: i64) -> i64 {
        let utc = day.saturating_mul(NS_PER_DAY);
        let (year, month, of_month) = civil_from_days(day);
        let date = i16::try_from(year).ok().and_then(|y| Date::new(y, month as i8, of_month as i8).ok());
        let first = date.and_then(|date| date.to_zoned(self.0.clone()).ok()?.start_of_day().ok());
        first.map_or(utc, |first| {
            let ns = first.timestamp().as_nanosecond().clamp(i128::from(i64::MIN), i128::from(i64::MAX));
            i64::try_from(ns).unwrap_or(utc)
        })
    }

    /// The day that holds an instant: the last one that begins at or before it.
    pub fn day(&self, instant: i64) -> i64 {
        let shift = match jiff::Timestamp::from_nanosecond(i128::from(instant)) {
            Ok(at) => i64::from(self.0.to_offset(at).seconds()) * NS_PER_SEC,
            Err(_) => 0,
        };
        let shown = instant.saturating_add(shift).div_euclid(NS_PER_DAY);
        // Where a clock is set back over midnight, it shows the old day again inside the new one.
        if self.start(shown) > instant {
            shown - 1
        } else if self.start(shown + 1) <= instant {
            shown + 1
        } else {
            shown
        }
    }
}

/// Seconds of `±HH:MM`, `±HHMM` or `±HH`.
fn offset(name: &str) -> Option<i32> {
    let sign = match name.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits =
        |text: &[u8]| text.iter().try_fold(0i32, |n, c| c.is_ascii_digit().then(|| n * 10 + i32::from(c - b'0')));
    let (hours, minutes) = match &name.as_bytes()[1..] {
        [a, b] => (digits(&[*a, *b])?, 0),
        [a, b, c, d] | [a, b, b':', c, d] => (digits(&[*a, *b])?, digits(&[*c, *d])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// The zones of a call that are constant.
type Known = [Option<TimeZone>; 2];

fn zones_exist(constants: &[Option<&Value>]) -> Result<Option<Prepared>, BadConstant> {
    let database = TimeZoneDatabase::bundled();
    let known = |argument: usize| match constants.get(argument) {
        Some(Some(Value::Str(name))) => {
            zone(&database, name).map(Some).map_err(|message| BadConstant { argument, message })
        }
        _ => Ok(None),
    };
    let zones: Known = [known(1)?, known(2)?];
    Ok(Some(Arc::new(zones)))
}

/// The zone of one argument, row by row.
struct Zones<'a> {
    known: Option<&'a TimeZone>,
    names: Texts<'a>,
    database: Option<TimeZoneDatabase>,
    last: Option<(&'a str, TimeZone)>,
}

impl<'a> Zones<'a> {
    fn of(call: &Call<'a>, argument: usize) -> Zones<'a> {
        let known = call.prepared::<Known>().and_then(|known| known[argument - 1].as_ref());
        let database = known.is_none().then(TimeZoneDatabase::bundled);
        Zones { known, names: call.args.text(argument), database, last: None }
    }

    fn at(&mut self, row: usize) -> Result<&TimeZone, Fail> {
        if let Some(known) = self.known {
            return Ok(known);
        }
        let name = self.names.at(row);
        let entry = match (self.last.take(), &self.database) {
            (Some(last), _) if last.0 == name => last,
            (_, Some(database)) => (name, zone(database, name).map_err(Fail::domain)?),
            _ => (name, TimeZone::UTC),
        };
        Ok(&self.last.insert(entry).1)
    }
}

fn convert_tz(call: &mut Call<'_>) -> Column {
    let args = call.args;
    let (mut from, mut to) = (Zones::of(call, 1), Zones::of(call, 2));
    instants(call, |row| {
        let utc = shown_at(args.instant(0, row)?, from.at(row)?)?;
        let instant = jiff::Timestamp::from_nanosecond(i128::from(utc)).map_err(|_| beyond())?;
        moved(utc, to.at(row)?.to_offset(instant), 1)
    })
}

/// The instant at which a clock of the zone shows `local`.
fn shown_at(local: i64, zone: &TimeZone) -> Result<i64, Fail> {
    let shown = jiff::Timestamp::from_nanosecond(i128::from(local)).map_err(|_| beyond())?;
    let offset = match zone.to_ambiguous_timestamp(Offset::UTC.to_datetime(shown)).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => before,
    };
    moved(local, offset, -1)
}

fn moved(ns: i64, offset: Offset, sign: i64) -> Result<i64, Fail> {
    ns.checked_add(sign * i64::from(offset.seconds()) * NS_PER_SEC).ok_or_else(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;
    use velostream_types::time::timestamp_text;

    fn check(zone: &str, instant: &str, first: &str, next: &str) {
        let days = LocalDays::of(zone).expect("a zone");
        let instant = velostream_types::time::parse_timestamp(instant).expect("a time");
        let day = days.day(instant);
        assert_eq!(timestamp_text(days.start(day)), first, "{zone} at {instant}");
        assert_eq!(timestamp_text(days.start(day + 1)), next, "{zone} behind {instant}");
    }

    #[test]
    fn days_last_from_midnight_to_midnight() {
        check("UTC", "1969-12-31 23:59:59", "1969-12-31 00:00:00.000", "1970-01-01 00:00:00.000");
        let york = "America/New_York";
        check(york, "2024-03-10 04:59:59", "2024-03-09 05:00:00.000", "2024-03-10 05:00:00.000");
        // 23 hours, then 25.
        check(york, "2024-03-10 05:00:00", "2024-03-10 05:00:00.000", "2024-03-11 04:00:00.000");
        check(york, "2024-11-03 12:00:00", "2024-11-03 04:00:00.000", "2024-11-04 05:00:00.000");
        // Midnight is skipped: the day begins at one o'clock.
        check("America/Sao_Paulo", "2018-11-04 03:00:00", "2018-11-04 03:00:00.000", "2018-11-05 02:00:00.000");
        // At 00:01 the clock went back to 23:01: the day before is shown again inside the new day.
        check("America/St_Johns", "2006-10-29 02:45:00", "2006-10-29 02:30:00.000", "2006-10-30 03:30:00.000");
        // 2011-12-30 does not exist.
        check("Pacific/Apia", "2011-12-30 10:00:00", "2011-12-30 10:00:00.000", "2011-12-31 10:00:00.000");
        check("+05:30", "2024-01-01 00:00:00", "2023-12-31 18:30:00.000", "2024-01-01 18:30:00.000");
    }
}
