//! Tests of `encode`.

use super::*;
use velostream_types::{Column, DataType, Field, RowMeta, SourceId, Value};

const CSV: SinkFormat = SinkFormat::Csv { delimiter: b',', header: true };

fn one(data_type: DataType, column: Column) -> (Schema, Batch) {
    let rows = column.len();
    let field = Field::new("x", data_type);
    (Schema::new(vec![field]), Batch::new(vec![column], rows, RowMeta::plain(SourceId(0), 0, 0)))
}

fn check(data_type: DataType, column: Column, json: &str, csv: &str) {
    let (schema, batch) = one(data_type, column);
    for (format, want) in [(SinkFormat::JsonLines, format!("{{\"x\":{json}}}\n")), (CSV, format!("{csv}\n"))] {
        let (mut chunk, mut not_finite) = (Chunk::default(), 0);
        Encoder::new(format, &schema).encode(&batch, &mut chunk, &mut not_finite);
        assert_eq!(String::from_utf8_lossy(chunk.row(0)), want);
        assert_eq!(chunk.rows(), batch.rows);
    }
}

#[test]
fn every_type() {
    let text = |s: &str| Column::strs([Some(s)]);
    check(DataType::Boolean, Column::repeat(&Value::Bool(true), 1), "true", "true");
    check(DataType::Integer, Column::ints(vec![i64::MIN], None), "-9223372036854775808", "-9223372036854775808");
    check(DataType::Integer, Column::dec64(vec![50], 1, None), "5", "5");
    check(DataType::Integer, Column::dec64(vec![55], 1, None), "5.5", "5.5");
    check(DataType::decimal(2), Column::dec64(vec![-50], 2, None), "-0.50", "-0.50");
    check(DataType::decimal(2), Column::dec64(vec![125_000], 4, None), "12.50", "12.50");
    check(DataType::decimal(2), Column::dec64(vec![125_010], 4, None), "12.501", "12.501");
    check(DataType::decimal(2), Column::ints(vec![7], None), "7.00", "7.00");
    check(
        DataType::decimal(3),
        Column::dec128(vec![10i128.pow(37)], 0, None),
        &format!("1{}.000", "0".repeat(37)),
        &format!("1{}.000", "0".repeat(37)),
    );
    check(DataType::Float, Column::floats(vec![1.0], None), "1.0", "1.0");
    check(DataType::Float, Column::floats(vec![f64::NAN], None), "null", "");
    check(DataType::String, text("a\"b,\n"), "\"a\\\"b,\\n\"", "\"a\"\"b,\n\"");
    check(DataType::String, text(""), "\"\"", "\"\"");
    check(
        DataType::String,
        text("a longer text, with \u{1}"),
        "\"a longer text, with \\u0001\"",
        "\"a longer text, with \u{1}\"",
    );
    check(DataType::Json, text("[1,\n2]"), "[1,2]", "\"[1,\n2]\"");
    check(DataType::Date, Column::repeat(&Value::Date(19_782), 1), "\"2024-02-29\"", "2024-02-29");
    check(
        DataType::Timestamp,
        Column::timestamps(vec![1_500_000], None),
        "\"1970-01-01 00:00:00.001500\"",
        "1970-01-01 00:00:00.001500",
    );
    check(DataType::Time, Column::ints(vec![1_000_000], None), "\"00:00:00.001\"", "00:00:00.001");
    check(DataType::Interval, Column::ints(vec![90_000_000_000], None), "\"90s\"", "90s");
    check(DataType::Bytes, Column::repeat(&Value::Bytes((*b"foob").into()), 1), "\"Zm9vYg==\"", "Zm9vYg==");
    check(DataType::Integer, Column::Null(1), "null", "");
}

#[test]
fn tokens_keep_their_bytes_where_the_grammar_allows() {
    for (token, json) in [
        ("12.500", "12.500"),
        ("1E5", "1E5"),
        ("007", "7"),
        (".5", "0.5"),
        ("+1.50", "1.50"),
        ("5.", "5"),
        ("+1e3", "1000.0"),
        ("1234567890123.45", "1234567890123.45"),
    ] {
        check(DataType::decimal(2), Column::strs([Some(token)]), json, token);
    }
}

#[test]
fn header_table_and_deletes() {
    let schema = Schema::new(vec![Field::new("a,b", DataType::String), Field::new("n", DataType::Integer)]);
    let columns = vec![Column::strs([Some("x"), None]), Column::ints(vec![1, 2], None)];
    let batch = Batch::new(columns, 2, RowMeta::plain(SourceId(0), 0, 0));
    let run = |mut encoder: Encoder, key: &[usize]| {
        let mut chunk = Chunk::default();
        encoder.encode(&batch, &mut chunk, &mut 0);
        encoder.encode_delete(&batch, 0, key, &mut chunk);
        let header = encoder.header().unwrap_or_default();
        assert_eq!(chunk.rows(), 3);
        String::from_utf8([header, chunk.bytes].concat()).expect("text")
    };
    let json = run(Encoder::new_upsert(SinkFormat::JsonLines, &schema), &[1]);
    assert_eq!(json, "{\"a,b\":\"x\",\"n\":1}\n{\"a,b\":null,\"n\":2}\n{\"n\":1,\"__deleted\":true}\n");
    let csv = run(Encoder::new_upsert(CSV, &schema), &[0]);
    assert_eq!(csv, "\"a,b\",n,__deleted\nx,1,false\n,2,false\nx,,true\n");
    let table = run(Encoder::new(SinkFormat::Table, &schema), &[0]);
    assert_eq!(table, "[\"x\",1]\n[null,2]\n[\"x\",null,true]\n");
}

#[test]
fn records_as_they_came() {
    let long = "{\"a\": 1.50,\t\"unread\":[ ]}  ";
    let records: BinaryViewArray =
        [long, "x", "", "\"two\nlines\"\r"].map(|r| Some(r.as_bytes())).into_iter().collect();
    let mut chunk = Chunk { bytes: b"y\n".to_vec(), ends: vec![2], ..Chunk::default() };
    append_records(&records, &mut chunk);
    let rows: Vec<String> = (0..chunk.rows()).map(|i| String::from_utf8_lossy(chunk.row(i)).into_owned()).collect();
    assert_eq!(rows, ["y\n", &format!("{long}\n"), "x\n", "\n", "\"two\nlines\"\r\n"]);
}
