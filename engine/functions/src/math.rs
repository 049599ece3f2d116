//! Functions over floats: powers, logarithms, angles. Exact arguments become floats first. Where a function is not
//! defined its record fails; a result too large for a float is infinite.

use velostream_types::Column;
use velostream_types::decimal::float_text;

use crate::call::{Call, Fail, Outcome};
use crate::function::{Function, Group, Param, Returns};

const ONE: &[Param] = &[Param::Float];
const TWO: &[Param] = &[Param::Float, Param::Float];

/// A function of one float that is defined everywhere.
macro_rules! plain {
    ($name:literal, $kernel:expr, $doc:literal, $examples:expr) => {
        Function::new($name, Group::Math, ONE, Returns::Float, |call| each(call, |x| Ok(Some($kernel(x))))).doc(
            concat!($name, "(x)"),
            $doc,
            $examples,
        )
    };
}

/// A function of one float that is defined but where `$refused` holds.
macro_rules! partial {
    ($name:literal, $refused:expr, $kernel:expr, $doc:literal, $examples:expr) => {
        Function::new($name, Group::Math, ONE, Returns::Float, |call| {
            each(call, |x| within($name, x, $refused, $kernel))
        })
        .fails()
        .doc(concat!($name, "(x)"), $doc, $examples)
    };
}

/// The group's entries.
pub const FUNCTIONS: &[Function] = &[
    Function::new("POWER", Group::Math, TWO, Returns::Float, power).or(&["POW"]).fails().doc(
        "POWER(x, y)",
        "x to the power of y.",
        &[
            ("POWER(2, 10)", "1024.0"),
            ("POWER(4, 0.5)", "2.0"),
            ("POWER(-2, 3)", "-8.0"),
            ("POWER(0, 0)", "1.0"),
            ("POWER(-8, 0.5)", "error: POWER of -8.0 and 0.5 is not defined"),
        ],
    ),
    partial!(
        "SQRT",
        |x| x < 0.0,
        f64::sqrt,
        "Square root.",
        &[
            ("SQRT(2.25)", "1.5"),
            ("SQRT(0)", "0.0"),
            ("SQRT(-1)", "error: SQRT of -1.0 is not defined"),
            ("SQRT(NULL)", "NULL"),
        ]
    ),
    plain!("CBRT", f64::cbrt, "Cube root.", &[("CBRT(27)", "3.0"), ("CBRT(-8)", "-2.0")]),
    plain!("EXP", f64::exp, "e to the power of x.", &[("EXP(0)", "1.0"), ("ROUND(EXP(1), 6)", "2.718282")]),
    partial!(
        "LN",
        |x| x <= 0.0,
        f64::ln,
        "Natural logarithm.",
        &[("LN(1)", "0.0"), ("ROUND(LN(10), 6)", "2.302585"), ("LN(0)", "error: LN of 0.0 is not defined"),]
    ),
    Function::new("LOG", Group::Math, TWO, Returns::Float, log).optional(1).fails().doc(
        "LOG([base, ]x)",
        "Logarithm to the base; the natural one without it.",
        &[
            ("LOG(1)", "0.0"),
            ("LOG(2, 8)", "3.0"),
            ("LOG(10, 1000)", "3.0"),
            ("LOG(-1)", "error: LOG of -1.0 is not defined"),
            ("LOG(1, 5)", "error: LOG to the base 1.0 is not defined"),
        ],
    ),
    partial!(
        "LOG10",
        |x| x <= 0.0,
        f64::log10,
        "Logarithm to the base 10.",
        &[("LOG10(1000)", "3.0"), ("LOG10(0.01)", "-2.0"), ("LOG10(-1)", "error: LOG10 of -1.0 is not defined"),]
    ),
    plain!("SIN", f64::sin, "Sine of an angle in radians.", &[("SIN(0)", "0.0"), ("ROUND(SIN(1), 6)", "0.841471")]),
    plain!("COS", f64::cos, "Cosine of an angle in radians.", &[("COS(0)", "1.0")]),
    plain!("TAN", f64::tan, "Tangent of an angle in radians.", &[("TAN(0)", "0.0"), ("ROUND(TAN(1), 6)", "1.557408")]),
    partial!(
        "ASIN",
        |x: f64| x.abs() > 1.0,
        f64::asin,
        "The angle, in radians, of this sine.",
        &[("ROUND(ASIN(1), 6)", "1.570796"), ("ASIN(2)", "error: ASIN of 2.0 is not defined"),]
    ),
    partial!(
        "ACOS",
        |x: f64| x.abs() > 1.0,
        f64::acos,
        "The angle, in radians, of this cosine.",
        &[("ACOS(1)", "0.0"), ("ACOS(-1.5)", "error: ACOS of -1.5 is not defined"),]
    ),
    plain!("ATAN", f64::atan, "The angle, in radians, of this tangent.", &[("ROUND(ATAN(1), 6)", "0.785398")]),
    Function::new("ATAN2", Group::Math, TWO, Returns::Float, atan2).doc(
        "ATAN2(y, x)",
        "The angle, in radians, of the point (x, y).",
        &[("ROUND(ATAN2(1, -1), 6)", "2.356194"), ("ATAN2(0, 1)", "0.0")],
    ),
    plain!("DEGREES", f64::to_degrees, "An angle in radians as degrees.", &[("DEGREES(PI())", "180.0")]),
    plain!("RADIANS", f64::to_radians, "An angle in degrees as radians.", &[("ROUND(RADIANS(180), 6)", "3.141593")]),
    Function::new("PI", Group::Math, &[], Returns::Float, pi).doc(
        "PI()",
        "The ratio of a circle's circumference to its diameter.",
        &[("PI()", "3.141592653589793")],
    ),
];

fn each(call: &mut Call<'_>, f: fn(f64) -> Outcome<f64>) -> Column {
    let x = call.args.float(0);
    call.floats(|row| f(x.at(row)))
}

fn within(name: &str, x: f64, refused: fn(f64) -> bool, f: fn(f64) -> f64) -> Outcome<f64> {
    if refused(x) { Err(Fail::domain(format!("{name} of {} is not defined", float_text(x)))) } else { Ok(Some(f(x))) }
}

fn power(call: &mut Call<'_>) -> Column {
    let (x, y) = (call.args.float(0), call.args.float(1));
    call.floats(|row| {
        let (x, y) = (x.at(row), y.at(row));
        let fraction = x < 0.0 && y.is_finite() && y.fract() != 0.0;
        if fraction || (x == 0.0 && y < 0.0) {
            let message = format!("POWER of {} and {} is not defined", float_text(x), float_text(y));
            return Err(Fail::domain(message));
        }
        Ok(Some(x.powf(y)))
    })
}

fn log(call: &mut Call<'_>) -> Column {
    let last = call.args.len() - 1;
    let x = call.args.float(last);
    let base = (last > 0).then(|| call.args.float(0));
    call.floats(|row| {
        let Some(base) = base.as_ref().map(|base| base.at(row)) else {
            return within("LOG", x.at(row), |x| x <= 0.0, f64::ln);
        };
        if base <= 0.0 || base == 1.0 {
            return Err(Fail::domain(format!("LOG to the base {} is not defined", float_text(base))));
        }
        within("LOG", x.at(row), |x| x <= 0.0, f64::ln).map(|natural| match base {
            2.0 => Some(x.at(row).log2()),
            10.0 => Some(x.at(row).log10()),
            _ => natural.map(|natural| natural / base.ln()),
        })
    })
}

fn atan2(call: &mut Call<'_>) -> Column {
    let (y, x) = (call.args.float(0), call.args.float(1));
    call.floats(|row| Ok(Some(y.at(row).atan2(x.at(row)))))
}

fn pi(call: &mut Call<'_>) -> Column {
    call.floats(|_| Ok(Some(std::f64::consts::PI)))
}
