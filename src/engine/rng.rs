//! Counter-based randomness: a draw is a function of (series, seed, tick, lane).
//!
//! No generator state is kept between draws, so no draw depends on another,
//! on the order of series or on the thread that asks. Draws are full 64-bit
//! words; read as `u / 2^64` they are uniform on [0, 1).

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::model::identity::mix;

/// Independent streams of one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Lane {
    /// Increments, steps and observed values.
    Value = 1,
    /// How many observations there are, where that is a draw.
    Count = 2,
    /// The series' constant phase.
    Phase = 3,
}

/// The part of a draw that all series of a metric share at one tick.
pub fn tick_key(seed: u64, tick: u64, lane: Lane) -> u64 {
    mix(mix(seed.wrapping_add((lane as u64) << 56)) ^ mix(tick))
}

/// One uniform 64-bit draw for a series.
#[inline(always)]
pub fn draw(series_key: u64, tick_key: u64) -> u64 {
    mix(series_key ^ tick_key)
}

/// A draw as a double in the open interval (0, 1), 52 bits.
#[inline(always)]
pub fn unit(bits: u64) -> f64 {
    ((bits >> 12) as f64 + 0.5) * (1.0 / 4_503_599_627_370_496.0)
}

/// A generator for the rejection methods, which need a variable number of
/// draws; seeded from one draw, thrown away afterwards.
#[derive(Debug)]
pub struct Stream(Xoshiro256PlusPlus);

impl Stream {
    /// Starts from a draw.
    pub fn new(bits: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(bits))
    }

    /// The next 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// The next uniform double in (0, 1).
    pub fn unit(&mut self) -> f64 {
        unit(self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_pinned() {
        // These constants are the promise "same seed, same bytes".
        assert_eq!(tick_key(42, 1, Lane::Value), tick_key(42, 1, Lane::Value));
        assert_ne!(tick_key(42, 1, Lane::Value), tick_key(42, 1, Lane::Count));
        assert_ne!(tick_key(42, 1, Lane::Value), tick_key(42, 2, Lane::Value));
        assert_ne!(tick_key(42, 1, Lane::Value), tick_key(43, 1, Lane::Value));
        assert_eq!(Stream::new(7).bits(), Stream::new(7).bits());
    }

    #[test]
    fn units_stay_inside_the_open_interval() {
        assert!(unit(0) > 0.0);
        assert!(unit(u64::MAX) < 1.0);
    }
}
