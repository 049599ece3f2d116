//! Specs and data schemas from YAML, `@data` hints from SQL, with a place in every finding.
//!
//! The way of a text: `tree` reads it, `conform` judges it by the key tables (`spec_keys`, `assertion_keys`,
//! `schema_keys`), `spec`, `assertions` and `schema` make values of it and find what several keys say together. The same
//! tables give editors their JSON Schema. Nothing here opens a file.

mod assertion_keys;
mod assertions;
pub mod config;
mod conform;
mod fields;
pub mod find;
mod hints;
pub mod json_schema;
mod limits;
mod moment;
mod queries;
mod schema;
mod schema_keys;
mod shape;
mod spec;
mod spec_keys;
mod tree;
mod words;

#[cfg(test)]
mod tests;

pub use hints::hints;
pub use schema::data_schema;
pub use spec::spec;
