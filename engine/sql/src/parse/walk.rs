//! Walks over the syntax tree that change it, and those that reach the queries inside expressions.

use super::ast::{
    CallOrder, Expr, ExprKind, Item, Join, JoinOn, ModifiedCall, Over, Query, Relation, Subquery, SubqueryForm,
};

impl Query {
    /// Every expression that stands in the query itself.
    pub(crate) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let items = self.items.iter().filter_map(|item| match item {
            Item::Expr { expr, .. } => Some(expr),
            Item::Star(_) | Item::QualifiedStar { .. } => None,
        });
        let on = self.joins.iter().filter_map(|join| match &join.on {
            JoinOn::Condition(condition) => Some(condition),
            JoinOn::Elements(elements) => Some(&elements.operand),
            JoinOn::Everything | JoinOn::Using(_) => None,
        });
        let order = self.order_by.iter().map(|key| &key.expr);
        let window = self.window.iter().flat_map(|window| window.column.iter().chain(&window.key));
        items.chain(on).chain(&self.filter).chain(&self.group_by).chain(window).chain(&self.having).chain(order)
    }

    /// [`Query::exprs`] for changing them.
    fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let items = self.items.iter_mut().filter_map(|item| match item {
            Item::Expr { expr, .. } => Some(expr),
            Item::Star(_) | Item::QualifiedStar { .. } => None,
        });
        let on = self.joins.iter_mut().filter_map(|Join { on, .. }| match on {
            JoinOn::Condition(condition) => Some(condition),
            JoinOn::Elements(elements) => Some(&mut elements.operand),
            JoinOn::Everything | JoinOn::Using(_) => None,
        });
        let order = self.order_by.iter_mut().map(|key| &mut key.expr);
        let window = self.window.iter_mut().flat_map(|window| window.column.iter_mut().chain(&mut window.key));
        let keys = self.group_by.iter_mut();
        items.chain(on).chain(&mut self.filter).chain(keys).chain(window).chain(&mut self.having).chain(order)
    }

    /// The subqueries in the query's expressions, not those inside them.
    pub(crate) fn subqueries(&self) -> Vec<&Subquery> {
        let mut found = Vec::new();
        self.exprs().for_each(|expr| expr.subqueries(&mut found));
        found
    }

    /// Calls `f` with the query of every subquery in the query's expressions, not those inside them.
    pub(crate) fn each_subquery_mut(&mut self, f: &mut dyn FnMut(&mut Query)) {
        self.exprs_mut().for_each(|expr| expr.each_subquery_mut(f));
    }

    /// What the query and its subqueries read: FROM and joins.
    pub(crate) fn all_relations(&self) -> Vec<&Relation> {
        let mut found: Vec<&Relation> = self.relations().collect();
        for sub in self.subqueries() {
            found.append(&mut sub.query.all_relations());
        }
        found
    }
}

impl Expr {
    fn subqueries<'a>(&'a self, found: &mut Vec<&'a Subquery>) {
        if let ExprKind::Subquery(sub) = &self.kind {
            found.push(sub);
        }
        self.each_child(|child| child.subqueries(found));
    }

    fn each_subquery_mut(&mut self, f: &mut dyn FnMut(&mut Query)) {
        if let ExprKind::Subquery(sub) = &mut self.kind {
            f(&mut sub.query);
        }
        self.each_child_mut(&mut |child| child.each_subquery_mut(f));
    }

    /// [`Expr::each_child`] for changing them.
    fn each_child_mut(&mut self, f: &mut dyn FnMut(&mut Expr)) {
        use ExprKind::*;
        match &mut self.kind {
            Column { .. } | DoubleQuoted(_) | Text(_) | Number(_) | Boolean(_) | Bytes(_) | Null => {}
            Interval(_) | Months(_) => {}
            Field { operand: x, .. } | Negate(x) | Not(x) | IsNull { operand: x, .. } | Cast { operand: x, .. } => f(x),
            Arithmetic { first, rest } => {
                f(first);
                rest.iter_mut().for_each(|(_, x)| f(x));
            }
            Concat(list) | And(list) | Or(list) | Call { args: list, .. } => list.iter_mut().for_each(f),
            Element { operand: left, index: right } | Compare { left, right, .. } | Distinct { left, right, .. } => {
                f(left);
                f(right);
            }
            Between { operand, low, high, .. } => {
                f(operand);
                f(low);
                f(high);
            }
            InList { operand, list, .. } => {
                f(operand);
                list.iter_mut().for_each(f);
            }
            Case { operand, branches, otherwise } => {
                operand.iter_mut().for_each(|x| f(x));
                branches.iter_mut().for_each(|(when, then)| {
                    f(when);
                    f(then);
                });
                otherwise.iter_mut().for_each(|x| f(x));
            }
            Modified(call) => call.each_expr_mut(f),
            Over(over) => over.each_expr_mut(f),
            Subquery(sub) => {
                if let SubqueryForm::Compare { operand, .. } = &mut sub.form {
                    f(operand);
                }
            }
        }
    }
}

impl ModifiedCall {
    fn each_expr_mut(&mut self, f: &mut dyn FnMut(&mut Expr)) {
        let order = self.order.iter_mut().map(|CallOrder { expr, .. }| expr);
        self.args.iter_mut().chain(order).chain(&mut self.filter).for_each(f);
    }
}

impl Over {
    fn each_expr_mut(&mut self, f: &mut dyn FnMut(&mut Expr)) {
        self.call.each_expr_mut(f);
        self.partition.iter_mut().chain(self.order.iter_mut().map(|o| &mut o.expr)).for_each(f);
    }
}
