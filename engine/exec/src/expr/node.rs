//! Compiled expressions: the plan's tree with constant subexpressions folded and IN lists prepared.
//!
//! Only what evaluates without error or counter is folded: a constant that fails fails per row, when it is reached.

use velostream_functions::{Function, Prepared};
use velostream_sql::plan::{ArithmeticOp, CompareOp, Expr, ExprKind, HeaderCall, KeyFormat, SystemColumn};
use velostream_types::{Batch, DataType, Field, RowMeta, Schema, SourceId, Span, Value};

use super::EvalContext;
use super::eval::Session;
use super::in_list::Candidates;

/// One compiled expression.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub kind: Kind,
    /// Logical type, which alone gives operators their meaning.
    pub data_type: DataType,
    pub span: Span,
}

/// Kinds of node; see `plan::ExprKind`.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Column(usize),
    /// Also Interval and Time, which are physically integers.
    Const(Value),
    System(SystemColumn),
    Chain {
        first: Box<Node>,
        steps: Vec<Step>,
    },
    Negate(Box<Node>),
    Compare {
        op: CompareOp,
        left: Box<Node>,
        right: Box<Node>,
    },
    Distinct {
        left: Box<Node>,
        right: Box<Node>,
        negated: bool,
    },
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    IsNull {
        operand: Box<Node>,
        negated: bool,
    },
    InList {
        operand: Box<Node>,
        list: Candidates,
        negated: bool,
    },
    Case {
        branches: Vec<(Node, Node)>,
        otherwise: Option<Box<Node>>,
    },
    Coalesce(Vec<Node>),
    Cast {
        operand: Box<Node>,
        try_cast: bool,
    },
    Try(Box<Node>),
    Concat(Vec<Node>),
    Call {
        function: &'static Function,
        args: Vec<Node>,
        prepared: Option<Prepared>,
    },
    RecordKey {
        format: KeyFormat,
        schema: Schema,
        parts: Vec<Node>,
    },
    Header {
        call: HeaderCall,
        headers: Box<Node>,
        args: Vec<Node>,
    },
    Headers {
        before: Box<Node>,
        edits: Vec<Node>,
    },
}

/// One step of an arithmetic chain.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub op: ArithmeticOp,
    pub operand: Node,
    /// Type after the step.
    pub data_type: DataType,
    pub span: Span,
}

impl Node {
    /// Compiles a plan expression.
    pub fn compile(expr: &Expr) -> Node {
        let kind = match &expr.kind {
            ExprKind::Column(i) => Kind::Column(*i),
            ExprKind::Literal(value) => Kind::Const(value.clone()),
            ExprKind::System(column) => Kind::System(*column),
            ExprKind::Arithmetic { first, rest } => Kind::Chain {
                first: boxed(first),
                steps: rest
                    .iter()
                    .map(|s| Step {
                        op: s.op,
                        operand: Node::compile(&s.operand),
                        data_type: s.data_type.clone(),
                        span: s.span,
                    })
                    .collect(),
            },
            ExprKind::Negate(operand) => Kind::Negate(boxed(operand)),
            ExprKind::Compare { op, left, right } => Kind::Compare { op: *op, left: boxed(left), right: boxed(right) },
            ExprKind::Distinct { left, right, negated } => {
                Kind::Distinct { left: boxed(left), right: boxed(right), negated: *negated }
            }
            ExprKind::And(operands) => Kind::And(all(operands)),
            ExprKind::Or(operands) => Kind::Or(all(operands)),
            ExprKind::Not(operand) => Kind::Not(boxed(operand)),
            ExprKind::IsNull { operand, negated } => Kind::IsNull { operand: boxed(operand), negated: *negated },
            ExprKind::InList { operand, list, negated } => {
                Kind::InList { operand: boxed(operand), list: Candidates::new(all(list)), negated: *negated }
            }
            ExprKind::Case { branches, otherwise } => Kind::Case {
                branches: branches.iter().map(|(when, then)| (Node::compile(when), Node::compile(then))).collect(),
                otherwise: otherwise.as_deref().map(boxed),
            },
            ExprKind::Coalesce(operands) => Kind::Coalesce(all(operands)),
            ExprKind::Cast { operand, try_cast } => Kind::Cast { operand: boxed(operand), try_cast: *try_cast },
            ExprKind::Try(operand) => Kind::Try(boxed(operand)),
            ExprKind::Concat(operands) => Kind::Concat(all(operands)),
            ExprKind::Call { function, args } => call(function, args),
            ExprKind::RecordKey { format, parts } => Kind::RecordKey {
                format: *format,
                schema: Schema::new(parts.iter().map(|(n, x)| Field::new(n.clone(), x.data_type.clone())).collect()),
                parts: parts.iter().map(|(_, x)| Node::compile(x)).collect(),
            },
            ExprKind::Header { call, headers, args } => {
                Kind::Header { call: *call, headers: boxed(headers), args: all(args) }
            }
            ExprKind::Headers { before, edits } => Kind::Headers { before: boxed(before), edits: all(edits) },
        };
        Node { kind, data_type: expr.data_type.clone(), span: expr.span }.folded()
    }

    /// The input column this node passes on unchanged.
    pub fn as_column(&self) -> Option<usize> {
        match self.kind {
            Kind::Column(i) => Some(i),
            _ => None,
        }
    }

    /// The constant this node is.
    pub fn as_const(&self) -> Option<&Value> {
        match &self.kind {
            Kind::Const(value) => Some(value),
            _ => None,
        }
    }

    /// Replaces a node over constants by its value.
    fn folded(self) -> Node {
        if !self.is_over_constants() {
            return self;
        }
        let batch = Batch::new(Vec::new(), 1, RowMeta::plain(SourceId(0), 0, 0));
        let ctx = EvalContext::default();
        let mut session = Session::new(&batch, &ctx);
        let value = session.eval(&self, None).into_column(1).value(0);
        if session.errors.is_empty() && session.division_by_zero == 0 && session.rounded == 0 {
            Node { kind: Kind::Const(value), ..self }
        } else {
            self
        }
    }

    /// TRUE when every child is a constant and the node itself is none.
    fn is_over_constants(&self) -> bool {
        let fixed = |n: &Node| n.as_const().is_some();
        match &self.kind {
            Kind::Column(_) | Kind::Const(_) | Kind::System(_) => false,
            Kind::RecordKey { .. } | Kind::Header { .. } | Kind::Headers { .. } => false,
            Kind::Chain { first, steps } => fixed(first) && steps.iter().all(|s| fixed(&s.operand)),
            Kind::Negate(x) | Kind::Not(x) | Kind::Try(x) => fixed(x),
            Kind::IsNull { operand, .. } | Kind::Cast { operand, .. } => fixed(operand),
            Kind::Compare { left, right, .. } | Kind::Distinct { left, right, .. } => fixed(left) && fixed(right),
            Kind::And(list) | Kind::Or(list) | Kind::Coalesce(list) | Kind::Concat(list) => list.iter().all(fixed),
            Kind::Call { function, args, .. } => !function.volatile && args.iter().all(fixed),
            Kind::InList { operand, list, .. } => fixed(operand) && list.nodes().iter().all(fixed),
            Kind::Case { branches, otherwise } => {
                branches.iter().all(|(w, t)| fixed(w) && fixed(t)) && otherwise.as_deref().is_none_or(fixed)
            }
        }
    }
}

/// A call whose constants were looked at. The binder refused those that are bad, so one that is bad here is left to fail
/// row by row.
fn call(function: &'static Function, args: &[Expr]) -> Kind {
    let args = all(args);
    let constants: Vec<Option<&Value>> = args.iter().map(Node::as_const).collect();
    let prepared = function.prepare.and_then(|prepare| prepare(&constants).ok().flatten());
    Kind::Call { function, args, prepared }
}

fn boxed(expr: &Expr) -> Box<Node> {
    Box::new(Node::compile(expr))
}

fn all(exprs: &[Expr]) -> Vec<Node> {
    exprs.iter().map(Node::compile).collect()
}
