//! Keeps the records of outputs in files, for who wants to look at them or to compare two runs.
//!
//! A topic becomes a file of JSON lines in (partition, offset) order, `{"partition":0,"key":…,"headers":{…},"value":…}`. Key
//! and headers are texts; the value is the record's, or its text where it is no JSON in one line. Timestamps stay out: those of records
//! without an event time are the clock's. A file is copied.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde_json::Value;
use velostream_broker::StoredRecord;
use velostream_types::headers::Headers;

use super::judge::{Sink, SinkPlace};
use super::naming::plain;
use super::topics::Topics;

/// Writes the output of one sink to `folder`; answers the file, none where there is nothing to keep.
pub fn save(folder: &Path, query: &str, sink: &Sink, topics: &Topics) -> Result<Option<PathBuf>, String> {
    let named = |extension: &str| folder.join(format!("{}.{}.{extension}", plain(query), plain(&sink.name)));
    let (path, saved) = match &sink.place {
        SinkPlace::Topic(topic) => {
            let path = named("jsonl");
            let saved = records(&path, topics, topic);
            (path, saved)
        }
        SinkPlace::File(from) if from.exists() => {
            let extension = from.extension().map_or_else(|| "txt".into(), |extension| extension.to_string_lossy());
            let path = named(&extension);
            let copied = std::fs::copy(from, &path).map(drop).map_err(|error| error.to_string());
            (path, copied)
        }
        SinkPlace::File(_) | SinkPlace::Other => return Ok(None),
    };
    saved.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(Some(path))
}

fn records(path: &Path, topics: &Topics, topic: &str) -> Result<(), String> {
    let mut out = BufWriter::new(File::create(path).map_err(|error| error.to_string())?);
    let mut failed = None;
    topics.scan(topic, &mut |partition, record| {
        if failed.is_none() {
            failed = writeln!(out, "{}", line(partition, &record)).err();
        }
    })?;
    failed.map_or_else(|| out.flush(), Err).map_err(|error| error.to_string())
}

/// A record as a line.
pub fn line(partition: u32, record: &StoredRecord<'_>) -> String {
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes));
    let mut headers = serde_json::Map::new();
    for (name, value) in Headers::new(record.headers) {
        headers.insert(String::from_utf8_lossy(name).into_owned(), value.map_or(Value::Null, text));
    }
    let value = match record.value {
        None => "null".to_owned(),
        // As it is, numbers keep their digits; but a line has no line end.
        Some(value) if !value.contains(&b'\n') && serde_json::from_slice::<IgnoredAny>(value).is_ok() => {
            String::from_utf8_lossy(value).into_owned()
        }
        Some(value) => text(value).to_string(),
    };
    let key = record.key.map_or(Value::Null, text);
    format!("{{\"partition\":{partition},\"key\":{key},\"headers\":{},\"value\":{value}}}", Value::Object(headers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use velostream_types::headers::HeaderBuilder;

    #[test]
    fn a_record_is_a_line_of_json() {
        let mut headers = HeaderBuilder::default();
        headers.push(b"_EVENT_TIME", Some(b"5"));
        let headers = headers.finish();
        let record = |value| StoredRecord { offset: 7, timestamp_ms: 1, key: Some(b"k\"1"), value, headers: &headers };
        let common = r#"{"partition":2,"key":"k\"1","headers":{"_EVENT_TIME":"5"},"value":"#;
        assert_eq!(line(2, &record(Some(br#"{"a":1.10}"#))), format!("{common}{{\"a\":1.10}}}}"));
        assert_eq!(line(2, &record(Some(b"1,x"))), format!("{common}\"1,x\"}}"));
        assert_eq!(line(2, &record(None)), format!("{common}null}}"));
    }
}
