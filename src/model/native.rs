//! The buckets of native histograms: sparse, base-2 exponential, at a schema.
//!
//! At schema `s` the bucket at index `i` holds values above `2^((i - 1) / 2^s)` up to and
//! including `2^(i / 2^s)`; what is at most the zero threshold is in the zero bucket. Only
//! occupied buckets cost anything. Where a series occupies more of them than it may, its
//! schema falls by one, which merges neighbours, until they are few enough, as client
//! libraries do; a series that begins anew begins at the configured schema.

/// The finest schema: 256 buckets for each power of two.
pub const SCHEMA_MAX: i8 = 8;
/// The coarsest schema of formats that carry one: a bucket for 16 powers of two.
pub const SCHEMA_MIN: i8 = -4;

/// How a native histogram divides its observations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NativeLayout {
    /// The finest schema, [`SCHEMA_MIN`] to [`SCHEMA_MAX`]: that of a series that begins.
    pub schema: i8,
    /// Most occupied buckets of a series, the zero bucket apart. At [`SCHEMA_MIN`] there may
    /// be more: all positive doubles lie in 132 of those.
    pub buckets_max: usize,
    /// The largest value in the zero bucket; positive or 0.
    pub zero_threshold: f64,
}

impl NativeLayout {
    /// The index of the bucket of a value above the zero threshold.
    pub fn index(&self, value: f64) -> i32 {
        index(value, self.schema)
    }
}

/// The largest value in the bucket at `index`.
pub fn upper_bound(index: i32, schema: i8) -> f64 {
    libm::exp2(libm::ldexp(f64::from(index), -i32::from(schema)))
}

/// The index of the bucket that a positive value lies in; of the largest double where it is
/// larger than all.
pub fn index(value: f64, schema: i8) -> i32 {
    let value = value.clamp(f64::from_bits(1), f64::MAX);
    let exact = libm::ldexp(libm::log2(value), i32::from(schema));
    // The logarithm is rounded, so the bounds have the last word.
    let mut index = libm::ceil(exact) as i32;
    while value <= upper_bound(index - 1, schema) {
        index -= 1;
    }
    while value > upper_bound(index, schema) {
        index += 1;
    }
    index
}

/// The index, in buckets whose schema is lower by `steps`, of what lies at `index`.
#[inline]
pub fn coarser(index: i32, steps: u32) -> i32 {
    ((index - 1) >> steps) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_belong_to_the_bucket_below() {
        for (value, schema, expected) in [
            (1.0, 0, 0),
            (1.5, 0, 1),
            (2.0, 0, 1),
            (2.0f64.next_up(), 0, 2),
            (1.0, 8, 0),
            (2.0, 8, 256),
            (4.0, 1, 4),
            (0.25, 3, -16),
            (0.25f64.next_up(), 3, -15),
            (f64::MAX, 0, 1024),
            (f64::MAX, -4, 64),
            (f64::INFINITY, 0, 1024),
            (f64::MIN_POSITIVE, 0, -1022),
        ] {
            assert_eq!(index(value, schema), expected, "{value} at {schema}");
        }
    }

    #[test]
    fn a_lower_schema_merges_neighbours() {
        for schema in SCHEMA_MIN + 1..=SCHEMA_MAX {
            for value in [1e-300, 0.001, 0.5, 1.0, 1.1, 3.0, 4.0, 1e300, f64::MAX] {
                let fine = index(value, schema);
                assert_eq!(
                    coarser(fine, 1),
                    index(value, schema - 1),
                    "{value} at {schema}"
                );
            }
        }
    }

    #[test]
    fn the_coarsest_buckets_hold_all_doubles() {
        let (first, last) = (index(0.0, SCHEMA_MIN), index(f64::MAX, SCHEMA_MIN));
        assert_eq!(last - first + 1, 132);
    }
}
