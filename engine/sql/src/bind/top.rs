//! Top-N: where only rows up to a rank are read, a buffer holds the best rows instead of the greatest.
//!
//! Looks, below each Filter that bounds a column from above, for the ROW_NUMBER, RANK or DENSE_RANK that the column is, if
//! nobody else reads what lies between. Rows behind the bound may then get another rank, which is behind it too.

use velostream_types::{Span, Value};

use crate::plan::{CompareOp, Expr, ExprKind, Node, NodeKind, OverFn, OverKind, OverSpec};

/// Plans every Top-N; answers where their calls stand.
pub(super) fn plan(nodes: &mut [Node]) -> Vec<Span> {
    let mut readers = vec![0; nodes.len()];
    nodes.iter().flat_map(|node| &node.inputs).for_each(|input| readers[input.index()] += 1);
    let mut planned = Vec::new();
    for filter in 0..nodes.len() {
        let NodeKind::Filter { predicate } = &nodes[filter].kind else { continue };
        for (column, most) in bounds(predicate) {
            let Some((over, call)) = origin(nodes, &readers, filter, column) else { continue };
            if let NodeKind::Over(spec) = &mut nodes[over].kind
                && is_ranking(spec, call)
            {
                spec.best = Some(spec.best.map_or(most, |other| other.min(most)));
                planned.extend(spec.calls.iter().map(|call| call.span));
            }
        }
    }
    planned
}

/// Columns that the condition bounds from above, each with the greatest value it lets through.
fn bounds(predicate: &Expr) -> Vec<(usize, u64)> {
    let (op, left, right) = match &predicate.kind {
        ExprKind::And(parts) => return parts.iter().flat_map(bounds).collect(),
        ExprKind::Compare { op, left, right } => (*op, left, right),
        _ => return Vec::new(),
    };
    let (op, column, literal) = match (&left.kind, &right.kind) {
        (ExprKind::Column(column), ExprKind::Literal(Value::Int(n))) => (op, *column, *n),
        (ExprKind::Literal(Value::Int(n)), ExprKind::Column(column)) => (turned(op), *column, *n),
        _ => return Vec::new(),
    };
    let most = match op {
        CompareOp::Equal | CompareOp::LessOrEqual => literal,
        CompareOp::Less => literal.saturating_sub(1),
        CompareOp::NotEqual | CompareOp::Greater | CompareOp::GreaterOrEqual => return Vec::new(),
    };
    vec![(column, u64::try_from(most).unwrap_or(0))]
}

fn turned(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Less => CompareOp::Greater,
        CompareOp::LessOrEqual => CompareOp::GreaterOrEqual,
        CompareOp::Greater => CompareOp::Less,
        CompareOp::GreaterOrEqual => CompareOp::LessOrEqual,
        same => same,
    }
}

/// The Over node and the call that a column of a node's input is.
fn origin(nodes: &[Node], readers: &[usize], of: usize, mut column: usize) -> Option<(usize, usize)> {
    let mut at = of;
    loop {
        at = nodes[at].inputs.first()?.index();
        if readers[at] != 1 {
            return None;
        }
        match &nodes[at].kind {
            NodeKind::Filter { .. } | NodeKind::Exchange { .. } => {}
            NodeKind::Project { exprs, .. } => match exprs.get(column)?.kind {
                ExprKind::Column(below) => column = below,
                _ => return None,
            },
            NodeKind::Over(spec) if column < spec.calls.len() => return Some((at, column)),
            NodeKind::Over(spec) => column -= spec.calls.len(),
            _ => return None,
        }
    }
}

/// TRUE when the best rows say all that the node's calls say of them.
fn is_ranking(spec: &OverSpec, call: usize) -> bool {
    let function = |call: &crate::plan::OverCall| match call.kind {
        OverKind::Analytic { function, .. } => Some(function),
        OverKind::Aggregate(_) => None,
    };
    let wanted = spec.calls.get(call).and_then(function);
    let ranks = [OverFn::RowNumber, OverFn::Rank, OverFn::DenseRank];
    wanted.is_some_and(|wanted| ranks.contains(&wanted))
        && spec.calls.iter().all(|call| function(call) == wanted)
        && !spec.when_full
}
