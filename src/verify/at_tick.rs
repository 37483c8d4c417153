//! The series that a metric of a run has at a tick, without computing the run.

use std::sync::Arc;

use crate::churn::Order;
use crate::config::Metric;
use crate::journal::{Replay, ReplayError};
use crate::model::division::Division;
use crate::model::fleet::{Fleet, Lives};
use crate::model::population::Population;
use crate::model::shards::division_of;
use crate::model::space_of;

/// Makes populations; those of metrics with the same entities share them.
#[derive(Debug)]
pub(super) struct AtTick {
    tick: u64,
    interval_ns: u64,
    division: Option<Division>,
    /// What was done to entities by hand until then.
    orders: Vec<Order>,
    fleets: Vec<Arc<Fleet>>,
    lives: Vec<Lives>,
}

impl AtTick {
    /// # Errors
    /// When the journal does not fit what happens.
    pub(super) fn new(replay: &Replay, tick: u64) -> Result<Self, ReplayError> {
        Ok(Self {
            tick,
            orders: replay.orders(tick)?,
            division: division_of(replay.config()),
            interval_ns: replay.config().global.tick_interval_ns,
            fleets: Vec::new(),
            lives: Vec::new(),
        })
    }

    /// The series of a metric.
    ///
    /// # Errors
    /// When its labels make none.
    pub(super) fn population(&mut self, metric: &Metric) -> Result<Population, ReplayError> {
        let space = space_of(
            metric,
            self.interval_ns,
            self.division.as_ref(),
            &mut self.fleets,
        );
        let space = space.map_err(|error| ReplayError::Space(metric.name.clone(), error))?;
        let space = Arc::new(space);
        let lives = space.fleet().map(|fleet| {
            let is_of = |lives: &Lives| Arc::ptr_eq(lives.entities().fleet(), fleet);
            self.lives.iter().position(is_of).unwrap_or_else(|| {
                self.lives
                    .push(Lives::after(fleet, &self.orders, self.tick));
                self.lives.len() - 1
            })
        });
        let entities = lives.map(|index| self.lives[index].entities());
        Ok(Population::founded_with(&space, 0, entities))
    }
}
