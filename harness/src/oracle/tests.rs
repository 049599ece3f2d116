//! The oracle against the reference, on small plans whose results can be read off.

use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use velostream_sql::plan::*;
use velostream_types::{DataType, DlqId, EdgeId, ErrorCode, NodeId, Schema, SourceId, Span, Value};

use super::{FeedRow, OracleResult, run};

const SEC: i64 = 1_000_000_000;
const INT: DataType = DataType::Integer;

/// Builds a plan over one source `(k INTEGER, v INTEGER, ts TIMESTAMP)`, one node after the other.
struct Plan(AppPlan);

impl Plan {
    fn new(bound_s: i64) -> Plan {
        let column = |name: &str, data_type| ScanColumn {
            name: name.into(),
            data_type,
            inferred: false,
            repr: Repr::Value,
            not_null: false,
        };
        let event_time = EventTimeSpec {
            field: TimeField::Column(2),
            format: TimeFormat::Auto,
            rule: Default::default(),
            bound_ns: bound_s * SEC,
            idle_timeout_ns: 0,
            missing: MissingTime::Error,
        };
        let source = SourcePlan {
            name: Arc::from("s"),
            connector: SourceConnector::Memory { topic: "s".into() },
            format: Format::JsonLines,
            schema: Arc::new(Schema::default()),
            declared: true,
            read: vec![column("k", INT), column("v", INT), column("ts", DataType::Timestamp)],
            event_time: Some(event_time),
            table_key: None,
            needs_raw: false,
            max_record_bytes: 1,
            max_records: None,
            dlq: DlqId(0),
            load: Default::default(),
        };
        let plan = AppPlan {
            memory_limit: None,
            name: "t".into(),
            sources: vec![source],
            nodes: vec![],
            sinks: vec![],
            dlqs: vec![DlqPlan {
                name: "d".into(),
                path: PathBuf::new(),
                topic: None,
                enabled: true,
                failure: Failure::DeadLetter,
                edge: EdgeId(0),
            }],
            statements: vec![],
            edges: 0,
        };
        Plan(plan).node(NodeKind::Scan { source: SourceId(0) })
    }

    fn node(mut self, kind: NodeKind) -> Plan {
        let id = NodeId(self.0.nodes.len() as u16);
        let inputs = if id.0 == 0 { vec![] } else { vec![NodeId(id.0 - 1)] };
        let schema = Arc::new(Schema::default());
        self.0.nodes.push(Node { id, kind, inputs, schema, changelog: false, statement: 0, dlq: DlqId(0) });
        self
    }

    fn group(self, keys: &[usize], calls: &[(AggregateFn, usize)], window: Option<(i64, i64)>, emit: Emit) -> Plan {
        self.grouped(keys, calls, window, emit, false)
    }

    fn table(self, keys: &[usize], calls: &[(AggregateFn, usize)]) -> Plan {
        self.grouped(keys, calls, None, Emit::Changes, true)
    }

    fn grouped(
        self,
        keys: &[usize],
        calls: &[(AggregateFn, usize)],
        window: Option<(i64, i64)>,
        emit: Emit,
        retract: bool,
    ) -> Plan {
        let call = |(function, argument): &(AggregateFn, usize)| {
            let arguments = if *function == AggregateFn::CountStar { Vec::new() } else { vec![*argument] };
            let result = if *function == AggregateFn::Avg { DataType::Float } else { INT };
            AggregateCall::plain(*function, arguments, result, Span::default())
        };
        let window = window.map(|(size, lateness)| WindowSpec {
            kind: WindowKind::Tumbling { size_ns: size * SEC },
            zone: None,
            lateness_ns: lateness * SEC,
            late: LateStrategy::DeadLetter,
        });
        self.node(NodeKind::Aggregate(AggregateSpec {
            headers: None,
            ttl_ns: None,
            keys: keys.to_vec(),
            aggregates: calls.iter().map(call).collect(),
            window,
            emit,
            retract,
            input: Arc::new(Schema::default()),
            input_changes: false,
            identity: Vec::new(),
        }))
    }

    fn filter(self, column: usize, op: CompareOp, than: i64) -> Plan {
        let e = |kind| Expr { kind, data_type: INT, span: Span::default() };
        let (left, right) = (e(ExprKind::Column(column)), e(ExprKind::Literal(Value::Int(than))));
        let predicate = e(ExprKind::Compare { op, left: Box::new(left), right: Box::new(right) });
        self.node(NodeKind::Filter { predicate })
    }

    fn sink(mut self, key: Option<&[usize]>) -> AppPlan {
        self.0.sinks.push(SinkPlan {
            envelope: false,
            carried: Default::default(),
            metrics: Vec::new(),
            name: "out".into(),
            connector: SinkConnector::Stdout,
            format: SinkFormat::JsonLines,
            schema: Arc::new(Schema::default()),
            key: key.unwrap_or_default().to_vec(),
            upsert: key.is_some(),
            ordered: true,
            pass_through: false,
            statement: 0,
        });
        self.node(NodeKind::Sink { sink: 0, edge: EdgeId(0) }).0
    }
}

/// Rows as (partition, k, v, seconds), offsets counted per partition.
fn feed(rows: &[(u32, i64, i64, i64)]) -> Vec<FeedRow> {
    rows.iter()
        .enumerate()
        .map(|(i, (partition, k, v, s))| FeedRow {
            source: SourceId(0),
            partition: *partition,
            offset: rows[..i].iter().filter(|r| r.0 == *partition).count() as i64,
            values: vec![Value::Int(*k), Value::Int(*v), Value::Timestamp(s * SEC)],
            timestamp_ms: None,
            record: "".into(),
        })
        .collect()
}

fn shown(result: &OracleResult) -> Vec<String> {
    let text = |v: &Value| v.to_string();
    let row = |r: &super::OutRow| {
        let mark = if r.delete { "-" } else { "" };
        format!("{mark}{}", r.values.iter().map(text).collect::<Vec<_>>().join(" "))
    };
    result.sinks[0].iter().map(row).collect()
}

fn check(plan: &AppPlan, rows: &[(u32, i64, i64, i64)], want: &[&str]) -> OracleResult {
    let result = run(plan, &feed(rows));
    assert_eq!(shown(&result), want);
    result
}

use AggregateFn::*;

#[test]
fn windows_fire_once_in_order_of_their_end() {
    let plan = Plan::new(0).group(&[], &[(Avg, 1)], Some((5, 0)), Emit::Final).sink(None);
    let rows = [(0, 1, 10, 1), (0, 1, 20, 2), (0, 1, 30, 6), (0, 1, 40, 7)];
    check(&plan, &rows, &["15.0 0 5000", "35.0 5000 10000"]);
    let keyed = Plan::new(10).group(&[0], &[(CountStar, 0)], Some((5, 0)), Emit::Final).sink(None);
    let rows = [(0, 2, 0, 6), (0, 2, 0, 1), (0, 1, 0, 2), (0, 2, 0, 3)];
    check(&keyed, &rows, &["2 2 0 5000", "1 1 0 5000", "2 1 5000 10000"]);
}

#[test]
fn a_row_is_late_by_its_own_partition_only() {
    let plan = Plan::new(0).group(&[], &[(Sum, 1)], Some((5, 0)), Emit::Final).sink(None);
    let rows = [(0, 1, 1, 1), (0, 1, 2, 20), (1, 1, 4, 2), (0, 1, 8, 3), (1, 1, 16, 21)];
    let result = check(&plan, &rows, &["5 0 5000", "18 20000 25000"]);
    assert_eq!(result.late.values().flatten().copied().collect::<Vec<_>>(), [(0, 2)]);
    assert_eq!(result.dead.iter().map(|d| (d.code, d.offset)).collect::<Vec<_>>(), [(ErrorCode::Late, 2)]);
    let tolerant = Plan::new(0).group(&[], &[(Sum, 1)], Some((5, 16)), Emit::Final).sink(None);
    check(&tolerant, &rows, &["13 0 5000", "18 20000 25000"]);
}

#[test]
fn changes_give_one_row_per_input_row() {
    let plan = Plan::new(0).group(&[0], &[(CountStar, 0), (Sum, 1)], Some((5, 60)), Emit::Changes).sink(None);
    let rows = [(0, 1, 10, 1), (0, 2, 20, 6), (0, 1, 30, 2)];
    let result = check(&plan, &rows, &["1 1 10 0 5000", "2 1 20 5000 10000", "1 2 40 0 5000"]);
    assert_eq!(result.last_rows(0, &[0, 3]).len(), 2);
}

#[test]
fn a_chained_window_of_the_same_size_holds_its_rows() {
    let plan = Plan::new(0)
        .group(&[0], &[(CountStar, 0)], Some((5, 0)), Emit::Final)
        .group(&[], &[(Sum, 1)], Some((5, 0)), Emit::Final)
        .sink(None);
    let rows = [(0, 1, 0, 1), (0, 2, 0, 2), (0, 1, 0, 6), (0, 1, 0, 7)];
    check(&plan, &rows, &["2 0 5000", "2 5000 10000"]);
}

#[test]
fn tables_retract_what_they_replace() {
    // Keys per count: the first table's row moves from one group of the second to the next.
    let plan = Plan::new(0).table(&[0], &[(CountStar, 0)]).table(&[1], &[(CountStar, 0)]).sink(Some(&[0]));
    let rows = [(0, 7, 0, 1), (0, 8, 0, 1), (0, 7, 0, 1)];
    check(&plan, &rows, &["1 1", "1 2", "1 1", "2 1"]);
}

#[test]
fn a_group_that_fails_having_is_deleted_once_it_was_written() {
    let plan = Plan::new(0).table(&[0], &[(Sum, 1)]).filter(1, CompareOp::Greater, 5).sink(Some(&[0]));
    let rows = [(0, 1, 3, 1), (0, 1, 4, 1), (0, 1, -4, 1), (0, 1, 1, 1)];
    check(&plan, &rows, &["1 7", "-1 7"]);
}

#[test]
fn a_global_aggregate_of_nothing_is_one_row() {
    let plan = Plan::new(0).group(&[], &[(CountStar, 0), (Sum, 1), (Max, 1)], None, Emit::Final).sink(None);
    check(&plan, &[], &["0 NULL NULL"]);
    check(&plan, &[(0, 1, 5, 1), (0, 1, 9, 2)], &["2 14 9"]);
    let keyed = Plan::new(0).group(&[0], &[(CountStar, 0)], None, Emit::Final).sink(None);
    check(&keyed, &[], &[]);
}

#[test]
fn a_sum_beyond_its_type_loses_its_group() {
    let plan = Plan::new(0).group(&[0], &[(Sum, 1)], None, Emit::Final).sink(None);
    let result = check(&plan, &[(0, 1, i64::MAX, 1), (0, 1, 1, 1), (0, 2, 5, 1)], &["2 5"]);
    assert_eq!(result.dead.iter().map(|d| d.code).collect::<Vec<_>>(), [ErrorCode::GroupOverflow]);
    // An intermediate sum beyond the type is no error.
    check(&plan, &[(0, 1, i64::MAX, 1), (0, 1, 1, 1), (0, 1, -1, 1)], &["1 9223372036854775807"]);
}

#[test]
fn first_and_last_follow_event_time() {
    let plan = Plan::new(100).group(&[], &[(First, 1), (Last, 1), (LastSeen, 1)], None, Emit::Final).sink(None);
    check(&plan, &[(0, 1, 10, 5), (0, 1, 20, 9), (0, 1, 30, 1), (0, 1, 40, 7)], &["30 20 40"]);
}

proptest! {
    /// Content of windows is a function of the partitions' contents: any interleaving gives the same rows.
    #[test]
    fn interleaving_changes_nothing(
        rows in proptest::collection::vec((0u32..3, 0i64..3, -5i64..5, 0i64..40), 0..40),
        order in proptest::collection::vec(0u32..3, 40),
        (bound, lateness) in (0i64..6, 0i64..6),
    ) {
        let plan = Plan::new(bound)
            .group(&[0], &[(CountStar, 0), (Sum, 1)], Some((5, lateness)), Emit::Final)
            .group(&[], &[(Sum, 2), (CountStar, 0)], Some((10, 0)), Emit::Final)
            .sink(None);
        let first = feed(&rows);
        let mut queues: Vec<Vec<FeedRow>> =
            (0..3).map(|p| first.iter().filter(|r| r.partition == p).rev().cloned().collect()).collect();
        let mut second: Vec<FeedRow> = order.iter().filter_map(|p| queues[*p as usize].pop()).collect();
        second.extend(queues.into_iter().flat_map(|q| q.into_iter().rev()));
        let (a, b) = (run(&plan, &first), run(&plan, &second));
        prop_assert_eq!(shown(&a), shown(&b));
        let sorted = |r: &OracleResult| {
            let mut late: Vec<_> = r.late.values().flatten().copied().collect();
            late.sort_unstable();
            late
        };
        prop_assert_eq!(sorted(&a), sorted(&b));
    }
}
