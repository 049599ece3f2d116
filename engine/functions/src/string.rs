//! Functions that change text: case, length, padding, joining. Lengths and positions count characters, positions from 1.
//!
//! Text that is ASCII where it matters is handled as bytes. Functions whose result is a piece of their argument share its
//! buffers. A result that could grow without bound fails its record at [`TEXT_MAX`].

use std::ops::Range;

use velostream_types::Column;

use crate::call::{Call, Fail};
use crate::function::{Function, Group, Param, Returns};

/// Longest text a function makes, bytes: that of the longest record.
pub(crate) const TEXT_MAX: usize = 16 << 20;

const TEXT: &[Param] = &[Param::Text];
const TEXT_INTEGER: &[Param] = &[Param::Text, Param::Integer];
const TEXT_TEXT: &[Param] = &[Param::Text, Param::Text];
const PADDED: &[Param] = &[Param::Text, Param::Integer, Param::Text];

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("UPPER", Group::String, TEXT, Returns::Text, upper).or(&["UCASE"]).doc(
        "UPPER(text)",
        "The text in upper case.",
        &[("UPPER('straße')", "STRASSE"), ("UPPER('ab1')", "AB1"), ("UPPER('')", ""), ("UPPER(NULL)", "NULL")],
    ),
    Function::new("LOWER", Group::String, TEXT, Returns::Text, lower).or(&["LCASE"]).doc(
        "LOWER(text)",
        "The text in lower case.",
        &[("LOWER('ÄB1')", "äb1"), ("LOWER('ABC')", "abc"), ("LOWER(NULL)", "NULL")],
    ),
    Function::new("INITCAP", Group::String, TEXT, Returns::Text, initcap).doc(
        "INITCAP(text)",
        "The first letter of every word in upper case, the others in lower case; words are letters and digits.",
        &[("INITCAP('hello wORLD')", "Hello World"), ("INITCAP('o''neill-éVA 2nd')", "O'Neill-Éva 2nd")],
    ),
    Function::new("LENGTH", Group::String, TEXT, Returns::Integer, length)
        .or(&["LEN", "CHAR_LENGTH", "CHARACTER_LENGTH"])
        .doc(
            "LENGTH(text)",
            "Number of characters.",
            &[("LENGTH('añb')", "3"), ("LENGTH('')", "0"), ("LENGTH('😀')", "1"), ("LEN(NULL)", "NULL")],
        ),
    Function::new("LEFT", Group::String, TEXT_INTEGER, Returns::Text, left).doc(
        "LEFT(text, n)",
        "The first n characters; none for n below 1.",
        &[("LEFT('hello', 2)", "he"), ("LEFT('hello', -1)", ""), ("LEFT('éa', 1)", "é"), ("LEFT('ab', 9)", "ab")],
    ),
    Function::new("RIGHT", Group::String, TEXT_INTEGER, Returns::Text, right).doc(
        "RIGHT(text, n)",
        "The last n characters; none for n below 1.",
        &[("RIGHT('hello', 2)", "lo"), ("RIGHT('hello', -1)", ""), ("RIGHT('aé', 1)", "é"), ("RIGHT('ab', 9)", "ab")],
    ),
    Function::new("SUBSTRING", Group::String, &[Param::Text, Param::Integer, Param::Integer], Returns::Text, substring)
        .or(&["SUBSTR"])
        .optional(1)
        .doc(
            "SUBSTRING(text, start[, length])",
            "The characters from the start on, at most so many; the length counts from the given start, even one before \
             the text. Also SUBSTRING(text FROM start FOR length).",
            &[
                ("SUBSTRING('hello', 2, 3)", "ell"),
                ("SUBSTRING('hello', 0, 2)", "h"),
                ("SUBSTRING('hello', -5)", "hello"),
                ("SUBSTRING('aéo' FROM 2 FOR 1)", "é"),
                ("SUBSTRING('hello' FROM 4)", "lo"),
                ("SUBSTR('hello', 2, -1)", ""),
            ],
        ),
    Function::new("TRIM", Group::String, TEXT_TEXT, Returns::Text, trim).optional(1).doc(
        "TRIM(text[, characters])",
        "The text without spaces, or these characters, at both ends. Also TRIM([LEADING | TRAILING | BOTH] [characters] \
         FROM text).",
        &[
            ("TRIM('  a b ')", "a b"),
            ("LENGTH(TRIM('\u{9}a'))", "2"),
            ("TRIM('xyaxbyx', 'xy')", "axb"),
            ("TRIM(BOTH 'x' FROM 'xax')", "a"),
            ("TRIM(LEADING FROM ' a')", "a"),
        ],
    ),
    Function::new("LTRIM", Group::String, TEXT_TEXT, Returns::Text, ltrim).optional(1).doc(
        "LTRIM(text[, characters])",
        "The text without spaces, or these characters, at its start.",
        &[("LTRIM('  a ') || '|'", "a |"), ("LTRIM('001', '0')", "1")],
    ),
    Function::new("RTRIM", Group::String, TEXT_TEXT, Returns::Text, rtrim).optional(1).doc(
        "RTRIM(text[, characters])",
        "The text without spaces, or these characters, at its end.",
        &[("RTRIM(' a  ') || '|'", " a|"), ("RTRIM('1.500', '0')", "1.5")],
    ),
    Function::new("LPAD", Group::String, PADDED, Returns::Text, lpad).optional(1).fails().doc(
        "LPAD(text, n[, fill])",
        "The text made n characters long: filled at its start with spaces or the fill, or cut at its end. An empty fill \
         only cuts.",
        &[
            ("LPAD('7', 3, '0')", "007"),
            ("LPAD('hello', 2)", "he"),
            ("LPAD('a', 4, 'xy')", "xyxa"),
            ("LPAD('a', 4, '')", "a"),
            ("LPAD('a', 0)", ""),
        ],
    ),
    Function::new("RPAD", Group::String, PADDED, Returns::Text, rpad).optional(1).fails().doc(
        "RPAD(text, n[, fill])",
        "The text made n characters long: filled at its end with spaces or the fill, or cut. An empty fill only cuts.",
        &[("RPAD('a', 4, 'éy')", "aéyé"), ("RPAD('hello', 2)", "he"), ("RPAD('a', -1)", "")],
    ),
    Function::new("REPEAT", Group::String, TEXT_INTEGER, Returns::Text, repeat).fails().doc(
        "REPEAT(text, n)",
        "The text n times; nothing for n below 1.",
        &[
            ("REPEAT('ab', 3)", "ababab"),
            ("REPEAT('ab', 0)", ""),
            ("REPEAT('ab', 99999999)", "error: the text would be longer than 16777216 bytes"),
        ],
    ),
    Function::new("REVERSE", Group::String, TEXT, Returns::Text, reverse).doc(
        "REVERSE(text)",
        "The characters from the last to the first.",
        &[("REVERSE('abé')", "éba"), ("REVERSE('')", "")],
    ),
    Function::new("CONCAT", Group::String, &[Param::AsText], Returns::Text, concat).variadic().sees_nulls().doc(
        "CONCAT(value, …)",
        "The values as text, one after the other; NULLs are skipped, where `||` gives NULL.",
        &[("CONCAT('a', 1, NULL, TRUE)", "a1true"), ("CONCAT(NULL)", ""), ("CONCAT(1.50, '€')", "1.50€")],
    ),
    Function::new("CONCAT_WS", Group::String, &[Param::Text, Param::AsText], Returns::Text, concat_ws)
        .or(&["JOIN"])
        .variadic()
        .sees_nulls()
        .doc(
            "CONCAT_WS(separator, value, …)",
            "The values as text with the separator between them; NULLs are skipped. NULL if the separator is.",
            &[
                ("CONCAT_WS(', ', 'a', NULL, 2)", "a, 2"),
                ("JOIN('-', 1, '', 3)", "1--3"),
                ("JOIN(NULL, 'a', 'b')", "NULL"),
                ("JOIN('-', NULL)", ""),
            ],
        ),
    Function::new("CHR", Group::String, &[Param::Integer], Returns::Text, chr).fails().doc(
        "CHR(n)",
        "The character of this Unicode number.",
        &[("CHR(65)", "A"), ("CHR(8364)", "€"), ("CHR(-1)", "error: -1 is the number of no character")],
    ),
];

/// Bytes of the first `n` characters.
pub(crate) fn prefix(text: &str, n: usize) -> usize {
    if n >= text.len() {
        return text.len();
    }
    if text.as_bytes()[..n].is_ascii() {
        return n;
    }
    text.char_indices().nth(n).map_or(text.len(), |(at, _)| at)
}

/// Where the last `n` characters begin.
fn suffix(text: &str, n: usize) -> usize {
    if n >= text.len() {
        return 0;
    }
    let start = text.len() - n;
    if n == 0 || text.as_bytes()[start..].is_ascii() {
        return start;
    }
    text.char_indices().nth_back(n - 1).map_or(0, |(at, _)| at)
}

/// A count: nothing below 0.
fn count(n: i64) -> usize {
    usize::try_from(n).unwrap_or(0)
}

/// Appends, or fails when the text becomes too long.
pub(crate) fn grow(out: &mut String, piece: &str) -> Result<(), Fail> {
    bounded(out.len() + piece.len())?;
    out.push_str(piece);
    Ok(())
}

/// Fails for a text of more bytes than any may have.
fn bounded(bytes: usize) -> Result<(), Fail> {
    if bytes <= TEXT_MAX {
        return Ok(());
    }
    Err(Fail::domain(format!("the text would be longer than {TEXT_MAX} bytes")))
}

fn upper(call: &mut Call<'_>) -> Column {
    let text = call.args.text(0);
    call.texts(|row, out| {
        let text = text.at(row);
        if text.is_ascii() {
            out.push_str(text);
            out.make_ascii_uppercase();
        } else {
            out.extend(text.chars().flat_map(char::to_uppercase));
        }
        Ok(true)
    })
}

fn lower(call: &mut Call<'_>) -> Column {
    let text = call.args.text(0);
    call.texts(|row, out| {
        let text = text.at(row);
        if text.is_ascii() {
            out.push_str(text);
            out.make_ascii_lowercase();
        } else {
            out.extend(text.chars().flat_map(char::to_lowercase));
        }
        Ok(true)
    })
}

fn initcap(call: &mut Call<'_>) -> Column {
    let text = call.args.text(0);
    call.texts(|row, out| {
        let mut inside = false;
        for c in text.at(row).chars() {
            if inside {
                out.extend(c.to_lowercase());
            } else {
                out.extend(c.to_uppercase());
            }
            inside = c.is_alphanumeric();
        }
        Ok(true)
    })
}

fn length(call: &mut Call<'_>) -> Column {
    let text = call.args.text(0);
    call.ints(|row| Ok(Some(text.at(row).chars().count() as i64)))
}

fn left(call: &mut Call<'_>) -> Column {
    let n = call.args.int(1);
    call.pieces_of(0, |row, text| Ok(Some(0..prefix(text, count(n.at(row))))))
}

fn right(call: &mut Call<'_>) -> Column {
    let n = call.args.int(1);
    call.pieces_of(0, |row, text| Ok(Some(suffix(text, count(n.at(row)))..text.len())))
}

fn substring(call: &mut Call<'_>) -> Column {
    let start = call.args.int(1);
    let length = (call.args.len() > 2).then(|| call.args.int(2));
    call.pieces_of(0, |row, text| {
        let start = start.at(row);
        let end = length.as_ref().map_or(i64::MAX, |length| start.saturating_add(length.at(row)));
        let skip = count(start.saturating_sub(1));
        let take = count(end.saturating_sub(start.max(1)));
        let from = prefix(text, skip);
        Ok(Some(from..from + prefix(&text[from..], take)))
    })
}

fn trim(call: &mut Call<'_>) -> Column {
    trimmed(call, |text, from| text.trim_start_matches(|c| from.contains(c)).trim_end_matches(|c| from.contains(c)))
}

fn ltrim(call: &mut Call<'_>) -> Column {
    trimmed(call, |text, from| text.trim_start_matches(|c| from.contains(c)))
}

fn rtrim(call: &mut Call<'_>) -> Column {
    trimmed(call, |text, from| text.trim_end_matches(|c| from.contains(c)))
}

fn trimmed(call: &mut Call<'_>, cut: for<'t> fn(&'t str, &str) -> &'t str) -> Column {
    let characters = (call.args.len() > 1).then(|| call.args.text(1));
    call.pieces_of(0, |row, text| {
        let kept = cut(text, characters.map_or(" ", |c| c.at(row)));
        Ok(Some(within(text, kept)))
    })
}

/// Where `piece`, taken from `text`, stands in it.
pub(crate) fn within(text: &str, piece: &str) -> Range<usize> {
    let start = (piece.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    debug_assert!(start <= text.len());
    start..start + piece.len()
}

fn lpad(call: &mut Call<'_>) -> Column {
    padded(call, true)
}

fn rpad(call: &mut Call<'_>) -> Column {
    padded(call, false)
}

fn padded(call: &mut Call<'_>, in_front: bool) -> Column {
    let (text, n) = (call.args.text(0), call.args.int(1));
    let fill = (call.args.len() > 2).then(|| call.args.text(2));
    call.texts(|row, out| {
        let (text, n, fill) = (text.at(row), count(n.at(row)), fill.map_or(" ", |fill| fill.at(row)));
        let kept = &text[..prefix(text, n)];
        let missing = if fill.is_empty() { 0 } else { n - kept.chars().count() };
        bounded(missing)?;
        if !in_front {
            out.push_str(kept);
        }
        let mut character = [0; 4];
        for c in fill.chars().cycle().take(missing) {
            grow(out, c.encode_utf8(&mut character))?;
        }
        if in_front {
            out.push_str(kept);
        }
        Ok(true)
    })
}

fn repeat(call: &mut Call<'_>) -> Column {
    let (text, n) = (call.args.text(0), call.args.int(1));
    call.texts(|row, out| {
        let (text, n) = (text.at(row), count(n.at(row)));
        bounded(text.len().saturating_mul(n))?;
        if !text.is_empty() {
            (0..n).for_each(|_| out.push_str(text));
        }
        Ok(true)
    })
}

fn reverse(call: &mut Call<'_>) -> Column {
    let text = call.args.text(0);
    call.texts(|row, out| {
        out.extend(text.at(row).chars().rev());
        Ok(true)
    })
}

fn concat(call: &mut Call<'_>) -> Column {
    let args = call.args;
    let texts: Vec<_> = (0..args.len()).map(|i| args.text(i)).collect();
    call.texts(|row, out| {
        for (i, text) in texts.iter().enumerate() {
            if !args.is_null(i, row) {
                out.push_str(text.at(row));
            }
        }
        Ok(true)
    })
}

fn concat_ws(call: &mut Call<'_>) -> Column {
    let args = call.args;
    let texts: Vec<_> = (0..args.len()).map(|i| args.text(i)).collect();
    call.texts(|row, out| {
        if args.is_null(0, row) {
            return Ok(false);
        }
        let mut between = "";
        for (i, text) in texts.iter().enumerate().skip(1) {
            if !args.is_null(i, row) {
                out.push_str(between);
                out.push_str(text.at(row));
                between = texts[0].at(row);
            }
        }
        Ok(true)
    })
}

fn chr(call: &mut Call<'_>) -> Column {
    let n = call.args.int(0);
    call.texts(|row, out| {
        let n = n.at(row);
        let character = u32::try_from(n).ok().and_then(char::from_u32);
        out.push(character.ok_or_else(|| Fail::domain(format!("{n} is the number of no character")))?);
        Ok(true)
    })
}
