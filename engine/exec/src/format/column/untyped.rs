//! Columns of which the sample knew nothing but NULL.
//!
//! The first value of a batch decides what the batch's column is: numbers, booleans or text. A value of another kind
//! cuts the batch in front of it and decides for the next one, so no value is refused and none changes its kind.

use velostream_types::{Column, Utf8Slab};

use super::numbers::Numbers;
use super::scalars::Booleans;
use super::text::Texts;
use super::{Builder, Refusal, Source};
use crate::format::cells::{Cell, Kind};
use crate::format::number::Shape;

/// What the batch's values are.
#[derive(Debug)]
enum Inner {
    Numbers(Numbers),
    Booleans(Booleans),
    Texts(Texts),
}

/// Builder of a column without a type.
#[derive(Debug, Default)]
pub(super) struct Untyped {
    inner: Option<Inner>,
    rows: usize,
    slab: Option<(Utf8Slab, usize)>,
}

impl Untyped {
    fn builder(&mut self) -> Option<&mut dyn Builder> {
        Some(match self.inner.as_mut()? {
            Inner::Numbers(b) => b,
            Inner::Booleans(b) => b,
            Inner::Texts(b) => b,
        })
    }

    /// The builder a cell would begin a batch with.
    fn natural(source: Source<'_>, cell: Cell) -> Inner {
        let text = cell.of(source.bytes);
        let number = source.number(cell).is_some_and(|t| Shape::of(t, source.grammar).is_some());
        let word = text.eq_ignore_ascii_case(b"true") || text.eq_ignore_ascii_case(b"false");
        match cell.kind() {
            Kind::Number => Inner::Numbers(Numbers::inferred(true)),
            Kind::Plain if number => Inner::Numbers(Numbers::inferred(true)),
            Kind::True | Kind::False => Inner::Booleans(Booleans::new(true)),
            Kind::Plain if word => Inner::Booleans(Booleans::new(true)),
            _ => Inner::Texts(Texts::string(true)),
        }
    }
}

impl Builder for Untyped {
    fn open(&mut self, rows: usize, slab: &Utf8Slab) {
        self.slab = Some((slab.clone(), rows));
    }

    fn take(&mut self, source: Source<'_>, cell: Cell) -> Result<(), Refusal> {
        let mut natural = Untyped::natural(source, cell);
        match &self.inner {
            Some(inner) if std::mem::discriminant(inner) != std::mem::discriminant(&natural) => {
                return Err(Refusal::Cut);
            }
            Some(_) => {}
            None => {
                let fresh: &mut dyn Builder = match &mut natural {
                    Inner::Numbers(b) => b,
                    Inner::Booleans(b) => b,
                    Inner::Texts(b) => b,
                };
                if let Some((slab, rows)) = &self.slab {
                    fresh.open(*rows, slab);
                }
                (0..self.rows).for_each(|_| fresh.take_null());
                self.inner = Some(natural);
            }
        }
        self.builder().map_or(Ok(()), |b| b.take(source, cell))?;
        self.rows += 1;
        Ok(())
    }

    fn take_null(&mut self) {
        if let Some(b) = self.builder() {
            b.take_null();
        }
        self.rows += 1;
    }

    fn len(&self) -> usize {
        self.rows
    }

    fn truncate(&mut self, len: usize) {
        if let Some(b) = self.builder() {
            b.truncate(len);
        }
        self.rows = len;
        if len == 0 {
            self.inner = None;
        }
    }

    fn finish(&mut self) -> Column {
        let rows = std::mem::take(&mut self.rows);
        self.slab = None;
        let column = self.builder().map_or(Column::Null(rows), Builder::finish);
        self.inner = None;
        column
    }
}
