//! One row per key: of a relation that changes, all that live, of which the greatest stands; of rows that only come, the last.

use std::cmp::Ordering;

use velostream_types::Value;

use super::eval::{order, same};
use super::graph::Flow;

/// The live rows of one key.
#[derive(Default)]
pub(super) struct Keyed {
    rows: Vec<Vec<Value>>,
}

impl Keyed {
    /// Takes a row, or takes one back; gives the old and the new row of the key when another one stands now.
    pub fn take(&mut self, row: Flow, given: &mut Vec<Flow>) {
        let before = self.greatest().cloned();
        if row.weight > 0 {
            self.rows.push(row.values.clone());
        } else if let Some(at) = self.rows.iter().position(|known| equal(known, &row.values)) {
            self.rows.swap_remove(at);
        }
        let after = self.greatest().cloned();
        if before.is_some() == after.is_some() && before.iter().zip(&after).all(|(a, b)| equal(a, b)) {
            return;
        }
        let of = |values: Vec<Value>, weight| Flow { values, weight, ..row.clone() };
        given.extend(before.map(|values| of(values, -1)));
        given.extend(after.map(|values| of(values, 1)));
    }

    fn greatest(&self) -> Option<&Vec<Value>> {
        self.rows.iter().max_by(|a, b| compare(a, b))
    }
}

/// The last row of one key by order.
#[derive(Default)]
pub(super) struct Upserted {
    last: Option<Flow>,
    /// It only ended the one before.
    ended: bool,
}

impl Upserted {
    /// Takes a row; gives the one it replaces and itself. An earlier one is no news.
    pub fn take(&mut self, row: Flow, ends: bool, given: &mut Vec<Flow>) {
        if self.last.as_ref().is_some_and(|last| last.order > row.order) {
            return;
        }
        let before = self.last.replace(row.clone()).filter(|_| !self.ended);
        self.ended = ends;
        given.extend(before.map(|before| Flow { values: before.values, weight: -1, ..row.clone() }));
        given.extend(Some(row).filter(|_| !ends));
    }
}

fn equal(a: &[Value], b: &[Value]) -> bool {
    a.iter().zip(b).all(|(a, b)| same(a, b))
}

/// By columns from left to right; NULL is the least.
fn compare(a: &[Value], b: &[Value]) -> Ordering {
    let pairs = a.iter().zip(b).map(|(a, b)| match (a.is_null(), b.is_null()) {
        (false, false) => order(a, b).unwrap_or(Ordering::Equal),
        (a, b) => b.cmp(&a),
    });
    pairs.fold(Ordering::Equal, Ordering::then)
}
