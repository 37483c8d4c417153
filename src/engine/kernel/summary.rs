//! Summaries: quantiles over a sliding window, within a stated rank error.
//!
//! A window of 600 ticks would cost kilobytes per series if its observations
//! were kept. They need not be: a draw can be repeated, so an observation that
//! leaves the window is drawn again to be subtracted. What is kept per series
//! and quantile is a pivot (a position) and how many observations of the
//! window lie below it. As long as that rank is within the allowed error of
//! the wanted one, the pivot stands; when it drifts out, the window is drawn
//! again and the pivot becomes the exact quantile.
//!
//! A spike multiplies what is observed during some ticks. A pivot is therefore
//! a position and the factor of the tick that it was observed at, and is
//! compared by value with ticks of another factor.

use std::ops::Range;

use crate::config::{Distribution, Objective};
use crate::engine::quantile::QuantileTable;
use crate::engine::recipe::scaled_position;
use crate::engine::rng::draw;
use crate::engine::sample::{Sample, observation_count};

/// Windows with at most this many observations are listed to find a quantile;
/// larger ones are searched by counting.
const LISTED_MAX: u64 = 1 << 16;

/// What all series of one summary share about one tick of the window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TickKeys {
    /// Key of the observed values.
    pub value_key: u64,
    /// Key of the number of observations.
    pub count_key: u64,
    /// Mean number of observations.
    pub mean: f64,
    /// What observed values are multiplied by.
    pub scale: f64,
}

/// What all series of one summary share at one tick.
#[derive(Debug, Clone, Copy)]
pub struct Shared<'a> {
    /// The ticks of the window, oldest first, this tick last.
    pub window: (&'a [TickKeys], &'a [TickKeys]),
    /// The tick that has just left the window, if any.
    pub expired: Option<TickKeys>,
    /// Quantiles and their errors.
    pub objectives: &'a [Objective],
    /// Values of the observations.
    pub values: &'a QuantileTable,
    /// Their distribution.
    pub distribution: &'a Distribution,
}

/// A quantile's estimate: a position and its tick's factor, and how many
/// observations of the window lie at or below it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pivot {
    position: u64,
    scale: f64,
    rank: u64,
}

/// State of a run of series.
#[derive(Debug, Default)]
pub struct State {
    /// Observations in the window, per series.
    window_counts: Vec<u64>,
    /// Series-major.
    pivots: Vec<Pivot>,
}

/// State of a run of neighbouring series.
#[derive(Debug)]
pub struct StateRows<'a> {
    window_counts: &'a mut [u64],
    pivots: &'a mut [Pivot],
}

/// Columns of a run of series.
#[derive(Debug)]
pub struct Rows<'a> {
    /// Values of the quantiles, series-major.
    pub quantiles: &'a mut [f64],
    /// Cumulative count per series.
    pub counts: &'a mut [u64],
    /// Cumulative sum per series.
    pub sums: &'a mut [f64],
}

impl State {
    /// State of `series` series before the first tick.
    pub fn new(series: usize, objectives: usize) -> Self {
        Self {
            window_counts: vec![0; series],
            pivots: vec![Pivot::default(); series * objectives],
        }
    }

    /// That of some of its series.
    pub fn rows(&mut self, rows: Range<usize>, objectives: usize) -> StateRows<'_> {
        StateRows {
            pivots: &mut self.pivots[rows.start * objectives..rows.end * objectives],
            window_counts: &mut self.window_counts[rows],
        }
    }
}

/// Observes this tick's sample for every series and updates its quantiles.
/// Quantiles of an empty window are NaN.
pub fn observe(
    keys: &[u64],
    shared: &Shared<'_>,
    weights: Option<&[f64]>,
    state: &mut StateRows<'_>,
    before: (&[u64], &[f64]),
    now: &mut Rows<'_>,
    scratch: &mut Vec<u64>,
) {
    let objectives = shared.objectives.len();
    let this_tick = *shared.window.1.last().unwrap_or_else(|| {
        let first = shared.window.0.last();
        first.expect("the window holds this tick")
    });
    assert_eq!(now.quantiles.len(), keys.len() * objectives);
    for (index, &series) in keys.iter().enumerate() {
        let weight = weights.map_or(1.0, |weights| weights[index]);
        let pivots = &mut state.pivots[index * objectives..][..objectives];
        let sample = sample_of(series, weight, &this_tick);
        let old = shared.expired.map(|tick| sample_of(series, weight, &tick));
        let window_count = &mut state.window_counts[index];
        *window_count = *window_count + sample.count - old.map_or(0, |old| old.count);

        now.counts[index] = before.0[index].saturating_add(sample.count);
        let sum = sample.tally(&[], shared.values, &mut [0]);
        now.sums[index] = before.1[index] + sum * this_tick.scale;

        let quantiles = &mut now.quantiles[index * objectives..][..objectives];
        if *window_count == 0 {
            quantiles.fill(f64::NAN);
            // Their ranks were not followed to the end.
            pivots.fill(Pivot::default());
            continue;
        }
        let mut all_stand = true;
        for (pivot, objective) in pivots.iter_mut().zip(shared.objectives) {
            let gained = count_up_to(&sample, pivot.position_at(&this_tick, shared));
            let lost = match (&old, &shared.expired) {
                (Some(old), Some(tick)) => count_up_to(old, pivot.position_at(tick, shared)),
                _ => 0,
            };
            pivot.rank = pivot.rank + gained - lost;
            all_stand &= pivot.stands(objective, *window_count);
        }
        if !all_stand {
            place(series, weight, shared, *window_count, pivots, scratch);
        }
        for (quantile, pivot) in quantiles.iter_mut().zip(pivots) {
            *quantile = shared.values.value(pivot.position) * pivot.scale;
        }
    }
}

/// The rank, counted from 1, of a quantile among `count` observations.
pub fn wanted_rank(quantile: f64, count: u64) -> u64 {
    ((quantile * count as f64).ceil() as u64).clamp(1, count)
}

impl Pivot {
    /// Whether its rank is as close to the wanted one as the objective asks.
    /// The last observation of the rank below or above may be it as well, so
    /// a pivot between two observations has the rank of the lower.
    fn stands(&self, objective: &Objective, count: u64) -> bool {
        let allowed = (objective.rank_error * count as f64) as u64;
        self.rank >= 1 && self.rank.abs_diff(wanted_rank(objective.quantile, count)) <= allowed
    }

    /// The last position that is not above it at a tick; `None` if all are.
    #[inline]
    fn position_at(&self, tick: &TickKeys, shared: &Shared<'_>) -> Option<u64> {
        if self.scale == tick.scale {
            return Some(self.position);
        }
        let value = shared.values.value(self.position) * self.scale;
        // All of what lies below that position is at most the value.
        match scaled_position(shared.distribution, value, tick.scale) {
            u64::MAX => Some(u64::MAX),
            end => end.checked_sub(1),
        }
    }
}

fn sample_of(series: u64, weight: f64, tick: &TickKeys) -> Sample {
    let mean = tick.mean * weight;
    Sample {
        key: series ^ tick.value_key,
        count: if mean == 1.0 {
            1
        } else {
            observation_count(mean, draw(series, tick.count_key))
        },
    }
}

#[inline]
fn count_up_to(sample: &Sample, position: Option<u64>) -> u64 {
    let Some(position) = position else {
        return 0;
    };
    if sample.count == 1 {
        return u64::from(sample.position(0) <= position);
    }
    match position.checked_add(1) {
        Some(above) => sample.count_below(above),
        None => sample.count,
    }
}

/// Sets every pivot to the exact quantile of the window; of a window that is
/// too large to be listed, to one well within its allowance.
#[cold]
fn place(
    series: u64,
    weight: f64,
    shared: &Shared<'_>,
    count: u64,
    pivots: &mut [Pivot],
    scratch: &mut Vec<u64>,
) {
    let window = || shared.window.0.iter().chain(shared.window.1);
    let first_scale = window().next().map_or(1.0, |tick| tick.scale);
    let is_even = window().all(|tick| tick.scale == first_scale);
    let rank_of = |pivot: &Pivot| -> u64 {
        let up_to = |tick: &TickKeys| {
            let sample = sample_of(series, weight, tick);
            count_up_to(&sample, pivot.position_at(tick, shared))
        };
        window().map(up_to).sum()
    };
    if count > LISTED_MAX {
        let mut scales: Vec<f64> = window().map(|tick| tick.scale).collect();
        scales.sort_unstable_by(f64::total_cmp);
        scales.dedup();
        for (pivot, objective) in pivots.iter_mut().zip(shared.objectives) {
            *pivot = search(objective, count, &scales, &rank_of);
        }
    } else if is_even {
        scratch.clear();
        for tick in window() {
            sample_of(series, weight, tick).list(scratch);
        }
        for (pivot, objective) in pivots.iter_mut().zip(shared.objectives) {
            let rank = wanted_rank(objective.quantile, count);
            let (_, position, _) = scratch.select_nth_unstable(rank as usize - 1);
            *pivot = Pivot {
                position: *position,
                scale: first_scale,
                rank,
            };
        }
    } else {
        let mut listed: Vec<(f64, Pivot)> = Vec::with_capacity(count as usize);
        for tick in window() {
            scratch.clear();
            sample_of(series, weight, tick).list(scratch);
            listed.extend(scratch.iter().map(|&position| {
                let pivot = Pivot {
                    position,
                    scale: tick.scale,
                    rank: 0,
                };
                (shared.values.value(position) * tick.scale, pivot)
            }));
        }
        for (pivot, objective) in pivots.iter_mut().zip(shared.objectives) {
            let rank = wanted_rank(objective.quantile, count);
            let by_value = |a: &(f64, Pivot), b: &(f64, Pivot)| {
                let position = a.1.position.cmp(&b.1.position);
                a.0.total_cmp(&b.0).then(position)
            };
            let (_, (_, found), _) = listed.select_nth_unstable_by(rank as usize - 1, by_value);
            // Where values of different ticks are the same but for rounding, the
            // rank may differ by a few; what counts is that it is told alike
            // when ticks come and go.
            *pivot = Pivot {
                rank: rank_of(found),
                ..*found
            };
        }
    }
}

/// A pivot of about the wanted rank, by halving.
fn search(
    objective: &Objective,
    count: u64,
    scales: &[f64],
    rank_of: &dyn Fn(&Pivot) -> u64,
) -> Pivot {
    let wanted = wanted_rank(objective.quantile, count);
    // Half the allowance here leaves the other half to drift.
    let allowed = (0.5 * objective.rank_error * count as f64) as u64;
    let mut best: Option<Pivot> = None;
    for &scale in scales {
        let at = |position: u64| {
            let mut pivot = Pivot {
                position,
                scale,
                rank: 0,
            };
            pivot.rank = rank_of(&pivot);
            pivot
        };
        let (mut lo, mut hi) = (0u64, u64::MAX);
        while lo < hi {
            let middle = u64::midpoint(lo, hi);
            let rank = at(middle).rank;
            if rank >= 1 && rank.abs_diff(wanted) <= allowed {
                (lo, hi) = (middle, middle);
            } else if rank < wanted {
                lo = middle + 1;
            } else {
                hi = middle;
            }
        }
        let found = at(lo);
        let nearer = |best: &Pivot| found.rank.abs_diff(wanted) < best.rank.abs_diff(wanted);
        if best.as_ref().is_none_or(nearer) {
            best = Some(found);
        }
    }
    best.expect("a window has a tick")
}
