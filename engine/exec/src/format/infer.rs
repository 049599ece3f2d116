//! Types of an undeclared source from the first records of its partitions.
//!
//! Pure: the caller reads the samples. A sample should end with a whole record; one that holds a whole file should
//! end with a line feed (append one where the file has none), because a record without it may be cut: in JSON it is
//! taken if it is well-formed, in CSV only if there is no other. Malformed records are left out (they will be dead
//! letters); a sample of nothing else is an error.
//!
//! A JSON object is a struct of the fields the sample showed, a map once these are too many; what the values inside do
//! not agree on is JSON.

use std::collections::{BTreeMap, BTreeSet};

use velostream_functions::json;
use velostream_sql::plan::{Format, RawKind};
use velostream_types::{DataType, Field, Schema, StructField, unify};

use super::cells::{Cell, Kind};
use super::csv::{self, Dialect};
use super::json::{Malformed, members, unescape};
use super::number::{Grammar, Shape};
use super::scan::is_utf8;

/// Different fields of one object from which on it is a map.
const MAX_FIELDS: usize = 256;

/// Columns in order of appearance.
#[derive(Default)]
struct Columns {
    fields: Vec<Field>,
    /// Places by name: a header may name a million columns.
    places: BTreeMap<String, usize>,
    /// Place of the column found last: most records have their fields in the same order.
    last: usize,
}

impl Columns {
    /// The column of this name, new ones at the end.
    fn place(&mut self, name: &str) -> usize {
        let count = self.fields.len();
        let next = if self.last + 1 < count { self.last + 1 } else { 0 };
        if self.fields.get(next).is_some_and(|field| field.name == name) {
            self.last = next;
        } else if let Some(place) = self.places.get(name) {
            self.last = *place;
        } else {
            self.places.insert(name.to_owned(), count);
            self.fields.push(Field { inferred: true, ..Field::new(name, DataType::Null) });
            self.last = count;
        }
        self.last
    }

    fn widen(&mut self, place: usize, ty: &DataType) {
        let field = &mut self.fields[place];
        if field.data_type != *ty {
            field.data_type = bounded(unify(&field.data_type, ty));
        }
    }
}

/// Types of the columns of a source, from the head of each of its partitions. Types of conflicting values meet in
/// String; columns without a value have type NULL.
pub fn infer(format: &Format, samples: &[Vec<u8>], max_records_each: usize) -> Result<Schema, String> {
    let mut columns = Columns::default();
    let (mut good, mut first_error) = (0usize, None);
    for sample in samples {
        let sample = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample);
        match format {
            Format::Csv { delimiter, quote, header, skip_lines } => {
                let dialect = Dialect { delimiter: *delimiter, quote: *quote };
                let start = skip(sample, *skip_lines);
                let sample = CsvSample { bytes: sample, start, dialect, header: *header };
                good += sample.read(max_records_each, &mut columns, &mut first_error)?;
            }
            Format::Raw(kind) => {
                let data_type = if *kind == RawKind::Text { DataType::String } else { DataType::Bytes };
                return Ok(Schema::new(vec![Field::new("value", data_type)]));
            }
            Format::JsonLines => good += json(sample, max_records_each, &mut columns, &mut first_error),
        }
    }
    match first_error {
        Some(error) if good == 0 => Err(error),
        _ => {
            columns.fields.iter_mut().for_each(|field| field.data_type = settled(&field.data_type));
            Ok(Schema::new(columns.fields))
        }
    }
}

/// Position behind the first `lines` lines.
fn skip(bytes: &[u8], lines: u64) -> usize {
    let mut at = 0;
    for _ in 0..lines {
        at = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |n| at + n + 1);
    }
    at
}

/// Type of a number; `None` when it has no exact value.
fn number_type(token: &[u8], grammar: Grammar) -> Option<DataType> {
    let shape = Shape::of(token, grammar)?;
    if shape.has_exponent() {
        return Some(DataType::Float);
    }
    let (mantissa, scale) = shape.exact()?;
    let integer = scale == 0 && shape.is_integer() && i64::try_from(mantissa).is_ok();
    Some(if integer { DataType::Integer } else { DataType::decimal(scale) })
}

/// One partition's head in CSV.
struct CsvSample<'a> {
    bytes: &'a [u8],
    start: usize,
    dialect: Dialect,
    header: bool,
}

impl CsvSample<'_> {
    fn read(&self, limit: usize, columns: &mut Columns, error: &mut Option<String>) -> Result<usize, String> {
        let (mut places, mut records, mut problem) = (None, 0usize, None);
        csv::records(self.bytes, self.start, self.dialect, |fields, complete| {
            if places.is_none() {
                let names = match self.header {
                    true => csv::header_names(fields, self.bytes, self.dialect.quote),
                    false => (0..fields.len()).map(|i| format!("col_{i}")).collect(),
                };
                problem = duplicate(&names);
                places = Some(names.iter().map(|n| columns.place(n)).collect::<Vec<usize>>());
                if self.header {
                    return problem.is_none();
                }
            }
            let places = places.as_deref().unwrap_or_default();
            if problem.is_some() || records >= limit || (!complete && records > 0) {
                return false;
            }
            if fields.len() != places.len() {
                let (got, want) = (fields.len(), places.len());
                error.get_or_insert_with(|| format!("a record has {got} fields where {want} were expected"));
                return true;
            }
            if !fields.iter().all(|field| is_utf8(field.of(self.bytes))) {
                error.get_or_insert_with(|| "a record is not valid UTF-8".to_owned());
                return true;
            }
            for (field, place) in fields.iter().zip(places) {
                columns.widen(*place, &self.type_of(*field));
            }
            records += 1;
            true
        });
        problem.map_or(Ok(records), Err)
    }

    fn type_of(&self, field: Cell) -> DataType {
        let text = field.of(self.bytes);
        match field.kind() {
            Kind::Null => DataType::Null,
            Kind::Escaped => DataType::String,
            _ => {
                let text = text.trim_ascii();
                let word = text.eq_ignore_ascii_case(b"true") || text.eq_ignore_ascii_case(b"false");
                let otherwise = if word { DataType::Boolean } else { DataType::String };
                number_type(text, Grammar::Csv).unwrap_or(otherwise)
            }
        }
    }
}

fn duplicate(names: &[String]) -> Option<String> {
    let mut seen = BTreeSet::new();
    let (i, name) = names.iter().enumerate().find(|(_, name)| !seen.insert(name.as_str()))?;
    Some(format!("the header names column \"{name}\" twice, the second time as column {}", i + 1))
}

fn json(sample: &[u8], limit: usize, columns: &mut Columns, error: &mut Option<String>) -> usize {
    let mut records = 0;
    for line in sample.split_inclusive(|b| *b == b'\n') {
        if records >= limit {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        // Walked once before any column is widened: a malformed record must leave no trace.
        match if is_utf8(line) { members(line, 0, |_| {}) } else { Err(Malformed { at: 0, what: "not valid UTF-8" }) } {
            Ok(()) => {}
            Err(_) if !line.ends_with(b"\n") => break,
            Err(m) => {
                error.get_or_insert_with(|| format!("a record is not a JSON object: {} at byte {}", m.what, m.at));
                continue;
            }
        }
        let walked = members(line, 0, |member| {
            let raw = &line[member.key.0..member.key.1];
            let name = if member.escaped { unescape(raw) } else { String::from_utf8(raw.to_vec()).ok() };
            let Some(name) = name else { return };
            let place = columns.place(&name);
            columns.widen(place, &json_type(member.value, line));
        });
        records += usize::from(walked.is_ok());
    }
    records
}

fn json_type(value: Cell, line: &[u8]) -> DataType {
    match value.kind() {
        Kind::Null => DataType::Null,
        Kind::Number => number_type(value.of(line), Grammar::Json).unwrap_or(DataType::Null),
        Kind::True | Kind::False => DataType::Boolean,
        Kind::Nested => std::str::from_utf8(value.of(line)).map_or(DataType::Json, nested_type),
        Kind::Plain | Kind::Text | Kind::Escaped => DataType::String,
    }
}

/// Type of an object or array. Recursion is bounded by the grammar's depth.
fn nested_type(raw: &str) -> DataType {
    match json::kind(raw) {
        json::Kind::Array => {
            let element = |all: DataType, raw| bounded(unify(&all, &DataType::array(nested_type(raw))));
            json::elements(raw).fold(DataType::array(DataType::Null), element)
        }
        json::Kind::Object => {
            let mut places: BTreeMap<String, usize> = BTreeMap::new();
            let mut fields: Vec<StructField> = Vec::new();
            for (key, value) in json::members(raw) {
                let name = json::text_of(key);
                let place = *places.entry(name.to_string()).or_insert(fields.len());
                let data_type = nested_type(value);
                match fields.get_mut(place) {
                    // Of a key that stands twice, the last one counts.
                    Some(field) => field.data_type = data_type,
                    None => fields.push(StructField { name: name.into(), data_type }),
                }
            }
            bounded(DataType::Struct(fields.into()))
        }
        json::Kind::Null => DataType::Null,
        json::Kind::Bool => DataType::Boolean,
        json::Kind::Text => DataType::String,
        json::Kind::Number => number_type(raw.as_bytes(), Grammar::Json).unwrap_or(DataType::Json),
    }
}

/// A struct of too many fields as the map of their values.
fn bounded(data_type: DataType) -> DataType {
    match &data_type {
        DataType::Struct(fields) if fields.len() > MAX_FIELDS => {
            let field = |all: DataType, f: &StructField| unify(&all, &DataType::map(f.data_type.clone()));
            fields.iter().fold(DataType::map(DataType::Null), field)
        }
        _ => data_type,
    }
}

/// Inside nested values, what the sample only showed NULL of may be anything later. Recursion is bounded by the type's
/// depth.
fn settled(data_type: &DataType) -> DataType {
    let inside = |t: &DataType| if *t == DataType::Null { DataType::Json } else { settled(t) };
    match data_type {
        DataType::Array(of) => DataType::array(inside(of)),
        DataType::Map(of) => DataType::map(inside(of)),
        DataType::Struct(fields) => {
            let field = |f: &StructField| StructField { name: f.name.clone(), data_type: inside(&f.data_type) };
            bounded(DataType::Struct(fields.iter().map(field).collect()))
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Format = Format::Csv { delimiter: b',', quote: b'"', header: true, skip_lines: 0 };

    fn check(format: &Format, samples: &[&str], want: &str) {
        let samples: Vec<Vec<u8>> = samples.iter().map(|s| s.as_bytes().to_vec()).collect();
        let got = match infer(format, &samples, 3) {
            Ok(schema) => {
                assert!(schema.fields.iter().all(|f| f.inferred && f.nullable));
                let columns: Vec<String> =
                    schema.fields.iter().map(|f| format!("{} {}", f.name, f.data_type)).collect();
                columns.join(", ")
            }
            Err(e) => format!("error: {e}"),
        };
        assert_eq!(got, want);
    }

    #[test]
    fn csv_types() {
        check(
            &CSV,
            &["a,b,c,d,e\n1,1.50,true,x,\n007,2,FALSE,1,\n"],
            "a INTEGER, b DECIMAL(38,2), c BOOLEAN, d STRING, e NULL",
        );
        check(&CSV, &["a\n1e5\n2\n"], "a FLOAT");
        check(&CSV, &["a\n1\ntrue\n"], "a STRING");
        check(&CSV, &["a,b\n99999999999999999999,\"1\"\n"], "a DECIMAL(38,0), b INTEGER");
        check(&CSV, &["a,b\n"], "a NULL, b NULL");
        check(&CSV, &["a,b\n1,2\n", "b,c\n2.5,x\n"], "a INTEGER, b DECIMAL(38,1), c STRING");
        check(&CSV, &["a,b,a\n1,2,3\n"], "error: the header names column \"a\" twice, the second time as column 3");
        check(&CSV, &["a,b\n1,2\n3,cut"], "a INTEGER, b INTEGER");
        check(&CSV, &["a,b\n1,2.5"], "a INTEGER, b DECIMAL(38,1)");
        check(&CSV, &["a,b\n1\n"], "error: a record has 1 fields where 2 were expected");
        check(&CSV, &["a\n1\n2\n3\nx\n"], "a INTEGER");
        let bare = Format::Csv { delimiter: b';', quote: b'"', header: false, skip_lines: 1 };
        check(&bare, &["# comment\n1;x\n"], "col_0 INTEGER, col_1 STRING");
    }

    #[test]
    fn json_types() {
        let json = Format::JsonLines;
        check(
            &json,
            &["{\"a\":1,\"b\":1.50,\"c\":true,\"d\":\"7\",\"e\":null}\n"],
            "a INTEGER, b DECIMAL(38,2), c BOOLEAN, d STRING, e NULL",
        );
        check(&json, &["{\"a\":1}\n{\"b\":[1],\"a\":2.5}\n\n"], "a DECIMAL(38,1), b ARRAY<INTEGER>");
        check(&json, &["{\"a\":1e2}\n{\"a\":1.5}\n"], "a FLOAT");
        check(&json, &["{\"a\":{}}\n{\"a\":1}\n"], "a STRING");
        check(&json, &["{\"a\":18446744073709551615}"], "a DECIMAL(38,0)");
        check(&json, &["{\"a\":1}\nnope\n{\"b\":2"], "a INTEGER");
        check(&json, &["nope\n"], "error: a record is not a JSON object: the record is no object at byte 0");
        check(&json, &["{\"\\u0061\":1}\n{\"a\":\"x\"}\n", ""], "a STRING");
        check(&json, &[""], "");
    }

    #[test]
    fn nested_types() {
        let check = |lines: &[&str], want: &str| {
            let sample: String = lines.iter().map(|line| format!("{{\"a\":{line}}}\n")).collect();
            check(&Format::JsonLines, &[&sample], &format!("a {want}"));
        };
        check(&["[]"], "ARRAY<JSON>");
        check(&["[]", "[null,1]", "[2.5]"], "ARRAY<DECIMAL(38,1)>");
        check(&["[1,\"x\"]"], "ARRAY<JSON>");
        check(&["[1]", "[\"x\"]"], "ARRAY<JSON>");
        check(&["[[1],[]]", "[[true]]"], "ARRAY<ARRAY<JSON>>");
        check(&["{}"], "STRUCT<>");
        check(
            &["{\"x\":1,\"y\":null}", "{\"z\":[{\"k\":\"v\"}],\"x\":1.5}"],
            "STRUCT<x DECIMAL(38,1), y JSON, z ARRAY<STRUCT<k STRING>>>",
        );
        check(&["{\"x\":1,\"x\":\"last\"}"], "STRUCT<x STRING>");
        check(&["{\"x\":1}", "[1]"], "JSON");
        check(&["{\"x\":1}", "5"], "STRING");
        let wide = |from: usize, to: usize, value: &str| {
            let members: Vec<String> = (from..to).map(|i| format!("\"k{i}\":{value}")).collect();
            format!("{{{}}}", members.join(","))
        };
        check(&[&wide(0, 257, "1"), "{\"k\":2.5}"], "MAP<STRING,DECIMAL(38,1)>");
        check(&[&wide(0, 200, "1"), &wide(200, 300, "true")], "MAP<STRING,JSON>");
    }
}
