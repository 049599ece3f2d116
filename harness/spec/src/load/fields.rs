//! Takes typed values out of a map by the table of its keys: defaults are the table's, aliases are one key.
//!
//! `conform` has judged the tree before, so a value of another type is already reported and reads as left out.

use velostream_types::{Span, Value};

use super::moment;
use super::shape::{Meaning, Object, TAG, Tagged, Variant};
use super::tree::{Entry, Kind, Node};
use super::words::meaning;
use crate::spec::Moment;

/// The keys of one map.
#[derive(Clone, Copy)]
pub struct Fields<'n> {
    node: &'n Node,
    object: &'static Object,
}

impl<'n> Fields<'n> {
    /// Of a map whose keys the object describes.
    pub fn new(node: &'n Node, object: &'static Object) -> Fields<'n> {
        Fields { node, object }
    }

    /// Where the map begins.
    pub fn span(&self) -> Span {
        self.node.span
    }

    /// The map may have this key.
    pub fn knows(&self, name: &str) -> bool {
        self.object.find(name).is_some()
    }

    /// The entry of a key under any of its spellings, unless it has no value.
    pub fn entry(&self, name: &str) -> Option<&'n Entry> {
        let key = self.object.find(name);
        debug_assert!(key.is_some(), "{} has no key {name}", self.object.name);
        let key = key?;
        let is_own = |entry: &&Entry| key.spellings().any(|own| own == entry.key);
        self.node.entries().iter().find(is_own).filter(|entry| entry.value.kind != Kind::Null)
    }

    fn value(&self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|entry| &entry.value)
    }

    fn default(&self, name: &str) -> Option<&'static str> {
        self.object.find(name).and_then(|key| key.default)
    }

    /// A text, if it is given.
    pub fn text_if_given(&self, name: &str) -> Option<String> {
        self.value(name)?.text()
    }

    /// A text, or its default.
    pub fn text(&self, name: &str) -> String {
        self.text_if_given(name).or_else(|| self.default(name).map(str::to_owned)).unwrap_or_default()
    }

    /// A whole number, if it is given.
    pub fn count_if_given(&self, name: &str) -> Option<u64> {
        count(self.value(name)?)
    }

    /// A whole number, or its default.
    pub fn count(&self, name: &str) -> u64 {
        let default = || self.default(name).and_then(|text| text.parse().ok());
        self.count_if_given(name).or_else(default).unwrap_or_default()
    }

    /// A number, if it is given.
    pub fn number_if_given(&self, name: &str) -> Option<f64> {
        number(self.value(name)?)
    }

    /// A number, or its default.
    pub fn number(&self, name: &str) -> f64 {
        let default = || self.default(name).and_then(|text| text.parse().ok());
        self.number_if_given(name).or_else(default).unwrap_or_default()
    }

    /// TRUE or FALSE, if it is given.
    pub fn flag_if_given(&self, name: &str) -> Option<bool> {
        match self.value(name)?.kind {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// TRUE or FALSE, or its default.
    pub fn flag(&self, name: &str) -> bool {
        self.flag_if_given(name).unwrap_or(self.default(name) == Some("true"))
    }

    /// What a word stands for; the default's where it is not given.
    pub fn word<T: Copy, const N: usize>(&self, name: &str, table: &Meaning<T, N>) -> Option<T> {
        let word = self.text_if_given(name).or_else(|| self.default(name).map(str::to_owned))?;
        meaning(table, &word)
    }

    /// A moment, or its default.
    pub fn moment(&self, name: &str) -> Moment {
        let written = self.text_if_given(name).and_then(|text| moment::parse(&text));
        written.or_else(|| self.default(name).and_then(moment::parse)).unwrap_or(Moment::Relative(0))
    }

    /// Texts of a list.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.items(name).iter().filter_map(Node::text).collect()
    }

    /// Numbers of a list, if it is given.
    pub fn numbers_if_given(&self, name: &str) -> Option<Vec<f64>> {
        self.entry(name).map(|entry| entry.value.items().iter().filter_map(number).collect())
    }

    /// Two numbers, if they are given.
    pub fn pair<T>(&self, name: &str, read: fn(&Node) -> Option<T>) -> Option<(T, T)> {
        match self.items(name) {
            [first, second] => Some((read(first)?, read(second)?)),
            _ => None,
        }
    }

    /// Items of a list; none where it is left out.
    pub fn items(&self, name: &str) -> &'n [Node] {
        self.value(name).map_or(&[], Node::items)
    }

    /// Keys and texts of a map.
    pub fn text_map(&self, name: &str) -> Vec<(String, String)> {
        let entries = self.value(name).map_or(&[][..], Node::entries);
        entries.iter().filter_map(|entry| Some((entry.key.clone(), entry.value.text()?))).collect()
    }

    /// Keys and values of a map.
    pub fn value_map(&self, name: &str) -> Vec<(String, Value)> {
        let entries = self.value(name).map_or(&[][..], Node::entries);
        entries.iter().filter_map(|entry| Some((entry.key.clone(), scalar(&entry.value)?))).collect()
    }

    /// A value of its own type, if it is given.
    pub fn scalar_if_given(&self, name: &str) -> Option<Value> {
        scalar(self.value(name)?)
    }

    /// A map, if it is given.
    pub fn object(&self, name: &str, object: &'static Object) -> Option<Fields<'n>> {
        self.value(name).filter(|node| matches!(node.kind, Kind::Map(_))).map(|node| Fields::new(node, object))
    }

    /// The maps of a list.
    pub fn objects(&self, name: &str, object: &'static Object) -> Vec<Fields<'n>> {
        let maps = self.items(name).iter().filter(|node| matches!(node.kind, Kind::Map(_)));
        maps.map(|node| Fields::new(node, object)).collect()
    }

    /// A map whose keys follow from its type, if it is given.
    pub fn tagged(&self, name: &str, tagged: &'static Tagged) -> Option<TaggedFields<'n>> {
        tagged_of(self.value(name)?, tagged)
    }

    /// A word and the keys behind it, if it is given.
    pub fn variant(&self, name: &str, variants: &'static [Variant]) -> Option<(&'static str, Fields<'n>)> {
        let node = self.value(name)?;
        let (word, inner) = match &node.kind {
            Kind::Text(word) => (word, node),
            Kind::Map(entries) => entries.first().map(|entry| (&entry.key, &entry.value))?,
            _ => return None,
        };
        let variant = variants.iter().find(|variant| variant.name == *word)?;
        Some((variant.name, Fields::new(inner, variant.object.unwrap_or(&NO_KEYS))))
    }
}

/// Words that have no object behind them have no keys.
static NO_KEYS: Object = Object { name: "word", doc: "A word.", keys: &[] };

/// A map, its type, and where that is written.
pub struct TaggedFields<'n> {
    /// The type.
    pub tag: &'static str,
    /// Where it is written.
    pub tag_span: Span,
    /// The keys of this type.
    pub fields: Fields<'n>,
}

/// A map whose keys follow from its type.
pub fn tagged_of<'n>(node: &'n Node, tagged: &'static Tagged) -> Option<TaggedFields<'n>> {
    let tag = &node.entries().iter().find(|entry| entry.key == TAG)?.value;
    let word = tag.text()?;
    let (name, object) = tagged.variants.iter().find(|(name, _)| *name == word)?;
    Some(TaggedFields { tag: name, tag_span: tag.span, fields: Fields::new(node, object) })
}

/// The whole number of a node.
pub fn count(node: &Node) -> Option<u64> {
    match &node.kind {
        Kind::Number { plain, .. } => plain.parse().ok(),
        _ => None,
    }
}

/// The number of a node.
pub fn number(node: &Node) -> Option<f64> {
    match &node.kind {
        Kind::Number { plain, .. } => plain.parse().ok(),
        _ => None,
    }
}

/// Digits of the longest decimal.
const DECIMAL_DIGITS: usize = 38;

/// A text, number or boolean with its type. `1.10` is a decimal of two places, `1e3` a float.
pub fn scalar(node: &Node) -> Option<Value> {
    Some(match &node.kind {
        Kind::Text(text) => Value::Str(text.as_str().into()),
        Kind::Bool(value) => Value::Bool(*value),
        Kind::Number { written, plain } => match (plain.parse(), decimal(written)) {
            (Ok(whole), _) => Value::Int(whole),
            (_, Some(decimal)) => decimal,
            _ => Value::Float(plain.parse().ok()?),
        },
        Kind::Null | Kind::List(_) | Kind::Map(_) => return None,
    })
}

fn decimal(written: &str) -> Option<Value> {
    let (whole, fraction) = written.split_once('.')?;
    let digits = format!("{whole}{fraction}");
    let is_plain = digits.len() <= DECIMAL_DIGITS && fraction.bytes().all(|b| b.is_ascii_digit());
    let mantissa = digits.parse().ok().filter(|_| is_plain)?;
    Some(Value::Decimal { mantissa, scale: fraction.len() as u8 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tree;

    #[test]
    fn scalars_keep_their_types() {
        let text = "[7, -1.10, 1e3, 2.0, .5, 0x10, '7', true, 99999999999999999999]";
        let top = tree::read(&format!("list: {text}")).expect("YAML");
        let values: Vec<Option<Value>> = top.entries()[0].value.items().iter().map(scalar).collect();
        let expect = [
            Value::Int(7),
            Value::Decimal { mantissa: -110, scale: 2 },
            Value::Float(1000.0),
            Value::Decimal { mantissa: 20, scale: 1 },
            Value::Decimal { mantissa: 5, scale: 1 },
            Value::Int(16),
            Value::Str("7".into()),
            Value::Bool(true),
            Value::Float(1e20),
        ];
        assert_eq!(values, expect.map(Some));
        assert_eq!(scalar(&top), None);
    }
}
