//! Counters: totals that only grow.

mod constant;
mod poisson;

pub use constant::Constant;
pub use poisson::Poisson;

use std::fmt::Debug;

use super::algorithms;
use crate::random::discrete::PoissonTable;

algorithms! {
    /// How a counter grows. Checks are told the seconds between ticks.
    #[derive(Debug, Clone, Copy, PartialEq)]
    CounterAlgorithm(f64): Counter {
        Poisson,
        Constant,
    }
}

/// A counter algorithm as configured.
pub trait Counter: Debug + Send + Sync {
    /// Mean of an increment, `interval_s` after the one before; daily factor and spikes
    /// multiply it.
    fn mean(&self, interval_s: f64) -> f64;

    /// Adds this tick's increments to the totals of a run.
    fn advance(&self, run: &Run<'_>, before: &[f64], now: &mut [f64]);

    /// Whether increments of this mean are read from [`Run::table`].
    fn needs_table(&self, _mean: f64, _is_weighted: bool) -> bool {
        false
    }

    /// Whether increments depend on the keys of the series.
    fn needs_keys(&self) -> bool {
        true
    }
}

/// Neighbouring series of one counter that a modifier treats alike, at one tick.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Their label-set keys; none where nothing needs them.
    pub keys: &'a [u64],
    /// What their draws of this tick share.
    pub value_key: u64,
    /// Mean of an increment, at least 0.
    pub mean: f64,
    /// What multiplies it for each of the series, with a mean of 1 over all of the
    /// metric; 1 where there are none.
    pub weights: Option<&'a [f64]>,
    /// That of the mean, where it is needed.
    pub table: &'a PoissonTable,
}
