//! Groups: who they are, how far they are behind, moving their offsets, and deleting them.
//!
//! librdkafka asks for the offsets of partitions it is given, so those of every partition of the cluster are asked for
//! in one request. Offsets are moved by a commit without membership, which the brokers take only while a group has no
//! members: a check here gives the better message, the brokers' own check is what protects.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::groups::GroupInfo as NativeGroup;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use velostream_types::Fatal;
use velostream_types::topic::{Committed, LogBounds, StartAt, TopicPartition};

use super::{Admin, code, consumer};
use crate::config::{self, Role};
use crate::errors::Voice;

/// A group of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// `group.id`
    pub name: String,
    /// Kafka's word: Stable, Empty, PreparingRebalance, CompletingRebalance, Dead.
    pub state: String,
    /// How partitions are assigned; empty without members.
    pub protocol: String,
    /// Who is in it.
    pub members: Vec<GroupMemberInfo>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMemberInfo {
    /// The coordinator's name for it.
    pub id: String,
    /// `client.id`
    pub client: String,
    /// Where it connects from.
    pub host: String,
}

/// Where a group stands in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLag {
    /// Which partition.
    pub at: TopicPartition,
    /// What the group committed.
    pub committed: Committed,
    /// The partition's bounds; none when the topic is gone.
    pub bounds: Option<LogBounds>,
}

impl GroupLag {
    /// Records from the committed offset to the end.
    pub fn lag(&self) -> Option<i64> {
        self.bounds.map(|bounds| (bounds.end - self.committed.offset.max(bounds.start)).max(0))
    }

    /// Records that were gone before the group read them.
    pub fn lost(&self) -> i64 {
        self.bounds.map_or(0, |bounds| (bounds.start - self.committed.offset).max(0))
    }
}

/// An offset to be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Which partition.
    pub at: TopicPartition,
    /// What is committed now.
    pub old: Option<i64>,
    /// What will be.
    pub new: i64,
}

impl Admin {
    /// All groups by name.
    pub fn groups(&self) -> Result<Vec<GroupInfo>, Fatal> {
        let list = self.retry(&self.consumer, ("Describe", "group", "*"), |wait| {
            self.consumer.fetch_group_list(None, wait).map(Some)
        })?;
        let mut groups: Vec<GroupInfo> = list.groups().iter().map(group_info).collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    /// One group; `None` when the cluster does not know it.
    pub fn group(&self, name: &str) -> Result<Option<GroupInfo>, Fatal> {
        let list = self.retry(&self.consumer, ("Describe", "group", name), |wait| {
            self.consumer.fetch_group_list(Some(name), wait).map(Some)
        })?;
        // A group nobody knows is described as dead.
        Ok(list.groups().iter().map(group_info).find(|group| group.name == name && group.state != "Dead"))
    }

    /// Where a group stands in every partition it committed, by topic and partition.
    pub fn lag(&self, group: &str) -> Result<Vec<GroupLag>, Fatal> {
        let client = self.group_client(group)?;
        let committed = self.committed(&client, group, None)?;
        let mut topics: BTreeMap<&str, Option<Vec<LogBounds>>> = BTreeMap::new();
        for at in committed.keys() {
            if !topics.contains_key(at.topic.as_str()) {
                let bounds = match self.partitions(&at.topic)? {
                    Some(partitions) => Some(self.bounds(&at.topic, partitions)?),
                    None => None,
                };
                topics.insert(&at.topic, bounds);
            }
        }
        let bounds_of =
            |at: &TopicPartition| topics.get(at.topic.as_str())?.as_ref()?.get(at.partition as usize).copied();
        let lags = committed.iter();
        Ok(lags.map(|(at, c)| GroupLag { at: at.clone(), committed: c.clone(), bounds: bounds_of(at) }).collect())
    }

    /// What moving a group to `to` would change: on one topic, or on all it committed.
    pub fn plan_reset(&self, group: &str, topic: Option<&str>, to: StartAt) -> Result<Vec<Moved>, Fatal> {
        self.must_be_empty(group)?;
        let client = self.group_client(group)?;
        let committed = self.committed(&client, group, topic)?;
        let mut topics: Vec<String> = match topic {
            Some(topic) => vec![self.topic(topic)?.name],
            None => committed.keys().map(|at| at.topic.clone()).collect(),
        };
        topics.dedup();
        let mut moves = Vec::new();
        for topic in &topics {
            let Some(partitions) = self.partitions(topic)? else { continue };
            for (partition, new) in (0..).zip(self.positions(topic, partitions, to)?) {
                let at = TopicPartition { topic: topic.clone(), partition };
                let old = committed.get(&at).map(|committed| committed.offset);
                moves.push(Moved { at, old, new });
            }
        }
        Ok(moves)
    }

    /// Where each partition of a topic is at `to`.
    pub fn positions(&self, topic: &str, partitions: u32, to: StartAt) -> Result<Vec<i64>, Fatal> {
        let bounds = self.bounds(topic, partitions)?;
        Ok(match to {
            StartAt::Earliest => bounds.iter().map(|b| b.start).collect(),
            StartAt::Latest | StartAt::None => bounds.iter().map(|b| b.end).collect(),
            StartAt::Offset(offset) => bounds.iter().map(|b| offset.clamp(b.start, b.end)).collect(),
            StartAt::Timestamp(at_ms) => {
                let found = self.offsets_at(topic, partitions, at_ms)?;
                found.iter().zip(&bounds).map(|(offset, b)| offset.unwrap_or(b.end)).collect()
            }
        })
    }

    /// Commits the new offsets; refused while the group has members.
    pub fn reset(&self, group: &str, moves: &[Moved]) -> Result<(), Fatal> {
        self.must_be_empty(group)?;
        if moves.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(moves.len());
        for moved in moves {
            let (topic, partition) = (&moved.at.topic, moved.at.partition as i32);
            list.add_partition_offset(topic, partition, Offset::Offset(moved.new))
                .map_err(|error| Fatal::new(format!("offset {} of {topic}-{partition}: {error}", moved.new)))?;
        }
        let client = self.group_client(group)?;
        self.retry(&client, ("Read", "group", group), |_| match client.commit(&list, CommitMode::Sync) {
            Ok(()) => Ok(Some(Ok(()))),
            Err(error) => match code(&error) {
                Some(
                    RDKafkaErrorCode::UnknownMemberId
                    | RDKafkaErrorCode::IllegalGeneration
                    | RDKafkaErrorCode::RebalanceInProgress
                    | RDKafkaErrorCode::FencedInstanceId,
                ) => Ok(Some(Err(Fatal::new(format!("group \"{group}\" has members again: nothing was changed"))))),
                _ => Err(error),
            },
        })?
    }

    /// Deletes a group that has no members, with what it committed; FALSE when it was not there.
    pub fn delete_group(&self, name: &str) -> Result<bool, Fatal> {
        let options = self.admin_options();
        let results = self.administer(("Delete", "group", name), |admin| admin.delete_groups(&[name], &options))?;
        match results.into_iter().next() {
            None | Some(Ok(_)) => Ok(true),
            Some(Err((_, RDKafkaErrorCode::GroupIdNotFound))) => Ok(false),
            Some(Err((_, RDKafkaErrorCode::NonEmptyGroup))) => {
                Err(Fatal::new(format!("group \"{name}\" is in use: only a group without members can be deleted")))
            }
            Some(Err((_, code))) => {
                let error = KafkaError::AdminOp(code);
                Err(self.failed(&self.consumer, ("Delete", "group", name), &error, Duration::ZERO))
            }
        }
    }

    fn must_be_empty(&self, group: &str) -> Result<(), Fatal> {
        let Some(found) = self.group(group)? else { return Ok(()) };
        if found.members.is_empty() && found.state != "Stable" {
            return Ok(());
        }
        let members: Vec<String> = found.members.iter().map(|m| format!("{} at {}", m.client, m.host)).collect();
        Err(Fatal::new(format!(
            "group \"{group}\" is in use ({}, {}): offsets can only be moved while it has no members. Stop them first; a \
             member that was killed leaves after its session time-out",
            found.state,
            if members.is_empty() { "members unknown".to_owned() } else { members.join("; ") }
        )))
    }

    /// A client that speaks for a group without being in it.
    fn group_client(&self, group: &str) -> Result<BaseConsumer<Voice>, Fatal> {
        let config = config::client_config(&self.client, &Role::Fetch { group: group.to_owned() })?;
        consumer(&self.client, &config)
    }

    /// What a group committed, in one topic or in all.
    fn committed(
        &self,
        client: &BaseConsumer<Voice>,
        group: &str,
        topic: Option<&str>,
    ) -> Result<BTreeMap<TopicPartition, Committed>, Fatal> {
        let topics = self.topics()?;
        self.retry(client, ("Describe", "group", group), |wait: Duration| {
            let mut wanted = TopicPartitionList::new();
            for info in topics.iter().filter(|info| topic.is_none_or(|topic| topic == info.name)) {
                for partition in &info.partitions {
                    wanted.add_partition(&info.name, partition.id as i32);
                }
            }
            if wanted.count() == 0 {
                return Ok(Some(BTreeMap::new()));
            }
            let found = client.committed_offsets(wanted, wait)?;
            let mut committed = BTreeMap::new();
            for element in found.elements() {
                if let (Ok(()), Offset::Offset(offset)) = (element.error(), element.offset()) {
                    let partition = u32::try_from(element.partition()).unwrap_or_default();
                    let at = TopicPartition { topic: element.topic().to_owned(), partition };
                    committed.insert(at, Committed { offset, metadata: element.metadata().to_owned() });
                }
            }
            Ok(Some(committed))
        })
    }
}

fn group_info(group: &NativeGroup) -> GroupInfo {
    let member = |m: &rdkafka::groups::GroupMemberInfo| GroupMemberInfo {
        id: m.id().to_owned(),
        client: m.client_id().to_owned(),
        host: m.client_host().trim_start_matches('/').to_owned(),
    };
    GroupInfo {
        name: group.name().to_owned(),
        state: group.state().to_owned(),
        protocol: group.protocol().to_owned(),
        members: group.members().iter().map(member).collect(),
    }
}
