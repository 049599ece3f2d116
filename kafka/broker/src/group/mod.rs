//! The group coordinator (classic protocol), a pure state machine: time comes in, answers that must wait get a ticket.

mod types;

pub use types::*;

use crate::errors;
use crate::journal::JournalEntry;

/// All groups of the broker.
#[derive(Default)]
pub struct Groups {
    changes: Vec<JournalEntry>,
}

#[allow(missing_docs, unused_variables)]
impl Groups {
    pub fn new(config: GroupConfig) -> Groups {
        Groups::default()
    }
    pub fn restore(config: GroupConfig, entries: &[JournalEntry], now_ms: i64) -> Groups {
        Groups::default()
    }
    pub fn join(&mut self, request: JoinRequest, now_ms: i64) -> Ticket {
        Ticket(0)
    }
    pub fn sync(&mut self, request: SyncRequest, now_ms: i64) -> Ticket {
        Ticket(0)
    }
    pub fn take(&mut self, ticket: Ticket) -> Option<Answer> {
        None
    }
    pub fn cancel(&mut self, ticket: Ticket) {}
    pub fn heartbeat(&mut self, who: &MemberRef, now_ms: i64) -> i16 {
        errors::COORDINATOR_NOT_AVAILABLE
    }
    /// One error per member; versions 0-2 put the only one on top.
    pub fn leave(&mut self, group: &str, members: &[Leaving], now_ms: i64) -> Result<Vec<i16>, i16> {
        Err(errors::COORDINATOR_NOT_AVAILABLE)
    }
    /// One error per offset, in order.
    pub fn commit(&mut self, who: &MemberRef, offsets: Vec<OffsetCommit>, now_ms: i64) -> Vec<i16> {
        Vec::new()
    }
    /// TxnOffsetCommit; check `Transactions::check_group` first. One error per offset, in order.
    pub fn commit_txn_offsets(
        &mut self,
        producer_id: i64,
        who: &MemberRef,
        offsets: Vec<OffsetCommit>,
        now_ms: i64,
    ) -> Vec<i16> {
        Vec::new()
    }
    pub fn end_txn_offsets(&mut self, group: &str, producer_id: i64, commit: bool) {}
    /// `None`: all committed offsets of the group.
    pub fn fetch_offsets(
        &self,
        group: &str,
        partitions: Option<&[(String, i32)]>,
        require_stable: bool,
    ) -> Vec<FetchedOffset> {
        Vec::new()
    }
    pub fn describe(&self, group: &str) -> Option<GroupDescription> {
        None
    }
    pub fn list(&self) -> Vec<ListedGroup> {
        Vec::new()
    }
    pub fn delete_group(&mut self, group: &str) -> i16 {
        errors::NONE
    }
    /// One error per partition, in order.
    pub fn delete_offsets(&mut self, group: &str, partitions: &[(String, i32)]) -> Result<Vec<i16>, i16> {
        Err(errors::GROUP_ID_NOT_FOUND)
    }
    /// A topic was deleted: its offsets go.
    pub fn forget_topic(&mut self, topic: &str) {}
    pub fn tick(&mut self, now_ms: i64) {}
    pub fn next_deadline(&self) -> Option<i64> {
        None
    }
    /// To be appended to the journal before any answer is sent.
    pub fn changed(&mut self) -> Vec<JournalEntry> {
        std::mem::take(&mut self.changes)
    }
}
