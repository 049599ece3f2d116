//! What hints say of one field, collected line by line, and the field that comes of it.

use velostream_sql::diag::Diagnostic;
use velostream_sql::suggest;
use velostream_types::Span;

use super::super::limits::weights;
use super::super::moment;
use super::super::words::{DECIMAL_DIGITS, FIELD_TYPES, HINT_TYPES, meaning};
use super::split::Piece;
use crate::findings::{BAD_HINT, BAD_PATTERN, Findings, NO_EFFECT, REVERSED};
use crate::schema::{Constraints, Distribution, EnumValues, FieldSpec, FieldType, Reference};
use crate::spec::Moment;

/// What a hint can say of a field.
const PROPERTIES: [&str; 18] = [
    "type",
    "enum",
    "weights",
    "range",
    "distribution",
    "mean",
    "std_dev",
    "exponent",
    "volatility",
    "drift",
    "group_by",
    "pattern",
    "sequential",
    "start",
    "end",
    "references",
    "derived",
    "length",
];
const DISTRIBUTIONS: [&str; 5] = ["uniform", "normal", "log_normal", "zipf", "random_walk"];

/// Step of a walk whose hints give none.
const DRIFT: f64 = 1e-4;
const VOLATILITY: f64 = 0.02;

type Failed = Box<Diagnostic>;

/// The hints about a field.
pub struct FieldHints {
    /// Its name.
    pub name: String,
    /// Field whose values have walks of their own, and where that is said.
    pub group_by: Option<(String, Span)>,
    /// A hint about it could not be read.
    pub is_broken: bool,
    span: Span,
    field_type: Option<FieldType>,
    values: Option<Vec<String>>,
    weights: Option<(Vec<f64>, Span)>,
    range: Option<(f64, f64)>,
    length: Option<(usize, usize)>,
    distribution: Option<&'static str>,
    /// Parameters of the distribution by name.
    parameters: Vec<(&'static str, f64, Span)>,
    pattern: Option<String>,
    sequential: bool,
    start: Option<(Moment, Span)>,
    end: Option<(Moment, Span)>,
    references: Option<Reference>,
    derived: Option<String>,
}

impl FieldHints {
    /// A field that nothing is said of yet.
    pub fn new(name: &str, span: Span) -> FieldHints {
        FieldHints {
            name: name.to_owned(),
            group_by: None,
            is_broken: false,
            span,
            field_type: None,
            values: None,
            weights: None,
            range: None,
            length: None,
            distribution: None,
            parameters: Vec::new(),
            pattern: None,
            sequential: false,
            start: None,
            end: None,
            references: None,
            derived: None,
        }
    }

    /// `range [1, 9], distribution: normal`: several properties; the colon behind a name may be left out.
    pub fn shorthand(&mut self, value: Piece<'_>) -> Result<(), Failed> {
        for item in value.unquoted().items() {
            if let Some(named) = type_of(item.text) {
                self.field_type = Some(named);
                continue;
            }
            let (word, rest) = item.word();
            let rest = rest.cut(':').filter(|(before, _)| before.text.is_empty()).map_or(rest, |(_, behind)| behind);
            self.set(word, rest)?;
        }
        Ok(())
    }

    /// One property.
    pub fn set(&mut self, property: Piece<'_>, value: Piece<'_>) -> Result<(), Failed> {
        let text = value.unquoted();
        match property.text {
            "type" => self.field_type = Some(type_of(text.text).ok_or_else(|| unknown_type(text))?),
            "enum" | "values" => {
                let items = list(property, value)?;
                self.values = Some(items.into_iter().map(|item| item.text.to_owned()).collect());
            }
            "weights" => {
                let items = list(property, value)?.into_iter().map(|item| number(property, item));
                self.weights = Some((items.collect::<Result<_, _>>()?, value.span));
            }
            "range" => self.range = Some(bounds(property, value)?),
            "length" => {
                let (min, max) = bounds(property, value)?;
                self.length = Some((min.max(0.0) as usize, max.max(0.0) as usize));
            }
            "distribution" => {
                let known = DISTRIBUTIONS.iter().find(|known| **known == text.text);
                let known = known.ok_or_else(|| cannot_be(property, text, &DISTRIBUTIONS))?;
                self.distribution = Some(known);
            }
            "group_by" => self.group_by = Some((text.text.to_owned(), text.span)),
            "pattern" => {
                if regex::Regex::new(text.text).is_err() {
                    let message = "this pattern is no regular expression";
                    return Err(Box::new(Diagnostic::error(BAD_PATTERN, text.span, message)));
                }
                self.pattern = Some(text.text.to_owned());
            }
            "sequential" => match text.text {
                "true" => self.sequential = true,
                "false" => self.sequential = false,
                _ => return Err(cannot_be(property, text, &["true", "false"])),
            },
            "start" => self.start = Some((time(property, text)?, text.span)),
            "end" => self.end = Some((time(property, text)?, text.span)),
            "references" => {
                let (schema, field) = text.text.rsplit_once('.').ok_or_else(|| {
                    let finding = Diagnostic::error(BAD_HINT, text.span, "this names no field of a schema");
                    Box::new(finding.hint("write `schema.field`"))
                })?;
                self.references = Some(Reference { schema: schema.to_owned(), field: field.to_owned(), file: None });
            }
            "derived" => self.derived = Some(text.text.to_owned()),
            parameter => match ["mean", "std_dev", "exponent", "volatility", "drift"].iter().find(|p| **p == parameter)
            {
                Some(parameter) => {
                    let value = number(property, text)?;
                    self.parameters.retain(|(name, ..)| name != parameter);
                    self.parameters.push((parameter, value, property.span));
                }
                None => return Err(unknown_property(property)),
            },
        }
        Ok(())
    }

    /// The field; `None` where its type is not known.
    pub fn finish(self, findings: &mut Findings) -> Option<FieldSpec> {
        let Some(field_type) = self.field_type.or_else(|| self.type_by_constraints()) else {
            if self.is_broken {
                return None;
            }
            let message = format!("nothing says which type \"{}\" has", self.name);
            let hint = format!("add `-- @data.{}.type: string`, or the type it has", self.name);
            findings.push(Diagnostic::error(BAD_HINT, self.span, message).hint(hint));
            return None;
        };
        if let Some((of_values, span)) = &self.weights {
            weights(self.values.as_ref().map_or(0, Vec::len), of_values, *span, findings);
        }
        let distribution = self.distribution(findings);
        let times = self.times(findings);
        let is_epoch = field_type == FieldType::Integer;
        Some(FieldSpec {
            constraints: Constraints {
                enum_values: self
                    .values
                    .map(|values| EnumValues { values, weights: self.weights.map(|(weights, _)| weights) }),
                references: self.references,
                range: self.range,
                length: self.length,
                pattern: self.pattern,
                distribution,
                derived: self.derived,
                timestamp_range: times.filter(|_| !is_epoch),
                timestamp_epoch_ms: times.filter(|_| is_epoch),
                sequential: self.sequential,
            },
            name: self.name,
            span: self.span,
            field_type,
            null_rate: 0.0,
        })
    }

    fn type_by_constraints(&self) -> Option<FieldType> {
        match self {
            FieldHints { values: Some(_), .. } => Some(FieldType::String),
            FieldHints { range: Some(_), .. } => Some(FieldType::Float),
            FieldHints { sequential: true, .. } => Some(FieldType::Timestamp),
            _ => None,
        }
    }

    fn times(&self, findings: &mut Findings) -> Option<(Moment, Moment)> {
        let (_, place) = self.end.or(self.start)?;
        let start = self.start.map_or(super::DEFAULT_START, |(at, _)| at);
        let end = self.end.map_or(Moment::Relative(0), |(at, _)| at);
        if moment::is_reversed(start, end, true) {
            findings.error(REVERSED, place, format!("\"start\" of \"{}\" is behind its \"end\"", self.name));
        }
        Some((start, end))
    }

    fn distribution(&self, findings: &mut Findings) -> Option<Distribution> {
        let word = self.distribution.unwrap_or("uniform");
        let taken: &[&str] = match word {
            "normal" | "log_normal" => &["mean", "std_dev"],
            "zipf" => &["exponent"],
            "random_walk" => &["volatility", "drift"],
            _ => &[],
        };
        let group = self.group_by.as_ref().filter(|_| word != "random_walk").map(|(_, span)| ("group_by", *span));
        let others =
            self.parameters.iter().filter(|(name, ..)| !taken.contains(name)).map(|(name, _, at)| (*name, *at));
        for (name, span) in others.chain(group) {
            findings.warn(NO_EFFECT, span, format!("\"{name}\" has no effect with the distribution {word}"));
        }
        let given = |name: &str| self.parameters.iter().find(|(own, ..)| *own == name).map(|(_, value, _)| *value);
        let (mean, std_dev) = (given("mean").unwrap_or(0.0), given("std_dev").unwrap_or(1.0));
        Some(match self.distribution? {
            "normal" => Distribution::Normal { mean, std_dev },
            "log_normal" => Distribution::LogNormal { mean, std_dev },
            "zipf" => Distribution::Zipf { exponent: given("exponent").unwrap_or(1.0) },
            "random_walk" => Distribution::RandomWalk {
                drift: given("drift").unwrap_or(DRIFT),
                volatility: given("volatility").unwrap_or(VOLATILITY),
                group_by: self.group_by.as_ref().map(|(name, _)| name.clone()),
                allow_below_min: false,
                allow_above_max: false,
            },
            _ => Distribution::Uniform,
        })
    }
}

/// `string`, `decimal(2)`, …
fn type_of(text: &str) -> Option<FieldType> {
    let word = text.to_ascii_lowercase();
    if let Some(digits) = word.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')) {
        return digits.trim().parse().ok().filter(|digits| *digits <= 38).map(FieldType::Decimal);
    }
    let decimal = (word == "decimal").then_some(FieldType::Decimal(DECIMAL_DIGITS));
    decimal.or_else(|| meaning(&FIELD_TYPES, &word)).or_else(|| meaning(&HINT_TYPES, &word))
}

fn unknown_type(text: Piece<'_>) -> Failed {
    let names = FIELD_TYPES.iter().map(|(name, _)| *name);
    let finding = Diagnostic::error(BAD_HINT, text.span, format!("there is no type \"{}\"", text.text));
    let finding = finding.detail(format!("types are {}", names.clone().collect::<Vec<_>>().join(", ")));
    Box::new(match suggest::did_you_mean(text.text, names) {
        Some(hint) => finding.hint(hint),
        None => finding,
    })
}

fn unknown_property(property: Piece<'_>) -> Failed {
    let message = format!("hints have no property \"{}\"", property.text);
    let finding = Diagnostic::error(BAD_HINT, property.span, message);
    Box::new(match suggest::did_you_mean(property.text, PROPERTIES) {
        Some(hint) => finding.hint(hint),
        None => finding.detail(format!("properties are {}", PROPERTIES.join(", "))),
    })
}

fn cannot_be(property: Piece<'_>, value: Piece<'_>, words: &[&'static str]) -> Failed {
    let message = format!("\"{}\" cannot be \"{}\"", property.text, value.text);
    let finding = Diagnostic::error(BAD_HINT, value.span, message);
    let finding = finding.detail(format!("it is one of {}", words.join(", ")));
    Box::new(match suggest::did_you_mean(value.text, words.iter().copied()) {
        Some(hint) => finding.hint(hint),
        None => finding,
    })
}

fn list<'a>(property: Piece<'_>, value: Piece<'a>) -> Result<Vec<Piece<'a>>, Failed> {
    value.list().filter(|items| !items.is_empty()).ok_or_else(|| {
        let message = format!("\"{}\" is followed by a list", property.text);
        Box::new(Diagnostic::error(BAD_HINT, property.span, message).hint("write it in brackets: `[a, b]`"))
    })
}

fn number(property: Piece<'_>, value: Piece<'_>) -> Result<f64, Failed> {
    value.text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| {
        let message = format!("\"{}\" takes numbers, not \"{}\"", property.text, value.text);
        Box::new(Diagnostic::error(BAD_HINT, value.span, message))
    })
}

fn bounds(property: Piece<'_>, value: Piece<'_>) -> Result<(f64, f64), Failed> {
    match list(property, value)?[..] {
        [least, greatest] => {
            let (min, max) = (number(property, least)?, number(property, greatest)?);
            if min > max {
                let message = format!("\"{}\" goes from {min} to {max}", property.text);
                let finding = Diagnostic::error(REVERSED, value.span, message);
                return Err(Box::new(finding.hint("write the lesser one first")));
            }
            Ok((min, max))
        }
        _ => {
            let message = format!("\"{}\" takes two numbers", property.text);
            Err(Box::new(Diagnostic::error(BAD_HINT, value.span, message)))
        }
    }
}

fn time(property: Piece<'_>, value: Piece<'_>) -> Result<Moment, Failed> {
    moment::parse(value.text).ok_or_else(|| {
        let message = format!("\"{}\" is \"{}\", which is no moment", property.text, value.text);
        Box::new(Diagnostic::error(BAD_HINT, value.span, message).hint(super::MOMENTS))
    })
}
