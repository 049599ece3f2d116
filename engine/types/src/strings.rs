//! Text columns over a source's bytes without copying: 16-byte views into the slab, built unchecked because the slab
//! was proved valid UTF-8 once as a whole.
//!
//! This file is listed in `docs/unsafe.md`. The checked twin is [`StrBuilder::finish_checked`]; the tests compare.
#![allow(unsafe_code)]

use arrow_array::{Array, StringViewArray};
use arrow_buffer::{Buffer, NullBufferBuilder, ScalarBuffer};
use std::sync::Arc;

/// Views of at most this many bytes hold their text themselves.
const INLINE: usize = 12;

/// A source's bytes with the proof that they are UTF-8, or the knowledge that some of them are not.
#[derive(Clone, Debug)]
pub struct Utf8Slab {
    bytes: Buffer,
    valid: bool,
    ascii: bool,
}

impl Utf8Slab {
    /// Validates `bytes` once.
    pub fn new(bytes: Buffer) -> Utf8Slab {
        let ascii = bytes.is_ascii();
        let valid = ascii || std::str::from_utf8(&bytes).is_ok();
        Utf8Slab { bytes, valid, ascii }
    }

    /// TRUE when the whole slab is UTF-8; otherwise each record has to be checked.
    pub fn is_valid(&self) -> bool {
        self.valid
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The buffer behind the bytes.
    pub fn buffer(&self) -> &Buffer {
        &self.bytes
    }
}

/// Builds one text column from ranges of slabs and from text made on the way (unescaped strings).
///
/// Invariant: every view lies inside its buffer and covers whole UTF-8 characters. `push` establishes it for slab
/// ranges, `push_str` for copied text.
#[derive(Debug)]
pub struct StrBuilder {
    buffers: Vec<Buffer>,
    views: Vec<u128>,
    nulls: NullBufferBuilder,
    /// Text made on the way; becomes the buffer numbered `owned_index`.
    owned: Vec<u8>,
    owned_index: Option<u32>,
    slab: Option<(Utf8Slab, u32)>,
}

impl Default for StrBuilder {
    fn default() -> StrBuilder {
        StrBuilder::with_capacity(0)
    }
}

impl StrBuilder {
    /// An empty builder with room for `rows` views.
    pub fn with_capacity(rows: usize) -> StrBuilder {
        StrBuilder {
            buffers: Vec::new(),
            views: Vec::with_capacity(rows),
            nulls: NullBufferBuilder::new(rows),
            owned: Vec::new(),
            owned_index: None,
            slab: None,
        }
    }

    /// Makes room for `rows` more views.
    pub fn reserve(&mut self, rows: usize) {
        self.views.reserve(rows);
    }

    /// Following `push` calls take their ranges from this slab.
    pub fn use_slab(&mut self, slab: &Utf8Slab) {
        let index = self.buffers.len() as u32;
        self.buffers.push(slab.bytes.clone());
        self.slab = Some((slab.clone(), index));
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.views.len()
    }

    /// TRUE when no row was pushed.
    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    /// Appends the slab's bytes `start .. end`. Answers FALSE, appending nothing, when that range is not whole
    /// characters of valid UTF-8 inside the slab.
    #[inline]
    #[must_use]
    pub fn push(&mut self, start: usize, end: usize) -> bool {
        let Some((slab, index)) = &self.slab else { return false };
        let bytes: &[u8] = &slab.bytes;
        if start > end || end > bytes.len() || end > u32::MAX as usize {
            return false;
        }
        let whole = if slab.valid {
            is_boundary(bytes, start) && is_boundary(bytes, end)
        } else {
            std::str::from_utf8(&bytes[start..end]).is_ok()
        };
        if whole {
            self.views.push(view(bytes, start, end, *index));
            self.nulls.append_non_null();
        }
        whole
    }

    /// Appends ranges until one is refused as `push` would; answers how many it took.
    #[inline]
    pub fn push_all(&mut self, ranges: impl Iterator<Item = (usize, usize)>) -> usize {
        let before = self.views.len();
        if let Some((slab, index)) = &self.slab {
            let bytes: &[u8] = &slab.bytes;
            let limit = bytes.len().min(u32::MAX as usize);
            for (start, end) in ranges {
                let whole = match (slab.ascii, slab.valid) {
                    (true, _) => true,
                    (_, true) => is_boundary(bytes, start) && is_boundary(bytes, end),
                    _ => bytes.get(start..end).is_some_and(|b| std::str::from_utf8(b).is_ok()),
                };
                if start > end || end > limit || !whole {
                    break;
                }
                self.views.push(view(bytes, start, end, *index));
            }
        }
        let taken = self.views.len() - before;
        self.nulls.append_n_non_nulls(taken);
        taken
    }

    /// Appends a copy of `text`.
    pub fn push_str(&mut self, text: &str) {
        let next = self.buffers.len() as u32;
        let start = self.owned.len();
        if text.len() <= INLINE {
            self.views.push(view(text.as_bytes(), 0, text.len(), 0));
        } else {
            let index = *self.owned_index.get_or_insert_with(|| {
                self.buffers.push(Buffer::from_vec(Vec::<u8>::new()));
                next
            });
            self.owned.extend_from_slice(text.as_bytes());
            self.views.push(view(&self.owned, start, self.owned.len(), index));
        }
        self.nulls.append_non_null();
    }

    /// Appends NULL.
    #[inline]
    pub fn push_null(&mut self) {
        self.views.push(0);
        self.nulls.append_null();
    }

    /// Drops the rows from `len` on, for a record that turned out bad half-way.
    pub fn truncate(&mut self, len: usize) {
        self.views.truncate(len);
        self.nulls.truncate(len);
    }

    fn parts(&mut self) -> (ScalarBuffer<u128>, Arc<[Buffer]>, Option<arrow_buffer::NullBuffer>) {
        if let Some(index) = self.owned_index.take() {
            self.buffers[index as usize] = Buffer::from_vec(std::mem::take(&mut self.owned));
        }
        self.slab = None;
        // Drained, not taken: the next batch finds the list allocated.
        (std::mem::take(&mut self.views).into(), self.buffers.drain(..).collect(), self.nulls.finish())
    }

    /// The column; the builder is empty afterwards.
    pub fn finish(&mut self) -> StringViewArray {
        let (views, buffers, nulls) = self.parts();
        // SAFETY: `StringViewArray` asks that every view is either inline or lies inside the buffer it names with the
        // right 4-byte prefix, and that its bytes are UTF-8. `view` makes both forms from a range that `push` found
        // inside the slab and on character boundaries of a slab that was validated as a whole (or validated itself),
        // or from a `&str` that `push_str` copied. `buffers` holds each slab at the index its views carry, and the
        // owned buffer only ever grew. NULL rows are the all-zero view, an empty inline string. The null buffer has
        // one bit per view. `tests::unchecked_equals_checked` breaks if any of this fails.
        unsafe { StringViewArray::new_unchecked(views, buffers, nulls) }
    }

    /// The same column through Arrow's own validation: the checked twin of [`StrBuilder::finish`].
    pub fn finish_checked(&mut self) -> Result<StringViewArray, arrow_schema::ArrowError> {
        let (views, buffers, nulls) = self.parts();
        StringViewArray::try_new(views, buffers, nulls)
    }
}

/// Builds a text column of pieces of another column's texts, one per row, which share its buffers.
///
/// Invariant: every view lies inside the text of its own row and covers whole characters; `push` establishes it.
#[derive(Debug)]
pub struct PieceBuilder<'a> {
    from: &'a StringViewArray,
    views: Vec<u128>,
    nulls: NullBufferBuilder,
}

impl<'a> PieceBuilder<'a> {
    /// Pieces of the rows of `from`, in their order.
    pub fn new(from: &'a StringViewArray) -> PieceBuilder<'a> {
        let rows = from.len();
        PieceBuilder { from, views: Vec::with_capacity(rows), nulls: NullBufferBuilder::new(rows) }
    }

    /// Gives the next row the bytes `start .. end` of its text. Answers FALSE, giving it NULL, when that range is not
    /// whole characters of the text.
    #[inline]
    pub fn push(&mut self, start: usize, end: usize) -> bool {
        let row = self.views.len();
        let Some(piece) = self.from.value(row).get(start..end) else {
            self.push_null();
            return false;
        };
        let whole = self.from.views()[row];
        self.views.push(if piece.len() <= INLINE {
            view(piece.as_bytes(), 0, piece.len(), 0)
        } else {
            // A text with a piece that long is not inline: its view names a buffer and an offset in it.
            let prefix = view(piece.as_bytes(), 0, piece.len(), 0) & u128::from(u64::MAX);
            let index = (whole >> 64) as u32;
            let offset = (whole >> 96) as usize + start;
            prefix | (u128::from(index) << 64) | ((offset as u128) << 96)
        });
        self.nulls.append_non_null();
        true
    }

    /// Gives the next row NULL.
    #[inline]
    pub fn push_null(&mut self) {
        self.views.push(0);
        self.nulls.append_null();
    }

    fn parts(self) -> (ScalarBuffer<u128>, Arc<[Buffer]>, Option<arrow_buffer::NullBuffer>) {
        let PieceBuilder { from, views, mut nulls } = self;
        (views.into(), from.data_buffers().iter().cloned().collect(), nulls.finish())
    }

    /// The column.
    pub fn finish(self) -> StringViewArray {
        let (views, buffers, nulls) = self.parts();
        // SAFETY: `StringViewArray` asks that every view is either inline or lies inside the buffer it names with the
        // right 4-byte prefix, and that its bytes are UTF-8. `push` took each range from the row's text with
        // `str::get`, so it is UTF-8 and inside that text; a long view keeps the buffer of the row's own view, which
        // holds the whole text, and counts its offset from that view's. The buffers are those of the same array, in
        // the same order. NULL rows are the all-zero view. `tests::pieces_equal_checked` breaks if any of this fails.
        unsafe { StringViewArray::new_unchecked(views, buffers, nulls) }
    }

    /// The same column through Arrow's own validation: the checked twin of [`PieceBuilder::finish`].
    pub fn finish_checked(self) -> Result<StringViewArray, arrow_schema::ArrowError> {
        let (views, buffers, nulls) = self.parts();
        StringViewArray::try_new(views, buffers, nulls)
    }
}

/// TRUE when `at` does not fall inside a multi-byte character of valid UTF-8.
#[inline]
fn is_boundary(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(|b| (*b as i8) >= -64)
}

/// Masks of the first n bytes.
const KEEP: [u128; INLINE + 1] = {
    let mut masks = [0u128; INLINE + 1];
    let mut n = 1;
    while n <= INLINE {
        masks[n] = (1u128 << (8 * n)) - 1;
        n += 1;
    }
    masks
};

/// The 16-byte view of `bytes[start..end]` in buffer `index`: length, then the text itself up to 12 bytes, or its
/// first 4 bytes, the buffer and the offset.
#[inline(always)]
fn view(bytes: &[u8], start: usize, end: usize, index: u32) -> u128 {
    let len = end - start;
    if len <= INLINE {
        let text = match bytes.get(start..start + 16).and_then(|b| <[u8; 16]>::try_from(b).ok()) {
            Some(block) => u128::from_le_bytes(block) & KEEP[len],
            None => {
                let mut block = [0u8; 16];
                block[..len].copy_from_slice(&bytes[start..end]);
                u128::from_le_bytes(block)
            }
        };
        (text << 32) | len as u128
    } else {
        let prefix = u32::from_le_bytes([bytes[start], bytes[start + 1], bytes[start + 2], bytes[start + 3]]);
        (len as u128) | (u128::from(prefix) << 32) | (u128::from(index) << 64) | ((start as u128) << 96)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn unchecked_equals_checked(texts in proptest::collection::vec(proptest::option::of(".{0,20}"), 0..40), owned: bool) {
            let mut joined = Vec::new();
            let ranges: Vec<Option<(usize, usize)>> = texts
                .iter()
                .map(|t| t.as_ref().map(|t| { let s = joined.len(); joined.extend_from_slice(t.as_bytes()); (s, joined.len()) }))
                .collect();
            let slab = Utf8Slab::new(Buffer::from_vec(joined));
            let build = || {
                let mut b = StrBuilder::with_capacity(4);
                b.use_slab(&slab);
                for (i, (range, text)) in ranges.iter().zip(&texts).enumerate() {
                    match (range, text) {
                        (Some(_), Some(text)) if owned && i % 3 == 0 => b.push_str(text),
                        (Some((s, e)), _) => assert!(b.push(*s, *e)),
                        _ => b.push_null(),
                    }
                }
                b
            };
            let fast = build().finish();
            if !owned && texts.iter().all(Option::is_some) {
                let mut all = StrBuilder::default();
                all.use_slab(&slab);
                assert_eq!(all.push_all(ranges.iter().flatten().copied()), texts.len());
                prop_assert_eq!(&all.finish(), &fast);
            }
            let checked = build().finish_checked().expect("Arrow accepts what we built");
            prop_assert_eq!(&fast, &checked);
            for (i, text) in texts.iter().enumerate() {
                prop_assert_eq!(text.as_deref(), (!fast.is_null(i)).then(|| fast.value(i)));
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_equal_checked(
            rows in proptest::collection::vec((proptest::option::of(".{0,40}"), 0usize..50, 0usize..50), 0..40),
        ) {
            let whole: StringViewArray = rows.iter().map(|(text, ..)| text.as_deref()).collect();
            let build = || {
                let mut pieces = PieceBuilder::new(&whole);
                for (text, start, end) in &rows {
                    match text {
                        Some(text) => assert_eq!(pieces.push(*start, *end), text.get(*start..*end).is_some()),
                        None => pieces.push_null(),
                    }
                }
                pieces
            };
            let fast = build().finish();
            let checked = build().finish_checked().expect("Arrow accepts what we built");
            prop_assert_eq!(&fast, &checked);
            for (i, (text, start, end)) in rows.iter().enumerate() {
                let expect = text.as_deref().and_then(|t| t.get(*start..*end));
                prop_assert_eq!(expect, (!fast.is_null(i)).then(|| fast.value(i)));
            }
        }
    }

    #[test]
    fn ranges_that_cut_characters_are_refused() {
        let slab = Utf8Slab::new(Buffer::from_vec("aé".as_bytes().to_vec()));
        let mut b = StrBuilder::default();
        b.use_slab(&slab);
        assert!(!b.push(0, 2) && !b.push(2, 3) && !b.push(0, 9) && b.push(1, 3));
        assert_eq!(b.push_all([(0, 1), (1, 3), (0, 2), (0, 1)].into_iter()), 2);
        let broken = Utf8Slab::new(Buffer::from_vec(vec![b'a', 0xff, b'b']));
        assert!(!broken.is_valid());
        b.use_slab(&broken);
        assert!(!b.push(0, 2) && b.push(2, 3));
        assert_eq!(b.push_all([(0, 1), (0, 2)].into_iter()), 1);
        assert_eq!(b.finish().len(), 5);
    }
}
