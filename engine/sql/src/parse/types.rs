//! Type names, as columns are declared with and CAST goes to.

use velostream_types::{DataType, Span};

use super::ast::TypeName;
use super::cursor::{Parse, Parser};
use super::lex::{Sym, Tok};
use crate::diag::Diagnostic;

/// Every name a type may have.
pub const NAMES: [&str; 28] = [
    "INTEGER",
    "INT",
    "BIGINT",
    "SMALLINT",
    "TINYINT",
    "FLOAT",
    "DOUBLE",
    "REAL",
    "DECIMAL",
    "NUMERIC",
    "SCALED_INTEGER",
    "STRING",
    "TEXT",
    "VARCHAR",
    "CHAR",
    "BYTES",
    "BOOLEAN",
    "BOOL",
    "TIMESTAMP",
    "DATETIME",
    "DATE",
    "TIME",
    "DOUBLE PRECISION",
    "JSON",
    "ARRAY",
    "MAP",
    "STRUCT",
    "ROW",
];

impl Parser<'_> {
    /// A column type.
    pub fn type_name(&mut self) -> Parse<TypeName> {
        let start = self.span();
        let name = self.name("a type")?.name.to_uppercase();
        let plain = |data_type, span| Ok(TypeName { data_type, open_decimal: false, span });
        let data_type = match name.as_str() {
            "INT" | "INTEGER" | "BIGINT" | "SMALLINT" | "TINYINT" => DataType::Integer,
            "FLOAT" | "REAL" => DataType::Float,
            "DOUBLE" => {
                self.take_word("PRECISION");
                DataType::Float
            }
            "STRING" | "TEXT" => DataType::String,
            "VARCHAR" | "CHAR" => {
                if self.take(Sym::LParen) {
                    self.small_number("a length")?;
                    self.expect(Sym::RParen, "\")\"")?;
                }
                DataType::String
            }
            "BOOLEAN" | "BOOL" => DataType::Boolean,
            "TIMESTAMP" | "DATETIME" => DataType::Timestamp,
            "DATE" => DataType::Date,
            "BYTES" => DataType::Bytes,
            "DECIMAL" | "NUMERIC" => return self.decimal_type(start),
            "SCALED_INTEGER" => DataType::decimal(4),
            "TIME" => DataType::Time,
            "JSON" => DataType::Json,
            "ARRAY" | "MAP" | "STRUCT" | "ROW" => return self.nested_type(&name, start),
            _ => {
                let message = format!("unknown type \"{}\"", self.slice(start));
                let hint = "types are INTEGER, FLOAT, DECIMAL(p,s), STRING, BOOLEAN, TIMESTAMP, DATE, TIME, BYTES, JSON, \
                            ARRAY<T>, MAP<STRING, T>, STRUCT<name T, …>";
                return Err(self.fail(Diagnostic::error("E0301", start, message).hint(hint)));
            }
        };
        plain(data_type, start.to(self.last_span()))
    }

    /// What stands behind ARRAY, MAP, STRUCT or ROW, in `<…>` or `(…)`.
    fn nested_type(&mut self, name: &str, start: Span) -> Parse<TypeName> {
        let close = match self.peek() {
            Tok::Sym(Sym::Lt) => Sym::Gt,
            Tok::Sym(Sym::LParen) => Sym::RParen,
            _ => return Err(self.expected(&format!("the types inside {name}, as in {}", example(name)))),
        };
        self.bump();
        self.enter()?;
        let inside = match name {
            "ARRAY" => self.type_name().map(|of| (DataType::array(of.data_type), of.open_decimal)),
            "MAP" => self.map_type(),
            _ => self.fields(),
        };
        self.leave();
        let (data_type, open_decimal) = inside?;
        self.expect(close, if close == Sym::Gt { "\">\"" } else { "\")\"" })?;
        Ok(TypeName { data_type, open_decimal, span: start.to(self.last_span()) })
    }

    fn map_type(&mut self) -> Parse<(DataType, bool)> {
        let key = self.type_name()?;
        if key.data_type != DataType::String {
            let message = format!("the keys of a MAP are STRING, not {}", key.data_type);
            let hint = "write MAP<STRING, T>; keys are the member names of JSON objects";
            return Err(self.fail(Diagnostic::error("E0301", key.span, message).hint(hint)));
        }
        self.expect(Sym::Comma, "\",\" and the type of the values")?;
        let value = self.type_name()?;
        Ok((DataType::map(value.data_type), value.open_decimal))
    }

    /// `name T, …`; a colon may stand between the two.
    fn fields(&mut self) -> Parse<(DataType, bool)> {
        let (mut fields, mut open_decimal): (Vec<(String, DataType)>, bool) = (Vec::new(), false);
        loop {
            let field = self.name("the name of a field")?;
            if fields.iter().any(|(name, _)| *name == field.name) {
                let message = format!("field \"{}\" stands twice in one STRUCT", field.name);
                return Err(self.fail(Diagnostic::error("E0208", field.span, message)));
            }
            self.take(Sym::Colon);
            let of = self.type_name()?;
            open_decimal |= of.open_decimal;
            fields.push((field.name, of.data_type));
            if !self.take(Sym::Comma) {
                return Ok((DataType::structure(fields), open_decimal));
            }
        }
    }

    fn decimal_type(&mut self, start: Span) -> Parse<TypeName> {
        if !self.take(Sym::LParen) {
            return Ok(TypeName { data_type: DataType::decimal(18), open_decimal: true, span: start });
        }
        let precision = self.small_number("a precision")?;
        let scale = if self.take(Sym::Comma) { self.small_number("a scale")? } else { 0 };
        self.expect(Sym::RParen, "\")\"")?;
        let span = start.to(self.last_span());
        if precision == 0 || precision > 38 || scale > precision {
            let message = format!("DECIMAL({precision},{scale}) does not exist");
            let hint = "DECIMAL(p,s) has 1 to 38 digits, s of them after the point";
            return Err(self.fail(Diagnostic::error("E0301", span, message).hint(hint)));
        }
        let data_type = DataType::Decimal { precision: precision as u8, scale: scale as u8 };
        Ok(TypeName { data_type, open_decimal: false, span })
    }

    fn small_number(&mut self, what: &str) -> Parse<u16> {
        if let Tok::Number(digits) = self.peek()
            && let Ok(n) = digits.parse()
        {
            self.bump();
            return Ok(n);
        }
        Err(self.expected(what))
    }
}

/// How a nested type is written.
fn example(name: &str) -> &'static str {
    match name {
        "ARRAY" => "ARRAY<INTEGER>",
        "MAP" => "MAP<STRING, INTEGER>",
        _ => "STRUCT<price DECIMAL(10,2), currency STRING>",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::NAMES;
    use crate::parse::parse;

    /// TRUE when a column can have the type, as it is or with what it may need in parentheses.
    fn is_type(name: &str) -> bool {
        let forms = ["", "(INT)", "(STRING, INT)", "<a INT>"];
        forms.iter().any(|form| parse(&format!("CREATE STREAM s (c {name}{form})")).diagnostics.is_empty())
    }

    #[test]
    fn names_are_those_the_parser_takes() {
        let source = include_str!("types.rs").split("#[cfg(test)]").next().unwrap_or_default();
        let quoted = source.split('"').skip(1).step_by(2);
        let word = |text: &&str| text.len() > 2 && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        let words: BTreeSet<&str> = quoted.filter(word).filter(|word| is_type(word)).collect();
        assert!(words.len() > 15, "{words:?}");
        for name in words.iter().chain(&NAMES) {
            assert!(NAMES.contains(name) && is_type(name), "{name}");
        }
    }
}
