//! Records of topics: raw values, records without a value, event times in headers.

mod partition;

use arrow_buffer::Buffer;
use partition::{Outcome, read_framed, source};
use velostream_exec::format::{Decoder, Encoder, SlabCursor, infer};
use velostream_sql::plan::{
    EventTimeSpec, Format, KafkaSource, MissingTime, RawKind, SinkFormat, SourceConnector, SourcePlan, TimeField,
    TimeFormat,
};
use velostream_types::topic::{Client, StartAt};
use velostream_types::{Batch, Chunk, Column, DataType, Field, RecordRef, RowMeta, Schema, Slab, SlabKind, SourceId};

const TEXT: Format = Format::Raw(RawKind::Text);
const BYTES: Format = Format::Raw(RawKind::Bytes);

fn plan(format: &Format) -> SourcePlan {
    let data_type = if *format == TEXT { DataType::String } else { DataType::Bytes };
    source(format, vec![Field::new("value", data_type)])
}

/// A plan that reads a topic.
fn of_topic(null_value_is_bad: bool) -> SourcePlan {
    let kafka = KafkaSource {
        topic: "t".into(),
        client: Client::default(),
        group: None,
        start: StartAt::Earliest,
        topic_wait_ns: 0,
        topic_retry_ns: 0,
        topic_retry_max_ns: 0,
        topic_retry_growth: velostream_sql::plan::RetryGrowth::By(0),
        connect_timeout_ns: 0,
        commit_interval_ns: 1,
        partitioned_by: None,
        null_value_is_bad,
        fail_on_data_loss: false,
    };
    SourcePlan { connector: SourceConnector::Kafka(Box::new(kafka)), ..plan(&TEXT) }
}

fn shown(outcome: &Outcome) -> String {
    let mut all: Vec<(i64, String)> =
        outcome.rows.iter().map(|(at, _, values)| (*at, format!("{:?}", values[0].to_string()))).collect();
    all.extend(outcome.bad.iter().map(|b| (b.offset, format!("!{}", b.error.code.code()))));
    all.sort();
    all.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
}

fn values(values: &[Option<&[u8]>]) -> Vec<Option<Vec<u8>>> {
    values.iter().map(|v| v.map(<[u8]>::to_vec)).collect()
}

#[test]
fn a_record_is_its_value() {
    let records = values(&[Some(b"a\nb\\u0041"), Some(b""), None, Some(b"\xff"), Some("ö\n".as_bytes())]);
    for max_rows in [1, 100] {
        let text = read_framed(&plan(&TEXT), &records, max_rows);
        assert_eq!(shown(&text), r#""a\nb\\u0041" "" !R0102 "ö\n""#);
        assert_eq!((text.null_values, text.next_offset), (1, 13));
        let bytes = read_framed(&plan(&BYTES), &records, max_rows);
        assert_eq!(shown(&bytes), r#""610a625c7530303431" "" "ff" "c3b60a""#);
    }
    // Bytes that are no text are bad even where nobody reads the column.
    let unread = SourcePlan { read: Vec::new(), ..plan(&TEXT) };
    let got = read_framed(&unread, &records, 10);
    assert_eq!((got.rows.len(), got.bad.len()), (3, 1));
}

#[test]
fn long_records_are_bad() {
    let plan = SourcePlan { max_record_bytes: 3, ..plan(&BYTES) };
    assert_eq!(shown(&read_framed(&plan, &values(&[Some(b"abc"), Some(b"abcd")]), 10)), "\"616263\" !R0103");
}

#[test]
fn a_record_without_a_value() {
    let records = values(&[Some(b"a"), None, Some(b"b")]);
    let skipped = read_framed(&of_topic(false), &records, 10);
    assert_eq!((shown(&skipped), skipped.null_values), ("\"a\" \"b\"".into(), 1));
    let bad = read_framed(&of_topic(true), &records, 10);
    assert_eq!((shown(&bad), bad.null_values), ("\"a\" !R0101 \"b\"".into(), 0));
    assert_eq!(&*bad.bad[0].error.message, "the record has no value");
}

#[test]
fn event_times_come_from_headers() {
    let mut plan = of_topic(false);
    plan.event_time = Some(EventTimeSpec {
        field: TimeField::Header,
        format: TimeFormat::Auto,
        rule: Default::default(),
        bound_ns: 0,
        idle_timeout_ns: 0,
        missing: MissingTime::Warn,
    });
    // Two headers in one slab, the second record without.
    let mut bytes = b"aby".to_vec();
    let start = bytes.len() as u32;
    bytes.extend_from_slice(b"\x02\x16_EVENT_TIME\x029");
    let headers = Some((start, bytes.len() as u32));
    let record = |i: u32, value, headers| RecordRef {
        offset: 10 + i64::from(i),
        timestamp_ms: i64::from(i),
        key: None,
        value,
        headers,
    };
    let records = vec![
        record(0, Some((0, 1)), headers),
        record(1, None, headers),
        record(2, Some((1, 2)), None),
        record(3, Some((2, 3)), headers),
    ];
    let mut decoder = Decoder::new(&plan);
    let mut cursor = SlabCursor::new(Slab { bytes: Buffer::from_vec(bytes), kind: SlabKind::Records(records) });
    let mut times = Vec::new();
    for _ in 0..3 {
        times.extend_from_slice(&decoder.decode(&mut cursor, 1).event_times.unwrap());
    }
    assert_eq!(times, [9_000_000, 2_000_000, 9_000_000]);
}

#[test]
fn raw_sinks_write_the_column() {
    let check = |kind, data_type, column: Column, rows: &[&[u8]], deletes: &[bool]| {
        let batch = Batch::new(vec![column], rows.len(), RowMeta::plain(SourceId(0), 0, 0));
        let (mut chunk, mut not_finite) = (Chunk::default(), 0);
        let schema = Schema::new(vec![Field::new("v", data_type)]);
        Encoder::new(SinkFormat::Raw(kind), &schema).encode(&batch, &mut chunk, &mut not_finite);
        let written: Vec<&[u8]> = (0..chunk.rows()).map(|i| chunk.row(i)).collect();
        assert_eq!((written.as_slice(), chunk.deletes.as_slice(), chunk.framed), (rows, deletes, true));
    };
    let text = Column::strs([Some("a\n"), None, Some("")]);
    check(RawKind::Text, DataType::String, text, &[b"a\n", b"", b""], &[false, true, false]);
    let whole = Column::strs([Some("x")]);
    check(RawKind::Bytes, DataType::String, whole, &[b"x"], &[]);
}

#[test]
fn the_column_is_named_value() {
    let names = |format: &Format| {
        let schema = infer(format, &[b"anything".to_vec()], 10).unwrap();
        schema.fields.iter().map(|f| format!("{} {}", f.name, f.data_type)).collect::<Vec<_>>()
    };
    assert_eq!((names(&TEXT), names(&BYTES)), (vec!["value STRING".to_owned()], vec!["value BYTES".to_owned()]));
}
