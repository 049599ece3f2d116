//! What expressions compute, and the mistakes that are found in them.

use super::*;
use crate::schema::{Constraints, FieldSpec};

fn field(name: &str, field_type: FieldType) -> FieldSpec {
    FieldSpec {
        name: name.to_owned(),
        span: Span::default(),
        field_type,
        null_rate: 0.0,
        constraints: Constraints::default(),
    }
}

fn schema() -> DataSchema {
    let fields = vec![
        field("n", FieldType::Integer),
        field("f", FieldType::Float),
        field("price", FieldType::Decimal(4)),
        field("fee", FieldType::Decimal(2)),
        field("side", FieldType::String),
        field("ok", FieldType::Boolean),
        field("at", FieldType::Timestamp),
        field("day", FieldType::Date),
        field("none", FieldType::Integer),
    ];
    DataSchema {
        name: "trades".to_owned(),
        description: None,
        fields,
        record_count: None,
        key_field: None,
        seed: None,
        time: None,
    }
}

fn row() -> Vec<(Arc<str>, Value)> {
    let values = [
        Value::Int(7),
        Value::Float(2.5),
        Value::Decimal { mantissa: 1_000_050, scale: 4 },
        Value::Decimal { mantissa: 125, scale: 2 },
        Value::Str("BUY".into()),
        Value::Bool(true),
        Value::Timestamp(1_700_000_000_123_000_000),
        Value::Date(19_782),
        Value::Null,
    ];
    schema().fields.iter().map(|field| field.name.as_str().into()).zip(values).collect()
}

fn computed(text: &str, result: FieldType) -> Value {
    let derived = Derived::parse(text, &schema(), result).map_err(|m| m.message).expect(text);
    derived.value(&row(), &mut Random::of(1, &[]))
}

/// The result as text.
fn shown(text: &str) -> String {
    crate::record_text::text(&computed(text, FieldType::String)).into_owned()
}

#[test]
fn operators_bind_as_in_arithmetic() {
    for (text, expected) in [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 4 - 3", "3"),
        ("100 / 10 / 5", "2"),
        ("7 % 4 * 2", "6"),
        ("-n + 2", "-5"),
        ("2 - -n", "9"),
        ("--n", "7"),
        ("-(n + 1) * 2", "-16"),
        ("1 + 1 == 2", "true"),
        ("n < 7", "false"),
        ("n <= 7", "true"),
        ("n > f", "true"),
        ("n >= 7.5", "false"),
        ("price != 100.005", "false"),
        ("(n < 1) == false", "true"),
        ("side == 'BUY'", "true"),
        ("side != \"SELL\"", "true"),
        ("side < 'C'", "true"),
        ("day == day", "true"),
        ("9223372036854775807 + 1", "9223372036854775808"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn decimals_stay_exact_and_keep_their_scale() {
    for (text, expected) in [
        ("price + fee", "101.2550"),
        ("price * fee", "125.006250"),
        ("price * 3", "300.0150"),
        ("price * 0.1", "10.00050"),
        ("price / 3", "33.33500000"),
        ("price % fee", "0.0050"),
        ("price * f", "250.0125"),
        ("f * price", "250.0125"),
        ("fee / f", "0.50"),
        ("-fee", "-1.25"),
        ("abs(-fee)", "1.25"),
        ("round(price, 2)", "100.01"),
        ("round(-price)", "-100"),
        ("floor(-price)", "-101"),
        ("ceil(price)", "101"),
        ("min(price, 200)", "100.0050"),
        ("0.1 + 0.2", "0.3"),
        ("f * 0.1", "0.25"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn functions_take_as_many_arguments_as_they_are_given() {
    for (text, expected) in [
        ("min(3, 1, 2)", "1"),
        ("max(3, f, 1)", "3"),
        ("max('a', side, 'B')", "a"),
        ("concat('ORD-', n, '-', side, none, ok)", "ORD-7-BUYtrue"),
        ("concat(f, '/', price, '/', at, '/', day)", "2.5/100.0050/2023-11-14 22:13:20.123/2024-02-29"),
        ("CONCAT('it''s', \"a \"\"b\"\"\")", "it'sa \"b\""),
        ("round(2.5)", "3"),
        ("round(-2.5)", "-3"),
        ("round(f * 1.02, 2)", "2.55"),
        ("floor(f)", "2"),
        ("ceil(-f)", "-2"),
        ("round(n, 2)", "7"),
        ("abs(n - 10)", "3"),
        ("at + 1", "1700000000124"),
        ("at - 123 < at", "true"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn random_stays_between_its_bounds() {
    let derived = |text: &str| Derived::parse(text, &schema(), FieldType::Float).map_err(|m| m.message).expect(text);
    let mut random = Random::of(3, &[]);
    let mut sum = 0.0;
    for _ in 0..10_000 {
        let Value::Float(x) = derived("random()").value(&row(), &mut random) else { panic!("a float") };
        assert!((0.0..1.0).contains(&x));
        let Value::Float(x) = derived("random(n, f)").value(&row(), &mut random) else { panic!("a float") };
        assert!((2.5..=7.0).contains(&x));
        sum += x;
    }
    assert!((sum / 10_000.0 - 4.75).abs() < 0.05, "{sum}");
}

#[test]
fn what_has_no_value_is_null() {
    for text in [
        "n / 0",
        "f / 0.0",
        "price / 0",
        "n % 0",
        "price % (fee - fee)",
        "none + 1",
        "none < 1",
        "null",
        "-none",
        "abs(none)",
        "min(1, none)",
        "round(none)",
        "random(none, 1)",
        "price * 1e38",
        "1e308 * f * 1000",
    ] {
        assert_eq!(computed(text, FieldType::Float), Value::Null, "{text}");
    }
}

#[test]
fn results_become_the_fields_type() {
    use FieldType::*;
    for (text, result, expected) in [
        ("7 / 2", Integer, Value::Int(4)),
        ("7 / 2", Float, Value::Float(3.5)),
        ("7 / 2", Decimal(2), Value::Decimal { mantissa: 350, scale: 2 }),
        ("price * 2", Decimal(1), Value::Decimal { mantissa: 2000, scale: 1 }),
        ("price", Float, Value::Float(100.005)),
        ("price", Integer, Value::Int(100)),
        ("n > 1", Integer, Value::Int(1)),
        ("n > 1", Decimal(1), Value::Decimal { mantissa: 10, scale: 1 }),
        ("n - 7", Boolean, Value::Bool(false)),
        ("concat('1', '5')", Integer, Value::Int(15)),
        ("'x'", Integer, Value::Null),
        ("'true'", Boolean, Value::Bool(true)),
        ("at + 1000", Timestamp, Value::Timestamp(1_700_000_001_123_000_000)),
        ("at", Integer, Value::Int(1_700_000_000_123)),
        ("at", Date, Value::Date(19_675)),
        ("'2024-02-29'", Date, Value::Date(19_782)),
        ("1e300", Integer, Value::Null),
        ("n", Uuid, Value::Str("7".into())),
    ] {
        assert_eq!(computed(text, result), expected, "{text} as {result:?}");
    }
}

#[test]
fn mistakes_are_found_before_the_first_record() {
    for (text, code, span, message) in [
        ("n + nn", "E0203", (4, 6), "field \"nn\" does not exist"),
        ("sqrt(n)", "E0206", (0, 4), "function \"sqrt\" does not exist"),
        ("abs(n, 1)", "E0207", (0, 9), "abs takes one argument, not 2"),
        ("1 + min()", "E0207", (4, 9), "min takes at least one argument, not 0"),
        ("random(1)", "E0207", (0, 9), "random takes no arguments, or least and greatest value, not 1"),
        ("n + side", "E0302", (4, 8), "'+' takes numbers, and this is text"),
        ("-side", "E0302", (1, 5), "'-' takes numbers, and this is text"),
        ("abs(ok)", "E0302", (4, 6), "abs takes numbers, and this is TRUE or FALSE"),
        ("side > 1", "E0302", (0, 8), "text is never compared with a number"),
        ("1 < n < 9", "E0302", (0, 9), "TRUE or FALSE is never compared with a number"),
        ("min(1, side)", "E0302", (7, 11), "min takes values of one kind: a number, and this is text"),
        ("day", "E0311", (0, 3), "the field cannot take a date"),
        ("round(n, f)", "E0308", (9, 10), "how many digits are kept is a whole number from 0 to 18"),
        ("n +", "E0102", (3, 3), "a field, a number, a text or '(' is missing at the end of the expression"),
        ("n side", "E0102", (2, 6), "an operator or the end is expected here, found 'side'"),
        ("(n", "E0102", (2, 2), "')' is missing at the end of the expression"),
        ("max(n; 1)", "E0102", (5, 6), "',' or ')' is expected here, found ';'"),
        ("n = 7", "E0102", (2, 3), "an operator is expected here, found '='"),
        ("n <> 7", "E0102", (2, 3), "an operator is expected here, found '<'"),
        ("'BUY", "E0101", (0, 4), "this text is not closed"),
        ("1e999", "E0111", (0, 5), "'1e999' is no number"),
    ] {
        let mistake = Derived::parse(text, &schema(), FieldType::Float).expect_err(text);
        assert_eq!((mistake.code, mistake.span, mistake.message.as_str()), (code, Span::new(span.0, span.1), message));
    }
    let deep = format!("{}1{}", "(".repeat(100), ")".repeat(100));
    assert_eq!(Derived::parse(&deep, &schema(), FieldType::Float).err().map(|m| m.code), Some("E0107"));
    let minus = format!("{}1", "-".repeat(100));
    assert_eq!(Derived::parse(&minus, &schema(), FieldType::Float).err().map(|m| m.code), Some("E0107"));
    let near = Derived::parse("pricee", &schema(), FieldType::Float).expect_err("a mistake");
    assert_eq!(near.hint.as_deref(), Some("did you mean \"price\"?"));
    assert_eq!(near.detail.as_deref(), Some("schema trades has the fields n, f, price, fee, side, ok, at, day, none"));
}

#[test]
fn no_text_stops_the_parser_and_what_it_takes_can_be_computed() {
    const PIECES: [&str; 30] = [
        "n", "f", "price", "side", "at", "day", "none", "1", "0", "2.5", "1e", "'é'", "'", "\"", "(", ")", ",", " ",
        "+", "-", "*", "/", "%", "<", "==", "min(", "round(", "random(", "concat(", "é",
    ];
    let (mut random, row) = (Random::of(4, &[]), row());
    let mut taken = 0;
    for _ in 0..20_000 {
        let text: String = (0..1 + random.below(7)).map(|_| PIECES[random.below(30) as usize]).collect();
        if let Ok(derived) = Derived::parse(&text, &schema(), FieldType::Decimal(2)) {
            let value = derived.value(&row, &mut random);
            assert!(matches!(value, Value::Null | Value::Decimal { scale: 2, .. }), "{text} gave {value:?}");
            taken += 1;
        }
    }
    assert!(taken > 1_000, "{taken}");
}
