//! One label of a fleet: where its value comes from, and its text as pieces.

use std::sync::Arc;

use super::mapping::Mapping;
use crate::config::LabelValues;
use crate::model::identity;
use crate::model::labels::{Arena, Dimension, write_value};

/// A label of a fleet, shown or not.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) own: Own,
    /// How many own values it has.
    pub(super) count: u64,
    pub(super) values: LabelValues,
    pub(super) pieces: Vec<PartPiece>,
    /// All its texts, by own value, where these decide alone.
    pub(super) fixed: Option<Arc<Dimension>>,
    /// The hashes of name and own value, where they are not those of `fixed`.
    pub(super) own_hashes: Vec<u64>,
    /// The axes that it depends on, in increasing order.
    pub(super) closure: Vec<usize>,
    /// How many places [`super::parts::Parts::rank`] tells apart.
    pub(super) ranks: u64,
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
pub(super) enum PartPiece {
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
    pub(super) fn own_hash(&self, own: u64) -> u64 {
        match &self.fixed {
            Some(texts) if self.own_hashes.is_empty() => texts.pair_hashes[own as usize],
            _ => self.own_hashes[own as usize],
        }
    }

    /// The hashes of name and own value of all of them.
    pub(super) fn hash_owns(&self) -> Vec<u64> {
        let (mut text, mut scratch) = (Vec::new(), Vec::new());
        let hash = |own| {
            text.clear();
            self.write_own(own, &mut text);
            identity::pair_hash(&self.name, &text, &mut scratch)
        };
        (0..self.count).map(hash).collect()
    }

    /// Appends the text of an own value.
    pub(super) fn write_own(&self, own: u64, out: &mut Vec<u8>) {
        if self.values.count() > 0 {
            write_value(&self.values, own, out);
        }
    }

    /// All texts of a label whose own values decide alone.
    pub(super) fn all_texts(&self) -> Dimension {
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
