//! Logical types, schemas and the lattice by which inferred types widen.
//!
//! A logical type is fixed at deploy and gives an expression its meaning. The physical column of a batch
//! ([`crate::Column`]) may be wider: an `Integer` column may arrive as decimals once a later record brings a fraction.

use std::fmt;
use std::sync::Arc;

/// A logical SQL type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// Nothing but NULL is known of the column.
    Null,
    /// TRUE or FALSE.
    Boolean,
    /// 64-bit signed integer.
    Integer,
    /// 64-bit IEEE float.
    Float,
    /// Exact decimal of at most `precision` digits, `scale` of them after the point (`scale <= precision <= 38`).
    Decimal {
        /// Total digits, 1 to 38.
        precision: u8,
        /// Digits after the point, 0 to `precision`.
        scale: u8,
    },
    /// UTF-8 text.
    String,
    /// Raw bytes; base64 in JSON.
    Bytes,
    /// Days since 1970-01-01.
    Date,
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    Timestamp,
    /// Nanoseconds since midnight.
    Time,
    /// A span of time in nanoseconds.
    Interval,
    /// A JSON value of no one type, carried as its JSON text.
    Json,
    /// Values of one type in order, carried as a JSON array.
    Array(Arc<DataType>),
    /// Values of one type by text key, carried as a JSON object.
    Map(Arc<DataType>),
    /// Named fields of their own types, carried as a JSON object.
    Struct(Arc<[StructField]>),
}

/// A field of a [`DataType::Struct`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StructField {
    /// Name; case-sensitive.
    pub name: Box<str>,
    /// Type.
    pub data_type: DataType,
}

impl DataType {
    /// Widest decimal: 38 digits, none after the point.
    pub const DECIMAL_MAX: DataType = DataType::Decimal { precision: 38, scale: 0 };

    /// Decimal with all 38 digits and the given scale, the type of computed decimals.
    pub const fn decimal(scale: u8) -> DataType {
        DataType::Decimal { precision: 38, scale }
    }

    /// Integer, Decimal or Float.
    pub const fn is_numeric(&self) -> bool {
        matches!(self, DataType::Integer | DataType::Float | DataType::Decimal { .. })
    }

    /// Values are carried as JSON text.
    pub const fn is_nested(&self) -> bool {
        matches!(self, DataType::Json | DataType::Array(_) | DataType::Map(_) | DataType::Struct(_))
    }

    /// An array of this element type.
    pub fn array(of: DataType) -> DataType {
        DataType::Array(Arc::new(of))
    }

    /// A map to this type.
    pub fn map(of: DataType) -> DataType {
        DataType::Map(Arc::new(of))
    }

    /// A struct of these fields.
    pub fn structure<S: Into<Box<str>>>(fields: impl IntoIterator<Item = (S, DataType)>) -> DataType {
        let fields = fields.into_iter().map(|(name, data_type)| StructField { name: name.into(), data_type });
        DataType::Struct(fields.collect())
    }

    /// Scale of an exact number; Integer has 0.
    pub const fn exact_scale(&self) -> Option<u8> {
        match self {
            DataType::Integer => Some(0),
            DataType::Decimal { scale, .. } => Some(*scale),
            _ => None,
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataType::Null => f.write_str("NULL"),
            DataType::Boolean => f.write_str("BOOLEAN"),
            DataType::Integer => f.write_str("INTEGER"),
            DataType::Float => f.write_str("FLOAT"),
            DataType::Decimal { precision, scale } => write!(f, "DECIMAL({precision},{scale})"),
            DataType::String => f.write_str("STRING"),
            DataType::Bytes => f.write_str("BYTES"),
            DataType::Date => f.write_str("DATE"),
            DataType::Timestamp => f.write_str("TIMESTAMP"),
            DataType::Time => f.write_str("TIME"),
            DataType::Interval => f.write_str("INTERVAL"),
            DataType::Json => f.write_str("JSON"),
            DataType::Array(of) => write!(f, "ARRAY<{of}>"),
            DataType::Map(of) => write!(f, "MAP<STRING,{of}>"),
            DataType::Struct(fields) => {
                f.write_str("STRUCT<")?;
                for (i, field) in fields.iter().enumerate() {
                    let plain = field.name.chars().all(|c| c.is_alphanumeric() || c == '_');
                    let quote = if plain && !field.name.is_empty() { "" } else { "`" };
                    let name = field.name.replace('`', "``");
                    write!(f, "{}{quote}{name}{quote} {}", if i > 0 { ", " } else { "" }, field.data_type)?;
                }
                f.write_str(">")
            }
        }
    }
}

/// Least upper bound of two types in the inference lattice: null < boolean; null < integer < decimal < float;
/// null < timestamp < string. Types without a bound meet in `String`, holding the original text.
pub fn unify(a: &DataType, b: &DataType) -> DataType {
    use DataType::*;
    match (a, b) {
        (x, y) if x == y => x.clone(),
        (Null, x) | (x, Null) => x.clone(),
        (Integer, Float) | (Float, Integer) => Float,
        (Float, Decimal { .. }) | (Decimal { .. }, Float) => Float,
        (Integer, Decimal { precision, scale }) | (Decimal { precision, scale }, Integer) => {
            Decimal { precision: (*precision).max(19 + scale).min(38), scale: *scale }
        }
        (Decimal { precision: p1, scale: s1 }, Decimal { precision: p2, scale: s2 }) => {
            let scale = (*s1).max(*s2);
            let whole = (p1 - s1).max(p2 - s2);
            Decimal { precision: (whole + scale).min(38), scale }
        }
        (Date, Timestamp) | (Timestamp, Date) => Timestamp,
        (x, y) if x.is_nested() && y.is_nested() => unify_nested(x, y),
        _ => String,
    }
}

/// Least upper bound inside nested values, where values without another common type are JSON.
fn unify_nested(a: &DataType, b: &DataType) -> DataType {
    use DataType::*;
    let inner = |x: &DataType, y: &DataType| match unify(x, y) {
        String if *x != String && *x != Null || *y != String && *y != Null => Json,
        other => other,
    };
    match (a, b) {
        (x, y) if x == y => x.clone(),
        (Array(x), Array(y)) => DataType::array(inner(x, y)),
        (Map(x), Map(y)) => DataType::map(inner(x, y)),
        (Map(x), Struct(fields)) | (Struct(fields), Map(x)) => {
            DataType::map(fields.iter().fold((**x).clone(), |all, field| inner(&all, &field.data_type)))
        }
        (Struct(x), Struct(y)) => {
            let common = |f: &StructField| match y.iter().find(|other| other.name == f.name) {
                Some(other) => StructField { name: f.name.clone(), data_type: inner(&f.data_type, &other.data_type) },
                None => f.clone(),
            };
            let added = y.iter().filter(|f| x.iter().all(|other| other.name != f.name)).cloned();
            Struct(x.iter().map(common).chain(added).collect())
        }
        _ => Json,
    }
}

/// One column of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name as users write it; case-sensitive.
    pub name: String,
    /// Logical type, fixed at deploy.
    pub data_type: DataType,
    /// FALSE when declared NOT NULL or proved so.
    pub nullable: bool,
    /// TRUE when the type came from a sample instead of a declaration: such a column may widen its storage, and its
    /// numbers print as they were written.
    pub inferred: bool,
}

impl Field {
    /// A nullable, declared field.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Field {
        Field { name: name.into(), data_type, nullable: true, inferred: false }
    }
}

/// Ordered columns of a relation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// The columns, in order.
    pub fields: Vec<Field>,
}

/// A schema shared by plan nodes and batches.
pub type SchemaRef = Arc<Schema>;

impl Schema {
    /// A schema of these fields.
    pub fn new(fields: Vec<Field>) -> Schema {
        Schema { fields }
    }

    /// Position of the column of exactly this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name)
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// TRUE for a schema without columns.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}
