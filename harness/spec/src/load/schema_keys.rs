//! The keys of a data schema. `schema` makes values of them.

use super::shape::{COUNT, NUMBER, Object, POSITIVE, RATE, Shape, TEXTS, Variant, key};

/// A data schema.
pub static SCHEMA: Object = Object {
    name: "schema",
    doc: "Records of a source.",
    keys: &[
        key("name", Shape::Text, "What inputs call it.").required(),
        key("description", Shape::Text, "What it is about."),
        key("fields", Shape::List(&Shape::Object(&FIELD)), "The fields of a record, in their order.").required(),
        key("record_count", COUNT, "Number of records where the input does not say."),
        key("key_field", Shape::Text, "Field whose text is the message key."),
    ],
};

/// An item of `fields`.
pub static FIELD: Object = Object {
    name: "field",
    doc: "One field.",
    keys: &[
        key("name", Shape::Text, "Its name.").required(),
        key("type", Shape::Variant(FIELD_TYPE), "Type of its values.").required(),
        key("constraints", Shape::Object(&CONSTRAINTS), "How its values are drawn."),
        key("nullable", Shape::Flag, "One value of ten is NULL.").default("false"),
        key("null_probability", RATE, "Rate of NULLs."),
        key("description", Shape::Text, "What it is about."),
    ],
};

const fn word(name: &'static str) -> Variant {
    Variant { name, object: None }
}

const fn with(object: &'static Object) -> Variant {
    Variant { name: object.name, object: Some(object) }
}

/// `type` of a field.
pub const FIELD_TYPE: &[Variant] = &[
    word("string"),
    word("integer"),
    word("float"),
    word("boolean"),
    word("timestamp"),
    word("date"),
    word("uuid"),
    with(&DECIMAL),
];

static DECIMAL: Object = Object {
    name: "decimal",
    doc: "An exact number.",
    keys: &[key("precision", Shape::Count(0, 38), "Digits behind the point.").default("4")],
};

/// `constraints`
pub static CONSTRAINTS: Object = Object {
    name: "constraints",
    doc: "How values are drawn; what is not given has the type's default.",
    keys: &[
        key("enum_values", Shape::Object(&ENUM_VALUES), "Values to choose from."),
        key("references", Shape::Object(&REFERENCES), "Values that another schema's records have."),
        key("range", Shape::Object(&RANGE), "Least and greatest value, both included."),
        key("length", Shape::Object(&LENGTH), "Least and greatest number of characters."),
        key("pattern", Shape::Pattern, "Regular expression that the whole text matches."),
        key("distribution", Shape::Variant(DISTRIBUTION), "Distribution over the range."),
        key("derived", Shape::Object(&DERIVED), "Value computed from other fields."),
        key("timestamp_range", Shape::Object(&TIME_RANGE), "Bounds of a timestamp."),
        key("timestamp_epoch_ms", Shape::Object(&TIME_RANGE), "Bounds of a time in ms since 1970."),
    ],
};

/// `enum_values`
pub static ENUM_VALUES: Object = Object {
    name: "enum_values",
    doc: "Values to choose from.",
    keys: &[
        key("values", TEXTS, "The values.").required(),
        key("weights", Shape::List(&POSITIVE), "How often each comes, at any scale."),
    ],
};

/// `references`
pub static REFERENCES: Object = Object {
    name: "references",
    doc: "Values that another schema's records have.",
    keys: &[
        key("schema", Shape::Text, "The other schema.").required(),
        key("field", Shape::Text, "Its field.").required(),
        key("file", Shape::Text, "File with the values where the schema has no records."),
    ],
};

/// `range`
pub static RANGE: Object = Object {
    name: "range",
    doc: "Least and greatest value.",
    keys: &[key("min", NUMBER, "Least.").required(), key("max", NUMBER, "Greatest.").required()],
};

/// `length`
pub static LENGTH: Object = Object {
    name: "length",
    doc: "Number of characters.",
    keys: &[key("min", COUNT, "Least.").default("5"), key("max", COUNT, "Greatest.").default("20")],
};

/// `distribution`
pub const DISTRIBUTION: &[Variant] =
    &[word("uniform"), with(&NORMAL), with(&LOG_NORMAL), with(&ZIPF), with(&RANDOM_WALK)];

static NORMAL: Object = Object {
    name: "normal",
    doc: "Around a mean.",
    keys: &[key("mean", NUMBER, "Mean.").required(), key("std_dev", POSITIVE, "Standard deviation.").required()],
};

static LOG_NORMAL: Object = Object {
    name: "log_normal",
    doc: "Values whose logarithm is normal.",
    keys: &[
        key("mean", NUMBER, "Mean of the logarithm.").required(),
        key("std_dev", POSITIVE, "Its standard deviation.").required(),
    ],
};

static ZIPF: Object = Object {
    name: "zipf",
    doc: "Small values more often.",
    keys: &[key("exponent", POSITIVE, "How much more.").required()],
};

static RANDOM_WALK: Object = Object {
    name: "random_walk",
    doc: "Each value a step from the one before.",
    keys: &[
        key("drift", NUMBER, "Mean relative step.").default("0"),
        key("volatility", POSITIVE, "Standard deviation of the relative step.").default("0.02"),
        key("group_by", Shape::Text, "Each value of this field has a walk of its own."),
        key("allow_below_min", Shape::Flag, "A walk may leave the range downwards.").default("false"),
        key("allow_above_max", Shape::Flag, "A walk may leave the range upwards.").default("false"),
    ],
};

/// `derived`
pub static DERIVED: Object = Object {
    name: "derived",
    doc: "Value computed from other fields.",
    keys: &[
        key("expression", Shape::Text, "The expression: `price * quantity`.").required(),
        key("depends_on", TEXTS, "Fields it is computed from."),
    ],
};

/// `timestamp_range` and `timestamp_epoch_ms`
pub static TIME_RANGE: Object = Object {
    name: "time_range",
    doc: "Bounds of a time.",
    keys: &[key("start", Shape::Moment, "First.").default("-1h"), key("end", Shape::Moment, "Last.").default("now")],
};
