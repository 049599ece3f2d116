//! Names of functions the dialect has and this engine does not do yet.

/// Sorted by group as in the reference.
pub(crate) const FUNCTIONS: [&str; 16] = [
    "STRING_TO_ARRAY",
    "JSON_EXTRACT",
    "JSON_VALUE",
    "JSON_QUERY",
    "JSON_EXISTS",
    "JSON_OBJECT",
    "JSON_ARRAY",
    "ARRAY",
    "MAP",
    "STRUCT",
    "ARRAY_LENGTH",
    "CARDINALITY",
    "ARRAY_CONTAINS",
    "ARRAY_DISTINCT",
    "MAP_KEYS",
    "MAP_VALUES",
];
