//! A data schema: the fields of a source's records and how their values are drawn.

use velostream_types::Span;

use crate::spec::Moment;

/// Records of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSchema {
    /// What inputs call it.
    pub name: String,
    /// What it is about.
    pub description: Option<String>,
    /// In the order of the file.
    pub fields: Vec<FieldSpec>,
    /// How many records where the input does not say.
    pub record_count: Option<u64>,
    /// Field whose text is the message key.
    pub key_field: Option<String>,
    /// Seed of `@data.seed`.
    pub seed: Option<u64>,
    /// Times of `@data.time_*`.
    pub time: Option<crate::spec::TimeSimulation>,
}

/// One field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldSpec {
    /// Its name.
    pub name: String,
    /// Where it is written.
    pub span: Span,
    /// Type of its values.
    pub field_type: FieldType,
    /// Rate of NULLs; 0 where it is not nullable.
    pub null_rate: f64,
    /// How its values are drawn.
    pub constraints: Constraints,
}

/// Type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Text.
    String,
    /// 64-bit integer.
    Integer,
    /// 64-bit float.
    Float,
    /// Exact, with so many digits behind the point.
    Decimal(u8),
    /// TRUE or FALSE.
    Boolean,
    /// `YYYY-MM-DDTHH:MM:SS.mmm`
    Timestamp,
    /// `YYYY-MM-DD`
    Date,
    /// Version 4, from the seed.
    Uuid,
}

/// How values are drawn; what is not given has the type's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constraints {
    /// One of these.
    pub enum_values: Option<EnumValues>,
    /// A value that was published for another schema's field.
    pub references: Option<Reference>,
    /// Least and greatest value, both included.
    pub range: Option<(f64, f64)>,
    /// Least and greatest number of characters.
    pub length: Option<(usize, usize)>,
    /// A regular expression that the text matches.
    pub pattern: Option<String>,
    /// Distribution over the range.
    pub distribution: Option<Distribution>,
    /// Computed from other fields.
    pub derived: Option<String>,
    /// Bounds of a timestamp.
    pub timestamp_range: Option<(Moment, Moment)>,
    /// Integer ms between these.
    pub timestamp_epoch_ms: Option<(Moment, Moment)>,
    /// Evenly from start to end over the records (`@data` hints).
    pub sequential: bool,
}

/// Values to choose from.
#[derive(Clone, Debug, PartialEq)]
pub struct EnumValues {
    /// As written.
    pub values: Vec<String>,
    /// How often each, at any scale; none: equally.
    pub weights: Option<Vec<f64>>,
}

/// A field of another schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Whose.
    pub schema: String,
    /// Which.
    pub field: String,
    /// File with its values where nothing was published for the schema.
    pub file: Option<String>,
}

/// Distribution of numbers over their range; values beyond it are moved to its ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Each equally often.
    Uniform,
    /// Around a mean.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std_dev: f64,
    },
    /// Whose logarithm is normal.
    LogNormal {
        /// Mean of the logarithm.
        mean: f64,
        /// Its standard deviation.
        std_dev: f64,
    },
    /// Small values more often.
    Zipf {
        /// How much more.
        exponent: f64,
    },
    /// Each value a step from the one before.
    RandomWalk {
        /// Mean relative step.
        drift: f64,
        /// Standard deviation of the relative step.
        volatility: f64,
        /// Walks of their own by the value of this field.
        group_by: Option<String>,
        /// A walk may leave the range downwards.
        allow_below_min: bool,
        /// A walk may leave the range upwards.
        allow_above_max: bool,
    },
}
