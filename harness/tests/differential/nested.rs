//! Nested columns of a feed: trees of values, written as a person might and, for the oracle, as the one text of the type
//! that the plan gave the column.

use velostream_types::{DataType, Value};

use super::draw::Draw;

/// Names of the columns, behind those of `feeds`.
pub const NAMES: [&str; 4] = ["arr", "m", "st", "j"];

/// Their declaration.
pub const DECLARED: &str =
    "arr ARRAY<INT>, m MAP<STRING, INT>, st STRUCT<x INT, y STRING, l ARRAY<STRUCT<p INT, t STRING>>>, j JSON";

/// A nested value.
#[derive(Clone, Debug)]
pub enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Text(&'static str),
    List(Vec<Tree>),
    Members(Vec<(&'static str, Tree)>),
}

/// A value for the column; `whole`: nothing is NULL, empty or missing. Of an inferred source only arrays and objects, so
/// that what JSON holds is not taken for text.
pub fn tree(draw: &mut Draw, name: &str, inferred: bool, whole: bool, turn: u64) -> Tree {
    match name {
        "arr" => list(draw, whole, 4, int),
        "m" => Tree::Members(members(draw, &["a", "b", "c"], whole, |draw, _| int(draw))),
        "st" => Tree::Members(members(draw, &["x", "y", "l"], whole, |draw, name| match name {
            "x" => int(draw),
            "y" => text(draw),
            _ => list(draw, whole, 3, |draw| {
                let part = |draw: &mut Draw, name: &str| if name == "p" { int(draw) } else { text(draw) };
                Tree::Members(members(draw, &["p", "t"], whole, part))
            }),
        })),
        _ if whole && turn.is_multiple_of(2) => list(draw, true, 3, int),
        _ => match draw.below(if inferred || whole { 2 } else { 4 }) {
            0 => Tree::Members(members(draw, &["b", "a", "é"], whole, |draw, _| any(draw, 2))),
            1 => list(draw, whole, 4, |draw| any(draw, 2)),
            2 => text(draw),
            _ => int(draw),
        },
    }
}

fn int(draw: &mut Draw) -> Tree {
    Tree::Int(draw.below(6) as i64 - 1)
}

fn text(draw: &mut Draw) -> Tree {
    Tree::Text(draw.pick::<&str>(&["x", "", "q\"u,o", "é", "a\\b"]))
}

fn any(draw: &mut Draw, depth: u32) -> Tree {
    match draw.below(if depth == 0 { 4 } else { 6 }) {
        0 => Tree::Null,
        1 => Tree::Bool(draw.once_in(2)),
        2 => int(draw),
        3 => text(draw),
        4 => list(draw, false, 3, |draw| any(draw, depth - 1)),
        _ => Tree::Members(members(draw, &["b", "a"], false, |draw, _| any(draw, depth - 1))),
    }
}

fn list(draw: &mut Draw, whole: bool, most: u64, mut one: impl FnMut(&mut Draw) -> Tree) -> Tree {
    let count = if whole { 1 + draw.below(most - 1) } else { draw.below(most) };
    let element = |_| if !whole && draw.once_in(6) { Tree::Null } else { one(draw) };
    Tree::List((0..count).map(element).collect())
}

/// Some of the members, in any order, some NULL.
fn members(
    draw: &mut Draw,
    names: &[&'static str],
    whole: bool,
    mut one: impl FnMut(&mut Draw, &str) -> Tree,
) -> Vec<(&'static str, Tree)> {
    let mut all = Vec::new();
    for name in names {
        if whole || !draw.once_in(5) {
            let value = if !whole && draw.once_in(6) { Tree::Null } else { one(draw, name) };
            all.push((*name, value));
        }
    }
    if !all.is_empty() && draw.once_in(3) {
        let by = draw.below(all.len() as u64) as usize;
        all.rotate_left(by);
    }
    all
}

impl Tree {
    /// JSON with white space here and there; `loose`: whole numbers may have a fraction of zeros.
    pub fn written(&self, draw: &mut Draw, loose: bool) -> String {
        let mut out = String::new();
        self.write(draw, loose, &mut out);
        out
    }

    fn write(&self, draw: &mut Draw, loose: bool, out: &mut String) {
        let space = |draw: &mut Draw| if draw.once_in(8) { " " } else { "" };
        match self {
            Tree::List(list) => {
                out.push('[');
                for (i, element) in list.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    out.push_str(space(draw));
                    element.write(draw, loose, out);
                }
                out.push_str(space(draw));
                out.push(']');
            }
            Tree::Members(members) => {
                out.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    out.push_str(space(draw));
                    out.push_str(&format!("\"{name}\":{}", space(draw)));
                    value.write(draw, loose, out);
                }
                out.push('}');
            }
            Tree::Int(n) if loose && draw.once_in(8) => out.push_str(&format!("{n}.0")),
            Tree::Text("é") if draw.once_in(2) => out.push_str("\"\\u00e9\""),
            leaf => out.push_str(&leaf.canonical(&DataType::Json)),
        }
    }

    /// The value of a column of this type.
    pub fn value(&self, data_type: &DataType) -> Value {
        match self {
            Tree::Null => Value::Null,
            _ => Value::Json(self.canonical(data_type).into()),
        }
    }

    fn canonical(&self, data_type: &DataType) -> String {
        let pair = |name: &str, value: String| format!("{}:{value}", serde_json::Value::from(name));
        match (self, data_type) {
            (Tree::Null, _) => "null".to_owned(),
            (Tree::Bool(b), _) => b.to_string(),
            (Tree::Int(n), _) => n.to_string(),
            (Tree::Text(text), _) => serde_json::Value::from(*text).to_string(),
            (Tree::List(list), of) => {
                let of = if let DataType::Array(of) = of { of } else { &DataType::Json };
                format!("[{}]", list.iter().map(|t| t.canonical(of)).collect::<Vec<_>>().join(","))
            }
            (Tree::Members(all), DataType::Struct(fields)) => {
                let value = |name: &str| all.iter().find(|(own, _)| *own == name).map_or(&Tree::Null, |(_, tree)| tree);
                let fields = fields.iter().map(|f| pair(&f.name, value(&f.name).canonical(&f.data_type)));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }
            (Tree::Members(all), of) => {
                let of = if let DataType::Map(of) = of { of } else { &DataType::Json };
                let mut all: Vec<(&str, String)> = all.iter().map(|(n, t)| (*n, t.canonical(of))).collect();
                all.sort();
                format!("{{{}}}", all.into_iter().map(|(n, t)| pair(n, t)).collect::<Vec<_>>().join(","))
            }
        }
    }
}
