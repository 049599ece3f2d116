//! Properties: what WITH clauses, SET statements, config files and the relation's own name say about a source or sink.
//!
//! [`Resolver`] implements [`Endpoints`] for the binder. Per relation it gathers every setting that applies
//! (`setting`), maps spellings through the one table (`keys`), reads config files (`config`, `yaml`), keeps the
//! strongest of each, replaces variables (`vars`) and builds a spec (`source`, `sink`). Paths are relative to the SQL
//! file's folder. Nothing is cached but config files; cost is a few hundred string comparisons per relation.
//!
//! Findings that stop nothing, and keys that no relation of the app claims, come from [`Resolver::finish`], to be
//! called once after binding.

mod config;
mod docs;
mod json_schema;
mod kafka;
pub mod keys;
mod reader;
mod relation;
mod setting;
mod sink;
mod source;
mod vars;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use velostream_types::Span;

use self::config::Mapped;
pub use self::json_schema::config_schema;
use self::keys::{Found, Side};
use self::reader::{Context, Reader};
use self::relation::{BadRelation, Relation};
use self::setting::{Giver, Loose, Place, Rank, Setting, strongest, strongest_loose};
pub use self::vars::{Env, VarError, expand};
use crate::diag::{Diagnostic, Severity};
use crate::endpoint::{Endpoints, SinkSpec, SourceSpec, WithEntry};
use crate::suggest;

/// Environment variable that names brokers.
const BROKERS_VARIABLE: &str = "VELOSTREAM_KAFKA_BROKERS";

/// One resolved property and who gave it, for `explain --verbose`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Relation as written.
    pub relation: String,
    /// `source` or `sink`.
    pub side: &'static str,
    /// Main spelling of the property; a client setting by its own name.
    pub key: String,
    /// Its value; secrets are masked.
    pub value: String,
    /// Who gave it: `WITH`, `SET`, `conf/trades.yaml:3`, `default`, …
    pub origin: String,
}

/// Resolves the properties of one app's relations.
pub struct Resolver<'e> {
    base_dir: PathBuf,
    env: Env<'e>,
    globals: Vec<WithEntry>,
    follow: bool,
    /// Brokers of sources and sinks that name none, and who named these.
    brokers: Option<(String, Giver)>,
    /// Name and text of the SQL, to tell where a client setting stands.
    text: Option<(String, String)>,
    loader: config::Loader,
    /// Relations asked for, for suggestions about prefixes.
    relations: BTreeSet<String>,
    /// Keys seen so far and whether any relation knew them; identified by their place and spelling.
    seen: BTreeMap<(String, String, u32), SeenKey>,
    told: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    origins: Vec<Resolved>,
}

struct SeenKey {
    place: Place,
    /// The key without a prefix that is a relation's name or a side.
    bare: String,
    known: bool,
}

/// What is said about a relation.
#[derive(Default)]
struct Gathered {
    /// Properties of the table.
    table: Vec<Setting>,
    /// Settings of Kafka clients and topics.
    loose: Vec<Loose>,
}

impl Gathered {
    /// Adds a value; `spelling` is the part of `written` that was looked up.
    fn add(&mut self, found: Found, spelling: &str, written: &str, value: &str, rank: Rank, place: Place) {
        let (written, value) = (written.to_owned(), value.to_owned());
        match found {
            Found::Key(key, alias) => self.table.push(Setting { key, alias, written, value, rank, place }),
            Found::Client(skip) | Found::Topic(skip) => {
                let (name, of_topic) = (spelling[skip..].to_owned(), matches!(found, Found::Topic(_)));
                self.loose.push(Loose { name, of_topic, written, value, rank, place });
            }
            Found::Family | Found::OtherSide => {}
        }
    }
}

/// The relation being resolved.
struct Target<'t> {
    name: &'t str,
    span: Span,
    side: Side,
}

impl<'e> Resolver<'e> {
    /// `base_dir` is the SQL file's folder; `globals` are SET statements and `--set` options in order of strength
    /// (those of the command line have empty spans); `follow` tails files that do not say `watch = false`.
    pub fn new(base_dir: PathBuf, env: Env<'e>, globals: Vec<WithEntry>, follow: bool) -> Resolver<'e> {
        // "./trades.csv" in messages would not be what the user wrote.
        let base_dir = if base_dir == Path::new(".") { PathBuf::new() } else { base_dir };
        Resolver {
            base_dir,
            env,
            globals,
            follow,
            brokers: env(BROKERS_VARIABLE).map(|b| (b, Giver::Variable(BROKERS_VARIABLE))),
            text: None,
            loader: config::Loader::default(),
            relations: BTreeSet::new(),
            seen: BTreeMap::new(),
            told: Vec::new(),
            warnings: Vec::new(),
            origins: Vec::new(),
        }
    }

    /// The command line's `--brokers`: the cluster of everything that names none, also of relations that nothing else
    /// explains.
    pub fn with_brokers(mut self, brokers: Option<String>) -> Resolver<'e> {
        self.brokers = brokers.map(|b| (b, Giver::Brokers)).or(self.brokers);
        self
    }

    /// Name and text of the SQL, so that messages of a Kafka client can say `app.sql:12`.
    pub fn with_text(mut self, name: &str, text: &str) -> Resolver<'e> {
        self.text = Some((name.to_owned(), text.to_owned()));
        self
    }

    /// Every resolved property so far, in order of resolution.
    pub fn origins(&self) -> &[Resolved] {
        &self.origins
    }

    /// Warnings, and errors about keys that no relation of the app knows. Call once, after binding.
    pub fn finish(&mut self) -> Vec<Diagnostic> {
        let unknown: Vec<Diagnostic> =
            self.seen.values().filter(|s| !s.known).map(|s| self.unknown_key(&s.place, &s.bare)).collect();
        let mut out: Vec<Diagnostic> = Vec::new();
        for diagnostic in self.warnings.drain(..).chain(unknown) {
            if !out.contains(&diagnostic) {
                out.push(diagnostic);
            }
        }
        out
    }

    fn unknown_key(&self, place: &Place, bare: &str) -> Diagnostic {
        // `ordres.path`: the key is right, the relation is not.
        let split = bare.match_indices('.').find(|(i, _)| {
            [Side::Source, Side::Sink]
                .iter()
                .any(|side| matches!(keys::find(&bare[i + 1..], *side), Some(Found::Key(..))))
        });
        if let Some((at, _)) = split {
            let (relation, key) = (&bare[..at], &bare[at + 1..]);
            let message = format!("property \"{bare}\" belongs to no relation of the app");
            if self.relations.contains(relation) {
                let message = format!("\"{bare}\" has no effect here");
                let hint = format!("\"{relation}\" is made by a statement of the app; give its properties there");
                return place.warning("W0513", message).hint(hint);
            }
            let names: Vec<&str> = self.relations.iter().map(String::as_str).collect();
            return match suggest::closest(relation, names.iter().copied()) {
                Some(near) => place.error("E0514", message).hint(format!("did you mean \"{near}.{key}\"?")),
                None => place.warning("W0514", message).detail(format!("relations are {}", names.join(", "))),
            };
        }
        let message = format!("property \"{bare}\" is not known");
        match suggest::did_you_mean(bare, keys::spellings()) {
            Some(hint) => place.error("E0514", message).hint(hint),
            None => place.warning("W0514", message).hint("it has no effect; remove it"),
        }
    }

    /// Everything that is said about a relation: the strongest setting of each property, variables replaced.
    fn gather(
        &mut self,
        target: &Target<'_>,
        relation: &Relation,
        with: &[WithEntry],
    ) -> Result<Gathered, Vec<Diagnostic>> {
        self.relations.insert(target.name.to_owned());
        let mut settings = Gathered::default();
        for entry in with {
            self.classify(target, entry, Rank::Plain, &mut settings);
        }
        for entry in self.globals.clone() {
            self.classify(target, &entry, Rank::Global, &mut settings);
        }
        self.relation_settings(target, relation, &mut settings);
        let mut errors = self.config_files(target, &mut settings);

        let mut table = strongest(settings.table, &mut self.warnings);
        let mut loose = strongest_loose(settings.loose);
        let env = self.env;
        let mut replace = |value: &mut String, place: &Place, written: &str| match vars::expand(value, env) {
            Ok(expanded) => *value = expanded,
            Err(error) => errors.push(bad_variable(place, written, &error)),
        };
        table.iter_mut().for_each(|s| replace(&mut s.value, &s.place, &s.written));
        loose.iter_mut().for_each(|s| replace(&mut s.value, &s.place, &s.written));
        if errors.is_empty() { Ok(Gathered { table, loose }) } else { Err(errors) }
    }

    /// Sorts one WITH or SET entry into the settings if it speaks of the target.
    fn classify(&mut self, target: &Target<'_>, entry: &WithEntry, plain: Rank, settings: &mut Gathered) {
        let key = entry.key.as_str();
        let own = key.strip_prefix(target.name).and_then(|rest| rest.strip_prefix('.'));
        let sided = match (key.strip_prefix("source."), key.strip_prefix("sink.")) {
            (Some(rest), _) => Some((rest, Side::Source)),
            (None, Some(rest)) => Some((rest, Side::Sink)),
            (None, None) => None,
        };
        let found_own = own.and_then(|rest| keys::find(rest, target.side));
        let (found, rank, bare) = match (found_own, sided) {
            (Some(found), _) => (Some(found), Rank::Named, own.unwrap_or(key)),
            (None, Some((rest, side))) => {
                let found = keys::find(rest, side);
                let found = if side == target.side { found } else { found.map(|_| Found::OtherSide) };
                (found, Rank::Sided, rest)
            }
            (None, None) => (keys::find(key, target.side), plain, own.unwrap_or(key)),
        };
        let spelling = if rank == plain { key } else { bare };
        let is_annotation = key.starts_with('@');
        let place = self.place_of(entry, target, plain == Rank::Global);
        if is_annotation {
            let message = format!("\"{key}\" in WITH has no effect");
            self.warnings.push(place.warning("W0513", message).hint(format!("write a comment line: -- {key}: …")));
        }
        self.see(&place, key, bare, found.is_some() || is_annotation);
        let Some(found) = found else { return };
        let rank = if place.giver == Giver::CommandLine { on_command_line(rank) } else { rank };
        settings.add(found, spelling, key, &entry.value, rank, place);
    }

    fn place_of(&self, entry: &WithEntry, target: &Target<'_>, is_global: bool) -> Place {
        let giver = match (is_global, entry.key_span.start == entry.key_span.end) {
            (true, true) => Giver::CommandLine,
            (true, false) => Giver::Set,
            (false, _) => Giver::With,
        };
        let span = if giver == Giver::CommandLine { target.span } else { entry.key_span.to(entry.value_span) };
        Place { span, origin: None, giver }
    }

    fn see(&mut self, place: &Place, key: &str, bare: &str, known: bool) {
        let text = place.origin.as_ref().map_or(String::new(), |o| o.name.clone());
        let at = if place.giver == Giver::CommandLine { 0 } else { place.span.start };
        let seen = self.seen.entry((text, key.to_owned(), at)).or_insert_with(|| SeenKey {
            place: place.clone(),
            bare: bare.to_owned(),
            known: false,
        });
        seen.known |= known;
        if bare.len() < seen.bare.len() {
            bare.clone_into(&mut seen.bare);
        }
    }

    /// The path or URI as settings.
    fn relation_settings(&mut self, target: &Target<'_>, relation: &Relation, settings: &mut Gathered) {
        let mut pairs: Vec<(String, String)> = Vec::new();
        match relation {
            Relation::Name => {}
            Relation::Path(path) => pairs.push(("path".into(), path.clone())),
            Relation::File { path, query } => {
                pairs.push(("path".into(), path.clone()));
                pairs.extend(query.iter().filter(|(k, _)| k != "path" && k != "type").cloned());
            }
            Relation::Kafka { brokers, topic, query } => {
                let own = [("type", "kafka"), ("bootstrap.servers", brokers), ("topic.name", topic)];
                pairs.extend(own.map(|(k, v)| (k.to_owned(), v.to_owned())));
                pairs.extend(query.iter().filter(|(k, _)| !own.iter().any(|(o, _)| o == k)).cloned());
            }
            Relation::Later(name) => pairs.push(("type".into(), (*name).to_owned())),
        }
        let place = Place::relation(target.span, Giver::Relation);
        for (written, value) in pairs {
            match keys::find(&written, target.side) {
                Some(found) => settings.add(found, &written, &written, &value, Rank::Relation, place.clone()),
                None => self.see(&place, &written, &written, false),
            }
        }
    }

    /// Adds the keys of every config file the settings name; returns what went wrong.
    fn config_files(&mut self, target: &Target<'_>, settings: &mut Gathered) -> Vec<Diagnostic> {
        let own = if target.side == Side::Source { "source_config" } else { "sink_config" };
        let namers = ["config_file", own, "monitoring_config", "security_config"];
        let mut files: Vec<Setting> = settings.table.iter().filter(|s| namers.contains(&s.key.name)).cloned().collect();
        files.sort_by_key(|s| (s.rank, namers.iter().position(|n| *n == s.key.name)));
        let mut errors = Vec::new();
        let mut loaded: Vec<PathBuf> = Vec::new();
        for (nth, file) in files.iter().enumerate() {
            let path = match vars::expand(&file.value, self.env) {
                Ok(path) => self.base_dir.join(path),
                Err(error) => {
                    errors.push(bad_variable(&file.place, &file.written, &error));
                    continue;
                }
            };
            if loaded.contains(&path) {
                continue;
            }
            match self.loader.load(&path, &file.place, self.env) {
                Ok(entries) => entries.iter().for_each(|e| self.config_entry(target, e, nth as u16, settings)),
                Err(error) => errors.push(*error),
            }
            loaded.push(path);
        }
        errors
    }

    fn config_entry(&mut self, target: &Target<'_>, entry: &config::ConfigEntry, nth: u16, settings: &mut Gathered) {
        match config::map(&entry.key, target.name, target.side) {
            Mapped::Property(found, prefix, at) => {
                self.see(&entry.place, &entry.key, &entry.key, true);
                let rank = Rank::File(nth, prefix);
                settings.add(found, &entry.key[at..], &entry.key, entry.value(), rank, entry.place.clone());
            }
            Mapped::Skip => self.see(&entry.place, &entry.key, &entry.key, true),
            Mapped::Unknown(bare) => self.see(&entry.place, &entry.key, &bare, false),
        }
    }

    /// Runs `build` over the settings of a relation and sorts what it found.
    fn resolve<T>(
        &mut self,
        target: &Target<'_>,
        with: &[WithEntry],
        build: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    ) -> Result<T, Vec<Diagnostic>> {
        let relation = relation::read(target.name).map_err(|bad| self.fresh(vec![bad_relation(target, &bad)]))?;
        let settings = self.gather(target, &relation, with).map_err(|errors| self.fresh(errors))?;
        let context = Context {
            base_dir: &self.base_dir,
            follow: self.follow,
            brokers: self.brokers.as_ref(),
            text: self.text.as_ref().map(|(name, text)| (name.as_str(), text.as_str())),
        };
        let mut reader = Reader::new(target, settings, context);
        let built = build(&mut reader);
        let (found, resolved) = reader.into_findings();
        let (errors, warnings): (Vec<_>, Vec<_>) = found.into_iter().partition(|d| d.severity == Severity::Error);
        self.warnings.extend(warnings);
        self.origins.retain(|o| o.relation != target.name || o.side != reader::side_name(target.side));
        self.origins.extend(resolved);
        match built {
            Some(built) if errors.is_empty() => Ok(built),
            _ => Err(self.fresh(errors)),
        }
    }

    /// The errors that were not told before: a relation read by several statements is resolved for each.
    fn fresh(&mut self, errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let fresh: Vec<Diagnostic> = errors.into_iter().filter(|e| !self.told.contains(e)).collect();
        self.told.extend(fresh.iter().cloned());
        fresh
    }
}

/// An `Err` without diagnostics means that they were told at an earlier call for the same relation.
impl Endpoints for Resolver<'_> {
    fn source(&mut self, name: &str, span: Span, with: &[WithEntry]) -> Result<SourceSpec, Vec<Diagnostic>> {
        let target = Target { name, span, side: Side::Source };
        self.resolve(&target, with, source::build)
    }

    fn sink(&mut self, name: &str, span: Span, with: &[WithEntry]) -> Result<Option<SinkSpec>, Vec<Diagnostic>> {
        let target = Target { name, span, side: Side::Sink };
        self.resolve(&target, with, sink::build)
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.env)(name)
    }
}

/// Rank of a value from `--set` that would have `rank` in the text: above everything there.
fn on_command_line(rank: Rank) -> Rank {
    match rank {
        Rank::Named => Rank::CommandLine(0),
        Rank::Sided => Rank::CommandLine(1),
        _ => Rank::CommandLine(2),
    }
}

fn bad_relation(target: &Target<'_>, bad: &BadRelation) -> Diagnostic {
    let place = Place::relation(target.span, Giver::Relation);
    match bad {
        BadRelation::Malformed(reason) => place
            .error("E0516", format!("malformed URI \"{}\"", target.name))
            .detail(reason.clone())
            .hint(match target.name.to_ascii_lowercase().starts_with("kafka:") {
                true => "topics are written kafka://host:9092/topic?group_id=name",
                false => "files are written file://path?format=csv&delimiter=%3B",
            }),
        BadRelation::Outside(path) => place
            .error("E0517", format!("the path \"{path}\" leaves the app's folder"))
            .hint("use an absolute path, or a plain path instead of a URI"),
    }
}

/// A value whose variables cannot be replaced.
fn bad_variable(place: &Place, key: &str, error: &VarError) -> Diagnostic {
    match error {
        VarError::Unset { name, message: Some(message) } => {
            place.error("E0518", format!("\"{key}\" needs the variable {name}: {message}"))
        }
        VarError::Unset { name, message: None } => place
            .error("E0518", format!("\"{key}\" needs the variable {name}, which is not set"))
            .hint(format!("set it, or write a default: ${{{name}:default}}")),
        VarError::Malformed { reason } => place
            .error("E0519", format!("\"{key}\" has a malformed variable: {reason}"))
            .hint("write ${NAME}, ${NAME:default} or ${NAME:?message}; a literal ${ is $${"),
    }
}

#[cfg(test)]
mod tests;
