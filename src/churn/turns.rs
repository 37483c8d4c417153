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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_of_a_turn_is_the_first_with_so_many() {
        for share in [0.0, 0.25, 0.5, 0.7, 1.0] {
            // Phases that meet whole turns exactly as well as nearly.
            for phase in [0, 1, (1 << 62) - 1, 1 << 62, 1 << 63, u64::MAX] {
                for turns in [Turns::new(share), Turns::all_but(share)] {
                    for turn in 1..40 {
                        let first = (1..400).find(|&step| turns.count(phase, step) >= turn);
                        let step = turns.step(phase, turn).filter(|&step| step < 400);
                        assert_eq!(step, first, "{share} {phase} {turn}");
                    }
                    assert_eq!(turns.step(phase, 0), None);
                }
            }
        }
    }

    #[test]
    fn turns_are_counted_up_to_the_last_step() {
        let all = Turns::new(1.0);
        assert_eq!(all.count(u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(all.step(0, u64::MAX), Some(u64::MAX));
        assert_eq!(Turns::new(0.001).step(0, u64::MAX), None);
        assert_eq!(Turns::new(0.0).step(0, 1), None);
    }
}
