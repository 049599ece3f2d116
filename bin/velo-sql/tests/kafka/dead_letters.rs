//! Dead letters of topic records: whatever fails, and wherever, the letter has the record's key, headers, and place.

use velostream_types::Chunk;
use velostream_types::headers::HeaderBuilder;
use velostream_types::topic::TopicRecord;

use super::world::{PATIENCE, broker, finish, producer, records, run, topic};

fn header(record: &TopicRecord, name: &str) -> Option<String> {
    let found = record.headers.iter().find(|(key, _)| key == name)?;
    found.1.as_deref().map(|value| String::from_utf8_lossy(value).into_owned())
}

#[test]
fn an_expression_that_fails_leaves_key_headers_and_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = broker();
    let brokers = broker.bootstrap();
    topic(&brokers, "in", 1);
    let mut headers = HeaderBuilder::default();
    headers.push(b"trace", Some(b"77"));
    let mut chunk = Chunk::default();
    let max = i64::MAX;
    let lines = [
        "{\"n\":1}".to_owned(),
        format!("{{\"n\":{max}}}"),
        "{\"n\":}".to_owned(),
        "{\"n\":4}".to_owned(),
        format!("{{\"n\":{max},\"late\":1}}"),
    ];
    for (at, line) in lines.iter().enumerate() {
        chunk.bytes.extend_from_slice(format!("{line}\n").as_bytes());
        chunk.end_row();
        chunk.keys.push(Some(format!("key{at}").into_bytes().into_boxed_slice()));
        chunk.headers.push(Some(headers.clone().finish().into_boxed_slice()));
        chunk.times_ms.push(1_700_000_000_000 + at as i64);
    }
    let mut out = producer(&brokers, "in");
    assert_eq!(out.send(0, &chunk, 0), Ok(lines.len()));
    assert!(out.flush(PATIENCE).expect("the broker is there"));
    // The filter keeps every row, so that batches are cut anew on their way to the projection.
    let app = "CREATE STREAM t (n INT) WITH (type = 'kafka', topic = 'in');
               CREATE STREAM out AS SELECT n + 1 AS m FROM t WHERE n <> 4
                 WITH ('out.type' = 'kafka', 'out.topic' = 'out');";
    std::fs::write(folder.path().join("app.sql"), app).expect("the app");
    finish(run(folder.path(), "app.sql", &brokers, &["--until-end"]));
    let check = |topic: &str, offsets: &[usize], stage: &str, kind: &str| {
        let letters = records(&brokers, topic);
        let found: Vec<_> = letters.iter().map(|l| header(l, "dlq.source.offset")).collect();
        assert_eq!(found, offsets.iter().map(|o| Some(o.to_string())).collect::<Vec<_>>(), "{topic}");
        for (letter, at) in letters.iter().zip(offsets) {
            let (key, value) = (format!("key{at}"), lines[*at].as_bytes());
            assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (Some(key.as_bytes()), Some(value)));
            let timestamp = (1_700_000_000_000 + *at as i64).to_string();
            for (name, want) in [
                ("trace", "77"),
                ("dlq.source.topic", "in"),
                ("dlq.source.partition", "0"),
                ("dlq.source.timestamp", timestamp.as_str()),
                ("dlq.stage", stage),
                ("dlq.error.type", kind),
            ] {
                assert_eq!(header(letter, name).as_deref(), Some(want), "{name} of {at} in {topic}");
            }
        }
    };
    check("out-dlq", &[1, 4], "process", "sql_execution");
    check("in-dlq", &[2], "deserialize", "deserialization");
}
