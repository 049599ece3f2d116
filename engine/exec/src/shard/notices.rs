//! What a Scan has to say of event times: missing ones, units that look wrong, headers that are no time. Each is counted
//! where it can be counted, and said once per source; the first case is shown.

use velostream_sql::plan::{SourcePlan, TimeField, TimeFormat};
use velostream_types::time::timestamp_text;
use velostream_types::{Batch, Column, PartitionId, SourceId, Value};

use super::report::{About, Notice};
use crate::format::HeaderMark;
use crate::operator::NodeCounters;
use crate::watermark::Mark;

/// Milliseconds below this are before March 1973: probably seconds.
const SECONDS_BELOW: i64 = 100_000_000_000;
/// Milliseconds from here on are after the year 5138: probably microseconds.
const MICROS_FROM: i64 = 100_000_000_000_000;
/// Fields that a message lists.
const LISTED: usize = 20;

/// What was said, and what waits to be said.
#[derive(Debug, Default)]
pub(super) struct Notices {
    pub(super) fresh: Vec<Notice>,
    said: Vec<About>,
    /// The unit was looked at.
    unit_seen: bool,
}

impl Notices {
    fn say(&mut self, source: SourceId, about: About, text: impl FnOnce() -> String) {
        if !self.said.contains(&about) {
            self.said.push(about);
            self.fresh.push(Notice { source, about, text: text() });
        }
    }

    /// Sorts out headers that are no time.
    pub(super) fn marks(
        &mut self,
        plan: &SourcePlan,
        source: SourceId,
        partition: PartitionId,
        found: Vec<HeaderMark>,
        counters: &mut NodeCounters,
    ) -> Vec<Mark> {
        let mut marks = Vec::with_capacity(found.len());
        for HeaderMark { rows, offset, time } in found {
            match time {
                Ok(time) => marks.push((rows, time)),
                Err(text) => {
                    counters.bad_watermarks += 1;
                    self.say(source, About::Watermark, || {
                        format!(
                            "source \"{}\": the header \"watermark\" of record {offset} of partition {partition} is \"{text}\", \
                             neither epoch milliseconds nor RFC 3339; it moves nothing. Others are only counted",
                            plan.name
                        )
                    });
                }
            }
        }
        marks
    }

    /// Rows that were placed by their record's timestamp.
    pub(super) fn missing(&mut self, plan: &SourcePlan, batch: &Batch, rows: &[u32], counters: &mut NodeCounters) {
        let Some(first) = rows.first().map(|row| *row as usize) else { return };
        counters.untimed += rows.len() as u64;
        let Some(TimeField::Column(at)) = plan.event_time.as_ref().map(|spec| spec.field) else { return };
        self.say(batch.meta.source, About::MissingTime, || {
            let name = plan.read.get(at).map_or("?", |column| column.name.as_str());
            let found = match batch.columns.get(at).map(|column| column.value(first)) {
                None | Some(Value::Null) => "has no value".to_owned(),
                Some(value) => format!("is {value}, which is no time"),
            };
            let placed = batch.meta.event_time.as_ref().map_or(0, |times| times[first]);
            let fields: Vec<&str> = plan.schema.fields.iter().take(LISTED).map(|f| f.name.as_str()).collect();
            format!(
                "source \"{}\": the event time \"{name}\" of record {} of partition {} {found}; the row is placed at {}, by its \
                 record, and moves no watermark. Others are only counted. Fields are {}; event.time.policy = 'error' makes \
                 dead letters of such records",
                plan.name,
                batch.meta.offsets.at(first),
                batch.meta.partition,
                timestamp_text(placed),
                fields.join(", "),
            )
        });
    }

    /// Looks once whether integers that are taken for milliseconds are of another unit.
    pub(super) fn unit(&mut self, plan: &SourcePlan, source: SourceId, columns: &[Column]) {
        let Some(spec) = plan.event_time.as_ref().filter(|spec| spec.format == TimeFormat::Auto && !self.unit_seen)
        else {
            return;
        };
        let TimeField::Column(at) = spec.field else { return };
        let Some(Column::Int(values)) = columns.get(at) else { return };
        let Some(value) = values.iter().flatten().next() else { return };
        self.unit_seen = true;
        let (unit, format) = match value.abs() {
            size if size < SECONDS_BELOW && size > 0 => ("seconds", "epoch_seconds"),
            size if size >= MICROS_FROM => ("microseconds", "epoch_micros"),
            _ => return,
        };
        let name = plan.read.get(at).map_or("?", |column| column.name.as_str());
        self.say(source, About::Unit, || {
            format!(
                "source \"{}\": the event time \"{name}\" is {value} and taken for milliseconds ({}); {unit}? Then set \
                 event.time.format = '{format}', else 'epoch_millis'",
                plan.name,
                timestamp_text(value.saturating_mul(velostream_types::time::NS_PER_MS)),
            )
        });
    }
}
