//! `velo-cli topic peek`: records as lines, as they come.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};
use velostream_kafka::admin::{Admin, Read};
use velostream_types::time::{NS_PER_MS, timestamp_text};
use velostream_types::topic::{StartAt, TopicRecord};

use crate::args::{From, Output, PeekArgs, Target};
use crate::show;

const POLL: Duration = Duration::from_millis(200);
const COUNT: u64 = 10;

/// Shows records until the count, the end, or for ever.
pub fn peek(admin: &Admin, args: &PeekArgs, output: Output) -> Result<()> {
    let format = args.format.unwrap_or(output);
    let topic = admin.topic(&args.topic)?;
    let partitions = u32::try_from(topic.partitions.len())?;
    if let Some(missing) = args.partitions.iter().find(|partition| **partition >= partitions) {
        bail!("topic \"{}\" has no partition {missing}: they are 0 to {}", args.topic, partitions.saturating_sub(1));
    }
    let ranges = ranges(admin, args, partitions)?;
    let count = args.count.unwrap_or(if args.follow { u64::MAX } else { COUNT });
    let mut reader = admin.read(&args.topic, &ranges)?;
    let mut shown = 0;
    while shown < count {
        match reader.next(POLL)? {
            Read::Idle => {}
            Read::End => break,
            Read::Record(record) => {
                shown += 1;
                if !show::print(&line(&record, args, format))? {
                    return Ok(());
                }
            }
        }
    }
    if shown == 0 && count > 0 {
        let latest = args.from == From::At(Target(StartAt::Latest));
        let hint = if latest { "; --follow waits for what comes" } else { "" };
        eprintln!("no records there{hint}");
    }
    Ok(())
}

/// Each wanted partition with its first offset and the offset it ends before.
fn ranges(admin: &Admin, args: &PeekArgs, partitions: u32) -> Result<Vec<(u32, i64, Option<i64>)>> {
    let bounds = admin.bounds(&args.topic, partitions)?;
    let starts = match args.from {
        From::Last(count) => bounds.iter().map(|b| b.end.saturating_sub(count).max(b.start)).collect(),
        From::At(Target(at)) => admin.positions(&args.topic, partitions, at)?,
    };
    let wanted = |partition: &u32| args.partitions.is_empty() || args.partitions.contains(partition);
    let all = (0..).zip(starts.into_iter().zip(&bounds)).filter(|(partition, _)| wanted(partition));
    Ok(all.map(|(partition, (start, b))| (partition, start, (!args.follow).then_some(b.end))).collect())
}

fn line(record: &TopicRecord, args: &PeekArgs, format: Output) -> String {
    match format {
        Output::Json => format!("{}\n", document(record)),
        Output::Text => text(record, args),
    }
}

fn text(record: &TopicRecord, args: &PeekArgs) -> String {
    let time = match record.timestamp_ms.checked_mul(NS_PER_MS) {
        Some(ns) if record.timestamp_ms >= 0 => timestamp_text(ns),
        _ => "no timestamp".to_owned(),
    };
    let mut line = format!("{}:{}  {time}  ", record.partition, record.offset);
    if args.key {
        line.push_str(&format!("key={}  ", show::text(record.key.as_deref())));
    }
    if args.headers {
        let pair = |(name, value): &(String, Option<Vec<u8>>)| format!("{name}={}", show::text(value.as_deref()));
        line.push_str(&format!("{{{}}}  ", record.headers.iter().map(pair).collect::<Vec<_>>().join(", ")));
    }
    match record.value.as_deref() {
        None => line.push_str("null (tombstone)"),
        value => line.push_str(&show::text(value)),
    }
    line.push('\n');
    line
}

fn document(record: &TopicRecord) -> Value {
    let mut object = Map::new();
    object.insert("partition".into(), record.partition.into());
    object.insert("offset".into(), record.offset.into());
    object.insert("timestamp".into(), json!((record.timestamp_ms >= 0).then_some(record.timestamp_ms)));
    show::json_bytes(&mut object, "key", record.key.as_deref());
    show::json_bytes(&mut object, "value", record.value.as_deref());
    let header = |(name, value): &(String, Option<Vec<u8>>)| {
        let mut object = Map::new();
        object.insert("name".into(), name.as_str().into());
        show::json_bytes(&mut object, "value", value.as_deref());
        Value::Object(object)
    };
    object.insert("headers".into(), record.headers.iter().map(header).collect());
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_as_json_keep_what_is_null_empty_or_no_text() {
        let record = TopicRecord {
            partition: 1,
            offset: 2,
            timestamp_ms: 3,
            key: Some(vec![0xff]),
            value: None,
            headers: vec![("h".into(), Some(b"x".to_vec())), ("h".into(), None)],
        };
        let expect = r#"{"partition":1,"offset":2,"timestamp":3,"key_base64":"/w==","value":null,"headers":[{"name":"h","value":"x"},{"name":"h","value":null}]}"#;
        assert_eq!(document(&record).to_string(), expect);
    }
}
