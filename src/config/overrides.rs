//! Command-line arguments that take precedence over the file and the environment.
//!
//! Where the file has a field for them, they are written into the file's fields before these are checked. So
//! everything that is derived from a field (a constant counter's increment from
//! the interval, for example) is derived from the argument.

use std::collections::HashMap;

use super::check::base_name;
use super::endpoint::Endpoint;
use super::raw::{Count, Item, RawConfig, RawRemoteWrite, RawTargets, Seconds};
use super::{RemoteWriteVersion, Shard, TargetLaw, Targets};

/// Variables that name a receiver; ignored where an argument names one.
const ENDPOINT_VARIABLES: [&str; 3] = [
    "OTEL_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// What takes precedence over a file and the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `global.tick_interval_s`, in nanoseconds.
    pub tick_interval_ns: Option<u64>,
    /// `global.self_metrics_prefix`.
    pub self_metrics_prefix: Option<String>,
    /// `exporters.prometheus.targets`.
    pub targets: TargetsGiven,
    /// The only receiver that is pushed to.
    pub push: Option<PushTo>,
    /// The part of the run that a process computes, which no file tells; all of it if there is
    /// none.
    pub shard: Option<Shard>,
    /// Of metrics that name no seed, by base name, in the place of `global.seed`.
    pub seeds: HashMap<String, u64>,
}

/// Whether targets take precedence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TargetsGiven {
    /// Those of the file are taken.
    #[default]
    No,
    /// These are, or none.
    As(Option<Targets>),
}

/// A receiver that an argument names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushTo {
    /// The first of `exporters.remote_write`, or one with all defaults.
    RemoteWrite {
        /// In the place of its `url`.
        url: String,
        /// In the place of its `version`.
        version: Option<RemoteWriteVersion>,
    },
    /// `exporters.otel`.
    Otlp {
        /// In the place of its `endpoint` and of the environment's.
        url: String,
    },
}

impl PushTo {
    /// What is wrong with the URL, if anything is.
    pub fn mistake(&self) -> Option<String> {
        let parsed = match self {
            Self::RemoteWrite { url, .. } => Endpoint::parse_url(url),
            Self::Otlp { url } => Endpoint::parse(url),
        };
        parsed.err()
    }
}

impl Overrides {
    /// Whether an environment variable is to be ignored.
    pub(super) fn hides(&self, variable: &str) -> bool {
        let names_receiver = matches!(self.push, Some(PushTo::Otlp { .. }));
        names_receiver && ENDPOINT_VARIABLES.contains(&variable)
    }

    /// Writes the arguments into the fields of a file.
    pub(super) fn apply(&self, raw: &mut RawConfig) {
        if let Some(interval_ns) = self.tick_interval_ns {
            let global = raw.global.get_or_insert_default();
            global.tick_interval_s = Some(Seconds(interval_ns as f64 / 1e9));
        }
        if let Some(prefix) = &self.self_metrics_prefix {
            let global = raw.global.get_or_insert_default();
            global.self_metrics_prefix = Some(prefix.clone());
        }
        if let TargetsGiven::As(targets) = &self.targets {
            let exporters = raw.exporters.get_or_insert_default();
            let prometheus = exporters.prometheus.get_or_insert_default();
            prometheus.targets = targets.as_ref().map(raw_targets);
        }
        for Item(metric) in raw.metrics.iter_mut().flatten() {
            let fixed = metric.as_mut().map(|metric| &mut metric.fixed);
            if let Some(metric) = fixed.filter(|metric| metric.seed.is_none()) {
                let name = metric.name.as_deref().unwrap_or_default();
                let base = base_name(name, metric.kind.as_deref());
                metric.seed = self.seeds.get(base).copied();
            }
        }
        match &self.push {
            None => {}
            Some(PushTo::RemoteWrite { url, version }) => {
                let exporters = raw.exporters.get_or_insert_default();
                let all = exporters.remote_write.get_or_insert_default();
                all.truncate(1);
                if all.is_empty() {
                    all.push(Item(Some(RawRemoteWrite::default())));
                }
                // A null entry stays, and is reported by the check.
                if let Some(Item(Some(first))) = all.first_mut() {
                    first.enabled = Some(true);
                    first.url = Some(url.clone());
                    let number = version.map(|version| match version {
                        RemoteWriteVersion::V1 => 1,
                        RemoteWriteVersion::V2 => 2,
                    });
                    first.version = number.or(first.version);
                }
            }
            Some(PushTo::Otlp { url }) => {
                let exporters = raw.exporters.get_or_insert_default();
                let otel = exporters.otel.get_or_insert_default();
                otel.enabled = Some(true);
                otel.endpoint = Some(url.clone());
                // A URL says itself whether it is HTTPS.
                if Endpoint::parse(url).is_ok_and(|endpoint| endpoint.https.is_some()) {
                    otel.insecure = None;
                }
            }
        }
    }
}

/// Targets as a file has them.
fn raw_targets(targets: &Targets) -> RawTargets {
    let (by, count) = match &targets.law {
        TargetLaw::By(labels) => {
            let labels = labels.iter().cloned();
            (Some(labels.map(|label| Item(Some(label))).collect()), None)
        }
        TargetLaw::Count(count) => (None, Some(Count(u64::from(*count)))),
    };
    RawTargets {
        by,
        count,
        in_body: Some(targets.in_body),
        whole: Some(targets.whole),
    }
}
