//! Functions over JSON documents: text that may be JSON, or a nested value of any type. Text that is no JSON and a path
//! that leads nowhere give NULL. Paths are taken apart at deploy where they are constant.
//!
//! Cost: text is checked as a whole, then walked up to what the path leads to; nested values are only walked.

use std::sync::Arc;

use velostream_types::{Column, DataType, Value};

use crate::call::{Call, Fail, Texts, recast, shortened};
use crate::function::{ArgType, BadConstant, Function, Group, Param, Prepared, Returns};
use crate::json::{self, Kind, Path};

const DOCUMENT: &[Param] = &[Param::Document];
const DOCUMENT_PATH: &[Param] = &[Param::Document, Param::Text];

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("JSON_EXTRACT", Group::Json, DOCUMENT_PATH, Returns::Json, extract)
        .or(&["JSON_VALUE"])
        .prepare(path_is_good)
        .fails()
        .doc(
            "JSON_EXTRACT(json, path)",
            "The value at the path, as JSON: CAST gives it a type. NULL without one, for a null, and when the text is no \
             JSON. Paths: `$`, `.key`, `['key']`, `[n]` from 0; a leading `$.` may be left out.",
            &[
                ("JSON_EXTRACT('{\"a\": {\"b\": [10, 2.50]}}', '$.a.b[1]')", "2.5"),
                ("JSON_EXTRACT('{\"a\": {\"b\": [10, 2.50]}}', 'a')", "{\"b\":[10,2.5]}"),
                ("JSON_VALUE('{\"a b\": true}', '$[''a b'']')", "true"),
                ("JSON_EXTRACT(MAP('k', ARRAY(1, 2)), 'k[0]')", "1"),
                ("CAST(JSON_EXTRACT('{\"n\": 2.50}', '$.n') AS DECIMAL(5,2)) + 1", "3.50"),
                ("CAST(JSON_EXTRACT('{\"n\": 2.50}', '$.n') AS INTEGER)", "2"),
                ("JSON_EXTRACT('{\"s\": \"x\"}', '$.s')", "x"),
                ("UPPER(JSON_EXTRACT('{\"s\": \"x\"}', '$.s'))", "X"),
                ("JSON_EXTRACT('{\"n\": 5}', '$.n') = 5", "true"),
                ("JSON_EXTRACT('{\"a\": null}', '$.a')", "NULL"),
                ("JSON_EXTRACT('{\"a\": 1}', '$.b')", "NULL"),
                ("JSON_EXTRACT('{\"a\": 1', '$.a')", "NULL"),
                ("JSON_EXTRACT(NULL, '$.a')", "NULL"),
                ("TYPEOF(JSON_EXTRACT('1', '$'))", "JSON"),
            ],
        ),
    Function::new("JSON_QUERY", Group::Json, DOCUMENT_PATH, Returns::Text, query)
        .prepare(path_is_good)
        .fails()
        .doc(
            "JSON_QUERY(json, path)",
            "The object or array at the path, as JSON text; NULL for anything else.",
            &[
                ("JSON_QUERY('{\"a\": [1, {\"b\": 2}]}', '$.a')", "[1,{\"b\":2}]"),
                ("JSON_QUERY('{\"a\": 1}', '$.a')", "NULL"),
                ("JSON_QUERY('nonsense', '$')", "NULL"),
            ],
        ),
    Function::new("JSON_EXISTS", Group::Json, DOCUMENT_PATH, Returns::Boolean, exists)
        .prepare(path_is_good)
        .fails()
        .doc(
            "JSON_EXISTS(json, path)",
            "TRUE when the path leads to a value, even a null; FALSE when the text is no JSON.",
            &[
                ("JSON_EXISTS('{\"a\": null}', '$.a')", "true"),
                ("JSON_EXISTS('{\"a\": 1}', '$.b')", "false"),
                ("JSON_EXISTS('{', '$.a')", "false"),
                ("JSON_EXISTS(NULL, '$')", "NULL"),
            ],
        ),
    Function::new("JSON_ARRAY_LENGTH", Group::Json, DOCUMENT_PATH, Returns::Integer, array_length)
        .optional(1)
        .prepare(path_is_good)
        .fails()
        .doc(
            "JSON_ARRAY_LENGTH(json[, path])",
            "Number of elements of the array; NULL if there is none.",
            &[
                ("JSON_ARRAY_LENGTH('[1, [2, 3]]')", "2"),
                ("JSON_ARRAY_LENGTH('{\"a\": []}', '$.a')", "0"),
                ("JSON_ARRAY_LENGTH('{\"a\": 1}')", "NULL"),
            ],
        ),
    Function::new("JSON_KEYS", Group::Json, DOCUMENT_PATH, Returns::By(texts), keys)
        .optional(1)
        .prepare(path_is_good)
        .fails()
        .doc(
            "JSON_KEYS(json[, path])",
            "An array of the object's keys, ascending; NULL if there is no object.",
            &[
                ("JSON_KEYS('{\"b\": 1, \"a\": 2}')", "[\"a\",\"b\"]"),
                ("JSON_KEYS('{\"b\": {\"c\": 0}}', 'b')", "[\"c\"]"),
                ("JSON_KEYS('[1]')", "NULL"),
            ],
        ),
    Function::new("JSON_TYPEOF", Group::Json, DOCUMENT_PATH, Returns::Text, type_of)
        .optional(1)
        .prepare(path_is_good)
        .fails()
        .doc(
            "JSON_TYPEOF(json[, path])",
            "`object`, `array`, `string`, `number`, `boolean` or `null`; NULL if there is no value.",
            &[
                ("JSON_TYPEOF('{\"a\": 1.5}', '$.a')", "number"),
                ("JSON_TYPEOF('null')", "null"),
                ("JSON_TYPEOF(ARRAY(1))", "array"),
                ("JSON_TYPEOF('nonsense')", "NULL"),
            ],
        ),
    Function::new("IS_JSON", Group::Json, DOCUMENT, Returns::Boolean, is_json).doc(
        "IS_JSON(text)",
        "TRUE when the text is a JSON value.",
        &[("IS_JSON('{\"a\": [1, 2]}')", "true"), ("IS_JSON('{a: 1}')", "false"), ("IS_JSON('')", "false")],
    ),
    Function::new("PARSE_JSON", Group::Json, DOCUMENT, Returns::Json, parse).fails().doc(
        "PARSE_JSON(text)",
        "The text as JSON. Keys are sorted, and of two members with one key the last counts.",
        &[
            ("PARSE_JSON('{\"b\": 1.0, \"a\": [true, null]}')", "{\"a\":[true,null],\"b\":1}"),
            ("PARSE_JSON('null')", "NULL"),
            ("PARSE_JSON('[1,')", "error: '[1,' is no JSON: value missing at byte 4"),
        ],
    ),
];

fn texts(_: &[ArgType<'_>]) -> Result<DataType, String> {
    Ok(DataType::array(DataType::String))
}

/// Takes a constant path apart.
fn path_is_good(constants: &[Option<&Value>]) -> Result<Option<Prepared>, BadConstant> {
    let Some(Value::Str(text)) = constants.get(1).copied().flatten() else { return Ok(None) };
    match parsed(text) {
        Ok(path) => Ok(Some(Arc::new(path) as Prepared)),
        Err(fail) => Err(BadConstant { argument: 1, message: fail.message }),
    }
}

fn parsed(text: &str) -> Result<Path, Fail> {
    Path::parse(text).map_err(|why| Fail::domain(format!("'{}' is no JSON path: {why}", shortened(text))))
}

/// The documents of a call and what its paths lead to in them.
struct Documents<'a> {
    texts: Texts<'a>,
    /// Text that has to be checked.
    is_text: bool,
    /// JSON text of an untyped value, which is what results are made of.
    is_json: bool,
    path: Option<&'a Path>,
    paths: Option<Texts<'a>>,
}

impl<'a> Documents<'a> {
    fn new(call: &Call<'a>) -> Documents<'a> {
        let args = call.args;
        Documents {
            texts: args.text(0),
            is_text: *args.data_type(0) == DataType::String,
            is_json: *args.data_type(0) == DataType::Json,
            path: call.prepared(),
            paths: (args.len() > 1).then(|| args.text(1)),
        }
    }

    /// The row's document, if it is one.
    fn whole(&self, row: usize) -> Option<&'a str> {
        let text = self.texts.at(row);
        let good = !self.is_text || json::check(text).is_ok();
        good.then(|| text.trim_matches([' ', '\t', '\n', '\r']))
    }

    /// What the row's path leads to.
    fn at(&self, row: usize) -> Result<Option<&'a str>, Fail> {
        let Some(document) = self.whole(row) else { return Ok(None) };
        match (self.path, &self.paths) {
            (Some(path), _) => Ok(path.find(document)),
            (None, Some(paths)) => Ok(parsed(paths.at(row))?.find(document)),
            (None, None) => Ok(Some(document)),
        }
    }

    /// Appends a value found in a document as canonical JSON.
    fn push(&self, raw: &str, out: &mut String) -> Result<(), Fail> {
        if !self.is_json {
            return recast(raw, &DataType::Json, out);
        }
        out.push_str(raw);
        Ok(())
    }
}

fn extract(call: &mut Call<'_>) -> Column {
    found(call, |kind| kind != Kind::Null)
}

fn query(call: &mut Call<'_>) -> Column {
    found(call, |kind| matches!(kind, Kind::Array | Kind::Object))
}

fn found(call: &mut Call<'_>, wanted: fn(Kind) -> bool) -> Column {
    let documents = Documents::new(call);
    call.texts(|row, out| match documents.at(row)?.filter(|raw| wanted(json::kind(raw))) {
        Some(raw) => documents.push(raw, out).map(|()| true),
        None => Ok(false),
    })
}

fn exists(call: &mut Call<'_>) -> Column {
    let documents = Documents::new(call);
    call.bools(|row| Ok(Some(documents.at(row)?.is_some())))
}

fn array_length(call: &mut Call<'_>) -> Column {
    let documents = Documents::new(call);
    call.ints(|row| {
        let array = documents.at(row)?.filter(|raw| json::kind(raw) == Kind::Array);
        Ok(array.map(|raw| json::elements(raw).count() as i64))
    })
}

fn keys(call: &mut Call<'_>) -> Column {
    let documents = Documents::new(call);
    let mut all = Vec::new();
    call.texts(|row, out| {
        let Some(object) = documents.at(row)?.filter(|raw| json::kind(raw) == Kind::Object) else { return Ok(false) };
        all.clear();
        all.extend(json::members(object).map(|(key, _)| json::text_of(key)));
        all.sort_unstable();
        all.dedup();
        for (i, key) in all.iter().enumerate() {
            out.push(if i == 0 { '[' } else { ',' });
            json::quote(key, out);
        }
        out.push_str(if all.is_empty() { "[]" } else { "]" });
        Ok(true)
    })
}

fn type_of(call: &mut Call<'_>) -> Column {
    let documents = Documents::new(call);
    call.texts(|row, out| {
        let Some(raw) = documents.at(row)? else { return Ok(false) };
        out.push_str(match json::kind(raw) {
            Kind::Object => "object",
            Kind::Array => "array",
            Kind::Text => "string",
            Kind::Number => "number",
            Kind::Bool => "boolean",
            Kind::Null => "null",
        });
        Ok(true)
    })
}

fn is_json(call: &mut Call<'_>) -> Column {
    let documents = Documents::new(call);
    call.bools(|row| Ok(Some(documents.whole(row).is_some())))
}

fn parse(call: &mut Call<'_>) -> Column {
    let documents = Documents::new(call);
    call.texts(|row, out| {
        let text = documents.texts.at(row);
        if documents.is_text {
            json::check(text).map_err(|m| {
                Fail::cast(format!("'{}' is no JSON: {} at byte {}", shortened(text), m.what, m.at + 1))
            })?;
        }
        documents.push(text, out)?;
        Ok(out != "null")
    })
}
