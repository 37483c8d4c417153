//! Counters: totals that only grow.

mod constant;
mod poisson;
mod share;

pub use constant::Constant;
pub use poisson::Poisson;
pub use share::Share;

use std::fmt::Debug;

use super::algorithms;
use crate::random::discrete::PoissonTable;
use crate::random::thinning::Thinning;

algorithms! {
    /// How a counter grows. Checks are told the seconds between ticks.
    #[derive(Debug, Clone, Copy, PartialEq)]
    CounterAlgorithm(f64): Counter {
        Poisson,
        Constant,
        Share,
    }
}

/// A counter algorithm as configured.
pub trait Counter: Debug + Send + Sync {
    /// Mean of an increment, `interval_s` after the one before; daily factor and spikes
    /// multiply it.
    fn mean(&self, interval_s: f64) -> f64;

    /// Adds this tick's increments to the totals of a run.
    fn advance(&self, run: &Run<'_>, before: &[f64], now: &mut [f64]);

    /// The increment of a run of one series.
    fn one(&self, run: &Run<'_>) -> f64 {
        let mut now = [0.0];
        self.advance(run, &[0.0], &mut now);
        now[0]
    }

    /// Makes the tables that increments of this mean are read from.
    fn prepare(&self, _mean: f64, _is_weighted: bool, _tables: &mut Tables) {}

    /// Makes the largest tables that a daily factor of this amplitude asks for, so that
    /// later ones find room.
    fn make_room(&self, _mean: f64, _amplitude: f64, _is_weighted: bool, _tables: &mut Tables) {}

    /// Whether increments depend on the keys of the series.
    fn needs_keys(&self) -> bool {
        true
    }
}

/// What increments are read from, as far as an algorithm needs it.
#[derive(Debug, Default, Clone)]
pub struct Tables {
    /// Numbers of events of one mean.
    pub poisson: PoissonTable,
    /// Shares of events.
    pub thinning: Thinning,
}

/// Neighbouring series of one counter that a modifier treats alike, at one tick.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Their label-set keys; none where nothing needs them.
    pub keys: &'a [u64],
    /// What their draws of this tick share.
    pub value_key: u64,
    /// Mean of an increment, at least 0; of a share that of an event.
    pub mean: f64,
    /// What multiplies it for each of the series, with a mean of 1 over all of the
    /// metric; 1 where there are none.
    pub weights: Option<&'a [f64]>,
    /// Those of the mean, where they are needed.
    pub tables: &'a Tables,
    /// How much the other counter grows whose events these count; none where there is
    /// no other one.
    pub events: &'a [f64],
}
