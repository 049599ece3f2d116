//! Snapshot and restore of sessions.
//!
//! Table `sessions`: times of the first and the last row, whether it changed since it was told, key bytes, first-seen
//! triple, then the partial columns of the layout, a row per session, ascending by the vnode of its key. Table `told`: key
//! bytes, first row and told bounds of what changed sessions told, then its values. Table `watermark`: the operator's and
//! the one it forwarded. Rows that wait are saved as [`crate::op::aggregate::Held`] has them.

use velostream_state::build::ColumnBuilder;
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::{Column, DataType, vnode, within};

use super::moments::Moments;
use super::rows::Told;
use super::store::Sessions;
use crate::op::aggregate::saved::{ints, places, shape};

const SESSIONS: &str = "sessions";
const TOLD: &str = "told";
const WATERMARK: &str = "watermark";
const VERSION: u16 = 1;
/// First, last, changed, key, major, minor, tie.
const FIXED: usize = 7;

fn table(name: &str, vnodes: Option<Vec<u16>>, columns: Vec<Column>) -> StateTable {
    StateTable { name: name.to_owned(), version: VERSION, vnodes, columns }
}

impl Sessions {
    fn by_vnode(&self, sessions: impl Iterator<Item = u32>) -> Vec<(u16, u32)> {
        let mut rows: Vec<(u16, u32)> = sessions.map(|session| (vnode::of_key(self.key(session)), session)).collect();
        rows.sort_unstable();
        rows
    }

    pub fn save(&self, forwarded: i64, moments: Option<&Moments>, out: &mut SnapshotWriter) {
        let rows = self.by_vnode(self.all());
        let numbers: Vec<u32> = rows.iter().map(|(_, session)| *session).collect();
        let each = |f: &dyn Fn(u32) -> i64| Column::ints(numbers.iter().map(|session| f(*session)).collect(), None);
        let changed = |session: u32| moments.is_some_and(|moments| moments.changed.contains_key(&session));
        let mut columns = vec![
            each(&|session| self.window(session).0),
            each(&|session| self.last(session)),
            each(&|session| i64::from(changed(session))),
            Column::Bytes(numbers.iter().map(|session| Some(self.key(*session))).collect()),
            each(&|session| self.first_seen(session).0),
            within::column(numbers.iter().map(|session| self.first_seen(*session).1)),
            each(&|session| self.first_seen(session).2 as i64),
        ];
        columns.extend(self.states().partial(&numbers));
        out.tables.push(table(SESSIONS, Some(rows.iter().map(|(vnode, _)| *vnode).collect()), columns));
        out.tables.push(table(WATERMARK, None, vec![Column::ints(vec![self.watermark, forwarded], None)]));
        if let Some(moments) = moments {
            self.save_told(moments, out);
            moments.held.save(&self.spec.keys, out);
        }
    }

    fn save_told(&self, moments: &Moments, out: &mut SnapshotWriter) {
        let rows = self.by_vnode(moments.changed.keys().copied());
        let told: Vec<(u16, u32, &Told)> =
            rows.iter().flat_map(|(vnode, at)| moments.changed[at].iter().map(|told| (*vnode, *at, told))).collect();
        let type_of = |key: &usize| self.spec.input.fields.get(*key).map_or(&DataType::Null, |field| &field.data_type);
        let keys = self.spec.keys.iter().map(|key| ColumnBuilder::new(type_of(key)));
        let mut values: Vec<ColumnBuilder> = keys.chain(self.layout.builders()).collect();
        for (_, _, told) in &told {
            values.iter_mut().zip(&told.values).for_each(|(out, value)| out.push_value(value));
        }
        let each = |f: &dyn Fn(&(u16, u32, &Told)) -> i64| Column::ints(told.iter().map(f).collect(), None);
        let mut columns = vec![
            Column::Bytes(told.iter().map(|(_, session, _)| Some(self.key(*session))).collect()),
            each(&|(_, session, _)| self.window(*session).0),
            each(&|(_, _, told)| told.window.0),
            each(&|(_, _, told)| told.window.1),
        ];
        columns.extend(values.into_iter().map(ColumnBuilder::finish));
        out.tables.push(table(TOLD, Some(told.iter().map(|(vnode, ..)| *vnode).collect()), columns));
    }

    /// Takes the owned sessions of a snapshot; answers the forwarded watermark.
    pub fn load(
        &mut self,
        mut moments: Option<&mut Moments>,
        from: &SnapshotReader,
        owns: &dyn Fn(u16) -> bool,
    ) -> Result<Option<i64>, SnapshotError> {
        for table in &from.tables {
            if table.version != VERSION {
                return Err(shape(&format!("table {} has version {}", table.name, table.version)));
            }
            match (table.name.as_str(), &mut moments) {
                (SESSIONS, moments) => self.load_sessions(table, moments.as_deref_mut(), owns)?,
                (WATERMARK, _) => {
                    let [watermark, given] = ints(table.columns.first().ok_or_else(|| shape("no watermark"))?)? else {
                        return Err(shape("the watermark table has not two rows"));
                    };
                    let lowest = |(a, b): (i64, i64)| (a.min(*watermark), b.min(*given));
                    self.restored = Some(self.restored.map_or((*watermark, *given), lowest));
                }
                (TOLD, Some(moments)) => self.load_told(table, moments, owns)?,
                (crate::op::aggregate::PENDING, Some(moments)) => moments.held.load(table, owns)?,
                (other, _) => return Err(shape(&format!("unknown table {other}"))),
            }
        }
        let (watermark, given) = self.restored.unzip();
        self.watermark = watermark.unwrap_or(self.watermark);
        if let Some(moments) = moments {
            moments.resume(self.watermark);
        }
        Ok(given)
    }

    /// The columns of the owned rows.
    fn owned(table: &StateTable, owns: &dyn Fn(u16) -> bool) -> Result<(usize, Vec<Column>), SnapshotError> {
        let vnodes = table.vnodes.as_ref().ok_or_else(|| shape("sessions without vnodes"))?;
        if table.columns.iter().any(|column| column.len() != vnodes.len()) {
            return Err(shape("columns of sessions are not equally long"));
        }
        let owned: Vec<u32> = (0..vnodes.len() as u32).filter(|row| owns(vnodes[*row as usize])).collect();
        Ok((owned.len(), table.columns.iter().map(|column| column.take(&owned)).collect()))
    }

    fn load_sessions(
        &mut self,
        table: &StateTable,
        mut moments: Option<&mut Moments>,
        owns: &dyn Fn(u16) -> bool,
    ) -> Result<(), SnapshotError> {
        let (rows, columns) = Self::owned(table, owns)?;
        if columns.len() != FIXED + self.layout.partial_columns() || !self.layout.accepts(&columns[FIXED..]) {
            return Err(shape("sessions have other columns than this query's"));
        }
        let Column::Bytes(keys) = &columns[3] else { return Err(shape("keys are no bytes")) };
        let (first, last, changed) = (ints(&columns[0])?, ints(&columns[1])?, ints(&columns[2])?);
        let (major, minor, tie) = (ints(&columns[4])?, places(&columns[5])?, ints(&columns[6])?);
        self.load_keys((0..rows).map(|row| keys.value(row)));
        for row in 0..rows {
            let seen = (major[row], minor[row], tie[row] as u64);
            let session = self.revive(row, (first[row], last[row]), seen, &columns[FIXED..]);
            if let Some(moments) = moments.as_deref_mut().filter(|_| changed[row] != 0) {
                moments.mark(session, Vec::new(), self);
            }
        }
        Ok(())
    }

    fn load_told(
        &mut self,
        table: &StateTable,
        moments: &mut Moments,
        owns: &dyn Fn(u16) -> bool,
    ) -> Result<(), SnapshotError> {
        let (rows, columns) = Self::owned(table, owns)?;
        let [Column::Bytes(keys), first, start, end, values @ ..] = columns.as_slice() else {
            return Err(shape("what sessions told has other columns"));
        };
        let (first, start, end) = (ints(first)?, ints(start)?, ints(end)?);
        self.load_keys((0..rows).map(|row| keys.value(row)));
        for row in 0..rows {
            let session = self.beginning_at(row, first[row]).ok_or_else(|| shape("no such session"))?;
            let values = values.iter().map(|column| column.value(row)).collect();
            moments.changed.entry(session).or_default().push(Told { window: (start[row], end[row]), values });
        }
        Ok(())
    }
}
