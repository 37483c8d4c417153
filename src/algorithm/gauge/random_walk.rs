//! `random_walk`: normal steps, reflected at the clamp.

use super::{Gauge, Run};
use crate::algorithm::{Algorithm, Definition, Form, Given, MAGNITUDE_MAX, Need, Parameter};
use crate::random::for_draws;
use crate::random::quantile::QuantileTable;
use crate::readable::{float_text, outside};

/// Normal steps, reflected at the clamp.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomWalk {
    /// Value at tick 0, within the clamp.
    pub start: f64,
    /// Standard deviation of a step, at least 0.
    pub step: f64,
}

impl Algorithm for RandomWalk {
    type Context = (f64, f64);

    const DEFINITION: Definition = Definition {
        name: "random_walk",
        parameters: &[
            Parameter {
                name: "start",
                form: Form::AnyNumber,
                about: "First value",
                need: Need::Rule("default: the middle of `clamp`, else 0"),
            },
            Parameter {
                name: "step",
                form: Form::Number(0.0, MAGNITUDE_MAX),
                about: "Standard deviation of a tick's step",
                need: Need::Required,
            },
        ],
    };

    fn check(given: &mut Given<'_>, clamp: (f64, f64)) -> Self {
        let middle = if clamp.0.is_finite() {
            clamp.0 / 2.0 + clamp.1 / 2.0
        } else {
            0.0
        };
        let start = given.value("start").unwrap_or(middle);
        start_within(given, start, clamp, false);
        Self {
            start,
            step: given.number("step"),
        }
    }
}

/// Reports a `start` that is out of the clamp, or not finite where that is not allowed.
pub(super) fn start_within(
    given: &mut Given<'_>,
    start: f64,
    (lo, hi): (f64, f64),
    allow_nan: bool,
) {
    let message = if !start.is_finite() && !allow_nan {
        Some(format!(
            "expected a finite number, found {} (a gauge constant may have it with allow_nan: \
             true)",
            float_text(start)
        ))
    } else if start < lo || start > hi {
        let (start, lo, hi) = (float_text(start), float_text(lo), float_text(hi));
        Some(format!("{start} is outside of clamp, {lo} to {hi}"))
    } else if start.is_finite() {
        outside(start, &(-MAGNITUDE_MAX..=MAGNITUDE_MAX))
    } else {
        None
    };
    if let Some(message) = message {
        given.wrong("start", message);
    }
}

impl Gauge for RandomWalk {
    fn fill(&self, run: &Run<'_>, before: Option<&[f64]>, now: &mut [f64]) {
        let Some(before) = before else {
            return now.fill(self.start);
        };
        assert!(run.keys.len() == now.len() && before.len() == now.len());
        let (step, (lo, hi)) = (self.step, run.clamp);
        let normal = QuantileTable::normal();
        for_draws(run.keys, run.value_key, |at, draws| {
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

    fn remembers(&self) -> bool {
        true
    }

    fn is_normal(&self) -> bool {
        true
    }
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
