//! Long collections, the order of what they give, rows that are no collection.

use velostream_types::{SourceId, Span};

use super::*;
use crate::operator::NodeCounters;

fn unnest(of: DataType, keeps_empty: bool) -> Unnest {
    let spec = UnnestSpec { of, numbered: true, keeps_empty, span: Span::default() };
    Unnest::new(&spec, Arc::new([]), DlqId(0))
}

fn batch(collections: &[Option<&str>]) -> Batch {
    let rows = collections.len();
    let columns = vec![Column::strs(collections.to_vec()), Column::ints((0..rows as i64).collect(), None)];
    Batch::new(columns, rows, RowMeta::plain(SourceId(0), 3, 7))
}

/// Batches that the operator gives for one, and the rows that failed.
fn pushed(operator: &mut Unnest, batch: Batch, batch_rows: usize) -> (Vec<Batch>, usize) {
    let (mut dead, mut counters) = (Vec::new(), NodeCounters::default());
    let mut cx = OpCx { now_ns: 0, batch_rows, dead: &mut dead, counters: &mut counters, spare: &mut Vec::new() };
    operator.push(0, Msg::Batch(batch), &mut cx).expect("no fatal");
    let mut out = Vec::new();
    while let Some(msg) = operator.pull(&mut cx).expect("no fatal") {
        let Msg::Batch(batch) = msg else { panic!("rows, not {msg:?}") };
        assert!(batch.rows > 0 && batch.rows <= batch_rows, "{} rows at once", batch.rows);
        out.push(batch);
    }
    (out, dead.len())
}

/// Element, place, row, offset and number of each row.
fn shown(batches: &[Batch]) -> Vec<String> {
    let row = |batch: &Batch, row: usize| {
        let values: Vec<String> = batch.columns.iter().map(|column| column.value(row).to_string()).collect();
        let (offset, _, tie) = batch.meta.order_at(row);
        assert_eq!(tie >> NTH_BITS, batch.meta.tie_of() >> NTH_BITS);
        format!("{} {offset}.{}", values.join(" "), tie & NTH_MASK)
    };
    batches.iter().flat_map(|batch| (0..batch.rows).map(move |at| row(batch, at))).collect()
}

#[test]
fn elements_come_in_their_order_whatever_a_batch_holds() {
    let rows = [Some("[5,null]"), None, Some("[]"), Some("[6,7,8]")];
    let check = |keeps_empty: bool, expect: &[&str]| {
        for batch_rows in 1..6 {
            let mut operator = unnest(DataType::array(DataType::Integer), keeps_empty);
            let (out, dead) = pushed(&mut operator, batch(&rows), batch_rows);
            assert_eq!((shown(&out), dead), (expect.iter().map(|s| (*s).to_owned()).collect(), 0), "{batch_rows}");
        }
    };
    let (first, last) = (["5 1 0 7.0", "NULL 2 0 7.1"], ["6 1 3 10.0", "7 2 3 10.1", "8 3 3 10.2"]);
    check(false, &[first.as_slice(), &last].concat());
    check(true, &[first.as_slice(), &["NULL NULL 1 8.0", "NULL NULL 2 9.0"], &last].concat());
}

#[test]
fn a_second_operator_goes_on_with_the_numbers_of_the_first() {
    let mut first = unnest(DataType::array(DataType::array(DataType::Integer)), false);
    let (arrays, _) = pushed(&mut first, batch(&[Some("[[1,2],[3]]")]), 1);
    let mut second = unnest(DataType::array(DataType::Integer), false);
    let out: Vec<Batch> = arrays.into_iter().flat_map(|batch| pushed(&mut second, batch, 9).0).collect();
    assert_eq!(shown(&out), ["1 1 1 0 7.0", "2 2 1 0 7.1", "3 1 2 0 7.2"]);
}

#[test]
fn a_million_elements_leave_in_many_batches() {
    let text = format!("[{}1]", "1,".repeat(999_999));
    let mut operator = unnest(DataType::array(DataType::Integer), false);
    let (out, _) = pushed(&mut operator, batch(&[Some(&text)]), 8_192);
    assert_eq!(out.len(), 1_000_000usize.div_ceil(8_192));
    assert_eq!(out.iter().map(|batch| batch.rows).sum::<usize>(), 1_000_000);
}

#[test]
fn json_that_is_no_array_fails_its_row_alone() {
    let mut operator = unnest(DataType::Json, true);
    let (out, dead) = pushed(&mut operator, batch(&[Some("[\"a\"]"), Some("{\"a\":[1]}"), Some("7")]), 8);
    assert_eq!((shown(&out), dead), (vec!["\"a\" 1 0 7.0".to_owned()], 2));
}

#[test]
fn members_of_a_map_are_keys_and_values() {
    let mut operator = unnest(DataType::map(DataType::Integer), false);
    let (out, _) = pushed(&mut operator, batch(&[Some("{\"a\\\"b\":1,\"c\":null}")]), 1);
    assert_eq!(shown(&out), ["a\"b 1 1 0 7.0", "c NULL 2 0 7.1"]);
}
