//! Number text to exact values.
//!
//! Two roads. [`fixed`] reads what a column nearly always brings (at most 8 digits on each side of a point at the
//! expected place, or a short integer) with a few 64-bit operations and no loop over characters. Everything else goes
//! through [`Shape`], which knows both grammars, exponents, 38 digits and rounding. `fixed` answers `None` whenever
//! it is not sure, so the second road alone decides what is a number.

use velostream_types::decimal;

use super::scan::load8;

/// Whose number grammar holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    /// RFC 8259: no plus sign, no leading zeros, digits on both sides of a point.
    Json,
    /// Also `+5`, `007`, `.5` and `5.`.
    Csv,
}

/// Value of 8 digits given as values 0-9, first digit in the lowest byte.
#[inline(always)]
const fn join8(d: u64) -> u64 {
    let d = (d.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00ff_00ff_00ff_00ff;
    let d = (d.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_ffff_0000_ffff;
    d.wrapping_mul(1 + (10_000 << 32)) >> 32
}

/// TRUE when every byte is 0-9.
#[inline(always)]
const fn all_digits(d: u64) -> bool {
    ((d.wrapping_add(0x7676_7676_7676_7676)) | d) & 0x8080_8080_8080_8080 == 0
}

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Digits `start..end` (1 to 8 of them) as values, moved to the high bytes so that [`join8`] reads them.
#[inline(always)]
fn digits8(bytes: &[u8], start: usize, end: usize) -> Option<u64> {
    Some((load8(bytes, start)? ^ ZEROS) << (64 - 8 * (end - start)))
}

/// Up to 16 digits as an integer.
#[inline(always)]
fn short_int(bytes: &[u8], start: usize, end: usize) -> Option<u64> {
    match end.wrapping_sub(start) {
        1..=8 => {
            let d = digits8(bytes, start, end)?;
            all_digits(d).then(|| join8(d))
        }
        9..=16 => {
            let high = digits8(bytes, start, end - 8)?;
            let low = load8(bytes, end - 8)? ^ ZEROS;
            (all_digits(high) && all_digits(low)).then(|| join8(high) * 100_000_000 + join8(low))
        }
        _ => None,
    }
}

/// Mantissa of the number at `start..end` if it has exactly `scale` digits behind its point (no point for 0), at most
/// 8, and its whole part is short; `None` for everything else, numbers in other forms included. Where it answers, the
/// token is a number in both grammars.
#[inline(always)]
pub(super) fn fixed(bytes: &[u8], start: usize, end: usize, scale: u8) -> Option<i64> {
    let first = *bytes.get(start)?;
    let negative = first == b'-';
    let start = start + usize::from(negative);
    if scale == 0 {
        let whole = short_int(bytes, start, end)? as i64;
        if bytes[start] == b'0' && end - start > 1 {
            return None;
        }
        return Some(if negative { -whole } else { whole });
    }
    let digits = usize::from(scale);
    if scale > 8 || end < start + digits + 2 {
        return None;
    }
    let point = end - digits - 1;
    if bytes[point] != b'.' || point - start > 8 || (bytes[start] == b'0' && point - start > 1) {
        return None;
    }
    let whole = digits8(bytes, start, point)?;
    // The bytes before the fraction are shifted out, whatever they are.
    let keep = 64 - 8 * digits;
    let fraction = ((load8(bytes, end.checked_sub(8)?)? ^ ZEROS) >> keep) << keep;
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let mantissa = join8(whole) as i64 * decimal::pow10_i64(scale) + join8(fraction) as i64;
    Some(if negative { -mantissa } else { mantissa })
}

/// The parts of a number, checked against a grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: Option<i64>,
}

/// Splits leading digits off.
fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len()))
}

/// Digits as an integer, saturating far beyond any exponent that matters.
fn saturating(digits: &[u8]) -> i64 {
    digits.iter().fold(0i64, |n, d| (n * 10 + i64::from(d - b'0')).min(1 << 40))
}

impl<'a> Shape<'a> {
    /// The parts of `text` if the whole of it is a number.
    pub(super) fn of(text: &'a [u8], grammar: Grammar) -> Option<Shape<'a>> {
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] if grammar == Grammar::Csv => (false, rest),
            _ => (false, text),
        };
        let (whole, rest) = split_digits(rest);
        let (fraction, rest, point) = match rest {
            [b'.', rest @ ..] => {
                let (fraction, rest) = split_digits(rest);
                (fraction, rest, true)
            }
            _ => (&rest[..0], rest, false),
        };
        let plain = match grammar {
            Grammar::Json => {
                !whole.is_empty() && (whole.len() == 1 || whole[0] != b'0') && (!point || !fraction.is_empty())
            }
            Grammar::Csv => !whole.is_empty() || !fraction.is_empty(),
        };
        let exponent = match rest {
            [] => None,
            [b'e' | b'E', rest @ ..] => {
                let (down, digits) = match rest {
                    [b'-', d @ ..] => (true, d),
                    [b'+', d @ ..] => (false, d),
                    d => (false, d),
                };
                if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                    return None;
                }
                let n = saturating(digits);
                Some(if down { -n } else { n })
            }
            _ => return None,
        };
        plain.then_some(Shape { negative, whole, fraction, exponent })
    }

    /// TRUE when the number was written with an exponent.
    pub(super) fn has_exponent(&self) -> bool {
        self.exponent.is_some()
    }

    /// TRUE when the number has no digits behind its point and no exponent.
    pub(super) fn is_integer(&self) -> bool {
        self.fraction.is_empty() && self.exponent.is_none()
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.iter().chain(self.fraction).map(|b| b - b'0')
    }

    fn signed(&self, magnitude: i128) -> i128 {
        if self.negative { -magnitude } else { magnitude }
    }

    /// Mantissa and scale, exactly. Digits behind the point keep their number unless only dropping zeros makes them
    /// fit. `None` when it does not fit 38 digits.
    pub(super) fn exact(&self) -> Option<(i128, u8)> {
        let mut scale = self.fraction.len() as i64 - self.exponent.unwrap_or(0);
        let mut mantissa = 0i128;
        // Zeros are held back until a digit follows, so that a tail of them can be dropped.
        let mut zeros = 0u32;
        for d in self.digits() {
            if d == 0 && mantissa != 0 {
                zeros += 1;
                continue;
            }
            if d != 0 {
                mantissa = shift(mantissa, zeros + 1)?.checked_add(i128::from(d))?;
                zeros = 0;
            }
        }
        if mantissa == 0 {
            return Some((0, scale.clamp(0, 38) as u8));
        }
        scale -= i64::from(zeros);
        // Put back as many zeros as fit, down to none behind the point at all.
        while zeros > 0 && (scale < 0 || mantissa <= decimal::MAX / 10) && scale < 38 {
            mantissa = shift(mantissa, 1)?;
            zeros -= 1;
            scale += 1;
        }
        if scale < 0 {
            mantissa = shift(mantissa, u32::try_from(-scale).ok()?)?;
            scale = 0;
        }
        let scale = u8::try_from(scale).ok().filter(|s| *s <= 38)?;
        decimal::fits(mantissa).then(|| (self.signed(mantissa), scale))
    }

    /// Mantissa at exactly `scale` digits behind the point, rounded half away from zero, and whether digits other
    /// than zero were dropped. `None` when it does not fit 38 digits.
    pub(super) fn at_scale(&self, scale: u8) -> Option<(i128, bool)> {
        let count = (self.whole.len() + self.fraction.len()) as i64;
        let keep = self.whole.len() as i64 + self.exponent.unwrap_or(0) + i64::from(scale);
        let (mut mantissa, mut lossy, mut up) = (0i128, false, false);
        for (i, d) in self.digits().enumerate() {
            let i = i as i64;
            if i < keep {
                mantissa = shift(mantissa, 1)?.checked_add(i128::from(d))?;
            } else {
                up |= i == keep && d >= 5;
                lossy |= d != 0;
            }
        }
        if keep > count && mantissa != 0 {
            mantissa = shift(mantissa, u32::try_from(keep - count).ok()?)?;
        }
        mantissa += i128::from(up);
        decimal::fits(mantissa).then(|| (self.signed(mantissa), lossy))
    }
}

/// `mantissa` with `zeros` zeros behind it, if it fits 38 digits.
fn shift(mantissa: i128, zeros: u32) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    let zeros = u8::try_from(zeros).ok().filter(|z| *z <= 38)?;
    mantissa.checked_mul(decimal::pow10(zeros)).filter(|m| decimal::fits(*m))
}

/// The float nearest to a number's text. `None` when it is no number or too large.
pub(super) fn float(text: &[u8], grammar: Grammar) -> Option<f64> {
    Shape::of(text, grammar)?;
    let x: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    x.is_finite().then_some(x)
}

/// `mantissa / 10^scale` as the nearest float, where one division rounds correctly.
#[inline(always)]
pub(super) fn short_float(mantissa: i64, scale: u8) -> Option<f64> {
    const EXACT: i64 = 1 << 53;
    const POWERS: [f64; 9] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];
    let power = POWERS.get(usize::from(scale))?;
    // Minus zero keeps its sign on the other road.
    (mantissa != 0 && mantissa > -EXACT && mantissa < EXACT).then(|| mantissa as f64 / power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(text: &str, grammar: Grammar) -> Option<(i128, u8)> {
        Shape::of(text.as_bytes(), grammar).and_then(|s| s.exact())
    }

    #[test]
    fn both_grammars() {
        for text in ["0", "-0", "12", "1.50", "-0.5", "1e3", "1E-2", "0.0e+5"] {
            assert!(exact(text, Grammar::Json).is_some() && exact(text, Grammar::Csv).is_some(), "{text}");
        }
        for text in ["+5", "007", ".5", "5.", "-.5"] {
            assert!(exact(text, Grammar::Json).is_none() && exact(text, Grammar::Csv).is_some(), "{text}");
        }
        for text in ["", "-", ".", "1.2.3", "1e", "1e+", "e5", "1 ", "0x1", "--1", "inf", "NaN", "1,5"] {
            assert!(exact(text, Grammar::Csv).is_none(), "{text}");
        }
    }

    #[test]
    fn exact_values() {
        for (text, want) in [
            ("1.50", Some((150, 2))),
            ("1.5e3", Some((1500, 0))),
            ("25e-3", Some((25, 3))),
            ("100e-1", Some((100, 1))),
            ("1e38", None),
            ("1e37", Some((10i128.pow(37), 0))),
            ("0e999999999999", Some((0, 0))),
            ("1e-38", Some((1, 38))),
            ("1e-39", None),
            ("99999999999999999999999999999999999999", Some((decimal::MAX, 0))),
            ("100000000000000000000000000000000000000", None),
            ("0.10000000000000000000000000000000000000000000", Some((10i128.pow(37), 38))),
            ("0000000000000000000000000000000000000000000007", Some((7, 0))),
        ] {
            assert_eq!(exact(text, Grammar::Csv), want, "{text}");
        }
    }

    #[test]
    fn rounding_to_a_scale() {
        for (text, scale, want) in [
            ("1.005", 2, Some((101, true))),
            ("-1.005", 2, Some((-101, true))),
            ("1.0049", 2, Some((100, true))),
            ("1.500", 2, Some((150, false))),
            ("7", 2, Some((700, false))),
            ("0.4", 0, Some((0, true))),
            ("0.5", 0, Some((1, true))),
            ("1.5e2", 1, Some((1500, false))),
            ("5e-3", 2, Some((1, true))),
            ("5e-4", 2, Some((0, true))),
            ("0.12345678901234567890123456789012345678901234", 2, Some((12, true))),
            ("1e38", 0, None),
        ] {
            assert_eq!(Shape::of(text.as_bytes(), Grammar::Json).and_then(|s| s.at_scale(scale)), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_road_agrees_with_the_slow_one(text in "-?[0-9]{1,18}(\\.[0-9]{0,9})?|[-+0-9.eE,\"]{0,20}", scale in 0u8..10, pad in 0usize..12) {
            let mut bytes = b"7,".to_vec();
            let start = bytes.len();
            bytes.extend_from_slice(text.as_bytes());
            let end = bytes.len();
            bytes.extend(std::iter::repeat_n(b'5', pad));
            if let Some(m) = fixed(&bytes, start, end, scale) {
                prop_assert_eq!(exact(&text, Grammar::Json), Some((i128::from(m), scale)));
                if let Some(x) = short_float(m, scale) {
                    prop_assert_eq!(Some(x), text.parse::<f64>().ok());
                }
            }
        }

        #[test]
        fn exact_agrees_with_the_plain_parser(m in -(10i128.pow(36))..10i128.pow(36), scale in 0u8..30) {
            let text = decimal::to_text(m, scale);
            prop_assert_eq!(exact(&text, Grammar::Json), Some((m, scale)));
            prop_assert_eq!(exact(&format!("{text}e0"), Grammar::Json), Some((m, scale)));
        }
    }
}
