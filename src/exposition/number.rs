//! Numbers as text: sample values, `le` and `quantile` labels, times.
//!
//! Values round-trip: a reader that parses them gets the same 64 bits (of NaN,
//! some NaN). Both formats take the same spellings.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use std::io::{self, Write};

use crate::exposition::room::Room;

/// No value or count is longer.
pub(super) const VALUE_BYTES_MAX: usize = 24;
/// No time is longer.
pub(super) const TIME_BYTES_MAX: usize = 24;

const HUNDRED_MILLION: u64 = 100_000_000;
const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;
/// Whole numbers below this (2⁵³) print as integers.
const INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Puts a value: an integer where it is one, else the shortest digits that
/// round-trip; `NaN`, `+Inf`, `-Inf`.
#[inline(always)]
pub(super) fn put_value(room: &mut Room, value: f64) {
    let magnitude = value.abs();
    if magnitude < INTEGER_MAX {
        // Through i64, which processors convert to faster than to u64.
        let whole = magnitude as i64;
        if whole as f64 == magnitude {
            if value.is_sign_negative() {
                room.put_window(b"-", 1);
            }
            return put_count(room, whole as u64);
        }
        return room.put_float(value);
    }
    put_rare(room, value);
}

/// Puts a count.
#[inline(always)]
pub(super) fn put_count(room: &mut Room, count: u64) {
    if count < HUNDRED_MILLION {
        put_leading(room, count as u32);
    } else {
        put_large_count(room, count);
    }
}

/// Appends Unix milliseconds as seconds, without trailing zeros.
///
/// # Errors
/// Those of `out`.
pub(super) fn write_seconds(out: &mut impl Write, time_ms: i64) -> io::Result<()> {
    if time_ms < 0 {
        out.write_all(b"-")?;
    }
    let time_ms = time_ms.unsigned_abs();
    write!(out, "{}", time_ms / 1000)?;
    let rest = (time_ms % 1000) as u32;
    if rest != 0 {
        let digits = [rest / 100, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit as u8);
        let zeros = digits.iter().rev().take_while(|&&d| d == b'0').count();
        out.write_all(b".")?;
        out.write_all(&digits[..3 - zeros])?;
    }
    Ok(())
}

/// Appends a finite number as Prometheus writes it in `le` and `quantile`
/// labels: Go's `%g` with the shortest digits, made a float by a final `.0`.
fn write_label(out: &mut Vec<u8>, value: f64) {
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

/// A bound or quantile as Prometheus writes it in `le` and `quantile` labels.
pub(crate) fn label_number(value: f64) -> String {
    if value == f64::INFINITY {
        return "+Inf".to_owned();
    }
    let mut text = Vec::with_capacity(24);
    write_label(&mut text, value);
    String::from_utf8(text).expect("digits are ASCII")
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

#[cold]
fn put_rare(room: &mut Room, value: f64) {
    if value.is_nan() {
        room.put(b"NaN");
    } else if value.is_infinite() {
        room.put(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else {
        room.put_float(value);
    }
}

fn put_large_count(room: &mut Room, count: u64) {
    let (high, low) = (count / HUNDRED_MILLION, count % HUNDRED_MILLION);
    if high < HUNDRED_MILLION {
        put_leading(room, high as u32);
    } else {
        put_leading(room, (high / HUNDRED_MILLION) as u32);
        let middle = eight_digits((high % HUNDRED_MILLION) as u32);
        room.put_window(&(middle | ASCII_ZEROS).to_le_bytes(), 8);
    }
    room.put_window(&(eight_digits(low as u32) | ASCII_ZEROS).to_le_bytes(), 8);
}

/// Puts a number below 10⁸ without leading zeros, and without a branch: they
/// are shifted out.
#[inline(always)]
fn put_leading(room: &mut Room, number: u32) {
    let digits = eight_digits(number);
    let zeros = (digits.trailing_zeros() / 8).min(7);
    let text = (digits | ASCII_ZEROS) >> (8 * zeros);
    room.put_window(&text.to_le_bytes(), 8 - zeros as usize);
}

/// The eight decimal digits of a number below 10⁸, one per byte, the first in
/// the lowest byte: halves of four digits, then of two, then of one, all lanes
/// at once. Division by 100 and 10 is a multiplication that is exact for so
/// few digits.
#[inline(always)]
fn eight_digits(number: u32) -> u64 {
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x7F_0000_007F;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000F_000F_000F_000F;
    tens | (twos - 10 * tens) << 8
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

    fn put(put: impl FnOnce(&mut Room)) -> String {
        text(|out| put(&mut Room::new(out, VALUE_BYTES_MAX)))
    }

    #[test]
    fn values_print_as_prometheus_reads_them() {
        let check = |value: f64, expected: &str| {
            assert_eq!(put(|room| put_value(room, value)), expected);
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
        // Between two texts, both as near: the even one, as Go has it.
        check(7_225_168_703_299_233.0 / 4.0, "1.8062921758248082e+15");
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
            assert_eq!(text(|out| write_seconds(out, time_ms).unwrap()), expected);
        };
        check(1_700_000_000_123, "1700000000.123");
        check(1_700_000_000_120, "1700000000.12");
        check(1_700_000_000_100, "1700000000.1");
        check(1_700_000_000_003, "1700000000.003");
        check(1_700_000_000_000, "1700000000");
        check(0, "0");
        check(-1, "-0.001");
        assert!(text(|out| write_seconds(out, i64::MIN).unwrap()).len() <= TIME_BYTES_MAX);
    }

    #[test]
    fn counts_print_as_the_standard_library_prints_them() {
        let check = |count: u64| assert_eq!(put(|room| put_count(room, count)), count.to_string());
        (0..20_000).for_each(check);
        for power in 0..20 {
            let power = 10u64.pow(power);
            (power - 1..=power + 1).for_each(check);
            check(power / 2);
        }
        check(u64::MAX);
        // All numbers of four digits in each half, which is all there are.
        for number in 0..10_000 {
            check(number * 10_000 + 9_999 - number);
        }
    }

    proptest! {
        /// For every count, its digits are those of the standard library.
        #[test]
        fn counts_print_exactly(bits: u64, shift in 0..64u32) {
            let count = bits >> shift;
            prop_assert_eq!(put(|room| put_count(room, count)), count.to_string());
        }

        /// For every number, its text is short and reads back as the same bits.
        #[test]
        fn values_round_trip(bits: u64, whole: i32) {
            for value in [f64::from_bits(bits), f64::from(whole), f64::from(whole) / 64.0] {
                let text = put(|room| put_value(room, value));
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
