//! Kernels over what stands beside a record's value: the key a sink would give a row, and header functions.
//!
//! A change of headers is noted for every selected row while a [`Kind::Headers`](super::node::Kind) above collects
//! them, so that only the taken branch of a CASE makes its change; anywhere else SET_HEADER is no more than its value.
//! Cost: headers of all rows are written anew where a query changes any.

use arrow_array::{Array, BinaryViewArray};
use arrow_buffer::BooleanBuffer;
use velostream_sql::plan::{HeaderCall, KeyFormat};
use velostream_types::headers::{Edit, Headers, edited, find};
use velostream_types::{Batch, Column, DataType, ErrorCode, Schema, StrBuilder};

use super::datum::Datum;
use super::eval::{Selection, Session};
use super::node::Node;
use crate::format::KeyEncoder;

/// The key of each row, as text or as bytes.
pub(super) fn record_key(
    format: KeyFormat,
    schema: &Schema,
    parts: &[Node],
    node: &Node,
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Datum<'static> {
    let rows = session.rows;
    let columns = parts.iter().map(|part| session.eval(part, selection).into_column(rows)).collect();
    let batch = Batch { columns, rows, meta: session.batch.meta.clone() };
    let key: Vec<usize> = (0..parts.len()).collect();
    let mut encoder = KeyEncoder::new(format, &key, schema);
    if node.data_type == DataType::Bytes {
        let keys: BinaryViewArray = (0..rows).map(|row| encoder.key(&batch, row)).collect();
        return Datum::Column(Column::Bytes(keys));
    }
    let mut keys = StrBuilder::with_capacity(rows);
    for row in 0..rows {
        let key = encoder.key(&batch, row);
        match key.as_deref().map(std::str::from_utf8) {
            Some(Ok(key)) => keys.push_str(key),
            None => keys.push_null(),
            Some(Err(_)) => {
                keys.push_null();
                if selection.is_none_or(|s| s.value(row)) {
                    session.fail(row, ErrorCode::InvalidUtf8, node.span, "_key is not valid UTF-8".to_owned());
                }
            }
        }
    }
    Datum::Column(Column::Str(keys.finish()))
}

/// One header function over all rows.
pub(super) fn header(
    call: HeaderCall,
    headers: &Node,
    args: &[Node],
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Datum<'static> {
    let rows = session.rows;
    let args: Vec<Column> = args.iter().map(|arg| session.eval(arg, selection).into_column(rows)).collect();
    let selected = |row: usize| selection.is_none_or(|s| s.value(row));
    if let Some(edits) = session.edits.as_mut().filter(|_| call.is_edit()) {
        for row in (0..rows).filter(|row| selected(*row)) {
            if let Some(name) = text(&args[0], row) {
                let value = args.get(1).and_then(|values| text(values, row));
                edits.push((row as u32, (name.as_bytes().into(), value.map(|v| v.as_bytes().into()))));
            }
        }
    }
    if let (HeaderCall::Set, [_, value]) = (call, args.as_slice()) {
        return Datum::Column(value.clone());
    }
    let headers = session.eval(headers, selection).into_column(rows);
    let name = |row: usize| args.first().and_then(|names| text(names, row));
    if call == HeaderCall::Has {
        let bits = |row: usize| name(row).is_some_and(|name| find(encoded(&headers, row), name.as_bytes()).is_some());
        return Datum::bools(BooleanBuffer::collect_bool(rows, bits), None);
    }
    let mut values = StrBuilder::with_capacity(rows);
    for row in 0..rows {
        let encoded = encoded(&headers, row);
        match (call, name(row)) {
            (HeaderCall::Names, _) => values.push_str(&names(encoded)),
            (_, Some(name)) => match find(encoded, name.as_bytes()).flatten() {
                Some(value) => values.push_str(&String::from_utf8_lossy(value)),
                None => values.push_null(),
            },
            (_, None) => values.push_null(),
        }
    }
    Datum::Column(Column::Str(values.finish()))
}

/// The rows' headers after the changes that `edits` make.
pub(super) fn edited_headers(
    before: &Node,
    edits: &[Node],
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Datum<'static> {
    let outer = session.edits.replace(Vec::new());
    for edit in edits {
        session.eval(edit, selection);
    }
    let mut made: Vec<(u32, Edit)> = std::mem::replace(&mut session.edits, outer).unwrap_or_default();
    let before = session.eval(before, selection).into_column(session.rows);
    made.sort_by_key(|(row, _)| *row);
    let mut rest = made.as_slice();
    let rows = (0..session.rows).map(|row| {
        let own = rest.partition_point(|(at, _)| *at as usize <= row);
        let (own, others) = rest.split_at(own);
        rest = others;
        let encoded = encoded(&before, row);
        if own.is_empty() { encoded.to_vec() } else { edited(encoded, own.iter().map(|(_, edit)| edit)) }
    });
    Datum::Column(Column::Bytes(BinaryViewArray::from_iter_values(rows)))
}

fn encoded(headers: &Column, row: usize) -> &[u8] {
    match headers {
        Column::Bytes(a) if a.is_valid(row) => a.value(row),
        _ => &[],
    }
}

fn text(column: &Column, row: usize) -> Option<&str> {
    match column {
        Column::Str(a) => a.is_valid(row).then(|| a.value(row)),
        _ => None,
    }
}

/// The names, sorted, each once.
fn names(encoded: &[u8]) -> String {
    let names: std::collections::BTreeSet<String> =
        Headers::new(encoded).map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    names.into_iter().collect::<Vec<_>>().join(",")
}
