//! Metrics: counts and measures the rows of a statement on their way to the sink's encoder. Rows pass unchanged.
//!
//! Only rows that come count, those that are taken back do not. What a row adds depends on the row alone, so counters and
//! buckets of several shards add up, sums are kept in billionths as whole numbers, and of a gauge's values the one stands
//! that is last in the rows' order. A row whose condition or field cannot be computed is not looked at: nothing is dead-lettered
//! twice. Which rows a sample holds is a function of their order, too.
//!
//! State lasts as long as the run and is part of no snapshot. Cost: one evaluation per batch and expression, one look-up per row
//! and metric; nothing is allocated for labels that are known. A metric has at most [`SERIES_MAX`] series per shard; rows of
//! further labels are left out.

use std::collections::BTreeMap;

use arrow_array::Array;
use velostream_sql::plan::{MetricKind, MetricSpec};
use velostream_types::time::ns_to_ms;
use velostream_types::within::Within;
use velostream_types::{Batch, Column, Fatal};

use crate::expr::{EvalContext, Evaluator};
use crate::operator::{Msg, OpCx, Operator};

/// Series of one metric on one shard: some 200 bytes each, so 20 MiB at most.
pub const SERIES_MAX: usize = 100_000;
/// Characters of a label's value; the rest is cut off.
const LABEL_CHARACTERS: usize = 1_024;
/// Sums of histograms count in this part of one.
const PARTS_OF_ONE: f64 = 1e9;

/// A row's place in the order of a statement's rows.
pub type Place = (i64, Within, u64);

/// One series of a metric on one shard.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesPart {
    /// Position of the sink in the plan.
    pub sink: usize,
    /// Position of the metric in the sink's list.
    pub metric: usize,
    /// Label values, in the order of the metric's labels.
    pub labels: Vec<String>,
    /// What was counted.
    pub point: Point,
}

/// What a series counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// Rows looked at.
    pub count: u64,
    /// Last value with its row's place; gauges only.
    pub last: Option<(Place, f64)>,
    /// Sum of the values in billionths; histograms only.
    pub sum: i128,
    /// Values by the first bound they do not exceed; the last entry is beyond all bounds. Histograms only.
    pub buckets: Vec<u64>,
}

impl Point {
    fn new(spec: &MetricSpec) -> Point {
        let buckets = if spec.kind == MetricKind::Histogram { vec![0; spec.buckets.len() + 1] } else { Vec::new() };
        Point { buckets, ..Point::default() }
    }

    fn count(&mut self, spec: &MetricSpec, value: f64, place: Place) {
        self.count += 1;
        match spec.kind {
            MetricKind::Counter => {}
            MetricKind::Gauge => {
                if self.last.is_none_or(|(last, _)| last <= place) {
                    self.last = Some((place, value));
                }
            }
            MetricKind::Histogram => {
                self.sum = self.sum.saturating_add((value * PARTS_OF_ONE).round() as i128);
                self.buckets[spec.buckets.partition_point(|bound| *bound < value)] += 1;
            }
        }
    }

    /// Adds what another shard counted for the same labels.
    pub fn add(&mut self, other: &Point) {
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(own, more)| *own += more);
        if let Some((place, _)) = other.last
            && self.last.is_none_or(|(last, _)| last <= place)
        {
            self.last = other.last;
        }
    }

    /// The sum of a histogram's values.
    pub fn sum(&self) -> f64 {
        self.sum as f64 / PARTS_OF_ONE
    }
}

/// One metric.
struct Meter {
    spec: MetricSpec,
    condition: Option<Evaluator>,
    field: Option<Evaluator>,
    labels: Vec<Evaluator>,
    series: BTreeMap<Box<[u8]>, Point>,
    /// Key of the row at hand.
    key: Vec<u8>,
}

impl Meter {
    fn new(spec: &MetricSpec) -> Meter {
        let mut meter = Meter {
            condition: spec.condition.as_ref().map(Evaluator::new),
            field: spec.field.as_ref().map(Evaluator::new),
            labels: spec.labels.iter().map(|label| Evaluator::new(&label.value)).collect(),
            series: BTreeMap::new(),
            key: Vec::new(),
            spec: spec.clone(),
        };
        // Without labels there is one series, which begins at zero; a gauge has none before its first value.
        if spec.labels.is_empty() && spec.kind != MetricKind::Gauge {
            meter.series.insert(Box::default(), Point::new(spec));
        }
        meter
    }

    fn observe(&mut self, batch: &Batch, ctx: &EvalContext) {
        let kept = self.condition.as_mut().map(|condition| condition.filter_mask(batch, ctx).keep);
        let values = self.field.as_mut().map(|field| field.eval(batch, ctx).column);
        let labels: Vec<Column> = self.labels.iter_mut().map(|label| label.eval(batch, ctx).column).collect();
        for row in 0..batch.rows {
            if batch.meta.weight_at(row) < 0 || kept.as_ref().is_some_and(|kept| !kept.value(row)) {
                continue;
            }
            let place = batch.meta.order_at(row);
            if self.spec.sample_rate < 1.0 && !is_sampled(place, self.spec.sample_rate) {
                continue;
            }
            let value = match &values {
                Some(values) => match measured(values, row) {
                    Some(value) => value,
                    None => continue,
                },
                None => 0.0,
            };
            self.key.clear();
            labels.iter().for_each(|column| add_label(column, row, &mut self.key));
            let is_full = self.series.len() >= SERIES_MAX;
            match self.series.get_mut(self.key.as_slice()) {
                Some(point) => point.count(&self.spec, value, place),
                None if is_full => {}
                None => {
                    let mut point = Point::new(&self.spec);
                    point.count(&self.spec, value, place);
                    self.series.insert(self.key.as_slice().into(), point);
                }
            }
        }
    }
}

/// A value to measure; none for NULL and what is not finite.
fn measured(column: &Column, row: usize) -> Option<f64> {
    let value = match column {
        Column::Float(values) => values.is_valid(row).then(|| values.value(row))?,
        Column::Int(values) => values.is_valid(row).then(|| values.value(row) as f64)?,
        Column::Timestamp(values) => values.is_valid(row).then(|| ns_to_ms(values.value(row)) as f64)?,
        Column::Date(values) => values.is_valid(row).then(|| f64::from(values.value(row)) * 86_400.0)?,
        _ => return None,
    };
    value.is_finite().then_some(value)
}

/// Appends a label's value with its length; NULL is empty.
fn add_label(column: &Column, row: usize, key: &mut Vec<u8>) {
    let text = match column {
        Column::Str(values) if values.is_valid(row) => values.value(row),
        _ => "",
    };
    let text = text.char_indices().nth(LABEL_CHARACTERS).map_or(text, |(end, _)| &text[..end]);
    key.extend_from_slice(&(text.len() as u32).to_le_bytes());
    key.extend(text.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
}

/// The labels that a key was made of.
fn labels_of(mut key: &[u8]) -> Vec<String> {
    let mut labels = Vec::new();
    while let Some((length, rest)) = key.split_first_chunk::<4>() {
        let (label, rest) = rest.split_at(rest.len().min(u32::from_le_bytes(*length) as usize));
        labels.push(String::from_utf8_lossy(label).into_owned());
        key = rest;
    }
    labels
}

/// TRUE for that share of all places.
fn is_sampled((major, minor, tie): Place, rate: f64) -> bool {
    let (low, high) = minor.to_parts();
    let mixed = [major as u64, low as u64, (low >> 64) as u64, high as u64, tie].into_iter().fold(0, |mixed, part| {
        let mut x: u64 = (mixed ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    });
    (mixed as f64) < rate * u64::MAX as f64
}

/// The operator.
pub struct Metrics {
    sink: usize,
    meters: Vec<Meter>,
    ctx: EvalContext,
    ready: Option<Msg>,
}

impl Metrics {
    /// Counts for these metrics of sink number `sink`.
    pub fn new(sink: usize, specs: &[MetricSpec], ctx: EvalContext) -> Metrics {
        Metrics { sink, meters: specs.iter().map(Meter::new).collect(), ctx, ready: None }
    }
}

impl Operator for Metrics {
    fn push(&mut self, _port: usize, msg: Msg, cx: &mut OpCx<'_>) -> Result<(), Fatal> {
        if let Msg::Batch(batch) = &msg {
            self.ctx.now_ns = cx.now_ns;
            self.meters.iter_mut().for_each(|meter| meter.observe(batch, &self.ctx));
        }
        self.ready = Some(msg);
        Ok(())
    }

    fn pull(&mut self, _cx: &mut OpCx<'_>) -> Result<Option<Msg>, Fatal> {
        Ok(self.ready.take())
    }

    fn series(&self) -> Vec<SeriesPart> {
        let of = |(metric, meter): (usize, &Meter)| {
            let parts = meter.series.iter().map(|(key, point)| SeriesPart {
                sink: self.sink,
                metric,
                labels: labels_of(key),
                point: point.clone(),
            });
            parts.collect::<Vec<_>>()
        };
        self.meters.iter().enumerate().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::NodeCounters;
    use velostream_sql::plan::{Expr, ExprKind, MetricLabel};
    use velostream_types::{DataType, RowMeta, SourceId, Span};

    fn column(at: usize, data_type: DataType) -> Expr {
        Expr { kind: ExprKind::Column(at), data_type, span: Span::default() }
    }

    fn spec(kind: MetricKind, labels: &[&str]) -> MetricSpec {
        let label = |name: &&str| MetricLabel { name: (*name).to_owned(), value: column(0, DataType::String) };
        MetricSpec {
            name: "m".to_owned(),
            help: None,
            kind,
            labels: labels.iter().map(label).collect(),
            field: (kind != MetricKind::Counter).then(|| column(1, DataType::Float)),
            condition: None,
            sample_rate: 1.0,
            buckets: vec![1.0, 10.0],
        }
    }

    /// Rows of one shard from offset `at` on.
    fn rows(at: i64, labels: &[Option<&str>], values: &[f64]) -> Batch {
        let values = Column::Float(values.to_vec().into());
        Batch::new(vec![Column::strs(labels.iter().copied()), values], labels.len(), RowMeta::plain(SourceId(0), 0, at))
    }

    fn counted(spec: &MetricSpec, batches: Vec<Batch>) -> Vec<SeriesPart> {
        let mut metrics = Metrics::new(3, std::slice::from_ref(spec), EvalContext::default());
        for batch in batches {
            let (mut dead, mut counters) = (Vec::new(), NodeCounters::default());
            let mut cx =
                OpCx { now_ns: 0, batch_rows: 8, dead: &mut dead, counters: &mut counters, spare: &mut Vec::new() };
            let given = batch.rows;
            metrics.push(0, Msg::Batch(batch), &mut cx).expect("it takes rows");
            let Ok(Some(Msg::Batch(passed))) = metrics.pull(&mut cx) else { panic!("rows pass") };
            assert_eq!(passed.rows, given);
        }
        metrics.series()
    }

    #[test]
    fn rows_are_counted_by_label() {
        let series = counted(
            &spec(MetricKind::Counter, &["k"]),
            vec![rows(0, &[Some("a"), None, Some("b\n")], &[0.0; 3]), rows(3, &[Some("a")], &[0.0])],
        );
        let told: Vec<(&str, u64)> = series.iter().map(|s| (s.labels[0].as_str(), s.point.count)).collect();
        assert_eq!(told, [("", 1), ("a", 2), ("b ", 1)]);
        assert!(series.iter().all(|s| (s.sink, s.metric) == (3, 0)));
    }

    #[test]
    fn rows_taken_back_do_not_count() {
        let mut batch = rows(0, &[Some("a"), Some("a")], &[1.0, 2.0]);
        batch.meta.weight = Some(vec![-1i8, 1].into());
        let series = counted(&spec(MetricKind::Counter, &[]), vec![batch]);
        assert_eq!(series[0].point.count, 1);
    }

    #[test]
    fn a_counter_begins_at_zero() {
        assert_eq!(counted(&spec(MetricKind::Counter, &[]), Vec::new()).len(), 1);
        assert_eq!(counted(&spec(MetricKind::Counter, &["k"]), Vec::new()).len(), 0);
        assert_eq!(counted(&spec(MetricKind::Gauge, &[]), Vec::new()).len(), 0);
    }

    #[test]
    fn of_a_gauge_the_last_row_by_order_stands() {
        let spec = spec(MetricKind::Gauge, &[]);
        let late_first = vec![rows(7, &[None], &[7.0]), rows(2, &[None, None], &[2.0, f64::NAN])];
        let mut one = counted(&spec, late_first).remove(0).point;
        assert_eq!(one.last.map(|(_, value)| value), Some(7.0));
        let other = counted(&spec, vec![rows(9, &[None], &[9.0])]).remove(0).point;
        let mut reversed = other.clone();
        reversed.add(&one);
        one.add(&other);
        assert_eq!((one.last, one.last.map(|(_, value)| value)), (reversed.last, Some(9.0)));
    }

    #[test]
    fn a_histogram_sorts_values_into_buckets() {
        let spec = spec(MetricKind::Histogram, &[]);
        let mut one = counted(&spec, vec![rows(0, &[None; 4], &[0.1, 1.0, 1.5, 11.0])]).remove(0).point;
        assert_eq!((one.count, one.buckets.as_slice(), one.sum()), (4, [2, 1, 1].as_slice(), 13.6));
        let other = counted(&spec, vec![rows(4, &[None], &[0.2])]).remove(0).point;
        one.add(&other);
        assert_eq!((one.count, one.buckets.as_slice(), one.sum()), (5, [3, 1, 1].as_slice(), 13.8));
    }

    #[test]
    fn a_sample_is_about_that_share_of_the_rows() {
        let spec = MetricSpec { sample_rate: 0.25, ..spec(MetricKind::Counter, &[]) };
        let batches = || vec![rows(0, &[None; 1_000], &[0.0; 1_000])];
        let count = counted(&spec, batches())[0].point.count;
        assert!((150..350).contains(&count), "{count}");
        let one_by_one = (0..1_000).map(|at| rows(at, &[None], &[0.0])).collect();
        assert_eq!(counted(&spec, one_by_one)[0].point.count, count);
    }
}
