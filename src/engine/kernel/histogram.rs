//! Histograms: cumulative bucket counts and a sum.

use crate::engine::quantile::QuantileTable;
use crate::engine::rng::{draw, for_draws};
use crate::engine::sample::{Sample, observation_count};

/// What the series of one histogram share at one tick.
#[derive(Debug, Clone, Copy)]
pub struct Shared<'a> {
    /// Key of the observed values.
    pub value_key: u64,
    /// Key of the number of observations.
    pub count_key: u64,
    /// Mean number of observations.
    pub mean: f64,
    /// For each bound the position below which observations fall under it.
    pub thresholds: &'a [u64],
    /// Values of the observations.
    pub values: &'a QuantileTable,
    /// What these are multiplied by; `thresholds` take it into account.
    pub scale: f64,
}

/// Columns of a run of series; `cumulative` has one cell per bound and `+Inf`
/// for each series.
#[derive(Debug)]
pub struct Rows<C, S> {
    /// Cumulative counts, series-major.
    pub cumulative: C,
    /// Sums.
    pub sums: S,
}

/// Observes this tick's sample for every series.
pub fn observe(
    keys: &[u64],
    shared: &Shared<'_>,
    weights: Option<&[f64]>,
    before: &Rows<&[u64], &[f64]>,
    now: &mut Rows<&mut [u64], &mut [f64]>,
    scratch: &mut Vec<u64>,
) {
    let width = shared.thresholds.len() + 1;
    assert_eq!(now.sums.len(), keys.len());
    assert_eq!(before.sums.len(), keys.len());
    assert_eq!(now.cumulative.len(), keys.len() * width);
    assert_eq!(before.cumulative.len(), keys.len() * width);
    if shared.mean == 1.0 && weights.is_none() {
        return observe_one_each(keys, shared, before, now);
    }
    scratch.clear();
    scratch.resize(width, 0);
    let rows = before.cumulative.chunks_exact(width);
    let rows = rows.zip(now.cumulative.chunks_exact_mut(width));
    for (index, (before_row, row)) in rows.enumerate() {
        let sample = sample_of(keys[index], weights.map_or(1.0, |w| w[index]), shared);
        scratch.fill(0);
        let sum = sample.tally(shared.thresholds, shared.values, scratch);
        now.sums[index] = before.sums[index] + sum * shared.scale;
        let mut below = 0;
        for ((cell, &before), &count) in row.iter_mut().zip(before_row).zip(&*scratch) {
            below += count;
            *cell = before.saturating_add(below);
        }
    }
}

/// Counts the sample that [`observe`] observes in further buckets, for every
/// series: one more than thresholds, each on its own (not cumulative).
pub fn count_buckets(
    keys: &[u64],
    shared: &Shared<'_>,
    weights: Option<&[f64]>,
    before: &[u64],
    now: &mut [u64],
    scratch: &mut Vec<u64>,
) {
    let width = shared.thresholds.len() + 1;
    assert_eq!(now.len(), keys.len() * width);
    now.copy_from_slice(before);
    if shared.mean == 1.0 && weights.is_none() {
        return for_draws(keys, shared.value_key, |at, draws| {
            let rows = now[at * width..].chunks_exact_mut(width);
            for (row, &position) in rows.zip(draws) {
                row[shared.thresholds.partition_point(|&t| t <= position)] += 1;
            }
        });
    }
    scratch.clear();
    scratch.resize(width, 0);
    for (index, row) in now.chunks_exact_mut(width).enumerate() {
        let sample = sample_of(keys[index], weights.map_or(1.0, |w| w[index]), shared);
        scratch.fill(0);
        sample.tally(shared.thresholds, shared.values, scratch);
        for (cell, count) in row.iter_mut().zip(&*scratch) {
            *cell = cell.saturating_add(*count);
        }
    }
}

/// Tallies the sample that [`observe`] observes once more, for every series: `each`
/// gets the index of the series and its counts between the thresholds, each on its
/// own.
pub fn tally_each(
    keys: &[u64],
    shared: &Shared<'_>,
    weights: Option<&[f64]>,
    scratch: &mut Vec<u64>,
    mut each: impl FnMut(usize, &[u64]),
) {
    scratch.clear();
    scratch.resize(shared.thresholds.len() + 1, 0);
    for (index, &key) in keys.iter().enumerate() {
        let sample = sample_of(key, weights.map_or(1.0, |w| w[index]), shared);
        scratch.fill(0);
        sample.tally(shared.thresholds, shared.values, scratch);
        each(index, scratch);
    }
}

/// This tick's sample of one series.
fn sample_of(key: u64, weight: f64, shared: &Shared<'_>) -> Sample {
    let mean = shared.mean * weight;
    Sample {
        key: key ^ shared.value_key,
        count: observation_count(mean, draw(key, shared.count_key)),
    }
}

/// The common case of exactly one observation, without the sample's machinery.
fn observe_one_each(
    keys: &[u64],
    shared: &Shared<'_>,
    before: &Rows<&[u64], &[f64]>,
    now: &mut Rows<&mut [u64], &mut [f64]>,
) {
    let thresholds = shared.thresholds;
    let width = thresholds.len() + 1;
    for_draws(keys, shared.value_key, |at, draws| {
        let rows = before.cumulative[at * width..].chunks_exact(width);
        let rows = rows.zip(now.cumulative[at * width..].chunks_exact_mut(width));
        let sums = before.sums[at..].iter().zip(&mut now.sums[at..]);
        for (((before_row, row), (&before_sum, sum)), &position) in rows.zip(sums).zip(draws) {
            *sum = before_sum + shared.values.value(position) * shared.scale;
            let (before_rest, before_all) = before_row.split_at(thresholds.len());
            let (rest, all) = row.split_at_mut(thresholds.len());
            for ((cell, &before), &threshold) in rest.iter_mut().zip(before_rest).zip(thresholds) {
                *cell = before + u64::from(position < threshold);
            }
            all[0] = before_all[0] + 1;
        }
    });
}
