//! Apps of joins of streams: bounds in all forms, windows, ASOF, three in a row, and what reads their rows.

use super::apps::{Case, G, K, Maker, RETURNS, named, rel};
use super::model::{Bound, Expr, Form, Item, Join, Keeps, Mode, Op, Query, Rel, Shape};
use super::value::Kind;

/// Draws one; answers whether partitions of its feed may be idle and come back.
pub fn app(maker: &mut Maker<'_>, case: Case) -> bool {
    let file = maker.draw.once_in(3);
    let steps: Vec<usize> = (0..1 + maker.draw.below(3) as usize).collect();
    let a = maker.stream("a", file, &steps);
    let own = maker.draw.once_in(12) && matches!(case, Case::IntervalInner | Case::IntervalLeft | Case::IntervalFull);
    let b = if own { a } else { maker.stream("b", file, &steps) };
    let mut rels = vec![rel(a, "a"), rel(b, "b")];
    if case == Case::ThreeStreams {
        let c = maker.stream("c", file, &steps);
        rels.push(rel(c, "c"));
    }
    let joins = joins(maker, case, &rels);
    let mut items = maker.items(&rels);
    let windowed = matches!(joins[0].mode, Mode::Window { .. });
    let bounds = match joins[0].mode {
        Mode::Window { shape: Shape::Session(_), .. } => joins[0].keeps == Keeps::Inner && maker.draw.once_in(2),
        _ => windowed && maker.draw.once_in(2),
    };
    if bounds {
        items.extend([edge("ws", true), edge("we", false)]);
    } else if !windowed && maker.draw.once_in(2) {
        items.push(Item { name: "at".to_owned(), expr: Expr::Time, key: false });
    }
    if joins[0].using {
        let merged = Expr::Coalesce(vec![Expr::Column(0, K), Expr::Column(1, K)]);
        items.push(Item { name: "k".to_owned(), expr: merged, key: false });
    }
    let filter = maker.draw.once_in(4).then(|| maker.condition(&rels, 0..rels.len()));
    let mut query = Query { rels, joins, filter, items, star: false, group: None };
    let star = maker.draw.once_in(6) && query.rels.len() == 2 && !query.joins[0].using && !windowed && !own;
    match case {
        Case::ThenWindow => then_window(maker, query),
        Case::ThenGroup => then_group(maker, query, file),
        _ => {
            if star {
                query.items = starred(maker, &query.rels);
                query.star = true;
            }
            maker.statement("out", false, query);
        }
    }
    RETURNS && !file && !matches!(case, Case::ThreeStreams | Case::ThenWindow | Case::ThenGroup)
}

fn edge(name: &str, start: bool) -> Item {
    Item { name: name.to_owned(), expr: Expr::Edge(start), key: false }
}

/// `*`: columns of the left bare, those of the right whose name the left has behind the alias.
fn starred(maker: &Maker<'_>, rels: &[Rel]) -> Vec<Item> {
    let mut items = Vec::new();
    for (at, rel) in rels.iter().enumerate() {
        for (c, column) in maker.columns_of(rel.object).iter().enumerate() {
            let name = if at == 0 { column.name.clone() } else { format!("{}_{}", rel.alias, column.name) };
            items.push(Item { name, expr: Expr::Column(at, c), key: false });
        }
    }
    items
}

fn joins(maker: &mut Maker<'_>, case: Case, rels: &[Rel]) -> Vec<Join> {
    let any = [Keeps::Inner, Keeps::Left, Keeps::Right, Keeps::Full];
    let keeps = match case {
        Case::IntervalInner => Keeps::Inner,
        Case::IntervalLeft => Keeps::Left,
        Case::IntervalRight => Keeps::Right,
        Case::IntervalFull => Keeps::Full,
        Case::AsOf => *maker.draw.pick(&[Keeps::Inner, Keeps::Left]),
        _ => *maker.draw.pick(&any),
    };
    let retention = if maker.draw.once_in(4) { maker.unit } else { 0 };
    let unit = maker.unit;
    let mode = match case {
        Case::WindowTumbling | Case::WindowHopping | Case::WindowSession => {
            let at_close = maker.draw.once_in(2);
            let size = unit * (1 + maker.draw.below(3) as i64);
            let shape = match case {
                Case::WindowTumbling => Shape::Tumbling(size),
                Case::WindowHopping => Shape::Hopping(size, *maker.draw.pick(&[size / 2, size, 500])),
                _ => Shape::Session(size / 2),
            };
            Mode::Window { shape, at_close }
        }
        Case::AsOf => {
            let form = *maker.draw.pick(&[Form::Within(false), Form::Default]);
            let before = if form == Form::Default { 3_600_000 } else { unit * (1 + maker.draw.below(3) as i64) };
            let bound = Bound { before, after: 0, form };
            Mode::AsOf { bound, strict: maker.draw.once_in(3) }
        }
        _ => Mode::Interval { bound: bound(maker, keeps, rels.len() > 2), retention },
    };
    let mut found = vec![join(maker, rels, keeps, mode)];
    if rels.len() > 2 {
        let second = *maker.draw.pick(&any);
        let mut bound = bound(maker, second, true);
        if !matches!(bound.form, Form::Within(_) | Form::Sides(_)) {
            bound = Bound { before: unit, after: unit, form: Form::Within(false) };
        }
        let mode = Mode::Interval { bound, retention };
        found.push(join(maker, rels, second, mode));
        found[1].using = false;
        found[0].using = false;
        // The other relations' columns belong to the second join.
        let left = *maker.draw.pick(&[0, 1]);
        let column = *maker.draw.pick(&[K, G]);
        found[1].keys = vec![(Expr::Column(left, column), Expr::Column(2, column))];
    }
    found
}

fn join(maker: &mut Maker<'_>, rels: &[Rel], keeps: Keeps, mode: Mode) -> Join {
    let keys: Vec<usize> = match maker.draw.below(6) {
        0 => vec![G],
        1 => vec![K, G],
        _ => vec![K],
    };
    let plain = matches!(mode, Mode::Interval { bound, .. } if matches!(bound.form, Form::Within(_) | Form::Sides(_)));
    let using = plain && keys == [K] && maker.draw.once_in(5) && rels.len() == 2;
    let keys: Vec<(Expr, Expr)> = keys.into_iter().map(|c| (Expr::Column(0, c), Expr::Column(1, c))).collect();
    // ASOF takes equalities and the order of the times alone.
    let plain = using || matches!(mode, Mode::AsOf { .. });
    let residual = (!plain && maker.draw.once_in(3)).then(|| maker.between(&rels[..2]));
    Join { keeps, mode, keys, using, residual }
}

/// A bound in any form that the kind of join allows.
fn bound(maker: &mut Maker<'_>, keeps: Keeps, chained: bool) -> Bound {
    let unit = maker.unit;
    let mut forms = vec![
        Form::Within(false),
        Form::Within(true),
        Form::Sides(false),
        Form::Sides(true),
        Form::EventTime,
        Form::Pair,
        Form::Turned,
    ];
    if !chained {
        forms.extend([Form::Properties, Form::Default]);
        if keeps == Keeps::Inner {
            forms.extend([Form::Where, Form::Where]);
        }
    }
    let form = *maker.draw.pick(&forms);
    let sizes = [0, unit / 2, unit, 2 * unit, unit / 2 + 1];
    let (mut before, mut after) = (*maker.draw.pick(&sizes), *maker.draw.pick(&sizes));
    match form {
        Form::Within(_) => {
            before = before.max(unit / 2);
            after = before;
        }
        Form::Default => (before, after) = (3_600_000, 3_600_000),
        Form::EventTime | Form::Pair | Form::Turned | Form::Where if maker.draw.once_in(4) => {
            (before, after) = match maker.draw.once_in(2) {
                true => (-unit / 2, after.max(unit)),
                false => (before.max(unit), -unit / 2),
            };
        }
        _ => {}
    }
    Bound { before, after, form }
}

fn then_window(maker: &mut Maker<'_>, mut query: Query) {
    let size = maker.unit * (1 + maker.draw.below(4) as i64);
    let shape = match maker.draw.once_in(3) {
        true => Shape::Hopping(size, size / 2),
        false => Shape::Tumbling(size),
    };
    if maker.draw.once_in(2) {
        // In the same statement: the join, then the window.
        let (items, group) = maker.grouping(&query.rels, Some(shape));
        (query.items, query.group) = (items, Some(group));
        query.joins[0].using = false;
        maker.statement("out", false, query);
        return;
    }
    let over = vec![readable(maker, query)];
    let (items, mut group) = maker.grouping(&over, Some(shape));
    if maker.draw.once_in(4) {
        group.lateness = maker.unit;
    }
    let query = Query { rels: over, joins: Vec::new(), filter: None, items, star: false, group: Some(group) };
    maker.statement("out", false, query);
}

/// A stream `j` of the joined rows that has text and numbers.
fn readable(maker: &mut Maker<'_>, mut query: Query) -> Rel {
    let of = |maker: &mut Maker<'_>, kind| maker.column(&query.rels, 0..query.rels.len(), kind);
    let exprs = vec![of(maker, Kind::Text), of(maker, Kind::Int), of(maker, Kind::Int), of(maker, Kind::Dec)];
    query.items = named(exprs);
    for (item, name) in query.items.iter_mut().zip(["k", "g", "v", "d"]) {
        item.name = name.to_owned();
    }
    query.joins.iter_mut().for_each(|join| join.using = false);
    rel(maker.statement("j", false, query), "j")
}

fn then_group(maker: &mut Maker<'_>, mut query: Query, file: bool) {
    let table = !file || maker.draw.once_in(2);
    if maker.draw.once_in(2) {
        let (items, mut group) = maker.grouping(&query.rels, None);
        group.at_end = !table;
        (query.items, query.group) = (items, Some(group));
        query.joins[0].using = false;
        maker.statement("out", table, query);
        return;
    }
    let over = vec![readable(maker, query)];
    let (items, mut group) = maker.grouping(&over, None);
    group.at_end = !table;
    let filter = maker.draw.once_in(3).then(|| Expr::compare(Op::Greater, Expr::Column(0, 2), Expr::int(0)));
    let query = Query { rels: over, joins: Vec::new(), filter, items, star: false, group: Some(group) };
    maker.statement("out", table, query);
}
