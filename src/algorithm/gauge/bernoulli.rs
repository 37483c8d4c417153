//! `bernoulli`: 1 or 0 by chance.

use super::{Gauge, Run};
use crate::algorithm::{Algorithm, Definition, Form, Given, Need, Parameter};
use crate::random::{for_draws, threshold};

/// 1 with probability `p`, else 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bernoulli {
    /// Probability of 1.
    pub p: f64,
}

impl Algorithm for Bernoulli {
    type Context = (f64, f64);

    const DEFINITION: Definition = Definition {
        name: "bernoulli",
        parameters: &[Parameter {
            name: "p",
            form: Form::Number(0.0, 1.0),
            about: "Probability of 1 (else 0)",
            need: Need::Required,
        }],
    };

    fn check(given: &mut Given<'_>, _clamp: (f64, f64)) -> Self {
        Self {
            p: given.number("p"),
        }
    }
}

impl Gauge for Bernoulli {
    fn fill(&self, run: &Run<'_>, _before: Option<&[f64]>, now: &mut [f64]) {
        assert_eq!(run.keys.len(), now.len());
        let p = self.p * run.daily;
        if p >= 1.0 {
            return now.fill(1.0);
        }
        let threshold = threshold(p);
        for_draws(run.keys, run.value_key, |at, draws| {
            for (now, &bits) in now[at..].iter_mut().zip(draws) {
                *now = f64::from(u8::from(bits < threshold));
            }
        });
    }

    /// The time of day changes how probable a 1 is, a spike what it is.
    fn factor(&self, run: &Run<'_>) -> f64 {
        run.spike
    }
}
