//! FIRST, LAST, their kin by offset, and the last seen value of a bare column, where rows are only added.
//!
//! FIRST and LAST follow (event time, source and partition, offset), the others as-if order (offset, source and
//! partition); rows of an operator stand in the order it gave them. The last seen value takes NULLs as they are, the
//! rest ignore them. The winner of a batch is found by its position alone; a value is copied once per group and batch,
//! not once per row. Where nobody asked for event times, the records' timestamps stand for them. Over relations that change, [`super::placed`] does this.

use velostream_state::block::BlockPool;
use velostream_state::build::ColumnBuilder;
use velostream_types::within::{self, Within};
use velostream_types::{Column, DataType, RowMeta, Value};

/// Where a row stands among others.
type Place = (i64, i64, Within, i64);

#[derive(Clone, Debug)]
struct Entry {
    place: Place,
    /// A value was seen.
    set: bool,
    /// Row of the running batch that won and whose value is not copied yet.
    pending: Option<u32>,
    value: Value,
}

const NONE: Entry = Entry { place: (0, 0, within::HERE, 0), set: false, pending: None, value: Value::Null };

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    First,
    Last,
    Earliest,
    Latest,
    LastSeen,
}

/// One value of every group, chosen by order.
#[derive(Debug)]
pub(super) struct Ordered {
    entries: Vec<Entry>,
    /// Groups with a pending row.
    touched: Vec<u32>,
    which: Which,
    data_type: DataType,
}

impl Ordered {
    pub(super) fn new(which: Which, data_type: DataType) -> Ordered {
        Ordered { entries: Vec::new(), touched: Vec::new(), which, data_type }
    }

    pub(super) fn grow(&mut self, groups: usize) {
        self.entries.resize(groups.max(self.entries.len()), NONE);
    }

    fn place(&self, meta: &RowMeta, row: usize) -> Place {
        let (major, minor, tie) = meta.order_at(row);
        let time = || meta.event_time.as_ref().or(meta.timestamp.as_ref()).map_or(0, |t| t[row]);
        match self.which {
            Which::First | Which::Last => {
                let (first, second, third) = meta.order_in_time(row);
                (time(), first, second, third)
            }
            _ => (0, major, minor, tie as i64),
        }
    }

    #[inline]
    fn offer(&mut self, group: u32, place: Place, row: u32) {
        let entry = &mut self.entries[group as usize];
        let wins = !entry.set
            || match self.which {
                Which::First | Which::Earliest => place < entry.place,
                Which::Last | Which::Latest | Which::LastSeen => place >= entry.place,
            };
        if wins {
            entry.set = true;
            entry.place = place;
            if entry.pending.replace(row).is_none() {
                self.touched.push(group);
            }
        }
    }

    fn copy(&mut self, column: &Column) {
        for group in self.touched.drain(..) {
            let entry = &mut self.entries[group as usize];
            if let Some(row) = entry.pending.take() {
                entry.value = column.value(row as usize);
            }
        }
    }

    pub(super) fn update(&mut self, groups: &[u32], start: usize, column: &Column, meta: &RowMeta) {
        for (i, group) in groups.iter().enumerate() {
            let row = start + i;
            if self.which == Which::LastSeen || !column.is_null(row) {
                self.offer(*group, self.place(meta, row), row as u32);
            }
        }
        self.copy(column);
    }

    /// Offers partial winners: `[value, set, place × 4]`.
    pub(super) fn merge(&mut self, groups: &[u32], start: usize, columns: &[Column]) {
        let int = |c: usize, row: usize| match &columns[c] {
            Column::Int(a) => a.value(row),
            _ => 0,
        };
        for (i, group) in groups.iter().enumerate() {
            let row = start + i;
            if int(1, row) != 0 {
                let within = within::at(&columns[4], row).unwrap_or(within::HERE);
                let place = (int(2, row), int(3, row), within, int(5, row));
                self.offer(*group, place, row as u32);
            }
        }
        self.copy(&columns[0]);
    }

    pub(super) fn partial(&self, groups: &[u32], out: &mut Vec<Column>) {
        let mut value = ColumnBuilder::new(&self.data_type);
        groups.iter().for_each(|g| self.emit(*g, &mut value));
        out.push(value.finish());
        let entry = |g: &u32| &self.entries[*g as usize];
        out.push(Column::ints(groups.iter().map(|g| i64::from(entry(g).set)).collect(), None));
        let ints = |part: fn(&Place) -> i64| Column::ints(groups.iter().map(|g| part(&entry(g).place)).collect(), None);
        let within = within::column(groups.iter().map(|g| entry(g).place.2));
        out.extend([ints(|p| p.0), ints(|p| p.1), within, ints(|p| p.3)]);
    }

    pub(super) fn emit(&self, group: u32, out: &mut ColumnBuilder) {
        out.push_value(&self.entries[group as usize].value);
    }

    pub(super) fn clear(&mut self, group: u32) {
        self.entries[group as usize] = NONE;
    }

    pub(super) fn release(&mut self, _pool: &mut BlockPool) {
        self.entries = Vec::new();
    }

    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use velostream_types::SourceId;

    /// LAST over three rows of one group with these event times and record timestamps.
    fn last(event_time: Option<[i64; 3]>, timestamp: Option<[i64; 3]>) -> Value {
        let meta = RowMeta {
            event_time: event_time.map(|t| t.to_vec().into()),
            timestamp: timestamp.map(|t| t.to_vec().into()),
            ..RowMeta::plain(SourceId(0), 0, 0)
        };
        let mut state = Ordered::new(Which::Last, DataType::Integer);
        state.grow(1);
        state.update(&[0, 0, 0], 0, &Column::ints(vec![1, 2, 3], None), &meta);
        let mut out = ColumnBuilder::new(&DataType::Integer);
        state.emit(0, &mut out);
        out.finish().value(0)
    }

    #[test]
    fn the_last_row_is_the_last_in_time() {
        assert_eq!(last(Some([5, 9, 7]), Some([1, 2, 3])), Value::Int(2));
        assert_eq!(last(None, Some([3, 2, 1])), Value::Int(1));
        assert_eq!(last(None, None), Value::Int(3));
    }
}
