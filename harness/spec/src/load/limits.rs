//! Findings that depend on several keys of one map: bounds in the wrong order, keys that exclude each other.

use velostream_sql::diag::Diagnostic;
use velostream_types::Span;

use super::fields::Fields;
use super::moment;
use crate::findings::{ALWAYS_HOLDS, BAD_WEIGHTS, Findings, KEYS_DISAGREE, REVERSED};
use crate::spec::Moment;

/// A lower bound is at most its upper one.
pub fn ordered(fields: Fields<'_>, low: &str, high: &str, findings: &mut Findings) {
    if let (Some(least), Some(greatest)) = (fields.number_if_given(low), fields.number_if_given(high))
        && least > greatest
    {
        reversed(fields, low, high, &format!("\"{low}\" {least} is above \"{high}\" {greatest}"), findings);
    }
}

/// Some number is above one exclusive bound and below the other.
pub fn apart(fields: Fields<'_>, above: &str, below: &str, findings: &mut Findings) {
    if let (Some(least), Some(greatest)) = (fields.count_if_given(above), fields.count_if_given(below))
        && greatest <= least.saturating_add(1)
    {
        let message = format!("no number is above \"{above}\" {least} and below \"{below}\" {greatest}");
        reversed(fields, above, below, &message, findings);
    }
}

/// The two numbers of a list are in order.
pub fn pair_ordered(fields: Fields<'_>, name: &str, findings: &mut Findings) {
    if let Some((least, greatest)) = fields.pair(name, super::fields::number)
        && least > greatest
        && let Some(entry) = fields.entry(name)
    {
        let message = format!("\"{name}\" goes from {least} to {greatest}");
        findings.push(Diagnostic::error(REVERSED, entry.value.span, message).hint("write the lesser one first"));
    }
}

/// The start is before the end, wherever that does not depend on the time of the run.
pub fn moments_ordered(fields: Fields<'_>, start: &str, end: &str, may_be_equal: bool, findings: &mut Findings) {
    let (from, to) = (fields.moment(start), fields.moment(end));
    if moment::is_reversed(from, to, may_be_equal) {
        let word = |key: &str, moment: Moment| match (fields.text_if_given(key), moment) {
            (Some(text), _) => format!("\"{key}\" {text}"),
            (None, Moment::Relative(0)) => format!("\"{key}\", which is now"),
            (None, _) => format!("\"{key}\", which is an hour before now"),
        };
        let message = format!("{} is not before {}", word(start, from), word(end, to));
        reversed(fields, start, end, &message, findings);
    }
}

fn reversed(fields: Fields<'_>, low: &str, high: &str, message: &str, findings: &mut Findings) {
    let place = |key: &str| fields.entry(key).map(|entry| entry.value.span);
    let (first, second) = (place(low), place(high));
    let finding = Diagnostic::error(REVERSED, second.or(first).unwrap_or_else(|| fields.span()), message);
    findings.push(match (first, second) {
        (Some(first), Some(_)) => finding.also(first, "the other bound"),
        _ => finding,
    });
}

/// At most one of the keys is given; answers whether one is.
pub fn exclusive(fields: Fields<'_>, names: &[&str], findings: &mut Findings) -> bool {
    let given: Vec<_> = names.iter().filter_map(|name| fields.entry(name)).collect();
    if let [first, second, ..] = &given[..] {
        let message = format!("\"{}\" and \"{}\" exclude each other", first.key, second.key);
        let finding = Diagnostic::error(KEYS_DISAGREE, second.key_span, message);
        findings.push(finding.also(first.key_span, "given, too").hint("write one of them"));
    }
    !given.is_empty()
}

/// An assertion states at least one of these, or nothing can break it.
pub fn states_something(fields: Fields<'_>, tag: &str, tag_span: Span, names: &[&str], findings: &mut Findings) {
    if names.iter().all(|name| fields.entry(name).is_none()) {
        let finding = Diagnostic::warning(ALWAYS_HOLDS, tag_span, format!("this {tag} states nothing, so it holds"));
        findings.push(finding.hint(format!("add one of {}", names.join(", "))));
    }
}

/// Weights are as many as the values, and some value can be chosen.
pub fn weights(count: usize, weights: &[f64], span: Span, findings: &mut Findings) {
    let message = if weights.len() != count {
        format!("the number of weights is {}, that of values {count}", weights.len())
    } else if weights.iter().any(|weight| *weight < 0.0 || !weight.is_finite()) {
        "a weight is negative".to_owned()
    } else if weights.iter().sum::<f64>() <= 0.0 {
        "all weights are 0".to_owned()
    } else {
        return;
    };
    findings.error(BAD_WEIGHTS, span, message);
}
