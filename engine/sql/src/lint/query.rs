//! Recommendations that the syntax tree alone gives: conditions that cost much, clauses that hold rows.
//!
//! Recursion follows the nesting of queries and expressions, which the parser bounds.

use velostream_types::Span;

use super::Found;
use crate::parse::ast::{Expr, ExprKind, Query};

/// Arms of a CASE that are not worth a word.
const ARMS_MAX: usize = 10;

/// Functions that search or cut texts.
const SEARCHES: [&str; 7] =
    ["REGEXP", "REGEXP_LIKE", "REGEXP_EXTRACT", "REGEXP_REPLACE", "SUBSTRING", "SUBSTR", "SPLIT_PART"];

/// Looks at a query and the queries inside it.
pub(super) fn look(query: &Query, found: &mut Found) {
    for cte in &query.ctes {
        look(&cte.query, found);
    }
    if let Some(nested) = query.from.as_ref().and_then(|relation| relation.query.as_ref()) {
        look(nested, found);
    }
    for branch in &query.union {
        if !branch.all {
            let hint = "write UNION ALL where no row can occur twice";
            found.add("A0804", branch.span, "UNION keeps every row it gave, to leave out its equals", hint);
        }
        look(&branch.query, found);
    }
    if let Some(filter) = &query.filter {
        conditions(filter, found);
    }
    for expr in query.exprs() {
        walk(expr, found);
    }
    limits(query, found);
    if let Some(window) = query.window.as_ref().filter(|window| window.column.is_none()) {
        found.windows.push(window.span);
    }
}

fn limits(query: &Query, found: &mut Found) {
    match (query.order_by.first(), query.limit) {
        (None, Some((_, span))) => {
            let message = "LIMIT without ORDER BY takes the first rows that come, not the best";
            found.add("A0805", span, message, "add ORDER BY to choose by value");
        }
        (Some(key), None) if query.window.is_none() => {
            let message = "ORDER BY without LIMIT or WINDOW holds all rows until the input ends";
            found.add("A0806", key.expr.span, message, "add LIMIT to hold only the best ones");
        }
        _ => {}
    }
}

/// The conditions of WHERE: what searches texts should stand behind what only compares.
fn conditions(filter: &Expr, found: &mut Found) {
    let all: &[Expr] = match &filter.kind {
        ExprKind::And(list) => list,
        _ => std::slice::from_ref(filter),
    };
    let mut searches = Vec::new();
    let mut cheap_behind = false;
    for condition in all {
        match search(condition) {
            Some(found) => searches.push(found),
            // What stands behind a cheap condition runs for the rows it lets through only.
            None if searches.is_empty() => return,
            None => {
                cheap_behind = true;
                break;
            }
        }
    }
    for (name, span) in searches {
        let hint = match cheap_behind {
            true => "put the cheaper conditions in front: AND stops at the first that is FALSE",
            false if name.starts_with("SUBSTR") => "for the beginning of a text write STARTS_WITH",
            false => "compare columns in front of it, or write STARTS_WITH, ENDS_WITH, CONTAINS or LIKE",
        };
        found.add("A0802", span, format!("{name} in WHERE runs for every row"), hint);
    }
}

/// The first search inside an expression, by name and place.
fn search(expr: &Expr) -> Option<(String, Span)> {
    if let ExprKind::Call { name, .. } = &expr.kind {
        let upper = name.name.to_ascii_uppercase();
        if SEARCHES.contains(&upper.as_str()) {
            return Some((upper, expr.span));
        }
    }
    let mut first = None;
    expr.each_child(|child| {
        if first.is_none() {
            first = search(child);
        }
    });
    first
}

fn walk(expr: &Expr, found: &mut Found) {
    match &expr.kind {
        ExprKind::Case { branches, .. } if branches.len() > ARMS_MAX => {
            let message = format!("CASE with {} arms compares a row up to as many times", branches.len());
            found.add("A0803", expr.span, message, "put frequent values first, or keep the values in a table");
        }
        ExprKind::Call { name, args, .. } if name.name == "LIKE" => leading_wildcard(args, expr.span, found),
        ExprKind::Subquery(sub) => look(&sub.query, found),
        _ => {}
    }
    expr.each_child(|child| walk(child, found));
}

/// `x LIKE '%text'` and `x LIKE '%text%'`.
fn leading_wildcard(args: &[Expr], span: Span, found: &mut Found) {
    let [_, Expr { kind: ExprKind::Text(pattern), .. }] = args else { return };
    let Some(rest) = pattern.strip_prefix('%') else { return };
    let plain = |text: &str| !text.is_empty() && !text.contains(['%', '_']);
    let hint = match rest.strip_suffix('%') {
        Some(part) if plain(part) => format!("write CONTAINS(…, '{}')", part.replace('\'', "''")),
        None if plain(rest) => format!("write ENDS_WITH(…, '{}')", rest.replace('\'', "''")),
        _ => "let the pattern begin with what is known".to_owned(),
    };
    found.add("A0801", span, "LIKE with a pattern that starts with % looks at the whole text of every row", hint);
}
