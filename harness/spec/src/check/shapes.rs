//! `distribution`: mean, deviation and bounds of a field's numbers. They are folded in one pass (Welford), none is kept.

use crate::assertion::DistributionType as Type;
use crate::check::columns::Columns;
use crate::check::number::Number;
use crate::check::outcomes::{Case, counted, listed};
use crate::check::rows::Offenders;
use crate::check::{Facts, Fold};
use crate::outcome::Outcome;
use crate::record::Record;
use crate::record_text::float_text;

/// What a mean or a deviation may be off besides its share.
const SLACK: f64 = 1e-6;

/// What is asked of the values.
pub(crate) struct Shape {
    pub(crate) mean: Option<f64>,
    pub(crate) std_dev: Option<f64>,
    pub(crate) min_value: Option<f64>,
    pub(crate) max_value: Option<f64>,
    /// How far each may be off, as a share of it.
    pub(crate) tolerance: f64,
}

pub(crate) struct Distribution {
    case: Case,
    field: String,
    kind: Type,
    shape: Shape,
    min_records: u64,
    columns: Columns,
    count: u64,
    mean: f64,
    squares: f64,
    least: f64,
    greatest: f64,
    /// Values no exponential distribution has.
    negatives: Offenders,
}

impl Distribution {
    pub(crate) fn new(case: Case, field: String, kind: Type, shape: Shape, min_records: u64) -> Distribution {
        Distribution {
            case,
            field,
            kind,
            shape,
            min_records,
            columns: Columns::default(),
            count: 0,
            mean: 0.0,
            squares: 0.0,
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
            negatives: Offenders::default(),
        }
    }

    /// Bounds that do not hold, as (what, wanted, found).
    fn broken(&self, deviation: f64) -> Vec<(&'static str, String, f64)> {
        let Shape { mean, std_dev, min_value, max_value, tolerance } = &self.shape;
        let mut broken = Vec::new();
        for (what, wanted, found) in [("mean", mean, self.mean), ("standard deviation", std_dev, deviation)] {
            if let Some(wanted) = wanted
                && (found - wanted).abs() > wanted.abs() * tolerance + SLACK
            {
                let slack = float_text(rounded(wanted.abs() * tolerance));
                broken.push((what, format!("{} ± {slack}", float_text(*wanted)), found));
            }
        }
        if let Some(min) = min_value
            && self.least < min - min.abs() * tolerance
        {
            broken.push(("least value", format!("at least {}", float_text(*min)), self.least));
        }
        if let Some(max) = max_value
            && self.greatest > max + max.abs() * tolerance
        {
            broken.push(("greatest value", format!("at most {}", float_text(*max)), self.greatest));
        }
        broken
    }
}

/// Six digits behind the point are enough to read.
fn rounded(x: f64) -> f64 {
    let scaled = (x * 1e6).round() / 1e6;
    if scaled.is_finite() { scaled } else { x }
}

impl Fold for Distribution {
    fn record(&mut self, record: &Record<'_>) {
        let Some(row) = record.row else { return };
        let Some(number) = row.get(&self.field).and_then(Number::of_text_too) else {
            self.columns.add(row);
            return;
        };
        let x = number.float();
        self.count += 1;
        let before = x - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (x - self.mean);
        self.least = self.least.min(x);
        self.greatest = self.greatest.max(x);
        if self.kind == Type::Exponential && x < 0.0 {
            self.negatives.add(record, || vec![Offenders::cell_for(row, &self.field, "at least 0")]);
        }
    }

    fn finish(mut self: Box<Self>, _: &Facts<'_>) -> Outcome {
        let deviation = if self.count == 0 { 0.0 } else { (self.squares / self.count as f64).sqrt() };
        let (case, sink, field) = (&self.case, &self.case.sink, &self.field);
        let values = counted(self.count, "value");
        if self.count < self.min_records {
            let message = format!("{values} of {field} in {sink} are too few to judge");
            let near = self.columns.near(field);
            let warning =
                format!("{} are needed to judge a distribution, there are {}{near}", self.min_records, self.count);
            return case.passed(message).detail("values", self.count).warn(warning);
        }
        let shape = match self.kind {
            Type::Normal => "normal",
            Type::Uniform => "uniform",
            Type::Exponential => "exponential",
            Type::Custom => "as given",
        };
        let broken = self.broken(deviation);
        let negatives = self.negatives.count();
        let mut outcome = if broken.is_empty() && negatives == 0 {
            let figures =
                format!("mean {}, deviation {}", float_text(rounded(self.mean)), float_text(rounded(deviation)));
            case.passed(format!("{field} in {sink} is {shape} ({values}, {figures})"))
        } else {
            let mut wrong: Vec<String> =
                broken.iter().map(|(what, _, found)| format!("{what} {}", float_text(rounded(*found)))).collect();
            let mut wanted: Vec<String> = broken.iter().map(|(what, wanted, _)| format!("{what} {wanted}")).collect();
            if negatives > 0 {
                wrong.push(counted(negatives, "negative value"));
                wanted.push("no negative values".to_owned());
            }
            case.failed(
                format!("{field} in {sink} is not {shape}: {}", listed(&wrong)),
                listed(&wanted),
                listed(&wrong),
            )
        };
        for (name, figure) in [("mean", self.mean), ("std_dev", deviation), ("min", self.least), ("max", self.greatest)]
        {
            outcome = outcome.detail(name, rounded(figure));
        }
        let outcome = outcome.detail("values", self.count);
        let negatives = std::mem::take(&mut self.negatives);
        outcome.with_rows(negatives)
    }
}
