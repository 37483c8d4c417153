//! Which parameters each type and algorithm takes, and the way to an algorithm's own
//! check.

use super::Checker;
use crate::algorithm::counter::CounterAlgorithm;
use crate::algorithm::distribution::Distribution;
use crate::algorithm::gauge::GaugeAlgorithm;
use crate::algorithm::{Complaint, Definition, Given, Spot, Value};
use crate::config::problem::Path;
use crate::config::raw::{Parametrised, RawMetric};

/// Types in the order messages list them.
pub(super) const TYPES: [&str; 4] = ["counter", "gauge", "histogram", "summary"];

/// Parameters that some types take whatever the algorithm.
const OF_TYPES: [&str; 7] = [
    "diurnal_amp",
    "diurnal_phase",
    "clamp",
    "observations_per_tick",
    "buckets",
    "objectives",
    "max_age_s",
];

/// Algorithms of a type; none of an unknown type.
pub(super) fn algorithms(kind: &str) -> &'static [&'static Definition] {
    match kind {
        "counter" => CounterAlgorithm::ALL,
        "gauge" => GaugeAlgorithm::ALL,
        "histogram" | "summary" => Distribution::ALL,
        _ => &[],
    }
}

/// The algorithm of a name among some.
pub(super) fn named(
    algorithms: impl IntoIterator<Item = &'static Definition>,
    name: &str,
) -> Option<&'static Definition> {
    algorithms.into_iter().find(|known| known.name == name)
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

/// The names of an algorithm's parameters.
fn names(algorithm: &Definition) -> Vec<&'static str> {
    let parameters = algorithm.parameters.iter();
    parameters.map(|parameter| parameter.name).collect()
}

/// Everything a metric of this type and algorithm may set, the important ones first.
fn taken(kind: &str, algorithm: &Definition) -> Vec<&'static str> {
    let of_all: &[&str] = &["diurnal_amp", "diurnal_phase"];
    [&names(algorithm), of_type(kind), of_all].concat()
}

/// Everything that a metric of this type may set: of this algorithm, or of any
/// where there is no such algorithm. Nothing is known of an unknown type.
pub(in crate::config) fn taken_by(
    kind: &str,
    algorithm: Option<&str>,
) -> Option<Vec<&'static str>> {
    let known = algorithms(kind).iter().copied();
    if let Some(algorithm) = algorithm.and_then(|name| named(known.clone(), name)) {
        return Some(taken(kind, algorithm));
    }
    let mut all = Vec::new();
    for field in known.flat_map(|algorithm| taken(kind, algorithm)) {
        if !all.contains(&field) {
            all.push(field);
        }
    }
    (!all.is_empty()).then_some(all)
}

/// Whether a field of metrics is one that only some of them may set.
pub(in crate::config) fn is_parameter(field: &str) -> bool {
    let algorithms = RawMetric::algorithms();
    let mut all = algorithms
        .iter()
        .flat_map(|(_, algorithm)| algorithm.parameters);
    OF_TYPES.contains(&field) || all.any(|parameter| parameter.name == field)
}

/// The fields that only some types or algorithms use, and whether they are set.
fn own_parameters(raw: &RawMetric) -> [(&'static str, bool); 8] {
    [
        ("diurnal_amp", raw.diurnal_amp.is_some()),
        ("diurnal_phase", raw.diurnal_phase.is_some()),
        ("clamp", raw.clamp.is_some()),
        ("buckets", raw.buckets.is_some()),
        ("objectives", raw.objectives.is_some()),
        ("max_age_s", raw.max_age_s.is_some()),
        ("observations_per_tick", raw.observations_per_tick.is_some()),
        ("components", raw.components.is_some()),
    ]
}

impl Checker<'_> {
    /// Reports parameters that this type and algorithm do not use.
    pub(super) fn unused_parameters(
        &mut self,
        at: &Path,
        raw: &RawMetric,
        values: &[(&'static str, Value)],
        (kind, algorithm): (&str, &Definition),
    ) {
        let user = format!("{kind} {}", algorithm.name);
        let mut set: Vec<_> = values.iter().map(|(name, _)| (*name, true)).collect();
        set.extend(own_parameters(raw));
        self.unused(at, &set, &taken(kind, algorithm), &user);
    }

    /// The same for a component of a mixture.
    pub(super) fn unused_component_parameters(
        &mut self,
        at: &Path,
        values: &[(&'static str, Value)],
        algorithm: &Definition,
    ) {
        let set: Vec<_> = values.iter().map(|(name, _)| (*name, true)).collect();
        self.unused(at, &set, &names(algorithm), algorithm.name);
    }

    /// Has an algorithm check what is given of its parameters; `owner` is whose they
    /// are in messages.
    pub(super) fn given<T>(
        &mut self,
        at: &Path,
        (algorithm, owner): (&'static Definition, &str),
        values: &[(&'static str, Value)],
        check: impl FnOnce(&mut Given<'_>) -> T,
    ) -> T {
        let is_unreadable = |name: &str| self.problems.is_pruned(&at.key(name));
        let mut given = Given::new(algorithm, owner, values, &is_unreadable);
        let checked = check(&mut given);
        for complaint in given.into_complaints() {
            let Complaint {
                name,
                spot,
                message,
            } = complaint;
            match spot {
                Spot::Value => self.problems.add(&at.key(name), message),
                Spot::Key => self.problems.add_key(&at.key(name), message),
                Spot::Missing => self.problems.missing(&at.key(name), message),
            }
        }
        checked
    }
}
