//! The order of query tests: that of the spec, but a test that takes what another gives stands behind it.

use velostream_spec::spec::{InputFrom, QueryTest};

/// Positions of the queries in the order they run in; with `only`, that query and those it takes its inputs from, one
/// after the other. Circles were refused when the spec was loaded; what is left of one would run in the spec's order.
pub fn order(queries: &[QueryTest], only: Option<&str>) -> Vec<usize> {
    let mut order = Vec::new();
    let mut open: Vec<usize> = match only {
        None => (0..queries.len()).collect(),
        Some(name) => needed(queries, name),
    };
    while !open.is_empty() {
        let is_ready = |at: &usize| before(queries, *at).all(|earlier| !open.contains(&earlier) || earlier == *at);
        let next = open.iter().position(is_ready).unwrap_or(0);
        order.push(open.remove(next));
    }
    order
}

/// The tests that one takes its inputs from.
fn before(queries: &[QueryTest], at: usize) -> impl Iterator<Item = usize> {
    queries[at].inputs.iter().filter_map(|input| match &input.from {
        InputFrom::Previous(name) => queries.iter().position(|query| query.name == *name),
        _ => None,
    })
}

/// The test of this name and all that it needs, in the spec's order.
fn needed(queries: &[QueryTest], name: &str) -> Vec<usize> {
    let mut open: Vec<usize> = queries.iter().position(|query| query.name == name).into_iter().collect();
    let mut needed = Vec::new();
    while let Some(at) = open.pop() {
        if !needed.contains(&at) {
            needed.push(at);
            open.extend(before(queries, at));
        }
    }
    needed.sort_unstable();
    needed
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn queries(of: &[(&str, &[&str])]) -> Vec<QueryTest> {
        let mut text = "application: a\nqueries:\n".to_owned();
        for (name, before) in of {
            text += &format!("  - name: {name}\n    inputs: [");
            for earlier in *before {
                text += &format!("{{source: s_{earlier}, from_previous: {earlier}}}, ");
            }
            text += "]\n    assertions: [{type: record_count, equals: 0}]\n";
        }
        velostream_spec::load::spec("a.test.yaml", &text, Path::new("")).value.expect("a spec").queries
    }

    #[test]
    fn what_others_take_runs_before_them() {
        let chain = queries(&[("last", &["middle", "other"]), ("other", &[]), ("middle", &["first"]), ("first", &[])]);
        assert_eq!(order(&chain, None), [1, 3, 2, 0]);
        assert_eq!(order(&chain, Some("middle")), [3, 2]);
        assert_eq!(order(&chain, Some("other")), [1]);
        let plain = queries(&[("b", &[]), ("a", &[])]);
        assert_eq!(order(&plain, None), [0, 1], "otherwise the spec's order");
    }
}
