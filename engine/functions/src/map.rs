//! Functions over maps, and over structs as maps of their fields. Keys are text; what lists them does so by key. Cost:
//! one walk over the map's text a row.

use std::borrow::Cow;

use velostream_types::{Column, DataType};

use crate::access::member;
use crate::call::{Call, Fail, recast};
use crate::collection::element;
use crate::construct::push_members;
use crate::function::{ArgType, Function, Group, Param, Returns};
use crate::json::{self, Kind};

const MAP: &[Param] = &[Param::Map];

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("MAP_KEYS", Group::Collection, MAP, Returns::By(texts), keys).doc(
        "MAP_KEYS(map)",
        "An array of the keys, ascending.",
        &[
            ("MAP_KEYS(MAP('b', 1, 'a', 2))", "[\"a\",\"b\"]"),
            ("MAP_KEYS(STRUCT('y', 1, 'x', TRUE))", "[\"x\",\"y\"]"),
            ("MAP_KEYS(MAP())", "[]"),
        ],
    ),
    Function::new("MAP_VALUES", Group::Collection, MAP, Returns::By(values_type), values).fails().doc(
        "MAP_VALUES(map)",
        "An array of the values, by key ascending; those of a struct are JSON.",
        &[
            ("MAP_VALUES(MAP('b', 1, 'a', 2.5))", "[2.5,1.0]"),
            ("MAP_VALUES(STRUCT('y', 1.50, 'x', TRUE))", "[true,1.5]"),
        ],
    ),
    Function::new("MAP_ENTRIES", Group::Collection, MAP, Returns::By(entries_type), entries).fails().doc(
        "MAP_ENTRIES(map)",
        "An array of structs with the fields key and value, by key ascending.",
        &[("MAP_ENTRIES(MAP('b', 1, 'a', NULL))", "[{\"key\":\"a\",\"value\":null},{\"key\":\"b\",\"value\":1}]")],
    ),
    Function::new("MAP_CONTAINS_KEY", Group::Collection, &[Param::Map, Param::Text], Returns::Boolean, contains_key)
        .doc(
            "MAP_CONTAINS_KEY(map, key)",
            "TRUE when the map has the key, whatever its value.",
            &[("MAP_CONTAINS_KEY(MAP('a', NULL), 'a')", "true"), ("MAP_CONTAINS_KEY(MAP('a', 1), 'A')", "false")],
        ),
    Function::new(
        "MAP_FROM_ARRAYS",
        Group::Collection,
        &[Param::Array, Param::Array],
        Returns::By(paired),
        from_arrays,
    )
    .fails()
    .doc(
        "MAP_FROM_ARRAYS(keys, values)",
        "A map of the keys, as text, to the values at their places. Of two values of one key the last counts.",
        &[
            ("MAP_FROM_ARRAYS(ARRAY('b', 'a'), ARRAY(1, 2))", "{\"a\":2,\"b\":1}"),
            ("MAP_FROM_ARRAYS(ARRAY(7, 7), ARRAY('x', NULL))", "{\"7\":null}"),
            ("MAP_FROM_ARRAYS(ARRAY('a'), ARRAY(1, 2))", "error: there are 1 keys for 2 values"),
            ("MAP_FROM_ARRAYS(ARRAY('a', NULL), ARRAY(1, 2))", "error: a key is NULL"),
        ],
    ),
];

fn texts(_: &[ArgType<'_>]) -> Result<DataType, String> {
    Ok(DataType::array(DataType::String))
}

/// Type of the values; those of a struct have no type in common.
fn value_type(args: &[ArgType<'_>]) -> DataType {
    match args.first().map(|a| a.data_type) {
        Some(DataType::Map(of)) => of.as_ref().clone(),
        _ => DataType::Json,
    }
}

fn values_type(args: &[ArgType<'_>]) -> Result<DataType, String> {
    Ok(DataType::array(value_type(args)))
}

fn entries_type(args: &[ArgType<'_>]) -> Result<DataType, String> {
    Ok(DataType::array(DataType::structure([("key", DataType::String), ("value", value_type(args))])))
}

fn paired(args: &[ArgType<'_>]) -> Result<DataType, String> {
    let [keys, values] = args else { return Ok(DataType::Null) };
    match element(keys.data_type) {
        of if of.is_nested() && of != DataType::Json => Err(format!("a key is text, not {of}")),
        _ => Ok(DataType::map(element(values.data_type))),
    }
}

fn keys(call: &mut Call<'_>) -> Column {
    listed(call, |key, _, _, out| {
        out.push_str(key);
        Ok(())
    })
}

fn values(call: &mut Call<'_>) -> Column {
    listed(call, |_, value, is_struct, out| push_value(value, is_struct, out))
}

fn entries(call: &mut Call<'_>) -> Column {
    listed(call, |key, value, is_struct, out| {
        out.push_str("{\"key\":");
        out.push_str(key);
        out.push_str(",\"value\":");
        push_value(value, is_struct, out)?;
        out.push('}');
        Ok(())
    })
}

fn push_value(value: &str, is_struct: bool, out: &mut String) -> Result<(), Fail> {
    if is_struct {
        return recast(value, &DataType::Json, out);
    }
    out.push_str(value);
    Ok(())
}

/// An array with what `write` makes of each quoted key and its value. Maps stand by key, structs are sorted.
fn listed(call: &mut Call<'_>, write: fn(&str, &str, bool, &mut String) -> Result<(), Fail>) -> Column {
    let of = call.args.nested(0);
    let is_struct = matches!(call.args.data_type(0), DataType::Struct(_));
    let mut members: Vec<(Cow<'_, str>, &str, &str)> = Vec::new();
    call.texts(|row, out| {
        out.push('[');
        let mut push = |key: &str, value: &str| {
            if out.len() > 1 {
                out.push(',');
            }
            write(key, value, is_struct, out)
        };
        if is_struct {
            members.clear();
            members.extend(json::members(of.at(row)).map(|(key, value)| (json::text_of(key), key, value)));
            members.sort_unstable();
            members.iter().try_for_each(|(_, key, value)| push(key, value))?;
        } else {
            json::members(of.at(row)).try_for_each(|(key, value)| push(key, value))?;
        }
        out.push(']');
        Ok(true)
    })
}

fn contains_key(call: &mut Call<'_>) -> Column {
    let (of, key) = (call.args.nested(0), call.args.text(1));
    let mut quoted = String::new();
    call.bools(|row| {
        quoted.clear();
        json::quote(key.at(row), &mut quoted);
        Ok(Some(member(of.at(row), &quoted).is_some()))
    })
}

fn from_arrays(call: &mut Call<'_>) -> Column {
    let (keys, values) = (call.args.nested(0), call.args.nested(1));
    let mut pieces = String::new();
    let mut members: Vec<(usize, usize, usize)> = Vec::new();
    call.texts(|row, out| {
        pieces.clear();
        members.clear();
        let (keys, mut left) = (json::elements(keys.at(row)), json::elements(values.at(row)));
        let counts = (keys.clone().count(), left.clone().count());
        if counts.0 != counts.1 {
            return Err(Fail::domain(format!("there are {} keys for {} values", counts.0, counts.1)));
        }
        for key in keys {
            let start = pieces.len();
            match json::kind(key) {
                Kind::Null => return Err(Fail::domain("a key is NULL")),
                Kind::Text => json::push_text(key, &mut pieces),
                _ => pieces.push_str(key),
            }
            let key_end = pieces.len();
            pieces.push_str(left.next().unwrap_or("null"));
            members.push((start, key_end, pieces.len()));
        }
        push_members(&pieces, &mut members, out);
        Ok(true)
    })
}
