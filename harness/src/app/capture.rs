//! What a query gave, and was given, as assertions see it: one scan over the stored records, decoded one at a time.

use std::path::Path;

use velostream_broker::StoredRecord;
use velostream_spec::data_file::{DataFile, format_of, json_row};
use velostream_spec::record::{Header, Record, Row};
use velostream_spec::spec::FileFormat;
use velostream_types::headers::Headers;

use super::topics::Topics;

/// Records that could not be decoded are told of one by one up to this many.
const TOLD: usize = 3;

/// What a scan found beside the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Records that were shown.
    pub records: u64,
    /// What could not be decoded, the first of it.
    pub warnings: Vec<String>,
    undecodable: u64,
}

impl Scanned {
    fn bad(&mut self, place: &str, why: &str) {
        self.undecodable += 1;
        if self.warnings.len() < TOLD {
            self.warnings.push(format!("{place} could not be decoded: {why}"));
        }
    }

    fn end(mut self) -> Scanned {
        if self.undecodable > TOLD as u64 {
            self.warnings.push(format!("{} records could not be decoded", self.undecodable));
        }
        self
    }
}

/// Shows all records of a topic, partition by partition. Those that are no JSON object are left out and told of. With
/// `timed` they have the time they came at, where that is known.
pub fn topic(topics: &Topics, name: &str, timed: bool, each: &mut dyn FnMut(&Record<'_>)) -> Result<Scanned, String> {
    let (mut row, mut headers, mut scanned) = (Row::default(), Vec::<Header>::new(), Scanned::default());
    let mut show = |partition: u32, stored: StoredRecord<'_>| {
        let decoded = stored.value.map(|value| json_row(value, &mut row)).transpose();
        if let Err(error) = decoded {
            return scanned.bad(&format!("{name}: record {partition}@{}", stored.offset), &error.to_string());
        }
        headers.clear();
        headers.extend(
            Headers::new(stored.headers)
                .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.map(<[u8]>::to_vec))),
        );
        scanned.records += 1;
        each(&Record {
            row: stored.value.is_some().then_some(&row),
            key: stored.key,
            partition,
            offset: stored.offset,
            timestamp_ms: Some(stored.timestamp_ms),
            headers: &headers,
            arrival_ms: if timed { topics.arrival_ms(name, partition, stored.offset) } else { None },
        });
    };
    topics.scan(name, &mut show)?;
    Ok(scanned.end())
}

/// Shows all records of a file.
pub fn file(path: &Path, format: Option<FileFormat>, each: &mut dyn FnMut(&Record<'_>)) -> Result<Scanned, String> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        // A query that gave nothing may leave no file.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Scanned::default()),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let shown = path.display();
    let mut file = match DataFile::open(&bytes, format.unwrap_or_else(|| format_of(path))) {
        Ok(file) => file,
        Err(error) => return Err(format!("{shown}: {}", error.with_caret())),
    };
    let (mut row, mut scanned) = (Row::default(), Scanned::default());
    while file.next_into(&mut row).map_err(|error| format!("{shown}: {}", error.with_caret()))? {
        let offset = scanned.records as i64;
        scanned.records += 1;
        each(&Record {
            row: Some(&row),
            key: None,
            partition: 0,
            offset,
            timestamp_ms: None,
            headers: &[],
            arrival_ms: None,
        });
    }
    Ok(scanned)
}
