//! Numbers as people read them.

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

/// The number nearest to `guess` that `fits`, at most 7 floats away; else `guess`.
pub(crate) fn nearest(guess: f64, fits: impl Fn(f64) -> bool) -> f64 {
    let (mut below, mut above) = (guess, guess);
    for _ in 0..8 {
        if fits(below) {
            return below;
        }
        if fits(above) {
            return above;
        }
        (below, above) = (below.next_down(), above.next_up());
    }
    guess
}

#[cfg(test)]
mod tests {
    use super::*;

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
