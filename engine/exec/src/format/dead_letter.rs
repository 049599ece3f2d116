//! Dead letters as JSON lines: what went wrong, where the record came from, and the record itself.
//!
//! ```text
//! {"stage":"deserialize","code":"R0101","message":"…","source":"trades.csv","partition":0,"offset":17,
//!  "position":903,"length":20000000,"job":"app","timestamp":1700000000000,"record":"…"}
//! ```
//! `position` and `length` (of a shortened record) stand there only if known. A record that is not UTF-8 stands as
//! base64 under `record_base64` instead; one that was cut inside a character ends before it.
//!
//! A record that a sink refused has its `sink` instead of source, partition and offset, and its `key` and `headers`
//! (a list of pairs) beside its bytes.

use velostream_types::headers::{HeaderBuilder, Headers};
use velostream_types::topic::Rejected;
use velostream_types::{Chunk, DeadLetter, ErrorCode, Stage};

use super::encode::Text;
use velostream_functions::base64;

/// Appends one dead letter as a line.
pub fn encode_dead_letter(letter: &DeadLetter, job: &str, now_ms: i64, chunk: &mut Chunk) {
    let mut text = Text::default();
    text.behind(std::mem::take(&mut chunk.bytes), letter.bytes.len() + 256);
    let mut field = |name: &str, first: bool, put: &dyn Fn(&mut Text)| {
        text.byte(if first { b'{' } else { b',' });
        text.json_string(name.as_bytes());
        text.byte(b':');
        put(&mut text);
    };
    field("stage", true, &|t| t.json_string(letter.error.stage.name().as_bytes()));
    field("code", false, &|t| t.json_string(letter.error.code.code().as_bytes()));
    field("message", false, &|t| t.json_string(letter.error.message.as_bytes()));
    field("source", false, &|t| t.json_string(letter.source.as_bytes()));
    field("partition", false, &|t| t.unsigned(u64::from(letter.partition)));
    field("offset", false, &|t| t.integer(letter.offset));
    if let Some(position) = letter.position {
        field("position", false, &|t| t.unsigned(position));
    }
    if let Some(length) = letter.full_length {
        field("length", false, &|t| t.unsigned(length));
    }
    field("job", false, &|t| t.json_string(job.as_bytes()));
    field("timestamp", false, &|t| t.integer(now_ms));
    match record_text(letter) {
        Some(record) => field("record", false, &|t| t.json_string(record.as_bytes())),
        None => field("record_base64", false, &|t| {
            let mut encoded = Vec::new();
            base64::encode(&letter.bytes, &mut encoded);
            t.json_string(&encoded);
        }),
    }
    text.bytes(b"}\n");
    chunk.bytes = text.take();
    chunk.end_row();
}

/// Appends the letter as a record of a topic: value, key, timestamp and headers as they came, the reason in headers.
pub fn dead_record(letter: &DeadLetter, job: &str, now_ms: i64, chunk: &mut Chunk) {
    let origin = letter.origin.as_deref();
    let mut headers = HeaderBuilder::default();
    if let Some(own) = origin.and_then(|o| o.headers.as_deref()) {
        headers.extend(own, |_| true);
    }
    let mut put = |key: &str, value: &str| headers.push(key.as_bytes(), Some(value.as_bytes()));
    put("dlq.error.type", letter.error.code.kind());
    put("dlq.error.code", letter.error.code.code());
    put("dlq.error.message", &letter.error.message);
    put("dlq.source.topic", &letter.source);
    put("dlq.source.partition", &letter.partition.to_string());
    put("dlq.source.offset", &letter.offset.to_string());
    if let Some(origin) = origin {
        put("dlq.source.timestamp", &origin.timestamp_ms.to_string());
    }
    if let Some(length) = letter.full_length {
        put("dlq.source.length", &length.to_string());
    }
    put("dlq.job", job);
    put("dlq.stage", letter.error.stage.name());
    put("dlq.attempts", "1");
    put("dlq.failed_at", &now_ms.to_string());
    chunk.framed = true;
    chunk.bytes.extend_from_slice(&letter.bytes);
    chunk.end_row();
    chunk.keys.push(origin.and_then(|o| o.key.clone()).map(Vec::into_boxed_slice));
    chunk.headers.push(Some(headers.finish().into_boxed_slice()));
    chunk.times_ms.push(origin.map_or(now_ms, |o| o.timestamp_ms));
    chunk.deletes.push(origin.is_some_and(|o| o.null_value));
}

/// Appends a record that the topic `sink` refused as a record of the dead letters' topic: as it is, the reason in headers.
pub fn refused_record(refused: &Rejected, sink: &str, job: &str, now_ms: i64, chunk: &mut Chunk) {
    let mut headers = HeaderBuilder::default();
    headers.extend(refused.headers.as_deref().unwrap_or_default(), |_| true);
    let mut put = |key: &str, value: &str| headers.push(key.as_bytes(), Some(value.as_bytes()));
    put("dlq.error.type", ErrorCode::Refused.kind());
    put("dlq.error.code", ErrorCode::Refused.code());
    put("dlq.error.message", &refused.reason);
    put("dlq.sink.topic", sink);
    put("dlq.job", job);
    put("dlq.stage", Stage::Write.name());
    put("dlq.attempts", "1");
    put("dlq.failed_at", &now_ms.to_string());
    plain_record(refused, headers.finish(), chunk);
}

/// Appends a dead letter that its topic refused, with no more than `value_max` bytes of its value and, where `key` is
/// FALSE, without its key; headers tell what is missing.
pub fn shortened_record(refused: &Rejected, value_max: usize, key: bool, chunk: &mut Chunk) {
    let own = refused.headers.as_deref().unwrap_or_default();
    let mut headers = HeaderBuilder::default();
    headers.extend(own, |_| true);
    let mut put = |name: &[u8], part: &Option<Vec<u8>>| {
        let is_known = Headers::new(own).any(|(known, _)| known == name);
        if let Some(part) = part.as_ref().filter(|_| !is_known) {
            headers.push(name, Some(part.len().to_string().as_bytes()));
        }
    };
    let mut rest = refused.clone();
    if refused.value.as_ref().is_some_and(|value| value.len() > value_max) {
        put(b"dlq.source.length", &refused.value);
        rest.value.iter_mut().for_each(|value| value.truncate(value_max));
    }
    if !key {
        put(b"dlq.source.key.length", &rest.key.take());
    }
    plain_record(&rest, headers.finish(), chunk);
}

/// Appends a record with these headers.
fn plain_record(record: &Rejected, headers: Vec<u8>, chunk: &mut Chunk) {
    chunk.framed = true;
    chunk.bytes.extend_from_slice(record.value.as_deref().unwrap_or_default());
    chunk.end_row();
    chunk.keys.push(record.key.as_deref().map(Into::into));
    chunk.headers.push(Some(headers.into_boxed_slice()));
    chunk.times_ms.extend(record.timestamp_ms);
    chunk.deletes.push(record.value.is_none());
}

/// Appends a record that the topic `sink` refused as a line.
pub fn encode_refused(refused: &Rejected, sink: &str, job: &str, now_ms: i64, chunk: &mut Chunk) {
    let value = refused.value.as_deref();
    let mut text = Text::default();
    text.behind(std::mem::take(&mut chunk.bytes), value.map_or(0, <[u8]>::len) + 256);
    text.bytes(b"{\"stage\":");
    text.json_string(Stage::Write.name().as_bytes());
    text.bytes(b",\"code\":");
    text.json_string(ErrorCode::Refused.code().as_bytes());
    text.bytes(b",\"message\":");
    text.json_string(refused.reason.as_bytes());
    text.bytes(b",\"sink\":");
    text.json_string(sink.as_bytes());
    text.bytes(b",\"job\":");
    text.json_string(job.as_bytes());
    text.bytes(b",\"timestamp\":");
    text.integer(now_ms);
    bytes_field(&mut text, ",", "key", refused.key.as_deref());
    if let Some(headers) = refused.headers.as_deref() {
        text.bytes(b",\"headers\":[");
        for (n, (key, value)) in Headers::new(headers).enumerate() {
            bytes_field(&mut text, if n == 0 { "{" } else { ",{" }, "key", Some(key));
            bytes_field(&mut text, ",", "value", value);
            text.byte(b'}');
        }
        text.byte(b']');
    }
    bytes_field(&mut text, ",", "record", value);
    text.bytes(b"}\n");
    chunk.bytes = text.take();
    chunk.end_row();
}

/// `"name":"text"`, `"name_base64":"…"` or `"name":null`, behind `before`.
fn bytes_field(text: &mut Text, before: &str, name: &str, bytes: Option<&[u8]>) {
    text.bytes(before.as_bytes());
    let is_text = bytes.is_none_or(|bytes| std::str::from_utf8(bytes).is_ok());
    text.json_string(format!("{name}{}", if is_text { "" } else { "_base64" }).as_bytes());
    text.byte(b':');
    match bytes {
        None => text.bytes(b"null"),
        Some(bytes) if is_text => text.json_string(bytes),
        Some(bytes) => {
            let mut encoded = Vec::new();
            base64::encode(bytes, &mut encoded);
            text.json_string(&encoded);
        }
    }
}

/// The record if it is text; of a shortened one, all but a character cut in two.
fn record_text(letter: &DeadLetter) -> Option<&str> {
    match std::str::from_utf8(&letter.bytes) {
        Ok(text) => Some(text),
        Err(e) if letter.full_length.is_some() && e.error_len().is_none() => {
            std::str::from_utf8(&letter.bytes[..e.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use velostream_types::{ErrorCode, RecordError, Stage};

    fn check(bytes: &[u8], full_length: Option<u64>, want: &str) {
        let error = RecordError {
            code: ErrorCode::Malformed,
            stage: Stage::Deserialize,
            message: "no \"x\"".into(),
            span: None,
        };
        let letter = DeadLetter {
            error,
            source: "t.csv".into(),
            partition: 2,
            offset: 7,
            position: Some(90),
            full_length,
            bytes: bytes.to_vec(),

            origin: None,
        };
        let mut chunk = Chunk::default();
        encode_dead_letter(&letter, "app", 12, &mut chunk);
        let start = r#"{"stage":"deserialize","code":"R0101","message":"no \"x\"","source":"t.csv","partition":2,"offset":7,"position":90"#;
        assert_eq!(String::from_utf8_lossy(chunk.row(0)), format!("{start}{want}}}\n"));
        assert!(serde_json::from_slice::<serde_json::Value>(chunk.row(0)).is_ok());
    }

    #[test]
    fn letters() {
        check(b"a,\"b\n", None, r#","job":"app","timestamp":12,"record":"a,\"b\n""#);
        check(b"a\xff", None, r#","job":"app","timestamp":12,"record_base64":"Yf8=""#);
        check("é€".as_bytes().split_at(4).0, Some(9), r#","length":9,"job":"app","timestamp":12,"record":"é""#);
        check(b"", None, r#","job":"app","timestamp":12,"record":"""#);
    }

    fn refused(key: Option<&[u8]>, value: Option<&[u8]>) -> Rejected {
        let mut headers = HeaderBuilder::default();
        headers.push(b"h", Some(b"1"));
        let (key, value) = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
        let headers = Some(headers.finish());
        Rejected { topic: 0, reason: "too large".into(), key, value, headers, timestamp_ms: Some(5) }
    }

    #[test]
    fn refused_records_as_lines() {
        let check = |key: Option<&[u8]>, value: Option<&[u8]>, want: &str| {
            let mut chunk = Chunk::default();
            encode_refused(&refused(key, value), "out", "app", 12, &mut chunk);
            let start =
                r#"{"stage":"write","code":"R0401","message":"too large","sink":"out","job":"app","timestamp":12"#;
            assert_eq!(String::from_utf8_lossy(chunk.row(0)), format!("{start}{want}}}\n"));
            assert!(serde_json::from_slice::<serde_json::Value>(chunk.row(0)).is_ok());
        };
        let headers = r#""headers":[{"key":"h","value":"1"}]"#;
        check(Some(b"k"), Some(b"v"), &format!(r#","key":"k",{headers},"record":"v""#));
        check(None, Some(b"a\xff"), &format!(r#","key":null,{headers},"record_base64":"Yf8=""#));
        check(Some(b"k"), None, &format!(r#","key":"k",{headers},"record":null"#));
    }

    #[test]
    fn a_letter_that_is_shortened_twice_keeps_its_first_length() {
        let mut letter = refused(Some(b"key"), Some(b"abcdefgh"));
        for (value_max, key, value, names) in [
            (4, true, "abcd", vec!["h", "dlq.source.length"]),
            (1, false, "a", vec!["h", "dlq.source.length", "dlq.source.key.length"]),
        ] {
            let mut chunk = Chunk::default();
            shortened_record(&letter, value_max, key, &mut chunk);
            assert_eq!((chunk.row(0), chunk.keys[0].is_some()), (value.as_bytes(), key));
            letter.value = Some(chunk.row(0).to_vec());
            letter.headers = chunk.headers[0].as_deref().map(<[u8]>::to_vec);
            let headers: Vec<_> = Headers::new(chunk.headers[0].as_deref().unwrap()).collect();
            assert_eq!(headers.iter().map(|(key, _)| String::from_utf8_lossy(key)).collect::<Vec<_>>(), names);
            assert_eq!(headers[1].1, Some(b"8".as_slice()));
        }
    }
}
