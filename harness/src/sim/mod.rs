//! The simulated world: all shards of an app in one thread, with feeds, sinks and mesh in memory.
//!
//! It drives the production `Shard` through the same inbox and outbox as the runtime does. Nothing waits for time: a
//! world runs until it is at rest, so tests wait on a condition by construction.

mod commit;

use std::collections::BTreeMap;
use std::sync::Arc;

use velostream_exec::commit::{CommitLog, Writer};
use velostream_exec::operator::NodeCounters;
use velostream_exec::shard::{
    Demand, Inbox, Outbox, PartitionProgress, Progress, STOP_BARRIER, Shard, ShardOptions, Standing, Write,
};
use velostream_sql::plan::{AppPlan, SourceConnector};
use velostream_types::time::{WM_END, WM_NONE};
use velostream_types::{Fatal, PartitionId, RecordRef, ShardId, Slab, SlabKind, SourceId, SourcePoll};

use crate::scenario::{FedRecord, line_of};

/// How a world is set up.
#[derive(Clone, Copy, Debug)]
pub struct WorldOptions {
    /// Number of shards.
    pub shards: u16,
    /// Rows per batch at most.
    pub batch_rows: usize,
    /// Messages in flight per edge and pair of shards.
    pub credits: u32,
}

/// All shards of one app.
pub struct World {
    plan: Arc<AppPlan>,
    options: WorldOptions,
    partitions: Vec<u32>,
    shards: Vec<Shard>,
    inboxes: Vec<Inbox>,
    /// What each shard last published; nothing is known of a shard before its first turn.
    lows: Vec<i64>,
    helds: Vec<Vec<i64>>,
    loaded: Vec<u16>,
    feeds: BTreeMap<(SourceId, PartitionId), Feed>,
    /// Rows per sink since they were last taken.
    rows: Vec<Vec<Vec<u8>>>,
    /// The same with keys and headers.
    records: Vec<Vec<String>>,
    /// Dead letters per destination since they were last taken.
    dead: Vec<Vec<Vec<u8>>>,
    finished_sinks: usize,
    done: bool,
    stopped: bool,
    turns: u64,
    /// Time of day, ns since 1970.
    now_ns: i64,
    peak: Peak,
    /// What shards counted that a restart has replaced: rows, and messages that waited for a credit.
    counted: Vec<NodeCounters>,
    waited: u64,
    /// What may be committed, and the last barrier given.
    commits: CommitLog,
    barrier: u64,
}

/// Rounds after which a world that is still busy is taken for one that never comes to rest.
const ROUNDS_MAX: u64 = 20_000_000;

/// Highest counts seen after any turn, over all shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// Groups held by all nodes together.
    pub groups: u64,
}

#[derive(Default)]
struct Feed {
    bytes: Vec<u8>,
    /// Records of a topic; `base` then counts them.
    framed: Vec<RecordRef>,
    base: usize,
    ended: bool,
    /// It has more than it gives.
    held: bool,
    /// Where the last slab began and ended, and whether it was the feed's end: there is nothing new until one changes.
    offered: Option<(usize, usize, bool)>,
}

impl Feed {
    /// More records of a topic.
    fn add(&mut self, records: &[FedRecord]) {
        for record in records {
            let offset = self.framed.len() as i64;
            let bytes = &mut self.bytes;
            let mut put = |part: &[u8]| {
                let start = bytes.len() as u32;
                bytes.extend_from_slice(part);
                (start, bytes.len() as u32)
            };
            let (key, value) = (record.key.as_deref().map(&mut put), record.value.as_deref().map(&mut put));
            let headers = Some(&record.headers).filter(|h| !h.is_empty()).map(|h| put(h));
            self.framed.push(RecordRef { offset, timestamp_ms: 0, key, value, headers });
        }
    }

    /// The records behind those handed out.
    fn next_records(&mut self) -> SourcePoll {
        let records = self.framed[self.base..].to_vec();
        self.base = self.framed.len();
        match (records.is_empty(), self.ended) {
            (true, true) => SourcePoll::End,
            (true, false) => SourcePoll::Pending,
            (false, _) => {
                let bytes = arrow_buffer::Buffer::from_slice_ref(&self.bytes);
                SourcePoll::Slab(Slab { bytes, kind: SlabKind::Records(records) })
            }
        }
    }
}

impl World {
    /// A world at rest; `partitions` of each source over all shards.
    pub fn new(plan: Arc<AppPlan>, partitions: Vec<u32>, options: WorldOptions) -> World {
        let mut feeds = BTreeMap::new();
        for (source, count) in partitions.iter().enumerate() {
            for p in 0..*count {
                feeds.insert((SourceId(source as u16), PartitionId(p)), Feed::default());
            }
        }
        for (source, _) in plan.sources.iter().enumerate().filter(|(_, s)| s.connector == SourceConnector::OneRow) {
            if let Some(feed) = feeds.get_mut(&(SourceId(source as u16), PartitionId(0))) {
                feed.bytes.extend_from_slice(b"{}\n");
            }
        }
        let (sinks, dlqs) = (plan.sinks.len(), plan.dlqs.len());
        let commits = commit::log_of(&plan, options.shards, feeds.keys());
        let mut world = World {
            plan,
            options,
            partitions,
            shards: Vec::new(),
            inboxes: Vec::new(),
            lows: Vec::new(),
            helds: Vec::new(),
            loaded: Vec::new(),
            feeds,
            rows: vec![Vec::new(); sinks],
            records: vec![Vec::new(); sinks],
            dead: vec![Vec::new(); dlqs],
            finished_sinks: 0,
            done: false,
            stopped: false,
            turns: 0,
            now_ns: 0,
            peak: Peak::default(),
            counted: Vec::new(),
            waited: 0,
            commits,
            barrier: 0,
        };
        world.counted = vec![NodeCounters::default(); world.plan.nodes.len()];
        world.build();
        world
    }

    fn build(&mut self) {
        let shards = self.options.shards;
        let build = |id: u16| {
            let owned: Vec<(SourceId, PartitionId)> =
                self.feeds.keys().filter(|(_, p)| p.0 % u32::from(shards) == u32::from(id)).copied().collect();
            let options = ShardOptions {
                seed: 0,
                batch_rows: self.options.batch_rows,
                credits: self.options.credits,
                run_start_ms: 0,
                partitions: self.partitions.clone(),
                memory_limit: u64::MAX,
                check: true,
                checkpoint: false,
            };
            Shard::new(Arc::clone(&self.plan), ShardId(id), shards, &owned, options)
        };
        self.shards = (0..shards).map(build).collect();
        self.inboxes = (0..shards).map(|_| Inbox::default()).collect();
        self.lows = vec![WM_NONE; usize::from(shards)];
        self.helds = vec![Vec::new(); usize::from(shards)];
        self.loaded = vec![0; usize::from(shards)];
    }

    /// More bytes of a partition, whole records.
    pub fn feed(&mut self, source: SourceId, partition: PartitionId, bytes: &[u8]) {
        for feed in self.readers(source, partition) {
            feed.bytes.extend_from_slice(bytes);
        }
    }

    /// What the readers of a partition have.
    fn readers(&mut self, source: SourceId, partition: PartitionId) -> impl Iterator<Item = &mut Feed> {
        let plan = Arc::clone(&self.plan);
        let reads = move |of: SourceId| of == source || plan.sources[of.index()].load.again == Some(source);
        self.feeds.iter_mut().filter(move |((of, p), _)| *p == partition && reads(*of)).map(|(_, feed)| feed)
    }

    /// More records of a partition of a topic.
    pub fn feed_records(&mut self, source: SourceId, partition: PartitionId, records: &[FedRecord]) {
        for feed in self.readers(source, partition) {
            feed.add(records);
        }
    }

    /// Time of day goes on by so many ns.
    pub fn wait(&mut self, ns: i64) {
        self.now_ns = self.now_ns.saturating_add(ns);
    }

    /// A partition gives nothing, though it has more, or all again.
    pub fn hold(&mut self, source: SourceId, partition: PartitionId, held: bool) {
        self.readers(source, partition).for_each(|feed| feed.held = held);
    }

    /// Every feed ends behind what it has.
    pub fn end(&mut self) {
        self.feeds.values_mut().for_each(|f| f.ended = true);
    }

    /// INT/TERM: reading stops, what is under way is finished, no window fires.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    fn poll(&mut self, demand: Demand) -> SourcePoll {
        let Some(feed) = self.feeds.get_mut(&(demand.source, demand.partition)) else { return SourcePoll::End };
        if feed.framed.is_empty() {
            feed.base += demand.consumed;
        }
        if feed.held {
            feed.offered = None;
            return SourcePoll::Behind;
        }
        if !feed.framed.is_empty() {
            return feed.next_records();
        }
        if feed.base == feed.bytes.len() {
            return if feed.ended { SourcePoll::End } else { SourcePoll::Pending };
        }
        let offer = (feed.base, feed.bytes.len(), feed.ended);
        if feed.offered.replace(offer) == Some(offer) {
            return SourcePoll::Pending;
        }
        let bytes = arrow_buffer::Buffer::from_slice_ref(&feed.bytes[feed.base..]);
        let kind = SlabKind::Stream { at_end: feed.ended, position: feed.base as u64 };
        SourcePoll::Slab(Slab { bytes, kind })
    }

    /// Turns all shards until none can do anything more. Answers TRUE when all are done.
    pub fn run_to_rest(&mut self) -> Result<bool, Fatal> {
        let mut quiet = 0;
        let mut rounds = 0;
        // Every shard must pass a full round without anything moving: credits travel back a round later, and a fresh shard
        // asks its partitions one after the other.
        let enough = 2 + self.feeds.len();
        while quiet < enough && !self.done {
            quiet = if self.round()? { 0 } else { quiet + 1 };
            rounds += 1;
            if rounds == ROUNDS_MAX {
                return Err(Fatal::new(format!("no rest after {rounds} rounds: {:?}", self.counters())));
            }
        }
        Ok(self.done)
    }

    /// One turn of every shard. Answers FALSE when nothing moved.
    pub fn round(&mut self) -> Result<bool, Fatal> {
        let mut moved = false;
        let mut done = 0;
        for s in 0..self.shards.len() {
            let (own, progress) = self.turn(s)?;
            moved |= own;
            done += usize::from(progress == Progress::Done);
        }
        self.done = done == self.shards.len();
        let groups = self.shards.iter().flat_map(|s| s.counters()).map(|c| c.groups).sum();
        self.peak.groups = self.peak.groups.max(groups);
        Ok(moved && !self.done)
    }

    /// One turn of one shard, whatever the others do meanwhile.
    pub fn turn_alone(&mut self, shard: ShardId) -> Result<(), Fatal> {
        self.turn(shard.index()).map(|_| ())
    }

    /// One turn of shard `s`: whether anything moved, and how it ended.
    fn turn(&mut self, s: usize) -> Result<(bool, Progress), Fatal> {
        self.inboxes[s].stop = self.stopped;
        let elsewhere = self.lows.iter().enumerate().filter(|(other, _)| *other != s).map(|(_, low)| *low).min();
        self.inboxes[s].low_elsewhere = elsewhere.unwrap_or(WM_END);
        self.inboxes[s].held_elsewhere = self.held_elsewhere(s);
        let elsewhere =
            self.loaded.iter().enumerate().filter(|(other, _)| *other != s).map(|(_, loaded)| *loaded).min();
        self.inboxes[s].loaded_elsewhere = elsewhere.unwrap_or(u16::MAX);
        let mut out = Outbox::default();
        let had_mail = !self.inboxes[s].mesh.is_empty();
        let progress = self.shards[s].turn(self.now_ns, &mut self.inboxes[s], &mut out)?;
        self.turns += 1;
        let mut moved = had_mail || progress == Progress::Busy || !out.writes.is_empty() || !out.mesh.is_empty();
        moved |= self.lows[s] != out.low || self.loaded[s] != out.loaded || self.helds[s] != out.held;
        self.loaded[s] = out.loaded;
        self.helds[s] = out.held;
        for (to, envelope) in out.mesh {
            self.inboxes[to.index()].mesh.push((ShardId(s as u16), envelope));
        }
        for demand in out.demands {
            let poll = self.poll(demand);
            moved |= !matches!(poll, SourcePoll::Pending | SourcePoll::Behind);
            self.inboxes[s].polls.push((demand.source, demand.partition, poll));
        }
        self.lows[s] = out.low;
        for mark in out.marks {
            moved = true;
            self.commits.mark(ShardId(s as u16), mark);
        }
        for write in out.writes {
            self.write(s, write);
        }
        Ok((moved, progress))
    }

    /// By group: the lowest time at which other shards' partitions hold it.
    fn held_elsewhere(&self, s: usize) -> Vec<i64> {
        let others = self.helds.iter().enumerate().filter(|(other, _)| *other != s).map(|(_, held)| held);
        let mut lowest = vec![WM_END; self.helds.iter().map(Vec::len).max().unwrap_or(0)];
        for held in others {
            lowest.iter_mut().zip(held).for_each(|(low, at)| *low = (*low).min(*at));
        }
        lowest
    }

    fn write(&mut self, shard: usize, write: Write) {
        let spare = &mut self.inboxes[shard].spare;
        match write {
            Write::Rows(sink, chunk) => {
                self.rows[sink].extend((0..chunk.rows()).map(|i| chunk.row(i).to_vec()));
                self.records[sink].extend((0..chunk.rows()).map(|i| line_of(&chunk, i)));
                spare.push(chunk);
            }
            Write::Dead(dlq, chunk) => self.dead[dlq].extend((0..chunk.rows()).map(|i| chunk.row(i).to_vec())),
            Write::Finish(sink) => {
                self.finished_sinks += 1;
                self.commits.made_safe(Writer::Sink(sink, ShardId(shard as u16)), STOP_BARRIER);
            }
            Write::FinishDead(dlq) => self.commits.made_safe(Writer::Dead(dlq), STOP_BARRIER),
            Write::Mark(sink, id) => self.commits.made_safe(Writer::Sink(sink, ShardId(shard as u16)), id),
            Write::MarkDead(dlq, id) => self.commits.made_safe(Writer::Dead(dlq), id),
        }
    }

    /// Replaces all shards by `shards` new ones that start from the state of the old ones. Only legal at rest.
    pub fn restart(&mut self, shards: u16) -> Result<(), Fatal> {
        let parts: Vec<_> = self.shards.iter().map(Shard::snapshot).collect();
        self.counted = self.counters();
        // What is held now is counted again by those that hold it then.
        self.counted.iter_mut().for_each(|c| (c.groups, c.state_bytes) = (0, 0));
        self.waited = self.credit_waits();
        for at in parts.iter().flat_map(|p| &p.positions) {
            if let Some(feed) = self.feeds.get_mut(&(at.source, at.partition)) {
                feed.base = if feed.framed.is_empty() { at.position as usize } else { at.next_offset as usize };
                feed.offered = None;
            }
        }
        self.options.shards = shards;
        self.build();
        for shard in &mut self.shards {
            for at in parts.iter().flat_map(|p| &p.positions).filter(|at| at.position > 0) {
                if let Some(feed) = self.feeds.get(&(at.source, at.partition)) {
                    shard.read_head(at.source, at.partition, &feed.bytes);
                }
            }
            shard.restore(&parts, shards).map_err(|e| Fatal::new(e.to_string()))?;
        }
        Ok(())
    }

    /// Rows of a sink since the last call, without their line ends.
    pub fn take_rows(&mut self, sink: usize) -> Vec<String> {
        text_of(std::mem::take(&mut self.rows[sink]))
    }

    /// The rows since the last call as records, see [`line_of`].
    pub fn take_records(&mut self, sink: usize) -> Vec<String> {
        std::mem::take(&mut self.records[sink])
    }

    /// Dead letters of a destination since the last call.
    pub fn take_dead(&mut self, dlq: usize) -> Vec<String> {
        text_of(std::mem::take(&mut self.dead[dlq]))
    }

    /// Sinks that were completed.
    pub fn finished_sinks(&self) -> usize {
        self.finished_sinks
    }

    /// Where partitions and windows stand, by shard.
    pub fn standing(&self) -> Vec<Standing> {
        self.shards.iter().map(Shard::standing).collect()
    }

    /// Counters by node since the start, summed over shards.
    pub fn counters(&self) -> Vec<NodeCounters> {
        let mut sum = self.counted.clone();
        for shard in &self.shards {
            sum.iter_mut().zip(shard.counters()).for_each(|(a, b)| a.add(b));
        }
        sum
    }

    /// Messages that waited for a credit, over all shards.
    pub fn credit_waits(&self) -> u64 {
        self.waited + self.shards.iter().map(Shard::credit_waits).sum::<u64>()
    }

    /// Highest counts seen after any turn.
    pub fn peak(&self) -> Peak {
        self.peak
    }

    /// Where every partition stands.
    pub fn progress(&self) -> Vec<PartitionProgress> {
        self.shards.iter().flat_map(Shard::progress).collect()
    }
}

fn text_of(rows: Vec<Vec<u8>>) -> Vec<String> {
    rows.into_iter().map(|r| String::from_utf8_lossy(&r).trim_end_matches(['\n', '\r']).to_owned()).collect()
}
