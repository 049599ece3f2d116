//! Text columns, and numbers carried as the text they were written in.

use velostream_types::{Column, ErrorCode, StrBuilder, Utf8Slab};

use super::slots::rows_in;
use super::{Builder, Refusal, Source, WRONG_TYPE};
use crate::format::cells::{Cell, Kind};
use crate::format::number::{Grammar, Shape, fixed};

/// What a text column takes besides text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// Nothing: declared STRING.
    Refuse,
    /// The original text of any value: STRING inferred from values without another common type.
    Verbatim,
    /// The JSON text of any value, strings with their quotes.
    Json,
}

/// Builder of text; views into the slab where nothing has to be unescaped.
#[derive(Debug)]
pub(super) struct Texts {
    others: Others,
    strings: StrBuilder,
}

const INVALID: Refusal = Refusal::Bad(ErrorCode::InvalidUtf8);

impl Texts {
    fn new(others: Others) -> Texts {
        Texts { others, strings: StrBuilder::default() }
    }

    pub(super) fn string(inferred: bool) -> Texts {
        Texts::new(if inferred { Others::Verbatim } else { Others::Refuse })
    }

    pub(super) fn json() -> Texts {
        Texts::new(Others::Json)
    }

    fn take_range(&mut self, start: usize, end: usize) -> Result<(), Refusal> {
        if self.strings.push(start, end) { Ok(()) } else { Err(INVALID) }
    }
}

impl Builder for Texts {
    rows_in!(strings);

    fn take_run(&mut self, _: Source<'_>, cells: &[Cell]) -> usize {
        if self.others == Others::Json {
            return 0;
        }
        let plain = cells
            .iter()
            .map_while(|cell| matches!(cell.kind(), Kind::Plain | Kind::Text).then(|| (cell.start(), cell.end())));
        self.strings.push_all(plain)
    }

    fn take(&mut self, source: Source<'_>, cell: Cell) -> Result<(), Refusal> {
        match (cell.kind(), self.others) {
            (Kind::Plain, _) => self.take_range(cell.start(), cell.end()),
            (Kind::Text | Kind::Escaped, Others::Json) if source.grammar == Grammar::Json => {
                self.take_range(cell.start() - 1, cell.end() + 1)
            }
            (Kind::Text, _) => self.take_range(cell.start(), cell.end()),
            (Kind::Escaped, _) => {
                let text = source.text(cell).ok_or(Refusal::Bad(ErrorCode::Malformed))?;
                self.strings.push_str(&text);
                Ok(())
            }
            (_, Others::Refuse) => Err(WRONG_TYPE),
            (Kind::Number, _) if Shape::of(cell.of(source.bytes), Grammar::Json).is_none() => Err(WRONG_TYPE),
            _ => self.take_range(cell.start(), cell.end()),
        }
    }

    fn finish(&mut self) -> Column {
        Column::Str(self.strings.finish())
    }
}

/// Builder of number tokens. Takes exactly the numbers the value form of the column would take.
#[derive(Debug)]
pub(super) struct Tokens {
    strings: StrBuilder,
    /// The column is a Float: any number fits.
    float: bool,
    /// Digits behind the point of the last token.
    scale: u8,
}

impl Tokens {
    pub(super) fn new(float: bool) -> Tokens {
        Tokens { strings: StrBuilder::default(), float, scale: 0 }
    }
}

impl Builder for Tokens {
    rows_in!(strings);

    fn take_run(&mut self, source: Source<'_>, cells: &[Cell]) -> usize {
        let scale = self.scale;
        let known = cells.iter().map_while(|cell| {
            let (start, end) = (cell.start(), cell.end());
            let number = matches!(cell.kind(), Kind::Number | Kind::Plain);
            (number && fixed(source.bytes, start, end, scale).is_some()).then_some((start, end))
        });
        self.strings.push_all(known)
    }

    fn take(&mut self, source: Source<'_>, cell: Cell) -> Result<(), Refusal> {
        let token = source.number(cell).ok_or(WRONG_TYPE)?;
        let shape = Shape::of(token, source.grammar).ok_or(WRONG_TYPE)?;
        match shape.exact() {
            Some((_, scale)) => self.scale = scale,
            None if self.float && super::super::number::float(token, source.grammar).is_some() => {}
            None => return Err(WRONG_TYPE),
        }
        let (start, end) = source.trimmed(cell);
        if self.strings.push(start, end) { Ok(()) } else { Err(INVALID) }
    }

    fn finish(&mut self) -> Column {
        Column::Str(self.strings.finish())
    }
}
