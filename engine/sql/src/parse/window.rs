//! Windows: `TUMBLING(size)`, `HOPPING(size, slide)`, `SESSION(gap[, key])`, each with a time column in front and
//! `GRACE d` and `TZ 'zone'` behind, and their spellings in GROUP BY. `HOP` has the slide first, as where it comes from.

use velostream_types::Span;

use super::ast::{Duration, Expr, ExprKind, Ident, Query, Window, WindowShape};
use super::cursor::{Parse, Parser};
use super::lex::{Sym, Tok};
use crate::diag::Diagnostic;

/// Words a window begins with.
pub(super) const WINDOWS: [&str; 8] =
    ["TUMBLING", "TUMBLE", "HOPPING", "HOP", "SLIDING", "SESSION", "ROWS", "CUMULATE"];

/// What stands behind the size, as it is read.
#[derive(Default)]
struct Rest {
    slide: Option<Duration>,
    key: Option<Expr>,
    grace: Option<Duration>,
    zone: Option<Ident>,
}

impl Parser<'_> {
    pub(super) fn set_window(&mut self, query: &mut Query, window: Window) -> Parse<()> {
        if let Some(first) = &query.window {
            let diagnostic =
                Diagnostic::error("E0106", window.span, "a second window").also(first.span, "the first one");
            return Err(self.fail(diagnostic));
        }
        query.window = Some(window);
        Ok(())
    }

    /// TRUE at a window among the keys of GROUP BY.
    pub(super) fn is_window_key(&self) -> bool {
        self.is_any(0, &["TUMBLE", "TUMBLING", "HOP", "HOPPING", "SLIDING", "SESSION", "CUMULATE"])
            && self.is_at(1, Sym::LParen)
    }

    pub(super) fn window(&mut self) -> Parse<Window> {
        let start = self.span();
        let word = self.word(0).map(str::to_ascii_uppercase).unwrap_or_default();
        let shape = match word.as_str() {
            "TUMBLING" | "TUMBLE" => WindowShape::Tumbling,
            "HOPPING" | "HOP" | "SLIDING" => WindowShape::Hopping,
            "SESSION" => WindowShape::Session,
            "ROWS" => {
                let hint = "write it in the call: AVG(x) OVER (ROWS WINDOW BUFFER 100 ROWS PARTITION BY k)";
                let diagnostic = Diagnostic::error("E0102", start, "ROWS WINDOW stands inside OVER (…) only");
                return Err(self.fail(diagnostic.hint(hint)));
            }
            "CUMULATE" => return Err(self.unsupported(start, "WINDOW CUMULATE")),
            _ => return Err(self.expected("a window: TUMBLING(size), HOPPING(size, slide) or SESSION(gap)")),
        };
        self.bump();
        self.expect(Sym::LParen, &format!("( after {word}"))?;
        let column = self.window_column()?;
        let sized = self.take_word("SIZE");
        let first = self.duration()?;
        let rest = self.behind_size(shape, sized)?;
        self.expect(Sym::RParen, "\",\" or \")\"")?;
        let Rest { slide, key, grace, zone } = rest;
        let (size, slide) = match slide {
            Some(second) if word == "HOP" => (second, Some(first)),
            slide => (first, slide),
        };
        Ok(Window { shape, column, size, slide, key, grace, zone, span: start.to(self.last_span()) })
    }

    /// Everything behind the size; `sized`: it was introduced as `SIZE`.
    fn behind_size(&mut self, shape: WindowShape, sized: bool) -> Parse<Rest> {
        let mut rest = Rest::default();
        let is_hopping = shape == WindowShape::Hopping;
        loop {
            let comma = self.take(Sym::Comma);
            if is_hopping && rest.slide.is_none() {
                if !comma && !self.is_any(0, &["SLIDE", "ADVANCE"]) {
                    return Err(self.expected("\",\" and how far the window slides"));
                }
                if self.take_word("ADVANCE") {
                    self.expect_word("BY")?;
                } else if self.take_word("SLIDE") {
                    self.take_word("BY");
                }
                rest.slide = Some(self.duration()?);
                continue;
            }
            if !comma {
                return Ok(rest);
            }
            if self.is_word("TZ") && matches!(self.peek_at(1), Tok::Text(_) | Tok::DoubleQuoted(_)) {
                self.bump();
                let span = self.span();
                let (Tok::Text(name) | Tok::DoubleQuoted(name)) = self.peek() else {
                    return Err(self.expected("a time zone in quotes"));
                };
                self.bump();
                rest.zone = Some(Ident { name: name.to_string(), span });
            } else if self.is_word("RETENTION") && (sized || shape == WindowShape::Session) {
                // How long ksqlDB keeps windows for queries; here they are kept as long as rows can come for them.
                self.bump();
                self.duration()?;
            } else if shape == WindowShape::Session
                && rest.key.is_none()
                && !self.is_word("GRACE")
                && !self.is_word("TZ")
            {
                rest.key = Some(self.expr()?);
            } else {
                self.expect_word("GRACE")?;
                self.take_word("PERIOD");
                rest.grace = Some(self.duration()?);
            }
        }
    }

    fn window_column(&mut self) -> Parse<Option<Expr>> {
        let is_size = self.is_word("SIZE") && matches!(self.peek_at(1), Tok::Number(_) | Tok::Text(_) | Tok::Word(_));
        let is_interval = self.is_word("INTERVAL") && !self.is_at(1, Sym::Comma);
        if !self.is_name(0) || is_size || is_interval {
            return Ok(None);
        }
        if matches!(self.peek(), Tok::DoubleQuoted(_)) && !self.is_at(1, Sym::Comma) {
            return Ok(None);
        }
        let first = self.name("the time column")?;
        let mut expr =
            Expr { span: first.span, depth: 1, kind: ExprKind::Column { qualifier: None, name: first.clone() } };
        if self.take(Sym::Period) {
            let name: Ident = self.name("a column name after \".\"")?;
            expr.span = first.span.to(name.span);
            expr.kind = ExprKind::Column { qualifier: Some(first), name };
        }
        self.expect(Sym::Comma, "\",\" and the window's size")?;
        Ok(Some(expr))
    }
}

impl Window {
    /// Where the window begins to say how long it is.
    pub(crate) fn sizes(&self) -> Span {
        self.slide.map_or(self.size.span, |slide| self.size.span.to(slide.span))
    }
}
