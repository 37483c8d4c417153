//! Counters: totals that only grow.

use crate::engine::discrete::{PoissonTable, TABLE_MEAN_MAX, poisson};
use crate::engine::rng::{Stream, draw, for_draws};

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
