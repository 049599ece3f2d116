//! `velo-cli group list|lag|reset`.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;
use velostream_kafka::admin::{Admin, Moved};

use crate::args::{LagArgs, Output, ResetArgs};
use crate::show;

/// Text columns hold at most so much of the metadata; JSON has it all.
const METADATA_CHARS: usize = 60;

/// All groups.
pub fn list(admin: &Admin, output: Output) -> Result<()> {
    let groups = admin.groups()?;
    if output == Output::Json {
        let member =
            |m: &velostream_kafka::admin::GroupMemberInfo| json!({ "id": m.id, "client_id": m.client, "host": m.host });
        let group = |g: &velostream_kafka::admin::GroupInfo| {
            let members: Vec<_> = g.members.iter().map(member).collect();
            json!({ "name": g.name, "state": g.state, "protocol": g.protocol, "members": members })
        };
        show::print_json(&json!({ "groups": groups.iter().map(group).collect::<Vec<_>>() }))?;
        return Ok(());
    }
    if groups.is_empty() {
        eprintln!("no groups at {}, or none this user may see", admin.client().brokers());
        return Ok(());
    }
    let row = |g: &velostream_kafka::admin::GroupInfo| {
        let clients: Vec<String> = g.members.iter().map(|m| format!("{} at {}", m.client, m.host)).collect();
        vec![g.name.clone(), g.state.clone(), g.members.len().to_string(), clients.join(", ")]
    };
    let rows: Vec<Vec<String>> = groups.iter().map(row).collect();
    show::print(&show::table(&["GROUP", "STATE", "#MEMBERS", "CLIENTS"], &rows))?;
    Ok(())
}

/// Where a group stands.
pub fn lag(admin: &Admin, args: &LagArgs, output: Output) -> Result<()> {
    let group = admin.group(&args.group)?;
    let lags = admin.lag(&args.group)?;
    if group.is_none() && lags.is_empty() {
        bail!(unknown_group(admin, &args.group)?);
    }
    let state = group.as_ref().map_or("Empty", |group| group.state.as_str());
    let members = group.as_ref().map_or(0, |group| group.members.len());
    let total: i64 = lags.iter().filter_map(|lag| lag.lag()).sum();
    if output == Output::Json {
        let partition = |lag: &velostream_kafka::admin::GroupLag| {
            json!({
                "topic": lag.at.topic,
                "partition": lag.at.partition,
                "committed": lag.committed.offset,
                "start": lag.bounds.map(|b| b.start),
                "end": lag.bounds.map(|b| b.end),
                "lag": lag.lag(),
                "lost": lag.lost(),
                "metadata": lag.committed.metadata,
            })
        };
        show::print_json(&json!({
            "group": args.group,
            "state": state,
            "members": members,
            "lag": total,
            "partitions": lags.iter().map(partition).collect::<Vec<_>>(),
        }))?;
        return Ok(());
    }
    let number = |n: Option<i64>| n.map_or_else(|| "gone".to_owned(), |n| n.to_string());
    let row = |lag: &velostream_kafka::admin::GroupLag| {
        vec![
            lag.at.topic.clone(),
            lag.at.partition.to_string(),
            lag.committed.offset.to_string(),
            number(lag.bounds.map(|b| b.end)),
            number(lag.lag()),
            short(&lag.committed.metadata),
        ]
    };
    let rows: Vec<Vec<String>> = lags.iter().map(row).collect();
    let mut text = format!("{}: {state}, {}, lag {total}\n\n", args.group, show::plural(members as u64, "member"));
    if rows.is_empty() {
        text.push_str("it committed nothing yet\n");
    } else {
        text.push_str(&show::table(&["TOPIC", "#PARTITION", "#COMMITTED", "#END", "#LAG", "METADATA"], &rows));
    }
    for lag in lags.iter().filter(|lag| lag.lost() > 0) {
        let records = show::plural(u64::try_from(lag.lost()).unwrap_or(0), "record");
        text.push_str(&format!(
            "{}-{}: retention took {records} before the group read them\n",
            lag.at.topic, lag.at.partition
        ));
    }
    if total > 0 {
        text.push_str(
            "\nlag includes records of windows that are still open: they are committed when the window is written\n",
        );
    }
    show::print(&text)?;
    Ok(())
}

fn short(metadata: &str) -> String {
    let shown = show::text(Some(metadata.as_bytes()));
    if shown.chars().count() <= METADATA_CHARS {
        return shown;
    }
    format!("{}...", shown.chars().take(METADATA_CHARS).collect::<String>())
}

fn unknown_group(admin: &Admin, name: &str) -> Result<String> {
    let names: Vec<String> = admin.groups()?.into_iter().map(|group| group.name).collect();
    let known = if names.is_empty() {
        "there are none, or none this user may see".to_owned()
    } else {
        format!("there are {}", names.join(", "))
    };
    Ok(format!("group \"{name}\" does not exist at {}: {known}", admin.client().brokers()))
}

/// Moves offsets after showing what changes.
pub fn reset(admin: &Admin, args: &ResetArgs, output: Output) -> Result<ExitCode> {
    let asks = !args.yes;
    if asks && (output == Output::Json || !std::io::stdin().is_terminal()) {
        eprintln!("error: this moves offsets and would ask first, but nobody can answer here; add --yes to do it");
        return Ok(ExitCode::from(2));
    }
    let moves = admin.plan_reset(&args.group, args.topic.as_deref(), args.to.0)?;
    if moves.is_empty() {
        bail!("group \"{}\" committed nothing; name a topic with --topic to set its offsets", args.group);
    }
    if output == Output::Text {
        show::print(&show::table(
            &["TOPIC", "#PARTITION", "#OLD", "#NEW"],
            &moves.iter().map(row).collect::<Vec<_>>(),
        ))?;
    }
    if asks && !confirmed(&format!("move the offsets of group \"{}\"?", args.group))? {
        eprintln!("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    admin.reset(&args.group, &moves)?;
    match output {
        Output::Json => {
            let moved =
                |m: &Moved| json!({ "topic": m.at.topic, "partition": m.at.partition, "old": m.old, "new": m.new });
            show::print_json(&json!({ "group": args.group, "moved": moves.iter().map(moved).collect::<Vec<_>>() }))?
        }
        Output::Text => show::print(&format!("moved {}\n", show::plural(moves.len() as u64, "partition")))?,
    };
    Ok(ExitCode::SUCCESS)
}

fn row(moved: &Moved) -> Vec<String> {
    let old = moved.old.map_or_else(|| "none".to_owned(), |old| old.to_string());
    vec![moved.at.topic.clone(), moved.at.partition.to_string(), old, moved.new.to_string()]
}

fn confirmed(question: &str) -> Result<bool> {
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
