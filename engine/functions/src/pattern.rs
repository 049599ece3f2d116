//! Regular expressions, with the syntax of the `regex` crate (RE2's): a search, not a match of the whole text.
//!
//! A constant pattern is compiled at deploy. One that comes with the rows is compiled when it changes, and may fail a
//! record. Patterns are linear in the text whatever they are, and their programs limited in size.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use velostream_types::{Column, Value};

use crate::call::{Call, Fail, shortened};
use crate::function::{BadConstant, Function, Group, Param, Prepared, Returns};

/// Largest compiled pattern, bytes.
const SIZE_MAX: usize = 1 << 20;

/// The group's entries.
pub const FUNCTIONS: &[Function] =
    &[Function::new("REGEXP_LIKE", Group::String, &[Param::Text, Param::Text], Returns::Boolean, regexp_like)
        .or(&["REGEXP"])
        .fails()
        .prepare(second_is_a_pattern)
        .doc(
            "REGEXP_LIKE(text, pattern)",
            "TRUE when the pattern is found anywhere in the text.",
            &[("REGEXP_LIKE('error 42', '[0-9]+')", "true"), ("REGEXP_LIKE('abc', '^b')", "false")],
        )];

/// The compiled pattern, or what is wrong with it.
fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(SIZE_MAX).build().map_err(|error| {
        // The first line says "regex parse error:", the last what it is.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("'{}' is no pattern: {reason}", shortened(pattern))
    })
}

fn second_is_a_pattern(constants: &[Option<&Value>]) -> Result<Option<Prepared>, BadConstant> {
    let Some(Some(Value::Str(pattern))) = constants.get(1) else { return Ok(None) };
    let compiled = compile(pattern).map_err(|message| BadConstant { argument: 1, message })?;
    Ok(Some(Arc::new(compiled)))
}

/// Patterns of one argument: prepared, or compiled when the text changes.
struct Patterns<'a> {
    prepared: Option<&'a Regex>,
    last: Option<(&'a str, Regex)>,
}

impl<'a> Patterns<'a> {
    fn of(call: &Call<'a>) -> Patterns<'a> {
        Patterns { prepared: call.prepared(), last: None }
    }

    fn get(&mut self, pattern: &'a str) -> Result<&Regex, Fail> {
        if let Some(prepared) = self.prepared {
            return Ok(prepared);
        }
        let known = self.last.take().filter(|(text, _)| *text == pattern);
        let entry = match known {
            Some(entry) => entry,
            None => (pattern, compile(pattern).map_err(Fail::domain)?),
        };
        Ok(&self.last.insert(entry).1)
    }
}

fn regexp_like(call: &mut Call<'_>) -> Column {
    let (text, pattern) = (call.args.text(0), call.args.text(1));
    let mut patterns = Patterns::of(call);
    call.bools(|row| Ok(Some(patterns.get(pattern.at(row))?.is_match(text.at(row)))))
}
