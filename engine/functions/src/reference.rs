//! The reference page of the functions, from their entries.

use std::fmt::Write;

use crate::aggregate::{Aggregate, aggregates};
use crate::analytic::{Analytic, analytics};
use crate::catalogue::all;
use crate::function::{Function, Group};

const GROUPS: [Group; 7] =
    [Group::String, Group::Math, Group::DateTime, Group::Json, Group::Conditional, Group::Collection, Group::System];

/// All functions as Markdown, by group. Writing to a `String` cannot fail.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Functions\n\nWritten by `velo-sql functions --markdown`; every example is run by a test. Names may be written in any \
         case. Unless a function says otherwise, a NULL argument makes the result NULL.\n",
    );
    for group in GROUPS {
        let mut functions = all().filter(|f| f.group == group).peekable();
        if functions.peek().is_none() {
            continue;
        }
        let _ = write!(page, "\n## {}\n\n| Function | Result | Example |\n|---|---|---|\n", group.title());
        for function in functions {
            let _ =
                writeln!(page, "| {} | {} | {} |", cell(&names(function)), cell(&about(function)), example(function));
        }
    }
    page.push_str(
        "\n## Aggregate functions\n\nOver the rows of a group; NULL values are left out unless said otherwise, and without values the \
         result is NULL. `f(…) FILTER (WHERE condition)` takes only the rows for which the condition is TRUE.\n\n\
         | Function | Result | Example |\n|---|---|---|\n",
    );
    for aggregate in aggregates() {
        let names = named(aggregate.signature, aggregate.aliases);
        let example = aggregate
            .examples
            .first()
            .map_or_else(String::new, |e| format!("`{}` over {} → `{}`", cell(e.call), cell(e.rows), cell(e.result)));
        let _ = writeln!(page, "| {} | {} | {example} |", cell(&names), cell(aggregate.doc));
    }
    page.push_str(
        "\n## Analytic functions\n\nOver the rows of a buffer, in its order: `f(…) OVER (PARTITION BY k ORDER BY ts)`, or with the \
         buffer's size `f(…) OVER (ROWS WINDOW BUFFER 100 ROWS PARTITION BY k ORDER BY ts)`. Aggregate functions may be \
         called with OVER too.\n\n| Function | Result | Example |\n|---|---|---|\n",
    );
    for analytic in analytics() {
        let (signature, doc) = (cell(analytic.signature), cell(analytic.doc));
        let _ = writeln!(page, "| {signature} | {doc} | `{}` |", cell(analytic.example));
    }
    page
}

/// One analytic function as text for a terminal.
pub fn analytic_text(analytic: &Analytic) -> String {
    format!("{}\n    {}\n    {}\n", analytic.signature, analytic.doc, analytic.example)
}

/// One aggregate as text for a terminal.
pub fn aggregate_text(aggregate: &Aggregate) -> String {
    let mut text = format!("{}\n    {}\n", named(aggregate.signature, aggregate.aliases), aggregate.doc);
    for e in aggregate.examples {
        let _ = writeln!(text, "    {} over {}  ->  {}", e.call, e.rows, e.result);
    }
    text
}

/// One function as text for a terminal.
pub fn text(function: &Function) -> String {
    let mut text = format!("{}\n    {}\n", names(function), about(function));
    for (call, result) in function.examples {
        let _ = writeln!(text, "    {call}  ->  {result}");
    }
    text
}

fn names(function: &Function) -> String {
    named(function.signature, function.aliases)
}

fn named(signature: &str, aliases: &[&str]) -> String {
    match aliases {
        [] => signature.to_owned(),
        aliases => format!("{signature} (also {})", aliases.join(", ")),
    }
}

fn about(function: &Function) -> String {
    let fails = if function.fails { " May fail a record." } else { "" };
    format!("{}{fails}", function.doc)
}

fn example(function: &Function) -> String {
    let Some((call, result)) = function.examples.first() else { return String::new() };
    format!("`{}` → `{}`", cell(call), cell(result))
}

/// Text that may stand in a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
