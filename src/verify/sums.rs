//! Counts and sums that a backend should find: over all series of a name at a
//! tick, or by one of their labels. Frames in, [`Totals`] out.

use std::collections::HashMap;

use super::naming::{self, Names};
use super::selection::{Rows, for_each_series};
use crate::engine::Frame;

/// Numbers of samples, and their sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Totals {
    /// Samples, NaN among them.
    pub(super) count: u64,
    /// Samples that are NaN.
    pub(super) nan: u64,
    sum: f64,
    /// What was rounded off `sum`.
    lost: f64,
    /// Sum of absolute values.
    pub(super) magnitude: f64,
    fractional: bool,
}

impl Totals {
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1;
        if value.is_nan() {
            self.nan += 1;
            return;
        }
        // Neumaier's summation: the error does not grow with the count.
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() {
            (self.sum - sum) + value
        } else {
            (value - sum) + self.sum
        };
        self.sum = sum;
        self.magnitude += value.abs();
        self.fractional |= value.trunc() != value;
    }

    /// The sum of what is not NaN.
    pub(super) fn sum(&self) -> f64 {
        if self.sum.is_finite() {
            self.sum + self.lost
        } else {
            self.sum
        }
    }

    /// How far a backend's sum may be off: none for integers below 2^53, else
    /// what adding in any order can round off, and what `tolerance` allows of
    /// each value. `None` where infinities leave no sum to compare.
    pub(super) fn error_max(&self, tolerance: f64) -> Option<f64> {
        const INTEGERS_MAX: f64 = 9_007_199_254_740_992.0;
        if !self.magnitude.is_finite() {
            return None;
        }
        let off = tolerance * self.magnitude;
        if !self.fractional && self.magnitude < INTEGERS_MAX {
            return Some(off);
        }
        let numbers = (self.count - self.nan) as f64;
        Some(numbers * f64::EPSILON * self.magnitude + off)
    }
}

/// Totals of one name of a family at a tick.
pub(super) fn totals(
    frame: &Frame,
    family: usize,
    names: &Names,
    name: usize,
    rows: &Rows,
) -> Totals {
    let mut totals = Totals::default();
    let slots = &names.slots[names.slots_of(name)];
    let catalog = frame.catalog();
    if matches!(rows, Rows::All) {
        for place in catalog.family_blocks(family) {
            let (_, block, columns) = frame.block(place);
            let (gaps, created) = (frame.gaps(place), frame.created(place));
            for slot in slots {
                for row in (0..block.len).filter(|&row| !gaps.contains(row)) {
                    totals.add(naming::value(slot, columns, created, row));
                }
            }
        }
        return totals;
    }
    for_each_series(frame, family, rows, |_, place, row| {
        if !frame.gaps(place).contains(row) {
            let columns = frame.block(place).2;
            for slot in slots {
                totals.add(naming::value(slot, columns, frame.created(place), row));
            }
        }
    });
    totals
}

/// Totals by the values of one label, or by slot.
#[derive(Debug, Default)]
pub(super) struct Groups<'a> {
    pub(super) totals: Vec<Totals>,
    /// The texts of the label, where there is no list of them: by number of the group, ...
    pub(super) texts: Vec<&'a str>,
    /// ... and the other way round.
    pub(super) of_text: HashMap<&'a str, usize>,
}

impl<'a> Groups<'a> {
    /// The group of a text.
    fn of(&mut self, text: &'a [u8]) -> usize {
        let text = std::str::from_utf8(text).expect("label values are text");
        *self.of_text.entry(text).or_insert_with(|| {
            self.texts.push(text);
            self.totals.push(Totals::default());
            self.texts.len() - 1
        })
    }
}

/// Totals by value of one label (a dimension), or by slot.
pub(super) fn totals_by<'a>(
    frame: &'a Frame,
    (family, names, name): (usize, &Names, usize),
    rows: &Rows,
    only_slot: Option<usize>,
    dimension: Option<usize>,
) -> Groups<'a> {
    let space = frame.population(family).space();
    let slots = names.slots_of(name);
    let groups = dimension.map_or(slots.len(), |d| space.dimensions()[d].len());
    let mut groups = Groups {
        totals: vec![Totals::default(); groups],
        ..Groups::default()
    };
    let is_listed = !groups.totals.is_empty();
    for_each_series(frame, family, rows, |cursor, place, row| {
        if frame.gaps(place).contains(row) {
            return;
        }
        let columns = frame.block(place).2;
        let of_label = dimension.map(|dimension| {
            if is_listed {
                cursor.digits()[dimension] as usize
            } else {
                groups.of(cursor.value(dimension))
            }
        });
        for slot in slots.clone() {
            if only_slot.is_none_or(|only| only == slot) {
                let group = of_label.unwrap_or(slot - slots.start);
                let created = frame.created(place);
                let slot = &names.slots[slot];
                groups.totals[group].add(naming::value(slot, columns, created, row));
            }
        }
    });
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_integers_are_exact_and_others_have_a_bound() {
        let mut totals = Totals::default();
        for value in [1.0, 2.0, 4_503_599_627_370_496.0] {
            totals.add(value);
        }
        assert_eq!(totals.error_max(0.0), Some(0.0));
        assert_eq!(totals.sum(), 4_503_599_627_370_499.0);
        totals.add(f64::NAN);
        assert_eq!((totals.count, totals.nan), (4, 1));
        assert_eq!(totals.sum(), 4_503_599_627_370_499.0);
        totals.add(0.5);
        let error_max = totals.error_max(0.0).unwrap();
        assert!((3.9..4.1).contains(&error_max), "{error_max}");
        totals.add(f64::INFINITY);
        assert_eq!(totals.error_max(0.0), None);
        assert_eq!(totals.sum(), f64::INFINITY);
    }

    #[test]
    fn small_values_do_not_get_lost_in_large_sums() {
        let mut totals = Totals::default();
        totals.add(1e100);
        totals.add(1.0);
        totals.add(-1e100);
        assert_eq!(totals.sum(), 1.0);
    }
}
