//! Where days begin: by the zone database's own calendar.

use jiff::civil::{Date, date};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan, Unit};

/// A zone by its name or offset.
pub struct Zone(TimeZone);

const EPOCH: Date = date(1970, 1, 1);

impl Zone {
    pub fn new(name: &str) -> Zone {
        let offset = |text: &str| {
            let (sign, rest) = text.split_at(1);
            let (hours, minutes) = rest.split_once(':')?;
            let seconds = hours.parse::<i32>().ok()? * 3_600 + minutes.parse::<i32>().ok()? * 60;
            Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok()
        };
        let zone = match name.starts_with(['+', '-']) {
            true => offset(name).map(TimeZone::fixed),
            false => TimeZone::get(name).ok(),
        };
        Zone(zone.unwrap_or_else(|| panic!("zone {name} exists")))
    }

    /// The local day of an instant, in days since 1970-01-01.
    pub fn day_of(&self, ns: i64) -> i64 {
        let at = Timestamp::from_nanosecond(i128::from(ns)).expect("feeds stay within the calendar");
        let day = at.to_zoned(self.0.clone()).date();
        i64::from(EPOCH.until((Unit::Day, day)).expect("days are counted").get_days())
    }

    /// The first instant of a local day.
    pub fn begin_of(&self, day: i64) -> i64 {
        let date = EPOCH.checked_add(day.days()).expect("feeds stay within the calendar");
        let at = date.to_zoned(self.0.clone()).expect("every zone has every day");
        i64::try_from(at.timestamp().as_nanosecond()).expect("feeds stay within 64 bits of nanoseconds")
    }
}
