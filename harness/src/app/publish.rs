//! The inputs of a query test on their way into its topics.
//!
//! Records are generated, read from a file or taken over from an earlier query, encoded as the source's format says, and
//! appended in batches, all of them before the statement is deployed. A topic has one partition unless the spec's topics
//! say otherwise; keys decide which.

use std::path::{Path, PathBuf};

use velostream_broker::StoredRecord;
use velostream_kafka::partition_of;
use velostream_spec::data_file::{DataFile, format_of};
use velostream_spec::findings::{BAD_FILE, NO_SCHEMA, NOTHING_GIVEN};
use velostream_spec::generate::{Generator, SourceSpec as Wanted, encode, event_time_of};
use velostream_spec::record::{Published, Row};
use velostream_spec::schema::{DataSchema, Reference};
use velostream_spec::spec::{Input, InputFrom};
use velostream_sql::diag::{Diagnostic, line};
use velostream_sql::endpoint::SourceSpec;
use velostream_sql::plan::{Format, SourceConnector};
use velostream_types::headers::{EVENT_TIME, HeaderBuilder};
use velostream_types::topic::TopicRecord;

use super::refused::Refused;
use super::told::EVERY;
use super::topics::{TopicWriter, Topics};

/// Records of inputs that say nothing of their number.
const RECORDS: u64 = 1_000;

/// What generating needs to know of the whole test.
pub struct Origin<'t> {
    /// Name of the app.
    pub application: &'t str,
    /// Name of the query test.
    pub query: &'t str,
    /// The spec's default number of records.
    pub default_records: Option<u64>,
    /// Data schemas by name; of one name the last counts.
    pub schemas: &'t [LoadedSchema],
    /// Folders that paths resolve from: the spec's, then the app's.
    pub folders: [&'t Path; 2],
}

/// A data schema and the file it is from.
#[derive(Clone, Debug)]
pub struct LoadedSchema {
    /// The schema.
    pub schema: DataSchema,
    /// The file, as shown.
    pub shown: String,
    /// Its text.
    pub text: String,
}

/// Where an input goes.
pub struct Target<'t> {
    /// The topics of this query test.
    pub topics: &'t Topics,
    /// The topic, as the SQL calls it.
    pub topic: &'t str,
    /// How its values are encoded.
    pub encoding: Encoding,
    /// Hears how many records were published, and of how many where that is known; FALSE ends it.
    pub progress: &'t dyn Fn(u64, Option<u64>) -> bool,
}

/// Encoding of published values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// An object each.
    Json,
    /// A line each, without header.
    Csv,
}

impl Encoding {
    /// That of a source; who takes a record's value as it is gets the object's text.
    pub fn of(format: &Format) -> Encoding {
        match format {
            Format::JsonLines | Format::Raw(_) => Encoding::Json,
            Format::Csv { .. } => Encoding::Csv,
        }
    }

    /// Appends a row.
    fn write(self, row: &Row, out: &mut Vec<u8>) {
        match self {
            Encoding::Json => encode::json(row, out),
            Encoding::Csv => encode::csv_line(row, out),
        }
    }
}

/// Earlier queries and where their records are.
pub type Earlier<'e> = &'e dyn Fn(&str) -> Option<(Topics, String)>;

/// The topic of a source that reads one.
pub fn topic_of(spec: &SourceSpec) -> Option<&str> {
    match &spec.connector {
        SourceConnector::Kafka(kafka) => Some(&kafka.topic),
        _ => None,
    }
}

/// Publishes an input; answers how many records, and what its author should know.
pub fn publish(
    input: &Input,
    target: &Target<'_>,
    origin: &Origin<'_>,
    generator: &mut Generator,
    earlier: Earlier<'_>,
) -> Result<(u64, Vec<String>), Refused> {
    let mut batches = Batches::new(target)?;
    let count = match &input.from {
        InputFrom::Generated => return generate(input, target, origin, generator, batches),
        InputFrom::Previous(query) => {
            let (topics, topic) = earlier(query).ok_or_else(|| {
                let message = format!("the query \"{query}\" gave nothing that could be published");
                let advice = "it was skipped, did not run to its end, or writes no topic";
                Refused::at(NOTHING_GIVEN, input.span, message).advise(advice)
            })?;
            let mut failed = None;
            topics.scan(&topic, &mut |_, record| {
                if failed.is_none() {
                    failed = batches.take_over(&record).err();
                }
            })?;
            failed.map_or(Ok(batches.count), |message| Err(Refused::from(message)))
        }
        InputFrom::DataFile(path) | InputFrom::File { path, .. } => {
            read_file(input, &found(path, &origin.folders), &mut batches, generator)
        }
    }?;
    batches.finish()?;
    Ok((count, Vec::new()))
}

fn generate(
    input: &Input,
    target: &Target<'_>,
    origin: &Origin<'_>,
    generator: &mut Generator,
    mut batches: Batches<'_>,
) -> Result<(u64, Vec<String>), Refused> {
    let name = input.schema.as_deref().unwrap_or(&input.source);
    let loaded = schema_named(origin.schemas, name).ok_or_else(|| no_schema(input, name, origin.schemas))?;
    let records = input.records.or(loaded.schema.record_count).or(origin.default_records).unwrap_or(RECORDS);
    let wanted = Wanted {
        source: &input.source,
        application: origin.application,
        query: origin.query,
        records,
        time: input.time.as_ref(),
        key_field: input.key_field.as_deref(),
        null_probability: input.null_probability,
    };
    let said = |finding: &Diagnostic| line(finding, &loaded.shown, &loaded.text, false);
    let told = |found: Vec<Diagnostic>| {
        let lines: Vec<String> = found.iter().map(said).collect();
        Refused::from(format!("input \"{}\": {}", input.source, lines.join("\n")))
    };
    let mut warnings = offer_files(&loaded.schema, origin, generator);
    batches.of = Some(records);
    let mut source = generator.source(&loaded.schema, &wanted).map_err(told)?;
    warnings.extend(source.warnings().iter().map(said));
    let mut record = Published::default();
    let mut value = Vec::new();
    while source.next_into(&mut record) {
        value.clear();
        target.encoding.write(&record.row, &mut value);
        let key = record.key.as_deref().map(str::as_bytes);
        batches.push(key, trimmed(&value), record.event_time_ms)?;
    }
    let count = batches.count;
    batches.finish()?;
    Ok((count, warnings))
}

/// Gives references that no published record meets the values of their files. One that cannot be read is warned of:
/// values are made up then.
fn offer_files(schema: &DataSchema, origin: &Origin<'_>, generator: &mut Generator) -> Vec<String> {
    let unmet: Vec<Reference> = generator.unmet(schema).filter(|reference| reference.file.is_some()).cloned().collect();
    let mut warnings = Vec::new();
    for reference in unmet {
        let Some(path) = reference.file.as_ref().map(|file| found(Path::new(file), &origin.folders)) else { continue };
        let offered = each_row(&path, &mut |row| {
            if let Some(value) = row.get(&reference.field) {
                generator.offer(&reference.schema, &reference.field, value);
            }
            Ok(())
        });
        warnings
            .extend(offered.err().map(|error| format!("reference {}.{}: {error}", reference.schema, reference.field)));
    }
    warnings
}

/// A path of the spec or of a schema: below the first of these folders that has it.
fn found(path: &Path, folders: &[&Path]) -> PathBuf {
    let there = folders.iter().map(|folder| folder.join(path)).find(|path| path.exists());
    there.unwrap_or_else(|| folders.first().map_or_else(|| path.to_path_buf(), |folder| folder.join(path)))
}

/// Records of a schema that nobody publishes: they tell its types. None where it cannot be drawn from.
pub fn sample(mut generator: Generator, loaded: &LoadedSchema, encoding: Encoding, records: u64) -> Vec<TopicRecord> {
    let wanted = Wanted {
        source: &loaded.schema.name,
        application: "",
        query: "",
        records,
        time: None,
        key_field: None,
        null_probability: None,
    };
    let Ok(mut source) = generator.source(&loaded.schema, &wanted) else { return Vec::new() };
    let (mut record, mut samples) = (Published::default(), Vec::new());
    while source.next_into(&mut record) {
        let mut value = Vec::new();
        encoding.write(&record.row, &mut value);
        let (offset, timestamp_ms) = (samples.len() as i64, record.event_time_ms.unwrap_or(0));
        let value = Some(trimmed(&value).to_vec());
        samples.push(TopicRecord { partition: 0, offset, timestamp_ms, key: None, value, headers: Vec::new() });
    }
    samples
}

/// The schema of this name: the last that was loaded.
pub fn schema_named<'s>(schemas: &'s [LoadedSchema], name: &str) -> Option<&'s LoadedSchema> {
    let stem = Path::new(name).file_name().and_then(|name| name.to_str()).unwrap_or(name);
    let stem = stem.strip_suffix(".yaml").or(stem.strip_suffix(".yml")).unwrap_or(stem);
    let stem = stem.strip_suffix(".schema").unwrap_or(stem);
    let is_file = |loaded: &&LoadedSchema| {
        let file = PathBuf::from(&loaded.shown);
        let own = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        own.split('.').next() == Some(stem)
    };
    schemas.iter().rfind(|loaded| loaded.schema.name == name).or_else(|| schemas.iter().rfind(is_file))
}

fn no_schema(input: &Input, name: &str, schemas: &[LoadedSchema]) -> Refused {
    let names: Vec<&str> = schemas.iter().map(|loaded| loaded.schema.name.as_str()).collect();
    let known = if names.is_empty() { "none was found".to_owned() } else { format!("known are {}", names.join(", ")) };
    let near = velostream_sql::suggest::did_you_mean(name, names.iter().copied());
    let near = near.map_or(String::new(), |near| format!("; {near}"));
    Refused::at(NO_SCHEMA, input.span, format!("there is no data schema \"{name}\"")).advise(format!("{known}{near}"))
}

fn read_file(input: &Input, path: &Path, batches: &mut Batches<'_>, generator: &mut Generator) -> Result<u64, Refused> {
    let schema = input.schema.as_deref().unwrap_or(&input.source);
    let referred = generator.referred(schema);
    let mut value = Vec::new();
    let mut publish = |row: &Row| {
        for field in &referred {
            if let Some(value) = row.get(field) {
                generator.offer(schema, field, value);
            }
        }
        value.clear();
        batches.encoding.write(row, &mut value);
        let key = input.key_field.as_deref().and_then(|field| row.get(field)).filter(|value| !value.is_null());
        let key = key.map(|value| velostream_spec::record_text::text(value).into_owned());
        batches.push(key.as_deref().map(str::as_bytes), trimmed(&value), event_time_of(row))
    };
    each_row(path, &mut publish).map_err(|error| Refused::at(BAD_FILE, input.span, error))?;
    Ok(batches.count)
}

/// Calls `each` with the rows of a file.
fn each_row(path: &Path, each: &mut dyn FnMut(&Row) -> Result<(), String>) -> Result<(), String> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("{shown}: {error}"))?;
    let failed = |error: velostream_spec::data_file::DataError| format!("{shown}: {}", error.with_caret());
    let mut file = DataFile::open(&bytes, format_of(path)).map_err(failed)?;
    let mut row = Row::default();
    while file.next_into(&mut row).map_err(failed)? {
        each(&row)?;
    }
    Ok(())
}

/// A record has no line end.
fn trimmed(value: &[u8]) -> &[u8] {
    value.strip_suffix(b"\n").unwrap_or(value)
}

/// Records on their way into one topic.
struct Batches<'t> {
    writer: TopicWriter<'t>,
    encoding: Encoding,
    now_ms: i64,
    headers: Vec<u8>,
    count: u64,
    of: Option<u64>,
    progress: &'t dyn Fn(u64, Option<u64>) -> bool,
}

impl<'t> Batches<'t> {
    fn new(target: &Target<'t>) -> Result<Batches<'t>, String> {
        Ok(Batches {
            writer: target.topics.writer(target.topic)?,
            encoding: target.encoding,
            now_ms: target.topics.now_ms(),
            headers: Vec::new(),
            count: 0,
            of: None,
            progress: target.progress,
        })
    }

    /// A new record; its event time is its timestamp and a header.
    fn push(&mut self, key: Option<&[u8]>, value: &[u8], event_time_ms: Option<i64>) -> Result<(), String> {
        self.headers.clear();
        if let Some(ms) = event_time_ms {
            let mut headers = HeaderBuilder::default();
            headers.push(EVENT_TIME.as_bytes(), Some(ms.to_string().as_bytes()));
            self.headers = headers.finish();
        }
        let headers = std::mem::take(&mut self.headers);
        self.append(event_time_ms.unwrap_or(self.now_ms), key, Some(value), &headers)?;
        self.headers = headers;
        Ok(())
    }

    /// A record of an earlier query, as it is.
    fn take_over(&mut self, record: &StoredRecord<'_>) -> Result<(), String> {
        self.append(record.timestamp_ms, record.key, record.value, record.headers)
    }

    fn append(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[u8],
    ) -> Result<(), String> {
        let partitions = self.writer.partitions();
        let partition = match key {
            Some(key) => partition_of(key, partitions),
            None => (self.count % u64::from(partitions)) as u32,
        };
        self.count += 1;
        if self.count.is_multiple_of(EVERY) && !(self.progress)(self.count, self.of) {
            return Err("the run was stopped".to_owned());
        }
        self.writer.push(partition, timestamp_ms, key, value, headers)
    }

    fn finish(self) -> Result<(), String> {
        self.writer.finish()
    }
}
