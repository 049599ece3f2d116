//! Random feeds: disorder up to and beyond the bound, equal times, edges to the millisecond, NULL keys, partitions that
//! give nothing or come back, records of tables that replace and delete each other.

use super::apps::{Drawn, TS};
use super::draw::Draw;
use super::model::{Feed, Record, Source};
use super::value::{Kind, Value};

/// What a feed has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traits {
    /// A partition that gives nothing.
    pub empty: bool,
    /// A source that gives nothing.
    pub silent: bool,
    /// A partition that gives nothing before others have been read.
    pub joins: bool,
}

/// The feed of a case.
pub fn feed(draw: &mut Draw, drawn: &Drawn) -> (Feed, Traits) {
    let sources = &drawn.app.sources;
    let mut traits = Traits::default();
    let base = *draw.pick(&[0, 0, -3 * drawn.unit, 1_700_000_000_000]);
    let mut next_id = 0;
    let mut feed = Feed::new();
    for (source, steps) in sources.iter().zip(&drawn.fed) {
        let silent = draw.once_in(16) && !source.is_table();
        traits.silent |= silent;
        let mut partitions = Vec::new();
        for p in 0..source.partitions {
            let empty = silent || p > 0 && draw.once_in(6);
            traits.empty |= empty && !silent;
            partitions.push(match (empty, source.is_table()) {
                (true, _) => Vec::new(),
                (false, true) => table_records(draw, source, steps, drawn.unit, base, &mut next_id),
                (false, false) => records(draw, source, steps, drawn.unit, base, &mut next_id),
            });
        }
        feed.push(partitions);
    }
    if drawn.joins && draw.once_in(4) {
        traits.joins = join_later(draw, &mut feed);
    }
    (feed, traits)
}

/// One partition of several comes alone, behind a step of the others.
fn join_later(draw: &mut Draw, feed: &mut Feed) -> bool {
    let source = draw.below(feed.len() as u64) as usize;
    if feed[source].len() < 2 || feed[source][0].is_empty() {
        return false;
    }
    let begins = 1 + 2 * draw.below(2) as usize;
    for record in feed.iter_mut().flatten().flatten() {
        record.step *= 2;
    }
    let count = feed[source][0].len();
    for (i, record) in feed[source][0].iter_mut().enumerate() {
        record.step = if i * 2 < count { begins } else { begins + 2 };
    }
    true
}

fn records(draw: &mut Draw, source: &Source, steps: &[usize], unit: i64, base: i64, next_id: &mut i64) -> Vec<Record> {
    let count = 3 + draw.below(11) as usize;
    let bound = source.watermark.bound();
    let mut clock = base + draw.below(unit as u64 + 1) as i64;
    let calm = draw.once_in(3);
    let mut found: Vec<Record> = Vec::new();
    for i in 0..count {
        clock += match draw.below(12) {
            0 => unit * (1 + draw.below(5) as i64),
            1..=3 => 0,
            _ => draw.below(unit as u64) as i64,
        };
        let behind = match draw.below(12) {
            0..=2 if !calm => draw.below((bound + unit / 2) as u64 + 1) as i64,
            3 => bound.min(unit),
            4 if !calm => draw.below(5 * unit as u64) as i64,
            _ => 0,
        };
        let ts = snapped(draw, clock - behind, unit);
        *next_id += 1;
        let values = values(draw, source, *next_id, ts);
        found.push(Record { step: steps[i * steps.len() / count], values, ts, gone: false });
    }
    found
}

/// Half of the times are multiples of half a unit, some beside one.
fn snapped(draw: &mut Draw, ts: i64, unit: i64) -> i64 {
    if draw.once_in(2) {
        return ts;
    }
    ts.div_euclid(unit / 2) * (unit / 2) + *draw.pick(&[-1, 0, 0, 0, 0, 1])
}

fn values(draw: &mut Draw, source: &Source, id: i64, ts: i64) -> Vec<Value> {
    let null = |draw: &mut Draw, value: Value| if draw.once_in(10) { Value::Null } else { value };
    let k = Value::Text((*draw.pick(&["a", "b", "c", "d"])).to_owned());
    let g = draw.below(3) as i64;
    let g = match source.columns[super::apps::G].kind {
        Kind::Dec => Value::Dec(if draw.once_in(4) { g * 100 + 25 } else { g * 100 }),
        _ => Value::Int(g),
    };
    let v = Value::Int(draw.below(20) as i64 - 6);
    let d = Value::Dec((draw.below(80) as i64 - 20) * 25);
    let (k, g) = (null(draw, k), null(draw, g));
    let (v, d) = (null(draw, v), null(draw, d));
    vec![Value::Int(id), k, g, v, d, Value::Int(ts)]
}

/// Records of a few keys; their times go on, as those of versions do.
fn table_records(
    draw: &mut Draw,
    source: &Source,
    steps: &[usize],
    unit: i64,
    base: i64,
    next_id: &mut i64,
) -> Vec<Record> {
    let count = 2 + draw.below(9) as usize;
    let mut clock = base - unit;
    let mut found: Vec<Record> = Vec::new();
    for i in 0..count {
        clock += *draw.pick(&[0, unit / 2, unit, unit / 3]);
        // What is no key tells the versions of one apart.
        *next_id += 1;
        let is_key = source.key.as_ref().is_some_and(|key| key.contains(&super::apps::ID));
        let id = if is_key { draw.below(6) as i64 } else { *next_id };
        let mut values = values(draw, source, id, clock);
        for key in source.key.iter().flatten().filter(|k| **k != TS) {
            while values[*key].is_null() {
                values[*key] = self::values(draw, source, id, clock)[*key].clone();
            }
        }
        let gone = draw.once_in(5);
        found.push(Record { step: steps[i * steps.len() / count], values, ts: clock, gone });
    }
    found
}
