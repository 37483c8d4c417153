//! `mixture`: a weighted choice among others.

use super::{Component, Components, Continuous, Distribution};
use crate::algorithm::{Algorithm, Definition, Form, Given, Need, Parameter};

/// A weighted choice among others (never nested).
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// At least one; their weights sum to 1.
    pub components: Vec<Component>,
}

impl Algorithm for Mixture {
    type Context = Components;

    const DEFINITION: Definition = Definition {
        name: "mixture",
        parameters: &[Parameter {
            name: "components",
            form: Form::Components,
            about: "The distributions that are mixed; at least one",
            need: Need::Required,
        }],
    };

    fn check(given: &mut Given<'_>, components: Components) -> Self {
        let Components {
            mut checked,
            complete,
        } = components;
        if checked.is_empty() && complete {
            given.missing(
                "components",
                "missing; a mixture needs at least one component such as \
                 {type: lognormal, weight: 1, mu: 0, sigma: 1}",
            );
            return Self {
                components: checked,
            };
        }
        let sum: f64 = checked.iter().map(|component| component.weight).sum();
        if complete && sum == 0.0 {
            given.wrong(
                "components",
                "the weights sum to zero; give at least one a positive weight",
            );
        }
        // What sums to 1 but for rounding stays as it is, so that weights that
        // were written out again give the same ones.
        if (sum - 1.0).abs() > checked.len() as f64 * f64::EPSILON {
            for component in &mut checked {
                component.weight /= sum;
            }
        }
        Self {
            components: checked,
        }
    }
}

impl Continuous for Mixture {
    fn cdf(&self, x: f64) -> f64 {
        self.weighted(|d| d.cdf(x))
    }

    fn survival(&self, x: f64) -> f64 {
        self.weighted(|d| d.survival(x))
    }

    fn density(&self, x: f64) -> f64 {
        self.weighted(|d| d.density(x))
    }

    fn lower_quantile(&self, p: f64) -> f64 {
        self.quantile(p, true, |d| d.lower_quantile(p))
    }

    fn upper_quantile(&self, p: f64) -> f64 {
        self.quantile(p, false, |d| d.upper_quantile(p))
    }
}

impl Mixture {
    fn weighted(&self, of: impl Fn(&Distribution) -> f64) -> f64 {
        let parts = self.components.iter();
        parts.map(|c| c.weight * of(&c.distribution)).sum()
    }

    /// The root of `share_at(x) = p`, which grows with x where `grows`, by Newton's
    /// method in x, kept within a bracket. A mixture's quantile lies between the
    /// smallest and the largest of its parts' quantiles.
    fn quantile(&self, p: f64, grows: bool, part_quantile: impl Fn(&Distribution) -> f64) -> f64 {
        let used = || self.components.iter().filter(|c| c.weight > 0.0);
        let ends = || used().map(|c| part_quantile(&c.distribution));
        let mut lo = ends().fold(f64::INFINITY, f64::min);
        let mut hi = ends().fold(f64::NEG_INFINITY, f64::max);
        let mut x = libm::sqrt(lo) * libm::sqrt(hi);
        // A bracket of doubles is halved in logarithms, so this always suffices.
        for _ in 0..200 {
            if hi <= lo * (1.0 + 1e-15) {
                return hi;
            }
            let share = self.weighted(|d| if grows { d.cdf(x) } else { d.survival(x) });
            let too_low = if grows { share < p } else { share > p };
            if too_low {
                lo = x;
            } else {
                hi = x;
            }
            // Newton on the logarithm of the share: tails are steep, their
            // logarithms are not.
            let slope = self.density(x) / share;
            let step = libm::log(p / share) / if grows { slope } else { -slope };
            let next = x + step;
            x = if next > lo && next < hi {
                if step.abs() <= 1e-14 * x {
                    return next;
                }
                next
            } else {
                libm::sqrt(lo) * libm::sqrt(hi)
            };
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Exponential, LogNormal};
    use super::*;

    #[test]
    fn quantiles_invert_the_distribution_function() {
        let component = |weight, distribution| Component {
            weight,
            distribution,
        };
        let lognormal = LogNormal {
            mu: -3.0,
            sigma: 0.4,
        };
        let mixture = Mixture {
            components: vec![
                component(0.7, Distribution::LogNormal(lognormal)),
                component(0.3, Distribution::Exponential(Exponential { lambda: 0.5 })),
            ],
        };
        for p in [1e-9, 1e-3, 0.1, 0.3, 0.5] {
            assert!((mixture.cdf(mixture.lower_quantile(p)) / p - 1.0).abs() < 1e-9);
            assert!((mixture.survival(mixture.upper_quantile(p)) / p - 1.0).abs() < 1e-9);
        }
    }
}
