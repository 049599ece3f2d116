//! The production client over the topics of a query test: names of tests, through sockets.
//!
//! Groups, fetches and producers are those of production; they connect to the brokers of the test whatever brokers the app
//! names, and what the app calls `orders` is the test's own topic there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use velostream_types::Fatal;
use velostream_types::topic::{
    Broker, Client, Commit, CommitError, Committed, Fetch, FetchSpec, GroupMember, LogBounds, MemberEvent, MemberSpec,
    NewTopic, Produce, ProduceSpec, TopicPartition, TopicRecord, Wake,
};

use super::cluster::{self, Made};
use super::local::Rename;

/// A client whose topics have other names.
pub struct Renamed {
    client: Arc<dyn Broker>,
    /// Settings that hold instead of the app's: brokers, and how to be let in there.
    at: Client,
    rename: Arc<Rename>,
    /// Stands in front of the names of groups, which are the run's alone whatever its topics are called.
    groups: String,
    /// By topic as the SQL calls it: records that tell its types while it is empty.
    samples: BTreeMap<String, Vec<TopicRecord>>,
    /// What the run made; in a cluster nothing else may be touched. None in the embedded broker: all is the run's.
    made: Option<Arc<Made>>,
}

impl Renamed {
    /// Topics under these names through `client`, with the settings `at`; topics and groups that it makes are noted
    /// in `made`.
    pub fn new(
        client: Arc<dyn Broker>,
        at: Client,
        rename: Arc<Rename>,
        groups: String,
        samples: BTreeMap<String, Vec<TopicRecord>>,
        made: Option<Arc<Made>>,
    ) -> Renamed {
        Renamed { client, at, rename, groups, samples, made }
    }

    /// The app's settings without its brokers and how to be let in there.
    fn at(&self, client: &Client) -> Client {
        let mut client = client.clone();
        client
            .settings
            .retain(|key, _| !key.starts_with("sasl.") && !key.starts_with("ssl.") && key != "security.protocol");
        client.settings.extend(self.at.settings.clone());
        client
    }

    fn group(&self, group: &str) -> String {
        format!("{}{group}", self.groups)
    }

    fn real(&self, topic: &str) -> String {
        (self.rename)(topic)
    }
}

impl Broker for Renamed {
    fn partitions(&self, client: &Client, topic: &str, patience: Duration) -> Result<Option<u32>, Fatal> {
        let name = self.real(topic);
        let found = self.client.partitions(&self.at(client), &name, patience)?;
        match &self.made {
            Some(made) if found.is_some() => made.owns(&name).map(|()| found),
            _ => Ok(found),
        }
    }

    fn create(&self, client: &Client, topic: &NewTopic, patience: Duration) -> Result<bool, Fatal> {
        let name = self.real(&topic.name);
        let own = NewTopic { name: name.clone(), ..topic.clone() };
        let unnoted = Made::default();
        let made = self.made.as_deref().unwrap_or(&unnoted);
        let created = cluster::create(&*self.client, &self.at(client), &own, patience, made)?;
        match &self.made {
            Some(made) if !created => made.owns(&name).map(|()| created),
            _ => Ok(created),
        }
    }

    fn bounds(&self, client: &Client, topic: &str, partitions: u32) -> Result<Vec<LogBounds>, Fatal> {
        self.client.bounds(&self.at(client), &self.real(topic), partitions)
    }

    fn offsets_at(&self, client: &Client, topic: &str, partitions: u32, at_ms: i64) -> Result<Vec<Option<i64>>, Fatal> {
        self.client.offsets_at(&self.at(client), &self.real(topic), partitions, at_ms)
    }

    fn sample(&self, client: &Client, topic: &str, per_partition: usize) -> Result<Vec<TopicRecord>, Fatal> {
        let records = self.client.sample(&self.at(client), &self.real(topic), per_partition)?;
        Ok(match self.samples.get(topic).filter(|_| records.is_empty()) {
            Some(samples) => samples.clone(),
            None => records,
        })
    }

    fn join(&self, spec: MemberSpec) -> Result<Box<dyn GroupMember>, Fatal> {
        let (logical, group) = (spec.topics.clone(), self.group(&spec.group));
        if let Some(made) = &self.made {
            made.group(&group);
        }
        let own = MemberSpec {
            client: self.at(&spec.client),
            group,
            instance: spec.instance,
            topics: logical.iter().map(|topic| self.real(topic)).collect(),
        };
        let member = self.client.join(own)?;
        Ok(Box::new(RenamedMember { member, logical, rename: Arc::clone(&self.rename) }))
    }

    fn fetch(&self, mut spec: FetchSpec, wake: Wake) -> Result<Box<dyn Fetch>, Fatal> {
        spec.client = self.at(&spec.client);
        spec.group = self.group(&spec.group);
        for from in &mut spec.partitions {
            from.at.topic = self.real(&from.at.topic);
        }
        self.client.fetch(spec, wake)
    }

    fn produce(&self, mut spec: ProduceSpec, wake: Wake) -> Result<Box<dyn Produce>, Fatal> {
        spec.client = self.at(&spec.client);
        spec.topics = spec.topics.iter().map(|topic| self.real(topic)).collect();
        self.client.produce(spec, wake)
    }
}

/// A member that speaks of topics as the app does.
struct RenamedMember {
    member: Box<dyn GroupMember>,
    /// Topics as the app calls them.
    logical: Vec<String>,
    rename: Arc<Rename>,
}

impl RenamedMember {
    fn inward(&self, partitions: Vec<TopicPartition>) -> Vec<TopicPartition> {
        let logical = |at: TopicPartition| {
            let own = self.logical.iter().find(|topic| (self.rename)(topic) == at.topic).cloned();
            TopicPartition { topic: own.unwrap_or(at.topic), partition: at.partition }
        };
        partitions.into_iter().map(logical).collect()
    }

    fn outward(&self, at: &TopicPartition) -> TopicPartition {
        TopicPartition { topic: (self.rename)(&at.topic), partition: at.partition }
    }
}

impl GroupMember for RenamedMember {
    fn poll(&mut self, wait: Duration) -> Result<Option<MemberEvent>, Fatal> {
        let event = self.member.poll(wait)?;
        Ok(event.map(|event| match event {
            MemberEvent::Assigned(partitions) => MemberEvent::Assigned(self.inward(partitions)),
            MemberEvent::Revoking(partitions) => MemberEvent::Revoking(self.inward(partitions)),
            MemberEvent::Lost(partitions) => MemberEvent::Lost(self.inward(partitions)),
            MemberEvent::Notice(text) => MemberEvent::Notice(text),
        }))
    }

    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Committed>>, Fatal> {
        let of: Vec<TopicPartition> = of.iter().map(|at| self.outward(at)).collect();
        self.member.committed(&of)
    }

    fn commit(&mut self, commits: &[Commit], wait: Option<Duration>) -> Result<(), CommitError> {
        let own = |commit: &Commit| Commit { at: self.outward(&commit.at), committed: commit.committed.clone() };
        let commits: Vec<Commit> = commits.iter().map(own).collect();
        self.member.commit(&commits, wait)
    }

    fn release(&mut self) {
        self.member.release();
    }

    fn leave(self: Box<Self>) {
        self.member.leave();
    }
}
