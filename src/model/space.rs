//! A metric's series as a mixed-radix space over its label values.
//!
//! Labels stand in name order, the last one fastest, whatever their order in
//! the file, so that the same label sets always come in the same order. A
//! series is a position in the space; a capped space also keeps a sorted list
//! of the positions it selects (4 bytes each) and their keys (8 bytes each),
//! shared by all metrics with the same labels and cap.

use std::fmt;
use std::ops::Range;

use crate::config::{Label, Sampling};
use crate::model::identity;
use crate::model::labels::{Dimension, value_count, write_value};
use crate::model::wide;

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
    /// Sums of pair hashes over the labels from `tail_start` on, where several
    /// short labels at the end together make a run worth looping over.
    tail: Option<Vec<u64>>,
    tail_start: usize,
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
    /// More series than the crate can address.
    TooManySeries(u128),
    /// Too many combinations to sample by hash.
    TooManyCombinations(u128),
    /// A label with too many values to expand.
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
    pub fn new(
        labels: &[Label],
        series_cap: Option<u64>,
        sampling: Sampling,
    ) -> Result<Self, SpaceError> {
        let counts: Vec<u64> = labels.iter().map(|l| value_count(&l.values)).collect();
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
        let tail_start = tail_start(&dimensions);
        let tail = (tail_start + 1 < dimensions.len()).then(|| {
            let start = vec![0u64];
            dimensions[tail_start..].iter().fold(start, |sums, next| {
                let add = |&sum: &u64| next.pair_hashes.iter().map(move |h| h.wrapping_add(sum));
                sums.iter().flat_map(add).collect()
            })
        });
        Self {
            dimensions,
            selection: None,
            series_count,
            tail,
            tail_start,
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
        let tail = match &self.tail {
            Some(tail) => tail.as_slice(),
            None => &last.pair_hashes,
        };
        let leading = match &self.tail {
            Some(_) => &leading[..self.tail_start],
            None => leading,
        };
        let (middle, leading) = match leading.split_last() {
            Some((middle, leading)) => (middle.pair_hashes.as_slice(), leading),
            None => (&[0][..], leading),
        };
        let (mut at, mut from) = (series.start / tail.len(), series.start % tail.len());
        scratch.reserve(series.len());
        while scratch.len() < series.len() {
            let mut rest = at / middle.len();
            let mut sum = 0u64;
            for dimension in leading.iter().rev() {
                sum = sum.wrapping_add(dimension.pair_hashes[rest % dimension.len()]);
                rest /= dimension.len();
            }
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

    /// The first `cap` of the product in file order. Only the values that
    /// these can use count, however long the ranges are.
    fn first_n(labels: &[Label], counts: &[u64], cap: u64) -> Result<Self, SpaceError> {
        let mut used = vec![1u64; labels.len()];
        let mut faster: u64 = 1;
        for (used, &count) in used.iter_mut().zip(counts).rev() {
            *used = count.min(cap.div_ceil(faster));
            faster = faster.saturating_mul(*used);
        }
        if cap > COMBINATIONS_MAX || faster > COMBINATIONS_MAX {
            return Err(SpaceError::TooManySeries(cap.into()));
        }
        let order = NameOrder::new(labels, &used);
        let positions = (0..cap).map(|index| order.position(index)).collect();
        Self::selected(&order, labels, positions)
    }

    /// The `cap` series with the smallest keys: first by the labels that come
    /// from the profile, so that all metrics of one profile keep the same
    /// ones, then by those that the metric adds.
    fn sampled(
        labels: &[Label],
        counts: &[u64],
        product: u128,
        cap: u64,
    ) -> Result<Self, SpaceError> {
        if product > u128::from(COMBINATIONS_MAX) {
            return Err(SpaceError::TooManyCombinations(product));
        }
        let order = NameOrder::new(labels, counts);
        let profile = Part::new(labels, &order, false);
        let own = Part::new(labels, &order, true);
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
        Self::selected(&order, labels, positions)
    }

    /// Keeps the given positions, and of each label only the values they use.
    fn selected(
        order: &NameOrder,
        labels: &[Label],
        mut positions: Vec<u32>,
    ) -> Result<Self, SpaceError> {
        positions.sort_unstable();
        let kept = order.kept_values(&positions);
        let mut dimensions = Vec::with_capacity(kept.len());
        for (&index, kept) in order.sorted.iter().zip(&kept) {
            let label = &labels[index];
            check_values(label, kept.len() as u64)?;
            dimensions.push(Dimension::of_values(&label.name, &label.values, kept));
        }
        order.renumber(&kept, &mut positions);
        let mut label_set_keys = Vec::with_capacity(positions.len());
        for &position in &positions {
            let mut rest = position as usize;
            let mut sum = 0u64;
            for dimension in dimensions.iter().rev() {
                sum = sum.wrapping_add(dimension.pair_hashes[rest % dimension.len()]);
                rest /= dimension.len();
            }
            label_set_keys.push(identity::label_set_key(sum));
        }
        // From here on the stored keys stand for them.
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
            tail_start: 0,
        })
    }
}

/// The first of the trailing labels that are summed together.
fn tail_start(dimensions: &[Dimension]) -> usize {
    const TAIL_MAX: usize = 1024;
    let mut len = 1;
    let mut start = dimensions.len();
    while start > 0 && len * dimensions[start - 1].len() <= TAIL_MAX {
        start -= 1;
        len *= dimensions[start].len();
    }
    start
}

/// Walks a space's series in order and tells their label values.
///
/// `digits()[i]` is the index of the value of dimension `i`.
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

/// Labels with more values are looked up by bisection instead of in a table.
const TABLE_MAX: usize = 1 << 26;

/// Some of a space's labels, each with its stride in the whole space, the one
/// with the most values first. That one is hashed as it is walked, once per
/// value; all others together have at most 65,536 of them each.
struct Part<'a> {
    longest: Option<Axis<'a>>,
    others: Vec<(Vec<u64>, u64)>,
}

struct Axis<'a> {
    label: &'a Label,
    count: u64,
    stride: u64,
}

impl<'a> Part<'a> {
    fn new(labels: &'a [Label], order: &NameOrder, from_metric: bool) -> Self {
        let mut axes: Vec<Axis<'a>> = Vec::new();
        for (index, label) in labels.iter().enumerate() {
            if label.from_metric == from_metric {
                axes.push(Axis {
                    label,
                    count: order.counts[index],
                    stride: order.strides[index],
                });
            }
        }
        axes.sort_by_key(|axis| std::cmp::Reverse(axis.count));
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
            let threshold = if share >= 1.0 {
                u64::MAX
            } else {
                (share * 18_446_744_073_709_551_616.0) as u64
            };
            let mut kept = Vec::with_capacity(wanted.min(combinations as f64) as usize);
            let mut each = |key: u64, position: u64| {
                if key <= threshold {
                    kept.push((key, position as u32));
                }
            };
            match &self.longest {
                None => each(identity::label_set_key(0), 0),
                Some(axis) => {
                    let mut position = 0;
                    axis.for_hashes(|hash| {
                        visit(&self.others, hash, position, &mut each);
                        position += axis.stride;
                    });
                }
            }
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

fn check_values(label: &Label, count: u64) -> Result<(), SpaceError> {
    if count > LABEL_VALUES_MAX {
        return Err(SpaceError::TooManyValues(label.name.clone(), count));
    }
    Ok(())
}
