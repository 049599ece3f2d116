//! What stands beside a record's value: its key and headers as columns, where the plan reads them.
//!
//! Columns are views into the slab, like text; nothing is copied. Keys that are read as text are checked before their
//! record is taken, so that a key that is no text makes a bad record; as bytes they are whatever they are.

use arrow_array::builder::BinaryViewBuilder;
use velostream_sql::plan::{Repr, SourcePlan};
use velostream_types::{Column, RecordRef, StrBuilder, Utf8Slab};

use super::cells::Record;
use super::scan::is_utf8;

/// The columns of one source, behind those decoded from the value.
#[derive(Debug)]
pub(super) struct Beside {
    columns: Vec<Repr>,
    /// Keys are read as text.
    keys_are_text: bool,
}

impl Beside {
    pub(super) fn new(source: &SourcePlan) -> Beside {
        let columns: Vec<Repr> = source.read[source.decoded().len()..].iter().map(|column| column.repr).collect();
        Beside { keys_are_text: columns.iter().any(|c| matches!(c, Repr::KeyText | Repr::KeyPart(_))), columns }
    }

    /// TRUE when records without a value are rows.
    pub(super) fn keeps_tombstones(&self) -> bool {
        self.columns.contains(&Repr::Tombstone)
    }

    /// FALSE for a key that cannot be read as the plan wants it.
    pub(super) fn takes(&self, bytes: &[u8], key: Option<(u32, u32)>) -> bool {
        !self.keys_are_text || key.is_none_or(|(start, end)| is_utf8(&bytes[start as usize..end as usize]))
    }

    /// Appends one column each. `rows` stand in the order of their records; those of a stream have nothing beside them.
    pub(super) fn append(&self, rows: &[Record], records: &[RecordRef], slab: &Utf8Slab, out: &mut Vec<Column>) {
        for repr in &self.columns {
            if *repr == Repr::Tombstone {
                out.push(Column::Bool(rows.iter().map(|row| Some(row.is_tombstone)).collect()));
                continue;
            }
            let mut records = records.iter();
            let ranges = rows.iter().map(|row| {
                let record = records.by_ref().find(|record| record.offset == row.offset);
                record.and_then(|record| if *repr == Repr::Headers { record.headers } else { record.key })
            });
            out.push(match repr {
                Repr::KeyText => text(ranges, rows.len(), slab),
                Repr::KeyPart(part) => {
                    let of = |(start, end): (u32, u32)| &slab.buffer()[start as usize..end as usize];
                    Column::strs(ranges.map(|range| key_part(of(range?), usize::from(*part))))
                }
                _ => views(ranges, rows.len(), slab, *repr == Repr::Headers),
            });
        }
    }
}

fn text(ranges: impl Iterator<Item = Option<(u32, u32)>>, rows: usize, slab: &Utf8Slab) -> Column {
    let mut keys = StrBuilder::with_capacity(rows);
    keys.use_slab(slab);
    for range in ranges {
        if !range.is_some_and(|(start, end)| keys.push(start as usize, end as usize)) {
            keys.push_null();
        }
    }
    Column::Str(keys.finish())
}

/// One part of a compound key, as `format::encode::key` writes them; `None` where it is NULL or the key has no such part.
fn key_part(key: &[u8], part: usize) -> Option<String> {
    let mut text = Vec::new();
    let mut bytes = key.iter();
    let (mut at, mut is_null) = (0, false);
    while let Some(byte) = bytes.next() {
        let escaped = if *byte == b'\\' { bytes.next() } else { None };
        match (byte, escaped) {
            (b'|', _) => at += 1,
            _ if at != part => {}
            (_, Some(b'N')) => is_null = true,
            (_, escaped) => text.push(*escaped.unwrap_or(byte)),
        }
    }
    // A cut between bytes of `|` or a backslash, both ASCII, leaves text whole.
    String::from_utf8(text).ok().filter(|_| at >= part && !is_null)
}

/// Views into the slab; without a range the row has nothing, which is no bytes or NULL.
fn views(
    ranges: impl Iterator<Item = Option<(u32, u32)>>,
    rows: usize,
    slab: &Utf8Slab,
    nothing_is_empty: bool,
) -> Column {
    let mut views = BinaryViewBuilder::with_capacity(rows);
    let block = views.append_block(slab.buffer().clone());
    for range in ranges {
        let appended = range.map(|(start, end)| views.try_append_view(block, start, end - start));
        debug_assert!(!matches!(appended, Some(Err(_))), "keys and headers lie inside their slab");
        match appended {
            Some(Ok(())) => {}
            _ if nothing_is_empty => views.append_value(b""),
            _ => views.append_null(),
        }
    }
    Column::Bytes(views.finish())
}

#[cfg(test)]
mod tests {
    use super::key_part;

    #[test]
    fn parts_of_a_compound_key_are_those_that_were_written() {
        let check = |key: &str, expect: &[Option<&str>]| {
            let got: Vec<Option<String>> = (0..expect.len()).map(|part| key_part(key.as_bytes(), part)).collect();
            assert_eq!(got.iter().map(Option::as_deref).collect::<Vec<_>>(), expect, "{key}");
        };
        check("a|7", &[Some("a"), Some("7"), None]);
        check(r"a\|b|\N|c\\", &[Some("a|b"), None, Some(r"c\")]);
        check("ä||", &[Some("ä"), Some(""), Some("")]);
        check("", &[Some(""), None]);
        check("\\", &[Some("\\")]);
    }
}
