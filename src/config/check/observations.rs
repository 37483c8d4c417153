//! Parameters of histograms and summaries: distributions, buckets, quantiles.

use std::ops::RangeInclusive;

use super::{Checker, MAGNITUDE_MAX, SECONDS_MAX, nanoseconds};
use crate::config::problem::{Path, quoted};
use crate::config::raw::{AnyFloat, Entries, Item, RawComponent, RawMetric, Seconds};
use crate::config::yaml::float_text;
use crate::config::{Component, Distribution, Diurnal, Global, Objective, Observations};

const BUCKETS_DEFAULT: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const BUCKETS_MAX: usize = 1000;
const QUANTILES_MAX: usize = 1000;
const OBJECTIVES_DEFAULT: [(f64, f64); 3] = [(0.5, 0.05), (0.9, 0.01), (0.99, 0.001)];
const WINDOW_TICKS_MAX: f64 = 1e6;
const MU: RangeInclusive<f64> = -300.0..=300.0;
const SIGMA: RangeInclusive<f64> = 0.0..=50.0;

const COMPONENT_TYPES: [&str; 2] = ["lognormal", "exponential"];

impl Checker<'_> {
    pub(super) fn buckets(&mut self, at: &Path, raw: Option<Vec<Item<AnyFloat>>>) -> Vec<f64> {
        let Some(raw) = raw else {
            return BUCKETS_DEFAULT.to_vec();
        };
        let last = raw.len().saturating_sub(1);
        let mut bounds: Vec<f64> = Vec::with_capacity(raw.len());
        let mut reported = false;
        if !self.at_most(at, raw.len(), BUCKETS_MAX, "buckets") {
            return Vec::new();
        }
        for (index, (path, bound)) in self.items(at, raw).into_iter().enumerate() {
            let Some(AnyFloat(bound)) = bound else {
                reported = true;
                continue;
            };
            // Implied; it may be written as the last one.
            if bound == f64::INFINITY && index == last && index > 0 {
                continue;
            }
            let problem = match bounds.last() {
                _ if !bound.is_finite() => Some(format!(
                    "expected a finite number, found {}",
                    float_text(bound)
                )),
                Some(before) if *before == bound => Some(format!(
                    "{} is there already; remove one",
                    float_text(bound)
                )),
                Some(before) if *before > bound => Some(format!(
                    "{} comes after {}; sort the buckets upwards",
                    float_text(bound),
                    float_text(*before)
                )),
                _ => None,
            };
            match problem {
                Some(problem) => {
                    reported = true;
                    self.problems.add(&path, problem);
                }
                // Both zeros are one bound; the positive one prints as "0".
                None => bounds.push(if bound == 0.0 { 0.0 } else { bound }),
            }
        }
        if bounds.is_empty() && !reported {
            self.problems.add(
                at,
                "needs at least one finite bound; +Inf is added by itself",
            );
        }
        bounds
    }

    pub(super) fn objectives(&mut self, at: &Path, raw: Option<Entries<f64>>) -> Vec<Objective> {
        let Some(raw) = raw else {
            return OBJECTIVES_DEFAULT
                .map(|(quantile, rank_error)| Objective {
                    quantile,
                    rank_error,
                })
                .to_vec();
        };
        if raw.0.is_empty() {
            self.problems.add(
                at,
                "is empty; name at least one quantile, for example {0.5: 0.05}",
            );
        }
        if !self.at_most(at, raw.0.len(), QUANTILES_MAX, "quantiles") {
            return Vec::new();
        }
        let mut objectives: Vec<Objective> = Vec::new();
        for (path, key, rank_error) in self.entries(at, raw) {
            if let Some(rank_error) = rank_error {
                self.within(&path, rank_error, 0.0..=1.0);
            }
            let quantile = match key.parse::<f64>() {
                Ok(quantile) if (0.0..=1.0).contains(&quantile) => quantile.abs(),
                _ => {
                    self.problems.add_key(
                        &path,
                        format!("a quantile is a number from 0 to 1, found {}", quoted(&key)),
                    );
                    continue;
                }
            };
            if objectives.iter().any(|other| other.quantile == quantile) {
                self.problems.add_key(
                    &path,
                    format!("quantile {quantile} is there already; remove one"),
                );
            }
            objectives.push(Objective {
                quantile,
                rank_error: rank_error.unwrap_or(0.0),
            });
        }
        objectives.sort_by(|a, b| a.quantile.total_cmp(&b.quantile));
        objectives
    }

    pub(super) fn max_age(&mut self, at: &Path, raw: Option<Seconds>, global: &Global) -> u64 {
        let interval_s = global.tick_interval_ns as f64 / 1e9;
        // A tick longer than the default window still has a window of one tick.
        let age = raw.map_or_else(|| 600_f64.max(interval_s), f64::from);
        let too_long = age > interval_s * WINDOW_TICKS_MAX;
        if age < interval_s || (raw.is_some() && too_long) || age > SECONDS_MAX {
            self.problems.add(
                at,
                format!(
                    "must be at least one tick ({} s) and at most 1000000 ticks, found {}",
                    float_text(interval_s),
                    float_text(age)
                ),
            );
        }
        nanoseconds(age)
    }

    pub(super) fn observations(
        &mut self,
        at: &Path,
        raw: RawMetric,
        algorithm: &str,
        diurnal: Diurnal,
    ) -> Observations {
        let per_tick = raw.observations_per_tick;
        let per_tick = self.number_or(at, "observations_per_tick", per_tick, 1.0, 0.0..=1e9);
        let distribution = match algorithm {
            "mixture" => self.mixture(at, raw.components),
            _ => self.distribution(
                at,
                algorithm,
                &RawComponent {
                    mu: raw.mu,
                    sigma: raw.sigma,
                    lam: raw.lam,
                    lambda: raw.lambda,
                    ..RawComponent::default()
                },
            ),
        };
        Observations {
            per_tick,
            distribution,
            diurnal,
        }
    }

    fn distribution(&mut self, at: &Path, algorithm: &str, raw: &RawComponent) -> Distribution {
        if algorithm == "lognormal" {
            let mu = self.required_within(at, "mu", raw.mu, MU, algorithm);
            let sigma = self.required_within(at, "sigma", raw.sigma, SIGMA, algorithm);
            let each_is_right = MU.contains(&mu) && SIGMA.contains(&sigma);
            if each_is_right && mu.abs() + 10.0 * sigma > 650.0 {
                self.problems.add(
                    &at.key("sigma"),
                    "is too large together with mu: |mu| + 10 × sigma must be at most 650, or \
                     values leave the range of a double",
                );
            }
            return Distribution::LogNormal { mu, sigma };
        }
        let lambda = match (raw.lam, raw.lambda) {
            (Some(_), Some(_)) => {
                self.problems
                    .add_key(&at.key("lambda"), "is the same as lam; keep one of them");
                f64::NAN
            }
            (None, None) if self.problems.is_pruned(&at.key("lambda")) => f64::NAN,
            (Some(lam), None) => self.rate(&at.key("lam"), lam),
            (None, Some(lambda)) => self.rate(&at.key("lambda"), lambda),
            (None, None) => self.required(at, "lam", None::<f64>, algorithm),
        };
        Distribution::Exponential { lambda }
    }

    fn rate(&mut self, at: &Path, lambda: f64) -> f64 {
        if lambda <= 0.0 {
            self.problems.add(
                at,
                format!("must be more than 0, found {}", float_text(lambda)),
            );
        } else {
            self.within(at, lambda, 1e-100..=1e100);
        }
        lambda
    }

    fn mixture(&mut self, at: &Path, raw: Option<Vec<Item<RawComponent>>>) -> Distribution {
        let at = at.key("components");
        let Some(raw) = raw.filter(|raw| !raw.is_empty()) else {
            self.problems.missing(
                &at,
                "missing; a mixture needs at least one component such as \
                 {type: lognormal, weight: 1, mu: 0, sigma: 1}",
            );
            return Distribution::Mixture(Vec::new());
        };
        let mut components = Vec::new();
        let mut complete = true;
        for (path, raw) in self.items(&at, raw) {
            let Some(mut raw) = raw else {
                complete = false;
                continue;
            };
            let range = 0.0..=MAGNITUDE_MAX;
            let weight = self.required_within(&path, "weight", raw.weight, range, "a component");
            let kind = self.required_word(&path, "type", raw.kind.take(), &COMPONENT_TYPES);
            let Some(kind) = kind else {
                complete = false;
                continue;
            };
            self.unused_component_parameters(&path, &raw, kind);
            components.push(Component {
                weight,
                distribution: self.distribution(&path, kind, &raw),
            });
        }
        let sum: f64 = components.iter().map(|component| component.weight).sum();
        if complete && sum == 0.0 {
            self.problems.add(
                &at,
                "the weights sum to zero; give at least one a positive weight",
            );
        }
        // What sums to 1 but for rounding stays as it is, so that weights that
        // were written out again give the same ones.
        if (sum - 1.0).abs() > components.len() as f64 * f64::EPSILON {
            for component in &mut components {
                component.weight /= sum;
            }
        }
        Distribution::Mixture(components)
    }
}
