//! The proof table: every function, aggregate, type, kind of statement and name beside the columns, with the scenarios
//! that show it. The names come from the registries of the engine, the proofs from the texts of the scenarios, so that
//! what is new has no proof until somebody writes one. `BLESS=1` writes `docs/proofs.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use velostream_harness::scenario::{Scenario, StepKind, check_app};
use velostream_sql::lint::outline;
use velostream_sql::reference::{self, Answer, Entry, KINDS, SYSTEM_COLUMNS, TYPE_NAMES};

/// Scenarios named for one entry.
const SHOWN: usize = 3;

/// Names that need no parentheses behind them.
const BARE: [&str; 4] = ["LIKE", "CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME"];

/// Kinds of statements that no scenario can hold, and the test that shows them.
const BY_TEST: &[(&str, &str, &str)] = &[("EXPLAIN", "bin/velo-sql/tests/cli/queries.rs", "EXPLAIN SELECT")];

/// What one scenario shows.
struct Shown {
    /// Path below `harness/scenarios`.
    file: String,
    /// The SQL must not deploy.
    is_error: bool,
    /// Names with a parenthesis behind them, and the bare ones, in upper case.
    calls: BTreeSet<String>,
    /// Types of columns and casts.
    types: BTreeSet<String>,
    /// All words, in lower case.
    words: BTreeSet<String>,
    kinds: BTreeSet<&'static str>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn scenarios() -> Vec<Shown> {
    let base = root().join("harness/scenarios");
    let mut shown = Vec::new();
    let mut folders = vec![base.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("readable folder") {
            let path = entry.expect("readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "slt") {
                let file = path.strip_prefix(&base).expect("below").display().to_string();
                let scenario = Scenario::parse(&std::fs::read_to_string(&path).expect("UTF-8")).expect("a scenario");
                shown.push(look(file, &scenario));
            }
        }
    }
    shown.sort_by(|a, b| a.file.cmp(&b.file));
    shown
}

fn look(file: String, scenario: &Scenario) -> Shown {
    let tokens = tokens(&scenario.sql);
    let at = |i: Option<usize>| i.and_then(|i| tokens.get(i)).map_or("", String::as_str);
    let mut shown = Shown {
        file,
        is_error: scenario.steps.iter().any(|step| step.kind == StepKind::Error),
        calls: BTreeSet::new(),
        types: BTreeSet::new(),
        words: BTreeSet::new(),
        kinds: outline(&scenario.sql).into_iter().filter_map(|statement| statement.kind).collect(),
    };
    for (i, token) in tokens.iter().enumerate() {
        let upper = token.to_uppercase();
        shown.words.insert(token.to_lowercase());
        if at(Some(i + 1)) == "(" || BARE.contains(&upper.as_str()) {
            shown.calls.insert(upper.clone());
        }
        let is_column = ["(", ","].contains(&at(i.checked_sub(2))) && is_name(at(i.checked_sub(1)));
        if at(i.checked_sub(1)).eq_ignore_ascii_case("AS") || is_column {
            if at(Some(i + 1)).eq_ignore_ascii_case("PRECISION") {
                shown.types.insert(format!("{upper} PRECISION"));
            }
            shown.types.insert(upper);
        }
    }
    shown
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '`')
}

/// Words and signs of a text; what stands in quotes is one sign, comments are none.
fn tokens(sql: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let part = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            '`' => rest[1..].find('`').map_or(rest.len(), |end| end + 2),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            c if part(c) => rest.find(|c| !part(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let token = &rest[..length];
        match first {
            '\'' | '"' => tokens.push("''".to_owned()),
            '-' if length > 1 => {}
            c if c.is_whitespace() => {}
            _ => tokens.push(token.to_owned()),
        }
        rest = &rest[length..];
    }
    tokens
}

/// Rows of one table: names and where they are shown, empty for none.
type Rows = Vec<(String, Vec<String>)>;

fn proofs(all: &[Shown], shows: impl Fn(&Shown) -> bool) -> Vec<String> {
    let mut files: Vec<&Shown> = all.iter().filter(|shown| shows(shown)).collect();
    // The scenarios made for it come first.
    files.sort_by_key(|shown| !(shown.file.starts_with("functions/") || shown.file.starts_with("aggregate/")));
    files.iter().take(SHOWN).map(|shown| format!("harness/scenarios/{}", shown.file)).collect()
}

fn called(all: &[Shown], names: impl Iterator<Item = &'static str>) -> Rows {
    let row = |name: &'static str| (name.to_owned(), proofs(all, |s| !s.is_error && s.calls.contains(name)));
    let rows: BTreeMap<String, Vec<String>> = names.map(row).collect();
    rows.into_iter().collect()
}

fn tables(all: &[Shown]) -> Vec<(&'static str, Rows)> {
    let functions = velostream_functions::all().flat_map(|f| f.aliases.iter().chain([&f.name]).copied());
    let aggregates = velostream_functions::aggregates().flat_map(|a| a.aliases.iter().chain([&a.name]).copied());
    let columns = SYSTEM_COLUMNS
        .iter()
        .map(|column| (column.written.to_owned(), proofs(all, |s| !s.is_error && s.words.contains(column.written))));
    let types =
        TYPE_NAMES.iter().map(|name| ((*name).to_owned(), proofs(all, |s| !s.is_error && s.types.contains(*name))));
    let kinds = KINDS.iter().map(|kind| {
        let by_test = BY_TEST.iter().filter(|(name, ..)| *name == kind.name).map(|(_, file, _)| (*file).to_owned());
        let by_scenario = proofs(all, |s| s.is_error != (kind.answer == Answer::Runs) && s.kinds.contains(kind.name));
        (kind.name.to_owned(), by_test.chain(by_scenario).collect())
    });
    vec![
        ("Statements", kinds.collect()),
        ("Types", types.collect()),
        ("Columns beside the value", columns.collect()),
        ("Functions", called(all, functions)),
        ("Forms, window bounds and header functions", called(all, reference::special_calls())),
        ("Aggregates", called(all, aggregates)),
    ]
}

fn page(tables: &[(&'static str, Rows)]) -> String {
    let mut page = String::from(
        "# Proofs\n\nEvery name of the dialect and up to three scenarios that show it; each runs on 1, 2 and 4 shards, in batches of \
         1, 7 and\n1,024 rows, with and without restarts. Written by `BLESS=1 cargo test --release -p velostream-harness \
         --test proofs`, which\nfails when a name has no scenario. The examples in [functions.md](functions.md) are run \
         by `harness/tests/functions.rs`\nbesides.\n",
    );
    for (title, rows) in tables {
        let _ = write!(page, "\n## {title}\n\n| Name | Shown by |\n|---|---|\n");
        for (name, files) in rows {
            let links: Vec<String> = files
                .iter()
                .map(|file| format!("[{}](../{file})", file.trim_start_matches("harness/scenarios/")))
                .collect();
            let _ = writeln!(page, "| `{name}` | {} |", links.join(", "));
        }
    }
    page
}

#[test]
fn every_name_has_a_proof_and_the_page_names_it() {
    let tables = tables(&scenarios());
    let page = page(&tables);
    let path = root().join("docs/proofs.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let without: Vec<&str> = tables
        .iter()
        .flat_map(|(_, rows)| rows.iter().filter(|(_, files)| files.is_empty()).map(|(name, _)| name.as_str()))
        .collect();
    assert!(without.is_empty(), "no scenario shows {}: add some to harness/scenarios", without.join(", "));
    let names: usize = tables.iter().map(|(_, rows)| rows.len()).sum();
    assert!(names > 200, "only {names} names: is a registry not asked any more?");
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let hint = "BLESS=1 cargo test --release -p velostream-harness --test proofs";
    assert!(found == page, "docs/proofs.md is old; write it with: {hint}");
}

#[test]
fn tests_named_as_proofs_are_there() {
    for (name, file, words) in BY_TEST {
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        assert!(text.contains(words), "{name}: {file} has no {words}");
    }
}

#[test]
fn examples_of_the_listing_are_queries() {
    let declared = "CREATE STREAM trades (symbol STRING, price DECIMAL(10,2), ts INT)\n\
        WITH (type = 'memory', format = 'json', 'event.time.field' = 'ts');\n";
    let entries = SYSTEM_COLUMNS.iter().chain(reference::HEADER_FUNCTIONS).chain(reference::WINDOW_BOUNDS);
    for Entry { written, example, .. } in entries {
        let sql = format!("{declared}{example};");
        if let Err(text) = check_app(&sql, &BTreeMap::new(), Path::new(".")) {
            panic!("{written}: {text}");
        }
    }
}

#[test]
fn texts_are_cut_into_words() {
    let found = tokens("SELECT f (a,'x -- (y)') AS \"q\" -- g(1)\nFROM `my t`");
    assert_eq!(found, ["SELECT", "f", "(", "a", ",", "''", ")", "AS", "''", "FROM", "`my t`"]);
}
