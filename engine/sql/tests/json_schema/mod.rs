//! A validator of the few words of JSON Schema that our schemas use. The crates that know all of them bring a licence
//! that `deny.toml` does not allow and some forty dependencies.

use regex::Regex;
use serde_json::{Map, Value};

/// Judges instances by the words of JSON Schema that occur here; any other word fails the test.
pub struct Validator<'s> {
    /// The whole schema, in which references point.
    pub root: &'s Value,
}

impl Validator<'_> {
    /// TRUE when the instance is what the schema describes.
    pub fn accepts(&self, schema: &Value, instance: &Value) -> bool {
        let Some(words) = schema.as_object() else { return schema.as_bool().expect("a schema") };
        words.iter().all(|(word, value)| match word.as_str() {
            "$schema" | "title" | "description" | "default" | "$defs" => true,
            "$ref" => self.accepts(self.resolved(value), instance),
            "anyOf" => array(value).iter().any(|one| self.accepts(one, instance)),
            "not" => !self.accepts(value, instance),
            "enum" => array(value).contains(instance),
            "type" => match value.as_str() {
                Some(name) => is_type(name, instance),
                None => array(value).iter().any(|name| is_type(name.as_str().expect("a name"), instance)),
            },
            "pattern" => instance.as_str().is_none_or(|text| matches(value, text)),
            "minLength" => {
                instance.as_str().is_none_or(|t| t.chars().count() as u64 >= value.as_u64().expect("a length"))
            }
            "maxLength" => {
                instance.as_str().is_none_or(|t| t.chars().count() as u64 <= value.as_u64().expect("a length"))
            }
            "minimum" => instance.as_f64().is_none_or(|x| x >= value.as_f64().expect("a number")),
            "maximum" => instance.as_f64().is_none_or(|x| x <= value.as_f64().expect("a number")),
            "items" => instance.as_array().is_none_or(|all| all.iter().all(|one| self.accepts(value, one))),
            "minItems" => instance.as_array().is_none_or(|all| all.len() as u64 >= value.as_u64().expect("a number")),
            "maxItems" => instance.as_array().is_none_or(|all| all.len() as u64 <= value.as_u64().expect("a number")),
            "required" => instance
                .as_object()
                .is_none_or(|o| array(value).iter().all(|key| o.contains_key(key.as_str().expect("a name")))),
            "propertyNames" => {
                instance.as_object().is_none_or(|o| o.keys().all(|key| self.accepts(value, &key.as_str().into())))
            }
            "properties" | "patternProperties" | "additionalProperties" => {
                instance.as_object().is_none_or(|o| o.iter().all(|(key, one)| self.property(words, word, key, one)))
            }
            other => panic!("the schema has the word {other}"),
        })
    }

    fn property(&self, words: &Map<String, Value>, word: &str, key: &str, instance: &Value) -> bool {
        let named = words.get("properties").and_then(|p| p.get(key));
        let none = Map::new();
        let patterns = words.get("patternProperties").and_then(Value::as_object).unwrap_or(&none);
        let mut fitting = patterns.iter().filter(|(pattern, _)| matches(&Value::from(pattern.as_str()), key));
        match word {
            "properties" => named.is_none_or(|schema| self.accepts(schema, instance)),
            "patternProperties" => fitting.all(|(_, schema)| self.accepts(schema, instance)),
            _ => named.is_some() || fitting.next().is_some() || self.accepts(&words["additionalProperties"], instance),
        }
    }

    fn resolved(&self, reference: &Value) -> &Value {
        let pointer = reference.as_str().and_then(|r| r.strip_prefix('#')).expect("a local reference");
        self.root.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not defined"))
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn matches(pattern: &Value, text: &str) -> bool {
    Regex::new(pattern.as_str().expect("a pattern")).expect("a regular expression").is_match(text)
}

fn is_type(name: &str, instance: &Value) -> bool {
    match name {
        "object" => instance.is_object(),
        "array" => instance.is_array(),
        "string" => instance.is_string(),
        "boolean" => instance.is_boolean(),
        "null" => instance.is_null(),
        "number" => instance.is_number(),
        "integer" => instance.is_i64() || instance.is_u64(),
        other => panic!("no type {other}"),
    }
}
