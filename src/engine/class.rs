//! Which series of a family are alike at a tick: those that the same filters
//! of modifiers match.
//!
//! Factors, tables and chances are worked out once a tick for each class, not
//! for each series. Class 0 holds the series that no filter matches; it is all
//! there is as long as no modifier names labels. Each shard numbers and keeps the
//! classes that its own series have.

use std::collections::HashMap;
use std::ops::Range;

use crate::engine::effect::{Effects, Factors, PointFaults};
use crate::engine::kernel::Kernel;
use crate::engine::recipe::RecipeOf;
use crate::engine::tick::{BaseTick, ClassTick};
use crate::model::population::Population;
use crate::model::space::passes;

/// The classes of a family, as far as a shard has them.
#[derive(Debug)]
pub(crate) struct Classes<K: Kernel> {
    /// Of the effects that they follow from.
    generation: u64,
    /// Those from class 1 on.
    by_matched: HashMap<Box<[u32]>, u32>,
    /// By number; from the first tick on there is class 0.
    all: Vec<Class<K::Class>>,
}

#[derive(Debug)]
struct Class<C> {
    /// The filters that match its series.
    matched: Box<[u32]>,
    tick: ClassTick<C>,
}

/// The class of each series of a block.
#[derive(Debug, Default)]
pub(crate) struct BlockClasses {
    /// Empty where all are of class 0.
    pub(crate) by_row: Vec<u32>,
    /// Of the effects that they follow from.
    generation: u64,
    /// The last births among its entities that they follow from.
    born_tick: u64,
}

impl<K: Kernel> RecipeOf<K> {
    /// Brings a class to the tick of `base`: from the tick before.
    fn advance_class(&self, base: &BaseTick, matched: &[u32], class: &mut ClassTick<K::Class>) {
        let common = &self.common;
        class.factors = base.effects.factors(base.number, matched);
        self.kernel.advance_class(common, base, matched, class);
        let keys = (common.seed, common.name_key);
        let faults = &mut class.faults;
        base.effects.set_faults(base.number, matched, keys, faults);
        if base.effects.is_empty() {
            return;
        }
        base.effects
            .add_shared_faults(0, base.number, matched, keys, faults);
        let Some((lineage, level)) = self.kernel.lineage() else {
            return;
        };
        let counters = (level..).zip(lineage.commons());
        for (level, counter) in counters.filter(|(level, _)| *level > 0) {
            let keys = (counter.seed, counter.name_key);
            base.effects
                .add_shared_faults(level, base.number, matched, keys, faults);
        }
    }

    /// A class as if it had been there all the time, at the tick of `base`.
    fn new_class(&self, base: &BaseTick, matched: &[u32]) -> ClassTick<K::Class> {
        let mut class = ClassTick {
            factors: Factors::NONE,
            faults: PointFaults::default(),
            own: self.kernel.new_class(&self.common, base, matched),
        };
        self.advance_class(base, matched, &mut class);
        class
    }
}

impl<K: Kernel> Default for Classes<K> {
    fn default() -> Self {
        Self {
            generation: 0,
            by_matched: HashMap::new(),
            all: Vec::new(),
        }
    }
}

impl<K: Kernel> Classes<K> {
    /// Brings them to the tick of `base`, which follows the one that they are at; only
    /// class 0 is left when effects have changed.
    pub(crate) fn advance(&mut self, recipe: &RecipeOf<K>, base: &BaseTick) {
        if self.generation != base.generation {
            self.generation = base.generation;
            self.by_matched = HashMap::new();
            self.all.truncate(1);
        }
        for class in &mut self.all {
            recipe.advance_class(base, &class.matched, &mut class.tick);
        }
        if self.all.is_empty() {
            self.add(recipe, base, &[]);
        }
    }

    /// Finds the classes of a block's series, if effects have changed.
    pub(crate) fn classify(
        &mut self,
        recipe: &RecipeOf<K>,
        base: &BaseTick,
        population: &Population,
        series: Range<usize>,
        block: &mut BlockClasses,
    ) {
        if !base.effects.has_filters() {
            block.by_row = Vec::new();
            return;
        }
        let born_tick = population.latest_birth_tick_in(series.clone());
        if (block.generation, block.born_tick) == (base.generation, born_tick) {
            return;
        }
        block.generation = base.generation;
        block.born_tick = born_tick;
        block.by_row.clear();
        block.by_row.reserve_exact(series.len());
        Matcher::new(&base.effects).for_each(population, series, |matched| {
            let class = match self.by_matched.get(matched) {
                _ if matched.is_empty() => 0,
                Some(&class) => class,
                None => {
                    let index = self.add(recipe, base, matched);
                    self.by_matched.insert(matched.into(), index);
                    index
                }
            };
            block.by_row.push(class);
        });
        if block.by_row.iter().all(|&class| class == 0) {
            block.by_row = Vec::new();
        }
    }

    /// Its number.
    fn add(&mut self, recipe: &RecipeOf<K>, base: &BaseTick, matched: &[u32]) -> u32 {
        self.all.push(Class {
            matched: matched.into(),
            tick: recipe.new_class(base, matched),
        });
        self.all.len() as u32 - 1
    }

    /// The tick of a class.
    pub(crate) fn tick(&self, class: u32) -> &ClassTick<K::Class> {
        &self.all[class as usize].tick
    }
}

/// Tells which filters match a series.
#[derive(Debug)]
pub(crate) struct Matcher<'a> {
    effects: &'a Effects,
    /// Indices of filters by their first label value.
    by_first: HashMap<(usize, u32), Vec<u32>>,
    /// The dimensions of first label values.
    dimensions: Vec<usize>,
}

impl<'a> Matcher<'a> {
    pub(crate) fn new(effects: &'a Effects) -> Self {
        let mut by_first: HashMap<_, Vec<u32>> = HashMap::new();
        let mut dimensions = Vec::new();
        for (index, filter) in effects.filters().iter().enumerate() {
            by_first.entry(filter[0]).or_default().push(index as u32);
            if !dimensions.contains(&filter[0].0) {
                dimensions.push(filter[0].0);
            }
        }
        Self {
            effects,
            by_first,
            dimensions,
        }
    }

    /// Gives `each` the indices of the filters that match each series, ascending.
    pub(crate) fn for_each(
        &self,
        population: &Population,
        series: Range<usize>,
        mut each: impl FnMut(&[u32]),
    ) {
        let mut matched = Vec::new();
        let mut cursor = population.cursor(series.start);
        for _ in series {
            let digits = cursor.digits();
            matched.clear();
            for &dimension in &self.dimensions {
                let Some(candidates) = self.by_first.get(&(dimension, digits[dimension])) else {
                    continue;
                };
                let matches =
                    |&&index: &&u32| passes(&self.effects.filters()[index as usize][1..], digits);
                matched.extend(candidates.iter().filter(matches));
            }
            matched.sort_unstable();
            each(&matched);
            cursor.advance();
        }
    }
}
