//! Exact decimals: `mantissa / 10^scale` with a 128-bit mantissa of at most 38 digits.
//!
//! Rounding is half away from zero everywhere. Products and quotients go through 256-bit intermediates, so a result
//! is wrong only if it does not fit, and then it is an overflow, never a wrapped number.

use std::io::Write;

/// Largest mantissa: 10^38 − 1.
pub const MAX: i128 = 99_999_999_999_999_999_999_999_999_999_999_999_999;
/// Computed scales are cut to this, but never below an operand's scale.
pub const SCALE_CAP: u8 = 18;

const POW10: [i128; 39] = {
    let mut table = [1i128; 39];
    let mut i = 1;
    while i < 39 {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// 10^n for n up to 38.
#[inline]
pub const fn pow10(n: u8) -> i128 {
    POW10[n as usize]
}

/// 10^n for n up to 18.
#[inline]
pub const fn pow10_i64(n: u8) -> i64 {
    POW10[n as usize] as i64
}

/// Scale of a sum or difference.
pub const fn add_scale(s1: u8, s2: u8) -> u8 {
    if s1 > s2 { s1 } else { s2 }
}

/// Scale of a product: `max(min(s1+s2, 18), s1, s2)`.
pub const fn mul_scale(s1: u8, s2: u8) -> u8 {
    let sum = s1 + s2;
    let capped = if sum < SCALE_CAP { sum } else { SCALE_CAP };
    add_scale(capped, add_scale(s1, s2))
}

/// Scale of a quotient: `max(min(max(s1,s2)+4, 18), s1, s2)`.
pub const fn div_scale(s1: u8, s2: u8) -> u8 {
    let wide = add_scale(s1, s2);
    let capped = if wide + 4 < SCALE_CAP { wide + 4 } else { SCALE_CAP };
    add_scale(capped, wide)
}

/// Scale of AVG over decimals: `max(min(s+4, 18), s)`.
pub const fn avg_scale(s: u8) -> u8 {
    div_scale(s, 0)
}

/// TRUE when the mantissa has at most 38 digits.
#[inline]
pub const fn fits(mantissa: i128) -> bool {
    mantissa <= MAX && mantissa >= -MAX
}

/// `mantissa` at `from` digits after the point, brought to `to` digits; rounds half away from zero when digits go.
/// `None` when the result needs more than 38 digits.
#[inline]
pub fn rescale(mantissa: i128, from: u8, to: u8) -> Option<i128> {
    if from == to {
        return fits(mantissa).then_some(mantissa);
    }
    if to > from {
        if to - from > 38 {
            return (mantissa == 0).then_some(0);
        }
        let wide = mantissa.checked_mul(pow10(to - from))?;
        return fits(wide).then_some(wide);
    }
    if from - to > 38 {
        return Some(0);
    }
    Some(div_round(mantissa, pow10(from - to)))
}

/// `a / b` rounded half away from zero; `b` must not be 0.
#[inline]
pub fn div_round(a: i128, b: i128) -> i128 {
    let q = a / b;
    let r = a % b;
    if r.unsigned_abs() >= b.unsigned_abs() - r.unsigned_abs() {
        if (a < 0) == (b < 0) { q + 1 } else { q - 1 }
    } else {
        q
    }
}

/// Exact product at scale `s1 + s2`, brought to `to`. `None` on overflow.
pub fn mul(a: i128, s1: u8, b: i128, s2: u8, to: u8) -> Option<i128> {
    if let Some(p) = a.checked_mul(b) {
        return rescale(p, s1 + s2, to).filter(|m| fits(*m));
    }
    let negative = (a < 0) != (b < 0);
    let (hi, lo) = wide_mul(a.unsigned_abs(), b.unsigned_abs());
    let from = s1 + s2;
    if to >= from {
        return None;
    }
    let q = div_wide_round(hi, lo, pow10((from - to).min(38)) as u128)?;
    signed(q, negative)
}

/// Quotient `a/10^s1 ÷ b/10^s2` at scale `to`, rounded half away from zero. `None` on overflow; `b` must not be 0.
pub fn div(a: i128, s1: u8, b: i128, s2: u8, to: u8) -> Option<i128> {
    // a/10^s1 / (b/10^s2) * 10^to = a * 10^(to + s2 - s1) / b
    let shift = i32::from(to) + i32::from(s2) - i32::from(s1);
    let negative = (a < 0) != (b < 0);
    let (a, b) = (a.unsigned_abs(), b.unsigned_abs());
    if shift >= 0 {
        let mut shift = shift as u8;
        let (mut hi, mut lo) = (0u128, a);
        while shift > 0 {
            let step = shift.min(38);
            let (carry, low) = wide_mul(lo, pow10(step) as u128);
            hi = hi.checked_mul(pow10(step) as u128)?.checked_add(carry)?;
            lo = low;
            shift -= step;
        }
        signed(div_wide_round(hi, lo, b)?, negative)
    } else {
        let (hi, lo) = wide_mul(b, pow10((-shift) as u8) as u128);
        if hi > 0 {
            return Some(0);
        }
        signed(div_wide_round(0, a, lo)?, negative)
    }
}

fn signed(magnitude: u128, negative: bool) -> Option<i128> {
    let m = i128::try_from(magnitude).ok().filter(|m| fits(*m))?;
    Some(if negative { -m } else { m })
}

/// Full 256-bit product as (high, low).
fn wide_mul(a: u128, b: u128) -> (u128, u128) {
    const LOW: u128 = u64::MAX as u128;
    let (a1, a0) = (a >> 64, a & LOW);
    let (b1, b0) = (b >> 64, b & LOW);
    let p00 = a0 * b0;
    let p01 = a0 * b1;
    let p10 = a1 * b0;
    let mid = (p00 >> 64) + (p01 & LOW) + (p10 & LOW);
    let low = (p00 & LOW) | (mid << 64);
    let high = a1 * b1 + (p01 >> 64) + (p10 >> 64) + (mid >> 64);
    (high, low)
}

/// (hi, lo) / d rounded half up; `None` when the quotient needs more than 128 bits.
fn div_wide_round(hi: u128, lo: u128, d: u128) -> Option<u128> {
    if hi >= d {
        return None;
    }
    let (q, r) = if hi == 0 { (lo / d, lo % d) } else { long_div(hi, lo, d) };
    if r >= d - r { q.checked_add(1) } else { Some(q) }
}

/// Schoolbook binary division; rare path, so simple wins.
fn long_div(hi: u128, lo: u128, d: u128) -> (u128, u128) {
    let (mut rem, mut q) = (hi, 0u128);
    for i in (0..128).rev() {
        let carry = rem >> 127;
        rem = (rem << 1) | ((lo >> i) & 1);
        q <<= 1;
        if carry == 1 || rem >= d {
            rem = rem.wrapping_sub(d);
            q |= 1;
        }
    }
    (q, rem)
}

/// `mantissa` without the zeros at its end, as long as more than `least` digits stand after the point.
#[inline]
pub fn strip(mut mantissa: i128, mut scale: u8, least: u8) -> (i128, u8) {
    while scale > least && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    (mantissa, scale)
}

/// Powers of ten a float holds exactly.
const FLOAT_POW10: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// The float nearest to `mantissa / 10^scale`. Correctly rounded, so 5.00 and 5 give the same float whatever column
/// carried them: two exact floats divided once, or, beyond 53 bits, through text.
pub fn to_float(mantissa: i128, scale: u8) -> f64 {
    const EXACT: i128 = 1 << 53;
    if scale == 0 {
        return mantissa as f64;
    }
    if (-EXACT..=EXACT).contains(&mantissa) && usize::from(scale) < FLOAT_POW10.len() {
        return mantissa as f64 / FLOAT_POW10[usize::from(scale)];
    }
    let mut text = [0u8; 48];
    let mut rest = &mut text[..];
    // 40 digits with sign, the exponent mark and two digits fit 48 bytes.
    let whole = write!(rest, "{mantissa}e-{scale}").is_ok();
    let used = 48 - rest.len();
    debug_assert!(whole);
    std::str::from_utf8(&text[..used]).ok().and_then(|t| t.parse().ok()).unwrap_or(f64::NAN)
}

/// Text with exactly `scale` digits after the point.
pub fn to_text(mantissa: i128, scale: u8) -> String {
    let digits = mantissa.unsigned_abs().to_string();
    let sign = if mantissa < 0 { "-" } else { "" };
    let scale = usize::from(scale);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    if digits.len() > scale {
        let (whole, frac) = digits.split_at(digits.len() - scale);
        format!("{sign}{whole}.{frac}")
    } else {
        format!("{sign}0.{digits:0>scale$}")
    }
}

/// Parses plain decimal text (`-12.50`, `.5`, `7`) without exponent: mantissa and scale. `None` when it is not such
/// a number or needs more than 38 digits.
pub fn from_text(text: &str) -> Option<(i128, u8)> {
    let bytes = text.as_bytes();
    let (negative, digits) = match bytes.first()? {
        b'-' => (true, &bytes[1..]),
        b'+' => (false, &bytes[1..]),
        _ => (false, bytes),
    };
    if let Some((mantissa, scale)) = unsigned_short(digits) {
        return Some((i128::from(if negative { -mantissa } else { mantissa }), scale));
    }
    let (mut mantissa, mut scale, mut seen, mut point) = (0i128, 0u8, false, false);
    for c in digits {
        match c {
            b'0'..=b'9' => {
                mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(c - b'0'))?;
                seen = true;
                scale += u8::from(point);
                if !fits(mantissa) || scale > 38 {
                    return None;
                }
            }
            b'.' if !point => point = true,
            _ => return None,
        }
    }
    seen.then_some((if negative { -mantissa } else { mantissa }, scale))
}

/// [`from_text`] of at most 18 characters behind the sign, in 64 bits; `None` says nothing of longer text.
#[inline]
pub fn from_short_text(text: &str) -> Option<(i64, u8)> {
    match text.as_bytes() {
        [b'-', digits @ ..] => unsigned_short(digits).map(|(mantissa, scale)| (-mantissa, scale)),
        [b'+', digits @ ..] | digits => unsigned_short(digits),
    }
}

#[inline]
fn unsigned_short(text: &[u8]) -> Option<(i64, u8)> {
    if text.len() > 18 {
        return None;
    }
    let (mut mantissa, mut behind) = (0i64, None);
    for (i, c) in text.iter().enumerate() {
        let digit = c.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa * 10 + i64::from(digit);
        } else if *c == b'.' && behind.is_none() && text.len() > 1 {
            behind = Some(text.len() - i - 1);
        } else {
            return None;
        }
    }
    if text.is_empty() { None } else { Some((mantissa, behind.unwrap_or(0) as u8)) }
}

/// Parses a number with an exponent (`1.5e3`, `2E-4`) exactly. `None` when it is no such number or does not fit 38
/// digits exactly.
pub fn from_exponent_text(text: &str) -> Option<(i128, u8)> {
    let at = text.find(['e', 'E'])?;
    let (mantissa, scale) = from_text(&text[..at])?;
    let exponent: i32 = text[at + 1..].parse().ok()?;
    let scale = i32::from(scale).checked_sub(exponent)?;
    if scale < 0 {
        let up = u8::try_from(-scale).ok().filter(|s| *s <= 38)?;
        let wide = mantissa.checked_mul(pow10(up)).filter(|m| fits(*m))?;
        return Some((wide, 0));
    }
    let (mut mantissa, mut scale) = (mantissa, scale);
    while scale > 38 && mantissa % 10 == 0 && mantissa != 0 {
        mantissa /= 10;
        scale -= 1;
    }
    if mantissa == 0 {
        scale = scale.min(38);
    }
    u8::try_from(scale).ok().filter(|s| *s <= 38).map(|s| (mantissa, s))
}

/// The shortest text that reads back as the same float: `.0` for whole values, exponent form outside 1e-5…1e16,
/// `0.0` for −0, `NaN`, `inf`, `-inf`.
pub fn float_text(x: f64) -> String {
    if x == 0.0 {
        return "0.0".to_owned();
    }
    if !x.is_finite() {
        return format!("{x}");
    }
    let magnitude = x.abs();
    if (1e-5..1e16).contains(&magnitude) {
        let text = format!("{x}");
        if text.contains('.') { text } else { text + ".0" }
    } else {
        format!("{x:e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for (m, s, text) in [(-50, 2, "-0.50"), (123_456, 3, "123.456"), (7, 0, "7"), (0, 4, "0.0000"), (-1, 1, "-0.1")]
        {
            assert_eq!(to_text(m, s), text);
            assert_eq!(from_text(text), Some((m, s)));
        }
        for bad in ["", "-", ".", "1.2.3", "1e5", "abc", "1 "] {
            assert_eq!(from_text(bad), None, "{bad}");
        }
        assert_eq!(from_text(".5"), Some((5, 1)));
        assert_eq!(from_exponent_text("1.5e3"), Some((1500, 0)));
        assert_eq!(from_exponent_text("25E-3"), Some((25, 3)));
    }

    #[test]
    fn rounding_is_half_away_from_zero() {
        for (m, want) in [(25, 3), (24, 2), (-25, -3), (-24, -2), (15, 2), (-15, -2)] {
            assert_eq!(rescale(m, 1, 0), Some(want), "{m}");
        }
        assert_eq!(div(1, 0, 3, 0, 4), Some(3333));
        assert_eq!(div(2, 0, 3, 0, 4), Some(6667));
        assert_eq!(div(-2, 0, 3, 0, 4), Some(-6667));
        assert_eq!(div(10, 2, 4, 0, 6), Some(25_000));
    }

    #[test]
    fn wide_products_and_quotients_are_exact() {
        assert_eq!(mul(MAX, 0, MAX, 0, 0), None);
        // (10^38 − 1)² / 10^38 rounds to 10^38 − 2.
        assert_eq!(mul(MAX, 38, MAX, 38, 38), Some(MAX - 1));
        assert_eq!(div(MAX, 18, MAX, 18, 18), Some(pow10(18)));
        assert_eq!(div(MAX, 0, 1, 18, 18), None);
        assert_eq!(mul(-12, 1, 5, 1, 2), Some(-60));
    }

    #[test]
    fn floats_print_as_the_reference_says() {
        for (x, want) in
            [(1.0, "1.0"), (-0.0, "0.0"), (0.1, "0.1"), (1e16, "1e16"), (1e-6, "1e-6"), (1.5e15, "1500000000000000.0")]
        {
            assert_eq!(float_text(x), want);
        }
    }
}
