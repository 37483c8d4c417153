//! Durations, counts and sizes as people write them: text in, whole numbers out.
//!
//! The one parser for the configuration file, the command line and the control
//! API. What is refused is refused with a complaint behind which "found …" may
//! stand.

/// Seconds that fit into 64-bit nanoseconds with room to spare (95 years).
pub(crate) const SECONDS_MAX: f64 = 3e9;

/// What [`duration_ns`] understands, for messages.
pub(crate) const DURATION: &str = "seconds or a duration such as 90s, 5m, 6h, 1d, 1h30m or 500ms";
/// What [`count`] understands, for messages.
pub(crate) const COUNT: &str = "a whole number such as 5000, 1_000_000, 10k or 1M";
/// What [`bytes`] understands, for messages.
pub(crate) const BYTES: &str = "a number of bytes such as 4194304, 4MiB or 64KiB";
/// What [`percent`] understands, for messages.
pub(crate) const PERCENT: &str = "a number of hundredths such as 20 or 20%";

/// The texts that [`duration_ns`] understands beside plain numbers, as a regular
/// expression; those that overflow are in it.
pub(crate) const DURATION_PATTERN: &str =
    r"^([0-9]+(\.[0-9]+)?|([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?[0-9]+(\.[0-9]+)?(ms|[dhms]))$";
/// The same of [`count`].
pub(crate) const COUNT_PATTERN: &str = r"^[0-9]+(_[0-9]+)*((\.[0-9]+)?[kMG])?$";
/// The same of [`whole`].
pub(crate) const WHOLE_PATTERN: &str = r"^-?[0-9]+(_[0-9]+)*((\.[0-9]+)?[kMG])?$";
/// The same of [`bytes`].
pub(crate) const BYTES_PATTERN: &str = r"^[0-9]+(_[0-9]+)*((\.[0-9]+)?(kB|MB|GB|KiB|MiB|GiB|B))?$";
/// The same of [`percent`].
pub(crate) const PERCENT_PATTERN: &str = r"^[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)? *%?$";

/// Units of time and their nanoseconds, the longest first.
const TIME_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];
const COUNT_UNITS: [(&str, u64); 4] = [
    ("", 1),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
];
const BYTE_UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

const NEGATIVE: &str = "must not be negative";
const FRACTION_DIGITS_MAX: usize = 18;
/// More than any unit leaves room for, with room for every unit.
const WHOLE_MAX: u128 = 1 << 80;

/// Nanoseconds of a text: a plain number is seconds; numbers with units follow
/// one another from the longest unit to the shortest, and the last one may have a
/// fraction (`1.5h`).
///
/// # Errors
/// Why it is no duration: of a wrong form, negative, or longer than 2^64 ns.
pub(crate) fn duration_ns(text: &str) -> Result<u64, String> {
    let wrong = || format!("expected {DURATION}");
    let too_long = || "is too long for a duration".to_owned();
    if is_negative(text) {
        return Err(NEGATIVE.to_owned());
    }
    let is_plain = |byte: u8| byte.is_ascii_digit() || b".eE+-".contains(&byte);
    if text.bytes().all(is_plain) {
        let seconds: f64 = text.parse().map_err(|_| wrong())?;
        let ns = (seconds * 1e9).round();
        // The float above every u64.
        return if ns < u64::MAX as f64 {
            Ok(ns as u64)
        } else {
            Err(too_long())
        };
    }
    let mut total: u64 = 0;
    let mut units = TIME_UNITS.iter();
    let mut rest = text;
    while !rest.is_empty() {
        let number = Decimal::before(&mut rest).ok_or_else(wrong)?;
        let word_end = rest.find(|c: char| !c.is_ascii_alphabetic());
        let (word, after) = rest.split_at(word_end.unwrap_or(rest.len()));
        // Units that were passed by do not come any more.
        let unit = units.find(|(name, _)| *name == word).ok_or_else(wrong)?;
        if number.has_point && !after.is_empty() {
            return Err(wrong());
        }
        let ns = number.times(unit.1).ok_or_else(too_long)?.0;
        total = total.checked_add(ns).ok_or_else(too_long)?;
        rest = after;
    }
    Ok(total)
}

/// A duration as [`duration_ns`] reads it, with the longest units that fit.
pub(crate) fn duration_text(ns: u64) -> String {
    let mut text = String::new();
    let mut rest = ns;
    for (name, unit_ns) in TIME_UNITS {
        let (count, left) = (rest / unit_ns, rest % unit_ns);
        let is_last = unit_ns == 1_000_000;
        if count > 0 || (is_last && left > 0) {
            text.push_str(&count.to_string());
            if is_last && left > 0 {
                let digits = format!(".{left:06}");
                text.push_str(digits.trim_end_matches('0'));
            }
            text.push_str(name);
        }
        rest = left;
    }
    if text.is_empty() {
        text.push_str("0s");
    }
    text
}

/// A count: digits, underscores between them, and k, M or G for a thousand, a
/// million or a billion, behind a fraction as well (`1.5M`).
///
/// # Errors
/// Why it is no count.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    scaled(text, &COUNT_UNITS, COUNT)
}

/// As [`count`], with a sign.
///
/// # Errors
/// As those of [`count`].
pub(crate) fn whole(text: &str) -> Result<i64, String> {
    let (magnitude, sign) = match text.strip_prefix('-') {
        Some(magnitude) => (magnitude, -1),
        None => (text, 1),
    };
    let magnitude = scaled(magnitude, &COUNT_UNITS, COUNT)?;
    i64::try_from(i128::from(magnitude) * sign)
        .map_err(|_| format!("must be within {} and {}", i64::MIN, i64::MAX))
}

/// A number of bytes, with B, kB, MB, GB (thousands) or KiB, MiB, GiB (1024).
///
/// # Errors
/// Why it is none; of `4M` it is not known which is meant.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let ambiguous = text.strip_suffix(['k', 'K', 'M', 'G']);
    if let Some(number) = ambiguous.filter(|number| count(number).is_ok()) {
        let unit = text[number.len()..].to_uppercase();
        let kilo = if unit == "K" { "k" } else { &unit };
        return Err(format!(
            "expected a unit of bytes: {number}{unit}iB (powers of 1024) or {number}{kilo}B \
             (powers of 1000)"
        ));
    }
    scaled(text, &BYTE_UNITS, BYTES)
}

fn scaled(text: &str, units: &[(&str, u64)], understood: &str) -> Result<u64, String> {
    let wrong = || format!("expected {understood}");
    if is_negative(text) {
        return Err(NEGATIVE.to_owned());
    }
    let mut rest = text;
    let number = Decimal::before(&mut rest).ok_or_else(wrong)?;
    let unit = units.iter().find(|(name, _)| *name == rest);
    let unit = unit.ok_or_else(wrong)?;
    let product = number.times(unit.1);
    let (value, is_exact) = product.ok_or_else(|| format!("must be at most {}", u64::MAX))?;
    let is_plain = unit.0.is_empty();
    if !is_exact || (is_plain && number.has_point) {
        return Err(wrong());
    }
    Ok(value)
}

/// Hundredths: a number with or without a percent sign behind it. Of `20%` and `20` that is
/// 20.
///
/// # Errors
/// Why it is none.
pub(crate) fn percent(text: &str) -> Result<f64, String> {
    if is_negative(text) {
        return Err(NEGATIVE.to_owned());
    }
    let number = text.strip_suffix('%').map_or(text, str::trim_end);
    let is_part = |byte: u8| byte.is_ascii_digit() || b".eE+-".contains(&byte);
    let number = Some(number).filter(|number| number.bytes().all(is_part));
    let number = number.and_then(|number| number.parse().ok());
    number
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| format!("expected {PERCENT}"))
}

fn is_negative(text: &str) -> bool {
    let number = text.strip_prefix('-');
    number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
}

/// A number as its digits: `1_000.25`.
struct Decimal {
    whole: u128,
    /// The digits behind the point, and how many there are.
    fraction: u64,
    fraction_digits: u32,
    has_point: bool,
}

impl Decimal {
    /// Takes the number at the beginning of a text.
    fn before(rest: &mut &str) -> Option<Self> {
        let is_part = |c: char| c.is_ascii_digit() || c == '_' || c == '.';
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (number, None),
        };
        let is_group = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
        if !whole.split('_').all(is_group) || fraction.is_some_and(|digits| !is_group(digits)) {
            return None;
        }
        let has_point = fraction.is_some();
        let fraction = fraction.unwrap_or_default().trim_end_matches('0');
        if fraction.len() > FRACTION_DIGITS_MAX {
            return None;
        }
        // One that is too large stays so, whatever it is multiplied by.
        let whole = whole.replace('_', "").parse().unwrap_or(WHOLE_MAX);
        *rest = after;
        Some(Self {
            whole: whole.min(WHOLE_MAX),
            fraction: if fraction.is_empty() {
                0
            } else {
                fraction.parse().ok()?
            },
            fraction_digits: fraction.len() as u32,
            has_point,
        })
    }

    /// The product, rounded, and whether it is exact; nothing where it overflows.
    fn times(&self, unit: u64) -> Option<(u64, bool)> {
        let scale = 10_u128.pow(self.fraction_digits);
        let part = u128::from(self.fraction) * u128::from(unit);
        let whole = self.whole * u128::from(unit);
        let sum = u64::try_from(whole + (part + scale / 2) / scale).ok()?;
        Some((sum, part.is_multiple_of(scale)))
    }
}

/// Rounds seconds to nanoseconds; NaN and negative ones give 0.
pub(crate) fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_seconds_or_have_units() {
        for (text, ns) in [
            ("0", 0),
            ("90", 90_000_000_000),
            ("0.5", 500_000_000),
            (".5", 500_000_000),
            ("1e3", 1_000_000_000_000),
            ("90s", 90_000_000_000),
            ("5m", 300_000_000_000),
            ("6h", 21_600_000_000_000),
            ("1d", 86_400_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1d2h3m4s5ms", 93_784_005_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1m0.25s", 60_250_000_000),
            ("500ms", 500_000_000),
            ("0.000001ms", 1),
        ] {
            assert_eq!(duration_ns(text), Ok(ns), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_told_why() {
        for wrong in [
            "", " ", "s", "5 m", " 5m", "5m ", "5x", "5M", "1m1h", "1s1s", "1.5h30m", "NaN", "inf",
            "1,5s", "1h30", "--5", "1__0s", "1.s", ".s", "é", "1é", "5mm", "1e3s",
        ] {
            let message = duration_ns(wrong).unwrap_err();
            assert!(message.contains("90s, 5m"), "{wrong:?}: {message}");
        }
        assert_eq!(duration_ns("-1"), Err(NEGATIVE.to_owned()));
        assert_eq!(duration_ns("-1h"), Err(NEGATIVE.to_owned()));
        for long in [
            "213504d",
            "1e300",
            "99999999999999999999999s",
            "18446744073709551616ms",
        ] {
            assert!(
                duration_ns(long).unwrap_err().contains("too long"),
                "{long}"
            );
        }
    }

    #[test]
    fn counts_may_be_short() {
        for (text, value) in [
            ("0", 0),
            ("1000", 1000),
            ("1_000_000", 1_000_000),
            ("10k", 10_000),
            ("1M", 1_000_000),
            ("1.5M", 1_500_000),
            ("2G", 2_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(count(text), Ok(value), "{text}");
        }
        for wrong in [
            "", "k", "_1", "1_", "1__0", "1.5", "1.0", "1.0005k", "10 k", "1e6", "10m", "10K",
            "NaN", "0x10", "+1",
        ] {
            assert!(count(wrong).unwrap_err().contains("10k"), "{wrong:?}");
        }
        assert_eq!(count("-1"), Err(NEGATIVE.to_owned()));
        for large in ["18446744073709551616", "1000000000000000000k"] {
            assert!(count(large).unwrap_err().contains("at most"), "{large}");
        }
        assert_eq!(whole("-10k"), Ok(-10_000));
        assert_eq!(whole("-9223372036854775808"), Ok(i64::MIN));
        for wrong in ["--1", "9223372036854775808", "-", "1.5"] {
            assert!(whole(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn percentages_may_have_their_sign() {
        for (text, value) in [
            ("20", 20.0),
            ("20%", 20.0),
            ("0.5 %", 0.5),
            ("1e-3%", 0.001),
            ("100.0%", 100.0),
        ] {
            assert_eq!(percent(text), Ok(value), "{text}");
        }
        for wrong in [
            "", "%", "20%%", "%20", "20 ", "a fifth", "NaN%", "inf%", "1e999%", "0,5%",
        ] {
            assert!(percent(wrong).unwrap_err().contains("20%"), "{wrong:?}");
        }
        assert_eq!(percent("-5%"), Err(NEGATIVE.to_owned()));
    }

    #[test]
    fn bytes_tell_thousands_from_1024() {
        assert_eq!(bytes("4194304"), Ok(4 << 20));
        assert_eq!(bytes("4_194_304"), Ok(4 << 20));
        assert_eq!(bytes("4MiB"), Ok(4 << 20));
        assert_eq!(bytes("0.5KiB"), Ok(512));
        assert_eq!(bytes("64kB"), Ok(64_000));
        assert_eq!(bytes("7B"), Ok(7));
        let message = bytes("4M").unwrap_err();
        assert!(
            message.contains("4MiB") && message.contains("4MB"),
            "{message}"
        );
        assert!(bytes("4k").unwrap_err().contains("4KiB"));
        assert!(bytes("4 MiB").is_err() && bytes("4mb").is_err());
    }

    proptest! {
        /// For every duration, its text is read as the same duration.
        #[test]
        fn a_formatted_duration_is_read_as_the_same(ns in any::<u64>(), shift in 0..64_u32) {
            let ns = ns >> shift;
            prop_assert_eq!(duration_ns(&duration_text(ns)), Ok(ns));
        }

        /// For every text, there is an answer without a panic.
        #[test]
        fn any_text_gets_an_answer(text in "[0-9._kMGBidhms+-]{0,12}") {
            let _ = (duration_ns(&text), count(&text), whole(&text), bytes(&text));
        }
    }
}
