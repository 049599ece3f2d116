//! The table of annotations: names, where they belong and what their values must be.

/// Where an annotation belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// The app, from the head of the file; in front of a statement it overrides the app's value for it.
    App,
    /// One statement.
    Statement,
    /// The metric started by the last `@metric` of the statement.
    Metric,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    /// Any text, not empty.
    Text,
    /// A name of letters, digits, `_` and `-`.
    Name,
    /// `[A-Za-z_:][A-Za-z0-9_:]*`
    MetricName,
    /// `true` or `false`.
    Bool,
    /// A whole number of at least this.
    Int(u64),
    /// Above 0, at most 1.
    Ratio,
    /// Numbers in ascending order, optionally in brackets.
    Ascending,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// One annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Main spelling, with `_` for `-`.
    pub name: &'static str,
    /// Where it belongs.
    pub level: Level,
    /// Its values.
    pub domain: Domain,
}

const fn known(name: &'static str, level: Level, domain: Domain) -> Known {
    Known { name, level, domain }
}

use Domain::{Ascending, Bool, Int, MetricName, Name, Ratio, Text, Word};
use Level::{App, Metric, Statement};

const KNOWN: &[Known] = &[
    known("app", App, Text),
    known("version", App, Text),
    known("description", App, Text),
    known("author", App, Text),
    known("phase", App, Word(&["development", "staging", "production"])),
    known("tags", App, Text),
    known("depends_on", App, Text),
    known("deployment.node_id", App, Text),
    known("deployment.node_name", App, Text),
    known("deployment.region", App, Text),
    known("observability.metrics.enabled", App, Bool),
    known("observability.tracing.enabled", App, Bool),
    known("observability.error_reporting.enabled", App, Bool),
    known("observability.profiling.enabled", App, Word(&["off", "dev", "prod", "true", "false"])),
    known("sla.latency.p99", App, Text),
    known("sla.availability", App, Text),
    known("data_retention", App, Text),
    known("compliance", App, Text),
    known("name", Statement, Name),
    known("job_mode", Statement, Word(&["simple", "transactional", "adaptive"])),
    known("batch_size", Statement, Int(1)),
    known("num_partitions", Statement, Int(1)),
    known(
        "partitioning_strategy",
        Statement,
        Word(&[
            "sticky",
            "hash",
            "smart",
            "roundrobin",
            "fanin",
            "always_hash",
            "sticky_partition",
            "smart_repartition",
            "round_robin",
        ]),
    ),
    known("sticky_partition_id", Statement, Int(0)),
    known("enable_dlq", Statement, Bool),
    known("dlq_max_size", Statement, Int(1)),
    known("failure_strategy", Statement, Word(&["SendToDLQ", "LogAndContinue", "FailBatch", "RetryWithBackoff"])),
    known("max_retries", Statement, Int(0)),
    known("metric", Metric, MetricName),
    known("metric_type", Metric, Word(&["counter", "gauge", "histogram"])),
    known("metric_help", Metric, Text),
    known("metric_labels", Metric, Text),
    known("metric_field", Metric, Text),
    known("metric_condition", Metric, Text),
    known("metric_sample_rate", Metric, Ratio),
    known("metric_buckets", Metric, Ascending),
];

/// Other spellings.
const ALIASES: &[(&str, &str)] = &[
    ("application", "app"),
    ("partition_count", "num_partitions"),
    ("observability.profiling", "observability.profiling.enabled"),
];

/// Families known as a whole: test data and job settings.
const FAMILIES: &[(&str, Known)] =
    &[("data.", known("data.", App, Text)), ("processing.", known("processing.", Statement, Text))];

/// Looks a name up; `-` and `_` are the same.
pub(super) fn find(name: &str) -> Option<(String, &'static Known)> {
    let plain = name.replace('-', "_");
    let main = ALIASES.iter().find(|(alias, _)| *alias == plain).map_or(plain.as_str(), |(_, main)| main);
    if let Some(found) = KNOWN.iter().find(|k| k.name == main) {
        return Some((main.to_owned(), found));
    }
    // Field names of test data keep their dashes.
    FAMILIES.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, family)| (name.to_owned(), family))
}

/// Every spelling, for suggestions.
pub(super) fn spellings() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|k| k.name).chain(ALIASES.iter().map(|(alias, _)| *alias))
}

/// What is expected instead of a value outside the domain; `None` when it is inside.
pub(super) fn expected(domain: Domain, value: &str) -> Option<String> {
    let is_fine = match domain {
        Text => !value.is_empty(),
        Name => !value.is_empty() && value.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-')),
        MetricName => {
            value.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':'))
                && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
        }
        Bool => matches!(value.to_ascii_lowercase().as_str(), "true" | "false"),
        Int(least) => value.parse::<u64>().is_ok_and(|n| n >= least),
        Ratio => value.parse::<f64>().is_ok_and(|x| x > 0.0 && x <= 1.0),
        Ascending => buckets(value).is_some(),
        Word(words) => words.iter().any(|w| w.eq_ignore_ascii_case(value)),
    };
    (!is_fine).then(|| match domain {
        Text => "a value".to_owned(),
        Name => "a name of letters, digits, _ and -".to_owned(),
        MetricName => "letters, digits, _ and :, not starting with a digit".to_owned(),
        Bool => "true or false".to_owned(),
        Int(least) => format!("a whole number of at least {least}"),
        Ratio => "a number above 0 and at most 1".to_owned(),
        Ascending => "numbers in ascending order, such as 0.1, 0.5, 1".to_owned(),
        Word(words) => format!("one of {}", words.join(", ")),
    })
}

/// Bounds of a histogram.
pub(super) fn buckets(value: &str) -> Option<Vec<f64>> {
    let inner = value.strip_prefix('[').and_then(|v| v.strip_suffix(']')).unwrap_or(value);
    let bounds: Option<Vec<f64>> =
        inner.split(',').map(|n| n.trim().parse().ok().filter(|x: &f64| x.is_finite())).collect();
    bounds.filter(|b| b.windows(2).all(|pair| pair[0] < pair[1]))
}
