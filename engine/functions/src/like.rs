//! LIKE: `%` is any text, `_` any one character, everything else itself. Exact and case-sensitive, over characters, by a
//! matcher of its own; no character has a meaning beyond these.
//!
//! A constant pattern is read at deploy and most become one comparison; one that comes with the rows is read when it
//! changes. Cost: linear for one `%`, else at worst text × pattern.

use std::sync::Arc;

use velostream_types::{Column, Value};

use crate::call::{Call, Fail};
use crate::function::{BadConstant, Function, Group, Param, Prepared, Returns};

/// The group's entries.
pub const FUNCTIONS: &[Function] =
    &[Function::new("LIKE", Group::String, &[Param::Text, Param::Text, Param::Text], Returns::Boolean, like)
        .optional(1)
        .fails()
        .prepare(pattern_is_readable)
        .doc(
            "text LIKE pattern [ESCAPE character]",
            "TRUE when the whole text is the pattern, in which `%` is any text and `_` any one character; the escape \
             character in front of a character makes it plain. Also NOT LIKE.",
            &[
                ("'hello' LIKE 'h_l%'", "true"),
                ("'hello' LIKE 'H%'", "false"),
                ("'a.c' LIKE 'a.c' AND 'abc' NOT LIKE 'a.c'", "true"),
                ("'' LIKE ''", "true"),
                ("'é' LIKE '_'", "true"),
                ("'50%' LIKE '50#%' ESCAPE '#'", "true"),
                ("'a\\b' LIKE 'a\\b'", "true"),
                ("NULL LIKE '%'", "NULL"),
            ],
        )];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece {
    Character(char),
    One,
    Many,
}

/// A pattern that was read.
#[derive(Clone, Debug, PartialEq)]
enum Pattern {
    Equal(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Pieces(Vec<Piece>),
}

impl Pattern {
    fn read(pattern: &str, escape: Option<char>) -> Result<Pattern, &'static str> {
        let mut pieces = Vec::new();
        let mut characters = pattern.chars();
        while let Some(c) = characters.next() {
            pieces.push(match c {
                c if Some(c) == escape => {
                    Piece::Character(characters.next().ok_or("the pattern ends with its escape character")?)
                }
                '%' if pieces.last() == Some(&Piece::Many) => continue,
                '%' => Piece::Many,
                '_' => Piece::One,
                c => Piece::Character(c),
            });
        }
        Ok(Pattern::simplest(pieces))
    }

    fn simplest(pieces: Vec<Piece>) -> Pattern {
        let starts = pieces.first() == Some(&Piece::Many);
        let ends = pieces.len() > usize::from(starts) && pieces.last() == Some(&Piece::Many);
        let inner = &pieces[usize::from(starts)..pieces.len() - usize::from(ends)];
        let plain: Option<String> = inner
            .iter()
            .map(|piece| match piece {
                Piece::Character(c) => Some(*c),
                _ => None,
            })
            .collect();
        match (plain, starts, ends) {
            (Some(text), false, false) => Pattern::Equal(text),
            (Some(text), false, true) => Pattern::Prefix(text),
            (Some(text), true, false) => Pattern::Suffix(text),
            (Some(text), true, true) => Pattern::Contains(text),
            (None, ..) => Pattern::Pieces(pieces),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Equal(whole) => text == whole,
            Pattern::Prefix(start) => text.starts_with(start.as_str()),
            Pattern::Suffix(end) => text.ends_with(end.as_str()),
            Pattern::Contains(part) => text.contains(part.as_str()),
            Pattern::Pieces(pieces) => walk(pieces, text),
        }
    }
}

/// Takes the text character by character; at a mismatch the last `%` takes one more and what follows it begins anew.
fn walk(pieces: &[Piece], text: &str) -> bool {
    let mut rest = text.chars();
    let mut at = 0;
    let mut last_many: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        match pieces.get(at) {
            Some(Piece::Many) => {
                at += 1;
                last_many = Some((at, rest.clone()));
                continue;
            }
            None if rest.as_str().is_empty() => return true,
            _ => {}
        }
        let next = rest.next();
        let fits = match (pieces.get(at), next) {
            (Some(Piece::One), Some(_)) => true,
            (Some(Piece::Character(c)), Some(next)) => *c == next,
            _ => false,
        };
        if fits {
            at += 1;
            continue;
        }
        // Behind the end no later start can fit either.
        let Some((behind, taken)) = last_many.as_mut().filter(|_| next.is_some()) else { return false };
        taken.next();
        (at, rest) = (*behind, taken.clone());
    }
}

fn escape_character(text: &str) -> Result<char, &'static str> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(c), None) => Ok(c),
        _ => Err("ESCAPE takes one character"),
    }
}

fn pattern_is_readable(constants: &[Option<&Value>]) -> Result<Option<Prepared>, BadConstant> {
    let bad = |argument| move |message: &str| BadConstant { argument, message: message.to_owned() };
    let escape = match constants.get(2) {
        None => None,
        Some(Some(Value::Str(escape))) => Some(escape_character(escape).map_err(bad(2))?),
        Some(_) => return Ok(None),
    };
    let Some(Some(Value::Str(pattern))) = constants.get(1) else { return Ok(None) };
    let pattern = Pattern::read(pattern, escape).map_err(bad(1))?;
    Ok(Some(Arc::new(pattern)))
}

fn like(call: &mut Call<'_>) -> Column {
    let (text, pattern) = (call.args.text(0), call.args.text(1));
    if let Some(prepared) = call.prepared::<Pattern>() {
        return call.bools(|row| Ok(Some(prepared.matches(text.at(row)))));
    }
    let escape = (call.args.len() > 2).then(|| call.args.text(2));
    let mut last: Option<((&str, Option<&str>), Pattern)> = None;
    call.bools(|row| {
        let key = (pattern.at(row), escape.map(|e| e.at(row)));
        let known = last.take().filter(|(of, _)| *of == key);
        let entry = match known {
            Some(entry) => entry,
            None => {
                let escape = key.1.map(escape_character).transpose().map_err(Fail::domain)?;
                (key, Pattern::read(key.0, escape).map_err(Fail::domain)?)
            }
        };
        Ok(Some(last.insert(entry).1.matches(text.at(row))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, by recursion.
    fn slow(pieces: &[Piece], text: &[char]) -> bool {
        match (pieces.split_first(), text.split_first()) {
            (None, _) => text.is_empty(),
            (Some((Piece::Many, rest)), None) => slow(rest, text),
            (Some((Piece::Many, rest)), Some((_, after))) => slow(rest, text) || slow(pieces, after),
            (Some((Piece::One, rest)), Some((_, after))) => slow(rest, after),
            (Some((Piece::Character(c), rest)), Some((d, after))) => c == d && slow(rest, after),
            (Some(_), None) => false,
        }
    }

    proptest::proptest! {
        #[test]
        fn matching_equals_its_definition(pattern in "[ab%_é]{0,7}", text in "[abé]{0,8}") {
            let pieces: Vec<Piece> = pattern.chars().map(|c| match c {
                '%' => Piece::Many,
                '_' => Piece::One,
                c => Piece::Character(c),
            }).collect();
            let characters: Vec<char> = text.chars().collect();
            let expect = slow(&pieces, &characters);
            proptest::prop_assert_eq!(Pattern::read(&pattern, None).map(|p| p.matches(&text)), Ok(expect));
            proptest::prop_assert_eq!(walk(&pieces, &text), expect);
        }
    }
}
