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

use velostream_types::{DataType, Schema, Span};

use super::{AggregateSpec, CompareOp, Expr, ExprKind};

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
    /// A row meets no kept row that is older by more than this, ns, than its own event time or, where that lies before it,
    /// than the watermark of its own partition; `None`: all are kept for ever.
    pub keep_ns: Option<i64>,
    /// Type of the value.
    pub result: DataType,
    /// The subquery's text range.
    pub span: Span,
}

/// What is held of the rows of a subquery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubqueryState {
    /// How many there are of each key: EXISTS by nothing but equalities.
    Counts,
    /// How often each value of this column is there, by key: IN and NOT IN.
    Values(usize),
    /// The rows.
    Rows,
}

impl SubquerySpec {
    /// What has to be held, where the outer rows have the columns `outer` and the subquery's input `kept`.
    pub fn state(&self, outer: &Schema, kept: &Schema) -> SubqueryState {
        if self.condition.is_some() || self.fold.is_some() || self.keep_ns.is_some() {
            return SubqueryState::Rows;
        }
        match (&self.kind, &self.value) {
            (SubqueryKind::Exists, _) if self.limit != Some(0) => SubqueryState::Counts,
            (SubqueryKind::Compare { operand, op, all }, Some(Expr { kind: ExprKind::Column(column), .. }))
                if self.limit.is_none()
                    && matches!((op, all), (CompareOp::Equal, false) | (CompareOp::NotEqual, true)) =>
            {
                match (outer.fields.get(*operand), kept.fields.get(*column)) {
                    (Some(left), Some(right)) if equal_by_bytes(&left.data_type, &right.data_type) => {
                        SubqueryState::Values(*column)
                    }
                    _ => SubqueryState::Rows,
                }
            }
            _ => SubqueryState::Rows,
        }
    }
}

/// TRUE when values of these types are equal exactly when their key bytes are: floats compare with a loss, and nested
/// values by what their text means.
fn equal_by_bytes(left: &DataType, right: &DataType) -> bool {
    let exact = |t: &DataType| matches!(t, DataType::Integer | DataType::Decimal { .. });
    let plain = |t: &DataType| {
        use DataType::{Boolean, Bytes, Date, Interval, String, Time, Timestamp};
        matches!(t, Boolean | Bytes | Date | Interval | String | Time | Timestamp)
    };
    exact(left) && exact(right) || left == right && plain(left)
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
