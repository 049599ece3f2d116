//! Regular expressions, with the syntax of the `regex` crate (RE2's): a search, not a match of the whole text. `~` and
//! `!~` are REGEXP_LIKE.
//!
//! A constant pattern is compiled at deploy. One that comes with the rows is compiled when it changes, and may fail a
//! record. Patterns are linear in the text whatever they are, and their programs limited in size.

use std::sync::Arc;

use regex::{Captures, Regex, RegexBuilder};
use velostream_types::{Column, Value};

use crate::call::{Call, Fail, Texts, shortened};
use crate::function::{BadConstant, Function, Group, Param, Prepared, Returns};
use crate::string::{grow, within};

/// Largest compiled pattern, bytes.
const SIZE_MAX: usize = 1 << 20;

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("REGEXP_LIKE", Group::String, &[Param::Text, Param::Text], Returns::Boolean, regexp_like)
        .or(&["REGEXP"])
        .fails()
        .prepare(second_is_a_pattern)
        .doc(
            "REGEXP_LIKE(text, pattern)",
            "TRUE when the pattern is found anywhere in the text. Also text ~ pattern, and !~ for its opposite.",
            &[
                ("REGEXP_LIKE('error 42', '[0-9]+')", "true"),
                ("REGEXP_LIKE('abc', '^b')", "false"),
                ("'Abc' ~ '(?i)^a.c$'", "true"),
                ("'abc' !~ '\\d'", "true"),
            ],
        ),
    Function::new("REGEXP_EXTRACT", Group::String, &[Param::Text, Param::Text, Param::Integer], Returns::Text, extract)
        .or(&["REGEXP_SUBSTR"])
        .optional(1)
        .fails()
        .prepare(group_exists)
        .doc(
            "REGEXP_EXTRACT(text, pattern[, group])",
            "What the pattern, or its group of this number, matched first; NULL without a match.",
            &[
                ("REGEXP_EXTRACT('id=42;', 'id=([0-9]+)', 1)", "42"),
                ("REGEXP_EXTRACT('id=42;', '[0-9]+')", "42"),
                ("REGEXP_EXTRACT('none', '[0-9]+')", "NULL"),
                ("REGEXP_EXTRACT('ac', 'a(b)?c', 1)", "NULL"),
            ],
        ),
    Function::new(
        "REGEXP_REPLACE",
        Group::String,
        &[Param::Text, Param::Text, Param::Text, Param::Text],
        Returns::Text,
        replace,
    )
    .optional(1)
    .fails()
    .prepare(flags_are_known)
    .doc(
        "REGEXP_REPLACE(text, pattern, replacement[, flags])",
        "The text with the first match replaced, with flag g all of them, with flag i in any case. `$1` or `${1}` in the \
         replacement is what group 1 matched, `$$` a dollar sign.",
        &[
            ("REGEXP_REPLACE('a1b2', '[0-9]', '#')", "a#b2"),
            ("REGEXP_REPLACE('a1b2', '[0-9]', '#', 'g')", "a#b#"),
            ("REGEXP_REPLACE('John Smith', '(\\w+) (\\w+)', '$2, $1')", "Smith, John"),
            ("REGEXP_REPLACE('AbA', 'a', '', 'gi')", "b"),
            ("REGEXP_REPLACE('abc', 'x*', '-', 'g')", "-a-b-c-"),
        ],
    ),
];

/// What flags ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Flags {
    all: bool,
    any_case: bool,
}

impl Flags {
    fn read(text: &str) -> Result<Flags, String> {
        text.chars().try_fold(Flags::default(), |flags, c| match c {
            'g' => Ok(Flags { all: true, ..flags }),
            'i' => Ok(Flags { any_case: true, ..flags }),
            _ => Err(format!("'{c}' is no flag; there are g and i")),
        })
    }
}

/// The compiled pattern, or what is wrong with it.
fn compile(pattern: &str, flags: Flags) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(SIZE_MAX).case_insensitive(flags.any_case).build().map_err(|error| {
        // The first line says "regex parse error:", the last what it is.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("'{}' is no pattern: {reason}", shortened(pattern))
    })
}

fn second_is_a_pattern(constants: &[Option<&Value>]) -> Result<Option<Prepared>, BadConstant> {
    prepared(constants, Flags::default())
}

fn prepared(constants: &[Option<&Value>], flags: Flags) -> Result<Option<Prepared>, BadConstant> {
    let Some(Some(Value::Str(pattern))) = constants.get(1) else { return Ok(None) };
    let compiled = compile(pattern, flags).map_err(|message| BadConstant { argument: 1, message })?;
    Ok(Some(Arc::new(compiled)))
}

fn group_exists(constants: &[Option<&Value>]) -> Result<Option<Prepared>, BadConstant> {
    let compiled = second_is_a_pattern(constants)?;
    let regex = compiled.as_ref().and_then(|c| c.downcast_ref::<Regex>());
    if let (Some(regex), Some(Some(Value::Int(group)))) = (regex, constants.get(2)) {
        group_number(regex, *group).map_err(|message| BadConstant { argument: 2, message })?;
    }
    Ok(compiled)
}

fn group_number(regex: &Regex, group: i64) -> Result<usize, String> {
    let last = regex.captures_len() - 1;
    usize::try_from(group)
        .ok()
        .filter(|n| *n <= last)
        .ok_or_else(|| format!("the pattern has the groups 0 to {last}, not {group}"))
}

fn flags_are_known(constants: &[Option<&Value>]) -> Result<Option<Prepared>, BadConstant> {
    let flags = match constants.get(3) {
        None => Flags::default(),
        Some(Some(Value::Str(flags))) => Flags::read(flags).map_err(|message| BadConstant { argument: 3, message })?,
        // Flags that come with the rows are part of what is compiled.
        Some(_) => return Ok(None),
    };
    prepared(constants, flags)
}

/// Patterns of one argument: prepared, or compiled when the text changes.
struct Patterns<'a> {
    prepared: Option<&'a Regex>,
    last: Option<(&'a str, bool, Regex)>,
}

impl<'a> Patterns<'a> {
    fn of(call: &Call<'a>) -> Patterns<'a> {
        Patterns { prepared: call.prepared(), last: None }
    }

    fn get(&mut self, pattern: &'a str, flags: Flags) -> Result<&Regex, Fail> {
        if let Some(prepared) = self.prepared {
            return Ok(prepared);
        }
        let known = self.last.take().filter(|(text, any_case, _)| *text == pattern && *any_case == flags.any_case);
        let entry = match known {
            Some(entry) => entry,
            None => (pattern, flags.any_case, compile(pattern, flags).map_err(Fail::domain)?),
        };
        Ok(&self.last.insert(entry).2)
    }
}

fn regexp_like(call: &mut Call<'_>) -> Column {
    let (text, pattern) = (call.args.text(0), call.args.text(1));
    let mut patterns = Patterns::of(call);
    call.bools(|row| Ok(Some(patterns.get(pattern.at(row), Flags::default())?.is_match(text.at(row)))))
}

fn extract(call: &mut Call<'_>) -> Column {
    let pattern = call.args.text(1);
    let group = (call.args.len() > 2).then(|| call.args.int(2));
    let mut patterns = Patterns::of(call);
    call.pieces_of(0, |row, text| {
        let regex = patterns.get(pattern.at(row), Flags::default())?;
        let group = group.as_ref().map_or(0, |group| group.at(row));
        let group = group_number(regex, group).map_err(Fail::domain)?;
        let found = match group {
            0 => regex.find(text),
            _ => regex.captures(text).and_then(|captures| captures.get(group)),
        };
        Ok(found.map(|found| within(text, found.as_str())))
    })
}

fn replace(call: &mut Call<'_>) -> Column {
    let (text, pattern, by) = (call.args.text(0), call.args.text(1), call.args.text(2));
    let flags: Option<Texts<'_>> = (call.args.len() > 3).then(|| call.args.text(3));
    let mut patterns = Patterns::of(call);
    call.texts(|row, out| {
        let flags = flags.map_or(Ok(Flags::default()), |flags| Flags::read(flags.at(row))).map_err(Fail::domain)?;
        let regex = patterns.get(pattern.at(row), flags)?;
        let (text, by) = (text.at(row), by.at(row));
        let limit = if flags.all { usize::MAX } else { 1 };
        let mut done = 0;
        if by.contains('$') {
            let mut expanded = String::new();
            for captures in regex.captures_iter(text).take(limit) {
                expanded.clear();
                captures.expand(by, &mut expanded);
                done = step(out, text, done, whole(&captures), &expanded)?;
            }
        } else {
            for found in regex.find_iter(text).take(limit) {
                done = step(out, text, done, (found.start(), found.end()), by)?;
            }
        }
        out.push_str(&text[done..]);
        Ok(true)
    })
}

/// Where the whole match stands.
fn whole(captures: &Captures<'_>) -> (usize, usize) {
    captures.get(0).map_or((0, 0), |found| (found.start(), found.end()))
}

/// Appends what stands between two matches and the replacement of the second; answers where that match ends.
fn step(out: &mut String, text: &str, done: usize, found: (usize, usize), by: &str) -> Result<usize, Fail> {
    out.push_str(&text[done..found.0]);
    grow(out, by)?;
    Ok(found.1)
}
