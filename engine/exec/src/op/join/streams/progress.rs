//! How far the two sides are in event time, and what is told of it downstream.
//!
//! A side's watermark frees rows of the other one. A side that is idle does not hold anything back: the other's watermark
//! stands for its own, and rows that it brings afterwards are judged by that. One that ended says nothing about an idle one.

use velostream_types::time::{WM_END, WM_NONE};

use super::rule::behind;
use crate::operator::Msg;

/// How far the sides are.
#[derive(Debug)]
pub(super) struct Progress {
    /// As they came, by side.
    given: [i64; 2],
    idle: [bool; 2],
    /// What rows of a side are judged by, and rows of the other side freed by; never goes back.
    pub upto: [i64; 2],
    /// Told downstream.
    pub forwarded: i64,
    told_idle: bool,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress { given: [WM_NONE; 2], idle: [false; 2], upto: [WM_NONE; 2], forwarded: WM_NONE, told_idle: false }
    }

    /// What a snapshot tells.
    pub(super) fn restore(&mut self, upto: [i64; 2], forwarded: i64) {
        (self.given, self.upto, self.forwarded) = (upto, upto, forwarded);
    }

    pub(super) fn watermark(&mut self, side: usize, at: i64) {
        self.given[side] = at;
        self.idle[side] = false;
        self.settle();
    }

    pub(super) fn idle(&mut self, side: usize) {
        self.idle[side] = true;
        self.settle();
    }

    fn is_live(&self, side: usize) -> bool {
        !self.idle[side] && self.given[side] != WM_END
    }

    fn settle(&mut self) {
        for side in 0..2 {
            let at = match (self.idle[side], self.is_live(1 - side)) {
                (false, _) => self.given[side],
                (true, true) => self.given[1 - side],
                (true, false) => continue,
            };
            self.upto[side] = self.upto[side].max(at);
        }
    }

    /// The operator's watermark.
    pub(super) fn least(&self) -> i64 {
        self.upto[0].min(self.upto[1])
    }

    /// What to tell now, where rows may still come `reach` behind the watermark and none before `floor`.
    pub(super) fn forward(&mut self, reach: i64, floor: i64) -> impl Iterator<Item = Msg> + use<> {
        let least = self.least();
        let at = if least == WM_END { WM_END } else { behind(least, reach).min(floor) };
        let moved = at > self.forwarded;
        self.forwarded = self.forwarded.max(at);
        let idle = self.idle.contains(&true) && !(self.is_live(0) || self.is_live(1));
        let turned = !std::mem::replace(&mut self.told_idle, idle) && idle;
        moved.then_some(Msg::Watermark(at)).into_iter().chain(turned.then_some(Msg::Idle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(progress: &mut Progress) -> String {
        let show = |msg: Msg| match msg {
            Msg::Watermark(WM_END) => "end".to_owned(),
            Msg::Watermark(at) => at.to_string(),
            _ => "idle".to_owned(),
        };
        progress.forward(10, i64::MAX).map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_slower_side_holds_the_watermark_unless_it_is_idle() {
        let mut progress = Progress::new();
        progress.watermark(0, 100);
        assert_eq!(told(&mut progress), "");
        progress.watermark(1, 50);
        assert_eq!((told(&mut progress), progress.upto), ("40".to_owned(), [100, 50]));
        progress.idle(1);
        assert_eq!((told(&mut progress), progress.upto), ("90".to_owned(), [100, 100]));
        progress.idle(0);
        assert_eq!(told(&mut progress), "idle");
        progress.watermark(1, 60);
        assert_eq!((told(&mut progress), progress.upto), (String::new(), [100, 100]), "what was told stands");
        progress.watermark(1, WM_END);
        assert_eq!((told(&mut progress), progress.upto), ("idle".to_owned(), [100, WM_END]));
        progress.watermark(0, WM_END);
        assert_eq!(told(&mut progress), "end");
    }
}
