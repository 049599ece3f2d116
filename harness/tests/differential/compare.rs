//! Outputs of the oracle as the text the engine must write, and how two outputs are told apart.

use std::collections::BTreeMap;

use velostream_harness::oracle::{OracleResult, OutRow};
use velostream_sql::plan::{AppPlan, Node, NodeKind, SinkPlan};
use velostream_types::{DataType, NodeId, Value, decimal};

use super::apps::Agreement;

/// JSON line of a row at `sink`.
pub fn line(row: &OutRow, sink: &SinkPlan) -> String {
    if let Some(record) = &row.record {
        return record.to_string();
    }
    let fields = sink.schema.fields.iter().zip(&row.values).enumerate();
    let mut parts: Vec<String> = fields
        .filter(|(i, _)| !row.delete || sink.key.contains(i))
        .map(|(_, (field, value))| format!("{}:{}", quoted(&field.name), json(value, &field.data_type)))
        .collect();
    if row.delete {
        parts.push("\"__deleted\":true".to_owned());
    }
    format!("{{{}}}", parts.join(","))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn json(value: &Value, data_type: &DataType) -> String {
    let scale = data_type.exact_scale().unwrap_or(0);
    let exact = |mut mantissa: i128, mut digits: u8| {
        while digits > scale && mantissa % 10 == 0 {
            (mantissa, digits) = (mantissa / 10, digits - 1);
        }
        let mut text = decimal::to_text(mantissa, digits);
        if digits < scale {
            text.push_str(if digits == 0 { "." } else { "" });
            text.push_str(&"0".repeat(usize::from(scale - digits)));
        }
        text
    };
    match value {
        Value::Null => "null".to_owned(),
        Value::Int(i) => exact(i128::from(*i), 0),
        Value::Decimal { mantissa, scale } => exact(*mantissa, *scale),
        Value::Float(x) if !x.is_finite() => "null".to_owned(),
        Value::Bool(_) | Value::Float(_) | Value::Json(_) => value.to_string(),
        // What was inferred and leaves as it came.
        Value::Str(s) if data_type.is_numeric() || data_type.is_nested() => s.to_string(),
        other => quoted(&other.to_string()),
    }
}

/// What differs, in words; `None` when the outputs agree.
pub fn difference(agreement: &Agreement, expect: &[String], got: &[String]) -> Option<String> {
    match agreement {
        Agreement::Ordered if expect == got => None,
        Agreement::Ordered => {
            let at = expect.iter().zip(got).take_while(|(a, b)| a == b).count();
            let rows = format!("rows {} and {}", expect.len(), got.len());
            Some(format!("{rows}, from row {at}: oracle {:?}, engine {:?}", expect.get(at), got.get(at)))
        }
        Agreement::Multiset => multiset(expect, got),
        Agreement::Last(keys) => {
            let (expect, got) = (last_rows(expect, keys), last_rows(got, keys));
            multiset(&expect.into_values().collect::<Vec<_>>(), &got.into_values().collect::<Vec<_>>())
        }
    }
}

pub fn multiset(expect: &[String], got: &[String]) -> Option<String> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    expect.iter().for_each(|line| *counts.entry(line).or_default() -= 1);
    got.iter().for_each(|line| *counts.entry(line).or_default() += 1);
    let lines: Vec<String> = counts
        .iter()
        .filter(|(_, n)| **n != 0)
        .take(12)
        .map(|(line, n)| format!("    {} {line} ({n:+})", if *n < 0 { "oracle" } else { "engine" }))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn last_rows(lines: &[String], keys: &[String]) -> BTreeMap<Vec<String>, String> {
    let mut last = BTreeMap::new();
    for line in lines {
        let fields = fields(line);
        let key = keys.iter().map(|k| fields.get(&quoted(k)).cloned().unwrap_or_default()).collect();
        if fields.contains_key("\"__deleted\"") {
            last.remove(&key);
        } else {
            last.insert(key, line.clone());
        }
    }
    last
}

/// Fields of a JSON object as the text they have.
fn fields(line: &str) -> BTreeMap<String, String> {
    let inner = line.strip_prefix('{').and_then(|line| line.strip_suffix('}')).unwrap_or(line);
    let (mut fields, mut start, mut colon) = (BTreeMap::new(), 0, None);
    let (mut in_text, mut escaped, mut depth) = (false, false, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            '[' | '{' if !in_text => depth += 1,
            ']' | '}' if !in_text => depth -= 1,
            ':' if !in_text && colon.is_none() => colon = Some(at),
            ',' if !in_text && depth == 0 => {
                if let Some(colon) = colon.take() {
                    fields.insert(inner[start..colon].to_owned(), inner[colon + 1..at].to_owned());
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    fields
}

/// Dead letters as the oracle tells them: destination, code, place. Rows that an operator made have no place.
pub fn oracle_dead(plan: &AppPlan, result: &OracleResult) -> Vec<String> {
    let letter = |dead: &velostream_harness::oracle::DeadRow| {
        let dlq = plan.nodes[dead.node.index()].dlq.index();
        let code = dead.code.code();
        let at = (!made(plan, dlq, code)).then_some((u64::from(dead.partition), dead.offset));
        place(&plan.dlqs[dlq].name, code, at)
    };
    result.dead.iter().map(letter).collect()
}

/// TRUE for groups, and for failed expressions of statements some of whose rows an aggregate has made.
fn made(plan: &AppPlan, dlq: usize, code: &str) -> bool {
    let behind = |node: &Node| node.inputs.iter().any(|i| behind_aggregate(plan, *i));
    let some = || plan.nodes.iter().any(|n| n.dlq.index() == dlq && behind(n));
    code == "R0302" || code.starts_with("R02") && some()
}

fn behind_aggregate(plan: &AppPlan, node: NodeId) -> bool {
    let node = &plan.nodes[node.index()];
    matches!(node.kind, NodeKind::Aggregate(_)) || node.inputs.iter().any(|i| behind_aggregate(plan, *i))
}

/// The same of a line the engine wrote to `dlq`.
pub fn engine_dead(plan: &AppPlan, dlq: usize, line: &str) -> String {
    let letter: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let at = (letter["partition"].as_u64().unwrap_or(u64::MAX), letter["offset"].as_i64().unwrap_or(-1));
    let code = letter["code"].as_str().unwrap_or(line);
    place(&plan.dlqs[dlq].name, code, (!made(plan, dlq, code)).then_some(at))
}

/// One dead letter as text.
pub fn place(dlq: &str, code: &str, at: Option<(u64, i64)>) -> String {
    at.map_or_else(|| format!("{dlq} {code} of a made row"), |(p, o)| format!("{dlq} {code} at {p}:{o}"))
}
