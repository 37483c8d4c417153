//! The label sets of a target's rows in a space, as text, for all families of the space.
//!
//! A target has few rows of each family and often many families. So its labels are written
//! once, row after row, and a line is a name and a copy of them.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use std::ops::Range;

use crate::exposition::escape::{SpaceText, is_in_braces, write_quoted};
use crate::exposition::head::LineHead;
use crate::exposition::room::{Padded, Room, SLACK_BYTES};
use crate::model::population::Population;

/// Labels of rows, `{a="1",b="2"} ` each or, without labels, a space. Its memory is reused.
#[derive(Debug, Default)]
pub(super) struct Stencil {
    /// The rows, increasing.
    ranges: Vec<Range<usize>>,
    row_count: usize,
    /// By dimension of the space, whether it is left out.
    hidden: Vec<bool>,
    /// Where the value of each dimension begins in the row that is written, or would.
    starts: Vec<usize>,
    /// The rows one after the other, then any bytes.
    text: Vec<u8>,
    /// Where the text of each row ends.
    ends: Vec<usize>,
    has_labels: bool,
    is_bare: bool,
}

/// The beginnings of lines of one family.
pub(super) struct StencilHead<'a> {
    name: &'a Padded,
    /// Whether the name has opened the braces.
    in_braces: bool,
    stencil: &'a Stencil,
    row: usize,
    start: usize,
    end: usize,
}

impl Stencil {
    /// Takes the place of what it was: some rows of a space, without labels of the names
    /// `hidden`. `more` are labels that follow, as they are written: `a="1"`.
    pub(super) fn write(
        &mut self,
        labels: &SpaceText,
        population: &Population,
        ranges: impl Iterator<Item = Range<usize>>,
        hidden: &[String],
        more: &[u8],
    ) {
        self.ranges.clear();
        self.ranges.extend(ranges);
        self.row_count = self.ranges.iter().map(ExactSizeIterator::len).sum();
        self.text.clear();
        self.ends.clear();
        self.hidden.clear();
        let dimensions = labels.space().dimensions();
        let is_hidden = dimensions.iter().map(|d| hidden.contains(&d.name));
        self.hidden.extend(is_hidden);
        let shows = self.hidden.contains(&false);
        self.has_labels = shows || !more.is_empty();
        self.is_bare = !self.has_labels && !dimensions.is_empty();
        self.starts.clear();
        self.starts.resize(dimensions.len() + 1, 0);
        let Some(first) = self.ranges.first() else {
            return;
        };
        let mut cursor = population.cursor(first.start);
        for index in 0..self.ranges.len() {
            let range = self.ranges[index].clone();
            cursor.seek(range.start);
            let mut changed = 0;
            let mut before = self.text.len();
            for _ in range {
                let start = self.text.len();
                let same = self.starts[changed];
                self.text.extend_from_within(before..before + same);
                before = start;
                for dimension in changed..dimensions.len() {
                    self.starts[dimension] = self.text.len() - start;
                    if !self.hidden[dimension] {
                        let is_first = self.text.len() == start;
                        let open = labels.open(dimension);
                        if is_first {
                            self.text.push(b'{');
                        }
                        self.text.extend_from_slice(&open[usize::from(is_first)..]);
                        match labels.values(dimension) {
                            Some(values) => {
                                let digit = cursor.digits()[dimension] as usize;
                                self.text.extend_from_slice(values.get(digit));
                            }
                            None => write_quoted(&mut self.text, cursor.value(dimension)),
                        }
                        self.text.push(b'"');
                    }
                }
                self.close(start, more);
                changed = cursor.advance();
            }
        }
        self.text.resize(self.text.len() + SLACK_BYTES, 0);
    }

    /// Ends the row that began at `start`.
    fn close(&mut self, start: usize, more: &[u8]) {
        if !more.is_empty() {
            let is_first = self.text.len() == start;
            self.text.push(if is_first { b'{' } else { b',' });
            self.text.extend_from_slice(more);
        }
        if self.has_labels {
            self.text.push(b'}');
        }
        self.text.push(b' ');
        self.ends.push(self.text.len());
    }

    /// The rows, neighbours together, increasing.
    pub(super) fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// How many rows there are.
    pub(super) fn row_count(&self) -> usize {
        self.row_count
    }

    /// Bytes that it keeps.
    pub(super) fn kept_bytes(&self) -> usize {
        self.text.capacity()
            + size_of::<usize>() * self.ends.capacity()
            + size_of::<Range<usize>>() * self.ranges.capacity()
    }

    /// The beginnings of the lines of a family with this sample name, on the first row.
    ///
    /// # Panics
    /// When there are no rows.
    pub(super) fn head<'a>(&'a self, name: &'a Padded) -> StencilHead<'a> {
        StencilHead {
            name,
            in_braces: is_in_braces(name.text()),
            stencil: self,
            row: 0,
            start: 0,
            end: self.ends[0],
        }
    }
}

impl StencilHead<'_> {
    #[inline(always)]
    fn put_start(&self, room: &mut Room, without: usize) {
        let mut start = self.start;
        if self.in_braces {
            // The first label, or what closes the braces, follows a name in them.
            match (self.stencil.has_labels, without) {
                (true, _) => {
                    room.put(b",");
                    start += 1;
                }
                (false, 0) => room.put(b"}"),
                (false, _) => {}
            }
        }
        room.put_padded(&self.stencil.text[start..], self.end - start - without);
    }
}

impl LineHead for StencilHead<'_> {
    #[inline(always)]
    fn put_line(&self, room: &mut Room) {
        self.name.put(room);
        self.put_start(room, 0);
    }

    #[inline(always)]
    fn put_unnamed_line(&self, room: &mut Room) {
        self.put_start(room, 0);
    }

    #[inline(always)]
    fn complete(&mut self) {}

    #[inline(always)]
    fn put_stem(&self, room: &mut Room) {
        self.name.put(room);
        self.put_start(room, if self.stencil.has_labels { 2 } else { 1 });
    }

    #[inline(always)]
    fn put_labels(&self, room: &mut Room) {
        self.put_start(room, 0);
    }

    #[inline(always)]
    fn is_bare(&self) -> bool {
        self.stencil.is_bare && !self.in_braces
    }

    #[inline(always)]
    fn advance(&mut self) {
        self.row += 1;
        self.start = self.end;
        self.end = self.stencil.ends.get(self.row).copied().unwrap_or(self.end);
    }
}
