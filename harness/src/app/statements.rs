//! Which statements of an app a query test deploys: the one it names, what it depends on, and nothing else.
//!
//! A query that reads what another query makes gets that from an input of the test where there is one, as a topic; where
//! there is none, the other query is deployed with it.

use std::collections::BTreeSet;

use velostream_spec::findings::NO_STATEMENT;
use velostream_spec::spec::QueryTest;
use velostream_sql::outline::{Outline, OutlineKind, only, outline};
use velostream_sql::suggest;

use super::refused::Refused;

/// What is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// The statement that is tested, by its name.
    pub tested: String,
    /// Its text.
    pub statement: String,
    /// The app's text with all other statements blanked out.
    pub text: String,
    /// Objects of left-out queries that are read as topics.
    pub as_topics: Vec<String>,
    /// Queries that are deployed beside the tested one.
    pub beside: Vec<String>,
}

/// What a test deploys; the message says why it cannot be told.
pub fn deployed(text: &str, test: &QueryTest) -> Result<Deployed, Refused> {
    let outlines = outline(text);
    let tested = tested(&outlines, test)?;
    let makes = |o: &&Outline| o.is_query() || o.kind == OutlineKind::View;
    let inputs: BTreeSet<&str> = test.inputs.iter().map(|input| input.source.as_str()).collect();
    let mut kept: BTreeSet<usize> = BTreeSet::new();
    let mut as_topics = BTreeSet::new();
    let mut open: Vec<&Outline> = vec![tested];
    for name in &test.dependencies {
        let found: Vec<&Outline> = by_name(&outlines, name).collect();
        if found.is_empty() {
            return Err(unknown("dependency", name, test, &outlines));
        }
        open.extend(found);
    }
    while let Some(at) = open.pop() {
        if !kept.insert(at.number) {
            continue;
        }
        for read in &at.reads {
            if inputs.contains(read.as_str())
                && by_name(&outlines, read).any(|o| makes(&o) && o.number != tested.number)
            {
                as_topics.insert(read.clone());
            } else {
                open.extend(by_name(&outlines, read).filter(makes));
            }
        }
    }
    let objects: BTreeSet<&str> =
        outlines.iter().filter(|o| kept.contains(&o.number)).filter_map(|o| o.name.as_deref()).collect();
    let keeps = |o: &Outline| match o.kind {
        OutlineKind::Set | OutlineKind::Declaration => !o.name.as_ref().is_some_and(|name| as_topics.contains(name)),
        OutlineKind::Change => o.name.as_deref().is_some_and(|name| objects.contains(name)),
        _ => kept.contains(&o.number),
    };
    let beside = outlines.iter().filter(|o| o.number != tested.number && o.is_query() && kept.contains(&o.number));
    Ok(Deployed {
        tested: tested.name.clone().unwrap_or_default(),
        statement: text[tested.span.start as usize..tested.span.end as usize].to_owned(),
        text: only(text, &keeps),
        beside: beside.filter_map(|o| o.name.clone()).collect(),
        as_topics: as_topics.into_iter().collect(),
    })
}

fn by_name<'o>(outlines: &'o [Outline], name: &str) -> impl Iterator<Item = &'o Outline> {
    outlines.iter().filter(move |o| o.name.as_deref() == Some(name))
}

/// The statement of the test's name; else the only query; else the only one that writes a sink of the test, or reads its
/// inputs.
fn tested<'o>(outlines: &'o [Outline], test: &QueryTest) -> Result<&'o Outline, Refused> {
    let queries: Vec<&Outline> = outlines.iter().filter(|o| o.is_query()).collect();
    if let Some(named) = queries.iter().find(|o| o.name.as_deref() == Some(&test.name)) {
        return Ok(named);
    }
    if let [only] = queries[..] {
        return Ok(only);
    }
    let is_sink = |o: &&&Outline| {
        let name = o.name.as_deref().unwrap_or_default();
        test.outputs.iter().any(|output| output.sink == name || o.with.iter().any(|entry| entry.value == output.sink))
    };
    let reads = |o: &&&Outline| test.inputs.iter().any(|input| o.reads.contains(&input.source));
    let matching: Vec<&&Outline> = queries.iter().filter(is_sink).collect();
    let matching = if matching.is_empty() { queries.iter().filter(reads).collect() } else { matching };
    match matching[..] {
        [only] => Ok(only),
        _ => Err(unknown("query", &test.name, test, outlines)),
    }
}

fn unknown(what: &str, name: &str, test: &QueryTest, outlines: &[Outline]) -> Refused {
    let names: Vec<&str> = outlines.iter().filter(|o| o.is_query()).filter_map(|o| o.name.as_deref()).collect();
    let near = suggest::closest(name, names.iter().copied());
    let near = near.map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
    let message = format!("the app has no statement for the {what} \"{name}\"");
    Refused::at(NO_STATEMENT, test.span, message).advise(format!("its statements are {}{near}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const APP: &str = "\
CREATE STREAM src (id INT) WITH ('type' = 'kafka_source', 'topic' = 't');
CREATE STREAM one AS SELECT id FROM src WITH ('one.topic' = 'ones');
CREATE STREAM two AS SELECT id FROM one;
CREATE TABLE three AS SELECT id, COUNT(*) AS n FROM two JOIN names ON two.id = names.id GROUP BY id;
CREATE TABLE names AS SELECT id FROM 'names.csv';
";

    fn test(name: &str, more: &str) -> QueryTest {
        let text = format!("application: a\nqueries:\n  - name: {name}\n    inputs: []\n{more}");
        let loaded = velostream_spec::load::spec("a.test.yaml", &text, Path::new(""));
        loaded.value.expect("a spec").queries.remove(0)
    }

    fn names(text: &str) -> Vec<String> {
        outline(text).into_iter().filter_map(|o| o.name).collect()
    }

    #[test]
    fn a_query_comes_with_what_it_reads() {
        let deployed = deployed(APP, &test("three", "")).expect("it is there");
        assert_eq!(names(&deployed.text), ["src", "one", "two", "three", "names"]);
        assert_eq!(deployed.beside, ["one", "two", "names"]);
        assert_eq!(deployed.as_topics, Vec::<String>::new());
    }

    #[test]
    fn what_an_input_brings_is_a_topic() {
        let mut three = test("three", "    dependencies: [names]\n");
        three.inputs = vec![input("two")];
        let deployed = deployed(APP, &three).expect("it is there");
        assert_eq!(names(&deployed.text), ["src", "three", "names"]);
        assert_eq!((deployed.beside, deployed.as_topics), (vec!["names".to_owned()], vec!["two".to_owned()]));
    }

    #[test]
    fn a_test_of_another_name_finds_its_statement_by_sink_or_input() {
        let mut by_sink = test("first", "");
        by_sink.outputs = vec![velostream_spec::spec::OutputTest {
            sink: "ones".to_owned(),
            span: Default::default(),
            assertions: Vec::new(),
        }];
        assert_eq!(deployed(APP, &by_sink).map(|d| d.tested), Ok("one".to_owned()));
        let mut by_input = test("second", "");
        by_input.inputs = vec![input("two")];
        assert_eq!(deployed(APP, &by_input).map(|d| d.tested), Ok("three".to_owned()));
        let error = deployed(APP, &test("tree", "")).expect_err("nothing matches").shown("a", "");
        assert!(error.ends_with("one, two, three, names; did you mean \"three\"?"), "{error}");
        let error =
            deployed(APP, &test("one", "    dependencies: [nmes]\n")).expect_err("no such statement").shown("a", "");
        assert!(error.contains("dependency \"nmes\"") && error.ends_with("\"names\"?"), "{error}");
    }

    fn input(source: &str) -> velostream_spec::spec::Input {
        velostream_spec::spec::Input {
            source: source.to_owned(),
            span: Default::default(),
            schema: None,
            records: None,
            from: velostream_spec::spec::InputFrom::Generated,
            topic: None,
            key_field: None,
            time: None,
            null_probability: None,
            format: None,
        }
    }
}
