//! W7: the last ten prices of each symbol in a ring, with their sum. Trades come in the order of their times.

use super::groups::Groups;
use super::row::{RawRow, price_parts, small_number};
use super::{Csv, Job};
use crate::text::{div_round, push_decimal, push_padded, push_u64};

/// Rows that a mean is of.
const ROWS: usize = 10;
/// Price parts per unit.
const PARTS: u64 = 10_000;

#[derive(Clone, Copy, Default)]
struct Ring {
    prices: [u64; ROWS],
    /// Rows so far.
    rows: usize,
    sum: u64,
}

/// The job.
#[derive(Default)]
pub struct Moving {
    groups: Groups,
    rings: Vec<Ring>,
    newest_ms: u64,
}

impl Job for Moving {
    type Row<'a> = RawRow<'a>;

    #[inline]
    fn row(&mut self, row: &RawRow<'_>, sink: &mut Csv) -> Option<()> {
        let (price, time) = (price_parts(row.price)?, small_number(row.event_time)?);
        if time < self.newest_ms {
            return None;
        }
        self.newest_ms = time;
        let group = self.groups.group(row.symbol)?;
        if group == self.rings.len() {
            self.rings.push(Ring::default());
        }
        let ring = &mut self.rings[group];
        let previous = ring.rows.checked_sub(1).map(|last| ring.prices[last % ROWS]);
        ring.sum = ring.sum + price - std::mem::replace(&mut ring.prices[ring.rows % ROWS], price);
        ring.rows += 1;
        let out = &mut sink.buffer;
        for field in [row.order_id, row.symbol, row.price] {
            out.extend_from_slice(field);
            out.push(b',');
        }
        if let Some(previous) = previous {
            push_u64(out, previous / PARTS);
            out.push(b'.');
            push_padded(out, previous % PARTS, 4);
        }
        out.push(b',');
        let average = div_round(i128::from(ring.sum * PARTS), ring.rows.min(ROWS) as i128);
        push_decimal(out, average, 8);
        out.push(b'\n');
        sink.counts.rows_out += 1;
        Some(())
    }

    fn end(&mut self, _sink: &mut Csv) {}
}
