//! The outline of a text, and that recommendations stay few.

use super::*;

#[test]
fn outlines_name_what_can_be_read() {
    let text = "SET a = 'b'; CREATE STREAM s AS SELECT 1 AS x;\nSELEC 1;\nSHOW JOBS;CREATE TABLE t (k INT PRIMARY KEY) WITH (path = 'x');";
    let outlined = outline(text);
    let shown = |o: &'_ Outlined| (o.span.start, o.span.end, o.kind, o.name.clone());
    let found: Vec<_> = outlined.iter().map(shown).collect();
    let expect = [
        (0, 13, Some("SET"), None),
        (13, 47, Some("CREATE STREAM … AS SELECT"), Some("s".to_owned())),
        (47, 56, None, None),
        (56, 66, Some("SHOW"), None),
        (66, 119, Some("CREATE TABLE (declaration)"), Some("t".to_owned())),
    ];
    assert_eq!(found, expect);
    assert_eq!(outline(" ;; -- nothing"), []);
}

#[test]
fn a_code_is_one_finding() {
    let limits = "SELECT 1 AS x LIMIT 1;\n".repeat(5_000);
    let Script { statements, .. } = parse(&limits);
    let mut found = Found::default();
    for statement in &statements {
        query::look(query_of(&statement.kind).expect("a query"), &mut found);
    }
    let all = once_each(found.diagnostics);
    let [only] = all.as_slice() else { panic!("{} findings", all.len()) };
    assert_eq!(only.secondary.len(), FOUND_MAX - 1);
    let shown = crate::diag::line(only, "a.sql", &limits, false);
    assert!(shown.starts_with("recommendation[A0805]: a.sql:1:21: LIMIT without"), "{shown}");
    assert!(shown.ends_with("(also lines 2, 3, 4, 5, 6 and 994 more)"), "{shown}");
}
