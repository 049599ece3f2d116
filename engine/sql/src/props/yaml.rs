//! One YAML file as a flat list of dotted keys, each value with its place in the file.
//!
//! Maps become `a.b`, sequences `a[0]`, so dotted keys and nested maps are the same. Numbers and booleans keep the
//! text they were written in (`1.10` stays `1.10`). `null`, an empty map and an empty sequence stay in the list as
//! entries without a value: they hide what a file extended from has under the key.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use velostream_types::Span;

/// One key of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Dotted key.
    pub key: String,
    /// Its text; `None` for null and for empty maps and sequences.
    pub value: Option<String>,
    /// Where the value stands.
    pub span: Span,
    /// Line of the value, from 1.
    pub line: usize,
}

/// Why a text is no config file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum YamlError {
    /// Not YAML.
    Malformed {
        /// What the reader says.
        message: String,
        /// Where it gave up.
        span: Span,
    },
    /// Its top is no map.
    NotAMap,
}

/// Reads the text of a file. An empty one has no entries.
pub fn read(text: &str) -> Result<Vec<Entry>, YamlError> {
    if text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#')) {
        return Ok(Vec::new());
    }
    let top: Spanned<Tree> = serde_saphyr::from_str(text).map_err(|e| malformed(&e, text))?;
    if !matches!(top.value, Tree::Map(_) | Tree::Null) {
        return Err(YamlError::NotAMap);
    }
    let mut out = Vec::new();
    flatten(String::new(), &top, text, &mut out);
    Ok(out)
}

fn malformed(error: &serde_saphyr::Error, text: &str) -> YamlError {
    let at = error.location().map_or(0, |l| offset_of(&l, text));
    let message = error.without_snippet().to_string();
    let line = message.lines().next().unwrap_or_default();
    // The reader names its place in words as well; the diagnostic already shows it.
    let message = line.split(" at line ").next().unwrap_or(line).trim_end_matches([':', ',', ' ']).to_owned();
    YamlError::Malformed { message, span: Span::new(at as u32, at as u32 + 1) }
}

/// Byte where a location starts, from its line and column where the reader does not know it.
fn offset_of(location: &Location, text: &str) -> usize {
    if let Some(at) = location.span().byte_offset().filter(|at| text.is_char_boundary(*at as usize)) {
        return at as usize;
    }
    let (line, column) = (location.line().max(1) as usize, location.column().max(1) as usize);
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    text[start..].char_indices().nth(column - 1).map_or(text.len(), |(i, _)| start + i)
}

enum Tree {
    Null,
    Text(String),
    /// A number or boolean; the text is the fall-back for its place in the file.
    Plain(String),
    Seq(Vec<Spanned<Tree>>),
    Map(Vec<(String, Spanned<Tree>)>),
}

fn flatten(key: String, node: &Spanned<Tree>, text: &str, out: &mut Vec<Entry>) {
    let start = offset_of(&node.defined, text);
    let length = node.defined.span().byte_len().unwrap_or(0) as usize;
    let end = (start + length).min(text.len());
    let span = Span::new(start as u32, end as u32);
    let mut leaf = |value: Option<String>| {
        out.push(Entry { key: key.clone(), value, span, line: node.defined.line() as usize });
    };
    match &node.value {
        Tree::Null => leaf(None),
        Tree::Text(value) => leaf(Some(value.clone())),
        Tree::Plain(value) => {
            let written =
                text.get(start..end).map(str::trim).filter(|w| !w.is_empty() && !w.contains(['\n', '"', '\'', ':']));
            leaf(Some(written.map_or_else(|| value.clone(), str::to_owned)));
        }
        Tree::Seq(items) if items.is_empty() => leaf(None),
        Tree::Map(fields) if fields.is_empty() => leaf(None),
        Tree::Seq(items) => {
            for (i, item) in items.iter().enumerate() {
                flatten(format!("{key}[{i}]"), item, text, out);
            }
        }
        Tree::Map(fields) => {
            for (name, value) in fields {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                flatten(key, value, text, out);
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }
    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Plain(value.to_string()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Plain(value.to_string()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Plain(value.to_string()))
    }
    fn visit_i128<E>(self, value: i128) -> Result<Tree, E> {
        Ok(Tree::Plain(value.to_string()))
    }
    fn visit_u128<E>(self, value: u128) -> Result<Tree, E> {
        Ok(Tree::Plain(value.to_string()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Plain(value.to_string()))
    }
    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Tree::Seq(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = access.next_entry()? {
            fields.push(field);
        }
        Ok(Tree::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_and_dotted_keys_are_the_same() {
        let text = "# c\ndatasource:\n  type: file\n  watermark.idle.timeout: 30s\n  big: 1.10\n  on: true\n\
                    list: [a, \"0x10\"]\nempty: []\nnone: ~\né: 'x'\nstar: *s\n";
        let text = text.replace("star: *s\n", "");
        let found: Vec<(String, Option<String>, String, usize)> = read(&text)
            .unwrap()
            .into_iter()
            .map(|e| (e.key, e.value, text[e.span.start as usize..e.span.end as usize].to_owned(), e.line))
            .collect();
        let expect = [
            ("datasource.type", Some("file"), "file", 3),
            ("datasource.watermark.idle.timeout", Some("30s"), "30s", 4),
            ("datasource.big", Some("1.10"), "1.10", 5),
            ("datasource.on", Some("true"), "true", 6),
            ("list[0]", Some("a"), "a", 7),
            ("list[1]", Some("0x10"), "\"0x10\"", 7),
            ("empty", None, "", 8),
            ("none", None, "~", 9),
            ("é", Some("x"), "'x'", 10),
        ];
        for (found, (key, value, written, line)) in found.iter().zip(expect) {
            assert_eq!((found.0.as_str(), found.1.as_deref(), found.3), (key, value, line));
            if value.is_some() {
                assert_eq!(found.2, written, "{key}");
            }
        }
        assert_eq!(found.len(), expect.len());
    }

    #[test]
    fn anchors_numbers_and_empty_files() {
        let text = "a: &x 0010\nb: *x\n1: one\n";
        let values: Vec<_> = read(text).unwrap().into_iter().map(|e| (e.key, e.value.unwrap())).collect();
        let own = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(values, [own("a", "0010"), own("b", "0010"), own("1", "one")]);
        assert_eq!(read("# nothing\n\n"), Ok(Vec::new()));
        assert_eq!(read("- a\n"), Err(YamlError::NotAMap));
    }

    #[test]
    fn mistakes_have_a_place() {
        let Err(YamlError::Malformed { message, span }) = read("a: 1\nb: [1, 2\nc: 3\n") else { panic!("no error") };
        assert!(!message.is_empty() && !message.contains("line"), "{message}");
        assert!(span.start >= 5, "{span:?}");
        let Err(YamlError::Malformed { message, .. }) = read("a: 1\na: 2\n") else { panic!("duplicate key") };
        assert!(message.contains('a'), "{message}");
    }
}
