//! Configuration of a topic under Kafka's own names: what may be set, its default, and the parsed values the log uses.
//!
//! Names that only matter to a cluster, or to a broker that stores in other ways, are accepted and shown, and their text
//! says that nothing follows from them here.

use std::collections::BTreeMap;

/// One setting as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Kafka's name.
    pub name: &'static str,
    /// The value in force.
    pub value: String,
    /// TRUE when nobody set it.
    pub is_default: bool,
    /// What it does here.
    pub doc: &'static str,
}

#[derive(Clone, Copy)]
enum Kind {
    /// A whole number of at least this.
    Int(i64),
    /// 0 to 1.
    Ratio,
    Bool,
    OneOf(&'static [&'static str]),
    /// One or more of these, separated by commas.
    SomeOf(&'static [&'static str]),
    Text,
}

struct Key {
    name: &'static str,
    default: &'static str,
    kind: Kind,
    doc: &'static str,
}

const fn key(name: &'static str, default: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, default, kind, doc }
}

const FOREVER: &str = "9223372036854775807";
const CODECS: &[&str] = &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];
const POLICIES: &[&str] = &["delete", "compact"];
const TIMES: &[&str] = &["CreateTime", "LogAppendTime"];
/// An index entry needs a position of 32 bits in Kafka, so a segment stays below 2 GiB there and here.
const SEGMENT_BYTES_MAX: i64 = i32::MAX as i64;

/// Sorted by name.
const KEYS: &[Key] = &[
    key(
        "cleanup.policy",
        "delete",
        Kind::SomeOf(POLICIES),
        "delete old segments, keep the last record per key, or both",
    ),
    key(
        "compression.type",
        "producer",
        Kind::OneOf(CODECS),
        "batches are stored as the producer sent them, whatever is set",
    ),
    key(
        "delete.retention.ms",
        "86400000",
        Kind::Int(0),
        "how long a tombstone outlives the first compaction that met it",
    ),
    key("file.delete.delay.ms", "60000", Kind::Int(0), "no effect: files are deleted at once, no reader holds them"),
    key("flush.messages", FOREVER, Kind::Int(1), "no effect: segments are synchronised when they close"),
    key("flush.ms", FOREVER, Kind::Int(0), "no effect: segments are synchronised when they close"),
    key("follower.replication.throttled.replicas", "", Kind::Text, "no effect: there is one replica"),
    key(
        "index.interval.bytes",
        "4096",
        Kind::Int(0),
        "bytes of records between two entries of the offset and time index",
    ),
    key("leader.replication.throttled.replicas", "", Kind::Text, "no effect: there is one replica"),
    key("local.retention.bytes", "-2", Kind::Int(-2), "no effect: there is no remote storage"),
    key("local.retention.ms", "-2", Kind::Int(-2), "no effect: there is no remote storage"),
    key(
        "max.compaction.lag.ms",
        FOREVER,
        Kind::Int(1),
        "a record older than this is compacted whatever the dirty ratio",
    ),
    key("max.message.bytes", "1048588", Kind::Int(0), "largest batch a producer may send, as it comes, in bytes"),
    key(
        "message.timestamp.after.max.ms",
        "3600000",
        Kind::Int(0),
        "how far a record's time may lie ahead of the broker's",
    ),
    key(
        "message.timestamp.before.max.ms",
        FOREVER,
        Kind::Int(0),
        "how far a record's time may lie behind the broker's",
    ),
    key("message.timestamp.type", "CreateTime", Kind::OneOf(TIMES), "whether records keep their time or get the log's"),
    key("min.cleanable.dirty.ratio", "0.5", Kind::Ratio, "part of the log that must be new before it is compacted"),
    key("min.compaction.lag.ms", "0", Kind::Int(0), "how long a record stays as it is before compaction may drop it"),
    key("min.insync.replicas", "1", Kind::Int(1), "replicas that must have a record before acks=all is answered"),
    key("preallocate", "false", Kind::Bool, "no effect: segment files grow as they are written"),
    key("remote.storage.enable", "false", Kind::Bool, "no effect: there is no remote storage"),
    key("retention.bytes", "-1", Kind::Int(-1), "bytes a partition keeps; -1 is no limit"),
    key("retention.ms", "604800000", Kind::Int(-1), "how long a record is kept; -1 is for ever"),
    key("segment.bytes", "1073741824", Kind::Int(14), "size at which a segment closes"),
    key("segment.index.bytes", "10485760", Kind::Int(4), "no effect: an index thins itself out"),
    key("segment.jitter.ms", "0", Kind::Int(0), "no effect: segments close exactly at segment.ms"),
    key("segment.ms", "604800000", Kind::Int(1), "age at which a segment closes"),
    key("unclean.leader.election.enable", "false", Kind::Bool, "no effect: there is one replica"),
];

fn find(name: &str) -> Result<&'static Key, String> {
    let at = KEYS.binary_search_by_key(&name, |k| k.name);
    at.map(|at| &KEYS[at]).map_err(|_| format!("unknown topic configuration \"{name}\""))
}

impl Key {
    fn check(&self, value: &str) -> Result<(), String> {
        let wants = |what: String| Err(format!("{} must be {what}, not \"{value}\"", self.name));
        match self.kind {
            Kind::Int(min) => {
                let max = if self.name == "segment.bytes" { SEGMENT_BYTES_MAX } else { i64::MAX };
                match value.trim().parse::<i64>() {
                    Ok(n) if n >= min && n <= max => Ok(()),
                    _ if max == i64::MAX => wants(format!("a whole number of at least {min}")),
                    _ => wants(format!("a whole number from {min} to {max}")),
                }
            }
            Kind::Ratio => match value.trim().parse::<f64>() {
                Ok(n) if (0.0..=1.0).contains(&n) => Ok(()),
                _ => wants("a number from 0 to 1".to_owned()),
            },
            Kind::Bool if value != "true" && value != "false" => wants("true or false".to_owned()),
            Kind::OneOf(names) if !names.contains(&value) => wants(format!("one of {}", names.join(", "))),
            Kind::SomeOf(names) if !value.split(',').all(|v| names.contains(&v.trim())) => {
                wants(format!("one or more of {}", names.join(", ")))
            }
            _ => Ok(()),
        }
    }
}

/// Configuration of one topic.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    set: BTreeMap<&'static str, String>,
    parsed: Parsed,
}

/// The values that the log acts by.
#[derive(Clone, Debug, PartialEq)]
struct Parsed {
    deletes: bool,
    compacts: bool,
    log_append_time: bool,
    max_message_bytes: usize,
    timestamp_before_max_ms: i64,
    timestamp_after_max_ms: i64,
    index_interval_bytes: u64,
    segment_bytes: u64,
    segment_ms: i64,
    retention_bytes: i64,
    retention_ms: i64,
    delete_retention_ms: i64,
    min_compaction_lag_ms: i64,
    max_compaction_lag_ms: i64,
    min_cleanable_dirty_ratio: f64,
    min_insync_replicas: i64,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        let set = BTreeMap::new();
        LogConfig { parsed: Parsed::of(&set), set }
    }
}

impl Parsed {
    fn of(set: &BTreeMap<&'static str, String>) -> Parsed {
        let text = |name: &str| match (set.get(name), find(name)) {
            (Some(value), _) => value.as_str(),
            (None, Ok(key)) => key.default,
            (None, Err(_)) => "",
        };
        // Values were checked when they were set; a default that does not parse would fail the first test.
        let int = |name: &str| text(name).trim().parse::<i64>().unwrap_or(0);
        let policy = |which: &str| text("cleanup.policy").split(',').any(|p| p.trim() == which);
        Parsed {
            deletes: policy("delete"),
            compacts: policy("compact"),
            log_append_time: text("message.timestamp.type") == "LogAppendTime",
            max_message_bytes: usize::try_from(int("max.message.bytes")).unwrap_or(0),
            timestamp_before_max_ms: int("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: int("message.timestamp.after.max.ms"),
            index_interval_bytes: int("index.interval.bytes").unsigned_abs(),
            segment_bytes: int("segment.bytes").unsigned_abs(),
            segment_ms: int("segment.ms"),
            retention_bytes: int("retention.bytes"),
            retention_ms: int("retention.ms"),
            delete_retention_ms: int("delete.retention.ms"),
            min_compaction_lag_ms: int("min.compaction.lag.ms"),
            max_compaction_lag_ms: int("max.compaction.lag.ms"),
            min_cleanable_dirty_ratio: text("min.cleanable.dirty.ratio").trim().parse().unwrap_or(0.5),
            min_insync_replicas: int("min.insync.replicas"),
        }
    }
}

impl LogConfig {
    /// Sets a value. The error says what the name takes.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let key = find(name)?;
        key.check(value)?;
        self.set.insert(key.name, value.to_owned());
        self.parsed = Parsed::of(&self.set);
        Ok(())
    }

    /// Back to the default. An unknown name changes nothing.
    pub fn unset(&mut self, name: &str) {
        self.set.remove(name);
        self.parsed = Parsed::of(&self.set);
    }

    /// All settings by name.
    pub fn entries(&self) -> Vec<ConfigEntry> {
        let entry = |key: &Key| ConfigEntry {
            name: key.name,
            value: self.set.get(key.name).map_or(key.default, |v| v.as_str()).to_owned(),
            is_default: !self.set.contains_key(key.name),
            doc: key.doc,
        };
        KEYS.iter().map(entry).collect()
    }

    /// TRUE when the topic keeps the last record per key.
    pub fn compacts(&self) -> bool {
        self.parsed.compacts
    }

    /// Replicas that must have a record before acks=all is answered.
    pub fn min_insync_replicas(&self) -> i64 {
        self.parsed.min_insync_replicas
    }

    /// Largest batch a producer may send.
    pub fn max_message_bytes(&self) -> usize {
        self.parsed.max_message_bytes
    }

    /// TRUE when the log gives records their time.
    pub fn log_append_time(&self) -> bool {
        self.parsed.log_append_time
    }

    pub(super) fn deletes(&self) -> bool {
        self.parsed.deletes
    }

    pub(super) fn allows_timestamp(&self, timestamp: i64, now_ms: i64) -> bool {
        now_ms.saturating_sub(timestamp) <= self.parsed.timestamp_before_max_ms
            && timestamp.saturating_sub(now_ms) <= self.parsed.timestamp_after_max_ms
    }

    pub(super) fn index_interval_bytes(&self) -> u64 {
        self.parsed.index_interval_bytes
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        self.parsed.segment_bytes
    }

    pub(super) fn segment_ms(&self) -> i64 {
        self.parsed.segment_ms
    }

    /// `None` is no limit.
    pub(super) fn retention_bytes(&self) -> Option<u64> {
        u64::try_from(self.parsed.retention_bytes).ok()
    }

    /// `None` is for ever.
    pub(super) fn retention_ms(&self) -> Option<i64> {
        (self.parsed.retention_ms >= 0).then_some(self.parsed.retention_ms)
    }

    pub(super) fn delete_retention_ms(&self) -> i64 {
        self.parsed.delete_retention_ms
    }

    pub(super) fn min_compaction_lag_ms(&self) -> i64 {
        self.parsed.min_compaction_lag_ms
    }

    pub(super) fn max_compaction_lag_ms(&self) -> i64 {
        self.parsed.max_compaction_lag_ms
    }

    pub(super) fn min_cleanable_dirty_ratio(&self) -> f64 {
        self.parsed.min_cleanable_dirty_ratio
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_legal_and_names_are_sorted() {
        assert!(KEYS.is_sorted_by(|a, b| a.name < b.name));
        for key in KEYS {
            assert_eq!(key.check(key.default), Ok(()));
        }
        assert!(LogConfig::default().entries().iter().all(|e| e.is_default && !e.doc.is_empty()));
    }

    #[test]
    fn values_are_checked() {
        let check = |name: &str, value: &str, want: Result<(), &str>| {
            assert_eq!(LogConfig::default().set(name, value), want.map_err(str::to_owned));
        };
        check("cleanup.policy", "compact,delete", Ok(()));
        check("cleanup.policy", "keep", Err("cleanup.policy must be one or more of delete, compact, not \"keep\""));
        check("segment.bytes", "100", Ok(()));
        check(
            "segment.bytes",
            "3000000000",
            Err("segment.bytes must be a whole number from 14 to 2147483647, not \"3000000000\""),
        );
        check("retention.ms", "-2", Err("retention.ms must be a whole number of at least -1, not \"-2\""));
        check(
            "min.cleanable.dirty.ratio",
            "1.5",
            Err("min.cleanable.dirty.ratio must be a number from 0 to 1, not \"1.5\""),
        );
        check("preallocate", "yes", Err("preallocate must be true or false, not \"yes\""));
        check("retention", "1", Err("unknown topic configuration \"retention\""));
    }

    #[test]
    fn setting_and_unsetting_show() {
        let mut config = LogConfig::default();
        config.set("retention.ms", "-1").unwrap();
        config.set("cleanup.policy", "compact").unwrap();
        assert_eq!((config.retention_ms(), config.compacts(), config.deletes()), (None, true, false));
        config.unset("cleanup.policy");
        assert_eq!((config.compacts(), config.deletes()), (false, true));
        assert!(config.entries().iter().any(|e| e.name == "retention.ms" && e.value == "-1" && !e.is_default));
    }
}
