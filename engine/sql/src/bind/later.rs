//! Names of functions the dialect has and this engine does not do yet.

/// Sorted by group as in the reference.
pub(super) const FUNCTIONS: [&str; 14] = [
    "HOP_START",
    "HOP_END",
    "SESSION_START",
    "SESSION_END",
    "SESSION_DURATION",
    "ROW_NUMBER",
    "RANK",
    "DENSE_RANK",
    "PERCENT_RANK",
    "CUME_DIST",
    "NTILE",
    "LAG",
    "LEAD",
    "NTH_VALUE",
];
