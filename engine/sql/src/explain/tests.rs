//! Goldens on plans built by hand; `INSTA_UPDATE=always cargo test -p velostream-sql explain` rewrites them.

use std::path::PathBuf;
use std::sync::Arc;

use velostream_types::{DataType, DlqId, EdgeId, Field, NodeId, Schema, SchemaRef, SourceId, Span, Value};

use super::*;
use crate::plan::*;

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|(n, t)| Field::new(*n, t.clone())).collect()))
}

fn expr(kind: ExprKind, data_type: DataType) -> Expr {
    Expr { kind, data_type, span: Span::default() }
}

fn column(at: usize, data_type: DataType) -> Expr {
    expr(ExprKind::Column(at), data_type)
}

/// `column(at) > 10`
fn above_ten(at: usize) -> Expr {
    let op = CompareOp::Greater;
    let (left, right) = (column(at, DataType::Integer), expr(ExprKind::Literal(Value::Int(10)), DataType::Integer));
    expr(ExprKind::Compare { op, left: Box::new(left), right: Box::new(right) }, DataType::Boolean)
}

fn node(id: u16, kind: NodeKind, inputs: &[u16], schema: &SchemaRef, statement: usize) -> Node {
    Node {
        id: NodeId(id),
        kind,
        inputs: inputs.iter().map(|i| NodeId(*i)).collect(),
        schema: Arc::clone(schema),
        changelog: false,
        statement,
        dlq: DlqId(u16::from(!inputs.is_empty())),
    }
}

fn scan_column(name: &str, data_type: DataType, repr: Repr) -> ScanColumn {
    ScanColumn { name: name.into(), data_type, inferred: true, repr, not_null: false }
}

fn source(watch: bool) -> SourcePlan {
    SourcePlan {
        name: "trades".into(),
        connector: SourceConnector::File {
            pattern: "in/*.csv".into(),
            sequential: false,
            watch,
            poll_interval_ms: 1_000,
        },
        format: Format::Csv { delimiter: b';', quote: b'"', header: true, skip_lines: 0 },
        schema: schema(&[
            ("user", DataType::String),
            ("amount", DataType::Integer),
            ("ts", DataType::Integer),
            ("x", DataType::Null),
        ]),
        declared: false,
        read: vec![
            scan_column("user", DataType::String, Repr::Value),
            scan_column("amount", DataType::Integer, Repr::Token),
            scan_column("ts", DataType::Integer, Repr::Value),
        ],
        event_time: Some(EventTimeSpec {
            field: TimeField::Column(2),
            format: TimeFormat::EpochMillis,
            rule: Default::default(),
            bound_ns: 5_000_000_000,
            idle_timeout_ns: 60_000_000_000,
            missing: MissingTime::Warn,
        }),
        table_key: None,
        needs_raw: true,
        max_record_bytes: 16 << 20,
        max_records: None,
        dlq: DlqId(0),
        load: Default::default(),
    }
}

fn sink(name: &str, statement: usize, columns: &SchemaRef, key: Vec<usize>, upsert: bool) -> SinkPlan {
    SinkPlan {
        carried: Default::default(),
        metrics: Vec::new(),
        name: name.into(),
        connector: SinkConnector::File {
            path: format!("out/{name}.csv.gz").into(),
            append: false,
            compression: Compression::Gzip,
        },
        format: SinkFormat::Csv { delimiter: b',', header: true },
        schema: Arc::clone(columns),
        key,
        upsert,
        envelope: false,
        ordered: !upsert,
        pass_through: false,
        statement,
    }
}

fn app(source: SourcePlan, nodes: Vec<Node>, sinks: Vec<SinkPlan>, statements: &[(&str, bool)]) -> AppPlan {
    let dlq = |name: &str, enabled| DlqPlan {
        name: name.into(),
        path: PathBuf::from(format!("out/{name}-dlq.jsonl")),
        topic: None,
        enabled,
        failure: Failure::DeadLetter,
        edge: EdgeId(9),
    };
    AppPlan {
        memory_limit: None,
        name: "demo".into(),
        sources: vec![source],
        nodes,
        sinks,
        dlqs: vec![dlq("trades", true), dlq("per_user", false)],
        statements: statements
            .iter()
            .map(|(name, is_table)| StatementPlan { name: (*name).into(), is_table: *is_table, span: Span::default() })
            .collect(),
        edges: 10,
    }
}

/// Scan → Filter → Project → Combine → Exchange → Aggregate → Project → Sink.
fn grouped(watch: bool, window: Option<WindowSpec>, emit: Emit, retract: bool) -> AppPlan {
    let read = schema(&[("user", DataType::String), ("amount", DataType::Integer), ("ts", DataType::Integer)]);
    let keyed = schema(&[("user", DataType::String), ("amount", DataType::Integer)]);
    let grouped = schema(&[("user", DataType::String), ("count", DataType::Integer), ("sum", DataType::Integer)]);
    let call = |function, argument: Option<usize>| {
        AggregateCall::plain(function, argument.into_iter().collect(), DataType::Integer, Span::default())
    };
    let spec = AggregateSpec {
        headers: None,
        ttl_ns: None,
        keys: vec![0],
        aggregates: vec![call(AggregateFn::CountStar, None), call(AggregateFn::Sum, Some(1))],
        window,
        emit,
        retract,
        input: Arc::clone(&keyed),
        input_changes: false,
        identity: Vec::new(),
    };
    let both = vec![column(0, DataType::String), column(1, DataType::Integer)];
    let last = vec![column(0, DataType::String), column(1, DataType::Integer), column(2, DataType::Integer)];
    let named = schema(&[("user", DataType::String), ("n", DataType::Integer), ("total", DataType::Integer)]);
    let mut nodes = vec![
        node(0, NodeKind::Scan { source: SourceId(0) }, &[], &read, 0),
        node(1, NodeKind::Filter { predicate: above_ten(1) }, &[0], &read, 0),
        node(2, NodeKind::Project { exprs: both, event_time: None }, &[1], &keyed, 0),
        node(3, NodeKind::Combine(spec.clone()), &[2], &grouped, 0),
        node(4, NodeKind::Exchange { edge: EdgeId(0), route: Route::Key(vec![0]) }, &[3], &grouped, 0),
        node(5, NodeKind::Aggregate(spec), &[4], &grouped, 0),
        node(6, NodeKind::Project { exprs: last, event_time: None }, &[5], &named, 0),
        node(7, NodeKind::Sink { sink: 0, edge: EdgeId(1) }, &[6], &named, 0),
    ];
    nodes[5].changelog = retract;
    nodes[6].changelog = retract;
    app(source(watch), nodes, vec![sink("per_user", 0, &named, vec![0], retract)], &[("per_user", retract)])
}

const WINDOW: WindowSpec = WindowSpec {
    kind: WindowKind::Tumbling { size_ns: 10_000_000_000 },
    zone: None,
    lateness_ns: 2_000_000_000,
    late: LateStrategy::DeadLetter,
};

#[test]
fn windowed_group_final() {
    insta::assert_snapshot!(explain(&grouped(false, Some(WINDOW), Emit::Final, false), false));
}

#[test]
fn windowed_group_verbose() {
    insta::assert_snapshot!(explain(&grouped(true, Some(WINDOW), Emit::Final, false), true));
}

#[test]
fn group_without_window_waits_for_the_end() {
    insta::assert_snapshot!(explain(&grouped(false, None, Emit::Final, false), false));
}

#[test]
fn table_over_live_input_is_unbounded() {
    insta::assert_snapshot!(explain(&grouped(true, None, Emit::Changes, true), false));
}

#[test]
fn shared_scan_and_stateless_statements() {
    let read = schema(&[("user", DataType::String), ("amount", DataType::Integer), ("ts", DataType::Integer)]);
    let nodes = vec![
        node(0, NodeKind::Scan { source: SourceId(0) }, &[], &read, 0),
        node(1, NodeKind::Filter { predicate: above_ten(1) }, &[0], &read, 0),
        node(2, NodeKind::Sink { sink: 0, edge: EdgeId(0) }, &[1], &read, 0),
        node(3, NodeKind::Limit { rows: 5 }, &[0], &read, 1),
        node(4, NodeKind::Sink { sink: 1, edge: EdgeId(1) }, &[3], &read, 1),
    ];
    let mut source = source(false);
    source.event_time = None;
    let mut sinks = vec![sink("big", 0, &read, vec![], false), sink("select", 1, &read, vec![], false)];
    sinks[1].connector = SinkConnector::Stdout;
    sinks[1].format = SinkFormat::Table;
    insta::assert_snapshot!(explain(&app(source, nodes, sinks, &[("big", false), ("select", false)]), false));
}

#[test]
fn passed_records_are_told() {
    let nodes = vec![
        node(0, NodeKind::Scan { source: SourceId(0) }, &[], &schema(&[]), 0),
        node(1, NodeKind::Sink { sink: 0, edge: EdgeId(0) }, &[0], &schema(&[("user", DataType::String)]), 0),
    ];
    let mut sink = sink("copy", 0, &schema(&[("user", DataType::String)]), vec![], false);
    for (pass_through, expect) in [(false, false), (true, true)] {
        sink.pass_through = pass_through;
        let text = explain(&app(source(false), nodes.clone(), vec![sink.clone()], &[("copy", false)]), false);
        assert_eq!(text.contains("csv, records passed through byte for byte"), expect, "{text}");
    }
}

#[test]
fn calls_are_told_with_what_they_keep() {
    let mut plan = grouped(true, None, Emit::Changes, true);
    let NodeKind::Aggregate(spec) = &mut plan.nodes[5].kind else { panic!("node 5 aggregates") };
    let call = |function, distinct, parameter| AggregateCall {
        distinct,
        parameter,
        ..AggregateCall::plain(function, vec![1], DataType::Integer, Span::default())
    };
    let order = CallOrder { column: 0, descending: true, nulls_first: true };
    spec.aggregates = vec![
        call(AggregateFn::Sum, true, None),
        call(AggregateFn::Max, false, None),
        call(AggregateFn::PercentileCont, false, Some(Value::Decimal { mantissa: 5, scale: 1 })),
        AggregateCall { order: vec![order], ..call(AggregateFn::StringAgg, false, Some(Value::Str("'".into()))) },
        AggregateCall { filter: Some(0), ..call(AggregateFn::ArrayAgg, false, None) },
    ];
    let text = explain(&plan, false);
    let all = "Aggregate SUM(DISTINCT amount), MAX(amount), PERCENTILE_CONT(0.5, amount), STRING_AGG(amount, '''') \
               WITHIN GROUP (ORDER BY user DESC NULLS FIRST), ARRAY_AGG(amount) FILTER (WHERE user) by user";
    assert!(text.contains(all), "{text}");
    let kept = "with the values of SUM(DISTINCT amount) and PERCENTILE_CONT(0.5, amount) and STRING_AGG";
    assert!(text.contains(kept), "{text}");
    let NodeKind::Aggregate(spec) = &mut plan.nodes[5].kind else { panic!("node 5 aggregates") };
    spec.aggregates.truncate(2);
    spec.input_changes = true;
    let text = explain(&plan, false);
    assert!(text.contains("with the values of SUM(DISTINCT amount) and MAX(amount)"), "{text}");
}

#[test]
fn a_plan_with_dangling_numbers_does_not_panic() {
    let mut plan = grouped(false, None, Emit::Final, false);
    plan.sources.clear();
    plan.sinks.clear();
    plan.dlqs.clear();
    plan.nodes.truncate(4);
    plan.nodes[3].inputs = vec![NodeId(77)];
    assert!(explain(&plan, true).contains("Combine"));
}
