//! The label pairs of a target's rows in a space, for all families of the space.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use std::ops::Range;

use crate::exposition::protobuf::head::{Heads, METRIC_KEY};
use crate::exposition::protobuf::lengths::PairLengths;
use crate::exposition::protobuf::pairs::{Pairs, write_pair};
use crate::exposition::protobuf::put::put_keyed;
use crate::exposition::room::{Room, SLACK_BYTES};
use crate::model::population::Population;

/// Pairs of rows. Its memory is reused.
#[derive(Debug, Default)]
pub(in crate::exposition) struct Stencil {
    /// The rows, increasing.
    ranges: Vec<Range<usize>>,
    row_count: usize,
    /// By dimension of the space, whether it is left out.
    hidden: Vec<bool>,
    /// Where the pair of each dimension begins in the row that is written, or would.
    starts: Vec<usize>,
    /// The rows one after the other, then any bytes.
    pairs: Vec<u8>,
    /// Where the pairs of each row end.
    ends: Vec<usize>,
    longest_bytes: usize,
}

/// The beginnings of the messages of its rows.
pub(in crate::exposition) struct StencilHeads<'a> {
    stencil: &'a Stencil,
    row: usize,
    start: usize,
    end: usize,
}

impl Stencil {
    /// Takes the place of what it was: some rows of a space, without labels of the names
    /// `hidden`, each with one more label if there is one.
    pub(in crate::exposition) fn write(
        &mut self,
        pairs: &Pairs,
        population: &Population,
        ranges: impl Iterator<Item = Range<usize>>,
        hidden: &[String],
        more: Option<(&str, &[u8])>,
    ) {
        self.ranges.clear();
        self.ranges.extend(ranges);
        self.row_count = self.ranges.iter().map(ExactSizeIterator::len).sum();
        self.pairs.clear();
        self.ends.clear();
        self.hidden.clear();
        let dimensions = pairs.space().dimensions();
        let is_hidden = dimensions.iter().map(|d| hidden.contains(&d.name));
        self.hidden.extend(is_hidden);
        self.starts.clear();
        self.starts.resize(dimensions.len() + 1, 0);
        self.longest_bytes = 0;
        let Some(first) = self.ranges.first() else {
            return;
        };
        let mut cursor = population.cursor(first.start);
        for index in 0..self.ranges.len() {
            let range = self.ranges[index].clone();
            cursor.seek(range.start);
            let mut changed = 0;
            let mut before = self.pairs.len();
            for _ in range {
                let start = self.pairs.len();
                let same = self.starts[changed];
                self.pairs.extend_from_within(before..before + same);
                before = start;
                for dimension in changed..dimensions.len() {
                    self.starts[dimension] = self.pairs.len() - start;
                    if !self.hidden[dimension] {
                        let value = cursor.value(dimension);
                        pairs.write_open(&mut self.pairs, dimension, value.len());
                        self.pairs.extend_from_slice(value);
                    }
                }
                if let Some((name, value)) = more {
                    write_pair(&mut self.pairs, name, value);
                }
                self.longest_bytes = self.longest_bytes.max(self.pairs.len() - start);
                self.ends.push(self.pairs.len());
                changed = cursor.advance();
            }
        }
        self.pairs.resize(self.pairs.len() + SLACK_BYTES, 0);
    }

    /// The rows, neighbours together, increasing.
    pub(in crate::exposition) fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// How many rows there are.
    pub(in crate::exposition) fn row_count(&self) -> usize {
        self.row_count
    }

    /// The pairs of a row have no more bytes than this.
    pub(in crate::exposition) fn longest_bytes(&self) -> usize {
        self.longest_bytes
    }

    /// Bytes that it keeps.
    pub(in crate::exposition) fn kept_bytes(&self) -> usize {
        self.pairs.capacity()
            + size_of::<usize>() * self.ends.capacity()
            + size_of::<Range<usize>>() * self.ranges.capacity()
    }

    /// The beginnings of messages, on the first row.
    ///
    /// # Panics
    /// When there are no rows.
    pub(in crate::exposition) fn heads(&self) -> StencilHeads<'_> {
        StencilHeads {
            stencil: self,
            row: 0,
            start: 0,
            end: self.ends[0],
        }
    }
}

impl PairLengths for StencilHeads<'_> {
    #[inline(always)]
    fn bytes(&self) -> usize {
        self.end - self.start
    }

    #[inline(always)]
    fn advance(&mut self) {
        self.row += 1;
        self.start = self.end;
        self.end = self.stencil.ends.get(self.row).copied().unwrap_or(self.end);
    }
}

impl Heads for StencilHeads<'_> {
    #[inline(always)]
    fn put(&mut self, room: &mut Room, body_len: usize) {
        let pairs_len = self.end - self.start;
        put_keyed(room, METRIC_KEY, (pairs_len + body_len) as u64);
        room.put_padded(&self.stencil.pairs[self.start..], pairs_len);
    }
}
