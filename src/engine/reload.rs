//! Going over to another configuration between two ticks.
//!
//! | a metric that | keeps |
//! |---|---|
//! | is the same, or differs in description and unit only | everything: values, state, start time |
//! | is a counter or histogram with the same labels and buckets | its totals and start time; they grow by the new rules |
//! | differs otherwise, or is new | nothing: it begins at the next tick |
//! | is gone | nothing: its series vanish |

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Config, Kind, Metric};
use crate::engine::frame::Frame;
use crate::engine::recipe::{FamilyTick, Recipe};
use crate::engine::shard::{BlockState, Shard, TickPlan};
use crate::engine::{Engine, deal, new_frame, recipes_of};
use crate::model::{Block, Catalog, Family};

/// Another configuration, and what takes long to build of it: label spaces, tables,
/// weights. To be made on another thread than the one that ticks.
#[derive(Debug)]
pub struct Prepared {
    config: Config,
    catalog: Arc<Catalog>,
    recipes: Vec<Recipe>,
}

/// What a reload did, metrics by base name in the order of their configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reloaded {
    /// The first tick of the new configuration.
    pub tick: u64,
    /// New metrics.
    pub added: Vec<String>,
    /// Metrics that are gone.
    pub removed: Vec<String>,
    /// Metrics that differ.
    pub changed: Vec<String>,
    /// Metrics that are as they were.
    pub kept: Vec<String>,
}

/// The metric that another one goes on from.
#[derive(Debug, Clone, Copy)]
struct Predecessor {
    /// Its index.
    family: usize,
    carry: Carry,
}

/// How much of a metric goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carry {
    Everything,
    Totals,
}

impl Prepared {
    /// `catalog` holds the families of `config`, built after the one in use, so
    /// that equal label spaces are the same.
    pub fn new(config: &Config, catalog: Arc<Catalog>) -> Self {
        Self {
            recipes: recipes_of(config, &catalog),
            config: config.clone(),
            catalog,
        }
    }
}

impl Engine {
    /// Goes over to another configuration from the next tick on. Its interval
    /// must be this one's; threads and epoch stay as they are.
    ///
    /// # Panics
    /// When the interval is another.
    pub fn reload(&mut self, prepared: Prepared) -> Reloaded {
        let Prepared {
            config,
            catalog,
            mut recipes,
        } = prepared;
        assert_eq!(config.global.tick_interval_ns, self.interval_ns);
        let reloaded = self.compare(&config.metrics);
        let predecessors = self.predecessors(&config.metrics, &catalog);
        let families = self.take_family_ticks(&predecessors, &mut recipes);
        let recipes: Arc<[Recipe]> = recipes.into();
        let threads = self.shard_blocks.len() - 1;
        let (layout, shard_blocks) = deal(&catalog, threads);
        let layout = Arc::new(layout);
        let counts_growth = self.growth.is_some();
        let mut current = new_frame(
            &catalog,
            &layout,
            &shard_blocks,
            self.epoch_ns,
            counts_growth,
        );
        self.carry_over(
            &predecessors,
            Arc::get_mut(&mut current).expect("a new frame has no reader"),
        );
        self.pool.replace(|shards| {
            let mut states = states_of(shards);
            let mut inherit = |block: &Block| match predecessors[block.family]? {
                Predecessor {
                    family,
                    carry: Carry::Everything,
                } => states.remove(&(family, block.start)),
                _ => None,
            };
            let shards = shard_blocks[..threads].iter().map(|blocks| {
                let (catalog, recipes) = (Arc::clone(&catalog), Arc::clone(&recipes));
                Shard::new(catalog, recipes, blocks.clone(), &mut inherit)
            });
            shards.collect()
        });
        self.plan = Arc::new(TickPlan {
            families,
            ..TickPlan::default()
        });
        self.timeline.reload(&config);
        self.metrics = config.metrics;
        self.catalog = catalog;
        self.recipes = recipes;
        self.layout = layout;
        self.shard_blocks = shard_blocks;
        self.current = current;
        self.retired.clear();
        reloaded
    }

    /// What each new family goes on from; `None` for those that begin.
    fn predecessors(&self, metrics: &[Metric], catalog: &Catalog) -> Vec<Option<Predecessor>> {
        let predecessor = |(metric, new): (&Metric, &Family)| {
            let family = self
                .metrics
                .iter()
                .position(|old| old.name == metric.name)?;
            let carry = carry(&self.metrics[family], metric)?;
            let same_shape = self.catalog.families()[family].shape == new.shape;
            same_shape.then_some(Predecessor { family, carry })
        };
        let families = metrics.iter().zip(catalog.families());
        families.map(predecessor).collect()
    }

    /// The families' parts of the plan, taken from the old plan where they go on;
    /// tells the recipes when their families began.
    fn take_family_ticks(
        &mut self,
        predecessors: &[Option<Predecessor>],
        recipes: &mut [Recipe],
    ) -> Vec<FamilyTick> {
        let plan = Arc::get_mut(&mut self.plan).expect("no worker holds the plan between ticks");
        let families = recipes.iter_mut().zip(predecessors);
        let ticks = families.map(|(recipe, predecessor)| {
            recipe.born_tick = self.next_tick;
            let mut tick = FamilyTick::default();
            if let Some(Predecessor { family, carry }) = *predecessor {
                recipe.born_tick = self.recipes[family].born_tick;
                if carry == Carry::Everything {
                    tick = std::mem::take(&mut plan.families[family]);
                    // Its label values were looked up in the old space.
                    tick.base.effects = Arc::default();
                }
            }
            tick
        });
        ticks.collect()
    }

    fn compare(&self, metrics: &[Metric]) -> Reloaded {
        let old = |name: &str| self.metrics.iter().find(|old| old.name == name);
        let is_gone = |old: &&Metric| !metrics.iter().any(|metric| metric.name == old.name);
        let removed = self.metrics.iter().filter(is_gone);
        let mut reloaded = Reloaded {
            tick: self.next_tick,
            removed: removed.map(|metric| metric.name.clone()).collect(),
            ..Reloaded::default()
        };
        for metric in metrics {
            let list = match old(&metric.name) {
                None => &mut reloaded.added,
                Some(old) if old == metric => &mut reloaded.kept,
                Some(_) => &mut reloaded.changed,
            };
            list.push(metric.name.clone());
        }
        reloaded
    }

    /// Fills a new frame with what goes on of the current one.
    fn carry_over(&self, predecessors: &[Option<Predecessor>], frame: &mut Frame) {
        frame.tick = self.current.tick;
        frame.time_ns = self.current.time_ns;
        for (family, predecessor) in predecessors.iter().enumerate() {
            let Some(predecessor) = predecessor else {
                continue;
            };
            let old_blocks = self.catalog.family_blocks(predecessor.family);
            for (new, old) in frame.catalog.family_blocks(family).zip(old_blocks) {
                let (shard, place) = frame.layout.places[new];
                let shard = Arc::get_mut(&mut frame.shards[shard as usize])
                    .expect("a new frame has no reader");
                let place = place as usize;
                shard.blocks[place].clone_from(self.current.block(old).2);
                shard.gaps[place].clone_from(self.current.gaps(old));
                shard.created[place].clone_from(self.current.created(old));
                shard.growth[place].clone_from(self.current.growth_of(old));
            }
        }
    }
}

/// What goes on of a metric in one of the same name.
fn carry(old: &Metric, new: &Metric) -> Option<Carry> {
    let renamed = Metric {
        description: old.description.clone(),
        unit: old.unit.clone(),
        ..new.clone()
    };
    if renamed == *old {
        return Some(Carry::Everything);
    }
    let same_series = old.labels == new.labels
        && old.series_cap == new.series_cap
        && old.sampling == new.sampling;
    let totals = match (&old.kind, &new.kind) {
        (Kind::Counter { .. }, Kind::Counter { .. }) => true,
        (Kind::Histogram { bounds: old, .. }, Kind::Histogram { bounds: new, .. }) => old == new,
        _ => false,
    };
    (same_series && totals).then_some(Carry::Totals)
}

/// What blocks carry, by family and first series.
fn states_of(shards: Vec<Shard>) -> HashMap<(usize, usize), BlockState> {
    let states = shards.into_iter().flat_map(Shard::into_states);
    states
        .map(|(block, state)| ((block.family, block.start), state))
        .collect()
}
