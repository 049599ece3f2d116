//! When a group was first seen: the smallest order triple among its rows, which decides its place in the output.
//!
//! Minor parts and ties are kept from the second distinct one on: a window fed by one partition costs 8 bytes a group.
//! Rows that come after everything held, the usual case, are not looked at.

use velostream_state::block::{BlockPool, Blocks};
use velostream_types::RowMeta;
use velostream_types::within::{self, Within};

/// (major, minor, tie) of a row.
pub(crate) type Triple = (i64, Within, u64);

#[derive(Debug, Default)]
pub(crate) struct FirstSeen {
    major: Blocks<i64>,
    minor: Option<Blocks<Within>>,
    tie: Option<Blocks<u64>>,
    /// Minor and tie of every group while they are not kept.
    common: Option<(Within, u64)>,
    /// Greatest triple held.
    last: Option<Triple>,
}

impl FirstSeen {
    /// The triple of a group.
    #[inline]
    pub(crate) fn get(&self, group: u32) -> Triple {
        let (minor, tie) = self.common.unwrap_or((within::HERE, 0));
        (
            self.major.get(group),
            self.minor.as_ref().map_or(minor, |m| m.get(group)),
            self.tie.as_ref().map_or(tie, |t| t.get(group)),
        )
    }

    fn set(&mut self, group: u32, triple: Triple, pool: &mut BlockPool) {
        let (minor, tie) = *self.common.get_or_insert((triple.1, triple.2));
        let high = self.major.len();
        if self.minor.is_none() && minor != triple.1 {
            self.minor.insert(Blocks::new()).grow(high, minor, pool);
        }
        if self.tie.is_none() && tie != triple.2 {
            self.tie.insert(Blocks::new()).grow(high, tie, pool);
        }
        *self.major.at(group) = triple.0;
        if let Some(minors) = &mut self.minor {
            *minors.at(group) = triple.1;
        }
        if let Some(ties) = &mut self.tie {
            *ties.at(group) = triple.2;
        }
        self.last = self.last.max(Some(triple));
    }

    /// Notes rows `start ..` of a batch: row `start + i` belongs to `groups[i]`, and those at `fresh` made theirs.
    pub(crate) fn fold(
        &mut self,
        groups: &[u32],
        fresh: &[u32],
        high: usize,
        (meta, start): (&RowMeta, usize),
        pool: &mut BlockPool,
    ) {
        let known = self.last;
        self.major.grow(high, i64::MAX, pool);
        if let Some(minors) = &mut self.minor {
            minors.grow(high, within::HERE, pool);
        }
        if let Some(ties) = &mut self.tie {
            ties.grow(high, 0, pool);
        }
        for i in fresh {
            self.set(groups[*i as usize], meta.order_at(start + *i as usize), pool);
        }
        // Rows of a source ascend, so the first one tells whether any comes before what was held.
        let after = meta.order.ascends() && known.is_none_or(|k| meta.order_at(start) >= k);
        if after {
            return;
        }
        for (i, group) in groups.iter().enumerate() {
            let triple = meta.order_at(start + i);
            if triple < self.get(*group) {
                self.set(*group, triple, pool);
            }
        }
    }

    pub(crate) fn release(&mut self, pool: &mut BlockPool) {
        self.major.release(pool);
        if let Some(mut minors) = self.minor.take() {
            minors.release(pool);
        }
        if let Some(mut ties) = self.tie.take() {
            ties.release(pool);
        }
        *self = FirstSeen::default();
    }

    pub(crate) fn bytes(&self) -> usize {
        self.major.bytes() + self.minor.as_ref().map_or(0, Blocks::bytes) + self.tie.as_ref().map_or(0, Blocks::bytes)
    }
}
