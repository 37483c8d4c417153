//! Which parameters each type and algorithm takes.

use super::Checker;
use crate::config::problem::Path;
use crate::config::raw::{RawComponent, RawMetric};

/// Types in the order messages list them.
pub(super) const TYPES: [&str; 4] = ["counter", "gauge", "histogram", "summary"];

/// Algorithms of a type; empty for an unknown type.
pub(super) fn algorithms(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["poisson", "constant"],
        "gauge" => &["random_walk", "sine", "bernoulli", "sawtooth", "constant"],
        "histogram" | "summary" => &["lognormal", "exponential", "mixture"],
        _ => &[],
    }
}

/// Parameters of a type whatever its algorithm.
fn of_type(kind: &str) -> &'static [&'static str] {
    match kind {
        "gauge" => &["clamp"],
        "histogram" => &["observations_per_tick", "buckets"],
        "summary" => &["observations_per_tick", "objectives", "max_age_s"],
        _ => &[],
    }
}

/// Parameters of an algorithm of a type, the important ones first.
fn of_algorithm(kind: &str, algorithm: &str) -> &'static [&'static str] {
    match (kind, algorithm) {
        ("counter", "poisson") => &["base_rate"],
        ("counter", "constant") => &["base_rate", "increment"],
        ("gauge", "random_walk") => &["start", "step"],
        ("gauge", "sine") => &[
            "min",
            "max",
            "amplitude",
            "offset",
            "period_s",
            "phase_spread",
        ],
        ("gauge", "bernoulli") => &["p"],
        ("gauge", "sawtooth") => &["min", "max", "period_s", "phase_spread"],
        ("gauge", "constant") => &["start", "allow_nan"],
        (_, "lognormal") => &["mu", "sigma"],
        (_, "exponential") => &["lam", "lambda"],
        (_, "mixture") => &["components"],
        _ => &[],
    }
}

/// Everything a metric of this type and algorithm may set.
fn taken(kind: &str, algorithm: &str) -> Vec<&'static str> {
    let of_all: &[&str] = &["diurnal_amp", "diurnal_phase"];
    [of_algorithm(kind, algorithm), of_type(kind), of_all].concat()
}

/// Everything that a metric of this type may set: of this algorithm, or of any
/// where there is no such algorithm. Nothing is known of an unknown type.
pub(in crate::config) fn taken_by(
    kind: &str,
    algorithm: Option<&str>,
) -> Option<Vec<&'static str>> {
    let known = algorithms(kind);
    if let Some(algorithm) = algorithm.filter(|algorithm| known.contains(algorithm)) {
        return Some(taken(kind, algorithm));
    }
    let mut all = Vec::new();
    for field in known.iter().flat_map(|algorithm| taken(kind, algorithm)) {
        if !all.contains(&field) {
            all.push(field);
        }
    }
    (!all.is_empty()).then_some(all)
}

/// Whether a field of metrics is one that only some of them may set.
pub(in crate::config) fn is_parameter(field: &str) -> bool {
    let mut all = parameters(&RawMetric::default()).into_iter();
    all.any(|(name, _)| name == field)
}

/// All parameters, and whether they are set.
fn parameters(raw: &RawMetric) -> [(&'static str, bool); 24] {
    [
        ("base_rate", raw.base_rate.is_some()),
        ("increment", raw.increment.is_some()),
        ("diurnal_amp", raw.diurnal_amp.is_some()),
        ("diurnal_phase", raw.diurnal_phase.is_some()),
        ("start", raw.start.is_some()),
        ("step", raw.step.is_some()),
        ("clamp", raw.clamp.is_some()),
        ("min", raw.min.is_some()),
        ("max", raw.max.is_some()),
        ("period_s", raw.period_s.is_some()),
        ("phase_spread", raw.phase_spread.is_some()),
        ("amplitude", raw.amplitude.is_some()),
        ("offset", raw.offset.is_some()),
        ("p", raw.p.is_some()),
        ("mu", raw.mu.is_some()),
        ("sigma", raw.sigma.is_some()),
        ("lam", raw.lam.is_some()),
        ("lambda", raw.lambda.is_some()),
        ("buckets", raw.buckets.is_some()),
        ("objectives", raw.objectives.is_some()),
        ("max_age_s", raw.max_age_s.is_some()),
        ("observations_per_tick", raw.observations_per_tick.is_some()),
        ("components", raw.components.is_some()),
        ("allow_nan", raw.allow_nan.is_some()),
    ]
}

impl Checker<'_> {
    /// Reports parameters that this type and algorithm do not use.
    pub(super) fn unused_parameters(
        &mut self,
        at: &Path,
        raw: &RawMetric,
        kind: &str,
        algorithm: &str,
    ) {
        let user = format!("{kind} {algorithm}");
        self.unused(at, &parameters(raw), &taken(kind, algorithm), &user);
    }

    /// The same for a component of a mixture.
    pub(super) fn unused_component_parameters(
        &mut self,
        at: &Path,
        raw: &RawComponent,
        algorithm: &str,
    ) {
        let parameters = [
            ("mu", raw.mu.is_some()),
            ("sigma", raw.sigma.is_some()),
            ("lam", raw.lam.is_some()),
            ("lambda", raw.lambda.is_some()),
        ];
        self.unused(at, &parameters, of_algorithm("", algorithm), algorithm);
    }
}
