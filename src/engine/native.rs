//! Counts in the buckets of native histograms: those alone that hold something.
//!
//! A block's series stand in no order of rows: each has a run of the column's cells, and a
//! tick that follows writes them anew, one series after the other. So a series costs what it
//! occupies, and a bucket more moves nothing.

use std::ops::Range;

use crate::model::native::{NativeLayout, SCHEMA_MIN, coarser, upper_bound};

/// The native histograms of a block's series; empty where the family has none.
#[derive(Debug, Clone, Default)]
pub struct NativeColumn {
    /// By series.
    heads: Vec<Head>,
    /// Of all series: indices of occupied buckets, increasing within each series.
    indices: Vec<i32>,
    /// Beside them how many observations each holds, on its own; none is 0.
    counts: Vec<u64>,
}

/// Where the buckets of a series are.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    /// In the column's cells.
    start: u32,
    len: u32,
    /// How far its schema has fallen below the layout's.
    steps: u8,
    /// Observations in the zero bucket.
    zeros: u64,
}

/// The native histogram of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeRow<'a> {
    /// The schema of its buckets.
    pub schema: i8,
    /// Observations in the zero bucket.
    pub zeros: u64,
    /// Indices of the buckets that hold something, increasing.
    pub indices: &'a [i32],
    /// Beside them how many observations each holds, on its own.
    pub counts: &'a [u64],
}

/// What a native histogram's buckets gained between two ticks, in the schema of the later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NativeGrowth {
    /// The schema.
    pub schema: i8,
    /// Observations in the zero bucket.
    pub zeros: u64,
    /// Indices of the buckets that gained something, increasing.
    pub indices: Vec<i32>,
    /// Beside them how much.
    pub counts: Vec<u64>,
}

/// The buckets, of a layout's schema, that observed values times a factor fall into.
#[derive(Debug, Default)]
pub(crate) struct NativeCells {
    /// The positions of draws that divide them.
    pub(crate) thresholds: Vec<u64>,
    /// Index of the first.
    first: i32,
    /// Whether a cell before it is the zero bucket.
    has_zeros: bool,
}

impl NativeCells {
    /// Those of values from `min` to `max`, not negative; `position` tells below which
    /// position draws give values up to a bound.
    pub(crate) fn set(
        &mut self,
        layout: &NativeLayout,
        (min, max): (f64, f64),
        position: impl Fn(f64) -> u64,
    ) {
        self.thresholds.clear();
        self.has_zeros = min <= layout.zero_threshold;
        if max <= layout.zero_threshold {
            return;
        }
        let above = layout.zero_threshold.next_up();
        self.first = layout.index(min.max(above));
        let last = layout.index(max);
        if self.has_zeros {
            self.thresholds.push(position(layout.zero_threshold));
        }
        let bounds = (self.first..last).map(|index| upper_bound(index, layout.schema));
        self.thresholds.extend(bounds.map(position));
    }

    /// The same, as a new one.
    pub(crate) fn of(
        layout: &NativeLayout,
        ends: (f64, f64),
        position: impl Fn(f64) -> u64,
    ) -> Self {
        let mut cells = Self::default();
        cells.set(layout, ends, position);
        cells
    }

    /// The bucket of a cell: between thresholds, the first below all of them. `None` is the
    /// zero bucket.
    fn bucket(&self, cell: usize) -> Option<i32> {
        match (self.has_zeros, cell) {
            (true, 0) => None,
            (true, cell) => Some(self.first + cell as i32 - 1),
            (false, cell) => Some(self.first + cell as i32),
        }
    }
}

impl NativeColumn {
    /// No observation of `series` series; empty without a layout.
    pub(crate) fn zeroed(layout: Option<&NativeLayout>, series: usize) -> Self {
        Self {
            heads: vec![Head::default(); layout.map_or(0, |_| series)],
            ..Self::default()
        }
    }

    /// The histogram of a series; the family has `layout`.
    #[inline]
    pub fn row(&self, row: usize, layout: &NativeLayout) -> NativeRow<'_> {
        let head = self.heads[row];
        let cells = head.start as usize..(head.start + head.len) as usize;
        NativeRow {
            schema: layout.schema - head.steps as i8,
            zeros: head.zeros,
            indices: &self.indices[cells.clone()],
            counts: &self.counts[cells],
        }
    }

    /// What a series takes that occupies so many buckets.
    pub(crate) fn series_bytes(occupied: f64) -> f64 {
        size_of::<Head>() as f64 + occupied * (size_of::<i32>() + size_of::<u64>()) as f64
    }

    /// Adds a series that occupies these buckets: for columns that no engine filled.
    pub fn push(&mut self, layout: &NativeLayout, row: &NativeRow<'_>) {
        self.heads.push(Head {
            start: self.indices.len() as u32,
            len: row.indices.len() as u32,
            steps: (layout.schema - row.schema) as u8,
            zeros: row.zeros,
        });
        self.indices.extend_from_slice(row.indices);
        self.counts.extend_from_slice(row.counts);
    }

    /// Forgets all series; memory stays.
    pub fn empty(&mut self) {
        self.heads.clear();
        self.clear();
    }

    /// Bytes that it keeps.
    pub fn kept_bytes(&self) -> usize {
        size_of::<Head>() * self.heads.capacity()
            + size_of::<i32>() * self.indices.capacity()
            + size_of::<u64>() * self.counts.capacity()
    }

    /// Forgets what was written, before a tick is; memory stays.
    pub(crate) fn clear(&mut self) {
        self.heads.fill(Head::default());
        self.indices.clear();
        self.counts.clear();
    }

    /// Lets a series begin anew.
    pub(crate) fn reset(&mut self, row: usize) {
        if let Some(head) = self.heads.get_mut(row) {
            *head = Head::default();
        }
    }

    /// Lets some series begin.
    pub(crate) fn begin(&mut self, rows: Range<usize>) {
        if let Some(heads) = self.heads.get_mut(rows) {
            heads.fill(Head::default());
        }
    }

    /// Takes some series of another column of the same layout, the first into row `to`.
    pub(crate) fn copy_rows(&mut self, to: usize, other: &Self, rows: &Range<usize>) {
        if self.heads.is_empty() {
            return;
        }
        for (to, &head) in (to..).zip(&other.heads[rows.clone()]) {
            self.take(to, head, other);
        }
    }

    /// Takes the buckets of a series of another column.
    fn take(&mut self, row: usize, head: Head, other: &Self) {
        let cells = head.start as usize..(head.start + head.len) as usize;
        self.heads[row] = Head {
            start: self.indices.len() as u32,
            ..head
        };
        self.indices
            .extend_from_slice(&other.indices[cells.clone()]);
        self.counts.extend_from_slice(&other.counts[cells]);
    }

    /// Takes the buckets of a series at the tick before and adds this tick's: cells with
    /// their counts, in increasing order and each once.
    pub(crate) fn advance_row(
        &mut self,
        before: &Self,
        row: usize,
        layout: &NativeLayout,
        cells: &NativeCells,
        added: &[(u32, u64)],
    ) {
        let mut head = before.heads[row];
        let old = head.start as usize..(head.start + head.len) as usize;
        let (old_indices, old_counts) = (&before.indices[old.clone()], &before.counts[old]);
        let start = self.indices.len();
        let mut at = 0;
        for &(cell, count) in added {
            let Some(fine) = cells.bucket(cell as usize) else {
                head.zeros = head.zeros.saturating_add(count);
                continue;
            };
            let index = coarser(fine, head.steps.into());
            let until = at + old_indices[at..].partition_point(|&old| old < index);
            self.indices.extend_from_slice(&old_indices[at..until]);
            self.counts.extend_from_slice(&old_counts[at..until]);
            at = until;
            if old_indices.get(at) == Some(&index) {
                self.indices.push(index);
                self.counts.push(old_counts[at].saturating_add(count));
                at += 1;
            } else if self.indices[start..].last() == Some(&index) {
                // At a lower schema several cells are one bucket.
                let last = self.counts.len() - 1;
                self.counts[last] = self.counts[last].saturating_add(count);
            } else {
                self.indices.push(index);
                self.counts.push(count);
            }
        }
        self.indices.extend_from_slice(&old_indices[at..]);
        self.counts.extend_from_slice(&old_counts[at..]);
        while self.indices.len() - start > layout.buckets_max
            && layout.schema - head.steps as i8 > SCHEMA_MIN
        {
            head.steps += 1;
            self.merge(start);
        }
        head.start = start as u32;
        head.len = (self.indices.len() - start) as u32;
        self.heads[row] = head;
    }

    /// Merges the buckets from a cell on: pairs of neighbours become one.
    fn merge(&mut self, start: usize) {
        let mut kept = start;
        for at in start..self.indices.len() {
            let (index, count) = (coarser(self.indices[at], 1), self.counts[at]);
            if kept > start && self.indices[kept - 1] == index {
                self.counts[kept - 1] = self.counts[kept - 1].saturating_add(count);
            } else {
                (self.indices[kept], self.counts[kept]) = (index, count);
                kept += 1;
            }
        }
        self.indices.truncate(kept);
        self.counts.truncate(kept);
    }
}

/// Equal where every series has the same buckets, wherever in the column they are.
impl PartialEq for NativeColumn {
    fn eq(&self, other: &Self) -> bool {
        let cells = |head: &Head| head.start as usize..(head.start + head.len) as usize;
        self.heads.len() == other.heads.len()
            && self.heads.iter().zip(&other.heads).all(|(one, two)| {
                (one.steps, one.zeros) == (two.steps, two.zeros)
                    && self.indices[cells(one)] == other.indices[cells(two)]
                    && self.counts[cells(one)] == other.counts[cells(two)]
            })
    }
}

impl NativeRow<'_> {
    /// All observations.
    pub fn count(&self) -> u64 {
        let buckets = self
            .counts
            .iter()
            .fold(0u64, |all, &count| all.saturating_add(count));
        buckets.saturating_add(self.zeros)
    }

    /// Fills `growth` with what was added since an earlier tick; `false` where something
    /// became less, because the series began anew in between.
    pub fn grown_since(&self, before: &NativeRow<'_>, growth: &mut NativeGrowth) -> bool {
        growth.schema = self.schema;
        growth.zeros = self.zeros.saturating_sub(before.zeros);
        growth.indices.clear();
        growth.counts.clear();
        self.each_grown(before, |index, count| {
            growth.indices.push(index);
            growth.counts.push(count);
        })
    }

    /// Whether nothing became less since an earlier tick.
    pub fn grows_from(&self, before: &NativeRow<'_>) -> bool {
        self.each_grown(before, |_, _| ())
    }

    /// Calls `each` with the buckets that gained something since an earlier tick, and how
    /// much, until something became less.
    fn each_grown(&self, before: &NativeRow<'_>, mut each: impl FnMut(i32, u64)) -> bool {
        let Ok(steps) = u32::try_from(i32::from(before.schema) - i32::from(self.schema)) else {
            return false;
        };
        if self.zeros < before.zeros {
            return false;
        }
        let mut olds = before.indices.iter().zip(before.counts).peekable();
        for (&index, &count) in self.indices.iter().zip(self.counts) {
            let mut left = count;
            while let Some((_, &old)) = olds.next_if(|&(&old, _)| coarser(old, steps) == index) {
                let Some(rest) = left.checked_sub(old) else {
                    return false;
                };
                left = rest;
            }
            if left > 0 {
                each(index, left);
            }
        }
        olds.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Occupied buckets at the finest schema at which they are few enough.
    fn merged(observed: &BTreeMap<i32, u64>, layout: &NativeLayout) -> (i8, BTreeMap<i32, u64>) {
        let mut schema = layout.schema;
        loop {
            let mut counts = BTreeMap::new();
            for (&index, count) in observed {
                let steps = (layout.schema - schema) as u32;
                *counts.entry(coarser(index, steps)).or_default() += count;
            }
            if counts.len() <= layout.buckets_max || schema == SCHEMA_MIN {
                return (schema, counts);
            }
            schema -= 1;
        }
    }

    proptest! {
        /// Whatever comes in whatever order, buckets are those of the finest schema at which
        /// they are few enough, and what was added since an earlier tick is what was added.
        #[test]
        fn buckets_are_the_finest_that_are_few_enough(
            schema in SCHEMA_MIN..=8i8,
            buckets_max in 1..20usize,
            first in -300..300i32,
            has_zeros: bool,
            ticks in prop::collection::vec(
                prop::collection::btree_map(0..200u32, 1..4u64, 0..12), 1..12),
        ) {
            let layout = NativeLayout { schema, buckets_max, zero_threshold: 0.0 };
            let cells = NativeCells { thresholds: Vec::new(), first, has_zeros };
            let mut column = NativeColumn::zeroed(Some(&layout), 2);
            let mut observed = BTreeMap::new();
            let mut zeros = 0;
            let start = column.clone();
            for added in &ticks {
                let added: Vec<(u32, u64)> = added.iter().map(|(&cell, &n)| (cell, n)).collect();
                let mut now = NativeColumn::zeroed(Some(&layout), 2);
                // The other row comes first, and stays empty.
                now.advance_row(&column, 1, &layout, &cells, &[]);
                now.advance_row(&column, 0, &layout, &cells, &added);
                for &(cell, count) in &added {
                    match cells.bucket(cell as usize) {
                        Some(index) => *observed.entry(index).or_default() += count,
                        None => zeros += count,
                    }
                }
                let row = now.row(0, &layout);
                let found: BTreeMap<i32, u64> =
                    row.indices.iter().copied().zip(row.counts.iter().copied()).collect();
                // Merging never goes back, and needs not.
                let (schema, expected) = merged(&observed, &layout);
                prop_assert_eq!((row.schema, row.zeros, &found), (schema, zeros, &expected));
                prop_assert!(row.indices.is_sorted_by(|a, b| a < b));
                prop_assert_eq!(now.row(1, &layout).count(), 0);
                let mut growth = NativeGrowth::default();
                prop_assert!(row.grown_since(&column.row(0, &layout), &mut growth));
                prop_assert!(row.grows_from(&column.row(0, &layout)));
                let all = growth.counts.iter().sum::<u64>() + growth.zeros;
                prop_assert_eq!(column.row(0, &layout).grows_from(&row), all == 0);
                prop_assert_eq!(all, added.iter().map(|(_, count)| count).sum::<u64>());
                prop_assert!(row.grown_since(&start.row(0, &layout), &mut growth));
                prop_assert_eq!((&growth.indices[..], &growth.counts[..]), (row.indices, row.counts));
                column = now;
            }
        }
    }
}
