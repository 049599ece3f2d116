//! Tokens of an expression to its tree and its parts.

use super::lex::{Token, tokens};
use super::{Arithmetic, Comparison, Expression, Function, Node, Part, Position, SyntaxError};

/// Brackets, signs and `not` inside each other, at most: each takes some frames of the stack.
const DEPTH_MAX: usize = 64;

pub(super) fn parse(text: &str) -> Result<Expression, SyntaxError> {
    let mut parser =
        Parser { text, tokens: tokens(text)?, at: 0, depth: 0, record: None, parts: Vec::new(), positions: Vec::new() };
    let root = parser.or()?;
    match parser.tokens.get(parser.at) {
        Some((_, token)) => {
            Err(parser.wrong(&format!("{} cannot stand here; an operator or the end can", told(token))))
        }
        None => Ok(Expression { root, parts: parser.parts, positions: parser.positions }),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<(usize, Token)>,
    at: usize,
    depth: usize,
    /// Inside a comprehension: what it calls the record, and the fields it has read.
    record: Option<(Box<str>, Vec<Box<str>>)>,
    parts: Vec<Part>,
    positions: Vec<Position>,
}

type Parsed = Result<Node, SyntaxError>;

impl Parser<'_> {
    fn or(&mut self) -> Parsed {
        let mut left = self.and()?;
        while self.take_word("or") {
            left = Node::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed {
        let mut left = self.not()?;
        while self.take_word("and") {
            left = Node::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Parsed {
        if !self.take_word("not") {
            return self.comparison();
        }
        let inner = self.deeper(Parser::not)?;
        Ok(Node::Not(Box::new(inner)))
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.sum()?;
        let Some(operator) = self.take_one(&[
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<=", Comparison::LessOrEqual),
            (">", Comparison::Greater),
            ("<", Comparison::Less),
        ]) else {
            return Ok(left);
        };
        let right = self.sum()?;
        if ["==", "!=", ">=", "<=", ">", "<"].iter().any(|sign| self.is_sign(0, sign)) {
            return Err(self.wrong("comparisons do not chain; join two of them with `and`"));
        }
        Ok(Node::Compare(operator, Box::new(left), Box::new(right)))
    }

    fn sum(&mut self) -> Parsed {
        let mut left = self.product()?;
        while let Some(operator) = self.take_one(&[("+", Arithmetic::Add), ("-", Arithmetic::Subtract)]) {
            left = Node::Compute(operator, Box::new(left), Box::new(self.product()?));
        }
        Ok(left)
    }

    fn product(&mut self) -> Parsed {
        let mut left = self.unary()?;
        while let Some(operator) = self.take_one(&[("*", Arithmetic::Multiply), ("/", Arithmetic::Divide)]) {
            left = Node::Compute(operator, Box::new(left), Box::new(self.unary()?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        if self.take_sign("-") {
            let inner = self.deeper(Parser::unary)?;
            return Ok(Node::Negated(Box::new(inner)));
        }
        if self.take_sign("+") {
            return self.deeper(Parser::unary);
        }
        self.primary()
    }

    fn primary(&mut self) -> Parsed {
        let Some((_, token)) = self.tokens.get(self.at).cloned() else {
            return Err(self.wrong("the expression ends where a value has to follow"));
        };
        match token {
            Token::Number(number) => self.taken(Node::Number(number)),
            Token::Text(text) => self.taken(Node::Text(text)),
            Token::Sign("(") => self.bracketed(")"),
            // Braces mark what is looked up; they group like parentheses.
            Token::Sign("{{") => self.bracketed("}}"),
            Token::Sign(_) => Err(self.wrong(&format!("{} cannot stand here; a value can", told(&token)))),
            Token::Name(name) => self.named(&name),
        }
    }

    fn taken(&mut self, node: Node) -> Parsed {
        self.at += 1;
        Ok(node)
    }

    fn bracketed(&mut self, end: &'static str) -> Parsed {
        self.at += 1;
        let inner = self.deeper(Parser::or)?;
        self.need(end)?;
        Ok(inner)
    }

    fn named(&mut self, name: &str) -> Parsed {
        match name {
            "true" | "True" => return self.taken(Node::Bool(true)),
            "false" | "False" => return self.taken(Node::Bool(false)),
            "null" | "None" => return self.taken(Node::Null),
            "and" | "or" | "not" | "for" | "in" | "if" => {
                return Err(self.wrong(&format!("`{name}` cannot stand here; a value can")));
            }
            _ => {}
        }
        if self.record.as_ref().is_some_and(|(record, _)| **record == *name) {
            self.at += 1;
            let field = self.field_behind(name)?;
            if let Some((_, fields)) = &mut self.record
                && !fields.contains(&field)
            {
                fields.push(field.clone());
            }
            return Ok(Node::Field(field));
        }
        if self.is_sign(1, "(") {
            return self.call(name);
        }
        match name {
            "records" => self.records(),
            "inputs" | "outputs" => self.count_of(name == "inputs"),
            _ => self.variable(),
        }
    }

    /// `records.length`, `records[3].price`
    fn records(&mut self) -> Parsed {
        self.outside_comprehension("records")?;
        self.at += 1;
        if self.take_sign(".") {
            return match self.take_name().as_deref() {
                Some("length" | "len") => Ok(Node::Length),
                _ => Err(self.wrong_before("records have a `length`; a record is records[0]")),
            };
        }
        self.need("[")?;
        let index = match self.tokens.get(self.at) {
            Some((_, Token::Number(number))) => number.text().parse::<u64>().ok(),
            _ => None,
        };
        let Some(index) = index else {
            return Err(self.wrong("the number of a record has to stand here, counted from 0"));
        };
        self.at += 1;
        self.need("]")?;
        let field = self.field_behind(&format!("records[{index}]"))?;
        self.positions.push(Position { index, field });
        Ok(Node::At(self.positions.len() - 1))
    }

    /// `.price`, `.o.price` or `["o.price"]`
    fn field_behind(&mut self, of: &str) -> Result<Box<str>, SyntaxError> {
        if self.take_sign("[") {
            let Some((_, Token::Text(name))) = self.tokens.get(self.at).cloned() else {
                return Err(self.wrong("the name of a field has to stand here, in quotes"));
            };
            self.at += 1;
            self.need("]")?;
            return Ok(name);
        }
        let names = self.names_behind();
        if names.is_empty() {
            return Err(self.wrong(&format!("{of} is a record; a field of it is {of}.name")));
        }
        Ok(names.join(".").into())
    }

    /// `.a.b`: the names behind the points.
    fn names_behind(&mut self) -> Vec<Box<str>> {
        let mut names = Vec::new();
        while self.is_sign(0, ".")
            && let Some((_, Token::Name(name))) = self.tokens.get(self.at + 1)
        {
            names.push(name.clone());
            self.at += 2;
        }
        names
    }

    /// `inputs.orders.count`: the name may have points and hyphens, as topics do.
    fn count_of(&mut self, of_inputs: bool) -> Parsed {
        self.at += 1;
        if self.take_sign("[") {
            let Some((_, Token::Text(name))) = self.tokens.get(self.at).cloned() else {
                return Err(self.wrong("a name has to stand here, in quotes"));
            };
            self.at += 1;
            self.need("]")?;
            return match self.names_behind().as_slice() {
                [count] if **count == *"count" => Ok(Node::Count { of_inputs, name }),
                _ => Err(self.wrong_before("what is known of inputs and outputs is their `.count`")),
            };
        }
        self.need(".")?;
        let begin = self.tokens.get(self.at).map_or(self.text.len(), |(at, _)| *at);
        let run = self.text[begin..]
            .find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.'))
            .map_or(&self.text[begin..], |end| &self.text[begin..begin + end]);
        let is_end = |at: usize| !run[at..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let Some(length) = run.match_indices(".count").map(|(at, _)| at).find(|at| is_end(at + ".count".len())) else {
            let of = if of_inputs { "inputs" } else { "outputs" };
            return Err(self.wrong(&format!("what is known of {of} is their count: {of}.NAME.count")));
        };
        let end = begin + length + ".count".len();
        while self.tokens.get(self.at).is_some_and(|(at, _)| *at < end) {
            self.at += 1;
        }
        Ok(Node::Count { of_inputs, name: run[..length].into() })
    }

    /// `variables.X`, `X`
    fn variable(&mut self) -> Parsed {
        let first = self.take_name().unwrap_or_default();
        let rest = self.names_behind();
        if *first == *"variables" && !rest.is_empty() {
            return Ok(Node::Variable(rest.join(".").into()));
        }
        let mut names = vec![first];
        names.extend(rest);
        Ok(Node::Variable(names.join(".").into()))
    }

    fn call(&mut self, name: &str) -> Parsed {
        let function = match name.to_ascii_lowercase().as_str() {
            "len" => return self.length(),
            "all" => Function::All,
            "any" => Function::Any,
            "sum" => Function::Sum,
            "avg" => Function::Avg,
            "min" => Function::Min,
            "max" => Function::Max,
            "count" => Function::Count,
            _ => {
                let known = ["len", "all", "any", "sum", "avg", "min", "max", "count"];
                let near = velostream_sql::suggest::closest(name, known).map(|n| format!("; did you mean {n}()?"));
                return Err(self.wrong(&format!("there is no function {name}(){}", near.unwrap_or_default())));
            }
        };
        self.outside_comprehension(&format!("{name}()"))?;
        self.at += 2;
        let Some(record) = self.comprehension() else { return self.over_field(function, name) };
        self.record = Some((record, Vec::new()));
        let body = self.deeper(Parser::or);
        let part = body.and_then(|body| {
            // `for NAME in records`, as looked up before.
            self.at += 3;
            if !self.take_word("records") {
                return Err(self.wrong("a comprehension goes over `records`"));
            }
            let condition = if self.take_word("if") { Some(self.deeper(Parser::or)?) } else { None };
            self.need(")")?;
            Ok((body, condition))
        });
        let fields = self.record.take().map(|(_, fields)| fields).unwrap_or_default();
        let (body, condition) = part?;
        self.parts.push(Part { function, body, condition, over_field: false, fields });
        Ok(Node::Part(self.parts.len() - 1))
    }

    /// `len(records)`
    fn length(&mut self) -> Parsed {
        self.outside_comprehension("len()")?;
        self.at += 2;
        if !self.take_word("records") {
            return Err(self.wrong("len() takes `records`"));
        }
        self.need(")")?;
        Ok(Node::Length)
    }

    /// `sum(price)`, `sum("o.price")`, `count(records)`
    fn over_field(&mut self, function: Function, name: &str) -> Parsed {
        if matches!(function, Function::All | Function::Any) {
            return Err(
                self.wrong(&format!("{name}() takes a condition for each record: {name}(r.x > 0 for r in records)"))
            );
        }
        let field: Box<str> = match self.tokens.get(self.at).cloned() {
            Some((_, Token::Text(field))) => {
                self.at += 1;
                field
            }
            Some((_, Token::Name(first))) => {
                self.at += 1;
                let mut names = vec![first];
                names.extend(self.names_behind());
                names.join(".").into()
            }
            _ => return Err(self.wrong(&format!("{name}() takes a field, or an expression for each record"))),
        };
        if !self.is_sign(0, ")") {
            return Err(self.wrong(&format!(
                "{name}() takes a field, or an expression for each record: {name}(r.x * 2 for r in records)"
            )));
        }
        self.at += 1;
        if function == Function::Count && *field == *"records" {
            return Ok(Node::Length);
        }
        let body = Node::Field(field.clone());
        self.parts.push(Part { function, body, condition: None, over_field: true, fields: vec![field] });
        Ok(Node::Part(self.parts.len() - 1))
    }

    /// What the comprehension that begins here calls its record: the name between `for` and `in`.
    fn comprehension(&self) -> Option<Box<str>> {
        let mut open = 0usize;
        for (i, (_, token)) in self.tokens.iter().enumerate().skip(self.at) {
            match token {
                Token::Sign("(" | "[" | "{{") => open += 1,
                Token::Sign(")" | "]" | "}}") if open == 0 => return None,
                Token::Sign(")" | "]" | "}}") => open -= 1,
                Token::Name(word) if open == 0 && **word == *"for" => {
                    let behind = |n: usize| self.tokens.get(i + n).map(|(_, token)| token);
                    return match (behind(1), behind(2)) {
                        (Some(Token::Name(record)), Some(Token::Name(word))) if **word == *"in" => Some(record.clone()),
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        None
    }

    fn outside_comprehension(&self, what: &str) -> Result<(), SyntaxError> {
        match self.record {
            Some(_) => Err(self.wrong(&format!(
                "{what} inside a comprehension would need all records for each of them; compare with a number or a variable"
            ))),
            None => Ok(()),
        }
    }

    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.depth == DEPTH_MAX {
            return Err(self.wrong(&format!("brackets are more than {DEPTH_MAX} deep; split the expression")));
        }
        self.depth += 1;
        let node = inner(self);
        self.depth -= 1;
        node
    }

    fn is_sign(&self, ahead: usize, wanted: &str) -> bool {
        matches!(self.tokens.get(self.at + ahead), Some((_, Token::Sign(sign))) if *sign == wanted)
    }

    fn take_sign(&mut self, wanted: &str) -> bool {
        let found = self.is_sign(0, wanted);
        self.at += usize::from(found);
        found
    }

    fn take_one<T: Copy>(&mut self, choices: &[(&str, T)]) -> Option<T> {
        choices.iter().find(|(sign, _)| self.take_sign(sign)).map(|(_, value)| *value)
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some((_, Token::Name(name))) if **name == *wanted);
        self.at += usize::from(found);
        found
    }

    fn take_name(&mut self) -> Option<Box<str>> {
        let Some((_, Token::Name(name))) = self.tokens.get(self.at) else { return None };
        let name = name.clone();
        self.at += 1;
        Some(name)
    }

    fn need(&mut self, sign: &'static str) -> Result<(), SyntaxError> {
        if self.take_sign(sign) {
            return Ok(());
        }
        let found = self.tokens.get(self.at).map_or_else(|| "the end".to_owned(), |(_, token)| told(token));
        Err(self.wrong(&format!("{sign} has to stand here, not {found}")))
    }

    fn wrong(&self, message: &str) -> SyntaxError {
        (self.tokens.get(self.at).map_or(self.text.len(), |(at, _)| *at), message.to_owned())
    }

    fn wrong_before(&self, message: &str) -> SyntaxError {
        let before = self.at.saturating_sub(1);
        (self.tokens.get(before).map_or(self.text.len(), |(at, _)| *at), message.to_owned())
    }
}

/// A token as messages name it.
fn told(token: &Token) -> String {
    match token {
        Token::Number(number) => number.text(),
        Token::Text(text) => format!("'{text}'"),
        Token::Name(name) => format!("\"{name}\""),
        Token::Sign(sign) => (*sign).to_owned(),
    }
}
