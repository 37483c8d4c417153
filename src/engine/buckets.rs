//! Counts in exponential buckets: where those of each series lie, and how they
//! move.
//!
//! Without spikes every observation falls into the buckets of the family's layout.
//! A spike of values carries observations beyond it. Then a series' run of buckets
//! moves, and where it does not span all that the series holds, neighbouring
//! buckets are merged, which lowers the scale, as the SDKs of OpenTelemetry do:
//! the scale is always the finest, up to the layout's, at which everything observed
//! since the series began fits. What was merged stays so until the series begins
//! anew.

use std::ops::Range;

use crate::model::exponential::ExponentialLayout;

/// The exponential buckets of a block's series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExponentialColumn {
    /// Series-major: for each series its counts in neighbouring buckets, each on its
    /// own. The layout's, or where series have places of their own as many as a
    /// point may have.
    pub counts: Vec<u64>,
    /// By series where the counts of each begin: with the layout where it has no
    /// place of its own. Empty where none has.
    pub places: Vec<Option<Place>>,
}

/// Where a series' counts begin, and what is in none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The base of the buckets is `2^(2^-scale)`.
    pub scale: i32,
    /// Index of the first bucket.
    pub offset: i32,
    /// Observations that are 0, or nearer to it than normal numbers are.
    pub zeros: u64,
}

/// One series' buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExponentialRow<'a> {
    /// Where they are.
    pub place: Place,
    /// The counts from there on.
    pub counts: &'a [u64],
}

/// The buckets that observed values times a factor fall into.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    /// The positions of draws that divide them.
    pub(crate) thresholds: Vec<u64>,
    /// Index of the first, at the layout's scale.
    offset: i32,
    /// Whether a cell before it takes what is too small for any bucket.
    has_zeros: bool,
    /// Whether it is the layout that they lie in.
    is_in_layout: bool,
}

impl Cells {
    /// The layout's own.
    pub(crate) fn of(layout: &ExponentialLayout, position: impl Fn(f64) -> u64) -> Self {
        Self {
            thresholds: layout.inner_bounds().map(position).collect(),
            offset: layout.offset,
            has_zeros: false,
            is_in_layout: true,
        }
    }

    /// Those of values from `min` to `max`; `position` tells below which position
    /// draws give values up to a bound.
    pub(crate) fn set(
        &mut self,
        layout: &ExponentialLayout,
        (min, max): (f64, f64),
        position: impl Fn(f64) -> u64,
    ) {
        self.thresholds.clear();
        let (first, last) = layout.indices(min, max);
        self.offset = first;
        self.has_zeros = max == 0.0;
        self.is_in_layout = false;
        if self.has_zeros {
            return;
        }
        let zeros = position(layout.lower_bound(first));
        self.has_zeros = zeros > 0;
        self.thresholds.extend(self.has_zeros.then_some(zeros));
        let inner = first + 1..=last;
        let inner = inner.map(|index| position(layout.lower_bound(index)));
        self.thresholds.extend(inner);
        let own = layout.offset..layout.offset + layout.len as i32;
        self.is_in_layout = !self.has_zeros && own.contains(&first) && own.contains(&last);
    }

    /// Whether counts may need another place than the layout.
    pub(crate) fn may_move(&self) -> bool {
        !self.is_in_layout
    }
}

impl Place {
    fn of(layout: &ExponentialLayout) -> Self {
        Self {
            scale: layout.scale,
            offset: layout.offset,
            zeros: 0,
        }
    }
}

impl ExponentialColumn {
    /// No counts of `series` series.
    pub(crate) fn zeroed(layout: Option<&ExponentialLayout>, series: usize) -> Self {
        Self {
            counts: vec![0; series * layout.map_or(0, |layout| layout.len)],
            places: Vec::new(),
        }
    }

    /// The buckets of a series of a block of `series`, which have `layout`.
    #[inline]
    pub fn row(&self, row: usize, series: usize, layout: &ExponentialLayout) -> ExponentialRow<'_> {
        let width = self.counts.len() / series;
        let counts = &self.counts[row * width..][..width];
        match self.places.get(row).copied().flatten() {
            Some(place) => ExponentialRow { place, counts },
            None => ExponentialRow {
                place: Place::of(layout),
                counts: &counts[..layout.len],
            },
        }
    }

    /// Lets a series of a block of `series` begin anew.
    pub(crate) fn reset(&mut self, row: usize, series: usize) {
        self.begin(row..row + 1, series);
    }

    /// Lets some series begin.
    pub(crate) fn begin(&mut self, rows: Range<usize>, series: usize) {
        let width = self.counts.len() / series;
        self.counts[rows.start * width..rows.end * width].fill(0);
        if let Some(places) = self.places.get_mut(rows) {
            places.fill(None);
        }
    }

    /// Takes some series of another block of the same layout, the first into row
    /// `to`; `series` tells how many there are in this block and in the other.
    pub(crate) fn copy_rows(
        &mut self,
        to: usize,
        other: &Self,
        rows: &Range<usize>,
        series: (usize, usize),
    ) {
        let other_width = other.counts.len() / series.1;
        if !other.places.is_empty() && self.places.is_empty() {
            self.widen(series.0, other_width);
        }
        for (to, row) in (to..).zip(rows.clone()) {
            self.take((to, series.0), other, (row, series.1));
        }
    }

    /// Gives each series so many buckets, and a place of its own if it needs one.
    fn widen(&mut self, series: usize, width: usize) {
        let narrow = std::mem::take(&mut self.counts);
        let narrow_width = narrow.len() / series;
        self.counts = vec![0; series * width];
        self.places = vec![None; series];
        if narrow_width > 0 {
            let rows = narrow.chunks_exact(narrow_width);
            for (row, counts) in rows.zip(self.counts.chunks_exact_mut(width)) {
                counts[..narrow_width].copy_from_slice(row);
            }
        }
    }

    /// Gets room for a tick that follows `before`: for series that have moved, and,
    /// with `may_move`, for those that will.
    pub(crate) fn make_room(
        &mut self,
        before: &Self,
        series: usize,
        layout: &ExponentialLayout,
        may_move: bool,
    ) {
        let is_spread = may_move || before.places.iter().any(Option::is_some);
        if is_spread {
            self.places.resize(series, None);
            self.counts.resize(series * layout.len_max, 0);
        } else if !self.places.is_empty() {
            // All are back in their places.
            self.places = Vec::new();
            self.counts = vec![0; series * layout.len];
        }
    }

    /// Whether all series of this and of another column are in the layout.
    pub(crate) fn is_plain(&self, before: &Self) -> bool {
        self.places.is_empty() && before.places.is_empty()
    }

    /// Takes the counts of a series of another block, or of the tick before; each row
    /// is told with the number of series in its block.
    fn take(&mut self, (row, series): (usize, usize), other: &Self, from: (usize, usize)) {
        let (width, other_width) = (self.counts.len() / series, other.counts.len() / from.1);
        let kept = width.min(other_width);
        let counts = &mut self.counts[row * width..][..width];
        let (same, rest) = counts.split_at_mut(kept);
        same.copy_from_slice(&other.counts[from.0 * other_width..][..kept]);
        rest.fill(0);
        if let Some(place) = self.places.get_mut(row) {
            *place = other.places.get(from.0).copied().flatten();
        }
    }

    /// Takes the counts of a series at the tick before and adds this tick's.
    pub(crate) fn advance_row(
        &mut self,
        before: &Self,
        (row, series): (usize, usize),
        layout: &ExponentialLayout,
        cells: &Cells,
        added: &[u64],
    ) {
        self.take((row, series), before, (row, series));
        let (zeros, added) = if cells.has_zeros {
            (added[0], &added[1..])
        } else {
            (0, added)
        };
        if zeros > 0 {
            let place = self.places[row].get_or_insert(Place::of(layout));
            place.zeros = place.zeros.saturating_add(zeros);
        }
        let Some(first) = added.iter().position(|&count| count > 0) else {
            return;
        };
        let last = added.iter().rposition(|&count| count > 0).unwrap_or(first);
        let added = &added[first..=last];
        self.add(row, series, layout, cells.offset + first as i32, added);
    }

    /// Adds counts from a bucket at the layout's scale on, none of them empty at
    /// the ends.
    fn add(
        &mut self,
        row: usize,
        series: usize,
        layout: &ExponentialLayout,
        from: i32,
        added: &[u64],
    ) {
        let to = from + added.len() as i32 - 1;
        let width = self.counts.len() / series;
        let counts = &mut self.counts[row * width..][..width];
        let own = self.places.get(row).copied().flatten();
        let mut place = own.unwrap_or(Place::of(layout));
        let len = own.map_or(layout.len, |_| width) as i32;
        let coarser = layout.scale - place.scale;
        let (first, last) = (from >> coarser, to >> coarser);
        if first < place.offset || last >= place.offset + len {
            place = moved(counts, place, layout.scale, (from, to));
            self.places[row] = Some(place);
        }
        let coarser = layout.scale - place.scale;
        for (&count, index) in added.iter().zip(from..) {
            let cell = &mut counts[((index >> coarser) - place.offset) as usize];
            *cell = cell.saturating_add(count);
        }
    }
}

/// Moves and merges counts so that there is room for buckets `from` to `to` at
/// `scale`, which is not coarser than theirs.
fn moved(counts: &mut [u64], place: Place, scale: i32, (from, to): (i32, i32)) -> Place {
    let held: Vec<(i32, u64)> = counts
        .iter()
        .zip(place.offset..)
        .filter(|&(&count, _)| count > 0)
        .map(|(&count, index)| (index, count))
        .collect();
    // An empty run is as fine as it can be.
    let mut fitting = if held.is_empty() { scale } else { place.scale };
    let (first, last) = loop {
        let new = scale - fitting;
        let mut ends = (from >> new, to >> new);
        if let (Some(first), Some(last)) = (held.first(), held.last()) {
            let old = place.scale - fitting;
            ends = (ends.0.min(first.0 >> old), ends.1.max(last.0 >> old));
        }
        if ((ends.1 - ends.0) as usize) < counts.len() {
            break ends;
        }
        fitting -= 1;
    };
    // In the middle, so that the next ones need not move it.
    let spare = counts.len() as i32 - (last - first + 1);
    let offset = first - spare / 2;
    counts.fill(0);
    for (index, count) in held {
        let cell = &mut counts[((index >> (place.scale - fitting)) - offset) as usize];
        *cell = cell.saturating_add(count);
    }
    Place {
        scale: fitting,
        offset,
        ..place
    }
}

impl ExponentialRow<'_> {
    /// Whether both have the same buckets.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        (self.place.scale, self.place.offset, self.counts.len())
            == (other.place.scale, other.place.offset, other.counts.len())
    }

    /// Its counts less those of an earlier tick, in its own buckets; `None` where one
    /// would be negative, because the series began anew in between.
    pub(crate) fn minus(&self, before: &Self) -> Option<Vec<u64>> {
        let coarser = before.place.scale - self.place.scale;
        let is_coarser = (0..32).contains(&coarser);
        if !is_coarser || before.place.zeros > self.place.zeros {
            return None;
        }
        let mut counts = self.counts.to_vec();
        for (&count, index) in before.counts.iter().zip(before.place.offset..) {
            if count == 0 {
                continue;
            }
            let cell = usize::try_from((index >> coarser) - self.place.offset).ok()?;
            let cell = counts.get_mut(cell)?;
            *cell = cell.checked_sub(count)?;
        }
        Some(counts)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// The buckets that are not empty at the finest scale, up to `scale`, at which
    /// they fit.
    fn merged(observed: &[(i32, u64)], scale: i32, len_max: usize) -> (i32, BTreeMap<i32, u64>) {
        for coarser in 0..32 {
            let mut counts = BTreeMap::new();
            for (index, count) in observed {
                *counts.entry(index >> coarser).or_default() += count;
            }
            let ends = (counts.first_key_value(), counts.last_key_value());
            let span = |((first, _), (last, _)): ((&i32, &u64), (&i32, &u64))| last - first + 1;
            if ends.0.zip(ends.1).map_or(0, span) <= len_max as i32 {
                return (scale - coarser, counts);
            }
        }
        panic!("two buckets cover all of it")
    }

    proptest! {
        /// For all runs of counts, in whatever order they come, buckets are those
        /// of the finest scale at which all of them fit, and what is taken back is
        /// what was added since.
        #[test]
        fn buckets_are_the_finest_that_fit(
            layout in (1..20usize, 0..20usize, -500..500i32),
            runs in prop::collection::vec((-2000..2000i32, prop::collection::vec(0..3u64, 1..30)), 0..12),
        ) {
            let (len, more, offset) = layout;
            let layout = ExponentialLayout { scale: 3, offset, len, len_max: (len + more).max(2) };
            let mut column = ExponentialColumn::zeroed(Some(&layout), 1);
            let mut observed: Vec<(i32, u64)> = Vec::new();
            for (number, (from, added)) in runs.iter().enumerate() {
                // Some are ordinary.
                let from = if number % 3 == 0 { offset } else { *from };
                let added = if number % 3 == 0 { &added[..added.len().min(len)] } else { added };
                let added: Vec<u64> = added.iter().copied().take(layout.len_max).collect();
                let cells = Cells {
                    offset: from,
                    is_in_layout: number % 3 == 0,
                    ..Cells::default()
                };
                let mut now = ExponentialColumn::default();
                now.clone_from(&column);
                now.make_room(&column, 1, &layout, cells.may_move());
                now.advance_row(&column, (0, 1), &layout, &cells, &added);
                let zipped = added.iter().zip(from..);
                let new: Vec<_> = zipped.filter(|(count, _)| **count > 0).map(|(&count, index)| (index, count)).collect();
                observed.extend(&new);
                let row = now.row(0, 1, &layout);
                let counts: BTreeMap<i32, u64> = row.counts.iter().zip(row.place.offset..)
                    .filter(|(count, _)| **count > 0)
                    .map(|(&count, index)| (index, count))
                    .collect();
                let (scale, expected) = merged(&observed, layout.scale, layout.len_max);
                prop_assert_eq!(&counts, &expected);
                if !counts.is_empty() {
                    prop_assert_eq!(row.place.scale, scale);
                }
                let grown = row.minus(&column.row(0, 1, &layout)).expect("it grew");
                prop_assert_eq!(grown.iter().sum::<u64>(), new.iter().map(|(_, count)| count).sum::<u64>());
                column = now;
            }
        }
    }
}
