//! Values against a naive look at all rows; rows that are taken back; what leaves with the watermark; snapshots.

use proptest::prelude::*;
use velostream_sql::plan::{AggregateCall, AggregateFn, AggregateSpec, CompareOp, Emit, Expr, ExprKind, FoldSpec};
use velostream_types::{Field, RowMeta, Schema, SourceId, Span};

use super::*;
use crate::operator::NodeCounters;

const SECOND: i64 = 1_000_000_000;

/// Key and value of a row.
type Row = (Option<i64>, Option<i64>);

fn relation(changes: bool) -> Relation {
    let fields = vec![Field::new("k", DataType::Integer), Field::new("v", DataType::Integer)];
    Relation { schema: Arc::new(Schema::new(fields)), changes }
}

fn column(column: usize) -> Expr {
    Expr { kind: ExprKind::Column(column), data_type: DataType::Integer, span: Span::default() }
}

/// By key: kept `k` is column 0, `v` column 1; the outer row's are 2 and 3.
fn spec(kind: SubqueryKind) -> SubquerySpec {
    let exists = kind == SubqueryKind::Exists;
    let scalar = kind == SubqueryKind::Scalar;
    SubquerySpec {
        kind,
        keys: vec![(0, 0)],
        condition: None,
        fold: None,
        value: (!exists).then(|| column(1)),
        distinct: false,
        order: Vec::new(),
        limit: None,
        keep_ns: None,
        result: if scalar { DataType::Integer } else { DataType::Boolean },
        span: Span::default(),
    }
}

fn compare(op: CompareOp, all: bool) -> SubquerySpec {
    spec(SubqueryKind::Compare { operand: 1, op, all })
}

/// `v > x`
fn greater() -> Expr {
    let kind = ExprKind::Compare { op: CompareOp::Greater, left: Box::new(column(1)), right: Box::new(column(3)) };
    Expr { kind, data_type: DataType::Boolean, span: Span::default() }
}

fn sum() -> FoldSpec {
    let call = AggregateCall::plain(AggregateFn::Sum, vec![0], DataType::Integer, Span::default());
    let spec = AggregateSpec {
        keys: Vec::new(),
        aggregates: vec![call],
        window: None,
        emit: Emit::Final,
        retract: false,
        input: Arc::new(Schema::new(vec![Field::new("arg", DataType::Integer)])),
        input_changes: false,
        identity: Vec::new(),
        headers: None,
        ttl_ns: None,
    };
    FoldSpec { columns: vec![column(1)], spec, having: None }
}

/// One of each way to make a value.
fn specs() -> Vec<SubquerySpec> {
    vec![
        spec(SubqueryKind::Exists),
        SubquerySpec { condition: Some(greater()), ..spec(SubqueryKind::Exists) },
        compare(CompareOp::Equal, false),
        compare(CompareOp::NotEqual, true),
        compare(CompareOp::Greater, true),
        compare(CompareOp::NotEqual, false),
        SubquerySpec { fold: Some(sum()), value: Some(column(0)), ..spec(SubqueryKind::Scalar) },
        SubquerySpec {
            condition: Some(greater()),
            fold: Some(sum()),
            value: Some(column(0)),
            ..spec(SubqueryKind::Scalar)
        },
        SubquerySpec { order: vec![(column(1), true, false)], limit: Some(1), ..spec(SubqueryKind::Scalar) },
        SubquerySpec { order: vec![(column(1), true, false)], limit: Some(2), ..compare(CompareOp::Equal, false) },
    ]
}

fn operator(specs: &[SubquerySpec], outer_changes: bool, inner_changes: bool) -> Subqueries {
    let inputs = vec![relation(inner_changes); specs.len()];
    Subqueries::new(specs, &relation(outer_changes), &inputs, EvalContext::default(), Arc::from([]), DlqId(0))
}

fn batch(rows: &[(Row, i8)], changes: bool, first: i64) -> Batch {
    let ints = |f: fn(&Row) -> Option<i64>| {
        let values: arrow_array::Int64Array = rows.iter().map(|row| f(&row.0)).collect();
        Column::Int(values)
    };
    let weight = changes.then(|| rows.iter().map(|row| row.1).collect::<Vec<i8>>().into());
    let meta = RowMeta { weight, ..RowMeta::plain(SourceId(0), 0, first) };
    Batch::new(vec![ints(|row| row.0), ints(|row| row.1)], rows.len(), meta)
}

/// What the operator gives for a message, a text a row: `+` or `-`, then the columns; `error` for a row that failed.
fn push(operator: &mut Subqueries, port: usize, msg: Msg, batch_rows: usize) -> (Vec<String>, NodeCounters) {
    let (mut dead, mut counters) = (Vec::new(), NodeCounters::default());
    let mut cx = OpCx { now_ns: 0, batch_rows, dead: &mut dead, counters: &mut counters, spare: &mut Vec::new() };
    operator.push(port, msg, &mut cx).expect("no fatal");
    let mut out = Vec::new();
    while let Some(msg) = operator.pull(&mut cx).expect("no fatal") {
        let Msg::Batch(batch) = msg else { continue };
        let first = batch.meta.weight_at(0);
        assert!(first < 0 || batch.rows <= batch_rows.max(1), "{} rows at once", batch.rows);
        assert!(batch.meta.weight_at(batch.rows - 1) > 0 || batch_rows > 1, "a pair was parted");
        out.extend((0..batch.rows).map(|row| {
            let values: Vec<String> = batch.columns.iter().map(|column| column.value(row).to_string()).collect();
            format!("{}{}", if batch.meta.weight_at(row) > 0 { '+' } else { '-' }, values.join(" "))
        }));
    }
    out.extend(dead.iter().map(|_| "error".to_owned()));
    (out, counters)
}

/// The state as two shards leave it, taken up by one.
fn restarted(operator: &Subqueries, fresh: impl Fn() -> Subqueries) -> Subqueries {
    let tables_of = |operator: &Subqueries| {
        let mut out = SnapshotWriter::default();
        operator.snapshot(&mut out);
        SnapshotReader { tables: out.tables }
    };
    let whole = tables_of(operator);
    let mut all = fresh();
    for parity in 0..2 {
        let mut half = fresh();
        half.restore(&whole, &|vnode| vnode % 2 == parity).expect("its own tables");
        all.restore(&tables_of(&half), &|_| true).expect("its own tables");
    }
    all
}

/// The values of [`specs`], by looking at every row.
fn naive(rows: &[Row], (key, x): Row) -> String {
    let met: Vec<Option<i64>> = rows.iter().filter(|row| key.is_some() && row.0 == key).map(|row| row.1).collect();
    let three = |all: bool, op: &dyn Fn(i64, i64) -> bool, values: &[Option<i64>]| {
        let truths: Vec<Option<bool>> = values.iter().map(|v| x.zip(*v).map(|(x, v)| op(x, v))).collect();
        match (truths.contains(&Some(!all)), truths.contains(&None)) {
            (true, _) => (!all).to_string(),
            (false, true) => "NULL".to_owned(),
            _ => all.to_string(),
        }
    };
    let number = |value: Option<i64>| value.map_or_else(|| "NULL".to_owned(), |value| value.to_string());
    let sum = |values: Vec<i64>| number((!values.is_empty()).then(|| values.iter().sum()));
    let above = || met.iter().flatten().copied().filter(|v| x.is_some_and(|x| *v > x)).collect::<Vec<i64>>();
    let mut descending = met.clone();
    descending.sort_by(|a, b| b.cmp(a));
    let two: Vec<Option<i64>> = descending.iter().take(2).copied().collect();
    [
        (!met.is_empty()).to_string(),
        (!above().is_empty()).to_string(),
        three(false, &|x, v| x == v, &met),
        three(true, &|x, v| x != v, &met),
        three(true, &|x, v| x > v, &met),
        three(false, &|x, v| x != v, &met),
        sum(met.iter().flatten().copied().collect()),
        sum(above()),
        number(descending.first().copied().flatten()),
        three(false, &|x, v| x == v, &two),
        number(key),
        number(x),
    ]
    .join(" ")
}

#[derive(Clone, Debug)]
enum Step {
    /// Rows that are added (or, of a changing relation, one of those that are there is taken back).
    Inner(Vec<(Row, Option<u8>)>),
    Outer(Vec<Row>),
    Restart,
}

fn any_row() -> impl Strategy<Value = Row> {
    (proptest::option::weighted(0.9, 0i64..4), proptest::option::weighted(0.85, -2i64..5))
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::collection::vec((any_row(), proptest::option::weighted(0.4, any::<u8>())), 1..9).prop_map(Step::Inner),
        3 => proptest::collection::vec(any_row(), 1..7).prop_map(Step::Outer),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn values_are_those_of_a_naive_look_at_all_rows(
        steps in proptest::collection::vec(any_step(), 1..14),
        changes in any::<bool>(),
        batch_rows in prop_oneof![Just(1usize), Just(3), Just(1024)],
    ) {
        let specs = specs();
        let fresh = || operator(&specs, false, changes);
        let mut running = fresh();
        let (mut rows, mut first): (Vec<Row>, i64) = (Vec::new(), 0);
        for step in &steps {
            match step {
                Step::Restart => running = restarted(&running, fresh),
                Step::Inner(list) => {
                    let mut given = Vec::new();
                    for (row, pick) in list {
                        match pick {
                            Some(pick) if changes && !rows.is_empty() => {
                                let gone = rows.remove(usize::from(*pick) % rows.len());
                                given.push((gone, -1));
                            }
                            _ => {
                                rows.push(*row);
                                given.push((*row, 1));
                            }
                        }
                    }
                    for port in 1..=specs.len() {
                        push(&mut running, port, Msg::Batch(batch(&given, changes, first)), batch_rows);
                    }
                    first += given.len() as i64;
                }
                Step::Outer(list) => {
                    let given: Vec<(Row, i8)> = list.iter().map(|row| (*row, 1)).collect();
                    let (got, _) = push(&mut running, 0, Msg::Batch(batch(&given, false, 0)), batch_rows);
                    let expect: Vec<String> = list.iter().map(|row| format!("+{}", naive(&rows, *row))).collect();
                    prop_assert_eq!(got, expect);
                }
            }
        }
        if rows.is_empty() && changes {
            prop_assert!(running.list.iter().all(|subquery| subquery.size().0 == 0), "groups of no rows");
        }
    }
}

#[test]
fn rows_that_are_taken_back_get_what_they_came_with() {
    let specs = vec![spec(SubqueryKind::Scalar)];
    let fresh = || operator(&specs, true, true);
    let mut running = fresh();
    let inner = |running: &mut Subqueries, rows: &[(Row, i8)]| push(running, 1, Msg::Batch(batch(rows, true, 0)), 8);
    let check = |running: &mut Subqueries, rows: &[(Row, i8)], batch_rows: usize, expect: &str| {
        let (got, _) = push(running, 0, Msg::Batch(batch(rows, true, 0)), batch_rows);
        assert_eq!(got.join(", "), expect, "{rows:?}");
    };
    let (one, two, three) = ((Some(1), Some(10)), (Some(1), Some(20)), (Some(2), Some(30)));
    inner(&mut running, &[((Some(1), Some(5)), 1)]);
    check(&mut running, &[(one, 1), (one, 1), (three, 1)], 8, "+5 1 10, +5 1 10, +NULL 2 30");
    inner(&mut running, &[((Some(1), Some(5)), -1), ((Some(1), Some(6)), 1), ((Some(2), Some(7)), 1)]);
    // A pair stays together whatever a batch may hold.
    check(&mut running, &[(one, -1), (two, 1), (three, -1), (three, 1)], 1, "-5 1 10, +6 1 20, -NULL 2 30, +7 2 30");
    running = restarted(&running, fresh);
    check(&mut running, &[(one, -1), (two, -1)], 8, "-5 1 10, -6 1 20");
    // One that fails is taken back from nobody.
    inner(&mut running, &[((Some(2), Some(8)), 1)]);
    check(&mut running, &[(three, -1), (three, 1)], 8, "-7 2 30, error");
    running = restarted(&running, fresh);
    check(&mut running, &[(three, -1)], 8, "");
    // Taken back before it came: both leave alike.
    check(&mut running, &[(two, -1)], 8, "-NULL 1 20");
    check(&mut running, &[(two, 1)], 8, "+NULL 1 20");
    assert!(running.given.is_some_and(|given| given.is_empty()));
}

#[test]
fn rows_leave_with_the_watermark_and_nobody_misses_them() {
    let keep_ns = Some(10 * SECOND);
    let specs = vec![SubquerySpec { keep_ns, fold: Some(sum()), value: Some(column(0)), ..spec(SubqueryKind::Scalar) }];
    let timed = |rows: &[(Row, i8)], times: &[i64], own: i64| {
        let mut batch = batch(rows, false, 0);
        batch.meta.event_time = Some(times.iter().map(|at| at * SECOND).collect());
        batch.meta.wm_own = Some(times.iter().map(|_| own).collect());
        Msg::Batch(batch)
    };
    let rows = |values: &[i64]| values.iter().map(|v| ((Some(1), Some(*v)), 1)).collect::<Vec<(Row, i8)>>();
    for frees in [false, true] {
        let mut running = operator(&specs, false, false);
        let (_, held) = push(&mut running, 1, timed(&rows(&[1, 2, 4, 8]), &[0, 5, 20, 40], WM_NONE), 8);
        assert_eq!((held.groups, running.list[0].size().0), (1, 1));
        if frees {
            push(&mut running, 0, Msg::Watermark(31 * SECOND), 8);
            push(&mut running, 1, timed(&rows(&[16]), &[1], WM_NONE), 8);
        }
        // In time, late, and late by so much that nothing is left.
        for (at, own, expect) in [(31, 31, "8"), (12, 12, "14"), (12, 31, "8"), (0, 60, "NULL")] {
            let outer = timed(&rows(&[0]), &[at], own * SECOND);
            let (got, _) = push(&mut running, 0, outer, 8);
            // The watermark is never ahead of that of a partition.
            if frees && own < 31 {
                continue;
            }
            assert_eq!(got, [format!("+{expect} 1 0")], "at {at}, own watermark {own}");
        }
        let (_, held) = push(&mut running, 0, Msg::Watermark(WM_END), 8);
        assert_eq!(held.groups, 0, "nothing is kept behind the last row");
    }
}

#[test]
fn a_value_is_computed_again_when_rows_of_its_key_came() {
    let fold = SubquerySpec { fold: Some(sum()), value: Some(column(0)), ..spec(SubqueryKind::Scalar) };
    let mut running = operator(&[fold], false, false);
    let mut check = |inner: &[Row], outer: &[i64], expect: &str| {
        let rows: Vec<(Row, i8)> = inner.iter().map(|row| (*row, 1)).collect();
        if !rows.is_empty() {
            push(&mut running, 1, Msg::Batch(batch(&rows, false, 0)), 8);
        }
        let rows: Vec<(Row, i8)> = outer.iter().map(|key| ((Some(*key), None), 1)).collect();
        let (got, _) = push(&mut running, 0, Msg::Batch(batch(&rows, false, 0)), 8);
        assert_eq!(got.join(", "), expect);
    };
    check(&[(Some(1), Some(3))], &[1, 2, 1], "+3 1 NULL, +NULL 2 NULL, +3 1 NULL");
    check(&[(Some(2), Some(9))], &[1, 2], "+3 1 NULL, +9 2 NULL");
    check(&[(Some(1), Some(4))], &[2, 1, 3], "+9 2 NULL, +7 1 NULL, +NULL 3 NULL");
    check(&[], &[1], "+7 1 NULL");
}

#[test]
fn a_barrier_cuts_rows_and_what_is_kept_at_once() {
    let mut running = operator(&[spec(SubqueryKind::Exists)], false, false);
    let row = |key| Msg::Batch(batch(&[((Some(key), None), 1)], false, 0));
    assert_eq!(push(&mut running, 1, Msg::Barrier(1), 8).0, [""; 0]);
    assert_eq!(push(&mut running, 1, row(1), 8).0, [""; 0]);
    assert_eq!(push(&mut running, 0, row(1), 8).0, ["+false 1 NULL"]);
    assert_eq!(push(&mut running, 0, Msg::Barrier(1), 8).0, [""; 0]);
    assert_eq!(push(&mut running, 0, row(1), 8).0, ["+true 1 NULL"]);
}
