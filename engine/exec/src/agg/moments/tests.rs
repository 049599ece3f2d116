//! Statistics against exact fractions, for batches of different scales, retractions and partial forms.

use proptest::prelude::*;
use velostream_types::DataType;

use super::*;

const ALL: [AggregateFn; 4] =
    [AggregateFn::VarSamp, AggregateFn::VarPop, AggregateFn::StddevSamp, AggregateFn::StddevPop];

fn one_group(types: &[DataType], batches: &[(Vec<Column>, Option<Vec<i8>>)]) -> Moments {
    let mut pool = BlockPool::default();
    let mut moments = Moments::new(types);
    moments.grow(1, &mut pool);
    for (columns, weights) in batches {
        moments.update(&vec![0; columns[0].len()], columns, weights.as_deref());
    }
    moments
}

/// Variance from the definition, in floats over small integers.
fn variance(values: &[i64], sample: bool) -> Option<f64> {
    let n = values.len() as i128;
    if n < 1 + i128::from(sample) {
        return None;
    }
    let (sum, squares) =
        values.iter().fold((0i128, 0i128), |(s, q), v| (s + i128::from(*v), q + i128::from(*v).pow(2)));
    Some((n * squares - sum * sum) as f64 / (n * (n - i128::from(sample))) as f64)
}

proptest! {
    #[test]
    fn variances_are_exact_whatever_batches_bring(
        values in prop::collection::vec(-1000i64..1000, 0..20),
        extra in prop::collection::vec(-1000i64..1000, 0..5),
        cut in 0usize..20,
    ) {
        let cut = cut.min(values.len());
        let ints = |v: &[i64]| vec![Column::ints(v.to_vec(), None)];
        let scaled = vec![Column::dec64(values[cut..].iter().map(|v| v * 1000).collect(), 3, None)];
        let batches = [
            (ints(&values[..cut]), None),
            (ints(&extra), None),
            (scaled, None),
            (ints(&extra), Some(vec![-1; extra.len()])),
        ];
        let moments = one_group(&[DataType::decimal(3)], &batches);
        let mut columns = Vec::new();
        moments.partial(&[0], &mut columns);
        prop_assert!(columns.iter().enumerate().all(|(i, c)| moments.accepts(i, c)));
        let mut merged = one_group(&[DataType::decimal(3)], &[]);
        merged.merge(&[0], 0, &columns);
        for which in [&moments, &merged] {
            for function in ALL {
                let sample = matches!(function, AggregateFn::VarSamp | AggregateFn::StddevSamp);
                let root = matches!(function, AggregateFn::StddevSamp | AggregateFn::StddevPop);
                let expect = variance(&values, sample).map(|v| if root { v.sqrt() } else { v });
                prop_assert_eq!(which.sums(0).value(function), expect);
            }
        }
    }
}

#[test]
fn great_offsets_do_not_cancel_digits() {
    let offset = 1e9;
    let floats = |v: &[f64]| (vec![Column::floats(v.iter().map(|x| offset + x).collect(), None)], None);
    let moments = one_group(&[DataType::Float], &[floats(&[0.25, 0.5]), floats(&[0.75])]);
    assert_eq!(moments.sums(0).value(AggregateFn::VarSamp), Some(0.0625));
    let wide = |v: Vec<i128>| (vec![Column::dec128(v, 0, None)], None);
    let top = decimal::MAX;
    let moments = one_group(&[DataType::decimal(0)], &[wide(vec![top, top - 2]), wide(vec![top - 1])]);
    assert_eq!(moments.sums(0).value(AggregateFn::VarSamp), Some(1.0));
}

#[test]
fn what_is_not_finite_leaves_with_its_row() {
    let floats = |v: &[f64], w: Option<Vec<i8>>| (vec![Column::floats(v.to_vec(), None)], w);
    let with = [floats(&[1.0, f64::NAN, 3.0], None)];
    assert!(one_group(&[DataType::Float], &with).sums(0).value(AggregateFn::VarPop).is_some_and(f64::is_nan));
    let without = [floats(&[1.0, f64::NAN, 3.0], None), floats(&[f64::NAN], Some(vec![-1]))];
    let left = one_group(&[DataType::Float], &without).sums(0);
    assert_eq!((left.value(AggregateFn::VarPop), left.float_sum()), (Some(1.0), Some(4.0)));
}

#[test]
fn pairs_need_both_and_variance() {
    let check = |y: Vec<Option<i64>>, x: Vec<Option<i64>>, function, expect: Option<f64>| {
        let columns = vec![Column::Int(y.into_iter().collect()), Column::Int(x.into_iter().collect())];
        let floats = columns.iter().map(|c| match c {
            Column::Int(a) => Column::Float(a.iter().map(|v| v.map(|v| v as f64)).collect()),
            other => other.clone(),
        });
        let floats = one_group(&[DataType::Float, DataType::Float], &[(floats.collect(), None)]);
        assert_eq!(floats.sums(0).value(function), expect, "{function:?} of floats");
        let moments = one_group(&[DataType::Integer, DataType::Integer], &[(columns, None)]);
        assert_eq!(moments.sums(0).value(function), expect, "{function:?}");
    };
    use AggregateFn::*;
    let line = || (vec![Some(1), Some(3), None, Some(5)], vec![Some(0), Some(1), Some(7), Some(2)]);
    for (function, expect) in [(RegrSlope, 2.0), (RegrIntercept, 1.0), (CovarSamp, 2.0)] {
        check(line().0, line().1, function, Some(expect));
    }
    for (function, expect) in [(Corr, None), (RegrSlope, Some(0.0)), (RegrIntercept, Some(4.0)), (CovarPop, Some(0.0))]
    {
        check(vec![Some(4), Some(4)], vec![Some(1), Some(2)], function, expect);
    }
    for function in [Corr, RegrSlope, RegrIntercept, RegrR2, CovarSamp] {
        check(vec![Some(4)], vec![Some(1)], function, None);
    }
    check(vec![Some(1), Some(2)], vec![Some(3), Some(3)], RegrSlope, None);
}
