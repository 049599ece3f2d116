//! Which part of a random suite runs.

/// `VELO_SHARE` of `cases`, `1` or `1/20`, which is what it is by itself; at least `least`.
pub fn share_of(cases: u64, least: u64) -> u64 {
    let text = std::env::var("VELO_SHARE").unwrap_or_else(|_| "1/20".to_owned());
    let (part, whole) = text.split_once('/').unwrap_or((&text, "1"));
    let (part, whole) = (part.trim().parse::<u64>().unwrap_or(1), whole.trim().parse::<u64>().unwrap_or(1).max(1));
    (cases * part / whole).max(least)
}
