//! The plan's sources and sinks as readers and writers, each on the shard that owns it.
//!
//! Partitions go round over the shards in order of sources; the writer of sink `i` and of dead-letter destination `i`
//! lives on shard `i mod shards`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use velostream_exec::pipeline::home_of;
use velostream_sql::endpoint::CatalogError;
use velostream_sql::plan::{AppPlan, NodeKind, SinkConnector, SinkFormat, SinkPlan, SourceConnector};
use velostream_types::{Fatal, PartitionId, PartitionSource, ShardId, SinkWriter, SourceId};

use super::OpenStdout;
use crate::clock::RunClock;
use crate::driver::{LaneParts, Reader, Retry, Sink, Turn};
use crate::io::dead_letter::DeadLetterFile;
use crate::io::file_sink::{FileSink, FileSinkOptions};
use crate::io::file_source::{FileSource, OneRow, slab_bytes};
use crate::io::header_line;
use crate::io::memory::{Retention, Topic, Topics};
use crate::io::paths::expand;
use crate::io::stdout::StdoutSink;
use crate::io::table::Table;
use crate::mesh::MeshPort;
use crate::stop::StopHandle;
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
    /// One row without columns.
    OneRow,
}

impl Input {
    /// Number of partitions.
    pub fn partitions(&self) -> u32 {
        match self {
            Input::Files { partitions, .. } => partitions.len() as u32,
            Input::Topic(topic) => topic.partitions(),
            Input::OneRow => 1,
        }
    }
}

/// What the plan's sources read.
pub fn inputs(plan: &AppPlan, topics: &Topics, follow: bool) -> Result<Vec<Input>, Fatal> {
    let input = |source: &velostream_sql::plan::SourcePlan| match &source.connector {
        SourceConnector::OneRow => Ok(Input::OneRow),
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
}

impl Opener {
    /// The partitions of a shard.
    pub fn owned(&self, shard: ShardId) -> Vec<(SourceId, PartitionId)> {
        let all = self.inputs.iter().enumerate();
        let all = all.flat_map(|(s, input)| (0..input.partitions()).map(move |p| (SourceId(s as u16), PartitionId(p))));
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
        let readers = owned.into_iter().map(|(source, partition)| self.reader(source, partition, slab, bell));
        let mine = |i: &usize| home_of(*i, self.shards) == shard;
        let sinks = (0..self.plan.sinks.len()).filter(mine).map(|i| Ok((i, self.sink(&self.plan.sinks[i])?)));
        let dead = (0..self.plan.dlqs.len()).filter(mine).map(|i| {
            let dlq = &self.plan.dlqs[i];
            let writer = Box::new(DeadLetterFile::new(dlq.path.clone(), dlq.enabled));
            (i, Sink { writer, eager: self.follow })
        });
        Ok(LaneParts {
            shard,
            turn,
            port,
            readers: readers.collect::<Result<_, _>>()?,
            sinks: sinks.collect::<Result<_, Fatal>>()?,
            dead: dead.collect(),
            clock: self.clock,
            started: self.started,
        })
    }

    fn reader(&self, source: SourceId, partition: PartitionId, slab: usize, bell: &Arc<Bell>) -> Result<Reader, Fatal> {
        let format = &self.plan.sources[source.index()].format;
        let (input, retry): (Box<dyn PartitionSource>, Retry) = match &self.inputs[source.index()] {
            Input::OneRow => (Box::new(OneRow::default()), Retry::OnNews),
            Input::Topic(topic) => (Box::new(topic.reader(partition.0, Some(Arc::clone(bell)))), Retry::OnNews),
            Input::Files { partitions, watch, pause } => {
                let files = partitions[partition.index()].clone();
                (Box::new(FileSource::new(files, format.clone(), *watch, slab)?), Retry::After(*pause))
            }
        };
        Ok(Reader { source, partition, input, retry })
    }

    fn sink(&self, sink: &SinkPlan) -> Result<Sink, Fatal> {
        let eager = self.follow || matches!(sink.connector, SinkConnector::Memory { .. });
        let writer: Box<dyn SinkWriter> = match &sink.connector {
            SinkConnector::File { path, append, compression } => Box::new(FileSink::open(FileSinkOptions {
                path: path.clone(),
                append: *append,
                follow: self.follow,
                compression: *compression,
                header: header_line(sink),
            })?),
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
        Ok(Sink { writer, eager })
    }
}
