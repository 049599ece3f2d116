//! Apps of subqueries: EXISTS, IN, values, ANY and ALL; correlated or not; in WHERE, in SELECT and in CASE; over tables that
//! change between two rows, and over streams, most with a bound in time.

use super::apps::{Case, K, Maker, TS, rel};
use super::lookups::{draft, finished, position, turns, waits};
use super::model::{Aggregate, Expr, Item, Op, Query, SubForm, SubValue, Subquery};
use super::value::Kind;

/// Draws one; no partition of its feeds comes back.
pub fn app(maker: &mut Maker<'_>, case: Case) -> bool {
    let (mut of_tables, mut of_streams) = turns(maker, 3);
    let of_stream = maker.draw.below(5) < 2;
    let waits = !of_stream && waits(maker, &mut of_tables, &mut of_streams);
    if of_stream {
        // What a subquery says depends on what came before the row. So the inner rows come between those of the outer
        // stream, whose partitions all begin before there is an inner row.
        of_tables = of_streams;
        of_streams = std::iter::once(0).chain(of_tables.iter().map(|step| step + 1)).collect();
    }
    let outer = maker.stream("s", false, &of_streams);
    let first = (!of_stream).then(|| draft(maker, "t", waits, &of_tables));
    let second = maker.draw.once_in(3).then(|| draft(maker, "u", waits, &of_tables));
    let mut inner = match first {
        Some(draft) => vec![finished(maker, draft)],
        None => vec![maker.stream("i", false, &of_tables)],
    };
    inner.extend(second.map(|draft| finished(maker, draft)));
    let rels = vec![rel(outer, "s")];
    let mut items = maker.items(&rels);
    let mut filters = Vec::new();
    for object in inner {
        let expr = subquery(maker, case, object);
        let is_condition = !matches!(case, Case::SubScalar);
        match maker.draw.below(4) {
            0 | 1 if is_condition => filters.push(expr),
            2 if is_condition => {
                let case = Expr::Case(Box::new(expr), Box::new(Expr::int(1)), Box::new(Expr::int(0)));
                items.push(Item { name: format!("y{}", items.len()), expr: case, key: false });
            }
            0 if !fails(&expr) => {
                let constant = Expr::int(maker.draw.below(9) as i64);
                filters.push(Expr::compare(Op::Greater, expr, constant));
            }
            _ => items.push(Item { name: format!("y{}", items.len()), expr, key: false }),
        }
    }
    if maker.draw.once_in(3) {
        filters.push(maker.condition(&rels, 0..1));
    }
    let filter = match filters.len() {
        0 | 1 => filters.pop(),
        _ => Some(Expr::And(filters)),
    };
    let query = Query { rels, joins: Vec::new(), filter, items, star: false, group: None };
    maker.statement("out", false, query);
    false
}

/// A value of which there may be several.
fn fails(expr: &Expr) -> bool {
    matches!(expr, Expr::Sub(sub) if matches!(sub.value, SubValue::Column(_) | SubValue::Distinct(_)))
}

fn subquery(maker: &mut Maker<'_>, case: Case, object: usize) -> Expr {
    let inner = vec![rel(object, "i")];
    let filter = filter(maker, object);
    let kind = *maker.draw.pick(&[Kind::Int, Kind::Int, Kind::Dec]);
    let selected = match maker.column(&inner, 0..1, kind) {
        Expr::Column(_, column) => column,
        _ => position(maker, object, "v").unwrap_or(0),
    };
    let outer = |maker: &mut Maker<'_>| Expr::Column(0, super::apps::V + maker.draw.below(2) as usize);
    let (form, value) = match case {
        Case::SubExists => match maker.draw.below(3) {
            0 => (SubForm::Exists(maker.draw.once_in(2)), SubValue::One),
            1 => {
                let (k, not) = (position(maker, object, "k").unwrap_or(0), maker.draw.once_in(2));
                (SubForm::In(Box::new(Expr::Column(0, K)), not), SubValue::Column(k))
            }
            _ => {
                let (operand, not) = (outer(maker), maker.draw.once_in(2));
                let value =
                    if maker.draw.once_in(3) { SubValue::Distinct(selected) } else { SubValue::Column(selected) };
                (SubForm::In(Box::new(operand), not), value)
            }
        },
        Case::SubCompare => {
            let ops = [Op::Equal, Op::NotEqual, Op::Less, Op::LessOrEqual, Op::Greater, Op::GreaterOrEqual];
            let op = *maker.draw.pick(&ops);
            let operand = outer(maker);
            (SubForm::Compare(Box::new(operand), op, maker.draw.once_in(2)), SubValue::Column(selected))
        }
        _ => {
            let column = Expr::Column(0, selected);
            let unique = position(maker, object, "id");
            let value = match (maker.draw.below(6), unique) {
                (0, _) => SubValue::Of(Aggregate::Rows),
                (1, _) => SubValue::Of(Aggregate::Sum(column)),
                (2, _) => SubValue::Of(Aggregate::Max(column)),
                (3, _) => SubValue::Of(Aggregate::Count(column)),
                (4, Some(id)) => SubValue::First(selected, id, maker.draw.once_in(2)),
                _ => SubValue::Column(selected),
            };
            (SubForm::Scalar, value)
        }
    };
    let is_stream = maker.sources.get(object).is_some_and(|source| !source.is_table());
    let keep = (is_stream && !maker.draw.once_in(4)).then(|| maker.unit * maker.draw.below(4) as i64);
    let bound = keep.map(|keep| Expr::compare(Op::GreaterOrEqual, Expr::Column(0, TS), Expr::Outer(0, TS).plus(-keep)));
    let filter = match (filter, bound) {
        (Some(filter), Some(bound)) => Some(Expr::And(vec![bound, filter])),
        (filter, bound) => filter.or(bound),
    };
    Expr::Sub(Box::new(Subquery { form, object, filter, value, keep }))
}

fn filter(maker: &mut Maker<'_>, object: usize) -> Option<Expr> {
    let mut conditions = Vec::new();
    let column = |maker: &Maker<'_>, name: &str| position(maker, object, name).map(|at| Expr::Column(0, at));
    if !maker.draw.once_in(4) {
        let name = *maker.draw.pick(&["k", "k", "g"]);
        let name = if column(maker, name).is_some() { name } else { "k" };
        let at = if name == "k" { K } else { super::apps::G };
        conditions.extend(column(maker, name).map(|c| Expr::compare(Op::Equal, c, Expr::Outer(0, at))));
    }
    if maker.draw.once_in(4) {
        let v = column(maker, "v");
        let op = *maker.draw.pick(&[Op::Less, Op::GreaterOrEqual]);
        conditions.extend(v.map(|v| Expr::compare(op, v, Expr::Outer(0, super::apps::V))));
    }
    if maker.draw.once_in(3) {
        conditions.push(maker.condition(&[rel(object, "i")], 0..1));
    }
    match conditions.len() {
        0 | 1 => conditions.pop(),
        _ => Some(Expr::And(conditions)),
    }
}
