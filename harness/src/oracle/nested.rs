//! Nested values as trees: parsed whole, compared and converted element by element.
//!
//! Shares no code with the engine's walks over text; numbers are arbitrarily wide.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use velostream_sql::plan::CompareOp;
use velostream_types::{DataType, Value};

use super::convert;
use super::eval::order;

/// A parsed value; scalars keep their text.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Tree>),
    Object(BTreeMap<String, Tree>),
}

/// `left op right` where both are nested and the operator asks for an order; `None` where that is not the case.
pub(super) fn compare(op: CompareOp, left: &Value, right: &Value, data_type: &DataType) -> Option<Option<bool>> {
    let (Some(l), Some(r)) = (tree_of(left, data_type), tree_of(right, data_type)) else { return None };
    let order = trees(&l, &r, data_type);
    match op {
        CompareOp::Less => Some(Some(order.is_lt())),
        CompareOp::LessOrEqual => Some(Some(order.is_le())),
        CompareOp::Greater => Some(Some(order.is_gt())),
        CompareOp::GreaterOrEqual => Some(Some(order.is_ge())),
        CompareOp::Equal | CompareOp::NotEqual => None,
    }
}

/// Order of two values of one type; nested ones by their parts.
pub(super) fn ordering(left: &Value, right: &Value, data_type: &DataType) -> Option<Ordering> {
    match (tree_of(left, data_type), tree_of(right, data_type)) {
        (Some(l), Some(r)) => Some(trees(&l, &r, data_type)),
        _ => order(left, right),
    }
}

fn tree_of(value: &Value, data_type: &DataType) -> Option<Tree> {
    match value {
        Value::Str(text) | Value::Json(text) if data_type.is_nested() => parse(text),
        _ => None,
    }
}

fn trees(a: &Tree, b: &Tree, data_type: &DataType) -> Ordering {
    match (a, b, data_type) {
        (Tree::Null, Tree::Null, _) => Ordering::Equal,
        (Tree::Null, _, _) => Ordering::Less,
        (_, Tree::Null, _) => Ordering::Greater,
        (Tree::Array(x), Tree::Array(y), DataType::Array(of)) => {
            let both = x.iter().zip(y).map(|(x, y)| trees(x, y, of));
            both.fold(Ordering::Equal, Ordering::then).then(x.len().cmp(&y.len()))
        }
        (Tree::Object(x), Tree::Object(y), DataType::Struct(fields)) => {
            let field = |object: &BTreeMap<String, Tree>, name: &str| object.get(name).cloned().unwrap_or(Tree::Null);
            let both = fields.iter().map(|f| trees(&field(x, &f.name), &field(y, &f.name), &f.data_type));
            both.fold(Ordering::Equal, Ordering::then)
        }
        _ => order(&scalar(a, data_type), &scalar(b, data_type)).unwrap_or(Ordering::Equal),
    }
}

/// What a leaf of this type is as a column's value.
fn scalar(tree: &Tree, data_type: &DataType) -> Value {
    let text = match tree {
        Tree::Null => return Value::Null,
        Tree::Bool(b) => return Value::Bool(*b),
        Tree::Number(text) | Tree::Text(text) => Value::Str(text.as_str().into()),
        Tree::Array(_) | Tree::Object(_) => return Value::Null,
    };
    convert::cast(&text, &DataType::String, data_type).unwrap_or(Value::Null)
}

/// The elements of a collection, of a map key and value; `None` for JSON that is no array.
pub(super) fn parts(text: &str, of: &DataType) -> Option<Vec<Vec<Value>>> {
    let leaf = |tree: &Tree, data_type: &DataType| match (tree, data_type) {
        (Tree::Null, _) => Value::Null,
        (_, nested) if nested.is_nested() => {
            let mut text = String::new();
            print(tree, nested, &mut text);
            Value::Json(text.into())
        }
        // A number of an inferred type may have more digits than it says.
        (Tree::Number(text), exact) if exact.exact_scale().is_some() => {
            let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len() as u8);
            let wider = exact.exact_scale().is_some_and(|scale| scale < digits);
            scalar(tree, &if wider { DataType::decimal(digits) } else { exact.clone() })
        }
        _ => scalar(tree, data_type),
    };
    match (parse(text)?, of) {
        (Tree::Null, _) => Some(Vec::new()),
        (Tree::Array(list), DataType::Array(of)) => Some(list.iter().map(|t| vec![leaf(t, of)]).collect()),
        (Tree::Array(list), DataType::Json) => Some(list.iter().map(|t| vec![leaf(t, of)]).collect()),
        (Tree::Object(map), DataType::Map(of)) => {
            Some(map.iter().map(|(key, t)| vec![Value::Str(key.as_str().into()), leaf(t, of)]).collect())
        }
        _ => None,
    }
}

/// `CAST(value AS to)` between nested types, and from JSON text; `None` when it does not convert.
pub(super) fn cast(value: &Value, from: &DataType, to: &DataType) -> Option<Value> {
    let text = match value {
        Value::Str(text) | Value::Json(text) => text.to_string(),
        Value::Int(_) | Value::Decimal { .. } | Value::Bool(_) => convert::text(value, from),
        _ => return None,
    };
    let text = &text;
    let tree = converted(&parse(text)?, if from.is_nested() { from } else { to }, to)?;
    let mut out = String::new();
    print(&tree, to, &mut out);
    Some(if out == "null" { Value::Null } else { Value::Json(out.into()) })
}

/// A JSON scalar as a value of this type; anything is text.
pub(super) fn from_json(value: &Value, to: &DataType) -> Option<Value> {
    let (Value::Str(raw) | Value::Json(raw)) = value else { return None };
    let text = match parse(raw)? {
        Tree::Null => return Some(Value::Null),
        Tree::Text(text) => text,
        Tree::Bool(b) if *to == DataType::Integer => u8::from(b).to_string(),
        Tree::Number(text) if matches!(to, DataType::Integer | DataType::Timestamp) => {
            let exact = convert::cast(&Value::Str(text.into()), &DataType::String, &DataType::decimal(18))?;
            let whole = convert::cast(&exact, &DataType::decimal(18), &DataType::Integer)?;
            return convert::cast(&whole, &DataType::Integer, to);
        }
        _ => raw.to_string(),
    };
    convert::cast(&Value::Str(text.into()), &DataType::String, to)
}

/// The same value in another type.
fn converted(tree: &Tree, from: &DataType, to: &DataType) -> Option<Tree> {
    Some(match (tree, from, to) {
        (Tree::Null, _, _) => Tree::Null,
        (_, _, DataType::Json) => tree.clone(),
        (Tree::Bool(_) | Tree::Number(_) | Tree::Text(_), _, to) if to.is_nested() => return None,
        (Tree::Array(list), DataType::Array(x), DataType::Array(y)) => {
            Tree::Array(list.iter().map(|t| converted(t, x, y)).collect::<Option<_>>()?)
        }
        // What JSON holds has to be of the other type as it stands.
        (Tree::Array(list), DataType::Json, DataType::Array(y)) => {
            Tree::Array(list.iter().map(|t| converted(t, y, y)).collect::<Option<_>>()?)
        }
        (Tree::Object(map), from, DataType::Map(y)) => {
            let x = if let DataType::Map(x) = from { x } else { y };
            let entry = |(k, v): (&String, &Tree)| Some((k.clone(), converted(v, x, y)?));
            Tree::Object(map.iter().map(entry).collect::<Option<_>>()?)
        }
        (Tree::Object(map), from, DataType::Struct(fields)) => {
            let mut all = BTreeMap::new();
            for field in fields.iter() {
                let own = match from {
                    DataType::Struct(of) => of.iter().find(|f| f.name == field.name).map(|f| &f.data_type),
                    _ => None,
                };
                let value = map.get(&*field.name).unwrap_or(&Tree::Null);
                let value = converted(value, own.unwrap_or(&field.data_type), &field.data_type)?;
                all.insert(field.name.to_string(), value);
            }
            Tree::Object(all)
        }
        (Tree::Array(_) | Tree::Object(_), DataType::Json, DataType::String) => {
            let mut text = String::new();
            print(tree, &DataType::Json, &mut text);
            Tree::Text(text)
        }
        (Tree::Array(_) | Tree::Object(_), _, _) => return None,
        (_, from, to) if from == to => match (tree, to) {
            (Tree::Text(_), to) if to.is_numeric() && !matches!(to, DataType::Decimal { .. }) => return None,
            (Tree::Text(text), _) if to.is_numeric() && text.trim() != text => return None,
            (Tree::Text(_), DataType::Boolean) | (Tree::Number(_) | Tree::Bool(_), DataType::String) => return None,
            (Tree::Bool(_), to) if *to != DataType::Boolean => return None,
            (Tree::Number(text), DataType::Integer) => {
                // A fraction of zeros is none.
                let exact =
                    convert::cast(&Value::Str(text.as_str().into()), &DataType::String, &DataType::decimal(18))?;
                let whole = convert::cast(&exact, &DataType::decimal(18), &DataType::Integer)?;
                if order(&exact, &whole) != Some(Ordering::Equal) {
                    return None;
                }
                tree.clone()
            }
            _ if scalar(tree, to).is_null() => return None,
            _ => tree.clone(),
        },
        (Tree::Text(text), _, DataType::String) | (Tree::Number(text), _, DataType::String) => Tree::Text(text.clone()),
        (Tree::Bool(b), _, DataType::String) => Tree::Text(b.to_string()),
        (_, from, to) => {
            let value = convert::cast(&scalar(tree, from), from, to)?;
            Tree::Number(convert::text(&value, to))
        }
    })
}

/// Appends canonical text.
fn print(tree: &Tree, data_type: &DataType, out: &mut String) {
    match (tree, data_type) {
        (Tree::Null, _) => out.push_str("null"),
        (Tree::Bool(b), _) => out.push_str(&b.to_string()),
        (Tree::Text(text), DataType::Decimal { .. }) | (Tree::Number(text), _) => {
            let is_whole = !matches!(data_type, DataType::Decimal { .. } | DataType::Float);
            let ty = if is_whole { DataType::decimal(18) } else { data_type.clone() };
            let value = convert::cast(&Value::Str(text.as_str().into()), &DataType::String, &ty);
            let shown = if is_whole { &DataType::Integer } else { &ty };
            out.push_str(&value.map_or_else(|| text.clone(), |v| convert::text(&v, shown)));
        }
        (Tree::Text(text), _) => out.push_str(&serde_json::Value::from(text.as_str()).to_string()),
        (Tree::Array(list), _) => {
            let of = if let DataType::Array(of) = data_type { of } else { &DataType::Json };
            out.push('[');
            for (i, element) in list.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                print(element, of, out);
            }
            out.push(']');
        }
        (Tree::Object(map), DataType::Struct(fields)) => {
            let field = |f: &velostream_types::StructField| (f.name.to_string(), f.data_type.clone());
            members(fields.iter().map(field), map, out);
        }
        (Tree::Object(map), _) => {
            let of = if let DataType::Map(of) = data_type { of } else { &DataType::Json };
            members(map.keys().map(|k| (k.clone(), of.clone())), map, out);
        }
    }
}

fn members(
    fields: impl Iterator<Item = (String, impl std::borrow::Borrow<DataType>)>,
    map: &BTreeMap<String, Tree>,
    out: &mut String,
) {
    out.push('{');
    for (i, (name, data_type)) in fields.enumerate() {
        out.push_str(if i > 0 { "," } else { "" });
        out.push_str(&serde_json::Value::from(name.as_str()).to_string());
        out.push(':');
        print(map.get(&name).unwrap_or(&Tree::Null), data_type.borrow(), out);
    }
    out.push('}');
}

/// The tree of a JSON text.
fn parse(text: &str) -> Option<Tree> {
    let mut rest = text;
    let tree = value(&mut rest)?;
    rest.trim_start().is_empty().then_some(tree)
}

fn value(rest: &mut &str) -> Option<Tree> {
    *rest = rest.trim_start();
    match rest.chars().next()? {
        '[' => {
            let mut list = Vec::new();
            sequence(rest, ']', |rest| {
                list.push(value(rest)?);
                Some(())
            })?;
            Some(Tree::Array(list))
        }
        '{' => {
            let mut map = BTreeMap::new();
            sequence(rest, '}', |rest| {
                let Tree::Text(key) = value(rest)? else { return None };
                *rest = rest.trim_start().strip_prefix(':')?;
                map.insert(key, value(rest)?);
                Some(())
            })?;
            Some(Tree::Object(map))
        }
        '"' => {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            })?;
            let (text, after) = rest.split_at(end + 2);
            *rest = after;
            serde_json::from_str(text).ok().map(Tree::Text)
        }
        _ => {
            let end = rest.find([',', ']', '}', ':', ' ', '\n', '\t']).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            *rest = after;
            match word {
                "null" => Some(Tree::Null),
                "true" => Some(Tree::Bool(true)),
                "false" => Some(Tree::Bool(false)),
                number => serde_json::from_str::<f64>(number).ok().map(|_| Tree::Number(number.to_owned())),
            }
        }
    }
}

/// Items between brackets, the first of which stands here.
fn sequence(rest: &mut &str, close: char, mut item: impl FnMut(&mut &str) -> Option<()>) -> Option<()> {
    *rest = rest[1..].trim_start();
    if let Some(after) = rest.strip_prefix(close) {
        *rest = after;
        return Some(());
    }
    loop {
        item(rest)?;
        *rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(',') {
            *rest = after;
        } else {
            *rest = rest.strip_prefix(close)?;
            return Some(());
        }
    }
}
