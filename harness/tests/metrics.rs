//! Metrics of a run: rows of a topic with four partitions, counted and measured on 1, 2 and 4 shards with the same result.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use velostream_broker::{BatchBuilder, Broker, BrokerConfig};
use velostream_harness::app::deploy::{self, App, JobEnd, JobOptions};
use velostream_harness::app::local::Local;
use velostream_runtime::job::{HistogramReport, RunReport};
use velostream_runtime::stop::StopHandle;

const PARTITIONS: u32 = 4;
const ROWS: i64 = 400;
const REGIONS: [&str; 3] = ["north", "south", "west"];

const DECLARED: &str = "CREATE STREAM orders (id BIGINT, region STRING, amount DECIMAL(10,2), geo STRUCT<city STRING>)
  WITH ('type' = 'kafka_source', 'topic' = 'orders', 'format' = 'json');
";
/// Columns come from the records.
const INFERRED: &str =
    "'orders.type' = 'kafka_source', 'orders.topic' = 'orders', 'orders.format' = 'json', 'out.type' = 'kafka_sink',
     'out.topic' = 'out', 'out.format' = 'json'";
const SINK: &str = "WITH ('out.type' = 'kafka_sink', 'out.topic' = 'out', 'out.format' = 'json');";

fn amount(id: i64) -> String {
    format!("{}.{:02}", id % 97, id % 100)
}

/// Runs the app over all rows; answers what it reports and the records it wrote, sorted.
fn run(sql: &str, shards: u16) -> (RunReport, Vec<String>) {
    let broker = Broker::start(BrokerConfig::default()).expect("a broker");
    let local = Local::new(broker.direct(), Arc::new(str::to_owned), 1_000);
    local.make("orders", PARTITIONS).expect("a topic");
    for partition in 0..PARTITIONS {
        let mut batch = BatchBuilder::default();
        for id in (0..ROWS).filter(|id| id % i64::from(PARTITIONS) == i64::from(partition)) {
            let region = REGIONS[id as usize % REGIONS.len()];
            let amount = amount(id);
            let value = format!(
                "{{\"id\": {id}, \"region\": \"{region}\", \"amount\": {amount}, \"geo\": {{\"city\": \"c{}\"}}}}",
                id % 2
            );
            batch.push(id, None, Some(value.as_bytes()), &[]);
        }
        local.publish("orders", partition, &mut batch).expect("records");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let app = App {
        shown: "app.sql".to_owned(),
        text: sql.to_owned(),
        base_dir: PathBuf::from(folder.path()),
        name: "app".to_owned(),
    };
    let bound = deploy::compile(&app, Arc::new(local.clone()), &|_| None, &[]);
    let plan = bound.plan.unwrap_or_else(|| panic!("{:#?}", bound.findings));
    let options = JobOptions { shards, now_ms: 1_000, timeout: Duration::from_secs(60) };
    let (end, _) = deploy::run(plan, Arc::new(local.clone()), options, folder.path(), &StopHandle::new(), &|_| {});
    let JobEnd::Done(report) = end else { panic!("{end:?}") };
    let mut written = Vec::new();
    let mut each = |_: u32, record: velostream_broker::StoredRecord<'_>| {
        written.push(String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned());
    };
    local.scan("out", &mut each).expect("a topic");
    written.sort();
    (*report, written)
}

/// Series as `name{label=value}`, with their values; the same on any number of shards.
fn told(sql: &str) -> (Vec<(String, f64)>, RunReport, Vec<String>) {
    let (first, written) = run(sql, 1);
    for shards in [2, 4] {
        let (report, again) = run(sql, shards);
        assert_eq!(report.metrics, first.metrics, "{shards} shards");
        assert_eq!(again, written, "{shards} shards");
    }
    let series = first.metrics.iter().map(|series| {
        let labels: Vec<String> = series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (format!("{}{{{}}}", series.name, labels.join(",")), series.value)
    });
    (series.collect(), first, written)
}

fn count(test: impl Fn(i64) -> bool) -> f64 {
    (0..ROWS).filter(|id| test(*id)).count() as f64
}

#[test]
fn labels_and_conditions() {
    let metrics = "-- @metric: orders_total
-- @metric_type: counter
-- @metric_labels: region, geo.city
-- @metric_condition: amount >= 10 AND region <> 'west'
-- @metric: all_orders_total
-- @metric_type: counter
-- @metric: last_amount
-- @metric_type: gauge
-- @metric_field: amount
-- @metric_labels: region
";
    let sql = format!("{DECLARED}{metrics}CREATE STREAM out AS SELECT id, region, amount, geo FROM orders {SINK}");
    let (series, report, written) = told(&sql);
    let of = |region: i64, city: i64| count(|id| id % 97 >= 10 && id % 3 == region && id % 2 == city);
    let mut wanted = vec![
        ("orders_total{region=north,geo_city=c0}".to_owned(), of(0, 0)),
        ("orders_total{region=north,geo_city=c1}".to_owned(), of(0, 1)),
        ("orders_total{region=south,geo_city=c0}".to_owned(), of(1, 0)),
        ("orders_total{region=south,geo_city=c1}".to_owned(), of(1, 1)),
        ("all_orders_total{}".to_owned(), ROWS as f64),
    ];
    // Rows are in order of their offsets first: the last ones of the partitions have the last offset.
    let gauges = series.iter().filter(|(name, _)| name.starts_with("last_amount")).cloned();
    assert_eq!(gauges.clone().count(), REGIONS.len());
    wanted.extend(gauges);
    assert_eq!(series, wanted);
    // What is written is what is written without metrics.
    let plain = format!("{DECLARED}CREATE STREAM out AS SELECT id, region, amount, geo FROM orders {SINK}");
    let (bare, unmeasured) = run(&plain, 2);
    assert_eq!((bare.metrics.len(), unmeasured == written), (0, true));
    assert_eq!(report.rows_out, bare.rows_out);
}

#[test]
fn histograms() {
    let metrics = "-- @metric: order_amount
-- @metric_type: histogram
-- @metric_field: amount
-- @metric_buckets: [10, 50.5]
-- @metric: sampled_total
-- @metric_type: counter
-- @metric_sample_rate: 0.5
";
    let sql = format!("{DECLARED}{metrics}CREATE STREAM out AS SELECT id, amount FROM orders {SINK}");
    let (series, report, _) = told(&sql);
    assert_eq!(series[0], ("order_amount{}".to_owned(), ROWS as f64));
    let hundredths = |id: i64| id % 97 * 100 + id % 100;
    let wanted = HistogramReport {
        count: ROWS as u64,
        sum: (0..ROWS).map(hundredths).sum::<i64>() as f64 / 100.0,
        buckets: vec![
            (10.0, count(|id| hundredths(id) <= 1_000) as u64),
            (50.5, count(|id| hundredths(id) <= 5_050) as u64),
        ],
    };
    assert_eq!(report.metrics[0].histogram.as_ref(), Some(&wanted));
    assert!((100.0..300.0).contains(&series[1].1), "{series:?}");
}

/// Numbers are written as they came, and records that pass through stay as they are; metrics see values all the same.
#[test]
fn rows_are_written_as_without_metrics() {
    let metrics = "-- @metric: amount
-- @metric_type: gauge
-- @metric_field: amount
-- @metric_labels: id
-- @metric_condition: amount < 2
";
    for query in ["SELECT * FROM orders", "SELECT id, amount FROM orders WHERE id >= 0"] {
        let plain = format!("CREATE STREAM out AS {query} WITH ({INFERRED});");
        let measured = format!("{metrics}{plain}");
        let (series, _, written) = told(&measured);
        let (_, unmeasured) = run(&plain, 1);
        assert_eq!(written, unmeasured, "{query}");
        assert!(written.iter().any(|record| record.contains("3.00")), "{:?}", written.first());
        assert_eq!(series.len() as f64, count(|id| id % 97 < 2), "{query}");
        assert!(series.contains(&("amount{id=1}".to_owned(), 1.01)), "{series:?}");
    }
}
