//! House rules as tests: who may depend on whom, how long a file may be, where `unsafe` may stand, what may not stand
//! anywhere. A rule that a machine can check is checked here; `docs/style.md` gives the reasons.
//!
//! Reads the working tree as text, line by line; no rule needs more of Rust or TOML than that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each crate of the workspace may depend on inside it: only what lies below. The order is that of
/// ARCHITECTURE.md, bottom first.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("velostream-types", &[]),
    ("velostream-functions", &["velostream-types"]),
    ("velostream-sql", &["velostream-types", "velostream-functions"]),
    ("velostream-state", &["velostream-types"]),
    ("velostream-broker", &["velostream-types"]),
    ("velostream-kafka", &["velostream-types"]),
    ("velostream-exec", &["velostream-types", "velostream-functions", "velostream-sql", "velostream-state"]),
    ("velostream-runtime", &["velostream-types", "velostream-sql", "velostream-state", "velostream-exec"]),
    ("velostream-spec", &["velostream-types", "velostream-functions", "velostream-sql"]),
    (
        "velostream-harness",
        &[
            "velostream-types",
            "velostream-functions",
            "velostream-sql",
            "velostream-state",
            "velostream-exec",
            "velostream-kafka",
            "velostream-broker",
            "velostream-runtime",
            "velostream-spec",
        ],
    ),
    ("velo-sql", BELOW_BINARIES),
    ("velo-test", BELOW_BINARIES),
    ("velo-cli", BELOW_BINARIES),
    // It sends records at their due times and reads what came of them, which takes a client in its own process.
    (
        "velostream-perf",
        &["velostream-types", "velostream-sql", "velostream-state", "velostream-exec", "velostream-kafka"],
    ),
];

/// What a crate's tests may depend on besides. Only `velostream-kafka` has librdkafka, so the conformance suite that holds
/// the embedded broker to Kafka's behaviour lives there; the broker itself never depends on it.
const TESTS_MAY_DEPEND_ON: &[(&str, &[&str])] = &[("velostream-kafka", &["velostream-broker"])];

const BELOW_BINARIES: &[&str] = &[
    "velostream-types",
    "velostream-functions",
    "velostream-sql",
    "velostream-state",
    "velostream-exec",
    "velostream-kafka",
    "velostream-broker",
    "velostream-runtime",
    "velostream-harness",
    "velostream-spec",
];

/// Wrapped so that they can be replaced: each has at most one importer.
const ONE_IMPORTER: &[&str] = &["glommio", "rdkafka", "sqlparser"];
/// Below the ports: plain single-threaded code, the same in production, in a test and in the simulator.
const BELOW_PORTS: &[&str] = &["engine/types/", "engine/functions/", "engine/sql/", "engine/exec/", "state/"];
const LINES_MAX: usize = 900;
/// A SAFETY proof stands at most this many lines above its block.
const PROOF_LINES_MAX: usize = 20;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is there")
}

/// All files with one of these extensions, as (path from the root, text), sorted. Build output and hidden folders but
/// `.ci` are no sources.
fn sources(extensions: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("readable folder") {
            let path = entry.expect("readable entry").path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if path.is_dir() {
                let skipped = name == "target" || name == "corpus" || (name.starts_with('.') && name != ".ci");
                if !skipped && !path.is_symlink() {
                    folders.push(path);
                }
                continue;
            }
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            if extensions.contains(&extension) {
                let text = std::fs::read_to_string(&path).expect("sources are UTF-8");
                let from_root = path.strip_prefix(&root).expect("below the root");
                found.push((from_root.to_string_lossy().into_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// Fails with all findings at once.
fn none(rule: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{rule}\n  {}", findings.join("\n  "));
}

/// The part of a line that is code; a `//` inside a string ends it too early, which no rule here minds.
fn code(line: &str) -> &str {
    line.find("//").map_or(line, |at| &line[..at])
}

/// Tests and what only measures: not part of the product.
fn is_test_file(path: &str) -> bool {
    let folders = ["/tests/", "/examples/", "/benches/"];
    folders.iter().any(|f| path.contains(f)) || path.ends_with("/tests.rs") || path.starts_with("harness/")
}

/// Lines of a file that run outside tests: up to the first test module with a body.
fn product_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let inline_tests = (0..lines.len()).find(|i| {
        lines[*i].trim() == "#[cfg(test)]" && lines.get(i + 1).is_some_and(|l| l.contains("mod ") && l.ends_with('{'))
    });
    let end = inline_tests.unwrap_or(lines.len());
    lines.into_iter().take(end).enumerate()
}

/// TRUE when `word` stands in `line` with no letter, digit or `_` on either side.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part_of_name) && !line[at + word.len()..].starts_with(part_of_name))
}

/// One crate's manifest: its name and the names under all its dependency tables; those of tests alone are in both.
struct Manifest {
    path: String,
    name: String,
    dependencies: BTreeSet<String>,
    needed_by_product: BTreeSet<String>,
    text: String,
}

fn manifests() -> Vec<Manifest> {
    let files = sources(&["toml"])
        .into_iter()
        .filter(|(p, _)| p.ends_with("/Cargo.toml") && !format!("/{p}").contains("/fuzz/"));
    files
        .map(|(path, text)| {
            let mut section = String::new();
            let (mut name, mut dependencies) = (String::new(), BTreeSet::new());
            let mut needed_by_product = BTreeSet::new();
            for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
                if let Some(title) = line.strip_prefix('[') {
                    section = title.trim_end_matches(']').to_owned();
                    if let Some((table, dependency)) = section.rsplit_once('.')
                        && table.ends_with("dependencies")
                    {
                        dependencies.insert(dependency.to_owned());
                    }
                } else if section == "package" && line.starts_with("name") {
                    name = line.split('"').nth(1).unwrap_or_default().to_owned();
                } else if section.ends_with("dependencies") {
                    let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
                    dependencies.insert(line[..end].to_owned());
                    if !section.ends_with("dev-dependencies") {
                        needed_by_product.insert(line[..end].to_owned());
                    }
                }
            }
            Manifest { path, name, dependencies, needed_by_product, text }
        })
        .collect()
}

#[test]
fn dependencies_point_down() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_DEPEND_ON.iter().copied().collect();
    let mut findings = Vec::new();
    for manifest in manifests() {
        let Some(below) = allowed.get(manifest.name.as_str()) else {
            findings.push(format!("{} has no place in the graph of ARCHITECTURE.md", manifest.path));
            continue;
        };
        let by_tests = TESTS_MAY_DEPEND_ON.iter().find(|(name, _)| *name == manifest.name).map_or(&[][..], |(_, d)| d);
        for dependency in manifest.dependencies.iter().filter(|d| allowed.contains_key(d.as_str())) {
            let tests_only =
                by_tests.contains(&dependency.as_str()) && !manifest.needed_by_product.contains(dependency);
            if !below.contains(&dependency.as_str()) && !tests_only {
                findings.push(format!("{} must not depend on {dependency}", manifest.name));
            }
        }
    }
    none("a crate depends only on crates below it", findings);
}

#[test]
fn the_graph_has_no_cycle() {
    for (index, (name, below)) in MAY_DEPEND_ON.iter().enumerate() {
        for dependency in *below {
            let at = MAY_DEPEND_ON.iter().position(|(n, _)| n == dependency);
            assert!(at.is_some_and(|at| at < index), "{name} may depend on {dependency}, which stands behind it");
        }
    }
}

#[test]
fn wrapped_crates_have_one_importer() {
    let manifests = manifests();
    let mut findings = Vec::new();
    for wrapped in ONE_IMPORTER {
        let importers: Vec<&str> =
            manifests.iter().filter(|m| m.dependencies.contains(*wrapped)).map(|m| m.name.as_str()).collect();
        if importers.len() > 1 {
            findings.push(format!("{wrapped}: {}", importers.join(", ")));
        }
    }
    none("each wrapped crate is imported by at most one of ours", findings);
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let lacking = manifests().into_iter().filter(|m| !m.text.contains("[lints]\nworkspace = true"));
    none("every manifest says `[lints] workspace = true`", lacking.map(|m| m.path).collect());
}

#[test]
fn every_dependency_is_explained() {
    let root = root();
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("workspace manifest");
    let table = manifest.split("[workspace.dependencies]").nth(1).expect("table").split("\n[").next().expect("table");
    let used: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name.trim()))
        .filter(|name| !name.starts_with("velostream-") && !name.starts_with('#'))
        .collect();
    let page = std::fs::read_to_string(root.join("docs/dependencies.md")).expect("docs/dependencies.md");
    let explained: BTreeSet<&str> =
        page.lines().filter_map(|l| l.strip_prefix("| `")).filter_map(|l| l.split('`').next()).collect();
    let unknown = used.difference(&explained).map(|name| format!("{name}: not in docs/dependencies.md"));
    let gone = explained.difference(&used).map(|name| format!("{name}: no longer in Cargo.toml"));
    none("docs/dependencies.md has one line per dependency", unknown.chain(gone).collect());
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut findings = Vec::new();
    for (path, text) in sources(&["rs"]) {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            findings.push(format!("{path}: {lines} lines, at most {LINES_MAX}"));
        }
        if !text.starts_with("//! ") {
            findings.push(format!("{path}: does not begin with `//! ` and its job"));
        }
        let stem = Path::new(&path).file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        if ["util", "utils", "common", "helper", "helpers", "manager", "misc"].contains(&stem) {
            findings.push(format!("{path}: a name for what has no job"));
        }
    }
    none("files are short, open with their job and have a name", findings);
}

#[test]
fn unsafe_stands_only_where_it_is_listed_and_proved() {
    let page = std::fs::read_to_string(root().join("docs/unsafe.md")).expect("docs/unsafe.md");
    let listed: BTreeSet<&str> =
        page.lines().filter_map(|l| l.strip_prefix("| `")).filter_map(|l| l.split('`').next()).collect();
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    for (path, text) in sources(&["rs"]) {
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate().filter(|(_, l)| has_word(code(l), "unsafe")) {
            if path == "harness/tests/tidy.rs" {
                continue;
            }
            used.insert(path.clone());
            if !listed.contains(path.as_str()) {
                findings.push(format!("{path}:{}: not listed in docs/unsafe.md", i + 1));
            }
            let proof = lines[i.saturating_sub(PROOF_LINES_MAX)..=i].iter().any(|l| l.contains("SAFETY"));
            if !proof && !line.contains("unsafe fn") {
                findings.push(format!("{path}:{}: no SAFETY proof above it", i + 1));
            }
        }
    }
    findings.extend(listed.iter().filter(|p| !used.contains(**p)).map(|p| format!("{p}: listed without need")));
    none("`unsafe` is fenced", findings);
}

#[test]
fn below_the_ports_nothing_is_shared_or_ambient() {
    const BANNED: &[&str] = &[
        "std::collections::HashMap",
        "std::collections::HashSet",
        "std::collections::hash_map",
        "std::thread",
        "std::sync::atomic",
        "std::sync::mpsc",
        "Mutex",
        "RwLock",
        "Instant::now",
        "SystemTime",
        "async fn",
        ".await",
    ];
    let mut findings = Vec::new();
    for (path, text) in sources(&["rs"]) {
        if !BELOW_PORTS.iter().any(|p| path.starts_with(p)) || is_test_file(&path) {
            continue;
        }
        for (i, line) in product_lines(&text) {
            let code = code(line);
            let braces =
                code.contains("std::collections::{") && (has_word(code, "HashMap") || has_word(code, "HashSet"));
            if braces || BANNED.iter().any(|word| code.contains(word)) {
                findings.push(format!("{path}:{}: {}", i + 1, line.trim()));
            }
        }
    }
    none("below the ports: no default-hashed map, thread, lock, atomic, clock or async", findings);
}

#[test]
fn open_ends_are_sentences() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut findings = Vec::new();
    for (path, text) in sources(&["rs", "sql", "toml", "md", "yaml"]) {
        for (i, line) in text.lines().enumerate() {
            let Some(mark) = marks.iter().find(|m| has_word(line, m)) else { continue };
            let rest = line.split(mark).nth(1).unwrap_or_default();
            let sentence = rest.starts_with(": ") && rest.split_whitespace().count() > 4;
            if !sentence && path.ends_with(".rs") {
                findings.push(format!("{path}:{}: {}", i + 1, line.trim()));
            }
        }
    }
    none("an open end is a sentence: `mark: what is missing and why`", findings);
}

#[test]
fn no_test_is_switched_off() {
    let mut findings = Vec::new();
    let attribute = concat!("#[ig", "nore");
    for (path, text) in sources(&["rs"]) {
        for (i, _) in text.lines().enumerate().filter(|(_, l)| code(l).contains(attribute)) {
            findings.push(format!("{path}:{}", i + 1));
        }
    }
    none("wrong behaviour is pinned by a test, not hidden by switching one off", findings);
}

#[test]
fn nothing_names_a_machine() {
    let homes = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];
    let scratch = concat!("\"/tm", "p");
    let mut findings = Vec::new();
    for (path, text) in sources(&["rs", "toml", "md", "sql", "yaml", "sh", "json", ""]) {
        for (i, line) in text.lines().enumerate() {
            if homes.iter().any(|home| line.contains(home)) {
                findings.push(format!("{path}:{}: {}", i + 1, line.trim()));
            }
        }
        if path.ends_with(".rs") && !is_test_file(&path) {
            let lines = product_lines(&text).filter(|(_, l)| code(l).contains(scratch));
            findings.extend(lines.map(|(i, line)| format!("{path}:{}: {}", i + 1, line.trim())));
        }
    }
    none("paths are relative, configured or temporary, never those of one machine", findings);
}
