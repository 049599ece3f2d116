//! Text forms of bytes, percent encoding, the parts of a URL, and digests.

use std::fmt::Write;

use md5::{Digest, Md5};
use sha2::Sha256;
use velostream_types::{Column, Value};

use crate::base64;
use crate::call::{Call, Fail, shortened};
use crate::function::{BadConstant, Function, Group, Param, Prepared, Returns};
use crate::string::within;

const TEXT: &[Param] = &[Param::Text];
const DATA: &[Param] = &[Param::TextOrBytes];

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("ENCODE", Group::String, &[Param::TextOrBytes, Param::Text], Returns::Text, encode)
        .fails()
        .prepare(form_is_known)
        .doc(
            "ENCODE(bytes, form)",
            "The bytes, or the UTF-8 of text, as text: 'base64', 'hex', or 'utf8' for bytes that are text.",
            &[
                ("ENCODE('foob', 'base64')", "Zm9vYg=="),
                ("ENCODE('é', 'hex')", "c3a9"),
                ("ENCODE(DECODE('c3a9', 'hex'), 'utf8')", "é"),
                ("ENCODE(DECODE('ff', 'hex'), 'utf8')", "error: the bytes are not UTF-8"),
            ],
        ),
    Function::new("DECODE", Group::String, &[Param::Text, Param::Text], Returns::Bytes, decode)
        .fails()
        .prepare(form_is_known)
        .doc(
            "DECODE(text, form)",
            "The BYTES that text in the form 'base64', 'hex' or 'utf8' stands for.",
            &[
                ("ENCODE(DECODE('Zm9vYg==', 'base64'), 'utf8')", "foob"),
                ("ENCODE(DECODE('C3A9', 'hex'), 'hex')", "c3a9"),
                ("DECODE('x', 'hex')", "error: 'x' is no hex text"),
            ],
        ),
    Function::new("MD5", Group::String, DATA, Returns::Text, md5_text).doc(
        "MD5(text)",
        "MD5 digest of text or BYTES, as 32 hexadecimal digits.",
        &[("MD5('abc')", "900150983cd24fb0d6963f7d28e17f72"), ("MD5(NULL)", "NULL")],
    ),
    Function::new("SHA256", Group::String, DATA, Returns::Text, sha256_text).doc(
        "SHA256(text)",
        "SHA-256 digest of text or BYTES, as 64 hexadecimal digits.",
        &[("SHA256('')", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")],
    ),
    Function::new("URL_ENCODE", Group::String, TEXT, Returns::Text, url_encode).or(&["URL_ENCODE_PARAM"]).doc(
        "URL_ENCODE(text)",
        "The text with every byte but letters, digits and `-_.~` as %XX.",
        &[("URL_ENCODE('a b&é')", "a%20b%26%C3%A9")],
    ),
    Function::new("URL_DECODE", Group::String, TEXT, Returns::Text, url_decode).or(&["URL_DECODE_PARAM"]).fails().doc(
        "URL_DECODE(text)",
        "The text with %XX as the bytes they stand for and + as a space.",
        &[
            ("URL_DECODE('a+b%26%C3%A9')", "a b&é"),
            ("URL_DECODE('100%')", "error: '100%' has a % without two hexadecimal digits"),
        ],
    ),
    Function::new("URL_EXTRACT_PROTOCOL", Group::String, TEXT, Returns::Text, |call| {
        url_piece(call, |url| url.protocol)
    })
    .doc(
        "URL_EXTRACT_PROTOCOL(url)",
        "What stands in front of `://`; NULL without it.",
        &[
            ("URL_EXTRACT_PROTOCOL('https://u@h.org:8080/a/b?x=1&y=2#top')", "https"),
            ("URL_EXTRACT_PROTOCOL('h.org/a')", "NULL"),
        ],
    ),
    Function::new("URL_EXTRACT_HOST", Group::String, TEXT, Returns::Text, |call| url_piece(call, |url| url.host)).doc(
        "URL_EXTRACT_HOST(url)",
        "The host, without user and port; NULL without `://`.",
        &[
            ("URL_EXTRACT_HOST('https://u@h.org:8080/a/b?x=1&y=2#top')", "h.org"),
            ("URL_EXTRACT_HOST('http://[::1]:80/')", "[::1]"),
        ],
    ),
    Function::new("URL_EXTRACT_PORT", Group::String, TEXT, Returns::Integer, url_port).doc(
        "URL_EXTRACT_PORT(url)",
        "The port as an INTEGER; NULL if none is written.",
        &[("URL_EXTRACT_PORT('https://u@h.org:8080/a')", "8080"), ("URL_EXTRACT_PORT('https://h.org/a:1')", "NULL")],
    ),
    Function::new("URL_EXTRACT_PATH", Group::String, TEXT, Returns::Text, |call| url_piece(call, |url| Some(url.path)))
        .doc(
            "URL_EXTRACT_PATH(url)",
            "The path, not decoded.",
            &[("URL_EXTRACT_PATH('https://h.org/a/b?x=1')", "/a/b"), ("URL_EXTRACT_PATH('https://h.org')", "")],
        ),
    Function::new("URL_EXTRACT_QUERY", Group::String, TEXT, Returns::Text, |call| url_piece(call, |url| url.query))
        .doc(
            "URL_EXTRACT_QUERY(url)",
            "What stands behind `?`, not decoded; NULL without it.",
            &[
                ("URL_EXTRACT_QUERY('https://h.org/a?x=1&y=2#top')", "x=1&y=2"),
                ("URL_EXTRACT_QUERY('https://h.org/a#b?c')", "NULL"),
            ],
        ),
    Function::new("URL_EXTRACT_FRAGMENT", Group::String, TEXT, Returns::Text, |call| {
        url_piece(call, |url| url.fragment)
    })
    .doc(
        "URL_EXTRACT_FRAGMENT(url)",
        "What stands behind `#`, not decoded; NULL without it.",
        &[("URL_EXTRACT_FRAGMENT('https://h.org/a?x=1#top')", "top")],
    ),
    Function::new("URL_EXTRACT_PARAMETER", Group::String, &[Param::Text, Param::Text], Returns::Text, url_parameter)
        .fails()
        .doc(
            "URL_EXTRACT_PARAMETER(url, name)",
            "The decoded value of the query's first parameter of this name; NULL without one.",
            &[
                ("URL_EXTRACT_PARAMETER('https://h.org/?x=1&q=a%20b', 'q')", "a b"),
                ("URL_EXTRACT_PARAMETER('https://h.org/?x=1', 'y')", "NULL"),
                ("URL_EXTRACT_PARAMETER('https://h.org/?flag&x=1', 'flag')", ""),
            ],
        ),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Base64,
    Hex,
    Utf8,
}

impl Form {
    fn read(text: &str) -> Result<Form, String> {
        [("base64", Form::Base64), ("hex", Form::Hex), ("utf8", Form::Utf8), ("utf-8", Form::Utf8)]
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, form)| form)
            .ok_or_else(|| format!("'{}' is no form; there are 'base64', 'hex' and 'utf8'", shortened(text)))
    }
}

fn form_is_known(constants: &[Option<&Value>]) -> Result<Option<Prepared>, BadConstant> {
    match constants.get(1) {
        Some(Some(Value::Str(form))) => {
            Form::read(form).map(|_| None).map_err(|message| BadConstant { argument: 1, message })
        }
        _ => Ok(None),
    }
}

fn hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
}

fn unhex(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    for [high, low] in pairs {
        out.push(hex_digit(*high)? << 4 | hex_digit(*low)?);
    }
    rest.is_empty().then_some(())
}

fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

fn encode(call: &mut Call<'_>) -> Column {
    let (args, form) = (call.args, call.args.text(1));
    let mut room = Vec::new();
    call.texts(|row, out| {
        let bytes = args.bytes(0, row);
        match Form::read(form.at(row)).map_err(Fail::domain)? {
            Form::Hex => hex(bytes, out),
            Form::Utf8 => {
                out.push_str(std::str::from_utf8(bytes).map_err(|_| Fail::domain("the bytes are not UTF-8"))?)
            }
            Form::Base64 => {
                room.clear();
                base64::encode(bytes, &mut room);
                out.extend(room.iter().map(|b| *b as char));
            }
        }
        Ok(true)
    })
}

fn decode(call: &mut Call<'_>) -> Column {
    let (text, form) = (call.args.text(0), call.args.text(1));
    call.binaries(|row, out| {
        let text = text.at(row);
        let (name, decoded) = match Form::read(form.at(row)).map_err(Fail::domain)? {
            Form::Hex => ("hex", unhex(text, out)),
            Form::Base64 => ("base64", base64::decode(text.as_bytes()).map(|bytes| out.extend_from_slice(&bytes))),
            Form::Utf8 => {
                out.extend_from_slice(text.as_bytes());
                return Ok(true);
            }
        };
        decoded.ok_or_else(|| Fail::domain(format!("'{}' is no {name} text", shortened(text))))?;
        Ok(true)
    })
}

fn md5_text(call: &mut Call<'_>) -> Column {
    digest(call, |bytes, out| hex(&Md5::digest(bytes), out))
}

fn sha256_text(call: &mut Call<'_>) -> Column {
    digest(call, |bytes, out| hex(&Sha256::digest(bytes), out))
}

fn digest(call: &mut Call<'_>, write: fn(&[u8], &mut String)) -> Column {
    let args = call.args;
    call.texts(|row, out| {
        write(args.bytes(0, row), out);
        Ok(true)
    })
}

fn url_encode(call: &mut Call<'_>) -> Column {
    let text = call.args.text(0);
    call.texts(|row, out| {
        for byte in text.at(row).bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                out.push(byte as char);
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        Ok(true)
    })
}

/// Appends the text that percent-encoded text stands for.
fn percent_decoded(text: &str, room: &mut Vec<u8>, out: &mut String) -> Result<(), Fail> {
    room.clear();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => room.push(b' '),
            b'%' => {
                let decoded = after.get(..2).and_then(|two| Some(hex_digit(two[0])? << 4 | hex_digit(two[1])?));
                room.push(decoded.ok_or_else(|| {
                    Fail::domain(format!("'{}' has a % without two hexadecimal digits", shortened(text)))
                })?);
                rest = &after[2..];
            }
            byte => room.push(*byte),
        }
    }
    let decoded = std::str::from_utf8(room);
    out.push_str(decoded.map_err(|_| Fail::domain(format!("'{}' does not decode to UTF-8", shortened(text))))?);
    Ok(())
}

fn url_decode(call: &mut Call<'_>) -> Column {
    let text = call.args.text(0);
    let mut room = Vec::new();
    call.texts(|row, out| percent_decoded(text.at(row), &mut room, out).map(|()| true))
}

/// A URL taken apart.
struct Url<'t> {
    protocol: Option<&'t str>,
    host: Option<&'t str>,
    port: Option<&'t str>,
    path: &'t str,
    query: Option<&'t str>,
    fragment: Option<&'t str>,
}

impl<'t> Url<'t> {
    fn read(text: &'t str) -> Url<'t> {
        let (rest, fragment) = split(text, '#');
        let (rest, query) = split(rest, '?');
        let Some((protocol, rest)) = rest.split_once("://") else {
            return Url { protocol: None, host: None, port: None, path: rest, query, fragment };
        };
        let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        // A colon inside […] belongs to an IPv6 address.
        let colon = place.rfind(':').filter(|at| !place[*at..].contains(']'));
        let (host, port) = colon.map_or((place, None), |at| (&place[..at], Some(&place[at + 1..])));
        Url { protocol: Some(protocol), host: Some(host), port, path, query, fragment }
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

fn url_piece(call: &mut Call<'_>, piece: for<'t> fn(Url<'t>) -> Option<&'t str>) -> Column {
    call.pieces_of(0, |_, text| Ok(piece(Url::read(text)).map(|piece| within(text, piece))))
}

fn url_port(call: &mut Call<'_>) -> Column {
    let text = call.args.text(0);
    call.ints(|row| Ok(Url::read(text.at(row)).port.and_then(|port| port.parse().ok())))
}

fn url_parameter(call: &mut Call<'_>) -> Column {
    let (text, name) = (call.args.text(0), call.args.text(1));
    let mut room = Vec::new();
    call.texts(|row, out| {
        for parameter in Url::read(text.at(row)).query.unwrap_or_default().split('&') {
            let (key, value) = split(parameter, '=');
            out.clear();
            percent_decoded(key, &mut room, out)?;
            if out == name.at(row) {
                out.clear();
                return percent_decoded(value.unwrap_or_default(), &mut room, out).map(|()| true);
            }
        }
        Ok(false)
    })
}
