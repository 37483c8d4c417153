//! Gauges: values that move within a range.

use crate::engine::quantile::QuantileTable;
use crate::engine::rng::{draw, for_draws, unit};

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
