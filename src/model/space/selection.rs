//! Which label sets a capped space selects: the first ones, or those with the
//! smallest keys; and which of all a shard has.
//!
//! A position counts through the product of all label values in the order of label
//! names, whatever their order in the file. Positions are found first; then each
//! label keeps the values that some position uses, and positions are renumbered.
//! Values that no selected series has are never stored.

use std::cmp::Reverse;

use super::{
    COMBINATIONS_MAX, LABEL_VALUES_MAX, Selection, Space, SpaceError, check_values, pair_hash_sum,
};
use crate::config::{Label, Sampling};
use crate::model::division::{Dealing, Division};
use crate::model::identity;
use crate::model::labels::{Dimension, write_value};
use crate::random::threshold;

/// Labels with more values are looked up by bisection instead of in a table.
const TABLE_MAX: usize = 1 << 26;

impl Space {
    /// The first `cap` of the product in file order. Only the values that
    /// these can use count, however long the ranges are.
    pub(super) fn first_n(
        labels: &[Label],
        counts: &[u64],
        cap: u64,
        division: Option<&Division>,
    ) -> Result<Self, SpaceError> {
        let (used, faster) = first_n_counts(counts, cap);
        if cap > COMBINATIONS_MAX || faster > COMBINATIONS_MAX {
            return Err(SpaceError::TooManySeries(cap.into()));
        }
        let order = NameOrder::new(labels, &used);
        let positions = (0..cap).map(|index| order.position(index));
        let Some(division) = division else {
            return Self::selected(&order, labels, positions.collect());
        };
        for (label, &used) in labels.iter().zip(&used) {
            check_values(label, used)?;
        }
        let dealing = order.dealing(labels, division);
        let own = positions.filter(|&position| dealing.has(position.into()));
        Self::part_of(&order, labels, own.collect())
    }

    /// Calls `put` with the key of every series of the space that [`Self::new`] makes of the
    /// same; which one is whose it does not tell. Nothing is kept of them unless there is a cap.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn each_key(
        labels: &[Label],
        series_cap: Option<u64>,
        sampling: Sampling,
        put: &mut impl FnMut(u64),
    ) -> Result<(), SpaceError> {
        let counts: Vec<u64> = labels.iter().map(|l| l.values.count()).collect();
        let product = counts.iter().copied().fold(1, u64::saturating_mul);
        if series_cap.is_some_and(|cap| cap < product) {
            let space = Self::new(labels, series_cap, sampling)?;
            let mut scratch = Vec::new();
            let keys = space.label_set_keys(0..space.series_count(), &mut scratch);
            for &key in keys {
                put(key);
            }
            return Ok(());
        }
        let order = NameOrder::new(labels, &counts);
        LabelGroup::new(labels, &order, |_| true).each(&mut |key, _| put(key));
        Ok(())
    }

    /// What a shard has of all of a product.
    pub(super) fn part(
        labels: &[Label],
        counts: &[u64],
        product: u128,
        division: &Division,
    ) -> Result<Self, SpaceError> {
        if product > u128::from(COMBINATIONS_MAX) {
            return Err(SpaceError::TooManySeries(product));
        }
        for (label, &count) in labels.iter().zip(counts) {
            check_values(label, count)?;
        }
        let order = NameOrder::new(labels, counts);
        let mut own = Vec::with_capacity(product as usize / division.of_shards() as usize);
        let dealing = order.dealing(labels, division);
        dealing.each(&mut |position| own.push(position as u32));
        drop(dealing);
        Self::part_of(&order, labels, own)
    }

    /// The `cap` series with the smallest keys: first by the labels that come
    /// from the profile, so that all metrics of one profile keep the same
    /// ones, then by those that the metric adds.
    pub(super) fn sampled(
        labels: &[Label],
        counts: &[u64],
        product: u128,
        cap: u64,
        division: Option<&Division>,
    ) -> Result<Self, SpaceError> {
        if product > u128::from(COMBINATIONS_MAX) {
            return Err(SpaceError::TooManyCombinations(product));
        }
        let order = NameOrder::new(labels, counts);
        let profile = LabelGroup::new(labels, &order, |label| !label.from_metric);
        let own = LabelGroup::new(labels, &order, |label| label.from_metric);
        let own_count = own.combinations();
        let profile_kept = profile.smallest(cap.div_ceil(own_count));
        let whole = (cap / own_count) as usize;
        let mut positions: Vec<u32> = Vec::with_capacity(cap as usize);
        let own_all = own.smallest(own_count.min(cap));
        for &(_, base) in &profile_kept[..whole] {
            positions.extend(own_all.iter().map(|&(_, position)| base + position));
        }
        if let Some(&(_, base)) = profile_kept.get(whole) {
            let rest = &own_all[..(cap % own_count) as usize];
            positions.extend(rest.iter().map(|&(_, position)| base + position));
        }
        drop((profile_kept, own_all));
        let Some(division) = division else {
            return Self::selected(&order, labels, positions);
        };
        // Of the whole, which has to be one that can be had.
        if cap > LABEL_VALUES_MAX {
            let kept = order.kept_values(&positions);
            for (&index, kept) in order.sorted.iter().zip(kept) {
                check_values(&labels[index], kept.len() as u64)?;
            }
        }
        let dealing = order.dealing(labels, division);
        positions.retain(|&position| dealing.has(position.into()));
        drop(dealing);
        Self::part_of(&order, labels, positions)
    }

    /// Keeps the given positions, those of a shard.
    fn part_of(
        order: &NameOrder,
        labels: &[Label],
        mut positions: Vec<u32>,
    ) -> Result<Self, SpaceError> {
        positions.shrink_to_fit();
        let part = Self::selected(order, labels, positions)?;
        Ok(Self {
            is_part: true,
            ..part
        })
    }

    /// Keeps the given positions, and of each label only the values they use.
    fn selected(
        order: &NameOrder,
        labels: &[Label],
        mut positions: Vec<u32>,
    ) -> Result<Self, SpaceError> {
        positions.sort_unstable();
        let mut kept = order.kept_values(&positions);
        if positions.is_empty() {
            // A label without values would be one of entities.
            kept.fill(vec![0]);
        }
        let mut dimensions = Vec::with_capacity(kept.len());
        for (&index, kept) in order.sorted.iter().zip(&kept) {
            let label = &labels[index];
            check_values(label, kept.len() as u64)?;
            dimensions.push(Dimension::of_values(&label.name, &label.values, kept));
        }
        order.renumber(&kept, &mut positions);
        let sums = positions
            .iter()
            .map(|&position| pair_hash_sum(&dimensions, position as usize));
        let label_set_keys = sums.map(identity::label_set_key).collect();
        // The stored keys are all that is asked for from here on.
        for dimension in &mut dimensions {
            dimension.pair_hashes = Vec::new();
        }
        Ok(Self {
            series_count: positions.len(),
            dimensions,
            selection: Some(Selection {
                positions,
                label_set_keys,
            }),
            tail: None,
            living: None,
            is_part: false,
        })
    }
}

/// How many values of each label the first `cap` of a product can use, in file order, and
/// the product of these.
pub(super) fn first_n_counts(counts: &[u64], cap: u64) -> (Vec<u64>, u64) {
    let mut used = vec![1u64; counts.len()];
    let mut faster: u64 = 1;
    for (used, &count) in used.iter_mut().zip(counts).rev() {
        *used = count.min(cap.div_ceil(faster));
        faster = faster.saturating_mul(*used);
    }
    (used, faster)
}

/// How file order maps to name order.
struct NameOrder {
    /// `sorted[i]` is the file index of the i-th label by name.
    sorted: Vec<usize>,
    /// Stride in the name-ordered product of each label, by file index.
    strides: Vec<u64>,
    counts: Vec<u64>,
}

impl NameOrder {
    fn new(labels: &[Label], counts: &[u64]) -> Self {
        let mut sorted: Vec<usize> = (0..labels.len()).collect();
        sorted.sort_by(|&a, &b| labels[a].name.cmp(&labels[b].name));
        let mut strides = vec![1; labels.len()];
        let mut stride = 1u64;
        for &index in sorted.iter().rev() {
            strides[index] = stride;
            stride = stride.saturating_mul(counts[index]);
        }
        Self {
            sorted,
            strides,
            counts: counts.to_vec(),
        }
    }

    /// What is dealt for each name-ordered position, by label values.
    fn dealing(&self, labels: &[Label], division: &Division) -> Dealing {
        let mut dealing = Dealing::new(division);
        for &index in &self.sorted {
            dealing.add_label(division, &labels[index], self.counts[index]);
        }
        dealing
    }

    /// The name-ordered position of the `index`-th label set in file order.
    fn position(&self, index: u64) -> u32 {
        let mut rest = index;
        let mut position = 0;
        for (&count, &stride) in self.counts.iter().zip(&self.strides).rev() {
            position += rest % count * stride;
            rest /= count;
        }
        position as u32
    }

    /// Number of values of each label, in name order.
    fn sorted_counts(&self) -> Vec<usize> {
        let sorted = self.sorted.iter();
        sorted.map(|&index| self.counts[index] as usize).collect()
    }

    /// The values of each label, in name order, that some position uses.
    fn kept_values(&self, positions: &[u32]) -> Vec<Vec<u32>> {
        let mut stride = 1;
        let mut kept: Vec<Vec<u32>> = Vec::with_capacity(self.counts.len());
        for &count in self.sorted_counts().iter().rev() {
            let digits = positions
                .iter()
                .map(|&position| position as usize / stride % count);
            kept.push(if count <= TABLE_MAX {
                let mut used = vec![false; count];
                digits.for_each(|digit| used[digit] = true);
                (0..count as u32)
                    .filter(|&value| used[value as usize])
                    .collect()
            } else {
                let mut digits: Vec<u32> = digits.map(|digit| digit as u32).collect();
                digits.sort_unstable();
                digits.dedup();
                digits
            });
            stride = stride.saturating_mul(count);
        }
        kept.reverse();
        kept
    }

    /// Turns positions into those of the product of the kept values.
    fn renumber(&self, kept: &[Vec<u32>], positions: &mut [u32]) {
        let counts = self.sorted_counts();
        if counts
            .iter()
            .zip(kept)
            .all(|(&count, kept)| count == kept.len())
        {
            return;
        }
        let tables: Vec<Vec<u32>> = counts
            .iter()
            .zip(kept)
            .map(|(&count, kept)| {
                let mut table = vec![0; if count <= TABLE_MAX { count } else { 0 }];
                for (number, &value) in kept.iter().enumerate().take(table.len()) {
                    table[value as usize] = number as u32;
                }
                table
            })
            .collect();
        for position in positions {
            let (mut rest, mut stride, mut renamed) = (*position as usize, 1usize, 0usize);
            for (index, &count) in counts.iter().enumerate().rev() {
                let value = rest % count;
                let number = match tables[index].get(value) {
                    Some(&number) => number as usize,
                    None => kept[index].partition_point(|&kept| (kept as usize) < value),
                };
                renamed += number * stride;
                stride *= kept[index].len();
                rest /= count;
            }
            *position = renamed as u32;
        }
    }
}

/// Some of a space's labels, to be visited in all combinations.
struct LabelGroup<'a> {
    /// The label with the most values: each of them is hashed once, as it is
    /// visited, and not stored.
    longest: Option<Axis<'a>>,
    /// The pair hashes of each further label and its stride. They have at most
    /// 65,536 values each, as the product with the longest has at most 2^32.
    others: Vec<(Vec<u64>, u64)>,
}

/// A label with the number of its values and its stride in the whole space.
struct Axis<'a> {
    label: &'a Label,
    count: u64,
    stride: u64,
}

impl<'a> LabelGroup<'a> {
    fn new(labels: &'a [Label], order: &NameOrder, is_in: impl Fn(&Label) -> bool) -> Self {
        let mut axes: Vec<Axis<'a>> = Vec::new();
        for (index, label) in labels.iter().enumerate() {
            if is_in(label) {
                axes.push(Axis {
                    label,
                    count: order.counts[index],
                    stride: order.strides[index],
                });
            }
        }
        axes.sort_by_key(|axis| Reverse(axis.count));
        let mut axes = axes.into_iter();
        let longest = axes.next();
        let others = axes
            .map(|axis| {
                let mut hashes = Vec::with_capacity(axis.count as usize);
                axis.for_hashes(|hash| hashes.push(hash));
                (hashes, axis.stride)
            })
            .collect();
        Self { longest, others }
    }

    fn combinations(&self) -> u64 {
        let longest = self.longest.as_ref().map_or(1, |axis| axis.count);
        let others = self.others.iter().map(|(hashes, _)| hashes.len() as u64);
        longest * others.product::<u64>()
    }

    /// Calls `each` with the key of every combination and its position in the whole space.
    fn each(&self, each: &mut impl FnMut(u64, u64)) {
        match &self.longest {
            None => each(identity::label_set_key(0), 0),
            Some(axis) => {
                let mut position = 0;
                axis.for_hashes(|hash| {
                    visit(&self.others, hash, position, each);
                    position += axis.stride;
                });
            }
        }
    }

    /// The `count` combinations with the smallest keys, as (key, position in
    /// the whole space), in that order.
    fn smallest(&self, count: u64) -> Vec<(u64, u32)> {
        let combinations = self.combinations();
        if count == 0 {
            return Vec::new();
        }
        // Keys are uniform, so this threshold lets about `count` through, and
        // too few only once in a billion; then it is widened.
        let mut wanted = count as f64 + 6.0 * (count as f64).sqrt() + 16.0;
        loop {
            let share = wanted / combinations as f64;
            let threshold = threshold(share);
            let mut kept = Vec::with_capacity(wanted.min(combinations as f64) as usize);
            let mut each = |key: u64, position: u64| {
                if key <= threshold {
                    kept.push((key, position as u32));
                }
            };
            self.each(&mut each);
            if kept.len() as u64 >= count {
                kept.sort_unstable();
                kept.truncate(count as usize);
                return kept;
            }
            wanted *= 2.0;
        }
    }
}

impl Axis<'_> {
    /// Calls `each` with the pair hash of every value in order.
    fn for_hashes(&self, mut each: impl FnMut(u64)) {
        let (mut value, mut scratch) = (Vec::new(), Vec::new());
        for index in 0..self.count {
            value.clear();
            write_value(&self.label.values, index, &mut value);
            each(identity::pair_hash(&self.label.name, &value, &mut scratch));
        }
    }
}

/// Calls `each` with the key and position of every combination of `axes`, on
/// top of what is summed up already.
fn visit(axes: &[(Vec<u64>, u64)], sum: u64, position: u64, each: &mut impl FnMut(u64, u64)) {
    let Some(((hashes, stride), rest)) = axes.split_first() else {
        return each(identity::label_set_key(sum), position);
    };
    let mut at = position;
    for &hash in hashes {
        visit(rest, sum.wrapping_add(hash), at, each);
        at += stride;
    }
}
