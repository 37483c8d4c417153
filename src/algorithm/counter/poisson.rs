//! `poisson`: random increments, as events that know nothing of each other give them.

use super::{Counter, Run, Tables};
use crate::algorithm::{Algorithm, Definition, Form, Given, Need, Parameter};
use crate::random::discrete::{PoissonTable, TABLE_MEAN_MAX, poisson};
use crate::random::{Stream, draw, for_draws};

/// Poisson increments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Poisson {
    /// Mean per second, at least 0.
    pub rate_per_s: f64,
}

impl Algorithm for Poisson {
    type Context = f64;

    const DEFINITION: Definition = Definition {
        name: "poisson",
        parameters: &[Parameter {
            name: "base_rate",
            form: Form::Number(0.0, 1e12),
            about: "Events per second and series",
            need: Need::Required,
        }],
    };

    fn check(given: &mut Given<'_>, _interval_s: f64) -> Self {
        Self {
            rate_per_s: given.number("base_rate"),
        }
    }
}

impl Counter for Poisson {
    fn mean(&self, interval_s: f64) -> f64 {
        self.rate_per_s * interval_s
    }

    fn advance(&self, run: &Run<'_>, before: &[f64], now: &mut [f64]) {
        if needs_table(run.mean, run.weights.is_some()) {
            shared(run.keys, run.value_key, &run.tables.poisson, before, now);
        } else {
            each(run, before, now);
        }
    }

    fn one(&self, run: &Run<'_>) -> f64 {
        if needs_table(run.mean, run.weights.is_some()) {
            let bits = draw(run.keys[0], run.value_key);
            run.tables.poisson.value(bits) as i64 as f64
        } else {
            weighted(run, 0)
        }
    }

    fn prepare(&self, mean: f64, is_weighted: bool, tables: &mut Tables) {
        if needs_table(mean, is_weighted) {
            tables.poisson.set_mean(mean);
        }
    }

    fn make_room(&self, mean: f64, amplitude: f64, is_weighted: bool, tables: &mut Tables) {
        if needs_table(mean, is_weighted) {
            let widest = mean * (1.0 + amplitude.abs());
            tables.poisson.set_mean(widest.min(TABLE_MEAN_MAX));
        }
    }
}

/// Whether increments of this mean are read from a table.
fn needs_table(mean: f64, is_weighted: bool) -> bool {
    !is_weighted && mean <= TABLE_MEAN_MAX
}

/// Draws for series that all have the table's mean.
fn shared(keys: &[u64], tick_key: u64, table: &PoissonTable, before: &[f64], now: &mut [f64]) {
    assert!(keys.len() == now.len() && before.len() == now.len());
    for_draws(keys, tick_key, |at, draws| {
        let columns = now[at..].iter_mut().zip(&before[at..]);
        for ((now, &before), &bits) in columns.zip(draws) {
            *now = before + table.value(bits) as i64 as f64;
        }
    });
}

/// Draws for series each of which has a mean of its own, or one too large for a table.
fn each(run: &Run<'_>, before: &[f64], now: &mut [f64]) {
    assert!(run.keys.len() == now.len() && before.len() == now.len());
    for index in 0..now.len() {
        now[index] = before[index] + weighted(run, index);
    }
}

/// The increment of a series by its own mean.
fn weighted(run: &Run<'_>, index: usize) -> f64 {
    let mean = run.mean * run.weights.map_or(1.0, |weights| weights[index]);
    let bits = draw(run.keys[index], run.value_key);
    poisson(mean, &mut Stream::new(bits))
}
