//! The keys of GROUP BY: columns, expressions, positions in the select list, aliases.

use super::Binder;
use super::aggregate::{Grouped, find_call};
use super::scope::{Scope, system_column, window_bound};
use crate::diag::Diagnostic;
use crate::parse::ast::{self, Item, Query};

impl Binder<'_> {
    /// Binds the keys of GROUP BY: columns, expressions, ordinals, aliases. FALSE after a mistake.
    pub(super) fn keys<'q>(&mut self, query: &'q Query, scope: &mut Scope<'q>, grouped: &mut Grouped<'q>) -> bool {
        scope.clause = "GROUP BY";
        scope.visible = query.items.len();
        let mut sound = true;
        let session_key = query.window.iter().filter_map(|w| w.key.as_ref());
        for key in query.group_by.iter().chain(session_key) {
            let Some(expr) = self.key_expr(key, query, scope, grouped.window.is_some()) else {
                sound = false;
                continue;
            };
            let Some(expr) = expr else { continue };
            if let Some((function, span)) = find_call(expr) {
                let message = format!("aggregate {} is not allowed in GROUP BY", function.name());
                let hint = "group by a column, and filter groups with HAVING";
                self.report(Diagnostic::error("E0401", key.span, message).also(span, "the aggregate").hint(hint));
                sound = false;
                continue;
            }
            match self.bind(expr, scope) {
                Some(bound) => grouped.add_key(expr, bound),
                None => sound = false,
            }
        }
        sound
    }

    /// What a GROUP BY item stands for: `Some(None)` for a window bound, which groups anyway.
    fn key_expr<'q>(
        &mut self,
        key: &'q ast::Expr,
        query: &'q Query,
        scope: &Scope<'q>,
        windowed: bool,
    ) -> Option<Option<&'q ast::Expr>> {
        match &key.kind {
            ast::ExprKind::Number(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                let ordinal: usize = digits.parse().unwrap_or(0);
                match ordinal.checked_sub(1).and_then(|i| query.items.get(i)) {
                    Some(Item::Expr { expr, .. }) => Some(Some(expr)),
                    Some(_) => {
                        let message = format!("GROUP BY {ordinal} stands for *");
                        self.report(Diagnostic::error("E0407", key.span, message).hint("name the column"));
                        None
                    }
                    None => {
                        let message = format!("GROUP BY {digits} is not in the select list");
                        let detail = format!("the select list has {} items", query.items.len());
                        self.report(Diagnostic::error("E0406", key.span, message).detail(detail));
                        None
                    }
                }
            }
            ast::ExprKind::Column { qualifier: None, name } => {
                let is_column = scope.rel.schema.index_of(&name.name).is_some();
                if !is_column && windowed && window_bound(&name.name).is_some() {
                    return Some(None);
                }
                let alias =
                    scope.aliases.get(name.name.as_str()).filter(|_| !is_column && system_column(&name.name).is_none());
                Some(Some(alias.map_or(key, |(_, expr)| expr)))
            }
            _ => Some(Some(key)),
        }
    }
}
