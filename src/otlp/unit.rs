//! Units: the words of Prometheus' naming rules as the codes of the UCUM.
//!
//! A receiver that translates names for Prometheus turns the code back into
//! the word and appends it only where the name does not have it yet, so
//! `x_seconds` with the unit `s` stays `x_seconds`.

/// Words and codes; other units are sent as they are.
const CODES: [(&str, &str); 24] = [
    ("amperes", "A"),
    ("bits", "bit"),
    ("bytes", "By"),
    ("celsius", "Cel"),
    ("days", "d"),
    ("gibibytes", "GiBy"),
    ("gigabytes", "GBy"),
    ("grams", "g"),
    ("hertz", "Hz"),
    ("hours", "h"),
    ("joules", "J"),
    ("kibibytes", "KiBy"),
    ("kilobytes", "kBy"),
    ("mebibytes", "MiBy"),
    ("megabytes", "MBy"),
    ("meters", "m"),
    ("microseconds", "us"),
    ("milliseconds", "ms"),
    ("minutes", "min"),
    ("nanoseconds", "ns"),
    ("percent", "%"),
    ("ratio", "1"),
    ("seconds", "s"),
    ("volts", "V"),
];

/// The unit to send for a configured one.
pub(super) fn ucum(unit: &str) -> &str {
    let known = CODES.iter().find(|(word, _)| *word == unit);
    known.map_or(unit, |(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_codes_and_all_else_stays() {
        assert_eq!(ucum("seconds"), "s");
        assert_eq!(ucum("bytes"), "By");
        assert_eq!(ucum("ratio"), "1");
        assert_eq!(ucum(""), "");
        assert_eq!(ucum("s"), "s");
        assert_eq!(ucum("{request}"), "{request}");
    }
}
