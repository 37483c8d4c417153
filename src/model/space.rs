//! A metric's series as a mixed-radix space over its label values.
//!
//! Labels stand in name order, the last one fastest, whatever their order in
//! the file, so that the same label sets always come in the same order. A
//! series is a position in the space; a capped space also keeps a sorted list
//! of the positions it selects (4 bytes each) and their keys (8 bytes each),
//! shared by all metrics with the same labels and cap. No series has a string or
//! a map of its own. What a shard has of a space is such a selection as well.
//!
//! Where labels depend on one another, those that do make entities ([`Fleet`]), and the
//! others are free: a series is an entity and a position in the space of the free
//! labels, which count fastest. Entities' texts change from tick to tick, so they are
//! not here but in a snapshot ([`Entities`]) that the cursor is given.

mod cursor;
mod error;
mod find;
mod living;
mod matching;
mod selection;
mod size;

use std::ops::Range;
use std::sync::Arc;

use crate::config::{Label, Sampling};
use crate::model::division::Division;
use crate::model::fleet::{Entities, Fleet};
use crate::model::labels::{Arena, Dimension};
use crate::random::wide;
pub use cursor::Cursor;
pub use error::SpaceError;
pub use find::{LabelFilter, passes};
use living::Living;
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
    /// A shard has it, and so some of the series alone.
    is_part: bool,
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
        Self::of_shard(labels, series_cap, sampling, None)
    }

    /// The same; of a run that is divided, the part of a shard.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_shard(
        labels: &[Label],
        series_cap: Option<u64>,
        sampling: Sampling,
        division: Option<&Division>,
    ) -> Result<Self, SpaceError> {
        debug_assert!(labels.iter().all(Label::is_plain));
        let counts: Vec<u64> = labels.iter().map(|l| l.values.count()).collect();
        let product = counts
            .iter()
            .fold(1u128, |all, &n| all.saturating_mul(u128::from(n)));
        match (
            series_cap.filter(|&cap| u128::from(cap) < product),
            division,
        ) {
            (None, None) => Self::whole(labels, &counts, product),
            (None, Some(division)) => Self::part(labels, &counts, product, division),
            (Some(cap), _) if sampling == Sampling::FirstN => {
                Self::first_n(labels, &counts, cap, division)
            }
            (Some(cap), _) => Self::sampled(labels, &counts, product, cap, division),
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
            is_part: fleet.is_part(),
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
            is_part: false,
        }
    }

    /// Number of selected series.
    pub fn series_count(&self) -> usize {
        self.series_count
    }

    /// Whether a shard has it, and so some of the series alone.
    pub fn is_part(&self) -> bool {
        self.is_part
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
