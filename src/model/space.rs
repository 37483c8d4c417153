//! A metric's series as a mixed-radix space over its label values.
//!
//! Labels stand in name order, the last one fastest, whatever their order in
//! the file, so that the same label sets always come in the same order. A
//! series is a position in the space; a capped space also keeps a sorted list
//! of the positions it selects (4 bytes each) and their keys (8 bytes each),
//! shared by all metrics with the same labels and cap. No series has a string or
//! a map of its own.
//!
//! Where labels depend on one another, those that do make entities ([`Fleet`]), and the
//! others are free: a series is an entity and a position in the space of the free
//! labels, which count fastest. Entities' texts change from tick to tick, so they are
//! not here but in a snapshot ([`Entities`]) that the cursor is given.

mod find;
mod living;
mod matching;
mod selection;
mod size;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::config::{Label, Sampling};
use crate::model::fleet::{Entities, Fleet, FleetError};
use crate::model::labels::{Arena, Dimension};
use crate::random::wide;
pub use find::{LabelFilter, passes};
use living::{Living, LivingCursor};
pub use matching::Matching;
pub(in crate::model) use matching::NOWHERE;
use selection::first_n_counts;
pub use size::{LivingSize, SpaceSize};

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
    /// Where labels depend on one another.
    living: Option<Living>,
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
    /// Labels that depend on one another make no entities.
    Fleet(FleetError),
}

impl From<FleetError> for SpaceError {
    fn from(error: FleetError) -> Self {
        Self::Fleet(error)
    }
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
            Self::Fleet(error) => error.fmt(f),
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
        debug_assert!(labels.iter().all(Label::is_plain));
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

    /// The space of labels some of which make the entities of `fleet`, given in file
    /// order.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn living(labels: &[Label], fleet: Arc<Fleet>) -> Result<Self, SpaceError> {
        let given = |label: &&Label| fleet.label(&label.name).is_some();
        let is_free = |label: &&Label| !label.hidden && !given(label);
        let free: Vec<Label> = labels.iter().filter(is_free).cloned().collect();
        let free = Self::new(&free, None, Sampling::FirstN)?;
        let series = fleet.len() as u128 * free.series_count as u128;
        if series > u128::from(COMBINATIONS_MAX) {
            return Err(SpaceError::TooManySeries(series));
        }
        let of_fleet = fleet.labels().iter().map(|label| match label.values() {
            Some(values) => Dimension::clone(values),
            None => Dimension::without_list(label.name()),
        });
        let mut dimensions: Vec<Dimension> = of_fleet.chain(free.dimensions.clone()).collect();
        dimensions.sort_by(|a, b| a.name.cmp(&b.name));
        let names: Vec<&str> = dimensions.iter().map(|d| d.name.as_str()).collect();
        Ok(Self {
            living: Some(Living::new(fleet, free, &names)),
            dimensions,
            selection: None,
            series_count: series as usize,
            tail: None,
        })
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
            living: None,
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

    /// What makes its entities, where labels depend on one another.
    pub fn fleet(&self) -> Option<&Arc<Fleet>> {
        self.living.as_ref().map(Living::fleet)
    }

    /// Series of each of its entities; 1 without a fleet.
    #[inline]
    pub fn entity_series(&self) -> usize {
        self.living.as_ref().map_or(1, Living::free_count)
    }

    /// No text of an entity is longer in bytes as the value of a dimension without list.
    pub fn entity_text_bytes_max(&self, dimension: usize) -> usize {
        let living = self.living.as_ref();
        living.map_or(0, |living| living.text_bytes_max(dimension))
    }

    /// Whether texts of entities may have a byte such as `is`, as above.
    pub fn entity_text_has(&self, dimension: usize, is: impl Fn(u8) -> bool) -> bool {
        let living = self.living.as_ref();
        living.is_some_and(|living| living.text_may_have(dimension, is))
    }

    /// A cursor on `series`, to read label values from; `entities` are those of the
    /// space's fleet, if it has one.
    pub(super) fn cursor_in<'a>(
        &'a self,
        series: usize,
        entities: Option<&'a Entities>,
    ) -> Cursor<'a> {
        let mut cursor = Cursor {
            space: self,
            series,
            digits: vec![0; self.dimensions.len()],
            living: self.living_with(entities).map(LivingCursor::new),
        };
        cursor.seek(series);
        cursor
    }

    /// The same of a space without a fleet.
    pub fn cursor(&self, series: usize) -> Cursor<'_> {
        self.cursor_in(series, None)
    }

    /// # Panics
    /// Where there is a fleet and no snapshot of it, or the other way round.
    fn living_with<'a>(
        &'a self,
        entities: Option<&'a Entities>,
    ) -> Option<(&'a Living, &'a Entities)> {
        assert_eq!(self.living.is_some(), entities.is_some());
        self.living.as_ref().zip(entities)
    }

    /// The label-set keys of a range of series; computed into `scratch`
    /// unless they are stored.
    pub fn label_set_keys<'a>(
        &'a self,
        series: Range<usize>,
        scratch: &'a mut Vec<u64>,
    ) -> &'a [u64] {
        self.label_set_keys_in(series, None, scratch)
    }

    /// The same with the entities of the space's fleet, if it has one.
    pub(super) fn label_set_keys_in<'a>(
        &'a self,
        series: Range<usize>,
        entities: Option<&Entities>,
        scratch: &'a mut Vec<u64>,
    ) -> &'a [u64] {
        if let Some(selection) = &self.selection {
            return &selection.label_set_keys[series];
        }
        scratch.clear();
        scratch.reserve(series.len());
        match self.living_with(entities) {
            None => self.add_pair_hash_sums(series, 0, scratch),
            Some((living, entities)) => living.add_pair_hash_sums(series, entities, scratch),
        }
        wide::mix_each(scratch, 0);
        scratch
    }

    /// Appends the sums of the pair hashes of a range of series of a space without
    /// fleet and selection, each with `more` added.
    fn add_pair_hash_sums(&self, series: Range<usize>, more: u64, sums: &mut Vec<u64>) {
        let end = sums.len() + series.len();
        let Some((last, leading)) = self.dimensions.split_last() else {
            sums.resize(end, more);
            return;
        };
        // In runs along the last labels.
        let (tail, leading) = match &self.tail {
            Some(tail) => (&tail.sums, &leading[..tail.start]),
            None => (&last.pair_hashes, leading),
        };
        let (middle, leading) = match leading.split_last() {
            Some((middle, leading)) => (middle.pair_hashes.as_slice(), leading),
            None => (&[0][..], leading),
        };
        let (mut at, mut from) = (series.start / tail.len(), series.start % tail.len());
        while sums.len() < end {
            let sum = pair_hash_sum(leading, at / middle.len()).wrapping_add(more);
            for hash in &middle[at % middle.len()..] {
                let sum = sum.wrapping_add(*hash);
                let to = tail.len().min(from + end - sums.len());
                sums.extend(tail[from..to].iter().map(|&hash| sum.wrapping_add(hash)));
                from = 0;
                at += 1;
                if sums.len() == end {
                    break;
                }
            }
        }
    }

    /// Bytes of a selected series: its position and its key.
    const SELECTED_BYTES: usize = size_of::<u32>() + size_of::<u64>();

    /// Bytes of a value of a label beside its text.
    const fn value_bytes(is_capped: bool) -> usize {
        Arena::ENTRY_BYTES + if is_capped { 0 } else { size_of::<u64>() }
    }

    /// Bytes held by labels and selection.
    pub fn memory_bytes(&self) -> usize {
        let labels = self.dimensions.iter().map(Dimension::memory_bytes);
        let labels: usize = labels.sum();
        let living = self.living.as_ref().map_or(0, Living::memory_bytes);
        living
            + labels
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
    living: Option<LivingCursor<'a>>,
}

impl<'a> Cursor<'a> {
    /// The series it stands on.
    pub fn series(&self) -> usize {
        self.series
    }

    /// For each dimension the index of its value, or what stands for a value that
    /// belongs to an entity ([`Space::digit`] has the same for it).
    #[inline]
    pub fn digits(&self) -> &[u32] {
        &self.digits
    }

    /// The space it walks.
    pub fn space(&self) -> &'a Space {
        self.space
    }

    /// The text of a dimension's value.
    #[inline]
    pub fn value(&self, dimension: usize) -> &'a [u8] {
        let values = &self.space.dimensions[dimension].values;
        match &self.living {
            Some(living) if values.is_empty() => living.text(dimension),
            _ => values.get(self.digits[dimension] as usize),
        }
    }

    /// Names and texts of all labels, in name order.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + use<'a, '_> {
        let dimensions = self.space.dimensions.iter().enumerate();
        dimensions.map(|(index, dimension)| {
            let value = std::str::from_utf8(self.value(index));
            (
                dimension.name.as_str(),
                value.expect("label values are text"),
            )
        })
    }

    /// The text of the value of a dimension that has no list of values, and the 16 bytes
    /// that begin with it, some of which may be anything.
    ///
    /// # Panics
    /// Where the dimension has a list.
    #[inline]
    pub fn entity_text(&self, dimension: usize) -> (&'a [u8], Option<&'a [u8; 16]>) {
        let living = self.living.as_ref();
        let living = living.expect("only entities have values that no list has");
        living.text_window(dimension)
    }

    /// Moves to `series`; one past the end is allowed.
    pub fn seek(&mut self, series: usize) {
        self.series = series;
        if let Some(living) = &mut self.living {
            living.seek(series, &mut self.digits);
        } else if series < self.space.series_count {
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
            return match &mut self.living {
                None => self.count_up(),
                Some(living) => living.advance(&mut self.digits),
            };
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
