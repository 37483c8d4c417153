//! Which exponential buckets hold everything that a histogram can observe.
//!
//! They are dense: known before the first tick, but for spikes
//! ([`ExponentialColumn`](super::ExponentialColumn)).

use crate::algorithm::distribution::Distribution;
use crate::config::{Kind, Metric};
use crate::model::exponential::ExponentialLayout;

/// The share of observations beyond the first and the last position.
const END_SHARE: f64 = 1.0 / 36_893_488_147_419_103_232.0;

/// The finest layout of at most `size_max` buckets (at least 2) for a
/// histogram; none for other metrics.
pub fn layout(metric: &Metric, size_max: usize) -> Option<ExponentialLayout> {
    let Kind::Histogram { observations, .. } = &metric.kind else {
        return None;
    };
    let (min, max) = ends(&observations.distribution);
    Some(ExponentialLayout::covering(min, max, size_max))
}

/// The smallest and the largest value that is ever drawn.
pub(super) fn ends(distribution: &Distribution) -> (f64, f64) {
    (
        distribution.lower_quantile(END_SHARE),
        distribution.upper_quantile(END_SHARE),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::distribution::{Exponential, LogNormal};

    #[test]
    fn the_ends_are_those_of_the_table() {
        for distribution in [
            Distribution::LogNormal(LogNormal {
                mu: -2.0,
                sigma: 0.7,
            }),
            Distribution::LogNormal(LogNormal {
                mu: 100.0,
                sigma: 50.0,
            }),
            Distribution::LogNormal(LogNormal {
                mu: 1.0,
                sigma: 0.0,
            }),
            Distribution::Exponential(Exponential { lambda: 3.0 }),
        ] {
            let table = distribution.table();
            let (min, max) = ends(&distribution);
            assert_eq!((table.value(0), table.value(u64::MAX)), (min, max));
        }
    }
}
