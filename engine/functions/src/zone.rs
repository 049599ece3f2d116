//! Time zones. A TIMESTAMP has none: CONVERT_TZ reads it as the clock of one zone and gives the clock of another, and
//! `x AT TIME ZONE z` is what a clock in z shows when it is x in UTC.
//!
//! Rules come from the bundled IANA database, so that results do not depend on the machine. A local time that a zone
//! skips counts as if the clock had not been changed yet, one that comes twice is the first. Constant zones are looked up
//! at deploy, others when their text changes.

use std::sync::Arc;

use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use velostream_types::time::NS_PER_SEC;
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
