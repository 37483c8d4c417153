//! One block at one tick: from the columns of the tick before to this tick's.
//!
//! Neighbouring series of one class and one age form a run, which a kernel fills at
//! once; then the faults of the class hit single points of it.

use std::ops::Range;

use crate::engine::class::Classes;
use crate::engine::created::Created;
use crate::engine::gaps::Gaps;
use crate::engine::growth::Carried;
use crate::engine::kernel::{Before, Buffers, Filling, Kernel, Run};
use crate::engine::recipe::RecipeOf;
use crate::engine::tick::{BaseTick, ClassTick};
use crate::model::population::{Life, Population};

/// Buffers that are reused from block to block.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    buffers: Buffers,
    /// Rows of the block that were reset.
    resets: Vec<usize>,
    /// Rows of the block that began while others went on.
    begun: Vec<usize>,
}

/// What determines the values of a block at a tick.
#[derive(Debug)]
pub(crate) struct BlockTick<'a, K: Kernel> {
    pub(crate) recipe: &'a RecipeOf<K>,
    pub(crate) base: &'a BaseTick,
    pub(crate) classes: &'a Classes<K>,
    /// Empty where all series are of class 0.
    pub(crate) class_by_row: &'a [u32],
    /// The series of the family.
    pub(crate) population: &'a Population,
    /// The block's first row among them.
    pub(crate) first_series: usize,
    /// Label-set keys of the block's series; empty where nothing needs them.
    pub(crate) keys: &'a [u64],
    /// The values of the gauge that this one follows, of the block's series at this tick.
    pub(crate) followed: Option<&'a [f64]>,
    /// Which growth goes on, where it is counted.
    pub(crate) carried: Carried,
}

/// The rest of a block that is being filled.
#[derive(Debug)]
pub(crate) struct BlockMut<'a> {
    pub(crate) len: usize,
    pub(crate) gaps: &'a mut Gaps,
    pub(crate) created: &'a mut Created,
}

impl<'a, K: Kernel> BlockTick<'a, K> {
    /// Fills a block; `created` tells when its series began as of the tick before.
    pub(crate) fn advance(
        &self,
        (before, created): (&Before<'_>, &Created),
        now: &mut Filling<'_, K::State>,
        block: &mut BlockMut<'_>,
        scratch: &mut Scratch,
    ) {
        let Self { recipe, base, .. } = *self;
        block.gaps.clear();
        scratch.resets.clear();
        scratch.begun.clear();
        block.created.clone_from(created);
        let kernel = &recipe.kernel;
        kernel.prepare(base, self.classes(), block.len, before.columns, now);
        let mut run = Run {
            common: &recipe.common,
            base,
            class: self.classes.tick(0),
            rows: 0..0,
            first_series: self.first_series,
            block_keys: self.keys,
            age: 0,
            followed: self.followed,
            carried: self.carried,
            buffers: &mut scratch.buffers,
        };
        let mut start = 0;
        while start < block.len {
            let (class, end) = self.run_from(start, block.len);
            let (life, end) = self.alike(start, end);
            let Life::Born(born) = life else {
                block.gaps.add_run(start..end, block.len);
                start = end;
                continue;
            };
            run.class = class;
            run.rows = start..end;
            run.age = base.number - born.max(base.history_from);
            if run.age == 0 {
                kernel.begin(&run, now);
                scratch.begun.extend(start..end);
                now.growth.begin(start..end);
            } else {
                kernel.advance(&mut run, before, now);
            }
            if !class.faults.is_empty() {
                self.apply_faults(class, start..end, now, block, &mut scratch.resets);
            }
            start = end;
        }
        for began in [&scratch.begun, &scratch.resets] {
            // Nobody asks when gauges began.
            if !began.is_empty() && kernel.is_cumulative() {
                block.created.reset(began, block.len, base.time_ns);
            }
        }
        kernel.finish(base, now.state);
    }

    /// The classes of its series; neighbours are often of one.
    fn classes(&self) -> impl Iterator<Item = &'a ClassTick<K::Class>> {
        let (all, mut last) = (self.classes, None);
        let of_all = self.class_by_row.is_empty().then_some(0);
        let rows = self.class_by_row.iter().copied().chain(of_all);
        rows.filter(move |&class| last.replace(class) != Some(class))
            .map(|class| all.tick(class))
    }

    /// The class of the series at row `start`, and the first later row of
    /// another class (`len` if there is none).
    fn run_from(&self, start: usize, len: usize) -> (&'a ClassTick<K::Class>, usize) {
        let class = self.class_by_row.get(start).copied().unwrap_or(0);
        let rest = self.class_by_row.get(start..).unwrap_or_default();
        let same = rest.iter().position(|&other| other != class);
        (
            self.classes.tick(class),
            same.map_or(len, |same| start + same),
        )
    }

    /// Since when there are series at row `start`, and the first later row up to `end`
    /// of which that is not true (`end` if there is none). Once series are so old that
    /// no value depends on it, it is as if they were as old as the family.
    fn alike(&self, start: usize, end: usize) -> (Life, usize) {
        let rows = self.first_series + start..self.first_series + end;
        let window = self.recipe.kernel.window_ticks();
        let (life, len) = self
            .population
            .alike(rows, self.base.number.saturating_sub(window));
        (life, start + len)
    }

    /// Lets the faults of a class hit what was computed.
    fn apply_faults(
        &self,
        class: &ClassTick<K::Class>,
        rows: Range<usize>,
        now: &mut Filling<'_, K::State>,
        block: &mut BlockMut<'_>,
        resets: &mut Vec<usize>,
    ) {
        let faults = &class.faults;
        if !faults.missing.is_empty() {
            // All of them are asked, so that no branch depends on a draw.
            let is_missing = |row: usize| {
                let missing = faults.missing.iter();
                missing.fold(false, |is, chance| is | chance.hits(self.keys[row]))
            };
            block.gaps.add_where(rows.clone(), block.len, is_missing);
        }
        let series = || rows.clone().zip(&self.keys[rows.clone()]);
        if let Some(chance) = faults.nan {
            for (row, _) in series().filter(|&(_, &key)| chance.hits(key)) {
                now.columns.set_nan(row, block.len);
            }
        }
        if !faults.resets.is_empty() {
            let is_reset = |key: u64| faults.resets.iter().any(|chance| chance.hits(key));
            for (row, _) in series().filter(|&(_, &key)| is_reset(key)) {
                now.columns.reset(row, block.len);
                now.growth.reset(row);
                resets.push(row);
            }
        }
    }
}
