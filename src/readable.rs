//! Numbers and tables as people read them.

use std::ops::RangeInclusive;

/// Digits in groups of three.
pub(crate) fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest decimal unit that leaves a whole number before the point.
pub(crate) fn human_bytes(bytes: u128) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// Appends rows of cells, which may end early, as lines of columns two spaces apart. The
/// columns `left` are aligned to the left, others to the right. `paint` gets every cell but
/// a row's first and may add what cannot be seen.
pub(crate) fn write_aligned(
    out: &mut String,
    indent: &str,
    rows: &[Vec<String>],
    left: impl Fn(usize) -> bool,
    paint: &dyn Fn(&str) -> String,
) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let space = " ".repeat(width - cell.chars().count());
            let painted = match column {
                0 => cell.clone(),
                _ => paint(cell),
            };
            let apart = if column == 0 { indent } else { "  " };
            line += apart;
            if left(column) {
                line += &painted;
                line += &space;
            } else {
                line += &space;
                line += &painted;
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// A number as YAML writes it, with the fewest digits that give it back.
pub(crate) fn float_text(value: f64) -> String {
    if value.is_nan() {
        ".nan".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { ".inf" } else { "-.inf" }.to_owned()
    } else if value == 0.0 || (1e-7..1e17).contains(&value.abs()) {
        format!("{value}")
    } else {
        format!("{value:e}")
    }
}

/// An end of a range.
pub(crate) fn bound_text(value: f64) -> String {
    if value.abs() >= 1e6 {
        format!("{value:e}")
    } else {
        float_text(value)
    }
}

/// What to say of a value that is out of a range; nothing of NaN, which stands for one
/// that was reported.
pub(crate) fn outside(value: f64, range: &RangeInclusive<f64>) -> Option<String> {
    (value < *range.start() || value > *range.end()).then(|| {
        format!(
            "must be within {} and {}, found {}",
            bound_text(*range.start()),
            bound_text(*range.end()),
            float_text(value)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_what_is_painted_has_no_width() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let rows: [Vec<String>; 3] = [
            row(&["é", "n", "v"]),
            row(&["abc", "10", "ok"]),
            row(&["d"]),
        ];
        let check = |indent, left: fn(usize) -> bool, paint: &dyn Fn(&str) -> String, expected| {
            let mut out = String::new();
            write_aligned(&mut out, indent, &rows, left, paint);
            assert_eq!(out, expected);
        };
        let plain: &dyn Fn(&str) -> String = &str::to_owned;
        check("", |_| true, plain, "é    n   v\nabc  10  ok\nd\n");
        check(
            "  ",
            |column| column == 0,
            plain,
            "  é     n   v\n  abc  10  ok\n  d\n",
        );
        let painted: &dyn Fn(&str) -> String = &|cell| cell.replace("ok", "<ok>");
        check("", |_| true, painted, "é    n   v\nabc  10  <ok>\nd\n");
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_950_000), "1,950,000");
    }

    #[test]
    fn bytes_have_a_fitting_unit() {
        assert_eq!(human_bytes(999), "999 B");
        assert_eq!(human_bytes(1_000), "1.0 kB");
        assert_eq!(human_bytes(999_999), "1.0 MB");
        assert_eq!(human_bytes(123_456_789), "123.5 MB");
    }
}
