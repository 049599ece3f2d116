//! The parser's position in the tokens: looking, taking, and saying what was expected.

use velostream_types::Span;

use super::MAX_DEPTH;
use super::ast::Ident;
use super::lex::{Sym, Tok, Token};
use crate::diag::Diagnostic;

/// A statement cannot be continued; the reason was recorded.
#[derive(Debug)]
pub(crate) struct Failed;

pub(crate) type Parse<T> = Result<T, Failed>;

/// Words that never are a bare name.
const RESERVED: [&str; 22] = [
    "SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "EMIT", "AND", "OR", "NOT", "IN", "IS", "LIKE",
    "BETWEEN", "CASE", "WHEN", "THEN", "ELSE", "END", "AS", "UNION",
];

pub(crate) struct Parser<'a> {
    pub text: &'a str,
    tokens: &'a [Token],
    pos: usize,
    depth: u16,
    /// Queries around this place.
    pub nesting: u16,
    pub diagnostics: Vec<Diagnostic>,
}

impl<'a> Parser<'a> {
    /// `tokens` end with [`Tok::End`].
    pub fn new(text: &'a str, tokens: &'a [Token], diagnostics: Vec<Diagnostic>) -> Parser<'a> {
        Parser { text, tokens, pos: 0, depth: 0, nesting: 0, diagnostics }
    }

    fn token(&self, ahead: usize) -> &'a Token {
        &self.tokens[(self.pos + ahead).min(self.tokens.len() - 1)]
    }

    pub fn peek(&self) -> &'a Tok {
        &self.token(0).tok
    }

    pub fn peek_at(&self, ahead: usize) -> &'a Tok {
        &self.token(ahead).tok
    }

    pub fn span(&self) -> Span {
        self.token(0).span
    }

    /// Where the token before this one stands.
    pub fn last_span(&self) -> Span {
        self.tokens[self.pos.saturating_sub(1).min(self.tokens.len() - 1)].span
    }

    /// TRUE when nothing stands between the token before and this one.
    pub fn touches(&self, ahead: usize) -> bool {
        self.pos + ahead > 0
            && self.tokens[(self.pos + ahead - 1).min(self.tokens.len() - 1)].span.end == self.token(ahead).span.start
    }

    pub fn bump(&mut self) {
        self.pos = (self.pos + 1).min(self.tokens.len() - 1);
    }

    pub fn is(&self, sym: Sym) -> bool {
        self.is_at(0, sym)
    }

    pub fn is_at(&self, ahead: usize, sym: Sym) -> bool {
        *self.peek_at(ahead) == Tok::Sym(sym)
    }

    pub fn take(&mut self, sym: Sym) -> bool {
        let found = self.is(sym);
        if found {
            self.bump();
        }
        found
    }

    pub fn expect(&mut self, sym: Sym, what: &str) -> Parse<()> {
        if self.take(sym) { Ok(()) } else { Err(self.expected(what)) }
    }

    /// The unquoted word here, if it is one.
    pub fn word(&self, ahead: usize) -> Option<&'a str> {
        match self.peek_at(ahead) {
            Tok::Word(word) => Some(word),
            _ => None,
        }
    }

    pub fn is_word(&self, keyword: &str) -> bool {
        self.is_word_at(0, keyword)
    }

    pub fn is_word_at(&self, ahead: usize, keyword: &str) -> bool {
        self.word(ahead).is_some_and(|w| w.eq_ignore_ascii_case(keyword))
    }

    pub fn is_any(&self, ahead: usize, keywords: &[&str]) -> bool {
        self.word(ahead).is_some_and(|w| keywords.iter().any(|k| w.eq_ignore_ascii_case(k)))
    }

    pub fn take_word(&mut self, keyword: &str) -> bool {
        let found = self.is_word(keyword);
        if found {
            self.bump();
        }
        found
    }

    pub fn expect_word(&mut self, keyword: &str) -> Parse<()> {
        if self.take_word(keyword) { Ok(()) } else { Err(self.expected(keyword)) }
    }

    /// TRUE when the token may be a name: quoted, or a word that is not reserved.
    pub fn is_name(&self, ahead: usize) -> bool {
        match self.peek_at(ahead) {
            Tok::Word(_) => !self.is_any(ahead, &RESERVED),
            Tok::Backtick(_) | Tok::DoubleQuoted(_) => true,
            _ => false,
        }
    }

    pub fn name(&mut self, what: &str) -> Parse<Ident> {
        let span = self.span();
        let name = match self.peek() {
            Tok::Word(w) if self.is_any(0, &RESERVED) => {
                let message = format!("expected {what}, found the reserved word {}", w.to_uppercase());
                let hint = format!("to use it as a name, write `{w}` in backticks");
                return Err(self.fail(Diagnostic::error("E0102", span, message).hint(hint)));
            }
            Tok::Word(w) | Tok::Backtick(w) | Tok::DoubleQuoted(w) => w,
            _ => return Err(self.expected(what)),
        };
        self.bump();
        Ok(Ident { name: name.to_string(), span })
    }

    /// Records that something else was expected here.
    pub fn expected(&mut self, what: &str) -> Failed {
        let found = match self.peek() {
            Tok::Bad => return Failed,
            Tok::End => "the end of the text".to_owned(),
            _ => format!("\"{}\"", shortened(self.slice(self.span()))),
        };
        let diagnostic = Diagnostic::error("E0102", self.span(), format!("expected {what}, found {found}"));
        self.fail(diagnostic)
    }

    /// Records that the engine does not do `what` yet.
    pub fn unsupported(&mut self, span: Span, what: &str) -> Failed {
        self.fail(Diagnostic::error("E0901", span, format!("{what} is not supported yet")))
    }

    pub fn fail(&mut self, diagnostic: Diagnostic) -> Failed {
        self.diagnostics.push(diagnostic);
        Failed
    }

    pub fn slice(&self, span: Span) -> &'a str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Goes one level deeper; every `enter` that succeeded needs a [`Parser::leave`].
    pub fn enter(&mut self) -> Parse<()> {
        if self.depth >= MAX_DEPTH {
            return Err(self.too_deep(self.span()));
        }
        self.depth += 1;
        Ok(())
    }

    pub fn leave(&mut self) {
        self.depth -= 1;
    }

    pub fn too_deep(&mut self, span: Span) -> Failed {
        let message = format!("expression is nested more than {MAX_DEPTH} levels deep");
        self.fail(Diagnostic::error("E0107", span, message).hint("compute parts of it in a CREATE STREAM of their own"))
    }

    /// Starts the next statement with a clean count of levels.
    pub fn restart(&mut self) {
        self.depth = 0;
        while !matches!(self.peek(), Tok::Sym(Sym::Semicolon) | Tok::End) {
            self.bump();
        }
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 { text.to_owned() } else { text.chars().take(37).collect::<String>() + "…" }
}
