//! YAML text to values with their places, from the parser's events.
//!
//! Nothing is expanded here: an alias shares what it stands for, so that a text
//! takes no more memory than it is long. [`Placed::into_node`] makes the tree that
//! the other stages read, within bounds of size.

#[cfg(test)]
mod tests;

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
