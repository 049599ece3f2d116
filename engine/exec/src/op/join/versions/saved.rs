//! What versions and waiting rows are stored as: by the virtual node of their key, columns beside their metadata.

use velostream_state::key::KeyEncoder;
use velostream_state::rows::{NONE, RowStore};
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::{Batch, Column, DataType, Value, vnode};

use super::history::History;
use super::waiting::Waiting;
use crate::op::join::marks::Mark;
use crate::op::join::saved::{MARK_COLUMNS, made_of, mark_columns, marks_in};

const VERSIONS: &str = "versions";
const WAITING: &str = "waiting";
const VERSION: u16 = 1;

fn shape() -> SnapshotError {
    SnapshotError::Shape("the versions of a table, or rows that wait for one, have another shape".to_owned())
}

/// Rows of a table of a snapshot that belong here: so many columns of their own, then what else there is.
fn owned(table: &StateTable, columns: usize, owns: &dyn Fn(u16) -> bool) -> Result<Vec<Column>, SnapshotError> {
    let Some(vnodes) = table.vnodes.as_ref().filter(|_| table.columns.len() == columns) else { return Err(shape()) };
    let rows: Vec<u32> = (0..vnodes.len()).filter(|at| owns(vnodes[*at])).map(|at| at as u32).collect();
    Ok(table.columns.iter().map(|column| column.take(&rows)).collect())
}

/// Rows by the virtual node of their key, each with its columns; those of one node keep their order.
fn by_vnode(name: &str, vnodes: Vec<u16>, columns: Vec<Column>) -> StateTable {
    let mut order: Vec<u32> = (0..vnodes.len() as u32).collect();
    order.sort_by_key(|row| vnodes[*row as usize]);
    StateTable {
        name: name.to_owned(),
        version: VERSION,
        vnodes: Some(order.iter().map(|row| vnodes[*row as usize]).collect()),
        columns: columns.iter().map(|column| column.take(&order)).collect(),
    }
}

impl History {
    /// Writes the versions.
    pub fn snapshot(&self, out: &mut SnapshotWriter) {
        let (mut slots, mut vnodes) = (Vec::new(), Vec::new());
        for group in (0..self.index.high() as u32).filter(|group| self.of_key.first(*group) != NONE) {
            let vnode = vnode::of_key(self.index.key(group));
            slots.extend(self.of_key.slots(group).flat_map(|entity| self.versions.slots(entity)));
            vnodes.resize(slots.len(), vnode);
        }
        let mut columns: Vec<Column> = (0..self.types.len()).map(|lane| self.rows.gather(lane, &slots)).collect();
        columns.push(Column::Bool(slots.iter().map(|slot| Some(self.gone[*slot as usize])).collect()));
        let marks: Vec<Mark> = slots.iter().map(|slot| self.marks.at(*slot)).collect();
        columns.extend(mark_columns(&marks));
        out.tables.push(by_vnode(VERSIONS, vnodes, columns));
    }

    /// Takes the versions of the virtual nodes that this shard holds.
    pub fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        for table in from.tables.iter().filter(|table| table.name == VERSIONS) {
            let own = self.types.len();
            let columns = owned(table, own + 1 + MARK_COLUMNS, owns)?;
            let marks = marks_in(&columns[own + 1..]).ok_or_else(shape)?;
            let gone: Vec<bool> = (0..marks.len()).map(|row| columns[own].value(row) == Value::Bool(true)).collect();
            self.put(&columns[..own], marks, &gone);
        }
        Ok(())
    }
}

impl Waiting {
    /// Writes the rows, whose key these columns are.
    pub fn snapshot(&self, types: &[DataType], keys: &[usize], out: &mut SnapshotWriter) {
        let mut rows = RowStore::new(types);
        let (mut slots, mut vnodes, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        let mut encoder = KeyEncoder::new();
        for batch in self.batches() {
            let all: Vec<u32> = (0..batch.rows as u32).collect();
            rows.put_all(&batch.columns, &all, &mut slots);
            let key: Vec<&Column> = keys.iter().map(|key| &batch.columns[*key]).collect();
            let encoded = encoder.encode(&key, batch.rows);
            vnodes.extend((0..batch.rows).map(|row| vnode::of_key(encoded.key(row))));
            marks.extend((0..batch.rows).map(|row| Mark::of(&batch.meta, row)));
        }
        let mut columns: Vec<Column> = (0..types.len()).map(|lane| rows.gather(lane, &slots)).collect();
        columns.push(Column::ints((0..marks.len() as i64).collect(), None));
        columns.extend(mark_columns(&marks));
        out.tables.push(by_vnode(WAITING, vnodes, columns));
    }
}

/// The rows that waited, as batches: of each partition in its order.
pub(super) fn waited(
    from: &SnapshotReader,
    own: usize,
    owns: &dyn Fn(u16) -> bool,
) -> Result<Vec<Batch>, SnapshotError> {
    let mut all = Vec::new();
    for table in from.tables.iter().filter(|table| table.name == WAITING) {
        let columns = owned(table, own + 1 + MARK_COLUMNS, owns)?;
        let marks = marks_in(&columns[own + 1..]).ok_or_else(shape)?;
        let place = |row: u32| match columns[own].value(row as usize) {
            Value::Int(place) => place,
            _ => 0,
        };
        let mut order: Vec<u32> = (0..marks.len() as u32).collect();
        order.sort_by_key(|row| place(*row));
        let marks: Vec<Mark> = order.iter().map(|row| marks[*row as usize].clone()).collect();
        all.extend(made_of(columns[..own].iter().map(|column| column.take(&order)).collect(), &marks));
    }
    Ok(all)
}
