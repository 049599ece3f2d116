//! What the harness knows of a run when its records have passed.

use std::path::{Path, PathBuf};

use crate::assertion::MetricType;
use crate::check::Context;

/// What assertions judge besides records.
pub struct Facts<'a> {
    /// Records captured from the sink.
    pub records: u64,
    /// Counts of all inputs and outputs, and the spec's variables.
    pub context: &'a Context,
    /// The run's `now`, ms.
    pub now_ms: i64,
    /// From the job's start to its last output, ms. `None`: not measured.
    pub elapsed_ms: Option<f64>,
    /// Memory of the process. `None`: not measured.
    pub memory: Option<Memory>,
    /// Dead letters of the query. `None`: not captured.
    pub dead_letters: Option<&'a [DeadLetter]>,
    /// Series of the job's metrics as they were before it stopped. `None`: metrics were off.
    pub metrics: Option<&'a [Series]>,
    /// Where a file of the spec is.
    pub files: &'a dyn Fn(&Path) -> PathBuf,
}

/// Memory of the process, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Most at a time.
    pub peak_bytes: u64,
    /// At the end beyond the beginning.
    pub growth_bytes: i64,
}

/// A record that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Topic it went to, by its logical name.
    pub topic: String,
    /// `deserialization`, `type_conversion`, …
    pub error_type: String,
}

/// A series of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The metric's name.
    pub name: String,
    /// Labels, by name.
    pub labels: Vec<(String, String)>,
    /// What the metric is.
    pub kind: MetricType,
    /// Its value; a histogram's number of observations.
    pub value: f64,
}
