//! What a configuration will cost, before it runs.
//!
//! [`Estimate`] is arithmetic on the configuration alone, so that a typo in a
//! range is refused before anything is built. [`Plan`] builds everything, runs
//! some ticks and measures.

mod outlook;
mod targets;

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::rfc3339;
use crate::config::{Config, Finding, HistogramForm, INSTANCE_LABEL, Instance, Problem, shown_url};
use crate::engine::{Engine, EngineSize, exponential, threads_of};
use crate::exporters::{self, Exporter, Push};
use crate::exposition::negotiate::Format;
use crate::exposition::pool::RenderPool;
use crate::exposition::{BodySize, Renderer};
use crate::layout::Wire;
use crate::model::population::Populations;
use crate::model::{Catalog, Shape, SpaceSizes, shape_of};
use crate::otlp;
use crate::push::{ExportSize, PushSize};
use crate::readable::{grouped, human_bytes, write_aligned};
use crate::remote_write;
pub use outlook::{Churn, Outlook, ProfilePlan};
pub use targets::TargetsPlan;

/// Where a configuration without an epoch is measured: 2026-01-01T00:00:00Z.
const EPOCH_NS: i64 = 1_767_225_600_000_000_000;
/// Memory of a process that generates next to nothing: its code, and the threads that
/// every one has.
const PROCESS_BYTES: f64 = 8.8e6;
/// Of the label that tells replicas apart: its name, a host's and a port.
const INSTANCE_BYTES: usize = 28;
/// What a family takes beside its series: names, texts, and what is known of them in every
/// exporter.
const FAMILY_BYTES: f64 = 8e3;

/// Size of a configuration by arithmetic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Series of all metrics, the most that exist at once.
    pub series: u128,
    /// Samples per text scrape, the most at once.
    pub samples: u128,
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

    fn parts(&self) -> [(&'static str, u128); 5] {
        [
            ("process", self.process_bytes),
            ("labels", self.labels_bytes),
            ("series", self.series_bytes),
            ("scrapes", self.scrapes_bytes),
            ("pushes", self.pushes_bytes),
        ]
    }

    /// For people: the sum, what it consists of, and what may come to it.
    fn text(&self) -> String {
        let parts = self.parts().into_iter().filter(|(_, bytes)| *bytes > 0);
        let parts = parts.map(|(name, bytes)| format!("{name} {}", human_bytes(bytes)));
        let mut text = format!(
            "about {} ({})",
            human_bytes(self.bytes()),
            parts.collect::<Vec<_>>().join(", ")
        );
        if self.slow_receivers_bytes > 0 {
            let _ = write!(
                text,
                ",\n                       up to {} more while receivers are slow",
                human_bytes(self.slow_receivers_bytes)
            );
        }
        text
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
        let layout = exponential::pushed(config);
        let mut spaces = SpaceSizes::new(config);
        let mut outlook = Outlook::new(config, spaces.ticks());
        let mut engine = EngineSize::new(config);
        let mut bodies = BodySize::default();
        let exports = exporters::pushing(config).map(|(_, push)| (push, ExportSize::default()));
        let mut exports: Vec<(Push<'_>, ExportSize)> = exports.collect();
        for metric in &config.metrics {
            let (space, size) = spaces.of(metric);
            let shape = shape_of(metric, &layout);
            let metric_samples = (size.series).saturating_mul(shape.samples_per_series() as u128);
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
                        let bytes = otlp::point_bytes(&shape, otel.histograms, size);
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
                        export.add(metric_samples, bytes);
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
        for (push, export) in exports {
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
            memory: Memory {
                process_bytes: process as u128,
                labels_bytes: spaces.bytes() as u128,
                series_bytes: engine.bytes() as u128,
                scrapes_bytes: scrapes as u128,
                pushes_bytes: pushes as u128,
                slow_receivers_bytes: slow_receivers as u128,
            },
        };
        (estimate, outlook)
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
        (self.samples > max.into()).then(|| {
            format!(
                "this configuration has {} samples per scrape ({} series, about {} of memory), \
                 more than global.max_series allows ({}); check the ranges, set series_cap, or \
                 raise global.max_series",
                grouped(self.samples),
                grouped(self.series),
                human_bytes(self.memory.bytes()),
                grouped(max.into()),
            )
        })
    }
}

/// Everything about a configuration that can be known beforehand.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The configuration's path.
    pub file: String,
    /// Time between ticks.
    pub tick_interval_s: f64,
    /// The tick at which bytes were measured.
    pub measured_at_tick: u64,
    /// Time of tick 0 as it was measured.
    pub epoch: String,
    /// Mean time to compute a tick, on this machine and with its load.
    pub tick_seconds: f64,
    /// One entry per metric, in file order.
    pub metrics: Vec<MetricPlan>,
    /// All metrics together; self-metrics are left out.
    pub total: Total,
    /// Profiles whose series come and go.
    pub profiles: Vec<ProfilePlan>,
    /// What may surprise those who read the metrics.
    pub warnings: Vec<Problem>,
    /// How series are divided among targets at first, where they are.
    pub targets: Option<TargetsPlan>,
    /// Exporters that push.
    pub pushes: Vec<PushPlan>,
}

/// An exporter that pushes.
#[derive(Debug, Serialize)]
pub struct PushPlan {
    /// As self-metrics call it.
    pub exporter: String,
    /// Where to.
    pub url: String,
    /// How often.
    pub interval_s: f64,
    /// What tells its series from those of other processes, if anything does.
    pub instance: Option<String>,
}

/// One metric's part.
#[derive(Debug, Serialize)]
pub struct MetricPlan {
    /// Base name.
    pub name: String,
    /// Type.
    pub r#type: &'static str,
    /// Series at the tick that was measured.
    pub series: usize,
    /// Samples per scrape in the Prometheus text format.
    pub samples_text: usize,
    /// Samples per scrape in `OpenMetrics`, with `_created` where it is asked for.
    pub samples_openmetrics: usize,
    /// What becomes of its series within a day.
    pub churn: Churn,
    /// What became of them from the first tick to the one that was measured.
    pub turnover: TurnoverPlan,
}

/// Series that began and ended, as the self-metrics of that name count them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TurnoverPlan {
    /// Those of the first tick, and those that began anew, included.
    pub series_born: u64,
    /// Those that began anew included.
    pub series_ended: u64,
}

/// How many series a backend counts: every bucket, quantile, sum, count and
/// `_created` is one, by the way on which samples come to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BackendSeries {
    /// Scraped in the text format; remote write sends the same.
    pub text: usize,
    /// Scraped in `OpenMetrics`.
    pub openmetrics: usize,
    /// Pushed by OTLP, if they are, and named as Prometheus does: a histogram in
    /// exponential form is one series.
    pub otlp: Option<usize>,
}

/// All metrics together.
#[derive(Debug, Serialize)]
pub struct Total {
    /// Series at the tick that was measured: different sets of labels; a histogram or
    /// summary is one.
    pub series: usize,
    /// Samples per text scrape.
    pub samples_text: usize,
    /// Samples per `OpenMetrics` scrape.
    pub samples_openmetrics: usize,
    /// What a backend counts as series.
    pub backend_series: BackendSeries,
    /// Samples generated per second.
    pub samples_per_second: f64,
    /// Bytes of a text body.
    pub bytes_text: u64,
    /// The same, gzipped.
    pub bytes_text_gzip: u64,
    /// Bytes of an `OpenMetrics` body.
    pub bytes_openmetrics: u64,
    /// The same, gzipped.
    pub bytes_openmetrics_gzip: u64,
    /// Estimated memory of the generator, as [`Estimate`] has it.
    pub memory_bytes: u64,
    /// What it consists of, and what may come to it.
    pub memory: Memory,
    /// What becomes of all series within a day.
    pub churn: Churn,
    /// What became of them from the first tick to the one that was measured.
    pub turnover: TurnoverPlan,
}

impl Plan {
    /// Runs the configuration up to `tick`, calling `progress` after each, and
    /// measures its bodies.
    ///
    /// # Errors
    /// When the catalog cannot be built or the system gives no threads.
    pub fn measure(
        config: &Config,
        tick: u64,
        threads: usize,
        mut progress: impl FnMut(),
    ) -> Result<Self, String> {
        // Histograms have the columns that they will have.
        let catalog = Catalog::build_with(config, Vec::new(), &exponential::pushed(config))
            .map_err(|(metric, error)| format!("{metric}: {error}"))?;
        let catalog = Arc::new(catalog);
        let renderer = Renderer::of_page(Arc::clone(&catalog), &config.prometheus);
        let renderer = Arc::new(renderer);
        let pool = RenderPool::new(threads).map_err(|error| error.to_string())?;
        // Times take as many digits as they will in a real run.
        let epoch_ns = config.global.epoch_ns.unwrap_or(EPOCH_NS);
        let mut engine = Engine::new(config, Arc::clone(&catalog), epoch_ns, threads)
            .map_err(|error| error.to_string())?;
        if exporters::needs(config).growth {
            engine.count_growth();
        }
        let mut turnovers = vec![TurnoverPlan::default(); catalog.families().len()];
        let mut before = None;
        let mut frame = engine.advance_with(|populations, tick, _| {
            turn_over(&mut turnovers, &mut before, populations, tick);
        });
        let targets = config.prometheus.targets.as_ref();
        let targets =
            targets.map(|targets| TargetsPlan::of(&catalog, frame.populations(), &targets.law));
        let began = std::time::Instant::now();
        while frame.tick() < tick {
            frame = engine.advance_with(|populations, tick, _| {
                turn_over(&mut turnovers, &mut before, populations, tick);
            });
            progress();
        }
        let tick_seconds = began.elapsed().as_secs_f64() / tick.max(1) as f64;
        let bytes = |format: Format, gzip: bool| {
            let frame = Arc::clone(&frame);
            let stats = pool.stream(frame, &renderer, format, gzip, &mut |_| Ok(()));
            stats
                .map(|stats| stats.bytes_out)
                .map_err(|e| e.to_string())
        };
        let interval_s = config.global.tick_interval_ns as f64 / 1e9;
        let (estimate, outlook) = Estimate::with_outlook(config);
        let series = |family: usize| frame.population(family).series_count() as u128;
        let mut metrics = metric_plans(&catalog, &renderer, &series);
        for (index, (metric, turnover)) in metrics.iter_mut().zip(&turnovers).enumerate() {
            metric.churn = outlook.metric(index);
            metric.turnover = *turnover;
        }
        let samples_text = metrics.iter().map(|m| m.samples_text).sum();
        let memory = estimate.memory;
        Ok(Self {
            file: config.path.display().to_string(),
            tick_interval_s: interval_s,
            measured_at_tick: tick,
            epoch: rfc3339(epoch_ns),
            tick_seconds,
            total: Total {
                series: metrics.iter().map(|m| m.series).sum(),
                samples_text,
                samples_openmetrics: metrics.iter().map(|m| m.samples_openmetrics).sum(),
                backend_series: BackendSeries::of(config, &catalog, &renderer, &series),
                samples_per_second: samples_text as f64 / interval_s,
                bytes_text: bytes(Format::Text, false)?,
                bytes_text_gzip: bytes(Format::Text, true)?,
                bytes_openmetrics: bytes(Format::OpenMetrics, false)?,
                bytes_openmetrics_gzip: bytes(Format::OpenMetrics, true)?,
                memory_bytes: memory.bytes() as u64,
                memory,
                churn: outlook.total(),
                turnover: TurnoverPlan {
                    series_born: turnovers.iter().map(|one| one.series_born).sum(),
                    series_ended: turnovers.iter().map(|one| one.series_ended).sum(),
                },
            },
            profiles: outlook.profiles(config),
            metrics,
            warnings: config.warnings.clone(),
            targets,
            pushes: push_plans(config),
        })
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let mut rows: Vec<Vec<String>> = vec![vec![
            "metric".into(),
            "type".into(),
            "series".into(),
            "samples (text)".into(),
            "samples (OpenMetrics)".into(),
        ]];
        for metric in &self.metrics {
            rows.push(vec![
                metric.name.clone(),
                metric.r#type.into(),
                grouped(metric.series as u128),
                grouped(metric.samples_text as u128),
                grouped(metric.samples_openmetrics as u128),
            ]);
        }
        let total = &self.total;
        rows.push(vec![
            "total".into(),
            String::new(),
            grouped(total.series as u128),
            grouped(total.samples_text as u128),
            grouped(total.samples_openmetrics as u128),
        ]);
        let mut table = format!("{}\n\n", self.file);
        write_aligned(&mut table, "", &rows, |column| column < 2, &str::to_owned);
        let targets = self.targets.as_ref();
        let targets = targets.map(|one| format!("targets                {}\n", one.text()));
        let targets = targets.unwrap_or_default();
        let _ = write!(
            table,
            "\n\
             series in a backend    {}\n\
             samples per second     {}\n\
             scrape, text           {} plain, {} gzip\n\
             scrape, OpenMetrics    {} plain, {} gzip\n\
             tick                   {:.1} ms of {} s{}\n\
             generator memory       {}\n\
             {targets}\n\
             A series is a set of labels; of a histogram a backend counts every bucket, the sum and\n\
             the count, and _created where a scrape has it. Bytes are those of tick {};\n\
             self-metrics are left out.\n",
            total.backend_series.text(),
            grouped(total.samples_per_second.round() as u128),
            human_bytes(total.bytes_text.into()),
            human_bytes(total.bytes_text_gzip.into()),
            human_bytes(total.bytes_openmetrics.into()),
            human_bytes(total.bytes_openmetrics_gzip.into()),
            self.tick_seconds * 1e3,
            self.tick_interval_s,
            if self.tick_seconds > self.tick_interval_s {
                ": this machine is too slow for it"
            } else {
                ""
            },
            total.memory.text(),
            self.measured_at_tick,
        );
        self.write_churn(&mut table);
        for warning in &self.warnings {
            let _ = writeln!(table, "{warning}");
        }
        for push in &self.pushes {
            let instance = push.instance.as_deref();
            let _ = writeln!(
                table,
                "{} pushes to {} every {} s, {}",
                push.exporter,
                push.url,
                push.interval_s,
                match instance {
                    Some(name) => format!("instance {name}"),
                    None => "without an instance: two processes would push the same series".into(),
                }
            );
        }
        table
    }
}

impl Plan {
    /// Appends what becomes of series, where any come or go.
    fn write_churn(&self, table: &mut String) {
        if self.profiles.is_empty() {
            return;
        }
        let heads = [
            "within a day",
            "at first",
            "at most",
            "new per hour",
            "new per day",
            "new a day / active",
            "different in 2 h",
            "in a day",
        ];
        let row = |name: String, churn: &Churn| {
            let about = if churn.is_exact { "" } else { "about " };
            vec![
                name,
                format!("{about}{}", grouped(churn.series_at_start.into())),
                grouped(churn.series_at_peak.into()),
                grouped(churn.new_per_hour.round() as u128),
                grouped(churn.new_per_day.into()),
                format!("{:.1} %", churn.churn_rate * 100.0),
                grouped(churn.distinct_2h.into()),
                grouped(churn.distinct_day.into()),
            ]
        };
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for metric in &self.metrics {
            rows.push(row(metric.name.clone(), &metric.churn));
        }
        for profile in &self.profiles {
            rows.push(row(format!("profile {}", profile.name), &profile.series));
        }
        rows.push(row("total".to_owned(), &self.total.churn));
        table.push('\n');
        write_aligned(table, "", &rows, |column| column < 1, &str::to_owned);
        table.push('\n');
        for profile in &self.profiles {
            for law in profile.laws() {
                let _ = writeln!(table, "profile {}: {law}", profile.name);
            }
        }
        let _ = writeln!(
            table,
            "By tick {}, {} series have begun, those of the first tick included, and {} have ended.\n\
             New are those that never were there before; memory is that at the most.",
            self.measured_at_tick,
            grouped(self.total.turnover.series_born.into()),
            grouped(self.total.turnover.series_ended.into()),
        );
    }
}

/// Adds what became of series at a tick.
fn turn_over(
    turnovers: &mut [TurnoverPlan],
    before: &mut Option<Populations>,
    now: &Populations,
    tick: u64,
) {
    if before.as_ref().is_some_and(|before| before.is(now)) {
        return;
    }
    for (index, sum) in turnovers.iter_mut().enumerate() {
        let before = before.as_ref().map(|before| before.family(index));
        let turnover = now.family(index).turnover(before, tick);
        sum.series_born += turnover.born;
        sum.series_ended += turnover.ended;
    }
    *before = Some(now.clone());
}

impl BackendSeries {
    /// Of the generated families of `catalog`, which is that of `renderer`; of how many
    /// series each, `series` tells.
    pub fn of(
        config: &Config,
        catalog: &Catalog,
        renderer: &Renderer,
        series: &dyn Fn(usize) -> u128,
    ) -> Self {
        let families = 0..catalog.generated_count();
        let all = |each: &dyn Fn(usize) -> usize| {
            let counts = families.clone();
            let counts = counts.map(|index| series(index).saturating_mul(each(index) as u128));
            let count = counts.fold(0, u128::saturating_add);
            usize::try_from(count).unwrap_or(usize::MAX)
        };
        let scraped =
            |format: Format| all(&|index: usize| renderer.samples_per_series(index, format));
        let otlp = || all(&|index: usize| otlp_series(config, &catalog.families()[index].shape));
        Self {
            text: scraped(Format::Text),
            openmetrics: scraped(Format::OpenMetrics),
            otlp: config.otel.enabled.then(otlp),
        }
    }

    /// For people: the ways that differ.
    pub fn text(&self) -> String {
        let mut text = grouped(self.text as u128);
        if self.openmetrics != self.text {
            let _ = write!(
                text,
                " from text, {} from OpenMetrics",
                grouped(self.openmetrics as u128)
            );
        }
        if let Some(otlp) = self.otlp.filter(|otlp| *otlp != self.text) {
            let _ = write!(text, "; {} from OTLP", grouped(otlp as u128));
        }
        text
    }
}

/// The series that OTLP's points of one series become in a Prometheus.
fn otlp_series(config: &Config, shape: &Shape) -> usize {
    match shape {
        Shape::Histogram { .. } if config.otel.histograms == HistogramForm::Exponential => 1,
        shape => shape.layout().samples(Wire::Otlp),
    }
}

fn push_plans(config: &Config) -> Vec<PushPlan> {
    let plan = |(exporter, push): (Exporter<'_>, Push<'_>)| PushPlan {
        exporter: exporter.id.label(),
        url: shown_url(push.url()),
        interval_s: push.interval_ns() as f64 / 1e9,
        instance: push.instance().map(str::to_owned),
    };
    exporters::pushing(config).map(plan).collect()
}

fn metric_plans(
    catalog: &Catalog,
    renderer: &Renderer,
    series: &dyn Fn(usize) -> u128,
) -> Vec<MetricPlan> {
    let families = catalog.families().iter().enumerate();
    let plan = families.map(|(index, family)| {
        let series = series(index) as usize;
        MetricPlan {
            name: family.name.clone(),
            r#type: family.shape.type_name(),
            series,
            samples_text: series * renderer.samples_per_series(index, Format::Text),
            samples_openmetrics: series * renderer.samples_per_series(index, Format::OpenMetrics),
            churn: Churn::default(),
            turnover: TurnoverPlan::default(),
        }
    });
    plan.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_str;

    /// Arithmetic counts what the catalog and the engine count.
    #[test]
    fn estimates_agree_with_what_is_built() {
        let text = "
profiles:
  product: {labels: {user: {range: [1, 300]}, zone: [a, b, c]}}
  sample: {labels: {user: {range: [1, 900]}, zone: [a, b]}, series_cap: 500, sampling_strategy: hash}
  zipf: {labels: {user: {range: [1, 50]}}, zipf_alpha: 1.2}
metrics:
  - {name: a, profile: product, type: counter, algorithm: poisson, base_rate: 12}
  - {name: b, profile: product, type: gauge, algorithm: random_walk, step: 1, diurnal_amp: 0.1}
  - {name: c, profile: sample, type: histogram, algorithm: lognormal, mu: 0, sigma: 1}
  - {name: d, profile: zipf, type: summary, algorithm: lognormal, mu: 1, sigma: 1}
";
        let pushed = "exporters: {otel: {temporality: delta, histograms: exponential, \
                      export_interval_s: 1}}";
        for exporters in ["", pushed] {
            let text = format!("{exporters}{text}");
            let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
            let config = config.unwrap_or_else(|error| panic!("{error}"));
            let estimate = Estimate::of(&config);
            let layout = exponential::pushed(&config);
            let catalog = Catalog::build_with(&config, Vec::new(), &layout);
            let catalog = Arc::new(catalog.unwrap());
            let mut engine = Engine::new(&config, Arc::clone(&catalog), 0, 1).unwrap();
            if exporters::needs(&config).growth {
                engine.count_growth();
            }
            assert_eq!(estimate.series, catalog.generated_series() as u128);
            assert_eq!(estimate.samples, catalog.generated_samples() as u128);
            let built = engine.memory_bytes() as f64;
            let said = (estimate.memory.labels_bytes + estimate.memory.series_bytes) as f64;
            assert!((said / built - 1.0).abs() < 0.05, "{said}, {built}");
        }
    }

    /// `check`, a start that is refused and `plan` tell the same figures.
    #[test]
    fn plans_say_what_refusals_say() {
        let text = "
global: {max_series: 1}
exporters:
  otel: {enabled: true, temporality: delta, histograms: exponential, endpoint: 'http://localhost:1'}
  remote_write: [{url: 'http://localhost:1/write'}]
profiles: {users: {labels: {user: {range: [1, 20000]}}}}
metrics:
  - {name: h, profile: users, type: histogram, algorithm: lognormal, mu: 0, sigma: 1}
";
        let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let plan = Plan::measure(&config, 1, 1, || {}).unwrap();
        let memory = human_bytes(plan.total.memory_bytes.into());
        assert!(plan.table().contains(&format!("about {memory} (process ")));
        assert!(plan.table().contains(" more while receivers are slow"));
        let estimate = Estimate::of(&config);
        assert_eq!(estimate.memory, plan.total.memory);
        let finding = estimate.finding(&config).unwrap();
        for figure in [
            format!(
                "{} samples per scrape",
                grouped(plan.total.samples_text as u128)
            ),
            format!(
                "({} series, about {memory} of memory)",
                grouped(plan.total.series as u128)
            ),
        ] {
            assert!(finding.message.contains(&figure), "{}", finding.message);
        }
        assert!(estimate.refusal(&config).unwrap().contains(&memory));
    }

    /// A histogram of 500 series and 11 bounds, and its exponential buckets.
    #[test]
    fn series_are_counted_as_a_backend_counts_them() {
        let text = "
profiles: {users: {labels: {user: {range: [1, 500]}}}}
metrics:
  - {name: h, profile: users, type: histogram, algorithm: lognormal, mu: 0, sigma: 1}
  - {name: n, type: histogram, algorithm: lognormal, mu: 0, sigma: 1, buckets: [-1, 1]}
  - {name: c, type: counter, algorithm: constant, base_rate: 1}
";
        let counts = |exporters: &str| {
            let text = format!("{exporters}{text}");
            let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
            let config = config.unwrap_or_else(|error| panic!("{error}"));
            let plan = Plan::measure(&config, 1, 1, || {}).unwrap();
            assert_eq!(plan.total.series, 502);
            assert_eq!(plan.total.samples_text, plan.total.backend_series.text);
            assert!(
                plan.table()
                    .contains("metrics[1].buckets: warning: OpenMetrics forbids")
            );
            plan.total.backend_series
        };
        let off = counts("exporters: {otel: {enabled: false}}");
        assert_eq!((off.text, off.otlp), (500 * 14 + 5 + 1, None));
        let explicit = counts("exporters: {otel: {enabled: true}}");
        assert_eq!(explicit.otlp, Some(500 * 14 + 4 + 1));
        let exponential = counts("exporters: {otel: {histograms: exponential}}");
        assert_eq!(exponential.otlp, Some(500 + 1 + 1));
        assert!(exponential.text().contains("; 502 from OTLP"));
    }
}
