//! For each kind of assertion one that holds and one that does not; reports show them all.

use velostream_types::Value;

use super::{Run, rows};
use crate::assertion::{
    AggregateFunction, AssertionKind as Kind, CountBounds, Direction, DistributionType, FieldOperator, Integrity,
    MetricTest, MetricType, NumericRange, StringPattern,
};
use crate::check::{DeadLetter, Memory, Series};
use crate::outcome::Outcome;

const TRADES: &str = r#"
{"id": 1, "symbol": "AAPL", "price": 10.50, "side": "buy", "ts": 1000, "window_start": 0, "window_end": 2000}
{"id": 2, "symbol": "MSFT", "price": 20.25, "side": "sell", "ts": 2000, "window_start": 2000, "window_end": 4000}
{"id": 2, "symbol": "MSFT", "price": null, "side": "hold", "ts": 1500, "window_start": 2000, "window_end": 4000}
{"id": 4, "symbol": "", "price": -1.00, "side": "sell", "ts": 9000, "window_start": 8500, "window_end": 9500}
"#;

const ORDERS: &str = r#"
{"order_id": 1, "symbol": "AAPL"}
{"order_id": 2, "symbol": "MSFT"}
{"order_id": 3, "symbol": "IBM"}
{"order_id": 4, "symbol": "AAPL"}
{"order_id": 5, "symbol": "MSFT"}
"#;

fn s(text: &str) -> String {
    text.to_owned()
}

fn bounds(set: impl FnOnce(&mut CountBounds)) -> CountBounds {
    let mut bounds = CountBounds::default();
    set(&mut bounds);
    bounds
}

fn series(name: &str, partition: &str, kind: MetricType, value: f64) -> Series {
    Series { name: s(name), labels: vec![(s("partition"), s(partition))], kind, value }
}

/// The run all of them look at.
fn run(folder: &std::path::Path) -> Run {
    std::fs::write(folder.join("out.csv"), "id,name,price\n1,a,1.5\n2,b,2.50001\n3,c,9\n").expect("written");
    std::fs::write(folder.join("same.csv"), "id,name,price\n3,c,9.00\n2,b,2.5\n1,a,1.5\n").expect("written");
    std::fs::write(folder.join("other.csv"), "id,name,price\n1,a,1.5\n2,b,2.75\n4,d,9\n").expect("written");
    let mut run = Run::of(TRADES).input("orders", ORDERS).variable("limit", Value::Int(15));
    run.folder = folder.to_owned();
    run.arrivals = vec![1_010, 2_020, 1_530, 9_040];
    run.now_ms = 10_000;
    run.elapsed_ms = Some(250.0);
    run.memory = Some(Memory { peak_bytes: 50_000_000, growth_bytes: 1_000_000 });
    let letter = |error_type: &str| DeadLetter { topic: s("trades-dlq"), error_type: s(error_type) };
    run.dead_letters = Some(vec![letter("type_conversion"), letter("deserialization"), letter("type_conversion")]);
    run.metrics = Some(vec![
        series("trades_total", "0", MetricType::Counter, 3.0),
        series("trades_total", "1", MetricType::Counter, 1.0),
        series("last_price", "0", MetricType::Gauge, 20.25),
    ]);
    run
}

/// Kinds that hold and kinds that do not, by turns.
fn kinds() -> Vec<Kind> {
    let path = |name: &str| name.into();
    let matches = |expected: &str| Kind::FileMatches {
        actual_path: path("out.csv"),
        expected_path: path(expected),
        format: None,
        compare_fields: Vec::new(),
        ignore_fields: Vec::new(),
        ignore_order: true,
        numeric_tolerance: 1e-4,
    };
    let window = |verify_containment, verify_alignment| Kind::WindowBoundary {
        timestamp_field: Some(s("ts")),
        window_start_field: None,
        window_end_field: None,
        window_size_ms: Some(500),
        tolerance_ms: 0,
        verify_containment,
        verify_alignment,
    };
    let quality = |no_nulls_in: &[&str], score| Kind::DataQuality {
        no_nulls_in: no_nulls_in.iter().map(|f| s(f)).collect(),
        no_empty_strings_in: vec![s("symbol")],
        numeric_ranges: vec![NumericRange { field: s("price"), min: Some(0.0), max: None }],
        string_patterns: vec![StringPattern { field: s("side"), pattern: s("^(buy|sell)$") }],
        referential_integrity: vec![Integrity {
            field: s("id"),
            reference_source: s("orders"),
            reference_field: s("order_id"),
        }],
        min_quality_score: score,
    };
    let latency = |max_ms| Kind::Latency {
        timestamp_field: Some(s("ts")),
        max_ms: Some(max_ms),
        avg_ms: Some(30.0),
        p99_ms: None,
        p95_ms: None,
        p50_ms: Some(30.0),
        min_records: 4,
    };
    let distribution = |mean| Kind::Distribution {
        field: s("id"),
        distribution_type: DistributionType::Normal,
        mean: Some(mean),
        std_dev: Some(1.1),
        min_value: None,
        max_value: None,
        tolerance: 0.1,
        min_records: 4,
    };
    let order = |max_out_of_order_percent| Kind::EventOrdering {
        timestamp_field: s("ts"),
        partition_field: None,
        window_size_ms: None,
        direction: Direction::Ascending,
        allow_gaps: true,
        max_out_of_order_percent,
        max_gap_ms: None,
    };
    let aggregate = |expected: &str| Kind::AggregateCheck {
        function: AggregateFunction::Sum,
        field: s("price"),
        expected: s(expected),
        tolerance: 1e-4,
    };
    let set = |values: &[&str]| Kind::FieldInSet { field: s("side"), values: values.iter().map(|v| s(v)).collect() };
    let value = |operator, value| Kind::FieldValues { field: s("price"), operator, value };
    let duplicates = |max_duplicate_percent| Kind::NoDuplicates {
        key_fields: vec![s("id"), s("symbol")],
        allow_updates: false,
        max_duplicate_percent,
    };
    let ordering = |field: &str| Kind::Ordering {
        field: s(field),
        direction: Direction::Ascending,
        partition_by: None,
        allow_equal: true,
    };
    let complete = |min_completeness| Kind::Completeness {
        input_source: s("orders"),
        key_field: s("symbol"),
        min_completeness,
        required_fields: vec![s("symbol")],
    };
    let fresh =
        |ms| Kind::TableFreshness { table: s("trades"), max_age_ms: Some(ms), max_lag_ms: None, min_records: Some(1) };
    let percentile = |p50| Kind::Percentile {
        field: s("id"),
        bounds: vec![(0.5, p50), (0.99, 4.0)],
        greater_than: false,
        min_records: 4,
    };
    let template = |expression: &str| Kind::Template { expression: s(expression), description: Some(s("prices")) };
    let contains = |value: &str| Kind::FileContains {
        path: path("out.csv"),
        format: None,
        field: s("name"),
        expected_values: vec![s("a"), s(value)],
        any: false,
    };
    let rows = |n| Kind::FileRowCount {
        path: path("out.csv"),
        format: None,
        bounds: bounds(|b| b.equals = Some(n)),
        skip_header: false,
    };
    let file = |name: &str| Kind::FileExists { path: path(name), min_size_bytes: Some(10), max_size_bytes: None };
    let letters = |max| Kind::DlqCount { topic: None, bounds: bounds(|b| b.max = Some(max)), error_types: Vec::new() };
    let rate = |max_rate| Kind::ErrorRate { max_rate, error_types: vec![s("type_conversion")], min_records: 5 };
    let throughput = |min| Kind::Throughput { min: Some(min), max: None, expected: None, tolerance_percent: 20.0 };
    let counter = |n| Kind::MetricCounter { name: s("trades_total"), test: MetricTest::Equals(n), labels: Vec::new() };
    let gauge = |test| Kind::MetricGauge { name: s("last_price"), test, labels: Vec::new(), tolerance: 1e-4 };
    let metric = |kind| Kind::MetricExists { name: s("trades_total"), metric_type: Some(kind) };
    let fields = |field: &str| Kind::SchemaContains { fields: vec![s("id"), s(field)], key_field: None };
    let nulls = |field: &str| Kind::NoNulls { fields: vec![s(field)] };
    let count = |n| Kind::RecordCount { bounds: bounds(|b| b.equals = Some(n)), expression: None };
    let join =
        |min_match_rate| Kind::JoinCoverage { min_match_rate, left_source: Some(s("orders")), right_source: None };
    let time = |ms| Kind::ExecutionTime { max_ms: Some(ms), min_ms: None };
    let memory = |mb: u64| Kind::MemoryUsage { max_bytes: Some(mb << 20), max_growth_bytes: None };
    vec![
        count(4),
        count(5),
        fields("price"),
        fields("prise"),
        nulls("id"),
        nulls("price"),
        set(&["buy", "sell", "hold"]),
        set(&["buy", "sell"]),
        value(FieldOperator::NotEquals, Value::Int(3)),
        value(FieldOperator::GreaterThan, Value::Int(0)),
        aggregate("29.75"),
        aggregate("inputs.orders.count * 5"),
        join(0.8),
        join(0.9),
        template("all(r.price < variables.limit + 10 or r.price == null for r in records)"),
        template("all(r.price < variables.limit for r in records if r.price != null) and sum(price) > 0"),
        time(300),
        time(200),
        memory(100),
        memory(10),
        throughput(10.0),
        throughput(1_000.0),
        letters(3),
        letters(2),
        rate(0.5),
        rate(0.1),
        duplicates(Some(25.0)),
        duplicates(None),
        ordering("id"),
        ordering("ts"),
        complete(0.6),
        complete(1.0),
        fresh(1_000_000_000),
        Kind::TableFreshness { table: s("trades"), max_age_ms: None, max_lag_ms: None, min_records: Some(9) },
        quality(&[], Some(0.5)),
        quality(&["price"], None),
        file("out.csv"),
        file("gone.csv"),
        rows(3),
        rows(4),
        contains("b"),
        contains("z"),
        matches("same.csv"),
        matches("other.csv"),
        window(false, true),
        window(true, true),
        latency(40.0),
        latency(35.0),
        distribution(2.25),
        distribution(3.0),
        percentile(2.0),
        percentile(1.0),
        order(Some(50.0)),
        order(None),
        counter(4.0),
        counter(5.0),
        gauge(MetricTest::Between(20.0, 21.0)),
        gauge(MetricTest::Equals(21.0)),
        metric(MetricType::Counter),
        metric(MetricType::Gauge),
    ]
}

/// What becomes of each, by kind: the one that holds, the one that does not.
pub(crate) fn outcomes() -> Vec<(Outcome, Outcome)> {
    let folder = tempfile::tempdir().expect("a folder");
    let run = run(folder.path());
    let outcomes: Vec<Outcome> = kinds().into_iter().map(|kind| run.check(kind)).collect();
    outcomes.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

#[test]
fn each_kind_can_hold_and_can_fail() {
    let outcomes = outcomes();
    for (held, failed) in &outcomes {
        assert_eq!(held.kind, failed.kind);
        assert!(held.passed, "{held:?}");
        assert!(!failed.passed, "{failed:?}");
        assert!(failed.expected.is_some() && failed.actual.is_some(), "{failed:?}");
        assert!(!held.message.is_empty() && !held.message.contains('\n'), "{held:?}");
    }
    let mut kinds: Vec<&str> = outcomes.iter().map(|(held, _)| held.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), 30, "one pair of each kind");
}

#[test]
fn an_empty_output_is_judged_like_any_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = run(folder.path());
    run.rows = rows("");
    let failing: Vec<&str> = kinds()
        .into_iter()
        .step_by(2)
        .filter(|kind| !kind.name().starts_with("file") && !kind.name().starts_with("metric"))
        .map(|kind| run.check(kind))
        .filter(|outcome| !outcome.passed)
        .map(|outcome| outcome.kind)
        .collect();
    assert_eq!(
        failing,
        [
            "record_count",
            "schema_contains",
            "aggregate_check",
            "join_coverage",
            "throughput",
            "completeness",
            "table_freshness"
        ]
    );
}
