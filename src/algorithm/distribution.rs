//! Distributions of what histograms and summaries observe: exact functions, used to
//! build tables.
//!
//! Slow and accurate on purpose; hot loops read a [`QuantileTable`] instead.
//! All transcendental functions come from `libm`, so that results are the same
//! bits on every platform.

mod exponential;
mod log_normal;
mod mixture;

pub use exponential::Exponential;
pub use log_normal::LogNormal;
pub use mixture::Mixture;

use std::fmt::Debug;

use super::{Form, algorithms};
use crate::random::quantile::QuantileTable;
use crate::random::threshold;

algorithms! {
    /// A distribution of observed values. Checks are told its components.
    #[derive(Debug, Clone, PartialEq)]
    Distribution(Components): Continuous {
        LogNormal,
        Exponential,
        Mixture,
    }
}

/// A continuous distribution of positive values.
pub trait Continuous: Debug + Send + Sync {
    /// P(X ≤ x).
    fn cdf(&self, x: f64) -> f64;

    /// P(X > x), accurate where it is tiny.
    fn survival(&self, x: f64) -> f64;

    /// Density at x; 0 where all of it lies in one point.
    fn density(&self, x: f64) -> f64;

    /// The value that a share `p` (0 < p ≤ 1/2) of draws does not exceed.
    fn lower_quantile(&self, p: f64) -> f64;

    /// The value that a share `p` (0 < p ≤ 1/2) of draws exceeds.
    fn upper_quantile(&self, p: f64) -> f64;
}

/// One part of a mixture.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Share, normalised so that all weights sum to 1.
    pub weight: f64,
    /// Its distribution, no mixture.
    pub distribution: Distribution,
}

/// The components that were written.
#[derive(Debug, Clone, PartialEq)]
pub struct Components {
    /// Those without mistakes, weights as written.
    pub checked: Vec<Component>,
    /// Whether these are all.
    pub complete: bool,
}

impl Components {
    /// What distributions have that are no mixtures.
    pub const NONE: Self = Self {
        checked: Vec::new(),
        complete: true,
    };
}

impl Distribution {
    /// The definitions of those that can be part of a mixture.
    pub fn components() -> impl Iterator<Item = &'static super::Definition> {
        let is_nested = |parameter: &super::Parameter| parameter.form == Form::Components;
        let all = Self::ALL.iter().copied();
        all.filter(move |definition| !definition.parameters.iter().any(is_nested))
    }

    /// Values of draws.
    pub fn table(&self) -> QuantileTable {
        QuantileTable::of(|p| self.lower_quantile(p), |p| self.upper_quantile(p))
    }

    /// The position below which 64-bit draws give values of at most `bound`.
    pub fn position(&self, bound: f64) -> u64 {
        let below = self.cdf(bound);
        if below <= 0.5 {
            threshold(below)
        } else {
            // Counted from the upper end, where the share above is accurate.
            u64::MAX - threshold(self.survival(bound))
        }
    }

    /// The position below which draws, times `scale`, give values of at most `bound`.
    pub fn scaled_position(&self, bound: f64, scale: f64) -> u64 {
        if scale == 1.0 {
            self.position(bound)
        } else if scale == 0.0 {
            if bound >= 0.0 { u64::MAX } else { 0 }
        } else {
            self.position(bound / scale)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::mix;

    fn check_against_exact(distribution: &Distribution) {
        let table = distribution.table();
        let mut worst: f64 = 0.0;
        for index in 0..200_000u64 {
            // Every magnitude of u, on both sides.
            let u = mix(index) >> (index % 50);
            let p = (u as f64 + 0.5) / 18_446_744_073_709_551_616.0;
            let (low, high) = (table.value(u), table.value(!u));
            if p < 0.5 {
                let exact = distribution.lower_quantile(p);
                worst = worst.max((low / exact - 1.0).abs());
                let exact = distribution.upper_quantile(p);
                worst = worst.max((high / exact - 1.0).abs());
            }
        }
        assert!(worst < 1e-6, "{distribution:?}: {worst:e}");
    }

    fn lognormal(mu: f64, sigma: f64) -> Distribution {
        Distribution::LogNormal(LogNormal { mu, sigma })
    }

    fn mixture<const N: usize>(parts: [(f64, Distribution); N]) -> Distribution {
        let component = |(weight, distribution)| Component {
            weight,
            distribution,
        };
        Distribution::Mixture(Mixture {
            components: parts.map(component).into(),
        })
    }

    #[test]
    fn tables_follow_the_exact_quantiles() {
        for distribution in [
            lognormal(-1.0, 0.5),
            lognormal(3.0, 8.0),
            Distribution::Exponential(Exponential { lambda: 2.0 }),
            mixture([(0.25, lognormal(0.0, 0.3)), (0.75, lognormal(1.0, 0.5))]),
        ] {
            check_against_exact(&distribution);
        }
    }

    /// Wherever the configuration's limits lie, a table is built at once, is
    /// small, and is finite from end to end.
    #[test]
    fn the_corners_of_the_accepted_range_have_tables() {
        let mut corners = vec![
            Distribution::Exponential(Exponential { lambda: 1e-100 }),
            Distribution::Exponential(Exponential { lambda: 1e100 }),
        ];
        for sigma in [0.0, 1e-9, 1.0, 20.0, 50.0] {
            let mu_max: f64 = 650.0 - 10.0 * sigma;
            corners.extend(
                [-mu_max.min(300.0), 0.0, mu_max.min(300.0)].map(|mu| lognormal(mu, sigma)),
            );
        }
        for distribution in corners {
            let table = distribution.table();
            assert!(table.memory_bytes() < 8 << 20, "{distribution:?}");
            for u in [
                0,
                1,
                1 << 40,
                1 << 62,
                u64::MAX / 2,
                u64::MAX / 2 + 1,
                u64::MAX,
            ] {
                assert!(table.value(u).is_finite(), "{distribution:?} at {u}");
            }
        }
    }

    #[test]
    fn values_never_decrease_with_the_draw() {
        // Well separated modes make the steepest table there is.
        let modes = mixture([(0.3, lognormal(-8.0, 0.1)), (0.7, lognormal(8.0, 0.1))]);
        let table = modes.table();
        let mut last = 0.0;
        for step in 0..1_000_000u64 {
            let value = table.value(step * 18_446_744_073_709);
            assert!(value >= last * (1.0 - 1e-12), "at {step}: {value} < {last}");
            last = value;
        }
    }
}
