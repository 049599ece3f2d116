//! Hints in SQL: what they come to, and what is said about mistakes in them.

use insta::assert_snapshot;

use super::drawn;
use crate::load::hints;
use crate::schema::{Constraints, DataSchema, Distribution, EnumValues, FieldType, Reference};
use crate::spec::Moment;

fn loaded(sql: &str) -> Vec<DataSchema> {
    let loaded = hints(sql);
    assert_eq!(drawn(&loaded.findings, sql), "");
    loaded.value.expect("no errors")
}

/// A field of a source, as (type, constraints).
fn field(lines: &str) -> (FieldType, Constraints) {
    let sql = format!("-- @data.source: s\n-- @data.symbol.type: string\n{lines}\n");
    let field = loaded(&sql).remove(0).fields.remove(1);
    assert_eq!(field.name, "p");
    (field.field_type, field.constraints)
}

fn said(lines: &str) -> String {
    let sql = format!("-- @data.source: s\n{lines}\n");
    drawn(&hints(&sql).findings, &sql)
}

#[test]
fn sources_in_their_order() {
    let schemas = loaded(
        "-- @data.record_count: 10\n-- @data.seed: 7 -- for all\n-- @data.first: uuid\n-- @data.source: trades\n\
         -- @data.time_simulation: random\n-- @data.second.type: int\nCREATE STREAM x AS SELECT 1;\n\
         -- @data.source: orders\n-- @data.seed: 8\n-- @data.time_start: \"-2h\"\n-- @data.time_end: -1h\n\
         -- @data.id: uuid\n-- @data.source: trades\n-- @data.third.type: bool\n",
    );
    let names = |schema: &DataSchema| schema.fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>();
    let [orders, trades] = &schemas[..] else { panic!("two sources: {schemas:?}") };
    assert_eq!((&*trades.name, &*orders.name), ("trades", "orders"));
    assert_eq!(names(trades), ["first", "second", "third"], "fields in front of the first source are its own");
    assert_eq!(names(orders), ["id"]);
    assert_eq!((trades.record_count, orders.record_count), (Some(10), Some(10)));
    assert_eq!((trades.seed, orders.seed), (Some(7), Some(8)), "its own setting counts more than that of all");
    let time = trades.time.as_ref().expect("times");
    assert!(!time.sequential);
    assert_eq!((time.start, time.end), (Moment::Relative(-3_600_000), Moment::Relative(0)));
    let time = orders.time.as_ref().expect("times");
    assert!(time.sequential);
    assert_eq!((time.start, time.end), (Moment::Relative(-7_200_000), Moment::Relative(-3_600_000)));
    assert!(loaded("SELECT 1").is_empty());
    assert_eq!(loaded("-- @data.source: a\n-- @data.b: uuid")[0].time, None, "no hint speaks of times");
}

#[test]
fn types() {
    for (word, expect) in [
        ("string", FieldType::String),
        ("INTEGER", FieldType::Integer),
        ("int", FieldType::Integer),
        ("i64", FieldType::Integer),
        ("float", FieldType::Float),
        ("f64", FieldType::Float),
        ("double", FieldType::Float),
        ("decimal", FieldType::Decimal(4)),
        ("decimal(2)", FieldType::Decimal(2)),
        ("timestamp", FieldType::Timestamp),
        ("datetime", FieldType::Timestamp),
        ("date", FieldType::Date),
        ("uuid", FieldType::Uuid),
        ("boolean", FieldType::Boolean),
        ("bool", FieldType::Boolean),
    ] {
        assert_eq!(field(&format!("-- @data.p.type: {word}")).0, expect, "{word}");
        assert_eq!(field(&format!("-- @data.p: {word}")).0, expect, "{word}");
    }
    assert_eq!(field("-- @data.p: enum [a]").0, FieldType::String);
    assert_eq!(field("-- @data.p: range [1, 2]").0, FieldType::Float);
    assert_eq!(field("-- @data.p.sequential: true").0, FieldType::Timestamp);
}

#[test]
fn properties_and_shorthands() {
    let walk = Some(Distribution::RandomWalk {
        drift: 0.0005,
        volatility: 0.03,
        group_by: Some("symbol".to_owned()),
        allow_below_min: false,
        allow_above_max: false,
    });
    let short =
        "-- @data.p: range [100, 500.5], distribution: random_walk, volatility: 0.03, drift: 0.0005, group_by: symbol";
    let long = "-- @data.p.range: [100, 500.5]\n-- @data.p.distribution: random_walk\n-- @data.p.volatility: 0.03\n\
                -- @data.p.drift: 0.0005\n-- @data.p.group_by: symbol";
    for lines in [short, long] {
        let (_, found) = field(lines);
        assert_eq!(
            found,
            Constraints { range: Some((100.0, 500.5)), distribution: walk.clone(), ..Constraints::default() }
        );
    }
    let (_, found) = field("-- @data.p: enum [\"A, B\", 'C', D], weights: [0.5, 0.25, 0.25] -- which");
    let values =
        EnumValues { values: vec!["A, B".into(), "C".into(), "D".into()], weights: Some(vec![0.5, 0.25, 0.25]) };
    assert_eq!(found.enum_values, Some(values));
    let (kind, found) = field("-- @data.p: timestamp, sequential: true, start: \"-1h\", end: now");
    assert_eq!(kind, FieldType::Timestamp);
    assert!(found.sequential);
    assert_eq!(found.timestamp_range, Some((Moment::Relative(-3_600_000), Moment::Relative(0))));
    let (_, found) = field("-- @data.p: integer, sequential: true, end: +1h");
    assert_eq!(found.timestamp_epoch_ms, Some((Moment::Relative(-3_600_000), Moment::Relative(3_600_000))));
    let (_, found) = field("-- @data.p.type: string\n-- @data.p.pattern: 'S-[0-9]{4}'\n-- @data.p.length: [3, 9]");
    assert_eq!((found.pattern.as_deref(), found.length), (Some("S-[0-9]{4}"), Some((3, 9))));
    let (_, found) = field("-- @data.p.type: int\n-- @data.p.references: shop.customers.id");
    let reference = Reference { schema: "shop.customers".into(), field: "id".into(), file: None };
    assert_eq!(found.references, Some(reference));
    let (_, found) = field("-- @data.p.type: float\n-- @data.p.derived: \"a * 2\"");
    assert_eq!(found.derived.as_deref(), Some("a * 2"));
}

#[test]
fn distributions_and_their_defaults() {
    let of = |word: &str| field(&format!("-- @data.p: range [1, 2], distribution: {word}")).1.distribution;
    assert_eq!(of("uniform"), Some(Distribution::Uniform));
    assert_eq!(of("normal"), Some(Distribution::Normal { mean: 0.0, std_dev: 1.0 }));
    assert_eq!(of("normal, mean: 5, std_dev: 2"), Some(Distribution::Normal { mean: 5.0, std_dev: 2.0 }));
    assert_eq!(of("log_normal"), Some(Distribution::LogNormal { mean: 0.0, std_dev: 1.0 }));
    assert_eq!(of("zipf"), Some(Distribution::Zipf { exponent: 1.0 }));
    let Some(Distribution::RandomWalk { drift, volatility, .. }) = of("random_walk") else { panic!("a walk") };
    assert_eq!((drift, volatility), (1e-4, 0.02));
}

#[test]
fn mistakes() {
    let sql = "SELECT 1;\n-- @data.id: uuid\n";
    assert_snapshot!(
        [
            said("-- @data.price\n-- @data.record_count:"),
            said("-- @data.record_count: many\n-- @data.time_simulation: later\n-- @data.time_start: soon"),
            said("-- @data.price.type: flaot\n-- @data.recordcount: 5"),
            said("-- @data.price.rang: [1, 2]\n-- @data.price.range: [1]\n-- @data.price.range: 1, 2"),
            said("-- @data.price: range [1, x], distribution: normal"),
            said("-- @data.price: range [1, 2], distribution: norml"),
            said("-- @data.price: range [2, 1]\n-- @data.x: enum [a], weights: [1, 2]"),
            said("-- @data.x: enum [a], group_by: y\n-- @data.y: range [1, 2], drift: 1"),
            said("-- @data.x: range [1, 2], distribution: random_walk, group_by: symbl\n-- @data.symbol: uuid"),
            said("-- @data.x.pattern: '(a'\n-- @data.x.sequential: maybe\n-- @data.x.references: id"),
            said("-- @data.time_end: -2h\n-- @data.t: timestamp, sequential: true, start: +1h"),
            drawn(&hints(sql).findings, sql)
        ]
        .join("\n")
    );
}
