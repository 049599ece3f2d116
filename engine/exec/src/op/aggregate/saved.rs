//! Snapshot and restore of a window store.
//!
//! Table `groups`: starts of the last and the first window, key bytes, first-seen triple, then the partial columns of the layout, one row a
//! group, ascending by the vnode of its key. Table `watermark`: the operator's watermark and the one it forwarded;
//! they belong to no vnode. Restoring merges the rows of owned vnodes like partial groups, so it works for any number
//! of shards; the index is rebuilt.

use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::time::WM_NONE;
use velostream_types::{Column, Offsets, RowMeta, RowOrder, SourceId, Within, vnode, within};

use super::WHOLE;
use super::runs::Slice;
use super::store::WindowStore;
use crate::operator::{NodeCounters, OpCx};

const GROUPS: &str = "groups";
const WATERMARK: &str = "watermark";
const VERSION: u16 = 1;
/// Starts of the last and the first window, key, major, minor, tie.
const FIXED: usize = 6;

pub(crate) fn shape(what: &str) -> SnapshotError {
    SnapshotError::Shape(what.to_owned())
}

pub(crate) fn ints(column: &Column) -> Result<&[i64], SnapshotError> {
    match column {
        Column::Int(a) => Ok(a.values()),
        _ => Err(shape("a column of integers is of another kind")),
    }
}

/// Places out of a column.
pub(crate) fn places(column: &Column) -> Result<Vec<Within>, SnapshotError> {
    let read = |row| within::at(column, row).ok_or_else(|| shape("a column of places is of another kind"));
    (0..column.len()).map(read).collect()
}

impl WindowStore {
    pub(crate) fn save(&self, forwarded: i64, out: &mut SnapshotWriter) {
        for (slice, groups) in &self.windows {
            let mut rows: Vec<(u16, u32)> = groups.present().map(|g| (vnode::of_key(groups.index.key(g)), g)).collect();
            rows.sort_unstable();
            let numbers: Vec<u32> = rows.iter().map(|(_, g)| *g).collect();
            let seen: Vec<_> = numbers.iter().map(|g| groups.first_seen(*g)).collect();
            let mut columns = vec![
                Column::ints(vec![slice.last; rows.len()], None),
                Column::ints(vec![slice.first; rows.len()], None),
                Column::Bytes(numbers.iter().map(|g| Some(groups.index.key(*g))).collect()),
                Column::ints(seen.iter().map(|t| t.0).collect(), None),
                within::column(seen.iter().map(|t| t.1)),
                Column::ints(seen.iter().map(|t| t.2 as i64).collect(), None),
            ];
            columns.extend(groups.states.partial(&numbers));
            out.tables.push(StateTable {
                name: GROUPS.to_owned(),
                version: VERSION,
                vnodes: Some(rows.iter().map(|(v, _)| *v).collect()),
                columns,
            });
        }
        out.tables.push(StateTable {
            name: WATERMARK.to_owned(),
            version: VERSION,
            vnodes: None,
            columns: vec![Column::ints(vec![self.watermark, forwarded], None)],
        });
    }

    /// Takes the owned groups of a snapshot; answers the forwarded watermark.
    pub(crate) fn load(
        &mut self,
        from: &SnapshotReader,
        owns: &dyn Fn(u16) -> bool,
    ) -> Result<Option<i64>, SnapshotError> {
        for table in &from.tables {
            if table.version != VERSION {
                return Err(shape(&format!("table {} has version {}", table.name, table.version)));
            }
            match table.name.as_str() {
                GROUPS => self.load_groups(table, owns)?,
                WATERMARK => {
                    let [watermark, given] = ints(table.columns.first().ok_or_else(|| shape("no watermark"))?)? else {
                        return Err(shape("the watermark table has not two rows"));
                    };
                    // Parts of shards that stood at different watermarks: the lowest holds for all.
                    let lowest = |(a, b): (i64, i64)| (a.min(*watermark), b.min(*given));
                    let restored = self.restored.map_or((*watermark, *given), lowest);
                    self.restored = Some(restored);
                    self.watermark = restored.0;
                    self.emitted = self.grid.as_ref().and_then(|grid| grid.closed_by(self.watermark));
                }
                // Those of EMIT CHANGES EVERY and of corrections are for their modules to read, those of `state.ttl` for `idle`.
                super::ticks::CHANGED | super::held::PENDING | super::idle::TOUCHED => {}
                other => return Err(shape(&format!("unknown table {other}"))),
            }
        }
        Ok(self.restored.map(|(_, given)| given))
    }

    fn load_groups(&mut self, table: &StateTable, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let vnodes = table.vnodes.as_ref().ok_or_else(|| shape("groups without vnodes"))?;
        let expected = FIXED + self.layout.partial_columns();
        let equal = table.columns.iter().all(|c| c.len() == vnodes.len());
        if table.columns.len() != expected || !equal {
            return Err(shape("groups have other columns than this query's"));
        }
        let owned: Vec<u32> = (0..vnodes.len() as u32).filter(|i| owns(vnodes[*i as usize])).collect();
        let columns: Vec<Column> = table.columns.iter().map(|c| c.take(&owned)).collect();
        let Column::Bytes(keys) = &columns[2] else { return Err(shape("keys are no bytes")) };
        let (starts, firsts) = (ints(&columns[0])?, ints(&columns[1])?);
        if (self.grid.is_none()) != starts.iter().all(|s| *s == WHOLE) && !starts.is_empty() {
            return Err(shape("windows in a query without windows, or the reverse"));
        }
        if !self.layout.accepts(&columns[FIXED..]) {
            return Err(shape("accumulators are of another kind than this query's"));
        }
        let tie: Vec<u64> = ints(&columns[5])?.iter().map(|t| *t as u64).collect();
        let meta = RowMeta {
            offsets: Offsets::From(0),
            order: RowOrder::Derived {
                major: ints(&columns[3])?.to_vec().into(),
                minor: places(&columns[4])?.into(),
                tie: tie.into(),
            },
            ..RowMeta::plain(SourceId(0), 0, 0)
        };
        self.scratch.encoder.load((0..owned.len()).map(|i| keys.value(i)));
        let (mut dead, mut counters) = (Vec::new(), NodeCounters::default());
        let mut cx =
            OpCx { now_ns: 0, batch_rows: 1, dead: &mut dead, counters: &mut counters, spare: &mut Vec::new() };
        // Held back while loading: what was open when the snapshot was cut is open now.
        let watermark = std::mem::replace(&mut self.watermark, WM_NONE);
        let slice_of = |row: usize| Slice { last: starts[row], first: firsts[row] };
        self.fold_encoded(slice_of, &columns[FIXED..], &meta, owned.len(), &mut cx);
        self.watermark = watermark;
        Ok(())
    }
}
