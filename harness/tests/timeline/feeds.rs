//! Random feeds: disorder up to and beyond the bound, duplicates, bursts, gaps, edges to the millisecond, a partition
//! an hour ahead, one that gives nothing or comes later, records without a time.

use super::apps::{Chain, Drawn, Feature, runs};
use super::draw::Draw;
use super::model::{App, Feed, MS, Op, Record, Shape};
use super::value::Value;
use super::zone::Zone;

/// What a feed has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traits {
    /// A partition that gives nothing.
    pub empty: bool,
    /// A partition that gives nothing before all others have been read.
    pub joins: bool,
    /// A partition an hour ahead.
    pub ahead: bool,
    /// Records without a time.
    pub untimed: bool,
}

/// An instant from which days with summer time's begin or end are near, in ms.
const CHANGES_OF_CLOCKS: [i64; 5] =
    [1_710_000_000_000, 1_730_500_000_000, 1_540_000_000_000, 1_711_600_000_000, -5_000_000_000];

struct Times {
    unit: i64,
    bound: i64,
    grid: i64,
    zone: Option<Zone>,
}

/// The feed of a case.
pub fn feed(draw: &mut Draw, drawn: &Drawn) -> (Feed, Traits) {
    let app = &drawn.app;
    let partitions = app.source.partitions;
    let live = !app.source.file && partitions > 1;
    let plain = !matches!(drawn.chain, Chain::Restamped | Chain::RestampedGroups | Chain::Over | Chain::WindowOfOver);
    let given = Traits {
        empty: partitions > 1 && draw.once_in(6),
        joins: live && draw.once_in(if app.source.second.is_some() { 2 } else { 5 }) && runs(Feature::Joiners),
        ahead: partitions > 1 && draw.once_in(6),
        untimed: plain && app.source.names_time && draw.once_in(8),
    };
    let chunks = 1 + draw.below(3) as usize;
    let times = Times {
        unit: drawn.unit / MS,
        bound: app.source.bound(0) / MS,
        grid: grid(app) / MS,
        zone: drawn.zone.as_deref().map(Zone::new),
    };
    let base = match times.zone {
        Some(_) => *draw.pick(&CHANGES_OF_CLOCKS),
        None => *draw.pick(&[0, 0, -3 * times.unit, 1_700_000_000_000]),
    };
    let mut feed = Feed::new();
    for p in 0..partitions {
        let ahead = match given.ahead && p == 1 {
            true => 3_600_000.max(5 * times.unit),
            // Those that are there when it comes are not equally far.
            false if given.joins => draw.below(6) as i64 * times.unit,
            false => 0,
        };
        let records = match given.empty && p + 1 == partitions {
            true => Vec::new(),
            false => partition(draw, &times, base + ahead, chunks, given.untimed && app.source.names_time),
        };
        feed.push(records);
    }
    if given.joins {
        join_later(draw, &mut feed, chunks);
    }
    (feed, given)
}

/// One partition comes in a chunk of its own, behind the first of the others.
fn join_later(draw: &mut Draw, feed: &mut Feed, chunks: usize) {
    let alone = 1 + draw.below(chunks as u64) as usize;
    let joins = draw.below(feed.len() as u64) as usize;
    for record in feed.iter_mut().enumerate().filter(|(p, _)| *p != joins).flat_map(|(_, records)| records) {
        record.chunk += usize::from(record.chunk >= alone);
    }
    let count = feed[joins].len();
    for (i, record) in feed[joins].iter_mut().enumerate() {
        record.chunk = if i * 2 < count || alone == chunks { alone } else { (alone + 1).min(chunks) };
    }
}

/// Where windows of the first one begin.
fn grid(app: &App) -> i64 {
    let of = app.stages.iter().find_map(|s| match &s.op {
        Op::Window(window) => Some(&window.shape),
        _ => None,
    });
    match of {
        Some(Shape::Tumbling(size)) => *size,
        Some(Shape::Hopping { slide, .. }) => *slide,
        Some(Shape::Session(gap)) => *gap,
        Some(Shape::Days { .. }) | None => 1_000 * MS,
    }
}

fn partition(draw: &mut Draw, times: &Times, base: i64, chunks: usize, untimed: bool) -> Vec<Record> {
    let count = 4 + draw.below(17) as usize;
    let mut clock = base + draw.below(times.unit as u64 + 1) as i64;
    let calm = draw.once_in(4);
    let mut records: Vec<Record> = Vec::new();
    for i in 0..count {
        let chunk = i * chunks / count;
        if draw.once_in(10)
            && let Some(before) = records.last()
        {
            records.push(Record { chunk, ..before.clone() });
            continue;
        }
        clock += match draw.below(15) {
            0 => times.unit * (1 + draw.below(6) as i64),
            1..=4 => 0,
            _ => draw.below(times.unit as u64 / 2) as i64,
        };
        let behind = match draw.below(12) {
            0..=3 if !calm => draw.below((times.bound + times.unit / 2) as u64 + 1) as i64,
            4 => times.bound,
            5 if !calm => draw.below(4 * times.unit as u64) as i64,
            _ => 0,
        };
        let ts = snapped(draw, times, clock - behind);
        let ts = (!(untimed && draw.once_in(12))).then_some(ts);
        records.push(Record { chunk, ts, values: values(draw, ts) });
    }
    records
}

/// At times on an edge, or a millisecond beside it.
fn snapped(draw: &mut Draw, times: &Times, ts: i64) -> i64 {
    if !draw.once_in(4) {
        return ts;
    }
    let edge = match &times.zone {
        Some(zone) => zone.begin_of(zone.day_of(ts * MS)) / MS,
        None => ts.div_euclid(times.grid) * times.grid,
    };
    edge + *draw.pick(&[-1, 0, 0, 1])
}

fn values(draw: &mut Draw, ts: Option<i64>) -> Vec<Value> {
    let null = |draw: &mut Draw, value: Value| if draw.once_in(10) { Value::Null } else { value };
    let k = Value::Text((*draw.pick(&["a", "b", "c", "d"])).to_owned());
    let g = Value::Int(i128::from(draw.below(3)));
    let v = Value::Int(i128::from(draw.below(20)) - 6);
    let d = Value::Dec(i128::from(draw.below(2_000)) - 700, 2);
    let ts = ts.map_or(Value::Null, |ts| Value::Int(i128::from(ts)));
    let (k, g) = (null(draw, k), null(draw, g));
    let (v, d) = (null(draw, v), null(draw, d));
    vec![k, g, v, d, ts]
}
