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
        Beside { keys_are_text: columns.contains(&Repr::KeyText), columns }
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
