//! `velo-test schema`: the schemas of what it reads and writes, on standard output, for editors and programs.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use velostream_spec::load::json_schema;
use velostream_spec::report::{JSON_SCHEMA, JUNIT_SCHEMA};

use crate::output::print;

/// Command line of `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// What it describes
    #[arg(value_enum)]
    of: Described,
}

/// What there are schemas of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Described {
    /// Specs: JSON Schema
    Spec,
    /// Data schemas: JSON Schema
    Data,
    /// Reports of `-o json`: JSON Schema
    Report,
    /// Reports of `-o junit`: XML Schema
    Junit,
}

/// Prints the schema asked for.
pub fn schema(args: &SchemaArgs) -> Result<ExitCode> {
    let text = match args.of {
        Described::Spec => format!("{:#}", json_schema::spec()),
        Described::Data => format!("{:#}", json_schema::data_schema()),
        Described::Report => JSON_SCHEMA.to_owned(),
        Described::Junit => JUNIT_SCHEMA.to_owned(),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
