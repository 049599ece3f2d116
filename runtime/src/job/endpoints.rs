//! The plan's sources and sinks as readers and writers, each on the shard that owns it.
//!
//! Partitions go round over the shards in order of sources; the writer of sink `i` and of dead-letter destination `i`
//! lives on shard `i mod shards`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use velostream_exec::pipeline::{home_of, writers_of};
use velostream_sql::endpoint::CatalogError;
use velostream_sql::plan::{
    AppPlan, DlqPlan, Failure, KafkaSink, NodeKind, SinkConnector, SinkFormat, SinkPlan, SourceConnector,
};
use velostream_types::topic::{Broker, Client, FetchFrom, FetchSpec, ProduceSpec, TopicPartition};
use velostream_types::{Fatal, PartitionId, PartitionSource, ShardId, SinkWriter, SourceId};

use super::OpenStdout;
use super::checkpoint::Kept;
use super::topics::Start;
use crate::clock::RunClock;
use crate::driver::{LaneParts, Note, Reader, Retry, Sink, Turn};
use crate::io::dead_letter::DeadLetterFile;
use crate::io::file_sink::{self, FileSink, FileSinkOptions};
use crate::io::file_source::{FileSource, OneRow, slab_bytes};
use crate::io::header_line;
use crate::io::memory::{Retention, Topic, Topics};
use crate::io::passed_over::PassedOver;
use crate::io::paths::expand;
use crate::io::refused::{Grave, Letters, Place};
use crate::io::stdout::StdoutSink;
use crate::io::table::Table;
use crate::io::topic_sink::{Producer, SharedProducer, TopicGrave, TopicSink};
use crate::io::topic_source::{SharedFetch, TopicPartitionSource};
use crate::mesh::MeshPort;
use crate::stop::StopHandle;
use crate::topology;
use crate::wake::Bell;

/// What a source reads, found once before the run.
#[derive(Clone, Debug)]
pub enum Input {
    /// One list of files per partition.
    Files {
        /// The files.
        partitions: Vec<Vec<PathBuf>>,
        /// Tail them.
        watch: bool,
        /// Pause between looks.
        pause: Duration,
    },
    /// A topic.
    Topic(Arc<Topic>),
    /// Partitions of a broker's topic.
    Topics(TopicInput),
    /// One row without columns.
    OneRow,
}

/// The assigned partitions of a broker's topic.
#[derive(Clone, Debug)]
pub struct TopicInput {
    /// The cluster.
    pub client: Client,
    /// The group whose name the fetches carry.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// Partitions of the topic, assigned here or not.
    pub partitions: u32,
    /// Where each assigned partition begins and ends.
    pub starts: BTreeMap<u32, Start>,
}

impl Input {
    /// Number of partitions, those of other processes included.
    pub fn partitions(&self) -> u32 {
        match self {
            Input::Files { partitions, .. } => partitions.len() as u32,
            Input::Topic(topic) => topic.partitions(),
            Input::Topics(input) => input.partitions,
            Input::OneRow => 1,
        }
    }

    /// The partitions that are read here.
    fn own(&self) -> Vec<PartitionId> {
        match self {
            Input::Topics(input) => input.starts.keys().map(|p| PartitionId(*p)).collect(),
            other => (0..other.partitions()).map(PartitionId).collect(),
        }
    }
}

/// What the plan's sources read.
pub fn inputs(plan: &AppPlan, topics: &Topics, follow: bool) -> Result<Vec<Input>, Fatal> {
    let input = |source: &velostream_sql::plan::SourcePlan| match &source.connector {
        SourceConnector::OneRow => Ok(Input::OneRow),
        // Which partitions there are is up to the group.
        SourceConnector::Kafka(kafka) => Ok(Input::Topics(TopicInput {
            client: kafka.client.clone(),
            group: String::new(),
            topic: kafka.topic.clone(),
            partitions: 0,
            starts: BTreeMap::new(),
        })),
        SourceConnector::Memory { topic } => {
            let missing = || Fatal::new(format!("topic {topic} does not exist; topics: {}", topics.names().join(", ")));
            topics.get(topic).map(Input::Topic).ok_or_else(missing)
        }
        SourceConnector::File { pattern, sequential, watch, poll_interval_ms } => {
            let files = expand(pattern).map_err(|error| no_files(&source.name, error))?;
            let partitions = if *sequential { vec![files] } else { files.into_iter().map(|f| vec![f]).collect() };
            let pause =
                Duration::from_millis(if follow { (*poll_interval_ms).min(FOLLOW_MS) } else { *poll_interval_ms });
            Ok(Input::Files { partitions, watch: *watch || follow, pause: pause.max(Duration::from_millis(1)) })
        }
    };
    plan.sources.iter().map(input).collect()
}

/// With `--follow` a file is looked at this often at least, ms.
const FOLLOW_MS: u64 = 100;

fn no_files(source: &str, error: CatalogError) -> Fatal {
    Fatal::new(match error {
        CatalogError::Missing { searched, similar } if similar.is_empty() => {
            format!("source {source}: no file matches {searched}")
        }
        CatalogError::Missing { searched, similar } => {
            format!("source {source}: no file matches {searched}; did you mean {}?", similar.join(" or "))
        }
        CatalogError::NoTopic { topic, brokers } => {
            format!("source {source}: topic {topic} does not exist on {brokers}")
        }
        CatalogError::NoRecord { topic } => format!("source {source}: topic {topic} has no record to infer types from"),
        CatalogError::Brokers { brokers, reason } => format!("source {source}: cannot reach {brokers}: {reason}"),
        CatalogError::Unreadable { path, reason } | CatalogError::Malformed { path, reason } => {
            format!("source {source}: cannot read {path}: {reason}")
        }
    })
}

/// Two sinks that would replace the same file: the second would undo the first.
pub fn check_sinks(plan: &AppPlan) -> Result<(), Fatal> {
    let mut seen = BTreeSet::new();
    for sink in &plan.sinks {
        if let SinkConnector::File { path, append: false, .. } = &sink.connector
            && !seen.insert(path)
        {
            let path = path.display();
            return Err(Fatal::new(format!("{path} is written by two sinks, the second is {}", sink.name)));
        }
    }
    Ok(())
}

/// Makes the topics that the plan's sinks write, so that its sources find them.
pub fn open_topics(plan: &AppPlan, topics: &Topics) {
    for sink in &plan.sinks {
        if let SinkConnector::Memory { topic, partitions } = &sink.connector {
            topics.open(topic, *partitions, Retention::All);
        }
    }
}

/// Number of edges credits are counted for.
pub fn edges(plan: &AppPlan) -> u16 {
    let nodes = plan.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Exchange { edge, .. } | NodeKind::Sink { edge, .. } => Some(edge.0 + 1),
        _ => None,
    });
    nodes.chain(plan.dlqs.iter().map(|dlq| dlq.edge.0 + 1)).max().unwrap_or(0).max(plan.edges)
}

/// TRUE when somebody needs a source's headers: a query, or the topic that its bad records go to as they came.
fn wants_headers(plan: &AppPlan, source: SourceId) -> bool {
    let source = &plan.sources[source.index()];
    let letters = plan.dlqs.get(source.dlq.index());
    source.needs_headers() || letters.is_some_and(|dlq| dlq.enabled && dlq.topic.is_some())
}

/// Lets the process hold as many files open as the partitions need, as far as the system allows.
pub fn allow_open_files(inputs: &[Input]) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = OTHER_FILES + inputs.iter().map(|input| u64::from(input.partitions())).sum::<u64>();
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < wanted) {
        let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted));
        // A refusal shows where it matters: at the file that cannot be opened, with its name.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum });
    }
}

/// Files open besides the partitions': sinks, dead letters, rings, the binary.
const OTHER_FILES: u64 = 256;

fn no_client() -> Fatal {
    Fatal::new("this build of the engine has no Kafka client")
}

/// Largest dead letter that is sent, bytes: librdkafka's own limit.
const LETTER_BYTES_MAX: u64 = 1_000_000_000;

/// Where dead letters of the query that writes sink number `sink` go.
pub fn dlq_of(plan: &AppPlan, sink: usize) -> usize {
    let writes = |node: &&velostream_sql::plan::Node| matches!(node.kind, NodeKind::Sink { sink: n, .. } if n == sink);
    plan.nodes.iter().find(writes).map_or(0, |node| node.dlq.index())
}

/// Producers of a shard: cluster, topics by position, and the producer itself.
type Producers = Vec<(Client, Vec<String>, SharedProducer)>;
/// Fetchers of a shard by partition, with its number in the fetcher.
type Fetches = BTreeMap<(SourceId, PartitionId), (SharedFetch, usize)>;

/// What one fetcher reads, whose partitions these are, and whether records come with their headers.
type FetchList = (Vec<FetchFrom>, Vec<(SourceId, PartitionId)>, bool);

/// Opens what a shard owns, on its thread.
pub struct Opener {
    pub plan: Arc<AppPlan>,
    pub inputs: Vec<Input>,
    pub topics: Topics,
    pub follow: bool,
    pub run_start_ms: i64,
    pub clock: RunClock,
    pub stdout: Arc<OpenStdout>,
    pub stop: StopHandle,
    pub started: Instant,
    pub shards: u16,
    pub broker: Option<Arc<dyn Broker>>,
    pub notes: Option<Sender<Note>>,
    /// Send at the end of each turn.
    pub eager_topics: bool,
    /// Where the threads of clients may run.
    pub client_cpus: Vec<usize>,
    /// Checkpoints know the files.
    pub kept: Option<Arc<Kept>>,
}

impl Opener {
    /// The partitions of a shard.
    pub fn owned(&self, shard: ShardId) -> Vec<(SourceId, PartitionId)> {
        let all = self.inputs.iter().enumerate();
        let all = all.flat_map(|(s, input)| input.own().into_iter().map(move |p| (SourceId(s as u16), p)));
        all.enumerate().filter(|(i, _)| i % usize::from(self.shards) == shard.index()).map(|(_, owned)| owned).collect()
    }

    /// A shard with its readers and writers.
    pub fn lane(
        &self,
        shard: ShardId,
        turn: Box<dyn Turn>,
        port: MeshPort,
        bell: &Arc<Bell>,
    ) -> Result<LaneParts, Fatal> {
        let slab = slab_bytes(self.inputs.iter().map(|input| input.partitions() as usize).sum());
        let owned = self.owned(shard);
        // A client's own threads must not share the core that this thread is bound to.
        let (producers, fetches) = topology::unbound(&self.client_cpus, || {
            Ok::<_, Fatal>((self.producers(shard, bell)?, self.fetches(&owned, slab, bell)?))
        })?;
        let reader = |(source, partition)| self.reader(source, partition, slab, bell, &fetches);
        let mine = |i: &usize| writers_of(&self.plan, *i, self.shards).contains(&shard);
        let sinks = (0..self.plan.sinks.len()).filter(mine).map(|i| Ok((i, self.sink(i, &producers)?)));
        let home = |i: &usize| home_of(*i, self.shards) == shard;
        let dead = (0..self.plan.dlqs.len()).filter(home).map(|i| Ok((i, self.dead(i, &producers)?)));
        Ok(LaneParts {
            shard,
            turn,
            port,
            readers: owned.into_iter().map(reader).collect::<Result<_, _>>()?,
            sinks: sinks.collect::<Result<_, Fatal>>()?,
            dead: dead.collect::<Result<_, Fatal>>()?,
            clock: self.clock,
            started: self.started,
            notes: self.notes.clone(),
            tables: super::loading::tables(&self.plan).map(|(source, _)| source).collect(),
        })
    }

    fn broker(&self) -> Result<&dyn Broker, Fatal> {
        self.broker.as_deref().ok_or_else(no_client)
    }

    /// One producer per cluster that the shard writes to.
    fn producers(&self, shard: ShardId, bell: &Arc<Bell>) -> Result<Producers, Fatal> {
        let sinks = self.plan.sinks.iter().enumerate().filter_map(|(i, sink)| match &sink.connector {
            SinkConnector::Kafka(kafka) if writers_of(&self.plan, i, self.shards).contains(&shard) => {
                Some((kafka.as_ref(), dlq_of(&self.plan, i), false))
            }
            _ => None,
        });
        let dead = self.plan.dlqs.iter().enumerate().filter_map(|(i, dlq)| {
            let topic = dlq.topic.as_deref().filter(|_| dlq.enabled && home_of(i, self.shards) == shard)?;
            Some((topic, i, true))
        });
        let mut clusters: BTreeMap<&Client, (Vec<TopicGrave>, Vec<usize>)> = BTreeMap::new();
        for (kafka, dlq, is_letters) in sinks.chain(dead) {
            let (topics, dlqs) = clusters.entry(&kafka.client).or_default();
            if topics.iter().any(|known| known.topic == kafka.topic) {
                continue;
            }
            let grave = dlqs.iter().position(|known| *known == dlq).unwrap_or_else(|| {
                dlqs.push(dlq);
                dlqs.len() - 1
            });
            topics.push(TopicGrave { topic: kafka.topic.clone(), grave, is_letters });
        }
        let mut producers = Producers::default();
        for (client, (topics, dlqs)) in clusters {
            let names: Vec<String> = topics.iter().map(|topic| topic.topic.clone()).collect();
            let spec = ProduceSpec { client: client.clone(), topics: names.clone(), eager: self.eager_topics };
            let ring = Arc::clone(bell);
            let produce = self.broker()?.produce(spec, Arc::new(move || ring.ring()))?;
            let graves = dlqs.iter().map(|dlq| self.grave(*dlq, bell)).collect::<Result<Vec<Grave>, Fatal>>()?;
            let brokers = client.brokers().to_owned();
            producers.push((client.clone(), names, Producer::shared(produce, brokers, topics, graves)));
        }
        Ok(producers)
    }

    /// What becomes of refused records whose dead letters are those of destination `dlq`.
    fn grave(&self, dlq: usize, bell: &Arc<Bell>) -> Result<Grave, Fatal> {
        let plan = &self.plan.dlqs[dlq];
        let place = match (plan.failure, plan.enabled, &plan.topic) {
            (Failure::Log, ..) => Place::Log(PassedOver::default()),
            (Failure::Stop, ..) | (Failure::DeadLetter, false, _) => Place::Stop,
            (Failure::DeadLetter, true, None) => Place::File(DeadLetterFile::new(plan.path.clone(), true)),
            (Failure::DeadLetter, true, Some(kafka)) => {
                let broker = self.broker.clone().ok_or_else(no_client)?;
                let (mut client, topics) = (kafka.client.clone(), vec![kafka.topic.clone()]);
                // What the other producer does not even send may fit into the dead letters' topic.
                client.settings.insert("message.max.bytes".to_owned(), LETTER_BYTES_MAX.to_string());
                let spec = ProduceSpec { client, topics, eager: true };
                let (bell, cpus) = (Arc::clone(bell), self.client_cpus.clone());
                let open = move || {
                    let bell = Arc::clone(&bell);
                    topology::unbound(&cpus, || broker.produce(spec.clone(), Arc::new(move || bell.ring())))
                };
                Place::Topic(Letters::new(kafka.topic.clone(), Box::new(open)))
            }
        };
        Ok(Grave::new(place, self.plan.name.clone(), self.clock))
    }

    /// One fetcher per cluster and group over the shard's partitions.
    fn fetches(
        &self,
        owned: &[(SourceId, PartitionId)],
        slab_bytes: usize,
        bell: &Arc<Bell>,
    ) -> Result<Fetches, Fatal> {
        let mut lists: BTreeMap<(&Client, &str), FetchList> = BTreeMap::new();
        for (source, partition) in owned {
            let Input::Topics(input) = &self.inputs[source.index()] else { continue };
            let Some(start) = input.starts.get(&partition.0) else { continue };
            let list = lists.entry((&input.client, &input.group)).or_default();
            let at = TopicPartition { topic: input.topic.clone(), partition: partition.0 };
            list.0.push(FetchFrom { at, from: start.offset, until: start.until });
            list.1.push((*source, *partition));
            list.2 |= wants_headers(&self.plan, *source);
        }
        let mut fetches = Fetches::new();
        for ((client, group), (partitions, places, headers)) in lists {
            let spec = FetchSpec { client: client.clone(), group: group.to_owned(), partitions, headers, slab_bytes };
            let bell = Arc::clone(bell);
            let fetch = self.broker()?.fetch(spec, Arc::new(move || bell.ring()))?;
            let fetch: SharedFetch = Rc::new(RefCell::new(fetch));
            fetches.extend(places.into_iter().enumerate().map(|(i, place)| (place, (Rc::clone(&fetch), i))));
        }
        Ok(fetches)
    }

    fn topic_sink(kafka: &KafkaSink, producers: &Producers) -> Result<Box<dyn SinkWriter>, Fatal> {
        let found =
            producers.iter().find(|(client, topics, _)| *client == kafka.client && topics.contains(&kafka.topic));
        let missing = || Fatal::new(format!("topic {} has no producer on this shard", kafka.topic));
        let (_, topics, producer) = found.ok_or_else(missing)?;
        let at = topics.iter().position(|t| *t == kafka.topic).ok_or_else(missing)?;
        Ok(Box::new(TopicSink::new(Rc::clone(producer), at, kafka.topic.clone())))
    }

    fn dead(&self, n: usize, producers: &Producers) -> Result<Sink, Fatal> {
        let dlq: &DlqPlan = &self.plan.dlqs[n];
        if let Some(kafka) = dlq.topic.as_deref().filter(|_| dlq.enabled) {
            return Ok(Sink { writer: Opener::topic_sink(kafka, producers)?, eager: true, served: true });
        }
        let (path, enabled) = (dlq.path.clone(), dlq.enabled);
        let writer = Box::new(match &self.kept {
            None => DeadLetterFile::new(path, enabled),
            Some(kept) => match kept.output(|restored| restored.dead.get(n)) {
                file_sink::Kept::At(bytes) => DeadLetterFile::kept(path, enabled, Some(bytes))?,
                file_sink::Kept::New | file_sink::Kept::No => DeadLetterFile::kept(path, enabled, None)?,
            },
        });
        Ok(Sink { writer, eager: self.follow, served: false })
    }

    fn reader(
        &self,
        source: SourceId,
        partition: PartitionId,
        slab: usize,
        bell: &Arc<Bell>,
        fetches: &Fetches,
    ) -> Result<Reader, Fatal> {
        let format = &self.plan.sources[source.index()].format;
        let restored = self.kept.as_ref().and_then(|kept| kept.restored.as_ref());
        let byte = restored.map_or(0, |restored| restored.byte(source, partition));
        let (input, retry): (Box<dyn PartitionSource>, Retry) = match &self.inputs[source.index()] {
            Input::OneRow => (Box::new(OneRow::starting_at(byte)), Retry::OnNews),
            Input::Topics(input) => {
                let missing = || Fatal::new(format!("{}-{partition} has no fetcher", input.topic));
                let (fetch, index) = fetches.get(&(source, partition)).ok_or_else(missing)?;
                (Box::new(TopicPartitionSource::new(Rc::clone(fetch), *index)), Retry::OnNews)
            }
            Input::Topic(topic) => (Box::new(topic.reader(partition.0, Some(Arc::clone(bell)))), Retry::OnNews),
            Input::Files { partitions, watch, pause } => {
                let files = partitions[partition.index()].clone();
                let files = FileSource::new(files, format.clone(), *watch, slab)?.starting_at(byte)?;
                (Box::new(files), Retry::After(*pause))
            }
        };
        Ok(Reader { source, partition, input, retry })
    }

    fn sink(&self, n: usize, producers: &Producers) -> Result<Sink, Fatal> {
        let sink: &SinkPlan = &self.plan.sinks[n];
        let eager = self.follow || matches!(sink.connector, SinkConnector::Memory { .. });
        let writer: Box<dyn SinkWriter> = match &sink.connector {
            SinkConnector::File { path, append, compression } => Box::new(FileSink::open(FileSinkOptions {
                path: path.clone(),
                append: *append,
                follow: self.follow,
                compression: *compression,
                header: header_line(sink),
                kept: match &self.kept {
                    None => file_sink::Kept::No,
                    Some(kept) => kept.output(|restored| restored.sinks.get(n)),
                },
            })?),
            SinkConnector::Kafka(kafka) => {
                return Ok(Sink { writer: Opener::topic_sink(kafka, producers)?, eager: false, served: true });
            }
            SinkConnector::Stdout => match sink.format {
                SinkFormat::Table => {
                    Box::new(StdoutSink::table((self.stdout)(), Table::new(&sink.schema), self.stop.clone()))
                }
                _ => Box::new(StdoutSink::lines((self.stdout)(), header_line(sink), self.stop.clone())),
            },
            SinkConnector::Memory { topic, partitions } => {
                Box::new(self.topics.open(topic, *partitions, Retention::All).writer(self.run_start_ms))
            }
        };
        Ok(Sink { writer, eager, served: false })
    }
}
