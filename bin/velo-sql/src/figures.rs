//! Numbers as people read them, and their columns.

/// `1,234,567`
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 row`, `1,234 rows`
pub fn rows(n: u64) -> String {
    if n == 1 { "1 row".to_owned() } else { format!("{} rows", count(n)) }
}

/// A rate without digits nobody reads: `812`, `4,065,000`.
pub fn rate(per_second: f64) -> String {
    let whole = per_second.max(0.0).round() as u64;
    let step = 10u64.pow(whole.checked_ilog10().unwrap_or(0).saturating_sub(3));
    count(whole / step * step)
}

/// `0.042 s`, `1.23 s`, `75 s`
pub fn seconds(s: f64) -> String {
    match s {
        s if s < 1.0 => format!("{s:.3} s"),
        s if s < 10.0 => format!("{s:.2} s"),
        s => format!("{s:.0} s"),
    }
}

/// `12 µs`, `3.4 ms`, `1.2 s`
pub fn micros(us: f64) -> String {
    match us {
        us if us < 1_000.0 => format!("{us:.0} µs"),
        us if us < 1_000_000.0 => format!("{:.1} ms", us / 1_000.0),
        us => format!("{:.1} s", us / 1_000_000.0),
    }
}

/// `44 MiB`
pub fn memory(bytes: u64) -> String {
    format!("{} MiB", count(bytes.div_ceil(1 << 20)))
}

/// Rows with their columns under each other: the first to the left, numbers to the right.
pub fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
            line.push_str(&if i == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") });
        }
        line
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!([0, 7, 999, 1_000, 1_234_567].map(count), ["0", "7", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 812.4, 4_065_432.1].map(rate), ["0", "812", "4,065,000"]);
        assert_eq!([0.0421, 1.234, 75.2].map(seconds), ["0.042 s", "1.23 s", "75 s"]);
        assert_eq!([12.3, 3_400.0, 1_200_000.0].map(micros), ["12 µs", "3.4 ms", "1.2 s"]);
        let table = [vec!["a".to_owned(), "10".to_owned()], vec!["bcd".to_owned(), "7".to_owned()]];
        assert_eq!(aligned(&table), ["a    10", "bcd   7"]);
        assert_eq!((rows(1), rows(0), memory(45_000_000)), ("1 row".into(), "0 rows".into(), "43 MiB".into()));
    }
}
