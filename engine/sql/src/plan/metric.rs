//! Metrics of a sink's rows, as `@metric` annotations say them: bound to the columns that reach the sink.

use super::Expr;
pub use crate::annotations::MetricKind;

/// One metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSpec {
    /// Its name, unique in the app.
    pub name: String,
    /// Text for people.
    pub help: Option<String>,
    /// Counter, gauge or histogram.
    pub kind: MetricKind,
    /// What tells its series apart, in the order written.
    pub labels: Vec<MetricLabel>,
    /// What is measured: a Float, Timestamp or Date; counters have none.
    pub field: Option<Expr>,
    /// Only rows for which this is TRUE are looked at.
    pub condition: Option<Expr>,
    /// Share of rows looked at, above 0 and at most 1.
    pub sample_rate: f64,
    /// Upper bounds of a histogram, ascending.
    pub buckets: Vec<f64>,
}

/// One label of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricLabel {
    /// Its name: that of the column, with `_` for the dots of a path.
    pub name: String,
    /// Its value, a text.
    pub value: Expr,
}

impl MetricSpec {
    /// Every expression of it.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.labels.iter().map(|label| &label.value).chain(&self.field).chain(&self.condition)
    }

    /// [`MetricSpec::exprs`] for changing them.
    pub fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        self.labels.iter_mut().map(|label| &mut label.value).chain(&mut self.field).chain(&mut self.condition)
    }
}
