//! Rows that share a key, in every order of coming and leaving; pairs; snapshots.

use std::sync::Arc;

use velostream_types::{Field, RowMeta, Schema, SourceId};

use super::*;
use crate::operator::NodeCounters;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("k", DataType::String), Field::new("n", DataType::Integer)]))
}

fn batch(rows: &[(&str, i64, i8)]) -> Batch {
    let columns =
        vec![Column::strs(rows.iter().map(|r| Some(r.0))), Column::ints(rows.iter().map(|r| r.1).collect(), None)];
    let weight = Some(rows.iter().map(|r| r.2).collect::<Vec<_>>().into());
    Batch::new(columns, rows.len(), RowMeta { weight, ..RowMeta::plain(SourceId(0), 0, 0) })
}

/// What the operator gives for one batch, a text a row.
fn push(operator: &mut Materialize, rows: &[(&str, i64, i8)], batch_rows: usize) -> Vec<String> {
    let (mut dead, mut counters) = (Vec::new(), NodeCounters::default());
    let mut cx = OpCx { now_ns: 0, batch_rows, dead: &mut dead, counters: &mut counters, spare: &mut Vec::new() };
    operator.push(0, Msg::Batch(batch(rows)), &mut cx).expect("no fatal");
    let mut out = Vec::new();
    while let Some(msg) = operator.pull(&mut cx).expect("no fatal") {
        let Msg::Batch(batch) = msg else { panic!("rows, not {msg:?}") };
        assert!(batch.rows <= batch_rows.max(2), "{} rows at once", batch.rows);
        out.extend((0..batch.rows).map(|row| {
            let (k, n) = (batch.columns[0].value(row), batch.columns[1].value(row));
            format!("{}{k}{n}", if batch.meta.weight_at(row) > 0 { '+' } else { '-' })
        }));
    }
    out
}

#[test]
fn the_greatest_live_row_stands_for_its_key() {
    let mut operator = Materialize::new(&[0], &schema());
    let mut check = |rows: &[(&str, i64, i8)], expect: &str| {
        assert_eq!(push(&mut operator, rows, 1024).join(" "), expect, "{rows:?}");
    };
    check(&[("a", 1, 1), ("b", 1, 1)], "+a1 +b1");
    // A second owner enters below and above; the one that leaves late takes only itself along.
    check(&[("a", 0, 1)], "");
    check(&[("a", 7, 1)], "-a1 +a7");
    check(&[("a", 1, -1)], "");
    check(&[("a", 7, -1)], "-a7 +a0");
    // A batch counts as a whole.
    check(&[("b", 1, -1), ("b", 2, 1), ("b", 2, -1), ("b", 1, 1)], "");
    check(&[("a", 0, -1), ("b", 1, -1), ("b", 3, 1)], "-a0 -b1 +b3");
    // What is taken back before it came leaves nothing.
    check(&[("c", 5, -1)], "");
    check(&[("c", 5, 1)], "");
    check(&[("c", 5, 1)], "+c5");
    // Equal rows are counted.
    check(&[("c", 5, 1)], "");
    check(&[("c", 5, -1)], "");
    check(&[("c", 5, -1)], "-c5");
    assert_eq!((operator.index.len(), operator.bytes > 0), (1, true), "only b is left");
}

#[test]
fn pairs_are_never_split() {
    let mut operator = Materialize::new(&[0], &schema());
    push(&mut operator, &[("a", 1, 1), ("b", 1, 1), ("c", 1, 1)], 1);
    let changes: Vec<(&str, i64, i8)> = ["a", "b", "c"].into_iter().flat_map(|k| [(k, 1, -1), (k, 2, 1)]).collect();
    assert_eq!(push(&mut operator, &changes, 1).join(" "), "-a1 +a2 -b1 +b2 -c1 +c2");
}

#[test]
fn a_snapshot_comes_up_on_the_shards_that_own_its_keys() {
    let mut operator = Materialize::new(&[0], &schema());
    push(&mut operator, &[("a", 1, 1), ("a", 3, 1), ("b", 2, 1), ("c", 9, -1)], 1024);
    let mut out = SnapshotWriter::default();
    operator.snapshot(&mut out);
    let reader = SnapshotReader { tables: out.tables };
    let mut parts: Vec<Materialize> = (0..2).map(|_| Materialize::new(&[0], &schema())).collect();
    for (n, part) in parts.iter_mut().enumerate() {
        part.restore(&reader, &|v| usize::from(v % 2) == n).expect("a good snapshot");
    }
    let bytes: usize = parts.iter().map(|p| p.bytes).sum();
    assert_eq!(bytes, operator.bytes, "every row is on one of them");
    let mut given: Vec<String> = Vec::new();
    for (n, part) in parts.iter_mut().enumerate() {
        let key = |k: &str| {
            let mut keys = KeyEncoder::new();
            let column = Column::strs([Some(k)]);
            vnode::of_key(keys.encode(&[&column], 1).key(0))
        };
        let rows = [("a", 3, -1), ("b", 2, -1), ("c", 9, 1)];
        let own: Vec<(&str, i64, i8)> = rows.into_iter().filter(|r| usize::from(key(r.0) % 2) == n).collect();
        given.extend(push(part, &own, 1024));
    }
    given.sort();
    assert_eq!(given, ["+a1", "-a3", "-b2"]);
}
