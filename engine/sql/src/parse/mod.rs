//! SQL text to syntax tree: `lex` cuts tokens, a recursive-descent parser of our own builds the tree.
//!
//! Mistakes are collected: after one the parser goes on behind the next `;`. What the dialect has but this engine does
//! not do yet is answered by E0901, never by a syntax error. Limits: nesting [`MAX_DEPTH`], tokens `lex::MAX_TOKENS`,
//! each a diagnostic.

mod access;
pub(crate) mod ast;
mod cursor;
mod duration;
mod expr;
mod forms;
mod insert;
pub(crate) mod kinds;
mod lex;
mod modifiers;
mod over;
mod relation;
mod select;
mod server;
mod statement;
pub(crate) mod subquery;
#[cfg(test)]
mod tests;
pub(crate) mod types;
pub(crate) mod unnest;
mod walk;
mod window;

use crate::diag::Diagnostic;
use ast::{Expr, Statement};

/// Deepest nesting of parentheses and of a tree.
pub(crate) const MAX_DEPTH: u16 = 256;

/// A parsed script.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub statements: Vec<Statement>,
    /// Names that statements with a mistake would have created: references to them are no news.
    pub failed_names: Vec<String>,
    pub diagnostics: Vec<Diagnostic>,
    /// First byte of every statement, failed ones included.
    pub starts: Vec<u32>,
}

/// Parses a text that is one expression.
pub(crate) fn parse_expr(text: &str) -> (Option<Expr>, Vec<Diagnostic>) {
    let (tokens, diagnostics) = lex::lex(text);
    let mut parser = cursor::Parser::new(text, &tokens, diagnostics);
    let mut parsed = parser.expr().ok();
    if parsed.is_some() && *parser.peek() != lex::Tok::End {
        let cursor::Failed = parser.expected("the end of the expression");
        parsed = None;
    }
    (parsed, parser.diagnostics)
}

/// Parses `text`.
pub(crate) fn parse(text: &str) -> Script {
    let (tokens, diagnostics) = lex::lex(text);
    cursor::Parser::new(text, &tokens, diagnostics).script()
}
