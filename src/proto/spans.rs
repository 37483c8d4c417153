//! Occupied buckets as the spans and deltas of native histograms: runs of buckets, each with
//! how far it is from the one before, and how much counts differ from their neighbours'.
//!
//! As client libraries do it, up to two empty buckets between occupied ones are sent as such,
//! since a span takes more.

use crate::proto::wire::{varint_len, zigzag};

/// Most empty buckets in a row within a span.
const GAP_MAX: i32 = 2;

/// What is told of occupied buckets, in their order: how many empty ones are before each, and
/// whether that begins a span.
fn steps(indices: &[i32]) -> impl Iterator<Item = (i32, bool)> + '_ {
    let mut before = None;
    indices
        .iter()
        .map(move |&index| match before.replace(index) {
            None => (index, true),
            Some(before) => (index - before - 1, index - before - 1 > GAP_MAX),
        })
}

/// Calls `each` with every span: how far its first bucket is behind the last of the span
/// before, or its index, and how many buckets it has. There is always one, if an empty one: by
/// that readers see that a histogram is native.
pub(crate) fn each_span(indices: &[i32], mut each: impl FnMut(i32, u32)) {
    let (mut offset, mut len) = (0, 0);
    for (empty, is_new) in steps(indices) {
        if !is_new {
            len += empty as u32 + 1;
            continue;
        }
        if len > 0 {
            each(offset, len);
        }
        (offset, len) = (empty, 1);
    }
    each(offset, len);
}

/// Calls `each` with the count of every bucket of all spans less that of the one before.
pub(crate) fn each_delta(indices: &[i32], counts: &[u64], mut each: impl FnMut(i64)) {
    let mut last = 0;
    for ((empty, is_new), &count) in steps(indices).zip(counts) {
        if !is_new && empty > 0 {
            each(-last);
            for _ in 1..empty {
                each(0);
            }
            last = 0;
        }
        each((count as i64).wrapping_sub(last));
        last = count as i64;
    }
}

/// Bytes of a span's two numbers with their keys, as a message of its own.
pub(crate) const fn span_len(offset: i32, len: u32) -> usize {
    2 + varint_len(zigzag(offset)) + varint_len(len as u64)
}

/// Deltas of so many occupied buckets, at most.
pub(crate) const fn deltas_max(occupied: usize) -> usize {
    occupied * (1 + GAP_MAX as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is occupied, a reader finds it again.
        #[test]
        fn readers_find_what_is_occupied(
            buckets in prop::collection::btree_map(-60..60i32, 1..1000u64, 0..30)
        ) {
            let indices: Vec<i32> = buckets.keys().copied().collect();
            let counts: Vec<u64> = buckets.values().copied().collect();
            let (mut spans, mut deltas) = (Vec::new(), Vec::new());
            each_span(&indices, |offset, len| spans.push((offset, len)));
            each_delta(&indices, &counts, |delta| deltas.push(delta));
            prop_assert!(deltas.len() <= deltas_max(indices.len()));
            prop_assert!(spans[1..].iter().all(|&(offset, _)| offset > GAP_MAX));
            let (mut index, mut count, mut found) = (0, 0, BTreeMap::new());
            let mut deltas = deltas.into_iter();
            for (offset, len) in spans {
                index += offset;
                for _ in 0..len {
                    count += deltas.next().expect("a delta for each bucket");
                    if count != 0 {
                        found.insert(index, count as u64);
                    }
                    index += 1;
                }
            }
            prop_assert_eq!(deltas.next(), None);
            prop_assert_eq!(found, buckets);
        }
    }
}
