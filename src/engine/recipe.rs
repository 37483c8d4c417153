//! What all series of a family share: once for a run, and once per tick.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::{
    CounterAlgorithm, Distribution, Diurnal, GaugeAlgorithm, Kind, Metric, Observations,
};
use crate::engine::discrete::{PoissonTable, TABLE_MEAN_MAX};
use crate::engine::kernel::counter;
use crate::engine::kernel::summary::TickKeys;
use crate::engine::quantile::QuantileTable;
use crate::engine::rng::{Lane, tick_key};
use crate::model::{Family, Shape};

const DAY_NS: i64 = 86_400_000_000_000;

/// A family's constant part.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) kind: Kind,
    pub(crate) name_key: u64,
    pub(crate) seed: u64,
    pub(crate) interval_s: f64,
    /// Weight per series, mean 1, where the profile has a `zipf_alpha`.
    pub(crate) weights: Option<Arc<[f64]>>,
    /// Values of the observations; for walks the standard normal.
    pub(crate) values: Option<Arc<QuantileTable>>,
    /// Histogram bounds as positions of draws.
    pub(crate) thresholds: Vec<u64>,
    /// The same for the exponential buckets that the catalog asks for.
    pub(crate) exponential: Vec<u64>,
    /// Ticks that a summary's quantiles look back on, this one included.
    pub(crate) window_ticks: usize,
}

/// A family's part of one tick.
#[derive(Debug, Default)]
pub(crate) struct FamilyTick {
    /// The family's name and the tick, for draws of values.
    pub(crate) value_key: u64,
    /// The same for draws of counts.
    pub(crate) count_key: u64,
    /// Constant key of phases.
    pub(crate) phase_key: u64,
    /// Daily factor.
    pub(crate) factor: f64,
    /// Mean of an increment or number of observations, factor included.
    pub(crate) mean: f64,
    /// Share of the period that has passed.
    pub(crate) turn: f64,
    pub(crate) poisson: PoissonTable,
    pub(crate) window: VecDeque<TickKeys>,
    pub(crate) expired: Option<TickKeys>,
}

/// Tables and weights that several families can share while they are built.
#[derive(Debug, Default)]
pub(crate) struct SharedParts {
    tables: Vec<(Distribution, Arc<QuantileTable>)>,
    normal: Option<Arc<QuantileTable>>,
    weights: Vec<(*const crate::model::space::Space, u64, Arc<[f64]>)>,
}

impl Recipe {
    pub(crate) fn new(
        metric: &Metric,
        family: &Family,
        interval_ns: u64,
        shared: &mut SharedParts,
    ) -> Self {
        let mut recipe = Self {
            kind: metric.kind.clone(),
            name_key: family.name_key,
            seed: metric.seed,
            interval_s: interval_ns as f64 / 1e9,
            weights: None,
            values: None,
            thresholds: Vec::new(),
            exponential: Vec::new(),
            window_ticks: 0,
        };
        match &metric.kind {
            Kind::Counter { .. } => {}
            Kind::Gauge { algorithm, .. } => {
                if matches!(algorithm, GaugeAlgorithm::RandomWalk { .. }) {
                    recipe.values = Some(shared.normal());
                }
            }
            Kind::Histogram {
                bounds,
                observations,
            } => {
                let distribution = &observations.distribution;
                recipe.values = Some(shared.table(distribution));
                recipe.thresholds = bounds.iter().map(|&b| distribution.position(b)).collect();
                if let Shape::Histogram {
                    exponential: Some(layout),
                    ..
                } = &family.shape
                {
                    let bounds = layout.inner_bounds();
                    recipe.exponential = bounds.map(|b| distribution.position(b)).collect();
                }
            }
            Kind::Summary {
                observations,
                max_age_ns,
                ..
            } => {
                recipe.values = Some(shared.table(&observations.distribution));
                recipe.window_ticks = (max_age_ns / interval_ns).max(1) as usize;
            }
        }
        let weighted = !matches!(metric.kind, Kind::Gauge { .. });
        if weighted && metric.zipf_alpha != 0.0 {
            recipe.weights = Some(shared.weights(family, metric.zipf_alpha));
        }
        recipe
    }

    /// Brings `tick` from the tick before (if `number` is not 0) to this one.
    pub(crate) fn advance(&self, number: u64, time_ns: i64, tick: &mut FamilyTick) {
        tick.value_key = self.name_key ^ tick_key(self.seed, number, Lane::Value);
        tick.count_key = self.name_key ^ tick_key(self.seed, number, Lane::Count);
        tick.phase_key = self.name_key ^ tick_key(self.seed, 0, Lane::Phase);
        match &self.kind {
            Kind::Counter { algorithm, diurnal } => {
                tick.factor = diurnal_factor(diurnal, time_ns);
                let full = match algorithm {
                    CounterAlgorithm::Poisson { rate_per_s } => rate_per_s * self.interval_s,
                    CounterAlgorithm::Constant { increment_per_tick } => *increment_per_tick,
                };
                tick.mean = tick.factor * full;
                let poisson = matches!(algorithm, CounterAlgorithm::Poisson { .. });
                if number == 0 && poisson && self.weights.is_none() {
                    // The widest table of the day comes first, so that later
                    // ones find room.
                    let widest = full * (1.0 + diurnal.amplitude.abs());
                    tick.poisson.set_mean(widest.min(TABLE_MEAN_MAX));
                }
                if poisson && self.weights.is_none() && counter::is_tabulated(tick.mean) {
                    tick.poisson.set_mean(tick.mean);
                }
            }
            Kind::Gauge {
                algorithm, diurnal, ..
            } => {
                tick.factor = diurnal_factor(diurnal, time_ns);
                if let GaugeAlgorithm::Sine { period_ns, .. }
                | GaugeAlgorithm::Sawtooth { period_ns, .. } = algorithm
                {
                    tick.turn = time_ns.rem_euclid(*period_ns as i64) as f64 / *period_ns as f64;
                }
            }
            Kind::Histogram { observations, .. } => set_mean(observations, time_ns, tick),
            Kind::Summary { observations, .. } => {
                set_mean(observations, time_ns, tick);
                self.slide_window(number, tick);
            }
        }
    }

    /// Bytes that a series carries from tick to tick beside its columns.
    pub(crate) fn state_bytes(&self) -> usize {
        match &self.kind {
            Kind::Gauge {
                algorithm: GaugeAlgorithm::RandomWalk { .. },
                diurnal,
                ..
            } if diurnal.amplitude != 0.0 => 8,
            Kind::Summary { objectives, .. } => 8 + 16 * objectives.len(),
            _ => 0,
        }
    }

    /// Bytes of tables, weights and windows (those shared with other families
    /// counted here again).
    pub(crate) fn shared_bytes(&self) -> usize {
        let table = self.values.as_ref().map_or(0, |table| table.memory_bytes());
        let weights = self.weights.as_ref().map_or(0, |weights| weights.len() * 8);
        let thresholds = 8 * (self.thresholds.len() + self.exponential.len());
        table + weights + thresholds + self.window_ticks * size_of::<TickKeys>()
    }

    fn slide_window(&self, number: u64, tick: &mut FamilyTick) {
        if number == 0 {
            tick.window.clear();
            tick.window.reserve(self.window_ticks);
            tick.expired = None;
            return;
        }
        tick.expired = None;
        if tick.window.len() == self.window_ticks {
            tick.expired = tick.window.pop_front();
        }
        tick.window.push_back(TickKeys {
            value_key: tick.value_key,
            count_key: tick.count_key,
            mean: tick.mean,
        });
    }
}

impl SharedParts {
    fn normal(&mut self) -> Arc<QuantileTable> {
        let build = || Arc::new(QuantileTable::normal());
        Arc::clone(self.normal.get_or_insert_with(build))
    }

    fn table(&mut self, distribution: &Distribution) -> Arc<QuantileTable> {
        if let Some((_, table)) = self.tables.iter().find(|(known, _)| known == distribution) {
            return Arc::clone(table);
        }
        let table = Arc::new(QuantileTable::of(distribution));
        self.tables.push((distribution.clone(), Arc::clone(&table)));
        table
    }

    fn weights(&mut self, family: &Family, alpha: f64) -> Arc<[f64]> {
        let space = Arc::as_ptr(&family.space);
        let known = self.weights.iter();
        let mut known = known.filter(|(of, bits, _)| *of == space && *bits == alpha.to_bits());
        if let Some((_, _, weights)) = known.next() {
            return Arc::clone(weights);
        }
        let weights: Arc<[f64]> = zipf_weights(family, alpha).into();
        self.weights
            .push((space, alpha.to_bits(), Arc::clone(&weights)));
        weights
    }
}

fn set_mean(observations: &Observations, time_ns: i64, tick: &mut FamilyTick) {
    tick.factor = diurnal_factor(&observations.diurnal, time_ns);
    tick.mean = observations.per_tick * tick.factor;
}

/// 1 / rank^alpha by series, ranks in the order of label-set keys, scaled to
/// mean 1.
fn zipf_weights(family: &Family, alpha: f64) -> Vec<f64> {
    let count = family.series_count();
    let mut scratch = Vec::new();
    let keys = family.space.label_set_keys(0..count, &mut scratch);
    let mut order: Vec<u32> = (0..count as u32).collect();
    order.sort_unstable_by_key(|&series| keys[series as usize]);
    let share = |rank: usize| libm::pow((rank + 1) as f64, -alpha);
    let total: f64 = (0..count).map(share).sum();
    let scale = count as f64 / total;
    let mut weights = vec![0.0; count];
    for (rank, &series) in order.iter().enumerate() {
        weights[series as usize] = share(rank) * scale;
    }
    weights
}

/// `1 + amplitude × sin(2π (time of day + phase))`, exactly 1 without amplitude.
fn diurnal_factor(diurnal: &Diurnal, time_ns: i64) -> f64 {
    if diurnal.amplitude == 0.0 {
        return 1.0;
    }
    let day = time_ns.rem_euclid(DAY_NS) as f64 / DAY_NS as f64;
    let wave = libm::sin(std::f64::consts::TAU * (day + diurnal.phase).rem_euclid(1.0));
    (1.0 + diurnal.amplitude * wave).max(0.0)
}
