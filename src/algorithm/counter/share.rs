//! `share`: some of the events of another counter, each by chance.

use super::{Counter, Run, Tables};
use crate::algorithm::{Algorithm, Definition, Form, Given, Need, Parameter};
use crate::random::{draw, for_draws};

/// Each event of another counter counts with probability `p`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// The probability.
    pub p: f64,
}

impl Algorithm for Share {
    type Context = f64;

    const DEFINITION: Definition = Definition {
        name: "share",
        parameters: &[
            Parameter {
                name: "of",
                form: Form::Metric,
                about: "Counter whose events are counted",
                need: Need::Required,
            },
            Parameter {
                name: "p",
                form: Form::Number(0.0, 1.0),
                about: "Probability that an event counts",
                need: Need::Required,
            },
        ],
    };

    fn check(given: &mut Given<'_>, _interval_s: f64) -> Self {
        Self {
            p: given.number("p"),
        }
    }
}

impl Counter for Share {
    fn mean(&self, _interval_s: f64) -> f64 {
        self.p
    }

    fn advance(&self, run: &Run<'_>, before: &[f64], now: &mut [f64]) {
        assert!(run.events.len() == now.len() && before.len() == now.len());
        assert_eq!(run.keys.len(), now.len());
        let thinning = &run.tables.thinning;
        for_draws(run.keys, run.value_key, |at, draws| {
            let events = run.events[at..].iter().zip(draws);
            let columns = now[at..].iter_mut().zip(&before[at..]);
            for ((now, &before), (&events, &bits)) in columns.zip(events) {
                *now = before + thinning.of(events, bits);
            }
        });
    }

    fn prepare(&self, mean: f64, _is_weighted: bool, tables: &mut Tables) {
        tables.thinning.set(mean);
    }

    fn make_room(&self, mean: f64, amplitude: f64, _is_weighted: bool, tables: &mut Tables) {
        // Halves have the widest tables.
        let (least, most) = (
            mean * (1.0 - amplitude.abs()),
            mean * (1.0 + amplitude.abs()),
        );
        tables.thinning.set(least.max(0.5).min(most));
    }

    fn one(&self, run: &Run<'_>) -> f64 {
        let bits = draw(run.keys[0], run.value_key);
        run.tables.thinning.of(run.events[0], bits)
    }
}
