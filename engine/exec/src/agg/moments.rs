//! Sums of values and products behind variances, covariances and regressions, of one column or of pairs (y, x).
//!
//! Integers and decimals are summed exactly: 128 bits in a block, beyond that a wide integer aside for the few groups
//! that need it. So results depend on no order and are taken back exactly; the one rounding is in [`Sums::value`].
//! Floats are summed in pairs of floats (106 bits), which is stabler than updating a mean and can be taken back too;
//! values that are not finite are counted aside, so that one of them that leaves takes its effect along.
//! Cost: one multiplication and one addition per row and term.

use std::collections::BTreeMap;

use velostream_functions::AggregateFn;
use velostream_state::block::{BlockPool, Blocks};
use velostream_types::{Column, DataType, decimal};

use super::big::{Big, ratio};
use super::numbers::{Mantissas, Numbers, floats};
use super::pairs::Pair;

/// What a term multiplies: variable 0 is x or, in pairs, y; variable 1 is the x of pairs.
const SINGLE: [(usize, Option<usize>); 2] = [(0, None), (0, Some(0))];
const PAIRS: [(usize, Option<usize>); 5] = [(0, None), (1, None), (0, Some(0)), (1, Some(1)), (0, Some(1))];

/// Exact sums of one term.
#[derive(Debug, Default)]
struct ExactTerm {
    low: Blocks<i128>,
    /// What did not fit, by group: the sum is both together.
    spill: BTreeMap<u32, Big>,
    scale: u32,
}

impl ExactTerm {
    fn value(&self, group: u32) -> Big {
        let low = Big::from(self.low.get(group));
        self.spill.get(&group).map_or(low, |more| low.plus(more))
    }

    fn raise(&mut self, scale: u32) {
        let by = scale - self.scale;
        let factor = u8::try_from(by).ok().filter(|b| *b <= 38).map(decimal::pow10);
        let mut moved = Vec::new();
        self.spill.values_mut().for_each(|more| *more = more.times_ten(by));
        self.low.for_each(|group, low| match factor.and_then(|f| low.checked_mul(f)) {
            Some(raised) => *low = raised,
            None => moved.push((group, std::mem::take(low))),
        });
        for (group, low) in moved {
            self.spilled(group, &Big::from(low).times_ten(by));
        }
        self.scale = scale;
    }

    #[cold]
    fn spilled(&mut self, group: u32, more: &Big) {
        let held = self.spill.entry(group).or_insert(Big::ZERO);
        *held = held.plus(more);
    }

    /// Adds `a · b · 10^up`, `times` times.
    #[inline]
    fn add(&mut self, group: u32, a: i128, b: i128, up: u32, times: i64) {
        let factor = if up == 0 { Some(1) } else { u8::try_from(up).ok().filter(|u| *u <= 38).map(decimal::pow10) };
        let product = a.checked_mul(b).and_then(|p| p.checked_mul(factor? * i128::from(times)));
        let low = self.low.at(group);
        match product.and_then(|p| low.checked_add(p)) {
            Some(sum) => *low = sum,
            None => {
                let wide = Big::from(a).times(&Big::from(b)).times(&Big::from(i128::from(times))).times_ten(up);
                self.spilled(group, &wide);
            }
        }
    }
}

/// Float sums of one term.
#[derive(Debug, Default)]
struct FloatTerm {
    high: Blocks<f64>,
    low: Blocks<f64>,
}

impl FloatTerm {
    fn value(&self, group: u32) -> Pair {
        Pair { high: self.high.get(group), low: self.low.get(group) }
    }

    fn add(&mut self, group: u32, more: Pair) {
        let sum = self.value(group).plus(more);
        (*self.high.at(group), *self.low.at(group)) = (sum.high, sum.low);
    }
}

#[derive(Debug)]
enum Terms {
    Exact(Vec<ExactTerm>),
    /// With the number of rows that had a value that is not finite.
    Float(Vec<FloatTerm>, Blocks<i64>),
}

/// The sums of every group.
#[derive(Debug)]
pub(super) struct Moments {
    rows: Blocks<i64>,
    terms: Terms,
    of: &'static [(usize, Option<usize>)],
}

impl Moments {
    /// Sums of columns of these types: one, or y and x.
    pub(super) fn new(types: &[DataType]) -> Moments {
        let of: &[_] = if types.len() == 1 { &SINGLE } else { &PAIRS };
        let terms = match types.contains(&DataType::Float) {
            true => Terms::Float(of.iter().map(|_| FloatTerm::default()).collect(), Blocks::new()),
            false => Terms::Exact(of.iter().map(|_| ExactTerm::default()).collect()),
        };
        Moments { rows: Blocks::new(), terms, of }
    }

    pub(super) fn grow(&mut self, groups: usize, pool: &mut BlockPool) {
        self.rows.grow(groups, 0, pool);
        match &mut self.terms {
            Terms::Exact(terms) => terms.iter_mut().for_each(|t| t.low.grow(groups, 0, pool)),
            Terms::Float(terms, odd) => {
                odd.grow(groups, 0, pool);
                for term in terms {
                    term.high.grow(groups, 0.0, pool);
                    term.low.grow(groups, 0.0, pool);
                }
            }
        }
    }

    /// Folds rows in which all columns have a value; row `i` belongs to group `groups[i]`.
    pub(super) fn update(&mut self, groups: &[u32], columns: &[Column], weights: Option<&[i8]>) {
        let nulls: Vec<_> = columns.iter().filter_map(Column::nulls).filter(|n| n.null_count() > 0).collect();
        let rows = (groups.iter().enumerate())
            .filter(|(row, _)| nulls.iter().all(|n| n.is_valid(*row)))
            .map(|(row, group)| (*group, row, weights.map_or(1, |w| i64::from(w[row]))));
        rows.clone().for_each(|(group, _, times)| *self.rows.at(group) += times);
        match &mut self.terms {
            Terms::Exact(terms) => exact_terms(terms, self.of, rows, columns),
            Terms::Float(terms, odd) => float_terms(terms, odd, self.of, rows, columns),
        }
    }

    /// The sums of a group.
    pub(super) fn sums(&self, group: u32) -> Sums {
        match &self.terms {
            Terms::Exact(terms) => Sums {
                rows: self.rows.get(group),
                kind: SumKind::Exact(terms.iter().map(|t| (t.value(group), t.scale)).collect()),
            },
            Terms::Float(terms, odd) => Sums {
                rows: self.rows.get(group),
                kind: match odd.get(group) {
                    0 => SumKind::Float(terms.iter().map(|t| t.value(group)).collect()),
                    _ => SumKind::NotFinite,
                },
            },
        }
    }

    /// Columns of the partial form.
    pub(super) fn partial_columns(&self) -> usize {
        match &self.terms {
            Terms::Exact(terms) => 1 + terms.len(),
            Terms::Float(terms, _) => 2 + 2 * terms.len(),
        }
    }

    /// TRUE when a column at this position of the partial form has its kind.
    pub(super) fn accepts(&self, at: usize, column: &Column) -> bool {
        match (&self.terms, column) {
            (_, Column::Int(_)) => at == 0 || at == 1 && matches!(self.terms, Terms::Float(..)),
            (Terms::Exact(_), Column::Bytes(bytes)) => at > 0 && bytes.iter().flatten().all(|b| load(b).is_some()),
            (Terms::Float(..), Column::Float(_)) => at > 1,
            _ => false,
        }
    }

    pub(super) fn merge(&mut self, groups: &[u32], start: usize, columns: &[Column]) {
        let int = |c: usize, row: usize| match columns.get(c) {
            Some(Column::Int(a)) => a.value(row),
            _ => 0,
        };
        for (i, group) in groups.iter().enumerate() {
            let row = start + i;
            *self.rows.at(*group) += int(0, row);
            match &mut self.terms {
                Terms::Exact(terms) => {
                    for (term, column) in terms.iter_mut().zip(&columns[1..]) {
                        let Column::Bytes(bytes) = column else { continue };
                        let Some((scale, sum)) = load(bytes.value(row)) else { continue };
                        if scale > term.scale {
                            term.raise(scale);
                        }
                        let sum = sum.times_ten(term.scale - scale);
                        match sum.small().and_then(|s| term.low.get(*group).checked_add(s)) {
                            Some(low) => *term.low.at(*group) = low,
                            None => term.spilled(*group, &sum),
                        }
                    }
                }
                Terms::Float(terms, odd) => {
                    *odd.at(*group) += int(1, row);
                    for (term, parts) in terms.iter_mut().zip(columns[2..].chunks(2)) {
                        if let [Column::Float(high), Column::Float(low)] = parts {
                            term.add(*group, Pair { high: high.value(row), low: low.value(row) });
                        }
                    }
                }
            }
        }
    }

    pub(super) fn partial(&self, groups: &[u32], out: &mut Vec<Column>) {
        let ints = |blocks: &Blocks<i64>| Column::ints(groups.iter().map(|g| blocks.get(*g)).collect(), None);
        let floats = |blocks: &Blocks<f64>| Column::floats(groups.iter().map(|g| blocks.get(*g)).collect(), None);
        out.push(ints(&self.rows));
        match &self.terms {
            Terms::Exact(terms) => {
                for term in terms {
                    out.push(Column::Bytes(groups.iter().map(|g| Some(save(term.scale, &term.value(*g)))).collect()));
                }
            }
            Terms::Float(terms, odd) => {
                out.push(ints(odd));
                terms.iter().for_each(|term| out.extend([floats(&term.high), floats(&term.low)]));
            }
        }
    }

    pub(super) fn clear(&mut self, group: u32) {
        *self.rows.at(group) = 0;
        match &mut self.terms {
            Terms::Exact(terms) => {
                for term in terms {
                    *term.low.at(group) = 0;
                    term.spill.remove(&group);
                }
            }
            Terms::Float(terms, odd) => {
                *odd.at(group) = 0;
                for term in terms {
                    (*term.high.at(group), *term.low.at(group)) = (0.0, 0.0);
                }
            }
        }
    }

    pub(super) fn release(&mut self, pool: &mut BlockPool) {
        self.rows.release(pool);
        match &mut self.terms {
            Terms::Exact(terms) => {
                for term in terms {
                    term.low.release(pool);
                    term.spill.clear();
                    term.scale = 0;
                }
            }
            Terms::Float(terms, odd) => {
                odd.release(pool);
                for term in terms {
                    term.high.release(pool);
                    term.low.release(pool);
                }
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let terms = match &self.terms {
            Terms::Exact(t) => t.iter().map(|t| t.low.bytes() + t.spill.len() * (size_of::<Big>() + 16)).sum::<usize>(),
            Terms::Float(t, odd) => odd.bytes() + t.iter().map(|t| t.high.bytes() + t.low.bytes()).sum::<usize>(),
        };
        self.rows.bytes() + terms
    }
}

fn exact_terms(
    terms: &mut [ExactTerm],
    of: &[(usize, Option<usize>)],
    rows: impl Iterator<Item = (u32, usize, i64)> + Clone,
    columns: &[Column],
) {
    let numbers: Option<Vec<Numbers<'_>>> = columns.iter().map(Numbers::exact).collect();
    let Some(numbers) = numbers else { return };
    let at = |variable: usize, row: usize| match &numbers[variable].values {
        Mantissas::Narrow(v) => i128::from(v[row]),
        Mantissas::Wide(v) => v[row],
    };
    let scale = |variable: usize| u32::from(numbers[variable].scale);
    for (term, (a, b)) in terms.iter_mut().zip(of) {
        let own = scale(*a) + b.map_or(0, scale);
        if own > term.scale {
            term.raise(own);
        }
        let up = term.scale - own;
        for (group, row, times) in rows.clone() {
            term.add(group, at(*a, row), b.map_or(1, |b| at(b, row)), up, times);
        }
    }
}

fn float_terms(
    terms: &mut [FloatTerm],
    odd: &mut Blocks<i64>,
    of: &[(usize, Option<usize>)],
    rows: impl Iterator<Item = (u32, usize, i64)>,
    columns: &[Column],
) {
    let values: Option<Vec<_>> = columns.iter().map(floats).collect();
    let Some(values) = values else { return };
    for (group, row, times) in rows {
        let products = of.iter().map(|(a, b)| Pair::product(values[*a][row], b.map_or(1.0, |b| values[b][row])));
        if !products.clone().all(|p| p.high.is_finite()) {
            *odd.at(group) += times;
            continue;
        }
        for (term, product) in terms.iter_mut().zip(products) {
            term.add(group, product.times(Pair::from(times as f64)));
        }
    }
}

/// Scale and sum as bytes: four of scale, then limbs as few as hold it.
fn save(scale: u32, sum: &Big) -> Vec<u8> {
    let mut bytes = scale.to_le_bytes().to_vec();
    sum.save(&mut bytes);
    bytes
}

fn load(bytes: &[u8]) -> Option<(u32, Big)> {
    let (scale, rest) = bytes.split_first_chunk::<4>()?;
    let scale = u32::from_le_bytes(*scale);
    Some((scale, Big::load(rest)?)).filter(|_| scale <= 76)
}

/// The sums of one group.
pub(crate) struct Sums {
    rows: i64,
    kind: SumKind,
}

enum SumKind {
    Exact(Vec<(Big, u32)>),
    Float(Vec<Pair>),
    NotFinite,
}

impl Sums {
    /// Sums of single exact numbers, each with its mantissa and scale.
    pub(super) fn of_exact(values: impl Iterator<Item = (i128, u8)> + Clone) -> Sums {
        let scale = values.clone().map(|v| v.1).max().unwrap_or(0);
        let (mut rows, mut sum, mut squares) = (0, Big::ZERO, Big::ZERO);
        for (mantissa, own) in values {
            let value = Big::from(mantissa).times_ten(u32::from(scale - own));
            rows += 1;
            sum = sum.plus(&value);
            squares = squares.plus(&value.times(&value));
        }
        let scale = u32::from(scale);
        Sums { rows, kind: SumKind::Exact(vec![(sum, scale), (squares, 2 * scale)]) }
    }

    /// Sums that somebody else made: of so many values at `scale`, and of their squares at twice that.
    pub(crate) fn of_sums(rows: i64, (sum, squares): (i128, i128), scale: u8) -> Sums {
        let scale = u32::from(scale);
        Sums { rows, kind: SumKind::Exact(vec![(Big::from(sum), scale), (Big::from(squares), 2 * scale)]) }
    }

    /// Sums of single floats.
    pub(super) fn of_floats(values: impl Iterator<Item = f64>) -> Sums {
        let (mut rows, mut sum, mut squares) = (0, Pair::ZERO, Pair::ZERO);
        for value in values {
            rows += 1;
            sum = sum.plus(Pair::from(value));
            squares = squares.plus(Pair::product(value, value));
        }
        let finite = squares.high.is_finite();
        let kind = if finite { SumKind::Float(vec![sum, squares]) } else { SumKind::NotFinite };
        Sums { rows, kind }
    }

    /// The sum itself, of single floats.
    pub(super) fn float_sum(&self) -> Option<f64> {
        match &self.kind {
            SumKind::Float(sums) => sums.first().map(|sum| sum.high),
            SumKind::NotFinite => Some(f64::NAN),
            SumKind::Exact(_) => None,
        }
    }

    /// The statistic; `None` is NULL.
    pub(crate) fn value(&self, function: AggregateFn) -> Option<f64> {
        use AggregateFn::*;
        let sample = matches!(function, VarSamp | StddevSamp | CovarSamp);
        let least = match function {
            VarPop | StddevPop | CovarPop => 1,
            _ => 2,
        };
        if self.rows < least {
            return None;
        }
        let n = i128::from(self.rows);
        let pairs = if sample { n * (n - 1) } else { n * n };
        match &self.kind {
            SumKind::NotFinite => Some(f64::NAN),
            SumKind::Exact(sums) => exact_statistic(function, n, pairs, sums),
            SumKind::Float(sums) => float_statistic(function, n as f64, pairs as f64, sums),
        }
    }
}

/// n·Σab − Σa·Σb with its scale.
fn spread(n: i128, ab: &(Big, u32), a: &(Big, u32), b: &(Big, u32)) -> (Big, u32) {
    let scale = ab.1.max(a.1 + b.1);
    let left = Big::from(n).times(&ab.0).times_ten(scale - ab.1);
    (left.minus(&a.0.times(&b.0).times_ten(scale - a.1 - b.1)), scale)
}

/// `a / b` of numbers with scales.
fn quotient(a: &(Big, u32), b: &(Big, u32)) -> f64 {
    let scale = a.1.max(b.1);
    ratio(&a.0.times_ten(scale - a.1), &b.0.times_ten(scale - b.1))
}

fn exact_statistic(function: AggregateFn, n: i128, pairs: i128, sums: &[(Big, u32)]) -> Option<f64> {
    use AggregateFn::*;
    let whole = |x: i128| (Big::from(x), 0);
    if let [x, xx] = sums {
        let variance = quotient(&spread(n, xx, x, x), &whole(pairs));
        return Some(if matches!(function, StddevSamp | StddevPop) { variance.sqrt() } else { variance });
    }
    let [y, x, yy, xx, xy] = sums else { return None };
    let (of_x, of_y, both) = (spread(n, xx, x, x), spread(n, yy, y, y), spread(n, xy, x, y));
    match function {
        CovarSamp | CovarPop => Some(quotient(&both, &whole(pairs))),
        RegrSlope if !of_x.0.is_zero() => Some(quotient(&both, &of_x)),
        RegrIntercept if !of_x.0.is_zero() => {
            let (left, right) = (product(y, &of_x), product(&both, x));
            let scale = left.1.max(right.1);
            let over = left.0.times_ten(scale - left.1).minus(&right.0.times_ten(scale - right.1));
            Some(quotient(&(over, scale), &product(&whole(n), &of_x)))
        }
        Corr | RegrR2 if !of_x.0.is_zero() && !of_y.0.is_zero() => {
            let float = |v: &(Big, u32)| quotient(v, &whole(1));
            Some(correlation(function, float(&both), float(&of_x), float(&of_y)))
        }
        _ => None,
    }
}

fn product(a: &(Big, u32), b: &(Big, u32)) -> (Big, u32) {
    (a.0.times(&b.0), a.1 + b.1)
}

fn correlation(function: AggregateFn, both: f64, of_x: f64, of_y: f64) -> f64 {
    let r = (both / (of_x.sqrt() * of_y.sqrt())).clamp(-1.0, 1.0);
    if function == AggregateFn::RegrR2 { r * r } else { r }
}

fn float_statistic(function: AggregateFn, n: f64, pairs: f64, sums: &[Pair]) -> Option<f64> {
    use AggregateFn::*;
    let n = Pair::from(n);
    let spread = |ab: Pair, a: Pair, b: Pair| n.times(ab).minus(a.times(b));
    // Below 0 only by rounding.
    let positive = |p: Pair| if p.high > 0.0 { p } else { Pair::ZERO };
    if let [x, xx] = sums {
        let variance = positive(spread(*xx, *x, *x)).over(Pair::from(pairs));
        return Some(if matches!(function, StddevSamp | StddevPop) { variance.sqrt() } else { variance });
    }
    let [y, x, yy, xx, xy] = sums else { return None };
    let (of_x, of_y, both) = (positive(spread(*xx, *x, *x)), positive(spread(*yy, *y, *y)), spread(*xy, *x, *y));
    match function {
        CovarSamp | CovarPop => Some(both.over(Pair::from(pairs))),
        RegrSlope if of_x.high > 0.0 => Some(both.over(of_x)),
        RegrIntercept if of_x.high > 0.0 => Some(y.times(of_x).minus(both.times(*x)).over(n.times(of_x))),
        Corr | RegrR2 if of_x.high > 0.0 && of_y.high > 0.0 => {
            Some(correlation(function, both.high, of_x.high, of_y.high))
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "moments/tests.rs"]
mod tests;
