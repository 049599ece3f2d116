//! A small world: files with schemas, properties read straight from WITH.

use std::collections::BTreeMap;
use std::path::PathBuf;

use velostream_types::time::NS_PER_SEC;
use velostream_types::{DataType, Field, Schema, Span};

use crate::diag::Diagnostic;
use crate::endpoint::{Catalog, CatalogError, Endpoints, SinkSpec, SourceSpec, WithEntry};
use crate::plan::{Compression, Failure, Format, MissingTime, SinkConnector, SinkFormat, SourceConnector, TimeFormat};
use crate::{BindOptions, Compiled, compile};

/// Endpoints by `path` property or by a name with a dot in it.
pub(super) struct Files;

fn entry<'w>(with: &'w [WithEntry], name: &str, key: &str) -> Option<&'w WithEntry> {
    with.iter().find(|e| e.key == key || e.key == format!("{name}.{key}"))
}

/// Format by extension; `.psv` is delimited by `|`.
fn format(path: &str) -> SinkFormat {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("csv") => SinkFormat::Csv { delimiter: b',', header: true },
        Some("psv") => SinkFormat::Csv { delimiter: b'|', header: true },
        _ => SinkFormat::JsonLines,
    }
}

impl Endpoints for Files {
    fn source(&mut self, name: &str, span: Span, with: &[WithEntry]) -> Result<SourceSpec, Vec<Diagnostic>> {
        let path = entry(with, name, "path").map(|e| e.value.clone());
        let Some(path) = path.or_else(|| name.contains('.').then(|| name.to_owned())) else {
            return Err(vec![Diagnostic::error("E0501", span, format!("relation \"{name}\" does not exist"))]);
        };
        let bound = entry(with, name, "watermark.max_out_of_orderness")
            .and_then(|e| crate::duration::parse(&e.value, NS_PER_SEC).ok());
        let watch = entry(with, name, "watch").is_some();
        Ok(SourceSpec {
            format: match format(&path) {
                SinkFormat::Csv { delimiter, .. } => Format::Csv {
                    delimiter,
                    quote: entry(with, name, "quote").map_or(b'"', |e| e.value.as_bytes()[0]),
                    header: entry(with, name, "no_header").is_none(),
                    skip_lines: 0,
                },
                _ => Format::JsonLines,
            },
            connector: match entry(with, name, "memory") {
                Some(_) => SourceConnector::Memory { topic: path },
                None => {
                    SourceConnector::File { pattern: path.into(), sequential: false, watch, poll_interval_ms: 1_000 }
                }
            },
            event_time_field: entry(with, name, "event.time.field").map(|e| (e.value.clone(), e.value_span)),
            event_time_format: TimeFormat::Auto,
            watermark_rule: Default::default(),
            watermark_bound_ns: bound,
            idle_timeout_ns: 60_000_000_000,
            missing_time: MissingTime::Warn,
            late: None,
            lateness_ns: None,
            max_record_bytes: 1 << 24,
            max_records: None,
            delete_field: None,
            schema_wait_ns: None,
            patience: Default::default(),
            dlq_path: None,
            dlq_topic: None,
            dlq_enabled: true,
            failure: Failure::DeadLetter,
        })
    }

    fn sink(&mut self, name: &str, _: Span, with: &[WithEntry]) -> Result<Option<SinkSpec>, Vec<Diagnostic>> {
        let path = with.iter().find(|e| e.key == format!("{name}.path")).map(|e| e.value.clone());
        Ok(path.or_else(|| name.contains('.').then(|| name.to_owned())).map(|path| SinkSpec {
            changelog: Default::default(),
            format: match format(&path) {
                SinkFormat::Csv { delimiter, .. } => {
                    SinkFormat::Csv { delimiter, header: entry(with, name, "no_header").is_none() }
                }
                other => other,
            },
            connector: match entry(with, name, "memory") {
                Some(_) => SinkConnector::Memory { topic: path, partitions: 1 },
                None => SinkConnector::File { path: path.into(), append: false, compression: Compression::None },
            },
            key_field: None,
            implied: false,
            dlq_path: None,
            dlq_topic: None,
            dlq_enabled: true,
            failure: Failure::DeadLetter,
        }))
    }
}

/// Schemas by path.
pub(super) struct Schemas(pub BTreeMap<PathBuf, Schema>);

impl Catalog for Schemas {
    fn infer(&mut self, spec: &SourceSpec) -> Result<Schema, CatalogError> {
        if let Format::Raw(_) = spec.format {
            return Ok(Schema::new(vec![Field::new("value", DataType::String)]));
        }
        let pattern = match &spec.connector {
            SourceConnector::File { pattern, .. } => pattern,
            SourceConnector::Memory { topic } => &PathBuf::from(topic),
            SourceConnector::Kafka(kafka) => &PathBuf::from(format!("{}.jsonl", kafka.topic)),
            SourceConnector::OneRow => return Ok(Schema::default()),
        };
        self.0.get(pattern).cloned().ok_or_else(|| CatalogError::Missing {
            searched: pattern.display().to_string(),
            similar: self.0.keys().take(1).map(|p| p.display().to_string()).collect(),
        })
    }

    fn check(&mut self, spec: &SourceSpec) -> Result<(), CatalogError> {
        if let SourceConnector::Kafka(_) = spec.connector {
            return Ok(());
        }
        self.infer(spec).map(|_| ())
    }

    fn has_one_header(&mut self, spec: &SourceSpec) -> bool {
        matches!(&spec.connector, SourceConnector::File { pattern, .. } if !pattern.to_string_lossy().contains('*'))
    }
}

/// `trades` in several formats, and `empty.jsonl`.
pub(super) fn schemas() -> Schemas {
    let columns = [
        ("symbol", DataType::String),
        ("price", DataType::Decimal { precision: 10, scale: 2 }),
        ("quantity", DataType::Integer),
        ("ratio", DataType::Float),
        ("ts", DataType::Timestamp),
        ("ms", DataType::Integer),
        ("day", DataType::Date),
        ("ok", DataType::Boolean),
    ];
    let field = |(name, data_type): (&str, DataType)| Field { inferred: true, ..Field::new(name, data_type) };
    let trades = Schema::new(columns.into_iter().map(field).collect());
    let names = ["trades.csv", "trades.jsonl", "trades.psv", "days/*.csv", "days/*.jsonl"];
    let empty = ["empty.jsonl", "empty.csv"].map(|name| (name.into(), Schema::default()));
    Schemas(names.map(|name| (name.into(), trades.clone())).into_iter().chain(empty).collect())
}

pub(super) fn options() -> BindOptions {
    BindOptions {
        app_name: "app".to_owned(),
        base_dir: "base".into(),
        stdout_format: SinkFormat::Table,
        follow: false,
        until_end: false,
        strict: false,
    }
}

pub(super) fn compiled(text: &str) -> Compiled {
    compile(text, &options(), &mut Files, &mut schemas())
}
