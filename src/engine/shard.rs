//! A shard: the blocks that one worker advances, and the state that only it
//! needs to see.

use std::ops::Range;
use std::sync::Arc;

use crate::engine::block::{BlockMut, BlockTick, Scratch};
use crate::engine::class::{BlockClasses, Classes};
use crate::engine::columns::Columns;
use crate::engine::frame::ShardFrame;
use crate::engine::growth::Carried;
use crate::engine::kernel::counter::Counter;
use crate::engine::kernel::gauge::Gauge;
use crate::engine::kernel::histogram::Histogram;
use crate::engine::kernel::summary::Summary;
use crate::engine::kernel::{Before, Filling, Kernel};
use crate::engine::recipe::{Recipe, RecipeOf, by_type};
use crate::engine::tick::BaseTick;
use crate::model::Block;
use crate::model::population::Populations;

/// What every shard needs to know about a tick.
#[derive(Debug)]
pub(crate) struct TickPlan {
    pub(crate) families: Vec<BaseTick>,
    /// Which series exist.
    pub(crate) populations: Populations,
    pub(crate) carried: Carried,
}

/// One worker's share of the catalog.
#[derive(Debug)]
pub(crate) struct Shard {
    blocks: Vec<ShardBlock>,
    /// In the order of their blocks.
    families: Vec<ShardFamily>,
    /// Those in the order in which they are filled: a gauge before those that follow it.
    order: Vec<usize>,
    work: Work,
}

/// A block, and what it carries from tick to tick whatever its type.
#[derive(Debug)]
struct ShardBlock {
    block: Block,
    classes: BlockClasses,
}

/// Neighbouring blocks of one family.
#[derive(Debug)]
struct ShardFamily {
    /// Its index.
    family: usize,
    /// Its first block in the shard.
    first: usize,
    kind: ShardKind,
}

/// What a shard keeps of a family, by its type.
#[derive(Debug)]
enum ShardKind {
    Counter(ShardKindOf<Counter>),
    Gauge(ShardKindOf<Gauge>),
    Histogram(ShardKindOf<Histogram>),
    Summary(ShardKindOf<Summary>),
}

#[derive(Debug)]
struct ShardKindOf<K: Kernel> {
    recipe: Arc<RecipeOf<K>>,
    classes: Classes<K>,
    /// Of each of its blocks.
    states: Vec<K::State>,
}

/// Buffers that are reused from block to block.
#[derive(Debug, Default)]
struct Work {
    keys: Vec<u64>,
    scratch: Scratch,
}

/// Where a shard has a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    block: usize,
    family: usize,
}

impl Shard {
    /// A shard of the given blocks of the catalog, in its order, before their first
    /// tick.
    pub(crate) fn new(recipes: &[Recipe], blocks: &[Block]) -> Self {
        let mut families: Vec<ShardFamily> = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            if families
                .last()
                .is_none_or(|last| last.family != block.family)
            {
                families.push(ShardFamily {
                    family: block.family,
                    first: index,
                    kind: ShardKind::new(&recipes[block.family]),
                });
            }
            if let Some(family) = families.last_mut() {
                family.kind.add_block(block.len);
            }
        }
        let blocks = blocks.iter().map(|&block| ShardBlock {
            block,
            classes: BlockClasses::default(),
        });
        Self {
            blocks: blocks.collect(),
            order: fill_order(&families),
            families,
            work: Work::default(),
        }
    }

    /// A shard without blocks.
    pub(crate) fn none() -> Self {
        Self::new(&[], &[])
    }

    /// Its blocks and where it has them.
    pub(crate) fn seats(&self) -> impl Iterator<Item = (Block, Seat)> + use<'_> {
        let families = self.families.iter().enumerate();
        families.flat_map(move |(index, family)| {
            let blocks = family.first..family.first + family.kind.blocks();
            blocks.map(move |block| {
                let seat = Seat {
                    block,
                    family: index,
                };
                (self.blocks[block].block, seat)
            })
        })
    }

    /// Whether a block carries anything but its columns.
    pub(crate) fn has_state(&self, seat: Seat) -> bool {
        self.families[seat.family].kind.has_states()
    }

    /// Takes what a block of an earlier shard carries: the whole block's, or that of
    /// some rows, the first of them now in row `to`. Nothing goes on where the metric
    /// was of another type.
    pub(crate) fn inherit(
        &mut self,
        seat: Seat,
        (other, other_seat): (&mut Self, Seat),
        rows: Option<(usize, &Range<usize>)>,
    ) {
        let family = &mut self.families[seat.family];
        let other_family = &mut other.families[other_seat.family];
        let place = (seat.block - family.first, self.blocks[seat.block].block.len);
        let from = other_seat.block - other_family.first;
        match (&mut family.kind, &mut other_family.kind) {
            (ShardKind::Counter(new), ShardKind::Counter(old)) => new.take(place, old, from, rows),
            (ShardKind::Gauge(new), ShardKind::Gauge(old)) => new.take(place, old, from, rows),
            (ShardKind::Histogram(new), ShardKind::Histogram(old)) => {
                new.take(place, old, from, rows);
            }
            (ShardKind::Summary(new), ShardKind::Summary(old)) => new.take(place, old, from, rows),
            _ => {}
        }
    }

    /// Fills `now` with the tick of `plan`; `before` holds the tick before it.
    pub(crate) fn advance(&mut self, plan: &TickPlan, before: &ShardFrame, now: &mut ShardFrame) {
        let Self {
            blocks,
            families,
            order,
            work,
        } = self;
        for &index in &*order {
            let follows = families[index].kind.follows();
            let followed = follows.map(|of| {
                let mut all = families.iter();
                let followed = all.find(|family| family.family == of);
                followed.expect("both are dealt to one shard").first
            });
            let family = &mut families[index];
            let mut tick = FamilyTick {
                plan,
                first: family.first,
                followed,
                blocks: &mut blocks[family.first..],
                before,
                now,
                work,
            };
            by_type!(ShardKind, &mut family.kind, kind => kind.advance(&mut tick));
        }
    }
}

/// Families in an order in which each comes after the gauge that it follows.
fn fill_order(families: &[ShardFamily]) -> Vec<usize> {
    let place = |family: usize| families.iter().position(|one| one.family == family);
    let depth = |index: usize| {
        let followed = |&index: &usize| families[index].kind.follows().and_then(place);
        std::iter::successors(Some(index), followed).count()
    };
    let mut order: Vec<usize> = (0..families.len()).collect();
    if families.iter().any(|one| one.kind.follows().is_some()) {
        order.sort_by_key(|&index| depth(index));
    }
    order
}

impl ShardKind {
    fn new(recipe: &Recipe) -> Self {
        match recipe {
            Recipe::Counter(recipe) => Self::Counter(ShardKindOf::new(recipe)),
            Recipe::Gauge(recipe) => Self::Gauge(ShardKindOf::new(recipe)),
            Recipe::Histogram(recipe) => Self::Histogram(ShardKindOf::new(recipe)),
            Recipe::Summary(recipe) => Self::Summary(ShardKindOf::new(recipe)),
        }
    }

    fn add_block(&mut self, len: usize) {
        by_type!(ShardKind, self, kind => kind.add_block(len));
    }

    fn blocks(&self) -> usize {
        by_type!(ShardKind, self, kind => kind.states.len())
    }

    fn follows(&self) -> Option<usize> {
        by_type!(ShardKind, self, kind => kind.recipe.kernel.follows())
    }

    fn has_states(&self) -> bool {
        by_type!(ShardKind, self, kind => size_of_val(&*kind.states) > 0)
    }
}

/// What a family's part of a shard gets to see and to fill at a tick.
struct FamilyTick<'a> {
    plan: &'a TickPlan,
    /// Its first block in the shard.
    first: usize,
    /// The first block in the shard of the gauge that it follows.
    followed: Option<usize>,
    /// From that one on.
    blocks: &'a mut [ShardBlock],
    before: &'a ShardFrame,
    now: &'a mut ShardFrame,
    work: &'a mut Work,
}

impl<K: Kernel> ShardKindOf<K> {
    fn new(recipe: &Arc<RecipeOf<K>>) -> Self {
        Self {
            recipe: Arc::clone(recipe),
            classes: Classes::default(),
            states: Vec::new(),
        }
    }

    fn add_block(&mut self, len: usize) {
        self.states.push(self.recipe.kernel.new_state(len));
    }

    /// Takes the state of the block `from` of an earlier shard, or of some rows, the
    /// first into row `to`; `len` is how many series this block has.
    fn take(
        &mut self,
        (block, len): (usize, usize),
        other: &mut Self,
        from: usize,
        rows: Option<(usize, &Range<usize>)>,
    ) {
        let (state, from) = (&mut self.states[block], &mut other.states[from]);
        match rows {
            None => std::mem::swap(state, from),
            Some((to, rows)) => self.recipe.kernel.copy_state(state, (to, len), from, rows),
        }
    }

    fn advance(&mut self, tick: &mut FamilyTick<'_>) {
        let recipe = &*self.recipe;
        let index = tick.blocks[0].block.family;
        let base = &tick.plan.families[index];
        let population = tick.plan.populations.family(index);
        self.classes.advance(recipe, base);
        let blocks = tick.blocks.iter_mut().zip(&mut self.states);
        for (index, (shard_block, state)) in (tick.first..).zip(blocks) {
            let block = shard_block.block;
            let series = block.start..block.start + block.len;
            let classes = &mut shard_block.classes;
            self.classes
                .classify(recipe, base, population, series.clone(), classes);
            let keys = if recipe.kernel.needs_keys() || !base.effects.is_empty() {
                population.label_set_keys(series, &mut tick.work.keys)
            } else {
                &[]
            };
            let ShardFrame {
                blocks: all,
                gaps,
                created,
                growth,
            } = &mut *tick.now;
            // Aside, as it may follow another one of the shard's.
            let mut columns = std::mem::replace(&mut all[index], Columns::Values(Vec::new()));
            let followed = tick.followed.map(|first| first + index - tick.first);
            let block_tick = BlockTick {
                recipe,
                base,
                classes: &self.classes,
                class_by_row: &classes.by_row,
                population,
                first_series: block.start,
                keys,
                followed: followed.map(|block| all[block].values()),
                carried: tick.plan.carried,
            };
            let before = Before {
                columns: &tick.before.blocks[index],
                growth: &tick.before.growth[index],
            };
            let mut now = Filling {
                columns: &mut columns,
                growth: &mut growth[index],
                state,
            };
            let mut rest = BlockMut {
                len: block.len,
                gaps: &mut gaps[index],
                created: &mut created[index],
            };
            let before = (&before, &tick.before.created[index]);
            block_tick.advance(before, &mut now, &mut rest, &mut tick.work.scratch);
            all[index] = columns;
        }
    }
}
