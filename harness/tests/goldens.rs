//! What users are shown, as a whole: every diagnostic has a golden, and all are written one way.
//!
//! Reads the scenarios and the sources of the SQL crate as text. That the goldens are what the engine says is the
//! business of `scenarios.rs`.

use std::path::{Path, PathBuf};

use velostream_sql::diag::codes::CODES;

/// Every file below `folder` of the workspace with this extension, as (path, text), sorted.
fn files(folder: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("readable folder") {
            let path = entry.expect("readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

/// What a hint or detail does that others do not: a capital in front of a small letter, or a full stop at the end.
fn oddity(text: &str) -> Option<&'static str> {
    let mut letters = text.chars();
    let capital = letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_lowercase);
    match (capital, text.ends_with('.')) {
        (true, _) => Some("starts with a capital"),
        (false, true) => Some("ends with a full stop"),
        (false, false) => None,
    }
}

/// The string literal `code` starts with, perhaps inside `format!(`.
fn literal(code: &str) -> Option<&str> {
    let code = code.trim_start();
    let code = code.strip_prefix("format!(").map_or(code, str::trim_start).strip_prefix('"')?;
    let mut escaped = false;
    let end = code.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    code.get(..end)
}

#[test]
fn hints_and_details_are_written_one_way() {
    assert_eq!(oddity("Did you mean x?"), Some("starts with a capital"));
    assert_eq!(oddity("remove it."), Some("ends with a full stop"));
    assert_eq!(oddity("CAST the text"), None);
    let mut odd = Vec::new();
    let mut look = |path: &Path, text: &str| {
        odd.extend(oddity(text).map(|why| format!("{}: \"{text}\" {why}", path.display())));
    };
    for (path, text) in files("harness/scenarios", "slt") {
        for line in text.lines() {
            let line = line.trim_start();
            if let Some(said) = line.strip_prefix("= hint: ").or_else(|| line.strip_prefix("= detail: ")) {
                look(&path, said);
            }
        }
    }
    let mut literals = 0;
    for (path, text) in files("engine/sql/src", "rs") {
        for start in [".hint(", ".detail(", "let hint =", "let detail ="] {
            for (at, _) in text.match_indices(start) {
                if let Some(said) = literal(&text[at + start.len()..]) {
                    literals += 1;
                    look(&path, said);
                }
            }
        }
    }
    assert!(literals > 80, "only {literals} texts found: are they written another way now?");
    assert!(odd.is_empty(), "hints and details start in lower case and end without a full stop:\n{}", odd.join("\n"));
}

/// Codes no scenario can show, and why.
const NOT_SHOWN: &[(&str, &str)] = &[
    ("E0100", "about the arguments of `velo-sql validate`: its tests show it"),
    ("E0509", "needs a broker: shown by the tests of velo-sql over topics"),
    ("E0510", "needs a broker: shown by the tests of velo-sql over topics"),
    ("E0522", "needs a broker: shown by the tests of velo-sql over topics"),
    ("E0801", "a run says it: the tests of velo-sql make one too big"),
    ("E0505", "a scenario's sources are fed and never opened; the tests of velo-sql open files"),
];

#[test]
fn every_diagnostic_has_a_golden() {
    let mut shown: Vec<String> = Vec::new();
    for (_, text) in files("harness/scenarios", "slt") {
        for line in text.lines() {
            let code = ["error[", "warning[", "recommendation["].iter().find_map(|word| line.strip_prefix(word));
            shown.extend(code.and_then(|c| c.get(..5)).map(str::to_owned));
        }
    }
    let mut wrong = Vec::new();
    for code in CODES.iter().map(|c| c.code) {
        match (shown.iter().any(|s| s == code), NOT_SHOWN.iter().any(|(c, _)| *c == code)) {
            (false, false) => wrong.push(format!("{code} has none: add a file under harness/scenarios/error")),
            (true, true) => wrong.push(format!("{code} has one: take it off NOT_SHOWN")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "each code of the registry is shown by a scenario:\n{}", wrong.join("\n"));
}
