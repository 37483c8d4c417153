//! Counter-based randomness: a draw is a function of (series, seed, tick, lane).
//!
//! No generator state is kept between draws, so no draw depends on another,
//! on the order of series or on the thread that asks. Draws are full 64-bit
//! words; read as `u / 2^64` they are uniform on [0, 1).
//!
//! A key is mixed from all four by xor. Kernels get it in two parts: the label-set
//! key of each series, and what the family shares at a tick, the [`tick_key`] with
//! the hash of the metric's name mixed in.

pub(crate) mod alias;
pub mod discrete;
#[cfg(test)]
mod goodness;
pub mod normal;
pub mod quantile;
pub mod thinning;
pub(crate) mod wide;

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// One step of `SplitMix64` from the given state: a bijection with full avalanche.
#[inline(always)]
pub fn mix(state: u64) -> u64 {
    SplitMix64::seed_from_u64(state).next_u64()
}

/// The bound below which the given share (0 or more) of all 64-bit keys and draws
/// lies; from a share of 1 on it is the largest key, which itself is not below.
#[inline]
pub fn threshold(share: f64) -> u64 {
    const WHOLE: f64 = 18_446_744_073_709_551_616.0;
    (share * WHOLE) as u64
}

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
    /// Whether a point is missing.
    Missing = 4,
    /// Whether a value is NaN.
    Nan = 5,
    /// Whether a series' totals start again from zero.
    Reset = 6,
    /// Whether a fault makes a series stale; drawn for the fault's id, not a tick.
    Stale = 7,
    /// Whether a point is sent after those of the next tick.
    OutOfOrder = 8,
    /// Whether a point is sent after everything else.
    Late = 9,
    /// Whether a series has an exemplar.
    Exemplar = 10,
    /// Which observation it is, its time and labels.
    ExemplarParts = 11,
}

/// The part of a draw that all series of a metric share at one tick.
pub fn tick_key(seed: u64, tick: u64, lane: Lane) -> u64 {
    mix(mix(seed ^ mix(!(lane as u64))) ^ mix(tick))
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

/// Draws for a run of series, a cache-resident piece at a time: `each` gets the
/// offset of the piece and its draws.
///
/// Modifiers may leave runs of single series, whose draws take less time than clearing
/// room for a whole piece; so short runs have room of their own.
#[inline(always)]
pub fn for_draws(series_keys: &[u64], tick_key: u64, mut each: impl FnMut(usize, &[u64])) {
    const PIECE: usize = 256;
    const SHORT: usize = 8;
    let (mut short, mut piece);
    let room: &mut [u64] = if series_keys.len() <= SHORT {
        short = [0; SHORT];
        &mut short
    } else {
        piece = [0; PIECE];
        &mut piece
    };
    for (index, keys) in series_keys.chunks(PIECE).enumerate() {
        let draws = &mut room[..keys.len()];
        draws.copy_from_slice(keys);
        wide::mix_each(draws, tick_key);
        each(index * PIECE, draws);
    }
}

/// A generator for the rejection methods, which need a variable number of
/// draws; seeded from one draw, thrown away afterwards.
#[derive(Debug)]
pub struct Stream(SplitMix64);

impl Stream {
    /// Starts from a draw.
    pub fn new(bits: u64) -> Self {
        Self(SplitMix64::seed_from_u64(bits))
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
        assert_eq!(tick_key(42, 1, Lane::Value), 0x637e_e397_04bf_b8c4);
        assert_eq!(tick_key(42, 1, Lane::Count), 0x6de3_7da0_f0d6_c664);
        assert_eq!(tick_key(42, 2, Lane::Value), 0xf6bc_7457_9274_97ec);
        assert_eq!(tick_key(43, 1, Lane::Value), 0xa8a8_a91e_25be_6932);
        assert_eq!(draw(7, 0x637e_e397_04bf_b8c4), 0x8647_95fd_147b_dc89);
        assert_eq!(Stream::new(7).bits(), 0x63cb_e1e4_5932_0dd7);
    }

    #[test]
    fn runs_of_draws_are_the_single_draws() {
        // Short ones, one piece, and more.
        for len in [0, 1, 2, 8, 9, 256, 257, 1000] {
            let keys: Vec<u64> = (0..len).map(mix).collect();
            let mut seen = Vec::new();
            for_draws(&keys, 77, |offset, draws| {
                assert_eq!(offset, seen.len());
                seen.extend_from_slice(draws);
            });
            let single: Vec<u64> = keys.iter().map(|&key| draw(key, 77)).collect();
            assert_eq!(seen, single);
        }
    }

    #[test]
    fn units_stay_inside_the_open_interval() {
        assert!(unit(0) > 0.0);
        assert!(unit(u64::MAX) < 1.0);
    }

    #[test]
    fn thresholds_are_shares_of_all_keys() {
        assert_eq!(threshold(0.0), 0);
        assert_eq!(threshold(0.25), 1 << 62);
        assert_eq!(threshold(1.0), u64::MAX);
        assert_eq!(threshold(7.0), u64::MAX);
    }
}
