//! A sample of many observations without drawing each.
//!
//! The observations of one series at one tick are positions `u` in [0, 2^64),
//! uniform and independent; their values come from a [`QuantileTable`]. They
//! are addressed through an implicit binary tree: a node is a dyadic interval
//! and knows how many observations it holds, the left half takes a binomial
//! share of them, and a node with at most `LEAF_MAX` lists theirs. So the
//! number of observations below any position costs a descent of logarithmic
//! length, and every question about one sample gets a consistent answer.

use crate::random::discrete::binomial_half;
use crate::random::mix;
use crate::random::quantile::QuantileTable;
use crate::random::{Stream, draw, unit};

/// Nodes with at most this many observations list them.
const LEAF_MAX: u64 = 8;
/// Nodes above this depth are always split before their sum is approximated.
const SUM_DEPTH_MIN: u32 = 3;
/// Nodes at this depth are not split further for the sake of their sum.
const SUM_DEPTH_MAX: u32 = 24;

/// The observations of one series at one tick.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The series' key combined with the tick's.
    pub key: u64,
    /// How many there are.
    pub count: u64,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    /// 1 for the root; children of `n` are `2n` and `2n + 1`.
    id: u64,
    /// First position.
    start: u64,
    depth: u32,
    count: u64,
}

impl Sample {
    /// Those of a series whose mean number at a tick is `mean`, its weight included; the
    /// tick's keys are those of values and of counts.
    #[inline]
    pub fn of(key: u64, (value_key, count_key): (u64, u64), mean: f64) -> Self {
        Self {
            key: key ^ value_key,
            // One each is common, and needs no draw.
            count: if mean == 1.0 {
                1
            } else {
                observation_count(mean, draw(key, count_key))
            },
        }
    }

    /// The `index`-th observation of a sample of at most `LEAF_MAX`.
    #[inline(always)]
    pub fn position(&self, index: u64) -> u64 {
        leaf_draw(self.key, 1, index)
    }

    /// One of all observations, by its place among those that [`Self::list`] lists.
    pub fn nth(&self, mut place: u64) -> u64 {
        let mut node = self.root();
        while node.count > LEAF_MAX {
            let (left, right) = node.split(self.key);
            node = if place < left.count {
                left
            } else {
                place -= left.count;
                right
            };
        }
        node.position(self.key, place)
    }

    /// How many observations lie below `position`.
    pub fn count_below(&self, position: u64) -> u64 {
        let mut node = self.root();
        let mut below = 0;
        loop {
            if node.count <= LEAF_MAX {
                let listed = (0..node.count).filter(|&i| node.position(self.key, i) < position);
                return below + listed.count() as u64;
            }
            let (left, right) = node.split(self.key);
            if position >= right.start {
                below += left.count;
                node = right;
            } else {
                node = left;
            }
        }
    }

    /// Adds to `counts` the number of observations below each threshold (not
    /// below the one before it), thresholds increasing, the rest in one more
    /// cell; returns the sum of their values.
    pub fn tally(&self, thresholds: &[u64], values: &QuantileTable, counts: &mut [u64]) -> f64 {
        assert_eq!(counts.len(), thresholds.len() + 1);
        self.tally_node(self.root(), thresholds, values, counts)
    }

    /// The lowest and the highest position; `None` of no observations.
    pub fn ends(&self) -> Option<(u64, u64)> {
        if self.count == 0 {
            return None;
        }
        let end_node = |is_lower: bool| {
            let mut node = self.root();
            while node.count > LEAF_MAX {
                let (left, right) = node.split(self.key);
                let (outer, inner) = if is_lower {
                    (left, right)
                } else {
                    (right, left)
                };
                node = if outer.count > 0 { outer } else { inner };
            }
            node
        };
        let positions = |node: Node| (0..node.count).map(move |i| node.position(self.key, i));
        let lowest = positions(end_node(true)).min()?;
        Some((lowest, positions(end_node(false)).max()?))
    }

    /// Appends to `cells` every cell between thresholds that holds something, in increasing
    /// order, and how much; thresholds as for [`Self::tally`], which counts the same.
    pub fn occupied(&self, thresholds: &[u64], cells: &mut Vec<(u32, u64)>) {
        let from = cells.len();
        self.occupied_in(self.root(), thresholds, cells);
        // Halves come in order, and what a leaf lists does not.
        let own = &mut cells[from..];
        own.sort_unstable_by_key(|&(cell, _)| cell);
        let mut last = 0;
        for at in 1..own.len() {
            if own[at].0 == own[last].0 {
                own[last].1 += own[at].1;
            } else {
                last += 1;
                own[last] = own[at];
            }
        }
        let kept = own.len().min(last + 1);
        cells.truncate(from + kept);
    }

    /// Appends every observation; meant for samples that are not huge.
    pub fn list(&self, out: &mut Vec<u64>) {
        self.list_node(self.root(), out);
    }

    fn root(&self) -> Node {
        Node {
            id: 1,
            start: 0,
            depth: 0,
            count: self.count,
        }
    }

    fn tally_node(
        &self,
        node: Node,
        thresholds: &[u64],
        values: &QuantileTable,
        counts: &mut [u64],
    ) -> f64 {
        if node.count <= LEAF_MAX {
            let mut sum = 0.0;
            for index in 0..node.count {
                let position = node.position(self.key, index);
                counts[thresholds.partition_point(|&t| t <= position)] += 1;
                sum += values.value(position);
            }
            return sum;
        }
        let end = node.last();
        // Bounds that may separate observations of this node.
        let from = thresholds.partition_point(|&t| t <= node.start);
        let to = thresholds.partition_point(|&t| t <= end);
        let outermost = node.start == 0 || end == u64::MAX;
        // A slice across a gap between modes is no slice to take a mean of.
        let is_narrow = || values.value(end) <= 2.0 * values.value(node.start);
        let is_deep = node.depth >= SUM_DEPTH_MIN;
        if from == to && !outermost && is_deep && (is_narrow() || node.depth >= SUM_DEPTH_MAX) {
            counts[from] += node.count;
            return node.approximate_sum(self.key, values);
        }
        let (left, right) = node.split(self.key);
        self.tally_node(left, thresholds, values, counts)
            + self.tally_node(right, thresholds, values, counts)
    }

    fn occupied_in(&self, node: Node, thresholds: &[u64], cells: &mut Vec<(u32, u64)>) {
        let cell_of = |position| thresholds.partition_point(|&t| t <= position) as u32;
        if node.count <= LEAF_MAX {
            let positions = (0..node.count).map(|index| node.position(self.key, index));
            cells.extend(positions.map(|position| (cell_of(position), 1)));
            return;
        }
        let cell = cell_of(node.start);
        if cell == cell_of(node.last()) {
            cells.push((cell, node.count));
            return;
        }
        let (left, right) = node.split(self.key);
        self.occupied_in(left, thresholds, cells);
        self.occupied_in(right, thresholds, cells);
    }

    fn list_node(&self, node: Node, out: &mut Vec<u64>) {
        if node.count <= LEAF_MAX {
            out.extend((0..node.count).map(|index| node.position(self.key, index)));
            return;
        }
        let (left, right) = node.split(self.key);
        self.list_node(left, out);
        self.list_node(right, out);
    }
}

impl Node {
    fn last(&self) -> u64 {
        self.start + (u64::MAX >> self.depth)
    }

    fn position(&self, key: u64, index: u64) -> u64 {
        // Deeper than 63 levels a node is a single position.
        self.start
            + leaf_draw(key, self.id, index)
                .checked_shr(self.depth)
                .unwrap_or(0)
    }

    fn split(&self, key: u64) -> (Self, Self) {
        let left_count = if self.depth >= 63 {
            self.count
        } else {
            let mut stream = Stream::new(mix(key ^ mix(self.id)));
            binomial_half(self.count, &mut stream)
        };
        let depth = self.depth + 1;
        let half = (u64::MAX >> self.depth) / 2 + 1;
        let child = |bit: u64, count: u64| Self {
            id: 2 * self.id + bit,
            start: self.start + bit * half,
            depth,
            count,
        };
        (child(0, left_count), child(1, self.count - left_count))
    }

    /// The sum of many observations within a narrow interval: its mean by
    /// Gauss-Legendre quadrature of the quantile function, and a normal error.
    fn approximate_sum(&self, key: u64, values: &QuantileTable) -> f64 {
        const PLACES: [f64; 5] = [
            0.046_910_077_030_668_0,
            0.230_765_344_947_158_45,
            0.5,
            0.769_234_655_052_841_6,
            0.953_089_922_969_332,
        ];
        const WEIGHTS: [f64; 5] = [
            0.118_463_442_528_094_54,
            0.239_314_335_249_683_24,
            0.284_444_444_444_444_44,
            0.239_314_335_249_683_24,
            0.118_463_442_528_094_54,
        ];
        let width = (u64::MAX >> self.depth) as f64;
        let (mut mean, mut square) = (0.0, 0.0);
        for (place, weight) in PLACES.into_iter().zip(WEIGHTS) {
            let value = values.value(self.start + (place * width) as u64);
            mean += weight * value;
            square += weight * value * value;
        }
        let variance = (square - mean * mean).max(0.0);
        // 64 coins, smoothed: near enough to normal for the error of a sum.
        let bits = mix(key ^ mix(!self.id));
        let coins = f64::from(bits.count_ones()) - 32.5 + unit(mix(bits));
        let error = coins / libm::sqrt(16.0 + 1.0 / 12.0);
        let count = self.count as f64;
        let sum = count * mean + libm::sqrt(count * variance) * error;
        let lowest = values.value(self.start);
        let highest = values.value(self.last());
        sum.clamp(count * lowest, (count * highest).max(count * lowest))
    }
}

/// The root's first observation is the draw itself, so that a sample of one
/// costs one mix.
#[inline(always)]
fn leaf_draw(key: u64, node: u64, index: u64) -> u64 {
    let salt = if node == 1 && index == 0 {
        0
    } else {
        mix(node.wrapping_mul(LEAF_MAX + 1).wrapping_add(index))
    };
    mix(key ^ salt)
}

/// How many observations a series has at a tick whose mean is `mean`: the
/// whole part, and one more with the probability of the rest.
#[inline]
pub fn observation_count(mean: f64, bits: u64) -> u64 {
    let whole = mean.floor();
    whole as u64 + u64::from(unit(bits) < mean - whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::distribution::Distribution;
    use crate::algorithm::distribution::LogNormal;

    #[test]
    fn every_question_sees_the_same_sample() {
        let lognormal = Distribution::LogNormal(LogNormal {
            mu: 0.0,
            sigma: 1.0,
        });
        let table = lognormal.table();
        for count in [0u64, 1, 5, 8, 9, 64, 65, 1000, 5000] {
            for key in 0..20 {
                let sample = Sample {
                    key: mix(key),
                    count,
                };
                let mut listed = Vec::new();
                sample.list(&mut listed);
                assert_eq!(listed.len() as u64, count);
                for (place, &position) in listed.iter().enumerate() {
                    assert_eq!(sample.nth(place as u64), position);
                }
                let ends = listed.iter().min().zip(listed.iter().max());
                assert_eq!(sample.ends(), ends.map(|(&min, &max)| (min, max)));
                if count <= LEAF_MAX {
                    let direct: Vec<u64> = (0..count).map(|i| sample.position(i)).collect();
                    assert_eq!(listed, direct);
                }
                let thresholds: Vec<u64> = (1..16u64).map(|i| i << 60).collect();
                let mut counts = vec![0; 16];
                let sum = sample.tally(&thresholds, &table, &mut counts);
                let mut below = 0;
                for (threshold, in_cell) in thresholds.iter().zip(&counts) {
                    below += in_cell;
                    let expected = listed.iter().filter(|&u| u < threshold).count() as u64;
                    assert_eq!(below, expected);
                    assert_eq!(sample.count_below(*threshold), expected);
                }
                assert_eq!(counts.iter().sum::<u64>(), count);
                let exact: f64 = listed.iter().map(|&u| table.value(u)).sum();
                assert!(
                    (sum - exact).abs() <= 0.05 * exact + 1e-9,
                    "{count}: {sum} {exact}"
                );
            }
        }
    }

    #[test]
    fn sums_have_the_mean_and_variance_of_the_distribution() {
        let lognormal = Distribution::LogNormal(LogNormal {
            mu: 0.0,
            sigma: 1.0,
        });
        let table = lognormal.table();
        let (mean, variance) = (1.648_721_270_700_128, 4.670_774_270_471_604);
        for count in [20u64, 300, 4000] {
            const SAMPLES: u64 = 20_000;
            let (mut sum, mut squares) = (0.0, 0.0);
            for key in 0..SAMPLES {
                let sample = Sample {
                    key: mix(key ^ count << 32),
                    count,
                };
                let total = sample.tally(&[], &table, &mut [0]);
                let z = (total - count as f64 * mean) / (count as f64 * variance).sqrt();
                sum += z;
                squares += z * z;
            }
            let samples = SAMPLES as f64;
            assert!(
                (sum / samples).abs() < 5.0 / samples.sqrt(),
                "{count}: mean {}",
                sum / samples
            );
            assert!(
                (squares / samples - 1.0).abs() < 0.15,
                "{count}: variance {}",
                squares / samples
            );
        }
    }

    /// No slice is averaged across the gap between two modes.
    #[test]
    fn sums_of_mixtures_have_the_right_mean() {
        use crate::algorithm::distribution::{Component, Mixture};
        let part = |weight, mu| Component {
            weight,
            distribution: Distribution::LogNormal(LogNormal { mu, sigma: 0.01 }),
        };
        let mixture = Distribution::Mixture(Mixture {
            components: vec![part(0.7, -6.0), part(0.3, 2.0)],
        });
        let table = mixture.table();
        let moment = |mu: f64| libm::exp(mu + 0.5 * 0.01 * 0.01);
        let mean = 0.7 * moment(-6.0) + 0.3 * moment(2.0);
        let second = 0.7 * libm::pow(moment(-6.0), 2.0) + 0.3 * libm::pow(moment(2.0), 2.0);
        let (count, samples) = (100_000u64, 400);
        let sums = (0..samples).map(|key| {
            let sample = Sample {
                key: mix(key),
                count,
            };
            sample.tally(&[], &table, &mut [0])
        });
        let found = sums.sum::<f64>() / (count * samples) as f64;
        let deviation = ((second - mean * mean) / (count * samples) as f64).sqrt();
        assert!(
            (found - mean).abs() < 5.0 * deviation,
            "{found}, not {mean}"
        );
    }

    #[test]
    fn counts_keep_their_mean() {
        let mean = 2.3;
        let total: u64 = (0..100_000).map(|i| observation_count(mean, mix(i))).sum();
        assert!((total as f64 / 100_000.0 - mean).abs() < 0.01);
        assert_eq!(observation_count(0.0, 0), 0);
        assert_eq!(observation_count(3.0, 0), 3);
    }
}
