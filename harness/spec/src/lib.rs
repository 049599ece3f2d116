//! What velo-test reads and says, without the engine: test specs and data schemas from YAML, records generated from them,
//! assertions as folds over captured records, and reports.
//!
//! Everything here is a function of its arguments: no clock, no environment, no randomness but a seed's. Files are read
//! through paths that the caller gives; the harness runs apps, brokers and captures.

pub mod assertion;
pub mod check;
pub mod data_file;
pub mod findings;
pub mod generate;
pub mod load;
pub mod outcome;
pub mod record;
pub mod record_text;
pub mod report;
pub mod schema;
pub mod spec;
