//! Column builders: from the cells of a block to one Arrow column per batch.
//!
//! A builder belongs to one column of the Scan for the life of its partition. Per batch it is opened (which
//! allocates), fed block by block, and finished (which moves its buffers out). A field that does not fit becomes a
//! [`Fault`] and a placeholder row; the decoder drops such rows and feeds the block again. A field that fits, but not
//! into this batch's storage, cuts the batch in front of its record: so which records are bad never depends on where
//! batches end.

mod nested;
mod numbers;
mod scalars;
mod slots;
mod text;
mod untyped;

use std::borrow::Cow;

use velostream_sql::plan::{Repr, ScanColumn};
use velostream_types::{Column, DataType, ErrorCode, Utf8Slab};

use self::nested::Nested;
use self::numbers::Numbers;
use self::scalars::{Blobs, Booleans, Floats, Times};
use self::text::{Texts, Tokens};
use self::untyped::Untyped;
use super::cells::{Cell, Kind};
use super::number::Grammar;

/// What the builders know of the block's bytes.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) grammar: Grammar,
    /// Quote character of CSV text.
    pub(super) quote: u8,
}

impl<'a> Source<'a> {
    /// Text of a cell without escapes or doubled quotes. `None` when an escape stands for no character.
    fn text(&self, cell: Cell) -> Option<Cow<'a, str>> {
        let raw = cell.of(self.bytes);
        match (cell.kind(), self.grammar) {
            (Kind::Escaped, Grammar::Json) => super::json::unescape(raw).map(Cow::Owned),
            (Kind::Escaped, Grammar::Csv) => super::csv::unquote(raw, self.quote).map(Cow::Owned),
            _ => std::str::from_utf8(raw).ok().map(Cow::Borrowed),
        }
    }

    /// The range of a number without the blanks CSV allows around it.
    #[inline]
    fn trimmed(&self, cell: Cell) -> (usize, usize) {
        let (mut start, mut end) = (cell.start(), cell.end());
        if self.grammar == Grammar::Csv {
            while start < end && matches!(self.bytes[start], b' ' | b'\t') {
                start += 1;
            }
            while start < end && matches!(self.bytes[end - 1], b' ' | b'\t') {
                end -= 1;
            }
        }
        (start, end)
    }

    /// The token of a number, if the cell may hold one: JSON numbers, CSV fields quoted or not.
    #[inline]
    fn number(&self, cell: Cell) -> Option<&'a [u8]> {
        let fits = match cell.kind() {
            Kind::Number | Kind::Plain => true,
            Kind::Text => self.grammar == Grammar::Csv,
            _ => false,
        };
        let (start, end) = self.trimmed(cell);
        fits.then(|| &self.bytes[start..end])
    }
}

/// A field that makes its record bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Row in the block.
    pub(super) row: usize,
    /// What is wrong.
    pub(super) code: ErrorCode,
}

/// Why a builder did not take a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// The record is bad.
    Bad(ErrorCode),
    /// The value needs storage this batch cannot change to any more.
    Cut,
}

const WRONG_TYPE: Refusal = Refusal::Bad(ErrorCode::WrongType);

/// One kind of builder. `take` appends exactly one row when it answers `Ok` and none otherwise.
trait Builder {
    /// Starts a batch of at most `rows` rows.
    fn open(&mut self, rows: usize, slab: &Utf8Slab);
    /// Takes as many cells as it can at once and answers their number; the next one needs `take`.
    fn take_run(&mut self, source: Source<'_>, cells: &[Cell]) -> usize {
        let _ = (source, cells);
        0
    }
    /// Takes one cell that is not NULL.
    fn take(&mut self, source: Source<'_>, cell: Cell) -> Result<(), Refusal>;
    /// Appends NULL.
    fn take_null(&mut self);
    /// Rows so far.
    fn len(&self) -> usize;
    /// Drops the rows from `len` on.
    fn truncate(&mut self, len: usize);
    /// The batch's column.
    fn finish(&mut self) -> Column;
}

/// The one loop around every builder. Answers the row in front of which the batch must be cut, if one must.
#[inline(always)]
fn feed(
    builder: &mut impl Builder,
    not_null: bool,
    source: Source<'_>,
    cells: &[Cell],
    faults: &mut Vec<Fault>,
) -> Option<usize> {
    let mut row = 0;
    while row < cells.len() {
        row += builder.take_run(source, &cells[row..]);
        let Some(cell) = cells.get(row) else { break };
        let taken = match cell.kind() {
            Kind::Null if not_null => Err(Refusal::Bad(ErrorCode::NullInNotNull)),
            Kind::Null => {
                builder.take_null();
                Ok(())
            }
            _ => builder.take(source, *cell),
        };
        match taken {
            Ok(()) => {}
            Err(Refusal::Cut) => return Some(row),
            Err(Refusal::Bad(code)) => {
                faults.push(Fault { row, code });
                builder.take_null();
            }
        }
        row += 1;
    }
    None
}

/// Builder of one column of the Scan.
#[derive(Debug)]
enum Kinded {
    Numbers(Numbers),
    Floats(Floats),
    Booleans(Booleans),
    Texts(Texts),
    Tokens(Tokens),
    Nested(Nested),
    Times(Times),
    Blobs(Blobs),
    Untyped(Untyped),
}

macro_rules! each {
    ($kinded:expr, $b:ident => $body:expr) => {
        match $kinded {
            Kinded::Numbers($b) => $body,
            Kinded::Floats($b) => $body,
            Kinded::Booleans($b) => $body,
            Kinded::Texts($b) => $body,
            Kinded::Tokens($b) => $body,
            Kinded::Nested($b) => $body,
            Kinded::Times($b) => $body,
            Kinded::Blobs($b) => $body,
            Kinded::Untyped($b) => $body,
        }
    };
}

impl Kinded {
    fn new(column: &ScanColumn) -> Kinded {
        let inferred = column.inferred;
        match (&column.data_type, column.repr) {
            (ty @ (DataType::Integer | DataType::Decimal { .. } | DataType::Float), Repr::Token) => {
                Kinded::Tokens(Tokens::new(*ty == DataType::Float))
            }
            (DataType::Integer, _) if !inferred => Kinded::Numbers(Numbers::integer()),
            (DataType::Integer, _) => Kinded::Numbers(Numbers::inferred(true)),
            (DataType::Decimal { .. }, _) if inferred => Kinded::Numbers(Numbers::inferred(false)),
            (DataType::Decimal { precision, scale }, _) => Kinded::Numbers(Numbers::decimal(*precision, *scale)),
            (DataType::Float, _) => Kinded::Floats(Floats::default()),
            (DataType::Boolean, _) => Kinded::Booleans(Booleans::new(inferred)),
            (DataType::String, _) => Kinded::Texts(Texts::string(inferred)),
            (nested, Repr::Token) if nested.is_nested() => Kinded::Texts(Texts::json()),
            (DataType::Json | DataType::Array(_) | DataType::Map(_) | DataType::Struct(_), _) => {
                Kinded::Nested(Nested::new(&column.data_type, inferred, column.not_null))
            }
            (DataType::Bytes, _) => Kinded::Blobs(Blobs::default()),
            (ty @ (DataType::Date | DataType::Timestamp | DataType::Time | DataType::Interval), _) => {
                Kinded::Times(Times::new(ty))
            }
            (DataType::Null, _) => Kinded::Untyped(Untyped::default()),
        }
    }
}

/// Builder of one column of the Scan with what the messages need.
#[derive(Debug)]
pub(super) struct ColumnBuilder {
    kinded: Kinded,
    column: ScanColumn,
}

impl ColumnBuilder {
    pub(super) fn new(column: &ScanColumn) -> ColumnBuilder {
        ColumnBuilder { kinded: Kinded::new(column), column: column.clone() }
    }

    /// The column it builds.
    pub(super) fn plan(&self) -> &ScanColumn {
        &self.column
    }

    /// Starts a batch of at most `rows` rows of `slab`.
    pub(super) fn open(&mut self, rows: usize, slab: &Utf8Slab) {
        each!(&mut self.kinded, b => b.open(rows, slab));
    }

    /// Appends one row per cell; see [`feed`].
    pub(super) fn append(&mut self, source: Source<'_>, cells: &[Cell], faults: &mut Vec<Fault>) -> Option<usize> {
        let not_null = self.column.not_null;
        each!(&mut self.kinded, b => feed(b, not_null, source, cells, faults))
    }

    /// What is wrong inside a nested value.
    pub(super) fn misfit(&self, source: Source<'_>, cell: Cell) -> Option<String> {
        match &self.kinded {
            Kinded::Nested(nested) => nested.misfit(source, cell),
            _ => None,
        }
    }

    /// Drops the rows from `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        each!(&mut self.kinded, b => b.truncate(len));
    }

    /// Values rounded to the declared scale since the last `finish`.
    pub(super) fn rounded(&self) -> u64 {
        match &self.kinded {
            Kinded::Numbers(n) => n.rounded(),
            _ => 0,
        }
    }

    /// The batch's column; the builder is empty afterwards.
    pub(super) fn finish(&mut self) -> Column {
        each!(&mut self.kinded, b => b.finish())
    }
}
