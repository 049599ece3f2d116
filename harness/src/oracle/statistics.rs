//! Variances and regressions from their definitions: sums of products of deviations from the mean, as exact fractions,
//! rounded to a float once at the end.

use num_bigint::{BigInt, Sign};
use velostream_sql::plan::AggregateFn;
use velostream_types::Value;

use super::eval::float;
use super::number::{Number, ten};

/// A fraction; the denominator is above 0.
struct Fraction {
    over: BigInt,
    under: BigInt,
}

impl Fraction {
    /// The nearest float, read back from 60 digits of text.
    fn float(&self) -> f64 {
        let negative = self.over.sign() == Sign::Minus;
        let over = BigInt::from(self.over.magnitude().clone());
        let shift = 60 + self.under.to_string().len().saturating_sub(over.to_string().len());
        let digits = (&over * ten(shift as u32)) / &self.under;
        // A digit for what the division left decides ties.
        let rest = u8::from(&digits * &self.under != &over * ten(shift as u32));
        let text = format!("{}{digits}{rest}e-{}", if negative { "-" } else { "" }, shift + 1);
        text.parse().unwrap_or(f64::NAN)
    }

    fn is_zero(&self) -> bool {
        self.over == BigInt::ZERO
    }
}

/// The exact value of a number of any kind; `None` for what is not finite.
fn exact(value: &Value) -> Option<Number> {
    let Value::Float(x) = value else { return Number::of(value) };
    if !x.is_finite() {
        return None;
    }
    let bits = x.to_bits();
    let raw = ((bits >> 52) & 0x7ff) as i32;
    let fraction = BigInt::from(bits & ((1 << 52) - 1));
    let (digits, power) = if raw == 0 { (fraction, -1074) } else { (fraction + BigInt::from(1u64 << 52), raw - 1075) };
    let digits = if x.is_sign_negative() { -digits } else { digits };
    Some(if power >= 0 {
        Number { units: digits << power, scale: 0 }
    } else {
        let places = power.unsigned_abs();
        Number { units: digits * BigInt::from(5).pow(places), scale: places }
    })
}

/// Numbers brought to one scale.
fn at_one_scale(values: &[Number]) -> (Vec<BigInt>, u32) {
    let scale = values.iter().map(|v| v.scale).max().unwrap_or(0);
    (values.iter().map(|v| &v.units * ten(scale - v.scale)).collect(), scale)
}

/// Σ (a − mean of a)(b − mean of b).
fn deviations(a: &[Number], b: &[Number]) -> Fraction {
    let ((a, a_scale), (b, b_scale)) = (at_one_scale(a), at_one_scale(b));
    let n = BigInt::from(a.len());
    let (a_sum, b_sum): (BigInt, BigInt) = (a.iter().sum(), b.iter().sum());
    let over: BigInt = a.iter().zip(&b).map(|(x, y)| (&n * x - &a_sum) * (&n * y - &b_sum)).sum();
    Fraction { over, under: &n * &n * ten(a_scale + b_scale) }
}

fn divided(fraction: Fraction, by: i64) -> f64 {
    Fraction { over: fraction.over, under: fraction.under * BigInt::from(by) }.float()
}

/// Variance or standard deviation.
pub(super) fn spread(function: AggregateFn, values: &[&Value]) -> Value {
    use AggregateFn::*;
    let count = values.len() as i64;
    let sample = matches!(function, VarSamp | StddevSamp);
    if count < 1 + i64::from(sample) {
        return Value::Null;
    }
    let numbers: Option<Vec<Number>> = values.iter().map(|v| exact(v)).collect();
    let Some(numbers) = numbers else { return Value::Float(f64::NAN) };
    let variance = divided(deviations(&numbers, &numbers), count - i64::from(sample));
    Value::Float(if matches!(function, StddevSamp | StddevPop) { variance.sqrt() } else { variance })
}

/// A statistic of pairs (y, x).
pub(super) fn of_pairs(function: AggregateFn, pairs: &[[Value; 2]]) -> Value {
    use AggregateFn::*;
    let count = pairs.len() as i64;
    let least = if function == CovarPop { 1 } else { 2 };
    if count < least {
        return Value::Null;
    }
    // Beside a float, an exact number counts as the nearest float.
    let floats = pairs.iter().flatten().any(|v| matches!(v, Value::Float(_)));
    let number = |v: &Value| if floats { exact(&Value::Float(float(v))) } else { exact(v) };
    let side = |i: usize| pairs.iter().map(|p| number(&p[i])).collect::<Option<Vec<Number>>>();
    let (Some(y), Some(x)) = (side(0), side(1)) else { return Value::Float(f64::NAN) };
    let (both, of_x, of_y) = (deviations(&y, &x), deviations(&x, &x), deviations(&y, &y));
    match function {
        CovarPop => return Value::Float(divided(both, count)),
        CovarSamp => return Value::Float(divided(both, count - 1)),
        _ if of_x.is_zero() => return Value::Null,
        RegrSlope => {
            let slope = Fraction { over: &both.over * &of_x.under, under: &both.under * &of_x.over };
            return Value::Float(slope.float());
        }
        RegrIntercept => {
            let ((y, y_scale), (x, x_scale)) = (at_one_scale(&y), at_one_scale(&x));
            let (y_sum, x_sum): (BigInt, BigInt) = (y.iter().sum(), x.iter().sum());
            // (Σy − slope · Σx) / n over a common denominator.
            let (slope_over, slope_under) = (&both.over * &of_x.under, &both.under * &of_x.over);
            let over = y_sum * ten(x_scale) * &slope_under - slope_over * x_sum * ten(y_scale);
            let under = ten(x_scale + y_scale) * slope_under * BigInt::from(count);
            return Value::Float(Fraction { over, under }.float());
        }
        _ if of_y.is_zero() => return Value::Null,
        _ => {}
    }
    // n times each, as the float formula has them.
    let float = |f: Fraction| Fraction { over: f.over * BigInt::from(count), under: f.under }.float();
    let r = (float(both) / (float(of_x).sqrt() * float(of_y).sqrt())).clamp(-1.0, 1.0);
    Value::Float(if function == RegrR2 { r * r } else { r })
}
