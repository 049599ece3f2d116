//! One member of a group and what the group waits for from it.

use bytes::Bytes;

use super::{JoinRequest, JoinedMember, MemberDescription, Ticket};
use crate::journal::MemberRecord;

/// A new member's first join may wait this long for the others, whatever its session time-out.
const NEW_MEMBER_JOIN_MS: i64 = 300_000;

#[derive(Debug)]
pub(super) struct Member {
    /// The durable part.
    pub(super) record: MemberRecord,
    /// The join that waits for the generation.
    pub(super) joining: Option<Ticket>,
    /// The sync that waits for the leader.
    pub(super) syncing: Option<Ticket>,
    /// Has it asked for its assignment in this generation?
    pub(super) synced: bool,
    /// It has not been part of a generation yet.
    pub(super) is_new: bool,
    /// When its silence ends its membership.
    pub(super) deadline_ms: i64,
}

impl Member {
    pub(super) fn new(id: String, request: JoinRequest, ticket: Ticket, now_ms: i64) -> Member {
        let record = MemberRecord {
            member: id,
            instance: request.instance,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: request.protocols,
            assignment: Bytes::new(),
        };
        let deadline_ms = now_ms.saturating_add(NEW_MEMBER_JOIN_MS);
        Member { record, joining: Some(ticket), syncing: None, synced: false, is_new: true, deadline_ms }
    }

    pub(super) fn restored(record: MemberRecord, now_ms: i64) -> Member {
        let mut member = Member { record, joining: None, syncing: None, synced: true, is_new: false, deadline_ms: 0 };
        member.beat(now_ms);
        member
    }

    /// The member was heard of.
    pub(super) fn beat(&mut self, now_ms: i64) {
        self.deadline_ms = now_ms.saturating_add(i64::from(self.record.session_timeout_ms));
    }

    /// When it is removed unless it is heard of. One that waits for the coordinator is alive.
    pub(super) fn expires_ms(&self) -> Option<i64> {
        let waits = !self.is_new && (self.joining.is_some() || self.syncing.is_some());
        (!waits).then_some(self.deadline_ms)
    }

    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.record.protocols.iter().find(|(name, _)| name == protocol);
        found.map_or_else(Bytes::new, |(_, metadata)| metadata.clone())
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.record.protocols.iter().any(|(name, _)| name == protocol)
    }

    pub(super) fn as_joined(&self, protocol: &str) -> JoinedMember {
        JoinedMember {
            member: self.record.member.clone(),
            instance: self.record.instance.clone(),
            metadata: self.metadata(protocol),
        }
    }

    /// `protocol` only when the group is stable.
    pub(super) fn describe(&self, protocol: Option<&str>) -> MemberDescription {
        MemberDescription {
            member: self.record.member.clone(),
            instance: self.record.instance.clone(),
            client_id: self.record.client_id.clone(),
            client_host: self.record.client_host.clone(),
            metadata: protocol.map_or_else(Bytes::new, |p| self.metadata(p)),
            assignment: protocol.map_or_else(Bytes::new, |_| self.record.assignment.clone()),
        }
    }
}
