//! The server: what all threads share, listeners, and one thread per connection.
//!
//! ```text
//! accept -> connection: frame -> shape -> decode -> handler -> encode -> frame
//! ```
//!
//! A connection's requests are carried out one after the other, so answers leave in request order without a queue. What
//! has to wait (fetches, joins, syncs) waits in its own thread on a condition. Housekeeping is one more thread.
//!
//! Locks, in the order they may be taken: admin, a partition's log, transactions, groups, journal. No two logs at once.

pub(crate) mod apis;
mod configs;
mod connection;
mod dispatch;
mod fetch;
mod frame;
mod group_admin;
mod groups;
mod housekeeping;
mod inject;
mod metadata;
mod offsets;
mod produce;
mod shape;
mod topic_admin;
mod transactions;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{io, thread};

pub use frame::FRAME_BYTES_MAX;
pub(crate) use housekeeping::run as keep_house;
pub(crate) use inject::inject;
pub(crate) use topic_admin::{create_topic, delete_topic};
pub(crate) use transactions::write_markers;

use crate::broker::BrokerConfig;
use crate::errors;
use crate::fault::Faults;
use crate::group::Groups;
use crate::journal::{Journal, JournalEntry};
use crate::topics::{Topics, lock};
use crate::txn::Transactions;
use housekeeping::Alarm;

/// Connections above this many are closed at once: each costs a thread.
const CONNECTIONS_MAX: usize = 4_000;

/// Milliseconds since 1970: the only clock of the broker.
#[allow(clippy::disallowed_methods)]
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// What the broker has done so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub requests: AtomicU64,
    pub connections: AtomicU64,
    pub refused: AtomicU64,
    pub topic_ids: AtomicU64,
    pub records_in: AtomicU64,
    pub bytes_in: AtomicU64,
    pub records_out: AtomicU64,
    pub bytes_out: AtomicU64,
}

/// One listener.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub id: i32,
    pub port: u16,
}

/// What all threads of a broker share.
pub(crate) struct Shared {
    pub config: BrokerConfig,
    pub cluster_id: String,
    pub nodes: Vec<Node>,
    pub topics: Topics,
    /// Held while topics, partitions or configurations change.
    pub admin: Mutex<()>,
    pub groups: Mutex<Groups>,
    pub groups_moved: Condvar,
    pub transactions: Mutex<Transactions>,
    pub journal: Mutex<Journal>,
    pub faults: Faults,
    pub counters: Counters,
    pub alarm: Alarm,
    pub stopping: AtomicBool,
    pub connections: Mutex<BTreeMap<u64, TcpStream>>,
    pub threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Shared {
    pub(crate) fn log(&self, line: &str) {
        (self.config.log)(line);
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn node_ids(&self) -> Vec<i32> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// The node that coordinates a group or a transactional id.
    pub(crate) fn coordinator(&self, key: &str) -> &Node {
        let hash = key.bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        &self.nodes[hash as usize % self.nodes.len()]
    }

    /// Makes these facts durable, in order. Callers hold the lock of the state machine the facts come from.
    pub(crate) fn remember(&self, entries: &[JournalEntry]) -> Result<(), i16> {
        if entries.is_empty() {
            return Ok(());
        }
        lock(&self.journal).append(entries).map_err(|error| {
            self.log(&format!("the journal could not be written: {error}"));
            errors::KAFKA_STORAGE_ERROR
        })
    }

    /// Asks or changes the groups; changes are durable before this returns, and those who wait look again.
    pub(crate) fn with_groups<T>(&self, act: impl FnOnce(&mut Groups, i64) -> T) -> Result<T, i16> {
        let mut groups = lock(&self.groups);
        let answer = act(&mut groups, now_ms());
        self.settle_groups(&mut groups)?;
        Ok(answer)
    }

    /// What follows each call that may have changed the groups.
    pub(crate) fn settle_groups(&self, groups: &mut Groups) -> Result<(), i16> {
        self.groups_moved.notify_all();
        if let Some(at_ms) = groups.next_deadline() {
            self.alarm.not_after(at_ms);
        }
        self.remember(&groups.changed())
    }

    /// Asks or changes the transactions; changes are durable before this returns.
    pub(crate) fn with_transactions<T>(&self, act: impl FnOnce(&mut Transactions, i64) -> T) -> Result<T, i16> {
        let mut transactions = lock(&self.transactions);
        let answer = act(&mut transactions, now_ms());
        if let Some(at_ms) = transactions.next_deadline() {
            self.alarm.not_after(at_ms);
        }
        self.remember(&transactions.changed())?;
        Ok(answer)
    }
}

/// Opens the listeners: the first on `port`, the others on the ports behind it, or all on free ones when it is 0.
pub(crate) fn listen(config: &BrokerConfig) -> io::Result<Vec<(Node, TcpListener)>> {
    (0..config.nodes)
        .map(|i| {
            let port = if config.port == 0 { 0 } else { config.port.saturating_add(i) };
            let listener = TcpListener::bind((config.host.as_str(), port)).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {}:{port}: {error}", config.host))
            })?;
            Ok((Node { id: i32::from(i) + 1, port: listener.local_addr()?.port() }, listener))
        })
        .collect()
}

/// Accepts connections of one node until the broker stops.
pub(crate) fn accept(shared: &Arc<Shared>, node: i32, listener: &TcpListener) {
    while !shared.stopping() {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            // Out of descriptors, most likely: connections that end give some back.
            Err(error) => {
                shared.log(&format!("node {node} could not accept a connection: {error}"));
                shared.alarm.pause();
                continue;
            }
        };
        if shared.stopping() {
            return;
        }
        if let Err(error) = start_connection(shared, node, stream) {
            shared.log(&format!("node {node} turned a connection away: {error}"));
        }
    }
}

fn start_connection(shared: &Arc<Shared>, node: i32, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let id = shared.counters.connections.fetch_add(1, Ordering::Relaxed);
    {
        let mut connections = lock(&shared.connections);
        if connections.len() >= CONNECTIONS_MAX {
            return Err(io::Error::other(format!("{CONNECTIONS_MAX} connections are open")));
        }
        connections.insert(id, stream.try_clone()?);
    }
    let theirs = Arc::clone(shared);
    let spawned = thread::Builder::new().name(format!("broker-{node}-{id}")).spawn(move || {
        connection::serve(&theirs, node, &stream);
        lock(&theirs.connections).remove(&id);
    });
    match spawned {
        Ok(thread) => {
            let mut threads = lock(&shared.threads);
            threads.retain(|thread| !thread.is_finished());
            threads.push(thread);
            Ok(())
        }
        Err(error) => {
            lock(&shared.connections).remove(&id);
            Err(error)
        }
    }
}

/// Makes every thread see that the broker stops: listeners, connections, waiting fetches and joins, housekeeping.
pub(crate) fn stop(shared: &Shared) {
    shared.stopping.store(true, Ordering::Release);
    shared.alarm.stop();
    for node in &shared.nodes {
        // A listener blocks in accept; a connection of our own ends that.
        let host = shared.config.host.parse().unwrap_or(Ipv4Addr::LOCALHOST.into());
        drop(TcpStream::connect(SocketAddr::new(host, node.port)));
    }
    for stream in lock(&shared.connections).values() {
        drop(stream.shutdown(Shutdown::Both));
    }
    drop(lock(&shared.groups));
    shared.groups_moved.notify_all();
    for topic in shared.topics.all() {
        topic.partitions.iter().for_each(|partition| partition.wake());
    }
}
