//! Byte positions as people count them: lines, columns and columns of a terminal.
//!
//! Spans are bytes; a span from elsewhere may end inside a character or behind the text, so everything here clamps
//! instead of failing.

use velostream_types::Span;

/// Columns a tab takes in a printed snippet.
pub const TAB_COLUMNS: usize = 4;

/// A place as people count it, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Character in the line.
    pub column: usize,
}

/// Start of each line of a text.
pub struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Finds the lines of `text`.
    pub fn new(text: &'a str) -> Lines<'a> {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        Lines { text, starts }
    }

    /// `span` cut to the text and to whole characters.
    pub fn clamp(&self, span: Span) -> (usize, usize) {
        let start = floor(self.text, span.start as usize);
        (start, floor(self.text, span.end as usize).max(start))
    }

    /// 0-based line that holds byte `at`.
    pub fn line_of(&self, at: usize) -> usize {
        self.starts.partition_point(|s| *s <= at).saturating_sub(1)
    }

    /// Byte where 0-based line `line` starts.
    pub fn start(&self, line: usize) -> usize {
        self.starts[line]
    }

    /// Text of 0-based line `line` without its line end.
    pub fn text(&self, line: usize) -> &'a str {
        let end = self.starts.get(line + 1).map_or(self.text.len(), |next| next - 1);
        let text = &self.text[self.starts[line]..end];
        text.strip_suffix('\r').unwrap_or(text)
    }

    /// Line and column of byte `at`.
    pub fn position(&self, at: usize) -> Position {
        let at = floor(self.text, at);
        let line = self.line_of(at);
        Position { line: line + 1, column: self.text[self.starts[line]..at].chars().count() + 1 }
    }
}

/// Largest character boundary of `text` at or below `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

/// Terminal columns of a character that starts at `column`.
pub fn width(c: char, column: usize) -> usize {
    match u32::from(c) {
        0x09 => TAB_COLUMNS - column % TAB_COLUMNS,
        0x0300..=0x036F | 0x200B..=0x200F | 0x20D0..=0x20FF | 0xFE00..=0xFE0F | 0xFE20..=0xFE2F => 0,
        // Wide scripts and emoji take two columns in every common terminal.
        0x1100..=0x115F
        | 0x2E80..=0x303E
        | 0x3041..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1F64F
        | 0x1F680..=0x1F6FF
        | 0x1F900..=0x1F9FF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let lines = Lines::new("aé\r\nb\n");
        for (at, line, column) in [(0, 1, 1), (1, 1, 2), (2, 1, 2), (3, 1, 3), (5, 2, 1), (7, 3, 1), (99, 3, 1)] {
            assert_eq!(lines.position(at), Position { line, column }, "{at}");
        }
        assert_eq!((lines.text(0), lines.text(1), lines.text(2)), ("aé", "b", ""));
        assert_eq!(lines.clamp(Span::new(2, 500)), (1, 7));
    }
}
