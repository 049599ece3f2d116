//! Typed reading of the chosen settings: every value is checked against the key table and noted with its origin.

use std::path::{Path, PathBuf};

use velostream_types::time::NS_PER_SEC;

use super::keys::{Carrier, Key, Kind, Side, Status, named};
use super::setting::{Giver, Loose, Place, Rank, Setting};
use super::{Gathered, Resolved, Target};
use crate::diag::Diagnostic;
use crate::duration;
use crate::suggest;

const DAY_NS: i64 = 86_400 * NS_PER_SEC;
/// State that is kept for longer is worth a word.
const LONG_STATE_NS: i64 = 30 * DAY_NS;

/// What holds for all relations of the app.
#[derive(Clone, Copy)]
pub(super) struct Context<'r> {
    /// The SQL file's folder.
    pub base_dir: &'r Path,
    /// Files are tailed unless told otherwise.
    pub follow: bool,
    /// Brokers of whoever names none.
    pub brokers: Option<&'r (String, Giver)>,
    /// Name and text of the SQL.
    pub text: Option<(&'r str, &'r str)>,
}

/// Reads the settings of one relation.
pub(super) struct Reader<'r> {
    /// Relation as written.
    pub name: &'r str,
    /// Source or sink.
    pub side: Side,
    settings: Vec<Setting>,
    /// Settings of Kafka clients and topics.
    pub loose: Vec<Loose>,
    /// What holds for all relations.
    pub context: Context<'r>,
    /// Where values nobody wrote are reported.
    pub relation: Place,
    findings: Vec<Diagnostic>,
    resolved: Vec<Resolved>,
}

/// `source` or `sink`.
pub(super) fn side_name(side: Side) -> &'static str {
    if side == Side::Sink { "sink" } else { "source" }
}

impl<'r> Reader<'r> {
    pub fn new(target: &Target<'r>, gathered: Gathered, context: Context<'r>) -> Reader<'r> {
        let relation = Place::relation(target.span, Giver::Default);
        let Gathered { table: settings, loose } = gathered;
        let (name, side) = (target.name, target.side);
        Reader { name, side, settings, loose, context, relation, findings: Vec::new(), resolved: Vec::new() }
    }

    /// What was found wrong, and what was resolved.
    pub fn into_findings(self) -> (Vec<Diagnostic>, Vec<Resolved>) {
        (self.findings, self.resolved)
    }

    /// Adds a finding.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.findings.push(diagnostic);
    }

    /// The setting of a property, if one was given. `key` is a main spelling of the table.
    pub fn given(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|s| s.key.name == key)
    }

    /// Where a property was given, else the relation.
    pub fn place(&self, key: &str) -> Place {
        self.given(key).map_or_else(|| self.relation.clone(), |s| s.place.clone())
    }

    /// Adds an error at a property.
    pub fn fail(&mut self, key: &str, code: &'static str, message: impl Into<String>) {
        let diagnostic = self.place(key).error(code, message);
        self.report(diagnostic);
    }

    /// "X is not supported yet", at a property.
    pub fn later(&mut self, key: &str, what: &str) {
        self.fail(key, "E0902", format!("{what} is not supported yet"));
    }

    /// The value of a property as text with who gave it: the given one, else the table's default.
    fn value(&mut self, key: &'static str) -> Option<(&'static Key, String, bool)> {
        let property = named(key, self.side)?;
        let given = self.given(key).map(|s| (s.value.clone(), s.place.giver.clone()));
        let (value, giver) = match given {
            Some(given) => given,
            None => (property.default?.to_owned(), Giver::Default),
        };
        let is_given = giver != Giver::Default;
        self.note(property.name, &value, &giver);
        Some((property, value, is_given))
    }

    /// Notes a resolved property.
    pub fn note(&mut self, key: &str, value: &str, giver: &Giver) {
        let is_secret = ["password", "secret", "token", "jaas", ".pem", "oauth"].iter().any(|s| key.contains(s));
        let value = if is_secret { "***".to_owned() } else { value.to_owned() };
        let (relation, side) = (self.name.to_owned(), side_name(self.side));
        self.resolved.retain(|r| r.key != key);
        self.resolved.push(Resolved { relation, side, key: key.to_owned(), value, origin: giver.to_string() });
    }

    fn bad(&mut self, key: &'static str, value: &str, expected: &str) {
        let written = self.given(key).map_or_else(|| key.to_owned(), |s| s.written.clone());
        let place = self.place(key);
        let message = format!("property \"{written}\" has the bad value \"{value}\"");
        self.report(place.error("E0513", message).detail(format!("expected {expected}")));
    }

    /// Any text.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        self.value(key).map(|(_, value, _)| value)
    }

    /// A path, resolved against the SQL file's folder. What a source reads may also stand beside the config file that
    /// names it, and is looked for there first.
    pub fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        let (_, value, _) = self.value(key)?;
        let value = value.strip_prefix("file://").unwrap_or(&value);
        if value.is_empty() {
            self.bad(key, "", "a path");
            return None;
        }
        let beside = match (self.side, self.place(key).giver) {
            (Side::Source, Giver::File(config, _)) => Path::new(&config).parent().map(|folder| folder.join(value)),
            _ => None,
        };
        Some(beside.filter(|path| path.exists()).unwrap_or_else(|| self.context.base_dir.join(value)))
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        let (_, value, _) = self.value(key)?;
        let parsed = parse_bool(&value);
        if parsed.is_none() {
            self.bad(key, &value, "true or false");
        }
        parsed
    }

    /// A whole number within the table's bound.
    pub fn int(&mut self, key: &'static str) -> Option<u64> {
        let (property, value, _) = self.value(key)?;
        let least = if let Kind::Int(least) = property.kind { least } else { 0 };
        let parsed = value.trim().replace('_', "").parse().ok().filter(|n| *n >= least);
        if parsed.is_none() {
            self.bad(key, &value, &format!("a whole number of at least {least}"));
        }
        parsed
    }

    /// A number of bytes.
    pub fn size(&mut self, key: &'static str) -> Option<usize> {
        let (_, value, _) = self.value(key)?;
        let parsed = parse_size(&value);
        if parsed.is_none() {
            self.bad(key, &value, "a number of bytes above 0, such as 65536, 64KiB or 16MiB");
        }
        parsed
    }

    /// A duration in nanoseconds. Spellings that end in `_ms` count bare numbers in milliseconds.
    pub fn duration(&mut self, key: &'static str) -> Option<i64> {
        let (property, value, _) = self.value(key)?;
        let spelled = self.given(key).and_then(|s| s.key.spellings().nth(s.alias));
        let bare_ns = match property.kind {
            _ if spelled.is_some_and(|s| s.ends_with("_ms")) => velostream_types::time::NS_PER_MS,
            Kind::Duration(bare_ns) => bare_ns,
            _ => velostream_types::time::NS_PER_SEC,
        };
        match duration::parse(&value, bare_ns) {
            Ok(ns) => Some(ns),
            Err(reason) => {
                self.bad(key, &value, &format!("a duration such as 500ms, 5s or 1.5m; \"{value}\" {reason}"));
                None
            }
        }
    }

    /// One ASCII character.
    pub fn character(&mut self, key: &'static str) -> Option<u8> {
        let (_, value, _) = self.value(key)?;
        let parsed = match value.as_bytes() {
            b"\\t" | b"tab" => Some(b'\t'),
            [one] if one.is_ascii() && !matches!(one, b'\n' | b'\r') => Some(*one),
            _ => None,
        };
        if parsed.is_none() {
            self.bad(key, &value, "one ASCII character, or \\t");
        }
        parsed
    }

    /// One of the table's words; answers with what it means.
    pub fn word(&mut self, key: &'static str) -> Option<&'static str> {
        let (property, value, _) = self.value(key)?;
        let Kind::Word(words) = property.kind else { return None };
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value.trim()));
        if found.is_none() {
            self.bad_word(key, &value, words);
        }
        found.map(|(_, meaning)| *meaning)
    }

    fn bad_word(&mut self, key: &'static str, value: &str, words: &'static [(&'static str, &'static str)]) {
        let code = match key {
            "type" => "E0511",
            "format" => "E0515",
            _ => "E0513",
        };
        let what = match key {
            "type" => "connector",
            "format" => "format",
            _ => "value",
        };
        let written = self.given(key).map_or_else(|| key.to_owned(), |s| s.written.clone());
        let names: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
        let mut diagnostic = self
            .place(key)
            .error(code, format!("unknown {what} \"{value}\" in \"{written}\""))
            .detail(format!("known are {}", names.join(", ")));
        diagnostic.hint = suggest::did_you_mean(value, names);
        self.report(diagnostic);
    }

    /// Judges the settings as a whole: what is not built, and what has no effect on this connector.
    pub fn judge(&mut self, carrier: Carrier) {
        if carrier != Carrier::Kafka {
            for loose in self.loose.clone() {
                if matches!(loose.rank, Rank::Named | Rank::Sided | Rank::Relation) {
                    let message = format!("\"{}\" has no effect on this {}", loose.written, side_name(self.side));
                    self.report(loose.place.warning("W0513", message));
                }
            }
        }
        for setting in self.settings.clone() {
            let property = setting.key;
            let is_own = matches!(setting.rank, Rank::Named | Rank::Sided | Rank::Relation);
            let written = &setting.written;
            if property.name == "state.ttl" {
                self.doubt_long_state(&setting);
            }
            if property.carrier != Carrier::Any && property.carrier != carrier {
                if is_own && property.name != "path" {
                    let message = format!("\"{written}\" has no effect on this {}", side_name(self.side));
                    self.report(setting.place.warning("W0513", message));
                }
                continue;
            }
            match property.status {
                Status::Later if !is_default(property, &setting.value) => {
                    let message = format!("property \"{}\" is not supported yet", property.name);
                    self.report(setting.place.error("E0902", message));
                }
                Status::Inert if promises_transactions(property.name, &setting.value) => {
                    let message = format!("\"{written}\" = {} is not supported yet", setting.value);
                    let diagnostic = setting.place.error("E0902", message);
                    self.report(diagnostic.hint("results are delivered at least once; remove the property"));
                }
                Status::Inert => {
                    let message = format!("property \"{}\" has no effect yet", property.name);
                    self.report(setting.place.warning("W0513", message));
                }
                _ => {}
            }
        }
    }

    /// Warns of state that is kept for long after it last changed.
    fn doubt_long_state(&mut self, setting: &Setting) {
        let kept_ns = duration::parse(&setting.value, NS_PER_SEC).unwrap_or(0);
        if kept_ns > LONG_STATE_NS {
            let days = kept_ns / DAY_NS;
            let message = format!("\"{}\" keeps what has not changed for {days} days", setting.written);
            let hint = "all of it is in memory; keep it for 30 days at most, or group by WINDOW";
            self.report(setting.place.warning("W0515", message).hint(hint));
        }
    }
}

/// TRUE for what would be a silent downgrade if it were only noted.
fn promises_transactions(key: &str, value: &str) -> bool {
    let value = value.to_ascii_lowercase().replace('-', "_");
    match key {
        "mode" => value == "transactional",
        "delivery.guarantee" => matches!(value.as_str(), "exactly_once" | "exactly_once_v2" | "transactional"),
        _ => false,
    }
}

/// TRUE when a value says what holds without it.
fn is_default(property: &Key, value: &str) -> bool {
    property.default.is_some_and(|default| match property.kind {
        Kind::Bool => parse_bool(value) == parse_bool(default),
        Kind::Duration(bare_ns) => duration::parse(value, bare_ns) == duration::parse(default, bare_ns),
        _ => value.eq_ignore_ascii_case(default),
    })
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Bytes above 0: a number with an optional unit of powers of 1000 (KB) or 1024 (KiB, K).
fn parse_size(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let number: usize = text[..digits].replace('_', "").parse().ok()?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 1,
        "kb" => 1_000,
        "k" | "kib" => 1 << 10,
        "mb" => 1_000_000,
        "m" | "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "g" | "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit).filter(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_booleans() {
        for (text, expect) in [
            ("65536", Some(65_536)),
            ("16MiB", Some(16 << 20)),
            ("1 kB", Some(1_000)),
            ("0", None),
            ("x", None),
            ("5 x", None),
        ] {
            assert_eq!(parse_size(text), expect, "{text}");
        }
        assert_eq!((parse_bool(" TRUE "), parse_bool("0"), parse_bool("maybe")), (Some(true), Some(false), None));
    }
}
