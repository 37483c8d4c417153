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
use crate::model::labels::{Dimension, value_count};
use crate::model::wide;

/// Combinations that can be addressed; sampling by hash visits all of them.
pub const COMBINATIONS_MAX: u64 = 1 << 32;
/// Distinct values of one label that are ever expanded.
pub const LABEL_VALUES_MAX: u64 = 50_000_000;

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
    /// these can use are expanded, however long the ranges are.
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
        let dimensions = order.sort(expand(labels, &used)?);
        let positions = (0..cap).map(|index| order.position(index)).collect();
        Ok(Self::selected(dimensions, positions))
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
        let expanded = expand(labels, counts)?;
        let part = |from_metric: bool| -> Part<'_> {
            let mut part = Part::default();
            for (index, label) in labels.iter().enumerate() {
                if label.from_metric == from_metric {
                    part.dimensions.push(&expanded[index]);
                    part.strides.push(order.strides[index]);
                }
            }
            part
        };
        let (profile, own) = (part(false), part(true));
        let own_count = own.combinations();
        let profile_kept = profile.smallest(cap.div_ceil(own_count));
        let whole = (cap / own_count) as usize;
        let mut positions: Vec<u32> = Vec::with_capacity(cap as usize);
        let mut own_all = own.smallest(own_count);
        own_all.sort_unstable_by_key(|&(_, position)| position);
        for &(_, base) in &profile_kept[..whole] {
            positions.extend(own_all.iter().map(|&(_, position)| base + position));
        }
        if let Some(&(_, base)) = profile_kept.get(whole) {
            let rest = own.smallest(cap % own_count);
            positions.extend(rest.iter().map(|&(_, position)| base + position));
        }
        let dimensions = order.sort(expanded);
        Ok(Self::selected(dimensions, positions))
    }

    /// Keeps the given positions, and of each label only the values they use.
    fn selected(dimensions: Vec<Dimension>, mut positions: Vec<u32>) -> Self {
        positions.sort_unstable();
        let (mut dimensions, positions) = compact(dimensions, positions);
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
        Self {
            series_count: positions.len(),
            dimensions,
            selection: Some(Selection {
                positions,
                label_set_keys,
            }),
            tail: None,
            tail_start: 0,
        }
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

    fn sort(&self, dimensions: Vec<Dimension>) -> Vec<Dimension> {
        let mut slots: Vec<Option<Dimension>> = dimensions.into_iter().map(Some).collect();
        self.sorted
            .iter()
            .map(|&index| slots[index].take().expect("each label once"))
            .collect()
    }
}

/// Some of a space's labels, each with its stride in the whole space.
#[derive(Default)]
struct Part<'a> {
    dimensions: Vec<&'a Dimension>,
    strides: Vec<u64>,
}

impl Part<'_> {
    fn combinations(&self) -> u64 {
        self.dimensions.iter().map(|d| d.len() as u64).product()
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
            self.visit(0, 0, 0, &mut |key, position| {
                if key <= threshold {
                    kept.push((key, position));
                }
            });
            if kept.len() as u64 >= count {
                kept.sort_unstable();
                kept.truncate(count as usize);
                return kept;
            }
            wanted *= 2.0;
        }
    }

    /// Calls `each` with the key and position of every combination.
    fn visit(&self, depth: usize, sum: u64, position: u64, each: &mut impl FnMut(u64, u32)) {
        let Some(dimension) = self.dimensions.get(depth) else {
            each(identity::label_set_key(sum), position as u32);
            return;
        };
        let stride = self.strides[depth];
        if depth + 1 == self.dimensions.len() {
            let mut at = position;
            for &hash in &dimension.pair_hashes {
                each(identity::label_set_key(sum.wrapping_add(hash)), at as u32);
                at += stride;
            }
            return;
        }
        for (digit, &hash) in dimension.pair_hashes.iter().enumerate() {
            let at = position + digit as u64 * stride;
            self.visit(depth + 1, sum.wrapping_add(hash), at, each);
        }
    }
}

fn expand(labels: &[Label], counts: &[u64]) -> Result<Vec<Dimension>, SpaceError> {
    labels
        .iter()
        .zip(counts)
        .map(|(label, &count)| {
            if count > LABEL_VALUES_MAX {
                return Err(SpaceError::TooManyValues(label.name.clone(), count));
            }
            Ok(Dimension::new(&label.name, &label.values, count as usize))
        })
        .collect()
}

/// Drops label values that no position uses. Order is kept.
fn compact(dimensions: Vec<Dimension>, positions: Vec<u32>) -> (Vec<Dimension>, Vec<u32>) {
    let lens: Vec<usize> = dimensions.iter().map(Dimension::len).collect();
    let mut used: Vec<Vec<bool>> = lens.iter().map(|&len| vec![false; len]).collect();
    for &position in &positions {
        let mut rest = position as usize;
        for (used, &len) in used.iter_mut().zip(&lens).rev() {
            used[rest % len] = true;
            rest /= len;
        }
    }
    if used.iter().flatten().all(|&used| used) {
        return (dimensions, positions);
    }
    let kept: Vec<Vec<u32>> = used
        .iter()
        .map(|used| {
            (0..used.len() as u32)
                .filter(|&i| used[i as usize])
                .collect()
        })
        .collect();
    let renumbered: Vec<Vec<u32>> = used
        .iter()
        .map(|used| {
            used.iter()
                .scan(0, |next, &used| {
                    let number = *next;
                    *next += u32::from(used);
                    Some(number)
                })
                .collect()
        })
        .collect();
    let positions = positions
        .into_iter()
        .map(|position| {
            let (mut rest, mut stride, mut renamed) = (position as usize, 1usize, 0usize);
            for index in (0..lens.len()).rev() {
                renamed += renumbered[index][rest % lens[index]] as usize * stride;
                stride *= kept[index].len();
                rest /= lens[index];
            }
            renamed as u32
        })
        .collect();
    let dimensions = dimensions
        .iter()
        .zip(&kept)
        .map(|(dimension, kept)| dimension.retain(kept))
        .collect();
    (dimensions, positions)
}
