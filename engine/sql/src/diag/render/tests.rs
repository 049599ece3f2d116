//! Tests of `render`.

use std::sync::Arc;

use proptest::prelude::*;
use velostream_types::Span;

use super::*;
use crate::diag::Origin;

/// Span of `what` in `text`.
fn at(text: &str, what: &str) -> Span {
    let start = text.find(what).unwrap();
    Span::new(start as u32, (start + what.len()) as u32)
}

fn check(text: &str, diagnostic: &Diagnostic, expect: &str) {
    assert_eq!(render(diagnostic, "app.sql", text, false), expect.trim_start_matches('\n'));
}

#[test]
fn one_line() {
    let text = "-- clicks\n\nSELECT usr, url\nFROM clicks";
    let d = Diagnostic::error("E0203", at(text, "usr"), "column \"usr\" does not exist")
        .label("no such column")
        .detail("clicks has the columns user, url, ts")
        .hint("did you mean \"user\"?");
    check(
        text,
        &d,
        r#"
error[E0203]: column "usr" does not exist
 --> app.sql:3:8
  |
3 | SELECT usr, url
  |        ^^^ no such column
  |
  = detail: clicks has the columns user, url, ts
  = hint: did you mean "user"?
"#,
    );
}

#[test]
fn accents_wide_scripts_and_tabs_do_not_shift_carets() {
    let text = "SELECT 'é', '価格',\tusr";
    check(
        text,
        &Diagnostic::warning("W0101", at(text, "usr"), "x"),
        r#"
warning[W0101]: x
 --> app.sql:1:19
  |
1 | SELECT 'é', '価格', usr
  |                     ^^^
"#,
    );
    check(
        text,
        &Diagnostic::warning("W0101", at(text, "価格"), "x"),
        r#"
warning[W0101]: x
 --> app.sql:1:14
  |
1 | SELECT 'é', '価格', usr
  |              ^^^^
"#,
    );
}

#[test]
fn secondary_places_and_gaps() {
    let text = "CREATE STREAM a AS\nSELECT 1;\n\n\n\n\n\n\n\nCREATE STREAM a AS\nSELECT 2;";
    let second = Span::new(text.rfind("a AS").unwrap() as u32, text.rfind(" AS").unwrap() as u32);
    let d =
        Diagnostic::error("E0210", second, "a is defined twice").label("again here").also(at(text, "a AS"), "first");
    check(
        text,
        &d,
        r#"
error[E0210]: a is defined twice
  --> app.sql:10:15
   |
 1 | CREATE STREAM a AS
   |               ---- first
...
10 | CREATE STREAM a AS
   |               ^ again here
"#,
    );
}

#[test]
fn spans_of_several_lines_mark_both_ends() {
    let text = "SELECT CASE\n  WHEN a THEN b\nEND x";
    let d = Diagnostic::error("E0301", at(text, "CASE\n  WHEN a THEN b\nEND"), "bad").label("all of it");
    check(
        text,
        &d,
        r#"
error[E0301]: bad
 --> app.sql:1:8
  |
1 | SELECT CASE
  |        ^^^^
2 |   WHEN a THEN b
3 | END x
  | ^^^ all of it
"#,
    );
}

#[test]
fn the_end_of_the_text_and_empty_spans_get_one_caret() {
    check(
        "SELECT",
        &Diagnostic::error("E0101", Span::new(6, 6), "unexpected end"),
        "error[E0101]: unexpected end\n --> app.sql:1:7\n  |\n1 | SELECT\n  |       ^\n",
    );
    check(
        "",
        &Diagnostic::error("E0101", Span::new(9, 12), "empty"),
        "error[E0101]: empty\n --> app.sql:1:1\n  |\n1 |\n  | ^\n",
    );
}

#[test]
fn long_lines_are_cut_around_the_span() {
    let text = format!("SELECT {}usr{}", "a, ".repeat(100), ", b".repeat(100));
    let out = render(&Diagnostic::error("E0203", at(&text, "usr"), "x"), "app.sql", &text, false);
    let lines: Vec<&str> = out.lines().collect();
    let caret = lines[4].find('^').unwrap();
    assert!(lines[3].chars().count() <= LINE_COLUMNS + 10, "{out}");
    assert!(lines[3].contains('…') && lines[3].ends_with('…'), "{out}");
    let shown: String = lines[3].chars().skip(caret).take(3).collect();
    assert_eq!(shown, "usr", "{out}");
}

#[test]
fn other_texts_and_findings_without_a_place() {
    let yaml = Origin { name: "conf/base.yaml".into(), text: Arc::from("format: cvs\n") };
    let mut d = Diagnostic::error("E0504", Span::new(8, 11), "bad format").also(Span::new(0, 6), "read from here");
    d.primary.as_mut().unwrap().origin = Some(yaml);
    check(
        "SELECT 1",
        &d,
        r#"
error[E0504]: bad format
 --> conf/base.yaml:1:9
  |
1 | format: cvs
  |         ^^^
 ::: app.sql:1:1
  |
1 | SELECT 1
  | ------ read from here
"#,
    );
    d.primary = None;
    d.secondary.clear();
    check("", &d.detail("a\nb"), "error[E0504]: bad format\n  = detail: a\n            b\n");
}

#[test]
fn colors_wrap_the_same_text() {
    let d = Diagnostic::error("E0203", Span::new(0, 1), "x").hint("y");
    let (plain, colored) = (render(&d, "a", "b", false), render(&d, "a", "b", true));
    let mut stripped = String::new();
    let mut rest = colored.as_str();
    while let Some(i) = rest.find('\x1b') {
        stripped.push_str(&rest[..i]);
        rest = &rest[i + rest[i..].find('m').unwrap() + 1..];
    }
    stripped.push_str(rest);
    assert!(colored.contains("\x1b[1;31merror[E0203]\x1b[0m"));
    assert_eq!(stripped, plain);
}

proptest! {
    #[test]
    fn no_span_and_no_text_fails(text in "[a\té価\r\n\u{301}]{0,300}", start in 0u32..900, len in 0u32..900, second in 0u32..900) {
        let d = Diagnostic::error("E0101", Span::new(start, start + len), "m").also(Span::new(second, second / 2), "s");
        let out = render(&d, "t", &text, false);
        prop_assert!(out.contains('^') && out.contains('-'));
        crate::diag::to_json(&d, "t", &text);
    }
}

#[test]
fn what_nobody_reads_is_cut() {
    let text = "SELECT x";
    let d = Diagnostic::error("E0203", at(text, "x"), "é".repeat(5_000)).hint("h".repeat(5_000));
    let shown = render(&d, "app.sql", text, false);
    assert!(
        shown.contains("é… (10000 bytes)\n") && shown.contains("h… (5000 bytes)\n") && shown.len() < 7_000,
        "{shown}"
    );
    assert!(line(&d, "app.sql", text, false).len() < 7_000);
}
