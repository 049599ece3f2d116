//! From what librdkafka says in its log and error callback to messages a person can act on: which broker, which
//! setting and where it was written, which principal and topic, and what to do.
//!
//! Pure functions over texts; `voice` collects the texts. librdkafka has no codes for most of these causes, so they are
//! told apart by its words (version 2.12); the golden tests hold the lines it really wrote. What is not recognised is
//! passed on as it came.

#[cfg(test)]
mod tests;
mod voice;

use std::time::Duration;

use velostream_types::topic::Client;

use crate::config::{distance, place};

pub use voice::Voice;

/// Why a broker could not be used. Ordered by how much it explains: the first one found is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// User or password is wrong.
    Credentials,
    /// The broker offers other SASL mechanisms, these.
    Mechanism(String),
    /// SASL on a port without it.
    NotSasl,
    /// No SASL on a port with it.
    SaslWanted,
    /// TLS on a port without it.
    NotTls,
    /// No TLS on a port with it (or with something that is not Kafka).
    TlsWanted,
    /// The broker's certificate is not signed by a trusted authority, or names another host.
    Untrusted,
    /// The broker wants a certificate of the client.
    CertificateWanted,
    /// Something else listens there.
    NotKafka,
    /// A broker that speaks none of the protocol versions in use.
    TooOld,
    /// The name is not known.
    Unresolved,
    /// Nobody listens.
    Refused,
    /// No answer.
    TimedOut,
    /// The connection ended; often harmless (idle, restart).
    Disconnected,
    /// Something else, in librdkafka's words.
    Other,
}

/// What a broker's connection failed of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `host:port`
    pub broker: String,
    /// Number of the broker when the address is one it advertises, none for an address of `bootstrap.servers`.
    pub node: Option<i32>,
    /// Why.
    pub cause: Cause,
    /// librdkafka's words, without the broker and the counters.
    pub text: String,
}

impl Reason {
    /// Reads a line of librdkafka's log or error callback that is about a connection.
    pub fn parse(line: &str) -> Option<Reason> {
        let line = match line.strip_prefix("[thrd:") {
            Some(rest) => rest.split_once("]: ")?.1,
            None => line,
        };
        let (name, text) = line.split_once(": ")?;
        // A coordinator that answered once goes by this name alone.
        let (address, suffix) = match name {
            "GroupCoordinator" | "TxnCoordinator" => (name, name),
            _ => name.rsplit_once('/')?,
        };
        let (text, broker) = match (suffix.parse::<i32>(), text.split_once(": ")) {
            // A coordinator: its address comes first in the text.
            (Err(_), Some((address, text))) if suffix != "bootstrap" => (text, address),
            _ => (text, address.rsplit_once("//").map_or(address, |(_, address)| address)),
        };
        let (text, state) = match text.rsplit_once(" (after ") {
            Some((text, state)) => (text, state.trim_end_matches(')')),
            None => (text, ""),
        };
        let node = suffix.parse().ok();
        Some(Reason { broker: broker.to_owned(), node, cause: cause(text, state), text: text.to_owned() })
    }

    /// The cause in a few words.
    pub fn short(&self) -> String {
        match &self.cause {
            Cause::Credentials => "the credentials were refused".into(),
            Cause::Mechanism(offered) => format!("it offers only the SASL mechanisms {offered}"),
            Cause::NotSasl => "it does not use SASL".into(),
            Cause::SaslWanted => "it closed the connection, as brokers do that want SASL".into(),
            Cause::NotTls => "it does not speak TLS".into(),
            Cause::TlsWanted => "it closed the connection, as brokers do that want TLS".into(),
            Cause::Untrusted => "its certificate could not be verified".into(),
            Cause::CertificateWanted => "it wants a client certificate".into(),
            Cause::NotKafka => "what listens there is not Kafka".into(),
            Cause::TooOld => "it is too old".into(),
            Cause::Unresolved => "the host name is not known".into(),
            Cause::Refused => "connection refused".into(),
            Cause::TimedOut => "no answer".into(),
            Cause::Disconnected => "it closed the connection".into(),
            Cause::Other => self.text.clone(),
        }
    }

    /// TRUE when waiting changes nothing: settings are wrong, not the broker's health.
    pub fn is_lasting(&self) -> bool {
        self.cause <= Cause::TooOld && !matches!(self.cause, Cause::SaslWanted | Cause::TlsWanted)
    }
}

/// The first four bytes of an answer that is no frame of Kafka's, as the length librdkafka took them for.
fn not_a_length(text: &str) -> Option<[u8; 4]> {
    let rest = text.split_once("Invalid response size ")?.1;
    let digits = rest.split(|c: char| c != '-' && !c.is_ascii_digit()).next()?;
    digits.parse::<i32>().ok().map(i32::to_be_bytes)
}

fn cause(text: &str, state: &str) -> Cause {
    let has = |part: &str| text.contains(part);
    if let Some(bytes) = not_a_length(text) {
        // 21 and 22 begin TLS records (alert, handshake) of version 3.x.
        let is_tls = matches!(bytes[0], 21 | 22) && bytes[1] == 3;
        let is_text = bytes.iter().all(|b| b.is_ascii_graphic());
        return if is_tls {
            Cause::TlsWanted
        } else if is_text {
            Cause::NotKafka
        } else {
            Cause::Other
        };
    }
    if let Some((_, offered)) = text.split_once("broker's supported mechanisms:") {
        // A port without SASL offers none.
        let offered = offered.trim();
        return if offered.is_empty() { Cause::NotSasl } else { Cause::Mechanism(offered.to_owned()) };
    }
    if has("SASL authentication error") || has("SASL authentication failed") {
        return Cause::Credentials;
    }
    if has("connecting to a PLAINTEXT broker listener") || has("wrong version number") || has("packet length too long")
    {
        return Cause::NotTls;
    }
    if has("certificate verify failed") || has("verify broker certificate") || has("did not provide a certificate") {
        return Cause::Untrusted;
    }
    if has("certificate required") || has("client SSL authentication might be required") {
        return Cause::CertificateWanted;
    }
    if has("< 0.10") && !has("connecting to a SSL listener") {
        return Cause::TooOld;
    }
    if has("Failed to resolve") {
        return Cause::Unresolved;
    }
    if has("refused") {
        return Cause::Refused;
    }
    if has("timed out") || has("No route to host") || has("unreachable") {
        return Cause::TimedOut;
    }
    // Whether the end is met by reading or by writing the next request is a matter of microseconds.
    if text.starts_with("Disconnected") || has("Broken pipe") || has("Connection reset") {
        return disconnected(text, state);
    }
    Cause::Other
}

/// Connections that end without a word: the state they were in tells what the broker may have waited for.
fn disconnected(text: &str, state: &str) -> Cause {
    /// A connection that lived longer was accepted.
    const SHORT_MS: u32 = 2_000;
    let lived_ms = state.split_once("ms").and_then(|(ms, _)| ms.parse::<u32>().ok()).unwrap_or(u32::MAX);
    if state.contains("APIVERSION_QUERY") && !text.contains("SSL connection") && !text.contains("tls_") {
        Cause::TlsWanted
    } else if state.contains("SSL_HANDSHAKE") {
        Cause::NotTls
    } else if (state.contains("state UP") && lived_ms < SHORT_MS) || text.contains("might require SASL") {
        Cause::SaslWanted
    } else {
        Cause::Disconnected
    }
}

/// `security.protocol = ssl (app.sql:3)`, or that it is the default.
fn setting(client: &Client, names: &[&str], default: &str) -> String {
    for name in names {
        for key in [(*name).to_owned(), format!("kafka.{name}")] {
            if let Some(value) = client.settings.get(&key) {
                return format!("{key} = {value}{}", place(client, &key));
            }
        }
    }
    format!("{} = {default} (the default)", names[0])
}

fn protocol(client: &Client) -> String {
    setting(client, &["security.protocol"], "plaintext")
}

fn value<'a>(client: &'a Client, names: &[&str]) -> Option<&'a str> {
    let get = |name: &str| client.settings.get(name).or_else(|| client.settings.get(&format!("kafka.{name}")));
    names.iter().find_map(|name| get(name)).map(String::as_str)
}

fn uses_sasl(client: &Client) -> bool {
    value(client, &["security.protocol"]).is_some_and(|p| p.to_ascii_lowercase().starts_with("sasl"))
}

fn uses_tls(client: &Client) -> bool {
    value(client, &["security.protocol"]).is_some_and(|p| p.to_ascii_lowercase().ends_with("ssl"))
}

/// No broker answered within `waited`: the most telling reason, and what to do about it.
pub fn unreachable(client: &Client, reasons: &[Reason], waited: Duration) -> String {
    let brokers = client.brokers();
    let Some(main) = reasons.iter().min_by_key(|reason| (&reason.cause, reason.node)) else {
        return format!(
            "no answer from Kafka at {brokers}{} within {}. Check the address and whether a firewall drops packets",
            place(client, "bootstrap.servers"),
            seconds(waited),
        );
    };
    let mut text = if is_advertised(client, main) { advertised(client, main) } else { at_broker(client, main) };
    let mut others: Vec<String> = reasons
        .iter()
        .filter(|r| r.broker != main.broker && r.cause != Cause::Disconnected)
        .map(|r| format!("{}: {}", r.broker, r.short()))
        .collect();
    others.sort();
    others.dedup();
    if !others.is_empty() {
        text.push_str(&format!(". Also {}", others.join("; ")));
    }
    if !main.is_lasting() {
        text.push_str(&format!(" (waited {})", seconds(waited)));
    }
    text
}

fn seconds(time: Duration) -> String {
    if time.as_millis().is_multiple_of(1_000) {
        format!("{} s", time.as_secs())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// TRUE when the broker answered at another address and gave this one, which fails.
fn is_advertised(client: &Client, reason: &Reason) -> bool {
    let given = |address: &str| client.brokers().split(',').any(|b| b.trim().rsplit("//").next() == Some(address));
    let away = matches!(reason.cause, Cause::Unresolved | Cause::Refused | Cause::TimedOut | Cause::NotKafka);
    reason.node.is_some() && away && !given(&reason.broker)
}

fn advertised(client: &Client, reason: &Reason) -> String {
    let host = reason.broker.rsplit_once(':').map_or(reason.broker.as_str(), |(host, _)| host);
    format!(
        "Kafka answered at {}{}, but broker {} says that its address is {}, and that cannot be reached from here: {}. Set \
         advertised.listeners of the broker to an address that this machine can reach, or make {host} reachable from \
         here (an entry in the hosts file, a published container port)",
        client.brokers(),
        place(client, "bootstrap.servers"),
        reason.node.unwrap_or(-1),
        reason.broker,
        reason.short(),
    )
}

/// The message about a broker at an address that was given, or that is its own.
fn at_broker(client: &Client, reason: &Reason) -> String {
    let broker = &reason.broker;
    let at = if reason.node.is_none() { place(client, "bootstrap.servers") } else { String::new() };
    match &reason.cause {
        Cause::Untrusted => untrusted(client, reason, &at),
        Cause::CertificateWanted => format!(
            "Kafka at {broker}{at} wants a certificate of the client. Set ssl.certificate.location and ssl.key.location to \
             PEM files (or ssl.keystore.location to a PKCS#12 file)"
        ),
        Cause::NotKafka => {
            let found = not_a_length(&reason.text).unwrap_or_default();
            format!(
                "what listens at {broker}{at} is not Kafka: its answer begins with \"{}\". Check host and port",
                String::from_utf8_lossy(&found)
            )
        }
        Cause::TooOld => too_old(client, broker, &reason.text),
        Cause::Unresolved => {
            format!(
                "cannot reach Kafka at {broker}{at}: the host name is not known here. Check its spelling and the DNS"
            )
        }
        Cause::Refused => format!(
            "cannot reach Kafka at {broker}{at}: connection refused, nothing listens there. Start the broker, or correct the \
             address (--brokers, bootstrap.servers)"
        ),
        Cause::TimedOut => {
            format!(
                "cannot reach Kafka at {broker}{at}: no answer. Check the address and whether a firewall drops packets"
            )
        }
        Cause::Disconnected | Cause::Other => format!("cannot reach Kafka at {broker}{at}: {}", reason.text),
        Cause::Credentials
        | Cause::Mechanism(_)
        | Cause::NotSasl
        | Cause::SaslWanted
        | Cause::NotTls
        | Cause::TlsWanted => mixed_up(client, reason, &at),
    }
}

/// The message about settings that do not fit the port: who is asked to prove what, and over what.
fn mixed_up(client: &Client, reason: &Reason, at: &str) -> String {
    let broker = &reason.broker;
    match &reason.cause {
        Cause::Credentials => {
            let user = setting(client, &["sasl.username"], "");
            let mechanism = value(client, &["sasl.mechanism", "sasl.mechanisms"]).unwrap_or("GSSAPI");
            let said = reason.text.split_once(": ").map_or(reason.text.as_str(), |(_, said)| said);
            format!(
                "Kafka at {broker}{at} refused the credentials: {user}, mechanism {mechanism}: {said}. Check sasl.username \
                 and sasl.password, and that the user exists for this mechanism"
            )
        }
        Cause::Mechanism(offered) => {
            let wanted = setting(client, &["sasl.mechanism", "sasl.mechanisms"], "GSSAPI");
            format!(
                "Kafka at {broker}{at} does not offer {wanted}. It offers {offered}: set sasl.mechanism to one of these"
            )
        }
        Cause::NotSasl => {
            let port = if uses_tls(client) { "ssl" } else { "plaintext" };
            let protocol = protocol(client);
            format!(
                "Kafka at {broker}{at} does not use SASL, but {protocol}. Use its SASL port, or set security.protocol = {port}"
            )
        }
        Cause::SaslWanted => {
            let with = if uses_tls(client) { "sasl_ssl" } else { "sasl_plaintext" };
            format!(
                "Kafka at {broker}{at} closed the connection at the first request, as brokers do that want SASL: {}. If it \
                 does, set security.protocol = {with}, sasl.mechanism, sasl.username and sasl.password; if not, its log \
                 says why",
                protocol(client)
            )
        }
        Cause::NotTls => {
            let without = if uses_sasl(client) { "sasl_plaintext" } else { "plaintext" };
            format!(
                "Kafka at {broker}{at} does not speak TLS on this port, but {}. Use the broker's TLS port, or set \
                 security.protocol = {without}",
                protocol(client)
            )
        }
        Cause::TlsWanted => {
            let with = if uses_sasl(client) { "sasl_ssl" } else { "ssl (or sasl_ssl)" };
            format!(
                "Kafka at {broker}{at} closed the connection at the first byte, as ports do that want TLS: {}. Set \
                 security.protocol = {with} and ssl.ca.location, or use the broker's plaintext port",
                protocol(client)
            )
        }
        _ => reason.short(),
    }
}

fn untrusted(client: &Client, reason: &Reason, at: &str) -> String {
    let given = match value(client, &["ssl.ca.location", "ssl.ca.pem"]) {
        Some(_) => format!("{} does not hold its issuer", setting(client, &["ssl.ca.location", "ssl.ca.pem"], "")),
        None => "ssl.ca.location is not set, so that only this machine's own authorities count".to_owned(),
    };
    format!(
        "the certificate of Kafka at {}{at} could not be verified: {given}, or it names another host. Set ssl.ca.location to a \
         PEM file with the certificate authority of the brokers, and use the host name the certificate was made for",
        reason.broker
    )
}

/// A broker without what is needed.
pub fn too_old(client: &Client, broker: &str, found: &str) -> String {
    let broker = if broker.is_empty() { client.brokers() } else { broker };
    format!(
        "Kafka at {broker} is too old: {found}. Brokers from version 0.11 on are supported (2.4 for the native drivers)"
    )
}

/// Who the brokers take the client for.
fn principal(client: &Client) -> String {
    if uses_sasl(client) {
        return format!("User:{}", value(client, &["sasl.username"]).unwrap_or("(of the SASL login)"));
    }
    if uses_tls(client)
        && value(client, &["ssl.certificate.location", "ssl.certificate.pem", "ssl.keystore.location"]).is_some()
    {
        return "User:(subject of the client certificate)".to_owned();
    }
    "User:ANONYMOUS".to_owned()
}

/// The brokers do not allow `operation` (`Read`) on a resource (`topic`, `group`, `cluster`, `transactional-id`) of that
/// name: who lacks which ACL, and the command that adds it.
pub fn denied(client: &Client, operation: &str, resource: &str, name: &str) -> String {
    let (who, brokers) = (principal(client), client.brokers());
    let what = if resource == "cluster" { "the cluster".to_owned() } else { format!("{resource} \"{name}\"") };
    let flag = if resource == "cluster" { "--cluster".to_owned() } else { format!("--{resource} {name}") };
    format!(
        "{who} may not {operation} {what} at {brokers}. Missing ACL: allow {who} operation {operation} on {what}; whoever \
         administers the brokers adds it with kafka-acls.sh --bootstrap-server {brokers} --add --allow-principal '{who}' \
         --operation {operation} {flag}"
    )
}

/// The topic is not there; `existing` are the topics that are.
pub fn unknown_topic(client: &Client, topic: &str, existing: &[String]) -> String {
    let brokers = client.brokers();
    let near = look_alikes(topic, existing);
    let hint = match near.as_slice() {
        [] if existing.is_empty() => "There is no topic, or none this user may see.".to_owned(),
        [] => "`velo-cli topic list` shows those that do.".to_owned(),
        [one] => format!("Did you mean \"{one}\"?"),
        several => format!("Did you mean one of {}?", several.join(", ")),
    };
    format!("topic \"{topic}\" does not exist at {brokers}. {hint} `velo-cli topic create {topic}` makes it")
}

/// Up to three names that differ little: in case, in a few characters, or by a part more or less.
fn look_alikes(name: &str, existing: &[String]) -> Vec<String> {
    const SHOWN_MAX: usize = 3;
    let wanted = name.to_lowercase();
    let mut near: Vec<(usize, &String)> = existing
        .iter()
        .filter(|other| !other.starts_with("__"))
        .filter_map(|other| {
            let lower = other.to_lowercase();
            let edits = distance(&wanted, &lower);
            let part = wanted.len() >= 4 && lower.len() >= 4 && (lower.contains(&wanted) || wanted.contains(&lower));
            (edits <= 1 + wanted.len() / 5 || part).then_some((edits, other))
        })
        .collect();
    near.sort();
    near.into_iter().take(SHOWN_MAX).map(|(_, other)| other.clone()).collect()
}
