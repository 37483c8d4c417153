//! What the laws make of one slot at a time.

use super::Fleet;
use super::laws::{Laws, Sweeps, Verdict};
use super::making::Making;

/// Room for one slot and its entities; reused for the next.
#[derive(Debug, Default)]
pub(super) struct Judge {
    pub(super) verdict: Verdict,
    /// For each lane what it has: one that exists is made.
    pub(super) lanes: [Lane; 2],
    sweeps: Sweeps,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) making: Making,
    /// When it began, if it exists.
    pub(super) since_ns: Option<u64>,
}

impl Judge {
    /// Turns to a slot.
    pub(super) fn seek(&mut self, fleet: &Fleet, slot: usize) {
        let place = fleet.place(slot);
        for lane in &mut self.lanes[..fleet.lanes] {
            fleet.parts.seek(&mut lane.making, place);
        }
    }

    /// Makes the entity of the slot at a time.
    fn make(&mut self, (fleet, laws): (&Fleet, &Laws), time_ns: u64) {
        let making = &mut self.lanes[0].making;
        laws.judge(&fleet.parts, making, time_ns, &mut self.verdict);
        self.make_in((fleet, laws), 0, time_ns);
    }

    /// Makes the entity that was judged, or in the other lane the old one, with the moves up to
    /// a time.
    fn make_in(&mut self, (fleet, laws): (&Fleet, &Laws), lane: usize, time_ns: u64) {
        let parts = &fleet.parts;
        let making = &mut self.lanes[lane].making;
        laws.generations(parts, making, (&self.verdict, lane > 0));
        laws.walk(parts, making, time_ns, &mut self.sweeps);
        parts.make(making, 0..parts.each.len(), |part, value, chosen_ns| {
            laws.is_fit(parts, part, value, chosen_ns)
        });
    }

    /// Makes the entity of the slot at a time, in the first lane, the old one aside, if it
    /// exists.
    pub(super) fn current(
        &mut self,
        (fleet, laws): (&Fleet, &Laws),
        time_ns: u64,
    ) -> Option<&Making> {
        self.make((fleet, laws), time_ns);
        let making = &self.lanes[0].making;
        let (values, _) = laws.judge_values(&fleet.parts, making, time_ns);
        (self.verdict.total.exists && values.exists).then_some(making)
    }

    /// When the laws of slots may say something else of the slot, after a time.
    pub(super) fn next_by_slot(&mut self, (fleet, laws): (&Fleet, &Laws), time_ns: u64) -> u64 {
        let making = &self.lanes[0].making;
        laws.judge(&fleet.parts, making, time_ns, &mut self.verdict);
        self.verdict.next_ns
    }

    /// Finds out what the lanes of the slot have, and when that may change.
    pub(super) fn decide(&mut self, (fleet, laws): (&Fleet, &Laws), time_ns: u64) -> u64 {
        let parts = &fleet.parts;
        self.make((fleet, laws), time_ns);
        let total = self.verdict.total;
        let making = &self.lanes[0].making;
        let (values, values_ns) = laws.judge_values(parts, making, time_ns);
        let mut next_ns = self.verdict.next_ns.min(values_ns);
        next_ns = next_ns.min(laws.next_move(parts, making, time_ns));
        let exists = total.exists && values.exists;
        let since_ns = total.since_ns.max(making.moved_ns).max(values.since_ns);
        self.lanes[0].since_ns = exists.then_some(since_ns);
        if fleet.lanes == 1 {
            return next_ns;
        }
        self.lanes[1].since_ns = None;
        let replaced = self.verdict.replaced_ns();
        if let (Some(old), Some(replaced_ns), true) = (total.old, replaced, total.exists) {
            // From then on it moves no more, but ends where it would have to.
            let before_ns = replaced_ns.saturating_sub(1);
            self.make_in((fleet, laws), 1, before_ns);
            let making = &self.lanes[1].making;
            let (values, values_ns) = laws.judge_values(parts, making, time_ns);
            next_ns = next_ns.min(values_ns);
            let fails_ns = laws.next_move(parts, making, before_ns);
            if fails_ns > time_ns {
                next_ns = next_ns.min(fails_ns);
                let since_ns = old.since_ns.max(making.moved_ns).max(values.since_ns);
                self.lanes[1].since_ns = values.exists.then_some(since_ns);
            }
        }
        if total.generation % 2 == 1 {
            self.lanes.swap(0, 1);
        }
        next_ns
    }

    /// How many lanes have an entity.
    pub(super) fn existing(&self, fleet: &Fleet) -> usize {
        let lanes = self.lanes[..fleet.lanes].iter();
        lanes.filter(|lane| lane.since_ns.is_some()).count()
    }
}
