//! The samples of a series: their names, labels and order by the type of the
//! metric, and which of them each wire has.
//!
//! This is the one table of it: encoders, the check of names that collide,
//! `verify` and the control API read it. It knows formats and no configuration,
//! and so stands above `config`, which reads it, too.

use std::iter;

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// A total that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Observations counted in cumulative buckets, and their sum.
    Histogram,
    /// Quantiles of observations, their sum and count.
    Summary,
}

/// The ways to a backend, as far as they differ in their samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Prometheus text 0.0.4.
    Text,
    /// `OpenMetrics` 1.0.
    OpenMetrics {
        /// Whether samples tell when series began.
        created: bool,
    },
    /// Prometheus remote write, which sends what text would have.
    RemoteWrite,
    /// OTLP, as its receivers make samples of points.
    Otlp,
}

/// What a sample tells of its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A counter's total, or a gauge's value.
    Value,
    /// How many observations are not above a bound.
    Bucket,
    /// The value of a quantile.
    Quantile,
    /// The sum of all observations.
    Sum,
    /// How many observations there are.
    Count,
    /// When the series began, Unix seconds.
    Created,
}

/// A name that a series' samples have: a single one, or as many as there are
/// values of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleName {
    /// What the samples tell.
    pub role: Role,
    /// Stands behind prefix and base name.
    pub suffix: &'static str,
    /// The label that has the bound or quantile of a sample.
    pub label: Option<&'static str>,
}

/// One of a series' samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slot {
    /// Place of its name in [`MetricType::names`].
    pub name: usize,
    /// Of its name.
    pub suffix: &'static str,
    /// What it tells.
    pub role: Role,
    /// Which bucket or quantile it is; otherwise 0.
    pub cell: usize,
    /// Buckets or quantiles of the series, as [`Layout::cells`] tells.
    pub cells: usize,
    /// Label and bound, or quantile; the last bucket's bound is infinite.
    pub number: Option<(&'static str, f64)>,
}

/// The samples of each series of one family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layout<'a> {
    metric_type: MetricType,
    numbers: &'a [f64],
}

const fn one(role: Role, suffix: &'static str) -> SampleName {
    SampleName {
        role,
        suffix,
        label: None,
    }
}

const fn each(role: Role, suffix: &'static str, label: &'static str) -> SampleName {
    SampleName {
        role,
        suffix,
        label: Some(label),
    }
}

const SUM: SampleName = one(Role::Sum, "_sum");
const COUNT: SampleName = one(Role::Count, "_count");
const CREATED: SampleName = one(Role::Created, "_created");

const COUNTER: &[SampleName] = &[one(Role::Value, "_total"), CREATED];
const GAUGE: &[SampleName] = &[one(Role::Value, "")];
const HISTOGRAM: &[SampleName] = &[each(Role::Bucket, "_bucket", "le"), SUM, COUNT, CREATED];
const SUMMARY: &[SampleName] = &[each(Role::Quantile, "", "quantile"), SUM, COUNT, CREATED];

impl MetricType {
    /// All types.
    pub const ALL: [Self; 4] = [Self::Counter, Self::Gauge, Self::Histogram, Self::Summary];

    /// Its name, in the configuration and in both text formats.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }

    /// The type of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// All names that samples have on any wire, in the order of exposition.
    pub fn names(self) -> &'static [SampleName] {
        match self {
            Self::Counter => COUNTER,
            Self::Gauge => GAUGE,
            Self::Histogram => HISTOGRAM,
            Self::Summary => SUMMARY,
        }
    }

    /// What stands behind the base name on any wire, nothing included and first.
    pub fn suffixes(self) -> impl Iterator<Item = &'static str> {
        let suffixes = self.names().iter().map(|name| name.suffix);
        iter::once("").chain(suffixes.filter(|suffix| !suffix.is_empty()))
    }

    /// The label that tells buckets or quantiles apart.
    pub fn label(self) -> Option<&'static str> {
        self.names().iter().find_map(|name| name.label)
    }

    /// Whether its series count from a start.
    pub fn is_cumulative(self) -> bool {
        self.names().iter().any(|name| name.role == Role::Created)
    }

    /// What stands behind the base name where the family itself is described, in
    /// `TYPE` lines and metadata: Prometheus calls a counter by its sample.
    pub fn family_suffix(self, wire: Wire) -> &'static str {
        match wire {
            Wire::Text | Wire::RemoteWrite => {
                let mut names = self.names().iter();
                let value = names.find(|name| name.role == Role::Value);
                value.map_or("", |name| name.suffix)
            }
            Wire::OpenMetrics { .. } | Wire::Otlp => "",
        }
    }

    /// The base name of a metric that may be called as Prometheus calls it.
    pub fn base_name(self, name: &str) -> &str {
        let suffix = self.family_suffix(Wire::Text);
        name.strip_suffix(suffix).unwrap_or(name)
    }
}

impl Slot {
    /// Whether it tells when the series began, rather than what it counts.
    pub fn is_created(&self) -> bool {
        self.role == Role::Created
    }
}

impl<'a> Layout<'a> {
    /// The samples of a type. `numbers` are a histogram's bounds, increasing and
    /// finite, or a summary's quantiles; other types have none.
    pub fn new(metric_type: MetricType, numbers: &'a [f64]) -> Self {
        Self {
            metric_type,
            numbers,
        }
    }

    /// How many buckets, the one without a bound included, or quantiles there are.
    pub fn cells(&self) -> usize {
        match self.metric_type {
            MetricType::Histogram => self.numbers.len() + 1,
            MetricType::Counter | MetricType::Gauge | MetricType::Summary => self.numbers.len(),
        }
    }

    /// All samples that a series has on any wire, in the order of exposition.
    pub fn all_slots(self) -> impl Iterator<Item = Slot> + 'a {
        let cells = self.cells();
        let names = self.metric_type.names().iter().enumerate();
        names.flat_map(move |(place, name)| {
            (0..self.samples_of(name)).map(move |cell| Slot {
                name: place,
                suffix: name.suffix,
                role: name.role,
                cell,
                cells,
                number: name.label.map(|label| (label, self.number(cell))),
            })
        })
    }

    /// The samples of a series on a wire, in the order of exposition.
    pub fn slots(self, wire: Wire) -> impl Iterator<Item = Slot> + 'a {
        self.all_slots()
            .filter(move |slot| self.is_on(wire, slot.role))
    }

    /// How many samples a series has on a wire.
    pub fn samples(self, wire: Wire) -> usize {
        let names = self.metric_type.names().iter();
        let names = names.filter(|name| self.is_on(wire, name.role));
        names.map(|name| self.samples_of(name)).sum()
    }

    /// Whether a series has samples on a wire that tell this.
    pub fn has(self, wire: Wire, role: Role) -> bool {
        let mut names = self.metric_type.names().iter();
        names.any(|name| name.role == role) && self.is_on(wire, role)
    }

    fn samples_of(&self, name: &SampleName) -> usize {
        match name.label {
            Some(_) => self.cells(),
            None => 1,
        }
    }

    fn number(&self, cell: usize) -> f64 {
        self.numbers.get(cell).copied().unwrap_or(f64::INFINITY)
    }

    /// Where observations may be negative, a sum does not only grow. OTLP then leaves
    /// it out, and `OpenMetrics` forbids it and the count with it.
    fn is_on(&self, wire: Wire, role: Role) -> bool {
        let only_grows = || {
            let bounds = (self.metric_type == MetricType::Histogram).then_some(self.numbers);
            let lowest = bounds.and_then(<[f64]>::first);
            lowest.is_none_or(|&bound| bound >= 0.0)
        };
        match (wire, role) {
            (Wire::OpenMetrics { created }, Role::Created) => created,
            (Wire::Text | Wire::RemoteWrite | Wire::Otlp, Role::Created) => false,
            (Wire::OpenMetrics { .. }, Role::Sum | Role::Count) | (Wire::Otlp, Role::Sum) => {
                only_grows()
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENMETRICS: Wire = Wire::OpenMetrics { created: true };

    /// The samples of a layout on one line, as they would be exposed without a base
    /// name.
    fn exposed(metric_type: MetricType, numbers: &[f64], wire: Wire) -> String {
        let layout = Layout::new(metric_type, numbers);
        let slots: Vec<Slot> = layout.slots(wire).collect();
        assert_eq!(slots.len(), layout.samples(wire));
        for slot in &slots {
            let name = metric_type.names()[slot.name];
            assert_eq!((slot.suffix, slot.role), (name.suffix, name.role));
            assert!(layout.has(wire, slot.role));
            assert!(slot.number.is_none() || slot.cell < slot.cells);
        }
        let texts = slots.iter().map(|slot| match slot.number {
            Some((label, number)) => format!("{}{{{label}={number}}}", slot.suffix),
            None => format!("{}{{}}", slot.suffix),
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_series_has_the_samples_of_its_type() {
        use MetricType::{Counter, Gauge, Histogram, Summary};
        for (metric_type, numbers, expected) in [
            (Counter, &[][..], "_total{} _created{}"),
            (Gauge, &[], "{}"),
            (
                Histogram,
                &[0.5, 2.0],
                "_bucket{le=0.5} _bucket{le=2} _bucket{le=inf} _sum{} _count{} _created{}",
            ),
            (Histogram, &[], "_bucket{le=inf} _sum{} _count{} _created{}"),
            (
                Summary,
                &[0.5, 0.9],
                "{quantile=0.5} {quantile=0.9} _sum{} _count{} _created{}",
            ),
            (Summary, &[], "_sum{} _count{} _created{}"),
        ] {
            assert_eq!(exposed(metric_type, numbers, OPENMETRICS), expected);
            let plain = expected.strip_suffix(" _created{}").unwrap_or(expected);
            for wire in [
                Wire::Text,
                Wire::RemoteWrite,
                Wire::Otlp,
                Wire::OpenMetrics { created: false },
            ] {
                assert_eq!(exposed(metric_type, numbers, wire), plain, "{wire:?}");
            }
        }
    }

    #[test]
    fn a_histogram_with_a_negative_bound_has_no_sum() {
        let buckets = "_bucket{le=-1} _bucket{le=3} _bucket{le=inf}";
        for (wire, rest) in [
            (Wire::Text, " _sum{} _count{}"),
            (Wire::RemoteWrite, " _sum{} _count{}"),
            (Wire::OpenMetrics { created: false }, ""),
            (OPENMETRICS, " _created{}"),
            (Wire::Otlp, " _count{}"),
        ] {
            let text = exposed(MetricType::Histogram, &[-1.0, 3.0], wire);
            assert_eq!(text, format!("{buckets}{rest}"), "{wire:?}");
        }
    }

    #[test]
    fn a_counter_is_called_by_its_sample_in_prometheus() {
        for metric_type in MetricType::ALL {
            let total = if metric_type == MetricType::Counter {
                "_total"
            } else {
                ""
            };
            assert_eq!(metric_type.family_suffix(Wire::Text), total);
            assert_eq!(metric_type.family_suffix(Wire::RemoteWrite), total);
            assert_eq!(metric_type.family_suffix(OPENMETRICS), "");
            assert_eq!(metric_type.base_name(&format!("a_total{total}")), "a_total");
            assert_eq!(metric_type.base_name("a"), "a");
            assert_eq!(MetricType::by_name(metric_type.name()), Some(metric_type));
        }
        assert_eq!(MetricType::by_name("info"), None);
    }
}
