//! What the series of a family share at a tick, whatever their type.

use std::sync::Arc;

use crate::config::Diurnal;
use crate::engine::effect::{Effects, Factors, PointFaults};
use crate::random::{Lane, tick_key};

const DAY_NS: i64 = 86_400_000_000_000;
/// Means that a spike multiplied stay below this (or as they were).
const MEAN_MAX: f64 = 1e15;

/// What the series of a family share from tick to tick.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) name_key: u64,
    pub(crate) seed: u64,
    pub(crate) diurnal: Diurnal,
    /// Weight per series, mean 1, where the profile has a `zipf_alpha` or labels with weights; gauges have
    /// none.
    pub(crate) weights: Option<Arc<[f64]>>,
}

/// When ticks are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) epoch_ns: i64,
    pub(crate) interval_ns: u64,
}

/// What all classes of a family share at a tick: what no modifier changes.
#[derive(Debug, Default)]
pub(crate) struct BaseTick {
    pub(crate) number: u64,
    pub(crate) time_ns: i64,
    pub(crate) times: Times,
    /// The tick of the first observations that windows look back on.
    pub(crate) window_from: u64,
    /// Who was born before this tick counts as born with it: the first one that was run,
    /// where values follow from those before.
    pub(crate) history_from: u64,
    /// What acts on the family's series.
    pub(crate) effects: Arc<Effects>,
    /// Changes with `effects`.
    pub(crate) generation: u64,
    /// The family's name and the tick, for draws of values.
    pub(crate) value_key: u64,
    /// The same for draws of counts.
    pub(crate) count_key: u64,
    /// Constant key of phases.
    pub(crate) phase_key: u64,
    /// Daily factor.
    pub(crate) daily: f64,
}

/// What the series of one class share at a tick; `own` is what their type adds.
#[derive(Debug)]
pub(crate) struct ClassTick<C> {
    pub(crate) factors: Factors,
    pub(crate) faults: PointFaults,
    pub(crate) own: C,
}

/// The tick of the first observations of series that are born at a tick, when they
/// observe nothing yet.
pub(crate) fn first_observations(born_tick: u64) -> u64 {
    born_tick + 1
}

impl Times {
    /// Unix nanoseconds of a tick; ticks after the year 2262 have the last time there
    /// is.
    pub(crate) fn at(&self, tick: u64) -> i64 {
        tick_time_ns(self.epoch_ns, self.interval_ns, tick).unwrap_or(i64::MAX)
    }
}

/// Unix nanoseconds of a tick; `None` after the year 2262, where they end.
pub fn tick_time_ns(epoch_ns: i64, interval_ns: u64, tick: u64) -> Option<i64> {
    let passed_ns = i64::try_from(tick.checked_mul(interval_ns)?).ok()?;
    epoch_ns.checked_add(passed_ns)
}

impl Common {
    /// The key of draws of a family at a tick.
    pub(crate) fn key(&self, number: u64, lane: Lane) -> u64 {
        self.name_key ^ tick_key(self.seed, number, lane)
    }

    /// `1 + amplitude × sin(2π (time of day + phase))`, exactly 1 without amplitude.
    pub(crate) fn daily(&self, time_ns: i64) -> f64 {
        if self.diurnal.amplitude == 0.0 {
            return 1.0;
        }
        let day = time_ns.rem_euclid(DAY_NS) as f64 / DAY_NS as f64;
        let wave = libm::sin(std::f64::consts::TAU * (day + self.diurnal.phase).rem_euclid(1.0));
        (1.0 + self.diurnal.amplitude * wave).max(0.0)
    }
}

impl BaseTick {
    /// Before the first tick.
    pub(crate) fn new(times: Times, window_from: u64, history_from: u64) -> Self {
        Self {
            times,
            window_from,
            history_from,
            ..Self::default()
        }
    }

    /// A tick of its own, at a time: for draws that look at no other one.
    pub(crate) fn alone((number, time_ns): (u64, i64), effects: &Arc<Effects>) -> Self {
        Self {
            number,
            // Any tick is at the time of this one.
            times: Times {
                epoch_ns: time_ns,
                interval_ns: 0,
            },
            effects: Arc::clone(effects),
            ..Self::default()
        }
    }

    /// Brings it to a tick.
    pub(crate) fn advance(&mut self, common: &Common, number: u64) {
        self.number = number;
        self.time_ns = self.times.at(number);
        self.value_key = common.key(number, Lane::Value);
        self.count_key = common.key(number, Lane::Count);
        self.phase_key = common.key(0, Lane::Phase);
        self.daily = common.daily(self.time_ns);
    }
}

/// A mean times a spike's factor, kept where counts don't overflow.
pub(crate) fn spiked_mean(mean: f64, factor: f64) -> f64 {
    if factor == 1.0 {
        mean
    } else {
        (mean * factor).min(mean.max(MEAN_MAX))
    }
}
