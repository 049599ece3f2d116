//! Numbers over a range: integers, floats and decimals, drawn evenly, normally, log-normally or by Zipf's law.
//!
//! Integers and decimals are drawn as whole numbers (a decimal's digits without the point), so both ends of a range come
//! up and no decimal passes through a float's text. Samples of the continuous laws are rounded to the field's digits and
//! moved to the range's ends.

use velostream_types::{Value, decimal};

use super::random::Random;

/// What a number becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Integer,
    Float,
    /// With so many digits behind the point.
    Decimal(u8),
}

/// A range in a field's own form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Range {
    /// Integers, or decimals without their point; both ends included.
    Whole(i128, i128),
    Float(f64, f64),
}

/// `x` in units of 10^-scale, rounded half away from zero; `None` beyond 38 digits.
pub(super) fn mantissa_of(x: f64, scale: u8) -> Option<i128> {
    let scaled = (x * 10f64.powi(i32::from(scale))).round();
    (scaled.abs() < decimal::MAX as f64).then_some(scaled as i128)
}

impl Form {
    /// The part of a range that values of this form can have; `None` if there is none.
    pub fn range(self, (low, high): (f64, f64)) -> Option<Range> {
        match self {
            Form::Float => (low <= high && low.is_finite() && high.is_finite()).then_some(Range::Float(low, high)),
            Form::Integer => {
                let end = |x: f64| x.is_finite().then_some(i128::from(x as i64));
                let (low, high) = (end(low.ceil())?, end(high.floor())?);
                (low <= high).then_some(Range::Whole(low, high))
            }
            Form::Decimal(scale) => {
                let (low, high) = (units(low, scale, true)?, units(high, scale, false)?);
                (low <= high).then_some(Range::Whole(low, high))
            }
        }
    }

    /// All values of this form.
    pub fn everything(self) -> Range {
        match self {
            Form::Integer => Range::Whole(i128::from(i64::MIN), i128::from(i64::MAX)),
            Form::Decimal(_) => Range::Whole(-decimal::MAX, decimal::MAX),
            Form::Float => Range::Float(f64::MIN, f64::MAX),
        }
    }

    /// Digits behind the point of whole units.
    fn scale(self) -> u8 {
        match self {
            Form::Decimal(scale) => scale,
            Form::Integer | Form::Float => 0,
        }
    }

    /// So many units as a value.
    fn of_units(self, units: i128) -> Value {
        match self {
            Form::Decimal(scale) => Value::Decimal { mantissa: units, scale },
            Form::Integer | Form::Float => Value::Int(units as i64),
        }
    }

    /// The value nearest to `x` within the range.
    pub fn nearest(self, x: f64, range: Range) -> Value {
        match range {
            Range::Float(low, high) => Value::Float(x.clamp(low, high)),
            Range::Whole(low, high) => {
                let beyond = if x < 0.0 { low } else { high };
                self.of_units(mantissa_of(x, self.scale()).unwrap_or(beyond).clamp(low, high))
            }
        }
    }

    /// The `nth` of `count` values that stand evenly from the low end to the high one.
    pub fn evenly(self, range: Range, nth: u64, count: u64) -> Value {
        let last = count.saturating_sub(1).max(1);
        match range {
            Range::Float(low, high) => {
                let share = nth as f64 / last as f64;
                Value::Float((low * (1.0 - share) + high * share).clamp(low, high))
            }
            Range::Whole(low, high) => self.of_units(between_evenly(low, high, nth, last)),
        }
    }
}

/// `low` and `nth` of `last` steps towards `high`, without the overflow that `(high - low) * nth` may have.
pub(super) fn between_evenly(low: i128, high: i128, nth: u64, last: u64) -> i128 {
    let (span, nth, last) = (high.saturating_sub(low), i128::from(nth), i128::from(last.max(1)));
    low + span / last * nth + span % last * nth / last
}

/// A bound of a range in units of 10^-scale, rounded inwards. Read from the float's shortest text, so that 0.07 is
/// exactly 7 hundredths.
fn units(x: f64, scale: u8, upwards: bool) -> Option<i128> {
    if !x.is_finite() {
        return None;
    }
    let text = format!("{x}");
    let Some((mantissa, digits)) = decimal::from_text(&text) else {
        // More than 38 digits: as far as a decimal goes.
        return Some(if x.abs() < 1.0 { 0 } else { decimal::MAX * x.signum() as i128 });
    };
    if digits <= scale {
        return Some(decimal::rescale(mantissa, digits, scale).unwrap_or(decimal::MAX * mantissa.signum()));
    }
    let one = decimal::pow10(digits - scale);
    Some(if upwards { -(-mantissa).div_euclid(one) } else { mantissa.div_euclid(one) })
}

/// How numbers are spread.
#[derive(Clone, Debug)]
pub(super) enum Law {
    Uniform,
    Normal { mean: f64, std_dev: f64 },
    LogNormal { mean: f64, std_dev: f64 },
    Zipf(Zipf),
}

/// Numbers of one form and range.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pub form: Form,
    pub range: Range,
    pub law: Law,
}

impl Numbers {
    pub fn draw(&self, random: &mut Random) -> Value {
        match (&self.law, self.range) {
            (Law::Uniform, Range::Whole(low, high)) => self.form.of_units(random.between(low, high)),
            (Law::Uniform, Range::Float(low, high)) => Value::Float(random.float(low, high)),
            (Law::Normal { mean, std_dev }, range) => self.form.nearest(mean + std_dev * random.normal(), range),
            (Law::LogNormal { mean, std_dev }, range) => {
                self.form.nearest((mean + std_dev * random.normal()).exp(), range)
            }
            (Law::Zipf(zipf), Range::Whole(low, high)) if self.form == Form::Integer => {
                Value::Int((low + i128::from(zipf.rank(random)) - 1).clamp(low, high) as i64)
            }
            (Law::Zipf(zipf), range) => self.form.nearest(zipf.low + zipf.beyond(random), range),
        }
    }
}

/// Zipf's law over a range: a value that lies `d` above the least comes up in proportion to `1 / (1 + d)^exponent`.
#[derive(Clone, Debug)]
pub(super) struct Zipf {
    /// The least value.
    low: f64,
    exponent: f64,
    /// Number of ranks, or length of the range and 1.
    ranks: f64,
    /// Bounds of what is inverted, and how near to a rank a sample is taken without a second look.
    first: f64,
    last: f64,
    near: f64,
}

impl Zipf {
    /// The law of a range; the exponent is above 0.
    pub fn new(form: Form, range: Range, exponent: f64) -> Zipf {
        let (low, high) = match range {
            Range::Float(low, high) => (low, high),
            Range::Whole(low, high) => (decimal::to_float(low, form.scale()), decimal::to_float(high, form.scale())),
        };
        let mut zipf =
            Zipf { low, exponent, ranks: (high - low + 1.0).min(f64::MAX / 4.0), first: 0.0, last: 0.0, near: 0.0 };
        zipf.first = zipf.area(1.5) - 1.0;
        zipf.last = zipf.area(zipf.ranks + 0.5);
        zipf.near = 2.0 - zipf.inverse(zipf.area(2.5) - zipf.weight(2.0));
        zipf
    }

    fn weight(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// Area under the weights from 1 to `x`; `exp_m1` keeps it exact where the exponent is near 1.
    fn area(&self, x: f64) -> f64 {
        let log = x.ln();
        let power = (1.0 - self.exponent) * log;
        if power.abs() < 1e-12 { log } else { power.exp_m1() / power * log }
    }

    /// Where the area is so large.
    fn inverse(&self, area: f64) -> f64 {
        let power = (area * (1.0 - self.exponent)).max(-1.0);
        if power.abs() < 1e-12 { area.exp() } else { (power.ln_1p() / power * area).exp() }
    }

    /// A rank from 1 (rejection-inversion, Hörmann and Derflinger 1996): a point under the continuous curve is inverted,
    /// and refused where the curve is above the step.
    fn rank(&self, random: &mut Random) -> i64 {
        loop {
            let area = self.last + random.unit() * (self.first - self.last);
            let x = self.inverse(area);
            let rank = x.round().clamp(1.0, self.ranks);
            if rank - x <= self.near || area >= self.area(rank + 0.5) - self.weight(rank) {
                return rank as i64;
            }
        }
    }

    /// How far above the least value, by the continuous law.
    fn beyond(&self, random: &mut Random) -> f64 {
        self.inverse(random.unit() * self.area(self.ranks)) - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 100_000;

    fn draw(form: Form, range: (f64, f64), law: Law) -> Vec<Value> {
        let numbers = Numbers { form, range: form.range(range).expect("a range"), law };
        let mut random = Random::of(5, &[]);
        (0..N).map(|_| numbers.draw(&mut random)).collect()
    }

    fn float(value: &Value) -> f64 {
        match value {
            Value::Int(n) => *n as f64,
            Value::Float(x) => *x,
            Value::Decimal { mantissa, scale } => decimal::to_float(*mantissa, *scale),
            other => panic!("no number: {other:?}"),
        }
    }

    fn moments(values: &[Value]) -> (f64, f64) {
        let floats: Vec<f64> = values.iter().map(float).collect();
        let mean = floats.iter().sum::<f64>() / floats.len() as f64;
        let variance = floats.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / floats.len() as f64;
        (mean, variance.sqrt())
    }

    fn near(got: f64, wanted: f64, relative: f64) {
        assert!((got - wanted).abs() <= wanted.abs() * relative, "{got}, not {wanted}");
    }

    #[test]
    fn ranges_are_those_of_the_form() {
        assert_eq!(Form::Integer.range((0.5, 3.9)), Some(Range::Whole(1, 3)));
        assert_eq!(Form::Integer.range((-0.5, 0.5)), Some(Range::Whole(0, 0)));
        assert_eq!(Form::Integer.range((0.1, 0.9)), None);
        assert_eq!(Form::Decimal(2).range((0.07, 1.29)), Some(Range::Whole(7, 129)));
        assert_eq!(Form::Decimal(1).range((0.07, 1.29)), Some(Range::Whole(1, 12)));
        assert_eq!(Form::Decimal(1).range((-1.29, -0.07)), Some(Range::Whole(-12, -1)));
        assert_eq!(Form::Decimal(1).range((0.01, 0.09)), None);
        assert_eq!(Form::Decimal(2).range((-1e300, 1e300)), Some(Range::Whole(-decimal::MAX, decimal::MAX)));
        assert_eq!(Form::Float.range((1.0, 0.0)), None);
        assert_eq!(Form::Float.range((f64::NAN, 0.0)), None);
    }

    #[test]
    fn uniform_numbers_fill_their_range() {
        let integers = draw(Form::Integer, (1.0, 6.0), Law::Uniform);
        for face in 1..=6 {
            let share = integers.iter().filter(|v| **v == Value::Int(face)).count() as f64 / N as f64;
            near(share, 1.0 / 6.0, 0.05);
        }
        let decimals = draw(Form::Decimal(2), (0.01, 0.04), Law::Uniform);
        for mantissa in 1..=4 {
            let share = decimals.iter().filter(|v| **v == Value::Decimal { mantissa, scale: 2 }).count() as f64;
            near(share / N as f64, 0.25, 0.05);
        }
        let (mean, std_dev) = moments(&draw(Form::Float, (10.0, 20.0), Law::Uniform));
        near(mean, 15.0, 0.01);
        near(std_dev, 10.0 / 12f64.sqrt(), 0.01);
    }

    #[test]
    fn normal_numbers_have_mean_and_deviation_and_stay_in_range() {
        for form in [Form::Float, Form::Decimal(4), Form::Integer] {
            let (mean, std_dev) = moments(&draw(form, (0.0, 1_000.0), Law::Normal { mean: 500.0, std_dev: 50.0 }));
            near(mean, 500.0, 0.01);
            near(std_dev, 50.0, 0.02);
        }
        let clamped = draw(Form::Integer, (45.0, 55.0), Law::Normal { mean: 50.0, std_dev: 50.0 });
        assert!(clamped.iter().all(|v| (45.0..=55.0).contains(&float(v))));
        assert!(clamped.contains(&Value::Int(45)) && clamped.contains(&Value::Int(55)));
    }

    #[test]
    fn log_normal_numbers_have_a_normal_logarithm() {
        let values = draw(Form::Float, (0.0, 1e9), Law::LogNormal { mean: 2.0, std_dev: 0.5 });
        let logs: Vec<Value> = values.iter().map(|v| Value::Float(float(v).ln())).collect();
        let (mean, std_dev) = moments(&logs);
        near(mean, 2.0, 0.01);
        near(std_dev, 0.5, 0.02);
    }

    #[test]
    fn ranks_follow_zipfs_law() {
        for exponent in [0.5, 1.0, 1.5, 3.0] {
            let range = Form::Integer.range((10.0, 109.0)).expect("a range");
            let law = Law::Zipf(Zipf::new(Form::Integer, range, exponent));
            let values = draw(Form::Integer, (10.0, 109.0), law);
            let total: f64 = (1..=100).map(|k| f64::from(k).powf(-exponent)).sum();
            for rank in [1, 2, 5] {
                let share = values.iter().filter(|v| **v == Value::Int(9 + rank)).count() as f64 / N as f64;
                near(share, (rank as f64).powf(-exponent) / total, 0.12);
            }
            assert!(values.iter().all(|v| (10.0..=109.0).contains(&float(v))));
        }
        let one = draw(Form::Integer, (7.0, 7.0), Law::Zipf(Zipf::new(Form::Integer, Range::Whole(7, 7), 1.0)));
        assert!(one.iter().all(|v| *v == Value::Int(7)));
    }

    #[test]
    fn continuous_zipf_has_the_median_of_its_law() {
        for form in [Form::Float, Form::Decimal(3)] {
            let range = form.range((0.0, 99.0)).expect("a range");
            let mut values: Vec<f64> =
                draw(form, (0.0, 99.0), Law::Zipf(Zipf::new(form, range, 1.0))).iter().map(float).collect();
            values.sort_by(f64::total_cmp);
            // With exponent 1 the area grows with the logarithm: half of it lies below the root of 100.
            near(values[N / 2] + 1.0, 10.0, 0.03);
        }
    }

    #[test]
    fn even_numbers_begin_and_end_at_the_ends() {
        let range = Range::Whole(0, 10);
        let taken: Vec<Value> = (0..5).map(|i| Form::Integer.evenly(range, i, 5)).collect();
        assert_eq!(taken, [0, 2, 5, 7, 10].map(Value::Int));
        assert_eq!(Form::Integer.evenly(range, 0, 1), Value::Int(0));
        assert_eq!(Form::Float.evenly(Range::Float(1.0, 2.0), 1, 3), Value::Float(1.5));
        assert!(between_evenly(-decimal::MAX, decimal::MAX, 1, 1) > decimal::MAX / 2);
        assert_eq!(between_evenly(-decimal::MAX / 2, decimal::MAX / 2, u64::MAX, u64::MAX), decimal::MAX / 2);
    }
}
