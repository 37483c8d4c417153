//! The slow twin: walks a law moment by moment, from time 0, and keeps what has happened.
//!
//! It shares nothing with the laws but their keys and the mixing of draws.

use crate::churn::law_key;
use crate::churn::{Old, Slot, State};
use crate::config::{Law, Mode};
use crate::random::{mix, threshold};

/// A law, its draws and the slot that it is walked for.
struct Walk<'a> {
    law: &'a Law,
    once_ns: Option<u64>,
    key: u64,
    slot: Slot,
    end_ns: u64,
}

/// The states at each of the times `0..end_ns`.
pub(super) fn states(
    law: &Law,
    once_ns: Option<u64>,
    seed: u64,
    slot: Slot,
    end_ns: u64,
) -> Vec<State> {
    let key = law_key(law, once_ns, seed, 0);
    let walk = Walk {
        law,
        once_ns,
        key,
        slot,
        end_ns,
    };
    match walk.law.mode {
        Mode::Replace { lifetime_ns } => walk.replace(lifetime_ns),
        Mode::Rollout { .. } => walk.rollout(),
        Mode::Restart {
            every_ns,
            share,
            down_ns,
        } => walk.pauses(every_ns, share, down_ns, slot.key),
        Mode::Outage {
            every_ns,
            share,
            down_ns,
            ..
        } => walk.pauses(every_ns, share, down_ns, 0),
        Mode::Relabel { every_ns, share } => walk.relabel(every_ns, share),
        Mode::Job {
            every_ns,
            lifetime_ns,
        } => walk.job(every_ns, lifetime_ns),
    }
}

fn begin(state: &mut State, time_ns: u64) {
    state.exists = true;
    state.since_ns = time_ns;
}

fn replace(state: &mut State, time_ns: u64) {
    state.generation += 1;
    state.version = state.generation;
    state.changed_ns = time_ns;
    begin(state, time_ns);
}

impl Walk<'_> {
    fn draw(&self, purpose: u64, key: u64, window: u64) -> u64 {
        mix(key ^ mix(mix(self.key ^ mix(!purpose)) ^ mix(window)))
    }

    fn below(&self, purpose: u64, key: u64, window: u64, range: u64) -> u64 {
        ((u128::from(self.draw(purpose, key, window)) * u128::from(range)) >> 64) as u64
    }

    /// The number of the window that begins at a time, from 0.
    fn window(&self, time_ns: u64, every_ns: u64, first: u64) -> Option<u64> {
        match self.once_ns {
            Some(start_ns) => (time_ns == start_ns).then_some(0),
            None if !time_ns.is_multiple_of(every_ns) => None,
            None => (time_ns / every_ns).checked_sub(first),
        }
    }

    fn is_hit(&self, share: f64, window: u64) -> bool {
        if share >= 1.0 {
            return true;
        }
        let mut below = u128::from(threshold(share));
        if below == 0 {
            return false;
        }
        let mut run = 1;
        while below * 2 <= 1 << 63 {
            below *= 2;
            run *= 2;
        }
        let number = window / run;
        let key = self.slot.key;
        u128::from(self.draw(2, key, number)) < below
            && (run == 1 || self.below(3, key, number, run) == window % run)
    }

    fn walk(&self, mut state: State, mut step: impl FnMut(u64, &mut State)) -> Vec<State> {
        let mut states = Vec::new();
        for time_ns in 0..self.end_ns {
            step(time_ns, &mut state);
            states.push(state);
        }
        states
    }

    fn replace(&self, lifetime_ns: u64) -> Vec<State> {
        let mut change = None;
        self.walk(State::ALWAYS, |now, state| {
            if let Some(window) = self.window(now, lifetime_ns, 0) {
                change = Some(now + self.below(1, self.slot.key, window, lifetime_ns));
            }
            if change == Some(now) {
                replace(state, now);
            }
        })
    }

    fn pauses(&self, every_ns: u64, share: f64, down_ns: u64, when_key: u64) -> Vec<State> {
        let mut pause = None;
        self.walk(State::ALWAYS, |now, state| {
            let window = self.window(now, every_ns, 0);
            if let Some(window) = window.filter(|&window| self.is_hit(share, window)) {
                let start = now + self.below(1, when_key, window, every_ns - down_ns);
                pause = Some((start, start + down_ns));
            }
            if pause.is_some_and(|(start, _)| start == now) {
                state.exists = false;
            }
            if pause.is_some_and(|(_, end)| end == now) {
                begin(state, now);
            }
        })
    }

    fn relabel(&self, every_ns: u64, share: f64) -> Vec<State> {
        self.walk(State::ALWAYS, |now, state| {
            let window = self.window(now, every_ns, 1);
            if let Some(window) = window.filter(|&window| self.is_hit(share, window)) {
                state.generation = window;
                replace(state, now);
            }
        })
    }

    fn job(&self, every_ns: u64, lifetime_ns: u64) -> Vec<State> {
        let phase_ns = self.below(1, self.slot.key, 0, every_ns);
        // The one that began before the run, a whole round before the first.
        let mut left = (phase_ns + lifetime_ns).saturating_sub(every_ns);
        let first = State {
            exists: left > 0,
            ..State::ALWAYS
        };
        self.walk(first, |now, state| {
            if now % every_ns == phase_ns {
                replace(state, now);
                left = lifetime_ns;
            }
            state.exists = left > 0;
            left = left.saturating_sub(1);
        })
    }

    fn rollout(&self) -> Vec<State> {
        let Mode::Rollout {
            every_ns,
            over_ns,
            share,
            overlap_ns,
            back,
        } = self.law.mode
        else {
            unreachable!("the caller has looked");
        };
        let units = |share: f64| {
            if share >= 1.0 {
                1 << 64
            } else {
                u128::from(threshold(share))
            }
        };
        let mut own = u128::from(self.draw(4, self.slot.key, 0));
        let mut forward = u128::from(self.draw(5, self.slot.key, 0));
        // Adds to one of them; whether it is a turn.
        let turn = |pile: &mut u128, share: u128| {
            *pile += share;
            let is_turn = *pile >= 1 << 64;
            *pile &= u128::from(u64::MAX);
            is_turn
        };
        let half_ns = over_ns / 2;
        let Slot { rank, of, .. } = self.slot;
        // Whether the middle of one part of a time has come, once it is rounded down.
        let has_come = |passed_ns: u64, length_ns: u64, parts: u64| {
            2 * parts * (passed_ns + 1) > length_ns * (2 * rank + 1)
        };
        let switches = |passed: u64| of == 0 || has_come(passed, over_ns, of);
        let switches_back = |passed: u64| {
            passed >= half_ns && (of == 0 || has_come(passed - half_ns, over_ns - half_ns, of / 2))
        };
        let is_early = of == 0 || 2 * rank + 1 < of;
        let mut turns = 0;
        // Of the rollout under way: its beginning, whether it goes forward, switches so far.
        let mut under_way: Option<(u64, bool, u32)> = None;
        let mut good_version = 0;
        self.walk(State::ALWAYS, |now, state| {
            if self.window(now, every_ns, 1).is_some() && turn(&mut own, units(share)) {
                turns += 1;
                under_way = Some((now, turn(&mut forward, (1 << 64) - units(back)), 0));
            }
            state.old = state.old.filter(|old| now < old.until_ns);
            let Some((start, is_forward, switched)) = under_way else {
                return;
            };
            let passed = now - start;
            let to = if is_forward && switched == 0 && switches(passed) {
                good_version = turns;
                turns
            } else if !is_forward && is_early && switched == 0 && switches(passed) {
                if switches_back(passed) {
                    under_way = None;
                    return;
                }
                turns
            } else if !is_forward && switched == 1 && switches_back(passed) {
                good_version
            } else {
                return;
            };
            under_way = Some((start, is_forward, switched + 1));
            let old = Old {
                until_ns: now + overlap_ns,
                since_ns: state.since_ns,
                version: state.version,
            };
            replace(state, now);
            state.version = to;
            state.old = (overlap_ns > 0).then_some(old);
        })
    }
}
