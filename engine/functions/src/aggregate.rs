//! The aggregate functions of the dialect: names, how each is written, which types it takes and gives, documentation
//! and examples. The binder asks here what a call means; the states that compute it live in the execution crate, by
//! [`AggregateFn`]. The reference page is written from the same entries.
//!
//! An example is one query without groups over the rows it names; a test of the harness runs each.

use velostream_types::{DataType, decimal};

use crate::array::has_order;

/// What an aggregate computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateFn {
    /// COUNT(*)
    CountStar,
    /// COUNT(x): rows where x is not NULL.
    Count,
    /// SUM(x): exact for Integer and Decimal; NULL without values.
    Sum,
    /// AVG(x): Float for Integer and Float; Decimal at `avg_scale` for Decimal, half away from zero.
    Avg,
    /// MIN(x)
    Min,
    /// MAX(x)
    Max,
    /// MAX(x) − MIN(x); the binder writes it so.
    Delta,
    /// FIRST(x): first non-NULL by (event time, source, partition, offset).
    First,
    /// LAST(x): last non-NULL by the same order.
    Last,
    /// First non-NULL in as-if order.
    Earliest,
    /// Last non-NULL in as-if order.
    Latest,
    /// A non-grouped bare column: its value in the last row seen, NULL included. Has no name.
    LastSeen,
    /// Sample variance.
    VarSamp,
    /// Population variance.
    VarPop,
    /// Square root of the sample variance.
    StddevSamp,
    /// Square root of the population variance.
    StddevPop,
    /// CORR(y, x)
    Corr,
    /// Population covariance.
    CovarPop,
    /// Sample covariance.
    CovarSamp,
    /// Slope of the line through (x, y) by least squares.
    RegrSlope,
    /// Where that line meets x = 0.
    RegrIntercept,
    /// How well that line fits.
    RegrR2,
    /// MEDIAN(x); the binder writes it as PERCENTILE_CONT(0.5, x).
    Median,
    /// Interpolated percentile.
    PercentileCont,
    /// Smallest value whose share of rows at or below it reaches the fraction.
    PercentileDisc,
    /// Texts joined by a separator.
    StringAgg,
    /// Array of the values, NULLs included.
    ArrayAgg,
    /// Array of the different values.
    CollectSet,
    /// Array of the n greatest values.
    TopK,
    /// Map from value to how often it occurs.
    Histogram,
    /// Number of different values, about.
    ApproxCountDistinct,
}

impl AggregateFn {
    /// Name as in SQL.
    pub const fn name(self) -> &'static str {
        use AggregateFn::*;
        match self {
            CountStar | Count => "COUNT",
            Sum => "SUM",
            Avg => "AVG",
            Min => "MIN",
            Max => "MAX",
            Delta => "DELTA",
            First => "FIRST",
            Last => "LAST",
            Earliest => "EARLIEST_BY_OFFSET",
            Latest => "LATEST_BY_OFFSET",
            LastSeen => "LAST_SEEN",
            VarSamp => "VAR_SAMP",
            VarPop => "VAR_POP",
            StddevSamp => "STDDEV_SAMP",
            StddevPop => "STDDEV_POP",
            Corr => "CORR",
            CovarPop => "COVAR_POP",
            CovarSamp => "COVAR_SAMP",
            RegrSlope => "REGR_SLOPE",
            RegrIntercept => "REGR_INTERCEPT",
            RegrR2 => "REGR_R2",
            Median => "MEDIAN",
            PercentileCont => "PERCENTILE_CONT",
            PercentileDisc => "PERCENTILE_DISC",
            StringAgg => "STRING_AGG",
            ArrayAgg => "ARRAY_AGG",
            CollectSet => "COLLECT_SET",
            TopK => "TOPK",
            Histogram => "HISTOGRAM",
            ApproxCountDistinct => "APPROX_COUNT_DISTINCT",
        }
    }

    /// Which row gives the value depends on the rows' order.
    pub const fn chooses_by_order(self) -> bool {
        use AggregateFn::*;
        matches!(self, First | Last | Earliest | Latest | LastSeen)
    }

    /// The result lists values in an order that may be asked for.
    pub const fn lists_in_order(self) -> bool {
        matches!(self, AggregateFn::StringAgg | AggregateFn::ArrayAgg)
    }

    /// A statistic of pairs (y, x).
    pub const fn takes_pairs(self) -> bool {
        use AggregateFn::*;
        matches!(self, Corr | CovarPop | CovarSamp | RegrSlope | RegrIntercept | RegrR2)
    }

    /// A statistic of single numbers beyond sum and average.
    pub const fn is_spread(self) -> bool {
        use AggregateFn::*;
        matches!(self, VarSamp | VarPop | StddevSamp | StddevPop)
    }

    /// The state holds values of rows rather than a few numbers about them, whatever the call's modifiers.
    pub const fn keeps_values(self) -> bool {
        use AggregateFn::*;
        matches!(self, Median | PercentileCont | PercentileDisc | StringAgg | ArrayAgg | CollectSet | Histogram)
    }

    /// A row can be taken back exactly.
    pub const fn takes_back(self) -> bool {
        !matches!(self, AggregateFn::ApproxCountDistinct)
    }
}

/// How a call is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateForm {
    /// `f(*)`
    Star,
    /// `f(x)`
    One,
    /// `f(x)`, and with DISTINCT `f(DISTINCT x, y, …)`.
    OneOrTuple,
    /// `f(y, x)`
    Pair,
    /// `f(x[, separator])`
    Separated,
    /// `f(x, n)`
    Limited,
    /// `f(p) WITHIN GROUP (ORDER BY x)` or `f(p, x)`
    Fraction,
}

/// Rows and the result of a call over them.
#[derive(Clone, Copy, Debug)]
pub struct AggregateExample {
    /// The call.
    pub call: &'static str,
    /// Columns with their values as JSON: `y: 1, 2; x: 3, null`.
    pub rows: &'static str,
    /// The result as text.
    pub result: &'static str,
}

/// One aggregate of the dialect.
#[derive(Clone, Copy, Debug)]
pub struct Aggregate {
    /// Canonical name, upper case.
    pub name: &'static str,
    /// Other names, upper case.
    pub aliases: &'static [&'static str],
    /// What it computes.
    pub function: AggregateFn,
    /// The name alone says DISTINCT.
    pub distinct: bool,
    /// How it is written.
    pub form: AggregateForm,
    /// How it is written, for people.
    pub signature: &'static str,
    /// What it gives, in one line.
    pub doc: &'static str,
    /// Calls with their results.
    pub examples: &'static [AggregateExample],
    /// What it takes, for messages.
    pub takes: &'static str,
    /// Result type over values of these types; `None` when it does not take them.
    pub result: fn(&[&DataType]) -> Option<DataType>,
}

const fn example(call: &'static str, rows: &'static str, result: &'static str) -> AggregateExample {
    AggregateExample { call, rows, result }
}

const fn entry(
    function: AggregateFn,
    form: AggregateForm,
    takes: &'static str,
    result: fn(&[&DataType]) -> Option<DataType>,
) -> Aggregate {
    Aggregate {
        name: function.name(),
        aliases: &[],
        function,
        distinct: false,
        form,
        signature: "",
        doc: "",
        examples: &[],
        takes,
        result,
    }
}

impl Aggregate {
    const fn doc(
        mut self,
        signature: &'static str,
        doc: &'static str,
        examples: &'static [AggregateExample],
    ) -> Aggregate {
        self.signature = signature;
        self.doc = doc;
        self.examples = examples;
        self
    }

    const fn or(mut self, aliases: &'static [&'static str]) -> Aggregate {
        self.aliases = aliases;
        self
    }

    const fn distinct_as(mut self, name: &'static str) -> Aggregate {
        self.name = name;
        self.distinct = true;
        self
    }
}

const ANY: &str = "any value";
const NUMBERS: &str = "numbers";
const ORDERED: &str = "values that have an order";
const SINGLE: &str = "values that are not nested";

fn integer(_: &[&DataType]) -> Option<DataType> {
    Some(DataType::Integer)
}

fn text(_: &[&DataType]) -> Option<DataType> {
    Some(DataType::String)
}

fn same(types: &[&DataType]) -> Option<DataType> {
    types.first().map(|t| (*t).clone())
}

fn ordered(types: &[&DataType]) -> Option<DataType> {
    same(types).filter(has_order)
}

/// Values that order and are not nested.
fn single(types: &[&DataType]) -> Option<DataType> {
    same(types).filter(|t| !t.is_nested())
}

fn list(types: &[&DataType]) -> Option<DataType> {
    same(types).map(DataType::array)
}

fn set(types: &[&DataType]) -> Option<DataType> {
    ordered(types).map(DataType::array)
}

fn counts(types: &[&DataType]) -> Option<DataType> {
    single(types).map(|_| DataType::map(DataType::Integer))
}

/// Numbers, or NULL without a type.
fn numeric(t: &DataType) -> bool {
    t.is_numeric() || *t == DataType::Null
}

fn float(types: &[&DataType]) -> Option<DataType> {
    types.iter().all(|t| numeric(t)).then_some(DataType::Float)
}

fn sum(types: &[&DataType]) -> Option<DataType> {
    match types {
        [t @ (DataType::Integer | DataType::Float | DataType::Null)] => Some((*t).clone()),
        [DataType::Decimal { scale, .. }] => Some(DataType::decimal(*scale)),
        _ => None,
    }
}

fn average(types: &[&DataType]) -> Option<DataType> {
    match types {
        [DataType::Null] => Some(DataType::Null),
        [DataType::Integer | DataType::Float] => Some(DataType::Float),
        [DataType::Decimal { scale, .. }] => Some(DataType::decimal(decimal::avg_scale(*scale))),
        _ => None,
    }
}

use AggregateFn as F;
use AggregateForm as Form;

const AGGREGATES: &[Aggregate] = &[
    entry(F::CountStar, Form::Star, ANY, integer).doc(
        "COUNT(*)",
        "Number of rows.",
        &[example("COUNT(*)", "x: 1, null", "2"), example("COUNT(*) FILTER (WHERE x > 1)", "x: 1, 2, null", "1")],
    ),
    entry(F::Count, Form::OneOrTuple, ANY, integer).doc(
        "COUNT([DISTINCT] x)",
        "Number of rows where x is not NULL; with DISTINCT of the different values, and of several columns the different combinations without NULL.",
        &[
            example("COUNT(x)", "x: 1, 1, null", "2"),
            example("COUNT(DISTINCT x)", "x: 1, 1, 2, null", "2"),
            example("COUNT(DISTINCT x, y)", "x: 1, 1, 2, null; y: 1, 1, 1, 1", "2"),
        ],
    ),
    entry(F::Count, Form::OneOrTuple, ANY, integer).distinct_as("COUNT_DISTINCT").doc(
        "COUNT_DISTINCT(x)",
        "COUNT(DISTINCT x).",
        &[example("COUNT_DISTINCT(x)", "x: \"a\", \"b\", \"a\"", "2")],
    ),
    entry(F::ApproxCountDistinct, Form::One, ANY, integer).doc(
        "APPROX_COUNT_DISTINCT(x)",
        "About how many different values: exact up to 512, then within about 2 %, in 4 KiB a group.",
        &[example("APPROX_COUNT_DISTINCT(x)", "x: 7, 7, 8, null", "2")],
    ),
    entry(F::Sum, Form::One, NUMBERS, sum).doc(
        "SUM([DISTINCT] x)",
        "The exact sum: INTEGER of integers, decimal of decimals, FLOAT of floats. A sum beyond its type sends the group to the dead letters.",
        &[example("SUM(x)", "x: 0.1, 0.2, null", "0.3"), example("SUM(DISTINCT x)", "x: 5, 5, 1", "6")],
    ),
    entry(F::Avg, Form::One, NUMBERS, average).doc(
        "AVG([DISTINCT] x)",
        "The average: FLOAT of integers and floats, of decimals a decimal with 4 digits more, rounded half away from zero.",
        &[example("AVG(x)", "x: 1, 2", "1.5"), example("AVG(x)", "x: 0.10, 0.25", "0.175000")],
    ),
    entry(F::Min, Form::One, ORDERED, ordered).doc(
        "MIN(x)",
        "The smallest value.",
        &[example("MIN(x)", "x: \"b\", \"a\", null", "a"), example("MIN(ARRAY(x))", "x: 10, 9", "[9]")],
    ),
    entry(F::Max, Form::One, ORDERED, ordered).doc(
        "MAX(x)",
        "The greatest value.",
        &[example("MAX(x)", "x: 2.5, 10.0", "10.0"), example("MAX(STRUCT('x', x))", "x: 10, 9", "{\"x\":10}")],
    ),
    entry(F::Delta, Form::One, "numbers, dates and timestamps", same).doc(
        "DELTA(x)",
        "MAX(x) - MIN(x).",
        &[example("DELTA(x)", "x: 2.5, 10.0, null", "7.5")],
    ),
    entry(F::First, Form::One, ANY, same).or(&["FIRST_VALUE"]).doc(
        "FIRST(x)",
        "The first value by event time, then partition and offset.",
        &[example("FIRST(x)", "x: null, 7, 5", "7")],
    ),
    entry(F::Last, Form::One, ANY, same).or(&["LAST_VALUE"]).doc(
        "LAST(x)",
        "The last value by event time, then partition and offset.",
        &[example("LAST(x)", "x: 7, 5, null", "5")],
    ),
    entry(F::Earliest, Form::One, ANY, same).doc(
        "EARLIEST_BY_OFFSET(x)",
        "The first value by offset, then partition.",
        &[example("EARLIEST_BY_OFFSET(x)", "x: null, 7, 5", "7")],
    ),
    entry(F::Latest, Form::One, ANY, same).doc(
        "LATEST_BY_OFFSET(x)",
        "The last value by offset, then partition.",
        &[example("LATEST_BY_OFFSET(x)", "x: 7, 5, null", "5")],
    ),
    entry(F::StddevSamp, Form::One, NUMBERS, float).or(&["STDDEV"]).doc(
        "STDDEV_SAMP([DISTINCT] x)",
        "Standard deviation of a sample; NULL below two values.",
        &[example("STDDEV_SAMP(x)", "x: 2, 4, 4, 4, 5, 5, 7, 9", "2.138089935299395"), example("STDDEV(x)", "x: 1", "NULL")],
    ),
    entry(F::StddevPop, Form::One, NUMBERS, float).doc(
        "STDDEV_POP([DISTINCT] x)",
        "Standard deviation of all values.",
        &[example("STDDEV_POP(x)", "x: 2, 4, 4, 4, 5, 5, 7, 9", "2.0")],
    ),
    entry(F::VarSamp, Form::One, NUMBERS, float).or(&["VARIANCE"]).doc(
        "VAR_SAMP([DISTINCT] x)",
        "Variance of a sample; NULL below two values. Exact for integers and decimals until the last rounding.",
        &[example("VAR_SAMP(x)", "x: 1000000000.1, 1000000000.2, 1000000000.3", "0.01")],
    ),
    entry(F::VarPop, Form::One, NUMBERS, float).doc(
        "VAR_POP([DISTINCT] x)",
        "Variance of all values.",
        &[example("VAR_POP(x)", "x: 1, 3", "1.0"), example("VAR_POP(x)", "x: 4", "0.0")],
    ),
    entry(F::Median, Form::One, NUMBERS, float).doc(
        "MEDIAN([DISTINCT] x)",
        "PERCENTILE_CONT(0.5, x).",
        &[example("MEDIAN(x)", "x: 10, 1, 2, 7", "4.5")],
    ),
    entry(F::PercentileCont, Form::Fraction, NUMBERS, float).doc(
        "PERCENTILE_CONT(p) WITHIN GROUP (ORDER BY x [DESC]), or PERCENTILE_CONT(p, x)",
        "The value at p of the way through the ordered values, interpolated; p from 0 to 1.",
        &[
            example("PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY x)", "x: 1, 2, 3", "2.8"),
            example("PERCENTILE_CONT(0.25, x)", "x: 1, 2, 3, 4, 5", "2.0"),
        ],
    ),
    entry(F::PercentileDisc, Form::Fraction, SINGLE, single).doc(
        "PERCENTILE_DISC(p) WITHIN GROUP (ORDER BY x [DESC]), or PERCENTILE_DISC(p, x)",
        "The first of the ordered values at or below which at least p of all lie.",
        &[example("PERCENTILE_DISC(0.5, x)", "x: \"c\", \"a\", \"d\", \"b\"", "b")],
    ),
    entry(F::StringAgg, Form::Separated, "values that have a text", text).or(&["GROUP_CONCAT", "LISTAGG", "COLLECT"]).doc(
        "STRING_AGG([DISTINCT] x[, separator]) [WITHIN GROUP (ORDER BY e)]",
        "The values as text, joined; without an order by offset, then partition. The separator is a comma unless given.",
        &[
            example("STRING_AGG(x, '-')", "x: \"b\", null, \"a\"", "b-a"),
            example("STRING_AGG(DISTINCT x) WITHIN GROUP (ORDER BY x DESC)", "x: 1, 3, 3, 2", "3,2,1"),
        ],
    ),
    entry(F::ArrayAgg, Form::One, ANY, list).or(&["COLLECT_LIST"]).doc(
        "ARRAY_AGG([DISTINCT] x) [WITHIN GROUP (ORDER BY e)]",
        "An array of the values, NULLs included; without an order by offset, then partition.",
        &[example("ARRAY_AGG(x)", "x: 2, null, 1, 2", "[2,null,1,2]"), example("ARRAY_AGG(DISTINCT x)", "x: \"b\", \"a\", \"b\"", "[\"b\",\"a\"]"),
            example("ARRAY_AGG(ARRAY(x))", "x: 1, null", "[[1],[null]]"),
            example("ARRAY_SUM(ARRAY_AGG(x))", "x: 1, 2.5", "3.5"),
        ],
    ),
    entry(F::CollectSet, Form::One, ORDERED, set).doc(
        "COLLECT_SET(x)",
        "An array of the different values, ascending.",
        &[example("COLLECT_SET(x)", "x: 2, 1, 2, null", "[1,2]"),
            example("ELEMENT_AT(COLLECT_SET(x), 2)", "x: 2, 1.5, 2, null", "2.0"),
            example("COLLECT_SET(ARRAY(x))", "x: 10, 9, 10", "[[9],[10]]"),
        ],
    ),
    entry(F::TopK, Form::Limited, ORDERED, set).doc(
        "TOPK(x, n)",
        "An array of the n greatest values, greatest first.",
        &[example("TOPK(x, 2)", "x: 3, 9, 9, 1", "[9,9]"), example("TOPK(ARRAY(x), 2)", "x: 3, 10, 9", "[[10],[9]]")],
    ),
    entry(F::TopK, Form::Limited, ORDERED, set).distinct_as("TOPKDISTINCT").doc(
        "TOPKDISTINCT(x, n)",
        "An array of the n greatest different values, greatest first.",
        &[example("TOPKDISTINCT(x, 2)", "x: 3, 9, 9, 1", "[9,3]")],
    ),
    entry(F::Histogram, Form::One, SINGLE, counts).doc(
        "HISTOGRAM(x)",
        "A map from each value, as text, to how often it occurs.",
        &[example("HISTOGRAM(x)", "x: \"b\", \"a\", \"b\", null", "{\"a\":1,\"b\":2}"),
            example("HISTOGRAM(x)", "x: 9, 10, 9", "{\"10\":1,\"9\":2}"),
            example("ELEMENT_AT(HISTOGRAM(x), '9')", "x: 9, 10, 9", "2"),
        ],
    ),
    entry(F::Corr, Form::Pair, NUMBERS, float).doc(
        "CORR(y, x)",
        "Correlation of the pairs without NULL; NULL below two pairs or when y or x is constant.",
        &[example("CORR(y, x)", "y: 1, 2, 3; x: 2, 4, 6", "1.0")],
    ),
    entry(F::CovarPop, Form::Pair, NUMBERS, float).doc(
        "COVAR_POP(y, x)",
        "Covariance of all pairs.",
        &[example("COVAR_POP(y, x)", "y: 1, 3, 8; x: 2, 6, null", "2.0")],
    ),
    entry(F::CovarSamp, Form::Pair, NUMBERS, float).doc(
        "COVAR_SAMP(y, x)",
        "Covariance of a sample; NULL below two pairs.",
        &[example("COVAR_SAMP(y, x)", "y: 1, 3; x: 2, 6", "4.0")],
    ),
    entry(F::RegrSlope, Form::Pair, NUMBERS, float).doc(
        "REGR_SLOPE(y, x)",
        "Slope of the line that fits the pairs best; NULL below two pairs or when x is constant.",
        &[example("REGR_SLOPE(y, x)", "y: 1, 3, 5; x: 0, 1, 2", "2.0")],
    ),
    entry(F::RegrIntercept, Form::Pair, NUMBERS, float).doc(
        "REGR_INTERCEPT(y, x)",
        "The y of that line at x = 0.",
        &[example("REGR_INTERCEPT(y, x)", "y: 1, 3, 5; x: 0, 1, 2", "1.0")],
    ),
    entry(F::RegrR2, Form::Pair, NUMBERS, float).doc(
        "REGR_R2(y, x)",
        "How well that line fits: the square of CORR(y, x).",
        &[example("REGR_R2(y, x)", "y: 1, 3, 5; x: 0, 1, 2", "1.0")],
    ),
];

/// Every aggregate, as in the reference.
pub fn aggregates() -> impl Iterator<Item = &'static Aggregate> {
    AGGREGATES.iter()
}

/// The aggregate of this name or alias, whatever its case; `star`: its argument is `*`.
pub fn find_aggregate(name: &str, star: bool) -> Option<&'static Aggregate> {
    let is = |own: &str| own.eq_ignore_ascii_case(name);
    let named = |a: &&Aggregate| is(a.name) || a.aliases.iter().any(|alias| is(alias));
    let fits = |a: &&Aggregate| (a.form == AggregateForm::Star) == star;
    aggregates().filter(named).find(fits).or_else(|| aggregates().find(named))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn entries_are_whole_and_names_are_unique() {
        let mut names = BTreeSet::new();
        for a in aggregates() {
            for name in a.aliases.iter().chain([&a.name]) {
                assert!(names.insert((*name, a.form == AggregateForm::Star)), "{name} stands twice");
                assert_eq!(**name, name.to_uppercase());
                assert!(crate::find(name).is_none(), "{name} is a scalar function too");
            }
            assert!(a.signature.starts_with(a.name), "{}", a.name);
            assert!(a.doc.ends_with('.') && !a.doc.contains('\n'), "{}", a.name);
            assert!(!a.examples.is_empty(), "{}", a.name);
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(find_aggregate("count", true).map(|a| a.function), Some(AggregateFn::CountStar));
        assert_eq!(find_aggregate("Count", false).map(|a| a.function), Some(AggregateFn::Count));
        assert_eq!(find_aggregate("group_concat", false).map(|a| a.function), Some(AggregateFn::StringAgg));
        assert!(find_aggregate("median_", false).is_none());
    }
}
