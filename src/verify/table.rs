//! Tables for a terminal: rows of cells in, aligned text out.

use std::fmt::Write as _;

/// Appends rows, all with as many cells, as columns two spaces apart. The columns
/// `left` are aligned to the left, others to the right. `paint` gets every cell
/// but a row's first and may add what cannot be seen.
pub(super) fn write_aligned(
    out: &mut String,
    rows: &[Vec<String>],
    left: &[usize],
    paint: &dyn Fn(&str) -> String,
) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let space = " ".repeat(width - cell.chars().count());
            let painted = match column {
                0 => cell.clone(),
                _ => paint(cell),
            };
            let _ = if left.contains(&column) {
                write!(line, "  {painted}{space}")
            } else {
                write!(line, "  {space}{painted}")
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// A verdict in its colour: green what is right, red what is not.
pub(super) fn painted(verdict: &str, colours: bool) -> String {
    match (colours, verdict) {
        (true, "ok" | "yes") => format!("\u{1b}[32m{verdict}\u{1b}[0m"),
        (true, "DIFFERS" | "NO") => format!("\u{1b}[1;31m{verdict}\u{1b}[0m"),
        _ => verdict.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_colours_have_no_width() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["metric", "n", "verdict"]), row(["ok", "10", "ok"])];
        let mut out = String::new();
        write_aligned(&mut out, &rows, &[0, 2], &|cell| painted(cell, true));
        let expected = "  metric   n  verdict\n  ok      10  \u{1b}[32mok\u{1b}[0m\n";
        assert_eq!(out, expected);
        out.clear();
        write_aligned(&mut out, &rows, &[0], &|cell| painted(cell, false));
        assert_eq!(out, "  metric   n  verdict\n  ok      10       ok\n");
    }
}
