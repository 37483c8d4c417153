//! `sawtooth`: rises within a period, then falls back.

use super::wave::{PERIOD, PHASE_SPREAD, periodic, rising};
use super::{Gauge, Run};
use crate::algorithm::{Algorithm, Definition, Form, Given, MAGNITUDE_MAX, Need, Parameter};

/// Rises from `min` to `max` within a period, then falls back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sawtooth {
    /// Lowest value.
    pub min: f64,
    /// Upper limit, not reached.
    pub max: f64,
    /// Period in nanoseconds, more than 0.
    pub period_ns: u64,
    /// Series are spread over this share of a period, 0 to 1.
    pub phase_spread: f64,
}

impl Algorithm for Sawtooth {
    type Context = (f64, f64);

    const DEFINITION: Definition = Definition {
        name: "sawtooth",
        parameters: &[
            Parameter {
                name: "min",
                form: Form::Number(-MAGNITUDE_MAX, MAGNITUDE_MAX),
                about: "Lowest value",
                need: Need::Required,
            },
            Parameter {
                name: "max",
                form: Form::Number(-MAGNITUDE_MAX, MAGNITUDE_MAX),
                about: "Highest value, which a sawtooth does not reach",
                need: Need::Required,
            },
            PERIOD,
            PHASE_SPREAD,
        ],
    };

    fn check(given: &mut Given<'_>, _clamp: (f64, f64)) -> Self {
        let (min, max) = (given.number("min"), given.number("max"));
        rising(given, min, max);
        Self {
            min,
            max,
            period_ns: given.duration_ns("period_s"),
            phase_spread: given.number("phase_spread"),
        }
    }
}

impl Gauge for Sawtooth {
    fn fill(&self, run: &Run<'_>, _before: Option<&[f64]>, now: &mut [f64]) {
        let wave = |turn: f64| self.min + (self.max - self.min) * turn;
        periodic(run, self.period_ns, self.phase_spread, wave, now);
    }
}
