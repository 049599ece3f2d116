//! Options of runs over Kafka topics: who we are in the group, where we begin, when we end; and which of the app's client
//! settings are not done as written.

use std::collections::BTreeMap;

use clap::Args as ClapArgs;
use velostream_kafka::config::{self, Role};
use velostream_runtime::job::{Begin, KafkaOptions};
use velostream_sql::plan::{AppPlan, SinkConnector, SourceConnector};
use velostream_types::time::{ns_to_ms, parse_instant};
use velostream_types::topic::{Client, StartAt};

/// What `run` and `deploy-app` take for topics.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Kafka")]
pub struct KafkaArgs {
    /// Consumer group of all sources [default: velo_APP_JOB, or the app's group.id]
    #[arg(long, value_name = "GROUP", alias = "group-id")]
    pub group: Option<String>,
    /// Name of this process in its groups, the same after every restart [default: POD_NAME, else HOSTNAME]
    #[arg(long, value_name = "ID")]
    pub instance_id: Option<String>,
    /// Read everything again, whatever the group committed
    #[arg(long, conflicts_with = "from")]
    pub from_beginning: bool,
    /// Where to begin, whatever the group committed: latest, earliest, a time (RFC 3339 or epoch ms), or
    /// PARTITION:OFFSET[,PARTITION:OFFSET...]
    #[arg(long, value_name = "PLACE", value_parser = place)]
    pub from: Option<Place>,
    /// Read to the ends the topics have now, flush open windows, and stop
    #[arg(long)]
    pub until_end: bool,
    /// INT and TERM flush open windows instead of leaving them to the next start
    #[arg(long)]
    pub drain: bool,
}

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Begin);

impl KafkaArgs {
    /// As the runtime takes them.
    pub fn options(&self) -> KafkaOptions {
        let begin = match (&self.from, self.from_beginning) {
            (Some(Place(begin)), _) => begin.clone(),
            (None, true) => Begin::At(StartAt::Earliest),
            (None, false) => Begin::Committed,
        };
        KafkaOptions {
            group: self.group.clone(),
            instance: Some(self.instance()),
            begin,
            until_end: self.until_end,
            drain: self.drain,
        }
    }

    /// Never random: after a restart the group knows the process again and does not wait for a time-out.
    fn instance(&self) -> String {
        let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let host = || std::fs::read_to_string("/etc/hostname").ok().map(|text| text.trim().to_owned());
        let named = self.instance_id.clone().or_else(|| set("POD_NAME")).or_else(|| set("HOSTNAME")).or_else(host);
        named.filter(|name| !name.is_empty()).unwrap_or_else(|| "velostream".to_owned())
    }
}

/// Client settings of the app that are ignored or change what others mean, each told once.
pub fn settings_to_tell(plan: &AppPlan) -> Vec<String> {
    let (mut readers, mut writers): (Vec<&Client>, Vec<&Client>) = (Vec::new(), Vec::new());
    for source in &plan.sources {
        if let SourceConnector::Kafka(kafka) = &source.connector {
            readers.push(&kafka.client);
        }
    }
    for sink in &plan.sinks {
        if let SinkConnector::Kafka(kafka) = &sink.connector {
            writers.push(&kafka.client);
        }
    }
    writers.extend(plan.dlqs.iter().filter(|dlq| dlq.enabled).filter_map(|dlq| Some(&dlq.topic.as_ref()?.client)));
    let member = Role::Member { group: String::new(), instance: None };
    let read = readers.into_iter().flat_map(|client| config::notices(client, &member));
    let mut all: Vec<String> = Vec::new();
    for text in read.chain(writers.into_iter().flat_map(|client| config::notices(client, &Role::Produce))) {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

fn place(text: &str) -> Result<Place, String> {
    match text {
        "latest" | "end" => return Ok(Place(Begin::At(StartAt::Latest))),
        "earliest" | "beginning" => return Ok(Place(Begin::At(StartAt::Earliest))),
        _ => {}
    }
    let pair = |pair: &str| {
        let (partition, offset) = pair.split_once(':')?;
        Some((partition.parse::<u32>().ok()?, offset.parse::<i64>().ok().filter(|o| *o >= 0)?))
    };
    if let Some(offsets) = text.split(',').map(pair).collect::<Option<BTreeMap<_, _>>>() {
        return Ok(Place(Begin::Offsets(offsets)));
    }
    // Brokers take negative timestamps for other questions.
    let ms = parse_instant(text).map(ns_to_ms).filter(|ms| *ms >= 0);
    let what = "expected latest, earliest, a time (2025-01-31T09:30:00Z or epoch milliseconds) or PARTITION:OFFSET";
    ms.map(|ms| Place(Begin::At(StartAt::Timestamp(ms)))).ok_or_else(|| what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let check = |text: &str, want: Option<Begin>| assert_eq!(place(text).ok(), want.map(Place), "{text}");
        check("latest", Some(Begin::At(StartAt::Latest)));
        check("1000", Some(Begin::At(StartAt::Timestamp(1000))));
        check("1970-01-01T00:00:01Z", Some(Begin::At(StartAt::Timestamp(1000))));
        check("0:15,2:7", Some(Begin::Offsets(BTreeMap::from([(0, 15), (2, 7)]))));
        check("0:-1", None);
        check("-1", None);
        check("soon", None);
    }
}
