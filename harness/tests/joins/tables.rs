//! Apps of joins of tables, which change whenever one of them does: by key, by foreign key, of many with many, three in a
//! row, of a table with itself, and groups of joined tables.

use super::apps::{COMPOUND_LIVE_KEYS, Case, G, ID, K, Maker, rel};
use super::lookups::position;
use super::model::{Expr, Item, Join, Keeps, Mode, Query, Rel};

/// Draws one; no partition of its feeds comes back.
pub fn app(maker: &mut Maker<'_>, case: Case) -> bool {
    let steps: Vec<usize> = (0..1 + maker.draw.below(4) as usize).collect();
    let (keys, on): (Vec<&[usize]>, Vec<usize>) = match case {
        Case::TablesForeign if maker.draw.once_in(2) => (vec![&[ID], &[ID]], vec![G]),
        Case::TablesForeign => (vec![&[ID], &[K]], vec![K]),
        Case::TablesThree => (vec![&[K], &[K], &[K]], vec![K]),
        _ if maker.draw.once_in(3) && COMPOUND_LIVE_KEYS => (vec![&[K, G], &[K, G]], vec![K, G]),
        _ => (vec![&[K], &[K]], vec![K]),
    };
    let own = case == Case::TablesForeign && keys[1] == [ID] && maker.draw.once_in(4);
    let names = ["a", "b", "c"];
    let mut rels = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        let object =
            if own && at > 0 { rels_first(&rels) } else { maker.table(&format!("{}t", names[at]), key, &steps) };
        rels.push(rel(object, names[at]));
    }
    if case == Case::TablesOuter {
        // Either side's number is the key.
        maker.sources.iter_mut().for_each(|source| source.columns[G].kind = super::value::Kind::Int);
    }
    let grouped = changing_aggregate(maker, case, &mut rels, &steps);
    let mut joins = Vec::new();
    for at in 1..rels.len() {
        let keeps = match case {
            Case::TablesByKey => *maker.draw.pick(&[Keeps::Inner, Keeps::Left]),
            Case::TablesOuter => *maker.draw.pick(&[Keeps::Right, Keeps::Full]),
            _ => *maker.draw.pick(&[Keeps::Inner, Keeps::Left, Keeps::Right, Keeps::Full]),
        };
        let left = if at > 1 { maker.draw.below(at as u64) as usize } else { 0 };
        let column = |maker: &Maker<'_>, rel: usize, c: usize| {
            let name = maker.sources[0].columns[c].name.clone();
            Expr::Column(rel, position(maker, rels[rel].object, &name).unwrap_or_default())
        };
        let keys = on.iter().map(|c| (column(maker, left, *c), column(maker, at, *c))).collect();
        let residual = maker.draw.once_in(4).then(|| maker.between(&rels[..=at]));
        joins.push(Join { keeps, mode: Mode::Tables, keys, using: false, residual });
    }
    let mut items = key_items(maker, case, &rels, &keys, &joins, grouped);
    let rest = maker.items(&rels);
    items.extend(rest.into_iter().skip(rels.len()));
    let filter = maker.draw.once_in(4).then(|| maker.condition(&rels, 0..rels.len()));
    let query = Query { rels, joins, filter, items, star: false, group: None };
    if maker.draw.once_in(5) {
        return then_group(maker, query);
    }
    let out = maker.statement("out", true, query);
    let statement = &mut maker.statements[out - maker.sources.len()];
    statement.debezium = maker.draw.once_in(2);
    if statement.debezium && case == Case::TablesByKey && maker.draw.once_in(2) {
        // The key follows from the join.
        statement.query.items.iter_mut().for_each(|item| item.key = false);
    }
    false
}

fn rels_first(rels: &[Rel]) -> usize {
    rels.first().map_or(0, |rel| rel.object)
}

/// Puts a table of groups in the place of the last one now and then.
fn changing_aggregate(maker: &mut Maker<'_>, case: Case, rels: &mut [Rel], steps: &[usize]) -> bool {
    if !matches!(case, Case::TablesByKey | Case::TablesOuter) || !maker.draw.once_in(3) {
        return false;
    }
    let Some(last) = rels.last_mut() else { return false };
    let key = maker.sources[last.object].key.clone().unwrap_or_default();
    let source = maker.stream("gs", false, steps);
    let items: Vec<Item> = key
        .iter()
        .map(|c| Item { name: maker.sources[source].columns[*c].name.clone(), expr: Expr::Column(0, *c), key: false })
        .collect();
    let aggregates = vec![
        (super::model::Aggregate::Rows, "n".to_owned()),
        (super::model::Aggregate::Sum(Expr::Column(0, super::apps::V)), "v".to_owned()),
    ];
    let group = super::model::Group { aggregates, window: None, lateness: 0, having: None, at_end: false };
    let rels_of = vec![rel(source, "gs")];
    let query = Query { rels: rels_of, joins: Vec::new(), filter: None, items, star: false, group: Some(group) };
    last.object = maker.statement("bg", true, query);
    true
}

/// The columns that identify a row: where sides may be missing those of all relations, some of them NULL.
fn key_items(
    maker: &mut Maker<'_>,
    case: Case,
    rels: &[Rel],
    keys: &[&[usize]],
    joins: &[Join],
    grouped: bool,
) -> Vec<Item> {
    let item = |name: String, expr: Expr| Item { name, expr, key: true };
    let of = |rel: usize, at: usize| {
        let name = maker.sources[0].columns[keys[rel][at]].name.clone();
        Expr::Column(rel, position(maker, rels[rel].object, &name).unwrap_or_default())
    };
    let keeps = joins[0].keeps;
    let by_key = matches!(case, Case::TablesByKey | Case::TablesOuter);
    // A group's key may be NULL, and such rows have no partner.
    // Two rows without a partner may have one key where more than the keys has to hold.
    let is_split = keeps == Keeps::Full && (grouped || joins[0].residual.is_some());
    if by_key && !is_split {
        let parts = 0..keys[0].len();
        return parts
            .map(|at| {
                let (left, right) = (of(0, at), of(1, at));
                let expr = match keeps {
                    Keeps::Inner | Keeps::Left => left,
                    Keeps::Right => right,
                    Keeps::Full => Expr::Coalesce(vec![left, right]),
                };
                item(format!("key{at}"), expr)
            })
            .collect();
    }
    let all = (0..rels.len()).flat_map(|rel| (0..keys[rel].len()).map(move |at| (rel, at)));
    all.map(|(rel, at)| item(format!("key{rel}{at}"), of(rel, at))).collect()
}

fn then_group(maker: &mut Maker<'_>, query: Query) -> bool {
    let joined = maker.statement("j", true, query);
    let over = vec![rel(joined, "j")];
    let (mut items, mut group) = maker.grouping(&over, None);
    if items.is_empty() {
        // The one group of an emptied table stays, which a model of states does not see.
        items = super::apps::named(vec![Expr::Column(0, 0)]);
        group.having = None;
    }
    let query = Query { rels: over, joins: Vec::new(), filter: None, items, star: false, group: Some(group) };
    let out = maker.statement("out", true, query);
    let at = out - maker.sources.len();
    maker.statements[at].debezium = maker.draw.once_in(2);
    false
}
