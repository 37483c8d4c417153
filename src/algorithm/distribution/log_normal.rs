//! `lognormal`: values whose logarithm is normal.

use super::Continuous;
use crate::algorithm::distribution::Components;
use crate::algorithm::{Algorithm, Definition, Form, Given, Need, Parameter};
use crate::random::normal::{normal_cdf, normal_density, normal_quantile};

/// `exp(mu + sigma × normal)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogNormal {
    /// Mean of the logarithm.
    pub mu: f64,
    /// Standard deviation of the logarithm, at least 0.
    pub sigma: f64,
}

impl Algorithm for LogNormal {
    type Context = Components;

    const DEFINITION: Definition = Definition {
        name: "lognormal",
        parameters: &[
            Parameter {
                name: "mu",
                form: Form::Number(-300.0, 300.0),
                about: "Mean of the logarithm of the observed values",
                need: Need::Required,
            },
            Parameter {
                name: "sigma",
                form: Form::Number(0.0, 50.0),
                about: "Standard deviation of the logarithm",
                need: Need::Required,
            },
        ],
    };

    fn check(given: &mut Given<'_>, _components: Components) -> Self {
        let (mu, sigma) = (given.number("mu"), given.number("sigma"));
        if mu.abs() + 10.0 * sigma > 650.0 && !given.has_complaints() {
            given.wrong(
                "sigma",
                "is too large together with mu: |mu| + 10 × sigma must be at most 650, or values \
                 leave the range of a double",
            );
        }
        Self { mu, sigma }
    }
}

impl Continuous for LogNormal {
    fn cdf(&self, x: f64) -> f64 {
        let Self { mu, sigma } = self;
        if x <= 0.0 {
            0.0
        } else if *sigma == 0.0 {
            f64::from(libm::log(x) >= *mu)
        } else {
            normal_cdf((libm::log(x) - mu) / sigma)
        }
    }

    fn survival(&self, x: f64) -> f64 {
        let Self { mu, sigma } = self;
        if x <= 0.0 {
            1.0
        } else if *sigma == 0.0 {
            f64::from(libm::log(x) < *mu)
        } else {
            normal_cdf(-(libm::log(x) - mu) / sigma)
        }
    }

    fn density(&self, x: f64) -> f64 {
        let Self { mu, sigma } = self;
        if x <= 0.0 || *sigma == 0.0 {
            0.0
        } else {
            normal_density((libm::log(x) - mu) / sigma) / (x * sigma)
        }
    }

    fn lower_quantile(&self, p: f64) -> f64 {
        libm::exp(self.mu + self.sigma * normal_quantile(p))
    }

    fn upper_quantile(&self, p: f64) -> f64 {
        libm::exp(self.mu - self.sigma * normal_quantile(p))
    }
}
