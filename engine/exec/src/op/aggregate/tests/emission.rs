//! The rules of emission, one test each.

use velostream_types::time::NS_PER_MS;
use velostream_types::{ErrorCode, NTH_BITS, within};

use super::*;

/// Rows `(key, event time in s, amount)` of one partition, their own watermark being the highest time before them.
fn rows(rows: &[(&str, i64, Option<i64>)]) -> Batch {
    let mut highest = WM_NONE;
    let mut own = Vec::new();
    for row in rows {
        own.push(highest);
        highest = highest.max(row.1 * NS_PER_SEC);
    }
    let mut amount = ColumnBuilder::new(&DataType::Integer);
    rows.iter().for_each(|r| amount.push_value(&r.2.map_or(Value::Null, Value::Int)));
    let mut meta = RowMeta::plain(SourceId(0), 2, 10);
    meta.event_time = Some(rows.iter().map(|r| r.1 * NS_PER_SEC).collect::<Vec<_>>().into());
    meta.wm_own = Some(own.into());
    meta.raw = Some(rows.iter().map(|r| Some(r.0.as_bytes())).collect());
    let keys = Column::strs(rows.iter().map(|r| Some(r.0)));
    Batch::new(vec![keys, Column::Null(rows.len()), amount.finish()], rows.len(), meta)
}

fn weighted(mut batch: Batch, weights: &[i8]) -> Batch {
    batch.meta.weight = Some(weights.to_vec().into());
    batch
}

fn small(emit: Emit, window: Option<i64>, lateness: i64, retract: bool) -> AggregateSpec {
    let mut spec = spec(emit, window.map(|s| s * NS_PER_SEC), lateness * NS_PER_SEC);
    spec.aggregates = vec![
        call(AggregateFn::CountStar, None, DataType::Integer),
        call(AggregateFn::Sum, Some(AMOUNT), DataType::Integer),
    ];
    spec.retract = retract;
    spec
}

fn rig(spec: &AggregateSpec, batch_rows: usize) -> Rig<Aggregate> {
    Rig::new(Aggregate::new(spec, false, place(0, 1)), batch_rows)
}

fn batches(msgs: &[Msg]) -> Vec<&Batch> {
    msgs.iter().filter_map(|m| if let Msg::Batch(b) = m { Some(b) } else { None }).collect()
}

/// Rows with their weights in front.
fn signed(msgs: &[Msg]) -> Vec<String> {
    let sign = |b: &Batch, i| if b.meta.weight_at(i) < 0 { "-" } else { "+" };
    batches(msgs).iter().flat_map(|b| (0..b.rows).map(|i| sign(b, i).to_owned() + &row_text(b, i))).collect()
}

#[test]
fn final_fires_windows_by_end_and_groups_by_first_sight() {
    let mut rig = rig(&small(Emit::Final, Some(5), 0, false), 1);
    assert!(
        rig.send(Msg::Batch(rows(&[("b", 1, Some(1)), ("a", 2, Some(2)), ("b", 6, Some(4)), ("b", 7, None)])))
            .is_empty()
    );
    let out = rig.send(Msg::Watermark(5 * NS_PER_SEC));
    assert_eq!(rows_of(&out), ["b 1 1 0 5000", "a 1 2 0 5000"]);
    assert!(matches!(out.last(), Some(Msg::Watermark(wm)) if *wm == 5 * NS_PER_SEC), "rows leave before the watermark");
    let first = batches(&out)[0];
    assert_eq!((first.rows, first.meta.source), (1, SourceId(0x8003)));
    assert_eq!(first.meta.event_time.as_deref(), Some(&[5 * NS_PER_SEC - 1][..]));
    assert_eq!(first.meta.timestamp.as_deref(), Some(&[4999][..]));
    assert_eq!(first.meta.wm_own.as_deref(), Some(&[WM_NONE][..]));
    assert_eq!(first.meta.order_at(0), (5 * NS_PER_SEC, within::inside(10, within::HERE), 2 << NTH_BITS));
    let out = rig.send(Msg::Watermark(WM_END));
    assert_eq!(rows_of(&out), ["b 2 4 5000 10000"]);
    assert_eq!(batches(&out)[0].meta.wm_own.as_deref(), Some(&[5 * NS_PER_SEC][..]));
}

#[test]
fn lateness_holds_windows_and_the_watermark_back() {
    let mut rig = rig(&small(Emit::Final, Some(5), 3, false), 9);
    rig.send(Msg::Batch(rows(&[
        ("a", 1, Some(1)),
        ("a", 7, Some(1)),
        ("a", 2, Some(1)),
        ("a", 8, Some(1)),
        ("z", 3, None),
    ])));
    assert_eq!((rig.counters.late, rig.dead.len()), (1, 1));
    let letter = &rig.dead[0].1;
    assert_eq!((letter.error.code, letter.partition, letter.offset), (ErrorCode::Late, 2, 14));
    assert_eq!((letter.bytes.as_slice(), &*letter.source), (&b"z"[..], "in.csv"));
    let out = rig.send(Msg::Watermark(7 * NS_PER_SEC));
    assert!(matches!(out[..], [Msg::Watermark(wm)] if wm == 4 * NS_PER_SEC));
    assert_eq!(rows_of(&rig.send(Msg::Watermark(8 * NS_PER_SEC))), ["a 2 2 0 5000"]);
}

#[test]
fn a_global_aggregate_over_nothing_gives_one_row_on_its_owner() {
    let mut spec = small(Emit::Final, None, 0, false);
    spec.keys.clear();
    let given: usize = (0..4)
        .map(|shard| {
            let mut rig = Rig::new(Aggregate::new(&spec, false, place(shard, 4)), 10);
            let out = rows_of(&rig.send(Msg::Watermark(WM_END)));
            assert!(out.is_empty() || out == ["0 NULL"], "{out:?}");
            assert!(rows_of(&rig.send(Msg::Watermark(WM_END))).is_empty(), "once");
            out.len()
        })
        .sum();
    assert_eq!(given, 1);
    let mut changes = spec;
    changes.emit = Emit::Changes;
    assert!(rows_of(&rig(&changes, 10).send(Msg::Watermark(WM_END))).is_empty());
}

#[test]
fn changes_give_one_row_per_input_row() {
    let mut rig = rig(&small(Emit::Changes, Some(5), 1, false), 2);
    let out = rig.send(Msg::Batch(rows(&[
        ("a", 1, Some(1)),
        ("b", 2, Some(5)),
        ("a", 6, Some(7)),
        ("a", 3, Some(2)),
        ("a", 0, None),
    ])));
    assert_eq!(rows_of(&out), ["a 1 1 0 5000", "b 1 5 0 5000", "a 1 7 5000 10000"]);
    assert_eq!(rig.counters.late, 2, "window 0 to 5 s closed at 6 s for its own partition");
    assert_eq!(batches(&out).iter().map(|b| b.rows).collect::<Vec<_>>(), [2, 1]);
    let last = &batches(&out)[1].meta;
    assert_eq!((last.partition, last.offsets.at(0), last.order_at(0)), (2, 12, (12, within::HERE, 2 << NTH_BITS)));
    assert_eq!(last.event_time.as_deref(), Some(&[10 * NS_PER_SEC - 1][..]));
    assert_eq!(last.wm_own.as_deref(), Some(&[NS_PER_SEC][..]));
    assert_eq!(rig.counters.groups, 3);
    let out = rig.send(Msg::Watermark(6 * NS_PER_SEC));
    assert!(matches!(out[..], [Msg::Watermark(wm)] if wm == 5 * NS_PER_SEC), "closing emits nothing extra");
    assert_eq!(rig.counters.groups, 1);
}

#[test]
fn retraction_pairs_stay_together_and_empty_groups_leave() {
    let mut rig = rig(&small(Emit::Changes, None, 0, true), 3);
    let batch = rows(&[
        ("a", 1, Some(1)),
        ("a", 2, Some(2)),
        ("b", 3, None),
        ("a", 1, Some(1)),
        ("a", 2, Some(2)),
        ("a", 3, Some(9)),
    ]);
    let out = rig.send(Msg::Batch(weighted(batch, &[1, 1, 1, -1, -1, 1])));
    assert_eq!(signed(&out), ["+a 1 1", "-a 1 1", "+a 2 3", "+b 1 NULL", "-a 2 3", "+a 1 2", "-a 1 2", "+a 1 9"]);
    for batch in batches(&out) {
        assert!(batch.meta.weight_at(batch.rows - 1) > 0 || batch.rows == 1, "no pair is cut");
    }
    assert_eq!(rig.counters.groups, 2);
}

#[test]
fn sums_overflow_at_emission_only() {
    let mut rig = rig(&small(Emit::Final, Some(5), 0, false), 9);
    rig.send(Msg::Batch(rows(&[
        ("lost", 1, Some(i64::MAX)),
        ("lost", 1, Some(1)),
        ("back", 1, Some(i64::MAX)),
        ("back", 1, Some(1)),
        ("back", 1, Some(-1)),
        ("low", 1, Some(i64::MIN)),
    ])));
    let out = rig.send(Msg::Watermark(WM_END));
    assert_eq!(rows_of(&out), [format!("back 3 {} 0 5000", i64::MAX), format!("low 1 {} 0 5000", i64::MIN)]);
    assert_eq!(rig.dead.len(), 1);
    let error = &rig.dead[0].1.error;
    assert_eq!(error.code, ErrorCode::GroupOverflow);
    assert!(error.message.contains("lost") && error.message.contains("CAST AS DECIMAL(38,0)"), "{}", error.message);
}

#[test]
fn a_result_that_overflowed_is_not_retracted() {
    let mut rig = rig(&small(Emit::Changes, None, 0, true), 9);
    let out = rig.send(Msg::Batch(rows(&[("a", 1, Some(i64::MAX)), ("a", 1, Some(1)), ("a", 1, Some(-1))])));
    let max = i64::MAX;
    assert_eq!(signed(&out), [format!("+a 1 {max}"), format!("-a 1 {max}"), format!("+a 3 {max}")]);
    assert_eq!(rig.dead.len(), 1);
}

#[test]
fn decimal_sums_pass_through_more_than_128_bits() {
    let mut spec = small(Emit::Final, None, 0, false);
    spec.aggregates = vec![
        call(AggregateFn::Sum, Some(PRICE), DataType::decimal(2)),
        call(AggregateFn::Avg, Some(PRICE), DataType::decimal(6)),
    ];
    let mut rig = rig(&spec, 9);
    let send = |rig: &mut Rig<Aggregate>, mantissas: Vec<i128>, scale: u8| {
        let mut batch = rows(&vec![("a", 1, None); mantissas.len()]);
        batch.columns[PRICE] = Column::dec128(mantissas, scale, None);
        rig.send(Msg::Batch(batch));
    };
    send(&mut rig, vec![decimal::MAX; 3], 2);
    send(&mut rig, vec![5], 3);
    send(&mut rig, vec![-decimal::MAX; 3], 2);
    send(&mut rig, vec![7], 0);
    assert_eq!(rows_of(&rig.send(Msg::Watermark(WM_END))), ["a 7.005 0.875625"]);
    assert!(rig.dead.is_empty());
}

#[test]
fn idle_and_barriers_pass_through_and_a_combine_empties_before_them() {
    let spec = small(Emit::Final, Some(5), 0, false);
    for msg in [Msg::Idle, Msg::Barrier(4)] {
        let mut aggregate = rig(&spec, 9);
        aggregate.send(Msg::Batch(rows(&[("a", 1, Some(1))])));
        assert_eq!(aggregate.send(msg.clone()).len(), 1);
        let mut combine = Rig::new(Combine::new(&spec, place(0, 1)), 9);
        assert!(combine.send(Msg::Batch(rows(&[("a", 1, Some(1)), ("a", 2, Some(1)), ("b", 9, Some(1))]))).is_empty());
        let out = combine.send(msg);
        assert_eq!((batches(&out).len(), out.len(), combine.counters.groups), (2, 3, 0));
        assert_eq!(batches(&out)[0].rows, 1, "two rows of one group are one partial group");
    }
}

#[test]
fn a_combine_flushes_when_it_holds_too_much() {
    let spec = small(Emit::Final, None, 0, false);
    let mut combine = Rig::new(Combine::new(&spec, place(0, 1)), 8192);
    let names: Vec<String> = (0..65_537).map(|i| i.to_string()).collect();
    let all: Vec<(&str, i64, Option<i64>)> = names.iter().map(|n| (n.as_str(), 1, None)).collect();
    let out = combine.send(Msg::Batch(rows(&all)));
    assert_eq!(batches(&out).iter().map(|b| b.rows).sum::<usize>(), 65_537);
    assert!(batches(&out).iter().all(|b| b.rows <= 8192));
}

#[test]
fn a_group_costs_at_most_64_bytes_beside_its_key() {
    let mut spec = small(Emit::Final, None, 0, false);
    spec.keys = vec![AMOUNT];
    spec.aggregates = vec![
        call(AggregateFn::Sum, Some(PRICE), DataType::decimal(2)),
        call(AggregateFn::CountStar, None, DataType::Integer),
        call(AggregateFn::Avg, Some(PRICE), DataType::decimal(6)),
    ];
    let mut rig = rig(&spec, 8192);
    let groups = 300_000;
    for first in (0..groups).step_by(10_000) {
        let n = 10_000;
        let meta = RowMeta::plain(SourceId(0), 0, first);
        let keys = Column::ints((first..first + n).collect(), None);
        let prices = Column::dec64(vec![1; n as usize], 2, None);
        rig.send(Msg::Batch(Batch::new(vec![Column::Null(n as usize), prices, keys], n as usize, meta)));
    }
    let beside_keys = rig.counters.state_bytes - 9 * rig.counters.groups;
    assert!(beside_keys <= 64 * groups as u64, "{} bytes a group", beside_keys / groups as u64);
    assert_eq!(rig.send(Msg::Watermark(NS_PER_MS)).len(), 1);
}

#[test]
fn groups_that_the_watermark_left_behind_give_their_memory_to_others() {
    let spec = AggregateSpec { ttl_ns: Some(16 * NS_PER_SEC), ..small(Emit::Changes, None, 0, false) };
    let mut rig = rig(&spec, 64);
    let mut bytes = Vec::new();
    for second in 0..4_000 {
        let key = format!("user {second:05}");
        let given = rig.send(Msg::Batch(rows(&[(&key, second, Some(1))])));
        assert_eq!(signed(&given), [format!("+{key} 1 1")]);
        rig.send(Msg::Watermark(second * NS_PER_SEC));
        // An eighth of the time may pass until somebody looks.
        assert!(rig.counters.groups <= 16 + 2 + 1, "{} groups at {second} s", rig.counters.groups);
        bytes.push(rig.counters.state_bytes);
    }
    assert!(bytes[3_999] <= bytes[100], "state grew from {} to {} bytes", bytes[100], bytes[3_999]);
    assert_eq!(rig.counters.expired + rig.counters.groups, 4_000);
    let freed = rig.counters.expired;
    rig.send(Msg::Watermark(WM_END));
    assert_eq!(rig.counters.expired, freed, "the end of the input frees nothing");
}
