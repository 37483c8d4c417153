//! `restart` and `outage`: at most one pause in every window, for some keys.
//!
//! In window j, of keys that are hit, the pause is `[t, t + down)` with
//! `t = j·every + offset`, the offset uniform in `0..every - down`, so that it ends within
//! the window. A restart has an offset for each slot, an outage one for all values that fail
//! in the window. Identity stays; what returns began at `t + down`.

use super::draws::{Draws, Purpose};
use super::hits::Hits;
use super::state::State;
use super::windows::Windows;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pauses {
    windows: Windows,
    down_ns: u64,
    hits: Hits,
    when: Draws,
    /// Whether those of one window are at the same time.
    are_common: bool,
}

impl Pauses {
    pub(super) fn new(
        windows: Windows,
        down_ns: u64,
        share: f64,
        are_common: bool,
        law_key: u64,
    ) -> Self {
        Self {
            windows,
            down_ns,
            hits: Hits::new(share, law_key),
            when: Draws::new(law_key, Purpose::When),
            are_common,
        }
    }

    /// Beginning and end of the pause of a window.
    fn pause(&self, key: u64, window: u64) -> Option<(u64, u64)> {
        let key = if self.are_common { 0 } else { key };
        let free_ns = self.windows.every_ns().saturating_sub(self.down_ns);
        let offset_ns = self.when.below(key, window, free_ns);
        let start_ns = self.windows.start(window)?.checked_add(offset_ns)?;
        Some((start_ns, start_ns.saturating_add(self.down_ns)))
    }

    pub(super) fn state(&self, key: u64, time_ns: u64) -> State {
        let began = |window: u64| {
            let hit = self.hits.last(key, window)?;
            let pause = self.pause(key, hit)?;
            Some((hit, pause))
        };
        let last = self.windows.at(time_ns).and_then(|window| {
            let (hit, pause) = began(window)?;
            if pause.0 <= time_ns {
                return Some(pause);
            }
            began(hit.checked_sub(1)?).map(|(_, pause)| pause)
        });
        let Some((start_ns, end_ns)) = last else {
            return State::ALWAYS;
        };
        let exists = time_ns >= end_ns;
        State {
            exists,
            since_ns: if exists { end_ns } else { start_ns },
            ..State::ALWAYS
        }
    }

    pub(super) fn next_change(&self, key: u64, time_ns: u64) -> Option<u64> {
        let window = self.windows.at(time_ns).unwrap_or(0);
        let hit = self.hits.next(key, window)?;
        let (start_ns, end_ns) = self.pause(key, hit)?;
        if start_ns > time_ns {
            return Some(start_ns);
        }
        if end_ns > time_ns {
            return Some(end_ns);
        }
        let hit = self.hits.next(key, hit.checked_add(1)?)?;
        self.pause(key, hit).map(|(start_ns, _)| start_ns)
    }
}

/// The outages of a law, one by one, for properties whose entities move: only who knows the
/// values of an entity can tell which of them concern it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outages(Pauses);

impl Outages {
    pub(super) fn new(pauses: Pauses) -> Self {
        Self(pauses)
    }

    /// Beginning and end of the outage of a window, from 0. It may hit no value at all.
    /// None where there is no such window, or it is beyond all time.
    pub fn window(&self, window: u64) -> Option<(u64, u64)> {
        self.0.pause(0, window)
    }

    /// The last window whose outage has begun.
    pub fn last_window(&self, time_ns: u64) -> Option<u64> {
        let window = self.0.windows.at(time_ns)?;
        let has_begun = |window: u64| self.window(window).is_some_and(|(at, _)| at <= time_ns);
        if has_begun(window) {
            return Some(window);
        }
        window.checked_sub(1).filter(|&window| has_begun(window))
    }

    /// How often each value fails, per nanosecond.
    pub fn rate(&self) -> f64 {
        self.0.hits.share() / self.0.windows.every_ns() as f64
    }

    /// How many outages have begun after time 0.
    pub fn begun(&self, time_ns: u64) -> u64 {
        let all = self.last_window(time_ns).map_or(0, |window| window + 1);
        let at_once = self.window(0).is_some_and(|(start_ns, _)| start_ns == 0);
        all.saturating_sub(u64::from(at_once))
    }

    /// Whether the value with this key fails in a window.
    pub fn fails(&self, window: u64, key: u64) -> bool {
        self.0.hits.is_hit(key, window)
    }

    /// The last window, up to this one, in which the value with this key fails.
    pub fn last_failing(&self, window: u64, key: u64) -> Option<u64> {
        self.0.hits.last(key, window)
    }

    /// The first window, from this one on, in which the value with this key fails.
    pub fn next_failing(&self, window: u64, key: u64) -> Option<u64> {
        let window = self.0.hits.next(key, window)?;
        self.0.windows.start(window).map(|_| window)
    }
}
