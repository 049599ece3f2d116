//! Assertions as folds over captured records.
//!
//! [`fold`] makes an assertion into a [`Fold`]: it is shown the records of the inputs it asks for, then those of the
//! sink, one at a time, and at the end the [`Facts`] of the run, which give its [`Outcome`]. Records are not kept. What
//! grows with them are hashes or texts of keys, and one number a record where percentiles are asked for; counts, sums and
//! the first rows that break an assertion take constant memory.
//!
//! Outcomes are the same in every run of one seed, except for [`Outcome::measured`].

mod aggregate;
mod columns;
mod completeness;
mod counts;
mod dead_letters;
mod event_order;
mod expression;
mod facts;
mod fields;
mod figures;
mod files;
mod keys;
mod measures;
mod metrics;
mod number;
mod order;
mod outcomes;
mod quality;
mod rows;
mod shapes;
mod template;
mod values;
mod windows;

pub use expression::{Context, Expression, SyntaxError, parse_expression};
pub use facts::{DeadLetter, Facts, Memory, Series};
pub(crate) use outcomes::counted;

use crate::assertion::{Assertion, AssertionKind as Kind};
use crate::outcome::Outcome;
use crate::record::Record;

/// What an assertion is asked about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The sink, as messages name it.
    pub sink: &'a str,
    /// The query.
    pub query: &'a str,
    /// Counts and variables that are known before the first captured record: conditions on single records may name them.
    pub context: &'a Context,
}

/// Inputs whose records a fold wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// None.
    None,
    /// Those of these sources.
    Of(Vec<String>),
    /// All.
    All,
}

impl Inputs {
    /// The records of this source are wanted.
    pub fn has(&self, source: &str) -> bool {
        match self {
            Inputs::None => false,
            Inputs::Of(sources) => sources.iter().any(|s| s == source),
            Inputs::All => true,
        }
    }
}

/// An assertion while records pass.
pub trait Fold {
    /// Inputs whose records it wants to see.
    fn inputs(&self) -> Inputs {
        Inputs::None
    }

    /// A published record of such an input. All of them come before the first captured record.
    fn input(&mut self, _source: &str, _record: &Record<'_>) {}

    /// The next captured record of the sink.
    fn record(&mut self, _record: &Record<'_>) {}

    /// Whether it holds.
    fn finish(self: Box<Self>, facts: &Facts<'_>) -> Outcome;
}

/// The fold of an assertion.
pub fn fold(assertion: &Assertion, about: &About<'_>) -> Box<dyn Fold> {
    let case = outcomes::Case::new(&assertion.kind, about);
    match assertion.kind.clone() {
        Kind::RecordCount { bounds, expression } => counts::record_count(case, bounds, expression, about.context),
        Kind::SchemaContains { fields, key_field } => Box::new(fields::Contained::new(case, fields, key_field)),
        Kind::NoNulls { fields } => Box::new(fields::NotNull::new(case, fields)),
        Kind::FieldInSet { field, values } => Box::new(values::InSet::new(case, field, values)),
        Kind::FieldValues { field, operator, value } => values::every_value(case, field, operator, value),
        Kind::AggregateCheck { function, field, expected, tolerance } => {
            aggregate::check(case, function, field, &expected, tolerance, about.context)
        }
        Kind::JoinCoverage { min_match_rate, left_source, .. } => {
            counts::join_coverage(case, min_match_rate, left_source)
        }
        Kind::Template { expression, description } => template::template(case, expression, description, about.context),
        Kind::ExecutionTime { max_ms, min_ms } => measures::execution_time(case, max_ms, min_ms),
        Kind::MemoryUsage { max_bytes, max_growth_bytes } => measures::memory_usage(case, max_bytes, max_growth_bytes),
        Kind::Throughput { min, max, expected, tolerance_percent } => {
            measures::throughput(case, min, max, expected, tolerance_percent)
        }
        Kind::DlqCount { topic, bounds, error_types } => dead_letters::count(case, topic, bounds, error_types),
        Kind::ErrorRate { max_rate, error_types, min_records } => {
            dead_letters::rate(case, max_rate, error_types, min_records)
        }
        Kind::NoDuplicates { key_fields, allow_updates, max_duplicate_percent } => {
            Box::new(keys::NoDuplicates::new(case, key_fields, allow_updates, max_duplicate_percent))
        }
        Kind::Ordering { field, direction, partition_by, allow_equal } => {
            Box::new(order::Ordering::new(case, field, direction, partition_by, allow_equal))
        }
        Kind::Completeness { input_source, key_field, min_completeness, required_fields } => {
            Box::new(completeness::Completeness::new(case, input_source, key_field, min_completeness, required_fields))
        }
        Kind::TableFreshness { table, max_age_ms, max_lag_ms, min_records } => {
            Box::new(measures::Freshness::new(case, table, max_age_ms, max_lag_ms, min_records))
        }
        Kind::DataQuality {
            no_nulls_in,
            no_empty_strings_in,
            numeric_ranges,
            string_patterns,
            referential_integrity,
            min_quality_score,
        } => {
            let rules = quality::rules(
                no_nulls_in,
                no_empty_strings_in,
                numeric_ranges,
                string_patterns,
                referential_integrity,
            );
            quality::data_quality(case, rules, min_quality_score)
        }
        Kind::FileExists { path, min_size_bytes, max_size_bytes } => {
            files::exists(case, path, min_size_bytes, max_size_bytes)
        }
        Kind::FileRowCount { path, format, bounds, skip_header } => {
            files::row_count(case, path, format, bounds, skip_header)
        }
        Kind::FileContains { path, format, field, expected_values, any } => {
            files::contains(case, path, format, field, expected_values, any)
        }
        Kind::FileMatches {
            actual_path,
            expected_path,
            format,
            compare_fields,
            ignore_fields,
            ignore_order,
            numeric_tolerance,
        } => files::matches(
            case,
            files::Comparison {
                actual_path,
                expected_path,
                format,
                compare_fields,
                ignore_fields,
                ignore_order,
                numeric_tolerance,
            },
        ),
        Kind::WindowBoundary {
            timestamp_field,
            window_start_field,
            window_end_field,
            window_size_ms,
            tolerance_ms,
            verify_containment,
            verify_alignment,
        } => Box::new(windows::WindowBoundary::new(
            case,
            windows::Boundary {
                timestamp_field,
                window_start_field,
                window_end_field,
                window_size_ms,
                tolerance_ms,
                verify_containment,
                verify_alignment,
            },
        )),
        Kind::Latency { timestamp_field, max_ms, avg_ms, p99_ms, p95_ms, p50_ms, min_records } => {
            let percentiles = [(0.5, p50_ms), (0.95, p95_ms), (0.99, p99_ms)];
            Box::new(figures::Latency::new(case, timestamp_field, max_ms, avg_ms, &percentiles, min_records))
        }
        Kind::Distribution {
            field,
            distribution_type,
            mean,
            std_dev,
            min_value,
            max_value,
            tolerance,
            min_records,
        } => Box::new(shapes::Distribution::new(
            case,
            field,
            distribution_type,
            shapes::Shape { mean, std_dev, min_value, max_value, tolerance },
            min_records,
        )),
        Kind::Percentile { field, bounds, greater_than, min_records } => {
            Box::new(figures::Percentile::new(case, field, bounds, greater_than, min_records))
        }
        Kind::EventOrdering {
            timestamp_field,
            partition_field,
            window_size_ms,
            direction,
            allow_gaps,
            max_out_of_order_percent,
            max_gap_ms,
        } => Box::new(event_order::EventOrdering::new(
            case,
            event_order::Rule {
                timestamp_field,
                partition_field,
                window_size_ms,
                direction,
                allow_gaps,
                max_out_of_order_percent,
                max_gap_ms,
            },
        )),
        Kind::MetricCounter { name, test, labels } => metrics::counter(case, name, test, labels),
        Kind::MetricGauge { name, test, labels, tolerance } => metrics::gauge(case, name, test, labels, tolerance),
        Kind::MetricExists { name, metric_type } => metrics::exists(case, name, metric_type),
    }
}

#[cfg(test)]
pub(crate) mod tests;
