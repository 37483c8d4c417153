//! The YAML file as written: every field optional, nothing checked but types.
//!
//! The comments on the fields are the descriptions in the JSON Schema that
//! editors show, so they address the author of a configuration file.

mod remote_write;
mod runtime;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

pub(super) use remote_write::{RawBasicAuth, RawRemoteWrite};
pub(super) use runtime::{RawAction, RawRuntime, RawScenario, RawStep};

/// A configuration file of Mockingbird: which metrics to generate, with which
/// labels, and where to deliver them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Mockingbird configuration")]
pub(super) struct RawConfig {
    /// Settings of the whole process.
    pub(super) global: Option<RawGlobal>,
    /// Where the metrics go.
    pub(super) exporters: Option<RawExporters>,
    /// Named sets of labels that metrics share; each combination of label
    /// values is a series.
    pub(super) profiles: Option<Entries<RawProfile>>,
    /// The metrics; at least one.
    #[schemars(required, length(min = 1))]
    pub(super) metrics: Option<Vec<Item<RawMetric>>>,
    /// Sequences of actions by name: `runtime` and the control API start them.
    /// At most 1000.
    pub(super) scenarios: Option<Entries<RawScenario>>,
    /// What happens to the metrics while they are generated.
    pub(super) runtime: Option<RawRuntime>,
}

/// Settings of the whole process.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Global")]
pub(super) struct RawGlobal {
    /// Seconds between ticks, 0.001 to 86400, in whole milliseconds or finer.
    /// Default: 1.
    #[schemars(range(min = 0.001, max = 86400))]
    pub(super) tick_interval_s: Option<f64>,
    /// Seed of all random draws, a whole number from 0 to 2^64-1; the same seed
    /// gives the same values. Default: 42.
    pub(super) seed: Option<u64>,
    /// Least severe level that is logged: DEBUG, INFO, WARNING or ERROR, in any
    /// case. The environment variable `LOG_LEVEL` overrides it. Default: INFO.
    #[schemars(regex(
        pattern = "^([Dd][Ee][Bb][Uu][Gg]|[Ii][Nn][Ff][Oo]|[Ww][Aa][Rr][Nn]([Ii][Nn][Gg])?|[Ee][Rr][Rr][Oo][Rr])$"
    ))]
    pub(super) log_level: Option<String>,
    /// How log lines look: `text` or `json` (one object per line). Default: text.
    #[schemars(extend("enum" = ["text", "json", null]))]
    pub(super) log_format: Option<String>,
    /// Time of tick 0 as RFC 3339, in whole milliseconds, 1970 or later. Default:
    /// the process's start, rounded down to the interval.
    #[schemars(extend("format" = "date-time"))]
    pub(super) epoch: Option<String>,
    /// TCP port of the control API, 0 to 65535; 0 takes any free one. Default: 8081.
    #[schemars(range(max = 65535))]
    pub(super) control_api_port: Option<u64>,
    /// IP address the control API listens on. Default: 127.0.0.1.
    pub(super) control_api_bind: Option<String>,
    /// What requests to the control API have to show, as
    /// `Authorization: Bearer …`: 1 to 1024 visible ASCII characters. The
    /// environment variable `MOCKINGBIRD_CONTROL_TOKEN` overrides it. Default:
    /// nothing.
    #[schemars(regex(pattern = "^[!-~]{1,1024}$"))]
    pub(super) control_api_token: Option<String>,
    /// Further host names, without port, under which the control API may be
    /// asked; its addresses and localhost always are. At most 100. Default: none.
    #[schemars(length(max = 100))]
    pub(super) control_api_hosts: Option<Vec<Item<String>>>,
    /// File that the journal of what is done at run time is appended to.
    /// Relative to where the process is started. Default: none.
    pub(super) journal_file: Option<String>,
    /// Threads that advance the series, 1 to 256; values do not depend on it.
    /// Default: one per core.
    #[schemars(range(min = 1, max = 256))]
    pub(super) threads: Option<u64>,
    /// Refuse to start with more samples per scrape than this, as a guard
    /// against a typo in a range; at least 1. Default: 20000000.
    #[schemars(range(min = 1))]
    pub(super) max_series: Option<u64>,
}

/// Where the metrics go.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Exporters")]
pub(super) struct RawExporters {
    /// The page that Prometheus-compatible agents scrape.
    pub(super) prometheus: Option<RawPrometheus>,
    /// Pushes to an OpenTelemetry collector.
    pub(super) otel: Option<RawOtel>,
    /// Pushes to receivers of Prometheus remote write; at most 16.
    #[schemars(length(max = 16))]
    pub(super) remote_write: Option<Vec<Item<RawRemoteWrite>>>,
}

/// The page that Prometheus-compatible agents scrape.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Prometheus")]
pub(super) struct RawPrometheus {
    /// Serve `/metrics` at all. Default: true.
    pub(super) enabled: Option<bool>,
    /// TCP port of `/metrics`, 0 to 65535; 0 takes any free one. Default: 8000.
    #[schemars(range(max = 65535))]
    pub(super) port: Option<u64>,
    /// IP address `/metrics` listens on; `0.0.0.0` and `::` mean all.
    /// Default: 0.0.0.0.
    pub(super) bind_address: Option<String>,
    /// Put before every metric name on this page; may be empty. Default: prom_.
    #[schemars(regex(pattern = "^([a-zA-Z_:][a-zA-Z0-9_:]*)?$"))]
    pub(super) prefix: Option<String>,
    /// Write the time of the tick behind each sample. Default: false.
    pub(super) timestamps: Option<bool>,
}

/// Pushes to an OpenTelemetry collector.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Otel")]
pub(super) struct RawOtel {
    /// Push at all. Default: true.
    pub(super) enabled: Option<bool>,
    /// Receiver of OTLP/HTTP: `host:port` or a URL (http or https). Without a
    /// path, `/v1/metrics` is appended. The environment variables
    /// `OTEL_ENDPOINT`, then `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` and
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` override it.
    /// Default: `http://localhost:4318`.
    pub(super) endpoint: Option<String>,
    /// Whether an endpoint written as `host:port` is spoken to in plain HTTP
    /// (true) or HTTPS (false). A URL says so itself. Default: true.
    pub(super) insecure: Option<bool>,
    /// Put before every metric name in pushes; may be empty. Default: otel_.
    #[schemars(regex(pattern = "^([a-zA-Z_:][a-zA-Z0-9_:]*)?$"))]
    pub(super) prefix: Option<String>,
    /// Seconds between pushes, 0.001 to 86400: the first tick at or after each
    /// multiple of it (counted from 1970) is pushed. The environment variable
    /// `OTEL_METRIC_EXPORT_INTERVAL` (milliseconds) overrides it. Default: 10.
    #[schemars(range(min = 0.001, max = 86400))]
    pub(super) export_interval_s: Option<f64>,
    /// How requests are encoded: `http/protobuf`, or `http` for short. gRPC is
    /// not spoken; where this is not given, gRPC's port 4317 in the endpoint is
    /// taken for 4318. Default: http/protobuf.
    #[schemars(extend("enum" = ["http", "http/protobuf", null]))]
    pub(super) protocol: Option<String>,
    /// How request bodies are compressed. Default: gzip.
    #[schemars(extend("enum" = ["gzip", "none", null]))]
    pub(super) compression: Option<String>,
    /// Seconds that one attempt to post a request may take, 0.001 to 3600.
    /// Default: 10.
    #[schemars(range(min = 0.001, max = 3600))]
    pub(super) timeout_s: Option<f64>,
    /// What counters, histograms and summaries are counted from: `cumulative`
    /// since they began, `delta` since the push before. Default: cumulative.
    #[schemars(extend("enum" = ["cumulative", "delta", null]))]
    pub(super) temporality: Option<String>,
    /// How histograms are sent: `explicit` with their buckets, `exponential` as
    /// base-2 exponential histograms. Default: explicit.
    #[schemars(extend("enum" = ["explicit", "exponential", null]))]
    pub(super) histograms: Option<String>,
    /// Most buckets of an exponential histogram, 2 to 1024. Default: 160.
    #[schemars(range(min = 2, max = 1024))]
    pub(super) exponential_max_size: Option<u64>,
    /// Most bytes of a request before compression, 65536 to 67108864. No
    /// receiver's default limit is below the default: 4194304.
    #[schemars(range(min = 65_536, max = 67_108_864))]
    pub(super) max_request_bytes: Option<u64>,
    /// Requests posted at the same time, 1 to 64. Default: 2.
    #[schemars(range(min = 1, max = 64))]
    pub(super) concurrency: Option<u64>,
    /// Most bytes of requests that wait to be posted, as compressed; not below
    /// `max_request_bytes`. When there are more, the oldest push is dropped.
    /// Default: 67108864.
    #[schemars(range(min = 65_536))]
    pub(super) queue_bytes: Option<u64>,
    /// PEM file of the certificate authorities that sign the receiver's
    /// certificate. Relative to this file. Default: the public ones.
    pub(super) ca_file: Option<String>,
    /// PEM file of the certificate (and its chain) shown to the receiver;
    /// needs `key_file`. Relative to this file. Default: none.
    pub(super) cert_file: Option<String>,
    /// PEM file of that certificate's private key. Relative to this file.
    /// Default: none.
    pub(super) key_file: Option<String>,
    /// Extra request headers, for example `authorization`; those in
    /// `OTEL_EXPORTER_OTLP_HEADERS` are added. Default: none.
    pub(super) headers: Option<Entries<Scalar>>,
    /// Resource attributes; those in `OTEL_RESOURCE_ATTRIBUTES` and
    /// `OTEL_SERVICE_NAME` are added. Default: `service.name: mockingbird`.
    pub(super) resource: Option<Entries<Scalar>>,
}

/// A set of labels that metrics share.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Profile")]
pub(super) struct RawProfile {
    /// Label names and their values; the last label varies fastest. At least
    /// one label.
    #[schemars(required)]
    pub(super) labels: Option<Entries<RawLabel>>,
    /// Keep at most this many of the combinations, at least 1. Default: all.
    #[schemars(range(min = 1))]
    pub(super) series_cap: Option<u64>,
    /// Which combinations `series_cap` keeps: `first_n` the first in the order
    /// of the file, `hash` an even sample that all metrics of the profile share
    /// (up to 2^32 combinations). Default: `first_n`.
    #[schemars(extend("enum" = ["first_n", "hash", null]))]
    pub(super) sampling_strategy: Option<String>,
    /// Makes few series hot and many cold: rates and numbers of observations
    /// are weighted by 1/rank^`zipf_alpha`, and their total stays what it was.
    /// 0 to 10. Default: 0 (all alike).
    #[schemars(range(min = 0, max = 10))]
    pub(super) zipf_alpha: Option<f64>,
}

/// The values of a label: a list of values, a single value, or a map with
/// `values` or `range`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Label", untagged)]
pub(super) enum RawLabel {
    /// `values`, or `range` and `fmt`.
    Spec(RawLabelSpec),
    /// The values, short for `values`.
    List(Vec<Item<Scalar>>),
    /// The only value, short for `values` with one entry.
    One(Scalar),
}

/// The values of a label: either `values`, or `range` and `fmt`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LabelValues")]
pub(super) struct RawLabelSpec {
    /// The values; not empty, distinct, none of them the empty text. Numbers,
    /// true and false become text; quote a number to keep how it is written.
    #[schemars(length(min = 1))]
    pub(super) values: Option<Vec<Item<Scalar>>>,
    /// First and last of a range of whole numbers, both included:
    /// `[1, 100000]`.
    #[schemars(length(min = 2, max = 2))]
    pub(super) range: Option<Vec<Item<i64>>>,
    /// How a number of `range` becomes a value: text with exactly one of `{}`,
    /// `%d`, `%s`, `%x`, with a width (`%5d`) or zero-filled (`%02d`, `%04x`);
    /// `%%` is a percent sign. Default: {}.
    pub(super) fmt: Option<String>,
}

/// A metric. Which parameters it takes depends on `type` and `algorithm`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Metric")]
pub(super) struct RawMetric {
    /// Name without the exporter's prefix; unique. A counter's may end in
    /// `_total`, which is exposed once in any case. Required.
    #[schemars(regex(pattern = "^[a-zA-Z_:][a-zA-Z0-9_:]*$"))]
    #[schemars(required)]
    pub(super) name: Option<String>,
    /// counter, gauge, histogram or summary. Required.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["counter", "gauge", "histogram", "summary"]))]
    #[schemars(required)]
    pub(super) kind: Option<String>,
    /// How values come about. counter: poisson, constant. gauge: `random_walk`,
    /// sine, bernoulli, sawtooth, constant. histogram and summary: lognormal,
    /// exponential, mixture. Required.
    #[schemars(extend("enum" = [
        "poisson", "constant", "random_walk", "sine", "bernoulli", "sawtooth",
        "lognormal", "exponential", "mixture"
    ]))]
    #[schemars(required)]
    pub(super) algorithm: Option<String>,
    /// Name of the profile that gives the labels. Default: none, a single
    /// series unless `labels` adds some.
    pub(super) profile: Option<String>,
    /// Labels of this metric alone. One that the profile has too replaces it in
    /// its place, others come last. Default: none.
    pub(super) labels: Option<Entries<RawLabel>>,
    /// Help text. Default: empty.
    pub(super) description: Option<String>,
    /// Unit, for example `seconds`; at most 63 characters of ASCII. Default: none.
    #[schemars(length(max = 63))]
    pub(super) unit: Option<String>,
    /// Seed of this metric, 0 to 2^64-1. Default: `global.seed`.
    pub(super) seed: Option<u64>,
    /// Events per second and series, 0 to 1e12. counter poisson (required),
    /// counter constant (this or `increment`).
    #[schemars(range(min = 0, max = 1e12))]
    pub(super) base_rate: Option<f64>,
    /// Added at every tick, 0 to 1e12. counter constant, instead of `base_rate`.
    #[schemars(range(min = 0, max = 1e12))]
    pub(super) increment: Option<f64>,
    /// Strength of a daily wave, -1 to 1: rates, values or numbers of
    /// observations are multiplied by 1 + amp × sin(2π × (time of day / 24 h +
    /// phase)). All types. Default: 0.
    #[schemars(range(min = -1, max = 1))]
    pub(super) diurnal_amp: Option<f64>,
    /// Shift of the daily wave as a share of a day, any number. All types.
    /// Default: 0.
    pub(super) diurnal_phase: Option<f64>,
    /// First value. gauge `random_walk` (default: the middle of `clamp`, else 0),
    /// gauge constant (required).
    pub(super) start: Option<AnyFloat>,
    /// Standard deviation of a tick's step, 0 or more. gauge `random_walk`
    /// (required).
    #[schemars(range(min = 0))]
    pub(super) step: Option<f64>,
    /// Lowest and highest value, `[lo, hi]`; a random walk is reflected at them.
    /// All gauges. Default: no bounds.
    #[schemars(length(min = 2, max = 2))]
    pub(super) clamp: Option<Vec<Item<f64>>>,
    /// Lowest value. gauge sawtooth (required), gauge sine (with `max`).
    pub(super) min: Option<f64>,
    /// Highest value. gauge sawtooth (required; not reached), gauge sine (with
    /// `min`).
    pub(super) max: Option<f64>,
    /// Seconds of a full cycle, 0.001 to 3e9. gauge sine and sawtooth (required).
    #[schemars(range(min = 0.001, max = 3e9))]
    pub(super) period_s: Option<f64>,
    /// Share of a cycle, 0 to 1, over which the series are spread. gauge sine
    /// and sawtooth. Default: 0 (all in step).
    #[schemars(range(min = 0, max = 1))]
    pub(super) phase_spread: Option<f64>,
    /// Half of the wave's height, 0 or more. gauge sine, instead of `min` and
    /// `max`.
    #[schemars(range(min = 0))]
    pub(super) amplitude: Option<f64>,
    /// Mean of the wave. gauge sine, with `amplitude`. Default: 0.
    pub(super) offset: Option<f64>,
    /// Probability of 1 (else 0), 0 to 1. gauge bernoulli (required).
    #[schemars(range(min = 0, max = 1))]
    pub(super) p: Option<f64>,
    /// Mean of the logarithm of the observed values, -300 to 300. lognormal
    /// (required).
    #[schemars(range(min = -300, max = 300))]
    pub(super) mu: Option<f64>,
    /// Standard deviation of the logarithm, 0 to 50. lognormal (required).
    #[schemars(range(min = 0, max = 50))]
    pub(super) sigma: Option<f64>,
    /// Rate of the exponential distribution, more than 0; the mean is 1/lam.
    /// exponential (required).
    #[schemars(range(min = 1e-200, max = 1e200))]
    pub(super) lam: Option<f64>,
    /// Another name of `lam`; give one of them.
    #[schemars(range(min = 1e-200, max = 1e200))]
    pub(super) lambda: Option<f64>,
    /// Upper bounds, strictly increasing, at most 1000; `+Inf` is implied (a last
    /// `.inf` may be written). histogram. Default: 0.005, 0.01, 0.025, 0.05, 0.1,
    /// 0.25, 0.5, 1, 2.5, 5, 10.
    #[schemars(length(min = 1))]
    pub(super) buckets: Option<Vec<Item<AnyFloat>>>,
    /// Quantiles (0 to 1) and the error their rank may have (0 to 1). summary.
    /// Default: {0.5: 0.05, 0.9: 0.01, 0.99: 0.001}.
    pub(super) objectives: Option<Entries<f64>>,
    /// Seconds of observations that quantiles look back on; at least one tick,
    /// at most 1000000 ticks. summary. Default: 600.
    pub(super) max_age_s: Option<f64>,
    /// Mean number of observations per tick and series, 0 to 1e9. histogram and
    /// summary. Default: 1.
    #[schemars(range(min = 0, max = 1e9))]
    pub(super) observations_per_tick: Option<f64>,
    /// The distributions that are mixed; at least one. mixture (required).
    #[schemars(length(min = 1))]
    pub(super) components: Option<Vec<Item<RawComponent>>>,
    /// Allow `.nan`, `.inf` and `-.inf` as `start`. gauge constant. Default: false.
    pub(super) allow_nan: Option<bool>,
}

/// One distribution of a mixture.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Component")]
pub(super) struct RawComponent {
    /// lognormal or exponential. Required.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["lognormal", "exponential"]))]
    #[schemars(required)]
    pub(super) kind: Option<String>,
    /// Share of the observations, 0 or more, relative to the other weights,
    /// which need not sum to 1. Required.
    #[schemars(range(min = 0, max = 1e200))]
    #[schemars(required)]
    pub(super) weight: Option<f64>,
    /// Mean of the logarithm, -300 to 300. lognormal (required).
    #[schemars(range(min = -300, max = 300))]
    pub(super) mu: Option<f64>,
    /// Standard deviation of the logarithm, 0 to 50. lognormal (required).
    #[schemars(range(min = 0, max = 50))]
    pub(super) sigma: Option<f64>,
    /// Rate, more than 0; the mean is 1/lam. exponential (required).
    #[schemars(range(min = 1e-200, max = 1e200))]
    pub(super) lam: Option<f64>,
    /// Another name of `lam`; give one of them.
    #[schemars(range(min = 1e-200, max = 1e200))]
    pub(super) lambda: Option<f64>,
}

/// An entry of a list; `None` where it is null or could not be read.
#[derive(Debug)]
pub(super) struct Item<T>(pub(super) Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Item)
    }
}

impl<T: JsonSchema> JsonSchema for Item<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// Names and their values in file order; `None` as in [`Item`].
#[derive(Debug)]
pub(super) struct Entries<T>(pub(super) Vec<(String, Option<T>)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map of names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Map_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": generator.subschema_for::<T>(),
        })
    }
}

/// A number that may be infinite or NaN, also in quotes; whether that is right is
/// checked later.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct AnyFloat(pub(super) f64);

impl JsonSchema for AnyFloat {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // `.inf` and `.nan` are numbers to YAML; JSON has to quote them.
        json_schema!({ "anyOf": [
            { "type": "number" },
            { "enum": [".nan", ".inf", "-.inf"] },
        ] })
    }
}

/// A single value as text.
#[derive(Debug, Clone)]
pub(super) struct Scalar(pub(super) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a text, a number, true or false")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
                if value.is_finite() {
                    Ok(Scalar(super::yaml::float_text(value)))
                } else {
                    Err(E::custom(format!(
                        "{} is a number here; put it in quotes to use it as text",
                        super::yaml::float_text(value)
                    )))
                }
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(value.to_owned()))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}
