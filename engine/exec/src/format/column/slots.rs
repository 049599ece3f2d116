//! Where builders keep the rows of a batch, and the part of [`Builder`](super::Builder) that follows from it.

use arrow_buffer::{NullBuffer, NullBufferBuilder};
use velostream_types::{StrBuilder, Utf8Slab};

/// A place for rows of one column.
pub(super) trait Rows {
    /// Makes room for a batch of at most `rows` rows of text in `slab`.
    fn open(&mut self, rows: usize, slab: &Utf8Slab);
    /// Appends NULL.
    fn push_null(&mut self);
    /// Rows so far.
    fn len(&self) -> usize;
    /// Drops the rows from `len` on.
    fn truncate(&mut self, len: usize);
}

/// Values of fixed width beside their validity. Both always have the same length.
#[derive(Debug)]
pub(super) struct Slots<T> {
    pub(super) values: Vec<T>,
    pub(super) nulls: NullBufferBuilder,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots { values: Vec::new(), nulls: NullBufferBuilder::new(0) }
    }
}

impl<T> Slots<T> {
    #[inline]
    pub(super) fn push(&mut self, value: T) {
        self.values.push(value);
        self.nulls.append_non_null();
    }

    /// The batch's values; empties the slots.
    pub(super) fn finish(&mut self) -> (Vec<T>, Option<NullBuffer>) {
        (std::mem::take(&mut self.values), self.nulls.finish())
    }
}

impl<T: Default> Rows for Slots<T> {
    fn open(&mut self, rows: usize, _: &Utf8Slab) {
        self.values.reserve(rows);
    }

    fn push_null(&mut self) {
        self.values.push(T::default());
        self.nulls.append_null();
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.nulls.truncate(len);
    }
}

impl Rows for StrBuilder {
    fn open(&mut self, rows: usize, slab: &Utf8Slab) {
        self.reserve(rows);
        self.use_slab(slab);
    }

    fn push_null(&mut self) {
        StrBuilder::push_null(self);
    }

    fn len(&self) -> usize {
        StrBuilder::len(self)
    }

    fn truncate(&mut self, len: usize) {
        StrBuilder::truncate(self, len);
    }
}

/// The methods of a builder whose rows are all in one field.
macro_rules! rows_in {
    ($field:ident) => {
        fn open(&mut self, rows: usize, slab: &Utf8Slab) {
            $crate::format::column::slots::Rows::open(&mut self.$field, rows, slab);
        }

        fn take_null(&mut self) {
            $crate::format::column::slots::Rows::push_null(&mut self.$field);
        }

        fn len(&self) -> usize {
            $crate::format::column::slots::Rows::len(&self.$field)
        }

        fn truncate(&mut self, len: usize) {
            $crate::format::column::slots::Rows::truncate(&mut self.$field, len);
        }
    };
}

pub(super) use rows_in;
