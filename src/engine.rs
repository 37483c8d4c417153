//! The engine: ticks in, frames out.
//!
//! A tick goes through three steps. The engine's thread works out what each
//! family's series share whatever their type (`tick`); the pool's workers advance the
//! blocks of their shards from the columns of the tick before (`shard`, `class`,
//! `block`), by the metric's recipe (`recipe`), whose type has a kernel (`kernel`);
//! the new columns become one immutable [`Frame`]. Values depend on seed,
//! identity, tick, epoch and on the commands and reloads with their ticks, only;
//! the number of threads decides who computes a block, never what.
//!
//! A command or a reload acts from the next tick on, for all series at once.
//! Commands change modifiers (`timeline`); these become factors and chances of
//! faults (`effect`) of classes of series (`class`). A reload changes what series
//! there are (`reload`).
//!
//! Metrics that go together are of two sorts. What counts events of a counter, observes
//! them or follows their rate draws the counter's increments again (`events`). A gauge
//! that follows another one reads that one's row of the same tick, so both have their
//! blocks in the same shard, which fills the followed one first: a position that a walk
//! has come to cannot be drawn again.
//!
//! An engine need not begin with the run (`late`): who is born late has no values before.
//!
//! A frame with some of another's points shares its columns (`part`). Where deltas
//! are sent, frames also tell how much totals grew (`growth`), and where they are asked
//! for the least and the most that histograms observed (`extremes`). Exponential buckets
//! move with spiked values (`buckets`).
//!
//! The engine names no wire format, does no I/O and reads no clock.

mod block;
mod buckets;
mod class;
mod columns;
mod created;
mod effect;
mod events;
mod exemplars;
pub mod exponential;
mod extremes;
mod frame;
pub mod further;
mod gaps;
mod growth;
mod kernel;
mod late;
mod native;
mod observed;
mod part;
mod pool;
#[cfg(test)]
pub(crate) mod random_frames;
mod recipe;
mod reload;
pub mod sample;
mod shard;
mod size;
mod tick;
mod weights;
pub mod window;

use std::sync::Arc;

use crate::config::{Config, Metric};
use crate::exporters::Needs;
use crate::model::population::{Fleets, Populations};
use crate::model::{Block, Catalog, identity};
use crate::timeline::{Applied, Command, Refusal, Timeline};
pub use buckets::{ExponentialColumn, ExponentialRow, Place};
pub use columns::Columns;
pub use created::{Created, Each};
use effect::Effects;
pub use exemplars::{Exemplar, Exemplars, LabelBytes, Upcoming};
pub use extremes::Extremes;
pub use frame::Frame;
use frame::{Layout, ShardFrame};
pub use gaps::Gaps;
pub use growth::HandedOver;
use growth::{Counting, Told};
pub use native::{NativeColumn, NativeGrowth, NativeRow};
use observed::Draws;
pub use observed::{Observations, Observed};
pub use part::{Part, Share};
use pool::Pool;
use recipe::{Recipe, SharedParts};
pub use reload::{Outdated, Prepared, Reloaded, Rule, SeriesCounts};
use shard::{Shard, TickPlan};
pub use size::EngineSize;
pub use tick::tick_time_ns;
use tick::{BaseTick, Times, first_observations};
pub(crate) use weights::weights as row_weights;

/// Frames kept for reuse while no reader holds them.
const SPARE_FRAMES_MAX: usize = 1;

/// Advances all series, tick by tick.
#[derive(Debug)]
pub struct Engine {
    timeline: Timeline,
    /// The timeline's, when the plan's effects were worked out.
    generation: u64,
    metrics: Vec<Metric>,
    catalog: Arc<Catalog>,
    /// Of the next tick, once it has begun.
    populations: Populations,
    fleets: Fleets,
    layout: Arc<Layout>,
    recipes: Arc<[Recipe]>,
    pool: Pool,
    plan: Arc<TickPlan>,
    times: Times,
    /// The first tick that it runs.
    first_tick: u64,
    next_tick: u64,
    current: Arc<Frame>,
    /// Frames before the current one; reused once no reader holds them.
    retired: Vec<Arc<Frame>>,
    /// Those of the frame that is being filled; empty between ticks.
    buffers: Vec<Option<Arc<ShardFrame>>>,
    /// The blocks of each shard, and at last those of the process's own families.
    shard_blocks: Vec<Vec<Block>>,
    /// Where deltas are counted.
    growth: Option<Counting>,
    tracks_extremes: bool,
}

/// Shard workers of a configuration: as many as there are cores unless it says.
pub fn threads_of(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    config.global.threads.unwrap_or_else(cores)
}

/// Tables and weights of a configuration's metrics, which are slow to work out.
/// Engines can share them.
#[derive(Debug, Clone)]
pub struct Recipes(Arc<[Recipe]>);

impl Recipes {
    /// For the generated families of `catalog`, which is made of `config`.
    pub fn of(config: &Config, catalog: &Catalog) -> Self {
        Self(recipes_of(config, catalog).into())
    }
}

impl Engine {
    /// An engine for the generated families of `catalog`, before its first
    /// tick; `threads` shard workers, at least 1.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn new(
        config: &Config,
        catalog: Arc<Catalog>,
        epoch_ns: i64,
        threads: usize,
    ) -> std::io::Result<Self> {
        let recipes = Recipes::of(config, &catalog);
        Self::with_recipes(config, catalog, recipes, epoch_ns, threads)
    }

    /// The same with recipes that were made before, for the same families: of
    /// these, `catalog` may have some rows only.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_recipes(
        config: &Config,
        catalog: Arc<Catalog>,
        Recipes(recipes): Recipes,
        epoch_ns: i64,
        threads: usize,
    ) -> std::io::Result<Self> {
        let times = Times {
            epoch_ns,
            interval_ns: config.global.tick_interval_ns,
        };
        let (layout, shard_blocks) = deal(&catalog, threads);
        let shards = shard_blocks[..threads].iter();
        let shards = shards.map(|blocks| Shard::new(&recipes, blocks));
        let pool = Pool::new(shards.collect())?;
        let layout = Arc::new(layout);
        let timeline = Timeline::new(config);
        let fleets = Fleets::at(&catalog, timeline.orders(), 0);
        let populations = Populations::founded_with(&catalog, 0, &fleets);
        let plan = TickPlan {
            families: recipes
                .iter()
                .map(|_| BaseTick::new(times, first_observations(0), 0))
                .collect(),
            populations: populations.clone(),
            carried: Counting::START.carried,
        };
        Ok(Self {
            timeline,
            generation: 0,
            metrics: config.metrics.clone(),
            current: new_frame(
                (&catalog, &populations, &recipes),
                &layout,
                &shard_blocks,
                epoch_ns,
                Told::default(),
            ),
            catalog,
            populations,
            fleets,
            layout,
            recipes,
            pool,
            plan: Arc::new(plan),
            times,
            first_tick: 0,
            next_tick: 0,
            retired: Vec::with_capacity(8),
            buffers: Vec::with_capacity(threads + 1),
            shard_blocks,
            growth: None,
            tracks_extremes: false,
        })
    }

    /// Lets frames tell how much totals grew since those that are
    /// [handed over](Self::hand_over), for deltas.
    ///
    /// # Panics
    /// After the first tick.
    pub fn count_growth(&mut self) {
        assert_eq!(
            self.next_tick, self.first_tick,
            "growth is counted from the first tick on"
        );
        self.growth = Some(Counting::START);
        self.current = self.new_frame();
    }

    /// Lets frames tell the smallest and the largest observation of histograms.
    ///
    /// # Panics
    /// After the first tick.
    pub fn track_extremes(&mut self) {
        assert_eq!(
            self.next_tick, self.first_tick,
            "extremes are those from the first tick on"
        );
        self.tracks_extremes = true;
        self.current = self.new_frame();
    }

    /// Lets frames tell what exporters need beside totals.
    ///
    /// # Panics
    /// After the first tick.
    pub fn tell(&mut self, needs: &Needs) {
        if needs.growth {
            self.count_growth();
        }
        if needs.extremes {
            self.track_extremes();
        }
    }

    /// The last frame was handed over to whoever counts deltas: from now on they
    /// may be counted from it.
    pub fn hand_over(&mut self, how: HandedOver) {
        let last = self.current.tick;
        if let Some(counting) = &mut self.growth {
            counting.hand_over(last, how);
        }
    }

    /// The number of the tick that [`Self::advance`] will run.
    pub fn next_tick(&self) -> u64 {
        self.next_tick
    }

    /// Unix nanoseconds of a tick; ticks after the year 2262 have the last time
    /// there is (see [`tick_time_ns`]).
    pub fn time_ns(&self, tick: u64) -> i64 {
        self.times.at(tick)
    }

    /// The families that it fills.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Which series exist at the tick that [`Self::advance`] will run.
    pub fn populations(&self) -> &Populations {
        &self.populations
    }

    /// How many generated series these are.
    pub fn series_count(&self) -> usize {
        self.populations
            .series_count(self.catalog.generated_count())
    }

    /// What is in effect.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Carries out a command; it acts from the next tick on.
    ///
    /// # Errors
    /// Why it is not carried out; nothing has changed then.
    pub fn command(&mut self, command: &Command) -> Result<Applied, Refusal> {
        self.timeline.apply(command, self.next_tick)
    }

    /// How many series will end, and how many begin, by a command that is carried out next;
    /// none of a command that orders nothing.
    pub fn forecast(&mut self, command: &Command) -> Option<(u64, u64)> {
        let order = self.timeline.order_of(command, self.next_tick)?;
        Some(self.fleets.forecast(&self.catalog, &order))
    }

    /// The metrics that it generates, as configured.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// Runs the next tick. Meanwhile `own` fills the columns of the process's
    /// own families, block by block as the catalog lists them.
    pub fn advance(&mut self, own: impl FnOnce(u64, &mut [Columns])) -> Arc<Frame> {
        self.advance_with(|_, number, columns| own(number, columns))
    }

    /// The same where `own` is also told which series exist at the tick.
    pub fn advance_with(
        &mut self,
        own: impl FnOnce(&Populations, u64, &mut [Columns]),
    ) -> Arc<Frame> {
        let number = self.next_tick;
        let time_ns = self.time_ns(number);
        self.timeline.begin_tick(number);
        let plan = Arc::get_mut(&mut self.plan).expect("no worker holds the plan between ticks");
        if self.fleets.step(self.timeline.orders(), number) {
            self.populations = self.populations.with_entities_of(&self.fleets);
            plan.populations = self.populations.clone();
        }
        if self.generation != self.timeline.generation() {
            self.generation = self.timeline.generation();
            let families = self.catalog.families().iter().zip(&*self.recipes);
            for ((family, recipe), base) in families.zip(&mut plan.families) {
                let modifiers = self.timeline.modifiers();
                let effects = Effects::of(family, &recipe.ancestors(), modifiers, &base.effects);
                base.effects = Arc::new(effects);
                base.generation = self.generation;
            }
        }
        for (recipe, base) in self.recipes.iter().zip(&mut plan.families) {
            base.advance(recipe.common(), number);
        }
        let counting = self.growth.unwrap_or(Counting::START);
        plan.carried = counting.carried;

        let mut frame_arc = self.spare_frame();
        let frame = Arc::get_mut(&mut frame_arc).expect("a spare frame has no reader");
        self.buffers.extend(frame.shards.drain(..).map(Some));
        let (own_buffer, buffers) = self.buffers.split_last_mut().expect("one shard at least");
        self.pool
            .advance(&self.plan, &self.current.shards, buffers, || {
                let buffer = own_buffer.as_mut().expect("the own shard has a buffer");
                let buffer = Arc::get_mut(buffer).expect("a recycled buffer has no reader");
                own(&self.populations, number, &mut buffer.blocks);
            });
        frame.shards.extend(self.buffers.drain(..).flatten());
        if !frame.populations.is(&self.populations) {
            frame.populations = self.populations.clone();
        }
        frame.draws.set(&self.plan.families);
        frame.tick = number;
        frame.time_ns = time_ns;
        frame.bases = counting.bases;
        if let Some(counting) = &mut self.growth {
            counting.go_on();
        }

        let before = std::mem::replace(&mut self.current, Arc::clone(&frame_arc));
        self.retired.push(before);
        self.next_tick += 1;
        frame_arc
    }

    /// A frame without readers: a retired one, else a new one. Spare frames
    /// beyond the usual one are given back to the system.
    fn spare_frame(&mut self) -> Arc<Frame> {
        let mut spare = None;
        let mut kept = 0;
        self.retired.retain_mut(|frame| {
            if Arc::get_mut(frame).is_none() {
                return true;
            }
            if spare.is_none() {
                spare = Some(Arc::clone(frame));
                return false;
            }
            kept += 1;
            kept <= SPARE_FRAMES_MAX
        });
        spare.unwrap_or_else(|| self.new_frame())
    }

    fn new_frame(&self) -> Arc<Frame> {
        new_frame(
            (&self.catalog, &self.populations, &self.recipes),
            &self.layout,
            &self.shard_blocks,
            self.times.epoch_ns,
            self.told(),
        )
    }

    fn told(&self) -> Told {
        Told {
            growth: self.growth.is_some(),
            extremes: self.tracks_extremes,
        }
    }
}

/// A zeroed frame of shards with the given blocks, and room for what is told of the
/// ticks before.
fn new_frame(
    (catalog, populations, recipes): (&Arc<Catalog>, &Populations, &Arc<[Recipe]>),
    layout: &Arc<Layout>,
    shard_blocks: &[Vec<Block>],
    epoch_ns: i64,
    told: Told,
) -> Arc<Frame> {
    let zeroed =
        |blocks: &Vec<Block>| Arc::new(ShardFrame::zeroed(catalog, blocks, epoch_ns, told));
    Arc::new(Frame {
        catalog: Arc::clone(catalog),
        populations: populations.clone(),
        draws: Draws::new(recipes),
        layout: Arc::clone(layout),
        tick: 0,
        time_ns: epoch_ns,
        shards: shard_blocks.iter().map(zeroed).collect(),
        bases: [None; 2],
        part: None,
    })
}

/// The recipes of a configuration's metrics, the generated families of
/// `catalog`.
fn recipes_of(config: &Config, catalog: &Catalog) -> Vec<Recipe> {
    let mut shared = SharedParts::default();
    let interval_ns = config.global.tick_interval_ns;
    let families = config.metrics.iter().zip(catalog.families());
    let metrics = &config.metrics[..];
    let recipe =
        |(metric, family)| Recipe::new((metrics, metric), family, interval_ns, &mut shared);
    families.map(recipe).collect()
}

/// Deals blocks to shards: in the order of a hash of the identity of their
/// first series, each to the shard that has least so far. Blocks of a gauge that follows
/// another one go where that one's are. The process's own families go to one further
/// shard, which the engine's thread fills.
fn deal(catalog: &Catalog, threads: usize) -> (Layout, Vec<Vec<Block>>) {
    let mut scratch = Vec::new();
    let mut order: Vec<(u64, usize)> = Vec::new();
    // Of each family the gauge at the head of those that it follows, and of that one how
    // many follow.
    let heads: Vec<usize> = (0..catalog.families().len())
        .map(|family| {
            let follows = |&family: &usize| catalog.families()[family].follows;
            let last = std::iter::successors(Some(family), follows).last();
            last.unwrap_or(family)
        })
        .collect();
    let mut together = vec![0usize; heads.len()];
    for &head in &heads {
        together[head] += 1;
    }
    let mut owner = vec![threads; catalog.blocks().len()];
    for (index, block) in catalog.blocks().iter().enumerate() {
        if block.family < catalog.generated_count() && heads[block.family] == block.family {
            let family = &catalog.families()[block.family];
            let series = block.start..block.start + 1;
            let key = match family.space.fleet() {
                None => family.space.label_set_keys(series, &mut scratch)[0],
                // Who that is changes; any number will do.
                Some(_) => identity::label_set_key(block.start as u64),
            };
            order.push((identity::series_key(key, family.name_key), index));
        }
    }
    order.sort_unstable();
    let mut loads = vec![0usize; threads];
    for (_, index) in order {
        let block = catalog.blocks()[index];
        let shape = &catalog.families()[block.family].shape;
        let shard = (0..threads).min_by_key(|&shard| loads[shard]).unwrap_or(0);
        loads[shard] += block.len * shape.samples_per_series() * together[block.family];
        owner[index] = shard;
    }
    for (index, block) in catalog.blocks().iter().enumerate() {
        let (family, head) = (block.family, heads[block.family]);
        if family != head {
            let first = |family: usize| catalog.families()[family].first_block;
            owner[index] = owner[first(head) + index - first(family)];
        }
    }
    let mut shard_blocks: Vec<Vec<Block>> = vec![Vec::new(); threads + 1];
    let mut places = Vec::with_capacity(owner.len());
    for (&shard, &block) in owner.iter().zip(catalog.blocks()) {
        places.push((shard as u32, shard_blocks[shard].len() as u32));
        shard_blocks[shard].push(block);
    }
    (Layout { places }, shard_blocks)
}
