//! Aggregate and Combine against a naive oracle that keeps every row, for disorder, batch sizes, shard counts and a
//! restart; then the rules of emission one by one.

use std::collections::BTreeMap;

use proptest::prelude::*;
use velostream_sql::plan::{AggregateCall, AggregateFn, LateStrategy, WindowKind, WindowSpec};
use velostream_types::time::NS_PER_SEC;
use velostream_types::{Batch, Column, DataType, DeadLetter, Field, RowMeta, Schema, Span, Value, decimal};

use super::*;
use crate::op::combine::Combine;
use crate::operator::NodeCounters;

const KEY: usize = 0;
const PRICE: usize = 1;
const AMOUNT: usize = 2;

fn call(function: AggregateFn, argument: Option<usize>, result: DataType) -> AggregateCall {
    AggregateCall::plain(function, argument.into_iter().collect(), result, Span::new(0, 0))
}

fn spec(emit: Emit, window: Option<i64>, lateness_ns: i64) -> AggregateSpec {
    use AggregateFn::*;
    let field = |name: &str, data_type| Field::new(name, data_type);
    AggregateSpec {
        headers: None,
        ttl_ns: None,
        keys: vec![KEY],
        aggregates: vec![
            call(CountStar, None, DataType::Integer),
            call(Count, Some(PRICE), DataType::Integer),
            call(Sum, Some(PRICE), DataType::decimal(2)),
            call(Avg, Some(PRICE), DataType::decimal(6)),
            call(Min, Some(PRICE), DataType::decimal(2)),
            call(Max, Some(PRICE), DataType::decimal(2)),
            call(Sum, Some(AMOUNT), DataType::Integer),
            call(Avg, Some(AMOUNT), DataType::Float),
            call(First, Some(AMOUNT), DataType::Integer),
            call(Last, Some(AMOUNT), DataType::Integer),
            call(LastSeen, Some(AMOUNT), DataType::Integer),
        ],
        window: window.map(|size_ns| WindowSpec {
            kind: WindowKind::Tumbling { size_ns },
            zone: None,
            lateness_ns,
            late: LateStrategy::DeadLetter,
        }),
        emit,
        retract: false,
        input_changes: false,
        identity: Vec::new(),
        input: Arc::new(Schema::new(vec![
            field("k", DataType::String),
            field("price", DataType::decimal(2)),
            field("amount", DataType::Integer),
        ])),
    }
}

fn place(shard: u16, shards: u16) -> Place {
    Place {
        node: NodeId(3),
        dlq: DlqId(1),
        shard: ShardId(shard),
        shards,
        name: "totals".into(),
        sources: Arc::new(["in.csv".into()]),
    }
}

#[derive(Clone, Debug)]
struct Row {
    key: Option<u8>,
    time: i64,
    price: Option<i64>,
    amount: Option<i64>,
}

/// One partition's rows with what the Scan adds.
#[derive(Clone, Debug)]
struct Feed {
    partition: u32,
    rows: Vec<Row>,
    bound: i64,
}

impl Feed {
    fn watermark_before(&self, row: usize) -> i64 {
        self.rows[..row].iter().map(|r| r.time - self.bound).max().unwrap_or(WM_NONE)
    }

    /// Rows `from .. to`; odd batches bring prices with one digit more.
    fn batch(&self, from: usize, to: usize) -> Batch {
        let rows = &self.rows[from..to];
        let digits = if from % 2 == 1 { 1 } else { 0 };
        let mut price = ColumnBuilder::new(&DataType::decimal(2 + digits));
        let mut amount = ColumnBuilder::new(&DataType::Integer);
        for r in rows {
            price.push_value(&r.price.map_or(Value::Null, |m| Value::Decimal { mantissa: m.into(), scale: 2 }));
            amount.push_value(&r.amount.map_or(Value::Null, Value::Int));
        }
        let keys = Column::strs(rows.iter().map(|r| r.key.map(|k| format!("key{k}"))));
        let mut meta = RowMeta::plain(SourceId(0), self.partition, from as i64);
        meta.event_time = Some(rows.iter().map(|r| r.time).collect::<Vec<_>>().into());
        meta.wm_own = Some((from..to).map(|i| self.watermark_before(i)).collect::<Vec<_>>().into());
        Batch::new(vec![keys, price.finish(), amount.finish()], rows.len(), meta)
    }
}

use velostream_state::build::ColumnBuilder;

/// One operator with its world.
struct Rig<O> {
    op: O,
    dead: Vec<(DlqId, DeadLetter)>,
    counters: NodeCounters,
    batch_rows: usize,
}

impl<O: Operator> Rig<O> {
    fn new(op: O, batch_rows: usize) -> Rig<O> {
        Rig { op, dead: Vec::new(), counters: NodeCounters::default(), batch_rows }
    }

    fn send(&mut self, msg: Msg) -> Vec<Msg> {
        let Rig { op, dead, counters, batch_rows } = self;
        let mut cx = OpCx { now_ns: 0, batch_rows: *batch_rows, dead, counters, spare: &mut Vec::new() };
        op.push(0, msg, &mut cx).expect("the message is fine");
        let mut out = Vec::new();
        while let Some(msg) = op.pull(&mut cx).expect("state is fine") {
            out.push(msg);
        }
        out
    }
}

fn row_text(batch: &Batch, row: usize) -> String {
    batch.columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join(" ")
}

fn rows_of(msgs: &[Msg]) -> Vec<String> {
    msgs.iter()
        .filter_map(|m| match m {
            Msg::Batch(b) => Some((0..b.rows).map(|i| row_text(b, i)).collect::<Vec<_>>()),
            _ => None,
        })
        .flatten()
        .collect()
}

/// A row with its partition and offset.
type Seen = (Row, u32, usize);

/// What must come out, from all rows at once.
fn oracle(feeds: &[Feed], size: Option<i64>, lateness: i64) -> (Vec<String>, u64) {
    let mut groups: BTreeMap<(i64, Option<u8>), Vec<Seen>> = BTreeMap::new();
    let mut late = 0;
    for feed in feeds {
        for (i, row) in feed.rows.iter().enumerate() {
            let start = size.map_or(0, |s| row.time.div_euclid(s) * s);
            if size.is_some_and(|s| start + s + lateness <= feed.watermark_before(i)) {
                late += 1;
            } else {
                groups.entry((start, row.key)).or_default().push((row.clone(), feed.partition, i));
            }
        }
    }
    let mut out: Vec<String> = groups
        .iter()
        .map(|((start, key), rows)| {
            let prices: Vec<i128> = rows.iter().filter_map(|r| r.0.price).map(i128::from).collect();
            let amounts: Vec<i64> = rows.iter().filter_map(|r| r.0.amount).collect();
            let null = || "NULL".to_owned();
            let price = |m: Option<i128>| m.map_or_else(null, |m| decimal::to_text(m, 2));
            let sum: i128 = prices.iter().sum();
            let average = (!prices.is_empty())
                .then(|| decimal::div(sum, 2, prices.len() as i128, 0, 6).expect("small"))
                .map_or_else(null, |m| decimal::to_text(m, 6));
            let mut by_time: Vec<_> = rows.iter().filter(|r| r.0.amount.is_some()).collect();
            by_time.sort_by_key(|r| (r.0.time, r.1, r.2));
            let seen = rows.iter().max_by_key(|r| (r.2, r.1)).and_then(|r| r.0.amount);
            let int = |v: Option<i64>| v.map_or_else(null, |v| v.to_string());
            let total = (!amounts.is_empty()).then(|| amounts.iter().sum());
            let mean = total.map_or_else(null, |t: i64| decimal::float_text(t as f64 / amounts.len() as f64));
            let mut text = [
                key.map_or_else(null, |k| format!("key{k}")),
                rows.len().to_string(),
                prices.len().to_string(),
                price((!prices.is_empty()).then_some(sum)),
                average,
                price(prices.iter().min().copied()),
                price(prices.iter().max().copied()),
                int(total),
                mean,
                int(by_time.first().and_then(|r| r.0.amount)),
                int(by_time.last().and_then(|r| r.0.amount)),
                int(seen),
            ]
            .join(" ");
            if let Some(size) = size {
                text += &format!(" {} {}", start.div_euclid(1_000_000), (start + size).div_euclid(1_000_000));
            }
            text
        })
        .collect();
    out.sort();
    (out, late)
}

/// The order in which a run takes batches: (feed, from, to).
fn schedule(feeds: &[Feed], picks: &[u8], rows: usize) -> Vec<(usize, usize, usize)> {
    let mut at = vec![0; feeds.len()];
    let mut out = Vec::new();
    let mut turn = 0;
    while let Some(open) = Some((0..feeds.len()).filter(|f| at[*f] < feeds[*f].rows.len()).collect::<Vec<_>>())
        .filter(|open| !open.is_empty())
    {
        let pick = picks.get(turn % picks.len().max(1)).copied().unwrap_or(0);
        turn += 1;
        let feed = open[usize::from(pick) % open.len()];
        let to = feeds[feed].rows.len().min(at[feed] + rows);
        out.push((feed, at[feed], to));
        at[feed] = to;
    }
    out
}

/// Watermark over feeds that took `at` rows each.
fn low<'a>(feeds: impl Iterator<Item = (&'a Feed, &'a usize)>) -> i64 {
    feeds.map(|(f, at)| f.watermark_before(*at)).min().unwrap_or(WM_END)
}

struct Plan<'a> {
    feeds: &'a [Feed],
    steps: Vec<(usize, usize, usize)>,
    spec: AggregateSpec,
    batch_rows: usize,
    restart_at: usize,
    shards_after: u16,
}

fn reborn(old: &[Rig<Aggregate>], plan: &Plan<'_>, partial: bool) -> Vec<Rig<Aggregate>> {
    let parts: Vec<Vec<u8>> = old
        .iter()
        .map(|rig| {
            let mut writer = SnapshotWriter::default();
            rig.op.snapshot(&mut writer);
            velostream_state::codec::encode(&writer)
        })
        .collect();
    let n = plan.shards_after;
    (0..n)
        .map(|shard| {
            let mut op = Aggregate::new(&plan.spec, partial, place(shard, n));
            for part in &parts {
                let reader = velostream_state::codec::decode(part).expect("undamaged");
                op.restore(&reader, &|v| vnode::owner(v, n) == ShardId(shard)).expect("same layout");
            }
            Rig::new(op, plan.batch_rows)
        })
        .collect()
}

fn late_of(rigs: &[Rig<Aggregate>]) -> u64 {
    rigs.iter().map(|r| r.counters.late).sum()
}

/// Rows go straight to the aggregates by the owner of their key.
fn run_plain(plan: &Plan<'_>) -> (Vec<String>, u64) {
    let mut rigs = vec![Rig::new(Aggregate::new(&plan.spec, false, place(0, 1)), plan.batch_rows)];
    let mut at = vec![0; plan.feeds.len()];
    let (mut out, mut late) = (Vec::new(), 0);
    for (step, (feed, from, to)) in plan.steps.iter().enumerate() {
        if step == plan.restart_at {
            late += late_of(&rigs);
            rigs = reborn(&rigs, plan, false);
        }
        let batch = plan.feeds[*feed].batch(*from, *to);
        at[*feed] = *to;
        let watermark = low(plan.feeds.iter().zip(&at));
        let shards = rigs.len() as u16;
        for (batch, shard) in split(&batch, &plan.spec.keys, shards) {
            out.extend(rigs[shard].send(Msg::Batch(batch)));
        }
        for rig in &mut rigs {
            out.extend(rig.send(Msg::Watermark(watermark)));
        }
    }
    for rig in &mut rigs {
        out.extend(rig.send(Msg::Watermark(WM_END)));
        assert_eq!((rig.counters.groups, rig.counters.state_bytes), (0, 0), "all memory went back");
    }
    (rows_of(&out), late + late_of(&rigs))
}

fn split(batch: &Batch, keys: &[usize], shards: u16) -> Vec<(Batch, usize)> {
    let mut encoder = velostream_state::key::KeyEncoder::new();
    let columns: Vec<&Column> = keys.iter().map(|k| &batch.columns[*k]).collect();
    let bytes = encoder.encode(&columns, batch.rows);
    let owner = |row: &u32| vnode::owner(vnode::of_key(bytes.key(*row as usize)), shards).index();
    (0..usize::from(shards))
        .map(|shard| {
            let rows: Vec<u32> = (0..batch.rows as u32).filter(|r| owner(r) == shard).collect();
            (batch.take(&rows), shard)
        })
        .filter(|(b, _)| b.rows > 0)
        .collect()
}

/// Feeds belong to shards, each with a Combine; partial groups go to the aggregate that owns their key.
fn run_combined(plan: &Plan<'_>, shards: u16) -> (Vec<String>, u64) {
    let n = usize::from(shards);
    let mut combines: Vec<Rig<Combine>> =
        (0..shards).map(|s| Rig::new(Combine::new(&plan.spec, place(s, shards)), plan.batch_rows)).collect();
    let mut rigs: Vec<Rig<Aggregate>> =
        (0..shards).map(|s| Rig::new(Aggregate::new(&plan.spec, true, place(s, shards)), plan.batch_rows)).collect();
    let mut at = vec![0; plan.feeds.len()];
    let mut lows = vec![WM_NONE; n];
    let mut out = Vec::new();
    let keys: Vec<usize> = (0..plan.spec.keys.len()).collect();
    let mut deliver = |from: usize, msgs: Vec<Msg>, rigs: &mut Vec<Rig<Aggregate>>| {
        for msg in msgs {
            match msg {
                Msg::Batch(batch) => {
                    for (part, shard) in split(&batch, &keys, rigs.len() as u16) {
                        out.extend(rigs[shard].send(Msg::Batch(part)));
                    }
                }
                Msg::Watermark(wm) => {
                    lows[from] = wm;
                    let low = *lows.iter().min().expect("one shard at least");
                    rigs.iter_mut().for_each(|r| out.extend(r.send(Msg::Watermark(low))));
                }
                _ => {}
            }
        }
    };
    for (step, (feed, from, to)) in plan.steps.iter().enumerate() {
        if step == plan.restart_at {
            for (s, combine) in combines.iter_mut().enumerate() {
                let flushed = combine.send(Msg::Barrier(1));
                deliver(s, flushed, &mut rigs);
            }
            rigs = reborn(&rigs, plan, true);
        }
        let batch = plan.feeds[*feed].batch(*from, *to);
        at[*feed] = *to;
        let shard = feed % n;
        let own = plan.feeds.iter().zip(&at).enumerate().filter(|(f, _)| f % n == shard).map(|(_, x)| x);
        let watermark = low(own);
        let msgs = combines[shard].send(Msg::Batch(batch));
        deliver(shard, msgs, &mut rigs);
        let msgs = combines[shard].send(Msg::Watermark(watermark));
        deliver(shard, msgs, &mut rigs);
    }
    for (s, combine) in combines.iter_mut().enumerate() {
        let msgs = combine.send(Msg::Watermark(WM_END));
        deliver(s, msgs, &mut rigs);
    }
    let late = combines.iter().map(|c| c.counters.late).sum();
    (rows_of(&out), late)
}

fn any_row() -> impl Strategy<Value = (Option<u8>, i64, Option<i64>, Option<i64>)> {
    (
        proptest::option::weighted(0.9, 0u8..5),
        -3i64..4,
        proptest::option::weighted(0.8, -500i64..500),
        proptest::option::weighted(0.8, -50i64..50),
    )
}

/// Times drift forward with disorder around the drift.
fn any_feeds() -> impl Strategy<Value = Vec<Feed>> {
    proptest::collection::vec((proptest::collection::vec(any_row(), 0..40), 0i64..3), 1..4).prop_map(|feeds| {
        feeds
            .into_iter()
            .enumerate()
            .map(|(p, (rows, bound))| Feed {
                partition: p as u32,
                bound: bound * NS_PER_SEC,
                rows: rows
                    .into_iter()
                    .enumerate()
                    .map(|(i, (key, jitter, price, amount))| Row {
                        key,
                        time: (i as i64 + jitter) * NS_PER_SEC,
                        price,
                        amount,
                    })
                    .collect(),
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn results_are_a_function_of_the_partitions(
        feeds in any_feeds(),
        picks in proptest::collection::vec(any::<u8>(), 1..20),
        rows in prop_oneof![Just(1usize), Just(7), Just(1024)],
        windowed: bool,
        lateness in 0i64..3,
        restart_at in 0usize..60,
        shards in 1u16..4,
        shards_after in 1u16..4,
    ) {
        let size = windowed.then_some(5 * NS_PER_SEC);
        let plan = Plan {
            feeds: &feeds,
            steps: schedule(&feeds, &picks, rows),
            spec: spec(Emit::Final, size, lateness * NS_PER_SEC),
            batch_rows: rows,
            restart_at,
            shards_after,
        };
        let (expected, late) = oracle(&feeds, size, lateness * NS_PER_SEC);
        let (mut plain, plain_late) = run_plain(&plan);
        plain.sort();
        prop_assert_eq!(&plain, &expected);
        prop_assert_eq!(plain_late, late);
        let (mut combined, combined_late) = run_combined(&plan, shards);
        combined.sort();
        prop_assert_eq!(&combined, &expected);
        prop_assert_eq!(combined_late, late);
    }
}

#[path = "tests/emission.rs"]
mod emission;
