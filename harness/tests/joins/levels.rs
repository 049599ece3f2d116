//! Joins of a stream's rows, one row at a time. Each keeps all rows and compares every pair.
//!
//! A row is judged by the watermark of its own partition just before it, or by the operator's where that is ahead, which
//! happens only behind a partition that was idle. Rows without a match come out when the operator's watermark, the least
//! of both inputs that are not idle, has passed the latest time a partner may have.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::eval::{Row, Scope, Store, Values, windows_of};
use super::model::{Bound, Join, Keeps, Mode, Shape};
use super::value::Value;

/// What travels between operators; a watermark of `i64::MAX` is the end.
#[derive(Clone, Debug)]
pub enum Event {
    Row(Row),
    Watermark(i64),
}

/// What a join may ask.
pub struct Cx<'a> {
    pub join: &'a Join,
    pub store: &'a Store,
    /// Object at the right, and where the left is one relation at the left.
    pub objects: [usize; 2],
    /// Values of each relation at the left, and at the right.
    pub widths: [&'a [usize]; 2],
    /// Of a lookup by version: the table's rows at a time of the event, as seen by a row of such a watermark.
    pub version: &'a dyn Fn(i64, i64) -> Vec<Values>,
    /// Pairs and rows that lateness kept from meeting.
    pub refused: &'a Cell<u64>,
}

impl Cx<'_> {
    /// The pair as one row, if keys and residual hold.
    fn pair(&self, left: &Row, right: &Row) -> Option<Row> {
        let parts = left.parts.iter().chain(&right.parts).cloned().collect();
        let row = Row {
            parts,
            at: left.at.max(right.at),
            own: left.own.min(right.own),
            place: left.place,
            window: left.window.or(right.window),
        };
        self.meets(&row).then_some(row)
    }

    fn meets(&self, row: &Row) -> bool {
        let scope = Scope::of(row, self.store);
        let eval = |expr| scope.eval(expr).unwrap_or(Value::Null);
        let keys = self.join.keys.iter().all(|(l, r)| eval(l).compare(&eval(r)).is_some_and(|o| o.is_eq()));
        keys && self.join.residual.as_ref().is_none_or(|residual| eval(residual) == Value::Bool(true))
    }

    /// A row of one side without a partner.
    fn alone(&self, side: usize, row: &Row) -> Row {
        let nulls = self.widths[1 - side].iter().map(|width| vec![Value::Null; *width]);
        let own = row.parts.iter().cloned();
        let parts = if side == 0 { own.chain(nulls).collect() } else { nulls.chain(own).collect() };
        Row { parts, ..row.clone() }
    }

    fn refuse(&self) {
        self.refused.set(self.refused.get() + 1);
    }
}

/// A join's state.
pub trait Level {
    fn row(&mut self, side: usize, row: Row, cx: &Cx<'_>, given: &mut Vec<Event>);
    fn watermark(&mut self, side: usize, at: i64, cx: &Cx<'_>, given: &mut Vec<Event>);
}

pub fn level(join: &Join) -> Box<dyn Level> {
    match join.mode {
        Mode::Interval { bound, retention } => {
            Box::new(Interval { bound, retention, kept: Default::default(), marks: Marks::new() })
        }
        Mode::Window { shape: Shape::Session(gap), .. } => {
            Box::new(Sessions { gap, kept: Default::default(), marks: Marks::new() })
        }
        Mode::Window { shape, .. } => Box::new(Spans { shape, kept: Default::default(), marks: Marks::new() }),
        Mode::AsOf { bound, strict } => {
            Box::new(AsOf { before: bound.before, strict, kept: Default::default(), marks: Marks::new() })
        }
        Mode::Lookup { table, version } => Box::new(Lookup { table, version, held: Vec::new(), met: Vec::new() }),
        Mode::Tables => Box::new(Lookup { table: 1, version: false, held: Vec::new(), met: Vec::new() }),
    }
}

/// Watermarks of both inputs; an idle one has none.
struct Marks {
    of: [Option<i64>; 2],
    least: i64,
}

impl Marks {
    fn new() -> Marks {
        Marks { of: [None; 2], least: i64::MIN }
    }

    fn pass(&mut self, side: usize, at: i64) {
        self.of[side] = Some(at);
        self.least = self.of.iter().flatten().min().copied().unwrap_or(i64::MIN).max(self.least);
    }

    fn forward(&self, behind: i64) -> Event {
        let known = self.least != i64::MIN && self.least != i64::MAX;
        Event::Watermark(if known { self.least - behind } else { self.least })
    }
}

/// A row of one side.
struct Kept {
    row: Row,
    /// The watermark it is judged by.
    own: i64,
    matched: bool,
    told: bool,
}

impl Kept {
    fn new(row: Row, marks: &Marks) -> Kept {
        let own = row.own.max(marks.least);
        Kept { row, own, matched: false, told: false }
    }
}

struct Interval {
    bound: Bound,
    retention: i64,
    kept: [Vec<Kept>; 2],
    marks: Marks,
}

impl Interval {
    /// The latest time of a partner of a row of this side at that time.
    fn last(&self, side: usize, at: i64) -> i64 {
        at + self.retention + if side == 0 { self.bound.after } else { self.bound.before }
    }

    fn tell(&mut self, cx: &Cx<'_>, given: &mut Vec<Event>) {
        let mut alone = Vec::new();
        for side in 0..2 {
            let over: Vec<bool> =
                self.kept[side].iter().map(|k| self.last(side, k.row.at) < self.marks.least).collect();
            for (kept, over) in self.kept[side].iter_mut().zip(over) {
                if over && !kept.told {
                    kept.told = true;
                    if !kept.matched && cx.join.keeps.of(side) {
                        alone.push(cx.alone(side, &kept.row));
                    }
                }
            }
        }
        alone.sort_by_key(|row| (row.at, row.place));
        given.extend(alone.into_iter().map(Event::Row));
    }
}

impl Level for Interval {
    fn row(&mut self, side: usize, row: Row, cx: &Cx<'_>, given: &mut Vec<Event>) {
        let mut new = Kept::new(row, &self.marks);
        let (bound, retention) = (self.bound, self.retention);
        let last_new = self.last(side, new.row.at);
        for old in &mut self.kept[1 - side] {
            let (left, right) = if side == 0 { (&new.row, &old.row) } else { (&old.row, &new.row) };
            if right.at < left.at - bound.before || right.at > left.at + bound.after {
                continue;
            }
            let Some(pair) = cx.pair(left, right) else { continue };
            let last_old = old.row.at + retention + if side == 0 { bound.before } else { bound.after };
            if last_old < new.own || last_new < old.own {
                cx.refuse();
                continue;
            }
            (old.matched, new.matched) = (true, true);
            given.push(Event::Row(pair));
        }
        self.kept[side].push(new);
        self.tell(cx, given);
    }

    fn watermark(&mut self, side: usize, at: i64, cx: &Cx<'_>, given: &mut Vec<Event>) {
        self.marks.pass(side, at);
        self.tell(cx, given);
        given.push(self.marks.forward(self.bound.before.max(self.bound.after).max(0) + self.retention));
    }
}

/// TUMBLING and HOPPING: rows of both sides that are in one window.
struct Spans {
    shape: Shape,
    kept: BTreeMap<(i64, i64), [Vec<Kept>; 2]>,
    marks: Marks,
}

impl Level for Spans {
    fn row(&mut self, side: usize, row: Row, cx: &Cx<'_>, given: &mut Vec<Event>) {
        for window in windows_of(self.shape, row.at) {
            let mut new = Kept::new(Row { window: Some(window), ..row.clone() }, &self.marks);
            if window.1 <= new.own {
                cx.refuse();
                continue;
            }
            let span = self.kept.entry(window).or_default();
            for old in &mut span[1 - side] {
                let (left, right) = if side == 0 { (&new.row, &old.row) } else { (&old.row, &new.row) };
                if let Some(pair) = cx.pair(left, right) {
                    (old.matched, new.matched) = (true, true);
                    given.push(Event::Row(pair));
                }
            }
            span[side].push(new);
        }
    }

    fn watermark(&mut self, side: usize, at: i64, cx: &Cx<'_>, given: &mut Vec<Event>) {
        self.marks.pass(side, at);
        let over: Vec<(i64, i64)> = self.kept.keys().filter(|w| w.1 <= self.marks.least).copied().collect();
        for window in over {
            let span = self.kept.remove(&window).unwrap_or_default();
            tell_unmatched(&span, cx, given);
        }
        let size = match self.shape {
            Shape::Tumbling(size) | Shape::Hopping(size, _) | Shape::Session(size) => size,
        };
        given.push(self.marks.forward(size));
    }
}

fn tell_unmatched(span: &[Vec<Kept>; 2], cx: &Cx<'_>, given: &mut Vec<Event>) {
    for (side, rows) in span.iter().enumerate().filter(|(side, _)| cx.join.keeps.of(*side)) {
        let unmatched = rows.iter().filter(|k| !k.matched);
        given.extend(unmatched.map(|k| Event::Row(cx.alone(side, &k.row))));
    }
}

/// SESSION: rows of both sides with equal keys that follow each other within the gap. Told at the end.
struct Sessions {
    gap: i64,
    kept: [Vec<Kept>; 2],
    marks: Marks,
}

impl Sessions {
    fn tell(&mut self, cx: &Cx<'_>, given: &mut Vec<Event>) {
        let mut keyed: BTreeMap<Vec<String>, Vec<(i64, usize, Row)>> = BTreeMap::new();
        for (side, rows) in std::mem::take(&mut self.kept).into_iter().enumerate() {
            for kept in rows {
                keyed.entry(self.key(side, &kept.row, cx)).or_default().push((kept.row.at, side, kept.row));
            }
        }
        for (_, mut rows) in keyed {
            rows.sort_by_key(|(at, _, _)| *at);
            let mut span: Vec<(i64, usize, Row)> = Vec::new();
            for row in rows {
                if span.last().is_some_and(|(last, _, _)| row.0 - last > self.gap) {
                    self.close(std::mem::take(&mut span), cx, given);
                }
                span.push(row);
            }
            self.close(span, cx, given);
        }
    }

    /// Numbers that are equal have equal keys.
    fn key(&self, side: usize, row: &Row, cx: &Cx<'_>) -> Vec<String> {
        let row = cx.alone(side, row);
        let scope = Scope::of(&row, cx.store);
        let of = cx.join.keys.iter().map(|(l, r)| scope.eval(if side == 0 { l } else { r }).unwrap_or(Value::Null));
        of.map(|value| value.plus(&Value::Dec(0), 1).max(value).text()).collect()
    }

    fn close(&self, span: Vec<(i64, usize, Row)>, cx: &Cx<'_>, given: &mut Vec<Event>) {
        let (Some(first), Some(last)) = (span.first(), span.last()) else { return };
        let window = Some((first.0, last.0 + self.gap));
        let mut sides: [Vec<Kept>; 2] = Default::default();
        for (_, side, row) in span {
            let row = Row { window, ..row };
            sides[side].push(Kept { own: row.own, row, matched: false, told: false });
        }
        let [lefts, rights] = &mut sides;
        for left in lefts {
            for right in rights.iter_mut() {
                if let Some(pair) = cx.pair(&left.row, &right.row) {
                    (left.matched, right.matched) = (true, true);
                    given.push(Event::Row(pair));
                }
            }
        }
        tell_unmatched(&sides, cx, given);
    }
}

impl Level for Sessions {
    fn row(&mut self, side: usize, row: Row, cx: &Cx<'_>, _given: &mut Vec<Event>) {
        let new = Kept::new(row, &self.marks);
        // Lateness is the gap where it is not said.
        if new.own != i64::MIN && new.row.at + self.gap < new.own {
            cx.refuse();
            return;
        }
        self.kept[side].push(new);
    }

    fn watermark(&mut self, side: usize, at: i64, cx: &Cx<'_>, given: &mut Vec<Event>) {
        self.marks.pass(side, at);
        if self.marks.least == i64::MAX {
            self.tell(cx, given);
            given.push(Event::Watermark(i64::MAX));
        }
    }
}

/// The latest right row at or before each left one. Told at the end.
struct AsOf {
    before: i64,
    strict: bool,
    kept: [Vec<Kept>; 2],
    marks: Marks,
}

impl Level for AsOf {
    fn row(&mut self, side: usize, row: Row, _cx: &Cx<'_>, _given: &mut Vec<Event>) {
        self.kept[side].push(Kept::new(row, &self.marks));
    }

    fn watermark(&mut self, side: usize, at: i64, cx: &Cx<'_>, given: &mut Vec<Event>) {
        self.marks.pass(side, at);
        if self.marks.least != i64::MAX {
            return;
        }
        let [lefts, rights] = std::mem::take(&mut self.kept);
        let late = i64::from(self.strict);
        for left in &lefts {
            let mut best: Option<(i64, (i64, usize, usize), Row)> = None;
            for right in &rights {
                let apart = left.row.at - right.row.at;
                if apart < late || apart > self.before {
                    continue;
                }
                let Some(pair) = cx.pair(&left.row, &right.row) else { continue };
                if left.row.at - late < right.own || right.row.at + self.before < left.own {
                    cx.refuse();
                    continue;
                }
                let order = (right.row.at, right.row.place);
                if best.as_ref().is_none_or(|(at, place, _)| (*at, *place) < order) {
                    best = Some((order.0, order.1, pair));
                }
            }
            match best {
                Some((_, _, pair)) => given.push(Event::Row(pair)),
                None if cx.join.keeps == Keeps::Left => given.push(Event::Row(cx.alone(0, &left.row))),
                None => {}
            }
        }
        given.push(Event::Watermark(i64::MAX));
    }
}

/// Rows of a stream look up a table as it is when they come, or as it was at their time.
struct Lookup {
    table: usize,
    version: bool,
    /// Until the end, when all versions are known.
    held: Vec<Row>,
    /// Table rows that a row of the stream met.
    met: Vec<Values>,
}

impl Lookup {
    fn look(&mut self, row: &Row, rows: &[Values], cx: &Cx<'_>, given: &mut Vec<Event>) {
        let stream = 1 - self.table;
        let mut matched = false;
        for values in rows {
            let found = Row { parts: vec![values.clone()], ..row.clone() };
            let (left, right) = if stream == 0 { (row, &found) } else { (&found, row) };
            if let Some(pair) = cx.pair(left, right) {
                matched = true;
                self.met.push(values.clone());
                given.push(Event::Row(pair));
            }
        }
        if !matched && cx.join.keeps.of(stream) {
            given.push(Event::Row(cx.alone(stream, row)));
        }
    }
}

impl Level for Lookup {
    fn row(&mut self, _side: usize, row: Row, cx: &Cx<'_>, given: &mut Vec<Event>) {
        if self.version {
            self.held.push(row);
            return;
        }
        self.look(&row, cx.store.rows(cx.objects[self.table]), cx, given);
    }

    fn watermark(&mut self, _side: usize, at: i64, cx: &Cx<'_>, given: &mut Vec<Event>) {
        if at == i64::MAX {
            for row in std::mem::take(&mut self.held) {
                let rows = (cx.version)(row.at, row.own);
                self.look(&row, &rows, cx, given);
            }
            if cx.join.keeps.of(self.table) {
                for values in cx.store.rows(cx.objects[self.table]).iter().filter(|v| !self.met.contains(v)) {
                    given.push(Event::Row(cx.alone(self.table, &Row::plain(vec![values.clone()]))));
                }
            }
        }
        given.push(Event::Watermark(at));
    }
}
