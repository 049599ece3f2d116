//! Joins of two streams: within bounds in time, in windows, and with the nearest row.
//!
//! Stands behind an exchange of each side by the key. Rows of both sides are kept until no row can meet them any more; what
//! "meet" means, and when that is, says the mode's [`rule`]. Rows of a batch look up the other side's rows of their keys
//! ([`probe`]), then are stored ([`held`]) if one that comes later may still meet them. A watermark frees rows of the other
//! side; the lower one of both tells of those that stayed alone, or gives the pairs that waited for it ([`leaving`]), before
//! it is handed on less what may still come behind it. So state is bounded by the span of the bound (or the windows) and by how far one
//! side runs ahead of the other.
//!
//! Rows are judged by the watermark of their own partition, which makes what matches a function of the partitions'
//! contents; when state is freed never shows. Cost per row: one key, one probe, one look at each candidate.

mod held;
mod keys;
mod leaving;
mod probe;
mod progress;
mod rule;
mod saved;
mod sessions;

use std::collections::VecDeque;

use velostream_sql::plan::{JoinKind, JoinMode, JoinSpec, LateStrategy, Side};
use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter};
use velostream_types::time::{WM_END, WM_NONE, duration_text, timestamp_text};
use velostream_types::{Batch, Column, Fatal, SchemaRef};

use super::marks::{Mark, batches};
use super::output::Output;
use crate::expr::EvalContext;
use crate::op::aggregate::letters::late_row;
use crate::op::aggregate::{Place, times};
use crate::op::inputs::{Input, Inputs};
use crate::operator::{Msg, OpCx, Operator};
use held::{Arrival, Held};
use keys::Keys;
use leaving::Leaving;
use probe::Probe;
use progress::Progress;
use rule::{Rule, behind};

/// What is left to give of the last message.
#[derive(Debug)]
enum Cursor {
    None,
    /// Rows that came, on their way through their candidates.
    Probe(Box<Probe>),
    /// Rows that go.
    Leaving(Leaving),
}

/// The operator.
#[derive(Debug)]
pub struct Streams {
    rule: Rule,
    kind: JoinKind,
    columns: [Vec<usize>; 2],
    inputs: Inputs,
    sides: [Held; 2],
    keys: Keys,
    progress: Progress,
    output: Output,
    place: Place,
    /// Rows that are late for all of their windows go to the dead letters.
    letters: bool,
    cursor: Cursor,
    ready: VecDeque<Msg>,
    /// Rows of an earlier run below this time were given out by it.
    resumed: i64,
    /// The operator's watermark then.
    resumed_at: i64,
    /// Highest time that rows came with.
    highest: i64,
    /// A part of a snapshot told how far it was.
    restored: bool,
}

/// The number of a side.
pub(super) fn number(side: Side) -> usize {
    usize::from(side == Side::Right)
}

/// The side of a number.
fn side_of(number: usize) -> Side {
    if number == 0 { Side::Left } else { Side::Right }
}

/// Rows of a join on their way out, with the windows they met in.
#[derive(Debug, Default)]
struct Piece {
    lefts: Vec<u32>,
    rights: Vec<u32>,
    marks: Vec<Mark>,
    windows: Vec<(i64, i64)>,
}

impl Piece {
    fn len(&self) -> usize {
        self.marks.len()
    }
}

impl Streams {
    /// An operator of this spec, over inputs of these schemas.
    pub fn new(spec: &JoinSpec, inputs: [&SchemaRef; 2], place: Place, ctx: EvalContext) -> Streams {
        let rule = Rule::of(&spec.mode);
        let side = |side, schema: &SchemaRef| Held::new(spec, side, schema, &rule);
        Streams {
            sides: [side(Side::Left, inputs[0]), side(Side::Right, inputs[1])],
            kind: spec.kind,
            columns: [spec.left_keys.clone(), spec.right_keys.clone()],
            inputs: Inputs::new(2),
            keys: Keys::default(),
            progress: Progress::new(),
            output: Output::new(spec, ctx, place.sources.clone(), place.dlq),
            letters: matches!(spec.mode, JoinMode::Window { spec, .. } if spec.late == LateStrategy::DeadLetter),
            place,
            cursor: Cursor::None,
            ready: VecDeque::new(),
            resumed: WM_NONE,
            resumed_at: WM_NONE,
            highest: WM_NONE,
            restored: false,
            rule,
        }
    }

    fn act(&mut self, input: Input, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        match input {
            Input::Rows(port, batch) => {
                cx.counters.rows_in += batch.rows as u64;
                self.arrive(side_of(port), batch, cx)?;
            }
            Input::Watermark(port, at) => {
                self.progress.watermark(port, at);
                self.begin_leaving(true);
            }
            Input::Idle(port) => {
                self.progress.idle(port);
                self.begin_leaving(true);
            }
            Input::Barrier(id) => self.ready.push_back(Msg::Barrier(id)),
            // Rows that waited have an earlier order than those that came.
            Input::Passed(..) => {}
        }
        Ok(())
    }

    /// The watermark that a row is judged by, besides that of its own partition.
    fn judge(&self) -> i64 {
        self.progress.least()
    }

    /// The watermark that frees rows of a side.
    fn frees(&self, side: Side) -> i64 {
        let least = self.progress.least();
        match &self.rule {
            // Rows of the left side that wait may need it, too; those still to come need it no shorter.
            Rule::Nearest { bounds, .. } if !self.tells(side) => behind(least, bounds.after.max(0)),
            _ => least,
        }
    }

    /// TRUE when the pair's or lone row's content is told for each row of this side.
    fn tells(&self, side: Side) -> bool {
        match self.rule {
            Rule::Nearest { .. } => side == Side::Left,
            Rule::Session { .. } | Rule::Window { at_close: true, .. } => true,
            Rule::Interval(_) | Rule::Window { .. } => self.kind.keeps(side),
        }
    }

    /// Takes rows: judges them, finds their keys, and begins to look up the other side.
    fn arrive(&mut self, side: Side, batch: Batch, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        let (mut arrivals, kept) = self.judged(side, &batch, cx)?;
        let batch = if kept.len() == batch.rows { batch } else { batch.take(&kept) };
        if arrivals.is_empty() {
            return Ok(());
        }
        let windows: Option<Vec<(u32, i64)>> = matches!(self.rule, Rule::Window { .. })
            .then(|| arrivals.iter().map(|arrival| (arrival.row, arrival.window.0)).collect());
        let groups = self.keys.assign(&batch, &self.columns[number(side)], windows.as_deref());
        arrivals.iter_mut().zip(groups).for_each(|(arrival, group)| arrival.group = *group);
        arrivals.iter_mut().for_each(|arrival| arrival.meets = !self.keys.is_blank(arrival.group));
        self.cursor = Cursor::Probe(Box::new(Probe::new(side, batch, arrivals)));
        Ok(())
    }

    /// The rows of a batch that count, once for each of their windows, and which rows of the batch those are. Late rows are
    /// counted; they can meet nothing, and those of windows are in none.
    fn judged(&mut self, side: Side, batch: &Batch, cx: &mut OpCx<'_>) -> Result<(Vec<Arrival>, Vec<u32>), Fatal> {
        let (judge, keeps) = (self.judge(), self.kind.keeps(side));
        let (times, owns) = (times(batch)?, batch.meta.wm_own.as_deref());
        let keys = self.columns[number(side)].iter().map(|column| &batch.columns[*column]);
        let keys: Vec<&Column> = keys.filter(|key| key.nulls().is_some() || matches!(key, Column::Null(_))).collect();
        let mut arrivals = Vec::with_capacity(batch.rows);
        let mut kept = Vec::with_capacity(batch.rows);
        for row in 0..batch.rows {
            let (time, own) = (times[row], owns.map_or(WM_NONE, |owns| owns[row]).max(judge));
            self.highest = self.highest.max(time);
            let is_late = self.rule.is_late(time, own);
            if is_late {
                self.refuse(batch, row, own, cx);
            }
            let is_replayed = !is_late && self.rule.has_windows() && self.rule.is_late(time, self.resumed_at);
            cx.counters.replayed += u64::from(is_replayed);
            let own = if self.rule.has_windows() { own.max(self.resumed_at) } else { own };
            let alone = is_late || keys.iter().any(|key| key.is_null(row));
            if alone && !keeps || (is_late || is_replayed) && self.rule.has_windows() {
                continue;
            }
            let arrival =
                Arrival { row: kept.len() as u32, group: 0, time, own, window: (0, 0), meets: true, met: false };
            kept.push(row as u32);
            match &self.rule {
                Rule::Window { grid, .. } => {
                    let Some(slice) = grid.place(time, own) else { continue };
                    let mut start = slice.first;
                    loop {
                        arrivals.push(Arrival { window: (start, grid.end(start)), ..arrival });
                        let next = grid.next(start);
                        if start >= slice.last || next <= start {
                            break;
                        }
                        start = next;
                    }
                }
                _ => arrivals.push(arrival),
            }
        }
        Ok((arrivals, kept))
    }

    /// Counts a late row, and dead-letters it where the query says so.
    fn refuse(&self, batch: &Batch, row: usize, own: i64, cx: &mut OpCx<'_>) {
        cx.counters.late += 1;
        if !self.letters {
            return;
        }
        let time = batch.meta.event_time.as_ref().map_or(WM_NONE, |times| times[row]);
        let message = format!(
            "row at {} came after its last window had closed: the watermark was {}, allowed lateness is {}",
            timestamp_text(time),
            timestamp_text(own),
            duration_text(self.rule.lateness()),
        );
        cx.counters.dead_lettered += 1;
        cx.dead.push((self.place.dlq, late_row(&self.place, batch, row, message)));
    }

    /// The rows of a batch met what there is; those that may meet more, or are told of when they did not, stay.
    fn store(&mut self, probe: Probe, cx: &mut OpCx<'_>) {
        let Probe { side, batch, mut arrivals, .. } = probe;
        let (frees, tells) = (self.frees(side), self.tells(side));
        let rule = &self.rule;
        let last = |arrival: &Arrival| rule.last(side, arrival.time, arrival.window.1);
        let mut is_due = false;
        arrivals.retain(|arrival| {
            let goes = last(arrival) < frees || frees == WM_END;
            let stays = if goes { tells && !arrival.met } else { true };
            is_due |= stays && goes;
            stays
        });
        self.sides[number(side)].put(&batch, &arrivals, last);
        arrivals.iter().for_each(|arrival| self.keys.hold(arrival.group));
        self.keys.settle();
        self.gauge(cx);
        if is_due {
            self.begin_leaving(false);
        }
    }

    /// Makes rows of a piece; answers which of its pairs match. `probe`: the side whose rows are those of this batch.
    fn give(&mut self, piece: Piece, probe: Option<(Side, &Batch)>, judged: bool, cx: &mut OpCx<'_>) -> Vec<bool> {
        let Piece { lefts, rights, marks, windows } = piece;
        let [left, right] = &self.sides;
        let columns = match probe {
            Some((Side::Left, batch)) => self.output.columns(&batch.columns[..], &lefts, right, &rights, &windows),
            Some((Side::Right, batch)) => self.output.columns(left, &lefts, &batch.columns[..], &rights, &windows),
            None => self.output.columns(left, &lefts, right, &rights, &windows),
        };
        let matches = if judged { self.output.matches(&columns, &marks, cx) } else { vec![true; marks.len()] };
        let replayed = |mark: &Mark| mark.event_time < self.resumed && mark.wm_own < self.resumed_at;
        let mut kept: Vec<u32> = (0..marks.len() as u32).filter(|at| matches[*at as usize]).collect();
        if self.resumed != WM_NONE {
            let before = kept.len();
            kept.retain(|at| !replayed(&marks[*at as usize]));
            cx.counters.replayed += (before - kept.len()) as u64;
        }
        cx.counters.rows_out += kept.len() as u64;
        let given = match kept.len() == marks.len() {
            true => batches(columns, &marks, None),
            false => {
                let marks: Vec<Mark> = kept.iter().map(|at| marks[*at as usize].clone()).collect();
                batches(columns.iter().map(|column| column.take(&kept)).collect(), &marks, None)
            }
        };
        self.ready.extend(given.into_iter().map(Msg::Batch));
        matches
    }

    fn gauge(&self, cx: &mut OpCx<'_>) {
        cx.counters.groups = self.keys.len() as u64;
        cx.counters.state_bytes = (self.keys.bytes() + self.sides.iter().map(Held::bytes).sum::<usize>()) as u64;
    }
}

impl Operator for Streams {
    fn push(&mut self, port: usize, msg: Msg, _cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        self.inputs.push(port, msg);
        Ok(())
    }

    fn pull(&mut self, cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        loop {
            if let Some(msg) = self.ready.pop_front() {
                return Ok(Some(msg));
            }
            match std::mem::replace(&mut self.cursor, Cursor::None) {
                Cursor::Probe(probe) => self.probe(probe, cx),
                Cursor::Leaving(leaving) => self.leave(leaving, cx),
                Cursor::None => match self.inputs.take() {
                    Some(input) => self.act(input, cx)?,
                    None => return Ok(None),
                },
            }
        }
    }

    fn inputs(&self) -> usize {
        2
    }

    fn frontier(&self, at_end: bool) -> Option<i64> {
        let least = match self.rule {
            // Where an open session began does not follow from a watermark.
            Rule::Session { .. } => WM_NONE,
            _ => self.progress.least().max(self.resumed_at),
        };
        // What was given out at the end stays so.
        let beyond = self.highest.saturating_add(self.rule.reach()).saturating_add(1);
        Some(if at_end && least != WM_NONE { least.min(beyond).max(self.resumed_at) } else { least.min(WM_END - 1) })
    }

    fn resume(&mut self, frontier: i64) {
        self.resumed_at = frontier;
        // Windows that it closes stay closed; what others gave stands up to a time.
        if !self.rule.has_windows() {
            self.resumed = behind(frontier, self.rule.reach());
        }
    }

    fn snapshot(&self, out: &mut SnapshotWriter) {
        self.save(out);
    }

    fn restore(&mut self, from: &SnapshotReader, owns: &dyn Fn(u16) -> bool) -> Result<(), SnapshotError> {
        self.load(from, owns)
    }
}
