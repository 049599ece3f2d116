//! Config files: loading, `extends`, and how their layouts map to property keys.
//!
//! A file is read once per app. Parents named by `extends` come first, in order, then the file itself; what a later
//! file says under a key hides everything an earlier one says at or below it. Paths count from the folder of the file
//! that names them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::keys::{Found, Side, find};
use super::setting::{Giver, Place};
use super::vars::{self, Env};
use super::yaml::{self, YamlError};
use crate::diag::{Diagnostic, Origin};
use crate::suggest;

/// Config files are written by people; anything longer is another kind of file.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A key of a config file, parents included.
#[derive(Clone, Debug)]
pub(super) struct ConfigEntry {
    /// Dotted key as in the file.
    pub key: String,
    /// Its text; `None` hides the key of a parent.
    value: Option<String>,
    /// Where.
    pub place: Place,
}

impl ConfigEntry {
    /// The text.
    pub fn value(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }
}

/// Reads config files, each once.
#[derive(Default)]
pub(super) struct Loader {
    cache: BTreeMap<PathBuf, Rc<Vec<ConfigEntry>>>,
}

impl Loader {
    /// The keys of the file at `path` and of everything it extends. `asked` is the place that names it.
    pub fn load(&mut self, path: &Path, asked: &Place, env: Env<'_>) -> Result<Rc<Vec<ConfigEntry>>, Box<Diagnostic>> {
        let entries = self.load_chained(path, asked, env, &mut Vec::new())?;
        Ok(Rc::new(entries.iter().filter(|e| e.value.is_some()).cloned().collect()))
    }

    fn load_chained(
        &mut self,
        path: &Path,
        asked: &Place,
        env: Env<'_>,
        chain: &mut Vec<(PathBuf, String)>,
    ) -> Result<Rc<Vec<ConfigEntry>>, Box<Diagnostic>> {
        let shown = path.display().to_string();
        let real = std::fs::canonicalize(path).map_err(|e| Box::new(missing(path, asked, &e)))?;
        if let Some(first) = chain.iter().position(|(p, _)| *p == real) {
            let names = chain[first..].iter().map(|(_, n)| n.as_str()).chain([shown.as_str()]);
            let circle = names.collect::<Vec<_>>().join(" -> ");
            let message = format!("config file \"{shown}\" extends itself");
            let diagnostic = asked.error("E0604", message).detail(format!("the chain is {circle}"));
            return Err(Box::new(diagnostic.hint("remove one of the \"extends\"")));
        }
        if let Some(known) = self.cache.get(&real) {
            return Ok(Rc::clone(known));
        }
        let text = read_text(path).map_err(|reason| Box::new(unreadable(&shown, asked, &reason)))?;
        let own = parse(&shown, &text, asked)?;

        chain.push((real.clone(), shown.clone()));
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut merged = Vec::new();
        for (parent, place) in parents(&own, env)? {
            let inherited = self.load_chained(&folder.join(parent), &place, env, chain)?;
            merged = overlay(merged, inherited.iter().cloned());
        }
        chain.pop();

        let own = own.into_iter().filter(|e| e.key != "extends" && !e.key.starts_with("extends["));
        let merged = Rc::new(overlay(merged, own));
        self.cache.insert(real, Rc::clone(&merged));
        Ok(merged)
    }
}

/// Text of a regular file of moderate size, or why there is none: a device would never end.
fn read_text(path: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if !metadata.is_file() {
        return Err("it is no file".to_owned());
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err("it is larger than 16 MiB".to_owned());
    }
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

fn parse(shown: &str, text: &str, asked: &Place) -> Result<Vec<ConfigEntry>, Box<Diagnostic>> {
    let origin = Origin { name: shown.to_owned(), text: Arc::from(text) };
    let place = |span, line| Place { span, origin: Some(origin.clone()), giver: Giver::File(shown.to_owned(), line) };
    match yaml::read(text) {
        Ok(entries) => Ok(entries
            .into_iter()
            .map(|e| ConfigEntry { place: place(e.span, e.line), key: e.key, value: e.value })
            .collect()),
        Err(YamlError::Malformed { message, span }) => {
            let message = format!("config file \"{shown}\" is not well-formed: {message}");
            Err(Box::new(place(span, 0).error("E0603", message)))
        }
        Err(YamlError::NotAMap) => {
            let message = format!("config file \"{shown}\" is not a map of keys to values");
            Err(Box::new(asked.error("E0605", message).hint("write \"key: value\" lines at the top level")))
        }
    }
}

/// Files named by `extends`, in order, each with its place.
fn parents(own: &[ConfigEntry], env: Env<'_>) -> Result<Vec<(String, Place)>, Box<Diagnostic>> {
    let mut found = Vec::new();
    for entry in
        own.iter().filter(|e| e.key == "extends" || e.key.starts_with("extends") && e.key[7..].starts_with(['[', '.']))
    {
        let is_item = entry.key == "extends" || entry.key[7..].starts_with('[') && entry.key.ends_with(']');
        match &entry.value {
            Some(text) if is_item => {
                let path =
                    vars::expand(text, env).map_err(|e| Box::new(super::bad_variable(&entry.place, "extends", &e)))?;
                found.push((path, entry.place.clone()));
            }
            None if entry.key == "extends" => {}
            _ => {
                let message = "\"extends\" is neither a file name nor a list of file names";
                return Err(Box::new(entry.place.error("E0605", message)));
            }
        }
    }
    Ok(found)
}

/// `base` with `top` over it.
fn overlay(mut base: Vec<ConfigEntry>, top: impl Iterator<Item = ConfigEntry>) -> Vec<ConfigEntry> {
    let top: Vec<ConfigEntry> = top.collect();
    base.retain(|b| !top.iter().any(|t| hides(&t.key, &b.key)));
    base.extend(top);
    base
}

/// TRUE when a value at `top` replaces one at `base`: the same key, one inside the other, or the same sequence.
fn hides(top: &str, base: &str) -> bool {
    let sequence = |key: &str| key.find('[').map_or(key.len(), |i| i);
    let (top, base) = (&top[..sequence(top)], &base[..sequence(base)]);
    let inside = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    top == base || inside(base, top) || inside(top, base)
}

fn missing(path: &Path, asked: &Place, error: &std::io::Error) -> Diagnostic {
    let shown = path.display().to_string();
    if error.kind() != std::io::ErrorKind::NotFound {
        return unreadable(&shown, asked, &error.to_string());
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let diagnostic = asked
        .error("E0601", format!("config file \"{shown}\" does not exist"))
        .detail(format!("looked for {}", whole.display()));
    let mut beside: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .collect();
    beside.sort_unstable();
    let wanted = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    match suggest::did_you_mean(wanted, beside.iter().map(String::as_str)) {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

fn unreadable(shown: &str, asked: &Place, reason: &str) -> Diagnostic {
    asked.error("E0602", format!("config file \"{shown}\" cannot be read: {reason}"))
}

/// How a key of a config file applies to one relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mapped {
    /// A property: the spelling found, how the key was prefixed (0 by the relation, 1 by its side, 2 not), and where in
    /// the key the spelling begins.
    Property(Found, u8, usize),
    /// Belongs to something else, or to a section whose keys are not checked.
    Skip,
    /// Nothing known; the key without its prefix.
    Unknown(String),
}

/// Sections a key may stand in; dropped where the key behind them is known.
pub(super) const SECTIONS: &[&str] = &[
    "consumer_config.",
    "producer_config.",
    "topic_config.",
    "stream.config.",
    "stream.",
    "schema.",
    "performance.",
    "file.",
    "table.",
    "options.",
    "properties.",
    "config.",
    "topic.",
];

/// Tops whose keys describe other things (profiles, schema fields, loading) and are not checked.
pub(super) const UNCHECKED: &[&str] = &[
    "consumer_config",
    "producer_config",
    "topic_config",
    "stream",
    "schema",
    "performance",
    "performance_profile",
    "performance_profiles",
    "delivery_profile",
    "delivery_profiles",
    "headers",
    "loading",
    "cache",
    "table",
    "metadata",
    "monitoring",
    "security",
    "options",
    "global",
    "batch",
    "name",
    "description",
    "version",
];

/// Maps a key of a config file to a property of `name` on `side`.
pub(super) fn map(key: &str, name: &str, side: Side) -> Mapped {
    let (own, other) = match side {
        Side::Sink => (["datasink.", "sink."], ["datasource.", "source."]),
        _ => (["datasource.", "source."], ["datasink.", "sink."]),
    };
    if other.iter().any(|p| key.starts_with(p)) {
        return Mapped::Skip;
    }
    let by_name = key.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
    let by_side = own.iter().find_map(|p| key.strip_prefix(p));
    let (rest, prefix) = match (by_name, by_side) {
        (Some(rest), _) => (rest, 0),
        (None, Some(rest)) => (rest, 1),
        (None, None) => (key, 2),
    };
    let mut tail = rest;
    loop {
        match find(tail, side) {
            Some(Found::OtherSide) => return Mapped::Skip,
            Some(found) => return Mapped::Property(found, prefix, key.len() - tail.len()),
            None => {}
        }
        match SECTIONS.iter().find_map(|s| tail.strip_prefix(s)) {
            Some(inner) => tail = inner,
            None => break,
        }
    }
    let top = rest.split(['.', '[']).next().unwrap_or(rest);
    if UNCHECKED.contains(&top) { Mapped::Skip } else { Mapped::Unknown(rest.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_map_to_keys() {
        let check = |key: &str, side: Side, expect: Option<(&str, u8)>| {
            let found = match map(key, "trades", side) {
                Mapped::Property(Found::Key(k, _), prefix, _) => Some((k.name, prefix)),
                Mapped::Property(Found::Client(skip), prefix, at) => Some((&key[at + skip..], prefix)),
                Mapped::Property(Found::Topic(skip), prefix, at) => Some((&key[at + skip..], prefix)),
                Mapped::Property(_, prefix, _) => Some(("family", prefix)),
                _ => None,
            };
            assert_eq!(found, expect, "{key}");
        };
        check("datasource.type", Side::Source, Some(("type", 1)));
        check("datasource.type", Side::Sink, None);
        check("datasource.schema.value.serializer", Side::Source, Some(("format", 1)));
        check("datasource.consumer_config.group.id", Side::Source, Some(("group.id", 1)));
        check("topic.name", Side::Source, Some(("topic.name", 2)));
        check("file.path", Side::Source, Some(("path", 2)));
        check("table.file.format", Side::Source, Some(("format", 2)));
        check("trades.watermark.strategy", Side::Source, Some(("watermark.strategy", 0)));
        check("kafka.fetch.min.bytes", Side::Source, Some(("fetch.min.bytes", 2)));
        check("datasource.consumer_config.any.thing", Side::Source, Some(("any.thing", 1)));
        check("datasink.topic_config.retention.ms", Side::Sink, Some(("retention.ms", 1)));
        check("datasink.topic_config.partitions", Side::Sink, Some(("partitions", 1)));
        check("schema.fields[0].name", Side::Source, None);
        assert_eq!(map("frmat", "trades", Side::Source), Mapped::Unknown("frmat".into()));
        assert_eq!(map("performance_profiles.fast.x", "trades", Side::Source), Mapped::Skip);
    }

    #[test]
    fn later_files_hide_what_they_say_again() {
        for (top, base, expect) in [
            ("a", "a", true),
            ("a", "a.b", true),
            ("a.b", "a", true),
            ("a.b", "a.c", false),
            ("l[0]", "l[3]", true),
            ("l", "l[3].x", true),
            ("ab", "a", false),
        ] {
            assert_eq!(hides(top, base), expect, "{top} {base}");
        }
    }
}
