//! Functions that look for text in text: positions, parts, replacements. Plain text, case-sensitive; positions count
//! characters from 1. Patterns are in `like` and `pattern`.

use velostream_types::Column;

use crate::call::Call;
use crate::function::{Function, Group, Param, Returns};
use crate::string::{grow, prefix, within};

const TEXT_TEXT: &[Param] = &[Param::Text, Param::Text];
const THREE_TEXTS: &[Param] = &[Param::Text, Param::Text, Param::Text];

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("POSITION", Group::String, &[Param::Text, Param::Text, Param::Integer], Returns::Integer, position)
        .optional(1)
        .doc(
            "POSITION(part, text[, start])",
            "Position of the first occurrence of the part, searched from the start on; 0 if there is none. Also \
             POSITION(part IN text).",
            &[
                ("POSITION('l', 'hello')", "3"),
                ("POSITION('l', 'hello', 5)", "0"),
                ("POSITION('', 'hello')", "1"),
                ("POSITION('o' IN 'éo')", "2"),
                ("POSITION('x', 'hello')", "0"),
                ("POSITION('h', 'hello', -4)", "1"),
            ],
        ),
    Function::new("INSTR", Group::String, TEXT_TEXT, Returns::Integer, instr).doc(
        "INSTR(text, part)",
        "Position of the first occurrence of the part; 0 if there is none.",
        &[("INSTR('hello', 'l')", "3"), ("INSTR('hello', 'L')", "0"), ("INSTR('hello', '')", "1")],
    ),
    Function::new("CONTAINS", Group::String, TEXT_TEXT, Returns::Boolean, contains).doc(
        "CONTAINS(text, part)",
        "TRUE when the part occurs in the text.",
        &[("CONTAINS('hello', 'ell')", "true"), ("CONTAINS('hello', '')", "true"), ("CONTAINS(NULL, 'a')", "NULL")],
    ),
    Function::new("STARTS_WITH", Group::String, TEXT_TEXT, Returns::Boolean, starts_with).doc(
        "STARTS_WITH(text, part)",
        "TRUE when the text begins with the part.",
        &[("STARTS_WITH('hello', 'he')", "true"), ("STARTS_WITH('hello', 'He')", "false")],
    ),
    Function::new("ENDS_WITH", Group::String, TEXT_TEXT, Returns::Boolean, ends_with).doc(
        "ENDS_WITH(text, part)",
        "TRUE when the text ends with the part.",
        &[("ENDS_WITH('hello', 'lo')", "true"), ("ENDS_WITH('lo', 'hello')", "false")],
    ),
    Function::new("REPLACE", Group::String, THREE_TEXTS, Returns::Text, replace).fails().doc(
        "REPLACE(text, part, replacement)",
        "The text with every occurrence of the part replaced; unchanged for an empty part.",
        &[
            ("REPLACE('a-b-c', '-', '+')", "a+b+c"),
            ("REPLACE('aaa', 'aa', 'b')", "ba"),
            ("REPLACE('abc', '', 'x')", "abc"),
            ("REPLACE('abc', 'b', '')", "ac"),
        ],
    ),
    Function::new("TRANSLATE", Group::String, THREE_TEXTS, Returns::Text, translate).doc(
        "TRANSLATE(text, from, to)",
        "The text with each character of `from` replaced by the one at its place in `to`, or removed where `to` is shorter.",
        &[("TRANSLATE('12345', '143', 'ax')", "a2x5"), ("TRANSLATE('a.b,c', '.,', '')", "abc")],
    ),
    Function::new("SPLIT", Group::String, TEXT_TEXT, Returns::Text, split).doc(
        "SPLIT(text, delimiter)",
        "The text in front of the first delimiter; all of it without one.",
        &[("SPLIT('a,b,c', ',')", "a"), ("SPLIT('abc', ',')", "abc"), ("SPLIT(',b', ',')", ""), ("SPLIT('ab', '')", "ab")],
    ),
    Function::new("SPLIT_PART", Group::String, &[Param::Text, Param::Text, Param::Integer], Returns::Text, split_part).doc(
        "SPLIT_PART(text, delimiter, n)",
        "Part number n, from 1, of the text cut at the delimiter; empty if there is none.",
        &[
            ("SPLIT_PART('a,b,c', ',', 2)", "b"),
            ("SPLIT_PART('a,b,c', ',', 4)", ""),
            ("SPLIT_PART('a,b,c', ',', 0)", ""),
            ("SPLIT_PART('a::b', '::', 2)", "b"),
            ("SPLIT_PART('abc', '', 1)", "abc"),
        ],
    ),
];

/// Position of `part` at or behind character number `start`; 0 without one.
fn find(text: &str, part: &str, start: i64) -> i64 {
    let skip = usize::try_from(start.saturating_sub(1)).unwrap_or(0);
    let from = prefix(text, skip);
    if skip > 0 && text[..from].chars().count() < skip {
        return 0;
    }
    text[from..].find(part).map_or(0, |at| (skip + text[from..from + at].chars().count() + 1) as i64)
}

fn position(call: &mut Call<'_>) -> Column {
    let (part, text) = (call.args.text(0), call.args.text(1));
    let start = (call.args.len() > 2).then(|| call.args.int(2));
    call.ints(|row| Ok(Some(find(text.at(row), part.at(row), start.as_ref().map_or(1, |start| start.at(row))))))
}

fn instr(call: &mut Call<'_>) -> Column {
    let (text, part) = (call.args.text(0), call.args.text(1));
    call.ints(|row| Ok(Some(find(text.at(row), part.at(row), 1))))
}

fn contains(call: &mut Call<'_>) -> Column {
    let (text, part) = (call.args.text(0), call.args.text(1));
    call.bools(|row| Ok(Some(text.at(row).contains(part.at(row)))))
}

fn starts_with(call: &mut Call<'_>) -> Column {
    let (text, part) = (call.args.text(0), call.args.text(1));
    call.bools(|row| Ok(Some(text.at(row).starts_with(part.at(row)))))
}

fn ends_with(call: &mut Call<'_>) -> Column {
    let (text, part) = (call.args.text(0), call.args.text(1));
    call.bools(|row| Ok(Some(text.at(row).ends_with(part.at(row)))))
}

fn replace(call: &mut Call<'_>) -> Column {
    let (text, part, by) = (call.args.text(0), call.args.text(1), call.args.text(2));
    call.texts(|row, out| {
        let (text, part, by) = (text.at(row), part.at(row), by.at(row));
        let mut done = 0;
        if !part.is_empty() {
            for (at, found) in text.match_indices(part) {
                out.push_str(&text[done..at]);
                grow(out, by)?;
                done = at + found.len();
            }
        }
        out.push_str(&text[done..]);
        Ok(true)
    })
}

fn translate(call: &mut Call<'_>) -> Column {
    let (text, from, to) = (call.args.text(0), call.args.text(1), call.args.text(2));
    call.texts(|row, out| {
        let (from, to) = (from.at(row), to.at(row));
        out.extend(text.at(row).chars().filter_map(|c| match from.chars().position(|f| f == c) {
            Some(at) => to.chars().nth(at),
            None => Some(c),
        }));
        Ok(true)
    })
}

fn split(call: &mut Call<'_>) -> Column {
    let delimiter = call.args.text(1);
    call.pieces_of(0, |row, text| {
        let delimiter = delimiter.at(row);
        let end = if delimiter.is_empty() { None } else { text.find(delimiter) };
        Ok(Some(0..end.unwrap_or(text.len())))
    })
}

fn split_part(call: &mut Call<'_>) -> Column {
    let (delimiter, n) = (call.args.text(1), call.args.int(2));
    call.pieces_of(0, |row, text| {
        let delimiter = delimiter.at(row);
        let nth = usize::try_from(n.at(row).saturating_sub(1)).ok();
        let part = match nth {
            Some(nth) if !delimiter.is_empty() => text.split(delimiter).nth(nth),
            Some(0) => Some(text),
            _ => None,
        };
        Ok(Some(part.map_or(0..0, |part| within(text, part))))
    })
}
