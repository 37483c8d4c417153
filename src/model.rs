//! The catalog: every family that is exposed, and the series of each.
//!
//! Built once from the configuration and immutable afterwards. It knows names,
//! types and label spaces; it knows neither values nor wire formats.

pub mod division;
pub mod exponential;
pub mod fleet;
pub mod identity;
pub mod labels;
pub mod native;
pub mod population;
pub mod shards;
mod sizes;
pub mod space;
pub mod targets;

use std::ops::Range;
use std::sync::Arc;

use crate::config::{Config, Exemplars, HistogramForm, Kind, Label, Life, Metric, Sampling};
use crate::layout::{Layout, MetricType, Wire};
use division::Division;
use exponential::ExponentialLayout;
use fleet::Fleet;
use native::NativeLayout;
pub use sizes::SpaceSizes;
use space::{Space, SpaceError};

/// Samples of one block of series, roughly; the unit of sharding and rendering.
const BLOCK_SAMPLES: usize = 4096;

/// Every family, in the order in which it is exposed.
#[derive(Debug)]
pub struct Catalog {
    families: Vec<Family>,
    generated_count: usize,
    blocks: Vec<Block>,
}

/// One metric family.
#[derive(Debug)]
pub struct Family {
    /// Base name: no exporter prefix, no `_total`.
    pub name: String,
    /// HELP text, may be empty.
    pub help: String,
    /// Unit, may be empty.
    pub unit: String,
    /// Type, and what its columns look like.
    pub shape: Shape,
    /// Its series.
    pub space: Arc<Space>,
    /// Hash of the base name, for [`identity::series_key`].
    pub name_key: u64,
    /// Series in one block; the last block may be shorter.
    pub block_series: usize,
    /// Index of its first block in [`Catalog::blocks`].
    pub first_block: usize,
    /// The form in which its histograms leave the process, where they say it themselves.
    pub histograms: Option<HistogramForm>,
    /// Index of the gauge whose values at the same tick its own follow. Both have the
    /// same series in the same rows and blocks.
    pub follows: Option<usize>,
    /// Which exemplars its series have, if any.
    pub exemplars: Option<Exemplars>,
}

/// The type of a family, and the parameters that its columns follow from.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// One value per series, monotonic.
    Counter,
    /// One value per series.
    Gauge,
    /// Cumulative bucket counts and a sum per series.
    Histogram {
        /// Upper bounds, increasing and finite; one more bucket is `+Inf`.
        bounds: Arc<[f64]>,
        /// Further buckets of the same observations, where the catalog was asked for
        /// them.
        further: FurtherBuckets,
    },
    /// Quantile values, count and sum per series.
    Summary {
        /// The quantiles, increasing.
        quantiles: Arc<[f64]>,
    },
}

/// What a histogram counts its observations in beside its configured bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FurtherBuckets {
    /// Dense exponential buckets.
    pub exponential: Option<ExponentialLayout>,
    /// Those of native histograms.
    pub native: Option<NativeLayout>,
}

/// A run of neighbouring series of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Index of the family.
    pub family: usize,
    /// First series.
    pub start: usize,
    /// Number of series, at least 1.
    pub len: usize,
}

impl Shape {
    /// A histogram with the given bounds and no further buckets.
    pub fn histogram(bounds: impl Into<Arc<[f64]>>) -> Self {
        Self::Histogram {
            bounds: bounds.into(),
            further: FurtherBuckets::default(),
        }
    }

    /// Samples per series in the Prometheus text format.
    pub fn samples_per_series(&self) -> usize {
        self.layout().samples(Wire::Text)
    }

    /// Bytes of one series' columns in a frame.
    pub fn column_bytes(&self) -> usize {
        match self {
            Self::Counter | Self::Gauge => 8,
            Self::Histogram { bounds, further } => {
                8 * (bounds.len() + 2 + further.exponential.map_or(0, |layout| layout.len))
            }
            Self::Summary { quantiles } => 8 * (quantiles.len() + 2),
        }
    }

    /// The type of the family.
    pub fn metric_type(&self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram { .. } => MetricType::Histogram,
            Self::Summary { .. } => MetricType::Summary,
        }
    }

    /// The type's name in both text formats.
    pub fn type_name(&self) -> &'static str {
        self.metric_type().name()
    }

    /// The samples of each series.
    pub fn layout(&self) -> Layout<'_> {
        let numbers: &[f64] = match self {
            Self::Counter | Self::Gauge => &[],
            Self::Histogram { bounds, .. } => bounds,
            Self::Summary { quantiles } => quantiles,
        };
        Layout::new(self.metric_type(), numbers)
    }
}

/// Series of a shape in one block.
pub(crate) fn block_series(shape: &Shape) -> usize {
    (BLOCK_SAMPLES / shape.samples_per_series()).max(16)
}

impl Family {
    /// The unit that scrapes tell of it under a name: one that the name does not end with would
    /// fail them.
    pub(crate) fn unit_of(&self, name: &str) -> Option<&str> {
        let stem = name.strip_suffix(&*self.unit)?;
        (!self.unit.is_empty() && stem.ends_with('_')).then_some(&*self.unit)
    }

    /// A family over `space`.
    pub fn new(name: &str, help: &str, unit: &str, shape: Shape, space: Arc<Space>) -> Self {
        Self {
            name: name.to_owned(),
            help: help.to_owned(),
            unit: unit.to_owned(),
            block_series: block_series(&shape),
            shape,
            space,
            name_key: identity::name_key(name),
            first_block: 0,
            histograms: None,
            follows: None,
            exemplars: None,
        }
    }

    /// Number of its series.
    pub fn series_count(&self) -> usize {
        self.space.series_count()
    }

    /// Where some neighbouring series of it are, block by block: the index of the
    /// block in [`Catalog::blocks`], and the rows within it.
    pub fn pieces(&self, series: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
        let (first_block, len) = (self.first_block, self.block_series);
        let mut at = series.start;
        std::iter::from_fn(move || {
            let (block, row) = (at / len, at % len);
            let end = series.end.min((block + 1) * len);
            let rows = row..row + end.saturating_sub(at);
            at = end;
            (!rows.is_empty()).then_some((first_block + block, rows))
        })
    }
}

impl Catalog {
    /// The families of a configuration, followed by those the process reports
    /// about itself.
    ///
    /// # Errors
    /// The first metric whose label space cannot be built, by name.
    pub fn build(config: &Config, own: Vec<Family>) -> Result<Self, (String, SpaceError)> {
        Self::build_with(config, own, &|_| FurtherBuckets::default())
    }

    /// As [`Self::build`]; histograms for which `further` gives layouts also count
    /// their observations in those buckets. No other value changes.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_with(
        config: &Config,
        own: Vec<Family>,
        further: &dyn Fn(&Metric) -> FurtherBuckets,
    ) -> Result<Self, (String, SpaceError)> {
        Self::with_spaces(Vec::new(), config, own, further)
    }

    /// As [`Self::build_with`], for a configuration that follows another one, whose
    /// metrics and catalog are given first: label spaces that both have are shared.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_after(
        (metrics, catalog): (&[Metric], &Arc<Self>),
        config: &Config,
        own: Vec<Family>,
        further: &dyn Fn(&Metric) -> FurtherBuckets,
    ) -> Result<Self, (String, SpaceError)> {
        let known = metrics.iter().zip(&catalog.families);
        let known = known.map(|(metric, family)| (space_key(metric), Arc::clone(&family.space)));
        Self::with_spaces(known.collect(), config, own, further)
    }

    fn with_spaces<'a>(
        mut spaces: Vec<(SpaceKey<'a>, Arc<Space>)>,
        config: &'a Config,
        own: Vec<Family>,
        further: &dyn Fn(&Metric) -> FurtherBuckets,
    ) -> Result<Self, (String, SpaceError)> {
        let fleets = spaces.iter().filter_map(|(_, space)| space.fleet());
        let mut fleets: Vec<Arc<Fleet>> = fleets.cloned().collect();
        let division = shards::division_of(config);
        // Metrics with the same labels and cap share one space.
        let mut families = Vec::with_capacity(config.metrics.len() + own.len());
        for metric in &config.metrics {
            let key = space_key(metric);
            let known = spaces.iter().find(|(known, _)| *known == key);
            let space = if let Some((_, space)) = known {
                Arc::clone(space)
            } else {
                let interval_ns = config.global.tick_interval_ns;
                let space = space_of(metric, interval_ns, division.as_ref(), &mut fleets);
                let space = space.map_err(|error| (metric.name.clone(), error))?;
                let space = Arc::new(space);
                spaces.push((key, Arc::clone(&space)));
                space
            };
            let (name, help, unit) = (&metric.name, &metric.description, &metric.unit);
            families.push(Family {
                exemplars: metric.exemplars.clone(),
                histograms: form_of(metric),
                ..Family::new(name, help, unit, shape_of(metric, further), space)
            });
        }
        for (index, metric) in config.metrics.iter().enumerate() {
            let parent = metric.parent(&config.metrics);
            let gauge = parent.filter(|parent| matches!(parent.kind, Kind::Gauge { .. }));
            let is_it = |other: &Metric| gauge.is_some_and(|gauge| gauge.name == other.name);
            families[index].follows = config.metrics.iter().position(is_it);
        }
        let generated_count = families.len();
        families.extend(own);
        Ok(Self::from_families(families, generated_count))
    }

    /// A catalog of families that are already built, the first
    /// `generated_count` of them generated.
    pub fn from_families(mut families: Vec<Family>, generated_count: usize) -> Self {
        let mut blocks = Vec::new();
        for (index, family) in families.iter_mut().enumerate() {
            family.first_block = blocks.len();
            let series_count = family.series_count();
            blocks.extend(
                (0..series_count)
                    .step_by(family.block_series)
                    .map(|start| Block {
                        family: index,
                        start,
                        len: family.block_series.min(series_count - start),
                    }),
            );
        }
        Self {
            families,
            generated_count,
            blocks,
        }
    }

    /// A catalog of one generated family and some neighbouring series of it, as one
    /// block, however many there are. They have the values that they have among all.
    /// A family that follows a gauge is followed by that one, and so on, with a block of
    /// the same series each.
    pub fn of_rows(families: Vec<Family>, rows: &Range<usize>) -> Self {
        let mut blocks = Vec::with_capacity(families.len());
        let mut all = families;
        let last = all.len() - 1;
        for (index, family) in all.iter_mut().enumerate() {
            assert!(rows.start < rows.end && rows.end <= family.series_count());
            family.first_block = index;
            family.block_series = rows.len();
            family.follows = (index < last).then_some(index + 1);
            blocks.push(Block {
                family: index,
                start: rows.start,
                len: rows.len(),
            });
        }
        Self {
            generated_count: all.len(),
            families: all,
            blocks,
        }
    }

    /// All families: generated ones first, then the process's own.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// How many of [`Self::families`] are generated from the configuration.
    pub fn generated_count(&self) -> usize {
        self.generated_count
    }

    /// All blocks, family by family, in the order of their series.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The blocks of one family.
    pub fn family_blocks(&self, family: usize) -> Range<usize> {
        let end = self
            .families
            .get(family + 1)
            .map_or(self.blocks.len(), |next| next.first_block);
        self.families[family].first_block..end
    }

    /// Generated series, all families together.
    pub fn generated_series(&self) -> usize {
        self.generated().map(Family::series_count).sum()
    }

    /// Samples per text scrape of the generated families.
    pub fn generated_samples(&self) -> usize {
        self.generated()
            .map(|family| family.series_count() * family.shape.samples_per_series())
            .sum()
    }

    fn generated(&self) -> impl Iterator<Item = &Family> {
        self.families[..self.generated_count].iter()
    }
}

/// What a label space follows from.
type SpaceKey<'a> = (&'a [Label], &'a Life, Option<u64>, Sampling);

fn space_key(metric: &Metric) -> SpaceKey<'_> {
    let Metric { labels, life, .. } = metric;
    (labels, life, metric.series_cap, metric.sampling)
}

/// The space of a metric's labels, at ticks of an interval; of a run that is divided, the
/// part of a shard. Where the entities that they make are those of one of `fleets`, it is
/// shared, else added to them.
///
/// # Errors
/// When the space cannot be built.
pub fn space_of(
    metric: &Metric,
    interval_ns: u64,
    division: Option<&Division>,
    fleets: &mut Vec<Arc<Fleet>>,
) -> Result<Space, SpaceError> {
    let Some(fleet) = Fleet::of(&metric.labels, &metric.life, interval_ns)? else {
        let (cap, sampling) = (metric.series_cap, metric.sampling);
        return Space::of_shard(&metric.labels, cap, sampling, division);
    };
    let known = fleets.iter().find(|known| known.is_alike(&fleet));
    let fleet = known.cloned().unwrap_or_else(|| {
        fleets.push(Arc::new(fleet.part_of(division)));
        Arc::clone(&fleets[fleets.len() - 1])
    });
    Space::living(&metric.labels, fleet)
}

/// The form that a metric says its histograms have at every exporter.
pub(crate) fn form_of(metric: &Metric) -> Option<HistogramForm> {
    match &metric.kind {
        Kind::Histogram { native, .. } => native.form,
        _ => None,
    }
}

/// The shape of a metric's family.
pub(crate) fn shape_of(metric: &Metric, further: &dyn Fn(&Metric) -> FurtherBuckets) -> Shape {
    match &metric.kind {
        Kind::Counter { .. } => Shape::Counter,
        Kind::Gauge { .. } => Shape::Gauge,
        Kind::Histogram { bounds, .. } => Shape::Histogram {
            bounds: bounds.as_slice().into(),
            further: further(metric),
        },
        Kind::Summary { objectives, .. } => Shape::Summary {
            quantiles: objectives.iter().map(|o| o.quantile).collect(),
        },
    }
}
