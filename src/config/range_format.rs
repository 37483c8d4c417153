//! How the numbers of a label's range are written, and read back.
//!
//! Pure functions of text.

const WIDTH_MAX: usize = 64;
pub(super) const EXPECTED: &str = "use one of {} %d %s %x, with a width (%5d) or zeros (%02d)";

/// Text, one number, text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeFormat {
    /// Text before the number, `%%` already resolved.
    pub before: String,
    /// Text after the number.
    pub after: String,
    /// Fill up to this many characters, sign included; 0 means none.
    pub width: usize,
    /// Fill with zeros after the sign (else with spaces before it).
    pub zero_fill: bool,
    /// Base 16 with lower-case digits instead of base 10.
    pub hexadecimal: bool,
}

impl RangeFormat {
    /// Appends a number as it is written.
    pub(crate) fn write(&self, number: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(self.before.as_bytes());
        let mut decimal = itoa::Buffer::new();
        let hexadecimal;
        let digits = if self.hexadecimal {
            hexadecimal = format!("{:x}", number.unsigned_abs());
            &hexadecimal
        } else {
            decimal.format(number.unsigned_abs())
        };
        let sign = if number < 0 { "-" } else { "" };
        let fill = self.width.saturating_sub(sign.len() + digits.len());
        if !self.zero_fill {
            out.resize(out.len() + fill, b' ');
        }
        out.extend_from_slice(sign.as_bytes());
        if self.zero_fill {
            out.resize(out.len() + fill, b'0');
        }
        out.extend_from_slice(digits.as_bytes());
        out.extend_from_slice(self.after.as_bytes());
    }

    /// How a number is written.
    pub(super) fn text(&self, number: i64) -> String {
        let mut text = Vec::new();
        self.write(number, &mut text);
        String::from_utf8(text).expect("digits between texts")
    }

    /// The number that is written like this, if there is one.
    pub(super) fn number(&self, text: &str) -> Option<i64> {
        let middle = text
            .strip_prefix(&*self.before)?
            .strip_suffix(&*self.after)?;
        let digits = middle.trim_start_matches(' ');
        let number = if self.hexadecimal {
            i64::from_str_radix(digits, 16).ok()?
        } else {
            digits.parse().ok()?
        };
        // A sign, other zeros or other spaces are another text.
        (self.text(number) == text).then_some(number)
    }
}

/// What stands in a `fmt` for the number; `{}` by default.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) width: usize,
    pub(super) zero_fill: bool,
    pub(super) hexadecimal: bool,
}

/// The directive that a text begins with, if it does, and what follows.
pub(super) fn split_directive(text: &str) -> Result<Option<(Directive, &str)>, String> {
    if let Some(after) = text.strip_prefix("{}") {
        return Ok(Some((Directive::default(), after)));
    }
    if text.starts_with("{:") {
        return Err(format!("{{:…}} is not understood; {EXPECTED}"));
    }
    let Some(after) = text.strip_prefix('%') else {
        return Ok(None);
    };
    let digits_end = after
        .find(|c: char| !c.is_ascii_digit())
        .ok_or_else(|| format!("% stands for itself as %%; {EXPECTED}"))?;
    let (digits, after) = after.split_at(digits_end);
    let letter = after.chars().next().unwrap_or_default();
    if !matches!(letter, 'd' | 's' | 'x') {
        return Err(format!(
            "%{digits}{letter} is not understood; {EXPECTED}, and %% for a percent sign"
        ));
    }
    let zero_fill = digits.starts_with('0');
    if zero_fill && letter == 's' {
        return Err("%s cannot be filled with zeros; use %d".to_owned());
    }
    let width = match digits.trim_start_matches('0') {
        "" => 0,
        width => match width.parse() {
            Ok(width @ 1..=WIDTH_MAX) => width,
            _ => return Err(format!("a width is at most {WIDTH_MAX}")),
        },
    };
    let directive = Directive {
        width,
        zero_fill: zero_fill && width > 0,
        hexadecimal: letter == 'x',
    };
    Ok(Some((directive, &after[1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format_of(
        before: &str,
        after: &str,
        width: usize,
        zero_fill: bool,
        hexadecimal: bool,
    ) -> RangeFormat {
        RangeFormat {
            before: before.to_owned(),
            after: after.to_owned(),
            width,
            zero_fill,
            hexadecimal,
        }
    }

    /// What the standard library makes of the same.
    fn obvious(format: &RangeFormat, number: i64) -> String {
        let (before, after, width) = (&format.before, &format.after, format.width);
        let digits = number.unsigned_abs();
        let sign = if number < 0 { "-" } else { "" };
        let digits = if format.hexadecimal {
            format!("{digits:x}")
        } else {
            digits.to_string()
        };
        if format.zero_fill {
            let width = width.saturating_sub(sign.len());
            format!("{before}{sign}{digits:0>width$}{after}")
        } else {
            let signed = format!("{sign}{digits}");
            format!("{before}{signed:>width$}{after}")
        }
    }

    #[test]
    fn numbers_print_as_printf_prints_them() {
        let check = |width, zero_fill, hexadecimal, number, expected: &str| {
            let format = format_of("u", "!", width, zero_fill, hexadecimal);
            assert_eq!(format.text(number), expected);
            assert_eq!(obvious(&format, number), expected);
        };
        check(0, false, false, 7, "u7!");
        check(5, true, false, 17, "u00017!");
        check(5, true, false, -17, "u-0017!");
        check(5, false, false, -17, "u  -17!");
        check(4, true, true, 255, "u00ff!");
        check(2, true, false, 12345, "u12345!");
        check(0, false, false, i64::MIN, "u-9223372036854775808!");
    }

    #[test]
    fn numbers_of_ranges_are_recognised() {
        for (format, number, text) in [
            (format_of("u", "!", 0, false, false), 7, "u7!"),
            (format_of("u", "!", 5, true, false), -17, "u-0017!"),
            (format_of("u", "!", 5, false, false), -17, "u  -17!"),
            (format_of("", "", 4, true, true), 255, "00ff"),
            (format_of(" ", "", 4, false, true), 255, "   ff"),
            (
                format_of("", "", 0, false, false),
                i64::MIN,
                "-9223372036854775808",
            ),
            (format_of("1", "1", 2, true, false), 12345, "1123451"),
        ] {
            assert_eq!(format.text(number), text);
            assert_eq!(format.number(text), Some(number), "{text}");
            for other in [
                format!("{text} "),
                format!(" {text}"),
                format!("+{text}"),
                String::new(),
            ] {
                assert_eq!(format.number(&other), None, "{other}");
            }
        }
        let plain = format_of("", "", 0, false, false);
        for text in ["01", "+1", " 1", "1.0", "9223372036854775808", "x", "-0"] {
            assert_eq!(plain.number(text), None, "{text}");
        }
        assert_eq!(format_of("", "", 0, false, true).number("FF"), None);
    }
}
