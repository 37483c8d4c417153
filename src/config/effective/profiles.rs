//! The profiles of a checked configuration, recovered from its metrics.
//!
//! Checking resolves profiles: each metric has all its labels itself. Written out
//! again, metrics with the same inherited labels share a profile, so that a
//! document is not much longer than the file it came from.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

use crate::config::{Label, LabelValues, Metric, Sampling};

/// The only value of a profile's label that every metric with the profile
/// replaces.
const REPLACED: &str = "replaced";

/// Profiles under which the labels of all metrics can be written.
#[derive(Default)]
pub(super) struct Profiles<'c> {
    list: Vec<Profile<'c>>,
    /// Indices into `list` by [`Profile::hash`].
    by_hash: HashMap<u64, Vec<usize>>,
}

impl<'c> Profiles<'c> {
    /// The profiles, and for each metric the name of its own, if it has one.
    pub(super) fn of(metrics: &'c [Metric]) -> (Self, Vec<Option<String>>) {
        let mut profiles = Self::default();
        let names = metrics
            .iter()
            .map(|metric| Some(name(profiles.index_of(Profile::of(metric)?))))
            .collect();
        (profiles, names)
    }

    /// The index of a profile, which is added if it is new.
    fn index_of(&mut self, profile: Profile<'c>) -> usize {
        let candidates = self.by_hash.entry(profile.hash()).or_default();
        let mut known = candidates.iter().copied();
        known
            .find(|&index| self.list[index].equals(&profile))
            .unwrap_or_else(|| {
                candidates.push(self.list.len());
                self.list.push(profile);
                self.list.len() - 1
            })
    }

    pub(super) fn to_json(&self) -> Value {
        let profiles = self.list.iter().enumerate();
        let entries = profiles.map(|(index, profile)| (name(index), profile.to_json()));
        Value::Object(entries.collect())
    }
}

fn name(index: usize) -> String {
    format!("p{}", index + 1)
}

/// What a metric inherits. Labels that it replaces keep their place; what they
/// were is not known, and does not matter.
struct Profile<'c> {
    labels: &'c [Label],
    series_cap: Option<u64>,
    sampling: Sampling,
    zipf_alpha: f64,
}

impl<'c> Profile<'c> {
    /// The profile of a metric; `None` where it needs none.
    fn of(metric: &'c Metric) -> Option<Self> {
        let last_inherited = metric.labels.iter().rposition(|label| !label.from_metric);
        let plain = metric.series_cap.is_none()
            && metric.sampling == Sampling::FirstN
            && metric.zipf_alpha == 0.0;
        let count = match last_inherited {
            Some(last) => last + 1,
            None if plain => return None,
            // A profile has at least one label.
            None => metric.labels.len().min(1),
        };
        Some(Self {
            labels: &metric.labels[..count],
            series_cap: metric.series_cap,
            sampling: metric.sampling,
            zipf_alpha: metric.zipf_alpha,
        })
    }

    /// Equal for profiles that are equal.
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.series_cap.hash(&mut hasher);
        (self.sampling == Sampling::Hash).hash(&mut hasher);
        self.zipf_alpha.to_bits().hash(&mut hasher);
        for label in self.labels {
            label.name.hash(&mut hasher);
            match &label.values {
                _ if label.from_metric => 0.hash(&mut hasher),
                LabelValues::List(list) => list.hash(&mut hasher),
                LabelValues::Range { first, last, .. } => (first, last).hash(&mut hasher),
            }
        }
        hasher.finish()
    }

    fn equals(&self, other: &Self) -> bool {
        let same = |(a, b): (&Label, &Label)| {
            a.name == b.name
                && a.from_metric == b.from_metric
                && (a.from_metric || a.values == b.values)
        };
        self.series_cap == other.series_cap
            && self.sampling == other.sampling
            && self.zipf_alpha.to_bits() == other.zipf_alpha.to_bits()
            && self.labels.len() == other.labels.len()
            && self.labels.iter().zip(other.labels).all(same)
    }

    fn to_json(&self) -> Value {
        let labels = self.labels.iter().map(|label| {
            let values = if label.from_metric {
                json!([REPLACED])
            } else {
                values(&label.values)
            };
            (label.name.clone(), values)
        });
        json!({
            "labels": labels.collect::<Map<_, _>>(),
            "series_cap": self.series_cap,
            "sampling_strategy": match self.sampling {
                Sampling::FirstN => "first_n",
                Sampling::Hash => "hash",
            },
            "zipf_alpha": self.zipf_alpha,
        })
    }
}

/// The values of a label: a list, or a range that stays one.
pub(super) fn values(values: &LabelValues) -> Value {
    match values {
        LabelValues::List(list) => json!(list),
        LabelValues::Range {
            first,
            last,
            format,
        } => json!({"range": [first, last], "fmt": format.to_fmt()}),
    }
}
