//! What is said about mistakes in data schemas, and what a field's keys come to.

use insta::assert_snapshot;

use super::{drawn, load_schema};
use crate::schema::{Constraints, FieldSpec};

/// The findings about a schema with these fields.
fn said(fields: &[&str]) -> String {
    let lines: String = fields.iter().map(|field| format!("  - {{{field}}}\n")).collect();
    drawn(&load_schema(&format!("name: orders\nfields:\n{lines}")).findings, "")
}

/// The one field that these keys describe.
fn field(keys: &str) -> FieldSpec {
    let loaded = load_schema(&format!("name: orders\nfields:\n  - {{name: a, {keys}}}\n"));
    loaded.value.expect("no errors").fields.remove(0)
}

fn constraints(keys: &str) -> Constraints {
    field(&format!("type: string, constraints: {{{keys}}}")).constraints
}

#[test]
fn mistakes_of_one_key() {
    assert_snapshot!(
        [
            drawn(&load_schema("name: orders\nfield: []\n").findings, ""),
            said(&["name: a, type: strin", "name: b, type: {decimal: 2}", "name: c, type: {integer: {}}"]),
            said(&["name: a, type: float, constraints: {distribution: normal}"]),
            said(&["name: a, type: float, constraints: {distribution: {normal: {mean: 1, stddev: 2}}}"]),
            said(&["name: a, type: {decimal: {precision: 39}}, null_probability: 2"]),
            said(&["name: a, type: string, constraints: {pattern: '(a'}"]),
            said(&["name: a, type: timestamp, constraints: {timestamp_range: {start: soon}}"])
        ]
        .join("\n")
    );
}

#[test]
fn mistakes_of_several_keys() {
    assert_snapshot!(
        [
            said(&["name: a, type: string", "name: b, type: string", "name: a, type: float"]),
            said(&["name: a, type: float, constraints: {range: {min: 2, max: 1}}"]),
            said(&["name: a, type: string, constraints: {length: {min: 4, max: 3}}"]),
            said(&["name: a, type: timestamp, constraints: {timestamp_range: {start: now, end: -1h}}"]),
            said(&["name: a, type: integer, constraints: {timestamp_epoch_ms: {start: +2h}}"])
        ]
        .join("\n")
    );
}

#[test]
fn weights_that_fit_no_values() {
    let enums = |values: &str| said(&[&format!("name: a, type: string, constraints: {{enum_values: {{{values}}}}}")]);
    assert_snapshot!(
        [enums("values: [x, y], weights: [1]"), enums("values: [x, y], weights: [0, 0]"), enums("values: []")]
            .join("\n")
    );

    assert_eq!(enums("values: [x, y], weights: [700, 0]"), "");
}

#[test]
fn fields_that_are_not_there() {
    let loaded = load_schema("name: orders\nkey_field: ib\nfields:\n  - {name: id, type: uuid}\n");
    assert!(loaded.value.is_some(), "records without a key are records");
    assert_snapshot!(
        [
            said(&[
                "name: price, type: float",
                "name: total, type: float, constraints: {derived: {expression: 'prise * 2', depends_on: [prise]}}",
            ]),
            said(&["name: a, type: float, constraints: {distribution: {random_walk: {group_by: symbol}}}"]),
            drawn(&loaded.findings, "")
        ]
        .join("\n")
    );
}

#[test]
fn rates_of_nulls() {
    assert_eq!(field("type: uuid").null_rate, 0.0);
    assert_eq!(field("type: uuid, nullable: false").null_rate, 0.0);
    assert_eq!(field("type: uuid, nullable: true").null_rate, 0.1);
    assert_eq!(field("type: uuid, nullable: true, null_probability: 0.3").null_rate, 0.3);
    assert_eq!(field("type: uuid, null_probability: 0.3").null_rate, 0.3);
    assert_eq!(field("type: uuid, nullable: false, null_probability: 0.3").null_rate, 0.0);
    assert_snapshot!(said(&["name: a, type: uuid, nullable: false, null_probability: 0.3"]));
}

#[test]
fn one_bound_of_a_length_makes_room_for_the_other() {
    assert_eq!(constraints("length: {}").length, Some((5, 20)));
    assert_eq!(constraints("length: {min: 30}").length, Some((30, 30)));
    assert_eq!(constraints("length: {max: 3}").length, Some((3, 3)));
    assert_eq!(constraints("length: {min: 7}").length, Some((7, 20)));
    assert_eq!(constraints("").length, None);
}
