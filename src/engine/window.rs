//! Quantiles over a sliding window, within a stated rank error: those of summaries.
//!
//! A window of 600 ticks would cost kilobytes per series if its observations
//! were kept. They need not be: a draw can be repeated, so an observation that
//! leaves the window is drawn again to be subtracted. What is kept per series
//! and quantile is a pivot (a position) and its rank: how many observations of
//! the window lie at or below it. As long as that rank is within the allowed
//! error of the wanted one, the pivot stands; when it drifts out, the window is
//! drawn again and the pivot becomes the exact quantile.
//!
//! A spike multiplies what is observed during some ticks. A pivot is therefore
//! a position and the factor of the tick that it was observed at, and is
//! compared by value with ticks of another factor.

use std::ops::Range;

use crate::algorithm::distribution::Distribution;
use crate::config::Objective;
use crate::engine::columns::copy_cells;
use crate::engine::sample::Sample;
use crate::random::quantile::QuantileTable;

/// Windows with at most this many observations are listed to find a quantile;
/// larger ones are searched by counting.
const LISTED_MAX: u64 = 1 << 16;

/// What all series of one summary share about one tick of the window.
#[derive(Debug, Clone, Copy)]
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

/// The events of one tick.
pub trait Counted {
    /// How many happen to a series, by its label-set key and weight.
    fn count(&self, key: u64, weight: f64) -> f64;
}

/// What all series of one summary share at one tick.
#[derive(Debug)]
pub struct Shared<'a, C> {
    /// The ticks of the window, oldest first, this tick last; in two pieces, as a
    /// ring buffer has them.
    pub window: (&'a [TickKeys], &'a [TickKeys]),
    /// The tick that has just left the window, if any.
    pub expired: Option<TickKeys>,
    /// Where each event of a counter is observed: how many there are, instead of a mean.
    /// Those of this tick last, those of the tick that has left before the window's; in two
    /// pieces. They are apart from the keys, so that windows without them stay small.
    pub events: Option<(&'a [C], &'a [C])>,
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

/// State of the series of a block.
#[derive(Debug, Default)]
pub struct State {
    /// Observations in the window, per series.
    window_counts: Vec<u64>,
    /// Series-major.
    pivots: Vec<Pivot>,
}

/// State of a run of its series.
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

    /// Takes the state of some rows of another block of the same objectives, the
    /// first into row `to`.
    pub(crate) fn copy_rows(&mut self, to: usize, other: &Self, rows: &Range<usize>) {
        let objectives = self.pivots.len() / self.window_counts.len();
        copy_cells(&mut self.window_counts, to, &other.window_counts, rows, 1);
        copy_cells(&mut self.pivots, to, &other.pivots, rows, objectives);
    }

    /// Bytes of the state of one series.
    pub fn series_bytes(objectives: usize) -> usize {
        size_of::<u64>() + objectives * size_of::<Pivot>()
    }

    /// The state of some of its series.
    pub fn rows(&mut self, rows: Range<usize>, objectives: usize) -> StateRows<'_> {
        StateRows {
            pivots: &mut self.pivots[rows.start * objectives..rows.end * objectives],
            window_counts: &mut self.window_counts[rows],
        }
    }
}

impl StateRows<'_> {
    /// Forgets what was observed.
    pub(crate) fn clear(&mut self) {
        self.window_counts.fill(0);
        self.pivots.fill(Pivot::default());
    }
}

/// Observes this tick's sample for every series and updates its quantiles.
/// Quantiles of an empty window are NaN.
pub fn observe<C: Counted>(
    keys: &[u64],
    shared: &Shared<'_, C>,
    weights: Option<&[f64]>,
    state: &mut StateRows<'_>,
    before: (&[u64], &[f64]),
    now: &mut Rows<'_>,
    scratch: &mut Vec<u64>,
) {
    let objectives = shared.objectives.len();
    let (older, newer) = shared.window;
    let this_tick = *newer
        .last()
        .or(older.last())
        .expect("the window holds this tick");
    let window_ticks = older.len() + newer.len();
    assert_eq!(now.quantiles.len(), keys.len() * objectives);
    for (index, &series) in keys.iter().enumerate() {
        let weight = weights.map_or(1.0, |weights| weights[index]);
        let pivots = &mut state.pivots[index * objectives..][..objectives];
        let sample = shared.sample(series, weight, (0, &this_tick));
        let expired = shared.expired.as_ref();
        let old = expired.map(|tick| shared.sample(series, weight, (window_ticks, tick)));
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
            let lost = match (&old, expired) {
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
    fn position_at<C>(&self, tick: &TickKeys, shared: &Shared<'_, C>) -> Option<u64> {
        if self.scale == tick.scale {
            return Some(self.position);
        }
        let value = shared.values.value(self.position) * self.scale;
        // All of what lies below that position is at most the value.
        match shared.distribution.scaled_position(value, tick.scale) {
            u64::MAX => Some(u64::MAX),
            end => end.checked_sub(1),
        }
    }
}

impl TickKeys {
    /// What a series observed, by the mean number of observations.
    #[inline]
    fn sample(&self, series: u64, mean: f64) -> Sample {
        Sample::of(series, (self.value_key, self.count_key), mean)
    }
}

impl<C: Counted> Shared<'_, C> {
    /// What a series observed at a tick, which was so many ticks ago.
    #[inline]
    fn sample(&self, series: u64, weight: f64, (age, tick): (usize, &TickKeys)) -> Sample {
        let mean = match self.events {
            Some((older, newer)) => match newer.len().checked_sub(age + 1) {
                Some(place) => newer[place].count(series, weight),
                None => older[older.len() + newer.len() - 1 - age].count(series, weight),
            },
            None => tick.mean * weight,
        };
        tick.sample(series, mean)
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

/// Sets every pivot of a series to the exact quantile of its window of `count`
/// observations; of a window that is too large to be listed, to one well within
/// its allowance.
#[cold]
fn place<C: Counted>(
    series: u64,
    weight: f64,
    shared: &Shared<'_, C>,
    count: u64,
    pivots: &mut [Pivot],
    scratch: &mut Vec<u64>,
) {
    let window = Window {
        series,
        weight,
        shared,
        count,
    };
    let first_scale = window.ticks().next().map_or(1.0, |tick| tick.scale);
    if count > LISTED_MAX {
        window.search(pivots);
    } else if window.ticks().all(|tick| tick.scale == first_scale) {
        window.select_by_position(first_scale, pivots, scratch);
    } else {
        window.select_by_value(pivots, scratch);
    }
}

/// The observations of one series within the window.
struct Window<'a, C> {
    series: u64,
    weight: f64,
    shared: &'a Shared<'a, C>,
    /// How many there are, at least 1.
    count: u64,
}

impl<C: Counted> Window<'_, C> {
    fn ticks(&self) -> impl Iterator<Item = &TickKeys> {
        self.shared.window.0.iter().chain(self.shared.window.1)
    }

    /// Calls `each` with every tick, oldest first, and what was observed at it.
    #[inline]
    fn for_each_sample(&self, mut each: impl FnMut(&TickKeys, Sample)) {
        let Some((older, newer)) = self.shared.events else {
            return self
                .ticks()
                .for_each(|tick| each(tick, tick.sample(self.series, tick.mean * self.weight)));
        };
        let (older_ticks, newer_ticks) = self.shared.window;
        let before = older.len() + newer.len() - older_ticks.len() - newer_ticks.len();
        let counted = older.iter().chain(newer).skip(before);
        for (tick, events) in self.ticks().zip(counted) {
            each(
                tick,
                tick.sample(self.series, events.count(self.series, self.weight)),
            );
        }
    }

    /// How many observations lie at or below a pivot.
    fn rank_of(&self, pivot: &Pivot) -> u64 {
        let mut rank = 0;
        self.for_each_sample(|tick, sample| {
            rank += count_up_to(&sample, pivot.position_at(tick, self.shared));
        });
        rank
    }

    /// Exact quantiles of a window all of whose ticks have the same factor: values
    /// are in the order of positions.
    fn select_by_position(&self, scale: f64, pivots: &mut [Pivot], positions: &mut Vec<u64>) {
        positions.clear();
        self.for_each_sample(|_, sample| sample.list(positions));
        for (pivot, objective) in pivots.iter_mut().zip(self.shared.objectives) {
            let rank = wanted_rank(objective.quantile, self.count);
            let (_, position, _) = positions.select_nth_unstable(rank as usize - 1);
            *pivot = Pivot {
                position: *position,
                scale,
                rank,
            };
        }
    }

    /// Exact quantiles of a window whose ticks have several factors.
    fn select_by_value(&self, pivots: &mut [Pivot], scratch: &mut Vec<u64>) {
        let mut listed: Vec<(f64, Pivot)> = Vec::with_capacity(self.count as usize);
        self.for_each_sample(|tick, sample| {
            scratch.clear();
            sample.list(scratch);
            listed.extend(scratch.iter().map(|&position| {
                let pivot = Pivot {
                    position,
                    scale: tick.scale,
                    rank: 0,
                };
                (self.shared.values.value(position) * tick.scale, pivot)
            }));
        });
        let by_value = |a: &(f64, Pivot), b: &(f64, Pivot)| {
            let by_position = a.1.position.cmp(&b.1.position);
            a.0.total_cmp(&b.0).then(by_position)
        };
        for (pivot, objective) in pivots.iter_mut().zip(self.shared.objectives) {
            let rank = wanted_rank(objective.quantile, self.count);
            let (_, (_, found), _) = listed.select_nth_unstable_by(rank as usize - 1, by_value);
            // Where values of different ticks are the same but for rounding, this
            // rank may differ by a few. It has to be counted as it will be when
            // ticks come and go.
            *pivot = Pivot {
                rank: self.rank_of(found),
                ..*found
            };
        }
    }

    /// Pivots of about the wanted ranks, by halving.
    fn search(&self, pivots: &mut [Pivot]) {
        let mut scales: Vec<f64> = self.ticks().map(|tick| tick.scale).collect();
        scales.sort_unstable_by(f64::total_cmp);
        scales.dedup();
        for (pivot, objective) in pivots.iter_mut().zip(self.shared.objectives) {
            let wanted = wanted_rank(objective.quantile, self.count);
            // Half the allowance here leaves the other half to drift.
            let allowed = (0.5 * objective.rank_error * self.count as f64) as u64;
            let found = scales
                .iter()
                .map(|&scale| self.search_at(scale, wanted, allowed));
            let nearest = found.min_by_key(|found| found.rank.abs_diff(wanted));
            *pivot = nearest.expect("a window has a tick");
        }
    }

    /// A pivot whose rank is within `allowed` of the one wanted, else the nearest
    /// above, among positions at one factor.
    fn search_at(&self, scale: f64, wanted: u64, allowed: u64) -> Pivot {
        let at = |position: u64| {
            let mut pivot = Pivot {
                position,
                scale,
                rank: 0,
            };
            pivot.rank = self.rank_of(&pivot);
            pivot
        };
        let (mut lo, mut hi) = (0u64, u64::MAX);
        while lo < hi {
            let middle = u64::midpoint(lo, hi);
            let pivot = at(middle);
            if pivot.rank >= 1 && pivot.rank.abs_diff(wanted) <= allowed {
                return pivot;
            }
            if pivot.rank < wanted {
                lo = middle + 1;
            } else {
                hi = middle;
            }
        }
        at(lo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::distribution::Exponential;
    use crate::random::mix;

    const WINDOW_TICKS: usize = 30;
    const NO_EVENTS: Option<(&[Never], &[Never])> = None;

    enum Never {}

    impl Counted for Never {
        fn count(&self, _key: u64, _weight: f64) -> f64 {
            match *self {}
        }
    }

    /// At some ticks, quantiles lie within their rank error of the observations in
    /// the window, listed and sorted. Every ten ticks the factor is the other one.
    fn check(mean: f64, scales: [f64; 2]) {
        let distribution = Distribution::Exponential(Exponential { lambda: 1.0 });
        let values = distribution.table();
        let objectives = [(0.5, 0.05), (0.9, 0.01), (0.99, 0.001)];
        let objectives = objectives.map(|(quantile, rank_error)| Objective {
            quantile,
            rank_error,
        });
        let ticks = (0..60).map(|number| TickKeys {
            value_key: mix(number),
            count_key: mix(!number),
            mean,
            scale: scales[number as usize / 10 % 2],
        });
        let ticks: Vec<TickKeys> = ticks.collect();
        let series = 7;
        let mut state = State::new(1, objectives.len());
        let (mut count, mut sum) = ([0], [0.0]);
        for now in 0..ticks.len() {
            let start = (now + 1).saturating_sub(WINDOW_TICKS);
            let window = &ticks[start..=now];
            let shared = Shared {
                window: (window, &[]),
                expired: start.checked_sub(1).map(|left| ticks[left]),
                events: NO_EVENTS,
                objectives: &objectives,
                values: &values,
                distribution: &distribution,
            };
            let mut quantiles = [0.0; 3];
            let before = (count, sum);
            let mut rows = Rows {
                quantiles: &mut quantiles,
                counts: &mut count,
                sums: &mut sum,
            };
            let mut state = state.rows(0..1, objectives.len());
            let before = (&before.0[..], &before.1[..]);
            let mut scratch = Vec::new();
            observe(
                &[series],
                &shared,
                None,
                &mut state,
                before,
                &mut rows,
                &mut scratch,
            );
            if now % 13 != 12 {
                continue;
            }
            let mut observed = Vec::new();
            for tick in window {
                let mut positions = Vec::new();
                shared.sample(series, 1.0, (0, tick)).list(&mut positions);
                observed.extend(positions.iter().map(|&u| values.value(u) * tick.scale));
            }
            observed.sort_unstable_by(f64::total_cmp);
            let all = observed.len() as u64;
            for (objective, quantile) in objectives.iter().zip(quantiles) {
                let rank = observed.partition_point(|&value| value <= quantile) as u64;
                let distance = rank.abs_diff(wanted_rank(objective.quantile, all));
                let allowed = (objective.rank_error * all as f64) as u64;
                assert!(
                    distance <= allowed,
                    "tick {now}, {all} observations, {}: {distance} ranks off",
                    objective.quantile
                );
            }
        }
    }

    #[test]
    fn quantiles_of_listed_windows_are_within_their_error() {
        check(3.0, [1.0, 1.0]);
        check(3.0, [1.0, 0.25]);
    }

    #[test]
    fn quantiles_of_windows_too_large_to_list_are_within_their_error() {
        check(5000.0, [1.0, 1.0]);
        check(5000.0, [1.0, 0.25]);
    }
}
