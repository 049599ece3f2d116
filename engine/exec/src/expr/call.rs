//! Calls of catalogue functions: says which rows count, hands the kernel its arguments, and turns its failures into
//! record errors.

use arrow_buffer::{BooleanBuffer, NullBuffer};
use velostream_functions::{Arg, Call, Function, Nulls, Prepared, RowContext};
use velostream_types::DataType;

use super::datum::{Datum, View};
use super::eval::{Selection, Session};
use super::node::Node;

/// Evaluates one call.
pub(super) fn call(
    function: &'static Function,
    args: &[Node],
    prepared: Option<&Prepared>,
    node: &Node,
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Datum<'static> {
    let values: Vec<Datum<'_>> = args.iter().map(|arg| session.eval(arg, selection)).collect();
    let propagates = function.nulls == Nulls::Propagate;
    if propagates && values.iter().any(Datum::is_all_null) {
        return Datum::NULL;
    }
    let present = if propagates { present(&values, session.rows) } else { None };
    let live: Option<BooleanBuffer> = match (present, selection) {
        (Some(nulls), Some(selection)) => Some(nulls.inner() & selection),
        (Some(nulls), None) => Some(nulls.into_inner()),
        (None, selection) => selection.cloned(),
    };
    let views: Vec<(Arg<'_>, &DataType)> = values.iter().zip(args).map(|(v, n)| (arg(v), &n.data_type)).collect();
    let context = RowContext {
        batch: session.batch,
        now_ns: session.ctx.now_ns,
        run_start_ms: session.ctx.run_start_ms,
        seed: session.ctx.seed,
        site: u64::from(node.span.start),
    };
    let mut call = Call::new(context, &views, &node.data_type, live.as_ref(), prepared);
    let column = (function.kernel)(&mut call);
    debug_assert_eq!(column.len(), session.rows, "{} gave another number of rows", function.name);
    session.rounded += call.rounded;
    for failure in call.into_failures() {
        session.fail(failure.row, failure.fail.code, node.span, failure.fail.message);
    }
    Datum::Column(column)
}

fn arg<'a>(datum: &'a Datum<'_>) -> Arg<'a> {
    match datum.view() {
        View::Column(column) => Arg::Column(column),
        View::Const(value) => Arg::Const(value),
    }
}

/// Rows where every argument has a value; `None`: all.
fn present(values: &[Datum<'_>], rows: usize) -> Option<NullBuffer> {
    values.iter().fold(None, |nulls, value| NullBuffer::union(nulls.as_ref(), value.nulls(rows).as_ref()))
}
