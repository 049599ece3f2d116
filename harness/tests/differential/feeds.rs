//! Random feeds: records as text for the engine and as values for the oracle, with disorder, duplicates, late rows,
//! NULLs, bad records and, for inferred sources, numbers that grow wider after the deploy.

use velostream_harness::oracle::FeedRow;
use velostream_sql::plan::{AppPlan, Repr};
use velostream_types::{SourceId, Value, decimal};

use super::draw::Draw;
use super::nested::{self, Tree};

/// What a feed is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub csv: bool,
    pub inferred: bool,
    pub partitions: u32,
    /// Integers up to the limits of their type.
    pub extreme: bool,
    /// Fractions and more digits after the first chunk.
    pub widens: bool,
    pub bad: bool,
    /// Arrays, maps, structs and JSON, too.
    pub nested: bool,
}

impl Shape {
    /// Columns in the order of a CSV line.
    fn columns(&self) -> Vec<&'static str> {
        let nested: &[&str] = if self.nested { &nested::NAMES } else { &[] };
        COLUMNS.iter().chain(nested).copied().collect()
    }
}

/// Columns that are not nested.
pub const COLUMNS: [&str; 9] = ["id", "k", "g", "a", "d", "f", "b", "s", "ts"];

/// The column list of a declared source.
pub const DECLARED: &str =
    "id INT NOT NULL, k STRING, g INT, a INT, d DECIMAL(12,2), f FLOAT, b BOOLEAN, s STRING, ts INT";

/// One field: its text, and its value if it fits the column.
#[derive(Clone, Debug)]
struct Cell {
    text: String,
    value: Option<Value>,
    /// What the value is of if the column is nested.
    tree: Option<Tree>,
}

impl Cell {
    fn new(text: String, value: Option<Value>) -> Cell {
        Cell { text, value, tree: None }
    }
}

/// One record of a partition.
#[derive(Clone, Debug)]
enum Record {
    Fields(Vec<Cell>),
    /// Not well-formed: its text and the error's code.
    Broken(String, &'static str),
}

/// All records, by chunk, in an order of processing.
#[derive(Clone, Debug)]
pub struct RandomFeed {
    shape: Shape,
    chunks: Vec<Vec<(u32, Record)>>,
}

/// What the oracle is fed, and the dead letters of records it cannot be fed: (code, partition, offset).
pub struct OracleFeed {
    pub rows: Vec<FeedRow>,
    pub dead: Vec<(&'static str, u32, i64)>,
}

impl RandomFeed {
    pub fn new(draw: &mut Draw, shape: Shape) -> RandomFeed {
        let chunks = 1 + draw.below(3) as usize;
        let mut clocks: Vec<i64> = (0..shape.partitions).map(|_| draw.below(4_000) as i64 - 2_000).collect();
        let mut id = 0;
        let chunks = (0..chunks)
            .map(|chunk| {
                let rows = 8 + draw.below(40);
                let mut records: Vec<(u32, Record)> = Vec::new();
                for row in 0..rows {
                    // A partition that never gave a row is idle and holds no watermark: each has some at once.
                    let calm = chunk == 0 && row < u64::from(shape.partitions) * 4;
                    let any = if calm { row } else { draw.next() };
                    let partition = (any % u64::from(shape.partitions)) as u32;
                    let clock = &mut clocks[partition as usize];
                    *clock += [0, 1, 50, 400, 1_100, 9_000][draw.below(6) as usize];
                    let ts = *clock - if draw.once_in(3) { draw.below(4_000) as i64 } else { 0 };
                    id += 1;
                    let record = record(draw, shape, id, ts, chunk > 0 && shape.widens, calm);
                    if draw.once_in(15) {
                        records.push((partition, record.clone()));
                    }
                    records.push((partition, record));
                }
                records
            })
            .collect();
        RandomFeed { shape, chunks }
    }

    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Bytes of each partition in one chunk.
    pub fn bytes(&self, chunk: usize) -> Vec<Vec<u8>> {
        let mut bytes = vec![Vec::new(); self.shape.partitions as usize];
        if self.shape.csv && chunk == 0 {
            bytes.iter_mut().for_each(|b| b.extend_from_slice((self.shape.columns().join(",") + "\n").as_bytes()));
        }
        for (i, (partition, record)) in self.chunks[chunk].iter().enumerate() {
            bytes[*partition as usize].extend_from_slice(self.line(record, i).as_bytes());
            bytes[*partition as usize].push(b'\n');
        }
        bytes
    }

    /// Text of the record that is number `turn` of its chunk.
    fn line(&self, record: &Record, turn: usize) -> String {
        match record {
            Record::Broken(text, _) => text.clone(),
            Record::Fields(cells) if self.shape.csv => {
                cells.iter().map(|c| c.text.as_str()).collect::<Vec<_>>().join(",")
            }
            Record::Fields(cells) => object(&self.shape.columns(), cells, turn),
        }
    }

    /// The same for the oracle, as the columns `plan` reads.
    pub fn for_oracle(&self, plan: &AppPlan) -> OracleFeed {
        let mut feed = OracleFeed { rows: Vec::new(), dead: Vec::new() };
        let source = &plan.sources[0];
        let columns = self.shape.columns();
        let mut offsets = vec![0i64; self.shape.partitions as usize];
        for (turn, (partition, record)) in self.chunks.iter().flat_map(|chunk| chunk.iter().enumerate()) {
            let offset = offsets[*partition as usize];
            offsets[*partition as usize] += 1;
            let cells = match record {
                Record::Broken(_, code) => {
                    feed.dead.push((*code, *partition, offset));
                    continue;
                }
                Record::Fields(cells) => cells,
            };
            let values: Option<Vec<Value>> = source
                .read
                .iter()
                .map(|read| {
                    let at = columns.iter().position(|c| *c == read.name)?;
                    let own = cells[at].value.clone()?;
                    let value = cells[at].tree.as_ref().map_or(own, |tree| tree.value(&read.data_type));
                    let token = read.repr == Repr::Token && !value.is_null();
                    Some(if token { Value::Str(cells[at].text.clone().into()) } else { value })
                })
                .collect();
            match values {
                Some(values) => feed.rows.push(FeedRow {
                    source: SourceId(0),
                    partition: *partition,
                    offset,
                    values,
                    timestamp_ms: None,
                    record: self.line(record, turn).into(),
                }),
                None => feed.dead.push(("R0105", *partition, offset)),
            }
        }
        feed
    }
}

/// A JSON object; some leave NULLs out, some have fields nobody reads, some have a key twice.
fn object(columns: &[&str], cells: &[Cell], turn: usize) -> String {
    let mut fields: Vec<String> = Vec::new();
    if turn % 5 == 1 {
        fields.push("\"unread\":{\"x\":[1,\"}\"]}".to_owned());
    }
    if turn % 7 == 2 {
        fields.push("\"a\":77".to_owned());
    }
    for (name, cell) in columns.iter().zip(cells) {
        if cell.text == "null" && turn.is_multiple_of(3) && turn % 7 != 2 {
            continue;
        }
        fields.push(format!("\"{name}\":{}", cell.text));
    }
    if turn % 4 == 3 {
        let by = turn % fields.len();
        if turn % 7 != 2 {
            fields.rotate_left(by);
        }
    }
    format!("{{{}}}", fields.join(","))
}

fn record(draw: &mut Draw, shape: Shape, id: i64, ts: i64, wide: bool, calm: bool) -> Record {
    if shape.bad && !calm && draw.once_in(25) {
        let (text, code) = if shape.csv {
            *draw.pick(&[("1,a", "R0104"), ("1,a,1,1,1,1,true,x,5,9", "R0104")])
        } else {
            *draw.pick(&[("{\"k\":", "R0101"), ("[1]", "R0101"), ("nonsense", "R0101"), ("{\"k\":\"a\"", "R0101")])
        };
        return Record::Broken(text.to_owned(), code);
    }
    let null = |draw: &mut Draw| !calm && draw.once_in(6);
    let mut cells = Vec::new();
    for name in shape.columns() {
        let is_null = match name {
            "id" => !shape.inferred && shape.bad && draw.once_in(40),
            "ts" => !calm && draw.once_in(40),
            _ => null(draw),
        };
        if is_null {
            let text = if shape.csv { "" } else { "null" };
            cells.push(Cell::new(text.to_owned(), Some(Value::Null)));
            continue;
        }
        // One reason per record: which of two is told first is nobody's promise.
        let good = cells.iter().all(|c: &Cell| c.text != "null" && !c.text.is_empty()) || shape.inferred;
        if shape.bad && good && !calm && name == "a" && draw.once_in(40) && (!shape.inferred || wide) {
            let text = if shape.csv { "x!" } else { "\"x!\"" };
            cells.push(Cell::new(text.to_owned(), None));
            continue;
        }
        if nested::NAMES.contains(&name) {
            cells.push(nested_cell(draw, shape, name, id, calm));
            continue;
        }
        cells.push(cell(draw, shape, name, id, ts, wide));
    }
    Record::Fields(cells)
}

fn cell(draw: &mut Draw, shape: Shape, name: &str, id: i64, ts: i64, wide: bool) -> Cell {
    let int = |i: i64| Cell::new(i.to_string(), Some(Value::Int(i)));
    match name {
        "id" => int(id),
        "ts" => int(ts),
        "g" if wide && draw.once_in(3) => number(&format!("{}.0", draw.below(5))),
        "g" => int(draw.below(5) as i64),
        "a" if wide && draw.once_in(3) => {
            number(&format!("{}.{}", draw.below(100), ["5", "25", "000"][draw.below(3) as usize]))
        }
        "a" if shape.extreme && draw.once_in(8) => int(*draw.pick(&[i64::MAX, i64::MIN, i64::MAX - 1, 1 << 62])),
        "a" => int(draw.below(200) as i64 - 100),
        "d" => {
            let digits = if wide && draw.once_in(3) {
                4
            } else if shape.inferred {
                1 + draw.below(2) as usize
            } else {
                draw.below(3) as usize
            };
            let fraction: String = (0..digits).map(|_| char::from(b'0' + draw.below(10) as u8)).collect();
            let sign = if draw.once_in(4) { "-" } else { "" };
            let dot = if digits > 0 { "." } else { "" };
            let mut cell = number(&format!("{sign}{}{dot}{fraction}", draw.below(1000)));
            if !shape.inferred {
                cell.value = cell.value.map(declared_decimal);
            }
            cell
        }
        "f" => {
            let quarter = ["00", "25", "5", "75"][draw.below(4) as usize];
            let text = format!("{}.{quarter}", draw.below(64));
            let value = if shape.inferred { number(&text).value } else { text.parse().ok().map(Value::Float) };
            Cell::new(text, value)
        }
        "b" => {
            let b = draw.once_in(2);
            Cell::new(b.to_string(), Some(Value::Bool(b)))
        }
        _ => {
            let texts: &[&str] =
                if name == "k" { &["a", "b", "c", "d", "e", "é"] } else { &["x", "", "q\"u,o", "yy", "z z", "12x"] };
            let s = *draw.pick(texts);
            let text = if !shape.csv || s.is_empty() || s.contains('"') {
                if shape.csv {
                    format!("\"{}\"", s.replace('"', "\"\""))
                } else {
                    format!("\"{}\"", s.replace('"', "\\\""))
                }
            } else {
                s.to_owned()
            };
            Cell::new(text, Some(Value::Str(s.into())))
        }
    }
}

fn number(text: &str) -> Cell {
    let value = decimal::from_text(text).map(|(mantissa, scale)| match i64::try_from(mantissa) {
        Ok(i) if scale == 0 => Value::Int(i),
        _ => Value::Decimal { mantissa, scale },
    });
    Cell::new(text.to_owned(), value)
}

fn nested_cell(draw: &mut Draw, shape: Shape, name: &str, id: i64, calm: bool) -> Cell {
    let tree = nested::tree(draw, name, shape.inferred, calm, id as u64);
    let json = tree.written(draw, !shape.inferred);
    let text = if shape.csv { format!("\"{}\"", json.replace('"', "\"\"")) } else { json };
    Cell { tree: Some(tree), ..Cell::new(text, Some(Value::Null)) }
}

fn declared_decimal(value: Value) -> Value {
    let (mantissa, scale) = match value {
        Value::Int(i) => (i128::from(i), 0),
        Value::Decimal { mantissa, scale } => (mantissa, scale),
        other => return other,
    };
    decimal::rescale(mantissa, scale, 2).map_or(Value::Null, |mantissa| Value::Decimal { mantissa, scale: 2 })
}
