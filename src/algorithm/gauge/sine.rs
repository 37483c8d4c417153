//! `sine`: a wave around a mean.

use super::wave::{PERIOD, PHASE_SPREAD, periodic, rising};
use super::{Gauge, Run};
use crate::algorithm::{Algorithm, Definition, Form, Given, MAGNITUDE_MAX, Need, Parameter};

/// `middle + amplitude × sin(2π t / period)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sine {
    /// Mean of the wave.
    pub middle: f64,
    /// Half of its height.
    pub amplitude: f64,
    /// Period in nanoseconds, more than 0.
    pub period_ns: u64,
    /// Series are spread over this share of a period, 0 to 1.
    pub phase_spread: f64,
}

impl Algorithm for Sine {
    type Context = (f64, f64);

    const DEFINITION: Definition = Definition {
        name: "sine",
        parameters: &[
            Parameter {
                name: "min",
                form: Form::Number(-MAGNITUDE_MAX, MAGNITUDE_MAX),
                about: "Lowest value",
                need: Need::Rule("with `max`"),
            },
            Parameter {
                name: "max",
                form: Form::Number(-MAGNITUDE_MAX, MAGNITUDE_MAX),
                about: "Highest value",
                need: Need::Rule("with `min`"),
            },
            Parameter {
                name: "amplitude",
                form: Form::Number(0.0, MAGNITUDE_MAX),
                about: "Half of the wave's height",
                need: Need::Rule("instead of `min` and `max`"),
            },
            Parameter {
                name: "offset",
                form: Form::Number(-MAGNITUDE_MAX, MAGNITUDE_MAX),
                about: "Mean of the wave",
                need: Need::Rule("with `amplitude`; default: 0"),
            },
            PERIOD,
            PHASE_SPREAD,
        ],
    };

    fn check(given: &mut Given<'_>, _clamp: (f64, f64)) -> Self {
        let (middle, amplitude) = wave(given);
        Self {
            middle,
            amplitude,
            period_ns: given.duration_ns("period_s"),
            phase_spread: given.number("phase_spread"),
        }
    }
}

/// Middle and amplitude, from either way of writing them.
fn wave(given: &mut Given<'_>) -> (f64, f64) {
    const WAYS: &str = "gauge sine takes min and max, or amplitude and offset";
    const UNKNOWN: (f64, f64) = (f64::NAN, f64::NAN);
    let names = ["min", "max", "amplitude", "offset"];
    if names.iter().any(|name| given.is_unreadable(name)) {
        return UNKNOWN;
    }
    let [by_min, by_max, by_amplitude, by_offset] = names.map(|name| given.value(name).is_some());
    let (by_ends, by_size) = (by_min || by_max, by_amplitude || by_offset);
    if by_ends && by_size {
        let name = if by_amplitude { "amplitude" } else { "offset" };
        given.unfit(name, format!("{WAYS}, not both; keep one pair"));
        return UNKNOWN;
    }
    if by_ends {
        let mut end = |name: &str, other: &str| {
            given.optional(name).unwrap_or_else(|| {
                given.missing(name, format!("missing; gauge sine with {other} needs it"));
                f64::NAN
            })
        };
        let (min, max) = (end("min", "max"), end("max", "min"));
        rising(given, min, max);
        return (min / 2.0 + max / 2.0, max / 2.0 - min / 2.0);
    }
    let Some(amplitude) = given.optional("amplitude") else {
        if by_size {
            given.missing("amplitude", "missing; gauge sine with offset needs it");
        } else {
            given.missing("min", format!("missing; {WAYS}"));
        }
        return UNKNOWN;
    };
    (given.optional("offset").unwrap_or(0.0), amplitude)
}

impl Gauge for Sine {
    fn fill(&self, run: &Run<'_>, _before: Option<&[f64]>, now: &mut [f64]) {
        let (middle, amplitude) = (self.middle, self.amplitude);
        let wave = |turn: f64| middle + amplitude * libm::sin(std::f64::consts::TAU * turn);
        periodic(run, self.period_ns, self.phase_spread, wave, now);
    }
}
