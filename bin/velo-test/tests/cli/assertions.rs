//! Each type of assertion through everything, from the spec to the report: in `tests/assertions`, `TYPE.passing.yaml`
//! holds, and `TYPE.failing.yaml` fails with the report `TYPE.failing.txt`. `BLESS=1` writes these reports anew.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::Value;

use crate::world::{Ran, World, comparable, settled};

/// Types that run at once.
const WORKERS: usize = 4;
/// Rows that a failure shows at most.
const SHOWN_ROWS: usize = 10;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/assertions")
}

/// The types that specs may have, as editors are told.
fn types() -> BTreeSet<String> {
    let schema = velostream_spec::load::json_schema::spec();
    let kinds = schema.pointer("/$defs/query/properties/assertions/anyOf/0/items/anyOf");
    let kinds = kinds.and_then(Value::as_array).expect("an assertion is one of several");
    let tag = |kind: &Value| {
        let object = kind["$ref"].as_str().and_then(|to| schema.pointer(to.trim_start_matches('#')));
        object.and_then(|object| object["properties"]["type"]["enum"][0].as_str()).expect("it has a type").to_owned()
    };
    kinds.iter().map(tag).collect()
}

/// The files of the folder, but for reports, with their paths below it.
fn files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for below in ["", "data", "schemas"] {
        for entry in std::fs::read_dir(folder().join(below)).expect("the folder is there") {
            let path = entry.expect("it can be listed").path();
            if path.is_file() && path.extension().is_none_or(|extension| extension != "txt") {
                let name = path.strip_prefix(folder()).expect("it is below it").display().to_string();
                files.push((name, std::fs::read_to_string(&path).expect("it is text")));
            }
        }
    }
    files
}

#[test]
fn every_type_has_a_spec_that_holds_and_one_that_does_not() {
    let of = |ending: &str| -> BTreeSet<String> {
        files().iter().filter_map(|(name, _)| name.strip_suffix(ending).map(str::to_owned)).collect()
    };
    assert_eq!(of(".passing.yaml"), types());
    assert_eq!(of(".failing.yaml"), types());
}

#[test]
fn every_type_holds_and_fails_as_it_should() {
    let (files, left, wrong) = (files(), Mutex::new(types()), Mutex::new(Vec::new()));
    let work = || {
        while let Some(kind) = { left.lock().expect("nobody panics with it").pop_first() } {
            let found = problems(&kind, &files);
            wrong.lock().expect("nobody panics with it").extend(found);
        }
    };
    std::thread::scope(|scope| (0..WORKERS).for_each(|_| drop(scope.spawn(work))));
    let wrong = wrong.into_inner().expect("nobody panics with it");
    assert!(wrong.is_empty(), "{}\n(BLESS=1 takes reports as they are)", wrong.join("\n\n"));
}

/// What is not as it should be with a type.
fn problems(kind: &str, files: &[(String, String)]) -> Vec<String> {
    let is_own = |name: &str| !name.ends_with("ing.yaml") || name.starts_with(&format!("{kind}."));
    let own: Vec<(&str, &str)> =
        files.iter().filter(|(name, _)| is_own(name)).map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let world = World::with(&own);
    let run = |way: &str, form: &str| {
        world.run(&["run", "orders.sql", "--spec", &format!("{kind}.{way}.yaml"), "--seed", "1", "-o", form])
    };
    let mut wrong = Vec::new();
    let held = run("passing", "json");
    if held.code == Some(0) {
        let mut found = Vec::new();
        each(&held, kind, &mut found, |assertion| assertion["passed"] == true && assertion["warning"].is_null());
        wrong.extend(found.into_iter().map(|what| format!("{kind}.passing.yaml: {what}")));
    } else {
        wrong.push(format!("{kind}.passing.yaml: {:?}\n{}{}", held.code, run("passing", "text").out, held.err));
    }
    let failed = run("failing", "text");
    if failed.code != Some(1) {
        wrong.push(format!("{kind}.failing.yaml: {:?}\n{}{}", failed.code, failed.out, failed.err));
    }
    wrong.extend(differs(&settled(&failed.out), &folder().join(format!("{kind}.failing.txt"))));
    let [first, second] = [(); 2].map(|()| run("failing", "json"));
    let mut found = Vec::new();
    each(&first, kind, &mut found, |assertion| {
        let is_told = |key: &str| assertion[key].as_str().is_some_and(|text| !text.is_empty());
        let rows = assertion["rows"].as_array().map_or(0, Vec::len);
        assertion["passed"] == false && is_told("expected") && is_told("actual") && rows <= SHOWN_ROWS
    });
    wrong.extend(found.into_iter().map(|what| format!("{kind}.failing.yaml: {what}")));
    // As text: the order of keys is part of a report.
    let [first, second] = [first, second].map(|ran| comparable(ran.report()).to_string());
    if first != second {
        wrong.push(format!("{kind}.failing.yaml: two runs differ\n{first}\n{second}"));
    }
    wrong
}

/// Tells of each assertion of a report that has another type, or that is not as it should be; and of warnings.
fn each(ran: &Ran, kind: &str, wrong: &mut Vec<String>, is_right: impl Fn(&Value) -> bool) {
    let report = ran.report();
    let queries = report["queries"].as_array().expect("a list");
    wrong.extend(
        std::iter::once(&report)
            .chain(queries)
            .map(|of| &of["warnings"])
            .filter(|w| !w.is_null())
            .map(Value::to_string),
    );
    let assertions: Vec<&Value> =
        queries.iter().flat_map(|query| query["assertions"].as_array().expect("a list")).collect();
    if assertions.is_empty() {
        wrong.push("nothing is asserted".to_owned());
    }
    let is_wrong = |assertion: &&&Value| assertion["type"] != kind || !is_right(assertion);
    wrong.extend(assertions.iter().filter(is_wrong).map(|assertion| format!("{assertion:#}")));
}

/// How a report differs from the file it should be; with `BLESS=1` the file becomes the report.
fn differs(report: &str, path: &Path) -> Option<String> {
    if std::env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(path, report).expect("it can be written");
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    (golden != report).then(|| format!("{} is\n{golden}\nand the report is\n{report}", path.display()))
}
