//! `metrics[]` after every check: labels, types, algorithms and parameters.

use super::churn::Life;
use super::histograms::NativeBuckets;
use super::range_format::RangeFormat;
use crate::algorithm::counter::CounterAlgorithm;
use crate::algorithm::distribution::Distribution;
use crate::algorithm::gauge::GaugeAlgorithm;
use crate::layout::MetricType;

/// One entry of `metrics[]`, its profile and extra labels resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Base name, without prefix; for counters also without `_total`.
    pub name: String,
    /// HELP text; may be empty.
    pub description: String,
    /// Unit; may be empty.
    pub unit: String,
    /// `metrics[].seed`, else `global.seed`.
    pub seed: u64,
    /// All labels in file order: the profile's (a value list that the metric
    /// replaces stays in its place), then the metric's own. Names are unique,
    /// no value list is empty, values of one label are distinct.
    pub labels: Vec<Label>,
    /// The profile's `series_cap`, if any.
    pub series_cap: Option<u64>,
    /// Which series a cap keeps.
    pub sampling: Sampling,
    /// The profile's `zipf_alpha`; 0 weights all series alike.
    pub zipf_alpha: f64,
    /// How its series come and go, with those of its profile.
    pub life: Life,
    /// The metric whose events it counts or observes, or which it follows, by its base
    /// name. Both have the same labels, cap and weights.
    pub of: Option<String>,
    /// Type, algorithm and parameters.
    pub kind: Kind,
    /// Of counters and histograms: their exemplars, if they have any.
    pub exemplars: Option<Exemplars>,
}

/// The exemplars of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplars {
    /// The share of series that have one at a tick, of those that count something then;
    /// more than 0, at most 1.
    pub share: f64,
    /// Their labels, in file order; at least one. Names are unique and plain
    /// (`[a-zA-Z_][a-zA-Z0-9_]*`).
    pub labels: Vec<ExemplarLabel>,
}

/// A label of exemplars, whose values are drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExemplarLabel {
    /// Its name.
    pub name: String,
    /// So many bytes (1 to 64), as two hexadecimal digits each.
    pub bytes: u8,
}

impl Exemplars {
    /// Characters that names and values may have together, as `OpenMetrics` says.
    pub const CHARACTERS_MAX: usize = 128;

    /// The labels that there are unless others are named, as W3C Trace Context calls and
    /// sizes them.
    pub fn labels_default() -> Vec<ExemplarLabel> {
        let label = |name: &str, bytes| ExemplarLabel {
            name: name.to_owned(),
            bytes,
        };
        vec![label("trace_id", 16), label("span_id", 8)]
    }

    /// Characters of names and values.
    pub fn characters(labels: &[ExemplarLabel]) -> usize {
        let each = labels.iter();
        each.map(|label| label.name.len() + 2 * usize::from(label.bytes))
            .sum()
    }
}

/// One label and all its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// Label name.
    pub name: String,
    /// Its values, in file order.
    pub values: LabelValues,
    /// Set by the metric itself (added or replacing the profile's).
    pub from_metric: bool,
    /// What its text is made of, where that is more than the value.
    pub text: Option<Vec<Piece>>,
    /// Set where it is a property of another label: it does not multiply.
    pub of: Option<Property>,
    /// How events are split among the values, in their order; positive and finite.
    pub weights: Option<Vec<f64>>,
    /// The metric leaves it out, and others of its labels depend on it.
    pub hidden: bool,
}

/// A piece of a label's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// The label's own value.
    Value,
    /// The text of another label.
    Label(String),
    /// So many characters (1 to 32) of an identifier: of the entity and its generation.
    Id(u8),
    /// The number of the entity's generation, from 0.
    Generation,
}

/// Of what a label is a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// The other label.
    pub of: String,
    /// How its values are spread.
    pub spread: Spread,
}

/// How a property's values are spread over the values that have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spread {
    /// By hash of the text: shares differ by chance.
    #[default]
    Hash,
    /// Each value has the same share, as nearly as can be.
    Even,
}

impl Label {
    /// A label that depends on no other one and whose values are alike.
    pub fn new(name: impl Into<String>, values: LabelValues, from_metric: bool) -> Self {
        Self {
            name: name.into(),
            values,
            from_metric,
            text: None,
            of: None,
            weights: None,
            hidden: false,
        }
    }

    /// Whether its text is its value, and nothing else decides which one a series has.
    pub fn is_plain(&self) -> bool {
        self.text.is_none() && self.of.is_none()
    }
}

/// The values of a label.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelValues {
    /// `values: [...]`.
    List(Vec<String>),
    /// `range: [first, last]`, inclusive, with `fmt`.
    Range {
        /// First number.
        first: i64,
        /// Last number, not below `first`.
        last: i64,
        /// How each number is written.
        format: RangeFormat,
    },
}

impl LabelValues {
    /// How many there are; 2^64 - 1 where there are more.
    pub fn count(&self) -> u64 {
        match self {
            Self::List(list) => list.len() as u64,
            Self::Range { first, last, .. } => last.abs_diff(*first).saturating_add(1),
        }
    }
}

/// Which series `series_cap` keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sampling {
    /// The first of the product in file order, last label fastest.
    #[default]
    FirstN,
    /// Those with the smallest identity keys.
    Hash,
}

/// Type, algorithm and parameters of a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A cumulative counter.
    Counter {
        /// How it grows.
        algorithm: CounterAlgorithm,
        /// Daily factor on the rate.
        diurnal: Diurnal,
    },
    /// A gauge.
    Gauge {
        /// How it moves.
        algorithm: GaugeAlgorithm,
        /// Daily factor on the value (on `p` for Bernoulli).
        diurnal: Diurnal,
        /// Valid range of the value, `lo < hi`; infinite where unset.
        clamp: (f64, f64),
    },
    /// A histogram.
    Histogram {
        /// Upper bounds, strictly increasing, finite, not empty; `+Inf` is implied.
        bounds: Vec<f64>,
        /// Its form where exporters have several, and its buckets where it is native.
        native: NativeBuckets,
        /// What is observed.
        observations: Observations,
    },
    /// A summary with quantiles.
    Summary {
        /// Quantiles in increasing order, unique, each within [0, 1].
        objectives: Vec<Objective>,
        /// Window of the quantiles in nanoseconds, at least one tick.
        max_age_ns: u64,
        /// What is observed.
        observations: Observations,
    },
}

impl Kind {
    /// The type.
    pub fn metric_type(&self) -> MetricType {
        match self {
            Self::Counter { .. } => MetricType::Counter,
            Self::Gauge { .. } => MetricType::Gauge,
            Self::Histogram { .. } => MetricType::Histogram,
            Self::Summary { .. } => MetricType::Summary,
        }
    }
}

impl Metric {
    /// Whether events are not split evenly among its series.
    pub fn has_weights(&self) -> bool {
        self.zipf_alpha != 0.0 || self.labels.iter().any(|label| label.weights.is_some())
    }

    /// It and the metrics that it is of, one after the other, among all of a checked
    /// configuration.
    pub fn and_ancestors<'m>(&'m self, all: &'m [Self]) -> impl Iterator<Item = &'m Self> {
        std::iter::successors(Some(self), |metric| metric.parent(all))
    }

    /// The metric that it is of, among all.
    pub fn parent<'m>(&self, all: &'m [Self]) -> Option<&'m Self> {
        let name = self.of.as_ref()?;
        all.iter().find(|other| other.name == *name)
    }

    /// Whether this is its name, or that of a counter's samples.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.name == self.kind.metric_type().base_name(name)
    }
}

/// What a histogram or summary observes.
#[derive(Debug, Clone, PartialEq)]
pub struct Observations {
    /// Mean number per tick and series, at least 0; where they are of another metric
    /// ([`Metric::of`]) one for each of its events.
    pub per_tick: f64,
    /// Distribution of the observed values.
    pub distribution: Distribution,
    /// Daily factor on their number.
    pub diurnal: Diurnal,
}

/// A quantile and the rank error it may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// The quantile, 0 to 1.
    pub quantile: f64,
    /// Allowed rank error, 0 to 1.
    pub rank_error: f64,
}

/// Daily factor: `1 + amplitude × sin(2π (time of day / 86400 s + phase))`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Diurnal {
    /// 0 switches it off; between -1 and 1.
    pub amplitude: f64,
    /// Shift as a share of a day.
    pub phase: f64,
}
