//! Diagnostics: the user's mistakes in SQL or configuration, with a stable code, spans and a way out.
//!
//! Message: what is wrong; detail: what was found; hint: what to do. All three start in lower case, unless with a name
//! or keyword, and end without a full stop (`harness/tests/goldens.rs` looks). `render` draws carets, `line` says a
//! finding on one line.

use velostream_types::Span;

pub mod codes;
mod json;
mod position;
mod render;

pub use json::to_json;
pub use position::{Lines, Position};
pub use render::{line, render};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Runs as meant, and could do so cheaper or say more plainly what it does; never an error.
    Recommendation,
    /// Runs, but probably not as meant; `--strict` turns it into an error.
    Warning,
    /// Does not run.
    Error,
}

impl Severity {
    /// As shown to people and programs.
    pub const fn word(self) -> &'static str {
        match self {
            Severity::Recommendation => "recommendation",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// Longest text of a finding that is shown; names and values of any length stand in messages.
const SHOWN_CHARACTERS: usize = 2_000;

/// A text as it is shown: cut where it is longer than anybody reads.
fn shown(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()).into(),
        None => text.into(),
    }
}

/// The text a span points into: the SQL file, or a config file it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// As shown to the user: a path, `<stdin>` or `<-e>`.
    pub name: String,
    /// The whole text.
    pub text: std::sync::Arc<str>,
}

/// A place in an [`Origin`] with a word on what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// A few words shown behind the carets; may be empty.
    pub text: String,
    /// Which text; `None` is the SQL text that was given.
    pub origin: Option<Origin>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, `E0203`, `W0401` or `A0801`; the list is in `docs/diagnostics.md`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, lower case, one line.
    pub message: String,
    /// Where; none for findings without a place in a text.
    pub primary: Option<Label>,
    /// Other places that belong to it.
    pub secondary: Vec<Label>,
    /// What was found: available columns, values, files searched.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Statement, 1-based, if it belongs to one.
    pub statement: Option<usize>,
}

impl Diagnostic {
    /// An error at `span` of the SQL text.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            primary: Some(Label { span, text: String::new(), origin: None }),
            secondary: Vec::new(),
            detail: None,
            hint: None,
            statement: None,
        }
    }

    /// A warning at `span` of the SQL text.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// A recommendation at `span` of the SQL text.
    pub fn recommendation(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Recommendation, ..Diagnostic::error(code, span, message) }
    }

    /// Words behind the carets.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Diagnostic {
        if let Some(primary) = &mut self.primary {
            primary.text = text.into();
        }
        self
    }

    /// Another place that belongs to the finding.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.secondary.push(Label { span, text: text.into(), origin: None });
        self
    }

    /// What was found.
    #[must_use]
    pub fn detail(mut self, text: impl Into<String>) -> Diagnostic {
        self.detail = Some(text.into());
        self
    }

    /// What to do.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Diagnostic {
        self.hint = Some(text.into());
        self
    }
}
