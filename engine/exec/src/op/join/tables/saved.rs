//! Snapshots of a join of tables: the rows of each side by the vnode of their key, in the order in which they are met.

use velostream_state::rows::NONE;
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::{Column, Value, vnode};

use super::TableJoin;
use super::kept::Kept;
use crate::op::join::marks::Mark;
use crate::op::join::saved::{MARK_COLUMNS, mark_columns, marks_in};

/// By side.
const NAMES: [&str; 2] = ["left rows", "right rows"];
const VERSION: u16 = 1;
/// Columns behind those of the rows.
const BESIDE: usize = 2 + MARK_COLUMNS;

impl TableJoin {
    pub(super) fn save(&self, out: &mut SnapshotWriter) {
        let mut groups: Vec<(u16, u32)> = (0..self.index.high() as u32)
            .filter(|group| self.sides.iter().any(|kept| kept.chains.first(*group) != NONE))
            .map(|group| (vnode::of_key(self.index.key(group)), group))
            .collect();
        groups.sort_unstable();
        for (kept, name) in self.sides.iter().zip(NAMES) {
            let (mut vnodes, mut slots) = (Vec::new(), Vec::new());
            for (vnode, group) in &groups {
                slots.extend(kept.chains.slots(*group));
                vnodes.resize(slots.len(), *vnode);
            }
            out.tables.push(kept.saved(name, vnodes, &slots));
        }
    }

    pub(super) fn load(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let shape = || SnapshotError::Shape("the rows of a join of tables have another shape".to_owned());
        for table in &from.tables {
            let side = NAMES.iter().position(|name| *name == table.name).ok_or_else(shape)?;
            let (Some(vnodes), Some(lanes)) = (&table.vnodes, table.columns.len().checked_sub(BESIDE)) else {
                return Err(shape());
            };
            let own: Vec<u32> = (0..vnodes.len() as u32).filter(|row| owns(vnodes[*row as usize])).collect();
            let columns: Vec<Column> = table.columns.iter().map(|column| column.take(&own)).collect();
            if lanes != self.sides[side].width {
                return Err(shape());
            }
            let (rows, beside) = columns.split_at(lanes);
            self.load_side(side, rows, beside, own.len()).ok_or_else(shape)?;
        }
        Ok(())
    }

    fn load_side(&mut self, side: usize, rows: &[Column], beside: &[Column], count: usize) -> Option<()> {
        let kept = &mut self.sides[side];
        let key: Option<Vec<&Column>> = kept.keys.iter().map(|k| rows.get(*k)).collect();
        self.keys.encode(&key?, count);
        self.values.encode(&rows.iter().collect::<Vec<_>>(), count);
        let mut slots = Vec::with_capacity(count);
        kept.rows.put_all(rows, &(0..count as u32).collect::<Vec<_>>(), &mut slots);
        kept.counts.resize(kept.rows.high().max(kept.counts.len()), 0);
        if kept.outer {
            kept.partners.resize(kept.rows.high().max(kept.partners.len()), 0);
        }
        for ((row, slot), mark) in slots.into_iter().enumerate().zip(marks_in(&beside[2..])?) {
            let key = self.keys.keys().key(row);
            let group = self.index.find_or_insert(key, self.hasher.hash(key), &mut self.pool).group;
            let int = |column: usize| match beside[column].value(row) {
                Value::Int(value) => Some(value),
                _ => None,
            };
            kept.marks.put_mark(slot, mark);
            kept.live(slot, self.hasher.hash(self.values.keys().key(row)), group, int(0)?);
            if let Some(partners) = kept.partners.get_mut(slot as usize) {
                *partners = int(1)?.cast_unsigned();
            }
        }
        Some(())
    }
}

impl Kept {
    fn saved(&self, name: &str, vnodes: Vec<u16>, slots: &[u32]) -> StateTable {
        let ints = |f: &dyn Fn(usize) -> i64| Column::ints(slots.iter().map(|slot| f(*slot as usize)).collect(), None);
        let marks: Vec<Mark> = slots.iter().map(|slot| self.marks.at(*slot)).collect();
        let mut columns: Vec<Column> = (0..self.width).map(|lane| self.rows.gather(lane, slots)).collect();
        columns.extend([
            ints(&|slot| self.counts[slot]),
            ints(&|slot| self.partners.get(slot).map_or(0, |partners| partners.cast_signed())),
        ]);
        columns.extend(mark_columns(&marks));
        StateTable { name: name.to_owned(), version: VERSION, vnodes: Some(vnodes), columns }
    }
}
