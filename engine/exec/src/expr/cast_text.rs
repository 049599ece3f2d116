//! Text to numbers and booleans: the grammars CAST accepts. Surrounding white space is ignored everywhere. Dates and
//! times are read by `velostream_functions::read`.

use velostream_types::decimal;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_the_reference_says() {
        assert_eq!((integer(" -7 "), integer("+7"), integer("7.0"), integer("")), (Some(-7), Some(7), None, None));
        assert_eq!((float(" 1.5e3"), float("inf"), float("1e999"), float("nan")), (Some(1500.0), None, None, None));
        assert_eq!((number("-.50"), number("25E-1"), number("x")), (Some((-50, 2)), Some((25, 1)), None));
        assert_eq!((boolean("T"), boolean("FALSE"), boolean("yes")), (Some(true), Some(false), None));
    }
}
