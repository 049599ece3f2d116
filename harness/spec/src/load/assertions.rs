//! Assertions out of a judged tree.

use std::path::PathBuf;

use velostream_sql::diag::Diagnostic;
use velostream_types::{Span, Value};

use super::assertion_keys::{ASSERTION, INTEGRITY, NUMERIC_RANGE, STRING_PATTERN};
use super::fields::{self, Fields, TaggedFields};
use super::limits::{apart, exclusive, ordered, pair_ordered, states_something};
use super::tree::Node;
use super::words::{
    AGGREGATES, DIRECTIONS, DISTRIBUTION_TYPES, FIELD_OPERATORS, FILE_FORMATS, FILE_MODES, METRIC_OPERATORS,
    METRIC_TYPES, MetricOperator, PERCENTILE_MODES, VIEWS,
};
use crate::assertion::{
    Assertion, AssertionKind, CountBounds, Direction, FieldOperator, Integrity, MetricTest, NumericRange,
    StringPattern, View,
};
use crate::findings::{BAD_PATTERN, Findings, KEYS_DISAGREE, MISSING_KEY, NO_EFFECT};
use crate::spec::FileFormat;

const BYTES_PER_MB: f64 = 1_048_576.0;
/// Percentiles that `percentile` takes.
const PERCENTILES: [(&str, f64); 6] =
    [("p50", 0.50), ("p75", 0.75), ("p90", 0.90), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];
const COUNT_KEYS: [&str; 5] = ["equals", "greater_than", "less_than", "min", "max"];

/// The assertions of a list, about this view where they name none; what is wrong with one was said before, and leaves it out.
pub fn read(items: &[Node], view: View, findings: &mut Findings) -> Vec<Assertion> {
    let tagged = items.iter().filter_map(|node| fields::tagged_of(node, &ASSERTION));
    tagged
        .filter_map(|TaggedFields { tag, tag_span, fields }| {
            let mut reader = Reader { tag, tag_span, fields, findings };
            // What is not about single records counts all of them, whatever the query looks at.
            let has_view = fields.knows("view");
            let view = if has_view { fields.word("view", &VIEWS).unwrap_or(view) } else { View::Changes };
            Some(Assertion { kind: reader.kind()?, span: tag_span, view })
        })
        .collect()
}

struct Reader<'n, 'f> {
    tag: &'static str,
    tag_span: Span,
    fields: Fields<'n>,
    findings: &'f mut Findings,
}

impl Reader<'_, '_> {
    /// `None` where a value is missing that nothing can stand for.
    fn kind(&mut self) -> Option<AssertionKind> {
        let f = self.fields;
        Some(match self.tag {
            "record_count" => self.record_count(),
            "schema_contains" => {
                AssertionKind::SchemaContains { fields: f.texts("fields"), key_field: f.text_if_given("key_field") }
            }
            "no_nulls" => AssertionKind::NoNulls { fields: f.texts("fields") },
            "field_in_set" => AssertionKind::FieldInSet { field: f.text("field"), values: f.texts("values") },
            "field_values" => self.field_values()?,
            "aggregate_check" => AssertionKind::AggregateCheck {
                function: f.word("function", &AGGREGATES)?,
                field: f.text("field"),
                expected: f.text("expected"),
                tolerance: f.number("tolerance"),
            },
            "join_coverage" => AssertionKind::JoinCoverage {
                min_match_rate: f.number("min_match_rate"),
                left_source: f.text_if_given("left_source"),
                right_source: f.text_if_given("right_source"),
            },
            "template" => AssertionKind::Template {
                expression: f.text("expression"),
                description: f.text_if_given("description"),
            },
            "execution_time" => {
                self.states(&["max_ms", "min_ms"]);
                ordered(f, "min_ms", "max_ms", self.findings);
                AssertionKind::ExecutionTime { max_ms: f.count_if_given("max_ms"), min_ms: f.count_if_given("min_ms") }
            }
            "memory_usage" => self.memory_usage(),
            "throughput" => self.throughput(),
            "dlq_count" => AssertionKind::DlqCount {
                topic: f.text_if_given("topic"),
                bounds: self.counted(),
                error_types: f.texts("error_types"),
            },
            "error_rate" => self.error_rate(),
            "no_duplicates" => AssertionKind::NoDuplicates {
                key_fields: f.texts("key_fields"),
                allow_updates: f.flag("allow_updates"),
                max_duplicate_percent: f.number_if_given("max_duplicate_percent"),
            },
            "ordering" => AssertionKind::Ordering {
                field: f.text("field"),
                direction: self.direction(),
                partition_by: f.text_if_given("partition_by"),
                allow_equal: f.flag("allow_equal"),
            },
            "completeness" => AssertionKind::Completeness {
                input_source: f.text("input_source"),
                key_field: f.text("key_field"),
                min_completeness: f.number("min_completeness"),
                required_fields: f.texts("required_fields"),
            },
            "table_freshness" => {
                self.states(&["max_age_ms", "max_lag_ms", "min_records"]);
                AssertionKind::TableFreshness {
                    table: f.text("table"),
                    max_age_ms: f.count_if_given("max_age_ms"),
                    max_lag_ms: f.count_if_given("max_lag_ms"),
                    min_records: f.count_if_given("min_records"),
                }
            }
            "data_quality" => self.data_quality(),
            "window_boundary" => self.window_boundary(),
            "latency" => self.latency(),
            "distribution" => {
                ordered(f, "min_value", "max_value", self.findings);
                AssertionKind::Distribution {
                    field: f.text("field"),
                    distribution_type: f.word("distribution_type", &DISTRIBUTION_TYPES)?,
                    mean: f.number_if_given("mean"),
                    std_dev: f.number_if_given("std_dev"),
                    min_value: f.number_if_given("min_value"),
                    max_value: f.number_if_given("max_value"),
                    tolerance: f.number("tolerance"),
                    min_records: f.count("min_records"),
                }
            }
            "percentile" => self.percentile(),
            "event_ordering" => AssertionKind::EventOrdering {
                timestamp_field: f.text("timestamp_field"),
                partition_field: f.text_if_given("partition_field"),
                window_size_ms: f.count_if_given("window_size_ms"),
                direction: self.direction(),
                allow_gaps: f.flag("allow_gaps"),
                max_out_of_order_percent: f.number_if_given("max_out_of_order_percent"),
                max_gap_ms: f.count_if_given("max_gap_ms"),
            },
            file_or_metric => return self.file(file_or_metric).or_else(|| self.metric(file_or_metric)),
        })
    }

    fn file(&mut self, tag: &str) -> Option<AssertionKind> {
        let f = self.fields;
        Some(match tag {
            "file_exists" => {
                ordered(f, "min_size_bytes", "max_size_bytes", self.findings);
                AssertionKind::FileExists {
                    path: PathBuf::from(f.text("path")),
                    min_size_bytes: f.count_if_given("min_size_bytes"),
                    max_size_bytes: f.count_if_given("max_size_bytes"),
                }
            }
            "file_row_count" => {
                let format = self.format();
                AssertionKind::FileRowCount {
                    path: PathBuf::from(f.text("path")),
                    format,
                    bounds: self.counted(),
                    skip_header: f.flag_if_given("skip_header").unwrap_or(format != Some(FileFormat::CsvNoHeader)),
                }
            }
            "file_contains" => AssertionKind::FileContains {
                path: PathBuf::from(f.text("path")),
                format: self.format(),
                field: f.text("field"),
                expected_values: f.texts("expected_values"),
                any: f.word("mode", &FILE_MODES)?,
            },
            "file_matches" => AssertionKind::FileMatches {
                actual_path: PathBuf::from(f.text("actual_path")),
                expected_path: PathBuf::from(f.text("expected_path")),
                format: self.format(),
                compare_fields: f.texts("compare_fields"),
                ignore_fields: f.texts("ignore_fields"),
                ignore_order: f.flag("ignore_order"),
                numeric_tolerance: f.number("numeric_tolerance"),
            },
            _ => return None,
        })
    }

    fn metric(&mut self, tag: &str) -> Option<AssertionKind> {
        let f = self.fields;
        let name = f.text("name");
        Some(match tag {
            "metric_counter" => {
                AssertionKind::MetricCounter { name, test: self.metric_test()?, labels: f.text_map("labels") }
            }
            "metric_gauge" => AssertionKind::MetricGauge {
                name,
                test: self.metric_test()?,
                labels: f.text_map("labels"),
                tolerance: f.number("tolerance"),
            },
            "metric_exists" => AssertionKind::MetricExists { name, metric_type: f.word("metric_type", &METRIC_TYPES) },
            _ => return None,
        })
    }

    fn states(&mut self, names: &[&str]) {
        states_something(self.fields, self.tag, self.tag_span, names, self.findings);
    }

    fn direction(&self) -> Direction {
        self.fields.word("direction", &DIRECTIONS).unwrap_or_default()
    }

    fn format(&self) -> Option<FileFormat> {
        self.fields.word("format", &FILE_FORMATS)
    }

    fn bounds(&mut self) -> CountBounds {
        let f = self.fields;
        ordered(f, "min", "max", self.findings);
        apart(f, "greater_than", "less_than", self.findings);
        CountBounds {
            equals: f.count_if_given("equals"),
            greater_than: f.count_if_given("greater_than"),
            less_than: f.count_if_given("less_than"),
            min: f.count_if_given("min"),
            max: f.count_if_given("max"),
        }
    }

    /// Bounds that have to state something.
    fn counted(&mut self) -> CountBounds {
        self.states(&COUNT_KEYS);
        self.bounds()
    }

    fn record_count(&mut self) -> AssertionKind {
        let f = self.fields;
        let [equals, above, below, min, max] = COUNT_KEYS;
        self.states(&[equals, above, below, min, max, "between", "expression"]);
        exclusive(f, &["between", min], self.findings);
        exclusive(f, &["between", max], self.findings);
        pair_ordered(f, "between", self.findings);
        let mut bounds = self.bounds();
        if let Some((least, greatest)) = f.pair("between", fields::count) {
            (bounds.min, bounds.max) = (Some(least), Some(greatest));
        }
        AssertionKind::RecordCount { bounds, expression: f.text_if_given("expression") }
    }

    fn field_values(&mut self) -> Option<AssertionKind> {
        let f = self.fields;
        let operator = f.word("operator", &FIELD_OPERATORS)?;
        let value = f.scalar_if_given("value")?;
        if let (FieldOperator::Matches, Value::Str(pattern), Some(entry)) = (operator, &value, f.entry("value"))
            && regex::Regex::new(pattern).is_err()
        {
            let finding = Diagnostic::error(BAD_PATTERN, entry.value.span, "\"value\" is no regular expression");
            self.findings.push(finding.hint("\"matches\" takes one; \"contains\" takes any text"));
        }
        Some(AssertionKind::FieldValues { field: f.text("field"), operator, value })
    }

    fn memory_usage(&mut self) -> AssertionKind {
        let f = self.fields;
        self.states(&["max_bytes", "max_mb", "max_growth_bytes"]);
        exclusive(f, &["max_bytes", "max_mb"], self.findings);
        let of_mb = f.number_if_given("max_mb").map(|mb| (mb * BYTES_PER_MB) as u64);
        AssertionKind::MemoryUsage {
            max_bytes: f.count_if_given("max_bytes").or(of_mb),
            max_growth_bytes: f.count_if_given("max_growth_bytes"),
        }
    }

    fn throughput(&mut self) -> AssertionKind {
        let f = self.fields;
        let [min, max, expected] = ["min_records_per_second", "max_records_per_second", "expected_records_per_second"];
        self.states(&[min, max, expected]);
        ordered(f, min, max, self.findings);
        AssertionKind::Throughput {
            min: f.number_if_given(min),
            max: f.number_if_given(max),
            expected: f.number_if_given(expected),
            tolerance_percent: f.number("tolerance_percent"),
        }
    }

    fn error_rate(&mut self) -> AssertionKind {
        let f = self.fields;
        if !exclusive(f, &["max_rate", "max_percent"], self.findings) {
            let finding = Diagnostic::error(MISSING_KEY, self.tag_span, "this error_rate has no bound");
            self.findings.push(finding.hint("add \"max_rate\", 0 to 1, or \"max_percent\""));
        }
        let of_percent = f.number_if_given("max_percent").map(|percent| percent / 100.0);
        AssertionKind::ErrorRate {
            max_rate: f.number_if_given("max_rate").or(of_percent).unwrap_or_default(),
            error_types: f.texts("error_types"),
            min_records: f.count("min_records"),
        }
    }

    fn data_quality(&mut self) -> AssertionKind {
        let f = self.fields;
        self.states(&[
            "no_nulls_in",
            "no_empty_strings_in",
            "numeric_ranges",
            "string_patterns",
            "referential_integrity",
        ]);
        let ranges = f.objects("numeric_ranges", &NUMERIC_RANGE);
        ranges.iter().for_each(|range| ordered(*range, "min", "max", self.findings));
        let range = |of: &Fields<'_>| NumericRange {
            field: of.text("field"),
            min: of.number_if_given("min"),
            max: of.number_if_given("max"),
        };
        let pattern = |of: &Fields<'_>| StringPattern { field: of.text("field"), pattern: of.text("pattern") };
        let integrity = |of: &Fields<'_>| Integrity {
            field: of.text("field"),
            reference_source: of.text("reference_source"),
            reference_field: of.text("reference_field"),
        };
        AssertionKind::DataQuality {
            no_nulls_in: f.texts("no_nulls_in"),
            no_empty_strings_in: f.texts("no_empty_strings_in"),
            numeric_ranges: ranges.iter().map(range).collect(),
            string_patterns: f.objects("string_patterns", &STRING_PATTERN).iter().map(pattern).collect(),
            referential_integrity: f.objects("referential_integrity", &INTEGRITY).iter().map(integrity).collect(),
            min_quality_score: f.number_if_given("min_quality_score"),
        }
    }

    fn window_boundary(&mut self) -> AssertionKind {
        let f = self.fields;
        if f.flag("verify_alignment") && f.count_if_given("window_size_ms").unwrap_or(0) == 0 {
            let finding = Diagnostic::error(KEYS_DISAGREE, self.tag_span, "alignment needs the size of windows");
            self.findings.push(finding.hint("add \"window_size_ms\", above 0"));
        }
        AssertionKind::WindowBoundary {
            timestamp_field: f.text_if_given("timestamp_field"),
            window_start_field: f.text_if_given("window_start_field"),
            window_end_field: f.text_if_given("window_end_field"),
            window_size_ms: f.count_if_given("window_size_ms"),
            tolerance_ms: f.count("tolerance_ms"),
            verify_containment: f.flag("verify_containment"),
            verify_alignment: f.flag("verify_alignment"),
        }
    }

    fn latency(&mut self) -> AssertionKind {
        let f = self.fields;
        self.states(&["max_latency_ms", "avg_latency_ms", "p99_latency_ms", "p95_latency_ms", "p50_latency_ms"]);
        AssertionKind::Latency {
            timestamp_field: f.text_if_given("timestamp_field"),
            max_ms: f.number_if_given("max_latency_ms"),
            avg_ms: f.number_if_given("avg_latency_ms"),
            p99_ms: f.number_if_given("p99_latency_ms"),
            p95_ms: f.number_if_given("p95_latency_ms"),
            p50_ms: f.number_if_given("p50_latency_ms"),
            min_records: f.count("min_records"),
        }
    }

    fn percentile(&mut self) -> AssertionKind {
        let f = self.fields;
        self.states(&PERCENTILES.map(|(name, _)| name));
        let bound = |(name, fraction): (&str, f64)| Some((fraction, f.number_if_given(name)?));
        AssertionKind::Percentile {
            field: f.text("field"),
            bounds: PERCENTILES.into_iter().filter_map(bound).collect(),
            greater_than: f.word("mode", &PERCENTILE_MODES).unwrap_or_default(),
            min_records: f.count("min_records"),
        }
    }

    fn metric_test(&mut self) -> Option<MetricTest> {
        let f = self.fields;
        pair_ordered(f, "between", self.findings);
        let between = f.pair("between", fields::number);
        let is_given = f.entry("operator").is_some();
        let operator = match f.word("operator", &METRIC_OPERATORS)? {
            // The pair alone says it.
            _ if between.is_some() && !is_given => MetricOperator::Between,
            operator => operator,
        };
        let (needed, useless) = match operator {
            MetricOperator::Between => ("between", "value"),
            _ => ("value", "between"),
        };
        if let Some(entry) = f.entry(useless) {
            let message = format!("\"{useless}\" has no effect with this operator");
            self.findings.warn(NO_EFFECT, entry.key_span, message);
        }
        if f.entry(needed).is_none() {
            let finding = Diagnostic::error(KEYS_DISAGREE, self.tag_span, format!("this {} has no bound", self.tag));
            self.findings.push(finding.hint(format!("add \"{needed}\", with which the metric is compared")));
            return None;
        }
        let value = f.number("value");
        Some(match operator {
            MetricOperator::Equals => MetricTest::Equals(value),
            MetricOperator::GreaterThan => MetricTest::GreaterThan(value),
            MetricOperator::GreaterThanOrEqual => MetricTest::GreaterThanOrEqual(value),
            MetricOperator::LessThan => MetricTest::LessThan(value),
            MetricOperator::LessThanOrEqual => MetricTest::LessThanOrEqual(value),
            MetricOperator::Between => between.map(|(least, greatest)| MetricTest::Between(least, greatest))?,
        })
    }
}
