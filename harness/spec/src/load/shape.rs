//! The vocabulary of the key tables: which keys an object has and what their values look like.
//!
//! One table serves three readers: `conform` judges a file by it, `fields` takes values and defaults by it, and
//! `json_schema` tells editors about it.

/// An object of a file: its keys.
#[derive(Debug)]
pub struct Object {
    /// Its name in the JSON Schema.
    pub name: &'static str,
    /// What it is about, one sentence.
    pub doc: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Object {
    /// The key of this spelling.
    pub fn find(&self, spelling: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.spellings().any(|own| own == spelling))
    }
}

/// A key of an object.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its usual spelling.
    pub name: &'static str,
    /// Other spellings of the same.
    pub aliases: &'static [&'static str],
    /// What its value looks like.
    pub shape: Shape,
    /// It has to be there.
    pub is_required: bool,
    /// It is accepted and has no effect yet.
    pub is_later: bool,
    /// Its value where it is not written.
    pub default: Option<&'static str>,
    /// What it says, one sentence.
    pub doc: &'static str,
}

/// A key that may be left out.
pub const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, aliases: &[], shape, is_required: false, is_later: false, default: None, doc }
}

impl Key {
    /// The key has to be there.
    pub const fn required(mut self) -> Key {
        self.is_required = true;
        self
    }

    /// The key has no effect yet.
    pub const fn later(mut self) -> Key {
        self.is_later = true;
        self
    }

    /// Other spellings of the key.
    pub const fn alias(mut self, aliases: &'static [&'static str]) -> Key {
        self.aliases = aliases;
        self
    }

    /// The key's value where it is not written.
    pub const fn default(mut self, text: &'static str) -> Key {
        self.default = Some(text);
        self
    }

    /// All spellings, the usual one first.
    pub fn spellings(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Whatever.
    Any,
    /// Text; numbers and booleans are taken as they are written.
    Text,
    /// A text, number or boolean that keeps its type.
    Scalar,
    /// `true` or `false`.
    Flag,
    /// A whole number between these.
    Count(u64, u64),
    /// A number between these.
    Number(f64, f64),
    /// `now`, a span from now, or a date and time.
    Moment,
    /// A date and time.
    Instant,
    /// A regular expression.
    Pattern,
    /// One of several words.
    Word(&'static dyn Words),
    /// Two of these.
    Pair(&'static Shape),
    /// Any number of these.
    List(&'static Shape),
    /// Any keys, with these values.
    Map(&'static Shape),
    /// An object.
    Object(&'static Object),
    /// An object whose keys follow from its `type`.
    Tagged(&'static Tagged),
    /// A word, or a map of one such word to an object.
    Variant(&'static [Variant]),
}

/// Any whole number.
pub const COUNT: Shape = Shape::Count(0, u64::MAX);
/// Any number.
pub const NUMBER: Shape = Shape::Number(f64::MIN, f64::MAX);
/// A number that is not negative.
pub const POSITIVE: Shape = Shape::Number(0.0, f64::MAX);
/// A number above 0.
pub const ABOVE_ZERO: Shape = Shape::Number(f64::MIN_POSITIVE, f64::MAX);
/// A share of a whole.
pub const RATE: Shape = Shape::Number(0.0, 1.0);
/// A share of a hundred.
pub const PERCENT: Shape = Shape::Number(0.0, 100.0);
/// Names and other texts.
pub const TEXTS: Shape = Shape::List(&Shape::Text);

/// Objects that are told apart by the word under `type`.
#[derive(Debug)]
pub struct Tagged {
    /// What one is called in messages: `assertion`.
    pub what: &'static str,
    /// Code of the finding about another word.
    pub unknown: &'static str,
    /// Each word and its object.
    pub variants: &'static [(&'static str, &'static Object)],
}

/// The key that tells tagged objects apart.
pub const TAG: &str = "type";

/// A word that may have an object behind it: `uniform`, `{normal: {mean: 0, std_dev: 1}}`.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// The word.
    pub name: &'static str,
    /// Its object; the bare word will do where the object needs no key.
    pub object: Option<&'static Object>,
}

/// Words and what each stands for.
pub type Meaning<T, const N: usize> = [(&'static str, T); N];

/// The words of a table, whatever they stand for.
pub trait Words: Sync + std::fmt::Debug {
    /// In their order.
    fn words(&self) -> Vec<&'static str>;
}

impl<T: Sync + std::fmt::Debug, const N: usize> Words for Meaning<T, N> {
    fn words(&self) -> Vec<&'static str> {
        self.iter().map(|(word, _)| *word).collect()
    }
}
