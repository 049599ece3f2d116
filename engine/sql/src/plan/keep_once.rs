//! Tables whose rows are kept once: by the joins that look them up instead of by the Upsert in front of these.
//!
//! An Upsert keeps every row so that it can take it back when another one of its key comes. A join that looks up the table
//! by its whole key knows the row that is replaced without being told, if it knows the orders of both. Where such joins are
//! all that reads a table, its Upsert lets rows pass ([`NodeKind::Upsert`], `passes`) and they keep the last one of each key
//! ([`super::JoinSpec`], `replaces`).
//!
//! Runs once, on the finished plan.

use std::collections::BTreeSet;

use super::{AppPlan, Expr, ExprKind, JoinMode, NodeKind, Side};

impl AppPlan {
    /// Decides for each Upsert.
    pub fn keep_once(&mut self) {
        let mut readers: Vec<Vec<(usize, usize)>> = vec![Vec::new(); self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().enumerate().for_each(|(port, input)| readers[input.index()].push((at, port)));
        }
        for at in 0..self.nodes.len() {
            let NodeKind::Upsert { key, .. } = &self.nodes[at].kind else { continue };
            let Some(joins) = self.joins_by(at, key, &readers).filter(|joins| !joins.is_empty()) else { continue };
            if let NodeKind::Upsert { passes, .. } = &mut self.nodes[at].kind {
                *passes = true;
            }
            for join in joins {
                if let NodeKind::Join(spec) = &mut self.nodes[join].kind {
                    spec.replaces = true;
                }
            }
        }
    }

    /// The joins that read the rows of a node, if nothing else does and each looks them up by all of these columns.
    fn joins_by(&self, from: usize, key: &[usize], readers: &[Vec<(usize, usize)>]) -> Option<Vec<usize>> {
        let mut joins = Vec::new();
        let mut open = vec![(from, key.to_vec())];
        while let Some((at, key)) = open.pop() {
            for (reader, port) in &readers[at] {
                match &self.nodes[*reader].kind {
                    NodeKind::Exchange { .. } => open.push((*reader, key.clone())),
                    NodeKind::Project { exprs, event_time: None } => open.push((*reader, moved(exprs, &key)?)),
                    NodeKind::Join(spec) => {
                        let JoinMode::Lookup { table, version: None, .. } = spec.mode else { return None };
                        let (side, keys) = match table {
                            Side::Left => (0, &spec.left_keys),
                            Side::Right => (1, &spec.right_keys),
                        };
                        let same = || keys.len() == key.len() && set(keys) == set(&key);
                        if *port != side || spec.kind.keeps(table) || !same() {
                            return None;
                        }
                        joins.push(*reader);
                    }
                    _ => return None,
                }
            }
        }
        Some(joins)
    }
}

fn set(columns: &[usize]) -> BTreeSet<usize> {
    columns.iter().copied().collect()
}

/// Where a Project that only chooses columns puts these.
fn moved(exprs: &[Expr], key: &[usize]) -> Option<Vec<usize>> {
    let column = |expr: &Expr| match expr.kind {
        ExprKind::Column(at) => Some(at),
        _ => None,
    };
    let columns: Vec<usize> = exprs.iter().map(column).collect::<Option<_>>()?;
    key.iter().map(|wanted| columns.iter().position(|at| at == wanted)).collect()
}
