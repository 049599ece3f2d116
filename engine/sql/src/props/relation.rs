//! What a relation's name says by itself: an identifier, a path or a URI with properties in its query.
//!
//! `trades` is an identifier; `trades.csv`, `data/*.csv` are paths; `file://data/x?format=csv` and
//! `kafka://host:9092,other/topic?group_id=g` are URIs. Percent escapes of URIs are decoded.

use std::path::{Component, Path};

/// Port of a broker that names none.
const KAFKA_PORT: &str = "9092";

/// A relation as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// A name that properties must explain.
    Name,
    /// A path or glob.
    Path(String),
    /// A `file://` URI.
    File {
        /// Decoded path.
        path: String,
        /// Decoded query, in order.
        query: Vec<(String, String)>,
    },
    /// A `kafka://` URI.
    Kafka {
        /// `host:port`, separated by commas.
        brokers: String,
        /// Decoded topic.
        topic: String,
        /// Decoded query, in order.
        query: Vec<(String, String)>,
    },
    /// A URI of a known scheme without a connector yet.
    Later(&'static str),
}

/// Why a name is no relation: which part of it, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadRelation {
    /// Malformed: what is wrong.
    Malformed(String),
    /// Climbs above the app's folder.
    Outside(String),
}

/// Reads a relation's name.
pub(super) fn read(name: &str) -> Result<Relation, BadRelation> {
    let Some((scheme, rest)) = name.split_once("://") else {
        let is_path = name.contains(['/', '.', '*', '?']);
        return Ok(if is_path { Relation::Path(name.to_owned()) } else { Relation::Name });
    };
    match scheme.to_ascii_lowercase().as_str() {
        "file" => file(rest),
        "kafka" => kafka(rest),
        "s3" => Ok(Relation::Later("s3")),
        _ => Err(BadRelation::Malformed(format!("the scheme \"{scheme}\" is none of file, kafka and s3"))),
    }
}

fn file(rest: &str) -> Result<Relation, BadRelation> {
    let malformed = |text: &str| BadRelation::Malformed(text.to_owned());
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = decode(path).ok_or_else(|| malformed("its path has a broken percent escape"))?;
    if path.is_empty() {
        return Err(malformed("it has no path"));
    }
    if is_outside(Path::new(&path)) {
        return Err(BadRelation::Outside(path));
    }
    Ok(Relation::File { path, query: pairs(query)? })
}

/// `host[:port][,host[:port]]/topic[?query]`
fn kafka(rest: &str) -> Result<Relation, BadRelation> {
    let malformed = |text: String| BadRelation::Malformed(text);
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, topic) = place.split_once('/').unwrap_or((place, ""));
    let topic = decode(topic).ok_or_else(|| malformed("Its topic has a broken percent escape.".to_owned()))?;
    if topic.is_empty() {
        return Err(malformed("It has no topic.".to_owned()));
    }
    if topic.contains('/') {
        return Err(malformed(format!("A topic's name has no \"/\", but \"{topic}\" has one.")));
    }
    let mut brokers = Vec::new();
    for host in hosts.split(',') {
        let (name, port) = match host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((name, port)) => (name, port),
            None => (host, KAFKA_PORT),
        };
        if name.is_empty() || name.contains('@') || port.parse::<u16>().is_err() {
            return Err(malformed(format!("\"{host}\" is no host and port.")));
        }
        brokers.push(format!("{name}:{port}"));
    }
    Ok(Relation::Kafka { brokers: brokers.join(","), topic, query: pairs(query)? })
}

/// Properties of a URI's query, decoded.
fn pairs(query: &str) -> Result<Vec<(String, String)>, BadRelation> {
    let malformed = |text: &str| BadRelation::Malformed(text.to_owned());
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| BadRelation::Malformed(format!("the part \"{pair}\" of its query has no \"=\"")))?;
        match (decode(key), decode(value)) {
            (Some(key), Some(value)) => pairs.push((key, value)),
            _ => return Err(malformed("its query has a broken percent escape")),
        }
    }
    Ok(pairs)
}

/// TRUE when `..` leads above the folder a relative path starts in, or above the root.
fn is_outside(path: &Path) -> bool {
    let mut depth = 0usize;
    for part in path.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::ParentDir if depth == 0 => return true,
            Component::ParentDir => depth -= 1,
            _ => {}
        }
    }
    false
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations() {
        let check = |name: &str, expect: Relation| assert_eq!(read(name), Ok(expect), "{name}");
        let file = |path: &str, query: &[(&str, &str)]| Relation::File {
            path: path.to_owned(),
            query: query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        check("trades", Relation::Name);
        check("my-stream 2", Relation::Name);
        check("trades.csv", Relation::Path("trades.csv".into()));
        check("../data/*.csv", Relation::Path("../data/*.csv".into()));
        check(
            "file://data/a%20b.csv?format=csv&delimiter=%3B",
            file("data/a b.csv", &[("format", "csv"), ("delimiter", ";")]),
        );
        check("FILE:///abs/x.jsonl", file("/abs/x.jsonl", &[]));
        check("file://a/../b.csv", file("a/../b.csv", &[]));
        let kafka = |brokers: &str, topic: &str, query: &[(&str, &str)]| match file("", query) {
            Relation::File { query, .. } => Relation::Kafka { brokers: brokers.into(), topic: topic.into(), query },
            other => other,
        };
        check("kafka://h:9093/t", kafka("h:9093", "t", &[]));
        check(
            "kafka://a,b:1,[::1]/my.topic?group_id=g",
            kafka("a:9092,b:1,[::1]:9092", "my.topic", &[("group_id", "g")]),
        );
        check("s3://b/x", Relation::Later("s3"));
    }

    #[test]
    fn bad_relations() {
        for bad in ["kafka://h", "kafka:///t", "kafka://h:x/t", "kafka://u@h/t", "kafka://h/a/b", "kafka://h,/t"] {
            assert!(matches!(read(bad), Err(BadRelation::Malformed(_))), "{bad}");
        }
        for bad in ["http://x/y", "file://", "file://?a=b", "file://a%2", "file://a%zz", "file://a?b", "file://%FF"] {
            assert!(matches!(read(bad), Err(BadRelation::Malformed(_))), "{bad}");
        }
        for outside in ["file://../x.csv", "file://a/../../x.csv", "file:///../x"] {
            assert!(matches!(read(outside), Err(BadRelation::Outside(_))), "{outside}");
        }
    }
}
