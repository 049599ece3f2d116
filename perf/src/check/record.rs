//! One line as one record, by readers that are slow and strict: a record they refuse is a bad record.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::number::Number;

/// The columns the workloads read of a trade.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// As written.
    pub order_id: String,
    /// Text.
    pub symbol: String,
    /// Exact.
    pub price: Number,
    /// Exact.
    pub quantity: Number,
    /// Milliseconds; needed where there are windows or intervals.
    pub event_time_ms: Option<i64>,
    /// As written; only W5 needs it.
    pub trader_id: Option<String>,
}

/// Finds the columns among (name, raw value) pairs; raw strings come without quotes and marked by `is_text`.
fn pick(fields: &[(String, String, bool)]) -> Option<Record> {
    let field = |name: &str| fields.iter().rev().find(|(n, _, _)| n == name);
    let number = |name| field(name).filter(|f| !f.2).and_then(|f| Number::parse(&f.1));
    Some(Record {
        order_id: number("order_id")?.token().to_owned(),
        symbol: field("symbol").filter(|f| f.2).map(|f| f.1.clone())?,
        price: number("price")?,
        quantity: number("quantity")?,
        event_time_ms: number("event_time").and_then(|n| n.whole()),
        trader_id: number("trader_id").map(|n| n.token().to_owned()),
    })
}

/// A CSV line without its newline. The generated data has no quotes.
pub fn from_csv(columns: &[String], line: &[u8]) -> Option<Record> {
    let line = std::str::from_utf8(line).ok()?;
    let values: Vec<&str> = line.split(',').collect();
    if values.len() != columns.len() {
        return None;
    }
    let fields: Vec<_> =
        columns.iter().zip(values).map(|(name, value)| (name.clone(), value.to_owned(), name == "symbol")).collect();
    pick(&fields)
}

/// A JSON line without its newline: `serde_json` judges whether it is well-formed, a scan of the flat object keeps the
/// numbers as they were written.
pub fn from_json(line: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(line).ok()?;
    pick(&fields_of(text)?)
}

/// Names and texts of the fields of a JSON line.
pub fn json_fields(text: &str) -> Option<Vec<(String, String)>> {
    Some(fields_of(text)?.into_iter().map(|(name, value, _)| (name, value)).collect())
}

/// Name, raw value, and whether that is text.
fn fields_of(text: &str) -> Option<Vec<(String, String, bool)>> {
    let tree: Value = serde_json::from_str(text).ok()?;
    let object = tree.as_object()?;
    let mut fields = Vec::new();
    for (name, value) in object {
        let raw = match value {
            Value::String(s) => s.clone(),
            Value::Number(_) => raw_number(text, name)?.to_owned(),
            other => other.to_string(),
        };
        // A boolean or null is no number for `Number::parse`.
        fields.push((name.clone(), raw, value.is_string()));
    }
    Some(fields)
}

/// The text of the number behind a key that occurs once.
fn raw_number<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let key = format!("\"{name}\":");
    let start = text.rfind(&key)? + key.len();
    let rest = text[start..].trim_start();
    let end = rest.find([',', '}', ' ']).unwrap_or(rest.len());
    Some(&rest[..end])
}

/// Position and original bytes of one dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// (partition, record number)
    pub at: (u32, u64),
    /// The record as it came.
    pub bytes: Vec<u8>,
}

/// Reads one line of a dead-letter file.
pub fn dead_letter(line: &str) -> Result<Letter> {
    let letter: Value = serde_json::from_str(line).context("no JSON")?;
    let whole = |name: &str| letter[name].as_u64().with_context(|| format!("no number {name:?} in {line}"));
    let at = (whole("partition")? as u32, whole("offset")?);
    for name in ["stage", "code", "message"] {
        if letter[name].as_str().is_none_or(str::is_empty) {
            bail!("no {name:?} in {line}");
        }
    }
    let bytes = match (letter["record"].as_str(), letter["record_base64"].as_str()) {
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(base64)) => from_base64(base64).with_context(|| format!("bad base64 in {line}"))?,
        _ => bail!("neither \"record\" nor \"record_base64\" in {line}"),
    };
    Ok(Letter { at, bytes })
}

/// RFC 4648, standard alphabet, padded or not.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0);
    for b in text.trim_end_matches('=').bytes() {
        let six = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}
