//! What of an app can be kept, what a checkpoint says of it, and whether an app is the one a checkpoint was taken of.
//!
//! Files are cut back to a checkpoint; topics cannot be, so what is written to them behind it comes again: at least once.
//! Where brokers are and how clients talk to them is no part of what an app is: a cluster may move.

use std::path::Path;

use velostream_sql::explain::explain;
use velostream_sql::plan::{AppPlan, Failure, SinkConnector, SourceConnector};
use velostream_state::sections::checksum;
use velostream_types::Fatal;
use velostream_types::topic::Client;

use super::StateOptions;
use super::frame::{Meta, Output, Phase};
use super::types;
use crate::job::endpoints::dlq_of;

/// Fails for apps whose output or input cannot be taken back to a checkpoint.
pub(super) fn check_plan(plan: &AppPlan) -> Result<(), Fatal> {
    let refuse = |what: String, why: &str| Err(Fatal::new(format!("--state cannot keep {what}: {why}")));
    for source in &plan.sources {
        match &source.connector {
            SourceConnector::File { .. } | SourceConnector::OneRow | SourceConnector::Kafka(_) => {}
            SourceConnector::Memory { topic } => {
                let why = "what is in it ends with the process; read a file";
                return refuse(format!("source {}, the in-memory topic {topic}", source.name), why);
            }
        }
    }
    let mut paths: Vec<(&Path, &str)> = Vec::new();
    for (n, sink) in plan.sinks.iter().enumerate() {
        match &sink.connector {
            SinkConnector::File { path, .. } => paths.push((path, &sink.name)),
            SinkConnector::Stdout => {
                let why = "what was printed cannot be taken back; give it a file (INTO 'out.jsonl', or its path)";
                return refuse(format!("{} on standard output", sink.name), why);
            }
            SinkConnector::Kafka(kafka) => {
                let dlq = &plan.dlqs[dlq_of(plan, n)];
                if dlq.enabled && dlq.topic.is_none() && dlq.failure == Failure::DeadLetter {
                    let what = format!("{}, the topic {}, with its dead letters in a file", sink.name, kafka.topic);
                    let why =
                        "records that the topic refuses later could not be cut back; give its dead letters a topic";
                    return refuse(what, why);
                }
            }
            SinkConnector::Memory { topic, .. } => {
                let why = "what is in it ends with the process; write a file";
                return refuse(format!("{}, the in-memory topic {topic}", sink.name), why);
            }
        }
    }
    let files = plan.dlqs.iter().filter(|dlq| dlq.enabled && dlq.topic.is_none());
    paths.extend(files.map(|dlq| (dlq.path.as_path(), dlq.name.as_str())));
    paths.sort();
    match paths.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => {
            let what = format!("{} and {} in one file, {}", pair[0].1, pair[1].1, pair[0].0.display());
            refuse(what, "it could not be cut back for one of them; give each a path of its own")
        }
        None => Ok(()),
    }
}

/// What describes a run of `plan` before its first row.
pub(super) fn describe(
    plan: &AppPlan,
    options: &StateOptions,
    (follow, until_end): (bool, bool),
    run_start_ms: i64,
) -> Result<Meta, Fatal> {
    let text_of = |path: &Path| {
        let utf8 = path.to_str().map(str::to_owned);
        utf8.ok_or_else(|| Fatal::new(format!("--state: the name of {} is no UTF-8", path.display())))
    };
    let length = |path: &Path| path.metadata().map_or(0, |meta| meta.len());
    let mut sinks = Vec::new();
    for sink in &plan.sinks {
        let SinkConnector::File { path, append, .. } = &sink.connector else {
            sinks.push(Output { path: String::new(), partial: false, bytes: 0 });
            continue;
        };
        let bytes = if *append { length(path) } else { 0 };
        sinks.push(Output { path: text_of(path)?, partial: !append && !follow, bytes });
    }
    let mut dead = Vec::new();
    for dlq in &plan.dlqs {
        let path = if dlq.topic.is_some() { Path::new("") } else { dlq.path.as_path() };
        let bytes = if dlq.enabled { length(path) } else { 0 };
        dead.push(Output { path: text_of(path)?, partial: false, bytes });
    }
    let own = without_clients(plan);
    Ok(Meta {
        number: options.state.highest + 1,
        phase: Phase::Running,
        app: plan.name.clone(),
        text: options.text.clone(),
        plan: explain(&own, true),
        fingerprint: format!("{:016x}", checksum(format!("{own:?}").as_bytes())),
        follow,
        until_end,
        identity: String::new(),
        run_start_ms,
        shards: 0,
        types: options.types.iter().map(|(key, schema)| (key.clone(), types::to_json(schema))).collect(),
        inputs: Vec::new(),
        positions: Vec::new(),
        logs: Vec::new(),
        frontiers: Vec::new(),
        ended: Vec::new(),
        sinks,
        dead,
    })
}

/// The first line in which two texts differ, as words.
fn first_change(before: &str, now: &str) -> Option<String> {
    let (mut before, mut now) = (before.lines(), now.lines());
    for n in 1.. {
        match (before.next(), now.next()) {
            (None, None) => break,
            (was, is) if was == is => {}
            (Some(was), Some(is)) => return Some(format!("line {n} was `{}` and is `{}`", was.trim(), is.trim())),
            (Some(was), None) => return Some(format!("line {n}, `{}`, is gone", was.trim())),
            (None, Some(is)) => return Some(format!("line {n}, `{}`, is new", is.trim())),
        }
    }
    None
}

/// Fails when the checkpoint is of another app than `now`.
pub(super) fn check_same(folder: &Path, before: &Meta, now: &Meta) -> Result<(), Fatal> {
    let change = if before.text != now.text {
        first_change(&before.text, &now.text).map(|change| format!("of its SQL, {change}"))
    } else if before.follow != now.follow {
        let with = |follow| if follow { "with --follow" } else { "without --follow" };
        Some(format!("it ran {} and runs {}", with(before.follow), with(now.follow)))
    } else if before.until_end && !now.until_end {
        Some("it ran with --until-end, so that some topics may be read to their end, and runs without".to_owned())
    } else if before.plan != now.plan {
        first_change(&before.plan, &now.plan).map(|change| {
            format!("a property, setting or variable gives it another plan (velo-sql explain -v): {change}")
        })
    } else if before.fingerprint != now.fingerprint || before.app != now.app {
        Some("a property, a setting or the version of velo-sql gives it another plan".to_owned())
    } else {
        return Ok(());
    };
    Err(Fatal::new(format!(
        "{} holds checkpoint {} of another app: {}; run what it was taken of, name another folder, or remove this one to \
         begin again",
        folder.display(),
        before.number,
        change.unwrap_or_else(|| "its line ends changed".to_owned())
    )))
}

/// The plan without how its clients reach their clusters.
fn without_clients(plan: &AppPlan) -> AppPlan {
    let mut plan = plan.clone();
    let forget = |client: &mut Client| *client = Client { settings: Default::default(), origins: Default::default() };
    for source in &mut plan.sources {
        if let SourceConnector::Kafka(kafka) = &mut source.connector {
            forget(&mut kafka.client);
        }
    }
    for sink in &mut plan.sinks {
        if let SinkConnector::Kafka(kafka) = &mut sink.connector {
            forget(&mut kafka.client);
        }
    }
    plan.dlqs.iter_mut().filter_map(|dlq| dlq.topic.as_mut()).for_each(|kafka| forget(&mut kafka.client));
    plan
}
