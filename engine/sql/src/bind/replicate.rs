//! Which looked-up tables every shard holds as a whole.
//!
//! A table that is made of a few files, each of its rows of one record at most, is given to every shard, and the rows of
//! the stream stay where they are read: a shuffle costs more than a small table. All others are cut by their key. The
//! exchanges stand in the plan either way, so the number of a node does not depend on the size of a file.
//!
//! Runs once over the finished graph.

use super::Binder;
use crate::plan::{Apart, EVERYWHERE_BYTES_MAX, JoinMode, NodeKind, Placement, Route, Side, SourceConnector};

impl Binder<'_> {
    /// Decides for each look-up.
    pub(super) fn place_tables(&mut self) {
        for join in 0..self.graph.nodes.len() {
            let NodeKind::Join(spec) = &self.graph.nodes[join].kind else { continue };
            let JoinMode::Lookup { table, version, .. } = spec.mode else { continue };
            let at = usize::from(table == Side::Right);
            let placement = match (version, spec.kind.keeps(table)) {
                (Some(_), _) => Placement::ByKey(Apart::Versions),
                (None, true) => Placement::ByKey(Apart::Kept),
                (None, false) => self.place_of(self.graph.nodes[join].inputs[at].index()),
            };
            let inputs = [at, 1 - at].map(|input| self.graph.nodes[join].inputs[input].index());
            if let NodeKind::Join(spec) = &mut self.graph.nodes[join].kind {
                spec.placement = placement;
            }
            if matches!(placement, Placement::ByKey(_)) {
                continue;
            }
            for (input, to) in inputs.into_iter().zip([Route::All, Route::Here]) {
                if let NodeKind::Exchange { route, .. } = &mut self.graph.nodes[input].kind {
                    *route = to;
                }
            }
        }
    }

    /// Where a table goes that comes out of a node.
    fn place_of(&mut self, table: usize) -> Placement {
        let (mut below, mut bytes) = (vec![table], 0u64);
        while let Some(node) = below.pop() {
            let node = &self.graph.nodes[node];
            let source = match &node.kind {
                NodeKind::Scan { source } => source.index(),
                NodeKind::Join(_) | NodeKind::Subqueries(_) | NodeKind::Unnest(_) => {
                    return Placement::ByKey(Apart::Made);
                }
                _ => {
                    below.extend(node.inputs.iter().map(|input| input.index()));
                    continue;
                }
            };
            let source = &self.graph.sources[source];
            if source.plan.connector == SourceConnector::OneRow {
                continue;
            }
            if !source.bounded {
                return Placement::ByKey(Apart::Live);
            }
            let Some(size) = source.spec.clone().and_then(|spec| self.catalog.bytes(&spec)) else {
                return Placement::ByKey(Apart::Unknown);
            };
            bytes = bytes.saturating_add(size);
        }
        match bytes {
            bytes if bytes > EVERYWHERE_BYTES_MAX => Placement::ByKey(Apart::Large { bytes }),
            bytes => Placement::Everywhere { bytes },
        }
    }
}
