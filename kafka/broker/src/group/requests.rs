//! What members ask of their group: join, sync, heartbeat, leave. Which error answers what in which state is Kafka's.

use super::state::{Group, Turn};
use super::{Answer, GroupState, JoinRequest, Joined, Leaving, MemberRef, SyncRequest, Ticket};
use crate::errors;

/// From this version of JoinGroup on a new dynamic member is given an id first and joins with it.
const VERSION_ID_FIRST: i16 = 4;
/// From this version on a restarted static leader can be told not to assign again.
const VERSION_SKIP_ASSIGNMENT: i16 = 9;

impl Group {
    /// `fresh` is a member id nobody has, used if this is a new member.
    pub(super) fn join(&mut self, request: JoinRequest, fresh: String, ticket: Ticket, turn: &mut Turn<'_>) {
        if !self.has_room(&request, turn.config.members_max) {
            return turn.refuse_join(ticket, errors::GROUP_MAX_SIZE_REACHED, &request.member);
        }
        if !self.accepts(&request.protocol_type, &request.protocols) {
            return turn.refuse_join(ticket, errors::INCONSISTENT_GROUP_PROTOCOL, &request.member);
        }
        if !request.member.is_empty() {
            return self.join_known(request, ticket, turn);
        }
        let holder = request.instance.as_ref().and_then(|i| self.statics.get(i)).cloned();
        if let Some(holder) = holder {
            self.replace_static(&holder, fresh, request, ticket, turn);
        } else if request.instance.is_none() && request.version >= VERSION_ID_FIRST {
            if self.promised.len() >= turn.config.members_max {
                return turn.refuse_join(ticket, errors::GROUP_MAX_SIZE_REACHED, "");
            }
            let deadline_ms = turn.now_ms.saturating_add(i64::from(request.session_timeout_ms));
            turn.refuse_join(ticket, errors::MEMBER_ID_REQUIRED, &fresh);
            self.promised.insert(fresh, deadline_ms);
        } else {
            self.add_member(fresh, request, ticket, turn);
        }
    }

    fn has_room(&self, request: &JoinRequest, members_max: usize) -> bool {
        let known = self.members.get(&request.member);
        let returns = request.instance.as_ref().is_some_and(|i| self.statics.contains_key(i));
        match self.state {
            GroupState::Empty | GroupState::Dead => true,
            _ if returns => true,
            GroupState::PreparingRebalance => {
                known.is_some_and(|m| m.joining.is_some())
                    || self.members.values().filter(|m| m.joining.is_some()).count() < members_max
            }
            _ => known.is_some() || self.members.len() < members_max,
        }
    }

    fn join_known(&mut self, request: JoinRequest, ticket: Ticket, turn: &mut Turn<'_>) {
        let id = request.member.clone();
        if request.instance.is_none() && self.promised.remove(&id).is_some() {
            return self.add_member(id, request, ticket, turn);
        }
        if let Err(error) = self.check_member(&id, request.instance.as_deref()) {
            return turn.refuse_join(ticket, error, &id);
        }
        let same = self.members.get(&id).is_some_and(|m| m.record.protocols == request.protocols);
        let leads = self.leader.as_deref() == Some(id.as_str());
        match self.state {
            // It lost the answer to its join, or asks without need: tell it again.
            GroupState::CompletingRebalance if same => self.answer_joined(ticket, &id, turn),
            GroupState::Stable if same && !leads => self.answer_joined(ticket, &id, turn),
            GroupState::Empty | GroupState::Dead => turn.refuse_join(ticket, errors::UNKNOWN_MEMBER_ID, &id),
            _ => {
                self.update_member(&id, request, ticket, turn);
                self.rebalance(turn);
            }
        }
    }

    /// A static member came back under a new id: the old holder is fenced, its assignment passes on. In a stable group
    /// that would choose the same protocol again nothing else happens.
    fn replace_static(&mut self, old: &str, fresh: String, request: JoinRequest, ticket: Ticket, turn: &mut Turn<'_>) {
        let Some(mut member) = self.members.remove(old) else { return };
        if let Some(older) = member.joining.take() {
            turn.refuse_join(older, errors::FENCED_INSTANCE_ID, old);
        }
        if let Some(older) = member.syncing.take() {
            turn.refuse_sync(older, errors::FENCED_INSTANCE_ID);
        }
        let leads = self.leader.as_deref() == Some(old);
        if leads {
            self.leader = Some(fresh.clone());
        }
        member.record.member.clone_from(&fresh);
        self.statics.extend(member.record.instance.clone().map(|instance| (instance, fresh.clone())));
        self.members.insert(fresh.clone(), member);
        let version = request.version;
        self.update_member(&fresh, request, ticket, turn);
        if self.state != GroupState::Stable || self.elect_protocol() != self.protocol {
            return self.rebalance(turn);
        }
        self.persist(turn);
        if let Some(member) = self.members.get_mut(&fresh) {
            member.joining = None;
        }
        // A leader of an older version would assign again if it saw itself as leader: it is shown its former id.
        let skip_assignment = leads && version >= VERSION_SKIP_ASSIGNMENT;
        let leader = if leads && !skip_assignment { Some(old.to_owned()) } else { self.leader.clone() };
        let joined = Joined {
            error: errors::NONE,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: leader.unwrap_or_default(),
            skip_assignment,
            member: fresh,
            members: if skip_assignment { self.joined_members() } else { Vec::new() },
        };
        turn.answers.push((ticket, Answer::Joined(joined)));
    }

    pub(super) fn sync(&mut self, request: SyncRequest, ticket: Ticket, turn: &mut Turn<'_>) {
        if let Err(error) = self.check_sync(&request) {
            return turn.refuse_sync(ticket, error);
        }
        let id = request.who.member;
        let leads = self.leader.as_deref() == Some(id.as_str());
        let Some(member) = self.members.get_mut(&id) else {
            return turn.refuse_sync(ticket, errors::UNKNOWN_MEMBER_ID);
        };
        member.synced = true;
        member.beat(turn.now_ms);
        if self.state == GroupState::Stable {
            let assignment = member.record.assignment.clone();
            self.answer_synced(ticket, assignment, turn);
            return self.stop_waiting_for_syncs();
        }
        if let Some(older) = member.syncing.replace(ticket) {
            turn.refuse_sync(older, errors::REBALANCE_IN_PROGRESS);
        }
        if leads {
            self.assign(request.assignments, turn);
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), i16> {
        self.check_member(&request.who.member, request.who.instance.as_deref())?;
        self.check_generation(request.who.generation)?;
        let other = |asked: &Option<String>, own: &Option<String>| asked.is_some() && asked != own;
        if other(&request.protocol_type, &self.protocol_type) || other(&request.protocol, &self.protocol) {
            return Err(errors::INCONSISTENT_GROUP_PROTOCOL);
        }
        match self.state {
            GroupState::Empty | GroupState::Dead => Err(errors::UNKNOWN_MEMBER_ID),
            GroupState::PreparingRebalance => Err(errors::REBALANCE_IN_PROGRESS),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    pub(super) fn heartbeat(&mut self, who: &MemberRef, turn: &Turn<'_>) -> Result<(), i16> {
        self.check_member(&who.member, who.instance.as_deref())?;
        self.check_generation(who.generation)?;
        if let Some(member) = self.members.get_mut(&who.member) {
            member.beat(turn.now_ms);
        }
        match self.state {
            GroupState::Empty | GroupState::Dead => Err(errors::UNKNOWN_MEMBER_ID),
            GroupState::PreparingRebalance => Err(errors::REBALANCE_IN_PROGRESS),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    /// One error per member; the group rebalances once for all.
    pub(super) fn leave(&mut self, members: &[Leaving], turn: &mut Turn<'_>) -> Vec<i16> {
        let (mut left, mut gave_up) = (false, false);
        let mut errors = Vec::with_capacity(members.len());
        for leaving in members {
            if self.promised.remove(&leaving.member).is_some() {
                gave_up = true;
                errors.push(errors::NONE);
                continue;
            }
            let instance = leaving.instance.as_deref();
            let by_instance = instance.filter(|_| leaving.member.is_empty()).and_then(|i| self.statics.get(i)).cloned();
            let id = by_instance.unwrap_or_else(|| leaving.member.clone());
            let known = self.check_member(&id, instance);
            errors.push(known.err().unwrap_or(errors::NONE));
            if known.is_ok() {
                self.remove_member(&id, turn);
                left = true;
            }
        }
        if left {
            self.rebalance(turn);
        } else if gave_up {
            self.complete_if_all_joined(turn);
        }
        errors
    }
}
