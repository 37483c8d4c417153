//! Gauges: values that move within a range.

mod bernoulli;
mod constant;
mod follow;
mod random_walk;
mod sawtooth;
mod sine;
mod wave;

pub use bernoulli::Bernoulli;
pub use constant::Constant;
pub use follow::Follow;
pub use random_walk::{RandomWalk, reflect};
pub use sawtooth::Sawtooth;
pub use sine::Sine;

use std::fmt::Debug;

use super::algorithms;

algorithms! {
    /// How a gauge moves. Checks are told the clamp.
    #[derive(Debug, Clone, Copy, PartialEq)]
    GaugeAlgorithm((f64, f64)): Gauge {
        RandomWalk,
        Sine,
        Bernoulli,
        Sawtooth,
        Constant,
        Follow,
    }
}

/// A gauge algorithm as configured.
pub trait Gauge: Debug + Send + Sync {
    /// Fills the values of a run; `before` are those of the tick before, and none at
    /// the first tick.
    fn fill(&self, run: &Run<'_>, before: Option<&[f64]>, now: &mut [f64]);

    /// Whether a value follows from the one before. Then what is filled is kept apart
    /// from what is shown, where that differs.
    fn remembers(&self) -> bool {
        false
    }

    /// What the values that were filled are multiplied by, before they are clamped.
    fn factor(&self, run: &Run<'_>) -> f64 {
        run.daily * run.spike
    }

    /// What is shown of the values that were filled, before they are multiplied.
    fn show(&self, _run: &Run<'_>, _values: &mut [f64]) {}

    /// Whether [`Self::show`] changes values.
    fn shows_otherwise(&self) -> bool {
        false
    }

    /// Whether values are read from the table of normal quantiles.
    fn is_normal(&self) -> bool {
        false
    }

    /// How far a tick of so many nanoseconds moves a value towards the input, 0 to 1.
    fn approach(&self, _interval_ns: u64) -> f64 {
        1.0
    }
}

/// Neighbouring series of one gauge that a modifier treats alike, at one tick.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Their label-set keys.
    pub keys: &'a [u64],
    /// What their draws of this tick share.
    pub value_key: u64,
    /// What their draws for all ticks share.
    pub phase_key: u64,
    /// Unix nanoseconds.
    pub time_ns: i64,
    /// The daily factor, at least 0.
    pub daily: f64,
    /// The factor of spikes, at least 0.
    pub spike: f64,
    /// The lowest and the highest value; infinite where there is none.
    pub clamp: (f64, f64),
    /// What the values follow: those of another gauge, or how much another counter grows
    /// per second; none where they follow nothing.
    pub input: &'a [f64],
    /// As [`Gauge::approach`] tells.
    pub approach: f64,
}
