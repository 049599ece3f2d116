//! The port of a message broker: what the runtime needs of topics, groups and producers, in plain values.
//!
//! `kafka` implements it and knows no plan; `runtime` uses it and knows no client. Everything here is called from one
//! of two places: [`Broker`] and [`GroupMember`] from the housekeeping thread (they may wait for the network),
//! [`Fetch`] and [`Produce`] from the core that owns them (they never wait; a [`Wake`] tells that there is news).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::chunk::Chunk;
use crate::error::Fatal;
use crate::ports::SourcePoll;

/// Called from any thread when there is something to poll.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How to talk to one cluster: client settings in librdkafka's names, `bootstrap.servers` among them. Equal settings
/// mean the same client.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client {
    /// The settings.
    pub settings: BTreeMap<String, String>,
    /// Where each setting was written (`app.sql:12`, `kafka.yaml`), for messages about it.
    pub origins: BTreeMap<String, String>,
}

impl Client {
    /// The brokers to start from.
    pub fn brokers(&self) -> &str {
        self.settings.get("bootstrap.servers").map_or("", String::as_str)
    }
}

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: u32,
}

/// Where a partition without a committed offset is read from, or all are when the user says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// The log's start.
    Earliest,
    /// The log's end.
    Latest,
    /// The first record with this timestamp (ms) or a later one; the end without.
    Timestamp(i64),
    /// This offset.
    Offset(i64),
    /// Nowhere: a missing commit is an error.
    None,
}

/// What a group committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Next offset to read.
    pub offset: i64,
    /// Metadata, 4,000 bytes at most.
    pub metadata: String,
}

/// One offset to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Of which partition.
    pub at: TopicPartition,
    /// What.
    pub committed: Committed,
}

/// First and last of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBounds {
    /// Offset of the first record that is still there.
    pub start: i64,
    /// Offset behind the last record that may be read (the last stable offset under `read_committed`).
    pub end: i64,
}

/// A topic to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: u32,
    /// Copies; -1 is the cluster's default.
    pub replication: i32,
    /// Topic settings in Kafka's names.
    pub config: BTreeMap<String, String>,
}

/// A record read for inspection or inference, away from the data path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRecord {
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: i64,
    /// Timestamp, ms.
    pub timestamp_ms: i64,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Headers in order, duplicates included.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A group's member to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSpec {
    /// The cluster.
    pub client: Client,
    /// `group.id`
    pub group: String,
    /// `group.instance.id`; stable over restarts.
    pub instance: Option<String>,
    /// Topics to subscribe to.
    pub topics: Vec<String>,
}

/// What happened to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberEvent {
    /// These partitions are the member's from now on, in addition to those it has.
    Assigned(Vec<TopicPartition>),
    /// These go to others once [`GroupMember::release`] was called: finish, flush and commit before.
    Revoking(Vec<TopicPartition>),
    /// These were taken away: nothing of them may be committed any more.
    Lost(Vec<TopicPartition>),
    /// Something for the log: a broker is down, it is back, a retry.
    Notice(String),
}

/// Why a commit did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// The group moved on (rebalance, fenced, unknown member): never retried with these offsets.
    Stale(String),
    /// The brokers could not be reached; the next commit says the same or more.
    Unavailable(String),
}

/// Membership in a group; lives on the housekeeping thread and fetches nothing.
pub trait GroupMember: Send {
    /// Serves the group protocol for at most `wait`. Must be called at least every few hundred ms.
    fn poll(&mut self, wait: Duration) -> Result<Option<MemberEvent>, Fatal>;
    /// What the group committed for the assigned partitions.
    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Committed>>, Fatal>;
    /// Commits with the member's generation. With `wait` it waits for the answer so long, else it only sends.
    fn commit(&mut self, commits: &[Commit], wait: Option<Duration>) -> Result<(), CommitError>;
    /// What was being revoked was finished: gives it back.
    fn release(&mut self);
    /// Leaves (a static member only closes: its partitions wait for it).
    fn leave(self: Box<Self>);
}

/// What one core reads from one cluster.
#[derive(Clone, Debug)]
pub struct FetchSpec {
    /// The cluster.
    pub client: Client,
    /// Group whose name the fetches carry; never commits.
    pub group: String,
    /// Partitions with the offset each is read from, and the offset it ends before.
    pub partitions: Vec<FetchFrom>,
    /// Headers travel with the records (see [`crate::RecordRef::headers`]).
    pub headers: bool,
    /// A slab holds about so many bytes at most.
    pub slab_bytes: usize,
}

/// One partition of a [`FetchSpec`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchFrom {
    /// Which.
    pub at: TopicPartition,
    /// First offset to read.
    pub from: i64,
    /// End here (bounded run); `None`: never.
    pub until: Option<i64>,
}

/// What is known of a partition being fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchStats {
    /// Next offset that will be handed out.
    pub position: i64,
    /// End of the log as last seen.
    pub end: i64,
    /// Records that retention took before they were read.
    pub records_lost: u64,
    /// Time the broker asked to wait, ms.
    pub throttle_ms: u64,
}

/// One core's reader of its partitions of one cluster.
pub trait Fetch {
    /// What arrived for partition number `index` of the spec: a framed slab, nothing yet, or the end.
    fn poll(&mut self, index: usize) -> Result<SourcePoll, Fatal>;
    /// Where partition number `index` stands.
    fn stats(&self, index: usize) -> FetchStats;
    /// Messages for the log since the last call (log truncated, broker away).
    fn notices(&mut self) -> Vec<String>;
}

/// What one core writes to one cluster.
#[derive(Clone, Debug)]
pub struct ProduceSpec {
    /// The cluster.
    pub client: Client,
    /// Topics written, by position.
    pub topics: Vec<String>,
    /// Send at the end of each turn instead of after `linger.ms`.
    pub eager: bool,
}

/// A record the brokers refused for what it is (too large, invalid): it belongs into the dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Position of its topic.
    pub topic: usize,
    /// Broker's reason.
    pub reason: String,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Headers, encoded as [`crate::headers`] says.
    pub headers: Option<Vec<u8>>,
    /// Timestamp, ms.
    pub timestamp_ms: Option<i64>,
}

/// One core's producer for one cluster.
pub trait Produce {
    /// Sends rows `from ..` of the chunk to topic number `topic`; answers how many were taken. Fewer than there are
    /// means that the queue is full: come back after [`Produce::poll`]. The terminator of a row (its last byte, when
    /// it is a line feed and `Chunk::framed` is not set) is not part of the record.
    fn send(&mut self, topic: usize, rows: &Chunk, from: usize) -> Result<usize, Fatal>;
    /// Takes delivery reports; never waits.
    fn poll(&mut self) -> Result<(), Fatal>;
    /// Everything sent so far belongs to mark `n` (rising).
    fn mark(&mut self, n: u64);
    /// The highest mark all of whose records, and those of all marks before, are acknowledged.
    fn acknowledged(&self) -> u64;
    /// Records sent and not acknowledged.
    fn outstanding(&self) -> usize;
    /// Waits until everything is acknowledged or `wait` is over; answers which.
    fn flush(&mut self, wait: Duration) -> Result<bool, Fatal>;
    /// Records refused since the last call; their acknowledgement is withheld until [`Produce::buried`].
    fn take_rejected(&mut self) -> Vec<Rejected>;
    /// So many rejected records are safe in the dead letter.
    fn buried(&mut self, records: usize);
    /// Messages for the log since the last call.
    fn notices(&mut self) -> Vec<String>;
}

/// A message system.
pub trait Broker: Send + Sync {
    /// Number of partitions of a topic; `None` when it does not exist. Waits for the brokers up to `patience`.
    fn partitions(&self, client: &Client, topic: &str, patience: Duration) -> Result<Option<u32>, Fatal>;
    /// Makes a topic that is not there; answers FALSE when it already was.
    fn create(&self, client: &Client, topic: &NewTopic, patience: Duration) -> Result<bool, Fatal>;
    /// Bounds of a topic's partitions `0 .. n`.
    fn bounds(&self, client: &Client, topic: &str, partitions: u32) -> Result<Vec<LogBounds>, Fatal>;
    /// First offset of each partition whose record is at least that young; `None`: there is none.
    fn offsets_at(&self, client: &Client, topic: &str, partitions: u32, at_ms: i64) -> Result<Vec<Option<i64>>, Fatal>;
    /// The first `per_partition` records of each partition, up to the ends found at the call.
    fn sample(&self, client: &Client, topic: &str, per_partition: usize) -> Result<Vec<TopicRecord>, Fatal>;
    /// Becomes a member of a group.
    fn join(&self, spec: MemberSpec) -> Result<Box<dyn GroupMember>, Fatal>;
    /// A core's reader; call it on the core. `wake` is called when a poll would bring something.
    fn fetch(&self, spec: FetchSpec, wake: Wake) -> Result<Box<dyn Fetch>, Fatal>;
    /// A core's producer; call it on the core. `wake` is called when reports wait. Connects before it returns.
    fn produce(&self, spec: ProduceSpec, wake: Wake) -> Result<Box<dyn Produce>, Fatal>;
}
