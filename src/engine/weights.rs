//! Weights of series: how a metric's events are split among them.
//!
//! Under `zipf_alpha` a series' weight is 1 / rank^alpha, ranks in the order of label-set
//! keys. Weights of a label's values multiply it. All together are scaled to mean 1, so
//! that a metric's total stays what it was. Where entities come and go, a weight belongs
//! to the row, whoever lives there. A shard's rows have the weights that they have among
//! all rows of the run, which are gone through for them.

mod part;

use crate::config::{Label, LabelValues, Metric};
use crate::model::space::Space;
use crate::model::{Family, identity};

/// The weight of each row of a metric's family; `None` where all are alike.
pub(crate) fn weights(metric: &Metric, family: &Family) -> Option<Vec<f64>> {
    if !metric.has_weights() {
        return None;
    }
    let rows = Rows::of(metric, &family.space);
    let weights = if family.space.is_part() {
        part::weights(metric, &rows)
    } else {
        let mut weights = rows.ranked(metric.zipf_alpha);
        rows.multiply(&mut weights);
        // With a label's weights alone, or beside ranks, the mean is another.
        if has_label_weights(metric) {
            let scale = scale(&weights);
            for weight in &mut weights {
                *weight *= scale;
            }
        }
        weights
    };
    Some(rows.with_lanes(weights))
}

fn has_label_weights(metric: &Metric) -> bool {
    metric.labels.iter().any(|label| label.weights.is_some())
}

/// What scales weights to mean 1.
fn scale(weights: &[f64]) -> f64 {
    // In an order that does not depend on that of the file, as the sum is rounded.
    let mut sorted = weights.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    weights.len() as f64 / sorted.iter().sum::<f64>()
}

/// Shares of events by rank.
struct Zipf {
    alpha: f64,
    scale: f64,
}

impl Zipf {
    /// 1 / rank^alpha, scaled to mean 1 among so many.
    fn new(alpha: f64, count: usize) -> Self {
        let mut shares = Self { alpha, scale: 1.0 };
        let total: f64 = (0..count).map(|rank| shares.of(rank)).sum();
        shares.scale = count as f64 / total;
        shares
    }

    fn of(&self, rank: usize) -> f64 {
        libm::pow((rank + 1) as f64, -self.alpha) * self.scale
    }
}

/// The rows of a space, those of several lanes counted once.
struct Rows<'a> {
    space: &'a Space,
    /// The labels that multiply, those of entities first, the fastest last. Empty where
    /// the space has no fleet.
    axes: Vec<Axis<'a>>,
    labels: &'a [Label],
    count: usize,
    /// Whether rows are those of a shard, and so have other places in the whole.
    is_part: bool,
    /// Rows of an entity, and lanes of a slot.
    entity_series: usize,
    lanes: usize,
}

/// A label that multiplies.
struct Axis<'a> {
    label: &'a Label,
    /// How many places of the whole have the same value, one after the other.
    stride: usize,
    radix: usize,
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
        let mut stride = 1;
        let axes = axes.into_iter().rev().map(|label| {
            let radix = label.values.count() as usize;
            let axis = Axis {
                label,
                stride,
                radix,
            };
            stride *= radix;
            axis
        });
        let mut axes: Vec<Axis> = axes.collect();
        axes.reverse();
        Self {
            space,
            axes,
            labels,
            count: space.series_count() / lanes,
            is_part: space.is_part(),
            entity_series: space.entity_series(),
            lanes,
        }
    }

    /// The place of a row among those of the whole fleet.
    #[inline]
    fn place(&self, row: usize) -> usize {
        match self.space.fleet().filter(|_| self.is_part) {
            None => row,
            Some(fleet) => {
                let (slot, free) = (row / self.entity_series, row % self.entity_series);
                fleet.place(slot) * self.entity_series + free
            }
        }
    }

    /// 1 / rank^alpha by row, ranks in the order of keys, scaled to mean 1.
    fn ranked(&self, alpha: f64) -> Vec<f64> {
        let mut weights = vec![1.0; self.count];
        if alpha == 0.0 {
            return weights;
        }
        let shares = Zipf::new(alpha, self.count);
        for (rank, row) in by_key(&self.keys()).into_iter().enumerate() {
            weights[row as usize] = shares.of(rank);
        }
        weights
    }

    /// What ranks rows: their label-set keys, or the keys of their own values where these
    /// stay and texts change.
    fn keys(&self) -> Vec<u64> {
        if self.axes.is_empty() {
            let mut scratch = Vec::new();
            let keys = self.space.label_set_keys(0..self.count, &mut scratch);
            return keys.to_vec();
        }
        let mut sums = vec![0u64; self.count];
        for axis in self.axes.iter().rev() {
            let hashes = axis.hashes();
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum = sum.wrapping_add(hashes[axis.value(self.place(row))]);
            }
        }
        sums.into_iter().map(identity::label_set_key).collect()
    }

    /// Multiplies weights by those of labels' values.
    fn multiply(&self, weights: &mut [f64]) {
        if !self.axes.is_empty() {
            for axis in self.axes.iter().rev() {
                if let Some(own) = &axis.label.weights {
                    for (row, weight) in weights.iter_mut().enumerate() {
                        *weight *= own[axis.value(self.place(row))];
                    }
                }
            }
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

    /// All lanes of a slot have the same weights.
    fn with_lanes(&self, weights: Vec<f64>) -> Vec<f64> {
        if self.lanes == 1 {
            return weights;
        }
        let slots = weights.chunks(self.entity_series);
        slots.flat_map(|slot| slot.repeat(self.lanes)).collect()
    }
}

impl Axis<'_> {
    /// The index of its value at a place of the whole.
    #[inline]
    fn value(&self, place: usize) -> usize {
        place / self.stride % self.radix
    }

    /// The pair hashes of its values, as they are written on their own.
    fn hashes(&self) -> Vec<u64> {
        let mut hash = Vec::new();
        let texts = own_texts(self.label).into_iter();
        texts
            .map(|text| identity::pair_hash(&self.label.name, &text, &mut hash))
            .collect()
    }
}

/// Rows in the order of their keys.
fn by_key(keys: &[u64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..keys.len() as u32).collect();
    order.sort_unstable_by_key(|&row| keys[row as usize]);
    order
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
