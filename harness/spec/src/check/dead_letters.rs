//! `dlq_count` and `error_rate`: records that could not be used.

use std::collections::BTreeMap;

use crate::assertion::CountBounds;
use crate::check::counts::{ask_nothing, hold, told};
use crate::check::outcomes::{AtEnd, Case, counted, listed};
use crate::check::{DeadLetter, Facts, Fold};
use crate::outcome::Outcome;
use crate::record_text::float_text;

/// Number of letters of a topic and of some types; no topic: all of the query, no type: all.
fn counted_letters(letters: &[DeadLetter], topic: Option<&str>, types: &[String]) -> u64 {
    let is_wanted = |letter: &&DeadLetter| {
        topic.is_none_or(|topic| letter.topic == topic) && (types.is_empty() || types.contains(&letter.error_type))
    };
    letters.iter().filter(is_wanted).count() as u64
}

/// All letters of the query by topic and by type, those that do not count as well: a misspelt name shows.
fn with_all(outcome: Outcome, letters: &[DeadLetter]) -> Outcome {
    let by = |name: fn(&DeadLetter) -> &String| {
        let mut counts = BTreeMap::new();
        letters.iter().for_each(|letter| *counts.entry(name(letter).clone()).or_insert(0_u64) += 1);
        counts.into_iter().map(|(name, n)| (name, n.into())).collect::<serde_json::Map<_, _>>()
    };
    outcome.detail("by_topic", by(|letter| &letter.topic)).detail("by_type", by(|letter| &letter.error_type))
}

fn not_captured(case: &Case) -> Outcome {
    let message = format!("dead letters beside {} were not captured", case.sink);
    case.failed(message, "dead letters to count", "none were captured")
}

fn of(topic: Option<&str>, types: &[String], sink: &str) -> String {
    let place = topic.map_or_else(|| format!("beside {sink}"), |topic| format!("in {topic}"));
    if types.is_empty() { place } else { format!("of type {} {place}", listed(types)) }
}

pub(crate) fn count(case: Case, topic: Option<String>, bounds: CountBounds, types: Vec<String>) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| {
        let Some(letters) = facts.dead_letters else { return not_captured(&case) };
        let count = counted_letters(letters, topic.as_deref(), &types);
        let message = format!("{} {}", counted(count, "dead letter"), of(topic.as_deref(), &types, &case.sink));
        let outcome = if hold(&bounds, count) {
            case.passed(message).warn_if(ask_nothing(&bounds))
        } else {
            let wanted = told(&bounds);
            case.failed(format!("{message}, not {wanted}"), wanted, count.to_string())
        };
        with_all(outcome, letters)
    }))
}

pub(crate) fn rate(case: Case, max_rate: f64, types: Vec<String>, min_records: u64) -> Box<dyn Fold> {
    Box::new(AtEnd(move |facts: &Facts<'_>| {
        let Some(letters) = facts.dead_letters else { return not_captured(&case) };
        let all = facts.records + letters.len() as u64;
        let count = counted_letters(letters, None, &types);
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
        with_all(outcome.detail("error_rate", rate), letters)
    }))
}
