//! A broker in memory that spills: what went to files is fetched like anything else, and the files go.

use std::fs;
use std::path::Path;

use kafka_protocol::messages::DeleteTopicsRequest;
use velostream_broker::{Broker, BrokerConfig, BrokerError, Spill};

use super::client::*;
use super::{start_with, until};

const ABOVE_BYTES: u64 = 16_000;
/// Enough for a dozen files of a sixteenth of that.
const BATCHES: i64 = 300;

fn spilling(dir: &Path) -> BrokerConfig {
    let spill = Spill { dir: dir.to_owned(), above_bytes: ABOVE_BYTES };
    BrokerConfig { spill: Some(spill), ..BrokerConfig::default() }
}

/// Number of files below a folder.
fn files(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).expect("readable").map(|entry| entry.expect("entry").path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

fn value(number: i64) -> String {
    format!("record {number:03} {}", "x".repeat(30))
}

/// Produces one batch of one record; Kafka's code.
fn write(client: &mut Client, name: &str, number: i64) -> i16 {
    client.produce(8, name, 0, batch(&[&value(number)], ANYONE)).error_code
}

/// Fetches all, each time from behind the last record that came.
fn read_all(client: &mut Client, name: &str) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let data = client.fetch(11, &Fetch { topic: name, offset: all.len() as i64, ..Fetch::default() });
        assert_eq!(data.error_code, 0);
        let found = records(&data.records.expect("records"));
        let before = all.len() as i64;
        all.extend(found.into_iter().filter(|(offset, ..)| *offset >= before).map(|(_, value, _)| value));
        if all.len() as i64 == before {
            return all;
        }
    }
}

#[test]
fn what_was_spilled_is_fetched_until_its_topic_or_the_broker_goes() {
    let dir = tempfile::tempdir().expect("folder");
    let (broker, mut client) = start_with(spilling(dir.path()));
    for name in ["t", "u"] {
        assert_eq!(client.create(name, 1, &[]), 0);
        (0..BATCHES).for_each(|number| assert_eq!(write(&mut client, name, number), 0));
    }
    let wanted: Vec<String> = (0..BATCHES).map(value).collect();
    let both = files(dir.path());
    assert!(both > 20, "{both} files");
    assert_eq!((read_all(&mut client, "t"), read_all(&mut client, "u")), (wanted.clone(), wanted.clone()));
    assert_eq!(client.offset("u", 0, -2, false), (0, 0));
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic("u")]);
    assert_eq!(client.call(3, &request).responses[0].error_code, 0);
    until(|| (1..both).contains(&files(dir.path())));
    assert_eq!(read_all(&mut client, "t"), wanted);
    let direct = broker.direct();
    broker.stop();
    assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 0, "also while somebody could still call it");
    drop(direct);
}

#[test]
fn a_batch_that_cannot_be_spilled_is_refused_and_what_is_in_memory_stays() {
    let dir = tempfile::tempdir().expect("folder");
    let (_broker, mut client) = start_with(spilling(dir.path()));
    assert_eq!(client.create("t", 1, &[]), 0);
    fs::remove_dir_all(dir.path()).expect("removed");
    let stored = (0..BATCHES).take_while(|number| write(&mut client, "t", *number) == 0).count() as i64;
    assert!((100..BATCHES).contains(&stored), "{stored}");
    let refused = client.produce(8, "t", 0, batch(&[&value(stored)], ANYONE));
    let told = refused.error_message.expect("a message");
    assert_eq!(refused.error_code, 56);
    assert!(told.contains("from memory to") && told.contains(&dir.path().display().to_string()), "{told}");
    assert_eq!(read_all(&mut client, "t"), (0..stored).map(value).collect::<Vec<_>>());
}

#[test]
fn a_folder_for_spilled_segments_is_wanted_only_in_memory() {
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("written");
    let error = Broker::start(spilling(&file)).err().expect("no folder");
    assert!(matches!(&error, BrokerError::Storage(_)) && error.to_string().contains("/file: "), "{error}");
    let config = BrokerConfig { dir: Some(dir.path().join("kept")), ..spilling(&file) };
    assert!(Broker::start(config).is_ok(), "what is kept in a folder is not spilled");
}
