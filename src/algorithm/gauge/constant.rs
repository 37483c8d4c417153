//! `constant`: always the same value.

use super::random_walk::start_within;
use super::{Gauge, Run};
use crate::algorithm::{Algorithm, Definition, Form, Given, Need, Parameter};

/// Always the same value (not finite only with `allow_nan`).
#[derive(Debug, Clone, Copy)]
pub struct Constant {
    /// The value.
    pub value: f64,
}

/// A NaN is the same as it was, or every reload would change the metric.
impl PartialEq for Constant {
    fn eq(&self, other: &Self) -> bool {
        self.value.to_bits() == other.value.to_bits()
    }
}

impl Algorithm for Constant {
    type Context = (f64, f64);

    const DEFINITION: Definition = Definition {
        name: "constant",
        parameters: &[
            Parameter {
                name: "start",
                form: Form::AnyNumber,
                about: "First value",
                need: Need::Required,
            },
            Parameter {
                name: "allow_nan",
                form: Form::Switch,
                about: "Allow `.nan`, `.inf` and `-.inf` as `start`",
                need: Need::Rule("default: false"),
            },
        ],
    };

    fn check(given: &mut Given<'_>, clamp: (f64, f64)) -> Self {
        let value = given.number("start");
        if given.value("start").is_some() {
            let allow_nan = given.is_on("allow_nan");
            start_within(given, value, clamp, allow_nan);
        }
        Self { value }
    }
}

impl Gauge for Constant {
    fn fill(&self, _run: &Run<'_>, _before: Option<&[f64]>, now: &mut [f64]) {
        now.fill(self.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_stays_what_it_is() {
        let same = |value: f64| Constant { value } == Constant { value };
        assert!(same(f64::NAN) && same(f64::INFINITY) && same(0.5));
        assert_ne!(Constant { value: f64::NAN }, Constant { value: 1.0 });
    }
}
