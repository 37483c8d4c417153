//! Base-2 exponential buckets: which ones cover a range of values.
//!
//! At scale `s` the bucket at index `k` holds values above `2^(k / 2^s)` up to
//! and including `2^((k + 1) / 2^s)`. The range of values that a histogram can
//! observe without spikes is known before it runs, so its buckets are chosen once:
//! the finest ones that are few enough.

/// The finest scale in use; finer ones only tell apart rounding errors.
const SCALE_MAX: i32 = 20;
/// The coarsest scale in use: two buckets cover all positive doubles.
const SCALE_MIN: i32 = -10;

/// A run of neighbouring exponential buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExponentialLayout {
    /// The base is `2^(2^-scale)`.
    pub scale: i32,
    /// Index of the first bucket.
    pub offset: i32,
    /// Number of buckets, at least 1.
    pub len: usize,
    /// How many there may be where a spike carries values out of these, at least 2
    /// and at least `len`.
    pub len_max: usize,
}

impl ExponentialLayout {
    /// The finest buckets, at most `size_max` of them (at least 2), that hold
    /// all values from `min` to `max`. Values that normal doubles cannot tell
    /// from 0 or infinity count as the smallest and the largest of those.
    pub fn covering(min: f64, max: f64, size_max: usize) -> Self {
        let (min, max) = normal(min, max);
        let len_max = size_max.max(2);
        let layouts = (SCALE_MIN..=SCALE_MAX).rev().map(|scale| {
            let offset = index(min, scale);
            Self {
                scale,
                offset,
                len: (index(max, scale) - offset) as usize + 1,
                len_max,
            }
        });
        let mut fitting = layouts.filter(|layout| layout.len <= len_max);
        fitting.next().expect("two buckets cover all doubles")
    }

    /// The upper bounds of all buckets but the last.
    pub fn inner_bounds(&self) -> impl Iterator<Item = f64> {
        let (scale, offset) = (self.scale, self.offset);
        (1..self.len as i32).map(move |cell| lower_bound(offset + cell, scale))
    }

    /// The indices, at its scale, of the buckets that hold `min` and `max`, which
    /// are clamped as in [`Self::covering`].
    pub fn indices(&self, min: f64, max: f64) -> (i32, i32) {
        let (min, max) = normal(min, max);
        (index(min, self.scale), index(max, self.scale))
    }

    /// The bound below the bucket at an index of its scale, exclusive.
    pub fn lower_bound(&self, index: i32) -> f64 {
        lower_bound(index, self.scale)
    }
}

/// Both ends of a range as normal positive numbers.
fn normal(min: f64, max: f64) -> (f64, f64) {
    let min = min.clamp(f64::MIN_POSITIVE, f64::MAX);
    (min, max.clamp(min, f64::MAX))
}

/// The bound below the bucket at `index`, exclusive.
fn lower_bound(index: i32, scale: i32) -> f64 {
    libm::exp2(libm::ldexp(f64::from(index), -scale))
}

/// The index of the bucket that holds a positive normal value.
fn index(value: f64, scale: i32) -> i32 {
    // The logarithm is rounded, so the bounds have the last word.
    let mut index = libm::floor(libm::ldexp(libm::log2(value), scale)) as i32;
    while value <= lower_bound(index, scale) {
        index -= 1;
    }
    while value > lower_bound(index + 1, scale) {
        index += 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_belong_to_the_bucket_below() {
        let check = |value: f64, scale: i32, expected: i32| {
            assert_eq!(index(value, scale), expected, "{value} at {scale}");
        };
        check(1.0, 0, -1);
        check(1.5, 0, 0);
        check(2.0, 0, 0);
        check(2.0f64.next_up(), 0, 1);
        check(4.0, 1, 3);
        check(4.0f64.next_up(), 1, 4);
        check(0.25, 3, -17);
        check(1.0, 20, -1);
        check(1.0f64.next_up(), 20, 0);
        check(f64::MAX, -10, 0);
        check(f64::MIN_POSITIVE, -10, -1);
        check(f64::MIN_POSITIVE, 0, -1023);
    }

    #[test]
    fn layouts_are_the_finest_that_fit() {
        for (min, max) in [(0.001, 60.0), (1.0, 1.0), (3.0, 3.1), (1e-300, 1e300)] {
            for size_max in [2, 3, 20, 160, 320] {
                let layout = ExponentialLayout::covering(min, max, size_max);
                assert!(layout.len <= size_max);
                assert_eq!(layout.inner_bounds().count() + 1, layout.len);
                assert!(
                    layout
                        .inner_bounds()
                        .all(|bound| min <= bound && bound < max)
                );
                assert!(layout.inner_bounds().is_sorted_by(|a, b| a < b));
                if layout.scale < SCALE_MAX {
                    let finer = layout.scale + 1;
                    let len = index(max, finer) - index(min, finer) + 1;
                    assert!(len as usize > size_max);
                }
            }
        }
    }

    #[test]
    fn values_beyond_doubles_are_counted_at_the_ends() {
        let layout = ExponentialLayout::covering(0.0, f64::INFINITY, 160);
        assert_eq!((layout.scale, layout.offset), (-4, -64));
        assert_eq!(layout.len, 128);
        assert_eq!(ExponentialLayout::covering(0.0, f64::INFINITY, 0).len, 2);
    }
}
