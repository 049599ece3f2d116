//! OVER: each row is computed once, when it comes, over what its partition's buffer holds and itself.
//!
//! The buffer keeps the n greatest rows by the ORDER BY value whatever DESC says (of equal ones the later; NULL is the
//! least), without ORDER BY the last n; never more than n count for one result. A RANGE frame of the standard form keeps
//! rows from the greatest value less the interval on, that of the row that comes among them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::aggregate::{self, Row};
use super::model::{Bound, Buffer, Call, Expire, Frame, Over as Clause, SECOND};
use super::simulate::{Event, Given, Operator};
use super::value::Value;

/// The operator.
pub struct Over {
    clause: Clause,
    partitions: BTreeMap<Vec<Value>, Partition>,
    came: u64,
}

#[derive(Default)]
struct Partition {
    kept: Vec<Held>,
    last: Option<i64>,
    /// Of the ORDER BY values.
    greatest: Option<i128>,
}

#[derive(Clone)]
struct Held {
    row: Row,
    /// ORDER BY value; NULL without one.
    by: Value,
    came: u64,
}

impl Over {
    pub fn new(clause: &Clause) -> Over {
        Over { clause: clause.clone(), partitions: BTreeMap::new(), came: 0 }
    }

    /// Rows that count for one result at most.
    fn limit(&self) -> usize {
        match (self.clause.buffer, self.clause.frame) {
            (Buffer::Rows(n), _) => n,
            (Buffer::Standard, Some(Frame::Rows(Some(before), last))) => match last {
                Bound::Preceding(_) | Bound::Current => before + 1,
                Bound::Following(behind) => before + behind + 1,
                Bound::Unbounded => usize::MAX,
            },
            (Buffer::Standard, _) => usize::MAX,
        }
    }

    fn timeout(&self) -> Option<i64> {
        match (self.clause.expire, self.clause.buffer) {
            (Some(Expire::After(ns)), _) => Some(ns),
            (Some(Expire::Never), _) | (None, Buffer::Standard) => None,
            (None, Buffer::Rows(_)) => Some(60 * SECOND),
        }
    }

    /// Rows leave that a frame of the greatest row's does not reach: a row is computed of what is left when it has come.
    fn narrow(&self, partition: &mut Partition) {
        if let (Buffer::Standard, Some(Frame::Range(before, behind))) = (self.clause.buffer, self.clause.frame) {
            let least = partition.greatest.map(|m| m - i128::from(before + behind));
            partition.kept.retain(|h| h.by.mantissa() >= least);
        }
    }

    fn written(&self, a: &Held, b: &Held) -> Ordering {
        let by = a.by.cmp(&b.by);
        let by = if self.clause.order.is_some_and(|(_, desc)| desc) { by.reverse() } else { by };
        by.then(a.came.cmp(&b.came))
    }
}

impl Operator for Over {
    fn row(&mut self, row: Row, given: &mut Given) {
        let key: Vec<Value> = self.clause.partition.iter().map(|c| row.values[*c].clone()).collect();
        let (limit, timeout) = (self.limit(), self.timeout());
        let by = self.clause.order.map_or(Value::Null, |(c, _)| row.values[c].clone());
        let new = Held { row, by, came: self.came };
        self.came += 1;
        let mut partition = self.partitions.remove(&key).unwrap_or_default();
        if let (Some(last), Some(timeout)) = (partition.last, timeout)
            && new.row.at - last > timeout
        {
            (partition.kept, partition.greatest) = (Vec::new(), None);
        }
        // Of all rows that came: one that comes late makes nothing older.
        partition.last = partition.last.max(Some(new.row.at));
        partition.greatest = partition.greatest.take().max(new.by.mantissa());
        self.narrow(&mut partition);
        let mut others = partition.kept.clone();
        others.sort_by(|a, b| b.by.cmp(&a.by).then(b.came.cmp(&a.came)));
        others.truncate(limit - 1);
        others.push(new.clone());
        others.sort_by(|a, b| self.written(a, b));
        let full = others.len() >= limit;
        if !self.clause.on_full || full {
            let values = self.computed(&others, &new);
            given.events.push(Event::Row(Row { values, ..new.row.clone() }));
        }
        partition.kept.push(new);
        partition.kept.sort_by(|a, b| b.by.cmp(&a.by).then(b.came.cmp(&a.came)));
        partition.kept.truncate(limit);
        self.narrow(&mut partition);
        self.partitions.insert(key, partition);
    }
}

impl Over {
    fn computed(&self, rows: &[Held], new: &Held) -> Vec<Value> {
        let at = rows.iter().position(|h| h.came == new.came).unwrap_or(0);
        let frame = self.frame(rows, at);
        let items = self.clause.items.iter().map(|i| new.row.values[*i].clone());
        items.chain(self.clause.calls.iter().map(|call| self.call(*call, rows, at, &frame))).collect()
    }

    fn frame<'h>(&self, rows: &'h [Held], at: usize) -> Vec<&'h Held> {
        let (from, to) = match self.clause.frame {
            None if self.clause.order.is_some() => (0, at + 1),
            None => (0, rows.len()),
            Some(Frame::Rows(before, last)) => {
                let to = match last {
                    Bound::Preceding(n) => (at + 1).saturating_sub(n),
                    Bound::Current => at + 1,
                    Bound::Following(n) => at + 1 + n,
                    Bound::Unbounded => rows.len(),
                };
                (before.map_or(0, |n| at.saturating_sub(n)), to.min(rows.len()))
            }
            Some(Frame::Range(before, behind)) => {
                let Some(value) = rows[at].by.mantissa() else { return Vec::new() };
                let within = value - i128::from(before)..=value + i128::from(behind);
                return rows.iter().filter(|h| h.by.mantissa().is_some_and(|m| within.contains(&m))).collect();
            }
        };
        rows.get(from..to).unwrap_or_default().iter().collect()
    }

    fn call(&self, call: Call, rows: &[Held], at: usize, frame: &[&Held]) -> Value {
        let ordered = self.clause.order.is_some();
        let by = &rows[at].by;
        let before = || rows[..at].iter().filter(|h| h.by != *by);
        let rank = if ordered { before().count() + 1 } else { 1 };
        let value = |h: Option<&Held>, c: usize| h.map_or(Value::Null, |h| h.row.values[c].clone());
        let shifted = |h: Option<&Held>, c: usize, default: bool| match h {
            None if default => Value::Int(-1),
            other => value(other, c),
        };
        let int = |n: usize| Value::Int(n as i128);
        let kept =
            |c: usize, ignore: bool| frame.iter().copied().filter(move |h| !ignore || h.row.values[c] != Value::Null);
        match call {
            Call::RowNumber => int(at + 1),
            Call::Rank => int(rank),
            Call::DenseRank if !ordered => int(1),
            Call::DenseRank => {
                let mut values: Vec<&Value> = before().map(|h| &h.by).collect();
                values.dedup();
                int(values.len() + 1)
            }
            Call::PercentRank => Value::ratio(rank as i128 - 1, rows.len() as i128 - 1),
            Call::CumeDist => {
                let peers = rows.iter().rposition(|h| !ordered || h.by == *by).unwrap_or(at);
                Value::ratio(peers as i128 + 1, rows.len() as i128)
            }
            Call::Ntile(k) => int(bucket(at, rows.len(), k)),
            Call::Lag(c, by, default) => shifted(at.checked_sub(by).and_then(|i| rows.get(i)), c, default),
            Call::Lead(c, by, default) => shifted(rows.get(at + by), c, default),
            Call::FirstValue(c, ignore) => value(kept(c, ignore).next(), c),
            Call::LastValue(c, ignore) => value(kept(c, ignore).next_back(), c),
            Call::NthValue(c, n) => value(frame.get(n - 1).copied(), c),
            Call::Of(of) => aggregate::value(of, &frame.iter().map(|h| &h.row).collect::<Vec<&Row>>()),
        }
    }
}

/// Of `n` rows in `k` buckets the first `n % k` have one more.
fn bucket(at: usize, n: usize, k: usize) -> usize {
    let (each, more) = (n / k, n % k);
    let long = more * (each + 1);
    if at < long { at / (each + 1) + 1 } else { more + (at - long) / each.max(1) + 1 }
}
