//! The tree of a YAML text: [`Node`]s.
//!
//! It keeps what typed parsing would lose: duplicate keys, the order of keys and
//! their text (`0.50`). What values mean is said by `de`.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::problem::{Path, Position, Problems, quoted};
use crate::readable::float_text;

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    /// An integer beyond 64 bits, as its digits.
    Big(String),
    Float(f64),
    Str(String),
    /// A text that one variable of the environment gave, and nothing else; its
    /// type is what is asked for.
    Variable(String),
    Seq(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The tree of a JSON value.
    pub(super) fn of_json(value: &Value) -> Self {
        match value {
            Value::Null => Node::Null,
            Value::Bool(value) => Node::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Node::Int(value),
                (None, Some(value)) => Node::UInt(value),
                (None, None) => Node::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Node::Str(text.clone()),
            Value::Array(items) => Node::Seq(items.iter().map(Self::of_json).collect()),
            Value::Object(entries) => {
                let entries = entries.iter();
                Node::Map(
                    entries
                        .map(|(key, value)| (key.clone(), Self::of_json(value)))
                        .collect(),
                )
            }
        }
    }

    /// The same as a JSON value, which is read as the same: what JSON has no number for
    /// is text.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Node::Null => Value::Null,
            Node::Bool(value) => (*value).into(),
            Node::Int(value) => (*value).into(),
            Node::UInt(value) => (*value).into(),
            Node::Big(digits) => digits.parse::<f64>().unwrap_or(f64::INFINITY).into(),
            Node::Float(value) if value.is_finite() => (*value).into(),
            Node::Float(value) => float_text(*value).into(),
            Node::Str(text) | Node::Variable(text) => text.as_str().into(),
            Node::Seq(items) => items.iter().map(Self::to_json).collect(),
            Node::Map(entries) => {
                let entries = entries.iter();
                entries
                    .map(|(key, value)| (key.clone(), value.to_json()))
                    .collect()
            }
        }
    }

    /// The value of a field, where this has some.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Node::Map(entries) = self else {
            return None;
        };
        let found = entries.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }

    /// "a list", "the number 5": for messages of the form "found …".
    pub(super) fn describe(&self) -> String {
        match self {
            Node::Null => "nothing".to_owned(),
            Node::Bool(value) => format!("{value}"),
            Node::Int(value) => format!("the number {value}"),
            Node::UInt(value) => format!("the number {value}"),
            Node::Big(digits) => format!("the number {digits}"),
            Node::Float(value) => format!("the number {}", float_text(*value)),
            Node::Str(text) | Node::Variable(text) => format!("the text {}", quoted(text)),
            Node::Seq(_) => "a list".to_owned(),
            Node::Map(_) => "a map of fields".to_owned(),
        }
    }
}

/// Why bytes are not usable YAML, and where if that is known.
#[derive(Debug)]
pub(super) struct ParseError {
    pub(super) position: Option<Position>,
    pub(super) message: String,
}

/// The text of a file, without the mark that may stand before it.
pub(super) fn text_of(bytes: &[u8]) -> Result<&str, ParseError> {
    let refused_after = |before: &[u8], message: String| ParseError {
        position: Some(position_after(before)),
        message,
    };
    if let Some(encoding) = other_encoding(bytes) {
        let message = format!("is {encoding}; save the file as UTF-8");
        return Err(refused_after(&[], message));
    }
    // YAML 1.2, 5.2: a document may begin with one; editors do not show it.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Some(index) = bytes.iter().position(|byte| *byte == 0) {
        let message = "contains a NUL byte; a configuration is text in UTF-8".to_owned();
        return Err(refused_after(&bytes[..index], message));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let index = error.valid_up_to();
        let message = format!(
            "is not UTF-8 from here on (byte 0x{:02X}); save the file as UTF-8",
            bytes[index]
        );
        refused_after(&bytes[..index], message)
    })
}

/// The encoding of a file that is text and not UTF-8: told by its mark, else by
/// the zeros beside its first character, which is ASCII (YAML 1.2, 5.2).
fn other_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [1..=0xff, 0, 0, 0, ..] => Some("UTF-32 (little-endian)"),
        [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, 1..=0xff, ..] => Some("UTF-32 (big-endian)"),
        [0xff, 0xfe, ..] | [1..=0xff, 0, 1..=0xff, 0, ..] => Some("UTF-16 (little-endian)"),
        [0xfe, 0xff, ..] | [0, 1..=0xff, 0, 1..=0xff, ..] => Some("UTF-16 (big-endian)"),
        _ => None,
    }
}

/// The number or truth that a text is where it stands in YAML without quotes.
pub(super) fn plain_scalar(text: &str) -> Option<Node> {
    match resolve(text) {
        Node::Null | Node::Str(_) => None,
        node => Some(node),
    }
}

/// What a text is where it stands without quotes, by the core schema (YAML 1.2,
/// 10.3): in it, `01` and `yes` are text. Binary numbers are one extension.
pub(super) fn resolve(text: &str) -> Node {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Node::Null,
        "true" | "True" | "TRUE" => return Node::Bool(true),
        "false" | "False" | "FALSE" => return Node::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Node::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Node::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Node::Float(f64::NAN),
        _ => {}
    }
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let is_decimal = digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_text = is_decimal && digits.len() > 1 && digits.starts_with('0');
    let float = || text.parse().ok().filter(|value: &f64| value.is_finite());
    match whole(digits) {
        _ if is_text => Node::Str(text.to_owned()),
        Some(number) => integer(is_negative, number),
        None => float().map_or_else(|| Node::Str(text.to_owned()), Node::Float),
    }
}

/// A whole number without sign.
fn whole(digits: &str) -> Option<u128> {
    let prefixes = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter();
    let mut prefixed =
        prefixes.filter_map(|(prefix, radix)| Some((digits.strip_prefix(prefix)?, radix)));
    let (digits, radix) = prefixed.next().unwrap_or((digits, 10));
    let fits = digits.chars().all(|c| c.is_digit(radix));
    fits.then(|| u128::from_str_radix(digits, radix).ok())
        .flatten()
}

fn integer(is_negative: bool, number: u128) -> Node {
    let sign = if is_negative { "-" } else { "" };
    let signed = i128::try_from(number).map(|number| if is_negative { -number } else { number });
    let small = signed.ok().and_then(|number| i64::try_from(number).ok());
    match (small, u64::try_from(number)) {
        (Some(number), _) => Node::Int(number),
        (None, Ok(number)) if !is_negative => Node::UInt(number),
        _ => Node::Big(format!("{sign}{number}")),
    }
}

/// Refuses what YAML allows nowhere in a text (1.2, 5.1). The parser does so
/// too, but looks ahead of what it reads and tells no line.
pub(super) fn refuse_unprintable(text: &str) -> Result<(), ParseError> {
    let is_allowed = |c: char| match c {
        '\t' | '\n' | '\r' | '\u{85}' => true,
        '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
        c => !c.is_control(),
    };
    let Some((index, found)) = text.char_indices().find(|(_, c)| !is_allowed(*c)) else {
        return Ok(());
    };
    let code = u32::from(found);
    let what = if found == '\u{feff}' {
        "a byte order mark (U+FEFF), which may only begin a file; remove it".to_owned()
    } else {
        format!(
            "the control character U+{code:04X}; remove it, or write \"\\u{code:04X}\" in quotes"
        )
    };
    Err(ParseError {
        position: Some(position_after(&text.as_bytes()[..index])),
        message: format!("not valid YAML: here is {what}"),
    })
}

/// The position of what follows some bytes.
pub(super) fn position_after(before: &[u8]) -> Position {
    let lines = before.split(|byte| *byte == b'\n');
    let last = lines.clone().next_back().unwrap_or_default();
    let column = String::from_utf8_lossy(last).chars().count() + 1;
    (lines.count(), column)
}

/// Applies `<<` and removes duplicate keys, reporting each of them.
pub(super) fn tidy(node: &mut Node, path: &Path, problems: &mut Problems) {
    match node {
        Node::Seq(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                if matches!(item, Node::Seq(_) | Node::Map(_)) {
                    tidy(item, &path.index(index), problems);
                }
            }
        }
        Node::Map(entries) => {
            drop_duplicates(entries, path, problems);
            for (key, value) in entries.iter_mut() {
                if matches!(value, Node::Seq(_) | Node::Map(_)) {
                    tidy(value, &path.key(key), problems);
                }
            }
            merge(entries, path, problems);
        }
        _ => {}
    }
}

/// Drops and reports every appearance of a key after its first.
fn drop_duplicates(entries: &mut Vec<(String, Node)>, path: &Path, problems: &mut Problems) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    entries.retain(|(key, _)| {
        let times = seen.entry(key.clone()).or_insert(0);
        *times += 1;
        if *times > 1 {
            problems.add_repeated_key(
                &path.key(key),
                *times - 1,
                "this key is already set above; remove one of them",
            );
        }
        *times == 1
    });
}

/// Replaces `<<` by the entries it stands for; explicit and earlier keys win.
fn merge(entries: &mut Vec<(String, Node)>, path: &Path, problems: &mut Problems) {
    let Some(position) = entries.iter().position(|(key, _)| key == "<<") else {
        return;
    };
    let (_, merged) = entries.remove(position);
    let sources = match merged {
        Node::Seq(items) => items,
        other => vec![other],
    };
    let mut existing: HashSet<String> = entries.iter().map(|(key, _)| key.clone()).collect();
    for source in sources {
        if let Node::Map(more) = source {
            for (key, value) in more {
                if existing.insert(key.clone()) {
                    entries.push((key, value));
                }
            }
        } else {
            problems.add(
                &path.key("<<"),
                format!(
                    "expected a map or a list of maps, found {}",
                    source.describe()
                ),
            );
        }
    }
}
