//! Subqueries in expressions as the plan has them.
//!
//! A Subqueries node has one input of rows and behind it one input for each subquery, whose rows it keeps. For each row
//! it computes one value per subquery from what is kept at that moment: of the kept rows whose keys equal the row's, those
//! that meet the condition are folded, ordered, cut and read. Its output is these values, then the columns of the first
//! input; rows keep their event time, partition and record.
//!
//! All subqueries of a node have the same outer columns as their keys, and every input comes through an Exchange by its
//! keys, so that rows and what is kept for them meet on one shard. Values are never computed again when an inner relation
//! changes. Where the first input itself changes, a row that is taken back has the values it was given when it came.

use velostream_types::{DataType, Span};

use super::{AggregateSpec, CompareOp, Expr};

/// One subquery: what is computed of its rows for each row of the outer query.
///
/// Expressions over a *pair* mean the columns of the subquery's input, then those of the first input.
#[derive(Clone, Debug)]
pub struct SubquerySpec {
    /// What the value is.
    pub kind: SubqueryKind,
    /// Equalities that a kept row has to meet, as (outer column, kept column): the key of a hash table. NULL meets none.
    pub keys: Vec<(usize, usize)>,
    /// What else has to be TRUE, over a pair.
    pub condition: Option<Expr>,
    /// Grouping of the rows that met it.
    pub fold: Option<FoldSpec>,
    /// The selected value: over a pair, or with a fold over its output and then the outer columns. `None`: only whether
    /// there is a row matters.
    pub value: Option<Expr>,
    /// Equal values count once.
    pub distinct: bool,
    /// ORDER BY: over what `value` is over, DESC, NULLS FIRST.
    pub order: Vec<(Expr, bool, bool)>,
    /// LIMIT
    pub limit: Option<u64>,
    /// A row meets no kept row that is older than its own event time by more than this, ns; `None`: all are kept for ever.
    pub keep_ns: Option<i64>,
    /// Type of the value.
    pub result: DataType,
    /// The subquery's text range.
    pub span: Span,
}

/// Grouping inside a subquery.
#[derive(Clone, Debug)]
pub struct FoldSpec {
    /// The columns that `spec` is about, over a pair: keys, then arguments.
    pub columns: Vec<Expr>,
    /// Keys and aggregates; without keys there is one group even of no row.
    pub spec: AggregateSpec,
    /// HAVING, over the fold's output and then the outer columns.
    pub having: Option<Expr>,
}

/// What the value of a subquery is.
#[derive(Clone, Debug, PartialEq)]
pub enum SubqueryKind {
    /// `EXISTS (q)`; also IN where only TRUE counts, whose equality then is one of the keys.
    Exists,
    /// `(q)`: NULL without a row; two rows are an error of the outer record.
    Scalar,
    /// `x op ANY (q)` or `x op ALL (q)`, three-valued: IN is `= ANY`, NOT IN is `<> ALL`.
    Compare {
        /// Outer column.
        operand: usize,
        /// Comparison.
        op: CompareOp,
        /// TRUE for ALL.
        all: bool,
    },
}
