//! In which order the sources of an app are read.

use super::world::compiled;
use crate::plan::{AppPlan, NodeKind};

const WORLD: &str = "CREATE STREAM a (id INT, k STRING, x INT, ts INT) \
     WITH ('path' = 'trades.jsonl', 'memory' = 'a', 'event.time.field' = 'ts'); \
     CREATE STREAM b (id INT, k STRING, y INT, ts INT) \
     WITH ('path' = 'trades.jsonl', 'memory' = 'b', 'event.time.field' = 'ts'); \
     CREATE STREAM c (id INT, k STRING, z INT, ts INT) \
     WITH ('path' = 'trades.jsonl', 'memory' = 'c', 'event.time.field' = 'ts'); \
     CREATE TABLE of_a AS SELECT k, COUNT(*) AS n FROM a GROUP BY k; \
     CREATE TABLE of_b AS SELECT k, COUNT(*) AS n FROM b GROUP BY k; ";

/// The sources with their levels: `t` for one that feeds a table, `*` where it meets no other, `'` for second readers;
/// then the nodes that these have.
fn check(queries: &str, expect: &str) {
    let result = compiled(&format!("{WORLD}{queries}"));
    let errors: Vec<String> = result.diagnostics.iter().map(|d| format!("{} {}", d.code, d.message)).collect();
    let Some(plan) = result.plan.or(result.blocked) else { panic!("{queries}: {errors:?}") };
    for node in &plan.nodes {
        assert_eq!(plan.nodes[node.id.index()].id, node.id);
        assert!(node.inputs.iter().all(|input| input.index() < node.id.index()), "{queries}: inputs stand in front");
    }
    let edge = |node: &crate::plan::Node| match node.kind {
        NodeKind::Exchange { edge, .. } | NodeKind::Sink { edge, .. } => Some(edge.0),
        _ => None,
    };
    let mut edges: Vec<u16> = plan.nodes.iter().filter_map(edge).chain(plan.dlqs.iter().map(|d| d.edge.0)).collect();
    edges.sort_unstable();
    assert_eq!(edges, (0..plan.edges).collect::<Vec<_>>(), "{queries}: each edge has its number");
    assert_eq!(shown(&plan), expect, "{queries}");
}

fn shown(plan: &AppPlan) -> String {
    let mut sources: Vec<String> = Vec::new();
    for (at, source) in plan.sources.iter().enumerate() {
        let (load, name) = (&source.load, &source.name);
        let again = if load.again.is_some() { "'" } else { "" };
        let table = if load.table { " t" } else { "" };
        let alone = if load.alone { "*" } else { "" };
        let reads = |n: &&crate::plan::Node| matches!(n.kind, NodeKind::Scan { source } if source.index() == at);
        assert_eq!(plan.nodes.iter().filter(reads).count(), 1, "one Scan per reader");
        sources.push(format!("{name}{again} {}{table}{alone}", load.level));
    }
    sources.sort();
    let twins = plan.twins().into_iter().map(|twin| match &plan.nodes[twin.index()].kind {
        NodeKind::Scan { .. } => "scan",
        NodeKind::Filter { .. } => "filter",
        NodeKind::Project { .. } => "project",
        NodeKind::Exchange { .. } => "exchange",
        NodeKind::Join(_) => "join",
        _ => "other",
    });
    let twins: Vec<&str> = twins.collect();
    let twins = if twins.is_empty() { String::new() } else { format!("; again {}", twins.join(" ")) };
    format!("{}{twins}", sources.join(", "))
}

#[test]
fn a_stream_waits_for_what_feeds_its_table() {
    check("SELECT c.z, n FROM c JOIN of_b ON c.k = of_b.k", "a 0, b 0 t*, c 1");
    check("SELECT z FROM c WHERE k IN (SELECT k FROM of_b)", "a 0, b 0 t*, c 1");
    check("SELECT c.z FROM of_b RIGHT JOIN c ON c.k = of_b.k", "a 0, b 0 t*, c 1");
}

#[test]
fn a_chain_of_tables_is_a_chain_of_levels() {
    check(
        "CREATE TABLE joined AS SELECT b.k, COUNT(*) AS m FROM b JOIN of_a ON b.k = of_a.k GROUP BY b.k; \
         SELECT z FROM c JOIN joined ON c.k = joined.k",
        "a 0 t*, b 1 t*, c 2",
    );
}

#[test]
fn tables_of_tables_are_loaded_side_by_side() {
    check(
        "CREATE TABLE both AS SELECT of_a.k, of_b.n FROM of_a JOIN of_b ON of_a.k = of_b.k; \
         SELECT z FROM c JOIN both ON c.k = both.k",
        "a 0 t, b 0 t, c 1",
    );
}

#[test]
fn a_stream_that_asks_a_table_of_its_own_records_has_a_second_reader() {
    check("SELECT x, n FROM a JOIN of_a ON a.k = of_a.k", "a 0 t*, a' 1, b 0; again scan");
    // What stands between source and join and is read by others, too, is done a second time; the rest is not.
    check(
        "CREATE STREAM big AS SELECT k, x FROM a WHERE x > 10; \
         CREATE TABLE of_big AS SELECT k, COUNT(*) AS n FROM big GROUP BY k; \
         CREATE STREAM own AS SELECT k, x FROM big WHERE x > 20; \
         SELECT own.x, n FROM own JOIN of_big ON own.k = of_big.k",
        "a 0 t*, a' 1, b 0; again scan filter project",
    );
}

#[test]
fn readers_in_a_circle_are_cut_once() {
    check(
        "SELECT x, n FROM a JOIN of_b ON a.k = of_b.k; SELECT y, n FROM b JOIN of_a ON b.k = of_a.k",
        "a 0 t*, a' 2, b 1 t*; again scan",
    );
}

#[test]
fn streams_that_meet_begin_together() {
    check(
        "CREATE STREAM rich AS SELECT c.k, c.z FROM c JOIN of_b ON c.k = of_b.k; \
         SELECT rich.z, a.x FROM rich JOIN a WITHIN 5s ON rich.k = a.k",
        "a 1, b 0 t*, c 1",
    );
}

#[test]
fn versions_of_a_table_are_read_in_step() {
    check("SELECT c.z FROM c JOIN of_b FOR SYSTEM_TIME AS OF c.ts ON c.k = of_b.k", "a 0, b 0, c 0");
}
