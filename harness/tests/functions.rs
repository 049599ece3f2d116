//! Every function of the catalogue does what its entry says, and the reference page says what the entries say.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use velostream_exec::expr::{EvalContext, Evaluator};
use velostream_harness::scenario::compile_app;
use velostream_harness::sim::{World, WorldOptions};
use velostream_sql::plan::{Expr, NodeKind, SinkFormat};
use velostream_sql::props::Resolver;
use velostream_sql::{BindOptions, compile};
use velostream_types::{Batch, Column, PartitionId, RowMeta, SourceId};

/// A turn's time: 2024-05-06 07:08:09.123456789.
const NOW_NS: i64 = 1_714_979_289_123_456_789;

/// The expression as the engine would run it over a source with the column `x`.
fn bound(text: &str) -> Result<Expr, String> {
    let sql = format!(
        "CREATE STREAM s (x INTEGER) WITH (type = 'file_source', path = 's.jsonl');
         SELECT CAST({text} AS STRING) AS result FROM s INTO 'out.jsonl'"
    );
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("s.jsonl"), "{\"x\": 1}\n").expect("the folder is writable");
    let env = |_: &str| None;
    let mut endpoints = Resolver::new(folder.path().to_path_buf(), &env, Vec::new(), false);
    let mut catalog = velostream_runtime::catalog::FileCatalog::default();
    let options = BindOptions {
        app_name: "test".into(),
        base_dir: folder.path().to_path_buf(),
        stdout_format: SinkFormat::JsonLines,
        follow: false,
        until_end: false,
        strict: false,
    };
    let compiled = compile(&sql, &options, &mut endpoints, &mut catalog);
    let plan = compiled.plan.ok_or_else(|| format!("{:?}", compiled.diagnostics))?;
    let project = plan.nodes.into_iter().find_map(|node| match node.kind {
        NodeKind::Project { mut exprs, .. } => exprs.pop(),
        _ => None,
    });
    project.ok_or_else(|| "no projection".to_owned())
}

/// What the expression gives for a row whose `x` is 1: text, NULL, or `error: …`.
fn result(text: &str) -> String {
    let expr = match bound(text) {
        Ok(expr) => expr,
        Err(message) => return message,
    };
    let batch = Batch::new(vec![Column::ints(vec![1], None)], 1, RowMeta::plain(SourceId(0), 3, 17));
    let ctx = EvalContext { run_start_ms: NOW_NS / 1_000_000, now_ns: NOW_NS, seed: 1 };
    let evaluated = Evaluator::new(&expr).eval(&batch, &ctx);
    match evaluated.errors.first() {
        Some(failed) => format!("error: {}", failed.error.message),
        None => evaluated.column.value(0).to_string(),
    }
}

#[test]
fn every_example_gives_what_it_says() {
    let mut wrong = Vec::new();
    let mut examples = 0;
    for function in velostream_functions::all() {
        for (call, expect) in function.examples {
            examples += 1;
            let got = result(call);
            if got != *expect {
                wrong.push(format!("{call}\n  says {expect}\n  is   {got}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {examples} examples:\n{}", wrong.len(), wrong.join("\n"));
}

/// What the call gives over rows like `y: 1, 2; x: "a", null`.
fn aggregated(call: &str, rows: &str) -> String {
    let columns: Vec<(&str, Vec<&str>)> =
        rows.split("; ").filter_map(|c| c.split_once(": ")).map(|(name, v)| (name, v.split(", ").collect())).collect();
    let count = columns.first().map_or(0, |c| c.1.len());
    let line = |row: usize| {
        let fields: Vec<String> = columns.iter().map(|(name, values)| format!("\"{name}\":{}", values[row])).collect();
        format!("{{{}}}\n", fields.join(","))
    };
    let feed: String = (0..count).map(line).collect();
    let sql = format!("CREATE STREAM out AS SELECT {call} AS result FROM 't.jsonl' EMIT FINAL;");
    let feeds = BTreeMap::from([("t.jsonl", vec![feed.clone().into_bytes()])]);
    let plan = match compile_app(&sql, &feeds, Path::new(".")) {
        Ok(plan) => Arc::new(plan),
        Err(text) => return text,
    };
    let mut world = World::new(plan, vec![1], WorldOptions { shards: 2, batch_rows: 2, credits: 2 });
    world.feed(SourceId(0), PartitionId(0), feed.as_bytes());
    world.end();
    assert!(world.run_to_rest().expect("the run ends"));
    let line = world.take_rows(0).concat();
    let value = line
        .trim_end()
        .strip_prefix("{\"result\":")
        .and_then(|rest| rest.strip_suffix('}'))
        .expect("an object of one member");
    match serde_json::from_str(value).expect("JSON") {
        serde_json::Value::Null => "NULL".to_owned(),
        serde_json::Value::String(text) => text,
        _ => value.to_owned(),
    }
}

#[test]
fn every_example_of_an_aggregate_gives_what_it_says() {
    let mut wrong = Vec::new();
    for example in velostream_functions::aggregates().flat_map(|a| a.examples) {
        let got = aggregated(example.call, example.rows);
        if got != example.result {
            wrong.push(format!("{} over {}\n  says {}\n  is   {got}", example.call, example.rows, example.result));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reference_page_is_what_the_catalogue_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/functions.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    let expect = velostream_functions::reference::markdown();
    assert!(
        page == expect,
        "docs/functions.md is old; write it with: velo-sql functions --markdown > docs/functions.md"
    );
}
