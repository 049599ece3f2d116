//! JSON text: how arrays, maps, structs and untyped nested values are carried in text columns.
//!
//! A column of a nested type holds *canonical* text, so that equal values have equal bytes and may be hashed, grouped
//! and joined as text: no white space, all members of a struct in the order of its type, NULL where one is missing (and
//! behind them, where it was inferred, those that came later), members of a map sorted by key, numbers as their type prints them, text
//! with the shortest escapes. `canonical` makes it from any JSON text and is where values that do not fit their type are
//! found. Everything else here walks text that is
//! known to be well formed: slices of it, without a tree. Cost: one pass over the bytes up to what is asked for.

mod canonical;
mod order;
mod path;
mod scan;
mod value;

pub(crate) use value::exact;

pub use canonical::{Misfit, Strictness, canonical};
pub use order::compare;
pub use path::{Path, Step};
pub use scan::{
    Elements, Kind, MAX_DEPTH, Malformed, Members, check, elements, kind, members, push_text, quote, text_of,
};
pub use value::{push_key, push_value, scalar};
