//! Values to text, byte by byte into a growing buffer.
//!
//! Nothing goes through formatting machinery except floats with more than 15 digits. Eight digits are made at once in
//! a 64-bit word and stored with one fixed-size write; the buffer is kept a few bytes longer than what is written, so
//! that such writes need no length of their own.

use std::io::Write;

use velostream_types::decimal;
use velostream_types::time::{self, NS_PER_DAY, NS_PER_SEC};

use crate::format::scan::{Bytes16, load16, string_stop};

/// Bytes that one fixed-size write may touch behind the text.
const SLACK: usize = 32;

/// Text under construction.
#[derive(Debug, Default)]
pub(in crate::format) struct Text {
    /// The text (`len` bytes), then scratch.
    buffer: Vec<u8>,
    len: usize,
    /// The last day printed and its text.
    day: Option<(i64, [u8; 10])>,
}

/// Eight digits of `x` (below 10^8) as values, first digit in the lowest byte.
#[inline(always)]
const fn split8(x: u64) -> u64 {
    let fours = (x / 10_000) | ((x % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (twos - 10 * tens) << 8
}

const ZEROS: u64 = 0x3030_3030_3030_3030;
/// UTF-8's byte order mark, first byte lowest.
const BYTE_ORDER_MARK: u32 = 0x00bf_bbef;
const E8: u64 = 100_000_000;
const E16: u64 = E8 * E8;

impl Text {
    /// Goes on behind `bytes`.
    pub(in crate::format) fn behind(&mut self, bytes: Vec<u8>, expected: usize) {
        self.len = bytes.len();
        self.buffer = bytes;
        self.buffer.resize(self.len + expected + SLACK, 0);
    }

    /// Bytes so far.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Hands the text out.
    pub(in crate::format) fn take(&mut self) -> Vec<u8> {
        self.buffer.truncate(self.len);
        std::mem::take(&mut self.buffer)
    }

    /// The next `n + SLACK` bytes of the buffer.
    #[inline(always)]
    fn room(&mut self, n: usize) -> &mut [u8] {
        if self.buffer.len() < self.len + n + SLACK {
            self.grow(n);
        }
        &mut self.buffer[self.len..]
    }

    #[cold]
    fn grow(&mut self, n: usize) {
        let wanted = (self.buffer.len() * 2).max(self.len + n + SLACK).max(256);
        self.buffer.resize(wanted, 0);
    }

    #[inline(always)]
    pub(in crate::format) fn byte(&mut self, b: u8) {
        self.room(1)[0] = b;
        self.len += 1;
    }

    /// Copies any bytes.
    #[inline(always)]
    pub(in crate::format) fn bytes(&mut self, bytes: &[u8]) {
        let room = self.room(bytes.len());
        room[..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Stores a block of 16 of which `n` count.
    #[inline(always)]
    pub(super) fn block(&mut self, block: u128, n: usize) {
        self.room(16)[..16].copy_from_slice(&block.to_le_bytes());
        self.len += n;
    }

    /// Stores a word of which `n` bytes count.
    #[inline(always)]
    fn word(&mut self, word: u64, n: usize) {
        self.room(8)[..8].copy_from_slice(&word.to_le_bytes());
        self.len += n;
    }

    /// `n` digits (at most 8) of `x`, zeros in front.
    #[inline(always)]
    fn padded(&mut self, x: u64, n: usize) {
        debug_assert!(n <= 8 && (n == 8 || x < 10u64.pow(n as u32)));
        if n > 0 {
            self.word((split8(x) | ZEROS) >> (64 - 8 * n), n);
        }
    }

    /// An unsigned integer.
    #[inline(always)]
    pub(in crate::format) fn unsigned(&mut self, x: u64) {
        if x < E8 {
            let digits = split8(x);
            let zeros = (digits.trailing_zeros() / 8).min(7);
            self.word((digits | ZEROS) >> (8 * zeros), 8 - zeros as usize);
        } else if x < E16 {
            self.unsigned_short(x / E8);
            self.padded(x % E8, 8);
        } else {
            self.unsigned_short(x / E16);
            self.padded(x / E8 % E8, 8);
            self.padded(x % E8, 8);
        }
    }

    #[inline(always)]
    fn unsigned_short(&mut self, x: u64) {
        let digits = split8(x);
        let zeros = (digits.trailing_zeros() / 8).min(7);
        self.word((digits | ZEROS) >> (8 * zeros), 8 - zeros as usize);
    }

    /// An integer.
    #[inline(always)]
    pub(in crate::format) fn integer(&mut self, x: i64) {
        if x < 0 {
            self.byte(b'-');
        }
        self.unsigned(x.unsigned_abs());
    }

    /// A decimal with `scale` digits behind the point.
    #[inline(always)]
    pub(super) fn decimal64(&mut self, mantissa: i64, scale: u8) {
        if scale == 0 {
            return self.integer(mantissa);
        }
        if scale > 18 {
            return self.decimal128(i128::from(mantissa), scale);
        }
        if mantissa < 0 {
            self.byte(b'-');
        }
        let (m, one) = (mantissa.unsigned_abs(), decimal::pow10_i64(scale) as u64);
        self.unsigned(m / one);
        self.byte(b'.');
        self.fraction(m % one, usize::from(scale));
    }

    /// `n` digits (at most 18) of `x`, zeros in front.
    #[inline(always)]
    fn fraction(&mut self, x: u64, n: usize) {
        if n <= 8 {
            return self.padded(x, n);
        }
        if n <= 16 {
            self.padded(x / E8, n - 8);
        } else {
            self.padded(x / E16, n - 16);
            self.padded(x / E8 % E8, 8);
        }
        self.padded(x % E8, 8);
    }

    /// A decimal that needs 128 bits.
    pub(super) fn decimal128(&mut self, mantissa: i128, scale: u8) {
        const E18: u128 = 10u128.pow(18);
        let m = mantissa.unsigned_abs();
        if mantissa < 0 {
            self.byte(b'-');
        }
        // 39 digits at most, zeros in front, in three steps of 18.
        let at = self.len;
        self.fraction((m / E18 / E18) as u64, 3);
        self.fraction((m / E18 % E18) as u64, 18);
        self.fraction((m % E18) as u64, 18);
        let digits: [u8; 39] = match self.buffer[at..self.len].try_into() {
            Ok(digits) => digits,
            Err(_) => return,
        };
        self.len = at;
        let point = digits.len() - usize::from(scale);
        let first = digits[..point - 1].iter().position(|d| *d != b'0').unwrap_or(point - 1);
        self.bytes(&digits[first..point]);
        if scale > 0 {
            self.byte(b'.');
            self.bytes(&digits[point..]);
        }
    }

    /// A finite float: the shortest text that reads back equal.
    pub(super) fn float(&mut self, x: f64) {
        if x == 0.0 {
            return self.bytes(b"0.0");
        }
        let magnitude = x.abs();
        if (1e-5..1e15).contains(&magnitude) && self.short_float(x, magnitude) {
            return;
        }
        let before = self.len;
        self.room(400);
        let mut rest = &mut self.buffer[before..];
        let room = rest.len();
        let plain = (1e-5..1e16).contains(&magnitude);
        let written = if plain { write!(rest, "{x}") } else { write!(rest, "{x:e}") };
        debug_assert!(written.is_ok(), "a float has at most 330 characters");
        let left = rest.len();
        self.len = before + (room - left);
        if plain && !self.buffer[before..self.len].contains(&b'.') {
            self.bytes(b".0");
        }
    }

    /// A float of at most 15 digits, at most 8 behind the point. Such a decimal is the only one of its length that
    /// reads back as `x`, so dividing once and comparing proves it.
    fn short_float(&mut self, x: f64, magnitude: f64) -> bool {
        let mut power = 1.0;
        for scale in 0..=8u8 {
            let shifted = (magnitude * power).round();
            if shifted >= 1e15 {
                return false;
            }
            if shifted / power == magnitude {
                let m = shifted as i64;
                self.decimal64(if x < 0.0 { -m } else { m }, scale);
                if scale == 0 {
                    self.bytes(b".0");
                }
                return true;
            }
            power *= 10.0;
        }
        false
    }

    /// `YYYY-MM-DD`.
    #[inline]
    pub(super) fn date(&mut self, days: i64) {
        if let Some((day, text)) = self.day
            && day == days
        {
            return self.bytes(&text);
        }
        let (year, month, day) = time::civil_from_days(days);
        let at = self.len;
        match u64::try_from(year) {
            Ok(y) if y <= 9999 => self.padded(y, 4),
            _ => return self.bytes(time::date_text(days as i32).as_bytes()),
        }
        self.byte(b'-');
        self.padded(u64::from(month), 2);
        self.byte(b'-');
        self.padded(u64::from(day), 2);
        self.day = self.buffer[at..self.len].try_into().ok().map(|text| (days, text));
    }

    /// `HH:MM:SS.fff` of nanoseconds since midnight, with 3, 6 or 9 fraction digits.
    #[inline]
    pub(super) fn time_of_day(&mut self, ns: i64) {
        let (secs, frac) = ((ns / NS_PER_SEC) as u64, (ns % NS_PER_SEC) as u64);
        self.padded(secs / 3600, 2);
        self.byte(b':');
        self.padded(secs / 60 % 60, 2);
        self.byte(b':');
        self.padded(secs % 60, 2);
        self.byte(b'.');
        if frac % 1_000_000 == 0 {
            self.padded(frac / 1_000_000, 3);
        } else if frac % 1_000 == 0 {
            self.padded(frac / 1_000, 6);
        } else {
            self.fraction(frac, 9);
        }
    }

    /// `YYYY-MM-DD HH:MM:SS.fff`.
    #[inline]
    pub(super) fn timestamp(&mut self, t: i64) {
        self.date(t.div_euclid(NS_PER_DAY));
        self.byte(b' ');
        self.time_of_day(t.rem_euclid(NS_PER_DAY));
    }

    /// JSON string of text that is at most 12 bytes in a string view.
    #[inline(always)]
    pub(super) fn json_inline(&mut self, block: u128, n: usize) {
        let stops = Bytes16::new(block).string_stops() & ((1 << n) - 1);
        if stops != 0 {
            return self.json_string(&block.to_le_bytes()[..n]);
        }
        let quoted = block << 8 | u128::from(b'"') | u128::from(b'"') << (8 * (n + 1));
        self.block(quoted, n + 2);
    }

    /// JSON string.
    #[inline]
    pub(in crate::format) fn json_string(&mut self, text: &[u8]) {
        self.byte(b'"');
        match string_stop(text, 0) {
            None => self.bytes(text),
            Some(stop) => self.json_escaped(text, stop),
        }
        self.byte(b'"');
    }

    #[cold]
    fn json_escaped(&mut self, text: &[u8], mut stop: usize) {
        let mut at = 0;
        loop {
            self.bytes(&text[at..stop]);
            let Some(b) = text.get(stop) else { return };
            match b {
                b'"' => self.bytes(b"\\\""),
                b'\\' => self.bytes(b"\\\\"),
                b'\n' => self.bytes(b"\\n"),
                b'\r' => self.bytes(b"\\r"),
                b'\t' => self.bytes(b"\\t"),
                0x08 => self.bytes(b"\\b"),
                0x0c => self.bytes(b"\\f"),
                control => {
                    const HEX: &[u8; 16] = b"0123456789abcdef";
                    self.bytes(b"\\u00");
                    self.byte(HEX[usize::from(control >> 4)]);
                    self.byte(HEX[usize::from(control & 15)]);
                }
            }
            at = stop + 1;
            stop = string_stop(text, at).unwrap_or(text.len());
        }
    }

    /// CSV text that is at most 12 bytes in a string view.
    #[inline(always)]
    pub(super) fn csv_inline(&mut self, block: u128, n: usize, delimiter: u8) {
        let bytes = Bytes16::new(block);
        let stops = (bytes.string_stops() | bytes.equal(delimiter)) & ((1 << n) - 1);
        if stops != 0 || n == 0 || block as u32 & 0x00ff_ffff == BYTE_ORDER_MARK {
            return self.csv_text(&block.to_le_bytes()[..n], delimiter);
        }
        self.block(block, n);
    }

    /// CSV text, quoted where its form asks for it: empty, or with a delimiter, a quote or a control character, or
    /// beginning with what a reader would take for a byte order mark.
    pub(super) fn csv_text(&mut self, text: &[u8], delimiter: u8) {
        let marked = text.starts_with(&BYTE_ORDER_MARK.to_le_bytes()[..3]);
        let plain = !text.is_empty() && !marked && !text.iter().any(|b| *b == delimiter || *b == b'"' || *b < 0x20);
        if plain {
            return self.bytes(text);
        }
        self.byte(b'"');
        let mut at = 0;
        while let Some(n) = memchr::memchr(b'"', &text[at..]) {
            self.bytes(&text[at..=at + n]);
            self.byte(b'"');
            at += n + 1;
        }
        self.bytes(&text[at..]);
        self.byte(b'"');
    }

    /// Puts what was written since `start` in quotes if it holds the delimiter (a colon, a space, a digit may be one).
    pub(super) fn quote_if_cut(&mut self, start: usize, delimiter: u8) {
        if self.buffer[start..self.len].contains(&delimiter) {
            let value = self.buffer[start..self.len].to_vec();
            self.len = start;
            self.csv_text(&value, delimiter);
        }
    }

    /// A column's name or delimiter as prepared: short ones in one store.
    #[inline(always)]
    pub(super) fn prefix(&mut self, prefix: &Prefix) {
        if prefix.len <= 16 { self.block(prefix.head, prefix.len) } else { self.bytes(&prefix.bytes) }
    }
}

/// Bytes in front of a value, the same in every row.
#[derive(Clone, Debug)]
pub(super) struct Prefix {
    head: u128,
    len: usize,
    bytes: Box<[u8]>,
}

impl Prefix {
    pub(super) fn new(bytes: &[u8]) -> Prefix {
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len().max(16), 0);
        Prefix { head: load16(&padded, 0).unwrap_or(0), len: bytes.len(), bytes: bytes.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(f: impl FnOnce(&mut Text)) -> String {
        let mut t = Text::default();
        f(&mut t);
        String::from_utf8(t.take()).expect("text")
    }

    #[test]
    fn floats_at_the_edges() {
        for x in [
            1.0,
            -0.0,
            0.1,
            1e16,
            1e15,
            1e-5,
            9.999e-6,
            1e-6,
            1.5e15,
            1e300,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            0.3,
            0.1 + 0.2,
            1.0 / 3.0,
            123_456.789,
            999_999_999_999_999.0,
            0.00001234,
            4_503_599_627_370_497.5,
            -2.5,
        ] {
            assert_eq!(text(|t| t.float(x)), decimal::float_text(x));
        }
    }

    proptest! {
        #[test]
        fn numbers_equal_the_plain_forms(i: i64, short in -100_000i64..100_000, m in -decimal::MAX..decimal::MAX, shift in 0u32..127, scale in 0u8..=38, x: f64, a in 0i64..1_000_000_000, b in 0u8..9) {
            prop_assert_eq!(text(|t| t.integer(i)), i.to_string());
            prop_assert_eq!(text(|t| t.integer(short)), short.to_string());
            let m = m >> shift;
            prop_assert_eq!(text(|t| t.decimal128(m, scale)), decimal::to_text(m, scale));
            prop_assert_eq!(text(|t| t.decimal64(i, scale)), decimal::to_text(i128::from(i), scale));
            prop_assert_eq!(text(|t| t.decimal64(short, scale)), decimal::to_text(i128::from(short), scale));
            if x.is_finite() {
                prop_assert_eq!(text(|t| t.float(x)), decimal::float_text(x));
            }
            let plain: f64 = decimal::to_text(i128::from(a), b).parse().expect("a float");
            prop_assert_eq!(text(|t| t.float(plain)), decimal::float_text(plain));
            prop_assert_eq!(text(|t| t.float(plain / 3.0)), decimal::float_text(plain / 3.0));
        }

        #[test]
        fn times_equal_the_plain_forms(t: i64, days: i32, grain in prop_oneof![Just(1i64), Just(1_000), Just(1_000_000)]) {
            let t = t / grain * grain;
            prop_assert_eq!(text(|x| x.timestamp(t)), time::timestamp_text(t));
            prop_assert_eq!(text(|x| { x.timestamp(t); x.timestamp(t) }), time::timestamp_text(t).repeat(2));
            prop_assert_eq!(text(|x| x.date(i64::from(days))), time::date_text(days));
        }
    }
}
