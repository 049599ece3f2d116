//! Outputs as text: rows as a multiset, and the table that a changelog makes, whose every change has to fit.

use std::collections::BTreeMap;

use super::eval::Values;
use super::model::Statement;
use super::text::output;

pub fn lines(statement: &Statement, rows: &[Values]) -> Vec<String> {
    rows.iter().map(|values| output(&statement.columns, values)).collect()
}

/// What is missing and what is too much.
pub fn multiset(expect: &[String], got: &[String]) -> Option<String> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    expect.iter().for_each(|line| *counts.entry(line).or_default() -= 1);
    got.iter().for_each(|line| *counts.entry(line).or_default() += 1);
    let lines: Vec<String> = counts
        .iter()
        .filter(|(_, n)| **n != 0)
        .take(12)
        .map(|(line, n)| format!("    {} {line} ({n:+})", if *n < 0 { "expect" } else { "found " }))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// What a sink of a TABLE holds.
pub struct Table {
    /// Names of the key's columns; `None`: each change tells the row before it.
    key: Option<Vec<String>>,
    rows: BTreeMap<Vec<String>, (String, usize)>,
}

impl Table {
    pub fn new(statement: &Statement) -> Table {
        let keys = statement.query.items.iter().filter(|item| item.key || statement.query.group.is_some());
        let key = (!statement.debezium).then(|| keys.map(|item| item.name.clone()).collect());
        Table { key, rows: BTreeMap::new() }
    }

    pub fn rows(&self) -> Vec<String> {
        self.rows.values().flat_map(|(line, n)| std::iter::repeat_n(line.clone(), *n)).collect()
    }

    /// One line of the sink; an error where it does not fit what is there.
    pub fn take(&mut self, line: &str) -> Result<(), String> {
        if self.key.is_none() {
            return self.change(line);
        }
        let fields = fields(line);
        let of = |name: &String| fields.get(name).cloned().unwrap_or_default();
        let key: Vec<String> = self.key.iter().flatten().map(of).collect();
        if fields.contains_key("__deleted") {
            return self.rows.remove(&key).map(|_| ()).ok_or_else(|| format!("a delete of what is not there: {line}"));
        }
        self.rows.insert(key, (line.to_owned(), 1));
        Ok(())
    }

    /// A line with the row before and the row after.
    fn change(&mut self, line: &str) -> Result<(), String> {
        let strange = || format!("no change: {line}");
        let rest = line.strip_prefix("{\"before\":").ok_or_else(strange)?;
        let (before, rest) = rest.split_once(",\"after\":").ok_or_else(strange)?;
        let (after, op) = rest.rsplit_once(",\"op\":\"").ok_or_else(strange)?;
        let fits = matches!((before, after, op), ("null", _, "c\"}") | (_, "null", "d\"}") | (_, _, "u\"}"));
        if !fits || before == "null" && after == "null" {
            return Err(strange());
        }
        if before != "null" {
            let key = vec![before.to_owned()];
            let Some(entry) = self.rows.get_mut(&key) else {
                return Err(format!("a change of what is not there: {line}"));
            };
            entry.1 -= 1;
            if entry.1 == 0 {
                self.rows.remove(&key);
            }
        }
        if after != "null" {
            self.rows.entry(vec![after.to_owned()]).or_insert_with(|| (after.to_owned(), 0)).1 += 1;
        }
        Ok(())
    }
}

/// Fields of a flat line, whose texts have no commas.
fn fields(line: &str) -> BTreeMap<String, String> {
    let inside = line.trim_start_matches('{').trim_end_matches('}');
    let parts = inside.split(",\"").map(|part| part.trim_start_matches('"'));
    parts.filter_map(|part| part.split_once("\":")).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
