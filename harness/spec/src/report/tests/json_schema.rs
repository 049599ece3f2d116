//! As much of JSON Schema as the report's schema uses.

use serde_json::Value as Json;

/// Where and how a value is not what the schema says.
pub(super) fn violations(root: &Json, schema: &Json, value: &Json, path: &str) -> Vec<String> {
    if let Some(name) = schema.get("$ref").and_then(Json::as_str) {
        let target = name.strip_prefix('#').and_then(|pointer| root.pointer(pointer)).expect("a definition");
        return violations(root, target, value, path);
    }
    if let Some(choices) = schema.get("oneOf").and_then(Json::as_array) {
        let tried: Vec<Vec<String>> = choices.iter().map(|choice| violations(root, choice, value, path)).collect();
        return match tried.iter().filter(|found| found.is_empty()).count() {
            1 => Vec::new(),
            0 => tried.into_iter().min_by_key(Vec::len).unwrap_or_default(),
            n => vec![format!("{path}: {n} choices fit")],
        };
    }
    let mut found = Vec::new();
    if let Some(values) = schema.get("enum").and_then(Json::as_array)
        && !values.contains(value)
    {
        found.push(format!("{path}: {value} is none of {values:?}"));
    }
    let fits = match schema.get("type").and_then(Json::as_str) {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some(other) => panic!("type {other} is not known here"),
        None => true,
    };
    if !fits {
        return vec![format!("{path}: {value} is no {}", schema["type"])];
    }
    if let (Some(least), Some(n)) = (schema.get("minimum").and_then(Json::as_f64), value.as_f64())
        && n < least
    {
        found.push(format!("{path}: {n} is below {least}"));
    }
    if let Some(values) = value.as_array() {
        if schema.get("maxItems").and_then(Json::as_u64).is_some_and(|most| values.len() as u64 > most) {
            found.push(format!("{path}: too many"));
        }
        if let Some(items) = schema.get("items") {
            for (i, value) in values.iter().enumerate() {
                found.extend(violations(root, items, value, &format!("{path}[{i}]")));
            }
        }
    }
    if let Some(members) = value.as_object() {
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        found.extend(required.filter(|name| !members.contains_key(*name)).map(|name| format!("{path}: no {name}")));
        for (name, value) in members {
            let path = format!("{path}.{name}");
            match (schema.pointer(&format!("/properties/{name}")), schema.get("additionalProperties")) {
                (Some(schema), _) => found.extend(violations(root, schema, value, &path)),
                (None, Some(Json::Bool(false))) => found.push(format!("{path}: not in the schema")),
                (None, Some(schema @ Json::Object(_))) => found.extend(violations(root, schema, value, &path)),
                _ => {}
            }
        }
    }
    found
}
