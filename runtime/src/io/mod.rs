//! Where bytes come from and go to: files, standard output, in-memory topics, dead-letter files.

pub mod dead_letter;
pub mod file_sink;
pub mod file_source;
pub mod memory;
pub mod passed_over;
pub mod paths;
pub mod record_ends;
pub mod refused;
pub mod stdout;
pub mod table;
pub mod topic_sink;
pub mod topic_source;

use velostream_exec::format::Encoder;
use velostream_sql::plan::SinkPlan;

/// The first line of a sink's output; empty for none.
pub fn header_line(sink: &SinkPlan) -> Vec<u8> {
    let encoder = if sink.upsert {
        Encoder::new_upsert(sink.format, &sink.schema)
    } else {
        Encoder::new(sink.format, &sink.schema)
    };
    encoder.header().unwrap_or_default()
}
