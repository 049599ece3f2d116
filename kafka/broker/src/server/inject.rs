//! Carries out faults: lasting ones are noted for the connections to meet, the others happen here and now.

use super::transactions::write_markers;
use super::{Shared, now_ms};
use crate::fault::{Fault, FaultError};
use crate::journal::JournalEntry;
use crate::topics::lock;
use crate::txn::InitRequest;

/// Injects a fault on these nodes; those that concern a partition or a producer concern all nodes.
pub(crate) fn inject(shared: &Shared, nodes: &[i32], fault: &Fault) -> Result<(), FaultError> {
    shared.log(&format!("fault: {fault:?} on nodes {nodes:?}"));
    if shared.faults.set(nodes, fault) {
        return Ok(());
    }
    match fault {
        Fault::Fence(who) => fence(shared, who),
        Fault::MoveLeader { topic, partition, node } => {
            let ids = shared.node_ids();
            if !ids.contains(node) {
                return Err(FaultError(format!("there is no node {node}; the nodes are {ids:?}")));
            }
            lead(shared, topic, *partition, Some(*node))
        }
        Fault::BumpEpoch { topic, partition } => lead(shared, topic, *partition, None),
        _ => Ok(()),
    }
}

/// A new leader, or the old one again, with the next epoch; remembered, so that epochs never go back.
fn lead(shared: &Shared, topic: &str, index: i32, node: Option<i32>) -> Result<(), FaultError> {
    let _admin = lock(&shared.admin);
    let unknown = || FaultError(format!("there is no partition {topic}-{index}"));
    let found = shared.topics.get(topic).ok_or_else(unknown)?;
    let partition = found.partition(index).ok_or_else(unknown)?;
    shared.topics.lead(partition, node.unwrap_or(partition.leader().node));
    shared
        .remember(&[JournalEntry::Topic(found.record())])
        .map_err(|code| FaultError(format!("the journal could not be written (error {code})")))
}

fn fence(shared: &Shared, who: &str) -> Result<(), FaultError> {
    let known = lock(&shared.transactions).describe(who);
    let Some(txn) = known else { return fence_producer(shared, who) };
    // A second producer with this transactional id does exactly this.
    let request = InitRequest {
        version: 4,
        transactional_id: Some(who.to_owned()),
        timeout_ms: txn.timeout_ms,
        producer_id: -1,
        producer_epoch: -1,
    };
    let init = || shared.with_transactions(|txns, now_ms| txns.init(&request, now_ms)).and_then(|result| result);
    let first = init();
    write_markers(shared);
    match first.or_else(|_| init()) {
        Ok(_) => Ok(()),
        Err(code) => Err(FaultError(format!("{who:?} could not be fenced (error {code})"))),
    }
}

/// An abort marker with the next epoch, in every partition the producer has written to, fences an idempotent producer.
fn fence_producer(shared: &Shared, who: &str) -> Result<(), FaultError> {
    let unknown = || FaultError(format!("{who:?} is no known transactional id and no producer id in any log"));
    let id: i64 = who.trim().parse().map_err(|_| unknown())?;
    let mut found = false;
    for topic in shared.topics.all() {
        for partition in &topic.partitions {
            let mut log = lock(&partition.log);
            let Some(producer) = log.producers().into_iter().find(|p| p.producer_id == id) else { continue };
            let (epoch, coordinator) = (producer.producer_epoch.saturating_add(1), producer.coordinator_epoch.max(0));
            log.end_transaction(id, epoch, coordinator, false, partition.leader().epoch, now_ms())
                .map_err(|error| FaultError(format!("{}-{}: {error}", topic.name, partition.index)))?;
            drop(log);
            partition.wake();
            found = true;
        }
    }
    if found { Ok(()) } else { Err(unknown()) }
}
