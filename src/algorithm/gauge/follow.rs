//! `follow`: what another metric does, as a load follows the requests.

use super::{Gauge, Run};
use crate::algorithm::{Algorithm, Definition, Form, Given, MAGNITUDE_MAX, Need, Parameter};
use crate::random::for_draws;
use crate::random::quantile::QuantileTable;

/// `offset + gain × input`, smoothed, with noise. The input is another gauge's value,
/// or how much another counter grows per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Follow {
    /// Of the input.
    pub gain: f64,
    /// Added to it.
    pub offset: f64,
    /// Standard deviation of what is added at each tick, at least 0.
    pub noise: f64,
    /// Time in which a step of the input has come through to 63 %; 0 for at once.
    pub lag_ns: u64,
}

impl Algorithm for Follow {
    type Context = (f64, f64);

    const DEFINITION: Definition = Definition {
        name: "follow",
        parameters: &[
            Parameter {
                name: "of",
                form: Form::Metric,
                about: "Counter or gauge that it follows",
                need: Need::Required,
            },
            Parameter {
                name: "gain",
                form: Form::Number(-MAGNITUDE_MAX, MAGNITUDE_MAX),
                about: "What a gauge's value, or a counter's growth per second, is multiplied by",
                need: Need::Default(1.0),
            },
            Parameter {
                name: "offset",
                form: Form::Number(-MAGNITUDE_MAX, MAGNITUDE_MAX),
                about: "Added to that",
                need: Need::Default(0.0),
            },
            Parameter {
                name: "noise",
                form: Form::Number(0.0, MAGNITUDE_MAX),
                about: "Standard deviation of what is added at each tick",
                need: Need::Default(0.0),
            },
            Parameter {
                name: "lag",
                form: Form::SecondsOrNone,
                about: "Time constant in seconds (or `30s`) of an exponential smoothing",
                need: Need::Default(0.0),
            },
        ],
    };

    fn check(given: &mut Given<'_>, _clamp: (f64, f64)) -> Self {
        Self {
            gain: given.number("gain"),
            offset: given.number("offset"),
            noise: given.number("noise"),
            lag_ns: given.duration_ns("lag"),
        }
    }
}

impl Gauge for Follow {
    /// The input, smoothed. What is not finite does not move what is smoothed.
    fn fill(&self, run: &Run<'_>, before: Option<&[f64]>, now: &mut [f64]) {
        let Some(before) = before.filter(|_| self.lag_ns > 0) else {
            return now.copy_from_slice(run.input);
        };
        assert!(run.input.len() == now.len() && before.len() == now.len());
        for ((now, &before), &input) in now.iter_mut().zip(before).zip(run.input) {
            *now = smoothed(before, input, run.approach);
        }
    }

    fn remembers(&self) -> bool {
        self.lag_ns > 0
    }

    fn show(&self, run: &Run<'_>, values: &mut [f64]) {
        for value in &mut *values {
            *value = self.offset + self.gain * *value;
        }
        if self.noise == 0.0 {
            return;
        }
        assert_eq!(run.keys.len(), values.len());
        let normal = QuantileTable::normal();
        for_draws(run.keys, run.value_key, |at, draws| {
            for (value, &bits) in values[at..].iter_mut().zip(draws) {
                *value += self.noise * normal.value(bits);
            }
        });
    }

    fn shows_otherwise(&self) -> bool {
        true
    }

    fn is_normal(&self) -> bool {
        self.noise > 0.0
    }

    fn approach(&self, interval_ns: u64) -> f64 {
        if self.lag_ns == 0 {
            return 1.0;
        }
        -libm::expm1(-(interval_ns as f64 / self.lag_ns as f64))
    }
}

/// A value that goes on towards an input.
fn smoothed(before: f64, input: f64, approach: f64) -> f64 {
    if !input.is_finite() {
        before
    } else if before.is_finite() {
        before + approach * (input - before)
    } else {
        input
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_comes_through_within_the_lag() {
        let follow = Follow {
            gain: 1.0,
            offset: 0.0,
            noise: 0.0,
            lag_ns: 20,
        };
        let approach = follow.approach(2);
        let mut value = 0.0;
        for _ in 0..10 {
            value = smoothed(value, 1.0, approach);
        }
        assert!((value - (1.0 - (-1f64).exp())).abs() < 1e-12, "{value}");
        assert_eq!(smoothed(value, f64::NAN, approach), value);
        assert_eq!(smoothed(f64::INFINITY, 3.0, approach), 3.0);
    }
}
