//! UNION: one relation of the rows of several. Branches have equally many columns of types that go together; the names are
//! those of the first.

use std::sync::Arc;

use velostream_types::{DataType, Field, Schema};

use super::expr::cast_to;
use super::scope::{Rel, RelKind};
use super::{Binder, Object, typing};
use crate::diag::Diagnostic;
use crate::parse::ast::Relation;
use crate::plan::{Expr, ExprKind, NodeKind};

/// What is needed of a branch.
struct Branch {
    node: usize,
    schema: Arc<Schema>,
    raw: bool,
    changelog: bool,
    roots: Vec<usize>,
}

impl Binder<'_> {
    /// The relation of all rows of the branches.
    pub(super) fn union(&mut self, relation: &Relation) -> Rel {
        let branch = |name: &String| {
            if matches!(self.objects.get(name), Some(Object::Failed)) {
                return None;
            }
            let o = self.outputs.get(name)?;
            let (schema, roots) = (o.schema.clone(), o.roots.clone());
            Some(Branch { node: o.node, schema, raw: o.raw, changelog: o.changelog, roots })
        };
        let branches: Option<Vec<Branch>> = relation.union.iter().map(branch).collect();
        let Some(branches) = branches else { return Rel::poisoned(&relation.name) };
        let Some(fields) = self.union_fields(&branches, relation) else { return Rel::poisoned(&relation.name) };
        let changelog = branches.iter().any(|b| b.changelog);
        let mut inputs = Vec::with_capacity(branches.len());
        for branch in &branches {
            // A Project of its own, whatever other readers ask of the branch.
            let column = |(i, (own, field)): (usize, (&Field, &Field))| {
                let expr = Expr { kind: ExprKind::Column(i), data_type: own.data_type.clone(), span: relation.span };
                if own.data_type == field.data_type { expr } else { cast_to(expr, field.data_type.clone()) }
            };
            let exprs: Vec<Expr> = branch.schema.fields.iter().zip(&fields).enumerate().map(column).collect();
            if branch.raw && exprs.iter().any(typing::can_fail) {
                branch.roots.iter().for_each(|root| self.graph.sources[*root].plan.needs_raw = true);
            }
            let project = NodeKind::Project { exprs, event_time: None };
            inputs.push(self.graph.add(project, Some(branch.node), fields.clone(), branch.changelog, self.statement));
        }
        let node = self.graph.union(&inputs, changelog, self.statement);
        let mut rel = Rel::new(&relation.name, node, Arc::new(Schema::new(fields)));
        rel.raw = branches.iter().all(|b| b.raw);
        rel.changelog = changelog;
        rel.kind = if changelog { RelKind::Table } else { RelKind::Stream };
        for root in branches.into_iter().flat_map(|b| b.roots) {
            if !rel.roots.contains(&root) {
                rel.roots.push(root);
            }
        }
        rel
    }

    /// Columns of the union.
    fn union_fields(&mut self, branches: &[Branch], relation: &Relation) -> Option<Vec<Field>> {
        let first = branches.first()?;
        let mut fields = first.schema.fields.clone();
        for (n, branch) in branches.iter().enumerate().skip(1) {
            let (have, want) = (branch.schema.len(), fields.len());
            if have != want {
                let message = format!("the first query of the UNION has {want} columns, query {} has {have}", n + 1);
                let hint = "select as many columns in each; NULL AS name fills one up";
                self.report(Diagnostic::error("E0309", relation.span, message).hint(hint));
                return None;
            }
            for (field, own) in fields.iter_mut().zip(&branch.schema.fields) {
                let Some(common) = typing::common(&field.data_type, &own.data_type) else {
                    let (a, b) = (&field.data_type, &own.data_type);
                    let message =
                        format!("column \"{}\" of the UNION is {a} in one query and {b} in another", field.name);
                    self.report(
                        Diagnostic::error("E0309", relation.span, message).hint("CAST one to the type of the other"),
                    );
                    return None;
                };
                field.data_type = common;
                field.nullable |= own.nullable || field.data_type == DataType::Null;
                field.inferred |= own.inferred;
            }
        }
        Some(fields)
    }
}
