//! JSON Schema (2020-12) of specs and data schemas, from the key tables: editors complete keys by it and mark what
//! loading would refuse or warn of.

use serde_json::{Map, Value, json};

use super::schema_keys::SCHEMA;
use super::shape::{Key, Object, Shape, TAG, Tagged, Variant};
use super::spec_keys::SPEC;

/// Of a spec.
pub fn spec() -> Value {
    whole("Velostream test spec", &SPEC)
}

/// Of a data schema.
pub fn data_schema() -> Value {
    whole("Velostream data schema", &SCHEMA)
}

fn whole(title: &str, object: &'static Object) -> Value {
    let mut definitions = Map::new();
    let mut top = describe(object, None, &mut definitions);
    if let Some(top) = top.as_object_mut() {
        top.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        top.insert("title".into(), title.into());
        top.insert("$defs".into(), definitions.into());
    }
    top
}

/// A tagged object has its word under `type`.
fn describe(object: &'static Object, tag: Option<&str>, definitions: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    if let Some(tag) = tag {
        properties.insert(TAG.to_owned(), json!({ "enum": [tag] }));
        required.push(TAG);
    }
    for key in object.keys {
        for spelling in key.spellings() {
            properties.insert(spelling.to_owned(), property(key, definitions));
        }
    }
    required.extend(object.keys.iter().filter(|key| key.is_required).map(|key| key.name));
    json!({
        "type": "object",
        "description": object.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(key: &Key, definitions: &mut Map<String, Value>) -> Value {
    let later = if key.is_later { " No effect yet." } else { "" };
    let mut value = accepted(key.shape, definitions);
    if !key.is_required {
        value = json!({ "anyOf": [value, { "type": "null" }] });
    }
    value["description"] = format!("{}{later}", key.doc).into();
    if let Some(default) = key.default {
        value["default"] = match key.shape {
            Shape::Flag => (default == "true").into(),
            Shape::Count(..) => default.parse::<u64>().map_or(default.into(), Value::from),
            Shape::Number(..) => default.parse::<f64>().map_or(default.into(), Value::from),
            _ => default.into(),
        };
    }
    value
}

fn accepted(shape: Shape, definitions: &mut Map<String, Value>) -> Value {
    match shape {
        Shape::Any => json!({}),
        Shape::Text | Shape::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Count(least, greatest) => {
            let mut value = json!({ "type": "integer", "minimum": least });
            if greatest < u64::MAX {
                value["maximum"] = greatest.into();
            }
            value
        }
        Shape::Number(least, greatest) => number(least, greatest),
        Shape::Moment => json!({ "anyOf": [
            { "enum": ["now"] },
            { "type": "string", "pattern": "^[+-][0-9]+ *[A-Za-zμµ]+$" },
            { "type": "string", "pattern": DATE },
        ] }),
        Shape::Instant => json!({ "type": "string", "pattern": DATE }),
        Shape::Pattern => json!({ "type": "string" }),
        Shape::Word(words) => json!({ "enum": words.words() }),
        Shape::Pair(of) => {
            json!({ "type": "array", "items": accepted(*of, definitions), "minItems": 2, "maxItems": 2 })
        }
        Shape::List(of) => json!({ "type": "array", "items": accepted(*of, definitions) }),
        Shape::Map(of) => json!({ "type": "object", "additionalProperties": accepted(*of, definitions) }),
        Shape::Object(object) => defined(object, None, definitions),
        Shape::Tagged(tagged) => by_tag(tagged, definitions),
        Shape::Variant(variants) => {
            let each = variants.iter().flat_map(|variant| forms(variant, definitions)).collect::<Vec<_>>();
            json!({ "anyOf": each })
        }
    }
}

/// How a date and time begins.
const DATE: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}";

fn number(least: f64, greatest: f64) -> Value {
    let mut value = json!({ "type": "number" });
    if least == f64::MIN_POSITIVE {
        value["not"] = json!({ "maximum": 0 });
    } else if least > f64::MIN {
        value["minimum"] = least.into();
    }
    if greatest < f64::MAX {
        value["maximum"] = greatest.into();
    }
    value
}

/// A reference to an object's definition, which is made where there is none.
fn defined(object: &'static Object, tag: Option<&str>, definitions: &mut Map<String, Value>) -> Value {
    if !definitions.contains_key(object.name) {
        // Stands in while its own parts are described.
        definitions.insert(object.name.to_owned(), Value::Null);
        let description = describe(object, tag, definitions);
        definitions.insert(object.name.to_owned(), description);
    }
    json!({ "$ref": format!("#/$defs/{}", object.name) })
}

fn by_tag(tagged: &'static Tagged, definitions: &mut Map<String, Value>) -> Value {
    let each: Vec<Value> =
        tagged.variants.iter().map(|(tag, object)| defined(object, Some(tag), definitions)).collect();
    json!({ "anyOf": each })
}

fn forms(variant: &Variant, definitions: &mut Map<String, Value>) -> Vec<Value> {
    let name = variant.name;
    let mut forms = Vec::new();
    if variant.object.is_none_or(|object| object.keys.iter().all(|key| !key.is_required)) {
        forms.push(json!({ "enum": [name] }));
    }
    if let Some(object) = variant.object {
        let inner = defined(object, None, definitions);
        forms.push(json!({
            "type": "object", "properties": { name: inner }, "required": [name], "additionalProperties": false,
        }));
    }
    forms
}
