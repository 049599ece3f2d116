//! Pass-through: where `SELECT *` writes the records of its source as they came.
//!
//! It holds where a statement is nothing but `*` over a source of inferred columns, with WHERE and LIMIT at most, and
//! the sink's records look like the source's: the same format, delimiter, quote, header and framing. `*` then is the
//! record, members included that the sample did not show, and no column is read for it. A column list, an alias, an
//! expression, a key or a group means columns, and those are encoded.

use super::Binder;
use super::query::Flow;
use crate::endpoint::SinkSpec;
use crate::parse::ast::{Item, Query};
use crate::plan::{Format, SinkConnector, SinkFormat, SourceConnector, SourcePlan};

/// The only quote that sinks write.
const SINK_QUOTE: u8 = b'"';

impl Binder<'_> {
    /// TRUE when the rows of `flow` reach the sink as the bytes of their records; their source then keeps the bytes.
    pub(super) fn passes_through(&mut self, query: &Query, flow: &Flow, key: &[usize], sink: &SinkSpec) -> bool {
        let is_star = matches!(query.items.as_slice(), [Item::Star(_) | Item::QualifiedStar { .. }]);
        let Some(at) = self.graph.records_of(flow.node).filter(|_| is_star && key.is_empty() && !flow.changelog) else {
            return false;
        };
        let source = &mut self.graph.sources[at];
        let Some(spec) = source.spec.as_ref().filter(|_| !source.plan.declared) else { return false };
        let passes = is_framed_alike(&source.plan.connector, &sink.connector)
            && is_written_alike(&source.plan, sink.format)
            && (!has_header(&source.plan.format) || self.catalog.has_one_header(spec));
        source.plan.needs_raw |= passes;
        passes
    }
}

/// Lines may become records of a topic; a topic's record may hold line feeds that would cut it into several lines.
fn is_framed_alike(source: &SourceConnector, sink: &SinkConnector) -> bool {
    match source {
        SourceConnector::File { .. } => true,
        SourceConnector::Memory { .. } | SourceConnector::Kafka(_) => {
            matches!(sink, SinkConnector::Memory { .. } | SinkConnector::Kafka(_))
        }
        SourceConnector::OneRow => false,
    }
}

/// A record of the source reads the same to whoever reads the sink. Lines to skip are none of the records.
fn is_written_alike(source: &SourcePlan, sink: SinkFormat) -> bool {
    match (&source.format, sink) {
        (Format::JsonLines, SinkFormat::JsonLines) => true,
        (Format::Raw(read), SinkFormat::Raw(written)) => *read == written,
        (Format::Csv { delimiter, quote, header, .. }, SinkFormat::Csv { delimiter: written, header: with_header }) => {
            // Without columns there is no header to write.
            (*delimiter, *quote, *header) == (written, SINK_QUOTE, with_header) && !source.schema.is_empty()
        }
        _ => false,
    }
}

fn has_header(format: &Format) -> bool {
    matches!(format, Format::Csv { header: true, .. })
}
