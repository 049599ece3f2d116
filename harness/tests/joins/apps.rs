//! Random apps, by kind: which sources, which of them are fed in which steps, and the parts that statements are made of.

use super::draw::Draw;
use super::model::{
    Aggregate, App, Expr, Group, Item, Op, Query, Rel, Shape, Source, Statement, SubForm, SubValue, Watermark,
};
use super::value::{Column, Kind, Value};
use super::{lookups, streams, subqueries, tables};

/// What a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    IntervalInner,
    IntervalLeft,
    IntervalRight,
    IntervalFull,
    ThreeStreams,
    WindowTumbling,
    WindowHopping,
    WindowSession,
    AsOf,
    LookupInner,
    LookupLeft,
    LookupEnd,
    LookupSeveral,
    Versions,
    TablesByKey,
    TablesOuter,
    TablesForeign,
    TablesThree,
    SubExists,
    SubScalar,
    SubCompare,
    ThenWindow,
    ThenGroup,
}

/// What is drawn. A kind that the engine does not run yet is switched off here and nowhere else.
pub const CASES: [(Case, bool); 23] = [
    (Case::IntervalInner, true),
    (Case::LookupInner, true),
    (Case::TablesByKey, true),
    (Case::SubExists, true),
    (Case::IntervalLeft, true),
    (Case::LookupLeft, true),
    (Case::TablesOuter, true),
    (Case::SubScalar, true),
    (Case::IntervalRight, true),
    (Case::LookupSeveral, true),
    (Case::TablesForeign, true),
    (Case::SubCompare, true),
    (Case::IntervalFull, true),
    (Case::LookupEnd, true),
    (Case::TablesThree, true),
    (Case::ThreeStreams, true),
    (Case::WindowTumbling, true),
    (Case::WindowHopping, true),
    (Case::WindowSession, true),
    (Case::AsOf, true),
    (Case::Versions, true),
    (Case::ThenWindow, true),
    (Case::ThenGroup, true),
];

/// Partitions that were idle come back: their rows are judged by the operator's watermark.
pub const RETURNS: bool = true;
/// Declared tables of live sources with several key columns.
pub const COMPOUND_LIVE_KEYS: bool = true;

/// Columns of every declared source.
pub const ID: usize = 0;
pub const K: usize = 1;
pub const G: usize = 2;
pub const V: usize = 3;
pub const D: usize = 4;
pub const TS: usize = 5;

/// An app, and what its feed has to fit.
pub struct Drawn {
    pub app: App,
    pub case: Case,
    /// Typical distance of times, ms.
    pub unit: i64,
    /// Steps in which each source is fed.
    pub fed: Vec<Vec<usize>>,
    /// Partitions may be idle and come back.
    pub joins: bool,
}

/// Draws the parts of an app.
pub struct Maker<'d> {
    pub draw: &'d mut Draw,
    pub unit: i64,
    pub sources: Vec<Source>,
    pub fed: Vec<Vec<usize>>,
    pub statements: Vec<Statement>,
}

/// The app of a case.
pub fn app(draw: &mut Draw, seed: u64) -> Drawn {
    let on: Vec<Case> = CASES.iter().filter(|(_, on)| *on).map(|(case, _)| *case).collect();
    let case = on[(seed % on.len() as u64) as usize];
    let unit = *draw.pick(&[1_000, 2_000, 10_000]);
    let mut maker = Maker { draw, unit, sources: Vec::new(), fed: Vec::new(), statements: Vec::new() };
    let joins = match case {
        Case::IntervalInner
        | Case::IntervalLeft
        | Case::IntervalRight
        | Case::IntervalFull
        | Case::ThreeStreams
        | Case::WindowTumbling
        | Case::WindowHopping
        | Case::WindowSession
        | Case::AsOf
        | Case::ThenWindow => streams::app(&mut maker, case),
        Case::LookupInner | Case::LookupLeft | Case::LookupEnd | Case::LookupSeveral | Case::Versions => {
            lookups::app(&mut maker, case)
        }
        Case::TablesByKey | Case::TablesOuter | Case::TablesForeign | Case::TablesThree => {
            tables::app(&mut maker, case)
        }
        Case::SubExists | Case::SubScalar | Case::SubCompare => subqueries::app(&mut maker, case),
        Case::ThenGroup => match maker.draw.below(3) {
            0 => lookups::app(&mut maker, case),
            _ => streams::app(&mut maker, case),
        },
    };
    let Maker { sources, fed, statements, .. } = maker;
    Drawn { app: App { sources, statements }, case, unit, fed, joins }
}

impl Maker<'_> {
    /// A declared stream; `steps`: those it is fed in.
    pub fn stream(&mut self, name: &str, file: bool, steps: &[usize]) -> usize {
        let bound = *self.draw.pick(&[self.unit / 4, self.unit, 2 * self.unit, 500]);
        let watermark = match self.draw.below(5) {
            0 => Watermark::Unsaid,
            1 => Watermark::Ascending,
            _ => Watermark::Bounded(bound),
        };
        let partitions = if self.draw.once_in(2) { 1 } else { 2 + self.draw.below(2) as usize };
        let columns = self.columns();
        self.source(
            Source { name: name.to_owned(), key: None, file, partitions, watermark, retention: None, columns },
            steps,
        )
    }

    /// A declared table.
    pub fn table(&mut self, name: &str, key: &[usize], steps: &[usize]) -> usize {
        let partitions = 1 + self.draw.below(3) as usize;
        let (key, watermark) = (Some(key.to_vec()), Watermark::Ascending);
        let columns = self.columns();
        let file = false;
        self.source(Source { name: name.to_owned(), key, file, partitions, watermark, retention: None, columns }, steps)
    }

    pub fn source(&mut self, source: Source, steps: &[usize]) -> usize {
        self.sources.push(source);
        self.fed.push(steps.to_vec());
        self.sources.len() - 1
    }

    /// Equal names, and keys of another numeric type now and then.
    fn columns(&mut self) -> Vec<Column> {
        let g = if self.draw.once_in(4) { Kind::Dec } else { Kind::Int };
        vec![
            Column::new("id", Kind::Int),
            Column::new("k", Kind::Text),
            Column::new("g", g),
            Column::new("v", Kind::Int),
            Column::new("d", Kind::Dec),
            Column::new("ts", Kind::Int),
        ]
    }

    pub fn columns_of(&self, object: usize) -> &[Column] {
        match self.sources.get(object) {
            Some(source) => &source.columns,
            None => &self.statements[object - self.sources.len()].columns,
        }
    }

    /// Adds a statement; answers its object.
    pub fn statement(&mut self, name: &str, table: bool, query: Query) -> usize {
        let mut columns: Vec<Column> =
            query.items.iter().map(|item| Column::new(&item.name, self.kind(&item.expr, &query.rels))).collect();
        if let Some(group) = &query.group {
            for (aggregate, name) in &group.aggregates {
                let kind = match aggregate {
                    Aggregate::Rows | Aggregate::Count(_) => Kind::Int,
                    Aggregate::Sum(e) | Aggregate::Min(e) | Aggregate::Max(e) => self.kind(e, &query.rels),
                };
                columns.push(Column::new(name, kind));
            }
            if group.window.is_some() {
                columns.extend([Column::new("ws", Kind::Int), Column::new("we", Kind::Int)]);
            }
        }
        self.statements.push(Statement { name: name.to_owned(), table, query, debezium: false, columns });
        self.sources.len() + self.statements.len() - 1
    }

    /// Type of an expression over these relations.
    pub fn kind(&self, expr: &Expr, rels: &[Rel]) -> Kind {
        let column = |object: usize, column: usize| self.columns_of(object).get(column).map_or(Kind::Int, |c| c.kind);
        match expr {
            Expr::Column(rel, at) | Expr::Outer(rel, at) => column(rels[*rel].object, *at),
            Expr::Time | Expr::Edge(_) => Kind::Int,
            Expr::Coalesce(list) => list.first().map_or(Kind::Int, |e| self.kind(e, rels)),
            Expr::Literal(Value::Text(_)) => Kind::Text,
            Expr::Literal(Value::Dec(_)) => Kind::Dec,
            Expr::Literal(_) => Kind::Int,
            Expr::Plus(a, b) => match (self.kind(a, rels), self.kind(b, rels)) {
                (Kind::Int, Kind::Int) => Kind::Int,
                _ => Kind::Dec,
            },
            Expr::Case(_, then, _) => self.kind(then, rels),
            Expr::Sub(sub) => match (&sub.form, &sub.value) {
                (SubForm::Scalar, SubValue::Of(Aggregate::Rows | Aggregate::Count(_)) | SubValue::One) => Kind::Int,
                (SubForm::Scalar, SubValue::Of(aggregate)) => match aggregate.argument() {
                    Some(Expr::Column(_, at)) => column(sub.object, *at),
                    _ => Kind::Int,
                },
                (SubForm::Scalar, SubValue::Column(at) | SubValue::First(at, ..) | SubValue::Distinct(at)) => {
                    column(sub.object, *at)
                }
                _ => Kind::Bool,
            },
            Expr::Compare(..) | Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::IsNull(_) => Kind::Bool,
        }
    }

    /// A column of a kind of one of these relations.
    pub fn column(&mut self, rels: &[Rel], of: std::ops::Range<usize>, kind: Kind) -> Expr {
        let mut found = Vec::new();
        for rel in of {
            let columns = self.columns_of(rels[rel].object);
            let fits = |c: &Column| c.kind == kind && !matches!(c.name.as_str(), "ts" | "id");
            found.extend((0..columns.len()).filter(|c| fits(&columns[*c])).map(|c| Expr::Column(rel, c)));
        }
        match (found.is_empty(), kind) {
            (true, Kind::Text) => Expr::Literal(Value::Text("none".to_owned())),
            (true, Kind::Dec) => Expr::Literal(Value::Dec(25 * self.draw.below(9) as i64)),
            (true, _) => Expr::int(self.draw.below(9) as i64),
            (false, _) => self.draw.pick(&found).clone(),
        }
    }

    fn op(&mut self) -> Op {
        *self.draw.pick(&[Op::Less, Op::LessOrEqual, Op::Greater, Op::GreaterOrEqual, Op::NotEqual])
    }

    fn constant(&mut self) -> Expr {
        Expr::int(self.draw.below(16) as i64 - 3)
    }

    /// A condition over some relations, TRUE more often than not.
    pub fn condition(&mut self, rels: &[Rel], of: std::ops::Range<usize>) -> Expr {
        let kind = *self.draw.pick(&[Kind::Int, Kind::Int, Kind::Dec]);
        let column = self.column(rels, of.clone(), kind);
        let op = self.op();
        match self.draw.below(7) {
            0 => Expr::Not(Box::new(Expr::IsNull(Box::new(self.column(rels, of, Kind::Text))))),
            1 => Expr::Or(vec![Expr::compare(op, column.clone(), self.constant()), Expr::IsNull(Box::new(column))]),
            2 => {
                let other = self.column(rels, of, Kind::Int);
                Expr::compare(op, column, other.plus(3))
            }
            3 => {
                let low = Expr::compare(Op::Greater, column, Expr::int(-3));
                let text = self.column(rels, of, Kind::Text);
                let other = Expr::compare(Op::NotEqual, text, Expr::Literal(Value::Text("c".to_owned())));
                Expr::And(vec![low, other])
            }
            4 => Expr::Not(Box::new(Expr::compare(op, column, self.constant()))),
            _ => Expr::compare(op, column, self.constant()),
        }
    }

    /// A condition between the last of these relations and those before it.
    pub fn between(&mut self, rels: &[Rel]) -> Expr {
        let last = rels.len() - 1;
        let kind = *self.draw.pick(&[Kind::Int, Kind::Dec]);
        let left = self.column(rels, 0..last, kind);
        let right = self.column(rels, last..last + 1, kind);
        let op = self.op();
        Expr::compare(op, left, right.plus(2))
    }

    /// The first column of each relation, and some expressions.
    pub fn items(&mut self, rels: &[Rel]) -> Vec<Item> {
        let all = 0..rels.len();
        let mut exprs: Vec<Expr> = all.clone().map(|rel| Expr::Column(rel, 0)).collect();
        for _ in 0..1 + self.draw.below(4) {
            let kind = *self.draw.pick(&[Kind::Int, Kind::Dec, Kind::Text, Kind::Int]);
            let column = self.column(rels, all.clone(), kind);
            exprs.push(match self.draw.below(8) {
                0 if kind == Kind::Int => {
                    let other = self.column(rels, all.clone(), Kind::Int);
                    Expr::Plus(Box::new(column), Box::new(other))
                }
                1 => {
                    let condition = self.condition(rels, all.clone());
                    let other = self.column(rels, all.clone(), self.kind(&column, rels));
                    Expr::Case(Box::new(condition), Box::new(column), Box::new(other))
                }
                2 => Expr::IsNull(Box::new(column)),
                3 => self.condition(rels, all.clone()),
                _ => column,
            });
        }
        named(exprs)
    }

    /// GROUP BY of a relation's rows.
    pub fn grouping(&mut self, rels: &[Rel], window: Option<Shape>) -> (Vec<Item>, Group) {
        let all = 0..rels.len();
        let mut keys = match self.draw.below(6) {
            0 => vec![],
            1 => vec![self.column(rels, all.clone(), Kind::Text), self.column(rels, all.clone(), Kind::Int)],
            _ => vec![self.column(rels, all.clone(), Kind::Text)],
        };
        keys.retain(|key| matches!(key, Expr::Column(..)));
        let mut items = named(keys);
        items.iter_mut().enumerate().for_each(|(at, item)| item.name = format!("k{at}"));
        // An input column wins over an alias in HAVING.
        let mut aggregates = vec![(Aggregate::Rows, "rows_n".to_owned())];
        for at in 0..1 + self.draw.below(3) {
            let kind = *self.draw.pick(&[Kind::Int, Kind::Dec]);
            let column = self.column(rels, all.clone(), kind);
            let aggregate = match self.draw.below(4) {
                0 => Aggregate::Count(column),
                1 => Aggregate::Sum(column),
                2 => Aggregate::Min(column),
                _ => Aggregate::Max(column),
            };
            aggregates.push((aggregate, format!("z{at}")));
        }
        let having = self.draw.once_in(4).then(|| {
            let least = Expr::int(1 + self.draw.below(2) as i64);
            Expr::compare(Op::Greater, Expr::Column(0, items.len()), least)
        });
        (items, Group { aggregates, window, lateness: 0, having, at_end: false })
    }
}

/// A relation under its alias.
pub fn rel(object: usize, alias: &str) -> Rel {
    Rel { object, alias: alias.to_owned() }
}

/// Expressions as items x0, x1, …
pub fn named(exprs: Vec<Expr>) -> Vec<Item> {
    let item = |(at, expr)| Item { name: format!("x{at}"), expr, key: false };
    exprs.into_iter().enumerate().map(item).collect()
}
