//! The families that a process has of its own: names, helps, units and labels.

use std::sync::Arc;

use super::SelfMetrics;
use crate::config::{self, Config, LabelValues, RemoteWriteVersion};
use crate::exporters::{self, ExporterId, Push};
use crate::http::{Counter, Stats};
use crate::model::labels::Dimension;
use crate::model::space::Space;
use crate::model::{Family, Shape};
use crate::remote_write::Contents;

/// Base name, without `global.self_metrics_prefix`, of the counter whose value is the
/// number of the tick.
pub const TICKS: &str = "gen_ticks";
/// The same and unit of the gauge that tells how late a tick began.
pub const TICK_LAG: (&str, &str) = ("gen_tick_lag_seconds", "seconds");
/// The same, unit and label of the gauge that tells which run this is.
pub const EPOCH: (&str, &str, &str) = ("gen_epoch_seconds", "seconds", "fingerprint");
/// The label of the same family that tells the shard, where a process has no more of its run.
pub const SHARD_LABEL: &str = "shard";

/// Buckets of `gen_tick_duration_seconds`.
pub(super) const TICK_BOUNDS_S: [f64; 10] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// Buckets of `gen_scrape_duration_seconds`.
pub(super) const SCRAPE_BOUNDS_S: [f64; 11] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0,
];
/// Values of the label `encoding`: without and with gzip.
const ENCODINGS: [&str; 2] = ["identity", "gzip"];

/// Values of the label `server`: the metrics page, where it is served, and the control API.
pub(super) const SERVERS: [&str; 2] = ["metrics", "control"];
/// Values of the label `reason` of `gen_http_errors`, and what they count.
pub(super) const HTTP_ERRORS: [(&str, HttpCount); 6] = [
    ("connection_refused", |stats| &stats.connections_refused),
    ("connection_evicted", |stats| &stats.connections_evicted),
    ("accept", |stats| &stats.accept_errors),
    ("bad_request", |stats| &stats.requests_bad),
    ("write_timeout", |stats| &stats.write_timeouts),
    ("handler_panic", |stats| &stats.handler_panics),
];

/// One of the numbers of an HTTP server.
pub(super) type HttpCount = fn(&Stats) -> &Counter;

/// One of the families, see [`FAMILIES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    Points,
    ExportErrors,
    TickDuration,
    ActiveSeries,
    SeriesBorn,
    SeriesEnded,
    QueueDepth,
    Ticks,
    TickLag,
    ClockOffset,
    Epoch,
    Scrapes,
    TargetScrapes,
    Targets,
    ScrapeDuration,
    ScrapeBytes,
    ResidentMemory,
    CpuSeconds,
    HttpConnections,
    HttpRequests,
    HttpErrors,
    BuildInfo,
    PointsOffered,
    PointsAccepted,
    PointsRejected,
    PointsRetried,
    PointsDropped,
    Written,
    Mismatches,
}

/// So many of the last [`FAMILIES`] exist only where an exporter pushes.
const PUSH_FAMILIES: usize = 7;
/// So many of those only where one pushes by version 2 of remote write.
const CONFIRMED_FAMILIES: usize = 2;

/// Base name, without `global.self_metrics_prefix`, help and unit of each, in the order
/// in which they are exposed.
pub(super) const FAMILIES: [(Own, &str, &str, &str); 29] = [
    (
        Own::Points,
        "gen_points",
        "Samples generated since the metric's first tick, those left out by a fault included.",
        "",
    ),
    (
        Own::ExportErrors,
        "gen_export_errors",
        "Scrapes and pushes that failed or were broken off.",
        "",
    ),
    (
        Own::TickDuration,
        "gen_tick_duration_seconds",
        "Time to compute a tick.",
        "seconds",
    ),
    (
        Own::ActiveSeries,
        "gen_active_series",
        "Series of this metric that exist at this tick.",
        "",
    ),
    (
        Own::SeriesBorn,
        "gen_series_born",
        "Series of this metric that have begun, those of its first tick and those that began \
         anew included.",
        "",
    ),
    (
        Own::SeriesEnded,
        "gen_series_ended",
        "Series of this metric that have ended, those that began anew included.",
        "",
    ),
    (
        Own::QueueDepth,
        "gen_export_queue_depth",
        "Exports under way or waiting.",
        "",
    ),
    (
        Own::Ticks,
        TICKS,
        "Number of the tick that this body shows, counted from the epoch.",
        "",
    ),
    (
        Own::TickLag,
        TICK_LAG.0,
        "How late this tick began.",
        TICK_LAG.1,
    ),
    (
        Own::Epoch,
        EPOCH.0,
        "Unix time of tick 0; the label tells what determines the values of this run.",
        EPOCH.1,
    ),
    (
        Own::ClockOffset,
        "gen_clock_offset_seconds",
        "How far the system's clock is ahead of the ticks' schedule (below 0: behind).",
        "seconds",
    ),
    (Own::Scrapes, "gen_scrapes", "Scrapes answered in full.", ""),
    (
        Own::TargetScrapes,
        "gen_target_scrapes",
        "Scrapes of the pages of targets answered in full, which are scrapes as well.",
        "",
    ),
    (
        Own::Targets,
        "gen_targets",
        "Targets with pages of their own, as of the last time that one of these or the list of \
         them was asked for; those at first before.",
        "",
    ),
    (
        Own::ScrapeDuration,
        "gen_scrape_duration_seconds",
        "Time to answer a scrape.",
        "seconds",
    ),
    (
        Own::ScrapeBytes,
        "gen_scrape_bytes",
        "Bytes of scrape bodies sent, as encoded.",
        "bytes",
    ),
    (
        Own::HttpConnections,
        "gen_http_connections",
        "Connections accepted, those included that were refused or evicted.",
        "",
    ),
    (
        Own::HttpRequests,
        "gen_http_requests",
        "Well-formed requests.",
        "",
    ),
    (
        Own::HttpErrors,
        "gen_http_errors",
        "Connections refused with 503 or, while idle, evicted since there were too many; \
         connections that could not be accepted; requests refused before they were looked at; \
         responses that the client did not take in time; panics.",
        "",
    ),
    (
        Own::ResidentMemory,
        "process_resident_memory_bytes",
        "Resident memory size.",
        "bytes",
    ),
    (
        Own::CpuSeconds,
        "process_cpu_seconds",
        "User and system CPU time.",
        "seconds",
    ),
    (
        Own::BuildInfo,
        "gen_build_info",
        "Always 1; the label tells the version.",
        "",
    ),
    (
        Own::PointsOffered,
        "gen_export_points_offered",
        "Data points that were due to be pushed.",
        "",
    ),
    (
        Own::PointsAccepted,
        "gen_export_points_accepted",
        "Data points that the receiver took.",
        "",
    ),
    (
        Own::PointsRejected,
        "gen_export_points_rejected",
        "Data points that the receiver reported as rejected.",
        "",
    ),
    (
        Own::PointsRetried,
        "gen_export_points_retried",
        "Data points sent again after a failed attempt, at each further attempt.",
        "",
    ),
    (
        Own::PointsDropped,
        "gen_export_dropped_points",
        "Data points that were given up.",
        "",
    ),
    (
        Own::Written,
        "gen_export_written",
        "Samples, histograms and exemplars that the receiver says it wrote, as receivers of \
         remote write 2 do.",
        "",
    ),
    (
        Own::Mismatches,
        "gen_export_mismatches",
        "Requests of which the receiver says that it wrote less or more than was in them.",
        "",
    ),
];

impl SelfMetrics {
    /// The families, to be appended to the catalog of `config`.
    pub fn families(config: &Config) -> Vec<Family> {
        let names: Vec<String> = config.metrics.iter().map(|m| m.name.clone()).collect();
        let label = |name: &str, values: Vec<String>| {
            let count = values.len();
            Dimension::new(name, &LabelValues::List(values), count)
        };
        let metric_name = || label("metric_name", names.clone());
        let pushing: Vec<String> = exporters::pushing(config)
            .map(|(exporter, _)| exporter.id.label())
            .collect();
        let pushers = || label("exporter", pushing.clone());
        let exporter = || {
            let page = ExporterId::Prometheus.label();
            let all = std::iter::once(page).chain(pushing.clone());
            label("exporter", all.collect())
        };
        let servers = || {
            let served = &SERVERS[usize::from(!config.prometheus.enabled)..];
            label("server", served.iter().copied().map(String::from).collect())
        };
        let is_confirmed = |push: Push<'_>| match push {
            Push::Otlp(_) => false,
            Push::RemoteWrite(entry) => entry.version == RemoteWriteVersion::V2,
        };
        let without = if pushing.is_empty() {
            PUSH_FAMILIES
        } else if exporters::pushing(config).any(|(_, push)| is_confirmed(push)) {
            0
        } else {
            CONFIRMED_FAMILIES
        };
        FAMILIES[..FAMILIES.len() - without]
            .iter()
            .map(|&row| {
                let own = row.0;
                let labels = match own {
                    Own::Points | Own::ActiveSeries | Own::SeriesBorn | Own::SeriesEnded => {
                        vec![metric_name()]
                    }
                    Own::ExportErrors | Own::QueueDepth => vec![exporter()],
                    Own::PointsOffered
                    | Own::PointsAccepted
                    | Own::PointsRejected
                    | Own::PointsRetried
                    | Own::PointsDropped
                    | Own::Mismatches => vec![pushers()],
                    Own::Written => {
                        let kinds = Contents::default().by_kind().map(|(kind, _)| kind.into());
                        vec![pushers(), label("kind", kinds.into())]
                    }
                    Own::HttpConnections | Own::HttpRequests => vec![servers()],
                    Own::HttpErrors => {
                        let reasons = HTTP_ERRORS.map(|(reason, _)| reason.to_owned());
                        vec![label("reason", reasons.into()), servers()]
                    }
                    Own::ScrapeBytes => vec![label("encoding", ENCODINGS.map(String::from).into())],
                    Own::Epoch => {
                        let shard = config.shard.filter(|shard| shard.is_part());
                        let shard = shard.map(|shard| label(SHARD_LABEL, vec![shard.to_string()]));
                        let fingerprint = label(EPOCH.2, vec![config::fingerprint(config)]);
                        std::iter::once(fingerprint).chain(shard).collect()
                    }
                    Own::BuildInfo => {
                        vec![label("version", vec![env!("CARGO_PKG_VERSION").to_owned()])]
                    }
                    _ => Vec::new(),
                };
                family(config, row, labels)
            })
            .collect()
    }

    /// The family [`TICKS`] of a configuration, without labels, for a catalog that has no
    /// other of the process's own; [`super::fill_tick`] fills it.
    pub fn tick_family(config: &Config) -> Family {
        let row = FAMILIES.iter().find(|(own, ..)| *own == Own::Ticks);
        family(config, *row.expect("it is one of them"), Vec::new())
    }
}

/// One of the families, under the name that a configuration gives it.
fn family(
    config: &Config,
    (own, name, help, unit): (Own, &str, &str, &str),
    labels: Vec<Dimension>,
) -> Family {
    let shape = match own {
        Own::TickDuration => Shape::histogram(TICK_BOUNDS_S),
        Own::ScrapeDuration => Shape::histogram(SCRAPE_BOUNDS_S),
        Own::ActiveSeries
        | Own::QueueDepth
        | Own::Targets
        | Own::TickLag
        | Own::ClockOffset
        | Own::Epoch
        | Own::ResidentMemory
        | Own::BuildInfo => Shape::Gauge,
        _ => Shape::Counter,
    };
    let space = Arc::new(Space::from_dimensions(labels));
    let name = format!("{}{name}", config.global.self_metrics_prefix);
    Family::new(&name, help, unit, shape, space)
}
