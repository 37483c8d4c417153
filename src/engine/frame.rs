//! One tick's values, immutable once published.
//!
//! A frame is a set of columns per block of series. It is recycled when its
//! last reader lets go, so a slow reader costs one frame and delays nobody.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::columns::Columns;
use crate::engine::created::Created;
use crate::engine::exemplars::Exemplars;
use crate::engine::extremes::Extremes;
#[cfg(test)]
use crate::engine::extremes::ExtremesColumn;
use crate::engine::gaps::Gaps;
use crate::engine::growth::{Bases, Growth, Told};
use crate::engine::observed::{Draws, Observed};
use crate::model::population::{Population, Populations};
use crate::model::space::Matching;
use crate::model::{Block, Catalog, Family, Shape};

/// All values of one tick.
#[derive(Debug)]
pub struct Frame {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) populations: Populations,
    /// What its observations are drawn from; nothing in frames that no engine made.
    pub(crate) draws: Draws,
    pub(crate) layout: Arc<Layout>,
    pub(crate) tick: u64,
    pub(crate) time_ns: i64,
    pub(crate) shards: Vec<Arc<ShardFrame>>,
    /// The ticks that growth is counted from.
    pub(crate) bases: Bases,
    /// Set in a part of another frame (see `part`): its gaps by block, which stand
    /// in for those of the shards, and that other frame. The engine takes the
    /// shards of a frame that nobody holds to be free as well, so the other frame is
    /// held here, and let go after the shards: fields are dropped in their order.
    pub(crate) part: Option<(Vec<Gaps>, Arc<Frame>)>,
}

/// What one shard worker produced, by block.
#[derive(Debug, Default)]
pub(crate) struct ShardFrame {
    pub(crate) blocks: Vec<Columns>,
    pub(crate) gaps: Vec<Gaps>,
    pub(crate) created: Vec<Created>,
    pub(crate) growth: Vec<Growth>,
}

/// Where each block of the catalog is found: (shard, index within it).
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) places: Vec<(u32, u32)>,
}

/// Matchings that several families share.
#[derive(Debug, Default)]
pub(crate) struct Matchings(Vec<(Population, Population, Arc<Matching>)>);

impl Matchings {
    /// Where the series of `now` are in `before`.
    pub(crate) fn of(&mut self, before: &Population, now: &Population) -> Arc<Matching> {
        let is_same = |(known_before, known_now, _): &&(Population, Population, _)| {
            known_before.has_all_of(before) && known_now.has_all_of(now)
        };
        if let Some((_, _, matching)) = self.0.iter().find(is_same) {
            return Arc::clone(matching);
        }
        let matching = Arc::new(now.matching(before));
        let known = (before.clone(), now.clone(), Arc::clone(&matching));
        self.0.push(known);
        matching
    }
}

impl ShardFrame {
    /// Zeroed columns of some blocks; of generated families with what is to be `told` of
    /// the ticks before.
    pub(crate) fn zeroed(catalog: &Catalog, blocks: &[Block], created_ns: i64, told: Told) -> Self {
        let columns = |block: &Block| {
            let shape = &catalog.families()[block.family].shape;
            Columns::zeroed(shape, block.len)
        };
        let growth = |block: &Block| {
            if block.family >= catalog.generated_count() {
                return Growth::default();
            }
            Growth::zeroed(&catalog.families()[block.family].shape, block.len, told)
        };
        Self {
            blocks: blocks.iter().map(columns).collect(),
            gaps: vec![Gaps::default(); blocks.len()],
            created: vec![Created::Together(created_ns); blocks.len()],
            growth: blocks.iter().map(growth).collect(),
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

    /// The same with gaps and start times.
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
            shard.growth.push(Growth::default());
        }
        let places = (0..shard.blocks.len())
            .map(|index| (0, index as u32))
            .collect();
        Self {
            catalog: Arc::clone(catalog),
            populations: Populations::founded(catalog, 0),
            draws: Draws::default(),
            layout: Arc::new(Layout { places }),
            tick,
            time_ns,
            shards: vec![Arc::new(shard)],
            bases: [None; 2],
            part: None,
        }
    }

    /// The same values with other gaps, by block.
    pub(crate) fn with_gaps(self: &Arc<Self>, gaps: Vec<Gaps>) -> Self {
        assert_eq!(gaps.len(), self.catalog.blocks().len());
        Self {
            catalog: Arc::clone(&self.catalog),
            populations: self.populations.clone(),
            draws: self.draws.clone(),
            layout: Arc::clone(&self.layout),
            tick: self.tick,
            time_ns: self.time_ns,
            shards: self.shards.clone(),
            bases: self.bases,
            part: Some((gaps, Arc::clone(self))),
        }
    }

    /// The same values in the blocks of another catalog and its populations: of the
    /// series that a family of the same name and shape has in both. All else is zero.
    pub(crate) fn aligned_with(&self, catalog: &Arc<Catalog>, populations: &Populations) -> Self {
        let places = 0..catalog.blocks().len() as u32;
        let places = places.map(|place| (0, place)).collect();
        let shard = ShardFrame::zeroed(catalog, catalog.blocks(), self.time_ns, Told::default());
        let mut aligned = Self {
            catalog: Arc::clone(catalog),
            populations: populations.clone(),
            draws: Draws::default(),
            layout: Arc::new(Layout { places }),
            tick: self.tick,
            time_ns: self.time_ns,
            shards: vec![Arc::new(shard)],
            bases: [None; 2],
            part: None,
        };
        let known = self.catalog.families().iter().enumerate();
        let known: HashMap<&str, usize> = known
            .map(|(index, family)| (family.name.as_str(), index))
            .collect();
        let mut matchings = Matchings::default();
        for (index, family) in catalog.families().iter().enumerate() {
            let Some(&from) = known.get(family.name.as_str()) else {
                continue;
            };
            let before = &self.catalog.families()[from];
            if before.shape == family.shape {
                let now = populations.family(index);
                let matching = matchings.of(self.population(from), now);
                aligned.take_over(index, self, from, &matching);
            }
        }
        aligned
    }

    /// Takes columns and start times of one family from those of another one of the
    /// same shape, wherever `matching` finds its series there. Nobody may read the
    /// frame yet.
    pub(crate) fn take_over(
        &mut self,
        family: usize,
        before: &Self,
        from: usize,
        matching: &Matching,
    ) {
        let earlier = &before.catalog.families()[from];
        for place in self.catalog.family_blocks(family) {
            let block = self.catalog.blocks()[place];
            let (shard, at) = self.layout.places[place];
            let shard = Arc::get_mut(&mut self.shards[shard as usize]);
            let shard = shard.expect("a new frame has no reader");
            let columns = &mut shard.blocks[at as usize];
            let mut created: Vec<i64> = Vec::with_capacity(block.len);
            for (series, run) in matching.runs(block.start..block.start + block.len) {
                let mut row = series - block.start;
                for (place, rows) in earlier.pieces(run) {
                    columns.copy_rows(row, before.block(place).2, &rows);
                    shard.growth[at as usize].copy_rows(row, before.growth_of(place), &rows);
                    row += rows.len();
                    let times = before.created(place);
                    // Where a series is new, any time will do until it begins.
                    created.resize(row - rows.len(), times.at(rows.start));
                    created.extend(rows.map(|row| times.at(row)));
                }
            }
            if let Some(&last) = created.last() {
                created.resize(block.len, last);
                // Of gauges nobody asks for more than one.
                created.truncate(if earlier.shape == Shape::Gauge {
                    1
                } else {
                    block.len
                });
                shard.created[at as usize] = Created::of(&created);
            }
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

    /// Which series exist, family by family.
    pub fn populations(&self) -> &Populations {
        &self.populations
    }

    /// How many generated series exist.
    pub fn series_count(&self) -> usize {
        self.populations
            .series_count(self.catalog.generated_count())
    }

    /// Which series of a family exist, by its index in the catalog.
    #[inline]
    pub fn population(&self, family: usize) -> &Population {
        self.populations.family(family)
    }

    /// A block of series, its family and its values; `index` counts through
    /// [`Catalog::blocks`], here and below.
    pub fn block(&self, index: usize) -> (&Family, Block, &Columns) {
        let block = self.catalog.blocks()[index];
        let (shard, place) = self.place(index);
        let family = &self.catalog.families()[block.family];
        (family, block, &shard.blocks[place])
    }

    /// The values of a block and which of them are missing.
    #[inline]
    pub(crate) fn columns_with_gaps(&self, index: usize) -> (&Columns, &Gaps) {
        let (shard, place) = self.place(index);
        let gaps = match &self.part {
            Some((gaps, _)) => &gaps[index],
            None => &shard.gaps[place],
        };
        (&shard.blocks[place], gaps)
    }

    /// What the series of a block observed at this tick, as the engine counted it;
    /// `None` for families that observe nothing.
    pub fn observed(&self, index: usize) -> Option<Observed<'_>> {
        let block = self.catalog.blocks()[index];
        let population = self.population(block.family);
        let at = (self.tick, self.time_ns);
        self.draws
            .observed(at, block.family, population, block.start)
    }

    /// The exemplars of a block's series at this tick; `None` for families that have none.
    pub fn exemplars(&self, index: usize) -> Option<Exemplars<'_>> {
        let block = self.catalog.blocks()[index];
        let spec = self.catalog.families()[block.family].exemplars.as_ref()?;
        let rows = (self.population(block.family), block.start);
        let at = (self.tick, self.time_ns);
        Exemplars::new(
            (&self.draws, spec),
            at,
            block.family,
            rows,
            self.created(index),
        )
    }

    /// Which series of a block have no point.
    pub fn gaps(&self, index: usize) -> &Gaps {
        if let Some((gaps, _)) = &self.part {
            return &gaps[index];
        }
        let (shard, place) = self.place(index);
        &shard.gaps[place]
    }

    /// When the series of a block began.
    pub fn created(&self, index: usize) -> &Created {
        let (shard, place) = self.place(index);
        &shard.created[place]
    }

    /// How much the total of each series of a block, a counter's value or a
    /// histogram's sum, grew since the frame of a tick: what the ticks in between
    /// have added, which the difference of two totals may have lost. `None` unless
    /// the engine [counts it](crate::engine::Engine::count_growth) from that tick;
    /// meaningless for series that began later.
    pub fn growth(&self, index: usize, since_tick: u64) -> Option<&[f64]> {
        let mut bases = self.bases.iter();
        let base = bases.position(|base| *base == Some(since_tick))?;
        self.growth_of(index).since(base)
    }

    /// The smallest and the largest observation of each series of a block: after a tick,
    /// or since it began where there is none, as deltas are counted that are from no
    /// frame. Of a series that began later these are those since then. `None` where
    /// frames [do not tell](crate::engine::Engine::track_extremes), and for families that
    /// are no histograms.
    pub fn extremes(&self, index: usize, since_tick: Option<u64>) -> Option<&[Extremes]> {
        let base = self.bases.iter().position(|base| *base == since_tick)?;
        self.growth_of(index).extremes.since(base)
    }

    pub(crate) fn growth_of(&self, index: usize) -> &Growth {
        let (shard, place) = self.place(index);
        &shard.growth[place]
    }

    /// The same frame, whose totals grew by so much since a tick, by block.
    #[cfg(test)]
    pub(crate) fn with_growth(mut self, since_tick: u64, growth: Vec<Vec<f64>>) -> Self {
        let shard = Arc::get_mut(&mut self.shards[0]).expect("a new frame has no reader");
        for (kept, growth) in shard.growth.iter_mut().zip(growth) {
            let extremes = std::mem::take(&mut kept.extremes);
            *kept = Growth::of(growth);
            kept.extremes = extremes;
        }
        self.bases = [Some(since_tick), None];
        self
    }

    /// The same frame, whose series have such extremes, by block: since every base.
    #[cfg(test)]
    pub(crate) fn with_extremes(mut self, extremes: Vec<Vec<Extremes>>) -> Self {
        let shard = Arc::get_mut(&mut self.shards[0]).expect("a new frame has no reader");
        for (growth, extremes) in shard.growth.iter_mut().zip(extremes) {
            growth.extremes = ExtremesColumn::of(extremes);
        }
        self
    }

    /// Samples of the series that have a point, counted as in the Prometheus
    /// text format.
    pub fn samples(&self) -> usize {
        let points = self.points_by_block();
        points
            .map(|(family, points)| points * family.shape.samples_per_series())
            .sum()
    }

    /// Series that have a point.
    pub fn points(&self) -> usize {
        self.points_by_block().map(|(_, points)| points).sum()
    }

    /// For each block its family and how many of its series have a point.
    pub(crate) fn points_by_block(&self) -> impl Iterator<Item = (&Family, usize)> {
        let blocks = self.catalog.blocks().iter().enumerate();
        blocks.map(|(index, block)| {
            let family = &self.catalog.families()[block.family];
            (family, block.len - self.gaps(index).count())
        })
    }

    /// The shard that has a block, and the block's index within it.
    fn place(&self, index: usize) -> (&ShardFrame, usize) {
        let (shard, place) = self.layout.places[index];
        (&self.shards[shard as usize], place as usize)
    }
}
