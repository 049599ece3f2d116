//! A diagnostic for programs: one JSON object with positions as bytes and as line and column.

use serde_json::{Map, Value, json};

use super::position::Lines;
use super::{Diagnostic, Label, shown};

/// The diagnostic as a JSON object. Absent parts are left out; `file`, `line`, `column`, `end_line`, `end_column` and
/// `span` come from the primary label.
pub fn to_json(diagnostic: &Diagnostic, sql_name: &str, sql_text: &str) -> Value {
    let mut object = Map::new();
    object.insert("code".into(), diagnostic.code.into());
    object.insert("severity".into(), diagnostic.severity.word().into());
    object.insert("message".into(), shown(&diagnostic.message).into());
    if let Some(statement) = diagnostic.statement {
        object.insert("statement".into(), statement.into());
    }
    if let Some(primary) = &diagnostic.primary {
        object.append(&mut place(primary, sql_name, sql_text));
    }
    if !diagnostic.secondary.is_empty() {
        let others = diagnostic.secondary.iter().map(|l| Value::Object(place(l, sql_name, sql_text))).collect();
        object.insert("related".into(), Value::Array(others));
    }
    for (key, text) in [("detail", &diagnostic.detail), ("hint", &diagnostic.hint)] {
        if let Some(text) = text {
            object.insert(key.into(), shown(text).into());
        }
    }
    Value::Object(object)
}

fn place(label: &Label, sql_name: &str, sql_text: &str) -> Map<String, Value> {
    let (name, text) = label.origin.as_ref().map_or((sql_name, sql_text), |o| (o.name.as_str(), o.text.as_ref()));
    let lines = Lines::new(text);
    let (start, end) = lines.clamp(label.span);
    let (from, to) = (lines.position(start), lines.position(end));
    let mut object = Map::new();
    object.insert("file".into(), name.into());
    object.insert("line".into(), from.line.into());
    object.insert("column".into(), from.column.into());
    object.insert("end_line".into(), to.line.into());
    object.insert("end_column".into(), to.column.into());
    object.insert("span".into(), json!([start, end]));
    if !label.text.is_empty() {
        object.insert("label".into(), shown(&label.text).into());
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use velostream_types::Span;

    #[test]
    fn positions_and_parts() {
        let d = Diagnostic::error("E0203", Span::new(11, 14), "column \"usr\" does not exist")
            .label("here")
            .also(Span::new(0, 6), "in this query")
            .hint("did you mean \"user\"?");
        let expect = json!({
            "code": "E0203", "severity": "error", "message": "column \"usr\" does not exist",
            "file": "app.sql", "line": 2, "column": 4, "end_line": 2, "end_column": 7, "span": [11, 14],
            "label": "here",
            "related": [{
                "file": "app.sql", "line": 1, "column": 1, "end_line": 1, "end_column": 7, "span": [0, 6],
                "label": "in this query",
            }],
            "hint": "did you mean \"user\"?",
        });
        assert_eq!(to_json(&d, "app.sql", "SELECT\n  ßusr FROM x").to_string(), expect.to_string());
    }
}
