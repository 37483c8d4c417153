//! `replace`: one replacement in every window of `lifetime`.
//!
//! In window j the change is at `j·lifetime + offset(slot, j)`, the offset uniform in
//! `0..lifetime`; the generation is `j`, plus 1 once this has come. So lifetimes are between
//! 0 and twice their mean.

use super::draws::{Draws, Purpose};
use super::state::{Slot, State};
use super::windows::Windows;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replace {
    windows: Windows,
    when: Draws,
}

impl Replace {
    pub(super) fn new(windows: Windows, law_key: u64) -> Self {
        let when = Draws::new(law_key, Purpose::When);
        Self { windows, when }
    }

    /// When the change of a window is.
    fn change(&self, slot: &Slot, window: u64) -> Option<u64> {
        let offset_ns = self.when.below(slot.key, window, self.windows.every_ns());
        self.windows.start(window)?.checked_add(offset_ns)
    }

    pub(super) fn state(&self, slot: &Slot, time_ns: u64) -> State {
        let Some(window) = self.windows.at(time_ns) else {
            return State::ALWAYS;
        };
        let change = self.change(slot, window).filter(|&at| at <= time_ns);
        let generation = window + u64::from(change.is_some());
        let before = || self.change(slot, window.checked_sub(1)?);
        let since_ns = change.or_else(before).unwrap_or(0);
        State::of_generation(generation, since_ns)
    }

    pub(super) fn next_change(&self, slot: &Slot, time_ns: u64) -> Option<u64> {
        let Some(window) = self.windows.at(time_ns) else {
            return self.change(slot, 0);
        };
        let this = self.change(slot, window).filter(|&at| at > time_ns);
        this.or_else(|| self.change(slot, window.checked_add(1)?))
    }
}
