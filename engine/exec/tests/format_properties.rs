//! Properties of decoding and encoding that hold for any input: round trips, independence of slab and batch
//! boundaries, agreement with plain oracles, and no panic on any bytes.

mod partition;

use partition::{BARE_CSV, CSV, Outcome, canonical, read, read_framed, source};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use velostream_exec::format::{Encoder, infer};
use velostream_sql::plan::{Format, Repr, SinkFormat, SourcePlan};
use velostream_types::{Batch, Chunk, Column, DataType, ErrorCode, Field, RowMeta, SourceId, Value, decimal};

const JSON: Format = Format::JsonLines;

fn inferred(name: &str, data_type: DataType) -> Field {
    Field { inferred: true, ..Field::new(name, data_type) }
}

/// A column of `rows` values of one type.
fn column(rows: usize) -> impl Strategy<Value = (DataType, Column)> {
    let nulls = |s: BoxedStrategy<Value>| prop_oneof![1 => Just(Value::Null), 6 => s].boxed();
    let text = prop_oneof!["[a-z]{0,20}", ".{0,20}", "[\",\\\\\n\r \u{1}é]{0,6}"];
    let mantissa = prop_oneof![-1000i128..1000, -decimal::MAX..decimal::MAX, any::<i64>().prop_map(i128::from)];
    prop_oneof![
        Just((DataType::Boolean, nulls(any::<bool>().prop_map(Value::Bool).boxed()))),
        Just((DataType::Integer, nulls(prop_oneof![any::<i64>(), -999i64..999].prop_map(Value::Int).boxed()))),
        Just((
            DataType::Float,
            nulls(any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(Value::Float).boxed())
        )),
        (0u8..=38).prop_map(move |scale| {
            let m = mantissa.clone().prop_map(move |mantissa| Value::Decimal { mantissa, scale });
            (DataType::decimal(scale), nulls(m.boxed()))
        }),
        Just((DataType::String, nulls(text.prop_map(|s| Value::Str(s.into())).boxed()))),
        Just((DataType::Timestamp, nulls(any::<i64>().prop_map(Value::Timestamp).boxed()))),
        Just((DataType::Date, nulls((-700_000i32..2_900_000).prop_map(Value::Date).boxed()))),
        Just((
            DataType::Bytes,
            nulls(prop::collection::vec(any::<u8>(), 0..20).prop_map(|b| Value::Bytes(b.into())).boxed())
        )),
    ]
    .prop_flat_map(move |(ty, value)| (Just(ty), prop::collection::vec(value, rows)))
    .prop_map(|(ty, values)| (ty.clone(), build(&ty, &values)))
}

/// The column that holds these values.
fn build(ty: &DataType, values: &[Value]) -> Column {
    use arrow_array::builder::BinaryViewBuilder;
    let int = |v: &Value| match v {
        Value::Int(i) | Value::Timestamp(i) => Some(*i),
        _ => None,
    };
    let nulls = Some(values.iter().map(|v| !v.is_null()).collect::<Vec<bool>>().into());
    match ty {
        DataType::Boolean => {
            Column::Bool(values.iter().map(|v| if let Value::Bool(b) = v { Some(*b) } else { None }).collect())
        }
        DataType::Integer => Column::ints(values.iter().map(|v| int(v).unwrap_or(0)).collect(), nulls),
        DataType::Timestamp => Column::timestamps(values.iter().map(|v| int(v).unwrap_or(0)).collect(), nulls),
        DataType::Float => {
            Column::floats(values.iter().map(|v| if let Value::Float(x) = v { *x } else { 0.0 }).collect(), nulls)
        }
        DataType::Decimal { scale, .. } => {
            let m = |v: &Value| if let Value::Decimal { mantissa, .. } = v { *mantissa } else { 0 };
            Column::dec128(values.iter().map(m).collect(), *scale, nulls)
        }
        DataType::Date => {
            Column::Date(values.iter().map(|v| if let Value::Date(d) = v { Some(*d) } else { None }).collect())
        }
        DataType::Bytes => {
            let mut b = BinaryViewBuilder::new();
            values.iter().for_each(|v| b.append_option(if let Value::Bytes(x) = v { Some(x.as_ref()) } else { None }));
            Column::Bytes(b.finish())
        }
        _ => Column::strs(values.iter().map(|v| if let Value::Str(s) = v { Some(s.as_ref()) } else { None })),
    }
}

fn table() -> impl Strategy<Value = (Vec<DataType>, Vec<Column>, usize)> {
    (1usize..6, 0usize..40).prop_flat_map(|(columns, rows)| {
        prop::collection::vec(column(rows), columns).prop_map(move |columns| {
            let (types, columns) = columns.into_iter().unzip();
            (types, columns, rows)
        })
    })
}

/// Encodes a table and reads it back.
fn round_trip(
    sink: SinkFormat,
    format: &Format,
    types: &[DataType],
    columns: &[Column],
    rows: usize,
    slab: usize,
    max_rows: usize,
) -> TestCaseResult {
    // A marker column keeps a row of one NULL from being a blank line.
    let mut fields: Vec<Field> =
        types.iter().enumerate().map(|(i, t)| Field::new(format!("c\"{i}"), t.clone())).collect();
    fields.push(Field::new("mark", DataType::Boolean));
    let mut all = columns.to_vec();
    all.push(Column::repeat(&Value::Bool(true), rows));
    let plan = source(format, fields);
    let batch = Batch::new(all, rows, RowMeta::plain(SourceId(0), 0, 0));
    let mut encoder = Encoder::new(sink, &plan.schema);
    let mut chunk = Chunk { bytes: encoder.header().unwrap_or_default(), ..Chunk::default() };
    encoder.encode(&batch, &mut chunk, &mut 0);
    prop_assert_eq!(chunk.rows(), rows);
    let got = read(&plan, &chunk.bytes, slab, max_rows);
    prop_assert!(got.bad.is_empty(), "{:?}", got.bad);
    let want: Vec<Vec<Value>> =
        (0..rows).map(|r| batch.columns.iter().map(|c| canonical(c.value(r))).collect()).collect();
    // -0.0 prints as 0.0.
    prop_assert_eq!(
        format!("{:?}", got.values()).replace("-0.0)", "0.0)"),
        format!("{want:?}").replace("-0.0)", "0.0)")
    );
    Ok(())
}

/// The answer must be the same for any slab size and any batch size.
fn invariant(plan: &SourcePlan, bytes: &[u8], slab: usize, max_rows: usize) -> Result<Outcome, TestCaseError> {
    let whole = read(plan, bytes, bytes.len().max(1), 100_000);
    let cut = read(plan, bytes, slab, max_rows);
    prop_assert_eq!(&whole, &cut);
    prop_assert_eq!(whole.next_offset, (whole.rows.len() + whole.bad.len()) as i64);
    Ok(whole)
}

/// Text that is nearly JSON lines.
fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        "-?[0-9]{1,20}(\\.[0-9]{1,10})?(e[0-9])?",
        "\"[a-zA-Z é😀]{0,20}\"",
        Just("null".to_owned()),
        Just("true".to_owned()),
        "\"(\\\\n|\\\\u00e9|\\\\ud83d\\\\ude00|\\\\ud83d|\\\\x|x){0,3}\"",
        Just("{\"a\":[1,{\"b\":\"}\"}]}".to_owned()),
        Just("[[],{}]".to_owned()),
        "[\\[\\]{},:\"a1]{0,6}",
    ];
    let key = prop_oneof![4 => "[abcd]", 1 => Just("\\u0061".to_owned()), 1 => "[a-z]{15,25}"];
    let space = prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\t ")];
    let member = (key, space, value).prop_map(|(k, s, v)| format!("\"{k}\":{s}{v}"));
    let record = prop_oneof![
        8 => (prop::collection::vec(member, 0..6), prop_oneof![Just(","), Just(", ")]).prop_map(|(m, by)| format!("{{{}}}", m.join(by))),
        1 => Just(String::new()),
        1 => ".{0,12}",
    ];
    let end = prop_oneof![8 => Just("\n"), 1 => Just("\r\n"), 1 => Just(" \n")];
    // Runs of equal records let the layout learn.
    let lines = prop::collection::vec((record, end, 1usize..6), 0..20);
    (lines, any::<bool>()).prop_map(|(lines, ended)| {
        let mut text: String = lines.iter().map(|(r, e, n)| format!("{r}{e}").repeat(*n)).collect();
        if !ended {
            text.pop();
        }
        text.into_bytes()
    })
}

/// Text that is nearly CSV.
fn csv_like() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![
        6 => "-?[0-9]{1,12}(\\.[0-9]{1,6})?",
        4 => "[a-zA-Z é]{0,20}",
        1 => "\"[a-z,\n]{0,8}\"",
        1 => "\"(\"\"|a){0,4}\"",
        1 => "[\"a,\r\n]{0,5}",
    ];
    let record = prop_oneof![
        10 => prop::collection::vec(field.clone(), 3).prop_map(|f| f.join(",")),
        1 => prop::collection::vec(field, 0..5).prop_map(|f| f.join(",")),
    ];
    let end = prop_oneof![8 => Just("\n"), 2 => Just("\r\n")];
    (prop::collection::vec((record, end, 1usize..4), 0..30), any::<bool>()).prop_map(|(lines, ended)| {
        let mut text: String = lines.iter().map(|(r, e, n)| format!("{r}{e}").repeat(*n)).collect();
        if !ended {
            text.pop();
        }
        text.into_bytes()
    })
}

/// Replaces, inserts and removes a few bytes.
fn mutate(mut bytes: Vec<u8>, changes: &[(usize, u8, u8)]) -> Vec<u8> {
    for (at, how, b) in changes {
        let at = at % (bytes.len() + 1);
        match how % 3 {
            0 if at < bytes.len() => bytes[at] = *b,
            1 if at < bytes.len() => drop(bytes.remove(at)),
            _ => bytes.insert(at, *b),
        }
    }
    bytes
}

fn json_plan() -> SourcePlan {
    let mut plan = source(
        &JSON,
        vec![
            inferred("a", DataType::Integer),
            inferred("b", DataType::String),
            Field::new("c", DataType::String),
            inferred("d", DataType::Null),
        ],
    );
    let mut token = plan.read[0].clone();
    token.repr = Repr::Token;
    plan.read.push(token);
    plan
}

fn csv_plan(format: &Format) -> SourcePlan {
    let column = |i: usize, ty| inferred(&format!("col_{i}"), ty);
    let mut plan =
        source(format, vec![column(0, DataType::decimal(2)), column(1, DataType::String), column(2, DataType::Null)]);
    let mut token = plan.read[0].clone();
    token.repr = Repr::Token;
    plan.read.push(token);
    plan
}

/// Records of a CSV stream, one character at a time: (text, well-formed), header not taken off, blank lines left out.
fn split_csv(bytes: &[u8]) -> Vec<(Vec<u8>, bool)> {
    let (mut records, mut start) = (Vec::new(), 0);
    while start < bytes.len() {
        let (mut at, mut in_quotes, mut field_start, mut closed, mut good) = (start, false, true, false, true);
        let end = loop {
            let Some(b) = bytes.get(at) else { break None };
            match (in_quotes, b) {
                (true, b'"') if bytes.get(at + 1) == Some(&b'"') => at += 1,
                (true, b'"') => (in_quotes, closed) = (false, true),
                (true, _) => {}
                (false, b'\n') => break Some(at),
                (false, b',') => {
                    (field_start, closed) = (true, false);
                    at += 1;
                    continue;
                }
                (false, b'"') if field_start => in_quotes = true,
                (false, b'\r') if matches!(bytes.get(at + 1), None | Some(b'\n')) => {}
                (false, _) => good &= !closed,
            }
            field_start = false;
            at += 1;
        };
        let open_end = in_quotes.then(|| bytes[start..].iter().position(|b| *b == b'\n').map(|n| start + n));
        let stop = end.or(open_end.flatten()).unwrap_or(bytes.len());
        let text = &bytes[start..stop];
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if !text.is_empty() {
            records.push((text.to_vec(), good && !in_quotes));
        }
        start = stop + 1;
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn json_round_trip((types, columns, rows) in table(), slab in 1usize..2000, max_rows in 1usize..50) {
        round_trip(SinkFormat::JsonLines, &JSON, &types, &columns, rows, slab, max_rows)?;
    }

    #[test]
    fn csv_round_trip((types, columns, rows) in table(), slab in 1usize..2000, max_rows in 1usize..50) {
        round_trip(SinkFormat::Csv { delimiter: b',', header: true }, &CSV, &types, &columns, rows, slab, max_rows)?;
        let semicolons = Format::Csv { delimiter: b';', quote: b'"', header: false, skip_lines: 0 };
        round_trip(SinkFormat::Csv { delimiter: b';', header: false }, &semicolons, &types, &columns, rows, slab, max_rows)?;
    }

    #[test]
    fn json_agrees_with_a_tree(bytes in json_like(), slab in 1usize..300, max_rows in 1usize..20) {
        let plan = json_plan();
        let got = invariant(&plan, &bytes, slab, max_rows)?;
        let unmarked = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
        let lines: Vec<&[u8]> = unmarked.split(|b| *b == b'\n').filter(|l| !l.iter().all(|b| b" \t\r".contains(b))).collect();
        prop_assert_eq!(lines.len() as i64, got.next_offset);
        let bad: Vec<i64> = got.bad.iter().map(|b| b.offset).collect();
        for (i, line) in lines.iter().enumerate() {
            let tree = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line);
            let well_formed = tree.is_ok();
            if !well_formed && !bad.contains(&(i as i64)) {
                // Unread numbers and unread lone surrogates are not looked at.
                let text = String::from_utf8_lossy(line);
                prop_assert!(text.contains(['.', 'e', '0', '-']) || text.contains("\\ud83d"), "{text}");
            }
            if let Some((_, _, values)) = got.rows.iter().find(|(offset, ..)| *offset == i as i64)
                && let Ok(tree) = tree
            {
                compare(&values[0], tree.get("a"));
                compare(&values[2], tree.get("c"));
            }
        }
    }

    #[test]
    fn csv_agrees_with_a_plain_splitter(bytes in csv_like(), slab in 1usize..300, max_rows in 1usize..20) {
        let plan = csv_plan(&BARE_CSV);
        let got = invariant(&plan, &bytes, slab, max_rows)?;
        let want = split_csv(&bytes);
        prop_assert_eq!(want.len() as i64, got.next_offset);
        for (offset, raw, _) in &got.rows {
            prop_assert_eq!(&want[*offset as usize].0, raw);
            prop_assert!(want[*offset as usize].1);
        }
        for bad in &got.bad {
            prop_assert_eq!(&want[bad.offset as usize].0, &bad.bytes);
            let at = bad.position.expect("a stream") as usize;
            prop_assert_eq!(&bytes[at..at + bad.bytes.len()], &bad.bytes[..]);
        }
    }

    #[test]
    fn broken_input_is_counted(json in json_like(), csv in csv_like(), changes in prop::collection::vec(any::<(usize, u8, u8)>(), 0..8), slab in 1usize..300, max_rows in 1usize..20, limit in 5usize..60) {
        let (json, csv) = (mutate(json, &changes), mutate(csv, &changes));
        let mut plan = json_plan();
        invariant(&plan, &json, slab, max_rows)?;
        plan.max_record_bytes = limit;
        invariant(&plan, &json, slab, max_rows)?;
        for format in [&CSV, &BARE_CSV, &Format::Csv { delimiter: b'a', quote: b'"', header: true, skip_lines: 2 }] {
            let mut plan = csv_plan(format);
            invariant(&plan, &csv, slab, max_rows)?;
            plan.max_record_bytes = limit;
            invariant(&plan, &csv, slab, max_rows)?;
            let _ = infer(format, &[csv.clone(), json.clone()], 10);
        }
        let _ = infer(&JSON, &[csv, json], 10);
    }

    #[test]
    fn quotes_at_the_limit_end_alike(parts in prop::collection::vec(prop::sample::select(vec!["\"", "\",\"", "a\",\"", "a", "\n", "\n", "\r\n"]), 0..40), slab in 1usize..100, max_rows in 1usize..6, limit in 5usize..20) {
        let mut plan = source(&BARE_CSV, vec![inferred("x", DataType::Null)]);
        plan.max_record_bytes = limit;
        // A number behind text cuts the batch: the records behind it are cut twice.
        invariant(&plan, format!("x\n1\n{}", parts.concat()).as_bytes(), slab, max_rows)?;
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\":,\n\r\\ue1".to_vec())], 0..300), slab in 1usize..100) {
        invariant(&json_plan(), &bytes, slab, 7)?;
        invariant(&csv_plan(&BARE_CSV), &bytes, slab, 7)?;
    }

    #[test]
    fn framed_records_equal_lines(bytes in json_like(), changes in prop::collection::vec(any::<(usize, u8, u8)>(), 0..4), max_rows in 1usize..20) {
        let plan = json_plan();
        let bytes = mutate(bytes, &changes);
        let lines: Vec<Option<Vec<u8>>> = bytes.split(|b| *b == b'\n').map(|l| (!l.is_empty()).then(|| l.to_vec())).collect();
        let got = read_framed(&plan, &lines, max_rows);
        prop_assert_eq!(&got, &read_framed(&plan, &lines, 100_000));
        prop_assert_eq!(got.rows.len() + got.bad.len() + got.null_values as usize, lines.len());
        let alone = lines.iter().flatten().flat_map(|l| read(&plan, l, l.len(), 1).values());
        prop_assert_eq!(got.values(), alone.collect::<Vec<_>>());
        let mut csv = csv_plan(&BARE_CSV);
        csv.max_record_bytes = 40;
        let got = read_framed(&csv, &lines, max_rows);
        prop_assert_eq!(got.rows.len() + got.bad.len() + got.null_values as usize, lines.len());
        prop_assert!(got.bad.iter().all(|b| b.error.code != ErrorCode::TooLong || b.full_length > Some(40)));
    }
}

/// One decoded value against the tree's.
fn compare(got: &Value, want: Option<&serde_json::Value>) {
    match (got, want) {
        (Value::Null, None | Some(serde_json::Value::Null)) => {}
        (Value::Str(s), Some(serde_json::Value::String(w))) => assert_eq!(s.as_ref(), w),
        (Value::Decimal { mantissa, scale }, Some(serde_json::Value::Number(n))) => {
            let text = decimal::to_text(*mantissa, *scale);
            let (got, want): (f64, f64) = (text.parse().expect("a number"), n.to_string().parse().expect("a number"));
            assert!((got - want).abs() <= want.abs() * 1e-15, "{text} {n}");
        }
        other => panic!("{other:?}"),
    }
}
