//! Gauges: values that move within a range.

use std::ops::Range;

use super::{Before, Filling, Kernel, Run};
use crate::config::{Diurnal, GaugeAlgorithm};
use crate::engine::columns::{Columns, copy_cells};
use crate::engine::quantile::QuantileTable;
use crate::engine::rng::{draw, for_draws, unit};
use crate::engine::tick::{BaseTick, ClassTick, Common};
use crate::model::identity::threshold;

/// A gauge.
#[derive(Debug)]
pub(crate) struct Gauge {
    algorithm: GaugeAlgorithm,
    clamp: (f64, f64),
    /// Whether a daily factor keeps values from ever being a walk's positions.
    is_daily: bool,
}

/// The positions of walks, while what is shown differs from them.
pub(crate) type Walk = Option<Vec<f64>>;

impl Gauge {
    pub(crate) fn new(algorithm: GaugeAlgorithm, diurnal: Diurnal, clamp: (f64, f64)) -> Self {
        Self {
            algorithm,
            clamp,
            is_daily: diurnal.amplitude != 0.0,
        }
    }

    fn is_walk(&self) -> bool {
        matches!(self.algorithm, GaugeAlgorithm::RandomWalk { .. })
    }

    /// Whether what is shown may differ from the walks' positions.
    fn hides_walk(&self, base: &BaseTick) -> bool {
        self.is_walk() && (self.is_daily || base.effects.hides_state())
    }

    /// What a class's values are multiplied by.
    fn factor(run: &Run<'_, Self>) -> f64 {
        run.base.daily * run.class.factors.value
    }

    /// Values that depend on nothing but this tick; of walks the first ones.
    fn fill(&self, run: &Run<'_, Self>, now: &mut [f64]) {
        let base = run.base;
        let turn =
            |period_ns: u64| base.time_ns.rem_euclid(period_ns as i64) as f64 / period_ns as f64;
        let mut factor = Self::factor(run);
        match self.algorithm {
            GaugeAlgorithm::RandomWalk { start, .. } => now.fill(start),
            GaugeAlgorithm::Constant { value } => now.fill(value),
            GaugeAlgorithm::Bernoulli { p } => {
                // The time of day changes how probable a 1 is, a spike what it is.
                let p = p * base.daily;
                factor = run.class.factors.value;
                let threshold = (p < 1.0).then_some(threshold(p));
                bernoulli(run.keys(), base.value_key, threshold, now);
            }
            GaugeAlgorithm::Sine {
                middle,
                amplitude,
                period_ns,
                phase_spread,
            } => {
                let (turn, wave) = (turn(period_ns), (middle, amplitude));
                sine(run.keys(), base.phase_key, turn, phase_spread, wave, now);
            }
            GaugeAlgorithm::Sawtooth {
                min,
                max,
                period_ns,
                phase_spread,
            } => {
                let (turn, wave) = (turn(period_ns), (min, max));
                sawtooth(run.keys(), base.phase_key, turn, phase_spread, wave, now);
            }
        }
        scale_and_clamp_in_place(factor, self.clamp, now);
    }
}

impl Kernel for Gauge {
    type Class = ();
    type State = Walk;

    fn new_state(&self, _series: usize) -> Walk {
        None
    }

    fn copy_state(
        &self,
        state: &mut Walk,
        (to, len): (usize, usize),
        other: &Walk,
        rows: &Range<usize>,
    ) {
        if let Some(other) = other {
            let walk = state.get_or_insert_with(|| vec![0.0; len]);
            copy_cells(walk, to, other, rows, 1);
        }
    }

    fn new_class(&self, _common: &Common, _base: &BaseTick, _matched: &[u32]) {}

    fn advance_class(
        &self,
        _common: &Common,
        _base: &BaseTick,
        _matched: &[u32],
        _class: &mut ClassTick<()>,
    ) {
    }

    fn prepare<'a>(
        &self,
        base: &BaseTick,
        _classes: impl Iterator<Item = &'a ClassTick<()>>,
        _len: usize,
        before: &Columns,
        now: &mut Filling<'_, Walk>,
    ) {
        if self.hides_walk(base) && now.state.is_none() {
            *now.state = Some(before.values().to_vec());
        }
    }

    fn begin(&self, run: &Run<'_, Self>, now: &mut Filling<'_, Walk>) {
        let values = &mut now.columns.values_mut()[run.rows.clone()];
        self.fill(run, values);
        if let (GaugeAlgorithm::RandomWalk { start, .. }, Some(walk)) =
            (self.algorithm, &mut *now.state)
        {
            walk[run.rows.clone()].fill(start);
        }
    }

    fn advance(&self, run: &mut Run<'_, Self>, before: &Before<'_>, now: &mut Filling<'_, Walk>) {
        let rows = run.rows.clone();
        let values = &mut now.columns.values_mut()[rows.clone()];
        let GaugeAlgorithm::RandomWalk { step, .. } = self.algorithm else {
            return self.fill(run, values);
        };
        let (key, clamp, normal) = (run.base.value_key, self.clamp, QuantileTable::normal());
        if let Some(walk) = now.state {
            let walk = &mut walk[rows];
            values.copy_from_slice(walk);
            random_walk(run.keys(), key, normal, step, clamp, values, walk);
            scale_and_clamp(Self::factor(run), clamp, walk, values);
        } else {
            let before = &before.columns.values()[rows];
            random_walk(run.keys(), key, normal, step, clamp, before, values);
        }
    }

    fn finish(&self, base: &BaseTick, state: &mut Walk) {
        if !self.hides_walk(base) {
            // What is shown is the walk again.
            *state = None;
        }
    }

    #[cfg(test)]
    fn shared_bytes(&self) -> usize {
        if self.is_walk() {
            QuantileTable::normal().memory_bytes()
        } else {
            0
        }
    }

    fn state_bytes(&self) -> usize {
        if self.is_walk() && self.is_daily {
            size_of::<f64>()
        } else {
            0
        }
    }
}

/// Moves every value by a normal step of standard deviation `step` and
/// reflects it at both ends of `range` (which may be infinite).
pub fn random_walk(
    keys: &[u64],
    tick_key: u64,
    normal: &QuantileTable,
    step: f64,
    range: (f64, f64),
    before: &[f64],
    now: &mut [f64],
) {
    assert!(keys.len() == now.len() && before.len() == now.len());
    let (lo, hi) = range;
    for_draws(keys, tick_key, |at, draws| {
        let columns = now[at..].iter_mut().zip(&before[at..]);
        for ((now, &before), &bits) in columns.zip(draws) {
            let moved = before + step * normal.value(bits);
            *now = if moved >= lo && moved <= hi {
                moved
            } else {
                reflect(moved, lo, hi)
            };
        }
    });
}

/// Folds a value back into the range at whose ends it is reflected.
pub fn reflect(value: f64, lo: f64, hi: f64) -> f64 {
    let folded = if lo == f64::NEG_INFINITY {
        hi - (value - hi).abs()
    } else if hi == f64::INFINITY {
        lo + (value - lo).abs()
    } else {
        let width = hi - lo;
        let turn = (value - lo).abs() % (2.0 * width);
        if turn > width {
            hi - (turn - width)
        } else {
            lo + turn
        }
    };
    folded.clamp(lo, hi)
}

/// 1 for series whose draw is below `threshold / 2^64` (`None`: always), else 0.
pub fn bernoulli(keys: &[u64], tick_key: u64, threshold: Option<u64>, now: &mut [f64]) {
    assert_eq!(keys.len(), now.len());
    match threshold {
        None => now.fill(1.0),
        Some(threshold) => for_draws(keys, tick_key, |at, draws| {
            for (now, &bits) in now[at..].iter_mut().zip(draws) {
                *now = f64::from(u8::from(bits < threshold));
            }
        }),
    }
}

/// `middle + amplitude × sin(2π (turn + phase))`, where a series' phase is a fixed
/// draw of its own, from 0 to `spread`.
pub fn sine(
    keys: &[u64],
    phase_key: u64,
    turn: f64,
    spread: f64,
    (middle, amplitude): (f64, f64),
    now: &mut [f64],
) {
    let wave = |turn: f64| middle + amplitude * libm::sin(std::f64::consts::TAU * turn);
    periodic(keys, phase_key, turn, spread, wave, now);
}

/// Rises from `min` towards `max` with `turn`, phases as in [`sine`].
pub fn sawtooth(
    keys: &[u64],
    phase_key: u64,
    turn: f64,
    spread: f64,
    (min, max): (f64, f64),
    now: &mut [f64],
) {
    let wave = |turn: f64| min + (max - min) * turn;
    periodic(keys, phase_key, turn, spread, wave, now);
}

/// A wave at the turn (0 to 1) of each series.
#[inline(always)]
fn periodic(
    keys: &[u64],
    phase_key: u64,
    turn: f64,
    spread: f64,
    wave: impl Fn(f64) -> f64,
    now: &mut [f64],
) {
    assert_eq!(keys.len(), now.len());
    if spread == 0.0 {
        now.fill(wave(turn));
        return;
    }
    for (now, &series) in now.iter_mut().zip(keys) {
        *now = wave((turn + spread * unit(draw(series, phase_key))).fract());
    }
}

/// What is shown of a state: the state times a factor, kept within the range.
pub fn scale_and_clamp(factor: f64, (lo, hi): (f64, f64), state: &[f64], now: &mut [f64]) {
    assert_eq!(state.len(), now.len());
    for (now, &state) in now.iter_mut().zip(state) {
        *now = (state * factor).clamp(lo, hi);
    }
}

/// The same in place.
pub fn scale_and_clamp_in_place(factor: f64, (lo, hi): (f64, f64), now: &mut [f64]) {
    for now in now {
        *now = (*now * factor).clamp(lo, hi);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_are_reflected_not_piled_up() {
        assert_eq!(reflect(1.25, 0.0, 1.0), 0.75);
        assert_eq!(reflect(-0.25, 0.0, 1.0), 0.25);
        assert_eq!(reflect(2.25, 0.0, 1.0), 0.25);
        assert_eq!(reflect(-7.5, 0.0, 1.0), 0.5);
        assert_eq!(reflect(12.0, f64::NEG_INFINITY, 10.0), 8.0);
        assert_eq!(reflect(8.0, 10.0, f64::INFINITY), 12.0);
    }
}
