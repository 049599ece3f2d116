//! Rows as aligned tables for people: a header, a rule, numbers to the right, laid out per page of 1,000 rows.
//!
//! Rows come as JSON arrays (see `velostream_exec::format`): quoted cells show their text, others stand as they are,
//! `null` as NULL. Columns never get narrower from page to page, so that pages of a steady stream line up.

use velostream_types::{Chunk, Schema};

/// Rows laid out together.
const PAGE: usize = 1000;

/// One column of the output.
struct Column {
    name: String,
    width: usize,
    right: bool,
}

/// Rows waiting for their page to be laid out.
pub struct Table {
    columns: Vec<Column>,
    /// Cells of the page, row by row.
    cells: Vec<String>,
    pages: usize,
}

impl Table {
    /// An empty table of these columns.
    pub fn new(schema: &Schema) -> Table {
        let column = |f: &velostream_types::Field| Column {
            name: f.name.to_string(),
            width: width(&f.name),
            right: f.data_type.is_numeric(),
        };
        Table { columns: schema.fields.iter().map(column).collect(), cells: Vec::new(), pages: 0 }
    }

    /// Takes rows; full pages are laid out into `out`.
    pub fn add(&mut self, rows: &Chunk, out: &mut Vec<u8>) {
        for i in 0..rows.rows() {
            let start = self.cells.len();
            split(rows.row(i), &mut self.cells);
            self.cells.resize_with(start + self.columns.len(), String::new);
            if self.cells.len() >= PAGE * self.columns.len().max(1) {
                self.page(out);
            }
        }
    }

    /// Lays out what is left; a table without rows shows its header.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.pages == 0 || !self.cells.is_empty() {
            self.page(out);
        }
    }

    fn page(&mut self, out: &mut Vec<u8>) {
        let n = self.columns.len();
        for row in self.cells.chunks(n.max(1)) {
            for (column, cell) in self.columns.iter_mut().zip(row) {
                column.width = column.width.max(width(cell));
            }
        }
        let names: Vec<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
        self.line(&names, out);
        for (i, column) in self.columns.iter().enumerate() {
            out.extend_from_slice(if i == 0 { b"" } else { b"+" });
            out.resize(out.len() + column.width + 2, b'-');
        }
        out.push(b'\n');
        for row in self.cells.chunks(n.max(1)) {
            self.line(row, out);
        }
        self.cells.clear();
        self.pages += 1;
    }

    fn line(&self, cells: &[impl AsRef<str>], out: &mut Vec<u8>) {
        for (i, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            let cell = cell.as_ref();
            let pad = column.width - width(cell);
            out.extend_from_slice(if i == 0 { b" " } else { b"| " });
            let (before, after) = if column.right { (pad, 0) } else { (0, pad) };
            out.resize(out.len() + before, b' ');
            out.extend_from_slice(cell.as_bytes());
            // Nothing after the last column: lines do not end in blanks.
            let after = if i + 1 == self.columns.len() { 0 } else { after + 1 };
            out.resize(out.len() + after, b' ');
        }
        out.push(b'\n');
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Cuts one row, a JSON array, into cells as they are shown.
fn split(row: &[u8], cells: &mut Vec<String>) {
    let text = String::from_utf8_lossy(row);
    let text = text.trim_end();
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let (mut start, mut depth, mut quoted, mut escaped) = (0, 0, false, false);
    for (i, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                cells.push(shown(&inner[start..i]));
                start = i + 1;
            }
            _ => {}
        }
    }
    if !inner.is_empty() {
        cells.push(shown(&inner[start..]));
    }
}

/// One cell as it is shown: text without quotes, on one line.
fn shown(cell: &str) -> String {
    if cell == "null" {
        return "NULL".to_owned();
    }
    let text =
        if cell.starts_with('"') { serde_json::from_str(cell).unwrap_or(cell.to_owned()) } else { cell.to_owned() };
    if !text.contains(char::is_control) {
        return text;
    }
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use velostream_types::{DataType, Field};

    use super::*;

    fn check(rows: &[&str], expect: &str) {
        let fields = vec![Field::new("symbol", DataType::String), Field::new("n", DataType::Integer)];
        let mut table = Table::new(&Schema::new(fields));
        let mut chunk = Chunk::default();
        for row in rows {
            chunk.bytes.extend_from_slice(row.as_bytes());
            chunk.end_row();
        }
        let mut out = Vec::new();
        table.add(&chunk, &mut out);
        table.finish(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }

    #[test]
    fn cells_are_aligned() {
        check(&[], " symbol | n\n--------+---\n");
        check(
            &[
                "[\"A\",1]\n",
                "[\"quoted, \\\"x\\\"\",23456]\n",
                "[null,null]\n",
                "[\"\",-7]\n",
                "[\"two\\nlines\",0]\n",
                "[{\"a\":[1,2]},1.50]\n",
            ],
            concat!(
                " symbol      |     n\n",
                "-------------+-------\n",
                " A           |     1\n",
                " quoted, \"x\" | 23456\n",
                " NULL        |  NULL\n",
                "             |    -7\n",
                " two\\nlines  |     0\n",
                " {\"a\":[1,2]} |  1.50\n",
            ),
        );
    }

    #[test]
    fn long_results_come_in_pages() {
        let rows = vec!["[\"A\",1]\n"; PAGE + 1];
        let mut table =
            Table::new(&Schema::new(vec![Field::new("a", DataType::String), Field::new("b", DataType::Integer)]));
        let mut chunk = Chunk::default();
        for row in &rows {
            chunk.bytes.extend_from_slice(row.as_bytes());
            chunk.end_row();
        }
        let mut out = Vec::new();
        table.add(&chunk, &mut out);
        assert_eq!(out.iter().filter(|b| **b == b'\n').count(), PAGE + 2);
        table.finish(&mut out);
        assert_eq!(out.iter().filter(|b| **b == b'\n').count(), PAGE + 5);
    }
}
