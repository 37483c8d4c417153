//! The beginning of a series' message: key, length and label pairs.
//!
//! As in text, neighbouring series differ in their last labels, so the beginning is kept
//! from one to the next and only what changed is written anew; the last value is copied
//! from its arena.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use crate::exposition::protobuf::lengths::PairLengths;
use crate::exposition::protobuf::pairs::Pairs;
use crate::exposition::room::{Room, SLACK_BYTES};
use crate::model::labels::Arena;
use crate::model::space::Cursor;
use crate::proto::wire::{len_key, varint_len};

/// Field `metric` of a `MetricFamily`.
pub(super) const METRIC_KEY: u8 = len_key(4);
/// Room for a series' key and length: it is shorter than 4 GiB.
pub(super) const ROOM: usize = 6;

/// The beginnings of the messages of series, one after the other.
pub(in crate::exposition) trait Heads: PairLengths {
    /// Puts that of a series of which `body_len` bytes follow the labels.
    fn put(&mut self, room: &mut Room, body_len: usize);
}

/// Those of the series of a cursor.
pub(super) struct Head<'a> {
    pairs: &'a Pairs,
    cursor: Cursor<'a>,
    /// By dimension where its values are; nothing where they belong to entities.
    values: Vec<Option<&'a Arena>>,
    /// Room for key and length, the pairs but for the last value, then any bytes.
    padded: Vec<u8>,
    /// By dimension where its pair begins.
    starts: Vec<usize>,
    /// Where the last value would begin.
    leading_end: usize,
    last: Window<'a>,
    /// Of all pairs.
    pairs_len: usize,
    /// Where the key stands, and of which message it is; none at first.
    begin: usize,
    len: usize,
}

/// A value, and the bytes that begin with it: a copy of fixed length is a fast one.
type Window<'a> = (&'a [u8], Option<&'a [u8; 16]>);

impl<'a> Head<'a> {
    /// On the series that a cursor stands on.
    pub(super) fn new(pairs: &'a Pairs, cursor: Cursor<'a>) -> Self {
        let dimensions = pairs.space().dimensions().iter();
        let values = dimensions.map(|d| (!d.is_empty()).then_some(&d.values));
        let mut head = Self {
            pairs,
            values: values.collect(),
            padded: Vec::with_capacity(ROOM + pairs.longest_bytes() + SLACK_BYTES),
            starts: vec![ROOM; cursor.digits().len()],
            cursor,
            leading_end: ROOM,
            last: (&[], None),
            pairs_len: 0,
            begin: ROOM,
            len: 0,
        };
        head.padded.resize(ROOM + SLACK_BYTES, 0);
        head.write_from(0);
        head
    }

    #[inline(always)]
    fn value(&self, dimension: usize) -> Window<'a> {
        match self.values[dimension] {
            Some(values) => values.get_window(self.cursor.digits()[dimension] as usize),
            None => self.cursor.entity_text(dimension),
        }
    }

    /// Writes the pairs anew from that of a dimension on.
    fn write_from(&mut self, first: usize) {
        let Some(last) = self.starts.len().checked_sub(1) else {
            return;
        };
        self.padded.truncate(self.starts[first]);
        for dimension in first..=last {
            self.starts[dimension] = self.padded.len();
            let value = self.value(dimension);
            self.pairs
                .write_open(&mut self.padded, dimension, value.0.len());
            if dimension < last {
                self.padded.extend_from_slice(value.0);
            } else {
                self.last = value;
            }
        }
        self.leading_end = self.padded.len();
        self.pairs_len = self.leading_end - ROOM + self.last.0.len();
        self.padded.resize(self.leading_end + SLACK_BYTES, 0);
    }

    /// Writes key and length of a message of `len` bytes.
    #[inline(never)]
    fn write_len(&mut self, len: usize) {
        self.len = len;
        self.begin = ROOM - 1 - varint_len(len as u64);
        self.padded[self.begin] = METRIC_KEY;
        let mut rest = len;
        for byte in &mut self.padded[self.begin + 1..ROOM] {
            *byte = rest as u8 | 0x80;
            rest >>= 7;
        }
        self.padded[ROOM - 1] &= 0x7F;
    }
}

impl PairLengths for Head<'_> {
    #[inline(always)]
    fn bytes(&self) -> usize {
        self.pairs_len
    }

    #[inline(always)]
    fn advance(&mut self) {
        let changed = self.cursor.advance();
        if changed >= self.starts.len() {
            return;
        }
        if changed + 1 == self.starts.len() {
            let value = self.value(changed);
            if value.0.len() == self.last.0.len() {
                self.last = value;
                return;
            }
        }
        self.write_from(changed);
    }
}

impl Heads for Head<'_> {
    #[inline(always)]
    fn put(&mut self, room: &mut Room, body_len: usize) {
        let len = self.pairs_len + body_len;
        if len != self.len {
            self.write_len(len);
        }
        room.put_padded(&self.padded[self.begin..], self.leading_end - self.begin);
        match self.last {
            (value, Some(window)) if value.len() <= 16 => room.put_window(window, value.len()),
            (value, _) => room.put(value),
        }
    }
}
