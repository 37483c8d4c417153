//! A serde `Deserializer` over [`Node`] that knows where it is.
//!
//! It differs from a parser's own in three ways: every error carries the path
//! of its value; unknown fields are reported with a suggestion and skipped
//! instead of ending the pass; and a value that cannot be read is pruned (read
//! as null from then on) and the pass repeated, so that all mistakes of a file
//! are found. An enum is chosen by the shape of the value: its variants are
//! `Spec` (a map), `List` and `One` (a scalar).
//!
//! It checks types, never ranges or meanings: that is `check`.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};

use super::problem::{PROBLEMS_KEPT_MAX, Path, Problems, Step};
use super::suggest;
use super::yaml::{Node, float_text};

/// Values that may be pruned before the pass gives up.
const PRUNED_MAX: usize = 100;

/// Name of the newtype whose number may be infinite or NaN: `raw::AnyFloat`.
const ANY_FLOAT: &str = "AnyFloat";

/// Reads `T`, reporting every mistake; `None` after too many of them.
///
/// `T` must accept null for every value that can be of a wrong type.
pub(super) fn read<T: DeserializeOwned>(root: &Node, problems: &mut Problems) -> Option<T> {
    let mut pass = Pass::default();
    let mut failures = Vec::new();
    let value = loop {
        pass.unknown.borrow_mut().clear();
        pass.unknown_more.set(0);
        let start = NodeDe {
            node: root,
            trail: &Trail::Root,
            pass: &pass,
            any_float: false,
        };
        match T::deserialize(start) {
            Ok(value) => break Some(value),
            Err(failure) => {
                let (path, node) = failure.at.unwrap_or_default();
                let is_root = node == NodeDe::address(root);
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
    value
}

/// What one pass over the tree leaves to the next, and to the caller.
#[derive(Default)]
struct Pass {
    /// Addresses of nodes that are read as null.
    pruned: HashSet<usize>,
    unknown: RefCell<Vec<UnknownField>>,
    /// Unknown fields beyond those that are described.
    unknown_more: Cell<usize>,
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
    trail: &'c Trail<'c>,
    pass: &'c Pass,
    any_float: bool,
}

const NULL: &Node = &Node::Null;

impl<'n, 'c> NodeDe<'n, 'c> {
    fn address(node: &Node) -> usize {
        std::ptr::from_ref(node) as usize
    }

    /// A value below this one; null where it was pruned.
    fn child<'d>(self, node: &'n Node, trail: &'d Trail<'d>) -> NodeDe<'n, 'd>
    where
        'c: 'd,
    {
        let pruned = self.pass.pruned.contains(&Self::address(node));
        NodeDe {
            node: if pruned { NULL } else { node },
            trail,
            pass: self.pass,
            any_float: false,
        }
    }

    /// Gives an error that has no place yet the place of this value.
    fn placed<T>(self, result: Result<T>) -> Result<T> {
        result.map_err(|mut failure| {
            failure
                .at
                .get_or_insert_with(|| (self.trail.path(), Self::address(self.node)));
            failure
        })
    }

    fn wrong<T>(self, message: String) -> Result<T> {
        self.placed(Err(de::Error::custom(message)))
    }

    fn expected<T>(self, what: &str) -> Result<T> {
        let hint = match self.node {
            Node::Str(text) if what.contains("number") && text.trim().parse::<f64>().is_ok() => {
                " (remove the quotes)"
            }
            Node::Str(text)
                if what.contains("true or false")
                    && matches!(
                        text.to_lowercase().as_str(),
                        "yes" | "no" | "on" | "off" | "true" | "false"
                    ) =>
            {
                " (YAML 1.2 knows only true and false, without quotes)"
            }
            Node::Bool(_) | Node::Int(_) | Node::UInt(_) | Node::Big(_) | Node::Float(_)
                if what == "text" =>
            {
                " (put it in quotes)"
            }
            _ => "",
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
            _ => self.expected("a whole number"),
        }
    }

    fn unknown_field(self, key: &str, fields: &'static [&'static str]) {
        if self.pass.unknown.borrow().len() == PROBLEMS_KEPT_MAX {
            self.pass.unknown_more.set(self.pass.unknown_more.get() + 1);
            return;
        }
        let path = self.trail.path();
        let known = fields.iter().copied();
        let meant = suggest::nearest(key, known.clone());
        self.pass.unknown.borrow_mut().push(UnknownField {
            message: format!(
                "unknown field; {}",
                suggest::hint(key, "known fields", known)
            ),
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
            Node::Big(text) | Node::Str(text) => self.placed(visitor.visit_str(text)),
            Node::Seq(_) | Node::Map(_) => self.expected("a single value"),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.node {
            Node::Bool(value) => self.placed(visitor.visit_bool(*value)),
            _ => self.expected("true or false"),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.node {
            Node::Int(value) => self.placed(visitor.visit_i64(*value)),
            Node::UInt(_) | Node::Big(_) => self.wrong(format!(
                "{} is not within {} and {}",
                self.node.describe(),
                i64::MIN,
                i64::MAX
            )),
            _ => self.expected_whole_number(),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.node {
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
            _ => self.expected_whole_number(),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let value = match self.node {
            Node::Int(value) => *value as f64,
            Node::UInt(value) => *value as f64,
            Node::Float(value) => *value,
            Node::Big(digits) => digits.parse().unwrap_or(f64::INFINITY),
            // JSON has no other way to write them.
            Node::Str(text) if self.any_float => match text.as_str() {
                ".nan" => f64::NAN,
                ".inf" => f64::INFINITY,
                "-.inf" => f64::NEG_INFINITY,
                _ => return self.expected("a number"),
            },
            _ => return self.expected("a number"),
        };
        if value.is_finite() || self.any_float {
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
            Node::Str(text) => self.placed(visitor.visit_str(text)),
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
        self.any_float = name == ANY_FLOAT;
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
                unread: entries.iter(),
                fields: None,
                value: None,
            })),
            _ => self.expected("a map of names"),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        if let Node::Map(entries) = self.node {
            return self.placed(visitor.visit_map(Entries {
                de: self,
                unread: entries.iter(),
                fields: Some(fields),
                value: None,
            }));
        }
        let some: Vec<_> = fields.iter().copied().take(3).collect();
        self.expected(&format!("a map of fields ({}, …)", some.join(", ")))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.placed(visitor.visit_enum(Shape(self)))
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
    unread: std::slice::Iter<'n, (String, Node)>,
    /// The fields of a struct; `None` where any key is welcome.
    fields: Option<&'static [&'static str]>,
    value: Option<&'n (String, Node)>,
}

impl<'de> de::MapAccess<'de> for Entries<'_, '_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        for entry in self.unread.by_ref() {
            match self.fields {
                Some(fields) if !fields.contains(&entry.0.as_str()) => {
                    self.de.unknown_field(&entry.0, fields);
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

/// Chooses a variant by the shape of the value.
struct Shape<'n, 'c>(NodeDe<'n, 'c>);

impl<'de> de::EnumAccess<'de> for Shape<'_, '_> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let variant = match self.0.node {
            Node::Map(_) => "Spec",
            Node::Seq(_) => "List",
            _ => "One",
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
