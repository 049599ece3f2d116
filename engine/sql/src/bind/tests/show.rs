//! Plans as short text for expectations.

use std::fmt::Write;

use crate::plan::{
    AggregateSpec, AppPlan, ArithmeticOp, CompareOp, Expr, ExprKind, NodeKind, Repr, TimeField, WindowKind,
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

fn kind(kind: &NodeKind) -> String {
    match kind {
        NodeKind::Scan { source } => format!("scan {source}"),
        NodeKind::Filter { predicate } => format!("filter {}", expr(predicate)),
        NodeKind::Project { exprs, event_time } => {
            let time = event_time.as_ref().map(|e| format!(" at {}", expr(e)));
            format!("project {}{}", list(exprs), time.unwrap_or_default())
        }
        NodeKind::Union => "union".to_owned(),
        NodeKind::Sort(spec) => format!("sort {:?}", spec),
        NodeKind::Limit { rows } => format!("limit {rows}"),
        NodeKind::Combine(spec) => format!("combine {}", aggregate(spec)),
        NodeKind::Exchange { edge, route } => format!("exchange {edge} {route:?}"),
        NodeKind::Aggregate(spec) => format!("aggregate {}", aggregate(spec)),
        NodeKind::Sink { sink, edge } => format!("sink {sink} {edge}"),
    }
}

fn aggregate(spec: &AggregateSpec) -> String {
    let calls: Vec<String> = spec
        .aggregates
        .iter()
        .map(|c| format!("{}({})", c.function.name(), c.argument().map_or("*".to_owned(), |a| format!("${a}"))))
        .collect();
    let window = spec.window.map(|w| {
        let WindowKind::Tumbling { size_ns } = w.kind;
        format!(" tumbling {}s+{}s", size_ns / 1_000_000_000, w.lateness_ns / 1_000_000_000)
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
