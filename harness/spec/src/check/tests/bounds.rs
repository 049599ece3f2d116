//! Where each kind of assertion draws its line.

use velostream_types::Value;

use super::{Run, row};
use crate::assertion::{
    AggregateFunction, AssertionKind as Kind, CountBounds, Direction, DistributionType, FieldOperator as Op, Integrity,
    MetricTest, MetricType,
};
use crate::check::Series;
use crate::outcome::Outcome;
use crate::spec::FileFormat;

fn s(text: &str) -> String {
    text.to_owned()
}

fn numbers(n: usize) -> Run {
    Run::of(&(1..=n).map(|i| format!("{{\"n\": {i}}}\n")).collect::<String>())
}

fn count(run: &Run, bounds: CountBounds, expression: Option<&str>) -> Outcome {
    run.check(Kind::RecordCount { bounds, expression: expression.map(s) })
}

#[test]
fn an_exact_count_decides_alone_and_the_others_together() {
    let run = numbers(10);
    let bounds =
        |equals, greater_than, less_than| CountBounds { equals, greater_than, less_than, ..CountBounds::default() };
    assert!(count(&run, bounds(Some(10), Some(50), None), None).passed);
    assert!(!count(&run, bounds(None, Some(10), None), None).passed, "exclusive");
    assert!(!count(&run, bounds(None, None, Some(10)), None).passed, "exclusive");
    assert!(count(&run, bounds(None, Some(9), Some(11)), None).passed);
    let between = CountBounds { min: Some(10), max: Some(10), ..CountBounds::default() };
    assert!(count(&run, between, None).passed, "inclusive");
    assert!(count(&run, CountBounds::default(), None).warning.is_some(), "nothing is asked");
}

#[test]
fn a_count_by_expression_is_compared_or_decides_itself() {
    let run = numbers(10).input("orders", &"{\"a\": 1}\n".repeat(11));
    let by = |expression: &str| count(&run, CountBounds::default(), Some(expression));
    assert!(by("{{inputs.orders.count}}").passed, "one off is within ± 1");
    assert!(!by("{{inputs.orders.count}} + 1").passed);
    assert!(by("{{outputs.trades.count}} < {{inputs.orders.count}}").passed);
    assert!(!by("outputs.trades.count > inputs.orders.count").passed);
    assert!(by("{{inputs.nothing.count}}").message.contains("there is no input \"nothing\""));
    assert!(by("10 / 0").message.contains("divided by 0"));
    assert!(by("10 +").message.contains("at character 5"));
    let run = numbers(2_000);
    assert!(count(&run, CountBounds::default(), Some("2002")).passed, "0.1 % of 2002 is more than 1");
    assert!(!count(&run, CountBounds::default(), Some("2003")).passed);
    let bounds = CountBounds { less_than: Some(5), ..CountBounds::default() };
    assert!(!count(&run, bounds, Some("true")).passed, "bounds hold besides");
}

#[test]
fn fields_are_those_of_all_records() {
    let run = Run::of("{\"a\": 1}\n{\"b\": null}\n");
    let fields = |names: &[&str], key: Option<&str>| Kind::SchemaContains {
        fields: names.iter().map(|n| s(n)).collect(),
        key_field: key.map(s),
    };
    assert!(run.check(fields(&["a", "b"], Some("a"))).passed);
    assert!(!run.check(fields(&["c"], None)).passed);
    let mut unkeyed = Run::of("{\"a\": 1}");
    unkeyed.keys = false;
    assert!(!unkeyed.check(fields(&["a"], Some("a"))).passed);
    let nulls = run.check(Kind::NoNulls { fields: Vec::new() });
    assert!(nulls.passed, "only fields of the first record are looked at");
    let absent = run.check(Kind::NoNulls { fields: vec![s("c")] });
    assert!(absent.passed && absent.warning.is_some(), "a missing field is no NULL, and worth a word");
}

#[test]
fn values_compare_as_numbers_truths_and_texts() {
    let one = |value: Value, operator, wanted: Value| {
        Run::new(vec![row(&[("f", value)])]).check(Kind::FieldValues { field: s("f"), operator, value: wanted }).passed
    };
    let text = |t: &str| Value::Str(t.into());
    let decimal = |mantissa, scale| Value::Decimal { mantissa, scale };
    assert!(one(decimal(10_001, 4), Op::Equals, Value::Int(1)), "a difference of 1e-4 is none");
    assert!(!one(decimal(10_002, 4), Op::Equals, Value::Int(1)));
    assert!(one(Value::Int(5), Op::Equals, text("5.0")), "a quoted number is one");
    assert!(one(Value::Bool(true), Op::Equals, text("true")) && one(text("true"), Op::Equals, Value::Bool(true)));
    assert!(one(Value::Null, Op::NotEquals, Value::Int(1)) && !one(Value::Null, Op::Equals, Value::Int(1)));
    assert!(!one(text("9"), Op::GreaterThan, Value::Int(1)), "texts have no order");
    assert!(
        one(Value::Int(2), Op::GreaterThanOrEquals, Value::Int(2))
            && !one(Value::Int(2), Op::GreaterThan, Value::Int(2))
    );
    assert!(
        one(Value::Int(2), Op::LessThanOrEquals, Value::Int(2)) && !one(Value::Int(2), Op::LessThan, Value::Int(2))
    );
    assert!(one(text("abc"), Op::Contains, text("b")) && !one(text("abc"), Op::Contains, text("B")));
    assert!(one(text("abc"), Op::StartsWith, text("ab")) && one(text("abc"), Op::EndsWith, text("bc")));
    assert!(one(text("abc"), Op::Matches, text("^a.c$")) && !one(text("abcd"), Op::Matches, text("^a.c$")));
    assert!(!one(text("abc"), Op::Matches, text("(")), "no regular expression");
    let run = Run::of("{\"price\": 1}");
    let outcome = run.check(Kind::FieldInSet { field: s("prise"), values: vec![s("1")] });
    assert!(outcome.passed && outcome.warning.is_some_and(|w| w.contains("did you mean \"price\"?")));
    assert!(run.check(Kind::FieldInSet { field: s("price"), values: vec![s("1")] }).passed, "numbers by their text");
}

#[test]
fn the_first_ten_rows_are_shown() {
    let outcome =
        numbers(25).check(Kind::FieldValues { field: s("n"), operator: Op::GreaterThan, value: Value::Int(13) });
    assert_eq!((outcome.rows.len(), outcome.more_rows), (10, 3));
    assert_eq!((outcome.rows[0].place.as_str(), outcome.rows[0].key.as_deref()), ("0@0", Some("k0")));
}

#[test]
fn aggregates_are_exact() {
    let run = Run::of("{\"p\": 0.1, \"t\": \"x\"}\n{\"p\": 0.2}\n{\"p\": null}\n");
    let check = |function, field: &str, expected: &str, tolerance| {
        run.check(Kind::AggregateCheck { function, field: s(field), expected: s(expected), tolerance })
    };
    assert!(check(AggregateFunction::Sum, "p", "0.3", 0.0).passed, "no cent of floats");
    assert!(check(AggregateFunction::Avg, "p", "0.15", 0.0).passed);
    assert!(
        check(AggregateFunction::Min, "p", "0.1", 0.0).passed && check(AggregateFunction::Max, "p", "0.2", 0.0).passed
    );
    assert!(check(AggregateFunction::Count, "p", "2", 0.0).passed, "NULLs do not count");
    assert!(check(AggregateFunction::Count, "gone", "0", 0.0).passed);
    assert!(check(AggregateFunction::Sum, "p", "{{records.length}} / 10", 0.0).passed);
    assert!(!check(AggregateFunction::Sum, "t", "0", 1.0).passed, "texts are no numbers");
    assert!(check(AggregateFunction::Sum, "p", "{{gone}}", 1.0).message.contains("there is no variable \"gone\""));
    assert!(check(AggregateFunction::Sum, "p", "1 +", 1.0).message.contains("at character 4"));
}

#[test]
fn a_join_without_known_inputs_needs_some_output() {
    let join = |run: &Run| {
        run.check(Kind::JoinCoverage { min_match_rate: 0.5, left_source: Some(s("l")), right_source: None })
    };
    assert!(join(&numbers(1)).warning.is_some_and(|w| w.contains("no input is called \"l\"")));
    assert!(!join(&numbers(0)).passed);
    assert!(join(&numbers(0).input("l", "")).passed, "nothing in, nothing out");
}

#[test]
fn keys_are_compared_by_value_and_field() {
    let check = |lines: &str, allow_updates| {
        Run::of(lines).check(Kind::NoDuplicates {
            key_fields: vec![s("a"), s("b")],
            allow_updates,
            max_duplicate_percent: None,
        })
    };
    assert!(check("{\"a\": \"x\", \"b\": \"yz\"}\n{\"a\": \"xy\", \"b\": \"z\"}", false).passed);
    assert!(!check("{\"a\": 5, \"b\": 1}\n{\"a\": 5.00, \"b\": 1}", false).passed, "one number at two scales");
    assert!(check("{\"a\": 5, \"b\": null}\n{\"a\": 5}", false).passed, "NULL is not missing");
    let update = "{\"a\": 1, \"b\": 1, \"v\": 1}\n{\"a\": 1, \"b\": 1, \"v\": 2}\n";
    assert!(!check(update, false).passed && check(update, true).passed);
    let again = format!("{update}{{\"a\": 1, \"b\": 1, \"v\": 2}}");
    assert_eq!(check(&again, true).rows[0].place, "0@2", "the same row again is no update");
}

#[test]
fn neighbours_are_those_of_their_partition() {
    let run = Run::of(
        "{\"k\": 1, \"v\": 5}\n{\"k\": 2, \"v\": 1}\n{\"k\": 1, \"v\": null}\n{\"k\": 1, \"v\": 5}\n{\"k\": 2, \"v\": 3}\n",
    );
    let order = |partition_by: Option<&str>, direction, allow_equal| {
        run.check(Kind::Ordering { field: s("v"), direction, partition_by: partition_by.map(s), allow_equal })
    };
    assert!(!order(None, Direction::Ascending, true).passed);
    assert!(order(Some("k"), Direction::Ascending, true).passed, "NULLs are skipped");
    assert!(!order(Some("k"), Direction::Ascending, false).passed);
    assert_eq!(order(Some("k"), Direction::Descending, true).rows[0].place, "0@4");
    let texts = Run::of("{\"v\": \"b\"}\n{\"v\": \"a\"}\n");
    let texts = texts.check(Kind::Ordering {
        field: s("v"),
        direction: Direction::Descending,
        partition_by: None,
        allow_equal: true,
    });
    assert!(texts.passed);
}

#[test]
fn completeness_asks_for_keys_and_fields() {
    let check = |lines: &str, required: &[&str]| {
        Run::of(lines).input("in", "{\"id\": 1}\n{\"id\": 2}\n{\"id\": 1}\n{\"id\": null}\n").check(
            Kind::Completeness {
                input_source: s("in"),
                key_field: s("id"),
                min_completeness: 1.0,
                required_fields: required.iter().map(|f| s(f)).collect(),
            },
        )
    };
    assert!(check("{\"id\": 2}\n{\"id\": \"1\"}\n", &["id"]).passed, "keys by their text");
    assert!(check("{\"id\": 2}\n", &[]).message.ends_with("missing: 1"));
    let lacking = check("{\"id\": 2}\n{\"id\": 1, \"x\": 1}\n", &["x"]);
    assert_eq!((lacking.passed, lacking.rows[0].place.as_str()), (false, "0@0"));
}

#[test]
fn references_are_to_values_of_inputs() {
    let quality = |lines: &str, score| {
        Run::of(lines).input("ids", "{\"id\": 1}\n{\"id\": 2.0}\n").check(Kind::DataQuality {
            no_nulls_in: Vec::new(),
            no_empty_strings_in: Vec::new(),
            numeric_ranges: Vec::new(),
            string_patterns: Vec::new(),
            referential_integrity: vec![Integrity {
                field: s("r"),
                reference_source: s("ids"),
                reference_field: s("id"),
            }],
            min_quality_score: score,
        })
    };
    assert!(quality("{\"r\": 2}\n{\"r\": 1}\n{\"r\": null}\n", None).passed, "NULL refers to nothing");
    assert!(!quality("{\"r\": 3}\n{\"r\": 1}\n", None).passed);
    assert!(quality("{\"r\": 3}\n{\"r\": 1}\n", Some(0.5)).passed, "half of the looks hold");
}

#[test]
fn a_table_may_lag_behind_its_inputs() {
    let check = |max_lag_ms| {
        Run::of("{\"event_time\": 1000}\n{\"event_time\": 900}\n").input("in", "{\"event_time\": 1500}").check(
            Kind::TableFreshness { table: s("t"), max_age_ms: None, max_lag_ms: Some(max_lag_ms), min_records: None },
        )
    };
    assert!(check(500).passed && !check(499).passed);
}

#[test]
fn files_are_read_in_their_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("a.csv", "id,v\n1,x\n2,y\n1,x\n");
    write("b.csv", "id,v\n2,y\n1,x\n1,x\n");
    write("c.csv", "id,v\n2,y\n2,y\n1,x\n");
    write("bad.jsonl", "{\"a\": 1}\n{\"a\": }\n");
    let mut run = numbers(0);
    run.folder = folder.path().to_owned();
    let rows = |name: &str, format, skip_header, n| {
        let bounds = CountBounds { equals: Some(n), ..CountBounds::default() };
        run.check(Kind::FileRowCount { path: name.into(), format, bounds, skip_header })
    };
    assert!(rows("a.csv", None, true, 3).passed, "the header is no row, once");
    assert!(rows("a.csv", Some(FileFormat::CsvNoHeader), false, 4).passed);
    assert!(rows("a.csv", Some(FileFormat::CsvNoHeader), true, 3).passed);
    assert!(rows("bad.jsonl", None, false, 2).message.starts_with("bad.jsonl: line 2, column"));
    assert!(rows("gone.csv", None, false, 0).message.contains("there is no file gone.csv"));
    let contains = |values: &[&str], any| {
        let expected_values = values.iter().map(|v| s(v)).collect();
        run.check(Kind::FileContains { path: "a.csv".into(), format: None, field: s("v"), expected_values, any }).passed
    };
    assert!(contains(&["x", "y"], false) && !contains(&["x", "z"], false) && contains(&["x", "z"], true));
    let matches = |actual: &str, expected: &str, ignore_order, ignore: &[&str]| {
        run.check(Kind::FileMatches {
            actual_path: actual.into(),
            expected_path: expected.into(),
            format: None,
            compare_fields: Vec::new(),
            ignore_fields: ignore.iter().map(|f| s(f)).collect(),
            ignore_order,
            numeric_tolerance: 1e-4,
        })
    };
    assert!(matches("a.csv", "b.csv", true, &[]).passed && !matches("a.csv", "b.csv", false, &[]).passed);
    let differs = matches("a.csv", "c.csv", true, &[]);
    assert_eq!(
        (differs.passed, differs.actual.as_deref()),
        (false, Some("1 of 3 rows different")),
        "how often a row comes counts"
    );
    assert!(matches("a.csv", "c.csv", true, &["id", "v"]).warning.is_some());
    assert!(!matches("a.csv", "gone.csv", true, &[]).passed);
    write("few.csv", "id,v\n1,x\n");
    assert_eq!(matches("few.csv", "a.csv", true, &[]).rows[0].place, "expected row 1");
    write("near.csv", "id,v\n1.00009,x\n2,y\n1,x\n");
    assert!(matches("near.csv", "a.csv", true, &[]).passed, "within the tolerance");
    write("far.csv", "id,v\n1.00011,x\n2,y\n1,x\n");
    let far = matches("far.csv", "a.csv", true, &[]);
    assert_eq!(far.rows[0].cells[0].expected.as_deref(), Some("1"), "beside the row it was meant to be");
    assert!(matches("far.csv", "a.csv", true, &["id"]).passed);
}

#[test]
fn windows_hold_their_records() {
    let check = |at: i64, tolerance_ms, size, alignment| {
        let mut run = Run::of("{\"window_start\": 1000}");
        run.headers = vec![(s("_EVENT_TIME"), Some(at.to_string().into_bytes()))];
        run.check(Kind::WindowBoundary {
            timestamp_field: None,
            window_start_field: None,
            window_end_field: None,
            window_size_ms: size,
            tolerance_ms,
            verify_containment: true,
            verify_alignment: alignment,
        })
        .passed
    };
    assert!(check(1000, 0, Some(500), true) && check(1500, 0, Some(500), true), "both ends are inside");
    assert!(!check(1501, 0, Some(500), false) && check(1501, 1, Some(500), false));
    assert!(!check(1000, 0, Some(300), true), "1000 is no multiple of 300");
    assert!(!check(1000, 0, None, false), "without an end nothing is known");
}

#[test]
fn few_values_are_not_judged() {
    let run = numbers(9);
    let latency = run.check(Kind::Latency {
        timestamp_field: None,
        max_ms: Some(0.0),
        avg_ms: None,
        p99_ms: None,
        p95_ms: None,
        p50_ms: None,
        min_records: 10,
    });
    let percentile =
        run.check(Kind::Percentile { field: s("n"), bounds: vec![(0.5, 0.0)], greater_than: false, min_records: 10 });
    for outcome in [latency, percentile] {
        assert!(outcome.passed && outcome.warning.is_some(), "{outcome:?}");
    }
}

#[test]
fn percentiles_are_values_that_are_there() {
    let check = |n, p, bound, greater_than| {
        numbers(n)
            .check(Kind::Percentile { field: s("n"), bounds: vec![(p, bound)], greater_than, min_records: 1 })
            .passed
    };
    assert!(check(100, 0.5, 51.0, false) && !check(100, 0.5, 50.0, false), "the value at floor(p·n), from 0");
    assert!(check(100, 0.29, 30.0, false) && check(100, 0.29, 30.0, true), "0.29 · 100 is 29");
    assert!(check(3, 0.999, 3.0, false), "not behind the last");
}

#[test]
fn distributions_have_their_marks() {
    let check = |run: &Run, kind, min, max| {
        run.check(Kind::Distribution {
            field: s("n"),
            distribution_type: kind,
            mean: None,
            std_dev: None,
            min_value: min,
            max_value: max,
            tolerance: 0.1,
            min_records: 2,
        })
        .passed
    };
    let run = Run::of("{\"n\": -10.9}\n{\"n\": \"110\"}\n");
    assert!(check(&run, DistributionType::Uniform, Some(-10.0), Some(100.0)), "a tenth beyond on either side");
    assert!(
        !check(&run, DistributionType::Uniform, Some(-9.0), None)
            && !check(&run, DistributionType::Custom, None, Some(99.0))
    );
    assert!(
        !check(&run, DistributionType::Exponential, None, None)
            && check(&numbers(5), DistributionType::Exponential, None, None)
    );
}

#[test]
fn disorder_and_gaps_have_limits() {
    let run =
        Run::of("{\"t\": 100, \"k\": 1}\n{\"t\": 200, \"k\": 2}\n{\"t\": 150, \"k\": 1}\n{\"t\": 900, \"k\": 2}\n");
    let check = |partition: Option<&str>, window_size_ms, allow_gaps, max_gap_ms| {
        run.check(Kind::EventOrdering {
            timestamp_field: s("t"),
            partition_field: partition.map(s),
            window_size_ms,
            direction: Direction::Ascending,
            allow_gaps,
            max_out_of_order_percent: None,
            max_gap_ms,
        })
    };
    assert!(!check(None, None, true, None).passed && check(Some("k"), None, true, None).passed);
    assert!(check(None, Some(50), true, None).passed && !check(None, Some(49), true, None).passed);
    assert!(!check(Some("k"), None, true, Some(699)).passed && check(Some("k"), None, true, Some(700)).passed);
    assert!(!check(Some("k"), Some(500), false, None).passed, "without gaps, a window is the limit");
    assert!(check(Some("k"), None, false, None).warning.is_some());
}

#[test]
fn metrics_are_found_by_name_and_labels() {
    let mut run = numbers(0);
    let counter = |run: &Run, name: &str, labels: &[(&str, &str)], n| {
        let labels = labels.iter().map(|(a, b)| (s(a), s(b))).collect();
        run.check(Kind::MetricCounter { name: s(name), test: MetricTest::Equals(n), labels })
    };
    assert!(counter(&run, "n", &[], 0.0).message.contains("metrics were off"));
    let series =
        |p: &str, value| Series { name: s("n_total"), labels: vec![(s("p"), s(p))], kind: MetricType::Counter, value };
    run.metrics = Some(vec![series("0", 2.0), series("1", 3.0)]);
    assert!(counter(&run, "n_total", &[], 5.0).passed && counter(&run, "n_total", &[("p", "1")], 3.0).passed);
    assert!(!counter(&run, "n", &[], 5.0).passed, "a prefix is not the name");
    assert!(!counter(&run, "n_total", &[("p", "2")], 0.0).passed, "absent is not 0");
}

#[test]
fn names_that_nothing_has_are_told() {
    let run = Run::of("{\"price\": 1, \"window_start\": 5}").input("orders", "{\"id\": 1}");
    let quality = run.check(Kind::DataQuality {
        no_nulls_in: Vec::new(),
        no_empty_strings_in: vec![s("prise")],
        numeric_ranges: Vec::new(),
        string_patterns: Vec::new(),
        referential_integrity: Vec::new(),
        min_quality_score: None,
    });
    assert!(quality.passed && quality.warning.is_some_and(|w| w.contains("did you mean \"price\"?")));
    let complete = run.check(Kind::Completeness {
        input_source: s("order"),
        key_field: s("id"),
        min_completeness: 1.0,
        required_fields: Vec::new(),
    });
    assert!(complete.passed && complete.warning.is_some_and(|w| w.contains("no input \"order\" was published")));
    let window = run.check(Kind::WindowBoundary {
        timestamp_field: Some(s("price")),
        window_start_field: None,
        window_end_field: Some(s("ends")),
        window_size_ms: None,
        tolerance_ms: 0,
        verify_containment: true,
        verify_alignment: false,
    });
    assert!(window.message.ends_with("no record has a time in ends, and window_size_ms is not given"), "{window:?}");
    let mut run = numbers(0);
    let series =
        |n: u32| Series { name: format!("m{n:02}"), labels: Vec::new(), kind: MetricType::Counter, value: 0.0 };
    run.metrics = Some((0..12).map(series).collect());
    let metric = run.check(Kind::MetricExists { name: s("other"), metric_type: None });
    assert_eq!(metric.actual.as_deref(), Some("m00, m01, m02, m03, m04, m05, m06, m07, m08, m09 and 2 more"));
}

#[test]
fn what_was_not_captured_is_not_taken_as_none() {
    let bounds = CountBounds { max: Some(0), ..CountBounds::default() };
    let run = numbers(1);
    assert!(!run.check(Kind::DlqCount { topic: None, bounds, error_types: Vec::new() }).passed);
    assert!(!run.check(Kind::ErrorRate { max_rate: 0.0, error_types: Vec::new(), min_records: 0 }).passed);
    assert!(!run.check(Kind::ExecutionTime { max_ms: Some(1), min_ms: None }).passed);
    assert!(run.check(Kind::MemoryUsage { max_bytes: Some(1), max_growth_bytes: None }).warning.is_some());
}
