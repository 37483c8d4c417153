//! `rollout` of a label: what is below each of its values is replaced in order.
//!
//! Rollout k of a law, from 1, begins at `k·every`. A value takes part in it if it is its
//! turn ([`Turns`]), in which case it is the value's h-th rollout: the i-th of the n entities
//! below switches at `k·every + over·(2i + 1)/2n`, to version h. So generations grow by 1 at
//! each switch, and their number is known without a walk.
//!
//! A value's rollouts that are rolled back have their turns among its rollouts. They stop at
//! `over/2`: those that have switched, the first m = ⌊n/2⌋, switch back in order at
//! `over/2 + over/2·(2i + 1)/2m`, to the version before, and the others never know. With no
//! time between, or none that switches, nothing happens.
//!
//! After a switch the entity before exists as well for `overlap`.

use super::draws::{Draws, Purpose};
use super::state::{Old, Slot, State};
use super::turns::Turns;
use super::windows::Windows;

/// Times of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Durations {
    pub(super) over_ns: u64,
    pub(super) overlap_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rollout {
    /// Window j begins with rollout j + 1.
    windows: Windows,
    durations: Durations,
    /// Which rollouts are a value's.
    own: Turns,
    own_phase: Draws,
    /// Which of those are not rolled back.
    forward: Turns,
    forward_phase: Draws,
}

/// What the rollouts of one value are for one entity below.
struct Course<'a> {
    law: &'a Rollout,
    own_phase: u64,
    forward_phase: u64,
    /// From the beginning of a rollout to the switch.
    switch_ns: u64,
    /// From the beginning to the switch back, if the entity switches at all in rollouts that
    /// are rolled back.
    back_ns: Option<u64>,
}

/// The end of a switch.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// The value's rollout, from 1; 0 before all of them.
    turn: u64,
    is_back: bool,
    generation: u64,
    version: u64,
    at_ns: u64,
}

impl Step {
    const START: Self = Self {
        turn: 0,
        is_back: false,
        generation: 0,
        version: 0,
        at_ns: 0,
    };
}

impl Rollout {
    pub(super) fn new(
        windows: Windows,
        durations: Durations,
        share: f64,
        back: f64,
        law_key: u64,
    ) -> Self {
        Self {
            windows,
            durations,
            own: Turns::new(share),
            own_phase: Draws::new(law_key, Purpose::Turn),
            forward: Turns::all_but(back),
            forward_phase: Draws::new(law_key, Purpose::TurnBack),
        }
    }

    fn course(&self, slot: &Slot) -> Course<'_> {
        let over_ns = self.durations.over_ns;
        let half_ns = over_ns / 2;
        let (switch_ns, back_ns) = if slot.of == 0 {
            (0, Some(half_ns))
        } else {
            let switch_ns = middle(over_ns, slot.rank, slot.of);
            let switching = slot.of / 2;
            let back_ns = || half_ns + middle(over_ns - half_ns, slot.rank, switching);
            (switch_ns, (slot.rank < switching).then(back_ns))
        };
        Course {
            law: self,
            own_phase: self.own_phase.draw(slot.key, 0),
            forward_phase: self.forward_phase.draw(slot.key, 0),
            switch_ns,
            back_ns: back_ns.filter(|&back_ns| back_ns > switch_ns),
        }
    }

    pub(super) fn state(&self, slot: &Slot, time_ns: u64) -> State {
        let course = self.course(slot);
        let step = course.at(time_ns);
        let until_ns = step.at_ns.saturating_add(self.durations.overlap_ns);
        let old = (step.turn > 0 && time_ns < until_ns).then(|| {
            let before = course.before(&step);
            Old {
                until_ns,
                since_ns: before.at_ns,
                version: before.version,
            }
        });
        State {
            exists: true,
            generation: step.generation,
            version: step.version,
            since_ns: step.at_ns,
            changed_ns: step.at_ns,
            old,
        }
    }

    pub(super) fn next_change(&self, slot: &Slot, time_ns: u64) -> Option<u64> {
        let course = self.course(slot);
        let step = course.at(time_ns);
        let until_ns = step.at_ns.saturating_add(self.durations.overlap_ns);
        let overlap = Some(until_ns).filter(|&until_ns| step.turn > 0 && time_ns < until_ns);
        [course.next(&step), overlap].into_iter().flatten().min()
    }
}

impl Course<'_> {
    fn is_forward(&self, turn: u64) -> bool {
        let forward = |turn| self.law.forward.count(self.forward_phase, turn);
        forward(turn) > forward(turn - 1)
    }

    /// When a rollout of the value begins.
    fn start(&self, turn: u64) -> Option<u64> {
        let number = self.law.own.step(self.own_phase, turn)?;
        self.law.windows.start(number.checked_sub(1)?)
    }

    /// The last switch at a time.
    fn at(&self, time_ns: u64) -> Step {
        let Some(window) = self.law.windows.at(time_ns) else {
            return Step::START;
        };
        // Rollouts end before the next begins: only the last may be under way.
        let turn = self.law.own.count(self.own_phase, window.saturating_add(1));
        let Some(start_ns) = self.start(turn) else {
            return Step::START;
        };
        let since_ns = time_ns.saturating_sub(start_ns);
        if since_ns < self.switch_ns {
            return self.after(turn - 1);
        }
        match self.back_ns {
            Some(back_ns) if since_ns < back_ns && !self.is_forward(turn) => self.trial(turn),
            _ => self.after(turn),
        }
    }

    /// The last switch when the first so many rollouts have ended.
    fn after(&self, turns: u64) -> Step {
        let forward = self.law.forward.count(self.forward_phase, turns);
        let version = self.law.forward.step(self.forward_phase, forward);
        let version = version.unwrap_or(0);
        // Whom trials do not reach, the last forward one has reached last.
        let (turn, generation) = match self.back_ns {
            Some(_) => (turns, turns + (turns - forward)),
            None => (version, forward),
        };
        let Some(start_ns) = self.start(turn) else {
            return Step::START;
        };
        let is_back = turn > version;
        let offset_ns = match self.back_ns {
            Some(back_ns) if is_back => back_ns,
            _ => self.switch_ns,
        };
        Step {
            turn,
            is_back,
            generation,
            version,
            at_ns: start_ns.saturating_add(offset_ns),
        }
    }

    /// The first switch of a rollout that is rolled back.
    fn trial(&self, turn: u64) -> Step {
        Step {
            turn,
            is_back: false,
            generation: self.after(turn - 1).generation + 1,
            version: turn,
            at_ns: self
                .start(turn)
                .map_or(u64::MAX, |start| start.saturating_add(self.switch_ns)),
        }
    }

    /// The switch before one.
    fn before(&self, step: &Step) -> Step {
        if step.is_back {
            self.trial(step.turn)
        } else {
            self.after(step.turn - 1)
        }
    }

    /// When the switch after one is.
    fn next(&self, step: &Step) -> Option<u64> {
        if !step.is_back && step.turn > 0 && !self.is_forward(step.turn) {
            // On trial.
            return self.start(step.turn)?.checked_add(self.back_ns?);
        }
        let turn = if self.back_ns.is_some() {
            step.turn + 1
        } else {
            let forward = self.law.forward.count(self.forward_phase, step.turn);
            self.law.forward.step(self.forward_phase, forward + 1)?
        };
        self.start(turn)?.checked_add(self.switch_ns)
    }
}

/// The middle of the `place`-th, from 0, of so many equal parts of a length.
fn middle(length: u64, place: u64, parts: u64) -> u64 {
    if parts == 0 {
        return 0;
    }
    let place = u128::from(place.min(parts - 1));
    // Twice a place is less than 2^64 as long as there are fewer than 2^63.
    let halves = (2 * place + 1).min(u128::from(u64::MAX));
    (u128::from(length) * halves / (2 * u128::from(parts))) as u64
}
