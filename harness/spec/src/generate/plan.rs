//! From a schema's fields to how each is drawn, and every reason why one cannot be.

use velostream_sql::diag::{Diagnostic, Label, Origin};
use velostream_sql::suggest::did_you_mean;
use velostream_types::Span;

use super::derive::{Derived, converted, from_text};
use super::draw::{Choice, Draw, FieldPlan, Walk};
use super::memory::{Samples, Walks};
use super::number::{Form, Law, Numbers, Range, Zipf};
use super::pattern::Pattern;
use crate::schema::{Constraints, DataSchema, Distribution, EnumValues, FieldSpec, FieldType, Reference};
use crate::spec::Moment;

/// Numbers where the schema gives no range.
const INTEGERS: (f64, f64) = (0.0, 999.0);
const FLOATS: (f64, f64) = (0.0, 1_000.0);
const WALKS: (f64, f64) = (100.0, 1_000.0);
/// Characters of a text where the schema says nothing.
const LENGTH: (usize, usize) = (5, 19);
/// Longest text that `length` may ask for.
const LENGTH_MAX: usize = 1 << 20;
/// Timestamps begin so long before now, dates so many days.
const TIMESTAMPS_BACK_MS: i64 = 3_600_000;
const DATES_BACK_DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;

/// What the fields of a source depend on beside their schema.
pub(super) struct Given<'a> {
    pub now_ms: i64,
    /// Records have simulated event times.
    pub simulated: bool,
    pub records: u64,
    /// Instead of the rate of every nullable field.
    pub null_probability: Option<f64>,
    pub samples: &'a Samples,
}

/// How the records of a schema are drawn.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// In the schema's order.
    pub fields: Vec<FieldPlan>,
    /// Positions in the order in which they are drawn: plain fields, walks that have groups, derived fields.
    pub order: Vec<usize>,
}

/// Settles all fields. The plan is whole if none of the findings is an error.
pub(super) fn plan(schema: &DataSchema, given: &Given<'_>, walks: &mut Walks) -> (Plan, Vec<Diagnostic>) {
    let mut planner = Planner { schema, given, walks, found: Vec::new() };
    let fields: Vec<FieldPlan> = schema.fields.iter().map(|field| planner.field(field)).collect();
    let (mut order, mut grouped) = (Vec::new(), Vec::new());
    for (at, field) in fields.iter().enumerate() {
        match &field.draw {
            Draw::Derived(_) => {}
            Draw::Walk(Walk { group: Some(group), .. }) => {
                planner.group_is_plain(at, *group, &fields);
                grouped.push(at);
            }
            _ => order.push(at),
        }
    }
    order.extend(grouped);
    planner.derived_in_order(&fields, &mut order);
    (Plan { fields, order }, planner.found)
}

struct Planner<'a> {
    schema: &'a DataSchema,
    given: &'a Given<'a>,
    walks: &'a mut Walks,
    found: Vec<Diagnostic>,
}

/// An error about a text inside a field: the place in that text first, then the field's in its file.
fn inside(field: &FieldSpec, what: &str, text: &str, mut finding: Diagnostic) -> Diagnostic {
    let span = finding.primary.as_ref().map(|label| label.span).unwrap_or_default();
    let origin = Origin { name: format!("{what} of {}", field.name), text: text.into() };
    finding.primary = Some(Label { span, text: String::new(), origin: Some(origin) });
    finding.also(field.span, "of this field")
}

/// Detail and hint for a name that is no field.
pub(super) fn instead_of(name: &str, schema: &DataSchema) -> (Option<String>, Option<String>) {
    let names: Vec<&str> = schema.fields.iter().map(|field| field.name.as_str()).collect();
    let detail = format!("schema {} has the fields {}", schema.name, names.join(", "));
    (Some(detail), did_you_mean(name, names))
}

impl Planner<'_> {
    fn error(&mut self, field: &FieldSpec, code: &'static str, message: impl Into<String>, hint: &str) {
        self.found.push(Diagnostic::error(code, field.span, message).hint(hint));
    }

    fn field(&mut self, field: &FieldSpec) -> FieldPlan {
        let nullable = field.null_rate > 0.0;
        let null_rate = self.given.null_probability.filter(|_| nullable).unwrap_or(field.null_rate);
        let (draw, used) = self.draw(field);
        self.without_effect(field, used);
        let sample = self.given.samples.position(&self.schema.name, &field.name);
        FieldPlan { name: field.name.as_str().into(), null_rate, draw, sample }
    }

    /// Warns of constraints that the field's values do not follow.
    fn without_effect(&mut self, field: &FieldSpec, used: &[&str]) {
        let c = &field.constraints;
        let given = [
            ("references", c.references.is_some()),
            ("derived", c.derived.is_some()),
            ("range", c.range.is_some()),
            ("distribution", c.distribution.is_some()),
            ("pattern", c.pattern.is_some()),
            ("length", c.length.is_some()),
            ("timestamp_range", c.timestamp_range.is_some()),
            ("timestamp_epoch_ms", c.timestamp_epoch_ms.is_some()),
            ("sequential", c.sequential),
        ];
        let idle: Vec<&str> =
            given.iter().filter(|(name, given)| *given && !used.contains(name)).map(|(name, _)| *name).collect();
        if !idle.is_empty() {
            let message = format!("field \"{}\" does not follow its {}", field.name, idle.join(", "));
            let hint = match used.first() {
                Some(first) => format!("{first} decides; remove the others"),
                None => "values of this type do not have it; remove it".to_owned(),
            };
            self.found.push(Diagnostic::warning("W0513", field.span, message).hint(hint));
        }
    }

    /// How the field is drawn, and by which of its constraints.
    fn draw(&mut self, field: &FieldSpec) -> (Draw, &'static [&'static str]) {
        let c = &field.constraints;
        if let FieldType::Decimal(scale) = field.field_type
            && scale > 38
        {
            let message = format!("field \"{}\" has {scale} digits behind the point", field.name);
            self.error(field, "E0308", message, "a decimal has at most 38 digits");
            return (Draw::Boolean, ALL);
        }
        if let Some(values) = &c.enum_values {
            return (self.enumerated(field, values), &["enum_values"]);
        }
        if let Some(reference) = &c.references {
            return (self.referred(field, reference), &["references"]);
        }
        if let Some(text) = &c.derived {
            return (self.derived(field, text), &["derived"]);
        }
        match field.field_type {
            FieldType::Integer => match (c.timestamp_epoch_ms, field.name.as_str()) {
                (Some(_), "timestamp") if self.given.simulated => (Draw::Now { as_ms: true }, TIMES),
                (Some(_), _) if self.given.simulated => (Draw::EventTime { as_ms: true }, TIMES),
                (Some(bounds), _) => (self.moments(field, bounds, true), TIMES),
                (None, "timestamp") if c.range.is_none() && c.distribution.is_none() => {
                    (Draw::Now { as_ms: true }, &[])
                }
                _ => self.numbers(field, Form::Integer, INTEGERS),
            },
            FieldType::Float => self.numbers(field, Form::Float, FLOATS),
            FieldType::Decimal(scale) => self.numbers(field, Form::Decimal(scale), FLOATS),
            FieldType::Boolean => (Draw::Boolean, &[]),
            FieldType::Uuid => (Draw::Uuid, &[]),
            FieldType::Timestamp if self.given.simulated => (Draw::EventTime { as_ms: false }, TIMES),
            FieldType::Timestamp => {
                let default = (Moment::Relative(-TIMESTAMPS_BACK_MS), Moment::Relative(0));
                let bounds = c.timestamp_range.or(c.timestamp_epoch_ms).unwrap_or(default);
                (self.moments(field, bounds, false), TIMES)
            }
            FieldType::Date => {
                let default = (Moment::Relative(-DATES_BACK_DAYS * DAY_MS), Moment::Relative(0));
                let (from, to) = self.bounds(field, c.timestamp_range.unwrap_or(default));
                (Draw::Days(from.div_euclid(DAY_MS) as i32, to.div_euclid(DAY_MS) as i32), &["timestamp_range"])
            }
            FieldType::String => self.texts(field),
        }
    }

    fn enumerated(&mut self, field: &FieldSpec, EnumValues { values, weights }: &EnumValues) -> Draw {
        let mut typed = Vec::with_capacity(values.len());
        for value in values {
            match from_text(value, field.field_type) {
                Some(value) => typed.push(value),
                None => {
                    let message = format!("'{value}' is no value of field \"{}\"", field.name);
                    let hint = format!("its values are {}", said(field.field_type));
                    self.error(field, "E0308", message, &hint);
                }
            }
        }
        if values.is_empty() {
            let message = format!("field \"{}\" has no values to choose from", field.name);
            self.error(field, "E0308", message, "list at least one under enum_values");
        }
        let mut sum = 0.0;
        let sums: Option<Vec<f64>> = weights.as_ref().map(|weights| {
            let up_to = |weight: &f64| {
                sum += *weight;
                sum
            };
            weights.iter().map(up_to).collect()
        });
        if let (Some(weights), Some(sums)) = (weights, &sums) {
            let positive = weights.iter().all(|w| *w >= 0.0) && sums.last().is_some_and(|s| *s > 0.0 && s.is_finite());
            let wrong = if weights.len() != values.len() {
                Some(format!("field \"{}\" has {} values and {} weights", field.name, values.len(), weights.len()))
            } else if !positive {
                Some(format!("by the weights of field \"{}\" no value can be chosen", field.name))
            } else {
                None
            };
            if let Some(message) = wrong {
                self.error(field, "E0308", message, "give each value a weight of at least 0, one of them above 0");
            }
        }
        Draw::OneOf(Choice { values: typed, sums })
    }

    fn referred(&mut self, field: &FieldSpec, reference: &Reference) -> Draw {
        let known = self.given.samples.values(&reference.schema, &reference.field);
        let values: Vec<_> = known.filter_map(|value| converted(value, field.field_type)).collect();
        if !values.is_empty() {
            return Draw::OneOf(Choice { values, sums: None });
        }
        let prefix = reference.schema.to_uppercase();
        match field.field_type {
            FieldType::String | FieldType::Uuid => Draw::Invented { prefix, as_integer: false },
            FieldType::Integer => Draw::Invented { prefix, as_integer: true },
            // Of other types nothing can be invented that would be recognised; they are drawn as if they referred to nothing.
            _ => {
                let plain = Constraints { references: None, ..field.constraints.clone() };
                self.draw(&FieldSpec { constraints: plain, ..field.clone() }).0
            }
        }
    }

    fn derived(&mut self, field: &FieldSpec, text: &str) -> Draw {
        match Derived::parse(text, self.schema, field.field_type) {
            Ok(derived) => Draw::Derived(derived),
            Err(mistake) => {
                self.found.push(inside(field, "derived", text, mistake.into_diagnostic()));
                Draw::Boolean
            }
        }
    }

    fn texts(&mut self, field: &FieldSpec) -> (Draw, &'static [&'static str]) {
        if let Some(text) = &field.constraints.pattern {
            return match Pattern::parse(text) {
                Ok(pattern) => (Draw::Pattern(pattern), &["pattern"]),
                Err(refused) => {
                    let message = format!("no text can be written from this pattern: {}", refused.why);
                    let finding = Diagnostic::error("E0308", refused.span, message)
                        .hint("patterns are literals, classes, groups, |, ?, *, +, {n} and {n,m}");
                    self.found.push(inside(field, "pattern", text, finding));
                    (Draw::Boolean, ALL)
                }
            };
        }
        let (least, most) = field.constraints.length.unwrap_or(LENGTH);
        if least > most || most > LENGTH_MAX {
            let message = format!("no text of field \"{}\" has {least} to {most} characters", field.name);
            let hint = format!("write the smaller number as min; max is at most {LENGTH_MAX}");
            self.error(field, "E0308", message, &hint);
        }
        (Draw::Letters { least, most }, &["length"])
    }

    fn bounds(&mut self, field: &FieldSpec, (from, to): (Moment, Moment)) -> (i64, i64) {
        let (from, to) = (from.ms(self.given.now_ms), to.ms(self.given.now_ms));
        if from > to {
            let message = format!("the times of field \"{}\" end before they start", field.name);
            self.error(field, "E0308", message, "write the earlier time as start");
        }
        (from, to)
    }

    fn moments(&mut self, field: &FieldSpec, bounds: (Moment, Moment), as_ms: bool) -> Draw {
        let (from, to) = self.bounds(field, bounds);
        Draw::Moments { from, to, evenly: field.constraints.sequential, as_ms }
    }

    fn numbers(&mut self, field: &FieldSpec, form: Form, default: (f64, f64)) -> (Draw, &'static [&'static str]) {
        const USED: &[&str] = &["range", "distribution"];
        let c = &field.constraints;
        let law = c.distribution.as_ref().unwrap_or(&Distribution::Uniform);
        let default = match law {
            Distribution::RandomWalk { .. } => WALKS,
            _ if c.sequential && form == Form::Integer => (0.0, self.given.records.saturating_sub(1) as f64),
            _ => default,
        };
        let wanted = c.range.unwrap_or(default);
        let Some(range) = form.range(wanted) else {
            let message = format!("no value of field \"{}\" lies between {} and {}", field.name, wanted.0, wanted.1);
            let hint = format!("its values are {}, and min is at most max", said(field.field_type));
            self.error(field, "E0308", message, &hint);
            return (Draw::Boolean, ALL);
        };
        if c.sequential {
            return (Draw::EvenNumbers(form, range), &["sequential", "range"]);
        }
        let unbounded = if c.range.is_some() { range } else { form.everything() };
        let (law, range) = match law {
            Distribution::Uniform => (Law::Uniform, range),
            Distribution::Normal { mean, std_dev } | Distribution::LogNormal { mean, std_dev } => {
                if !(mean.is_finite() && std_dev.is_finite() && *std_dev >= 0.0) {
                    let message = format!("field \"{}\" cannot have mean {mean} and deviation {std_dev}", field.name);
                    self.error(field, "E0308", message, "std_dev is at least 0");
                }
                let (mean, std_dev) = (*mean, *std_dev);
                let normal = matches!(law, Distribution::Normal { .. });
                (if normal { Law::Normal { mean, std_dev } } else { Law::LogNormal { mean, std_dev } }, unbounded)
            }
            Distribution::Zipf { exponent } => {
                if !(exponent.is_finite() && *exponent > 0.0) {
                    let message = format!("field \"{}\" cannot have the exponent {exponent}", field.name);
                    self.error(field, "E0308", message, "the exponent of zipf is above 0");
                    return (Draw::Boolean, ALL);
                }
                (Law::Zipf(Zipf::new(form, range, *exponent)), range)
            }
            Distribution::RandomWalk { .. } => return (self.walk(field, form, wanted, range), USED),
        };
        (Draw::Numbers(Numbers { form, range, law }), USED)
    }

    fn walk(&mut self, field: &FieldSpec, form: Form, (low, high): (f64, f64), range: Range) -> Draw {
        let Some(Distribution::RandomWalk { drift, volatility, group_by, allow_below_min, allow_above_max }) =
            &field.constraints.distribution
        else {
            return Draw::Boolean;
        };
        if !(drift.is_finite() && volatility.is_finite() && *volatility >= 0.0) {
            let message =
                format!("field \"{}\" cannot walk with drift {drift} and volatility {volatility}", field.name);
            self.error(field, "E0308", message, "volatility is at least 0");
        }
        let mut group = None;
        if let Some(name) = group_by {
            group = self.schema.fields.iter().position(|other| other.name == *name);
            if group.is_none() {
                let message = format!("group_by of field \"{}\" names \"{name}\", which does not exist", field.name);
                let mut finding = Diagnostic::error("E0203", field.span, message);
                (finding.detail, finding.hint) = instead_of(name, self.schema);
                self.found.push(finding);
            }
        }
        // From 0 no relative step leads anywhere.
        let start = if low == 0.0 { high / 2.0 } else { low };
        let open = allow_below_min | allow_above_max;
        Draw::Walk(Walk {
            form,
            range: if open { form.everything() } else { range },
            start,
            least: if *allow_below_min { f64::MIN } else { low },
            most: if *allow_above_max { f64::MAX } else { high },
            drift: *drift,
            volatility: *volatility,
            group,
            position: self.walks.position(&self.schema.name, &field.name),
        })
    }

    /// The field that a walk is grouped by is drawn before all walks with groups.
    fn group_is_plain(&mut self, at: usize, group: usize, fields: &[FieldPlan]) {
        let (field, by) = (&self.schema.fields[at], &self.schema.fields[group]);
        if matches!(fields[group].draw, Draw::Derived(_) | Draw::Walk(Walk { group: Some(_), .. })) {
            let message = format!("field \"{}\" is grouped by \"{}\", which is drawn after it", field.name, by.name);
            self.error(field, "E0308", message, "group by a field that is neither derived nor grouped itself");
        }
    }

    /// Puts derived fields behind those they read, else in the schema's order.
    fn derived_in_order(&mut self, fields: &[FieldPlan], order: &mut Vec<usize>) {
        let mut left: Vec<(usize, &Derived)> = fields
            .iter()
            .enumerate()
            .filter_map(|(at, field)| match &field.draw {
                Draw::Derived(derived) => Some((at, derived)),
                _ => None,
            })
            .collect();
        while !left.is_empty() {
            let ready = left
                .iter()
                .position(|(_, derived)| !derived.reads.iter().any(|read| left.iter().any(|(at, _)| at == read)));
            let Some(ready) = ready else {
                let circle: Vec<&str> = left.iter().map(|(at, _)| self.schema.fields[*at].name.as_str()).collect();
                let spans: Vec<Span> = left.iter().map(|(at, _)| self.schema.fields[*at].span).collect();
                let finding = Diagnostic::error("E0202", spans[0], "derived fields depend on each other in a circle")
                    .detail(format!("none of {} can be computed first", circle.join(", ")))
                    .hint("compute one of them from plain fields");
                self.found.push(spans[1..].iter().fold(finding, |f, span| f.also(*span, "part of the circle")));
                return;
            };
            order.push(left.remove(ready).0);
        }
    }
}

/// Constraints of a field whose draw failed: nothing is said of the others then.
const ALL: &[&str] = &[
    "references",
    "derived",
    "range",
    "distribution",
    "pattern",
    "length",
    "timestamp_range",
    "timestamp_epoch_ms",
    "sequential",
];
/// Constraints of times; under a simulation they give way to it.
const TIMES: &[&str] = &["timestamp_range", "timestamp_epoch_ms", "sequential"];

/// Values of a type, in words.
fn said(field_type: FieldType) -> String {
    match field_type {
        FieldType::String => "texts".to_owned(),
        FieldType::Uuid => "UUIDs".to_owned(),
        FieldType::Integer => "whole numbers".to_owned(),
        FieldType::Float => "numbers".to_owned(),
        FieldType::Decimal(scale) => format!("numbers with {scale} digits behind the point"),
        FieldType::Boolean => "true and false".to_owned(),
        FieldType::Timestamp => "times, YYYY-MM-DDTHH:MM:SS".to_owned(),
        FieldType::Date => "dates, YYYY-MM-DD".to_owned(),
    }
}
