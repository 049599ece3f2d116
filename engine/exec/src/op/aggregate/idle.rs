//! `state.ttl`: groups that no row touches for long begin anew, and their memory is freed.
//!
//! A row begins its group anew when it, or its own partition's watermark before it, is `ttl` or more behind the latest
//! event time of the group's rows. The operator's watermark frees groups that it has left that far behind. It is never
//! ahead of a partition's own, so whichever row comes next begins such a group anew all the same: when memory is freed
//! cannot be seen in any result. Times are event-time nanoseconds. State: 8 bytes a group. Cost: a comparison a row, and
//! a look at all groups each eighth of `ttl`.

use velostream_state::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};
use velostream_types::time::{NS_PER_MS, WM_END, WM_NONE};
use velostream_types::{Batch, Column, vnode};

use super::WHOLE;
use super::saved::{ints, shape};
use super::store::WindowStore;
use crate::operator::OpCx;

pub(super) const TOUCHED: &str = "touched";
const VERSION: u16 = 1;
/// Looks at all groups per `ttl`.
const SWEEPS: i64 = 8;

/// When groups were last touched.
#[derive(Debug)]
pub(super) struct Idle {
    ttl: i64,
    /// Latest event time of the rows of each group, by number.
    touched: Vec<i64>,
    /// Watermark of the next look at all groups.
    next: i64,
}

impl Idle {
    pub(super) fn new(ttl: i64) -> Idle {
        Idle { ttl, touched: Vec::new(), next: WM_NONE }
    }

    fn is_over(&self, group: u32, now: i64) -> bool {
        self.touched.get(group as usize).is_some_and(|t| t.saturating_add(self.ttl) <= now)
    }

    /// Notes that a row of this time is of the group; `begins`: it is its first.
    fn touch(&mut self, group: u32, time: i64, begins: bool) {
        let at = group as usize;
        if at >= self.touched.len() {
            self.touched.resize(at + 1, WM_NONE);
        }
        let known = &mut self.touched[at];
        *known = if begins { time } else { time.max(*known) };
    }

    pub(super) fn bytes(&self) -> usize {
        self.touched.capacity() * size_of::<i64>()
    }
}

/// When a row is, and its partition's watermark before it.
fn times(batch: &Batch, row: usize) -> (i64, i64) {
    let meta = &batch.meta;
    let of_record = || meta.timestamp.as_ref().map_or(0, |t| t[row].saturating_mul(NS_PER_MS));
    let time = meta.event_time.as_ref().map_or_else(of_record, |t| t[row]);
    (time, meta.wm_own.as_ref().map_or(WM_NONE, |w| w[row]))
}

impl WindowStore {
    /// Frees the group of a row that comes too long after the group's last; answers the group if it goes on.
    pub(super) fn known_or_freed(
        &mut self,
        known: Option<u32>,
        hash: u32,
        (batch, row): (&Batch, usize),
        cx: &mut OpCx<'_>,
    ) -> Option<u32> {
        let (Some(idle), Some(group)) = (&self.idle, known) else { return known };
        let (time, own) = times(batch, row);
        if !idle.is_over(group, time.max(own)) {
            return known;
        }
        self.forget(WHOLE, group, hash);
        cx.counters.expired += 1;
        None
    }

    /// Notes the row at which a group was touched.
    pub(super) fn touched(&mut self, group: u32, begins: bool, (batch, row): (&Batch, usize)) {
        if let Some(idle) = &mut self.idle {
            idle.touch(group, times(batch, row).0, begins);
        }
    }

    /// Frees the groups that the watermark has left behind.
    pub(super) fn free_idle(&mut self, cx: &mut OpCx<'_>) {
        let Some(idle) = self.idle.take() else { return };
        self.idle = Some(Idle { next: self.swept(&idle, cx).unwrap_or(idle.next), ..idle });
    }

    /// The watermark at which to look again, if it was time to look.
    fn swept(&mut self, idle: &Idle, cx: &mut OpCx<'_>) -> Option<i64> {
        let watermark = self.watermark;
        // Behind the end of the input there is nothing to save memory for.
        if watermark < idle.next || matches!(watermark, WM_END | WM_NONE) {
            return None;
        }
        let over: Vec<(u32, u32)> = self.of(WHOLE).map_or_else(Vec::new, |groups| {
            let hash = |group: u32| (group, self.hasher.hash(groups.index.key(group)));
            groups.present().filter(|group| idle.is_over(*group, watermark)).map(hash).collect()
        });
        over.iter().for_each(|(group, hash)| self.forget(WHOLE, *group, *hash));
        cx.counters.expired += over.len() as u64;
        Some(watermark.saturating_add((idle.ttl / SWEEPS).max(1)))
    }

    /// Key bytes and last touch of each group.
    pub(super) fn save_touched(&self, out: &mut SnapshotWriter) {
        let (Some(idle), Some(groups)) = (&self.idle, self.of(WHOLE)) else { return };
        let mut rows: Vec<(u16, u32)> = groups.present().map(|g| (vnode::of_key(groups.index.key(g)), g)).collect();
        rows.sort_unstable();
        let touched = |(_, group): &(u16, u32)| idle.touched.get(*group as usize).copied().unwrap_or(WM_NONE);
        out.tables.push(StateTable {
            name: TOUCHED.to_owned(),
            version: VERSION,
            vnodes: Some(rows.iter().map(|(v, _)| *v).collect()),
            columns: vec![
                Column::Bytes(rows.iter().map(|(_, g)| Some(groups.index.key(*g))).collect()),
                Column::ints(rows.iter().map(touched).collect(), None),
            ],
        });
    }

    /// Takes last touches over, of the groups that were loaded before.
    pub(super) fn load_touched(
        &mut self,
        from: &SnapshotReader,
        owns: &dyn Fn(u16) -> bool,
    ) -> Result<(), SnapshotError> {
        let Some(mut idle) = self.idle.take() else { return Ok(()) };
        for table in from.tables.iter().filter(|table| table.name == TOUCHED) {
            let ([Column::Bytes(keys), times], Some(vnodes)) = (&table.columns[..], &table.vnodes) else {
                return Err(shape("touches are no keys and times"));
            };
            let times = ints(times)?;
            if table.columns.iter().any(|column| column.len() != vnodes.len()) {
                return Err(shape("touches of unequal length"));
            }
            let Some(groups) = self.of(WHOLE) else { continue };
            for at in (0..vnodes.len()).filter(|at| owns(vnodes[*at])) {
                let key = keys.value(at);
                if let Some(group) = groups.index.find(key, self.hasher.hash(key)) {
                    idle.touch(group, times[at], false);
                }
            }
        }
        self.idle = Some(idle);
        Ok(())
    }
}
