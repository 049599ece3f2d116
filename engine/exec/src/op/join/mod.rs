//! Joins: what their kinds share. Metadata of rows that are kept (`marks`), and the columns of pairs (`output`).
//!
//! A joined row is the left row's record: its source, partition and offset, the later event time, the lower of the two
//! watermarks that their own partitions had. Of a stream with a table the stream's row gives all of it. So rows that
//! leave are a function of the two rows alone, and are cut into batches by the partition they stem from.

pub mod lookup;
pub mod marks;
pub mod output;
pub mod saved;
pub mod streams;
pub mod tables;
pub mod versions;

use velostream_sql::plan::{JoinMode, JoinSpec};
use velostream_types::SchemaRef;

use super::aggregate::Place;
use crate::expr::EvalContext;
use crate::operator::Operator;

/// The operator of a join over inputs of these schemas, left and right.
pub fn operator(spec: &JoinSpec, inputs: [&SchemaRef; 2], place: Place, ctx: EvalContext) -> Box<dyn Operator> {
    match spec.mode {
        JoinMode::Lookup { version: Some(at), .. } => Box::new(versions::Versions::new(spec, at, inputs, &place, ctx)),
        JoinMode::Lookup { .. } => Box::new(lookup::Lookup::new(spec, inputs, place, ctx)),
        JoinMode::Tables => Box::new(tables::TableJoin::new(spec, inputs, place, ctx)),
        JoinMode::Interval { .. } | JoinMode::AsOf { .. } | JoinMode::Window { .. } => {
            Box::new(streams::Streams::new(spec, inputs, place, ctx))
        }
    }
}
