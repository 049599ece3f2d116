//! Text to scalars: the grammars CAST accepts. Surrounding white space is ignored everywhere.

use velostream_types::{decimal, time};

/// Decimal digits with an optional sign.
pub(super) fn integer(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

/// A plain or exponent number; words like `inf` and numbers beyond the range are refused.
pub(super) fn float(text: &str) -> Option<f64> {
    let text = text.trim();
    let numeric = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|x: &f64| numeric && x.is_finite())
}

/// An exact number: mantissa and scale.
pub(super) fn number(text: &str) -> Option<(i128, u8)> {
    let text = text.trim();
    decimal::from_text(text).or_else(|| decimal::from_exponent_text(text))
}

/// `true`, `t`, `1`, `false`, `f`, `0`, in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    let text = text.trim();
    let is = |words: [&str; 3]| words.iter().any(|w| text.eq_ignore_ascii_case(w));
    if is(["true", "t", "1"]) {
        Some(true)
    } else if is(["false", "f", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// `YYYY-MM-DD`, `YYYY/MM/DD`, `MM/DD/YYYY` or `DD-MM-YYYY`.
pub(super) fn date(text: &str) -> Option<i32> {
    let b: &[u8; 10] = text.trim().as_bytes().try_into().ok()?;
    let iso = |y: usize, m: usize, d: usize| {
        let mut iso = *b"0000-00-00";
        iso[..4].copy_from_slice(&b[y..y + 4]);
        iso[5..7].copy_from_slice(&b[m..m + 2]);
        iso[8..].copy_from_slice(&b[d..d + 2]);
        time::parse_date(std::str::from_utf8(&iso).ok()?)
    };
    match (b[2], b[4], b[5], b[7]) {
        (_, b'-', _, b'-') | (_, b'/', _, b'/') => iso(0, 5, 8),
        (b'/', _, b'/', _) => iso(6, 0, 3),
        (b'-', _, b'-', _) => iso(6, 3, 0),
        _ => None,
    }
}

/// RFC 3339, `YYYY-MM-DD[ T]HH:MM[:SS[.f]]` or the same with slashes in the date; naive text is UTC; a bare date is its
/// midnight.
pub(super) fn timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    let b = text.as_bytes();
    if b.get(4) != Some(&b'/') || b.get(7) != Some(&b'/') {
        return time::parse_timestamp(text);
    }
    // The longest form, with nine fraction digits and an offset, has 35 bytes.
    let mut dashed = [0u8; 40];
    let dashed = dashed.get_mut(..b.len())?;
    dashed.copy_from_slice(b);
    (dashed[4], dashed[7]) = (b'-', b'-');
    time::parse_timestamp(std::str::from_utf8(dashed).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_the_reference_says() {
        assert_eq!((integer(" -7 "), integer("+7"), integer("7.0"), integer("")), (Some(-7), Some(7), None, None));
        assert_eq!((float(" 1.5e3"), float("inf"), float("1e999"), float("nan")), (Some(1500.0), None, None, None));
        assert_eq!((number("-.50"), number("25E-1"), number("x")), (Some((-50, 2)), Some((25, 1)), None));
        assert_eq!((boolean("T"), boolean("FALSE"), boolean("yes")), (Some(true), Some(false), None));
        for text in ["2024-02-29", "2024/02/29", "02/29/2024", "29-02-2024", " 2024-02-29 "] {
            assert_eq!(date(text), Some(19_782), "{text}");
        }
        for text in ["2023-02-29", "2024.02.29", "29/02/2024", "2024-2-9", "2024-02/29"] {
            assert_eq!(date(text), None, "{text}");
        }
        let noon = 19_782 * time::NS_PER_DAY + time::NS_PER_DAY / 2;
        for text in ["2024-02-29T12:00Z", "2024/02/29 12:00:00", "2024-02-29 13:00:00.000+01:00"] {
            assert_eq!(timestamp(text), Some(noon), "{text}");
        }
        assert_eq!(timestamp("2024/02/29 12:00:00 and much more text than any timestamp has"), None);
    }
}
