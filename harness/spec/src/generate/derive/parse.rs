//! Expressions of derived fields from text: precedence climbing over comparison, sum, product, sign and primary, with the
//! kind of every part, so that a name, an argument or an operand that can never work is found before the first record.

use velostream_sql::suggest::did_you_mean;
use velostream_types::{Span, decimal};

use super::super::plan::instead_of;
use super::operand::{Arithmetic, Comparison, Operand};
use super::{Expr, Function, Mistake};
use crate::schema::{DataSchema, FieldType};

/// Deepest nesting of an expression.
const DEPTH_MAX: usize = 64;
/// Most digits that `round` keeps.
const ROUND_DIGITS_MAX: i64 = 18;

/// What can be told of a value before there are records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    Number,
    Text,
    Bool,
    Time,
    Date,
}

impl Kind {
    const fn words(self) -> &'static str {
        match self {
            Kind::Null => "NULL",
            Kind::Number => "a number",
            Kind::Text => "text",
            Kind::Bool => "TRUE or FALSE",
            Kind::Time => "a timestamp",
            Kind::Date => "a date",
        }
    }

    /// A timestamp counts as its ms.
    const fn is_number(self) -> bool {
        matches!(self, Kind::Null | Kind::Number | Kind::Time)
    }

    const fn of(field_type: FieldType) -> Kind {
        match field_type {
            FieldType::String | FieldType::Uuid => Kind::Text,
            FieldType::Integer | FieldType::Float | FieldType::Decimal(_) => Kind::Number,
            FieldType::Boolean => Kind::Bool,
            FieldType::Timestamp => Kind::Time,
            FieldType::Date => Kind::Date,
        }
    }

    /// Values of the two can be compared.
    fn meets(self, other: Kind) -> bool {
        self == other || self == Kind::Null || other == Kind::Null || (self.is_number() && other.is_number())
    }

    /// Some values of this kind are values of the type.
    const fn fits(self, field_type: FieldType) -> bool {
        match (self, field_type) {
            (Kind::Null | Kind::Text, _) | (_, FieldType::String | FieldType::Uuid) => true,
            (Kind::Number, to) => !matches!(to, FieldType::Date),
            (Kind::Bool, to) => !matches!(to, FieldType::Date | FieldType::Timestamp),
            (Kind::Time, to) => !matches!(to, FieldType::Boolean),
            (Kind::Date, to) => matches!(to, FieldType::Date),
        }
    }
}

/// A part of the expression with what is known of it.
struct Part {
    expr: Expr,
    kind: Kind,
    span: Span,
}

/// Reads an expression over the schema's fields; also the positions of those it reads.
pub(super) fn parse(text: &str, schema: &DataSchema, result: FieldType) -> Result<(Expr, Vec<usize>), Mistake> {
    let mut parser = Parser { text, at: 0, depth: 0, schema, reads: Vec::new() };
    let part = parser.comparison()?;
    parser.space();
    if parser.at < text.len() {
        return Err(parser.unexpected("an operator or the end"));
    }
    if !part.kind.fits(result) {
        let message = format!("the field cannot take {}", part.kind.words());
        return Err(Mistake::new("E0311", part.span, message));
    }
    Ok((part.expr, parser.reads))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    schema: &'a DataSchema,
    reads: Vec<usize>,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn since(&self, start: usize) -> Span {
        Span::new(start as u32, self.at as u32)
    }

    fn unexpected(&self, wanted: &str) -> Mistake {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            let span = Span::new(self.at as u32, self.at as u32);
            return Mistake::new("E0102", span, format!("{wanted} is missing at the end of the expression"));
        };
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').filter(|n| *n > 0);
        let length = word.unwrap_or(if first.is_alphanumeric() { rest.len() } else { first.len_utf8() });
        let span = Span::new(self.at as u32, (self.at + length) as u32);
        Mistake::new("E0102", span, format!("{wanted} is expected here, found '{}'", &rest[..length]))
    }

    fn deeper(&mut self) -> Result<(), Mistake> {
        self.depth += 1;
        if self.depth <= DEPTH_MAX {
            return Ok(());
        }
        let span = Span::new(self.at as u32, self.at as u32);
        Err(Mistake::new("E0107", span, format!("the expression is nested deeper than {DEPTH_MAX}")))
    }

    fn comparison(&mut self) -> Result<Part, Mistake> {
        const OPERATORS: [(&str, Comparison); 6] = [
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        self.deeper()?;
        let mut left = self.sum()?;
        loop {
            self.space();
            for (written, meant) in [("=", "=="), ("<>", "!=")] {
                if self.rest().starts_with(written) && !self.rest().starts_with("==") {
                    return Err(self.unexpected("an operator").hint(format!("'{written}' is written '{meant}' here")));
                }
            }
            let Some((_, op)) = OPERATORS.into_iter().find(|(token, _)| self.take(token)) else { break };
            let right = self.sum()?;
            let span = left.span.to(right.span);
            if !left.kind.meets(right.kind) {
                let message = format!("{} is never compared with {}", left.kind.words(), right.kind.words());
                return Err(Mistake::new("E0302", span, message));
            }
            let expr = Expr::Compare(op, Box::new(left.expr), Box::new(right.expr));
            left = Part { expr, kind: Kind::Bool, span };
        }
        self.depth -= 1;
        Ok(left)
    }

    fn sum(&mut self) -> Result<Part, Mistake> {
        const OPERATORS: [(&str, Arithmetic); 2] = [("+", Arithmetic::Add), ("-", Arithmetic::Subtract)];
        self.left_to_right(&OPERATORS, Self::product)
    }

    fn product(&mut self) -> Result<Part, Mistake> {
        const OPERATORS: [(&str, Arithmetic); 3] =
            [("*", Arithmetic::Multiply), ("/", Arithmetic::Divide), ("%", Arithmetic::Remainder)];
        self.left_to_right(&OPERATORS, Self::sign)
    }

    fn left_to_right(
        &mut self,
        operators: &[(&str, Arithmetic)],
        operand: fn(&mut Self) -> Result<Part, Mistake>,
    ) -> Result<Part, Mistake> {
        let mut left = operand(self)?;
        while let Some((token, op)) = operators.iter().find(|(token, _)| self.take(token)) {
            let right = operand(self)?;
            for side in [&left, &right] {
                number_only(side, &format!("'{token}'"))?;
            }
            let span = left.span.to(right.span);
            let expr = Expr::Binary(*op, Box::new(left.expr), Box::new(right.expr));
            left = Part { expr, kind: Kind::Number, span };
        }
        Ok(left)
    }

    fn sign(&mut self) -> Result<Part, Mistake> {
        self.space();
        let start = self.at;
        if !self.take("-") {
            return self.primary();
        }
        self.deeper()?;
        let of = self.sign()?;
        self.depth -= 1;
        number_only(&of, "'-'")?;
        Ok(Part { expr: Expr::Negate(Box::new(of.expr)), kind: Kind::Number, span: self.since(start) })
    }

    fn primary(&mut self) -> Result<Part, Mistake> {
        self.space();
        let start = self.at;
        match self.rest().chars().next() {
            Some('(') => {
                self.at += 1;
                let inner = self.comparison()?;
                if !self.take(")") {
                    return Err(self.unexpected("')'"));
                }
                Ok(Part { span: self.since(start), ..inner })
            }
            Some(quote @ ('\'' | '"')) => self.quoted(start, quote),
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(start),
            Some(c) if c.is_alphabetic() || c == '_' => self.name(start),
            _ => Err(self.unexpected("a field, a number, a text or '('")),
        }
    }

    /// A text; its quote is written twice inside.
    fn quoted(&mut self, start: usize, quote: char) -> Result<Part, Mistake> {
        let mut text = String::new();
        loop {
            self.at += 1;
            let Some(length) = self.rest().find(quote) else {
                self.at = self.text.len();
                return Err(Mistake::new("E0101", self.since(start), "this text is not closed"));
            };
            text.push_str(&self.text[self.at..self.at + length]);
            self.at += length + 1;
            if !self.rest().starts_with(quote) {
                break;
            }
            text.push(quote);
        }
        let expr = Expr::Constant(Operand::Text(text.into()));
        Ok(Part { expr, kind: Kind::Text, span: self.since(start) })
    }

    fn number(&mut self, start: usize) -> Result<Part, Mistake> {
        let bytes = self.text.as_bytes();
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        self.at = digits(self.at);
        if bytes.get(self.at) == Some(&b'.') {
            self.at = digits(self.at + 1);
        }
        if matches!(bytes.get(self.at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(self.at + 1), Some(b'+' | b'-')));
            self.at = digits(self.at + 1 + sign);
        }
        let token = &self.text[start..self.at];
        let exact = decimal::from_text(token).or_else(|| decimal::from_exponent_text(token));
        let constant = match (token.parse::<i64>(), exact, token.parse::<f64>()) {
            (Ok(n), _, _) => Operand::Int(n),
            (_, Some((mantissa, scale)), _) => Operand::Literal(mantissa, scale),
            (_, _, Ok(x)) if x.is_finite() => Operand::Float(x),
            _ => return Err(Mistake::new("E0111", self.since(start), format!("'{token}' is no number"))),
        };
        Ok(Part { expr: Expr::Constant(constant), kind: Kind::Number, span: self.since(start) })
    }

    /// A field, a function with its arguments, or a word.
    fn name(&mut self, start: usize) -> Result<Part, Mistake> {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
        let name = rest[..length].to_owned();
        self.at += length;
        let span = self.since(start);
        if self.take("(") {
            return self.call(start, &name, span);
        }
        if let Some(at) = self.schema.fields.iter().position(|field| field.name == name) {
            self.reads.push(at);
            return Ok(Part { expr: Expr::Field(at), kind: Kind::of(self.schema.fields[at].field_type), span });
        }
        let (constant, kind) = match name.to_ascii_lowercase().as_str() {
            "true" => (Operand::Bool(true), Kind::Bool),
            "false" => (Operand::Bool(false), Kind::Bool),
            "null" => (Operand::Null, Kind::Null),
            _ => {
                let mut mistake = Mistake::new("E0203", span, format!("field \"{name}\" does not exist"));
                (mistake.detail, mistake.hint) = instead_of(&name, self.schema);
                return Err(mistake);
            }
        };
        Ok(Part { expr: Expr::Constant(constant), kind, span })
    }

    fn call(&mut self, start: usize, name: &str, name_span: Span) -> Result<Part, Mistake> {
        let mut arguments: Vec<Part> = Vec::new();
        if !self.take(")") {
            loop {
                arguments.push(self.comparison()?);
                if self.take(")") {
                    break;
                }
                if !self.take(",") {
                    return Err(self.unexpected("',' or ')'"));
                }
            }
        }
        let span = self.since(start);
        let lower = name.to_ascii_lowercase();
        let (function, counts, takes) = match lower.as_str() {
            "random" => (Function::Random, &[0, 2][..], "no arguments, or least and greatest value"),
            "abs" => (Function::Abs, &[1][..], "one argument"),
            "floor" => (Function::Floor, &[1][..], "one argument"),
            "ceil" => (Function::Ceil, &[1][..], "one argument"),
            "round" => (Function::Round(0), &[1, 2][..], "a number and perhaps how many digits are kept"),
            "min" => (Function::Min, &[][..], "at least one argument"),
            "max" => (Function::Max, &[][..], "at least one argument"),
            "concat" => (Function::Concat, &[][..], "at least one argument"),
            _ => {
                let known = ["random", "abs", "min", "max", "concat", "round", "floor", "ceil"];
                let mut mistake = Mistake::new("E0206", name_span, format!("function \"{name}\" does not exist"));
                mistake.detail = Some(format!("derived fields know {}", known.join(", ")));
                mistake.hint = did_you_mean(name, known);
                return Err(mistake);
            }
        };
        let enough = if counts.is_empty() { !arguments.is_empty() } else { counts.contains(&arguments.len()) };
        if !enough {
            let message = format!("{lower} takes {takes}, not {}", arguments.len());
            return Err(Mistake::new("E0207", span, message));
        }
        let (function, kind) = match function {
            Function::Concat => (function, Kind::Text),
            Function::Min | Function::Max => (function, common_kind(&arguments, &lower)?),
            Function::Round(_) => (Function::Round(digits(&mut arguments)?), Kind::Number),
            _ => (function, Kind::Number),
        };
        if kind == Kind::Number {
            arguments.iter().try_for_each(|argument| number_only(argument, &lower))?;
        }
        Ok(Part { expr: Expr::Call(function, arguments.into_iter().map(|a| a.expr).collect()), kind, span })
    }
}

fn number_only(part: &Part, who: &str) -> Result<(), Mistake> {
    if part.kind.is_number() {
        return Ok(());
    }
    Err(Mistake::new("E0302", part.span, format!("{who} takes numbers, and this is {}", part.kind.words())))
}

/// The kind that all arguments have.
fn common_kind(arguments: &[Part], who: &str) -> Result<Kind, Mistake> {
    let mut kind = Kind::Null;
    for argument in arguments {
        if !argument.kind.meets(kind) {
            let message =
                format!("{who} takes values of one kind: {}, and this is {}", kind.words(), argument.kind.words());
            return Err(Mistake::new("E0302", argument.span, message));
        }
        // Among timestamps one is a timestamp; beside a number it counts as one.
        kind = match argument.kind {
            Kind::Null => kind,
            other if kind == Kind::Null || kind == other => other,
            _ => Kind::Number,
        };
    }
    Ok(kind)
}

/// Takes the second argument of `round` off.
fn digits(arguments: &mut Vec<Part>) -> Result<u8, Mistake> {
    if arguments.len() < 2 {
        return Ok(0);
    }
    match arguments.pop() {
        Some(Part { expr: Expr::Constant(Operand::Int(n)), .. }) if (0..=ROUND_DIGITS_MAX).contains(&n) => Ok(n as u8),
        Some(other) => {
            let message = format!("how many digits are kept is a whole number from 0 to {ROUND_DIGITS_MAX}");
            Err(Mistake::new("E0308", other.span, message))
        }
        None => Ok(0),
    }
}
