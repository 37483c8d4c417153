//! `job`: entities live for a while, and begin regularly.
//!
//! With a phase uniform in `0..every`, the k-th one of a slot, from 0, exists in
//! `[phase + (k - 1)·every, + lifetime)` and has generation k: number 0 may be under way at
//! time 0, and has then begun with the run.

use super::draws::{Draws, Purpose};
use super::state::{Slot, State};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    every_ns: u64,
    lifetime_ns: u64,
    when: Draws,
}

impl Job {
    pub(super) fn new(every_ns: u64, lifetime_ns: u64, law_key: u64) -> Self {
        Self {
            every_ns: every_ns.max(1),
            lifetime_ns,
            when: Draws::new(law_key, Purpose::When),
        }
    }

    /// Number, beginning and end of the last that has begun; from a time a whole `every`
    /// early, so that none is negative.
    fn last(&self, slot: &Slot, time_ns: u64) -> (u64, u128, u128) {
        let phase_ns = u128::from(self.when.below(slot.key, 0, self.every_ns));
        let every_ns = u128::from(self.every_ns);
        let number = (u128::from(time_ns) + every_ns - phase_ns) / every_ns;
        let start_ns = phase_ns + number * every_ns;
        let end_ns = start_ns + u128::from(self.lifetime_ns);
        (number as u64, start_ns, end_ns)
    }

    /// A time from one that is a whole `every` early, from 0 to the end of time.
    fn on_time(&self, early_ns: u128) -> u64 {
        let time_ns = early_ns.saturating_sub(u128::from(self.every_ns));
        u64::try_from(time_ns).unwrap_or(u64::MAX)
    }

    pub(super) fn state(&self, slot: &Slot, time_ns: u64) -> State {
        let (generation, start_ns, end_ns) = self.last(slot, time_ns);
        let exists = u128::from(time_ns) + u128::from(self.every_ns) < end_ns;
        let changed_ns = self.on_time(start_ns);
        State {
            exists,
            generation,
            version: generation,
            since_ns: if exists {
                changed_ns
            } else {
                self.on_time(end_ns)
            },
            changed_ns,
            ..State::ALWAYS
        }
    }

    pub(super) fn next_change(&self, slot: &Slot, time_ns: u64) -> u64 {
        let (_, start_ns, end_ns) = self.last(slot, time_ns);
        let next_ns = start_ns + u128::from(self.every_ns);
        let ends = u128::from(time_ns) + u128::from(self.every_ns) < end_ns;
        let change_ns = if ends { end_ns.min(next_ns) } else { next_ns };
        self.on_time(change_ns)
    }
}
