//! Turns at a steady pace, for laws that have to count them.
//!
//! With a share p and a phase φ in 0..1 that is drawn, ⌊k·p + φ⌋ turns have come by step k:
//! each step is a turn with probability p over all phases, turns of one key are as evenly
//! spaced as can be, and their number needs no walk over the steps.

use super::draws::share_of_2_64;

/// Turns in a share of all steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turns {
    /// In units of 2^-64, up to 2^64.
    share: u128,
}

impl Turns {
    /// A share within 0..=1.
    pub(super) fn new(share: f64) -> Self {
        Self {
            share: share_of_2_64(share),
        }
    }

    /// All steps but a share of them.
    pub(super) fn all_but(share: f64) -> Self {
        Self {
            share: (1 << 64) - share_of_2_64(share),
        }
    }

    /// How many there are in steps `1..=step`; the phase is in units of 2^-64.
    pub(super) fn count(self, phase: u64, step: u64) -> u64 {
        // At most (2^64 - 1) × 2^64 + 2^64 - 1.
        ((u128::from(step) * self.share + u128::from(phase)) >> 64) as u64
    }

    /// The step of a turn, both from 1; none for turn 0 and beyond all steps.
    pub(super) fn step(self, phase: u64, turn: u64) -> Option<u64> {
        if turn == 0 {
            return None;
        }
        if self.share == 1 << 64 {
            return Some(turn);
        }
        let whole = (u128::from(turn) << 64) - u128::from(phase);
        let step = whole.checked_next_multiple_of(self.share)? / self.share;
        u64::try_from(step).ok()
    }
}
