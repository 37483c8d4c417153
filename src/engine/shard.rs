//! A shard: the blocks that one worker advances, and the state that only it
//! needs to see.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::engine::block::{Before, BlockMut, BlockTick, KernelState, Scratch};
use crate::engine::class::{BlockClasses, Classes};
use crate::engine::frame::ShardFrame;
use crate::engine::growth::Carried;
use crate::engine::recipe::{FamilyTick, Recipe};
use crate::model::Block;
use crate::model::population::Populations;

/// What every shard needs to know about a tick.
#[derive(Debug)]
pub(crate) struct TickPlan {
    pub(crate) families: Vec<FamilyTick>,
    /// Which series exist.
    pub(crate) populations: Populations,
    pub(crate) carried: Carried,
}

/// One worker's share of the catalog.
#[derive(Debug)]
pub(crate) struct Shard {
    recipes: Arc<[Recipe]>,
    blocks: Vec<Block>,
    states: Vec<BlockState>,
    /// Of families with modifiers that name labels, by index.
    classes: HashMap<usize, Classes>,
    keys: Vec<u64>,
    scratch: Scratch,
}

/// What a block carries from tick to tick beside its columns.
#[derive(Debug)]
pub(crate) struct BlockState {
    kernel: KernelState,
    classes: BlockClasses,
}

impl BlockState {
    /// Of a block of `len` series before their first tick.
    fn new(recipe: &Recipe, len: usize) -> Self {
        Self {
            kernel: KernelState::new(&recipe.kind, len),
            classes: BlockClasses::default(),
        }
    }
}

/// What the series of a block of `len` carry over a reload: told piece by piece from
/// the blocks that they were in. All others begin.
#[derive(Debug)]
pub(crate) struct Inherited {
    len: usize,
    kernel: KernelState,
}

impl Inherited {
    /// Nothing.
    pub(crate) fn nothing(recipe: &Recipe, len: usize) -> Self {
        Self {
            len,
            kernel: KernelState::new(&recipe.kind, len),
        }
    }

    /// Some rows of an earlier block, the first of them now in row `to`.
    pub(crate) fn take(&mut self, to: usize, state: &BlockState, rows: &Range<usize>) {
        let kernel = &mut self.kernel;
        kernel.copy_rows(to, self.len, &state.kernel, rows);
    }

    /// All of it.
    pub(crate) fn into_state(self) -> BlockState {
        BlockState {
            kernel: self.kernel,
            classes: BlockClasses::default(),
        }
    }
}

impl Shard {
    /// A shard of the given blocks of the catalog; `inherit` gives the state of
    /// a block that an earlier shard has advanced.
    pub(crate) fn new(
        recipes: Arc<[Recipe]>,
        blocks: Vec<Block>,
        inherit: &mut dyn FnMut(&Block) -> Option<BlockState>,
    ) -> Self {
        let states = blocks.iter().map(|block| {
            inherit(block).unwrap_or_else(|| BlockState::new(&recipes[block.family], block.len))
        });
        let states = states.collect();
        Self {
            recipes,
            blocks,
            states,
            classes: HashMap::new(),
            keys: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// A shard without blocks.
    pub(crate) fn none() -> Self {
        Self::new(Arc::default(), Vec::new(), &mut |_| None)
    }

    /// Its blocks and what they carry.
    pub(crate) fn into_states(self) -> impl Iterator<Item = (Block, BlockState)> {
        self.blocks.into_iter().zip(self.states)
    }

    /// Fills `now` with the tick of `plan`; `before` holds the tick before it.
    pub(crate) fn advance(&mut self, plan: &TickPlan, before: &ShardFrame, now: &mut ShardFrame) {
        self.classes
            .retain(|&family, _| plan.families[family].base.effects.has_filters());
        let blocks = self.blocks.iter().zip(&mut self.states);
        for (index, (block, state)) in blocks.enumerate() {
            let tick = &plan.families[block.family];
            let population = plan.populations.family(block.family);
            let recipe = &self.recipes[block.family];
            let series = block.start..block.start + block.len;
            if tick.base.effects.has_filters() {
                let classes = self.classes.entry(block.family).or_default();
                classes.advance(recipe, &tick.base);
                let series = series.clone();
                classes.classify(recipe, &tick.base, population, series, &mut state.classes);
            } else {
                state.classes.by_row = Vec::new();
            }
            let keys = if recipe.needs_keys() || !tick.base.effects.is_empty() {
                population.label_set_keys(series, &mut self.keys)
            } else {
                &[]
            };
            let block_tick = BlockTick {
                recipe,
                base: &tick.base,
                plain: &tick.plain,
                classes: self.classes.get(&block.family),
                class_by_row: &state.classes.by_row,
                population,
                first_series: block.start,
                keys,
                carried: plan.carried,
            };
            let before = Before {
                columns: &before.blocks[index],
                created: &before.created[index],
                growth: &before.growth[index],
            };
            let mut now = BlockMut {
                len: block.len,
                columns: &mut now.blocks[index],
                gaps: &mut now.gaps[index],
                created: &mut now.created[index],
                growth: &mut now.growth[index],
                state: &mut state.kernel,
            };
            block_tick.advance(&before, &mut now, &mut self.scratch);
        }
    }
}
