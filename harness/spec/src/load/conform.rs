//! Judges a tree by the key tables: every key known, every required one there, every value of its type.
//!
//! What depends on several keys (bounds in the wrong order, names that nothing has) is left to who makes values of the
//! tree. An empty value counts as left out. Unknown keys are warnings: many specs have some, and run.

use velostream_sql::diag::Diagnostic;
use velostream_sql::suggest;
use velostream_types::Span;

use super::moment;
use super::shape::{Key, Object, Shape, TAG, Tagged, Variant};
use super::tree::{Entry, Kind, Node};
use crate::findings::{
    BAD_MOMENT, BAD_PATTERN, Findings, KEYS_DISAGREE, LATER, MISSING_KEY, OUT_OF_RANGE, UNKNOWN_KEY, UNKNOWN_WORD,
    WRONG_TYPE,
};

/// Known keys that have no effect yet, with their places.
pub type Later = Vec<(String, Span)>;

/// Judges the tree of a file; answers which of its keys have no effect yet.
pub fn judge(top: &Node, object: &'static Object, findings: &mut Findings) -> Later {
    let mut judge = Judge { findings, later: Vec::new() };
    judge.object(top, object, false, &format!("the {}", object.name), "");
    judge.later
}

/// The finding about a key or value that has no effect yet.
pub fn warn_later(path: &str, span: Span, findings: &mut Findings) {
    findings.warn(LATER, span, format!("\"{path}\" has no effect yet"));
}

struct Judge<'f> {
    findings: &'f mut Findings,
    later: Later,
}

impl Judge<'_> {
    /// `name` says what the object is in messages, `path` is in front of its keys.
    fn object(&mut self, node: &Node, object: &'static Object, is_tagged: bool, name: &str, path: &str) {
        let mut written: Vec<(&'static str, &Entry)> = Vec::new();
        for entry in node.entries() {
            let own = join(path, &entry.key);
            let Some(key) = object.find(&entry.key) else {
                if !(is_tagged && entry.key == TAG) {
                    self.unknown_key(entry, object, &own);
                }
                continue;
            };
            if let Some((_, first)) = written.iter().find(|(name, _)| *name == key.name) {
                let message = format!("\"{}\" and \"{}\" of {name} mean the same", first.key, entry.key);
                let twice = Diagnostic::error(KEYS_DISAGREE, entry.key_span, message);
                self.findings.push(twice.also(first.key_span, "first here").hint("write one of them"));
                continue;
            }
            written.push((key.name, entry));
            if key.is_later {
                warn_later(&own, entry.key_span, self.findings);
                self.later.push((own.clone(), entry.key_span));
            }
            if entry.value.kind != Kind::Null {
                self.value(&entry.value, key.shape, &own);
            }
        }
        for key in object.keys.iter().filter(|key| key.is_required) {
            let entry = written.iter().find(|(name, _)| *name == key.name).map(|(_, entry)| entry);
            match entry {
                Some(entry) if entry.value.kind == Kind::Null => {
                    let message = format!("\"{}\" has no value", join(path, &entry.key));
                    self.findings.push(
                        Diagnostic::error(MISSING_KEY, entry.key_span, message)
                            .hint(format!("it takes {}", words_of(key.shape))),
                    );
                }
                Some(_) => {}
                None => self.missing(node.span, key, name),
            }
        }
    }

    fn missing(&mut self, span: Span, key: &Key, name: &str) {
        let finding = Diagnostic::error(MISSING_KEY, span, format!("{name} has no \"{}\"", key.name));
        let hint = format!("add \"{}\", {}", key.name, words_of(key.shape));
        self.findings.push(finding.detail(as_detail(key.doc)).hint(hint));
    }

    fn unknown_key(&mut self, entry: &Entry, object: &Object, path: &str) {
        let finding = Diagnostic::warning(UNKNOWN_KEY, entry.key_span, format!("unknown key \"{path}\""));
        let spellings = object.keys.iter().flat_map(Key::spellings);
        self.findings.push(match suggest::did_you_mean(&entry.key, spellings) {
            Some(hint) => finding.hint(hint),
            None if object.keys.is_empty() => finding.hint("remove it"),
            None => {
                let names: Vec<&str> = object.keys.iter().map(|key| key.name).collect();
                finding.detail(format!("keys here are {}", names.join(", "))).hint("it has no effect; remove it")
            }
        });
    }

    fn value(&mut self, node: &Node, shape: Shape, path: &str) {
        match (shape, &node.kind) {
            (Shape::Any, _) => {}
            (Shape::Text | Shape::Scalar, Kind::Text(_) | Kind::Bool(_) | Kind::Number { .. }) => {}
            (Shape::Flag, Kind::Bool(_)) => {}
            (Shape::Count(least, greatest), Kind::Number { plain, .. }) => match plain.parse::<i128>() {
                Ok(count) if count < i128::from(least) => self.out_of_range(node, path, "at least", &least),
                Ok(count) if count > i128::from(greatest) => self.out_of_range(node, path, "at most", &greatest),
                Ok(_) => {}
                Err(_) => self.wrong_type(node, shape, path),
            },
            (Shape::Number(least, greatest), Kind::Number { plain, .. }) => match plain.parse::<f64>() {
                Ok(number) if !number.is_finite() => self.wrong_type(node, shape, path),
                Ok(number) if number < least && least == f64::MIN_POSITIVE => {
                    self.out_of_range(node, path, "above", &0);
                }
                Ok(number) if number < least => self.out_of_range(node, path, "at least", &least),
                Ok(number) if number > greatest => self.out_of_range(node, path, "at most", &greatest),
                Ok(_) => {}
                Err(_) => self.wrong_type(node, shape, path),
            },
            (Shape::Moment, Kind::Text(text)) if moment::parse(text).is_some() => {}
            (Shape::Instant, Kind::Text(text)) if moment::instant_ms(text).is_some() => {}
            (Shape::Moment | Shape::Instant, Kind::Text(_) | Kind::Number { .. }) => {
                let message = format!("\"{path}\" is {}, which is no moment", node.words());
                self.findings.push(
                    Diagnostic::error(BAD_MOMENT, node.span, message).hint(format!("it takes {}", words_of(shape))),
                );
            }
            (Shape::Pattern, Kind::Text(pattern)) => self.pattern(node, pattern, path),
            (Shape::Word(table), Kind::Text(_) | Kind::Bool(_) | Kind::Number { .. }) => {
                let word = node.text().unwrap_or_default();
                let words = table.words();
                if !words.contains(&&*word) {
                    self.unknown_word(node, &word, &words, path);
                }
            }
            (Shape::Pair(of), Kind::List(items)) if items.len() == 2 => self.items(items, *of, path),
            (Shape::List(of), Kind::List(items)) => self.items(items, *of, path),
            (Shape::Map(of), Kind::Map(entries)) => {
                for entry in entries {
                    self.value(&entry.value, *of, &join(path, &entry.key));
                }
            }
            (Shape::Object(object), Kind::Map(_)) => self.object(node, object, false, &format!("\"{path}\""), path),
            (Shape::Tagged(tagged), Kind::Map(_)) => self.tagged(node, tagged, path),
            (Shape::Variant(variants), Kind::Text(_) | Kind::Map(_)) => self.variant(node, variants, path),
            _ => self.wrong_type(node, shape, path),
        }
    }

    fn items(&mut self, items: &[Node], shape: Shape, path: &str) {
        for (i, item) in items.iter().enumerate() {
            self.value(item, shape, &format!("{path}[{i}]"));
        }
    }

    fn pattern(&mut self, node: &Node, pattern: &str, path: &str) {
        if let Err(error) = regex::Regex::new(pattern) {
            let words = error.to_string();
            let reason = words.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let message = format!("\"{path}\" is no regular expression");
            self.findings.push(Diagnostic::error(BAD_PATTERN, node.span, message).detail(reason));
        }
    }

    fn tagged(&mut self, node: &Node, tagged: &'static Tagged, path: &str) {
        let Some(entry) = node.entries().iter().find(|entry| entry.key == TAG && entry.value.kind != Kind::Null) else {
            let finding = Diagnostic::error(MISSING_KEY, node.span, format!("\"{path}\" has no \"{TAG}\""));
            self.findings.push(finding.hint(format!("say which {} it is", tagged.what)));
            return;
        };
        let Some(word) = entry.value.text() else {
            self.wrong_type(&entry.value, Shape::Text, &join(path, TAG));
            return;
        };
        match tagged.variants.iter().find(|(name, _)| *name == word) {
            Some((name, object)) => self.object(node, object, true, &format!("{name} at \"{path}\""), path),
            None => {
                let names = tagged.variants.iter().map(|(name, _)| *name);
                let message = format!("there is no {} \"{word}\"", tagged.what);
                let finding = Diagnostic::error(tagged.unknown, entry.value.span, message);
                self.findings.push(match suggest::did_you_mean(&word, names.clone()) {
                    Some(hint) => finding.hint(hint),
                    None => finding.detail(format!("there are {}", names.collect::<Vec<_>>().join(", "))),
                });
            }
        }
    }

    fn variant(&mut self, node: &Node, variants: &'static [Variant], path: &str) {
        let (word, inner) = match &node.kind {
            Kind::Text(word) => (word, None),
            Kind::Map(entries) => match &entries[..] {
                [entry] => (&entry.key, Some(&entry.value)),
                _ => return self.wrong_type(node, Shape::Variant(variants), path),
            },
            _ => return,
        };
        let Some(variant) = variants.iter().find(|variant| variant.name == *word) else {
            let names: Vec<&str> = variants.iter().map(|variant| variant.name).collect();
            return self.unknown_word(node, word, &names, path);
        };
        let path = join(path, word);
        match (variant.object, inner) {
            (Some(object), Some(inner)) if matches!(inner.kind, Kind::Map(_)) => {
                self.object(inner, object, false, &format!("\"{path}\""), &path);
            }
            (Some(object), None | Some(Node { kind: Kind::Null, .. })) => {
                for key in object.keys.iter().filter(|key| key.is_required) {
                    self.missing(node.span, key, &format!("\"{path}\""));
                }
            }
            (None, None | Some(Node { kind: Kind::Null, .. })) => {}
            (_, Some(inner)) => {
                let message = format!("\"{path}\" is {}", inner.words());
                let hint = if variant.object.is_some() { "give it a map of keys" } else { "write the word alone" };
                self.findings.push(Diagnostic::error(WRONG_TYPE, inner.span, message).hint(hint));
            }
        }
    }

    fn unknown_word(&mut self, node: &Node, word: &str, words: &[&'static str], path: &str) {
        let finding = Diagnostic::error(UNKNOWN_WORD, node.span, format!("\"{path}\" cannot be \"{word}\""));
        let finding = finding.detail(format!("it is one of {}", words.join(", ")));
        self.findings.push(match suggest::did_you_mean(word, words.iter().copied()) {
            Some(hint) => finding.hint(hint),
            None => finding,
        });
    }

    fn out_of_range(&mut self, node: &Node, path: &str, word: &str, limit: &dyn std::fmt::Display) {
        let written = node.text().unwrap_or_default();
        self.findings.push(
            Diagnostic::error(OUT_OF_RANGE, node.span, format!("\"{path}\" is {written}"))
                .hint(format!("it has to be {word} {limit}")),
        );
    }

    fn wrong_type(&mut self, node: &Node, shape: Shape, path: &str) {
        let finding = Diagnostic::error(WRONG_TYPE, node.span, format!("\"{path}\" is {}", node.words()));
        let wanted = words_of(shape);
        let is_quoted = match (&node.kind, shape) {
            (Kind::Text(text), Shape::Count(..) | Shape::Number(..)) => text.trim().parse::<f64>().is_ok(),
            (Kind::Text(text), Shape::Flag) => matches!(&**text, "true" | "false"),
            _ => false,
        };
        let quotes = if is_quoted { ", without quotes" } else { "" };
        self.findings.push(finding.hint(format!("it takes {wanted}{quotes}")));
    }
}

/// A sentence as findings show it: without a capital, unless a name begins it, and without a full stop.
fn as_detail(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let mut letters = sentence.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            format!("{}{}", first.to_lowercase(), &sentence[first.len_utf8()..])
        }
        _ => sentence.to_owned(),
    }
}

/// Path of a key.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What a shape takes, in words.
fn words_of(shape: Shape) -> String {
    match shape {
        Shape::Any => "any value".to_owned(),
        Shape::Text => "a text".to_owned(),
        Shape::Scalar => "a text, a number, true or false".to_owned(),
        Shape::Flag => "true or false".to_owned(),
        Shape::Count(..) => "a whole number".to_owned(),
        Shape::Number(..) => "a number".to_owned(),
        Shape::Moment => moment::FORMS.to_owned(),
        Shape::Instant => "a date and time such as `2024-01-31T09:30:00Z`".to_owned(),
        Shape::Pattern => "a regular expression, as text".to_owned(),
        Shape::Word(words) => format!("one of {}", words.words().join(", ")),
        Shape::Pair(_) => "a list of two numbers".to_owned(),
        Shape::List(Shape::Text) => "a list of texts".to_owned(),
        Shape::List(_) => "a list".to_owned(),
        Shape::Map(_) | Shape::Object(_) => "a map of keys".to_owned(),
        Shape::Tagged(tagged) => format!("a map whose \"{TAG}\" is one of {}", {
            let names: Vec<&str> = tagged.variants.iter().map(|(name, _)| *name).collect();
            names.join(", ")
        }),
        Shape::Variant(variants) => format!("one of {}", {
            let names: Vec<&str> = variants.iter().map(|variant| variant.name).collect();
            names.join(", ")
        }),
    }
}
