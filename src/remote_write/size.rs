//! How long samples will be, by arithmetic.

use super::family::NAME;
use crate::config::HistogramForm;
use crate::model::Shape;
use crate::model::space::SpaceSize;

/// Keys and lengths around a label's name and value: of the label, of its name and its value.
const AROUND_LABEL_BYTES: usize = 6;
/// The rest: key and length of the series, its value and time with theirs, and a bucket's
/// label, which not all have.
const AROUND_SAMPLE_BYTES: usize = 32;

/// What a native histogram takes beyond a sample and before its buckets: count, schema and
/// zero bucket.
const HISTOGRAM_BYTES: usize = 15;
/// Of an occupied bucket: its count, and a part of a span.
const BUCKET_BYTES: f64 = 1.4;
/// Of a custom bound.
const BOUND_BYTES: usize = 8;

/// What a native histogram has beyond a sample: of a shape, in a form, where a series occupies
/// so many exponential buckets.
pub fn histogram_bytes(shape: &Shape, histograms: HistogramForm, occupied: f64) -> f64 {
    let (bounds, buckets) = match (shape, histograms) {
        (Shape::Histogram { bounds, .. }, HistogramForm::Nhcb) => {
            (bounds.len() * BOUND_BYTES, bounds.len() as f64 + 1.0)
        }
        _ => (0, occupied),
    };
    (HISTOGRAM_BYTES + bounds) as f64 + BUCKET_BYTES * buckets
}

/// Mean bytes of samples of a family in version 1, before compression: its name has so many
/// bytes, and these are the lengths of labels that are added (name and value together).
pub fn sample_bytes(
    name_bytes: usize,
    added: impl Iterator<Item = usize>,
    space: &SpaceSize,
) -> f64 {
    let name = NAME.len() + name_bytes + AROUND_LABEL_BYTES;
    let added: usize = added.map(|bytes| bytes + AROUND_LABEL_BYTES).sum();
    let fixed = AROUND_SAMPLE_BYTES + name + added;
    fixed as f64 + space.label_set_bytes(AROUND_LABEL_BYTES)
}
