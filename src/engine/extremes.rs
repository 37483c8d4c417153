//! The smallest and the largest observation of histograms: since their series began,
//! and where deltas are counted also since the frames that these may be counted from.
//!
//! Counts do not tell them, so where they are asked for each tick finds its own: the
//! observations at both ends of its sample, times what spikes multiply them by.

use std::ops::Range;

/// The smallest and the largest of some observations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extremes {
    /// Above `max` where there is no observation.
    min: f64,
    max: f64,
}

impl Extremes {
    /// Those of no observation.
    pub const NONE: Self = Self {
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
    };

    /// Those of observations from `min` to `max`.
    pub fn of(min: f64, max: f64) -> Self {
        Self { min, max }
    }

    /// The smallest and the largest, if there is an observation.
    #[inline]
    pub fn ends(&self) -> Option<(f64, f64)> {
        (self.min <= self.max).then_some((self.min, self.max))
    }

    /// Those of both together.
    #[inline]
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }
}

/// The extremes of a block's series, since each base of growth; without growth since
/// their beginning alone. Empty where nobody asks for them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ExtremesColumn {
    since: [Vec<Extremes>; 2],
}

impl ExtremesColumn {
    /// Of `series` series since so many bases.
    pub(crate) fn none(series: usize, bases: usize) -> Self {
        let column = |base| vec![Extremes::NONE; if base < bases { series } else { 0 }];
        Self {
            since: [column(0), column(1)],
        }
    }

    pub(crate) fn is_kept(&self) -> bool {
        !self.since[0].is_empty()
    }

    /// Those since a base, by its index.
    pub(crate) fn since(&self, base: usize) -> Option<&[Extremes]> {
        Some(&*self.since[base]).filter(|since| !since.is_empty())
    }

    /// Forgets what some series have observed.
    pub(crate) fn clear(&mut self, rows: Range<usize>) {
        for since in &mut self.since {
            if let Some(since) = since.get_mut(rows.clone()) {
                since.fill(Extremes::NONE);
            }
        }
    }

    /// Takes those of some rows of another block, the first of them now in row `to`.
    pub(crate) fn copy_rows(&mut self, to: usize, from: &Self, rows: &Range<usize>) {
        for (since, from) in self.since.iter_mut().zip(&from.since) {
            if !since.is_empty() && !from.is_empty() {
                since[to..to + rows.len()].copy_from_slice(&from[rows.clone()]);
            }
        }
    }

    /// Goes on from the tick before, or anew where nothing is `carried`, with what some
    /// series have observed at this one.
    pub(crate) fn advance(
        &mut self,
        before: &Self,
        carried: [Option<usize>; 2],
        rows: Range<usize>,
        observed: &[Extremes],
    ) {
        let kept = self.since.iter_mut().filter(|since| !since.is_empty());
        for (since, from) in kept.zip(carried) {
            let since = &mut since[rows.clone()];
            let Some(from) = from else {
                since.copy_from_slice(observed);
                continue;
            };
            let before = &before.since[from][rows.clone()];
            for ((since, &before), &observed) in since.iter_mut().zip(before).zip(observed) {
                *since = before.and(observed);
            }
        }
    }

    /// Given ones, since every base.
    #[cfg(test)]
    pub(crate) fn of(since: Vec<Extremes>) -> Self {
        Self {
            since: [since.clone(), since],
        }
    }
}
