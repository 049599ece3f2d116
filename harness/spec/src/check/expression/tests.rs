//! Precedence, values, errors and parts of expressions.

use velostream_types::Value;

use super::{Context, Running, parse_expression};
use crate::check::tests::{record, row, rows};

const ROWS: &str = r#"
{"id": 1, "price": 10.50, "side": "buy", "o.order_id": 7}
{"id": 2, "price": 20.25, "side": "a or b", "o.order_id": 8}
{"id": 3, "price": null, "side": "", "o.order_id": 9}
"#;

fn context() -> Context {
    let mut context = Context::default();
    context.inputs.insert("orders".to_owned(), 5);
    context.inputs.insert("market-data.v2".to_owned(), 4);
    context.outputs.insert("trades".to_owned(), 3);
    context.variables.insert("limit".to_owned(), Value::Int(15));
    context.variables.insert("name".to_owned(), Value::Str("x".into()));
    context
}

/// The value over the rows, or `error: …`.
fn value_over(text: &str, json_lines: &str) -> String {
    let parsed = match parse_expression(text) {
        Ok(parsed) => parsed,
        Err((at, message)) => return format!("error at {at}: {message}"),
    };
    let context = context();
    let mut running = Running::new(parsed, &context);
    for (i, row) in rows(json_lines).iter().enumerate() {
        running.record(&record(row, i, None, &[]));
    }
    running.finish(&context).map_or_else(|error| format!("error: {error}"), |value| value.shown())
}

fn value(text: &str) -> String {
    value_over(text, ROWS)
}

fn all_are(cases: &[(&str, &str)]) {
    for (text, want) in cases {
        assert_eq!(value(text), *want, "{text}");
    }
}

#[test]
fn operators_bind_as_in_the_grammar() {
    all_are(&[
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 4 - 3", "3"),
        ("12 / 3 / 2", "2"),
        ("-2 * -3", "6"),
        ("1 + 1 == 2", "true"),
        ("1 < 2 and 2 < 1 or true", "true"),
        ("true or false and false", "true"),
        ("not 1 == 2", "true"),
        ("not true or true", "true"),
        ("1 == 1 and 2 == 2", "true"),
        ("0.1 + 0.2 == 0.3", "true"),
        ("1 / 4", "0.25"),
        ("1e3 + 1", "1001"),
    ]);
}

#[test]
fn values_compare_by_their_kind() {
    all_are(&[
        ("1 == 1.00", "true"),
        ("1 == '1'", "false"),
        ("'a' != \"a\"", "false"),
        ("null == None", "true"),
        ("null > 1", "false"),
        ("true == 1", "false"),
        ("0.00000000001 == 0", "true"),
        ("0.000000001 == 0", "false"),
        ("'a' < 'b'", "error: a text and a text have no order: < and > compare numbers"),
        ("1 + 'a'", "error: + takes numbers, not a number and a text"),
        ("1 + null", "NULL"),
        ("1 / 0", "error: 1 is divided by 0"),
    ]);
}

#[test]
fn names_stand_for_counts_and_variables() {
    all_are(&[
        ("inputs.orders.count", "5"),
        ("{{inputs.orders.count}} * 2", "10"),
        ("{{ inputs.orders.count * 2 }}", "10"),
        ("inputs.market-data.v2.count - 1", "3"),
        ("inputs[\"orders\"].count", "5"),
        ("outputs.trades.count == records.length", "true"),
        ("variables.limit + limit", "30"),
        ("{{variables.name}} == 'x'", "true"),
        ("inputs.order.count", "error: there is no input \"order\"; did you mean \"orders\"?"),
        ("limits", "error: there is no variable \"limits\"; did you mean \"limit\"?"),
        ("outputs.zzz.count", "error: there is no output \"zzz\"; there is trades"),
    ]);
}

#[test]
fn records_are_looked_at_by_parts() {
    all_are(&[
        ("records.length", "3"),
        ("records.len + len(records) + count(records)", "9"),
        ("records[0].price", "10.5"),
        ("records[1].side", "'a or b'"),
        ("records[0][\"o.order_id\"] + records[1].o.order_id", "15"),
        ("records[9].price", "error: there is no records[9]: the output has 3 records"),
        ("records[0].prize", "error: records[0] has no field \"prize\"; did you mean \"price\"?"),
        ("sum(price)", "30.75"),
        ("SUM(price) / count(price)", "15.375"),
        ("avg(price)", "15.375"),
        ("min(price) + max(price)", "30.75"),
        ("sum(\"o.order_id\") == sum(o.order_id)", "true"),
        ("sum(zzz)", "error: no record has a field \"zzz\""),
        ("sum(r.price * r.id for r in records)", "51"),
        ("sum(side)", "error: record 0@0: 'buy' is not a number"),
        ("count(r.id > 1 for r in records)", "2"),
        ("count(r.id > 1 for r in records if r.price != null)", "1"),
        ("all(r.price > 0 for r in records if r.price != null)", "true"),
        ("all(r.price > 0 for r in records)", "false"),
        ("any(x.side == 'a or b' and x.id == 2 for x in records)", "true"),
        ("all(r[\"o.order_id\"] >= 7 and not r.id == 0 for r in records)", "true"),
        ("all(r.price <= variables.limit or r.id > 1 for r in records)", "true"),
        (
            "all(r.zzz > 0 for r in records)",
            "error: record 0@0: the record has no field \"zzz\"; there is id, price, side, o.order_id",
        ),
        ("max(r.id for r in records) - min(r.id for r in records)", "2"),
    ]);
}

#[test]
fn of_no_records_all_hold_and_none_does() {
    for (text, want) in [
        ("all(r.x > 0 for r in records)", "true"),
        ("any(r.x > 0 for r in records)", "false"),
        ("count(x)", "0"),
        ("sum(x)", "NULL"),
        ("avg(x)", "NULL"),
        ("min(x) == null", "true"),
        ("count(r.x for r in records)", "0"),
    ] {
        assert_eq!(value_over(text, ""), want, "{text}");
    }
}

#[test]
fn mistakes_have_a_place_and_a_way_out() {
    all_are(&[
        ("1 +", "error at 3: the expression ends where a value has to follow"),
        ("1 2", "error at 2: 2 cannot stand here; an operator or the end can"),
        ("(1", "error at 2: ) has to stand here, not the end"),
        ("{{1)", "error at 3: }} has to stand here, not )"),
        ("1 = 1", "error at 2: = is written =="),
        ("true && false", "error at 5: && is written `and`"),
        ("!true", "error at 0: ! is written `not`"),
        ("'abc", "error at 0: a text that begins with ' has no end"),
        ("1 < 2 < 3", "error at 6: comparisons do not chain; join two of them with `and`"),
        ("summ(x)", "error at 0: there is no function summ(); did you mean sum()?"),
        ("all(price)", "error at 4: all() takes a condition for each record: all(r.x > 0 for r in records)"),
        (
            "sum(price * 2)",
            "error at 10: sum() takes a field, or an expression for each record: sum(r.x * 2 for r in records)",
        ),
        ("records.size", "error at 8: records have a `length`; a record is records[0]"),
        ("records[-1].x", "error at 8: the number of a record has to stand here, counted from 0"),
        ("records[0]", "error at 10: records[0] is a record; a field of it is records[0].name"),
        ("inputs.orders", "error at 7: what is known of inputs is their count: inputs.NAME.count"),
        ("all(r.x > 0 for r in rows)", "error at 21: a comprehension goes over `records`"),
        (
            "all(r.x > avg(x) for r in records)",
            "error at 10: avg() inside a comprehension would need all records for each of them; compare with a number or a variable",
        ),
        ("1 ? 2", "error at 2: \"?\" has no meaning here"),
        ("", "error at 0: the expression ends where a value has to follow"),
    ]);
}

#[test]
fn hostile_texts_are_refused_not_run_into() {
    let deep = format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(value(&deep).starts_with("error at"), "too many words");
    let deep = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    assert!(value(&deep).contains("64 deep"));
    assert!(value(&"not ".repeat(400)).contains("64 deep"));
    let long = format!("1{}", " + 1".repeat(249));
    assert_eq!(value(&long), "250");
    for text in [
        "all(",
        "r.",
        "records[",
        "inputs.",
        "inputs[",
        "sum(r.x for",
        "sum(r.x for r",
        "é",
        "a.é.",
        "'é",
        "{{",
        "}}",
        "1e",
        "1.e",
        "..",
    ] {
        assert!(!value(text).is_empty(), "{text}");
    }
}

/// Words in any order are an expression or a mistake, never a panic.
#[test]
fn any_words_have_a_value_or_an_error() {
    const WORDS: [&str; 36] = [
        "1", "0", "2.5", "'t'", "true", "null", "r", "records", "price", "inputs", "orders", "count", "limit", "all",
        "sum", "min", "for", "in", "if", "and", "or", "not", "(", ")", "[", "]", "{{", "}}", ".", "+", "-", "*", "/",
        "==", "<", "r.price",
    ];
    let mut state = 1u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut parsed = 0;
    for _ in 0..20_000 {
        let words: Vec<&str> = (0..=below(9)).map(|_| WORDS[below(WORDS.len())]).collect();
        let text = words.join(if below(2) == 0 { " " } else { "" });
        parsed += u32::from(!value(&text).starts_with("error at"));
    }
    assert!(parsed > 500, "only {parsed} of the texts were expressions");
}

#[test]
fn times_have_an_order() {
    let parsed = parse_expression("all(r.a < r.b and r.a == '1970-01-01 00:00:00' for r in records)").expect("parsed");
    let context = Context::default();
    let mut running = Running::new(parsed, &context);
    let row = row(&[("a", Value::Timestamp(0)), ("b", Value::Timestamp(1))]);
    running.record(&record(&row, 0, None, &[]));
    assert!(running.finish(&context).expect("a value").is_true());
}
