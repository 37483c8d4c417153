//! Keyed permutations of the numbers below a bound.

use crate::random::mix;

/// A bijection of `0..len` onto itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Permutation {
    len: u64,
    mask: u64,
    shift: u32,
    key: u64,
}

impl Permutation {
    const ROUNDS: u64 = 3;

    /// One of the numbers below `len`, which is from 1 to 2^63.
    pub(super) fn new(len: u64, key: u64) -> Self {
        let bits = u64::BITS - (len - 1).leading_zeros();
        Self {
            len,
            mask: (1 << bits) - 1,
            // At least 1: a shift by none would be no bijection.
            shift: (bits / 2).max(1),
            key,
        }
    }

    /// The image of a number below `len`.
    pub(super) fn of(&self, number: u64) -> u64 {
        debug_assert!(number < self.len);
        let mut image = number;
        // The rounds permute all numbers of so many bits: on from those that are too large,
        // of which there are fewer than there are others.
        loop {
            image = self.rounds(image);
            if image < self.len {
                return image;
            }
        }
    }

    fn rounds(&self, mut number: u64) -> u64 {
        for round in 0..Self::ROUNDS {
            let key = mix(self.key ^ round);
            // Odd factors, sums and shifted differences can all be undone.
            number = number.wrapping_add(key).wrapping_mul(key >> 32 | 1) & self.mask;
            number ^= number >> self.shift;
            number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) & self.mask;
            number ^= number >> self.shift;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_one_image() {
        for len in [1, 2, 3, 4, 5, 7, 27, 64, 65, 729, 1000, 19683] {
            for key in [0, 1, 42, u64::MAX] {
                let permutation = Permutation::new(len, key);
                let mut images: Vec<u64> = (0..len).map(|n| permutation.of(n)).collect();
                images.sort_unstable();
                assert!(images.into_iter().eq(0..len), "{len} {key}");
            }
        }
        for len in [(1 << 63) - 25, 1 << 63, 27_u64.pow(13)] {
            let permutation = Permutation::new(len, 7);
            assert!(
                [0, 1, len / 2, len - 1]
                    .map(|n| permutation.of(n))
                    .iter()
                    .all(|&n| n < len)
            );
        }
    }

    #[test]
    fn keys_give_different_orders_and_neighbours_part() {
        let images = |key| -> Vec<u64> {
            let permutation = Permutation::new(1000, key);
            (0..1000).map(|n| permutation.of(n)).collect()
        };
        let (one, other) = (images(1), images(2));
        let same = one.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(same < 20, "{same}");
        let close = one
            .windows(2)
            .filter(|pair| pair[0].abs_diff(pair[1]) < 10)
            .count();
        assert!(close < 60, "{close}");
    }
}
