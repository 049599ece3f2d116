//! Membership in a group: assignment without fetching, deferred release, commits with metadata, stale commits.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that fails")]

mod world;

use std::time::Duration;

use velostream_broker::Fault;
use velostream_kafka::Kafka;
use velostream_types::topic::{
    Broker, Commit, CommitError, Committed, GroupMember, MemberEvent, MemberSpec, TopicPartition,
};

use world::{PATIENCE, World};

const ROUND: Duration = Duration::from_millis(50);
/// Polls within `PATIENCE`.
const ROUNDS: usize = 600;

fn join(world: &World, instance: &str) -> Box<dyn GroupMember> {
    let mut client = world.client.clone();
    client.settings.insert("heartbeat.interval.ms".to_owned(), "100".to_owned());
    client.settings.insert("session.timeout.ms".to_owned(), "6000".to_owned());
    let instance = Some(instance.to_owned());
    Kafka.join(MemberSpec { client, group: "g".to_owned(), instance, topics: vec!["t".to_owned()] }).unwrap()
}

/// The next event that is no notice; other members are polled meanwhile.
fn next(member: &mut dyn GroupMember, others: &mut [&mut Box<dyn GroupMember>]) -> MemberEvent {
    for _ in 0..ROUNDS {
        match member.poll(ROUND).unwrap() {
            None | Some(MemberEvent::Notice(_)) => {}
            Some(event) => return event,
        }
        for other in others.iter_mut() {
            assert!(matches!(other.poll(ROUND).unwrap(), None | Some(MemberEvent::Notice(_))));
        }
    }
    panic!("no event in {PATIENCE:?}")
}

fn at(partition: u32) -> TopicPartition {
    TopicPartition { topic: "t".to_owned(), partition }
}

fn commit(partition: u32, offset: i64, metadata: &str) -> Commit {
    Commit { at: at(partition), committed: Committed { offset, metadata: metadata.to_owned() } }
}

fn assigned(event: MemberEvent) -> Vec<TopicPartition> {
    let MemberEvent::Assigned(mut list) = event else { panic!("{event:?}") };
    list.sort();
    list
}

#[test]
fn commits_come_back_with_their_metadata() {
    let world = World::new();
    world.topic("t", 2, &[]);
    let mut member = join(&world, "a");
    assert_eq!(assigned(next(&mut *member, &mut [])), [at(0), at(1)]);
    assert_eq!(member.committed(&[at(0), at(1)]).unwrap(), [None, None]);
    let metadata = "m".repeat(4_000);
    member.commit(&[commit(0, 7, &metadata)], Some(PATIENCE)).unwrap();
    member.commit(&[commit(0, 8, ""), commit(1, 9, "w=5")], Some(PATIENCE)).unwrap();
    let expected = |offset, metadata: &str| Some(Committed { offset, metadata: metadata.to_owned() });
    assert_eq!(member.committed(&[at(1), at(0)]).unwrap(), [expected(9, "w=5"), expected(8, "")]);
    member.commit(&[commit(0, 10, &metadata)], None).unwrap();
    member.commit(&[commit(1, 11, "x")], Some(PATIENCE)).unwrap();
    assert_eq!(member.committed(&[at(0)]).unwrap(), [expected(10, &metadata)]);
    member.leave();
    let mut again = join(&world, "a");
    assert_eq!(assigned(next(&mut *again, &mut [])), [at(0), at(1)]);
    assert_eq!(again.committed(&[at(1)]).unwrap(), [expected(11, "x")]);
}

#[test]
fn what_is_revoked_is_given_up_when_it_is_released() {
    let world = World::new();
    world.topic("t", 4, &[]);
    let mut first = join(&world, "a");
    assert_eq!(assigned(next(&mut *first, &mut [])).len(), 4);
    let mut second = join(&world, "b");
    let MemberEvent::Revoking(mut going) = next(&mut *first, &mut [&mut second]) else { panic!("no revocation") };
    assert_eq!(going.len(), 2);
    for _ in 0..10 {
        assert_eq!(second.poll(ROUND).unwrap(), None, "not released yet");
        assert_eq!(first.poll(ROUND).unwrap(), None);
    }
    first.commit(&[commit(going[0].partition, 3, "bye")], Some(PATIENCE)).unwrap();
    first.release();
    let taken = assigned(next(&mut *second, &mut [&mut first]));
    going.sort();
    assert_eq!(taken, going);
    let found = second.committed(&taken[..]).unwrap();
    assert!(found.contains(&Some(Committed { offset: 3, metadata: "bye".to_owned() })), "{found:?}");
}

#[test]
fn a_member_whose_place_was_taken_says_so_and_commits_nothing() {
    let world = World::new();
    world.topic("t", 1, &[]);
    let mut first = join(&world, "a");
    assert_eq!(assigned(next(&mut *first, &mut [])), [at(0)]);
    let mut second = join(&world, "a");
    assert_eq!(assigned(next(&mut *second, &mut [])), [at(0)]);
    let stale = first.commit(&[commit(0, 1, "")], Some(PATIENCE)).unwrap_err();
    assert!(matches!(stale, CommitError::Stale(_)), "{stale:?}");
    let fatal = (0..ROUNDS).find_map(|_| first.poll(ROUND).err()).expect("a fatal error");
    assert!(fatal.message.contains("instance \"a\"") && fatal.message.contains("--instance-id"), "{fatal}");
    assert_eq!(second.committed(&[at(0)]).unwrap(), [None]);
}

#[test]
fn a_commit_without_an_answer_is_unavailable() {
    let world = World::new();
    world.topic("t", 1, &[]);
    let mut member = join(&world, "a");
    next(&mut *member, &mut []);
    world.broker.inject(&Fault::DelayMs(2_000)).unwrap();
    let error = member.commit(&[commit(0, 1, "")], Some(Duration::from_millis(100))).unwrap_err();
    assert!(matches!(error, CommitError::Unavailable(_)), "{error:?}");
    world.broker.inject(&Fault::Clear).unwrap();
    member.commit(&[commit(0, 2, "")], Some(PATIENCE)).unwrap();
    assert_eq!(member.commit(&[], None), Ok(()));
}
