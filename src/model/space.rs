//! A metric's series as a mixed-radix space over its label values.
//!
//! Labels stand in name order, the last one fastest, whatever their order in
//! the file, so that the same label sets always come in the same order. A
//! series is a position in the space; a capped space also keeps a sorted list
//! of the positions it selects (4 bytes each) and their keys (8 bytes each),
//! shared by all metrics with the same labels and cap. No series has a string or
//! a map of its own.

mod find;
mod matching;
mod selection;
mod size;

use std::fmt;
use std::ops::Range;

use crate::config::{Label, Sampling};
use crate::model::identity;
use crate::model::labels::{Arena, Dimension};
use crate::random::wide;
pub use find::{LabelFilter, passes};
pub use matching::Matching;
use selection::first_n_counts;
pub use size::SpaceSize;

/// Combinations that can be addressed; sampling by hash visits all of them.
pub const COMBINATIONS_MAX: u64 = 1 << 32;
/// Values of one label that can be in use.
pub const LABEL_VALUES_MAX: u64 = 100_000_000;

/// The label sets of a metric.
#[derive(Debug)]
pub struct Space {
    dimensions: Vec<Dimension>,
    selection: Option<Selection>,
    series_count: usize,
    /// Where several short labels at the end together make a run worth looping over.
    tail: Option<Tail>,
}

/// The last labels of a space, summed together.
#[derive(Debug)]
struct Tail {
    /// The first of the labels.
    start: usize,
    /// The sum of pair hashes of each combination of their values.
    sums: Vec<u64>,
}

/// The selected part of a capped space, in increasing order.
#[derive(Debug)]
struct Selection {
    positions: Vec<u32>,
    label_set_keys: Vec<u64>,
}

/// Why a space cannot be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpaceError {
    /// More series than [`COMBINATIONS_MAX`].
    TooManySeries(u128),
    /// More combinations to sample by hash than [`COMBINATIONS_MAX`].
    TooManyCombinations(u128),
    /// A label by name, and how many values are in use, more than
    /// [`LABEL_VALUES_MAX`].
    TooManyValues(String, u64),
}

impl fmt::Display for SpaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManySeries(count) => write!(
                f,
                "{count} series are more than the {COMBINATIONS_MAX} that can be addressed; set series_cap"
            ),
            Self::TooManyCombinations(count) => write!(
                f,
                "{count} combinations are too many to sample by hash (at most {COMBINATIONS_MAX}); \
                 shorten a range or use sampling_strategy: first_n"
            ),
            Self::TooManyValues(label, count) => write!(
                f,
                "label {label} would need {count} values (at most {LABEL_VALUES_MAX}); shorten its range"
            ),
        }
    }
}

impl std::error::Error for SpaceError {}

impl Space {
    /// Builds the space of a metric's labels, given in file order.
    ///
    /// # Errors
    /// When it has more series or label values than can be addressed.
    pub fn new(
        labels: &[Label],
        series_cap: Option<u64>,
        sampling: Sampling,
    ) -> Result<Self, SpaceError> {
        let counts: Vec<u64> = labels.iter().map(|l| l.values.count()).collect();
        let product = counts
            .iter()
            .fold(1u128, |all, &n| all.saturating_mul(u128::from(n)));
        match series_cap.filter(|&cap| u128::from(cap) < product) {
            None => Self::whole(labels, &counts, product),
            Some(cap) if sampling == Sampling::FirstN => Self::first_n(labels, &counts, cap),
            Some(cap) => Self::sampled(labels, &counts, product, cap),
        }
    }

    /// A space from dimensions that are already built, all label sets selected.
    pub fn from_dimensions(mut dimensions: Vec<Dimension>) -> Self {
        dimensions.sort_by(|a, b| a.name.cmp(&b.name));
        let series_count = dimensions.iter().map(Dimension::len).product();
        Self {
            tail: Tail::of(&dimensions),
            dimensions,
            selection: None,
            series_count,
        }
    }

    /// Number of selected series.
    pub fn series_count(&self) -> usize {
        self.series_count
    }

    /// The labels in name order.
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// A cursor on `series`, to read label values from.
    pub fn cursor(&self, series: usize) -> Cursor<'_> {
        let mut cursor = Cursor {
            space: self,
            series,
            digits: vec![0; self.dimensions.len()],
        };
        cursor.seek(series);
        cursor
    }

    /// The label-set keys of a range of series; computed into `scratch`
    /// unless they are stored.
    pub fn label_set_keys<'a>(
        &'a self,
        series: Range<usize>,
        scratch: &'a mut Vec<u64>,
    ) -> &'a [u64] {
        if let Some(selection) = &self.selection {
            return &selection.label_set_keys[series];
        }
        scratch.clear();
        let Some((last, leading)) = self.dimensions.split_last() else {
            scratch.resize(series.len(), identity::label_set_key(0));
            return scratch;
        };
        // Sums first, in runs along the last labels, then all keys at once.
        let (tail, leading) = match &self.tail {
            Some(tail) => (&tail.sums, &leading[..tail.start]),
            None => (&last.pair_hashes, leading),
        };
        let (middle, leading) = match leading.split_last() {
            Some((middle, leading)) => (middle.pair_hashes.as_slice(), leading),
            None => (&[0][..], leading),
        };
        let (mut at, mut from) = (series.start / tail.len(), series.start % tail.len());
        scratch.reserve(series.len());
        while scratch.len() < series.len() {
            let sum = pair_hash_sum(leading, at / middle.len());
            for hash in &middle[at % middle.len()..] {
                let sum = sum.wrapping_add(*hash);
                let to = tail.len().min(from + series.len() - scratch.len());
                scratch.extend(tail[from..to].iter().map(|&hash| sum.wrapping_add(hash)));
                from = 0;
                at += 1;
                if scratch.len() == series.len() {
                    break;
                }
            }
        }
        wide::mix_each(scratch, 0);
        scratch
    }

    /// Bytes of a selected series: its position and its key.
    const SELECTED_BYTES: usize = size_of::<u32>() + size_of::<u64>();

    /// Bytes of a value of a label beside its text.
    const fn value_bytes(is_capped: bool) -> usize {
        Arena::ENTRY_BYTES + if is_capped { 0 } else { size_of::<u64>() }
    }

    /// Bytes held by labels and selection.
    pub fn memory_bytes(&self) -> usize {
        let labels: usize = self
            .dimensions
            .iter()
            .map(|d| d.values.memory_bytes() + d.pair_hashes.capacity() * 8)
            .sum();
        labels
            + self.selection.as_ref().map_or(0, |s| {
                s.positions.capacity() * 4 + s.label_set_keys.capacity() * 8
            })
    }

    fn whole(labels: &[Label], counts: &[u64], product: u128) -> Result<Self, SpaceError> {
        if product > u128::from(COMBINATIONS_MAX) {
            return Err(SpaceError::TooManySeries(product));
        }
        Ok(Self::from_dimensions(expand(labels, counts)?))
    }
}

/// The sum of the pair hashes of the label set at a position in the product of
/// some dimensions.
#[inline]
fn pair_hash_sum(dimensions: &[Dimension], position: usize) -> u64 {
    let (mut sum, mut rest) = (0u64, position);
    for dimension in dimensions.iter().rev() {
        sum = sum.wrapping_add(dimension.pair_hashes[rest % dimension.len()]);
        rest /= dimension.len();
    }
    sum
}

impl Tail {
    /// Sums longer than this would outgrow the cache.
    const SUMS_MAX: usize = 1024;

    /// As many labels as fit; `None` where these would be fewer than two.
    fn of(dimensions: &[Dimension]) -> Option<Self> {
        let mut len = 1;
        let mut start = dimensions.len();
        while start > 0 && len * dimensions[start - 1].len() <= Self::SUMS_MAX {
            start -= 1;
            len *= dimensions[start].len();
        }
        if start + 1 >= dimensions.len() {
            return None;
        }
        let sums = dimensions[start..].iter().fold(vec![0u64], |sums, next| {
            let add = |&sum: &u64| next.pair_hashes.iter().map(move |h| h.wrapping_add(sum));
            sums.iter().flat_map(add).collect()
        });
        Some(Self { start, sums })
    }
}

/// Walks a space's series in order and tells their label values as digits: the
/// index of the value of each dimension.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    space: &'a Space,
    series: usize,
    digits: Vec<u32>,
}

impl<'a> Cursor<'a> {
    /// The series it stands on.
    pub fn series(&self) -> usize {
        self.series
    }

    /// The value index of each dimension.
    #[inline]
    pub fn digits(&self) -> &[u32] {
        &self.digits
    }

    /// The space it walks.
    pub fn space(&self) -> &'a Space {
        self.space
    }

    /// Moves to `series`; one past the end is allowed.
    pub fn seek(&mut self, series: usize) {
        self.series = series;
        if series < self.space.series_count {
            let position = match &self.space.selection {
                None => series,
                Some(selection) => selection.positions[series] as usize,
            };
            self.set_position(position);
        }
    }

    /// Moves to the next series; returns the first dimension whose value
    /// changed (the number of dimensions at the end of the space).
    #[inline]
    pub fn advance(&mut self) -> usize {
        self.series += 1;
        let Some(selection) = &self.space.selection else {
            return self.count_up();
        };
        if self.series >= self.space.series_count {
            return self.digits.len();
        }
        let step = selection.positions[self.series] - selection.positions[self.series - 1];
        if step == 1 {
            return self.count_up();
        }
        self.add(u64::from(step))
    }

    #[inline]
    fn count_up(&mut self) -> usize {
        for index in (0..self.digits.len()).rev() {
            self.digits[index] += 1;
            if (self.digits[index] as usize) < self.space.dimensions[index].len() {
                return index;
            }
            self.digits[index] = 0;
        }
        self.digits.len()
    }

    /// Adds to the position, carrying from the fastest label upwards.
    fn add(&mut self, mut carry: u64) -> usize {
        let mut first_changed = self.digits.len();
        for index in (0..self.digits.len()).rev() {
            if carry == 0 {
                break;
            }
            let radix = self.space.dimensions[index].len() as u64;
            let sum = u64::from(self.digits[index]) + carry;
            let digit = if sum < radix {
                carry = 0;
                sum
            } else if sum < 2 * radix {
                carry = 1;
                sum - radix
            } else {
                carry = sum / radix;
                sum % radix
            };
            if digit != u64::from(self.digits[index]) {
                first_changed = index;
            }
            self.digits[index] = digit as u32;
        }
        first_changed
    }

    fn set_position(&mut self, position: usize) {
        let mut rest = position;
        for (digit, dimension) in self.digits.iter_mut().zip(&self.space.dimensions).rev() {
            *digit = (rest % dimension.len()) as u32;
            rest /= dimension.len();
        }
    }
}

fn expand(labels: &[Label], counts: &[u64]) -> Result<Vec<Dimension>, SpaceError> {
    labels
        .iter()
        .zip(counts)
        .map(|(label, &count)| {
            check_values(label, count)?;
            Ok(Dimension::new(&label.name, &label.values, count as usize))
        })
        .collect()
}

/// Refuses a label of too many values.
fn check_values(label: &Label, count: u64) -> Result<(), SpaceError> {
    if count > LABEL_VALUES_MAX {
        return Err(SpaceError::TooManyValues(label.name.clone(), count));
    }
    Ok(())
}
