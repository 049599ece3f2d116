//! Recommendations: what an app that compiles could do cheaper or say more plainly.
//!
//! `velo-sql validate` asks for them behind a sound plan; nothing else does, and no option makes them errors. `query`
//! looks at the syntax tree, `plan` at what the binder made of it. One code is one finding an app: its first place is
//! the primary one, the others are `secondary`. Cost: one more parse and one walk over the tree.

mod plan;
mod query;

use velostream_types::Span;

use crate::diag::Diagnostic;
use crate::parse::ast::{InsertRows, Query, StatementKind};
use crate::parse::{Script, kinds, parse};
use crate::plan::AppPlan;

/// Places kept at most.
const FOUND_MAX: usize = 1_000;

/// One statement of a text, as far as it can be told without compiling it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlined {
    /// From its first byte to that of the next statement.
    pub span: Span,
    /// Its kind, by the names of [`crate::reference::KINDS`]; none where that cannot be told.
    pub kind: Option<&'static str>,
    /// Name of the object it makes; none for a bare SELECT, SET, or a statement that cannot be read.
    pub name: Option<String>,
}

/// The statements of `text` in order, those that cannot be read included.
pub fn outline(text: &str) -> Vec<Outlined> {
    let script = parse(text);
    let ends = script.starts.iter().skip(1).copied().chain([text.len() as u32]);
    let spans = script.starts.iter().zip(ends).map(|(start, end)| Span::new(*start, end));
    let first_word = |span: Span| text.get(span.start as usize..).and_then(|rest| rest.split_whitespace().next());
    let unread = |span| Outlined { span, kind: first_word(span).and_then(kinds::of_word), name: None };
    let mut outlined: Vec<Outlined> = spans.map(unread).collect();
    for statement in script.statements {
        let kind = Some(kinds::of(&statement));
        let name = match statement.kind {
            StatementKind::Create(create) => Some(create.name.name),
            StatementKind::Declare(declare) => Some(declare.name.name),
            _ => None,
        };
        if let Some(known) = statement.number.checked_sub(1).and_then(|at| outlined.get_mut(at)) {
            (known.kind, known.name) = (kind, name);
        }
    }
    outlined
}

/// Recommendations for the app that `text` compiled to, in the order of the text, each code once.
pub fn recommend(text: &str, app: &AppPlan) -> Vec<Diagnostic> {
    let Script { statements, .. } = parse(text);
    let mut found = Found::default();
    for statement in &statements {
        found.number = statement.number;
        if let Some(query) = query_of(&statement.kind) {
            query::look(query, &mut found);
        }
    }
    found.number = 0;
    plan::look(app, &found.windows.clone(), &mut found);
    once_each(found.diagnostics)
}

fn query_of(kind: &StatementKind) -> Option<&Query> {
    match kind {
        StatementKind::Query(query) => Some(query),
        StatementKind::Create(create) => Some(&create.query),
        StatementKind::Insert(insert) => match &insert.rows {
            InsertRows::Query(query) => Some(query),
            InsertRows::Values(_) => None,
        },
        _ => None,
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    diagnostics: Vec<Diagnostic>,
    /// Windows that name no time column.
    windows: Vec<Span>,
    /// Statement being looked at; 0 for none.
    number: usize,
}

impl Found {
    /// Adds a finding; of an app that gives more than [`FOUND_MAX`] the rest is no news.
    fn add(&mut self, code: &'static str, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        if self.diagnostics.len() >= FOUND_MAX {
            return;
        }
        let mut diagnostic = Diagnostic::recommendation(code, span, message).hint(hint);
        diagnostic.statement = (self.number > 0).then_some(self.number);
        self.diagnostics.push(diagnostic);
    }
}

/// Findings of one code become one, at the first of their places.
fn once_each(mut all: Vec<Diagnostic>) -> Vec<Diagnostic> {
    all.sort_by_key(|d| d.primary.as_ref().map(|p| p.span.start));
    let mut out: Vec<Diagnostic> = Vec::new();
    for diagnostic in all {
        match out.iter_mut().find(|known| known.code == diagnostic.code) {
            Some(known) => known.secondary.extend(diagnostic.primary),
            None => out.push(diagnostic),
        }
    }
    out
}

#[cfg(test)]
mod tests;
