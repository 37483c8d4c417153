//! Beginning at a later tick than the first one.
//!
//! A value follows from the ticks since its series was born, and from none before. So
//! an engine whose frames are read from some tick on may begin with the earliest birth among the
//! series that exist then, and less has to be looked back on where values follow from
//! nothing but their tick:
//!
//! | what is filled | what it needs |
//! |---|---|
//! | counters, histograms, summaries, random walks, what follows another metric with a lag | every tick since the birth of the series |
//! | all other gauges | their tick, and that of the gauge that they follow |
//!
//! Up to there only what costs nothing is done ([`Engine::skip_to`]): what acts begins and
//! ends, reloads happen, and entities come and go in closed form. Frames before the tick
//! that is read have all series that there are, but values of those that were born before
//! the engine began are of no meaning.

use std::sync::Arc;

use crate::churn::Order;
use crate::engine::Engine;
use crate::engine::recipe::Recipe;
use crate::model::population::{Fleets, Populations};

impl Engine {
    /// The tick with which it would have to begin for its frames to be right from a tick
    /// on, which is not before its next one: of the series that exist then and have a
    /// history, the earliest birth. `orders` are those up to that tick.
    pub fn history_from(&self, orders: &[Order], tick: u64) -> u64 {
        let remembering: Vec<usize> = (0..self.recipes.len())
            .filter(|&family| self.recipes[family].remembers())
            .collect();
        let earliest = |populations: &Populations, families: &[usize]| {
            let births = families.iter().flat_map(|&family| {
                let blocks = &self.catalog.blocks()[self.catalog.family_blocks(family)];
                let population = populations.family(family);
                blocks.iter().filter_map(move |block| {
                    population.earliest_birth_tick_in(block.start..block.start + block.len)
                })
            });
            births.fold(tick, u64::min)
        };
        let (living, still): (Vec<usize>, Vec<usize>) = remembering
            .into_iter()
            .partition(|&family| self.populations.family(family).entities().is_some());
        let begin = earliest(&self.populations, &still);
        if begin == 0 || living.is_empty() {
            return begin;
        }
        let fleets = Fleets::at(&self.catalog, orders, tick);
        let populations = self.populations.with_entities_of(&fleets);
        begin.min(earliest(&populations, &living))
    }

    /// Goes to a tick, which becomes the first that it runs. Series that were born before
    /// it have no right values then, but for those without a history.
    ///
    /// # Panics
    /// After the first tick, or where the tick has passed.
    pub fn skip_to(&mut self, tick: u64) {
        assert_eq!(self.next_tick, self.first_tick, "no tick was run yet");
        assert!(tick >= self.next_tick, "ticks come one after the other");
        if tick == self.next_tick {
            return;
        }
        self.timeline.skip(self.next_tick, tick);
        (self.next_tick, self.first_tick) = (tick, tick);
        // As the tick before has left them.
        self.fleets = Fleets::at(&self.catalog, self.timeline.orders(), tick - 1);
        self.populations = self.populations.with_entities_of(&self.fleets);
        let plan = Arc::get_mut(&mut self.plan).expect("no worker holds the plan between ticks");
        plan.populations = self.populations.clone();
        for (recipe, base) in self.recipes.iter().zip(&mut plan.families) {
            base.history_from = history_from(recipe, tick);
        }
    }

    /// Goes to the tick with which it has to begin for its frames to be right from a tick
    /// on, where nothing is done to the run.
    ///
    /// # Panics
    /// After the first tick.
    pub fn skip_before(&mut self, read: u64) {
        let mut timeline = self.timeline.clone();
        timeline.skip(self.next_tick, read.saturating_add(1));
        self.skip_to(self.history_from(timeline.orders(), read));
    }
}

/// The tick from which on there are right values to go on from, where an engine begins with
/// `first_tick`.
pub(super) fn history_from(recipe: &Recipe, first_tick: u64) -> u64 {
    if recipe.remembers() { first_tick } else { 0 }
}
