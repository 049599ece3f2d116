//! Small tables of text: columns as wide as their widest cell, which is cut at a limit.

/// Characters a cell has at most.
const CELL_MAX: usize = 40;

/// A table under its head, each line behind `indent`. Columns in `right` stand at their right edge.
pub(super) fn table(head: &[&str], rows: &[Vec<String>], right: &[usize], indent: &str) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| fitted(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::from(indent);
        for (column, cell) in cells.enumerate() {
            let gap = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            let (before, behind) = if right.contains(&column) { (gap.as_str(), "") } else { ("", gap.as_str()) };
            line.push_str(before);
            line.push_str(cell);
            line.push_str(behind);
            line.push_str("  ");
        }
        line.truncate(line.trim_end().len());
        line + "\n"
    };
    let mut text = line(&mut head.iter().copied());
    for row in &rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

/// On one line, and cut.
fn fitted(cell: &str) -> String {
    let plain: String = cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if plain.chars().count() <= CELL_MAX {
        return plain;
    }
    plain.chars().take(CELL_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_long_cells_are_cut() {
        let rows = [vec!["a\nb".to_owned(), "1".to_owned()], vec!["x".repeat(50), "200".to_owned()]];
        let text = table(&["name", "n"], &rows, &[1], "  ");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("  a b ") && lines[1].ends_with("    1"), "{text}");
        assert!(lines[2].contains('…') && lines[2].chars().count() == 2 + CELL_MAX + 2 + 3, "{text}");
    }
}
