//! The constant part of points: everything but numbers.
//!
//! A series' attributes are mostly those of the series before it, so one head
//! is kept and only what changed is written anew; a point is a copy of the head
//! with its numbers put in. A label value's `KeyValue` is not stored: what
//! surrounds the value depends on its length alone, and neighbouring values
//! mostly have the same length, so the value's own bytes, which the space has
//! anyway, are copied into place. That is less to copy and nothing to keep.

use crate::model::labels::Arena;
use crate::model::space::{Cursor, Space};
use crate::proto::wire::{
    len_field_len, len_key, varint_len, write_len_key, write_pair_name, write_varint,
};

/// Room for a point's key and length: a point is shorter than 4 GiB.
const ROOM: usize = 6;
/// Key of a point within its metric's data.
const POINT_KEY: u8 = len_key(1);

/// What is constant about the attributes of a family's points.
#[derive(Debug)]
pub(super) struct Attributes {
    key: u8,
    /// For each dimension its name as a field of `KeyValue`, and the key of the
    /// value's.
    names: Arena,
}

impl Attributes {
    /// The labels of a space as field `field` of a point.
    pub(super) fn new(space: &Space, field: u8) -> Self {
        let mut names = Arena::default();
        for dimension in space.dimensions() {
            names.push_with(|out| write_pair_name(out, &dimension.name));
        }
        Self {
            key: len_key(field),
            names,
        }
    }

    /// Bytes of the `KeyValue` of a dimension whose value has `value_len` bytes.
    fn key_value_len(&self, dimension: usize, value_len: usize) -> usize {
        let any_value = len_field_len(value_len);
        self.names.get(dimension).len() + varint_len(any_value as u64) + any_value
    }

    fn write(&self, out: &mut Vec<u8>, dimension: usize, value: &[u8]) {
        write_len_key(out, self.key, self.key_value_len(dimension, value.len()));
        out.extend_from_slice(self.names.get(dimension));
        write_varint(out, len_field_len(value.len()) as u64);
        write_len_key(out, len_key(1), value.len());
        out.extend_from_slice(value);
    }
}

/// Walks series and tells how many bytes their attributes take.
#[derive(Debug)]
pub(super) struct Sizes<'a> {
    attributes: &'a Attributes,
    cursor: Cursor<'a>,
    by_dimension: Vec<usize>,
    sum: usize,
}

impl<'a> Sizes<'a> {
    pub(super) fn new(attributes: &'a Attributes, cursor: Cursor<'a>) -> Self {
        let mut sizes = Self {
            attributes,
            by_dimension: vec![0; cursor.digits().len()],
            cursor,
            sum: 0,
        };
        sizes.measure_from(0);
        sizes
    }

    /// Bytes of the attributes of the series it stands on.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.sum
    }

    /// On to the next series.
    #[inline]
    pub(super) fn advance(&mut self) {
        let changed = self.cursor.advance();
        self.measure_from(changed);
    }

    #[inline]
    fn measure_from(&mut self, first: usize) {
        for index in first..self.by_dimension.len() {
            let value = self.cursor.value(index);
            let bytes = len_field_len(self.attributes.key_value_len(index, value.len()));
            self.sum = self.sum + bytes - self.by_dimension[index];
            self.by_dimension[index] = bytes;
        }
    }
}

/// A point without its numbers: key, length, fixed part, attributes. It
/// follows a cursor.
#[derive(Debug)]
pub(super) struct Head<'a> {
    attributes: &'a Attributes,
    cursor: Cursor<'a>,
    /// Room for key and length, then the rest of them.
    bytes: Vec<u8>,
    /// Where the fixed part ends.
    front_end: usize,
    /// Where the key stands.
    begin: usize,
    /// The length that is written: of the head and what follows it.
    len: usize,
    /// Where each dimension's value stands, and how long it is.
    values: Vec<(usize, usize)>,
}

impl<'a> Head<'a> {
    /// A head on the series of `cursor` whose fixed part is `front`.
    pub(super) fn new(attributes: &'a Attributes, cursor: Cursor<'a>, front: &[u8]) -> Self {
        let mut bytes = vec![0; ROOM];
        bytes.extend_from_slice(front);
        let mut head = Self {
            attributes,
            values: vec![(0, 0); cursor.digits().len()],
            cursor,
            front_end: bytes.len(),
            bytes,
            begin: ROOM,
            len: usize::MAX,
        };
        head.rewrite_from(0);
        head
    }

    /// Appends the head of the series it stands on, `tail` bytes of the point
    /// being still to come, and goes on to the next series. Returns where the
    /// fixed part begins.
    #[inline]
    pub(super) fn write(&mut self, out: &mut Vec<u8>, tail: usize) -> usize {
        let len = self.bytes.len() - ROOM + tail;
        if len != self.len {
            self.write_len(len);
        }
        let front = out.len() + ROOM - self.begin;
        out.extend_from_slice(&self.bytes[self.begin..]);
        self.advance();
        front
    }

    /// On to the next series without a point.
    #[inline]
    pub(super) fn advance(&mut self) {
        let changed = self.cursor.advance();
        for index in changed..self.values.len() {
            let value = self.cursor.value(index);
            let (start, len) = self.values[index];
            if value.len() != len {
                return self.rewrite_from(index);
            }
            self.bytes[start..start + len].copy_from_slice(value);
        }
    }

    /// Writes the attributes from one on; those before it stay.
    fn rewrite_from(&mut self, first: usize) {
        let kept = match first.checked_sub(1) {
            None => self.front_end,
            Some(before) => self.values[before].0 + self.values[before].1,
        };
        self.bytes.truncate(kept);
        for index in first..self.values.len() {
            let value = self.cursor.value(index);
            self.attributes.write(&mut self.bytes, index, value);
            self.values[index] = (self.bytes.len() - value.len(), value.len());
        }
    }

    #[cold]
    fn write_len(&mut self, len: usize) {
        self.len = len;
        let mut rest = u32::try_from(len).expect("a point is shorter than 4 GiB");
        self.begin = ROOM - 1 - varint_len(len as u64);
        self.bytes[self.begin] = POINT_KEY;
        for byte in &mut self.bytes[self.begin + 1..ROOM] {
            *byte = rest as u8 | 0x80;
            rest >>= 7;
        }
        self.bytes[ROOM - 1] &= 0x7F;
    }
}
