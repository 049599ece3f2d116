//! Prediction of a record's keys from the records before it.
//!
//! Records of one source nearly always bring the same keys in the same order with the same spacing. A layout is that
//! order as byte patterns: everything between two values (`,"symbol":`) is one pattern, compared with a 16-byte load.
//! A member that is missing is stepped over; anything else (an unknown key, another order, other spacing) makes
//! `follow` give up, and the careful walk takes the record and teaches the layout. So the layout is a guess that is
//! verified byte by byte, never an assumption.

use crate::format::cells::{Block, Cell};
use crate::format::scan::load16;

use super::syntax::value;

/// Records with unknown keys from which a layout still learns; then it is left as it is.
const LESSONS: u32 = 256;
/// Keys in a layout at most.
const MAX_SLOTS: usize = 512;

/// The columns one key feeds: a run in [`Layout::targets`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Targets {
    pub(super) first: u16,
    pub(super) count: u16,
}

/// One expected member.
#[derive(Clone, Debug)]
struct Slot {
    /// Everything from the end of the value before to this value: brace or comma, key, colon, spacing.
    pattern: Box<[u8]>,
    /// First 16 bytes of the pattern and which of them count.
    head: u128,
    mask: u128,
    targets: Targets,
}

impl Slot {
    fn new(pattern: &[u8], targets: Targets) -> Slot {
        let mut block = [0u8; 16];
        let head = pattern.len().min(16);
        block[..head].copy_from_slice(&pattern[..head]);
        let mask = if head == 16 { u128::MAX } else { (1 << (8 * head)) - 1 };
        Slot { pattern: pattern.into(), head: u128::from_le_bytes(block), mask, targets }
    }

    #[inline(always)]
    fn matches(&self, bytes: &[u8], at: usize) -> bool {
        match load16(bytes, at) {
            Some(block) if block & self.mask == self.head => {
                self.pattern.len() <= 16 || bytes[at + 16..].starts_with(&self.pattern[16..])
            }
            _ => false,
        }
    }
}

/// A member as the careful walk saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Bytes from the end of the value before (or the record's start) to the value.
    pub(super) gap: (usize, usize),
    pub(super) targets: Targets,
}

/// The expected members of a record, in order.
#[derive(Debug, Default)]
pub(super) struct Layout {
    slots: Vec<Slot>,
    /// Read columns that no slot feeds.
    absent: Vec<u16>,
    lessons: u32,
    /// Framed records may hold line feeds between tokens, lines may not.
    lines: bool,
}

impl Layout {
    pub(super) fn new(lines: bool) -> Layout {
        Layout { lines, ..Layout::default() }
    }

    /// Reads the record at `at` if it follows the layout: cells of the row under way are set and the position behind
    /// its closing brace is answered.
    #[inline(always)]
    pub(super) fn follow(&self, bytes: &[u8], start: usize, columns: &[u16], block: &mut Block) -> Option<usize> {
        let mut slots = self.slots.iter();
        let mut at = start;
        let mut members = 0usize;
        'members: while let Some(slot) = slots.next() {
            let mut slot = slot;
            while !slot.matches(bytes, at) {
                // Stepped over: a member this record does not have. Its first one cannot be told from a brace.
                if members == 0 {
                    return None;
                }
                for column in &columns[slot.targets.first as usize..][..slot.targets.count as usize] {
                    block.set(*column as usize, Cell::NULL);
                }
                let Some(next) = slots.next() else { break 'members };
                slot = next;
            }
            members += 1;
            at += slot.pattern.len();
            let (cell, end) = value(bytes, at, self.lines).ok()?;
            for column in &columns[slot.targets.first as usize..][..slot.targets.count as usize] {
                block.set(*column as usize, cell);
            }
            at = end;
        }
        if members == 0 || bytes.get(at) != Some(&b'}') {
            return None;
        }
        for column in &self.absent {
            block.set(*column as usize, Cell::NULL);
        }
        Some(at + 1)
    }

    /// Takes the members of a record that did not follow: unknown ones are put behind their predecessor. No column is
    /// fed by two slots, or stepping over one would undo what the other set.
    pub(super) fn learn(&mut self, bytes: &[u8], seen: &[Seen], columns: &[u16]) {
        let feeds = |t: Targets| t.count > 0;
        let twice = |i: usize| feeds(seen[i].targets) && seen[..i].iter().any(|s| s.targets == seen[i].targets);
        if self.lessons >= LESSONS || seen.is_empty() || seen.len() > MAX_SLOTS || (0..seen.len()).any(twice) {
            return;
        }
        self.lessons += 1;
        let gap = |member: &Seen| &bytes[member.gap.0..member.gap.1];
        let (mut at, mut known) = (0, 0);
        for member in seen {
            if let Some(n) = self.slots[at..].iter().position(|s| *s.pattern == *gap(member)) {
                at += n + 1;
                known += 1;
                continue;
            }
            let taken = |s: &Slot| *s.pattern == *gap(member) || (feeds(member.targets) && s.targets == member.targets);
            if self.slots.len() < MAX_SLOTS && !self.slots.iter().any(taken) {
                self.slots.insert(at, Slot::new(gap(member), member.targets));
                at += 1;
            }
        }
        // Nothing in common, or the first member is another one: start over with this record.
        if known == 0 || self.slots.first().is_some_and(|s| *s.pattern != *gap(&seen[0])) {
            self.slots = seen.iter().map(|m| Slot::new(gap(m), m.targets)).collect();
        }
        let fed = |c: &u16| {
            self.slots.iter().any(|s| columns[s.targets.first as usize..][..s.targets.count as usize].contains(c))
        };
        self.absent = (0..columns.len() as u16).filter(|c| !fed(c)).collect();
    }
}
