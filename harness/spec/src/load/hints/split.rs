//! Cuts SQL text into hint lines, and hints into pieces that know their places.

use velostream_types::Span;

/// A piece of the SQL text, without spaces around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its text.
    pub text: &'a str,
    /// Where it is.
    pub span: Span,
}

/// What begins a hint, behind the comment's `--`.
const HINT: &str = "@data.";

/// The hints of a text, from behind `@data.` to the line's end or a trailing comment.
pub fn hint_lines(sql: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut start = 0;
    sql.split_inclusive('\n').filter_map(move |line| {
        let at = start;
        start += line.len();
        let rest = line.trim_start().strip_prefix("--")?.trim_start().strip_prefix(HINT)?;
        let rest_at = at + line.len() - rest.len();
        let end = outside(rest, |rest| rest.starts_with("--"), false).unwrap_or(rest.len());
        Some(Piece::new(&rest[..end], rest_at))
    })
}

/// Byte of the first place outside quotes, and outside brackets if wanted, where `is_it` holds.
fn outside(text: &str, is_it: impl Fn(&str) -> bool, outside_brackets: bool) -> Option<usize> {
    let mut quote = None;
    let mut depth = 0usize;
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, _) if !(outside_brackets && depth > 0) && is_it(&text[i..]) => return Some(i),
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '(' | '{') => depth += 1,
            (None, ']' | ')' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

impl<'a> Piece<'a> {
    fn new(text: &'a str, at: usize) -> Piece<'a> {
        let start = at + text.len() - text.trim_start().len();
        let text = text.trim();
        Piece { text, span: Span::new(start as u32, (start + text.len()) as u32) }
    }

    fn at(&self, from: usize, to: usize) -> Piece<'a> {
        Piece::new(&self.text[from..to], self.span.start as usize + from)
    }

    /// The last bytes of it.
    pub fn tail(&self, length: usize) -> Piece<'a> {
        self.at(self.text.len() - length, self.text.len())
    }

    /// What is in front of the first such character outside quotes and brackets, and what is behind it.
    pub fn cut(&self, mark: char) -> Option<(Piece<'a>, Piece<'a>)> {
        let at = outside(self.text, |rest| rest.starts_with(mark), true)?;
        Some((self.at(0, at), self.at(at + mark.len_utf8(), self.text.len())))
    }

    /// The leading word and what is behind it.
    pub fn word(&self) -> (Piece<'a>, Piece<'a>) {
        let end = self.text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.text.len());
        (self.at(0, end), self.at(end, self.text.len()))
    }

    /// The pieces between commas outside quotes and brackets.
    pub fn items(&self) -> Vec<Piece<'a>> {
        let mut items = Vec::new();
        let mut rest = *self;
        while let Some((item, behind)) = rest.cut(',') {
            items.push(item);
            rest = behind;
        }
        items.push(rest);
        items.retain(|item| !item.text.is_empty());
        items
    }

    /// The items of `[a, b]`.
    pub fn list(&self) -> Option<Vec<Piece<'a>>> {
        let inner = self.text.strip_prefix('[')?.strip_suffix(']')?;
        Some(self.at(1, 1 + inner.len()).items().into_iter().map(|item| item.unquoted()).collect())
    }

    /// Without the quotes around it.
    pub fn unquoted(&self) -> Piece<'a> {
        let is_quoted = |quote| self.text.len() > 1 && self.text.starts_with(quote) && self.text.ends_with(quote);
        if is_quoted('"') || is_quoted('\'') {
            let (from, to) = (1, self.text.len() - 1);
            let start = self.span.start + 1;
            let text = &self.text[from..to];
            return Piece { text, span: Span::new(start, start + text.len() as u32) };
        }
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_comments_outside_quotes() {
        let sql = "-- a\n  --  @data.source: trades -- the input\nSELECT 1 -- @data.x: y\n--@data.p: 'a -- b', [c]\r\n";
        let lines: Vec<Piece<'_>> = hint_lines(sql).collect();
        let texts: Vec<&str> = lines.iter().map(|line| line.text).collect();
        assert_eq!(texts, ["source: trades", "p: 'a -- b', [c]"]);
        for line in lines {
            assert_eq!(&sql[line.span.start as usize..line.span.end as usize], line.text);
        }
    }

    #[test]
    fn pieces_know_their_places() {
        let sql = "-- @data.p: enum [\"a, b\", c], weights: [0.5, 1], when: \"x: y\"";
        let line = hint_lines(sql).next().expect("a hint");
        let (path, value) = line.cut(':').expect("a colon");
        assert_eq!(path.text, "p");
        let items = value.items();
        let texts: Vec<&str> = items.iter().map(|item| item.text).collect();
        assert_eq!(texts, ["enum [\"a, b\", c]", "weights: [0.5, 1]", "when: \"x: y\""]);
        let (word, list) = items[0].word();
        assert_eq!(word.text, "enum");
        let values = list.list().expect("a list");
        assert_eq!(values.iter().map(|value| value.text).collect::<Vec<_>>(), ["a, b", "c"]);
        for piece in values.into_iter().chain(items) {
            assert_eq!(&sql[piece.span.start as usize..piece.span.end as usize], piece.text);
        }
    }
}
