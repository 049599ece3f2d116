//! How folds say what became of them.

use serde_json::Value as Json;

use crate::assertion::AssertionKind;
use crate::check::rows::Offenders;
use crate::check::{About, Facts, Fold};
use crate::outcome::Outcome;
use crate::record_text::float_text;

/// What every message of a fold names.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) kind: &'static str,
    pub(crate) sink: Box<str>,
}

impl Case {
    pub(crate) fn new(kind: &AssertionKind, about: &About<'_>) -> Case {
        Case { kind: kind.name(), sink: about.sink.into() }
    }

    /// It holds.
    pub(crate) fn passed(&self, message: impl Into<String>) -> Outcome {
        Outcome { kind: self.kind, passed: true, message: message.into(), ..Outcome::default() }
    }

    /// It does not.
    pub(crate) fn failed(
        &self,
        message: impl Into<String>,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Outcome {
        Outcome {
            kind: self.kind,
            passed: false,
            message: message.into(),
            expected: Some(expected.into()),
            actual: Some(actual.into()),
            ..Outcome::default()
        }
    }
}

impl Outcome {
    /// With a figure.
    pub(crate) fn detail(mut self, name: &str, value: impl Into<Json>) -> Outcome {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// With a figure that differs from run to run.
    pub(crate) fn with_measured(mut self, name: &str, value: impl Into<Json>) -> Outcome {
        self.measured.insert(name.to_owned(), value.into());
        self
    }

    /// With the rows that break it.
    pub(crate) fn with_rows(mut self, offenders: Offenders) -> Outcome {
        self.rows = offenders.rows;
        self.more_rows = offenders.more;
        self
    }

    /// With something its author should look at.
    pub(crate) fn warn(mut self, warning: impl Into<String>) -> Outcome {
        self.warning = Some(warning.into());
        self
    }

    /// With something its author should look at, if there is such a thing.
    pub(crate) fn warn_if(self, warning: Option<String>) -> Outcome {
        match warning {
            Some(warning) => self.warn(warning),
            None => self,
        }
    }
}

/// An assertion that looks at no record.
pub(crate) struct AtEnd<F>(pub(crate) F);

impl<F: FnOnce(&Facts<'_>) -> Outcome> Fold for AtEnd<F> {
    fn finish(self: Box<Self>, facts: &Facts<'_>) -> Outcome {
        (self.0)(facts)
    }
}

/// `1 record`, `2 records`
pub(crate) fn counted(n: u64, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

/// `45.45 %: `, in front of the numbers it is of.
pub(crate) fn percent_text(percent: f64) -> String {
    format!("{} %: ", float_text((percent * 100.0).round() / 100.0))
}

/// The verb of so many.
pub(crate) const fn are(n: u64) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

/// `a`, `a and b`, `a, b and c`
pub(crate) fn listed<S: AsRef<str>>(things: &[S]) -> String {
    match things {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}
