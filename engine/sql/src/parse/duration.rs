//! Durations: `5s`, `1.5 m`, `INTERVAL '5' SECOND`, `'5 seconds'`, a bare integer being seconds.

use velostream_types::{Span, decimal, time};

use super::ast::Duration;
use super::cursor::{Parse, Parser};
use super::lex::{Sym, Tok};
use crate::diag::Diagnostic;

const UNITS: &str = "units are ns, us, ms, s, m, h, d, w, or MILLISECOND, SECOND, MINUTE, HOUR, DAY, WEEK";

/// Nanoseconds of a unit; `None` for an unknown one, `Some(0)` for calendar units.
fn unit_ns(unit: &str) -> Option<i64> {
    let lower = unit.to_lowercase();
    Some(match lower.as_str() {
        "ns" | "nanosecond" | "nanoseconds" => 1,
        "us" | "μs" | "µs" | "microsecond" | "microseconds" => 1_000,
        "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => time::NS_PER_MS,
        "s" | "sec" | "secs" | "second" | "seconds" => time::NS_PER_SEC,
        "m" | "min" | "mins" | "minute" | "minutes" => 60 * time::NS_PER_SEC,
        "h" | "hour" | "hours" => 3_600 * time::NS_PER_SEC,
        "d" | "day" | "days" => time::NS_PER_DAY,
        "w" | "week" | "weeks" => 7 * time::NS_PER_DAY,
        "month" | "months" | "year" | "years" => 0,
        _ => return None,
    })
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
                let mut unit = "";
                if let Some(word) = self.word(0).filter(|w| self.touches(0) || unit_ns(w).is_some()) {
                    unit = word;
                    self.bump();
                }
                (&**number, unit)
            }
            _ => return Err(self.expected("a duration such as 5s, '5 seconds' or INTERVAL '5' SECOND")),
        };
        self.build(number, unit, negative, start.to(self.last_span()))
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

    /// `5s` inside an expression: a number with a word glued to it.
    pub fn glued_duration(&mut self) -> Option<Parse<Duration>> {
        let (Tok::Number(_), Some(_)) = (self.peek(), self.word(1)) else { return None };
        self.touches(1).then(|| self.duration())
    }

    fn build(&mut self, number: &str, unit: &str, negative: bool, span: Span) -> Parse<Duration> {
        let bad = |message: String| Diagnostic::error("E0108", span, message).hint(UNITS);
        let Some((mantissa, scale)) = decimal::from_text(number) else {
            return Err(self.fail(bad(format!("\"{}\" is not a duration", self.slice(span)))));
        };
        let per = if unit.is_empty() { Some(time::NS_PER_SEC) } else { unit_ns(unit) };
        let ns = match per {
            None => return Err(self.fail(bad(format!("unknown time unit \"{unit}\"")))),
            Some(0) => return Err(self.unsupported(span, "a calendar interval (MONTH, YEAR)")),
            Some(per) => mantissa.checked_mul(i128::from(per)),
        };
        let Some(ns) = ns.map(|n| n / decimal::pow10(scale)).and_then(|n| i64::try_from(n).ok()) else {
            return Err(self.fail(bad("the duration is longer than 292 years".to_owned())));
        };
        Ok(Duration { ns: if negative { ns.saturating_neg() } else { ns }, span })
    }
}

fn split_number(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(text.len());
    (&text[..at], text[at..].trim())
}

/// Nanoseconds of a duration in a property: `5s`, `30 seconds`, a bare number being seconds.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (number, unit) = split_number(text.trim());
    let (mantissa, scale) = decimal::from_text(number)?;
    let per = if unit.is_empty() { time::NS_PER_SEC } else { unit_ns(unit).filter(|per| *per > 0)? };
    i64::try_from(mantissa.checked_mul(i128::from(per))? / decimal::pow10(scale)).ok()
}
