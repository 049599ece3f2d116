//! Bytes to columns and back.
//!
//! ```text
//! Slab -> SlabCursor -> Decoder { tokeniser (csv | json | raw) -> cells -> column builders } -> Decoded
//! Batch -> Encoder -> Chunk          DeadLetter -> encode_dead_letter -> Chunk          samples -> infer -> Schema
//! ```
//!
//! Decoding is directed by the plan: only columns that a query reads are materialised, text columns are views into
//! the slab, numbers are exact. Encoding is directed by the logical schema and the physical columns of each batch.
//! Nothing here allocates per row; see `tests/allocations.rs`.

mod beside;
mod cells;
mod column;
mod csv;
mod cursor;
mod dead_letter;
mod decoder;
mod encode;
mod infer;
mod json;
mod number;
mod scan;
mod stream;

pub use cursor::SlabCursor;
pub use dead_letter::{dead_record, encode_dead_letter, encode_refused, refused_record, shortened_record};
pub use decoder::{BadRecord, Decoded, Decoder, HeaderMark, SlabState};
pub use encode::{Encoder, KeyEncoder, append_records};
pub use infer::infer;
