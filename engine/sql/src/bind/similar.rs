//! The known name closest to a misspelt one.

/// Names longer than this are not compared letter by letter.
const LONGEST: usize = 64;

/// The candidate closest to `name`: equal but for case, else within two edits (one for short names).
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match name.chars().count() {
        0..=2 => 1,
        3..=LONGEST => 2,
        _ => 0,
    };
    let lower = name.to_lowercase();
    candidates
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            if other == lower {
                return Some((0, candidate));
            }
            let near = other.len().abs_diff(lower.len()) <= limit * 4 && other.len() <= LONGEST * 4;
            near.then(|| (distance(&lower, &other), candidate)).filter(|(d, _)| *d <= limit)
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_closest() {
        let check = |name, expect| assert_eq!(nearest(name, ["price", "symbol", "ts"].into_iter()), expect, "{name}");
        check("PRICE", Some("price"));
        check("prcie", Some("price"));
        check("symbl", Some("symbol"));
        check("t", Some("ts"));
        check("quantity", None);
    }
}
