//! Calls with OVER: what they compute, over which rows of which buffer.
//!
//! A call becomes a placeholder column while the select list is bound; when the list is known, one Project computes what
//! the calls and the items read, an Over node follows for each different buffer, and the placeholders become its columns.
//! Over groups the calls see the groups' rows, because that is what the select list is over.

use velostream_functions::{AggregateForm, Analytic, OverFn, OverForm, find_aggregate, find_analytic};
use velostream_types::{DataType, EdgeId, Field, Span, Value};

use super::Binder;
use super::aggregate::{Grouped, Written};
use super::query::{Flow, Items};
use super::scope::Scope;
use super::subquery::VALUE;
use super::table_key::Identity;
use crate::diag::Diagnostic;
use crate::parse::ast::{self, FrameEdge, FrameText, Over};
use crate::plan::{
    AggregateCall, Expr, ExprKind, Frame, FrameBound, LateStrategy, NodeKind, OverCall, OverKind, OverSpec, Route,
    SortKey, WindowKind, WindowSpec,
};

/// Placeholder position of the first result.
pub(super) const RESULT: usize = usize::MAX / 2;
/// Rows of a buffer that nothing bounds.
const DEFAULT_BUFFER: u64 = 1_000;
/// What is said of it.
pub(super) const UNBOUNDED: &str = "W0443";
/// A buffer beyond this is worth a warning.
const LARGE_BUFFER: u64 = 10_000;
/// How long a partition of the buffered form may be idle, ns.
const EXPIRE_NS: i64 = 60_000_000_000;
const REWRITE: &str =
    "compute it in a query of its own: SELECT … FROM (SELECT k, ROW_NUMBER() OVER (…) AS n FROM t) WHERE n = 1";

/// A call whose columns have no places yet.
#[derive(Clone, Debug)]
pub(super) struct PendingOver {
    partition: Vec<Expr>,
    order: Vec<(Expr, bool, bool)>,
    buffer: u64,
    when_full: bool,
    expire_ns: Option<i64>,
    /// Arguments; the positions in `kind` are those in this list.
    columns: Vec<Expr>,
    kind: OverKind,
    frame: Frame,
    result: DataType,
    span: Span,
}

impl PendingOver {
    /// Every expression over the rows that the call is made for.
    pub fn exprs(&mut self) -> impl Iterator<Item = &mut Expr> {
        self.partition.iter_mut().chain(self.order.iter_mut().map(|o| &mut o.0)).chain(&mut self.columns)
    }

    /// Where the call stands.
    pub fn span(&self) -> Span {
        self.span
    }

    fn has_buffer_of(&self, other: &PendingOver) -> bool {
        let kinds = |list: &[Expr]| list.iter().map(|e| e.kind.clone()).collect::<Vec<_>>();
        let order = |o: &PendingOver| o.order.iter().map(|k| (k.0.kind.clone(), k.1, k.2)).collect::<Vec<_>>();
        kinds(&self.partition) == kinds(&other.partition)
            && order(self) == order(other)
            && (self.buffer, self.when_full, self.expire_ns) == (other.buffer, other.when_full, other.expire_ns)
            // Where the frame says which rows are kept, other frames have other buffers.
            && (self.buffer != u64::MAX || self.frame == other.frame)
            // A ranking may turn out to be a Top-N, whose buffer holds other rows; where rows come out of full buffers alone
            // it cannot, and a node behind another would not see the rows that filled that one's.
            && (self.when_full || self.ranking() == other.ranking())
    }

    fn ranking(&self) -> Option<OverFn> {
        match self.kind {
            OverKind::Analytic { function, .. } => {
                [OverFn::RowNumber, OverFn::Rank, OverFn::DenseRank].into_iter().find(|rank| *rank == function)
            }
            OverKind::Aggregate(_) => None,
        }
    }
}

impl<'a> Binder<'a> {
    pub(super) fn bind_over<'q>(&mut self, over: &'q Over, span: Span, scope: &mut Scope<'q>) -> Option<Expr> {
        let upper = over.call.name.name.to_uppercase();
        if !matches!(scope.clause, "SELECT" | "ORDER BY") || scope.inside.is_some() {
            let place = scope.inside.unwrap_or(scope.clause);
            let message =
                format!("{upper} OVER (…) is not allowed in {place}: it is computed of the rows that are selected");
            self.report(Diagnostic::error("E0422", span, message).hint(REWRITE));
            return None;
        }
        let analytic = find_analytic(&upper);
        if analytic.is_none() && find_aggregate(&upper, over.call.star).is_none() {
            if velostream_functions::find(&upper).is_none() {
                return self.unknown_function(&over.call.name, &upper);
            }
            let message = format!("{upper} is computed of one row alone, so it takes no OVER");
            let hint = "leave OVER out, or use an aggregate or an analytic function such as LAG, RANK or ROW_NUMBER";
            self.report(Diagnostic::error("E0423", over.call.name.span, message).hint(hint));
            return None;
        }
        scope.inside = Some("OVER");
        let bound = self.over_parts(over, analytic, span, scope);
        scope.inside = None;
        bound
    }

    fn over_parts<'q>(
        &mut self,
        over: &'q Over,
        analytic: Option<&'static Analytic>,
        span: Span,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let partition: Vec<Option<Expr>> = over.partition.iter().map(|e| self.over_argument(e, scope)).collect();
        let mut order = Vec::with_capacity(over.order.len());
        for key in &over.order {
            let bound = self.over_argument(&key.expr, scope)?;
            order.push((bound, key.descending, key.nulls_first.unwrap_or(!key.descending)));
        }
        let frame = self.frame(over.frame.as_ref(), &order, span)?;
        let buffer = self.buffer_rows(over, &frame, span)?;
        let pending = PendingOver {
            partition: partition.into_iter().collect::<Option<_>>()?,
            order,
            buffer,
            when_full: over.when_full,
            expire_ns: match (over.expire, over.buffer) {
                (Some(said), _) => said.map(|d| d.ns),
                (None, Some(_)) => Some(EXPIRE_NS),
                (None, None) => None,
            },
            columns: Vec::new(),
            kind: OverKind::Analytic {
                function: OverFn::RowNumber,
                argument: None,
                count: 0,
                default: None,
                ignore_nulls: over.ignore_nulls,
            },
            frame,
            result: DataType::Integer,
            span,
        };
        if pending.expire_ns.is_some() {
            self.orders_by_event_time(&scope.rel);
        }
        match analytic {
            Some(analytic) => self.analytic_call(over, analytic, pending, scope),
            None => self.aggregate_over(over, pending, scope),
        }
    }

    /// An expression inside OVER: aggregates in it are those of the groups that the select list is over.
    fn over_argument<'q>(&mut self, expr: &'q ast::Expr, scope: &mut Scope<'q>) -> Option<Expr> {
        let grouped = scope.grouped.is_some();
        let inside = if grouped { scope.inside.take() } else { None };
        let bound = self.bind(expr, scope);
        if grouped {
            scope.inside = inside;
        }
        bound
    }

    fn analytic_call<'q>(
        &mut self,
        over: &'q Over,
        analytic: &'static Analytic,
        mut pending: PendingOver,
        scope: &mut Scope<'q>,
    ) -> Option<Expr> {
        let call = &over.call;
        if call.distinct || call.filter.is_some() || !call.order.is_empty() {
            let message = format!("{} takes no DISTINCT, ORDER BY or FILTER", analytic.name);
            self.report(Diagnostic::error("E0420", pending.span, message).hint("the order belongs into OVER (…)"));
            return None;
        }
        let most = match analytic.form {
            OverForm::Plain => 0..=0,
            OverForm::Count | OverForm::Value => 1..=1,
            OverForm::Offset => 1..=3,
            OverForm::ValueAt => 2..=2,
        };
        if call.star || !most.contains(&call.args.len()) {
            let found = if call.star { "*".to_owned() } else { call.args.len().to_string() };
            let wanted = match (most.start(), most.end()) {
                (0, _) => "no argument".to_owned(),
                (1, 1) => "1 argument".to_owned(),
                (a, b) if a == b => format!("{a} arguments"),
                (a, b) => format!("{a} to {b} arguments"),
            };
            let message = format!("{} takes {wanted}, not {found}", analytic.name);
            let hint = format!("write {}", analytic.signature);
            self.report(Diagnostic::error("E0207", pending.span, message).hint(hint));
            return None;
        }
        if analytic.function == OverFn::Lead {
            let message = "LEAD sees rows that came already: for the newest row it gives its default";
            let hint = "LAG in the opposite order looks back, which never depends on what comes later";
            self.report(Diagnostic::warning("W0440", pending.span, message).hint(hint));
        }
        let takes_value = matches!(analytic.form, OverForm::Offset | OverForm::Value | OverForm::ValueAt);
        let (value, count) = match analytic.form {
            OverForm::Count => (None, call.args.first()),
            _ => (call.args.first(), call.args.get(1)),
        };
        let mut argument = None;
        if let Some(value) = value.filter(|_| takes_value) {
            let bound = self.over_argument(value, scope)?;
            pending.result = bound.data_type.clone();
            pending.columns.push(bound);
            argument = Some(0);
        }
        let least = u64::from(analytic.form != OverForm::Offset);
        let count = match count {
            Some(count) => self.over_count(analytic, count, least, scope)?,
            None => 1,
        };
        let mut default = None;
        if let Some(given) = call.args.get(2) {
            let given = self.over_argument(given, scope)?;
            let both = vec![pending.columns.remove(0), given];
            let (both, data_type) = self.unified(both, analytic.name, pending.span)?;
            pending.columns = both;
            (default, pending.result) = (Some(1), data_type);
        }
        if matches!(analytic.function, OverFn::PercentRank | OverFn::CumeDist) {
            pending.result = DataType::Float;
        }
        let (function, ignore_nulls) = (analytic.function, over.ignore_nulls);
        pending.kind = OverKind::Analytic { function, argument, count, default, ignore_nulls };
        Some(placed(pending, scope))
    }

    /// A constant number of rows or parts.
    fn over_count<'q>(
        &mut self,
        analytic: &'static Analytic,
        expr: &'q ast::Expr,
        least: u64,
        scope: &mut Scope<'q>,
    ) -> Option<u64> {
        let bound = self.over_argument(expr, scope)?;
        if let ExprKind::Literal(Value::Int(n)) = bound.kind
            && let Ok(n) = u64::try_from(n)
            && n >= least
        {
            return Some(n);
        }
        let what = match analytic.form {
            OverForm::Offset => "the offset",
            OverForm::Count => "the number of parts",
            _ => "the position",
        };
        let message = format!("{}: {what} is a constant of at least {least}", analytic.name);
        let mut diagnostic = Diagnostic::error("E0308", bound.span, message);
        if let (ExprKind::Literal(Value::Int(_)), OverFn::Lag | OverFn::Lead) = (&bound.kind, analytic.function) {
            let other = if analytic.function == OverFn::Lag { "LEAD" } else { "LAG" };
            diagnostic = diagnostic.hint(format!("to look the other way write {other}"));
        }
        self.report(diagnostic);
        None
    }

    /// An aggregate over the rows of the frame.
    fn aggregate_over<'q>(&mut self, over: &'q Over, pending: PendingOver, scope: &mut Scope<'q>) -> Option<Expr> {
        let call = &over.call;
        let aggregate = find_aggregate(&call.name.name, call.star)?;
        let plain = Written::plain(aggregate, &call.name, &call.args, call.star, pending.span);
        let mut written =
            Written { distinct: call.distinct, order: &call.order, filter: call.filter.as_ref(), ..plain };
        if aggregate.form == AggregateForm::Fraction && call.order.is_empty() && call.args.len() == 1 {
            // PERCENTILE_CONT(p) OVER (… ORDER BY x) is of x.
            written.order = over.order.get(..1).unwrap_or_default();
        }
        // A buffer bounds what is kept, as a window does.
        let bounded = WindowSpec {
            kind: WindowKind::Tumbling { size_ns: 1 },
            zone: None,
            lateness_ns: 0,
            late: LateStrategy::Drop,
        };
        let mut own = Grouped::new(Some(bounded), &scope.rel);
        own.changelog = false;
        let inside = if scope.grouped.is_some() { scope.inside.take() } else { None };
        let bound = self.call_parts(&mut own, &written, scope);
        scope.inside = inside.or(scope.inside);
        let mut bound = bound?;
        let places: Vec<usize> = own
            .calls
            .iter()
            .map(|call| {
                let (kind, result) = (OverKind::Aggregate(call.clone()), call.result.clone());
                let result = PendingOver { columns: own.project.clone(), kind, result, ..pending.clone() };
                match placed(result, scope).kind {
                    ExprKind::Column(place) => place,
                    _ => RESULT,
                }
            })
            .collect();
        super::graph::columns(&mut bound, &mut |column| *column = places.get(*column).copied().unwrap_or(*column));
        Some(Expr { span: pending.span, ..bound })
    }

    /// Rows that the buffer of a partition holds.
    fn buffer_rows(&mut self, over: &Over, frame: &Frame, span: Span) -> Option<u64> {
        if let Some(buffer) = &over.buffer {
            if buffer.rows == 0 {
                let message = "a buffer holds at least 1 row";
                self.report(Diagnostic::error("E0424", buffer.span, message).hint("write for example BUFFER 100 ROWS"));
                return None;
            }
            if buffer.rows > LARGE_BUFFER {
                let message = format!("each partition keeps up to {} rows", buffer.rows);
                let hint = "a WINDOW with GROUP BY keeps one row for each group";
                self.report(Diagnostic::warning("W0442", buffer.span, message).hint(hint));
            }
            return Some(buffer.rows);
        }
        let before = |bound: &FrameBound| match bound {
            FrameBound::CurrentRow | FrameBound::Following(_) => Some(0),
            FrameBound::Preceding(Value::Int(n)) => u64::try_from(*n).ok(),
            _ => None,
        };
        let behind = |bound: &FrameBound| match bound {
            FrameBound::CurrentRow | FrameBound::Preceding(_) => Some(0),
            FrameBound::Following(Value::Int(n)) => u64::try_from(*n).ok(),
            _ => None,
        };
        let of_range = frame.range && !matches!(frame.start, FrameBound::UnboundedPreceding);
        match (over.frame.as_ref().filter(|f| !f.range), before(&frame.start), behind(&frame.end)) {
            // Rows older than the range are dropped by their values.
            _ if of_range => Some(u64::MAX),
            (Some(_), Some(start), Some(end)) => Some(start.saturating_add(end).saturating_add(1)),
            _ => {
                let message =
                    format!("nothing bounds the rows that OVER keeps: the last {DEFAULT_BUFFER} of each partition");
                let hint =
                    "write ROWS WINDOW BUFFER n ROWS, or a frame such as ROWS BETWEEN 9 PRECEDING AND CURRENT ROW";
                self.report(Diagnostic::warning(UNBOUNDED, span, message).hint(hint));
                Some(DEFAULT_BUFFER)
            }
        }
    }

    fn frame(&mut self, written: Option<&FrameText>, order: &[(Expr, bool, bool)], span: Span) -> Option<Frame> {
        let Some(frame) = written else {
            let end = if order.is_empty() { FrameBound::UnboundedFollowing } else { FrameBound::CurrentRow };
            return Some(Frame { range: false, start: FrameBound::UnboundedPreceding, end });
        };
        let start = self.frame_bound(&frame.first, frame, order)?;
        let end = self.frame_bound(&frame.last, frame, order)?;
        let mut wrong = None;
        if matches!(start, FrameBound::UnboundedFollowing) || matches!(end, FrameBound::UnboundedPreceding) {
            wrong = Some("a frame begins at its first row and ends at its last");
        } else if place(&start) > place(&end) {
            wrong = Some("the frame ends before it begins");
        }
        if let Some(message) = wrong {
            let hint = "write the earlier bound first, as in ROWS BETWEEN 9 PRECEDING AND CURRENT ROW";
            self.report(Diagnostic::error("E0424", frame.span, message).hint(hint));
            return None;
        }
        if place(&end) > (0, 0) {
            let message = "a row is computed when it comes: FOLLOWING rows count only where they came before it";
            let hint = "end the frame at CURRENT ROW";
            self.report(Diagnostic::warning("W0441", frame.span, message).also(span, "the call").hint(hint));
        }
        Some(Frame { range: frame.range, start, end })
    }

    fn frame_bound(&mut self, edge: &FrameEdge, frame: &FrameText, order: &[(Expr, bool, bool)]) -> Option<FrameBound> {
        let (distance, preceding) = match edge {
            FrameEdge::CurrentRow => return Some(FrameBound::CurrentRow),
            FrameEdge::Preceding(None) => return Some(FrameBound::UnboundedPreceding),
            FrameEdge::Following(None) => return Some(FrameBound::UnboundedFollowing),
            FrameEdge::Preceding(Some(distance)) => (distance, true),
            FrameEdge::Following(Some(distance)) => (distance, false),
        };
        let mut scope = Scope::new(super::scope::Rel::poisoned(""));
        let value = match self.bind(distance, &mut scope)?.kind {
            ExprKind::Literal(value) => value,
            _ => Value::Null,
        };
        let negative = matches!(&value, Value::Int(n) | Value::Interval(n) if *n < 0);
        let by = order.first().filter(|_| order.len() == 1).map(|key| &key.0.data_type);
        let wrong = match (&value, frame.range, by) {
            _ if negative => "the distance of a frame's bound is not negative",
            (Value::Int(_), false, _) => "",
            (_, false, _) => "a ROWS frame counts rows: its bounds are constant whole numbers",
            (Value::Interval(_), true, Some(DataType::Integer | DataType::Timestamp)) => "",
            (Value::Int(_) | Value::Decimal { .. }, true, Some(by)) if by.is_numeric() => "",
            (Value::Interval(_), true, _) => {
                "a RANGE of time needs one ORDER BY column of type TIMESTAMP or INTEGER (ms)"
            }
            (_, true, _) => "a RANGE frame needs one ORDER BY column, and a constant distance of its kind",
        };
        if !wrong.is_empty() {
            let hint = "write ROWS BETWEEN 9 PRECEDING AND CURRENT ROW, or ORDER BY ts RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW";
            self.report(Diagnostic::error("E0424", distance.span, wrong).hint(hint));
            return None;
        }
        Some(if preceding { FrameBound::Preceding(value) } else { FrameBound::Following(value) })
    }

    /// Puts the Over nodes behind the rows of `flow` and makes the items read their results.
    pub(super) fn over_nodes(&mut self, flow: &mut Flow, items: &mut Items) {
        let mut overs = std::mem::take(&mut items.overs);
        if overs.is_empty() {
            return;
        }
        if flow.changelog {
            // A call is computed once, when its row comes: what becomes of the row later takes nothing back.
            flow.node = self.graph.add(NodeKind::Events, Some(flow.node), Vec::new(), false, self.statement);
            flow.changelog = false;
            flow.identity = Identity::default();
        }
        let mut project: Vec<Expr> = Vec::new();
        let Items { exprs, event_time, edits, order, .. } = &mut *items;
        let all = exprs.iter_mut().chain(event_time.iter_mut()).chain(edits.iter_mut());
        all.chain(order.iter_mut().map(|key| &mut key.0)).for_each(|expr| lift(expr, &mut project));
        for column in &mut flow.identity.columns {
            let data_type = self.graph.column_field(flow.node, *column).map_or(DataType::Null, |f| f.data_type);
            let expr = Expr { kind: ExprKind::Column(*column), data_type, span: Span::default() };
            *column = column_of(expr, &mut project);
        }
        // Per buffer: the calls by number, and the places of what they read.
        let mut buffers: Vec<Vec<usize>> = Vec::new();
        for (n, over) in overs.iter().enumerate() {
            match buffers.iter_mut().find(|calls| overs[calls[0]].has_buffer_of(over)) {
                Some(calls) => calls.push(n),
                None => buffers.push(vec![n]),
            }
        }
        // What lets only rows of full buffers through stands behind those that count every row.
        buffers.sort_by_key(|calls| overs[calls[0]].when_full);
        let places: Vec<Vec<usize>> =
            overs.iter_mut().map(|o| o.exprs().map(|e| column_of(e.clone(), &mut project)).collect()).collect();
        let fields: Vec<Field> =
            project.iter().enumerate().map(|(n, e)| self.lifted_field(flow.node, "over", n, e)).collect();
        self.note_failures(&project, flow.raw, &flow.roots);
        let kind = NodeKind::Project { exprs: project, event_time: None };
        let node = self.graph.add(kind, Some(flow.node), fields.clone(), flow.changelog, self.statement);
        let live = flow.roots.iter().any(|root| self.graph.sources[*root].is_live());
        let mut placed = Placed { live, node, fields, offset: 0, places, results: vec![(0, 0); overs.len()] };
        for calls in &buffers {
            self.over_node(calls, &overs, flow.changelog, &mut placed);
        }
        let Placed { node, offset, results, .. } = placed;
        let settle = |column: &mut usize| {
            *column = match column.checked_sub(RESULT).and_then(|n| results.get(n)) {
                Some((end, i)) => offset - end + i,
                None => *column + offset,
            }
        };
        let all = exprs.iter_mut().chain(event_time.iter_mut()).chain(edits.iter_mut());
        all.chain(order.iter_mut().map(|key| &mut key.0)).for_each(|e| super::graph::columns(e, &mut |c| settle(c)));
        flow.identity.columns.iter_mut().for_each(|column| *column += offset);
        flow.node = node;
        flow.is_global = false;
    }

    /// The Over node of the calls with these numbers, which share a buffer.
    fn over_node(&mut self, calls: &[usize], overs: &[PendingOver], changelog: bool, placed: &mut Placed) {
        let Some(first) = calls.first().map(|n| &overs[*n]) else { return };
        let offset = placed.offset;
        // Places of a call's expressions: those of the partition, of the order, of the arguments.
        let at = |n: usize, from: usize, count: usize| -> Vec<usize> {
            placed.places[n][from..from + count].iter().map(|place| place + offset).collect()
        };
        let partition = at(calls[0], 0, first.partition.len());
        let columns = at(calls[0], first.partition.len(), first.order.len());
        let key = |(column, (_, descending, nulls_first)): (usize, &(Expr, bool, bool))| SortKey {
            column,
            descending: *descending,
            nulls_first: *nulls_first,
        };
        let order: Vec<SortKey> = columns.into_iter().zip(&first.order).map(key).collect();
        let call = |n: &usize| {
            let over = &overs[*n];
            let columns = at(*n, over.partition.len() + over.order.len(), over.columns.len());
            let (frame, result, span) = (over.frame.clone(), over.result.clone(), over.span);
            OverCall { kind: with_columns(over.kind.clone(), &columns), frame, result, span }
        };
        let spec = OverSpec {
            partition: partition.clone(),
            order,
            buffer: first.buffer,
            best: None,
            live: placed.live,
            when_full: first.when_full,
            expire_ns: first.expire_ns,
            calls: calls.iter().map(call).collect(),
        };
        let results: Vec<Field> = spec.calls.iter().map(|call| Field::new("over", call.result.clone())).collect();
        placed.fields.splice(0..0, results);
        let exchange = NodeKind::Exchange { edge: EdgeId(0), route: Route::Key(partition) };
        let exchange = self.graph.add(exchange, Some(placed.node), Vec::new(), changelog, self.statement);
        let (kind, fields) = (NodeKind::Over(Box::new(spec)), placed.fields.clone());
        placed.node = self.graph.add(kind, Some(exchange), fields, changelog, self.statement);
        placed.offset += calls.len();
        calls.iter().enumerate().for_each(|(i, n)| placed.results[*n] = (placed.offset, i));
    }

    /// Field of expression `n` of a Project over `node`; `what` it is for, where it is no column.
    pub(super) fn lifted_field(&self, node: usize, what: &str, n: usize, expr: &Expr) -> Field {
        let below = match expr.kind {
            ExprKind::Column(column) => self.graph.column_field(node, column),
            _ => None,
        };
        let name = below.as_ref().map_or_else(|| format!("{what}_{}", n + 1), |f| f.name.clone());
        let inferred = below.is_some_and(|f| f.inferred);
        Field { name, data_type: expr.data_type.clone(), nullable: true, inferred }
    }
}

/// Over nodes while they are put one behind the other.
struct Placed {
    /// Some input does not end.
    live: bool,
    /// The last one.
    node: usize,
    /// Its columns.
    fields: Vec<Field>,
    /// How many of them are results.
    offset: usize,
    /// Per call: places of its expressions in the Project below all of them.
    places: Vec<Vec<usize>>,
    /// Per call: `offset` behind its node, and its place among that node's results.
    results: Vec<(usize, usize)>,
}

/// The column of a call; an equal one is computed once.
fn placed(call: PendingOver, scope: &mut Scope<'_>) -> Expr {
    let kinds = |o: &PendingOver| o.columns.iter().map(|e| e.kind.clone()).collect::<Vec<_>>();
    let plain = |o: &PendingOver| match &o.kind {
        OverKind::Aggregate(call) => OverKind::Aggregate(AggregateCall { span: Span::default(), ..call.clone() }),
        kind => kind.clone(),
    };
    let same = |o: &PendingOver| {
        o.has_buffer_of(&call) && plain(o) == plain(&call) && o.frame == call.frame && kinds(o) == kinds(&call)
    };
    let (data_type, span) = (call.result.clone(), call.span);
    let at = scope.overs.iter().position(same).unwrap_or_else(|| {
        scope.overs.push(call);
        scope.overs.len() - 1
    });
    Expr { kind: ExprKind::Column(RESULT + at), data_type, span }
}

/// Makes every column that `expr` reads one of `project`; results of calls and subqueries stay placeholders.
pub(super) fn lift(expr: &mut Expr, project: &mut Vec<Expr>) {
    match expr.kind {
        ExprKind::Column(column) if column < VALUE => expr.kind = ExprKind::Column(column_of(expr.clone(), project)),
        ExprKind::Column(_) => {}
        _ => expr.each_child_mut(&mut |child| lift(child, project)),
    }
}

pub(super) fn column_of(expr: Expr, project: &mut Vec<Expr>) -> usize {
    let same = |e: &Expr| e.kind == expr.kind && e.data_type == expr.data_type;
    project.iter().position(same).unwrap_or_else(|| {
        project.push(expr);
        project.len() - 1
    })
}

/// `kind` with positions among its own columns replaced by theirs.
fn with_columns(kind: OverKind, columns: &[usize]) -> OverKind {
    let at = |column: usize| columns.get(column).copied().unwrap_or(column);
    match kind {
        OverKind::Aggregate(mut call) => {
            call.arguments.iter_mut().chain(&mut call.filter).for_each(|column| *column = at(*column));
            call.order.iter_mut().for_each(|key| key.column = at(key.column));
            OverKind::Aggregate(call)
        }
        OverKind::Analytic { function, argument, count, default, ignore_nulls } => {
            let (argument, default) = (argument.map(at), default.map(at));
            OverKind::Analytic { function, argument, count, default, ignore_nulls }
        }
    }
}

/// Where a bound lies against the current row; those of values compare among themselves.
fn place(bound: &FrameBound) -> (i8, i128) {
    let distance = |value: &Value| match value {
        Value::Int(n) | Value::Interval(n) => i128::from(*n),
        Value::Decimal { mantissa, .. } => *mantissa,
        _ => 0,
    };
    match bound {
        FrameBound::UnboundedPreceding => (-2, 0),
        FrameBound::Preceding(value) if distance(value) == 0 => (0, 0),
        FrameBound::Preceding(value) => (-1, -distance(value)),
        FrameBound::CurrentRow => (0, 0),
        FrameBound::Following(value) if distance(value) == 0 => (0, 0),
        FrameBound::Following(value) => (1, distance(value)),
        FrameBound::UnboundedFollowing => (2, 0),
    }
}
