//! The buckets of a native histogram's point. Occupied ones alone are kept; OTLP lists all
//! from the first of them to the last.

use crate::otlp::buckets::{POSITIVE_KEY, write_counts, write_zeros};
use crate::proto::wire::{
    fixed64_key, len_field_len, len_key, varint_key, varint_len, write_len_key, write_varint,
    zigzag,
};

/// Field `zero_threshold` of a point.
const ZERO_THRESHOLD_KEY: u8 = fixed64_key(14);

/// Appends how many observations are in the zero bucket, and the buckets at increasing
/// `indices`, none of whose counts is 0.
#[inline]
pub(super) fn write(out: &mut Vec<u8>, zeros: u64, indices: &[i32], counts: &[u64]) {
    write_zeros(out, zeros);
    let (Some(&first), Some(&last)) = (indices.first(), indices.last()) else {
        return write_len_key(out, POSITIVE_KEY, 0);
    };
    let empty = (last - first) as usize + 1 - indices.len();
    let counts_len = empty + counts.iter().map(|&count| varint_len(count)).sum::<usize>();
    // A bucket is known by its upper bound, here by its lower one.
    let offset = zigzag(first - 1);
    let body_len = 1 + varint_len(offset) + len_field_len(counts_len);
    write_len_key(out, POSITIVE_KEY, body_len);
    out.push(varint_key(1));
    write_varint(out, offset);
    write_len_key(out, len_key(2), counts_len);
    if empty == 0 {
        return write_counts(out, counts.iter().copied());
    }
    let mut start = 0;
    while start < indices.len() {
        let neighbours = indices[start..].iter().zip(indices[start]..);
        let run = neighbours.take_while(|&(&index, next)| index == next);
        let end = start + run.count();
        write_counts(out, counts[start..end].iter().copied());
        if let Some(next) = indices.get(end) {
            let empty = (next - indices[end - 1] - 1) as usize;
            out.resize(out.len() + empty, 0);
        }
        start = end;
    }
}

/// Appends the largest value that counts as zero.
pub(super) fn write_zero_threshold(out: &mut Vec<u8>, zero_threshold: f64) {
    if zero_threshold > 0.0 {
        out.push(ZERO_THRESHOLD_KEY);
        out.extend_from_slice(&zero_threshold.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::proto::otlp::ExponentialHistogramDataPoint as Point;

    proptest! {
        /// Whichever buckets are occupied, a point lists these and empty ones in between.
        #[test]
        fn buckets_are_listed_densely(
            occupied in prop::collection::btree_map(-300..300i32, 1..u64::MAX, 0..40),
            shift in 0..64u32,
            zeros in prop_oneof![Just(0), any::<u64>()],
        ) {
            let indices: Vec<i32> = occupied.keys().copied().collect();
            let counts: Vec<u64> = occupied.values().map(|count| (count >> shift).max(1)).collect();
            let mut out = Vec::new();
            write(&mut out, zeros, &indices, &counts);
            let point = Point::decode(out.as_slice()).unwrap();
            prop_assert_eq!(point.encode_to_vec(), out);
            let positive = point.positive.unwrap();
            prop_assert_eq!(point.zero_count, zeros);
            let listed = (positive.offset + 1..).zip(positive.bucket_counts.iter().copied());
            let found: Vec<(i32, u64)> = listed.filter(|&(_, count)| count > 0).collect();
            prop_assert_eq!(found, indices.iter().copied().zip(counts).collect::<Vec<_>>());
            let ends = [positive.bucket_counts.first(), positive.bucket_counts.last()];
            prop_assert!(ends.into_iter().flatten().all(|&count| count > 0));
        }
    }
}
