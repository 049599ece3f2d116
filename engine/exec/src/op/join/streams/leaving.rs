//! Rows that go: those that stayed alone are told of, pairs that waited for the watermark are given, then all are forgotten.
//!
//! The order is that of what is told: by event time, then as-if order; of windows by their end first, and in each its pairs
//! in front of its lone rows. A piece is as many rows as fit a batch. Cost: a sort of what is told.

use velostream_sql::plan::Side;
use velostream_state::rows::NONE;
use velostream_types::Within;

use super::super::marks::Mark;
use super::rule::Rule;
use super::{Cursor, Piece, Streams, number, side_of};
use crate::operator::OpCx;

/// Rows on their way out.
#[derive(Debug)]
pub(super) struct Leaving {
    /// Those that something is told of, in order.
    told: Vec<(Side, u32)>,
    /// All.
    freed: Vec<(Side, u32)>,
    /// The row under way.
    at: usize,
    /// Its next partner; `None`: not looked for yet.
    next: Option<u32>,
    /// The window under way, as a range of what is told.
    window: (usize, usize),
    /// Its pairs are given.
    alone: bool,
    /// The watermark follows.
    forwards: bool,
}

/// End of the window, time, as-if order, side.
type Turn = (i64, i64, (i64, Within, u64), Side);

impl Streams {
    /// Finds what the watermarks free.
    pub(super) fn begin_leaving(&mut self, forwards: bool) {
        let mut freed = Vec::new();
        for side in [Side::Left, Side::Right] {
            let mut slots = Vec::new();
            let upto = self.frees(side);
            self.sides[number(side)].due(upto, &mut slots);
            freed.extend(slots.into_iter().map(|slot| (side, slot)));
        }
        if matches!(self.rule, Rule::Session { .. }) {
            self.keep_open(&mut freed);
        }
        let mut told: Vec<(Side, u32)> =
            freed.iter().copied().filter(|(side, slot)| self.is_told(*side, *slot)).collect();
        told.sort_by_cached_key(|(side, slot)| self.turn(*side, *slot));
        let alone = !self.gives_pairs();
        let window = if alone { (0, told.len()) } else { (0, 0) };
        self.cursor = Cursor::Leaving(Leaving { told, freed, at: 0, next: None, window, alone, forwards });
    }

    /// TRUE where pairs wait for their window to close.
    fn gives_pairs(&self) -> bool {
        self.rule.has_windows() && !self.rule.at_once()
    }

    fn is_told(&self, side: Side, slot: u32) -> bool {
        self.tells(side) && (!self.rule.at_once() || !self.sides[number(side)].met[slot as usize])
    }

    fn turn(&self, side: Side, slot: u32) -> Turn {
        let held = &self.sides[number(side)];
        let end = held.window(slot).map_or(0, |(_, end)| end);
        (end, held.time(slot), held.marks.at(slot).order, side)
    }

    /// Gives the next rows, or forgets them all behind the last and hands the watermark on.
    pub(super) fn leave(&mut self, mut leaving: Leaving, cx: &mut OpCx<'_>) {
        let most = cx.batch_rows.max(1);
        while leaving.window.1 < leaving.told.len() || leaving.at < leaving.window.1 || !leaving.alone {
            if self.gives_pairs() && leaving.alone && leaving.at == leaving.window.1 {
                self.next_window(&mut leaving);
            }
            let judged = !leaving.alone;
            let piece = match (&self.rule, judged) {
                (_, true) => self.pairs_of_window(&mut leaving, most),
                (Rule::Nearest { .. }, false) => self.nearest(&mut leaving, most),
                (_, false) => self.alone(&mut leaving, most),
            };
            if judged && leaving.at == leaving.window.1 {
                (leaving.alone, leaving.at) = (true, leaving.window.0);
            }
            if piece.len() == 0 {
                continue;
            }
            let slots = judged.then(|| (piece.lefts.clone(), piece.rights.clone()));
            let matches = self.give(piece, None, judged, cx);
            if let Some((lefts, rights)) = slots {
                for ((left, right), _) in lefts.iter().zip(rights).zip(matches).filter(|(_, matches)| *matches) {
                    self.sides[0].met[*left as usize] = true;
                    self.sides[1].met[right as usize] = true;
                }
            }
            if !self.ready.is_empty() {
                self.cursor = Cursor::Leaving(leaving);
                return;
            }
        }
        self.forget(leaving, cx);
    }

    fn forget(&mut self, leaving: Leaving, cx: &mut OpCx<'_>) {
        for (side, slot) in leaving.freed {
            let held = &mut self.sides[number(side)];
            self.keys.release(held.groups[slot as usize]);
            held.free(slot);
        }
        if leaving.forwards {
            let floor = self.floor();
            self.ready.extend(self.progress.forward(self.rule.reach(), floor));
        }
        self.gauge(cx);
    }

    /// Goes on to the next window of what is told.
    fn next_window(&self, leaving: &mut Leaving) {
        let from = leaving.window.1;
        let end = |at: usize| {
            let (side, slot) = leaving.told[at];
            self.sides[number(side)].window(slot).map(|(_, end)| end)
        };
        let to = (from..leaving.told.len()).find(|at| end(*at) != end(from)).unwrap_or(leaving.told.len());
        (leaving.window, leaving.at, leaving.alone) = ((from, to), from, false);
    }

    /// Pairs of rows that were in one window.
    fn pairs_of_window(&self, leaving: &mut Leaving, most: usize) -> Piece {
        let mut piece = Piece::default();
        let [lefts, rights] = &self.sides;
        while leaving.at < leaving.window.1 && piece.len() < most {
            let (side, left) = leaving.told[leaving.at];
            let group = lefts.groups.get(left as usize).copied().unwrap_or(NONE);
            if side == Side::Right || self.keys.is_blank(group) {
                leaving.at += 1;
                continue;
            }
            let mut right = leaving.next.take().unwrap_or_else(|| rights.chains.first(group));
            let window = lefts.window(left).unwrap_or_default();
            let mark = lefts.marks.at(left);
            while right != NONE && piece.len() < most {
                if rights.window(right) == Some(window) {
                    piece.lefts.push(left);
                    piece.rights.push(right);
                    piece.marks.push(Mark::joined(&mark, &rights.marks.at(right)));
                    piece.windows.push(window);
                }
                right = rights.chains.next(right);
            }
            match right {
                NONE => leaving.at += 1,
                right => leaving.next = Some(right),
            }
        }
        piece
    }

    /// Rows that met nothing.
    fn alone(&self, leaving: &mut Leaving, most: usize) -> Piece {
        let mut piece = Piece::default();
        while leaving.at < leaving.window.1 && piece.len() < most {
            let (side, slot) = leaving.told[leaving.at];
            leaving.at += 1;
            let held = &self.sides[number(side)];
            if held.met[slot as usize] || !self.kind.keeps(side) {
                continue;
            }
            let is_left = side_of(0) == side;
            piece.lefts.push(if is_left { slot } else { NONE });
            piece.rights.push(if is_left { NONE } else { slot });
            piece.marks.push(held.marks.at(slot));
            piece.windows.extend(held.window(slot));
        }
        piece
    }

    /// Left rows with the nearest right row of their key.
    fn nearest(&self, leaving: &mut Leaving, most: usize) -> Piece {
        let mut piece = Piece::default();
        while leaving.at < leaving.window.1 && piece.len() < most {
            let (_, left) = leaving.told[leaving.at];
            leaving.at += 1;
            let right = self.nearest_to(left);
            let mark = self.sides[0].marks.at(left);
            match right {
                NONE if !self.kind.keeps(Side::Left) => continue,
                NONE => piece.marks.push(mark),
                right => piece.marks.push(Mark::joined(&mark, &self.sides[1].marks.at(right))),
            }
            piece.lefts.push(left);
            piece.rights.push(right);
        }
        piece
    }

    /// The nearest right row to a left one: of those at or before it the last, of those at or behind it the first.
    fn nearest_to(&self, left: u32) -> u32 {
        let Rule::Nearest { bounds, forward } = &self.rule else { return NONE };
        let [lefts, rights] = &self.sides;
        let group = lefts.groups[left as usize];
        if self.keys.is_blank(group) {
            return NONE;
        }
        let time = lefts.time(left);
        let (from, to) = bounds.range(Side::Left, time);
        let (mut at, mut found) = (rights.chains.last(group), NONE);
        while at != NONE && rights.time(at) >= from {
            let its = rights.time(at);
            let counts = its <= to
                && self.rule.last(Side::Left, time, 0) >= rights.marks.wm_own(at)
                && self.rule.last(Side::Right, its, 0) >= lefts.marks.wm_own(left);
            if counts {
                found = at;
                if !forward {
                    break;
                }
            }
            at = rights.chains.prev(at);
        }
        found
    }
}
