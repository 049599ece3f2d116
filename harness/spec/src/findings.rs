//! Findings about a spec, a data schema or `@data` hints: diagnostics whose labels point into the file they are about.
//!
//! They are those of the SQL crate, so `velostream_sql::diag` draws them, on several lines or on one. Codes are stable:
//! `T01..` and, of what is found while tests run, `T02..` are errors, `T05..` warnings.

use std::fmt::Write;
use std::sync::Arc;

use velostream_sql::diag::{Diagnostic, Label, Origin, Severity};
use velostream_types::Span;

/// A code and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// `T` and four digits.
    pub code: &'static str,
    /// One sentence: when it comes up.
    pub meaning: &'static str,
}

const fn code(code: &'static str, meaning: &'static str) -> Code {
    Code { code, meaning }
}

/// The text is no YAML.
pub const MALFORMED: &str = "T0101";
/// A key that has to be there is not.
pub const MISSING_KEY: &str = "T0102";
/// A value of another type.
pub const WRONG_TYPE: &str = "T0103";
/// A value that is none of the possible ones.
pub const UNKNOWN_WORD: &str = "T0104";
/// No assertion has this type.
pub const UNKNOWN_ASSERTION: &str = "T0105";
/// A number beyond its limits.
pub const OUT_OF_RANGE: &str = "T0106";
/// No moment can be read.
pub const BAD_MOMENT: &str = "T0107";
/// A pattern that does not compile.
pub const BAD_PATTERN: &str = "T0108";
/// A name that something else has, too.
pub const NAME_TWICE: &str = "T0109";
/// A name of nothing.
pub const UNKNOWN_NAME: &str = "T0110";
/// Queries that wait for each other.
pub const CIRCLE: &str = "T0111";
/// A lower bound above its upper one.
pub const REVERSED: &str = "T0112";
/// Keys that exclude or need each other.
pub const KEYS_DISAGREE: &str = "T0113";
/// Weights that fit no values.
pub const BAD_WEIGHTS: &str = "T0114";
/// A hint that cannot be read.
pub const BAD_HINT: &str = "T0115";
/// A query test that no statement is found for, or a dependency that is none.
pub const NO_STATEMENT: &str = "T0201";
/// An input whose data schema is not there.
pub const NO_SCHEMA: &str = "T0202";
/// A sink that the query does not write.
pub const NO_SINK: &str = "T0203";
/// An input whose file cannot be read.
pub const BAD_FILE: &str = "T0204";
/// An input that takes over what no query gave.
pub const NOTHING_GIVEN: &str = "T0205";
/// A key that means nothing.
pub const UNKNOWN_KEY: &str = "T0501";
/// A key that is known and does nothing yet.
pub const LATER: &str = "T0502";
/// A query that nothing is asserted about.
pub const NO_ASSERTIONS: &str = "T0503";
/// A key that does nothing beside what else is written.
pub const NO_EFFECT: &str = "T0504";
/// An assertion that cannot fail.
pub const ALWAYS_HOLDS: &str = "T0505";

/// All codes in their order.
#[rustfmt::skip]
pub const CODES: &[Code] = &[
    code(MALFORMED, "The file is not YAML, or its top is no map; a key that stands twice in a map counts, too."),
    code(MISSING_KEY, "A key that has to be there is missing or has no value."),
    code(WRONG_TYPE, "The value is of another type than the key takes: text for a number, a map for a list."),
    code(UNKNOWN_WORD, "The key takes one of several words, and this is none of them; upper and lower case count."),
    code(UNKNOWN_ASSERTION, "No assertion has this `type`."),
    code(OUT_OF_RANGE, "The number is below the least or above the greatest that the key takes."),
    code(BAD_MOMENT, "A moment is `now`, a span such as `-4h` or `+30m` from now, or a date and time such as `2024-01-31T09:30:00Z`."),
    code(BAD_PATTERN, "The pattern is no regular expression."),
    code(NAME_TWICE, "Two queries of a spec, or two fields of a schema, have the same name."),
    code(UNKNOWN_NAME, "The name is that of a query or field that the file does not have."),
    code(CIRCLE, "Queries take their input from each other in a circle, so none of them can be the first."),
    code(REVERSED, "A lower bound is above its upper one, or a start is not before its end."),
    code(KEYS_DISAGREE, "Keys are given of which only one may be, or one is missing that another needs."),
    code(BAD_WEIGHTS, "Weights are as many as the values, none is negative, and one at least is above 0."),
    code(BAD_HINT, "A `-- @data.` line is not written as hints are."),
    code(NO_STATEMENT, "The app has no statement for the query, or for one that it depends on."),
    code(NO_SCHEMA, "No data schema has the name that the input gives, or else that of its source."),
    code(NO_SINK, "The query writes no sink of this name."),
    code(BAD_FILE, "The input's file is not there or not in its format."),
    code(NOTHING_GIVEN, "The input takes over what a query gave, and that gave nothing that can be taken."),
    code(UNKNOWN_KEY, "The key means nothing at this place, so what it says is not done."),
    code(LATER, "The key is known and has no effect yet."),
    code(NO_ASSERTIONS, "Nothing is asserted about the query, so its test shows only that it runs."),
    code(NO_EFFECT, "The key has no effect beside what else is written."),
    code(ALWAYS_HOLDS, "The assertion has no bound, so it cannot fail."),
];

/// What was read, and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// `None` if, and only if, a finding is an error.
    pub value: Option<T>,
    /// In the order of the text.
    pub findings: Vec<Diagnostic>,
}

/// Collects the findings about one text.
#[derive(Debug)]
pub struct Findings {
    origin: Option<Origin>,
    found: Vec<Diagnostic>,
}

impl Findings {
    /// About a file, by the name users know it by.
    pub fn of_file(name: &str, text: &str) -> Findings {
        Findings { origin: Some(Origin { name: name.to_owned(), text: Arc::from(text) }), found: Vec::new() }
    }

    /// About an SQL text; who draws the findings knows it.
    pub fn of_sql() -> Findings {
        Findings { origin: None, found: Vec::new() }
    }

    /// Adds a finding; its labels point into this text.
    pub fn push(&mut self, mut finding: Diagnostic) {
        let labels = finding.primary.iter_mut().chain(&mut finding.secondary);
        labels.for_each(|label: &mut Label| label.origin.clone_from(&self.origin));
        self.found.push(finding);
    }

    /// Adds an error without detail and hint.
    pub fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.push(Diagnostic::error(code, span, message));
    }

    /// Adds a warning without detail and hint.
    pub fn warn(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.push(Diagnostic::warning(code, span, message));
    }

    /// An error was added.
    pub fn is_broken(&self) -> bool {
        self.found.iter().any(|d| d.severity == Severity::Error)
    }

    /// The value with all findings; without it if one is an error.
    pub fn into_loaded<T>(mut self, value: Option<T>) -> Loaded<T> {
        self.found.sort_by_key(|d| d.primary.as_ref().map_or(0, |label| label.span.start));
        Loaded { value: value.filter(|_| !self.is_broken()), findings: self.found }
    }
}

/// The codes as a table of Markdown.
pub fn table() -> String {
    let mut out = String::from("| code | |\n|---|---|\n");
    for Code { code, meaning } in CODES {
        let _ = writeln!(out, "| `{code}` | {meaning} |");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_end_in_a_full_stop() {
        for pair in CODES.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} stands behind {}", pair[1].code, pair[0].code);
        }
        for Code { code, meaning } in CODES {
            assert!(code.len() == 5 && code.starts_with('T') && meaning.ends_with('.'), "{code}");
            assert!(table().contains(meaning));
        }
    }

    #[test]
    fn an_error_takes_the_value_and_a_warning_does_not() {
        let mut findings = Findings::of_file("a.yaml", "key: 1\nother: 2\n");
        findings.warn(UNKNOWN_KEY, Span::new(7, 12), "second");
        findings.warn(UNKNOWN_KEY, Span::new(0, 3), "first");
        let loaded = findings.into_loaded(Some(1));
        assert_eq!(loaded.value, Some(1));
        let lines: Vec<String> =
            loaded.findings.iter().map(|d| velostream_sql::diag::line(d, "app.sql", "", false)).collect();
        assert_eq!(lines, ["warning[T0501]: a.yaml:1:1: first", "warning[T0501]: a.yaml:2:1: second"]);

        let mut findings = Findings::of_sql();
        findings.error(BAD_HINT, Span::new(0, 3), "wrong");
        let loaded = findings.into_loaded(Some(1));
        assert_eq!(loaded.value, None);
        let line = velostream_sql::diag::line(&loaded.findings[0], "app.sql", "-- @data", false);
        assert_eq!(line, "error[T0115]: app.sql:1:1: wrong");
    }
}
