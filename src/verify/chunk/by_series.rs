//! The values of a chunk series by series: comparing walks along series.

use std::ops::Range;

use super::{Chunk, Sampled};

/// Values of some series of a chunk, series by series.
#[derive(Debug)]
pub(in crate::verify) struct BySeries {
    first: usize,
    slots: usize,
    scrapes: usize,
    values: Vec<f64>,
    present: Vec<bool>,
}

/// What is expected of one slot of a series, scrape by scrape.
#[derive(Debug, Clone, Copy)]
pub(in crate::verify) struct Expected<'a> {
    values: &'a [f64],
    present: &'a [bool],
}

impl Chunk {
    /// The values of neighbouring series, series by series instead of scrape by
    /// scrape: comparing walks along series.
    pub(in crate::verify) fn by_series(&self, sampled: &Sampled, series: Range<usize>) -> BySeries {
        let (slots, scrapes) = (sampled.names.slots.len(), self.scrapes.len());
        let mut by_series = BySeries {
            first: series.start,
            slots,
            scrapes,
            values: vec![0.0; series.len() * slots * scrapes],
            present: vec![false; series.len() * scrapes],
        };
        for (row, series) in sampled.series[series].iter().enumerate() {
            for (scrape, (values, present)) in self.starts.iter().enumerate().skip(series.from) {
                by_series.present[row * scrapes + scrape] = self.present[present + series.place];
                let values = &self.values[values + series.slot..][..slots];
                let kept = &mut by_series.values[row * slots * scrapes + scrape..];
                for (kept, value) in kept.iter_mut().step_by(scrapes).zip(values) {
                    *kept = *value;
                }
            }
        }
        by_series
    }
}

impl BySeries {
    /// The values of a slot of a series; `index` counts through
    /// [`Sampled::series`].
    pub(in crate::verify) fn of(&self, index: usize, slot: usize) -> Expected<'_> {
        let row = index - self.first;
        let at = (row * self.slots + slot) * self.scrapes;
        Expected {
            values: &self.values[at..at + self.scrapes],
            present: &self.present[row * self.scrapes..][..self.scrapes],
        }
    }
}

impl Expected<'_> {
    /// Its value at a scrape, if it has a point.
    #[inline]
    pub(in crate::verify) fn at(self, scrape: usize) -> Option<f64> {
        self.present[scrape].then(|| self.values[scrape])
    }
}
