//! A world for tests over whatever text: every name is a file of trades, no file is opened.

use velostream_sql::diag::Diagnostic;
use velostream_sql::endpoint::{Catalog, CatalogError, Endpoints, SinkSpec, SourceSpec, WithEntry};
use velostream_sql::plan::{
    Compression, Failure, Format, MissingTime, SinkConnector, SinkFormat, SourceConnector, TimeFormat,
};
use velostream_types::{DataType, Field, Schema, Span};

/// Every name is a file of trades.
pub struct World;

impl Endpoints for World {
    fn source(&mut self, name: &str, span: Span, with: &[WithEntry]) -> Result<SourceSpec, Vec<Diagnostic>> {
        if name.len() == 1 {
            return Err(vec![Diagnostic::error("E0501", span, "no such relation")]);
        }
        let field = with.iter().find(|e| e.key == "event.time.field");
        Ok(SourceSpec {
            connector: SourceConnector::File {
                pattern: name.into(),
                sequential: false,
                watch: false,
                poll_interval_ms: 1_000,
            },
            format: Format::JsonLines,
            event_time_field: field.map(|e| (e.value.clone(), e.value_span)),
            event_time_format: TimeFormat::Auto,
            watermark_rule: Default::default(),
            watermark_bound_ns: None,
            idle_timeout_ns: 1,
            missing_time: MissingTime::Warn,
            late: None,
            lateness_ns: None,
            max_record_bytes: 1 << 20,
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

    fn sink(&mut self, name: &str, _: Span, _: &[WithEntry]) -> Result<Option<SinkSpec>, Vec<Diagnostic>> {
        let connector = SinkConnector::File { path: name.into(), append: false, compression: Compression::None };
        let spec = SinkSpec {
            changelog: Default::default(),
            connector,
            format: SinkFormat::JsonLines,
            key_field: None,
            implied: false,
            dlq_path: None,
            dlq_topic: None,
            dlq_enabled: true,
            failure: Failure::DeadLetter,
        };
        Ok(name.len().is_multiple_of(2).then_some(spec))
    }
}

impl Catalog for World {
    fn infer(&mut self, spec: &SourceSpec) -> Result<Schema, CatalogError> {
        if let SourceConnector::File { pattern, .. } = &spec.connector
            && pattern.as_os_str().len() == 5
        {
            return Ok(Schema::default());
        }
        let columns = [
            ("symbol", DataType::String),
            ("price", DataType::Decimal { precision: 10, scale: 2 }),
            ("quantity", DataType::Integer),
            ("ts", DataType::Timestamp),
            ("day", DataType::Date),
            ("ok", DataType::Boolean),
            ("j", DataType::Json),
        ];
        let field = |(name, data_type): (&str, DataType)| Field { inferred: true, ..Field::new(name, data_type) };
        Ok(Schema::new(columns.into_iter().map(field).collect()))
    }

    fn check(&mut self, _: &SourceSpec) -> Result<(), CatalogError> {
        Ok(())
    }

    fn has_one_header(&mut self, _: &SourceSpec) -> bool {
        true
    }
}
