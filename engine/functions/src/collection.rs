//! Types of collections: which values go into one together.

use velostream_types::{DataType, StructField, unify};

/// The type that values of both types go into inside a collection; `None` without one. What meets JSON becomes JSON, as
/// the text of a value tells less of its type than a column does. Structs have fields of the same names, in the order of
/// the first. Recursion is bounded by the types.
pub fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::*;
    match (a, b) {
        (Null, other) | (other, Null) => Some(other.clone()),
        (x, y) if x == y => Some(x.clone()),
        (x, y) if x.is_numeric() && y.is_numeric() => Some(unify(x, y)),
        (Date, Timestamp) | (Timestamp, Date) => Some(Timestamp),
        (Json, _) | (_, Json) => Some(Json),
        (Array(x), Array(y)) => common(x, y).map(DataType::array),
        (Map(x), Map(y)) => common(x, y).map(DataType::map),
        (Struct(x), Struct(y)) if x.len() == y.len() => {
            let field = |own: &StructField| {
                let other = y.iter().find(|other| other.name == own.name)?;
                let data_type = common(&own.data_type, &other.data_type)?;
                Some(StructField { name: own.name.clone(), data_type })
            };
            x.iter().map(field).collect::<Option<_>>().map(Struct)
        }
        _ => None,
    }
}

/// The type that all of these go into.
pub(crate) fn common_of<'a>(types: impl IntoIterator<Item = &'a DataType>) -> Result<DataType, String> {
    types.into_iter().try_fold(DataType::Null, |so_far, next| {
        common(&so_far, next).ok_or_else(|| format!("{so_far} and {next} have no common type"))
    })
}

/// Element type of an array; NULL of what is none.
pub(crate) fn element(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Array(of) => of.as_ref().clone(),
        _ => DataType::Null,
    }
}
