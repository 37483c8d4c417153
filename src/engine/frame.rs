//! One tick's values, immutable once published.
//!
//! A frame is a set of columns per block of series. It is recycled when its
//! last reader lets go, so a slow reader costs one frame and delays nobody.

use std::sync::Arc;

use crate::model::{Block, Catalog, Family};

/// All values of one tick.
#[derive(Debug)]
pub struct Frame {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) tick: u64,
    pub(crate) time_ns: i64,
    pub(crate) epoch_ns: i64,
    pub(crate) shards: Vec<Arc<ShardFrame>>,
}

/// The columns that one shard worker produced.
#[derive(Debug, Default)]
pub struct ShardFrame {
    pub(crate) blocks: Vec<Columns>,
}

/// Where each block of the catalog is found: (shard, index within it).
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) places: Vec<(u32, u32)>,
}

/// The values of one block, struct-of-arrays.
#[derive(Debug, Clone, PartialEq)]
pub enum Columns {
    /// Counters and gauges: one value per series.
    Values(Vec<f64>),
    /// Histograms.
    Histogram {
        /// Series-major: for each series its cumulative bucket counts, bounds
        /// in order and `+Inf` last (which is also the series' count).
        cumulative: Vec<u64>,
        /// Sum of observations per series.
        sums: Vec<f64>,
        /// Series-major: for each series its counts in the shape's exponential
        /// buckets, each on its own; empty where the shape has none.
        exponential: Vec<u64>,
    },
    /// Summaries.
    Summary {
        /// Series-major: for each series the value of each quantile.
        quantiles: Vec<f64>,
        /// Observations per series.
        counts: Vec<u64>,
        /// Sum of observations per series.
        sums: Vec<f64>,
    },
}

impl Frame {
    /// A frame of given columns, one per block of `catalog`: for tests and
    /// benchmarks of encoders, which need no engine.
    pub fn from_columns(
        catalog: &Arc<Catalog>,
        tick: u64,
        time_ns: i64,
        epoch_ns: i64,
        columns: Vec<Columns>,
    ) -> Self {
        assert_eq!(columns.len(), catalog.blocks().len());
        let places = (0..columns.len()).map(|index| (0, index as u32)).collect();
        Self {
            catalog: Arc::clone(catalog),
            layout: Arc::new(Layout { places }),
            tick,
            time_ns,
            epoch_ns,
            shards: vec![Arc::new(ShardFrame { blocks: columns })],
        }
    }

    /// Tick number, counted from the epoch.
    pub fn tick(&self) -> u64 {
        self.tick
    }

    /// Virtual time of the tick, Unix nanoseconds.
    pub fn time_ns(&self) -> i64 {
        self.time_ns
    }

    /// Time at which cumulative series began, Unix nanoseconds.
    pub fn created_ns(&self) -> i64 {
        self.epoch_ns
    }

    /// The families it has values for.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// A block of series, its family and its values; `index` counts through
    /// [`Catalog::blocks`].
    pub fn block(&self, index: usize) -> (&Family, Block, &Columns) {
        let block = self.catalog.blocks()[index];
        let (shard, place) = self.layout.places[index];
        (
            &self.catalog.families()[block.family],
            block,
            &self.shards[shard as usize].blocks[place as usize],
        )
    }
}
