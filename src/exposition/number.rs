//! Numbers as text: sample values, `le` and `quantile` labels, times.
//!
//! Values round-trip: a reader that parses them gets the same 64 bits (of NaN,
//! some NaN). Both formats take the same spellings.

/// No value or count is longer.
pub(super) const VALUE_BYTES_MAX: usize = 24;
/// No time is longer.
pub(super) const TIME_BYTES_MAX: usize = 24;

/// Whole numbers below this (2⁵³) print as integers.
const INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Appends a value: an integer where it is one, else the shortest digits that
/// round-trip; `NaN`, `+Inf`, `-Inf`.
#[inline]
pub fn write_value(out: &mut Vec<u8>, value: f64) {
    let magnitude = value.abs();
    if magnitude < INTEGER_MAX {
        let whole = magnitude as u64;
        if whole as f64 == magnitude {
            if value.is_sign_negative() {
                out.push(b'-');
            }
            return write_count(out, whole);
        }
        return write_digits(out, value);
    }
    write_rare(out, value);
}

/// Appends a count.
#[inline]
pub fn write_count(out: &mut Vec<u8>, count: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
}

/// Appends Unix milliseconds as seconds, without trailing zeros.
pub fn write_seconds(out: &mut Vec<u8>, time_ms: i64) {
    if time_ms < 0 {
        out.push(b'-');
    }
    let time_ms = time_ms.unsigned_abs();
    write_count(out, time_ms / 1000);
    let rest = (time_ms % 1000) as u32;
    if rest != 0 {
        let digits = [rest / 100, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit as u8);
        let zeros = digits.iter().rev().take_while(|&&d| d == b'0').count();
        out.push(b'.');
        out.extend_from_slice(&digits[..3 - zeros]);
    }
}

/// Appends a finite number as Prometheus writes it in `le` and `quantile`
/// labels: Go's `%g` with the shortest digits, made a float by a final `.0`.
pub fn write_label(out: &mut Vec<u8>, value: f64) {
    debug_assert!(value.is_finite());
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let (digits, exponent) = shortest(value.abs());
    let start = out.len();
    if !(-4..6).contains(&exponent) {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        let text = format!("e{sign}{:02}", exponent.unsigned_abs());
        out.extend_from_slice(text.as_bytes());
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-1 - exponent) as usize, b'0');
        out.extend_from_slice(&digits);
    } else {
        let whole_len = exponent as usize + 1;
        for place in 0..digits.len().max(whole_len) {
            if place == whole_len {
                out.push(b'.');
            }
            out.push(digits.get(place).copied().unwrap_or(b'0'));
        }
    }
    if !out[start..].iter().any(|byte| matches!(byte, b'.' | b'e')) {
        out.extend_from_slice(b".0");
    }
}

/// Shortest significant digits of a number that is not negative, and its
/// decimal exponent: `d.ddd × 10^exponent`.
fn shortest(value: f64) -> (Vec<u8>, i32) {
    if value == 0.0 {
        return (b"0".to_vec(), 0);
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().expect("zmij prints a decimal exponent");
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let leading = all.iter().take_while(|&&d| d == b'0').count();
    let trailing = all.iter().rev().take_while(|&&d| d == b'0').count();
    let exponent = exponent + whole.len() as i32 - 1 - leading as i32;
    (all[leading..all.len() - trailing].to_vec(), exponent)
}

#[inline]
fn write_digits(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
}

#[cold]
fn write_rare(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else {
        write_digits(out, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_print_as_prometheus_reads_them() {
        let check = |value: f64, expected: &str| {
            assert_eq!(text(|out| write_value(out, value)), expected);
        };
        check(0.0, "0");
        check(-0.0, "-0");
        check(1.0, "1");
        check(-17.0, "-17");
        check(0.1, "0.1");
        check(-2.5, "-2.5");
        check(123_456.789, "123456.789");
        check(9_007_199_254_740_991.0, "9007199254740991");
        check(-9_007_199_254_740_991.0, "-9007199254740991");
        check(9_007_199_254_740_992.0, "9007199254740992.0");
        check(1e22, "1e+22");
        check(1e-7, "1e-7");
        check(5e-324, "5e-324");
        check(-f64::MAX, "-1.7976931348623157e+308");
        check(-f64::MIN_POSITIVE, "-2.2250738585072014e-308");
        check(f64::NAN, "NaN");
        check(-f64::NAN, "NaN");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
    }

    #[test]
    fn label_numbers_are_canonical() {
        let check = |value: f64, expected: &str| {
            assert_eq!(text(|out| write_label(out, value)), expected);
        };
        check(0.0, "0.0");
        check(1.0, "1.0");
        check(-1.0, "-1.0");
        check(10.0, "10.0");
        check(0.5, "0.5");
        check(0.005, "0.005");
        check(2.5, "2.5");
        check(0.99, "0.99");
        check(0.0001, "0.0001");
        check(0.000_123_45, "0.00012345");
        check(0.000_01, "1e-05");
        check(-0.000_012_5, "-1.25e-05");
        check(100_000.0, "100000.0");
        check(999_999.0, "999999.0");
        check(1e6, "1e+06");
        check(1_048_576.0, "1.048576e+06");
        check(1_234_567.0, "1.234567e+06");
        check(123_456.789, "123456.789");
        check(1e21, "1e+21");
        check(1.1e23, "1.1e+23");
        check(1e100, "1e+100");
        check(5e-324, "5e-324");
        check(0.1 + 0.2, "0.30000000000000004");
    }

    #[test]
    fn times_print_as_seconds() {
        let check = |time_ms: i64, expected: &str| {
            assert_eq!(text(|out| write_seconds(out, time_ms)), expected);
        };
        check(1_700_000_000_123, "1700000000.123");
        check(1_700_000_000_120, "1700000000.12");
        check(1_700_000_000_100, "1700000000.1");
        check(1_700_000_000_003, "1700000000.003");
        check(1_700_000_000_000, "1700000000");
        check(0, "0");
        check(-1, "-0.001");
        assert!(text(|out| write_seconds(out, i64::MIN)).len() <= TIME_BYTES_MAX);
    }

    proptest! {
        /// For every number, its text is short and reads back as the same bits.
        #[test]
        fn values_round_trip(bits: u64, whole: i32) {
            for value in [f64::from_bits(bits), f64::from(whole), f64::from(whole) / 64.0] {
                let text = text(|out| write_value(out, value));
                prop_assert!(text.len() <= VALUE_BYTES_MAX);
                let read: f64 = text.parse().unwrap();
                prop_assert!(read.to_bits() == value.to_bits() || read.is_nan() && value.is_nan());
            }
        }

        /// For every finite number, the label text reads back as the same bits.
        #[test]
        fn label_numbers_round_trip(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = text(|out| write_label(out, value));
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
            prop_assert!(text.contains(['.', 'e']));
        }
    }
}
