//! Typed expressions of the plan: names are positions, types and scales are fixed.

use velostream_functions::Function;
use velostream_types::{DataType, Span, Value};

use super::KeyFormat;

/// A typed expression over the columns of a node's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it computes.
    pub kind: ExprKind,
    /// Result type, fixed at deploy.
    pub data_type: DataType,
    /// Its text.
    pub span: Span,
}

impl Expr {
    /// Calls `f` with every direct operand, in the order they are evaluated in.
    pub fn each_child<'a>(&'a self, f: &mut dyn FnMut(&'a Expr)) {
        match &self.kind {
            ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::System(_) => {}
            ExprKind::Arithmetic { first, rest } => {
                f(first);
                rest.iter().for_each(|step| f(&step.operand));
            }
            ExprKind::Negate(x) | ExprKind::Not(x) | ExprKind::Try(x) => f(x),
            ExprKind::IsNull { operand, .. } | ExprKind::Cast { operand, .. } => f(operand),
            ExprKind::Compare { left, right, .. } | ExprKind::Distinct { left, right, .. } => {
                f(left);
                f(right);
            }
            ExprKind::And(list) | ExprKind::Or(list) | ExprKind::Coalesce(list) | ExprKind::Concat(list) => {
                list.iter().for_each(f);
            }
            ExprKind::Call { args, .. } => args.iter().for_each(f),
            ExprKind::RecordKey { parts, .. } => parts.iter().for_each(|(_, x)| f(x)),
            ExprKind::InList { operand: first, list: rest, .. }
            | ExprKind::Header { headers: first, args: rest, .. }
            | ExprKind::Headers { before: first, edits: rest } => {
                f(first);
                rest.iter().for_each(f);
            }
            ExprKind::Case { branches, otherwise } => {
                branches.iter().for_each(|(when, then)| {
                    f(when);
                    f(then);
                });
                otherwise.iter().for_each(|x| f(x));
            }
        }
    }

    /// [`Expr::each_child`] for changing them.
    pub fn each_child_mut(&mut self, f: &mut dyn FnMut(&mut Expr)) {
        match &mut self.kind {
            ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::System(_) => {}
            ExprKind::Arithmetic { first, rest } => {
                f(first);
                rest.iter_mut().for_each(|step| f(&mut step.operand));
            }
            ExprKind::Negate(x) | ExprKind::Not(x) | ExprKind::Try(x) => f(x),
            ExprKind::IsNull { operand, .. } | ExprKind::Cast { operand, .. } => f(operand),
            ExprKind::Compare { left, right, .. } | ExprKind::Distinct { left, right, .. } => {
                f(left);
                f(right);
            }
            ExprKind::And(list) | ExprKind::Or(list) | ExprKind::Coalesce(list) | ExprKind::Concat(list) => {
                list.iter_mut().for_each(f);
            }
            ExprKind::Call { args, .. } => args.iter_mut().for_each(f),
            ExprKind::RecordKey { parts, .. } => parts.iter_mut().for_each(|(_, x)| f(x)),
            ExprKind::InList { operand: first, list: rest, .. }
            | ExprKind::Header { headers: first, args: rest, .. }
            | ExprKind::Headers { before: first, edits: rest } => {
                f(first);
                rest.iter_mut().for_each(f);
            }
            ExprKind::Case { branches, otherwise } => {
                branches.iter_mut().for_each(|(when, then)| {
                    f(when);
                    f(then);
                });
                otherwise.iter_mut().for_each(|x| f(x));
            }
        }
    }
}

/// Kinds of expression. Chains of one operator stay flat, so depth follows the nesting a person wrote.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// Input column.
    Column(usize),
    /// Constant.
    Literal(Value),
    /// Row metadata.
    System(SystemColumn),
    /// `first op rhs op rhs …`, left to right.
    Arithmetic {
        /// Leftmost operand.
        first: Box<Expr>,
        /// The steps.
        rest: Vec<ArithmeticStep>,
    },
    /// `-x`
    Negate(Box<Expr>),
    /// Comparison of two values of comparable types (numbers mix; text, dates and timestamps were cast by the binder).
    Compare {
        /// Operator.
        op: CompareOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// `IS [NOT] DISTINCT FROM`
    Distinct {
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
        /// TRUE for IS NOT DISTINCT FROM.
        negated: bool,
    },
    /// Three-valued AND; operands after one that is FALSE never raise.
    And(Vec<Expr>),
    /// Three-valued OR; operands after one that is TRUE never raise.
    Or(Vec<Expr>),
    /// Three-valued NOT.
    Not(Box<Expr>),
    /// `IS [NOT] NULL`
    IsNull {
        /// Operand.
        operand: Box<Expr>,
        /// TRUE for IS NOT NULL.
        negated: bool,
    },
    /// `x [NOT] IN (a, b, …)`, three-valued.
    InList {
        /// Operand.
        operand: Box<Expr>,
        /// Candidates.
        list: Vec<Expr>,
        /// TRUE for NOT IN.
        negated: bool,
    },
    /// Searched CASE (a simple CASE is bound as comparisons). Untaken branches never raise.
    Case {
        /// WHEN condition, THEN result.
        branches: Vec<(Expr, Expr)>,
        /// ELSE.
        otherwise: Option<Box<Expr>>,
    },
    /// First operand that is not NULL; later ones never raise where an earlier one decided.
    Coalesce(Vec<Expr>),
    /// CAST or TRY_CAST; also the coercions the binder inserts.
    Cast {
        /// Operand.
        operand: Box<Expr>,
        /// TRUE: NULL instead of a record error.
        try_cast: bool,
    },
    /// `TRY(x)`: NULL where the operand fails.
    Try(Box<Expr>),
    /// Text concatenation, NULL-propagating.
    Concat(Vec<Expr>),
    /// A call of a catalogue function; arguments were cast to what its parameters take.
    Call {
        /// Which.
        function: &'static Function,
        /// By position.
        args: Vec<Expr>,
    },
    /// The key that a sink would give the row, as text; NULL for none.
    RecordKey {
        /// How the sink writes keys.
        format: KeyFormat,
        /// Names and values of the key columns.
        parts: Vec<(String, Expr)>,
    },
    /// A header function. Changes have an effect inside [`ExprKind::Headers`] only; anywhere else they are their value.
    Header {
        /// Which.
        call: HeaderCall,
        /// The row's headers.
        headers: Box<Expr>,
        /// Name, then for SET_HEADER the value as text.
        args: Vec<Expr>,
    },
    /// The row's headers with the changes that the calls in `edits` make, from left to right.
    Headers {
        /// The headers before.
        before: Box<Expr>,
        /// Expressions with SET_HEADER or REMOVE_HEADER in them; their values go nowhere.
        edits: Vec<Expr>,
    },
}

/// Header functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderCall {
    /// HEADER(k): its value as text, NULL without one.
    Value,
    /// HAS_HEADER(k)
    Has,
    /// HEADER_KEYS(): the names, sorted, joined by commas.
    Names,
    /// SET_HEADER(k, v): v; a NULL takes the header away.
    Set,
    /// REMOVE_HEADER(k): what HEADER(k) is.
    Remove,
}

impl HeaderCall {
    /// Name as in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            HeaderCall::Value => "HEADER",
            HeaderCall::Has => "HAS_HEADER",
            HeaderCall::Names => "HEADER_KEYS",
            HeaderCall::Set => "SET_HEADER",
            HeaderCall::Remove => "REMOVE_HEADER",
        }
    }

    /// TRUE for those that change the row's headers.
    pub const fn is_edit(self) -> bool {
        matches!(self, HeaderCall::Set | HeaderCall::Remove)
    }
}

/// One step of a flat arithmetic chain.
#[derive(Clone, Debug, PartialEq)]
pub struct ArithmeticStep {
    /// Operator.
    pub op: ArithmeticOp,
    /// Right operand.
    pub operand: Expr,
    /// Type after this step.
    pub data_type: DataType,
    /// From the chain's start to the operand's end.
    pub span: Span,
}

/// Arithmetic operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArithmeticOp {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`: by zero is NULL, counted.
    Divide,
    /// `%`: by zero is a record error.
    Modulo,
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// Metadata readable as columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SystemColumn {
    /// `_timestamp`: record timestamp, ms.
    Timestamp,
    /// `_event_time`: event time, ms.
    EventTime,
    /// `_event_time_ns`: event time, ns.
    EventTimeNs,
    /// `_offset`
    Offset,
    /// `_partition`
    Partition,
}

impl SystemColumn {
    /// As in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            SystemColumn::Timestamp => "_timestamp",
            SystemColumn::EventTime => "_event_time",
            SystemColumn::EventTimeNs => "_event_time_ns",
            SystemColumn::Offset => "_offset",
            SystemColumn::Partition => "_partition",
        }
    }
}
