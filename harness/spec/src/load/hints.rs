//! Data schemas out of the `-- @data.` lines of an SQL text.
//!
//! `-- @data.source: trades` begins a schema; what follows belongs to it until the next one. Settings in front of the
//! first source are those of all, fields in front of it those of the first. A field is described by lines of one
//! property (`@data.price.type: decimal(2)`), by a shorthand of several (`@data.price: range [1, 9], distribution:
//! normal`), or both; what is said last counts. A `--` outside quotes ends a line.

mod field;
mod split;

use velostream_sql::diag::Diagnostic;
use velostream_sql::suggest;
use velostream_types::Span;

use super::moment;
use crate::findings::{BAD_HINT, Findings, Loaded, REVERSED, UNKNOWN_NAME};
use crate::schema::DataSchema;
use crate::spec::{Moment, TimeSimulation};
use field::FieldHints;
use split::{Piece, hint_lines};

/// Hints about a source, not about one of its fields.
const SETTINGS: [&str; 6] = ["source", "record_count", "time_simulation", "time_start", "time_end", "seed"];

/// What times take, for findings.
const MOMENTS: &str = "it is `now`, a span from now such as `-4h`, or a time such as `2024-01-31T09:30:00Z`";

/// Reads the hints of an SQL text: one schema per source, in the order of the text.
pub fn hints(sql: &str) -> Loaded<Vec<DataSchema>> {
    let mut reader = Reader { findings: Findings::of_sql(), sources: Vec::new(), shared: Settings::default() };
    let mut orphans = None;
    for line in hint_lines(sql) {
        orphans = orphans.or(Some(line.span));
        reader.line(line);
    }
    let Reader { mut findings, sources, shared } = reader;
    if let (Some(span), true) = (orphans, sources.iter().all(|source| source.name.is_none())) {
        let finding = Diagnostic::warning(BAD_HINT, span, "these hints are about no source");
        findings.push(finding.hint("begin them with `-- @data.source: NAME`"));
    }
    let schemas = sources.into_iter().filter_map(|source| source.schema(&shared, &mut findings)).collect();
    findings.into_loaded(Some(schemas))
}

/// What is said of a source as a whole.
#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    record_count: Option<u64>,
    seed: Option<u64>,
    is_sequential: Option<bool>,
    start: Option<(Moment, Span)>,
    end: Option<(Moment, Span)>,
}

#[derive(Default)]
struct Source {
    /// `None` until the first `source`.
    name: Option<String>,
    settings: Settings,
    fields: Vec<FieldHints>,
}

struct Reader {
    findings: Findings,
    sources: Vec<Source>,
    shared: Settings,
}

impl Reader {
    fn line(&mut self, line: Piece<'_>) {
        let Some((path, value)) = line.cut(':') else {
            let finding = Diagnostic::error(BAD_HINT, line.span, "this hint has no value");
            return self.findings.push(finding.hint("write `-- @data.NAME: VALUE`"));
        };
        if value.text.is_empty() {
            let message = format!("\"@data.{}\" has no value", path.text);
            return self.findings.error(BAD_HINT, path.span, message);
        }
        if SETTINGS.contains(&path.text) {
            return self.setting(path, value.unquoted());
        }
        let (name, property) = match path.text.rsplit_once('.') {
            Some((name, property)) => (name, Some(path.tail(property.len()))),
            None => (path.text, None),
        };
        let field = self.field(name, path.span);
        let result = match property {
            Some(property) => field.set(property, value),
            None => field.shorthand(value),
        };
        if let Err(finding) = result {
            field.is_broken = true;
            // A setting that is misspelt reads like a field.
            let meant = suggest::did_you_mean(name, SETTINGS).filter(|_| property.is_none());
            self.findings.push(match meant {
                Some(hint) => finding.hint(hint),
                None => *finding,
            });
        }
    }

    fn setting(&mut self, name: Piece<'_>, value: Piece<'_>) {
        if name.text == "source" {
            return self.source(value.text);
        }
        let settings = match self.sources.last_mut() {
            Some(source) if source.name.is_some() => &mut source.settings,
            _ => &mut self.shared,
        };
        let is_known = match name.text {
            "record_count" => value.text.parse().map(|count| settings.record_count = Some(count)).is_ok(),
            "seed" => value.text.parse().map(|seed| settings.seed = Some(seed)).is_ok(),
            "time_start" => moment::parse(value.text).map(|at| settings.start = Some((at, value.span))).is_some(),
            "time_end" => moment::parse(value.text).map(|at| settings.end = Some((at, value.span))).is_some(),
            _ => {
                settings.is_sequential = Some(value.text == "sequential");
                matches!(value.text, "sequential" | "random")
            }
        };
        if !is_known {
            let hint = match name.text {
                "record_count" | "seed" => "it is a whole number",
                "time_simulation" => "it is sequential or random",
                _ => MOMENTS,
            };
            let message = format!("\"@data.{}\" cannot be \"{}\"", name.text, value.text);
            self.findings.push(Diagnostic::error(BAD_HINT, value.span, message).hint(hint));
        }
    }

    fn source(&mut self, name: &str) {
        if let [Source { name: unnamed @ None, .. }] = &mut self.sources[..] {
            *unnamed = Some(name.to_owned());
            return;
        }
        let source = match self.sources.iter().position(|source| source.name.as_deref() == Some(name)) {
            // Its hints go on.
            Some(known) => self.sources.remove(known),
            None => Source { name: Some(name.to_owned()), ..Source::default() },
        };
        self.sources.push(source);
    }

    /// The hints about a field of the current source.
    fn field(&mut self, name: &str, span: Span) -> &mut FieldHints {
        if self.sources.is_empty() {
            self.sources.push(Source::default());
        }
        let last = self.sources.len() - 1;
        let fields = &mut self.sources[last].fields;
        let at = fields.iter().position(|field| field.name == name).unwrap_or_else(|| {
            fields.push(FieldHints::new(name, span));
            fields.len() - 1
        });
        &mut fields[at]
    }
}

impl Source {
    fn schema(self, shared: &Settings, findings: &mut Findings) -> Option<DataSchema> {
        let names: Vec<String> = self.fields.iter().map(|field| field.name.clone()).collect();
        for (group, span) in self.fields.iter().filter_map(|field| field.group_by.as_ref()) {
            if !names.contains(group) {
                let finding = Diagnostic::error(UNKNOWN_NAME, *span, format!("no field is called \"{group}\""));
                findings.push(match suggest::did_you_mean(group, names.iter().map(String::as_str)) {
                    Some(hint) => finding.hint(hint),
                    None => finding.detail(format!("fields are {}", names.join(", "))),
                });
            }
        }
        let own = self.settings;
        let time = Settings {
            is_sequential: own.is_sequential.or(shared.is_sequential),
            start: own.start.or(shared.start),
            end: own.end.or(shared.end),
            ..own
        };
        Some(DataSchema {
            name: self.name?,
            description: None,
            fields: self.fields.into_iter().filter_map(|field| field.finish(findings)).collect(),
            record_count: own.record_count.or(shared.record_count),
            key_field: None,
            seed: own.seed.or(shared.seed),
            time: time.simulation(findings),
        })
    }
}

/// An hour before the run.
const DEFAULT_START: Moment = Moment::Relative(-3_600_000);

impl Settings {
    /// Event times, if any hint speaks of them.
    fn simulation(&self, findings: &mut Findings) -> Option<TimeSimulation> {
        let place = self.end.or(self.start).map(|(_, span)| span);
        if place.is_none() && self.is_sequential.is_none() {
            return None;
        }
        let start = self.start.map_or(DEFAULT_START, |(at, _)| at);
        let end = self.end.map_or(Moment::Relative(0), |(at, _)| at);
        if let Some(span) = place.filter(|_| moment::is_reversed(start, end, false)) {
            findings.error(REVERSED, span, "\"time_start\" is not before \"time_end\"");
        }
        Some(TimeSimulation {
            start,
            end,
            time_scale: 1.0,
            events_per_second: None,
            sequential: self.is_sequential.unwrap_or(true),
            jitter_ms: 0,
            batch_size: 1,
        })
    }
}
