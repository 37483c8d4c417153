//! The label sets of a target's rows in a space, as text, for all families of the space.
//!
//! A target has few rows of each family and often many families. So its labels are written
//! once, row after row, and a line is a name and a copy of them.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use std::ops::Range;

use crate::exposition::escape::{SpaceText, is_in_braces, write_quoted};
use crate::exposition::head::LineHead;
use crate::exposition::places::{Place, Places};
use crate::exposition::room::{Padded, Room, SLACK_BYTES};
use crate::model::population::Population;
use crate::model::space::Cursor;

/// Labels of rows, `{a="1",b="2"} ` each or, without labels, a space. Its memory is reused.
#[derive(Debug, Default)]
pub(super) struct Stencil {
    /// The rows, increasing.
    ranges: Vec<Range<usize>>,
    row_count: usize,
    places: Places,
    /// By dimension of the space, whether it is left out.
    hidden: Vec<bool>,
    /// Where the text of each dimension begins in the row that was written last, or would, and
    /// where the last one ends.
    starts: Vec<usize>,
    /// That row's values.
    digits: Vec<u32>,
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
        self.places.clear();
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
        self.digits.clear();
        let Some(first) = self.ranges.first() else {
            return;
        };
        let mut cursor = population.cursor(first.start);
        for index in 0..self.ranges.len() {
            let range = self.ranges[index].clone();
            cursor.seek(range.start);
            let mut changed = self.changed(labels, &cursor);
            for row in range.clone() {
                self.write_row(labels, &cursor, changed, more);
                if row + 1 == range.end {
                    self.digits.clear();
                    self.digits.extend_from_slice(cursor.digits());
                }
                changed = cursor.advance()..dimensions.len();
            }
        }
        self.text.resize(self.text.len() + SLACK_BYTES, 0);
    }

    /// The dimensions between which all is that may differ from the row that was written last.
    fn changed(&self, labels: &SpaceText, cursor: &Cursor<'_>) -> Range<usize> {
        let count = cursor.digits().len();
        if self.ends.is_empty() {
            return 0..count;
        }
        // Digits of texts that no list has tell too little.
        let differs = |&dimension: &usize| {
            self.digits[dimension] != cursor.digits()[dimension]
                || labels.values(dimension).is_none()
        };
        let first = (0..count).find(differs).unwrap_or(count);
        let last = (first..count).rev().find(differs);
        first..last.map_or(first, |last| last + 1)
    }

    /// Appends the row that a cursor stands on, of which all but these dimensions is as in the
    /// row before, if there is one.
    fn write_row(
        &mut self,
        labels: &SpaceText,
        cursor: &Cursor<'_>,
        changed: Range<usize>,
        more: &[u8],
    ) {
        let start = self.text.len();
        let before = match self.ends.len() {
            0 | 1 => 0,
            rows => self.ends[rows - 2],
        };
        if changed.len() == 1 && self.write_alike(labels, cursor, changed.start, before..start) {
            return;
        }
        let same = self.starts[changed.start];
        let rest = self.starts[changed.end];
        self.text.extend_from_within(before..before + same);
        for dimension in changed.clone() {
            self.starts[dimension] = self.text.len() - start;
            if !self.hidden[dimension] {
                self.write_label(labels, cursor, dimension, start);
            }
        }
        let new_rest = self.text.len() - start;
        if changed.end == self.hidden.len() {
            self.starts[changed.end] = new_rest;
            return self.close(start, more);
        }
        self.text.extend_from_within(before + rest..start);
        for place in &mut self.starts[changed.end..] {
            *place = *place - rest + new_rest;
        }
        self.ends.push(self.text.len());
    }

    /// Appends a row of which all but one dimension is as in the row `before`, if there is one
    /// and the value is as long there; false otherwise.
    fn write_alike(
        &mut self,
        labels: &SpaceText,
        cursor: &Cursor<'_>,
        dimension: usize,
        before: Range<usize>,
    ) -> bool {
        let Some(values) = labels.values(dimension) else {
            return false;
        };
        let value = values.get(cursor.digits()[dimension] as usize);
        let len = labels.open(dimension).len() + value.len() + 1;
        // A hidden one has no length.
        if before.is_empty() || self.starts[dimension + 1] - self.starts[dimension] != len {
            return false;
        }
        let end = before.end + self.starts[dimension + 1] - 1;
        self.text.extend_from_within(before);
        self.text[end - value.len()..end].copy_from_slice(value);
        self.ends.push(self.text.len());
        true
    }

    /// Appends a label of the row that began at `start`.
    fn write_label(
        &mut self,
        labels: &SpaceText,
        cursor: &Cursor<'_>,
        dimension: usize,
        start: usize,
    ) {
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

    /// Finds out where the rows are in blocks of so many, for [`Self::places`].
    pub(super) fn find_places(&mut self, block_series: usize) {
        self.places.find(&self.ranges, block_series);
    }

    /// Where each row is, as found out last.
    pub(super) fn places(&self) -> &[Place] {
        self.places.as_slice()
    }

    /// Bytes that it keeps.
    pub(super) fn kept_bytes(&self) -> usize {
        self.text.capacity()
            + self.places.kept_bytes()
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
