//! What the series of a family share.
//!
//! A [`Recipe`] is what stays the same from tick to tick: parameters, tables,
//! weights. It brings a [`FamilyTick`] from one tick to the next, and a
//! [`ClassTick`] for each class of series that modifiers treat alike. Kernels read
//! these and add what is a series' own.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::{
    CounterAlgorithm, Distribution, Diurnal, GaugeAlgorithm, Kind, Metric, Observations,
};
use crate::engine::buckets::Cells;
use crate::engine::discrete::{PoissonTable, TABLE_MEAN_MAX};
use crate::engine::effect::{Effects, PointFaults};
use crate::engine::exponential;
use crate::engine::kernel::counter;
use crate::engine::kernel::summary::{self, TickKeys};
use crate::engine::quantile::QuantileTable;
use crate::engine::rng::{Lane, tick_key};
use crate::model::exponential::ExponentialLayout;
use crate::model::space::Space;
use crate::model::{Family, Shape};
use crate::timeline::window_ticks;

const DAY_NS: i64 = 86_400_000_000_000;
/// Means that a spike multiplied stay below this (or as they were).
const MEAN_MAX: f64 = 1e15;

/// What a family's series share from tick to tick.
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
    exponential: Cells,
    pub(crate) exponential_layout: Option<ExponentialLayout>,
    /// Ticks that a summary's quantiles look back on, this one included.
    pub(crate) window_ticks: usize,
    /// Whether it is a walk whose values are never its state, because a daily
    /// factor multiplies them.
    pub(crate) hides_state: bool,
}

/// What a family's series share at a tick.
#[derive(Debug, Default)]
pub(crate) struct FamilyTick {
    pub(crate) base: BaseTick,
    /// Class 0: the series that no modifier singles out by labels.
    pub(crate) plain: ClassTick,
}

/// What all classes of a family share at a tick: what no modifier changes.
#[derive(Debug, Default)]
pub(crate) struct BaseTick {
    pub(crate) number: u64,
    /// That of the family's first values.
    founded: u64,
    pub(crate) time_ns: i64,
    /// What acts on the family's series.
    pub(crate) effects: Arc<Effects>,
    /// Changes with `effects`.
    pub(crate) generation: u64,
    /// The family's name and the tick, for draws of values.
    pub(crate) value_key: u64,
    /// The same for draws of counts.
    pub(crate) count_key: u64,
    /// Constant key of phases.
    pub(crate) phase_key: u64,
    /// Daily factor.
    pub(crate) factor: f64,
    /// Mean of an increment or number of observations, daily factor included.
    mean: f64,
    /// Share of the period that has passed.
    pub(crate) turn: f64,
    /// The ticks of a summary's window, oldest first.
    window: VecDeque<WindowTick>,
    /// The one that has just left it.
    expired: Option<WindowTick>,
}

/// A tick of a summary's window, without spikes.
#[derive(Debug, Clone, Copy)]
struct WindowTick {
    number: u64,
    keys: TickKeys,
}

/// Bytes of one tick of a summary's window: without spikes, and with those of a
/// class.
pub(crate) const WINDOW_TICK_BYTES: usize = size_of::<WindowTick>() + size_of::<TickKeys>();

/// What the series of one class share at a tick.
#[derive(Debug, Default)]
pub(crate) struct ClassTick {
    /// Of a gauge's value.
    pub(crate) factor: f64,
    /// Mean of an increment or number of observations.
    pub(crate) mean: f64,
    /// Of observed values.
    pub(crate) scale: f64,
    pub(crate) poisson: PoissonTable,
    /// The recipe's thresholds for observed values times `thresholds_scale`; unused
    /// while `scale` is 1.
    thresholds: Vec<u64>,
    exponential: Cells,
    thresholds_scale: f64,
    /// The ticks of a summary's window with their spikes, oldest first.
    pub(crate) window: VecDeque<TickKeys>,
    /// The one that has just left it.
    pub(crate) expired: Option<TickKeys>,
    pub(crate) faults: PointFaults,
}

/// Tables and weights that several families can share while they are built.
#[derive(Debug, Default)]
pub(crate) struct SharedParts {
    tables: Vec<(Distribution, Arc<QuantileTable>)>,
    normal: Option<Arc<QuantileTable>>,
    weights: Vec<(*const Space, u64, Arc<[f64]>)>,
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
            exponential: Cells::default(),
            exponential_layout: None,
            window_ticks: 0,
            hides_state: hides_state(&metric.kind),
        };
        match &metric.kind {
            Kind::Gauge { .. } if recipe.is_walk() => recipe.values = Some(shared.normal()),
            Kind::Counter { .. } | Kind::Gauge { .. } => {}
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
                    recipe.exponential_layout = Some(*layout);
                    recipe.exponential = Cells::of(layout, |bound| distribution.position(bound));
                }
            }
            Kind::Summary {
                observations,
                max_age_ns,
                ..
            } => {
                recipe.values = Some(shared.table(&observations.distribution));
                recipe.window_ticks = window_ticks(*max_age_ns, interval_ns) as usize;
            }
        }
        if is_weighted(metric) {
            recipe.weights = Some(shared.weights(family, metric.zipf_alpha));
        }
        recipe
    }

    pub(crate) fn is_walk(&self) -> bool {
        let Kind::Gauge { algorithm, .. } = &self.kind else {
            return false;
        };
        is_walk(algorithm)
    }

    /// Whether values depend on the keys of the series.
    pub(crate) fn needs_keys(&self) -> bool {
        let is_constant_counter = matches!(
            self.kind,
            Kind::Counter {
                algorithm: CounterAlgorithm::Constant { .. },
                ..
            }
        );
        !is_constant_counter
    }

    /// Brings `tick` from the tick before (if the family is older) to this one.
    /// The first values are those of the tick `founded`.
    pub(crate) fn advance(&self, number: u64, time_ns: i64, founded: u64, tick: &mut FamilyTick) {
        let base = &mut tick.base;
        base.number = number;
        base.founded = founded;
        base.time_ns = time_ns;
        base.value_key = self.name_key ^ tick_key(self.seed, number, Lane::Value);
        base.count_key = self.name_key ^ tick_key(self.seed, number, Lane::Count);
        base.phase_key = self.name_key ^ tick_key(self.seed, 0, Lane::Phase);
        match &self.kind {
            Kind::Counter { algorithm, diurnal } => {
                base.factor = diurnal_factor(diurnal, time_ns);
                let full = match algorithm {
                    CounterAlgorithm::Poisson { rate_per_s } => rate_per_s * self.interval_s,
                    CounterAlgorithm::Constant { increment_per_tick } => *increment_per_tick,
                };
                base.mean = base.factor * full;
                if number == base.founded && self.is_tabulated(full) {
                    // The widest table of the day comes first, so that later
                    // ones find room.
                    let widest = full * (1.0 + diurnal.amplitude.abs());
                    tick.plain.poisson.set_mean(widest.min(TABLE_MEAN_MAX));
                }
            }
            Kind::Gauge {
                algorithm, diurnal, ..
            } => {
                base.factor = diurnal_factor(diurnal, time_ns);
                if let GaugeAlgorithm::Sine { period_ns, .. }
                | GaugeAlgorithm::Sawtooth { period_ns, .. } = algorithm
                {
                    base.turn = time_ns.rem_euclid(*period_ns as i64) as f64 / *period_ns as f64;
                }
            }
            Kind::Histogram { observations, .. } => set_observations(observations, time_ns, base),
            Kind::Summary { observations, .. } => {
                set_observations(observations, time_ns, base);
                self.slide_window(base);
            }
        }
        self.advance_class(&tick.base, &[], &mut tick.plain);
    }

    /// Brings the class whose series match the filters `matched` to the tick of
    /// `base`: from the tick before or, if it is new, from nothing.
    pub(crate) fn advance_class(&self, base: &BaseTick, matched: &[u32], class: &mut ClassTick) {
        let factors = base.effects.factors(base.number, matched);
        class.factor = base.factor * factors.value;
        class.mean = spiked_mean(base.mean, factors.rate);
        class.scale = factors.value;
        match &self.kind {
            Kind::Counter { .. } => {
                if self.is_tabulated(class.mean) {
                    class.poisson.set_mean(class.mean);
                }
            }
            Kind::Gauge { .. } => {}
            Kind::Histogram { .. } => self.set_thresholds(class),
            Kind::Summary { .. } => {
                if base.number == base.founded {
                    class.window.clear();
                    class.window.reserve(self.window_ticks);
                }
                class.expired = match base.expired {
                    Some(_) => class.window.pop_front(),
                    None => None,
                };
                let last = base.window.back().map(|tick| tick.keys_of(base, matched));
                class.window.extend(last);
            }
        }
        let keys = (self.seed, self.name_key);
        let faults = &mut class.faults;
        base.effects.set_faults(base.number, matched, keys, faults);
    }

    /// The class whose series match the filters `matched`, as if it had been there
    /// all the time, at the tick of `base`.
    pub(crate) fn new_class(&self, base: &BaseTick, matched: &[u32]) -> ClassTick {
        let mut class = ClassTick::default();
        // The window up to the tick before.
        let before = base.window.len().saturating_sub(1);
        let window = base.expired.iter().chain(base.window.iter().take(before));
        class.window = window.map(|tick| tick.keys_of(base, matched)).collect();
        self.advance_class(base, matched, &mut class);
        class
    }

    /// Whether all series of a class draw from one table.
    pub(crate) fn is_tabulated(&self, mean: f64) -> bool {
        let Kind::Counter { algorithm, .. } = &self.kind else {
            return false;
        };
        let poisson = matches!(algorithm, CounterAlgorithm::Poisson { .. });
        poisson && self.weights.is_none() && counter::is_tabulated(mean)
    }

    /// A class's bounds as positions of draws.
    pub(crate) fn thresholds<'a>(&'a self, class: &'a ClassTick) -> &'a [u64] {
        if class.scale == 1.0 {
            &self.thresholds
        } else {
            &class.thresholds
        }
    }

    /// The exponential buckets that a class's observations fall into.
    pub(crate) fn exponential<'a>(&'a self, class: &'a ClassTick) -> &'a Cells {
        if class.scale == 1.0 {
            &self.exponential
        } else {
            &class.exponential
        }
    }

    fn set_thresholds(&self, class: &mut ClassTick) {
        let scale = class.scale;
        if scale == 1.0 || scale == class.thresholds_scale && !class.thresholds.is_empty() {
            return;
        }
        let Kind::Histogram {
            bounds,
            observations,
        } = &self.kind
        else {
            unreachable!("only histograms have thresholds");
        };
        let position = |bound: f64| scaled_position(&observations.distribution, bound, scale);
        class.thresholds_scale = scale;
        class.thresholds.clear();
        class
            .thresholds
            .extend(bounds.iter().map(|&bound| position(bound)));
        if let Some(layout) = &self.exponential_layout {
            let (min, max) = exponential::ends(&observations.distribution);
            let ends = (min * scale, max * scale);
            class.exponential.set(layout, ends, position);
        }
    }

    /// Bytes of tables, weights and windows (those shared with other families
    /// counted here again).
    #[cfg(test)]
    pub(crate) fn shared_bytes(&self) -> usize {
        let table = self.values.as_ref().map_or(0, |table| table.memory_bytes());
        let weights = self.weights.as_ref().map_or(0, |weights| weights.len() * 8);
        let thresholds = 8 * (self.thresholds.len() + self.exponential.thresholds.len());
        table + weights + thresholds + self.window_ticks * WINDOW_TICK_BYTES
    }

    fn slide_window(&self, base: &mut BaseTick) {
        base.expired = None;
        if base.number == base.founded {
            base.window.clear();
            base.window.reserve(self.window_ticks);
            return;
        }
        if base.window.len() == self.window_ticks {
            base.expired = base.window.pop_front();
        }
        base.window.push_back(WindowTick {
            number: base.number,
            keys: TickKeys {
                value_key: base.value_key,
                count_key: base.count_key,
                mean: base.mean,
                scale: 1.0,
            },
        });
    }
}

impl WindowTick {
    /// The same with the spikes of a class.
    fn keys_of(&self, base: &BaseTick, matched: &[u32]) -> TickKeys {
        let factors = base.effects.factors(self.number, matched);
        TickKeys {
            mean: spiked_mean(self.keys.mean, factors.rate),
            scale: factors.value,
            ..self.keys
        }
    }
}

/// Whether series of a metric differ in their weights.
pub(crate) fn is_weighted(metric: &Metric) -> bool {
    !matches!(metric.kind, Kind::Gauge { .. }) && metric.zipf_alpha != 0.0
}

pub(crate) fn is_walk(algorithm: &GaugeAlgorithm) -> bool {
    matches!(algorithm, GaugeAlgorithm::RandomWalk { .. })
}

/// Whether a metric is a walk whose values are never its state.
fn hides_state(kind: &Kind) -> bool {
    let Kind::Gauge {
        algorithm: GaugeAlgorithm::RandomWalk { .. },
        diurnal,
        ..
    } = kind
    else {
        return false;
    };
    diurnal.amplitude != 0.0
}

/// Bytes that a series of a metric carries from tick to tick beside its columns.
pub(crate) fn state_bytes(kind: &Kind) -> usize {
    match kind {
        Kind::Gauge { .. } if hides_state(kind) => size_of::<f64>(),
        Kind::Summary { objectives, .. } => summary::State::series_bytes(objectives.len()),
        _ => 0,
    }
}

/// A mean times a spike's factor, kept where counts don't overflow.
fn spiked_mean(mean: f64, factor: f64) -> f64 {
    if factor == 1.0 {
        mean
    } else {
        (mean * factor).min(mean.max(MEAN_MAX))
    }
}

/// The position below which draws, times `scale`, give values of at most
/// `bound`.
pub(super) fn scaled_position(distribution: &Distribution, bound: f64, scale: f64) -> u64 {
    if scale == 1.0 {
        distribution.position(bound)
    } else if scale == 0.0 {
        if bound >= 0.0 { u64::MAX } else { 0 }
    } else {
        distribution.position(bound / scale)
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

fn set_observations(observations: &Observations, time_ns: i64, base: &mut BaseTick) {
    base.factor = diurnal_factor(&observations.diurnal, time_ns);
    base.mean = observations.per_tick * base.factor;
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
