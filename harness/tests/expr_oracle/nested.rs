//! Nested values in the engine's kernels against the oracle's trees: random arrays, maps, structs and JSON are compared,
//! converted, chosen and looked up, row by row.

use proptest::prelude::*;
use velostream_exec::expr::{EvalContext, Evaluator};
use velostream_functions::json::{Strictness, canonical};
use velostream_harness::oracle::{self, Row};
use velostream_sql::plan::{CompareOp, Expr, ExprKind};
use velostream_types::{Batch, Column, DataType, RowMeta, SourceId, Span, Value};

use super::{Draw, cases};

/// Types of the columns; the last one is text that mostly is JSON.
fn types() -> Vec<DataType> {
    let point = DataType::structure([("x", DataType::Integer), ("of", DataType::array(DataType::String))]);
    vec![
        DataType::array(DataType::decimal(2)),
        DataType::array(DataType::Integer),
        point.clone(),
        DataType::array(point),
        DataType::map(DataType::decimal(1)),
        DataType::Json,
        DataType::String,
    ]
}

fn text(draw: &mut Draw, from: &[&'static str]) -> &'static str {
    from[draw.below(from.len() as u64) as usize]
}

/// JSON of a random value that fits the type, or nearly.
fn random(draw: &mut Draw, data_type: &DataType, out: &mut String) {
    if draw.once_in(8) {
        return out.push_str("null");
    }
    let count = draw.below(4);
    match data_type {
        DataType::Array(of) => {
            out.push('[');
            (0..count).for_each(|i| {
                out.push_str(if i > 0 { ", " } else { "" });
                random(draw, of, out);
            });
            out.push(']');
        }
        DataType::Map(of) => {
            out.push('{');
            (0..count).for_each(|i| {
                out.push_str(if i > 0 { "," } else { "" });
                out.push_str(&format!("\"{}\":", text(draw, &["a", "b", "é", "k\\\"1"])));
                random(draw, of, out);
            });
            out.push('}');
        }
        DataType::Struct(fields) => {
            out.push('{');
            let mut first = true;
            for field in fields.iter() {
                if draw.once_in(5) {
                    continue;
                }
                out.push_str(if first { "\"" } else { ",\"" });
                first = false;
                out.push_str(&format!("{}\":", field.name));
                random(draw, &field.data_type, out);
            }
            out.push('}');
        }
        DataType::Integer => out.push_str(text(draw, &["0", "1", "-3", "12", "900000000000"])),
        DataType::Decimal { .. } => out.push_str(text(draw, &["0", "1.5", "-2.25", "2.250", "10", "7.99"])),
        DataType::String => {
            out.push_str(text(draw, &["\"\"", "\"a\"", "\"a\\u0062\"", "\"7\"", "\" 1.5 \"", "\"\\n\""]))
        }
        _ => {
            let all = types();
            let other = draw.pick(&all[..5]).clone();
            match draw.below(4) {
                0 => out.push_str(text(draw, &["true", "5", "-1.50", "\"x\"", "\"12\"", "1e2"])),
                _ => random(draw, &other, out),
            }
        }
    }
}

fn column(draw: &mut Draw, data_type: &DataType, rows: usize) -> Column {
    let cell = |_| {
        let mut raw = String::new();
        if *data_type == DataType::String {
            if draw.once_in(6) {
                return Some(text(draw, &["", "[1", "text", "{\"a\"}", "[1]]"]).to_owned());
            }
            let all = types();
            let of = draw.pick(&all[..6]).clone();
            random(draw, &of, &mut raw);
            return Some(raw);
        }
        random(draw, data_type, &mut raw);
        let mut text = String::new();
        canonical(&raw, data_type, Strictness::Declared, &mut text).expect("it was drawn to fit");
        (text != "null").then_some(text)
    };
    Column::strs((0..rows).map(cell).collect::<Vec<Option<String>>>())
}

struct Exprs<'d> {
    draw: &'d mut Draw,
    next_span: u32,
}

impl Exprs<'_> {
    fn make(&mut self, kind: ExprKind, data_type: DataType) -> Expr {
        self.next_span += 1;
        Expr { kind, data_type, span: Span::new(self.next_span, self.next_span + 1) }
    }

    fn column(&mut self, at: usize) -> Expr {
        self.make(ExprKind::Column(at), types()[at].clone())
    }

    /// A cast the binder would let through.
    fn cast(&mut self) -> Expr {
        let point = DataType::structure([("of", DataType::Json), ("x", DataType::String), ("new", DataType::Float)]);
        let decimals = DataType::array(DataType::Decimal { precision: 4, scale: 1 });
        let (from, to): (usize, Vec<DataType>) = match self.draw.below(7) {
            0 => (0, vec![DataType::array(DataType::Integer), DataType::array(DataType::String), decimals]),
            1 => (1, vec![decimals, DataType::array(DataType::Json), DataType::Json, DataType::String]),
            2 => (2, vec![point, DataType::Json]),
            3 => (3, vec![DataType::array(DataType::Json), DataType::array(point)]),
            4 => (4, vec![DataType::map(DataType::Integer), DataType::map(DataType::String), DataType::Json]),
            5 => (5, [types(), vec![DataType::Integer, DataType::decimal(1), DataType::Boolean]].concat()),
            _ => (6, types()),
        };
        let to = self.draw.pick(&to).clone();
        let operand = Box::new(self.column(from));
        let try_cast = self.draw.once_in(2);
        self.make(ExprKind::Cast { operand, try_cast }, to)
    }

    /// A value of the type of column `at`.
    fn value(&mut self, at: usize) -> Expr {
        match self.draw.below(4) {
            0 => {
                let list = vec![self.column(at), self.column(at)];
                self.make(ExprKind::Coalesce(list), types()[at].clone())
            }
            1 => {
                let (when, then) = (self.condition(), self.column(at));
                let otherwise = Some(Box::new(self.column(at)));
                self.make(ExprKind::Case { branches: vec![(when, then)], otherwise }, types()[at].clone())
            }
            2 => {
                let cell = column(self.draw, &types()[at], 1).value(0);
                self.make(ExprKind::Literal(cell), types()[at].clone())
            }
            _ => self.column(at),
        }
    }

    fn condition(&mut self) -> Expr {
        use CompareOp::*;
        let at = self.draw.below(6) as usize;
        let (left, right) = (Box::new(self.column(at)), Box::new(self.column(at)));
        // Maps and JSON have no order.
        let ops: &[CompareOp] =
            if at < 4 { &[Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual] } else { &[Equal, NotEqual] };
        let kind = match self.draw.below(3) {
            0 => ExprKind::Distinct { left, right, negated: self.draw.once_in(2) },
            _ => ExprKind::Compare { op: *self.draw.pick(ops), left, right },
        };
        self.make(kind, DataType::Boolean)
    }

    fn any(&mut self) -> Expr {
        use CompareOp::*;
        let at = self.draw.below(6) as usize;
        match self.draw.below(6) {
            0 => self.value(at),
            1 => {
                let list = (0..3).map(|_| self.value(at)).collect();
                let kind = ExprKind::InList { operand: Box::new(self.value(at)), list, negated: self.draw.once_in(2) };
                self.make(kind, DataType::Boolean)
            }
            2 if at < 4 => {
                let op = *self.draw.pick(&[Less, LessOrEqual, Greater, GreaterOrEqual, Equal]);
                let (left, right) = (Box::new(self.value(at)), Box::new(self.value(at)));
                self.make(ExprKind::Compare { op, left, right }, DataType::Boolean)
            }
            3 => {
                let cast = Box::new(self.cast());
                let data_type = cast.data_type.clone();
                self.make(ExprKind::Try(cast), data_type)
            }
            _ => self.cast(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(4_000), ..ProptestConfig::default() })]

    #[test]
    fn nested_kernels_agree_with_the_oracle(seed: u64, rows in 1usize..40) {
        let mut draw = Draw::new(seed);
        let columns = types().iter().map(|t| column(&mut draw, t, rows)).collect();
        let batch = Batch::new(columns, rows, RowMeta::plain(SourceId(0), 0, 0));
        let expr = Exprs { draw: &mut draw, next_span: 0 }.any();
        let got = Evaluator::new(&expr).eval(&batch, &EvalContext::default());
        for at in 0..rows {
            let values: Vec<Value> = batch.columns.iter().map(|c| c.value(at)).collect();
            let row = Row { values: &values, timestamp_ms: 0, event_time_ns: None, offset: at as i64, partition: 0 };
            let error = got.errors.iter().find(|e| e.row as usize == at).map(|e| (e.error.code, e.error.span));
            match oracle::eval(&expr, &row) {
                Err(e) => prop_assert_eq!(error, Some((e.code, Some(e.span))), "{:?}\n{:#?}", values, expr),
                Ok(want) => {
                    let text = |v: &Value| v.to_string();
                    let (engine, want) = (text(&got.column.value(at)), text(&want));
                    prop_assert!(error.is_none() && engine == want, "{engine} {want} {error:?} {values:?}\n{expr:#?}");
                }
            }
        }
    }
}
