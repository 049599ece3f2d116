//! Finder: which slot holds a row, by the row's hash.
//!
//! An open-addressing table of slots, probed linearly; the hash of a slot lies beside it, so growing looks at no row. A
//! slot that leaves pulls those behind it forward, so there are no graves. Cost: 12 to 20 bytes a row, one probe. Never
//! iterated.

use velostream_state::rows::NONE;

/// Places of the smallest table.
const LEAST: usize = 16;

/// The table.
#[derive(Debug, Default)]
pub(super) struct Finder {
    /// Slots; [`NONE`] where there is none. A power of two of them, or none.
    places: Vec<u32>,
    /// Hash by slot.
    hashes: Vec<u32>,
    used: usize,
}

impl Finder {
    /// The slot of this hash that `is` the row.
    pub(super) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.places.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            match self.places[at] {
                NONE => return None,
                slot if self.hashes[slot as usize] == hash && is(slot) => return Some(slot),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Makes a slot known by its row's hash; several slots may have one hash.
    pub(super) fn insert(&mut self, hash: u32, slot: u32) {
        if (self.used + 1) * 4 > self.places.len() * 3 {
            self.grow();
        }
        if slot as usize >= self.hashes.len() {
            self.hashes.resize(slot as usize + 1, 0);
        }
        self.hashes[slot as usize] = hash;
        self.place(slot);
        self.used += 1;
    }

    fn place(&mut self, slot: u32) {
        let mask = self.places.len() - 1;
        let mut at = self.hashes[slot as usize] as usize & mask;
        while self.places[at] != NONE {
            at = (at + 1) & mask;
        }
        self.places[at] = slot;
    }

    fn grow(&mut self) {
        let places = (self.places.len() * 2).max(LEAST);
        let old = std::mem::replace(&mut self.places, vec![NONE; places]);
        old.into_iter().filter(|slot| *slot != NONE).for_each(|slot| self.place(slot));
    }

    /// Forgets a slot, which must be known.
    pub(super) fn remove(&mut self, slot: u32) {
        let mask = self.places.len() - 1;
        let home = |at: u32| self.hashes[at as usize] as usize & mask;
        let mut hole = home(slot);
        while self.places[hole] != slot {
            assert!(self.places[hole] != NONE, "a row that leaves was known");
            hole = (hole + 1) & mask;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let next = self.places[at];
            if next == NONE {
                break;
            }
            // It may move into the hole if that is not in front of its home.
            if (at.wrapping_sub(home(next)) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.places[hole] = next;
                hole = at;
            }
        }
        self.places[hole] = NONE;
        self.used -= 1;
    }

    /// Bytes of memory held.
    pub(super) fn bytes(&self) -> usize {
        (self.places.capacity() + self.hashes.capacity()) * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_found_by_hash_while_others_come_and_go() {
        let mut finder = Finder::default();
        // Few hashes, so that most slots stand far from home, around the end of the table too.
        let hash = |slot: u32| slot.wrapping_mul(7) % 5 + 13;
        let mut known = Vec::new();
        for slot in 0..400u32 {
            finder.insert(hash(slot), slot);
            known.push(slot);
            if slot % 3 == 2 {
                let gone = known.remove((slot as usize * 31) % known.len());
                finder.remove(gone);
                assert_eq!(finder.find(hash(gone), |at| at == gone), None);
            }
            if slot % 50 == 0 {
                assert!(known.iter().all(|slot| finder.find(hash(*slot), |at| at == *slot) == Some(*slot)));
            }
        }
        known.iter().for_each(|slot| finder.remove(*slot));
        assert!(finder.used == 0 && finder.places.iter().all(|place| *place == NONE));
        assert_eq!(Finder::default().find(1, |_| true), None);
    }
}
