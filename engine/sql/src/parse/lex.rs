//! Text to tokens with byte ranges: first stage of `parse`.
//!
//! A scan of our own finds the runs of text between white space and comments, so that open quotes and comments are
//! reported where they begin, and blanks cost nothing; sqlparser's tokenizer cuts each run. A run it cannot cut becomes
//! [`Tok::Bad`], already reported: the statement around it fails silently and its neighbours go on.
//! Cost: one pass, 32 bytes per token, at most [`MAX_TOKENS`].

use sqlparser::dialect::Dialect;
use sqlparser::tokenizer::{Token as Raw, TokenWithSpan, Tokenizer};
use velostream_types::Span;

use crate::diag::Diagnostic;

/// Most tokens of one text.
pub(crate) const MAX_TOKENS: usize = 2_000_000;
/// Longest text, bytes.
pub(crate) const MAX_TEXT: usize = 64 << 20;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tok {
    /// Keyword or bare name.
    Word(Box<str>),
    /// Name in backticks.
    Backtick(Box<str>),
    /// `'text'`
    Text(Box<str>),
    /// `"text"`
    DoubleQuoted(Box<str>),
    /// Unsigned number as written.
    Number(Box<str>),
    /// `X'48656C'`: the digits.
    Hex(Box<str>),
    /// Operator or punctuation.
    Sym(Sym),
    /// Reported already.
    Bad,
    /// After the last token.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sym {
    Comma,
    Semicolon,
    LParen,
    RParen,
    Period,
    Eq,
    DoubleEq,
    Neq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Concat,
    Colon,
    LBracket,
    RBracket,
    Tilde,
    NotTilde,
    /// Something SQL has no use for here.
    Other,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub tok: Tok,
    pub span: Span,
}

/// Names as the reference has them: letters, digits, `_`, Unicode letters; quotes are ours to interpret.
#[derive(Debug)]
struct Velostream;

impl Dialect for Velostream {
    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_'
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`'
    }
}

/// Tokens of `text`, ending with [`Tok::End`], and what is wrong with it.
pub(crate) fn lex(text: &str) -> (Vec<Token>, Vec<Diagnostic>) {
    let mut lexer = Lexer { text, tokens: Vec::new(), diagnostics: Vec::new(), raw: Vec::new(), marks: 0 };
    if text.len() > MAX_TEXT {
        lexer.too_long(0, format!("the text has {} bytes, more than {MAX_TEXT}", text.len()));
    } else {
        lexer.run();
    }
    let end = text.len().min(MAX_TEXT) as u32;
    lexer.tokens.push(Token { tok: Tok::End, span: Span::new(end, end) });
    (lexer.tokens, lexer.diagnostics)
}

struct Lexer<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    diagnostics: Vec<Diagnostic>,
    raw: Vec<TokenWithSpan>,
    /// Characters of the current run that may each be a token.
    marks: usize,
}

impl Lexer<'_> {
    fn run(&mut self) {
        let text = self.text;
        let bytes = text.as_bytes();
        let (mut at, mut start) = (0, None);
        while let Some(&byte) = bytes.get(at) {
            let skip = match byte {
                b'-' if bytes[at..].starts_with(b"--") => Some(line_end(bytes, at)),
                b'/' if bytes[at..].starts_with(b"/*") => match find(&bytes[at + 2..], b"*/") {
                    Some(length) => Some(at + 2 + length + 2),
                    None => return self.open(start, at, "comment", "close it with */"),
                },
                b'\'' | b'"' | b'`' => match quote_end(bytes, at) {
                    Some(end) => {
                        start = start.or(Some(at));
                        self.marks += 1;
                        at = end;
                        continue;
                    }
                    None if byte == b'`' => return self.open(start, at, "name", "close it with `"),
                    None => return self.open(start, at, "string", "close it with the quote it began with"),
                },
                b',' | b';' | b'(' | b')' => Some(at + 1),
                _ => text[at..]
                    .chars()
                    .next()
                    .filter(|c| c.is_whitespace() || *c == '\u{feff}')
                    .map(|c| at + c.len_utf8()),
            };
            let Some(next) = skip else {
                start = start.or(Some(at));
                self.marks += usize::from(!byte.is_ascii_alphanumeric());
                at += text[at..].chars().next().map_or(1, char::len_utf8);
                continue;
            };
            if !self.flush(&mut start, at) {
                return;
            }
            if let Some(sym) = single(byte) {
                self.push(Tok::Sym(sym), at, next);
            }
            at = next;
        }
        self.flush(&mut start, at);
    }

    /// Cuts the run that ends at `end`; FALSE when there are too many tokens to go on.
    fn flush(&mut self, start: &mut Option<usize>, end: usize) -> bool {
        if self.tokens.len() + self.marks > MAX_TOKENS {
            self.tokens.clear();
            self.too_long(start.unwrap_or(end), format!("the text has more than {MAX_TOKENS} tokens"));
            return false;
        }
        self.marks = 0;
        if let Some(start) = start.take() {
            self.cut(start, end);
        }
        true
    }

    fn cut(&mut self, start: usize, end: usize) {
        let run = &self.text[start..end];
        let mut raw = std::mem::take(&mut self.raw);
        raw.clear();
        let result = Tokenizer::new(&Velostream, run).tokenize_with_location_into_buf(&mut raw);
        let mut place = Place { chars: run.char_indices(), line: 1, column: 1, at: 0, length: run.len() };
        for token in raw.drain(..) {
            let from = place.at;
            place.advance(token.span.end.line, token.span.end.column);
            self.map(token.token, start + from, start + place.at);
        }
        if let Err(error) = result {
            place.advance(error.location.line, error.location.column);
            let at = start + place.at;
            let span = Span::new(at as u32, (at + 1).min(end).max(at) as u32);
            let message = error.message.trim_end_matches(" at ").to_lowercase();
            self.diagnostics.push(Diagnostic::error("E0104", span, format!("cannot read this text: {message}")));
            self.push(Tok::Bad, at, end);
        }
        self.raw = raw;
    }

    fn map(&mut self, raw: Raw, start: usize, end: usize) {
        let tok = match raw {
            Raw::Word(w) if w.quote_style.is_some() => Tok::Backtick(w.value.into()),
            Raw::Word(w) => Tok::Word(w.value.into()),
            Raw::SingleQuotedString(s) => Tok::Text(s.into()),
            Raw::DoubleQuotedString(s) => Tok::DoubleQuoted(s.into()),
            Raw::Number(n, false) => Tok::Number(n.into()),
            Raw::Number(n, true) => {
                self.push(Tok::Number(n.into()), start, end - 1);
                return self.push(Tok::Word("L".into()), end - 1, end);
            }
            Raw::HexStringLiteral(digits) => Tok::Hex(digits.into()),
            // Two closing brackets of types: there is no shift in SQL.
            Raw::ShiftRight => {
                self.push(Tok::Sym(Sym::Gt), start, end - 1);
                return self.push(Tok::Sym(Sym::Gt), end - 1, end);
            }
            Raw::Whitespace(_) | Raw::EOF => return,
            other => Tok::Sym(symbol(&other)),
        };
        self.push(tok, start, end);
    }

    fn push(&mut self, tok: Tok, start: usize, end: usize) {
        self.tokens.push(Token { tok, span: Span::new(start as u32, end as u32) });
    }

    fn open(&mut self, start: Option<usize>, at: usize, what: &str, hint: &str) {
        self.flush(&mut start.clone(), at);
        let span = Span::new(at as u32, at as u32 + 1);
        self.diagnostics.push(Diagnostic::error("E0101", span, format!("{what} is never closed")).hint(hint));
        self.push(Tok::Bad, at, self.text.len());
    }

    fn too_long(&mut self, at: usize, message: String) {
        let span = Span::new(at as u32, at as u32);
        let hint = "split the text into several files";
        self.diagnostics.push(Diagnostic::error("E0107", span, message).hint(hint));
    }
}

/// Walks a run in step with the tokenizer's lines and columns, which count characters.
struct Place<'a> {
    chars: std::str::CharIndices<'a>,
    line: u64,
    column: u64,
    at: usize,
    length: usize,
}

impl Place<'_> {
    fn advance(&mut self, line: u64, column: u64) {
        while (self.line, self.column) < (line, column) {
            let Some((_, c)) = self.chars.next() else { break };
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
            self.at = (self.at + c.len_utf8()).min(self.length);
        }
    }
}

fn single(byte: u8) -> Option<Sym> {
    match byte {
        b',' => Some(Sym::Comma),
        b';' => Some(Sym::Semicolon),
        b'(' => Some(Sym::LParen),
        b')' => Some(Sym::RParen),
        _ => None,
    }
}

fn symbol(raw: &Raw) -> Sym {
    match raw {
        Raw::Comma => Sym::Comma,
        Raw::SemiColon => Sym::Semicolon,
        Raw::LParen => Sym::LParen,
        Raw::RParen => Sym::RParen,
        Raw::Period => Sym::Period,
        Raw::Eq => Sym::Eq,
        Raw::DoubleEq => Sym::DoubleEq,
        Raw::Neq => Sym::Neq,
        Raw::Lt => Sym::Lt,
        Raw::LtEq => Sym::LtEq,
        Raw::Gt => Sym::Gt,
        Raw::GtEq => Sym::GtEq,
        Raw::Plus => Sym::Plus,
        Raw::Minus => Sym::Minus,
        Raw::Mul => Sym::Star,
        Raw::Div => Sym::Slash,
        Raw::Mod => Sym::Percent,
        Raw::StringConcat => Sym::Concat,
        Raw::Colon => Sym::Colon,
        Raw::LBracket => Sym::LBracket,
        Raw::RBracket => Sym::RBracket,
        Raw::Tilde => Sym::Tilde,
        Raw::ExclamationMarkTilde => Sym::NotTilde,
        _ => Sym::Other,
    }
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| from + n + 1)
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|w| w == needle)
}

/// One past the quote that closes the one at `at`; a doubled quote stands for itself.
fn quote_end(bytes: &[u8], at: usize) -> Option<usize> {
    let quote = bytes[at];
    let mut i = at + 1;
    while let Some(offset) = bytes[i..].iter().position(|b| *b == quote) {
        i += offset + 1;
        if bytes.get(i) != Some(&quote) {
            return Some(i);
        }
        i += 1;
    }
    None
}
