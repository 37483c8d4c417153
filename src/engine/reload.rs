//! Going over to another configuration between two ticks.
//!
//! | a metric that is | goes on as |
//! |---|---|
//! | the same, or differs in description and unit only | the same: values, state, start time |
//! | a counter or histogram with the same labels and buckets | its totals, growing by the new rules |
//! | changed otherwise, or new | a new one, which begins at the next tick |
//! | gone | nothing: its series vanish |

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Config, Kind, Metric};
use crate::engine::frame::{Frame, ShardFrame};
use crate::engine::recipe::{FamilyTick, Recipe};
use crate::engine::shard::{BlockState, Plan, Shard};
use crate::engine::{Engine, deal, new_frame, recipes_of};
use crate::model::{Block, Catalog};

/// Another configuration with all that is slow about it: label spaces, tables,
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
        let mut reloaded = self.compare(&config.metrics);
        // By new family: the old one, and what goes on of it.
        let lineage: Vec<Option<(usize, Carry)>> = config
            .metrics
            .iter()
            .enumerate()
            .map(|(index, metric)| {
                let old = self
                    .metrics
                    .iter()
                    .position(|old| old.name == metric.name)?;
                let shapes = [
                    &self.catalog.families()[old].shape,
                    &catalog.families()[index].shape,
                ];
                let carry = carry(&self.metrics[old], metric)?;
                (shapes[0] == shapes[1]).then_some((old, carry))
            })
            .collect();

        let mut old_ticks = std::mem::take(
            &mut Arc::get_mut(&mut self.plan)
                .expect("no worker holds the plan between ticks")
                .families,
        );
        let mut families = Vec::with_capacity(recipes.len());
        for (recipe, line) in recipes.iter_mut().zip(&lineage) {
            recipe.born_tick = self.next_tick;
            let mut tick = FamilyTick::default();
            if let Some((old, carry)) = *line {
                recipe.born_tick = self.recipes[old].born_tick;
                if carry == Carry::Everything {
                    tick = std::mem::take(&mut old_ticks[old]);
                    // Its label values were looked up in the old space.
                    tick.base.effects = Arc::default();
                }
            }
            families.push(tick);
        }
        let recipes: Arc<[Recipe]> = recipes.into();
        let threads = self.empty.len() - 1;
        let (layout, shares) = deal(&catalog, threads);
        let layout = Arc::new(layout);
        self.current = self.carry_over(&catalog, &lineage, |catalog| {
            new_frame(catalog, &layout, &shares, self.epoch_ns)
        });
        self.pool.renew(|shards| {
            let mut states = states_of(shards);
            let mut inherit = |block: &Block| {
                let (old, carry) = lineage[block.family]?;
                (carry == Carry::Everything)
                    .then(|| states.remove(&(old, block.start)))
                    .flatten()
            };
            let shares = shares[..threads].iter();
            let shards = shares.map(|blocks| {
                let (catalog, recipes) = (Arc::clone(&catalog), Arc::clone(&recipes));
                Shard::new(catalog, recipes, blocks.clone(), &mut inherit)
            });
            shards.collect()
        });
        self.plan = Arc::new(Plan { families });
        self.timeline.reload(&config);
        self.metrics = config.metrics;
        self.catalog = catalog;
        self.recipes = recipes;
        self.layout = layout;
        self.empty = shares;
        self.retired.clear();
        reloaded.tick = self.next_tick;
        reloaded
    }

    fn compare(&self, metrics: &[Metric]) -> Reloaded {
        let old = |name: &str| self.metrics.iter().find(|old| old.name == name);
        let is_gone = |old: &&Metric| !metrics.iter().any(|metric| metric.name == old.name);
        let removed = self.metrics.iter().filter(is_gone);
        let mut reloaded = Reloaded {
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

    /// The current frame in another layout, with what goes on.
    fn carry_over(
        &self,
        catalog: &Arc<Catalog>,
        lineage: &[Option<(usize, Carry)>],
        new_frame: impl FnOnce(&Arc<Catalog>) -> Arc<Frame>,
    ) -> Arc<Frame> {
        let mut frame_arc = new_frame(catalog);
        let frame = Arc::get_mut(&mut frame_arc).expect("a new frame has no reader");
        frame.tick = self.current.tick;
        frame.time_ns = self.current.time_ns;
        for (family, line) in lineage.iter().enumerate() {
            let Some((old, _)) = *line else {
                continue;
            };
            let blocks = catalog.family_blocks(family);
            for (new, old) in blocks.zip(self.catalog.family_blocks(old)) {
                let (shard, place) = frame.layout.places[new];
                let shard: &mut ShardFrame = Arc::get_mut(&mut frame.shards[shard as usize])
                    .expect("a new frame has no reader");
                let place = place as usize;
                shard.blocks[place].clone_from(self.current.block(old).2);
                shard.gaps[place].clone_from(self.current.gaps(old));
                shard.created[place].clone_from(self.current.created(old));
            }
        }
        frame_arc
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

fn states_of(shards: Vec<Shard>) -> HashMap<(usize, usize), BlockState> {
    let states = shards.into_iter().flat_map(Shard::into_states);
    states
        .map(|(block, state)| ((block.family, block.start), state))
        .collect()
}
