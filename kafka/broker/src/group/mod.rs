//! The group coordinator, Kafka's classic protocol: who is a member, who leads, what was assigned and what was committed.
//!
//! A pure state machine under one lock of the server: time comes in with every call, nothing waits. A join or sync gets a
//! [`Ticket`]; the answer can be taken once it is there, at once or after another call. What must survive a crash comes
//! out of [`Groups::changed`] in order; the server appends it to the journal before it sends any answer, so an answer is
//! never forgotten. [`Groups::restore`] rebuilds from the journal what was stable or empty.
//!
//! Cost: calls look one group up; `tick` walks all groups and members, so the server asks `next_deadline` first.

mod member;
mod offsets;
mod rebalance;
mod requests;
mod state;
mod subscription;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod tests_random;
mod types;

use std::collections::BTreeMap;

pub(crate) use offsets::Offsets;
pub use types::*;

use crate::errors;
use crate::journal::{Image, JournalEntry};
use state::{CONSUMER, Group, Turn};

/// All groups of the broker.
#[derive(Debug, Default)]
pub struct Groups {
    config: GroupConfig,
    groups: BTreeMap<String, Group>,
    /// `None` while the answer is not there.
    tickets: BTreeMap<Ticket, Option<Answer>>,
    last_ticket: u64,
    last_member: u64,
    /// When offsets are next looked through for old ones.
    next_check_ms: Option<i64>,
    changes: Vec<JournalEntry>,
}

impl Groups {
    /// No groups.
    pub fn new(config: GroupConfig) -> Groups {
        Groups { config, ..Groups::default() }
    }

    /// The groups as the journal's entries tell; members have a whole session time-out from now to be heard of.
    pub fn restore(config: GroupConfig, entries: &[JournalEntry], now_ms: i64) -> Groups {
        let mut groups = Groups::new(config);
        for (id, image) in Image::of(entries).groups {
            groups.groups.insert(id.clone(), Group::restored(&id, image.record, image.offsets, now_ms));
        }
        groups
    }

    /// JoinGroup.
    pub fn join(&mut self, request: JoinRequest, now_ms: i64) -> Ticket {
        let ticket = self.ticket();
        let known = self.groups.contains_key(&request.group);
        let session_ok =
            (self.config.session_min_ms..=self.config.session_max_ms).contains(&request.session_timeout_ms);
        let error = match () {
            () if request.group.is_empty() => errors::INVALID_GROUP_ID,
            () if !session_ok => errors::INVALID_SESSION_TIMEOUT,
            () if !known && !request.member.is_empty() => errors::UNKNOWN_MEMBER_ID,
            () => errors::NONE,
        };
        let fresh = self.fresh_member_id(&request, now_ms);
        let mut turn = Turn::new(&self.config, now_ms);
        if error == errors::NONE {
            let id = request.group.clone();
            let group = self.groups.entry(id.clone()).or_insert_with(|| Group::new(&id, now_ms));
            group.join(request, fresh, ticket, &mut turn);
            if group.is_blank() {
                self.groups.remove(&id);
            }
        } else {
            turn.refuse_join(ticket, error, &request.member);
        }
        let Turn { answers, changes, .. } = turn;
        self.settle(answers, changes);
        ticket
    }

    /// SyncGroup.
    pub fn sync(&mut self, request: SyncRequest, now_ms: i64) -> Ticket {
        let ticket = self.ticket();
        let mut turn = Turn::new(&self.config, now_ms);
        match self.groups.get_mut(&request.who.group) {
            _ if request.who.group.is_empty() => turn.refuse_sync(ticket, errors::INVALID_GROUP_ID),
            None => turn.refuse_sync(ticket, errors::UNKNOWN_MEMBER_ID),
            Some(group) => group.sync(request, ticket, &mut turn),
        }
        let Turn { answers, changes, .. } = turn;
        self.settle(answers, changes);
        ticket
    }

    /// The answer, once it is there; the ticket is spent then.
    pub fn take(&mut self, ticket: Ticket) -> Option<Answer> {
        let answer = self.tickets.get_mut(&ticket)?.take()?;
        self.tickets.remove(&ticket);
        Some(answer)
    }

    /// Nobody waits for this answer any more (the connection closed). The member stays until its session ends.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.tickets.remove(&ticket);
    }

    /// Heartbeat; Kafka's code.
    pub fn heartbeat(&mut self, who: &MemberRef, now_ms: i64) -> i16 {
        if who.group.is_empty() {
            return errors::INVALID_GROUP_ID;
        }
        let turn = Turn::new(&self.config, now_ms);
        let Some(group) = self.groups.get_mut(&who.group) else { return errors::UNKNOWN_MEMBER_ID };
        group.heartbeat(who, &turn).err().unwrap_or(errors::NONE)
    }

    /// LeaveGroup: one error per member, in order; versions 0-2 put the only one on top.
    pub fn leave(&mut self, group: &str, members: &[Leaving], now_ms: i64) -> Result<Vec<i16>, i16> {
        if group.is_empty() {
            return Err(errors::INVALID_GROUP_ID);
        }
        let mut turn = Turn::new(&self.config, now_ms);
        let result = match self.groups.get_mut(group) {
            None => vec![errors::UNKNOWN_MEMBER_ID; members.len()],
            Some(found) => found.leave(members, &mut turn),
        };
        let Turn { answers, changes, .. } = turn;
        self.settle(answers, changes);
        Ok(result)
    }

    /// OffsetCommit: one error per offset, in order.
    pub fn commit(&mut self, who: &MemberRef, offsets: Vec<OffsetCommit>, now_ms: i64) -> Vec<i16> {
        self.commit_as(None, who, offsets, now_ms)
    }

    /// TxnOffsetCommit: one error per offset, in order. Ask `Transactions::check_group` first.
    pub fn commit_txn_offsets(
        &mut self,
        producer_id: i64,
        who: &MemberRef,
        offsets: Vec<OffsetCommit>,
        now_ms: i64,
    ) -> Vec<i16> {
        self.commit_as(Some(producer_id), who, offsets, now_ms)
    }

    fn commit_as(
        &mut self,
        producer_id: Option<i64>,
        who: &MemberRef,
        offsets: Vec<OffsetCommit>,
        now_ms: i64,
    ) -> Vec<i16> {
        if let Err(error) = self.check_commit(who, producer_id.is_some()) {
            return vec![error; offsets.len()];
        }
        let fits = |c: &OffsetCommit| c.metadata.len() <= self.config.metadata_bytes_max;
        let codes = offsets.iter().map(|c| if fits(c) { errors::NONE } else { errors::OFFSET_METADATA_TOO_LARGE });
        let codes = codes.collect();
        let offsets: Vec<OffsetCommit> = offsets.into_iter().filter(fits).collect();
        if let Some(group) = self.groups.get_mut(&who.group)
            && let Some(member) = group.members.get_mut(&who.member)
        {
            member.beat(now_ms);
        }
        if offsets.is_empty() {
            return codes;
        }
        let id = &who.group;
        let group = self.groups.entry(id.clone()).or_insert_with(|| Group::new(id, now_ms));
        let (group, commit_ms) = (&mut group.offsets, now_ms);
        self.changes.push(if let Some(producer_id) = producer_id {
            group.commit_pending(producer_id, commit_ms, &offsets);
            JournalEntry::PendingOffsets { group: id.clone(), producer_id, commit_ms, offsets }
        } else {
            group.commit(commit_ms, &offsets);
            JournalEntry::Offsets { group: id.clone(), commit_ms, offsets }
        });
        codes
    }

    fn check_commit(&self, who: &MemberRef, transactional: bool) -> Result<(), i16> {
        match self.groups.get(&who.group) {
            // Old simple consumers commit for the group without a name.
            _ if transactional && who.group.is_empty() => Err(errors::INVALID_GROUP_ID),
            Some(group) => group.check_commit(who, transactional),
            None if who.generation < 0 => Ok(()),
            None => Err(errors::ILLEGAL_GENERATION),
        }
    }

    /// A transaction was decided: its offsets of the group count, or are forgotten. Twice is once.
    pub fn end_txn_offsets(&mut self, group: &str, producer_id: i64, commit: bool) {
        let Some(found) = self.groups.get_mut(group).filter(|g| g.offsets.has_pending(producer_id)) else { return };
        found.offsets.end_pending(producer_id, commit);
        self.changes.push(JournalEntry::PendingEnded { group: group.to_owned(), producer_id, commit });
    }

    /// OffsetFetch; `None`: all committed offsets of the group. An unknown group has none.
    pub fn fetch_offsets(
        &self,
        group: &str,
        partitions: Option<&[(String, i32)]>,
        require_stable: bool,
    ) -> Vec<FetchedOffset> {
        match self.groups.get(group) {
            Some(group) => group.offsets.fetch(partitions, require_stable),
            None => Offsets::default().fetch(partitions, require_stable),
        }
    }

    /// DescribeGroups; `None` for an unknown group: before version 6 of the request that is a `Dead` group without error,
    /// from then on GROUP_ID_NOT_FOUND.
    pub fn describe(&self, group: &str) -> Option<GroupDescription> {
        self.groups.get(group).map(Group::describe)
    }

    /// ListGroups.
    pub fn list(&self) -> Vec<ListedGroup> {
        let line = |g: &Group| ListedGroup {
            group: g.id.clone(),
            protocol_type: g.protocol_type.clone().unwrap_or_default(),
            state: g.state,
        };
        self.groups.values().map(line).collect()
    }

    /// DeleteGroups, one of them.
    pub fn delete_group(&mut self, group: &str) -> i16 {
        match self.groups.get(group) {
            None => errors::GROUP_ID_NOT_FOUND,
            Some(found) if found.state != GroupState::Empty => errors::NON_EMPTY_GROUP,
            Some(_) => {
                self.groups.remove(group);
                self.changes.push(JournalEntry::GroupDeleted(group.to_owned()));
                errors::NONE
            }
        }
    }

    /// OffsetDelete: one error per partition, in order.
    pub fn delete_offsets(&mut self, group: &str, partitions: &[(String, i32)]) -> Result<Vec<i16>, i16> {
        if group.is_empty() {
            return Err(errors::INVALID_GROUP_ID);
        }
        let found = self.groups.get_mut(group).ok_or(errors::GROUP_ID_NOT_FOUND)?;
        let empty = found.state == GroupState::Empty;
        if !empty && found.protocol_type.as_deref() != Some(CONSUMER) {
            return Err(errors::NON_EMPTY_GROUP);
        }
        // Metadata that does not tell its topics might subscribe to any.
        let read = |topic: &str| !empty && found.subscribes(topic).unwrap_or(true);
        let code = |read: bool| if read { errors::GROUP_SUBSCRIBED_TO_TOPIC } else { errors::NONE };
        let codes: Vec<i16> = partitions.iter().map(|p| code(read(&p.0))).collect();
        let gone = partitions.iter().zip(&codes).filter(|(_, code)| **code == errors::NONE).map(|(p, _)| p.clone());
        let gone = gone.collect();
        Self::drop_offsets(found, gone, &mut self.changes);
        Ok(codes)
    }

    /// A topic was deleted: its committed offsets go.
    pub fn forget_topic(&mut self, topic: &str) {
        for group in self.groups.values_mut() {
            let gone = group.offsets.of_topic(topic);
            Self::drop_offsets(group, gone, &mut self.changes);
        }
    }

    fn drop_offsets(group: &mut Group, partitions: Vec<(String, i32)>, changes: &mut Vec<JournalEntry>) {
        if partitions.is_empty() {
            return;
        }
        group.offsets.remove(&partitions);
        changes.push(JournalEntry::OffsetsDeleted { group: group.id.clone(), partitions });
    }

    /// Lets sessions, rebalances and old offsets run out.
    pub fn tick(&mut self, now_ms: i64) {
        let mut turn = Turn::new(&self.config, now_ms);
        for group in self.groups.values_mut() {
            group.tick(&mut turn);
        }
        self.groups.retain(|_, group| !group.is_blank());
        let Turn { answers, changes, .. } = turn;
        self.settle(answers, changes);
        let check_ms = *self.next_check_ms.get_or_insert(now_ms.saturating_add(self.config.offsets_check_ms));
        if check_ms <= now_ms {
            self.next_check_ms = Some(now_ms.saturating_add(self.config.offsets_check_ms));
            self.expire_offsets(now_ms);
        }
    }

    /// Offsets of an empty group age from when it became empty, others from their commit; those of topics that members
    /// read do not age. A group that has nothing left goes.
    fn expire_offsets(&mut self, now_ms: i64) {
        let retention_ms = self.config.offsets_retention_ms;
        for group in self.groups.values_mut() {
            let empty = group.state == GroupState::Empty;
            let since_ms = if empty && group.protocol_type.is_some() { group.state_ms } else { i64::MIN };
            let kept = |topic: &str| !empty && group.subscribes(topic).unwrap_or(true);
            let gone = group.offsets.expired(now_ms, retention_ms, |commit_ms| commit_ms.max(since_ms), kept);
            Self::drop_offsets(group, gone, &mut self.changes);
        }
        let spent = |g: &Group| {
            let aged = now_ms.saturating_sub(g.state_ms) >= retention_ms;
            g.state == GroupState::Empty && g.promised.is_empty() && g.offsets.is_empty() && aged
        };
        let spent: Vec<String> = self.groups.values().filter(|g| spent(g)).map(|g| g.id.clone()).collect();
        for id in spent {
            self.groups.remove(&id);
            self.changes.push(JournalEntry::GroupDeleted(id));
        }
    }

    /// When `tick` has something to do next; perhaps a time gone by.
    pub fn next_deadline(&self) -> Option<i64> {
        if self.groups.is_empty() {
            return None;
        }
        // Before the first tick nobody knows the time.
        let check_ms = self.next_check_ms.unwrap_or(i64::MIN);
        self.groups.values().filter_map(Group::next_deadline).chain([check_ms]).min()
    }

    /// What must be made durable, in order, before any answer is sent.
    pub fn changed(&mut self) -> Vec<JournalEntry> {
        std::mem::take(&mut self.changes)
    }

    fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.tickets.insert(ticket, None);
        ticket
    }

    fn settle(&mut self, answers: Vec<(Ticket, Answer)>, changes: Vec<JournalEntry>) {
        for (ticket, answer) in answers {
            if let Some(place) = self.tickets.get_mut(&ticket) {
                *place = Some(answer);
            }
        }
        self.changes.extend(changes);
    }

    /// Time and a count make the id new even after a restart; the text before is for people.
    fn fresh_member_id(&mut self, request: &JoinRequest, now_ms: i64) -> String {
        let group = self.groups.get(&request.group);
        let name = request.instance.as_deref().unwrap_or(&request.client_id);
        loop {
            self.last_member += 1;
            let id = format!("{name}-{now_ms:x}-{:x}", self.last_member);
            if !group.is_some_and(|g| g.members.contains_key(&id) || g.promised.contains_key(&id)) {
                return id;
            }
        }
    }
}
