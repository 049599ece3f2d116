//! Which fields the records of a sink have: to tell a field that no record has, which is a misspelling more often than
//! not, from one that some lack.

use std::sync::Arc;

use crate::record::Row;

/// Names of fields, in the order they came in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    names: Vec<Arc<str>>,
}

impl Columns {
    /// One more row. Rows with the fields of the one before cost a comparison of names each.
    pub(crate) fn add(&mut self, row: &Row) {
        let same = row.fields.len() == self.names.len()
            && row.fields.iter().zip(&self.names).all(|((name, _), known)| Arc::ptr_eq(name, known) || name == known);
        if same {
            return;
        }
        for (name, _) in &row.fields {
            if !self.names.contains(name) {
                self.names.push(Arc::clone(name));
            }
        }
    }

    /// Some row has it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| **known == *name)
    }

    /// All of them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// ` (did you mean "price"?)`, where a known name is near.
    pub(crate) fn near(&self, name: &str) -> String {
        velostream_sql::suggest::closest(name, self.names())
            .map_or_else(String::new, |near| format!(" (did you mean \"{near}\"?)"))
    }
}
