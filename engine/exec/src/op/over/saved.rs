//! Buffers and waiting rows in snapshots.
//!
//! Three tables, each row with the vnode of its partition: what is known of a partition, the rows of its buffer in their
//! order, and the rows that wait for their turn, whole. Order keys are stored as the bytes they compare by, values as the
//! bytes that keys are made of. Running results are not stored: they start anew from the rows.

use velostream_state::build::ColumnBuilder;
use velostream_state::key::{KeyEncoder, decode};
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::{Batch, Column, DataType, Offsets, RowMeta, RowOrder, SourceId, Value, vnode, within};

use super::order::OrderKey;
use super::rows::SavedRow;
use super::{Over, Until};

const PARTITIONS: &str = "over_partitions";
const ROWS: &str = "over_rows";
const WAITING: &str = "over_waiting";
const VERSION: u16 = 1;

fn shape() -> SnapshotError {
    SnapshotError::Shape("the buffers of OVER have another shape".to_owned())
}

fn ints(values: impl Iterator<Item = i64>) -> Column {
    Column::ints(values.collect(), None)
}

fn optional(values: impl Iterator<Item = Option<i64>>) -> Column {
    let mut column = ColumnBuilder::new(&DataType::Integer);
    values.for_each(|value| match value {
        Some(value) => column.push_int(value),
        None => column.push_null(),
    });
    column.finish()
}

fn bytes(values: impl Iterator<Item = Vec<u8>>) -> Column {
    Column::Bytes(values.map(Some).collect())
}

fn int(column: &Column, row: usize) -> Result<i64, SnapshotError> {
    match column.value(row) {
        Value::Int(value) => Ok(value),
        _ => Err(shape()),
    }
}

fn optional_int(column: &Column, row: usize) -> Option<i64> {
    match column.value(row) {
        Value::Int(value) => Some(value),
        _ => None,
    }
}

fn bytes_at(column: &Column, row: usize) -> Result<Box<[u8]>, SnapshotError> {
    match column.value(row) {
        Value::Bytes(value) => Ok(value),
        _ => Err(shape()),
    }
}

fn key_bytes(key: &OrderKey) -> Vec<u8> {
    match key {
        OrderKey::Int(value) => [&[0], value.to_le_bytes().as_slice()].concat(),
        OrderKey::Bytes(bytes) => [&[1], bytes.as_ref()].concat(),
    }
}

fn key_of(bytes: &[u8]) -> Result<OrderKey, SnapshotError> {
    match bytes.split_first() {
        Some((0, rest)) => Ok(OrderKey::Int(i64::from_le_bytes(rest.try_into().map_err(|_| shape())?))),
        Some((1, rest)) => Ok(OrderKey::Bytes(rest.into())),
        _ => Err(shape()),
    }
}

/// Values as bytes: those of these columns.
fn encoded(columns: &[Column], rows: usize) -> Vec<Vec<u8>> {
    let mut encoder = KeyEncoder::new();
    encoder.encode(&columns.iter().collect::<Vec<_>>(), rows);
    (0..rows).map(|row| encoder.keys().key(row).to_vec()).collect()
}

impl Over {
    pub(super) fn save(&self, out: &mut SnapshotWriter) {
        // Partitions by vnode, then by key: what is written depends on what is held alone.
        let mut groups: Vec<(u16, &[u8], u32)> = (0..self.partitions.index.high() as u32)
            .map(|group| (group, self.partitions.index.key(group)))
            .map(|(group, key)| (vnode::of_key(key), key, group))
            .collect();
        groups.sort_unstable();
        out.tables.push(self.saved_partitions(&groups));
        out.tables.push(self.saved_rows(&groups));
        if self.held.until != Until::Now {
            out.tables.push(self.saved_waiting());
        }
    }

    fn saved_partitions(&self, groups: &[(u16, &[u8], u32)]) -> StateTable {
        let buffers = || groups.iter().map(|(_, _, group)| &self.partitions.buffers[*group as usize]);
        let greatest = buffers().map(|buffer| match &buffer.greatest {
            Some(value) => encoded(&[Column::repeat(value, 1)], 1).remove(0),
            None => Vec::new(),
        });
        StateTable {
            name: PARTITIONS.to_owned(),
            version: VERSION,
            vnodes: Some(groups.iter().map(|group| group.0).collect()),
            columns: vec![
                bytes(groups.iter().map(|group| group.1.to_vec())),
                ints(buffers().map(|buffer| buffer.last_time)),
                ints(buffers().map(|buffer| buffer.arrivals)),
                ints(buffers().map(|buffer| i64::from(buffer.overflown))),
                bytes(greatest),
            ],
        }
    }

    fn saved_rows(&self, groups: &[(u16, &[u8], u32)]) -> StateTable {
        let rows = &self.partitions.rows;
        let of = |(vnode, key, group): &(u16, &[u8], u32)| {
            let (vnode, key) = (*vnode, key.to_vec());
            self.partitions.buffers[*group as usize].slots.iter().map(move |slot| (vnode, key.clone(), *slot))
        };
        let held: Vec<(u16, Vec<u8>, u32)> = groups.iter().flat_map(of).collect();
        let lane = |(lane, column): (usize, &usize)| {
            let mut built = ColumnBuilder::new(&self.types[*column]);
            held.iter().for_each(|(_, _, slot)| built.push_value(rows.value(*slot, lane)));
            built.finish()
        };
        let lanes: Vec<Column> = rows.columns.iter().enumerate().map(lane).collect();
        StateTable {
            name: ROWS.to_owned(),
            version: VERSION,
            vnodes: Some(held.iter().map(|row| row.0).collect()),
            columns: vec![
                bytes(held.iter().map(|row| row.1.clone())),
                bytes(held.iter().map(|row| key_bytes(rows.key(row.2)))),
                bytes(held.iter().map(|row| rows.value_key(row.2).to_vec())),
                ints(held.iter().map(|row| rows.time(row.2))),
                ints(held.iter().map(|row| rows.arrival(row.2))),
                bytes(encoded(&lanes, held.len()).into_iter()),
            ],
        }
    }

    fn saved_waiting(&self) -> StateTable {
        let waiting = self.held.rows.values().chain(&self.held.leaving);
        let row = |(number, row): &(u64, u32)| {
            let waiting = self.held.batches.get(number)?;
            let key = self.partitions.index.key(waiting.groups[*row as usize]);
            Some((vnode::of_key(key), key, &waiting.batch, *row as usize))
        };
        let mut rows: Vec<(u16, &[u8], &Batch, usize)> = waiting.filter_map(row).collect();
        // Stable: rows of equal order stay as they came.
        rows.sort_by_key(|row| row.0);
        let metas = || rows.iter().map(|(_, _, batch, row)| (&batch.meta, *row));
        let is_derived = |meta: &RowMeta| !meta.order.ascends();
        let values = rows.iter().map(|(_, _, batch, row)| {
            let one: Vec<Column> = batch.columns.iter().map(|column| column.slice(*row, 1)).collect();
            encoded(&one, 1).remove(0)
        });
        let raw = Column::Bytes(metas().map(|(m, row)| m.raw.as_ref().map(|raw| raw.value(row).to_vec())).collect());
        StateTable {
            name: WAITING.to_owned(),
            version: VERSION,
            vnodes: Some(rows.iter().map(|row| row.0).collect()),
            columns: vec![
                bytes(rows.iter().map(|row| row.1.to_vec())),
                ints(metas().map(|(m, _)| i64::from(m.source.0))),
                ints(metas().map(|(m, _)| i64::from(m.partition))),
                ints(metas().map(|(m, row)| m.offsets.at(row))),
                ints(metas().map(|(m, _)| i64::from(is_derived(m)))),
                ints(metas().map(|(m, row)| m.order_at(row).0)),
                within::column(metas().map(|(m, row)| m.order_at(row).1)),
                ints(metas().map(|(m, row)| m.order_at(row).2.cast_signed())),
                optional(metas().map(|(m, row)| m.event_time.as_ref().map(|t| t[row]))),
                optional(metas().map(|(m, row)| m.wm_own.as_ref().map(|t| t[row]))),
                optional(metas().map(|(m, row)| m.timestamp.as_ref().map(|t| t[row]))),
                raw,
                bytes(values),
            ],
        }
    }

    pub(super) fn load(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        for table in &from.tables {
            let Some(vnodes) = &table.vnodes else { return Err(shape()) };
            let own: Vec<usize> = (0..vnodes.len()).filter(|row| owns(vnodes[*row])).collect();
            match (table.name.as_str(), table.version) {
                (PARTITIONS, VERSION) => self.load_partitions(&table.columns, &own)?,
                (ROWS, VERSION) => self.load_rows(&table.columns, &own)?,
                (WAITING, VERSION) => self.load_waiting(&table.columns, &own)?,
                _ => return Err(shape()),
            }
        }
        Ok(())
    }

    fn load_partitions(&mut self, columns: &[Column], own: &[usize]) -> Result<(), SnapshotError> {
        let [keys, times, arrivals, overflown, greatest] = columns else { return Err(shape()) };
        let data_type = self.partitions.order_type(&self.types);
        for row in own {
            let group = self.partitions.group(&bytes_at(keys, *row)?);
            let known = bytes_at(greatest, *row)?;
            let mut value = [ColumnBuilder::new(&data_type)];
            if !known.is_empty() {
                decode(&known, &mut value).ok_or_else(shape)?;
            }
            let [value] = value;
            let buffer = &mut self.partitions.buffers[group as usize];
            buffer.last_time = int(times, *row)?;
            buffer.arrivals = int(arrivals, *row)?;
            buffer.overflown = int(overflown, *row)? != 0;
            buffer.greatest = (!known.is_empty()).then(|| value.finish().value(0));
        }
        Ok(())
    }

    fn load_rows(&mut self, columns: &[Column], own: &[usize]) -> Result<(), SnapshotError> {
        let [keys, order, by_value, times, arrivals, values] = columns else { return Err(shape()) };
        let types: Vec<DataType> = self.partitions.rows.columns.iter().map(|c| self.types[*c].clone()).collect();
        let lanes = decoded(&types, values, own)?;
        for (at, row) in own.iter().enumerate() {
            let group = self.partitions.group(&bytes_at(keys, *row)?);
            let saved = SavedRow {
                key: key_of(&bytes_at(order, *row)?)?,
                value_key: bytes_at(by_value, *row)?,
                time: int(times, *row)?,
                arrival: int(arrivals, *row)?,
                values: lanes.iter().map(|lane| lane.value(at)).collect(),
            };
            self.partitions.put_back(group, saved);
        }
        Ok(())
    }

    fn load_waiting(&mut self, columns: &[Column], own: &[usize]) -> Result<(), SnapshotError> {
        let [keys, sources, partitions, offsets, derived, majors, minors, ties, times, owns, stamps, raws, values] =
            columns
        else {
            return Err(shape());
        };
        // Rows are of one partition in a batch; a batch each is simple, and only a restart pays for it.
        let whole = decoded(&self.types, values, own)?;
        for (at, row) in own.iter().enumerate() {
            let one = |column: &Column| optional_int(column, *row).map(|value| vec![value].into());
            let raw = match raws.value(*row) {
                Value::Bytes(raw) => Some(std::iter::once(Some(raw)).collect()),
                _ => None,
            };
            let minor = within::at(minors, *row).ok_or_else(shape)?;
            let (major, tie) = (int(majors, *row)?, int(ties, *row)?.cast_unsigned());
            let order = match int(derived, *row)? {
                0 => RowOrder::Nth(vec![tie].into()),
                _ => RowOrder::Derived { major: vec![major].into(), minor: vec![minor].into(), tie: vec![tie].into() },
            };
            let source = u16::try_from(int(sources, *row)?).map_err(|_| shape())?;
            let partition = u32::try_from(int(partitions, *row)?).map_err(|_| shape())?;
            let meta = RowMeta {
                offsets: Offsets::List(vec![int(offsets, *row)?].into()),
                order,
                event_time: one(times),
                wm_own: one(owns),
                timestamp: one(stamps),
                raw,
                ..RowMeta::plain(SourceId(source), partition, 0)
            };
            let group = self.partitions.group(&bytes_at(keys, *row)?);
            let columns = whole.iter().map(|column| column.slice(at, 1)).collect();
            self.held.take(Batch::new(columns, 1, meta), vec![group]);
        }
        Ok(())
    }
}

/// Columns of these types out of the bytes of these rows.
fn decoded(types: &[DataType], values: &Column, rows: &[usize]) -> Result<Vec<Column>, SnapshotError> {
    let mut built: Vec<ColumnBuilder> = types.iter().map(ColumnBuilder::new).collect();
    for row in rows {
        decode(&bytes_at(values, *row)?, &mut built).ok_or_else(shape)?;
    }
    Ok(built.into_iter().map(ColumnBuilder::finish).collect())
}
