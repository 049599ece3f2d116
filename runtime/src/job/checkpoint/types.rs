//! Types that were inferred from samples, remembered: a run that goes on from a checkpoint has the types its first start
//! found, whatever its files begin with by now.

use serde_json::{Value, json};
use velostream_sql::endpoint::{Catalog, CatalogError, SourceSpec};
use velostream_state::sections::checksum;
use velostream_types::{DataType, Field, Schema};

/// Inferred types by what was sampled.
pub type SampledTypes = Vec<(String, Schema)>;

/// A catalog that answers from what is known, and remembers what it had to look up.
pub struct RememberingCatalog<C> {
    inner: C,
    types: SampledTypes,
}

impl<C: Catalog> RememberingCatalog<C> {
    /// In front of `inner`; `known` stems from an earlier start.
    pub fn new(inner: C, known: SampledTypes) -> RememberingCatalog<C> {
        RememberingCatalog { inner, types: known }
    }

    /// All types that are known by now.
    pub fn into_types(self) -> SampledTypes {
        self.types
    }
}

impl<C: Catalog> Catalog for RememberingCatalog<C> {
    fn infer(&mut self, spec: &SourceSpec) -> Result<Schema, CatalogError> {
        let sampled = format!("{:?} {:?}", spec.connector, spec.format);
        let key = format!("{:016x}", checksum(sampled.as_bytes()));
        if let Some((_, schema)) = self.types.iter().find(|(known, _)| *known == key) {
            return Ok(schema.clone());
        }
        let schema = self.inner.infer(spec)?;
        self.types.push((key, schema.clone()));
        Ok(schema)
    }

    fn check(&mut self, spec: &SourceSpec) -> Result<(), CatalogError> {
        self.inner.check(spec)
    }

    fn has_one_header(&mut self, spec: &SourceSpec) -> bool {
        self.inner.has_one_header(spec)
    }

    fn bytes(&mut self, spec: &SourceSpec) -> Option<u64> {
        self.inner.bytes(spec)
    }
}

/// A schema as a checkpoint keeps it.
pub(super) fn to_json(schema: &Schema) -> Value {
    let field = |f: &Field| json!([f.name, type_json(&f.data_type), f.nullable, f.inferred]);
    Value::Array(schema.fields.iter().map(field).collect())
}

/// A schema that [`to_json`] wrote.
pub(super) fn from_json(value: &Value) -> Option<Schema> {
    let field = |value: &Value| {
        let [name, data_type, nullable, inferred] = value.as_array()?.as_slice() else { return None };
        let (nullable, inferred) = (nullable.as_bool()?, inferred.as_bool()?);
        Some(Field { name: name.as_str()?.to_owned(), data_type: type_of(data_type)?, nullable, inferred })
    };
    value.as_array()?.iter().map(field).collect::<Option<Vec<Field>>>().map(Schema::new)
}

/// Types without parts, by the word they are kept as.
const PLAIN: [(&str, DataType); 11] = [
    ("null", DataType::Null),
    ("boolean", DataType::Boolean),
    ("integer", DataType::Integer),
    ("float", DataType::Float),
    ("string", DataType::String),
    ("bytes", DataType::Bytes),
    ("date", DataType::Date),
    ("timestamp", DataType::Timestamp),
    ("time", DataType::Time),
    ("interval", DataType::Interval),
    ("json", DataType::Json),
];

fn type_json(data_type: &DataType) -> Value {
    match data_type {
        DataType::Decimal { precision, scale } => json!({ "decimal": [precision, scale] }),
        DataType::Array(of) => json!({ "array": type_json(of) }),
        DataType::Map(of) => json!({ "map": type_json(of) }),
        DataType::Struct(fields) => {
            let fields: Vec<Value> = fields.iter().map(|f| json!([f.name, type_json(&f.data_type)])).collect();
            json!({ "struct": fields })
        }
        plain => PLAIN.iter().find(|(_, known)| known == plain).map_or(Value::Null, |(word, _)| json!(word)),
    }
}

fn type_of(value: &Value) -> Option<DataType> {
    if let Some(word) = value.as_str() {
        return PLAIN.iter().find(|(known, _)| *known == word).map(|(_, data_type)| data_type.clone());
    }
    let (kind, of) = value.as_object()?.iter().next()?;
    Some(match kind.as_str() {
        "decimal" => {
            let digit = |at: usize| of.get(at)?.as_u64().and_then(|n| u8::try_from(n).ok());
            DataType::Decimal { precision: digit(0)?, scale: digit(1)? }
        }
        "array" => DataType::array(type_of(of)?),
        "map" => DataType::map(type_of(of)?),
        "struct" => {
            let field = |value: &Value| Some((value.get(0)?.as_str()?.to_owned(), type_of(value.get(1)?)?));
            DataType::structure(of.as_array()?.iter().map(field).collect::<Option<Vec<_>>>()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_come_back() {
        let inner = DataType::structure([("a b", DataType::array(DataType::map(DataType::decimal(3))))]);
        let mut fields: Vec<Field> = PLAIN.iter().map(|(word, t)| Field::new(*word, t.clone())).collect();
        fields.push(Field { nullable: false, inferred: true, ..Field::new("ü", inner) });
        let schema = Schema::new(fields);
        assert_eq!(from_json(&to_json(&schema)), Some(schema));
        for wrong in ["[]x", "{}", "[[1,2]]", r#"[["a","number",true,true]]"#, r#"[["a",{"decimal":[1]},true,true]]"#] {
            let value = serde_json::from_str::<Value>(wrong).unwrap_or(Value::Null);
            assert_eq!(from_json(&value), None, "{wrong}");
        }
    }
}
