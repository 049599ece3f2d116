//! Faults on demand: what any client can ask for through IncrementalAlterConfigs on the broker resource, and a test in
//! the same process through `Broker::inject`. This file knows the keys, their texts and what is set now; the server asks
//! it at each request. Lasting faults (delay, throttle, short reads, drops) are kept per node; the others happen once.
//!
//! Cost without faults: one relaxed load per request.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::server::apis::Api;

/// All keys begin with this.
pub(crate) const PREFIX: &str = "velo.fault.";
/// Longest delay and throttle: a forgotten fault must not look like a dead broker for ever.
const MS_MAX: u32 = 600_000;

/// A fault to inject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every request waits this long before it is looked at; 0 ends it.
    DelayMs(u32),
    /// Produce and Fetch answer with this throttle time and the connection then rests for it; 0 ends it.
    ThrottleMs(u32),
    /// Answers are sent in pieces of at most this many bytes, and a Fetch answer with several batches of a partition
    /// ends inside the last one; 0 ends it.
    ShortReadBytes(u32),
    /// The connection closes when a request of this kind arrives, before anything is done; as many times.
    DropBefore {
        /// Name of the request, such as `EndTxn`.
        request: String,
        /// How many times.
        times: u32,
    },
    /// The connection closes after a request of this kind was carried out, without its answer; as many times.
    DropAfter {
        /// Name of the request.
        request: String,
        /// How many times.
        times: u32,
    },
    /// The producer with this transactional id or producer id is fenced, as if a newer one had started.
    Fence(String),
    /// Another node leads the partition from now on, with the next leader epoch.
    MoveLeader {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Node id of the new leader.
        node: i32,
    },
    /// The partition keeps its leader and gets the next leader epoch.
    BumpEpoch {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
    },
    /// Ends all lasting faults.
    Clear,
}

/// Why a fault was refused: for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultError(pub String);

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FaultError {}

/// Keys, and what their values look like; `docs/broker.md` explains them.
const KEYS: &[(&str, &str)] = &[
    ("velo.fault.delay.ms", "milliseconds"),
    ("velo.fault.throttle.ms", "milliseconds"),
    ("velo.fault.short.read", "bytes"),
    ("velo.fault.drop.before", "Request[:times], such as EndTxn:2"),
    ("velo.fault.drop.after", "Request[:times], such as Produce"),
    ("velo.fault.fence", "a transactional id or a producer id"),
    ("velo.fault.move.leader", "topic:partition:node"),
    ("velo.fault.bump.epoch", "topic:partition"),
    ("velo.fault.clear", "all"),
];

impl Fault {
    /// Reads a key of the broker's configuration and its value.
    pub fn parse(key: &str, value: &str) -> Result<Fault, FaultError> {
        let Some((_, form)) = KEYS.iter().find(|(k, _)| *k == key) else {
            let keys: Vec<&str> = KEYS.iter().map(|(k, _)| *k).collect();
            return Err(FaultError(format!("no fault is called {key:?}; there are {}", keys.join(", "))));
        };
        let bad = || FaultError(format!("{key}={value:?}: expected {form}"));
        let milliseconds = || match value.trim().parse::<u32>() {
            Ok(ms) if ms <= MS_MAX => Ok(ms),
            Ok(ms) => Err(FaultError(format!("{key}={ms}: at most {MS_MAX} ms"))),
            Err(_) => Err(bad()),
        };
        let parts: Vec<&str> = value.trim().split(':').collect();
        match (key.strip_prefix(PREFIX).unwrap_or_default(), parts.as_slice()) {
            ("delay.ms", _) => Ok(Fault::DelayMs(milliseconds()?)),
            ("throttle.ms", _) => Ok(Fault::ThrottleMs(milliseconds()?)),
            ("short.read", [bytes]) => Ok(Fault::ShortReadBytes(bytes.parse().map_err(|_| bad())?)),
            (kind @ ("drop.before" | "drop.after"), [request, rest @ ..]) if rest.len() <= 1 => {
                let times = rest.first().map_or(Ok(1), |n| n.parse()).map_err(|_| bad())?;
                let Some(api) = Api::named(request) else {
                    return Err(FaultError(format!("{key}={value:?}: no request is called {request:?}")));
                };
                let request = api.name().to_owned();
                Ok(if kind == "drop.before" {
                    Fault::DropBefore { request, times }
                } else {
                    Fault::DropAfter { request, times }
                })
            }
            ("fence", _) if !value.is_empty() => Ok(Fault::Fence(value.to_owned())),
            ("move.leader", [topic, partition, node]) => Ok(Fault::MoveLeader {
                topic: (*topic).to_owned(),
                partition: partition.parse().map_err(|_| bad())?,
                node: node.parse().map_err(|_| bad())?,
            }),
            ("bump.epoch", [topic, partition]) => {
                Ok(Fault::BumpEpoch { topic: (*topic).to_owned(), partition: partition.parse().map_err(|_| bad())? })
            }
            ("clear", _) => Ok(Fault::Clear),
            _ => Err(bad()),
        }
    }
}

/// What lasts, on one node.
#[derive(Clone, Debug, Default)]
struct Lasting {
    delay_ms: u32,
    throttle_ms: u32,
    short_read_bytes: u32,
    before: BTreeMap<String, u32>,
    after: BTreeMap<String, u32>,
}

impl Lasting {
    fn is_quiet(&self) -> bool {
        self.delay_ms + self.throttle_ms + self.short_read_bytes == 0 && self.before.is_empty() && self.after.is_empty()
    }
}

/// What a request meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Met {
    pub delay_ms: u32,
    pub throttle_ms: u32,
    pub short_read_bytes: u32,
    pub drop_before: bool,
    pub drop_after: bool,
}

/// The lasting faults of all nodes.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: AtomicBool,
    by_node: Mutex<BTreeMap<i32, Lasting>>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, Lasting>> {
        self.by_node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a lasting fault on these nodes. FALSE: the fault happens once, and is the caller's to carry out.
    pub(crate) fn set(&self, nodes: &[i32], fault: &Fault) -> bool {
        if matches!(fault, Fault::Fence(_) | Fault::MoveLeader { .. } | Fault::BumpEpoch { .. }) {
            return false;
        }
        let mut by_node = self.lock();
        for node in nodes {
            let lasting = by_node.entry(*node).or_default();
            match fault {
                Fault::DelayMs(ms) => lasting.delay_ms = *ms,
                Fault::ThrottleMs(ms) => lasting.throttle_ms = *ms,
                Fault::ShortReadBytes(bytes) => lasting.short_read_bytes = *bytes,
                Fault::DropBefore { request, times } => drop(lasting.before.insert(request.clone(), *times)),
                Fault::DropAfter { request, times } => drop(lasting.after.insert(request.clone(), *times)),
                _ => *lasting = Lasting::default(),
            }
        }
        by_node.retain(|_, lasting| !lasting.is_quiet());
        self.armed.store(!by_node.is_empty(), Ordering::Relaxed);
        true
    }

    /// Takes back one key; unknown keys have nothing to take back.
    pub(crate) fn unset(&self, nodes: &[i32], key: &str) {
        let mut by_node = self.lock();
        for node in nodes {
            let Some(lasting) = by_node.get_mut(node) else { continue };
            match key.strip_prefix(PREFIX).unwrap_or_default() {
                "delay.ms" => lasting.delay_ms = 0,
                "throttle.ms" => lasting.throttle_ms = 0,
                "short.read" => lasting.short_read_bytes = 0,
                "drop.before" => lasting.before.clear(),
                "drop.after" => lasting.after.clear(),
                _ => {}
            }
        }
        by_node.retain(|_, lasting| !lasting.is_quiet());
        self.armed.store(!by_node.is_empty(), Ordering::Relaxed);
    }

    /// What a request on this node meets; a drop is used up by it.
    pub(crate) fn meet(&self, node: i32, request: &str) -> Met {
        let mut by_node = self.lock();
        let Some(lasting) = by_node.get_mut(&node) else { return Met::default() };
        let used = |drops: &mut BTreeMap<String, u32>| match drops.get_mut(request) {
            None => false,
            Some(left) => {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    drops.remove(request);
                }
                true
            }
        };
        let drop_before = used(&mut lasting.before);
        let drop_after = !drop_before && used(&mut lasting.after);
        Met {
            delay_ms: lasting.delay_ms,
            throttle_ms: lasting.throttle_ms,
            short_read_bytes: lasting.short_read_bytes,
            drop_before,
            drop_after,
        }
    }

    /// FALSE: nothing is set anywhere, `meet` need not be asked.
    pub(crate) fn armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    /// Keys and current values on one node, for DescribeConfigs.
    pub(crate) fn entries(&self, node: i32) -> Vec<(&'static str, String)> {
        let lasting = self.lock().get(&node).cloned().unwrap_or_default();
        let drops = |drops: &BTreeMap<String, u32>| {
            drops.iter().map(|(request, times)| format!("{request}:{times}")).collect::<Vec<_>>().join(",")
        };
        vec![
            (KEYS[0].0, lasting.delay_ms.to_string()),
            (KEYS[1].0, lasting.throttle_ms.to_string()),
            (KEYS[2].0, lasting.short_read_bytes.to_string()),
            (KEYS[3].0, drops(&lasting.before)),
            (KEYS[4].0, drops(&lasting.after)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values() {
        let check = |key: &str, value: &str, want: Option<Fault>| {
            assert_eq!(Fault::parse(&format!("{PREFIX}{key}"), value).ok(), want, "{key}={value}");
        };
        let drop_before = |request: &str, times| Fault::DropBefore { request: request.to_owned(), times };
        check("delay.ms", "20", Some(Fault::DelayMs(20)));
        check("delay.ms", "600001", None);
        check("delay.ms", "-1", None);
        check("drop.before", "EndTxn", Some(drop_before("EndTxn", 1)));
        check("drop.before", "endtxn:3", Some(drop_before("EndTxn", 3)));
        check("drop.before", "Nothing", None);
        check("drop.before", "EndTxn:x", None);
        check("fence", "app-1", Some(Fault::Fence("app-1".to_owned())));
        check("fence", "", None);
        check("move.leader", "t:3:2", Some(Fault::MoveLeader { topic: "t".to_owned(), partition: 3, node: 2 }));
        check("move.leader", "t:3", None);
        check("bump.epoch", "t:0", Some(Fault::BumpEpoch { topic: "t".to_owned(), partition: 0 }));
        check("unknown", "1", None);
    }

    #[test]
    fn drops_are_used_up_and_other_nodes_untouched() {
        let faults = Faults::default();
        assert!(!faults.armed());
        assert!(faults.set(&[1], &Fault::DropBefore { request: "EndTxn".to_owned(), times: 2 }));
        assert!(faults.armed());
        assert!(!faults.meet(2, "EndTxn").drop_before);
        assert!(!faults.meet(1, "Fetch").drop_before);
        assert_eq!((0..3).map(|_| faults.meet(1, "EndTxn").drop_before).collect::<Vec<_>>(), [true, true, false]);
        assert!(faults.set(&[1, 2], &Fault::DelayMs(5)));
        assert_eq!(faults.meet(2, "Fetch").delay_ms, 5);
        assert!(faults.set(&[1, 2], &Fault::Clear));
        assert!(!faults.armed());
        assert!(!faults.set(&[1], &Fault::Fence("x".to_owned())));
    }
}
