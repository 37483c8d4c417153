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
