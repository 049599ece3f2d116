//! Why a query test did not run: words, and the place in its spec where there is one.

use velostream_sql::diag::{Diagnostic, render};
use velostream_types::Span;

/// Why it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Code of the finding, and what it is about in the spec.
    place: Option<(&'static str, Span)>,
    message: String,
}

impl From<String> for Refused {
    fn from(message: String) -> Refused {
        Refused { place: None, message }
    }
}

impl Refused {
    /// Something of the spec is wrong; codes are those of [`velostream_spec::findings`].
    pub fn at(code: &'static str, span: Span, message: impl Into<String>) -> Refused {
        Refused { place: Some((code, span)), message: message.into() }
    }

    /// The words, with the lines of the spec they are about.
    pub fn shown(&self, spec_name: &str, spec_text: &str) -> String {
        match self.place {
            Some((code, span)) => {
                // What stands behind a `;` says what to do.
                let (message, advice) =
                    self.message.split_once("; ").map_or((self.message.as_str(), None), |(m, a)| (m, Some(a)));
                let finding =
                    Diagnostic { detail: advice.map(str::to_owned), ..Diagnostic::error(code, span, message) };
                render(&finding, spec_name, spec_text, false).trim_end().to_owned()
            }
            None => self.message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_with_its_line() {
        let refused = Refused::at("T0203", Span::new(14, 17), "the query has no sink \"two\"; it writes one");
        let expected = "\
error[T0203]: the query has no sink \"two\"
 --> a.test.yaml:2:9
  |
2 | - sink: two
  |         ^^^
  |
  = detail: it writes one";
        assert_eq!(refused.shown("a.test.yaml", "name:\n- sink: two\n"), expected);
        assert_eq!(Refused::from("plain; words".to_owned()).shown("a", "b"), "plain; words");
    }
}
