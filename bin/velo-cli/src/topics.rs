//! `velo-cli topic list|describe|create|delete`.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use velostream_kafka::admin::Admin;
use velostream_types::topic::{LogBounds, NewTopic};

use crate::args::{CreateArgs, DeleteArgs, DescribeArgs, ListArgs, Output};
use crate::show;

fn records(bounds: &[LogBounds]) -> i64 {
    bounds.iter().map(|b| b.end - b.start).sum()
}

/// All topics; offsets are counted, so compacted topics hold fewer records than shown.
pub fn list(admin: &Admin, args: &ListArgs, output: Output) -> Result<()> {
    let mut rows = Vec::new();
    let mut documents = Vec::new();
    for topic in admin.topics()?.into_iter().filter(|topic| args.internal || !topic.internal) {
        // A topic whose leaders are away, or that this user may only see, is listed all the same.
        let partitions = u32::try_from(topic.partitions.len())?;
        let counted = admin.bounds(&topic.name, partitions).ok().map(|bounds| records(&bounds));
        let shown = counted.map_or_else(|| "?".to_owned(), |n| n.to_string());
        documents.push(json!({ "name": topic.name, "partitions": partitions, "records": counted }));
        rows.push(vec![topic.name, partitions.to_string(), shown]);
    }
    match output {
        Output::Json => show::print_json(&json!({ "topics": documents }))?,
        Output::Text if rows.is_empty() => {
            eprintln!("no topics at {}, or none this user may see", admin.client().brokers());
            true
        }
        Output::Text => show::print(&show::table(&["TOPIC", "#PARTITIONS", "#RECORDS"], &rows))?,
    };
    Ok(())
}

/// One topic.
pub fn describe(admin: &Admin, args: &DescribeArgs, output: Output) -> Result<()> {
    let topic = admin.topic(&args.topic)?;
    let partitions = u32::try_from(topic.partitions.len())?;
    let bounds = admin.bounds(&topic.name, partitions)?;
    // Whoever may read a topic need not be allowed to see its settings.
    let settings = admin.topic_settings(&topic.name);
    let mut rows = Vec::new();
    let mut documents: Vec<Value> = Vec::new();
    for (partition, b) in topic.partitions.iter().zip(&bounds) {
        let leader = partition.leader.as_ref();
        documents.push(json!({
            "partition": partition.id,
            "leader": leader.map(|(id, _)| id),
            "leader_address": leader.map(|(_, address)| address),
            "replicas": partition.replicas,
            "in_sync": partition.in_sync,
            "start": b.start,
            "end": b.end,
            "records": b.end - b.start,
        }));
        rows.push(vec![
            partition.id.to_string(),
            leader.map_or_else(|| "none".to_owned(), |(id, address)| format!("{id} ({address})")),
            format!("{} of {}", partition.in_sync, partition.replicas),
            b.start.to_string(),
            b.end.to_string(),
            (b.end - b.start).to_string(),
        ]);
    }
    if output == Output::Json {
        let pairs = settings.as_ref().map(|all| {
            let pair = |s: &velostream_kafka::admin::TopicSetting| (s.name.clone(), json!(s.value));
            all.iter().map(pair).collect::<serde_json::Map<_, _>>()
        });
        show::print_json(&json!({
            "name": topic.name,
            "records": records(&bounds),
            "partitions": documents,
            "config": pairs.as_ref().ok(),
            "config_error": settings.as_ref().err().map(|error| &error.message),
        }))?;
        return Ok(());
    }
    let mut text = format!(
        "{}: {}, {}\n\n",
        topic.name,
        show::plural(u64::from(partitions), "partition"),
        show::plural(u64::try_from(records(&bounds)).unwrap_or(0), "record")
    );
    text.push_str(&show::table(&["#PARTITION", "LEADER", "IN SYNC", "#START", "#END", "#RECORDS"], &rows));
    match settings {
        Ok(settings) if settings.is_empty() => text.push_str("\nall settings are the cluster's\n"),
        Ok(settings) => {
            let hidden = || "(hidden)".to_owned();
            let rows: Vec<Vec<String>> =
                settings.into_iter().map(|s| vec![s.name, s.value.unwrap_or_else(hidden)]).collect();
            text.push_str(&format!("\n{}", show::table(&["SETTING", "VALUE"], &rows)));
        }
        Err(error) => eprintln!("warning: settings are not shown: {error}"),
    }
    show::print(&text)?;
    Ok(())
}

/// Makes a topic.
pub fn create(admin: &Admin, args: &CreateArgs, output: Output) -> Result<()> {
    let topic = NewTopic {
        name: args.topic.clone(),
        partitions: args.partitions,
        replication: args.replication.unwrap_or(-1),
        config: args.settings.iter().cloned().collect(),
    };
    let created = admin.create(&topic)?;
    if !created && !args.if_not_exists {
        bail!("topic \"{}\" already exists; `velo-cli topic describe {}` shows it", args.topic, args.topic);
    }
    match output {
        Output::Json => show::print_json(&json!({ "name": args.topic, "created": created }))?,
        Output::Text if created => show::print(&format!(
            "created {} with {}\n",
            args.topic,
            show::plural(args.partitions.into(), "partition")
        ))?,
        Output::Text => show::print(&format!("{} was already there\n", args.topic))?,
    };
    Ok(())
}

/// Deletes topics one after the other.
pub fn delete(admin: &Admin, args: &DeleteArgs, output: Output) -> Result<()> {
    if !args.if_exists {
        // Nothing is deleted when a name is wrong.
        for name in &args.topics {
            admin.topic(name)?;
        }
    }
    let mut deleted = Vec::new();
    for name in &args.topics {
        if admin.delete(name)? {
            deleted.push(name.clone());
        }
    }
    match output {
        Output::Json => show::print_json(&json!({ "deleted": deleted }))?,
        Output::Text => show::print(&deleted.iter().map(|name| format!("deleted {name}\n")).collect::<String>())?,
    };
    Ok(())
}
