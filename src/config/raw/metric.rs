//! `profiles` and `metrics` as written.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use super::parameters::{Parametrised, WithParameters, all_fields};
use super::{AnyFloat, Count, Entries, Item, RawChurn, RawLabel, RawSizes, Seconds};
use crate::algorithm::Definition;
use crate::algorithm::counter::CounterAlgorithm;
use crate::algorithm::distribution::Distribution;
use crate::algorithm::gauge::GaugeAlgorithm;

/// A set of labels that metrics share.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Profile")]
pub(crate) struct RawProfile {
    /// Label names and their values; the last label varies fastest. At least
    /// one label.
    #[schemars(required)]
    pub(crate) labels: Option<Entries<RawLabel>>,
    /// Keep at most this many of the combinations (also `150k`), at least 1.
    /// Default: all.
    #[schemars(range(min = 1))]
    pub(crate) series_cap: Option<Count>,
    /// Which combinations `series_cap` keeps: `first_n` the first in the order
    /// of the file, `hash` an even sample that all metrics of the profile share
    /// (up to 2^32 combinations). Default: `first_n`.
    #[schemars(extend("enum" = ["first_n", "hash", null]))]
    pub(crate) sampling_strategy: Option<String>,
    /// Makes few series hot and many cold: rates and numbers of observations
    /// are weighted by 1/rank^`zipf_alpha`, and their total stays what it was.
    /// 0 to 10. Default: 0 (all alike).
    #[schemars(range(min = 0, max = 10))]
    pub(crate) zipf_alpha: Option<f64>,
    /// How series come and go: `steady`, `k8s` or `ci` (2, 26 and 300 % new ones a day),
    /// or a list of laws. Default: they stay.
    pub(crate) churn: Option<RawChurn>,
    /// How many entities of a label exist as a function of time. Default: all.
    pub(crate) size: Option<RawSizes>,
}

/// A metric. Which parameters it takes depends on `type` and `algorithm`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Metric")]
pub(crate) struct RawMetric {
    /// Name without the exporter's prefix; unique. A counter's may end in
    /// `_total`, which is exposed once in any case. Required.
    #[schemars(regex(pattern = "^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    #[schemars(required)]
    pub(crate) name: Option<String>,
    /// counter, gauge, histogram or summary. Required.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["counter", "gauge", "histogram", "summary"]))]
    #[schemars(required)]
    pub(crate) kind: Option<String>,
    /// How values are generated, which depends on `type`. Required.
    #[schemars(required)]
    pub(crate) algorithm: Option<String>,
    /// Name of the profile that gives the labels. Default: none, a single
    /// series unless `labels` adds some.
    pub(crate) profile: Option<String>,
    /// Labels of this metric alone. One that the profile has too replaces it in
    /// its place, others come last. Default: none.
    pub(crate) labels: Option<Entries<RawLabel>>,
    /// Labels that it leaves out, of those of its profile: its series have the others.
    /// Default: none.
    pub(crate) without: Option<Vec<Item<String>>>,
    /// Help text. Default: empty.
    pub(crate) description: Option<String>,
    /// Unit, for example `seconds`; at most 63 characters of ASCII. Default: none.
    #[schemars(length(max = 63))]
    pub(crate) unit: Option<String>,
    /// Seed of this metric, 0 to 2^64-1. Default: `global.seed`.
    pub(crate) seed: Option<u64>,
    /// Strength of a daily wave, -1 to 1: rates, values or numbers of
    /// observations are multiplied by 1 + amp × sin(2π × (time of day / 24 h +
    /// phase)). All types. Default: 0.
    #[schemars(range(min = -1, max = 1))]
    pub(crate) diurnal_amp: Option<f64>,
    /// Shift of the daily wave as a share of a day, any number. All types.
    /// Default: 0.
    pub(crate) diurnal_phase: Option<f64>,
    /// Lowest and highest value, `[lo, hi]`; a random walk is reflected at them.
    /// All gauges. Default: no bounds.
    #[schemars(length(min = 2, max = 2))]
    pub(crate) clamp: Option<Vec<Item<f64>>>,
    /// Upper bounds, strictly increasing, at most 1000; `+Inf` is implied (a last
    /// `.inf` may be written). histogram. Default: 0.005, 0.01, 0.025, 0.05, 0.1,
    /// 0.25, 0.5, 1, 2.5, 5, 10.
    #[schemars(length(min = 1))]
    pub(crate) buckets: Option<Vec<Item<AnyFloat>>>,
    /// Quantiles (0 to 1) and the error their rank may have (0 to 1). summary.
    /// Default: {0.5: 0.05, 0.9: 0.01, 0.99: 0.001}.
    pub(crate) objectives: Option<Entries<f64>>,
    /// Seconds (or `10m`) of observations that quantiles look back on; at least one tick,
    /// at most 1000000 ticks. summary. Default: 600.
    pub(crate) max_age_s: Option<Seconds>,
    /// Mean number of observations per tick and series, 0 to 1e9. histogram and
    /// summary. Default: 1.
    #[schemars(range(min = 0, max = 1e9))]
    pub(crate) observations_per_tick: Option<f64>,
    /// Counter of the same labels: there is one observation for each of its events, so
    /// that `_count` grows as it does. histogram and summary. Default: none,
    /// `observations_per_tick` says how many.
    pub(crate) observations_of: Option<String>,
    /// In which form it is sent to whoever takes several: `classic` with its buckets,
    /// `native` (sparse and base-2 exponential), `nhcb` (native with its buckets as custom
    /// ones, in remote write), `both` (classic, and native of the same observations).
    /// histogram. Default: what each exporter says.
    #[schemars(extend("enum" = ["classic", "native", "nhcb", "both", null]))]
    pub(crate) histograms: Option<String>,
    /// The buckets of its native form. histogram. Default: schema 3, at most 160 buckets.
    pub(crate) native_histogram: Option<RawNativeHistogram>,
    /// The name of another metric of the same labels.
    pub(crate) of: Option<String>,
    /// Exemplars: a map, or the share of series that have one at a tick. counter and
    /// histogram. Default: none.
    pub(crate) exemplars: Option<RawExemplars>,
    /// The distributions that are mixed.
    #[schemars(length(min = 1))]
    pub(crate) components: Option<Vec<Item<WithParameters<RawComponent>>>>,
}

/// The buckets of native histograms.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NativeHistogram")]
pub(crate) struct RawNativeHistogram {
    /// How fine buckets are at first, -4 to 8: their bounds grow by 2^(2^-schema).
    /// Default: 3.
    #[schemars(range(min = -4, max = 8))]
    pub(crate) schema: Option<i64>,
    /// The same as the most by which bounds grow, 1.0001 to 65536, of which the schema
    /// follows as in clients of Prometheus: 1.1 is schema 3. Default: none.
    #[schemars(range(min = 1.0001, max = 65_536))]
    pub(crate) growth_factor: Option<f64>,
    /// Most buckets that a series occupies, 1 to 65536. Beyond that the schema of the series
    /// falls by one, which merges pairs, until they are few enough or the schema is -4.
    /// Default: 160.
    #[schemars(range(min = 1, max = 65_536))]
    pub(crate) max_buckets: Option<u64>,
    /// The largest value that is counted as zero, 0 to 1e300. Default: 2^-128.
    #[schemars(range(min = 0, max = 1e300))]
    pub(crate) zero_threshold: Option<f64>,
}

impl Parametrised for RawMetric {
    const NAME: &'static str = "RawMetric";
    const ALGORITHM: &'static str = "algorithm";

    fn fields() -> &'static [&'static str] {
        static FIELDS: LazyLock<Vec<&str>> = LazyLock::new(all_fields::<RawMetric>);
        &FIELDS
    }

    fn algorithms() -> Vec<(String, &'static Definition)> {
        let of = |owner: &'static str, all: &'static [&'static Definition]| {
            let all = all.iter().copied();
            all.map(move |definition| (format!("{owner}{}", definition.name), definition))
        };
        of("counter ", CounterAlgorithm::ALL)
            .chain(of("gauge ", GaugeAlgorithm::ALL))
            .chain(of("", Distribution::ALL))
            .collect()
    }
}

/// Exemplars of a metric: which share of its series has one at a tick, and their labels.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Exemplars", untagged)]
pub(crate) enum RawExemplars {
    /// Share and labels.
    Spec(RawExemplarSpec),
    /// The share; labels are `trace_id` and `span_id`.
    One(f64),
}

/// Share and labels of exemplars.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ExemplarSpec")]
pub(crate) struct RawExemplarSpec {
    /// The share of series that have an exemplar at a tick, more than 0 and at most 1,
    /// of those that count something then. Required.
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    #[schemars(required)]
    pub(crate) share: Option<f64>,
    /// Labels and how their values are made: `hexN` is N bytes (1 to 64) in lower-case
    /// hexadecimal digits. Names and values have at most 128 characters in all. Default:
    /// {`trace_id`: hex16, `span_id`: hex8}.
    pub(crate) labels: Option<Entries<String>>,
}

/// One distribution of a mixture.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Component")]
pub(crate) struct RawComponent {
    /// Its distribution. Required.
    #[serde(rename = "type")]
    #[schemars(required)]
    pub(crate) kind: Option<String>,
    /// Share of the observations, 0 or more, relative to the other weights,
    /// which need not sum to 1. Required.
    #[schemars(range(min = 0, max = 1e200))]
    #[schemars(required)]
    pub(crate) weight: Option<f64>,
}

impl Parametrised for RawComponent {
    const NAME: &'static str = "RawComponent";
    const ALGORITHM: &'static str = "type";

    fn fields() -> &'static [&'static str] {
        static FIELDS: LazyLock<Vec<&str>> = LazyLock::new(all_fields::<RawComponent>);
        &FIELDS
    }

    fn algorithms() -> Vec<(String, &'static Definition)> {
        let all = Distribution::components();
        all.map(|definition| (definition.name.to_owned(), definition))
            .collect()
    }
}
