//! What is drawn for laws: keys, offsets and shares.

use crate::random;

/// One stream of draws of one law: a word for each key and window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Draws(u64);

/// What a draw is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Purpose {
    /// When in a window.
    When = 1,
    /// Whether in a window, or in a run of windows.
    Whether = 2,
    /// In which window of a run.
    Which = 3,
    /// Where turns begin.
    Turn = 4,
    /// The same for turns among turns.
    TurnBack = 5,
}

impl Draws {
    pub(super) fn new(law_key: u64, purpose: Purpose) -> Self {
        Self(random::mix(law_key ^ random::mix(!(purpose as u64))))
    }

    /// Uniform 64 bits.
    #[inline]
    pub(super) fn draw(self, key: u64, window: u64) -> u64 {
        random::mix(key ^ random::mix(self.0 ^ random::mix(window)))
    }

    /// Uniform in `0..range`; 0 where the range is 0.
    #[inline]
    pub(super) fn below(self, key: u64, window: u64, range: u64) -> u64 {
        ((u128::from(self.draw(key, window)) * u128::from(range)) >> 64) as u64
    }
}

/// A key from several words, in their order.
pub(super) fn key_of(words: &[u64]) -> u64 {
    let add = |key: u64, word: &u64| random::mix(key ^ random::mix(*word));
    words.iter().fold(words.len() as u64, add)
}

/// A share in units of 2^-64, with 2^64 for 1 and more.
pub(super) fn share_of_2_64(share: f64) -> u128 {
    if share >= 1.0 {
        1 << 64
    } else {
        u128::from(random::threshold(share))
    }
}
