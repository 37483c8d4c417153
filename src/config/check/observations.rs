//! Parameters of histograms and summaries: distributions, buckets, quantiles.

use super::parameters::named;
use super::{Checker, nanoseconds};
use crate::algorithm::distribution::{Component, Components, Distribution};
use crate::algorithm::{Definition, Form, Given, MAGNITUDE_MAX, Parameter, Value};
use crate::config::problem::{Path, quoted};
use crate::config::raw::{
    AnyFloat, Entries, Item, RawComponent, RawMetric, Seconds, WithParameters,
};
use crate::config::{Diurnal, Global, Objective, Observations};
use crate::quantity::SECONDS_MAX;
use crate::readable::float_text;

const BUCKETS_DEFAULT: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const BUCKETS_MAX: usize = 1000;
const QUANTILES_MAX: usize = 1000;
const OBJECTIVES_DEFAULT: [(f64, f64); 3] = [(0.5, 0.05), (0.9, 0.01), (0.99, 0.001)];
const WINDOW_TICKS_MAX: f64 = 1e6;

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
        (algorithm, values): (&'static Definition, &[(&'static str, Value)]),
        diurnal: Diurnal,
    ) -> Option<Observations> {
        let per_tick = raw.observations_per_tick;
        if per_tick.is_some() && raw.observations_of.is_some() {
            self.problems.add_key(
                &at.key("observations_per_tick"),
                "observations_of says how many there are; keep one of them",
            );
        }
        let is_daily = raw.observations_of.is_some() && diurnal.amplitude != 0.0;
        if is_daily {
            self.problems.add_key(
                &at.key("diurnal_amp"),
                "there is one observation for each event of observations_of, at any time of day; \
                 give it to that counter",
            );
        }
        let per_tick = self.number_or(at, "observations_per_tick", per_tick, 1.0, 0.0..=1e9);
        let is_mixed = |parameter: &Parameter| parameter.form == Form::Components;
        let components = match raw.components {
            Some(components) if algorithm.parameters.iter().any(is_mixed) => {
                self.components(&at.key("components"), components)
            }
            _ => Components::NONE,
        };
        Some(Observations {
            per_tick,
            distribution: self.distribution(at, algorithm, values, components)?,
            diurnal,
        })
    }

    fn distribution(
        &mut self,
        at: &Path,
        algorithm: &'static Definition,
        values: &[(&'static str, Value)],
        components: Components,
    ) -> Option<Distribution> {
        let check = |given: &mut Given<'_>| Distribution::check(given, components);
        self.given(at, (algorithm, algorithm.name), values, check)
    }

    fn components(
        &mut self,
        at: &Path,
        raw: Vec<Item<WithParameters<RawComponent>>>,
    ) -> Components {
        let known: Vec<&str> = Distribution::components()
            .map(|algorithm| algorithm.name)
            .collect();
        let mut components = Components::NONE;
        for (path, raw) in self.items(at, raw) {
            let Some(raw) = raw else {
                components.complete = false;
                continue;
            };
            let (mut fixed, values) = (raw.fixed, raw.parameters);
            let range = 0.0..=MAGNITUDE_MAX;
            let weight = self.required_within(&path, "weight", fixed.weight, range, "a component");
            let kind = self.required_word(&path, "type", fixed.kind.take(), &known);
            let algorithm = kind.and_then(|kind| named(Distribution::components(), kind));
            let Some(algorithm) = algorithm else {
                components.complete = false;
                continue;
            };
            self.unused_component_parameters(&path, &values, algorithm);
            let distribution = self.distribution(&path, algorithm, &values, Components::NONE);
            components
                .checked
                .extend(distribution.map(|distribution| Component {
                    weight,
                    distribution,
                }));
        }
        components
    }
}
