//! One tick's values, immutable once published.
//!
//! A frame is a set of columns per block of series. It is recycled when its
//! last reader lets go, so a slow reader costs one frame and delays nobody.

use std::ops::Range;
use std::sync::Arc;

use crate::model::{Block, Catalog, Family};

/// All values of one tick.
#[derive(Debug)]
pub struct Frame {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) tick: u64,
    pub(crate) time_ns: i64,
    pub(crate) shards: Vec<Arc<ShardFrame>>,
    /// Where it has other gaps than its shards tell: by block, and whose columns
    /// these are. That one stays last, so that it is let go after the shards:
    /// whoever recycles it takes them for its own.
    pub(crate) part: Option<(Vec<Gaps>, Arc<Frame>)>,
}

/// What one shard worker produced, by block.
#[derive(Debug, Default)]
pub struct ShardFrame {
    pub(crate) blocks: Vec<Columns>,
    pub(crate) gaps: Vec<Gaps>,
    pub(crate) created: Vec<Created>,
}

/// Which series of a block have no point at a tick. Their columns go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps {
    /// A bit per series; none where no point is missing.
    words: Vec<u64>,
    count: usize,
}

/// When the cumulative series of a block began, Unix nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// All at the same time.
    Together(i64),
    /// Each at its own: some were reset.
    Each(Arc<[i64]>),
}

impl Gaps {
    /// The gaps at some rows of a block of `len` series.
    pub fn at(len: usize, rows: impl IntoIterator<Item = usize>) -> Self {
        let mut gaps = Self::default();
        rows.into_iter().for_each(|row| gaps.add(row, len));
        gaps
    }

    /// Whether no point is missing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many points are missing.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the point of a series is missing.
    #[inline]
    pub fn contains(&self, row: usize) -> bool {
        self.count > 0 && self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// How many of some rows have a point.
    pub fn present(&self, rows: Range<usize>) -> usize {
        if self.is_empty() {
            return rows.len();
        }
        rows.filter(|&row| !self.contains(row)).count()
    }

    /// The rows of either.
    pub(crate) fn union(&self, other: &Self) -> Self {
        self.with(other, |one, other| one | other)
    }

    /// The rows that the other does not have.
    pub(crate) fn except(&self, other: &Self) -> Self {
        self.with(other, |one, other| one & !other)
    }

    /// The other rows of a block of `len` series.
    pub(crate) fn complement(&self, len: usize) -> Self {
        if self.count == len {
            return Self::default();
        }
        let mut words = vec![u64::MAX; len.div_ceil(64)];
        if let Some(last) = words.last_mut().filter(|_| !len.is_multiple_of(64)) {
            *last = (1 << (len % 64)) - 1;
        }
        let all = Self { words, count: len };
        all.except(self)
    }

    fn with(&self, other: &Self, each: impl Fn(u64, u64) -> u64) -> Self {
        let len = self.words.len().max(other.words.len());
        let word = |of: &Self, index: usize| of.words.get(index).copied().unwrap_or(0);
        let words = (0..len).map(|index| each(word(self, index), word(other, index)));
        let words: Vec<u64> = words.collect();
        let count = words.iter().map(|word| word.count_ones() as usize).sum();
        if count == 0 {
            return Self::default();
        }
        Self { words, count }
    }

    pub(crate) fn clear(&mut self) {
        self.words.clear();
        self.count = 0;
    }

    /// Marks a row of a block of `len` series.
    pub(crate) fn add(&mut self, row: usize, len: usize) {
        assert!(row < len);
        if self.words.is_empty() {
            self.words.resize(len.div_ceil(64), 0);
        }
        let word = &mut self.words[row / 64];
        self.count += usize::from(*word >> (row % 64) & 1 == 0);
        *word |= 1 << (row % 64);
    }
}

impl Created {
    /// When a series began.
    #[inline]
    pub fn at(&self, row: usize) -> i64 {
        match self {
            Self::Together(ns) => *ns,
            Self::Each(each) => each[row],
        }
    }

    /// Lets some rows of a block of `len` series begin anew.
    pub(crate) fn reset(&mut self, rows: &[usize], len: usize, time_ns: i64) {
        if rows.len() == len {
            *self = Self::Together(time_ns);
            return;
        }
        let mut each: Vec<i64> = (0..len).map(|row| self.at(row)).collect();
        for &row in rows {
            each[row] = time_ns;
        }
        *self = Self::Each(each.into());
    }
}

impl ShardFrame {
    /// Zeroed columns of some blocks.
    pub(crate) fn zeroed(catalog: &Catalog, blocks: &[Block], created_ns: i64) -> Self {
        let columns = |block: &Block| {
            let shape = &catalog.families()[block.family].shape;
            Columns::zeroed(shape, block.len)
        };
        Self {
            blocks: blocks.iter().map(columns).collect(),
            gaps: vec![Gaps::default(); blocks.len()],
            created: vec![Created::Together(created_ns); blocks.len()],
        }
    }
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

impl Columns {
    /// Takes the values of some rows of other columns of the same shape: the first
    /// into row `to`, each further one `apart` rows later. Exponential buckets are
    /// left as they are.
    pub(crate) fn scatter(&mut self, to: usize, apart: usize, other: &Self, rows: Range<usize>) {
        let to = move |index: usize| to + index * apart;
        match (self, other) {
            (Self::Values(values), Self::Values(others)) => {
                for (index, &value) in others[rows].iter().enumerate() {
                    values[to(index)] = value;
                }
            }
            (
                Self::Histogram {
                    cumulative, sums, ..
                },
                Self::Histogram {
                    cumulative: others,
                    sums: other_sums,
                    ..
                },
            ) => {
                let width = cumulative.len() / sums.len();
                for (index, row) in rows.enumerate() {
                    let others = &others[row * width..][..width];
                    cumulative[to(index) * width..][..width].copy_from_slice(others);
                    sums[to(index)] = other_sums[row];
                }
            }
            (
                Self::Summary {
                    quantiles,
                    counts,
                    sums,
                },
                Self::Summary {
                    quantiles: others,
                    counts: other_counts,
                    sums: other_sums,
                },
            ) => {
                let width = quantiles.len() / sums.len();
                for (index, row) in rows.enumerate() {
                    let others = &others[row * width..][..width];
                    quantiles[to(index) * width..][..width].copy_from_slice(others);
                    counts[to(index)] = other_counts[row];
                    sums[to(index)] = other_sums[row];
                }
            }
            _ => unreachable!("columns of one shape"),
        }
    }
}

impl Frame {
    /// A frame of given columns, one per block of `catalog`, without gaps: for
    /// tests and benchmarks of encoders, which need no engine.
    pub fn from_columns(
        catalog: &Arc<Catalog>,
        tick: u64,
        time_ns: i64,
        created_ns: i64,
        columns: Vec<Columns>,
    ) -> Self {
        let blocks = columns.into_iter();
        let blocks =
            blocks.map(|columns| (columns, Gaps::default(), Created::Together(created_ns)));
        Self::from_blocks(catalog, tick, time_ns, blocks.collect())
    }

    /// The same with gaps and beginnings.
    pub fn from_blocks(
        catalog: &Arc<Catalog>,
        tick: u64,
        time_ns: i64,
        blocks: Vec<(Columns, Gaps, Created)>,
    ) -> Self {
        assert_eq!(blocks.len(), catalog.blocks().len());
        let mut shard = ShardFrame::default();
        for (columns, gaps, created) in blocks {
            shard.blocks.push(columns);
            shard.gaps.push(gaps);
            shard.created.push(created);
        }
        let places = (0..shard.blocks.len())
            .map(|index| (0, index as u32))
            .collect();
        Self {
            catalog: Arc::clone(catalog),
            layout: Arc::new(Layout { places }),
            tick,
            time_ns,
            shards: vec![Arc::new(shard)],
            part: None,
        }
    }

    /// The same values with other gaps, by block.
    pub(crate) fn with_gaps(self: &Arc<Self>, gaps: Vec<Gaps>) -> Self {
        assert_eq!(gaps.len(), self.catalog.blocks().len());
        Self {
            catalog: Arc::clone(&self.catalog),
            layout: Arc::clone(&self.layout),
            tick: self.tick,
            time_ns: self.time_ns,
            shards: self.shards.clone(),
            part: Some((gaps, Arc::clone(self))),
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

    /// Which series of a block have no point.
    pub fn gaps(&self, index: usize) -> &Gaps {
        if let Some((gaps, _)) = &self.part {
            return &gaps[index];
        }
        let (shard, place) = self.layout.places[index];
        &self.shards[shard as usize].gaps[place as usize]
    }

    /// When the series of a block began.
    pub fn created(&self, index: usize) -> &Created {
        let (shard, place) = self.layout.places[index];
        &self.shards[shard as usize].created[place as usize]
    }

    /// Samples of the series that have a point, counted as in the Prometheus
    /// text format.
    pub fn samples(&self) -> usize {
        let blocks = self.catalog.blocks().iter().enumerate();
        let samples = blocks.map(|(index, block)| {
            let shape = &self.catalog.families()[block.family].shape;
            (block.len - self.gaps(index).count()) * shape.samples_per_series()
        });
        samples.sum()
    }

    /// Series that have a point.
    pub fn points(&self) -> usize {
        let blocks = self.catalog.blocks().iter().enumerate();
        let points = blocks.map(|(index, block)| block.len - self.gaps(index).count());
        points.sum()
    }
}
