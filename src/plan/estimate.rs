//! What a configuration will cost by arithmetic: series, samples, and the generator's memory.

use serde::Serialize;

use super::outlook::Outlook;
use crate::config::{Config, Finding, INSTANCE_LABEL, Instance, Label};
use crate::engine::{EngineSize, further, threads_of};
use crate::exporters::{self, Push};
use crate::exposition::BodySize;
use crate::model::{SpaceSizes, form_of, shape_of};
use crate::otlp;
use crate::push::{ExportSize, PushSize};
use crate::readable::{grouped, human_bytes};
use crate::remote_write;
use crate::timeline::Timeline;

/// Memory of a process that generates next to nothing: its code, and the threads that
/// every one has.
const PROCESS_BYTES: f64 = 9.6e6;
/// Of the label that tells replicas apart: its name, a host's and a port.
const INSTANCE_BYTES: usize = 28;
/// What a family takes beside its series: names, texts, and what is known of them in every
/// exporter.
const FAMILY_BYTES: f64 = 9e3;

/// Size of a configuration by arithmetic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Series of all metrics, the most that exist at once.
    pub series: u128,
    /// Samples per text scrape, the most at once.
    pub samples: u128,
    /// Rooms for series that are laid out, whether or not there are any in them at a time.
    pub rows: u128,
    /// No more series exist at once; fewer than [`Self::series`] where these are counted by
    /// their rooms, since it would take long to know more.
    pub most: u128,
    /// Memory of the generator.
    pub memory: Memory,
}

/// Bytes of memory that a run takes at its most, by what takes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Memory {
    /// The program and its threads, and every metric whatever its series.
    pub process_bytes: u128,
    /// Label values, and which label sets are selected.
    pub labels_bytes: u128,
    /// Columns of frames, and what series carry from tick to tick.
    pub series_bytes: u128,
    /// Chunks of bodies that are scraped.
    pub scrapes_bytes: u128,
    /// Requests that are pushed, to receivers that keep up.
    pub pushes_bytes: u128,
    /// What there may be beside all this while receivers are slow: not part of the sum.
    pub slow_receivers_bytes: u128,
}

impl Memory {
    /// All together, but for what slow receivers cost.
    pub fn bytes(&self) -> u128 {
        let parts = self.parts().map(|(_, bytes)| bytes);
        parts.into_iter().fold(0, u128::saturating_add)
    }

    pub(super) fn parts(&self) -> [(&'static str, u128); 5] {
        [
            ("process", self.process_bytes),
            ("labels", self.labels_bytes),
            ("series", self.series_bytes),
            ("scrapes", self.scrapes_bytes),
            ("pushes", self.pushes_bytes),
        ]
    }
}

impl Estimate {
    /// Adds up the metrics of a configuration; saturates, however long the ranges.
    ///
    /// Series that come and go are looked at for a day, the rest of it is arithmetic.
    pub fn of(config: &Config) -> Self {
        Self::with_outlook(config).0
    }

    /// The same, and what becomes of the series.
    pub fn with_outlook(config: &Config) -> (Self, Outlook) {
        let (estimate, outlook, _) = Self::with_exports(config);
        (estimate, outlook)
    }

    /// The same, and what a frame is for each exporter that pushes, in the order of
    /// [`exporters::pushing`].
    pub fn with_exports(config: &Config) -> (Self, Outlook, Vec<ExportSize>) {
        let layout = further::needed(config);
        let ticks = SpaceSizes::last_tick(config);
        let mut spaces = SpaceSizes::new(config, Timeline::orders_up_to(config, ticks));
        let (mut rows, mut never) = (0_u128, 0_u128);
        let mut outlook = Outlook::new(config, ticks);
        let mut engine = EngineSize::new(config);
        let mut bodies = BodySize::default();
        let exports = exporters::pushing(config).map(|(_, push)| (push, ExportSize::default()));
        let mut exports: Vec<(Push<'_>, ExportSize)> = exports.collect();
        for metric in &config.metrics {
            let (space, size) = spaces.of(metric);
            let shape = shape_of(metric, &layout);
            rows = rows.saturating_add(size.rows);
            never = never.saturating_add(size.series - size.most.min(size.series));
            outlook.add(size, shape.samples_per_series() as u128);
            // Places of series that do not exist have columns as well.
            engine.add(metric, &shape, size.rows as f64, space);
            bodies.add(
                config.prometheus.prefix.len() + metric.name.len(),
                &shape,
                size,
            );
            for (push, export) in &mut exports {
                match push {
                    Push::Otlp(otel) => {
                        let bytes = {
                            let span = (ticks, config.global.tick_interval_ns);
                            otlp::point_bytes(&shape, metric, otel, span, size)
                        };
                        export.add(size.series, bytes);
                    }
                    Push::RemoteWrite(section) => {
                        let name = section.prefix.len() + metric.name.len();
                        // The instance is known at a start only.
                        let named = |name: &str| name != INSTANCE_LABEL;
                        let labels = section.labels.iter().filter(|(name, _)| named(name));
                        let labels = labels.map(|(name, value)| name.len() + value.len());
                        let instance =
                            (section.instance == Instance::Auto).then_some(INSTANCE_BYTES);
                        let labels = labels.chain(instance);
                        let bytes = remote_write::sample_bytes(name, labels, size);
                        let (own, all) = (form_of(metric), section.histograms);
                        let points =
                            remote_write::points_per_series(&shape, own, all, section.version);
                        export.add(size.series.saturating_mul(points.samples.into()), bytes);
                        let form = remote_write::sent_as(own, all, section.version);
                        let more = remote_write::histogram_bytes(
                            &shape,
                            form,
                            further::occupied(metric).unwrap_or(0.0),
                        );
                        let histograms = size.series.saturating_mul(points.histograms.into());
                        export.add(histograms, bytes + more);
                    }
                }
            }
        }
        let scrapes = if config.prometheus.enabled {
            bodies.pool_bytes(threads_of(config))
        } else {
            0.0
        };
        let (mut pushes, mut slow_receivers) = (0.0, 0.0);
        for &(push, export) in &exports {
            let size = match push {
                Push::Otlp(otel) => PushSize::of_otel(otel, export),
                Push::RemoteWrite(section) => PushSize::of_remote_write(section, export),
            };
            pushes += size.bytes;
            // The frame is encoded until the next one is due.
            slow_receivers += size.slow_bytes + engine.frame_bytes();
        }
        let process = PROCESS_BYTES + FAMILY_BYTES * config.metrics.len() as f64;
        let (series, samples) = outlook.peaks();
        let estimate = Self {
            series,
            samples,
            rows,
            most: series.saturating_sub(never),
            memory: Memory {
                process_bytes: process as u128,
                labels_bytes: spaces.bytes() as u128,
                series_bytes: engine.bytes() as u128,
                scrapes_bytes: scrapes as u128,
                pushes_bytes: pushes as u128,
                slow_receivers_bytes: slow_receivers as u128,
            },
        };
        let exports = exports.into_iter().map(|(_, export)| export);
        (estimate, outlook, exports.collect())
    }

    /// Why a configuration of this size must not start, if it must not.
    pub fn refusal(&self, config: &Config) -> Option<String> {
        let excess = self.excess(config)?;
        Some(format!("{}: {excess}", config.path.display()))
    }

    /// The same as a finding about the field that would allow it.
    pub fn finding(&self, config: &Config) -> Option<Finding> {
        Some(Finding {
            path: "global.max_series".to_owned(),
            message: self.excess(config)?,
        })
    }

    fn excess(&self, config: &Config) -> Option<String> {
        let max = config.global.max_series;
        let all_exist = self.most == self.rows;
        // Labels that depend on one another have no cap.
        let mut metrics = config.metrics.iter();
        let can_cap = metrics.any(|metric| metric.labels.iter().all(Label::is_plain));
        (self.samples > max.into()).then(|| {
            let (series, advice) = if all_exist {
                let series = format!("{} series", grouped(self.series));
                let advice = if can_cap {
                    "check the ranges, set series_cap"
                } else {
                    "check the ranges"
                };
                (series, advice)
            } else {
                let (most, rows) = (grouped(self.most), grouped(self.rows));
                let series = format!("{most} series at once at most, of {rows} laid out");
                let advice = "make the ranges of labels that come and go no longer than the most \
                              of them that are wanted at once";
                (series, advice)
            };
            let verb = if self.most < self.series {
                "has room for"
            } else {
                "has"
            };
            format!(
                "this configuration {verb} {} samples per scrape ({series}, about {} of memory), \
                 more than global.max_series allows ({}); {advice}, or raise global.max_series",
                grouped(self.samples),
                human_bytes(self.memory.bytes()),
                grouped(max.into()),
            )
        })
    }
}
