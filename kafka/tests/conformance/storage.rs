//! Item: memory and files: retention, compaction, and what a crash leaves. Recovery is checked on images of a running
//! broker's folder, which is what a kill leaves: nothing was flushed or closed in order.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rdkafka::Message;
use velostream_broker::{Broker, BrokerConfig, errors};

use crate::raw::{
    ANYONE, Author, Member, Record, Transactional, batch, commit, committed, fetch, idempotent, keyed, plain, record,
    stable_at, stored,
};
use crate::wire::Client;
use crate::world::{World, now_ms, until};
use crate::{Check, both, embedded};

pub const CHECKS: &[Check] = &[
    both("retention.bytes removes the oldest segments", retention_bytes),
    both("retention.ms removes segments that are old by their records", retention_ms),
    both("without retention nothing is removed", no_retention),
    both("compaction keeps the last value of every key, with its offset", compaction),
    both("a tombstone removes its key, and goes itself in time", tombstones),
    both("a compacted topic takes no record without a key", no_key),
    embedded("a torn tail is cut and told, whole batches stay", torn_tail),
    embedded("producer ids and their last five sequences survive a crash", sequences),
    embedded("open transactions stay open, aborted ranges stay known", open_transactions),
    embedded("groups, members, offsets and metadata are rebuilt", groups),
    embedded("topics, settings, epochs and the time index are rebuilt", topics),
    embedded("a decided transaction is ended after the crash", decided),
    embedded("a broker in memory keeps nothing", memory),
];

fn retention_bytes(world: &World) {
    let name = world.topic(1, &[("segment.bytes", "1048576"), ("retention.bytes", "2097152")]);
    let mut client = world.raw();
    let value = "x".repeat(100_000);
    (0..60).for_each(|_| assert_eq!(client.produce(8, &name, 0, plain(&[&value])).error_code, 0));
    until("old segments are removed", || client.offset(&name, 0, -2, false).1 >= 30);
    let start = client.offset(&name, 0, -2, false).1;
    assert!(start <= 40, "20 records are 2 MB, and are kept: the log starts at {start}");
    assert_eq!(fetch(&mut client, &name, 0, false).error_code, errors::OFFSET_OUT_OF_RANGE);
    let found = world.read(&name, 1, true);
    let offsets: Vec<i64> = found.iter().map(|m| m.offset()).collect();
    assert!(offsets.iter().copied().eq(offsets[0]..60), "from the start to the end without a gap");
}

fn retention_ms(world: &World) {
    let name = world.topic(1, &[("segment.bytes", "1048576"), ("retention.ms", "60000")]);
    let mut client = world.raw();
    let value = "x".repeat(100_000);
    let mut write = |age_ms: i64| {
        let bytes = batch(&[Record { time_ms: now_ms() - age_ms, ..record(&value) }], ANYONE);
        assert_eq!(client.produce(8, &name, 0, bytes).error_code, 0);
    };
    (0..25).for_each(|_| write(3_600_000));
    (0..15).for_each(|_| write(0));
    // Ten records to a segment: at least the two that hold only old ones go, none with a young one.
    let mut client = world.raw();
    until("old segments are removed", || client.offset(&name, 0, -2, false).1 >= 18);
    assert!(client.offset(&name, 0, -2, false).1 <= 25);
    assert_eq!(client.offset(&name, 0, -1, false), (0, 40));
}

fn no_retention(world: &World) {
    let settings = [("segment.bytes", "1048576"), ("retention.ms", "-1"), ("retention.bytes", "-1")];
    let (kept, cut) = (world.topic(1, &settings), world.topic(1, &[("retention.ms", "1000"), settings[0]]));
    let mut client = world.raw();
    let value = "x".repeat(300_000);
    for name in [&kept, &cut] {
        for _ in 0..8 {
            let bytes = batch(&[Record { time_ms: now_ms() - 3_600_000, ..record(&value) }], ANYONE);
            assert_eq!(client.produce(8, name, 0, bytes).error_code, 0);
        }
    }
    until("the other topic was looked after", || client.offset(&cut, 0, -2, false).1 >= 6);
    assert_eq!(client.offset(&kept, 0, -2, false), (0, 0));
}

/// A topic that is compacted as soon as possible.
fn compacted(world: &World, more: &[(&str, &str)]) -> String {
    let mut settings = vec![
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("segment.ms", "100"),
        ("segment.bytes", "1048576"),
    ];
    settings.extend(more);
    world.topic(1, &settings)
}

/// Writes single records, each in a batch of its own, older than any segment's age.
fn write(client: &mut Client, name: &str, pairs: &[(&str, Option<&str>)]) {
    for (key, value) in pairs {
        let answer = client.produce(8, name, 0, batch(&[keyed(key, *value)], ANYONE));
        assert_eq!(answer.error_code, 0);
    }
}

/// Offsets, keys and values there are.
fn table(world: &World, name: &str) -> Vec<(i64, String, Option<String>)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    world
        .read(name, 1, true)
        .iter()
        .map(|m| (m.offset(), m.key().map(text).unwrap_or_default(), m.payload().map(text)))
        .collect()
}

/// A record every so often, so that the open segment ages into a closed one; the key is its own.
fn roll(client: &mut Client, name: &str) {
    write(client, name, &[("roll", Some("x"))]);
}

fn compaction(world: &World) {
    let name = compacted(world, &[]);
    let mut client = world.raw();
    let rounds: Vec<String> = (0..5).map(|round| round.to_string()).collect();
    for round in &rounds {
        let pairs = ["a", "b", "c"].map(|key| (key, Some(round.as_str())));
        write(&mut client, &name, &pairs);
    }
    let mut found = Vec::new();
    until("only the last values are left", || {
        roll(&mut client, &name);
        found = table(world, &name);
        found.retain(|(_, key, _)| key != "roll");
        found.len() == 3
    });
    let want = [(12, "a"), (13, "b"), (14, "c")].map(|(at, key)| (at, key.to_owned(), Some("4".to_owned())));
    assert_eq!(found, want, "with the offsets they always had");
    assert_eq!(client.offset(&name, 0, -2, false), (0, 0), "the log still starts at 0");
    let first = stored(&fetch(&mut client, &name, 0, false).records.expect("records"))[0];
    assert!(first.next_offset > 0, "and a fetch from there finds what is left");
}

fn tombstones(world: &World) {
    let name = compacted(world, &[("delete.retention.ms", "100")]);
    let mut client = world.raw();
    write(&mut client, &name, &[("gone", Some("1")), ("stays", Some("1")), ("gone", None)]);
    until("value and tombstone are gone", || {
        roll(&mut client, &name);
        let mut found = table(world, &name);
        found.retain(|(_, key, _)| key != "roll");
        found == [(1, "stays".to_owned(), Some("1".to_owned()))]
    });
}

fn no_key(world: &World) {
    let name = compacted(world, &[]);
    let mut client = world.raw();
    assert_eq!(client.produce(8, &name, 0, plain(&["no key"])).error_code, errors::INVALID_RECORD);
    assert_eq!(client.offset(&name, 0, -1, false), (0, 0));
}

/// A broker in files whose folder can be copied as a crash would leave it.
struct Crash {
    running: Broker,
    folder: tempfile::TempDir,
    image: tempfile::TempDir,
    told: Arc<Mutex<Vec<String>>>,
}

fn on(dir: &Path) -> BrokerConfig {
    BrokerConfig { dir: Some(dir.to_owned()), ..BrokerConfig::default() }
}

impl Crash {
    fn start() -> (Crash, Client) {
        let folder = tempfile::tempdir().expect("a folder");
        let running = Broker::start(on(folder.path())).expect("starts");
        let client = Client::connect(&running.bootstrap());
        let image = tempfile::tempdir().expect("a folder");
        (Crash { running, folder, image, told: Arc::default() }, client)
    }

    /// Copies the folder as it is now.
    fn kill(&self) {
        copy(self.folder.path(), self.image.path());
    }

    /// A broker on the copy.
    fn restart(&self) -> (Broker, Client) {
        let told = Arc::clone(&self.told);
        let log = Arc::new(move |line: &str| told.lock().expect("lines").push(line.to_owned()));
        let broker = Broker::start(BrokerConfig { log, ..on(self.image.path()) }).expect("starts again");
        let client = Client::connect(&broker.bootstrap());
        (broker, client)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a kind").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// The files with this extension below a folder.
fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found
}

fn torn_tail(_: &World) {
    let (crash, mut client) = Crash::start();
    assert_eq!(client.create("t", 1, &[]), 0);
    (0..3).for_each(|_| assert_eq!(client.produce(8, "t", 0, plain(&["a", "b"])).error_code, 0));
    crash.kill();
    let torn = plain(&["never acknowledged"]);
    let path = &files(crash.image.path(), "log")[0];
    let mut bytes = fs::read(path).expect("a segment");
    bytes.extend_from_slice(&torn[..torn.len() - 1]);
    fs::write(path, bytes).expect("written");
    let (_broker, mut client) = crash.restart();
    let told = crash.told.lock().expect("lines").join("\n");
    assert!(told.contains(&format!("t-0: a torn tail of {} bytes was cut", torn.len() - 1)), "{told}");
    assert_eq!(client.offset("t", 0, -1, false), (0, 6));
    assert_eq!(client.produce(8, "t", 0, plain(&["next"])).base_offset, 6);
}

fn sequences(_: &World) {
    let (crash, mut client) = Crash::start();
    assert_eq!(client.create("t", 1, &[]), 0);
    let author = idempotent(&mut client);
    let write = |client: &mut Client, sequence: i32| {
        let answer = client.produce(8, "t", 0, batch(&[record("x")], Author { sequence, ..author }));
        (answer.error_code, answer.base_offset)
    };
    (0..7).for_each(|i| assert_eq!(write(&mut client, i), (0, i64::from(i))));
    crash.kill();
    let (_broker, mut client) = crash.restart();
    (2..7).for_each(|i| assert_eq!(write(&mut client, i), (0, i64::from(i)), "sequence {i} is known"));
    assert_eq!(write(&mut client, 1).0, errors::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(write(&mut client, 8).0, errors::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(write(&mut client, 7), (0, 7));
    assert_ne!(idempotent(&mut client).id, author.id, "ids are not given twice");
}

fn open_transactions(_: &World) {
    let (crash, mut client) = Crash::start();
    assert_eq!(client.create("t", 1, &[]), 0);
    let mut open = Transactional::init(&mut client, "open", 60_000);
    let mut other = Transactional::init(&mut client, "aborted", 60_000);
    other.put(&mut client, "t", "aborted");
    assert_eq!(other.end(&mut client, false), 0);
    open.put(&mut client, "t", "open");
    crash.kill();
    let (broker, mut client) = crash.restart();
    assert_eq!(client.offset("t", 0, -1, true), (0, 2), "still open");
    assert_eq!(open.write(&mut client, "t", "open too"), 0, "and goes on");
    assert_eq!(open.end(&mut client, true), 0);
    stable_at(&mut client, "t", 5);
    let ranges = fetch(&mut client, "t", 0, true).aborted_transactions.expect("a list");
    assert_eq!(ranges.iter().map(|r| (r.producer_id.0, r.first_offset)).collect::<Vec<_>>(), [(other.author.id, 0)]);
    assert_eq!(World::of(&broker).values("t", 1, true), ["open", "open too"]);
}

fn groups(_: &World) {
    let (crash, mut client) = Crash::start();
    assert_eq!(client.create("t", 1, &[]), 0);
    assert_eq!(commit(&mut client, "simple", "t", 7, "a note", (-1, "")), 0);
    let address = crash.running.bootstrap();
    let member = Member::alone(Client::connect(&address), "g", Some("one"));
    assert_eq!(commit(&mut client, "g", "t", 3, "", (member.generation, &member.id)), 0);
    crash.kill();
    let (broker, mut client) = crash.restart();
    let found = committed(&mut client, "simple", "t");
    assert_eq!((found.committed_offset, found.metadata.expect("metadata").as_str()), (7, "a note"));
    assert_eq!(committed(&mut client, "g", "t").committed_offset, 3);
    let mut back = Member { client: Client::connect(&broker.bootstrap()), ..member };
    assert_eq!(back.beat(), 0, "the member goes on in its generation");
    let synced = back.sync(&[]);
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"all"[..]));
}

fn topics(_: &World) {
    let (crash, mut client) = Crash::start();
    assert_eq!(client.create("t", 2, &[("max.message.bytes", "300")]), 0);
    let base = now_ms() - 10_000;
    for i in 0..10 {
        let bytes = batch(&[Record { time_ms: base + i * 10, ..record("x") }], ANYONE);
        assert_eq!(client.produce(8, "t", 1, bytes).error_code, 0);
    }
    assert_eq!(client.alter_broker("", "velo.fault.bump.epoch", "t:1"), 0);
    crash.kill();
    let (_broker, mut client) = crash.restart();
    assert_eq!(client.create("t", 2, &[]), errors::TOPIC_ALREADY_EXISTS);
    assert_eq!(client.offset("t", 1, base + 35, false), (0, 4));
    let large = plain(&["x".repeat(400).as_str()]);
    assert_eq!(client.produce(8, "t", 0, large).error_code, errors::MESSAGE_TOO_LARGE);
    assert_eq!(client.produce(8, "t", 1, plain(&["y"])).error_code, 0);
    let data = client.fetch(11, &crate::wire::Fetch { topic: "t", index: 1, offset: 9, ..Default::default() });
    let epochs: Vec<i32> = stored(&data.records.expect("records")).iter().map(|b| b.epoch).collect();
    assert_eq!(epochs, [0, 1]);
}

fn decided(_: &World) {
    let (crash, mut client) = Crash::start();
    assert_eq!(client.create("t", 1, &[]), 0);
    let mut producer = Transactional::init(&mut client, "x", 60_000);
    producer.put(&mut client, "t", "committed");
    let journal = crash.folder.path().join("journal");
    let segment = files(crash.folder.path(), "log").remove(0);
    let before = fs::read(&segment).expect("a segment");
    assert_eq!(producer.end(&mut client, true), 0);
    stable_at(&mut client, "t", 2);
    // The log as it was before the marker, the journal cut at each length from the end: whatever of the end it remembers,
    // the transaction is committed or still open, never lost.
    let journal = fs::read(journal).expect("a journal");
    let mut ends = Vec::new();
    for cut in 0..60.min(journal.len()) {
        let image = tempfile::tempdir().expect("a folder");
        copy(crash.folder.path(), image.path());
        fs::write(image.path().join(segment.strip_prefix(crash.folder.path()).expect("below")), &before).expect("log");
        fs::write(image.path().join("journal"), &journal[..journal.len() - cut]).expect("journal");
        let broker = Broker::start(on(image.path())).expect("starts again");
        let mut client = Client::connect(&broker.bootstrap());
        ends.push((client.offset("t", 0, -1, true).1, client.offset("t", 0, -1, false).1));
    }
    assert!(ends.iter().skip(1).any(|end| *end == (2, 2)), "decided, and ended by the restart: {ends:?}");
    assert!(ends.iter().skip(1).all(|end| [(2, 2), (0, 1)].contains(end)), "{ends:?}");
}

fn memory(_: &World) {
    let broker = Broker::start(BrokerConfig::default()).expect("starts");
    let mut client = Client::connect(&broker.bootstrap());
    assert_eq!(client.create("t", 1, &[]), 0);
    assert_eq!(client.produce(8, "t", 0, plain(&["a"])).error_code, 0);
    broker.stop();
    let broker = Broker::start(BrokerConfig::default()).expect("starts");
    let mut client = Client::connect(&broker.bootstrap());
    assert_eq!(client.offset("t", 0, -1, false).0, errors::UNKNOWN_TOPIC_OR_PARTITION);
}
