//! The laws that apply to a fleet, and what they make of a slot at a time.

mod compile;
mod foretell;
mod moves;
mod only;
mod outage;

use super::making::Making;
use super::parts::Parts;
use crate::churn::{Clock, Sizes, Slot, State};
use crate::config::{Law, Mode};
pub(super) use compile::ranked;
use moves::Mover;
pub(super) use moves::Sweeps;
pub(super) use only::Only;
use outage::{MoveLaw, ValueLaw};

/// All laws of a fleet.
#[derive(Debug, Clone, Default)]
pub(super) struct Laws {
    pub(super) slots: Vec<SlotLaw>,
    pub(super) values: Vec<ValueLaw>,
    pub(super) moves: Vec<MoveLaw>,
    /// The axes whose entities move, those that others are below before these.
    pub(super) movers: Vec<Mover>,
    /// Whether old and new may exist together.
    overlaps: bool,
    /// For each part, the axis whose generation it shows. What values of a property have never
    /// changes.
    roots: Vec<Option<usize>>,
}

/// A law that goes by the slot alone.
#[derive(Debug, Clone)]
pub(super) struct SlotLaw {
    kind: Kind,
    /// The part of its label.
    part: usize,
    /// Whom it concerns.
    only: Only,
    /// The axes whose values make the key, ...
    keyed: Vec<usize>,
    /// ... and those that make the rank, the slowest first.
    ranked: Vec<usize>,
    /// How many ranks there are; 0 for the label itself.
    of: u64,
    /// What it does to the generation that each part shows.
    effects: Vec<Effect>,
}

#[derive(Debug, Clone)]
enum Kind {
    Churn(Clock),
    Size(Sizes),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    None,
    Generation,
    /// The part shows what a rollout made of it.
    Version,
}

/// What the laws of slots say of one at a time; reused for the next.
#[derive(Debug)]
pub(super) struct Verdict {
    states: Vec<State>,
    /// Of all together.
    pub(super) total: State,
    /// The law of `total.old`.
    old_law: Option<usize>,
    /// The next time at which a law of slots may say something else.
    pub(super) next_ns: u64,
}

impl Laws {
    /// Whether nothing ever changes.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.values.is_empty() && self.moves.is_empty()
    }

    /// How many entities of a slot can exist at once.
    pub(super) fn lanes(&self) -> usize {
        1 + usize::from(self.overlaps)
    }

    /// What the laws of slots say of the one whose digits are known.
    pub(super) fn judge(
        &self,
        parts: &Parts,
        making: &Making,
        time_ns: u64,
        verdict: &mut Verdict,
    ) {
        verdict.states.clear();
        verdict.total = State::ALWAYS;
        verdict.next_ns = u64::MAX;
        for law in &self.slots {
            let (state, next_ns) = if law.only.has(making.slot) {
                law.judge(&law.slot(parts, making), time_ns)
            } else {
                (State::ALWAYS, u64::MAX)
            };
            verdict.total = verdict.total.and(&state);
            verdict.next_ns = verdict.next_ns.min(next_ns);
            verdict.states.push(state);
        }
        let changed_ns = verdict.total.changed_ns;
        let is_latest = |state: &State| state.old.is_some() && state.changed_ns == changed_ns;
        let old = verdict.total.old;
        verdict.old_law = old.and_then(|_| verdict.states.iter().position(is_latest));
    }

    /// The generations that all parts show by the laws of slots, of the entity itself or of
    /// the old one.
    pub(super) fn generations(
        &self,
        parts: &Parts,
        making: &mut Making,
        (verdict, is_old): (&Verdict, bool),
    ) {
        making.generations.clear();
        making.changed_ns.clear();
        for part in 0..parts.each.len() {
            let (mut generation, mut changed_ns) = (0u64, 0u64);
            for (index, (law, state)) in self.slots.iter().zip(&verdict.states).enumerate() {
                let old = state
                    .old
                    .filter(|_| is_old && verdict.old_law == Some(index));
                let (own_generation, version, own_changed_ns) = match old {
                    // Nothing but its law replaced it: it began when that law last did so.
                    Some(old) => (state.generation - 1, old.version, old.since_ns),
                    None => (state.generation, state.version, state.changed_ns),
                };
                let shown = match law.effects[part] {
                    Effect::None => continue,
                    Effect::Generation => own_generation,
                    Effect::Version => version,
                };
                generation = generation.saturating_add(shown);
                changed_ns = changed_ns.max(own_changed_ns);
            }
            making.generations.push(generation);
            making.changed_ns.push(changed_ns);
        }
        making.chosen_ns.clone_from(&making.changed_ns);
    }

    /// Whether a property's value will do for who chooses at a time: it does not fail then,
    /// nor do its own properties.
    pub(super) fn is_fit(&self, parts: &Parts, part: usize, value: u64, time_ns: u64) -> bool {
        let mut laws = self
            .moves
            .iter()
            .filter(|law| law.failing.part == part && law.failing.values.has(value));
        let fails = laws.any(|law| law.fails_at(parts.value_key(part, value), time_ns));
        !fails
            && parts
                .derived(part, value)
                .all(|(part, value)| self.is_fit(parts, part, value, time_ns))
    }

    /// What the outages of values say of an entity that was made: a state, and when it may
    /// become another.
    pub(super) fn judge_values(
        &self,
        parts: &Parts,
        making: &Making,
        time_ns: u64,
    ) -> (State, u64) {
        let (mut total, mut next_ns) = (State::ALWAYS, u64::MAX);
        for law in &self.values {
            if !law.failing.concerns(making) {
                continue;
            }
            let slot = Slot::new(law.failing.key(parts, making));
            total = total.and(&law.clock.state(&slot, time_ns));
            next_ns = next_ns.min(law.clock.next_change(&slot, time_ns));
        }
        (total, next_ns)
    }

    /// The first time after `time_ns` at which an entity that was made has to move;
    /// `u64::MAX` for never.
    pub(super) fn next_move(&self, parts: &Parts, making: &Making, time_ns: u64) -> u64 {
        let each = self.moves.iter();
        let each = each.filter_map(|law| law.next_of(parts, making, time_ns));
        each.min().unwrap_or(u64::MAX)
    }
}

impl Default for Verdict {
    fn default() -> Self {
        Self {
            states: Vec::new(),
            total: State::ALWAYS,
            old_law: None,
            next_ns: u64::MAX,
        }
    }
}

impl Verdict {
    /// When the old entity was replaced, if there is one.
    pub(super) fn replaced_ns(&self) -> Option<u64> {
        self.old_law.map(|law| self.states[law].changed_ns)
    }
}

impl SlotLaw {
    fn slot(&self, parts: &Parts, making: &Making) -> Slot {
        Slot {
            key: making.key(&self.keyed),
            rank: parts.rank_of(making, &self.ranked),
            of: self.of,
        }
    }

    /// What it says at a time of a slot that it concerns, and when it may say something else.
    fn judge(&self, slot: &Slot, time_ns: u64) -> (State, u64) {
        match &self.kind {
            Kind::Churn(clock) => (clock.state(slot, time_ns), clock.next_change(slot, time_ns)),
            Kind::Size(size) => (
                size.state(slot.rank, time_ns),
                size.next_change(slot.rank, time_ns),
            ),
        }
    }
}

/// Whether old and new exist together for a while.
pub(super) fn overlaps(law: &Law) -> bool {
    matches!(
        law.mode,
        Mode::Rollout {
            overlap_ns: 1..,
            ..
        }
    )
}

/// Whether all of some increasing numbers are among others.
fn is_within(some: &[usize], others: &[usize]) -> bool {
    some.iter().all(|one| others.contains(one))
}
