//! Whether draws are distributed as they should be; for tests.

/// Cells that expect fewer of the draws are counted together.
const EXPECTED_MIN: f64 = 20.0;

/// Pearson's statistic of how often each number was drawn beside their probabilities, as
/// standard deviations above its expectation.
///
/// # Panics
/// When what is as good as impossible happens often.
pub(super) fn chi_square_excess(
    probabilities: impl IntoIterator<Item = f64>,
    observed: &[u64],
    draws: f64,
) -> f64 {
    let (mut statistic, mut cells) = (0.0, 0.0);
    let (mut expected_rest, mut observed_rest) = (0.0, 0.0);
    for (p, &seen) in probabilities.into_iter().zip(observed) {
        let expected = p * draws;
        if expected >= EXPECTED_MIN {
            statistic += (seen as f64 - expected).powi(2) / expected;
            cells += 1.0;
        } else {
            expected_rest += expected;
            observed_rest += seen as f64;
        }
    }
    if expected_rest >= EXPECTED_MIN {
        statistic += (observed_rest - expected_rest).powi(2) / expected_rest;
        cells += 1.0;
    } else {
        assert!(observed_rest < 60.0, "{observed_rest} of {expected_rest}");
    }
    let freedom: f64 = (cells - 1.0_f64).max(1.0);
    (statistic - freedom) / (2.0 * freedom).sqrt()
}
