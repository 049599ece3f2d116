//! UPDATE and DELETE as the plan has them.
//!
//! An Amend stands behind the rows of a TABLE, at the owner of its key. Rows pass as they come; once the table is loaded,
//! the statements are applied once, in the order written, to the rows that then live: an UPDATE gives the row with −1 and its
//! new version with +1, a DELETE takes it back. Rows that come later replace these as they would replace the old ones.

use super::Expr;

/// The UPDATEs and DELETEs of one TABLE.
#[derive(Clone, Debug)]
pub struct AmendSpec {
    /// Key columns of the table.
    pub key: Vec<usize>,
    /// The statements, in the order written.
    pub steps: Vec<AmendStep>,
    /// Column of the rows' headers, where the table's topic gets them: `operation` and `updated_at` are added.
    pub headers: Option<usize>,
}

/// One UPDATE or DELETE.
#[derive(Clone, Debug)]
pub struct AmendStep {
    /// WHERE, over the table's columns; `None`: every row.
    pub condition: Option<Expr>,
    /// What is set, by column, of an UPDATE; `None`: a DELETE.
    pub set: Option<Vec<(usize, Expr)>>,
}
