//! Float arithmetic. Zero divisors are handled by the caller: NULL for `/`, an error for `%`.

use velostream_sql::plan::ArithmeticOp;

use super::lanes::{Side, map2, pair};

/// Results of `left op right` by IEEE rules.
pub(super) fn lanes(op: ArithmeticOp, left: Side<'_, f64>, right: Side<'_, f64>, n: usize) -> Vec<f64> {
    match op {
        ArithmeticOp::Add => pair!(left, right, |a, b| map2(n, a, b, |x, y| x + y)),
        ArithmeticOp::Subtract => pair!(left, right, |a, b| map2(n, a, b, |x, y| x - y)),
        ArithmeticOp::Multiply => pair!(left, right, |a, b| map2(n, a, b, |x, y| x * y)),
        ArithmeticOp::Divide => pair!(left, right, |a, b| map2(n, a, b, |x, y| x / y)),
        ArithmeticOp::Modulo => pair!(left, right, |a, b| map2(n, a, b, |x, y| x % y)),
    }
}
