//! Every function of the catalogue does what its entry says, and the reference page says what the entries say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::path::Path;

use velostream_exec::expr::{EvalContext, Evaluator};
use velostream_sql::plan::{Expr, NodeKind, SinkFormat};
use velostream_sql::props::Resolver;
use velostream_sql::{BindOptions, compile};
use velostream_types::{Batch, Column, RowMeta, SourceId};

/// A turn's time: 2024-05-06 07:08:09.123456789.
const NOW_NS: i64 = 1_714_979_289_123_456_789;

/// The expression as the engine would run it over a source with the column `x`.
fn bound(text: &str) -> Result<Expr, String> {
    let sql = format!(
        "CREATE STREAM s (x INTEGER) WITH (type = 'file_source', path = 's.jsonl');
         SELECT CAST({text} AS STRING) AS result FROM s INTO 'out.jsonl'"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.jsonl"), "{\"x\": 1}\n").unwrap();
    let env = |_: &str| None;
    let mut endpoints = Resolver::new(folder.path().to_path_buf(), &env, Vec::new(), false);
    let mut catalog = velostream_runtime::catalog::FileCatalog::default();
    let options = BindOptions {
        app_name: "test".into(),
        base_dir: folder.path().to_path_buf(),
        stdout_format: SinkFormat::JsonLines,
        follow: false,
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
