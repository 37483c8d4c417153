//! Label sets as maps of strings: all combinations, listed, then the cap.

use std::collections::BTreeMap;

use super::Labels;
use crate::config::{Label, LabelValues, Metric, Sampling};
use crate::model::identity;

/// The label sets of a metric, those that the cap keeps.
pub(super) fn label_sets(metric: &Metric) -> Vec<Labels> {
    let mut sets: Vec<Labels> = vec![Labels::new()];
    for label in &metric.labels {
        let values = texts(label);
        sets = sets
            .into_iter()
            .flat_map(|set| {
                values.iter().map(move |value| {
                    let mut set = set.clone();
                    set.insert(label.name.clone(), value.clone());
                    set
                })
            })
            .collect();
    }
    if let Some(cap) = metric.series_cap {
        if metric.sampling == Sampling::Hash {
            let key_of = |set: &Labels, from_metric: bool| {
                let part = metric
                    .labels
                    .iter()
                    .filter(|l| l.from_metric == from_metric);
                let part = part.map(|label| (label.name.clone(), set[&label.name].clone()));
                label_set_key(&part.collect())
            };
            sets.sort_by_cached_key(|set| (key_of(set, false), key_of(set, true)));
        }
        sets.truncate(cap as usize);
    }
    sets
}

/// All values of a label.
fn texts(label: &Label) -> Vec<String> {
    match &label.values {
        LabelValues::List(list) => list.clone(),
        LabelValues::Range {
            first,
            last,
            format,
        } => (*first..=*last)
            .map(|number| {
                let width = format.width;
                let text = match (format.hexadecimal, format.zero_fill) {
                    (false, false) => format!("{number:width$}"),
                    (false, true) => format!("{number:0width$}"),
                    (true, false) => format!("{number:width$x}"),
                    (true, true) => format!("{number:0width$x}"),
                };
                format!("{}{text}{}", format.before, format.after)
            })
            .collect(),
    }
}

pub(super) fn label_set_key(labels: &Labels) -> u64 {
    let mut scratch = Vec::new();
    let hashes = labels
        .iter()
        .map(|(name, value)| identity::pair_hash(name, value.as_bytes(), &mut scratch));
    identity::label_set_key(hashes.fold(0, u64::wrapping_add))
}

/// The weight of each label set of a metric; their mean is 1.
pub(super) fn weights(metric: &Metric, label_sets: &[Labels]) -> Vec<f64> {
    let mut weights = ranked(metric, label_sets);
    let weighted = metric.labels.iter().filter_map(|label| {
        let weights = label.weights.as_ref()?;
        Some((&label.name, texts(label).into_iter().zip(weights.clone())))
    });
    let weighted: BTreeMap<&String, BTreeMap<String, f64>> = weighted
        .map(|(name, weights)| (name, weights.collect()))
        .collect();
    if weighted.is_empty() {
        return weights;
    }
    for (weight, set) in weights.iter_mut().zip(label_sets) {
        for (&name, own) in &weighted {
            *weight *= own[&set[name]];
        }
    }
    let mut sorted = weights.clone();
    sorted.sort_by(f64::total_cmp);
    let scale = weights.len() as f64 / sorted.iter().sum::<f64>();
    weights.iter().map(|weight| weight * scale).collect()
}

/// Those of `zipf_alpha` alone.
fn ranked(metric: &Metric, label_sets: &[Labels]) -> Vec<f64> {
    if metric.zipf_alpha == 0.0 {
        return vec![1.0; label_sets.len()];
    }
    let mut keys: Vec<u64> = label_sets.iter().map(label_set_key).collect();
    keys.sort_unstable();
    let share = |rank: usize| libm::pow((rank + 1) as f64, -metric.zipf_alpha);
    let total: f64 = (0..keys.len()).map(share).sum();
    let scale = keys.len() as f64 / total;
    label_sets
        .iter()
        .map(|set| {
            let rank = keys.binary_search(&label_set_key(set)).expect("own key");
            share(rank) * scale
        })
        .collect()
}
