//! YAML text as a tree of nodes, each with the bytes it is written in.
//!
//! Numbers keep their written text (`1.10` stays `1.10`), keys their order and their places. An alias is its anchor's
//! value, at the anchor's place. The span of a map or list is its first key or item: carets fit one line.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use velostream_sql::diag::Diagnostic;
use velostream_types::Span;

use crate::findings::MALFORMED;

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where.
    pub span: Span,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// A text, with or without quotes.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number {
        /// As in the file.
        written: String,
        /// In plain digits, where the file has `0x10` or `1_000`.
        plain: String,
    },
    /// A list.
    List(Vec<Node>),
    /// A map.
    Map(Vec<Entry>),
}

/// A key of a map and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key is written.
    pub key_span: Span,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// What it is, in words.
    pub fn words(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Text(text) => format!("the text \"{text}\""),
            Kind::Bool(value) => value.to_string(),
            Kind::Number { written, .. } => format!("the number {written}"),
            Kind::List(items) => format!("a list of {}", items.len()),
            Kind::Map(_) => "a map".to_owned(),
        }
    }

    /// Text of a scalar, as written but for quotes.
    pub fn text(&self) -> Option<String> {
        match &self.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Bool(value) => Some(value.to_string()),
            Kind::Number { written, .. } => Some(written.clone()),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// Entries of a map; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Items of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }
}

/// Reads a text whose top is a map.
pub fn read(text: &str) -> Result<Node, Box<Diagnostic>> {
    // Fields may be called `n` or `y`, and a value may be `no` or `on`: only `true` and `false` are booleans.
    let options = serde_saphyr::options! { strict_booleans: true };
    let whole: Spanned<Tree> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| Box::new(malformed(&error, text)))?;
    let node = node(whole, text);
    match node.kind {
        Kind::Map(_) => Ok(node),
        Kind::Null => Err(Box::new(Diagnostic::error(MALFORMED, Span::new(0, 0), "the file is empty"))),
        _ => {
            let message = format!("the file is {}, not a map of keys", node.words());
            Err(Box::new(Diagnostic::error(MALFORMED, node.span, message)))
        }
    }
}

fn malformed(error: &serde_saphyr::Error, text: &str) -> Diagnostic {
    let at = error.location().map_or(0, |location| offset_of(&location, text)) as u32;
    let words = error.without_snippet().to_string();
    let line = words.lines().next().unwrap_or_default();
    // The reader names its place in words as well, which the carets show, and a setting that its users cannot reach.
    let words = [" at line ", ", set DuplicateKeyPolicy"]
        .iter()
        .fold(line, |words, end| words.split(end).next().unwrap_or(words));
    let words = words.trim_end_matches([':', ',', ' ']);
    Diagnostic::error(MALFORMED, Span::new(at, at + 1), format!("the file is not YAML: {words}"))
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

fn span_of(location: &Location, text: &str) -> Span {
    let start = offset_of(location, text);
    let length = location.span().byte_len().unwrap_or(0) as usize;
    Span::new(start as u32, (start + length).min(text.len()) as u32)
}

fn node(spanned: Spanned<Tree>, text: &str) -> Node {
    let span = span_of(&spanned.defined, text);
    match spanned.value {
        Tree::Null => Node { kind: Kind::Null, span },
        Tree::Text(value) => Node { kind: Kind::Text(value), span },
        Tree::Bool(value) => Node { kind: Kind::Bool(value), span },
        Tree::Number(plain) => {
            let written = text.get(span.start as usize..span.end as usize).map(str::trim);
            let written = written.filter(|w| w.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)));
            Node { kind: Kind::Number { written: written.unwrap_or(&plain).to_owned(), plain }, span }
        }
        Tree::List(items) => {
            let items: Vec<Node> = items.into_iter().map(|item| node(item, text)).collect();
            let span = items.first().map_or(span, |first| first.span);
            Node { kind: Kind::List(items), span }
        }
        Tree::Map(entries) => {
            let entries: Vec<Entry> = entries
                .into_iter()
                .map(|(key, value)| Entry {
                    key_span: span_of(&key.defined, text),
                    key: key.value,
                    value: node(value, text),
                })
                .collect();
            let span = entries.first().map_or(span, |first| first.key_span);
            Node { kind: Kind::Map(entries), span }
        }
    }
}

enum Tree {
    Null,
    Text(String),
    Bool(bool),
    /// In plain digits.
    Number(String),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
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
        Ok(Tree::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.to_string()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.to_string()))
    }
    fn visit_i128<E>(self, value: i128) -> Result<Tree, E> {
        Ok(Tree::Number(value.to_string()))
    }
    fn visit_u128<E>(self, value: u128) -> Result<Tree, E> {
        Ok(Tree::Number(value.to_string()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        // With a point or exponent even where it is whole, so that it reads as no whole number.
        Ok(Tree::Number(format!("{value:?}")))
    }
    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key and scalar as `what it is | bytes`.
    fn pieces(node: &Node, text: &str, out: &mut Vec<String>) {
        let written = |span: Span| text[span.start as usize..span.end as usize].to_owned();
        for entry in node.entries() {
            out.push(format!("{} | {}", entry.key, written(entry.key_span)));
            pieces(&entry.value, text, out);
        }
        node.items().iter().for_each(|item| pieces(item, text, out));
        if !matches!(node.kind, Kind::Map(_) | Kind::List(_)) {
            out.push(format!("{} | {}", node.words(), written(node.span)));
        }
    }

    #[test]
    fn only_true_and_false_are_booleans() {
        let top = read("a: n\nb: yes\nc: [Off, ON]\nd: true\ny: false\n").expect("YAML");
        let kinds: Vec<(&str, &Kind)> = top.entries().iter().map(|e| (e.key.as_str(), &e.value.kind)).collect();
        let text = |text: &str| Kind::Text(text.to_owned());
        assert_eq!(kinds[..2], [("a", &text("n")), ("b", &text("yes"))]);
        assert_eq!(kinds[3..], [("d", &Kind::Bool(true)), ("y", &Kind::Bool(false))]);
        let items: Vec<Option<String>> = top.entries()[2].value.items().iter().map(Node::text).collect();
        assert_eq!(items, [Some("Off".to_owned()), Some("ON".to_owned())]);
    }

    #[test]
    fn keys_and_values_have_their_places() {
        let text =
            "name: é x\nlist:\n  - one: 'a: b'\n    2: 1.10\n  - [true, -4]\nhex: 0x10\nnone: ~\nday: 2024-01-31\n";
        let top = read(text).expect("YAML");
        let mut out = Vec::new();
        pieces(&top, text, &mut out);
        assert_eq!(
            out,
            [
                "name | name",
                "the text \"é x\" | é x",
                "list | list",
                "one | one",
                "the text \"a: b\" | 'a: b'",
                "2 | 2",
                "the number 1.10 | 1.10",
                "true | true",
                "the number -4 | -4",
                "hex | hex",
                "the number 0x10 | 0x10",
                "none | none",
                "nothing | ~",
                "day | day",
                "the text \"2024-01-31\" | 2024-01-31",
            ]
        );
        let list = &top.entries()[1].value;
        assert_eq!(list.span, list.items()[0].entries()[0].key_span, "a list is where its first key is");
    }

    #[test]
    fn plain_digits_of_numbers_and_values_of_aliases() {
        let text = "a: &x 0x10\nb: *x\n";
        let top = read(text).expect("YAML");
        let expect = Kind::Number { written: "0x10".to_owned(), plain: "16".to_owned() };
        for entry in top.entries() {
            assert_eq!(entry.value.kind, expect);
            assert_eq!(entry.value.span, top.entries()[0].value.span);
        }
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let message = |text: &str| read(text).expect_err("an error").message;
        assert_eq!(message("# nothing\n"), "the file is empty");
        assert_eq!(message(""), "the file is empty");
        assert_eq!(message("- a\n"), "the file is a list of 1, not a map of keys");
        assert_eq!(message("a: 1\na: 2\n"), "the file is not YAML: duplicate mapping key: a");
        let broken = read("a: 1\nb: [1, 2\nc: 3\n").expect_err("an error");
        assert!(broken.primary.is_some_and(|label| label.span.start > 5));
    }
}
