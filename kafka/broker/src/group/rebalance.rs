//! The life of a generation: members gather (PreparingRebalance), are told who leads (CompletingRebalance), and get what
//! the leader assigned (Stable). Also what time does to it: sessions and rebalances run out.

use super::member::Member;
use super::state::{Group, Turn};
use super::{GroupState, JoinRequest, Ticket};
use crate::errors;

impl Group {
    pub(super) fn enter(&mut self, state: GroupState, now_ms: i64) {
        self.state = state;
        self.state_ms = now_ms;
    }

    /// The longest any member asks to be waited for; never no time at all, so that a deadline lies ahead.
    fn rebalance_timeout_ms(&self) -> i64 {
        i64::from(self.members.values().map(|m| m.record.rebalance_timeout_ms).max().unwrap_or(0)).max(1)
    }

    pub(super) fn add_member(&mut self, id: String, request: JoinRequest, ticket: Ticket, turn: &mut Turn<'_>) {
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        if let Some(instance) = &request.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.initial_grew = true;
        self.members.insert(id.clone(), Member::new(id, request, ticket, turn.now_ms));
        self.rebalance(turn);
    }

    /// The member asks to join again, perhaps with other protocols. An earlier join of it that still waits is told so.
    pub(super) fn update_member(&mut self, id: &str, request: JoinRequest, ticket: Ticket, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.record.protocols = request.protocols;
        member.record.session_timeout_ms = request.session_timeout_ms;
        member.record.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.record.client_id = request.client_id;
        member.record.client_host = request.client_host;
        if !member.is_new {
            member.beat(turn.now_ms);
        }
        if let Some(older) = member.joining.replace(ticket) {
            turn.refuse_join(older, errors::REBALANCE_IN_PROGRESS, id);
        }
    }

    /// Removes a member whose tickets, if any, end with `error`. The caller goes on with [`Group::rebalance`].
    pub(super) fn remove_member(&mut self, id: &str, turn: &mut Turn<'_>) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(instance) = &member.record.instance {
            self.statics.remove(instance);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
        if let Some(ticket) = member.joining {
            turn.refuse_join(ticket, errors::UNKNOWN_MEMBER_ID, id);
        }
        if let Some(ticket) = member.syncing {
            turn.refuse_sync(ticket, errors::UNKNOWN_MEMBER_ID);
        }
    }

    /// Membership changed: begin to gather, or see whether all are here.
    pub(super) fn rebalance(&mut self, turn: &mut Turn<'_>) {
        if self.state != GroupState::PreparingRebalance {
            self.begin(turn);
        }
        self.complete_if_all_joined(turn);
    }

    fn begin(&mut self, turn: &mut Turn<'_>) {
        let first = self.state == GroupState::Empty;
        if self.state == GroupState::CompletingRebalance {
            for member in self.members.values_mut() {
                member.record.assignment.clear();
                if let Some(ticket) = member.syncing.take() {
                    member.beat(turn.now_ms);
                    turn.refuse_sync(ticket, errors::REBALANCE_IN_PROGRESS);
                }
            }
        }
        self.enter(GroupState::PreparingRebalance, turn.now_ms);
        let timeout_ms = self.rebalance_timeout_ms();
        let delay_ms = i64::from(turn.config.initial_rebalance_delay_ms);
        if first && delay_ms > 0 {
            self.initial_until_ms = Some(turn.now_ms.saturating_add(timeout_ms));
            self.initial_grew = false;
            self.rebalance_deadline_ms = Some(turn.now_ms.saturating_add(delay_ms.min(timeout_ms)));
        } else {
            self.rebalance_deadline_ms = Some(turn.now_ms.saturating_add(timeout_ms));
        }
    }

    pub(super) fn complete_if_all_joined(&mut self, turn: &mut Turn<'_>) {
        let gathering = self.state == GroupState::PreparingRebalance && self.initial_until_ms.is_none();
        if gathering && self.promised.is_empty() && self.members.values().all(|m| m.joining.is_some()) {
            self.complete_join(turn);
        }
    }

    /// Gathering ends: a new generation of those that joined and of the static members that may still come back.
    fn complete_join(&mut self, turn: &mut Turn<'_>) {
        self.initial_until_ms = None;
        let missing = self.members.values().filter(|m| m.joining.is_none() && m.record.instance.is_none());
        let missing: Vec<String> = missing.map(|m| m.record.member.clone()).collect();
        for id in missing {
            self.remove_member(&id, turn);
        }
        if !self.members.is_empty() && !self.elect_leader() {
            // Only silent static members are left; their sessions end the wait.
            self.rebalance_deadline_ms = Some(turn.now_ms.saturating_add(self.rebalance_timeout_ms()));
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.elect_protocol();
        if self.members.is_empty() {
            self.rebalance_deadline_ms = None;
            self.enter(GroupState::Empty, turn.now_ms);
            self.persist(turn);
            return;
        }
        self.enter(GroupState::CompletingRebalance, turn.now_ms);
        self.rebalance_deadline_ms = Some(turn.now_ms.saturating_add(self.rebalance_timeout_ms()));
        let mut waiting = Vec::new();
        for member in self.members.values_mut() {
            member.is_new = false;
            member.synced = false;
            member.beat(turn.now_ms);
            waiting.extend(member.joining.take().map(|ticket| (ticket, member.record.member.clone())));
        }
        for (ticket, id) in waiting {
            self.answer_joined(ticket, &id, turn);
        }
    }

    /// Keeps the leader if it joined, else takes one that did. False if none did.
    fn elect_leader(&mut self) -> bool {
        let joined = |m: &&Member| m.joining.is_some();
        if self.leader.as_ref().and_then(|id| self.members.get(id)).filter(joined).is_some() {
            return true;
        }
        let Some(other) = self.members.values().find(joined) else { return false };
        self.leader = Some(other.record.member.clone());
        true
    }

    /// The leader's word: everyone that waits gets its assignment.
    pub(super) fn assign(&mut self, assignments: Vec<(String, bytes::Bytes)>, turn: &mut Turn<'_>) {
        for member in self.members.values_mut() {
            member.record.assignment.clear();
        }
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                member.record.assignment = assignment;
            }
        }
        self.enter(GroupState::Stable, turn.now_ms);
        self.persist(turn);
        let mut waiting = Vec::new();
        for member in self.members.values_mut() {
            if let Some(ticket) = member.syncing.take() {
                member.beat(turn.now_ms);
                waiting.push((ticket, member.record.assignment.clone()));
            }
        }
        for (ticket, assignment) in waiting {
            self.answer_synced(ticket, assignment, turn);
        }
        self.stop_waiting_for_syncs();
    }

    pub(super) fn stop_waiting_for_syncs(&mut self) {
        if self.state == GroupState::Stable && self.members.values().all(|m| m.synced) {
            self.rebalance_deadline_ms = None;
        }
    }

    /// What ran out by now.
    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
        let promised = self.promised.len();
        self.promised.retain(|_, deadline_ms| *deadline_ms > turn.now_ms);
        if self.promised.len() < promised {
            self.complete_if_all_joined(turn);
        }
        let silent = self.members.values().filter(|m| m.expires_ms().is_some_and(|at| at <= turn.now_ms));
        let silent: Vec<String> = silent.map(|m| m.record.member.clone()).collect();
        for id in &silent {
            self.remove_member(id, turn);
        }
        if !silent.is_empty() {
            self.rebalance(turn);
        }
        if self.rebalance_deadline_ms.is_some_and(|at| at <= turn.now_ms) {
            self.rebalance_ran_out(turn);
        }
    }

    fn rebalance_ran_out(&mut self, turn: &mut Turn<'_>) {
        self.rebalance_deadline_ms = None;
        if self.state == GroupState::PreparingRebalance {
            let until_ms = self.initial_until_ms.filter(|until| self.initial_grew && *until > turn.now_ms);
            if let Some(until_ms) = until_ms {
                self.initial_grew = false;
                let delay_ms = i64::from(turn.config.initial_rebalance_delay_ms);
                self.rebalance_deadline_ms = Some(until_ms.min(turn.now_ms.saturating_add(delay_ms)));
            } else {
                self.complete_join(turn);
            }
            return;
        }
        let unsynced = self.members.values().filter(|m| !m.synced).map(|m| m.record.member.clone());
        let unsynced: Vec<String> = unsynced.collect();
        for id in &unsynced {
            self.remove_member(id, turn);
        }
        if !unsynced.is_empty() {
            self.rebalance(turn);
        }
    }
}
