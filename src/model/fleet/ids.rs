//! Identifiers as Kubernetes generates them for names.

use super::permutation::Permutation;
use crate::random::mix;

/// Neither vowels nor what is easily mistaken: no word that anybody could mind.
pub(super) const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The characters that are a permutation; those before them in longer identifiers are a hash.
const PERMUTED_MAX: u32 = 13;

/// Appends `len` characters, a function of `key`, which tells base and place from others, and of
/// an own number below `count` at a generation.
///
/// Two of the same key differ while `generation` times the next power of two of `count` is below
/// 27^`len`. Beyond that, identifiers come again, the oldest first.
pub(super) fn write_id(
    key: u64,
    (number, count): (u64, u64),
    generation: u64,
    len: u8,
    out: &mut Vec<u8>,
) {
    let permuted = u32::from(len).min(PERMUTED_MAX);
    let bound = 27_u64.pow(permuted);
    // By powers of two: a range may grow for a while and all that were there keep theirs.
    let stride = u128::from(count.max(1)).next_power_of_two();
    let place = (u128::from(generation) * stride + u128::from(number)) % u128::from(bound);
    let image = Permutation::new(bound, key).of(place as u64);
    let mut rest = mix(image ^ mix(!key));
    for _ in permuted..u32::from(len) {
        out.push(ALPHABET[((u128::from(rest) * 27) >> 64) as usize]);
        rest = mix(rest);
    }
    let mut rest = image;
    for _ in 0..permuted {
        out.push(ALPHABET[(rest % 27) as usize]);
        rest /= 27;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn id(key: u64, number: (u64, u64), generation: u64, len: u8) -> String {
        let mut out = b"-".to_vec();
        write_id(key, number, generation, len, &mut out);
        String::from_utf8(out).unwrap()[1..].to_owned()
    }

    #[test]
    fn numbers_and_generations_have_ids_of_their_own() {
        for (len, count, generations) in [
            (1, 4, 6),
            (2, 10, 45),
            (3, 100, 150),
            (5, 50, 1000),
            (20, 9, 99),
        ] {
            let mut seen = HashSet::new();
            for generation in 0..generations {
                for number in 0..count {
                    let id = id(9, (number, count), generation, len);
                    assert_eq!(id.len(), usize::from(len));
                    assert!(id.bytes().all(|c| ALPHABET.contains(&c)), "{id}");
                    assert!(seen.insert(id), "{len} {number} {generation}");
                }
            }
        }
    }

    #[test]
    fn ids_come_again_when_there_are_no_more() {
        let round: Vec<String> = (0..28)
            .map(|generation| id(3, (0, 1), generation, 1))
            .collect();
        assert_eq!(round[0], round[27]);
        assert_eq!(round[..27].iter().collect::<HashSet<_>>().len(), 27);
        // As large as can be.
        id(3, (u64::MAX - 1, u64::MAX), u64::MAX, 32);
    }

    #[test]
    fn a_range_that_grows_keeps_the_ids_it_had() {
        assert_eq!(id(5, (17, 33), 8, 5), id(5, (17, 64), 8, 5));
        assert_ne!(id(5, (17, 33), 8, 5), id(6, (17, 33), 8, 5));
    }

    #[test]
    fn ids_are_pinned() {
        // Changing these changes every name that every seed produces.
        assert_eq!(id(42, (0, 10), 0, 5), "4pnd5");
        assert_eq!(id(42, (1, 10), 0, 10), "r9ptqwgx5v");
        assert_eq!(id(42, (1, 10), 1, 16), "fq9t8z9vzqdjsg7c");
    }
}
