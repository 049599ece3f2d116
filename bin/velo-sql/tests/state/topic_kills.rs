//! kill -9 at random moments of an app over topics and a file, again and again, until it read the topics to their ends:
//! files are those of a run nobody touched, byte for byte; topics lack nothing, and hold twice only what stood behind the
//! checkpoint that a start went on from. What the group committed is always a checkpoint of the folder.
//!
//! 40 kills with `VELO_SHARE=1`, else its part of them; `VELO_KILLS` says another number, `VELO_SEED` another seed.

use std::collections::BTreeMap;

use crate::feed::{Rng, output};
use crate::kafka::{broker, records, topic};
use crate::lives::{killed, now, number};
use crate::share::share_of;
use crate::topic_world::{
    APP, FILES, PARTITION_IDS, PARTITIONS, committed_offsets, fill, kept_offsets, newest, offsets,
};
use crate::world::World;

/// Records of each partition.
const ROWS: u64 = 30_000;

/// One run of the app, of many lives.
struct Run<'a> {
    world: World,
    brokers: &'a str,
    group: String,
}

fn args<'a>(of: &'a Run<'_>) -> Vec<&'a str> {
    let run = ["run", "app.sql", "--brokers", of.brokers, "--group", &of.group, "--instance-id", "one", "--until-end"];
    [&run[..], &["--state", "state", "--checkpoint", "50ms", "--batch-rows", "16"]].concat()
}

/// Value of a number in a JSON record.
fn field(text: &str, name: &str) -> i64 {
    let row: serde_json::Value = serde_json::from_str(text).expect("JSON");
    row[name].as_i64().expect("a number")
}

fn text(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8(bytes).expect("text"))
}

/// How often each row id stands in a topic of rows.
fn ids(brokers: &str, topic: &str) -> BTreeMap<i64, u64> {
    let mut ids = BTreeMap::new();
    for record in records(brokers, topic) {
        *ids.entry(field(&text(record.value).expect("a value"), "id")).or_default() += 1;
    }
    ids
}

/// The last value of each key of a topic.
fn table(brokers: &str, topic: &str) -> BTreeMap<Option<String>, Option<String>> {
    records(brokers, topic).into_iter().map(|record| (text(record.key), text(record.value))).collect()
}

/// Distinct values of a topic.
fn distinct(brokers: &str, topic: &str) -> Vec<Option<String>> {
    let mut values: Vec<_> = records(brokers, topic).into_iter().map(|record| text(record.value)).collect();
    values.sort();
    values.dedup();
    values
}

fn world(out: &str, rows: u64) -> World {
    let world = World::with(&[("app.sql", &APP.replace("OUT", out))]);
    let line = |n: u64| format!("{n},K{}_{},{},{}\n", n % 3, n % 40, n % 1_000, 1_700_000_000_000u64 + n * 2);
    let text: String = (0..rows).map(line).collect();
    world.put("in-0.csv", format!("id,k,v,ts\n{text}"));
    world
}

/// What a run that nobody touches gives.
fn reference(brokers: &str) -> World {
    let world = world("ref-", ROWS);
    world.run(&["run", "app.sql", "--brokers", brokers, "--group", "ref", "--until-end", "--shards", "1"]).ok();
    world
}

/// Kills until the run is complete, or so many times; positions that starts went on from, by partition.
fn one_run(run: &Run<'_>, rng: &mut Rng, most: u64) -> Vec<Vec<i64>> {
    let Run { world, brokers, group: name } = run;
    let folder = world.path("state");
    let mut behind = Vec::new();
    while (behind.len() as u64) < most && killed(&run.world, &args(run), rng) {
        let Some(at) = newest(&folder) else {
            behind.push(vec![0; PARTITIONS as usize]);
            continue;
        };
        let group = committed_offsets(brokers, name);
        let known = kept_offsets(&folder);
        assert!(group.is_empty() || known.contains(&group), "{group:?} is none of {known:?}");
        behind.push(offsets(&at));
    }
    world.run(&[&args(run)[..], &["--shards", "2"]].concat()).ok();
    let complete = newest(&folder).expect("it is complete");
    assert!(complete.complete && offsets(&complete) == [ROWS as i64; 3], "{complete:?}");
    assert_eq!(committed_offsets(brokers, name), [ROWS as i64; 3], "the group is at the end");
    behind
}

#[test]
fn killed_runs_over_topics_give_what_an_uninterrupted_one_gives() {
    let kills = number("VELO_KILLS").unwrap_or_else(|| share_of(40, 6));
    let seed = number("VELO_SEED").unwrap_or(23);
    let begin = now();
    let mut rng = Rng(seed);
    let (mut done, mut with_state, mut runs, mut twice) = (0, 0, 0, 0);
    let broker = broker();
    let brokers = broker.bootstrap();
    topic(&brokers, "t", PARTITIONS);
    fill(&brokers, ROWS);
    let want = reference(&brokers);
    while done < kills {
        let out = |topic: &str| format!("r{runs}-{topic}");
        let run = Run { world: world(&out(""), ROWS), brokers: &brokers, group: format!("g{runs}") };
        let behind = one_run(&run, &mut rng, kills - done);
        let after = format!("run {runs} of {} kills, seed {seed}", behind.len());
        for (name, ordered) in FILES {
            assert_eq!(output(&run.world, name, ordered), output(&want, name, ordered), "{name} of {after}");
        }
        let (rows, once) = (ids(&brokers, &out("picked")), ids(&brokers, "ref-picked"));
        assert!(rows.keys().eq(once.keys()), "rows of {after}: {} for {}", rows.len(), once.len());
        for (id, times) in &rows {
            let (partition, offset) = ((id / PARTITION_IDS) as usize, id % PARTITION_IDS);
            let allowed = behind.iter().filter(|at| at[partition] <= offset).count() as u64;
            assert!(*times <= 1 + allowed, "row {id} stands {times} times after {allowed} kills before it: {after}");
            twice += times - 1;
        }
        assert_eq!(table(&brokers, &out("counts")), table(&brokers, "ref-counts"), "the table of {after}");
        assert_eq!(distinct(&brokers, &out("wins")), distinct(&brokers, "ref-wins"), "windows of {after}");
        done += behind.len() as u64;
        with_state += behind.iter().filter(|at| at.iter().any(|offset| *offset > 0)).count();
        runs += 1;
    }
    println!("{done} kills of {runs} runs, {with_state} behind a checkpoint with state; {twice} rows came again");
    println!("suite topic_kills cases {done} seed {seed} seconds {:.1}", begin.elapsed().as_secs_f64());
    assert!(with_state as u64 * 2 >= done, "kills hit runs behind a checkpoint: {with_state} of {done}");
}
