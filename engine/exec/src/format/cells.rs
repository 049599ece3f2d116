//! What the first half of decoding hands to the second: where each read field of a few records stands.
//!
//! A tokeniser finds records and fields and writes one [`Cell`] per read column and record; the column builders then
//! walk one column at a time, so that each of their loops knows its type. A block is small enough that the bytes are
//! still in the first-level cache when the columns are built. Positions count from the slab's start.

/// Records per block: 128 records of 138 bytes are 17 KiB of slab.
pub(super) const BLOCK_ROWS: usize = 128;
/// Longest field a cell can describe; records are never allowed to be longer.
pub(super) const MAX_FIELD: usize = (1 << 29) - 1;

/// What kind of field a cell points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Missing, JSON `null`, or an empty CSV field.
    Null,
    /// A JSON number; its grammar is not checked yet.
    Number,
    /// An unquoted CSV field.
    Plain,
    /// Quoted text that stands for itself; the range is without the quotes.
    Text,
    /// Quoted text with escapes (JSON) or doubled quotes (CSV).
    Escaped,
    /// JSON `true`
    True,
    /// JSON `false`
    False,
    /// A JSON object or array, checked.
    Nested,
}

/// A byte range and its kind in 8 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    start: u32,
    /// Length in the upper 29 bits, kind in the lower 3.
    tagged: u32,
}

impl Cell {
    /// The missing field.
    pub(super) const NULL: Cell = Cell { start: 0, tagged: 0 };

    /// The range `start..end`, which lies within the first 4 GiB and is no longer than [`MAX_FIELD`].
    #[inline(always)]
    pub(super) fn new(kind: Kind, start: usize, end: usize) -> Cell {
        Cell { start: start as u32, tagged: ((end - start) as u32) << 3 | kind as u32 }
    }

    #[inline(always)]
    pub(super) fn kind(self) -> Kind {
        match self.tagged & 7 {
            0 => Kind::Null,
            1 => Kind::Number,
            2 => Kind::Plain,
            3 => Kind::Text,
            4 => Kind::Escaped,
            5 => Kind::True,
            6 => Kind::False,
            _ => Kind::Nested,
        }
    }

    #[inline(always)]
    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    #[inline(always)]
    pub(super) fn end(self) -> usize {
        self.start as usize + (self.tagged >> 3) as usize
    }

    /// The field's bytes.
    #[inline(always)]
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start()..self.end()]
    }
}

/// One record of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Its first byte.
    pub(super) start: usize,
    /// One past its last byte, terminator not counted.
    pub(super) end: usize,
    /// Its number in the partition.
    pub(super) offset: i64,
    /// Record timestamp, ms; 0 where the source has none.
    pub(super) timestamp_ms: i64,
    /// It has no value: all its cells are NULL.
    pub(super) is_tombstone: bool,
}

/// Up to [`BLOCK_ROWS`] records.
#[derive(Debug)]
pub(super) struct Block {
    /// One stretch of [`BLOCK_ROWS`] cells per column.
    cells: Vec<Cell>,
    records: Vec<Record>,
}

impl Block {
    pub(super) fn new(columns: usize) -> Block {
        Block { cells: vec![Cell::NULL; columns * BLOCK_ROWS], records: Vec::with_capacity(BLOCK_ROWS) }
    }

    pub(super) fn clear(&mut self) {
        self.records.clear();
    }

    /// Complete records.
    #[inline(always)]
    pub(super) fn rows(&self) -> usize {
        self.records.len()
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    /// The cells of a column, one per record.
    #[inline(always)]
    pub(super) fn column(&self, column: usize) -> &[Cell] {
        &self.cells[column * BLOCK_ROWS..][..self.records.len()]
    }

    /// Cells of a column from the first record not complete yet on, for a tokeniser that fills many rows at once.
    #[inline(always)]
    pub(super) fn open_cells(&mut self, column: usize) -> &mut [Cell] {
        &mut self.cells[column * BLOCK_ROWS..][self.records.len()..BLOCK_ROWS]
    }

    /// Sets a cell of the record under way.
    #[inline(always)]
    pub(super) fn set(&mut self, column: usize, cell: Cell) {
        let row = self.records.len();
        self.cells[column * BLOCK_ROWS + row] = cell;
    }

    /// Makes every cell of the record under way NULL.
    pub(super) fn blank(&mut self) {
        let row = self.records.len();
        self.cells.iter_mut().skip(row).step_by(BLOCK_ROWS).for_each(|c| *c = Cell::NULL);
    }

    /// Completes the record under way.
    #[inline(always)]
    pub(super) fn end_row(&mut self, record: Record) {
        debug_assert!(self.records.len() < BLOCK_ROWS);
        self.records.push(record);
    }

    /// Keeps the rows below `limit` for which `keep` answers TRUE, in their order.
    pub(super) fn retain(&mut self, limit: usize, keep: impl Fn(usize) -> bool) {
        let rows: Vec<usize> = (0..limit.min(self.records.len())).filter(|r| keep(*r)).collect();
        for column in self.cells.chunks_mut(BLOCK_ROWS) {
            rows.iter().enumerate().for_each(|(to, from)| column[to] = column[*from]);
        }
        rows.iter().enumerate().for_each(|(to, from)| self.records[to] = self.records[*from]);
        self.records.truncate(rows.len());
    }
}
