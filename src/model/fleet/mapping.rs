//! Which value a property has.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::permutation::Permutation;
use crate::config::Spread;
use crate::random::mix;

/// Values that are looked at before one is taken that will not do.
const CANDIDATES_MAX: u64 = 64;

/// From what has a property to the index of its value: of the seed, the names of both labels,
/// how many values there are, and the one that has it. So wherever a property is defined alike,
/// the same has the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mapping {
    spread: Spread,
    count: u64,
    key: u64,
    ranks: Permutation,
}

/// What a property is looked up for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    /// Its text.
    pub(super) text: &'a [u8],
    /// Its place among all of its label.
    pub(super) rank: u64,
    /// Which one at that place it is.
    pub(super) generation: u64,
}

impl Mapping {
    /// Of a label with `count` values, at least 1, and the label that has it, with `of_count`.
    pub(super) fn new(
        spread: Spread,
        seed: u64,
        (name, count): (&str, u64),
        (of_name, of_count): (&str, u64),
    ) -> Self {
        let key = xxh3_64_with_seed(name.as_bytes(), mix(seed));
        let key = xxh3_64_with_seed(of_name.as_bytes(), key);
        Self {
            spread,
            count,
            key,
            ranks: Permutation::new(of_count, key),
        }
    }

    /// The first candidate that is fit, or the first of all where none of the first is.
    pub(super) fn first_fit(&self, owner: Owner<'_>, is_fit: impl Fn(u64) -> bool) -> u64 {
        let first = self.candidate(owner, 0);
        if is_fit(first) {
            return first;
        }
        let mut others = (1..CANDIDATES_MAX).map(|number| self.candidate(owner, number));
        others.find(|&value| is_fit(value)).unwrap_or(first)
    }

    /// The index of its value, or of another one to fall back on: the first is number 0. Of
    /// `spread: even` as many as there are values are all of them.
    ///
    /// Even means in turns: as many as there are values get one each. The next generation of
    /// a turn goes on by a step that is the turn's own, so that those of one value, each of
    /// another turn, part, and shares stay even where all have come as far.
    fn candidate(&self, owner: Owner<'_>, number: u64) -> u64 {
        if self.count == 1 {
            return 0;
        }
        match self.spread {
            Spread::Hash => {
                let hash = xxh3_64_with_seed(owner.text, self.key.wrapping_add(number));
                ((u128::from(hash) * u128::from(self.count)) >> 64) as u64
            }
            Spread::Even => {
                let place = self.ranks.of(owner.rank);
                let turn = place / self.count;
                let step = 1 + turn % (self.count - 1);
                let moved = u128::from(owner.generation) * u128::from(step);
                let sum = u128::from(place) + moved + u128::from(number);
                (sum % u128::from(self.count)) as u64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(spread: Spread, count: u64, of_count: u64, generation: u64) -> Vec<usize> {
        let mapping = Mapping::new(spread, 42, ("node", count), ("pod", of_count));
        let mut shares = vec![0; count as usize];
        for rank in 0..of_count {
            let text = format!("pod-{rank}");
            let owner = Owner {
                text: text.as_bytes(),
                rank,
                generation,
            };
            shares[mapping.candidate(owner, 0) as usize] += 1;
        }
        shares
    }

    #[test]
    fn even_shares_differ_by_one_at_most() {
        for (count, of_count) in [(1, 9), (2, 9), (3, 300), (7, 1000), (50, 20)] {
            for generation in [0, 1, 12] {
                let shares = shares(Spread::Even, count, of_count, generation);
                let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
                assert!(most - least <= 1, "{shares:?}");
            }
        }
    }

    /// Where one value fails, those that had it go to all the others.
    #[test]
    fn those_of_one_even_value_part() {
        let mapping = Mapping::new(Spread::Even, 42, ("node", 10), ("pod", 900));
        let at = |rank, generation| {
            let owner = Owner {
                text: b"",
                rank,
                generation,
            };
            mapping.candidate(owner, 0)
        };
        for generation in [0, 1, 7] {
            let mut shares = [0; 10];
            for rank in (0..900).filter(|&rank| at(rank, generation) == 3) {
                shares[at(rank, generation + 1) as usize] += 1;
            }
            let failed = std::mem::take(&mut shares[3]);
            assert_eq!((failed, shares.iter().sum::<u64>()), (0, 90), "{shares:?}");
            let others = shares.iter().enumerate().filter(|(value, _)| *value != 3);
            assert!(others.clone().all(|(_, &share)| share == 10), "{shares:?}");
        }
    }

    #[test]
    fn hashed_shares_differ_by_chance() {
        let shares = shares(Spread::Hash, 10, 10_000, 0);
        // Ten binomials with a mean of 1000 and a deviation of 30.
        assert!(
            shares.iter().all(|&share| (850..1150).contains(&share)),
            "{shares:?}"
        );
    }

    #[test]
    fn candidates_of_even_are_all_values() {
        let mapping = Mapping::new(Spread::Even, 1, ("zone", 5), ("node", 12));
        let owner = Owner {
            text: b"node-3",
            rank: 3,
            generation: 2,
        };
        let mut candidates: Vec<u64> = (0..5).map(|i| mapping.candidate(owner, i)).collect();
        candidates.sort_unstable();
        assert_eq!(candidates, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn names_and_seed_decide() {
        let of = |seed, name, of_name| -> Vec<u64> {
            let mapping = Mapping::new(Spread::Hash, seed, (name, 9), (of_name, 50));
            let owner = |rank| Owner {
                text: b"x",
                rank,
                generation: 0,
            };
            (0..50)
                .map(|number| mapping.candidate(owner(0), number))
                .collect()
        };
        let one = of(1, "node", "pod");
        assert_eq!(one, of(1, "node", "pod"));
        for other in [
            of(2, "node", "pod"),
            of(1, "zone", "pod"),
            of(1, "node", "job"),
        ] {
            assert_ne!(one, other);
        }
    }
}
