//! Counters: totals that only grow.

use std::ops::Range;

use super::{Before, Filling, Kernel, Run};
use crate::config::CounterAlgorithm;
use crate::engine::discrete::{PoissonTable, TABLE_MEAN_MAX, poisson};
use crate::engine::rng::{Stream, draw, for_draws};
use crate::engine::tick::{BaseTick, ClassTick, Common, spiked_mean};

/// A counter.
#[derive(Debug)]
pub(crate) struct Counter {
    algorithm: CounterAlgorithm,
    /// Mean of an increment, without daily factor.
    mean: f64,
}

/// How much the series of a class grow at a tick.
#[derive(Debug, Default)]
pub(crate) struct Increments {
    mean: f64,
    /// Of that mean, where all series draw from one table.
    poisson: PoissonTable,
}

impl Counter {
    pub(crate) fn new(algorithm: CounterAlgorithm, interval_s: f64) -> Self {
        let mean = match algorithm {
            CounterAlgorithm::Poisson { rate_per_s } => rate_per_s * interval_s,
            CounterAlgorithm::Constant { increment_per_tick } => increment_per_tick,
        };
        Self { algorithm, mean }
    }

    /// Whether all series of a class draw from one table.
    fn is_tabulated(&self, common: &Common, mean: f64) -> bool {
        let is_poisson = matches!(self.algorithm, CounterAlgorithm::Poisson { .. });
        is_poisson && common.weights.is_none() && is_tabulated(mean)
    }
}

impl Kernel for Counter {
    type Class = Increments;
    type State = ();

    fn new_state(&self, _series: usize) {}

    fn copy_state(&self, (): &mut (), _: (usize, usize), (): &(), _: &Range<usize>) {}

    fn new_class(&self, common: &Common, _base: &BaseTick, matched: &[u32]) -> Increments {
        let mut class = Increments::default();
        if matched.is_empty() && self.is_tabulated(common, self.mean) {
            // The widest table of the day comes first, so that later ones find room.
            let widest = self.mean * (1.0 + common.diurnal.amplitude.abs());
            class.poisson.set_mean(widest.min(TABLE_MEAN_MAX));
        }
        class
    }

    fn advance_class(
        &self,
        common: &Common,
        base: &BaseTick,
        _matched: &[u32],
        class: &mut ClassTick<Increments>,
    ) {
        let mean = spiked_mean(base.daily * self.mean, class.factors.rate);
        class.own.mean = mean;
        if self.is_tabulated(common, mean) {
            class.own.poisson.set_mean(mean);
        }
    }

    fn begin(&self, run: &Run<'_, Self>, now: &mut Filling<'_, ()>) {
        now.columns.values_mut()[run.rows.clone()].fill(0.0);
    }

    fn advance(&self, run: &mut Run<'_, Self>, before: &Before<'_>, now: &mut Filling<'_, ()>) {
        let rows = run.rows.clone();
        let growths = (before.growth, &mut *now.growth);
        let before = &before.columns.values()[rows.clone()];
        let now = &mut now.columns.values_mut()[rows];
        run.growing(growths, before, now, |run, before, now| {
            let (key, weights) = (run.base.value_key, run.weights());
            let Increments { mean, poisson } = &run.class.own;
            match self.algorithm {
                CounterAlgorithm::Constant { .. } => constant(*mean, weights, before, now),
                CounterAlgorithm::Poisson { .. } if self.is_tabulated(run.common, *mean) => {
                    poisson_shared(run.keys(), key, poisson, before, now);
                }
                CounterAlgorithm::Poisson { .. } => {
                    poisson_each(run.keys(), key, *mean, weights, before, now);
                }
            }
        });
    }

    fn needs_keys(&self) -> bool {
        !matches!(self.algorithm, CounterAlgorithm::Constant { .. })
    }
}

/// Adds a Poisson draw to every total; all series have the table's mean.
pub fn poisson_shared(
    keys: &[u64],
    tick_key: u64,
    table: &PoissonTable,
    before: &[f64],
    now: &mut [f64],
) {
    assert!(keys.len() == now.len() && before.len() == now.len());
    for_draws(keys, tick_key, |at, draws| {
        let columns = now[at..].iter_mut().zip(&before[at..]);
        for ((now, &before), &bits) in columns.zip(draws) {
            *now = before + table.value(bits) as i64 as f64;
        }
    });
}

/// Adds a Poisson draw to every total; the mean of a series is `mean` times
/// its weight (1 where there are no weights).
pub fn poisson_each(
    keys: &[u64],
    tick_key: u64,
    mean: f64,
    weights: Option<&[f64]>,
    before: &[f64],
    now: &mut [f64],
) {
    assert!(keys.len() == now.len() && before.len() == now.len());
    for index in 0..now.len() {
        let mean = mean * weights.map_or(1.0, |weights| weights[index]);
        let increment = poisson(mean, &mut Stream::new(draw(keys[index], tick_key)));
        now[index] = before[index] + increment;
    }
}

/// Whether a mean that all series share is drawn from a table, by
/// [`poisson_shared`].
pub fn is_tabulated(mean: f64) -> bool {
    mean <= TABLE_MEAN_MAX
}

/// Adds the same increment, times the series' weight, to every total.
pub fn constant(increment: f64, weights: Option<&[f64]>, before: &[f64], now: &mut [f64]) {
    assert_eq!(before.len(), now.len());
    match weights {
        None => {
            for (now, &before) in now.iter_mut().zip(before) {
                *now = before + increment;
            }
        }
        Some(weights) => {
            for ((now, &before), &weight) in now.iter_mut().zip(before).zip(weights) {
                *now = before + increment * weight;
            }
        }
    }
}
