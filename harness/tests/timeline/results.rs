//! What windows give: group, aggregates and bounds of each, through HAVING, ORDER BY and LIMIT of one emission.
//!
//! The event time of a window's row is the last instant before its end. What is told to the next operator is the
//! watermark less the most that may still come out behind it.

use super::aggregate::{self, Row};
use super::model::{Aggregate, Condition, MS, Shape, Top, Window};
use super::simulate::{Event, Given, holds};
use super::spans::shown;
use super::value::Value;

/// A window's group: its key, start, end and rows.
pub type Group<'r> = (Vec<Value>, i64, i64, Vec<&'r Row>);

/// The select list of a windowed statement.
pub struct Results {
    keys: Vec<usize>,
    aggregates: Vec<Aggregate>,
    having: Option<Condition>,
    top: Option<Top>,
    restamp: Option<usize>,
    behind: i64,
    /// What the next operator knows.
    forwarded: i64,
    given: i64,
}

impl Results {
    /// `longest`: no window is longer.
    pub fn new(window: &Window, lateness: i64, longest: i64) -> Results {
        // A session that ends at the watermark is still open, and its row's time lies before its end.
        let open = i64::from(matches!(window.shape, Shape::Session(_)));
        Results {
            keys: window.keys.clone(),
            aggregates: window.aggregates.clone(),
            having: window.having.clone(),
            top: window.top.clone(),
            restamp: window.restamp,
            behind: lateness + open + if window.restamp.is_some() { longest } else { 0 },
            forwarded: i64::MIN,
            given: 0,
        }
    }

    pub fn key(&self, row: &Row) -> Vec<Value> {
        self.keys.iter().map(|k| row.values[*k].clone()).collect()
    }

    /// One emission.
    pub fn tell(&mut self, groups: Vec<Group<'_>>, given: &mut Given) {
        let mut found = Vec::new();
        for (key, start, end, mut rows) in groups {
            rows.sort_by_key(|r| r.place);
            let mut values = key;
            values.extend(aggregate::values(&self.aggregates, &rows));
            values.extend([shown(start), shown(end)]);
            let at = match self.restamp.map(|c| aggregate::value(Aggregate::Min(c), &rows).mantissa()) {
                Some(Some(ms)) => ms as i64 * MS,
                _ => end - 1,
            };
            if self.having.as_ref().is_none_or(|h| holds(h, &values)) {
                found.push((end, rows.first().map(|r| r.place), at, values));
            }
        }
        found.sort_by_key(|(end, first, _, _)| (*end, *first));
        if let Some(top) = &self.top {
            found.sort_by(|a, b| {
                let keys = top.order.iter().map(|(c, desc)| {
                    let order = a.3[*c].cmp(&b.3[*c]);
                    if *desc { order.reverse() } else { order }
                });
                keys.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
            });
            found.truncate(top.limit.unwrap_or(usize::MAX));
        }
        for (_, _, at, values) in found {
            let row = Row { values, at, own: self.forwarded, place: (self.given, 0), origin: None };
            self.given += 1;
            given.events.push(Event::Row(row));
        }
    }

    /// The watermark of the next operator.
    pub fn forward(&mut self, at: i64) -> i64 {
        let next = if at == i64::MAX { at } else { at.saturating_sub(self.behind) };
        self.forwarded = self.forwarded.max(next);
        self.forwarded
    }
}
