//! The smallest feed and app near a failing case that still fails.

use super::model::{App, Feed, Record};

/// Runs after which shrinking ends.
const TRIES: usize = 4_000;

/// A smaller case, and what `differs` says of it.
pub fn shrunk(app: &App, feed: &Feed, differs: &dyn Fn(&App, &Feed) -> Option<String>) -> (App, Feed, String) {
    let differs = |app: &App, feed: &Feed| if is_told(app, feed) { differs(app, feed) } else { None };
    let told = differs(app, feed).unwrap_or_default();
    let mut best = (app.clone(), feed.clone(), told);
    let mut tries = 0;
    let mut smaller = true;
    while smaller && tries < TRIES {
        smaller = false;
        for app in plainer(&best.0) {
            tries += 1;
            if let Some(told) = differs(&app, &best.1) {
                best = (app, best.1, told);
                smaller = true;
                break;
            }
        }
        let places: Vec<(usize, usize)> =
            best.1.iter().enumerate().flat_map(|(s, of)| (0..of.len()).map(move |p| (s, p))).collect();
        for (s, p) in places {
            let mut at = 0;
            while at < best.1[s][p].len() && tries < TRIES {
                let mut feed = best.1.clone();
                feed[s][p].remove(at);
                tries += 1;
                match differs(&best.0, &feed) {
                    Some(told) => {
                        best = (best.0, feed, told);
                        smaller = true;
                    }
                    None => at += 1,
                }
            }
        }
    }
    best
}

/// FALSE where a partition's first record comes later, with those of others: it may be read before or after them.
fn is_told(app: &App, feed: &Feed) -> bool {
    let begins = |records: &Vec<Record>| records.first().map(|r| r.step);
    let streams = || feed.iter().zip(&app.sources).filter(|(_, source)| !source.is_table()).flat_map(|(of, _)| of);
    let first = streams().filter_map(begins).min();
    streams().enumerate().all(|(p, records)| {
        let Some(step) = begins(records).filter(|step| Some(*step) != first) else { return true };
        streams().enumerate().all(|(q, others)| q == p || others.iter().all(|r| r.step != step))
    })
}

/// Apps with one clause less.
fn plainer(app: &App) -> Vec<App> {
    let mut found = Vec::new();
    for at in 0..app.statements.len() {
        let with = |change: &dyn Fn(&mut super::model::Statement) -> bool| {
            let mut app = app.clone();
            change(&mut app.statements[at]).then_some(app)
        };
        found.extend(with(&|s| s.query.filter.take().is_some()));
        for join in 0..app.statements[at].query.joins.len() {
            found.extend(with(&|s| s.query.joins[join].residual.take().is_some()));
        }
        found.extend(with(&|s| s.query.group.as_mut().is_some_and(|g| g.having.take().is_some())));
        let last = at + 1 == app.statements.len();
        for item in 0..app.statements[at].query.items.len() {
            found.extend(with(&|s| {
                let plain = last && s.query.group.is_none() && !s.query.star && s.query.items.len() > 1;
                if plain && !s.query.items[item].key {
                    s.query.items.remove(item);
                    s.columns.remove(item);
                }
                plain && app.statements[at].query.items.len() != s.query.items.len()
            }));
        }
    }
    found
}
