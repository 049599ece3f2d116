//! Rows that wait for a moment of event time, as they came, and how they are saved.

use std::collections::BTreeMap;

use velostream_state::key::KeyEncoder;
use velostream_state::snapshot::{SnapshotError, SnapshotWriter, StateTable};
use velostream_types::time::WM_NONE;
use velostream_types::{Batch, Column, Offsets, RowMeta, RowOrder, SourceId, vnode, within};

use super::saved::{ints, places, shape};

pub(crate) const PENDING: &str = "pending";
const VERSION: u16 = 1;
/// Columns of a pending row in front of its values: moment, source, partition, offset, order and whether it is the
/// source's own, event time, own watermark, weight.
const FIXED: usize = 11;
/// Where the minor part of the order stands.
const MINOR: usize = 5;

/// Rows by the moment they wait for.
#[derive(Debug, Default)]
pub(crate) struct Held {
    rows: BTreeMap<i64, Vec<Batch>>,
    bytes: usize,
}

impl Held {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn add(&mut self, moment: i64, rows: Batch) {
        self.bytes += rows.bytes();
        self.rows.entry(moment).or_default().push(rows);
    }

    /// The earliest moment that rows wait for.
    pub(crate) fn first(&self) -> Option<i64> {
        self.rows.first_key_value().map(|(moment, _)| *moment)
    }

    /// The rows of the earliest moment, if that is at or before this one.
    pub(crate) fn take_upto(&mut self, moment: i64) -> Option<Vec<Batch>> {
        let rows = self.rows.first_entry().filter(|first| *first.key() <= moment)?.remove();
        self.bytes -= rows.iter().map(Batch::bytes).sum::<usize>();
        Some(rows)
    }

    pub(crate) fn save(&self, keys: &[usize], out: &mut SnapshotWriter) {
        for (moment, batch) in self.rows.iter().flat_map(|(moment, rows)| rows.iter().map(move |rows| (moment, rows))) {
            out.tables.push(pending_table(*moment, batch, keys));
        }
    }

    /// Takes the owned rows of a table of this name.
    pub(crate) fn load(&mut self, table: &StateTable, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        let vnodes = table.vnodes.as_ref().ok_or_else(|| shape("rows without vnodes"))?;
        if table.version != VERSION || table.columns.iter().any(|c| c.len() != vnodes.len()) {
            return Err(shape("what waits for its moment has another shape"));
        }
        let owned: Vec<u32> = (0..vnodes.len() as u32).filter(|row| owns(vnodes[*row as usize])).collect();
        if owned.is_empty() {
            return Ok(());
        }
        let columns: Vec<Column> = table.columns.iter().map(|column| column.take(&owned)).collect();
        let rows = owned.len();
        let columns = columns.as_slice();
        let Some((fixed, values)) = columns.split_at_checked(FIXED) else {
            return Err(shape("rows that wait have other columns"));
        };
        let minor = places(&fixed[MINOR])?;
        let number = |(at, column): (usize, &'_ Column)| {
            if at == MINOR { Ok(Vec::new()) } else { ints(column).map(<[i64]>::to_vec) }
        };
        let fixed: Vec<Vec<i64>> = fixed.iter().enumerate().map(number).collect::<Result<_, _>>()?;
        let all = |at: usize| fixed[at].clone().into();
        let tie = fixed[6].iter().map(|tie| *tie as u64).collect::<Vec<_>>().into();
        let order = match fixed[7][0] {
            0 => RowOrder::Source,
            1 => RowOrder::Derived { major: all(4), minor: minor.into(), tie },
            _ => RowOrder::Nth(tie),
        };
        let meta = RowMeta {
            offsets: Offsets::List(all(3)),
            order,
            event_time: Some(all(8)),
            wm_own: Some(all(9)),
            weight: Some(fixed[10].iter().map(|weight| *weight as i8).collect::<Vec<_>>().into()),
            ..RowMeta::plain(SourceId(fixed[1][0] as u16), fixed[2][0] as u32, 0)
        };
        self.add(fixed[0][0], Batch::new(values.to_vec(), rows, meta));
        Ok(())
    }
}

fn pending_table(moment: i64, batch: &Batch, keys: &[usize]) -> StateTable {
    let mut encoder = KeyEncoder::new();
    let columns: Vec<&Column> = keys.iter().map(|key| &batch.columns[*key]).collect();
    let encoded = encoder.encode(&columns, batch.rows);
    let mut rows: Vec<(u16, u32)> = (0..batch.rows).map(|row| (vnode::of_key(encoded.key(row)), row as u32)).collect();
    rows.sort_unstable();
    let picked: Vec<u32> = rows.iter().map(|(_, row)| *row).collect();
    let meta = &batch.meta;
    let each = |f: &dyn Fn(usize) -> i64| Column::ints(picked.iter().map(|row| f(*row as usize)).collect(), None);
    let time = |times: &Option<arrow_buffer::ScalarBuffer<i64>>, row: usize| times.as_ref().map_or(WM_NONE, |t| t[row]);
    let order = match meta.order {
        RowOrder::Source => 0,
        RowOrder::Derived { .. } => 1,
        RowOrder::Nth(_) => 2,
    };
    let mut columns = vec![
        each(&|_| moment),
        each(&|_| i64::from(meta.source.0)),
        each(&|_| i64::from(meta.partition)),
        each(&|row| meta.offsets.at(row)),
        each(&|row| meta.order_at(row).0),
        within::column(picked.iter().map(|row| meta.order_at(*row as usize).1)),
        each(&|row| meta.order_at(row).2 as i64),
        each(&|_| order),
        each(&|row| time(&meta.event_time, row)),
        each(&|row| time(&meta.wm_own, row)),
        each(&|row| i64::from(meta.weight_at(row))),
    ];
    columns.extend(batch.columns.iter().map(|column| column.take(&picked)));
    let vnodes = Some(rows.iter().map(|(vnode, _)| *vnode).collect());
    StateTable { name: PENDING.to_owned(), version: VERSION, vnodes, columns }
}
