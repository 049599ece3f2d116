//! Dead letters as JSON lines: what went wrong, where the record came from, and the record itself.
//!
//! ```text
//! {"stage":"deserialize","code":"R0101","message":"…","source":"trades.csv","partition":0,"offset":17,
//!  "position":903,"length":20000000,"job":"app","timestamp":1700000000000,"record":"…"}
//! ```
//! `position` and `length` (of a shortened record) stand there only if known. A record that is not UTF-8 stands as
//! base64 under `record_base64` instead; one that was cut inside a character ends before it.

use velostream_types::headers::HeaderBuilder;
use velostream_types::{Chunk, DeadLetter};

use super::base64;
use super::encode::Text;

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
        headers.extend(own);
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
}
