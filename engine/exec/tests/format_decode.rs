//! What decoding means, case by case: types, bad records, long records, resuming.

mod partition;

use arrow_buffer::Buffer;
use partition::{BARE_CSV, CSV, Outcome, read, source};
use velostream_exec::format::{Decoder, SlabCursor};
use velostream_sql::plan::{Format, Repr, SourcePlan};
use velostream_types::{Column, DataType, Field, Slab, SlabKind};

const JSON: Format = Format::JsonLines;

fn declared(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type)
}

fn inferred(name: &str, data_type: DataType) -> Field {
    Field { inferred: true, ..Field::new(name, data_type) }
}

/// Rows as `value,value` and bad records as `!code`, in the order of their offsets.
fn shown(outcome: &Outcome) -> String {
    let mut all: Vec<(i64, String)> = Vec::new();
    for (offset, _, values) in &outcome.rows {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        all.push((*offset, values.join(",")));
    }
    all.extend(outcome.bad.iter().map(|b| (b.offset, format!("!{}", b.error.code.code()))));
    all.sort();
    all.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
}

fn check(format: &Format, fields: Vec<Field>, text: &str, want: &str) -> Outcome {
    let outcome = read(&source(format, fields), text.as_bytes(), text.len().max(1), 1000);
    assert_eq!(shown(&outcome), want, "{:?}", outcome.bad);
    outcome
}

/// `{"x":…}` lines.
fn json_values(data_type: DataType, is_inferred: bool, values: &[&str], want: &str) -> Outcome {
    let lines: String = values.iter().map(|v| format!("{{\"x\":{v}}}\n")).collect();
    let field = if is_inferred { inferred("x", data_type) } else { declared("x", data_type) };
    check(&JSON, vec![field], &lines, want)
}

#[test]
fn json_types() {
    let decimal = DataType::Decimal { precision: 6, scale: 2 };
    json_values(
        DataType::Integer,
        false,
        &["1", "1.5", "2.0", "1e2", "\"1\"", "true", "9223372036854775808"],
        "1 !R0105 2 100 !R0105 !R0105 !R0105",
    );
    json_values(
        DataType::Integer,
        true,
        &["1", "1.25", "null", "9223372036854775808", "1e-2", "1e400", "\"1\""],
        "1 1.25 NULL 9223372036854775808 0.01 !R0105 !R0105",
    );
    let got = json_values(
        decimal,
        false,
        &["1", "\"2.5\"", "1.005", "-1.005", "1.500", "9999.995", "12345", "1e3", "\" 7 \"", "\"x\""],
        "1 2.5 1.01 -1.01 1.5 !R0105 !R0105 1000 7 !R0105",
    );
    assert_eq!(got.rounded, 2);
    json_values(DataType::Float, true, &["1", "1.5", "1e300", "1e999", "\"1\""], "1.0 1.5 1e300 !R0105 !R0105");
    json_values(
        DataType::Boolean,
        true,
        &["true", "false", "1", "\"true\""],
        "TRUE FALSE !R0105 !R0105".to_lowercase().replace("!r", "!R").as_str(),
    );
    json_values(DataType::String, false, &["\"a\\u00e9\"", "1", "null", "\"\\ud800\""], "aé !R0105 NULL !R0101");
    json_values(DataType::String, true, &["\"a\"", "1.50", "true", "{\"b\": 1}"], "a 1.50 true {\"b\": 1}");
    json_values(
        DataType::Json,
        true,
        &["{\"b\": [1.50]}", "\"s\"", "3", "1.2.3", "[1.2.3]", "[\"\\ud800\"]", "[\"\\ufffd\"]"],
        "{\"b\":[1.5]} \"s\" 3 !R0105 !R0105 !R0101 [\"\u{fffd}\"]",
    );
    json_values(
        DataType::array(DataType::Integer),
        false,
        &["[1, 2.0]", "[]", "null", "[null]", "[1.5]", "{}", "1", "\"[1]\""],
        "[1,2] [] NULL [null] !R0105 !R0105 !R0105 !R0105",
    );
    json_values(
        DataType::Timestamp,
        false,
        &["1500", "\"1970-01-01T00:00:01Z\"", "1.5", "\"x\""],
        "1970-01-01 00:00:01.500 1970-01-01 00:00:01.000 !R0105 !R0105",
    );
    json_values(
        DataType::Date,
        false,
        &["\"2024-02-29\"", "86400000", "\"2024-02-30\""],
        "2024-02-29 1970-01-02 !R0105",
    );
    json_values(DataType::Bytes, false, &["\"Zm9v\"", "\"?\""], "666f6f !R0105");
    json_values(
        DataType::Null,
        true,
        &["null", "1", "2.5", "\"x\"", "true", "null", "[1]"],
        "NULL 1 2.5 x true NULL [1]",
    );
}

#[test]
fn csv_types_and_shapes() {
    let fields = || vec![declared("a", DataType::Integer), declared("s", DataType::String)];
    check(
        &CSV,
        fields(),
        "s,x,a\nt,0,1\n,,\n\"\",1, 2 \nq,1,\"3\"\nq,1,\"\"\nq,1,x\nt,0\n\nt,0,1,2\n",
        "1,t NULL,NULL 2, 3,q !R0105 !R0105 !R0104 !R0104",
    );
    check(&CSV, fields(), "s\nt\n", "NULL,t");
    check(&BARE_CSV, fields(), "007,x\n+5,y\n.5,z\n", "7,x 5,y !R0105");
    check(&CSV, fields(), "\u{feff}a,s\r\n1,x\r\n\r\n2,\"y\"\r\n", "1,x 2,y");
    check(&CSV, fields(), "a,s\n1,\"x\n2,y\n3,z", "!R0101 2,y 3,z");
    check(&CSV, fields(), "a,s\n1,\"x\"y\n", "!R0101");
    let flags = vec![declared("b", DataType::Boolean)];
    check(&CSV, flags, "b\ntrue\nF\n1\nno\n", "true false true !R0105");
    let strict = Field { nullable: false, ..declared("a", DataType::Integer) };
    check(&CSV, vec![strict, declared("s", DataType::String)], "a,s\n,x\n1,y\n", "!R0106 1,y");
}

#[test]
fn storage_is_the_narrowest_of_a_batch() {
    let batch = |ty: DataType, is_inferred: bool, text: &str| {
        let field = Field { inferred: is_inferred, ..declared("x", ty) };
        let bytes = Buffer::from_slice_ref(text);
        let mut cursor = SlabCursor::new(Slab { bytes, kind: SlabKind::Stream { at_end: true, position: 0 } });
        let got = Decoder::new(&source(&BARE_CSV, vec![field])).decode(&mut cursor, 100);
        match &got.columns[0] {
            Column::Int(_) => "int".to_owned(),
            Column::Dec64(a) => format!("dec64({})", a.scale()),
            Column::Dec128(a) => format!("dec128({})", a.scale()),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(batch(DataType::Integer, true, "1\n2\n"), "int");
    assert_eq!(batch(DataType::Integer, true, "1\n2.5\n3.125\n4\n"), "dec64(3)");
    assert_eq!(batch(DataType::Integer, true, "1\n9223372036854775808\n"), "dec128(0)");
    assert_eq!(batch(DataType::decimal(2), true, "1.5\n"), "dec64(1)");
    assert_eq!(batch(DataType::decimal(2), true, "1.5\n9223372036854775807\n"), "dec128(1)");
    assert_eq!(batch(DataType::Decimal { precision: 20, scale: 2 }, false, "1\n"), "dec64(2)");
    assert_eq!(batch(DataType::Decimal { precision: 20, scale: 2 }, false, "999999999999999999\n"), "dec128(2)");
}

#[test]
fn digits_that_do_not_fit_together_cut_the_batch() {
    let wide = "12345678901234567890123456789012345678";
    let fine = "0.00000000000000000000000000000000000001";
    json_values(DataType::Integer, true, &[wide, fine, wide, "1"], &format!("{wide} {fine} {wide} 1"));
}

#[test]
fn tokens_stay_as_they_were_written() {
    let mut plan = source(&BARE_CSV, vec![inferred("a", DataType::decimal(2))]);
    plan.read[0].repr = Repr::Token;
    let got = read(&plan, b"1.50\n007\n 2. \n1e2\nx\n1e99\n", 100, 10);
    assert_eq!(shown(&got), "1.50 007 2. 1e2 !R0105 !R0105");
}

#[test]
fn long_records_are_passed_by() {
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(100_000));
    let text = format!("{{\"x\":1}}\n{long}\n{{\"x\":2}}\n");
    let mut plan = source(&JSON, vec![inferred("x", DataType::Integer)]);
    plan.max_record_bytes = 1000;
    for slab in [64, 5000, 1 << 20] {
        let got = read(&plan, text.as_bytes(), slab, 10);
        assert_eq!(shown(&got), "1 !R0103 2");
        let bad = &got.bad[0];
        assert_eq!((bad.bytes.len(), bad.full_length, bad.position), (64 * 1024, Some(long.len() as u64), Some(8)));
        assert!(bad.error.message.contains("XXH3"), "{}", bad.error);
    }
}

/// A number behind text cuts the batch of an untyped column, so the decoder goes back after it has looked ahead: to a
/// record that has its quotes closed at the limit while those of the line behind it are open at a later one.
#[test]
fn a_cut_batch_does_not_move_the_end_of_quotes() {
    let text = "x\n1\n\"a\nx\",\"b\nc\",\"dd\"\n2\n";
    let mut plan = source(&BARE_CSV, vec![inferred("x", DataType::Null)]);
    plan.max_record_bytes = "\"a\nx\",\"b\nc\"".len();
    for (slab, max_rows) in [(1, 1), (1, 1000), (text.len(), 1), (text.len(), 1000)] {
        let got = read(&plan, text.as_bytes(), slab, max_rows);
        assert_eq!(shown(&got), "x 1 !R0103 !R0101 !R0104 2", "slabs of {slab}, batches of {max_rows}");
        let bad: Vec<&[u8]> = got.bad.iter().map(|b| b.bytes.as_slice()).collect();
        assert_eq!(bad, [&b"\"a"[..], b"x\",\"b", b"c\",\"dd\""]);
        let message = &*got.bad[0].error.message;
        assert!(
            message.starts_with("record is longer than max.record.bytes and has a line feed in quotes"),
            "{message}"
        );
        assert!(message.contains("cut there, behind 2 bytes"), "{message}");
    }
}

#[test]
fn messages_name_column_value_and_type() {
    let got = json_values(DataType::decimal(2), false, &["\"a lot\""], "!R0105");
    assert_eq!(&*got.bad[0].error.message, "column \"x\": `a lot` does not fit DECIMAL(38,2)");
    let got = check(&JSON, vec![inferred("x", DataType::Integer)], "{\"x\":1,}\n", "!R0101");
    assert_eq!(&*got.bad[0].error.message, "not a JSON object: key expected at byte 7");
}

#[test]
fn a_partition_goes_on_where_it_was_left() {
    let text = b"# note\ns,a\nx,1\ny,2\nz,3\n";
    let format = Format::Csv { delimiter: b',', quote: b'"', header: true, skip_lines: 1 };
    let plan: SourcePlan = source(&format, vec![declared("a", DataType::Integer), declared("s", DataType::String)]);
    let cursor = |from: usize| {
        let kind = SlabKind::Stream { at_end: true, position: from as u64 };
        SlabCursor::new(Slab { bytes: Buffer::from_slice_ref(&text[from..]), kind })
    };
    let mut first = Decoder::new(&plan);
    assert_eq!(first.decode(&mut cursor(0), 1).rows, 1);
    assert_eq!((first.next_offset(), first.position()), (1, 15));
    let mut second = Decoder::new(&plan);
    assert!(!second.read_head(&text[..9]) && second.read_head(text));
    second.resume_at(first.next_offset(), first.position());
    let got = second.decode(&mut cursor(first.position() as usize), 10);
    assert_eq!((got.rows, got.offsets.at(1), got.columns[0].value(1).to_string()), (2, 2, "3".to_owned()));
}
