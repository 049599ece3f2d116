//! A data schema out of YAML.

use velostream_sql::diag::Diagnostic;
use velostream_sql::suggest;
use velostream_types::Span;

use super::conform;
use super::fields::Fields;
use super::limits::{moments_ordered, ordered, weights};
use super::queries::unique;
use super::schema_keys::{
    CONSTRAINTS, DERIVED, DISTRIBUTION, ENUM_VALUES, FIELD, FIELD_TYPE, LENGTH, RANGE, REFERENCES, SCHEMA, TIME_RANGE,
};
use super::tree;
use super::words::{FIELD_TYPES, meaning};
use crate::findings::{BAD_WEIGHTS, Findings, Loaded, NO_EFFECT, UNKNOWN_NAME};
use crate::schema::{Constraints, DataSchema, Distribution, EnumValues, FieldSpec, FieldType, Reference};
use crate::spec::Moment;

/// Rate of NULLs in a nullable field that does not say.
const NULL_RATE: f64 = 0.1;

/// Reads a data schema. `name` is what users know the file by.
pub fn data_schema(name: &str, text: &str) -> Loaded<DataSchema> {
    let mut findings = Findings::of_file(name, text);
    let top = match tree::read(text) {
        Ok(top) => top,
        Err(finding) => {
            findings.push(*finding);
            return findings.into_loaded(None);
        }
    };
    conform::judge(&top, &SCHEMA, &mut findings);
    let f = Fields::new(&top, &SCHEMA);
    let maps = f.objects("fields", &FIELD);
    let fields: Vec<FieldSpec> = maps.iter().map(|map| field(*map, &mut findings)).collect();
    unique(fields.iter().map(|field| (&*field.name, field.span)), "fields", &mut findings);
    let names: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
    maps.iter().for_each(|map| known_fields(*map, &names, &mut findings));
    if let Some(entry) = f.entry("key_field")
        && let Some(key) = entry.value.text().filter(|key| !names.contains(&&**key))
    {
        let finding = Diagnostic::warning(NO_EFFECT, entry.value.span, format!("no field is called \"{key}\""));
        findings.push(finding.hint(or_names(&key, &names)));
    }
    let schema = DataSchema {
        name: f.text("name"),
        description: f.text_if_given("description"),
        record_count: f.count_if_given("record_count"),
        key_field: f.text_if_given("key_field"),
        seed: None,
        time: None,
        fields,
    };
    findings.into_loaded(Some(schema))
}

fn field(f: Fields<'_>, findings: &mut Findings) -> FieldSpec {
    let nullable = f.flag_if_given("nullable");
    let rate = f.number_if_given("null_probability");
    if let (Some(false), Some(entry)) = (nullable, f.entry("null_probability")) {
        findings.warn(NO_EFFECT, entry.key_span, "\"null_probability\" has no effect: the field is not nullable");
    }
    let null_rate = match (nullable, rate) {
        (Some(false), _) | (None, None) => 0.0,
        (_, Some(rate)) => rate,
        (Some(true), None) => NULL_RATE,
    };
    let constraints = f.object("constraints", &CONSTRAINTS);
    FieldSpec {
        name: f.text("name"),
        span: f.entry("name").map_or_else(|| f.span(), |entry| entry.value.span),
        field_type: field_type(f),
        null_rate,
        constraints: constraints.map(|constraints| read_constraints(constraints, findings)).unwrap_or_default(),
    }
}

fn field_type(f: Fields<'_>) -> FieldType {
    match f.variant("type", FIELD_TYPE) {
        Some(("decimal", of)) => FieldType::Decimal(of.count("precision") as u8),
        Some((word, _)) => meaning(&FIELD_TYPES, word).unwrap_or(FieldType::String),
        None => FieldType::String,
    }
}

fn read_constraints(f: Fields<'_>, findings: &mut Findings) -> Constraints {
    Constraints {
        enum_values: f.object("enum_values", &ENUM_VALUES).map(|values| enum_values(values, findings)),
        references: f.object("references", &REFERENCES).map(|of| Reference {
            schema: of.text("schema"),
            field: of.text("field"),
            file: of.text_if_given("file"),
        }),
        range: f.object("range", &RANGE).map(|range| {
            ordered(range, "min", "max", findings);
            (range.number("min"), range.number("max"))
        }),
        length: f.object("length", &LENGTH).map(|length| lengths(length, findings)),
        pattern: f.text_if_given("pattern"),
        distribution: f.variant("distribution", DISTRIBUTION).map(|(word, of)| distribution(word, of)),
        derived: f.object("derived", &DERIVED).map(|derived| derived.text("expression")),
        timestamp_range: f.object("timestamp_range", &TIME_RANGE).map(|range| times(range, findings)),
        timestamp_epoch_ms: f.object("timestamp_epoch_ms", &TIME_RANGE).map(|range| times(range, findings)),
        sequential: false,
    }
}

fn enum_values(f: Fields<'_>, findings: &mut Findings) -> EnumValues {
    let values = f.texts("values");
    let of_values = f.numbers_if_given("weights");
    let place = |key: &str| f.entry(key).map_or_else(|| f.span(), |entry| entry.key_span);
    if let Some(of_values) = &of_values {
        weights(values.len(), of_values, place("weights"), findings);
    } else if values.is_empty() && f.entry("values").is_some() {
        findings.error(BAD_WEIGHTS, place("values"), "there is no value to choose");
    }
    EnumValues { values, weights: of_values }
}

/// A bound that is not given makes room for the one that is.
fn lengths(f: Fields<'_>, findings: &mut Findings) -> (usize, usize) {
    ordered(f, "min", "max", findings);
    let (min, max) = (f.count("min"), f.count("max"));
    let (min, max) = match (f.count_if_given("min"), f.count_if_given("max")) {
        (Some(_), None) => (min, max.max(min)),
        (None, Some(_)) => (min.min(max), max),
        _ => (min, max),
    };
    (min as usize, max as usize)
}

fn times(f: Fields<'_>, findings: &mut Findings) -> (Moment, Moment) {
    moments_ordered(f, "start", "end", true, findings);
    (f.moment("start"), f.moment("end"))
}

fn distribution(word: &str, f: Fields<'_>) -> Distribution {
    match word {
        "normal" => Distribution::Normal { mean: f.number("mean"), std_dev: f.number("std_dev") },
        "log_normal" => Distribution::LogNormal { mean: f.number("mean"), std_dev: f.number("std_dev") },
        "zipf" => Distribution::Zipf { exponent: f.number("exponent") },
        "random_walk" => Distribution::RandomWalk {
            drift: f.number("drift"),
            volatility: f.number("volatility"),
            group_by: f.text_if_given("group_by"),
            allow_below_min: f.flag("allow_below_min"),
            allow_above_max: f.flag("allow_above_max"),
        },
        _ => Distribution::Uniform,
    }
}

/// What a field is computed from or grouped by has to be a field, too.
fn known_fields(f: Fields<'_>, names: &[&str], findings: &mut Findings) {
    let Some(constraints) = f.object("constraints", &CONSTRAINTS) else { return };
    let mut known = |name: &str, span: Span| {
        if !names.contains(&name) {
            let finding = Diagnostic::error(UNKNOWN_NAME, span, format!("no field is called \"{name}\""));
            findings.push(finding.hint(or_names(name, names)));
        }
    };
    if let Some(derived) = constraints.object("derived", &DERIVED) {
        for node in derived.items("depends_on") {
            node.text().iter().for_each(|name| known(name, node.span));
        }
    }
    if let Some(("random_walk", walk)) = constraints.variant("distribution", DISTRIBUTION)
        && let Some(entry) = walk.entry("group_by")
    {
        entry.value.text().iter().for_each(|name| known(name, entry.value.span));
    }
}

fn or_names(name: &str, names: &[&str]) -> String {
    let nearest = suggest::did_you_mean(name, names.iter().copied());
    nearest.unwrap_or_else(|| format!("fields are {}", names.join(", ")))
}
