//! Laws that go by the value of a property: its outages, in which all that is on a value
//! vanishes or moves.

use super::only::Only;
use crate::churn::{Clock, Outages};
use crate::model::fleet::making::Making;
use crate::model::fleet::parts::Parts;

/// The values of a property that can fail, and the slots whose entities that concerns.
#[derive(Debug, Clone)]
pub(super) struct Failing {
    pub(super) part: usize,
    pub(super) only: Only,
    pub(super) values: Only,
}

/// An outage of a property's values.
#[derive(Debug, Clone)]
pub(in crate::model::fleet) struct ValueLaw {
    pub(super) clock: Clock,
    pub(super) failing: Failing,
}

/// An outage of a property's values, from which entities move.
#[derive(Debug, Clone)]
pub(in crate::model::fleet) struct MoveLaw {
    pub(super) outages: Outages,
    pub(super) failing: Failing,
    /// The part of the axis whose entities move.
    pub(super) mover: usize,
}

impl Failing {
    /// Whether the value that an entity has is one of them, and its slot concerned.
    pub(super) fn concerns(&self, making: &Making) -> bool {
        self.only.has(making.slot) && self.values.has(making.owns[self.part])
    }

    /// The key of the value that an entity has.
    pub(super) fn key(&self, parts: &Parts, making: &Making) -> u64 {
        parts.value_key(self.part, making.owns[self.part])
    }
}

impl MoveLaw {
    /// Whether the value with this key is failing.
    pub(super) fn fails_at(&self, key: u64, time_ns: u64) -> bool {
        let Some(window) = self.outages.last_window(time_ns) else {
            return false;
        };
        let is_on = self
            .outages
            .window(window)
            .is_some_and(|(_, end_ns)| time_ns < end_ns);
        is_on && self.outages.fails(window, key)
    }

    /// Whether it does so in a span of time.
    pub(super) fn begins_by(&self, key: u64, start_ns: u64, end_ns: u64) -> bool {
        let next = match start_ns.checked_sub(1) {
            Some(before_ns) => self.next_failure(key, before_ns),
            None => self.next_failure(key, 0),
        };
        next.is_some_and(|at_ns| at_ns <= end_ns)
    }

    /// When the value that an entity has fails next, after a time.
    pub(super) fn next_of(&self, parts: &Parts, making: &Making, time_ns: u64) -> Option<u64> {
        let is_concerned = self.failing.concerns(making);
        is_concerned.then(|| self.next_failure(self.failing.key(parts, making), time_ns))?
    }

    /// When the value with this key fails next, after a time.
    pub(super) fn next_failure(&self, key: u64, time_ns: u64) -> Option<u64> {
        let next = self
            .outages
            .last_window(time_ns)
            .map_or(0, |window| window + 1);
        let window = self.outages.next_failing(next, key)?;
        self.outages.window(window).map(|(start_ns, _)| start_ns)
    }
}
