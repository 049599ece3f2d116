//! How far a source is read ahead of others that it meets in a join of two streams.
//!
//! Such a join keeps what one side brings until the other has come as far. Sources are read in order of their watermarks,
//! but a live partition that was read to its end has nothing to read, so there it holds nobody back: everything that
//! lies ready on the other side would become state before its next record comes. Here it does hold, at the time it has come
//! to, the sources of its group until it goes on, ends or falls idle. Sources that meet, directly or by way of others,
//! are a group.
//!
//! Only a backlog waits: a partition that has given more than its budget since it was last at its own live end. So what
//! arrives at its own pace is read as it arrives, and small inputs are read whole. A source waits only if all its
//! rows go into such joins; one that somebody else reads, too, still holds others. Which rows come out follows from what
//! the partitions hold, not from the order of reading, so waiting bounds memory and shows nowhere else.
//!
//! Groups and budgets come from the plan, once; cost is a look at each partition of a group per batch. Times are
//! event-time nanoseconds.

use std::collections::BTreeSet;

use velostream_sql::plan::{AppPlan, JoinMode, NodeKind};
use velostream_types::time::{NS_PER_SEC, WM_END};

use super::{Scan, Shard};

/// Rows that the partitions of a source may give without regard to others, all together: at some 150 bytes of state each
/// 10 MB per source.
const BACKLOG_ROWS: u64 = 65_536;

/// The same for each partition at least, however many there are: a batch of the default size.
const BACKLOG_ROWS_MIN: u64 = 1_024;

/// Least lead: bounds of a few ms would make sides that are read in turns wait for each other's every row.
const LEAD_NS_MIN: i64 = NS_PER_SEC;

/// Sources that meet.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    sources: BTreeSet<usize>,
    /// How far apart rows of them can be that come out together.
    reach_ns: i64,
}

/// What a shard knows of the sources that meet.
#[derive(Debug, Default)]
pub(super) struct Leads {
    /// By group: how far ahead of the others a partition may be read.
    lead_ns: Vec<i64>,
    /// By source.
    members: Vec<Option<Member>>,
    /// By group: up to which time a backlog is read, as of the last look.
    until: Vec<i64>,
}

/// A source's place in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    group: usize,
    /// Rows a partition may give beyond that; `None`: it waits for nobody.
    budget: Option<u64>,
}

/// How far the partitions of one source may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leash {
    until: i64,
    budget: u64,
}

impl Leash {
    /// As far as they like.
    pub const NONE: Leash = Leash { until: WM_END, budget: u64::MAX };

    /// TRUE when a partition has to wait that has come to the time `at` and gave `backlog` rows since its live end.
    pub fn holds(self, at: i64, backlog: u64) -> bool {
        at > self.until && backlog > self.budget
    }
}

/// Number of groups of sources that meet: so many times each shard tells the others.
pub fn meeting_groups(plan: &AppPlan) -> usize {
    groups(plan).len()
}

/// Groups in which somebody waits.
fn groups(plan: &AppPlan) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut below: Vec<BTreeSet<usize>> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let mut sources = BTreeSet::new();
        if let NodeKind::Scan { source } = node.kind {
            sources.insert(source.index());
        }
        for input in node.row_inputs() {
            sources.extend(&below[input.index()]);
        }
        below.push(sources.clone());
        let Some(reach_ns) = reach(&node.kind) else { continue };
        let mut group = Group { sources, reach_ns };
        groups.retain(|other| {
            let is_apart = other.sources.is_disjoint(&group.sources);
            if !is_apart {
                group.sources.extend(&other.sources);
                // Rows of a chain of joins are as far apart as its bounds together.
                group.reach_ns = group.reach_ns.saturating_add(other.reach_ns);
            }
            is_apart
        });
        groups.push(group);
    }
    let waits = waiting(plan);
    groups.retain(|group| group.sources.iter().any(|source| waits[*source]));
    groups
}

/// How far apart rows are that a join of two streams brings together; `None` for all other nodes.
fn reach(kind: &NodeKind) -> Option<i64> {
    let NodeKind::Join(spec) = kind else { return None };
    match &spec.mode {
        JoinMode::Interval { before_ns, after_ns, retention_ns }
        | JoinMode::AsOf { before_ns, after_ns, retention_ns, .. } => {
            let both = (*before_ns).max(0).saturating_add((*after_ns).max(0));
            Some(both.saturating_add((*retention_ns).max(0)))
        }
        JoinMode::Window { spec, .. } => Some(spec.kind.size_ns().saturating_add(spec.lateness_ns.max(0))),
        JoinMode::Lookup { .. } | JoinMode::Tables => None,
    }
}

/// By source: all its rows go into joins of streams. One that leaves on another way, or is asked as a table, is not
/// stalled by a join, nor is one whose end rows of a higher level wait for.
fn waiting(plan: &AppPlan) -> Vec<bool> {
    let mut waits = vec![false; plan.sources.len()];
    let mut is_read = vec![false; plan.nodes.len()];
    let mut leaves = vec![false; plan.nodes.len()];
    // Readers stand behind what they read.
    for (at, node) in plan.nodes.iter().enumerate().rev() {
        leaves[at] |= !is_read[at];
        let passes_on = leaves[at] && reach(&node.kind).is_none();
        for (port, input) in node.inputs.iter().enumerate() {
            is_read[input.index()] = true;
            leaves[input.index()] |= passes_on || node.kind.is_asked(port);
        }
        if let NodeKind::Scan { source } = node.kind {
            waits[source.index()] = !leaves[at] && !plan.sources[source.index()].load.table;
        }
    }
    waits
}

impl Leads {
    /// The groups of a plan; `partitions` of each source over all shards.
    pub fn new(plan: &AppPlan, partitions: &[u32]) -> Leads {
        let groups = groups(plan);
        let waits = waiting(plan);
        let mut members = vec![None; plan.sources.len()];
        for (at, group) in groups.iter().enumerate() {
            for source in &group.sources {
                let partitions = u64::from(partitions.get(*source).copied().unwrap_or(1).max(1));
                let budget = (BACKLOG_ROWS / partitions).max(BACKLOG_ROWS_MIN);
                members[*source] = Some(Member { group: at, budget: waits[*source].then_some(budget) });
            }
        }
        let lead_ns = groups.iter().map(|group| group.reach_ns.max(LEAD_NS_MIN)).collect();
        Leads { lead_ns, members, until: Vec::new() }
    }

    fn member(&self, scan: &Scan) -> Option<Member> {
        self.members.get(scan.source().index()).copied().flatten().filter(|_| scan.is_aligned())
    }

    /// How far the partitions of a scan may be read, as of the last look.
    pub fn leash(&self, scan: &Scan) -> Leash {
        let leash = |member: Member| Some(Leash { until: *self.until.get(member.group)?, budget: member.budget? });
        self.member(scan).and_then(leash).unwrap_or(Leash::NONE)
    }
}

impl Shard {
    /// Looks how far a backlog may be read; `elsewhere`: by group, at what time partitions of other shards hold it.
    pub(super) fn look_ahead(&mut self, elsewhere: &[i64]) {
        let mut until = std::mem::take(&mut self.leads.until);
        self.holds(&mut until);
        for (group, (until, lead_ns)) in until.iter_mut().zip(&self.leads.lead_ns).enumerate() {
            let held = elsewhere.get(group).map_or(*until, |at| (*until).min(*at));
            // The end of time stays where it is.
            *until = held.saturating_add(*lead_ns);
        }
        self.leads.until = until;
    }

    /// By group: the lowest time at which partitions of this shard hold it; `WM_END` where none does.
    pub(super) fn holds(&self, held: &mut Vec<i64>) {
        held.clear();
        held.resize(self.leads.lead_ns.len(), WM_END);
        if held.is_empty() {
            return;
        }
        for scan in self.scans() {
            if let (Some(member), Some(at)) = (self.leads.member(scan), scan.waits_at()) {
                held[member.group] = held[member.group].min(at);
            }
        }
    }

    /// TRUE when a backlog waits for other sources.
    pub(super) fn is_held_back(&self) -> bool {
        !self.leads.lead_ns.is_empty() && self.scans().any(|scan| scan.is_held_back(self.leads.leash(scan)))
    }
}
