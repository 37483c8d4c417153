//! How many series of a family began and ended from one tick to the next.

use std::sync::Arc;

use super::{Life, Population, Populations};

/// What became of series from a tick to the next. One that begins anew has ended and begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turnover {
    /// Series whose first values are those of this tick.
    pub born: u64,
    /// Series that are not there any more.
    pub ended: u64,
}

impl Population {
    /// What became of its series at `tick`, where `before` is what there was at the tick
    /// before; nothing is known of what was before the first one.
    pub fn turnover(&self, before: Option<&Self>, tick: u64) -> Turnover {
        let Some(before) = before else {
            return Turnover {
                born: self.series_count() as u64,
                ended: 0,
            };
        };
        if let Some(turnover) = self.changes_since(before, tick) {
            return turnover;
        }
        let (mut born, mut row) = (0, 0);
        while row < self.row_count() {
            let (life, len) = self.alike(row..self.row_count(), tick);
            if life == Life::Born(tick) {
                born += len as u64;
            }
            row += len;
        }
        let count = |population: &Self| population.series_count() as u64;
        Turnover {
            born,
            ended: (count(before) + born).saturating_sub(count(self)),
        }
    }

    /// The same where both are the same family, by what its entities tell.
    fn changes_since(&self, before: &Self, tick: u64) -> Option<Turnover> {
        let is_same_births = match (&self.births, &before.births) {
            (Some(own), Some(others)) => Arc::ptr_eq(&own.each, &others.each),
            (own, others) => own.is_none() && others.is_none(),
        };
        let is_same = Arc::ptr_eq(&self.space, &before.space)
            && self.founded == before.founded
            && is_same_births;
        if !is_same {
            return None;
        }
        let (Some(now), Some(before)) = (&self.entities, &before.entities) else {
            return Some(Turnover::default());
        };
        if Arc::ptr_eq(now, before) {
            return Some(Turnover::default());
        }
        let count = |is: fn(&super::super::fleet::Change) -> bool| {
            now.changes().iter().filter(|change| is(change)).count()
        };
        let (born, ended) = (count(|change| change.began), count(|change| change.ended));
        // Those of one tick lead from the one snapshot to the other.
        let is_next = now.tick() == tick && before.existing() + born == now.existing() + ended;
        let each = self.space.entity_series();
        is_next.then_some(Turnover {
            born: (born * each) as u64,
            ended: (ended * each) as u64,
        })
    }
}

impl Populations {
    /// How many series the first so many families have.
    pub fn series_count(&self, families: usize) -> usize {
        let counts = self.0[..families].iter().map(Population::series_count);
        counts.sum()
    }
}
