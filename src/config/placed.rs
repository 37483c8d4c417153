//! YAML text to values with their places, from the parser's events.
//!
//! Nothing is expanded here: an alias shares what it stands for, so that a text
//! takes no more memory than it is long. [`Placed::into_node`] makes the tree that
//! the other stages read, within bounds of size.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Once;

use libyaml_safer::{Error, EventData, MappingStyle, Mark, Parser, ScalarStyle, SequenceStyle};
use serde::de::IgnoredAny;

use super::problem::{Path, Position, Spot, Step};
use super::yaml::{Node, ParseError, position_after, refuse_unprintable, resolve};

/// More values than this, aliases expanded, are refused.
const NODES_MAX: usize = 2_000_000;
/// More bytes of texts and keys than this, aliases expanded, are refused.
const TEXT_BYTES_MAX: usize = 64 << 20;
/// Longest key, in bytes; paths of mistakes repeat keys.
const KEY_BYTES_MAX: usize = 1024;
/// Lists and maps in one another, aliases expanded, at most.
const DEPTH_MAX: usize = 128;
/// The most work for the parser, about a second: the number of open brackets,
/// summed over all events. It looks at each of them for every token.
const FLOW_WORK_MAX: usize = 200_000_000;

const TAGS_UNUSED: &str = "tags (a word after !) are not used here";
const TOO_DEEP: &str = "lists and maps are nested too deeply";

/// A value and where it stands: an alias where it is written, and what is within it
/// where it was anchored.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    at: Position,
    /// Lists and maps in one another.
    height: usize,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    /// Text, and whether it is plain: it may be a number, a truth or nothing then.
    Scalar(Rc<str>, bool),
    Seq(Rc<Vec<Placed>>),
    Map(Rc<Vec<Entry>>),
}

#[derive(Debug, Clone)]
struct Entry {
    key: Rc<str>,
    at: Position,
    value: Placed,
}

/// Reads one document, YAML or JSON; of an empty one, null.
pub(super) fn parse(text: &str) -> Result<Placed, ParseError> {
    let text = &*yaml_of(text);
    refuse_unprintable(text)?;
    let last = Cell::new((1, 1));
    caught(|| read(text, &last)).unwrap_or_else(|| {
        let message = "what stands here, or behind it, cannot be read";
        Err(not_yaml(Some(last.get()), message))
    })
}

/// Reads a document; `last` is where the last event was.
fn read(text: &str, last: &Cell<Position>) -> Result<Placed, ParseError> {
    // The parser is at a loss where a text ends within a line of some kinds.
    let is_ended = text.is_empty() || text.ends_with(['\n', '\r']);
    let ended: Cow<'_, str> = if is_ended {
        text.into()
    } else {
        format!("{text}\n").into()
    };
    let mut input = ended.as_bytes();
    let mut parser = Parser::new();
    parser.set_input_string(&mut input);
    let mut builder = Builder::default();
    loop {
        let mut event = parser.parse().map_err(|error| explain(&error, text))?;
        if event.data == EventData::StreamEnd {
            return Ok(builder
                .root
                .unwrap_or_else(|| Placed::scalar((1, 1), "", true)));
        }
        let at = position_of(event.start_mark);
        last.set(at);
        if let EventData::Scalar {
            value,
            style: ScalarStyle::Literal | ScalarStyle::Folded,
            ..
        } = &mut event.data
            && !is_ended
            && event.end_mark.index as usize > text.len()
            && value.ends_with('\n')
        {
            // That was not in the text.
            value.pop();
        }
        builder
            .event(event.data, at)
            .map_err(|message| not_yaml(Some(at), &message))?;
    }
}

thread_local! {
    /// Whether this thread's panics are not reported.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What `run` returns; `None` where it panics, which is not reported: the parser does so
/// on some texts that are no YAML.
fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                report(info);
            }
        }));
    });
    IS_QUIET.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    IS_QUIET.set(false);
    result.ok()
}

fn position_of(mark: Mark) -> Position {
    (mark.line as usize + 1, mark.column as usize + 1)
}

fn not_yaml(position: Option<Position>, message: &str) -> ParseError {
    ParseError {
        position,
        message: format!("not valid YAML: {message}"),
    }
}

/// What the parser says is wrong, and where.
fn explain(error: &Error, text: &str) -> ParseError {
    let mark = error.problem_mark();
    // At the end of the text the parser is one line further than there is.
    let at_end = mark.is_some_and(|mark| mark.index as usize >= text.len());
    let position = if at_end {
        Some(position_after(text.as_bytes()))
    } else {
        mark.map(position_of)
    };
    let mut message = error.problem().to_owned();
    if let Some(context) = error.context() {
        message.extend([", ", context]);
    }
    if message.contains("cannot start any token") {
        message.push_str(" (tabs cannot indent YAML; some texts need quotes)");
    }
    not_yaml(position, &message)
}

/// JSON allows characters in quotes that YAML forbids or takes for line breaks, and
/// pairs of escapes for one character: JSON is written as YAML has these.
fn yaml_of(text: &str) -> Cow<'_, str> {
    let differs = |c: char| {
        matches!(
            c,
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
    };
    let is_other = text.starts_with('{') && (text.contains(differs) || text.contains("\\u"));
    if !is_other || serde_json::from_str::<IgnoredAny>(text).is_err() {
        return text.into();
    }
    let unit = |escape: Option<&str>| u16::from_str_radix(escape?.strip_prefix("\\u")?, 16).ok();
    let mut yaml = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let pair = [unit(rest.get(..6)), unit(rest.get(6..12))].map(Option::unwrap_or_default);
        let (written, read) = match (c, char::decode_utf16(pair).next()) {
            ('\\', Some(Ok(one))) if one > '\u{ffff}' => (format!("\\U{:08X}", u32::from(one)), 12),
            // What is escaped is no escape.
            ('\\', _) => (rest[..2].to_owned(), 2),
            (c, _) if differs(c) => (format!("\\u{:04X}", u32::from(c)), c.len_utf8()),
            (c, _) => (c.to_string(), c.len_utf8()),
        };
        yaml.push_str(&written);
        rest = &rest[read..];
    }
    yaml.into()
}

/// A list or a map that has not ended.
struct Open {
    at: Position,
    anchor: Option<String>,
    is_flow: bool,
    items: Items,
}

enum Items {
    Seq(Vec<Placed>),
    /// With the key whose value is next.
    Map(Vec<Entry>, Option<(Rc<str>, Position)>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    /// Open brackets.
    flow_depth: usize,
    flow_work: usize,
    anchors: HashMap<String, Placed>,
    documents: usize,
    root: Option<Placed>,
}

impl Builder {
    fn event(&mut self, event: EventData, at: Position) -> Result<(), String> {
        self.flow_work += self.flow_depth;
        if self.flow_work > FLOW_WORK_MAX {
            return Err(format!(
                "too many brackets are open here: {}",
                self.flow_depth
            ));
        }
        match event {
            EventData::DocumentStart { .. } => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(
                        "the file holds several documents separated by ---; keep one".into(),
                    );
                }
                Ok(())
            }
            EventData::Alias { anchor } => {
                let known = self.anchors.get(&anchor).cloned();
                let value = known.ok_or_else(|| "unknown anchor".to_owned())?;
                self.add(Placed { at, ..value }, None)
            }
            EventData::Scalar {
                anchor,
                tag,
                value,
                style,
                ..
            } => {
                let is_plain = is_plain(tag.as_deref(), &value, style == ScalarStyle::Plain)?;
                self.add(Placed::scalar(at, &value, is_plain), anchor)
            }
            EventData::SequenceStart {
                anchor, tag, style, ..
            } => {
                let open = Open {
                    at,
                    anchor,
                    is_flow: style == SequenceStyle::Flow,
                    items: Items::Seq(Vec::new()),
                };
                self.begin(open, tag.as_deref())
            }
            EventData::MappingStart {
                anchor, tag, style, ..
            } => {
                let open = Open {
                    at,
                    anchor,
                    is_flow: style == MappingStyle::Flow,
                    items: Items::Map(Vec::new(), None),
                };
                self.begin(open, tag.as_deref())
            }
            EventData::SequenceEnd | EventData::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                self.flow_depth -= usize::from(open.is_flow);
                let highest = |items: &mut dyn Iterator<Item = &Placed>| {
                    items.map(|item| item.height).max().unwrap_or(0)
                };
                let (below, content) = match open.items {
                    Items::Seq(items) => (highest(&mut items.iter()), Content::Seq(items.into())),
                    Items::Map(entries, _) => {
                        let mut values = entries.iter().map(|entry| &entry.value);
                        (highest(&mut values), Content::Map(entries.into()))
                    }
                };
                let value = Placed {
                    at: open.at,
                    height: below + 1,
                    content,
                };
                self.add(value, open.anchor)
            }
            _ => Ok(()),
        }
    }

    /// Begins a list or a map.
    fn begin(&mut self, open: Open, tag: Option<&str>) -> Result<(), String> {
        let (kind, core) = match open.items {
            Items::Seq(_) => ("a list", "tag:yaml.org,2002:seq"),
            Items::Map(..) => ("a map", "tag:yaml.org,2002:map"),
        };
        if tag.is_some_and(|tag| tag != core) {
            return Err(TAGS_UNUSED.into());
        }
        if let Some(Items::Map(_, None)) = self.open.last().map(|open| &open.items) {
            return Err(format!("expected a plain text as key, found {kind}"));
        }
        if self.open.len() == DEPTH_MAX {
            return Err(TOO_DEEP.into());
        }
        self.flow_depth += usize::from(open.is_flow);
        self.open.push(open);
        Ok(())
    }

    /// Adds a whole value to what is open: as an item, a key or a key's value.
    fn add(&mut self, value: Placed, anchor: Option<String>) -> Result<(), String> {
        if self.open.len() + value.height > DEPTH_MAX {
            return Err(TOO_DEEP.into());
        }
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(value),
            Some(Items::Seq(items)) => items.push(value),
            Some(Items::Map(entries, key)) => match (key.take(), value.content) {
                (Some((key, at)), content) => {
                    let value = Placed { content, ..value };
                    entries.push(Entry { key, at, value });
                }
                (None, Content::Scalar(text, _)) if text.len() > KEY_BYTES_MAX => {
                    return Err(format!("a key has at most {KEY_BYTES_MAX} bytes"));
                }
                (None, Content::Scalar(text, _)) => *key = Some((text, value.at)),
                (None, _) => return Err("expected a plain text as key, found an alias".into()),
            },
        }
        Ok(())
    }
}

/// Whether a scalar counts as written without quotes, which a tag may say.
fn is_plain(tag: Option<&str>, text: &str, is_plain: bool) -> Result<bool, String> {
    let Some(tag) = tag else { return Ok(is_plain) };
    let kind = tag.strip_prefix("tag:yaml.org,2002:").unwrap_or_default();
    let fits = match (kind, resolve(text)) {
        ("str", _) => return Ok(false),
        ("null", node) => node == Node::Null,
        ("bool", node) => matches!(node, Node::Bool(_)),
        ("int", node) => matches!(node, Node::Int(_) | Node::UInt(_) | Node::Big(_)),
        ("float", node) => matches!(
            node,
            Node::Int(_) | Node::UInt(_) | Node::Big(_) | Node::Float(_)
        ),
        _ => return Err(TAGS_UNUSED.into()),
    };
    if fits {
        Ok(true)
    } else {
        Err(format!("what follows is not of the type !!{kind}"))
    }
}

impl Placed {
    fn scalar(at: Position, text: &str, is_plain: bool) -> Self {
        Self {
            at,
            height: 0,
            content: Content::Scalar(text.into(), is_plain),
        }
    }

    /// Where the value of a path stands, or the key before it; of what is not in the
    /// text (a missing field, a merged one), where that is which encloses it, unless
    /// that is the whole document.
    pub(super) fn position(&self, path: &Path, spot: Spot) -> Option<Position> {
        let (mut here, mut at) = (self, None);
        for (depth, step) in path.steps().iter().enumerate() {
            let is_last = depth + 1 == path.steps().len();
            let below = match (&here.content, step) {
                (Content::Seq(items), Step::Index(index)) => items.get(*index),
                (Content::Map(entries), Step::Key(key)) => {
                    let mut found = entries.iter().filter(|entry| *entry.key == **key);
                    match spot {
                        Spot::Key(nth) if is_last => {
                            return found.nth(nth).map(|entry| entry.at).or(at);
                        }
                        _ => found.next().map(|entry| &entry.value),
                    }
                }
                _ => None,
            };
            let Some(below) = below else { break };
            (here, at) = (below, Some(below.at));
        }
        at
    }

    /// The tree without places, aliases expanded.
    pub(super) fn into_node(self) -> Result<Node, ParseError> {
        Size::default().node(self)
    }
}

/// Size of what has been expanded.
#[derive(Default)]
struct Size {
    nodes: usize,
    text_bytes: usize,
}

impl Size {
    fn node(&mut self, value: Placed) -> Result<Node, ParseError> {
        let at = value.at;
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let message = format!("more than {NODES_MAX} values, aliases included");
            return Err(not_yaml(Some(at), &message));
        }
        Ok(match value.content {
            Content::Scalar(text, is_plain) => {
                let node = if is_plain {
                    resolve(&text)
                } else {
                    Node::Str((*text).into())
                };
                if let Node::Str(text) = &node {
                    self.text(text, at)?;
                }
                node
            }
            Content::Seq(items) => {
                let items = Rc::unwrap_or_clone(items).into_iter();
                Node::Seq(
                    items
                        .map(|item| self.node(item))
                        .collect::<Result<_, _>>()?,
                )
            }
            Content::Map(entries) => {
                let entries = Rc::unwrap_or_clone(entries).into_iter();
                let entries = entries.map(|Entry { key, at, value }| {
                    self.text(&key, at)?;
                    Ok(((*key).into(), self.node(value)?))
                });
                Node::Map(entries.collect::<Result<_, _>>()?)
            }
        })
    }

    fn text(&mut self, text: &str, at: Position) -> Result<(), ParseError> {
        self.text_bytes += text.len();
        if self.text_bytes > TEXT_BYTES_MAX {
            let mib = TEXT_BYTES_MAX >> 20;
            let message = format!("more than {mib} MiB of text, aliases included");
            return Err(not_yaml(Some(at), &message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_yaml::Value;

    use super::*;

    /// Whether this is what the reference reads. Keys are text here, and numbers of
    /// more than 64 bits keep their digits.
    fn is_same(node: &Node, value: &Value) -> bool {
        match (node, value) {
            (Node::Null, Value::Null) => true,
            (Node::Bool(a), Value::Bool(b)) => a == b,
            (Node::Int(a), Value::Number(b)) => b.as_i64() == Some(*a),
            (Node::UInt(a), Value::Number(b)) => b.as_u64() == Some(*a),
            (Node::Float(a), Value::Number(b)) => {
                b.is_f64() && b.as_f64().is_some_and(|b| a.to_bits() == b.to_bits())
            }
            (Node::Big(digits), value) => match value {
                Value::Number(b) => digits.parse().ok() == b.as_f64(),
                Value::String(text) => resolve(text) == *node,
                _ => false,
            },
            (Node::Str(a), Value::String(b)) => a == b,
            (Node::Seq(a), Value::Sequence(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
            }
            (Node::Map(a), Value::Mapping(b)) => {
                let is_key = |a: &String, b: &Value| match b {
                    Value::String(b) => a == b,
                    b => is_same(&resolve(a), b),
                };
                a.len() == b.len()
                    && a.iter()
                        .zip(b)
                        .all(|((key, a), (known, b))| is_key(key, known) && is_same(a, b))
            }
            _ => false,
        }
    }

    /// Whether there is something in it that only the reference takes.
    fn is_unused(value: &Value) -> bool {
        match value {
            Value::Tagged(_) => true,
            Value::Sequence(items) => items.iter().any(is_unused),
            Value::Mapping(entries) => entries.iter().any(|(key, value)| {
                !matches!(
                    key,
                    Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null
                ) || is_unused(value)
            }),
            _ => false,
        }
    }

    #[track_caller]
    fn compare(text: &str) {
        let read = parse(text).and_then(Placed::into_node);
        let known: Result<Value, _> = serde_yaml::from_str(text);
        match (&read, &known) {
            (Ok(node), Ok(value)) => assert!(is_same(node, value), "{node:?}, {value:?}: {text:?}"),
            (Err(error), Ok(value)) => {
                assert!(
                    is_unused(value) || text.contains('!'),
                    "{error:?}: {text:?}"
                );
            }
            // Of repeated keys the next stage tells, and long numbers are left alone.
            (Ok(_), Err(error)) => {
                let error = error.to_string();
                let is_known = error.contains("duplicate") || error.contains("28, expected");
                assert!(is_known, "{error}: {text:?}");
            }
            (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn plain_texts_are_what_the_reference_takes_them_for() {
        for text in [
            "",
            "~",
            "null",
            "Null",
            "nULL",
            "true",
            "TRUE",
            "tRue",
            "yes",
            "no",
            "on",
            "y",
            "0",
            "-0",
            "+0",
            "00",
            "01",
            "-01",
            "+5",
            "+-5",
            "-+5",
            "1_0",
            "0x1F",
            "0X1F",
            "-0x1f",
            "0x",
            "0x-1",
            "0o17",
            "0o8",
            "0b101",
            "017",
            "1.",
            ".5",
            "-.5",
            "+.5",
            ".",
            "-",
            "+",
            "1e3",
            "1E3",
            "1e",
            "e3",
            "1e400",
            "-1e400",
            ".inf",
            "+.inf",
            "-.inf",
            ".Inf",
            ".iNF",
            ".nan",
            ".NaN",
            "-.nan",
            "inf",
            "nan",
            "infinity",
            "NaN",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
            "340282366920938463463374607431768211456",
            "00.5",
            "12:30",
            "2026-01-01",
            "0xffffffffffffffff",
            "1 0",
            "=",
            "<<",
            "5m",
            "10k",
        ] {
            compare(text);
            compare(&format!("a: {text}"));
            compare(&format!("a: '{text}'\nb: \"{text}\""));
            compare(&format!("{{a: [{text}]}}"));
        }
    }

    #[test]
    fn json_is_read_as_it_means() {
        let text = r#"{"a":"\ud83d\ude00 \\ud83d \/ \u00e9","b":"\\","c":1.50,"d":[true,null,-7],"\u0061":""#
            .to_owned()
            + "\u{7f}\u{85}\u{2028}\u{feff}\"}";
        let node = parse(&text).and_then(Placed::into_node).unwrap();
        let Node::Map(entries) = &node else {
            panic!("{node:?}")
        };
        assert_eq!(entries[0].1, Node::Str("\u{1f600} \\ud83d / é".into()));
        assert_eq!(entries[1].1, Node::Str("\\".into()));
        assert_eq!(entries[2].1, Node::Float(1.5));
        assert_eq!(
            entries[3].1,
            Node::Seq(vec![Node::Bool(true), Node::Null, Node::Int(-7)])
        );
        let strange = Node::Str("\u{7f}\u{85}\u{2028}\u{feff}".into());
        assert_eq!(entries[4], ("a".to_owned(), strange));
    }

    #[test]
    fn depth_is_bounded_through_aliases_too() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&nested(DEPTH_MAX)).is_ok());
        assert!(
            parse(&nested(DEPTH_MAX + 1))
                .unwrap_err()
                .message
                .contains(TOO_DEEP)
        );
        let chain = |levels: usize| {
            let more = (1..levels).map(|level| format!("- &a{level} [*a{}]\n", level - 1));
            "- &a0 [1]\n".to_owned() + &more.collect::<String>()
        };
        assert!(parse(&chain(DEPTH_MAX - 1)).is_ok());
        let error = parse(&chain(100_000)).unwrap_err();
        assert_eq!(error.position, Some((DEPTH_MAX, 10)));
        assert!(error.message.contains(TOO_DEEP));
    }

    #[test]
    fn core_tags_say_what_a_value_is() {
        let read = |text: &str| parse(text).and_then(Placed::into_node);
        let Node::Seq(items) =
            read("[!!str 5, !!int '5', !!float 5, !!null '', !!seq [], !!map {}]").unwrap()
        else {
            panic!("a list")
        };
        let expected = [
            Node::Str("5".into()),
            Node::Int(5),
            Node::Int(5),
            Node::Null,
            Node::Seq(Vec::new()),
            Node::Map(Vec::new()),
        ];
        assert_eq!(items, expected);
        for (text, expected) in [
            ("!!int x", "what follows is not of the type !!int"),
            ("!!set {}", TAGS_UNUSED),
            ("!x [1]", TAGS_UNUSED),
            ("! 5", TAGS_UNUSED),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                error.message.ends_with(expected),
                "{text}: {}",
                error.message
            );
        }
    }

    const OTHERS: &[u8] = b" []{}:,-&*|>'\"%#\n\t0.9x?~\\";

    const DOCUMENT: &str = "\
%YAML 1.2
---
# A comment
a: &x {b: 1.50, 'c d': [~, 'it''s', \"\\u00e9\\t\", -0x1F]}
? long
: [*x, {<<: *x, e: 2026-01-01}]
text: |
  one
   two # no comment

  three
folded: >-
  one
  two
list:
- - 1
  - two words: yes
- !!str 5
...
";

    proptest! {
        /// For every small change of a text, it is read as the reference reads it.
        #[test]
        fn changed_texts_are_read_alike(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..5)) {
            let mut text: Vec<char> = DOCUMENT.chars().collect();
            for (place, byte, action) in edits {
                let index = place.index(text.len());
                let other = OTHERS[usize::from(byte) % OTHERS.len()].into();
                match action {
                    0 => text[index] = other,
                    1 => text.insert(index, other),
                    2 if text.len() > 1 => { text.remove(index); }
                    _ => { let end = (index + usize::from(byte) / 8).min(text.len() - 1); if end > index { text.drain(index..end); } }
                }
            }
            compare(&text.into_iter().collect::<String>());
        }
    }

    /// The parser panics on a tag before a comma, and on texts that end within some lines.
    #[test]
    fn no_text_makes_it_panic() {
        let text = "a: 1\nb: [!t, c]\n";
        let error = parse(text).map(|_| ()).unwrap_err();
        assert_eq!(error.position, Some((2, 4)), "{}", error.message);
        assert!(
            error.message.contains("cannot be read"),
            "{}",
            error.message
        );
        for text in [
            "|\n   l s1",
            "a: >-\n  b",
            "a: |+\n  b\n\n  c",
            "\"\\",
            "a: |",
        ] {
            let ours = parse(text);
            let known: Result<Value, _> = serde_yaml::from_str(text);
            assert_eq!(ours.is_ok(), known.is_ok(), "{text:?}");
        }
        let text = |text: &str| match parse(text).unwrap().content {
            Content::Scalar(text, _) => text.to_string(),
            other => panic!("{other:?}"),
        };
        for block in ["|\n  a\n  b", ">\n  a\n  b", "|-\n  a", "|+\n  a\n\n  b"] {
            let known: String = serde_yaml::from_str(block).unwrap();
            assert_eq!(text(block), known, "{block:?}");
        }
    }
}
