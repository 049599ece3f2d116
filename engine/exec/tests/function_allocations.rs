//! Functions allocate per batch, not per row: eight times the rows cost a few more growths of the result's buffers and
//! nothing else.

mod counting;

use counting::counted;
use velostream_exec::expr::{EvalContext, Evaluator};
use velostream_sql::plan::{Expr, ExprKind};
use velostream_types::{Batch, Column, DataType, RowMeta, SourceId, Span, Value};

/// Growths of buffers between the two sizes: three doublings of views, text and bits each, and what they round up.
const GROWTHS: usize = 12;

fn batch(rows: usize) -> Batch {
    let texts: Vec<String> = (0..rows).map(|i| format!("  some text of row {i}, é {}", i * 7919)).collect();
    let columns = vec![
        Column::strs(texts.iter().enumerate().map(|(i, t)| (i % 5 > 0).then_some(t.as_str()))),
        Column::ints((0..rows as i64).map(|i| i % 13).collect(), None),
        Column::dec64((0..rows as i64).map(|i| i * 7919 - 40_000).collect(), 3, None),
        Column::floats((0..rows).map(|i| i as f64 * 1.375).collect(), None),
        Column::timestamps((0..rows as i64).map(|i| i * 86_400_000_123_456).collect(), None),
        Column::strs((0..rows).map(|i| Some(format!("[{i},7,{},7]", i % 3)))),
        Column::strs((0..rows).map(|i| Some(format!("{{\"a\":0,\"k\":{i}}}")))),
    ];
    Batch::new(columns, rows, RowMeta::plain(SourceId(0), 0, 0))
}

fn expr(kind: ExprKind, data_type: DataType) -> Expr {
    Expr { kind, data_type, span: Span::default() }
}

/// A call whose arguments are columns by their letter (`s i d f t a m`) or constants.
fn call(name: &str, args: &[&str], result: DataType) -> Expr {
    let types = [
        DataType::String,
        DataType::Integer,
        DataType::decimal(3),
        DataType::Float,
        DataType::Timestamp,
        DataType::array(DataType::Integer),
        DataType::map(DataType::Integer),
    ];
    let argument = |text: &&str| match "sidftam".find(*text).filter(|_| text.len() == 1) {
        Some(at) => expr(ExprKind::Column(at), types[at].clone()),
        None => {
            let value = text.parse().map_or_else(|_| Value::Str((*text).into()), Value::Int);
            let data_type = value.data_type();
            expr(ExprKind::Literal(value), data_type)
        }
    };
    let function = velostream_functions::find(name).expect("a function of the catalogue");
    expr(ExprKind::Call { function, args: args.iter().map(argument).collect() }, result)
}

#[test]
fn rows_cost_no_allocation() {
    use DataType::{Boolean, Bytes, Date, Float, Integer, String, Timestamp};
    let (few, many) = (batch(1_000), batch(8_000));
    let calls = [
        call("UPPER", &["s"], String),
        call("LENGTH", &["s"], Integer),
        call("LEFT", &["s", "15"], String),
        call("SUBSTRING", &["s", "3", "20"], String),
        call("TRIM", &["s"], String),
        call("LPAD", &["s", "60", "é"], String),
        call("REPLACE", &["s", "text", "word"], String),
        call("CONCAT", &["s", "-", "s"], String),
        call("SPLIT_PART", &["s", " ", "4"], String),
        call("LIKE", &["s", "%row_1%é%"], Boolean),
        call("REGEXP_LIKE", &["s", "row [0-9]+"], Boolean),
        call("REGEXP_EXTRACT", &["s", "row [0-9]+"], String),
        call("REGEXP_REPLACE", &["s", "[0-9]+", "#", "g"], String),
        call("MD5", &["s"], String),
        call("DECODE", &["00ff", "hex"], Bytes),
        call("ABS", &["d"], DataType::decimal(3)),
        call("ROUND", &["d", "1"], DataType::decimal(3)),
        call("ROUND", &["f", "2"], Float),
        call("FLOOR", &["d"], Integer),
        call("SQRT", &["f"], Float),
        call("GREATEST", &["i", "4"], Integer),
        call("EXTRACT", &["week", "t"], Integer),
        call("DATE_TRUNC", &["month", "t"], Timestamp),
        call("DATE_ADD", &["t", "i", "month"], Timestamp),
        call("DATE_FORMAT", &["t", "%d.%m.%Y %H:%M:%S"], String),
        call("CONVERT_TZ", &["t", "UTC", "America/New_York"], Timestamp),
        call("LAST_DAY", &["t"], Date),
        call("ARRAY", &["i", "4"], DataType::array(Integer)),
        call("JSON_OBJECT", &["name", "s", "n", "i"], DataType::Json),
        call("STRING_TO_ARRAY", &["s", " "], DataType::array(String)),
        call("ELEMENT_AT", &["a", "2"], Integer),
        call("ARRAY_DISTINCT", &["a"], DataType::array(Integer)),
        call("ARRAY_SORT", &["a", "DESC"], DataType::array(Integer)),
        call("ARRAY_SUM", &["a"], Integer),
        call("ARRAY_CONTAINS", &["a", "i"], Boolean),
        call("SLICE", &["a", "2", "3"], DataType::array(Integer)),
        call("JSON_EXTRACT", &["a", "[1]"], DataType::Json),
        call("FIELD", &["m", "k"], Integer),
    ];
    let ctx = EvalContext::default();
    for call in &calls {
        let mut evaluator = Evaluator::new(call);
        let mut counted = |batch: &Batch| {
            evaluator.eval(batch, &ctx);
            let before = counted().0;
            let evaluated = evaluator.eval(batch, &ctx);
            assert!(evaluated.errors.is_empty(), "{:?}: {:?}", call.kind, evaluated.errors.first());
            counted().0 - before
        };
        let (of_few, of_many) = (counted(&few), counted(&many));
        assert!(of_many <= of_few + GROWTHS, "{:?}: {of_few} for 1,000 rows, {of_many} for 8,000", call.kind);
    }
}
