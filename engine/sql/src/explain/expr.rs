//! Typed expressions back to SQL text.
//!
//! The text parses to the same expression: operands are in parentheses where precedence or the left-to-right order of
//! a flat chain asks for it, and nowhere else. Coercions the binder inserted show as CAST.

use std::fmt::Write;

use velostream_types::{Schema, Value};

use crate::plan::{ArithmeticOp, ArithmeticStep, CompareOp, Expr, ExprKind, SystemColumn};

/// How tightly an expression binds, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Not,
    Comparison,
    Concat,
    Sum,
    Product,
    Sign,
    Primary,
}

/// Words that are no column names unless quoted.
const RESERVED: &[&str] = &[
    "SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "EMIT", "AND", "OR", "NOT", "IN", "IS", "LIKE",
    "BETWEEN", "CASE", "WHEN", "THEN", "ELSE", "END", "AS", "UNION", "TRUE", "FALSE", "NULL",
];

/// The expression as SQL over the columns of its input.
pub fn sql(expr: &Expr, input: &Schema) -> String {
    let mut printer = Printer { input, out: String::new() };
    printer.expr(expr);
    printer.out
}

/// A name as SQL: in backticks unless it is a plain identifier.
pub fn name(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !RESERVED.iter().any(|r| r.eq_ignore_ascii_case(name));
    if is_plain { name.to_owned() } else { format!("`{}`", name.replace('`', "``")) }
}

/// A constant as SQL.
pub fn literal(value: &Value) -> String {
    match value {
        Value::Bool(b) => if *b { "TRUE" } else { "FALSE" }.to_owned(),
        Value::Float(x) if !x.is_finite() => format!("CAST('{value}' AS FLOAT)"),
        // Without an exponent it would read as a decimal.
        Value::Float(_) => {
            let text = value.to_string();
            if text.contains(['e', 'E']) { text } else { format!("{text}e0") }
        }
        Value::Str(s) | Value::Json(s) => format!("'{}'", s.replace('\'', "''")),
        Value::Bytes(_) => format!("X'{value}'"),
        Value::Date(_) => format!("DATE '{value}'"),
        Value::Timestamp(_) => format!("TIMESTAMP '{value}'"),
        Value::Time(_) => format!("TIME '{value}'"),
        Value::Null | Value::Int(_) | Value::Decimal { .. } | Value::Interval(_) => value.to_string(),
    }
}

/// Name of a system column.
const fn system(column: SystemColumn) -> &'static str {
    match column {
        SystemColumn::Timestamp => "_timestamp",
        SystemColumn::EventTime => "_event_time",
        SystemColumn::EventTimeNs => "_event_time_ns",
        SystemColumn::Offset => "_offset",
        SystemColumn::Partition => "_partition",
    }
}

const fn arithmetic(op: ArithmeticOp) -> (&'static str, Binding) {
    match op {
        ArithmeticOp::Add => ("+", Binding::Sum),
        ArithmeticOp::Subtract => ("-", Binding::Sum),
        ArithmeticOp::Multiply => ("*", Binding::Product),
        ArithmeticOp::Divide => ("/", Binding::Product),
        ArithmeticOp::Modulo => ("%", Binding::Product),
    }
}

pub(super) const fn comparison(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Equal => "=",
        CompareOp::NotEqual => "<>",
        CompareOp::Less => "<",
        CompareOp::LessOrEqual => "<=",
        CompareOp::Greater => ">",
        CompareOp::GreaterOrEqual => ">=",
    }
}

fn binding(expr: &Expr) -> Binding {
    match &expr.kind {
        ExprKind::Or(list) if list.len() != 1 => Binding::Or,
        ExprKind::And(list) if list.len() != 1 => Binding::And,
        ExprKind::Concat(list) if list.len() != 1 => Binding::Concat,
        ExprKind::Or(list) | ExprKind::And(list) | ExprKind::Concat(list) => binding(&list[0]),
        ExprKind::Not(_) => Binding::Not,
        ExprKind::Compare { .. } | ExprKind::Distinct { .. } | ExprKind::IsNull { .. } | ExprKind::InList { .. } => {
            Binding::Comparison
        }
        ExprKind::Call { function, .. } if function.name == "LIKE" => Binding::Comparison,
        ExprKind::Arithmetic { first, rest } => rest.last().map_or(binding(first), |step| arithmetic(step.op).1),
        ExprKind::Negate(_) => Binding::Sign,
        ExprKind::Literal(value) if literal(value).starts_with('-') => Binding::Sign,
        _ => Binding::Primary,
    }
}

struct Printer<'p> {
    input: &'p Schema,
    out: String,
}

impl Printer<'_> {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// The expression, in parentheses unless it binds at least this tightly.
    fn operand(&mut self, expr: &Expr, least: Binding) {
        if binding(expr) >= least {
            self.expr(expr);
        } else {
            self.push("(");
            self.expr(expr);
            self.push(")");
        }
    }

    fn list(&mut self, list: &[Expr], separator: &str, least: Binding) {
        for (i, expr) in list.iter().enumerate() {
            if i > 0 {
                self.push(separator);
            }
            self.operand(expr, least);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Column(at) => {
                let column = self.input.fields.get(*at).map_or_else(|| format!("#{at}"), |f| name(&f.name));
                self.push(&column);
            }
            ExprKind::Literal(value) => self.push(&literal(value)),
            ExprKind::System(column) => self.push(system(*column)),
            ExprKind::Arithmetic { first, rest } => self.arithmetic(first, rest),
            ExprKind::Negate(operand) => {
                self.push("-");
                // Two signs in a row would start a comment.
                self.operand(operand, Binding::Primary);
            }
            ExprKind::Compare { op, left, right } => self.pair(left, comparison(*op), right),
            ExprKind::Distinct { left, right, negated } => {
                self.pair(left, if *negated { "IS NOT DISTINCT FROM" } else { "IS DISTINCT FROM" }, right);
            }
            ExprKind::And(list) if list.is_empty() => self.push("TRUE"),
            ExprKind::Or(list) if list.is_empty() => self.push("FALSE"),
            ExprKind::Concat(list) if list.is_empty() => self.push("''"),
            ExprKind::And(list) | ExprKind::Or(list) | ExprKind::Concat(list) if list.len() == 1 => self.expr(&list[0]),
            ExprKind::And(list) => self.list(list, " AND ", Binding::Not),
            ExprKind::Or(list) => self.list(list, " OR ", Binding::And),
            ExprKind::Concat(list) => self.list(list, " || ", Binding::Sum),
            ExprKind::Not(operand) => {
                self.push("NOT ");
                self.operand(operand, Binding::Not);
            }
            ExprKind::IsNull { operand, negated } => {
                self.operand(operand, Binding::Concat);
                self.push(if *negated { " IS NOT NULL" } else { " IS NULL" });
            }
            ExprKind::InList { operand, list, negated } => {
                self.operand(operand, Binding::Concat);
                self.push(if *negated { " NOT IN (" } else { " IN (" });
                self.list(list, ", ", Binding::Or);
                self.push(")");
            }
            ExprKind::Case { branches, otherwise } => self.case(branches, otherwise.as_deref()),
            ExprKind::Coalesce(list) => {
                self.push("COALESCE(");
                self.list(list, ", ", Binding::Or);
                self.push(")");
            }
            ExprKind::RecordKey { parts, .. } => {
                self.push("KEY(");
                parts.iter().enumerate().for_each(|(i, (_, part))| {
                    self.push(if i > 0 { ", " } else { "" });
                    self.expr(part);
                });
                self.push(")");
            }
            ExprKind::Header { call, args, .. } => {
                self.push(call.name());
                self.push("(");
                self.list(args, ", ", Binding::Or);
                self.push(")");
            }
            ExprKind::Headers { edits, .. } => self.list(edits, ", ", Binding::Or),
            ExprKind::Cast { operand, try_cast } => {
                self.push(if *try_cast { "TRY_CAST(" } else { "CAST(" });
                self.expr(operand);
                let _ = write!(self.out, " AS {})", expr.data_type);
            }
            ExprKind::Try(operand) => {
                self.push("TRY(");
                self.expr(operand);
                self.push(")");
            }
            ExprKind::Call { function, args } if function.name == "FIELD" => match &args[1].kind {
                ExprKind::Literal(Value::Str(field)) => {
                    self.operand(&args[0], Binding::Primary);
                    self.push(".");
                    self.push(&name(field));
                }
                _ => self.call(function.name, args),
            },
            ExprKind::Call { function, args } if function.name == "ELEMENT_AT" => {
                self.operand(&args[0], Binding::Primary);
                self.push("[");
                self.expr(&args[1]);
                self.push("]");
            }
            ExprKind::Call { function, args } if function.name == "LIKE" => {
                self.pair(&args[0], "LIKE", &args[1]);
                if let Some(escape) = args.get(2) {
                    self.push(" ESCAPE ");
                    self.operand(escape, Binding::Concat);
                }
            }
            ExprKind::Call { function, args } => self.call(function.name, args),
        }
    }

    fn call(&mut self, name: &str, args: &[Expr]) {
        self.push(name);
        self.push("(");
        self.list(args, ", ", Binding::Or);
        self.push(")");
    }

    fn pair(&mut self, left: &Expr, op: &str, right: &Expr) {
        self.operand(left, Binding::Concat);
        self.push(&format!(" {op} "));
        self.operand(right, Binding::Concat);
    }

    /// A chain runs left to right whatever its operators: what stands to the left of a tighter operator is wrapped.
    fn arithmetic(&mut self, first: &Expr, rest: &[ArithmeticStep]) {
        let start = self.out.len();
        let Some(step) = rest.first() else { return self.expr(first) };
        self.operand(first, arithmetic(step.op).1);
        let mut level = arithmetic(step.op).1;
        for step in rest {
            let (sign, tightness) = arithmetic(step.op);
            if tightness > level {
                self.out.insert(start, '(');
                self.push(")");
            }
            level = tightness;
            let _ = write!(self.out, " {sign} ");
            let least = if tightness == Binding::Sum { Binding::Product } else { Binding::Sign };
            self.operand(&step.operand, least);
        }
    }

    fn case(&mut self, branches: &[(Expr, Expr)], otherwise: Option<&Expr>) {
        self.push("CASE");
        for (condition, result) in branches {
            self.push(" WHEN ");
            self.expr(condition);
            self.push(" THEN ");
            self.expr(result);
        }
        if let Some(otherwise) = otherwise {
            self.push(" ELSE ");
            self.expr(otherwise);
        }
        self.push(" END");
    }
}

#[cfg(test)]
mod tests {
    use velostream_types::{DataType, Field, Span};

    use super::*;

    fn e(kind: ExprKind) -> Expr {
        Expr { kind, data_type: DataType::Integer, span: Span::default() }
    }
    fn col(at: usize) -> Expr {
        e(ExprKind::Column(at))
    }
    fn int(i: i64) -> Expr {
        e(ExprKind::Literal(Value::Int(i)))
    }
    fn chain(first: Expr, rest: Vec<(ArithmeticOp, Expr)>) -> Expr {
        let step = |(op, operand)| ArithmeticStep { op, operand, data_type: DataType::Integer, span: Span::default() };
        e(ExprKind::Arithmetic { first: Box::new(first), rest: rest.into_iter().map(step).collect() })
    }
    fn compare(left: Expr, op: CompareOp, right: Expr) -> Expr {
        e(ExprKind::Compare { op, left: Box::new(left), right: Box::new(right) })
    }
    fn not(x: Expr) -> Expr {
        e(ExprKind::Not(Box::new(x)))
    }

    fn check(expr: Expr, expect: &str) {
        let fields = ["a", "b", "Order", "zwei worte"].map(|n| Field::new(n, DataType::Integer));
        assert_eq!(sql(&expr, &Schema::new(fields.into())), expect);
    }

    #[test]
    fn chains_run_left_to_right() {
        use ArithmeticOp::*;
        check(chain(col(0), vec![(Add, col(1)), (Subtract, int(1))]), "a + b - 1");
        check(chain(col(0), vec![(Add, col(1)), (Multiply, int(2)), (Subtract, int(1))]), "(a + b) * 2 - 1");
        check(chain(col(0), vec![(Multiply, col(1)), (Add, int(2)), (Divide, int(3))]), "(a * b + 2) / 3");
        check(chain(col(0), vec![(Subtract, chain(col(1), vec![(Subtract, int(1))]))]), "a - (b - 1)");
        check(chain(col(0), vec![(Subtract, chain(col(1), vec![(Multiply, int(2))]))]), "a - b * 2");
        check(chain(col(0), vec![(Divide, chain(col(1), vec![(Modulo, int(2))]))]), "a / (b % 2)");
        check(chain(chain(col(0), vec![(Add, int(1))]), vec![(Multiply, int(2))]), "(a + 1) * 2");
        check(chain(col(0), vec![(Subtract, int(-5))]), "a - -5");
        check(e(ExprKind::Negate(Box::new(int(-5)))), "-(-5)");
        check(e(ExprKind::Negate(Box::new(chain(col(0), vec![(Add, col(1))])))), "-(a + b)");
    }

    #[test]
    fn logic_and_comparisons() {
        use CompareOp::*;
        let less = || compare(col(0), Less, col(1));
        check(
            e(ExprKind::And(vec![less(), e(ExprKind::Or(vec![less(), not(less())]))])),
            "a < b AND (a < b OR NOT a < b)",
        );
        check(e(ExprKind::Or(vec![e(ExprKind::And(vec![less(), less()])), less()])), "a < b AND a < b OR a < b");
        check(not(e(ExprKind::And(vec![less(), less()]))), "NOT (a < b AND a < b)");
        check(compare(less(), Equal, less()), "(a < b) = (a < b)");
        check(compare(col(2), NotEqual, col(3)), "`Order` <> `zwei worte`");
        check(e(ExprKind::IsNull { operand: Box::new(not(col(0))), negated: true }), "(NOT a) IS NOT NULL");
        check(
            e(ExprKind::InList { operand: Box::new(col(0)), list: vec![int(1), less()], negated: true }),
            "a NOT IN (1, a < b)",
        );
        let distinct = ExprKind::Distinct { left: Box::new(col(0)), right: Box::new(int(1)), negated: false };
        check(e(distinct), "a IS DISTINCT FROM 1");
        check(e(ExprKind::And(vec![])), "TRUE");
    }

    #[test]
    fn calls_and_constants() {
        let text = |s: &str| e(ExprKind::Literal(Value::Str(s.into())));
        let sum = || chain(col(0), vec![(ArithmeticOp::Add, int(1))]);
        check(e(ExprKind::Concat(vec![text("it's"), sum(), col(1)])), "'it''s' || a + 1 || b");
        let case = ExprKind::Case { branches: vec![(col(0), int(1))], otherwise: Some(Box::new(int(2))) };
        check(e(case), "CASE WHEN a THEN 1 ELSE 2 END");
        check(e(ExprKind::Coalesce(vec![col(0), int(0)])), "COALESCE(a, 0)");
        check(e(ExprKind::Cast { operand: Box::new(sum()), try_cast: true }), "TRY_CAST(a + 1 AS INTEGER)");
        check(e(ExprKind::System(SystemColumn::EventTime)), "_event_time");
        let call = |name, args| {
            let function = velostream_functions::find(name).expect("a function of the catalogue");
            e(ExprKind::Call { function, args })
        };
        check(call("UPPER", vec![text("a")]), "UPPER('a')");
        check(not(call("LIKE", vec![col(0), text("a!%"), text("!")])), "NOT a LIKE 'a!%' ESCAPE '!'");
        check(compare(call("LIKE", vec![sum(), text("a")]), CompareOp::Equal, col(1)), "(a + 1 LIKE 'a') = b");
        for (value, expect) in [
            (Value::Null, "NULL"),
            (Value::Bool(true), "TRUE"),
            (Value::Float(1.5), "1.5e0"),
            (Value::Float(f64::NAN), "CAST('NaN' AS FLOAT)"),
            (Value::Decimal { mantissa: -150, scale: 2 }, "-1.50"),
            (Value::Date(0), "DATE '1970-01-01'"),
            (Value::Timestamp(0), "TIMESTAMP '1970-01-01 00:00:00.000'"),
            (Value::Interval(300_000_000_000), "5m"),
            (Value::Bytes([1, 255].into()), "X'01ff'"),
        ] {
            check(e(ExprKind::Literal(value)), expect);
        }
    }
}
