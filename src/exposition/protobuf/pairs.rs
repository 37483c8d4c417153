//! What surrounds the label values of a space: each label is a `LabelPair`.

use std::sync::Arc;

use crate::escaping::Escaping;
use crate::model::labels::Arena;
use crate::model::space::Space;
use crate::proto::wire::write_varint;
use crate::proto::wire::{len_field_len, len_key, varint_len, write_len_key, write_pair_name};

/// Field `label` of a `Metric`.
const PAIR_KEY: u8 = len_key(1);

/// The names of a space's labels.
#[derive(Debug)]
pub(in crate::exposition) struct Pairs {
    space: Arc<Space>,
    /// Which of a renderer's spaces it is.
    number: usize,
    /// By dimension its name as a field of the pair, and the key of the value's.
    names: Arena,
    longest_bytes: usize,
}

impl Pairs {
    /// Those of the space that has this number among those of a renderer, escaped by a scheme.
    pub(in crate::exposition) fn new(
        space: &Arc<Space>,
        number: usize,
        escaping: Escaping,
    ) -> Self {
        let mut pairs = Self {
            space: Arc::clone(space),
            number,
            names: Arena::default(),
            longest_bytes: 0,
        };
        for (index, dimension) in space.dimensions().iter().enumerate() {
            let write = |out: &mut Vec<u8>| write_pair_name(out, &escaping.label(&dimension.name));
            pairs.names.push_with(write);
            let value = if dimension.is_empty() {
                space.entity_text_bytes_max(index)
            } else {
                dimension.values.longest_bytes()
            };
            pairs.longest_bytes += pairs.pair_bytes(index, value);
        }
        pairs
    }

    pub(super) fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// Which of a renderer's spaces it is.
    pub(in crate::exposition) fn number(&self) -> usize {
        self.number
    }

    /// The pairs of a series have no more bytes than this.
    pub(super) fn longest_bytes(&self) -> usize {
        self.longest_bytes
    }

    /// Bytes of the pair of a dimension whose value has `value_len` bytes, key and length
    /// included.
    #[inline]
    pub(super) fn pair_bytes(&self, dimension: usize, value_len: usize) -> usize {
        len_field_len(self.pair_len(dimension, value_len))
    }

    fn pair_len(&self, dimension: usize, value_len: usize) -> usize {
        self.names.get(dimension).len() + varint_len(value_len as u64) + value_len
    }

    /// Appends the pair of a dimension up to its value of `value_len` bytes.
    pub(super) fn write_open(&self, out: &mut Vec<u8>, dimension: usize, value_len: usize) {
        write_len_key(out, PAIR_KEY, self.pair_len(dimension, value_len));
        out.extend_from_slice(self.names.get(dimension));
        write_varint(out, value_len as u64);
    }
}

/// Appends a pair of a label that no space has.
pub(super) fn write_pair(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    let name_len = len_field_len(name.len());
    write_len_key(out, PAIR_KEY, name_len + len_field_len(value.len()));
    write_pair_name(out, name);
    write_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}
