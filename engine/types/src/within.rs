//! Where a row that an operator made stands among those of the same major order part: what its group was first seen by.
//!
//! A window's row is ordered by the window's end, then by the first row of its group. Where that row is a window's row
//! itself, this goes on: its end, then the first row of its group, down to a record. A place holds four such steps, the
//! nearest first; windows over more than four windows forget those in the middle, so that the record still tells groups
//! apart. Rows of one operator have equally many steps, and compare as their steps do. Passive values of 32 bytes; a
//! snapshot holds 8 a step.

use arrow_buffer::i256;

use crate::{Column, Value};

/// A place. Those of one depth are ordered by their steps.
pub type Within = i256;

/// The place of a row that stems from a record: its major part says it all.
pub const HERE: Within = i256::MIN;
/// Steps of a place.
const STEPS: usize = 4;
/// Bytes of a step.
const BYTES: usize = 8;

/// Numbers that compare as the steps do; 0 is no step.
fn steps(place: Within) -> [u64; STEPS] {
    let (low, high) = place.to_parts();
    let high = high as u128 ^ 1 << 127;
    [(high >> 64) as u64, high as u64, (low >> 64) as u64, low as u64]
}

fn place([a, b, c, d]: [u64; STEPS]) -> Within {
    let pair = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
    i256::from_parts(pair(c, d), (pair(a, b) ^ 1 << 127) as i128)
}

/// The place of a group whose first row has this order: the row's major part, then its own place.
pub fn inside(major: i64, within: Within) -> Within {
    let [a, b, c, d] = steps(within);
    place([major as u64 ^ 1 << 63, a, b, if d == 0 { c } else { d }])
}

/// Appends the bytes of a place; of one depth, they compare as the places do.
pub fn write(within: Within, out: &mut Vec<u8>) {
    let steps = steps(within);
    let depth = STEPS - steps.iter().rev().take_while(|step| **step == 0).count();
    steps[..depth].iter().for_each(|step| out.extend_from_slice(&step.to_be_bytes()));
}

/// Places as a column.
pub fn column(places: impl Iterator<Item = Within>) -> Column {
    let bytes = |within: Within| {
        let mut bytes = Vec::new();
        write(within, &mut bytes);
        Some(bytes)
    };
    Column::Bytes(places.map(bytes).collect())
}

/// The place in a row of such a column.
pub fn at(column: &Column, row: usize) -> Option<Within> {
    let Value::Bytes(bytes) = column.value(row) else { return None };
    if bytes.len() > STEPS * BYTES || !bytes.len().is_multiple_of(BYTES) {
        return None;
    }
    let mut found = [0; STEPS];
    for (step, bytes) in found.iter_mut().zip(bytes.chunks_exact(BYTES)) {
        *step = u64::from_be_bytes(bytes.try_into().ok()?);
    }
    Some(place(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place of the first row of a record, through windows of these ends, the nearest last.
    fn of(record: i64, ends: &[i64]) -> Within {
        ends.iter().fold(inside(record, HERE), |within, end| inside(*end, within))
    }

    #[test]
    fn places_are_ordered_by_the_nearest_window_first() {
        for (less, more) in [
            (of(-1, &[]), of(0, &[])),
            (of(9, &[-5]), of(0, &[-4])),
            (of(3, &[7]), of(4, &[7])),
            (of(9, &[9, -1]), of(0, &[0, 0])),
            (of(9, &[-9, 0]), of(0, &[-8, 0])),
            (of(9, &[1, 2, 3]), of(0, &[2, 2, 3])),
            (of(3, &[1, 2, 3]), of(4, &[1, 2, 3])),
            // Beyond four steps the record stays.
            (of(3, &[1, 2, 3, 4]), of(4, &[0, 2, 3, 4])),
            (of(3, &[1, 2, 3, 4, 5]), of(4, &[1, 2, 3, 4, 5])),
        ] {
            assert!(less < more, "{:?} {:?}", steps(less), steps(more));
            let column = column([less, more, HERE].into_iter());
            assert_eq!([at(&column, 0), at(&column, 1), at(&column, 2)], [Some(less), Some(more), Some(HERE)]);
            let (Value::Bytes(a), Value::Bytes(b)) = (column.value(0), column.value(1)) else { panic!("bytes") };
            assert!(a < b);
        }
    }
}
