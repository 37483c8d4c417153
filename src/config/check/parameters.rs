//! Which parameters each type and algorithm takes, and the way to an algorithm's own
//! check.

use super::Checker;
use crate::algorithm::counter::CounterAlgorithm;
use crate::algorithm::distribution::Distribution;
use crate::algorithm::gauge::GaugeAlgorithm;
use crate::algorithm::{Complaint, Definition, Given, Spot, Value};
use crate::config::problem::Path;
use crate::config::raw::{Parametrised, RawMetric};
use crate::layout::MetricType;

/// Parameters that some types take whatever the algorithm.
const OF_TYPES: [&str; 11] = [
    "diurnal_amp",
    "diurnal_phase",
    "clamp",
    "observations_per_tick",
    "observations_of",
    "buckets",
    "histograms",
    "native_histogram",
    "objectives",
    "max_age_s",
    "exemplars",
];

/// Algorithms of a type.
pub(super) fn algorithms(of: MetricType) -> &'static [&'static Definition] {
    match of {
        MetricType::Counter => CounterAlgorithm::ALL,
        MetricType::Gauge => GaugeAlgorithm::ALL,
        MetricType::Histogram | MetricType::Summary => Distribution::ALL,
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
fn of_type(of: MetricType) -> &'static [&'static str] {
    match of {
        MetricType::Counter => &["exemplars"],
        MetricType::Gauge => &["clamp"],
        MetricType::Histogram => &[
            "observations_per_tick",
            "observations_of",
            "buckets",
            "histograms",
            "native_histogram",
            "exemplars",
        ],
        MetricType::Summary => &[
            "observations_per_tick",
            "observations_of",
            "objectives",
            "max_age_s",
        ],
    }
}

/// The names of an algorithm's parameters.
fn names(algorithm: &Definition) -> Vec<&'static str> {
    let parameters = algorithm.parameters.iter();
    parameters.map(|parameter| parameter.name).collect()
}

/// Everything a metric of this type and algorithm may set, the important ones first.
fn taken(of: MetricType, algorithm: &Definition) -> Vec<&'static str> {
    let of_all: &[&str] = &["diurnal_amp", "diurnal_phase"];
    [&names(algorithm), of_type(of), of_all].concat()
}

/// Everything that a metric of this type may set: of this algorithm, or of any
/// where there is no such algorithm.
pub(in crate::config) fn taken_by(of: MetricType, algorithm: Option<&str>) -> Vec<&'static str> {
    let known = algorithms(of).iter().copied();
    if let Some(algorithm) = algorithm.and_then(|name| named(known.clone(), name)) {
        return taken(of, algorithm);
    }
    let mut all = Vec::new();
    for field in known.flat_map(|algorithm| taken(of, algorithm)) {
        if !all.contains(&field) {
            all.push(field);
        }
    }
    all
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
fn own_parameters(raw: &RawMetric) -> [(&'static str, bool); 13] {
    [
        ("diurnal_amp", raw.diurnal_amp.is_some()),
        ("diurnal_phase", raw.diurnal_phase.is_some()),
        ("clamp", raw.clamp.is_some()),
        ("buckets", raw.buckets.is_some()),
        ("histograms", raw.histograms.is_some()),
        ("native_histogram", raw.native_histogram.is_some()),
        ("objectives", raw.objectives.is_some()),
        ("max_age_s", raw.max_age_s.is_some()),
        ("observations_per_tick", raw.observations_per_tick.is_some()),
        ("observations_of", raw.observations_of.is_some()),
        ("components", raw.components.is_some()),
        ("of", raw.of.is_some()),
        ("exemplars", raw.exemplars.is_some()),
    ]
}

impl Checker<'_> {
    /// Reports parameters that this type and algorithm do not use.
    pub(super) fn unused_parameters(
        &mut self,
        at: &Path,
        raw: &RawMetric,
        values: &[(&'static str, Value)],
        (of, algorithm): (MetricType, &Definition),
    ) {
        let user = format!("{} {}", of.name(), algorithm.name);
        let mut set: Vec<_> = values.iter().map(|(name, _)| (*name, true)).collect();
        set.extend(own_parameters(raw));
        self.unused(at, &set, &taken(of, algorithm), &user);
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
