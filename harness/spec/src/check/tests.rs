//! Assertions over small sets of records, and what all of their tests use.

mod bounds;
mod cases;
mod speed;

pub(crate) use cases::outcomes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use velostream_types::{Span, Value};

use super::{About, Context, DeadLetter, Facts, Memory, Series, fold};
use crate::assertion::{Assertion, AssertionKind, View};
use crate::data_file::DataFile;
use crate::outcome::Outcome;
use crate::record::{Header, Record, Row};
use crate::spec::FileFormat;

/// What a test says of a run.
pub(crate) struct Run {
    pub(crate) rows: Vec<Row>,
    pub(crate) inputs: BTreeMap<String, Vec<Row>>,
    pub(crate) context: Context,
    pub(crate) keys: bool,
    pub(crate) arrivals: Vec<i64>,
    pub(crate) headers: Vec<Header>,
    pub(crate) now_ms: i64,
    pub(crate) elapsed_ms: Option<f64>,
    pub(crate) memory: Option<Memory>,
    pub(crate) dead_letters: Option<Vec<DeadLetter>>,
    pub(crate) metrics: Option<Vec<Series>>,
    pub(crate) folder: PathBuf,
}

/// Rows of JSON lines.
pub(crate) fn rows(json_lines: &str) -> Vec<Row> {
    let mut file = DataFile::open(json_lines.as_bytes(), FileFormat::JsonLines).expect("a file");
    let (mut rows, mut row) = (Vec::new(), Row::default());
    while file.next_into(&mut row).expect("a row") {
        rows.push(row.clone());
    }
    rows
}

/// One row of values that JSON does not have.
pub(crate) fn row(fields: &[(&str, Value)]) -> Row {
    Row { fields: fields.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect() }
}

impl Run {
    pub(crate) fn new(rows: Vec<Row>) -> Run {
        Run {
            rows,
            inputs: BTreeMap::new(),
            context: Context::default(),
            keys: true,
            arrivals: Vec::new(),
            headers: Vec::new(),
            now_ms: 0,
            elapsed_ms: None,
            memory: None,
            dead_letters: None,
            metrics: None,
            folder: PathBuf::new(),
        }
    }

    /// Of JSON lines.
    pub(crate) fn of(json_lines: &str) -> Run {
        Run::new(rows(json_lines))
    }

    /// With an input of these records.
    pub(crate) fn input(mut self, source: &str, json_lines: &str) -> Run {
        let rows = rows(json_lines);
        self.context.inputs.insert(source.to_owned(), rows.len() as u64);
        self.inputs.insert(source.to_owned(), rows);
        self
    }

    /// With a variable.
    pub(crate) fn variable(mut self, name: &str, value: Value) -> Run {
        self.context.variables.insert(name.to_owned(), value);
        self
    }

    /// What becomes of an assertion about the sink `trades`.
    pub(crate) fn check(&self, kind: AssertionKind) -> Outcome {
        let assertion = Assertion { kind, span: Span { start: 0, end: 0 }, view: View::Changes };
        let about = About { sink: "trades", query: "trades", context: &self.context };
        let mut fold = fold(&assertion, &about);
        let wanted = fold.inputs();
        for (source, rows) in self.inputs.iter().filter(|(source, _)| wanted.has(source)) {
            for (i, row) in rows.iter().enumerate() {
                fold.input(source, &record(row, i, None, &[]));
            }
        }
        for (i, row) in self.rows.iter().enumerate() {
            let key = format!("k{i}");
            let mut record = record(row, i, self.keys.then_some(key.as_bytes()), &self.headers);
            record.arrival_ms = self.arrivals.get(i).copied();
            fold.record(&record);
        }
        let mut context = self.context.clone();
        context.outputs.insert("trades".to_owned(), self.rows.len() as u64);
        let facts = Facts {
            records: self.rows.len() as u64,
            context: &context,
            now_ms: self.now_ms,
            elapsed_ms: self.elapsed_ms,
            memory: self.memory,
            dead_letters: self.dead_letters.as_deref(),
            metrics: self.metrics.as_deref(),
            files: &|path: &Path| self.folder.join(path),
        };
        fold.finish(&facts)
    }
}

/// A record of a row: partition 0, offset as it comes.
pub(crate) fn record<'a>(row: &'a Row, nth: usize, key: Option<&'a [u8]>, headers: &'a [Header]) -> Record<'a> {
    Record { row: Some(row), key, partition: 0, offset: nth as i64, timestamp_ms: None, arrival_ms: None, headers }
}
