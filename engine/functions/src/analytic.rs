//! The functions that exist with OVER only: names, how each is written, documentation. The binder asks here what a call
//! means; the operator that computes it goes by [`OverFn`]. Every aggregate may also be called with OVER.
//!
//! Rows are those of the buffer, in its order; "before" and "after" are meant by that order.

/// What an analytic function computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OverFn {
    /// ROW_NUMBER()
    RowNumber,
    /// RANK()
    Rank,
    /// DENSE_RANK()
    DenseRank,
    /// PERCENT_RANK()
    PercentRank,
    /// CUME_DIST()
    CumeDist,
    /// NTILE(k)
    Ntile,
    /// LAG(x, n, default)
    Lag,
    /// LEAD(x, n, default)
    Lead,
    /// FIRST_VALUE(x)
    FirstValue,
    /// LAST_VALUE(x)
    LastValue,
    /// NTH_VALUE(x, k)
    NthValue,
}

impl OverFn {
    /// Name as in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            OverFn::RowNumber => "ROW_NUMBER",
            OverFn::Rank => "RANK",
            OverFn::DenseRank => "DENSE_RANK",
            OverFn::PercentRank => "PERCENT_RANK",
            OverFn::CumeDist => "CUME_DIST",
            OverFn::Ntile => "NTILE",
            OverFn::Lag => "LAG",
            OverFn::Lead => "LEAD",
            OverFn::FirstValue => "FIRST_VALUE",
            OverFn::LastValue => "LAST_VALUE",
            OverFn::NthValue => "NTH_VALUE",
        }
    }
}

/// How an analytic function is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverForm {
    /// `f()`
    Plain,
    /// `f(k)`
    Count,
    /// `f(x[, n[, default]])`
    Offset,
    /// `f(x)`
    Value,
    /// `f(x, k)`
    ValueAt,
}

/// One analytic function of the dialect.
#[derive(Clone, Copy, Debug)]
pub struct Analytic {
    /// Name, upper case.
    pub name: &'static str,
    /// What it computes.
    pub function: OverFn,
    /// How it is written.
    pub form: OverForm,
    /// How it is written, for people.
    pub signature: &'static str,
    /// What it gives, in one line.
    pub doc: &'static str,
    /// A call.
    pub example: &'static str,
}

const fn entry(
    function: OverFn,
    form: OverForm,
    signature: &'static str,
    doc: &'static str,
    example: &'static str,
) -> Analytic {
    Analytic { name: function.name(), function, form, signature, doc, example }
}

const ANALYTICS: &[Analytic] = &[
    entry(
        OverFn::RowNumber,
        OverForm::Plain,
        "ROW_NUMBER() OVER (…)",
        "Position of the row in its partition's buffer, from 1.",
        "ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts)",
    ),
    entry(
        OverFn::Rank,
        OverForm::Plain,
        "RANK() OVER (…)",
        "1 and how many rows stand before the row; equal rows share a rank, and the next one leaves a gap.",
        "RANK() OVER (PARTITION BY k ORDER BY price DESC)",
    ),
    entry(
        OverFn::DenseRank,
        OverForm::Plain,
        "DENSE_RANK() OVER (…)",
        "RANK without gaps.",
        "DENSE_RANK() OVER (PARTITION BY k ORDER BY price DESC)",
    ),
    entry(
        OverFn::PercentRank,
        OverForm::Plain,
        "PERCENT_RANK() OVER (…)",
        "(RANK - 1) / (rows - 1); 0 for a single row.",
        "PERCENT_RANK() OVER (PARTITION BY k ORDER BY price)",
    ),
    entry(
        OverFn::CumeDist,
        OverForm::Plain,
        "CUME_DIST() OVER (…)",
        "Share of the rows that stand before the row or are equal to it.",
        "CUME_DIST() OVER (PARTITION BY k ORDER BY price)",
    ),
    entry(
        OverFn::Ntile,
        OverForm::Count,
        "NTILE(k) OVER (…)",
        "Number of the row's part, from 1, when the rows are cut into k parts whose sizes differ by one at most, longer parts first.",
        "NTILE(4) OVER (PARTITION BY k ORDER BY price)",
    ),
    entry(
        OverFn::Lag,
        OverForm::Offset,
        "LAG(x[, n[, default]]) [IGNORE NULLS] OVER (…)",
        "x of the n-th row before this one (n is 1 unless given); the default, or NULL, where there is none.",
        "price - LAG(price) OVER (PARTITION BY k ORDER BY ts)",
    ),
    entry(
        OverFn::Lead,
        OverForm::Offset,
        "LEAD(x[, n[, default]]) [IGNORE NULLS] OVER (…)",
        "x of the n-th row after this one among those that came already; it never waits, so the newest row gets the default.",
        "LEAD(price, 1, 0) OVER (PARTITION BY k ORDER BY ts)",
    ),
    entry(
        OverFn::FirstValue,
        OverForm::Value,
        "FIRST_VALUE(x) [IGNORE NULLS] OVER (…)",
        "x of the frame's first row.",
        "FIRST_VALUE(price) OVER (PARTITION BY k ORDER BY ts)",
    ),
    entry(
        OverFn::LastValue,
        OverForm::Value,
        "LAST_VALUE(x) [IGNORE NULLS] OVER (…)",
        "x of the frame's last row.",
        "LAST_VALUE(price) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
    ),
    entry(
        OverFn::NthValue,
        OverForm::ValueAt,
        "NTH_VALUE(x, k) [IGNORE NULLS] OVER (…)",
        "x of the frame's k-th row, from 1; NULL where it has fewer.",
        "NTH_VALUE(price, 2) OVER (PARTITION BY k ORDER BY ts)",
    ),
];

/// Every analytic function, as in the reference.
pub fn analytics() -> impl Iterator<Item = &'static Analytic> {
    ANALYTICS.iter()
}

/// The analytic function of this name, whatever its case.
pub fn find_analytic(name: &str) -> Option<&'static Analytic> {
    analytics().find(|a| a.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_whole_and_names_are_found() {
        for a in analytics() {
            assert!(a.signature.starts_with(a.name) && a.signature.contains("OVER"), "{}", a.name);
            assert!(a.doc.ends_with('.') && !a.doc.contains('\n'), "{}", a.name);
            assert!(a.example.contains(a.name), "{}", a.name);
            assert_eq!(find_analytic(&a.name.to_lowercase()).map(|f| f.function), Some(a.function));
            assert!(crate::find(a.name).is_none(), "{} is a scalar function too", a.name);
        }
        assert!(find_analytic("lagg").is_none());
    }
}
