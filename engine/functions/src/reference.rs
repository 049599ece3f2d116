//! The reference page of the functions, from their entries.

use std::fmt::Write;

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
    page
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
    match function.aliases {
        [] => function.signature.to_owned(),
        aliases => format!("{} (also {})", function.signature, aliases.join(", ")),
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
