//! From the settings a user wrote to the settings librdkafka gets: our defaults, one name per setting (`names`), what
//! a role has no use for left out, and mistakes answered with the place they were written at.
//!
//! Called once per client, off the data path. Pure but for librdkafka's own check of names and values. The defaults
//! are chosen for at-least-once with offsets we commit ourselves; a user may override all but those that would lose
//! or repeat records behind our back ([`OURS`]).

mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use velostream_types::Fatal;
use velostream_types::topic::Client;

use names::Java;
pub(crate) use names::distance;

/// What a client is for; each takes the settings it has a use for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Member of a group: holds partitions, commits, fetches nothing.
    Member {
        /// `group.id`
        group: String,
        /// `group.instance.id`
        instance: Option<String>,
    },
    /// Reads assigned partitions from given offsets; never commits.
    Fetch {
        /// `group.id`, for the brokers' logs and quotas.
        group: String,
    },
    /// Writes.
    Produce,
    /// Looks and creates: metadata, offsets, topics, groups.
    Admin,
}

/// Defaults of every role; the user's value wins.
const DEFAULTS: &[(&str, &str)] = &[("allow.auto.create.topics", "false"), ("client.id", "velostream")];
/// A broker that is away is tried again after this time at most, as Kafka's Java client does. librdkafka's own 10 s would
/// make every row that late after a short outage.
const RECONNECT_MAX_MS: u32 = 1_000;
const CONSUMER_DEFAULTS: &[(&str, &str)] =
    &[("isolation.level", "read_committed"), ("check.crcs", "true"), ("fetch.queue.backoff.ms", "1")];
const PRODUCER_DEFAULTS: &[(&str, &str)] =
    &[("enable.idempotence", "true"), ("acks", "all"), ("message.timeout.ms", "0"), ("partitioner", "murmur2_random")];
/// Settings of a group's member that `group.protocol=consumer` leaves to the brokers; librdkafka refuses them.
const CLASSIC_ONLY: &[&str] = &["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"];
/// Settings of consumers that are ours whatever the user wrote, with the reason: offsets are committed when everything
/// that depends on them is acknowledged, and a lost offset is told instead of skipped.
const OURS: &[(&str, &str, &str)] = &[
    ("enable.auto.commit", "false", "offsets are committed when the outputs are acknowledged"),
    ("enable.auto.offset.store", "false", "offsets are committed when the outputs are acknowledged"),
    ("auto.offset.reset", "error", ""),
];
/// More requests in flight than this lose the order that idempotence needs.
const IN_FLIGHT_MAX: u32 = 5;
const MASK: &str = "********";

/// The client settings for `role`, checked by librdkafka.
pub fn client_config(client: &Client, role: &Role) -> Result<ClientConfig, Fatal> {
    let draft = Draft::new(client, role)?;
    let mut config = ClientConfig::new();
    draft.settings.iter().for_each(|(key, value)| {
        config.set(key, value);
    });
    // What goes to nobody's log becomes the reasons and notices of `Voice`.
    config.set_log_level(RDKafkaLogLevel::Info);
    config.create_native_config().map_err(|error| draft.refused(client, &error))?;
    Ok(config)
}

/// What of the user's settings is not done as written, for the log: ignored and overridden ones.
pub fn notices(client: &Client, role: &Role) -> Vec<String> {
    Draft::new(client, role).map(|draft| draft.notices).unwrap_or_default()
}

/// Why librdkafka refused to make a client from a [`client_config`], with the places of the settings it names.
pub fn not_created(client: &Client, error: &KafkaError) -> Fatal {
    let KafkaError::ClientCreation(text) = error else {
        return Fatal::new(format!("cannot make a Kafka client: {error}"));
    };
    if text.contains("GSSAPI") || text.contains("OIDC") || text.to_ascii_lowercase().contains("oauthbearer/oidc") {
        return Fatal::new(format!(
            "cannot make a Kafka client: {text}; Kerberos (GSSAPI) and OAuth with OIDC are build features of Velostream \
             that this binary was built without"
        ));
    }
    let named = client.settings.keys().filter(|key| mentions(text, canonical(bare(key).1)));
    let describe = |key: &String| {
        let value = &client.settings[key];
        let is_gone = key.ends_with(".location") && !std::path::Path::new(value.trim()).exists();
        let gone = if is_gone { format!(" = {value}, a file that is not there") } else { String::new() };
        format!("{key}{}{gone}", place(client, key))
    };
    let places: Vec<String> = named.map(describe).collect();
    let settings = if places.is_empty() { String::new() } else { format!("; look at {}", places.join(", ")) };
    Fatal::new(format!("cannot make a Kafka client: {text}{settings}"))
}

/// The settings for people and logs: secrets hidden.
pub fn masked(settings: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let hide = |(key, value): (&String, &String)| {
        (key.clone(), if names::is_secret(key) { MASK.to_owned() } else { value.clone() })
    };
    settings.iter().map(hide).collect()
}

/// ` (app.sql:12)` where the place is known.
pub(crate) fn place(client: &Client, key: &str) -> String {
    client.origins.get(key).map_or_else(String::new, |origin| format!(" ({origin})"))
}

/// TRUE when `text` speaks of the setting `key`, not of a longer one.
fn mentions(text: &str, key: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
    text.match_indices(key).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + key.len()..]);
        !before.ends_with(part) && !after.starts_with(|c: char| part(c) && c != '.')
    })
}

/// The one name of a setting.
fn canonical(key: &str) -> &str {
    match names::other_name(key) {
        Some(Java::As(name) | Java::AsKib(name)) => name,
        _ => key,
    }
}

/// Splits the prefix that says whose setting it is from its name.
fn bare(key: &str) -> (&str, &str) {
    ["kafka.", "consumer.", "producer."]
        .into_iter()
        .find_map(|prefix| key.strip_prefix(prefix).map(|name| (prefix, name)))
        .unwrap_or(("", key))
}

/// Settings being put together, with the user's key behind each.
struct Draft<'a> {
    client: &'a Client,
    role: &'a Role,
    settings: BTreeMap<String, String>,
    written_as: BTreeMap<String, String>,
    notices: Vec<String>,
}

impl<'a> Draft<'a> {
    fn new(client: &'a Client, role: &'a Role) -> Result<Draft<'a>, Fatal> {
        let (settings, written_as) = (BTreeMap::new(), BTreeMap::new());
        let mut draft = Draft { client, role, settings, written_as, notices: Vec::new() };
        draft.take_user_settings()?;
        draft.apply_role()?;
        for (key, value) in DEFAULTS {
            draft.default(key, value);
        }
        // librdkafka refuses a limit below the pause that the user wants at least.
        let least = draft.settings.get("reconnect.backoff.ms").and_then(|ms| ms.parse::<u32>().ok());
        if least.is_none_or(|ms| ms <= RECONNECT_MAX_MS) {
            draft.default("reconnect.backoff.max.ms", &RECONNECT_MAX_MS.to_string());
        }
        if draft.settings.get("bootstrap.servers").is_none_or(|list| list.trim().is_empty()) {
            return Err(Fatal::new(
                "no Kafka brokers: set bootstrap.servers (or --brokers, or VELOSTREAM_KAFKA_BROKERS) to host:port[,...]",
            ));
        }
        Ok(draft)
    }

    fn is_consumer(&self) -> bool {
        matches!(self.role, Role::Member { .. } | Role::Fetch { .. })
    }

    fn default(&mut self, key: &str, value: &str) {
        self.settings.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }

    fn notice(&mut self, key: &str, why: &str) {
        self.notices.push(format!("{key}{} is ignored: {why}", place(self.client, key)));
    }

    /// Unprefixed settings first, then those of `kafka.`, then those of the role, then those under their own name:
    /// the later one wins.
    fn take_user_settings(&mut self) -> Result<(), Fatal> {
        self.accept_pem_stores();
        let client = self.client;
        let rank = |key: &str| {
            let (prefix, name) = bare(key);
            (["", "kafka."].iter().position(|p| *p == prefix).unwrap_or(2), canonical(name) == name)
        };
        let mut keys: Vec<&String> = client.settings.keys().collect();
        keys.sort_by_key(|key| rank(key));
        for key in keys {
            let (prefix, name) = bare(key);
            let other_role = match prefix {
                "consumer." => matches!(self.role, Role::Produce),
                "producer." => !matches!(self.role, Role::Produce),
                _ => false,
            };
            if !other_role && !self.written_as.values().any(|taken| taken == key) {
                self.take(key, name, client.settings[key].trim())?;
            }
        }
        Ok(())
    }

    /// Stores that Java declares to be PEM files are what librdkafka reads.
    fn accept_pem_stores(&mut self) {
        let is_pem = |kind: &str| {
            let found = self.client.settings.get(kind);
            found.is_some_and(|value| value.trim().eq_ignore_ascii_case("pem"))
        };
        let mut taken = Vec::new();
        if is_pem("ssl.truststore.type") {
            taken = vec![
                ("ssl.truststore.type", None),
                ("ssl.truststore.location", Some("ssl.ca.location")),
                ("ssl.truststore.certificates", Some("ssl.ca.pem")),
            ];
        }
        if is_pem("ssl.keystore.type") {
            taken.extend([("ssl.keystore.type", None), ("ssl.keystore.location", Some("ssl.certificate.location"))]);
        }
        for (key, name) in taken {
            let Some(value) = self.client.settings.get(key) else { continue };
            // A key that only says what the others are gets an entry of its own, so that it counts as taken.
            self.written_as.insert(name.unwrap_or(key).to_owned(), key.to_owned());
            if let Some(name) = name {
                self.settings.insert(name.to_owned(), value.trim().to_owned());
            }
        }
    }

    fn take(&mut self, key: &str, name: &str, value: &str) -> Result<(), Fatal> {
        let produces = matches!(self.role, Role::Produce);
        let (name, value) = match names::other_name(name) {
            None => (name, value.to_owned()),
            Some(Java::As(name)) => (name, value.to_owned()),
            Some(Java::AsUnlessProducer(other)) => (if produces { name } else { other }, value.to_owned()),
            Some(Java::AsKib(other)) => (other, self.kib(key, value)?),
            Some(Java::Ignored(why)) => {
                self.notice(key, why);
                return Ok(());
            }
            Some(Java::Refused(why)) => return Err(self.error(key, why)),
        };
        let unused = match self.role {
            Role::Produce => names::is_consumer(name),
            Role::Admin => names::is_producer(name) || (names::is_consumer(name) && name != "isolation.level"),
            Role::Member { .. } | Role::Fetch { .. } => names::is_producer(name),
        };
        if unused {
            return Ok(());
        }
        let (name, value) = self.translate(key, name, value)?;
        if let Some(first) = self.written_as.get(name).filter(|_| self.settings.get(name) != Some(&value)) {
            let why = format!("{key}{} says the same setting", place(self.client, key));
            let first = first.clone();
            self.notice(&first, &why);
        }
        self.settings.insert(name.to_owned(), value);
        self.written_as.insert(name.to_owned(), key.to_owned());
        Ok(())
    }

    /// Values Java writes otherwise.
    fn translate<'n>(&self, key: &str, name: &'n str, value: String) -> Result<(&'n str, String), Fatal> {
        let translated = match name {
            "partition.assignment.strategy" => (name, self.assignors(key, &value)?),
            "partitioner.class" => match value.rsplit('.').next() {
                Some("DefaultPartitioner" | "") | None => ("partitioner", "murmur2_random".to_owned()),
                Some("RoundRobinPartitioner") => ("partitioner", "random".to_owned()),
                _ => {
                    let why = "Java classes cannot be loaded. Write partitioner = murmur2_random (Java's default), \
                               consistent_random, fnv1a_random or random";
                    return Err(self.error(key, why));
                }
            },
            "ssl.keystore.type" if value.eq_ignore_ascii_case("pkcs12") => {
                // PKCS#12 is what librdkafka takes a key store for; the setting says nothing new.
                (
                    "ssl.keystore.location",
                    self.client.settings.get("ssl.keystore.location").cloned().unwrap_or_default(),
                )
            }
            "ssl.keystore.type" => return Err(self.error(key, JKS)),
            "ssl.keystore.location" if value.to_ascii_lowercase().ends_with(".jks") => {
                return Err(self.error(key, JKS));
            }
            // Java's 0 sends every record alone.
            "batch.size" if value == "0" => ("batch.num.messages", "1".to_owned()),
            "isolation.level" | "security.protocol" | "compression.type" => (name, value.to_ascii_lowercase()),
            _ => (name, value),
        };
        Ok(translated)
    }

    fn assignors(&self, key: &str, value: &str) -> Result<String, Fatal> {
        let one = |name: &str| {
            let class = name.trim().rsplit('.').next().unwrap_or_default();
            match names::ASSIGNORS.iter().find(|(java, _)| *java == class) {
                Some((_, assignor)) => Ok((*assignor).to_owned()),
                None if class.ends_with("Assignor") => {
                    let why = format!("{class} has no counterpart. Write cooperative-sticky, range or roundrobin");
                    Err(self.error(key, &why))
                }
                None => Ok(name.trim().to_owned()),
            }
        };
        let all: Result<Vec<String>, Fatal> = value.split(',').map(one).collect();
        Ok(all?.join(","))
    }

    fn kib(&self, key: &str, value: &str) -> Result<String, Fatal> {
        match value.parse::<u64>() {
            Ok(bytes) => Ok(bytes.div_ceil(1024).max(1).to_string()),
            Err(_) => Err(self.error(key, &format!("a number of bytes is expected, not \"{value}\""))),
        }
    }

    fn apply_role(&mut self) -> Result<(), Fatal> {
        let role = self.role;
        match role {
            Role::Member { group, instance } => {
                self.settings.insert("group.id".into(), group.clone());
                match instance {
                    Some(instance) => self.settings.insert("group.instance.id".into(), instance.clone()),
                    None => self.settings.remove("group.instance.id"),
                };
                self.group_protocol();
            }
            Role::Fetch { group } => {
                self.settings.insert("group.id".into(), group.clone());
                // Assigned partitions have no protocol to speak.
                for key in CLASSIC_ONLY.iter().chain(&["group.instance.id", "group.protocol", "group.remote.assignor"])
                {
                    self.settings.remove(*key);
                }
            }
            Role::Produce => self.producer()?,
            Role::Admin => self.default("isolation.level", "read_committed"),
        }
        if self.is_consumer() {
            for (key, value, why) in OURS {
                let before = self.settings.insert((*key).to_owned(), (*value).to_owned());
                let differs = before.is_some_and(|before| !before.eq_ignore_ascii_case(value));
                if differs && !why.is_empty() {
                    let written = self.written_as.get(*key).cloned().unwrap_or_default();
                    self.notice(&written, why);
                }
            }
            // Its interval is meaningless then.
            self.settings.remove("auto.commit.interval.ms");
            CONSUMER_DEFAULTS.iter().for_each(|(key, value)| self.default(key, value));
        }
        Ok(())
    }

    fn group_protocol(&mut self) {
        if self.settings.get("group.protocol").is_none_or(|protocol| protocol.eq_ignore_ascii_case("classic")) {
            self.settings.insert("group.protocol".into(), "classic".into());
            self.default("partition.assignment.strategy", "cooperative-sticky");
            return;
        }
        for key in CLASSIC_ONLY {
            if self.settings.remove(*key).is_some() {
                let written = self.written_as.get(*key).cloned().unwrap_or_default();
                self.notice(&written, "with group.protocol=consumer the brokers decide it");
            }
        }
    }

    /// Idempotent unless the user asks for what excludes it, as Java's producer does.
    fn producer(&mut self) -> Result<(), Fatal> {
        if let Some(key) = self.written_as.get("transactional.id") {
            let why = "this version writes at least once, never in transactions. Remove the setting";
            return Err(self.error(key, why));
        }
        let given = |key: &str| self.settings.get(key).map(String::as_str);
        let excludes = if given("acks").is_some_and(|acks| !matches!(acks, "all" | "-1")) {
            Some("acks")
        } else if given("retries") == Some("0") {
            Some("retries")
        } else {
            let in_flight = "max.in.flight.requests.per.connection";
            let many = given(in_flight).and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n > IN_FLIGHT_MAX);
            many.then_some(in_flight)
        };
        if let (Some(key), false) = (excludes, self.settings.contains_key("enable.idempotence")) {
            self.settings.insert("enable.idempotence".into(), "false".into());
            let written = self.written_as.get(key).cloned().unwrap_or_default();
            let (place, value) = (place(self.client, &written), &self.settings[key]);
            self.notices.push(format!(
                "{written}{place} = {value} excludes idempotent writes: a retry may write a record twice or out of order"
            ));
        }
        PRODUCER_DEFAULTS.iter().for_each(|(key, value)| self.default(key, value));
        Ok(())
    }

    fn error(&self, key: &str, why: &str) -> Fatal {
        Fatal::new(format!("Kafka client setting {key}{}: {why}", place(self.client, key)))
    }

    /// librdkafka's refusal, at the place the setting was written.
    fn refused(&self, client: &Client, error: &KafkaError) -> Fatal {
        let KafkaError::ClientConfig(_, text, name, value) = error else {
            return Fatal::new(format!("bad Kafka client setting: {error}"));
        };
        let key = self.written_as.get(name).unwrap_or(name);
        let shown = if names::is_secret(name) { MASK } else { value };
        if text.contains("No such configuration property") {
            let hint = names::look_alike(name).map_or_else(
                || "it is neither one of librdkafka's settings nor one of Java's".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            return Fatal::new(format!("unknown Kafka client setting {key}{}: {hint}", place(client, key)));
        }
        let text = if names::is_secret(name) { "its value is not valid" } else { text.as_str() };
        Fatal::new(format!("Kafka client setting {key}{} = \"{shown}\": {text}", place(client, key)))
    }
}

const JKS: &str = "Java's key stores cannot be read. Write ssl.certificate.location and ssl.key.location = <PEM files>, \
                   or ssl.keystore.location = <PKCS#12 file>; `keytool -importkeystore -deststoretype pkcs12` makes one";
