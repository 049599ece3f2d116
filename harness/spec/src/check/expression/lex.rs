//! Text of an expression to tokens with their places.

use super::SyntaxError;
use crate::check::number::Number;

/// Tokens an expression has at most, so that walking its tree never runs out of stack.
const TOKENS_MAX: usize = 500;

#[derive(Clone, Debug)]
pub(super) enum Token {
    Number(Number),
    Text(Box<str>),
    Name(Box<str>),
    /// An operator or a bracket.
    Sign(&'static str),
}

/// Longest first, so that `>=` is not read as `>`.
const SIGNS: [&str; 20] =
    ["==", "!=", ">=", "<=", "{{", "}}", ">", "<", "+", "-", "*", "/", "(", ")", "[", "]", ".", ",", "&&", "||"];

/// All tokens, each with the offset it begins at.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, SyntaxError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let (token, length) = token(&text[at..], c).map_err(|message| (at, message))?;
        found.push((at, token));
        if found.len() > TOKENS_MAX {
            return Err((at, format!("the expression has more than {TOKENS_MAX} words; split it")));
        }
        at += length;
    }
    Ok(found)
}

fn token(rest: &str, first: char) -> Result<(Token, usize), String> {
    if first.is_ascii_digit() {
        let length = number_length(rest.as_bytes());
        let number = Number::parse(&rest[..length]).ok_or_else(|| format!("{} is no number", &rest[..length]))?;
        return Ok((Token::Number(number), length));
    }
    if first.is_alphabetic() || first == '_' {
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        return Ok((Token::Name(rest[..length].into()), length));
    }
    if first == '\'' || first == '"' {
        let end = rest[1..].find(first).ok_or_else(|| format!("a text that begins with {first} has no end"))?;
        return Ok((Token::Text(rest[1..=end].into()), end + 2));
    }
    match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        Some(&"&&") => Err("&& is written `and`".to_owned()),
        Some(&"||") => Err("|| is written `or`".to_owned()),
        Some(sign) => Ok((Token::Sign(sign), sign.len())),
        None if first == '=' => Err("= is written ==".to_owned()),
        None if first == '!' => Err("! is written `not`".to_owned()),
        None => Err(format!("\"{first}\" has no meaning here")),
    }
}

/// Digits, a point with digits behind it, an exponent.
fn number_length(text: &[u8]) -> usize {
    let digits = |from: usize| text[from..].iter().take_while(|c| c.is_ascii_digit()).count();
    let mut length = digits(0);
    if text.get(length) == Some(&b'.') && text.get(length + 1).is_some_and(u8::is_ascii_digit) {
        length += 1 + digits(length + 1);
    }
    if matches!(text.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits((length + 1 + sign).min(text.len()));
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}
