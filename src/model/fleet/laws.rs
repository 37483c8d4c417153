//! The laws that apply to a fleet, and what they make of a slot at a time.

mod foretell;

use std::sync::Arc;

use super::part::{Making, Own, Parts};
use crate::churn::{Clock, Outages, SizeAt, Sizes, Slot, State};
use crate::config::{Law, Life, Mode};

/// All laws of a fleet.
#[derive(Debug, Clone, Default)]
pub(super) struct Laws {
    pub(super) slots: Vec<SlotLaw>,
    pub(super) values: Vec<ValueLaw>,
    pub(super) moves: Vec<MoveLaw>,
    /// The parts whose properties move, without repetition.
    pub(super) movers: Vec<usize>,
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

/// The slots, or the values, that a law concerns: all, or those whose bits are set.
#[derive(Debug, Clone, Default)]
pub(super) struct Only(Option<Arc<[u64]>>);

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

/// An outage of a property's values.
#[derive(Debug, Clone)]
pub(super) struct ValueLaw {
    clock: Clock,
    part: usize,
    only: Only,
    values: Only,
}

/// An outage of a property's values, from which entities move.
#[derive(Debug, Clone)]
pub(super) struct MoveLaw {
    outages: Outages,
    part: usize,
    only: Only,
    values: Only,
    /// Index in [`Laws::movers`] of the one that moves.
    mover: usize,
}

/// How often a mover of a slot has moved, and when it did so last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) count: u64,
    pub(super) at_ns: u64,
}

/// What the laws of slots say of one at a time; reused for the next.
#[derive(Debug)]
pub(super) struct Verdict {
    states: Vec<State>,
    /// Of all together, moves included.
    pub(super) total: State,
    /// The law of `total.old`.
    old_law: Option<usize>,
    /// The next time at which a law of slots may say something else.
    pub(super) next_ns: u64,
}

impl Laws {
    /// Those of a profile that concern the parts.
    pub(super) fn of(life: &Life, parts: &Parts) -> Self {
        let roots = (0..parts.each.len())
            .map(|part| root(parts, part))
            .collect();
        let mut laws = Self {
            roots,
            ..Self::default()
        };
        for (law, clock) in life.laws.iter().zip(Clock::of(life)) {
            if let Some(part) = parts.find(&law.label) {
                laws.overlaps |= overlaps(law);
                laws.add(parts, (law, part), clock, <(Only, Only)>::default());
            }
        }
        for size in &life.sizes {
            if let Some(part) = parts.find(&size.label) {
                let at = |max| SizeAt::new(size, max);
                laws.add_size(parts, part, at);
            }
        }
        laws
    }

    /// Adds a law for the label of a part: for some slots only, and for some of the values
    /// where that is a property of which values fail.
    pub(super) fn add(
        &mut self,
        parts: &Parts,
        (law, part): (&Law, usize),
        clock: Clock,
        (only, values): (Only, Only),
    ) {
        if parts.has_outages(part, &law.mode) {
            match clock.moves() {
                None => self.values.push(ValueLaw {
                    clock,
                    part,
                    only,
                    values,
                }),
                Some(outages) => {
                    let mover = self.mover(owner(parts, part));
                    self.moves.push(MoveLaw {
                        outages,
                        part,
                        only,
                        values,
                        mover,
                    });
                }
            }
            return;
        }
        let above = &parts.each[part].closure;
        let is_rollout = matches!(law.mode, Mode::Rollout { .. });
        let below = is_rollout.then(|| below(parts, above)).flatten();
        self.slots.push(SlotLaw {
            kind: Kind::Churn(clock),
            part,
            only,
            keyed: above.clone(),
            of: below.as_ref().map_or(0, |axes| parts.product(axes)),
            ranked: below.unwrap_or_default(),
            effects: self.effects(parts, above, is_rollout),
        });
    }

    fn add_size(&mut self, parts: &Parts, part: usize, at: impl FnOnce(u64) -> SizeAt) {
        let closure = &parts.each[part].closure;
        let max = parts.product(closure);
        let ranked = ranked(parts, part);
        self.slots.push(SlotLaw {
            kind: Kind::Size(Sizes::new(at(max))),
            part,
            only: Only::default(),
            keyed: Vec::new(),
            ranked,
            of: max,
            effects: self.effects(parts, closure, false),
        });
    }

    /// Lets the sizes of a label, of which there is one at least afterwards, be others.
    pub(super) fn resize(&mut self, parts: &Parts, part: usize, resize: impl Fn(&mut Sizes)) {
        let is_meant = |law: &SlotLaw| law.part == part && matches!(law.kind, Kind::Size(_));
        if !self.slots.iter().any(is_meant) {
            self.add_size(parts, part, SizeAt::full);
        }
        for law in &mut self.slots {
            if let (Kind::Size(sizes), true) = (&mut law.kind, law.part == part) {
                resize(sizes);
            }
        }
    }

    /// Whether anything that series show changes with the generations of a label.
    pub(super) fn shows(&self, parts: &Parts, part: usize, law: &Law) -> bool {
        let is_rollout = matches!(law.mode, Mode::Rollout { .. });
        let effects = self.effects(parts, &parts.each[part].closure, is_rollout);
        let mut each = effects.iter().enumerate();
        each.any(|(part, effect)| *effect != Effect::None && parts.each[part].follows_generations())
    }

    fn mover(&mut self, part: usize) -> usize {
        let known = self.movers.iter().position(|&mover| mover == part);
        known.unwrap_or_else(|| {
            self.movers.push(part);
            self.movers.len() - 1
        })
    }

    fn effects(&self, parts: &Parts, closure: &[usize], is_rollout: bool) -> Vec<Effect> {
        let effect = |root: &Option<usize>| match root.map(|root| &parts.each[root].closure) {
            Some(of) if !is_within(closure, of) => Effect::None,
            Some(of) if is_rollout && of.len() == closure.len() => Effect::Version,
            Some(_) => Effect::Generation,
            None => Effect::None,
        };
        self.roots.iter().map(effect).collect()
    }

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
        moved: &[Moved],
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
        for moved in moved {
            verdict.total = verdict.total.and(&moved.state());
        }
        let changed_ns = verdict.total.changed_ns;
        let is_latest = |state: &State| state.old.is_some() && state.changed_ns == changed_ns;
        let old = verdict.total.old;
        verdict.old_law = old.and_then(|_| verdict.states.iter().position(is_latest));
    }

    /// The generations that all parts show, of the entity itself or of the old one.
    pub(super) fn generations(
        &self,
        parts: &Parts,
        making: &mut Making,
        moved: &[Moved],
        (verdict, is_old): (&Verdict, bool),
    ) {
        making.generations.clear();
        making.chosen_ns.clear();
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
            for (&mover, moved) in self.movers.iter().zip(moved) {
                let root = self.roots[part].map(|root| &parts.each[root].closure);
                if root.is_some_and(|root| is_within(&parts.each[mover].closure, root)) {
                    generation = generation.saturating_add(moved.count);
                    changed_ns = changed_ns.max(moved.at_ns);
                }
            }
            making.generations.push(generation);
            making.chosen_ns.push(changed_ns);
        }
    }

    /// Whether a property's value will do for who chooses at a time: it does not fail then,
    /// nor do its own properties.
    pub(super) fn is_fit(&self, parts: &Parts, part: usize, value: u64, time_ns: u64) -> bool {
        let mut laws = self
            .moves
            .iter()
            .filter(|law| law.part == part && law.values.has(value));
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
            if !law.concerns(making) {
                continue;
            }
            let slot = Slot::new(parts.value_key(law.part, making.owns[law.part]));
            total = total.and(&law.clock.state(&slot, time_ns));
            next_ns = next_ns.min(law.clock.next_change(&slot, time_ns));
        }
        (total, next_ns)
    }

    /// The first time after `time_ns` at which an entity that was made has to move;
    /// `u64::MAX` for never.
    pub(super) fn next_move(&self, parts: &Parts, making: &Making, time_ns: u64) -> u64 {
        let each = self.moves.iter().filter(|law| law.concerns(making));
        let each = each.filter_map(|law| law.next_failure(law.key(parts, making), time_ns));
        each.min().unwrap_or(u64::MAX)
    }

    /// Moves what has to move at such a time: an entity that was made as it was before.
    pub(super) fn go(&self, parts: &Parts, making: &Making, moved: &mut [Moved], at_ns: u64) {
        for law in self.moves.iter().filter(|law| law.concerns(making)) {
            let moved = &mut moved[law.mover];
            // Several outages at once are one move.
            if moved.at_ns < at_ns && law.begins_at(law.key(parts, making), at_ns) {
                moved.count += 1;
                moved.at_ns = at_ns;
            }
        }
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

impl Moved {
    fn state(&self) -> State {
        State {
            generation: self.count,
            version: self.count,
            since_ns: self.at_ns,
            changed_ns: self.at_ns,
            ..State::ALWAYS
        }
    }
}

impl Only {
    /// Those of so many for which `is_meant`.
    pub(super) fn of(count: u64, mut is_meant: impl FnMut(u64) -> bool) -> Self {
        let words = (0..count.div_ceil(64)).map(|word| {
            let bits = (word * 64..count).take(64).enumerate();
            bits.fold(0, |bits, (bit, one)| bits | u64::from(is_meant(one)) << bit)
        });
        Self(Some(words.collect()))
    }

    pub(super) fn has(&self, one: u64) -> bool {
        let bits = self.0.as_ref();
        bits.is_none_or(|bits| bits[(one / 64) as usize] >> (one % 64) & 1 == 1)
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

impl ValueLaw {
    fn concerns(&self, making: &Making) -> bool {
        self.only.has(making.slot) && self.values.has(making.owns[self.part])
    }
}

impl MoveLaw {
    fn concerns(&self, making: &Making) -> bool {
        self.only.has(making.slot) && self.values.has(making.owns[self.part])
    }

    /// Whether the value with this key is failing.
    fn fails_at(&self, key: u64, time_ns: u64) -> bool {
        let Some(window) = self.outages.last_window(time_ns) else {
            return false;
        };
        let is_on = self
            .outages
            .window(window)
            .is_some_and(|(_, end_ns)| time_ns < end_ns);
        is_on && self.outages.fails(window, key)
    }

    /// The key of the value that an entity has.
    fn key(&self, parts: &Parts, making: &Making) -> u64 {
        parts.value_key(self.part, making.owns[self.part])
    }

    /// Whether the value with this key begins to fail just then.
    fn begins_at(&self, key: u64, at_ns: u64) -> bool {
        at_ns > 0 && self.next_failure(key, at_ns - 1) == Some(at_ns)
    }

    /// Whether it does so in a span of time.
    fn begins_by(&self, key: u64, start_ns: u64, end_ns: u64) -> bool {
        let next = match start_ns.checked_sub(1) {
            Some(before_ns) => self.next_failure(key, before_ns),
            None => self.next_failure(key, 0),
        };
        next.is_some_and(|at_ns| at_ns <= end_ns)
    }

    /// When the value with this key fails next, after a time.
    fn next_failure(&self, key: u64, time_ns: u64) -> Option<u64> {
        let next = self
            .outages
            .last_window(time_ns)
            .map_or(0, |window| window + 1);
        let window = self.outages.next_failing(next, key)?;
        self.outages.window(window).map(|(start_ns, _)| start_ns)
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

/// The axes by which a size orders entities, the slowest first: by own value, so that all
/// parents shrink alike.
pub(super) fn ranked(parts: &Parts, part: usize) -> Vec<usize> {
    let mut ranked = parts.each[part].closure.clone();
    if let Own::Axis(own) = parts.each[part].own {
        ranked.retain(|&axis| axis != own);
        ranked.insert(0, own);
    }
    ranked
}

/// Whether all of some increasing numbers are among others.
fn is_within(some: &[usize], others: &[usize]) -> bool {
    some.iter().all(|one| others.contains(one))
}

/// The axes by which those below a rollout's label are ordered: of what comes next below
/// it, beyond its own.
fn below(parts: &Parts, above: &[usize]) -> Option<Vec<usize>> {
    let each = parts
        .each
        .iter()
        .filter(|part| is_within(above, &part.closure));
    let below = each.filter(|part| part.closure.len() > above.len());
    let next = below.min_by_key(|part| (part.closure.len(), &part.name))?;
    let beyond = next.closure.iter().filter(|axis| !above.contains(axis));
    Some(beyond.copied().collect())
}

/// The axis whose generation a part shows.
fn root(parts: &Parts, part: usize) -> Option<usize> {
    match parts.each[part].own {
        Own::Axis(_) => Some(part),
        Own::Property { of, .. } if parts.each[of].is_spread() => None,
        Own::Property { of, .. } => root(parts, of),
    }
}

/// The axis whose entities are on the values of a property, or on what these have.
fn owner(parts: &Parts, part: usize) -> usize {
    match parts.each[part].own {
        Own::Axis(_) => part,
        Own::Property { of, .. } => owner(parts, of),
    }
}
