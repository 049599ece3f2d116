//! Sources as a whole: constraints, order, nulls, references, walks, times, keys, and that a seed gives the same bytes.

use velostream_types::Span;

use super::*;
use crate::schema::{Constraints, Distribution, EnumValues, FieldSpec, FieldType};
use crate::spec::Moment;

const NOW_MS: i64 = 1_700_000_000_000;

fn field(name: &str, field_type: FieldType, constraints: Constraints) -> FieldSpec {
    FieldSpec { name: name.to_owned(), span: Span::new(3, 7), field_type, null_rate: 0.0, constraints }
}

fn schema(name: &str, fields: Vec<FieldSpec>) -> DataSchema {
    DataSchema {
        name: name.to_owned(),
        description: None,
        fields,
        record_count: None,
        key_field: None,
        seed: None,
        time: None,
    }
}

fn plain() -> Constraints {
    Constraints::default()
}

fn range(min: f64, max: f64) -> Constraints {
    Constraints { range: Some((min, max)), ..plain() }
}

fn one_of(values: &[&str], weights: Option<&[f64]>) -> Constraints {
    let values = values.iter().map(|v| (*v).to_owned()).collect();
    Constraints { enum_values: Some(EnumValues { values, weights: weights.map(<[f64]>::to_vec) }), ..plain() }
}

fn derived(text: &str) -> Constraints {
    Constraints { derived: Some(text.to_owned()), ..plain() }
}

fn refers(schema: &str, field: &str) -> Constraints {
    let reference = Reference { schema: schema.to_owned(), field: field.to_owned(), file: None };
    Constraints { references: Some(reference), ..plain() }
}

fn walk(group_by: Option<&str>, min: f64, max: f64) -> Constraints {
    let distribution = Distribution::RandomWalk {
        drift: 0.0,
        volatility: 0.1,
        group_by: group_by.map(str::to_owned),
        allow_below_min: false,
        allow_above_max: false,
    };
    Constraints { distribution: Some(distribution), ..range(min, max) }
}

fn input(source: &str, records: u64) -> SourceSpec<'_> {
    SourceSpec {
        source,
        application: "app",
        query: "query",
        records,
        time: None,
        key_field: None,
        null_probability: None,
    }
}

const HOUR: TimeSimulation = TimeSimulation {
    start: Moment::Relative(-3_600_000),
    end: Moment::Relative(0),
    time_scale: 1.0,
    events_per_second: None,
    sequential: true,
    jitter_ms: 0,
    batch_size: 1,
};

fn drawn(generator: &mut Generator, schema: &DataSchema, input: &SourceSpec<'_>) -> Vec<Published> {
    let mut source = generator.source(schema, input).map_err(|found| format!("{found:?}")).expect("a source");
    let (mut record, mut all) = (Published::default(), Vec::new());
    while source.next_into(&mut record) {
        all.push(record.clone());
    }
    all
}

fn records(schema: &DataSchema, count: u64) -> Vec<Published> {
    drawn(&mut Generator::new(Some(42), NOW_MS, [schema]), schema, &input("s", count))
}

/// The values of one field of this type and these constraints.
fn values(field_type: FieldType, constraints: Constraints, count: u64) -> Vec<Value> {
    let schema = schema("s", vec![field("x", field_type, constraints)]);
    records(&schema, count).into_iter().map(|mut record| record.row.fields.remove(0).1).collect()
}

fn bytes(records: &[Published]) -> String {
    let mut out = Vec::new();
    for record in records {
        encode::json(&record.row, &mut out);
        out.push(b'\n');
    }
    String::from_utf8(out).expect("UTF-8")
}

fn float(value: &Value) -> f64 {
    match value {
        Value::Int(n) => *n as f64,
        Value::Float(x) => *x,
        Value::Decimal { mantissa, scale } => velostream_types::decimal::to_float(*mantissa, *scale),
        other => panic!("no number: {other:?}"),
    }
}

fn trades() -> DataSchema {
    let fields = vec![
        field("id", FieldType::Uuid, plain()),
        field("total", FieldType::Decimal(2), derived("price * quantity")),
        field("price", FieldType::Decimal(4), walk(Some("symbol"), 100.0, 200.0)),
        field("symbol", FieldType::String, one_of(&["AAPL", "MSFT"], Some(&[3.0, 1.0]))),
        field("quantity", FieldType::Integer, range(1.0, 100.0)),
        field("sensor", FieldType::String, Constraints { pattern: Some("S-[0-9]{4}".to_owned()), ..plain() }),
        field("note", FieldType::String, Constraints { length: Some((3, 3)), ..plain() }),
        field("ok", FieldType::Boolean, plain()),
        field("day", FieldType::Date, plain()),
        field("at", FieldType::Timestamp, plain()),
        field(
            "ratio",
            FieldType::Decimal(3),
            Constraints { distribution: Some(Distribution::Normal { mean: 0.5, std_dev: 0.1 }), ..range(0.0, 1.0) },
        ),
        field(
            "rank",
            FieldType::Integer,
            Constraints { distribution: Some(Distribution::Zipf { exponent: 1.2 }), ..range(1.0, 50.0) },
        ),
        field("account", FieldType::String, refers("accounts", "id")),
    ];
    schema("trades", fields)
}

#[test]
fn a_seed_gives_these_records_for_ever() {
    let all = records(&trades(), 3);
    insta::assert_snapshot!(bytes(&all), @r#"
    {"id":"9eb52584-92e9-4c19-9b6d-04237a636df3","total":6200.00,"price":100.0000,"symbol":"AAPL","quantity":62,"sensor":"S-0292","note":"2bi","ok":false,"day":"2023-11-11","at":"2023-11-14T22:11:47.263","ratio":0.581,"rank":2,"account":"REF_ACCOUNTS_469"}
    {"id":"e9835fa0-d138-43c6-baf9-698312284f89","total":10878.83,"price":112.1529,"symbol":"AAPL","quantity":97,"sensor":"S-4445","note":"c87","ok":true,"day":"2023-10-18","at":"2023-11-14T21:35:30.430","ratio":0.413,"rank":25,"account":"REF_ACCOUNTS_792"}
    {"id":"b9f3dec2-6d0f-4482-a48d-474add994fb6","total":8755.70,"price":121.6069,"symbol":"AAPL","quantity":72,"sensor":"S-9018","note":"ym6","ok":true,"day":"2023-11-06","at":"2023-11-14T21:30:17.332","ratio":0.622,"rank":10,"account":"REF_ACCOUNTS_431"}
    "#);
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_other_names_give_others() {
    let trades = trades();
    let of = |seed, input: SourceSpec<'_>| bytes(&drawn(&mut Generator::new(seed, NOW_MS, [&trades]), &trades, &input));
    let base = input("a", 200);
    let expected = of(Some(7), base);
    assert_eq!(of(Some(7), base), expected);
    for other in [
        of(Some(8), base),
        of(None, base),
        of(Some(7), SourceSpec { source: "b", ..base }),
        of(Some(7), SourceSpec { query: "b", ..base }),
        of(Some(7), SourceSpec { application: "b", ..base }),
    ] {
        assert_ne!(other, expected);
    }
}

#[test]
fn a_query_that_is_added_changes_no_data_of_others() {
    let schema = schema("s", vec![field("x", FieldType::Integer, plain()), field("y", FieldType::Uuid, plain())]);
    let mut generator = Generator::new(Some(1), NOW_MS, [&schema]);
    let alone = drawn(&mut generator, &schema, &input("s", 50));
    let mut generator = Generator::new(Some(1), NOW_MS, [&schema]);
    drawn(&mut generator, &schema, &SourceSpec { query: "added", ..input("s", 50) });
    assert_eq!(drawn(&mut generator, &schema, &input("s", 50)), alone);
}

#[test]
fn the_schemas_seed_counts_where_the_run_has_none() {
    let seeded = DataSchema { seed: Some(7), ..trades() };
    let of = |seed, schema: &DataSchema| {
        let mut generator = Generator::new(seed, NOW_MS, [schema]);
        let seed = generator.source(schema, &input("s", 1)).map(|s| s.seed()).ok();
        (seed, bytes(&drawn(&mut generator, schema, &input("s", 5))))
    };
    assert_eq!(of(None, &seeded), of(Some(7), &trades()));
    assert_eq!(of(Some(8), &seeded), of(Some(8), &trades()));
    assert_eq!(of(None, &trades()).0, Some(0));
}

#[test]
fn types_have_their_defaults() {
    let of = |field_type| values(field_type, plain(), 2_000);
    assert!(of(FieldType::Integer).iter().all(|v| matches!(v, Value::Int(0..=999))));
    assert!(of(FieldType::Float).iter().all(|v| matches!(v, Value::Float(x) if (0.0..=1000.0).contains(x))));
    assert!(of(FieldType::Decimal(2)).iter().all(|v| matches!(v, Value::Decimal { mantissa: 0..=100_000, scale: 2 })));
    let heads = of(FieldType::Boolean).iter().filter(|v| **v == Value::Bool(true)).count();
    assert!((900..1_100).contains(&heads), "{heads}");
    let lengths: std::collections::BTreeSet<usize> = of(FieldType::String)
        .iter()
        .map(|v| match v {
            Value::Str(s) if s.bytes().all(|b| b.is_ascii_alphanumeric()) => s.len(),
            other => panic!("no text: {other:?}"),
        })
        .collect();
    assert_eq!((lengths.first(), lengths.last()), (Some(&5), Some(&19)));
    let today = (NOW_MS / 86_400_000) as i32;
    let days: std::collections::BTreeSet<String> = of(FieldType::Date).iter().map(ToString::to_string).collect();
    let ends = [today - 30, today].map(|day| Value::Date(day).to_string());
    assert_eq!((days.len(), days.first(), days.last()), (31, Some(&ends[0]), Some(&ends[1])));
    let hour = (NOW_MS - 3_600_000) * 1_000_000..=NOW_MS * 1_000_000;
    assert!(of(FieldType::Timestamp).iter().all(|v| matches!(v, Value::Timestamp(ns) if hour.contains(ns))));
    let all: std::collections::BTreeSet<String> = of(FieldType::Uuid).iter().map(ToString::to_string).collect();
    assert_eq!(all.len(), 2_000);
}

#[test]
fn listed_values_become_the_fields_type_and_follow_their_weights() {
    let cases = [
        (FieldType::String, "7", Value::Str("7".into())),
        (FieldType::Integer, "7", Value::Int(7)),
        (FieldType::Float, "7", Value::Float(7.0)),
        (FieldType::Decimal(2), "7.5", Value::Decimal { mantissa: 750, scale: 2 }),
        (FieldType::Boolean, "true", Value::Bool(true)),
        (FieldType::Date, "2024-02-29", Value::Date(19_782)),
        (FieldType::Timestamp, "1970-01-01T00:00:01Z", Value::Timestamp(1_000_000_000)),
    ];
    for (field_type, text, expected) in cases {
        assert_eq!(values(field_type, one_of(&[text], None), 1), [expected]);
    }
    let weighted = values(FieldType::Integer, one_of(&["0", "1", "2"], Some(&[70.0, 0.0, 30.0])), 100_000);
    let count = |n| weighted.iter().filter(|v| **v == Value::Int(n)).count();
    assert!((69_000..71_000).contains(&count(0)) && count(1) == 0, "{} {}", count(0), count(1));
}

#[test]
fn nulls_come_at_their_rate_and_only_where_they_may() {
    let nullable = FieldSpec { null_rate: 0.1, ..field("a", FieldType::Integer, plain()) };
    let computed = FieldSpec { null_rate: 0.5, ..field("c", FieldType::Integer, derived("b + 1")) };
    let schema = schema("s", vec![nullable, field("b", FieldType::Integer, plain()), computed]);
    let nulls = |null_probability| {
        let mut generator = Generator::new(None, NOW_MS, [&schema]);
        let all = drawn(&mut generator, &schema, &SourceSpec { null_probability, ..input("s", 100_000) });
        [0, 1, 2].map(|at| all.iter().filter(|r| r.row.fields[at].1.is_null()).count())
    };
    let [a, b, c] = nulls(None);
    assert!((9_500..10_500).contains(&a) && b == 0 && (49_000..51_000).contains(&c), "{a} {b} {c}");
    let [a, b, c] = nulls(Some(0.25));
    assert!((24_000..26_000).contains(&a) && b == 0 && (24_000..26_000).contains(&c), "{a} {b} {c}");
}

#[test]
fn walks_start_at_the_least_value_step_by_step_and_stay_in_bounds() {
    for field_type in [FieldType::Float, FieldType::Decimal(4), FieldType::Integer] {
        let all = values(field_type, walk(None, 100.0, 200.0), 50_000);
        let floats: Vec<f64> = all.iter().map(float).collect();
        assert!((floats[0] - 100.0).abs() < f64::EPSILON, "{}", floats[0]);
        assert!(floats.iter().all(|x| (100.0..=200.0).contains(x)));
        assert!(floats.iter().any(|x| *x > 190.0), "it gets about");
        let largest = floats.windows(2).map(|pair| (pair[1] / pair[0] - 1.0).abs()).fold(0.0, f64::max);
        assert!(largest > 0.1 && largest < 0.6, "{largest}");
    }
    let open = |drift| {
        let distribution = Distribution::RandomWalk {
            drift,
            volatility: 0.05,
            group_by: None,
            allow_below_min: true,
            allow_above_max: true,
        };
        values(FieldType::Decimal(2), Constraints { distribution: Some(distribution), ..range(100.0, 101.0) }, 500)
    };
    assert!(open(0.02).iter().any(|v| float(v) > 1_000.0) && open(-0.02).iter().any(|v| float(v) < 10.0));
    let from_zero = values(FieldType::Float, walk(None, 0.0, 10.0), 2);
    assert!(float(&from_zero[0]) == 5.0 && float(&from_zero[1]) != 5.0, "{from_zero:?}");
}

#[test]
fn groups_walk_apart_and_go_on_in_the_next_source() {
    let schema = schema(
        "s",
        vec![
            field("price", FieldType::Float, walk(Some("symbol"), 100.0, 1e6)),
            field("symbol", FieldType::String, one_of(&["A", "B", "C"], None)),
        ],
    );
    let mut generator = Generator::new(Some(1), NOW_MS, [&schema]);
    let first = drawn(&mut generator, &schema, &input("one", 3_000));
    let next = drawn(&mut generator, &schema, &input("two", 3_000));
    let of = |all: &[Published], symbol: &str| -> Vec<f64> {
        let group = all.iter().filter(|r| r.row.fields[1].1 == Value::Str(symbol.into()));
        group.map(|r| float(&r.row.fields[0].1)).collect()
    };
    let groups = ["A", "B", "C"].map(|symbol| of(&first, symbol));
    for group in &groups {
        assert!(group[0] == 100.0, "each begins at the least value");
        assert!(group.windows(2).all(|pair| (pair[1] / pair[0] - 1.0).abs() < 0.6), "each steps from its own last");
    }
    assert!(groups[0][1..50] != groups[1][1..50]);
    let (last, going_on) = (groups[0].last().expect("values"), of(&next, "A")[0]);
    assert!(going_on != 100.0 && (going_on / last - 1.0).abs() < 0.6, "{last} {going_on}");
}

#[test]
fn references_take_what_was_published_or_offered() {
    let accounts = schema("accounts", vec![field("id", FieldType::Integer, range(1.0, 5.0))]);
    let orders = schema(
        "orders",
        vec![
            field("account", FieldType::String, refers("accounts", "id")),
            field("number", FieldType::Integer, refers("accounts", "id")),
            field("day", FieldType::Date, refers("accounts", "day")),
        ],
    );
    let mut generator = Generator::new(None, NOW_MS, [&accounts, &orders]);
    assert_eq!(generator.unmet(&orders).count(), 3);
    let made_up = drawn(&mut generator, &orders, &input("orders", 200));
    for record in &made_up {
        let Value::Str(text) = &record.row.fields[0].1 else { panic!("a text") };
        let n = text.strip_prefix("REF_ACCOUNTS_").and_then(|n| n.parse::<i64>().ok());
        assert!(n.is_some_and(|n| (1..=1_000).contains(&n)), "{text}");
        assert!(matches!(record.row.fields[1].1, Value::Int(1..=1_000)));
        assert!(matches!(record.row.fields[2].1, Value::Date(_)));
    }
    let warned: Vec<String> = generator
        .source(&orders, &input("orders", 1))
        .map(|source| source.warnings().iter().map(|w| w.message.clone()).collect())
        .expect("a source");
    assert_eq!(warned.len(), 3);
    assert_eq!(warned[0], "field \"account\" refers to accounts.id, which has no values yet");

    drawn(&mut generator, &accounts, &input("accounts", 100));
    generator.offer("accounts", "day", &Value::Str("2024-02-29".into()));
    generator.offer("accounts", "day", &Value::Null);
    generator.offer("accounts", "unknown", &Value::Int(1));
    assert_eq!(generator.unmet(&orders).count(), 0);
    let known = drawn(&mut generator, &orders, &input("orders", 200));
    let mut seen = std::collections::BTreeSet::new();
    for record in &known {
        seen.insert(record.row.fields[0].1.to_string());
        assert!(matches!(record.row.fields[1].1, Value::Int(1..=5)));
        assert_eq!(record.row.fields[2].1, Value::Date(19_782));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["1", "2", "3", "4", "5"]);
}

#[test]
fn derived_fields_see_walks_and_each_other_whatever_their_order() {
    let schema = schema(
        "s",
        vec![
            field("twice", FieldType::Decimal(2), derived("sum + sum")),
            field("sum", FieldType::Decimal(2), derived("a + b")),
            field("a", FieldType::Decimal(2), walk(Some("g"), 1.0, 9.0)),
            field("b", FieldType::Decimal(2), range(1.0, 9.0)),
            field("g", FieldType::Integer, range(1.0, 2.0)),
        ],
    );
    for record in records(&schema, 500) {
        let mantissa = |at: usize| match record.row.fields[at].1 {
            Value::Decimal { mantissa, scale: 2 } => mantissa,
            ref other => panic!("{other:?}"),
        };
        assert_eq!((mantissa(1), mantissa(0)), (mantissa(2) + mantissa(3), 2 * mantissa(1)));
    }
}

#[test]
fn simulated_time_is_event_time_of_timestamps_and_epoch_fields() {
    let epoch =
        || Constraints { timestamp_epoch_ms: Some((Moment::Relative(-1_000), Moment::Relative(0))), ..range(0.0, 1.0) };
    let schema = schema(
        "s",
        vec![
            field("event_time", FieldType::Integer, epoch()),
            field("timestamp", FieldType::Integer, epoch()),
            field("at", FieldType::Timestamp, plain()),
        ],
    );
    let mut generator = Generator::new(None, NOW_MS, [&schema]);
    let all = drawn(&mut generator, &schema, &SourceSpec { time: Some(&HOUR), ..input("s", 3) });
    for (record, ms) in all.iter().zip([NOW_MS - 3_600_000, NOW_MS - 1_800_000, NOW_MS]) {
        let values: Vec<&Value> = record.row.fields.iter().map(|(_, value)| value).collect();
        assert_eq!(values, [&Value::Int(ms), &Value::Int(NOW_MS), &Value::Timestamp(ms * 1_000_000)]);
        assert_eq!(record.event_time_ms, Some(ms));
    }
    for record in records(&schema, 100) {
        let Value::Int(ms) = record.row.fields[0].1 else { panic!("an integer") };
        assert!((NOW_MS - 1_000..=NOW_MS).contains(&ms));
        assert_eq!(record.event_time_ms, Some(ms), "without simulation the field gives the time");
    }
    let of_schema = DataSchema { time: Some(HOUR), ..schema.clone() };
    assert_eq!(records(&of_schema, 2)[0].event_time_ms, Some(NOW_MS - 3_600_000));
}

#[test]
fn event_time_without_simulation_is_the_first_field_that_has_one() {
    let of = |fields| records(&schema("s", fields), 1)[0].event_time_ms;
    let late = || field("created_at", FieldType::Integer, range(5.0, 5.0));
    let null = |name| FieldSpec { null_rate: 1.0, ..field(name, FieldType::Integer, plain()) };
    assert_eq!(of(vec![late()]), Some(5));
    assert_eq!(of(vec![late(), field("timestamp", FieldType::Integer, plain())]), Some(NOW_MS));
    assert_eq!(of(vec![late(), null("event_time"), field("time", FieldType::String, plain())]), Some(5));
    assert_eq!(of(vec![field("x", FieldType::Integer, plain())]), None);
    let at = one_of(&["1970-01-01T00:00:01.5Z"], None);
    assert_eq!(of(vec![field("event_time", FieldType::Timestamp, at)]), Some(1_500));
}

#[test]
fn keys_are_the_text_of_their_field() {
    let mut schema = schema(
        "s",
        vec![field("a", FieldType::Decimal(2), range(1.5, 1.5)), field("b", FieldType::Integer, range(7.0, 7.0))],
    );
    schema.key_field = Some("a".to_owned());
    let key = |schema: &DataSchema, key_field| {
        let mut generator = Generator::new(None, NOW_MS, [schema]);
        drawn(&mut generator, schema, &SourceSpec { key_field, ..input("s", 1) })[0].key.clone()
    };
    assert_eq!(key(&schema, None).as_deref(), Some("1.50"));
    assert_eq!(key(&schema, Some("b")).as_deref(), Some("7"));
    schema.fields[1].null_rate = 1.0;
    assert_eq!(key(&schema, Some("b")), None);
}

#[test]
fn sequential_fields_go_evenly_over_the_records() {
    let even = |constraints| Constraints { sequential: true, ..constraints };
    assert_eq!(values(FieldType::Integer, even(plain()), 4), [0, 1, 2, 3].map(Value::Int));
    assert_eq!(values(FieldType::Float, even(range(1.0, 2.0)), 3), [1.0, 1.5, 2.0].map(Value::Float));
    let bounds = Some((Moment::At(1_000), Moment::At(3_000)));
    let times = values(FieldType::Timestamp, even(Constraints { timestamp_range: bounds, ..plain() }), 3);
    assert_eq!(times, [1, 2, 3].map(|s| Value::Timestamp(s * 1_000_000_000)));
}

#[test]
fn memory_is_used_again_and_the_end_is_the_end() {
    let schema = trades();
    let mut generator = Generator::new(None, NOW_MS, [&schema]);
    let mut source = generator.source(&schema, &input("s", 2)).expect("a source");
    let mut record = Published::default();
    assert!(source.next_into(&mut record));
    let place = record.row.fields.as_ptr();
    assert!(source.next_into(&mut record));
    assert_eq!(record.row.fields.as_ptr(), place);
    assert!(!source.next_into(&mut record) && !source.next_into(&mut record));
    assert!(!generator.source(&schema, &input("s", 0)).expect("a source").next_into(&mut record));
}

/// The findings of a schema, one line each, with the text that the place is in.
fn findings(schema: &DataSchema) -> String {
    let lines: Vec<String> = check(schema, NOW_MS)
        .iter()
        .map(|d| velostream_sql::diag::line(d, "s.schema.yaml", "12 a field", false))
        .collect();
    lines.join("\n")
}

#[test]
fn what_cannot_be_drawn_is_found_before_the_first_record() {
    let zipf = |exponent| Constraints { distribution: Some(Distribution::Zipf { exponent }), ..plain() };
    let normal = Distribution::Normal { mean: 0.0, std_dev: -1.0 };
    let volatile = Distribution::RandomWalk {
        drift: f64::NAN,
        volatility: 0.1,
        group_by: Some("r".to_owned()),
        allow_below_min: false,
        allow_above_max: false,
    };
    let mut bad = schema(
        "bad",
        vec![
            field("a", FieldType::Integer, range(0.1, 0.9)),
            field("b", FieldType::Decimal(2), range(5.0, 1.0)),
            field("c", FieldType::Decimal(39), plain()),
            field("d", FieldType::Integer, one_of(&["1", "x"], None)),
            field("e", FieldType::String, one_of(&[], None)),
            field("f", FieldType::String, one_of(&["x", "y"], Some(&[0.0, 0.0]))),
            field("w", FieldType::String, one_of(&["x", "y"], Some(&[1.0]))),
            field("g", FieldType::String, Constraints { length: Some((4, 3)), ..plain() }),
            field("h", FieldType::String, Constraints { pattern: Some("ab(?=c)".to_owned()), ..plain() }),
            field("i", FieldType::Float, derived("a + missing")),
            field("j", FieldType::Float, derived("k + 1")),
            field("k", FieldType::Float, derived("j + 1")),
            field("l", FieldType::Float, zipf(0.0)),
            field("m", FieldType::Float, Constraints { distribution: Some(normal), ..plain() }),
            field("n", FieldType::Float, Constraints { distribution: Some(volatile), ..plain() }),
            field("o", FieldType::Float, walk(Some("j"), 1.0, 2.0)),
            field(
                "p",
                FieldType::Timestamp,
                Constraints { timestamp_range: Some((Moment::Relative(0), Moment::Relative(-1))), ..plain() },
            ),
            field("q", FieldType::Boolean, range(0.0, 1.0)),
            field("s", FieldType::String, Constraints { length: Some((1, 2)), ..one_of(&["x"], None) }),
        ],
    );
    bad.key_field = Some("aa".to_owned());
    insta::assert_snapshot!(findings(&bad), @r#"
    error[E0308]: s.schema.yaml:1:4: no value of field "a" lies between 0.1 and 0.9; its values are whole numbers, and min is at most max
    error[E0308]: s.schema.yaml:1:4: no value of field "b" lies between 5 and 1; its values are numbers with 2 digits behind the point, and min is at most max
    error[E0308]: s.schema.yaml:1:4: field "c" has 39 digits behind the point; a decimal has at most 38 digits
    error[E0308]: s.schema.yaml:1:4: 'x' is no value of field "d"; its values are whole numbers
    error[E0308]: s.schema.yaml:1:4: field "e" has no values to choose from; list at least one under enum_values
    error[E0308]: s.schema.yaml:1:4: by the weights of field "f" no value can be chosen; give each value a weight of at least 0, one of them above 0
    error[E0308]: s.schema.yaml:1:4: field "w" has 2 values and 1 weights; give each value a weight of at least 0, one of them above 0
    error[E0308]: s.schema.yaml:1:4: no text of field "g" has 4 to 3 characters; write the smaller number as min; max is at most 1048576
    error[E0308]: pattern of h:1:3: no text can be written from this pattern: only (…) and (?:…) are groups; looking around and flags are not supported; patterns are literals, classes, groups, |, ?, *, +, {n} and {n,m} (also line 1)
    error[E0203]: derived of i:1:5: field "missing" does not exist (also line 1)
    error[E0308]: s.schema.yaml:1:4: field "l" cannot have the exponent 0; the exponent of zipf is above 0
    error[E0308]: s.schema.yaml:1:4: field "m" cannot have mean 0 and deviation -1; std_dev is at least 0
    error[E0308]: s.schema.yaml:1:4: field "n" cannot walk with drift NaN and volatility 0.1; volatility is at least 0
    error[E0203]: s.schema.yaml:1:4: group_by of field "n" names "r", which does not exist
    error[E0308]: s.schema.yaml:1:4: the times of field "p" end before they start; write the earlier time as start
    warning[W0513]: s.schema.yaml:1:4: field "q" does not follow its range; values of this type do not have it; remove it
    warning[W0513]: s.schema.yaml:1:4: field "s" does not follow its length; enum_values decides; remove the others
    error[E0308]: s.schema.yaml:1:4: field "o" is grouped by "j", which is drawn after it; group by a field that is neither derived nor grouped itself
    error[E0202]: s.schema.yaml:1:4: derived fields depend on each other in a circle; compute one of them from plain fields (also line 1)
    error[E0203]: key field "aa" does not exist; did you mean "a"?
    "#);
    let mut generator = Generator::new(None, NOW_MS, [&bad]);
    let errors = generator.source(&bad, &input("s", 1)).map(|_| ()).expect_err("errors");
    assert!(errors.iter().all(|d| d.severity == Severity::Error));
    assert_eq!(findings(&trades()), "");
}

#[test]
fn a_mistake_in_an_expression_is_shown_there_and_at_its_field() {
    let schema = schema("s", vec![field("a", FieldType::Integer, derived("b * 2"))]);
    let found = check(&schema, NOW_MS);
    insta::assert_snapshot!(velostream_sql::diag::render(&found[0], "s.schema.yaml", "12 a field", false), @r#"
    error[E0203]: field "b" does not exist
     --> derived of a:1:1
      |
    1 | b * 2
      | ^
     ::: s.schema.yaml:1:4
      |
    1 | 12 a field
      |    ---- of this field
      |
      = detail: schema s has the fields a
    "#);
}

#[test]
fn inputs_are_checked_too() {
    let schema = schema("s", vec![field("a", FieldType::Integer, plain())]);
    let mut generator = Generator::new(None, NOW_MS, [&schema]);
    let backwards = TimeSimulation { start: Moment::Relative(0), end: Moment::Relative(-1), ..HOUR };
    let input = SourceSpec { time: Some(&backwards), key_field: Some("b"), ..input("s", 1) };
    let errors = generator.source(&schema, &input).map(|_| ()).expect_err("errors");
    let messages: Vec<&str> = errors.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "the simulated time ends at 1699999999999 ms and starts at 1700000000000 ms, not before it",
            "key field \"b\" does not exist"
        ]
    );
}
