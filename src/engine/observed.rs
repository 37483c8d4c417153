//! What a series observed at a tick, drawn again: the observations behind the points of
//! histograms and summaries, one by one.
//!
//! Nothing keeps them. They follow from the series, the tick and what acted on it, so
//! whoever needs single observations, such as an exemplar, takes them from the truth
//! that the columns were counted from.

use std::sync::Arc;

use super::class::Matcher;
use super::effect::{Effects, Factors};
use super::events::{Events, Lineage};
use super::recipe::Recipe;
use super::sample::Sample;
use super::tick::{BaseTick, spiked_mean};
use super::window::Counted;
use crate::model::population::Population;
use crate::random::Lane;
use crate::random::quantile::QuantileTable;

/// What the draws of all families at a tick follow from, beside the tick.
#[derive(Debug, Clone)]
pub(crate) struct Draws {
    recipes: Arc<[Recipe]>,
    /// What acts on each family's series.
    effects: Vec<Arc<Effects>>,
    /// From tick to tick.
    interval_ns: u64,
}

/// The observations of a block's series at a tick.
#[derive(Debug)]
pub struct Observed<'a> {
    effects: &'a Effects,
    matcher: Matcher<'a>,
    population: &'a Population,
    first_row: usize,
    tick: u64,
    /// Of values and of counts.
    keys: (u64, u64),
    /// Mean number of observations, without spikes and weight.
    mean: f64,
    values: &'a QuantileTable,
    weights: Option<&'a [f64]>,
    /// Where it observes the events of a counter.
    lineage: Option<&'a Arc<Lineage>>,
    base: BaseTick,
}

/// The observations of one series at a tick.
#[derive(Debug, Clone, Copy)]
pub struct Observations<'a> {
    sample: Sample,
    values: &'a QuantileTable,
    /// What spikes multiply them by.
    scale: f64,
}

impl Default for Draws {
    fn default() -> Self {
        Self::new(&Arc::from([]))
    }
}

impl Draws {
    /// Of series on which nothing acts.
    pub(crate) fn new(recipes: &Arc<[Recipe]>) -> Self {
        Self {
            recipes: Arc::clone(recipes),
            effects: recipes.iter().map(|_| Arc::default()).collect(),
            interval_ns: 0,
        }
    }

    /// Takes over what acts on the families now.
    pub(crate) fn set(&mut self, families: &[BaseTick]) {
        for (effects, base) in self.effects.iter_mut().zip(families) {
            self.interval_ns = base.times.interval_ns;
            if !Arc::ptr_eq(effects, &base.effects) {
                *effects = Arc::clone(&base.effects);
            }
        }
    }

    /// What the draws of a family follow from at a tick: its recipe, what acts on it and
    /// the nanoseconds since the tick before.
    pub(crate) fn of(&self, family: usize) -> Option<(&Recipe, &Arc<Effects>, u64)> {
        let recipe = self.recipes.get(family)?;
        Some((recipe, &self.effects[family], self.interval_ns))
    }

    /// The observations, at a tick and its time, of the rows from `first_row` on of a
    /// family; `None` where it observes nothing.
    pub(crate) fn observed<'a>(
        &'a self,
        (tick, time_ns): (u64, i64),
        family: usize,
        population: &'a Population,
        first_row: usize,
    ) -> Option<Observed<'a>> {
        let (recipe, effects) = (self.recipes.get(family)?, &self.effects[family]);
        let (mean, values) = recipe.observing()?;
        let common = recipe.common();
        Some(Observed {
            effects,
            matcher: Matcher::new(effects),
            population,
            first_row,
            tick,
            keys: (common.key(tick, Lane::Value), common.key(tick, Lane::Count)),
            mean: mean * common.daily(time_ns),
            values,
            weights: common.weights.as_deref(),
            lineage: recipe.lineage().map(|(lineage, _)| lineage),
            base: BaseTick::alone((tick, time_ns), effects),
        })
    }
}

impl<'a> Observed<'a> {
    /// What the series at a row of the block observed. A fault that resets the series at
    /// the same tick takes it from the totals; one that hides its point does not.
    pub fn of(&self, row: usize) -> Observations<'a> {
        let row = self.first_row + row;
        let mut scratch = Vec::new();
        let key = self.population.label_set_keys(row..row + 1, &mut scratch)[0];
        let mut factors = Factors::NONE;
        let mut events = None;
        let each = |matched: &[u32]| {
            factors = self.effects.factors(self.tick, matched);
            events = self.lineage.map(|lineage| {
                let mut events = Events::new(lineage, false);
                events.set(&self.base, 1, (self.tick, matched), None);
                events
            });
        };
        self.matcher.for_each(self.population, row..row + 1, each);
        let weight = self.weights.map_or(1.0, |weights| weights[row]);
        let mean = match events {
            Some(events) => events.count(key, weight),
            None => spiked_mean(self.mean, factors.rate) * weight,
        };
        let mut sample = Sample::of(key, self.keys, mean);
        if self.population.born_tick(row) == self.tick {
            // At its first tick a series observes nothing.
            sample.count = 0;
        }
        Observations {
            sample,
            values: self.values,
            scale: factors.value,
        }
    }
}

impl Observations<'_> {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.sample.count
    }

    /// Appends the value of each; meant for samples that are not huge.
    pub fn list(&self, out: &mut Vec<f64>) {
        let mut positions = Vec::new();
        self.sample.list(&mut positions);
        let values = positions.into_iter();
        out.extend(values.map(|position| self.values.value(position) * self.scale));
    }
}
