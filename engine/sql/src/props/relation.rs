//! What a relation's name says by itself: an identifier, a path or a URI with properties in its query.
//!
//! `trades` is an identifier; `trades.csv`, `data/*.csv` are paths; `file://data/x?format=csv` is a URI. Percent escapes
//! of URIs are decoded.

use std::path::{Component, Path};

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
        "kafka" => Ok(Relation::Later("kafka")),
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
    Ok(Relation::File { path, query: pairs })
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
        check("kafka://h:9092/t", Relation::Later("kafka"));
    }

    #[test]
    fn bad_relations() {
        for bad in ["http://x/y", "file://", "file://?a=b", "file://a%2", "file://a%zz", "file://a?b", "file://%FF"] {
            assert!(matches!(read(bad), Err(BadRelation::Malformed(_))), "{bad}");
        }
        for outside in ["file://../x.csv", "file://a/../../x.csv", "file:///../x"] {
            assert!(matches!(read(outside), Err(BadRelation::Outside(_))), "{outside}");
        }
    }
}
