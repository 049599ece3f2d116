//! The last row per key by order, deletes, pairs, snapshots.

use std::sync::Arc;

use velostream_types::{Field, RowMeta, Schema, SourceId};

use super::*;
use crate::operator::NodeCounters;

fn operator() -> Upsert {
    let columns = [("k", DataType::String), ("n", DataType::Integer), ("gone", DataType::Boolean)];
    let fields = columns.map(|(name, data_type)| Field::new(name, data_type)).into();
    Upsert::new(&[0], Some(2), &Arc::new(Schema::new(fields)))
}

/// A row as its key and value; a value below 0 deletes.
type Row = (&'static str, i64);

fn batch(partition: u32, first_offset: i64, rows: &[Row]) -> Batch {
    let gone = rows.iter().map(|r| Some(r.1 < 0)).collect::<arrow_array::BooleanArray>();
    let columns = vec![
        Column::strs(rows.iter().map(|r| Some(r.0))),
        Column::ints(rows.iter().map(|r| r.1).collect(), None),
        Column::Bool(gone),
    ];
    Batch::new(columns, rows.len(), RowMeta::plain(SourceId(0), partition, first_offset))
}

/// What the operator gives for one batch, a text a row.
fn push(operator: &mut Upsert, (partition, offset): (u32, i64), rows: &[Row], batch_rows: usize) -> String {
    let (mut dead, mut counters) = (Vec::new(), NodeCounters::default());
    let mut cx = OpCx { now_ns: 0, batch_rows, dead: &mut dead, counters: &mut counters, spare: &mut Vec::new() };
    operator.push(0, Msg::Batch(batch(partition, offset, rows)), &mut cx).expect("no fatal");
    let mut out = Vec::new();
    while let Some(msg) = operator.pull(&mut cx).expect("no fatal") {
        let Msg::Batch(batch) = msg else { panic!("rows, not {msg:?}") };
        assert!(batch.rows <= batch_rows.max(2), "{} rows at once", batch.rows);
        out.extend((0..batch.rows).map(|row| {
            let (k, n) = (batch.columns[0].value(row), batch.columns[1].value(row));
            format!("{}{k}{n}", if batch.meta.weight_at(row) > 0 { '+' } else { '-' })
        }));
    }
    out.join(" ")
}

#[test]
fn the_last_row_by_order_stands_for_its_key() {
    let mut operator = operator();
    let mut check = |place: (u32, i64), rows: &[Row], expect: &str| {
        assert_eq!(push(&mut operator, place, rows, 1024), expect, "{place:?} {rows:?}");
    };
    check((0, 0), &[("a", 1), ("b", 1), ("a", 2)], "+a1 +b1 -a1 +a2");
    // An update to the same value is one, too.
    check((0, 3), &[("b", 1)], "-b1 +b1");
    // Deletes: of a key that lives, and of one that does not.
    check((0, 4), &[("b", -1), ("b", -1), ("c", -1)], "-b1");
    check((0, 7), &[("b", 5)], "+b5");
    // A row of another partition counts by its position, whenever it comes.
    check((1, 1), &[("a", 9)], "");
    check((1, 2), &[("a", 7)], "-a2 +a7");
    check((0, 2), &[("a", 8)], "");
    // What was deleted later stays deleted.
    check((1, 5), &[("c", 3)], "");
    check((1, 6), &[("c", 4)], "+c4");
}

#[test]
fn pairs_are_never_split() {
    let mut operator = operator();
    push(&mut operator, (0, 0), &[("a", 1), ("b", 1)], 1);
    assert_eq!(push(&mut operator, (0, 2), &[("a", 2), ("b", 2)], 1), "-a1 +a2 -b1 +b2");
}

#[test]
fn a_snapshot_comes_up_on_the_shards_that_own_its_keys() {
    let mut whole = operator();
    push(&mut whole, (3, 10), &[("a", 1), ("b", 2), ("c", -1)], 1024);
    let mut out = SnapshotWriter::default();
    whole.snapshot(&mut out);
    let reader = SnapshotReader { tables: out.tables };
    let mut parts = [operator(), operator()];
    for (n, part) in parts.iter_mut().enumerate() {
        part.restore(&reader, &|v| usize::from(v % 2) == n).expect("a good snapshot");
    }
    assert_eq!(parts.iter().map(|p| p.bytes).sum::<usize>(), whole.bytes, "every key is on one of them");
    let mut given = Vec::new();
    for (n, part) in parts.iter_mut().enumerate() {
        for (key, order, value) in [("a", 9, 5), ("b", 11, 6), ("c", 11, 7), ("c", 12, 8)] {
            let column = Column::strs([Some(key)]);
            if usize::from(vnode::of_key(KeyEncoder::new().encode(&[&column], 1).key(0)) % 2) == n {
                given.push(push(part, (3, order), &[(key, value)], 1024));
            }
        }
    }
    given.sort();
    assert_eq!(given, ["", "", "+c8", "-b2 +b6"], "a at 9 and c at 11 come behind what is known");
}
