//! Counts and sums that a backend should find: values in, [`Totals`] out.

/// Numbers of samples, and their sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Totals {
    /// Samples, NaN among them.
    pub(super) count: u64,
    /// Samples that are NaN.
    pub(super) nan: u64,
    sum: f64,
    /// What was rounded off `sum`.
    lost: f64,
    /// Sum of absolute values.
    pub(super) magnitude: f64,
    fractional: bool,
    /// How far the values may be off together.
    slack: f64,
}

impl Totals {
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1;
        if value.is_nan() {
            self.nan += 1;
            return;
        }
        // Neumaier's summation: the error does not grow with the count.
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() {
            (self.sum - sum) + value
        } else {
            (value - sum) + self.sum
        };
        self.sum = sum;
        self.magnitude += value.abs();
        self.fractional |= value.trunc() != value;
    }

    /// Adds a value that may be off by so much.
    #[inline]
    pub(super) fn add_grown(&mut self, (value, slack): (f64, f64)) {
        self.add(value);
        self.slack += slack;
    }

    /// The sum of what is not NaN.
    pub(super) fn sum(&self) -> f64 {
        if self.sum.is_finite() {
            self.sum + self.lost
        } else {
            self.sum
        }
    }

    /// How far a backend's sum may be off: none for integers below 2^53, else
    /// what adding in any order can round off, and what `tolerance` allows of
    /// each value. `None` where infinities leave no sum to compare.
    pub(super) fn error_max(&self, tolerance: f64) -> Option<f64> {
        const INTEGERS_MAX: f64 = 9_007_199_254_740_992.0;
        if !self.magnitude.is_finite() {
            return None;
        }
        let off = tolerance * self.magnitude + self.slack;
        if !self.fractional && self.magnitude < INTEGERS_MAX {
            return Some(off);
        }
        let numbers = (self.count - self.nan) as f64;
        Some(numbers * f64::EPSILON * self.magnitude + off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_integers_are_exact_and_others_have_a_bound() {
        let mut totals = Totals::default();
        for value in [1.0, 2.0, 4_503_599_627_370_496.0] {
            totals.add(value);
        }
        assert_eq!(totals.error_max(0.0), Some(0.0));
        assert_eq!(totals.sum(), 4_503_599_627_370_499.0);
        totals.add(f64::NAN);
        assert_eq!((totals.count, totals.nan), (4, 1));
        assert_eq!(totals.sum(), 4_503_599_627_370_499.0);
        totals.add(0.5);
        let error_max = totals.error_max(0.0).unwrap();
        assert!((3.9..4.1).contains(&error_max), "{error_max}");
        totals.add(f64::INFINITY);
        assert_eq!(totals.error_max(0.0), None);
        assert_eq!(totals.sum(), f64::INFINITY);
    }

    #[test]
    fn small_values_do_not_get_lost_in_large_sums() {
        let mut totals = Totals::default();
        totals.add(1e100);
        totals.add(1.0);
        totals.add(-1e100);
        assert_eq!(totals.sum(), 1.0);
    }
}
