//! One property value with its rank and its place, and the choice between several.
//!
//! Rank, strongest first: `--set`, `<relation>.key`, `source.key` or `sink.key`, the relation's own path or URI, a key
//! without prefix in a WITH clause, SET, config files. Inside one rank the order written decides, then the order of
//! spellings in the key table. Settings of Kafka clients and topics, which the table does not list, follow the same
//! ranks under their own names.

use std::fmt;

use velostream_types::Span;

use super::keys::Key;
use crate::diag::{Diagnostic, Label, Origin};

/// Who gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Giver {
    /// A WITH clause.
    With,
    /// A SET statement.
    Set,
    /// The command line's `--set`.
    CommandLine,
    /// The command line's `--brokers`.
    Brokers,
    /// An environment variable.
    Variable(&'static str),
    /// The relation as written: a path or URI.
    Relation,
    /// A config file, by name and line.
    File(String, usize),
    /// A file name's extension.
    Extension,
    /// The key table.
    Default,
}

impl fmt::Display for Giver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Giver::With => f.write_str("WITH"),
            Giver::Set => f.write_str("SET"),
            Giver::CommandLine => f.write_str("--set"),
            Giver::Brokers => f.write_str("--brokers"),
            Giver::Variable(name) => f.write_str(name),
            Giver::Relation => f.write_str("the relation as written"),
            Giver::File(name, line) => write!(f, "{name}:{line}"),
            Giver::Extension => f.write_str("the file's extension"),
            Giver::Default => f.write_str("default"),
        }
    }
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Range in `origin`, or in the SQL text.
    pub span: Span,
    /// The config file, if it stands in one.
    pub origin: Option<Origin>,
    /// For people.
    pub giver: Giver,
}

impl Place {
    /// The relation itself, for values nobody wrote.
    pub fn relation(span: Span, giver: Giver) -> Place {
        Place { span, origin: None, giver }
    }

    /// An error here.
    pub fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        self.locate(Diagnostic::error(code, self.span, message))
    }

    /// A warning here.
    pub fn warning(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        self.locate(Diagnostic::warning(code, self.span, message))
    }

    fn locate(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        let origin = self.origin.clone();
        let text = if self.giver == Giver::CommandLine { "with a value from --set" } else { "" };
        diagnostic.primary = Some(Label { span: self.span, text: text.to_owned(), origin });
        diagnostic
    }
}

/// Strength of a value; smaller wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// `--set`, with the rank the key would have elsewhere: 0 by the relation, 1 by its side, 2 without prefix.
    CommandLine(u8),
    /// `<relation>.key`
    Named,
    /// `source.key`, `sink.key`
    Sided,
    /// The relation's path or the query of its URI.
    Relation,
    /// A key without prefix in a WITH clause.
    Plain,
    /// SET, without prefix.
    Global,
    /// The n-th config file (the relation's own first), and how its key was prefixed (named, sided, plain).
    File(u16, u8),
}

/// A value a property may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// The property.
    pub key: &'static Key,
    /// Which spelling, by position in the key table.
    pub alias: usize,
    /// The key as written, prefix included.
    pub written: String,
    /// The value; variables are replaced once it is chosen.
    pub value: String,
    /// Strength.
    pub rank: Rank,
    /// Where.
    pub place: Place,
}

/// A setting of a Kafka client or topic, by the name it has there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loose {
    /// Name without prefix.
    pub name: String,
    /// Of a topic to be made, not of the client.
    pub of_topic: bool,
    /// The key as written, prefix included.
    pub written: String,
    /// The value; variables are replaced once it is chosen.
    pub value: String,
    /// Strength.
    pub rank: Rank,
    /// Where.
    pub place: Place,
}

/// The strongest of each name.
pub(super) fn strongest_loose(mut loose: Vec<Loose>) -> Vec<Loose> {
    loose.sort_by(|a, b| (a.of_topic, &a.name, a.rank).cmp(&(b.of_topic, &b.name, b.rank)));
    loose.dedup_by(|later, first| later.of_topic == first.of_topic && later.name == first.name);
    loose
}

/// The strongest setting of each property, in the order of the key table's names. A weaker spelling that stands beside
/// a stronger one with another value gives a warning.
pub(super) fn strongest(mut settings: Vec<Setting>, warnings: &mut Vec<Diagnostic>) -> Vec<Setting> {
    settings.sort_by_key(|s| (s.key.name, strength(s), s.alias));
    let mut chosen: Vec<Setting> = Vec::new();
    for setting in settings {
        match chosen.last() {
            Some(winner) if winner.key.name == setting.key.name => {
                let rivals = winner.rank == setting.rank && winner.alias != setting.alias;
                if rivals && winner.value != setting.value {
                    let message = format!("\"{}\" is overridden by \"{}\"", setting.written, winner.written);
                    let detail =
                        format!("both are spellings of \"{}\"; its value is \"{}\"", winner.key.name, winner.value);
                    warnings.push(setting.place.warning("W0512", message).detail(detail).hint("remove one of them"));
                }
            }
            _ => chosen.push(setting),
        }
    }
    chosen
}

/// Rank for the choice. For late rows the statement's word counts more than what is said of the source.
fn strength(setting: &Setting) -> (bool, Rank) {
    let is_late = matches!(setting.key.name, "late.data.strategy" | "window.allowed.lateness");
    (!(is_late && setting.rank == Rank::Plain), setting.rank)
}
