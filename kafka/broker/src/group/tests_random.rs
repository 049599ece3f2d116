//! Random clients, some static, some silent, against what must always hold: every ticket is answered or waits in one
//! member; one leader, one protocol and one assignment per generation; assignments pass through; time alone ends every
//! wait; and the journal tells the same as memory.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::*;
use crate::journal::Image;

const INSTANCES: [Option<&str>; 5] = [None, None, None, Some("ia"), Some("ib")];

#[derive(Clone, Debug, Default)]
struct Client {
    instance: Option<String>,
    member: String,
    generation: i32,
    /// Members, if it leads.
    members: Vec<String>,
    waits: Option<Ticket>,
}

struct World {
    seed: u64,
    random: u64,
    now_ms: i64,
    groups: Groups,
    clients: Vec<Client>,
    entries: Vec<JournalEntry>,
    /// What each generation agreed on: leader's assignment by member.
    assigned: BTreeMap<i32, BTreeMap<String, Bytes>>,
    protocols: BTreeMap<i32, Option<String>>,
    generation: i32,
    /// How often a leader's assignment was taken, to see that the runs get anywhere.
    stable: u32,
}

impl World {
    fn new(seed: u64) -> World {
        let client = |i: &Option<&str>| Client { instance: i.map(str::to_owned), ..Client::default() };
        World {
            seed,
            random: seed,
            now_ms: 0,
            groups: Groups::new(GroupConfig {
                initial_rebalance_delay_ms: if seed.is_multiple_of(3) { 3_000 } else { 0 },
                offsets_retention_ms: 600_000,
                offsets_check_ms: 60_000,
                ..GroupConfig::default()
            }),
            clients: INSTANCES.iter().map(client).collect(),
            entries: Vec::new(),
            assigned: BTreeMap::new(),
            protocols: BTreeMap::new(),
            generation: 0,
            stable: 0,
        }
    }

    fn pick(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    fn step(&mut self) {
        self.now_ms += self.pick(600) as i64;
        let at = self.pick(self.clients.len() as u64) as usize;
        let client = self.clients[at].clone();
        let who = self.who(&client);
        match self.pick(24) {
            0 if self.pick(4) == 0 => {
                self.clients[at].member.clear();
                self.clients[at].waits.take().into_iter().for_each(|ticket| self.groups.cancel(ticket));
            }
            1 if client.waits.is_some() => {
                self.clients[at].waits.take().into_iter().for_each(|ticket| self.groups.cancel(ticket));
            }
            2 if self.pick(4) == 0 => {
                let leaving = Leaving { member: client.member, instance: client.instance };
                self.groups.leave("g", &[leaving], self.now_ms).expect("a group id");
            }
            3 => {
                let producer_id = self.pick(3) as i64;
                let offsets = self.offsets();
                self.groups.commit_txn_offsets(producer_id, &who, offsets, self.now_ms);
            }
            4 => {
                let (producer_id, commit) = (self.pick(3) as i64, self.pick(2) == 0);
                self.groups.end_txn_offsets("g", producer_id, commit);
            }
            5 | 6 => {
                let offsets = self.offsets();
                self.groups.commit(&who, offsets, self.now_ms);
            }
            7 if self.pick(10) == 0 => {
                let topic = ("t".to_owned(), self.pick(3) as i32);
                let _ = self.groups.delete_offsets("g", &[topic]);
            }
            7 if self.pick(10) == 0 => {
                if self.groups.delete_group("g") == errors::NONE {
                    self.forget_generations();
                }
            }
            8 | 9 => {
                self.groups.heartbeat(&who, self.now_ms);
            }
            10 | 11 => self.tick(),
            _ => self.go_on(at, client),
        }
        self.check();
    }

    fn who(&self, client: &Client) -> MemberRef {
        let (member, instance) = (client.member.clone(), client.instance.clone());
        MemberRef { group: "g".into(), generation: client.generation, member, instance }
    }

    fn offsets(&mut self) -> Vec<OffsetCommit> {
        let one = |partition, offset| OffsetCommit {
            topic: "t".into(),
            partition,
            offset,
            leader_epoch: -1,
            metadata: String::new(),
        };
        (0..self.pick(3)).map(|_| one(self.pick(3) as i32, self.pick(100) as i64)).collect()
    }

    /// The client's next step: take what it waits for, or join.
    fn go_on(&mut self, at: usize, client: Client) {
        let Some(ticket) = client.waits else {
            let version = [3, 5, 9][self.pick(3) as usize];
            let mut protocols = vec![("a".to_owned(), Bytes::new()), ("b".to_owned(), Bytes::from(vec![at as u8]))];
            if self.pick(4) == 0 {
                protocols.swap(0, 1);
            }
            let request = JoinRequest {
                version,
                group: "g".into(),
                member: client.member,
                instance: client.instance,
                client_id: "c".into(),
                client_host: String::new(),
                session_timeout_ms: 10_000,
                rebalance_timeout_ms: 20_000,
                protocol_type: "consumer".into(),
                protocols,
            };
            self.clients[at].waits = Some(self.groups.join(request, self.now_ms));
            return;
        };
        let Some(answer) = self.groups.take(ticket) else { return };
        self.clients[at].waits = None;
        match answer {
            Answer::Joined(joined) => self.joined(at, joined),
            Answer::Synced(synced) => self.synced(at, &synced),
        }
    }

    fn joined(&mut self, at: usize, joined: Joined) {
        match joined.error {
            errors::NONE => {}
            errors::MEMBER_ID_REQUIRED => return self.clients[at].member = joined.member,
            _ => return self.clients[at].member.clear(),
        }
        let protocol = self.protocols.entry(joined.generation).or_insert_with(|| joined.protocol.clone());
        assert_eq!(*protocol, joined.protocol, "seed {}: two protocols in a generation", self.seed);
        let client = &mut self.clients[at];
        client.member = joined.member;
        client.generation = joined.generation;
        client.members = joined.members.into_iter().map(|m| m.member).collect();
        let (member, members) = (client.member.clone(), std::mem::take(&mut client.members));
        let assign = joined.leader == member && !joined.skip_assignment;
        let assignments: Vec<(String, Bytes)> = members
            .into_iter()
            .filter(|_| assign)
            .map(|m| {
                let assignment = Bytes::from(format!("{}/{}/{m}", joined.generation, self.random));
                (m, assignment)
            })
            .collect();
        let client = self.clients[at].clone();
        let who = self.who(&client);
        let gathering = self.groups.describe("g").is_some_and(|d| d.state == GroupState::CompletingRebalance);
        let sync = SyncRequest { who, assignments: assignments.clone(), ..SyncRequest::default() };
        self.clients[at].waits = Some(self.groups.sync(sync, self.now_ms));
        let now = self.groups.describe("g").filter(|d| d.state == GroupState::Stable && gathering);
        if now.is_some_and(|d| d.generation == joined.generation && assign) {
            let before = self.assigned.insert(joined.generation, assignments.into_iter().collect());
            assert_eq!(before, None, "seed {}: generation {} assigned twice", self.seed, joined.generation);
            self.stable += 1;
        }
    }

    fn synced(&mut self, at: usize, synced: &Synced) {
        if synced.error != errors::NONE {
            return;
        }
        let client = &self.clients[at];
        let given = self.assigned.get(&client.generation).expect("the leader assigned this generation");
        // A static member may have come back under another id since.
        let known = synced.assignment.is_empty() || given.values().any(|a| *a == synced.assignment);
        assert!(known, "seed {}: {client:?} got what nobody assigned", self.seed);
        if client.instance.is_none() {
            let want = given.get(&client.member).cloned().unwrap_or_default();
            assert_eq!(synced.assignment, want, "seed {}: {client:?}", self.seed);
        }
    }

    fn tick(&mut self) {
        self.groups.tick(self.now_ms);
        let next = self.groups.next_deadline();
        assert!(next.is_none_or(|at| at > self.now_ms), "seed {}: a tick left {next:?} undone", self.seed);
    }

    fn forget_generations(&mut self) {
        self.assigned.clear();
        self.protocols.clear();
        self.generation = 0;
        self.clients.iter_mut().for_each(|c| c.generation = -1);
    }

    fn check(&mut self) {
        let seed = self.seed;
        let mut waiting = Vec::new();
        let gone = self.groups.groups.get("g").is_none_or(|g| g.generation < self.generation);
        if gone {
            self.forget_generations();
        }
        if let Some(group) = self.groups.groups.get("g") {
            assert!(group.generation >= self.generation, "seed {seed}: the generation fell");
            self.generation = group.generation;
            let empty = group.members.is_empty();
            assert_eq!(group.leader.as_ref().is_some_and(|l| group.members.contains_key(l)), !empty, "seed {seed}");
            let resting = matches!(group.state, GroupState::Stable | GroupState::CompletingRebalance);
            assert!(!(resting && empty), "seed {seed}");
            assert!(group.state != GroupState::Empty || empty, "seed {seed}");
            let statics = group.members.values().map(|m| (&m.record.instance, &m.record.member));
            let statics: BTreeMap<_, _> = statics.filter_map(|(i, m)| Some((i.clone()?, m.clone()))).collect();
            assert_eq!(statics, group.statics, "seed {seed}");
            for member in group.members.values() {
                waiting.extend(member.joining);
                waiting.extend(member.syncing);
                assert!(member.joining.is_none() || group.state == GroupState::PreparingRebalance, "seed {seed}");
                assert!(member.syncing.is_none() || group.state == GroupState::CompletingRebalance, "seed {seed}");
            }
            let deadline = group.rebalance_deadline_ms.is_some();
            assert!(deadline || !matches!(group.state, GroupState::PreparingRebalance), "seed {seed}: endless");
        }
        for (ticket, answer) in &self.groups.tickets {
            assert!(answer.is_some() || waiting.contains(ticket), "seed {seed}: {ticket:?} is lost");
        }
        self.check_journal();
    }

    /// A group that rests is in the journal as it is in memory, offsets always are.
    fn check_journal(&mut self) {
        self.entries.extend(self.groups.changed());
        let image = Image::of(&self.entries);
        let live = self.groups.groups.get("g").filter(|g| !g.is_blank());
        let known = image.groups.get("g");
        let offsets = live.map_or_else(Vec::new, |g| g.offsets.entries("g"));
        assert_eq!(known.map_or_else(Vec::new, |g| g.offsets.entries("g")), offsets, "seed {}", self.seed);
        let Some(live) = live.filter(|g| g.generation > 0) else { return };
        if matches!(live.state, GroupState::Stable | GroupState::Empty) {
            assert_eq!(known.and_then(|g| g.record.clone()), Some(live.record()), "seed {}", self.seed);
            let restored = Groups::restore(GroupConfig::default(), &self.entries, self.now_ms);
            assert_eq!(restored.describe("g"), self.groups.describe("g"), "seed {}", self.seed);
        }
    }

    /// Nobody does anything any more: time ends every wait and every membership.
    fn drain(&mut self) {
        for _ in 0..100 {
            let Some(at) = self.groups.next_deadline() else { break };
            self.now_ms = self.now_ms.max(at);
            self.tick();
            self.check();
        }
        assert_eq!(self.groups.next_deadline().is_some(), self.groups.groups.values().any(|g| !g.offsets.is_empty()));
        assert!(self.groups.tickets.values().all(Option::is_some), "seed {}: an endless wait", self.seed);
        assert!(self.groups.groups.values().all(|g| g.members.is_empty()), "seed {}: an endless member", self.seed);
    }
}

/// The journal of a random run, and how often it became stable.
pub(crate) fn random_run(seed: u64, steps: usize) -> (Vec<JournalEntry>, u32) {
    let mut world = World::new(seed);
    world.tick();
    (0..steps).for_each(|_| world.step());
    world.drain();
    (world.entries, world.stable)
}

#[test]
fn random_groups_keep_their_invariants() {
    let stable: u32 = (0..300).map(|seed| random_run(seed, 300).1).sum();
    assert!(stable > 1_000, "the runs get somewhere: {stable}");
}
