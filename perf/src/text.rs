//! Numbers to and from text without formatting machinery: `write!` costs four times as much per row.

/// Appends `n` in decimal digits.
#[inline]
pub fn push_u64(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `n` in exactly `width` digits; more significant ones are cut.
#[inline]
pub fn push_padded(out: &mut Vec<u8>, mut n: u64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
}

/// Appends `mantissa / 10^scale` with all `scale` digits.
pub fn push_decimal(out: &mut Vec<u8>, mantissa: i128, scale: u32) {
    if mantissa < 0 {
        out.push(b'-');
    }
    let magnitude = mantissa.unsigned_abs();
    let unit = 10u128.pow(scale);
    let (whole, fraction) = (magnitude / unit, magnitude % unit);
    push_u128(out, whole);
    if scale > 0 {
        out.push(b'.');
        let start = out.len();
        out.resize(start + scale as usize, b'0');
        let mut rest = fraction;
        for digit in out[start..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
}

fn push_u128(out: &mut Vec<u8>, n: u128) {
    const SPLIT: u128 = 10u128.pow(19);
    match u64::try_from(n) {
        Ok(small) => push_u64(out, small),
        Err(_) => {
            push_u128(out, n / SPLIT);
            push_padded(out, (n % SPLIT) as u64, 19);
        }
    }
}

/// `a / b` rounded half away from zero; `b` is positive.
pub fn div_round(a: i128, b: i128) -> i128 {
    let (quotient, rest) = (a / b, a % b);
    if rest.abs() * 2 >= b { quotient + a.signum() } else { quotient }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mantissa: i128, scale: u32, expect: &str) {
        let mut out = Vec::new();
        push_decimal(&mut out, mantissa, scale);
        assert_eq!(String::from_utf8(out).expect("digits"), expect);
    }

    #[test]
    fn decimals_print_all_their_digits() {
        check(0, 0, "0");
        check(5, 4, "0.0005");
        check(-1_050_000, 4, "-105.0000");
        check(i128::MAX, 0, &i128::MAX.to_string());
        check(10i128.pow(38) - 1, 18, "99999999999999999999.999999999999999999");
    }

    #[test]
    fn division_rounds_half_away_from_zero() {
        assert_eq!([div_round(5, 2), div_round(-5, 2), div_round(7, 3), div_round(-8, 3)], [3, -3, 2, -3]);
    }
}
