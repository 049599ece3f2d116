//! Arrays, maps, structs and JSON from their parts. Results are canonical text, written straight into the column.

use velostream_types::{Column, DataType, Value};

use crate::call::{Args, Call, Fail};
use crate::collection::common_of;
use crate::function::{ArgType, Function, Group, Param, Returns};
use crate::json;

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("ARRAY", Group::Collection, &[Param::Common], Returns::By(array_type), array)
        .optional(1)
        .variadic()
        .sees_nulls()
        .fails()
        .doc(
            "ARRAY(value, …)",
            "An array of the values, in their common type. Also ARRAY[value, …].",
            &[
                ("ARRAY(1, 2.50, NULL)", "[1.00,2.50,null]"),
                ("ARRAY('a', 'b\"c')", "[\"a\",\"b\\\"c\"]"),
                ("ARRAY(DATE '2024-02-29')", "[\"2024-02-29\"]"),
                ("ARRAY(ARRAY(1), ARRAY())", "[[1],[]]"),
                ("ARRAY(1, 2.5e0)", "[1.0,2.5]"),
                ("TYPEOF(ARRAY(1, 2.5))", "ARRAY<DECIMAL(38,1)>"),
            ],
        ),
    Function::new("MAP", Group::Collection, &[Param::Any], Returns::By(map_type), map)
        .optional(1)
        .variadic()
        .sees_nulls()
        .fails()
        .doc(
            "MAP(key, value, …)",
            "A map of the keys, as text, to the values, in their common type. Of two values of one key the last counts.",
            &[
                ("MAP('b', 1, 'a', 2.5)", "{\"a\":2.5,\"b\":1.0}"),
                ("MAP('a', 1, 'a', NULL)", "{\"a\":null}"),
                ("MAP(7, TRUE)", "{\"7\":true}"),
                ("MAP()", "{}"),
                ("MAP(NULLIF('a', 'a'), 1)", "error: a key is NULL"),
                ("TYPEOF(MAP('a', 1))", "MAP<STRING,INTEGER>"),
            ],
        ),
    Function::new("STRUCT", Group::Collection, &[Param::Any], Returns::By(struct_type), structure)
        .variadic()
        .sees_nulls()
        .fails()
        .doc(
            "STRUCT('name', value, …)",
            "A struct of these fields; the names are constant.",
            &[
                ("STRUCT('x', 1, 'at', TIMESTAMP '2024-02-29 12:00:00')", "{\"x\":1,\"at\":\"2024-02-29 12:00:00.000\"}"),
                ("STRUCT('a', NULL)", "{\"a\":null}"),
                ("TYPEOF(STRUCT('a', 1, 'b', 'x'))", "STRUCT<a INTEGER, b STRING>"),
            ],
        ),
    Function::new("JSON_OBJECT", Group::Json, &[Param::Any], Returns::Json, json_object)
        .optional(1)
        .variadic()
        .sees_nulls()
        .fails()
        .doc(
            "JSON_OBJECT(key, value, …)",
            "A JSON object of the keys, as text, and the values, whatever their types.",
            &[
                ("JSON_OBJECT('b', 1, 'a', ARRAY('x'))", "{\"a\":[\"x\"],\"b\":1}"),
                ("JSON_OBJECT('a', 2.50, 'n', NULL, 't', TRUE)", "{\"a\":2.5,\"n\":null,\"t\":true}"),
                ("JSON_OBJECT('o', JSON_OBJECT())", "{\"o\":{}}"),
            ],
        ),
    Function::new("JSON_ARRAY", Group::Json, &[Param::Any], Returns::Json, json_array)
        .optional(1)
        .variadic()
        .sees_nulls()
        .fails()
        .doc(
            "JSON_ARRAY(value, …)",
            "A JSON array of the values, whatever their types.",
            &[
                ("JSON_ARRAY(1, 'a', NULL, JSON_ARRAY())", "[1,\"a\",null,[]]"),
                ("JSON_ARRAY(DATE '2024-02-29', 1.50)", "[\"2024-02-29\",1.5]"),
            ],
        ),
    Function::new("TO_JSON", Group::Json, &[Param::Any], Returns::Json, to_json).fails().doc(
        "TO_JSON(x)",
        "The value as JSON.",
        &[("TO_JSON(STRUCT('b', 1, 'a', 1.50))", "{\"a\":1.5,\"b\":1}"), ("TO_JSON(1.50)", "1.5"), ("TO_JSON(NULL)", "NULL")],
    ),
];

fn array_type(args: &[ArgType<'_>]) -> Result<DataType, String> {
    common_of(args.iter().map(|a| a.data_type)).map(DataType::array)
}

/// Positions of the keys of `key, value, …`.
fn keys(count: usize) -> impl Iterator<Item = usize> {
    (0..count / 2).map(|pair| 2 * pair)
}

fn in_pairs(args: &[ArgType<'_>]) -> Result<(), String> {
    if args.len().is_multiple_of(2) { Ok(()) } else { Err("keys and values come in pairs".to_owned()) }
}

fn map_type(args: &[ArgType<'_>]) -> Result<DataType, String> {
    in_pairs(args)?;
    if let Some(i) = keys(args.len()).find(|i| args[*i].data_type.is_nested()) {
        return Err(format!("a key is text, not {}", args[i].data_type));
    }
    common_of(keys(args.len()).map(|i| args[i + 1].data_type)).map(DataType::map)
}

fn struct_type(args: &[ArgType<'_>]) -> Result<DataType, String> {
    in_pairs(args)?;
    let mut fields: Vec<(Box<str>, DataType)> = Vec::new();
    for i in keys(args.len()) {
        let Some(Value::Str(name)) = args[i].constant else {
            return Err(format!("argument {} is the name of a field: a constant text", i + 1));
        };
        if fields.iter().any(|(other, _)| other == name) {
            return Err(format!("field \"{name}\" stands twice"));
        }
        fields.push((name.clone(), args[i + 1].data_type.clone()));
    }
    Ok(DataType::structure(fields))
}

fn array(call: &mut Call<'_>) -> Column {
    match call.result {
        DataType::Array(of) => list(call, of),
        _ => list(call, &DataType::Json),
    }
}

fn json_array(call: &mut Call<'_>) -> Column {
    list(call, &DataType::Json)
}

fn list(call: &mut Call<'_>, of: &DataType) -> Column {
    let args = call.args;
    call.texts(|row, out| {
        out.push('[');
        for i in 0..args.len() {
            if i > 0 {
                out.push(',');
            }
            args.push_json(i, row, of, out)?;
        }
        out.push(']');
        Ok(true)
    })
}

fn map(call: &mut Call<'_>) -> Column {
    match call.result {
        DataType::Map(of) => sorted(call, of),
        _ => sorted(call, &DataType::Json),
    }
}

fn json_object(call: &mut Call<'_>) -> Column {
    sorted(call, &DataType::Json)
}

/// Members by key, of two with one key the last; the pieces are collected in one buffer that all rows share.
fn sorted(call: &mut Call<'_>, of: &DataType) -> Column {
    let args = call.args;
    let mut pieces = String::new();
    let mut members: Vec<(usize, usize, usize)> = Vec::new();
    call.texts(|row, out| {
        pieces.clear();
        members.clear();
        for i in keys(args.len()) {
            if args.is_null(i, row) {
                return Err(Fail::domain("a key is NULL"));
            }
            let start = pieces.len();
            push_key(args, i, row, &mut pieces);
            let key_end = pieces.len();
            if i + 1 < args.len() {
                args.push_json(i + 1, row, of, &mut pieces)?;
            }
            members.push((start, key_end, pieces.len()));
        }
        push_members(&pieces, &mut members, out);
        Ok(true)
    })
}

/// Appends an object of the members that stand in `pieces` as (start, end of the key, end of the value), keys as plain
/// text; of two with one key the last.
pub(crate) fn push_members(pieces: &str, members: &mut [(usize, usize, usize)], out: &mut String) {
    let key = |m: &(usize, usize, usize)| &pieces[m.0..m.1];
    // Keys come in the order they were written, which `start` tells.
    members.sort_unstable_by(|a, b| key(a).cmp(key(b)).then(a.0.cmp(&b.0)));
    out.push('{');
    let mut first = true;
    for (i, member) in members.iter().enumerate() {
        if members.get(i + 1).is_some_and(|next| key(next) == key(member)) {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        json::quote(key(member), out);
        out.push(':');
        out.push_str(&pieces[member.1..member.2]);
    }
    out.push('}');
}

/// Appends the plain text of a key.
fn push_key(args: Args<'_>, i: usize, row: usize, out: &mut String) {
    match args.data_type(i) {
        DataType::String => out.push_str(args.text(i).at(row)),
        data_type => {
            let mut quoted = String::new();
            json::push_key(&args.typed(i, row), data_type, &mut quoted);
            json::push_text(&quoted, out);
        }
    }
}

fn structure(call: &mut Call<'_>) -> Column {
    let args = call.args;
    let DataType::Struct(fields) = call.result else { return Column::Null(call.rows) };
    call.texts(|row, out| {
        for (i, field) in fields.iter().enumerate() {
            out.push(if i == 0 { '{' } else { ',' });
            json::quote(&field.name, out);
            out.push(':');
            args.push_json(2 * i + 1, row, &field.data_type, out)?;
        }
        if fields.is_empty() {
            out.push('{');
        }
        out.push('}');
        Ok(true)
    })
}

fn to_json(call: &mut Call<'_>) -> Column {
    let args = call.args;
    call.texts(|row, out| args.push_json(0, row, &DataType::Json, out).map(|()| true))
}
