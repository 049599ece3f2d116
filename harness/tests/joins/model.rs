//! Apps as the simulator knows them: sources, and statements over them and over each other. `text` writes them as SQL,
//! `simulate` runs them, `batch` has SQLite compute them. Times are milliseconds.
//!
//! A relation's rows have one value more than it has columns: their event time.

use super::value::{Column, Value};

/// Declared sources and statements; objects are numbered through, sources first. The last statement is `out`.
#[derive(Clone, Debug)]
pub struct App {
    pub sources: Vec<Source>,
    pub statements: Vec<Statement>,
}

/// A declared source.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    /// Of a TABLE: its PRIMARY KEY.
    pub key: Option<Vec<usize>>,
    /// TRUE: files, which end; FALSE: memory, which is live until it does.
    pub file: bool,
    pub partitions: usize,
    pub watermark: Watermark,
    /// How long versions of it are kept.
    pub retention: Option<i64>,
    pub columns: Vec<Column>,
}

impl Source {
    pub fn is_table(&self) -> bool {
        self.key.is_some()
    }
}

/// How far a partition's watermark stays behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watermark {
    Unsaid,
    Ascending,
    Bounded(i64),
}

impl Watermark {
    pub fn bound(self) -> i64 {
        match self {
            Watermark::Unsaid | Watermark::Ascending => 0,
            Watermark::Bounded(ms) => ms,
        }
    }
}

/// CREATE STREAM or TABLE name AS query.
#[derive(Clone, Debug)]
pub struct Statement {
    pub name: String,
    pub table: bool,
    pub query: Query,
    /// Written for each change with the row before and the row after it.
    pub debezium: bool,
    pub columns: Vec<Column>,
}

/// A query: relations, joined left to right, filtered, then grouped or projected.
#[derive(Clone, Debug)]
pub struct Query {
    pub rels: Vec<Rel>,
    /// Number n joins relation n + 1 to those before it.
    pub joins: Vec<Join>,
    pub filter: Option<Expr>,
    /// Of a grouped query the keys.
    pub items: Vec<Item>,
    /// The items are written as `*`.
    pub star: bool,
    pub group: Option<Group>,
}

#[derive(Clone, Debug)]
pub struct Rel {
    pub object: usize,
    pub alias: String,
}

#[derive(Clone, Debug)]
pub struct Item {
    pub name: String,
    pub expr: Expr,
    /// PRIMARY KEY.
    pub key: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeps {
    Inner,
    Left,
    Right,
    Full,
}

impl Keeps {
    pub fn name(self) -> &'static str {
        match self {
            Keeps::Inner => "INNER",
            Keeps::Left => "LEFT",
            Keeps::Right => "RIGHT",
            Keeps::Full => "FULL",
        }
    }

    /// TRUE where rows of this side come out without a match; 0 is the left one.
    pub fn of(self, side: usize) -> bool {
        matches!((self, side), (Keeps::Full, _) | (Keeps::Left, 0) | (Keeps::Right, 1))
    }
}

#[derive(Clone, Debug)]
pub struct Join {
    pub keeps: Keeps,
    pub mode: Mode,
    /// Equalities, as (left, right).
    pub keys: Vec<(Expr, Expr)>,
    /// Written as USING.
    pub using: bool,
    pub residual: Option<Expr>,
}

#[derive(Clone, Debug)]
pub enum Mode {
    Interval {
        bound: Bound,
        retention: i64,
    },
    Window {
        shape: Shape,
        at_close: bool,
    },
    /// The latest right row whose time is at most (or, `strict`, below) that of the left one, within `bound.before`.
    AsOf {
        bound: Bound,
        strict: bool,
    },
    /// The side that is a table; TRUE: its version at the stream's event time.
    Lookup {
        table: usize,
        version: bool,
    },
    Tables,
}

/// `left − before ≤ right ≤ left + after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    pub before: i64,
    pub after: i64,
    pub form: Form,
}

/// How a bound is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// WITHIN d; TRUE: behind ON.
    Within(bool),
    /// WITHIN (d1, d2)
    Sides(bool),
    /// In ON, `_event_time BETWEEN`.
    EventTime,
    /// In ON, `ts` in two comparisons.
    Pair,
    /// In ON, the left time BETWEEN.
    Turned,
    /// In WHERE.
    Where,
    /// join.lower_bound, join.upper_bound.
    Properties,
    /// Nothing: an hour.
    Default,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Tumbling(i64),
    Hopping(i64, i64),
    Session(i64),
}

/// GROUP BY the items.
#[derive(Clone, Debug)]
pub struct Group {
    pub aggregates: Vec<(Aggregate, String)>,
    /// With a window, two columns for its bounds stand behind the aggregates.
    pub window: Option<Shape>,
    pub lateness: i64,
    /// Over the output columns, as relation 0.
    pub having: Option<Expr>,
    /// EMIT FINAL of a STREAM without a window.
    pub at_end: bool,
}

#[derive(Clone, Debug)]
pub enum Aggregate {
    Rows,
    Count(Expr),
    Sum(Expr),
    Min(Expr),
    Max(Expr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Op {
    pub fn sign(self) -> &'static str {
        match self {
            Op::Equal => "=",
            Op::NotEqual => "<>",
            Op::Less => "<",
            Op::LessOrEqual => "<=",
            Op::Greater => ">",
            Op::GreaterOrEqual => ">=",
        }
    }
}

/// An expression over the rows of a query's relations.
#[derive(Clone, Debug)]
pub enum Expr {
    /// Of a relation; the column behind the last one is its event time.
    Column(usize, usize),
    /// Inside a subquery: of a relation of the query around.
    Outer(usize, usize),
    /// Event time of the joined row.
    Time,
    /// Start (TRUE) or end of the window that both rows are in.
    Edge(bool),
    /// A column of USING: the first that is not NULL.
    Coalesce(Vec<Expr>),
    Literal(Value),
    Plus(Box<Expr>, Box<Expr>),
    Compare(Op, Box<Expr>, Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull(Box<Expr>),
    Case(Box<Expr>, Box<Expr>, Box<Expr>),
    Sub(Box<Subquery>),
}

#[derive(Clone, Debug)]
pub struct Subquery {
    pub form: SubForm,
    pub object: usize,
    /// Over inner rows as relation 0, and outer ones.
    pub filter: Option<Expr>,
    pub value: SubValue,
    /// Of a stream with a bound in time: how much older than the outer row, or than the watermark of that row's partition,
    /// a row may be. The condition says the first by itself.
    pub keep: Option<i64>,
}

#[derive(Clone, Debug)]
pub enum SubForm {
    /// TRUE: NOT.
    Exists(bool),
    In(Box<Expr>, bool),
    /// TRUE: ALL.
    Compare(Box<Expr>, Op, bool),
    Scalar,
}

#[derive(Clone, Debug)]
pub enum SubValue {
    /// `SELECT 1`
    One,
    Column(usize),
    Of(Aggregate),
    /// The column of the first row by another column (TRUE: DESC), with LIMIT 1.
    First(usize, usize, bool),
    Distinct(usize),
}

/// One record of a feed.
#[derive(Clone, Debug)]
pub struct Record {
    /// Which of the steps, each worked on before the next is fed, it comes in.
    pub step: usize,
    pub values: Vec<Value>,
    pub ts: i64,
    /// Of a declared TABLE: its key leaves.
    pub gone: bool,
}

/// Records by source and partition.
pub type Feed = Vec<Vec<Vec<Record>>>;

/// Steps of a feed.
pub fn steps(feed: &Feed) -> usize {
    feed.iter().flatten().flatten().map(|r| r.step + 1).max().unwrap_or(1)
}

impl App {
    pub fn name(&self, object: usize) -> &str {
        match self.statements.get(object.wrapping_sub(self.sources.len())) {
            Some(statement) => &statement.name,
            None => &self.sources[object].name,
        }
    }

    pub fn columns(&self, object: usize) -> &[Column] {
        match self.statements.get(object.wrapping_sub(self.sources.len())) {
            Some(statement) => &statement.columns,
            None => &self.sources[object].columns,
        }
    }

    pub fn statement(&self, object: usize) -> Option<&Statement> {
        self.statements.get(object.wrapping_sub(self.sources.len()))
    }

    pub fn is_table(&self, object: usize) -> bool {
        self.statement(object).map_or_else(|| self.sources[object].is_table(), |s| s.table)
    }

    /// Sources whose rows an object is made of, those that its subqueries and tables read included.
    pub fn roots(&self, object: usize) -> Vec<usize> {
        let Some(statement) = self.statement(object) else { return vec![object] };
        let mut found: Vec<usize> = statement.query.rels.iter().flat_map(|rel| self.roots(rel.object)).collect();
        let inner = statement.query.subqueries();
        found.extend(inner.into_iter().flat_map(|sub| self.roots(sub.object)));
        found.sort_unstable();
        found.dedup();
        found
    }

    pub fn out(&self) -> &Statement {
        self.statements.last().expect("an app has a statement")
    }
}

impl Query {
    /// Every expression of it but those inside others.
    pub fn exprs(&self) -> Vec<&Expr> {
        let mut found: Vec<&Expr> = self.filter.iter().collect();
        found.extend(self.items.iter().map(|item| &item.expr));
        for join in &self.joins {
            found.extend(join.keys.iter().flat_map(|(l, r)| [l, r]));
            found.extend(&join.residual);
        }
        if let Some(group) = &self.group {
            found.extend(group.aggregates.iter().filter_map(|(aggregate, _)| aggregate.argument()));
            found.extend(&group.having);
        }
        found
    }

    pub fn subqueries(&self) -> Vec<&Subquery> {
        let mut found = Vec::new();
        self.exprs().into_iter().for_each(|expr| expr.collect(&mut found));
        found
    }
}

impl Aggregate {
    pub fn argument(&self) -> Option<&Expr> {
        match self {
            Aggregate::Rows => None,
            Aggregate::Count(e) | Aggregate::Sum(e) | Aggregate::Min(e) | Aggregate::Max(e) => Some(e),
        }
    }
}

impl Expr {
    pub fn int(value: i64) -> Expr {
        Expr::Literal(Value::Int(value))
    }

    pub fn compare(op: Op, left: Expr, right: Expr) -> Expr {
        Expr::Compare(op, Box::new(left), Box::new(right))
    }

    pub fn plus(self, ms: i64) -> Expr {
        Expr::Plus(Box::new(self), Box::new(Expr::int(ms)))
    }

    /// Subqueries in it.
    fn collect<'e>(&'e self, found: &mut Vec<&'e Subquery>) {
        match self {
            Expr::Column(..) | Expr::Outer(..) | Expr::Time | Expr::Edge(_) | Expr::Literal(_) => {}
            Expr::Coalesce(list) | Expr::And(list) | Expr::Or(list) => list.iter().for_each(|e| e.collect(found)),
            Expr::Plus(a, b) | Expr::Compare(_, a, b) => {
                a.collect(found);
                b.collect(found);
            }
            Expr::Not(e) | Expr::IsNull(e) => e.collect(found),
            Expr::Case(a, b, c) => [a, b, c].into_iter().for_each(|e| e.collect(found)),
            Expr::Sub(sub) => found.push(sub),
        }
    }
}
