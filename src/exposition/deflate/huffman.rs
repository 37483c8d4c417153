//! Huffman codes within DEFLATE's limits (RFC 1951, section 3.2.2).
//!
//! A code gives frequent symbols short runs of bits. Only their *lengths* are
//! transmitted: codes of one length are consecutive numbers in the order of
//! the symbols, so the lengths determine all codes.
//!
//! Every code built here is complete (Kraft's sum is exactly one) and has at
//! least two symbols, which is what every decoder accepts.

use super::bits::Bits;

/// No alphabet has more symbols.
const SYMBOLS_MAX: usize = 288;
/// The longest code of any kind.
const LENGTH_MAX: usize = 15;

/// Sets the length of each symbol's code from how often it occurs; zero for
/// symbols that do not occur. No code is longer than `length_max`.
///
/// The lengths are optimal where the limit does not matter. Where it does, the
/// codes that are too long are cut and the shortest lengthening elsewhere
/// makes up for it.
pub(super) fn set_lengths(counts: &[u32], length_max: usize, lengths: &mut [u8]) {
    assert!(counts.len() <= SYMBOLS_MAX && counts.len() == lengths.len());
    assert!(length_max <= LENGTH_MAX && counts.len() <= 1 << length_max);
    lengths.fill(0);
    let mut order = [0u64; SYMBOLS_MAX];
    let used = sort_by_count(counts, &mut order);
    let mut weights = [0u64; SYMBOLS_MAX];
    for (weight, symbol) in weights.iter_mut().zip(&order[..used]) {
        *weight = symbol >> 16;
    }
    let mut of_length = count_lengths(&mut weights[..used], length_max);
    limit_lengths(&mut of_length, length_max);
    // The rarest symbols get the longest codes.
    let mut symbols = order[..used].iter().map(|key| (key & 0xFFFF) as usize);
    for length in (1..=length_max).rev() {
        for symbol in symbols.by_ref().take(of_length[length] as usize) {
            lengths[symbol] = length as u8;
        }
    }
}

/// The symbols that occur (at least two, whatever the counts), the rarest
/// first, as count and symbol in one key; returns how many.
fn sort_by_count(counts: &[u32], order: &mut [u64; SYMBOLS_MAX]) -> usize {
    let mut used = 0;
    let missing = 2usize.saturating_sub(counts.iter().filter(|&&count| count > 0).count());
    let mut spare = missing;
    for (symbol, &count) in counts.iter().enumerate() {
        let mut count = count;
        if count == 0 && spare > 0 {
            (count, spare) = (1, spare - 1);
        }
        if count > 0 {
            order[used] = u64::from(count) << 16 | symbol as u64;
            used += 1;
        }
    }
    order[..used].sort_unstable();
    used
}

/// How many codes of each length Huffman's algorithm yields for `weights` in
/// increasing order. Lengths beyond `length_max` count as that.
///
/// The calculation needs no memory but the weights' own (Moffat and Katajainen,
/// "In-Place Calculation of Minimum-Redundancy Codes", 1995).
fn count_lengths(weights: &mut [u64], length_max: usize) -> [u32; LENGTH_MAX + 1] {
    let count = weights.len();
    // First: join the two lightest again and again. A place holds a leaf's
    // weight, then an inner node's, then that node's parent.
    let (mut leaf, mut root) = (0, 0);
    for next in 0..count - 1 {
        let mut sum = 0;
        for _ in 0..2 {
            if leaf < count && (root >= next || weights[leaf] <= weights[root]) {
                sum += weights[leaf];
                leaf += 1;
            } else {
                sum += weights[root];
                weights[root] = next as u64;
                root += 1;
            }
        }
        weights[next] = sum;
    }
    // Second: depths of inner nodes, from the root, which is the last.
    weights[count - 2] = 0;
    for node in (0..count - 2).rev() {
        weights[node] = weights[weights[node] as usize] + 1;
    }
    // Third: what is not an inner node at its depth is a leaf.
    let mut of_length = [0; LENGTH_MAX + 1];
    let mut places = 1u64;
    let mut inner = weights[..count - 1].iter().rev().copied().peekable();
    let mut left = count as u64;
    let mut depth = 0;
    while left > 0 {
        let mut joined = 0;
        while inner.next_if_eq(&depth).is_some() {
            joined += 1;
        }
        let leaves = places - joined;
        of_length[(depth as usize).min(length_max)] += leaves as u32;
        left -= leaves;
        places = 2 * joined;
        depth += 1;
    }
    of_length
}

/// Makes the code complete again after lengths were cut to `length_max`.
fn limit_lengths(of_length: &mut [u32; LENGTH_MAX + 1], length_max: usize) {
    let kraft = |of_length: &[u32; LENGTH_MAX + 1]| -> u64 {
        (1..=length_max)
            .map(|length| u64::from(of_length[length]) << (length_max - length))
            .sum()
    };
    // In units of the longest code. Each turn frees exactly one: a code of the
    // greatest length goes to where a shorter one is, one level down.
    for _ in (1 << length_max)..kraft(of_length) {
        of_length[length_max] -= 1;
        let shorter = (1..length_max)
            .rev()
            .find(|&length| of_length[length] > 0)
            .expect("not all of at most 2^max symbols have the greatest length");
        of_length[shorter] -= 1;
        of_length[shorter + 1] += 2;
    }
    debug_assert_eq!(kraft(of_length), 1 << length_max);
}

/// The codes for given lengths, their bits in the order they are written.
pub(super) fn set_codes(lengths: &[u8], codes: &mut [Bits]) {
    assert_eq!(lengths.len(), codes.len());
    let mut of_length = [0u32; LENGTH_MAX + 1];
    for &length in lengths {
        of_length[usize::from(length)] += 1;
    }
    of_length[0] = 0;
    // The first code of a length follows the last one of the length before.
    let mut next = [0u32; LENGTH_MAX + 1];
    for length in 1..=LENGTH_MAX {
        next[length] = (next[length - 1] + of_length[length - 1]) << 1;
    }
    for (code, &length) in codes.iter_mut().zip(lengths) {
        *code = Bits::default();
        if length > 0 {
            let number = &mut next[usize::from(length)];
            // Codes are the one thing in the format that goes highest bit first.
            let bits = number.reverse_bits() >> (32 - u32::from(length));
            *code = Bits::new(bits, length.into());
            *number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use proptest::prelude::*;

    use super::*;

    fn lengths(counts: &[u32], length_max: usize) -> Vec<u8> {
        let mut lengths = vec![0; counts.len()];
        set_lengths(counts, length_max, &mut lengths);
        lengths
    }

    /// What decoders demand of a code, and what makes it a good one.
    fn check(counts: &[u32], length_max: usize) {
        let lengths = lengths(counts, length_max);
        let used = |&length: &&u8| *length > 0;
        let kraft: u64 = lengths
            .iter()
            .filter(used)
            .map(|&length| 1 << (length_max - usize::from(length)))
            .sum();
        assert_eq!(kraft, 1 << length_max, "complete, hence within the limit");
        let occurring = counts.iter().filter(|&&count| count > 0).count();
        assert_eq!(lengths.iter().filter(used).count(), occurring.max(2));
        for (a, &count_a) in counts.iter().enumerate() {
            assert!(count_a == 0 || lengths[a] > 0);
            for (b, &count_b) in counts.iter().enumerate() {
                let rarer = 0 < count_a && count_a < count_b;
                assert!(!rarer || lengths[a] >= lengths[b]);
            }
        }
    }

    fn cost(counts: &[u32], lengths: &[u8]) -> u64 {
        let symbols = counts.iter().zip(lengths);
        symbols
            .map(|(&count, &length)| u64::from(count) * u64::from(length))
            .sum()
    }

    /// The cost of Huffman's code by the textbook, without a limit: the sum of
    /// all inner nodes' weights.
    fn optimal_cost(counts: &[u32]) -> u64 {
        let used = counts.iter().filter(|&&count| count > 0);
        let mut heap: BinaryHeap<_> = used.map(|&count| Reverse(u64::from(count))).collect();
        let mut cost = 0;
        while let (Some(Reverse(a)), Some(Reverse(b))) = (heap.pop(), heap.pop()) {
            cost += a + b;
            heap.push(Reverse(a + b));
        }
        cost
    }

    #[test]
    fn adverse_counts_stay_within_the_limit() {
        let mut fibonacci = vec![1u32, 1];
        while fibonacci.len() < 46 {
            fibonacci.push(fibonacci[fibonacci.len() - 1] + fibonacci[fibonacci.len() - 2]);
        }
        let powers: Vec<u32> = (0..32).map(|power| 1 << power).collect();
        for length_max in [7, 9, 15] {
            check(&fibonacci, length_max);
            check(&powers, length_max);
            check(&[u32::MAX; 128], length_max);
            check(&[u32::MAX, 1], length_max);
            check(&[0, 0, 5, 0], length_max);
            check(&[0, 0], length_max);
        }
        let mut all = [1u32; SYMBOLS_MAX];
        check(&all, 9);
        all[7] = u32::MAX;
        check(&all, 9);
        check(&all, 15);
    }

    proptest! {
        /// For every count of every symbol and every limit, the code is
        /// complete, and rarer symbols have no shorter codes.
        #[test]
        fn codes_are_complete(
            counts in prop::collection::vec(prop_oneof![0..3u32, 0..1000u32, any::<u32>()], 2..128),
            length_max in 7..=15usize,
        ) {
            check(&counts, length_max);
        }

        /// For every count of few symbols, which the limit leaves alone, no
        /// code is better.
        #[test]
        fn codes_are_optimal(counts in prop::collection::vec(0..1000u32, 2..=16)) {
            prop_assume!(counts.iter().filter(|&&count| count > 0).count() >= 2);
            let lengths = lengths(&counts, 15);
            prop_assert_eq!(cost(&counts, &lengths), optimal_cost(&counts));
        }
    }

    /// The example of RFC 1951, section 3.2.2.
    #[test]
    fn codes_are_numbered_as_specified() {
        let lengths = [3, 3, 3, 3, 3, 2, 4, 4];
        let mut codes = [Bits::default(); 8];
        set_codes(&lengths, &mut codes);
        let expected = [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111_u32];
        for (code, (number, length)) in codes.iter().zip(expected.into_iter().zip(lengths)) {
            assert_eq!(code.len, u32::from(length));
            assert_eq!(code.value.reverse_bits() >> (32 - code.len), number);
        }
    }
}
