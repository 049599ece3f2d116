//! Topics and partitions: names, ids, leaders, configuration. Readers take a snapshot of a topic (`Arc`); changes are
//! made under one lock, journaled before they are seen, and replace the topic.
//!
//! Lock order: a partition's log before the transactions; the admin lock before everything.

mod name;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use std::{fs, io};

pub use name::{TOPIC_NAME_MAX, TopicNameError, check_topic_name};

use crate::journal::{PartitionRecord, TopicRecord};
use crate::store::{Buffers, LogConfig, PartitionLog, Recovered, SpillSpace, Storage};

/// Locks, also after another thread panicked while it held the lock: the state machines keep their invariants per call.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A fetch that waits for new records.
#[derive(Default)]
pub(crate) struct Waiter {
    woken: Mutex<bool>,
    wake: Condvar,
}

impl Waiter {
    /// Waits until woken, at most this long. TRUE: woken.
    pub(crate) fn wait(&self, at_most: Duration) -> bool {
        let woken = lock(&self.woken);
        let result = self.wake.wait_timeout_while(woken, at_most, |woken| !*woken);
        let (mut woken, _) = result.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *woken)
    }

    pub(crate) fn wake(&self) {
        *lock(&self.woken) = true;
        self.wake.notify_one();
    }
}

/// Who leads, and since which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    pub node: i32,
    pub epoch: i32,
}

/// One partition.
pub(crate) struct Partition {
    pub index: i32,
    /// Leader and epoch change only while this is held, so that what is appended under it has the right epoch.
    pub log: Mutex<PartitionLog>,
    leader: AtomicU64,
    deleted: AtomicBool,
    waiters: Mutex<Vec<Arc<Waiter>>>,
}

impl Partition {
    pub(crate) fn leader(&self) -> Leader {
        let packed = self.leader.load(Ordering::Acquire);
        Leader { node: (packed >> 32) as i32, epoch: packed as u32 as i32 }
    }

    fn set_leader(&self, leader: Leader) {
        let packed = (leader.node as u32 as u64) << 32 | u64::from(leader.epoch as u32);
        self.leader.store(packed, Ordering::Release);
    }

    /// TRUE once the topic is deleted; asked while the log is held.
    pub(crate) fn deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Wakes every fetch that waits for this partition.
    pub(crate) fn wake(&self) {
        let waiters = std::mem::take(&mut *lock(&self.waiters));
        waiters.iter().for_each(|waiter| waiter.wake());
    }

    pub(crate) fn watch(&self, waiter: &Arc<Waiter>) {
        lock(&self.waiters).push(Arc::clone(waiter));
    }

    pub(crate) fn unwatch(&self, waiter: &Arc<Waiter>) {
        lock(&self.waiters).retain(|other| !Arc::ptr_eq(other, waiter));
    }
}

/// One topic as it was when it was looked up.
pub(crate) struct Topic {
    pub id: [u8; 16],
    pub name: String,
    pub replication: i16,
    /// Configuration that differs from the default, by Kafka's names.
    pub overrides: BTreeMap<String, String>,
    pub partitions: Vec<Arc<Partition>>,
}

impl Topic {
    pub(crate) fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    /// What the journal keeps of it.
    pub(crate) fn record(&self) -> TopicRecord {
        let leaders = self.partitions.iter().map(|partition| partition.leader());
        TopicRecord {
            id: self.id,
            name: self.name.clone(),
            partitions: leaders.map(|l| PartitionRecord { leader: l.node, epoch: l.epoch }).collect(),
            replication: self.replication,
            config: self.overrides.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }

    fn with(&self, overrides: BTreeMap<String, String>, partitions: Vec<Arc<Partition>>) -> Topic {
        Topic { id: self.id, name: self.name.clone(), replication: self.replication, overrides, partitions }
    }
}

/// The log configuration these overrides make.
pub(crate) fn log_config(overrides: &BTreeMap<String, String>) -> Result<LogConfig, String> {
    let mut config = LogConfig::default();
    overrides.iter().try_for_each(|(key, value)| config.set(key, value))?;
    Ok(config)
}

/// All topics.
pub(crate) struct Topics {
    folder: Option<PathBuf>,
    /// What logs without a folder share.
    spill: Option<SpillSpace>,
    by_name: RwLock<BTreeMap<String, Arc<Topic>>>,
    /// For reads of all partitions.
    buffers: Buffers,
}

/// Tells the caller what opening a partition found: topic, partition, result.
pub(crate) type OnOpened<'a> = &'a mut dyn FnMut(&str, usize, Recovered);

impl Topics {
    /// `folder` is that of the topics; without one everything is in memory, or in `spill`.
    pub(crate) fn new(folder: Option<PathBuf>, spill: Option<SpillSpace>) -> Topics {
        Topics { folder, spill, by_name: RwLock::default(), buffers: Buffers::default() }
    }

    /// Opens the logs of a topic and puts it under its name, in place of an older one.
    pub(crate) fn open(&self, record: &TopicRecord, now_ms: i64, opened: OnOpened<'_>) -> io::Result<Arc<Topic>> {
        let overrides: BTreeMap<String, String> = record.config.iter().cloned().collect();
        let mut topic = Topic {
            id: record.id,
            name: record.name.clone(),
            replication: record.replication,
            overrides,
            partitions: Vec::with_capacity(record.partitions.len()),
        };
        for (index, partition) in record.partitions.iter().enumerate() {
            topic.partitions.push(self.open_partition(&topic, index, *partition, now_ms, opened)?);
        }
        Ok(self.put(topic))
    }

    fn open_partition(
        &self,
        topic: &Topic,
        index: usize,
        leader: PartitionRecord,
        now_ms: i64,
        opened: OnOpened<'_>,
    ) -> io::Result<Arc<Partition>> {
        let storage = match (self.topic_folder(&topic.name, topic.id), &self.spill) {
            (Some(folder), _) => Storage::Dir(folder.join(index.to_string())),
            (None, Some(space)) => Storage::Spill(space.clone()),
            (None, None) => Storage::Memory,
        };
        let config =
            log_config(&topic.overrides).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let (mut log, recovered) = PartitionLog::open(storage, config, now_ms)?;
        log.share_buffers(&self.buffers);
        log.start_epoch(leader.epoch);
        opened(&topic.name, index, recovered);
        let partition = Partition {
            index: index as i32,
            log: Mutex::new(log),
            leader: AtomicU64::default(),
            deleted: AtomicBool::default(),
            waiters: Mutex::default(),
        };
        partition.set_leader(Leader { node: leader.leader, epoch: leader.epoch });
        Ok(Arc::new(partition))
    }

    fn put(&self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.insert(topic.name.clone(), Arc::clone(&topic));
        topic
    }

    /// Where a topic's partitions lie. The id keeps a recreated topic out of the folder its forerunner may still use.
    fn topic_folder(&self, name: &str, id: [u8; 16]) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(name).join(id_text(id)))
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn by_id(&self, id: &[u8]) -> Option<Arc<Topic>> {
        self.all().into_iter().find(|topic| topic.id == id)
    }

    pub(crate) fn partition(&self, name: &str, index: i32) -> Option<Arc<Partition>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.get(name)?.partition(index).cloned()
    }

    /// All topics by name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Gives a topic another configuration; its logs follow at once.
    pub(crate) fn configure(&self, topic: &Topic, overrides: BTreeMap<String, String>, config: &LogConfig) {
        for partition in &topic.partitions {
            lock(&partition.log).set_config(config.clone());
        }
        self.put(topic.with(overrides, topic.partitions.clone()));
    }

    /// Appends partitions to a topic.
    pub(crate) fn extend(&self, topic: &Topic, more: &[PartitionRecord], now_ms: i64) -> io::Result<Arc<Topic>> {
        let mut partitions = topic.partitions.clone();
        for leader in more {
            let index = partitions.len();
            partitions.push(self.open_partition(topic, index, *leader, now_ms, &mut |_, _, _| {})?);
        }
        Ok(self.put(topic.with(topic.overrides.clone(), partitions)))
    }

    /// Takes a topic away: waiting fetches look again and find nothing, its files go.
    pub(crate) fn delete(&self, name: &str) -> io::Result<()> {
        let removed = self.by_name.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        let Some(topic) = removed else { return Ok(()) };
        for partition in &topic.partitions {
            let log = lock(&partition.log);
            partition.deleted.store(true, Ordering::Release);
            drop(log);
            partition.wake();
        }
        let Some(folder) = self.topic_folder(name, topic.id) else { return Ok(()) };
        remove_folder(&folder)?;
        // Another incarnation of the name may already live beside it: then the folder of the name stays.
        drop(folder.parent().map(fs::remove_dir));
        Ok(())
    }

    /// Removes what was spilled, once nobody reads any more.
    pub(crate) fn remove_spilled(&self) -> io::Result<()> {
        self.spill.as_ref().map_or(Ok(()), SpillSpace::remove)
    }

    /// Another leader for a partition, or the same with a higher epoch.
    pub(crate) fn lead(&self, partition: &Partition, node: i32) -> Leader {
        let mut log = lock(&partition.log);
        let leader = Leader { node, epoch: partition.leader().epoch.saturating_add(1) };
        log.start_epoch(leader.epoch);
        partition.set_leader(leader);
        drop(log);
        partition.wake();
        leader
    }

    /// Removes folders of topics the journal does not know: what a crash left between deletion and removal.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        let Some(root) = self.folder.as_ref().filter(|root| root.exists()) else { return Ok(()) };
        for name in fs::read_dir(root)? {
            let name = name?;
            if !name.file_type()?.is_dir() {
                continue;
            }
            let known = name.file_name().to_str().and_then(|name| self.get(name)).map(|topic| id_text(topic.id));
            for incarnation in fs::read_dir(name.path())? {
                let incarnation = incarnation?;
                if incarnation.file_name().to_str() != known.as_deref() {
                    remove_folder(&incarnation.path())?;
                }
            }
            if known.is_none() {
                fs::remove_dir(name.path())?;
            }
        }
        Ok(())
    }
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn id_text(id: [u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
