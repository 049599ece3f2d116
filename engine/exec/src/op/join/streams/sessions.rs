//! Sessions of the rows of both sides: those of one key that gaps of at most the window's connect.
//!
//! A session is known when it closes: the watermark is beyond its last row's time + gap + lateness. A row that is not late
//! is never that far behind, so a closed session stays what it is. Rows whose session went on behind them stay as long as
//! its last one. A row with NULL in its key is a session of its own. Cost: a walk over the rows of the sessions that close.

use velostream_sql::plan::Side;
use velostream_state::rows::NONE;

use super::rule::Rule;
use super::{Streams, number};

/// Rows of both chains of a key in the order of time.
struct Merged<'a> {
    streams: &'a Streams,
    next: [u32; 2],
}

impl Iterator for Merged<'_> {
    type Item = (Side, u32, i64);

    fn next(&mut self) -> Option<(Side, u32, i64)> {
        let time = |side: usize| match self.next[side] {
            NONE => None,
            slot => Some(self.streams.sides[side].time(slot)),
        };
        let (side, time) = match (time(0), time(1)) {
            (Some(left), Some(right)) if right < left => (Side::Right, right),
            (Some(left), _) => (Side::Left, left),
            (None, right) => (Side::Right, right?),
        };
        let at = number(side);
        let slot = self.next[at];
        self.next[at] = self.streams.sides[at].chains.next(slot);
        Some((side, slot, time))
    }
}

impl Streams {
    /// Of rows whose own time has passed, leaves those whose session has closed, and notes their windows.
    pub(super) fn keep_open(&mut self, freed: &mut Vec<(Side, u32)>) {
        let Rule::Session { gap, lateness } = self.rule else { return };
        let least = self.frees(Side::Left);
        let mut groups: Vec<u32> =
            freed.iter().map(|(side, slot)| self.sides[number(*side)].groups[*slot as usize]).collect();
        groups.sort_unstable();
        groups.dedup();
        // The rows that do not go, with the last watermark under which they stay.
        let mut open: Vec<(Side, u32, i64)> = Vec::new();
        for group in groups {
            let chains = [0, 1].map(|side: usize| self.sides[side].chains.first(group));
            let rows: Vec<(Side, u32, i64)> = Merged { streams: self, next: chains }.collect();
            let blank = self.keys.is_blank(group);
            for session in rows.chunk_by(|a, b| !blank && b.2.saturating_sub(a.2) <= gap) {
                let (first, last) = (session[0].2, session[session.len() - 1].2);
                let end = last.saturating_add(gap);
                let stays = end.saturating_add(lateness);
                if stays < least || least == velostream_types::time::WM_END {
                    for (side, slot, _) in session {
                        self.sides[number(*side)].set_window(*slot, (first, end));
                    }
                    continue;
                }
                open.extend(session.iter().map(|(side, slot, _)| (*side, *slot, stays)));
                break;
            }
        }
        open.sort_unstable();
        freed.retain(|(side, slot)| {
            let stays = open.binary_search_by(|o| (o.0, o.1).cmp(&(*side, *slot))).ok();
            if let Some(at) = stays {
                self.sides[number(*side)].stay(*slot, open[at].2);
            }
            stays.is_none()
        });
    }

    /// No row that is kept is told of with a time below this.
    pub(super) fn floor(&self) -> i64 {
        match self.rule {
            Rule::Session { .. } => self.sides.iter().map(super::held::Held::earliest).min().unwrap_or(i64::MAX),
            _ => i64::MAX,
        }
    }
}
