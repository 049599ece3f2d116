//! Text and bytes of rows by slot: a place per row in the arena of its stretch of slots.
//!
//! Cost: eight bytes a row beside what it holds. What rows leave behind is counted per arena, and an arena of which more
//! than half is dead moves its live pieces together: each byte that moves was paid for by a dead one.

use crate::block::{BLOCK, BlockPool, Blocks};

/// Dead bytes below which packing an arena is not worth it.
const DEAD_MIN: usize = 4096;

/// What an arena is made of.
pub(super) trait Pieces: Default {
    type Piece: ?Sized;
    fn len(&self) -> usize;
    fn capacity(&self) -> usize;
    fn append(&mut self, piece: &Self::Piece);
    fn piece(&self, start: usize, end: usize) -> &Self::Piece;
    fn size(piece: &Self::Piece) -> usize;
}

impl Pieces for String {
    type Piece = str;

    fn len(&self) -> usize {
        String::len(self)
    }

    fn capacity(&self) -> usize {
        String::capacity(self)
    }

    fn append(&mut self, piece: &str) {
        self.push_str(piece);
    }

    fn piece(&self, start: usize, end: usize) -> &str {
        &self[start..end]
    }

    fn size(piece: &str) -> usize {
        piece.len()
    }
}

impl Pieces for Vec<u8> {
    type Piece = [u8];

    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn capacity(&self) -> usize {
        Vec::capacity(self)
    }

    fn append(&mut self, piece: &[u8]) {
        self.extend_from_slice(piece);
    }

    fn piece(&self, start: usize, end: usize) -> &[u8] {
        &self[start..end]
    }

    fn size(piece: &[u8]) -> usize {
        piece.len()
    }
}

#[derive(Debug, Default)]
struct Arena<P> {
    pieces: P,
    dead: usize,
}

/// The pieces of all slots.
#[derive(Debug, Default)]
pub(super) struct Arenas<P> {
    /// Start and length by slot, as the high and the low half.
    places: Blocks<u64>,
    arenas: Vec<Arena<P>>,
}

fn parts(place: u64) -> (usize, usize) {
    let start = (place >> 32) as usize;
    (start, start + (place as u32) as usize)
}

impl<P: Pieces> Arenas<P> {
    /// Makes room for slots below `high`.
    pub(super) fn grow(&mut self, high: usize, pool: &mut BlockPool) {
        self.places.grow(high, 0, pool);
        self.arenas.resize_with(high.div_ceil(BLOCK), Arena::default);
    }

    /// Gives a slot that holds nothing its piece.
    pub(super) fn put(&mut self, slot: u32, piece: &P::Piece) {
        let arena = &mut self.arenas[slot as usize / BLOCK];
        let (start, len) = (arena.pieces.len(), P::size(piece));
        assert!(start + len <= u32::MAX as usize, "pieces of {BLOCK} rows stay below 4 GiB");
        arena.pieces.append(piece);
        *self.places.at(slot) = (start as u64) << 32 | len as u64;
    }

    #[inline]
    pub(super) fn get(&self, slot: u32) -> &P::Piece {
        let (start, end) = parts(self.places.get(slot));
        self.arenas[slot as usize / BLOCK].pieces.piece(start, end)
    }

    /// The slot's row left.
    pub(super) fn forget(&mut self, slot: u32) {
        let place = self.places.at(slot);
        let (start, end) = parts(*place);
        *place = 0;
        let at = slot as usize / BLOCK;
        let arena = &mut self.arenas[at];
        arena.dead += end - start;
        if arena.dead > DEAD_MIN && arena.dead * 2 > arena.pieces.len() {
            self.pack(at);
        }
    }

    fn pack(&mut self, at: usize) {
        let old = std::mem::take(&mut self.arenas[at]).pieces;
        let first = at * BLOCK;
        for slot in first..(first + BLOCK).min(self.places.len()) {
            let (start, end) = parts(self.places.get(slot as u32));
            if end > start {
                self.put(slot as u32, old.piece(start, end));
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.places.bytes() + self.arenas.iter().map(|a| a.pieces.capacity() + size_of::<Arena<P>>()).sum::<usize>()
    }
}
