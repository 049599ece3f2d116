//! Key bytes: rows of key columns to canonical bytes and back.
//!
//! Values equal under `=` have equal bytes whatever storage carried them: 5, 5.0 and 5.00 as integer, decimal or
//! float; −0 and 0; all NaN; NULL equals NULL. So widening a column never moves a key to another group or vnode.
//! Every value names its own length, so the bytes of several columns follow each other without ambiguity. The layout
//! is a format constant: vnodes and snapshots depend on it.
//!
//! ```text
//! 0 NULL   1 FALSE   2 TRUE   4 decimal: scale, 8 bytes   5 decimal: scale, 16 bytes   6 float: 8 bytes   7 NaN
//! 8 text: length, bytes   9 bytes: length, bytes   10 date: 4 bytes   11 timestamp: 8 bytes
//! 32 + n integer: n bytes of its zigzag form, as few as hold it
//! ```
//! Numbers are little endian. A decimal has no zero at its end and does not fit the form before it. A float stands as
//! itself only when 38 decimal digits cannot say it. A length is one byte below 255, else 255 and four bytes.
//!
//! Cost: one copy of the key into a buffer that is reused from batch to batch.

use arrow_array::Array;
use velostream_types::{Column, Value, decimal};

use crate::build::ColumnBuilder;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const DEC64: u8 = 4;
const DEC128: u8 = 5;
const FLOAT: u8 = 6;
const NAN: u8 = 7;
const STR: u8 = 8;
const BYTES: u8 = 9;
const DATE: u8 = 10;
const TIMESTAMP: u8 = 11;
/// An integer without bytes: 0.
const INT: u8 = 32;
/// An integer of eight bytes.
const INT8: u8 = 40;
/// Longest integer with its tag.
const INT_BYTES: usize = 9;
/// Lengths from here on take five bytes.
const LONG: usize = 255;

/// Longest key that fits a word.
const WORD_KEY: usize = 7;

/// A short key as one word: its bytes, zeros, and in the last byte the length with the top bit set. Equal words are
/// equal keys.
pub type Word = [u8; 8];

#[inline]
fn word_tag(len: usize) -> u64 {
    (0x80 | len as u64) << 56
}

/// The key as a word; `None` when it is too long.
#[inline]
pub fn word(key: &[u8]) -> Option<Word> {
    let mut out = word_tag(key.len().min(WORD_KEY)).to_le_bytes();
    out.get_mut(..key.len()).filter(|_| key.len() <= WORD_KEY)?.copy_from_slice(key);
    Some(out)
}

/// Bytes of the key in a word; `None` when the word holds none.
#[inline]
pub fn word_key(word: &Word) -> Option<&[u8]> {
    (word[WORD_KEY] & 0x80 != 0).then(|| &word[..usize::from(word[WORD_KEY] & 7)])
}

/// Stands for the word of a key that is too long for one.
const NO_WORD: Word = [0; 8];

/// Keys of one batch, one after the other.
#[derive(Clone, Debug)]
pub struct KeyBatch {
    bytes: Vec<u8>,
    /// Start of each key, and the end of the last.
    bounds: Vec<u32>,
    /// Each key as a word.
    words: Vec<Word>,
}

impl Default for KeyBatch {
    fn default() -> KeyBatch {
        KeyBatch { bytes: Vec::new(), bounds: vec![0], words: Vec::new() }
    }
}

impl KeyBatch {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// TRUE when there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of key `i`.
    #[inline]
    pub fn key(&self, i: usize) -> &[u8] {
        &self.bytes[self.bounds[i] as usize..self.bounds[i + 1] as usize]
    }

    /// Key `i` as a word, if it is short enough; see [`Word`].
    #[inline]
    pub fn word(&self, i: usize) -> Option<Word> {
        Some(self.words[i]).filter(|word| word_key(word).is_some())
    }

    /// All keys as words; one that is no word's key stands for a longer one.
    #[inline]
    pub(crate) fn words(&self) -> &[Word] {
        &self.words
    }

    /// Appends a key that was encoded before.
    pub fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.end();
    }

    /// Forgets the keys and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bounds.truncate(1);
        self.words.clear();
    }

    fn end(&mut self) {
        assert!(self.bytes.len() <= u32::MAX as usize, "keys of one batch stay below 4 GiB");
        let from = self.bounds.last().map_or(0, |from| *from as usize);
        self.words.push(word(&self.bytes[from..]).unwrap_or(NO_WORD));
        self.bounds.push(self.bytes.len() as u32);
    }
}

/// Makes key bytes, reusing its buffers.
#[derive(Debug, Default)]
pub struct KeyEncoder {
    batch: KeyBatch,
}

impl KeyEncoder {
    /// An encoder; one per operator.
    pub fn new() -> KeyEncoder {
        KeyEncoder::default()
    }

    /// Keys of the rows of these columns. No columns: every row has the empty key.
    pub fn encode(&mut self, columns: &[&Column], rows: usize) -> &KeyBatch {
        self.batch.clear();
        self.batch.bounds.reserve(rows);
        self.batch.words.reserve(rows);
        match columns {
            [] => (0..rows).for_each(|_| self.batch.end()),
            [Column::Int(a)] if a.null_count() == 0 => self.ints(&a.values()[..rows]),
            [Column::Str(a)] if a.null_count() == 0 => {
                for i in 0..rows {
                    text(a.value(i).as_bytes(), STR, &mut self.batch.bytes);
                    self.batch.end();
                }
            }
            columns => {
                for i in 0..rows {
                    for column in columns {
                        value(column, i, &mut self.batch.bytes);
                    }
                    self.batch.end();
                }
            }
        }
        &self.batch
    }

    /// Takes keys that were encoded before, as if they had just been.
    pub fn load<'a>(&mut self, keys: impl Iterator<Item = &'a [u8]>) -> &KeyBatch {
        self.batch.clear();
        keys.for_each(|key| self.batch.push(key));
        &self.batch
    }

    /// The keys of the last [`KeyEncoder::encode`].
    pub fn keys(&self) -> &KeyBatch {
        &self.batch
    }

    fn ints(&mut self, values: &[i64]) {
        assert!(values.len() * INT_BYTES <= u32::MAX as usize, "keys of one batch stay below 4 GiB");
        // Every integer is written in full and the next one begins where it really ends.
        self.batch.bytes.resize(values.len() * INT_BYTES, 0);
        let mut at = 0;
        for value in values {
            let (tag, bytes) = zigzag(*value);
            self.batch.bytes[at] = tag;
            self.batch.bytes[at + 1..at + INT_BYTES].copy_from_slice(&bytes);
            let len = 1 + usize::from(tag - INT);
            at += len;
            self.batch.bounds.push(at as u32);
            let word = u64::from_le_bytes(bytes) << 8 | u64::from(tag) | word_tag(len);
            self.batch.words.push(if len <= WORD_KEY { word.to_le_bytes() } else { NO_WORD });
        }
        self.batch.bytes.truncate(at);
    }
}

/// Tag and bytes of an integer; the tag says how many of the bytes count.
#[inline]
fn zigzag(value: i64) -> (u8, [u8; 8]) {
    let z = ((value << 1) ^ (value >> 63)) as u64;
    (INT + 8 - (z.leading_zeros() / 8) as u8, z.to_le_bytes())
}

#[inline]
fn text(bytes: &[u8], tag: u8, out: &mut Vec<u8>) {
    if bytes.len() < LONG {
        out.extend_from_slice(&[tag, bytes.len() as u8]);
    } else {
        out.extend_from_slice(&[tag, LONG as u8]);
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    }
    out.extend_from_slice(bytes);
}

#[inline]
fn integer(value: i64, out: &mut Vec<u8>) {
    let (tag, bytes) = zigzag(value);
    out.push(tag);
    out.extend_from_slice(&bytes[..usize::from(tag - INT)]);
}

fn number(mantissa: i128, scale: u8, out: &mut Vec<u8>) {
    let (mantissa, scale) = decimal::strip(mantissa, scale, 0);
    match i64::try_from(mantissa) {
        Ok(m) if scale == 0 => integer(m, out),
        Ok(m) => {
            out.extend_from_slice(&[DEC64, scale]);
            out.extend_from_slice(&m.to_le_bytes());
        }
        Err(_) => {
            out.extend_from_slice(&[DEC128, scale]);
            out.extend_from_slice(&mantissa.to_le_bytes());
        }
    }
}

fn float(x: f64, out: &mut Vec<u8>) {
    if x.is_nan() {
        return out.push(NAN);
    }
    match exact_decimal(x) {
        Some((mantissa, scale)) => number(mantissa, scale, out),
        None => {
            out.push(FLOAT);
            out.extend_from_slice(&x.to_bits().to_le_bytes());
        }
    }
}

/// The decimal that equals `x`, if 38 digits hold it.
pub fn exact_decimal(x: f64) -> Option<(i128, u8)> {
    if x == 0.0 {
        return Some((0, 0));
    }
    if !x.is_finite() {
        return None;
    }
    let bits = x.to_bits();
    let raw = ((bits >> 52) & 0x7ff) as i32;
    let fraction = i128::from(bits & ((1 << 52) - 1));
    let (mut m, mut e) = if raw == 0 { (fraction, -1074) } else { (fraction | (1 << 52), raw - 1075) };
    let zeros = m.trailing_zeros() as i32;
    m >>= zeros;
    e += zeros;
    let (m, scale) = if e >= 0 {
        if e > 126 {
            return None;
        }
        (m.checked_mul(1i128 << e)?, 0)
    } else {
        // m / 2^n = m * 5^n / 10^n
        let n = u8::try_from(-e).ok().filter(|n| *n <= 38)?;
        (m.checked_mul(5i128.checked_pow(u32::from(n))?)?, n)
    };
    decimal::fits(m).then_some((if x < 0.0 { -m } else { m }, scale))
}

fn value(column: &Column, i: usize, out: &mut Vec<u8>) {
    if column.is_null(i) {
        return out.push(NULL);
    }
    match column {
        Column::Null(_) => out.push(NULL),
        Column::Bool(a) => out.push(if a.value(i) { TRUE } else { FALSE }),
        Column::Int(a) => integer(a.value(i), out),
        Column::Float(a) => float(a.value(i), out),
        Column::Dec64(a) => number(i128::from(a.value(i)), a.scale().max(0) as u8, out),
        Column::Dec128(a) => number(a.value(i), a.scale().max(0) as u8, out),
        Column::Str(a) => text(a.value(i).as_bytes(), STR, out),
        Column::Bytes(a) => text(a.value(i), BYTES, out),
        Column::Timestamp(a) => {
            out.push(TIMESTAMP);
            out.extend_from_slice(&a.value(i).to_le_bytes());
        }
        Column::Date(a) => {
            out.push(DATE);
            out.extend_from_slice(&a.value(i).to_le_bytes());
        }
    }
}

/// Splits the first `n` bytes off; `None` when there are not so many.
fn split<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

fn split_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let [short] = split::<1>(bytes)?;
    let len = if usize::from(short) == LONG { u32::from_le_bytes(split(bytes)?) as usize } else { usize::from(short) };
    let (head, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(head)
}

/// Appends the values of one key to the builders of its columns. `None` when these are no key bytes of so many
/// columns; some builders may have got their value then.
pub fn decode(mut key: &[u8], columns: &mut [ColumnBuilder]) -> Option<()> {
    for column in columns {
        let [tag] = split::<1>(&mut key)?;
        match tag {
            NULL => column.push_null(),
            FALSE | TRUE => column.push_value(&Value::Bool(tag == TRUE)),
            INT..=INT8 => {
                let (head, rest) = key.split_at_checked(usize::from(tag - INT))?;
                let mut bytes = [0; 8];
                bytes[..head.len()].copy_from_slice(head);
                key = rest;
                let z = u64::from_le_bytes(bytes);
                column.push_int((z >> 1) as i64 ^ -((z & 1) as i64));
            }
            DEC64 | DEC128 => {
                let [scale] = split::<1>(&mut key)?;
                let mantissa = match tag {
                    DEC64 => i128::from(i64::from_le_bytes(split(&mut key)?)),
                    _ => i128::from_le_bytes(split(&mut key)?),
                };
                if scale > 38 || !decimal::fits(mantissa) {
                    return None;
                }
                column.push_decimal(mantissa, scale);
            }
            FLOAT => column.push_value(&Value::Float(f64::from_bits(u64::from_le_bytes(split(&mut key)?)))),
            NAN => column.push_value(&Value::Float(f64::NAN)),
            STR => column.push_str(std::str::from_utf8(split_text(&mut key)?).ok()?),
            BYTES => column.push_value(&Value::Bytes(split_text(&mut key)?.into())),
            DATE => column.push_value(&Value::Date(i32::from_le_bytes(split(&mut key)?))),
            TIMESTAMP => column.push_value(&Value::Timestamp(i64::from_le_bytes(split(&mut key)?))),
            _ => return None,
        }
    }
    key.is_empty().then_some(())
}

#[cfg(test)]
#[path = "key/tests.rs"]
mod tests;
