//! `constant`: the same increment at every tick.

use super::{Counter, Run};
use crate::algorithm::{Algorithm, Definition, Form, Given, Need, Parameter};

/// The most that a rate or an increment may be.
const RATE_MAX: f64 = 1e12;

/// The same increment at every tick, whether it was written per tick or per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constant {
    /// Added per tick, at least 0.
    pub increment_per_tick: f64,
}

impl Algorithm for Constant {
    type Context = f64;

    const DEFINITION: Definition = Definition {
        name: "constant",
        parameters: &[
            Parameter {
                name: "base_rate",
                form: Form::Number(0.0, RATE_MAX),
                about: "Events per second and series",
                need: Need::Rule("this or `increment`"),
            },
            Parameter {
                name: "increment",
                form: Form::Number(0.0, RATE_MAX),
                about: "Added at every tick",
                need: Need::Rule("instead of `base_rate`"),
            },
        ],
    };

    fn check(given: &mut Given<'_>, interval_s: f64) -> Self {
        let increment_per_tick = match (given.optional("base_rate"), given.optional("increment")) {
            (Some(_), Some(_)) => {
                given.unfit(
                    "increment",
                    "base_rate (per second) and increment (per tick) are both set; keep one",
                );
                0.0
            }
            (None, None) => {
                if !given.is_unreadable("increment") {
                    given.missing(
                        "base_rate",
                        "missing; counter constant needs base_rate (per second) or increment \
                         (per tick)",
                    );
                }
                0.0
            }
            (Some(rate), None) => rate * interval_s,
            (None, Some(increment)) => increment,
        };
        Self { increment_per_tick }
    }
}

impl Counter for Constant {
    fn mean(&self, _interval_s: f64) -> f64 {
        self.increment_per_tick
    }

    fn advance(&self, run: &Run<'_>, before: &[f64], now: &mut [f64]) {
        assert_eq!(before.len(), now.len());
        let increment = run.mean;
        match run.weights {
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

    fn needs_keys(&self) -> bool {
        false
    }
}
