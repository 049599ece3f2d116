//! `dlq_count` and `error_rate`: records that could not be used.

use crate::assertion::CountBounds;
use crate::check::counts::{ask_nothing, hold, told};
use crate::check::outcomes::{AtEnd, Case, counted, listed};
use crate::check::{DeadLetter, Facts, Fold};
use crate::outcome::Outcome;
use crate::record_text::float_text;

/// Letters of a topic and of some types; no topic: all of the query, no type: all.
fn counted_letters(letters: &[DeadLetter], topic: Option<&str>, types: &[String]) -> (u64, Vec<(String, u64)>) {
    let mut by_type = std::collections::BTreeMap::new();
    let wanted = letters
        .iter()
        .filter(|letter| topic.is_none_or(|topic| letter.topic == topic))
        .filter(|letter| types.is_empty() || types.contains(&letter.error_type));
    for letter in wanted {
        *by_type.entry(letter.error_type.clone()).or_insert(0) += 1;
    }
    (by_type.values().sum(), by_type.into_iter().collect())
}

fn not_captured(case: &Case) -> Outcome {
    let message = format!("dead letters beside {} were not captured", case.sink);
    case.failed(message, "dead letters to count", "none were captured")
}

fn with_types(outcome: Outcome, by_type: Vec<(String, u64)>) -> Outcome {
    let types: serde_json::Map<_, _> = by_type.into_iter().map(|(name, n)| (name, n.into())).collect();
    outcome.detail("by_type", types)
}

fn of(topic: Option<&str>, types: &[String], sink: &str) -> String {
    let place = topic.map_or_else(|| format!("beside {sink}"), |topic| format!("in {topic}"));
    if types.is_empty() { place } else { format!("of type {} {place}", listed(types)) }
}

pub(crate) fn count(case: Case, topic: Option<String>, bounds: CountBounds, types: Vec<String>) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| {
        let Some(letters) = facts.dead_letters else { return not_captured(&case) };
        let (count, by_type) = counted_letters(letters, topic.as_deref(), &types);
        let message = format!("{} {}", counted(count, "dead letter"), of(topic.as_deref(), &types, &case.sink));
        let outcome = if hold(&bounds, count) {
            case.passed(message).warn_if(ask_nothing(&bounds))
        } else {
            let wanted = told(&bounds);
            case.failed(format!("{message}, not {wanted}"), wanted, count.to_string())
        };
        with_types(outcome, by_type)
    }))
}

pub(crate) fn rate(case: Case, max_rate: f64, types: Vec<String>, min_records: u64) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| {
        let Some(letters) = facts.dead_letters else { return not_captured(&case) };
        let all = facts.records + letters.len() as u64;
        let (count, by_type) = counted_letters(letters, None, &types);
        let rate = if all == 0 { 0.0 } else { count as f64 / all as f64 };
        let found =
            format!("{} {} of {}", counted(count, "dead letter"), of(None, &types, &case.sink), counted(all, "record"));
        let outcome = if all < min_records {
            let warning = format!("{min_records} records are needed to judge a rate, there are {all}");
            case.passed(format!("{found}: too few to judge")).warn(warning)
        } else {
            let (shown, max) = (float_text((rate * 1e6).round() / 1e6), float_text(max_rate));
            let message = format!("{found}: error rate {shown}");
            if rate <= max_rate {
                case.passed(message)
            } else {
                case.failed(format!("{message}, at most {max} allowed"), format!("at most {max}"), shown)
            }
        };
        with_types(outcome.detail("error_rate", rate), by_type)
    }))
}
