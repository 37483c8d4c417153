//! Units: the words of Prometheus' naming rules as the codes of the UCUM.
//!
//! A receiver that translates names for Prometheus turns the code back into
//! the word and appends it only where the name does not have it yet, so
//! `x_seconds` with the unit `s` stays `x_seconds`. Only codes that receivers
//! know are used: a unit `bits` is sent so, since of `x_bits` with the code `bit`
//! they would make `x_bits_bit`.

/// Words and codes; other units are sent as they are.
const CODES: [(&str, &str); 25] = [
    ("amperes", "A"),
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
    ("kilobytes", "KBy"),
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
    ("terabytes", "TBy"),
    ("volts", "V"),
    ("watts", "W"),
];

/// The unit to send for a configured one.
pub(crate) fn ucum(unit: &str) -> &str {
    let known = CODES.iter().find(|(word, _)| *word == unit);
    known.map_or(unit, |(_, code)| code)
}

/// The word that receivers turn a code into; units that are no codes stay as
/// they are, and a mere number of things has no word.
pub(crate) fn word_of(code: &str) -> &str {
    match code {
        "1" => "",
        // Misspelt (these are tebibytes), but that is what receivers make of it.
        "TiBy" => "tibibytes",
        _ => {
            let known = CODES.iter().find(|(_, known)| *known == code);
            known.map_or(code, |(word, _)| word)
        }
    }
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
        assert_eq!(ucum("bits"), "bits");
        assert_eq!(word_of("s"), "seconds");
        assert_eq!(word_of("1"), "");
        assert_eq!(word_of("furlongs"), "furlongs");
    }
}
