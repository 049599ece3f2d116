//! Snapshot and restore of the rows of both sides.
//!
//! Tables `left` and `right`: key bytes, whether they meet anything, the window, whether the row met, then its metadata and
//! the stored columns; one row a row, ascending by the vnode of its key. Table `progress`: how far the sides are. Restoring
//! puts the rows of owned vnodes in again, so it works for any number of shards.

use arrow_array::{Array, BinaryViewArray, BooleanArray};
use velostream_sql::plan::Side;
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::{Batch, Column, NTH_MASK, Offsets, RowMeta, RowOrder, SourceId, Value, vnode, within};

use super::super::marks::Mark;
use super::held::Arrival;
use super::keys::START_BYTES;
use super::rule::Rule;
use super::{Streams, number};
use crate::op::aggregate::saved::{ints, places, shape};

const TABLES: [&str; 2] = ["left", "right"];
const PROGRESS: &str = "progress";
const VERSION: u16 = 1;
/// Key, meets, window start and end, met, source, partition, offset, order, event time, own watermark, timestamp, bytes.
const FIXED: usize = 15;

impl Streams {
    /// The bytes of a key that its vnode goes by.
    fn routed<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        match self.rule {
            Rule::Window { .. } => &key[..key.len().saturating_sub(START_BYTES)],
            _ => key,
        }
    }

    pub(super) fn save(&self, out: &mut SnapshotWriter) {
        for side in [Side::Left, Side::Right] {
            let held = &self.sides[number(side)];
            let mut rows: Vec<(u16, u32)> = held
                .slots()
                .map(|slot| (vnode::of_key(self.routed(self.keys.key(held.groups[slot as usize]))), slot))
                .collect();
            if rows.is_empty() {
                continue;
            }
            rows.sort_by_cached_key(|(vnode, slot)| (*vnode, held.time(*slot), held.marks.at(*slot).order));
            let slots: Vec<u32> = rows.iter().map(|(_, slot)| *slot).collect();
            let marks: Vec<Mark> = slots.iter().map(|slot| held.marks.at(*slot)).collect();
            let each = |f: &dyn Fn(u32) -> i64| Column::ints(slots.iter().map(|slot| f(*slot)).collect(), None);
            let bits = |f: &dyn Fn(u32) -> bool| {
                Column::Bool(slots.iter().map(|slot| Some(f(*slot))).collect::<BooleanArray>())
            };
            let of = |f: &dyn Fn(&Mark) -> i64| Column::ints(marks.iter().map(f).collect(), None);
            let group = |slot: u32| held.groups[slot as usize];
            let stamps: Vec<Value> = marks.iter().map(|m| m.timestamp.map_or(Value::Null, Value::Int)).collect();
            let mut columns = vec![
                Column::Bytes(slots.iter().map(|slot| Some(self.keys.key(group(*slot)))).collect()),
                bits(&|slot| !self.keys.is_blank(group(slot))),
                each(&|slot| held.window(slot).map_or(0, |window| window.0)),
                each(&|slot| held.window(slot).map_or(0, |window| window.1)),
                bits(&|slot| held.met[slot as usize]),
                of(&|mark| i64::from(mark.origin.0.0)),
                of(&|mark| i64::from(mark.origin.1)),
                of(&|mark| mark.offset),
                of(&|mark| mark.order.0),
                within::column(marks.iter().map(|mark| mark.order.1)),
                of(&|mark| mark.order.2.cast_signed()),
                of(&|mark| mark.event_time),
                of(&|mark| mark.wm_own),
                stamps_column(&stamps),
                Column::Bytes(marks.iter().map(|mark| mark.raw.as_deref()).collect::<BinaryViewArray>()),
            ];
            columns.extend(held.values(&slots));
            let vnodes = Some(rows.iter().map(|(vnode, _)| *vnode).collect());
            out.tables.push(StateTable { name: TABLES[number(side)].to_owned(), version: VERSION, vnodes, columns });
        }
        let at = vec![self.progress.upto[0], self.progress.upto[1], self.progress.forwarded];
        let columns = vec![Column::ints(at, None)];
        out.tables.push(StateTable { name: PROGRESS.to_owned(), version: VERSION, vnodes: None, columns });
    }

    /// Takes the owned rows of a part of a snapshot.
    pub(super) fn load(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        for table in &from.tables {
            if table.version != VERSION {
                return Err(shape(&format!("table {} has version {}", table.name, table.version)));
            }
            match table.name.as_str() {
                PROGRESS => {
                    let [left, right, forwarded] = ints(table.columns.first().ok_or_else(|| shape("no progress"))?)?
                    else {
                        return Err(shape("how far a join is has not three numbers"));
                    };
                    // Parts of shards that stood at different watermarks: the lowest holds for all.
                    let known = (self.progress.upto, self.progress.forwarded);
                    let lowest = |a: i64, b: i64| if self.restored { a.min(b) } else { b };
                    let upto = [lowest(known.0[0], *left), lowest(known.0[1], *right)];
                    self.progress.restore(upto, lowest(known.1, *forwarded));
                    self.restored = true;
                }
                name => {
                    let side = TABLES.iter().position(|known| *known == name);
                    let side = side.ok_or_else(|| shape(&format!("unknown table {name}")))?;
                    self.load_rows(super::side_of(side), table, owns)?;
                }
            }
        }
        Ok(())
    }

    fn load_rows(&mut self, side: Side, table: &StateTable, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let vnodes = table.vnodes.as_ref().ok_or_else(|| shape("rows without vnodes"))?;
        let expected = FIXED + self.sides[number(side)].width();
        if table.columns.len() != expected || table.columns.iter().any(|column| column.len() != vnodes.len()) {
            return Err(shape("rows of a join have other columns than this query's"));
        }
        let owned: Vec<u32> = (0..vnodes.len() as u32).filter(|row| owns(vnodes[*row as usize])).collect();
        let columns: Vec<Column> = table.columns.iter().map(|column| column.take(&owned)).collect();
        let (sources, partitions) = (ints(&columns[5])?, ints(&columns[6])?);
        let mut order: Vec<u32> = (0..owned.len() as u32).collect();
        order.sort_by_key(|row| (sources[*row as usize], partitions[*row as usize]));
        let same = |a: &u32, b: &u32| {
            let (a, b) = (*a as usize, *b as usize);
            (sources[a], partitions[a]) == (sources[b], partitions[b])
        };
        for rows in order.chunk_by(same) {
            let part: Vec<Column> = columns.iter().map(|column| column.take(rows)).collect();
            self.load_partition(side, &part, rows.len())?;
        }
        Ok(())
    }

    /// Rows of one partition.
    fn load_partition(&mut self, side: Side, columns: &[Column], rows: usize) -> Result<(), SnapshotError> {
        let (Column::Bytes(keys), Column::Bool(meets), Column::Bool(met)) = (&columns[0], &columns[1], &columns[4])
        else {
            return Err(shape("rows of a join have other columns than this query's"));
        };
        let meta = meta_of(columns)?;
        let (starts, ends, times, owns) =
            (ints(&columns[2])?, ints(&columns[3])?, ints(&columns[11])?, ints(&columns[12])?);
        let mut arrivals = Vec::with_capacity(rows);
        for row in 0..rows {
            let group = self.keys.restore(keys.value(row), !meets.value(row));
            self.keys.hold(group);
            self.highest = self.highest.max(times[row]);
            arrivals.push(Arrival {
                row: row as u32,
                group,
                time: times[row],
                own: owns[row],
                window: (starts[row], ends[row]),
                meets: meets.value(row),
                met: met.value(row),
            });
        }
        let rule = &self.rule;
        let batch = Batch::new(columns[FIXED..].to_vec(), rows, meta);
        let last = |arrival: &Arrival| rule.last(side, arrival.time, arrival.window.1);
        self.sides[number(side)].restore(&batch, &arrivals, last);
        Ok(())
    }
}

fn stamps_column(stamps: &[Value]) -> Column {
    let values = stamps.iter().map(|stamp| if let Value::Int(ms) = stamp { Some(*ms) } else { None });
    Column::Int(values.collect())
}

/// Metadata out of saved columns, which are of one partition.
fn meta_of(columns: &[Column]) -> Result<RowMeta, SnapshotError> {
    let first = |at: usize| -> Result<i64, SnapshotError> { Ok(ints(&columns[at])?.first().copied().unwrap_or(0)) };
    let (offsets, majors, minors) = (ints(&columns[7])?, ints(&columns[8])?, places(&columns[9])?);
    let ties: Vec<u64> = ints(&columns[10])?.iter().map(|tie| tie.cast_unsigned()).collect();
    let plain = RowMeta::plain(SourceId(first(5)? as u16), first(6)? as u32, 0);
    let base = plain.tie_of();
    let of_record = (0..ties.len())
        .all(|at| majors[at] == offsets[at] && minors[at] == within::HERE && ties[at] & !NTH_MASK == base);
    let order = match of_record {
        true => RowOrder::Nth(ties.into()),
        false => RowOrder::Derived { major: majors.to_vec().into(), minor: minors.into(), tie: ties.into() },
    };
    let timestamp = match &columns[13] {
        Column::Int(stamps) if stamps.null_count() == 0 => Some(stamps.values().clone()),
        _ => None,
    };
    let raw = match &columns[14] {
        Column::Bytes(raw) if raw.null_count() == 0 => Some(raw.clone()),
        _ => None,
    };
    Ok(RowMeta {
        offsets: Offsets::List(offsets.to_vec().into()),
        order,
        event_time: Some(ints(&columns[11])?.to_vec().into()),
        wm_own: Some(ints(&columns[12])?.to_vec().into()),
        timestamp,
        raw,
        ..plain
    })
}
