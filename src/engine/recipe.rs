//! What stays the same of a metric from tick to tick: parameters, tables, weights.

use std::sync::Arc;

use crate::algorithm::distribution::Distribution;
use crate::config::{Kind, Metric};
use crate::engine::events::Lineage;
use crate::engine::kernel::Kernel;
use crate::engine::kernel::counter::Counter;
use crate::engine::kernel::gauge::{Gauge, filled_bytes};
use crate::engine::kernel::histogram::Histogram;
use crate::engine::kernel::summary::Summary;
use crate::engine::tick::Common;
use crate::engine::weights::weights;
use crate::engine::window::State;
use crate::model::FurtherBuckets;
use crate::model::space::Space;
use crate::model::{Family, Shape};
use crate::random::quantile::QuantileTable;
use crate::timeline::window_ticks;

/// The recipe of a metric, by its type. Clones share it.
#[derive(Debug, Clone)]
pub(crate) enum Recipe {
    Counter(Arc<RecipeOf<Counter>>),
    Gauge(Arc<RecipeOf<Gauge>>),
    Histogram(Arc<RecipeOf<Histogram>>),
    Summary(Arc<RecipeOf<Summary>>),
}

/// The recipe of a metric of one type.
#[derive(Debug)]
pub(crate) struct RecipeOf<K> {
    pub(crate) common: Common,
    pub(crate) kernel: K,
}

/// Tables and weights that several families can share while they are built.
#[derive(Debug, Default)]
pub(crate) struct SharedParts {
    tables: Vec<(Distribution, Arc<QuantileTable>)>,
    weights: Vec<(*const Space, u64, Arc<[f64]>)>,
}

/// The same for what there is of a metric of any type, in an enum of all types.
macro_rules! by_type {
    ($all:ident, $value:expr, $of:ident => $what:expr) => {
        match $value {
            $all::Counter($of) => $what,
            $all::Gauge($of) => $what,
            $all::Histogram($of) => $what,
            $all::Summary($of) => $what,
        }
    };
}
pub(crate) use by_type;

impl Recipe {
    pub(crate) fn new(
        (metrics, metric): (&[Metric], &Metric),
        family: &Family,
        interval_ns: u64,
        shared: &mut SharedParts,
    ) -> Self {
        let weights = is_weighted(metric)
            .then(|| shared.weights(metric, family))
            .flatten();
        let common = |diurnal| Common {
            name_key: family.name_key,
            seed: metric.seed,
            diurnal,
            weights,
        };
        let interval_s = interval_ns as f64 / 1e9;
        let lineage = || {
            let parent = metric.parent(metrics)?;
            let is_counter = matches!(parent.kind, Kind::Counter { .. });
            is_counter.then(|| Lineage::of(metrics, parent, interval_s))
        };
        match &metric.kind {
            Kind::Counter { diurnal, .. } => Self::Counter(RecipeOf::new(
                common(*diurnal),
                Counter::new(Lineage::of(metrics, metric, interval_s)),
            )),
            Kind::Gauge {
                algorithm,
                diurnal,
                clamp,
            } => Self::Gauge(RecipeOf::new(
                common(*diurnal),
                Gauge::new(
                    (*algorithm, *diurnal, *clamp),
                    (lineage(), family.follows),
                    interval_ns,
                ),
            )),
            Kind::Histogram {
                bounds,
                observations,
                ..
            } => {
                let further = match family.shape {
                    Shape::Histogram { further, .. } => further,
                    _ => FurtherBuckets::default(),
                };
                let values = shared.table(&observations.distribution);
                Self::Histogram(RecipeOf::new(
                    common(observations.diurnal),
                    Histogram::new(bounds, observations, values, further, lineage()),
                ))
            }
            Kind::Summary {
                objectives,
                max_age_ns,
                observations,
            } => {
                let values = shared.table(&observations.distribution);
                let ticks = window_ticks(*max_age_ns, interval_ns);
                Self::Summary(RecipeOf::new(
                    common(observations.diurnal),
                    Summary::new(objectives, observations, values, ticks, lineage()),
                ))
            }
        }
    }

    /// See [`Kernel::observing`].
    pub(crate) fn observing(&self) -> Option<(f64, &QuantileTable)> {
        by_type!(Self, self, recipe => recipe.kernel.observing())
    }

    /// Names of the counters whose events it follows from, nearest first.
    pub(crate) fn ancestors(&self) -> Vec<&str> {
        let lineage = by_type!(Self, self, recipe => recipe.kernel.lineage());
        lineage.map_or_else(Vec::new, |(lineage, level)| {
            // At level 0 it is the last one itself.
            lineage.names().skip(1 - level as usize).collect()
        })
    }

    /// See [`Kernel::lineage`].
    pub(crate) fn lineage(&self) -> Option<(&Arc<Lineage>, u32)> {
        by_type!(Self, self, recipe => recipe.kernel.lineage())
    }

    /// See [`Kernel::remembers`].
    pub(crate) fn remembers(&self) -> bool {
        by_type!(Self, self, recipe => recipe.kernel.remembers())
    }

    pub(crate) fn common(&self) -> &Common {
        by_type!(Self, self, recipe => &recipe.common)
    }

    /// How many ticks values look back on.
    #[cfg(test)]
    pub(crate) fn window_ticks(&self) -> u64 {
        by_type!(Self, self, recipe => recipe.kernel.window_ticks())
    }

    /// Bytes of tables (those shared with other families counted here again).
    #[cfg(test)]
    pub(crate) fn table_bytes(&self) -> usize {
        by_type!(Self, self, recipe => recipe.kernel.table_bytes())
    }
}

impl<K: Kernel> RecipeOf<K> {
    fn new(common: Common, kernel: K) -> Arc<Self> {
        Arc::new(Self { common, kernel })
    }
}

/// Whether a metric's series have weights: gauges have no rate that is split, but for
/// those that follow another metric's.
pub(crate) fn is_weighted(metric: &Metric) -> bool {
    let has_rate = metric.of.is_some() || !matches!(metric.kind, Kind::Gauge { .. });
    metric.has_weights() && has_rate
}

/// Bytes that a series of a metric carries from tick to tick beside its columns.
pub(crate) fn state_bytes(kind: &Kind) -> usize {
    match kind {
        Kind::Counter { .. } | Kind::Histogram { .. } => 0,
        Kind::Gauge {
            algorithm, diurnal, ..
        } => filled_bytes(algorithm, diurnal.amplitude != 0.0),
        Kind::Summary { objectives, .. } => State::series_bytes(objectives.len()),
    }
}

impl SharedParts {
    fn table(&mut self, distribution: &Distribution) -> Arc<QuantileTable> {
        if let Some((_, table)) = self.tables.iter().find(|(known, _)| known == distribution) {
            return Arc::clone(table);
        }
        let table = Arc::new(distribution.table());
        self.tables.push((distribution.clone(), Arc::clone(&table)));
        table
    }

    fn weights(&mut self, metric: &Metric, family: &Family) -> Option<Arc<[f64]>> {
        let (space, alpha) = (Arc::as_ptr(&family.space), metric.zipf_alpha.to_bits());
        let known = self.weights.iter();
        let mut known = known.filter(|(of, bits, _)| (*of, *bits) == (space, alpha));
        if let Some((_, _, weights)) = known.next() {
            return Some(Arc::clone(weights));
        }
        let weights: Arc<[f64]> = weights(metric, family)?.into();
        self.weights.push((space, alpha, Arc::clone(&weights)));
        Some(weights)
    }
}
