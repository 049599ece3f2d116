//! "Did you mean": which known name a misspelt one was probably meant to be.
//!
//! Used by every diagnostic about an unknown name. Distance is the number of single-character edits (insert, delete,
//! replace, swap of neighbours), letters compared without case. Cost O(a·b) per candidate, on the error path only.

/// Farthest distance at which a name still counts as a misspelling.
pub const MAX_DISTANCE: usize = 2;

/// Names longer than this are not compared letter by letter: comparing costs their product.
const LONGEST: usize = 64;

/// Edits between two names; case is ignored.
pub fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut best = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// Candidates within [`MAX_DISTANCE`] of `wanted`, nearest first, then by name; at most `limit`.
///
/// Short names allow fewer edits (one up to four letters), for otherwise every short name resembles every other.
pub fn similar<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>, limit: usize) -> Vec<&'a str> {
    let letters = wanted.chars().count();
    let allowed = match letters {
        0 | 1 => 0,
        2..=4 => 1,
        5..=LONGEST => MAX_DISTANCE,
        _ => return Vec::new(),
    };
    let mut found: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter(|c| c.chars().count().abs_diff(letters) <= allowed)
        .map(|c| (distance(wanted, c), c))
        .filter(|(d, _)| *d <= allowed)
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|(_, c)| c).take(limit).collect()
}

/// The candidate nearest to `wanted`, if any is near.
pub fn closest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    similar(wanted, candidates, 1).first().copied()
}

/// The hint for a misspelt name: `did you mean "user"?`
pub fn did_you_mean<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(wanted, candidates).map(|c| format!("did you mean \"{c}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn distances() {
        for (a, b, edits) in [
            ("", "", 0),
            ("usr", "user", 1),
            ("usre", "user", 1),
            ("Größe", "grösse", 2),
            ("abc", "", 3),
            ("ca", "abc", 3),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }

    #[test]
    fn only_near_names_are_suggested() {
        let names = ["user", "url", "ts", "price", "prices"];
        assert_eq!(similar("usr", names, 3), ["user"]);
        assert_eq!(closest("USER", names), Some("user"));
        assert_eq!(similar("pirce", names, 3), ["price", "prices"]);
        assert_eq!(closest("x", names), None);
        assert_eq!(closest(&"x".repeat(100), [&*"x".repeat(99)]), None);
        assert_eq!(closest("volume", names), None);
        assert_eq!(did_you_mean("prise", names).as_deref(), Some("did you mean \"price\"?"));
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_bounded(a in "[a-d]{0,8}", b in "[a-d]{0,8}") {
            let d = distance(&a, &b);
            prop_assert_eq!(d, distance(&b, &a));
            prop_assert!(d <= a.len().max(b.len()) && d >= a.len().abs_diff(b.len()));
            prop_assert_eq!(d == 0, a == b);
        }
    }
}
