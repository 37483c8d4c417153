//! `exponential`: times between events that know nothing of each other.

use super::Continuous;
use crate::algorithm::distribution::Components;
use crate::algorithm::{Algorithm, Definition, Form, Given, Need, Parameter};
use crate::readable::float_text;

const RATE: Form = Form::Number(1e-100, 1e100);

/// Exponential with rate `lambda`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exponential {
    /// Rate, more than 0; the mean is its inverse.
    pub lambda: f64,
}

impl Algorithm for Exponential {
    type Context = Components;

    const DEFINITION: Definition = Definition {
        name: "exponential",
        parameters: &[
            Parameter {
                name: "lam",
                form: RATE,
                about: "Rate of the exponential distribution, whose mean is 1/lam",
                need: Need::Rule("this or `lambda`"),
            },
            Parameter {
                name: "lambda",
                form: RATE,
                about: "Another name of `lam`",
                need: Need::Rule("give one of them"),
            },
        ],
    };

    fn check(given: &mut Given<'_>, _components: Components) -> Self {
        let lambda = match (given.value("lam"), given.value("lambda")) {
            (Some(_), Some(_)) => {
                given.unfit("lambda", "is the same as lam; keep one of them");
                f64::NAN
            }
            (None, None) if given.is_unreadable("lambda") => f64::NAN,
            (None, Some(lambda)) => rate(given, "lambda", lambda),
            (Some(lambda), None) => rate(given, "lam", lambda),
            (None, None) => given.number("lam"),
        };
        Self { lambda }
    }
}

fn rate(given: &mut Given<'_>, name: &str, lambda: f64) -> f64 {
    if lambda > 0.0 {
        return given.number(name);
    }
    let found = float_text(lambda);
    given.wrong(name, format!("must be more than 0, found {found}"));
    lambda
}

impl Continuous for Exponential {
    fn cdf(&self, x: f64) -> f64 {
        if x <= 0.0 {
            0.0
        } else {
            -libm::expm1(-self.lambda * x)
        }
    }

    fn survival(&self, x: f64) -> f64 {
        if x <= 0.0 {
            1.0
        } else {
            libm::exp(-self.lambda * x)
        }
    }

    fn density(&self, x: f64) -> f64 {
        self.lambda * libm::exp(-self.lambda * x.max(0.0))
    }

    fn lower_quantile(&self, p: f64) -> f64 {
        -libm::log1p(-p) / self.lambda
    }

    fn upper_quantile(&self, p: f64) -> f64 {
        -libm::log(p) / self.lambda
    }
}
