//! Columns to bytes on the shard that made the rows; the chunk then travels to the one writer of the sink.
//!
//! A changelog arrives as retraction pairs. For an upsert sink the −1 of a pair is dropped when its +1 follows with
//! the same key (the +1 replaces it); a −1 that stands alone is a delete. Pairs are never split over batches.
//!
//! With `changelog = append` only rows that come are written, with `debezium` each change is one object of the row before
//! and the row after.
//!
//! A topic takes keys (see `format::KeyEncoder`), a delete as a record with its key and no value, and times: the event
//! time, else the record's own timestamp, else the run's start; a row has an event time only where its source has one.
//! Where the plan says so, a row takes along the key and the headers of the record it stems from, without the headers
//! that the writer adds itself.
//!
//! A sink that passes through takes each row's original bytes and looks at no column.

use std::sync::Arc;

use arrow_array::Array;

use velostream_sql::plan::{KeyFormat, SinkConnector, SinkPlan};
use velostream_types::headers::handed_on;
use velostream_types::time::ns_to_ms;
use velostream_types::{Batch, Chunk, Column, Fatal};

use crate::format::{Encoder, KeyEncoder, append_records};
use crate::operator::{Msg, OpCx, Operator};

/// The operator.
pub struct Encode {
    plan: Arc<SinkPlan>,
    encoder: Encoder,
    keys: KeyEncoder,
    /// The writer merges by order triple.
    with_order: bool,
    run_start_ms: i64,
    /// One row on its way into an envelope.
    part: Chunk,
    ready: Option<Msg>,
}

impl Encode {
    /// The encoder of a sink.
    pub fn new(plan: Arc<SinkPlan>, with_order: bool, run_start_ms: i64) -> Encode {
        let encoder = if plan.upsert && !is_kafka(&plan) {
            Encoder::new_upsert(plan.format, &plan.schema)
        } else {
            Encoder::new(plan.format, &plan.schema)
        };
        let key_format = match &plan.connector {
            SinkConnector::Kafka(kafka) => kafka.key_format,
            _ => KeyFormat::Text,
        };
        let keys = KeyEncoder::new(key_format, &plan.key, &plan.schema);
        Encode { plan, encoder, keys, with_order, run_start_ms, part: Chunk::default(), ready: None }
    }

    fn encode(&mut self, batch: &Batch, cx: &mut OpCx<'_>) -> Result<Chunk, Fatal> {
        let mut chunk = cx.spare.pop().unwrap_or_default();
        let mut rows: Option<Vec<u32>> = None;
        if self.plan.pass_through {
            let Some(raw) = &batch.meta.raw else {
                let name = &self.plan.name;
                return Err(Fatal::new(format!(
                    "sink {name} passes records through, but rows came without their bytes"
                )));
            };
            append_records(raw, &mut chunk);
        } else if self.plan.envelope {
            rows = Some(self.envelopes(batch, &mut chunk, cx));
        } else if batch.meta.weight.is_none() {
            self.encoder.encode(batch, &mut chunk, &mut cx.counters.not_finite);
        } else {
            let mut written = Vec::with_capacity(batch.rows);
            for row in 0..batch.rows {
                if batch.meta.weight_at(row) > 0 {
                    self.encoder.encode_one(batch, row, &mut chunk, &mut cx.counters.not_finite);
                } else if !self.plan.upsert || self.replaced_by_next(batch, row) {
                    continue;
                } else if is_kafka(&self.plan) {
                    chunk.deletes.resize(chunk.rows(), false);
                    chunk.deletes.push(true);
                    chunk.end_row();
                } else {
                    self.encoder.encode_delete(batch, row, &self.plan.key, &mut chunk);
                }
                written.push(row as u32);
            }
            if !chunk.deletes.is_empty() {
                chunk.deletes.resize(chunk.rows(), false);
            }
            rows = Some(written);
        }
        cx.counters.rows_out += chunk.rows() as u64;
        self.annotate(batch, rows.as_deref(), &mut chunk);
        Ok(chunk)
    }

    /// Writes changes as `{"before":…,"after":…,"op":…}`: a pair is an update, +1 alone creates, −1 alone deletes.
    fn envelopes(&mut self, batch: &Batch, chunk: &mut Chunk, cx: &mut OpCx<'_>) -> Vec<u32> {
        let mut written = Vec::with_capacity(batch.rows);
        let mut row = 0;
        while row < batch.rows {
            // A row that leaves and one that comes for another reason are two changes, however they were cut into batches.
            let is_pair = self.replaced_by_next(batch, row) && batch.meta.order_at(row) == batch.meta.order_at(row + 1);
            let (before, after, op) = match (batch.meta.weight_at(row) > 0, is_pair) {
                (true, _) => (None, Some(row), "c"),
                (false, true) => (Some(row), Some(row + 1), "u"),
                (false, false) => (Some(row), None, "d"),
            };
            chunk.bytes.extend_from_slice(b"{\"before\":");
            self.part(batch, before, chunk, cx);
            chunk.bytes.extend_from_slice(b",\"after\":");
            self.part(batch, after, chunk, cx);
            chunk.bytes.extend_from_slice(b",\"op\":\"");
            chunk.bytes.extend_from_slice(op.as_bytes());
            chunk.bytes.extend_from_slice(b"\"}\n");
            chunk.end_row();
            let last = after.or(before).unwrap_or(row);
            written.push(last as u32);
            row = last + 1;
        }
        written
    }

    /// A row as an object without its terminator; `null` for none.
    fn part(&mut self, batch: &Batch, row: Option<usize>, chunk: &mut Chunk, cx: &mut OpCx<'_>) {
        let Some(row) = row else { return chunk.bytes.extend_from_slice(b"null") };
        self.part.clear();
        self.encoder.encode_one(batch, row, &mut self.part, &mut cx.counters.not_finite);
        chunk.bytes.extend_from_slice(self.part.bytes.trim_ascii_end());
    }

    /// TRUE when the next row is the +1 that replaces this −1.
    fn replaced_by_next(&self, batch: &Batch, row: usize) -> bool {
        let next = row + 1;
        next < batch.rows
            && batch.meta.weight_at(next) > 0
            && self.plan.key.iter().all(|k| batch.columns[*k].value(row) == batch.columns[*k].value(next))
    }

    /// Order for merging writers; keys, headers and times for topics.
    fn annotate(&mut self, batch: &Batch, rows: Option<&[u32]>, chunk: &mut Chunk) {
        let row_of = |i: usize| rows.map_or(i, |r| r[i] as usize);
        if self.with_order {
            chunk.order.extend((0..chunk.ends.len()).map(|i| batch.meta.order_at(row_of(i))));
        }
        let is_kafka = is_kafka(&self.plan);
        if !is_kafka && !matches!(self.plan.connector, SinkConnector::Memory { .. }) {
            return;
        }
        let written = 0..chunk.rows();
        let keys = &mut self.keys;
        match self.plan.carried.key.map(|column| &batch.columns[column]) {
            Some(Column::Bytes(carried)) => chunk.keys.extend(written.clone().map(|i| {
                let row = row_of(i);
                carried.is_valid(row).then(|| carried.value(row).into())
            })),
            _ => chunk.keys.extend(written.clone().map(|i| keys.key(batch, row_of(i)))),
        }
        if let Some(Column::Bytes(headers)) = self.plan.carried.headers.map(|column| &batch.columns[column])
            && headers.lengths().any(|length| length > 0)
        {
            chunk.headers.extend(written.clone().map(|i| handed_on(headers.value(row_of(i))).map(Vec::into)));
        }
        match &batch.meta.event_time {
            Some(times) => {
                chunk.times_ms.extend(written.clone().map(|i| ns_to_ms(times[row_of(i)])));
                if is_kafka {
                    chunk.event_ns.extend(written.map(|i| times[row_of(i)]));
                }
            }
            None => {
                let stamps = batch.meta.timestamp.as_ref().filter(|_| is_kafka);
                let start = self.run_start_ms;
                chunk.times_ms.extend(written.map(|i| stamps.map_or(start, |t| t[row_of(i)])));
            }
        }
    }
}

fn is_kafka(plan: &SinkPlan) -> bool {
    matches!(plan.connector, SinkConnector::Kafka(_))
}

impl Operator for Encode {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        self.ready = match msg {
            Msg::Batch(batch) => {
                cx.counters.rows_in += batch.rows as u64;
                let chunk = self.encode(&batch, cx)?;
                (!chunk.is_empty()).then_some(Msg::Chunk(chunk))
            }
            Msg::Passed(_) | Msg::Loaded => None,
            control => Some(control),
        };
        Ok(())
    }

    fn pull(&mut self, _cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        Ok(self.ready.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::NodeCounters;
    use std::collections::BTreeMap;
    use velostream_sql::plan::{KafkaSink, SinkFormat};
    use velostream_types::topic::Client;
    use velostream_types::{Column, DataType, Field, RowMeta, Schema, SourceId};

    /// What a sink that passes through makes of two rows, the second of them filtered out before where asked for.
    fn passed(raw: Option<[&str; 2]>, filtered: bool) -> Result<Option<Msg>, Fatal> {
        let plan = SinkPlan {
            carried: Default::default(),
            metrics: Vec::new(),
            name: "out".into(),
            connector: SinkConnector::Memory { topic: "out".into(), partitions: 1 },
            format: SinkFormat::JsonLines,
            schema: Arc::new(Schema::new(vec![Field::new("a", DataType::Integer)])),
            key: Vec::new(),
            upsert: false,
            envelope: false,
            ordered: false,
            pass_through: true,
            statement: 0,
        };
        let raw = raw.map(|rows| rows.map(|r| Some(r.as_bytes())).into_iter().collect());
        let meta = RowMeta { raw, ..RowMeta::plain(SourceId(0), 0, 5) };
        let batch = Batch::new(vec![Column::ints(vec![1, 2], None)], 2, meta);
        let batch = if filtered { batch.take(&[1]) } else { batch };
        let (mut dead, mut counters) = (Vec::new(), NodeCounters::default());
        let mut cx =
            OpCx { now_ns: 0, batch_rows: 2, dead: &mut dead, counters: &mut counters, spare: &mut Vec::new() };
        let mut encode = Encode::new(Arc::new(plan), true, 7);
        encode.push(0, Msg::Batch(batch), &mut cx)?;
        encode.pull(&mut cx)
    }

    #[test]
    fn a_row_is_its_record() {
        let check = |filtered, bytes: &str, offsets: &[i64]| match passed(
            Some(["{ \"a\":1}", "{\"a\":2,\"b\":3}"]),
            filtered,
        ) {
            Ok(Some(Msg::Chunk(chunk))) => {
                assert_eq!(String::from_utf8_lossy(&chunk.bytes), bytes);
                assert_eq!(chunk.order.iter().map(|o| o.0).collect::<Vec<_>>(), offsets);
                assert_eq!((chunk.keys.len(), chunk.times_ms), (offsets.len(), vec![7; offsets.len()]));
            }
            other => panic!("{other:?}"),
        };
        check(false, "{ \"a\":1}\n{\"a\":2,\"b\":3}\n", &[5, 6]);
        check(true, "{\"a\":2,\"b\":3}\n", &[6]);
    }

    /// A TABLE of `k, n` written to a topic: a new group, a group that changes, a group that leaves.
    #[test]
    fn a_topic_takes_upserts_and_tombstones() {
        let kafka = KafkaSink {
            topic: "out".into(),
            client: Client::default(),
            partitions: None,
            replication: -1,
            topic_config: BTreeMap::new(),
            create: true,
            key_format: KeyFormat::Text,
            connect_timeout_ns: 0,
        };
        let schema = Schema::new(vec![Field::new("k", DataType::String), Field::new("n", DataType::Integer)]);
        let plan = SinkPlan {
            carried: Default::default(),
            metrics: Vec::new(),
            name: "out".into(),
            connector: SinkConnector::Kafka(Box::new(kafka)),
            format: SinkFormat::JsonLines,
            schema: Arc::new(schema),
            key: vec![0],
            upsert: true,
            envelope: false,
            ordered: false,
            pass_through: false,
            statement: 0,
        };
        let columns = vec![
            Column::strs([Some("a"), Some("b"), Some("b"), Some("c"), None]),
            Column::ints(vec![1, 1, 2, 5, 6], None),
        ];
        let weight = Some(vec![1i8, -1, 1, -1, 1].into());
        let event_time = Some(vec![1_999_999i64, 2_000_000, 3_000_000, 4_000_000, 5_000_000].into());
        let wm_own = event_time.clone();
        let meta = RowMeta { weight, event_time, wm_own, ..RowMeta::plain(SourceId(0), 0, 0) };
        let batch = Batch::new(columns, 5, meta);
        let (mut dead, mut counters) = (Vec::new(), NodeCounters::default());
        let mut cx =
            OpCx { now_ns: 0, batch_rows: 8, dead: &mut dead, counters: &mut counters, spare: &mut Vec::new() };
        let mut encode = Encode::new(Arc::new(plan), false, 7);
        encode.push(0, Msg::Batch(batch), &mut cx).unwrap();
        let Ok(Some(Msg::Chunk(chunk))) = encode.pull(&mut cx) else { panic!() };
        let rows: Vec<String> = (0..chunk.rows()).map(|i| String::from_utf8_lossy(chunk.row(i)).into_owned()).collect();
        assert_eq!(rows, ["{\"k\":\"a\",\"n\":1}\n", "{\"k\":\"b\",\"n\":2}\n", "", "{\"k\":null,\"n\":6}\n"]);
        assert_eq!(chunk.deletes, [false, false, true, false]);
        let keys: Vec<Option<&[u8]>> = chunk.keys.iter().map(Option::as_deref).collect();
        assert_eq!(keys, [Some(b"a".as_slice()), Some(b"b"), Some(b"c"), None]);
        assert_eq!(
            (chunk.times_ms, chunk.event_ns),
            (vec![1, 3, 4, 5], vec![1_999_999, 3_000_000, 4_000_000, 5_000_000])
        );
    }

    #[test]
    fn a_row_without_its_record_stops_the_run() {
        let message = passed(None, false).map(|_| ()).map_err(|f| f.message);
        assert_eq!(message, Err("sink out passes records through, but rows came without their bytes".to_owned()));
    }
}
