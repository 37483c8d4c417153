//! Counters: totals to which an algorithm adds.

use std::ops::Range;

use super::{Before, Filling, Kernel, Run};
use crate::algorithm::counter::{self, CounterAlgorithm};
use crate::engine::tick::{BaseTick, ClassTick, Common, spiked_mean};
use crate::random::discrete::{PoissonTable, TABLE_MEAN_MAX};

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
    /// That of the mean, where the algorithm needs it.
    table: PoissonTable,
}

impl Counter {
    pub(crate) fn new(algorithm: CounterAlgorithm, interval_s: f64) -> Self {
        Self {
            mean: algorithm.mean(interval_s),
            algorithm,
        }
    }

    fn needs_table(&self, common: &Common, mean: f64) -> bool {
        self.algorithm.needs_table(mean, common.weights.is_some())
    }
}

impl Kernel for Counter {
    type Class = Increments;
    type State = ();

    fn new_state(&self, _series: usize) {}

    fn copy_state(&self, (): &mut (), _: (usize, usize), (): &(), _: &Range<usize>) {}

    fn new_class(&self, common: &Common, _base: &BaseTick, matched: &[u32]) -> Increments {
        let mut class = Increments::default();
        if matched.is_empty() && self.needs_table(common, self.mean) {
            // The widest table of the day comes first, so that later ones find room.
            let widest = self.mean * (1.0 + common.diurnal.amplitude.abs());
            class.table.set_mean(widest.min(TABLE_MEAN_MAX));
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
        if self.needs_table(common, mean) {
            class.own.table.set_mean(mean);
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
            let Increments { mean, table } = &run.class.own;
            let seen = counter::Run {
                keys: if self.needs_keys() { run.keys() } else { &[] },
                value_key: run.base.value_key,
                mean: *mean,
                weights: run.weights(),
                table,
            };
            self.algorithm.advance(&seen, before, now);
        });
    }

    fn needs_keys(&self) -> bool {
        self.algorithm.needs_keys()
    }
}
