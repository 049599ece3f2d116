//! Metadata of kept rows as columns of a snapshot, and back.

use velostream_types::{Batch, Column, NTH_MASK, RowMeta, RowOrder, SourceId, Value, within};

use super::marks::{Mark, batches};

/// Columns that metadata takes.
pub const MARK_COLUMNS: usize = 10;

/// The columns of these marks.
pub fn mark_columns(marks: &[Mark]) -> Vec<Column> {
    let ints = |f: &dyn Fn(&Mark) -> i64| Column::ints(marks.iter().map(f).collect(), None);
    let timestamps: Vec<Option<i64>> = marks.iter().map(|mark| mark.timestamp).collect();
    let valid = arrow_buffer::NullBuffer::from_iter(timestamps.iter().map(Option::is_some));
    vec![
        ints(&|mark| i64::from(mark.origin.0.0)),
        ints(&|mark| i64::from(mark.origin.1)),
        ints(&|mark| mark.offset),
        ints(&|mark| mark.order.0),
        within::column(marks.iter().map(|mark| mark.order.1)),
        ints(&|mark| mark.order.2.cast_signed()),
        ints(&|mark| mark.event_time),
        ints(&|mark| mark.wm_own),
        Column::ints(timestamps.iter().map(|at| at.unwrap_or(0)).collect(), Some(valid)),
        Column::Bytes(marks.iter().map(|mark| mark.raw.as_deref()).collect()),
    ]
}

/// The marks in these columns; `None` when they are of another shape.
pub fn marks_in(columns: &[Column]) -> Option<Vec<Mark>> {
    let [source, partition, offset, major, minor, tie, event_time, wm_own, timestamp, raw] = columns else {
        return None;
    };
    let int = |column: &Column, row: usize| match column.value(row) {
        Value::Int(x) => Some(x),
        _ => None,
    };
    let mark = |row: usize| {
        Some(Mark {
            origin: (SourceId(u16::try_from(int(source, row)?).ok()?), u32::try_from(int(partition, row)?).ok()?),
            offset: int(offset, row)?,
            order: (int(major, row)?, within::at(minor, row)?, int(tie, row)?.cast_unsigned()),
            event_time: int(event_time, row)?,
            wm_own: int(wm_own, row)?,
            timestamp: int(timestamp, row),
            raw: match raw.value(row) {
                Value::Bytes(bytes) => Some(bytes.to_vec().into()),
                _ => None,
            },
        })
    };
    (0..source.len()).map(mark).collect()
}

/// Rows with these marks as batches, cut by the partition they stem from. Rows of a source are such again.
pub fn made_of(columns: Vec<Column>, marks: &[Mark]) -> Vec<Batch> {
    let mut made = batches(columns, marks, None);
    made.iter_mut().for_each(|batch| batch.meta.order = order_of(&batch.meta, batch.rows));
    made
}

/// The order of rows; that of their records where it says no more.
fn order_of(meta: &RowMeta, rows: usize) -> RowOrder {
    let tie = meta.tie_of();
    let order = |row: usize| meta.order_at(row);
    let is_record = |row: &usize| {
        let (major, minor, own) = order(*row);
        major == meta.offsets.at(*row) && minor == within::HERE && own & !NTH_MASK == tie
    };
    match (0..rows).all(|row| is_record(&row)) {
        false => meta.order.clone(),
        true if (0..rows).all(|row| order(row).2 == tie) => RowOrder::Source,
        true => RowOrder::Nth((0..rows).map(|row| order(row).2).collect::<Vec<u64>>().into()),
    }
}
