//! The smallest feed and app near a failing case that still fails.

use super::engine::{Compiled, Layout};
use super::model::{App, Feed, Op};
use super::text;

/// Runs after which shrinking ends.
const TRIES: usize = 3_000;

/// A smaller case, and what it shows.
pub fn shrunk(app: &App, feed: &Feed, layout: Layout) -> (App, Feed, String) {
    let told = differs(app, feed, layout).unwrap_or_default();
    let mut best = (app.clone(), feed.clone(), told);
    let mut tries = 0;
    let mut smaller = true;
    while smaller && tries < TRIES {
        smaller = false;
        for app in plainer(&best.0) {
            tries += 1;
            if let Some(told) = differs(&app, &best.1, layout) {
                best = (app, best.1.clone(), told);
                smaller = true;
            }
        }
        let (mut p, mut at) = (0, 0);
        while p < best.1.len() && tries < TRIES {
            if at >= best.1[p].len() {
                (p, at) = (p + 1, 0);
                continue;
            }
            let mut feed = best.1.clone();
            feed[p].remove(at);
            tries += 1;
            match differs(&best.0, &feed, layout) {
                Some(told) => {
                    best = (best.0, feed, told);
                    smaller = true;
                }
                None => at += 1,
            }
        }
    }
    best
}

fn differs(app: &App, feed: &Feed, layout: Layout) -> Option<String> {
    // A partition whose first record comes later, with those of others, may be read before or after them.
    let begins = |p: &Vec<super::model::Record>| p.first().map(|r| r.chunk);
    for (p, first) in feed.iter().map(begins).enumerate() {
        let Some(chunk) = first.filter(|c| *c > 0) else { continue };
        let alone = feed.iter().enumerate().all(|(q, records)| q == p || records.iter().all(|r| r.chunk != chunk));
        if !alone {
            return None;
        }
    }
    Compiled::new(app, &text::sql(app)).ok()?.check(app, feed, layout)
}

/// Apps with one clause less.
fn plainer(app: &App) -> Vec<App> {
    let mut found = Vec::new();
    for at in 0..app.stages.len() {
        let mut without = app.clone();
        if without.stages[at].filter.take().is_some() {
            found.push(without);
        }
        let mut without = app.clone();
        match &mut without.stages[at].op {
            Op::Window(window) => {
                if window.having.take().is_some() {
                    found.push(without.clone());
                }
                let Op::Window(window) = &mut without.stages[at].op else { continue };
                if window.top.take().is_some() {
                    found.push(without);
                }
            }
            // Stages behind it name its columns by position.
            Op::Over(over) if at + 1 == app.stages.len() && over.calls.len() > 1 => {
                for call in 0..over.calls.len() {
                    found.push(without_call(app, at, call));
                }
            }
            _ => {}
        }
    }
    found
}

fn without_call(app: &App, at: usize, call: usize) -> App {
    let mut without = app.clone();
    let stage = &mut without.stages[at];
    if let Op::Over(over) = &mut stage.op {
        over.calls.remove(call);
        stage.columns.remove(over.items.len() + call);
    }
    without
}
