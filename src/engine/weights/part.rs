//! The weights of a shard's rows, which are those that they have among all rows of the run.
//!
//! Ranks and sums are about all of them: they are gone through, and not kept. Only where
//! ranks and weights of values are multiplied, the sum of the products takes them all.

use std::collections::BTreeMap;

use super::{Rows, Zipf, by_key, has_label_weights, scale};
use crate::config::Metric;
use crate::model::identity;
use crate::model::space::Space;

/// The weight of each of a shard's rows, those of several lanes counted once.
pub(super) fn weights(metric: &Metric, rows: &Rows<'_>) -> Vec<f64> {
    if rows.count == 0 {
        return Vec::new();
    }
    let whole = Whole { metric, rows };
    let mut weights = match metric.zipf_alpha {
        0.0 => vec![1.0; rows.count],
        alpha => whole.ranked(alpha),
    };
    rows.multiply(&mut weights);
    if has_label_weights(metric) {
        let scale = match metric.zipf_alpha {
            0.0 => whole.scale_of_values(),
            alpha => whole.scale_of_products(alpha),
        };
        for weight in &mut weights {
            *weight *= scale;
        }
    }
    weights
}

/// All rows of the run, of which a shard has some.
struct Whole<'a> {
    metric: &'a Metric,
    rows: &'a Rows<'a>,
}

/// Counts how many keys are smaller than each of some.
struct Ranks {
    /// Increasing.
    keys: Vec<u64>,
    /// Where those begin that have the same first bits.
    starts: Vec<u32>,
    /// By place, how many keys were between it and the one before.
    counts: Vec<u64>,
}

impl Whole<'_> {
    /// As [`Rows::ranked`].
    fn ranked(&self, alpha: f64) -> Vec<f64> {
        let own = self.rows.keys();
        let order = by_key(&own);
        let mut ranks = Ranks::new(order.iter().map(|&row| own[row as usize]).collect());
        let mut count = 0;
        self.each_key(&mut |key| {
            ranks.add(key);
            count += 1;
        });
        let shares = Zipf::new(alpha, count);
        let mut weights = vec![0.0; own.len()];
        for (row, rank) in order.into_iter().zip(ranks.finish()) {
            weights[row as usize] = shares.of(rank);
        }
        weights
    }

    /// Calls `put` with the key of every row.
    fn each_key(&self, put: &mut impl FnMut(u64)) {
        let Metric {
            labels,
            series_cap,
            sampling,
            ..
        } = self.metric;
        if self.rows.axes.is_empty() {
            let each = Space::each_key(labels, *series_cap, *sampling, put);
            return each.expect("what a shard has a part of can be addressed");
        }
        let axes = self.rows.axes.iter();
        let hashes: Vec<Vec<u64>> = axes.map(super::Axis::hashes).collect();
        each_sum(&hashes, 0, &mut |sum| put(identity::label_set_key(sum)));
    }

    /// What scales the products of values' weights to mean 1 among all rows.
    fn scale_of_values(&self) -> f64 {
        // Positive numbers are in the order of their bits.
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        self.each_product(&mut |product, times| {
            *counts.entry(product.to_bits()).or_default() += times;
        });
        let products = counts.iter();
        let each =
            products.flat_map(|(&bits, &times)| std::iter::repeat_n(f64::from_bits(bits), times));
        counts.values().sum::<usize>() as f64 / each.sum::<f64>()
    }

    /// Calls `put` with products of values' weights and how many rows have them.
    fn each_product(&self, put: &mut impl FnMut(f64, usize)) {
        let mut labels: Vec<_> = self.metric.labels.iter().collect();
        let count = |label: &&crate::config::Label| label.values.count();
        let is_capped = |cap: u64| {
            let product = labels.iter().map(count).fold(1, u64::saturating_mul);
            cap < product
        };
        if self.rows.axes.is_empty() && self.metric.series_cap.is_some_and(is_capped) {
            let whole = self.whole_space();
            let rows = Rows::of(self.metric, &whole);
            let mut weights = vec![1.0; rows.count];
            rows.multiply(&mut weights);
            for weight in weights {
                put(weight, 1);
            }
            return;
        }
        // All combinations, in the order in which rows multiply.
        if self.rows.axes.is_empty() {
            labels.sort_by(|a, b| a.name.cmp(&b.name));
        } else {
            labels = self.rows.axes.iter().rev().map(|axis| axis.label).collect();
        }
        let is_weighted = |label: &&&crate::config::Label| label.weights.is_some();
        let alike = labels.iter().filter(|label| !is_weighted(label)).map(count);
        let times: u64 = alike.product();
        let weighted = labels.iter().filter(is_weighted);
        let lists: Vec<&[f64]> = weighted
            .filter_map(|label| label.weights.as_deref())
            .collect();
        each_of_lists(&lists, 1.0, &mut |product| put(product, times as usize));
    }

    /// The same where ranks weight as well.
    fn scale_of_products(&self, alpha: f64) -> f64 {
        let whole;
        let rows = if self.rows.axes.is_empty() {
            whole = self.whole_space();
            Rows::of(self.metric, &whole)
        } else {
            let fleet = self.rows.space.fleet();
            let slots = fleet.map_or(0, |fleet| fleet.slots_of_all());
            Rows {
                count: slots * self.rows.entity_series,
                is_part: false,
                ..Rows::of(self.metric, self.rows.space)
            }
        };
        let mut weights = rows.ranked(alpha);
        rows.multiply(&mut weights);
        scale(&weights)
    }

    fn whole_space(&self) -> Space {
        let metric = self.metric;
        let whole = Space::new(&metric.labels, metric.series_cap, metric.sampling);
        whole.expect("what a shard has a part of can be addressed")
    }
}

/// Calls `put` with the sum of each combination, one of each list, on top of what is summed
/// up already.
fn each_sum(lists: &[Vec<u64>], sum: u64, put: &mut impl FnMut(u64)) {
    let Some((list, others)) = lists.split_first() else {
        return put(sum);
    };
    for &one in list {
        each_sum(others, sum.wrapping_add(one), put);
    }
}

/// The same with products.
fn each_of_lists(lists: &[&[f64]], product: f64, put: &mut impl FnMut(f64)) {
    let Some((list, others)) = lists.split_first() else {
        return put(product);
    };
    for &one in *list {
        each_of_lists(others, product * one, put);
    }
}

impl Ranks {
    /// Leading bits by which keys are found.
    const BITS: u32 = 16;

    /// Of increasing keys.
    fn new(keys: Vec<u64>) -> Self {
        let mut starts = Vec::with_capacity((1 << Self::BITS) + 1);
        for first in 0..1 << Self::BITS {
            starts.push(keys.partition_point(|&key| Self::first_bits(key) < first) as u32);
        }
        starts.push(keys.len() as u32);
        Self {
            counts: vec![0; keys.len() + 1],
            starts,
            keys,
        }
    }

    fn first_bits(key: u64) -> usize {
        (key >> (u64::BITS - Self::BITS)) as usize
    }

    /// Counts a key.
    fn add(&mut self, key: u64) {
        let first = Self::first_bits(key);
        let (start, end) = (self.starts[first] as usize, self.starts[first + 1] as usize);
        let place = start + self.keys[start..end].partition_point(|&own| own <= key);
        self.counts[place] += 1;
    }

    /// By key, how many of those that were counted are smaller.
    fn finish(self) -> impl Iterator<Item = usize> {
        let counts = self.counts.into_iter().take(self.keys.len());
        counts.scan(0, |smaller, count| {
            *smaller += count as usize;
            Some(*smaller)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The rank of a key is how many are smaller.
        #[test]
        fn ranks_count_smaller_keys(
            all in prop::collection::btree_set(prop_oneof![any::<u64>(), 0..50u64], 1..200),
            step in 1..7usize,
        ) {
            let all: Vec<u64> = all.into_iter().collect();
            let own: Vec<u64> = all.iter().copied().step_by(step).collect();
            let mut ranks = Ranks::new(own);
            for &key in &all {
                ranks.add(key);
            }
            let expected = (0..all.len()).step_by(step);
            prop_assert!(ranks.finish().eq(expected));
        }
    }
}
