//! Item: consumer groups, static membership, fencing of instances.

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::*;
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use velostream_broker::errors;

use crate::raw::{Member, commit, settled};
use crate::wire::{Client, text};
use crate::world::{World, assigned, poll, send, take, until, value};
use crate::{Check, both};

pub const CHECKS: &[Check] = &[
    both("a lone member reads all partitions", lone),
    both("two members share, and one takes over when the other leaves (range)", |w| share(w, "range")),
    both("two members share by cooperative-sticky", |w| share(w, "cooperative-sticky")),
    both("a static member comes back to its partitions without a rebalance", static_return),
    both("a raw static member keeps generation and assignment over a restart", static_rejoin),
    both("a second member with its group.instance.id fences the first", instance_fenced),
    both("a static member is removed by its instance id", static_removed),
    both("members join, sync and beat; the leader's assignment is theirs", two_raw_members),
    both("stale generations and unknown members are refused", stale),
    both("a silent member is removed at its session time-out", silent),
    both("a member without a common protocol is refused", no_common_protocol),
    both("session time-outs outside the limits are refused", session_limits),
];

fn lone(world: &World) {
    let name = world.topic(3, &[]);
    let producer = world.producer(&[]);
    (0..3).for_each(|partition| send(&producer, &name, partition, &["a", "b"]));
    let consumer = world.consumer(&world.group(), &[]);
    consumer.subscribe(&[&name]).expect("subscribed");
    let mut found: Vec<_> = take(&consumer, 6).iter().map(|m| (m.partition(), m.offset(), value(m))).collect();
    found.sort();
    let want: Vec<_> = (0..3).flat_map(|p| [(p, 0, "a".to_owned()), (p, 1, "b".to_owned())]).collect();
    assert_eq!(found, want);
}

fn share(world: &World, strategy: &str) {
    let name = world.topic(4, &[]);
    let group = world.group();
    let settings = [("partition.assignment.strategy", strategy)];
    let first = world.consumer(&group, &settings);
    first.subscribe(&[&name]).expect("subscribed");
    assigned(&[&first], &[4]);
    let second = world.consumer(&group, &settings);
    second.subscribe(&[&name]).expect("subscribed");
    assigned(&[&first, &second], &[2, 2]);
    let producer = world.producer(&[]);
    (0..4).for_each(|partition| send(&producer, &name, partition, &["a"]));
    let mut found = Vec::new();
    until("both read their share", || {
        for (who, consumer) in [(1, &first), (2, &second)] {
            found.extend(poll(consumer).map(|message| (message.partition(), who)));
        }
        found.len() >= 4
    });
    found.sort_unstable();
    assert_eq!(found.iter().map(|(partition, _)| *partition).collect::<Vec<_>>(), [0, 1, 2, 3], "each record once");
    assert_eq!(found.iter().filter(|(_, who)| *who == 1).count(), 2);
    drop(second);
    assigned(&[&first], &[4]);
}

fn static_return(world: &World) {
    let name = world.topic(2, &[]);
    let group = world.group();
    let member = |instance: &str| {
        let settings = [("group.instance.id", instance), ("session.timeout.ms", "30000")];
        let consumer = world.consumer(&group, &settings);
        consumer.subscribe(&[&name]).expect("subscribed");
        consumer
    };
    let (stays, leaves) = (member("one"), member("two"));
    assigned(&[&stays, &leaves], &[1, 1]);
    let of = |consumer: &crate::world::Reader| consumer.assignment().expect("an assignment").elements()[0].partition();
    let had = of(&leaves);
    let generation = described(world, &group);
    // A static member closes without leaving.
    drop(leaves);
    let back = member("two");
    assigned(&[&stays, &back], &[1, 1]);
    assert_eq!(of(&back), had);
    let again = described(world, &group);
    assert_eq!(again.len(), 2, "still two members");
    // Member ids change with the restart, instances do not.
    assert_eq!(instances(&generation), instances(&again));
}

fn described(world: &World, group: &str) -> Vec<describe_groups_response::DescribedGroupMember> {
    let mut client = world.raw();
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
    client.call(4, &request).groups[0].members.clone()
}

fn instances(members: &[describe_groups_response::DescribedGroupMember]) -> Vec<String> {
    let mut all: Vec<String> =
        members.iter().map(|m| m.group_instance_id.as_ref().map_or(String::new(), ToString::to_string)).collect();
    all.sort();
    all
}

fn static_rejoin(world: &World) {
    let group = world.group();
    let first = Member::alone(world.raw(), &group, Some("one"));
    // The process died: a new connection, no member id, the same instance.
    let mut back = Member::new(world.raw(), &group, Some("one"));
    let joined = back.join();
    assert_eq!((joined.error_code, joined.generation_id), (0, first.generation), "no rebalance");
    assert_ne!(back.id, first.id, "but a new member id");
    let synced = back.sync(&[]);
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"all"[..]), "and the same assignment");
    assert_eq!(back.beat(), 0);
}

fn instance_fenced(world: &World) {
    let name = world.topic(1, &[]);
    let group = world.group();
    let mut old = Member::alone(world.raw(), &group, Some("one"));
    let mut new = Member::new(world.raw(), &group, Some("one"));
    assert_eq!(new.join().error_code, 0);
    assert_eq!(old.beat(), errors::FENCED_INSTANCE_ID, "heartbeat");
    assert_eq!(old.sync(&[]).error_code, errors::FENCED_INSTANCE_ID, "sync");
    let rejoin = old.join_request("range");
    assert_eq!(old.client.call(5, &rejoin).error_code, errors::FENCED_INSTANCE_ID, "join");
    let partition = offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(1);
    let sent = offset_commit_request::OffsetCommitRequestTopic::default()
        .with_name(crate::wire::topic(&name))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(&group)))
        .with_generation_id_or_member_epoch(old.generation)
        .with_member_id(text(&old.id))
        .with_group_instance_id(Some(text("one")))
        .with_topics(vec![sent]);
    let code = old.client.call(7, &request).topics[0].partitions[0].error_code;
    assert_eq!(code, errors::FENCED_INSTANCE_ID, "commit");
}

fn leave(client: &mut Client, group: &str, member: &str, instance: Option<&str>) -> (i16, i16) {
    let who = MemberIdentity::default().with_member_id(text(member)).with_group_instance_id(instance.map(text));
    let request = LeaveGroupRequest::default().with_group_id(GroupId(text(group))).with_members(vec![who]);
    let answer = client.call(3, &request);
    (answer.error_code, answer.members.first().map_or(0, |member| member.error_code))
}

fn static_removed(world: &World) {
    let group = world.group();
    let mut member = Member::alone(world.raw(), &group, Some("one"));
    let mut admin = world.raw();
    assert_eq!(leave(&mut admin, &group, "", Some("nobody")), (0, errors::UNKNOWN_MEMBER_ID));
    assert_eq!(leave(&mut admin, &group, "somebody else", Some("one")), (0, errors::FENCED_INSTANCE_ID));
    assert_eq!(leave(&mut admin, &group, "", Some("one")), (0, 0));
    assert_eq!(member.beat(), errors::UNKNOWN_MEMBER_ID);
    assert!(described(world, &group).is_empty());
}

fn two_raw_members(world: &World) {
    let group = world.group();
    let mut leader = Member::alone(world.raw(), &group, None);
    let mut second = Member::new(world.raw(), &group, None);
    second.send_join();
    until("the first hears of the rebalance", || leader.beat() == errors::REBALANCE_IN_PROGRESS);
    leader.send_join();
    let (of_leader, of_second) = (leader.joined(), second.joined());
    assert_eq!((of_leader.error_code, of_second.error_code), (0, 0));
    assert_eq!(leader.generation, second.generation);
    assert_eq!(of_leader.leader, of_second.leader);
    assert_eq!((of_leader.members.len(), of_second.members.len()), (2, 0), "only the leader sees all");
    let request = second.sync_request(&[]);
    second.client.send(3, &request);
    let ids = [leader.id.clone(), second.id.clone()];
    let synced = leader.sync(&[(&ids[0], "for the first"), (&ids[1], "for the second")]);
    assert_eq!(&synced.assignment[..], b"for the first");
    let synced = second.client.receive::<SyncGroupRequest>(3).expect("an answer");
    assert_eq!(&synced.assignment[..], b"for the second");
    assert_eq!((leader.beat(), second.beat()), (0, 0));
    assert_eq!(leave(&mut world.raw(), &group, &second.id, None), (0, 0));
    assert_eq!(leader.beat(), errors::REBALANCE_IN_PROGRESS);
    assert_eq!(second.beat(), errors::UNKNOWN_MEMBER_ID);
}

fn stale(world: &World) {
    let name = world.topic(1, &[]);
    let group = world.group();
    let mut member = Member::alone(world.raw(), &group, None);
    let (id, generation) = (member.id.clone(), member.generation);
    let mut client = world.raw();
    let mut check = |offset, who: (i32, &str), want: i16| {
        assert_eq!(commit(&mut client, &group, &name, offset, "", who), want, "{who:?}");
    };
    check(1, (generation, &id), 0);
    check(2, (generation - 1, &id), errors::ILLEGAL_GENERATION);
    check(2, (generation + 1, &id), errors::ILLEGAL_GENERATION);
    check(2, (generation, "somebody"), errors::UNKNOWN_MEMBER_ID);
    check(2, (-1, ""), errors::UNKNOWN_MEMBER_ID);
    member.generation = generation + 1;
    assert_eq!(member.beat(), errors::ILLEGAL_GENERATION);
    assert_eq!(member.sync(&[]).error_code, errors::ILLEGAL_GENERATION);
    member.generation = generation;
    assert_eq!(member.beat(), 0, "and it still is a member");
}

fn silent(world: &World) {
    let group = world.group();
    let mut member = Member::new(world.raw(), &group, None);
    // The shortest session there is.
    member.session_ms = 6_000;
    assert_eq!(member.join().error_code, 0);
    let id = member.id.clone();
    assert_eq!(member.sync(&[(&id, "all")]).error_code, 0);
    until("the silent member is gone", || described(world, &group).is_empty());
    assert_eq!(member.beat(), errors::UNKNOWN_MEMBER_ID);
}

fn no_common_protocol(world: &World) {
    let group = world.group();
    let _member = Member::alone(world.raw(), &group, None);
    let mut other = Member::new(world.raw(), &group, None);
    let request = other.join_request("something else");
    let mut code = settled(|| other.client.call(5, &request).error_code);
    if code == errors::MEMBER_ID_REQUIRED {
        other.id = other.client.call(5, &request).member_id.to_string();
        let request = other.join_request("something else");
        code = other.client.call(5, &request).error_code;
    }
    assert_eq!(code, errors::INCONSISTENT_GROUP_PROTOCOL);
}

fn session_limits(world: &World) {
    let mut member = Member::new(world.raw(), &world.group(), None);
    let mut client = world.raw();
    for session_ms in [1, 0, -1, i32::MAX] {
        member.session_ms = session_ms;
        let code = settled(|| client.call(5, &member.join_request("range")).error_code);
        assert_eq!(code, errors::INVALID_SESSION_TIMEOUT, "{session_ms} ms");
    }
}
