//! `fmt`: what the text of a label is made of.
//!
//! Pure functions of text; whether the labels that a text names are there, `check`
//! knows.

use super::problem::quoted;
use super::range_format::{Directive, EXPECTED, RangeFormat, split_directive};
use super::{LabelValues, Piece};

/// Longest identifier, in characters.
const ID_CHARACTERS_MAX: u8 = 32;
/// Pieces of one text.
const PIECES_MAX: usize = 64;

/// A `fmt` as it was read.
#[derive(Debug)]
pub(super) struct Fmt<'a> {
    written: &'a str,
    /// No two texts beside each other, none of them empty.
    pieces: Vec<Piece>,
    /// How its own number is written.
    directive: Directive,
}

/// Values of a label, and its text where that is more than the value.
pub(super) type Written = (LabelValues, Option<Vec<Piece>>);

impl<'a> Fmt<'a> {
    /// Reads a `fmt`, or tells what is wrong with it whatever the values are.
    pub(super) fn parse(fmt: &'a str) -> Result<Self, String> {
        if fmt.contains('\0') {
            return Err("must not contain NUL".to_owned());
        }
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut directive = Directive::default();
        let mut rest = fmt;
        while let Some(c) = rest.chars().next() {
            let escaped = ["%%", "{{", "}}"].into_iter();
            let (piece, after) =
                if let Some(after) = escaped.into_iter().find_map(|two| rest.strip_prefix(two)) {
                    text.push(c);
                    rest = after;
                    continue;
                } else if let Some((found, after)) = split_piece(rest)? {
                    (found, after)
                } else if let Some((found, after)) = split_directive(rest)? {
                    directive = found;
                    (Piece::Value, after)
                } else {
                    text.push(c);
                    rest = &rest[c.len_utf8()..];
                    continue;
                };
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(piece);
            rest = after;
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        if pieces.len() > PIECES_MAX {
            let count = pieces.len();
            return Err(format!("has {count} pieces; at most {PIECES_MAX}"));
        }
        let read = Self {
            written: fmt,
            pieces,
            directive,
        };
        match read.places() {
            0 | 1 => Ok(read),
            places => Err(format!(
                "{} has {places} places for the number; keep one",
                quoted(fmt)
            )),
        }
    }

    /// For numbers from `first` to `last`.
    pub(super) fn of_range(self, first: i64, last: i64) -> Result<Written, String> {
        if first < 0 && self.directive.hexadecimal {
            return Err("%x cannot write the negative numbers of this range".to_owned());
        }
        let count = last.abs_diff(first).saturating_add(1);
        self.shows_values("number", EXPECTED, count)?;
        let Self {
            pieces, directive, ..
        } = self;
        let is_plain = |piece: &Piece| matches!(piece, Piece::Text(_) | Piece::Value);
        let (before, after, text) = if pieces.iter().all(is_plain) {
            let (before, after) = around_value(pieces);
            (before, after, None)
        } else {
            (String::new(), String::new(), Some(pieces))
        };
        let Directive {
            width,
            zero_fill,
            hexadecimal,
        } = directive;
        let format = RangeFormat {
            before,
            after,
            width,
            zero_fill,
            hexadecimal,
        };
        let values = LabelValues::Range {
            first,
            last,
            format,
        };
        Ok((values, text))
    }

    /// For a list of so many values.
    pub(super) fn of_values(self, count: u64) -> Result<Option<Vec<Piece>>, String> {
        if self.directive != Directive::default() {
            return Err("values are texts; write {} for them, without a width".to_owned());
        }
        self.shows_values("value", "use {}", count)?;
        let text = self.pieces;
        Ok((text != [Piece::Value]).then_some(text))
    }

    /// For a label that has no values: it has one, the number 1 that is not shown.
    pub(super) fn alone(self) -> Result<Written, String> {
        if self.places() > 0 {
            let message = "has a place for a value, and the label has neither values nor range; \
                           give one of them, or remove the place";
            return Err(message.to_owned());
        }
        match <[Piece; 1]>::try_from(self.pieces) {
            Err(none) if none.is_empty() => Err("is empty; write some text".to_owned()),
            Ok([Piece::Text(text)]) => Ok((LabelValues::List(vec![text]), None)),
            Ok([piece]) => Ok((one_number(), Some(vec![piece]))),
            Err(pieces) => Ok((one_number(), Some(pieces))),
        }
    }

    fn places(&self) -> usize {
        let is_place = |piece: &&Piece| **piece == Piece::Value;
        self.pieces.iter().filter(is_place).count()
    }

    /// Whether texts of `count` values can differ.
    fn shows_values(&self, what: &str, expected: &str, count: u64) -> Result<(), String> {
        let is_told = |piece: &Piece| matches!(piece, Piece::Value | Piece::Id(_));
        let is_text = |piece: &Piece| matches!(piece, Piece::Text(_));
        if self.pieces.iter().any(is_told) {
            return Ok(());
        }
        let fmt = quoted(self.written);
        if self.pieces.iter().all(is_text) {
            return Err(format!("{fmt} has no place for the {what}; {expected}"));
        }
        if count > 1 {
            return Err(format!(
                "{fmt} is the same text for all {count} values of the label; add {{}} for the \
                 {what}, or an identifier such as {{id:5}}"
            ));
        }
        Ok(())
    }
}

fn one_number() -> LabelValues {
    let format = RangeFormat {
        before: String::new(),
        after: String::new(),
        width: 0,
        zero_fill: false,
        hexadecimal: false,
    };
    LabelValues::Range {
        first: 1,
        last: 1,
        format,
    }
}

/// The texts before and behind the only place for the value.
fn around_value(pieces: Vec<Piece>) -> (String, String) {
    let (mut before, mut after) = (String::new(), String::new());
    let mut side = &mut before;
    for piece in pieces {
        match piece {
            Piece::Text(text) => *side = text,
            _ => side = &mut after,
        }
    }
    (before, after)
}

/// The piece in braces that a text begins with, if it does, and what follows.
/// Braces around what is no name are text.
fn split_piece(text: &str) -> Result<Option<(Piece, &str)>, String> {
    let Some((inside, after)) = text
        .strip_prefix('{')
        .and_then(|inside| inside.split_once('}'))
    else {
        return Ok(None);
    };
    let (name, characters) = match inside.split_once(':') {
        Some((name, characters)) => (name, Some(characters)),
        None => (inside, None),
    };
    if !is_label_name(name) {
        return Ok(None);
    }
    let piece = match (name, characters) {
        ("id", Some(characters)) => {
            let count = characters.parse::<u8>().ok();
            let count = count.filter(|count| (1..=ID_CHARACTERS_MAX).contains(count));
            Piece::Id(count.ok_or_else(|| {
                format!(
                    "{{id:N}} is an identifier of 1 to {ID_CHARACTERS_MAX} characters, such as \
                     {{id:5}}, found {}",
                    quoted(characters)
                )
            })?)
        }
        ("generation", None) => Piece::Generation,
        (name, None) => Piece::Label(name.to_owned()),
        (_, Some(_)) => {
            return Err(format!(
                "{} is not understood; use {{label}}, {{id:5}} or {{generation}}, and {{{{ }}}} \
                 for braces",
                quoted(&format!("{{{inside}}}"))
            ));
        }
    };
    Ok(Some((piece, after)))
}

fn is_label_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    fn label(name: &str) -> Piece {
        Piece::Label(name.to_owned())
    }

    /// What a `fmt` makes of the numbers 0 to 9.
    fn check_fmt(fmt: &str, expected: Result<(&str, &str, usize, bool, bool), &str>) {
        let read = Fmt::parse(fmt).and_then(|read| read.of_range(0, 9));
        match (read, expected) {
            (Ok((LabelValues::Range { format, .. }, None)), Ok(expected)) => {
                let (before, after, width, zero_fill, hexadecimal) = expected;
                let expected = RangeFormat {
                    before: before.to_owned(),
                    after: after.to_owned(),
                    width,
                    zero_fill,
                    hexadecimal,
                };
                assert_eq!(format, expected, "{fmt}");
            }
            (Err(message), Err(part)) => assert!(message.contains(part), "{fmt}: {message}"),
            (got, expected) => panic!("{fmt}: {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_fmt_of_numbers_has_one_directive() {
        check_fmt("{}", Ok(("", "", 0, false, false)));
        check_fmt("user_%05d", Ok(("user_", "", 5, true, false)));
        check_fmt("%5d%%", Ok(("", "%", 5, false, false)));
        check_fmt("a%%{}b", Ok(("a%", "b", 0, false, false)));
        check_fmt("%04x", Ok(("", "", 4, true, true)));
        check_fmt("%s", Ok(("", "", 0, false, false)));
        check_fmt("{ä}%3s", Ok(("{ä}", "", 3, false, false)));
        check_fmt("{%s}", Ok(("{", "}", 0, false, false)));
        check_fmt("%0d", Ok(("", "", 0, false, false)));
        check_fmt("{{a}}-{}", Ok(("{a}-", "", 0, false, false)));
        check_fmt("", Err("no place for the number"));
        check_fmt("host", Err("no place for the number"));
        check_fmt("{{}}", Err("no place for the number"));
        check_fmt("%d-{}", Err("has 2 places"));
        check_fmt("{a}%d-{}", Err("has 2 places"));
        check_fmt("100%", Err("%%"));
        check_fmt("%5", Err("%%"));
        check_fmt("%i", Err("%i is not understood"));
        check_fmt("%é", Err("is not understood"));
        check_fmt("%-5d", Err("is not understood"));
        check_fmt("%.2f", Err("is not understood"));
        check_fmt("{:05}", Err("is not understood"));
        check_fmt("%65d", Err("at most 64"));
        check_fmt("%99999999999999999999999d", Err("at most 64"));
        check_fmt("%05s", Err("zeros"));
        check_fmt("{id:0}", Err("1 to 32 characters"));
        check_fmt("{id:33}", Err("1 to 32 characters"));
        check_fmt("{id:}", Err("1 to 32 characters"));
        check_fmt("{pod:5}{}", Err("{pod:5}"));
        check_fmt("{a}", Err("the same text for all 10 values"));
        check_fmt("{generation}", Err("the same text for all 10 values"));
        check_fmt(&"{a}-".repeat(33), Err("has 66 pieces"));
    }

    #[test]
    fn pieces_stand_where_they_are_written() {
        let read = Fmt::parse("{a}-%03d-{id:10}{generation}").unwrap();
        let (values, pieces) = read.of_range(1, 20).unwrap();
        let LabelValues::Range { format, .. } = values else {
            panic!("a range");
        };
        assert_eq!(format.text(7), "007");
        let expected = [
            label("a"),
            text("-"),
            Piece::Value,
            text("-"),
            Piece::Id(10),
            Piece::Generation,
        ];
        assert_eq!(pieces.unwrap(), expected);

        let of_values = |fmt, count| Fmt::parse(fmt).and_then(|read| read.of_values(count));
        assert_eq!(of_values("{}", 2), Ok(None));
        let expected = vec![text("v-"), Piece::Value];
        assert_eq!(of_values("v-%s", 2), Ok(Some(expected)));
        assert_eq!(of_values("{id}", 1), Ok(Some(vec![label("id")])));
        assert!(of_values("%05d", 2).unwrap_err().contains("write {}"));
        assert!(of_values("x", 1).unwrap_err().contains("no place"));
        assert!(of_values("{a}", 2).unwrap_err().contains("all 2 values"));

        let alone = |fmt| Fmt::parse(fmt).and_then(Fmt::alone);
        let (values, pieces) = alone("{a}-{id:32}").unwrap();
        assert_eq!(values.count(), 1);
        assert_eq!(pieces.unwrap(), [label("a"), text("-"), Piece::Id(32)]);
        let one = LabelValues::List(vec!["x{y}".to_owned()]);
        assert_eq!(alone("x{{y}}"), Ok((one, None)));
        assert!(alone("").unwrap_err().contains("empty"));
        assert!(
            alone("{}")
                .unwrap_err()
                .contains("neither values nor range")
        );
    }
}
