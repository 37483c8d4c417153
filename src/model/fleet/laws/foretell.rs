//! What a law that was added will do to the entity of a slot.

use super::{Kind, Laws};
use crate::churn::{Slot, State};
use crate::model::fleet::making::Making;
use crate::model::fleet::parts::Parts;

impl Laws {
    /// How often the entity of a slot ends and begins in a span of time by what these laws
    /// have beyond `before`, from its beginning to its end, inclusive.
    pub(in crate::model::fleet) fn foretell(
        &self,
        before: &Self,
        parts: &Parts,
        making: &Making,
        (exists, (start_ns, end_ns)): (bool, (u64, u64)),
    ) -> (u64, u64) {
        let mut tally = Tally::default();
        let (slots, values) = (before.slots.len(), before.values.len());
        if let (true, Some(law)) = (exists, self.values.get(values)) {
            if law.failing.concerns(making) {
                let slot = Slot::new(law.failing.key(parts, making));
                let state = |at_ns| law.clock.state(&slot, at_ns);
                let next = |at_ns| law.clock.next_change(&slot, at_ns);
                tally.walk(State::ALWAYS, (start_ns, end_ns), state, next);
            }
        } else if let (true, Some(law)) = (exists, self.moves.get(before.moves.len())) {
            if law.failing.concerns(making)
                && law.begins_by(law.failing.key(parts, making), start_ns, end_ns)
            {
                tally.ended += 1;
                tally.began += 1;
            }
        } else if let (true, Some(law)) = (exists, self.slots.get(slots)) {
            if law.only.has(making.slot) {
                let slot = law.slot(parts, making);
                let state = |at_ns| law.judge(&slot, at_ns).0;
                let next = |at_ns| law.judge(&slot, at_ns).1;
                tally.walk(State::ALWAYS, (start_ns, end_ns), state, next);
            }
        } else {
            // A size that was there already.
            for (law, old) in self.slots.iter().zip(&before.slots) {
                let (Kind::Size(size), Kind::Size(old)) = (&law.kind, &old.kind) else {
                    continue;
                };
                let slot = law.slot(parts, making);
                let first = old.state(slot.rank, start_ns.saturating_sub(1));
                if size == old || first.exists != exists {
                    continue;
                }
                let state = |at_ns| size.state(slot.rank, at_ns);
                let next = |at_ns| size.next_change(slot.rank, at_ns);
                tally.walk(first, (start_ns, end_ns), state, next);
                // Others of the same label say the same from now on.
                break;
            }
        }
        (tally.ended, tally.began)
    }
}

/// What ends and begins.
#[derive(Debug, Default)]
struct Tally {
    ended: u64,
    began: u64,
}

impl Tally {
    /// Adds all changes in a span of time, after a first state.
    fn walk(
        &mut self,
        first: State,
        (start_ns, end_ns): (u64, u64),
        state: impl Fn(u64) -> State,
        next: impl Fn(u64) -> u64,
    ) {
        let (mut before, mut at_ns) = (first, start_ns);
        while at_ns <= end_ns {
            let now = state(at_ns);
            self.change(&before, &now);
            before = now;
            at_ns = next(at_ns);
        }
    }

    fn change(&mut self, before: &State, now: &State) {
        let is_new = (before.generation, before.since_ns) != (now.generation, now.since_ns);
        match (before.exists, now.exists) {
            (true, true) if is_new => {
                self.began += 1;
                // The one before stays for a while, in the place of an older one.
                self.ended += u64::from(now.old.is_none() || before.old.is_some());
            }
            (true, true) => {
                self.ended += u64::from(before.old.is_some() && now.old.is_none());
            }
            (true, false) => self.ended += 1,
            (false, true) => self.began += 1,
            (false, false) => {}
        }
    }
}
