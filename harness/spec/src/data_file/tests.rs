//! Files and records as they come in, and the messages about those that cannot be read.

use super::*;

fn all(text: &str, format: FileFormat) -> Result<Vec<Vec<(String, Value)>>, DataError> {
    let mut file = DataFile::open(text.as_bytes(), format)?;
    let (mut row, mut rows) = (Row::default(), Vec::new());
    while file.next_into(&mut row)? {
        rows.push(row.fields.iter().map(|(name, value)| (name.to_string(), value.clone())).collect());
    }
    Ok(rows)
}

fn values(text: &str, format: FileFormat) -> Vec<Vec<Value>> {
    let rows = all(text, format).expect("a readable file");
    rows.into_iter().map(|row| row.into_iter().map(|(_, value)| value).collect()).collect()
}

fn text(s: &str) -> Value {
    Value::Str(s.into())
}

fn decimal(mantissa: i128, scale: u8) -> Value {
    Value::Decimal { mantissa, scale }
}

#[test]
fn csv_values_are_what_they_look_like() {
    let file = "\u{feff}id,name,\"the \"\"price\"\"\",ok\r\n\
                1,anna,15.50,true\r\n\
                \r\n\
                \"2\",\"b,\"\"c\"\"\nd\",,FALSE\r\n\
                 -3 , x ,1e3,null\n\
                9223372036854775808,007,99999999999999999999999999999999999999.5,\"\"";
    let rows = all(file, FileFormat::Csv).expect("a readable file");
    let names: Vec<&str> = rows[0].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["id", "name", "the \"price\"", "ok"]);
    assert_eq!(
        values(file, FileFormat::Csv),
        [
            vec![Value::Int(1), text("anna"), decimal(1550, 2), Value::Bool(true)],
            vec![text("2"), text("b,\"c\"\nd"), Value::Null, Value::Bool(false)],
            vec![Value::Int(-3), text(" x "), decimal(1000, 0), Value::Null],
            vec![decimal(9_223_372_036_854_775_808, 0), text("007"), Value::Float(1e38), text("")],
        ]
    );
}

#[test]
fn csv_without_header_has_numbered_columns() {
    let rows = all("1,a\n2,\n3,", FileFormat::CsvNoHeader).expect("a readable file");
    assert_eq!(rows[0], [("column_0".to_owned(), Value::Int(1)), ("column_1".to_owned(), text("a"))]);
    assert_eq!(rows[2][1], ("column_1".to_owned(), Value::Null));
    for format in [FileFormat::Csv, FileFormat::CsvNoHeader, FileFormat::JsonLines, FileFormat::Json] {
        assert_eq!(all("", format), Ok(Vec::new()), "{format:?}");
        assert_eq!(all("\n\r\n", format), Ok(Vec::new()), "{format:?}");
    }
}

#[test]
fn json_values_are_exact() {
    let line = r#"{"i":-5,"d":0.10,"e":25E-1,"big":12345678901234567890,"huge":1e300,"over":1e999,"b":false,"n":null,"s":"a\u00e9\"","t":"2024-02-29 10:00:00.5","o":{"x": [1]},"a":[ ]}"#;
    let expected = vec![
        Value::Int(-5),
        decimal(10, 2),
        decimal(25, 1),
        decimal(12_345_678_901_234_567_890, 0),
        Value::Float(1e300),
        Value::Json("1e999".into()),
        Value::Bool(false),
        Value::Null,
        text("aé\""),
        text("2024-02-29 10:00:00.5"),
        Value::Json("{\"x\": [1]}".into()),
        Value::Json("[ ]".into()),
    ];
    assert_eq!(values(&format!("\n{line}\r\n  {line}"), FileFormat::JsonLines), [expected.clone(), expected.clone()]);
    assert_eq!(values(&format!(" [\n{line},\n{line}] "), FileFormat::Json), [expected.clone(), expected.clone()]);
    assert_eq!(values(line, FileFormat::Json), std::slice::from_ref(&expected));
    let mut row = Row::default();
    json_row(line.as_bytes(), &mut row).expect("an object");
    assert_eq!(row.get("t"), Some(&Value::Timestamp(1_709_200_800_500_000_000)));
    assert_eq!(row.get("d"), Some(&decimal(10, 2)));
}

#[test]
fn captured_texts_with_a_zone_or_without_a_time_stay_texts() {
    let mut row = Row::default();
    for kept in ["2024-02-29", "2024-02-29T10:00:00Z", "2024-02-30 10:00:00", "2024-02-29 10:00", "é024-02-29T10:00:00"]
    {
        json_row(format!("{{\"t\":\"{kept}\"}}").as_bytes(), &mut row).expect("an object");
        assert_eq!(row.get("t"), Some(&text(kept)));
    }
    json_row(br#"{"t":"2024-02-29T10:00:00"}"#, &mut row).expect("an object");
    assert_eq!(row.get("t"), Some(&Value::Timestamp(1_709_200_800_000_000_000)));
}

#[test]
fn names_are_shared_while_they_repeat() {
    let mut row = Row::default();
    json_row(br#"{"a":1,"b":2,"c":3}"#, &mut row).expect("an object");
    let names: Vec<Arc<str>> = row.fields.iter().map(|(name, _)| Arc::clone(name)).collect();
    json_row(br#"{"a":4,"b":5}"#, &mut row).expect("an object");
    assert!(row.fields.len() == 2 && row.fields.iter().zip(&names).all(|((a, _), b)| Arc::ptr_eq(a, b)));
    json_row(br#"{"b":6}"#, &mut row).expect("an object");
    assert_eq!(row, Row { fields: vec![("b".into(), Value::Int(6))] });
}

#[test]
fn of_a_name_that_is_there_twice_the_last_value_counts() {
    let mut row = Row::default();
    for json in [r#"{"a":1,"b":2,"a":3,"a":4}"#, r#"{"a":1,"a":4,"b":2}"#, r#"{"a":4,"b":1,"b":2}"#] {
        json_row(json.as_bytes(), &mut row).expect("an object");
        assert_eq!(row, Row { fields: vec![("a".into(), Value::Int(4)), ("b".into(), Value::Int(2))] }, "{json}");
    }
}

#[test]
fn mistakes_are_said_with_their_place() {
    let said = |file: &str, format| all(file, format).expect_err("a mistake").to_string();
    use FileFormat::{Csv, Json, JsonLines};
    assert_eq!(said("a,b\n1\n", Csv), "line 2, column 1: the line has 1 values for 2 columns; \"b\" is missing");
    assert_eq!(said("a,b\n1,2\n1,2,3\n", Csv), "line 3, column 5: this value is one more than the 2 columns");
    assert_eq!(said("a\n\"x", Csv), "line 2, column 1: the quote that opens here is never closed");
    assert_eq!(
        said("a\n\"x\"y\n", Csv),
        "line 2, column 4: a comma or the line's end is expected behind the quote; a quote inside is written twice"
    );
    assert_eq!(said("a,,b\n", Csv), "line 1, column 3: this column has no name in the header");
    assert_eq!(said("a,b,a\n", Csv), "line 1, column 5: column \"a\" is there twice");
    assert_eq!(said("{\"a\":1}\n{\"é\":x}", JsonLines), "line 2, column 6: no JSON: value expected");
    assert_eq!(said("{}\n 7\n", JsonLines), "line 2, column 2: a record is a JSON object, and this is a number");
    assert_eq!(said("[{},\n [1]]", Json), "line 2, column 2: a record is a JSON object, and this is an array");
    assert_eq!(said("7", Json), "line 1, column 1: an array of objects is expected here");
    assert_eq!(said("{}\n{}", Json), "line 2, column 1: no JSON: text behind the value");
    let bad = DataFile::open(b"a\n\xff", Csv).expect_err("no UTF-8");
    assert_eq!(bad.to_string(), "line 2, column 1: this is no UTF-8; save the file in that encoding");
    let mut row = Row::default();
    assert_eq!(json_row(b"{\"a\":}", &mut row), Err("line 1, column 6: no JSON: value expected".to_owned()));
    assert_eq!(json_row(b"\xff", &mut row), Err("line 1, column 1: this is no UTF-8".to_owned()));
    assert_eq!(json_row(b"", &mut row), Err("line 1, column 1: no JSON: value missing".to_owned()));
}

#[test]
fn mistakes_are_shown_with_a_caret() {
    let error = all("a,b\n1,\"2\"3\n", FileFormat::Csv).expect_err("a mistake");
    let shown = error.with_caret();
    assert_eq!(shown.lines().skip(1).collect::<Vec<_>>(), ["2 | 1,\"2\"3", "  |      ^"]);
    let long = format!("{{\"a\":\"{}\", x}}", "y".repeat(500));
    let error = all(&long, FileFormat::JsonLines).expect_err("a mistake");
    let shown = error.with_caret();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1].len() < 120 && lines[1].chars().nth(lines[2].len() - 1) == Some('x'), "{shown}");
}

#[test]
fn forms_follow_from_extensions() {
    let of = |path: &str| format_of(Path::new(path));
    assert_eq!(
        ["a.csv", "b.CSV", "c.json", "d.jsonl", "e.ndjson", "f"].map(of),
        [
            FileFormat::Csv,
            FileFormat::Csv,
            FileFormat::Json,
            FileFormat::JsonLines,
            FileFormat::JsonLines,
            FileFormat::JsonLines
        ]
    );
}

#[test]
fn no_bytes_stop_the_readers() {
    const PIECES: [&[u8]; 16] = [
        b"a",
        b"\"",
        b",",
        b"\n",
        b"\r",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"1e9",
        b"\"a\":",
        b"-0.",
        b"\\u12",
        "é".as_bytes(),
        b"\xc3",
    ];
    // Every text of four pieces.
    for n in 0..PIECES.len().pow(4) {
        let text: Vec<u8> = (0..4).flat_map(|i| PIECES[n >> (4 * i) & 15].iter().copied()).collect();
        let mut row = Row::default();
        for format in [FileFormat::Csv, FileFormat::CsvNoHeader, FileFormat::JsonLines, FileFormat::Json] {
            let Ok(mut file) = DataFile::open(&text, format) else { continue };
            let records = std::iter::from_fn(|| file.next_into(&mut row).unwrap_or(false).then_some(()));
            assert!(records.count() < 5, "{text:?}");
        }
        assert!(json_row(&text, &mut row).is_err() || text.contains(&b'{'), "{text:?}");
    }
}
