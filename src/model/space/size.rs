//! How large a space will be, by arithmetic on its labels: nothing is built.

use std::sync::Arc;

use super::living::FREE_SUMS_MAX;
use super::{Space, first_n_counts};
use crate::config::{Label, Life, Sampling};
use crate::model::division::{self, Dealing, Division};
use crate::model::fleet::{Fleet, Forecast, most_at_once};
use crate::model::labels::{self, Dimension};

/// What is known of a space before it is built; counts saturate, however long ranges are.
#[derive(Debug, Clone, PartialEq)]
pub struct SpaceSize {
    /// As [`Space::series_count`]; more than can be addressed where [`Space::new`] refuses.
    pub rows: u128,
    /// The most of them that are series at once; all of them where it would take long to
    /// know.
    pub series: u128,
    /// No more of them are at once, as far as that is known without looking.
    pub most: u128,
    /// About what [`Space::memory_bytes`] tells.
    pub memory_bytes: u128,
    /// For each label, in file order, the lengths in bytes of its name and, on average, of
    /// its values.
    pub labels: Vec<(usize, f64)>,
    /// Where labels depend on one another, or change in time.
    pub living: Option<LivingSize>,
}

/// What a space has of series over time.
#[derive(Debug, Clone, PartialEq)]
pub struct LivingSize {
    /// Of its entities.
    pub forecast: Arc<Forecast>,
    /// Series of each of them.
    pub entity_series: u64,
}

impl SpaceSize {
    /// Of the space that [`Space::new`] builds of the same.
    pub fn of(of: &[Label], series_cap: Option<u64>, sampling: Sampling) -> Self {
        let counts: Vec<u64> = of.iter().map(|l| l.values.count()).collect();
        let product = product(counts.iter().copied());
        let cap = series_cap.filter(|&cap| u128::from(cap) < product);
        let used = match cap {
            None => counts.iter().map(|&count| count as f64).collect(),
            Some(cap) if sampling == Sampling::FirstN => {
                let (used, _) = first_n_counts(&counts, cap);
                used.iter().map(|&count| count as f64).collect()
            }
            Some(cap) => sampled_counts(of, &counts, cap),
        };
        let mean_bytes = |(label, &count): (&Label, &u64)| {
            labels::text_bytes(&label.values) as f64 / count.max(1) as f64
        };
        let labels: Vec<(usize, f64)> = of
            .iter()
            .zip(&counts)
            .map(|(label, count)| (label.name.len(), mean_bytes((label, count))))
            .collect();
        let stored_bytes = Space::value_bytes(cap.is_some()) as f64;
        let label_bytes = used.iter().zip(&labels);
        let label_bytes = label_bytes.map(|(used, (_, mean))| used * (mean + stored_bytes));
        let series = cap.map_or(product, u128::from);
        let selection_bytes = cap.map_or(0, |cap| u128::from(cap) * Space::SELECTED_BYTES as u128);
        Self {
            rows: series,
            series,
            most: series,
            // A float beyond the range becomes its end.
            memory_bytes: selection_bytes.saturating_add(label_bytes.sum::<f64>() as u128),
            labels,
            living: None,
        }
    }

    /// The same; of a run that is divided, the part of a shard, which is what
    /// [`Space::of_shard`] builds. Of a capped space, and where ranges are so long that it
    /// would take long to know, it is its share.
    pub fn of_shard(
        of: &[Label],
        series_cap: Option<u64>,
        sampling: Sampling,
        division: Option<&Division>,
    ) -> Self {
        /// Values that are looked at.
        const VALUES_MAX: u64 = 10_000_000;
        let whole = Self::of(of, series_cap, sampling);
        let Some(division) = division else {
            return whole;
        };
        let counts = of.iter().map(|label| label.values.count());
        let dealing = of.iter().filter(|label| division.is_by(&label.name));
        let values = dealing.map(division::values_looked_at);
        let values = values.fold(0, u64::saturating_add);
        let is_capped = series_cap.is_some_and(|cap| u128::from(cap) < product(counts));
        let known = (!is_capped && values <= VALUES_MAX)
            .then(|| Dealing::of_labels(division, of).count())
            .flatten();
        let share = || whole.series.div_ceil(division.of_shards().into());
        let series = known.unwrap_or_else(share);
        // No label has more values in use than there are series.
        let share = |count: u64| u128::from(count).min(series) as f64;
        let labels = of.iter().zip(&whole.labels);
        let label_bytes = labels.map(|(label, (_, mean))| {
            share(label.values.count()) * (mean + Space::value_bytes(true) as f64)
        });
        Self {
            rows: series,
            series,
            most: series,
            memory_bytes: (series.saturating_mul(Space::SELECTED_BYTES as u128))
                .saturating_add(label_bytes.sum::<f64>() as u128),
            ..whole
        }
    }

    /// Of labels some of which make the entities of `fleet`, where [`Space::living`] cannot
    /// be built or it would take long to know more: all that there might be.
    /// Of a run that is divided, about a shard's part.
    pub fn unknown(of: &[Label], life: &Life, division: Option<&Division>) -> Self {
        let multiplying = of.iter().filter(|label| label.of.is_none());
        let rows = product(multiplying.map(|label| label.values.count()));
        let shown: Vec<Label> = of.iter().filter(|label| !label.hidden).cloned().collect();
        let shards = division.map_or(1, |division| division.of_shards().into());
        Self {
            rows: rows.div_ceil(shards),
            series: rows.div_ceil(shards),
            most: most_at_once(of, life, rows).div_ceil(shards),
            ..Self::of(&shown, None, Sampling::FirstN)
        }
    }

    /// Of the space that [`Space::living`] builds of the same; what is forecast is that of
    /// the fleet.
    pub fn living(of: &[Label], fleet: &Fleet, forecast: &Arc<Forecast>) -> Self {
        let shown = || of.iter().filter(|label| !label.hidden);
        let free = shown().filter(|label| fleet.label(&label.name).is_none());
        let free: Vec<Label> = free.cloned().collect();
        let free = Self::of(&free, None, Sampling::FirstN);
        let lists = fleet.labels().iter().filter_map(|label| label.values());
        let lists_bytes: usize = lists.map(|list| Dimension::memory_bytes(list)).sum();
        let sums_bytes = if free.rows <= FREE_SUMS_MAX as u128 {
            free.rows * size_of::<u64>() as u128
        } else {
            0
        };
        let mut free_labels = free.labels.iter();
        let label = |label: &Label| match fleet.label(&label.name) {
            Some(index) => (label.name.len(), forecast.text_bytes(index)),
            None => *free_labels.next().expect("they are in the same order"),
        };
        let series = u128::from(forecast.peak()).saturating_mul(free.rows);
        Self {
            rows: (fleet.len() as u128).saturating_mul(free.rows),
            series,
            most: series,
            // Lists of free labels are there twice.
            memory_bytes: (free.memory_bytes.saturating_mul(2))
                .saturating_add(lists_bytes as u128 + sums_bytes),
            labels: shown().map(label).collect(),
            living: Some(LivingSize {
                forecast: Arc::clone(forecast),
                entity_series: u64::try_from(free.rows).unwrap_or(u64::MAX),
            }),
        }
    }

    /// Mean bytes of the label set of a series, where each label takes `around` bytes beside
    /// its name and value.
    pub fn label_set_bytes(&self, around: usize) -> f64 {
        let labels = self.labels.iter();
        labels
            .map(|(name, value)| (name + around) as f64 + value)
            .sum()
    }
}

fn product(counts: impl Iterator<Item = u64>) -> u128 {
    counts.fold(1, |all, count| all.saturating_mul(count.into()))
}

/// How many values of each label are in use where a hash chooses `cap` label sets: those that
/// so many draws are expected to hit.
fn sampled_counts(labels: &[Label], counts: &[u64], cap: u64) -> Vec<f64> {
    let group = |from_metric: bool| {
        let group = labels.iter().zip(counts);
        let group = group.filter(|(label, _)| label.from_metric == from_metric);
        product(group.map(|(_, &count)| count))
    };
    let own = group(true);
    let kept = [
        u128::from(cap).div_ceil(own.max(1)).min(group(false)),
        u128::from(cap).min(own),
    ];
    let used = |(label, &count): (&Label, &u64)| {
        let (kept, count) = (kept[usize::from(label.from_metric)] as f64, count as f64);
        count * -libm::expm1(-kept / count)
    };
    labels.iter().zip(counts).map(used).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LabelValues, RangeFormat};

    fn label(name: &str, last: i64, from_metric: bool) -> Label {
        let format = RangeFormat {
            before: "user_".to_owned(),
            after: String::new(),
            width: 0,
            zero_fill: false,
            hexadecimal: false,
        };
        Label::new(
            name,
            LabelValues::Range {
                first: -5,
                last,
                format,
            },
            from_metric,
        )
    }

    /// However it is selected, a space is as large as was said.
    #[test]
    fn sizes_are_those_of_what_is_built() {
        let labels = [
            label("a", 20_000, false),
            label("b", 3, false),
            label("c", 7, true),
        ];
        for (cap, sampling) in [
            (None, Sampling::Hash),
            (Some(5000), Sampling::Hash),
            (Some(100_000), Sampling::Hash),
            (Some(5000), Sampling::FirstN),
            (Some(300_000), Sampling::FirstN),
        ] {
            let size = SpaceSize::of(&labels, cap, sampling);
            let space = Space::new(&labels, cap, sampling).unwrap();
            assert_eq!(size.rows, space.series_count() as u128);
            assert_eq!(size.series, size.rows);
            let (said, built) = (size.memory_bytes as f64, space.memory_bytes() as f64);
            assert!(
                (said / built - 1.0).abs() < 0.02,
                "{cap:?}: {said}, {built}"
            );
        }
    }

    #[test]
    fn sizes_saturate() {
        let labels = ["a", "b", "c"].map(|name| label(name, i64::MAX, false));
        let size = SpaceSize::of(&labels, None, Sampling::Hash);
        assert_eq!(size.series, u128::MAX);
        assert!(size.memory_bytes > 1 << 64);
    }
}
