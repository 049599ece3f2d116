//! Why a query test did not run: words, and the place in its spec where there is one.

use velostream_sql::diag::{Diagnostic, render};
use velostream_types::Span;

/// Why it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Code of the finding, and what it is about in the spec.
    place: Option<(&'static str, Span)>,
    message: String,
    /// What there is instead, or what to do.
    advice: Option<String>,
}

impl From<String> for Refused {
    fn from(message: String) -> Refused {
        Refused { place: None, message, advice: None }
    }
}

impl Refused {
    /// Something of the spec is wrong; codes are those of [`velostream_spec::findings`].
    pub fn at(code: &'static str, span: Span, message: impl Into<String>) -> Refused {
        Refused { place: Some((code, span)), message: message.into(), advice: None }
    }

    /// Says what there is instead, or what to do.
    pub fn advise(self, advice: impl Into<String>) -> Refused {
        Refused { advice: Some(advice.into()), ..self }
    }

    /// The words, with the lines of the spec they are about.
    pub fn shown(&self, spec_name: &str, spec_text: &str) -> String {
        match self.place {
            Some((code, span)) => {
                let finding =
                    Diagnostic { detail: self.advice.clone(), ..Diagnostic::error(code, span, self.message.as_str()) };
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
        let refused = Refused::at("T0203", Span::new(14, 17), "the query has no sink \"two\"").advise("it writes one");
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
