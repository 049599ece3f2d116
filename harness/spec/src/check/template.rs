//! `template`: an expression over records, counts and variables that has to be true.

use crate::check::counts::{character, refuted};
use crate::check::expression::{Context, Running, SyntaxError, parse_expression};
use crate::check::outcomes::Case;
use crate::check::{Facts, Fold};
use crate::outcome::Outcome;
use crate::record::Record;

pub(crate) fn template(case: Case, text: String, description: Option<String>, context: &Context) -> Box<dyn Fold> {
    let running = parse_expression(&text).map(|parsed| Running::new(parsed, context));
    Box::new(Template { case, text, description, running })
}

struct Template {
    case: Case,
    text: String,
    description: Option<String>,
    running: Result<Running, SyntaxError>,
}

impl Fold for Template {
    fn record(&mut self, record: &Record<'_>) {
        if let Ok(running) = &mut self.running {
            running.record(record);
        }
    }

    fn finish(self: Box<Self>, facts: &Facts<'_>) -> Outcome {
        let Template { case, text, description, running } = *self;
        let sink = &case.sink;
        let about = description.map_or_else(String::new, |d| format!(" ({d})"));
        let value = match &running {
            Ok(running) => running.finish(facts.context),
            Err((at, message)) => Err(format!("at character {}: {message}", character(&text, *at))),
        };
        let outcome = match value {
            Ok(value) if value.is_true() => {
                case.passed(format!("`{text}` holds for {sink}{about}")).detail("result", value.shown())
            }
            Ok(value) => {
                let sides = running.as_ref().ok().and_then(|running| running.sides(facts.context));
                let (because, shown) = refuted(sides, value.shown());
                let offenders = running.map(Running::offenders).unwrap_or_default();
                case.failed(format!("`{text}` does not hold for {sink}{about}{because}"), "true", shown)
                    .detail("result", value.shown())
                    .with_rows(offenders)
            }
            Err(error) => case.failed(format!("`{text}` has no value for {sink}{about}: {error}"), "true", error),
        };
        outcome.detail("expression", text)
    }
}
