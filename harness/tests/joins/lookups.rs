//! Apps of streams that look up tables: as they are, as they were, several of them, and those that keep the table's rows.
//!
//! Tables and streams are fed in turn, each step worked on before the next: what a row finds is then what was said before.

use super::apps::{COMPOUND_LIVE_KEYS, Case, G, ID, K, Maker, V, named, rel};
use super::model::{Aggregate, Expr, Group, Item, Join, Keeps, Mode, Query, Rel};
use super::value::Kind;

/// A table whose statement, if it has one, is still to be written.
pub struct Draft {
    name: String,
    source: usize,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Declared,
    Grouped(bool),
    Latest,
    Append,
}

/// Declares the source of a table of any kind; `file` ends.
pub fn draft(maker: &mut Maker<'_>, name: &str, file: bool, steps: &[usize]) -> Draft {
    let how = *maker.draw.pick(&[
        How::Declared,
        How::Declared,
        How::Declared,
        How::Grouped(false),
        How::Grouped(true),
        How::Latest,
        How::Append,
    ]);
    let source = match how {
        How::Declared => {
            let keys: [&[usize]; 3] = [&[K], &[ID], &[K, G]];
            let key = *maker.draw.pick(if COMPOUND_LIVE_KEYS || file { &keys } else { &keys[..2] });
            maker.table(name, key, steps)
        }
        _ => maker.stream(&format!("{name}s"), file, steps),
    };
    maker.sources[source].file = file;
    Draft { name: name.to_owned(), source, how }
}

/// The table; all sources are declared.
pub fn finished(maker: &mut Maker<'_>, draft: Draft) -> usize {
    let rels = vec![rel(draft.source, &maker.sources[draft.source].name.clone())];
    let column = |at: usize, name: &str, key: bool| Item { name: name.to_owned(), expr: Expr::Column(0, at), key };
    let (items, group) = match draft.how {
        How::Declared => return draft.source,
        How::Grouped(both) => {
            let mut items = vec![column(K, "k", false)];
            items.extend(both.then(|| column(G, "g", false)));
            let (v, d) = (Expr::Column(0, V), Expr::Column(0, super::apps::D));
            let aggregates = vec![
                (Aggregate::Rows, "n".to_owned()),
                (Aggregate::Sum(v), "v".to_owned()),
                (Aggregate::Max(d), "d".to_owned()),
            ];
            let having = maker.draw.once_in(4).then(|| {
                let least = Expr::int(1);
                Expr::compare(super::model::Op::Greater, Expr::Column(0, items.len()), least)
            });
            (items, Some(Group { aggregates, window: None, lateness: 0, having, at_end: false }))
        }
        How::Latest => (
            vec![
                column(K, "k", true),
                column(G, "g", false),
                column(V, "v", false),
                column(super::apps::D, "d", false),
            ],
            None,
        ),
        How::Append => {
            (vec![column(ID, "id", false), column(K, "k", false), column(G, "g", false), column(V, "v", false)], None)
        }
    };
    let present = Expr::Not(Box::new(Expr::IsNull(Box::new(Expr::Column(0, K)))));
    let filter = (draft.how == How::Latest).then_some(present);
    let query = Query { rels, joins: Vec::new(), filter, items, star: false, group };
    maker.statement(&draft.name, true, query)
}

/// Position of a column of an object by its name.
pub fn position(maker: &Maker<'_>, object: usize, name: &str) -> Option<usize> {
    maker.columns_of(object).iter().position(|c| c.name == name)
}

/// Steps of tables and of streams, in turn.
pub fn turns(maker: &mut Maker<'_>, rounds: usize) -> (Vec<usize>, Vec<usize>) {
    let rounds = 1 + maker.draw.below(rounds as u64) as usize;
    ((0..rounds).map(|r| 2 * r).collect(), (0..rounds).map(|r| 2 * r + 1).collect())
}

/// TRUE where tables are of files, whose end every row that asks them waits for: then both are fed in any steps.
pub fn waits(maker: &mut Maker<'_>, of_tables: &mut Vec<usize>, of_streams: &mut Vec<usize>) -> bool {
    let waits = maker.draw.once_in(4);
    if waits {
        *of_tables = (0..1 + maker.draw.below(3) as usize).collect();
        *of_streams = (0..1 + maker.draw.below(3) as usize).collect();
    }
    waits
}

/// Draws one; no partition of its feeds comes back.
pub fn app(maker: &mut Maker<'_>, case: Case) -> bool {
    let (mut of_tables, mut of_streams) = turns(maker, 3);
    let waits = !matches!(case, Case::Versions | Case::ThenGroup) && waits(maker, &mut of_tables, &mut of_streams);
    let ends = case == Case::LookupEnd;
    if ends && !waits {
        (of_tables, of_streams) = (vec![0], vec![1, 2]);
    }
    let at_end = ends || waits;
    let stream = maker.stream("s", ends, &of_streams);
    if case == Case::Versions {
        versions(maker, stream);
        return false;
    }
    let first = draft(maker, "t", at_end, &of_tables);
    let second = (case == Case::LookupSeveral).then(|| draft(maker, "u", at_end, &of_tables));
    let first = finished(maker, first);
    let second = second.map(|draft| finished(maker, draft));
    let left = maker.draw.once_in(4) && second.is_none();
    let mut rels = if left { vec![rel(first, "t"), rel(stream, "s")] } else { vec![rel(stream, "s"), rel(first, "t")] };
    rels.extend(second.map(|object| rel(object, "u")));
    let table = usize::from(!left);
    let keeps = match case {
        Case::LookupInner => Keeps::Inner,
        Case::LookupLeft if left => Keeps::Right,
        Case::LookupLeft => Keeps::Left,
        Case::LookupEnd if left => *maker.draw.pick(&[Keeps::Left, Keeps::Full]),
        Case::LookupEnd => *maker.draw.pick(&[Keeps::Right, Keeps::Full]),
        _ if left => *maker.draw.pick(&[Keeps::Inner, Keeps::Right]),
        _ => *maker.draw.pick(&[Keeps::Inner, Keeps::Left]),
    };
    let mut joins = vec![lookup(maker, &rels[..2], table, keeps)];
    if rels.len() > 2 {
        let keeps = *maker.draw.pick(&[Keeps::Inner, Keeps::Left]);
        joins.push(lookup(maker, &rels, 1, keeps));
    }
    let items = maker.items(&rels);
    let filter = maker.draw.once_in(4).then(|| maker.condition(&rels, 0..rels.len()));
    let mut query = Query { rels, joins, filter, items, star: false, group: None };
    if case == Case::ThenGroup {
        let (items, group) = maker.grouping(&query.rels, None);
        (query.items, query.group) = (items, Some(group));
    } else if maker.draw.once_in(3) && !ends {
        query.items.push(Item { name: "at".to_owned(), expr: Expr::Time, key: false });
    }
    maker.statement("out", case == Case::ThenGroup, query);
    false
}

/// A lookup of the last relation by columns of the first, or, where the table stands at the left, the other way round.
fn lookup(maker: &mut Maker<'_>, rels: &[Rel], table: usize, keeps: Keeps) -> Join {
    let last = rels.len() - 1;
    let (of_table, of_stream) = if table == 1 { (last, 0) } else { (0, 1) };
    let mut keys = Vec::new();
    let all: [&[&str]; 4] = [&["k"], &["k"], &["k", "g"], &["g"]];
    let names = *maker.draw.pick(&all);
    for name in names {
        let (object, stream) = (rels[of_table].object, rels[of_stream].object);
        let (Some(a), Some(b)) = (position(maker, object, name), position(maker, stream, name)) else { continue };
        let (table_column, stream_column) = (Expr::Column(of_table, a), Expr::Column(of_stream, b));
        keys.push(if table == 1 { (stream_column, table_column) } else { (table_column, stream_column) });
    }
    if keys.is_empty() {
        // Every table has k.
        let a = position(maker, rels[of_table].object, "k").unwrap_or_default();
        let (table_column, stream_column) = (Expr::Column(of_table, a), Expr::Column(of_stream, K));
        keys.push(if table == 1 { (stream_column, table_column) } else { (table_column, stream_column) });
    }
    let residual = maker.draw.once_in(3).then(|| maker.between(rels));
    Join { keeps, mode: Mode::Lookup { table, version: false }, keys, using: false, residual }
}

/// `FOR SYSTEM_TIME AS OF`: when table and stream are fed does not matter.
fn versions(maker: &mut Maker<'_>, stream: usize) {
    let steps: Vec<usize> = (0..1 + maker.draw.below(3) as usize).collect();
    let all: [&[usize]; 2] = [&[K], &[K, G]];
    let key = *maker.draw.pick(&all);
    let table = maker.table("t", key, &steps);
    maker.sources[table].partitions = 1;
    maker.sources[table].retention = Some(86_400_000);
    maker.fed[stream] = steps;
    let rels = vec![rel(stream, "s"), rel(table, "t")];
    let keys = key.iter().map(|c| (Expr::Column(0, *c), Expr::Column(1, *c))).collect();
    let keeps = *maker.draw.pick(&[Keeps::Inner, Keeps::Left]);
    let residual = maker.draw.once_in(4).then(|| maker.between(&rels));
    let joins = vec![Join { keeps, mode: Mode::Lookup { table: 1, version: true }, keys, using: false, residual }];
    let items = named(vec![
        Expr::Column(0, ID),
        Expr::Column(1, ID),
        maker.column(&rels, 1..2, Kind::Int),
        maker.column(&rels, 1..2, Kind::Dec),
    ]);
    let query = Query { rels, joins, filter: None, items, star: false, group: None };
    maker.statement("out", false, query);
}
