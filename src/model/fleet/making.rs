//! What all labels of a fleet are for one entity: its slot and generations in, own values and
//! texts out.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::ids;
use super::mapping::Owner;
use super::part::{Own, PartPiece};
use super::parts::Parts;
use crate::model::identity;
use crate::random::mix;

/// What all labels of a fleet are for one entity; reused for the next one.
#[derive(Debug, Default)]
pub(super) struct Making {
    /// The slot's place in the whole fleet, ...
    pub(super) slot: u64,
    /// ... and the value index of each axis in it.
    digits: Vec<u64>,
    /// For each part its own value, ...
    pub(super) owns: Vec<u64>,
    /// ... the generation that it shows, ...
    pub(super) generations: Vec<u64>,
    /// ... when that began, in nanoseconds, ...
    pub(super) changed_ns: Vec<u64>,
    /// ... when values for it were chosen, which a replacement does before it takes a place, ...
    pub(super) chosen_ns: Vec<u64>,
    /// ... and its text, unless that is fixed.
    texts: Vec<Vec<u8>>,
    /// For each axis the hash of name and own value.
    hashes: Vec<u64>,
    /// When it moved last.
    pub(super) moved_ns: u64,
    /// The generations without the moves of a label, while these are found out.
    pub(super) unmoved: Vec<u64>,
    scratch: Vec<u8>,
}

impl Making {
    /// The key of its values of some axes.
    pub(super) fn key(&self, axes: &[usize]) -> u64 {
        let hashes = axes.iter().map(|&axis| self.hashes[axis]);
        mix(hashes.fold(0, u64::wrapping_add))
    }
}

impl Parts {
    /// Turns to a slot, by its place in the whole: its digits, and their hashes.
    pub(super) fn seek(&self, making: &mut Making, slot: usize) {
        making.slot = slot as u64;
        self.set_digits(slot, &mut making.digits);
        making.hashes.resize(self.axes.len(), 0);
        for part in &self.each {
            if let Own::Axis(axis) = part.own {
                let own = making.digits[axis];
                making.hashes[axis] = part.own_hash(own);
            }
        }
    }

    /// Finds out the values and texts of some parts of an entity, in an order in which each
    /// comes after those that it needs; `making` knows its slot and generations. `is_fit` tells
    /// whether a property's value will do for who chooses at a time; where none does, it is the
    /// first one that did not.
    pub(super) fn make(
        &self,
        making: &mut Making,
        parts: impl Iterator<Item = usize>,
        is_fit: impl Fn(usize, u64, u64) -> bool,
    ) {
        making.owns.resize(self.each.len(), 0);
        making.texts.resize_with(self.each.len(), Vec::new);
        for index in parts {
            let part = &self.each[index];
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
            making.owns[index] = own;
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
