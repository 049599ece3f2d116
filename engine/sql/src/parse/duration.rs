//! Durations: `5s`, `1.5 m`, `INTERVAL '5' SECOND`, `'5 seconds'`, a bare integer being seconds.

use velostream_types::{Span, decimal, time};

use super::ast::Duration;
use super::cursor::{Failed, Parse, Parser};
use super::lex::{Sym, Tok};
use crate::diag::Diagnostic;
use crate::duration::{UNITS_IN_WORDS, unit_hint, unit_ns};

/// Nanoseconds of a unit; `None` for an unknown one, `Some(0)` for calendar units.
fn scale_ns(unit: &str) -> Option<i64> {
    if months_of(unit).is_some() { Some(0) } else { unit_ns(unit) }
}

/// Months of a calendar unit.
fn months_of(unit: &str) -> Option<i64> {
    [("month", 1), ("months", 1), ("quarter", 3), ("quarters", 3), ("year", 12), ("years", 12)]
        .into_iter()
        .find(|(name, _)| unit.eq_ignore_ascii_case(name))
        .map(|(_, months)| months)
}

impl Parser<'_> {
    /// A duration where the grammar wants one.
    pub fn duration(&mut self) -> Parse<Duration> {
        let start = self.span();
        if self.is_word("INTERVAL") {
            return self.interval();
        }
        let negative = self.take(Sym::Minus);
        let (number, unit) = match self.peek() {
            Tok::Text(text) | Tok::DoubleQuoted(text) => {
                let text = text.trim();
                self.bump();
                split_number(text)
            }
            Tok::Number(number) => {
                self.bump();
                let unit = self.word(0).filter(|w| self.stands_for_a_unit(w)).unwrap_or_default();
                if !unit.is_empty() {
                    self.bump();
                }
                (&**number, unit)
            }
            _ => return Err(self.expected("a duration such as 5s, '5 seconds' or INTERVAL '5' SECOND")),
        };
        self.build(number, unit, negative, start.to(self.last_span()))
    }

    /// TRUE for the word after a number when it is its unit, or can be nothing else: glued to it, or the last word of
    /// what a comma or parenthesis ends.
    fn stands_for_a_unit(&self, word: &str) -> bool {
        let is_last = self.is_at(1, Sym::Comma) || self.is_at(1, Sym::RParen);
        self.touches(0) || is_last || scale_ns(word).is_some()
    }

    /// `INTERVAL` and what follows it.
    pub fn interval(&mut self) -> Parse<Duration> {
        let start = self.span();
        self.expect_word("INTERVAL")?;
        let negative = self.take(Sym::Minus);
        let (number, mut unit) = match self.peek() {
            Tok::Text(text) | Tok::DoubleQuoted(text) => split_number(text.trim()),
            Tok::Number(number) => (&**number, ""),
            _ => return Err(self.expected("a number after INTERVAL")),
        };
        self.bump();
        if unit.is_empty() {
            let Some(word) = self.word(0) else { return Err(self.expected("a unit such as SECOND")) };
            unit = word;
            self.bump();
        }
        self.build(number, unit, negative, start.to(self.last_span()))
    }

    /// `INTERVAL n MONTH` or another calendar unit inside an expression: its months.
    pub fn calendar_interval(&mut self) -> Option<Parse<(i64, Span)>> {
        let start = self.span();
        let negative = self.is_at(1, Sym::Minus);
        let at = 1 + usize::from(negative);
        let (number, unit) = match self.peek_at(at) {
            _ if !self.is_word("INTERVAL") => return None,
            Tok::Text(text) | Tok::DoubleQuoted(text) => split_number(text.trim()),
            Tok::Number(number) => (&**number, ""),
            _ => return None,
        };
        let (unit, tokens) = if unit.is_empty() { (self.word(at + 1)?, at + 2) } else { (unit, at + 1) };
        let per = months_of(unit)?;
        (0..tokens).for_each(|_| self.bump());
        let span = start.to(self.last_span());
        let Some(months) = number.trim_start_matches('+').parse::<i64>().ok().and_then(|n| n.checked_mul(per)) else {
            let message = format!("\"{number}\" is not a whole number of {unit}");
            return Some(Err(self.fail(Diagnostic::error("E0108", span, message))));
        };
        Some(Ok((if negative { -months } else { months }, span)))
    }

    /// `5s` inside an expression: a number with a word glued to it.
    pub fn glued_duration(&mut self) -> Option<Parse<Duration>> {
        let (Tok::Number(_), Some(_)) = (self.peek(), self.word(1)) else { return None };
        self.touches(1).then(|| self.duration())
    }

    fn build(&mut self, number: &str, unit: &str, negative: bool, span: Span) -> Parse<Duration> {
        let bad = |message: String| Diagnostic::error("E0108", span, message).hint(UNITS_IN_WORDS);
        let Some((mantissa, scale)) = decimal::from_text(number) else {
            return Err(self.fail(bad(format!("\"{}\" is not a duration", self.slice(span)))));
        };
        let per = if unit.is_empty() { Some(time::NS_PER_SEC) } else { scale_ns(unit) };
        let ns = match per {
            None => return Err(self.unknown_unit(unit, span)),
            Some(0) => return Err(self.fail(bad("months and years have no fixed length".to_owned()))),
            Some(per) => mantissa.checked_mul(i128::from(per)),
        };
        let Some(ns) = ns.map(|n| n / decimal::pow10(scale)).and_then(|n| i64::try_from(n).ok()) else {
            return Err(self.fail(bad("the duration is longer than 292 years".to_owned())));
        };
        Ok(Duration { ns: if negative { ns.saturating_neg() } else { ns }, span })
    }

    /// Reports a unit that is none, with the caret on it; `span` holds the whole duration, which ends with the unit.
    fn unknown_unit(&mut self, unit: &str, span: Span) -> Failed {
        let caret = self.slice(span).rfind(unit).map_or(span, |at| {
            let start = span.start + at as u32;
            Span::new(start, start + unit.len() as u32)
        });
        let message = format!("unknown time unit \"{unit}\"");
        self.fail(Diagnostic::error("E0108", caret, message).hint(unit_hint(unit)))
    }
}

fn split_number(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(text.len());
    (&text[..at], text[at..].trim())
}
