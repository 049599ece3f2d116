//! One group: its members, its generation and who waits for what. The requests are in `requests`, the rebalance in
//! `rebalance`; this file has what both read and the checks.
//!
//! Invariants: `statics` names exactly the members with an instance; `leader` is a member iff there are members; a
//! ticket sits in at most one member; a member's ticket is answered before the member or the ticket is replaced.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::member::Member;
use super::offsets::Offsets;
use super::{Answer, GroupConfig, GroupDescription, GroupState, Joined, MemberRef, Synced, Ticket, subscription};
use crate::errors;
use crate::journal::{GroupRecord, JournalEntry};

/// The protocol type whose metadata names topics.
pub(super) const CONSUMER: &str = "consumer";

/// One call into the coordinator: the time it happens at and what it leads to.
pub(super) struct Turn<'a> {
    pub(super) config: &'a GroupConfig,
    pub(super) now_ms: i64,
    pub(super) answers: Vec<(Ticket, Answer)>,
    pub(super) changes: Vec<JournalEntry>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(config: &'a GroupConfig, now_ms: i64) -> Turn<'a> {
        Turn { config, now_ms, answers: Vec::new(), changes: Vec::new() }
    }

    pub(super) fn refuse_join(&mut self, ticket: Ticket, error: i16, member: &str) {
        let joined = Joined {
            error,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skip_assignment: false,
            member: member.to_owned(),
            members: Vec::new(),
        };
        self.answers.push((ticket, Answer::Joined(joined)));
    }

    pub(super) fn refuse_sync(&mut self, ticket: Ticket, error: i16) {
        let synced = Synced { error, protocol_type: None, protocol: None, assignment: Bytes::new() };
        self.answers.push((ticket, Answer::Synced(synced)));
    }
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) state: GroupState,
    pub(super) state_ms: i64,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Instance to member id.
    pub(super) statics: BTreeMap<String, String>,
    /// Member ids that were given out and have not joined yet, with their deadline.
    pub(super) promised: BTreeMap<String, i64>,
    /// In PreparingRebalance when joining ends, afterwards when those that did not sync are removed.
    pub(super) rebalance_deadline_ms: Option<i64>,
    /// A new group's first rebalance waits for more members, at most until then.
    pub(super) initial_until_ms: Option<i64>,
    /// Since the initial delay was last extended a member came.
    pub(super) initial_grew: bool,
    pub(super) offsets: Offsets,
}

impl Group {
    pub(super) fn new(id: &str, now_ms: i64) -> Group {
        Group {
            id: id.to_owned(),
            state: GroupState::Empty,
            state_ms: now_ms,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            promised: BTreeMap::new(),
            rebalance_deadline_ms: None,
            initial_until_ms: None,
            initial_grew: false,
            offsets: Offsets::default(),
        }
    }

    /// A group as the journal knows it: stable or empty. Every member has a whole session time-out to be heard of.
    pub(super) fn restored(id: &str, record: Option<GroupRecord>, offsets: Offsets, now_ms: i64) -> Group {
        let mut group = Group { offsets, ..Group::new(id, now_ms) };
        let Some(record) = record else { return group };
        group.state = if record.members.is_empty() { GroupState::Empty } else { GroupState::Stable };
        group.state_ms = record.state_ms;
        group.generation = record.generation;
        group.protocol_type = record.protocol_type;
        group.protocol = record.protocol;
        group.leader = record.leader;
        for member in record.members {
            if let Some(instance) = &member.instance {
                group.statics.insert(instance.clone(), member.member.clone());
            }
            group.members.insert(member.member.clone(), Member::restored(member, now_ms));
        }
        group
    }

    /// What the journal has to know of a stable or empty group.
    pub(super) fn record(&self) -> GroupRecord {
        GroupRecord {
            group: self.id.clone(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            state_ms: self.state_ms,
            members: self.members.values().map(|m| m.record.clone()).collect(),
        }
    }

    pub(super) fn persist(&self, turn: &mut Turn<'_>) {
        turn.changes.push(JournalEntry::Group(self.record()));
    }

    /// Nothing would be lost by forgetting it.
    pub(super) fn is_blank(&self) -> bool {
        self.generation == 0 && self.members.is_empty() && self.promised.is_empty() && self.offsets.is_empty()
    }

    /// A member must exist, and a static one must still be the holder of its instance.
    pub(super) fn check_member(&self, member: &str, instance: Option<&str>) -> Result<(), i16> {
        if let Some(instance) = instance {
            match self.statics.get(instance) {
                None => return Err(errors::UNKNOWN_MEMBER_ID),
                Some(holder) if holder != member => return Err(errors::FENCED_INSTANCE_ID),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(errors::UNKNOWN_MEMBER_ID) }
    }

    pub(super) fn check_generation(&self, generation: i32) -> Result<(), i16> {
        if generation == self.generation { Ok(()) } else { Err(errors::ILLEGAL_GENERATION) }
    }

    /// May this one commit offsets now?
    pub(super) fn check_commit(&self, who: &MemberRef, transactional: bool) -> Result<(), i16> {
        if who.generation < 0 && self.state == GroupState::Empty {
            return Ok(());
        }
        if who.generation >= 0 || !who.member.is_empty() || who.instance.is_some() {
            self.check_member(&who.member, who.instance.as_deref())?;
            self.check_generation(who.generation)?;
        } else if !transactional {
            return Err(errors::UNKNOWN_MEMBER_ID);
        }
        if !transactional && self.state == GroupState::CompletingRebalance {
            return Err(errors::REBALANCE_IN_PROGRESS);
        }
        Ok(())
    }

    /// Would a member with these protocols leave the group one that all support?
    pub(super) fn accepts(&self, protocol_type: &str, protocols: &[(String, Bytes)]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| self.members.values().all(|m| m.supports(name)))
    }

    /// The protocol most members prefer among those that all support; between equals the leader's order decides.
    pub(super) fn elect_protocol(&self) -> Option<String> {
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id))?;
        let mut shared: Vec<String> = leader.record.protocols.iter().map(|p| p.0.clone()).collect();
        shared.retain(|name| self.members.values().all(|m| m.supports(name)));
        let mut votes = vec![0_usize; shared.len()];
        for member in self.members.values() {
            let mut preferred = member.record.protocols.iter();
            let choice = preferred.find_map(|(name, _)| shared.iter().position(|s| s == name));
            choice.into_iter().for_each(|at| votes[at] += 1);
        }
        let most = votes.iter().copied().max()?;
        shared.into_iter().zip(votes).find(|(_, count)| *count == most).map(|(name, _)| name)
    }

    /// Is the topic read by a member? `None` when the members' metadata does not tell.
    pub(super) fn subscribes(&self, topic: &str) -> Option<bool> {
        if self.protocol_type.as_deref() != Some(CONSUMER) {
            return None;
        }
        let mut found = false;
        for member in self.members.values() {
            let preferred = member.record.protocols.first().map(|p| p.0.as_str());
            let metadata = member.metadata(self.protocol.as_deref().or(preferred)?);
            found |= subscription::topics(&metadata)?.contains(&topic);
        }
        Some(found)
    }

    pub(super) fn describe(&self) -> GroupDescription {
        let protocol = self.protocol.as_deref().filter(|_| self.state == GroupState::Stable);
        GroupDescription {
            state: self.state,
            generation: self.generation,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default().to_owned(),
            leader: self.leader.clone(),
            members: self.members.values().map(|m| m.describe(protocol)).collect(),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<i64> {
        let members = self.members.values().filter_map(Member::expires_ms);
        members.chain(self.promised.values().copied()).chain(self.rebalance_deadline_ms).min()
    }

    pub(super) fn answer_joined(&self, ticket: Ticket, member: &str, turn: &mut Turn<'_>) {
        let leads = self.leader.as_deref() == Some(member);
        let joined = Joined {
            error: errors::NONE,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member: member.to_owned(),
            members: if leads { self.joined_members() } else { Vec::new() },
        };
        turn.answers.push((ticket, Answer::Joined(joined)));
    }

    pub(super) fn joined_members(&self) -> Vec<super::JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        self.members.values().map(|m| m.as_joined(protocol)).collect()
    }

    pub(super) fn answer_synced(&self, ticket: Ticket, assignment: Bytes, turn: &mut Turn<'_>) {
        let synced = Synced {
            error: errors::NONE,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment,
        };
        turn.answers.push((ticket, Answer::Synced(synced)));
    }
}
