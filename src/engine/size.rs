//! What an engine will take of memory, by arithmetic on what it will be built from.

use super::events::Lineage;
use super::further;
use super::growth::{Growth, Told};
use super::kernel::summary::WINDOW_TICK_BYTES;
use super::native::NativeColumn;
use super::recipe::{is_weighted, state_bytes};
use super::threads_of;
use crate::algorithm::distribution::Distribution;
use crate::config::{Config, Kind, Metric};
use crate::exporters;
use crate::model::{Shape, block_series};
use crate::random::quantile::QuantileTable;
use crate::timeline::window_ticks;

/// Adds up what the families of a configuration take.
#[derive(Debug)]
pub struct EngineSize<'a> {
    /// Frames at the same time.
    frames: f64,
    told: Told,
    threads: usize,
    interval_ns: u64,
    metrics: &'a [Metric],
    /// Of one frame.
    frame_bytes: f64,
    bytes: f64,
    tables: Vec<&'a Distribution>,
    has_normal: bool,
    /// Spaces with weights, and the bits of their exponents.
    weights: Vec<(usize, u64)>,
}

impl<'a> EngineSize<'a> {
    /// Without families.
    pub fn new(config: &'a Config) -> Self {
        let needs = exporters::needs(config);
        // The current one and the one that is filled; and the one that deltas are counted
        // from, where that is neither.
        let tick_ns = config.global.tick_interval_ns;
        let keeps_before = exporters::pushing(config)
            .any(|(_, push)| push.needs().growth && push.interval_ns() > tick_ns);
        Self {
            frames: if keeps_before { 3.0 } else { 2.0 },
            told: Told {
                growth: needs.growth,
                extremes: needs.extremes,
            },
            threads: threads_of(config),
            interval_ns: tick_ns,
            metrics: &config.metrics,
            frame_bytes: 0.0,
            bytes: 0.0,
            tables: Vec::new(),
            has_normal: false,
            weights: Vec::new(),
        }
    }

    /// Adds the family of a metric: its shape, how many series it has, and the number of its
    /// space, which families may share.
    pub fn add(&mut self, metric: &'a Metric, shape: &Shape, series: f64, space: usize) {
        let growth_bytes = Growth::series_bytes(shape, self.told);
        let native_bytes = match shape {
            Shape::Histogram { further, .. } if further.native.is_some() => {
                NativeColumn::series_bytes(further::occupied(metric).unwrap_or(0.0))
            }
            _ => 0.0,
        };
        let fixed_bytes = (shape.column_bytes() + growth_bytes) as f64;
        let frame_bytes = series * (fixed_bytes + native_bytes);
        self.frame_bytes += frame_bytes;
        self.bytes += self.frames * frame_bytes + series * state_bytes(&metric.kind) as f64;
        if is_weighted(metric) {
            let weights = (space, metric.zipf_alpha.to_bits());
            if !self.weights.contains(&weights) {
                self.weights.push(weights);
                self.bytes += 8.0 * series;
            }
        }
        let distribution = match &metric.kind {
            Kind::Counter { .. } => return,
            Kind::Gauge { algorithm, .. } => {
                self.has_normal |= algorithm.is_normal();
                return;
            }
            Kind::Histogram { observations, .. } => &observations.distribution,
            Kind::Summary {
                observations,
                max_age_ns,
                ..
            } => {
                let ticks = window_ticks(*max_age_ns, self.interval_ns);
                // Each shard lists the window.
                let blocks = (series / block_series(shape) as f64).ceil();
                let shards = blocks.min(self.threads as f64);
                let interval_s = self.interval_ns as f64 / 1e9;
                let events = metric.parent(self.metrics).map_or(0, |counter| {
                    Lineage::of(self.metrics, counter, interval_s).tick_bytes()
                });
                self.bytes += shards * ticks as f64 * (WINDOW_TICK_BYTES + events) as f64;
                &observations.distribution
            }
        };
        if !self.tables.contains(&distribution) {
            self.tables.push(distribution);
        }
    }

    /// A frame that somebody holds for longer than until the next tick.
    pub fn frame_bytes(&self) -> f64 {
        self.frame_bytes
    }

    /// All together.
    pub fn bytes(&self) -> f64 {
        let tables = self.tables.len() + usize::from(self.has_normal);
        self.bytes + (tables * QuantileTable::USUAL_BYTES) as f64
    }
}

#[cfg(test)]
impl super::Engine {
    /// Bytes in steady state: two frames, what series carry from tick to tick, label
    /// spaces, tables and weights.
    pub(crate) fn memory_bytes(&self) -> usize {
        let mut bytes = self.fleets.memory_bytes();
        let mut spaces = Vec::new();
        for (index, family) in self.catalog.families().iter().enumerate() {
            let series = family.series_count();
            bytes += 2 * series * family.shape.column_bytes();
            if index < self.catalog.generated_count() {
                bytes += 2 * series * Growth::series_bytes(&family.shape, self.told());
            }
            if let Some(recipe) = self.recipes.get(index) {
                let weights = recipe.common().weights.as_ref();
                let shards = (self.shard_blocks.len() - 1).min(family.pieces(0..series).count());
                bytes += series * state_bytes(&self.metrics[index].kind)
                    + recipe.table_bytes()
                    + weights.map_or(0, |weights| weights.len() * 8)
                    + shards * recipe.window_ticks() as usize * window_tick_bytes(recipe);
            }
            let space = std::sync::Arc::as_ptr(&family.space);
            if !spaces.contains(&space) {
                spaces.push(space);
                bytes += family.space.memory_bytes();
            }
        }
        bytes
    }
}

/// Bytes of one tick of a window at each shard.
#[cfg(test)]
fn window_tick_bytes(recipe: &super::recipe::Recipe) -> usize {
    let events = recipe
        .lineage()
        .map_or(0, |(lineage, _)| lineage.tick_bytes());
    WINDOW_TICK_BYTES + events
}
