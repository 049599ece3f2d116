//! Metrics of a run: what the shards counted, put together by series.
//!
//! Series stand in order of sinks, of their metrics as written, and of label values. They are of one run: nothing of them
//! is kept in checkpoints.

use std::collections::BTreeMap;

use serde::Serialize;
use velostream_exec::op::metrics::Point;
use velostream_sql::plan::{AppPlan, MetricKind, MetricSpec};

use crate::driver::LaneReport;

/// One series of a metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricSeries {
    /// Name of the metric.
    pub name: String,
    /// Names and values of its labels.
    pub labels: Vec<(String, String)>,
    /// What the metric is.
    #[serde(serialize_with = "word")]
    pub kind: MetricKind,
    /// Rows of a counter, last value of a gauge, number of a histogram's values.
    pub value: f64,
    /// A histogram's values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histogram: Option<HistogramReport>,
    /// Text for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Values of a histogram.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistogramReport {
    /// How many.
    pub count: u64,
    /// Their sum, to a billionth.
    pub sum: f64,
    /// Upper bounds with the number of values that do not exceed them; values beyond all bounds are in `count` only.
    pub buckets: Vec<(f64, u64)>,
}

fn word<S: serde::Serializer>(kind: &MetricKind, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    })
}

/// The series of all shards together.
pub(super) fn series(plan: &AppPlan, lanes: &[LaneReport]) -> Vec<MetricSeries> {
    let mut points: BTreeMap<(usize, usize, &[String]), Point> = BTreeMap::new();
    for part in lanes.iter().flat_map(|lane| &lane.series) {
        let known = points.entry((part.sink, part.metric, &part.labels));
        known.and_modify(|point| point.add(&part.point)).or_insert_with(|| part.point.clone());
    }
    let told = |((sink, metric, labels), point): (&(usize, usize, &[String]), &Point)| {
        let spec = plan.sinks.get(*sink)?.metrics.get(*metric)?;
        Some(told(spec, labels, point))
    };
    points.iter().filter_map(told).collect()
}

fn told(spec: &MetricSpec, labels: &[String], point: &Point) -> MetricSeries {
    let names = spec.labels.iter().map(|label| label.name.clone());
    MetricSeries {
        name: spec.name.clone(),
        labels: names.zip(labels.iter().cloned()).collect(),
        kind: spec.kind,
        value: match spec.kind {
            MetricKind::Gauge => point.last.map_or(0.0, |(_, value)| value),
            MetricKind::Counter | MetricKind::Histogram => point.count as f64,
        },
        histogram: (spec.kind == MetricKind::Histogram).then(|| histogram(spec, point)),
        help: spec.help.clone(),
    }
}

fn histogram(spec: &MetricSpec, point: &Point) -> HistogramReport {
    let mut below = 0;
    let bucket = |(bound, count): (&f64, &u64)| {
        below += count;
        (*bound, below)
    };
    let buckets = spec.buckets.iter().zip(&point.buckets).map(bucket).collect();
    HistogramReport { count: point.count, sum: point.sum(), buckets }
}

/// Adds what an earlier life of the same run counted.
pub(super) fn go_on(own: &mut Vec<MetricSeries>, earlier: &[MetricSeries]) {
    for before in earlier {
        let Some(now) = own.iter_mut().find(|now| now.name == before.name && now.labels == before.labels) else {
            own.push(before.clone());
            continue;
        };
        if now.kind == MetricKind::Gauge {
            continue;
        }
        now.value += before.value;
        if let (Some(now), Some(before)) = (&mut now.histogram, &before.histogram) {
            now.count += before.count;
            now.sum += before.sum;
            now.buckets.iter_mut().zip(&before.buckets).for_each(|(now, before)| now.1 += before.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(value: f64, kind: MetricKind, region: &str) -> MetricSeries {
        let histogram = HistogramReport { count: 2, sum: 1.5, buckets: vec![(1.0, 1), (2.0, 2)] };
        MetricSeries {
            name: "m".to_owned(),
            labels: vec![("region".to_owned(), region.to_owned())],
            kind,
            value,
            histogram: (kind == MetricKind::Histogram).then_some(histogram),
            help: None,
        }
    }

    #[test]
    fn lives_of_a_run_add_up() {
        let mut own = vec![series(2.0, MetricKind::Counter, "a")];
        go_on(&mut own, &[series(3.0, MetricKind::Counter, "a"), series(1.0, MetricKind::Counter, "b")]);
        assert_eq!(own, [series(5.0, MetricKind::Counter, "a"), series(1.0, MetricKind::Counter, "b")]);
        let mut own = vec![series(2.0, MetricKind::Gauge, "a")];
        go_on(&mut own, &[series(3.0, MetricKind::Gauge, "a")]);
        assert_eq!(own[0].value, 2.0);
        let mut own = vec![series(2.0, MetricKind::Histogram, "a")];
        go_on(&mut own, &[series(2.0, MetricKind::Histogram, "a")]);
        let sum = HistogramReport { count: 4, sum: 3.0, buckets: vec![(1.0, 2), (2.0, 4)] };
        assert_eq!((own[0].value, own[0].histogram.as_ref()), (4.0, Some(&sum)));
    }
}
