//! A serde `Deserializer` over [`Node`] that knows where it is.
//!
//! It differs from a parser's own in three ways: every error carries the path
//! of its value; unknown fields are reported with a suggestion and skipped
//! instead of ending the pass; and a value that cannot be read is pruned (read
//! as null from then on) and the pass repeated, so that all mistakes of a file
//! are found. An enum is chosen by the shape of the value: its variants are
//! `Spec` (a map), `List` and `One` (a scalar).
//!
//! It checks types, never ranges or meanings: that is `check`. Some types may be
//! written as texts with units (`quantity`), and a value that is one variable's
//! text has the type that is asked for.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};

use super::problem::{PROBLEMS_KEPT_MAX, Path, Problems, Step};
use super::raw::LABEL_SPEC_FIELDS;
use super::unknown;
use super::yaml::{self, Node};
use crate::quantity;
use crate::readable::float_text;

/// Values that may be pruned before the pass gives up.
const PRUNED_MAX: usize = 100;

/// How a number may be written, which the newtypes of `raw` tell by their names.
#[derive(Clone, Copy, PartialEq)]
enum Written {
    Plainly,
    /// It may be infinite or NaN.
    AnyFloat,
    Seconds,
    Count,
    Whole,
    Bytes,
    Percent,
}

impl Written {
    fn of_newtype(name: &str) -> Self {
        match name {
            "AnyFloat" => Self::AnyFloat,
            "Seconds" => Self::Seconds,
            "Count" => Self::Count,
            "Whole" => Self::Whole,
            "Bytes" => Self::Bytes,
            "Percent" => Self::Percent,
            _ => Self::Plainly,
        }
    }

    /// What is understood, where that is more than a plain number.
    fn understood(self) -> Option<&'static str> {
        match self {
            Self::Plainly | Self::AnyFloat => None,
            Self::Seconds => Some(quantity::DURATION),
            Self::Count | Self::Whole => Some(quantity::COUNT),
            Self::Bytes => Some(quantity::BYTES),
            Self::Percent => Some(quantity::PERCENT),
        }
    }
}

/// Reads `T`, reporting every mistake; `None` after too many of them.
///
/// `T` must accept null for every value that can be of a wrong type. What could be
/// text or a number becomes in the tree what it was read as.
pub(super) fn read<T: DeserializeOwned>(tree: &mut Node, problems: &mut Problems) -> Option<T> {
    let root = &*tree;
    let mut pass = Pass::default();
    let mut failures = Vec::new();
    let value = loop {
        pass.unknown.borrow_mut().clear();
        pass.unknown_more.set(0);
        let start = NodeDe {
            node: root,
            address: NodeDe::address_of(root),
            trail: &Trail::Root,
            pass: &pass,
            written: Written::Plainly,
        };
        match T::deserialize(start) {
            Ok(value) => break Some(value),
            Err(failure) => {
                let (path, node) = failure.at.unwrap_or_default();
                let is_root = node == NodeDe::address_of(root);
                let again = node != 0 && !is_root && pass.pruned.insert(node);
                failures.push((path, failure.message));
                if !again || failures.len() == PRUNED_MAX {
                    break None;
                }
            }
        }
    };
    for (path, message) in failures {
        problems.add_pruned(path, message);
    }
    problems.count_more(pass.unknown_more.get());
    for unknown in pass.unknown.into_inner() {
        problems.add_key(&unknown.path, unknown.message);
        if let Some(meant) = unknown.meant {
            problems.explain(meant);
        }
    }
    settle(tree, &mut pass.settled.into_inner());
    value
}

/// Puts values in the places of those at these addresses.
fn settle(node: &mut Node, settled: &mut HashMap<usize, Node>) {
    if settled.is_empty() {
        return;
    }
    if let Some(value) = settled.remove(&NodeDe::address_of(node)) {
        *node = value;
    }
    match node {
        Node::Seq(items) => items.iter_mut().for_each(|item| settle(item, settled)),
        Node::Map(entries) => {
            for (_, value) in entries {
                settle(value, settled);
            }
        }
        _ => {}
    }
}

/// What one pass over the tree leaves to the next, and to the caller.
#[derive(Default)]
struct Pass {
    /// Addresses of nodes that are read as null.
    pruned: HashSet<usize>,
    unknown: RefCell<Vec<UnknownField>>,
    /// Unknown fields beyond those that are described.
    unknown_more: Cell<usize>,
    /// By address, what variables and long numbers were read as.
    settled: RefCell<HashMap<usize, Node>>,
}

struct UnknownField {
    path: Path,
    message: String,
    /// The field it was probably meant to be.
    meant: Option<Path>,
}

/// The way to the current value, linked on the stack.
enum Trail<'a> {
    Root,
    Key(&'a Trail<'a>, &'a str),
    Index(&'a Trail<'a>, usize),
}

impl Trail<'_> {
    fn path(&self) -> Path {
        let mut steps = Vec::new();
        let mut trail = self;
        loop {
            match trail {
                Trail::Root => break,
                Trail::Key(parent, key) => {
                    steps.push(Step::Key((*key).to_owned()));
                    trail = parent;
                }
                Trail::Index(parent, index) => {
                    steps.push(Step::Index(*index));
                    trail = parent;
                }
            }
        }
        steps.reverse();
        Path::from_steps(steps)
    }
}

/// Why a value could not be read.
#[derive(Debug)]
struct Failure {
    /// Path and address of the value.
    at: Option<(Path, usize)>,
    message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Failure {
            at: None,
            message: message.to_string(),
        }
    }
}

type Result<T> = std::result::Result<T, Failure>;

#[derive(Clone, Copy)]
struct NodeDe<'n, 'c> {
    node: &'n Node,
    /// Of the node in the tree, which `node` may stand for.
    address: usize,
    trail: &'c Trail<'c>,
    pass: &'c Pass,
    written: Written,
}

const NULL: &Node = &Node::Null;

impl<'n, 'c> NodeDe<'n, 'c> {
    fn address_of(node: &Node) -> usize {
        std::ptr::from_ref(node) as usize
    }

    /// A value below this one; null where it was pruned.
    fn child<'d>(self, node: &'n Node, trail: &'d Trail<'d>) -> NodeDe<'n, 'd>
    where
        'c: 'd,
    {
        let address = Self::address_of(node);
        let pruned = self.pass.pruned.contains(&address);
        NodeDe {
            node: if pruned { NULL } else { node },
            address,
            trail,
            pass: self.pass,
            written: Written::Plainly,
        }
    }

    /// Gives an error that has no place yet the place of this value.
    fn placed<T>(self, result: Result<T>) -> Result<T> {
        result.map_err(|mut failure| {
            failure
                .at
                .get_or_insert_with(|| (self.trail.path(), self.address));
            failure
        })
    }

    fn wrong<T>(self, message: String) -> Result<T> {
        self.placed(Err(de::Error::custom(message)))
    }

    fn expected<T>(self, what: &str) -> Result<T> {
        let hint: Cow<str> = match self.node {
            Node::Str(text) | Node::Variable(text) if what.contains("number") => {
                number_hint(text).into()
            }
            Node::Str(text)
                if what.contains("true or false")
                    && matches!(
                        text.to_lowercase().as_str(),
                        "yes" | "no" | "on" | "off" | "y" | "n" | "true" | "false"
                    ) =>
            {
                " (YAML 1.2 knows only true and false, without quotes)".into()
            }
            Node::Bool(_) | Node::Int(_) | Node::UInt(_) | Node::Big(_) | Node::Float(_)
                if what == "text" =>
            {
                " (put it in quotes)".into()
            }
            _ => "".into(),
        };
        self.wrong(format!(
            "expected {what}, found {}{hint}",
            self.node.describe()
        ))
    }

    fn expected_whole_number<T>(self) -> Result<T> {
        match self.node {
            Node::Float(value) if value.fract() == 0.0 && value.abs() < 1e18 => {
                self.wrong(format!(
                    "expected a whole number, found one with a fraction or exponent; write {}",
                    *value as i64
                ))
            }
            // What is a number already needs no advice on how to write one.
            node => match (node, self.written.understood()) {
                (Node::Str(_) | Node::Variable(_), Some(understood)) => self.expected(understood),
                _ => self.expected("a whole number"),
            },
        }
    }

    /// What a text with a unit says, or why it says nothing.
    fn quantity<T>(
        self,
        text: &str,
        read: fn(&str) -> std::result::Result<T, String>,
    ) -> Result<T> {
        read(text)
            .or_else(|complaint| self.wrong(format!("{complaint}, found {}", self.node.describe())))
    }

    /// The value in the type that YAML gives it where it is one variable's text
    /// and stands where no text is wanted.
    fn typed(self) -> Cow<'n, Node> {
        match self.node {
            Node::Variable(text) => match yaml::plain_scalar(text) {
                Some(node) => {
                    self.settle(node.clone());
                    Cow::Owned(node)
                }
                None => Cow::Borrowed(self.node),
            },
            node => Cow::Borrowed(node),
        }
    }

    /// Notes what this value was read as.
    fn settle(self, value: Node) {
        self.pass.settled.borrow_mut().insert(self.address, value);
    }

    fn unknown_field(
        self,
        entries: &[(String, Node)],
        key: &str,
        (owner, fields): (&str, &'static [&'static str]),
    ) {
        if self.pass.unknown.borrow().len() == PROBLEMS_KEPT_MAX {
            self.pass.unknown_more.set(self.pass.unknown_more.get() + 1);
            return;
        }
        let path = self.trail.path();
        let (message, meant) = unknown::field(owner, entries, key, fields);
        self.pass.unknown.borrow_mut().push(UnknownField {
            message,
            meant: meant.map(|field| path.key(field)),
            path: path.key(key),
        });
    }
}

impl<'de> de::Deserializer<'de> for NodeDe<'_, '_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.node {
            Node::Null => self.placed(visitor.visit_unit()),
            Node::Bool(value) => self.placed(visitor.visit_bool(*value)),
            Node::Int(value) => self.placed(visitor.visit_i64(*value)),
            Node::UInt(value) => self.placed(visitor.visit_u64(*value)),
            Node::Float(value) => self.placed(visitor.visit_f64(*value)),
            Node::Big(text) => {
                self.settle(Node::Str(text.clone()));
                self.placed(visitor.visit_str(text))
            }
            Node::Str(text) | Node::Variable(text) => self.placed(visitor.visit_str(text)),
            Node::Seq(_) | Node::Map(_) => self.expected("a single value"),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match &*self.typed() {
            Node::Bool(value) => self.placed(visitor.visit_bool(*value)),
            _ => self.expected("true or false"),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match &*self.typed() {
            Node::Int(value) => self.placed(visitor.visit_i64(*value)),
            Node::UInt(_) | Node::Big(_) => self.wrong(format!(
                "{} is not within {} and {}",
                self.node.describe(),
                i64::MIN,
                i64::MAX
            )),
            Node::Str(text) | Node::Variable(text) if self.written == Written::Whole => {
                let value = self.quantity(text, quantity::whole)?;
                self.placed(visitor.visit_i64(value))
            }
            _ => self.expected_whole_number(),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match &*self.typed() {
            Node::Int(value) => match u64::try_from(*value) {
                Ok(value) => self.placed(visitor.visit_u64(value)),
                Err(_) => self.wrong(format!("must not be negative, found {value}")),
            },
            Node::UInt(value) => self.placed(visitor.visit_u64(*value)),
            Node::Big(_) => self.wrong(format!(
                "{} is not within 0 and {}",
                self.node.describe(),
                u64::MAX
            )),
            Node::Float(value) if *value < 0.0 => self.wrong(format!(
                "must not be negative, found {}",
                float_text(*value)
            )),
            Node::Str(text) | Node::Variable(text) if self.written == Written::Count => {
                let value = self.quantity(text, quantity::count)?;
                self.placed(visitor.visit_u64(value))
            }
            Node::Str(text) | Node::Variable(text) if self.written == Written::Bytes => {
                let value = self.quantity(text, quantity::bytes)?;
                self.placed(visitor.visit_u64(value))
            }
            _ => self.expected_whole_number(),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let any_float = self.written == Written::AnyFloat;
        let value = match &*self.typed() {
            Node::Int(value) => *value as f64,
            Node::UInt(value) => *value as f64,
            Node::Float(value) => *value,
            Node::Big(digits) => digits.parse().unwrap_or(f64::INFINITY),
            // JSON has no other way to write them.
            Node::Str(text) if any_float => match text.as_str() {
                ".nan" => f64::NAN,
                ".inf" => f64::INFINITY,
                "-.inf" => f64::NEG_INFINITY,
                _ => return self.expected("a number"),
            },
            Node::Str(text) | Node::Variable(text) if self.written == Written::Seconds => {
                self.quantity(text, quantity::duration_ns)? as f64 / 1e9
            }
            Node::Str(text) | Node::Variable(text) if self.written == Written::Percent => {
                self.quantity(text, quantity::percent)?
            }
            _ => return self.expected(self.written.understood().unwrap_or("a number")),
        };
        if value.is_finite() || any_float {
            self.placed(visitor.visit_f64(value))
        } else {
            self.wrong(format!(
                "expected a finite number, found {}",
                float_text(value)
            ))
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.node {
            Node::Str(text) | Node::Variable(text) => self.placed(visitor.visit_str(text)),
            _ => self.expected("text"),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.node {
            Node::Null => self.placed(visitor.visit_none()),
            _ => self.placed(visitor.visit_some(self)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.written = Written::of_newtype(name);
        self.placed(visitor.visit_newtype_struct(self))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.node {
            Node::Seq(items) => self.placed(visitor.visit_seq(Items {
                de: self,
                items: items.iter().enumerate(),
            })),
            _ => self.expected("a list"),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.node {
            Node::Map(entries) => self.placed(visitor.visit_map(Entries {
                de: self,
                all: entries,
                unread: entries.iter(),
                fields: None,
                value: None,
            })),
            _ => self.expected("a map of names"),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        if let Node::Map(entries) = self.node {
            return self.placed(visitor.visit_map(Entries {
                de: self,
                all: entries,
                unread: entries.iter(),
                fields: Some((name, fields)),
                value: None,
            }));
        }
        let some: Vec<_> = fields.iter().copied().take(3).collect();
        self.expected(&format!("a map of fields ({}, …)", some.join(", ")))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.placed(visitor.visit_enum(Shape(self, variants)))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u128 f32 char bytes byte_buf unit
        unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'n, 'c> {
    de: NodeDe<'n, 'c>,
    items: std::iter::Enumerate<std::slice::Iter<'n, Node>>,
}

impl<'de> de::SeqAccess<'de> for Items<'_, '_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some((index, item)) = self.items.next() else {
            return Ok(None);
        };
        let trail = Trail::Index(self.de.trail, index);
        seed.deserialize(self.de.child(item, &trail)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'n, 'c> {
    de: NodeDe<'n, 'c>,
    all: &'n [(String, Node)],
    unread: std::slice::Iter<'n, (String, Node)>,
    /// The name and the fields of a struct; `None` where any key is welcome.
    fields: Option<(&'static str, &'static [&'static str])>,
    value: Option<&'n (String, Node)>,
}

impl<'de> de::MapAccess<'de> for Entries<'_, '_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        for entry in self.unread.by_ref() {
            match self.fields {
                Some(known) if !known.1.contains(&entry.0.as_str()) => {
                    self.de.unknown_field(self.all, &entry.0, known);
                }
                _ => {
                    self.value = Some(entry);
                    let key = entry.0.as_str().into_deserializer();
                    return seed.deserialize(key).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        let (key, node) = self.value.take().expect("a key is read before its value");
        let trail = Trail::Key(self.de.trail, key);
        seed.deserialize(self.de.child(node, &trail))
    }
}

/// Chooses one of the variants by the shape of the value.
struct Shape<'n, 'c>(NodeDe<'n, 'c>, &'static [&'static str]);

impl Shape<'_, '_> {
    fn has(&self, variant: &str) -> bool {
        self.1.contains(&variant)
    }
}

/// Whether a map is one of values and weights rather than one of a label's fields.
fn is_of_weights(entries: &[(String, Node)]) -> bool {
    let is_number = |node: &Node| match node {
        Node::Int(_) | Node::UInt(_) | Node::Big(_) | Node::Float(_) => true,
        Node::Variable(text) => {
            let plain = yaml::plain_scalar(text);
            plain.is_some_and(|node| !matches!(node, Node::Bool(_)))
        }
        _ => false,
    };
    let is_field = |key: &str| LABEL_SPEC_FIELDS.contains(&key);
    !entries.iter().any(|(key, _)| is_field(key))
        && entries.iter().any(|(_, value)| is_number(value))
}

impl<'de> de::EnumAccess<'de> for Shape<'_, '_> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let variant = match self.0.node {
            Node::Map(entries)
                if self.has("Weights") && (!self.has("Spec") || is_of_weights(entries)) =>
            {
                "Weights"
            }
            Node::Map(_) if self.has("Spec") => "Spec",
            Node::Seq(_) => "List",
            _ if self.has("One") => "One",
            _ => "List",
        };
        let variant: de::value::StrDeserializer<'_, Failure> = variant.into_deserializer();
        Ok((seed.deserialize(variant)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Shape<'_, '_> {
    type Error = Failure;

    fn unit_variant(self) -> Result<()> {
        self.0.wrong("unexpected unit".to_owned())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value> {
        self.0.wrong("unexpected tuple".to_owned())
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        de::Deserializer::deserialize_struct(self.0, "", fields, visitor)
    }
}

/// What to write in the place of a text that looks like a number.
fn number_hint(text: &str) -> String {
    let is_number = |node: &Node| !matches!(node, Node::Bool(_));
    if yaml::plain_scalar(text).is_some_and(|node| is_number(&node)) {
        return " (remove the quotes)".to_owned();
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let with_point = text.replacen(',', ".", 1);
    let write = if digits.starts_with('0') && is_digits(digits) {
        // Octal to some, decimal to others, so it is text to YAML 1.2.
        let number = digits.trim_start_matches('0');
        let sign = &text[..text.len() - digits.len()];
        let number = if number.is_empty() { "0" } else { number };
        format!("digits behind a zero are text to YAML; write {sign}{number}")
    } else if let Ok(number) = quantity::whole(text) {
        format!("that is text to YAML; write {number}")
    } else if text.split(':').count() > 1 && text.split(':').all(is_digits) {
        "YAML 1.2 does not count in sixties; write a plain number".to_owned()
    } else if text.trim() != text && text.trim().parse::<f64>().is_ok() {
        "remove the quotes and the space".to_owned()
    } else if with_point != text && with_point.parse::<f64>().is_ok() {
        format!("write {with_point}")
    } else {
        return String::new();
    };
    format!(" ({write})")
}
