//! JSON Schema (draft 2020-12) of config files, from the key table: what an editor needs to complete keys and to mark
//! what the resolver would refuse.
//!
//! Dotted keys and nested maps are the same in a config file, so every way to cut a spelling into maps is a path
//! through the schema: each beginning of a spelling is a definition `any:at:…` whose properties are what may follow. The
//! layouts (`datasource`, `datasink`, a relation's name, sections such as `consumer_config`) lead to the same
//! definitions. Nothing here knows a property: names, types, defaults and words come from [`KEYS`], lines from `docs`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::config::{SECTIONS, UNCHECKED};
use super::docs::doc;
use super::keys::{
    CLIENT_FAMILIES, CLIENT_KEYS, CLIENT_PREFIXES, FAMILIES, KEYS, Key, Kind, Side, Status, TOPIC_KEYS, TOPIC_PREFIXES,
};

/// The schema.
pub fn config_schema() -> Value {
    let mut definitions = Map::new();
    let sides = [("source", Side::Source), ("sink", Side::Sink), ("any", Side::Both)];
    for (name, side) in sides {
        let spellings = spellings(side);
        for (start, properties) in cut(name, &spellings) {
            let is_open = open_starts().contains(start.split('.').next().unwrap_or_default());
            let node = json!({ "type": ["object", "null"], "properties": properties, "additionalProperties": is_open });
            definitions.insert(at(name, &start), node);
        }
        let all = definitions.remove(&at(name, "")).and_then(|mut node| node["properties"].take().as_object().cloned());
        let all = all.unwrap_or_default();
        definitions.insert(format!("{name}:section"), json!({ "type": ["object", "null"], "properties": all }));
        let mut own = all;
        layouts(name, &mut own);
        let open: Vec<String> = open_starts().into_iter().map(escaped).collect();
        let closed = json!({
            "type": ["object", "null"],
            "properties": own,
            "patternProperties": { format!("^({})[.\\[]", open.join("|")): {} },
            "additionalProperties": false,
        });
        definitions.insert(name.to_owned(), closed);
    }
    definitions.extend(KEYS.iter().map(|key| (format!("key:{}", key.name), leaf(key))));
    for (name, text) in [("client", "Setting of the Kafka client."), ("topic", "Setting of a topic that is made.")] {
        let value = json!({ "description": text, "type": ["string", "number", "boolean", "null"] });
        definitions.insert(format!("setting:{name}"), value);
    }
    definitions.insert("variable".into(), json!({ "type": "string", "pattern": "\\$\\{" }));
    top(definitions)
}

/// The whole: layouts, flat keys, maps and dotted keys of relations.
fn top(definitions: Map<String, Value>) -> Value {
    let mut properties = definitions["any"]["properties"].as_object().cloned().unwrap_or_default();
    let open = open_starts();
    let first = |key: &String| key.split_once('.').map(|(first, _)| first.to_owned());
    let starts: BTreeSet<String> =
        properties.keys().filter_map(first).filter(|start| !open.contains(start.as_str())).collect();
    let files = json!({
        "description": "Config files whose keys this one inherits, relative to its own folder.",
        "anyOf": [{ "type": ["string", "null"] }, { "type": "array", "items": { "type": "string" } }],
    });
    properties.insert("extends".into(), files);
    for (name, of) in [("datasource", "source"), ("source", "source"), ("datasink", "sink"), ("sink", "sink")] {
        properties.insert(name.into(), reference(of));
    }
    let known: Vec<&String> = properties.keys().collect();
    // A dotted key that begins like a property is one, or a mistake; any other belongs to a relation.
    let starts: Vec<String> = starts.iter().map(|start| escaped(start)).collect();
    let names = json!({
        "anyOf": [
            { "enum": known },
            { "not": { "pattern": format!("^({})\\.", starts.join("|")) } },
        ],
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Velostream config file",
        "description": "Properties of sources and sinks. Dotted keys and nested maps are the same; values may hold ${VARIABLE:default}.",
        "type": ["object", "null"],
        "properties": properties,
        "propertyNames": names,
        "patternProperties": { "\\.": {}, "^extends\\[": {} },
        "additionalProperties": {
            "description": "Properties of the relation of this name.",
            "anyOf": [reference("any"), { "type": "array" }],
        },
        "$defs": definitions,
    })
}

/// Every spelling that fits the side, with what its value may be.
fn spellings(side: Side) -> Vec<(String, Value)> {
    let fits = |of: Side| side == Side::Both || of == Side::Both || of == side;
    let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for key in KEYS.iter().filter(|key| fits(key.side)) {
        for spelling in key.spellings() {
            let known = all.entry(spelling.to_owned()).or_default();
            let own = reference(&format!("key:{}", key.name));
            if !known.contains(&own) {
                known.push(own);
            }
        }
    }
    let client = CLIENT_KEYS.iter().filter(|(_, of)| fits(*of)).map(|(key, _)| (*key, "setting:client"));
    let topic = TOPIC_KEYS.iter().filter(|_| side != Side::Source).map(|key| (*key, "setting:topic"));
    for (key, definition) in client.chain(topic) {
        all.entry(key.to_owned()).or_default().push(reference(definition));
    }
    let one_of = |mut values: Vec<Value>| if values.len() == 1 { values.remove(0) } else { json!({ "anyOf": values }) };
    all.into_iter().map(|(spelling, values)| (spelling, one_of(values))).collect()
}

/// What the value of a property may be.
fn leaf(key: &Key) -> Value {
    let mut object = Map::new();
    let note = match key.status {
        Status::Works | Status::Tuning => "",
        Status::Inert => " No effect yet.",
        Status::Later => " Not supported yet, but for the default.",
    };
    object.insert("description".into(), format!("{}{note}", doc(key.name).unwrap_or_default()).into());
    if let Some(default) = key.default {
        let is_true = default == "true";
        let value = match key.kind {
            Kind::Bool => is_true.into(),
            Kind::Int(_) => default.parse::<u64>().map_or(Value::from(default), Value::from),
            _ => default.into(),
        };
        object.insert("default".into(), value);
    }
    let mut values = accepted(key.kind);
    values.push(json!({ "$ref": "#/$defs/variable" }));
    values.push(json!({ "type": "null" }));
    object.insert("anyOf".into(), values.into());
    Value::Object(object)
}

fn accepted(kind: Kind) -> Vec<Value> {
    match kind {
        Kind::Text => vec![json!({ "type": ["string", "number", "boolean"] })],
        Kind::Path => vec![json!({ "type": "string", "minLength": 1 })],
        Kind::Bool => vec![
            json!({ "type": "boolean" }),
            json!({ "enum": [0, 1] }),
            pattern(&["true", "false", "yes", "no", "on", "off", "1", "0"]),
        ],
        Kind::Int(least) => vec![
            json!({ "type": "integer", "minimum": least }),
            json!({ "type": "string", "pattern": "^[ ]*[0-9_]+[ ]*$" }),
        ],
        Kind::Size => vec![
            json!({ "type": "integer", "minimum": 1 }),
            json!({ "type": "string", "pattern": "^[ ]*[0-9_]+ *([KkMmGg]?([Ii]?[Bb])?|bytes)[ ]*$" }),
        ],
        Kind::Duration(_) => vec![
            json!({ "type": "number", "minimum": 0 }),
            json!({ "type": "string", "pattern": "^[ ]*([0-9]+(\\.[0-9]*)?|\\.[0-9]+) *[A-Za-zμµ]*[ ]*$" }),
        ],
        Kind::Char => vec![
            json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
            json!({ "enum": ["\\t", "tab"] }),
            json!({ "type": "integer", "minimum": 0, "maximum": 9 }),
        ],
        Kind::Word(words) => {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            vec![json!({ "enum": names }), pattern(&names)]
        }
    }
}

/// Any of these words in any case.
fn pattern(words: &[&str]) -> Value {
    let any_case = |c: char| match c.is_ascii_alphabetic() {
        true => format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase()),
        false => escaped(&c.to_string()),
    };
    let words: Vec<String> = words.iter().map(|word| word.chars().map(any_case).collect()).collect();
    json!({ "type": "string", "pattern": format!("^[ ]*({})[ ]*$", words.join("|")) })
}

fn escaped(text: &str) -> String {
    text.replace('.', "\\.")
}

/// By each beginning of a spelling, what may follow it: `event` → `time.field`, `time`; `event.time` → `field`, ….
fn cut(side: &str, spellings: &[(String, Value)]) -> BTreeMap<String, Map<String, Value>> {
    let mut nodes: BTreeMap<String, BTreeMap<String, Vec<Value>>> = BTreeMap::new();
    for (spelling, value) in spellings {
        let dots: Vec<usize> = spelling.match_indices('.').map(|(i, _)| i).collect();
        let starts = std::iter::once(0).chain(dots.iter().map(|dot| dot + 1));
        for start in starts {
            let node = nodes.entry(spelling[..start].trim_end_matches('.').to_owned()).or_default();
            for end in dots.iter().copied().filter(|dot| *dot > start).chain([spelling.len()]) {
                let alternatives = node.entry(spelling[start..end].to_owned()).or_default();
                let next = match end == spelling.len() {
                    true => value.clone(),
                    false => reference(&at(side, &spelling[..end])),
                };
                if !alternatives.contains(&next) {
                    alternatives.push(next);
                }
            }
        }
    }
    let one_of = |mut values: Vec<Value>| if values.len() == 1 { values.remove(0) } else { json!({ "anyOf": values }) };
    nodes
        .into_iter()
        .map(|(start, properties)| (start, properties.into_iter().map(|(key, values)| (key, one_of(values))).collect()))
        .collect()
}

/// Adds what is no property of the table: sections, families of settings, and what is not checked.
fn layouts(side: &str, own: &mut Map<String, Value>) {
    let section = reference(&format!("{side}:section"));
    for name in SECTIONS.iter().map(|section| section.trim_end_matches('.')) {
        let known = own.remove(name);
        own.insert(
            name.to_owned(),
            known.map_or_else(|| section.clone(), |known| json!({ "anyOf": [known, section] })),
        );
    }
    let prefixes = CLIENT_PREFIXES.iter().chain(CLIENT_FAMILIES).map(|(prefix, _)| *prefix);
    for start in prefixes.chain(TOPIC_PREFIXES.iter().copied()).chain(FAMILIES.iter().copied()) {
        let name = start.trim_end_matches('.');
        let known = own.remove(name);
        let open = json!({ "type": ["object", "string", "null"] });
        own.insert(name.to_owned(), known.map_or_else(|| open.clone(), |known| json!({ "anyOf": [known, open] })));
    }
    for name in UNCHECKED {
        own.insert((*name).to_owned(), json!({}));
    }
}

/// First words behind which any key may stand.
fn open_starts() -> BTreeSet<&'static str> {
    let prefixes = CLIENT_PREFIXES.iter().chain(CLIENT_FAMILIES).map(|(prefix, _)| *prefix);
    let more = [TOPIC_PREFIXES, FAMILIES, SECTIONS, UNCHECKED].into_iter().flatten().copied();
    prefixes.chain(more).filter_map(|start| start.split('.').next()).collect()
}

fn at(side: &str, start: &str) -> String {
    format!("{side}:at:{start}")
}

fn reference(definition: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{definition}") })
}

#[cfg(test)]
mod tests;
