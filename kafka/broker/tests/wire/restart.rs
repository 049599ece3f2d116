//! What was acknowledged is there after a restart: an orderly one, and one from files copied under a running broker,
//! which is what a kill leaves.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use velostream_broker::{Broker, BrokerConfig, BrokerError};

use super::client::*;
use super::start_with;
use super::transactions::{Producer, commit_offset, committed, committed_offset};

fn on(dir: &Path) -> BrokerConfig {
    BrokerConfig { dir: Some(dir.to_owned()), ..BrokerConfig::default() }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("kind").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// The only segment below a folder.
fn segment(dir: &Path) -> std::path::PathBuf {
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            return segment(&path);
        }
        if path.extension().is_some_and(|extension| extension == "log") {
            return path;
        }
    }
    panic!("no segment below {}", dir.display());
}

/// Fills a broker with what must survive; the transaction of `x` stays open.
fn fill(client: &mut Client) -> Producer {
    assert_eq!(client.create("t", 1, &[("retention.ms", "-1")]), 0);
    assert_eq!(client.create("gone", 1, &[]), 0);
    let request = kafka_protocol::messages::DeleteTopicsRequest::default().with_topic_names(vec![topic("gone")]);
    client.call(3, &request);
    assert_eq!(client.produce(8, "t", 0, batch(&["plain"], ANYONE)).error_code, 0);
    let idempotent = Writer { producer_id: 500, producer_epoch: 0, sequence: 0, transactional: false };
    assert_eq!(client.produce(8, "t", 0, batch(&["once"], idempotent)).error_code, 0);
    let mut open = Producer::init(client, "x", 60_000);
    assert_eq!(open.add(client, "t"), 0);
    assert_eq!(open.write(client, "t", "open"), 0);
    assert_eq!(commit_offset(client, "g", 2, "note"), 0);
    assert_eq!(client.alter_broker("", "velo.fault.bump.epoch", "t:0"), 0);
    open
}

fn check(client: &mut Client, mut open: Producer) {
    assert_eq!(client.offset("t", 0, -1, false), (0, 3));
    assert_eq!(client.offset("t", 0, -1, true), (0, 2), "the transaction is still open");
    assert_eq!(client.offset("gone", 0, -1, false).0, 3);
    assert_eq!(committed_offset(client, "g"), (0, 2, "note".to_owned()));
    assert_eq!(client.fetch(11, &Fetch { epoch: 0, ..Fetch::default() }).error_code, 74, "epochs do not go back");
    let idempotent = Writer { producer_id: 500, producer_epoch: 0, sequence: 0, transactional: false };
    let again = client.produce(8, "t", 0, batch(&["once"], idempotent));
    assert_eq!((again.error_code, again.base_offset), (0, 1), "sequences are remembered");
    assert_eq!(open.write(client, "t", "open too"), 0);
    assert_eq!(open.end(client, true), 0);
    assert_eq!(committed(client, "t"), ["plain", "once", "open", "open too"]);
    assert_eq!(client.create("t", 1, &[]), 36);
}

#[test]
fn an_orderly_restart_keeps_everything() {
    let dir = tempfile::tempdir().expect("folder");
    let (broker, mut client) = start_with(on(dir.path()));
    let open = fill(&mut client);
    assert!(matches!(Broker::start(on(dir.path())), Err(BrokerError::Config(_))), "one broker per folder");
    broker.stop();
    let (_broker, mut client) = start_with(on(dir.path()));
    check(&mut client, open);
}

#[test]
fn a_kill_loses_nothing_acknowledged_and_torn_tails_are_cut_and_told() {
    let dir = tempfile::tempdir().expect("folder");
    let image = tempfile::tempdir().expect("folder");
    let (_running, mut client) = start_with(on(dir.path()));
    let open = fill(&mut client);
    copy(dir.path(), image.path());
    let tail = &batch(&["never acknowledged"], ANYONE)[..70];
    let path = segment(&image.path().join("topics"));
    let mut bytes = fs::read(&path).expect("segment");
    bytes.extend_from_slice(tail);
    fs::write(&path, bytes).expect("written");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let log = Arc::new(move |line: &str| kept.lock().expect("lines").push(line.to_owned()));
    let (_broker, mut client) = start_with(BrokerConfig { log, ..on(image.path()) });
    let told = lines.lock().expect("lines").join("\n");
    assert!(told.contains("t-0: a torn tail of 70 bytes was cut"), "{told}");
    check(&mut client, open);
}
