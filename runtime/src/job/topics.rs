//! What a run over topics needs before it starts: the sources' partitions, the sinks' topics, and where each partition
//! is read from.

use std::collections::BTreeMap;
use std::time::Duration;

use velostream_sql::plan::{
    AppPlan, KafkaSink, KafkaSource, RetryGrowth, SinkConnector, SourceConnector, second_group,
};
use velostream_types::topic::{Broker, Client, Committed, LogBounds, NewTopic, StartAt, TopicPartition};
use velostream_types::{Fatal, SourceId};

use super::commits::Metadata;
use crate::clock::monotonic;
use crate::stop::StopHandle;

/// A source's topic as it was found.
#[derive(Clone, Debug)]
pub struct SourceTopic {
    /// Which source.
    pub source: SourceId,
    /// The cluster.
    pub client: Client,
    /// The group it is read in.
    pub group: String,
    /// Its name.
    pub topic: String,
    /// Number of partitions.
    pub partitions: u32,
}

/// Where one partition begins and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// First offset read.
    pub offset: i64,
    /// Highest event time before it, ns, as an earlier run committed it.
    pub max_event_time: i64,
    /// A bounded run ends before this offset.
    pub until: Option<i64>,
    /// TRUE when it goes on where the group stood.
    pub resumed: bool,
}

/// Between two looks for a topic at least.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

fn duration(ns: i64) -> Duration {
    Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
}

/// The Kafka sources of a plan.
pub fn kafka_sources(plan: &AppPlan) -> impl Iterator<Item = (SourceId, &KafkaSource)> {
    plan.sources.iter().enumerate().filter_map(|(i, source)| match &source.connector {
        SourceConnector::Kafka(kafka) => Some((SourceId(i as u16), kafka.as_ref())),
        _ => None,
    })
}

/// Time between commits: the shortest that a source asks for.
pub fn commit_interval(plan: &AppPlan) -> Duration {
    kafka_sources(plan).map(|(_, kafka)| duration(kafka.commit_interval_ns)).min().unwrap_or(Duration::from_secs(1))
}

/// Everything a plan writes to topics, dead letters included, with the settings they need by nature.
fn written(plan: &AppPlan) -> Vec<(&KafkaSink, bool)> {
    let sinks = plan.sinks.iter().filter_map(|sink| match &sink.connector {
        SinkConnector::Kafka(kafka) => Some((kafka.as_ref(), sink.upsert)),
        _ => None,
    });
    let dead = plan.dlqs.iter().filter(|dlq| dlq.enabled).filter_map(|dlq| Some((dlq.topic.as_deref()?, false)));
    sinks.chain(dead).collect()
}

/// TRUE when a run of this plan needs a broker.
pub fn needs_broker(plan: &AppPlan) -> bool {
    kafka_sources(plan).next().is_some() || !written(plan).is_empty()
}

/// How sources' topics are found.
pub struct Find<'a> {
    /// Group of all sources, instead of their own.
    pub group: Option<&'a str>,
    /// What to tell when one is missing; `None`: that it can be made.
    pub missing: Option<&'a str>,
}

/// Finds the sources' topics, waiting for missing ones as they say.
pub fn find_sources(
    plan: &AppPlan,
    broker: &dyn Broker,
    find: &Find<'_>,
    stop: &StopHandle,
    say: &mut dyn FnMut(String),
) -> Result<Vec<SourceTopic>, Fatal> {
    let mut found = Vec::new();
    for (source, kafka) in kafka_sources(plan) {
        let is_second = plan.sources[source.index()].load.again.is_some();
        let given = find.group.map(|group| if is_second { second_group(group) } else { group.to_owned() });
        let group = given.or_else(|| kafka.group.clone());
        found.push(SourceTopic {
            source,
            client: kafka.client.clone(),
            group: group.unwrap_or_default(),
            topic: kafka.topic.clone(),
            partitions: wait_for_topic(kafka, (plan, source), broker, find.missing, stop, say)?,
        });
    }
    Ok(found)
}

fn wait_for_topic(
    kafka: &KafkaSource,
    (plan, source): (&AppPlan, SourceId),
    broker: &dyn Broker,
    missing: Option<&str>,
    stop: &StopHandle,
    say: &mut dyn FnMut(String),
) -> Result<u32, Fatal> {
    let of_table_ns = plan.patience_with(source);
    let (begun, patience) = (monotonic(), duration(kafka.topic_wait_ns.max(of_table_ns)));
    let mut pause = duration(kafka.topic_retry_ns).max(SHORTEST_PAUSE);
    loop {
        match broker.partitions(&kafka.client, &kafka.topic, duration(kafka.connect_timeout_ns))? {
            Some(partitions) => return Ok(partitions),
            None if begun.elapsed() >= patience || stop.reason().is_some() => {
                let waited =
                    if patience.is_zero() { String::new() } else { format!(" after {} s", patience.as_secs()) };
                let (topic, brokers) = (&kafka.topic, kafka.client.brokers());
                if of_table_ns > 0 {
                    let table = &plan.sources[source.index()].name;
                    return Err(Fatal::new(format!(
                        "table {table} is not loaded: topic {topic} does not exist on {brokers}{waited}; create it, or raise \
                         table.wait.timeout"
                    )));
                }
                let way_out = missing.unwrap_or("create it, or set topic.wait.timeout to wait for it");
                return Err(Fatal::new(format!("topic {topic} does not exist on {brokers}{waited}; {way_out}")));
            }
            None => {
                let left = patience.saturating_sub(begun.elapsed());
                say(format!(
                    "waiting for topic {} on {}, {} s left",
                    kafka.topic,
                    kafka.client.brokers(),
                    left.as_secs()
                ));
                let until = monotonic() + pause.min(left);
                while monotonic() < until && stop.reason().is_none() {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                pause = next_pause(pause, kafka);
            }
        }
    }
}

/// The pause behind one of this length.
fn next_pause(pause: Duration, kafka: &KafkaSource) -> Duration {
    let next = match kafka.topic_retry_growth {
        RetryGrowth::By(ns) => pause.saturating_add(duration(ns)),
        RetryGrowth::Thousandths(thousandths) => pause.saturating_mul(thousandths) / 1_000,
    };
    next.min(duration(kafka.topic_retry_max_ns).max(SHORTEST_PAUSE))
}

/// Makes the topics the plan writes where they are missing, all at once: each costs a few round trips.
pub fn make_sinks(
    plan: &AppPlan,
    broker: &dyn Broker,
    sources: &[SourceTopic],
    say: &mut dyn FnMut(String),
) -> Result<(), Fatal> {
    let widest = sources.iter().map(|s| s.partitions).max().unwrap_or(1);
    let mut distinct: Vec<(&KafkaSink, bool)> = Vec::new();
    for (sink, keyed) in written(plan) {
        match distinct.iter_mut().find(|(known, _)| (&known.client, &known.topic) == (&sink.client, &sink.topic)) {
            Some((_, known)) => *known |= keyed,
            None => distinct.push((sink, keyed)),
        }
    }
    let outcomes: Vec<Result<Option<String>, Fatal>> = std::thread::scope(|scope| {
        let make = |(sink, keyed)| scope.spawn(move || make_sink(sink, keyed, widest, broker));
        let threads: Vec<_> = distinct.into_iter().map(make).collect();
        let gone = || Fatal::new("a thread that makes topics panicked");
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(gone()))).collect()
    });
    for outcome in outcomes {
        outcome?.into_iter().for_each(&mut *say);
    }
    Ok(())
}

/// Makes one topic if it is missing, and says so.
fn make_sink(sink: &KafkaSink, keyed: bool, widest: u32, broker: &dyn Broker) -> Result<Option<String>, Fatal> {
    let (topic, brokers, patience) = (&sink.topic, sink.client.brokers(), duration(sink.connect_timeout_ns));
    if broker.partitions(&sink.client, topic, patience)?.is_some() {
        return Ok(None);
    }
    if !sink.create {
        return Err(Fatal::new(format!(
            "topic {topic} does not exist on {brokers} and topic.create is false; create it, or allow it to be made"
        )));
    }
    let mut config = sink.topic_config.clone();
    if keyed {
        config.entry("cleanup.policy".to_owned()).or_insert_with(|| "compact".to_owned());
    }
    let partitions = sink.partitions.unwrap_or(widest);
    let new = NewTopic { name: topic.clone(), partitions, replication: sink.replication, config };
    let made = broker.create(&sink.client, &new, patience)?;
    Ok(made.then(|| format!("made topic {topic} with {partitions} partitions on {brokers}")))
}

/// What the user says about where to begin; it beats what the group committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Begin {
    /// Where the group stands.
    #[default]
    Committed,
    /// Everywhere at this place.
    At(StartAt),
    /// Single partitions at these offsets, the others where the group stands.
    Offsets(BTreeMap<u32, i64>),
}

/// What decides where a partition begins besides the group.
pub struct Place<'a> {
    /// What the user says.
    pub begin: &'a Begin,
    /// Partitions from this number on were added while the job ran: they start at their first record.
    pub first_added: u32,
    /// Every partition ends at its present end.
    pub until_end: bool,
}

/// Where the assigned partitions of one topic are read from.
pub fn starts(
    topic: &SourceTopic,
    kafka: &KafkaSource,
    broker: &dyn Broker,
    assigned: &[(TopicPartition, Option<Committed>)],
    place: &Place<'_>,
) -> Result<(BTreeMap<u32, Start>, Vec<Metadata>), Fatal> {
    let Place { begin, first_added, until_end } = *place;
    // What all partitions committed is enough to go on; the brokers are asked for more only when it is not.
    let goes_on = matches!(begin, Begin::Committed) && assigned.iter().all(|(_, committed)| committed.is_some());
    let bounds = match goes_on && !until_end {
        true => Vec::new(),
        false => broker.bounds(&topic.client, &topic.topic, topic.partitions)?,
    };
    let by_time = match (begin.clone(), kafka.start) {
        (Begin::At(StartAt::Timestamp(ms)), _) | (_, StartAt::Timestamp(ms)) => {
            broker.offsets_at(&topic.client, &topic.topic, topic.partitions, ms)?
        }
        _ => Vec::new(),
    };
    let mut starts = BTreeMap::new();
    let mut known = Vec::new();
    for (at, committed) in assigned {
        let p = at.partition;
        let LogBounds { start, end } = bounds.get(p as usize).copied().unwrap_or(LogBounds { start: 0, end: 0 });
        let place = |at: StartAt| match at {
            StartAt::Earliest => Ok(start),
            StartAt::Latest => Ok(end),
            StartAt::Timestamp(_) => Ok(by_time.get(p as usize).copied().flatten().unwrap_or(end)),
            StartAt::Offset(offset) => Ok(offset),
            StartAt::None => Err(Fatal::new(format!(
                "group {} has no committed offset for {}-{p} and auto.offset.reset is none; start once with \
                 --from-beginning or --from latest",
                topic.group, topic.topic
            ))),
        };
        let said = match begin {
            Begin::Committed => None,
            Begin::At(at) => Some(place(*at)?),
            Begin::Offsets(offsets) => offsets.get(&p).copied(),
        };
        let until = until_end.then_some(end);
        let start = match (said, committed) {
            (Some(offset), _) => Start { offset, max_event_time: i64::MIN, until, resumed: false },
            (None, Some(committed)) => {
                let metadata = Metadata::parse(&committed.metadata);
                let max_event_time = metadata.as_ref().map_or(i64::MIN, |m| m.max_event_time);
                known.extend(metadata);
                Start { offset: committed.offset, max_event_time, until, resumed: true }
            }
            (None, None) if p >= first_added => {
                Start { offset: start, max_event_time: i64::MIN, until, resumed: false }
            }
            (None, None) => Start { offset: place(kafka.start)?, max_event_time: i64::MIN, until, resumed: false },
        };
        starts.insert(p, start);
    }
    Ok((starts, known))
}
