//! Samples: whole records, enough of them, from every partition.

use velostream_sql::plan::{Failure, TimeFormat};
use velostream_types::topic::{
    Client, Fetch, FetchSpec, GroupMember, LogBounds, MemberSpec, NewTopic, Produce, ProduceSpec, StartAt, Wake,
};
use velostream_types::{DataType, Field};

use super::*;
use crate::io::memory::{Retention, TopicBatch};

const CSV: Format = Format::Csv { delimiter: b',', quote: b'"', header: true, skip_lines: 0 };

/// A schema that tells what was sampled: one column per sample, named by its length and record count.
fn tell(format: &Format, heads: &[Vec<u8>], each: usize) -> Result<Schema, String> {
    if heads.iter().all(Vec::is_empty) {
        return Err("nothing in it".into());
    }
    let name = |head: &Vec<u8>| {
        let mut ends = RecordEnds::new(format);
        while ends.next(head).is_some() {}
        format!("{}b {}r of {each}", head.len(), ends.seen)
    };
    Ok(Schema::new(heads.iter().map(|head| Field::new(name(head), DataType::String)).collect()))
}

fn spec(connector: SourceConnector, format: Format) -> SourceSpec {
    SourceSpec {
        connector,
        format,
        event_time_field: None,
        event_time_format: TimeFormat::Auto,
        watermark_rule: Default::default(),
        watermark_bound_ns: None,
        idle_timeout_ns: 0,
        missing_time: velostream_sql::plan::MissingTime::Warn,
        late: None,
        lateness_ns: None,
        max_record_bytes: 1 << 20,
        max_records: None,
        delete_field: None,
        schema_wait_ns: None,
        patience: Default::default(),
        dlq_path: None,
        dlq_topic: None,
        dlq_enabled: true,
        failure: Failure::DeadLetter,
    }
}

fn files(pattern: PathBuf, sequential: bool, format: Format) -> SourceSpec {
    spec(SourceConnector::File { pattern, sequential, watch: false, poll_interval_ms: 1000 }, format)
}

fn names(schema: Schema) -> Vec<String> {
    schema.fields.into_iter().map(|field| field.name).collect()
}

#[test]
fn every_file_gives_its_share() {
    let dir = tempfile::tempdir().unwrap();
    let line = "{\"a\":1}\n";
    std::fs::write(dir.path().join("a.jsonl"), line.repeat(5000)).unwrap();
    std::fs::write(dir.path().join("b.jsonl"), line.repeat(3)).unwrap();
    let mut catalog = FileCatalog { infer: tell, ..FileCatalog::default() };
    let mut infer =
        |sequential| names(catalog.infer(&files(dir.path().join("*.jsonl"), sequential, Format::JsonLines)).unwrap());
    assert_eq!(infer(false), ["4000b 500r of 500", "24b 3r of 500"]);
    assert_eq!(infer(true), ["8000b 1000r of 1000"]);
}

#[test]
fn quoted_line_feeds_and_blank_lines_end_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    std::fs::write(&path, format!("\"h\n\",b\n{}", "\"1\n\n2\",x\n\r\n".repeat(2000))).unwrap();
    let (bytes, records) = head(&path, &CSV, 10, HEAD_MAX).unwrap();
    assert_eq!((records, bytes.len()), (10, 7 + 10 * 11 - 2));
    std::fs::write(&path, "a,b\n1,2\n3,4").unwrap();
    assert_eq!(head(&path, &CSV, 10, HEAD_MAX).unwrap(), (b"a,b\n1,2\n3,4".to_vec(), 2));
}

#[test]
fn long_records_are_cut_off_at_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    std::fs::write(&path, format!("{{}}\n{}\n{{}}\n", "x".repeat(3 * HEAD_MIN))).unwrap();
    let (bytes, records) = head(&path, &Format::JsonLines, 10, HEAD_MIN).unwrap();
    assert_eq!((bytes, records), (b"{}\n".to_vec(), 1));
}

#[test]
fn topics_are_sampled_too() {
    let topics = Topics::default();
    let topic = topics.open("trades", 2, Retention::All);
    let mut batch = TopicBatch::default();
    batch.push(None, Some(b"{}"), 0);
    batch.push(None, Some(b"{}"), 0);
    topic.append(1, &mut batch);
    let mut catalog = FileCatalog { infer: tell, ..FileCatalog::with_topics(topics) };
    let known = spec(SourceConnector::Memory { topic: "trades".into() }, Format::JsonLines);
    assert_eq!(names(catalog.infer(&known).unwrap()), ["0b 0r of 500", "6b 2r of 500"]);
    assert!(catalog.check(&known).is_ok());
    let unknown = spec(SourceConnector::Memory { topic: "trade".into() }, Format::JsonLines);
    let missing = CatalogError::Missing { searched: "trade".into(), similar: vec!["trades".into()] };
    assert_eq!(catalog.infer(&unknown), Err(missing));
}

/// A broker with these partitions of one topic; everything else it is never asked.
struct OneTopic(Vec<Vec<Option<&'static str>>>);

impl Broker for OneTopic {
    fn partitions(&self, _: &Client, topic: &str, _: Duration) -> Result<Option<u32>, Fatal> {
        match topic {
            "down" => Err(Fatal::new("no answer")),
            "orders" => Ok(Some(self.0.len() as u32)),
            _ => Ok(None),
        }
    }
    fn create(&self, _: &Client, _: &NewTopic, _: Duration) -> Result<bool, Fatal> {
        Err(Fatal::new("not asked"))
    }
    fn bounds(&self, _: &Client, _: &str, _: u32) -> Result<Vec<LogBounds>, Fatal> {
        Err(Fatal::new("not asked"))
    }
    fn offsets_at(&self, _: &Client, _: &str, _: u32, _: i64) -> Result<Vec<Option<i64>>, Fatal> {
        Err(Fatal::new("not asked"))
    }
    fn sample(&self, _: &Client, _: &str, per_partition: usize) -> Result<Vec<TopicRecord>, Fatal> {
        assert_eq!(per_partition, 1000 / self.0.len());
        let record = |partition: usize, offset: usize, value: &Option<&str>| TopicRecord {
            partition: partition as u32,
            offset: offset as i64,
            timestamp_ms: 0,
            key: None,
            value: value.map(|v| v.as_bytes().to_vec()),
            headers: Vec::new(),
        };
        let partition = |(p, values): (usize, &Vec<Option<&str>>)| {
            values.iter().enumerate().map(|(i, v)| record(p, i, v)).collect::<Vec<_>>()
        };
        Ok(self.0.iter().enumerate().flat_map(partition).collect())
    }
    fn join(&self, _: MemberSpec) -> Result<Box<dyn GroupMember>, Fatal> {
        Err(Fatal::new("not asked"))
    }
    fn fetch(&self, _: FetchSpec, _: Wake) -> Result<Box<dyn Fetch>, Fatal> {
        Err(Fatal::new("not asked"))
    }
    fn produce(&self, _: ProduceSpec, _: Wake) -> Result<Box<dyn Produce>, Fatal> {
        Err(Fatal::new("not asked"))
    }
}

fn kafka(topic: &str, format: Format) -> SourceSpec {
    let source = KafkaSource {
        topic: topic.into(),
        client: Client { settings: [("bootstrap.servers".into(), "h:1".into())].into(), ..Client::default() },
        group: None,
        start: StartAt::Earliest,
        topic_wait_ns: 0,
        topic_retry_ns: 0,
        topic_retry_max_ns: 0,
        topic_retry_growth: velostream_sql::plan::RetryGrowth::By(0),
        connect_timeout_ns: 0,
        commit_interval_ns: 1,
        partitioned_by: None,
        null_value_is_bad: false,
        fail_on_data_loss: false,
    };
    SourceSpec { schema_wait_ns: Some(5), ..spec(SourceConnector::Kafka(Box::new(source)), format) }
}

#[test]
fn kafka_topics_are_sampled_through_their_broker() {
    let looks = Arc::new(std::sync::Mutex::new(Vec::new()));
    let catalog = |partitions| {
        let looks = Arc::clone(&looks);
        let wait = move |topic: &str, longest: Option<Duration>| {
            looks.lock().unwrap().push((topic.to_owned(), longest));
            looks.lock().unwrap().len() < 2
        };
        FileCatalog::default().with_broker(Arc::new(OneTopic(partitions)), Box::new(wait))
    };
    let full = vec![vec![Some("{\"a\":\n1}"), None], vec![Some("{\"b\":\"x\"}\n")]];
    let schema = catalog(full.clone()).infer(&kafka("orders", Format::JsonLines)).unwrap();
    let types: Vec<_> = schema.fields.iter().map(|f| (f.name.as_str(), f.data_type.clone())).collect();
    assert_eq!(types, [("a", DataType::Integer), ("b", DataType::String)]);
    assert!(looks.lock().unwrap().is_empty());

    let infer = |partitions: Vec<Vec<Option<&'static str>>>, topic: &str| {
        catalog(partitions).infer(&kafka(topic, Format::JsonLines)).unwrap_err()
    };
    assert_eq!(infer(vec![vec![None]], "orders"), CatalogError::NoRecord { topic: "orders".into() });
    let longest = Some(Duration::from_nanos(5));
    assert_eq!(*looks.lock().unwrap(), [("orders".to_owned(), longest), ("orders".to_owned(), longest)]);
    let brokers = || "h:1".to_owned();
    assert_eq!(infer(full.clone(), "order"), CatalogError::NoTopic { topic: "order".into(), brokers: brokers() });
    let down = CatalogError::Brokers { brokers: brokers(), reason: "no answer".into() };
    assert_eq!(infer(full, "down"), down);
    // Declared sources and raw ones ask nobody.
    let mut alone = FileCatalog::default();
    assert!(alone.check(&kafka("orders", Format::JsonLines)).is_ok());
    let raw = alone.infer(&kafka("orders", Format::Raw(velostream_sql::plan::RawKind::Text))).unwrap();
    assert_eq!(names(raw), ["value"]);
    assert!(matches!(alone.infer(&kafka("orders", Format::JsonLines)), Err(CatalogError::Brokers { .. })));
}

#[test]
fn what_cannot_be_sampled_says_why() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("empty.csv"), "").unwrap();
    std::fs::write(dir.path().join("broken.csv.gz"), "no gzip").unwrap();
    let mut catalog = FileCatalog { infer: tell, ..FileCatalog::default() };
    let mut infer = |name: &str| catalog.infer(&files(dir.path().join(name), false, CSV));
    assert!(matches!(infer("empty.csv"), Err(CatalogError::Malformed { .. })));
    assert!(matches!(infer("broken.csv.gz"), Err(CatalogError::Unreadable { .. })));
    assert!(matches!(infer("none.csv"), Err(CatalogError::Missing { .. })));
    assert!(matches!(
        catalog.check(&files(dir.path().join("none.csv"), false, CSV)),
        Err(CatalogError::Missing { .. })
    ));
    assert!(catalog.check(&files(dir.path().join("empty.csv"), false, CSV)).is_ok());
    assert!(catalog.check(&spec(SourceConnector::OneRow, Format::JsonLines)).is_ok());
}

#[test]
fn types_come_from_the_first_records() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.csv"), "id,price\n1,2.50\n").unwrap();
    let schema = FileCatalog::default().infer(&files(dir.path().join("a.csv"), false, CSV)).unwrap();
    let types: Vec<_> = schema.fields.iter().map(|f| (f.name.as_str(), f.data_type.clone())).collect();
    assert_eq!(types, [("id", DataType::Integer), ("price", DataType::decimal(2))]);
}
