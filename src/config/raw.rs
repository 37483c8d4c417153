//! The YAML file as written: every field optional, nothing checked but types.
//!
//! The comments on the fields are the descriptions in the JSON Schema, which
//! editors show; they address the author of a configuration file. The attributes
//! (`range`, `enum`, `required`) are for the schema alone: `check` has the rules.
//! Parameters of algorithms are read and described by their definitions (`parameters`).

mod exporters;
mod label;
mod life;
mod metric;
mod parameters;
mod remote_write;
mod runtime;
mod values;

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use exporters::{RawExporters, RawOtel, RawPrometheus, RawTargets};
pub(super) use label::{LABEL_SPEC_FIELDS, RawLabel, RawLabelSpec, RawValues};
pub(super) use life::{RawChurn, RawLaw, RawSize, RawSizes};
pub(super) use metric::{RawComponent, RawExemplars, RawMetric, RawNativeHistogram, RawProfile};
pub(super) use parameters::{Parametrised, WithParameters};
pub(super) use remote_write::{RawBasicAuth, RawRemoteWrite};
pub(super) use runtime::{RawAction, RawRuntime, RawScenario, RawStep};
pub(super) use values::{AnyFloat, Bytes, Count, Entries, Item, Percent, Scalar, Seconds, Whole};

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
    pub(super) metrics: Option<Vec<Item<WithParameters<RawMetric>>>>,
    /// Sequences of actions by name, to be started by `runtime` or through the
    /// control API. At most 1000.
    pub(super) scenarios: Option<Entries<RawScenario>>,
    /// What happens to the metrics while they are generated.
    pub(super) runtime: Option<RawRuntime>,
}

/// Settings of the whole process.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Global")]
pub(super) struct RawGlobal {
    /// Seconds (or `500ms`, `15s`, `1m`) between ticks, 0.001 to 86400, in whole
    /// milliseconds or finer. Default: 1.
    #[schemars(range(min = 0.001, max = 86400))]
    pub(super) tick_interval_s: Option<Seconds>,
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
    /// Token that requests to the control API must carry, as
    /// `Authorization: Bearer …`: 1 to 1024 visible ASCII characters. The
    /// environment variable `MOCKINGBIRD_CONTROL_TOKEN` overrides it. Default:
    /// none, no token is asked for.
    #[schemars(regex(pattern = "^[!-~]{1,1024}$"))]
    pub(super) control_api_token: Option<String>,
    /// Host names, without port, that requests to the control API may name in
    /// their Host header, besides its addresses and localhost. At most 100.
    /// Default: none.
    #[schemars(length(max = 100))]
    pub(super) control_api_hosts: Option<Vec<Item<String>>>,
    /// File to which the journal is written, the record of what is done at run
    /// time. Relative to where the process is started. A file that is there
    /// already is renamed to FILE.1 or the next free number. Default: none.
    pub(super) journal_file: Option<String>,
    /// Threads that advance the series, 1 to 256; values do not depend on it.
    /// Default: one per core.
    #[schemars(range(min = 1, max = 256))]
    pub(super) threads: Option<u64>,
    /// Refuse to start with more samples per scrape than this (also `20M`), as a
    /// guard against a typo in a range; at least 1. Default: 20000000.
    #[schemars(range(min = 1))]
    pub(super) max_series: Option<Count>,
    /// What metrics and labels may be called: `legacy` (letters, digits, `_` and, in
    /// metrics' names, `:`) or `utf8` (any UTF-8, as Prometheus 3 takes it; scrapers that
    /// cannot read such names get them escaped). Default: legacy.
    #[schemars(extend("enum" = ["legacy", "utf8", null]))]
    pub(super) names: Option<String>,
    /// Put before the names of Mockingbird's own metrics (`gen_…`, `process_…`), after
    /// the exporter's prefix, so that metrics of this file can have these names.
    /// Default: empty.
    pub(super) self_metrics_prefix: Option<String>,
}
