//! Whatever the text, compiling ends in a plan or a diagnostic: the corpus, its mutations, and token soup.

mod world;

use std::path::Path;

use proptest::prelude::*;
use velostream_sql::diag::{Diagnostic, Severity};
use velostream_sql::plan::{AggregateCall, Expr, ExprKind, NodeKind, SinkFormat};
use velostream_sql::{BindOptions, compile};
use velostream_types::{DataType, Schema};
use world::World;

/// Compiles and checks what holds for any text; answers the findings where there is no plan.
fn check(text: &str) -> Result<(), Vec<Diagnostic>> {
    let options = BindOptions {
        app_name: "app".to_owned(),
        base_dir: ".".into(),
        stdout_format: SinkFormat::JsonLines,
        follow: !text.len().is_multiple_of(2),
        until_end: false,
        strict: false,
    };
    let compiled = compile(text, &options, &mut World, &mut World);
    let failed = compiled.diagnostics.iter().any(|d| d.severity == Severity::Error);
    assert_eq!(compiled.plan.is_none(), failed || !compiled.cannot_run.is_empty(), "{text}");
    for diagnostic in &compiled.diagnostics {
        for label in diagnostic.primary.iter().chain(&diagnostic.secondary) {
            let (start, end) = (label.span.start as usize, label.span.end as usize);
            assert!(text.get(start..end).is_some(), "{diagnostic:?} points outside: {text}");
        }
    }
    if let Some(plan) = compiled.plan.as_ref().or(compiled.blocked.as_ref()) {
        for (i, node) in plan.nodes.iter().enumerate() {
            assert!(node.inputs.iter().all(|input| input.index() < i), "inputs stand before nodes: {text}");
            let Some(input) = node.inputs.first().map(|n| &plan.nodes[n.index()].schema) else { continue };
            let exprs: Vec<&Expr> = match &node.kind {
                NodeKind::Filter { predicate } => vec![predicate],
                NodeKind::Project { exprs, event_time } => {
                    assert_eq!(exprs.len(), node.schema.len(), "{text}");
                    exprs.iter().chain(event_time).collect()
                }
                NodeKind::Aggregate(spec) => {
                    let width = spec.output_columns() + usize::from(spec.headers.is_some());
                    assert_eq!(width, node.schema.len(), "{text}");
                    let columns = |a: &AggregateCall| {
                        let order: Vec<usize> = a.order.iter().map(|o| o.column).collect();
                        [a.arguments.clone(), order, a.filter.into_iter().collect()].concat()
                    };
                    let mut used =
                        spec.keys.iter().chain(&spec.identity).copied().chain(spec.aggregates.iter().flat_map(columns));
                    assert!(used.all(|c| c < spec.input.len()), "{text}");
                    continue;
                }
                NodeKind::Sink { sink, .. } => {
                    let sink = &plan.sinks[*sink];
                    assert!(sink.pass_through || sink.schema.len() <= input.len(), "{text}");
                    let carried = sink.carried.key.into_iter().chain(sink.carried.headers);
                    carried.for_each(|c| assert_eq!(input.fields[c].data_type, DataType::Bytes, "{text}"));
                    continue;
                }
                _ => continue,
            };
            exprs.into_iter().for_each(|expr| columns(expr, input, text));
        }
    }
    if failed { Err(compiled.diagnostics) } else { Ok(()) }
}

/// Columns exist and have the type the expression takes them for.
fn columns(expr: &Expr, input: &Schema, text: &str) {
    if let ExprKind::Column(c) = &expr.kind {
        let field = input.fields.get(*c);
        assert_eq!(field.map(|f| &f.data_type), Some(&expr.data_type), "column {c} of {input:?}: {text}");
    }
    expr.each_child(&mut |x| columns(x, input, text));
}

fn corpus() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("the corpus").map(|e| e.expect("a file").path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).expect("text"))
    };
    files.iter().map(read).collect()
}

/// Words, operators and literals, as a person or a cat would type them.
fn token() -> impl Strategy<Value = String> {
    let words = "SELECT FROM WHERE GROUP BY HAVING LIMIT EMIT CHANGES FINAL INTO WITH AS CREATE STREAM TABLE WINDOW \
        TUMBLING TUMBLE GRACE SIZE CASE WHEN THEN ELSE END CAST TRY_CAST AND OR NOT IN IS NULL BETWEEN DISTINCT LIKE \
        COUNT SUM AVG MIN FIRST STRING_AGG TOPK DELTA PERCENTILE_CONT CORR WITHIN FILTER ORDER SEPARATOR NULLS DESC COALESCE NULLIF UPPER symbol price quantity ts day ok j _event_time _window_start \
        INTERVAL SECOND PRIMARY KEY WATERMARK FOR SET EXPLAIN INT DECIMAL TRUE DATE 'trades.csv' 'a' '' \"symbol\" \
        \"q\" `b` 1 2.50 1e3 5s 10m .5 9223372036854775808 ( ( ) ) , , ; + - * / % = <> < <= > >= || . == [ ] { : ~ \
        -- /* */ ' \" ` \u{e4} \u{1f600} \\ @ $1";
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    prop::sample::select(words)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn token_soup_ends(tokens in prop::collection::vec(token(), 0..60), glue in any::<bool>()) {
        let _ = check(&tokens.join(if glue { "" } else { " " }));
    }

    #[test]
    fn soup_behind_a_sound_start_ends(tokens in prop::collection::vec(token(), 0..20), start in 0usize..6) {
        let starts = [
            "SELECT symbol FROM 'trades.csv' ",
            "SELECT ",
            "CREATE TABLE t AS SELECT symbol, SUM(price) AS s FROM 'trades.csv' GROUP BY symbol; SELECT ",
            "SELECT COUNT(*) FROM 'trades.csv' WINDOW TUMBLING(ts, 5s) HAVING ",
            "SELECT STRING_AGG(DISTINCT symbol, ',' ORDER BY ",
            "SELECT SUM(price) FILTER (WHERE price > 1 ",
        ];
        let _ = check(&format!("{}{} FROM 'trades.csv'", starts[start], tokens.join(" ")));
    }

    #[test]
    fn mutated_scripts_end(
        file in 0usize..3,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0u8..4, token()), 1..8),
    ) {
        let corpus = corpus();
        let mut characters: Vec<char> = corpus[file].1.chars().collect();
        for (at, edit, token) in &edits {
            let at = at.index(characters.len().max(1)).min(characters.len());
            match edit {
                0 => drop(characters.drain(at..(at + token.len()).min(characters.len()))),
                1 => drop(characters.splice(at..at, token.chars())),
                2 => characters.truncate(at),
                _ => {
                    let copy: Vec<char> = characters[at..(at + 40).min(characters.len())].to_vec();
                    characters.extend(copy);
                }
            }
        }
        let _ = check(&characters.iter().collect::<String>());
    }

    #[test]
    fn any_text_ends(text in any::<String>()) {
        let _ = check(&text);
    }
}

#[test]
fn corpus_ends_as_its_names_say() {
    for (name, text) in corpus() {
        assert_eq!(check(&text).is_ok(), name != "odd", "{name}: {:?}", check(&text));
    }
}
