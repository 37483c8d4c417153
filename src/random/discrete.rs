//! Poisson and binomial draws, exact for every mean.
//!
//! A Poisson mean that all series of a metric share becomes an alias table:
//! one draw, one look-up. Means that differ per series, and means too large
//! for a table, are drawn by inversion or by Hörmann's transformed rejection
//! (PTRS for Poisson, BTRS for binomial; "The transformed rejection method for
//! generating Poisson random variables", 1993). Which method a draw takes
//! depends on its mean alone.

use crate::random::Stream;
use crate::random::alias::AliasTable;

/// Means above this are drawn by rejection rather than from a table.
pub const TABLE_MEAN_MAX: f64 = 4096.0;
/// Smallest mean for which rejection is valid and faster than inversion.
const REJECTION_MEAN_MIN: f64 = 12.0;

/// A Poisson distribution as an alias table.
#[derive(Debug, Default, Clone)]
pub struct PoissonTable {
    mean: f64,
    outcomes: AliasTable,
}

impl PoissonTable {
    /// Makes the table that of `mean`, 0 ≤ mean ≤ [`TABLE_MEAN_MAX`].
    pub fn set_mean(&mut self, mean: f64) {
        assert!((0.0..=TABLE_MEAN_MAX).contains(&mean));
        if self.mean == mean && !self.outcomes.is_empty() {
            return;
        }
        self.mean = mean;
        let (down, up) = (|k: f64| k / mean, |k: f64| mean / (k + 1.0));
        self.outcomes.set(mean.floor(), down, up);
    }

    /// Bytes that it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.outcomes.memory_bytes()
    }

    /// The outcome for one draw.
    #[inline(always)]
    pub fn value(&self, bits: u64) -> u64 {
        self.outcomes.value(bits)
    }
}

/// One Poisson draw of any mean ≥ 0, a whole number.
pub fn poisson(mean: f64, stream: &mut Stream) -> f64 {
    if mean < REJECTION_MEAN_MIN {
        return poisson_by_inversion(mean, stream.unit());
    }
    let root = libm::sqrt(mean);
    let b = 0.931 + 2.53 * root;
    let a = -0.059 + 0.02483 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let v_r = 0.9277 - 3.6224 / (b - 2.0);
    loop {
        let u = stream.unit() - 0.5;
        let v = stream.unit();
        let us = 0.5 - u.abs();
        let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
        if us >= 0.07 && v <= v_r {
            return k;
        }
        if k < 0.0 || (us < 0.013 && v > us) {
            continue;
        }
        let left = libm::log(v * inverse_alpha / (a / (us * us) + b));
        if left <= log_poisson(mean, k) {
            return k;
        }
    }
}

/// Logarithm of the probability of `k`; for large `k` by Stirling's series,
/// written around the mean so that nothing large cancels.
fn log_poisson(mean: f64, k: f64) -> f64 {
    if k < 16.0 {
        return k * libm::log(mean) - mean - libm::lgamma(k + 1.0);
    }
    let away = (k - mean) / mean;
    let series = (1.0 / 12.0 - 1.0 / (360.0 * k * k)) / k;
    let half_log = 0.5 * libm::log(std::f64::consts::TAU * k);
    (k - mean) - k * libm::log1p(away) - half_log - series
}

/// The smallest k whose cumulated probability exceeds `u`.
fn poisson_by_inversion(mean: f64, mut u: f64) -> f64 {
    let mut p = libm::exp(-mean);
    let mut k = 0.0;
    // Beyond this, rounding would be all that is left of `u`.
    while u >= p && k < 200.0 {
        u -= p;
        k += 1.0;
        p *= mean / k;
    }
    k
}

/// Number of heads among `count` fair coins.
pub fn binomial_half(count: u64, stream: &mut Stream) -> u64 {
    if count <= 2048 {
        let words = count / 64;
        let whole: u32 = (0..words).map(|_| stream.bits().count_ones()).sum();
        let rest = stream.bits() & ((1u64 << (count % 64)) - 1);
        return u64::from(whole + rest.count_ones());
    }
    let n = count as f64;
    let spread = 0.5 * libm::sqrt(n);
    let b = 1.15 + 2.53 * spread;
    let a = -0.0873 + 0.0248 * b + 0.005;
    let c = 0.5 * n + 0.5;
    let v_r = 0.92 - 4.2 / b;
    let alpha = (2.83 + 5.1 / b) * spread;
    let mode = (0.5 * (n + 1.0)).floor();
    loop {
        let u = stream.unit() - 0.5;
        let v = stream.unit();
        let us = 0.5 - u.abs();
        let k = ((2.0 * a / us + b) * u + c).floor();
        if us >= 0.07 && v <= v_r {
            return k as u64;
        }
        if k < 0.0 || k > n {
            continue;
        }
        let left = libm::log(v * alpha / (a / (us * us) + b));
        if left <= log_coins(n, k) - log_coins(n, mode) {
            return k as u64;
        }
    }
}

/// Logarithm of "n choose k" up to a constant of n, by Stirling's series, for
/// large n; written around n / 2 so that nothing large cancels. Outside the
/// middle three quarters, where less than 2^-300 of the probability lies, it
/// is minus infinity.
fn log_coins(n: f64, k: f64) -> f64 {
    if k < 0.125 * n || k > 0.875 * n {
        return f64::NEG_INFINITY;
    }
    let other = n - k;
    let away = (2.0 * k - n) / n;
    let series = |x: f64| 0.5 * libm::log(x) + (1.0 / 12.0 - 1.0 / (360.0 * x * x)) / x;
    -(k * libm::log1p(away) + other * libm::log1p(-away)) - series(k) - series(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::goodness::chi_square_excess;

    /// Probabilities of 0, 1, 2 … by the definition.
    fn poisson_probabilities(mean: f64, count: usize) -> Vec<f64> {
        (0..count)
            .map(|k| {
                let k = k as f64;
                libm::exp(k * libm::log(mean) - mean - libm::lgamma(k + 1.0))
            })
            .collect()
    }

    fn check_poisson(mean: f64, draw: impl Fn(u64) -> u64) {
        const DRAWS: u64 = 1_000_000;
        let cells = (mean + 20.0 * mean.sqrt() + 40.0) as usize;
        let mut observed = vec![0; cells];
        for index in 0..DRAWS {
            observed[draw(crate::random::mix(index)) as usize] += 1;
        }
        let excess = chi_square_excess(poisson_probabilities(mean, cells), &observed, DRAWS as f64);
        assert!(excess < 5.0, "mean {mean}: {excess} sigma");
    }

    #[test]
    fn tables_draw_poisson() {
        let mut table = PoissonTable::default();
        for mean in [0.01, 0.5, 3.0, 12.0, 77.7, 1000.0, 4096.0] {
            table.set_mean(mean);
            check_poisson(mean, |bits| table.value(bits));
        }
        table.set_mean(0.0);
        assert_eq!((table.value(0), table.value(u64::MAX)), (0, 0));
    }

    #[test]
    fn inversion_and_rejection_draw_poisson() {
        for mean in [0.01, 0.5, 3.0, 11.9, 12.1, 77.7, 5000.0] {
            check_poisson(mean, |bits| poisson(mean, &mut Stream::new(bits)) as u64);
        }
        assert_eq!(poisson(0.0, &mut Stream::new(1)), 0.0);
    }

    #[test]
    fn huge_means_have_the_right_mean_and_variance() {
        for mean in [1e6, 1e9, 1e12, 1e17] {
            const DRAWS: u64 = 100_000;
            let (mut sum, mut squares) = (0.0, 0.0);
            for index in 0..DRAWS {
                let z = (poisson(mean, &mut Stream::new(index)) - mean) / mean.sqrt();
                sum += z;
                squares += z * z;
            }
            let draws = DRAWS as f64;
            assert!((sum / draws).abs() < 5.0 / draws.sqrt());
            assert!((squares / draws - 1.0).abs() < 5.0 * (2.0 / draws).sqrt());
        }
    }

    #[test]
    fn coins_are_fair() {
        const DRAWS: u64 = 300_000;
        for count in [1u64, 9, 63, 64, 65, 1000, 2049, 10_000] {
            let mut probabilities = vec![0.0; count as usize + 1];
            let n = count as f64;
            for (k, p) in probabilities.iter_mut().enumerate() {
                let k = k as f64;
                *p = libm::exp(
                    libm::lgamma(n + 1.0)
                        - libm::lgamma(k + 1.0)
                        - libm::lgamma(n - k + 1.0)
                        - n * std::f64::consts::LN_2,
                );
            }
            let mut observed = vec![0; count as usize + 1];
            for index in 0..DRAWS {
                observed[binomial_half(count, &mut Stream::new(index)) as usize] += 1;
            }
            let excess = chi_square_excess(probabilities, &observed, DRAWS as f64);
            assert!(excess < 5.0, "count {count}: {excess} sigma");
        }
        assert_eq!(binomial_half(0, &mut Stream::new(1)), 0);
    }
}
