//! Stories of one group, told with explicit times. Session time-out 10 s, rebalance time-out 30 s unless said otherwise.

use bytes::Bytes;

use super::*;
use crate::errors::*;

const SESSION_MS: i64 = 10_000;
const REBALANCE_MS: i64 = 30_000;

fn request(version: i16, member: &str, instance: Option<&str>) -> JoinRequest {
    JoinRequest {
        version,
        group: "g".into(),
        member: member.into(),
        instance: instance.map(str::to_owned),
        client_id: "app".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: SESSION_MS as i32,
        rebalance_timeout_ms: REBALANCE_MS as i32,
        protocol_type: "consumer".into(),
        // Subscribes to topic "t".
        protocols: vec![("range".into(), Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t"))],
    }
}

fn who(member: &str, instance: Option<&str>, generation: i32) -> MemberRef {
    MemberRef { group: "g".into(), generation, member: member.into(), instance: instance.map(str::to_owned) }
}

fn offset(partition: i32, offset: i64) -> OffsetCommit {
    OffsetCommit { topic: "t".into(), partition, offset, leader_epoch: 3, metadata: format!("m{offset}") }
}

/// One group and the journal of what happened to it.
struct Story {
    groups: Groups,
    entries: Vec<JournalEntry>,
}

impl Story {
    fn new() -> Story {
        Story::with(GroupConfig::default())
    }

    fn with(config: GroupConfig) -> Story {
        Story { groups: Groups::new(config), entries: Vec::new() }
    }

    fn restarted(mut self, now_ms: i64) -> Story {
        self.entries.extend(self.groups.changed());
        Story { groups: Groups::restore(GroupConfig::default(), &self.entries, now_ms), entries: self.entries }
    }

    fn joined(&mut self, ticket: Ticket) -> Joined {
        match self.groups.take(ticket) {
            Some(Answer::Joined(joined)) => joined,
            other => panic!("no answer to the join: {other:?}"),
        }
    }

    fn synced(&mut self, ticket: Ticket) -> Synced {
        match self.groups.take(ticket) {
            Some(Answer::Synced(synced)) => synced,
            other => panic!("no answer to the sync: {other:?}"),
        }
    }

    fn join(&mut self, request: JoinRequest, now_ms: i64) -> Joined {
        let ticket = self.groups.join(request, now_ms);
        self.joined(ticket)
    }

    fn sync(&mut self, who: MemberRef, assignments: &[(&str, &'static str)], now_ms: i64) -> Ticket {
        let assignments = assignments.iter().map(|(m, a)| ((*m).to_owned(), Bytes::from_static(a.as_bytes())));
        let assignments = assignments.collect();
        self.groups.sync(SyncRequest { who, protocol_type: None, protocol: None, assignments }, now_ms)
    }

    /// A stable group of one member; its id.
    fn alone(&mut self, instance: Option<&str>) -> String {
        let joined = self.join(request(3, "", instance), 0);
        let ticket = self.sync(who(&joined.member, instance, 1), &[(&joined.member, "all")], 0);
        assert_eq!((joined.error, self.synced(ticket).assignment.as_ref()), (NONE, &b"all"[..]));
        joined.member
    }

    /// A stable group of two; leader first.
    fn pair(&mut self, first: Option<&str>, second: Option<&str>) -> (String, String) {
        let a = self.alone(first);
        let waits = self.groups.join(request(3, "", second), 0);
        let again = self.groups.join(request(3, &a, first), 0);
        let (again, b) = (self.joined(again), self.joined(waits));
        assert_eq!((again.generation, b.generation, &again.leader, &b.leader), (2, 2, &a, &a));
        let b_syncs = self.sync(who(&b.member, second, 2), &[], 0);
        assert_eq!(self.groups.take(b_syncs), None, "the follower waits for the leader");
        let a_syncs = self.sync(who(&a, first, 2), &[(&a, "left"), (&b.member, "right")], 0);
        assert_eq!(self.synced(a_syncs).assignment, "left");
        assert_eq!(self.synced(b_syncs).assignment, "right");
        (a, b.member)
    }

    fn state(&self) -> GroupState {
        self.groups.describe("g").map_or(GroupState::Dead, |d| d.state)
    }

    fn beat(&mut self, member: &str, instance: Option<&str>, generation: i32, now_ms: i64) -> i16 {
        self.groups.heartbeat(&who(member, instance, generation), now_ms)
    }

    fn committed(&self, partition: i32, require_stable: bool) -> (i64, i16) {
        let found = &self.groups.fetch_offsets("g", Some(&[("t".into(), partition)]), require_stable)[0];
        (found.offset, found.error)
    }
}

#[test]
fn a_new_dynamic_member_is_given_an_id_first() {
    let mut story = Story::new();
    let first = story.join(request(4, "", None), 0);
    assert_eq!((first.error, first.generation), (MEMBER_ID_REQUIRED, -1));
    let second = story.join(request(4, &first.member, None), 5);
    assert_eq!((second.error, second.generation), (NONE, 1));
    assert_eq!((second.leader.as_str(), second.members.len()), (first.member.as_str(), 1));
    let stranger = story.join(request(4, "stranger", None), 5);
    assert_eq!(stranger.error, UNKNOWN_MEMBER_ID);
}

#[test]
fn an_id_that_nobody_joins_with_holds_a_rebalance_for_a_session_only() {
    let mut story = Story::new();
    let a = story.alone(None);
    let promised = story.join(request(4, "", None), 0).member;
    assert_eq!(story.state(), GroupState::Stable);
    let ticket = story.groups.join(request(4, &a, None), 1);
    assert_eq!(story.groups.take(ticket), None, "waits for the promised member");
    story.groups.tick(SESSION_MS);
    assert_eq!(story.joined(ticket).generation, 2);
    assert_eq!(story.join(request(4, &promised, None), SESSION_MS).error, UNKNOWN_MEMBER_ID);
}

#[test]
fn assignments_pass_through_and_only_the_leader_sees_members() {
    let mut story = Story::new();
    let (a, b) = story.pair(None, None);
    let described = story.groups.describe("g").expect("there");
    assert_eq!((described.state, described.protocol.as_str()), (GroupState::Stable, "range"));
    let of = |id: &str| described.members.iter().find(|m| m.member == id).map(|m| m.assignment.clone());
    assert_eq!((of(&a), of(&b)), (Some("left".into()), Some("right".into())));
    // A member that lost the answers asks again and is told the same, without a rebalance.
    let again = story.join(request(3, &b, None), 1);
    assert_eq!((again.error, again.generation, again.members.len()), (NONE, 2, 0));
    let ticket = story.sync(who(&b, None, 2), &[], 1);
    assert_eq!(story.synced(ticket).assignment, "right");
    assert_eq!(story.state(), GroupState::Stable);
}

#[test]
fn a_stable_leader_that_joins_again_asks_for_a_rebalance() {
    let mut story = Story::new();
    let (a, b) = story.pair(None, None);
    let ticket = story.groups.join(request(3, &a, None), 1);
    assert_eq!(story.groups.take(ticket), None);
    assert_eq!(story.beat(&b, None, 2, 2), REBALANCE_IN_PROGRESS);
    let late = story.sync(who(&b, None, 2), &[], 2);
    assert_eq!(story.synced(late).error, REBALANCE_IN_PROGRESS);
    story.groups.join(request(3, &b, None), 3);
    assert_eq!(story.joined(ticket).generation, 3);
}

#[test]
fn silence_ends_a_session_and_a_heartbeat_keeps_it() {
    let mut story = Story::new();
    let (a, b) = story.pair(None, None);
    assert_eq!(story.groups.next_deadline(), Some(i64::MIN), "the first tick tells the time");
    story.groups.tick(0);
    assert_eq!(story.groups.next_deadline(), Some(SESSION_MS));
    assert_eq!(story.beat(&a, None, 2, SESSION_MS - 1), NONE);
    story.groups.tick(SESSION_MS);
    assert_eq!(story.beat(&b, None, 2, SESSION_MS), UNKNOWN_MEMBER_ID);
    assert_eq!(story.beat(&a, None, 2, SESSION_MS), REBALANCE_IN_PROGRESS);
    let alone = story.join(request(3, &a, None), SESSION_MS);
    assert_eq!((alone.generation, alone.members.len()), (3, 1));
}

#[test]
fn a_rebalance_goes_on_without_the_dynamic_members_that_stay_away() {
    let mut story = Story::new();
    let (a, b) = story.pair(None, None);
    let ticket = story.groups.join(request(3, &b, None), 0);
    assert!(story.groups.take(ticket).is_some(), "unchanged follower");
    let mut changed = request(3, &b, None);
    changed.protocols[0].1 = Bytes::from_static(b"\0\0\0\0\0\x02\0\x01t\0\x01u");
    let ticket = story.groups.join(changed, 0);
    for at in (5_000..REBALANCE_MS).step_by(5_000) {
        story.groups.tick(at);
        assert_eq!(story.beat(&a, None, 2, at), REBALANCE_IN_PROGRESS);
        assert_eq!(story.groups.take(ticket), None);
    }
    story.groups.tick(REBALANCE_MS);
    let joined = story.joined(ticket);
    assert_eq!((joined.generation, &joined.leader, joined.members.len()), (3, &b, 1), "b leads now");
    assert_eq!(story.beat(&a, None, 3, REBALANCE_MS), UNKNOWN_MEMBER_ID);
}

#[test]
fn who_does_not_sync_is_removed_after_the_rebalance_timeout() {
    let mut story = Story::new();
    let (a, b) = story.pair(None, None);
    let a_joins = story.groups.join(request(3, &a, None), 0);
    let b_joins = story.groups.join(request(3, &b, None), 0);
    assert_eq!((story.joined(a_joins).generation, story.joined(b_joins).generation), (3, 3));
    let waits = story.sync(who(&b, None, 3), &[], 0);
    for at in (5_000..REBALANCE_MS).step_by(5_000) {
        assert_eq!(story.beat(&a, None, 3, at), NONE, "the leader lives, but does not assign");
        story.groups.tick(at);
    }
    assert_eq!(story.groups.take(waits), None);
    story.groups.tick(REBALANCE_MS);
    assert_eq!(story.synced(waits).error, REBALANCE_IN_PROGRESS);
    assert_eq!(story.beat(&a, None, 3, REBALANCE_MS), UNKNOWN_MEMBER_ID);
}

#[test]
fn a_static_member_that_restarts_keeps_its_assignment() {
    let mut story = Story::new();
    let (a, b) = story.pair(Some("ia"), Some("ib"));
    let back = story.join(request(5, "", Some("ib")), 1);
    assert_eq!((back.error, back.generation, &back.leader), (NONE, 2, &a));
    assert_ne!(back.member, b);
    let ticket = story.sync(who(&back.member, Some("ib"), 2), &[], 1);
    assert_eq!(story.synced(ticket).assignment, "right");
    assert_eq!((story.state(), story.beat(&a, Some("ia"), 2, 2)), (GroupState::Stable, NONE));
}

#[test]
fn a_static_leader_that_restarts_does_not_assign_again() {
    let check = |version, own_name_as_leader: bool, members: usize| {
        let mut story = Story::new();
        let (a, _) = story.pair(Some("ia"), Some("ib"));
        let back = story.join(request(version, "", Some("ia")), 1);
        assert_eq!((back.error, back.generation, back.members.len()), (NONE, 2, members), "v{version}");
        assert_eq!(back.leader == back.member, own_name_as_leader, "v{version}");
        assert_eq!((back.leader == a, back.skip_assignment), (!own_name_as_leader, own_name_as_leader));
        let ticket = story.sync(who(&back.member, Some("ia"), 2), &[], 1);
        assert_eq!(story.synced(ticket).assignment, "left");
        assert_eq!(story.groups.describe("g").expect("there").leader, Some(back.member));
    };
    check(5, false, 0);
    check(8, false, 0);
    check(9, true, 2);
}

#[test]
fn a_static_member_with_other_protocols_starts_a_rebalance() {
    let mut story = Story::new();
    let (a, _) = story.pair(Some("ia"), Some("ib"));
    let mut other = request(5, "", Some("ib"));
    other.protocols.insert(0, ("sticky".into(), Bytes::new()));
    assert_eq!(story.join(other, 1).error, NONE, "range is still the only one both know");
    let mut other = request(5, &a, Some("ia"));
    other.protocols = vec![("sticky".into(), Bytes::new()), ("range".into(), Bytes::new())];
    let ticket = story.groups.join(other, 1);
    assert_eq!((story.groups.take(ticket), story.state()), (None, GroupState::PreparingRebalance));
}

#[test]
fn the_former_holder_of_an_instance_is_fenced_everywhere() {
    let mut story = Story::new();
    let (_, b) = story.pair(Some("ia"), Some("ib"));
    let back = story.join(request(5, "", Some("ib")), 1).member;
    assert_eq!(story.join(request(5, &b, Some("ib")), 2).error, FENCED_INSTANCE_ID);
    let ticket = story.sync(who(&b, Some("ib"), 2), &[], 2);
    assert_eq!(story.synced(ticket).error, FENCED_INSTANCE_ID);
    assert_eq!(story.beat(&b, Some("ib"), 2, 2), FENCED_INSTANCE_ID);
    assert_eq!(story.groups.commit(&who(&b, Some("ib"), 2), vec![offset(0, 1)], 2), [FENCED_INSTANCE_ID]);
    assert_eq!(story.groups.commit_txn_offsets(7, &who(&b, Some("ib"), 2), vec![offset(0, 1)], 2), [82]);
    let leaving = Leaving { member: b.clone(), instance: Some("ib".into()) };
    assert_eq!(story.groups.leave("g", &[leaving], 2), Ok(vec![FENCED_INSTANCE_ID]));
    assert_eq!(story.beat(&b, None, 2, 2), UNKNOWN_MEMBER_ID, "without the instance it is just unknown");
    assert_eq!(story.beat(&back, Some("unheard"), 2, 2), UNKNOWN_MEMBER_ID);
    assert_eq!(story.beat(&back, Some("ib"), 2, 2), NONE);
}

#[test]
fn a_waiting_join_and_sync_of_the_former_holder_are_answered() {
    let mut story = Story::new();
    let (a, b) = story.pair(Some("ia"), Some("ib"));
    let waits = story.groups.join(request(5, &a, Some("ia")), 1);
    let back = story.groups.join(request(5, "", Some("ia")), 2);
    assert_eq!(story.joined(waits).error, FENCED_INSTANCE_ID);
    let b_joins = story.groups.join(request(5, &b, Some("ib")), 3);
    let generation = story.joined(back).generation;
    assert_eq!(story.joined(b_joins).generation, generation);
    let waits = story.sync(who(&b, Some("ib"), generation), &[], 4);
    story.groups.join(request(5, "", Some("ib")), 5);
    assert_eq!(story.synced(waits).error, FENCED_INSTANCE_ID);
}

#[test]
fn several_members_leave_at_once_by_id_or_by_instance() {
    let mut story = Story::new();
    let (a, _) = story.pair(None, Some("ib"));
    let leaving = [
        Leaving { member: String::new(), instance: Some("ib".into()) },
        Leaving { member: "nobody".into(), instance: None },
        Leaving { member: String::new(), instance: Some("unheard".into()) },
        Leaving { member: a, instance: None },
    ];
    let want = vec![NONE, UNKNOWN_MEMBER_ID, UNKNOWN_MEMBER_ID, NONE];
    assert_eq!(story.groups.leave("g", &leaving, 1), Ok(want));
    assert_eq!(story.state(), GroupState::Empty);
    assert_eq!(story.groups.leave("unheard", &leaving[..1], 1), Ok(vec![UNKNOWN_MEMBER_ID]));
    assert_eq!(story.groups.leave("", &leaving[..1], 1), Err(INVALID_GROUP_ID));
}

#[test]
fn a_silent_static_member_holds_its_place_until_its_session_ends() {
    let mut story = Story::new();
    let mut patient = request(3, "", Some("ib"));
    patient.session_timeout_ms = 60_000;
    let b = story.join(patient, 0);
    let b_syncs = story.sync(who(&b.member, Some("ib"), 1), &[(&b.member, "all")], 0);
    story.synced(b_syncs);
    let a_joins = story.groups.join(request(3, "", None), 0);
    story.groups.tick(REBALANCE_MS);
    let joined = story.joined(a_joins);
    assert_eq!((joined.members.len(), &joined.leader), (2, &joined.member), "b stays a member, a leads");
}

#[test]
fn sessions_protocols_and_sizes_are_checked() {
    let mut story = Story::with(GroupConfig { members_max: 1, ..GroupConfig::default() });
    let with = |change: &dyn Fn(&mut JoinRequest)| {
        let mut asked = request(3, "", None);
        change(&mut asked);
        asked
    };
    let mut check = |asked, want| assert_eq!(story.join(asked, 0).error, want);
    check(with(&|r| r.session_timeout_ms = 5_999), INVALID_SESSION_TIMEOUT);
    check(with(&|r| r.session_timeout_ms = 1_800_001), INVALID_SESSION_TIMEOUT);
    check(with(&|r| r.group.clear()), INVALID_GROUP_ID);
    check(with(&|r| r.protocols.clear()), INCONSISTENT_GROUP_PROTOCOL);
    check(with(&|r| r.protocol_type.clear()), INCONSISTENT_GROUP_PROTOCOL);
    check(with(&|_| ()), NONE);
    check(with(&|_| ()), GROUP_MAX_SIZE_REACHED);
    check(JoinRequest { group: "h".into(), ..request(4, "", None) }, MEMBER_ID_REQUIRED);
    check(JoinRequest { group: "h".into(), ..request(4, "", None) }, GROUP_MAX_SIZE_REACHED);
    story.groups.tick(SESSION_MS);
    assert_eq!(story.groups.list().len(), 1, "refused joins leave no group behind");
    let mut story = Story::new();
    story.alone(None);
    let mut check = |asked, want| assert_eq!(story.join(asked, 0).error, want);
    check(with(&|r| r.protocols[0].0 = "sticky".into()), INCONSISTENT_GROUP_PROTOCOL);
    check(with(&|r| r.protocol_type = "connect".into()), INCONSISTENT_GROUP_PROTOCOL);
}

#[test]
fn members_vote_for_the_protocol() {
    let mut story = Story::new();
    let named = |member: &str, names: &[&str]| {
        let protocols = names.iter().map(|n| ((*n).to_owned(), Bytes::new())).collect();
        JoinRequest { protocols, ..request(3, member, None) }
    };
    let a = story.join(named("", &["x", "y", "z"]), 0);
    assert_eq!(a.protocol.as_deref(), Some("x"));
    let b = story.groups.join(named("", &["z", "y"]), 0);
    let c = story.groups.join(named("", &["q", "z", "y"]), 0);
    let a = story.groups.join(named(&a.member, &["x", "y", "z"]), 0);
    let chosen = [a, b, c].map(|ticket| story.joined(ticket).protocol);
    assert!(chosen.iter().all(|p| p.as_deref() == Some("z")), "two of three prefer z: {chosen:?}");
}

#[test]
fn a_new_group_waits_the_initial_delay_for_more_members() {
    let mut story = Story::with(GroupConfig { initial_rebalance_delay_ms: 3_000, ..GroupConfig::default() });
    let a = story.groups.join(request(3, "", None), 0);
    let b = story.groups.join(request(3, "", None), 1_000);
    story.groups.tick(3_000);
    assert_eq!(story.groups.take(a), None, "b came meanwhile: once more");
    story.groups.tick(6_000);
    assert_eq!((story.joined(a).generation, story.joined(b).generation), (1, 1));
}

#[test]
fn generations_and_states_decide_what_is_answered() {
    let mut story = Story::new();
    assert_eq!(story.beat("x", None, 1, 0), UNKNOWN_MEMBER_ID, "no group");
    let a = story.alone(None);
    assert_eq!(story.beat(&a, None, 2, 0), ILLEGAL_GENERATION);
    assert_eq!(story.beat("x", None, 1, 0), UNKNOWN_MEMBER_ID);
    let mut check = |generation, protocol: Option<&str>, want| {
        let who = who(&a, None, generation);
        let sync = SyncRequest { who, protocol: protocol.map(str::to_owned), ..SyncRequest::default() };
        let ticket = story.groups.sync(sync, 0);
        assert_eq!(story.synced(ticket).error, want);
    };
    check(2, None, ILLEGAL_GENERATION);
    check(1, Some("sticky"), INCONSISTENT_GROUP_PROTOCOL);
    check(1, Some("range"), NONE);
    story.join(request(3, &a, None), 1);
    assert_eq!(story.state(), GroupState::CompletingRebalance);
    assert_eq!(story.beat(&a, None, 2, 1), NONE);
    assert_eq!(story.groups.commit(&who(&a, None, 2), vec![offset(0, 1)], 1), [REBALANCE_IN_PROGRESS]);
    let lost = story.join(request(3, &a, None), 1);
    assert_eq!((lost.error, lost.generation, lost.members.len()), (NONE, 2, 1), "the answer is told again");
}

#[test]
fn commits_are_for_members_or_for_empty_groups() {
    let mut story = Story::new();
    let simple = who("", None, -1);
    assert_eq!(story.groups.commit(&who("", None, 0), vec![offset(0, 1)], 0), [ILLEGAL_GENERATION]);
    assert_eq!(story.groups.commit(&simple, vec![offset(0, 1), offset(1, 5)], 0), [NONE, NONE]);
    let a = story.alone(None);
    assert_eq!(story.groups.commit(&simple, vec![offset(0, 2)], 0), [UNKNOWN_MEMBER_ID]);
    assert_eq!(story.groups.commit(&who(&a, None, 0), vec![offset(0, 2)], 0), [ILLEGAL_GENERATION]);
    assert_eq!(story.groups.commit(&who("x", None, 1), vec![offset(0, 2)], 0), [UNKNOWN_MEMBER_ID]);
    assert_eq!(story.groups.commit(&who(&a, None, 1), vec![offset(0, 2)], 0), [NONE]);
    let long = |n| OffsetCommit { metadata: "x".repeat(n), ..offset(1, 9) };
    let codes = story.groups.commit(&who(&a, None, 1), vec![long(4_097), offset(0, 3), long(4_096)], 0);
    assert_eq!(codes, [OFFSET_METADATA_TOO_LARGE, NONE, NONE]);
    assert_eq!((story.committed(0, true), story.committed(1, true)), ((3, NONE), (9, NONE)));
    assert_eq!(story.committed(7, true), (-1, NONE));
    let nameless = MemberRef { group: String::new(), ..who("", None, -1) };
    assert_eq!(story.groups.commit(&nameless, vec![offset(0, 1)], 0), [NONE]);
    assert_eq!(story.groups.commit_txn_offsets(7, &nameless, vec![offset(0, 1)], 0), [INVALID_GROUP_ID]);
    assert_eq!(story.groups.delete_group(""), NONE);
    let all = story.groups.fetch_offsets("g", None, false);
    assert_eq!(all.iter().map(|o| (o.partition, o.offset)).collect::<Vec<_>>(), [(0, 3), (1, 9)]);
    assert_eq!((all[0].metadata.as_str(), all[0].leader_epoch), ("m3", 3));
}

#[test]
fn a_commit_while_members_gather_keeps_the_old_generation() {
    let mut story = Story::new();
    let (a, b) = story.pair(None, None);
    let ticket = story.groups.join(request(3, &a, None), 1);
    assert_eq!(story.groups.commit(&who(&b, None, 2), vec![offset(0, 4)], 2), [NONE], "before it joins again");
    assert_eq!(story.groups.take(ticket), None);
}

#[test]
fn transactional_offsets_count_when_the_transaction_commits() {
    let mut story = Story::new();
    let simple = who("", None, -1);
    story.groups.commit(&simple, vec![offset(0, 1)], 0);
    assert_eq!(story.groups.commit_txn_offsets(7, &simple, vec![offset(0, 2), offset(1, 2)], 0), [NONE, NONE]);
    assert_eq!((story.committed(0, false), story.committed(0, true)), ((1, NONE), (-1, UNSTABLE_OFFSET_COMMIT)));
    story = story.restarted(0);
    story.groups.commit(&simple, vec![offset(1, 9)], 0);
    story.groups.end_txn_offsets("g", 7, true);
    assert_eq!((story.committed(0, true), story.committed(1, true)), ((2, NONE), (9, NONE)), "the later commit wins");
    story.groups.commit_txn_offsets(7, &simple, vec![offset(0, 5)], 0);
    story.groups.end_txn_offsets("g", 7, false);
    story.groups.changed();
    story.groups.end_txn_offsets("g", 7, true);
    assert_eq!((story.committed(0, true), story.groups.changed()), ((2, NONE), vec![]), "an end twice is once");
}

#[test]
fn old_offsets_expire_unless_a_member_reads_the_topic() {
    let day = 24 * 3_600_000;
    let mut story = Story::new();
    story.groups.tick(0);
    let a = story.alone(None);
    let other = OffsetCommit { topic: "other".into(), ..offset(0, 1) };
    story.groups.commit(&who(&a, None, 1), vec![offset(0, 1), other], 0);
    story.beat(&a, None, 1, 7 * day);
    story.groups.tick(7 * day);
    let left = |story: &Story| story.groups.fetch_offsets("g", None, false).len();
    assert_eq!((left(&story), story.committed(0, false).0), (1, 1), "t is read, other is not");
    assert_eq!(story.groups.leave("g", &[Leaving { member: a, instance: None }], 8 * day), Ok(vec![NONE]));
    story.groups.tick(15 * day - 1);
    assert_eq!(left(&story), 1, "seven days from when it became empty");
    story.groups.tick(15 * day + 600_000);
    assert_eq!((left(&story), story.state()), (0, GroupState::Dead));
    assert_eq!(story.groups.next_deadline(), None);
}

#[test]
fn groups_and_offsets_are_deleted_only_when_unused() {
    let mut story = Story::new();
    assert_eq!(story.groups.delete_group("g"), GROUP_ID_NOT_FOUND);
    let a = story.alone(None);
    story.groups.commit(&who(&a, None, 1), vec![offset(0, 1)], 0);
    assert_eq!(story.groups.delete_group("g"), NON_EMPTY_GROUP);
    let partitions = [("t".to_owned(), 0), ("u".to_owned(), 0)];
    assert_eq!(story.groups.delete_offsets("g", &partitions), Ok(vec![GROUP_SUBSCRIBED_TO_TOPIC, NONE]));
    assert_eq!(story.groups.delete_offsets("unheard", &partitions), Err(GROUP_ID_NOT_FOUND));
    assert_eq!(story.groups.leave("g", &[Leaving { member: a, instance: None }], 1), Ok(vec![NONE]));
    assert_eq!(story.groups.delete_offsets("g", &partitions), Ok(vec![NONE, NONE]));
    assert_eq!(story.committed(0, false), (-1, NONE));
    assert_eq!(story.groups.delete_group("g"), NONE);
    assert_eq!(story.state(), GroupState::Dead);
    assert!(story.restarted(0).groups.list().is_empty());
}

#[test]
fn the_offsets_of_a_deleted_topic_go() {
    let mut story = Story::new();
    story.groups.commit(&who("", None, -1), vec![offset(0, 1), OffsetCommit { topic: "u".into(), ..offset(0, 2) }], 0);
    story.groups.forget_topic("t");
    let story = story.restarted(0);
    assert_eq!(story.groups.fetch_offsets("g", None, false)[0].topic, "u");
}

#[test]
fn after_a_restart_static_members_go_on_at_once() {
    let mut story = Story::new();
    story.pair(Some("ia"), Some("ib"));
    let mut story = story.restarted(1_000_000);
    let back = story.join(request(5, "", Some("ib")), 1_000_001);
    assert_eq!((back.error, back.generation), (NONE, 2));
    let ticket = story.sync(who(&back.member, Some("ib"), 2), &[], 1_000_001);
    assert_eq!((story.synced(ticket).assignment, story.state()), (Bytes::from("right"), GroupState::Stable));
    let mut story = story.restarted(2_000_000);
    assert_eq!(story.beat(&back.member, Some("ib"), 2, 2_000_001), NONE, "the new id is remembered too");
}

#[test]
fn after_a_restart_dynamic_members_have_a_whole_session() {
    let mut story = Story::new();
    let (a, b) = story.pair(None, None);
    let mut story = story.restarted(1_000_000);
    story.groups.tick(1_000_000 + SESSION_MS - 1);
    assert_eq!(story.beat(&a, None, 2, 1_000_000 + SESSION_MS - 1), NONE);
    story.groups.tick(1_000_000 + SESSION_MS);
    assert_eq!(story.beat(&b, None, 2, 1_000_000 + SESSION_MS), UNKNOWN_MEMBER_ID);
    let fresh = story.join(request(4, "", None), 1_000_000 + SESSION_MS).member;
    assert!(fresh != a && fresh != b, "ids are never used twice");
}

#[test]
fn a_new_member_waits_for_the_others_longer_than_its_session_but_not_for_ever() {
    let mut story = Story::new();
    let mut patient = request(3, "", Some("ia"));
    (patient.session_timeout_ms, patient.rebalance_timeout_ms) = (1_800_000, 1_800_000);
    let a = story.join(patient, 0).member;
    let waits = story.groups.join(request(3, "", None), 0);
    let b = story.groups.describe("g").expect("there").members.into_iter().map(|m| m.member).find(|m| *m != a);
    // Its connection broke and it asks once more.
    let again = story.groups.join(request(3, &b.expect("b"), None), 0);
    assert_eq!(story.joined(waits).error, REBALANCE_IN_PROGRESS);
    story.groups.tick(299_999);
    assert_eq!(story.groups.take(again), None);
    story.groups.tick(300_000);
    assert_eq!(story.joined(again).error, UNKNOWN_MEMBER_ID);
}

#[test]
fn a_closed_connection_does_not_hold_the_group() {
    let mut story = Story::new();
    let (a, b) = story.pair(None, None);
    let gone = story.groups.join(request(3, &a, None), 1);
    story.groups.cancel(gone);
    let b_joins = story.groups.join(request(3, &b, None), 2);
    assert_eq!(story.joined(b_joins).generation, 3);
    assert_eq!(story.groups.take(gone), None);
    story.groups.tick(2 + SESSION_MS);
    assert_eq!(story.beat(&a, None, 3, 2 + SESSION_MS), UNKNOWN_MEMBER_ID, "it never synced nor was heard of");
}
