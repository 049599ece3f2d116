//! Elements of arrays, values of maps and fields of structs: what `x[i]`, `m['k']` and `s.f` stand for. What is not there
//! is NULL. Cost: one walk over the value's text up to the part that is asked for.

use std::sync::Arc;

use velostream_types::{Column, DataType, StructField, Value};

use crate::call::{Call, Texts};
use crate::collection::element;
use crate::function::{ArgType, BadConstant, Function, Group, Param, Prepared, Returns};
use crate::json;

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new(
        "ELEMENT_AT",
        Group::Collection,
        &[Param::Nested, Param::Is(is_place, "an INTEGER or text")],
        Returns::By(part),
        element_at,
    )
    .doc(
        "ELEMENT_AT(array, n) or ELEMENT_AT(map, key)",
        "Element number n, from 1, or the value of the key; NULL if there is none. Also array[n] and map[key].",
        &[
            ("ELEMENT_AT(ARRAY('a', 'b'), 2)", "b"),
            ("ELEMENT_AT(ARRAY(1, 2), 3)", "NULL"),
            ("ELEMENT_AT(ARRAY(1, 2), 0)", "NULL"),
            ("ELEMENT_AT(ARRAY(1, 2), -1)", "NULL"),
            ("ELEMENT_AT(ARRAY(1, NULL), 2) IS NULL", "true"),
            ("ELEMENT_AT(MAP('a', 1.5, 'b', 2), 'b') + 1", "3.0"),
            ("ELEMENT_AT(MAP('a', 1), 'c')", "NULL"),
            ("ELEMENT_AT(ELEMENT_AT(ARRAY(ARRAY(1, 2), ARRAY(3)), 1), 2)", "2"),
        ],
    ),
    Function::new("FIELD", Group::Collection, &[Param::Nested, Param::Text], Returns::By(field_type), field)
        .prepare(quoted_name)
        .doc(
            "FIELD(struct, 'name')",
            "The struct's field of this name, which is constant. Also struct.name. Of a map or JSON the value of the key, \
             NULL if there is none.",
            &[
                ("FIELD(STRUCT('a', 1, 'b', 'x'), 'b')", "x"),
                ("FIELD(FIELD(STRUCT('a', STRUCT('c d', TRUE)), 'a'), 'c d')", "true"),
                ("FIELD(MAP('a', 1), 'b')", "NULL"),
            ],
        ),
];

fn is_place(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Integer | DataType::String)
}

/// Type of what an index or a key leads to.
fn part(args: &[ArgType<'_>]) -> Result<DataType, String> {
    let [of, at] = args else { return Ok(DataType::Null) };
    match (of.data_type, at.data_type) {
        (DataType::Array(_), DataType::Integer | DataType::Null) => Ok(element(of.data_type)),
        (DataType::Array(_), _) => Err("an ARRAY has elements by number, not by key".to_owned()),
        (DataType::Map(value), DataType::String | DataType::Null) => Ok(value.as_ref().clone()),
        (DataType::Map(_), _) => Err("a MAP has values by text key, not by number".to_owned()),
        (DataType::Struct(_), DataType::String) => field_type(args),
        (DataType::Struct(_), _) => Err("a STRUCT has fields by name, not by number".to_owned()),
        (DataType::Json, _) => Ok(DataType::Json),
        _ => Ok(DataType::Null),
    }
}

/// Type of the field that the constant second argument names.
fn field_type(args: &[ArgType<'_>]) -> Result<DataType, String> {
    let [of, name] = args else { return Ok(DataType::Null) };
    let fields = match of.data_type {
        DataType::Struct(fields) => fields,
        DataType::Map(value) => return Ok(value.as_ref().clone()),
        DataType::Array(_) => return Err("an ARRAY has elements by number, not fields".to_owned()),
        other => return Ok(other.clone()),
    };
    let Some(Value::Str(name)) = name.constant else {
        return Err("the name of a STRUCT's field is a constant text".to_owned());
    };
    let found = fields.iter().find(|f| f.name == *name);
    found.map(|f| f.data_type.clone()).ok_or_else(|| {
        let names = fields.iter().map(|f: &StructField| &*f.name).collect::<Vec<_>>().join(", ");
        format!("field \"{name}\" does not exist; the STRUCT has {names}")
    })
}

/// The constant name as it stands in canonical text.
fn quoted_name(constants: &[Option<&Value>]) -> Result<Option<Prepared>, BadConstant> {
    Ok(constants.get(1).copied().flatten().and_then(|name| match name {
        Value::Str(name) => {
            let mut quoted = String::new();
            json::quote(name, &mut quoted);
            Some(Arc::new(quoted) as Prepared)
        }
        _ => None,
    }))
}

fn element_at(call: &mut Call<'_>) -> Column {
    let args = call.args;
    let of = args.nested(0);
    if *args.data_type(1) == DataType::Integer {
        let n = args.int(1);
        return call.from_json(|row| {
            let nth = usize::try_from(n.at(row)).ok().and_then(|n| n.checked_sub(1));
            Ok(nth.and_then(|nth| json::elements(of.at(row)).nth(nth)))
        });
    }
    by_key(call, of, args.text(1))
}

fn field(call: &mut Call<'_>) -> Column {
    let (of, name) = (call.args.nested(0), call.args.text(1));
    match call.prepared::<String>() {
        Some(quoted) => call.from_json(|row| Ok(member(of.at(row), quoted))),
        None => by_key(call, of, name),
    }
}

fn by_key<'a>(call: &mut Call<'a>, of: Texts<'a>, key: Texts<'a>) -> Column {
    let mut quoted = String::new();
    call.from_json(|row| {
        quoted.clear();
        json::quote(key.at(row), &mut quoted);
        Ok(member(of.at(row), &quoted))
    })
}

/// The value of a key, which is quoted as in canonical text; of each key there is at most one.
pub(crate) fn member<'a>(object: &'a str, quoted: &str) -> Option<&'a str> {
    json::members(object).find(|(key, _)| *key == quoted).map(|(_, value)| value)
}
