//! Weights of series: how a metric's events are split among them.
//!
//! Under `zipf_alpha` a series' weight is 1 / rank^alpha, ranks in the order of label-set
//! keys. Weights of a label's values multiply it. All together are scaled to mean 1, so
//! that a metric's total stays what it was. Where entities come and go, a weight belongs
//! to the row, whoever lives there.

use crate::config::{Label, LabelValues, Metric};
use crate::model::space::Space;
use crate::model::{Family, identity};

/// The weight of each row of a metric's family; `None` where all are alike.
pub(crate) fn weights(metric: &Metric, family: &Family) -> Option<Vec<f64>> {
    if !metric.has_weights() {
        return None;
    }
    let rows = Rows::of(metric, &family.space);
    let mut weights = match metric.zipf_alpha {
        0.0 => vec![1.0; rows.count],
        alpha => zipf(&rows.keys(), alpha),
    };
    rows.multiply(&mut weights);
    // With a label's weights alone, or beside ranks, the mean is another.
    if metric.labels.iter().any(|label| label.weights.is_some()) {
        // In an order that does not depend on that of the file, as the sum is rounded.
        let mut sorted = weights.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let scale = rows.count as f64 / sorted.iter().sum::<f64>();
        for weight in &mut weights {
            *weight *= scale;
        }
    }
    Some(rows.with_lanes(weights))
}

/// 1 / rank^alpha by series, ranks in the order of keys, scaled to mean 1.
fn zipf(keys: &[u64], alpha: f64) -> Vec<f64> {
    let count = keys.len();
    let mut order: Vec<u32> = (0..count as u32).collect();
    order.sort_unstable_by_key(|&series| keys[series as usize]);
    let share = |rank: usize| libm::pow((rank + 1) as f64, -alpha);
    let total: f64 = (0..count).map(share).sum();
    let scale = count as f64 / total;
    let mut weights = vec![0.0; count];
    for (rank, &series) in order.iter().enumerate() {
        weights[series as usize] = share(rank) * scale;
    }
    weights
}

/// The rows of a space, those of several lanes counted once.
struct Rows<'a> {
    space: &'a Space,
    /// The labels that multiply and the number of their values, the fastest last; those
    /// of entities come first. Empty where the space has no fleet.
    axes: Vec<&'a Label>,
    labels: &'a [Label],
    count: usize,
    /// Rows of an entity, and lanes of a slot.
    entity_series: usize,
    lanes: usize,
}

impl<'a> Rows<'a> {
    fn of(metric: &'a Metric, space: &'a Space) -> Self {
        let labels = &metric.labels;
        let mut axes: Vec<&Label> = Vec::new();
        let mut lanes = 1;
        if let Some(fleet) = space.fleet() {
            lanes = fleet.lanes();
            axes.extend(fleet.axes().iter().map(|axis| &labels[axis.label]));
            let is_free = |label: &&Label| !label.hidden && fleet.label(&label.name).is_none();
            let mut free: Vec<&Label> = labels.iter().filter(is_free).collect();
            free.sort_by(|a, b| a.name.cmp(&b.name));
            axes.extend(free);
        }
        Self {
            space,
            axes,
            labels,
            count: space.series_count() / lanes,
            entity_series: space.entity_series(),
            lanes,
        }
    }

    /// What ranks rows: their label-set keys, or the keys of their own values where these
    /// stay and texts change.
    fn keys(&self) -> Vec<u64> {
        let mut scratch = Vec::new();
        if self.axes.is_empty() {
            let keys = self.space.label_set_keys(0..self.count, &mut scratch);
            return keys.to_vec();
        }
        let mut sums = vec![0u64; self.count];
        let mut hash = Vec::new();
        self.each_axis(|label, stride| {
            let texts = own_texts(label);
            let hashes: Vec<u64> = texts
                .iter()
                .map(|text| identity::pair_hash(&label.name, text, &mut hash))
                .collect();
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum = sum.wrapping_add(hashes[row / stride % hashes.len()]);
            }
        });
        sums.into_iter().map(identity::label_set_key).collect()
    }

    /// Multiplies weights by those of labels' values.
    fn multiply(&self, weights: &mut [f64]) {
        if !self.axes.is_empty() {
            self.each_axis(|label, stride| {
                if let Some(own) = &label.weights {
                    for (row, weight) in weights.iter_mut().enumerate() {
                        *weight *= own[row / stride % own.len()];
                    }
                }
            });
            return;
        }
        let mut cursor = self.space.cursor(0);
        let dimensions = self.space.dimensions().iter().enumerate();
        let by_digit: Vec<(usize, Vec<f64>)> = dimensions
            .filter_map(|(index, dimension)| {
                let label = self.labels.iter().find(|l| l.name == dimension.name)?;
                let own = label.weights.as_ref()?;
                let texts = own_texts(label);
                // A capped space may have some of the values only.
                let of = |value: &[u8]| {
                    let place = texts.iter().position(|text| text == value);
                    own[place.expect("a value of the label")]
                };
                Some((index, dimension.values.iter().map(of).collect()))
            })
            .collect();
        for weight in weights {
            for (index, own) in &by_digit {
                *weight *= own[cursor.digits()[*index] as usize];
            }
            cursor.advance();
        }
    }

    /// Calls `each` with the axes and how many rows have the same value, one after the
    /// other.
    fn each_axis(&self, mut each: impl FnMut(&Label, usize)) {
        let mut stride = 1;
        for label in self.axes.iter().rev() {
            each(label, stride);
            stride *= label.values.count() as usize;
        }
    }

    /// All lanes of a slot have the same weights.
    fn with_lanes(&self, weights: Vec<f64>) -> Vec<f64> {
        if self.lanes == 1 {
            return weights;
        }
        let slots = weights.chunks(self.entity_series);
        slots.flat_map(|slot| slot.repeat(self.lanes)).collect()
    }
}

/// The values of a label as they are written on their own.
fn own_texts(label: &Label) -> Vec<Vec<u8>> {
    match &label.values {
        LabelValues::List(list) => list.iter().map(|text| text.clone().into_bytes()).collect(),
        LabelValues::Range {
            first,
            last,
            format,
        } => {
            let numbers = *first..=*last;
            numbers
                .map(|number| {
                    let mut text = Vec::new();
                    format.write(number, &mut text);
                    text
                })
                .collect()
        }
    }
}
