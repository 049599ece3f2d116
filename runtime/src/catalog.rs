//! What the planner can know before a run: which files a pattern means, whether they can be read, and the types of
//! their first records.
//!
//! The first `1,000 / N` records of each of N partitions are read (at least one), whole records only, at most
//! [`HEAD_TOTAL`] bytes over all files and [`HEAD_MAX`] of one. No clock, no waiting: what is there is the sample. Only
//! an empty Kafka topic is waited for, as long as whoever runs the app lets it be.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use velostream_sql::endpoint::{Catalog, CatalogError, SourceSpec};
use velostream_sql::plan::{Format, KafkaSource, SourceConnector};
use velostream_types::topic::{Broker, TopicRecord};
use velostream_types::{Fatal, Schema};

use crate::io::file_source::open;
use crate::io::memory::Topics;
use crate::io::paths::expand;
use crate::io::record_ends::RecordEnds;

/// Records sampled over all partitions.
const SAMPLE: usize = 1000;
/// Bytes sampled over all partitions, roughly.
const HEAD_TOTAL: usize = 64 << 20;
/// Bytes sampled of one partition at least and at most, if its records are that long.
const HEAD_MIN: usize = 1 << 20;
const HEAD_MAX: usize = 16 << 20;
/// Bytes read at a time.
const STEP: usize = 64 << 10;

/// Types of samples, each the first records of one partition: at most so many records of each are looked at.
type Infer = fn(&Format, &[Vec<u8>], usize) -> Result<Schema, String>;

/// Called between two looks at a topic that has no record yet, with its name and how long the source waits at most
/// (`None`: as long as it takes). Waits a little and answers FALSE when it was long enough.
pub type WaitForRecord = dyn FnMut(&str, Option<Duration>) -> bool;

/// The catalog of files, in-memory topics and, with a broker, Kafka topics.
pub struct FileCatalog {
    topics: Topics,
    kafka: Option<Kafka>,
    infer: Infer,
}

struct Kafka {
    broker: Arc<dyn Broker>,
    wait: Box<WaitForRecord>,
}

impl Default for FileCatalog {
    fn default() -> FileCatalog {
        FileCatalog::with_topics(Topics::default())
    }
}

impl FileCatalog {
    /// A catalog of the files there are and of these topics.
    pub fn with_topics(topics: Topics) -> FileCatalog {
        FileCatalog { topics, kafka: None, infer: velostream_exec::format::infer }
    }

    /// Kafka topics are sampled through `broker`; `wait` decides how long an empty one is waited for.
    pub fn with_broker(mut self, broker: Arc<dyn Broker>, wait: Box<WaitForRecord>) -> FileCatalog {
        self.kafka = Some(Kafka { broker, wait });
        self
    }

    /// The first records of a topic: those there are when it is asked, or the first that comes.
    fn kafka_heads(&mut self, spec: &SourceSpec, source: &KafkaSource) -> Result<(Vec<Vec<u8>>, usize), CatalogError> {
        let brokers = source.client.brokers().to_owned();
        let failed = |fatal: Fatal| CatalogError::Brokers { brokers: brokers.clone(), reason: fatal.message };
        let Some(Kafka { broker, wait }) = &mut self.kafka else {
            let reason = "there is no Kafka client here".to_owned();
            return Err(CatalogError::Brokers { brokers, reason });
        };
        let topic = &source.topic;
        let patience = Duration::from_nanos(source.connect_timeout_ns.unsigned_abs());
        let partitions = broker.partitions(&source.client, topic, patience).map_err(&failed)?;
        let Some(partitions) = partitions else {
            return Err(CatalogError::NoTopic { topic: topic.clone(), brokers });
        };
        let each = (SAMPLE / partitions.max(1) as usize).max(1);
        let longest = spec.schema_wait_ns.map(|ns| Duration::from_nanos(ns.unsigned_abs()));
        loop {
            let records = broker.sample(&source.client, topic, each).map_err(&failed)?;
            if records.iter().any(|record| record.value.is_some()) {
                return Ok((heads(records, partitions, &spec.format), each));
            }
            if !wait(topic, longest) {
                return Err(CatalogError::NoRecord { topic: topic.clone() });
            }
        }
    }

    fn topic_heads(&self, name: &str) -> Result<(Vec<Vec<u8>>, usize), CatalogError> {
        let Some(topic) = self.topics.get(name) else {
            return Err(CatalogError::Missing { searched: name.into(), similar: self.topics.names() });
        };
        let each = (SAMPLE / topic.partitions() as usize).max(1);
        let head = |partition| {
            topic.head(partition, each).into_iter().flat_map(|value| [value, b"\n".to_vec()].concat()).collect()
        };
        Ok(((0..topic.partitions()).map(head).collect(), each))
    }
}

impl Catalog for FileCatalog {
    fn infer(&mut self, spec: &SourceSpec) -> Result<Schema, CatalogError> {
        let (path, (heads, each)) = match &spec.connector {
            SourceConnector::OneRow => return Ok(Schema::new(Vec::new())),
            SourceConnector::Memory { topic } => (topic.clone(), self.topic_heads(topic)?),
            // A raw record is one column whatever it holds.
            SourceConnector::Kafka(kafka) if matches!(spec.format, Format::Raw(_)) => {
                (kafka.topic.clone(), (vec![Vec::new()], 1))
            }
            SourceConnector::Kafka(kafka) => (format!("the topic {}", kafka.topic), self.kafka_heads(spec, kafka)?),
            SourceConnector::File { pattern, sequential, .. } => {
                let files = expand(pattern)?;
                let heads = match sequential {
                    true => sequential_heads(&files, &spec.format)?,
                    false => parallel_heads(&files, &spec.format)?,
                };
                (pattern.display().to_string(), heads)
            }
        };
        (self.infer)(&spec.format, &heads, each).map_err(|reason| CatalogError::Malformed { path, reason })
    }

    fn check(&mut self, spec: &SourceSpec) -> Result<(), CatalogError> {
        match &spec.connector {
            // The run looks for topics: a declared one may still be on its way.
            SourceConnector::OneRow | SourceConnector::Kafka(_) => Ok(()),
            SourceConnector::Memory { topic } => self.topic_heads(topic).map(drop),
            SourceConnector::File { pattern, .. } => {
                let can_open = |path: &PathBuf| if is_pipe(path)? { Ok(()) } else { open(path).map(drop) };
                expand(pattern)?.iter().try_for_each(|path| can_open(path).map_err(|e| unreadable(path, &e)))
            }
        }
    }

    fn has_one_header(&mut self, spec: &SourceSpec) -> bool {
        // A folder or a pattern that means one file now may mean two when the run begins.
        matches!(&spec.connector, SourceConnector::File { pattern, .. } if pattern.is_file())
    }

    fn bytes(&mut self, spec: &SourceSpec) -> Option<u64> {
        let SourceConnector::File { pattern, .. } = &spec.connector else { return None };
        let is_packed = |path: &PathBuf| path.extension().is_some_and(|end| end == "gz" || end == "zst");
        let size = |path: &PathBuf| {
            let known = !is_packed(path) && !is_pipe(path).ok()?;
            std::fs::metadata(path).ok().filter(|_| known).map(|file| file.len())
        };
        expand(pattern).ok()?.iter().map(size).sum()
    }
}

/// Values of a sample as lines, one head per partition. A line feed inside a value is blank in JSON, where it can only
/// stand between tokens, and is left alone in CSV, where it stands in quotes.
fn heads(mut records: Vec<TopicRecord>, partitions: u32, format: &Format) -> Vec<Vec<u8>> {
    records.sort_by_key(|record| (record.partition, record.offset));
    let mut heads = vec![Vec::new(); partitions as usize];
    for record in records {
        let (Some(value), Some(head)) = (record.value, heads.get_mut(record.partition as usize)) else { continue };
        let line = value.strip_suffix(b"\n").unwrap_or(&value);
        match format {
            Format::JsonLines => head.extend(line.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte })),
            Format::Csv { .. } | Format::Raw(_) => head.extend_from_slice(line),
        }
        head.push(b'\n');
    }
    heads
}

/// TRUE for what gives its bytes only once: opening a pipe may wait for its writer, and reading takes from the run.
fn is_pipe(path: &Path) -> std::io::Result<bool> {
    let kind = std::fs::metadata(path)?.file_type();
    Ok(!kind.is_file() && !kind.is_dir())
}

fn unreadable(path: &Path, error: &std::io::Error) -> CatalogError {
    CatalogError::Unreadable { path: path.display().to_string(), reason: error.to_string() }
}

/// Each file is a partition: the sample is spread over all of them.
fn parallel_heads(files: &[PathBuf], format: &Format) -> Result<(Vec<Vec<u8>>, usize), CatalogError> {
    let each = (SAMPLE / files.len().max(1)).max(1);
    let limit = (HEAD_TOTAL / files.len().max(1)).clamp(HEAD_MIN, HEAD_MAX);
    let heads: Result<_, _> = files
        .iter()
        .map(|path| head(path, format, each, limit).map(|(bytes, _)| bytes).map_err(|error| unreadable(path, &error)))
        .collect();
    Ok((heads?, each))
}

/// The files are one partition: the sample goes on from file to file until it is full.
fn sequential_heads(files: &[PathBuf], format: &Format) -> Result<(Vec<Vec<u8>>, usize), CatalogError> {
    let (mut heads, mut left) = (Vec::new(), SAMPLE);
    for path in files {
        if left == 0 {
            break;
        }
        let (bytes, records) = head(path, format, left, HEAD_MAX).map_err(|error| unreadable(path, &error))?;
        left -= records.min(left);
        heads.push(bytes);
    }
    Ok((heads, SAMPLE))
}

/// The first `records` records of a file and how many there are, cut behind the last whole one unless the file ends
/// or `limit` bytes hold none.
fn head(path: &Path, format: &Format, records: usize, limit: usize) -> std::io::Result<(Vec<u8>, usize)> {
    if is_pipe(path)? {
        let reason = "it is no regular file, and a sample would take its first records away; declare its columns";
        return Err(std::io::Error::other(reason));
    }
    let mut reader = open(path)?;
    let mut ends = RecordEnds::new(format);
    let wanted = records + ends.lead;
    let (mut bytes, mut cut) = (Vec::new(), 0);
    loop {
        let start = bytes.len();
        if (&mut reader).take(STEP as u64).read_to_end(&mut bytes)? == 0 {
            // The end of the file ends its last record.
            let last = usize::from(cut < bytes.len());
            return Ok((bytes, (ends.seen + last).saturating_sub(ends.lead)));
        }
        while let Some(end) = ends.next(&bytes[start..]) {
            cut = start + end;
            if ends.seen == wanted {
                bytes.truncate(cut);
                return Ok((bytes, records));
            }
        }
        if bytes.len() >= limit {
            bytes.truncate(if cut > 0 { cut } else { limit });
            return Ok((bytes, ends.seen.saturating_sub(ends.lead)));
        }
    }
}

#[cfg(test)]
mod tests;
