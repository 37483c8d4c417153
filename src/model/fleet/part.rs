//! One label of a fleet: its value and text for an entity.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::FleetError;
use super::graph::{Graph, find};
use super::ids;
use super::mapping::{Mapping, Owner};
use crate::config::{Label, LabelValues, Mode, Piece};
use crate::model::identity;
use crate::model::labels::{Arena, Dimension, write_value};
use crate::random::mix;

/// Values of one label that can be in use.
const VALUES_MAX: u64 = 100_000_000;

/// A label of a fleet, shown or not.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) own: Own,
    /// How many own values it has.
    pub(super) count: u64,
    values: LabelValues,
    pieces: Vec<PartPiece>,
    /// All its texts, by own value, where these decide alone.
    pub(super) fixed: Option<Arc<Dimension>>,
    /// The hashes of name and own value, where they are not those of `fixed`.
    own_hashes: Vec<u64>,
    /// The axes that it depends on, in increasing order.
    pub(super) closure: Vec<usize>,
    /// How many places [`Making::rank`] tells apart.
    ranks: u64,
}

/// Where a label's own value comes from.
#[derive(Debug)]
pub(super) enum Own {
    /// The digit of an axis.
    Axis(usize),
    /// What another part of the fleet has.
    Property { of: usize, mapping: Mapping },
}

#[derive(Debug)]
enum PartPiece {
    Text(Vec<u8>),
    Value,
    Part(usize),
    /// With the hash of seed, label and place in the text.
    Id {
        len: u8,
        key: u64,
    },
    Generation,
}

/// An axis of a fleet: the label in the metric's list, and how many values it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Index of the label.
    pub label: usize,
    /// Number of its values.
    pub radix: usize,
}

/// What all labels of a fleet are for one entity; reused for the next one.
#[derive(Debug, Default)]
pub(super) struct Making {
    /// The slot, ...
    pub(super) slot: u64,
    /// ... and the value index of each axis in it.
    digits: Vec<u64>,
    /// For each part its own value, ...
    pub(super) owns: Vec<u64>,
    /// ... the generation that it shows, ...
    pub(super) generations: Vec<u64>,
    /// ... when that began, in nanoseconds, ...
    pub(super) chosen_ns: Vec<u64>,
    /// ... and its text, unless that is fixed.
    texts: Vec<Vec<u8>>,
    /// For each axis the hash of name and own value.
    hashes: Vec<u64>,
    scratch: Vec<u8>,
}

impl Making {
    /// The key of its values of some axes.
    pub(super) fn key(&self, axes: &[usize]) -> u64 {
        let hashes = axes.iter().map(|&axis| self.hashes[axis]);
        mix(hashes.fold(0, u64::wrapping_add))
    }
}

/// All parts of a fleet, those that others need before these.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) each: Vec<Part>,
    pub(super) axes: Vec<Axis>,
}

impl Parts {
    /// No text of a part is longer in bytes.
    pub(super) fn text_bytes_max(&self, part: usize) -> usize {
        const GENERATION_DIGITS: usize = 20;
        let part = &self.each[part];
        let pieces = part.pieces.iter().map(|piece| match piece {
            PartPiece::Text(text) => text.len(),
            PartPiece::Value => longest_bytes(&part.values),
            PartPiece::Part(other) => self.text_bytes_max(*other),
            PartPiece::Id { len, .. } => usize::from(*len),
            PartPiece::Generation => GENERATION_DIGITS,
        });
        pieces.sum()
    }

    /// Whether a byte for which `is` holds may be in the texts of a part.
    pub(super) fn text_may_have(&self, part: usize, is: &dyn Fn(u8) -> bool) -> bool {
        let part = &self.each[part];
        let has = |text: &[u8]| text.iter().copied().any(is);
        part.pieces.iter().any(|piece| match piece {
            PartPiece::Text(text) => has(text),
            PartPiece::Value => match &part.values {
                LabelValues::List(list) => list.iter().any(|value| has(value.as_bytes())),
                LabelValues::Range { format, .. } => {
                    has(format.before.as_bytes()) || has(format.after.as_bytes())
                }
            },
            PartPiece::Part(other) => self.text_may_have(*other, is),
            PartPiece::Id { .. } | PartPiece::Generation => false,
        })
    }

    pub(super) fn of(labels: &[Label], graph: &Graph, seed: u64) -> Result<Self, FleetError> {
        let axes = graph.axes.iter().map(|&label| Axis {
            label,
            radix: labels[label].values.count() as usize,
        });
        let mut parts = Self {
            axes: axes.collect(),
            each: Vec::new(),
        };
        for &index in &graph.order {
            let part = parts.part(labels, graph, index, seed)?;
            parts.each.push(part);
        }
        Ok(parts)
    }

    /// The part of a label whose needs have theirs.
    fn part(
        &self,
        labels: &[Label],
        graph: &Graph,
        index: usize,
        seed: u64,
    ) -> Result<Part, FleetError> {
        let label = &labels[index];
        let part_of = |name: &str| {
            let label = find(labels, label, name)?;
            let place = graph.order.iter().position(|&index| index == label);
            Ok(place.expect("needs belong to the fleet"))
        };
        let count = label.values.count().max(1);
        if count > VALUES_MAX {
            return Err(FleetError::TooManyValues(label.name.clone(), count));
        }
        let closure = graph.closures[index].clone();
        let mut ranks = self.product(&closure);
        let own = if let Some(property) = &label.of {
            let of = part_of(&property.of)?;
            let owner = &self.each[of];
            let mapping = Mapping::new(
                property.spread,
                seed,
                (&label.name, count),
                (&owner.name, owner.ranks),
            );
            ranks = if count > 1 { count } else { owner.ranks };
            Own::Property { of, mapping }
        } else {
            let axis = graph.axes.iter().position(|&label| label == index);
            Own::Axis(axis.expect("what is no property is an axis"))
        };
        let base = xxh3_64_with_seed(label.name.as_bytes(), mix(seed));
        let pieces = match &label.text {
            None => vec![PartPiece::Value],
            Some(pieces) => pieces
                .iter()
                .enumerate()
                .map(|(place, piece)| {
                    Ok(match piece {
                        Piece::Text(text) => PartPiece::Text(text.clone().into_bytes()),
                        Piece::Value => PartPiece::Value,
                        Piece::Label(name) => PartPiece::Part(part_of(name)?),
                        Piece::Id(len) => PartPiece::Id {
                            len: *len,
                            key: mix(base ^ place as u64),
                        },
                        Piece::Generation => PartPiece::Generation,
                    })
                })
                .collect::<Result<_, FleetError>>()?,
        };
        let mut part = Part {
            name: label.name.clone(),
            own,
            count,
            values: label.values.clone(),
            pieces,
            fixed: None,
            own_hashes: Vec::new(),
            closure,
            ranks,
        };
        let is_own = |piece: &PartPiece| matches!(piece, PartPiece::Text(_) | PartPiece::Value);
        if part.pieces.iter().all(is_own) {
            part.fixed = Some(Arc::new(part.all_texts()));
        }
        if !matches!(part.pieces[..], [PartPiece::Value]) {
            part.own_hashes = part.hash_owns();
        }
        Ok(part)
    }

    /// The part of a label.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.each.iter().position(|part| part.name == name)
    }

    /// How many combinations of values some axes have.
    pub(super) fn product(&self, axes: &[usize]) -> u64 {
        let radices = axes.iter().map(|&axis| self.axes[axis].radix as u64);
        radices.fold(1, u64::saturating_mul)
    }

    /// Turns to a slot: its digits, and their hashes.
    pub(super) fn seek(&self, making: &mut Making, slot: usize) {
        making.slot = slot as u64;
        making.digits.resize(self.axes.len(), 0);
        making.hashes.resize(self.axes.len(), 0);
        let mut rest = slot;
        for (digit, axis) in making.digits.iter_mut().zip(&self.axes).rev() {
            *digit = (rest % axis.radix) as u64;
            rest /= axis.radix;
        }
        for part in &self.each {
            if let Own::Axis(axis) = part.own {
                let own = making.digits[axis];
                making.hashes[axis] = part.own_hash(own);
            }
        }
    }

    /// Whether a law is about values of a part that fail, each with all that is on it.
    pub(super) fn has_outages(&self, part: usize, mode: &Mode) -> bool {
        matches!(mode, Mode::Outage { .. }) && self.each[part].is_spread()
    }

    /// The key of a value of a property.
    pub(super) fn value_key(&self, part: usize, value: u64) -> u64 {
        mix(self.each[part].own_hash(value))
    }

    /// The properties that a value of another one has for ever, and their values.
    pub(super) fn derived(&self, part: usize, value: u64) -> impl Iterator<Item = (usize, u64)> {
        let texts = self.each[part].fixed.as_ref();
        let texts = texts.filter(|_| self.each[part].is_spread());
        texts.into_iter().flat_map(move |texts| {
            let owner = Owner {
                text: texts.values.get(value as usize),
                rank: value,
                generation: 0,
            };
            self.each
                .iter()
                .enumerate()
                .filter_map(move |(index, other)| match &other.own {
                    Own::Property { of, mapping } if *of == part => {
                        Some((index, mapping.first_fit(owner, |_| true)))
                    }
                    _ => None,
                })
        })
    }

    /// Whether the value of a property, for which texts are fixed, tells the text of another
    /// part.
    pub(super) fn is_told_by(&self, part: usize, by: usize) -> bool {
        let Part { own, fixed, .. } = &self.each[part];
        fixed.is_some()
            && (part == by
                || matches!(own, Own::Property { of, .. }
                    if self.each[*of].is_spread() && self.is_told_by(*of, by)))
    }

    /// The text of such a part.
    pub(super) fn told_by(&self, part: usize, (by, value): (usize, u64)) -> Option<&[u8]> {
        if part == by {
            let texts = self.each[part].fixed.as_ref()?;
            return Some(texts.values.get(value as usize));
        }
        let mut derived = self.derived(by, value);
        derived.find_map(|derived| self.told_by(part, derived))
    }

    /// Finds out all values and texts of an entity; `making` knows its slot and generations.
    /// `is_fit` tells whether a property's value will do for who chooses at a time; where none
    /// does, it is the first one that did not.
    pub(super) fn make(&self, making: &mut Making, is_fit: impl Fn(usize, u64, u64) -> bool) {
        making.owns.clear();
        making.texts.resize_with(self.each.len(), Vec::new);
        for (index, part) in self.each.iter().enumerate() {
            let own = match &part.own {
                Own::Axis(axis) => making.digits[*axis],
                Own::Property { of, mapping } => {
                    // What a value of a property has, it has for ever.
                    let is_lasting = self.each[*of].is_spread();
                    let owner = Owner {
                        text: self.text(making, *of),
                        rank: self.rank(making, *of),
                        generation: if is_lasting {
                            0
                        } else {
                            making.generations[*of]
                        },
                    };
                    let chosen_ns = making.chosen_ns[index];
                    mapping.first_fit(owner, |value| is_lasting || is_fit(index, value, chosen_ns))
                }
            };
            making.owns.push(own);
            if part.fixed.is_none() {
                let mut text = std::mem::take(&mut making.texts[index]);
                text.clear();
                self.write(making, index, &mut text);
                making.texts[index] = text;
            }
        }
    }

    /// The text of a part that was made.
    pub(super) fn text<'a>(&'a self, making: &'a Making, part: usize) -> &'a [u8] {
        match &self.each[part].fixed {
            Some(dimension) => dimension.values.get(making.owns[part] as usize),
            None => &making.texts[part],
        }
    }

    /// The hash of name and text of a part that was made.
    pub(super) fn pair_hash(&self, making: &mut Making, part: usize) -> u64 {
        if let Some(texts) = &self.each[part].fixed {
            return texts.pair_hashes[making.owns[part] as usize];
        }
        let Making { texts, scratch, .. } = making;
        identity::pair_hash(&self.each[part].name, &texts[part], scratch)
    }

    /// The place of an entity among those of a part, from 0.
    pub(super) fn rank(&self, making: &Making, part: usize) -> u64 {
        match &self.each[part].own {
            Own::Property { .. } if self.each[part].is_spread() => making.owns[part],
            Own::Property { of, .. } => self.rank(making, *of),
            Own::Axis(_) => self.rank_of(making, &self.each[part].closure),
        }
    }

    /// The place of its values of some axes among their combinations, the first axis slowest.
    pub(super) fn rank_of(&self, making: &Making, axes: &[usize]) -> u64 {
        let add = |rank, &axis: &usize| rank * self.axes[axis].radix as u64 + making.digits[axis];
        axes.iter().fold(0, add)
    }

    fn write(&self, making: &Making, index: usize, out: &mut Vec<u8>) {
        let part = &self.each[index];
        for piece in &part.pieces {
            match piece {
                PartPiece::Text(text) => out.extend_from_slice(text),
                PartPiece::Value => part.write_own(making.owns[index], out),
                PartPiece::Part(other) => out.extend_from_slice(self.text(making, *other)),
                PartPiece::Generation => {
                    let mut decimal = itoa::Buffer::new();
                    out.extend_from_slice(decimal.format(making.generations[index]).as_bytes());
                }
                PartPiece::Id { len, key } => {
                    let number = (making.owns[index], part.count);
                    let key = self.base_key(making, index, *key);
                    ids::write_id(key, number, making.generations[index], *len, out);
                }
            }
        }
    }

    /// A key and the texts of all that a part needs.
    fn base_key(&self, making: &Making, index: usize, key: u64) -> u64 {
        let part = &self.each[index];
        let of = match &part.own {
            Own::Property { of, .. } => Some(*of),
            Own::Axis(_) => None,
        };
        let named = part.pieces.iter().filter_map(|piece| match piece {
            PartPiece::Part(other) => Some(*other),
            _ => None,
        });
        let needs = of.into_iter().chain(named);
        needs.fold(key, |key, need| {
            xxh3_64_with_seed(self.text(making, need), key)
        })
    }
}

impl Part {
    /// Whether what it shows depends on its generation, beside the texts of others.
    pub(super) fn follows_generations(&self) -> bool {
        let mut pieces = self.pieces.iter();
        self.is_spread()
            || pieces.any(|piece| matches!(piece, PartPiece::Id { .. } | PartPiece::Generation))
    }

    /// Whether it is a property that has several values.
    pub(super) fn is_spread(&self) -> bool {
        self.count > 1 && matches!(self.own, Own::Property { .. })
    }

    /// The hash of name and own value.
    fn own_hash(&self, own: u64) -> u64 {
        match &self.fixed {
            Some(texts) if self.own_hashes.is_empty() => texts.pair_hashes[own as usize],
            _ => self.own_hashes[own as usize],
        }
    }

    /// The hashes of name and own value of all of them.
    fn hash_owns(&self) -> Vec<u64> {
        let (mut text, mut scratch) = (Vec::new(), Vec::new());
        let hash = |own| {
            text.clear();
            self.write_own(own, &mut text);
            identity::pair_hash(&self.name, &text, &mut scratch)
        };
        (0..self.count).map(hash).collect()
    }

    /// Appends the text of an own value.
    fn write_own(&self, own: u64, out: &mut Vec<u8>) {
        if self.values.count() > 0 {
            write_value(&self.values, own, out);
        }
    }

    /// All texts of a label whose own values decide alone.
    fn all_texts(&self) -> Dimension {
        let mut values = Arena::default();
        for own in 0..self.count {
            values.push_with(|out| {
                for piece in &self.pieces {
                    match piece {
                        PartPiece::Text(text) => out.extend_from_slice(text),
                        _ => self.write_own(own, out),
                    }
                }
            });
        }
        let mut scratch = Vec::new();
        let hashes = values
            .iter()
            .map(|text| identity::pair_hash(&self.name, text, &mut scratch));
        Dimension {
            name: self.name.clone(),
            pair_hashes: hashes.collect(),
            values,
        }
    }
}

/// No value is longer in bytes.
fn longest_bytes(values: &LabelValues) -> usize {
    match values {
        LabelValues::List(list) => list.iter().map(String::len).max().unwrap_or(0),
        LabelValues::Range {
            first,
            last,
            format,
        } => {
            let lengths = [*first, *last].map(|number| {
                let mut text = Vec::new();
                format.write(number, &mut text);
                text.len()
            });
            lengths[0].max(lengths[1])
        }
    }
}
