//! `velo-sql schema`: JSON Schemas on standard output, for editors and programs.

use std::process::ExitCode;

use anyhow::Result;
use velostream_sql::props::config_schema;

use crate::args::{SchemaArg, SchemaArgs};
use crate::explain::print;

/// What `velo-sql validate --output-format json` prints, as people keep it; a test holds the document to it.
const VALIDATION: &str = include_str!("validation.schema.json");

/// Prints the schema asked for.
pub fn schema(args: &SchemaArgs) -> Result<ExitCode> {
    match args.of {
        SchemaArg::Config => print(&format!("{}\n", serde_json::to_string_pretty(&config_schema())?))?,
        SchemaArg::Validation => print(VALIDATION)?,
    }
    Ok(ExitCode::SUCCESS)
}
