//! The syntax tree: what was written, with the text range of every piece. Comes from `parse`, goes to `bind`.
//!
//! Chains of one operator level are flat vectors, so the tree is only as deep as a person nested it: every
//! [`Expr::depth`] is at most [`super::MAX_DEPTH`], and recursion over a tree, its Drop included, is bounded by it.

use velostream_types::{DataType, Span};

pub(crate) use super::subquery::{Subquery, SubqueryForm};
use crate::endpoint::WithEntry;
use crate::plan::{ArithmeticOp, CompareOp, JoinKind};

/// A name as written, without quotes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ident {
    pub name: String,
    pub span: Span,
}

/// One statement of a script.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub kind: StatementKind,
    pub span: Span,
    /// 1-based position in the script, failed statements counted.
    pub number: usize,
    /// EXPLAIN stood in front.
    pub explain: Option<Explain>,
}

/// The kind of an EXPLAIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Explain {
    pub verbose: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum StatementKind {
    /// A bare SELECT.
    Query(Box<Query>),
    /// CREATE STREAM|TABLE … AS SELECT.
    Create(Box<Create>),
    /// CREATE STREAM|TABLE (columns) WITH (…).
    Declare(Box<Declare>),
    /// SET key = value.
    Set(WithEntry),
    /// INSERT INTO.
    Insert(Box<Insert>),
    /// UPDATE and DELETE.
    Change(Box<Change>),
}

/// INSERT INTO target [(columns)] rows.
#[derive(Clone, Debug)]
pub(crate) struct Insert {
    pub target: Ident,
    /// Empty: by position.
    pub columns: Vec<Ident>,
    pub rows: InsertRows,
    /// Written as SELECT … INTO target.
    pub is_bare: bool,
}

/// What an INSERT adds.
#[derive(Clone, Debug)]
pub(crate) enum InsertRows {
    /// At least one row, all of as many values.
    Values(Vec<ValuesRow>),
    Query(Box<Query>),
}

/// `(value, …)`
#[derive(Clone, Debug)]
pub(crate) struct ValuesRow {
    pub exprs: Vec<Expr>,
    pub span: Span,
}

/// UPDATE target SET … [WHERE …] and DELETE FROM target [WHERE …].
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub target: Relation,
    pub is_delete: bool,
    /// Of an UPDATE.
    pub assignments: Vec<(Ident, Expr)>,
    pub filter: Option<Expr>,
}

/// CREATE STREAM|TABLE … AS SELECT.
#[derive(Clone, Debug)]
pub(crate) struct Create {
    pub name: Ident,
    pub role: Role,
    pub if_not_exists: bool,
    pub query: Query,
}

/// What a query with a name is to the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// CREATE STREAM
    Stream,
    /// CREATE TABLE
    Table,
    /// CREATE VIEW, WITH x AS (…), FROM (…), a branch of a UNION: read by others, written nowhere.
    Inline {
        /// Stands inside a bare SELECT.
        bare: bool,
        /// A reader groups its rows, so it has to see changes as changes.
        retracts: bool,
    },
}

/// A source declaration.
#[derive(Clone, Debug)]
pub(crate) struct Declare {
    pub name: Ident,
    pub is_table: bool,
    pub if_not_exists: bool,
    /// Empty: the schema is inferred.
    pub columns: Vec<ColumnDef>,
    /// Key columns in written order.
    pub primary_key: Vec<Ident>,
    pub watermark: Option<Watermark>,
    pub with: Vec<WithEntry>,
}

#[derive(Clone, Debug)]
pub(crate) struct ColumnDef {
    pub name: Ident,
    pub data_type: TypeName,
    pub not_null: bool,
}

/// `WATERMARK FOR column AS column - bound`.
#[derive(Clone, Debug)]
pub(crate) struct Watermark {
    pub column: Ident,
    pub bound: Option<Duration>,
}

/// A type as written, resolved.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TypeName {
    pub data_type: DataType,
    /// DECIMAL without precision and scale.
    pub open_decimal: bool,
    pub span: Span,
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Duration {
    pub ns: i64,
    pub span: Span,
}

/// SELECT with everything that may follow it.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// WITH name AS (query), …
    pub ctes: Vec<Cte>,
    /// SELECT DISTINCT
    pub distinct: Option<Span>,
    pub items: Vec<Item>,
    pub from: Option<Relation>,
    /// What is joined to it, from left to right.
    pub joins: Vec<Join>,
    pub filter: Option<Expr>,
    pub group_by: Vec<Expr>,
    pub window: Option<Window>,
    pub having: Option<Expr>,
    pub order_by: Vec<OrderKey>,
    pub limit: Option<(u64, Span)>,
    pub emit: Option<(EmitRule, Span)>,
    pub into: Option<Target>,
    pub with: Vec<WithEntry>,
    /// UNION [ALL] SELECT …, in order.
    pub union: Vec<Branch>,
    pub span: Span,
}

/// One key of ORDER BY.
#[derive(Clone, Debug)]
pub(crate) struct OrderKey {
    pub expr: Expr,
    pub descending: bool,
    /// NULLS FIRST or LAST, as written.
    pub nulls_first: Option<bool>,
}

impl Query {
    /// What stands in FROM and its joins.
    pub(crate) fn relations(&self) -> impl Iterator<Item = &Relation> {
        let named = self.joins.iter().filter(|join| !join.is_of_elements());
        self.from.iter().chain(named.map(|join| &join.relation))
    }

    /// These items and nothing else.
    pub(crate) fn of(items: Vec<Item>, span: Span) -> Query {
        Query {
            ctes: Vec::new(),
            distinct: None,
            items,
            from: None,
            joins: Vec::new(),
            filter: None,
            group_by: Vec::new(),
            window: None,
            having: None,
            order_by: Vec::new(),
            limit: None,
            emit: None,
            into: None,
            with: Vec::new(),
            union: Vec::new(),
            span,
        }
    }
}

/// `name AS (query)` in a WITH.
#[derive(Clone, Debug)]
pub(crate) struct Cte {
    pub name: Ident,
    pub query: Query,
}

/// A query behind UNION.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    /// UNION ALL: equal rows stay.
    pub all: bool,
    /// Of the word UNION.
    pub span: Span,
    pub query: Query,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EmitRule {
    Changes,
    /// EMIT CHANGES EVERY so many nanoseconds.
    Every(i64),
    Final,
}

/// INTO name or URI.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub name: String,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Item {
    Star(Span),
    QualifiedStar { qualifier: Ident, span: Span },
    Expr { expr: Expr, alias: Option<Ident>, primary_key: bool },
}

/// What stands in FROM.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    /// Identifier, path or URI.
    pub name: String,
    /// Written as a string in single quotes or as a bare URI: never an object of the app.
    pub is_location: bool,
    pub span: Span,
    pub alias: Option<Ident>,
    pub with: Vec<WithEntry>,
    /// FROM (query): the name is given to it when the statement is unnested.
    pub query: Option<Box<Query>>,
    /// Names of the branches of a UNION, in order; then `name` is only for messages.
    pub union: Vec<String>,
    /// FOR SYSTEM_TIME AS OF a time of the other side.
    pub version: Option<Expr>,
}

/// `… JOIN relation …`
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub kind: JoinKind,
    pub relation: Relation,
    pub within: Option<Within>,
    pub on: JoinOn,
    /// ASOF: of the rows of the joined relation the nearest in time.
    pub asof: bool,
    /// Of the words of the join.
    pub span: Span,
}

impl Join {
    /// TRUE for UNNEST, which reads nothing but the rows it is joined to.
    pub(crate) fn is_of_elements(&self) -> bool {
        matches!(self.on, JoinOn::Elements(_))
    }
}

/// Which pairs a join makes.
#[derive(Clone, Debug)]
pub(crate) enum JoinOn {
    /// CROSS JOIN and ON TRUE.
    Everything,
    Condition(Expr),
    Using(Vec<Ident>),
    /// A row with each of its elements; the relation is but their name.
    Elements(Box<Elements>),
}

/// `UNNEST(operand) [WITH ORDINALITY] AS name(column, …)`
#[derive(Clone, Debug)]
pub(crate) struct Elements {
    pub operand: Expr,
    /// WITH ORDINALITY
    pub numbered: bool,
    /// Names of the columns, if given.
    pub columns: Vec<Ident>,
}

/// `left time − before ≤ right time ≤ left time + after`
#[derive(Clone, Debug)]
pub(crate) struct Within {
    pub before: Duration,
    pub after: Duration,
    pub span: Span,
}

/// A window over event time.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub shape: WindowShape,
    /// Explicit time column.
    pub column: Option<Expr>,
    /// The gap of a session.
    pub size: Duration,
    /// Of a hopping window.
    pub slide: Option<Duration>,
    /// Of a session.
    pub key: Option<Expr>,
    pub grace: Option<Duration>,
    /// TZ 'name'
    pub zone: Option<Ident>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowShape {
    Tumbling,
    /// Also SLIDING.
    Hopping,
    Session,
}

/// An expression.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub kind: ExprKind,
    pub span: Span,
    /// Levels below and including this one.
    pub depth: u16,
}

#[derive(Clone, Debug)]
pub(crate) enum ExprKind {
    Column {
        qualifier: Option<Ident>,
        name: Ident,
    },
    /// `"x"`: a column if one is in scope, else text.
    DoubleQuoted(String),
    Text(String),
    /// Digits as written.
    Number(String),
    Boolean(bool),
    /// `X'48656C'`
    Bytes(Vec<u8>),
    Null,
    Interval(i64),
    /// A calendar interval, in months.
    Months(i64),
    Negate(Box<Expr>),
    Not(Box<Expr>),
    /// `operand.name`; the first two names of a path are a [`ExprKind::Column`].
    Field {
        operand: Box<Expr>,
        name: Ident,
    },
    /// `operand[index]`
    Element {
        operand: Box<Expr>,
        index: Box<Expr>,
    },
    /// Operators of one level only: all of `+ -` or all of `* / %`.
    Arithmetic {
        first: Box<Expr>,
        rest: Vec<(ArithmeticOp, Expr)>,
    },
    Concat(Vec<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Compare {
        op: CompareOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Distinct {
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
    },
    Between {
        operand: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
    },
    InList {
        operand: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    IsNull {
        operand: Box<Expr>,
        negated: bool,
    },
    Case {
        operand: Option<Box<Expr>>,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Cast {
        operand: Box<Expr>,
        to: TypeName,
        try_cast: bool,
    },
    Call {
        name: Ident,
        args: Vec<Expr>,
        /// `f(*)`
        star: bool,
    },
    /// A call with DISTINCT, ORDER BY or FILTER.
    Modified(Box<ModifiedCall>),
    /// A call with OVER.
    Over(Box<Over>),
    /// A query inside the expression.
    Subquery(Box<Subquery>),
}

/// `f(…) OVER (…)`
#[derive(Clone, Debug)]
pub(crate) struct Over {
    pub call: ModifiedCall,
    pub ignore_nulls: bool,
    /// ROWS WINDOW BUFFER n ROWS
    pub buffer: Option<OverBuffer>,
    pub partition: Vec<Expr>,
    pub order: Vec<CallOrder>,
    pub frame: Option<FrameText>,
    /// EMIT ON BUFFER FULL
    pub when_full: bool,
    /// EXPIRE AFTER a time, or NEVER.
    pub expire: Option<Option<Duration>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct OverBuffer {
    pub rows: u64,
    pub span: Span,
}

/// ROWS or RANGE with its bounds.
#[derive(Clone, Debug)]
pub(crate) struct FrameText {
    pub range: bool,
    pub first: FrameEdge,
    pub last: FrameEdge,
    pub span: Span,
}

/// A bound of a frame; no distance is UNBOUNDED.
#[derive(Clone, Debug)]
pub(crate) enum FrameEdge {
    Preceding(Option<Box<Expr>>),
    CurrentRow,
    Following(Option<Box<Expr>>),
}

impl Over {
    /// Everything written in it that is an expression over rows.
    fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let call = self.call.args.iter().chain(self.call.order.iter().map(|o| &o.expr)).chain(&self.call.filter);
        call.chain(&self.partition).chain(self.order.iter().map(|o| &o.expr))
    }

    fn same(&self, other: &Over, is_relation: IsRelation<'_>) -> bool {
        let edges = |a: &FrameEdge, b: &FrameEdge| match (a, b) {
            (FrameEdge::CurrentRow, FrameEdge::CurrentRow) => true,
            (FrameEdge::Preceding(a), FrameEdge::Preceding(b)) | (FrameEdge::Following(a), FrameEdge::Following(b)) => {
                match (a, b) {
                    (None, None) => true,
                    (Some(a), Some(b)) => a.same(b, is_relation),
                    _ => false,
                }
            }
            _ => false,
        };
        let frames = match (&self.frame, &other.frame) {
            (None, None) => true,
            (Some(a), Some(b)) => a.range == b.range && edges(&a.first, &b.first) && edges(&a.last, &b.last),
            _ => false,
        };
        let rules = |o: &Over| {
            let expire = o.expire.map(|e| e.map(|d| d.ns));
            (o.ignore_nulls, o.buffer.map(|b| b.rows), o.when_full, expire, o.partition.len(), o.order.len())
        };
        let keys = |a: &CallOrder, b: &CallOrder| {
            (a.descending, a.nulls_first) == (b.descending, b.nulls_first) && a.expr.same(&b.expr, is_relation)
        };
        frames
            && rules(self) == rules(other)
            && self.call.same(&other.call, is_relation)
            && self.partition.iter().zip(&other.partition).all(|(a, b)| a.same(b, is_relation))
            && self.order.iter().zip(&other.order).all(|(a, b)| keys(a, b))
    }
}

/// A call with what only aggregates take.
#[derive(Clone, Debug)]
pub(crate) struct ModifiedCall {
    pub name: Ident,
    pub args: Vec<Expr>,
    pub star: bool,
    pub distinct: bool,
    /// ORDER BY inside the call or in WITHIN GROUP.
    pub order: Vec<CallOrder>,
    /// FILTER (WHERE …)
    pub filter: Option<Expr>,
}

/// One item of a call's ORDER BY.
#[derive(Clone, Debug)]
pub(crate) struct CallOrder {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: Option<bool>,
}

/// Tells qualifiers that name a relation from those that name a column whose field is meant.
pub(crate) type IsRelation<'a> = &'a dyn Fn(&str) -> bool;

/// The qualifier unless it names a relation.
fn outside<'e>(qualifier: &'e Option<Ident>, is_relation: IsRelation<'_>) -> Option<&'e str> {
    qualifier.as_ref().map(|q| q.name.as_str()).filter(|q| !is_relation(q))
}

impl ModifiedCall {
    fn same(&self, other: &ModifiedCall, is_relation: IsRelation<'_>) -> bool {
        let filters = match (&self.filter, &other.filter) {
            (None, None) => true,
            (Some(a), Some(b)) => a.same(b, is_relation),
            _ => false,
        };
        filters
            && self.name.name.eq_ignore_ascii_case(&other.name.name)
            && (self.star, self.distinct) == (other.star, other.distinct)
            && self.args.len() == other.args.len()
            && self.args.iter().zip(&other.args).all(|(a, b)| a.same(b, is_relation))
            && self.order.len() == other.order.len()
            && self.order.iter().zip(&other.order).all(|(a, b)| {
                (a.descending, a.nulls_first) == (b.descending, b.nulls_first) && a.expr.same(&b.expr, is_relation)
            })
    }
}

impl Expr {
    /// Calls `f` with every direct operand.
    pub(crate) fn each_child<'a>(&'a self, mut f: impl FnMut(&'a Expr)) {
        use ExprKind::*;
        match &self.kind {
            Column { .. }
            | DoubleQuoted(_)
            | Text(_)
            | Number(_)
            | Boolean(_)
            | Bytes(_)
            | Null
            | Interval(_)
            | Months(_) => {}
            Element { operand, index } => {
                f(operand);
                f(index);
            }
            Field { operand: x, .. } | Negate(x) | Not(x) | IsNull { operand: x, .. } | Cast { operand: x, .. } => f(x),
            Arithmetic { first, rest } => {
                f(first);
                rest.iter().for_each(|(_, x)| f(x));
            }
            Concat(list) | And(list) | Or(list) | Call { args: list, .. } => list.iter().for_each(f),
            Compare { left, right, .. } | Distinct { left, right, .. } => {
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
                list.iter().for_each(f);
            }
            Case { operand, branches, otherwise } => {
                operand.iter().for_each(|x| f(x));
                branches.iter().for_each(|(when, then)| {
                    f(when);
                    f(then);
                });
                otherwise.iter().for_each(|x| f(x));
            }
            Modified(call) => {
                let order = call.order.iter().map(|o| &o.expr);
                call.args.iter().chain(order).chain(&call.filter).for_each(f);
            }
            Over(over) => over.exprs().for_each(f),
            // What stands in the query itself is over other rows.
            Subquery(sub) => match &sub.form {
                SubqueryForm::Compare { operand, .. } => f(operand),
                SubqueryForm::Exists | SubqueryForm::Scalar => {}
            },
        }
    }

    /// TRUE when both mean the same whatever their place in the text. A qualifier that names a relation may be left out: a
    /// name without one means the one column of that name, or it is a mistake.
    pub(crate) fn same(&self, other: &Expr, is_relation: IsRelation<'_>) -> bool {
        use ExprKind::*;
        let pair = |a: &[Expr], b: &[Expr]| a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.same(y, is_relation));
        let option = |a: &Option<Box<Expr>>, b: &Option<Box<Expr>>| match (a, b) {
            (None, None) => true,
            (Some(x), Some(y)) => x.same(y, is_relation),
            _ => false,
        };
        match (&self.kind, &other.kind) {
            (Column { qualifier: p, name: a }, Column { qualifier: q, name: b }) => {
                let differ = matches!((p, q), (Some(p), Some(q)) if p.name != q.name);
                a.name == b.name && !differ && outside(p, is_relation) == outside(q, is_relation)
            }
            // Where a column of that name exists, the quoted text is that column.
            (Column { qualifier, name }, DoubleQuoted(text)) | (DoubleQuoted(text), Column { qualifier, name }) => {
                name.name == *text && outside(qualifier, is_relation).is_none()
            }
            (DoubleQuoted(a), DoubleQuoted(b)) | (Text(a), Text(b)) | (Number(a), Number(b)) => a == b,
            (Boolean(a), Boolean(b)) => a == b,
            (Bytes(a), Bytes(b)) => a == b,
            (Field { operand: a, name: x }, Field { operand: b, name: y }) => {
                x.name == y.name && a.same(b, is_relation)
            }
            (Element { operand: a, index: x }, Element { operand: b, index: y }) => {
                a.same(b, is_relation) && x.same(y, is_relation)
            }
            (Null, Null) => true,
            (Interval(a), Interval(b)) | (Months(a), Months(b)) => a == b,
            (Negate(a), Negate(b)) | (Not(a), Not(b)) => a.same(b, is_relation),
            (Arithmetic { first: a, rest: x }, Arithmetic { first: b, rest: y }) => {
                a.same(b, is_relation)
                    && x.len() == y.len()
                    && x.iter().zip(y).all(|(x, y)| x.0 == y.0 && x.1.same(&y.1, is_relation))
            }
            (Concat(a), Concat(b)) | (And(a), And(b)) | (Or(a), Or(b)) => pair(a, b),
            (Compare { op: o, left: a, right: b }, Compare { op: p, left: c, right: d }) => {
                o == p && a.same(c, is_relation) && b.same(d, is_relation)
            }
            (Distinct { left: a, right: b, negated: m }, Distinct { left: c, right: d, negated: n }) => {
                m == n && a.same(c, is_relation) && b.same(d, is_relation)
            }
            (
                Between { operand: a, low: b, high: c, negated: m },
                Between { operand: x, low: y, high: z, negated: n },
            ) => m == n && a.same(x, is_relation) && b.same(y, is_relation) && c.same(z, is_relation),
            (InList { operand: a, list: x, negated: m }, InList { operand: b, list: y, negated: n }) => {
                m == n && a.same(b, is_relation) && pair(x, y)
            }
            (IsNull { operand: a, negated: m }, IsNull { operand: b, negated: n }) => m == n && a.same(b, is_relation),
            (Case { operand: a, branches: x, otherwise: e }, Case { operand: b, branches: y, otherwise: f }) => {
                option(a, b)
                    && option(e, f)
                    && x.len() == y.len()
                    && x.iter().zip(y).all(|(x, y)| x.0.same(&y.0, is_relation) && x.1.same(&y.1, is_relation))
            }
            (Cast { operand: a, to: t, try_cast: m }, Cast { operand: b, to: u, try_cast: n }) => {
                m == n && t.data_type == u.data_type && a.same(b, is_relation)
            }
            (Call { name: a, args: x, star: m }, Call { name: b, args: y, star: n }) => {
                m == n && a.name.eq_ignore_ascii_case(&b.name) && pair(x, y)
            }
            (Modified(a), Modified(b)) => a.same(b, is_relation),
            (Over(a), Over(b)) => a.same(b, is_relation),
            (Subquery(a), Subquery(b)) => std::ptr::eq(&**a, &**b),
            _ => false,
        }
    }
}
