//! Rows that came look up the rows of the other side that were there before them.
//!
//! The candidates of a row are one range of its key's chain, found from the chain's end, and are given in the chain's order.
//! A piece is as many pairs as fit a batch, of as many rows; the next piece goes on behind the last candidate.

use velostream_sql::plan::Side;
use velostream_state::rows::NONE;
use velostream_types::Batch;

use super::super::marks::Mark;
use super::held::Arrival;
use super::rule::Rule;
use super::{Cursor, Piece, Streams, number};
use crate::operator::OpCx;

/// Rows of a batch among their candidates.
#[derive(Debug)]
pub(super) struct Probe {
    pub side: Side,
    pub batch: Batch,
    pub arrivals: Vec<Arrival>,
    /// The row under way.
    at: usize,
    /// Its next candidate; `None`: not looked for yet.
    next: Option<u32>,
}

impl Probe {
    pub(super) fn new(side: Side, batch: Batch, arrivals: Vec<Arrival>) -> Probe {
        Probe { side, batch, arrivals, at: 0, next: None }
    }
}

impl Streams {
    /// Gives the next pairs of rows that came, or stores them behind the last.
    pub(super) fn probe(&mut self, mut probe: Box<Probe>, cx: &mut OpCx<'_>) {
        if !self.rule.at_once() {
            return self.store(*probe, cx);
        }
        let (piece, arrivals) = self.next_pairs(&mut probe, cx.batch_rows.max(1));
        if piece.len() == 0 {
            return self.store(*probe, cx);
        }
        let slots = match probe.side {
            Side::Left => piece.rights.clone(),
            Side::Right => piece.lefts.clone(),
        };
        let matches = self.give(piece, Some((probe.side, &probe.batch)), true, cx);
        let other = &mut self.sides[number(probe.side.other())];
        for ((arrival, slot), _) in arrivals.iter().zip(slots).zip(matches).filter(|(_, matches)| *matches) {
            probe.arrivals[*arrival as usize].met = true;
            other.met[slot as usize] = true;
        }
        self.cursor = Cursor::Probe(probe);
    }

    /// At most so many pairs, and the arrival each is of.
    fn next_pairs(&self, probe: &mut Probe, most: usize) -> (Piece, Vec<u32>) {
        let mut piece = Piece::default();
        let mut of = Vec::new();
        let other = &self.sides[number(probe.side.other())];
        let mut mark: Option<Mark> = None;
        while probe.at < probe.arrivals.len() && piece.len() < most {
            let arrival = probe.arrivals[probe.at];
            let mut slot = match probe.next.take() {
                Some(slot) => slot,
                None => self.first_candidate(probe.side, &arrival),
            };
            while slot != NONE && piece.len() < most {
                match self.candidate(probe.side, &arrival, slot) {
                    Found::Beyond => {
                        slot = NONE;
                        break;
                    }
                    Found::Missed => {}
                    Found::Met => {
                        let own = mark.get_or_insert_with(|| Mark::of(&probe.batch.meta, arrival.row as usize));
                        let its = other.marks.at(slot);
                        let (left, right, joined) = match probe.side {
                            Side::Left => (arrival.row, slot, Mark::joined(own, &its)),
                            Side::Right => (slot, arrival.row, Mark::joined(&its, own)),
                        };
                        piece.lefts.push(left);
                        piece.rights.push(right);
                        piece.marks.push(joined);
                        if self.rule.has_windows() {
                            piece.windows.push(arrival.window);
                        }
                        of.push(probe.at as u32);
                    }
                }
                slot = other.chains.next(slot);
            }
            if slot != NONE {
                probe.next = Some(slot);
            } else {
                probe.at += 1;
                mark = None;
            }
        }
        (piece, of)
    }

    /// The first row of the other side that may meet this one; [`NONE`] where there is none.
    fn first_candidate(&self, side: Side, arrival: &Arrival) -> u32 {
        if !arrival.meets {
            return NONE;
        }
        let other = &self.sides[number(side.other())];
        let Rule::Interval(bounds) = &self.rule else { return other.chains.first(arrival.group) };
        let (from, _) = bounds.range(side, arrival.time);
        let (mut at, mut first) = (other.chains.last(arrival.group), NONE);
        while at != NONE && other.time(at) >= from {
            first = at;
            at = other.chains.prev(at);
        }
        first
    }

    /// Whether a row that came meets a row of the other side, the residual aside.
    fn candidate(&self, side: Side, arrival: &Arrival, slot: u32) -> Found {
        let Rule::Interval(bounds) = &self.rule else { return Found::Met };
        let other = &self.sides[number(side.other())];
        let time = other.time(slot);
        if time > bounds.range(side, arrival.time).1 {
            return Found::Beyond;
        }
        let meets = self.rule.last(side, arrival.time, 0) >= other.marks.wm_own(slot)
            && self.rule.last(side.other(), time, 0) >= arrival.own;
        if meets { Found::Met } else { Found::Missed }
    }
}

/// What a candidate is.
enum Found {
    Met,
    Missed,
    /// It and all behind it are too late.
    Beyond,
}
