//! Integer and decimal columns.
//!
//! Storage is one vector of 64-bit mantissas at one scale. An inferred column starts each batch at scale 0 and is
//! rescaled when a record brings more digits; a declared decimal keeps its scale and rounds. Mantissas move to 128
//! bits only when one does not fit. What leaves is the narrowest of Int, Dec64 and Dec128 that holds the batch.

use arrow_buffer::NullBufferBuilder;
use velostream_types::{Column, Utf8Slab, decimal};

use super::{Builder, Refusal, Source, WRONG_TYPE};
use crate::format::cells::{Cell, Kind};
use crate::format::number::{Shape, fixed};

/// Largest mantissa of a 64-bit decimal column.
const DEC64_MAX: u64 = 10u64.pow(18) - 1;

/// What the column may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Declared INTEGER.
    Integer,
    /// Any exact number; `integer` when the logical type is Integer.
    Inferred { integer: bool },
    /// Declared DECIMAL.
    Decimal { precision: u8, scale: u8 },
}

/// Builder of exact numbers.
#[derive(Debug)]
pub(super) struct Numbers {
    rule: Rule,
    scale: u8,
    /// Mantissas; empty once `wide` is in use.
    narrow: Vec<i64>,
    wide: Vec<i128>,
    is_wide: bool,
    /// All magnitudes or'ed: an upper bound of the largest.
    magnitudes: u64,
    /// Row indices at which a value was rounded.
    rounded: Vec<u32>,
    nulls: NullBufferBuilder,
}

impl Numbers {
    fn new(rule: Rule) -> Numbers {
        let scale = if let Rule::Decimal { scale, .. } = rule { scale } else { 0 };
        Numbers {
            rule,
            scale,
            narrow: Vec::new(),
            wide: Vec::new(),
            is_wide: false,
            magnitudes: 0,
            rounded: Vec::new(),
            nulls: NullBufferBuilder::new(0),
        }
    }

    pub(super) fn integer() -> Numbers {
        Numbers::new(Rule::Integer)
    }

    pub(super) fn inferred(integer: bool) -> Numbers {
        Numbers::new(Rule::Inferred { integer })
    }

    pub(super) fn decimal(precision: u8, scale: u8) -> Numbers {
        Numbers::new(Rule::Decimal { precision, scale })
    }

    pub(super) fn rounded(&self) -> u64 {
        self.rounded.len() as u64
    }

    /// TRUE when a mantissa may stand in a column of this precision.
    fn has_room(&self, mantissa: i128) -> bool {
        match self.rule {
            Rule::Decimal { precision, .. } => mantissa.unsigned_abs() < decimal::pow10(precision) as u128,
            _ => true,
        }
    }

    fn push(&mut self, mantissa: i128) {
        match i64::try_from(mantissa) {
            Ok(m) if !self.is_wide => {
                self.magnitudes |= m.unsigned_abs();
                self.narrow.push(m);
            }
            _ => {
                self.widen();
                self.wide.push(mantissa);
            }
        }
        self.nulls.append_non_null();
    }

    fn widen(&mut self) {
        if !self.is_wide {
            self.is_wide = true;
            self.wide.reserve(self.narrow.capacity());
            self.wide.extend(self.narrow.drain(..).map(i128::from));
        }
    }

    /// Brings every mantissa to more digits behind the point.
    fn rescale(&mut self, scale: u8) -> Result<(), Refusal> {
        let by = decimal::pow10(scale - self.scale);
        let fits = |m: i128| m.checked_mul(by).is_some_and(decimal::fits);
        if self.narrow.iter().any(|m| !fits(i128::from(*m))) || self.wide.iter().any(|m| !fits(*m)) {
            return Err(Refusal::Cut);
        }
        if self.narrow.iter().any(|m| i64::try_from(i128::from(*m) * by).is_err()) {
            self.widen();
        }
        self.magnitudes = 0;
        for m in &mut self.narrow {
            *m = (i128::from(*m) * by) as i64;
            self.magnitudes |= m.unsigned_abs();
        }
        self.wide.iter_mut().for_each(|m| *m *= by);
        self.scale = scale;
        Ok(())
    }

    /// Takes an exact number into an inferred column.
    fn take_exact(&mut self, mantissa: i128, scale: u8) -> Result<(), Refusal> {
        if scale > self.scale {
            self.rescale(scale)?;
        }
        let mantissa = decimal::rescale(mantissa, scale, self.scale).ok_or(Refusal::Cut)?;
        self.push(mantissa);
        Ok(())
    }

    fn take_shape(&mut self, shape: Shape<'_>) -> Result<(), Refusal> {
        match self.rule {
            Rule::Inferred { .. } => {
                let (mantissa, scale) = shape.exact().ok_or(WRONG_TYPE)?;
                self.take_exact(mantissa, scale)
            }
            Rule::Integer => {
                let (mantissa, lossy) = shape.at_scale(0).ok_or(WRONG_TYPE)?;
                if lossy || i64::try_from(mantissa).is_err() {
                    return Err(WRONG_TYPE);
                }
                self.push(mantissa);
                Ok(())
            }
            Rule::Decimal { scale, .. } => {
                let (mantissa, lossy) = shape.at_scale(scale).ok_or(WRONG_TYPE)?;
                if !self.has_room(mantissa) {
                    return Err(WRONG_TYPE);
                }
                if lossy {
                    self.rounded.push(self.len() as u32);
                }
                self.push(mantissa);
                Ok(())
            }
        }
    }

    /// Takes cells as long as `read` is sure of them.
    #[inline(always)]
    fn run(&mut self, bytes: &[u8], cells: &[Cell], read: impl Fn(&[u8], usize, usize) -> Option<i64>) {
        let limit = self.fast_limit();
        let mut magnitudes = self.magnitudes;
        for cell in cells {
            if !matches!(cell.kind(), Kind::Number | Kind::Plain) {
                break;
            }
            let Some(m) = read(bytes, cell.start(), cell.end()) else { break };
            if m.unsigned_abs() > limit {
                break;
            }
            magnitudes |= m.unsigned_abs();
            self.narrow.push(m);
        }
        self.magnitudes = magnitudes;
    }

    /// The largest 64-bit mantissa a fast row may have without a look at the rule.
    fn fast_limit(&self) -> u64 {
        match self.rule {
            Rule::Decimal { precision, .. } if precision < 16 => decimal::pow10_i64(precision) as u64 - 1,
            // A fast mantissa has at most 16 digits.
            _ => u64::MAX,
        }
    }
}

impl Builder for Numbers {
    fn open(&mut self, rows: usize, _: &Utf8Slab) {
        self.narrow.reserve(rows);
    }

    fn take_run(&mut self, source: Source<'_>, cells: &[Cell]) -> usize {
        if self.is_wide {
            return 0;
        }
        let before = self.narrow.len();
        // Two copies of the loop, so that neither asks for the scale per row.
        match self.scale {
            0 => self.run(source.bytes, cells, |bytes, start, end| fixed(bytes, start, end, 0)),
            scale => self.run(source.bytes, cells, |bytes, start, end| fixed(bytes, start, end, scale)),
        }
        let taken = self.narrow.len() - before;
        self.nulls.append_n_non_nulls(taken);
        taken
    }

    fn take(&mut self, source: Source<'_>, cell: Cell) -> Result<(), Refusal> {
        if let Some(token) = source.number(cell) {
            return self.take_shape(Shape::of(token, source.grammar).ok_or(WRONG_TYPE)?);
        }
        // A declared decimal may also be written as a JSON string.
        if matches!(self.rule, Rule::Decimal { .. }) && matches!(cell.kind(), Kind::Text | Kind::Escaped) {
            let text = source.text(cell).ok_or(WRONG_TYPE)?;
            return self.take_shape(Shape::of(text.trim().as_bytes(), source.grammar).ok_or(WRONG_TYPE)?);
        }
        Err(WRONG_TYPE)
    }

    fn take_null(&mut self) {
        if self.is_wide {
            self.wide.push(0)
        } else {
            self.narrow.push(0)
        }
        self.nulls.append_null();
    }

    fn len(&self) -> usize {
        if self.is_wide { self.wide.len() } else { self.narrow.len() }
    }

    fn truncate(&mut self, len: usize) {
        self.narrow.truncate(len);
        self.wide.truncate(len);
        self.nulls.truncate(len);
        self.rounded.retain(|row| (*row as usize) < len);
        if len == 0 {
            self.reset();
        }
    }

    fn finish(&mut self) -> Column {
        let nulls = self.nulls.finish();
        let scale = self.scale;
        let column = if self.is_wide {
            Column::dec128(std::mem::take(&mut self.wide), scale, nulls)
        } else if scale == 0 && matches!(self.rule, Rule::Integer | Rule::Inferred { integer: true }) {
            Column::ints(std::mem::take(&mut self.narrow), nulls)
        } else {
            let values = std::mem::take(&mut self.narrow);
            let fits = self.magnitudes <= DEC64_MAX || values.iter().all(|m| m.unsigned_abs() <= DEC64_MAX);
            if fits && scale <= 18 {
                Column::dec64(values, scale, nulls)
            } else {
                Column::dec128(values.into_iter().map(i128::from).collect(), scale, nulls)
            }
        };
        self.rounded.clear();
        self.reset();
        column
    }
}

impl Numbers {
    /// Back to the storage a batch starts with.
    fn reset(&mut self) {
        self.is_wide = false;
        self.magnitudes = 0;
        if !matches!(self.rule, Rule::Decimal { .. }) {
            self.scale = 0;
        }
    }
}
