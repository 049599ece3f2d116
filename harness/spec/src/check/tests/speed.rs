//! Four folds over many records keep up, and no record is kept.

use std::sync::Arc;

use velostream_types::{Span, Value};

use crate::assertion::{AggregateFunction, Assertion, AssertionKind as Kind, CountBounds, Direction, View};
use crate::check::tests::record;
use crate::check::{About, Context, Facts, Fold, fold};
use crate::record::Row;

fn folds(context: &Context, expected: &str) -> Vec<Box<dyn Fold>> {
    let bounds = CountBounds { min: Some(1), ..CountBounds::default() };
    let kinds = [
        Kind::RecordCount { bounds, expression: None },
        Kind::AggregateCheck {
            function: AggregateFunction::Sum,
            field: "price".to_owned(),
            expected: expected.to_owned(),
            tolerance: 0.0,
        },
        Kind::NoDuplicates { key_fields: vec!["id".to_owned()], allow_updates: false, max_duplicate_percent: None },
        Kind::Ordering {
            field: "id".to_owned(),
            direction: Direction::Ascending,
            partition_by: None,
            allow_equal: false,
        },
    ];
    let about = About { sink: "trades", query: "trades", context };
    kinds
        .into_iter()
        .map(|kind| fold(&Assertion { kind, span: Span::new(0, 0), view: View::Changes }, &about))
        .collect()
}

/// The sum of so many prices is exact where floats have lost cents long before. With `VELO_SHARE=1` a million records
/// pass; the limits there are 2 s and 150 MB, seen by whoever runs it under `time -v`.
#[test]
fn sums_of_many_records_are_exact() {
    let count: i64 = if std::env::var("VELO_SHARE").is_ok_and(|share| share == "1") { 1_000_000 } else { 50_000 };
    let mut row = Row {
        fields: ["symbol", "side", "id", "price", "quantity", "venue"]
            .iter()
            .map(|name| (Arc::from(*name), Value::Str("text".into())))
            .collect(),
    };
    let context = Context::default();
    let expected = format!("{}.{:02}", count * 10 / 100, count * 10 % 100);
    let mut folds = folds(&context, &expected);
    for i in 0..count {
        row.fields[2].1 = Value::Int(i);
        row.fields[3].1 = Value::Decimal { mantissa: 10, scale: 2 };
        let record = record(&row, i as usize, Some(b"key"), &[]);
        folds.iter_mut().for_each(|fold| fold.record(&record));
    }
    let facts = Facts {
        records: count as u64,
        context: &context,
        now_ms: 0,
        elapsed_ms: None,
        memory: None,
        dead_letters: None,
        metrics: None,
        files: &|path| path.to_owned(),
    };
    for fold in folds {
        let outcome = fold.finish(&facts);
        assert!(outcome.passed, "{outcome:?}");
    }
}
