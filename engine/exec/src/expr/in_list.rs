//! `x [NOT] IN (a, b, …)`: TRUE at a match, NULL when none matched but a NULL stood in the way.
//!
//! Candidates are tried in order, each only for the rows no candidate before matched, so a later one never raises for a
//! row that is decided. Long lists of constant texts or integers are looked up in sorted order instead.

use arrow_buffer::BooleanBuffer;
use velostream_sql::plan::CompareOp;
use velostream_types::{Column, Value};

use super::compare;
use super::datum::{Datum, View, both, selected, validity};
use super::eval::{Selection, Session};
use super::node::Node;

/// From this many constants on, looking up beats comparing with each.
const LOOKUP_FROM: usize = 8;

/// The list, prepared once.
#[derive(Clone, Debug)]
pub(super) struct Candidates {
    nodes: Vec<Node>,
    lookup: Option<Lookup>,
}

/// Constants without NULL in ascending order.
#[derive(Clone, Debug)]
enum Lookup {
    Ints(Vec<i64>),
    Texts(Vec<Box<str>>),
}

impl Candidates {
    pub fn new(nodes: Vec<Node>) -> Candidates {
        let lookup = if nodes.len() >= LOOKUP_FROM { Lookup::of(&nodes) } else { None };
        Candidates { nodes, lookup }
    }

    /// The candidates as written.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }
}

impl Lookup {
    fn of(nodes: &[Node]) -> Option<Lookup> {
        let ints = nodes.iter().map(|n| match n.as_const()? {
            Value::Int(i) => Some(*i),
            _ => None,
        });
        if let Some(mut ints) = ints.collect::<Option<Vec<i64>>>() {
            ints.sort_unstable();
            return Some(Lookup::Ints(ints));
        }
        let texts = nodes.iter().map(|n| match n.as_const()? {
            Value::Str(s) => Some(s.clone()),
            _ => None,
        });
        let mut texts = texts.collect::<Option<Vec<Box<str>>>>()?;
        texts.sort_unstable();
        Some(Lookup::Texts(texts))
    }

    /// Bits of the rows found; `None` when the operand is of another kind.
    fn find(&self, operand: &Datum<'_>) -> Option<BooleanBuffer> {
        match (self, operand.view()) {
            (Lookup::Ints(sorted), View::Column(Column::Int(a))) => {
                let values = a.values();
                Some(BooleanBuffer::collect_bool(values.len(), |i| sorted.binary_search(&values[i]).is_ok()))
            }
            (Lookup::Texts(sorted), View::Column(Column::Str(a))) => {
                Some(BooleanBuffer::collect_bool(a.views().len(), |i| {
                    sorted.binary_search_by(|t| t.as_bytes().cmp(a.value(i).as_bytes())).is_ok()
                }))
            }
            _ => None,
        }
    }
}

/// Evaluates the predicate.
pub(super) fn in_list(
    operand: &Node,
    list: &Candidates,
    negated: bool,
    selection: Selection<'_>,
    session: &mut Session<'_>,
) -> Datum<'static> {
    let rows = session.rows;
    let value = session.eval(operand, selection);
    if let Some(found) = list.lookup.as_ref().and_then(|l| l.find(&value)) {
        return Datum::bools(if negated { !&found } else { found }, value.nulls(rows));
    }
    let all = selected(selection, rows);
    let mut matched = BooleanBuffer::new_unset(rows);
    let mut known = BooleanBuffer::new_set(rows);
    for candidate in &list.nodes {
        let open = &all & &!&matched;
        if !open.has_true() {
            break;
        }
        let candidate = session.eval(candidate, Some(&open));
        let nulls = both(&value, &candidate, rows);
        let comparable = !value.is_all_null() && !candidate.is_all_null();
        let equal = comparable.then(|| compare::bits(CompareOp::Equal, &value, &candidate, rows, false)).flatten();
        match (equal, &nulls) {
            (Some(equal), None) => matched |= &equal,
            (Some(equal), Some(valid)) => {
                matched |= &(&equal & valid.inner());
                known &= valid.inner();
            }
            (None, _) => known = BooleanBuffer::new_unset(rows),
        }
    }
    known |= &matched;
    Datum::bools(if negated { !&matched } else { matched }, validity(known))
}
