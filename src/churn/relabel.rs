//! `relabel`: a new revision at multiples of `every`, for a share of the slots.
//!
//! At `k·every`, k from 1, slots that are hit get the generation k.

use super::hits::Hits;
use super::state::{Slot, State};
use super::windows::Windows;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relabel {
    /// Window j begins with revision j + 1.
    windows: Windows,
    hits: Hits,
}

impl Relabel {
    pub(super) fn new(windows: Windows, share: f64, law_key: u64) -> Self {
        let hits = Hits::new(share, law_key);
        Self { windows, hits }
    }

    pub(super) fn state(&self, slot: &Slot, time_ns: u64) -> State {
        let last = self.windows.at(time_ns).and_then(|window| {
            let hit = self.hits.last(slot.key, window)?;
            Some((hit + 1, self.windows.start(hit)?))
        });
        let Some((generation, since_ns)) = last else {
            return State::ALWAYS;
        };
        State::of_generation(generation, since_ns)
    }

    pub(super) fn next_change(&self, slot: &Slot, time_ns: u64) -> Option<u64> {
        let window = self.windows.at(time_ns).map_or(0, |window| window + 1);
        self.windows.start(self.hits.next(slot.key, window)?)
    }
}
