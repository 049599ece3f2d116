//! Plans as short text for expectations.

use std::fmt::Write;

use crate::plan::{
    AggregateSpec, AppPlan, ArithmeticOp, CompareOp, Expr, ExprKind, FrameBound, JoinColumn, JoinMode, LateStrategy,
    NodeKind, OverCall, OverKind, OverSpec, Repr, Side, SubquerySpec, TimeField, WindowKind,
};

/// One line per source, node and sink.
pub(super) fn plan(plan: &AppPlan) -> String {
    let mut out = String::new();
    for source in &plan.sources {
        let columns: Vec<String> =
            source.read.iter().map(|c| format!("{}{}", c.name, if c.repr == Repr::Token { "#" } else { "" })).collect();
        let time = source.event_time.as_ref().map(|t| match t.field {
            TimeField::Column(c) => format!(" time {c}-{}s", t.bound_ns / 1_000_000_000),
            TimeField::RecordTimestamp => " time record".to_owned(),
            TimeField::Header => " time header".to_owned(),
        });
        let raw = if source.needs_raw { " raw" } else { "" };
        let _ = writeln!(out, "source {} [{}]{}{raw}", source.name, columns.join(" "), time.unwrap_or_default());
    }
    for (i, node) in plan.nodes.iter().enumerate() {
        assert_eq!(node.id.index(), i);
        let inputs: Vec<String> = node.inputs.iter().map(|n| n.to_string()).collect();
        let changelog = if node.changelog { " ±" } else { "" };
        let _ = writeln!(out, "{i}<{} {}{changelog}", inputs.join(","), kind(&node.kind));
    }
    for sink in &plan.sinks {
        let names: Vec<&str> = sink.schema.fields.iter().map(|f| f.name.as_str()).collect();
        let flags = [(sink.upsert, " upsert"), (sink.ordered, " ordered"), (sink.pass_through, " passed")];
        let flags: String = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
        let _ = writeln!(out, "sink {} ({}) key {:?}{flags}", sink.name, names.join(" "), sink.key);
    }
    out
}

pub(super) fn kind(kind: &NodeKind) -> String {
    match kind {
        NodeKind::Scan { source } => format!("scan {source}"),
        NodeKind::Filter { predicate } => format!("filter {}", expr(predicate)),
        NodeKind::Project { exprs, event_time } => {
            let time = event_time.as_ref().map(|e| format!(" at {}", expr(e)));
            format!("project {}{}", list(exprs), time.unwrap_or_default())
        }
        NodeKind::Union => "union".to_owned(),
        NodeKind::Materialize { key } => format!("materialize {key:?}"),
        NodeKind::Values { rows } => format!("values {}", rows.iter().map(|r| list(r)).collect::<Vec<_>>().join(" ")),
        NodeKind::Upsert { key, deleted, passes } => {
            let passes = if *passes { " in the joins" } else { "" };
            format!("upsert {key:?}{}{passes}", deleted.map_or(String::new(), |d| format!(" but {d}")))
        }
        NodeKind::Events => "events".to_owned(),
        NodeKind::Amend(spec) => format!("amend {:?} {}", spec.key, spec.steps.len()),
        NodeKind::Sort(spec) => format!("sort {:?}", spec),
        NodeKind::Limit { rows } => format!("limit {rows}"),
        NodeKind::Combine(spec) => format!("combine {}", aggregate(spec)),
        NodeKind::Exchange { edge, route } => format!("exchange {edge} {route:?}"),
        NodeKind::Aggregate(spec) => format!("aggregate {}", aggregate(spec)),
        NodeKind::Unnest(spec) => format!("unnest {spec:?}"),
        NodeKind::Join(spec) => {
            let residual = spec.residual.as_ref().map(|r| format!(" if {}", expr(r)));
            let columns: Vec<String> = spec.output.iter().map(join_column).collect();
            let mode = match spec.mode {
                JoinMode::Interval { before_ns, after_ns, .. } => {
                    let ms = |ns: i64| ns as f64 / 1e9;
                    format!("-{}s..{}s", ms(before_ns), ms(after_ns))
                }
                JoinMode::AsOf { before_ns, after_ns, forward, .. } => {
                    let way = if forward { "first" } else { "last" };
                    format!("{way} of {}s..{}s", -before_ns as f64 / 1e9, after_ns as f64 / 1e9)
                }
                JoinMode::Window { spec, at_close } => {
                    format!("window {}s {at_close}", spec.kind.size_ns() / 1_000_000_000)
                }
                JoinMode::Lookup { table, version, .. } => {
                    format!("table {table:?} {:?}", version.map(|version| version.column))
                }
                JoinMode::Tables => "tables".to_owned(),
            };
            let (keys, residual) = ((&spec.left_keys, &spec.right_keys), residual.unwrap_or_default());
            format!("join {:?} {mode} {keys:?}{residual} -> {}", spec.kind, columns.join(" "))
        }
        NodeKind::Subqueries(specs) => {
            let one = |s: &SubquerySpec| {
                let condition = s.condition.as_ref().map(|c| format!(" if {}", expr(c)));
                let fold = s.fold.as_ref().map(|f| {
                    let having = f.having.as_ref().map_or(String::new(), |h| format!(" having {}", expr(h)));
                    format!(" fold {} of {}{having}", aggregate(&f.spec), list(&f.columns))
                });
                let value = s.value.as_ref().map(|v| format!(" = {}", expr(v)));
                let distinct = s.distinct.then(|| " distinct".to_owned());
                let order = s.order.iter().map(|o| format!(" by {}{}", expr(&o.0), if o.1 { " desc" } else { "" }));
                let limit = s.limit.map(|n| format!(" first {n}"));
                let keep = s.keep_ns.map(|ns| format!(" keep {}s", ns as f64 / 1e9));
                let rest = [condition, fold, value, distinct, Some(order.collect()), limit, keep];
                format!("{:?} {:?}{} {}", s.kind, s.keys, rest.map(Option::unwrap_or_default).concat(), s.result)
            };
            format!("subqueries {}", specs.iter().map(one).collect::<Vec<_>>().join("; "))
        }
        NodeKind::Over(spec) => over(spec),
        NodeKind::Sink { sink, edge } => format!("sink {sink} {edge}"),
    }
}

fn join_column(column: &JoinColumn) -> String {
    match column {
        JoinColumn::Of(Side::Left, at) => format!("l{at}"),
        JoinColumn::Of(Side::Right, at) => format!("r{at}"),
        JoinColumn::WindowStart => "start".to_owned(),
        JoinColumn::WindowEnd => "end".to_owned(),
    }
}

fn aggregate(spec: &AggregateSpec) -> String {
    let calls: Vec<String> = spec
        .aggregates
        .iter()
        .map(|c| format!("{}({})", c.function.name(), c.argument().map_or("*".to_owned(), |a| format!("${a}"))))
        .collect();
    let window = spec.window.map(|w| {
        let sec = |ns: i64| ns / 1_000_000_000;
        let kind = match w.kind {
            WindowKind::Tumbling { size_ns } => format!("tumbling {}s", sec(size_ns)),
            WindowKind::Hopping { size_ns, slide_ns } => format!("hopping {}s/{}s", sec(size_ns), sec(slide_ns)),
            WindowKind::Session { gap_ns } => format!("session {}s", sec(gap_ns)),
        };
        let zone = w.zone.map_or(String::new(), |z| format!(" {}", z.as_str()));
        let late = if w.late == LateStrategy::Drop { String::new() } else { format!(" {:?}", w.late) };
        format!(" {kind}+{}s{zone}{late}", sec(w.lateness_ns))
    });
    let retract = if spec.retract { " retract" } else { "" };
    format!("{:?} {} {:?}{}{retract}", spec.keys, calls.join(" "), spec.emit, window.unwrap_or_default())
}

fn list(exprs: &[Expr]) -> String {
    exprs.iter().map(expr).collect::<Vec<_>>().join(", ")
}

/// An expression with `$n` for columns.
pub(super) fn expr(e: &Expr) -> String {
    match &e.kind {
        ExprKind::Column(c) => format!("${c}"),
        ExprKind::Literal(v) => v.to_string(),
        ExprKind::System(s) => format!("{s:?}"),
        ExprKind::Arithmetic { first, rest } => {
            let sign = |op| match op {
                ArithmeticOp::Add => "+",
                ArithmeticOp::Subtract => "-",
                ArithmeticOp::Multiply => "*",
                ArithmeticOp::Divide => "/",
                ArithmeticOp::Modulo => "%",
            };
            let steps: String = rest.iter().map(|s| format!(" {} {}", sign(s.op), expr(&s.operand))).collect();
            format!("({}{steps}):{}", expr(first), e.data_type)
        }
        ExprKind::Negate(x) => format!("-{}", expr(x)),
        ExprKind::Compare { op, left, right } => {
            let sign = match op {
                CompareOp::Equal => "=",
                CompareOp::NotEqual => "<>",
                CompareOp::Less => "<",
                CompareOp::LessOrEqual => "<=",
                CompareOp::Greater => ">",
                CompareOp::GreaterOrEqual => ">=",
            };
            format!("{} {sign} {}", expr(left), expr(right))
        }
        ExprKind::Distinct { left, right, negated } => format!("distinct{negated}({}, {})", expr(left), expr(right)),
        ExprKind::And(l) => format!("and({})", list(l)),
        ExprKind::Or(l) => format!("or({})", list(l)),
        ExprKind::Not(x) => format!("not({})", expr(x)),
        ExprKind::IsNull { operand, negated } => format!("null{negated}({})", expr(operand)),
        ExprKind::InList { operand, list: l, negated } => format!("in{negated}({}: {})", expr(operand), list(l)),
        ExprKind::Case { branches, otherwise } => {
            let arms: Vec<String> = branches.iter().map(|(w, t)| format!("{}: {}", expr(w), expr(t))).collect();
            format!("case({}; {})", arms.join(", "), otherwise.as_ref().map_or("-".to_owned(), |x| expr(x)))
        }
        ExprKind::Coalesce(l) => format!("coalesce({})", list(l)),
        ExprKind::Cast { operand, .. } => format!("cast({} as {})", expr(operand), e.data_type),
        ExprKind::Try(x) => format!("try({})", expr(x)),
        ExprKind::Concat(l) => format!("concat({})", list(l)),
        ExprKind::Call { function, args } => format!("{}({})", function.name.to_lowercase(), list(args)),
        ExprKind::RecordKey { parts, .. } => {
            let parts: Vec<String> = parts.iter().map(|(name, x)| format!("{name}: {}", expr(x))).collect();
            format!("key({})", parts.join(", "))
        }
        ExprKind::Header { call, headers, args } => format!("{}({}; {})", call.name(), expr(headers), list(args)),
        ExprKind::Headers { before, edits } => format!("headers({}; {})", expr(before), list(edits)),
    }
}

fn over(spec: &OverSpec) -> String {
    let bound = |b: &FrameBound| match b {
        FrameBound::UnboundedPreceding => "..".to_owned(),
        FrameBound::Preceding(v) => format!("-{v}"),
        FrameBound::CurrentRow => "0".to_owned(),
        FrameBound::Following(v) => format!("+{v}"),
        FrameBound::UnboundedFollowing => "..".to_owned(),
    };
    let call = |c: &OverCall| {
        let kind = match &c.kind {
            OverKind::Aggregate(a) => format!("{}{:?}", a.function.name(), a.arguments),
            OverKind::Analytic { function, argument, count, default, ignore_nulls } => {
                let given = format!("({argument:?} {count} {default:?} {ignore_nulls})");
                format!("{}{}", function.name(), given.replace("Some", "").replace("None", "-"))
            }
        };
        let range = if c.frame.range { "range " } else { "" };
        format!("{kind} {range}{}:{} {}", bound(&c.frame.start), bound(&c.frame.end), c.result)
    };
    let order: Vec<String> =
        spec.order.iter().map(|k| format!("{}{}", k.column, if k.descending { " desc" } else { "" })).collect();
    let calls: Vec<String> = spec.calls.iter().map(call).collect();
    let rules = format!("{} full {} {:?}", spec.buffer, spec.when_full, spec.expire_ns.map(|ns| ns / 1_000_000_000));
    format!("over {:?} by [{}] last {rules}: {}", spec.partition, order.join(" "), calls.join("; "))
}
