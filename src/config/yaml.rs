//! YAML text to a plain tree of [`Node`]s.
//!
//! The tree keeps what typed parsing would lose: duplicate keys, the order of
//! keys and their text (`0.50`). It is bounded in depth (by the parser) and in
//! size, so that aliases cannot blow it up. Values are not interpreted here: that
//! is `de`.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Deserializer as _;
use serde::de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::problem::{Path, Position, Problems, quoted};
use crate::readable::float_text;

/// More values than this, aliases expanded, are refused.
const NODES_MAX: usize = 2_000_000;
/// More bytes of texts and keys than this, aliases expanded, are refused.
const TEXT_BYTES_MAX: usize = 64 << 20;
/// Longest key, in bytes; paths of mistakes repeat keys.
const KEY_BYTES_MAX: usize = 1024;
/// The most work for the parser, about a second: the number of open brackets,
/// summed over all tokens.
const FLOW_WORK_MAX: u64 = 200_000_000;

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
    const BYTES_MAX: usize = 100;
    if text.len() > BYTES_MAX || text.contains(char::is_whitespace) {
        return None;
    }
    match parse(text) {
        Ok(
            node @ (Node::Bool(_) | Node::Int(_) | Node::UInt(_) | Node::Big(_) | Node::Float(_)),
        ) => Some(node),
        _ => None,
    }
}

/// Refuses what YAML allows nowhere in a text (1.2, 5.1). The parser does so
/// too, but looks ahead of what it reads and tells no line.
fn refuse_unprintable(text: &str) -> Result<(), ParseError> {
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
fn position_after(before: &[u8]) -> Position {
    let lines = before.split(|byte| *byte == b'\n');
    let last = lines.clone().next_back().unwrap_or_default();
    let column = String::from_utf8_lossy(last).chars().count() + 1;
    (lines.count(), column)
}

/// Reads one document, YAML or JSON.
pub(super) fn parse(text: &str) -> Result<Node, ParseError> {
    // JSON allows characters in quotes that YAML forbids or takes for line
    // breaks, so what is JSON is read as such.
    if text.starts_with('{') {
        let size = Size::default();
        let mut json = serde_json::Deserializer::from_str(text);
        let tree = json.deserialize_any(Build(&size));
        if let (Ok(tree), Ok(())) = (tree, json.end()) {
            return Ok(tree);
        }
    }
    refuse_unprintable(text)?;
    refuse_deep_flow(text)?;
    let size = Size::default();
    serde_yaml::Deserializer::from_str(text)
        .deserialize_any(Build(&size))
        .map_err(|error| explain(&error, text))
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

/// The parser's work at a token grows with the number of open brackets: a few
/// hundred kilobytes of `{a: {a: …` would keep it busy for minutes.
///
/// This adds that work up, skipping quotes and comments. Brackets in unquoted
/// text count too; it takes thousands of unbalanced ones to matter.
fn refuse_deep_flow(text: &str) -> Result<(), ParseError> {
    let mut depth = 0_u64;
    let mut work = 0_u64;
    let mut quote = None;
    // The last byte that is not white space, and whether white space followed.
    let (mut before, mut spaced) = (b'\n', true);
    let mut bytes = text.bytes().enumerate();
    while let Some((index, byte)) = bytes.next() {
        if quote.is_some() {
            if byte == b'\\' && quote == Some(b'"') {
                bytes.next();
            } else if quote == Some(byte) {
                quote = None;
            }
            continue;
        }
        match byte {
            b'"' | b'\'' if matches!(before, b'\n' | b'[' | b'{' | b',' | b':' | b'-' | b'?') => {
                quote = Some(byte);
            }
            b'#' if spaced => {
                bytes.find(|(_, byte)| *byte == b'\n');
                before = b'\n';
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if matches!(byte, b'[' | b'{' | b']' | b'}' | b',' | b':') {
            work += depth;
        }
        if work > FLOW_WORK_MAX {
            return Err(ParseError {
                position: Some(position_after(&text.as_bytes()[..index])),
                message: format!("too many brackets are open here: {depth}"),
            });
        }
        spaced = byte.is_ascii_whitespace();
        if !spaced || byte == b'\n' {
            before = byte;
        }
    }
    Ok(())
}

/// The parser's message without the position, which is printed in front.
fn explain(error: &serde_yaml::Error, text: &str) -> ParseError {
    let mut position = error.location().map(|at| (at.line(), at.column()));
    // At the end of the text the parser is one line further than there is.
    if error.location().is_some_and(|at| at.index() >= text.len()) {
        position = Some(position_after(text.as_bytes()));
    }
    let mut message = error.to_string();
    for marker in [" at line ", " at position "] {
        while let Some(start) = message.find(marker) {
            let rest = &message[start + 4..];
            let end = rest
                .find(',')
                .map_or(message.len(), |comma| start + 4 + comma);
            message.replace_range(start..end, "");
        }
    }
    if message.contains("repetition limit") {
        "aliases repeat too much of the file; write it out".clone_into(&mut message);
    } else if message.contains("recursion limit") {
        "lists and maps are nested too deeply".clone_into(&mut message);
    } else if message.contains("more than one document") {
        "the file holds several documents separated by ---; keep one".clone_into(&mut message);
    } else if message.contains("cannot start any token") {
        message.push_str(" (tabs cannot indent YAML; some texts need quotes)");
    }
    ParseError {
        position,
        message: format!("not valid YAML: {message}"),
    }
}

/// Size of what has been built.
#[derive(Default)]
struct Size {
    nodes: Cell<usize>,
    text_bytes: Cell<usize>,
}

/// Builds a [`Node`] within the bounds of size.
#[derive(Clone, Copy)]
struct Build<'a>(&'a Size);

impl Build<'_> {
    fn count_node<E: de::Error>(self) -> Result<(), E> {
        let nodes = self.0.nodes.get() + 1;
        self.0.nodes.set(nodes);
        if nodes > NODES_MAX {
            return Err(E::custom(format!(
                "more than {NODES_MAX} values, aliases included"
            )));
        }
        Ok(())
    }

    fn count_text<E: de::Error>(self, text: &str) -> Result<(), E> {
        let bytes = self.0.text_bytes.get() + text.len();
        self.0.text_bytes.set(bytes);
        if bytes > TEXT_BYTES_MAX {
            return Err(E::custom(format!(
                "more than {} MiB of text, aliases included",
                TEXT_BYTES_MAX >> 20
            )));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Build<'_> {
    type Value = Node;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Build<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        self.count_node()?;
        Ok(Node::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        self.count_node()?;
        Ok(Node::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        self.count_node()?;
        Ok(Node::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        self.count_node()?;
        Ok(i64::try_from(value).map_or(Node::UInt(value), Node::Int))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Node, E> {
        self.count_node()?;
        Ok(Node::Big(value.to_string()))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Node, E> {
        self.count_node()?;
        Ok(Node::Big(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        self.count_node()?;
        Ok(Node::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        self.count_node()?;
        self.count_text(value)?;
        Ok(Node::Str(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        self.count_node()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Node::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        self.count_node()?;
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(KeyText)? {
            self.count_text(&key)?;
            entries.push((key, map.next_value_seed(self)?));
        }
        Ok(Node::Map(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Node, A::Error> {
        Err(de::Error::custom("tags (a word after !) are not used here"))
    }
}

/// A key as its text, whatever type it would have as a value.
pub(super) struct KeyText;

impl<'de> DeserializeSeed<'de> for KeyText {
    type Value = String;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyText {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a plain text as key")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<String, E> {
        if value.len() > KEY_BYTES_MAX {
            return Err(E::custom(format!(
                "a key has at most {KEY_BYTES_MAX} bytes"
            )));
        }
        Ok(value.to_owned())
    }
}
