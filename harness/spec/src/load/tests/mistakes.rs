//! One golden per kind of mistake in a spec.

use insta::assert_snapshot;

use super::{codes_of_assertion, load, said, said_of_assertion, said_of_query};

#[test]
fn malformed() {
    assert_snapshot!(
        [
            said("application: shop\nqueries: [1, 2\nname: x\n"),
            said("# nothing\n"),
            said("- application: shop\n"),
            said("application: shop\napplication: other\nqueries: []\n")
        ]
        .join("\n")
    );
}

#[test]
fn missing_keys() {
    assert_snapshot!(
        [
            said("description: no name\nqueries:\n"),
            said("application: shop\nqueries:\n  - description: no name\n    inputs:\n      - records: 5\n"),
            said_of_assertion("type: field_in_set\nfield: side"),
            said_of_assertion("field: side")
        ]
        .join("\n")
    );
}

#[test]
fn unknown_keys_are_warnings_with_their_path() {
    let inputs = "inputs:\n  - source: a\n  - source: b\n    recrods: 5\n    wholly_other: 1\nassertions:\n  \
                  - type: no_nulls\n    field: x";
    let text = format!("application: shop\nqueries:\n  - name: totals\n    {}\n", inputs.replace('\n', "\n    "));
    let loaded = load(&text);
    assert!(loaded.value.is_some(), "unknown keys do not stop a spec");
    assert!(loaded.findings[0].message.contains("queries[0].inputs[1].recrods"));
    assert_snapshot!(said(&text));
}

#[test]
fn wrong_types() {
    assert_snapshot!(
        [
            said("application: [shop]\ndefault_records: '100'\nqueries: none\n"),
            said_of_query("skip: 'true'\ninputs:\n  - source: a\n    records: 1.5\n  - b"),
            said_of_assertion("type: record_count\nbetween: [1]"),
            said_of_assertion("type: field_values\nfield: a\noperator: equals\nvalue: [1, 2]")
        ]
        .join("\n")
    );
}

#[test]
fn unknown_words() {
    assert_snapshot!(
        [
            said_of_assertion("type: aggregate_check\nfunction: sum\nfield: price\nexpected: '1'"),
            said_of_query("inputs:\n  - source: a\n    source_type: {type: folder, path: x}"),
            said_of_query("inputs:\n  - source: a\n    source_type: {type: file, path: x, format: CSV}")
        ]
        .join("\n")
    );
}

#[test]
fn unknown_assertions() {
    assert_snapshot!([said_of_assertion("type: record_cont\nequals: 5"), said_of_assertion("type: magic")].join("\n"));
}

#[test]
fn numbers_out_of_range() {
    assert_snapshot!(
        [
            said_of_assertion("type: join_coverage\nmin_match_rate: 1.5"),
            said_of_query("inputs:\n  - source: a\n    records: -1\n    time_simulation: {time_scale: 0}")
        ]
        .join("\n")
    );

    for keys in ["type: percentile\nfield: a\np50: .inf", "type: percentile\nfield: a\np50: .nan"] {
        let codes = codes_of_assertion(keys);
        assert!(codes == ["T0101"] || codes == ["T0103"], "{keys}: {codes:?}");
    }
}

#[test]
fn moments() {
    assert_snapshot!([said_of_query(
        "inputs:\n  - source: a\n    time_simulation: {start_time: yesterday, end_time: 4h}"
    ), said("application: shop\nnow: -4h\nqueries: []\n"), said_of_query("inputs:\n  - source: a\n    time_simulation: {start_time: +1h}"), said_of_query(
        "inputs:\n  - source: a\n    time_simulation: {start_time: 2024-02-01T00:00:00Z, end_time: 2024-01-01T00:00:00Z}"
    )].join("\n"));
}

#[test]
fn patterns() {
    assert_snapshot!(
        [
            said_of_assertion("type: data_quality\nstring_patterns: [{field: a, pattern: '[a-'}]"),
            said_of_assertion("type: field_values\nfield: a\noperator: matches\nvalue: '(b'")
        ]
        .join("\n")
    );
}

#[test]
fn names_given_twice() {
    let query = "  - name: totals\n    inputs: []\n    skip: true\n";
    assert_snapshot!(
        [
            said(&format!("application: shop\nqueries:\n{query}{query}")),
            said_of_query("inputs: []\nskip: true\noutputs:\n  - sink: a\n  - sink: a")
        ]
        .join("\n")
    );
}

#[test]
fn inputs_from_queries_that_are_not_there() {
    assert_snapshot!(said(
        "application: shop\nqueries:\n  - name: orders\n    skip: true\n    inputs: []\n  - name: totals\n    skip: true\n    \
         inputs:\n      - source: x\n        from_previous: oders\n      - source: y\n        from_previous: other\n"
    ));
}

#[test]
fn circles_are_reported_once() {
    let query = |name: &str, from: &str| {
        format!("  - name: {name}\n    skip: true\n    inputs:\n      - source: x\n        from_previous: {from}\n")
    };
    let queries = [query("a", "c"), query("b", "a"), query("c", "b"), query("d", "a"), query("e", "e")];
    assert_snapshot!(said(&format!("application: shop\nqueries:\n{}", queries.concat())));
}

#[test]
fn bounds_in_the_wrong_order() {
    assert_snapshot!(
        [
            said_of_assertion("type: record_count\nmin: 9\nmax: 5"),
            said_of_assertion("type: record_count\nbetween: [9, 5]"),
            said_of_assertion("type: dlq_count\ngreater_than: 4\nless_than: 5")
        ]
        .join("\n")
    );

    for keys in [
        "type: execution_time\nmin_ms: 5\nmax_ms: 4",
        "type: throughput\ngreater_than: 5\nmax_records_per_second: 4",
        "type: file_exists\npath: a\nmin_size_bytes: 5\nmax_size_bytes: 4",
        "type: distribution\nfield: a\ndistribution_type: uniform\nmin_value: 1\nmax_value: 0.5",
        "type: data_quality\nnumeric_ranges: [{field: a, min: 2, max: 1}]",
        "type: metric_gauge\nname: a\nbetween: [2, 1]",
    ] {
        assert_eq!(codes_of_assertion(keys), ["T0112"], "{keys}");
    }
    assert!(codes_of_assertion("type: record_count\ngreater_than: 4\nless_than: 6").is_empty());
}

#[test]
fn keys_that_disagree() {
    assert_snapshot!(
        [
            said_of_assertion("type: metric_exists\nname: a\nmetric_type: gauge\nexpected_type: counter"),
            said_of_assertion("type: error_rate\nmax_rate: 0.1\nmax_percent: 10"),
            said_of_assertion("type: error_rate\nmin_records: 1"),
            said_of_assertion("type: metric_counter\nname: a\noperator: between\nvalue: 5"),
            said_of_query("skip: true\ninputs: []\ncapture_format: avro")
        ]
        .join("\n")
    );

    for keys in [
        "type: memory_usage\nmax_bytes: 1\nmax_mb: 1",
        "type: record_count\nmin: 1\nbetween: [1, 2]",
        "type: record_count\nmax: 2\nbetween: [1, 2]",
        "type: window_boundary\nverify_alignment: true",
        "type: window_boundary\nverify_alignment: true\nwindow_size_ms: 0",
        "type: metric_gauge\nname: a",
    ] {
        assert_eq!(codes_of_assertion(keys), ["T0113"], "{keys}");
    }
}

#[test]
fn warnings_about_what_has_no_effect() {
    assert_snapshot!(said_of_query(
        "skip: true\ninputs:\n  - source: a\n    from_previous: totals2\n    data_file: a.csv\n    \
         source_type: {type: file, path: a.csv}"
    ));
    assert_eq!(
        codes_of_assertion("type: metric_gauge\nname: a\nvalue: 1\nbetween: [1, 2]\noperator: equals"),
        ["T0504"]
    );
}

#[test]
fn what_is_known_and_comes_later() {
    let text = "application: shop\nfault_injection: {seed: 1}\nstress_test: {}\ndebug: {}\nscenarios: []\ndlq: {}\n\
                table_state: {}\nqueries:\n  - name: totals\n    skip: true\n    capture_format: protobuf\n    \
                capture_schema: a.proto\n    dlq: {}\n    inputs:\n      - source: a\n        rate_per_second: 5\n        \
                format: avro\n";
    let spec = load(text).value.expect("only warnings");
    let later: Vec<&str> = spec.later.iter().map(|(path, _)| path.as_str()).collect();
    let expect = [
        "fault_injection",
        "stress_test",
        "debug",
        "scenarios",
        "dlq",
        "table_state",
        "queries[0].dlq",
        "queries[0].inputs[0].rate_per_second",
        "queries[0].capture_format",
        "queries[0].inputs[0].format",
    ];
    assert_eq!(later, expect);
    assert_snapshot!(said(text));
}

#[test]
fn nothing_is_asserted() {
    assert_snapshot!([said_of_query("inputs: []"), said("application: shop\nqueries: []\n")].join("\n"));
    assert_eq!(said_of_query("inputs: []\nskip: true"), "");
    assert_eq!(said_of_query("inputs: []\noutputs:\n  - sink: a\n    assertions:\n      - type: no_nulls"), "");
    assert_eq!(said_of_query("inputs: []\nmetric_assertions:\n  - {type: metric_exists, name: a}"), "");
}

#[test]
fn assertions_that_cannot_fail() {
    assert_snapshot!(said_of_assertion("type: record_count"));
    for tag in ["execution_time", "memory_usage", "throughput", "dlq_count", "data_quality", "latency"] {
        assert_eq!(codes_of_assertion(&format!("type: {tag}")), ["T0505"], "{tag}");
    }
    for keys in ["type: percentile\nfield: a", "type: file_row_count\npath: a", "type: table_freshness\ntable: a"] {
        assert_eq!(codes_of_assertion(keys), ["T0505"], "{keys}");
    }
}
