//! What a series observed at a tick, drawn again: the observations behind the points of
//! histograms and summaries, one by one.
//!
//! Nothing keeps them. They follow from the series, the tick and what acted on it, so
//! whoever needs single observations, such as an exemplar, takes them from the truth
//! that the columns were counted from.

use std::sync::Arc;

use super::class::Matcher;
use super::effect::Effects;
use super::recipe::Recipe;
use super::sample::{Sample, observation_count};
use super::tick::{BaseTick, spiked_mean};
use crate::model::population::Population;
use crate::random::draw;
use crate::random::quantile::QuantileTable;

/// What the draws of all families at a tick follow from.
#[derive(Debug, Clone)]
pub(crate) struct Draws {
    recipes: Arc<[Recipe]>,
    /// By family.
    families: Vec<FamilyDraws>,
}

/// What the draws of a family's series at a tick follow from.
#[derive(Debug, Clone, Default)]
struct FamilyDraws {
    effects: Arc<Effects>,
    value_key: u64,
    count_key: u64,
    daily: f64,
}

/// The observations of a block's series at a tick.
#[derive(Debug)]
pub struct Observed<'a> {
    draws: &'a FamilyDraws,
    matcher: Matcher<'a>,
    population: &'a Population,
    first_row: usize,
    tick: u64,
    /// Mean number of observations, without daily factor.
    mean: f64,
    values: &'a QuantileTable,
    weights: Option<&'a [f64]>,
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
    /// Without a tick.
    pub(crate) fn new(recipes: &Arc<[Recipe]>) -> Self {
        Self {
            recipes: Arc::clone(recipes),
            families: recipes.iter().map(|_| FamilyDraws::default()).collect(),
        }
    }

    /// Those of the tick that the families are at.
    pub(crate) fn set(&mut self, families: &[BaseTick]) {
        for (draws, base) in self.families.iter_mut().zip(families) {
            if !Arc::ptr_eq(&draws.effects, &base.effects) {
                draws.effects = Arc::clone(&base.effects);
            }
            draws.value_key = base.value_key;
            draws.count_key = base.count_key;
            draws.daily = base.daily;
        }
    }

    /// The observations of the rows from `first_row` on of a family; `None` where it
    /// observes nothing.
    pub(crate) fn observed<'a>(
        &'a self,
        family: usize,
        population: &'a Population,
        first_row: usize,
        tick: u64,
    ) -> Option<Observed<'a>> {
        let (recipe, draws) = (self.recipes.get(family)?, self.families.get(family)?);
        let (mean, values) = recipe.observing()?;
        Some(Observed {
            matcher: Matcher::new(&draws.effects),
            draws,
            population,
            first_row,
            tick,
            mean,
            values,
            weights: recipe.common().weights.as_deref(),
        })
    }
}

impl<'a> Observed<'a> {
    /// What the series at a row of the block observed. A fault that resets the series at
    /// the same tick takes it from the totals; one that hides its point does not.
    pub fn of(&self, row: usize) -> Observations<'a> {
        let row = self.first_row + row;
        let mut key = Vec::new();
        let key = self.population.label_set_keys(row..row + 1, &mut key)[0];
        let mut factors = None;
        self.matcher
            .for_each(self.population, row..row + 1, |matched| {
                factors = Some(self.draws.effects.factors(self.tick, matched));
            });
        let factors = factors.expect("one row was asked for");
        let weight = self.weights.map_or(1.0, |weights| weights[row]);
        let mean = spiked_mean(self.mean * self.draws.daily, factors.rate) * weight;
        // At its first tick a series observes nothing.
        let count = if self.population.born_tick(row) == self.tick {
            0
        } else {
            observation_count(mean, draw(key, self.draws.count_key))
        };
        Observations {
            sample: Sample {
                key: key ^ self.draws.value_key,
                count,
            },
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
