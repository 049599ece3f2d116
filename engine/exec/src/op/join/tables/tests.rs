//! Changes in, changes out.

use std::sync::Arc;

use super::*;
use crate::operator::NodeCounters;
use velostream_sql::plan::{Apart, CompareOp, Expr, ExprKind, JoinColumn, JoinKind, JoinMode, Placement};
use velostream_types::time::WM_END;
use velostream_types::{DlqId, Field, NodeId, RowMeta, Schema, ShardId, SourceId, Span};

/// A row of a side: its key (below 0: NULL), its value, and whether it comes.
type Row = (i64, i64, i8);

fn batch(side: usize, at: i64, rows: &[Row]) -> Msg {
    let column = |f: &dyn Fn(&Row) -> i64| rows.iter().map(f).collect::<Vec<i64>>();
    let keys = column(&|row| row.0);
    let valid: Vec<bool> = keys.iter().map(|key| *key >= 0).collect();
    let columns = vec![Column::ints(keys, Some(valid.into())), Column::ints(column(&|row| row.1), None)];
    let meta = RowMeta {
        // All rows of a batch stem from one record.
        offsets: velostream_types::Offsets::List(vec![at; rows.len()].into()),
        weight: Some(rows.iter().map(|row| row.2).collect::<Vec<i8>>().into()),
        ..RowMeta::plain(SourceId(side as u16), 0, at)
    };
    Msg::Batch(Batch::new(columns, rows.len(), meta))
}

fn join(kind: JoinKind, greater: bool) -> TableJoin {
    let fields = ["k", "v"].map(|name| Field::new(name, DataType::Integer)).to_vec();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let column =
        |at| Box::new(Expr { kind: ExprKind::Column(at), data_type: DataType::Integer, span: Span::default() });
    let compare = ExprKind::Compare { op: CompareOp::Greater, left: column(0), right: column(1) };
    let spec = JoinSpec {
        kind,
        mode: JoinMode::Tables,
        left_keys: vec![0],
        right_keys: vec![0],
        residual: greater.then(|| Expr { kind: compare, data_type: DataType::Boolean, span: Span::default() }),
        output: vec![JoinColumn::Of(Side::Left, 1), JoinColumn::Of(Side::Right, 1)],
        defaults: Vec::new(),
        identity: None,
        placement: Placement::ByKey(Apart::Unknown),
        replaces: false,
    };
    let ctx = EvalContext { run_start_ms: 0, now_ns: 0, seed: 0 };
    TableJoin::new(&spec, [&schema, &schema], place(), ctx)
}

fn place() -> Place {
    let (name, sources) = ("joined".into(), Arc::from(["l".into(), "r".into()]));
    Place { node: NodeId(1), dlq: DlqId(0), shard: ShardId(0), shards: 1, name, sources }
}

/// What the join gives for a message, batches cut by `|`.
fn told(join: &mut TableJoin, port: usize, msg: Msg, batch_rows: usize) -> String {
    let (mut dead, mut counters) = (Vec::new(), NodeCounters::default());
    let mut cx = OpCx { now_ns: 0, batch_rows, dead: &mut dead, counters: &mut counters, spare: &mut Vec::new() };
    join.push(port, msg, &mut cx).expect("taken");
    let mut out = Vec::new();
    while let Some(msg) = join.pull(&mut cx).expect("given") {
        out.push(match msg {
            Msg::Batch(batch) => {
                let row = |row| {
                    let sign = if batch.meta.weight_at(row) > 0 { '+' } else { '-' };
                    format!("{sign}{},{}", batch.columns[0].value(row), batch.columns[1].value(row))
                };
                (0..batch.rows).map(row).collect::<Vec<_>>().join(" ")
            }
            other => format!("{other:?}"),
        });
    }
    out.join(" | ")
}

/// Sides, rows and what they give, one after another.
fn check(kind: JoinKind, greater: bool, steps: &[(usize, &[Row], &str)]) {
    let mut operator = join(kind, greater);
    for (at, (side, rows, expect)) in steps.iter().enumerate() {
        // Rows of each partition leave in a batch of their own, where they do not replace another.
        let got = told(&mut operator, *side, batch(*side, at as i64, rows), 1024).replace(" | ", " ");
        assert_eq!(got, *expect, "{kind:?}, step {at}");
        let (mut saved, mut again) = (SnapshotWriter::default(), join(kind, greater));
        operator.snapshot(&mut saved);
        again.restore(&SnapshotReader { tables: saved.tables }, &|_| true).expect("restored");
        operator = again;
    }
    let live = operator.sides.iter().map(|kept| kept.rows.len()).sum::<usize>();
    assert_eq!((live, operator.index.len()), (0, 0), "{kind:?}: everything was taken back");
}

#[test]
fn a_replaced_row_is_one_change() {
    check(
        JoinKind::Full,
        false,
        &[
            (0, &[(1, 10, 1)], "+10,NULL"),
            (1, &[(1, 20, 1)], "-10,NULL +10,20"),
            (1, &[(1, 20, -1), (1, 21, 1)], "-10,20 +10,21"),
            (0, &[(1, 10, -1), (1, 11, 1)], "-10,21 +11,21"),
            (1, &[(1, 21, -1), (2, 22, 1)], "-11,21 +11,NULL +NULL,22"),
            (0, &[(1, 11, -1), (2, 12, 1)], "-11,NULL -NULL,22 +12,22"),
            (0, &[(2, 12, -1)], "-12,22 +NULL,22"),
            (1, &[(2, 22, -1)], "-NULL,22"),
        ],
    );
}

#[test]
fn equal_rows_count() {
    check(
        JoinKind::Left,
        false,
        &[
            (0, &[(1, 10, 1), (1, 10, 1)], "+10,NULL +10,NULL"),
            (1, &[(1, 20, 1)], "-10,NULL +10,20 -10,NULL +10,20"),
            (1, &[(1, 20, 1)], "+10,20 +10,20"),
            (0, &[(1, 10, -1)], "-10,20 -10,20"),
            (1, &[(1, 20, -1)], "-10,20"),
            (1, &[(1, 20, -1)], "-10,20 +10,NULL"),
            (0, &[(1, 10, -1)], "-10,NULL"),
        ],
    );
}

#[test]
fn null_meets_nothing() {
    for (kind, left, right) in [
        (JoinKind::Inner, "", ""),
        (JoinKind::Left, "+10,NULL", ""),
        (JoinKind::Right, "", "+NULL,20"),
        (JoinKind::Full, "+10,NULL", "+NULL,20"),
    ] {
        let gone = |text: &str| text.replace('+', "-");
        let pair = |text: &str, to: &str| if text.is_empty() { String::new() } else { format!("{} {to}", gone(text)) };
        check(
            kind,
            false,
            &[
                (0, &[(-1, 10, 1)], left),
                (1, &[(-1, 20, 1)], right),
                (0, &[(-1, 10, -1), (-1, 11, 1)], &pair(left, "+11,NULL")),
                (0, &[(-1, 11, -1)], &gone(left).replace("10", "11")),
                (1, &[(-1, 20, -1)], &gone(right)),
            ],
        );
    }
}

#[test]
fn only_pairs_that_match_are_partners() {
    check(
        JoinKind::Full,
        true,
        &[
            (0, &[(1, 5, 1), (1, 9, 1)], "+5,NULL +9,NULL"),
            (1, &[(1, 7, 1)], "-9,NULL +9,7"),
            (1, &[(1, 7, -1), (1, 8, 1)], "-9,7 +9,8"),
            (1, &[(1, 8, -1), (1, 3, 1)], "-5,NULL +5,3 -9,8 +9,3"),
            (0, &[(1, 9, -1), (1, 2, 1)], "-9,3 +2,NULL"),
            (0, &[(1, 5, -1)], "-5,3 +NULL,3"),
            (0, &[(1, 2, -1), (1, 4, 1)], "-2,NULL -NULL,3 +4,3"),
            (0, &[(1, 4, -1)], "-4,3 +NULL,3"),
            (1, &[(1, 3, -1)], "-NULL,3"),
        ],
    );
}

#[test]
fn a_row_may_be_taken_back_before_it_came() {
    check(
        JoinKind::Left,
        false,
        &[
            (1, &[(1, 20, 1)], ""),
            (0, &[(1, 10, -1)], ""),
            (1, &[(1, 21, 1)], ""),
            (0, &[(1, 10, 1)], ""),
            (0, &[(1, 10, 1)], "+10,20 +10,21"),
            (1, &[(1, 20, -1), (1, 21, -1)], "-10,20 -10,21 +10,NULL"),
            (0, &[(1, 10, -1)], "-10,NULL"),
        ],
    );
}

#[test]
fn batches_hold_what_they_may_and_never_part_a_row_from_the_one_it_replaces() {
    let mut operator = join(JoinKind::Inner, false);
    let rows: Vec<Row> = (0..5).map(|v| (1, v, 1)).collect();
    assert_eq!(told(&mut operator, 0, batch(0, 0, &rows), 2), "");
    assert_eq!(told(&mut operator, 1, batch(1, 1, &[(1, 9, 1)]), 2), "+0,9 +1,9 | +2,9 +3,9 | +4,9");
    let replaced = batch(1, 2, &[(1, 9, -1), (1, 8, 1)]);
    let pairs: Vec<String> = (0..5).map(|v| format!("-{v},9 +{v},8")).collect();
    assert_eq!(told(&mut operator, 1, replaced.clone(), 3), pairs.join(" | "));
    let back = batch(1, 3, &[(1, 8, -1), (1, 9, 1)]);
    let pairs: Vec<String> = (0..5).map(|v| format!("-{v},8 +{v},9")).collect();
    assert_eq!(told(&mut operator, 1, back, 1), pairs.join(" | "));
}

#[test]
fn the_watermark_is_the_lower_of_both() {
    let mut operator = join(JoinKind::Inner, false);
    for (port, at, expect) in [
        (0, 5, ""),
        (1, 3, "Watermark(3)"),
        (0, 9, ""),
        (1, WM_END, "Watermark(9)"),
        (0, WM_END, &format!("Watermark({WM_END})")),
    ] {
        assert_eq!(told(&mut operator, port, Msg::Watermark(at), 8), expect, "{port} {at}");
    }
}
