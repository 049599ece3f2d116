//! What a Lookup stores: the rows of its table by the virtual node of their key, in the order of their matches, and where
//! rows without a match leave whether each matched, and its metadata.

use velostream_state::rows::NONE;
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::{Batch, Column, RowMeta, SourceId, Value, vnode};

use super::held::Held;
use super::probe::Table;
use crate::op::join::marks::Mark;
use crate::op::join::saved::{MARK_COLUMNS, mark_columns, marks_in};

const ROWS: &str = "table";
/// Rows that every shard holds and stores: one store has all of them.
const WHOLE: &str = "whole table";
const VERSION: u16 = 1;

impl Held {
    /// Writes the rows.
    pub fn snapshot(&self, out: &mut SnapshotWriter) {
        let live = |group: &u32| self.chains.first(*group) != NONE;
        let vnode_of = |group: u32| (vnode::of_key(self.index.key(group)), group);
        let mut groups: Vec<(u16, u32)> = (0..self.index.high() as u32).filter(live).map(vnode_of).collect();
        groups.sort_unstable_by(|a, b| (a.0, self.index.key(a.1)).cmp(&(b.0, self.index.key(b.1))));
        let mut vnodes = Vec::new();
        let mut slots = Vec::new();
        for (vnode, group) in groups {
            slots.extend(self.chains.slots(group));
            vnodes.resize(slots.len(), vnode);
        }
        let mut columns: Vec<Column> = (0..self.types.len()).map(|lane| self.rows().gather(lane, &slots)).collect();
        if let Some(seen) = &self.seen {
            columns.push(Column::Bool(slots.iter().map(|slot| Some(seen.matched[*slot as usize])).collect()));
            let marks: Vec<Mark> = slots.iter().map(|slot| seen.marks.at(*slot)).collect();
            columns.extend(mark_columns(&marks));
        }
        out.tables.push(StateTable {
            name: if self.everywhere { WHOLE } else { ROWS }.to_owned(),
            version: VERSION,
            vnodes: Some(vnodes),
            columns,
        });
    }

    /// Takes the rows of the virtual nodes that this shard holds.
    pub fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let shape = || SnapshotError::Shape("the rows of a looked-up table have another shape".to_owned());
        let everywhere = self.everywhere;
        let holds = |vnode: u16| everywhere || owns(vnode);
        for table in &from.tables {
            if table.name == WHOLE && std::mem::replace(&mut self.restored, true) {
                continue;
            }
            let Some(vnodes) = &table.vnodes else { return Err(shape()) };
            let own = self.types.len();
            let more = if self.seen.is_some() { 1 + MARK_COLUMNS } else { 0 };
            if table.columns.len() != own + more {
                return Err(shape());
            }
            let rows: Vec<u32> = (0..vnodes.len()).filter(|at| holds(vnodes[*at])).map(|at| at as u32).collect();
            if rows.is_empty() {
                continue;
            }
            let columns: Vec<Column> = table.columns.iter().map(|column| column.take(&rows)).collect();
            let batch = Batch::new(columns[..own].to_vec(), rows.len(), RowMeta::plain(SourceId(0), 0, 0));
            self.change(&batch);
            self.restore_seen(&columns[own..]).ok_or_else(shape)?;
        }
        Ok(())
    }

    /// What was known of the rows taken last.
    fn restore_seen(&mut self, columns: &[Column]) -> Option<()> {
        let slots = std::mem::take(&mut self.slots);
        let Some(seen) = &mut self.seen else { return Some(()) };
        let (matched, marks) = columns.split_first()?;
        let marks = marks_in(marks)?;
        for ((at, slot), mark) in slots.iter().enumerate().zip(marks) {
            seen.matched[*slot as usize] = matched.value(at) == Value::Bool(true);
            seen.marks.put_mark(*slot, mark);
        }
        Some(())
    }
}
