//! Snapshots as bytes: versioned, each table checksummed on its own, every damage an error and never a panic.
//!
//! ```text
//! "VELOSNAP" version:u16 tables:u32 | per table: length:u64 body checksum:u64 | checksum of all checksums:u64
//! body: name version:u16 vnodes? columns:u32 | per column: kind:u8 rows:u64 validity? values
//! ```
//! Numbers are little endian, checksums XXH3-64. A reader knows exactly one version of the frame; tables carry their
//! own. The header is covered by the closing checksum, so a flipped bit anywhere is found.

use arrow_array::{Array, BooleanArray, Date32Array};
use arrow_buffer::NullBuffer;
use velostream_types::{Column, StrBuilder};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::snapshot::{SnapshotError, SnapshotReader, SnapshotWriter, StateTable};

const MAGIC: &[u8; 8] = b"VELOSNAP";
const VERSION: u16 = 1;

/// The tables as bytes.
pub fn encode(tables: &SnapshotWriter) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend((tables.tables.len() as u32).to_le_bytes());
    let mut whole = Xxh3::new();
    whole.update(&out);
    for table in &tables.tables {
        let mut body = Vec::new();
        put_table(table, &mut body);
        let length = (body.len() as u64).to_le_bytes();
        let sum = xxh3_64(&body).to_le_bytes();
        whole.update(&length);
        whole.update(&sum);
        out.extend(length);
        out.extend(body);
        out.extend(sum);
    }
    out.extend(whole.digest().to_le_bytes());
    out
}

/// The tables in these bytes.
pub fn decode(bytes: &[u8]) -> Result<SnapshotReader, SnapshotError> {
    let mut rest = Bytes(bytes);
    let header = rest.take(14)?;
    if &header[..8] != MAGIC {
        return Err(damaged("it does not begin like a snapshot"));
    }
    let version = u16::from_le_bytes([header[8], header[9]]);
    let tables = u32::from_le_bytes([header[10], header[11], header[12], header[13]]);
    let mut whole = Xxh3::new();
    whole.update(header);
    let mut bodies = Vec::new();
    for _ in 0..tables {
        let length = rest.u64()?;
        let body = rest.take(length)?;
        let sum = rest.u64()?;
        if xxh3_64(body) != sum {
            return Err(damaged("the checksum of a table is wrong"));
        }
        whole.update(&length.to_le_bytes());
        whole.update(&sum.to_le_bytes());
        bodies.push(body);
    }
    if rest.u64()? != whole.digest() || !rest.0.is_empty() {
        return Err(damaged("the closing checksum is wrong"));
    }
    if version != VERSION {
        return Err(SnapshotError::Shape(format!("its format version is {version}, this program reads {VERSION}")));
    }
    let tables = bodies.into_iter().map(table).collect::<Result<_, _>>()?;
    Ok(SnapshotReader { tables })
}

fn damaged(what: &str) -> SnapshotError {
    SnapshotError::Damaged(what.to_owned())
}

fn put_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend_from_slice(text);
}

fn put_table(table: &StateTable, out: &mut Vec<u8>) {
    put_text(table.name.as_bytes(), out);
    out.extend(table.version.to_le_bytes());
    match &table.vnodes {
        None => out.push(0),
        Some(vnodes) => {
            out.push(1);
            out.extend((vnodes.len() as u64).to_le_bytes());
            vnodes.iter().for_each(|v| out.extend(v.to_le_bytes()));
        }
    }
    out.extend((table.columns.len() as u32).to_le_bytes());
    table.columns.iter().for_each(|c| put_column(c, out));
}

const KINDS: u8 = 10;

fn kind(column: &Column) -> u8 {
    match column {
        Column::Null(_) => 0,
        Column::Bool(_) => 1,
        Column::Int(_) => 2,
        Column::Float(_) => 3,
        Column::Dec64(_) => 4,
        Column::Dec128(_) => 5,
        Column::Str(_) => 6,
        Column::Bytes(_) => 7,
        Column::Timestamp(_) => 8,
        Column::Date(_) => 9,
    }
}

fn put_column(column: &Column, out: &mut Vec<u8>) {
    let rows = column.len();
    out.push(kind(column));
    out.extend((rows as u64).to_le_bytes());
    let scale = match column {
        Column::Dec64(a) => a.scale(),
        Column::Dec128(a) => a.scale(),
        _ => 0,
    };
    out.push(scale.max(0) as u8);
    match column.nulls().filter(|_| !matches!(column, Column::Null(_))) {
        None => out.push(0),
        Some(nulls) => {
            out.push(1);
            out.extend(nulls.iter().map(u8::from));
        }
    }
    match column {
        Column::Null(_) => {}
        Column::Bool(a) => out.extend(a.values().iter().map(u8::from)),
        Column::Int(a) => a.values().iter().for_each(|v| out.extend(v.to_le_bytes())),
        Column::Timestamp(a) => a.values().iter().for_each(|v| out.extend(v.to_le_bytes())),
        Column::Dec64(a) => a.values().iter().for_each(|v| out.extend(v.to_le_bytes())),
        Column::Dec128(a) => a.values().iter().for_each(|v| out.extend(v.to_le_bytes())),
        Column::Float(a) => a.values().iter().for_each(|v| out.extend(v.to_bits().to_le_bytes())),
        Column::Date(a) => a.values().iter().for_each(|v| out.extend(v.to_le_bytes())),
        Column::Str(a) => (0..rows).for_each(|i| put_text(if a.is_null(i) { b"" } else { a.value(i).as_bytes() }, out)),
        Column::Bytes(a) => (0..rows).for_each(|i| put_text(if a.is_null(i) { b"" } else { a.value(i) }, out)),
    }
}

/// Bytes not read yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8], SnapshotError> {
        let split = usize::try_from(len).ok().and_then(|n| self.0.split_at_checked(n));
        let (head, rest) = split.ok_or_else(|| damaged("it ends early"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(|| damaged("it ends early"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn u64(&mut self) -> Result<u64, SnapshotError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// `rows` values of `N` bytes; checks the length before it allocates.
    fn values<const N: usize, T>(&mut self, rows: u64, make: fn([u8; N]) -> T) -> Result<Vec<T>, SnapshotError> {
        let length = rows.checked_mul(N as u64).ok_or_else(|| damaged("a column is too long"))?;
        let (chunks, _) = self.take(length)?.as_chunks::<N>();
        Ok(chunks.iter().map(|c| make(*c)).collect())
    }

    fn text(&mut self) -> Result<&'a [u8], SnapshotError> {
        let length = self.u64()?;
        self.take(length)
    }
}

fn table(body: &[u8]) -> Result<StateTable, SnapshotError> {
    let mut rest = Bytes(body);
    let name = std::str::from_utf8(rest.text()?).map_err(|_| damaged("a table's name is no text"))?.to_owned();
    let version = u16::from_le_bytes(rest.array()?);
    let vnodes = match rest.array::<1>()? {
        [0] => None,
        _ => {
            let rows = rest.u64()?;
            Some(rest.values(rows, u16::from_le_bytes)?)
        }
    };
    let count = u32::from_le_bytes(rest.array()?);
    let columns: Vec<Column> = (0..count).map(|_| column(&mut rest)).collect::<Result<_, _>>()?;
    let rows = vnodes.as_ref().map(Vec::len).or(columns.first().map(Column::len)).unwrap_or(0);
    if !rest.0.is_empty() || columns.iter().any(|c| c.len() != rows) {
        return Err(SnapshotError::Shape(format!("table {name} has columns of different lengths")));
    }
    Ok(StateTable { name, version, vnodes, columns })
}

fn column(rest: &mut Bytes<'_>) -> Result<Column, SnapshotError> {
    let [kind] = rest.array()?;
    let rows = rest.u64()?;
    let [scale, has_nulls] = rest.array()?;
    if kind >= KINDS || scale > if kind == 4 { 18 } else { 38 } {
        return Err(SnapshotError::Shape(format!("column kind {kind} at scale {scale} is not known")));
    }
    let nulls = match has_nulls {
        0 => None,
        _ => Some(rest.values(rows, |[b]: [u8; 1]| b != 0)?),
    };
    let valid = |i: usize| nulls.as_ref().is_none_or(|n| n[i]);
    let buffer = || nulls.as_ref().map(|n| NullBuffer::from(n.clone()));
    Ok(match kind {
        0 => Column::Null(usize::try_from(rows).map_err(|_| damaged("a column is too long"))?),
        1 => Column::Bool(BooleanArray::new(rest.values(rows, |[b]: [u8; 1]| b != 0)?.into(), buffer())),
        2 => Column::ints(rest.values(rows, i64::from_le_bytes)?, buffer()),
        3 => Column::floats(rest.values(rows, |b| f64::from_bits(u64::from_le_bytes(b)))?, buffer()),
        4 => Column::dec64(rest.values(rows, i64::from_le_bytes)?, scale, buffer()),
        5 => Column::dec128(rest.values(rows, i128::from_le_bytes)?, scale, buffer()),
        8 => Column::timestamps(rest.values(rows, i64::from_le_bytes)?, buffer()),
        9 => Column::Date(Date32Array::new(rest.values(rows, i32::from_le_bytes)?.into(), buffer())),
        6 => {
            let mut text = StrBuilder::default();
            for i in 0..rows as usize {
                let bytes = rest.text()?;
                match std::str::from_utf8(bytes) {
                    Ok(value) if valid(i) => text.push_str(value),
                    Ok(_) => text.push_null(),
                    Err(_) => return Err(damaged("text is not UTF-8")),
                }
            }
            Column::Str(text.finish())
        }
        _ => {
            let values: Result<Vec<Option<&[u8]>>, SnapshotError> =
                (0..rows as usize).map(|i| rest.text().map(|b| valid(i).then_some(b))).collect();
            Column::Bytes(values?.into_iter().collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use velostream_types::{DataType, Value};

    use crate::build::ColumnBuilder;

    fn tables(texts: &[Option<String>], ints: &[i64]) -> SnapshotWriter {
        let n = texts.len().min(ints.len());
        let ints = &ints[..n];
        let mut decs = ColumnBuilder::new(&DataType::decimal(3));
        ints.iter().for_each(|v| decs.push_value(&Value::Decimal { mantissa: i128::from(*v) * 7, scale: 3 }));
        let columns = vec![
            Column::strs(texts[..n].iter().map(|t| t.as_deref())),
            Column::Bytes(texts[..n].iter().map(|t| t.as_deref().map(str::as_bytes)).collect()),
            Column::ints(ints.to_vec(), Some(NullBuffer::from_iter(ints.iter().map(|v| v % 3 != 0)))),
            Column::floats(ints.iter().map(|v| *v as f64 / 3.0).collect(), None),
            Column::timestamps(ints.to_vec(), None),
            Column::Date(Date32Array::from_iter_values(ints.iter().map(|v| *v as i32))),
            Column::Bool(ints.iter().map(|v| Some(v % 2 == 0)).collect()),
            Column::dec128(ints.iter().map(|v| i128::from(*v) << 50).collect(), 4, None),
            decs.finish(),
            Column::Null(n),
        ];
        let vnodes = Some((0..n as u16).collect());
        let groups = StateTable { name: "groups".into(), version: 7, vnodes, columns };
        let mark = StateTable {
            name: "watermark".into(),
            version: 1,
            vnodes: None,
            columns: vec![Column::ints(vec![5, 6], None)],
        };
        SnapshotWriter { tables: vec![groups, mark] }
    }

    fn text_of(tables: &[StateTable]) -> String {
        let mut out = String::new();
        for t in tables {
            out += &format!("{} {} {:?}\n", t.name, t.version, t.vnodes);
            for c in &t.columns {
                let values: Vec<Value> = (0..c.len()).map(|i| c.value(i)).collect();
                out += &format!("{} {values:?}\n", kind(c));
            }
        }
        out
    }

    proptest! {
        #[test]
        fn tables_come_back(
            texts in proptest::collection::vec(proptest::option::of(".{0,20}"), 0..20),
            ints in proptest::collection::vec(any::<i64>(), 0..20),
        ) {
            let written = tables(&texts, &ints);
            let read = decode(&encode(&written)).expect("undamaged");
            prop_assert_eq!(text_of(&read.tables), text_of(&written.tables));
        }

        #[test]
        fn noise_is_no_snapshot(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(&bytes).is_err());
        }

        /// Behind a right checksum anything may stand: an error or a table, never a panic.
        #[test]
        fn any_body_is_read_without_panic(at in 0usize..400, byte: u8) {
            let mut body = Vec::new();
            put_table(&tables(&[Some("ab".into()), None, Some("c".into())], &[1, 2, 3]).tables[0], &mut body);
            let at = at % body.len();
            body[at] = byte;
            let _ = table(&body);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let bytes = encode(&tables(&[Some("a text of more than twelve bytes".into()), None], &[1, -2]));
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(decode(&longer).is_err());
    }
}
