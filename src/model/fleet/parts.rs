//! All labels of a fleet: made of a metric's labels, and what holds of them for every entity.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::FleetError;
use super::graph::{Graph, find};
use super::mapping::{Mapping, Owner};
use super::part::{Own, Part, PartPiece};
use crate::config::{Label, LabelValues, Mode, Piece};
use crate::random::mix;

/// Values of one label that can be in use.
const VALUES_MAX: u64 = 100_000_000;

/// An axis of a fleet: the label in the metric's list, and how many values it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Index of the label.
    pub label: usize,
    /// Number of its values.
    pub radix: usize,
}

/// All parts of a fleet, those that others need before these.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) each: Vec<Part>,
    pub(super) axes: Vec<Axis>,
}

impl Parts {
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

    /// The value of each axis at a place of the whole.
    pub(super) fn digits(&self, place: usize) -> Vec<u64> {
        let mut digits = Vec::new();
        self.set_digits(place, &mut digits);
        digits
    }

    /// The same into a list that is kept.
    pub(super) fn set_digits(&self, place: usize, digits: &mut Vec<u64>) {
        digits.resize(self.axes.len(), 0);
        let mut rest = place;
        for (digit, axis) in digits.iter_mut().zip(&self.axes).rev() {
            *digit = (rest % axis.radix) as u64;
            rest /= axis.radix;
        }
    }

    /// How many combinations of values some axes have.
    pub(super) fn product(&self, axes: &[usize]) -> u64 {
        let radices = axes.iter().map(|&axis| self.axes[axis].radix as u64);
        radices.fold(1, u64::saturating_mul)
    }

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
