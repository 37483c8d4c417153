//! `exporters` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Bytes, Count, Entries, Item, RawRemoteWrite, Scalar, Seconds};

/// Where the metrics go.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Exporters")]
pub(crate) struct RawExporters {
    /// The page that Prometheus-compatible agents scrape.
    pub(crate) prometheus: Option<RawPrometheus>,
    /// Pushes to an OpenTelemetry collector.
    pub(crate) otel: Option<RawOtel>,
    /// Pushes to receivers of Prometheus remote write; at most 16.
    #[schemars(length(max = 16))]
    pub(crate) remote_write: Option<Vec<Item<RawRemoteWrite>>>,
}

/// The page that Prometheus-compatible agents scrape.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Prometheus")]
pub(crate) struct RawPrometheus {
    /// Serve `/metrics` at all. Default: true.
    pub(crate) enabled: Option<bool>,
    /// TCP port of `/metrics`, 0 to 65535; 0 takes any free one. Default: 8000.
    #[schemars(range(max = 65535))]
    pub(crate) port: Option<u64>,
    /// IP address `/metrics` listens on; `0.0.0.0` and `::` mean all.
    /// Default: 0.0.0.0.
    pub(crate) bind_address: Option<String>,
    /// Put before every metric name on this page; may be empty. Default: prom_.
    #[schemars(regex(pattern = "^([a-zA-Z_:][a-zA-Z0-9_:]*)?$"))]
    pub(crate) prefix: Option<String>,
    /// Write the time of the tick behind each sample. Default: false.
    pub(crate) timestamps: Option<bool>,
    /// Write when each counter, histogram and summary began as a `_created`
    /// sample of its own, in `OpenMetrics`. Prometheus stores each of them as one
    /// more series. Default: false.
    pub(crate) created: Option<bool>,
    /// How histograms are shown in protobuf: `classic` with their buckets, `native`, or
    /// `both`, as instrumented programs do. Text formats have classic ones alone. A metric's
    /// own `histograms` goes before. Default: classic.
    #[schemars(extend("enum" = ["classic", "native", "both", null]))]
    pub(crate) histograms: Option<String>,
    /// Connections at the same time, 16 to 65536; beyond them idle ones are closed, and
    /// where none is idle the next one gets 503. Default: 2048.
    #[schemars(range(min = 16, max = 65_536))]
    pub(crate) max_connections: Option<u64>,
    /// Divides the series among targets, each with a page of its own under
    /// `/targets/ID/metrics`, which `/sd` lists. Default: none.
    pub(crate) targets: Option<RawTargets>,
}

/// Which target a series belongs to: `by` or `count`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Targets")]
pub(crate) struct RawTargets {
    /// Names of labels, at most 8: each combination of their values is a target. A label
    /// that a metric lacks counts as empty.
    #[schemars(length(min = 1, max = 8))]
    pub(crate) by: Option<Vec<Item<String>>>,
    /// So many targets, 1 to 1000000: a series belongs to one of them by its label
    /// values, all of an entity and of those that take its place to one.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) count: Option<Count>,
    /// Whether the lines of a target's page have the labels of `by`. Without, they come from
    /// `/sd`, as they do from service discovery. Default: true.
    pub(crate) in_body: Option<bool>,
    /// Whether `/metrics` still has all series, instead of self-metrics alone. Default: true.
    pub(crate) whole: Option<bool>,
}

/// Pushes to an OpenTelemetry collector.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Otel")]
pub(crate) struct RawOtel {
    /// Push at all. Default: true.
    pub(crate) enabled: Option<bool>,
    /// Receiver of OTLP/HTTP: `host:port` or a URL (http or https), which may
    /// have a query. Without a path, `/v1/metrics` is appended. The environment variables
    /// `OTEL_ENDPOINT`, then `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` and
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` override it.
    /// Default: `http://localhost:4318`.
    pub(crate) endpoint: Option<String>,
    /// Whether an endpoint written as `host:port` is spoken to in plain HTTP
    /// (true) or HTTPS (false). A URL says so itself. Default: true.
    pub(crate) insecure: Option<bool>,
    /// Put before every metric name in pushes; may be empty. Default: otel_.
    #[schemars(regex(pattern = "^([a-zA-Z_:][a-zA-Z0-9_:]*)?$"))]
    pub(crate) prefix: Option<String>,
    /// Seconds (or `1m`) between pushes, 0.001 to 86400: the first tick at or after each
    /// multiple of it (counted from 1970) is pushed. The environment variable
    /// `OTEL_METRIC_EXPORT_INTERVAL` (milliseconds) overrides it. Default: 10.
    #[schemars(range(min = 0.001, max = 86400))]
    pub(crate) export_interval_s: Option<Seconds>,
    /// How requests are encoded: `http/protobuf`, or `http` for short. gRPC is
    /// not spoken; where this is not given, gRPC's port 4317 in the endpoint is
    /// taken for 4318. Default: http/protobuf.
    #[schemars(extend("enum" = ["http", "http/protobuf", null]))]
    pub(crate) protocol: Option<String>,
    /// How request bodies are compressed. Default: gzip.
    #[schemars(extend("enum" = ["gzip", "none", null]))]
    pub(crate) compression: Option<String>,
    /// Seconds (or `500ms`) that one attempt to post a request may take, 0.001 to 3600.
    /// Default: 10.
    #[schemars(range(min = 0.001, max = 3600))]
    pub(crate) timeout_s: Option<Seconds>,
    /// What counters, histograms and summaries are counted from: `cumulative`
    /// since they began, `delta` since the push before. Default: cumulative.
    #[schemars(extend("enum" = ["cumulative", "delta", null]))]
    pub(crate) temporality: Option<String>,
    /// How histograms are sent: `explicit` with their buckets, `exponential` as
    /// base-2 exponential histograms, whose scale follows from `exponential_max_size`,
    /// `native` as such with the buckets of `metrics[].native_histogram`. A metric's own
    /// `histograms` goes before. Default: explicit.
    #[schemars(extend("enum" = ["explicit", "exponential", "native", null]))]
    pub(crate) histograms: Option<String>,
    /// Most buckets of an exponential histogram, 2 to 1024. Default: 160.
    #[schemars(range(min = 2, max = 1024))]
    pub(crate) exponential_max_size: Option<u64>,
    /// Whether points of histograms have the smallest and the largest observation: since
    /// the series began, in deltas since the push before. Default: false.
    pub(crate) min_max: Option<bool>,
    /// Most bytes (or `4MiB`) of a request before compression, 65536 to 67108864. No
    /// receiver's default limit is below the default: 4194304.
    #[schemars(range(min = 65_536, max = 67_108_864))]
    pub(crate) max_request_bytes: Option<Bytes>,
    /// Requests posted at the same time, 1 to 64. Default: 2.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) concurrency: Option<u64>,
    /// Most bytes (or `64MiB`) of requests that wait to be posted, as compressed; not below
    /// `max_request_bytes`. When there are more, the oldest push is dropped.
    /// Default: 67108864.
    #[schemars(range(min = 65_536))]
    pub(crate) queue_bytes: Option<Bytes>,
    /// PEM file of the certificate authorities that sign the receiver's
    /// certificate. Relative to this file, and read again when it changes.
    /// Default: the public ones.
    pub(crate) ca_file: Option<String>,
    /// PEM file of the certificate (and its chain) shown to the receiver;
    /// needs `key_file`. Relative to this file, and read again when it changes.
    /// Default: none.
    pub(crate) cert_file: Option<String>,
    /// PEM file of that certificate's private key. Relative to this file.
    /// Default: none.
    pub(crate) key_file: Option<String>,
    /// Extra request headers, for example `authorization`; those in
    /// `OTEL_EXPORTER_OTLP_HEADERS` are added. Default: none.
    pub(crate) headers: Option<Entries<Scalar>>,
    /// Resource attributes; those in `OTEL_RESOURCE_ATTRIBUTES` and
    /// `OTEL_SERVICE_NAME` are added. Default: `service.name: mockingbird`.
    pub(crate) resource: Option<Entries<Scalar>>,
    /// What tells several of these processes apart at one receiver: with `auto`
    /// the resource attribute `service.instance.id`, host name and port, is
    /// added where `resource` has none and no metric has a label `instance`;
    /// with `none` it is not. Default: auto.
    #[schemars(extend("enum" = ["auto", "none", null]))]
    pub(crate) instance: Option<String>,
}
