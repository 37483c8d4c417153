//! What a configuration will cost, before it runs.
//!
//! [`Estimate`] is arithmetic on the configuration alone, so that a typo in a
//! range is refused before anything is built. [`Plan`] builds everything, runs
//! some ticks and measures.

mod estimate;
mod outlook;
mod shards;
mod table;
mod targets;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Serialize;

use crate::clock::rfc3339;
use crate::config::{Config, HistogramForm, Problem, shown_url};
use crate::engine::{Engine, further};
use crate::exporters::{self, Exporter, Push};
use crate::exposition::Renderer;
use crate::exposition::negotiate::Format;
use crate::exposition::pool::RenderPool;
use crate::layout::Wire;
use crate::model::population::Populations;
use crate::model::{Catalog, Shape};
use crate::push::ExportSize;
pub use estimate::{Estimate, Memory};
pub use outlook::{Churn, Outlook, ProfilePlan};
pub use shards::{ShardPlan, ShardsPlan};
pub use targets::TargetsPlan;

/// Where a configuration without an epoch is measured: 2026-01-01T00:00:00Z.
const EPOCH_NS: i64 = 1_767_225_600_000_000_000;

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
    /// Whether the figures of a day leave out what `runtime.on_start` and scenarios that it
    /// starts order of churn and sizes, which would take long to look at.
    pub leaves_orders_out: bool,
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
    /// Points of each push, the most at once, in the form in which they are sent; the
    /// process's own are not among them.
    pub points: u64,
    /// About how many bytes these are before compression.
    pub bytes: u64,
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
        let catalog = Catalog::build_with(config, Vec::new(), &further::needed(config))
            .map_err(|(metric, error)| format!("{metric}: {error}"))?;
        let catalog = Arc::new(catalog);
        let renderer = Renderer::of_page(Arc::clone(&catalog), &config.prometheus);
        let renderer = Arc::new(renderer);
        let pool = RenderPool::new(threads).map_err(|error| error.to_string())?;
        // Times take as many digits as they will in a real run.
        let epoch_ns = config.global.epoch_ns.unwrap_or(EPOCH_NS);
        let mut engine = Engine::new(config, Arc::clone(&catalog), epoch_ns, threads)
            .map_err(|error| error.to_string())?;
        engine.tell(&exporters::needs(config));
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
        let (estimate, outlook, exports) = Estimate::with_exports(config);
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
            leaves_orders_out: !outlook.has_orders(),
            warnings: config.warnings.clone(),
            targets,
            pushes: push_plans(config, &exports),
        })
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
}

/// The series that OTLP's points of one series become in a Prometheus.
fn otlp_series(config: &Config, shape: &Shape) -> usize {
    match shape {
        Shape::Histogram { .. } if config.otel.histograms == HistogramForm::Exponential => 1,
        shape => shape.layout().samples(Wire::Otlp),
    }
}

fn push_plans(config: &Config, exports: &[ExportSize]) -> Vec<PushPlan> {
    let plan = |((exporter, push), export): ((Exporter<'_>, Push<'_>), &ExportSize)| PushPlan {
        exporter: exporter.id.label(),
        url: shown_url(push.url()),
        interval_s: push.interval_ns() as f64 / 1e9,
        instance: push.instance().map(str::to_owned),
        points: export.points as u64,
        bytes: export.bytes as u64,
    };
    exporters::pushing(config).zip(exports).map(plan).collect()
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
