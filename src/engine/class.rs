//! Which series of a family are alike at a tick: those that the same filters
//! of modifiers match.
//!
//! Factors, tables and chances are worked out once a tick for each class, not
//! for each series. Class 0 holds the series that no filter matches; it is all
//! there is as long as no modifier names labels, and it is kept with the family
//! ([`FamilyTick`](super::recipe::FamilyTick)). Each shard numbers and keeps the
//! further classes that its own series have.

use std::collections::HashMap;
use std::ops::Range;

use crate::engine::effect::Effects;
use crate::engine::recipe::{BaseTick, ClassTick, Recipe};
use crate::model::population::Population;
use crate::model::space::passes;

/// The classes of a family from class 1 on, as far as a shard has them.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    /// Of the effects that they follow from.
    generation: u64,
    /// The tick that they are at.
    number: u64,
    by_matched: HashMap<Box<[u32]>, u32>,
    /// From class 1 on: the filters that match its series, and its tick.
    ticks: Vec<(Box<[u32]>, ClassTick)>,
}

/// The class of each series of a block.
#[derive(Debug, Default)]
pub(crate) struct BlockClasses {
    /// Empty where all are of class 0.
    pub(crate) by_row: Vec<u32>,
    /// Of the effects that they follow from.
    generation: u64,
}

impl Classes {
    /// Brings them to the tick of `base`, once; none are left when effects have
    /// changed.
    pub(crate) fn advance(&mut self, recipe: &Recipe, base: &BaseTick) {
        if self.generation != base.generation {
            *self = Self {
                generation: base.generation,
                number: base.number,
                ..Self::default()
            };
        } else if self.number != base.number {
            self.number = base.number;
            for (matched, class) in &mut self.ticks {
                recipe.advance_class(base, matched, class);
            }
        }
    }

    /// Finds the classes of a block's series, if effects have changed.
    pub(crate) fn classify(
        &mut self,
        recipe: &Recipe,
        base: &BaseTick,
        population: &Population,
        series: Range<usize>,
        block: &mut BlockClasses,
    ) {
        if block.generation == base.generation {
            return;
        }
        block.generation = base.generation;
        block.by_row.clear();
        block.by_row.reserve_exact(series.len());
        Matcher::new(&base.effects).for_each(population, series, |matched| {
            let class = match self.by_matched.get(matched) {
                _ if matched.is_empty() => 0,
                Some(&class) => class,
                None => {
                    let class = recipe.new_class(base, matched);
                    self.ticks.push((matched.into(), class));
                    let index = self.ticks.len() as u32;
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

    /// The tick of a class from 1 on.
    pub(crate) fn tick(&self, class: u32) -> &ClassTick {
        &self.ticks[class as usize - 1].1
    }
}

/// Tells which filters match a series.
#[derive(Debug)]
struct Matcher<'a> {
    effects: &'a Effects,
    /// Indices of filters by their first label value.
    by_first: HashMap<(usize, u32), Vec<u32>>,
    /// The dimensions of first label values.
    dimensions: Vec<usize>,
}

impl<'a> Matcher<'a> {
    fn new(effects: &'a Effects) -> Self {
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
    fn for_each(
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
