//! Records from data schemas: the same for the same seed, byte for byte.
//!
//! A [`Generator`] holds what lasts over a run: the seed, the run's `now`, where random walks stand, and values that other
//! schemas refer to. A [`Source`] draws the records of one input. Its random numbers come from the seed and its own names
//! (application, query, source), so a query that is added changes no data of another. Sources are drawn one after the
//! other, in the order of the spec: walks and references go on from one to the next.

use std::sync::Arc;

use velostream_sql::diag::{Diagnostic, Severity};
use velostream_types::Value;
use velostream_types::time::{ns_to_ms, parse_instant};

use crate::record::{Published, Row};
use crate::record_text;
use crate::schema::{DataSchema, Reference};
use crate::spec::TimeSimulation;

mod derive;
mod draw;
pub mod encode;
mod event_time;
mod memory;
mod number;
mod pattern;
mod plan;
mod random;

pub use memory::{SAMPLE_MAX, WALK_GROUPS_MAX};

use draw::{Around, Draw};
use event_time::EventTimes;
use memory::{Samples, Walks};
use plan::{Given, Plan, instead_of, plan};
use random::Random;

/// Fields that give the event time where it is not simulated, the first that is there.
const EVENT_TIME_FIELDS: [&str; 4] = ["event_time", "timestamp", "time", "created_at"];

/// What lasts over a run.
#[derive(Clone, Debug)]
pub struct Generator {
    seed: Option<u64>,
    now_ms: i64,
    samples: Samples,
    walks: Walks,
}

/// The event time that a row of a file has, ms: that of the first of the usual fields which is a time, as a date and time
/// or in ms.
pub fn event_time_of(row: &Row) -> Option<i64> {
    EVENT_TIME_FIELDS.iter().find_map(|name| match row.get(name)? {
        Value::Int(ms) => Some(*ms),
        Value::Timestamp(ns) => Some(ns_to_ms(*ns)),
        Value::Str(text) => parse_instant(text.trim()).map(ns_to_ms),
        _ => None,
    })
}

/// Which records are wanted.
#[derive(Clone, Copy, Debug)]
pub struct SourceSpec<'a> {
    /// Name of the source in the SQL.
    pub source: &'a str,
    /// Name of the app.
    pub application: &'a str,
    /// Name of the query under test.
    pub query: &'a str,
    /// How many.
    pub records: u64,
    /// Their event times; default: those of the schema.
    pub time: Option<&'a TimeSimulation>,
    /// Field whose text is the message key; default: the schema's.
    pub key_field: Option<&'a str>,
    /// Rate of NULLs in all nullable fields, instead of their own.
    pub null_probability: Option<f64>,
}

/// What is wrong with a schema, before the first record: errors and warnings at its fields. A finding inside an expression
/// or a pattern brings that text as its origin; the others, and second places, point into the schema's file.
pub fn check(schema: &DataSchema, now_ms: i64) -> Vec<Diagnostic> {
    let simulated = schema.time.is_some();
    let samples = Samples::default();
    let given = Given { now_ms, simulated, records: 1, null_probability: None, samples: &samples };
    let (plan, mut found) = plan(schema, &given, &mut Walks::default());
    found
        .extend(schema.key_field.as_deref().and_then(|key| position(&plan, schema, key).err()).map(|finding| *finding));
    found
}

/// Position of the key field.
fn position(plan: &Plan, schema: &DataSchema, key: &str) -> Result<usize, Box<Diagnostic>> {
    plan.fields.iter().position(|field| &*field.name == key).ok_or_else(|| {
        let mut finding = without_place("E0203", format!("key field \"{key}\" does not exist"));
        (finding.detail, finding.hint) = instead_of(key, schema);
        Box::new(finding)
    })
}

/// An error about an input, whose place the caller knows.
fn without_place(code: &'static str, message: String) -> Diagnostic {
    Diagnostic { primary: None, ..Diagnostic::error(code, velostream_types::Span::default(), message) }
}

impl Generator {
    /// For a run over these schemas; of the fields they refer to, values are kept. Without a seed that of each schema
    /// counts, else 0.
    pub fn new<'a>(seed: Option<u64>, now_ms: i64, schemas: impl IntoIterator<Item = &'a DataSchema>) -> Generator {
        Generator { seed, now_ms, samples: Samples::of(schemas), walks: Walks::default() }
    }

    /// Takes note of a value that other schemas may refer to: of a record that was not generated, or of a reference's
    /// file. Values nobody refers to are forgotten at once.
    pub fn offer(&mut self, schema: &str, field: &str, value: &Value) {
        if let Some(position) = self.samples.position(schema, field) {
            self.samples.offer(position, value);
        }
    }

    /// Fields of a schema that others refer to: what [`Generator::offer`] would take note of.
    pub fn referred(&self, schema: &str) -> Vec<String> {
        self.samples.fields_of(schema).map(str::to_owned).collect()
    }

    /// References of the schema that no value is known for yet: those with a file can be given its values now, with
    /// [`Generator::offer`].
    pub fn unmet<'s>(&self, schema: &'s DataSchema) -> impl Iterator<Item = &'s Reference> {
        let references = schema.fields.iter().filter_map(|field| field.constraints.references.as_ref());
        references.filter(|reference| self.samples.values(&reference.schema, &reference.field).next().is_none())
    }

    /// The records of an input. The error has at least one finding that is an error; those without a place are about the
    /// input.
    pub fn source<'g>(
        &'g mut self,
        schema: &DataSchema,
        input: &SourceSpec<'_>,
    ) -> Result<Source<'g>, Vec<Diagnostic>> {
        let simulation = input.time.or(schema.time.as_ref());
        let given = Given {
            now_ms: self.now_ms,
            simulated: simulation.is_some(),
            records: input.records,
            null_probability: input.null_probability,
            samples: &self.samples,
        };
        let (plan, mut found) = plan(schema, &given, &mut self.walks);
        found.retain(|finding| finding.severity == Severity::Error);
        let times = simulation.map(|simulation| EventTimes::new(simulation, input.records, self.now_ms)).transpose();
        let times = times.unwrap_or_else(|message| {
            found.push(without_place("E0308", message).hint("start_time is before end_time"));
            None
        });
        let key = input.key_field.or(schema.key_field.as_deref()).map(|key| position(&plan, schema, key)).transpose();
        let key = key.unwrap_or_else(|finding| {
            found.push(*finding);
            None
        });
        if !found.is_empty() {
            return Err(found);
        }
        let event_time_fields = EVENT_TIME_FIELDS
            .iter()
            .filter_map(|name| plan.fields.iter().position(|field| &*field.name == *name))
            .collect();
        let seed = self.seed.or(schema.seed).unwrap_or(0);
        Ok(Source {
            warnings: invented(schema, &plan),
            plan,
            times,
            key,
            event_time_fields,
            random: Random::of(seed, &[input.application, input.query, input.source]),
            seed,
            records: input.records,
            drawn: 0,
            text: String::new(),
            generator: self,
        })
    }
}

/// Warns of references to values that nobody published.
fn invented(schema: &DataSchema, plan: &Plan) -> Vec<Diagnostic> {
    let fields = schema.fields.iter().zip(&plan.fields);
    let without_values = fields.filter(|(field, plan)| match (&field.constraints.references, &plan.draw) {
        (None, _) | (Some(_), Draw::OneOf(_)) => false,
        (Some(_), _) => true,
    });
    without_values
        .filter_map(|(field, _)| {
            let Reference { schema, field: referred, .. } = field.constraints.references.as_ref()?;
            let message = format!("field \"{}\" refers to {schema}.{referred}, which has no values yet", field.name);
            let hint = "let an earlier input publish that schema, or give the reference a file; values were made up";
            Some(Diagnostic::warning("W0513", field.span, message).hint(hint))
        })
        .collect()
}

/// The records of one input.
#[derive(Debug)]
pub struct Source<'g> {
    generator: &'g mut Generator,
    plan: Plan,
    times: Option<EventTimes>,
    key: Option<usize>,
    event_time_fields: Vec<usize>,
    random: Random,
    seed: u64,
    records: u64,
    drawn: u64,
    text: String,
    warnings: Vec<Diagnostic>,
}

impl Source<'_> {
    /// The seed that its random numbers come from; for the report.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What its author should know about, although there will be records.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Draws the next record over the last one, whose memory is used again. FALSE when all were drawn.
    pub fn next_into(&mut self, out: &mut Published) -> bool {
        if self.drawn >= self.records {
            return false;
        }
        let plan = &self.plan;
        let fields = &mut out.row.fields;
        let same = fields.len() == plan.fields.len()
            && fields.iter().zip(&plan.fields).all(|((name, _), field)| Arc::ptr_eq(name, &field.name));
        if !same {
            fields.clear();
            fields.extend(plan.fields.iter().map(|field| (Arc::clone(&field.name), Value::Null)));
        }
        let simulated = self.times.as_mut().map(|times| times.next(&mut self.random));
        let mut around = Around {
            random: &mut self.random,
            walks: &mut self.generator.walks,
            text: &mut self.text,
            now_ms: self.generator.now_ms,
            event_ms: simulated.unwrap_or(self.generator.now_ms),
            nth: self.drawn,
            count: self.records,
        };
        for at in &plan.order {
            let field = &plan.fields[*at];
            let null = field.null_rate > 0.0 && around.random.happens(field.null_rate);
            let value = if null { Value::Null } else { field.draw.value(fields, &mut around) };
            if let Some(position) = field.sample {
                self.generator.samples.offer(position, &value);
            }
            fields[*at].1 = value;
        }
        let key = self.key.map(|at| &fields[at].1).filter(|value| !value.is_null());
        out.key = key.map(|value| record_text::text(value).into());
        out.event_time_ms = simulated.or_else(|| {
            self.event_time_fields.iter().find_map(|at| match fields[*at].1 {
                Value::Int(ms) => Some(ms),
                Value::Timestamp(ns) => Some(ns_to_ms(ns)),
                _ => None,
            })
        });
        self.drawn += 1;
        true
    }
}

#[cfg(test)]
mod tests;
