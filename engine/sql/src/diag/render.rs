//! Draws a diagnostic for people: message, place, the line with carets under it, what was found and what to do.
//!
//! ```text
//! error[E0203]: column "usr" does not exist
//!  --> app.sql:3:8
//!   |
//! 3 | SELECT usr FROM clicks
//!   |        ^^^ no such column
//!   |
//!   = detail: clicks has the columns user, url, ts
//!   = hint: did you mean "user"?
//! ```
//! Carets are placed by terminal columns, so tabs, accents and wide scripts do not shift them. Lines wider than
//! [`LINE_COLUMNS`] are cut around the span. No input makes this fail: spans outside the text are moved into it.

use std::fmt::Write;

use super::position::{Lines, width};
use super::{Diagnostic, Label, Severity, shown};

/// Widest piece of a source line that is printed: fits a terminal of 120 columns with the gutter.
const LINE_COLUMNS: usize = 110;
/// Lines of other places that are named on one line.
const LINES_SHOWN: usize = 5;
/// Columns kept in front of a span when its line is cut.
const LEAD_COLUMNS: usize = 30;

/// The diagnostic as text of several lines, ending in a line feed. `sql_name` and `sql_text` are the text its spans
/// point into, unless a label brings its own.
pub fn render(diagnostic: &Diagnostic, sql_name: &str, sql_text: &str, color: bool) -> String {
    let paint = Paint { color };
    let mut out = String::new();
    let style = style_of(diagnostic.severity);
    let head = paint.with(style, &format!("{}[{}]", diagnostic.severity.word(), diagnostic.code));
    let _ = writeln!(out, "{head}{}", paint.with(Style::Bold, &format!(": {}", shown(&diagnostic.message))));

    let blocks = blocks(diagnostic, sql_name, sql_text);
    let gutter = blocks.iter().map(Block::last_line).max().unwrap_or(1).to_string().len();
    for (i, block) in blocks.iter().enumerate() {
        block.draw(&mut out, &paint, gutter, style, i == 0 && diagnostic.primary.is_some());
    }
    let bar = paint.with(Style::Gutter, &format!("{:gutter$} =", ""));
    if !blocks.is_empty() && (diagnostic.detail.is_some() || diagnostic.hint.is_some()) {
        let _ = writeln!(out, "{}", paint.with(Style::Gutter, &format!("{:gutter$} |", "")));
    }
    for (name, text) in [("detail", &diagnostic.detail), ("hint", &diagnostic.hint)] {
        if let Some(text) = text {
            let indent = format!("\n{:1$}", "", gutter + name.len() + 5);
            let text = shown(text.trim_end()).replace('\n', &indent);
            let _ = writeln!(out, "{bar} {}: {text}", paint.with(Style::Bold, name));
        }
    }
    out
}

/// The diagnostic on one line without a line feed: `recommendation[A0801]: app.sql:3:12: message; hint (also line 7)`.
pub fn line(diagnostic: &Diagnostic, sql_name: &str, sql_text: &str, color: bool) -> String {
    let paint = Paint { color };
    let head = format!("{}[{}]", diagnostic.severity.word(), diagnostic.code);
    let mut out = format!("{}: ", paint.with(style_of(diagnostic.severity), &head));
    if let Some(primary) = &diagnostic.primary {
        let (name, text) = primary.origin.as_ref().map_or((sql_name, sql_text), |o| (o.name.as_str(), o.text.as_ref()));
        let lines = Lines::new(text);
        let place = lines.position(lines.clamp(primary.span).0);
        let _ = write!(out, "{name}:{}:{}: ", place.line, place.column);
    }
    out.push_str(&shown(&diagnostic.message));
    if let Some(hint) = &diagnostic.hint {
        let _ = write!(out, "; {}", shown(hint));
    }
    if !diagnostic.secondary.is_empty() {
        let lines = Lines::new(sql_text);
        let mut also: Vec<usize> =
            diagnostic.secondary.iter().map(|l| lines.position(lines.clamp(l.span).0).line).collect();
        also.dedup();
        let shown: Vec<String> = also.iter().take(LINES_SHOWN).map(usize::to_string).collect();
        let more = also.len().saturating_sub(LINES_SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let word = if also.len() == 1 { "line" } else { "lines" };
        let _ = write!(out, " (also {word} {}{more})", shown.join(", "));
    }
    out
}

/// Labels that point into one text.
struct Block<'a> {
    name: &'a str,
    lines: Lines<'a>,
    /// The label and whether it is the primary one.
    labels: Vec<(&'a Label, bool)>,
}

/// Groups the labels by their text, the primary label's text first.
fn blocks<'a>(diagnostic: &'a Diagnostic, sql_name: &'a str, sql_text: &'a str) -> Vec<Block<'a>> {
    let mut blocks: Vec<Block<'a>> = Vec::new();
    let primary = diagnostic.primary.iter().map(|l| (l, true));
    for (label, is_primary) in primary.chain(diagnostic.secondary.iter().map(|l| (l, false))) {
        let (name, text) = label.origin.as_ref().map_or((sql_name, sql_text), |o| (o.name.as_str(), o.text.as_ref()));
        match blocks.iter_mut().find(|b| b.name == name) {
            Some(block) => block.labels.push((label, is_primary)),
            None => blocks.push(Block { name, lines: Lines::new(text), labels: vec![(label, is_primary)] }),
        }
    }
    blocks
}

/// One row of carets: which line, which bytes of it, what is written behind.
struct Mark<'a> {
    line: usize,
    start: usize,
    end: usize,
    primary: bool,
    text: &'a str,
}

impl Block<'_> {
    fn last_line(&self) -> usize {
        let ends = self.labels.iter().map(|(l, _)| self.lines.line_of(self.lines.clamp(l.span).1) + 1);
        ends.max().unwrap_or(1)
    }

    /// Rows of carets of all labels, by line. A span of several lines marks its first and its last line.
    fn marks(&self) -> Vec<Mark<'_>> {
        let mut marks = Vec::new();
        for (label, primary) in &self.labels {
            let (primary, text) = (*primary, label.text.as_str());
            let (start, end) = self.lines.clamp(label.span);
            let (first, last) = (self.lines.line_of(start), self.lines.line_of(end.max(start + 1) - 1));
            if first == last {
                marks.push(Mark { line: first, start, end, primary, text });
            } else {
                let first_end = self.lines.start(first) + self.lines.text(first).len();
                marks.push(Mark { line: first, start, end: first_end, primary, text: "" });
                let line = self.lines.text(last);
                let indent = line.len() - line.trim_start().len();
                marks.push(Mark { line: last, start: self.lines.start(last) + indent, end, primary, text });
            }
        }
        marks.sort_by_key(|m| (m.line, !m.primary, m.start));
        marks
    }

    fn draw(&self, out: &mut String, paint: &Paint, gutter: usize, style: Style, is_first: bool) {
        let at = self.labels.first().map_or(0, |(l, _)| self.lines.clamp(l.span).0);
        let place = self.lines.position(at);
        let arrow = if is_first { "-->" } else { ":::" };
        let arrow = paint.with(Style::Gutter, &format!("{:gutter$}{arrow}", ""));
        let _ = writeln!(out, "{arrow} {}:{}:{}", self.name, place.line, place.column);
        let bar = paint.with(Style::Gutter, &format!("{:gutter$} |", ""));
        let _ = writeln!(out, "{bar}");

        let marks = self.marks();
        let mut i = 0;
        let mut previous: Option<usize> = None;
        while i < marks.len() {
            let line = marks[i].line;
            let count = marks[i..].iter().take_while(|m| m.line == line).count();
            match previous {
                Some(p) if line == p + 2 => self.draw_line(out, paint, gutter, p + 1, &[], style),
                Some(p) if line > p + 2 => {
                    let _ = writeln!(out, "{}", paint.with(Style::Gutter, &format!("{:.<1$}", "", gutter.max(3))));
                }
                _ => {}
            }
            self.draw_line(out, paint, gutter, line, &marks[i..i + count], style);
            previous = Some(line);
            i += count;
        }
    }

    fn draw_line(&self, out: &mut String, paint: &Paint, gutter: usize, line: usize, marks: &[Mark<'_>], style: Style) {
        let text = self.lines.text(line);
        let base = self.lines.start(line);
        let focus = marks.first().map_or(0, |m| m.start - base);
        let cut = Cut::around(text, focus);
        let number = paint.with(Style::Gutter, &format!("{:>gutter$} |", line + 1));
        let printed = cut.text(text);
        let _ = writeln!(out, "{}", format!("{number} {printed}").trim_end());
        for mark in marks {
            let start = cut.column(text, mark.start - base);
            let end = cut.column(text, mark.end - base).max(start + 1);
            let (sign, style) = if mark.primary { ("^", style) } else { ("-", Style::Gutter) };
            let carets = format!("{} {}", sign.repeat(end - start), shown(mark.text));
            let bar = paint.with(Style::Gutter, &format!("{:gutter$} |", ""));
            let _ = writeln!(out, "{bar} {:start$}{}", "", paint.with(style, carets.trim_end()));
        }
    }
}

/// The part of a line that is printed, in terminal columns of the whole line.
struct Cut {
    from: usize,
    to: usize,
    /// The line goes on in front of the piece, behind it.
    more: (bool, bool),
}

impl Cut {
    fn around(text: &str, focus: usize) -> Cut {
        let total = columns(text, text.len());
        if total <= LINE_COLUMNS {
            return Cut { from: 0, to: total, more: (false, false) };
        }
        let from = columns(text, focus).saturating_sub(LEAD_COLUMNS).min(total - LINE_COLUMNS);
        let to = from + LINE_COLUMNS;
        Cut { from, to, more: (from > 0, to < total) }
    }

    /// The piece with tabs as blanks and control characters made visible.
    fn text(&self, line: &str) -> String {
        let mut out = String::new();
        if self.more.0 {
            out.push('…');
        }
        let mut column = 0;
        for c in line.chars() {
            let next = column + width(c, column);
            if column >= self.from && next <= self.to {
                match c {
                    '\t' => out.extend(std::iter::repeat_n(' ', next - column)),
                    c if c.is_control() => out.push('\u{FFFD}'),
                    c => out.push(c),
                }
            } else if column < self.to && next > self.from {
                // A wide character or tab on the edge of the piece: blanks keep the columns behind it right.
                out.extend(std::iter::repeat_n(' ', next.min(self.to) - column.max(self.from)));
            }
            column = next;
        }
        if self.more.1 {
            out.push('…');
        }
        out
    }

    /// Printed column of byte `at` of the line.
    fn column(&self, line: &str, at: usize) -> usize {
        columns(line, at).clamp(self.from, self.to) - self.from + usize::from(self.more.0)
    }
}

/// Terminal columns of the first `bytes` bytes of a line.
fn columns(line: &str, bytes: usize) -> usize {
    line.char_indices().take_while(|(i, _)| *i < bytes).fold(0, |column, (_, c)| column + width(c, column))
}

fn style_of(severity: Severity) -> Style {
    match severity {
        Severity::Error => Style::Error,
        Severity::Warning => Style::Warning,
        Severity::Recommendation => Style::Advice,
    }
}

#[derive(Clone, Copy)]
enum Style {
    Error,
    Warning,
    Advice,
    Bold,
    Gutter,
}

struct Paint {
    color: bool,
}

impl Paint {
    fn with(&self, style: Style, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match style {
            Style::Error => "1;31",
            Style::Warning => "1;33",
            Style::Advice => "1;36",
            Style::Bold => "1",
            Style::Gutter => "1;34",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests;
