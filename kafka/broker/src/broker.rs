//! The broker as its user sees it: configuration, start, stop, what it has done. Starting reads the journal, opens every
//! log (which cuts torn tails), ends what transactions were decided, and only then listens.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fmt, fs, io, thread};

use crate::fault::{Fault, FaultError, Faults};
use crate::group::{GroupConfig, Groups};
use crate::journal::{Journal, JournalEntry, TopicRecord};
use crate::server::{self, Counters, Node, Shared, now_ms};
use crate::store::{Spill, SpillSpace};
use crate::topics::{Topics, lock};
use crate::txn::{Transactions, TxnConfig};

/// Most nodes of one broker: each is a listener and a thread.
const NODES_MAX: u16 = 100;
/// Held while a broker uses a folder.
const LOCK_FILE: &str = "broker.lock";

/// How often and how long a start waits for a folder or a port that is about to become free: half a second in all.
const CLAIM_ATTEMPTS: u32 = 25;
const CLAIM_PAUSE: Duration = Duration::from_millis(20);

/// Where a broker writes its lines.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// What a broker is started with.
#[derive(Clone)]
pub struct BrokerConfig {
    /// Address to listen on.
    pub host: String,
    /// What clients are told to connect to, where it is not `host`: the name of a container, of a machine behind a NAT.
    pub advertised_host: Option<String>,
    /// Port of the first node; the others take the ports behind it. 0: free ones.
    pub port: u16,
    /// Number of nodes, ids 1 and up.
    pub nodes: u16,
    /// Where everything is kept; `None`: in memory.
    pub dir: Option<PathBuf>,
    /// Where a broker in memory puts closed segments while the batches of all its partitions together are above a bound;
    /// `None`: all stays in memory. Of no effect with `dir`. What is read does not change, only where it comes from. The
    /// files last as long as their segments and at most until the broker stops; a process that is killed leaves them. An
    /// append that would need to spill and cannot is refused with the reason.
    pub spill: Option<Spill>,
    /// Partitions of a topic whose creator names no number.
    pub default_partitions: u32,
    /// Topics that a client mentions are created, if its request allows it.
    pub auto_create_topics: bool,
    /// How often retention and compaction look, in milliseconds.
    pub maintain_every_ms: i64,
    /// Limits of consumer groups.
    pub groups: GroupConfig,
    /// Limits of transactions.
    pub transactions: TxnConfig,
    /// Takes one line per event worth knowing; silent by default.
    pub log: Log,
}

impl Default for BrokerConfig {
    fn default() -> BrokerConfig {
        BrokerConfig {
            host: "127.0.0.1".to_owned(),
            advertised_host: None,
            port: 0,
            nodes: 1,
            dir: None,
            spill: None,
            default_partitions: 1,
            auto_create_topics: false,
            maintain_every_ms: 5_000,
            groups: GroupConfig::default(),
            transactions: TxnConfig::default(),
            log: Arc::new(|_| {}),
        }
    }
}

impl BrokerConfig {
    /// The host that clients are told.
    pub(crate) fn told_host(&self) -> &str {
        self.advertised_host.as_deref().unwrap_or(&self.host)
    }
}

/// Why a broker did not start.
#[derive(Debug)]
pub enum BrokerError {
    /// The configuration contradicts itself: for people.
    Config(String),
    /// The folder could not be read or written.
    Storage(io::Error),
    /// A listener could not be opened.
    Listen(io::Error),
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BrokerError::Config(why) => f.write_str(why),
            BrokerError::Storage(error) => write!(f, "the broker's folder cannot be used: {error}"),
            BrokerError::Listen(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for BrokerError {}

/// What a broker has done since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records stored.
    pub records_in: u64,
    /// Bytes of record batches stored.
    pub bytes_in: u64,
    /// Records sent to fetching clients.
    pub records_out: u64,
    /// Bytes of record batches sent.
    pub bytes_out: u64,
    /// Requests received.
    pub requests: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections closed because of what they sent.
    pub refused: u64,
}

/// A running broker. Dropping it stops it.
pub struct Broker {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Keeps other brokers out of the folder.
    _lock: Option<fs::File>,
}

impl Broker {
    /// Starts a broker; when this returns, clients can connect.
    pub fn start(config: BrokerConfig) -> Result<Broker, BrokerError> {
        check(&config)?;
        let held = config.dir.as_deref().map(claim).transpose()?;
        let path = config.dir.as_ref().map(|dir| dir.join("journal"));
        let (journal, entries) = Journal::open(path.as_deref()).map_err(BrokerError::Storage)?;
        let spill = config.spill.as_ref().filter(|_| config.dir.is_none()).map(SpillSpace::open);
        let spill = spill.transpose().map_err(BrokerError::Storage)?;
        let topics = Topics::new(config.dir.as_ref().map(|dir| dir.join("topics")), spill);
        open_topics(&config, &topics, &entries)?;
        let now_ms = now_ms();
        let groups = Groups::restore(config.groups.clone(), &entries, now_ms);
        let transactions = Transactions::restore(config.transactions.clone(), &entries);
        let listeners = listen(&config)?;
        let cluster = entries.iter().rev().find_map(|entry| match entry {
            JournalEntry::Cluster(id) => Some(id.clone()),
            _ => None,
        });
        let shared = Arc::new(Shared {
            cluster_id: cluster.clone().unwrap_or_else(|| format!("velostream-{now_ms:x}")),
            nodes: listeners.iter().map(|(node, _)| node.clone()).collect(),
            config,
            topics,
            admin: Mutex::default(),
            groups: Mutex::new(groups),
            groups_moved: Condvar::new(),
            transactions: Mutex::new(transactions),
            journal: Mutex::new(journal),
            faults: Faults::default(),
            counters: Counters::default(),
            alarm: Default::default(),
            stopping: AtomicBool::default(),
            connections: Mutex::default(),
            threads: Mutex::default(),
        });
        if cluster.is_none() {
            lock(&shared.journal)
                .append(&[JournalEntry::Cluster(shared.cluster_id.clone())])
                .map_err(BrokerError::Storage)?;
        }
        // Transactions that were decided but not yet ended everywhere when the last run broke off.
        server::write_markers(&shared);
        let mut broker = Broker { shared, threads: Vec::new(), _lock: held };
        for (node, listener) in listeners {
            let shared = Arc::clone(&broker.shared);
            broker.spawn(format!("listener-{}", node.id), move || server::accept(&shared, node.id, &listener))?;
        }
        let shared = Arc::clone(&broker.shared);
        broker.spawn("housekeeping".to_owned(), move || server::keep_house(&shared))?;
        Ok(broker)
    }

    fn spawn(&mut self, name: String, run: impl FnOnce() + Send + 'static) -> Result<(), BrokerError> {
        self.threads.push(thread::Builder::new().name(name).spawn(run).map_err(BrokerError::Listen)?);
        Ok(())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// `host:port` of every node, separated by commas: what clients call bootstrap.servers.
    pub fn bootstrap(&self) -> String {
        self.addresses().join(",")
    }

    /// `host:port` of each node, in the order of their ids from 1.
    pub fn addresses(&self) -> Vec<String> {
        self.shared.nodes.iter().map(|node| format!("{}:{}", self.shared.config.host, node.port)).collect()
    }

    /// Injects a fault on all nodes.
    pub fn inject(&self, fault: &Fault) -> Result<(), FaultError> {
        server::inject(&self.shared, &self.shared.node_ids(), fault)
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            records_in: get(&counters.records_in),
            bytes_in: get(&counters.bytes_in),
            records_out: get(&counters.records_out),
            bytes_out: get(&counters.bytes_out),
            requests: get(&counters.requests),
            connections: get(&counters.connections),
            refused: get(&counters.refused),
        }
    }

    /// Stops: no new requests, all threads joined, everything synchronised to disk, and what was spilled removed.
    pub fn stop(mut self) -> Stats {
        self.halt();
        self.stats()
    }

    fn halt(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        server::stop(&self.shared);
        let mut threads = std::mem::take(&mut self.threads);
        for thread in threads.drain(..) {
            // A panic in it was printed; stopping goes on.
            drop(thread.join());
        }
        // The listeners are gone, so no thread is added behind this.
        server::stop(&self.shared);
        let connections = std::mem::take(&mut *lock(&self.shared.threads));
        connections.into_iter().for_each(|thread| drop(thread.join()));
        for topic in self.shared.topics.all() {
            for partition in &topic.partitions {
                if let Err(error) = lock(&partition.log).flush() {
                    self.shared.log(&format!("{}-{} could not be flushed: {error}", topic.name, partition.index));
                }
            }
        }
        if let Err(error) = self.shared.topics.remove_spilled() {
            self.shared.log(&format!("what was spilled could not be removed: {error}"));
        }
        if let Err(error) = lock(&self.shared.journal).flush() {
            self.shared.log(&format!("the journal could not be flushed: {error}"));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.halt();
    }
}

fn check(config: &BrokerConfig) -> Result<(), BrokerError> {
    if !(1..=NODES_MAX).contains(&config.nodes) {
        return Err(BrokerError::Config(format!("{} nodes; a broker has 1 to {NODES_MAX}", config.nodes)));
    }
    if config.port != 0 && config.port.checked_add(config.nodes - 1).is_none() {
        let (port, nodes) = (config.port, config.nodes);
        return Err(BrokerError::Config(format!("{nodes} nodes from port {port} on end above port {}", u16::MAX)));
    }
    if config.default_partitions == 0 {
        return Err(BrokerError::Config("a topic needs at least one partition".to_owned()));
    }
    Ok(())
}

/// Creates the folder and keeps other brokers out of it. A broker that was killed a moment ago may still hold it.
fn claim(dir: &Path) -> Result<fs::File, BrokerError> {
    fs::create_dir_all(dir).map_err(BrokerError::Storage)?;
    let file = fs::File::create(dir.join(LOCK_FILE)).map_err(BrokerError::Storage)?;
    for attempt in 0.. {
        match file.try_lock() {
            Ok(()) => break,
            Err(fs::TryLockError::WouldBlock) if attempt < CLAIM_ATTEMPTS => thread::park_timeout(CLAIM_PAUSE),
            Err(fs::TryLockError::WouldBlock) => {
                let told = format!("another broker uses {}; stop it or take another folder", dir.display());
                return Err(BrokerError::Config(told));
            }
            Err(fs::TryLockError::Error(error)) => return Err(BrokerError::Storage(error)),
        }
    }
    Ok(file)
}

/// Opens the listeners; the ports of a broker that was killed a moment ago may still be taken.
fn listen(config: &BrokerConfig) -> Result<Vec<(Node, TcpListener)>, BrokerError> {
    let mut attempt = 0;
    loop {
        match server::listen(config) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempt < CLAIM_ATTEMPTS => {
                attempt += 1;
                thread::park_timeout(CLAIM_PAUSE);
            }
            result => return result.map_err(BrokerError::Listen),
        }
    }
}

fn open_topics(config: &BrokerConfig, topics: &Topics, entries: &[JournalEntry]) -> Result<(), BrokerError> {
    let mut records: std::collections::BTreeMap<&str, &TopicRecord> = Default::default();
    for entry in entries {
        match entry {
            JournalEntry::Topic(record) => drop(records.insert(&record.name, record)),
            JournalEntry::TopicDeleted(name) => drop(records.remove(name.as_str())),
            _ => {}
        }
    }
    let log = &config.log;
    let mut opened = |topic: &str, partition: usize, recovered: crate::store::Recovered| {
        if recovered.cut_bytes > 0 {
            let (cut, kept) = (recovered.cut_bytes, recovered.batches);
            log(&format!("{topic}-{partition}: a torn tail of {cut} bytes was cut, behind {kept} whole batches"));
        }
    };
    let count = records.len();
    for record in records.into_values() {
        let record = lead_by_known_nodes(record, config.nodes);
        topics.open(&record, now_ms(), &mut opened).map_err(|error| {
            let told = format!("topic {}: {error}", record.name);
            BrokerError::Storage(io::Error::new(error.kind(), told))
        })?;
    }
    topics.sweep().map_err(BrokerError::Storage)?;
    if count > 0 {
        log(&format!("{count} topics opened"));
    }
    Ok(())
}

/// The record with partitions of nodes that no longer exist given to others, in the next epoch.
fn lead_by_known_nodes(record: &TopicRecord, nodes: u16) -> TopicRecord {
    let mut record = record.clone();
    let nodes = i32::from(nodes);
    for partition in record.partitions.iter_mut().filter(|p| !(1..=nodes).contains(&p.leader)) {
        partition.leader = (partition.leader - 1).rem_euclid(nodes) + 1;
        partition.epoch = partition.epoch.saturating_add(1);
    }
    record
}
